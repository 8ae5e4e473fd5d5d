// A foreign client: Node `ws`. Usage: node node_client.mjs URL. Prints TAP.
import WebSocket from 'ws';
import { arguments_, scenario, tap } from './scenario.mjs';

const { url, boundMs } = arguments_();
process.exit(tap('node', await scenario(WebSocket, url, boundMs)));
