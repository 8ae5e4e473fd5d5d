/* net/http_server.h - HTTP/1.1 server on the loop: keep-alive, pipelining, and a hand-over to WebSocket.
 *
 * Exchange  Each request becomes an exchange, a number (never 0) that names it until it is answered. The answer may
 *           come at once, inside on_request, or in a later turn; requests pipelined behind it wait, unread beyond the
 *           read buffer, so answers keep their order. A client that leaves makes its exchange unknown (KT_NOENT), and
 *           that is no error.
 * Errors    Whatever can not be a request is answered by the server itself with JSON
 *           {"statusCode":400,"error":"Bad Request","message":"..."} and closed; see http_parser.h for the statuses,
 *           and 408 head or body slower than its time limit, 413 body larger than body_max, 503 more than conn_max
 *           clients.
 * TLS       With `tls` every connection speaks it; what does not begin with a handshake is answered 400 in plain text,
 *           and a handshake has head_time_ms from the moment of the connection to the first byte of a request.
 * Costs     A client costs nobody else anything: one bounded read per turn each, bounded head, body and answer queue,
 *           time limits on head, body, idling and taking the answer. An idle client holds about 400 bytes and no
 *           buffer.
 */
#ifndef KT_NET_HTTP_SERVER_H
#define KT_NET_HTTP_SERVER_H

#include "net/buffer.h"
#include "net/http_parser.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

enum {
    KT_HTTP_CONN_MAX_DEFAULT = 20000,
    KT_HTTP_BODY_MAX_DEFAULT = 1 << 20,
    KT_HTTP_OUT_MAX_DEFAULT = 16 << 20,   /* one answer, with those pipelined before it and not taken yet */
    KT_HTTP_POOL_MAX_DEFAULT = 256 << 20, /* buffers of all clients together */
    KT_HTTP_ACCEPT_BURST = 128,           /* accepted in one turn */
    KT_HTTP_HEAD_TIME_DEFAULT_MS = 10000,
    KT_HTTP_BODY_TIME_DEFAULT_MS = 30000,
    KT_HTTP_IDLE_TIME_DEFAULT_MS = 60000,
    KT_HTTP_WRITE_TIME_DEFAULT_MS = 30000,
};

typedef struct kt_http_server kt_http_server;

typedef struct kt_http_server_options {
    const char *host;  /* numeric address, "127.0.0.1" or "::1" */
    uint16_t port;     /* 0: any free one, see kt_http_server_port */
    uint32_t conn_max; /* 0 in this and what follows: the default above */
    uint32_t body_max;
    uint32_t out_max;
    uint64_t pool_max;
    uint32_t head_time_ms;   /* from the first byte of a request to the end of its head: 408 */
    uint32_t body_time_ms;   /* from there to the end of the body: 408 */
    uint32_t idle_time_ms;   /* between requests: closed without a word */
    uint32_t write_time_ms;  /* an answer of which the client takes nothing for so long: closed */
    const char *server_name; /* Server header; NULL: none */
    kt_tls *tls;             /* of kt_tls_server_new, borrowed; NULL: plain text */
    /* With `tls`: the one that the next handshake is made with. NULL: `tls` always. */
    kt_tls *(*choose_tls)(void *ctx);
    /* The request and all its texts are good until on_request returns. */
    void (*on_request)(void *ctx, kt_http_server *server, uint64_t exchange, const kt_http_request *request);
    void *ctx;
} kt_http_server_options;

/* Listen and serve. KT_ARG: `host` is not a numeric address. KT_SYS: the message names address and port, why, and what
 * to do (a port in use, a port below 1024, an address that is not on this machine). */
kt_code kt_http_server_open(
    kt_loop *loop, const kt_http_server_options *options, kt_http_server **out_server, kt_err *err);

/* Closes every client. WebSocket connections made from it live on, they belong to their kt_ws_server. Not inside
 * on_request. Accepts NULL. */
void kt_http_server_close(kt_http_server *server);

/* Another conn_max from now on; clients beyond it that are there go on. KT_SYS: no memory for so many, nothing has changed. */
kt_code kt_http_server_limit(kt_http_server *server, uint32_t conn_max);

/* Stop accepting; clients that are there go on. For an orderly end. */
void kt_http_server_stop_accepting(kt_http_server *server);

uint16_t kt_http_server_port(const kt_http_server *server);

typedef struct kt_http_server_stats {
    uint64_t accepted, refused, requests, answered_by_server; /* refused: over conn_max or out of descriptors */
    uint64_t handshakes_failed;                               /* TLS: spoken wrongly, not at all, or not to an end */
    uint32_t conn_count;
} kt_http_server_stats;

kt_http_server_stats kt_http_server_get_stats(const kt_http_server *server);

typedef struct kt_http_response {
    uint16_t status;
    kt_text type;                /* Content-Type; empty: application/json */
    const kt_http_field *fields; /* further headers; names and values are the caller's to keep free of CR and LF */
    uint32_t field_count;
    kt_text body; /* copied; not sent in answer to HEAD, nor with 204 and 304 */
    bool close;   /* Connection: close */
} kt_http_response;

/* KT_NOENT: the client is gone or the exchange answered already. KT_FULL: does not fit out_max or the pool; the client
 * has been answered 503 instead, or closed where even that did not fit. KT_ARG: CR or LF in a header. */
kt_code kt_http_respond(kt_http_server *server, uint64_t exchange, const kt_http_response *response);

/* Answer {"statusCode":status,"error":"<status text>","message":"..."}. */
kt_code kt_http_fail(kt_http_server *server, uint64_t exchange, uint16_t status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Address of the client as text, for logs; "" when gone. */
void kt_http_peer(kt_http_server *server, uint64_t exchange, char *to, size_t size);

/* A connection that leaves HTTP. */
typedef struct kt_http_takeover {
    kt_stream stream;     /* now owned by the caller, watched by nobody */
    const uint8_t *input; /* bytes received behind the request; good until on_request returns */
    size_t input_size;
    kt_queue output; /* answers to requests before this one, not sent yet; block of the server's pool */
} kt_http_takeover;

/* Inside on_request only, and instead of an answer: the caller takes over the socket (ws_server.h does). KT_NOENT. */
kt_code kt_http_take_over(kt_http_server *server, uint64_t exchange, kt_http_takeover *out_takeover);
kt_pool *kt_http_server_pool(kt_http_server *server);

#endif
