#include "net/http_server.h"

#include "base/assert.h"
#include "net/net.h"
#include "net/websocket.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = KT_STREAM_READ_MIN, /* taken from one client in one turn */
    BODY_READ_SIZE_MAX = 262144,    /* the same, while a large body comes */
    OUT_MARK = 262144,              /* more than this not taken by a client: its further requests wait */
    CACHED_MAX = 4 << 20,           /* blocks kept by the pool */
    LINGER_TIME_MS = 1000,          /* for a client to take the last answer before the reset that unread bytes cause */
    LINGER_SIZE_MAX = 4 << 20,      /* bytes of it read and dropped meanwhile */
    ACCEPT_PAUSE_MS = 100,          /* after an accept that failed for want of memory or descriptors */
    MESSAGE_SIZE_MAX = 512,         /* of kt_http_fail */
    NS_PER_MS = 1000000,
    DATE_SIZE = 40,
};

typedef enum conn_state {
    CONN_HEAD, /* between requests, or inside a head */
    CONN_BODY,
    CONN_ASKED,  /* the handler has the request and owes the answer */
    CONN_LAST,   /* the last answer is on its way out; nothing more is read */
    CONN_LINGER, /* our side is shut; what comes is dropped until the client closes */
    CONN_TAKEN,  /* the stream belongs to somebody else */
    CONN_DEAD,   /* to be freed in the flush phase */
} conn_state;

typedef struct http_conn {
    kt_http_server *server;
    kt_stream stream;
    kt_watch watch;
    kt_flush flush;
    kt_timer timer;
    kt_queue in;
    kt_queue out;
    kt_http_scan scan;
    kt_http_chunked chunked;
    int64_t since_ns; /* the state began, or the client last took bytes of an answer */
    uint32_t slot;
    uint32_t head_size; /* CONN_BODY and CONN_ASKED */
    uint32_t body_size; /* decoded so far, or Content-Length */
    uint32_t linger_size;
    uint8_t state;
    bool is_chunked;
    bool head_only; /* HEAD: answer without a body */
    bool keep_alive;
    bool ended;    /* the client has closed its side */
    bool greeting; /* TLS: nothing but the handshake has come yet */
} http_conn;

typedef struct slot {
    http_conn *conn;     /* NULL: free */
    uint32_t generation; /* of the exchange: counts requests */
    uint32_t next_free;
} slot;

struct kt_http_server {
    kt_loop *loop;
    kt_http_server_options options;
    kt_watch listener;
    kt_timer accept_pause;
    kt_pool pool;
    int reserve_fd; /* given up for a moment to get rid of a client when descriptors have run out */
    uint16_t port;
    slot *slots;
    uint32_t slot_max;
    uint32_t slot_used; /* slots beyond were never touched */
    uint32_t slot_free; /* head of the list of free ones, 1 + index; 0: none */
    kt_http_server_stats stats;
    kt_http_request request; /* the one being handled; here because it is 2 KiB */
    time_t date_s;
    char date[DATE_SIZE];
};

/* --- connections ------------------------------------------------------------------------------------------------ */

static uint64_t exchange_of(const http_conn *conn)
{
    return (uint64_t)conn->server->slots[conn->slot].generation << 32 | conn->slot;
}

/* The exchange is over: its number names nothing from now on. Never 0, so that 0 is no exchange. */
static void exchange_end(slot *own)
{
    own->generation += own->generation == UINT32_MAX ? 2 : 1;
}

/* The connection that owes this answer; NULL: gone or answered. */
static http_conn *conn_find(kt_http_server *server, uint64_t exchange)
{
    uint32_t at = (uint32_t)exchange;
    slot *found = at < server->slot_used ? &server->slots[at] : NULL;

    if (found == NULL || found->conn == NULL || found->generation != (uint32_t)(exchange >> 32))
        return NULL;
    return found->conn->state == CONN_ASKED ? found->conn : NULL;
}

