// A foreign client: Chromium. Usage: node browser_client.mjs URL. Prints TAP. Looks at the page, too: does it move, does it come back
// after the connection was cut, does it stay inside a phone's width.
import net from 'node:net';
import { chromium } from 'playwright-core';
import { arguments_, scenario, tap } from './scenario.mjs';

const { page: address, url, boundMs } = arguments_();
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
               '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
const results = [];

async function check(name, test) {
    try {
        await test();
        results.push({ name, error: null });
    } catch (error) {
        results.push({ name, error: String(error.message).split('\n')[0] });
    }
}

// Between browser and house, so that a connection can be cut as networks do it: without a word.
class Wire {
    constructor(to) {
        this.sockets = new Set();
        this.cut = false;
        this.server = net.createServer((near) => {
            const far = net.connect(Number(to.port), to.hostname);
            for (const [one, other] of [[near, far], [far, near]]) {
                this.sockets.add(one);
                one.on('error', () => other.destroy());
                one.on('close', () => { this.sockets.delete(one); other.destroy(); });
                one.pipe(other);
            }
            if (this.cut)
                near.destroy();
        });
    }

    async open() {
        await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
        return `http://127.0.0.1:${this.server.address().port}/`;
    }

    set(cut) {
        this.cut = cut;
        if (cut)
            this.sockets.forEach((socket) => socket.destroy());
    }

    close() {
        this.set(true);
        this.server.close();
    }
}

const text = (page, selector) => page.locator(selector).first().innerText();

async function changes(page, selector) {
    const before = await text(page, selector);
    await page.waitForFunction(([where, old]) => document.querySelector(where).innerText !== old, [selector, before], { timeout: boundMs });
}

const wire = new Wire(new URL(address));

try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    const troubles = [];
    page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
    page.on('pageerror', (error) => troubles.push(error.message));
    page.setDefaultTimeout(boundMs);
    await page.goto(await wire.open());

    await check('page: price and averages move', async () => {
        await page.waitForFunction(() => /^\d/.test(document.querySelector('.price .value .num')?.innerText ?? ''));
        await changes(page, '.windows .value .num');
        await changes(page, '.counters dd');
    });
    await check('page: comes back after its connection was cut, and nothing is lost', async () => {
        wire.set(true);
        await page.waitForFunction(() => document.querySelector('#state').dataset.state === 'disconnected');
        if (!/Lost the house/.test(await text(page, '#bar')))
            throw new Error(`the bar says: ${await text(page, '#bar')}`);
        troubles.length = 0; // the browser's own words about refused connections
        await page.waitForTimeout(1500);
        wire.set(false);
        await page.waitForFunction(() => ['live', 'quiet'].includes(document.querySelector('#state').dataset.state));
        await changes(page, '.windows .value .num');
        troubles.length = 0;
        if (!/ 0 repeated · 0 lost/.test(await text(page, '#footer')))
            throw new Error(await text(page, '#footer'));
    });
    await check('page: no errors in the console', async () => {
        if (troubles.length > 0)
            throw new Error(troubles.join('; '));
    });
    await check('page: no sideways scroll at 375 px', async () => {
        await page.setViewportSize({ width: 375, height: 812 });
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        if (width !== 375)
            throw new Error(`scrollWidth is ${width}`);
    });
    results.push(...await page.evaluate(`(${scenario.toString()})(WebSocket, ${JSON.stringify(url)}, ${boundMs})`));
} finally {
    await browser.close();
    wire.close();
}
process.exit(tap('browser', results));
