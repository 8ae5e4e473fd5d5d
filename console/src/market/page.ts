// Market: what is it worth now, since when is that certain, who trades.
import { actions } from '../actions';
import { attribute, className, el, hide, put, text } from '../dom';
import { openDrawer } from '../drawer';
import { curl, quoted, showEvent, type Command } from '../evidence';
import { beatMs, everyFrame, rank } from '../frame';
import { house, isCatchingUp, isDown, leave, listen, settle, type Listener } from '../house';
import type { Condition, OpenPage, Page } from '../page';
import { goInstead, go, marketPath, remember, type Route } from '../route';
import { copy } from '../copy';
import { onSettings, store, stored } from '../settings';
import { decimals } from '../decimal';
import { age, clock, count, day, decimal, ms, several, zoneName } from '../text';
import type { Channel, Correction, HouseEvent, Instrument, Link, Trade, Vwap, Want } from '../wire';
import { asOfForm, asOfIn } from './as_of';
import type { Band } from './bands';
import { Change } from './change';
import type { PriceChart, Reading } from './chart';
import { Corrections } from './corrections';
import { Feed } from './feed';
import { History, type Past } from './history';
import { Ladder } from './ladder';
import { stepName, steps } from './steps';
import { firstWants, label, moreWants, picksOf, type Pick } from './symbols';
import { Tape } from './tape';

