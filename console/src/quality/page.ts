// Quality: which figures can be trusted, minute by minute.
import { attribute, el, hide, put, text } from '../dom';
import { everyFrame, rank } from '../frame';
import { call, house, isDown, leave, listen, settle, type Listener } from '../house';
import type { Condition, OpenPage, Page } from '../page';
import { remember, type Route } from '../route';
import { onSettings } from '../settings';
import { LiveTable } from '../table';
import { clock, count, day, several, shifted, zoneName } from '../text';
import type { Channel, QualityHistoryResponse, QualityMinuteRow, Want } from '../wire';
import { Minute } from './minute';
import { headOf, isTime, noFeed, Strips, symbolOf, totalOf, type Place } from './strips';
import { walkRows } from '../rows';

const minuteMs = 60000;
const graceMs = 6000; // a minute is told so soon behind its end
const paintMs = 50;
const refreshMs = 1000; // of news at most
const idleMs = 30000; // asked again without news
const skeletonMs = 300;
const staleMs = 4 * minuteMs; // a minute is told one to two minutes behind its start
const wantsMax = 200;
const cellsMax = 1440;
const ranges: [string, number, number][] = [['1 h', 60, 10], ['6 h', 360, 60], ['24 h', 1440, 240], ['7 d', 10080, 1440]]; // minutes, and those from mark to mark of the axis
const measures = ['missing', 'repaired', 'invalid', 'repeated', 'reordered', 'suspect', 'silence', 'latency'] as const;
type Measure = typeof measures[number];
const digits = [...'01234']; // of a cell, from good to bad; the answer's `steps` says what they mean
const dayMinutes = 1440;
const markRoom = 0.12; // of the axis, to the right of a mark

class Quality implements Page {
    title = 'Quality';
    keys: Page['keys'];
    filter: HTMLInputElement;
    private stops: (() => void)[];
    private listener: Listener;
    private range: HTMLSelectElement;
    private venue: HTMLSelectElement;
    private measure: HTMLSelectElement;
    private twin = el('button', { type: 'button', class: 'small', 'aria-pressed': 'false', click: () => this.toggle() }, 'as a table');
    private texts = { note: text(), cursor: text('\u00a0'), live: text() };
    private axis = el('div', { class: 'axis num', 'aria-hidden': 'true' });
    private legend = el('ul', { class: 'legend' });
    private strips: Strips;
    private table: LiveTable;
    private tableBox: HTMLElement;
    private minute = new Minute();
    private to: number | null; // ms, the last minute where the address says one
    private data: QualityHistoryResponse | null = null;
    private newest: number | null = null; // ms, start of the newest step that anything is known of
    private asked = 0;
    private openedAt = performance.now();
    private askedAt = -Infinity;
    private newsAt = 0; // of a minute that has been told since it was asked; 0: none
    private waiting = false;
    private trouble = '';
    private known = new Set<string>();
    private pending: { venue: string; symbol: string; ms: number } | null = null;

