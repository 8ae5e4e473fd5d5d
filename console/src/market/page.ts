// Market: what is it worth now, since when is that certain, who trades.
import { actions } from '../actions';
import { attribute, className, el, hide, put, text } from '../dom';
import { openDrawer } from '../drawer';
import { curl, quoted, showEvent } from '../evidence';
import { everyFrame, rank } from '../frame';
import { call, house, isCatchingUp, isDown, leave, listen, settle, type Listener } from '../house';
import type { Condition, OpenPage, Page } from '../page';
import { goInstead, go, marketPath, remember, type Route } from '../route';
import { copy } from '../copy';
import { onSettings, store, stored } from '../settings';
import { compare, decimals } from '../decimal';
import { age, clock, count, decimal, ms, several, zoneName } from '../text';
import type { Answer, Channel, Correction, HouseEvent, Instrument, Link, Trade, Vwap, Want } from '../wire';
import type { Band } from './bands';
import type { PriceChart, Reading } from './chart';
import { Corrections } from './corrections';
import { Feed } from './feed';
import { Ladder } from './ladder';
import { label, picksOf, wantsOf, type Pick } from './symbols';
import { Tape } from './tape';

const figureMs = 50;
const ladderMs = 50;
const tapeMs = 100;
const chartMs = 250;
const slowMs = 500;
const quietMs = 2000;
const staleMs = 30000; // longer than a venue is let be silent: then we can not know
const averageLateMs = 3000; // behind market time
const catchUpMs = 8000;
const historyPoints = 2000;
const tableRows = 200;
const steps: [string, number][] = [['1s', 1], ['1m', 60], ['5m', 300], ['1h', 3600], ['1d', 86400]];
const tabs = ['Chart', 'Ladder', 'Tape', 'Feed'];
const swatches = ['', 'dash', 'dot', 'dash'];

interface Average {
    newest: HouseEvent | null; validated: Vwap | null;
    value: Text; unit: Text; tag: HTMLElement; note: Text; until: Text; box: HTMLElement;
}

class Market implements Page {
    title: string;
    keys: Page['keys'];
    private listener: Listener;
    private stops: (() => void)[] = [];
    private chart: PriceChart | null = null;
    private pending: ((chart: PriceChart) => void)[] = []; // what came before the chart was there
    private averages = new Map<string, Average>();
    private feed: Feed;
    private tape: Tape;
    private ladder: Ladder;
    private corrections: Corrections;
    private instrument: Instrument | null = null;
    private price: HouseEvent | null = null;
    private before: string | null = null; // the price before it, where it differed
    private priceScale = 0;
    private links: Link[] = [];
    private lossesDrawn = -1;
    private losses: Band[] = [];
    private outagesDrawn = '';
    private paused = false;
    private hasHistory = false;
    private hasSnapshots = false;
    private chartShown = false; // a line that is still being replayed is not drawn piece by piece
    private step = 1;
    private asking = false;
    private oldest: number | null = null; // first second that the store has, once it said so
    private openedAt = Date.now();

    private texts = { price: text('–'), unit: text(), note: text('waiting for the first trade'), arrow: text(), corrections: text('0 corrections ▸'), reading: text(), foot: text(), change: text() };
    private priceBox = el('div', { class: 'figure price', tabindex: 0 });
    private arrow = el('span', { class: 'arrow', 'aria-hidden': 'true' }, this.texts.arrow);
    private arrowWord = text();
    private nowButton = el('button', { type: 'button', class: 'small', hidden: true, click: () => this.chart?.now() }, '⟲ now');
    private chartBox = el('div', { class: 'chart', role: 'group', tabindex: 0, 'aria-label': 'Chart, no data yet', 'aria-keyshortcuts': 'ArrowLeft ArrowRight + - Home End t' });
    private stepButtons: HTMLButtonElement[] = [];

