#include "net/fetch.h"
#include "net/net_test.h"
#include "net/test_tls.h"
#include "net/tls.h"
#include "net/ws_client.h"
#include "net/ws_server.h"
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>

enum { HALF_COUNT = 1000, LARGE_SIZE = 8 << 20 };

/* A server that echoes over TLS, with files of its own. */
typedef struct house {
    char dir[512];
    kt_loop *loop;
    kt_tls *tls, *trust; /* the server's, and what clients trust: the authority of its files */
    kt_http_server *http;
    kt_ws_server *ws;
    int64_t clock_ns;
    int closed;
    char buf[65536];
} house;

typedef struct visitor {
    kt_ws_client *client;
    int opened, messages, closed;
    uint16_t close_code;
    size_t size;
    char text[100];
    char reason[256];
} visitor;

static int64_t house_clock(void *ctx)
{
    return ((house *)ctx)->clock_ns;
}

static void server_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    assert_int_equal(kt_ws_send(conn, opcode, payload, size), KT_OK);
}

static void server_on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    ((house *)ctx)->closed++;
}

static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    house *own = ctx;

    if (kt_text_equal(request->path, KT_TEXT("/ws")))
        (void)kt_ws_accept(own->ws, http, exchange, request, own);
    else
        (void)kt_http_respond(http, exchange, &(kt_http_response){ .status = 200, .body = KT_TEXT("{\"a\":1}") });
}

static char *path_of(const house *own, const char *name)
{
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", own->dir, name);
    return path;
}

/* `certificate`: name of its files; NULL: plain text. */
static house *house_open(const char *certificate)
{
    house *own = calloc(1, sizeof *own);
    kt_err err = { 0 };
    char key[64], crt[64];

    assert_non_null(own);
    snprintf(own->dir, sizeof own->dir, "%s", kt_test_dir());
    kt_test_certificates_make(own->dir);
    static const kt_test_certificate more[] = {
        { "expired", "authority", "DNS:localhost,IP:127.0.0.1", -7200, -3600 },
        { "future", "authority", "DNS:localhost,IP:127.0.0.1", 3600, 7200 },
        { "elsewhere", "authority", "DNS:example.org,DNS:*.example.org", 0, 3600 },
        { "nameless", "authority", NULL, 0, 3600 },
        { "stranger", NULL, "DNS:localhost,IP:127.0.0.1", 0, 3600 },
    };
    for (size_t i = 0; i < KT_COUNT(more); i++)
        kt_test_certificate_make(own->dir, &more[i]);
    snprintf(crt, sizeof crt, "%s.crt", certificate != NULL ? certificate : "server");
    snprintf(key, sizeof key, "%s.key", certificate != NULL ? certificate : "server");
    if (kt_tls_server_new(path_of(own, crt), path_of(own, key), &own->tls, &err) != KT_OK ||
        kt_tls_client_new(path_of(own, "authority.crt"), &own->trust, &err) != KT_OK)
        fail_msg("%s", err.msg);
    const kt_http_server_options http = {
        .host = "127.0.0.1", .on_request = on_request, .ctx = own, .tls = certificate != NULL ? own->tls : NULL
    };
    const kt_ws_server_options ws = {
        .handlers = { server_on_message, NULL, server_on_close }, .message_max = LARGE_SIZE, .out_max = LARGE_SIZE + 16
    };
    const kt_loop_options loop = { .clock_ns = house_clock, .ctx = own };
    assert_int_equal(kt_loop_new(&loop, &own->loop, &err), KT_OK);
    assert_int_equal(kt_ws_server_new(own->loop, &ws, &own->ws, &err), KT_OK);
    assert_int_equal(kt_http_server_open(own->loop, &http, &own->http, &err), KT_OK);
    return own;
}

static void house_close(house *own)
{
    kt_http_server_close(own->http);
    kt_ws_server_free(own->ws);
    kt_loop_free(own->loop);
    kt_tls_free(own->tls);
    kt_tls_free(own->trust);
    kt_tls_free(NULL);
    free(own);
}

static void guest_on_open(void *ctx, kt_ws_conn *conn)
{
    ((visitor *)ctx)->opened++;
}