static void conn_free(http_conn *conn)
{
    kt_http_server *server = conn->server;
    slot *own = &server->slots[conn->slot];

    kt_loop_unwatch(server->loop, &conn->watch);
    kt_loop_unflush(server->loop, &conn->flush);
    kt_timer_cancel(server->loop, &conn->timer);
    if (conn->state != CONN_TAKEN)
        kt_stream_close(&conn->stream);
    kt_queue_clear(&conn->in, &server->pool);
    kt_queue_clear(&conn->out, &server->pool);
    own->conn = NULL;
    exchange_end(own);
    own->next_free = server->slot_free;
    server->slot_free = conn->slot + 1;
    server->stats.conn_count--;
    free(conn);
}

static void conn_enter(http_conn *conn, conn_state state)
{
    conn->state = (uint8_t)state;
    conn->since_ns = kt_loop_now(conn->server->loop);
}

static void conn_kill(http_conn *conn)
{
    conn->server->stats.handshakes_failed += conn->greeting;
    conn->greeting = false;
    conn_enter(conn, CONN_DEAD);
    kt_loop_flush(conn->server->loop, &conn->flush);
}

/* What may not take longer than until when; INT64_MAX: nothing is limited. */
static int64_t conn_deadline_ns(const http_conn *conn)
{
    const kt_http_server_options *options = &conn->server->options;
    uint32_t time_ms = 0;

    if (conn->state == CONN_LINGER)
        time_ms = LINGER_TIME_MS;
    else if (kt_queue_size(&conn->out) > 0)
        time_ms = options->write_time_ms;
    else if (conn->state == CONN_ASKED)
        return INT64_MAX;
    else if (conn->state == CONN_BODY)
        time_ms = options->body_time_ms;
    else if (kt_queue_size(&conn->in) > 0 || conn->greeting)
        time_ms = options->head_time_ms;
    else
        time_ms = options->idle_time_ms;
    return conn->since_ns + (int64_t)time_ms * NS_PER_MS;
}

/* The timer is only ever moved to an earlier time here; when it comes and the deadline has moved on it sets itself
 * again, so a busy connection does not touch the heap at each request. */
static void conn_arm(http_conn *conn)
{
    int64_t deadline_ns = conn_deadline_ns(conn);

    if (deadline_ns == INT64_MAX || (kt_timer_is_set(&conn->timer) && conn->timer.at_ns <= deadline_ns))
        return;
    if (kt_timer_set(conn->server->loop, &conn->timer, deadline_ns) != KT_OK)
        conn_kill(conn); /* without a time limit nobody is served */
}

