// What was traded, by the second while it is live and by the step before that. Exact: quantities are integers in 18 digits.
//
// A trade is told more than once, by the stream, by REST, with other values: its newest quantity counts. Which trades a second had is
// remembered for the newest `idsMax`; seconds before them are settled.
import { mantissa, written } from './book';

const scale = 18;
const idsMax = 5000;

export class Volume {
    private sums = new Map<number, bigint>(); // by second
    private trades = new Map<number, Map<string | number, bigint>>(); // of seconds that are not settled
    private older = new Map<number, bigint>(); // by step
    private first = 0;
    private settled = 0;
    private ids = 0;

    // The first second of which every trade is known here; 0: none yet.
    since(): number {
        return this.first;
    }

    begin(second: number) {
        this.first ||= second;
    }

    // The first trade that is told is amid its second. true: a sum has changed.
    add(second: number, id: string | number, quantity: string): boolean {
        this.begin(second + 1);
        if (second < this.first || second < this.settled)
            return false;
        const trades = this.trades.get(second) ?? new Map<string | number, bigint>();
        const now = mantissa(quantity, scale);
        const before = trades.get(id);
        if (before === now)
            return false;
        trades.set(id, now);
        this.trades.set(second, trades);
        this.sums.set(second, (this.sums.get(second) ?? 0n) + now - (before ?? 0n));
        this.ids += before === undefined ? 1 : 0;
        if (this.ids > idsMax)
            this.settle();
        return true;
    }

    private settle() {
        const oldest = Math.min(...this.trades.keys());
        this.ids -= this.trades.get(oldest)!.size;
        this.trades.delete(oldest);
        this.settled = oldest + 1;
    }

    addHistory(step: number, quantity: string) {
        this.older.set(step, (this.older.get(step) ?? 0n) + mantissa(quantity, scale));
    }

    forgetHistory() {
        this.older.clear();
    }

    // Seconds before this one become steps.
    forget(before: number, step: number) {
        for (const [second, sum] of this.sums)
            if (second < before) {
                const at = second - (second % step);
                this.older.set(at, (this.older.get(at) ?? 0n) + sum);
                this.sums.delete(second);
                this.ids -= this.trades.get(second)?.size ?? 0;
                this.trades.delete(second);
            }
        this.settled = Math.max(this.settled, before);
    }

    forgetSteps(before: number) {
        for (const at of this.older.keys())
            if (at < before)
                this.older.delete(at);
    }

    // By step, of all that is known.
    stepped(step: number): Map<number, bigint> {
        const found = new Map(this.older);
        for (const [second, sum] of this.sums) {
            const at = second - (second % step);
            found.set(at, (found.get(at) ?? 0n) + sum);
        }
        return found;
    }

    // Of one step; empty: nothing was traded.
    text(at: number, step: number): string {
        let sum = this.older.get(at) ?? 0n;
        if (step < this.sums.size)
            for (let second = at; second < at + step; second++)
                sum += this.sums.get(second) ?? 0n;
        else
            for (const [second, one] of this.sums)
                sum += second >= at && second < at + step ? one : 0n;
        return sum === 0n ? '' : Volume.written(sum);
    }

    static written(sum: bigint): string {
        return written(sum, scale).replace(/\.?0+$/, '');
    }
}
