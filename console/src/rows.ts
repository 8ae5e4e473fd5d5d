// Rows that keys can walk through: one stop for Tab, ↑ ↓ PgUp PgDn Home End inside, Enter opens.

const pageRows = 10;
const marginRows = 2;
const wholeMs = 1000;

export function walkRows(body: HTMLElement, open: (row: HTMLElement) => void) {
    const rows = () => [...body.children].filter((row) => !(row as HTMLElement).hidden) as HTMLElement[];
    const enter = () => rows().forEach((row, i) => { row.tabIndex = i === 0 ? 0 : -1; });
    body.addEventListener('click', (event) => {
        const row = (event.target as Element).closest('tr');
        if (row && body.contains(row) && row.tabIndex >= -1 && row.dataset['open'] !== undefined)
            open(row);
    });
    body.addEventListener('keydown', (event) => {
        const list = rows();
        const at = list.indexOf(document.activeElement as HTMLElement);
        const next = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + pageRows, PageUp: at - pageRows, Home: 0, End: list.length - 1 }[event.key];
        if (at < 0)
            return;
        if (event.key === 'Enter') {
            open(list[at]!);
        } else if (next !== undefined) {
            list[at]!.tabIndex = -1;
            const row = list[Math.max(0, Math.min(list.length - 1, next))]!;
            row.tabIndex = 0;
            row.focus();
        } else {
            return;
        }
        event.preventDefault();
        event.stopPropagation();
    });
    return enter;
}

// Which rows of a list of equal rows can be seen, known without reading layout. The others are written once a second: to shape text
// that nobody sees is most of what a fast list costs.
export class Sight {
    private first = 0;
    private last = 0;
    private wholeAt = -wholeMs;
    private behind = false; // rows out of sight have not been written

    constructor(scroller: HTMLElement, rowPx: number) {
        const look = () => {
            this.first = scroller.scrollTop / rowPx - marginRows;
            this.last = (scroller.scrollTop + scroller.clientHeight) / rowPx + marginRows;
            this.wholeAt = -wholeMs;
        };
        scroller.addEventListener('scroll', look, { passive: true });
        new ResizeObserver(look).observe(scroller);
    }

    // What is written now: `true`, all rows; `false`, those in sight; null, none. `dirty`: there is something new.
    begin(now: number, dirty: boolean): boolean | null {
        const whole = now - this.wholeAt >= wholeMs;
        if (!dirty && !(whole && this.behind))
            return null;
        this.behind = !whole;
        if (whole)
            this.wholeAt = now;
        return whole;
    }

    sees(row: number): boolean {
        return row >= this.first && row <= this.last;
    }
}
