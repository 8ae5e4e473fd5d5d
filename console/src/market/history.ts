// The past of one symbol, as the store has it: what the chart lacks, and what was known at a time.
import { call } from '../house';
import { clock, count, ms, zoneName } from '../text';
import type { TradePointRow, VwapPointRow } from '../schema';
import type { Answer } from '../wire';
import type { OlderRow, PriceChart, Stretch } from './chart';
import type { Pick } from './symbols';

const singleMax = 4000; // trades that are asked for one by one
const singleSpans = [5, 60, 3600, 86400]; // seconds in which the newest of a time are looked for
const singleWanted = 60;
const againMs = 5000;
const changeSpans = [60, 3600, 86400];
export const dayMs = 86400e3;

export interface Past { trades: TradePointRow[]; averages: (VwapPointRow | null)[] }
export interface Opening { price: string; at: number } // the first price of a day, and its ms

const iso = (second: number) => new Date(second * 1000).toISOString();

// Whole steps, and the part of one at the end: so that each row of an answer is a step. That of a part may begin before it.
function pieces({ from, to }: Stretch, step: number): (Stretch & { points: number })[] {
    const whole = to - (to % step);
    return [{ from, to: whole, points: (whole - from) / step }, { from: Math.max(from, whole), to, points: 1 }].filter((piece) => piece.to > piece.from);
}

export class History {
    private asking = false;
    private refusedAt = -againMs; // of this page's clock: it is asked again later

    constructor(private pick: Pick, private asOf: number | null, private say: (words: string) => void) {}

    private place() {
        return { venue: this.pick.venue ?? '', symbol: this.pick.symbol };
    }

    // The end of a range that is told without its last second.
    private until(second: number): string {
        return this.asOf !== null && second > this.asOf ? iso(this.asOf) : `${iso(second - 1).slice(0, 19)}.999999999Z`;
    }

    // Another interval asks at once.
    retry() {
        this.refusedAt = -againMs;
    }

    // Ask for what the chart lacks, one stretch at a time.
    async fill(chart: PriceChart, step: () => number) {
        const mine = step();
        const stretch = this.asking || performance.now() - this.refusedAt < againMs ? null : chart.lacks(Math.ceil(Date.now() / 1000));
        if (!stretch)
            return;
        const parts = pieces(stretch, mine);
        const ahead = chart.isLive(stretch) ? Math.ceil(Date.now() / 1000 / mine) * mine : stretch.to;
        const marks = pieces({ from: stretch.from, to: Math.max(stretch.to, ahead) }, mine);
        const ask = ({ from, to, points }: Stretch & { points: number }) => ({ ...this.place(), from: iso(from), to: this.until(to), points });
        this.asking = true;
        this.say(`Reading ${count(parts[0]!.points)} marks before ${clock(stretch.to * 1000)} ${zoneName()} …`);
        const averages = await Promise.all(this.pick.windows.map((window) => Promise.all(marks.map((piece) => call('vwap.history', { ...ask(piece), window })))));
        const trades = this.pick.venue === null ? [] : await Promise.all(parts.map((piece) => call('trades.history', ask(piece))));
        this.asking = false;
        if (mine !== step())
            return;
        const start = this.note([...averages.flat(), ...trades]);
        const rows = trades.flatMap((answer, i) => (answer.ok ? answer.data.rows : []).map((row) => (
            { second: parts[i]!.points === 1 ? parts[i]!.from : Math.floor(ms(row.time) / 1000), text: row.close, full: true, quantity: row.quantity })));
        const lines = this.pick.windows.map((name, i) => ({ name, rows: averages[i]!.flatMap((answer) => (answer.ok ? answer.data.rows : []))
            .map((row): OlderRow => ({ second: Math.floor(ms(row.mark) / 1000), text: row.price, full: row.validated })) }));
        if (start !== undefined)
            chart.history(stretch, [...lines, { name: 'price', rows }], rows, start);
    }

    // The first second that the store has; null: it has nothing; undefined: it did not say.
    private note(answers: Answer<{ oldest: string }>[]): number | null | undefined {
        const wrong = answers.find((answer) => !answer.ok);
        const starts = answers.flatMap((answer) => (answer.ok && ms(answer.data.oldest) > 0 ? [answer.data.oldest] : []));
        const start = starts.length > 0 ? starts.reduce((a, b) => (a < b ? a : b)) : null;
        if (wrong && !wrong.ok) {
            this.refusedAt = performance.now();
            this.say(`History could not be read: ${wrong.message}`);
            return undefined;
        }
        this.say(start === null ? 'The store has no history of this symbol yet.' : `Start of history ${start.slice(0, 10)} ${clock(ms(start))} ${zoneName()}.`);
        return start === null ? null : Math.floor(ms(start) / 1000);
    }

    // The price with which the last 24 hours began, or the first that the store has of them.
    async opening(now: number): Promise<Opening | null> {
        const first = now - dayMs;
        for (const span of changeSpans) {
            const answer = await this.firstOf(first, Math.min(now, first + span * 1000));
            const oldest = answer.ok ? ms(answer.data.oldest) : 0;
            if (answer.ok && answer.data.rows[0])
                return { price: answer.data.rows[0].open, at: first };
            if (oldest === 0 || oldest > now)
                return null;
            if (oldest > first) {
                const begin = await this.firstOf(oldest, oldest);
                return begin.ok && begin.data.rows[0] ? { price: begin.data.rows[0].open, at: oldest } : null;
            }
        }
        return null;
    }

    private firstOf(from: number, to: number) {
        return call('trades.history', { ...this.place(), from: new Date(from).toISOString(), to: `${new Date(to).toISOString().slice(0, 23)}999999Z`, points: singleMax });
    }

    // The newest trades and values up to a time, as they are known today.
    async at(second: number): Promise<Past> {
        const past: Past = { trades: [], averages: [] };
        for (const span of this.pick.venue === null ? [] : singleSpans) {
            const answer = await call('trades.history', { ...this.place(), from: iso(second - span), to: iso(second), points: singleMax });
            if (!answer.ok || answer.data.step !== 0)
                break;
            past.trades = answer.data.rows;
            if (past.trades.length >= singleWanted)
                break;
        }
        for (const window of this.pick.windows) {
            const answer = await call('vwap.history', { ...this.place(), window, from: iso(second - 3600), to: iso(second), points: singleMax });
            past.averages.push(answer.ok ? answer.data.rows[answer.data.rows.length - 1] ?? null : null);
        }
        return past;
    }
}
