/* net/ws_server.h - the WebSocket connections that came in through an HTTP server.
 *
 *     static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
 *     {
 *         if (kt_text_equal(request->path, kt_text_of("/ws")))
 *             client->conn = kt_ws_accept(ws, http, exchange, request, client);
 *
 * Memory    An idle connection holds about 500 bytes and no buffer.
 */
#ifndef KT_NET_WS_SERVER_H
#define KT_NET_WS_SERVER_H

#include "net/http_server.h"
#include "net/ws_conn.h"

typedef struct kt_ws_server kt_ws_server;

typedef struct kt_ws_server_options {
    kt_ws_handlers handlers;
    const char *subprotocol; /* spoken when the client offers it, "kontor.v1.json"; a client that offers none is taken
                                 without, one that offers only others too, and then no protocol is named. NULL: none */
    const char *origins;     /* NULL: any Origin. Else space-separated, and any other Origin header is answered 403 */
    bool deflate;            /* agree to permessage-deflate (net/deflate.h) with clients that offer it */
    uint32_t conn_max;       /* 0 in this and what follows: KT_HTTP_CONN_MAX_DEFAULT; 503 above */
    uint32_t message_max;    /* KT_WS_MESSAGE_MAX_DEFAULT */
    uint32_t out_max;        /* KT_WS_OUT_MAX_DEFAULT, at most KT_BLOCK_SIZE_MAX / 2 */
    uint64_t pool_max;       /* buffers of all connections together; KT_HTTP_POOL_MAX_DEFAULT */
    uint32_t close_time_ms;  /* KT_WS_CLOSE_TIME_DEFAULT_MS */
} kt_ws_server_options;

kt_code kt_ws_server_new(kt_loop *loop, const kt_ws_server_options *options, kt_ws_server **out_server, kt_err *err);

/* Ends every connection at once, without on_close; not inside a handler. For an orderly end call
 * kt_ws_server_close_all first and turn the loop until kt_ws_server_count is 0. */
void kt_ws_server_free(kt_ws_server *server);
void kt_ws_server_close_all(kt_ws_server *server, uint16_t code, kt_text reason);
uint32_t kt_ws_server_count(const kt_ws_server *server);
void kt_ws_server_limit(
    kt_ws_server *server, uint32_t conn_max); /* from now on; those beyond it that are there go on */

/* Inside on_request: check the handshake and take the connection over. NULL: it was not a valid handshake (400, 405,
 * 426 with Sec-WebSocket-Version, 403 or 503 has been answered), or the client is gone. `ctx` goes to the handlers.
 * The 101 answer is queued: what is sent from now on follows it. */
kt_ws_conn *kt_ws_accept(
    kt_ws_server *server, kt_http_server *http, uint64_t exchange, const kt_http_request *request, void *ctx);

/* For frames that many connections share (kt_deflate_frame); NULL without `deflate`. */
kt_deflater *kt_ws_server_deflater(const kt_ws_server *server);

/* Walk all connections, in no particular order: start with NULL. Connections may be closed on the way. */
kt_ws_conn *kt_ws_server_next(const kt_ws_server *server, const kt_ws_conn *conn);

#endif
