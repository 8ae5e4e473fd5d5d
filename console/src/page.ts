// The page at /: live price, VWAP lines, what the feed is like. It knows nothing that /ws does not say.
import { PriceChart } from './chart';
import { clock, count, decimal, decimals, ms, raw, span, windowSeconds } from './text';
import type { Channel, Correction, FeedStats, FromWorker, HouseEvent, Instrument, Link, Status, Trade, Vwap, Want } from './wire';

const paintMs = 50; // figures, at most 20 times a second
const chartMs = 500;
const quietMs = 2000;
const staleMs = 30000; // longer than venues are let be silent: then we can not know
const averageLateMs = 3000;
const windowsMax = 4;
const rowsMax = 12;
const keptCorrections = 400;
const rateMs = 5000;
const back = { vwap: 2400, correction: 300, trades: 4000, one: 1 };

interface Pick { key: string; venue: string | null; symbol: string; windows: string[] } // tokens as in subjects

interface Average { newest: Vwap | null; validated: Vwap | null; cell: { value: Text; tag: HTMLElement; note: Text; validated: Text; box: HTMLElement } }

interface State {
    price: Trade | null;
    priceAt: number; // ms of this page's clock when a trade was last heard
    before: string | null; // the price before it, where it differed
    averages: Map<string, Average>;
    stats: FeedStats | null;
    venueStats: FeedStats | null;
    statsAt: { received: number; at: number; rate: number | null } | null;
    link: Link | null;
    instrument: Instrument | null;
    correctionCount: number;
    corrections: { window: string; data: Correction }[];
    priceScale: number;
    averageScale: number;
}

function $(id: string): HTMLElement {
    const found = document.getElementById(id);
    if (!found)
        throw new Error(`no #${id} in the page`);
    return found;
}

function textOf(id: string): Text {
    const node = document.createTextNode($(id).textContent ?? '');
    $(id).replaceChildren(node);
    return node;
}

function set(node: Text, text: string) {
    if (node.data !== text)
        node.data = text;
}

function element(tag: string, className = '', text = ''): HTMLElement {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
}

const figures = {
    clock: textOf('clock'), stateWord: textOf('state-word'), stateNote: textOf('state-note'), price: textOf('price'),
    priceUnit: textOf('price-unit'), priceLabel: textOf('price-label'), priceNote: textOf('price-note'), arrow: textOf('arrow'),
    chartUnit: textOf('chart-unit'), feedName: textOf('feed-name'), link: textOf('link'),
    correctionCount: textOf('correction-count'), footer: textOf('footer'),
};
const counters: [keyof FeedStats | 'rate' | 'skew', string][] = [
    ['received', 'received'], ['invalid', 'invalid'], ['repeated', 'repeated'], ['reordered', 'reordered'], ['missing', 'missing'],
    ['repaired', 'repaired by REST'], ['suspect', 'suspect'], ['corrected', 'changed by REST'], ['lost', 'lost'], ['skew', 'clock skew'],
];
const counterTexts = new Map<string, { text: Text; box: HTMLElement }>();

const worker = new Worker('/worker.js', { type: 'module' });
const chart = new PriceChart($('chart'), (atNow) => { $('now').hidden = atNow; });
let status: Status | null = null;
let picks: Pick[] = [];
let pick: Pick | null = null;
let state: State = fresh();
let barUntil = 0;
let lossesSeen = 0;
const openedAt = Date.now();
let trip: { feed: number; house: number; screen: number } | null = null; // ms of the newest trade: venue to receive, to publish, to this page

function fresh(): State {
    return {
        price: null, priceAt: 0, before: null, averages: new Map(), stats: null, venueStats: null, statsAt: null, link: null,
        instrument: null, correctionCount: 0, corrections: [], priceScale: 0, averageScale: 0,
    };
}

// ---- symbols ----

function picksOf(channels: Channel[]): Pick[] {
    const found = new Map<string, Pick>();
    for (const { channel } of channels) {
        const [kind, window = '', ...rest] = channel.split('.');
        if (kind !== 'vwap' || rest.length < 1 || rest.length > 2)
            continue;
        const key = rest.join('.');
        const one = found.get(key) ?? { key, venue: rest.length === 2 ? rest[0]! : null, symbol: rest[rest.length - 1]!, windows: [] };
        one.windows.push(window);
        found.set(key, one);
    }
    for (const one of found.values())
        one.windows = one.windows.sort((a, b) => windowSeconds(a) - windowSeconds(b)).slice(0, windowsMax);
    return [...found.values()].sort((a, b) => a.key.localeCompare(b.key));
}

