#include "net/http_server.h"
#include "net/net_test.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

enum { ANSWER_SIZE = 1 << 21 };

typedef struct house {
    kt_loop *loop;
    kt_http_server *server;
    int64_t clock_ns;
    int asked;
    uint64_t held; /* exchange of the last GET /later */
    char answer[ANSWER_SIZE];
} house;

static int64_t house_clock(void *ctx)
{
    return ((house *)ctx)->clock_ns;
}

static void on_request(void *ctx, kt_http_server *server, uint64_t exchange, const kt_http_request *request)
{
    static char big[300000];
    house *own = ctx;
    char body[4096];

    own->asked++;
    if (kt_text_equal(request->path, KT_TEXT("/later"))) {
        own->held = exchange;
        return;
    }
    if (kt_text_equal(request->path, KT_TEXT("/big"))) {
        memset(big, 'x', sizeof big);
        kt_http_response response = { .status = 200, .type = KT_TEXT("text/plain"), .body = { big, sizeof big } };
        assert_int_equal(kt_http_respond(server, exchange, &response), KT_OK);
        return;
    }
    int size = snprintf(body, sizeof body, "%s %.*s|%.*s|%.*s", kt_http_method_name(request->method),
        KT_TEXT_ARG(request->path), KT_TEXT_ARG(request->query), (int)(request->body.n < 2000 ? request->body.n : 2000),
        request->body.n > 0 ? request->body.s : "");
    kt_http_response response = { .status = 200, .type = KT_TEXT("text/plain"), .body = { body, (size_t)size } };
    assert_int_equal(kt_http_respond(server, exchange, &response), KT_OK);
}

