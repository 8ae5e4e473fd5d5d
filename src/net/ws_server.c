#include "net/ws_server.h"

#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kt_ws_server {
    kt_ws_setup setup;
    kt_ws_server_options options;
};

kt_code kt_ws_server_new(kt_loop *loop, const kt_ws_server_options *options, kt_ws_server **out_server, kt_err *err)
{
    kt_ws_server *server = calloc(1, sizeof *server);
    kt_code code = KT_OK;

    if (server == NULL)
        return kt_fail(err, KT_SYS, "cannot make a WebSocket server");
    server->options = *options;
    if (options->conn_max == 0)
        server->options.conn_max = KT_HTTP_CONN_MAX_DEFAULT;
    server->setup = (kt_ws_setup){
        .loop = loop,
        .handlers = options->handlers,
        .role = KT_WS_SERVER,
        .deflate = options->deflate,
        .message_max = options->message_max,
        .out_max = options->out_max,
        .close_time_ms = options->close_time_ms,
    };
    code = kt_ws_setup_init(&server->setup, options->pool_max != 0 ? options->pool_max : KT_HTTP_POOL_MAX_DEFAULT, err);
    if (code != KT_OK) {
        kt_ws_server_free(server);
        return code;
    }
    *out_server = server;
    return KT_OK;
}

void kt_ws_server_free(kt_ws_server *server)
{
    if (server == NULL)
        return;
    kt_ws_setup_done(&server->setup);
    free(server);
}

void kt_ws_server_close_all(kt_ws_server *server, uint16_t code, kt_text reason)
{
    for (kt_ws_conn *conn = server->setup.first; conn != NULL; conn = kt_ws_conn_next(conn))
        kt_ws_close(conn, code, reason);
}

void kt_ws_server_limit(kt_ws_server *server, uint32_t conn_max)
{
    server->options.conn_max = conn_max;
}

uint32_t kt_ws_server_count(const kt_ws_server *server)
{
    return server->setup.count;
}

kt_deflater *kt_ws_server_deflater(const kt_ws_server *server)
{
    return server->setup.deflater;
}

kt_ws_conn *kt_ws_server_next(const kt_ws_server *server, const kt_ws_conn *conn)
{
    return conn != NULL ? kt_ws_conn_next(conn) : server->setup.first;
}

/* --- the handshake ---------------------------------------------------------------------------------------------- */

static bool word_in(const char *words, kt_text word)
{
    size_t size = 0;

    for (const char *at = words; *at != 0; at += size + (at[size] == ' ')) {
        size = strcspn(at, " ");
        if (kt_text_equal((kt_text){ at, size }, word))
            return true;
    }
    return false;
}

