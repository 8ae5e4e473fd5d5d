#include "base/json.h"
#include "net/net_test.h"
#include "net/ws_client.h"
#include "net/ws_server.h"
#include <stdio.h>

enum { BUF_SIZE = 1 << 20 };

/* A server that echoes; and a place where clients write down what happened. */
typedef struct house {
    kt_loop *loop;
    kt_http_server *http;
    kt_ws_server *ws;
    kt_ws_conn *last; /* accepted last */
    int64_t clock_ns;
    bool echo;
    bool close_first; /* the server closes on the first message */
    int listener;     /* of a server made by hand, for our client; -1: none */
    kt_deflater *deflater;
    kt_pool pool;
    int messages, closed, drained;
    uint16_t close_code;
    char reason[256];
    char buf[BUF_SIZE];
} house;

typedef struct visitor {
    kt_ws_client *client;
    bool free_on_open, free_on_message, free_on_close;
    int opened, messages, drained, closed;
    uint16_t close_code;
    char reason[256];
    size_t size;
    char text[4096];
} visitor;

static int64_t house_clock(void *ctx)
{
    return ((house *)ctx)->clock_ns;
}

static void server_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    house *own = ctx;

    own->messages++;
    if (own->echo)
        assert_int_equal(kt_ws_send(conn, opcode, payload, size), KT_OK);
    if (own->close_first)
        kt_ws_close(conn, 4001, KT_TEXT("enough"));
}

static void server_on_drain(void *ctx, kt_ws_conn *conn)
{
    ((house *)ctx)->drained++;
}

static void server_on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    house *own = ctx;

    own->closed++;
    own->close_code = code;
    snprintf(own->reason, sizeof own->reason, "%.*s", KT_TEXT_ARG(reason));
    if (own->last == conn)
        own->last = NULL;
}

static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    house *own = ctx;

    if (kt_text_equal(request->path, KT_TEXT("/http")))
        (void)kt_http_fail(http, exchange, 404, "not here");
    else
        own->last = kt_ws_accept(own->ws, http, exchange, request, own);
}

static house *house_open(kt_ws_server_options options)
{
    kt_err err = { 0 };
    house *own = calloc(1, sizeof *own);
    const kt_loop_options loop_options = { .clock_ns = house_clock, .ctx = own };

    assert_non_null(own);
    own->echo = true;
    own->listener = -1;
    kt_pool_init(&own->pool, 256 << 20, 0);
    assert_int_equal(kt_deflater_new(&own->deflater, &err), KT_OK);
    const kt_http_server_options http = { .host = "127.0.0.1", .on_request = on_request, .ctx = own };
    options.handlers = (kt_ws_handlers){ server_on_message, server_on_drain, server_on_close };
    assert_int_equal(kt_loop_new(&loop_options, &own->loop, &err), KT_OK);
    assert_int_equal(kt_ws_server_new(own->loop, &options, &own->ws, &err), KT_OK);
    assert_int_equal(kt_http_server_open(own->loop, &http, &own->http, &err), KT_OK);
    return own;
}

static void house_close(house *own)
{
    kt_http_server_close(own->http);
    kt_ws_server_free(own->ws);
    kt_loop_free(own->loop);
    kt_deflater_free(own->deflater);
    kt_pool_done(&own->pool);
    if (own->listener >= 0)
        close(own->listener);
    free(own);
}

#define HANDSHAKE                                                                              \
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

