// Measures for console_bench.py, and prints the figures as JSON. Usage: node console_bench.mjs URL-OF-A-HOUSE.
//
// What the main thread and JSON.parse take is time of the core, so that others on the machine make it no slower; what a user waits for
// is time of the wall.
import { WebSocket } from 'ws';
import { browser } from './browser.mjs';

const url = process.argv[2];
const path = '/m/binance/BTC/USDT';
const runs = 5;
const seconds = 30;
const slower = 4;

const sorted = (list) => [...list].sort((a, b) => a - b);
const median = (list) => sorted(list)[list.length >> 1];

async function open() {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    await page.addInitScript(() => { // what the page does in frames, when it shows a price, and which tasks are long
        const later = window.requestAnimationFrame.bind(window);
        window.frames_ = [];
        window.long = [];
        window.shown = [];
        window.requestAnimationFrame = (run) => later((now) => {
            const start = performance.now();
            run(now);
            window.frames_.push(performance.now() - start);
        });
        new PerformanceObserver((list) => window.long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
        let before = '';
        const look = () => {
            const price = document.querySelector('.price .value .num')?.textContent ?? '';
            if (price !== before && /^\d/.test(price))
                window.shown.push({ price: price.replace(/\s/g, ''), at: performance.timeOrigin + performance.now(), since: performance.now() });
            before = price;
            later(look);
        };
        later(look);
    });
    return { page, devtools, close: () => context.close() };
}

// Time of the core that the page's main thread has taken, in s.
async function coreTime(devtools) {
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    return async () => (await devtools.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value;
}

async function parseUs() {
    const { page, devtools, close } = await open();
    const core = await coreTime(devtools);
    const count = 300000;
    await page.goto('about:blank');
    const before = await core();
    await page.evaluate((times) => {
        const trade = JSON.stringify({ seq: 1, skipped: 0, type: 'event', channel: 'trades.binance.BTC/USDT', epoch: '0123456789abcdef', offset: 1, publish_time: '2026-11-21T09:47:21.123456789Z', kind: 'trade',
                                       data: { venue_time: '2026-11-21T09:47:21.123Z', price: '65000.25', quantity: '0.0012', side: 'buy', trade_id: '4711', trade_number: 4711, validated: false } });
        for (let i = 0; i < times; i++)
            JSON.parse(trade);
    }, count);
    const us = (await core() - before) * 1e6 / count;
    await close();
    return us;
}

async function firstPaint() {
    const { page, devtools, close } = await open();
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: slower });
    await page.goto(url + path);
    await page.waitForFunction(() => window.shown.length > 0);
    const found = await page.evaluate(() => ({ paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0, price: window.shown[0].since }));
    await close();
    return found;
}

// When each price was published, as another client of the house is told.
function listen() {
    const published = new Map();
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, 'kontor.v1.json');
    const ping = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('{"id":2,"op":"ping"}'), 1000);
    socket.on('open', () => socket.send('{"id":1,"op":"subscribe","channel":"trades.binance.BTC/USDT","conflate":false}'));
    socket.on('message', (bytes) => {
        const { kind, data, publish_time } = JSON.parse(bytes);
        if (kind === 'trade' && !data.validated)
            published.set(data.price, Date.parse(publish_time));
    });
    return { published, close: () => { clearInterval(ping); socket.close(); } };
}

async function live() {
    const { page, devtools, close } = await open();
    const listener = listen();
    const core = await coreTime(devtools);
    const events = () => page.evaluate(() => Number(/(\d+) events/.exec(document.querySelector('#footer').textContent.replace(/\u00a0/g, ''))[1]));
    await page.goto(url + path);
    await page.waitForFunction(() => window.shown.length > 20);
    await page.waitForTimeout(5000); // the replay is over
    await page.evaluate(() => { window.frames_.length = window.long.length = window.shown.length = 0; });
    const [busy, heard, start] = [await core(), await events(), Date.now()];
    await page.waitForTimeout(seconds * 1000);
    const took = (Date.now() - start) / 1000;
    const [busyAfter, heardAfter] = [await core(), await events()];
    const { frames, long, shown } = await page.evaluate(() => ({ frames: window.frames_, long: window.long, shown: window.shown }));
    const pixels = shown.flatMap(({ price, at }) => [...listener.published].filter(([one]) => Number(one) === Number(price)).map(([, publish]) => at - publish)).filter((ms) => ms >= 0);
    listener.close();
    await close();
    return { rate: (heardAfter - heard) / took, busy: (busyAfter - busy) * 1000 / took, long: long.length === 0 ? 0 : Math.max(...long), frames, pixels };
}

const parse = await parseUs();
const starts = [];
for (let i = 0; i < runs; i++)
    starts.push(await firstPaint());
const page = await live();
console.log(JSON.stringify({ ...page, parse, runs, slower, seconds, version: browser.version(), paint: median(starts.map(({ paint }) => paint)), price: median(starts.map(({ price }) => price)) }));
await browser.close();
process.exit(0);
