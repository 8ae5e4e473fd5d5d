#include "net/ws_client.h"

#include "base/assert.h"
#include "net/net.h"
#include "net/url.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NS_PER_MS = 1000000,
    REQUEST_SIZE_MAX = KT_HTTP_HEAD_MAX,
    ANSWER_ROOM = KT_HTTP_HEAD_MAX + KT_STREAM_READ_MIN,
    ERROR_SIZE = 256,
    KEY_BYTES = 16,
};

struct kt_ws_client {
    kt_ws_setup setup;
    kt_ws_client_options options;
    kt_resolve *resolve; /* while the name is looked up */
    kt_stream stream;    /* while connecting and shaking hands */
    kt_watch watch;
    kt_flush flush; /* tells of a failure outside of every other call */
    kt_timer timer; /* connect_time_ms */
    kt_address addresses[KT_RESOLVE_ADDRESS_MAX];
    uint32_t address_count;
    uint32_t address_next;
    char *request;
    uint32_t request_size;
    uint32_t request_sent;
    char *answer; /* ANSWER_ROOM bytes, while shaking hands */
    uint32_t answer_size;
    kt_http_scan scan;
    char key[KT_WS_KEY_SIZE + 1];
    char *subprotocol;
    kt_ws_conn *conn;               /* once open */
    int busy;                       /* inside a callback of the user */
    bool freed;                     /* kt_ws_client_free was called there */
    bool connected;                 /* of the socket in `stream` */
    bool deflate;                   /* agreed */
    bool secure;                    /* wss:// */
    char host[KT_URL_HOST_MAX + 8]; /* with the port, and brackets around IPv6 */
    char name[KT_URL_HOST_MAX + 1]; /* that the certificate must have */
    char error[ERROR_SIZE];
};

static void destroy(kt_ws_client *client)
{
    kt_loop *loop = client->setup.loop;

    kt_resolve_cancel(client->resolve);
    kt_loop_unwatch(loop, &client->watch);
    kt_loop_unflush(loop, &client->flush);
    kt_timer_cancel(loop, &client->timer);
    kt_stream_close(&client->stream);
    kt_ws_setup_done(&client->setup);
    free(client->request);
    free(client->answer);
    free(client->subprotocol);
    free(client);
}

void kt_ws_client_free(kt_ws_client *client)
{
    if (client == NULL || client->freed)
        return;
    if (client->busy == 0) {
        destroy(client);
        return;
    }
    client->freed = true;
    if (client->conn != NULL)
        kt_ws_drop(client->conn, "the client was freed");
}

/* --- the open connection ---------------------------------------------------------------------------------------- */

static void conn_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    kt_ws_client *client = ctx;

    client->busy++;
    client->options.on_message(client->options.ctx, conn, opcode, payload, size);
    client->busy--;
}

static void conn_on_drain(void *ctx, kt_ws_conn *conn)
{
    kt_ws_client *client = ctx;

    client->busy++;
    if (client->options.on_drain != NULL)
        client->options.on_drain(client->options.ctx, conn);
    client->busy--;
}

/* The last that is told of a client, freed meanwhile or not. */
static void tell_closed(kt_ws_client *client, uint16_t code, kt_text reason)
{
    client->busy++;
    if (!client->freed)
        client->options.on_close(client->options.ctx, code, reason);
    client->busy--;
    if (client->freed)
        destroy(client);
}

static void conn_on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    kt_ws_client *client = ctx;

    client->conn = NULL;
    tell_closed(client, code, reason);
}

/* --- connecting ------------------------------------------------------------------------------------------------- */

static void stop_connecting(kt_ws_client *client)
{
    kt_loop_unwatch(client->setup.loop, &client->watch);
    kt_timer_cancel(client->setup.loop, &client->timer);
    kt_stream_close(&client->stream);
    kt_resolve_cancel(client->resolve);
    client->resolve = NULL;
}