    constructor(private box: HTMLElement, private pick: Pick, route: Route) {
        this.title = `${pick.symbol}`;
        this.feed = new Feed(pick.venue ?? '');
        this.tape = new Tape(pick.symbol);
        this.ladder = new Ladder(pick);
        this.corrections = new Corrections(() => this.averageScale());
        this.step = steps.find(([name]) => name === route.query.get('bar'))?.[1] ?? 1;
        this.build(route);
        this.keys = this.keyTable();
        this.listener = { wants: [], patterns: ['vwap.>', `book.${this.pick.key}`], onEvent: (event) => this.onEvent(event), onChannels: (channels) => this.onChannels(channels) };
        listen(this.listener);
        void this.begin(route);
        this.stops.push(
            everyFrame(figureMs, rank.price, () => this.paintFigures()),
            everyFrame(ladderMs, rank.ladder, (now) => { if (!this.paused) this.ladder.paint(now, isDown()); }, true),
            everyFrame(tapeMs, rank.tape, (now) => { if (!this.paused) this.tape.paint(now, this.priceScale, this.instrument?.quantity_scale ?? 0); }, true),
            everyFrame(chartMs, rank.chart, (now) => this.paintChart(now)),
            everyFrame(slowMs, rank.rest, () => this.paintSlow()),
            onSettings(() => this.chart?.theme()));
    }

    // What there is decides how much of the past is replayed; the chart's code comes meanwhile.
    private async begin(route: Route) {
        const chartCode = import('./chart');
        const list = await actions();
        this.hasHistory = list.some((one) => one.action === 'vwap.history' && one.available);
        this.hasSnapshots = list.some((one) => one.action === 'book.snapshot' && one.available);
        this.ladder.onChannels([...house.channels.values()], this.hasSnapshots);
        this.listener.wants = [...wantsOf(this.pick, this.hasHistory), ...this.ladder.wants];
        settle();
        const { PriceChart: Chart } = await chartCode;
        if (!this.box.isConnected || this.stops.length === 0)
            return;
        this.chart = new Chart(this.chartBox, {
            onScroll: (atNow) => this.onScroll(atNow),
            onReading: (reading) => this.showReading(reading),
            onOldest: (second) => { void this.askOlder(second); },
        });
        this.chart.windows(this.pick.windows);
        this.chart.resolution(this.step);
        this.applyWindows(route.query.get('windows')?.split(',') ?? null);
        this.pending.forEach((give) => give(this.chart!));
        this.pending = [];
        await this.askRecent();
        const [from, to] = [Number(route.query.get('from')), Number(route.query.get('to'))];
        if (from > 0 && to > from)
            this.look(from, to);
    }

    private withChart(give: (chart: PriceChart) => void) {
        if (this.chart)
            give(this.chart);
        else
            this.pending.push(give);
    }

    leave() {
        this.stops.forEach((stop) => stop());
        this.stops = [];
        leave(this.listener);
        this.chart?.close();
    }

    uses() {
        return { channels: this.listener.wants.map((want) => want.channel), actions: ['node.actions', 'vwap.history', 'trades.history', ...this.ladder.actions] };
    }

    // ---- parts ----

    private build(route: Route) {
        const { pick, texts } = this;
        const windows = el('div', { class: 'windows' }, ...pick.windows.map((window, i) => this.windowBox(window, i)));
        this.priceBox.append(
            el('div', { class: 'pickers' }, this.symbolPicker(), this.venuePicker()),
            el('p', { class: 'value' }, el('span', { class: 'num' }, texts.price), el('span', { class: 'unit' }, texts.unit), this.arrow, el('span', { class: 'hidden' }, this.arrowWord)),
            el('p', { class: 'note num' }, texts.note));
        this.priceBox.addEventListener('click', (event) => { if (!(event.target as Element).closest('select')) this.showPriceEvidence(); });
        this.priceBox.addEventListener('keydown', (event) => { if (event.key === 'Enter' && event.target === this.priceBox) this.showPriceEvidence(); });
        const corrections = el('button', { type: 'button', class: 'corrections num', click: () => this.corrections.open() }, texts.corrections);
        const tab = tabs.find((name) => name === route.query.get('tab')) ?? 'Chart';
        this.box.dataset['tab'] = tab;
        this.box.append(
            el('h1', { class: 'hidden' }, `${pick.symbol}, ${pick.venue ?? 'all venues'}`),
            el('section', { class: 'panel band', 'aria-label': 'Price and averages' }, this.priceBox, windows, corrections),
            this.tabList(tab),
            el('section', { class: 'panel chart-panel', 'data-tab': 'Chart', 'aria-label': 'Chart' }, this.chartHead(), this.chartBox,
               el('p', { class: 'foot' }, el('span', {}, texts.foot), el('span', { class: 'grow' }), el('a', { href: 'https://www.tradingview.com/', rel: 'noreferrer' }, 'Charts by TradingView'))),
            el('section', { class: 'panel ladder', 'data-tab': 'Ladder', 'aria-label': 'Ladder' }, this.ladder.box),
            el('section', { class: 'panel tape', 'data-tab': 'Tape', 'aria-label': 'Trades' }, this.tape.box),
            el('section', { class: 'panel feed', 'data-tab': 'Feed', 'aria-label': 'Feed' }, this.feed.box));
        this.chartBox.addEventListener('keydown', (event) => this.chartKey(event));
        this.chartBox.addEventListener('blur', () => this.chart?.clearCursor());
    }

