// A house whose lane `market` is stopped: its last price must not be shown as a live one. Usage: node stopped_test.mjs URL. Prints TAP.
import { boundMs, check, equal, finish, launch } from './tap.mjs';

const browser = await launch();
try {
    await check('the price of a lane that says nothing is stale, readable, and its age is said', async () => {
        const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
        await page.goto(new URL('/m/binance/BTC/USDT', process.argv[2]).href);
        await page.waitForFunction(() => document.querySelector('#state').dataset.state === 'stale', undefined, { timeout: boundMs });
        await page.waitForFunction(() => document.querySelector('.figure.price.stale') && /\d+ s old: nothing is heard of binance/.test(document.querySelector('.price').textContent),
                                   undefined, { timeout: boundMs });
        equal(/^\d/.test(await page.locator('.price .value .num').innerText()), true, 'the price is there');
    });
} finally {
    await browser.close();
}
finish();
