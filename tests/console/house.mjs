// A house of the test's own: files come from a real one, everything else is said as the test wants it. So the page meets what no
// real house does on demand: hostile names, lost events, a new epoch, silence, answers of every kind.
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { boundMs } from './tap.mjs';

let now = () => Date.now();

// From here on it is always that time.
export function freeze(ms) {
    now = () => ms;
    marketMs = ms;
    tradeNumber = 0;
}

const epochOf = (n) => n.toString(16).padStart(16, '0');

export class ScriptedHouse {
    constructor(filesFrom) {
        this.files = new URL(filesFrom);
        this.channels = new Map();
        this.actions = new Map();
        this.documents = new Map(); // path to JSON
        this.before = new Map(); // path to what its file begins with here
        this.clients = new Set();
        this.asked = []; // calls, newest last
        this.refuses = false;
        this.server = http.createServer((request, response) => this.file(request, response));
        this.sockets = new WebSocketServer({ server: this.server, path: '/ws', handleProtocols: () => 'kontor.v1.json' });
        this.sockets.on('connection', (socket) => this.welcome(socket));
    }

    async open() {
        await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
        return `http://127.0.0.1:${this.server.address().port}`;
    }

    close() {
        this.cut();
        this.sockets.close();
        this.server.close();
    }