function label(one: Pick): string {
    return one.venue ? `${raw(one.symbol)} · ${raw(one.venue)}` : `${raw(one.symbol)} · all venues`;
}

function showPicks() {
    const select = $('symbol') as HTMLSelectElement;
    select.replaceChildren(...picks.map((one) => new Option(label(one), one.key, false, one.key === pick?.key)));
    select.disabled = picks.length === 0;
}

function wants(one: Pick): Want[] {
    const list: Want[] = [];
    for (const window of one.windows)
        list.push({ channel: `vwap.${window}.${one.key}`, back: back.vwap }, { channel: `correction.${window}.${one.key}`, back: back.correction });
    if (one.venue)
        list.push({ channel: `instrument.${one.key}`, back: back.one }, { channel: `feed.${one.venue}.link`, back: back.one },
                  { channel: `stats.${one.key}`, back: back.one }, { channel: `stats.${one.venue}`, back: back.one },
                  { channel: `trades.${one.key}`, back: back.trades });
    return list;
}

function choose(one: Pick) {
    pick = one;
    state = fresh();
    chart.windows(one.windows);
    buildWindows(one);
    buildLegend(one);
    showCorrections();
    set(figures.feedName, one.venue ? raw(one.venue) : '');
    set(figures.priceLabel, label(one));
    document.title = `${raw(one.symbol)} · kontor`;
    history.replaceState(null, '', `#${one.key}`);
    worker.postMessage({ type: 'want', wants: wants(one) });
    showPicks();
}

function onChannels(channels: Channel[]) {
    const asked = decodeURIComponent(location.hash.slice(1));
    const next = picksOf(channels);
    const changed = JSON.stringify(next) !== JSON.stringify(picks);
    picks = next;
    const same = picks.find((one) => one.key === (pick?.key ?? asked)) ?? picks.find((one) => one.venue) ?? picks[0];
    if (same && (!pick || JSON.stringify(same) !== JSON.stringify(pick)))
        choose(same);
    else if (changed)
        showPicks();
}

// ---- parts of the page ----

function buildWindows(one: Pick) {
    const boxes = one.windows.map((window, i) => {
        const box = element('div', 'figure');
        const head = element('h2');
        const value = document.createTextNode('–');
        const tag = element('span', 'tag');
        const note = document.createTextNode('no value yet');
        const swatch = element('span', `swatch c${i} ${['', 'dash', 'dot', 'dash'][i] ?? ''}`);
        swatch.setAttribute('aria-hidden', 'true');
        head.append(swatch, `VWAP ${window} `, tag);
        const line = element('p', 'value');
        const number = element('span', 'num');
        number.append(value);
        line.append(number, ' ', element('span', 'unit'));
        const small = element('p', 'note num');
        const validated = document.createTextNode('');
        const second = element('p', 'note num');
        small.append(note);
        second.append(validated);
        box.append(head, line, small, second);
        state.averages.set(window, { newest: null, validated: null, cell: { value, tag, note, validated, box } });
        return box;
    });
    $('windows').replaceChildren(...boxes);
}

function buildLegend(one: Pick) {
    const entry = (className: string, text: string) => {
        const item = element('li');
        item.append(element('span', `swatch ${className}`), text);
        return item;
    };
    $('legend').replaceChildren(
        ...(one.venue ? [entry('c-price', 'price')] : []),
        ...one.windows.map((window, i) => entry(`c${i} ${['', 'dash', 'dot', 'dash'][i] ?? ''}`, window)),
        entry('mark', `correction (${one.windows[Math.min(1, one.windows.length - 1)] ?? ''})`),
        ...(one.venue ? [entry('ring', 'suspect')] : []));
}

function buildCounters() {
    $('counters').replaceChildren(...counters.map(([key, name]) => {
        const box = element('div', key === 'skew' ? 'wide' : '');
        const text = document.createTextNode('–');
        const value = element('dd', 'num');
        value.append(text);
        box.append(element('dt', '', name), value);
        counterTexts.set(key, { text, box });
        return box;
    }));
}

