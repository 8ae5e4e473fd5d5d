// The state in the header and the bar over the page: what happened, since when, what the house does, what one can do.
import { attribute, byId, hide, put, text } from './dom';
import { house } from './house';
import type { Page } from './page';
import { clock, count, several, span, zoneName } from './text';
import type { Loss, Status } from './wire';

const words: Record<string, string> = {
    loading: 'reading', waiting: 'no trade yet', behind: 'catching up', live: 'live', quiet: 'quiet', stale: 'stale',
    disconnected: 'disconnected', past: 'as of',
};
const backMs = 5000;
const politeMs = 5000;

const word = text('connecting');
const barText = text();
let lossesSeen = 0;
let loss: Loss | null = null;
let saidAt = 0;
let said = '';

byId('state-word').replaceChildren(word);
byId('bar-text').replaceChildren(barText);

function lossText({ channel, from, to, reason, epoch }: Loss, status: Status): string {
    const lost = from === null ? 'Events' : to === null ? `${count(from)} and what followed` : from === to ? count(from) : `${count(from)}–${count(to)}`;
    const newEpoch = epoch !== '' && reason.includes('newest records') ? 'Epoch changed: ' : '';
    const more = status.losses.length > 1 ? ` (${several(status.losses.length, 'loss', 'losses')} in all)` : '';
    return `${newEpoch}${lost} of ${channel} can not be recovered: ${reason}. The chart shows the gap.${more}`;
}

function bar(status: Status): [string, string] {
    if (status.link === 'lost') {
        const left = Math.max(0, Math.ceil((status.retryAt - Date.now()) / 1000));
        return ['lost', `Lost the house at ${clock(status.since)} ${zoneName()}. Values below are from then. Trying again in ${left} s.`];
    }
    if (status.link === 'cut')
        return ['lost', `You cut the connection at ${clock(status.since)} ${zoneName()}. Values are from then.`];
    if (status.losses.length > lossesSeen) {
        lossesSeen = status.losses.length;
        loss = status.losses[lossesSeen - 1]!;
    }
    if (status.link === 'open' && status.backAfter !== null && status.since + backMs > Date.now() && !loss)
        return ['good', `Back after ${span(status.backAfter)}; ${several(status.replayed, 'event')} replayed, none lost.`];
    return loss ? ['loss', lossText(loss, status)] : ['', ''];
}

// Only changes of state are spoken, and not more often than one can listen to.
function speak(state: string) {
    if (said === state || Date.now() - saidAt < politeMs)
        return;
    if (said !== '')
        byId(state === 'disconnected' ? 'alert' : 'polite').textContent = words[state] ?? state;
    said = state;
    saidAt = Date.now();
}

export function showConnection(page: Page | null) {
    const status = house.status;
    const down = status?.link === 'lost' || status?.link === 'cut';
    const [condition, about] = down ? ['disconnected', ''] : !status || status.link === 'connecting' ? ['loading', '']
        : page?.condition?.() ?? ['live', ''];
    const connecting = condition === 'loading' && status?.link !== 'open';
    attribute(byId('state'), 'data-state', condition);
    document.body.classList.toggle('disconnected', down);
    const shown = connecting ? 'connecting' : words[condition] ?? condition;
    const beside = condition === 'live' && about === '' && status?.rtt != null ? span(status.rtt) : about;
    put(word, beside === '' ? shown : condition === 'past' ? `${shown} ${beside}` : `${shown} · ${beside}`);
    speak(condition);
    if (!status)
        return;
    const [kind, said] = bar(status);
    hide(byId('bar'), said === '');
    hide(byId('bar-now'), status.link !== 'lost');
    attribute(byId('bar'), 'data-kind', kind);
    put(barText, said);
}
