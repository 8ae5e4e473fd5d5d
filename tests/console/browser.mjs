// A page that watches itself, and what can be asked of it.
import { readFileSync } from 'node:fs';
import { boundMs, launch } from './tap.mjs';

const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

export const browser = await launch();
export const troubles = []; // errors that any page said

// A page that watches itself from its first moment: every shift that no input caused, every error.
// `prepare`: runs before the page is there.
export async function visit(base, path, { width = 1440, height = 900, dark = true, prepare = async () => {} } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(boundMs);
    page.on('console', (message) => message.type() === 'error' && !/WebSocket|ERR_|Failed to load/.test(message.text()) && troubles.push(message.text()));
    page.on('pageerror', (error) => troubles.push(error.message));
    await page.addInitScript(() => {
        window.shifts = [];
        new PerformanceObserver((list) => list.getEntries().filter((entry) => !entry.hadRecentInput).forEach((entry) => window.shifts.push({
            figures: entry.sources.every((source) => source.node?.nodeType === 3 && source.node.parentElement?.closest('td.r, .touch td')), // one more digit, in its cell
            value: entry.value, where: entry.sources.slice(0, 2).map((source) => [source.previousRect, source.currentRect].map(({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(' ')).join(' to ')), of: entry.sources.map((source) => source.node?.nodeType === 1 ? `${source.node.tagName}.${source.node.className}` : source.node?.parentElement?.outerHTML.slice(0, 120)),
        }))).observe({ type: 'layout-shift', buffered: true });
    });
    await prepare(page);
    await page.goto(new URL(path, base).href);
    return page;
}

export const shown = (page, selector) => page.locator(selector).first().innerText();
export const until = (page, test, argument) => page.waitForFunction(test, argument, { timeout: boundMs });
// Ask until it is answered: a page that has lost its house for a moment, as on a slow machine, does not ask.
export async function insist(page, ask, test) {
    const end = Date.now() + boundMs;
    for (;;) {
        await ask();
        try {
            return await page.waitForFunction(test, undefined, { timeout: boundMs / 20 });
        } catch (error) {
            if (Date.now() > end)
                throw error;
        }
    }
}

export const hasPrice = (page, price) => until(page, (wanted) => document.querySelector('.price .value .num')?.textContent.replace(/\s/g, '') === wanted, price);
export const state = (page, wanted) => until(page, (one) => document.querySelector('#state').dataset.state === one, wanted);

export async function noShift(page) {
    const shifts = (await page.evaluate(() => window.shifts)).filter(({ figures }) => !figures);
    if (shifts.length > 0)
        throw new Error(`something moved: ${JSON.stringify(shifts.slice(0, 3))}`);
}

export async function audit(page, what) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, {
        runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }, rules: { 'target-size': { enabled: true } },
    }).then(({ violations }) => violations.map((one) => `${one.id}: ${one.nodes.slice(0, 2).map((node) => `${node.target} ${node.failureSummary.split('\n')[1] ?? ''}`).join(' | ')}`)));
    if (found.length > 0)
        throw new Error(`${what}: ${found.join('\n')}`);
}