static void conn_watch(http_conn *conn)
{
    bool reads = conn->state == CONN_LINGER ||
                 ((conn->state == CONN_HEAD || conn->state == CONN_BODY) && kt_queue_size(&conn->out) <= OUT_MARK);
    uint32_t events = reads && !conn->ended ? kt_stream_wants(&conn->stream, KT_LOOP_READ) : 0;

    if (kt_queue_size(&conn->out) > 0)
        events |= kt_stream_wants(&conn->stream, KT_LOOP_WRITE);
    kt_loop_watch_change(conn->server->loop, &conn->watch, events);
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

static const char *date_now(kt_http_server *server)
{
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != server->date_s) {
        server->date_s = now.tv_sec;
        gmtime_r(&server->date_s, &parts);
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    return server->date;
}

static void text_put(uint8_t **to, kt_text text)
{
    if (text.n > 0)
        memcpy(*to, text.s, text.n);
    *to += text.n;
}

/* Append the whole answer. KT_FULL: nothing was appended. */
static kt_code answer_put(http_conn *conn, const kt_http_response *response)
{
    kt_http_server *server = conn->server;
    const char *name = server->options.server_name;
    kt_text type = response->type.n > 0 ? response->type : KT_TEXT("application/json");
    bool bodyless = response->status == 204 || response->status == 304 || response->status < 200;
    size_t fields_size = 0;
    char start[320];
    int start_size = snprintf(start, sizeof start, "HTTP/1.1 %u %s\r\nDate: %s\r\n%s%.100s%s%s", response->status,
        kt_http_status_text(response->status), date_now(server), name != NULL ? "Server: " : "",
        name != NULL ? name : "", name != NULL ? "\r\n" : "", conn->keep_alive ? "" : "Connection: close\r\n");
    char length[64];
    int length_size = bodyless ? 0 : snprintf(length, sizeof length, "Content-Length: %zu\r\n", response->body.n);

    for (uint32_t i = 0; i < response->field_count; i++)
        fields_size += response->fields[i].name.n + response->fields[i].value.n + 4;
    size_t type_size = bodyless ? 0 : sizeof "Content-Type: \r\n" - 1 + type.n;
    size_t body_size = bodyless || conn->head_only ? 0 : response->body.n;
    size_t size = (size_t)start_size + type_size + (size_t)length_size + fields_size + 2 + body_size;
    uint8_t *to = kt_queue_extend(&conn->out, &server->pool, size, server->options.out_max);
    if (to == NULL)
        return KT_FULL;
    uint8_t *end = to + size;
    text_put(&to, (kt_text){ start, (size_t)start_size });
    if (type_size > 0) {
        text_put(&to, KT_TEXT("Content-Type: "));
        text_put(&to, type);
        text_put(&to, KT_TEXT("\r\n"));
    }
    text_put(&to, (kt_text){ length, (size_t)length_size });
    for (uint32_t i = 0; i < response->field_count; i++) {
        text_put(&to, response->fields[i].name);
        text_put(&to, KT_TEXT(": "));
        text_put(&to, response->fields[i].value);
        text_put(&to, KT_TEXT("\r\n"));
    }
    text_put(&to, KT_TEXT("\r\n"));
    text_put(&to, (kt_text){ response->body.s, body_size });
    kt_assert(to == end);
    return KT_OK;
}

/* {"statusCode":404,"error":"Not Found","message":"..."}; returns its size. What is not UTF-8 becomes '?'. */
static size_t fault_format(char *to, size_t size, uint16_t status, const char *message)
{
    kt_utf8 utf8 = { 0 };
    bool is_utf8 = kt_utf8_feed(&utf8, (const uint8_t *)message, strlen(message)) && utf8.need == 0;
    size_t n = (size_t)snprintf(
        to, size, "{\"statusCode\":%u,\"error\":\"%s\",\"message\":\"", status, kt_http_status_text(status));

    for (const char *c = message; *c != 0; c++) {
        uint8_t byte = (uint8_t)*c;
        if (byte < ' ' || byte == '"' || byte == '\\')
            n += (size_t)snprintf(to + n, size - n, "\\u%04x", byte);
        else
            to[n++] = byte < 0x80 || is_utf8 ? *c : '?';
    }
    to[n++] = '"';
    to[n++] = '}';
    return n;
}

static kt_code fault_put(http_conn *conn, uint16_t status, const char *message)
{
    char body[MESSAGE_SIZE_MAX * 6 + 160];
    size_t size = fault_format(body, sizeof body, status, message);
    kt_http_response response = { .status = status, .body = { body, size } };

    return answer_put(conn, &response);
}

/* What came can not be a request, or can not be served: answer, and read no more of it. */
static void conn_refuse(http_conn *conn, uint16_t status, const char *why)
{
    conn->keep_alive = false;
    conn->server->stats.answered_by_server++;
    kt_queue_clear(&conn->in, &conn->server->pool);
    conn_enter(conn, CONN_LAST);
    if (fault_put(conn, status, why) != KT_OK)
        conn_kill(conn);
    kt_loop_flush(conn->server->loop, &conn->flush);
}

/* The answer is in the queue: on to the next request, or to the end. */
static void conn_answered(http_conn *conn)
{
    exchange_end(&conn->server->slots[conn->slot]);
    conn_enter(conn, conn->keep_alive ? CONN_HEAD : CONN_LAST);
    kt_loop_flush(conn->server->loop, &conn->flush);
}

kt_code kt_http_respond(kt_http_server *server, uint64_t exchange, const kt_http_response *response)
{
    http_conn *conn = conn_find(server, exchange);
    kt_code code = KT_OK;

    if (conn == NULL)
        return KT_NOENT;
    if (!kt_http_is_one_line(response->type))
        return KT_ARG;
    for (uint32_t i = 0; i < response->field_count; i++)
        if (!kt_http_is_one_line(response->fields[i].name) || !kt_http_is_one_line(response->fields[i].value))
            return KT_ARG;
    conn->keep_alive &= !response->close;
    code = answer_put(conn, response);
    if (code == KT_OK) {
        conn_answered(conn);
        return KT_OK;
    }
    conn->keep_alive = false;
    if (fault_put(conn, 503, "the answer is larger than this server may hold for one client; ask for less") == KT_OK)
        conn_answered(conn);
    else
        conn_kill(conn);
    return code;
}

kt_code kt_http_fail(kt_http_server *server, uint64_t exchange, uint16_t status, const char *fmt, ...)
{
    char message[MESSAGE_SIZE_MAX];
    char body[MESSAGE_SIZE_MAX * 6 + 160];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    size_t size = fault_format(body, sizeof body, status, message);
    kt_http_response response = { .status = status, .body = { body, size } };
    return kt_http_respond(server, exchange, &response);
}

kt_code kt_http_take_over(kt_http_server *server, uint64_t exchange, kt_http_takeover *out_takeover)
{
    http_conn *conn = conn_find(server, exchange);

    if (conn == NULL)
        return KT_NOENT;
    kt_assert(server->request.body.n == 0); /* an upgrade has no body: ws_server.c asks for GET without one */
    kt_loop_unwatch(server->loop, &conn->watch);
    kt_timer_cancel(server->loop, &conn->timer);
    *out_takeover = (kt_http_takeover){
        .stream = conn->stream,
        .input = conn->in.data + conn->in.at + conn->head_size,
        .input_size = kt_queue_size(&conn->in) - conn->head_size,
        .output = conn->out,
    };
    conn->out = (kt_queue){ 0 };
    conn->state = CONN_TAKEN;
    kt_loop_flush(server->loop, &conn->flush);
    return KT_OK;
}

/* --- requests --------------------------------------------------------------------------------------------------- */

/* Parse the head again, which is known to be good, so that the request need not be kept while its body comes. */
static void request_again(http_conn *conn, kt_text data)
{
    kt_http_scan scan = { 0 };
    kt_http_error error;
    size_t used = 0;
    kt_code code = kt_http_parse_request(&scan, data, &conn->server->request, &used, &error);

    kt_assert(code == KT_OK);
    kt_assert(used == conn->head_size);
}

/* The request is whole: `raw_size` bytes of the input queue. */
static void request_hand_over(http_conn *conn, size_t raw_size)
{
    kt_http_server *server = conn->server;
    kt_http_request *request = &server->request;

    request->body = (kt_text){ (const char *)conn->in.data + conn->in.at + conn->head_size, conn->body_size };
    conn->head_only = request->method == KT_HTTP_HEAD;
    conn->keep_alive = request->keep_alive;
    conn_enter(conn, CONN_ASKED);
    server->stats.requests++;
    server->options.on_request(server->options.ctx, server, exchange_of(conn), request);
    if (conn->state == CONN_TAKEN || conn->state == CONN_DEAD)
        return;
    kt_queue_take(&conn->in, &server->pool, raw_size);
    conn->scan = (kt_http_scan){ 0 };
}

/* A head may begin. False: more bytes are needed, or that was the last one. */
static bool head_process(http_conn *conn)
{
    kt_http_server *server = conn->server;
    kt_text data = { (const char *)conn->in.data + conn->in.at, kt_queue_size(&conn->in) };
    kt_http_request *request = &server->request;
    kt_http_error error;
    size_t used = 0;
    kt_code code = kt_http_parse_request(&conn->scan, data, request, &used, &error);

    if (code == KT_EMPTY)
        return false;
    if (code == KT_OK && request->content_length > server->options.body_max) {
        code = KT_LIMIT;
        error.status = 413;
        snprintf(error.why, sizeof error.why, "body larger than %u bytes", server->options.body_max);
    }
    if (code != KT_OK) {
        conn->head_only = false;
        conn_refuse(conn, error.status, error.why);
        return false;
    }
    conn->head_size = (uint32_t)used;
    conn->is_chunked = request->chunked;
    conn->chunked = (kt_http_chunked){ 0 };
    conn->body_size = (uint32_t)request->content_length;
    if (!request->chunked && data.n - used >= request->content_length) {
        request_hand_over(conn, used + conn->body_size);
        return true;
    }
    if (request->chunked)
        conn->body_size = 0;
    conn_enter(conn, CONN_BODY);
    if (request->expect_continue && data.n == used) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        uint8_t *to = kt_queue_extend(&conn->out, &server->pool, sizeof go_on - 1, server->options.out_max);
        if (to != NULL)
            memcpy(to, go_on, sizeof go_on - 1);
        kt_loop_flush(server->loop, &conn->flush);
    }
    return true;
}

