// The symbols of the house, as its channels name them, and what the page hears of one.
import { raw, windowSeconds } from '../text';
import type { Channel, Want } from '../wire';

export interface Pick { key: string; venue: string | null; symbol: string; windows: string[] } // `key` as in subjects, the rest as people write it

const windowsMax = 4;

export function picksOf(channels: Iterable<Channel>): Pick[] {
    const found = new Map<string, Pick>();
    for (const { channel } of channels) {
        const [kind, window = '', ...rest] = channel.split('.');
        if (kind !== 'vwap' || rest.length < 1 || rest.length > 2)
            continue;
        const key = rest.join('.');
        const one = found.get(key) ?? { key, venue: rest.length === 2 ? raw(rest[0]!) : null, symbol: raw(rest[rest.length - 1]!), windows: [] };
        one.windows.push(window);
        found.set(key, one);
    }
    for (const one of found.values())
        one.windows = one.windows.sort((a, b) => windowSeconds(a) - windowSeconds(b)).slice(0, windowsMax);
    return [...found.values()].sort((a, b) => a.key.localeCompare(b.key));
}

export function label(one: Pick): string {
    return `${one.symbol} · ${one.venue ?? 'all venues'}`;
}

// What one comes for, heard before anything else is known: first its scales, which reserve the room of all figures, and the price.
// `past`: nothing live is shown.
export function firstWants(one: Pick, past: boolean): Want[] {
    return one.venue === null ? [] : [{ channel: `instrument.${one.key}`, from: 1 }, ...(past ? [] : [{ channel: `trades.${one.key}`, from: 300 }])];
}

// The rest, and how much of the past is asked of each channel: enough for a first picture. `history`: older values come by action.
export function moreWants(one: Pick, history: boolean): Want[] {
    const venue = one.key.split('.')[0]!;
    const list = one.windows.flatMap((window): Want[] => [{ channel: `vwap.${window}.${one.key}`, from: history ? 120 : 2400 }, { channel: `correction.${window}.${one.key}`, from: 300 }]);
    if (one.venue !== null)
        list.unshift({ channel: `feed.${venue}.link`, from: 100 }, { channel: `stats.${one.key}`, from: 1 }, { channel: `stats.${venue}`, from: 1 });
    return list;
}