    private tabList(first: string): HTMLElement {
        const list = el('div', { class: 'tabs', role: 'group', 'aria-label': 'Part of the page' });
        list.append(...tabs.map((name) => el('button', { type: 'button', 'aria-pressed': String(name === first), click: (event: Event) => {
            this.box.dataset['tab'] = name;
            for (const button of list.children)
                attribute(button, 'aria-pressed', String(button === event.currentTarget));
            remember({ tab: name === 'Chart' ? null : name });
        } }, name)));
        return list;
    }

    private symbolPicker(): HTMLElement {
        const select = el('select', { id: 'symbol', class: 'symbol', change: () => go(marketPath(...(JSON.parse(select.value) as [string | null, string]))) });
        const fill = () => {
            const picks = picksOf(house.channels.values());
            const same = picks.length === select.options.length && picks.every((one, i) => select.options[i]!.dataset['key'] === one.key);
            if (same || picks.length === 0)
                return;
            select.replaceChildren(...picks.map((one) => {
                const option = new Option(label(one), JSON.stringify([one.venue, one.symbol]), false, one.key === this.pick.key);
                option.dataset['key'] = one.key;
                return option;
            }));
        };
        select.append(new Option(label(this.pick), JSON.stringify([this.pick.venue, this.pick.symbol])));
        this.stops.push(everyFrame(slowMs, rank.rest, fill));
        return el('label', {}, el('span', { class: 'hidden' }, 'Symbol'), select);
    }

    private venuePicker(): HTMLElement {
        return el('span', { class: 'note' }, this.pick.venue === null ? 'composite of all venues' : '');
    }

    private windowBox(window: string, i: number): HTMLElement {
        const made = { newest: null, validated: null, value: text('–'), unit: text(), note: text('no value yet'), until: text(), tag: el('span', { class: 'tag' }) };
        const box = el('div', { class: 'figure', tabindex: 0, role: 'button' },
            el('h2', {}, el('span', { class: `swatch c${i} ${swatches[i] ?? ''}`, 'aria-hidden': 'true' }), `VWAP ${window} `, made.tag),
            el('p', { class: 'value' }, el('span', { class: 'num' }, made.value), el('span', { class: 'unit' }, made.unit)),
            el('p', { class: 'note num' }, made.note), el('p', { class: 'note num' }, made.until));
        box.onclick = () => this.showAverageEvidence(window);
        box.onkeydown = (event) => { if (event.key === 'Enter') this.showAverageEvidence(window); };
        this.averages.set(window, { ...made, box });
        return box;
    }

    private chartHead(): HTMLElement {
        this.stepButtons = steps.map(([name, seconds], i) => el('button', { type: 'button', class: 'small', 'aria-pressed': String(seconds === this.step), 'aria-keyshortcuts': String(i + 1),
                                                                           click: () => this.setStep(seconds) }, name));
        const toggles = this.pick.windows.map((window, i) => {
            const input = el('input', { type: 'checkbox', 'data-window': window, change: () => { this.chart?.show(window, input.checked); this.rememberWindows(); } });
            input.checked = true;
            return el('label', { class: 'check' }, input, el('span', { class: `swatch c${i} ${swatches[i] ?? ''}`, 'aria-hidden': 'true' }), window);
        });
        return el('div', { class: 'head chart-head' },
            el('div', { class: 'group', role: 'group', 'aria-label': 'Interval of a point' }, ...this.stepButtons),
            el('div', { class: 'group checks', role: 'group', 'aria-label': 'Windows shown' }, el('span', { class: 'note' }, 'VWAP'), ...toggles),
            el('span', { class: 'reading num' }, this.texts.reading), this.nowButton);
    }