static void guest_on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    visitor *own = ctx;

    own->messages++;
    own->size += size;
    snprintf(own->text, sizeof own->text, "%.*s", (int)(size < 90 ? size : 90), (const char *)payload);
}

static void guest_on_close(void *ctx, uint16_t code, kt_text reason)
{
    visitor *own = ctx;

    own->closed++;
    own->close_code = code;
    snprintf(own->reason, sizeof own->reason, "%.*s", KT_TEXT_ARG(reason));
}

static void guest_connect_to(house *at, visitor *own, const char *host, uint16_t port, kt_tls *trust)
{
    char url[256];
    kt_err err = { 0 };
    const kt_ws_client_options options = {
        .url = url,
        .tls = trust,
        .message_max = LARGE_SIZE,
        .out_max = LARGE_SIZE + 16,
        .on_open = guest_on_open,
        .on_message = guest_on_message,
        .on_close = guest_on_close,
        .ctx = own,
    };

    *own = (visitor){ 0 };
    snprintf(url, sizeof url, "wss://%s:%u/ws", host, port);
    if (kt_ws_connect(at->loop, &options, &own->client, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

static void guest_connect(house *at, visitor *own, const char *host)
{
    guest_connect_to(at, own, host, kt_http_server_port(at->http), at->trust);
}

static void guest_echo(house *at, visitor *own, const char *text)
{
    int before = own->messages;

    assert_int_equal(kt_ws_send(kt_ws_client_conn(own->client), KT_WS_TEXT, text, strlen(text)), KT_OK);
    TURN_UNTIL(at->loop, own->messages == before + 1);
    assert_string_equal(own->text, text);
}

static void a_client_talks_to_a_server(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost" };
    house *own = house_open("server");
    char *large = malloc(LARGE_SIZE);
    visitor guest;

    memset(large, 'x', LARGE_SIZE);
    for (size_t i = 0; i < KT_COUNT(hosts); i++) {
        guest_connect(own, &guest, hosts[i]);
        TURN_UNTIL(own->loop, guest.opened == 1);
        guest_echo(own, &guest, "hello");
        /* More than any buffer of the kernel holds, both ways. */
        assert_int_equal(kt_ws_send(kt_ws_client_conn(guest.client), KT_WS_BINARY, large, LARGE_SIZE), KT_OK);
        TURN_UNTIL(own->loop, guest.messages == 2);
        assert_int_equal(guest.size, LARGE_SIZE + 5);
        guest_echo(own, &guest, "still there");
        kt_ws_close(kt_ws_client_conn(guest.client), KT_WS_CLOSE_NORMAL, KT_TEXT("done"));
        TURN_UNTIL(own->loop, guest.closed == 1 && own->closed == (int)i + 1);
        assert_int_equal(guest.close_code, KT_WS_CLOSE_NORMAL);
        kt_ws_client_free(guest.client);
    }
    assert_int_equal(kt_http_server_get_stats(own->http).handshakes_failed, 0);
    free(large);
    house_close(own);
}

static const struct {
    const char *name;
    const char *certificate; /* NULL: the server speaks plain text */
    const char *host;
    const char *reason;
} refused_rows[] = {
    { "expired", "expired", "127.0.0.1", "certificate has expired" },
    { "not valid yet", "future", "127.0.0.1", "certificate is not yet valid" },
    { "of another host", "elsewhere", "localhost", "hostname mismatch" },
    { "of another address", "elsewhere", "127.0.0.1", "IP address mismatch" },
    { "without a name", "nameless", "localhost", "hostname mismatch" },
    { "by itself", "stranger", "127.0.0.1", "self-signed certificate" },
    { "plain text", NULL, "127.0.0.1", "does not speak TLS" },
};

static void a_client_refuses_what_it_can_not_trust(void **state)
{
    for (size_t i = 0; i < KT_COUNT(refused_rows); i++) {
        house *own = house_open(refused_rows[i].certificate);
        visitor guest;
        guest_connect(own, &guest, refused_rows[i].host);
        TURN_UNTIL(own->loop, guest.closed == 1);
        assert_int_equal(guest.opened, 0);
        assert_int_equal(guest.close_code, 0);
        if (strstr(guest.reason, refused_rows[i].reason) == NULL)
            fail_msg("row \"%s\": %s", refused_rows[i].name, guest.reason);
        KT_ROW(refused_rows[i].name, strncmp(guest.reason, refused_rows[i].host, strlen(refused_rows[i].host)) == 0);
        kt_ws_client_free(guest.client);
        TURN_UNTIL(own->loop, kt_http_server_get_stats(own->http).conn_count == 0);
        KT_ROW(refused_rows[i].name,
            kt_http_server_get_stats(own->http).handshakes_failed == (refused_rows[i].certificate != NULL));
        house_close(own);
    }
    /* The system's authorities do not know ours. */
    house *own = house_open("server");
    kt_tls *system = NULL;
    visitor guest;
    assert_int_equal(kt_tls_client_new(NULL, &system, NULL), KT_OK);
    guest_connect_to(own, &guest, "127.0.0.1", kt_http_server_port(own->http), system);
    TURN_UNTIL(own->loop, guest.closed == 1);
    assert_non_null(strstr(guest.reason, "unable to get local issuer certificate"));
    kt_ws_client_free(guest.client);
    kt_tls_free(system);
    house_close(own);
}

/* A hello that offers this version and no newer one. */
static size_t old_hello(uint8_t minor, uint8_t *to)
{
    static const uint8_t ciphers[] = { 0x00, 0x04, 0xc0, 0x13, 0x00, 0x2f, 0x01, 0x00 };
    size_t body = 2 + 32 + 1 + sizeof ciphers, n = 0;

    const uint8_t start[] = { KT_TLS_HANDSHAKE, 3, 1, 0, (uint8_t)(body + 4), 1, 0, 0, (uint8_t)body, 3, minor };
    memcpy(to, start, sizeof start);
    n += sizeof start;
    memset(to + n, 7, 32);
    n += 32;
    to[n++] = 0; /* no session */
    memcpy(to + n, ciphers, sizeof ciphers);
    return n + sizeof ciphers;
}

static void old_versions_are_refused_with_an_alert(void **state)
{
    /* handshake_failure, since SSL 3.0 does not know protocol_version, which the others get. */
    static const uint8_t alerts[] = { 40, 70, 70 };
    house *own = house_open("server");
    uint8_t hello[128];

    for (uint8_t minor = 0; minor <= 2; minor++) { /* SSL 3.0, TLS 1.0 and 1.1 */
        int fd = client_connect(kt_http_server_port(own->http));
        size_t size = old_hello(minor, hello);
        assert_true(client_send(own->loop, fd, hello, size, 1));
        size_t got = client_read(own->loop, fd, own->buf, sizeof own->buf, NULL);
        assert_int_equal(got, 7);
        assert_int_equal(own->buf[0], 0x15); /* an alert */
        assert_int_equal(own->buf[5], 2);    /* fatal */
        assert_int_equal(own->buf[6], alerts[minor]);
        close(fd);
    }
    assert_int_equal(kt_http_server_get_stats(own->http).handshakes_failed, 3);
    house_close(own);
}

static void a_client_refuses_a_server_of_an_old_version(void **state)
{
    house *own = house_open("server");
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), fd = -1;
    uint8_t answer[] = { KT_TLS_HANDSHAKE, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, [11 ... 42] = 9, 0, 0xc0, 0x13, 0 };
    visitor guest;

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    guest_connect_to(own, &guest, "127.0.0.1", ntohs(address.sin_port), own->trust);
    TURN_UNTIL(own->loop, (fd = accept(listener, NULL, NULL)) >= 0);
    TURN_UNTIL(own->loop, recv(fd, own->buf, sizeof own->buf, MSG_DONTWAIT) > 0);
    assert_int_equal(own->buf[0], KT_TLS_HANDSHAKE);
    client_send(own->loop, fd, answer, sizeof answer, 0);
    TURN_UNTIL(own->loop, guest.closed == 1);
    assert_non_null(strstr(guest.reason, "no version of TLS from 1.2 on"));
    kt_ws_client_free(guest.client);
    close(fd);
    close(listener);
    house_close(own);
}

static const struct {
    const char *name;
    const char *offered;
    const char *agreed;
} suite_rows[] = {
    { "the cheapest of those for AES", "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
        "TLS_AES_128_GCM_SHA256" },
    { "who has no instructions for AES gets ChaCha20", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256" },
    { "the only one there is", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384" },
};

static void the_server_chooses_the_suite(void **state)
{
    house *own = house_open("server");

    for (size_t i = 0; i < KT_COUNT(suite_rows); i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        int fd = client_connect(kt_http_server_port(own->http));

        assert_int_equal(SSL_CTX_set_ciphersuites(ctx, suite_rows[i].offered), 1);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);
        TURN_UNTIL(own->loop, SSL_connect(ssl) == 1);
        KT_ROW(suite_rows[i].name, strcmp(SSL_get_cipher(ssl), suite_rows[i].agreed) == 0);
        SSL_free(ssl);
        SSL_CTX_free(ctx);
        close(fd);
    }
    house_close(own);
}

static void plain_text_is_told_so(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    house *own = house_open("server");
    int fd = client_connect(kt_http_server_port(own->http));

    client_send(own->loop, fd, request, sizeof request - 1, 0);
    client_read(own->loop, fd, own->buf, sizeof own->buf, NULL);
    assert_int_equal(strncmp(own->buf, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    assert_non_null(strstr(own->buf, "this port speaks TLS: use https:// or wss://"));
    close(fd);
    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->http).conn_count == 0);
    assert_int_equal(kt_http_server_get_stats(own->http).handshakes_failed, 1);
    assert_int_equal(kt_http_server_get_stats(own->http).requests, 0);
    house_close(own);
}

/* Some say nothing, some one byte, some a whole hello, and then wait. */
static void half_handshakes_are_given_up_in_time(void **state)
{
    static int fds[HALF_COUNT];
    house *own = house_open("server");
    uint8_t hello[128];
    size_t size = old_hello(3, hello);
    visitor guest;

    for (int i = 0; i < HALF_COUNT; i++) {
        fds[i] = client_connect(kt_http_server_port(own->http));
        if (i % 3 != 0)
            client_send(own->loop, fds[i], hello, i % 3 == 1 ? 1 : size, 0);
        if (i % 100 == 0)
            kt_loop_turn(own->loop, 0, NULL);
    }
    guest_connect(own, &guest, "127.0.0.1"); /* somebody who means it is served all the same */
    TURN_UNTIL(own->loop, guest.opened == 1);
    guest_echo(own, &guest, "hello");
    assert_true(kt_http_server_get_stats(own->http).conn_count >= HALF_COUNT * 2 / 3);
    own->clock_ns += (int64_t)KT_HTTP_HEAD_TIME_DEFAULT_MS * 1000000 + 1000000;
    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->http).conn_count == 0);
    assert_int_equal(kt_http_server_get_stats(own->http).handshakes_failed, HALF_COUNT);
    guest_echo(own, &guest, "still here");
    kt_ws_client_free(guest.client);
    for (int i = 0; i < HALF_COUNT; i++)
        close(fds[i]);
    house_close(own);
}

static void certificates_change_while_connections_stay(void **state)
{
    house *own = house_open("server");
    visitor before, after, stranger;
    kt_tls *other = NULL;
    kt_err err = { 0 };

    guest_connect(own, &before, "127.0.0.1");
    TURN_UNTIL(own->loop, before.opened == 1);
    assert_int_equal(kt_tls_refresh(own->tls, &err), KT_EMPTY);

    /* Half of a change: the files do not fit together, and the old ones go on. Said once. */
    kt_test_certificate_make(own->dir, &(kt_test_certificate){ .name = "authority2", .to_s = 3600 });
    kt_test_certificate_make(
        own->dir, &(kt_test_certificate){ .name = "server2", .by = "authority2", .of = "IP:127.0.0.1", .to_s = 3600 });
    assert_int_equal(rename(path_of(own, "server2.crt"), path_of(own, "server.crt")), 0);
    assert_int_equal(kt_tls_refresh(own->tls, &err), KT_CORRUPT);
    assert_non_null(strstr(err.msg, "server.key"));
    assert_int_equal(kt_tls_refresh(own->tls, &err), KT_EMPTY);
    guest_connect(own, &after, "127.0.0.1");
    TURN_UNTIL(own->loop, after.opened == 1);
    kt_ws_client_free(after.client);

    assert_int_equal(rename(path_of(own, "server2.key"), path_of(own, "server.key")), 0);
    assert_int_equal(kt_tls_refresh(own->tls, &err), KT_OK);
    assert_int_equal(kt_tls_client_new(path_of(own, "authority2.crt"), &other, &err), KT_OK);
    guest_connect_to(own, &after, "127.0.0.1", kt_http_server_port(own->http), other);
    guest_connect(own, &stranger, "127.0.0.1"); /* trusts the old authority only */
    TURN_UNTIL(own->loop, after.opened == 1 && stranger.closed == 1);
    guest_echo(own, &before, "as before");
    guest_echo(own, &after, "anew");

    /* Gone, or without sense: the last good ones go on. */
    assert_int_equal(unlink(path_of(own, "server.crt")), 0);
    assert_int_equal(kt_tls_refresh(own->tls, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "server.crt"));
    guest_echo(own, &before, "for ever");
    kt_ws_client_free(before.client);
    kt_ws_client_free(after.client);
    kt_ws_client_free(stranger.client);
    kt_tls_free(other);
    house_close(own);
}

static void files_that_can_not_be_used_are_named(void **state)
{
    house *own = house_open("server");
    kt_tls *tls = NULL;
    kt_err err = { 0 };

    assert_int_equal(kt_tls_server_new(path_of(own, "none.crt"), path_of(own, "server.key"), &tls, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "none.crt"));
    assert_int_equal(kt_tls_server_new(path_of(own, "server.key"), path_of(own, "server.key"), &tls, &err), KT_CORRUPT);
    assert_non_null(strstr(err.msg, "certificate '"));
    assert_int_equal(
        kt_tls_server_new(path_of(own, "server.crt"), path_of(own, "authority.key"), &tls, &err), KT_CORRUPT);
    assert_non_null(strstr(err.msg, "authority.key"));
    assert_int_equal(kt_tls_client_new(path_of(own, "none.crt"), &tls, &err), KT_SYS);
    assert_int_equal(kt_tls_client_new(path_of(own, "server.key"), &tls, &err), KT_CORRUPT);
    house_close(own);
}

static void on_fetched(void *ctx, const kt_fetch_answer *answer)
{
    snprintf(ctx, 256, "%u %s%.*s", answer->status, answer->error, KT_TEXT_ARG(answer->body));
}

static void requests_go_out_over_tls(void **state)
{
    static const struct {
        const char *certificate, *ca_file, *result;
    } rows[] = {
        { "server", "authority.crt", "200 {\"a\":1}" },
        { "server", "stranger.crt", "certificate" },
        { "expired", "authority.crt", "expired" },
        { "elsewhere", "authority.crt", "no alternative certificate subject name matches" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        house *own = house_open(rows[i].certificate);
        kt_fetcher *fetcher = NULL;
        char url[64], result[256] = "";
        kt_fetcher_options options = { .ca_file = path_of(own, rows[i].ca_file) };
        const kt_fetch_spec spec = { .method = KT_HTTP_GET, .url = url, .on_done = on_fetched, .ctx = result };
        snprintf(url, sizeof url, "https://127.0.0.1:%u/", kt_http_server_port(own->http));
        assert_int_equal(kt_fetcher_new(own->loop, &options, &fetcher, NULL), KT_OK);
        assert_int_equal(kt_fetch_start(fetcher, &spec, NULL, NULL), KT_OK);
        TURN_UNTIL(own->loop, result[0] != 0);
        if (strstr(result, rows[i].result) == NULL)
            fail_msg("%s by %s: %s", rows[i].certificate, rows[i].ca_file, result);
        kt_fetcher_free(fetcher);
        house_close(own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_talks_to_a_server),
        cmocka_unit_test(a_client_refuses_what_it_can_not_trust),
        cmocka_unit_test(old_versions_are_refused_with_an_alert),
        cmocka_unit_test(a_client_refuses_a_server_of_an_old_version),
        cmocka_unit_test(the_server_chooses_the_suite),
        cmocka_unit_test(plain_text_is_told_so),
        cmocka_unit_test(half_handshakes_are_given_up_in_time),
        cmocka_unit_test(certificates_change_while_connections_stay),
        cmocka_unit_test(files_that_can_not_be_used_are_named),
        cmocka_unit_test(requests_go_out_over_tls),
    };

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
