// How the pages look: each page, and Market in each of its states, at three sizes in both themes, before a scripted house whose clock
// stands still. Two houses that say the same have to look the same, pixel by pixel, since nothing but what is said may show. The
// pictures stay in look/, for a person. Unless all cases are asked for (KONTOR_CASES_PERCENT), the themes take turns, and one view is
// looked at twice. Usage: node look_test.mjs URL-OF-A-REAL-HOUSE [VIEW]. Prints TAP.
import { mkdirSync, writeFileSync } from 'node:fs';
import { audit, browser, hasPrice, state, troubles, until, visit } from './browser.mjs';
import { answers, correction, freeze, iso, market, past, quality, ScriptedHouse, stats, trade, vwap } from './house.mjs';
import { boundMs, check, equal, finish } from './tap.mjs';

const at = Date.parse('2026-11-21T09:47:21Z');
const sizes = [[1440, 900], [1024, 768], [375, 812]];
const isWhole = Number(process.env.KONTOR_CASES_PERCENT ?? 100) >= 100;
const isTwice = (nth, dark) => dark && (isWhole || nth === 0); // the light theme has other colours, and nothing else
const differing = 0.001; // share of the pixels that may
const pictures = new URL('./look/', import.meta.url);

// The worker's clock stands still as well, and its dice fall the same way.
const stillWorker = `Date.now = () => ${at}; Math.random = () => 0.5; performance.now = () => 1000;\n`;

const still = (page) => page.clock.setFixedTime(at);

async function open() {
    const house = new ScriptedHouse(process.argv[2]);
    freeze(at);
    house.before.set('/worker.js', stillWorker);
    answers(house);
    house.documents.clear();
    past(house, { fromMs: Date.parse('2026-11-21T06:47:20Z'), toMs: at - 1000 });
    return { house, origin: await house.open() };
}

const said = (house, { tradeAt = at } = {}) => {
    const key = market(house, 'binance', 'BTC/USDT', '65000.25', tradeAt - 15000);
    house.emit(`stats.${key}`, 'feed_stats', stats({ market_time: iso(tradeAt) }));
    for (let i = 0; i < 60; i++)
        house.emit(`trades.${key}`, 'trade', trade(`650${String(10 + i % 7)}.${10 + i}`, { at: tradeAt - (59 - i) * 250, side: i % 3 ? 'buy' : 'sell', quantity: `0.0${10 + i}` }), { publishMs: tradeAt });
    house.emit(`vwap.5m.${key}`, 'vwap', vwap('65003.123400', { at: tradeAt - 3000, validated: true }), { publishMs: tradeAt });
    house.emit(`correction.5m.${key}`, 'correction', correction('64998.700000', '64998.731400', { at: tradeAt - 9000 }), { publishMs: tradeAt });
    return key;
};
const price = '65013.69';
const symbol = '/m/binance/BTC/USDT';
const link = (house, state_) => house.emit('feed.binance.link', 'link', { state: state_, reason: 'nothing came for 10 s', attempt: 3, receive_time: iso(at) });

// Name: path, what is said before the page is there, and what has to be seen.
const views = {
    'first run': ['/', () => {}, async (page) => {
        await until(page, () => document.querySelector('#state').dataset.state === 'live');
        await page.clock.setFixedTime(at + 2000); // long enough to say that there is nothing
        await until(page, () => /No averages yet/.test(document.querySelector('main').textContent));
    }],
    empty: [symbol, (house) => {
        house.emit('vwap.5m.binance.BTC/USDT', 'vwap', vwap('65000.250010'));
        link(house, 'connected');
    }, (page) => until(page, () => /binance is connected; the first one appears here/.test(document.querySelector('.tape')?.textContent ?? ''))],
    market: [symbol, (house) => said(house), async (page) => { await hasPrice(page, price); await state(page, 'live'); }],
    quiet: [symbol, (house) => { said(house, { tradeAt: at - 41000 }); }, (page) => state(page, 'quiet')],
    stale: [symbol, (house) => { said(house, { tradeAt: at - 12000 }); link(house, 'silent'); }, (page) => state(page, 'stale')],
    disconnected: [symbol, (house) => said(house), async (page, house) => { await hasPrice(page, price); house.cut(); await state(page, 'disconnected'); }],
    loss: [symbol, (house) => said(house), async (page, house) => {
        await hasPrice(page, price);
        house.emit('trades.binance.BTC/USDT', 'trade', trade('65020.00', { at }), { skip: 38, publishMs: at });
        await until(page, () => /can not be recovered/.test(document.querySelector('#bar').innerText));
        await hasPrice(page, '65020.00');
    }],
    'as of': [`${symbol}?as_of=2026-11-21T09:00:00Z`, (house) => said(house), async (page) => {
        await state(page, 'past');
        await until(page, () => document.querySelector('.tape tbody td')?.textContent === '09:00:00.000' && /Start of history/.test(document.querySelector('.foot').textContent));
    }],
    quality: ['/quality?of=binance&at=XRP/USDT&minute=2026-11-21T09:44Z', (house) => {
        market(house, 'binance', 'BTC/USDT', '65000.25', at);
        quality(house, [['binance', '', () => '0', 0, 3], ['binance', 'BTC/USDT', (_, i) => (i > 700 && i < 760 ? '-' : String(i % 97 % 5 * (i % 3 === 0))), 38, 4812330],
                        ['binance', 'XRP/USDT', (_, i) => String(Math.floor(i / 300)), 412, 300000], ['kraken', 'XRP/USDT', () => '-', 0, 0]]);
    }, (page) => until(page, () => document.querySelectorAll('.strip').length === 4 && document.querySelector('.minute .facts') !== null)],
    system: ['/system?action=vwap.latest', (house) => house.emit('house.lane.exchange', 'lane_state', { lane: 'exchange', state: 'parked', pid: 0, restarts: 5, reason: 'no progress x5', progress: 12 }, { publishMs: at }),
             (page) => until(page, () => document.querySelector('#param-ticker') && /48\s112/.test(document.querySelector('.logs').textContent) && /parked/.test(document.querySelector('.lane-events tbody').textContent))],
    channels: ['/channels?from=10+minutes', (house) => said(house), (page) => until(page, () => document.querySelectorAll('.events tbody tr:not([hidden])').length === 60)],
    data: ['/data?sql=select+1', (house) => said(house), async (page) => {
        await until(page, () => document.querySelector('.table-list details'));
        await page.click('.sql button[type=submit]');
        await until(page, () => /1\s000 rows/.test(document.querySelector('#query-status').textContent));
    }],
    docs: ['/docs', () => {}, (page) => until(page, () => document.querySelectorAll('main details').length > 0)],
};

