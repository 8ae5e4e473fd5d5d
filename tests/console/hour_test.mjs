// An hour of a real house, whose market runs sixty times as fast, on the page: its memory and its nodes stay. KONTOR_CASES_PERCENT says
// how much of the hour is waited for.
// Usage: node hour_test.mjs URL. Prints TAP.
import { browser, until, visit } from './browser.mjs';
import { boundMs, check, equal, finish } from './tap.mjs';

const url = process.argv[2];
const symbol = 'BTC/USDT';
const hourMs = 3600e3 * Number(process.env.KONTOR_CASES_PERCENT ?? 100) / 100;
const heapGrowthMax = 5e6;
const nodesMax = 2500;

const marketMs = async () => Number((await (await fetch(`${url}/latest?ticker=${encodeURIComponent(symbol)}`)).json()).ts);

try {
    await check(`after ${hourMs / 60e3} minutes of the market the heap has grown by at most 5 MB, and there are at most 2,500 nodes`, async () => {
        const page = await visit(url, `/m/binance/${symbol}`);
        const devtools = await page.context().newCDPSession(page);
        const metrics = async () => {
            await devtools.send('HeapProfiler.collectGarbage');
            const { metrics: list } = await devtools.send('Performance.getMetrics');
            return Object.fromEntries(list.map(({ name, value }) => [name, value]));
        };
        await devtools.send('Performance.enable');
        await until(page, () => /^\d/.test(document.querySelector('.price .value .num')?.textContent ?? '') && document.querySelector('.tape tbody tr:not([hidden])') && /Start of history/.test(document.querySelector('.chart-panel .foot').textContent));
        const from = await marketMs();
        const before = await metrics();
        const end = Date.now() + 10 * boundMs;
        while (await marketMs() < from + hourMs) {
            if (Date.now() > end)
                throw new Error(`the market is ${(await marketMs() - from) / 1000} s on after ${10 * boundMs / 1000} s`);
            await page.waitForTimeout(500);
        }
        const after = await metrics();
        console.log(`# heap ${(before.JSHeapUsedSize / 1e6).toFixed(1)} MB, then ${(after.JSHeapUsedSize / 1e6).toFixed(1)} MB; nodes ${before.Nodes}, then ${after.Nodes}`);
        equal(after.JSHeapUsedSize - before.JSHeapUsedSize <= heapGrowthMax, true, 'at most 5 MB more');
        equal(after.Nodes <= nodesMax, true, `at most ${nodesMax} nodes`);
        await page.context().close();
    });
} finally {
    await browser.close();
}
finish();