    private windowInputs(): HTMLInputElement[] {
        return [...this.box.querySelectorAll<HTMLInputElement>('input[data-window]')];
    }

    private applyWindows(shown: string[] | null) {
        if (shown)
            for (const input of this.windowInputs()) {
                input.checked = shown.includes(input.dataset['window']!);
                this.chart?.show(input.dataset['window']!, input.checked);
            }
    }

    private rememberWindows() {
        const inputs = this.windowInputs();
        const shown = inputs.filter((input) => input.checked).map((input) => input.dataset['window']);
        remember({ windows: shown.length === inputs.length ? null : shown.join(',') || '-' });
    }

    // ---- keys ----

    private keyTable(): Page['keys'] {
        const next = (by: number) => () => {
            const picks = picksOf(house.channels.values());
            const at = picks.findIndex((one) => one.key === this.pick.key);
            const one = picks[(at + by + picks.length) % picks.length];
            if (one)
                go(marketPath(one.venue, one.symbol));
        };
        return [
            { keys: '[', text: 'previous symbol', run: next(-1) }, { keys: ']', text: 'next symbol', run: next(1) },
            ...steps.map(([name, seconds], i) => ({ keys: String(i + 1), text: `one point each ${name}`, run: () => this.setStep(seconds) })),
            { keys: 'ArrowLeft', text: 'on the chart: cursor to older', run: () => this.chart?.moveCursor(-1) },
            { keys: 'ArrowRight', text: 'on the chart: cursor to newer', run: () => this.chart?.moveCursor(1) },
            { keys: '+', text: 'zoom in', run: () => this.chart?.zoom(0.7) }, { keys: '-', text: 'zoom out', run: () => this.chart?.zoom(1 / 0.7) },
            { keys: 'Home', text: 'oldest', run: () => this.chart?.oldest() }, { keys: 'End', text: 'now', run: () => this.chart?.now() },
            { keys: 'p', text: 'pause ladder and trades; intake goes on', run: () => { this.paused = !this.paused; this.box.classList.toggle('paused', this.paused); } },
            { keys: 'c', text: 'ladder: price back to the middle', run: () => this.ladder.recentre() },
            { keys: 't', text: 'the chart as a table', run: () => this.showTable() },
            { keys: 'y', text: 'copy the price with unit and time', run: () => { void this.copyPrice(); } },
        ];
    }

    private chartKey(event: KeyboardEvent) {
        const key = this.keys.find((one) => one.keys === event.key);
        if (!key || !['ArrowLeft', 'ArrowRight', '+', '-', 'Home', 'End'].includes(event.key))
            return;
        event.preventDefault();
        key.run(event);
    }

    private async copyPrice() {
        const trade = this.price?.data as Trade | undefined;
        if (trade)
            await copy(`${trade.price} ${this.unit()} ${trade.venue_time}`);
    }

    // ---- events ----

    private onChannels(channels: Channel[]) {
        const same = picksOf(channels).find((one) => one.key === this.pick.key);
        if (same && same.windows.join() !== this.pick.windows.join())
            go(location.pathname + location.search);
        if (this.listener.wants.length > 0 && this.ladder.onChannels(channels, this.hasSnapshots)) {
            this.listener.wants = [...this.listener.wants, ...this.ladder.wants];
            settle();
        }
    }

    private onEvent(event: HouseEvent) {
        const publishMs = ms(event.publish_time);
        const parts = event.channel.split('.');
        if (event.data === null)
            return;
        if (publishMs > this.openedAt)
            this.feed.heardAt = Date.now();
        switch (event.kind) {
        case 'trade':
            this.onTrade(event, publishMs);
            break;
        case 'vwap':
            this.onAverage(parts[1]!, event);
            break;
        case 'correction': {
            const data = event.data as Correction;
            this.corrections.add(event);
            this.withChart((chart) => chart.correction(parts[1]!, Math.floor(ms(data.mark_to) / 1000)));
            break;
        }
        case 'feed_stats':
            if (parts.length === 2)
                this.feed.venueStats = event.data;
            else
                this.feed.onStats(event.data, publishMs);
            break;
        case 'link':
            this.links.push(event.data as Link);
            this.feed.onLink(event.data as Link);
            break;
        case 'instrument':
            this.instrument = event.data as Instrument;
            this.priceScale = this.instrument.price_scale;
            this.tape.units(this.instrument.base, this.instrument.quote);
            this.ladder.scales(this.instrument);
            break;
        default:
            this.ladder.onEvent(event);
        }
    }

