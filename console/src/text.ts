// How figures, times and names are written. Decimals are text and stay text: digits are padded and grouped, never computed.

const thin = '\u00a0'; // narrowed by word-spacing where figures stand alone

export function grouped(digits: string): string {
    return digits.replace(/\B(?=(\d{3})+(?!\d))/g, thin);
}

export function decimals(value: string): number {
    const at = value.indexOf('.');
    return at < 0 ? 0 : value.length - at - 1;
}

// "65000.2" at scale 2: "65 000.20". A value with more digits than the scale keeps them all.
export function decimal(value: string, scale: number): string {
    const minus = value.startsWith('-');
    const [whole = '0', part = ''] = (minus ? value.slice(1) : value).split('.');
    const padded = part.padEnd(scale, '0');
    return (minus ? '\u2212' : '') + grouped(whole) + (padded === '' ? '' : '.' + padded);
}

export function count(value: number): string {
    return grouped(String(value));
}

const two = (n: number) => String(n).padStart(2, '0');

export function clock(ms: number): string {
    const at = new Date(ms);
    return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
}

export function day(ms: number): string {
    return new Date(ms).toISOString().slice(0, 10);
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

export function raw(token: string): string {
    try {
        return decodeURIComponent(token);
    } catch {
        return token;
    }
}

export function windowSeconds(name: string): number {
    const unit = { s: 1, m: 60, h: 3600 }[name.slice(-1)] ?? 0;
    return Number(name.slice(0, -1)) * unit;
}

// ms since 1970; digits below the millisecond are for the log, not for the screen.
export function ms(time: string): number {
    return Date.parse(time);
}
