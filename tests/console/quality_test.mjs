// The page of quality, before a scripted house whose clock stands still. Usage: node quality_test.mjs URL-OF-A-REAL-HOUSE. Prints TAP.
import { browser, state, troubles, until, visit as visitAt } from './browser.mjs';
import { answers, freeze, iso, market, quality, ScriptedHouse } from './house.mjs';
import { check, equal, finish } from './tap.mjs';

const at = Date.parse('2026-11-21T09:47:21Z');
const last = Date.parse('2026-11-21T09:46:00Z'); // the last minute that is over
const real = process.argv[2];
const house = new ScriptedHouse(real);
const origin = await house.open();
const hostile = '<img src=x onerror=alert(1)>';
let bad = { [iso(Date.parse('2026-11-21T03:17:00Z'))]: '4' }; // cells of XRP/USDT by their minute
let ended = Infinity; // no minute is told from here on
const told = (cell) => (ms, i) => (ms >= ended ? '-' : cell(iso(ms), i));

freeze(at);
answers(house);
market(house, 'binance', 'BTC/USDT');
quality(house, [['binance', '', told(() => '0'), 0, 3], ['binance', 'BTC/USDT', told((_, i) => (i % 100 === 50 ? '-' : '0')), 38, 4812330],
                 ['binance', 'XRP/USDT', told((minute) => bad[minute] ?? '0'), 412, 300000], ['other', hostile, told(() => '2'), 5, 9000]], ['BTC/USDT']);
const same = (got, wanted, what) => equal(JSON.stringify(got), JSON.stringify(wanted), what);
const minute = (data) => ({ minute: iso(last), revision: 1, received: 10, invalid: 0, repeated: 0, reordered: 0, missing: 0, repaired: 0, suspect: 0, silence: 0, latency_p50: 0, latency_p99: 0, latency_max: 0, timed: 10, ...data });
house.emit('quality.binance.XRP/USDT', 'quality', minute({}));
const asked = (action) => house.asked.filter((call) => call.action === action).map(({ params }) => params);
const visit = (query = '', options = {}) => visitAt(origin, `/quality${query}`, { prepare: (page) => page.clock.setFixedTime(at), ...options });
const drawn = (page) => until(page, () => {
    const strips = [...document.querySelectorAll('.strip canvas')];
    return strips.length === 4 && strips.every((canvas) => canvas.getContext('2d').getImageData(0, 2, 1, 1).data[3] === 255);
});
const said = (page) => page.evaluate(() => document.querySelector('.cursor').textContent.replace(/\s/g, ' '));
const figures = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.minute .facts > div')].map((row) => [...row.children].map((cell) => cell.textContent.replace(/\s/g, ' ')))));
const pixel = (page, row, share) => page.evaluate(([at, x]) => {
    const canvas = document.querySelectorAll('.strip canvas')[at];
    return [...canvas.getContext('2d').getImageData(Math.floor(canvas.width * x), 2, 1, 1).data].slice(0, 3);
}, [row, share]);

