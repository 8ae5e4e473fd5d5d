#include "net/ws_conn.h"

#include "base/assert.h"
#include "net/resolve.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
    READ_SIZE = 65536,     /* taken from one peer in one turn */
    CACHED_MAX = 32 << 20, /* blocks kept by the pool */
    NS_PER_MS = 1000000,
};

typedef enum conn_state {
    CONN_OPEN,
    CONN_CLOSING, /* our close frame is queued or sent; the peer's is awaited */
    CONN_ENDING,  /* nothing more is read; what is queued goes out, then our side is shut */
    CONN_LINGER,  /* shut; what comes is dropped until the peer closes, so that it can read our close frame */
    CONN_DEAD,    /* on_close and the end follow in the flush phase */
} conn_state;

struct kt_ws_conn {
    /* what every write looks at, side by side */
    kt_ws_setup *setup;
    kt_stream stream;
    kt_queue out;
    uint8_t state;
    bool deflates; /* as the decoder does */
    bool early;    /* `message` holds bytes that came with the handshake */
    bool drain_armed;
    bool blocked; /* the kernel's buffer is full: the loop says when to go on */
    /* the rest */
    bool peer_closed; /* its close frame has come */
    uint16_t close_code;
    kt_flush flush;
    void *ctx;
    kt_ws_conn *prev, *next;
    kt_watch watch;
    kt_timer timer;   /* set only while closing */
    kt_queue message; /* pieces of a message that did not come whole; before the first flush: early input */
    int64_t heard_ns;
    kt_text reason;    /* static, or the peer's inside `decoder`, or reason_copy */
    char *reason_copy; /* of kt_ws_close */
    uint32_t drain_mark;
    kt_ws_decoder decoder;
};

/* --- life ------------------------------------------------------------------------------------------------------- */

kt_code kt_ws_setup_init(kt_ws_setup *setup, uint64_t pool_max, kt_err *err)
{
    setup->message_max = setup->message_max != 0 ? setup->message_max : KT_WS_MESSAGE_MAX_DEFAULT;
    setup->out_max = setup->out_max != 0 ? setup->out_max : KT_WS_OUT_MAX_DEFAULT;
    setup->close_time_ms = setup->close_time_ms != 0 ? setup->close_time_ms : KT_WS_CLOSE_TIME_DEFAULT_MS;
    if (setup->out_max > KT_BLOCK_SIZE_MAX / 2 || setup->message_max > KT_BLOCK_SIZE_MAX / 2)
        return kt_fail(err, KT_ARG, "WebSocket buffers: at most %d bytes each", KT_BLOCK_SIZE_MAX / 2);
    kt_pool_init(&setup->pool, pool_max, CACHED_MAX);
    setup->scratch = malloc(READ_SIZE);
    if (setup->scratch == NULL)
        return kt_fail(err, KT_SYS, "no memory for WebSocket connections");
    return setup->deflate ? kt_deflater_new(&setup->deflater, err) : KT_OK;
}

void kt_ws_setup_done(kt_ws_setup *setup)
{
    while (setup->first != NULL)
        kt_ws_conn_discard(setup->first);
    kt_pool_done(&setup->pool);
    kt_deflater_free(setup->deflater);
    setup->deflater = NULL;
    free(setup->scratch);
    setup->scratch = NULL;
}

/* Give back all but the memory of the connection itself, which on_close may still look at. */
static void conn_release(kt_ws_conn *conn)
{
    kt_ws_setup *setup = conn->setup;

    kt_loop_unwatch(setup->loop, &conn->watch);
    kt_timer_cancel(setup->loop, &conn->timer);
    kt_stream_close(&conn->stream);
    kt_queue_clear(&conn->out, &setup->pool);
    kt_queue_clear(&conn->message, &setup->pool);
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        setup->first = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    setup->count--;
}

void kt_ws_conn_discard(kt_ws_conn *conn)
{
    kt_loop *loop = conn->setup->loop;

    conn_release(conn);
    kt_loop_unflush(loop, &conn->flush);
    free(conn->reason_copy);
    free(conn);
}