static bool is_key(kt_text key)
{
    for (size_t i = 0; i + 2 < key.n; i++) {
        char c = key.s[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return key.n == KT_WS_KEY_SIZE && key.s[22] == '=' && key.s[23] == '=';
}

typedef struct fault {
    uint16_t status; /* 0: none */
    const char *why;
} fault;

/* RFC 6455 4.2.1. */
static fault handshake_check(const kt_ws_server *server, const kt_http_request *request, kt_text *out_key)
{
    const kt_http_field *fields = request->fields;
    uint32_t count = request->field_count;
    kt_text value = { 0 };

    if (request->method != KT_HTTP_GET)
        return (fault){ 405, "a WebSocket handshake is a GET" };
    if (!request->upgrade || !kt_http_field_has_token(fields, count, KT_TEXT("Upgrade"), KT_TEXT("websocket")))
        return (fault){ 426, "this address speaks WebSocket only: send Connection: Upgrade and Upgrade: websocket" };
    if (request->content_length > 0 || request->chunked)
        return (fault){ 400, "a WebSocket handshake has no body" };
    if (kt_http_field_count(fields, count, KT_TEXT("Sec-WebSocket-Version")) != 1 ||
        !kt_http_field_get(fields, count, KT_TEXT("Sec-WebSocket-Version"), &value) ||
        !kt_text_equal(value, KT_TEXT("13")))
        return (fault){ 426, "the WebSocket version spoken here is 13" };
    if (kt_http_field_count(fields, count, KT_TEXT("Sec-WebSocket-Key")) != 1 ||
        !kt_http_field_get(fields, count, KT_TEXT("Sec-WebSocket-Key"), out_key) || !is_key(*out_key))
        return (fault){ 400, "Sec-WebSocket-Key must be given once: 16 bytes in base64" };
    if (server->options.origins != NULL && kt_http_field_get(fields, count, KT_TEXT("Origin"), &value) &&
        !word_in(server->options.origins, value))
        return (fault){ 403, "pages from this Origin may not connect" };
    if (server->setup.count >= server->options.conn_max)
        return (fault){ 503, "too many WebSocket connections; try again later" };
    return (fault){ 0 };
}

static void handshake_refuse(kt_http_server *http, uint64_t exchange, fault refused)
{
    static const kt_http_field version[] = {
        { { "Sec-WebSocket-Version", 21 }, { "13", 2 } },
        { { "Upgrade", 7 }, { "websocket", 9 } },
    };
    static const kt_http_field allow[] = { { { "Allow", 5 }, { "GET", 3 } } };
    char body[256];
    int size = snprintf(body, sizeof body, "{\"statusCode\":%u,\"error\":\"%s\",\"message\":\"%s\"}", refused.status,
        kt_http_status_text(refused.status), refused.why);
    kt_http_response response = { .status = refused.status, .body = { body, (size_t)size } };

    if (refused.status == 426) {
        response.fields = version;
        response.field_count = KT_COUNT(version);
    } else if (refused.status == 405) {
        response.fields = allow;
        response.field_count = KT_COUNT(allow);
    }
    (void)kt_http_respond(http, exchange, &response); /* the client may have gone, and then nobody is to be told */
}

kt_ws_conn *kt_ws_accept(
    kt_ws_server *server, kt_http_server *http, uint64_t exchange, const kt_http_request *request, void *ctx)
{
    const char *protocol = server->options.subprotocol;
    kt_http_takeover taken;
    kt_ws_conn *conn = NULL;
    kt_text key = { 0 };
    char accept[KT_WS_ACCEPT_SIZE + 1];
    char answer[512];
    fault refused = handshake_check(server, request, &key);

    if (refused.status != 0) {
        handshake_refuse(http, exchange, refused);
        return NULL;
    }
    bool named = protocol != NULL && kt_http_field_has_token(request->fields, request->field_count,
                                         KT_TEXT("Sec-WebSocket-Protocol"), kt_text_of(protocol));
    const char *deflate = server->options.deflate ? kt_deflate_answer(request->fields, request->field_count) : NULL;
    kt_ws_accept_key(key, accept);
    int size = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s%.200s%s%s%s%s\r\n",
        accept, named ? "Sec-WebSocket-Protocol: " : "", named ? protocol : "", named ? "\r\n" : "",
        deflate != NULL ? "Sec-WebSocket-Extensions: " : "", deflate != NULL ? deflate : "",
        deflate != NULL ? "\r\n" : "");
    if (kt_http_take_over(http, exchange, &taken) != KT_OK)
        return NULL;
    conn = kt_ws_conn_new(&server->setup, &taken.stream, taken.input, taken.input_size, ctx);
    if (conn != NULL && deflate != NULL)
        kt_ws_conn_deflate(conn);
    size_t before = kt_queue_size(&taken.output);
    if (conn != NULL &&
        ((before > 0 && kt_ws_conn_put_raw(conn, taken.output.data + taken.output.at, before) != KT_OK) ||
            kt_ws_conn_put_raw(conn, answer, (size_t)size) != KT_OK)) {
        kt_ws_conn_discard(conn);
        conn = NULL;
    }
    kt_queue_clear(&taken.output, kt_http_server_pool(http));
    return conn;
}
