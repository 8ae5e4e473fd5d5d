// The tape: the newest trades, newest on top, in rows that are used again and again.
import { attribute, el, hide, put, text } from '../dom';
import { showEvent } from '../evidence';
import { Sight, walkRows } from '../rows';
import { age, clockOf, count, decimal, ms, zoneName } from '../text';
import type { HouseEvent, Trade } from '../wire';

const ringMax = 600; // rows, and what may still be told again
const rowCount = 60;
const rowPx = 20;
const lookBack = 240; // trades among which one that is told again has its place
const marks: Record<string, [string, string]> = { buy: ['▲', 'bought'], sell: ['▼', 'sold'], unknown: ['', 'side unknown'] };

interface Row { row: HTMLElement; time: Text; side: Text; sideCell: HTMLElement; word: Text; quantity: Text; price: Text; note: Text; event: HouseEvent | null }

export class Tape {
    readonly box: HTMLElement;
    private ring: HouseEvent[] = []; // oldest first
    private rows: Row[] = [];
    private head = text();
    private zone = text('UTC');
    private priceHead = text('price');
    private quantityHead = text('quantity');
    private dirty = true;
    private words = text();
    private empty = el('p', { class: 'empty' }, this.words);
    private scroller: HTMLElement;
    private sight: Sight;
    private seen = 0;
    private countedAt = performance.now();

    constructor(symbol: string, private past: boolean) {
        const body = el('tbody');
        const enter = walkRows(body, (row) => {
            const event = this.rows.find((one) => one.row === row)?.event;
            if (event)
                showEvent(event);
        });
        for (let i = 0; i < rowCount; i++)
            this.rows.push(this.row());
        body.append(...this.rows.map(({ row }) => row));
        enter();
        body.addEventListener('pointerover', (event) => this.explain((event.target as Element).closest('tr')));
        this.scroller = el('div', { class: 'rows', tabindex: 0, role: 'region', 'aria-label': 'Newest trades', hidden: true }, el('table', { class: 'tape-table' },
            el('caption', { class: 'hidden' }, `Trades of ${symbol}, newest first`),
            el('thead', {}, el('tr', {}, el('th', { scope: 'col', class: 'time' }, this.zone), el('th', { scope: 'col', class: 'side' }, el('span', { class: 'hidden' }, 'side')),
               el('th', { scope: 'col', class: 'r' }, this.quantityHead), el('th', { scope: 'col', class: 'r' }, this.priceHead),
               el('th', { scope: 'col', class: 'mark' }, el('span', { class: 'hidden' }, 'note')))),
            body));
        this.sight = new Sight(this.scroller, rowPx);
        this.box = el('div', { class: 'fill' },
            el('div', { class: 'head' }, el('h2', {}, 'Trades'), el('span', { class: 'note num' }, this.head)),
            this.empty, this.scroller);
    }

    // What there is to say while there is no trade.
    say(words: string) {
        put(this.words, words);
    }

    private explain(row: Element | null) {
        const event = this.rows.find((one) => one.row === row)?.event;
        const trade = event?.data as Trade | undefined;
        if (trade)
            attribute(row!, 'title', `${trade.venue_time}, ${age(Date.now() - ms(trade.venue_time))} ago` +
                (trade.suspect && !trade.validated ? ' · suspect: held back until REST confirms it' : trade.revision > 1 ? ` · revision ${trade.revision}: changed by REST` : ''));
    }

    private row(): Row {
        const made = { time: text(), side: text(), word: text(), quantity: text(), price: text(), note: text() };
        const sideCell = el('td', {}, el('span', { 'aria-hidden': 'true' }, made.side), el('span', { class: 'hidden' }, made.word));
        const row = el('tr', { 'data-open': '', tabindex: -1 }, el('td', { class: 'num' }, made.time), sideCell, el('td', { class: 'r num' }, made.quantity),
            el('td', { class: 'r num' }, made.price), el('td', { class: 'mark' }, made.note));
        row.hidden = true;
        return { ...made, row, sideCell, event: null };
    }

    add(event: HouseEvent) {
        const trade = event.data as Trade;
        if (trade.revision === 1 && !trade.validated)
            this.seen++;
        const oldest = Math.max(0, this.ring.length - lookBack);
        let at = this.ring.length - 1;
        let place = this.ring.length; // behind the last that is not newer
        for (; at >= oldest && this.ring[at]!.data.trade_id !== trade.trade_id; at--)
            if (this.ring[at]!.data.venue_time > trade.venue_time)
                place = at;
        if (at >= oldest)
            this.ring[at] = event; // REST confirms or changes it
        else if (place > oldest || oldest === 0)
            this.ring.splice(place, 0, event);
        if (this.ring.length > ringMax)
            this.ring.splice(0, ringMax / 2);
        this.dirty = true;
    }

    units(base: string, quote: string) {
        put(this.quantityHead, base);
        put(this.priceHead, quote);
    }

    paint(now: number, priceScale: number, quantityScale: number) {
        put(this.zone, zoneName());
        if (now - this.countedAt >= 1000) {
            const rate = this.seen * 1000 / (now - this.countedAt);
            put(this.head, this.ring.length === 0 || this.past ? '' : rate > rowCount ? `${rowCount} of ${count(Math.round(rate))}/s shown` : `${count(Math.round(rate))}/s`);
            this.seen = 0;
            this.countedAt = now;
        }
        const whole = this.sight.begin(now, this.dirty);
        if (whole === null)
            return;
        this.dirty = false;
        hide(this.empty, this.ring.length > 0);
        hide(this.scroller, this.ring.length === 0);
        this.rows.forEach((row, i) => {
            if (!whole && !this.sight.sees(i))
                return;
            const event = this.ring[this.ring.length - 1 - i] ?? null;
            row.event = event;
            row.row.hidden = event === null;
            if (!event)
                return;
            const trade = event.data as Trade;
            const [mark, word] = marks[trade.side] ?? marks['unknown']!;
            put(row.time, clockOf(trade.venue_time, 3));
            put(row.side, mark);
            put(row.word, word);
            attribute(row.sideCell, 'class', trade.side === 'buy' ? 'up' : trade.side === 'sell' ? 'down' : '');
            put(row.quantity, decimal(trade.quantity, quantityScale));
            put(row.price, decimal(trade.price, priceScale));
            put(row.note, trade.suspect && !trade.validated ? '⚠' : trade.revision > 1 ? `r${trade.revision}` : '');
        });
    }
}