const figureMs = beatMs;
const ladderMs = beatMs;
const tapeMs = 100;
const chartMs = 250;
const slowMs = 500;
const quietMs = 2000;
const staleMs = 30000; // longer than a venue is let be silent: then we can not know
const averageLateMs = 3000; // behind market time
const catchUpMs = 8000;
const chartLate = 20; // turns of the figures that the chart waits for a price
const linkWidest = 1500; // steps of a link's range: the finest that fit
const tableRows = 200;
const volumeDigits = 3; // of the axis; the reading has them all
const choices = steps.filter(({ isChoice }) => isChoice);
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
    private priceScale = 0;
    private links: Link[] = [];
    private lossesDrawn = -1;
    private losses: Band[] = [];
    private outagesDrawn = '';
    private pausedAt = 0; // ms, 0: it is not
    private begun = false; // what the house can do is known
    private hasHistory = false;
    private hasSnapshots = false;
    private chartShown = false; // a line that is still being replayed is not drawn piece by piece
    private step = 1;
    private openedAt = Date.now();
    private asOf: number | null; // second with which the page ends; null: it is live
    private history: History;
    private change: Change;

    private texts = { price: text('–'), unit: text(), note: text('waiting for the first trade'), corrections: text('0 corrections ▸'), reading: text(), foot: text(), volume: text('Volume') };
    private priceBox = el('div', { class: 'figure price', tabindex: 0 });
    private nowButton = el('button', { type: 'button', class: 'small', hidden: true, click: () => this.toNow() }, '⟲ now');
    private pauseButton = el('button', { type: 'button', class: 'small', 'aria-pressed': 'false', 'aria-keyshortcuts': 'p', click: () => this.pause() }, 'Pause');
    private chartBox = el('div', { class: 'chart', role: 'group', tabindex: 0, 'aria-label': 'Chart, no data yet', 'aria-keyshortcuts': 'ArrowLeft ArrowRight + - Home End t' });
    private stepButtons: HTMLButtonElement[] = [];

    constructor(private box: HTMLElement, private pick: Pick, route: Route) {
        this.title = `${pick.symbol}`;
        this.feed = new Feed(pick.venue ?? 'of all venues');
        this.asOf = asOfIn(route);
        this.ladder = new Ladder(pick, this.asOf !== null);
        this.tape = new Tape(pick.symbol, this.asOf !== null);
        this.corrections = new Corrections(() => this.averageScale());
        this.step = steps.find(({ name }) => name === route.query.get('bar'))?.step ?? 1;
        this.nowButton.hidden = this.asOf === null;
        this.history = new History(pick, this.asOf, (words) => put(this.texts.foot, words));
        this.change = new Change(this.history);
        this.build(route);
        this.keys = this.keyTable();
        this.listener = { wants: firstWants(pick, this.asOf !== null), patterns: ['vwap.>', `book.${this.pick.key}`], onEvent: (event) => this.onEvent(event), onChannels: (channels) => this.onChannels(channels) };
        listen(this.listener);
        void this.begin(route);
        this.stops.push(
            this.everyFrame(figureMs, rank.price, () => this.paintFigures()),
            this.everyFrame(ladderMs, rank.ladder, (now) => this.ladder.paint(now, isDown()), true),
            this.everyFrame(tapeMs, rank.tape, (now) => this.tape.paint(now, this.priceScale, this.instrument?.quantity_scale ?? 0), true),
            this.everyFrame(chartMs, rank.chart, (now) => this.paintChart(now)),
            everyFrame(slowMs, rank.rest, () => this.paintSlow()),
            onSettings(() => this.chart?.theme()));
    }

    // What moves stands still while the display is paused; intake goes on, and so does what the header says.
    private everyFrame(everyMs: number, rankOf: number, paint: (now: number) => void, yields = false): () => void {
        return everyFrame(everyMs, rankOf, (now) => { if (this.pausedAt === 0) paint(now); }, yields);
    }

    // What there is decides how much of the past is replayed. The chart comes when the price is there: its code takes the longest.
    private async begin(route: Route) {
        const list = await actions();
        this.begun = true;
        this.hasHistory = list.some((one) => one.action === 'vwap.history' && one.available);
        this.hasSnapshots = list.some((one) => one.action === 'book.snapshot' && one.available);
        if (this.asOf === null) {
            this.ladder.onChannels([...house.channels.values()], this.hasSnapshots);
            this.listener.wants = [...this.listener.wants, ...moreWants(this.pick, this.hasHistory), ...this.ladder.wants];
            settle();
        } else {
            void this.history.at(this.asOf).then((past) => this.onPast(past));
        }
        await this.firstFigures();
        const { PriceChart: Chart } = await import('./chart');
        if (!this.box.isConnected || this.stops.length === 0)
            return;
        this.chart = new Chart(this.chartBox, {
            onScroll: (atNow) => this.onScroll(atNow),
            onReading: (reading) => this.showReading(reading),
            onStep: (step) => this.setStep(step, true),
        }, this.asOf, this.pick.venue !== null);
        this.chart.windows(this.pick.windows);
        this.chart.resolution(this.step);
        this.applyWindows(route.query.get('windows')?.split(',') ?? null);
        this.pending.forEach((give) => give(this.chart!));
        this.pending = [];
        const [from, to] = [Number(route.query.get('from')), Number(route.query.get('to'))];
        if (from > 0 && to > from) {
            const fits = steps.find(({ step }) => (to - from) / step <= linkWidest)?.step ?? 86400;
            if (fits > this.step)
                this.setStep(fits, false);
            this.chart.look({ from, to });
            this.onScroll(false);
        }
    }

    // The price is on the screen, or keeps one waiting.
    private firstFigures(): Promise<void> {
        let turns = chartLate;
        return new Promise((resolve) => {
            const stop = everyFrame(figureMs, rank.chart, () => {
                if (this.price === null && this.asOf === null && this.pick.venue !== null && turns-- > 0)
                    return;
                stop();
                resolve();
            });
        });
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

    pace() {
        return this.ladder.pace();
    }

    // ---- parts ----

    private build(route: Route) {
        const { pick, texts } = this;
        const windows = el('div', { class: 'windows' }, ...pick.windows.map((window, i) => this.windowBox(window, i)));
        this.priceBox.append(
            el('div', { class: 'pickers' }, this.symbolPicker(), this.venuePicker()),
            el('p', { class: 'value' }, el('span', { class: 'num' }, texts.price), el('span', { class: 'unit' }, texts.unit)),
            this.change.box, el('p', { class: 'note num' }, texts.note));
        this.priceBox.addEventListener('click', (event) => { if (!(event.target as Element).closest('select')) this.showPriceEvidence(); });
        this.priceBox.addEventListener('keydown', (event) => { if (event.key === 'Enter' && event.target === this.priceBox) this.showPriceEvidence(); });
        this.priceBox.addEventListener('pointerenter', () => attribute(this.priceBox, 'title', this.price ? timeTitle(this.price.data.venue_time) : null));
        const corrections = el('button', { type: 'button', class: 'corrections num', hidden: this.asOf !== null, click: () => this.corrections.open() }, texts.corrections);
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
        this.chartBox.append(el('p', { class: 'reading num' }, texts.reading));
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
        box.onpointerenter = () => { const mark = (this.averages.get(window)?.newest?.data as Vwap | undefined)?.mark; attribute(box, 'title', mark ? timeTitle(mark) : null); };
        this.averages.set(window, { ...made, box });
        return box;
    }

    private chartHead(): HTMLElement {
        this.stepButtons = choices.map(({ name, step }, i) => el('button', { type: 'button', class: 'small', 'aria-pressed': String(step === this.step), 'aria-keyshortcuts': String(i + 1),
                                                                            click: () => this.setStep(step, false) }, name));
        const toggles = this.pick.windows.map((window, i) => {
            const input = el('input', { type: 'checkbox', 'data-window': window, change: () => { this.chart?.show(window, input.checked); this.rememberWindows(); } });
            input.checked = true;
            return el('label', { class: 'check' }, input, el('span', { class: `swatch c${i} ${swatches[i] ?? ''}`, 'aria-hidden': 'true' }), window);
        });
        return el('div', { class: 'head chart-head' },
            el('div', { class: 'group', role: 'group', 'aria-label': 'Interval of a point' }, ...this.stepButtons),
            el('div', { class: 'group checks', role: 'group', 'aria-label': 'Windows shown' }, el('span', { class: 'note' }, 'VWAP'), ...toggles),
            ...(this.pick.venue === null ? [] : [el('span', { class: 'note' }, el('span', { class: 'swatch bars', 'aria-hidden': 'true' }), ' ', this.texts.volume)]),
            el('div', { class: 'group when' }, this.nowButton, ...(this.asOf === null ? [this.pauseButton] : []), asOfForm(this.asOf)));
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
            ...choices.map(({ name, step }, i) => ({ keys: String(i + 1), text: `one point each ${name}`, run: () => this.setStep(step, false) })),
            { keys: 'ArrowLeft', text: 'on the chart: cursor to older', run: () => this.chart?.moveCursor(-1) },
            { keys: 'ArrowRight', text: 'on the chart: cursor to newer', run: () => this.chart?.moveCursor(1) },
            { keys: '+', text: 'zoom in', run: () => this.chart?.zoom(0.7) }, { keys: '-', text: 'zoom out', run: () => this.chart?.zoom(1 / 0.7) },
            { keys: 'Home', text: 'oldest', run: () => this.chart?.oldest() }, { keys: 'End', text: 'now', run: () => this.toNow() },
            { keys: 'p', text: 'pause the display; intake goes on', run: () => this.pause() },
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
        if (this.asOf === null && this.begun && this.ladder.onChannels(channels, this.hasSnapshots)) {
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
            put(this.texts.volume, `Volume ${this.instrument.base}`);
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
        this.withChart((chart) => {
            chart.trade(ms(trade.venue_time), trade.trade_number % 1e6, trade.price);
            chart.quantity(ms(trade.venue_time), trade.trade_number || trade.trade_id, trade.quantity);
        });
        if (newest && (trade.venue_time < newest.venue_time || (trade.venue_time === newest.venue_time && trade.trade_number < newest.trade_number)))
            return; // REST tells of an older one
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
        if (this.asOf !== null)
            return ['past', `${day(this.asOf * 1000).slice(5)} ${clock(this.asOf * 1000)}`];
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

    // `keep`: what is looked at stays, in other steps.
    private setStep(step: number, keep: boolean) {
        this.step = step;
        this.history.retry();
        this.stepButtons.forEach((button, i) => attribute(button, 'aria-pressed', String(choices[i]!.step === step)));
        remember({ bar: step === 1 ? null : stepName(step), ...(keep ? {} : { from: null, to: null }) });
        this.chart?.resolution(step, keep);
        if (!keep)
            this.onScroll(true);
    }

    private toNow() {
        if (this.asOf === null)
            this.chart?.now();
        else
            go(marketPath(this.pick.venue, this.pick.symbol));
    }

    private pause() {
        this.pausedAt = this.pausedAt === 0 ? Date.now() : 0;
        attribute(this.pauseButton, 'aria-pressed', String(this.pausedAt !== 0));
        this.pauseButton.textContent = this.pausedAt === 0 ? 'Pause' : 'Go on';
        if (this.pausedAt !== 0)
            put(this.texts.note, `display paused at ${clock(this.pausedAt)} ${zoneName()}; intake goes on`);
    }

    // The newest of the store up to the time that the page ends with.
    private onPast({ trades, averages }: Past) {
        const event = (kind: HouseEvent['kind'], channel: string, at: string, data: unknown): HouseEvent => (
            { seq: 0, skipped: 0, type: 'event', channel, epoch: '', offset: 0, publish_time: at, kind, data });
        const tellsSides = trades.some(({ buys }) => buys > 0);
        trades.forEach((row, i) => this.onTrade(event('trade', `trades.${this.pick.key}`, row.time, {
            venue_time: row.time, receive_time: row.time, price: row.close, quantity: row.quantity, side: row.buys > 0 ? 'buy' : tellsSides ? 'sell' : 'unknown', trade_id: String(i), trade_number: i + 1,
            validated: row.validated, suspect: false, source: 'rest', revision: 1 }), 0));
        averages.forEach((row, i) => row && this.onAverage(this.pick.windows[i]!, event('vwap', `vwap.${this.pick.windows[i]}.${this.pick.key}`, row.mark, row)));
    }

    private onScroll(atNow: boolean) {
        hide(this.nowButton, atNow && this.asOf === null);
        const span = atNow ? null : this.chart?.span();
        remember({ from: span ? String(span.from) : null, to: span ? String(span.to) : null });
    }

    // ---- evidence ----

    private showPriceEvidence() {
        const trade = this.price?.data as Trade | undefined;
        if (!this.price || !trade)
            return;
        const params: [string, string][] = [['venue', this.pick.venue ?? ''], ['symbol', this.pick.symbol], ['from', trade.venue_time], ['to', trade.venue_time]];
        showEvent(this.price, this.hasHistory ? inStore('trades.history', params) : []);
    }

    private showAverageEvidence(window: string) {
        const event = this.averages.get(window)?.newest;
        const vwap = event?.data as Vwap | undefined;
        if (!event || !vwap)
            return;
        const params: [string, string][] = [['venue', this.pick.venue ?? ''], ['symbol', this.pick.symbol], ['window', window], ['from', vwap.mark], ['to', vwap.mark]];
        showEvent(event, this.hasHistory ? inStore('vwap.history', params.filter(([, value]) => value !== '')) : []);
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
            this.change.paint(trade.price, this.asOf, this.hasHistory);
            this.reserve(this.priceBox, trade.price, this.priceScale);
            put(texts.price, decimal(trade.price, this.priceScale));
            put(texts.unit, this.unit());
            put(texts.note, this.priceNote(trade, condition));
        } else {
            const words = this.noTrade();
            put(texts.note, this.pick.venue === null ? 'a composite has averages only' : this.asOf !== null ? 'no trade is stored of the day before' : 'waiting for the first trade');
            this.tape.say(words);
        }
        this.paintAverages(stale);
    }

    private noTrade(): string {
        const { symbol, venue } = this.pick;
        if (venue === null)
            return 'A composite has no trades of its own.';
        if (this.asOf !== null)
            return `The store has no trade of ${symbol} in the day before.`;
        if (house.status?.link !== 'open')
            return 'Reading …';
        return `No trades of ${symbol} yet. ` + (this.feed.isConnected() ? `${venue} is connected; the first one appears here.` : `${venue} is ${this.feed.link!.state}.`);
    }

    private priceNote(trade: Trade, condition: Condition): string {
        const at = `${clock(ms(trade.venue_time))} ${zoneName()}`;
        const since = age(Date.now() - ms(this.price!.publish_time));
        if (condition === 'quiet')
            return `last trade ${at} · no trade for ${since}, feed alive`;
        if (condition === 'stale')
            return this.feed.isConnected() ? `${since} old: nothing is heard of ${this.pick.venue} since ${at}`
                : `${since} old: ${this.pick.venue} is ${this.feed.link!.state} since ${clock(ms(this.feed.link!.receive_time))} ${zoneName()}, try ${this.feed.link!.attempt}`;
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
        this.chartShown = this.chartShown || this.asOf !== null || !isCatchingUp() || Date.now() - this.openedAt > catchUpMs;
        if (!this.chartShown)
            return;
        if (!this.chart)
            return;
        this.chart.precision(this.priceScale, this.averageScale(), Math.min(volumeDigits, this.instrument?.quantity_scale ?? 0));
        this.chart.paint(now);
        if (this.hasHistory)
            void this.history.fill(this.chart, () => this.step);
    }

    private paintSlow() {
        if (this.asOf === null)
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

function inStore(action: string, params: [string, string][]): Command[] {
    return [{ label: 'The same from the store', text: curl(`/v1/${action.replace('.', '/')}`, params) },
            { label: 'and with kontor', text: `kontor call ${action} ${params.map(([name, value]) => quoted(`${name}=${value}`)).join(' ')}` }];
}

// The whole time, to the last digit that is known, and how long ago it was.
function timeTitle(time: string): string {
    return `${time}, ${age(Date.now() - ms(time))} ago`;
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
