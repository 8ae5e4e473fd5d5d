// Where a figure comes from: its event, its place in the log, and the same question for curl and kontor.
import { el } from './dom';
import { openDrawer } from './drawer';
import { copyButton } from './copy';
import { age, count, ms } from './text';
import type { HouseEvent } from './wire';

export interface Command { label: string; text: string }

export function facts(rows: [string, string][]): HTMLElement {
    return el('dl', { class: 'facts' }, ...rows.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', { class: 'num' }, value))));
}

export function commands(list: Command[]): HTMLElement {
    return el('div', { class: 'commands' }, ...list.map(({ label, text }) =>
        el('div', { class: 'command' }, el('h3', {}, label), copyButton(() => text), el('pre', { tabindex: 0 }, text))));
}

// A word that a POSIX shell takes as it is.
export function quoted(value: string): string {
    return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replace(/'/g, `'\\''`)}'`;
}

export function curl(path: string, params: [string, string][] = []): string {
    const query = params.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    return `curl ${quoted(`${location.origin}${path}${query === '' ? '' : `?${query}`}`)}`;
}

// An event without an epoch was not heard: it is what the store has of it.
export function showEvent(event: HouseEvent, more: Command[] = []) {
    const at = `{"epoch":"${event.epoch}","offset":${event.offset - 1}}`;
    if (event.epoch === '') {
        openDrawer(event.kind, [facts([['of channel', event.channel], ['time', `${event.publish_time} (${age(Date.now() - ms(event.publish_time))} ago)`]]),
                                el('h3', {}, 'As the store has it'), el('pre', { tabindex: 0 }, JSON.stringify(event.data, null, 2)), commands(more)]);
        return;
    }
    openDrawer(event.kind, [
        facts([['channel', event.channel], ['offset', count(event.offset)], ['epoch', event.epoch],
               ['published', `${event.publish_time} (${age(Date.now() - ms(event.publish_time))} ago)`],
               ['skipped before it', count(event.skipped)]]),
        el('h3', {}, 'As it was received'),
        el('pre', { tabindex: 0 }, JSON.stringify(event.data, null, 2)),
        commands([...more,
                  { label: 'The channel, as it is written', text: `kontor watch ${quoted(event.channel)}` },
                  { label: 'This event again, over WebSocket', text: JSON.stringify({ id: 1, op: 'subscribe', channel: event.channel, from: JSON.parse(at) }) }]),
    ]);
}
