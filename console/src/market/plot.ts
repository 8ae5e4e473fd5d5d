// What one series of the chart has been given. The library takes a point of its own where it is the newest, the next, or one that is
// there already; anything else is given whole, which merges the times of all series and is a hundred times as slow.
import type { ISeriesApi, SeriesDataItemTypeMap, Time } from 'lightweight-charts';

const touchedMax = 64; // more than that at once is given whole

export class Plot<Kind extends 'Line' | 'Histogram'> {
    isDirty = true; // has to be given whole
    private steps = new Set<number>(); // that have a value
    private touched = new Set<number>();
    private last = 0; // newest step that was given
    private end = 0; // the same, with what is touched

    constructor(readonly series: ISeriesApi<Kind>) {}

    // The value of a step is another one.
    touch(at: number, step: number) {
        const isIn = this.touched.has(at) || this.steps.has(at) || at === this.end || at === this.end + step;
        if (this.isDirty || !isIn || this.touched.size >= touchedMax) {
            this.isDirty = true;
            return;
        }
        this.touched.add(at);
        this.end = Math.max(this.end, at);
    }

    give(data: SeriesDataItemTypeMap<Time>[Kind][]) {
        this.series.setData(data);
        this.steps = new Set(data.filter((one) => 'value' in one).map(({ time }) => Number(time)));
        this.last = this.end = data.length === 0 ? 0 : Number(data[data.length - 1]!.time);
        this.touched.clear();
        this.isDirty = false;
    }

    // Give what was touched; the newest step that the series has now.
    giveTouched(point: (at: number) => SeriesDataItemTypeMap<Time>[Kind] | null): number {
        for (const at of [...this.touched].sort((a, b) => a - b)) {
            const one = point(at);
            if (!one)
                continue;
            this.series.update(one, at < this.last);
            this.steps.add(at);
            this.last = Math.max(this.last, at);
        }
        this.touched.clear();
        return this.last;
    }
}
