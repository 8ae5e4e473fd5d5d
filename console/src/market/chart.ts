// The chart: one price line and one line a VWAP window, on a grid of steps of market time, and under them what was traded.
//
// Live values are kept by the second and drawn by the step, the last of a step standing for it; what lies before them is history,
// which the chart asks for at the resolution of its steps, and of which it draws a stretch of at most `pointsMax` around what is
// looked at. A step without a value is whitespace, so a gap is seen as a gap. Provisional points are pale. Corrections are squares
// over their marks, on one line: a trade that comes late changes the marks of all windows; seconds with suspect trades are circles
// at their prices.
import {
    createChart, createSeriesMarkers, HistogramSeries, LineSeries, LineStyle, type HistogramData, type IChartApi,
    type ISeriesMarkersPluginApi, type LineData, type MouseEventParams, type SeriesMarker, type Time, type UTCTimestamp, type WhitespaceData,
} from 'lightweight-charts';
import { clock, day, decimal, several, zoneName } from '../text';
import { Bands, type Band } from './bands';
import { Plot } from './plot';
import { steps } from './steps';
import { Volume } from './volume';

const keptSeconds = 1800;
const markedSeconds = 3600; // of corrections and suspect trades
const shownSteps = 600;
const leastSteps = 60;
const pointsMax = 4000;
const carryMax = 5; // the last price stands for so many seconds without a trade
const markersMax = 200;
const markerPx = 40; // corrections that lie closer are one square with their number
const askPoints = 2000; // steps of history that are asked for at once
const askAt = 40; // steps from the end of what is known at which more is asked for
const aheadSteps = 1000; // drawn to the right of what is looked at, when that is not now
const widestSteps = 1500; // more than that in view: a coarser step shows the same
const finerSteps = 600; // that many of a finer step would fit into the view: it is taken
const rightSpace = 4;
const volumeShare = 0.22; // of the height of the prices
const wholeMs = 1000; // what can not be given by its points is given whole, at most so often
const grownBy = 500; // steps that the chart may have more than were asked for

export interface Point { value: number; text: string; full: boolean; order: number }
export interface Reading { second: number; values: { name: string; text: string; full: boolean }[] }
export interface OlderRow { second: number; text: string; full: boolean }
export interface TradedRow { second: number; quantity: string }
export interface Stretch { from: number; to: number } // seconds, without the last

interface Line {
    name: string;
    plot: Plot<'Line'>;
    markers: ISeriesMarkersPluginApi<Time>;
    live: Map<number, Point>; // by second
    older: Map<number, Point>; // by step
    corrections: Map<number, number>; // second to how many
    shown: boolean;
    scale: number; // digits behind the point
    color: string;
    pale: string;
}

export interface ChartListener {
    onScroll(atNow: boolean): void;
    onReading(reading: Reading | null): void;
    onStep(step: number): void; // zooming chose another
}