    private onTrade(event: HouseEvent, publishMs: number) {
        const trade = event.data as Trade;
        const newest = this.price?.data as Trade | undefined;
        this.tape.add(event);
        if (trade.suspect && !trade.validated) {
            this.withChart((chart) => chart.suspect(Math.floor(ms(trade.venue_time) / 1000), trade.price));
            return;
        }
        this.priceScale = Math.max(this.priceScale, decimals(trade.price));
        this.withChart((chart) => chart.trade(ms(trade.venue_time), trade.trade_number % 1e6, trade.price));
        if (newest && (trade.venue_time < newest.venue_time || (trade.venue_time === newest.venue_time && trade.trade_number < newest.trade_number)))
            return; // REST tells of an older one
        if (newest && newest.price !== trade.price)
            this.before = newest.price;
        this.price = event;
        if (trade.revision === 1 && !trade.validated && publishMs > this.openedAt)
            this.feed.trip = { feed: ms(trade.receive_time) - ms(trade.venue_time), house: publishMs - ms(trade.receive_time), screen: Date.now() - publishMs };
    }

    private onAverage(window: string, event: HouseEvent) {
        const vwap = event.data as Vwap;
        const average = this.averages.get(window);
        const newest = average?.newest?.data as Vwap | undefined;
        if (!average)
            return;
        if (!newest || vwap.mark > newest.mark || (vwap.mark === newest.mark && vwap.revision >= newest.revision))
            average.newest = event;
        if (vwap.validated && (!average.validated || vwap.mark >= average.validated.mark))
            average.validated = vwap;
        this.withChart((chart) => chart.average(window, Math.floor(ms(vwap.mark) / 1000), vwap.price, vwap.validated));
    }

    // ---- how it is ----

    private averageScale(): number {
        let scale = this.priceScale + 2;
        for (const { newest } of this.averages.values())
            scale = Math.max(scale, newest ? decimals((newest.data as Vwap).price) : 0);
        return scale;
    }

    private unit(): string {
        const quote = this.pick.symbol.includes('/') ? this.pick.symbol.split('/')[1]!.split(':')[0]! : '';
        return this.instrument?.quote || quote || 'quote';
    }

    condition(): [Condition, string] {
        const trade = this.price?.data as Trade | undefined;
        if (this.pick.venue === null) {
            const newest = [...this.averages.values()].map((one) => one.newest).filter((one) => one !== null);
            const at = Math.max(...newest.map((one) => ms(one.publish_time)));
            return newest.length === 0 ? ['waiting', ''] : Date.now() - at > staleMs ? ['stale', age(Date.now() - at)] : ['live', ''];
        }
        if (!this.feed.isConnected())
            return ['stale', this.feed.link!.state];
        if (!trade)
            return ['waiting', ''];
        const behind = this.feed.stats ? ms(this.feed.stats.market_time) - ms(trade.venue_time) : 0;
        if (behind > averageLateMs) // older trades are still being replayed
            return ['behind', age(behind)];
        const now = Date.now();
        const heard = Math.max(ms(this.price!.publish_time), this.feed.heardAt, this.ladder.heardAt);
        const quiet = now - ms(this.price!.publish_time);
        if (now - heard > staleMs || (this.ladder.isStale() && now - heard > quietMs))
            return ['stale', age(now - heard)];
        return quiet > quietMs ? ['quiet', age(quiet)] : ['live', ''];
    }

    // ---- history ----

    private setStep(seconds: number) {
        this.step = seconds;
        this.oldest = null;
        this.stepButtons.forEach((button, i) => attribute(button, 'aria-pressed', String(steps[i]![1] === seconds)));
        remember({ bar: seconds === 1 ? null : steps.find((one) => one[1] === seconds)![0], from: null, to: null });
        this.chart?.resolution(seconds);
        void this.askRecent();
    }

    private askRecent(): Promise<void> {
        return this.askOlder(Math.ceil(Date.now() / 1000));
    }