    constructor(box: HTMLElement, route: Route) {
        const select = (name: string, key: string, options: [string, string][], value: string) => {
            const made = el('select', { 'aria-label': name, change: () => { remember({ [key]: made.value }); this.ask(); } }, ...options.map(([one, label]) => new Option(label, one)));
            made.value = options.some(([one]) => one === value) ? value : options[0]![0];
            return made;
        };
        const at = Date.parse(route.query.get('minute') ?? '');
        this.range = select('Range', 'range', ranges.map(([name]) => [name, name]), route.query.get('range') ?? '24 h');
        this.venue = select('Venue', 'venue', [['', 'all venues']], '');
        this.addVenue(route.query.get('venue') ?? '');
        this.venue.value = route.query.get('venue') ?? '';
        this.measure = select('Measure', 'measure', measures.map((name) => [name, name]), route.query.get('measure') ?? 'missing');
        this.filter = el('input', { type: 'search', 'aria-label': 'Symbols', placeholder: '⌕ symbol', spellcheck: 'false', autocomplete: 'off', value: route.query.get('symbol') ?? '',
                                    input: () => { remember({ symbol: this.filter.value }); this.ask(); } });
        this.to = Date.parse(route.query.get('to') ?? '') || null;
        this.pending = at > 0 ? { venue: route.query.get('of') ?? '', symbol: route.query.get('at') ?? '', ms: at } : null;
        this.strips = new Strips(this.axis, (place) => { void this.open(place); }, () => this.describe());
        this.table = new LiveTable('Quality by symbol', [{ head: 'symbol', width: 20 }, { head: 'venue', width: 12 }, { head: '', right: true, width: 24 },
            ...digits.map(() => ({ head: '', right: true, width: 9 })), { head: 'no feed', right: true, width: 10 }], true);
        walkRows(this.table.body, (row) => this.openWorst(Number(row.dataset['key'])))();
        this.tableBox = el('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of the strips', hidden: true }, this.table.table);
        this.build(box);
        this.keys = [
            { keys: '← · →', text: 'minute before, behind', run: () => {} }, { keys: '↑ · ↓', text: 'symbol above, below', run: () => {} }, { keys: '⏎', text: 'figures of the minute', run: () => {} },
            { keys: 't', text: 'strips or a table', run: () => this.toggle() },
            { keys: 'ArrowLeft · ArrowRight · ArrowUp · ArrowDown', text: 'to the strips', hidden: true, run: () => this.strips.box.focus() },
        ];
        this.listener = { wants: [], patterns: ['quality.>'], onEvent: () => { this.newsAt ||= performance.now(); }, onChannels: (channels) => this.onChannels(channels) };
        listen(this.listener);
        this.stops = [everyFrame(paintMs, rank.rest, (now) => this.paint(now)), onSettings(() => { this.strips.redraw(); this.showAxis(); })];
        if (route.query.get('table') !== null)
            this.toggle();
    }

    leave() {
        this.stops.forEach((stop) => stop());
        leave(this.listener);
    }

    uses() {
        return { channels: this.listener.patterns, actions: ['quality.history', 'quality.minutes'] };
    }

    condition(): [Condition, string] {
        if (this.trouble !== '' || this.data === null || this.to !== null)
            return this.trouble !== '' ? ['stale', 'no answer'] : this.data === null ? ['loading', ''] : ['past', ''];
        return this.newest !== null && Date.now() - this.newest > staleMs ? ['stale', `no minute since ${clock(this.newest).slice(0, 5)}`] : ['live', ''];
    }

    private build(box: HTMLElement) {
        const now = el('button', { type: 'button', class: 'small', hidden: this.to === null, click: () => { this.to = null; remember({ to: null }); hide(now, true); this.ask(); } }, '⟲ now');
        box.append(
            el('h1', { class: 'hidden' }, 'Quality'),
            el('section', { class: 'panel heat', 'aria-label': 'Quality by minute' },
               el('div', { class: 'head heat-head' }, el('h2', {}, 'Quality'), this.range, this.venue, this.measure, this.filter, now, this.twin, el('span', { class: 'grow' }), el('span', { class: 'note num' }, this.texts.note)),
               this.strips.box, this.tableBox,
               el('div', { class: 'foot heat-foot' }, this.legend, el('p', { class: 'num cursor' }, this.texts.cursor))),
            this.minute.box,
            el('div', { class: 'hidden', 'aria-live': 'polite' }, this.texts.live));
    }

    private addVenue(name: string) {
        if (name !== '' && ![...this.venue.options].some((option) => option.value === name))
            this.venue.add(new Option(name, name));
    }

    private onChannels(channels: Channel[]) {
        const found = channels.filter(({ channel }) => channel.startsWith('quality.'));
        const fresh = found.filter(({ channel }) => !this.known.has(channel)).slice(0, wantsMax - this.known.size);
        if (fresh.length === 0)
            return;
        fresh.forEach(({ channel }) => this.known.add(channel));
        this.listener.wants = [...this.known].map((channel): Want => ({ channel, from: 0 }));
        this.newsAt ||= performance.now();
        settle();
    }

    // ---- asking ----

    private chosenRange() {
        return ranges.find(([name]) => name === this.range.value)!;
    }

    private ask() {
        this.askedAt = -Infinity;
    }

    private async refresh(now: number) {
        const mine = ++this.asked;
        const [, minutes] = this.chosenRange();
        const last = this.to ?? Math.floor((Date.now() - graceMs) / minuteMs) * minuteMs - minuteMs;
        const measure = this.measure.value as Measure;
        this.askedAt = now;
        this.newsAt = 0;
        this.waiting = true;
        const answer = await call('quality.history', { venue: this.venue.value, symbol: this.filter.value.trim(), measure, from: new Date(last - (minutes - 1) * minuteMs).toISOString(),
                                                       to: new Date(last).toISOString(), points: cellsMax });
        if (mine !== this.asked)
            return;
        this.waiting = false;
        this.trouble = answer.ok ? '' : answer.message;
        if (answer.ok)
            this.show(answer.data, measure);
    }

    private show(data: QualityHistoryResponse, measure: Measure) {
        // A venue's row without a symbol is of use when something was wrong in it.
        data.rows = data.rows.filter((row) => row.symbol !== '' || row.received > 0 || measure === 'silence');
        this.data = data;
        this.strips.show(data, measure);
        data.rows.forEach(({ venue }) => this.addVenue(venue));
        const known = Math.max(-1, ...data.rows.map(({ cells }) => cells.replace(/-+$/, '').length - 1));
        this.newest = known < 0 ? null : this.strips.timeOf(known) + data.step / 1e6 - minuteMs;
        this.showAxis();
        this.legend.replaceChildren(el('li', { class: 'note' }, `steps${isTime(measure) ? '' : ', of the messages'}`), ...data.steps.map((step, i) => el('li', {}, el('i', { class: `swatch heat${i}`, 'aria-hidden': 'true' }), step)),
            el('li', {}, el('i', { class: 'swatch none', 'aria-hidden': 'true' }), 'no feed'));
        this.table.name(['symbol', 'venue', headOf(measure), ...data.steps]);
        this.table.write(data.rows.map((row, i) => {
            const of = (digit: string) => count([...row.cells].filter((cell) => cell === digit).length);
            return { key: String(i), cells: [symbolOf(row), row.venue, totalOf(row, measure), ...digits.map(of), of(noFeed)] };
        }));
        this.openPending();
        this.describe();
    }

    private showAxis() {
        const cells = this.data?.rows[0]?.cells.length ?? 0;
        const step = (this.data?.step ?? 0) / 1e6;
        const [, , apart] = this.chosenRange();
        const isFirstOf = (at: number, minutes: number) => shifted(at).getTime() % (minutes * minuteMs) < step;
        const marks = [];
        for (let cell = 0; cell < cells * (1 - markRoom); cell++) {
            const at = this.strips.timeOf(cell);
            if (!isFirstOf(at, apart))
                continue;
            const mark = el('span', {}, isFirstOf(at, dayMinutes) ? day(at).slice(5) : clock(at).slice(0, 5));
            mark.style.left = `${cell / cells * 100}%`;
            marks.push(mark);
        }
        this.axis.replaceChildren(el('span', { class: 'r' }, zoneName()), el('span', { class: 'axis-marks' }, ...marks), el('span', { class: 'r' }, headOf(this.measure.value)));
    }

    // ---- a minute ----

    private describe() {
        const row = this.data?.rows[this.strips.at.row];
        if (!row || this.data === null)
            return;
        const digit = row.cells[this.strips.at.cell] ?? noFeed;
        const said = `${Minute.titleOf(row, this.strips.timeOf(this.strips.at.cell))}: ${this.measure.value} ${digit === noFeed ? 'not known, no feed' : this.data.steps[Number(digit)]}`;
        put(this.texts.cursor, said);
        if (document.activeElement === this.strips.box)
            put(this.texts.live, said);
        attribute(this.strips.box, 'aria-label', `${this.measure.value} of ${several(this.data.rows.length, 'symbol')} by ${this.data.step === minuteMs * 1e6 ? 'minute' : 'step'}; at ${said}`);
    }

    // The address asks for a minute.
    private openPending() {
        const want = this.pending;
        const row = this.data?.rows.findIndex(({ venue, symbol }) => want !== null && venue === want.venue && symbol === want.symbol) ?? -1;
        if (want === null || row < 0)
            return;
        this.pending = null;
        this.strips.at = { row, cell: this.strips.cellOf(want.ms) };
        void this.open(this.strips.at);
    }

    private openWorst(row: number) {
        const cells = this.data?.rows[row]?.cells ?? '';
        const worst = [...cells].reduce((best, cell, at) => (cell > cells[best]! ? at : best), 0);
        this.strips.at = { row, cell: worst };
        this.strips.redraw();
        this.describe();
        void this.open(this.strips.at);
    }

    private async open({ row, cell }: Place) {
        const strip = this.data?.rows[row];
        if (!strip || this.data === null)
            return;
        const from = this.strips.timeOf(cell);
        const to = from + this.data.step / 1e6 - 1;
        const measure = this.measure.value as Measure;
        remember({ of: strip.venue, at: strip.symbol, minute: `${new Date(from).toISOString().slice(0, 16)}Z` });
        const answer = await call('quality.minutes', { venue: strip.venue, symbol: strip.symbol, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: 60 });
        if (!answer.ok) {
            this.minute.say(Minute.titleOf(strip, from), `The store does not answer: ${answer.message}`);
            return;
        }
        const value = (one: QualityMinuteRow) => (measure === 'latency' ? one.latency_p99 : one[measure]);
        const worst = answer.data.rows.reduce<QualityMinuteRow | null>((best, one) => (best === null || value(one) > value(best) ? one : best), null);
        if (worst === null)
            this.minute.say(Minute.titleOf(strip, from), 'Nobody saw this minute: the house did not run, or nothing had come yet.');
        else
            this.minute.show(strip, worst, answer.data.rows.length > 1 ? `The worst of ${several(answer.data.rows.length, 'minute')}.` : 'By market time, the venue’s clock.');
    }

    private toggle() {
        const toTable = this.tableBox.hidden;
        hide(this.tableBox, !toTable);
        hide(this.strips.box, toTable);
        attribute(this.twin, 'aria-pressed', String(toTable));
        remember({ table: toTable ? '1' : null });
        this.strips.redraw();
    }

    private paint(now: number) {
        const isDue = now - this.askedAt >= idleMs || (this.newsAt !== 0 && now - this.askedAt >= refreshMs);
        if (isDue && !this.waiting && house.status?.link === 'open')
            void this.refresh(now);
        this.strips.paint();
        put(this.texts.note, this.noteOf(now));
    }

    private noteOf(now: number): string {
        if (isDown())
            return 'There is no connection to the house.';
        if (this.trouble !== '')
            return `The store does not answer: ${this.trouble}`;
        if (this.data === null)
            return now - this.openedAt > skeletonMs ? `Reading ${count(this.chosenRange()[1])} minutes of each symbol …` : '';
        if (this.data.rows.length === 0)
            return this.filter.value !== '' || this.venue.value !== '' ? 'No symbol is like that.' : 'No minutes yet. The first one appears here when it is over.';
        return `${several(this.data.rows.length, 'row')}${this.data.complete ? '' : ', and more: search for a part of the symbol'}`;
    }
}

export const open: OpenPage = (box, route) => new Quality(box, route);