static house *house_open(kt_http_server_options options)
{
    kt_err err = { 0 };
    house *own = calloc(1, sizeof *own);
    const kt_loop_options loop_options = { .clock_ns = house_clock, .ctx = own };

    assert_non_null(own);
    own->clock_ns = 1000;
    options.host = "127.0.0.1";
    options.on_request = on_request;
    options.ctx = own;
    assert_int_equal(kt_loop_new(&loop_options, &own->loop, &err), KT_OK);
    if (kt_http_server_open(own->loop, &options, &own->server, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return own;
}

static void house_close(house *own)
{
    kt_http_server_close(own->server);
    kt_loop_free(own->loop);
    free(own);
}

static int house_client(house *own)
{
    return client_connect(kt_http_server_port(own->server));
}

/* A client that was there before the bad one, and is served after it as if nothing had been. */
static void bystander_asks(house *own, int fd, const char *row)
{
    static const char request[] = "GET /bystander HTTP/1.1\r\nHost: a\r\n\r\n";

    KT_ROW(row, client_send(own->loop, fd, request, sizeof request - 1, 0));
    client_read(own->loop, fd, own->answer, sizeof own->answer, "GET /bystander||");
    KT_ROW(row, strncmp(own->answer, "HTTP/1.1 200 OK\r\n", 17) == 0);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

static const struct {
    const char *name;
    const char *start; /* what is sent: start, `fill` bytes of 'x', end */
    size_t fill;
    const char *end;
    int status;
    const char *says; /* in the answer's body */
} bad_rows[] = {
    { "both lengths", POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "", 400,
        "both Content-Length" },
    { "both lengths, the other way round", POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 0, "", 400,
        "both Content-Length" },
    { "Content-Length twice, different", POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", 0, "", 400,
        "more than once" },
    { "Content-Length twice, equal", POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 0, "", 400,
        "more than once" },
    { "Content-Length a list", POST "Content-Length: 4, 4\r\n\r\nabcd", 0, "", 400, "digits only" },
    { "Content-Length signed", POST "Content-Length: +4\r\n\r\nabcd", 0, "", 400, "digits only" },
    { "Content-Length negative", POST "Content-Length: -4\r\n\r\nabcd", 0, "", 400, "digits only" },
    { "Content-Length hexadecimal", POST "Content-Length: 0x4\r\n\r\nabcd", 0, "", 400, "digits only" },
    { "Content-Length empty", POST "Content-Length: \r\n\r\nabcd", 0, "", 400, "empty" },
    { "Content-Length of 40 digits", POST "Content-Length: 1000000000000000000000000000000000000000\r\n\r\n", 0, "",
        413, "18 digits" },
    { "body larger than allowed", POST "Content-Length: 2000000\r\n\r\n", 0, "", 413,
        "body larger than 1048576 bytes" },
    { "chunked body larger than allowed", POST "Transfer-Encoding: chunked\r\n\r\n200000\r\n", 1100000, "", 413,
        "body larger than 1048576 bytes" },
    { "Transfer-Encoding twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "", 400,
        "more than once" },
    { "Transfer-Encoding not known", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, "", 501, "chunked" },
    { "Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "", 400,
        "HTTP/1.0" },
    { "bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", 0, "", 400, "bare LF" },
    { "bare LF in the headers", GET "A: b\nC: d\r\n\r\n", 0, "", 400, "bare LF" },
    { "bare LF as the empty line", GET "\n", 0, "", 400, "bare LF" },
    { "bare CR", GET "A: b\rC: d\r\n\r\n", 0, "", 400, "control byte" },
    { "CR before CR LF", GET "A: b\r\r\n\r\n", 0, "", 400, "control byte" },
    { "obs-fold", GET "A: b\r\n c\r\n\r\n", 0, "", 400, "obs-fold" },
    { "obs-fold with a tab", GET "A: b\r\n\tc\r\n\r\n", 0, "", 400, "obs-fold" },
    { "blank before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 0, "", 400, "obs-fold" },
    { "space before the colon", GET "A : b\r\n\r\n", 0, "", 400, "header name" },
    { "header without a name", GET ": b\r\n\r\n", 0, "", 400, "header name" },
    { "header without a colon", GET "abc\r\n\r\n", 0, "", 400, "without a colon" },
    { "control byte in a header name", GET "A\001: b\r\n\r\n", 0, "", 400, "header name" },
    { "control byte in a header value", GET "A: b\001\r\n\r\n", 0, "", 400, "control byte" },
    { "a 1 MB header line", GET "A: ", 1 << 20, "\r\n\r\n", 431, "longer than 8192 bytes" },
    { "a 1 MB header name", GET, 1 << 20, ": a\r\n\r\n", 431, "longer than 8192 bytes" },
    { "65 headers",
        GET
        "A:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\nA:7\r\nA:8\r\nA:9\r\nA:0\r\nA:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\n"
        "A:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\nA:7\r\nA:8\r\nA:9\r\nA:0\r\nA:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\n"
        "A:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\nA:7\r\nA:8\r\nA:9\r\nA:0\r\nA:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\n"
        "A:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\nA:7\r\nA:8\r\nA:9\r\nA:0\r\nA:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\n"
        "\r\n",
        0, "", 431, "more than 64 header lines" },
    { "a 1 MB request target", "GET /", 1 << 20, " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "longer than" },
    { "a request target a little too long", "GET /", 8192, " HTTP/1.1\r\nHost: a\r\n\r\n", 414,
        "target longer than 8192" },
    { "no Host", "GET / HTTP/1.1\r\n\r\n", 0, "", 400, "exactly one Host" },
    { "two Hosts", GET "Host: b\r\n\r\n", 0, "", 400, "exactly one Host" },
    { "Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, "", 400, "Host has a byte" },
    { "method not known", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 501, "method not known" },
    { "method in small letters", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 501, "method not known" },
    { "method with a control byte", "G\001T / HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "method has a byte" },
    { "HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 0, "", 505, "HTTP/1.1" },
    { "HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 0, "", 505, "HTTP/1.1" },
    { "HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, "", 501, "method not known" },
    { "version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "request line" },
    { "version of three digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 0, "", 400, "request line" },
    { "no version", "GET /\r\nHost: a\r\n\r\n", 0, "", 400, "request line" },
    { "two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "request" },
    { "space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 0, "", 400, "request line" },
    { "space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "" },
    { "target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "begin with '/'" },
    { "target with a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "percent-encoded" },
    { "target with a byte above ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "percent-encoded" },
    { "star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "begin with '/'" },
    { "two empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, "", 400, "empty line" },
    { "expectation not known", POST "Expect: a-pony\r\n\r\n", 0, "", 417, "100-continue" },
    { "chunk without a size", POST "Transfer-Encoding: chunked\r\n\r\n\r\n", 0, "", 400, "without a size" },
    { "chunk size not hexadecimal", POST "Transfer-Encoding: chunked\r\n\r\ng\r\n", 0, "", 400, "without a size" },
    { "chunk size with a sign", POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 0, "", 400, "without a size" },
    { "chunk size with a space", POST "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", 0, "", 400,
        "chunk size" },
    { "chunk size of nine digits", POST "Transfer-Encoding: chunked\r\n\r\n100000000\r\n", 0, "", 413, "digits" },
    { "chunk size line with a bare LF", POST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 0, "", 400,
        "chunk size" },
    { "chunk extension with a bare LF", POST "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\n0\r\n\r\n", 0, "", 400,
        "chunk size" },
    { "chunk extension too long", POST "Transfer-Encoding: chunked\r\n\r\n1;", 300, "\r\na\r\n0\r\n\r\n", 400,
        "longer than 256" },
    { "chunk longer than its size", POST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 0, "", 400,
        "longer than its size" },
    { "chunk with a bare LF behind", POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n", 0, "", 400,
        "longer than its size" },
    { "trailer folded", POST "Transfer-Encoding: chunked\r\n\r\n0\r\n a\r\n\r\n", 0, "", 400, "trailer" },
    { "trailers too large", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", 5000, "\r\n\r\n", 431,
        "trailers larger" },
};

/* A sender need not be done before the answer comes; what it can not send any more does not matter then. */
static void bad_row_plays(house *own, size_t i, size_t piece)
{
    const char *name = bad_rows[i].name;
    size_t start = strlen(bad_rows[i].start), fill = bad_rows[i].fill, end = strlen(bad_rows[i].end);
    char *request = malloc(start + fill + end + 1);
    char status[32];
    int asked = own->asked;
    int fd = house_client(own);

    assert_non_null(request);
    memcpy(request, bad_rows[i].start, start);
    memset(request + start, 'x', fill);
    memcpy(request + start + fill, bad_rows[i].end, end);
    (void)client_send(own->loop, fd, request, start + fill + end, piece);
    client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
    snprintf(status, sizeof status, "HTTP/1.1 %d ", bad_rows[i].status);
    if (strncmp(own->answer, status, strlen(status)) != 0)
        fail_msg("row \"%s\" (pieces of %zu): answered %.200s", name, piece, own->answer);
    const char *body = strstr(own->answer, "\r\n\r\n{\"statusCode\":");
    KT_ROW(name, body != NULL);
    if (strstr(body, bad_rows[i].says) == NULL)
        fail_msg("row \"%s\": the body does not say '%s': %s", name, bad_rows[i].says, body);
    KT_ROW(name, strstr(own->answer, "Connection: close\r\n") != NULL);
    KT_ROW(name, strstr(body + 4, "HTTP/1.1") == NULL || strstr(bad_rows[i].says, "HTTP/1.1") != NULL ||
                     bad_rows[i].status == 400);
    KT_ROW(name, own->asked == asked);
    close(fd);
    free(request);
}

static void bad_input_is_answered_and_costs_nobody_else_anything(void **state)
{
    house *own = house_open((kt_http_server_options){ 0 });
    int bystander = house_client(own);

    for (size_t i = 0; i < KT_COUNT(bad_rows); i++) {
        bad_row_plays(own, i, 0);
        bystander_asks(own, bystander, bad_rows[i].name);
        if (strlen(bad_rows[i].start) + bad_rows[i].fill < 10000)
            bad_row_plays(own, i, 1);
    }
    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).conn_count == 1);
    close(bystander);
    house_close(own);
}

/* What a client sends, and what it gets, all its answers one after the other without their heads. */
static const struct {
    const char *name;
    const char *request;
    const char *answers;
} good_rows[] = {
    { "GET", "GET /a?b=c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /a|b=c|" },
    { "HTTP/1.0 closes", "GET /a HTTP/1.0\r\n\r\n", "GET /a||" },
    { "header names in any case", "GET /a HTTP/1.1\r\nhOST: a\r\ncONNECTION: cLOSE\r\n\r\n", "GET /a||" },
    { "blanks around a value", "GET /a HTTP/1.1\r\nHost:\t a \t\r\nConnection:close\r\n\r\n", "GET /a||" },
    { "an empty line before the request", "\r\nGET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /a||" },
    { "absolute target", "GET http://a:80/b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /b|c|" },
    { "star", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "OPTIONS *||" },
    { "HEAD has no body", "HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "" },
    { "body by length", "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "PUT /a||hello" },
    { "body of no bytes", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "POST /a||" },
    { "body in chunks",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "5\r\nhello\r\n1;ext=1\r\n \r\n05\r\nworld\r\n0\r\nTrailer: x\r\n\r\n",
        "POST /a||hello world" },
    { "three in a row, answered in order",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /1||POST /2||abcGET /3||" },
    { "nothing behind Connection: close",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /1||" },
};

/* The bodies of all answers, one after the other. */
static void bodies_of(const char *answers, char *to)
{
    *to = 0;
    for (const char *at = answers; strncmp(at, "HTTP/1.1 200 OK\r\n", 17) == 0;) {
        const char *body = strstr(at, "\r\n\r\n");
        const char *length = strstr(at, "Content-Length: ");
        assert_non_null(body);
        size_t size = length != NULL && length < body ? strtoul(length + 16, NULL, 10) : 0;
        size = strnlen(body + 4, size);
        strncat(to, body + 4, size);
        at = body + 4 + size;
    }
}

static void good_requests_are_answered_however_they_are_split(void **state)
{
    house *own = house_open((kt_http_server_options){ 0 });

    for (size_t i = 0; i < KT_COUNT(good_rows); i++) {
        for (size_t piece = 0; piece < 40; piece += piece < 3 ? 1 : 9) {
            char bodies[4096];
            int fd = house_client(own);
            (void)client_send(own->loop, fd, good_rows[i].request, strlen(good_rows[i].request), piece);
            client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
            bodies_of(own->answer, bodies);
            if (strcmp(bodies, good_rows[i].answers) != 0)
                fail_msg("row \"%s\" (pieces of %zu): %s", good_rows[i].name, piece, own->answer);
            close(fd);
        }
    }
    house_close(own);
}

static void expect_100_continue_is_told_to_go_on(void **state)
{
    static const char head[] =
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    house *own = house_open((kt_http_server_options){ 0 });
    int fd = house_client(own);

    client_send(own->loop, fd, head, sizeof head - 1, 0);
    client_read(own->loop, fd, own->answer, sizeof own->answer, "\r\n\r\n");
    assert_string_equal(own->answer, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(own->loop, fd, "hello", 5, 0);
    client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
    assert_non_null(strstr(own->answer, "POST /a||hello"));
    close(fd);
    house_close(own);
}

static void clock_moves(house *own, int64_t ms)
{
    own->clock_ns += ms * 1000000;
    assert_int_equal(kt_loop_turn(own->loop, 0, NULL), KT_OK);
}

static const struct {
    const char *name;
    const char *sent;
    int64_t wait_ms;
    const char *answer;
} slow_rows[] = {
    { "slow headers", "GET / HTTP/1.1\r\nHos", 10001, "HTTP/1.1 408 " },
    { "slow body", POST "Content-Length: 5\r\n\r\nabc", 30001, "HTTP/1.1 408 " },
    { "slow chunks", POST "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", 30001, "HTTP/1.1 408 " },
    { "idle without a word", "", 60001, "" },
    { "idle between requests", GET "\r\n", 60001, "HTTP/1.1 200 " },
};

static void slow_clients_are_let_go_in_time(void **state)
{
    house *own = house_open((kt_http_server_options){ 0 });

    for (size_t i = 0; i < KT_COUNT(slow_rows); i++) {
        uint64_t accepted = kt_http_server_get_stats(own->server).accepted;
        int fd = house_client(own);
        TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).accepted > accepted);
        client_send(own->loop, fd, slow_rows[i].sent, strlen(slow_rows[i].sent), 1);
        for (int turn = 0; turn < 10; turn++)
            assert_int_equal(kt_loop_turn(own->loop, 1000000, NULL), KT_OK);
        clock_moves(own, slow_rows[i].wait_ms - 10);
        KT_ROW(slow_rows[i].name, kt_http_server_get_stats(own->server).conn_count == 1);
        clock_moves(own, 10);
        client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
        KT_ROW(slow_rows[i].name, strncmp(own->answer, slow_rows[i].answer, strlen(slow_rows[i].answer)) == 0);
        KT_ROW(slow_rows[i].name, slow_rows[i].answer[0] != 0 || own->answer[0] == 0);
        close(fd);
        TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).conn_count == 0);
    }
    house_close(own);
}

static void a_client_that_takes_nothing_is_closed(void **state)
{
    static const char request[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    house *own = house_open((kt_http_server_options){ 0 });
    int fd = house_client(own);

    for (int i = 0; i < 100; i++)
        client_send(own->loop, fd, request, sizeof request - 1, 1000);
    for (int turn = 0; turn < 20; turn++)
        assert_int_equal(kt_loop_turn(own->loop, 1000000, NULL), KT_OK);
    assert_true(own->asked < 100); /* the others wait until it takes what it has been given */
    clock_moves(own, 30001);
    clock_moves(own, 1);
    clock_moves(own, 1);
    assert_int_equal(kt_http_server_get_stats(own->server).conn_count, 0);
    close(fd);
    house_close(own);
}

static void a_slow_reader_gets_every_answer(void **state)
{
    static const char request[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char last[] = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    house *own = house_open((kt_http_server_options){ 0 });
    int fd = house_client(own);
    size_t total = 0, got = 0;

    for (int i = 0; i < 20; i++)
        client_send(own->loop, fd, request, sizeof request - 1, 1000);
    client_send(own->loop, fd, last, sizeof last - 1, 1000);
    do {
        got = client_read(own->loop, fd, own->answer, 100000, NULL);
        total += got;
    } while (got == 99999);
    assert_true(total > 20 * 300000);
    assert_int_equal(own->asked, 21);
    close(fd);
    house_close(own);
}

static void an_answer_may_come_in_a_later_turn(void **state)
{
    static const char requests[] =
        "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    house *own = house_open((kt_http_server_options){ 0 });
    kt_http_response response = { .status = 200, .type = KT_TEXT("text/plain"), .body = KT_TEXT("late,") };
    char bodies[4096];
    int fd = house_client(own);

    client_send(own->loop, fd, requests, sizeof requests - 1, 0);
    TURN_UNTIL(own->loop, own->held != 0);
    clock_moves(own, 1000000); /* no time limit of ours runs while the handler owes the answer */
    assert_int_equal(own->asked, 1);
    assert_int_equal(kt_http_respond(own->server, own->held + 1, &response), KT_NOENT);
    assert_int_equal(kt_http_respond(own->server, own->held, &response), KT_OK);
    assert_int_equal(kt_http_respond(own->server, own->held, &response), KT_NOENT);
    client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
    bodies_of(own->answer, bodies);
    assert_string_equal(bodies, "late,GET /2||");
    close(fd);

    /* The client leaves before the answer comes. */
    fd = house_client(own);
    own->held = 0;
    client_send(own->loop, fd, requests, sizeof requests - 1, 0);
    TURN_UNTIL(own->loop, own->held != 0);
    const struct linger reset = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    (void)kt_http_respond(own->server, own->held, &response);
    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).conn_count == 0);
    assert_int_equal(kt_http_respond(own->server, own->held, &response), KT_NOENT);
    house_close(own);
}

static void an_answer_that_does_not_fit_becomes_503(void **state)
{
    static const char request[] = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    static char large[5000];
    house *own = house_open((kt_http_server_options){ .out_max = 4096 });
    kt_http_response response = { .status = 200, .body = { large, sizeof large } };
    kt_http_field bad = { KT_TEXT("X"), KT_TEXT("a\r\nSet-Cookie: b") };
    int fd = house_client(own);

    client_send(own->loop, fd, request, sizeof request - 1, 0);
    TURN_UNTIL(own->loop, own->held != 0);
    response.fields = &bad;
    response.field_count = 1;
    assert_int_equal(kt_http_respond(own->server, own->held, &response), KT_ARG);
    response.field_count = 0;
    assert_int_equal(kt_http_respond(own->server, own->held, &response), KT_FULL);
    client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
    assert_int_equal(strncmp(own->answer, "HTTP/1.1 503 ", 13), 0);
    close(fd);
    house_close(own);
}

static void errors_of_the_handler_are_json_too(void **state)
{
    static const char request[] = "GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    house *own = house_open((kt_http_server_options){ .server_name = "kontor" });
    int fd = house_client(own);

    client_send(own->loop, fd, request, sizeof request - 1, 0);
    TURN_UNTIL(own->loop, own->held != 0);
    assert_int_equal(kt_http_fail(own->server, own->held, 404, "no \"%s\"\n\\ \xff", "x"), KT_OK);
    client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
    assert_non_null(strstr(own->answer, "\r\nServer: kontor\r\n"));
    assert_non_null(strstr(own->answer,
        "\r\n\r\n{\"statusCode\":404,\"error\":\"Not Found\",\"message\":\"no \\u0022x\\u0022\\u000a\\u005c ?\"}"));
    close(fd);
    house_close(own);
}

static void more_clients_than_allowed_are_told_so(void **state)
{
    house *own = house_open((kt_http_server_options){ .conn_max = 2 });
    int first = house_client(own), second = house_client(own), third = house_client(own);

    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).refused == 1);
    client_read(own->loop, third, own->answer, sizeof own->answer, NULL);
    assert_int_equal(strncmp(own->answer, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(own->answer, "too many connections"));
    bystander_asks(own, first, "the first");
    close(second);
    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).conn_count == 1);
    int fourth = house_client(own);
    bystander_asks(own, fourth, "a place is free again");
    close(first);
    close(third);
    close(fourth);
    house_close(own);
}

static void another_limit_holds_for_the_next_client(void **state)
{
    house *own = house_open((kt_http_server_options){ .conn_max = 1 });
    int clients[6];

    clients[0] = house_client(own);
    bystander_asks(own, clients[0], "the one");
    assert_int_equal(kt_http_server_limit(own->server, 5), KT_OK);
    for (int i = 1; i < 5; i++) {
        clients[i] = house_client(own);
        bystander_asks(own, clients[i], "room for more");
    }
    bystander_asks(own, clients[0], "who was there before is still there");
    assert_int_equal(kt_http_server_limit(own->server, 2), KT_OK);
    clients[5] = house_client(own);
    client_read(own->loop, clients[5], own->answer, sizeof own->answer, NULL);
    assert_int_equal(strncmp(own->answer, "HTTP/1.1 503 ", 13), 0);
    for (int i = 0; i < 6; i++) {
        if (i < 5)
            bystander_asks(own, clients[i], "who is beyond it goes on");
        close(clients[i]);
    }
    house_close(own);
}

static void out_of_descriptors_costs_the_new_client_only(void **state)
{
    struct rlimit before, small;
    house *own = house_open((kt_http_server_options){ 0 });
    int bystander = house_client(own);

    bystander_asks(own, bystander, "before");
    int fd = house_client(own);
    int probe = dup(0);
    getrlimit(RLIMIT_NOFILE, &before);
    small = before;
    small.rlim_cur = (rlim_t)probe;
    close(probe);
    /* Descriptors below the limit that happen to be free would still be given out. */
    setrlimit(RLIMIT_NOFILE, &small);
    int filled = 0, fill[64];
    while (filled < 64 && (fill[filled] = dup(0)) >= 0)
        filled++;
    TURN_UNTIL(own->loop, kt_http_server_get_stats(own->server).refused == 1);
    client_read(own->loop, fd, own->answer, sizeof own->answer, NULL);
    assert_string_equal(own->answer, "");
    bystander_asks(own, bystander, "while there are none");
    while (filled > 0)
        close(fill[--filled]);
    setrlimit(RLIMIT_NOFILE, &before);
    int after = house_client(own);
    bystander_asks(own, after, "after");
    close(after);
    close(bystander);
    close(fd);
    house_close(own);
}

static void a_busy_port_is_named(void **state)
{
    house *own = house_open((kt_http_server_options){ 0 });
    kt_http_server *second = NULL;
    kt_err err = { 0 };
    char port[32];
    kt_http_server_options options = { .host = "127.0.0.1", .port = kt_http_server_port(own->server) };

    assert_int_equal(kt_http_server_open(own->loop, &options, &second, &err), KT_SYS);
    snprintf(port, sizeof port, "127.0.0.1:%u", options.port);
    assert_non_null(strstr(err.msg, port));
    assert_non_null(strstr(err.msg, "choose another port"));
    assert_non_null(strstr(err.msg, "Address already in use"));
    options.host = "localhost";
    assert_int_equal(kt_http_server_open(own->loop, &options, &second, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "'localhost': not a numeric address"));
    options.host = "203.0.113.7";
    assert_int_equal(kt_http_server_open(own->loop, &options, &second, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "127.0.0.1 always works"));
    assert_null(second);
    house_close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_input_is_answered_and_costs_nobody_else_anything),
        cmocka_unit_test(good_requests_are_answered_however_they_are_split),
        cmocka_unit_test(expect_100_continue_is_told_to_go_on),
        cmocka_unit_test(slow_clients_are_let_go_in_time),
        cmocka_unit_test(a_client_that_takes_nothing_is_closed),
        cmocka_unit_test(a_slow_reader_gets_every_answer),
        cmocka_unit_test(an_answer_may_come_in_a_later_turn),
        cmocka_unit_test(an_answer_that_does_not_fit_becomes_503),
        cmocka_unit_test(errors_of_the_handler_are_json_too),
        cmocka_unit_test(more_clients_than_allowed_are_told_so),
        cmocka_unit_test(another_limit_holds_for_the_next_client),
        cmocka_unit_test(out_of_descriptors_costs_the_new_client_only),
        cmocka_unit_test(a_busy_port_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
