// Owns the socket, because a background tab throttles the page's timers, and a client that is silent for 5 s is cut off.
// Keeps epoch and offset of each channel, so that after a reconnect it asks for what it has not heard yet; counts what is lost.
import type { Answer, Channel, FromWorker, HouseEvent, Loss, Resumed, Status, ToWorker, Want } from './wire';
import { compile, type Filter } from './where';

const pingMs = 1500;
const deafMs = 4000; // a house that answers no ping for so long is lost, even if its socket is still open
const retryFirstMs = 250;
const retryMaxMs = 5000;
const listMs = 5000;
const hiddenMs = 1000; // a page that is not seen takes its events so often
const callMs = 10000;
const queueMax = 50000;
const lossesMax = 50;
const actionWithin = 200; // characters of an answer among which its action stands

interface Place { epoch: string; offset: number }
interface Call { id: number; at: number; timer: number }

const places = new Map<string, Place>();
const wants = new Map<string, Want>();
const heard = new Set<string>(); // subscribed on this connection
const known = new Map<string, Channel>();
const calls = new Map<number, Call>(); // by the id on the connection
let early: Extract<ToWorker, { type: 'call' }>[] = []; // asked before the first connection was there
const heads = new Map<string, number>(); // where channels stood when the connection was back: the replay ends there

let socket: WebSocket | null = null;
let patterns: string[] = [];
let queue: HouseEvent[] = [];
let channelsNew = false;
let linkNew = false; // the page has to hear of it, even when nothing else comes
let pageWaits = false;
let pageHidden = false;
let pageMax = 0; // events that it takes at once
let pass: Filter = () => true;
let nextId = 1;
let pingAt = 0;
let pingId = 0;
let lostAt = 0;
let heardAt = 0;
let resumeAt = 0; // performance.now() of a resume that is under way, 0: none
const status: Status = {
    link: 'connecting', since: Date.now(), retryAt: 0, tries: 0, rtt: null, received: 0, skipped: 0, repeated: 0, dropped: 0, losses: [],
    backAfter: null, replayed: 0, resumed: null, sifted: { seen: 0, passed: 0 },
};

function say(op: Record<string, unknown>): number {
    const id = nextId++;
    socket?.send(JSON.stringify({ id, ...op }));
    return id;
}

function give() {
    if (!pageWaits)
        return;
    pageWaits = false;
    const events = queue.length <= pageMax || pageHidden ? queue : queue.slice(0, pageMax);
    queue = events === queue ? [] : queue.slice(pageMax);
    const batch: FromWorker = { type: 'batch', events, more: queue.length > 0, status: { ...status }, channels: channelsNew ? [...known.values()] : null };
    channelsNew = false;
    linkNew = false;
    postMessage(batch);
}

// ---- channels ----

function lose(channel: string, epoch: string, lost: { from: number | null; to: number | null } | null | undefined, reason: string) {
    const loss: Loss = { channel, epoch, from: lost?.from ?? null, to: lost?.to ?? null, reason, at: Date.now() };
    status.losses = [...status.losses.slice(1 - lossesMax), loss];
}

// A channel that was heard before goes on behind its last event. A new one starts at a time, or at an offset or so many events back
// from where it stands, which has to be asked first.
function subscribe(want: Want) {
    const place = places.get(want.channel);
    heard.add(want.channel);
    if (place) {
        say({ op: 'channels', pattern: want.channel });
        say({ op: 'subscribe', channel: want.channel, from: place });
    } else if (typeof want.from === 'string') {
        say({ op: 'subscribe', channel: want.channel, from: { time: want.from } });
    } else if (want.from === 0) {
        say({ op: 'subscribe', channel: want.channel });
    } else {
        say({ op: 'channels', pattern: want.channel });
    }
}

function subscribeBack(name: string, channel: Channel | undefined) {
    const start = wants.get(name)?.from;
    if (start === undefined || typeof start === 'string' || !heard.has(name) || places.has(name))
        return;
    const before = typeof start === 'number' ? (channel?.offset ?? 0) - start : start.offset - 1;
    const from = channel && channel.offset > 0 ? { epoch: channel.epoch, offset: Math.max(0, Math.min(channel.offset, before)) } : 'live';
    say({ op: 'subscribe', channel: name, from });
}

function settle() {
    if (socket?.readyState !== WebSocket.OPEN)
        return;
    for (const channel of heard)
        if (!wants.has(channel)) {
            heard.delete(channel);
            places.delete(channel);
            say({ op: 'unsubscribe', channel });
        }
    for (const want of wants.values())
        if (!heard.has(want.channel))
            subscribe(want);
}

function list() {
    for (const pattern of patterns)
        say({ op: 'channels', pattern });
}

