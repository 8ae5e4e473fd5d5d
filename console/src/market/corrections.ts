// Corrections of one symbol: kept, listed in the drawer, each with its evidence.
import { el } from '../dom';
import { closeDrawer, openDrawer } from '../drawer';
import { showEvent } from '../evidence';
import { walkRows } from '../rows';
import { clock, count, decimal, ms, raw, several, windowSeconds, zoneName } from '../text';
import type { Correction, HouseEvent } from '../wire';

const keptMax = 400;
const shownMax = 100;

export class Corrections {
    count = 0;
    private kept: HouseEvent[] = [];
    private shown: HTMLElement | null = null;
    private dirty = false;

    constructor(private priceScale: () => number) {}

    add(event: HouseEvent) {
        this.count++;
        this.kept.push(event);
        this.dirty = true;
        if (this.kept.length > keptMax)
            this.kept = this.newest(keptMax / 2);
    }

    // Channels are replayed one after the other, so the newest are found by their mark.
    private newest(n: number): HouseEvent[] {
        const at = (event: HouseEvent) => (event.data as Correction).mark_to;
        return [...this.kept].sort((a, b) => at(b).localeCompare(at(a)) || windowSeconds(a.channel.split('.')[1]!) - windowSeconds(b.channel.split('.')[1]!)).slice(0, n);
    }

    private row(event: HouseEvent): HTMLElement {
        const data = event.data as Correction;
        const range = data.mark_from !== data.mark_to;
        const at = range ? `${clock(ms(data.mark_from))}–${clock(ms(data.mark_to))}` : clock(ms(data.mark_to));
        const price = (value: string) => (range ? '–' : decimal(value, this.priceScale()));
        return el('tr', { 'data-open': '', tabindex: -1 }, el('td', { class: 'num' }, at), el('td', {}, raw(event.channel.split('.')[1]!)),
            el('td', { class: 'r num' }, price(data.old_price)), el('td', {}, '→'), el('td', { class: 'r num' }, price(data.new_price)),
            el('td', { class: 'num' }, range ? 'each +1' : `r${data.revision}`), el('td', {}, data.cause), el('td', { class: 'r num' }, count(data.trade_count)));
    }

    open() {
        const body = el('tbody');
        const open = new Map<HTMLElement, HouseEvent>();
        const fill = () => {
            const list = this.newest(shownMax);
            open.clear();
            body.replaceChildren(...list.map((event) => {
                const row = this.row(event);
                open.set(row, event);
                return row;
            }));
            if (list.length === 0)
                body.append(el('tr', {}, el('td', { colspan: 8, class: 'note' }, 'None so far: every mark that REST has confirmed kept its value.')));
        };
        fill();
        const enter = walkRows(body, (row) => {
            const event = open.get(row);
            if (event)
                showEvent(event);
        });
        enter();
        this.shown = body;
        this.dirty = false;
        openDrawer('Corrections', [
            el('p', { class: 'note' }, `Marks whose value changed after it was published, newest first: ${several(this.count, 'correction')} heard since this page was opened and its past was read. Enter shows the evidence.`),
            el('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of corrections' }, el('table', {},
                el('caption', { class: 'hidden' }, 'Corrections, newest first'),
                el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, `mark ${zoneName()}`), el('th', { scope: 'col' }, 'window'), el('th', { scope: 'col', class: 'r' }, 'old'),
                   el('th', { scope: 'col' }, el('span', { class: 'hidden' }, 'became')), el('th', { scope: 'col', class: 'r' }, 'new'), el('th', { scope: 'col' }, 'revision'),
                   el('th', { scope: 'col' }, 'cause'), el('th', { scope: 'col', class: 'r' }, 'trades'))),
                body)),
        ], () => { this.shown = null; });
    }

    // An open list is filled again when something came, unless somebody walks through it.
    paint() {
        if (!this.dirty || !this.shown || this.shown.contains(document.activeElement) || this.shown.matches(':hover'))
            return;
        this.open();
    }

    close() {
        if (this.shown)
            closeDrawer();
    }
}
