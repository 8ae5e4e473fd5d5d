// What is said at /ws, and between the page and its worker.

export type Decimal = string; // printed as received; a number is made of it for pixels only
export type Time = string; // ISO 8601, UTC

export interface Trade {
    venue_time: Time; receive_time: Time; price: Decimal; quantity: Decimal; side: string; trade_id: string; trade_number: number;
    validated: boolean; suspect: boolean; revision: number;
}
export interface Vwap {
    mark: Time; window: number; price: Decimal; trades: number; validated: boolean; complete: boolean; revision: number;
}
export interface Correction {
    mark_from: Time; mark_to: Time; window: number; revision: number; old_price: Decimal; new_price: Decimal;
    delta_trades: number; cause: string; trade_ids: string[]; trade_count: number;
}
export interface FeedStats {
    received: number; invalid: number; repeated: number; reordered: number; missing: number; repaired: number; suspect: number;
    corrected: number; skew_min: number; skew_max: number; market_time: Time; validated_until: Time; lost: number; full_ms: number;
}
export interface Link { state: string; reason: string; attempt: number; receive_time: Time }
export interface Instrument { base: string; quote: string; price_scale: number; quantity_scale: number }

export interface HouseEvent {
    seq: number; skipped: number; type: 'event'; channel: string; epoch: string; offset: number; publish_time: Time; kind: string;
    data: unknown;
}
export interface Channel { channel: string; log: string; epoch: string; offset: number }

// One channel that the page wants to hear. `back`: that many events of the past at the first subscription.
export interface Want { channel: string; back: number }

export interface Loss { channel: string; from: number | null; to: number | null; reason: string }

export interface Status {
    link: 'connecting' | 'open' | 'lost';
    since: number; // ms, when that began
    retryAt: number; // ms, when the next try is due
    tries: number;
    rtt: number | null; // ms
    received: number; // events since the page was opened
    skipped: number;
    repeated: number; // events that came although their offset was known: must stay 0
    losses: Loss[];
    backAfter: number | null; // ms that the last interruption took
}

export type ToWorker = { type: 'want'; wants: Want[] } | { type: 'take' };
export interface FromWorker { type: 'batch'; events: HouseEvent[]; status: Status; channels: Channel[] | null }