try {
    await check('a strip for each symbol, a day wide, with what is counted beside it; one bad minute of a day can be seen', async () => {
        const page = await visit();
        await drawn(page);
        const { from, to, points } = asked('quality.history').at(-1);
        same([Date.parse(to), Date.parse(to) - Date.parse(from), points], [last, 1439 * 60000, 1440], 'what is asked for');
        same(await page.evaluate(() => [...document.querySelectorAll('.strip-total')].map((one) => one.textContent.replace(/\s/g, ''))), ['0/3', '38/4812330', '412/300000', '5/9000'], 'totals');
        same(await page.evaluate(() => [...document.querySelectorAll('.axis .r, .axis-marks span')].map((one) => one.textContent)), ['UTC', '12:00', '16:00', '20:00', '11-21', '04:00', 'missing / received'], 'the axis');
        equal(await page.evaluate(() => document.querySelectorAll('.strip-name')[3].textContent.startsWith('<img')), true, 'a hostile name is text');
        const cell = (1440 - (last - Date.parse('2026-11-21T03:17:00Z')) / 60000 - 0.5) / 1440;
        equal(await page.evaluate(([x, colour]) => { // in the pixels around it; dots are on some rows
            const canvas = document.querySelectorAll('.strip canvas')[2];
            const { data } = canvas.getContext('2d').getImageData(Math.floor(canvas.width * x) - 2, 2, 5, 1);
            return [0, 4, 8, 12, 16].some((from) => colour.every((value, i) => data[from + i] === value));
        }, [cell, [0xff, 0xe2, 0x7a]]), true, 'the bad minute is drawn');
        same(await pixel(page, 2, 0.3), [0x22, 0x30, 0x3c], 'a good minute');
        await page.context().close();
    });
    await check('keys go from minute to minute and symbol to symbol, and Enter tells all of one', async () => {
        const page = await visit();
        await drawn(page);
        await page.keyboard.press('ArrowDown'); // from anywhere: to the strips
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowLeft');
        await page.keyboard.press('ArrowLeft');
        equal(await said(page), 'XRP/USDT · binance · 2026-11-21 09:44 UTC: missing 0', 'the cursor');
        await page.keyboard.press('Enter');
        await until(page, () => document.querySelector('.minute .facts') !== null);
        const shown = await figures(page);
        same([shown.received, shown.missing, shown.repaired, shown.silence, shown['clock skew p50'], shown.p99], ['1 204', '31', '31', '4.20 s', '−1.10 s', '188 ms'], 'figures');
        equal(await page.evaluate(() => document.querySelector('.links a').getAttribute('href')), '/m/binance/XRP/USDT?as_of=2026-11-21T09%3A45%3A00Z', 'the chart');
        equal(new URL(page.url()).searchParams.get('minute'), '2026-11-21T09:44Z', 'the address');
        await page.reload();
        await until(page, () => document.querySelector('.minute .facts') !== null);
        equal(await said(page), 'XRP/USDT · binance · 2026-11-21 09:44 UTC: missing 0', 'after a reload');
        await page.context().close();
    });
    await check('a minute that nobody saw says so; a measure, a venue and a part of the symbol are asked for', async () => {
        const page = await visit('?of=binance&at=BTC/USDT&minute=2026-11-21T09:00Z');
        await until(page, () => /Nobody saw this minute/.test(document.querySelector('.minute').textContent));
        await page.selectOption('select[aria-label="Measure"]', 'silence');
        await until(page, () => document.querySelector('.strip-total')?.textContent.replace(/\s/g, ' ') === '4.20 s');
        await page.selectOption('select[aria-label="Venue"]', 'binance');
        await page.fill('input[aria-label="Symbols"]', 'xrp');
        await until(page, () => document.querySelectorAll('.strip').length === 1);
        same([asked('quality.history').at(-1).venue, asked('quality.history').at(-1).symbol, asked('quality.history').at(-1).measure], ['binance', 'xrp', 'silence'], 'asked');
        await page.context().close();
    });
    await check('what the channel tells is asked for and drawn', async () => {
        const page = await visit('?range=1+h');
        await drawn(page);
        bad = { [iso(last)]: '4' };
        house.emit('quality.binance.XRP/USDT', 'quality', minute({ missing: 9 }));
        await until(page, () => { // the newest cell of XRP/USDT
            const canvas = document.querySelectorAll('.strip canvas')[2];
            const [red] = canvas.getContext('2d').getImageData(canvas.width - 6, 2, 1, 1).data;
            return red === 0xff;
        });
        await page.context().close();
    });
    await check('minutes that are not told any more make the page stale', async () => {
        const page = await visit();
        await state(page, 'live');
        ended = last - 10 * 60000;
        house.emit('quality.binance.XRP/USDT', 'quality', minute({}));
        await state(page, 'stale');
        ended = Infinity;
        await page.context().close();
    });
    await check('t is the same as a table, whose rows open the worst minute', async () => {
        const page = await visit();
        await drawn(page);
        await page.keyboard.press('t');
        await until(page, () => document.querySelectorAll('.heat tbody tr').length === 4);
        same(await page.evaluate(() => [...document.querySelectorAll('.heat thead th')].map((head) => head.textContent)),
              ['symbol', 'venue', 'missing / received', '0', '≤ 0.01 %', '≤ 0.1 %', '≤ 1 %', '> 1 %', 'no feed'], 'heads say what a step means');
        same(await page.evaluate(() => [...document.querySelectorAll('.heat tbody tr')[1].children].map((cell) => cell.textContent.replace(/\s/g, ''))),
              ['BTC/USDT', 'binance', '38/4812330', '1426', '0', '0', '0', '0', '14'], 'counts of cells');
        await page.focus('.heat tbody tr[tabindex="0"]');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('Enter');
        await until(page, () => /09:46/.test(document.querySelector('.minute h2').textContent));
        await page.context().close();
    });
    await check('a real house has a strip for what it hears', async () => {
        const page = await visitAt(real, '/quality?range=1+h');
        await until(page, () => document.querySelector('.strip') !== null || /No minutes yet/.test(document.querySelector('.heat .note').textContent));
        await page.context().close();
    });
    await check('no error was said', async () => equal(troubles.join('; '), '', 'errors'));
} finally {
    await browser.close();
    house.close();
}
finish();
