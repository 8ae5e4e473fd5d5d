// The past on the page, before a scripted house whose clock stands still. Usage: node past_test.mjs URL-OF-A-REAL-HOUSE. Prints TAP.
import { audit, browser, hasPrice, noShift, state, troubles, until, visit } from './browser.mjs';
import { answers, book, freeze, iso, market, past, ScriptedHouse, stats, trade, vwap } from './house.mjs';
import { boundMs, check, equal, finish } from './tap.mjs';

const at = Date.parse('2026-11-21T09:47:21Z');
const fromMs = Date.parse('2026-11-21T06:47:20Z');
const priceAt = (ms) => (65000 + Math.round(5000 * Math.sin((ms - (ms % 10000)) / 3e5)) / 100).toFixed(2);
const house = new ScriptedHouse(process.argv[2]);
const origin = await house.open();

freeze(at);
answers(house);
past(house, { fromMs, toMs: at - 2000 });
const key = market(house, 'binance', 'BTC/USDT');
const open = (query = '') => visit(origin, `/m/binance/BTC/USDT${query}`, { prepare: (page) => page.clock.setFixedTime(at) });
const table = async (page) => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('t');
    return page.evaluate(() => [...document.querySelectorAll('#drawer tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent.replace(/\s/g, ''))));
};
const tableUntil = async (page, holds) => {
    const end = Date.now() + boundMs;
    for (;;) {
        const rows = await table(page);
        if (holds(rows))
            return rows;
        if (Date.now() > end)
            throw new Error(`the table is ${JSON.stringify(rows.slice(0, 3))}`);
    }
};
const histories = () => house.asked.filter(({ action }) => action === 'vwap.history').map(({ params }) => params);

try {
    await check('what was traded in a step is history and live, each trade once however often it is told', async () => {
        const page = await open('?bar=1m');
        await hasPrice(page, '65000.25');
        await until(page, () => /Start of history/.test(document.querySelector('.chart-panel .foot').textContent));
        for (const [seconds, quantity] of [[1, '0.25'], [2, '0.125']]) {
            const told = trade('65001.00', { at: at + seconds * 1000, quantity });
            house.emit(`trades.${key}`, 'trade', told);
            house.emit(`trades.${key}`, 'trade', { ...told, source: 'rest', validated: true });
            house.emit(`trades.${key}`, 'trade', { ...told, source: 'rest', validated: true });
        }
        await tableUntil(page, (rows) => rows[0]?.[0] === '09:47:00' && rows[0].at(-1) === '1.375'); // 0.5 at :00 and at :10, and those two
        await page.context().close();
    });
    await check('the change of the day is that to its first price, by integers', async () => {
        const page = await open();
        await hasPrice(page, '65001.00');
        const first = Number(priceAt(fromMs));
        const percent = (Math.round((65001 - first) / first * 10000) / 100).toFixed(2);
        await until(page, (wanted) => document.querySelector('.change').textContent.replace(/\s/g, '').includes(wanted), `${65001 > first ? '+' : ''}${percent.replace('-', '\u2212')}%since06:47:20UTC`);
        await page.context().close();
    });
    await check('zooming changes the resolution that is asked of the house, never more than 4,000 points', async () => {
        const page = await open();
        await hasPrice(page, '65001.00');
        await until(page, () => /Start of history/.test(document.querySelector('.chart-panel .foot').textContent));
        for (let i = 0; !/bar=15s/.test(page.url()); i++) {
            if (i > 100)
                throw new Error(page.url());
            await page.keyboard.press('-');
            await page.waitForTimeout(20);
        }
        await until(page, () => /Start of history/.test(document.querySelector('.chart-panel .foot').textContent));
        await tableUntil(page, (rows) => rows.length > 1 && rows[0][0] === '09:47:15' && rows[1][0] === '09:47:00');
        const coarse = histories().find(({ from, to, points }) => points > 100 && Math.round((Date.parse(to) - Date.parse(from)) / points) === 15000);
        equal(coarse !== undefined, true, 'history in steps of 15 s');
        equal(house.asked.every(({ params }) => params?.points === undefined || params.points <= 4000), true, 'at most 4,000 points');
        for (let i = 0; /bar=/.test(page.url()); i++) {
            if (i > 100)
                throw new Error(page.url());
            await page.keyboard.press('+');
            await page.waitForTimeout(20);
        }
        await page.context().close();
    });
    await check('a link into the past shows it, from history; now brings back', async () => {
        const from = Math.floor(at / 1000) - 2.5 * 3600;
        const page = await open(`?from=${from}&to=${from + 600}`);
        const rows = await tableUntil(page, (list) => list.length >= 200 && list[0][1] !== '–');
        const newest = (from + 600) * 1000;
        equal(['07:27:20', '07:27:21'].includes(rows[0][0]), true, `newest second of the table, ${rows[0][0]}`); // half a step is in view
        const [, price] = rows.find(([time]) => time === new Date(newest - (newest % 10000)).toISOString().slice(11, 19));
        equal(price, priceAt(newest), 'price of history');
        await page.keyboard.press('Escape');
        await page.reload();
        equal(new URL(page.url()).search, `?from=${from}&to=${from + 600}`, 'the link stays');
        await tableUntil(page, (list) => list[0]?.[0] === rows[0][0] && list[0][1] === rows[0][1]);
        await page.keyboard.press('Escape');
        await page.click('button:text-is("⟲ now")');
        await tableUntil(page, (list) => list[0]?.[0] > '09:47:00');
        equal(new URL(page.url()).search, '', 'the link of now');
        await page.context().close();
    });
    for (const dark of [true, false])
        await check(`as of a time, ${dark ? 'dark' : 'light'}: everything up to it and nothing behind it, and nothing live is heard`, async () => {
            const then = at - 3600e3;
            const page = await visit(origin, '/m/binance/BTC/USDT', { dark, prepare: (one) => one.clock.setFixedTime(at) });
            await hasPrice(page, '65001.00');
            await page.click('button:text-is("as of …")');
            await page.fill('.as-of', 'yesterday');
            await page.keyboard.press('Enter');
            await until(page, () => /“yesterday” is not allowed/.test(document.querySelector('#as-of-error').textContent));
            await page.fill('.as-of', '2026-11-21 08:47:21');
            await page.keyboard.press('Enter');
            await hasPrice(page, priceAt(then));
            await state(page, 'past');
            await until(page, () => /as of 11-21 08:47:21/.test(document.querySelector('#state').textContent));
            await until(page, () => /^to 08:47:21 UTC/.test(document.querySelector('.windows .note').textContent));
            equal(new URL(page.url()).search, '?as_of=2026-11-21T08%3A47%3A21Z', 'address');
            await until(page, () => document.querySelector('.tape tbody td').textContent === '08:47:20.000'); // the newest trade
            const rows = await tableUntil(page, (list) => list.length > 1 && list[0][2] !== '–');
            equal(rows[0][0], '08:47:21', 'newest second of the chart');
            equal([...house.clients].some(({ heard }) => [...heard].some((channel) => !channel.startsWith('instrument.'))), false, 'something live is heard');
            await page.keyboard.press('Escape');
            await audit(page, 'as of');
            await page.click('button:text-is("⟲ now")');
            await hasPrice(page, '65001.00');
            await page.context().close();
        });
    await check('paused, what moves stands still and intake goes on', async () => {
        const page = await open();
        await hasPrice(page, '65001.00');
        const events = () => page.evaluate(() => Number(/(\d+) events/.exec(document.querySelector('#footer').textContent.replace(/\u00a0/g, ''))[1]));
        await page.click('button:text-is("Pause")');
        const before = await events();
        house.emit(`trades.${key}`, 'trade', trade('65009.00', { at: at + 3000 }));
        await until(page, (one) => Number(/(\d+) events/.exec(document.querySelector('#footer').textContent.replace(/\u00a0/g, ''))[1]) > one, before);
        equal(await page.evaluate(() => document.querySelector('.price .value .num').textContent.replace(/\s/g, '')), '65001.00', 'price');
        await until(page, () => /display paused at 09:47:21 UTC/.test(document.querySelector('.price').textContent));
        await page.keyboard.press('p');
        await hasPrice(page, '65009.00');
        await noShift(page);
        await page.context().close();
    });
    await check('a figure is stale just behind its limit, not at it', async () => {
        const page = await open();
        const clock = async (ms, shown) => {
            await page.clock.setFixedTime(ms);
            await until(page, (one) => document.querySelector('#clock').textContent.startsWith(one), shown);
            await page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(done), 300))); // every part has had its turn
        };
        const has = (selector) => page.evaluate((one) => document.querySelector(one) !== null, selector);
        await hasPrice(page, '65009.00');
        house.emit(`vwap.5m.${key}`, 'vwap', vwap('65001.000000', { at }));
        house.emit(`stats.${key}`, 'feed_stats', stats({ market_time: iso(at + 3000) }));
        await clock(at + 2000, '09:47:23');
        equal(await has('.ladder .stale, .windows .stale'), false, 'stale at the limit');
        house.emit(`stats.${key}`, 'feed_stats', stats({ market_time: iso(at + 3001) }), { publishMs: at });
        await clock(at + 2001, '09:47:23');
        await until(page, () => document.querySelector('.ladder .stale') && document.querySelectorAll('.windows .stale').length === 3);
        await page.context().close();
    });
    await check('a thousand events a second: price, ladder and tape are written as often as they may, no more', async () => {
        const page = await visit(origin, '/m/binance/BTC/USDT', { prepare: (one) => one.clock.install({ time: at }) });
        const run = async (ms) => {
            await page.clock.runFor(ms);
            await page.waitForTimeout(2); // the worker has a clock of its own
        };
        await page.clock.pauseAt(at + 60000); // from here on it goes when it is told to
        for (let i = 0; i < 2000 && !await page.evaluate(() => /\d/.test(document.querySelector('.price .value')?.textContent) && document.querySelector('.ladder .bid')?.textContent); i++)
            await run(50);
        await page.evaluate(() => {
            window.written = {};
            for (const [name, selector] of Object.entries({ price: '.price .value', ladder: '.ladder tbody', tape: '.tape tbody' })) {
                window.written[name] = 0;
                new MutationObserver(() => { window.written[name]++; }).observe(document.querySelector(selector), { subtree: true, characterData: true });
            }
        });
        for (let i = 0; i < 50; i++) {
            for (let j = 0; j < 10; j++) {
                house.emit(`trades.${key}`, 'trade', trade(`65${100 + i}.${10 + j}`, { at: at + 4000 + i * 20 + j }));
                house.emit(`book.${key}`, 'book', book(`65${100 + i}.${10 + j}`));
            }
            await run(20);
        }
        const written = await page.evaluate(() => window.written);
        for (const [name, most] of [['price', 20], ['ladder', 20], ['tape', 10]])
            if (written[name] < 2 || written[name] > most + 1)
                throw new Error(`${name} was written ${written[name]} times in a second, allowed are ${most}`);
        await page.context().close();
    });
    await check('no error was said', async () => equal(troubles.join('; '), '', 'errors'));
} finally {
    await browser.close();
    house.close();
}
finish();