/* The queue holds the head, what has been decoded of the body, and bytes as they came. */
static bool chunks_process(http_conn *conn)
{
    size_t done = (size_t)conn->head_size + conn->body_size;
    size_t size = kt_queue_size(&conn->in) - done;
    size_t body = 0, used = 0;
    kt_http_error error;
    kt_code code =
        kt_http_chunked_decode(&conn->chunked, conn->in.data + conn->in.at + done, size, &body, &used, &error);

    conn->body_size += (uint32_t)body;
    if ((code == KT_OK || code == KT_EMPTY) && conn->body_size > conn->server->options.body_max) {
        code = KT_LIMIT;
        error.status = 413;
        snprintf(error.why, sizeof error.why, "body larger than %u bytes", conn->server->options.body_max);
    }
    if (code == KT_EMPTY) {
        kt_queue_trim(&conn->in, &conn->server->pool, size - body);
        return false;
    }
    if (code != KT_OK) {
        conn_refuse(conn, error.status, error.why);
        return false;
    }
    request_again(conn, (kt_text){ (const char *)conn->in.data + conn->in.at, conn->head_size });
    request_hand_over(conn, done + used);
    return true;
}

static bool body_process(http_conn *conn)
{
    size_t need = (size_t)conn->head_size + conn->body_size;

    if (conn->is_chunked)
        return chunks_process(conn);
    if (kt_queue_size(&conn->in) < need)
        return false;
    request_again(conn, (kt_text){ (const char *)conn->in.data + conn->in.at, conn->head_size });
    request_hand_over(conn, need);
    return true;
}

