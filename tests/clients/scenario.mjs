// What the Node and the browser client do, over any WebSocket class with the browser's interface. It is sent to the browser as
// text, so it stands alone: no imports, nothing from outside but its arguments.
export async function scenario(WebSocketClass, url, boundMs) {
    const results = [];
    const state = {};

    function assert(fact, text) {
        if (!fact)
            throw new Error(text);
    }

    class Client {
        constructor() {
            this.seq = 0;
            this.id = 0;
            this.messages = [];
            this.waiting = null;
            this.closed = null;
            this.socket = new WebSocketClass(url, 'kontor.v1.json');
            this.socket.onmessage = (event) => {
                const message = JSON.parse(event.data);
                this.seq++;
                if (message.seq !== this.seq)
                    this.wrong = `seq ${message.seq} instead of ${this.seq}`;
                this.messages.push(message);
                this.waiting?.();
            };
            this.socket.onclose = (event) => {
                this.closed = event;
                this.waiting?.();
            };
        }

        async until(found, what) {
            const end = Date.now() + boundMs;
            for (;;) {
                const value = found();
                assert(!this.wrong, this.wrong);
                if (value !== undefined)
                    return value;
                assert(Date.now() < end, `${what}: waited ${boundMs} ms`);
                await new Promise((resolve) => {
                    this.waiting = resolve;
                    setTimeout(resolve, 100);
                });
            }
        }

        open() {
            return this.until(() => (this.socket.readyState === 1 ? true : undefined), 'open');
        }

        // The answer, and the events that came before it.
        async ask(op) {
            const id = ++this.id;
            this.socket.send(JSON.stringify({ id, ...op }));
            const at = await this.until(() => {
                const index = this.messages.findIndex((message) => message.id === id);
                return index < 0 ? undefined : index;
            }, `answer to ${op.op}`);
            return this.messages.splice(0, at + 1).pop();
        }

        async events(count) {
            const found = [];
            while (found.length < count) {
                this.socket.send('{"op":"ping"}');
                const message = await this.until(() => this.messages.shift(), 'event');
                if (message.type === 'event')
                    found.push(message);
            }
            return found;
        }

        close() {
            this.socket.close();
        }
    }

    function inOrder(offset, events) {
        for (const event of events) {
            assert(event.offset === offset + event.skipped + 1, `offset ${event.offset} behind ${offset}`);
            assert(event.skipped === 0, 'skipped although conflate is false');
            offset = event.offset;
        }
        return offset;
    }

    async function busiest(client) {
        const end = Date.now() + boundMs;
        while (Date.now() < end) {
            const answer = await client.ask({ op: 'channels', pattern: 'trades.>' });
            const alive = answer.channels.filter((channel) => channel.offset > 0).sort((a, b) => b.offset - a.offset);
            if (alive.length > 0)
                return alive[0].channel;
            await new Promise((resolve) => setTimeout(resolve, 200));
        }
        throw new Error('no channel with trades appeared');
    }

    const tests = {
        async 'subscribes'() {
            const client = new Client();
            await client.open();
            assert(client.socket.protocol === 'kontor.v1.json', `subprotocol ${client.socket.protocol}`);
            state.channel = await busiest(client);
            const answer = await client.ask({ op: 'subscribe', channel: state.channel, from: 'snapshot', conflate: false });
            assert(answer.recovered, JSON.stringify(answer));
            const events = await client.events(20);
            state.offset = inOrder(answer.offset, events);
            state.epoch = events[events.length - 1].epoch;
            client.close();
        },
        async 'resumes'() {
            await new Promise((resolve) => setTimeout(resolve, 1000));
            const client = new Client();
            await client.open();
            const answer = await client.ask({ op: 'subscribe', channel: state.channel, conflate: false,
                                              from: { epoch: state.epoch, offset: state.offset } });
            assert(answer.recovered && answer.offset === state.offset, JSON.stringify(answer));
            inOrder(state.offset, await client.events(50));
            client.close();
        },
        async 'is refused with a reason'() {
            const client = new Client();
            await client.open();
            for (const [op, code] of [[{ op: 'order' }, 'unknown_op'], [{ op: 'subscribe' }, 'missing_field'],
                                      [{ op: 'subscribe', channel: 'a', conflate: 1 }, 'wrong_type']]) {
                const answer = await client.ask(op);
                assert(answer.type === 'error' && answer.code === code && answer.message, JSON.stringify(answer));
            }
            client.close();
        },
        async 'is cut off when silent'() {
            const client = new Client();
            await client.open();
            const message = await client.until(() => client.messages.shift(), 'disconnect');
            assert(message.type === 'disconnect' && message.code === 'silent' && message.reason, JSON.stringify(message));
            const closed = await client.until(() => client.closed ?? undefined, 'close');
            assert(closed.code === 1008, `closed with ${closed.code}`);
        },
    };

    for (const [name, test] of Object.entries(tests)) {
        try {
            await test();
            results.push({ name, error: null });
        } catch (error) {
            results.push({ name, error: String(error.message) });
        }
    }
    return results;
}

export function tap(who, results) {
    console.log(`1..${results.length}`);
    results.forEach(({ name, error }, index) => {
        console.log(`${error === null ? 'ok' : 'not ok'} ${index + 1} - ${who}: ${name}`);
        if (error !== null)
            console.log(`# ${error}`);
    });
    return results.some(({ error }) => error !== null) ? 1 : 0;
}

export function arguments_() {
    if (process.argv.length !== 3) {
        console.error('usage: node CLIENT.mjs URL, such as http://127.0.0.1:3000');
        process.exit(2);
    }
    const page = process.argv[2].replace(/\/$/, '');
    return { page: `${page}/`, url: `${page.replace(/^http/, 'ws')}/ws`, boundMs: 1000 * Number(process.env.KONTOR_CLIENT_BOUND_S ?? 60) };
}
