/* What the Autobahn suite talks to: src/net's WebSocket server and client, sending back what they hear.
 *
 *     echo server PORT plain|deflate
 *     echo client PORT plain|deflate     the suite's fuzzing server is there; runs its cases, one connection each
 */
#include "net/ws_client.h"
#include "net/ws_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_OF_CASES = 32 << 20 }; /* the largest message of the suite has 16 MiB */

static void die(const char *what, const kt_err *err)
{
    fprintf(stderr, "echo: %s: %s\n", what, err->msg);
    exit(1);
}

static void send_back(kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    kt_code code = kt_ws_send(conn, opcode, payload, size);

    if (code != KT_OK && code != KT_NOENT) {
        fprintf(stderr, "echo: %zu bytes can not be sent back\n", size);
        exit(1);
    }
}

/* --- server ------------------------------------------------------------------------------------------------------- */

static void server_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    send_back(conn, opcode, payload, size);
}

static void server_on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
}

static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    (void)kt_ws_accept(ctx, http, exchange, request, NULL);
}

static void serve(kt_loop *loop, uint16_t port, bool deflate)
{
    kt_err err = { 0 };
    kt_ws_server *ws;
    kt_http_server *http;
    const kt_ws_server_options options = { .handlers = { .on_message = server_on_message, .on_close = server_on_close },
        .deflate = deflate,
        .message_max = SIZE_MAX_OF_CASES,
        .out_max = SIZE_MAX_OF_CASES };

    if (kt_ws_server_new(loop, &options, &ws, &err) != KT_OK)
        die("server", &err);
    const kt_http_server_options http_options = {
        .host = "127.0.0.1", .port = port, .on_request = on_request, .ctx = ws
    };
    if (kt_http_server_open(loop, &http_options, &http, &err) != KT_OK)
        die("server", &err);
    if (kt_loop_run(loop, &err) != KT_OK)
        die("server", &err);
}

/* --- client ------------------------------------------------------------------------------------------------------- */

typedef struct visit {
    kt_loop *loop;
    bool tells; /* the message is the number of cases */
    int count;
    char text[16];
} visit;

static void client_on_open(void *ctx, kt_ws_conn *conn)
{
}

static void client_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    visit *own = ctx;

    if (!own->tells) {
        send_back(conn, opcode, payload, size);
    } else if (size < sizeof own->text) {
        memcpy(own->text, payload, size);
        own->count = atoi(own->text);
    }
}

static void client_on_close(void *ctx, uint16_t code, kt_text reason)
{
    kt_loop_stop(((visit *)ctx)->loop);
}

/* One connection, to its end. */
static int visit_url(kt_loop *loop, const char *url, bool deflate, bool tells)
{
    kt_err err = { 0 };
    kt_ws_client *client;
    visit own = { .loop = loop, .tells = tells };
    const kt_ws_client_options options = { .url = url,
        .deflate = deflate,
        .message_max = SIZE_MAX_OF_CASES,
        .out_max = SIZE_MAX_OF_CASES,
        .on_open = client_on_open,
        .on_message = client_on_message,
        .on_close = client_on_close,
        .ctx = &own };

    if (kt_ws_connect(loop, &options, &client, &err) != KT_OK || kt_loop_run(loop, &err) != KT_OK)
        die(url, &err);
    kt_ws_client_free(client);
    return own.count;
}

static void visit_cases(kt_loop *loop, uint16_t port, bool deflate)
{
    char url[128];

    snprintf(url, sizeof url, "ws://127.0.0.1:%u/getCaseCount", port);
    int count = visit_url(loop, url, false, true);
    for (int i = 1; i <= count; i++) {
        snprintf(url, sizeof url, "ws://127.0.0.1:%u/runCase?case=%d&agent=kontor", port, i);
        (void)visit_url(loop, url, deflate, false);
    }
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/updateReports?agent=kontor", port);
    (void)visit_url(loop, url, false, false);
    printf("%d cases\n", count);
}

int main(int argc, char **argv)
{
    kt_err err = { 0 };
    kt_loop *loop;

    if (argc != 4) {
        fprintf(stderr, "usage: echo server|client PORT plain|deflate\n");
        return 2;
    }
    if (kt_loop_new(NULL, &loop, &err) != KT_OK)
        die("loop", &err);
    void (*const act)(kt_loop *, uint16_t, bool) = strcmp(argv[1], "server") == 0 ? serve : visit_cases;
    act(loop, (uint16_t)atoi(argv[2]), strcmp(argv[3], "deflate") == 0);
    kt_loop_free(loop);
    return 0;
}
