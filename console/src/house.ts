// The page's side of the worker: who wants to hear what, calls, and what is known about the connection.
import { beatMs, everyFrame, news, rank } from './frame';
import type { Actions } from './schema';
import type { Answer, Channel, FromWorker, HouseEvent, Status, ToWorker, Want } from './wire';

export interface Listener { wants: Want[]; patterns: string[]; onEvent(event: HouseEvent): void; onChannels?(channels: Channel[]): void }

const frameMs = 16;
const batchMs = 20; // of a frame that a batch of events may take
const batchLeast = 100;
const batchMost = 1500;
const bulk = 250; // more events than that at once are the past
const bulkMs = 300;
const worker = window.early; // it connects while the page's code is still on its way
const listeners = new Set<Listener>();
const calls = new Map<number, (answer: Answer<unknown>) => void>();
let nextCall = 1;
let taking = false;
let takenAt = -beatMs;
let batchMax = batchLeast * 3; // what fits into batchMs, as far as is known
let more = false; // the worker has more than it gave
let newestBatch = { size: 0, at: 0 };

export const house: { status: Status | null; channels: Map<string, Channel> } = { status: null, channels: new Map() };

function post(message: ToWorker) {
    worker.postMessage(message);
}

// Call again after a listener has changed its wants.
export function settle() {
    const wants = new Map<string, Want>();
    const patterns = new Set<string>();
    for (const listener of listeners) {
        listener.wants.forEach((want) => wants.set(want.channel, want));
        listener.patterns.forEach((pattern) => patterns.add(pattern));
    }
    post({ type: 'want', wants: [...wants.values()], patterns: [...patterns] });
}

export function listen(listener: Listener) {
    listeners.add(listener);
    settle();
    if (house.channels.size > 0)
        listener.onChannels?.([...house.channels.values()]);
}

export function leave(listener: Listener) {
    listeners.delete(listener);
    settle();
}

// Ask an action. Never rejects: what went wrong is in the answer.
export function call<K extends keyof Actions>(action: K, params: Actions[K]['params']): Promise<Answer<Actions[K]['response']>> {
    return callAny(action, params) as Promise<Answer<Actions[K]['response']>>;
}

// The same of an action whose shape is known while running only: the forms.
export function callAny(action: string, params: unknown): Promise<Answer<unknown>> {
    const id = nextCall++;
    post({ type: 'call', id, action, params });
    return new Promise((resolve) => calls.set(id, resolve));
}

export const cut = () => post({ type: 'cut' });
export const resume = () => post({ type: 'resume' });
export const retry = () => post({ type: 'retry' });
export const sift = (filter: string) => post({ type: 'sift', filter });

// Events of the past still come in bulk.
export function isCatchingUp(): boolean {
    return newestBatch.at === 0 || ((more || newestBatch.size > bulk) && performance.now() - newestBatch.at < bulkMs);
}

export function isDown(): boolean {
    return house.status?.link === 'lost' || house.status?.link === 'cut';
}

// At most once a beat, unless more is waiting already.
function take(now: number) {
    if (taking || (!more && now - takenAt < beatMs - frameMs / 2))
        return;
    taking = true;
    takenAt = now;
    post({ type: 'take', hidden: document.hidden, max: batchMax });
}

worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    const start = performance.now();
    if (data.type === 'answer') {
        calls.get(data.id)?.(data.answer);
        calls.delete(data.id);
        return;
    }
    taking = false;
    house.status = data.status;
    more = data.more;
    if (data.events.length > 0) {
        newestBatch = { size: data.events.length, at: start };
        news();
    }
    if (data.channels) {
        house.channels = new Map(data.channels.map((channel) => [channel.channel, channel]));
        for (const listener of [...listeners])
            listener.onChannels?.(data.channels);
    }
    for (const event of data.events)
        for (const listener of listeners)
            if (listener.wants.some((want) => want.channel === event.channel))
                listener.onEvent(event);
    if (data.events.length >= batchLeast)
        batchMax = Math.max(batchLeast, Math.min(batchMost, Math.round(data.events.length * batchMs / (performance.now() - start))));
    if (document.hidden) // no frame will ask
        take(start + beatMs);
};

everyFrame(frameMs, rank.pointer, take);
