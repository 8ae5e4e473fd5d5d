// The page in Chromium, before a scripted house and before a real one. Usage: node page_test.mjs URL-OF-A-REAL-HOUSE. Prints TAP.
//
// Nothing here depends on how long something took: waiting is for a condition, with a bound far beyond what it needs.
import { WebSocket } from 'ws';
import { audit, browser, hasPrice, insist, noShift, shown, state, troubles, until, visit as visitAt } from './browser.mjs';
import { answers, book, correction, iso, market, past, ScriptedHouse, stats, trade, vwap } from './house.mjs';
import { boundMs, check, equal, finish } from './tap.mjs';

const real = process.argv[2];

const digits = (shown) => shown.replace(/[\s\u00a0\u2009]/g, '').replace('\u2212', '-');
const house = new ScriptedHouse(real);
const origin = await house.open();

const visit = (path, options) => visitAt(options?.base ?? origin, path, options);

// Events of a channel between two offsets, as a client of our own is told them.
function countInLog(channel, epoch, from, to) {
    return new Promise((resolve, reject) => {
        const socket = new WebSocket(new URL('/ws', real.replace('http', 'ws')), 'kontor.v1.json');
        let seen = 0;
        socket.on('error', reject);
        socket.on('open', () => socket.send(JSON.stringify({ id: 1, op: 'subscribe', channel, from: { epoch, offset: from }, conflate: false })));
        socket.on('message', (bytes) => {
            const { type, offset, skipped } = JSON.parse(bytes);
            seen += type === 'event' && offset <= to ? 1 + skipped : 0;
            if (type === 'event' && offset >= to) {
                socket.close();
                resolve(seen);
            }
        });
    });
}

// ---- the scripted house ----

answers(house);
house.emit('house.lane.exchange', 'lane_state', { lane: 'exchange', state: 'parked', pid: 0, restarts: 5, reason: 'no progress x5', progress: 12 });

const key = market(house, 'binance', 'BTC/USDT');
const other = market(house, 'binance', 'ETH/USDT', '3000.25');
const evil = '<img src=x onerror=alert(1)>/USDT';
market(house, 'binance', evil, '1.50');
const beat = setInterval(() => { // the feed lives
    house.emit(`stats.${key}`, 'feed_stats', stats());
    house.emit(`book.${key}`, 'book', book('65000.25'));
}, 500);
const views = { market: '/m/binance/BTC/USDT', system: '/system?action=vwap.latest', channels: '/channels?pattern=stats.%3E', data: '/data' };

