// The chart: one price line and one line a VWAP window, on a grid of steps of market time.
//
// Live values are kept by the second and drawn by the step, the last of a step standing for it; what lies before them comes from
// history, at the resolution that was asked for. A step without a value is whitespace, so a gap is seen as a gap. Provisional
// points are pale. Corrections are squares over their marks, on one line: a trade that comes late changes the marks of all windows; seconds with suspect trades are circles at their prices.
import {
    createChart, createSeriesMarkers, LineSeries, LineStyle, type IChartApi, type ISeriesApi, type ISeriesMarkersPluginApi,
    type LineData, type MouseEventParams, type SeriesMarker, type Time, type UTCTimestamp, type WhitespaceData,
} from 'lightweight-charts';
import { clock, day, decimal, several, zoneName } from '../text';
import { Bands, type Band } from './bands';

const keptSeconds = 3600;
const shownSteps = 600;
const leastSteps = 60;
const pointsMax = 4000;
const carryMax = 5; // the last price stands for so many seconds without a trade
const markersMax = 200;
const markerPx = 40; // corrections that lie closer are one square with their number
const olderAt = 40; // steps from the oldest at which older ones are asked for
const rightSpace = 4;
const wholeMs = 1000; // a line whose older points change is given whole, at most so often

export interface Point { value: number; text: string; full: boolean; order: number }
export interface Reading { second: number; values: { name: string; text: string; full: boolean }[] }
export interface OlderRow { second: number; text: string; full: boolean }

interface Line {
    name: string;
    series: ISeriesApi<'Line'>;
    markers: ISeriesMarkersPluginApi<Time>;
    live: Map<number, Point>; // by second
    older: Map<number, Point>; // by step
    corrections: Map<number, number>; // second to how many
    shown: boolean;
    scale: number; // digits behind the point
    color: string;
    pale: string;
    dirty: 'no' | 'newest' | 'all';
}

export interface ChartListener {
    onScroll(atNow: boolean): void;
    onReading(reading: Reading | null): void;
    onOldest(second: number): void; // what lies before it is about to be looked at
}

