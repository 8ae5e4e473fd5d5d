// Channels: what is being said right now, and does resume really work.
import { attribute, el, hide, put, text } from '../dom';
import { showEvent } from '../evidence';
import { everyFrame, rank } from '../frame';
import { cut, house, leave, listen, resume, settle, sift, type Listener } from '../house';
import type { OpenPage, Page } from '../page';
import { remember, type Route } from '../route';
import { walkRows } from '../rows';
import { clockOf, count, raw, several, span, zoneName } from '../text';
import type { HouseEvent, Start, Want } from '../wire';
import { compile } from '../where';

const heardMax = 50; // channels that one page hears at a time
const ringMax = 2000;
const rowCount = 60;
const rowsMs = 100;
const factsMs = 250;
const typedMs = 300;
const firstPattern = 'trades.>';
// Where to begin; null: what was typed is no such place.
const starts: Record<string, (typed: string) => Start | null> = {
    live: () => 0, '10 events': () => 10, '1,000 events': () => 1000, '1 minute': () => new Date(Date.now() - 60000).toISOString(),
    '10 minutes': () => new Date(Date.now() - 600000).toISOString(),
    offset: (typed) => (/^[1-9]\d{0,14}$/.test(typed) ? { offset: Number(typed) } : null),
    time: (typed) => (/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z?$/.test(typed) ? `${typed.replace(' ', 'T').replace('Z', '').padEnd(19, ':00')}Z` : null),
};
const examples: Record<string, string> = { offset: '4712', time: '2026-11-21 09:47:21' };

interface Row { row: HTMLElement; channel: Text; offset: Text; time: Text; data: Text; event: HouseEvent | null }

// Tokens of a pattern: * stands for one, a last > for the rest.
function matches(pattern: string, channel: string): boolean {
    const wanted = pattern.split('.');
    const there = channel.split('.');
    if (wanted[wanted.length - 1] === '>')
        return there.length >= wanted.length && wanted.slice(0, -1).every((token, i) => token === '*' || token === there[i]);
    return wanted.length === there.length && wanted.every((token, i) => token === '*' || token === there[i]);
}

// What an event says, in a line: its main figures as received, or all of it.
function line({ kind, data, skipped }: HouseEvent): string {
    const before = skipped > 0 ? `+${count(skipped)} skipped  ` : '';
    if (data === null)
        return `${before}unreadable here`;
    if (kind === 'trade' || kind === 'tick')
        return `${before}${data.price} × ${data.quantity} ${data.side}${data.suspect ? ' ⚠ suspect' : ''}${data.validated ? ' ✓' : ''}`;
    if (kind === 'vwap')
        return `${before}${data.price} of ${several(data.trades, 'trade')}${data.validated ? ' ✓' : ''}${data.complete ? '' : ' ⚠ incomplete'}`;
    if (kind === 'correction')
        return `${before}${data.old_price} → ${data.new_price} r${data.revision} ${data.cause}`;
    return before + JSON.stringify(data);
}

class Channels implements Page {
    title = 'Channels';
    keys: Page['keys'];
    filter: HTMLInputElement;
    private listener: Listener;
    private stops: (() => void)[];
    private pattern: HTMLInputElement;
    private from: HTMLSelectElement;
    private at = el('input', { type: 'text', id: 'at', spellcheck: 'false', autocomplete: 'off', 'aria-describedby': 'where-error', input: () => this.typed() });
    private atField = el('div', { class: 'field' }, el('label', { for: 'at' }, 'At, UTC'), this.at);
    private start: Start = 0;
    private matching: string[] = [];
    private muted = new Set<string>();
    private ring: HouseEvent[] = [];
    private rows: Row[] = [];
    private dirty = true;
    private paused = false;
    private timer = 0;
    private pauseButton = el('button', { type: 'button', 'aria-pressed': 'false', 'aria-keyshortcuts': 'p', click: () => this.pause() }, 'Pause');
    private list = el('ul', { class: 'channel-list' });
    private whereError = el('p', { class: 'field-error', id: 'where-error', role: 'status' });
    private texts = { heard: text(), sifted: text(), resume: text(), counts: text(), zone: text('UTC') };
    private cutButton = el('button', { type: 'button', click: () => cut() }, 'Cut my connection');
    private resumeButton = el('button', { type: 'button', disabled: true, click: () => resume() }, 'Resume');