    // The steps before `second`, as many as are worth asking at once, of every line. The step that the house chooses may be finer.
    private async askOlder(second: number) {
        const step = this.step;
        const from = second - historyPoints * step;
        const whole = { from: new Date(from * 1000).toISOString(), to: new Date(second * 1000).toISOString(), points: historyPoints, symbol: this.pick.symbol, venue: this.pick.venue ?? '' };
        if (!this.hasHistory || this.asking || (this.oldest !== null && second <= this.oldest))
            return;
        this.asking = true;
        put(this.texts.foot, `Reading ${count(historyPoints)} marks before ${clock(second * 1000)} ${zoneName()} …`);
        const averages = await Promise.all(this.pick.windows.map((window) => call('vwap.history', { ...whole, window })));
        const trades = this.pick.venue === null ? null : await call('trades.history', whole);
        this.asking = false;
        if (step !== this.step || !this.chart)
            return;
        averages.forEach((answer, i) => answer.ok && this.chart!.older(this.pick.windows[i]!, answer.data.rows.map((row) => (
            { second: Math.floor(ms(row.mark) / 1000), text: row.price, full: row.validated }))));
        if (trades?.ok)
            this.chart.older('price', trades.data.rows.map((row) => ({ second: Math.floor(ms(row.time) / 1000), text: row.close, full: true })));
        this.noteHistory([...averages, ...(trades ? [trades] : [])]);
    }

    private noteHistory(answers: Answer<{ oldest: string }>[]) {
        const refused = answers.find((answer) => !answer.ok);
        const starts = answers.flatMap((answer) => (answer.ok && ms(answer.data.oldest) > 0 ? [answer.data.oldest] : []));
        if (refused && !refused.ok) {
            this.oldest = Infinity; // not again by itself: another interval asks anew
            put(this.texts.foot, `History could not be read: ${refused.message}`);
            return;
        }
        const start = starts.length > 0 ? starts.reduce((a, b) => (a < b ? a : b)) : null;
        this.oldest = start === null ? Infinity : Math.floor(ms(start) / 1000);
        put(this.texts.foot, start === null ? 'The store has no history of this symbol yet.' : `Start of history ${start.slice(0, 10)} ${clock(ms(start))} ${zoneName()}.`);
    }

    private look(from: number, to: number) {
        const step = steps.find(([, seconds]) => (to - from) / seconds <= historyPoints)?.[1] ?? 86400;
        if (step !== this.step)
            this.setStep(step);
        this.withChart((chart) => {
            chart.paint(performance.now());
            chart.look(from, to);
            this.onScroll(false);
        });
    }

    private onScroll(atNow: boolean) {
        hide(this.nowButton, atNow);
        const span = atNow ? null : this.chart?.span();
        remember({ from: span ? String(span.from) : null, to: span ? String(span.to) : null });
    }

    // ---- evidence ----

    private showPriceEvidence() {
        if (this.price)
            showEvent(this.price);
    }

    private showAverageEvidence(window: string) {
        const event = this.averages.get(window)?.newest;
        const vwap = event?.data as Vwap | undefined;
        if (!event || !vwap)
            return;
        const params: [string, string][] = [['venue', this.pick.venue ?? ''], ['symbol', this.pick.symbol], ['window', window], ['from', vwap.mark], ['to', vwap.mark]];
        showEvent(event, this.hasHistory ? [
            { label: 'This mark from the store', text: curl('/v1/vwap/history', params.filter(([, value]) => value !== '')) },
            { label: 'The same with kontor', text: `kontor call vwap.history ${params.filter(([, value]) => value !== '').map(([name, value]) => quoted(`${name}=${value}`)).join(' ')}` },
        ] : []);
    }

