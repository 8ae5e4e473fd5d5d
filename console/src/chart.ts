// The chart: one price line and one line a VWAP window, on a grid of whole seconds of market time.
//
// A second without a value is whitespace, so a gap is seen as a gap. Provisional points are pale. Corrections are squares over
// their marks; seconds with suspect trades are circles under the price.
import {
    createChart, createSeriesMarkers, LineSeries, LineStyle, type IChartApi, type ISeriesApi, type ISeriesMarkersPluginApi,
    type LineData, type SeriesMarker, type Time, type UTCTimestamp, type WhitespaceData,
} from 'lightweight-charts';
import { clock, day } from './text';

const keptSeconds = 3600;
const shownSeconds = 600;
const carryMax = 5; // the last price stands for so many seconds without a trade
const markersMax = 200;
const markerPx = 40; // corrections that lie closer are one square with their number

interface Point { value: number; full: boolean; order: number }

interface Line {
    name: string;
    series: ISeriesApi<'Line'>;
    points: Map<number, Point>;
    color: string;
    pale: string;
    dirty: boolean;
}

function token(name: string): string {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class PriceChart {
    private chart: IChartApi;
    private price: Line;
    private lines: Line[] = [];
    private markers: ISeriesMarkersPluginApi<Time> | null = null;
    private rings: ISeriesMarkersPluginApi<Time>;
    private corrections = new Map<number, number>();
    private suspects = new Map<number, number>(); // second to price
    private last = 0;
    private first = Infinity;
    private placed = false; // there was enough to fill the usual width once: from then on the width is the user's
    private follows = true; // the newest second stays in view, until somebody scrolls away from it
    private markersDirty = false;

    constructor(private box: HTMLElement, onScroll: (atNow: boolean) => void) {
        this.chart = createChart(box, {
            autoSize: true,
            layout: { attributionLogo: false }, // it would write a style element, which the page's policy forbids; the link is below
            localization: { timeFormatter: (time: Time) => `${day(Number(time) * 1000)} ${clock(Number(time) * 1000)} UTC` },
            timeScale: {
                timeVisible: true, secondsVisible: true, rightOffset: 4, minBarSpacing: 0.1,
                tickMarkFormatter: (time: Time) => clock(Number(time) * 1000),
            },
            rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.1 } },
            crosshair: { mode: 0 },
        });
        this.price = this.addLine('price', '--text2', LineStyle.Solid, 1);
        this.rings = createSeriesMarkers(this.price.series, []);
        const moved = () => {
            this.follows = this.chart.timeScale().scrollPosition() > -5;
            onScroll(this.follows);
        };
        this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => { this.markersDirty = true; });
        for (const name of ['wheel', 'pointermove', 'pointerup'])
            box.addEventListener(name, (event) => {
                if (name !== 'pointermove' || (event as PointerEvent).buttons !== 0)
                    requestAnimationFrame(moved);
            }, { passive: true });
        box.addEventListener('keydown', (event) => {
            this.key(event);
            moved();
        });
        this.theme();
    }

    private addLine(name: string, color: string, lineStyle: LineStyle, lineWidth: 1 | 2): Line {
        const series = this.chart.addSeries(LineSeries, {
            lineStyle, lineWidth, title: name === 'price' ? '' : name, priceLineVisible: false,
            crosshairMarkerRadius: 3, lastPriceAnimation: 0,
        });
        return { name, series, points: new Map(), color, pale: color, dirty: true };
    }

    windows(names: string[]) {
        const styles = [LineStyle.Solid, LineStyle.Dashed, LineStyle.Dotted, LineStyle.LargeDashed];
        this.clear();
        for (const line of this.lines)
            this.chart.removeSeries(line.series);
        this.lines = names.map((name, i) => this.addLine(name, `--w${i}`, styles[i] ?? LineStyle.Solid, 2));
        const marked = this.lines[Math.min(1, this.lines.length - 1)];
        this.markers = marked ? createSeriesMarkers(marked.series, []) : null;
        this.theme();
    }

    precision(price: number, average: number) {
        for (const line of [this.price, ...this.lines]) {
            const precision = line === this.price ? price : average;
            line.series.applyOptions({ priceFormat: { type: 'price', precision, minMove: Number((10 ** -precision).toFixed(precision)) } });
        }
    }

    clear() {
        for (const line of [this.price, ...this.lines]) {
            line.points.clear();
            line.series.setData([]);
            line.dirty = true;
        }
        this.corrections.clear();
        this.suspects.clear();
        this.last = 0;
        this.first = Infinity;
        this.placed = false;
        this.follows = true;
        this.markersDirty = true;
    }

    theme() {
        for (const line of [this.price, ...this.lines]) {
            const name = line === this.price ? '--text2' : `--w${this.lines.indexOf(line)}`;
            line.color = token(name);
            line.pale = line.color + '8c'; // 55 %
            line.series.applyOptions({ color: line.color });
            line.dirty = true;
        }
        this.chart.applyOptions({
            layout: { background: { color: token('--panel') }, textColor: token('--text2'), attributionLogo: false, fontSize: 11,
                      fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace' },
            grid: { vertLines: { color: token('--raised') }, horzLines: { color: token('--raised') } },
            rightPriceScale: { borderColor: token('--line') },
            timeScale: { borderColor: token('--line') },
        });
        this.markersDirty = true;
    }

    private put(line: Line, second: number, value: number, full: boolean, order: number) {
        if (second <= this.last - keptSeconds)
            return;
        line.points.set(second, { value, full, order });
        line.dirty = true;
        this.first = Math.min(this.first, second);
        if (second > this.last) {
            this.last = second;
            this.price.dirty = true; // its grid reaches further
        }
    }

    // The last trade of a second stands for it. They come in any order: REST tells older ones later.
    trade(atMs: number, number: number, price: number) {
        const second = Math.floor(atMs / 1000);
        const order = atMs * 1e-3 - second + number * 1e-12;
        if (order >= (this.price.points.get(second)?.order ?? 0))
            this.put(this.price, second, price, true, order);
    }

    average(name: string, second: number, value: number, validated: boolean) {
        const line = this.lines.find((one) => one.name === name);
        const before = line?.points.get(second);
        if (line && !(before?.full && !validated))
            this.put(line, second, value, validated, 0);
    }

    correction(name: string, second: number) {
        if (name !== this.lines[Math.min(1, this.lines.length - 1)]?.name)
            return;
        this.corrections.set(second, (this.corrections.get(second) ?? 0) + 1);
        this.markersDirty = true;
    }

    suspect(second: number, price: number) {
        this.suspects.set(second, price);
        this.markersDirty = true;
    }

    now() {
        this.follows = true;
        this.place();
    }

    private key(event: KeyboardEvent) {
        const scale = this.chart.timeScale();
        const range = scale.getVisibleLogicalRange();
        const step = range ? (range.to - range.from) / 10 : 0;
        if (!range)
            return;
        if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
            const by = event.key === 'ArrowLeft' ? -step : step;
            scale.setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
        } else if (event.key === '+' || event.key === '-') {
            scale.setVisibleLogicalRange({ from: range.from + (event.key === '+' ? step : -step), to: range.to });
        } else if (event.key === 'End') {
            this.now();
        } else {
            return;
        }
        event.preventDefault();
    }

    private place() {
        const scale = this.chart.timeScale();
        const range = scale.getVisibleLogicalRange();
        const bars = this.last - Math.max(this.first, this.last - keptSeconds + 1) + 1;
        const width = this.placed && range ? range.to - range.from : Math.min(shownSeconds, Math.max(bars, 60)) + 4;
        this.placed = this.placed || bars >= shownSeconds;
        scale.setVisibleLogicalRange({ from: bars + 4 - width, to: bars + 4 });
    }

    summary(): string {
        const last = this.price.points.get(this.last)?.value;
        return this.last === 0 ? 'Chart, no data yet'
            : `Chart to ${clock(this.last * 1000)} UTC, ${this.lines.map((line) => line.name).join(', ')} averages` +
              `${last === undefined ? '' : `, last price ${last}`}, ${this.corrections.size} corrected marks`;
    }

    // Called some times a second: only lines that changed are given anew, whole, for older points change as often as new ones come.
    paint() {
        const from = Math.max(this.first, this.last - keptSeconds + 1);
        if (this.last === 0)
            return;
        for (const line of [this.price, ...this.lines]) {
            if (!line.dirty)
                continue;
            line.dirty = false;
            for (const second of line.points.keys())
                if (second < from)
                    line.points.delete(second);
            line.series.setData(line === this.price ? this.priceData(line, from) : this.averageData(line, from));
        }
        if (this.follows)
            this.place();
        if (this.markersDirty)
            this.paintMarkers(from);
    }

    private priceData(line: Line, from: number): (LineData | WhitespaceData)[] {
        const data: (LineData | WhitespaceData)[] = [];
        let carried: Point | undefined;
        let age = 0;
        for (let second = from; second <= this.last; second++) {
            const point = line.points.get(second);
            age = point ? 0 : age + 1;
            carried = point ?? (age <= carryMax ? carried : undefined);
            const ends = age === carryMax && !line.points.has(second + 1) && second < this.last;
            data.push(!carried ? { time: second as UTCTimestamp }
                : { time: second as UTCTimestamp, value: carried.value, ...(ends ? { color: 'transparent' } : {}) });
        }
        return data;
    }

    // A point's colour is that of the part of the line behind it, so the last one before a gap has none.
    private averageData(line: Line, from: number): (LineData | WhitespaceData)[] {
        const data: (LineData | WhitespaceData)[] = [];
        for (let second = from; second <= this.last; second++) {
            const point = line.points.get(second);
            if (!point) {
                data.push({ time: second as UTCTimestamp });
                continue;
            }
            const color = second < this.last && !line.points.has(second + 1) ? 'transparent' : point.full ? line.color : line.pale;
            data.push({ time: second as UTCTimestamp, value: point.value, color });
        }
        return data;
    }

    private paintMarkers(from: number) {
        const spacing = this.chart.timeScale().options().barSpacing;
        const width = Math.max(1, Math.ceil(markerPx / spacing));
        const groups = new Map<number, { second: number; count: number }>();
        this.markersDirty = false;
        for (const kept of [this.corrections, this.suspects])
            for (const second of kept.keys())
                if (second < from)
                    kept.delete(second);
        for (const second of this.corrections.keys()) {
            const group = groups.get(second - (second % width)) ?? { second, count: 0 };
            group.second = Math.max(group.second, second);
            group.count++;
            groups.set(second - (second % width), group);
        }
        const squares: SeriesMarker<Time>[] = [...groups.values()].sort((a, b) => a.second - b.second).slice(-markersMax)
            .map(({ second, count }) => ({ time: second as UTCTimestamp, position: 'aboveBar', shape: 'square', color: token('--warn'),
                                           size: 0.25, ...(count > 1 ? { text: String(count) } : {}) }));
        const rings: SeriesMarker<Time>[] = [...this.suspects].sort((a, b) => a[0] - b[0]).slice(-markersMax)
            .map(([second]) => ({ time: second as UTCTimestamp, position: 'belowBar', shape: 'circle', color: token('--down'), size: 0.5 }));
        this.markers?.setMarkers(squares);
        this.rings.setMarkers(rings);
        this.box.setAttribute('aria-label', this.summary());
    }
}