// Measured, so never the same twice: frames and trades a second, times of answers.
const measured = '#footer, #query-status, .tape .head .note';

// Everything has had its turn: what is painted once a second, or after a change of size only what is painted some times a second.
const turn = (page, ms) => page.evaluate((least) => new Promise((done) => {
    const start = performance.now();
    let frames = 0;
    const frame = () => (++frames >= 24 && performance.now() - start >= least ? done() : requestAnimationFrame(frame));
    requestAnimationFrame(frame);
}), ms);

async function settled(page, ms) {
    const take = () => page.screenshot({ caret: 'initial' }); // hiding it writes a style element, which the page's policy forbids
    const end = Date.now() + boundMs;
    await turn(page, ms);
    let before = await take();
    for (;;) {
        await turn(page, ms);
        const now = await take();
        if (now.equals(before))
            return now;
        if (Date.now() > end)
            throw new Error('the page does not come to rest');
        before = now;
    }
}

// Pictures of a view at all sizes, from a house of its own.
async function look([path, say, seen], dark, check_, sizes) {
    const { house, origin } = await open();
    say(house);
    const page = await visit(origin, path, { dark, prepare: still });
    const found = [];
    try {
        if (path !== '/docs')
            await until(page, () => document.querySelector('.need')?.hidden === false);
        if (path.startsWith(symbol))
            await until(page, () => /Start of history/.test(document.querySelector('.foot')?.textContent ?? ''));
        await seen(page, house);
        await page.evaluate((selector) => {
            document.activeElement?.blur();
            scrollTo(0, 0);
            document.querySelectorAll(selector).forEach((node) => { node.style.visibility = 'hidden'; });
        }, measured);
        for (const [i, [width, height]] of sizes.entries()) {
            await page.setViewportSize({ width, height });
            await page.mouse.move(0, 0);
            found.push(await settled(page, i === 0 ? 1100 : 600));
            equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `scrollWidth at ${width} px`);
        }
        await check_(page);
    } finally {
        await page.context().close();
        house.close();
    }
    return found;
}

// How many pixels of two pictures differ, and how many colours the first has.
const blank = await (await browser.newContext()).newPage();
const compare = (a, b) => blank.evaluate(async (both) => {
    const [one, other] = await Promise.all(both.map(async (data) => {
        const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
        const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
        context.drawImage(image, 0, 0);
        return new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    }));
    return { differ: one.length === other.length ? one.reduce((sum, pixel, i) => sum + (pixel === other[i] ? 0 : 1), 0) / one.length : 1, colours: new Set(one).size };
}, [a, b].map((picture) => picture.toString('base64')));

mkdirSync(pictures, { recursive: true });
try {
    for (const [nth, [name, view]] of Object.entries(views).filter(([one]) => (process.argv[3] ?? one) === one).entries())
        for (const dark of isWhole ? [true, false] : [nth % 2 === 0])
            await check(`${name}, ${dark ? 'dark' : 'light'}${isTwice(nth, dark) ? ', looks the same when the same is said' : ''}: no violation that axe-core finds, no sideways scroll`, async () => {
                const first = await look(view, dark, (page) => audit(page, name), sizes);
                const second = isTwice(nth, dark) ? await look(view, dark, async () => {}, sizes) : first;
                for (const [i, [width, height]] of sizes.entries()) {
                    const file = `${name.replace(' ', '_')}-${width}x${height}-${dark ? 'dark' : 'light'}`;
                    const { differ, colours } = await compare(first[i], second[i]);
                    writeFileSync(new URL(`${file}.png`, pictures), first[i]);
                    if (differ > differing) {
                        writeFileSync(new URL(`${file}.again.png`, pictures), second[i]);
                        throw new Error(`${(differ * 100).toFixed(2)} % of the pixels differ between look/${file}.png and .again.png`);
                    }
                    if (colours < 20)
                        throw new Error(`look/${file}.png has ${colours} colours`);
                }
            });
    await check('no error was said', async () => equal(troubles.join('; '), '', 'errors'));
} finally {
    await browser.close();
}
finish();
