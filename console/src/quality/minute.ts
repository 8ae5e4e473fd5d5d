// What is known of one minute of one symbol: all that was counted, and where its trades and what followed can be seen.
import { attribute, el, put, text } from '../dom';
import { copyButton } from '../copy';
import { facts } from '../evidence';
import { marketPath } from '../route';
import { clock, count, day, span, zoneName } from '../text';
import type { QualityMinuteRow, QualityStripRow } from '../wire';
import { symbolOf } from './strips';

const minuteMs = 60000;
const second = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

function literal(value: string): string {
    return `'${value.replace(/'/g, `''`)}'`;
}

function figures(row: QualityMinuteRow): [string, string][] {
    const latency = (ns: number) => row.timed === 0 ? '–' : span(ns / 1e6);
    return [['received', count(row.received)], ['invalid', count(row.invalid)], ['repeated', count(row.repeated)], ['reordered', count(row.reordered)], ['missing', count(row.missing)],
            ['repaired', count(row.repaired)], ['suspect', count(row.suspect)], ['silence', row.silence === 0 ? '0 s' : span(row.silence / 1e6)],
            [row.timed > 0 && row.latency_p50 < 0 ? 'clock skew p50' : 'latency p50', latency(row.latency_p50)], ['p99', latency(row.latency_p99)], ['max', latency(row.latency_max)],
            ['revision', row.revision > 1 ? `${row.revision}, changed` : '1']];
}

export class Minute {
    readonly box: HTMLElement;
    private title = text('No minute is chosen');
    private note = text('Choose a cell, by ← → ↑ ↓ and ⏎ or with a click.');
    private body = el('div', { class: 'minute-body' });
    private written = '';
    private copied = copyButton(() => this.written, 'copy');

    constructor() {
        attribute(this.copied, 'hidden', '');
        this.box = el('section', { class: 'panel minute', 'aria-label': 'A minute' }, el('div', { class: 'head' }, el('h2', { class: 'num' }, this.title), el('span', { class: 'grow' }), this.copied),
            el('p', { class: 'note', role: 'status' }, this.note), this.body);
    }

    say(title: string, note: string) {
        put(this.title, title);
        put(this.note, note);
        attribute(this.copied, 'hidden', '');
        this.body.replaceChildren();
    }

    static titleOf(strip: QualityStripRow, ms: number): string {
        return `${symbolOf(strip)} · ${strip.venue} · ${day(ms)} ${clock(ms).slice(0, 5)} ${zoneName(ms)}`;
    }

    show(strip: QualityStripRow, row: QualityMinuteRow, note: string) {
        const from = Date.parse(row.minute);
        const where = `venue = ${literal(strip.venue)} and symbol = ${literal(strip.symbol)}`;
        const sql = (query: string) => `/data?sql=${encodeURIComponent(query)}`;
        const link = (href: string, label: string) => el('a', { href, 'data-page': '' }, label);
        this.say(Minute.titleOf(strip, from), note);
        this.written = `${Minute.titleOf(strip, from)}: ${figures(row).map(([name, value]) => `${name} ${value}`).join(', ')}`;
        this.copied.hidden = false;
        this.body.append(facts(figures(row)));
        if (strip.symbol === '')
            return;
        this.body.append(el('p', { class: 'links' },
            link(`${marketPath(strip.venue, strip.symbol)}?as_of=${encodeURIComponent(second(Math.min(from + minuteMs, Date.now())))}`, `→ chart of ${clock(from).slice(0, 5)}`),
            link(sql(`select * from trades where ${where} and venue_time between ${from}000000 and ${from + minuteMs - 1}999999 order by venue_time limit 1000`), '→ the trades of that minute'),
            link(sql(`select * from trades where ${where} and source = 'rest' and venue_time between ${from}000000 and ${from + minuteMs - 1}999999 order by venue_time limit 1000`),
                 `→ those that REST gave: ${count(row.repaired)}`),
            link(sql(`select * from corrections where ${where} and mark_to >= ${from}000000 and mark_from <= ${from + minuteMs}000000 + "window" order by time limit 1000`), '→ corrections that followed')));
    }
}