    private showTable() {
        const rows = this.chart?.rows(tableRows) ?? [];
        const names = rows[0]?.values.map((value) => value.name) ?? [];
        openDrawer('Chart as a table', [
            el('p', { class: 'note' }, rows.length === 0 ? 'There is nothing on the chart yet.' : `The ${several(rows.length, 'newest step', 'newest steps')} in view, in ${this.unit()}. “·” marks a provisional value.`),
            el('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Chart as a table' }, el('table', {},
                el('caption', { class: 'hidden' }, 'Chart, newest first'),
                el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, zoneName()), ...names.map((name) => el('th', { scope: 'col', class: 'r' }, name)))),
                el('tbody', {}, ...rows.map((row) => el('tr', {}, el('th', { scope: 'row', class: 'num' }, clock(row.second * 1000)),
                    ...row.values.map((value) => el('td', { class: 'r num' }, value.text === '' ? '–' : `${value.text}${value.full ? ' ' : '·'}`))))))),
        ]);
    }

    private showReading(reading: Reading | null) {
        put(this.texts.reading, reading === null ? '' : `${clock(reading.second * 1000)} ${zoneName()}  ${reading.values.map((value) => `${value.name} ${value.text}`).join('  ')}`);
    }

    // ---- painting ----

    // Room for the instrument's scale and one digit more than were seen, so that no figure moves another. Called as a first value is
    // written, together with its unit.
    private reserve(figure: HTMLElement, value: string, scale: number) {
        const width = value.split('.')[0]!.length + 2 + scale;
        if (width <= Number(figure.dataset['width'] ?? 0))
            return;
        figure.dataset['width'] = String(width);
        figure.querySelector<HTMLElement>('.value .num')!.style.minWidth = `${width}ch`;
    }

    private paintFigures() {
        const { texts } = this;
        const [condition] = this.condition();
        const stale = condition === 'stale' || isDown();
        const trade = this.price?.data as Trade | undefined;
        className(this.priceBox, `figure price ${stale ? 'stale' : ''}`);
        if (trade) {
            const moved = this.before === null ? 0 : compare(trade.price, this.before);
            put(texts.arrow, moved > 0 ? '▲' : moved < 0 ? '▼' : '');
            put(this.arrowWord, moved > 0 ? 'up' : moved < 0 ? 'down' : '');
            className(this.arrow, `arrow ${moved > 0 ? 'up' : moved < 0 ? 'down' : ''}`);
            this.reserve(this.priceBox, trade.price, this.priceScale);
            put(texts.price, decimal(trade.price, this.priceScale));
            put(texts.unit, this.unit());
            put(texts.note, this.priceNote(trade, condition));
        } else {
            put(texts.note, this.pick.venue === null ? 'a composite has averages only' : house.status?.link === 'open'
                ? `No trades of ${this.pick.symbol} yet${this.feed.link?.state === 'connected' ? `; ${this.pick.venue} is connected` : ''}` : 'waiting for the first trade');
        }
        this.paintAverages(stale);
    }

    private priceNote(trade: Trade, condition: Condition): string {
        const at = `${clock(ms(trade.venue_time))} ${zoneName()}`;
        const since = age(Date.now() - ms(this.price!.publish_time));
        if (condition === 'quiet')
            return `last trade ${at} · no trade for ${since}, feed alive`;
        if (condition === 'stale')
            return this.feed.isConnected() ? `${since} old: nothing is heard of ${this.pick.venue} since ${at}`
                : `${since} old: ${this.pick.venue} is ${this.feed.link!.state}, connecting again (try ${this.feed.link!.attempt})`;
        return `last trade ${at}`;
    }

    private paintAverages(stale: boolean) {
        const market = this.feed.stats ? ms(this.feed.stats.market_time) : 0;
        const scale = this.averageScale();
        for (const average of this.averages.values()) {
            const newest = average.newest?.data as Vwap | undefined;
            if (!newest)
                continue;
            const late = market !== 0 && market - ms(newest.mark) > averageLateMs;
            const tag = !newest.complete ? '⚠ incomplete' : newest.validated ? '✓ validated' : 'provisional';
            this.reserve(average.box, newest.price, scale);
            put(average.value, decimal(newest.price, scale));
            put(average.unit, this.unit());
            className(average.box, `figure ${late || stale ? 'stale' : ''}`);
            if (average.tag.textContent !== tag) {
                average.tag.textContent = tag;
                className(average.tag, `tag ${!newest.complete ? 'warn' : newest.validated ? 'ok' : ''}`);
            }
            put(average.note, `to ${clock(ms(newest.mark))} ${zoneName()} · ${several(newest.trades, 'trade')}${newest.revision > 1 ? ` · r${newest.revision}` : ''}`);
            put(average.until, average.validated ? `validated to ${clock(ms(average.validated.mark))} ${zoneName()}` : 'none validated yet');
        }
    }

    private paintChart(now: number) {
        this.chartShown = this.chartShown || !isCatchingUp() || Date.now() - this.openedAt > catchUpMs;
        if (!this.chartShown)
            return;
        this.chart?.precision(this.priceScale, this.averageScale());
        this.chart?.paint(now);
    }

    private paintSlow() {
        this.feed.paint();
        this.corrections.paint();
        this.paintGaps();
        put(this.texts.corrections, `${several(this.corrections.count, 'correction')} ▸`);
        if (this.texts.foot.data === '' && this.chart)
            put(this.texts.foot, `Time is ${zoneName()}, price in ${this.unit()}. Pale: provisional. Full: validated.${this.hasHistory ? '' : ' This house gives no history: the chart begins where its replay did.'}`);
    }

    // What is known to be missing: losses of this page's trades, and times without a feed that REST has not confirmed yet.
    private paintGaps() {
        const losses = house.status?.losses ?? [];
        const outages = this.feed.outages(this.links);
        const drawn = JSON.stringify(outages.map(({ from }) => from)) + (this.feed.isConnected() ? '' : String(Math.floor(Date.now() / 1000)));
        if (losses.length === this.lossesDrawn && drawn === this.outagesDrawn)
            return;
        this.lossesDrawn = losses.length;
        this.outagesDrawn = drawn;
        this.losses = losses.filter((loss) => loss.channel === `trades.${this.pick.key}`).map((loss) => ({
            from: loss.at / 1000 - (house.status?.backAfter ?? 1000) / 1000, to: loss.at / 1000,
            label: loss.from !== null && loss.to !== null ? `${count(loss.to - loss.from + 1)} missing` : 'events missing',
        }));
        this.withChart((chart) => chart.gaps([...this.losses, ...outages.map(({ from, to }) => ({ from, to, label: 'no feed' }))]));
    }
}