static void conn_finish(kt_ws_conn *conn)
{
    kt_loop *loop = conn->setup->loop; /* the owner may free the setup in on_close */

    conn_release(conn);
    conn->state = CONN_DEAD;
    conn->setup->handlers.on_close(conn->ctx, conn, conn->close_code, conn->reason);
    kt_loop_unflush(loop, &conn->flush);
    free(conn->reason_copy);
    free(conn);
}

static void conn_die(kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    if (conn->state == CONN_OPEN) {
        conn->close_code = code;
        conn->reason = reason;
    }
    conn->state = CONN_DEAD;
    kt_loop_watch_change(conn->setup->loop, &conn->watch, 0);
    kt_loop_flush(conn->setup->loop, &conn->flush);
}

static void conn_limit_time(kt_ws_conn *conn)
{
    int64_t at_ns = kt_loop_now(conn->setup->loop) + (int64_t)conn->setup->close_time_ms * NS_PER_MS;

    if (!kt_timer_is_set(&conn->timer) && kt_timer_set(conn->setup->loop, &conn->timer, at_ns) != KT_OK)
        conn_die(conn, KT_WS_CLOSE_ABNORMAL, KT_TEXT("no timer left to close in order"));
}

static void on_due(kt_timer *timer)
{
    conn_die(timer->ctx, KT_WS_CLOSE_ABNORMAL, KT_TEXT("the peer did not close in time"));
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static void flush_later(kt_ws_conn *conn)
{
    if (!conn->blocked)
        kt_loop_flush(conn->setup->loop, &conn->flush);
}

static void mask_next(kt_ws_setup *setup, uint8_t mask[4])
{
    if (setup->random_left < 4) {
        ssize_t got = getrandom(setup->random, sizeof setup->random, 0);
        kt_assert(got == (ssize_t)sizeof setup->random);
        setup->random_left = sizeof setup->random;
    }
    setup->random_left -= 4;
    memcpy(mask, setup->random + setup->random_left, 4);
}

static kt_code frame_put(kt_ws_conn *conn, kt_ws_opcode opcode, const void *payload, size_t size, size_t out_max)
{
    kt_ws_setup *setup = conn->setup;
    bool masked = setup->role == KT_WS_CLIENT;
    uint8_t header[KT_WS_HEADER_MAX];
    uint8_t mask[4];

    if (masked)
        mask_next(setup, mask);
    size_t header_size = kt_ws_header(header, opcode, true, size, masked ? mask : NULL);
    uint8_t *to = size <= out_max ? kt_queue_extend(&conn->out, &setup->pool, header_size + size, out_max) : NULL;
    if (to == NULL)
        return KT_FULL;
    memcpy(to, header, header_size);
    if (size > 0)
        memcpy(to + header_size, payload, size);
    if (masked)
        kt_ws_mask(to + header_size, size, mask, 0);
    flush_later(conn);
    return KT_OK;
}

/* The same compressed; false: it would not be smaller, or does not fit. */
static bool deflated_put(kt_ws_conn *conn, kt_ws_opcode opcode, const void *payload, size_t size)
{
    kt_ws_setup *setup = conn->setup;
    bool masked = setup->role == KT_WS_CLIENT;
    uint8_t header[KT_WS_HEADER_MAX];
    uint8_t mask[4];
    uint8_t *to = kt_queue_extend(&conn->out, &setup->pool, KT_WS_HEADER_MAX + size, setup->out_max);

    if (to == NULL)
        return false;
    size_t made = kt_deflate(setup->deflater, payload, size, to + KT_WS_HEADER_MAX, size);
    if (made == 0) {
        kt_queue_trim(&conn->out, &setup->pool, KT_WS_HEADER_MAX + size);
        return false;
    }
    if (masked)
        mask_next(setup, mask);
    size_t header_size = kt_ws_header(header, opcode, true, made, masked ? mask : NULL);
    header[0] |= KT_WS_COMPRESSED;
    memcpy(to, header, header_size);
    memmove(to + header_size, to + KT_WS_HEADER_MAX, made);
    if (masked)
        kt_ws_mask(to + header_size, made, mask, 0);
    kt_queue_trim(&conn->out, &setup->pool, KT_WS_HEADER_MAX + size - header_size - made);
    flush_later(conn);
    return true;
}

static kt_code control_put(kt_ws_conn *conn, kt_ws_opcode opcode, const void *payload, size_t size)
{
    return frame_put(conn, opcode, payload, size, (size_t)conn->setup->out_max + KT_WS_CONTROL_RESERVE);
}

kt_code kt_ws_send(kt_ws_conn *conn, kt_ws_opcode opcode, const void *payload, size_t size)
{
    if (opcode != KT_WS_TEXT && opcode != KT_WS_BINARY)
        return KT_ARG;
    if (conn->state != CONN_OPEN)
        return KT_NOENT;
    if (conn->deflates && size >= KT_DEFLATE_SIZE_MIN && size <= conn->setup->out_max &&
        deflated_put(conn, opcode, payload, size))
        return KT_OK;
    return frame_put(conn, opcode, payload, size, conn->setup->out_max);
}

kt_code kt_ws_send_frame(kt_ws_conn *conn, const void *bytes, size_t size)
{
    kt_assert(conn->setup->role == KT_WS_SERVER);
    kt_assert(size > 0);
    if (conn->state != CONN_OPEN)
        return KT_NOENT;
    uint8_t *to = kt_queue_extend(&conn->out, &conn->setup->pool, size, conn->setup->out_max);
    if (to == NULL)
        return KT_FULL;
    memcpy(to, bytes, size);
    flush_later(conn);
    return KT_OK;
}

kt_code kt_ws_conn_put_raw(kt_ws_conn *conn, const void *bytes, size_t size)
{
    uint8_t *to = kt_queue_extend(&conn->out, &conn->setup->pool, size, KT_BLOCK_SIZE_MAX);

    if (to == NULL)
        return KT_FULL;
    memcpy(to, bytes, size);
    flush_later(conn);
    return KT_OK;
}

kt_code kt_ws_ping(kt_ws_conn *conn, const void *payload, size_t size)
{
    if (size > KT_WS_CONTROL_MAX)
        return KT_ARG;
    if (conn->state != CONN_OPEN)
        return KT_NOENT;
    return frame_put(conn, KT_WS_PING, payload, size, conn->setup->out_max);
}

size_t kt_ws_pending(const kt_ws_conn *conn)
{
    return kt_queue_size(&conn->out);
}

size_t kt_ws_room(const kt_ws_conn *conn)
{
    size_t pending = kt_queue_size(&conn->out);

    return conn->state == CONN_OPEN && pending < conn->setup->out_max ? conn->setup->out_max - pending : 0;
}

void kt_ws_drain_mark(kt_ws_conn *conn, size_t mark)
{
    conn->drain_mark = mark < UINT32_MAX ? (uint32_t)mark : UINT32_MAX;
    conn->drain_armed = true;
    flush_later(conn);
}

/* --- closing ---------------------------------------------------------------------------------------------------- */

static void close_put(kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    uint8_t payload[KT_WS_CONTROL_MAX];
    size_t size = kt_ws_close_payload(payload, code, reason);

    /* Pings and pongs leave room for it (KT_WS_CONTROL_RESERVE holds two); if the pool is exhausted the peer sees the
     * connection end instead. */
    (void)control_put(conn, KT_WS_CLOSE, payload, size);
    flush_later(conn);
}

void kt_ws_close(kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    if (conn->state != CONN_OPEN)
        return;
    close_put(conn, code, reason);
    conn->state = CONN_CLOSING;
    conn->close_code = code;
    size_t size = reason.n < KT_WS_REASON_MAX ? reason.n : KT_WS_REASON_MAX;
    conn->reason_copy = size > 0 ? strndup(reason.s, size) : NULL;
    conn->reason = kt_text_of(conn->reason_copy);
    conn_limit_time(conn);
}

void kt_ws_drop(kt_ws_conn *conn, const char *reason)
{
    if (conn->state == CONN_DEAD)
        return;
    conn_die(conn, KT_WS_CLOSE_ABNORMAL, kt_text_of(reason));
}

int kt_ws_abandon(kt_ws_conn *conn, const char *reason)
{
    int fd = fcntl(conn->stream.fd, F_DUPFD_CLOEXEC, 0);

    kt_ws_drop(conn, reason);
    return fd;
}

/* The peer broke the rules: tell it, and be done. */
static void conn_fail(kt_ws_conn *conn, uint16_t code, const char *why)
{
    if (conn->state == CONN_OPEN) {
        close_put(conn, code, kt_text_of(why));
        conn->close_code = code;
        conn->reason = kt_text_of(why);
    }
    conn->state = CONN_ENDING;
    flush_later(conn);
    conn_limit_time(conn);
}

/* --- receiving -------------------------------------------------------------------------------------------------- */

static void take_close(kt_ws_conn *conn, const kt_ws_event *event)
{
    conn->peer_closed = true;
    if (conn->state == CONN_OPEN) {
        conn->close_code = event->close_code;
        conn->reason = (kt_text){ (const char *)event->payload, event->size };
        close_put(conn, event->close_code, (kt_text){ 0 });
    }
    conn->state = CONN_ENDING;
    flush_later(conn);
    conn_limit_time(conn);
}

static void no_memory(kt_ws_conn *conn)
{
    conn_fail(conn, KT_WS_CLOSE_TRY_LATER, "no memory left for messages; try again later");
}

static const uint8_t *queue_bytes(const kt_queue *queue)
{
    return queue->data != NULL ? queue->data + queue->at : (const uint8_t *)"";
}

static void take_compressed(kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    kt_ws_setup *setup = conn->setup;
    kt_queue whole = { 0 };
    kt_utf8 utf8 = { 0 };
    kt_code code = kt_inflate(setup->deflater, payload, size, &whole, &setup->pool, setup->message_max);
    size_t whole_size = kt_queue_size(&whole);

    if (code == KT_LIMIT)
        conn_fail(conn, KT_WS_CLOSE_TOO_BIG, "message larger than allowed here");
    else if (code == KT_FULL)
        no_memory(conn);
    else if (code != KT_OK)
        conn_fail(conn, KT_WS_CLOSE_BAD_TEXT, "compressed message is damaged");
    else if (opcode == KT_WS_TEXT && (!kt_utf8_feed(&utf8, queue_bytes(&whole), whole_size) || utf8.need != 0))
        conn_fail(conn, KT_WS_CLOSE_BAD_TEXT, "text is not UTF-8");
    else
        setup->handlers.on_message(conn->ctx, conn, opcode, queue_bytes(&whole), whole_size);
    kt_queue_clear(&whole, &setup->pool);
}

static void take_whole(kt_ws_conn *conn, const kt_ws_event *event, const uint8_t *payload, size_t size)
{
    if (event->compressed)
        take_compressed(conn, event->opcode, payload, size);
    else
        conn->setup->handlers.on_message(conn->ctx, conn, event->opcode, payload, size);
}

static void take_piece(kt_ws_conn *conn, const kt_ws_event *event)
{
    kt_ws_setup *setup = conn->setup;

    if (conn->state != CONN_OPEN)
        return;
    if (event->first && event->last) {
        take_whole(conn, event, event->payload, event->size);
        return;
    }
    if (event->size > 0) {
        uint8_t *to = kt_queue_extend(&conn->message, &setup->pool, event->size, kt_deflate_bound(setup->message_max));
        if (to == NULL) {
            no_memory(conn);
            return;
        }
        memcpy(to, event->payload, event->size);
    }
    if (!event->last)
        return;
    take_whole(conn, event, queue_bytes(&conn->message), kt_queue_size(&conn->message));
    kt_queue_clear(&conn->message, &setup->pool);
}

static void conn_feed(kt_ws_conn *conn, uint8_t *data, size_t size)
{
    kt_ws_event event;

    for (size_t at = 0; at < size && (conn->state == CONN_OPEN || conn->state == CONN_CLOSING);) {
        at += kt_ws_decode(&conn->decoder, data + at, size - at, &event);
        if (event.kind == KT_WS_PIECE)
            take_piece(conn, &event);
        else if (event.kind == KT_WS_FAILED)
            conn_fail(conn, event.close_code, event.why);
        else if (event.kind == KT_WS_CONTROL && event.opcode == KT_WS_CLOSE)
            take_close(conn, &event);
        else if (event.kind == KT_WS_CONTROL && event.opcode == KT_WS_PING && conn->state == CONN_OPEN)
            (void)control_put(conn, KT_WS_PONG, event.payload, event.size); /* full: RFC 6455 5.5.3 lets it be */
    }
}

static void conn_ended(kt_ws_conn *conn, ssize_t got)
{
    kt_text reason = KT_TEXT("connection ended without a close frame");

    if (got == KT_STREAM_ERROR)
        reason = kt_text_of(kt_stream_fault(&conn->stream));
    conn_die(conn, KT_WS_CLOSE_ABNORMAL, reason);
}

static void conn_watch(kt_ws_conn *conn)
{
    uint32_t events = conn->state == CONN_ENDING ? 0 : kt_stream_wants(&conn->stream, KT_LOOP_READ);

    if (conn->blocked)
        events |= kt_stream_wants(&conn->stream, KT_LOOP_WRITE);
    kt_loop_watch_change(conn->setup->loop, &conn->watch, events);
}

static void on_ready(kt_watch *watch, uint32_t ready)
{
    kt_ws_conn *conn = watch->ctx;
    kt_ws_setup *setup = conn->setup;
    ssize_t got = KT_STREAM_AGAIN;

    ready = kt_stream_may(&conn->stream, ready);
    if ((ready & KT_LOOP_WRITE) && conn->blocked) {
        conn->blocked = false;
        kt_loop_flush(setup->loop, &conn->flush);
    }
    if (!(ready & KT_LOOP_READ) || conn->state == CONN_ENDING || conn->state == CONN_DEAD)
        return;
    got = kt_stream_read(&conn->stream, setup->scratch, READ_SIZE);
    if (got > 0) {
        conn->heard_ns = kt_loop_now(setup->loop);
        conn_feed(conn, setup->scratch, (size_t)got); /* in CONN_LINGER: dropped */
    } else if (got != KT_STREAM_AGAIN) {
        conn_ended(conn, got);
    }
}

/* --- the flush phase -------------------------------------------------------------------------------------------- */

kt_code kt_ws_send_now(kt_ws_conn *conn, const void *bytes, size_t size)
{
    kt_ws_setup *setup = conn->setup;
    kt_code code = KT_OK;
    ssize_t put = 0;

    if (conn->blocked || kt_queue_size(&conn->out) > 0) {
        code = kt_ws_send_frame(conn, bytes, size);
        kt_ws_write_now(conn);
        return code;
    }
    kt_assert(setup->role == KT_WS_SERVER);
    if (conn->state != CONN_OPEN)
        return KT_NOENT;
    /* Room for what may be left is taken first: a frame that has begun to leave can not be refused any more. */
    uint8_t *rest = kt_queue_extend(&conn->out, &setup->pool, size, setup->out_max);
    if (rest == NULL)
        return KT_FULL;
    put = kt_stream_write(&conn->stream, bytes, size);
    if (put == (ssize_t)size) {
        kt_queue_clear(&conn->out, &setup->pool);
        return KT_OK;
    }
    flush_later(conn);
    if (put < 0) {
        conn_ended(conn, put);
        return KT_NOENT;
    }
    memcpy(rest + put, (const uint8_t *)bytes + put, size - (size_t)put);
    kt_queue_take(&conn->out, &setup->pool, (size_t)put);
    conn->blocked = true;
    return KT_OK;
}

/* One write of all that is queued. */
static void conn_write(kt_ws_conn *conn)
{
    size_t size = kt_queue_size(&conn->out);
    ssize_t put = size > 0 ? kt_stream_write(&conn->stream, conn->out.data + conn->out.at, size) : 0;

    if (put < 0) {
        conn_ended(conn, put);
        return;
    }
    if (put > 0)
        kt_queue_take(&conn->out, &conn->setup->pool, (size_t)put);
    conn->blocked = (size_t)put < size;
}

void kt_ws_write_now(kt_ws_conn *conn)
{
    if (conn->blocked || conn->state != CONN_OPEN)
        return;
    conn_write(conn);
    /* Nothing is left for the flush phase, unless the write says otherwise, or the loop still waits for the end of a
     * blockade that is over. */
    if (!conn->blocked && !conn->early && !conn->drain_armed && conn->state == CONN_OPEN &&
        (conn->watch.events & KT_LOOP_WRITE) == 0)
        kt_loop_unflush(conn->setup->loop, &conn->flush);
}

static void feed_early(kt_ws_conn *conn)
{
    kt_queue early = conn->message;

    conn->message = (kt_queue){ 0 };
    conn->early = false;
    conn_feed(conn, early.data + early.at, kt_queue_size(&early));
    kt_queue_clear(&early, &conn->setup->pool);
}

static void on_flush(kt_flush *flush)
{
    kt_ws_conn *conn = flush->ctx;

    if (conn->early && conn->state == CONN_OPEN)
        feed_early(conn);
    if (conn->state != CONN_DEAD)
        conn_write(conn);
    if (conn->state == CONN_ENDING && kt_queue_size(&conn->out) == 0) {
        kt_stream_shut(&conn->stream);
        conn->state = CONN_LINGER;
        /* RFC 6455 7.1.1: the server closes first, so that the waiting state of TCP is its own. When the peer's close
         * frame
         * has come nothing more will, and closing at once loses nothing. */
        if (conn->peer_closed && conn->setup->role == KT_WS_SERVER)
            conn->state = CONN_DEAD;
    }
    if (conn->state == CONN_DEAD) {
        conn_finish(conn);
        return;
    }
    conn_watch(conn);
    if (conn->drain_armed && kt_queue_size(&conn->out) <= conn->drain_mark && conn->state == CONN_OPEN) {
        conn->drain_armed = false;
        if (conn->setup->handlers.on_drain != NULL)
            conn->setup->handlers.on_drain(conn->ctx, conn);
    }
}

void kt_ws_conn_deflate(kt_ws_conn *conn)
{
    kt_assert(conn->setup->deflater != NULL);
    conn->deflates = conn->decoder.deflate = true;
}

kt_ws_conn *kt_ws_conn_new(kt_ws_setup *setup, const kt_stream *stream, const void *input, size_t input_size, void *ctx)
{
    kt_ws_conn *conn = calloc(1, sizeof *conn);
    kt_stream own = *stream;

    if (conn == NULL) {
        kt_stream_close(&own);
        return NULL;
    }
    conn->setup = setup;
    conn->ctx = ctx;
    conn->stream = own;
    conn->watch = (kt_watch){ on_ready, conn, own.fd, kt_stream_wants(&own, KT_LOOP_READ), false };
    conn->flush = (kt_flush){ on_flush, conn, NULL, NULL };
    conn->timer = (kt_timer){ on_due, conn, 0, 0 };
    conn->heard_ns = kt_loop_now(setup->loop);
    conn->next = setup->first;
    if (setup->first != NULL)
        setup->first->prev = conn;
    setup->first = conn;
    setup->count++;
    kt_ws_decoder_init(&conn->decoder, setup->role, setup->message_max);
    conn->early = input_size > 0;
    uint8_t *to = conn->early ? kt_queue_extend(&conn->message, &setup->pool, input_size, KT_BLOCK_SIZE_MAX) : NULL;
    if (to != NULL)
        memcpy(to, input, input_size);
    if ((conn->early && to == NULL) || kt_loop_watch(setup->loop, &conn->watch, NULL) != KT_OK) {
        kt_ws_conn_discard(conn);
        return NULL;
    }
    if (conn->early)
        kt_loop_flush(setup->loop, &conn->flush);
    return conn;
}

/* --- what may be asked ------------------------------------------------------------------------------------------ */

bool kt_ws_deflates(const kt_ws_conn *conn)
{
    return conn->deflates;
}

bool kt_ws_is_open(const kt_ws_conn *conn)
{
    return conn->state == CONN_OPEN;
}

int64_t kt_ws_heard_ns(const kt_ws_conn *conn)
{
    return conn->heard_ns;
}

void *kt_ws_ctx(const kt_ws_conn *conn)
{
    return conn->ctx;
}

void kt_ws_peer(const kt_ws_conn *conn, char *to, size_t size)
{
    kt_address address = { .size = sizeof address.of };

    to[0] = 0;
    if (getpeername(conn->stream.fd, &address.of.any, &address.size) == 0)
        kt_address_format(&address, to, size);
}

kt_ws_conn *kt_ws_conn_next(const kt_ws_conn *conn)
{
    return conn->next;
}