/* Handle what has been read, request by request, as long as answers come at once and the client takes them. */
static void conn_process(http_conn *conn)
{
    bool more = true;

    while (more && kt_queue_size(&conn->in) > 0 && kt_queue_size(&conn->out) <= OUT_MARK) {
        if (conn->state == CONN_HEAD)
            more = head_process(conn);
        else if (conn->state == CONN_BODY)
            more = body_process(conn);
        else
            more = false;
    }
}

/* --- reading and writing ---------------------------------------------------------------------------------------- */

static void conn_linger(http_conn *conn)
{
    char dropped[READ_SIZE];
    ssize_t got = kt_stream_read(&conn->stream, dropped, sizeof dropped);

    if (got > 0)
        conn->linger_size += (uint32_t)got;
    if ((got < 0) || conn->linger_size > LINGER_SIZE_MAX)
        conn_kill(conn);
}

/* The first bytes are there: do they begin TLS? Until then a connection costs no more than a plain one. False: it was
 * refused. */
static bool conn_greet(http_conn *conn)
{
    kt_http_server *server = conn->server;
    uint8_t first = KT_TLS_HANDSHAKE;

    if (conn->stream.state != NULL || recv(conn->stream.fd, &first, 1, MSG_PEEK) < 1)
        return true; /* the read that follows says what it was */
    if (first != KT_TLS_HANDSHAKE) {
        server->stats.handshakes_failed++;
        conn->greeting = false;
        conn->head_only = false;
        conn_refuse(conn, 400, "this port speaks TLS: use https:// or wss://");
        return false;
    }
    kt_tls *tls =
        server->options.choose_tls != NULL ? server->options.choose_tls(server->options.ctx) : server->options.tls;
    if (kt_tls_accept(tls, conn->stream.fd, &conn->stream) == KT_OK)
        return true;
    conn_kill(conn);
    return false;
}

