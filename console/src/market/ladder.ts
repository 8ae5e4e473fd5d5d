// The ladder: the book around the touch, asks above, bids below, with the sums of what stands nearer.
import { className, el, put, text } from '../dom';
import { showEvent } from '../evidence';
import { call } from '../house';
import { Sight } from '../rows';
import { stale as staleRules } from '../schema';
import { age, count, decimal, ms, several } from '../text';
import type { Channel, HouseEvent, Instrument, Want } from '../wire';
import { Book, mantissa, written, type Level } from './book';
import type { Pick } from './symbols';

const rowCount = 20; // of each side
const rowPx = 20;
const replayed = 700; // events that hold a snapshot, at one a minute and ten changes a second
const depth = 1000;
const groups = [1n, 10n, 100n, 1000n, 10000n];
const snapshotAgainMs = 2000;

interface Row { row: HTMLElement; price: Text; quantity: Text; sum: Text; bar: HTMLElement }

export class Ladder {
    readonly box: HTMLElement;
    readonly actions: string[] = ['book.snapshot'];
    wants: Want[] = [];
    heardAt = 0; // ms of publishing of the newest event
    private channel: string;
    private book: Book | null = null;
    private early: HouseEvent[] = []; // before the scales are known
    private newest: HouseEvent | null = null;
    private resyncs = 0;
    private exists = false;
    private dirty = false;
    private centred = false;
    private askedAt = -snapshotAgainMs;
    private hasSnapshots = false;
    private heard = 0; // since countedAt
    private written = 0;
    private countedAt = 0;
    private counted = { heard: 0, written: 0 };
    private step = 1n;
    private tick = 0n;
    private asks: Row[] = [];
    private bids: Row[] = [];
    private scroller: HTMLElement;
    private sight: Sight;
    private middle: HTMLElement;
    private words = text('');
    private texts = { spread: text('–'), head: text(''), price: text('price'), quantity: text('quantity') };
    private grouping = el('select', { 'aria-label': 'Step of the ladder', class: 'small-select', change: () => { this.step = BigInt(this.grouping.value); this.dirty = true; } });

    constructor(private pick: Pick, past: boolean) {
        const { texts } = this;
        const body = el('tbody');
        this.channel = `book.${pick.key}`;
        for (let i = 0; i < rowCount; i++) {
            this.asks.unshift(this.row('ask'));
            this.bids.push(this.row('bid'));
        }
        this.middle = el('tr', { class: 'touch' }, el('td', { colspan: 3, class: 'num' }, texts.spread));
        body.append(...this.asks.map(({ row }) => row), this.middle, ...this.bids.map(({ row }) => row));
        this.asks.reverse(); // best first, as the bids are
        this.scroller = el('div', { class: 'rows', tabindex: 0, role: 'region', 'aria-label': 'Levels of the book', hidden: true }, el('table', { class: 'ladder-table' },
            el('caption', { class: 'hidden' }, `Book of ${pick.symbol}: asks, then bids`),
            el('thead', {}, el('tr', {}, el('th', { scope: 'col', class: 'r' }, texts.price), el('th', { scope: 'col', class: 'r' }, texts.quantity), el('th', { scope: 'col', class: 'r' }, 'Σ'))),
            body));
        this.sight = new Sight(this.scroller, rowPx);
        this.scroller.addEventListener('click', () => { if (this.newest) showEvent(this.newest); });
        this.grouping.hidden = true;
        put(this.words, past ? 'No book is kept of the past.' : pick.venue === null ? 'A composite has no book of its own.' : `This house publishes no book of ${pick.symbol}: there is no channel ${this.channel}.`);
        this.box = el('div', { class: 'fill' },
            el('div', { class: 'head' }, el('h2', {}, 'Ladder'), el('span', { class: 'note num grow' }, texts.head), this.grouping),
            el('p', { class: 'empty' }, this.words), this.scroller);
    }

    private row(side: 'ask' | 'bid'): Row {
        const made = { price: text(), quantity: text(), sum: text() };
        const bar = el('i', { 'aria-hidden': 'true' });
        const row = el('tr', { class: side }, el('td', { class: 'num r price' }, made.price), el('td', { class: 'num r' }, made.quantity), el('td', { class: 'num r sum' }, made.sum, bar));
        return { ...made, row, bar };
    }

    // Asks for the book where the house publishes one. true: the wants have changed.
    onChannels(channels: Channel[], hasSnapshots: boolean): boolean {
        this.hasSnapshots = hasSnapshots;
        if (this.exists || this.pick.venue === null || !channels.some(({ channel }) => channel === this.channel))
            return false;
        this.exists = true;
        this.wants = [{ channel: this.channel, from: hasSnapshots ? 20 : replayed }, { channel: `ticker.${this.pick.key}`, from: 1 }];
        put(this.words, 'Reading the book …');
        return true;
    }