function token(name: string): string {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const styles = [LineStyle.Solid, LineStyle.Dashed, LineStyle.Dotted, LineStyle.LargeDashed];

export class PriceChart {
    private chart: IChartApi;
    private price: Line;
    private lines: Line[] = [];
    private bands = new Bands();
    private suspects = new Map<number, number>(); // second to price
    private step = 1;
    private last = 0; // newest second of market time
    private first = Infinity; // oldest live second
    private olderFirst = Infinity; // oldest step of history
    private drawnFrom = 0; // first step of what the chart was given
    private drawnTo = 0;
    private placed = false; // there was enough to fill the usual width once: from then on the width is the user's
    private follows = true; // the newest step stays in view, until somebody scrolls away from it
    private markersDirty = false;
    private wholeAt = 0;
    private cursor: number | null = null;

    constructor(private box: HTMLElement, private listener: ChartListener) {
        this.chart = createChart(box, {
            autoSize: true,
            layout: { attributionLogo: false }, // it would write a style element, which the page's policy forbids; the link is below
            localization: { timeFormatter: (time: Time) => this.when(Number(time)) },
            timeScale: { timeVisible: true, secondsVisible: true, rightOffset: rightSpace, minBarSpacing: 0.1,
                         tickMarkFormatter: (time: Time) => this.tick(Number(time)) },
            rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.1 }, minimumWidth: 84 },
            crosshair: { mode: 0 },
        });
        this.price = this.addLine('price', LineStyle.Solid, 1);
        this.price.series.attachPrimitive(this.bands);
        this.bands.logical = (second) => (second - this.drawnFrom) / this.step;
        this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
            this.markersDirty = true;
            if (range && range.from < olderAt && this.last !== 0)
                this.listener.onOldest(this.drawnFrom);
        });
        this.chart.subscribeCrosshairMove((event) => this.moved(event));
        for (const name of ['wheel', 'pointermove', 'pointerup'])
            box.addEventListener(name, (event) => {
                if (name !== 'pointermove' || (event as PointerEvent).buttons !== 0)
                    requestAnimationFrame(() => this.scrolled());
            }, { passive: true });
        this.theme();
    }

    close() {
        this.chart.remove();
    }

    private when(second: number): string {
        return `${day(second * 1000)} ${clock(second * 1000)} ${zoneName(second * 1000)}`;
    }

    private tick(second: number): string {
        const at = clock(second * 1000);
        return at === '00:00:00' || this.step >= 86400 ? day(second * 1000).slice(5) : this.step < 60 ? at : at.slice(0, 5);
    }

    private addLine(name: string, lineStyle: LineStyle, lineWidth: 1 | 2): Line {
        const series = this.chart.addSeries(LineSeries, {
            lineStyle, lineWidth, title: name === 'price' ? '' : name, priceLineVisible: false, crosshairMarkerRadius: 3,
            lastPriceAnimation: 0,
        });
        return { name, series, markers: createSeriesMarkers(series, []), live: new Map(), older: new Map(), corrections: new Map(),
                 shown: true, scale: 0, color: '', pale: '', dirty: 'all' };
    }

    private all(): Line[] {
        return [this.price, ...this.lines];
    }

    private line(name: string): Line | undefined {
        return this.all().find((one) => one.name === name);
    }

    windows(names: string[]) {
        for (const line of this.lines)
            this.chart.removeSeries(line.series);
        this.lines = names.map((name, i) => this.addLine(name, styles[i] ?? LineStyle.Solid, 2));
        this.theme();
    }

    precision(price: number, average: number) {
        for (const line of this.all()) {
            const precision = line === this.price ? price : average;
            if (line.scale === precision)
                continue;
            line.scale = precision;
            line.series.applyOptions({ priceFormat: { type: 'price', precision, minMove: Number((10 ** -precision).toFixed(precision)) } });
        }
    }

    theme() {
        this.all().forEach((line, i) => {
            line.color = token(line === this.price ? '--text2' : `--w${i - 1}`);
            line.pale = line.color + '8c'; // 55 %
            line.series.applyOptions({ color: line.color });
            line.dirty = 'all';
        });
        this.bands.color = token('--text3');
        this.chart.applyOptions({
            layout: { background: { color: token('--panel') }, textColor: token('--text2'), attributionLogo: false, fontSize: 11,
                      fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace' },
            grid: { vertLines: { color: token('--raised') }, horzLines: { color: token('--raised') } },
            rightPriceScale: { borderColor: token('--line') },
            timeScale: { borderColor: token('--line') },
        });
        this.markersDirty = true;
        this.wholeAt = 0;
    }

    show(name: string, shown: boolean) {
        const line = this.line(name);
        if (!line)
            return;
        line.shown = shown;
        line.series.applyOptions({ visible: shown });
        this.markersDirty = true;
    }

    // Another length of a step: history is to be asked for again.
    resolution(step: number) {
        this.step = step;
        this.olderFirst = Infinity;
        this.placed = false;
        this.follows = true;
        this.wholeAt = 0;
        this.chart.timeScale().applyOptions({ secondsVisible: step < 60 });
        for (const line of this.all()) {
            line.older.clear();
            line.dirty = 'all';
        }
    }

    // ---- what comes in ----

    private put(line: Line, second: number, point: Point) {
        if (second <= this.last - keptSeconds)
            return;
        line.live.set(second, point);
        this.first = Math.min(this.first, second);
        if (second < this.last || second > this.last + this.step) {
            line.dirty = 'all';
            if (second > this.last)
                this.price.dirty = 'all'; // its grid reaches further
        } else if (line.dirty === 'no') {
            line.dirty = 'newest';
        }
        this.last = Math.max(this.last, second);
    }

    // The last trade of a second stands for it. They come in any order: REST tells older ones later.
    trade(atMs: number, number: number, text: string) {
        const second = Math.floor(atMs / 1000);
        const order = atMs * 1e-3 - second + number * 1e-12;
        if (order >= (this.price.live.get(second)?.order ?? 0))
            this.put(this.price, second, { value: Number(text), text, full: true, order });
    }

    average(name: string, second: number, text: string, validated: boolean) {
        const line = this.line(name);
        const before = line?.live.get(second);
        if (!line || (before?.full && !validated))
            return;
        if (before && before.full === validated && before.text === text)
            return;
        this.put(line, second, { value: Number(text), text, full: validated, order: 0 });
    }

    correction(name: string, second: number) {
        const line = this.line(name);
        line?.corrections.set(second, (line.corrections.get(second) ?? 0) + 1);
        this.markersDirty = true;
    }

    suspect(second: number, price: string) {
        this.suspects.set(second, Number(price));
        this.markersDirty = true;
    }

    gaps(bands: Band[]) {
        this.bands.set(bands);
    }

    // Steps of history, from before what is live.
    older(name: string, rows: OlderRow[]) {
        const line = this.line(name);
        if (!line)
            return;
        for (const { second, text, full } of rows) {
            const at = second - (second % this.step);
            line.older.set(at, { value: Number(text), text, full, order: -1 });
            this.olderFirst = Math.min(this.olderFirst, at);
            this.last = Math.max(this.last, second);
        }
        line.dirty = 'all';
        this.price.dirty = 'all';
        this.wholeAt = 0;
    }

    // ---- where one looks ----

    now() {
        this.follows = true;
        this.place();
        this.listener.onScroll(true);
    }

    isAtNow(): boolean {
        return this.follows;
    }

    span(): { from: number; to: number } | null {
        const range = this.chart.timeScale().getVisibleLogicalRange();
        return range && this.last !== 0 ? { from: Math.floor(this.drawnFrom + range.from * this.step), to: Math.ceil(this.drawnFrom + range.to * this.step) } : null;
    }

    look(from: number, to: number) {
        this.follows = false;
        this.placed = true;
        this.chart.timeScale().setVisibleLogicalRange({ from: (from - this.drawnFrom) / this.step, to: (to - this.drawnFrom) / this.step });
    }

    oldest() {
        const range = this.chart.timeScale().getVisibleLogicalRange();
        if (!range)
            return;
        this.follows = false;
        this.chart.timeScale().setVisibleLogicalRange({ from: 0, to: range.to - range.from });
        this.listener.onScroll(false);
    }

    zoom(factor: number) {
        const scale = this.chart.timeScale();
        const range = scale.getVisibleLogicalRange();
        if (range)
            scale.setVisibleLogicalRange({ from: range.to - (range.to - range.from) * factor, to: range.to });
        this.placed = true;
    }

    moveCursor(steps: number) {
        const range = this.chart.timeScale().getVisibleLogicalRange();
        if (!range || this.last === 0)
            return;
        const at = Math.min(this.drawnTo, Math.max(this.drawnFrom, (this.cursor ?? this.drawnTo) + steps * this.step));
        const index = (at - this.drawnFrom) / this.step;
        const found = this.all().map((line) => ({ line, point: this.pointOf(line, at) })).find(({ line, point }) => line.shown && point);
        if (index < range.from || index > range.to) {
            const by = index < range.from ? index - range.from - 5 : index - range.to + 5;
            this.chart.timeScale().setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
            this.scrolled();
        }
        this.cursor = at;
        if (found)
            this.chart.setCrosshairPosition(found.point!.value, at as UTCTimestamp, found.line.series);
        this.read(at);
    }

    clearCursor() {
        this.cursor = null;
        this.chart.clearCrosshairPosition();
        this.listener.onReading(null);
    }

    private moved(event: MouseEventParams) {
        if (event.time === undefined) {
            this.listener.onReading(null);
            return;
        }
        this.cursor = Number(event.time);
        this.read(this.cursor);
    }

    private read(at: number) {
        const values = this.all().filter((line) => line.shown).flatMap((line) => {
            const point = this.pointOf(line, at);
            return point ? [{ name: line.name, text: decimal(point.text, line.scale), full: point.full }] : [];
        });
        this.listener.onReading({ second: at, values });
    }

    // The point of a step: the last live one within it, else that of history.
    private pointOf(line: Line, step: number): Point | undefined {
        for (let second = step + this.step - 1; second >= step && this.step <= keptSeconds; second--) {
            const point = line.live.get(second);
            if (point)
                return point;
        }
        return line.older.get(step);
    }

    private scrolled() {
        this.follows = this.chart.timeScale().scrollPosition() > -5;
        this.listener.onScroll(this.follows);
    }

    private place() {
        const scale = this.chart.timeScale();
        const range = scale.getVisibleLogicalRange();
        const steps = (this.drawnTo - this.drawnFrom) / this.step + 1;
        const width = this.placed && range ? range.to - range.from : Math.min(shownSteps, Math.max(steps, leastSteps)) + rightSpace;
        this.placed = this.placed || steps >= shownSteps;
        scale.setVisibleLogicalRange({ from: steps + rightSpace - width, to: steps + rightSpace });
    }

    // Rows of the table twin: newest first, as many as are looked at.
    rows(max: number): Reading[] {
        const span = this.span();
        const found: Reading[] = [];
        if (!span)
            return found;
        for (let at = Math.min(this.drawnTo, span.to - (span.to % this.step)); at >= Math.max(this.drawnFrom, span.from) && found.length < max; at -= this.step) {
            const values = this.all().filter((line) => line.shown).map((line) => {
                const point = this.pointOf(line, at);
                return { name: line.name, text: point ? decimal(point.text, line.scale) : '', full: point?.full ?? true };
            });
            found.push({ second: at, values });
        }
        return found;
    }

    summary(): string {
        const span = this.span();
        const corrected = this.lines.reduce((sum, line) => sum + line.corrections.size, 0);
        const newest = this.price.live.get(this.last)?.text;
        let low = '';
        let high = '';
        if (!span)
            return 'Chart, no data yet';
        for (const { text, value } of this.price.live.values()) {
            low = low === '' || value < Number(low) ? text : low;
            high = high === '' || value > Number(high) ? text : high;
        }
        return `Chart from ${this.when(span.from)} to ${this.when(span.to)}, averages ${this.lines.map((line) => line.name).join(', ')}` +
            `${newest === undefined ? '' : `, last price ${newest}`}${low === '' ? '' : `, high ${high}, low ${low}`}, ${several(corrected, 'corrected mark')}`;
    }

    // ---- painting ----

    // Called some times a second. The newest step is one update; a line whose older points change is given whole, once a second.
    paint(now: number) {
        const whole = now - this.wholeAt >= wholeMs && this.all().some((line) => line.dirty === 'all');
        if (this.last === 0)
            return;
        this.forget();
        if (whole)
            this.give(now);
        for (const line of this.all())
            if (line.dirty === 'newest')
                this.giveNewest(line);
        if (this.follows)
            this.place();
        if (this.markersDirty)
            this.paintMarkers();
    }

    private forget() {
        const from = this.last - keptSeconds + 1;
        if (this.first >= from)
            return;
        for (const line of this.all())
            for (const kept of [line.live, line.corrections])
                for (const second of kept.keys()) {
                    if (second >= from)
                        break;
                    kept.delete(second);
                }
        for (const second of this.suspects.keys())
            if (second < from)
                this.suspects.delete(second);
        this.first = from;
    }

    private give(now: number) {
        const to = this.last - (this.last % this.step);
        const live = this.first === Infinity ? to : this.first - (this.first % this.step);
        const from = Math.max(Math.min(live, this.olderFirst), to - (pointsMax - 1) * this.step);
        const range = this.chart.timeScale().getVisibleLogicalRange();
        const shift = this.drawnFrom === 0 ? 0 : (this.drawnFrom - from) / this.step;
        this.wholeAt = now;
        for (const line of this.all()) {
            line.dirty = 'no';
            line.series.setData(this.data(line, from, to));
        }
        this.drawnFrom = from;
        this.drawnTo = to;
        if (!this.follows && range && shift !== 0)
            this.chart.timeScale().setVisibleLogicalRange({ from: range.from + shift, to: range.to + shift });
        this.markersDirty = true;
    }

    private giveNewest(line: Line) {
        const at = this.last - (this.last % this.step);
        const point = this.pointOf(line, at);
        if (this.drawnTo === 0 || at > this.drawnTo + this.step) {
            line.dirty = 'all';
            return;
        }
        line.dirty = 'no';
        if (!point)
            return;
        this.drawnTo = Math.max(this.drawnTo, at);
        line.series.update({ time: at as UTCTimestamp, value: point.value, color: point.full ? line.color : line.pale });
    }

    // A point's colour is that of the line towards it; of the last one before a gap, nothing is to be seen of the way over it.
    private data(line: Line, from: number, to: number): (LineData | WhitespaceData)[] {
        const data: (LineData | WhitespaceData)[] = [];
        const steps = this.stepped(line);
        const carrySteps = line === this.price ? Math.floor(carryMax / this.step) : 0;
        let carried: Point | undefined;
        let gap = 0;
        for (let at = from; at <= to; at += this.step) {
            const point = steps.get(at);
            gap = point ? 0 : gap + 1;
            carried = point ?? (gap <= carrySteps ? carried : undefined);
            if (!carried) {
                data.push({ time: at as UTCTimestamp });
                continue;
            }
            const ends = at < to && gap === carrySteps && !steps.has(at + this.step);
            data.push({ time: at as UTCTimestamp, value: carried.value, color: ends ? 'transparent' : carried.full ? line.color : line.pale });
        }
        return data;
    }

    private stepped(line: Line): Map<number, Point> {
        const steps = new Map(line.older);
        const seconds = new Map<number, number>();
        if (this.step === 1) {
            for (const [second, point] of line.live)
                steps.set(second, point);
            return steps;
        }
        for (const [second, point] of line.live) {
            const at = second - (second % this.step);
            if (second >= (seconds.get(at) ?? 0)) {
                seconds.set(at, second);
                steps.set(at, point);
            }
        }
        return steps;
    }

    private paintMarkers() {
        const spacing = this.chart.timeScale().options().barSpacing;
        const width = Math.max(1, Math.ceil(markerPx / spacing)) * this.step;
        const color = token('--warn');
        this.markersDirty = false;
        const shown = this.lines.filter((line) => line.shown);
        for (const line of this.lines) {
            const groups = new Map<number, { second: number; count: number }>();
            for (const [second, count] of line === shown[Math.min(1, shown.length - 1)] ? line.corrections : []) {
                const at = second - (second % this.step);
                const group = groups.get(at - (at % width)) ?? { second: at, count: 0 };
                group.second = Math.max(group.second, at);
                group.count += count;
                groups.set(at - (at % width), group);
            }
            line.markers.setMarkers([...groups.values()].filter(({ second }) => second >= this.drawnFrom).sort((a, b) => a.second - b.second).slice(-markersMax)
                .map(({ second, count }): SeriesMarker<Time> => ({ time: second as UTCTimestamp, position: 'aboveBar', shape: 'square', color, size: 0.25,
                                                                   ...(count > 1 ? { text: String(count) } : {}) })));
        }
        this.price.markers.setMarkers([...this.suspects].sort((a, b) => a[0] - b[0]).slice(-markersMax)
            .map(([second, price]): SeriesMarker<Time> => ({ time: (second - (second % this.step)) as UTCTimestamp, position: 'atPriceMiddle', price,
                                                             shape: 'circle', color: token('--down'), size: 0.5 })));
        this.box.setAttribute('aria-label', this.summary());
    }
}