    constructor(box: HTMLElement, route: Route) {
        this.pattern = el('input', { type: 'text', id: 'pattern', value: route.query.get('pattern') ?? firstPattern, spellcheck: 'false', autocomplete: 'off',
                                     'aria-describedby': 'pattern-help', input: () => this.typed() });
        this.filter = el('input', { type: 'text', id: 'where', value: route.query.get('where') ?? '', spellcheck: 'false', autocomplete: 'off',
                                    placeholder: 'price > 65000 and side = sell', 'aria-describedby': 'where-error', input: () => this.typed() });
        this.from = el('select', { id: 'from', change: () => this.begin() }, ...Object.keys(starts).map((name) => new Option(name, name, false, name === (route.query.get('from') ?? 'live'))));
        this.at.value = route.query.get('at') ?? '';
        this.build(box);
        this.keys = [
            { keys: 'p', text: 'pause the display; intake goes on', run: () => this.pause() },
        ];
        this.listener = { wants: [], patterns: [this.patternNow()], onEvent: (event) => this.onEvent(event), onChannels: () => this.onChannels() };
        listen(this.listener);
        this.begin();
        this.stops = [everyFrame(rowsMs, rank.tape, () => this.paint(), true), everyFrame(factsMs, rank.rest, () => this.paintFacts())];
    }

    leave() {
        this.stops.forEach((stop) => stop());
        clearTimeout(this.timer);
        leave(this.listener);
        if (house.status?.link === 'cut')
            resume();
    }

    uses() {
        return { channels: this.listener.wants.map((want) => want.channel), actions: ['channels'] };
    }