    scales(instrument: Instrument) {
        if (this.book?.priceScale === instrument.price_scale && this.book.quantityScale === instrument.quantity_scale)
            return;
        this.book = new Book(instrument.price_scale, instrument.quantity_scale);
        this.tick = mantissa(instrument.tick, instrument.price_scale) || 1n;
        this.step = 1n;
        put(this.texts.price, instrument.quote);
        put(this.texts.quantity, instrument.base);
        this.grouping.replaceChildren(...groups.map((factor) => new Option(decimal(written(this.tick * factor, instrument.price_scale)), String(factor === 1n ? 1n : this.tick * factor))));
        this.early.forEach((event) => this.onEvent(event));
        this.early = [];
    }

    onEvent(event: HouseEvent) {
        this.heardAt = Math.max(this.heardAt, ms(event.publish_time));
        if (event.kind !== 'book')
            return;
        if (!this.book) {
            this.early = [...this.early.slice(-replayed), event];
            return;
        }
        this.newest = event;
        this.heard++;
        this.resyncs = event.data.resyncs;
        this.book.apply(event.data);
        this.dirty = true;
    }

    // A book that is not known is asked for; without the action it comes with the next snapshot.
    private async ask(now: number) {
        if (!this.hasSnapshots || !this.exists || !this.book || now - this.askedAt < snapshotAgainMs)
            return;
        this.askedAt = now;
        const answer = await call('book.snapshot', { venue: this.pick.venue!, symbol: this.pick.symbol, depth });
        if (answer.ok && !this.book.isKnown) {
            this.book.start(answer.data.bids, answer.data.asks, answer.data.sequence);
            this.dirty = true;
        } else if (!answer.ok) {
            put(this.words, answer.message);
        }
    }

    // Nothing of a book for longer than the schema allows: it can not be known.
    isStale(): boolean {
        return this.exists && this.heardAt !== 0 && Date.now() - this.heardAt > (staleRules['book']?.limit ?? 2000);
    }

    paint(now: number, down: boolean) {
        const book = this.book;
        if (now - this.countedAt >= 1000) {
            this.counted = { heard: this.heard, written: this.written };
            this.heard = this.written = 0;
            this.countedAt = now;
        }
        const stale = this.exists && book?.isKnown === true && (down || this.isStale());
        className(this.box, `fill ${stale ? 'stale' : ''}`);
        put(this.texts.head, stale ? `${age(Date.now() - this.heardAt)} old` : this.resyncs > 0 ? several(this.resyncs, 'resync') : '');
        if (!book)
            return;
        if (!book.isKnown) {
            void this.ask(now);
            return;
        }
        const whole = this.sight.begin(now, this.dirty);
        if (whole === null)
            return;
        this.written += this.dirty ? 1 : 0;
        this.dirty = false;
        this.write(book, whole);
    }

    // Of a whole second. Empty: all that came is shown.
    pace(): string {
        return this.counted.written >= this.counted.heard ? '' : `showing ${count(this.counted.written)} of ${several(this.counted.heard, 'book update')} a second, nothing lost.`;
    }

    private write(book: Book, whole: boolean) {
        const asks = book.grouped('asks', this.step, rowCount);
        const bids = book.grouped('bids', this.step, rowCount);
        const sum = (levels: Level[]) => levels.reduce((all, level) => all + level.quantity, 0n);
        const most = [sum(asks), sum(bids)].reduce((a, b) => (a > b ? a : b));
        const [ask, bid] = [book.asks.levels[0], book.bids.levels[0]];
        this.side(this.asks, asks, book, most, (i) => whole || this.sight.sees(rowCount - 1 - i));
        this.side(this.bids, bids, book, most, (i) => whole || this.sight.sees(rowCount + 1 + i));
        if (ask && bid) {
            const middle = ask.price + bid.price;
            const points = middle === 0n ? 0n : (ask.price - bid.price) * 2000000n / middle;
            put(this.texts.spread, `${decimal(written(ask.price - bid.price, book.priceScale))} · ${decimal(written(points, 2))} bp`);
        } else {
            put(this.texts.spread, 'one side is empty');
        }
        if (this.scroller.hidden) {
            (this.box.querySelector('.empty') as HTMLElement).hidden = true;
            this.scroller.hidden = false;
            this.grouping.hidden = false;
        }
        if (!this.centred)
            requestAnimationFrame(() => this.recentre());
        this.centred = true;
    }

    private side(rows: Row[], levels: Level[], book: Book, most: bigint, isSeen: (i: number) => boolean) {
        let sum = 0n;
        rows.forEach((row, i) => {
            const level = levels[i];
            sum += level?.quantity ?? 0n;
            if (!isSeen(i))
                return;
            put(row.price, level ? decimal(written(level.price, book.priceScale)) : '');
            put(row.quantity, level ? decimal(written(level.quantity, book.quantityScale)) : '');
            put(row.sum, level ? decimal(written(sum, book.quantityScale)) : '');
            const share = level && most > 0n ? Number(sum * 1000n / most) / 1000 : 0;
            row.bar.style.transform = `scaleX(${share})`;
        });
    }

    recentre() {
        this.scroller.scrollTop = this.middle.offsetTop - (this.scroller.clientHeight - this.middle.offsetHeight) / 2;
    }
}