function showCorrections() {
    set(figures.correctionCount, count(state.correctionCount));
    if (state.corrections.length === 0)
        return;
    $('corrections').replaceChildren(...newestCorrections(rowsMax).map(({ window, data }) => {
        const row = element('tr');
        const range = data.mark_from !== data.mark_to;
        const at = range ? `${clock(ms(data.mark_from))} – ${clock(ms(data.mark_to))}` : clock(ms(data.mark_to));
        const shown = (value: string) => (range ? '–' : decimal(value, state.averageScale));
        const why = element('td', '', data.cause);
        why.title = `trades ${data.trade_ids.join(', ')}${data.trade_count > data.trade_ids.length ? ' …' : ''}`;
        row.append(element('td', 'num', at), element('td', '', window), element('td', 'r', shown(data.old_price)),
                   element('td', 'r', shown(data.new_price)), why, element('td', 'r', count(data.trade_count)));
        return row;
    }));
}

// Channels are replayed one after the other, so the newest are found by their mark.
function newestCorrections(n: number) {
    return [...state.corrections].sort((a, b) => b.data.mark_to.localeCompare(a.data.mark_to) || windowSeconds(a.window) - windowSeconds(b.window)).slice(0, n);
}

// ---- events ----

function onTrade(trade: Trade, publishMs: number) {
    const second = Math.floor(ms(trade.venue_time) / 1000);
    const newest = state.price;
    state.priceScale = Math.max(state.priceScale, decimals(trade.price));
    if (trade.suspect && !trade.validated) {
        chart.suspect(second, Number(trade.price));
        return;
    }
    chart.trade(ms(trade.venue_time), trade.trade_number % 1e6, Number(trade.price));
    if (newest && (trade.venue_time < newest.venue_time ||
                   (trade.venue_time === newest.venue_time && trade.trade_number < newest.trade_number)))
        return; // REST tells of an older one
    if (newest && newest.price !== trade.price)
        state.before = newest.price;
    state.price = trade;
    state.priceAt = performance.now();
    if (trade.revision === 1 && !trade.validated && publishMs > openedAt)
        trip = { feed: ms(trade.receive_time) - ms(trade.venue_time), house: publishMs - ms(trade.receive_time), screen: Date.now() - publishMs };
}

function onAverage(window: string, vwap: Vwap) {
    const average = state.averages.get(window);
    if (!average)
        return;
    state.averageScale = Math.max(state.averageScale, decimals(vwap.price));
    if (!average.newest || vwap.mark > average.newest.mark || (vwap.mark === average.newest.mark && vwap.revision >= average.newest.revision))
        average.newest = vwap;
    if (vwap.validated && (!average.validated || vwap.mark >= average.validated.mark))
        average.validated = vwap;
    chart.average(window, Math.floor(ms(vwap.mark) / 1000), Number(vwap.price), vwap.validated);
}

function onStats(stats: FeedStats, publishMs: number) {
    const before = state.statsAt;
    const seconds = before ? (publishMs - before.at) / 1000 : 0;
    if (!before || seconds * 1000 >= rateMs)
        state.statsAt = { received: stats.received, at: publishMs, rate: before ? Math.max(0, (stats.received - before.received) / seconds) : null };
    state.stats = stats;
}

function onEvent(event: HouseEvent) {
    const publishMs = ms(event.publish_time);
    const parts = event.channel.split('.');
    if (event.data === null)
        return;
    switch (event.kind) {
    case 'trade':
        onTrade(event.data as Trade, publishMs);
        break;
    case 'vwap':
        onAverage(parts[1]!, event.data as Vwap);
        break;
    case 'correction': {
        const data = event.data as Correction;
        state.correctionCount++;
        state.corrections.push({ window: parts[1]!, data });
        if (state.corrections.length > keptCorrections)
            state.corrections = newestCorrections(keptCorrections / 2);
        chart.correction(parts[1]!, Math.floor(ms(data.mark_to) / 1000));
        break;
    }
    case 'feed_stats':
        if (parts.length === 2)
            state.venueStats = event.data as FeedStats;
        else
            onStats(event.data as FeedStats, publishMs);
        break;
    case 'link':
        state.link = event.data as Link;
        break;
    case 'instrument': {
        const instrument = event.data as Instrument;
        state.instrument = instrument;
        state.priceScale = instrument.price_scale;
        state.averageScale = instrument.price_scale + 2;
        break;
    }
    default:
    }
}

// ---- what is shown ----

type Condition = 'loading' | 'waiting' | 'behind' | 'live' | 'quiet' | 'stale' | 'disconnected';

