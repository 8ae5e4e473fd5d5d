// Test cases in TAP, and the browser that they run in.
import { chromium } from 'playwright-core';

export const boundMs = Number(process.env.BOUND_MS ?? 60000); // far beyond what anything needs
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
let count = 0;
let failed = 0;

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });

export async function check(name, test) {
    count++;
    try {
        await test();
        console.log(`ok ${count} - ${name}`);
    } catch (error) {
        failed++;
        console.log(`not ok ${count} - ${name}`);
        console.log(String(error.message).split('\n').map((line) => `# ${line}`).join('\n'));
    }
}

export function equal(got, wanted, what) {
    if (got !== wanted)
        throw new Error(`${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
}

export function finish() {
    console.log(`1..${count}`);
    process.exit(failed > 0 ? 1 : 0);
}
