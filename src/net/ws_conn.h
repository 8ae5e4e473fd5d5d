/* net/ws_conn.h - an open WebSocket connection, the same at both ends: sending, closing, and what is told about it.
 *
 * Output    Frames gather in a queue of at most out_max bytes and leave in one write in the loop's flush phase; an
 *           empty queue holds no memory. A frame that does not fit is refused whole (KT_FULL) and it is the caller who
 *           knows whether to conflate, to tell the gap or to close; 256 bytes beyond out_max are kept for control
 *           frames.
 * Input     Whole messages of at most message_max bytes. Pings are answered here (a ping that finds the queue full is
 *           not).
 * Deflate   Where permessage-deflate was agreed, messages of KT_DEFLATE_SIZE_MIN bytes or more leave compressed when
 *           that makes them smaller, and compressed ones come in as what they stand for; message_max bounds that, too.
 * Closing   on_close comes exactly once for every connection, from the flush phase, so never inside another call;
 *           after it has returned the connection is freed. Until then every function may be called, also inside
 *           callbacks: sending on a connection that is closing gives KT_NOENT.
 */
#ifndef KT_NET_WS_CONN_H
#define KT_NET_WS_CONN_H

#include "net/buffer.h"
#include "net/deflate.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/websocket.h"

enum {
    KT_WS_OUT_MAX_DEFAULT = 1 << 20,
    KT_WS_MESSAGE_MAX_DEFAULT = 1 << 20,
    KT_WS_CONTROL_RESERVE = 256,
    KT_WS_CLOSE_TIME_DEFAULT_MS = 2000,
};

typedef struct kt_ws_conn kt_ws_conn;

typedef struct kt_ws_handlers {
    /* A whole text (valid UTF-8) or binary message; the bytes are good until the return. */
    void (*on_message)(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size);
    /* May be NULL. The queue has fallen to the mark set with kt_ws_drain_mark. */
    void (*on_drain)(void *ctx, kt_ws_conn *conn);
    /* `code` as the peer sent it, or the one we closed with; KT_WS_CLOSE_ABNORMAL with a reason of our own
     * ("Connection reset by peer") when the connection just ended. */
    void (*on_close)(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason);
} kt_ws_handlers;

/* One message as one frame; a client masks it. KT_FULL: does not fit now. KT_NOENT: closing. KT_ARG: opcode not text or
 * binary. */
kt_code kt_ws_send(kt_ws_conn *conn, kt_ws_opcode opcode, const void *payload, size_t size);

/* Server only: append finished frame bytes (`size` at least 1; kt_ws_header and payload, one or many frames) as they
 * are. KT_FULL and KT_NOENT as above. */
kt_code kt_ws_send_frame(kt_ws_conn *conn, const void *bytes, size_t size);

/* The same, leaving now: for a caller that sends the same bytes to many, one after the other. Where nothing waits before
 * them they are written from where they lie, and only what the kernel does not take is copied. KT_FULL: they would not
 * fit, should the kernel take nothing. KT_NOENT: closing, also when this write found the connection broken. Calls
 * nothing back. */
kt_code kt_ws_send_now(kt_ws_conn *conn, const void *bytes, size_t size);

/* Was permessage-deflate agreed: may frames of kt_deflate_frame be sent? */
bool kt_ws_deflates(const kt_ws_conn *conn);

/* Write what is queued now instead of in the flush phase: for a caller that goes client by client and has put in all
 * of this turn, so that the next client's queue takes the same block while it is still in the cache. Calls nothing
 * back. */
void kt_ws_write_now(kt_ws_conn *conn);

kt_code kt_ws_ping(kt_ws_conn *conn, const void *payload, size_t size); /* at most KT_WS_CONTROL_MAX bytes */

/* Bytes queued and not yet taken by the kernel, and how many more a send may add. */
size_t kt_ws_pending(const kt_ws_conn *conn);
size_t kt_ws_room(const kt_ws_conn *conn);

/* Call on_drain once, in the flush phase, when at most `mark` bytes are pending after a write; with nothing more than
 * that pending now, in the next flush. */
void kt_ws_drain_mark(kt_ws_conn *conn, size_t mark);

/* Send what is queued, then a close frame; the connection ends when the peer answers or after the close time. Messages
 * that still come are dropped. `reason` is copied, and cut to KT_WS_REASON_MAX bytes. A second call does nothing. */
void kt_ws_close(kt_ws_conn *conn, uint16_t code, kt_text reason);

/* End it now without a close frame; on_close(KT_WS_CLOSE_ABNORMAL, reason) follows in the flush phase. `reason` is
 * static. */
void kt_ws_drop(kt_ws_conn *conn, const char *reason);

/* End it as kt_ws_drop does, but without the peer learning of it: the socket stays open, and nobody reads it. What a peer sees
 * of a machine that has gone, for those who test that. Returns the descriptor, the caller's to close; -1: there is none left, and
 * the connection just ends. */
int kt_ws_abandon(kt_ws_conn *conn, const char *reason);

bool kt_ws_is_open(const kt_ws_conn *conn); /* neither end has begun to close */

/* Loop time (kt_loop_now) of the last bytes from the peer: any frame is a sign of life. */
int64_t kt_ws_heard_ns(const kt_ws_conn *conn);

void *kt_ws_ctx(const kt_ws_conn *conn);
void kt_ws_peer(const kt_ws_conn *conn, char *to, size_t size); /* "127.0.0.1:54321" */

/* --- for ws_server.c and ws_client.c ---------------------------------------------------------------------------- */

/* What connections of one server (or the one of a client) share. */
typedef struct kt_ws_setup {
    kt_loop *loop;
    kt_ws_handlers handlers;
    kt_ws_role role;
    uint32_t message_max;
    uint32_t out_max;
    uint32_t close_time_ms;
    bool deflate; /* permessage-deflate may be agreed */
    kt_deflater *deflater;
    kt_pool pool;
    uint8_t *scratch;  /* one read of any of them */
    kt_ws_conn *first; /* all of them */
    uint32_t count;
    uint32_t random_left;
    uint8_t random[256]; /* masks of a client, fetched from the kernel many at a time */
} kt_ws_setup;

/* loop, handlers, role and deflate are filled by the caller; 0 in the sizes and times means their default. */
kt_code kt_ws_setup_init(kt_ws_setup *setup, uint64_t pool_max, kt_err *err);
void kt_ws_setup_done(kt_ws_setup *setup); /* ends what is open, without on_close */

/* A connection past its handshake; owns the stream from now on, and on failure (NULL) closes it. `input` are bytes
 * that came with the handshake; they are handled in the next flush phase. */
kt_ws_conn *kt_ws_conn_new(
    kt_ws_setup *setup, const kt_stream *stream, const void *input, size_t input_size, void *ctx);

/* permessage-deflate was agreed in the handshake. Before the connection has been used. */
void kt_ws_conn_deflate(kt_ws_conn *conn);

/* Raw bytes ahead of all frames: the answer to a handshake. */
kt_code kt_ws_conn_put_raw(kt_ws_conn *conn, const void *bytes, size_t size);

/* End and free it now, without on_close. Not inside its own callbacks. */
void kt_ws_conn_discard(kt_ws_conn *conn);
kt_ws_conn *kt_ws_conn_next(const kt_ws_conn *conn);

#endif