function condition(now: number): [Condition, string] {
    if (!status || status.link === 'connecting')
        return ['loading', ''];
    if (status.link === 'lost')
        return ['disconnected', ''];
    if (picks.length === 0)
        return ['waiting', ''];
    if (state.link && state.link.state !== 'connected')
        return ['stale', state.link.state];
    if (!pick?.venue)
        return [[...state.averages.values()].some(({ newest }) => newest) ? 'live' : 'waiting', ''];
    if (!state.price)
        return ['waiting', ''];
    const behind = state.stats ? ms(state.stats.market_time) - ms(state.price.venue_time) : 0;
    if (behind > averageLateMs) // older trades are still being replayed
        return ['behind', span(Math.floor(behind / 1000) * 1000)];
    const age = now - state.priceAt;
    if (age > staleMs)
        return ['stale', span(Math.floor(age / 1000) * 1000)];
    return age > quietMs ? ['quiet', span(Math.floor(age / 1000) * 1000)] : ['live', ''];
}

const conditionWords: Record<Condition, string> = { loading: 'connecting', waiting: 'no trade yet', behind: 'catching up', live: 'live', quiet: 'quiet', stale: 'stale', disconnected: 'disconnected' };

function unit(): string {
    const symbol = pick ? raw(pick.symbol) : '';
    const quote = symbol.includes('/') ? symbol.split('/')[1]!.split(':')[0]! : '';
    return state.instrument?.quote || quote || 'quote';
}

function showBar(now: number) {
    const bar = $('bar');
    let text = '';
    let kind = '';
    if (!status)
        return;
    if (status.link === 'lost') {
        const left = Math.max(0, status.retryAt - Date.now());
        text = `Lost the house at ${clock(status.since)} UTC. Values below are from then. Trying again in ${Math.ceil(left / 1000)} s.`;
    } else if (status.losses.length > lossesSeen || bar.dataset['kind'] === 'loss') {
        const loss = status.losses[status.losses.length - 1]!;
        lossesSeen = status.losses.length;
        kind = 'loss';
        text = `${loss.from ?? '?'} to ${loss.to ?? '?'} of ${loss.channel} can not be recovered: ${loss.reason}.`;
    } else if (status.backAfter !== null && status.since + 5000 > Date.now()) {
        kind = 'good';
        text = `Back after ${span(status.backAfter)}: what was missed is replayed, nothing is lost.`;
    } else if (picks.length === 0 && status.link === 'open' && Date.now() - status.since > 2000) {
        kind = 'good';
        text = 'No averages yet. Once a venue of the configuration sends trades, they appear here. ' +
            'To see it move at once, stop this house and run: make run';
    }
    if (text === '' && now < barUntil)
        return;
    bar.hidden = text === '';
    bar.dataset['kind'] = kind;
    if (bar.textContent !== text)
        bar.textContent = text;
}

function showPrice(now: number, what: Condition) {
    const price = state.price;
    const box = $('price-cell');
    box.classList.toggle('stale', what === 'stale' || what === 'disconnected');
    if (!price) {
        set(figures.price, '–');
        set(figures.priceUnit, '');
        set(figures.priceNote, pick && !pick.venue ? 'composite: see its averages' : 'waiting for the first trade');
        return;
    }
    const up = state.before !== null && Number(price.price) > Number(state.before);
    const down = state.before !== null && Number(price.price) < Number(state.before);
    set(figures.arrow, up ? '▲' : down ? '▼' : '');
    $('arrow').className = `arrow ${up ? 'up' : down ? 'down' : ''}`;
    set(figures.price, decimal(price.price, state.priceScale));
    set(figures.priceUnit, unit());
    const age = now - state.priceAt;
    const at = `last trade ${clock(ms(price.venue_time))} UTC`;
    set(figures.priceNote, what === 'quiet' ? `${at} · no trade for ${span(Math.floor(age / 1000) * 1000)}, feed alive`
        : what === 'stale' && state.link && state.link.state !== 'connected' ? `${at} · the feed is ${state.link.state}`
        : what === 'stale' ? `${at} · nothing heard for ${span(Math.floor(age / 1000) * 1000)}` : at);
}

function showAverages(what: Condition) {
    const market = state.stats ? ms(state.stats.market_time) : 0;
    for (const { newest, validated, cell } of state.averages.values()) {
        if (!newest)
            continue;
        const late = market !== 0 && market - ms(newest.mark) > averageLateMs;
        set(cell.value, decimal(newest.price, state.averageScale));
        cell.box.querySelector('.unit')!.textContent = unit();
        cell.box.classList.toggle('stale', late || what === 'stale' || what === 'disconnected');
        const tag = !newest.complete ? '⚠ incomplete' : newest.validated ? '✓ validated' : 'provisional';
        if (cell.tag.textContent !== tag) {
            cell.tag.textContent = tag;
            cell.tag.className = `tag ${!newest.complete ? 'warn' : newest.validated ? 'ok' : ''}`;
        }
        set(cell.note, `to ${clock(ms(newest.mark))} UTC · ${count(newest.trades)} trades`);
        set(cell.validated, validated ? `validated to ${clock(ms(validated.mark))} UTC` : 'none validated yet');
    }
}