function onChannels(pattern: string, channels: Channel[]) {
    if (patterns.includes(pattern)) {
        for (const channel of channels)
            known.set(channel.channel, channel);
        channelsNew = true;
    }
    if (!heard.has(pattern))
        return;
    const place = places.get(pattern);
    if (place && channels[0])
        onHead(pattern, place, channels[0]);
    else
        subscribeBack(pattern, channels[0]);
}

// ---- what comes back after a cut ----

function onHead(name: string, place: Place, channel: Channel) {
    const resumed = status.resumed;
    if (channel.epoch !== place.epoch)
        return;
    heads.set(name, channel.offset);
    if (resumeAt === 0 || !resumed)
        return;
    resumed.channels++;
    resumed.expected += channel.offset - place.offset;
    if (channel.offset >= resumed.to) {
        resumed.from = `${place.epoch}/${place.offset}`;
        resumed.to = channel.offset;
    }
    resumedAll();
}

function resumedAll() {
    const resumed = status.resumed;
    if (resumeAt === 0 || !resumed)
        return;
    resumed.live = heads.size > 0 && [...heads].every(([name, head]) => (places.get(name)?.offset ?? 0) >= head);
    resumed.ms = performance.now() - resumeAt;
    resumed.missing = resumed.live ? resumed.expected - resumed.received : 0;
    if (resumed.live && heads.size >= heard.size)
        resumeAt = 0;
}

function onEvent(event: HouseEvent) {
    const place = places.get(event.channel);
    const head = heads.get(event.channel);
    const want = wants.get(event.channel);
    if (!want || !heard.has(event.channel))
        return;
    const isReplay = head !== undefined && event.offset <= head;
    if (place && place.epoch === event.epoch) {
        if (event.offset <= place.offset) {
            status.repeated++;
            if (resumeAt !== 0 && status.resumed)
                status.resumed.repeated++;
            return;
        }
        if (event.offset !== place.offset + event.skipped + 1)
            lose(event.channel, event.epoch, { from: place.offset + 1, to: event.offset - 1 }, 'the offsets jump');
    }
    places.set(event.channel, { epoch: event.epoch, offset: event.offset });
    status.received++;
    status.skipped += event.skipped;
    if (isReplay) {
        status.replayed++;
        if (resumeAt !== 0 && status.resumed) {
            status.resumed.received += 1 + event.skipped;
            resumedAll();
        }
    }
    if (want.sifted) {
        status.sifted.seen++;
        if (!pass(event))
            return;
        status.sifted.passed++;
    }
    queue.push(event);
    if (queue.length > queueMax) { // a page that takes nothing any more keeps the newest
        status.dropped += queueMax / 2;
        queue.splice(0, queueMax / 2);
    }
}

// ---- messages ----

function answerCall(onWire: number, answer: (ms: number) => Answer<unknown>) {
    const call = calls.get(onWire);
    if (!call)
        return;
    calls.delete(onWire);
    clearTimeout(call.timer);
    const said: FromWorker = { type: 'answer', id: call.id, answer: answer(performance.now() - call.at) };
    postMessage(said);
}

function onAnswer(message: any) {
    if (message.op === 'call') {
        answerCall(message.id, (ms) => ({ ok: true, ms, data: message.data }));
    } else if (message.op === 'channels') {
        onChannels(message.pattern, message.channels);
    } else if (message.op === 'subscribe') {
        if (!message.recovered)
            lose(message.channel, message.epoch ?? '', message.lost, message.reason);
        if (message.epoch !== null)
            places.set(message.channel, { epoch: message.epoch, offset: message.offset });
    }
}

function onMessage(message: any) {
    switch (message.type) {
    case 'event':
        onEvent(message as HouseEvent);
        break;
    case 'answer':
        onAnswer(message);
        break;
    case 'error':
        answerCall(message.id, (ms) => ({ ok: false, ms, code: message.code, field: message.field, message: message.message }));
        break;
    case 'pong':
        if (message.id === pingId)
            status.rtt = performance.now() - pingAt;
        break;
    case 'gap':
        lose(message.channel, message.epoch, message.lost, message.reason);
        if (message.lost.to !== null)
            places.set(message.channel, { epoch: message.epoch, offset: message.lost.to });
        break;
    case 'epoch':
        if (message.lost)
            lose(message.channel, message.before, { from: message.lost.from, to: null }, 'the house lost its newest records');
        heads.delete(message.channel);
        places.set(message.channel, { epoch: message.epoch, offset: message.first_offset - 1 });
        break;
    default: // disconnect: nothing to do, the state says it
    }
}

// Rows of the store hold integers with more digits than a number of JavaScript: those stay text, as they were written.
function read(message: string): any {
    const exact = (_: string, value: unknown, context?: { source?: string }) => (
        typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source ? context.source : value);
    return message.slice(0, actionWithin).includes('"action":"store.query"') ? JSON.parse(message, exact as (key: string, value: any) => any) : JSON.parse(message);
}