try {
    await check('price, averages and ladder are the decimals that were sent, digit for digit', async () => {
        const page = await visit('/m/binance/ETH/USDT');
        for (const [price, average] of [['65000.25', '64998.731400'], ['0.01', '0.012300'], ['9223372036854775.07', '9223372036854775.807123'], ['3000.30', '3000.300000']]) {
            house.emit(`trades.${other}`, 'trade', trade(price));
            house.emit(`vwap.5m.${other}`, 'vwap', vwap(average));
            await hasPrice(page, price);
            await until(page, (wanted) => document.querySelectorAll('.windows .value .num')[1].textContent.replace(/\s/g, '') === wanted, average);
        }
        await until(page, () => document.querySelectorAll('.ladder .bid').length === 20 && document.querySelector('.ladder .bid').textContent !== '');
        equal(digits(await shown(page, '.ladder .bid .price')), '3000.25', 'best bid');
        equal(digits(await shown(page, '.ladder .touch')), '0.01·0.03bp', 'spread');
        await page.context().close();
    });
    await check('a change of the book is the sum of what was there and what was said; a hole in its numbers makes it unknown', async () => {
        const page = await visit(views.market);
        await until(page, () => document.querySelector('.ladder .bid')?.textContent.length > 0);
        clearInterval(beat);
        house.emit(`book.${key}`, 'book', book('65000.25', { last_id: 100 }));
        house.emit(`book.${key}`, 'book', book('0.00', { snapshot: false, first_id: 101, last_id: 102, bids: [{ price: '65000.25', quantity: '0' }, { price: '65000.24', quantity: '7.5' }], asks: [] }));
        await until(page, () => /^65\s?000\.24/.test(document.querySelector('.ladder .bid .price').textContent));
        equal(digits(await shown(page, '.ladder .bid td:nth-child(2)')), '7.50000', 'quantity at the best bid');
        await page.context().close();
    });
    await check('a planted correction is counted, and the drawer shows old and new', async () => {
        const page = await visit(views.market);
        await hasPrice(page, '65000.25');
        house.emit(`correction.5m.${key}`, 'correction', correction('64998.700000', '64998.731400'));
        await until(page, () => /^1\s*correction\b/.test(document.querySelector('.corrections').textContent));
        await page.click('.corrections');
        await until(page, () => document.querySelector('#drawer tbody tr td:nth-child(5)'));
        equal(digits(await shown(page, '#drawer tbody tr td:nth-child(3)')), '64998.700000', 'old');
        equal(digits(await shown(page, '#drawer tbody tr td:nth-child(5)')), '64998.731400', 'new');
        await page.locator('#drawer tbody tr').first().focus();
        await page.keyboard.press('Enter');
        await until(page, () => /4711/.test(document.querySelector('#drawer pre')?.textContent ?? ''));
        await audit(page, 'drawer');
        await page.keyboard.press('Escape');
        equal(await page.evaluate(() => document.querySelector('#drawer').hidden), true, 'drawer closed');
        await page.context().close();
    });
    await check('a hostile symbol is text', async () => {
        const page = await visit('/');
        await until(page, () => document.querySelectorAll('#symbol option').length === 3);
        await page.selectOption('#symbol', { label: `${evil} · binance` });
        await hasPrice(page, '1.50');
        equal(await page.evaluate(() => document.querySelectorAll('main img').length), 0, 'images');
        equal((await page.title()).startsWith(evil), true, 'title');
        await page.reload();
        await hasPrice(page, '1.50');
        await page.context().close();
    });
    await check('quiet, stale and disconnected are never mixed up', async () => {
        const page = await visit(views.market);
        const quick = setInterval(() => house.emit(`stats.${key}`, 'feed_stats', stats()), 300);
        house.emit(`trades.${key}`, 'trade', trade('65000.25'));
        await hasPrice(page, '65000.25');
        await state(page, 'quiet');
        if (!/no trade for \d+ s, feed alive/.test(await shown(page, '.price .note.num')))
            throw new Error(await shown(page, '.price .note.num'));
        await until(page, () => document.querySelector('.ladder .stale'));
        clearInterval(quick);
        house.emit(`feed.binance.link`, 'link', { state: 'silent', reason: 'nothing came for 5 s', attempt: 3, receive_time: iso(Date.now()) });
        await state(page, 'stale');
        await until(page, () => document.querySelector('.figure.price.stale') && /binance is silent/.test(document.querySelector('.price').textContent));
        equal(digits(await shown(page, '.price .value .num')), '65000.25', 'a stale price stays readable');
        await audit(page, 'stale');
        house.cut();
        await state(page, 'disconnected');
        if (!/^Lost the house at \d\d:\d\d:\d\d UTC\. Values below are from then\. Trying again in \d s\./.test(await shown(page, '#bar')))
            throw new Error(await shown(page, '#bar'));
        await audit(page, 'disconnected');
        house.emit(`feed.binance.link`, 'link', { state: 'connected', reason: '', attempt: 0, receive_time: iso(Date.now()) });
        house.emit(`trades.${key}`, 'trade', trade('65001.00'));
        house.accept();
        await hasPrice(page, '65001.00');
        await until(page, () => /^Back after .*; [\d\s]+ events? replayed, none lost\./.test(document.querySelector('#bar').innerText));
        await noShift(page);
        await page.context().close();
    });
    await check('a jump of the offset is said to be a loss, skipped is not', async () => {
        const page = await visit(views.market);
        await hasPrice(page, '65001.00');
        house.emit(`trades.${key}`, 'trade', trade('65002.00'), { skip: 38 });
        await until(page, () => /can not be recovered/.test(document.querySelector('#bar').innerText));
        if (!(await shown(page, '#bar')).includes(`trades.${key}`))
            throw new Error(await shown(page, '#bar'));
        await until(page, () => /· 1 lost/.test(document.querySelector('#footer').innerText));
        await noShift(page);
        await page.context().close();
    });
    await check('the figures keep their width and place over 1,000 values', async () => {
        const page = await visit(views.market);
        await hasPrice(page, '65002.00');
        await until(page, () => [...document.querySelectorAll('.band .value .num')].every((node) => node.style.minWidth !== '')
            && ['.tape th', '.ladder td.num'].every((part) => document.querySelector(part).getBoundingClientRect().width > 0));
        const widths = () => page.evaluate(() => [...document.querySelectorAll('.band .value .num, .tape th, .ladder td.num, .counters dd')].map((node) => node.getBoundingClientRect().width).join());
        const before = await widths();
        for (let i = 0; i < 1000; i++)
            house.emit(`trades.${key}`, 'trade', trade(`${65000 + i}.${String(i % 100).padStart(2, '0')}`, { side: i % 2 ? 'buy' : 'sell' }));
        await hasPrice(page, '65999.99');
        equal(await widths(), before, 'widths');
        const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
        if (nodes > 2500)
            throw new Error(`${nodes} elements`);
        await noShift(page);
        await page.context().close();
    });
    await check('system: lanes, logs, actions; a form refuses at the field', async () => {
        const page = await visit(views.system);
        await until(page, () => /parked/.test(document.querySelector('.lanes')?.textContent ?? '') && /48\s112/.test(document.querySelector('.logs').textContent));
        await until(page, () => document.querySelector('#param-ticker'));
        await page.fill('#param-ticker', 'nothing');
        await insist(page, () => page.press('#param-ticker', 'Enter'), () => /no ticker of this name/.test(document.querySelector('#param-ticker-error').textContent));
        await page.fill('#param-ticker', 'BTC');
        await insist(page, () => page.press('#param-ticker', 'Enter'), () => /"65000\.25"/.test(document.querySelector('.result pre')?.textContent ?? ''));
        await page.click('button:text-is("Services")');
        await until(page, () => /store.*does not run/.test(document.querySelector('.actions').innerText.replace(/\s+/g, ' ')));
        await page.locator('.actions tr[data-key="vwap/edge"]').click();
        equal(await page.inputValue('.actions input'), 'vwap.', 'filter of the service');
        await until(page, () => document.querySelector('.need')?.innerText.startsWith('1'));
        await page.context().close();
    });
    await check('channels: from an offset on, and refused where it is none', async () => {
        for (let i = 1; i <= 5; i++)
            house.emit('memo.b', 'trade', trade(String(i)));
        const page = await visit('/channels?pattern=memo.b&from=offset&at=3');
        await until(page, () => /^3 events/.test(document.querySelector('.events .note')?.innerText ?? '') && document.querySelector('.events tbody tr:not([hidden])'));
        equal(digits(await page.evaluate(() => [...document.querySelectorAll('.events tbody tr:not([hidden]) td:nth-child(3)')].map((cell) => cell.textContent).join())), '5,4,3', 'offsets');
        await page.fill('#at', 'three');
        await until(page, () => /“three” is no offset/.test(document.querySelector('#where-error').textContent));
        await page.context().close();
    });
    await check('channels: a filter says what it lets pass, and what is wrong with it', async () => {
        const page = await visit('/channels?pattern=notes.%3E&where=price+%3E+9');
        house.emit('notes.a', 'trade', trade('8.5'));
        await until(page, () => /1 of 1 channel/.test(document.querySelector('.heard')?.textContent ?? ''));
        await house.heard('notes.a');
        for (const price of ['8.9999999999999999999', '9.0000000000000000001', '10'])
            house.emit('notes.a', 'trade', trade(price));
        await until(page, () => /2 of 3 match/.test(document.querySelector('.events').textContent));
        await page.fill('#where', 'price >');
        await until(page, () => /a value is missing/.test(document.querySelector('#where-error').textContent));
        await page.context().close();
    });
    await check('data: a thousand rows of which only those in view are in the page; a refusal stands in its place', async () => {
        const page = await visit(views.data);
        await until(page, () => document.querySelector('.table-list details') && document.querySelector('#sql').value !== '');
        await insist(page, () => page.click('.sql button[type=submit]'), () => /1\s000 rows/.test(document.querySelector('#query-status').textContent));
        equal(await page.getAttribute('.grid-table', 'aria-rowcount'), '1001', 'rows for readers');
        const inPage = await page.evaluate(() => document.querySelectorAll('.grid-table tbody tr').length);
        if (inPage > 200)
            throw new Error(`${inPage} rows are in the page`);
        await page.evaluate(() => document.querySelector('.grid').scrollTo(0, 1e6));
        await until(page, () => /name 999/.test(document.querySelector('.grid-table').textContent));
        equal(await page.evaluate(() => document.querySelectorAll('.grid-table b').length), 0, 'markup of a value');
        await page.fill('#sql', 'drop table trades');
        await insist(page, () => page.press('#sql', 'Control+Enter'), () => /would change something/.test(document.querySelector('#query-status').textContent));
        await page.context().close();
    });
    await check('keys: palette, pages, drawer; the focus comes back', async () => {
        const page = await visit(views.market);
        await hasPrice(page, '65999.99');
        await page.keyboard.press('Control+k');
        await page.keyboard.type('#stats');
        await until(page, () => document.querySelector('[role=option][aria-selected=true]')?.textContent.startsWith('stats.'));
        await audit(page, 'palette');
        await page.fill('.palette input', 'trades');
        await until(page, () => document.querySelector('[role=option][aria-selected=true]')?.textContent === 'tradestable of the store');
        await page.keyboard.press('Escape');
        await until(page, () => !document.querySelector('dialog'));
        await page.focus('#help');
        await page.keyboard.press('Enter');
        await until(page, () => /This page/.test(document.querySelector('#drawer').textContent));
        await page.keyboard.press('Escape');
        equal(await page.evaluate(() => document.activeElement.id), 'help', 'focus');
        await page.keyboard.press('g');
        await page.keyboard.press('s');
        await until(page, () => location.pathname === '/system' && document.querySelector('.lanes'));
        await page.goBack();
        await until(page, () => location.pathname.startsWith('/m/') && document.querySelector('.chart'));
        await page.context().close();
    });
    for (const [name, path] of Object.entries(views))
        for (const dark of [true, false])
            await check(`${name}, ${dark ? 'dark' : 'light'}: no violation that axe-core finds, nothing moves, no sideways scroll at 320 to 1440 px`, async () => {
                const page = await visit(path, { dark });
                await until(page, () => document.querySelector('#state').dataset.state !== 'loading' && document.querySelector('main h1'));
                await page.waitForLoadState('networkidle');
                await audit(page, '1440 px');
                await noShift(page);
                for (const [width, height] of [[1024, 768], [375, 812], [320, 640]]) {
                    await page.setViewportSize({ width, height });
                    const wide = await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(document.documentElement.scrollWidth)))));
                    equal(wide, width, `scrollWidth at ${width} px`);
                }
                await page.setViewportSize({ width: 375, height: 812 });
                await audit(page, '375 px');
                await page.context().close();
            });

    // ---- the real house ----

    await check('real house: the average on the page is that of the house, digit for digit', async () => {
        const page = await visit('/m/binance/BTC/USDT', { base: real });
        await until(page, () => /^\d/.test(document.querySelector('.windows .value .num')?.textContent ?? ''));
        await page.waitForFunction(async () => {
            const { price, ts } = await (await fetch('/latest?ticker=BTC%2FUSDT')).json();
            const label = [...document.querySelectorAll('.windows .figure')].find((one) => one.textContent.includes('VWAP 5m'));
            const at = label.querySelector('.note').textContent;
            const same = at.includes(new Date(Number(ts)).toISOString().slice(11, 19));
            const canon = label.querySelector('.value .num').textContent.replace(/\s/g, '').replace(/\.?0+$/, '');
            return same && canon === price.replace(/\.?0+$/, '');
        }, undefined, { timeout: boundMs, polling: 50 });
        await page.context().close();
    });
    await check('real house: cut and resumed, every event came once', async () => {
        const page = await visit('/channels', { base: real });
        await until(page, () => document.querySelectorAll('.events tbody tr:not([hidden])').length > 20);
        for (let round = 0; round < 3; round++) {
            await page.click('text=Cut my connection');
            await until(page, () => /^Cut\. This page remembers/.test(document.querySelector('.resume').innerText.split('\n').find((line) => line.startsWith('Cut.')) ?? ''));
            await page.waitForTimeout(300 * round);
            await page.click('.resume button:text-is("Resume")');
            await until(page, () => /recovered/.test(document.querySelector('#resume-counts').textContent));
            const said = digits(await shown(page, '#resume-counts'));
            const [, expected, received] = /expected(\d+)·received(\d+)·repeated0·missing0·recovered✓/.exec(said) ?? [];
            if (expected === undefined || expected !== received)
                throw new Error(said);
        }
        await page.context().close();
    });
    await check('real house: what came back after a cut is what the log has of it, offset by offset', async () => {
        const channel = 'trades.binance.BTC/USDT';
        const page = await visit(`/channels?pattern=${channel}`, { base: real });
        await until(page, () => document.querySelectorAll('.events tbody tr:not([hidden])').length > 20);
        await page.click('text=Cut my connection');
        await until(page, () => document.querySelector('.resume button:last-of-type')?.disabled === false);
        await page.waitForTimeout(500);
        await page.click('.resume button:text-is("Resume")');
        await until(page, () => /recovered/.test(document.querySelector('#resume-counts').textContent));
        const [, epoch, from, to] = /behind (\w+)\/(\d+) and is live at (\d+)/.exec((await shown(page, '.resume p')).replace(/[\u00a0\u2009]/g, ''));
        const [, received] = /received(\d+)/.exec(digits(await shown(page, '#resume-counts')));
        equal(await countInLog(channel, epoch, Number(from), Number(to)), Number(received), 'events');
        await page.context().close();
    });
    await check('real house: nothing of another origin, no frame and no inline script is allowed on any page', async () => {
        for (const path of ['/', '/m/binance/BTC/USDT', '/docs', '/shell.js'])
            for (const rule of ["default-src 'self'", "frame-ancestors 'none'", "object-src 'none'"])
                equal((await fetch(new URL(path, real))).headers.get('content-security-policy').includes(rule), true, `${path}: ${rule}`);
    });
    await check('real house: no error was said on any page', async () => equal(troubles.join('; '), '', 'errors'));
} finally {
    clearInterval(beat);
    await browser.close();
    house.close();
}
finish();