function showCounters() {
    const stats = state.stats;
    if (!stats)
        return;
    for (const [key] of counters) {
        const cell = counterTexts.get(key)!;
        let text: string;
        let bad = false;
        if (key === 'skew') {
            text = `${span(stats.skew_min / 1e6)} … ${span(stats.skew_max / 1e6)}`;
        } else {
            const value = Number(stats[key as keyof FeedStats]) + (key === 'invalid' ? state.venueStats?.invalid ?? 0 : 0);
            text = count(value);
            bad = (key === 'missing' && stats.missing > stats.repaired + stats.lost) || (key === 'lost' && value > 0);
        }
        set(cell.text, text);
        cell.box.classList.toggle('bad', bad);
    }
}

function showLink() {
    const link = state.link;
    const box = $('link');
    const bad = link !== null && link.state !== 'connected';
    box.className = `link ${bad ? 'bad' : ''}`;
    if (!link)
        set(figures.link, '');
    else if (bad)
        set(figures.link, `⚠ ${link.state}${link.reason ? `: ${link.reason}` : ''} since ${clock(ms(link.receive_time))} UTC, try ${link.attempt}`);
    else
        set(figures.link, `connected since ${clock(ms(link.receive_time))} UTC${state.statsAt?.rate == null ? '' : ` · ${count(Math.round(state.statsAt.rate))} trades/s`}`);
}

function showHeader(now: number) {
    const [what, note] = condition(now);
    $('state').dataset['state'] = what;
    set(figures.stateWord, conditionWords[what]);
    set(figures.stateNote, what === 'live' && status?.rtt != null ? span(status.rtt) : note);
    set(figures.clock, `${clock(Date.now())} UTC`);
    if (status)
        set(figures.footer, `venue → receive ${trip ? span(trip.feed) : '–'} · receive → publish ${trip ? span(trip.house) : '–'} · publish → screen ${trip ? span(trip.screen) : '–'} · ` +
            `${count(status.received)} events, ${count(status.skipped)} skipped, ${count(status.repeated)} repeated, ${count(status.losses.length)} losses`);
    return what;
}

// ---- one loop for the whole page ----

let paintedAt = 0;
let chartAt = 0;
let asked = false;

function frame(now: number) {
    requestAnimationFrame(frame);
    if (!asked) {
        asked = true;
        worker.postMessage({ type: 'take' });
    }
    if (now - paintedAt < paintMs)
        return;
    paintedAt = now;
    const what = showHeader(performance.now());
    showBar(now);
    showPrice(performance.now(), what);
    showAverages(what);
    if (now - chartAt < chartMs)
        return;
    chartAt = now;
    set(figures.chartUnit, unit());
    showCounters();
    showLink();
    showCorrections();
    chart.precision(state.priceScale, state.averageScale);
    chart.paint();
}

worker.onmessage = (message: MessageEvent<FromWorker>) => {
    asked = false;
    status = message.data.status;
    if (message.data.channels)
        onChannels(message.data.channels);
    const listening = pick ? new Set(wants(pick).map((want) => want.channel)) : new Set<string>();
    for (const event of message.data.events)
        if (listening.has(event.channel))
            onEvent(event);
};

($('symbol') as HTMLSelectElement).onchange = (event) => {
    const one = picks.find((candidate) => candidate.key === (event.target as HTMLSelectElement).value);
    if (one)
        choose(one);
};

$('now').onclick = () => chart.now();

$('theme').onclick = () => {
    const root = document.documentElement;
    const dark = root.dataset['theme'] ? root.dataset['theme'] === 'dark' : !matchMedia('(prefers-color-scheme: light)').matches;
    root.dataset['theme'] = dark ? 'light' : 'dark';
    localStorage.setItem('theme', root.dataset['theme']);
    chart.theme();
};

const theme = localStorage.getItem('theme');
if (theme === 'light' || theme === 'dark')
    document.documentElement.dataset['theme'] = theme;
matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => chart.theme());
chart.theme();
buildCounters();
requestAnimationFrame(frame);
