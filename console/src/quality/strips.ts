// Heat strips: a row per symbol, a cell per step of time, and a cursor that keys move. Canvas for the cells; the page has their
// table twin.
import { attribute, el, put, text } from '../dom';
import { count, span } from '../text';
import type { QualityHistoryResponse, QualityStripRow } from '../wire';

export const noFeed = '-';

export interface Place { row: number; cell: number }

const dotPx = 2;
const dotsApartPx = 8;
const hatchPx = 4;
const namesOfSteps = ['heat0', 'heat1', 'heat2', 'heat3', 'heat4'];

interface Line { box: HTMLElement; canvas: HTMLCanvasElement; name: Text; venue: Text; total: Text }

export function symbolOf(row: QualityStripRow): string {
    return row.symbol === '' ? 'no symbol' : row.symbol;
}

export function isTime(measure: string): boolean {
    return measure === 'silence' || measure === 'latency';
}

// What totalOf() says, in words.
export function headOf(measure: string): string {
    return measure === 'latency' ? 'greatest' : isTime(measure) ? 'in all' : `${measure} / received`;
}

export function totalOf(row: QualityStripRow, measure: string): string {
    return isTime(measure) ? (row.total === 0 ? '0 s' : span(row.total / 1e6)) : `${count(row.total)} / ${count(row.received)}`;
}

export class Strips {
    readonly box: HTMLElement;
    at: Place = { row: 0, cell: 0 };
    data: QualityHistoryResponse | null = null;
    measure = 'missing';
    private lines: Line[] = [];
    private list = el('div', { class: 'strip-list' });
    private dirty = false;
    private width = 0;

    constructor(axis: HTMLElement, private opens: (at: Place) => void, private moved: () => void) {
        this.box = el('div', { class: 'strips', role: 'group', tabindex: 0, 'aria-label': 'Quality by minute', keydown: (event: KeyboardEvent) => this.onKey(event) }, axis, this.list);
        new ResizeObserver(() => { this.dirty = true; }).observe(this.list);
        this.list.addEventListener('click', (event) => this.onClick(event));
    }

    redraw() {
        this.dirty = true;
    }

    show(data: QualityHistoryResponse, measure: string) {
        const symbol = this.data?.rows[this.at.row];
        const time = this.timeOf(this.at.cell);
        const cells = data.rows[0]?.cells.length ?? 0;
        this.data = data;
        this.measure = measure;
        this.at = { row: Math.max(0, data.rows.findIndex((row) => row.venue === symbol?.venue && row.symbol === symbol?.symbol)),
                    cell: symbol === undefined ? cells - 1 : this.cellOf(time) };
        while (this.lines.length > data.rows.length)
            this.lines.pop()!.box.remove();
        while (this.lines.length < data.rows.length)
            this.add();
        data.rows.forEach((row, i) => {
            const line = this.lines[i]!;
            put(line.name, symbolOf(row));
            put(line.venue, row.venue);
            put(line.total, totalOf(row, measure));
            attribute(line.box, 'data-total', String(row.total));
        });
        this.dirty = true;
    }

    // ms of the start of a cell, and the cell of a time, within the strip.
    timeOf(cell: number): number {
        return this.data === null ? 0 : Date.parse(this.data.start) + cell * this.data.step / 1e6;
    }

    cellOf(ms: number): number {
        const cells = this.data?.rows[0]?.cells.length ?? 0;
        return this.data === null ? 0 : Math.max(0, Math.min(cells - 1, Math.floor((ms - Date.parse(this.data.start)) / (this.data.step / 1e6))));
    }

    private add() {
        const [name, venue, total] = [text(), text(), text()];
        const canvas = el('canvas', { 'aria-hidden': 'true' });
        const box = el('div', { class: 'strip' }, el('span', { class: 'strip-name num' }, name, ' ', el('span', { class: 'note' }, venue)), canvas, el('span', { class: 'strip-total num' }, total));
        this.lines.push({ box, canvas, name, venue, total });
        this.list.append(box);
    }

    private move(row: number, cell: number) {
        const rows = this.data?.rows ?? [];
        if (rows.length === 0)
            return;
        this.at = { row: Math.max(0, Math.min(rows.length - 1, row)), cell: Math.max(0, Math.min(rows[0]!.cells.length - 1, cell)) };
        this.lines[this.at.row]!.box.scrollIntoView({ block: 'nearest' });
        this.dirty = true;
        this.moved();
    }