// ---- the connection ----

function connect() {
    const url = `${self.location.protocol === 'https:' ? 'wss' : 'ws'}://${self.location.host}/ws`;
    const mine = new WebSocket(url, 'kontor.v1.json');
    socket = mine;
    heardAt = Date.now();
    mine.onopen = () => {
        linkNew = true;
        status.link = 'open';
        status.backAfter = lostAt !== 0 ? Date.now() - lostAt : null;
        status.replayed = 0;
        status.since = Date.now();
        status.tries = 0;
        lostAt = 0;
        heads.clear();
        list();
        settle();
        early.forEach(({ id, action, params }) => call(id, action, params));
        early = [];
        give();
    };
    mine.onmessage = (message) => {
        if (socket !== mine)
            return;
        heardAt = Date.now();
        onMessage(read(message.data));
        if (!pageHidden)
            give();
    };
    mine.onclose = () => lost(mine);
}

function forget(link: 'lost' | 'cut') {
    socket = null;
    heard.clear();
    heads.clear();
    if (lostAt === 0)
        lostAt = heardAt; // what the page shows is from then
    linkNew = true;
    status.link = link;
    status.since = lostAt;
    status.rtt = null;
    for (const onWire of [...calls.keys()])
        answerCall(onWire, (ms) => ({ ok: false, ms, code: 'disconnected', message: 'The connection was lost before the answer came.' }));
}

function lost(mine: WebSocket) {
    const wait = Math.min(retryMaxMs, retryFirstMs * 2 ** status.tries) * (0.75 + Math.random() / 2);
    if (socket !== mine)
        return;
    forget('lost');
    status.tries++;
    status.retryAt = Date.now() + wait;
    give();
    setTimeout(retry, wait);
}

function retry() {
    if (socket === null && status.link !== 'cut')
        connect();
}

function cut() {
    const mine = socket;
    if (!mine)
        return;
    heardAt = Date.now();
    forget('cut');
    mine.close();
    give();
}

function resume() {
    const first: Resumed = { channels: 0, expected: 0, received: 0, repeated: 0, missing: 0, ms: 0, live: false, from: '', to: 0 };
    if (status.link !== 'cut')
        return;
    status.resumed = first;
    resumeAt = performance.now();
    linkNew = true;
    status.link = 'connecting';
    connect();
}

function call(id: number, action: string, params: unknown) {
    if (socket?.readyState !== WebSocket.OPEN) {
        const answer: Answer<unknown> = { ok: false, ms: 0, code: 'disconnected', message: 'There is no connection to the house.' };
        postMessage({ type: 'answer', id, answer } satisfies FromWorker);
        return;
    }
    const at = performance.now();
    const onWire = say({ op: 'call', action, params });
    const timer = setTimeout(() => answerCall(onWire, (ms) => ({
        ok: false, ms, code: 'timeout', message: `No answer came within ${callMs / 1000} s.`,
    })), callMs) as unknown as number;
    calls.set(onWire, { id, at, timer });
}

setInterval(() => {
    if (socket && Date.now() - heardAt > deafMs) {
        const deaf = socket;
        lost(deaf);
        deaf.close();
    }
    if (socket?.readyState !== WebSocket.OPEN)
        return;
    pingAt = performance.now();
    pingId = say({ op: 'ping' });
}, pingMs);

setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN)
        list();
}, listMs);

setInterval(() => {
    if (pageHidden)
        give();
}, hiddenMs);

function sift(source: string) {
    status.sifted = { seen: 0, passed: 0 };
    try {
        pass = compile(source);
    } catch { // the page says what is wrong with it; until it is right everything passes
        pass = () => true;
    }
}

function want(next: Want[], nextPatterns: string[]) {
    const listed = nextPatterns.filter((pattern) => !patterns.includes(pattern));
    wants.clear();
    for (const one of next)
        wants.set(one.channel, one);
    patterns = nextPatterns;
    queue = queue.filter((event) => wants.has(event.channel));
    if (socket?.readyState === WebSocket.OPEN)
        listed.forEach((pattern) => say({ op: 'channels', pattern }));
    settle();
}

onmessage = ({ data }: MessageEvent<ToWorker>) => {
    switch (data.type) {
    case 'want':
        want(data.wants, data.patterns);
        break;
    case 'sift':
        sift(data.filter);
        break;
    case 'call':
        if (status.link === 'connecting')
            early.push(data);
        else
            call(data.id, data.action, data.params);
        break;
    case 'take':
        pageWaits = true;
        pageHidden = data.hidden;
        pageMax = data.max;
        if (queue.length > 0 || channelsNew || linkNew)
            give();
        break;
    case 'cut':
        cut();
        break;
    case 'resume':
        resume();
        break;
    case 'retry':
        retry();
        break;
    }
};

connect();
