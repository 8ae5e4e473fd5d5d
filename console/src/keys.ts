// Keys: one table of the shell and one of the page that is open. Single keys are off inside fields and when switched off.
import { settings } from './settings';

export interface Key { keys: string; text: string; run(event: KeyboardEvent): void; hidden?: boolean }

const sequenceMs = 1000;
const tables: Record<'shell' | 'page', Key[]> = { shell: [], page: [] };
let first = '';
let firstAt = 0;

export function setKeys(which: 'shell' | 'page', keys: Key[]) {
    tables[which] = keys;
}

export function allKeys(): { shell: Key[]; page: Key[] } {
    return tables;
}

function inField(event: KeyboardEvent): boolean {
    const at = event.target as HTMLElement;
    return at.isContentEditable || at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement ||
        (at instanceof HTMLInputElement && !['checkbox', 'radio', 'button'].includes(at.type));
}

document.addEventListener('keydown', (event) => {
    const chord = (event.ctrlKey || event.metaKey ? 'Ctrl ' : '') + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
    const single = !event.ctrlKey && !event.metaKey && event.key !== 'Escape';
    const waited = single && first !== '' && performance.now() - firstAt < sequenceMs ? `${first} ${chord}` : null;
    if (event.defaultPrevented || event.altKey || (single && (inField(event) || settings.keys === 'off')))
        return;
    if (document.querySelector('dialog[open]')) // it has its own
        return;
    for (const wanted of waited ? [waited, chord] : [chord]) {
        const key = [...tables.page, ...tables.shell].find((one) => one.keys.split(' · ').includes(wanted));
        if (key) {
            first = '';
            event.preventDefault();
            key.run(event);
            return;
        }
    }
    first = chord;
    firstAt = performance.now();
});
