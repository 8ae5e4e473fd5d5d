// A peer of net_bench: the package `ws` on Node. Each line of standard input is a number: so many messages to everybody.
const { WebSocketServer } = require('ws');
const readline = require('node:readline');

const message = Buffer.alloc(200, 0x78);
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('listening', () => console.log(`listening ${server.address().port}`));
readline.createInterface({ input: process.stdin }).on('line', (line) => {
    for (const client of server.clients)
        for (let i = 0; i < Number(line); i++)
            client.send(message, { binary: false });
});
