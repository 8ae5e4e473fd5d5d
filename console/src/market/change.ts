// What the price has changed over 24 hours, or since the first trade of them that the store has.
import { compare, decimals } from '../decimal';
import { className, el, put, text } from '../dom';
import { clock, decimal, zoneName } from '../text';
import { mantissa, written } from './book';
import { dayMs, type History, type Opening } from './history';

const againMs = 60000;
const percentScale = 2;

// (now - then) / then in percent, rounded half away from zero; by integers.
export function percent(then: string, now: string): string {
    const scale = Math.max(decimals(then), decimals(now));
    const [a, b] = [mantissa(then, scale), mantissa(now, scale)];
    const change = (b - a) * 10n ** BigInt(2 + percentScale);
    if (a === 0n)
        return '0.00';
    const rounded = ((change < 0n ? -change : change) * 2n + a) / (a * 2n);
    return (change < 0n && rounded > 0n ? '-' : '') + written(rounded, percentScale);
}

export class Change {
    readonly box: HTMLElement;
    private opening: Opening | null = null;
    private askedAt = -againMs;
    private texts = { mark: text(), word: text(), figure: text(), since: text() };

    constructor(private history: History) {
        const { texts } = this;
        this.box = el('p', { class: 'change' }, el('span', { 'aria-hidden': 'true', class: 'mark' }, texts.mark), el('span', { class: 'hidden' }, texts.word),
            el('span', { class: 'num' }, texts.figure), el('span', { class: 'since' }, texts.since));
    }

    paint(price: string, asOf: number | null, canAsk: boolean) {
        const now = performance.now();
        if (canAsk && now - this.askedAt >= againMs) {
            this.askedAt = now;
            void this.history.opening(asOf === null ? Date.now() : asOf * 1000).then((opening) => { this.opening = opening ?? this.opening; });
        }
        if (!this.opening)
            return;
        const { texts } = this;
        const moved = compare(price, this.opening.price);
        const share = percent(this.opening.price, price);
        const isDay = this.opening.at <= (asOf === null ? Date.now() : asOf * 1000) - dayMs + againMs * 2;
        put(texts.mark, moved > 0 ? '▲' : moved < 0 ? '▼' : '');
        put(texts.word, moved > 0 ? 'up' : moved < 0 ? 'down' : 'unchanged');
        put(texts.figure, `${moved > 0 && share !== '0.00' ? '+' : ''}${decimal(share)} %`);
        put(texts.since, isDay ? '24 h' : `since ${clock(this.opening.at)} ${zoneName()}`);
        className(this.box, `change ${moved > 0 ? 'up' : moved < 0 ? 'down' : ''}`);
    }
}
