/* net/ws_client.h - outgoing WebSocket connections.
 *
 * Steps     resolve the name (on a thread of its own, so a slow name server stops nobody; numeric addresses at once),
 *           connect to its addresses in order, with wss:// agree on TLS and check the certificate, send the handshake,
 *           check the answer and its Sec-WebSocket-Accept.
 *           connect_time_ms covers all of it. Reconnecting is the caller's: only it knows how long to wait.
 */
#ifndef KT_NET_WS_CLIENT_H
#define KT_NET_WS_CLIENT_H

#include "net/http_parser.h"
#include "net/tls.h"
#include "net/ws_conn.h"

enum { KT_WS_CONNECT_TIME_DEFAULT_MS = 10000 };

typedef struct kt_ws_client kt_ws_client;

typedef struct kt_ws_client_options {
    const char *url;             /* ws://host[:port]/path?query, or wss:// */
    kt_tls *tls;                 /* of kt_tls_client_new, for wss://; borrowed until on_open or on_close */
    const char *subprotocol;     /* offered; NULL: none. A server that picks another is refused */
    const kt_http_field *fields; /* further request headers, copied */
    uint32_t field_count;
    bool deflate;             /* offer permessage-deflate (net/deflate.h): less bytes, more work on both ends */
    uint32_t connect_time_ms; /* 0 in this and what follows: the default */
    uint32_t message_max;     /* KT_WS_MESSAGE_MAX_DEFAULT */
    uint32_t out_max;         /* KT_WS_OUT_MAX_DEFAULT */
    uint32_t close_time_ms;   /* KT_WS_CLOSE_TIME_DEFAULT_MS */
    /* The connection is open. */
    void (*on_open)(void *ctx, kt_ws_conn *conn);
    /* A whole message; good until the return. */
    void (*on_message)(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size);
    /* Exactly once, never inside another call of ours, also when no connection came about: then `code` is 0 and
     * `reason` says what failed ("127.0.0.1:3001: Connection refused"). The client is still to be freed, here or
     * later. */
    void (*on_close)(void *ctx, uint16_t code, kt_text reason);
    /* May be NULL; see kt_ws_drain_mark. */
    void (*on_drain)(void *ctx, kt_ws_conn *conn);
    void *ctx;
} kt_ws_client_options;

/* Begin to connect. KT_SYNTAX: not a URL. KT_ARG: a scheme other than ws and wss, wss
 * without `tls`, or CR or LF in a header. Everything later
 * comes through on_close. */
kt_code kt_ws_connect(kt_loop *loop, const kt_ws_client_options *options, kt_ws_client **out_client, kt_err *err);

/* The connection, NULL while it is not open. */
kt_ws_conn *kt_ws_client_conn(kt_ws_client *client);

/* Ends the attempt or connection at once, with no further callback. For an orderly end kt_ws_close the connection and
 * wait for on_close. Accepts NULL. May be called inside any callback. */
void kt_ws_client_free(kt_ws_client *client);

#endif