    private onKey(event: KeyboardEvent) {
        const { row, cell } = this.at;
        const last = (this.data?.rows[0]?.cells.length ?? 1) - 1;
        const to = { ArrowLeft: [row, cell - 1], ArrowRight: [row, cell + 1], ArrowUp: [row - 1, cell], ArrowDown: [row + 1, cell], PageUp: [row, cell - 60], PageDown: [row, cell + 60],
                     Home: [row, 0], End: [row, last] }[event.key];
        if (event.key === 'Enter')
            this.opens(this.at);
        else if (to !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey)
            this.move(to[0]!, to[1]!);
        else
            return;
        event.preventDefault();
    }

    private onClick(event: MouseEvent) {
        const row = this.lines.findIndex(({ box }) => box.contains(event.target as Node));
        const canvas = this.lines[row]?.canvas;
        if (!canvas || this.data === null)
            return;
        const { left, width } = canvas.getBoundingClientRect();
        const cells = this.data.rows[row]!.cells.length;
        this.move(row, event.target === canvas ? Math.floor((event.clientX - left) / width * cells) : this.at.cell);
        this.opens(this.at);
    }

    // At most once a second, and only when something has changed. All widths are read before anything is written.
    paint() {
        if (!this.dirty || this.lines.length === 0)
            return;
        this.dirty = false;
        this.width = this.lines[0]!.canvas.clientWidth;
        if (this.width === 0)
            return;
        const style = getComputedStyle(document.documentElement);
        const colours = [...namesOfSteps, 'text3', 'panel', 'accent'].map((name) => style.getPropertyValue(`--${name}`));
        const height = this.lines[0]!.canvas.clientHeight;
        this.lines.forEach((line, row) => this.draw(line.canvas, this.data!.rows[row]!.cells, colours, height, row === this.at.row ? this.at.cell : null));
    }

    private draw(canvas: HTMLCanvasElement, cells: string, colours: string[], height: number, cursor: number | null) {
        const ratio = devicePixelRatio;
        const width = this.width;
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
        const draw = canvas.getContext('2d')!;
        const [hatch, ground, accent] = colours.slice(namesOfSteps.length) as [string, string, string, string];
        const x = (cell: number) => Math.round(cell / cells.length * canvas.width) / ratio; // whole pixels: nothing is blended
        draw.scale(ratio, ratio);
        draw.fillStyle = ground;
        draw.fillRect(0, 0, width, height);
        // Runs of cells that look alike; what is worse is drawn later, so that one bad minute of a day is at least a pixel.
        for (const wanted of [noFeed, '0', '1', '2', '3', '4'])
            for (let from = 0; from < cells.length; from++) {
                if (cells[from] !== wanted)
                    continue;
                let to = from + 1;
                while (cells[to] === wanted)
                    to++;
                const span = Math.max(x(to) - x(from), 1);
                if (wanted === noFeed)
                    this.hatch(draw, x(from), span, height, hatch);
                else
                    this.fill(draw, x(from), span, height, Number(wanted), colours, ground);
                from = to;
            }
        if (cursor === null)
            return;
        draw.strokeStyle = accent;
        draw.lineWidth = 2;
        draw.strokeRect(Math.min(Math.max(x(cursor) - 2, 1), width - 5), 1, Math.max(x(cursor + 1) - x(cursor) + 4, 4), height - 2);
    }

    private hatch(draw: CanvasRenderingContext2D, left: number, width: number, height: number, colour: string) {
        draw.save();
        draw.beginPath();
        draw.rect(left, 0, width, height);
        draw.clip();
        draw.strokeStyle = colour;
        draw.lineWidth = 1;
        draw.beginPath();
        for (let at = Math.floor((left - height) / hatchPx) * hatchPx; at < left + width; at += hatchPx) {
            draw.moveTo(at, height);
            draw.lineTo(at + height, 0);
        }
        draw.stroke();
        draw.restore();
    }

    // Steps 3 and 4 are told by one and two lines of dots as well, where there is room for any.
    private fill(draw: CanvasRenderingContext2D, left: number, width: number, height: number, step: number, colours: string[], ground: string) {
        draw.fillStyle = colours[step]!;
        draw.fillRect(left, 0, width, height);
        if (step < 3 || width < dotsApartPx)
            return;
        const dots = Math.floor(width / dotsApartPx);
        draw.fillStyle = ground;
        for (const y of step === 3 ? [height / 2] : [height / 3, height * 2 / 3])
            for (let i = 0; i < dots; i++)
                draw.fillRect(left + width * (i + 0.5) / dots - dotPx / 2, y - dotPx / 2, dotPx, dotPx);
    }
}
