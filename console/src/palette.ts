// Find: one list of everything that can be gone to or done. `@` symbols, `>` actions, `#` channels narrow it.
import { el } from './dom';
import { call, house, leave, listen, type Listener } from './house';
import { actionList } from './actions';
import { go, marketPath } from './route';
import { change, choices, settings, store, stored, type Settings } from './settings';
import { raw } from './text';

interface Entry { kind: '@' | '>' | '#' | 'page' | 'table' | 'setting'; label: string; note: string; key?: string; lower: string; run(): void }

const rowsMax = 20;
const recentMax = 30;
const pages: [string, string, string][] = [['Market', '/', 'g m'], ['Quality', '/quality', 'g q'], ['System', '/system', 'g s'], ['Channels', '/channels', 'g c'], ['Data', '/data', 'g d']];
const settingNames: Record<keyof Settings, string> = { theme: 'Theme', zone: 'Time zone', colours: 'Up and down', keys: 'Single keys' };
const settingValues: Record<string, string> = { blue: 'blue and orange', green: 'green up, red down', red: 'red up, green down', utc: 'UTC' };

function entry(kind: Entry['kind'], label: string, note: string, run: () => void, key?: string): Entry {
    return { kind, label, note, run, lower: label.toLowerCase(), ...(key ? { key } : {}) };
}

function symbols(): Entry[] {
    const found = new Map<string, Entry>();
    for (const channel of house.channels.keys()) {
        const [kind, , ...rest] = channel.split('.');
        if (kind !== 'vwap' || rest.length < 1 || rest.length > 2 || found.has(rest.join('.')))
            continue;
        const [venue, symbol] = rest.length === 2 ? [raw(rest[0]!), raw(rest[1]!)] : [null, raw(rest[0]!)];
        found.set(rest.join('.'), entry('@', symbol, venue ?? 'all venues', () => go(marketPath(venue, symbol))));
    }
    return [...found.values()];
}

function all(tables: string[]): Entry[] {
    const list = pages.map(([title, path, key]) => entry('page', title, 'page', () => go(path), key));
    list.push(...symbols());
    for (const action of actionList())
        list.push(entry('>', action.action, action.text, () => go(`/system?action=${encodeURIComponent(action.action)}`)));
    for (const table of tables)
        list.push(entry('table', table, 'table of the store', () => go(`/data?table=${encodeURIComponent(table)}`)));
    for (const channel of house.channels.keys())
        list.push(entry('#', channel, 'channel', () => go(`/channels?pattern=${encodeURIComponent(channel)}`)));
    for (const key of Object.keys(settings) as (keyof Settings)[])
        for (const value of choices(key))
            list.push(entry('setting', `${settingNames[key]}: ${settingValues[value] ?? value}`, settings[key] === value ? 'set' : 'setting',
                            () => change(key, value as never), key === 'theme' ? 'l' : key === 'zone' ? 'u' : undefined));
    return list;
}

// 0: exact, 1: prefix, 2: each word of the query starts a word, 3: subsequence; null: no match.
function rankOf(lower: string, query: string): number | null {
    if (query === '')
        return 1;
    if (lower === query)
        return 0;
    if (lower.startsWith(query))
        return 1;
    const starts = lower.split(/[^a-z0-9]+/);
    if (query.split(/[^a-z0-9]+/).every((part) => starts.some((start) => start.startsWith(part))))
        return 2;
    let at = 0;
    for (const letter of query) {
        at = lower.indexOf(letter, at) + 1;
        if (at === 0)
            return null;
    }
    return 3;
}

function recent(): string[] {
    const kept = stored('recent');
    return kept === null || kept === '' ? [] : kept.split('\n');
}

function matches(entries: Entry[], typed: string): Entry[] {
    const kind = ['@', '>', '#'].find((prefix) => typed.startsWith(prefix));
    const query = (kind ? typed.slice(1) : typed).trim().toLowerCase();
    const used = new Map(recent().map((label, i) => [label, i]));
    const found: { one: Entry; rank: number; used: number }[] = [];
    for (const one of entries) {
        const rank = kind && one.kind !== kind ? null : rankOf(one.lower, query);
        if (rank !== null)
            found.push({ one, rank, used: used.get(one.label) ?? recentMax });
    }
    return found.sort((a, b) => a.rank - b.rank || a.used - b.used || a.one.label.length - b.one.label.length).slice(0, rowsMax).map(({ one }) => one);
}

export function openPalette() {
    if (document.querySelector('dialog[open]'))
        return;
    let tables: string[] = [];
    let entries = all(tables);
    const refresh = () => { entries = all(tables); if (shown.length < rowsMax) search(); };
    const names: Listener = { wants: [], patterns: ['>'], onEvent: () => {}, onChannels: refresh };
    let shown: Entry[] = [];
    let at = 0;
    const input = el('input', { type: 'text', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-list', 'aria-label': 'Find',
                                'aria-autocomplete': 'list', autocomplete: 'off', spellcheck: 'false',
                                placeholder: 'Symbol, page, action, channel, table, setting' });
    const list = el('ul', { id: 'palette-list', role: 'listbox', 'aria-label': 'Found' });
    const hint = el('p', { class: 'note' }, '@ symbols · > actions · # channels · Enter goes there · Esc closes');
    const dialog = el('dialog', { class: 'palette', 'aria-label': 'Find' }, input, list, hint);
    const from = document.activeElement as HTMLElement | null;
    const mark = () => {
        [...list.children].forEach((row, i) => row.setAttribute('aria-selected', String(i === at)));
        const row = list.children[at];
        if (row) {
            input.setAttribute('aria-activedescendant', row.id);
            row.scrollIntoView({ block: 'nearest' });
        } else {
            input.removeAttribute('aria-activedescendant');
        }
    };
    const run = (one: Entry | undefined) => {
        if (!one)
            return;
        store('recent', [one.label, ...recent().filter((label) => label !== one.label)].slice(0, recentMax).join('\n'));
        dialog.close();
        one.run();
    };
    const search = () => {
        shown = matches(entries, input.value);
        at = 0;
        list.replaceChildren(...shown.map((one, i) => el('li', { id: `palette-${i}`, role: 'option', click: () => run(one) },
            el('span', { class: 'what' }, one.label), el('span', { class: 'note' }, one.note), ...(one.key ? [el('kbd', {}, one.key)] : []))));
        if (shown.length === 0)
            list.append(el('li', { role: 'option', 'aria-disabled': 'true', class: 'note' }, `Nothing is called “${input.value}”.`));
        mark();
    };
    input.oninput = search;
    dialog.onkeydown = (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
        if (step !== undefined && shown.length > 0) {
            at = Math.abs(step) === 1 ? (at + step + shown.length) % shown.length : Math.max(0, Math.min(shown.length - 1, at + step));
            mark();
        } else if (event.key === 'Enter') {
            run(shown[at]);
        } else {
            return;
        }
        event.preventDefault();
    };
    dialog.onclick = (event) => {
        if (event.target === dialog)
            dialog.close();
    };
    dialog.onclose = () => {
        dialog.remove();
        leave(names);
        if (document.activeElement === document.body)
            from?.focus({ preventScroll: true });
    };
    document.body.append(dialog);
    search();
    dialog.showModal();
    input.focus();
    listen(names);
    void call('store.tables', {}).then((answer) => {
        tables = answer.ok ? answer.data.tables.map(({ name }) => name) : [];
        refresh();
    });
}