function token(name: string): string {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Without the whitespace at its end.
function trimmed<T extends object>(data: T[]): T[] {
    while (data.length > 0 && !('value' in data[data.length - 1]!))
        data.pop();
    return data;
}

function formatOf(precision: number) {
    return { type: 'price', precision, minMove: Number((10 ** -precision).toFixed(precision)) } as const;
}

const styles = [LineStyle.Solid, LineStyle.Dashed, LineStyle.Dotted, LineStyle.LargeDashed];

export class PriceChart {
    private chart: IChartApi;
    private price: Line;
    private lines: Line[] = [];
    private bands: Bands[] = [];
    private volume: Plot<'Histogram'> | null;
    private traded = new Volume();
    private tradedScale = -1;
    private suspects = new Map<number, number>(); // second to price
    private step = 1;
    private last = 0; // newest second of market time
    private first = Infinity; // oldest live second
    private loaded: Stretch | null = null; // of history
    private start = -Infinity; // before it there is nothing
    private aim: Stretch | null = null; // to be looked at once it is drawn
    private drawnFrom = 0; // first step of what the chart was given
    private drawnTo = 0;
    private width: number | null = null; // steps that are shown while following: null, until there are as many as usual
    private follows = true; // the newest step stays in view, until somebody scrolls away from it
    private markersDirty = false;
    private wholeAt = 0;
    private cursor: number | null = null;

    // `until`: the chart ends with this second, and nothing live comes. `hasTrades`: there is something traded to be drawn.
    constructor(private box: HTMLElement, private listener: ChartListener, private until: number | null, hasTrades: boolean) {
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
        this.volume = hasTrades ? new Plot(this.chart.addSeries(HistogramSeries, { priceLineVisible: false, lastValueVisible: false }, 1)) : null;
        this.volume?.series.priceScale().applyOptions({ scaleMargins: { top: 0.2, bottom: 0 } });
        this.chart.panes()[1]?.setStretchFactor(volumeShare);
        for (const plot of [this.price.plot, this.volume]) {
            const bands = new Bands((second) => (second - this.drawnFrom) / this.step, plot === this.price.plot);
            plot?.series.attachPrimitive(bands);
            this.bands.push(bands);
        }
        this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => { this.markersDirty = true; });
        this.chart.subscribeCrosshairMove((event) => this.moved(event));
        for (const name of ['wheel', 'pointermove', 'pointerup'])
            box.addEventListener(name, (event) => {
                if (name !== 'pointermove' || (event as PointerEvent).buttons !== 0)
                    requestAnimationFrame(() => this.scrolled(name === 'wheel'));
            }, { passive: true });
        this.last = until ?? 0;
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
        return { name, plot: new Plot(series), markers: createSeriesMarkers(series, []), live: new Map(), older: new Map(), corrections: new Map(),
                 shown: true, scale: 0, color: '', pale: '' };
    }

    private all(): Line[] {
        return [this.price, ...this.lines];
    }

    private plots(): (Plot<'Line'> | Plot<'Histogram'>)[] {
        return [...this.all().map(({ plot }) => plot), ...(this.volume ? [this.volume] : [])];
    }

    private line(name: string): Line | undefined {
        return this.all().find((one) => one.name === name);
    }

    windows(names: string[]) {
        for (const line of this.lines)
            this.chart.removeSeries(line.plot.series);
        this.lines = names.map((name, i) => this.addLine(name, styles[i] ?? LineStyle.Solid, 2));
        this.theme();
    }

    precision(price: number, average: number, quantity: number) {
        if (this.tradedScale !== quantity)
            this.volume?.series.applyOptions({ priceFormat: formatOf(quantity) });
        this.tradedScale = quantity;
        for (const line of this.all()) {
            const precision = line === this.price ? price : average;
            if (line.scale === precision)
                continue;
            line.scale = precision;
            line.plot.series.applyOptions({ priceFormat: formatOf(precision) });
        }
    }

    theme() {
        this.all().forEach((line, i) => {
            line.color = token(line === this.price ? '--text2' : `--w${i - 1}`);
            line.pale = line.color + '8c'; // 55 %
            line.plot.series.applyOptions({ color: line.color });
        });
        this.bands.forEach((bands) => { bands.color = token('--text3'); });
        this.volume?.series.applyOptions({ color: token('--edge') });
        this.redraw();
        this.chart.applyOptions({
            layout: { background: { color: token('--panel') }, textColor: token('--text2'), attributionLogo: false, fontSize: 11,
                      fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace', panes: { separatorColor: token('--line'), enableResize: false } },
            grid: { vertLines: { color: token('--raised') }, horzLines: { color: token('--raised') } },
            rightPriceScale: { borderColor: token('--line') },
            timeScale: { borderColor: token('--line') },
        });
        this.markersDirty = true;
    }

    // Everything is given anew, at once.
    private redraw() {
        for (const plot of this.plots())
            plot.isDirty = true;
        this.wholeAt = 0;
    }

    show(name: string, shown: boolean) {
        const line = this.line(name);
        if (!line)
            return;
        line.shown = shown;
        line.plot.series.applyOptions({ visible: shown });
        this.markersDirty = true;
    }

    // Another length of a step: history is asked for again. `keep`: what is looked at stays, otherwise it is the newest steps.
    resolution(step: number, keep = false) {
        const span = this.span();
        const isCoarse = step >= 60;
        this.step = step;
        this.aim = keep && span && !this.follows ? span : null;
        this.follows = this.aim === null;
        this.width = keep && span ? (span.to - span.from) / step : null;
        this.forgetHistory();
        this.chart.timeScale().applyOptions({ secondsVisible: !isCoarse });
    }

    private forgetHistory() {
        this.loaded = null;
        this.start = -Infinity;
        this.traded.forgetHistory();
        for (const line of this.all())
            line.older.clear();
        this.redraw();
    }

    // ---- what comes in ----

    private put(line: Line, second: number, point: Point) {
        if (second <= this.last - keptSeconds)
            return;
        line.live.set(second, point);
        this.first = Math.min(this.first, second);
        if (second > this.last + this.step)
            this.price.plot.isDirty = true; // its grid reaches further
        this.touch(line.plot, second);
        this.last = Math.max(this.last, second);
    }

    // What lies ahead of a stretch that is looked at is not drawn.
    private touch(plot: Plot<'Line'> | Plot<'Histogram'> | null, second: number) {
        const at = second - (second % this.step);
        if (at >= this.drawnFrom && (this.follows || at <= this.drawnTo + this.step))
            plot?.touch(at, this.step);
    }

    // How often a trade is told does not change what was traded: its newest quantity counts, once.
    quantity(atMs: number, id: string | number, quantity: string) {
        if (this.traded.add(Math.floor(atMs / 1000), id, quantity))
            this.touch(this.volume, Math.floor(atMs / 1000));
    }

    // The last trade of a second stands for it. They come in any order: REST tells older ones later.
    trade(atMs: number, number: number, text: string) {
        const second = Math.floor(atMs / 1000);
        const order = atMs * 1e-3 - second + number * 1e-12;
        const before = this.price.live.get(second);
        if (before && before.order === order && before.text === text)
            return; // REST has confirmed it
        if (order >= (before?.order ?? 0))
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
        this.bands.forEach((one) => one.set(bands));
    }

    // ---- history ----

    // The second from which everything live is known. History ends there, so that nothing is counted twice.
    private liveFrom(): number {
        return Math.max(this.traded.since(), this.first === Infinity ? 0 : this.last - keptSeconds + 1);
    }

    // What of history is about to be looked at and not there yet. `second`: now, for a market that has said nothing yet.
    lacks(second: number): Stretch | null {
        const much = askPoints * this.step;
        const near = askAt * this.step;
        const span = this.span();
        const floor = (at: number) => at - (at % this.step);
        this.traded.begin(second);
        const end = this.until === null ? this.liveFrom() : this.until + 1;
        if (this.loaded && span && !this.follows && (span.to < this.loaded.from - much || span.from > this.loaded.to + much))
            this.forgetHistory();
        if (!this.loaded) {
            const to = span && !this.follows ? Math.min(end, floor(span.to) + near) : end;
            return to <= this.start ? null : { from: floor(to - much), to };
        }
        if (span && span.from - near < this.loaded.from && this.loaded.from > this.start)
            return { from: this.loaded.from - much, to: this.loaded.from };
        if (span && span.to + near > this.loaded.to && this.loaded.to < end)
            return { from: this.loaded.to, to: Math.min(end, floor(this.loaded.to) + much) };
        return null;
    }

    // Everything that the store has of a stretch that was lacking. `start`: the first second of all that it has; null: it has nothing.
    history(stretch: Stretch, lines: { name: string; rows: OlderRow[] }[], traded: TradedRow[], start: number | null) {
        for (const { name, rows } of lines) {
            const line = this.line(name);
            for (const { second, text, full } of rows) {
                const at = second - (second % this.step);
                if ((line?.older.get(at)?.order ?? -1) < 0) // else it was live
                    line?.older.set(at, { value: Number(text), text, full, order: -1 });
                if (this.until === null)
                    this.last = Math.max(this.last, second);
            }
        }
        for (const { second, quantity } of traded)
            this.traded.addHistory(second - (second % this.step), quantity);
        this.loaded = { from: Math.min(stretch.from, this.loaded?.from ?? stretch.from), to: Math.max(stretch.to, this.loaded?.to ?? stretch.to) };
        this.start = start ?? Infinity;
        this.redraw();
    }

    isLive(stretch: Stretch): boolean {
        return this.until === null && stretch.to >= this.liveFrom();
    }

    // ---- where one looks ----

    now() {
        this.follows = true;
        this.aim = null;
        if (this.loaded && this.loaded.to < this.liveFrom())
            this.forgetHistory();
        this.redraw();
        this.listener.onScroll(true);
    }

    isAtNow(): boolean {
        return this.follows;
    }

    span(): Stretch | null {
        const range = this.chart.timeScale().getVisibleLogicalRange();
        if (this.aim)
            return this.aim;
        return range && this.drawnTo !== 0 ? { from: Math.floor(this.drawnFrom + range.from * this.step), to: Math.ceil(this.drawnFrom + range.to * this.step) } : null;
    }

    look(span: Stretch) {
        this.follows = false;
        this.aim = span;
        this.redraw();
    }

    oldest() {
        const span = this.span();
        if (!span)
            return;
        const from = Number.isFinite(this.start) ? this.start : this.loaded?.from ?? this.drawnFrom;
        this.look({ from, to: from + span.to - span.from });
        this.listener.onScroll(false);
    }

    zoom(factor: number) {
        const scale = this.chart.timeScale();
        const range = scale.getVisibleLogicalRange();
        if (!range)
            return;
        scale.setVisibleLogicalRange({ from: range.to - (range.to - range.from) * factor, to: range.to });
        this.width = (range.to - range.from) * factor;
        this.refine();
    }

    // The step whose points fill the view: the house is asked for no more than can be seen.
    private refine() {
        const span = this.span();
        if (!span || this.aim)
            return;
        const seconds = span.to - span.from;
        const at = steps.findIndex(({ step }) => step === this.step);
        const coarser = steps[at + 1];
        const finer = steps[at - 1];
        if (coarser && seconds / this.step > widestSteps)
            this.listener.onStep(coarser.step);
        else if (finer && seconds / finer.step <= finerSteps)
            this.listener.onStep(finer.step);
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
            this.scrolled(false);
        }
        this.cursor = at;
        if (found)
            this.chart.setCrosshairPosition(found.point!.value, at as UTCTimestamp, found.line.plot.series);
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

    private valuesAt(at: number): Reading['values'] {
        const values = this.all().filter((line) => line.shown).map((line) => {
            const point = this.pointOf(line, at);
            return { name: line.name, text: point ? decimal(point.text, line.scale) : '', full: point?.full ?? true };
        });
        return [...values, { name: 'volume', text: this.traded.text(at, this.step), full: true }];
    }

    private read(at: number) {
        this.listener.onReading({ second: at, values: this.valuesAt(at).filter(({ text }) => text !== '') });
    }

    // The point of a step: the last live one within it, else that of history.
    private pointOf(line: Line, step: number): Point | undefined {
        if (this.step > line.live.size) {
            const seconds = [...line.live.keys()].filter((second) => second >= step && second < step + this.step);
            return seconds.length > 0 ? line.live.get(Math.max(...seconds)) : line.older.get(step);
        }
        for (let second = step + this.step - 1; second >= step; second--) {
            const point = line.live.get(second);
            if (point)
                return point;
        }
        return line.older.get(step);
    }

    private scrolled(isZoom: boolean) {
        const range = this.chart.timeScale().getVisibleLogicalRange();
        const isNewest = this.drawnTo >= this.last - (this.last % this.step);
        this.follows = isNewest && this.chart.timeScale().scrollPosition() > -5;
        this.aim = null;
        if (isZoom && range) {
            this.width = range.to - range.from;
            this.refine();
        }
        this.listener.onScroll(this.follows);
    }

    private place() {
        const count = (this.drawnTo - this.drawnFrom) / this.step + 1;
        const usual = Math.min(shownSteps, Math.max(count, leastSteps)) + rightSpace;
        if (this.width === null && count >= shownSteps)
            this.width = usual;
        this.chart.timeScale().setVisibleLogicalRange({ from: count + rightSpace - (this.width ?? usual), to: count + rightSpace });
    }

    // Rows of the table twin: newest first, as many as are looked at.
    rows(max: number): Reading[] {
        const span = this.span();
        const found: Reading[] = [];
        if (!span)
            return found;
        for (let at = Math.min(this.drawnTo, span.to - (span.to % this.step)); at >= Math.max(this.drawnFrom, span.from) && found.length < max; at -= this.step)
            found.push({ second: at, values: this.valuesAt(at) });
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

    // Called some times a second.
    paint(now: number) {
        if (this.last === 0)
            return;
        this.forget();
        const isLong = this.follows && this.drawnTo - this.drawnFrom > (askPoints + grownBy) * this.step;
        const isDirty = isLong || this.plots().some((plot) => plot.isDirty);
        if (this.drawnTo === 0 || this.isAtEdge() || (isDirty && now - this.wholeAt >= wholeMs))
            this.give(now);
        for (const line of this.all())
            this.drawnTo = Math.max(this.drawnTo, line.plot.giveTouched((at) => this.drawn(line, at)));
        this.volume?.giveTouched((at) => this.drawnVolume(at));
        if (this.follows)
            this.place();
        if (this.markersDirty)
            this.paintMarkers();
    }

    // Seconds that are no longer kept one by one become steps.
    private forget() {
        const from = this.last - keptSeconds + 1;
        const marked = this.last - markedSeconds + 1;
        const newest = this.last - (this.last % this.step);
        if (this.first >= from)
            return;
        for (const line of this.all()) {
            for (const [second, point] of line.live)
                if (second < from) {
                    line.older.set(second - (second % this.step), point);
                    line.live.delete(second);
                }
            for (const second of line.corrections.keys())
                if (second < marked)
                    line.corrections.delete(second);
        }
        for (const second of this.suspects.keys())
            if (second < marked)
                this.suspects.delete(second);
        this.traded.forget(from, this.step);
        this.first = from;
        if (!this.loaded)
            return;
        this.loaded.to = Math.max(this.loaded.to, from);
        if (this.follows && this.loaded.from < newest - 1.5 * askPoints * this.step)
            this.forgetSteps(newest - askPoints * this.step);
    }

    private forgetSteps(before: number) {
        for (const { older } of this.all())
            for (const at of older.keys())
                if (at < before)
                    older.delete(at);
        this.traded.forgetSteps(before);
        this.loaded!.from = before;
    }

    private knownFrom(): number {
        const at = Math.min(this.first === Infinity ? this.last : this.first, this.loaded?.from ?? Infinity);
        return at - (at % this.step);
    }

    // What is drawn ends, but what is known does not.
    private isAtEdge(): boolean {
        const span = this.span();
        const near = askAt * this.step;
        if (!span || this.aim || this.follows)
            return this.aim !== null;
        return (span.from - near < this.drawnFrom && this.knownFrom() < this.drawnFrom) ||
            (span.to + near > this.drawnTo && this.drawnTo < this.last - (this.last % this.step));
    }

    private give(now: number) {
        const newest = this.last - (this.last % this.step);
        const span = this.follows ? null : this.span();
        const ahead = span ? span.to - (span.to % this.step) + aheadSteps * this.step : newest;
        const to = Math.min(newest, ahead);
        const least = span ? Math.min(this.knownFrom(), span.from - (span.from % this.step)) : this.knownFrom();
        const from = Math.max(least, to - ((this.follows ? askPoints : pointsMax) - 1) * this.step);
        const range = this.chart.timeScale().getVisibleLogicalRange();
        this.wholeAt = now;
        for (const line of this.all())
            line.plot.give(this.data(line, from, to));
        this.volume?.give(this.tradedData(from, to));
        const shift = (this.drawnFrom - from) / this.step;
        this.drawnFrom = from;
        this.drawnTo = to;
        if (this.aim)
            this.chart.timeScale().setVisibleLogicalRange({ from: (this.aim.from - from) / this.step, to: (this.aim.to - from) / this.step });
        else if (!this.follows && range && shift !== 0)
            this.chart.timeScale().setVisibleLogicalRange({ from: range.from + shift, to: range.to + shift });
        this.aim = null;
        this.markersDirty = true;
    }

    private tradedData(from: number, to: number): (HistogramData | WhitespaceData)[] {
        const data: (HistogramData | WhitespaceData)[] = [];
        const sums = this.traded.stepped(this.step);
        for (let at = from; at <= to; at += this.step) {
            const sum = sums.get(at);
            data.push(sum === undefined ? { time: at as UTCTimestamp } : { time: at as UTCTimestamp, value: Number(Volume.written(sum)) });
        }
        return trimmed(data);
    }

    private drawnVolume(at: number): HistogramData | null {
        const text = this.traded.text(at, this.step);
        return text === '' || at > this.drawnTo ? null : { time: at as UTCTimestamp, value: Number(text) };
    }

    private drawn(line: Line, at: number): LineData | null {
        const point = this.pointOf(line, at);
        return point ? { time: at as UTCTimestamp, value: point.value, color: point.full ? line.color : line.pale } : null;
    }

    // A point's colour is that of the line towards it; of the last one before a gap, nothing is to be seen of the way over it. The price
    // holds the grid of all steps; another line ends with its last point, so that the next one can follow.
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
        return line === this.price ? data : trimmed(data);
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
