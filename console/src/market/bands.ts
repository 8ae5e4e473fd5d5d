// Hatched bands over stretches of time of which something is missing, with what is missing written on top.
import type { IChartApi, IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesPrimitive, Logical, SeriesAttachedParameter, Time } from 'lightweight-charts';

export interface Band { from: number; to: number; label: string } // seconds

const strideAt = 7; // px between the lines of the hatch
const labelPx = 56; // a narrower band goes without its label

export class Bands implements ISeriesPrimitive<Time> {
    private chart: IChartApi | null = null;
    private update: () => void = () => {};
    private bands: Band[] = [];
    color = '';

    // `logical`: place of a second on the chart's axis.
    constructor(private logical: (second: number) => number, private hasLabels: boolean) {}

    attached({ chart, requestUpdate }: SeriesAttachedParameter<Time>) {
        this.chart = chart as IChartApi;
        this.update = requestUpdate;
    }

    set(bands: Band[]) {
        this.bands = bands;
        this.update();
    }

    paneViews(): readonly IPrimitivePaneView[] {
        return [{ zOrder: () => 'bottom', renderer: () => this.renderer() }];
    }

    private renderer(): IPrimitivePaneRenderer {
        return { draw: (target) => target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio }) => {
            const scale = this.chart?.timeScale();
            for (const band of this.bands) {
                const x = (second: number) => (scale?.logicalToCoordinate(this.logical(second) as Logical) ?? 0) * ratio;
                const left = Math.max(0, Math.min(x(band.from), x(band.to) - 3 * ratio));
                const right = Math.min(bitmapSize.width, x(band.to));
                if (right <= left)
                    continue;
                context.save();
                context.beginPath();
                context.rect(left, 0, right - left, bitmapSize.height);
                context.clip();
                context.strokeStyle = this.color;
                context.globalAlpha = 0.45;
                context.lineWidth = ratio;
                context.beginPath();
                for (let at = left - (left % (strideAt * ratio)) - bitmapSize.height; at < right; at += strideAt * ratio) {
                    context.moveTo(at, bitmapSize.height);
                    context.lineTo(at + bitmapSize.height, 0);
                }
                context.stroke();
                context.globalAlpha = 1;
                context.fillStyle = this.color;
                context.font = `${11 * ratio}px system-ui, sans-serif`;
                if (this.hasLabels && right - left > labelPx * ratio)
                    context.fillText(band.label, left + 4 * ratio, 16 * ratio);
                context.restore();
            }
        }) };
    }
}