static void attempt_failed(kt_ws_client *client, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void attempt_failed(kt_ws_client *client, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(client->error, sizeof client->error, fmt, args);
    va_end(args);
    stop_connecting(client);
    kt_loop_flush(client->setup.loop, &client->flush);
}

static void on_flush(kt_flush *flush)
{
    kt_ws_client *client = flush->ctx;

    tell_closed(client, 0, kt_text_of(client->error));
}

static void on_connect_time_over(kt_timer *timer)
{
    kt_ws_client *client = timer->ctx;

    attempt_failed(client, "%s: no connection within %u ms", client->host, client->options.connect_time_ms);
}

/* What is wrong with the server's answer; NULL: nothing. */
static const char *answer_fault(kt_ws_client *client, const kt_http_response_head *head)
{
    const kt_http_field *fields = head->fields;
    uint32_t count = head->field_count;
    char accept[KT_WS_ACCEPT_SIZE + 1];
    kt_text value = { 0 };

    kt_ws_accept_key(kt_text_of(client->key), accept);
    if (!kt_http_field_has_token(fields, count, KT_TEXT("Upgrade"), KT_TEXT("websocket")) ||
        !kt_http_field_has_token(fields, count, KT_TEXT("Connection"), KT_TEXT("upgrade")))
        return "the answer does not upgrade to WebSocket";
    if (kt_http_field_count(fields, count, KT_TEXT("Sec-WebSocket-Accept")) != 1 ||
        !kt_http_field_get(fields, count, KT_TEXT("Sec-WebSocket-Accept"), &value) ||
        !kt_text_equal(value, kt_text_of(accept)))
        return "Sec-WebSocket-Accept is not the one for our key: not a WebSocket server, or an old answer";
    kt_code deflate = kt_deflate_agreed(fields, count);
    if (deflate != KT_EMPTY && !client->options.deflate)
        return "the server uses an extension that was not offered";
    if (deflate == KT_SYNTAX)
        return "the server answers other terms of compression than were offered";
    client->deflate = deflate == KT_OK;
    if (kt_http_field_get(fields, count, KT_TEXT("Sec-WebSocket-Protocol"), &value) &&
        (client->subprotocol == NULL || !kt_text_equal(value, kt_text_of(client->subprotocol))))
        return "the server speaks a subprotocol that was not offered";
    return NULL;
}

static void open_up(kt_ws_client *client, const void *rest, size_t rest_size)
{
    kt_stream stream = client->stream;

    client->stream = (kt_stream){ .fd = -1 };
    kt_loop_unwatch(client->setup.loop, &client->watch);
    kt_timer_cancel(client->setup.loop, &client->timer);
    client->conn = kt_ws_conn_new(&client->setup, &stream, rest, rest_size, client);
    free(client->answer);
    client->answer = NULL;
    if (client->conn == NULL) {
        attempt_failed(client, "%s: no memory for the connection", client->host);
        return;
    }
    if (client->deflate)
        kt_ws_conn_deflate(client->conn);
    client->busy++;
    client->options.on_open(client->options.ctx, client->conn);
    client->busy--;
    /* Freed meanwhile: the connection was dropped, and its on_close takes the client along. */
}

static void handshake_ended(kt_ws_client *client, ssize_t result)
{
    if (client->secure && result == KT_STREAM_ERROR)
        attempt_failed(client, "%s: %s", client->host, kt_stream_fault(&client->stream));
    else
        attempt_failed(client, "%s: connection ended during the WebSocket handshake", client->host);
}

static void answer_read(kt_ws_client *client)
{
    kt_http_response_head head;
    kt_http_error error;
    size_t used = 0;
    size_t room = ANSWER_ROOM - client->answer_size; /* a head of more than KT_HTTP_HEAD_MAX has been refused */
    ssize_t got = kt_stream_read(&client->stream, client->answer + client->answer_size, room);

    if (got < 0) {
        handshake_ended(client, got);
        return;
    }
    client->answer_size += (uint32_t)got;
    kt_text answer = { client->answer, client->answer_size };
    kt_code code = kt_http_parse_response(&client->scan, answer, &head, &used, &error);
    if (code == KT_EMPTY)
        return;
    const char *fault = code != KT_OK ? error.why : NULL;
    if (fault == NULL && head.status == 101)
        fault = answer_fault(client, &head);
    if (fault != NULL)
        attempt_failed(client, "%s: %s", client->host, fault);
    else if (head.status != 101)
        attempt_failed(client, "%s: answered %u %s instead of opening a WebSocket", client->host, head.status,
            kt_http_status_text(head.status));
    else
        open_up(client, client->answer + used, client->answer_size - used);
}

static void request_write(kt_ws_client *client)
{
    uint32_t left = client->request_size - client->request_sent;
    ssize_t put = kt_stream_write(&client->stream, client->request + client->request_sent, left);

    if (put < 0) {
        handshake_ended(client, put);
        return;
    }
    client->request_sent += (uint32_t)put;
    kt_loop_watch_change(client->setup.loop, &client->watch,
        kt_stream_wants(&client->stream, (uint32_t)put == left ? KT_LOOP_READ : KT_LOOP_WRITE));
}

/* Try the addresses from address_next on until a connection is under way. */
static void connect_next(kt_ws_client *client)
{
    const kt_net *net = kt_loop_net(client->setup.loop);
    int last = 0;

    while (client->address_next < client->address_count) {
        kt_address *address = &client->addresses[client->address_next++];
        int fd = net->connect(net->ctx, address);
        if (fd < 0) {
            last = errno;
            continue;
        }
        kt_stream_plain(&client->stream, fd);
        client->watch.fd = fd;
        client->watch.events = KT_LOOP_WRITE;
        client->connected = false;
        if (kt_loop_watch(client->setup.loop, &client->watch, NULL) == KT_OK)
            return;
        last = errno;
        kt_stream_close(&client->stream);
    }
    attempt_failed(client, "%s: %s", client->host, strerror(last));
}

static void on_ready(kt_watch *watch, uint32_t ready)
{
    kt_ws_client *client = watch->ctx;
    int error = 0;
    socklen_t size = sizeof error;

    if (!client->connected) {
        if (getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
        if (error != 0 && client->address_next == client->address_count) {
            attempt_failed(client, "%s: %s", client->host, strerror(error));
            return;
        }
        if (error != 0) {
            kt_loop_unwatch(client->setup.loop, watch);
            kt_stream_close(&client->stream);
            connect_next(client);
            return;
        }
        client->connected = true;
        if (client->secure &&
            kt_tls_connect(client->options.tls, watch->fd, kt_text_of(client->name), &client->stream) != KT_OK) {
            attempt_failed(client, "%s: no memory for TLS", client->host);
            return;
        }
    }
    if (client->request_sent < client->request_size)
        request_write(client);
    else
        answer_read(client);
}

static void on_resolved(void *ctx, const kt_address *addresses, uint32_t count, const char *error)
{
    kt_ws_client *client = ctx;

    client->resolve = NULL;
    if (error != NULL) {
        attempt_failed(client, "%s: %s", client->host, error);
        return;
    }
    memcpy(client->addresses, addresses, count * sizeof *addresses);
    client->address_count = count;
    connect_next(client);
}

/* --- the beginning ---------------------------------------------------------------------------------------------- */

static kt_code request_make(kt_ws_client *client, const kt_url *url, kt_err *err)
{
    const kt_ws_client_options *options = &client->options;
    uint8_t random[KEY_BYTES];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return kt_fail(err, KT_SYS, "no random bytes for the WebSocket key");
    EVP_EncodeBlock((uint8_t *)client->key, random, sizeof random);
    kt_text host = kt_text_of(client->host);
    if (!url->port_given)
        host.n = (size_t)(strrchr(client->host, ':') - client->host);
    int start = snprintf(client->request, REQUEST_SIZE_MAX,
        "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
        "Sec-WebSocket-Version: 13\r\n%s%s%s%s",
        KT_TEXT_ARG(url->target), KT_TEXT_ARG(host), client->key,
        options->deflate ? "Sec-WebSocket-Extensions: " KT_DEFLATE_OFFER "\r\n" : "",
        client->subprotocol != NULL ? "Sec-WebSocket-Protocol: " : "",
        client->subprotocol != NULL ? client->subprotocol : "", client->subprotocol != NULL ? "\r\n" : "");
    size_t size = (size_t)start;
    for (uint32_t i = 0; i < options->field_count && size < REQUEST_SIZE_MAX; i++) {
        const kt_http_field *field = &options->fields[i];
        if (!kt_http_is_one_line(field->name) || !kt_http_is_one_line(field->value))
            return kt_fail(err, KT_ARG, "header '%.*s' has a line end in it", KT_TEXT_ARG(field->name));
        size += (size_t)snprintf(client->request + size, REQUEST_SIZE_MAX - size, "%.*s: %.*s\r\n",
            KT_TEXT_ARG(field->name), KT_TEXT_ARG(field->value));
    }
    if (size + 2 >= REQUEST_SIZE_MAX)
        return kt_fail(err, KT_ARG, "URL and headers are larger than %d bytes", REQUEST_SIZE_MAX);
    memcpy(client->request + size, "\r\n", 2);
    client->request_size = (uint32_t)size + 2;
    return KT_OK;
}

static uint64_t pool_size(const kt_ws_client_options *options)
{
    uint64_t message_max = options->message_max != 0 ? options->message_max : KT_WS_MESSAGE_MAX_DEFAULT;
    uint64_t out_max = options->out_max != 0 ? options->out_max : KT_WS_OUT_MAX_DEFAULT;

    return 4 * (message_max + out_max) + (1 << 20); /* while a queue grows it holds its old block and the new one */
}

kt_code kt_ws_connect(kt_loop *loop, const kt_ws_client_options *options, kt_ws_client **out_client, kt_err *err)
{
    kt_url url;
    kt_ws_client *client = NULL;
    kt_code code = kt_url_parse(kt_text_of(options->url), &url, err);

    if (code != KT_OK)
        return code;
    if (url.scheme != KT_URL_WS && url.scheme != KT_URL_WSS)
        return kt_fail(err, KT_ARG, "URL '%.100s': a WebSocket needs ws:// or wss://", options->url);
    if (url.scheme == KT_URL_WSS && options->tls == NULL)
        return kt_fail(
            err, KT_ARG, "URL '%.100s': wss:// needs authorities to trust, and none were given", options->url);
    client = calloc(1, sizeof *client);
    if (client == NULL)
        return kt_fail(err, KT_SYS, "no memory for a WebSocket client");
    client->options = *options;
    if (options->connect_time_ms == 0)
        client->options.connect_time_ms = KT_WS_CONNECT_TIME_DEFAULT_MS;
    client->setup = (kt_ws_setup){
        .loop = loop,
        .handlers = { conn_on_message, conn_on_drain, conn_on_close },
        .role = KT_WS_CLIENT,
        .deflate = options->deflate,
        .message_max = options->message_max,
        .out_max = options->out_max,
        .close_time_ms = options->close_time_ms,
    };
    client->stream.fd = -1;
    client->watch = (kt_watch){ on_ready, client, -1, 0, false };
    client->flush = (kt_flush){ on_flush, client, NULL, NULL };
    client->timer = (kt_timer){ on_connect_time_over, client, 0, 0 };
    client->request = malloc(REQUEST_SIZE_MAX);
    client->answer = malloc(ANSWER_ROOM);
    client->subprotocol = options->subprotocol != NULL ? strdup(options->subprotocol) : NULL;
    client->secure = url.scheme == KT_URL_WSS;
    memcpy(client->name, url.host.s, url.host.n); /* kt_url_parse allows KT_URL_HOST_MAX bytes */
    snprintf(
        client->host, sizeof client->host, url.host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", KT_TEXT_ARG(url.host), url.port);
    if (client->request == NULL || client->answer == NULL ||
        (options->subprotocol != NULL && client->subprotocol == NULL)) {
        code = kt_fail(err, KT_SYS, "no memory for a WebSocket client");
        goto out;
    }
    code = kt_ws_setup_init(&client->setup, pool_size(options), err);
    if (code != KT_OK)
        goto out;
    code = request_make(client, &url, err);
    if (code != KT_OK)
        goto out;
    code = kt_timer_set(loop, &client->timer, kt_loop_now(loop) + (int64_t)client->options.connect_time_ms * NS_PER_MS);
    if (code != KT_OK) {
        kt_fail(err, code, "no timer left for a WebSocket client");
        goto out;
    }
    code = kt_resolve_start(loop, url.host, url.port, on_resolved, client, &client->resolve, err);
    if (code != KT_OK)
        goto out;
    *out_client = client;
    client = NULL;
out:
    if (client != NULL)
        destroy(client);
    return code;
}

kt_ws_conn *kt_ws_client_conn(kt_ws_client *client)
{
    return client->conn;
}