static void conn_read(http_conn *conn)
{
    kt_http_server *server = conn->server;
    size_t want = READ_SIZE;

    if (conn->greeting && !conn_greet(conn))
        return;
    bool fresh = conn->state == CONN_HEAD && kt_queue_size(&conn->in) == 0;

    if (conn->state == CONN_BODY && !conn->is_chunked && conn->body_size > READ_SIZE)
        want = conn->body_size < BODY_READ_SIZE_MAX ? conn->body_size : BODY_READ_SIZE_MAX;
    size_t in_max = (size_t)KT_HTTP_HEAD_MAX + server->options.body_max + 2 * BODY_READ_SIZE_MAX;
    uint8_t *to = kt_queue_extend(&conn->in, &server->pool, want, in_max);
    if (to == NULL) {
        conn_refuse(conn, 503, "the server has no memory left for requests; try again later");
        return;
    }
    ssize_t got = kt_stream_read(&conn->stream, to, want);
    kt_queue_trim(&conn->in, &server->pool, got > 0 ? want - (size_t)got : want);
    if (got > 0 && fresh)
        conn->since_ns = kt_loop_now(server->loop);
    if (got > 0)
        conn->greeting = false;
    if (got > 0)
        conn_process(conn);
    else if (got == KT_STREAM_END && kt_queue_size(&conn->out) > 0)
        conn->ended = true;
    else if (got != KT_STREAM_AGAIN)
        conn_kill(conn);
}

static void on_ready(kt_watch *watch, uint32_t ready)
{
    http_conn *conn = watch->ctx;

    ready = kt_stream_may(&conn->stream, ready);
    if (ready & KT_LOOP_WRITE)
        kt_loop_flush(conn->server->loop, &conn->flush);
    if (!(ready & KT_LOOP_READ))
        return;
    if (conn->state == CONN_LINGER)
        conn_linger(conn);
    else if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
        conn_read(conn);
    if (conn->state == CONN_TAKEN || conn->state == CONN_DEAD)
        return;
    conn_watch(conn);
    conn_arm(conn);
}

/* False: the client is gone. */
static bool conn_write(http_conn *conn)
{
    size_t size = kt_queue_size(&conn->out);
    ssize_t put = size > 0 ? kt_stream_write(&conn->stream, conn->out.data + conn->out.at, size) : 0;

    if (put < 0)
        return false;
    if (put > 0) {
        conn->since_ns = kt_loop_now(conn->server->loop);
        kt_queue_take(&conn->out, &conn->server->pool, (size_t)put);
    }
    return true;
}

static void on_flush(kt_flush *flush)
{
    http_conn *conn = flush->ctx;

    if (conn->state == CONN_TAKEN || conn->state == CONN_DEAD || !conn_write(conn)) {
        conn_free(conn);
        return;
    }
    /* Requests that waited behind a late answer, or for the client to take one. */
    if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
        conn_process(conn);
    if (conn->state == CONN_TAKEN || conn->state == CONN_DEAD)
        return; /* queued again, for the next turn */
    bool sent = kt_queue_size(&conn->out) == 0;
    if (sent && conn->ended && conn->state != CONN_ASKED) {
        conn_free(conn);
        return;
    }
    if (sent && conn->state == CONN_LAST) {
        kt_stream_shut(&conn->stream);
        conn_enter(conn, CONN_LINGER);
    }
    conn_watch(conn);
    conn_arm(conn);
}

static void on_due(kt_timer *timer)
{
    http_conn *conn = timer->ctx;
    bool writing = kt_queue_size(&conn->out) > 0;

    if (conn_deadline_ns(conn) > kt_loop_now(conn->server->loop)) {
        conn_arm(conn);
    } else if (!writing && conn->state == CONN_BODY) {
        conn_refuse(conn, 408, "the body of the request did not come in time");
    } else if (!writing && conn->state == CONN_HEAD && kt_queue_size(&conn->in) > 0) {
        conn->head_only = false;
        conn_refuse(conn, 408, "the request line and headers did not come in time");
    } else {
        conn_kill(conn);
    }
}

/* --- accepting -------------------------------------------------------------------------------------------------- */

