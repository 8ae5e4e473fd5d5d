// The book of one symbol, from snapshots and changes, by the venue's numbers. Integers in the instrument's scales: sums are exact.
import type { Book as BookEvent, LevelRow } from '../schema';

export interface Level { price: bigint; quantity: bigint }

export function mantissa(value: string, scale: number): bigint {
    const [whole = '0', part = ''] = value.split('.');
    return BigInt(whole + part.padEnd(scale, '0').slice(0, scale));
}

// The text of a mantissa: 6500025 at scale 2 is 65000.25
export function written(value: bigint, scale: number): string {
    const digits = value.toString().padStart(scale + 1, '0');
    return scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

class Side {
    levels: Level[] = []; // best first

    constructor(private sign: bigint) {} // 1: least price first, -1: greatest

    set(price: bigint, quantity: bigint) {
        let low = 0;
        let high = this.levels.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if ((this.levels[middle]!.price - price) * this.sign < 0n)
                low = middle + 1;
            else
                high = middle;
        }
        const there = this.levels[low]?.price === price;
        if (quantity > 0n)
            this.levels.splice(low, there ? 1 : 0, { price, quantity });
        else if (there)
            this.levels.splice(low, 1);
    }
}

export class Book {
    readonly bids = new Side(-1n);
    readonly asks = new Side(1n);
    isKnown = false;
    lastId = 0;

    constructor(readonly priceScale: number, readonly quantityScale: number) {}

    private put(side: Side, rows: LevelRow[]) {
        for (const { price, quantity } of rows)
            side.set(mantissa(price, this.priceScale), mantissa(quantity, this.quantityScale));
    }

    start(bids: LevelRow[], asks: LevelRow[], lastId: number) {
        this.bids.levels = [];
        this.asks.levels = [];
        this.put(this.bids, bids);
        this.put(this.asks, asks);
        this.lastId = lastId;
        this.isKnown = true;
    }

    // false: the changes do not continue the book, which is unknown until the next snapshot.
    apply(event: BookEvent): boolean {
        if (event.snapshot) {
            this.start(event.bids, event.asks, event.last_id);
            return true;
        }
        if (!this.isKnown || event.last_id <= this.lastId)
            return true;
        if (event.first_id > this.lastId + 1) {
            this.isKnown = false;
            return false;
        }
        this.put(this.bids, event.bids);
        this.put(this.asks, event.asks);
        this.lastId = event.last_id;
        return true;
    }

    // The best levels in steps of `step`: bids fall to the step below, asks rise to the one above.
    grouped(side: 'bids' | 'asks', step: bigint, max: number): Level[] {
        const found: Level[] = [];
        for (const { price, quantity } of this[side].levels) {
            const down = price - (price % step);
            const at = step === 1n ? price : side === 'bids' || down === price ? down : down + step;
            const last = found[found.length - 1];
            if (last?.price === at)
                last.quantity += quantity;
            else if (found.length === max)
                break;
            else
                found.push({ price: at, quantity });
        }
        return found;
    }
}