/* A raw client past the handshake. */
static int raw_open_offering(house *own, const char *request)
{
    int fd = client_connect(kt_http_server_port(own->http));

    client_send(own->loop, fd, request, strlen(request), 0);
    client_read(own->loop, fd, own->buf, sizeof own->buf, "\r\n\r\n");
    assert_int_equal(strncmp(own->buf, "HTTP/1.1 101 Switching Protocols\r\n", 34), 0);
    assert_non_null(strstr(own->buf, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    return fd;
}

static int raw_open(house *own)
{
    return raw_open_offering(own, HANDSHAKE "\r\n");
}

/* --- what a peer may send, frame by frame; numbers in brackets are the cases of the Autobahn suite it stands for --- */

/* WRONG_MASK: with a mask where there must be none, or without. */
enum { FIN = 0x80, RSV1 = 0x40, RSV2 = 0x20, RSV3 = 0x10, WRONG_MASK = 0x100, LONG16 = 0x200, LONG64 = 0x400 };

typedef struct frame {
    int first;           /* FIN | opcode, and the flags above; 0 ends the list unless there is text */
    const char *payload; /* NULL: `fill` bytes of '*' */
    size_t size;         /* 0: strlen(payload) */
    size_t fill;
} frame;

typedef struct exchange_row {
    const char *name;
    frame frames[12];
    const char *echoes; /* what comes back: T:text B:text P:pong each with '|' behind; long ones as T#size */
    int close_code;     /* in the close frame that comes back */
    int agreed_code;    /* the same where compression was agreed; 0: no difference */
} exchange_row;

#define TEXT(s)                   \
    {                             \
        FIN | KT_WS_TEXT, s, 0, 0 \
    }
#define CLOSE                               \
    {                                       \
        FIN | KT_WS_CLOSE, "\x03\xe8", 2, 0 \
    }

static const exchange_row exchange_rows[] = {
    { "empty text [1.1.1, 6.1.1]", { TEXT(""), CLOSE }, "T:|", 1000 },
    { "text of 125 bytes [1.1.2]", { { FIN | KT_WS_TEXT, NULL, 0, 125 }, CLOSE }, "T#125|", 1000 },
    { "text of 126 bytes [1.1.3]", { { FIN | KT_WS_TEXT, NULL, 0, 126 }, CLOSE }, "T#126|", 1000 },
    { "text of 128 bytes [1.1.5]", { { FIN | KT_WS_TEXT, NULL, 0, 128 }, CLOSE }, "T#128|", 1000 },
    { "text of 65535 bytes [1.1.6]", { { FIN | KT_WS_TEXT, NULL, 0, 65535 }, CLOSE }, "T#65535|", 1000 },
    { "text of 65536 bytes [1.1.7]", { { FIN | KT_WS_TEXT, NULL, 0, 65536 }, CLOSE }, "T#65536|", 1000 },
    { "text of 500000 bytes", { { FIN | KT_WS_TEXT, NULL, 0, 500000 }, CLOSE }, "T#500000|", 1000 },
    { "empty binary [1.2.1]", { { FIN | KT_WS_BINARY, "", 0, 0 }, CLOSE }, "B:|", 1000 },
    { "binary of 126 bytes [1.2.3]", { { FIN | KT_WS_BINARY, NULL, 0, 126 }, CLOSE }, "B#126|", 1000 },
    { "binary of 128 bytes [1.2.5]", { { FIN | KT_WS_BINARY, NULL, 0, 128 }, CLOSE }, "B#128|", 1000 },
    { "binary of 65536 bytes [1.2.7]", { { FIN | KT_WS_BINARY, NULL, 0, 65536 }, CLOSE }, "B#65536|", 1000 },
    { "ping without payload [2.1]", { { FIN | KT_WS_PING, "", 0, 0 }, CLOSE }, "P:|", 1000 },
    { "ping with bytes that are not text [2.3]", { { FIN | KT_WS_PING, "\xff\xfe", 2, 0 }, CLOSE }, "P:\xff\xfe|",
        1000 },
    { "ping of 125 bytes [2.4]", { { FIN | KT_WS_PING, NULL, 0, 125 }, CLOSE }, "P#125|", 1000 },
    { "ping of 126 bytes [2.5]", { { FIN | KT_WS_PING, NULL, 0, 126 } }, "", 1002 },
    { "pong nobody asked for [2.7]", { { FIN | KT_WS_PONG, "", 0, 0 }, CLOSE }, "", 1000 },
    { "pong, then ping [2.9]", { { FIN | KT_WS_PONG, "a", 0, 0 }, { FIN | KT_WS_PING, "b", 0, 0 }, CLOSE }, "P:b|",
        1000 },
    { "ten pings [2.11]",
        { { FIN | KT_WS_PING, "p0", 0, 0 }, { FIN | KT_WS_PING, "p1", 0, 0 }, { FIN | KT_WS_PING, "p2", 0, 0 },
            { FIN | KT_WS_PING, "p3", 0, 0 }, { FIN | KT_WS_PING, "p4", 0, 0 }, { FIN | KT_WS_PING, "p5", 0, 0 },
            { FIN | KT_WS_PING, "p6", 0, 0 }, { FIN | KT_WS_PING, "p7", 0, 0 }, { FIN | KT_WS_PING, "p8", 0, 0 },
            { FIN | KT_WS_PING, "p9", 0, 0 }, CLOSE },
        "P:p0|P:p1|P:p2|P:p3|P:p4|P:p5|P:p6|P:p7|P:p8|P:p9|", 1000 },
    { "reserved bits: 1 [3.1]", { TEXT("a"), { FIN | RSV1 | KT_WS_TEXT, "b", 0, 0 } }, "T:a|", 1002, 1007 },
    { "reserved bits: 2 [3.2]", { TEXT("a"), { FIN | RSV2 | KT_WS_TEXT, "b", 0, 0 } }, "T:a|", 1002 },
    { "reserved bits: 3 [3.3, 3.4]", { TEXT("a"), { FIN | RSV3 | KT_WS_TEXT, "b", 0, 0 } }, "T:a|", 1002 },
    { "reserved bits in a ping [3.6]", { { FIN | RSV1 | RSV2 | KT_WS_PING, "b", 0, 0 } }, "", 1002 },
    { "reserved opcode 3 [4.1.1]", { { FIN | 3, "", 0, 0 } }, "", 1002 },
    { "reserved opcode 5 [4.1.3]", { TEXT("a"), { FIN | 5, "", 0, 0 }, { FIN | KT_WS_PING, "p", 0, 0 } }, "T:a|",
        1002 },
    { "reserved opcode 7 [4.1.5]", { TEXT("a"), { FIN | 7, "b", 0, 0 } }, "T:a|", 1002 },
    { "reserved opcode 11 [4.2.1]", { { FIN | 11, "", 0, 0 } }, "", 1002 },
    { "reserved opcode 12 [4.2.2]", { { FIN | 12, "b", 0, 0 } }, "", 1002 },
    { "reserved opcode 14 [4.2.4]", { TEXT("a"), { FIN | 14, "b", 0, 0 }, { FIN | KT_WS_PING, "p", 0, 0 } }, "T:a|",
        1002 },
    { "reserved opcode 15 [4.2.5]", { TEXT("a"), { FIN | 15, "b", 0, 0 } }, "T:a|", 1002 },
    { "fragmented control [5.1]", { { KT_WS_PING, "a", 0, 0 }, { FIN, "b", 0, 0 } }, "", 1002 },
    { "fragmented control: close", { { KT_WS_CLOSE, "\x03\xe8", 2, 0 } }, "", 1002 },
    { "text in two fragments [5.3, 5.5]", { { KT_WS_TEXT, "a", 0, 0 }, { FIN, "b", 0, 0 }, CLOSE }, "T:ab|", 1000 },
    { "ping between fragments [5.7]",
        { { KT_WS_TEXT, "a", 0, 0 }, { FIN | KT_WS_PING, "p", 0, 0 }, { FIN, "b", 0, 0 }, CLOSE }, "P:p|T:ab|", 1000 },
    { "continuation of nothing [5.9, 5.11]", { { FIN, "a", 0, 0 }, TEXT("b") }, "", 1002 },
    { "continuation of nothing, not final [5.13]", { { 0, "a", 0, 0 }, TEXT("b") }, "", 1002 },
    { "continuation after the end [5.15]", { { KT_WS_TEXT, "a", 0, 0 }, { FIN, "b", 0, 0 }, { 0, "c", 0, 0 } }, "T:ab|",
        1002 },
    { "continuation of nothing, then fragments [5.17]",
        { { FIN, "a", 0, 0 }, { KT_WS_TEXT, "b", 0, 0 }, { FIN, "c", 0, 0 } }, "", 1002 },
    { "pings between five fragments [5.19]",
        { { KT_WS_TEXT, "1", 0, 0 }, { 0, "2", 0, 0 }, { FIN | KT_WS_PING, "p", 0, 0 }, { 0, "3", 0, 0 },
            { 0, "4", 0, 0 }, { FIN | KT_WS_PING, "q", 0, 0 }, { FIN, "5", 0, 0 }, CLOSE },
        "P:p|P:q|T:12345|", 1000 },
    { "a new message before the end of the last [5.18]", { { KT_WS_TEXT, "a", 0, 0 }, TEXT("b") }, "", 1002 },
    { "empty fragments around one [6.1.3]", { { KT_WS_TEXT, "", 0, 0 }, { 0, "a", 0, 0 }, { FIN, "", 0, 0 }, CLOSE },
        "T:a|", 1000 },
    { "three empty fragments [6.1.2]", { { KT_WS_TEXT, "", 0, 0 }, { 0, "", 0, 0 }, { FIN, "", 0, 0 }, CLOSE }, "T:|",
        1000 },
    { "fragments cut between characters [6.2.2]",
        { { KT_WS_TEXT, "\xce\xba", 2, 0 }, { FIN, "\xe1\xbd\xb9", 3, 0 }, CLOSE }, "T:\xce\xba\xe1\xbd\xb9|", 1000 },
    { "character cut by fragments [6.2.4]",
        { { KT_WS_TEXT, "\xce", 1, 0 }, { 0, "\xba\xe1", 2, 0 }, { FIN, "\xbd\xb9", 2, 0 }, CLOSE },
        "T:\xce\xba\xe1\xbd\xb9|", 1000 },
    { "bad UTF-8 [6.3.1]", { TEXT("\xce\xba\xed\xa0\x80 edited") }, "", 1007 },
    { "bad UTF-8 in a later fragment [6.3.2]",
        { { KT_WS_TEXT, "\xce", 1, 0 }, { 0, "\xba", 1, 0 }, { 0, "\xff", 1, 0 } }, "", 1007 },
    { "bad UTF-8 told before the message ends [6.4.2, 6.4.4]",
        { { KT_WS_TEXT, "\xce\xba", 2, 0 }, { 0, "\xf4\x90", 2, 0 } }, "", 1007 },
    { "bad UTF-8: character without its end", { TEXT("a\xe2\x82") }, "", 1007 },
    { "bad UTF-8: overlong", { TEXT("\xc0\xaf") }, "", 1007 },
    { "bad UTF-8: half a surrogate pair", { TEXT("\xed\xa0\x80") }, "", 1007 },
    { "bad UTF-8: above U+10FFFF", { TEXT("\xf4\x90\x80\x80") }, "", 1007 },
    { "binary need not be UTF-8", { { FIN | KT_WS_BINARY, "\xff\xc0", 2, 0 }, CLOSE }, "B:\xff\xc0|", 1000 },
    { "two close frames [7.1.2]", { CLOSE, CLOSE }, "", 1000 },
    { "text after close [7.1.4]", { CLOSE, TEXT("a") }, "", 1000 },
    { "256 KiB, close, ping [7.1.6]", { { FIN | KT_WS_TEXT, NULL, 0, 262144 }, CLOSE, { FIN | KT_WS_PING, "", 0, 0 } },
        "T#262144|", 1000 },
    { "close without a code [7.3.1]", { { FIN | KT_WS_CLOSE, "", 0, 0 } }, "", 1005 },
    { "close with half a code [7.3.2]", { { FIN | KT_WS_CLOSE, "\x03", 1, 0 } }, "", 1002 },
    { "close with a reason [7.3.4]", { { FIN | KT_WS_CLOSE, "\x03\xe8why", 5, 0 } }, "", 1000 },
    { "close of 126 bytes [7.3.6]", { { FIN | KT_WS_CLOSE, NULL, 0, 126 } }, "", 1002 },
    { "close with a reason that is not UTF-8 [7.5.1]", { { FIN | KT_WS_CLOSE, "\x03\xe8\xce\xba\xed\xa0\x80", 7, 0 } },
        "", 1007 },
    { "close code 1005 [7.9.5]", { { FIN | KT_WS_CLOSE, "\x03\xed", 2, 0 } }, "", 1002 },
    { "close code 0 [7.9.1]", { { FIN | KT_WS_CLOSE, "\0\0", 2, 0 } }, "", 1002 },
    { "close code 3000 [7.7.9]", { { FIN | KT_WS_CLOSE, "\x0b\xb8", 2, 0 } }, "", 3000 },
    { "close code 5000 [7.13.1]", { { FIN | KT_WS_CLOSE, "\x13\x88", 2, 0 } }, "", 1002 },
    { "masked as only the other side may", { TEXT("a"), { FIN | KT_WS_TEXT | WRONG_MASK, "b", 0, 0 } }, "T:a|", 1002 },
    { "oversized", { { FIN | KT_WS_TEXT, NULL, 0, (1 << 20) + 1 } }, "", 1009 },
    { "oversized in fragments [9.9.1]", { { KT_WS_TEXT, NULL, 0, 700000 }, { FIN, NULL, 0, 700000 } }, "", 1009 },
    { "length not in its shortest form: 16 bits", { { FIN | KT_WS_TEXT | LONG16, "a", 0, 0 } }, "", 1002 },
    { "length not in its shortest form: 64 bits", { { FIN | KT_WS_TEXT | LONG64, "a", 0, 0 } }, "", 1002 },
};

/* Who is tested, and how messages come to it. */
typedef struct mode {
    const char *name;
    kt_ws_role tested;
    bool agreed; /* permessage-deflate */
    bool packed; /* and whole messages are compressed */
} mode;

static const mode modes[] = {
    { "server", KT_WS_SERVER, false, false },
    { "server, compression agreed and not used", KT_WS_SERVER, true, false },
    { "server, compressed", KT_WS_SERVER, true, true },
    { "client", KT_WS_CLIENT, false, false },
    { "client, compression agreed and not used", KT_WS_CLIENT, true, false },
    { "client, compressed", KT_WS_CLIENT, true, true },
};

static size_t frame_put(int first, const void *payload, size_t size, kt_ws_role tested, uint8_t *to)
{
    static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
    const uint8_t *key = (tested == KT_WS_SERVER) != ((first & WRONG_MASK) != 0) ? mask : NULL;
    size_t n = kt_ws_header(to, KT_WS_CONTINUATION, false, size, key);

    if (first & (LONG16 | LONG64)) {
        size_t wide = (first & LONG16) ? 2 : 8;
        to[1] = (uint8_t)((key != NULL ? 0x80 : 0) | (wide == 2 ? 126 : 127));
        memset(to + 2, 0, wide);
        to[1 + wide] = (uint8_t)size;
        memcpy(to + 2 + wide, mask, 4);
        n = 2 + wide + (key != NULL ? 4 : 0);
    }
    to[0] = (uint8_t)first;
    if (size > 0)
        memcpy(to + n, payload, size);
    if (key != NULL)
        kt_ws_mask(to + n, size, mask, 0);
    return n + size;
}

/* The bytes of a frame; `fill` is long enough for all rows. */
static size_t frame_payload(const frame *from, const char **out_payload)
{
    static char fill[(1 << 20) + 1];

    if (fill[0] == 0)
        memset(fill, '*', sizeof fill);
    *out_payload = from->payload != NULL ? from->payload : fill;
    return from->payload == NULL ? from->fill : from->size != 0 ? from->size : strlen(from->payload);
}

static size_t frame_build(const frame *from, uint8_t *to)
{
    const char *payload = NULL;
    size_t size = frame_payload(from, &payload);

    return frame_put(from->first, payload, size, KT_WS_SERVER, to);
}

static bool is_end(const frame *at)
{
    return at->first == 0 && at->payload == NULL;
}

/* The frames of the message that begins here; 0: none does, or it has faults or no end and so is sent as it is. */
static size_t message_frames(const frame *at, size_t count)
{
    int opcode = at->first & 0x0F;

    if ((at->first & ~(FIN | 0x0F)) != 0 || (opcode != KT_WS_TEXT && opcode != KT_WS_BINARY))
        return 0;
    for (size_t i = 0; i < count && !is_end(&at[i]); i++) {
        opcode = at[i].first & 0x0F;
        if (i > 0 && opcode != KT_WS_CONTINUATION && opcode < KT_WS_CLOSE)
            return 0;
        if (opcode < KT_WS_CLOSE && (at[i].first & FIN) != 0)
            return i + 1;
    }
    return 0;
}

/* A message compressed as one, cut into as many frames as before; control frames keep their places. */
static size_t packed_put(house *own, const mode *how, const frame *at, size_t count, uint8_t *to)
{
    static uint8_t whole[2 << 20], packed[2 << 20];
    const char *payload = NULL;
    size_t size = 0, n = 0, done = 0, left = 0;

    for (size_t i = 0; i < count; i++) {
        size_t piece = frame_payload(&at[i], &payload);
        if ((at[i].first & 0x0F) >= KT_WS_CLOSE)
            continue;
        memcpy(whole + size, payload, piece);
        size += piece;
        left++;
    }
    size_t made = kt_deflate(own->deflater, whole, size, packed, sizeof packed);
    if (size == 0)
        packed[made++] = 0; /* RFC 7692 7.2.3.6 */
    for (size_t i = 0; i < count; i++) {
        size_t piece = frame_payload(&at[i], &payload);
        if ((at[i].first & 0x0F) < KT_WS_CLOSE) {
            piece = (made - done) / left--;
            payload = (const char *)packed + done;
            done += piece;
        }
        n += frame_put(at[i].first | (i == 0 ? RSV1 : 0), payload, piece, how->tested, to + n);
    }
    return n;
}

static size_t row_build(house *own, const mode *how, const exchange_row *row, uint8_t *to)
{
    size_t n = 0;

    for (size_t i = 0; i < KT_COUNT(row->frames) && !is_end(&row->frames[i]); i++) {
        const frame *at = &row->frames[i];
        const char *payload = NULL;
        size_t count = how->packed ? message_frames(at, KT_COUNT(row->frames) - i) : 0;
        size_t size = frame_payload(at, &payload);
        if (count > 0)
            n += packed_put(own, how, at, count, to + n);
        else
            n += frame_put(at->first, payload, size, how->tested, to + n);
        i += count > 0 ? count - 1 : 0;
    }
    return n;
}

/* --- our client, and a server made by hand ---------------------------------------------------------------------- */

static void echo_on_open(void *ctx, kt_ws_conn *conn)
{
}

static void echo_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    assert_int_equal(kt_ws_send(conn, opcode, payload, size), KT_OK);
}

static void echo_on_close(void *ctx, uint16_t code, kt_text reason)
{
    kt_ws_client **client = ctx;

    kt_ws_client_free(*client);
    *client = NULL;
}

static uint16_t own_listener(house *own)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;

    if (own->listener < 0) {
        own->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(own->listener, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(own->listener, 16), 0);
    }
    assert_int_equal(getsockname(own->listener, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* A socket with our echoing client at its other end, past the handshake. */
static int client_open(house *own, bool agreed, kt_ws_client **client)
{
    char url[64], answer[512], accept_key[KT_WS_ACCEPT_SIZE + 1];
    const kt_ws_client_options options = {
        .url = url,
        .deflate = agreed,
        .message_max = 8 << 20,
        .out_max = 16 << 20,
        .on_open = echo_on_open,
        .on_message = echo_on_message,
        .on_close = echo_on_close,
        .ctx = client,
    };
    const int one = 1;
    int fd = -1;

    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", own_listener(own));
    assert_int_equal(kt_ws_connect(own->loop, &options, client, NULL), KT_OK);
    TURN_UNTIL(own->loop, (fd = accept4(own->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    client_read(own->loop, fd, own->buf, sizeof own->buf, "\r\n\r\n");
    assert_int_equal(strstr(own->buf, "\r\nSec-WebSocket-Extensions: " KT_DEFLATE_OFFER "\r\n") != NULL, agreed);
    const char *key = strstr(own->buf, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    kt_ws_accept_key((kt_text){ key + 19, KT_WS_KEY_SIZE }, accept_key);
    int size = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept_key,
        agreed ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n" : "");
    client_send(own->loop, fd, answer, (size_t)size, 0);
    return fd;
}

static int peer_open(house *own, const mode *how, kt_ws_client **client)
{
    *client = NULL;
    if (how->tested == KT_WS_CLIENT)
        return client_open(own, how->agreed, client);
    return raw_open_offering(own, how->agreed ? HANDSHAKE
                                      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
                                              : HANDSHAKE "\r\n");
}

static void peer_close(house *own, int fd, kt_ws_client **client)
{
    close(fd);
    TURN_UNTIL(own->loop, *client == NULL);
}

/* --- the rows, in each mode ------------------------------------------------------------------------------------- */

/* What the tested side sent, in the words of the rows. */
static void transcript(house *own, const mode *how, size_t size, char *to, size_t to_size, int *out_code)
{
    uint8_t *data = (uint8_t *)own->buf;
    kt_ws_decoder decoder;
    kt_ws_event event;
    kt_queue wire = { 0 }, message = { 0 };

    kt_ws_decoder_init(&decoder, how->tested == KT_WS_SERVER ? KT_WS_CLIENT : KT_WS_SERVER, BUF_SIZE);
    decoder.deflate = how->agreed;
    *to = 0;
    *out_code = 0;
    for (size_t at = 0; at < size;) {
        size_t n = strlen(to);
        at += kt_ws_decode(&decoder, data + at, size - at, &event);
        if (event.kind == KT_WS_PIECE) {
            if (event.size > 0)
                memcpy(kt_queue_extend(&wire, &own->pool, event.size, BUF_SIZE), event.payload, event.size);
            if (!event.last)
                continue;
            if (event.compressed)
                assert_int_equal(kt_inflate(own->deflater, wire.data + wire.at, kt_queue_size(&wire), &message,
                                     &own->pool, BUF_SIZE),
                    KT_OK);
            const kt_queue *whole = event.compressed ? &message : &wire;
            size_t whole_size = kt_queue_size(whole);
            char kind = event.opcode == KT_WS_TEXT ? 'T' : 'B';
            if (whole_size > 100)
                snprintf(to + n, to_size - n, "%c#%zu|", kind, whole_size);
            else
                snprintf(to + n, to_size - n, "%c:%.*s|", kind, (int)whole_size,
                    whole_size > 0 ? (const char *)whole->data + whole->at : "");
            kt_queue_clear(&wire, &own->pool);
            kt_queue_clear(&message, &own->pool);
        } else if (event.kind == KT_WS_CONTROL && event.opcode == KT_WS_PONG) {
            if (event.size > 100)
                snprintf(to + n, to_size - n, "P#%zu|", event.size);
            else
                snprintf(to + n, to_size - n, "P:%.*s|", (int)event.size, (const char *)event.payload);
        } else if (event.kind == KT_WS_CONTROL && event.opcode == KT_WS_CLOSE) {
            assert_int_equal(*out_code, 0);
            *out_code = event.close_code;
        } else if (event.kind != KT_WS_NONE) {
            fail_msg("%s sent a frame that it must not send: %s", how->name, event.why != NULL ? event.why : "?");
        }
    }
    kt_queue_clear(&wire, &own->pool);
}

static void row_play(
    house *own, const mode *how, const exchange_row *row, const uint8_t *sent, size_t size, size_t piece)
{
    kt_ws_client *client = NULL;
    char script[8192];
    int code = 0, expected = how->agreed && row->agreed_code != 0 ? row->agreed_code : row->close_code;
    int fd = peer_open(own, how, &client);

    (void)client_send(own->loop, fd, sent, size, piece);
    size_t got = client_read(own->loop, fd, own->buf, sizeof own->buf, NULL);
    transcript(own, how, got, script, sizeof script, &code);
    if (strcmp(script, row->echoes) != 0 || code != expected)
        fail_msg("%s, row \"%s\" (pieces of %zu): %s and close %d", how->name, row->name, piece, script, code);
    peer_close(own, fd, &client);
}

static void frames_are_answered_as_the_protocol_says(void **state)
{
    static const size_t pieces[] = { 0, 1, 2, 7, 1000 };
    static uint8_t sent[1 << 21];
    house *own = house_open((kt_ws_server_options){ .deflate = true });
    int bystander = raw_open(own);

    for (size_t i = 0; i < KT_COUNT(exchange_rows); i++) {
        const exchange_row *row = &exchange_rows[i];
        for (size_t m = 0; m < KT_COUNT(modes); m++) {
            /* The client of these tests takes 8 MiB, of which chapter 9 makes use. */
            if (modes[m].tested == KT_WS_CLIENT && row->close_code == KT_WS_CLOSE_TOO_BIG)
                continue;
            size_t size = row_build(own, &modes[m], row, sent);
            for (size_t p = 0; p < KT_COUNT(pieces); p++)
                if (pieces[p] == 0 || size / pieces[p] <= 2000)
                    row_play(own, &modes[m], row, sent, size, pieces[p]);
        }
        /* Somebody else's connection goes on. */
        size_t hello = frame_build(&(frame)TEXT("hello"), sent);
        client_send(own->loop, bystander, sent, hello, 0);
        size_t got = client_read(own->loop, bystander, own->buf, sizeof own->buf, "hello");
        KT_ROW(row->name, got == 7);
    }
    TURN_UNTIL(own->loop, kt_ws_server_count(own->ws) == 1);
    close(bystander);
    house_close(own);
}

/* Chapter 9 of the Autobahn suite: large messages, in fragments, sent in pieces. */
static const struct {
    const char *name;
    kt_ws_opcode opcode;
    size_t size, fragment, piece; /* 0: whole */
} large_rows[] = {
    { "text of 64 KiB [9.1.1]", KT_WS_TEXT, 64 << 10, 0, 0 },
    { "text of 1 MiB [9.1.3]", KT_WS_TEXT, 1 << 20, 0, 0 },
    { "text of 8 MiB [9.1.5]", KT_WS_TEXT, 8 << 20, 0, 0 },
    { "binary of 64 KiB [9.2.1]", KT_WS_BINARY, 64 << 10, 0, 0 },
    { "binary of 1 MiB [9.2.3]", KT_WS_BINARY, 1 << 20, 0, 0 },
    { "binary of 8 MiB [9.2.5]", KT_WS_BINARY, 8 << 20, 0, 0 },
    { "text in fragments of 64 [9.3.1]", KT_WS_TEXT, 4 << 20, 64, 0 },
    { "text in fragments of 1 KiB [9.3.3]", KT_WS_TEXT, 4 << 20, 1 << 10, 0 },
    { "text in fragments of 16 KiB [9.3.5]", KT_WS_TEXT, 4 << 20, 16 << 10, 0 },
    { "text in fragments of 256 KiB [9.3.7]", KT_WS_TEXT, 4 << 20, 256 << 10, 0 },
    { "text in fragments of 4 MiB [9.3.9]", KT_WS_TEXT, 8 << 20, 4 << 20, 0 },
    { "binary in fragments of 256 [9.4.2]", KT_WS_BINARY, 4 << 20, 256, 0 },
    { "binary in fragments of 4 KiB [9.4.4]", KT_WS_BINARY, 4 << 20, 4 << 10, 0 },
    { "binary in fragments of 64 KiB [9.4.6]", KT_WS_BINARY, 4 << 20, 64 << 10, 0 },
    { "binary in fragments of 1 MiB [9.4.8]", KT_WS_BINARY, 4 << 20, 1 << 20, 0 },
    { "text in pieces of 64 [9.5.1]", KT_WS_TEXT, 1 << 20, 0, 64 },
    { "text in pieces of 256 [9.5.3]", KT_WS_TEXT, 1 << 20, 0, 256 },
    { "text in pieces of 1 KiB [9.5.5]", KT_WS_TEXT, 1 << 20, 0, 1 << 10 },
    { "binary in pieces of 64 [9.6.1]", KT_WS_BINARY, 1 << 20, 0, 64 },
    { "binary in pieces of 256 [9.6.3]", KT_WS_BINARY, 1 << 20, 0, 256 },
    { "binary in pieces of 1 KiB [9.6.5]", KT_WS_BINARY, 1 << 20, 0, 1 << 10 },
};

enum { LARGE_SIZE = 16 << 20 };

/* The message with bytes that tell their place, as text so that both kinds can carry it. */
static size_t large_build(house *own, const mode *how, size_t row, uint8_t *message, uint8_t *packed, uint8_t *to)
{
    size_t size = large_rows[row].size, n = 0;
    size_t fragment = large_rows[row].fragment != 0 ? large_rows[row].fragment : size;
    const uint8_t *payload = how->packed ? packed : message;
    int first = large_rows[row].opcode | (how->packed ? RSV1 : 0);

    for (size_t i = 0; i < size; i++)
        message[i] = (uint8_t)(' ' + (i * 7 + i / 90) % 90);
    if (how->packed)
        size = kt_deflate(own->deflater, message, size, packed, size);
    for (size_t at = 0; at < size; at += fragment) {
        size_t piece = fragment < size - at ? fragment : size - at;
        n +=
            frame_put((at == 0 ? first : 0) | (at + piece == size ? FIN : 0), payload + at, piece, how->tested, to + n);
    }
    return n;
}

/* One message from the socket; its kind. */
static kt_ws_opcode message_read(house *own, const mode *how, int fd, kt_queue *out_message)
{
    kt_ws_decoder decoder;
    kt_ws_event event = { 0 };
    kt_queue wire = { 0 };

    kt_ws_decoder_init(&decoder, how->tested == KT_WS_SERVER ? KT_WS_CLIENT : KT_WS_SERVER, LARGE_SIZE);
    decoder.deflate = how->agreed;
    while (!event.last) {
        ssize_t got = -1;
        TURN_UNTIL(own->loop, (got = recv(fd, own->buf, sizeof own->buf, MSG_DONTWAIT)) >= 0);
        assert_true(got > 0);
        for (size_t at = 0; at < (size_t)got && !event.last;) {
            at += kt_ws_decode(&decoder, (uint8_t *)own->buf + at, (size_t)got - at, &event);
            assert_true(event.kind == KT_WS_PIECE || event.kind == KT_WS_NONE);
            if (event.size > 0)
                memcpy(kt_queue_extend(&wire, &own->pool, event.size, LARGE_SIZE), event.payload, event.size);
        }
    }
    assert_int_equal(event.compressed, how->agreed);
    *out_message = wire;
    if (event.compressed) {
        *out_message = (kt_queue){ 0 };
        assert_int_equal(
            kt_inflate(own->deflater, wire.data + wire.at, kt_queue_size(&wire), out_message, &own->pool, LARGE_SIZE),
            KT_OK);
        kt_queue_clear(&wire, &own->pool);
    }
    return event.opcode;
}

static void large_messages_come_back_whole(void **state)
{
    house *own = house_open((kt_ws_server_options){ .message_max = 8 << 20, .out_max = LARGE_SIZE, .deflate = true });
    uint8_t *message = malloc(8 << 20), *packed = malloc(8 << 20), *sent = malloc(LARGE_SIZE);

    assert_true(message != NULL && packed != NULL && sent != NULL);
    for (size_t i = 0; i < KT_COUNT(large_rows) * KT_COUNT(modes); i++) {
        size_t row = i / KT_COUNT(modes);
        const mode *how = &modes[i % KT_COUNT(modes)];
        kt_ws_client *client = NULL;
        kt_queue back = { 0 };
        size_t size = large_build(own, how, row, message, packed, sent);
        int fd = peer_open(own, how, &client);
        KT_ROW(large_rows[row].name, client_send(own->loop, fd, sent, size, large_rows[row].piece));
        KT_ROW(large_rows[row].name, message_read(own, how, fd, &back) == large_rows[row].opcode);
        KT_ROW(large_rows[row].name, kt_queue_size(&back) == large_rows[row].size);
        KT_ROW(large_rows[row].name, memcmp(back.data + back.at, message, large_rows[row].size) == 0);
        kt_queue_clear(&back, &own->pool);
        peer_close(own, fd, &client);
    }
    free(message);
    free(packed);
    free(sent);
    house_close(own);
}

static void compressed_messages_are_bounded_and_checked(void **state)
{
    static const struct {
        const char *name;
        const char *payload; /* NULL: two million equal letters compressed */
        size_t size;
        int opcode, close_code;
    } rows[] = {
        { "a bomb", NULL, 0, KT_WS_TEXT, 1009 },
        { "a bomb in binary", NULL, 0, KT_WS_BINARY, 1009 },
        { "truncated", "\xf2\x48\xcd\xc9", 4, KT_WS_TEXT, 1007 },
        { "refers to the message before", "\xf2\x00\x11\x00\x00", 5, KT_WS_TEXT, 1007 },
        { "text that is not UTF-8", "\x00\x01\x00\xfe\xff\xff\x00", 7, KT_WS_TEXT, 1007 },
        { "no payload at all", "", 0, KT_WS_TEXT, 1007 },
    };
    static uint8_t letters[2000000], packed[65536], sent[65536 + KT_WS_HEADER_MAX];
    house *own = house_open((kt_ws_server_options){ .deflate = true });

    memset(letters, 'a', sizeof letters);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const void *payload = rows[i].payload != NULL ? rows[i].payload : (const void *)packed;
        size_t size = rows[i].payload != NULL
                          ? rows[i].size
                          : kt_deflate(own->deflater, letters, sizeof letters, packed, sizeof packed);
        const exchange_row row = { .name = rows[i].name, .echoes = "", .close_code = rows[i].close_code };
        size = frame_put(FIN | RSV1 | rows[i].opcode, payload, size, KT_WS_SERVER, sent);
        row_play(own, &modes[1], &row, sent, size, 0);
        assert_int_equal(own->messages, 0);
    }
    assert_int_equal(own->pool.bytes_used, 0);
    house_close(own);
}

static bool row_covers(const char *name, kt_text id)
{
    const char *at = strchr(name, '[');

    while (at != NULL && *at != 0 && *at != ']') {
        size_t size = strcspn(++at, ",]");
        if (kt_text_equal((kt_text){ at, size }, id))
            return true;
        at += size + (at[size] == ',');
    }
    return false;
}

static void every_recorded_autobahn_case_has_its_row(void **state)
{
    static kt_json_node nodes[4096];
    const char *path = kt_test_recordings("websocket/autobahn_cases.json");
    kt_json_doc doc;
    size_t size = 0;

    assert_non_null(path);
    char *text = kt_test_read_file(path, &size);
    assert_non_null(text);
    assert_int_equal(kt_json_parse((kt_text){ text, size }, nodes, KT_COUNT(nodes), &doc, NULL), KT_OK);
    assert_true(kt_json_count(&doc, 0) > 0);
    kt_json_each (&doc, 0, item) {
        kt_text id = kt_json_raw(&doc, kt_json_get(&doc, item, KT_TEXT("case")));
        bool covered = false;
        for (size_t i = 0; i < KT_COUNT(exchange_rows); i++)
            covered |= row_covers(exchange_rows[i].name, id);
        for (size_t i = 0; i < KT_COUNT(large_rows); i++)
            covered |= row_covers(large_rows[i].name, id);
        if (!covered)
            fail_msg("no row stands for case %.*s", KT_TEXT_ARG(id));
    }
    free(text);
}

static const struct {
    const char *name;
    const char *request;
    const char *answer;
    const char *says;
} handshake_rows[] = {
    { "no Upgrade", "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", "WebSocket only" },
    { "another method", "POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ", "is a GET" },
    { "another version",
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
        "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13" },
    { "no key",
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "HTTP/1.1 400 ", "Sec-WebSocket-Key" },
    { "two keys", HANDSHAKE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "HTTP/1.1 400 ",
        "Sec-WebSocket-Key" },
    { "key too short",
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: abc=\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n",
        "HTTP/1.1 400 ", "16 bytes" },
    { "a body", HANDSHAKE "Content-Length: 1\r\n\r\nx", "HTTP/1.1 400 ", "no body" },
    { "Origin not allowed", HANDSHAKE "Origin: http://evil\r\n\r\n", "HTTP/1.1 403 ", "Origin" },
    { "Origin allowed", HANDSHAKE "Origin: http://good\r\n\r\n", "HTTP/1.1 101 ", "" },
    { "second Origin allowed", HANDSHAKE "Origin: http://fine\r\n\r\n", "HTTP/1.1 101 ", "" },
    { "part of an Origin", HANDSHAKE "Origin: http://goo\r\n\r\n", "HTTP/1.1 403 ", "" },
    { "extensions are left alone", HANDSHAKE "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "HTTP/1.1 101 ",
        "" },
    { "subprotocol", HANDSHAKE "Sec-WebSocket-Protocol: a, kontor.v1.json\r\n\r\n", "HTTP/1.1 101 ",
        "Sec-WebSocket-Protocol: kontor.v1.json\r\n" },
    { "behind another request", "GET /http HTTP/1.1\r\nHost: a\r\n\r\n" HANDSHAKE "\r\n", "HTTP/1.1 404 ",
        "HTTP/1.1 101 Switching Protocols" },
};

static void handshakes_are_checked(void **state)
{
    house *own =
        house_open((kt_ws_server_options){ .origins = "http://good http://fine", .subprotocol = "kontor.v1.json" });

    for (size_t i = 0; i < KT_COUNT(handshake_rows); i++) {
        const char *name = handshake_rows[i].name;
        int fd = client_connect(kt_http_server_port(own->http));
        client_send(own->loop, fd, handshake_rows[i].request, strlen(handshake_rows[i].request), 0);
        client_read(own->loop, fd, own->buf, sizeof own->buf,
            strstr(handshake_rows[i].answer, "101") != NULL ? "\r\n\r\n"
            : strstr(handshake_rows[i].says, "101") != NULL ? handshake_rows[i].says
                                                            : "}");
        KT_ROW(name, strncmp(own->buf, handshake_rows[i].answer, 13) == 0);
        KT_ROW(name, strstr(own->buf, handshake_rows[i].says) != NULL);
        KT_ROW(name, strstr(own->buf, "Sec-WebSocket-Extensions") == NULL);
        close(fd);
    }
    house_close(own);
}

static void frames_may_come_with_the_handshake(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    uint8_t sent[1024];
    int fd = client_connect(kt_http_server_port(own->http));
    size_t size = strlen(HANDSHAKE "\r\n");

    memcpy(sent, HANDSHAKE "\r\n", size);
    size += frame_build(&(frame)TEXT("early"), sent + size);
    client_send(own->loop, fd, sent, size, 0);
    client_read(own->loop, fd, own->buf, sizeof own->buf, "early");
    assert_int_equal(own->messages, 1);
    close(fd);
    TURN_UNTIL(own->loop, own->closed == 1);
    assert_int_equal(own->close_code, KT_WS_CLOSE_ABNORMAL);
    assert_string_equal(own->reason, "connection ended without a close frame");
    house_close(own);
}

/* --- our own client --------------------------------------------------------------------------------------------- */

static void guest_on_open(void *ctx, kt_ws_conn *conn)
{
    visitor *own = ctx;

    own->opened++;
    if (own->free_on_open)
        kt_ws_client_free(own->client);
}

static void guest_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    visitor *own = ctx;

    own->messages++;
    own->size += size;
    snprintf(own->text, sizeof own->text, "%.*s", (int)(size < 100 ? size : 100), (const char *)payload);
    if (own->free_on_message)
        kt_ws_client_free(own->client);
}

static void guest_on_close(void *ctx, uint16_t code, kt_text reason)
{
    visitor *own = ctx;

    own->closed++;
    own->close_code = code;
    snprintf(own->reason, sizeof own->reason, "%.*s", KT_TEXT_ARG(reason));
    if (own->free_on_close)
        kt_ws_client_free(own->client);
}

static void guest_connect(house *at, visitor *own, const char *host)
{
    kt_err err = { 0 };
    char full[256];
    const kt_http_field origin = { KT_TEXT("Origin"), KT_TEXT("http://good") };
    kt_ws_client_options options = {
        .url = full,
        .fields = &origin,
        .field_count = 1,
        .on_open = guest_on_open,
        .on_message = guest_on_message,
        .on_close = guest_on_close,
        .ctx = own,
    };

    snprintf(full, sizeof full, "ws://%s:%u/ws?a=b", host, kt_http_server_port(at->http));
    if (kt_ws_connect(at->loop, &options, &own->client, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

static void a_client_talks_to_a_server(void **state)
{
    static char large[300000];
    house *own = house_open((kt_ws_server_options){ .origins = "http://good" });
    visitor guest = { 0 };

    memset(large, 'x', sizeof large);
    guest_connect(own, &guest, "127.0.0.1");
    TURN_UNTIL(own->loop, guest.opened == 1);
    kt_ws_conn *conn = kt_ws_client_conn(guest.client);
    assert_non_null(conn);
    assert_int_equal(kt_ws_send(conn, KT_WS_TEXT, "hello", 5), KT_OK);
    assert_int_equal(kt_ws_send(conn, KT_WS_PING, "hello", 5), KT_ARG);
    assert_int_equal(kt_ws_ping(conn, "are you there", 13), KT_OK);
    TURN_UNTIL(own->loop, guest.messages == 1);
    assert_string_equal(guest.text, "hello");
    assert_int_equal(kt_ws_send(conn, KT_WS_BINARY, large, sizeof large), KT_OK);
    TURN_UNTIL(own->loop, guest.messages == 2);
    assert_int_equal(guest.size, sizeof large + 5);
    kt_ws_close(conn, KT_WS_CLOSE_NORMAL, KT_TEXT("done"));
    assert_int_equal(kt_ws_send(conn, KT_WS_TEXT, "hello", 5), KT_NOENT);
    assert_false(kt_ws_is_open(conn));
    TURN_UNTIL(own->loop, guest.closed == 1 && own->closed == 1);
    assert_int_equal(own->close_code, KT_WS_CLOSE_NORMAL);
    assert_string_equal(own->reason, "done");
    assert_int_equal(guest.close_code, KT_WS_CLOSE_NORMAL);
    assert_string_equal(guest.reason, "done");
    assert_null(kt_ws_client_conn(guest.client));
    kt_ws_client_free(guest.client);
    house_close(own);
}

static void guest_on_drain(void *ctx, kt_ws_conn *conn)
{
    ((visitor *)ctx)->drained++;
}

static void a_client_hears_when_what_it_sent_has_gone(void **state)
{
    static char large[300000];
    house *own = house_open((kt_ws_server_options){ 0 });
    visitor guest = { 0 };
    char url[64];
    kt_ws_client_options options = { .url = url,
        .on_open = guest_on_open,
        .on_message = guest_on_message,
        .on_drain = guest_on_drain,
        .on_close = guest_on_close,
        .ctx = &guest };

    snprintf(url, sizeof url, "ws://127.0.0.1:%u/ws", kt_http_server_port(own->http));
    assert_int_equal(kt_ws_connect(own->loop, &options, &guest.client, NULL), KT_OK);
    TURN_UNTIL(own->loop, guest.opened == 1);
    kt_ws_conn *conn = kt_ws_client_conn(guest.client);
    assert_int_equal(kt_ws_send(conn, KT_WS_BINARY, large, sizeof large), KT_OK);
    kt_ws_drain_mark(conn, 0);
    assert_int_equal(guest.drained, 0);
    TURN_UNTIL(own->loop, guest.drained == 1);
    assert_int_equal(kt_ws_pending(conn), 0);
    kt_ws_client_free(guest.client);
    TURN_UNTIL(own->loop, own->closed == 1);
    house_close(own);
}

static void a_server_closes_with_code_and_reason(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    visitor guest = { .free_on_close = true };

    own->close_first = true;
    guest_connect(own, &guest, "localhost"); /* by name: through the thread */
    TURN_UNTIL(own->loop, guest.opened == 1);
    kt_ws_send(kt_ws_client_conn(guest.client), KT_WS_TEXT, "a", 1);
    TURN_UNTIL(own->loop, guest.closed == 1 && own->closed == 1);
    assert_int_equal(guest.messages, 1); /* what was queued before the close goes out before it */
    assert_int_equal(guest.close_code, 4001);
    assert_string_equal(guest.reason, "enough");
    assert_int_equal(own->close_code, 4001);
    assert_string_equal(own->reason, "enough");
    house_close(own);
}

static void a_client_may_be_freed_anywhere(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    visitor at_once = { 0 }, by_name = { 0 }, on_open = { .free_on_open = true },
            on_message = { .free_on_message = true };

    guest_connect(own, &at_once, "127.0.0.1");
    kt_ws_client_free(at_once.client);
    guest_connect(own, &by_name, "localhost");
    kt_ws_client_free(by_name.client);
    guest_connect(own, &on_open, "127.0.0.1");
    TURN_UNTIL(own->loop, on_open.opened == 1 && own->closed == 1);
    guest_connect(own, &on_message, "127.0.0.1");
    TURN_UNTIL(own->loop, on_message.opened == 1);
    kt_ws_send(kt_ws_client_conn(on_message.client), KT_WS_TEXT, "a", 1);
    kt_ws_send(kt_ws_client_conn(on_message.client), KT_WS_TEXT, "b", 1);
    TURN_UNTIL(own->loop, on_message.messages == 1 && own->closed == 2);
    assert_int_equal(at_once.opened + by_name.opened, 0);
    assert_int_equal(on_message.messages, 1);
    assert_int_equal(at_once.closed + by_name.closed + on_open.closed + on_message.closed, 0);
    kt_ws_client_free(NULL);
    house_close(own);
}

/* A listener that answers a handshake with whatever the row says. */
static const struct {
    const char *name;
    const char *answer; /* NULL: closes at once; # stands for what belongs to the client's key */
    const char *reason; /* part of it */
} answer_rows[] = {
    { "closes at once", NULL, "ended during the WebSocket handshake" },
    { "not HTTP", "hello\r\n\r\n", "does not begin with HTTP/1.1" },
    { "404", "HTTP/1.1 404 Not Found\r\n\r\n", "answered 404 Not Found" },
    { "no upgrade", "HTTP/1.1 101 x\r\n\r\n", "does not upgrade" },
    { "no accept", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "Sec-WebSocket-Accept" },
    { "another accept",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "Sec-WebSocket-Accept" },
    { "a subprotocol that nobody offered",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Accept: #\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        "a subprotocol that was not offered" },
    { "bare LF", "HTTP/1.1 101 x\nUpgrade: websocket\n\n", "bare LF" },
    { "slow", "HTTP/1.1 101", "no connection within 10000 ms" },
};

/* The row's answer to this request. */
static const char *answer_of(const char *answer, const char *request)
{
    static char expanded[512];
    char accept_key[KT_WS_ACCEPT_SIZE + 1];
    const char *mark = strchr(answer, '#'), *key = strstr(request, "Sec-WebSocket-Key: ");

    assert_non_null(key);
    key += strlen("Sec-WebSocket-Key: ");
    kt_ws_accept_key((kt_text){ key, strcspn(key, "\r") }, accept_key);
    if (mark == NULL)
        return answer;
    snprintf(expanded, sizeof expanded, "%.*s%s%s", (int)(mark - answer), answer, accept_key, mark + 1);
    return expanded;
}

static void a_client_checks_the_answer(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char url[64];

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", ntohs(address.sin_port));
    for (size_t i = 0; i < KT_COUNT(answer_rows); i++) {
        visitor guest = { 0 };
        kt_ws_client_options options = {
            .url = url, .on_open = guest_on_open, .on_close = guest_on_close, .ctx = &guest
        };
        assert_int_equal(kt_ws_connect(own->loop, &options, &guest.client, NULL), KT_OK);
        for (int turn = 0; turn < 5; turn++)
            assert_int_equal(kt_loop_turn(own->loop, 1000000, NULL), KT_OK);
        int fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        if (answer_rows[i].answer != NULL) {
            client_read(own->loop, fd, own->buf, sizeof own->buf, "\r\n\r\n");
            KT_ROW(answer_rows[i].name, strncmp(own->buf, "GET / HTTP/1.1\r\nHost: 127.0.0.1:", 32) == 0);
            const char *answer = answer_of(answer_rows[i].answer, own->buf);
            client_send(own->loop, fd, answer, strlen(answer), 1);
        } else {
            close(fd);
        }
        if (strcmp(answer_rows[i].name, "slow") == 0)
            own->clock_ns += INT64_C(10001000000);
        TURN_UNTIL(own->loop, guest.closed == 1);
        KT_ROW(answer_rows[i].name, guest.close_code == 0);
        if (strstr(guest.reason, answer_rows[i].reason) == NULL)
            fail_msg("row \"%s\": %s", answer_rows[i].name, guest.reason);
        KT_ROW(answer_rows[i].name, strncmp(guest.reason, "127.0.0.1:", 10) == 0);
        kt_ws_client_free(guest.client);
        if (answer_rows[i].answer != NULL)
            close(fd);
    }
    close(listener);

    /* A name of more letters than one may have is nobody's. */
    visitor nobody = { 0 };
    static const char no_host[] =
        "ws://0123456789012345678901234567890123456789012345678901234567890123456789.invalid/";
    kt_ws_client_options to_nobody = {
        .url = no_host, .on_open = guest_on_open, .on_close = guest_on_close, .ctx = &nobody
    };
    assert_int_equal(kt_ws_connect(own->loop, &to_nobody, &nobody.client, NULL), KT_OK);
    TURN_UNTIL(own->loop, nobody.closed == 1);
    assert_memory_equal(nobody.reason, "0123456789", 10);
    assert_int_equal(nobody.opened, 0);
    kt_ws_client_free(nobody.client);

    /* Nobody listens there any more. */
    visitor guest = { 0 };
    kt_ws_client_options options = { .url = url, .on_open = guest_on_open, .on_close = guest_on_close, .ctx = &guest };
    assert_int_equal(kt_ws_connect(own->loop, &options, &guest.client, NULL), KT_OK);
    TURN_UNTIL(own->loop, guest.closed == 1);
    assert_non_null(strstr(guest.reason, "Connection refused"));
    kt_ws_client_free(guest.client);

    house_close(own);
}

static void what_a_client_can_not_ask_for_is_refused_at_once(void **state)
{
    static char large[20000];
    memset(large, 'v', sizeof large - 1);
    const kt_http_field two_lines = { KT_TEXT("X-Key"), KT_TEXT("a\r\nHost: b") },
                        wide = { KT_TEXT("X"), kt_text_of(large) };
    const struct {
        const char *name;
        const char *url;
        const kt_http_field *field;
        uint32_t out_max;
        kt_code code;
        const char *told;
    } rows[] = {
        { "no URL", "127.0.0.1", NULL, 0, KT_SYNTAX, "127.0.0.1" },
        { "a URL of HTTP", "http://127.0.0.1/", NULL, 0, KT_ARG, "needs ws:// or wss://" },
        { "TLS without authorities", "wss://127.0.0.1/", NULL, 0, KT_ARG, "wss://127.0.0.1/" },
        { "a header of two lines", "ws://127.0.0.1/", &two_lines, 0, KT_ARG, "'X-Key' has a line end" },
        { "headers beyond the request's size", "ws://127.0.0.1/", &wide, 0, KT_ARG, "larger than" },
        { "a queue beyond the largest block", "ws://127.0.0.1/", NULL, UINT32_MAX, KT_ARG, "at most" },
    };
    house *own = house_open((kt_ws_server_options){ 0 });

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ws_client *client = NULL;
        kt_err err = { 0 };
        kt_ws_client_options options = { .url = rows[i].url,
            .fields = rows[i].field,
            .field_count = rows[i].field != NULL,
            .out_max = rows[i].out_max,
            .on_open = guest_on_open,
            .on_close = guest_on_close };
        KT_ROW(rows[i].name, kt_ws_connect(own->loop, &options, &client, &err) == rows[i].code);
        KT_ROW(rows[i].name, client == NULL);
        if (strstr(err.msg, rows[i].told) == NULL)
            fail_msg("row \"%s\": %s", rows[i].name, err.msg);
    }
    house_close(own);
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static void what_is_queued_in_a_turn_leaves_together(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    uint8_t bytes[64];
    size_t header = kt_ws_header(bytes, KT_WS_TEXT, true, 6, NULL);
    int fd = raw_open(own);

    memcpy(bytes + header, "seq=  ", 6);
    for (int i = 0; i < 10; i++) {
        bytes[header + 4] = (uint8_t)('0' + i);
        assert_int_equal(kt_ws_send_frame(own->last, bytes, header + 6), KT_OK);
    }
    assert_int_equal(kt_ws_pending(own->last), 10 * (header + 6));
    assert_int_equal(recv(fd, own->buf, sizeof own->buf, MSG_DONTWAIT), -1);
    assert_int_equal(kt_loop_turn(own->loop, 0, NULL), KT_OK);
    assert_int_equal(kt_ws_pending(own->last), 0);
    ssize_t got = recv(fd, own->buf, sizeof own->buf, 0);
    assert_int_equal(got, 10 * (header + 6));
    assert_memory_equal(own->buf + 9 * (header + 6) + header, "seq=9 ", 6);
    /* Or at once, when the caller says so; then the flush phase has nothing left to do. */
    assert_int_equal(kt_ws_send_frame(own->last, bytes, header + 6), KT_OK);
    kt_ws_write_now(own->last);
    assert_int_equal(kt_ws_pending(own->last), 0);
    assert_int_equal(recv(fd, own->buf, sizeof own->buf, 0), header + 6);
    kt_ws_write_now(own->last);
    assert_int_equal(kt_loop_turn(own->loop, 0, NULL), KT_OK);
    assert_int_equal(recv(fd, own->buf, sizeof own->buf, MSG_DONTWAIT), -1);
    close(fd);
    house_close(own);
}

/* Byte i of frame number n is (n + i) modulo 251. */
static void take_counted(house *own, int fd, size_t frame_size, size_t header, size_t frames)
{
    for (size_t number = 0; number < frames; number++) {
        assert_int_equal(client_read(own->loop, fd, own->buf, frame_size + 1, NULL), frame_size);
        for (size_t i = header; i < frame_size; i++)
            if ((uint8_t)own->buf[i] != (number + i) % 251)
                fail_msg("frame %zu, byte %zu: %u", number, i, (uint8_t)own->buf[i]);
    }
}

static void frames_of_many_leave_from_where_they_lie(void **state)
{
    static uint8_t bytes[10004];
    house *own = house_open((kt_ws_server_options){ .out_max = 100000 });
    size_t header = kt_ws_header(bytes, KT_WS_BINARY, true, sizeof bytes - 4, NULL), sent = 0;
    kt_code code = KT_OK;
    int fd = raw_open(own);

    assert_int_equal(header, 4);
    assert_int_equal(kt_ws_send_now(own->last, bytes, sizeof bytes), KT_OK);
    assert_int_equal(kt_ws_pending(own->last), 0);
    assert_int_equal(recv(fd, own->buf, sizeof bytes, MSG_WAITALL), sizeof bytes);
    /* What waits goes first, and with it. */
    kt_ws_send(own->last, KT_WS_TEXT, "first", 5);
    assert_int_equal(kt_ws_send_now(own->last, bytes, 4), KT_OK);
    assert_int_equal(recv(fd, own->buf, sizeof own->buf, 0), 2 + 5 + 4);
    assert_memory_equal(own->buf + 2, "first", 5);
    assert_memory_equal(own->buf + 7, bytes, 4);
    /* What the kernel does not take is kept, up to the bound; the caller's bytes are its own again at once. */
    while (code == KT_OK) {
        for (size_t i = header; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((sent + i) % 251);
        code = kt_ws_send_now(own->last, bytes, sizeof bytes);
        sent += code == KT_OK;
        assert_true(kt_ws_pending(own->last) <= 100000);
    }
    assert_int_equal(code, KT_FULL);
    assert_true(kt_ws_pending(own->last) > 100000 - sizeof bytes);
    take_counted(own, fd, sizeof bytes, header, sent);
    /* Larger than the bound: refused, also when the kernel might take it. */
    assert_int_equal(kt_ws_send_now(own->last, own->buf, 100001), KT_FULL);
    /* A peer that has gone is found by the write; its end is told as ever. */
    close(fd);
    for (code = KT_OK; code == KT_OK;)
        code = kt_ws_send_now(own->last, bytes, sizeof bytes);
    assert_int_equal(code, KT_NOENT);
    assert_int_equal(own->closed, 0);
    TURN_UNTIL(own->loop, own->closed == 1);
    assert_int_equal(own->close_code, KT_WS_CLOSE_ABNORMAL);
    house_close(own);
}

static void a_client_that_takes_nothing_is_bounded(void **state)
{
    static char message[10000];
    house *own = house_open((kt_ws_server_options){ .out_max = 100000 });
    kt_code code = KT_OK;
    size_t most = 0, sent = 0, total = 0;
    int fd = raw_open(own);

    while (code == KT_OK) {
        code = kt_ws_send(own->last, KT_WS_BINARY, message, sizeof message);
        sent += code == KT_OK;
        most = kt_ws_pending(own->last) > most ? kt_ws_pending(own->last) : most;
        if (kt_ws_room(own->last) < sizeof message + 4)
            kt_loop_turn(own->loop, 0, NULL);
    }
    assert_int_equal(code, KT_FULL);
    assert_true(most <= 100000);
    assert_int_equal(own->drained, 0);
    kt_ws_drain_mark(own->last, 20000);
    kt_loop_turn(own->loop, 0, NULL);
    assert_int_equal(own->drained, 0);
    while (own->drained == 0) {
        size_t got = client_read(own->loop, fd, own->buf, 5000, NULL);
        total += got;
    }
    assert_true(kt_ws_pending(own->last) <= 20000);
    /* Full again: the reserve behind it takes the close frame. */
    while (kt_ws_send(own->last, KT_WS_BINARY, message, sizeof message) == KT_OK)
        sent++;
    kt_ws_close(own->last, KT_WS_CLOSE_POLICY, KT_TEXT("too slow"));
    uint8_t reply[16];
    size_t expected = sent * (sizeof message + 4) + 4 + 8;
    while (total < expected)
        total += client_read(
            own->loop, fd, own->buf, expected - total + 1 < BUF_SIZE ? expected - total + 1 : BUF_SIZE, NULL);
    client_send(own->loop, fd, reply, frame_build(&(frame)CLOSE, reply), 0);
    assert_int_equal(client_read(own->loop, fd, own->buf, sizeof own->buf, NULL), 0);
    TURN_UNTIL(own->loop, own->closed == 1);
    assert_int_equal(own->close_code, KT_WS_CLOSE_POLICY);
    close(fd);
    house_close(own);
}

static void a_peer_that_does_not_close_is_dropped_in_time(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    int fd = raw_open(own);

    kt_ws_close(own->last, 4000, KT_TEXT("silent"));
    kt_ws_close(own->last, 4002, KT_TEXT("again"));
    for (int turn = 0; turn < 5; turn++)
        kt_loop_turn(own->loop, 1000000, NULL);
    assert_int_equal(own->closed, 0);
    own->clock_ns += INT64_C(2001000000);
    TURN_UNTIL(own->loop, own->closed == 1);
    assert_int_equal(own->close_code, 4000);
    assert_string_equal(own->reason, "silent");
    size_t got = client_read(own->loop, fd, own->buf, sizeof own->buf, NULL);
    assert_int_equal(got, 2 + 2 + 6); /* one close frame */
    close(fd);
    house_close(own);
}

static void any_byte_is_a_sign_of_life(void **state)
{
    house *own = house_open((kt_ws_server_options){ 0 });
    uint8_t ping[16];
    int fd = raw_open(own);
    int64_t opened_ns = kt_ws_heard_ns(own->last);
    char peer[64];

    own->clock_ns += 5000;
    size_t size = frame_build(&(frame){ FIN | KT_WS_PONG, "", 0, 0 }, ping);
    client_send(own->loop, fd, ping, size, 0);
    TURN_UNTIL(own->loop, kt_ws_heard_ns(own->last) == opened_ns + 5000);
    kt_ws_peer(own->last, peer, sizeof peer);
    assert_int_equal(strncmp(peer, "127.0.0.1:", 10), 0);
    kt_ws_drop(own->last, "tested");
    TURN_UNTIL(own->loop, own->closed == 1);
    assert_int_equal(own->close_code, KT_WS_CLOSE_ABNORMAL);
    assert_string_equal(own->reason, "tested");
    close(fd);
    house_close(own);
}

static void all_are_closed_in_order_at_the_end(void **state)
{
    house *own = house_open((kt_ws_server_options){ .conn_max = 3 });
    visitor guests[3] = { 0 }, late = { 0 };

    for (int i = 0; i < 3; i++) {
        guest_connect(own, &guests[i], "127.0.0.1");
        TURN_UNTIL(own->loop, guests[i].opened == 1);
    }
    guest_connect(own, &late, "127.0.0.1");
    TURN_UNTIL(own->loop, late.closed == 1);
    assert_non_null(strstr(late.reason, "answered 503"));
    kt_http_server_stop_accepting(own->http);
    int walked = 0;
    for (kt_ws_conn *conn = kt_ws_server_next(own->ws, NULL); conn != NULL; conn = kt_ws_server_next(own->ws, conn))
        walked++;
    assert_int_equal(walked, 3);
    kt_ws_server_close_all(own->ws, KT_WS_CLOSE_GOING_AWAY, KT_TEXT("the house closes"));
    TURN_UNTIL(own->loop, kt_ws_server_count(own->ws) == 0);
    TURN_UNTIL(own->loop, guests[0].closed + guests[1].closed + guests[2].closed == 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guests[i].close_code, KT_WS_CLOSE_GOING_AWAY);
        assert_string_equal(guests[i].reason, "the house closes");
        kt_ws_client_free(guests[i].client);
    }
    kt_ws_client_free(late.client);
    house_close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_answered_as_the_protocol_says),
        cmocka_unit_test(large_messages_come_back_whole),
        cmocka_unit_test(compressed_messages_are_bounded_and_checked),
        KT_TEST_RECORDED(every_recorded_autobahn_case_has_its_row, "websocket/autobahn_cases.json"),
        cmocka_unit_test(handshakes_are_checked),
        cmocka_unit_test(frames_may_come_with_the_handshake),
        cmocka_unit_test(a_client_talks_to_a_server),
        cmocka_unit_test(a_client_hears_when_what_it_sent_has_gone),
        cmocka_unit_test(a_server_closes_with_code_and_reason),
        cmocka_unit_test(a_client_may_be_freed_anywhere),
        cmocka_unit_test(a_client_checks_the_answer),
        cmocka_unit_test(what_a_client_can_not_ask_for_is_refused_at_once),
        cmocka_unit_test(what_is_queued_in_a_turn_leaves_together),
        cmocka_unit_test(frames_of_many_leave_from_where_they_lie),
        cmocka_unit_test(a_client_that_takes_nothing_is_bounded),
        cmocka_unit_test(a_peer_that_does_not_close_is_dropped_in_time),
        cmocka_unit_test(any_byte_is_a_sign_of_life),
        cmocka_unit_test(all_are_closed_in_order_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