    file(request, response) {
        const path = request.url.split('?')[0];
        if (this.documents.has(path)) {
            response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.documents.get(path)));
            return;
        }
        const options = { host: this.files.hostname, port: this.files.port, path: request.url, headers: { ...request.headers, host: this.files.host } };
        http.get(options, (answer) => {
            const { 'content-length': _, ...headers } = answer.headers;
            response.writeHead(answer.statusCode, headers);
            response.write(this.before.get(path) ?? '');
            answer.pipe(response);
        }).on('error', () => response.writeHead(502).end());
    }

    // Ends every connection without a word; with `refuse` new ones too, until accept().
    cut(refuse = true) {
        this.refuses = refuse;
        for (const client of this.clients)
            client.socket.terminate();
        this.clients.clear();
    }

    accept() {
        this.refuses = false;
    }

    channel(name, epoch = 1) {
        if (!this.channels.has(name))
            this.channels.set(name, { name, epoch: epochOf(epoch), offset: 0, events: [] });
        return this.channels.get(name);
    }

    // An event; `skip` offsets before it are lost without a word, which a house never does.
    emit(name, kind, data, { skip = 0, publishMs = now() } = {}) {
        const channel = this.channel(name);
        channel.offset += skip + 1;
        const event = { skipped: 0, type: 'event', channel: name, epoch: channel.epoch, offset: channel.offset,
                        publish_time: new Date(publishMs).toISOString().replace('Z', '000000Z'), kind, data };
        channel.events.push(event);
        for (const client of this.clients)
            if (client.heard.has(name))
                client.say(event);
    }

    // Until a client hears the channel.
    async heard(name) {
        const end = Date.now() + boundMs;
        while (![...this.clients].some((client) => client.heard.has(name))) {
            if (Date.now() > end)
                throw new Error(`nobody hears ${name}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    welcome(socket) {
        let seq = 0;
        const client = { socket, heard: new Set(), say: (message) => socket.send(JSON.stringify({ seq: ++seq, ...message })) };
        if (this.refuses) {
            socket.terminate();
            return;
        }
        this.clients.add(client);
        socket.on('close', () => this.clients.delete(client));
        socket.on('error', () => {});
        socket.on('message', (bytes) => this.hear(client, JSON.parse(bytes)));
    }

    hear(client, op) {
        const answer = (fields) => client.say({ type: 'answer', id: op.id, op: op.op, ...fields });
        if (op.op === 'ping') {
            client.say({ type: 'pong', id: op.id });
        } else if (op.op === 'channels') {
            const form = new RegExp(`^${op.pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '[^.]*').replace(/>$/, '.*')}$`);
            answer({ pattern: op.pattern, channels: [...this.channels.values()].filter(({ name }) => form.test(name))
                .map(({ name, epoch, offset }) => ({ channel: name, log: 'market', epoch, offset })) });
        } else if (op.op === 'unsubscribe') {
            client.heard.delete(op.channel);
            answer({ channel: op.channel });
        } else if (op.op === 'subscribe') {
            const channel = this.channel(op.channel);
            const known = op.from?.epoch === channel.epoch;
            const offset = known ? op.from.offset : op.from?.time ? 0 : channel.offset;
            client.heard.add(op.channel);
            answer({ channel: op.channel, exists: true, epoch: channel.epoch, offset, recovered: known || !op.from?.epoch, reason: 'the epoch is not known',
                     lost: { from: op.from?.offset ?? null, to: null } });
            channel.events.filter((event) => event.offset > offset).forEach((event) => client.say(event));
        } else if (op.op === 'call') {
            this.call(client, op, answer);
        }
    }

    call(client, op, answer) {
        const action = this.actions.get(op.action);
        this.asked.push(op);
        const said = action?.(op.params ?? {});
        if (said === undefined)
            client.say({ type: 'error', id: op.id, op: 'call', code: 'unavailable', message: `nobody answers ${op.action}` });
        else if (said.refused)
            client.say({ type: 'error', id: op.id, op: 'call', ...said.refused });
        else
            answer({ action: op.action, data: said });
    }
}

// ---- a small market, so that each test says only what it is about ----

export const iso = (ms) => new Date(ms).toISOString().replace('Z', '000000Z');
let tradeNumber = 0;
let marketMs = Date.now(); // market time: that of the newest trade

export function trade(price, { at = now(), side = 'buy', quantity = '0.5', ...rest } = {}) {
    tradeNumber++;
    marketMs = Math.max(marketMs, at);
    return { venue_time: iso(at), receive_time: iso(at), price, quantity, side, trade_id: String(tradeNumber), trade_number: tradeNumber, validated: false, suspect: false,
             source: 'stream', revision: 1, ...rest };
}

export function vwap(price, { at = marketMs, ...rest } = {}) {
    return { mark: iso(Math.floor(at / 1000) * 1000), window: 300e9, price, sum_pq: '1', sum_q: '1', trades: 12, validated: false, complete: true, revision: 1, ...rest };
}

export function correction(before, after, { at = now(), ...rest } = {}) {
    const mark = iso(Math.floor(at / 1000) * 1000);
    return { mark_from: mark, mark_to: mark, window: 300e9, revision: 2, old_price: before, old_sum_pq: '1', old_sum_q: '1', old_trades: 11, new_price: after, new_sum_pq: '1',
             new_sum_q: '1', new_trades: 12, delta_pq: '0', delta_q: '0', delta_trades: 0, cause: 'missing', trade_ids: ['4711'], trade_count: 1, complete: true, price_scale: 0, ...rest };
}

export function instrument(symbol, { price_scale = 2, quantity_scale = 5, tick = '0.01' } = {}) {
    const [base, quote] = symbol.split('/');
    return { venue_symbol: symbol, base, quote, price_scale, quantity_scale, tick, lot: '0', version: 1 };
}

export function stats(rest = {}) {
    return { received: 10, invalid: 0, repeated: 0, reordered: 0, missing: 0, repaired: 0, suspect: 0, corrected: 0, skew_min: -1.1e9, skew_max: 2e6, market_time: iso(marketMs),
             validated_until: iso(now()), lost: 0, full_ms: 0, rest_invalid: 0, rest_failures: 0, ...rest };
}

// Everything that Market wants of a symbol, once.
export function market(house, venue, symbol, price = '65000.25', at = now()) {
    const token = encodeURIComponent(symbol).replace(/%2F/g, '/').replace(/\./g, '%2E');
    const key = `${venue}.${token}`;
    house.emit(`instrument.${key}`, 'instrument', instrument(symbol));
    house.emit(`feed.${venue}.link`, 'link', { state: 'connected', reason: '', attempt: 0, receive_time: iso(now()) });
    house.emit(`stats.${key}`, 'feed_stats', stats());
    for (const window of ['1m', '5m', '1h'])
        house.emit(`vwap.${window}.${key}`, 'vwap', vwap(`${price}10`));
    house.emit(`trades.${key}`, 'trade', trade(price, { at }), { publishMs: at });
    house.emit(`book.${key}`, 'book', book(price));
    return key;
}

export function book(price, { snapshot = true, first_id = 1, last_id = 10, bids, asks } = {}) {
    const cents = BigInt(price.replace('.', ''));
    const level = (n) => ({ price: `${(cents + BigInt(n)).toString().slice(0, -2)}.${(cents + BigInt(n)).toString().slice(-2)}`, quantity: '0.12500' });
    return { venue_time: iso(now()), receive_time: iso(now()), snapshot, first_id, last_id, resyncs: 0,
             bids: bids ?? Array.from({ length: 30 }, (_, i) => level(-i)), asks: asks ?? Array.from({ length: 30 }, (_, i) => level(i + 1)) };
}

// ---- what it answers ----

const lane = (name, state_ = 'live', rest = {}) => ({ lane: name, state: state_, pid: 4711, generation: 1, restarts: 0, reason: '', since: iso(now() - 5000), cpu: 1e9, rss: 4e7, inputs: 12, ...rest });
const action = (name, rest = {}) => ({ action: name, text: `about ${name}`, method: 'GET', path: `/v1/${name.replace('.', '/')}`, lane: 'edge', scope: 'read', cost: 1, repeats: true,
                                       available: true, breaker: 'closed', calls: 3, errors: 0, retries: 0, open: 0, p50: 2e5, p99: 4e6, ...rest });
const rows = Array.from({ length: 1000 }, (_, i) => [i, `name ${i}`, i % 7 === 0 ? null : '<b>bold</b>']);


// Actions of every kind, but for those about the past.
export function answers(house) {
    house.actions.set('node.list', () => ({ nodes: [{ node: 'a1', version: '0.4.1', pid: 1, since: iso(now()), data: '/data', lanes: 3, live: 2, restarts: 5 }] }));
    house.actions.set('node.lanes', () => ({ lanes: [lane('market'), lane('keep'), lane('exchange', 'parked', { pid: 0, restarts: 5, reason: 'no progress x5' })] }));
    house.actions.set('node.logs', () => ({ logs: [{ log: 'market', epoch: '0'.repeat(16), first: 1, written: 9812330, durable: 9812118, size: 54525952, readers: [
        { reader: 'edge', cursor: false, position: 9812330, lag: 0, awake: true, held: 0 }, { reader: 'keep', cursor: false, position: 9764218, lag: 48112, awake: true, held: 9e6 }] }] }));
    house.actions.set('node.actions', () => ({ actions: [action('vwap.latest'), ...['vwap.history', 'trades.history'].map((name) => action(name, { available: house.actions.has(name) })), action('config.put', { scope: 'operate', method: 'POST' }), action('store.query', { available: false })] }));
    house.actions.set('node.services', () => ({ services: [{ service: 'vwap', lane: 'edge', available: true, actions: ['vwap.latest'] }, { service: 'store', lane: 'keep', available: false, actions: [] }] }));
    house.actions.set('vwap.latest', ({ ticker }) => (ticker === 'BTC' ? { ticker, price: '65000.25', ts: '1684083600000' }
        : { refused: { code: 'out_of_range', field: 'ticker', message: 'there is no ticker of this name; known: BTC' } }));
    house.actions.set('store.tables', () => ({ tables: [{ name: 'trades', view: false, row_count: 4812330, exact: true, columns: [{ name: 'venue', type: 'text' }] }, { name: 'by_day', view: true, row_count: 0, exact: false, columns: [] }],
                                               size: 1e8, seq: 12, lag: 48112 }));
    house.actions.set('store.migrations', () => ({ version: 2, migrations: [{ version: 1, applied: true, text: 'first' }, { version: 2, applied: true, text: 'second' }] }));
    house.actions.set('store.query', ({ sql }) => (/drop/.test(sql) ? { refused: { code: 'out_of_range', field: 'sql', message: 'the statement would change something' } }
        : { columns: [{ name: 'n', type: 'integer' }, { name: 'name', type: 'text' }, { name: 'mark', type: 'text' }], rows, complete: false, time: 14e6 }));
    house.documents.set('/openapi.json', { paths: { '/v1/vwap/latest': { get: { parameters: [{ name: 'ticker', in: 'query', required: true, description: 'ticker as configured', schema: { type: 'string', minLength: 1, maxLength: 128 } }] } } } });
}

// The quality of symbols, [venue, symbol, cell of a minute, how many were counted, how many received]; all of one minute is told but for
// the symbols in `unseen`.
export function quality(house, rows, unseen = []) {
    house.actions.set('quality.history', ({ from, to, points, venue, symbol, measure }) => {
        const step = Math.max(1, Math.ceil(((Date.parse(to) - Date.parse(from)) / 60000 + 1) / points)) * 60000;
        const start = Math.floor(Date.parse(from) / step) * step;
        const cells = (of) => Array.from({ length: (Math.floor(Date.parse(to) / step) * step - start) / step + 1 }, (_, i) => of(start + i * step, i)).join('');
        return { step: step * 1e6, start: iso(start), steps: ['0', '≤ 0.01 %', '≤ 0.1 %', '≤ 1 %', '> 1 %'], complete: true,
                 rows: rows.filter(([of, name]) => (venue === '' || of === venue) && name.toLowerCase().includes(symbol.toLowerCase()))
                     .map(([of, name, cell, total, received]) => ({ venue: of, symbol: name, cells: cells(cell), total: measure === 'silence' ? 4200000000 : total, received })) };
    });
    house.actions.set('quality.minutes', ({ from, symbol }) => ({ complete: true, rows: unseen.includes(symbol) ? []
        : [{ minute: from, revision: 2, received: 1204, invalid: 2, repeated: 0, reordered: 5, missing: 31, repaired: 31, suspect: 0, silence: 4200000000,
             latency_p50: -1100000000, latency_p99: 188000000, latency_max: 4210000000, timed: 1202 }] }));
}

// The past of a symbol: a trade each `everyMs` from `fromMs` to `toMs`, in the rows that a house makes of it, and averages each second.
export function past(house, { fromMs, toMs, everyMs = 10000, price = (ms) => 65000 + Math.round(5000 * Math.sin(ms / 3e5)) / 100 }) {
    const points = ({ from, to }) => {
        const found = [];
        for (let ms = Math.max(fromMs, Math.ceil(Date.parse(from) / everyMs) * everyMs); ms <= Math.min(toMs, Date.parse(to)); ms += everyMs)
            found.push({ ms, price: price(ms).toFixed(2), quantity: 0.5 });
        return found;
    };
    const stepOf = ({ from, to, points: most }, unit) => {
        let step = Math.max(unit, Math.floor((Date.parse(to) - Date.parse(from)) / most / unit) * unit);
        while (Math.floor(Date.parse(to) / step) - Math.floor(Date.parse(from) / step) + 1 > most)
            step += unit;
        return step;
    };
    house.actions.set('trades.history', (params) => {
        const found = points(params);
        const step = found.length > params.points ? stepOf(params, 1) : 0;
        const rows = [];
        for (const { ms, price: at, quantity } of found) {
            const time = iso(step === 0 ? ms : ms - (ms % step));
            const last = rows[rows.length - 1];
            if (last?.time === time)
                Object.assign(last, { close: at, quantity: String(Number(last.quantity) + quantity), trades: last.trades + 1 });
            else
                rows.push({ time, open: at, high: at, low: at, close: at, quantity: String(quantity), trades: 1, buys: 1, validated: true });
        }
        return { step: step * 1e6, oldest: iso(fromMs), rows };
    });
    house.actions.set('vwap.history', (params) => {
        const step = stepOf(params, 1000);
        const rows = new Map();
        for (let mark = Math.ceil(Math.max(fromMs, Date.parse(params.from)) / 1000) * 1000; mark <= Math.min(toMs, Date.parse(params.to)); mark += 1000)
            rows.set(Math.floor(mark / step), { mark: iso(mark), price: `${price(mark - (mark % everyMs)).toFixed(2)}10`, low: '1', high: '1', trades: 12, validated: true, complete: true, revision: 1 });
        return { step: step * 1e6, oldest: iso(fromMs), rows: [...rows.values()] };
    });
}
