// Tables whose rows are kept and written again: same key, same row.
import { attribute, el, put, text } from './dom';

export interface Column { head: string; right?: boolean; width: number } // width in ch: what comes later moves nothing
export interface CellValue { text: string; className?: string; title?: string }

export class LiveTable {
    readonly table: HTMLTableElement;
    readonly body = el('tbody');
    private heads: Text[];
    private rows = new Map<string, { row: HTMLTableRowElement; cells: Text[]; boxes: HTMLElement[] }>();

    constructor(caption: string, private columns: Column[], private opens = false) {
        this.heads = columns.map((column) => text(column.head));
        const heads = columns.map((column, i) => {
            const head = el('th', { scope: 'col', class: column.right ? 'r' : '' }, this.heads[i]!);
            head.style.width = `${column.width}ch`;
            return head;
        });
        this.table = el('table', { class: 'fixed' }, el('caption', { class: 'hidden' }, caption), el('thead', {}, el('tr', {}, ...heads)), this.body);
        this.table.style.minWidth = `${columns.reduce((sum, column) => sum + column.width, 0)}ch`;
    }

    // Heads that follow what is shown.
    name(heads: string[]) {
        heads.forEach((head, i) => put(this.heads[i]!, head));
    }

    private row(key: string) {
        const there = this.rows.get(key);
        if (there)
            return there;
        const cells = this.columns.map(() => text());
        const boxes = this.columns.map((column, i) => el(i === 0 ? 'th' : 'td', { class: column.right ? 'r num' : '', scope: i === 0 ? 'row' : undefined }, cells[i]!));
        const row = el('tr', { 'data-key': key, 'data-open': this.opens ? '' : undefined, tabindex: this.opens ? -1 : undefined }, ...boxes);
        const made = { row, cells, boxes };
        this.rows.set(key, made);
        return made;
    }

    write(list: { key: string; cells: (string | CellValue)[] }[]) {
        const keys = new Set(list.map(({ key }) => key));
        for (const [key, { row }] of this.rows)
            if (!keys.has(key)) {
                row.remove();
                this.rows.delete(key);
            }
        list.forEach(({ key, cells }, i) => {
            const made = this.row(key);
            cells.forEach((value, at) => {
                const cell = typeof value === 'string' ? { text: value } : value;
                const column = this.columns[at]!;
                put(made.cells[at]!, cell.text);
                attribute(made.boxes[at]!, 'class', `${column.right ? 'r num ' : ''}${cell.className ?? ''}`.trim());
                attribute(made.boxes[at]!, 'title', cell.title ?? null);
            });
            if (this.body.children[i] !== made.row)
                this.body.insertBefore(made.row, this.body.children[i] ?? null);
        });
        if (this.opens && !this.body.querySelector('[tabindex="0"]') && this.body.firstElementChild)
            (this.body.firstElementChild as HTMLElement).tabIndex = 0;
    }
}
