// The strip about the feed: is it connected, how fast is what it gives, what was wrong with it.
import { attribute, el, put, text } from '../dom';
import { clockOf, count, ms, span, zoneName } from '../text';
import type { FeedStats, Link } from '../wire';

const counters: [keyof FeedStats | 'skew', string][] = [
    ['received', 'received'], ['invalid', 'invalid'], ['repeated', 'repeated'], ['reordered', 'reordered'], ['missing', 'missing'],
    ['repaired', 'repaired'], ['suspect', 'suspect'], ['lost', 'lost'], ['corrected', 'REST changed'], ['rest_invalid', 'REST invalid'],
    ['rest_failures', 'REST failing'], ['skew', 'clock skew'],
];
const rateMs = 5000;

export interface Trip { feed: number; house: number; screen: number } // ms of a trade: venue to receive, to publish, to this page

export class Feed {
    readonly box: HTMLElement;
    stats: FeedStats | null = null;
    venueStats: FeedStats | null = null;
    link: Link | null = null;
    trip: Trip | null = null;
    heardAt = 0; // ms of this page's clock, when anything was last heard of the feed
    private rate: { received: number; at: number; perSecond: number | null } | null = null;
    private linkText = text();
    private linkBox = el('span', { class: 'link-state' }, this.linkText);
    private trips = { feed: text('–'), house: text('–'), screen: text('–') };
    private cells = new Map<string, { value: Text; box: HTMLElement }>();

    constructor(venue: string) {
        const trip = (name: string, node: Text) => el('span', { class: 'trip' }, `${name} `, el('b', { class: 'num' }, node));
        const list = el('dl', { class: 'counters' });
        for (const [key, name] of counters) {
            const value = text('–');
            const box = el('div', { class: key === 'skew' ? 'skew' : '' }, el('dt', {}, name), el('dd', { class: 'num' }, value));
            this.cells.set(key, { value, box });
            list.append(box);
        }
        this.box = el('div', {}, el('div', { class: 'head' }, el('h2', {}, `Feed ${venue}`), this.linkBox, el('span', { class: 'grow' }),
            trip('venue → receive', this.trips.feed), trip('receive → publish', this.trips.house), trip('publish → screen', this.trips.screen)), list);
    }

    onStats(stats: FeedStats, publishMs: number) {
        const before = this.rate;
        const seconds = before ? (publishMs - before.at) / 1000 : 0;
        if (!before || seconds * 1000 >= rateMs)
            this.rate = { received: stats.received, at: publishMs, perSecond: before ? Math.max(0, (stats.received - before.received) / seconds) : null };
        this.stats = stats;
    }

    onLink(link: Link) {
        if (!this.link || link.receive_time >= this.link.receive_time)
            this.link = link;
    }

    isConnected(): boolean {
        return this.link === null || this.link.state === 'connected';
    }

    paint() {
        const link = this.link;
        const bad = !this.isConnected();
        const perSecond = this.rate?.perSecond;
        attribute(this.linkBox, 'class', `link-state ${bad ? 'warn' : ''}`);
        if (link && bad)
            put(this.linkText, `⚠ ${link.state}${link.reason ? `: ${link.reason}` : ''} since ${clockOf(link.receive_time)} ${zoneName()}, try ${link.attempt}`);
        else if (link)
            put(this.linkText, `● connected since ${clockOf(link.receive_time)} ${zoneName()}${perSecond == null ? '' : ` · ${count(Math.round(perSecond))} trades/s`}`);
        if (this.trip) {
            put(this.trips.feed, this.trip.feed < 0 ? `clock skew ${span(this.trip.feed)}` : span(this.trip.feed));
            put(this.trips.house, span(this.trip.house));
            put(this.trips.screen, this.trip.screen < 0 ? `clock skew ${span(this.trip.screen)}` : span(this.trip.screen));
        }
        this.paintCounters();
    }

    private paintCounters() {
        const stats = this.stats;
        if (!stats)
            return;
        for (const [key] of counters) {
            const { value, box } = this.cells.get(key)!;
            const number = key === 'skew' ? 0 : Number(stats[key]) + (key === 'invalid' ? this.venueStats?.invalid ?? 0 : 0);
            const bad = (key === 'missing' && stats.missing > stats.repaired + stats.lost) || ((key === 'lost' || key === 'rest_failures') && number > 0);
            put(value, key === 'skew' ? `${span(stats.skew_min / 1e6)} … ${span(stats.skew_max / 1e6)}` : count(number));
            box.classList.toggle('bad', bad);
        }
    }

    // What is hatched on the chart: from each time the link broke until REST has confirmed the time after it came back.
    outages(links: Link[]): { from: number; to: number }[] {
        const confirmed = this.stats ? ms(this.stats.validated_until) : 0;
        const found: { from: number; to: number }[] = [];
        let down: number | null = null;
        for (const link of [...links].sort((a, b) => a.receive_time.localeCompare(b.receive_time))) {
            const at = ms(link.receive_time);
            if (link.state === 'connected' && down !== null) {
                if (confirmed < at)
                    found.push({ from: down / 1000, to: at / 1000 });
                down = null;
            } else if (link.state !== 'connected' && link.state !== 'connecting' && down === null) {
                down = at;
            }
        }
        if (down !== null)
            found.push({ from: down / 1000, to: Date.now() / 1000 });
        return found;
    }
}
