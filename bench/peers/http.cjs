// A peer of net_bench: Node's own HTTP server with a small JSON answer.
const { createServer } = require('node:http');

const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('Content-Length', process.argv[2].length);
    response.end(process.argv[2]);
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
