// A result of many rows: fixed row height, only those in view are in the page.
import { el } from '../dom';
import { decimal } from '../text';

const rowPx = 24;
const spare = 10;
const widthMax = 48; // ch

export type CellText = string | number | null;

const numeric = /^-?\d+(\.\d+)?$/;

export class Grid {
    readonly box: HTMLElement;

    constructor(caption: string, columns: { name: string; type: string }[], rows: CellText[][]) {
        const right = columns.map((_, i) => rows.length > 0 && rows.every((row) => row[i] === null || numeric.test(String(row[i]))));
        const shown = (value: CellText, i: number) => (value === null ? 'null' : right[i] ? decimal(String(value)) : String(value));
        const widths = columns.map((column, i) => Math.min(widthMax, rows.reduce((most, row) => Math.max(most, shown(row[i] ?? null, i).length), Math.max(column.name.length, column.type.length)) + 3));
        const body = el('tbody');
        const above = el('tr', { 'aria-hidden': 'true', class: 'spacer' }, el('td', { colspan: columns.length }));
        const below = el('tr', { 'aria-hidden': 'true', class: 'spacer' }, el('td', { colspan: columns.length }));
        const heads = columns.map((column, i) => {
            const head = el('th', { scope: 'col', class: right[i] ? 'r' : '' }, column.name, ' ', el('span', { class: 'note' }, column.type));
            head.style.width = `${widths[i]}ch`;
            return head;
        });
        const table = el('table', { class: 'grid-table', 'aria-rowcount': rows.length + 1 }, el('caption', { class: 'hidden' }, caption), el('thead', {}, el('tr', {}, ...heads)), body);
        table.style.width = `${widths.reduce((a, b) => a + b, 0)}ch`;
        this.box = el('div', { class: 'rows grid', tabindex: 0, role: 'region', 'aria-label': caption }, table);
        let from = -1;
        const fill = () => {
            const first = Math.max(0, Math.floor(this.box.scrollTop / rowPx) - spare);
            const visible = Math.ceil((this.box.clientHeight || 600) / rowPx) + 2 * spare;
            if (first === from)
                return;
            from = first;
            const part = rows.slice(first, first + visible);
            (above.firstElementChild as HTMLElement).style.height = `${first * rowPx}px`;
            (below.firstElementChild as HTMLElement).style.height = `${Math.max(0, rows.length - first - part.length) * rowPx}px`;
            body.replaceChildren(above, ...part.map((row, at) => el('tr', { 'aria-rowindex': first + at + 2 }, ...columns.map((_, i) => {
                const value = row[i] ?? null;
                const cell = shown(value, i);
                return el('td', { class: `num ${right[i] ? 'r' : ''} ${value === null ? 'null' : ''}`, title: cell.length > widths[i]! - 3 ? cell : undefined }, cell);
            }))), below);
        };
        this.box.addEventListener('scroll', () => requestAnimationFrame(fill), { passive: true });
        fill();
    }
}

export function csv(columns: { name: string }[], rows: CellText[][]): string {
    const cell = (value: CellText) => (value === null ? '' : /[",\n\r]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value));
    return [columns.map(({ name }) => cell(name)), ...rows.map((row) => row.map(cell))].map((row) => row.join(',')).join('\n') + '\n';
}
