// What a person sets for this browser: kept in localStorage, which may be refused or empty.

export type Zone = 'utc' | 'local';
export interface Settings { theme: 'dark' | 'light' | 'system'; zone: Zone; colours: 'blue' | 'green' | 'red'; keys: 'on' | 'off' }

const allowed: { [K in keyof Settings]: readonly Settings[K][] } = {
    theme: ['system', 'dark', 'light'], zone: ['utc', 'local'], colours: ['blue', 'green', 'red'], keys: ['on', 'off'],
};
const listeners: (() => void)[] = [];

export const settings: Settings = { theme: 'system', zone: 'utc', colours: 'blue', keys: 'on' };

export function stored(key: string): string | null {
    try {
        return localStorage.getItem(key);
    } catch {
        return null;
    }
}

export function store(key: string, value: string) {
    try {
        localStorage.setItem(key, value);
    } catch { /* it then holds for this visit */ }
}

export function isDark(): boolean {
    return settings.theme === 'system' ? !matchMedia('(prefers-color-scheme: light)').matches : settings.theme === 'dark';
}

function apply() {
    document.documentElement.dataset['theme'] = isDark() ? 'dark' : 'light';
    document.documentElement.dataset['colours'] = settings.colours;
    for (const listener of listeners)
        listener();
}

export function change<K extends keyof Settings>(key: K, value: Settings[K]) {
    settings[key] = value;
    store(key, value);
    apply();
}

export function choices<K extends keyof Settings>(key: K): readonly Settings[K][] {
    return allowed[key];
}

export function onSettings(listener: () => void): () => void {
    listeners.push(listener);
    return () => { listeners.splice(listeners.indexOf(listener), 1); };
}

function read<K extends keyof Settings>(key: K) {
    const found = allowed[key].find((value) => value === stored(key));
    if (found !== undefined)
        settings[key] = found;
}

(Object.keys(allowed) as (keyof Settings)[]).forEach(read);
matchMedia('(prefers-color-scheme: light)').addEventListener('change', apply);
apply();