// Before any symbol is known: wait for the first, or say how to get one.
class Waiting implements Page {
    title = 'Market';
    keys = [];
    private listener: Listener;
    private stop: () => void;
    private words = text('Reading the channels of this house …');
    private asked: string[];

    constructor(private box: HTMLElement, route: Route) {
        this.asked = route.page === 'm' ? route.rest : [];
        box.append(el('h1', { class: 'hidden' }, 'Market'), el('div', { class: 'panel empty' }, el('p', {}, this.words)));
        this.listener = { wants: [] as Want[], patterns: ['vwap.>'], onEvent: () => {}, onChannels: (channels) => this.onChannels(channels) };
        this.stop = everyFrame(slowMs, rank.rest, () => this.paint());
        listen(this.listener);
    }

    private onChannels(channels: Channel[]) {
        const picks = picksOf(channels);
        const last = stored('symbol');
        const one = picks.find((pick) => pick.key === last) ?? picks.find((pick) => pick.venue !== null) ?? picks[0];
        if (this.asked.length === 0 && one && this.box.isConnected)
            goInstead(marketPath(one.venue, one.symbol) + location.search);
        else if (this.asked.length > 0 && picks.some((pick) => (pick.venue ?? '*') === this.asked[0] && pick.symbol === this.asked.slice(1).join('/')))
            goInstead(location.pathname + location.search);
    }

    private paint() {
        const status = house.status;
        if (status?.link !== 'open' || Date.now() - status.since < 1500)
            return;
        put(this.words, this.asked.length > 0 ? `This house has no averages of ${this.asked.slice(1).join('/')} at ${this.asked[0]}. Ctrl K finds those that it has.`
            : 'No averages yet. Once a venue of the configuration sends trades, they appear here. To see it move at once, stop this house and run: make run');
    }

    uses() {
        return { channels: ['vwap.>'], actions: [] };
    }

    leave() {
        this.stop();
        leave(this.listener);
    }
}

export const open: OpenPage = (box, route) => {
    const picks = picksOf(house.channels.values());
    const [venue, ...symbol] = route.rest;
    const pick = route.page === 'm' ? picks.find((one) => (one.venue ?? '*') === venue && one.symbol === symbol.join('/')) : undefined;
    if (!pick)
        return new Waiting(box, route);
    store('symbol', pick.key);
    return new Market(box, pick, route);
};