static void conn_new(kt_http_server *server, int fd)
{
    const int one = 1;
    http_conn *conn = calloc(1, sizeof *conn);
    uint32_t at = server->slot_free != 0 ? server->slot_free - 1 : server->slot_used;

    if (conn == NULL) {
        close(fd);
        server->stats.refused++;
        return;
    }
    /* Whatever is ready is written as one piece already; waiting to fill a packet only adds delay. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    kt_stream_plain(&conn->stream, fd);
    conn->server = server;
    conn->greeting = server->options.tls != NULL;
    conn->slot = at;
    conn->watch = (kt_watch){ on_ready, conn, fd, KT_LOOP_READ, false };
    conn->flush = (kt_flush){ on_flush, conn, NULL, NULL };
    conn->timer = (kt_timer){ on_due, conn, 0, 0 };
    if (server->slot_free != 0)
        server->slot_free = server->slots[at].next_free;
    else
        server->slots[server->slot_used++].generation = 1;
    server->slots[at].conn = conn;
    server->stats.accepted++;
    server->stats.conn_count++;
    conn_enter(conn, CONN_HEAD);
    if (kt_loop_watch(server->loop, &conn->watch, NULL) != KT_OK)
        conn_kill(conn);
    conn_arm(conn);
}

/* Over conn_max: a word instead of silence, as far as the socket takes it at once. */
static void client_refuse(kt_http_server *server, int fd)
{
    char body[256];
    char answer[512];
    size_t body_size = fault_format(body, sizeof body, 503, "too many connections; try again later");
    int size = snprintf(answer, sizeof answer,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n\r\n%.*s",
        body_size, (int)body_size, body);

    server->stats.refused++;
    (void)!send(fd, answer, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static int accept_one(const kt_http_server *server)
{
    const kt_net *net = kt_loop_net(server->loop);

    return net->accept(net->ctx, server->listener.fd);
}

/* Out of descriptors: without this the client would hang in the backlog and the loop would spin on it. */
static bool client_shed(kt_http_server *server)
{
    if (server->reserve_fd < 0)
        return false;
    close(server->reserve_fd);
    int fd = accept_one(server);
    if (fd >= 0) {
        close(fd);
        server->stats.refused++;
    }
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void on_accept_pause_over(kt_timer *timer)
{
    kt_http_server *server = timer->ctx;

    kt_loop_watch_change(server->loop, &server->listener, KT_LOOP_READ);
}

static void on_accept(kt_watch *watch, uint32_t ready)
{
    kt_http_server *server = watch->ctx;

    for (int i = 0; i < KT_HTTP_ACCEPT_BURST; i++) {
        int fd = accept_one(server);
        if (fd >= 0 && server->stats.conn_count >= server->options.conn_max) {
            client_refuse(server, fd);
        } else if (fd >= 0) {
            conn_new(server, fd);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if ((errno == EMFILE || errno == ENFILE) && client_shed(server)) {
            continue;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            kt_loop_watch_change(server->loop, watch, 0);
            (void)kt_timer_set(
                server->loop, &server->accept_pause, kt_loop_now(server->loop) + (int64_t)ACCEPT_PAUSE_MS * NS_PER_MS);
            return;
        } /* else the client has gone already (ECONNABORTED and the network errors of accept(2)): on to the next */
    }
}

static kt_code listen_fail(kt_err *err, const char *address)
{
    const char *advice = "";

    if (errno == EADDRINUSE)
        advice = " (another program listens there, perhaps another kontor: stop it or choose another port)";
    else if (errno == EACCES)
        advice = " (ports below 1024 are for root: choose a higher one)";
    else if (errno == EADDRNOTAVAIL)
        advice = " (this machine has no such address: 127.0.0.1 always works)";
    return kt_fail(err, KT_SYS, "cannot listen on %s%s", address, advice);
}

static kt_code listener_open(kt_http_server *server, kt_err *err)
{
    const char *host = server->options.host;
    kt_address address;
    char shown[KT_ADDRESS_TEXT_MAX];
    const kt_net *net = kt_loop_net(server->loop);

    if (host == NULL || !kt_address_parse(kt_text_of(host), server->options.port, &address))
        return kt_fail(err, KT_ARG, "cannot listen on '%.64s': not a numeric address such as 127.0.0.1 or ::1",
            host != NULL ? host : "");
    kt_address_format(&address, shown, sizeof shown);
    int fd = net->listen(net->ctx, &address);
    if (fd < 0)
        return listen_fail(err, shown);
    server->listener = (kt_watch){ on_accept, server, fd, KT_LOOP_READ, false };
    server->port = ntohs(address.of.any.sa_family == AF_INET ? address.of.v4.sin_port : address.of.v6.sin6_port);
    return kt_loop_watch(server->loop, &server->listener, err);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t default_value)
{
    return value != 0 ? value : default_value;
}

kt_code kt_http_server_open(
    kt_loop *loop, const kt_http_server_options *options, kt_http_server **out_server, kt_err *err)
{
    kt_http_server *server = calloc(1, sizeof *server);
    kt_code code = KT_OK;

    if (server == NULL)
        return kt_fail(err, KT_SYS, "cannot make an HTTP server");
    server->loop = loop;
    server->options = *options;
    server->options.conn_max = or_default(options->conn_max, KT_HTTP_CONN_MAX_DEFAULT);
    server->options.body_max = or_default(options->body_max, KT_HTTP_BODY_MAX_DEFAULT);
    server->options.out_max = or_default(options->out_max, KT_HTTP_OUT_MAX_DEFAULT);
    server->options.head_time_ms = or_default(options->head_time_ms, KT_HTTP_HEAD_TIME_DEFAULT_MS);
    server->options.body_time_ms = or_default(options->body_time_ms, KT_HTTP_BODY_TIME_DEFAULT_MS);
    server->options.idle_time_ms = or_default(options->idle_time_ms, KT_HTTP_IDLE_TIME_DEFAULT_MS);
    server->options.write_time_ms = or_default(options->write_time_ms, KT_HTTP_WRITE_TIME_DEFAULT_MS);
    kt_pool_init(&server->pool, options->pool_max != 0 ? options->pool_max : KT_HTTP_POOL_MAX_DEFAULT, CACHED_MAX);
    server->listener.fd = -1;
    server->accept_pause = (kt_timer){ on_accept_pause_over, server, 0, 0 };
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->slot_max = server->options.conn_max;
    server->slots = calloc(server->slot_max, sizeof *server->slots);
    if (server->slots == NULL || server->reserve_fd < 0) {
        code = kt_fail(err, KT_SYS, "cannot make an HTTP server");
        goto out;
    }
    code = listener_open(server, err);
    if (code != KT_OK)
        goto out;
    *out_server = server;
    server = NULL;
out:
    kt_http_server_close(server);
    return code;
}

kt_code kt_http_server_limit(kt_http_server *server, uint32_t conn_max)
{
    slot *slots = server->slots;

    if (conn_max > server->slot_max) {
        slots = realloc(slots, conn_max * sizeof *slots);
        if (slots == NULL)
            return KT_SYS;
        memset(slots + server->slot_max, 0, (conn_max - server->slot_max) * sizeof *slots);
        server->slots = slots;
        server->slot_max = conn_max;
    }
    server->options.conn_max = conn_max;
    return KT_OK;
}

void kt_http_server_stop_accepting(kt_http_server *server)
{
    const kt_net *net = kt_loop_net(server->loop);

    if (server->listener.fd < 0)
        return;
    kt_loop_unwatch(server->loop, &server->listener);
    kt_timer_cancel(server->loop, &server->accept_pause);
    net->unlisten(net->ctx, server->listener.fd);
    server->listener.fd = -1;
}

void kt_http_server_close(kt_http_server *server)
{
    if (server == NULL)
        return;
    kt_http_server_stop_accepting(server);
    for (uint32_t i = 0; i < server->slot_used; i++)
        if (server->slots[i].conn != NULL)
            conn_free(server->slots[i].conn);
    kt_pool_done(&server->pool);
    if (server->reserve_fd >= 0)
        close(server->reserve_fd);
    free(server->slots);
    free(server);
}

uint16_t kt_http_server_port(const kt_http_server *server)
{
    return server->port;
}

kt_http_server_stats kt_http_server_get_stats(const kt_http_server *server)
{
    return server->stats;
}

void kt_http_peer(kt_http_server *server, uint64_t exchange, char *to, size_t size)
{
    http_conn *conn = conn_find(server, exchange);
    kt_address address = { .size = sizeof address.of };

    to[0] = 0;
    if (conn != NULL && getpeername(conn->stream.fd, &address.of.any, &address.size) == 0)
        kt_address_format(&address, to, size);
}

kt_pool *kt_http_server_pool(kt_http_server *server)
{
    return &server->pool;
}