    private build(box: HTMLElement) {
        const { texts } = this;
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
        box.append(
            el('h1', { class: 'hidden' }, 'Channels'),
            el('section', { class: 'panel controls', 'aria-label': 'What is heard' },
               el('div', { class: 'field grow' }, el('label', { for: 'pattern' }, 'Pattern'), this.pattern),
               el('div', { class: 'field' }, el('label', { for: 'from' }, 'From'), this.from), this.atField,
               el('div', { class: 'field grow' }, el('label', { for: 'where' }, 'Where'), this.filter),
               this.pauseButton,
               el('p', { class: 'note', id: 'pattern-help' }, '* is one token, a last > the rest. Where: field, one of = != > >= < <= ~, value; joined by and, or.'),
               this.whereError),
            el('section', { class: 'panel heard', 'aria-label': 'Channels heard' },
               el('div', { class: 'head' }, el('h2', {}, 'Channels'), el('span', { class: 'note num' }, texts.heard)), this.list),
            el('section', { class: 'panel events', 'aria-label': 'Events' },
               el('div', { class: 'head' }, el('h2', {}, 'Events'), el('span', { class: 'note num' }, texts.sifted)),
               el('div', { class: 'rows', tabindex: 0, role: 'region', 'aria-label': 'Events, newest first' }, el('table', {},
                  el('caption', { class: 'hidden' }, 'Events, newest first'),
                  el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'published ', texts.zone), el('th', { scope: 'col' }, 'channel'), el('th', { scope: 'col', class: 'r' }, 'offset'),
                     el('th', { scope: 'col', class: 'wide-cell' }, 'data'))),
                  body))),
            el('section', { class: 'panel resume', 'aria-label': 'Resume demonstration' },
               el('div', { class: 'head' }, el('h2', {}, 'Does resume work?'), this.cutButton, this.resumeButton),
               el('p', { class: 'num' }, texts.resume), el('p', { class: 'num', id: 'resume-counts' }, texts.counts)));
    }

    private row(): Row {
        const made = { channel: text(), offset: text(), time: text(), data: text() };
        const row = el('tr', { 'data-open': '', tabindex: -1 }, el('td', { class: 'num' }, made.time), el('td', { class: 'num' }, made.channel), el('td', { class: 'num r' }, made.offset),
                       el('td', { class: 'num wide-cell' }, made.data));
        row.hidden = true;
        return { ...made, row, event: null };
    }

    private patternNow(): string {
        return this.pattern.value.trim() || '>';
    }

    private typed() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.begin(), typedMs) as unknown as number;
    }

    private begin() {
        const where = this.filter.value.trim();
        let wrong = '';
        try {
            compile(where);
        } catch (error) {
            wrong = `where: ${(error as Error).message}`;
        }
        const start = starts[this.from.value]!(this.at.value.trim());
        const example = examples[this.from.value];
        hide(this.atField, example === undefined);
        attribute(this.at, 'placeholder', example ?? null);
        attribute(this.filter, 'aria-invalid', wrong === '' ? null : 'true');
        attribute(this.at, 'aria-invalid', start === null && this.at.value !== '' ? 'true' : null);
        if (start === null && wrong === '')
            wrong = this.at.value === '' ? '' : `from: “${this.at.value}” is no ${this.from.value}. As in: ${example}`;
        this.whereError.textContent = wrong;
        if (wrong !== '' || start === null)
            return;
        this.start = start;
        remember({ at: example === undefined ? null : this.at.value, pattern: this.patternNow() === firstPattern ? null : this.patternNow(), where, from: this.from.value === 'live' ? null : this.from.value });
        this.ring = [];
        this.dirty = true;
        this.matching = [];
        this.listener.wants = [];
        this.listener.patterns = [this.patternNow()];
        settle();
        sift(where);
        this.onChannels();
    }

    private onChannels() {
        const names = [...house.channels.keys()].filter((name) => matches(this.patternNow(), name)).sort();
        if (names.join('\n') === this.matching.join('\n'))
            return;
        this.matching = names;
        this.hear();
        this.list.replaceChildren(...names.slice(0, heardMax).map((name) => {
            const input = el('input', { type: 'checkbox', change: () => {
                if (input.checked)
                    this.muted.delete(name);
                else
                    this.muted.add(name);
                this.hear();
            } });
            input.checked = !this.muted.has(name);
            return el('li', {}, el('label', { class: 'check num' }, input, raw(name)));
        }));
        if (names.length > heardMax)
            this.list.append(el('li', { class: 'note' }, `and ${count(names.length - heardMax)} more: a narrower pattern hears them`));
    }

    private hear() {
        const before = new Map(this.listener.wants.map((want) => [want.channel, want]));
        this.listener.wants = this.matching.slice(0, heardMax).filter((name) => !this.muted.has(name))
            .map((channel): Want => before.get(channel) ?? { channel, from: this.start, sifted: true });
        settle();
    }

    private pause() {
        this.paused = !this.paused;
        attribute(this.pauseButton, 'aria-pressed', String(this.paused));
        this.pauseButton.textContent = this.paused ? 'Go on' : 'Pause';
    }

    private onEvent(event: HouseEvent) {
        this.ring.push(event);
        if (this.ring.length > ringMax)
            this.ring.splice(0, ringMax / 2);
        this.dirty = true;
    }

    private paint() {
        if (!this.dirty || this.paused)
            return;
        this.dirty = false;
        put(this.texts.zone, zoneName());
        const newest = this.ring.slice(-rowCount * 8).sort((a, b) => b.publish_time.localeCompare(a.publish_time) || b.offset - a.offset);
        this.rows.forEach((row, i) => {
            const event = newest[i] ?? null;
            row.event = event;
            row.row.hidden = event === null;
            if (!event)
                return;
            put(row.time, clockOf(event.publish_time, 6));
            put(row.channel, event.channel);
            put(row.offset, count(event.offset));
            put(row.data, line(event));
        });
    }

    private paintFacts() {
        const status = house.status;
        const heard = this.listener.wants.length;
        put(this.texts.heard, `${count(heard)} of ${several(this.matching.length, 'channel')} heard`);
        if (!status)
            return;
        const { seen, passed } = status.sifted;
        const filtered = this.filter.value.trim() !== '';
        put(this.texts.sifted, seen === 0 ? (heard === 0 ? 'No channel matches yet.' : 'Waiting for the first event …')
            : filtered ? `${count(passed)} of ${count(seen)} match` : several(seen, 'event'));
        this.paintResume();
    }

    private paintResume() {
        const status = house.status!;
        const place = this.ring[this.ring.length - 1];
        const at = place ? ` Newest here: ${place.channel} at ${place.epoch}/${count(place.offset)}.` : '';
        const isCut = status.link === 'cut';
        const { resumed } = status;
        this.cutButton.disabled = isCut || status.link !== 'open' || this.listener.wants.length === 0;
        this.resumeButton.disabled = !isCut;
        if (isCut)
            put(this.texts.resume, `Cut. This page remembers epoch and offset of ${several(this.listener.wants.length, 'channel')}; the house goes on without it.${at}`);
        else if (resumed)
            put(this.texts.resume, `Asked to go on behind ${resumed.from || 'where it was'}${resumed.live ? ` and is live at ${count(resumed.to)}, after ${span(resumed.ms)}` : ' …'}`);
        else
            put(this.texts.resume, `Cut the connection, wait, and resume: what was missed comes from the log, nothing twice.${at}`);
        put(this.texts.counts, resumed && !isCut ? `expected ${count(resumed.expected)} · received ${count(resumed.received)} · repeated ${count(resumed.repeated)} · missing ${count(resumed.missing)}` +
            `${resumed.live ? resumed.missing === 0 && resumed.repeated === 0 ? ' · recovered ✓' : ' · not recovered ✕' : ''}` : '');
    }
}

export const open: OpenPage = (box, route) => new Channels(box, route);
