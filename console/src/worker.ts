// Owns the socket, because a background tab throttles the page's timers, and a client that is silent for 5 s is cut off.
// Keeps epoch and offset of each channel, so that after a reconnect it asks for what it has not heard yet.
import type { Channel, FromWorker, HouseEvent, Loss, Status, ToWorker, Want } from './wire';

const pingMs = 1500;
const deafMs = 4000; // a house that answers no ping for so long is lost, even if its socket is still open
const retryFirstMs = 250;
const retryMaxMs = 5000;
const channelsMs = 5000;
const queueMax = 20000;
const listed = 'vwap.>'; // the channels that name the symbols

interface Place { epoch: string; offset: number }

const places = new Map<string, Place>();
const wants = new Map<string, Want>();
const heard = new Set<string>(); // subscribed on this connection
const known = new Map<string, Channel>();

let socket: WebSocket | null = null;
let queue: HouseEvent[] = [];
let channelsNew = false;
let pageWaits = false;
let nextId = 1;
let pingAt = 0;
let pingId = 0;
let lostAt = 0;
let heardAt = 0;
const status: Status = {
    link: 'connecting', since: Date.now(), retryAt: 0, tries: 0, rtt: null, received: 0, skipped: 0, repeated: 0, losses: [],
    backAfter: null,
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
    const batch: FromWorker = { type: 'batch', events: queue, status: { ...status }, channels: channelsNew ? [...known.values()] : null };
    queue = [];
    channelsNew = false;
    postMessage(batch);
}

function lose(loss: Loss) {
    status.losses = [...status.losses.slice(-19), loss];
}

// A channel that was heard before goes on behind its last event; a new one is asked where it stands, and begun some events back.
function subscribe(want: Want) {
    const place = places.get(want.channel);
    heard.add(want.channel);
    if (place)
        say({ op: 'subscribe', channel: want.channel, from: place });
    else
        say({ op: 'channels', pattern: want.channel });
}

function subscribeBack(name: string, channel: Channel | undefined) {
    const back = wants.get(name)?.back;
    if (back === undefined || !heard.has(name) || places.has(name))
        return;
    const from = channel && channel.offset > 0 ? { epoch: channel.epoch, offset: Math.max(0, channel.offset - back) } : 'live';
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

function onEvent(event: HouseEvent) {
    const place = places.get(event.channel);
    if (!heard.has(event.channel))
        return;
    if (place && place.epoch === event.epoch) {
        if (event.offset <= place.offset) {
            status.repeated++;
            return;
        }
        if (event.offset !== place.offset + event.skipped + 1)
            lose({ channel: event.channel, from: place.offset + 1, to: event.offset - 1, reason: 'the offsets jump' });
    }
    places.set(event.channel, { epoch: event.epoch, offset: event.offset });
    status.received++;
    status.skipped += event.skipped;
    queue.push(event);
    if (queue.length > queueMax) // a page that does not paint keeps the newest
        queue.splice(0, queue.length - queueMax / 2);
}

function onAnswer(message: any) {
    if (message.op === 'channels' && message.pattern === listed) {
        for (const channel of message.channels as Channel[])
            known.set(channel.channel, channel);
        channelsNew = true;
    } else if (message.op === 'channels') {
        subscribeBack(message.pattern, message.channels[0]);
    } else if (message.op === 'subscribe') {
        if (!message.recovered)
            lose({ channel: message.channel, from: message.lost?.from ?? null, to: message.lost?.to ?? null, reason: message.reason });
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
    case 'pong':
        if (message.id === pingId)
            status.rtt = performance.now() - pingAt;
        break;
    case 'gap':
        lose({ channel: message.channel, from: message.lost.from, to: message.lost.to, reason: message.reason });
        if (message.lost.to !== null)
            places.set(message.channel, { epoch: message.epoch, offset: message.lost.to });
        break;
    case 'epoch':
        if (message.lost)
            lose({ channel: message.channel, from: message.lost.from, to: null, reason: 'the house lost its newest records' });
        places.set(message.channel, { epoch: message.epoch, offset: message.first_offset - 1 });
        break;
    default: // errors and disconnect: nothing to do, the state says it
    }
}

function connect() {
    const url = `${self.location.protocol === 'https:' ? 'wss' : 'ws'}://${self.location.host}/ws`;
    const mine = new WebSocket(url, 'kontor.v1.json');
    socket = mine;
    heardAt = Date.now();
    mine.onopen = () => {
        status.link = 'open';
        status.backAfter = lostAt !== 0 ? Date.now() - lostAt : null;
        status.since = Date.now();
        status.tries = 0;
        lostAt = 0;
        say({ op: 'channels', pattern: listed });
        settle();
        give();
    };
    mine.onmessage = (message) => {
        if (socket !== mine)
            return;
        heardAt = Date.now();
        onMessage(JSON.parse(message.data));
        give();
    };
    mine.onclose = () => lost(mine);
}

function lost(mine: WebSocket) {
    const wait = Math.min(retryMaxMs, retryFirstMs * 2 ** status.tries) * (0.75 + Math.random() / 2);
    if (socket !== mine)
        return;
    socket = null;
    heard.clear();
    if (lostAt === 0)
        lostAt = heardAt; // what the page shows is from then
    status.link = 'lost';
    status.since = lostAt;
    status.tries++;
    status.rtt = null;
    status.retryAt = Date.now() + wait;
    give();
    setTimeout(connect, wait);
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
        say({ op: 'channels', pattern: listed });
}, channelsMs);

onmessage = (message: MessageEvent<ToWorker>) => {
    if (message.data.type === 'take') {
        pageWaits = true;
        if (queue.length > 0 || channelsNew)
            give();
        return;
    }
    wants.clear();
    for (const want of message.data.wants)
        wants.set(want.channel, want);
    settle();
};

connect();
