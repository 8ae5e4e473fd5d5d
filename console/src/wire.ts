// What is said at /ws, and between the page and its worker.

import type { Events, Time } from './schema';

export type { ActionRow, ColumnRow, Correction, Decimal, FeedStats, Instrument, LaneRow, LaneStart, LaneState, LevelRow, Link, LogRow, NodeRow, QualityHistoryResponse, QualityMinuteRow,
              QualityStripRow, Time, Trade,
              Vwap } from './schema';

export interface HouseEvent {
    seq: number; skipped: number; type: 'event'; channel: string; epoch: string; offset: number; publish_time: Time; kind: keyof Events;
    data: any; // Events[kind]; null where the record could not be read
}
export interface Channel { channel: string; log: string; epoch: string; offset: number }

// A channel that the page wants to hear. `from`: so many events of the past, a time, or an offset, at the first subscription.
// `sifted`: only what passes the filter reaches the page.
export type Start = number | Time | { offset: number };
export interface Want { channel: string; from: Start; sifted?: boolean }

export interface Loss { channel: string; epoch: string; from: number | null; to: number | null; reason: string; at: number }

// What came of a connection that was cut on purpose and made again.
export interface Resumed {
    channels: number; expected: number; received: number; repeated: number; missing: number; ms: number; live: boolean;
    from: string; // where the busiest channel stood, epoch/offset
    to: number; // its newest offset when the connection was back
}

export interface Status {
    link: 'connecting' | 'open' | 'lost' | 'cut';
    since: number; // ms, when that began
    retryAt: number; // ms, when the next try is due
    tries: number;
    rtt: number | null; // ms
    received: number; // events since the page was opened
    skipped: number;
    repeated: number; // events that came although their offset was known: must stay 0
    dropped: number; // events that this page was too slow to take
    losses: Loss[];
    backAfter: number | null; // ms that the last interruption took
    replayed: number; // events that came between the last interruption and the live stream
    resumed: Resumed | null;
    sifted: { seen: number; passed: number };
}

export type Answer<T> = { ok: true; ms: number; data: T } | { ok: false; ms: number; code: string; field?: string; message: string };

export type ToWorker =
    | { type: 'want'; wants: Want[]; patterns: string[] }
    | { type: 'sift'; filter: string }
    | { type: 'call'; id: number; action: string; params: unknown }
    | { type: 'take'; hidden: boolean; max: number }
    | { type: 'cut' } | { type: 'resume' } | { type: 'retry' };

export type FromWorker =
    | { type: 'batch'; events: HouseEvent[]; more: boolean; status: Status; channels: Channel[] | null }
    | { type: 'answer'; id: number; answer: Answer<unknown> };
