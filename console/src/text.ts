// How figures, times and names are written. Decimals are text and stay text: digits are padded and grouped, never computed.
import { settings } from './settings';

const gap = '\u00a0'; // between groups of digits; .num narrows it to a thin space, which monospaced fonts do not have

function grouped(digits: string): string {
    return digits.replace(/\B(?=(\d{3})+(?!\d))/g, gap);
}

// "65000.2" at scale 2: "65 000.20". A value with more digits than the scale keeps them all.
export function decimal(value: string, scale = 0): string {
    const minus = value.startsWith('-');
    const [whole = '0', part = ''] = (minus ? value.slice(1) : value).split('.');
    const padded = part.padEnd(scale, '0');
    return (minus ? '\u2212' : '') + grouped(whole) + (padded === '' ? '' : '.' + padded);
}

export function count(value: number | string): string {
    return decimal(String(value));
}

// 1 trade, 2 trades, 1 204 trades
export function several(value: number, one: string, many = `${one}s`): string {
    return `${count(value)} ${value === 1 ? one : many}`;
}

const two = (n: number) => String(n).padStart(2, '0');

export function zoneName(at = Date.now()): string {
    if (settings.zone === 'utc')
        return 'UTC';
    const minutes = -new Date(at).getTimezoneOffset();
    const abs = Math.abs(minutes);
    return `UTC${minutes < 0 ? '\u2212' : '+'}${two(Math.floor(abs / 60))}:${two(abs % 60)}`;
}

// The time whose UTC is written as this one is in the chosen zone.
export function shifted(ms: number): Date {
    return new Date(settings.zone === 'utc' ? ms : ms - new Date(ms).getTimezoneOffset() * 60000);
}

export function clock(ms: number): string {
    return shifted(ms).toISOString().slice(11, 19);
}

export function day(ms: number): string {
    return shifted(ms).toISOString().slice(0, 10);
}

// The clock of an ISO time with so many digits of its seconds, as it was written: 09:47:21.123456.
export function clockOf(time: string, digits = 0): string {
    const part = /\.(\d+)/.exec(time)?.[1] ?? '';
    return clock(ms(time)) + (digits === 0 ? '' : '.' + part.slice(0, digits).padEnd(digits, '0'));
}

// An age or a length of time: 0.3 ms, 84 ms, 1.28 s, 41 s, 3 min 10 s, 2 h 04 min.
export function span(ms: number): string {
    const minus = ms < 0 ? '\u2212' : '';
    const abs = Math.abs(ms);
    if (abs < 10)
        return `${minus}${abs.toFixed(1)} ms`;
    if (abs < 1000)
        return `${minus}${Math.round(abs)} ms`;
    if (abs < 10000)
        return `${minus}${(abs / 1000).toFixed(2)} s`;
    const s = Math.floor(abs / 1000);
    if (s < 60)
        return `${minus}${s} s`;
    if (s < 3600)
        return `${minus}${Math.floor(s / 60)} min ${two(s % 60)} s`;
    return `${minus}${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
}

// The same in whole seconds, for ages that grow while they are shown.
export function age(ms: number): string {
    return ms < 10000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : span(Math.floor(ms / 1000) * 1000);
}

export function bytes(n: number): string {
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let value = n;
    let at = 0;
    for (; value >= 1000 && at < units.length - 1; at++)
        value /= 1000;
    return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

// A token of a subject as a person writes it: BTC%2EX is BTC.X
export function raw(token: string): string {
    try {
        return decodeURIComponent(token);
    } catch {
        return token;
    }
}

export function windowSeconds(name: string): number {
    const unit = { s: 1, m: 60, h: 3600, d: 86400 }[name.slice(-1)] ?? 0;
    return Number(name.slice(0, -1)) * unit;
}

// ms since 1970; digits below the millisecond are printed from the text, never from here.
export function ms(time: string): number {
    return Date.parse(time);
}
