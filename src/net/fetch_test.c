#include "net/fetch.h"
#include "net/http_server.h"
#include "net/net_test.h"
#include <stdio.h>

/* Our own server answers, so both sides are ours; what a foreign one does is covered by tests/clients. */
typedef struct house {
    kt_loop *loop;
    kt_http_server *server;
    kt_fetcher *fetcher;
    uint64_t held;
    char asked[512]; /* the last request: method, path, query, one header, body */
    int done;
    kt_fetch_answer answer; /* the last, with its texts copied */
    char error[512], type[128], retry[128], body[512];
    size_t body_size;
    uint64_t cancel_next; /* cancelled inside on_done */
} house;

static void on_request(void *ctx, kt_http_server *server, uint64_t exchange, const kt_http_request *request)
{
    static char large[100000];
    house *own = ctx;
    kt_text key = { 0 };
    kt_http_field retry = { KT_TEXT("Retry-After"), KT_TEXT("7") };
    kt_http_response response = { .status = 200, .body = KT_TEXT("{}") };

    (void)kt_http_field_get(request->fields, request->field_count, KT_TEXT("x-mbx-apikey"), &key);
    snprintf(own->asked, sizeof own->asked, "%s %.*s?%.*s %.*s %.*s", kt_http_method_name(request->method),
        KT_TEXT_ARG(request->path), KT_TEXT_ARG(request->query), KT_TEXT_ARG(key), KT_TEXT_ARG(request->body));
    if (kt_text_equal(request->path, KT_TEXT("/later"))) {
        own->held = exchange;
        return;
    }
    if (kt_text_equal(request->path, KT_TEXT("/busy"))) {
        response.status = 429;
        response.fields = &retry;
        response.field_count = 1;
    } else if (kt_text_equal(request->path, KT_TEXT("/large"))) {
        response.body = (kt_text){ large, sizeof large };
    } else if (kt_text_equal(request->path, KT_TEXT("/moved"))) {
        retry = (kt_http_field){ KT_TEXT("Location"), KT_TEXT("/") };
        response.status = 302;
        response.fields = &retry;
        response.field_count = 1;
    }
    assert_int_equal(kt_http_respond(server, exchange, &response), KT_OK);
}

static void on_done(void *ctx, const kt_fetch_answer *answer)
{
    house *own = ctx;

    own->done++;
    own->answer = *answer;
    snprintf(own->error, sizeof own->error, "%s", answer->error);
    snprintf(own->type, sizeof own->type, "%s", answer->content_type);
    snprintf(own->retry, sizeof own->retry, "%s", answer->retry_after);
    snprintf(own->body, sizeof own->body, "%.*s", (int)(answer->body.n < 500 ? answer->body.n : 500),
        answer->body.n > 0 ? answer->body.s : "");
    own->body_size = answer->body.n;
    if (own->cancel_next != 0)
        kt_fetch_cancel(own->fetcher, own->cancel_next);
}

static house *house_open(void)
{
    house *own = calloc(1, sizeof *own);
    const kt_http_server_options options = { .host = "127.0.0.1", .on_request = on_request, .ctx = own };
    const kt_fetcher_options fetcher = { .fetch_max = 3, .user_agent = "kontor test" };

    assert_non_null(own);
    assert_int_equal(kt_loop_new(NULL, &own->loop, NULL), KT_OK);
    assert_int_equal(kt_http_server_open(own->loop, &options, &own->server, NULL), KT_OK);
    assert_int_equal(kt_fetcher_new(own->loop, &fetcher, &own->fetcher, NULL), KT_OK);
    return own;
}

static void house_close(house *own)
{
    kt_fetcher_free(own->fetcher);
    kt_http_server_close(own->server);
    kt_loop_free(own->loop);
    free(own);
}

static uint64_t ask(house *own, kt_fetch_spec spec, const char *path)
{
    char url[256];
    kt_err err = { 0 };
    uint64_t id = 0;

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", kt_http_server_port(own->server), path);
    spec.url = url;
    spec.on_done = on_done;
    spec.ctx = own;
    if (kt_fetch_start(own->fetcher, &spec, &id, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_true(id != 0);
    return id;
}

static const struct {
    const char *name;
    kt_http_method method;
    const char *path;
    const char *body;
    const char *asked; /* what the server saw */
    int status;
    const char *answer;
    const char *retry;
} rows[] = {
    { "GET", KT_HTTP_GET, "/api/v3/trades?symbol=BTCUSDT&limit=1000", "",
        "GET /api/v3/trades?symbol=BTCUSDT&limit=1000 key ", 200, "{}", "" },
    { "POST", KT_HTTP_POST, "/orders", "{\"a\":1}", "POST /orders? key {\"a\":1}", 200, "{}", "" },
    { "POST without a body", KT_HTTP_POST, "/orders", "", "POST /orders? key ", 200, "{}", "" },
    { "PUT", KT_HTTP_PUT, "/x", "abc", "PUT /x? key abc", 200, "{}", "" },
    { "DELETE", KT_HTTP_DELETE, "/x", "", "DELETE /x? key ", 200, "{}", "" },
    { "HEAD", KT_HTTP_HEAD, "/x", "", "HEAD /x? key ", 200, "", "" },
    { "429 with Retry-After", KT_HTTP_GET, "/busy", "", "GET /busy? key ", 429, "{}", "7" },
    { "a redirect is an answer like any other", KT_HTTP_GET, "/moved", "", "GET /moved? key ", 302, "{}", "" },
};

static void requests_get_their_answers(void **state)
{
    house *own = house_open();
    const kt_http_field key = { KT_TEXT("X-MBX-APIKEY"), KT_TEXT("key") };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        int done = own->done;
        kt_fetch_spec spec = {
            .method = rows[i].method, .fields = &key, .field_count = 1, .body = kt_text_of(rows[i].body)
        };
        ask(own, spec, rows[i].path);
        KT_ROW(rows[i].name, own->done == done); /* never inside kt_fetch_start */
        TURN_UNTIL(own->loop, own->done > done);
        KT_ROW(rows[i].name, own->answer.code == KT_OK);
        KT_ROW(rows[i].name, own->answer.status == rows[i].status);
        KT_ROW(rows[i].name, strcmp(own->asked, rows[i].asked) == 0);
        KT_ROW(rows[i].name, strcmp(own->body, rows[i].answer) == 0);
        KT_ROW(rows[i].name, strcmp(own->retry, rows[i].retry) == 0);
        KT_ROW(rows[i].name, strcmp(own->type, "application/json") == 0);
        KT_ROW(rows[i].name, strcmp(own->error, "") == 0);
    }
    assert_int_equal(kt_http_server_get_stats(own->server).accepted, 1); /* the connection was kept */
    house_close(own);
}

static void an_answer_has_a_maximum_size_and_a_time_limit(void **state)
{
    house *own = house_open();

    ask(own, (kt_fetch_spec){ .answer_max = 100000 }, "/large");
    TURN_UNTIL(own->loop, own->done == 1);
    assert_int_equal(own->answer.code, KT_OK);
    assert_int_equal(own->body_size, 100000);
    ask(own, (kt_fetch_spec){ .answer_max = 99999 }, "/large");
    TURN_UNTIL(own->loop, own->done == 2);
    assert_int_equal(own->answer.code, KT_LIMIT);
    assert_string_equal(own->error, "127.0.0.1: answer larger than 99999 bytes");
    ask(own, (kt_fetch_spec){ .time_ms = 50 }, "/later");
    TURN_UNTIL(own->loop, own->done == 3);
    assert_int_equal(own->answer.code, KT_TIMEOUT);
    assert_int_equal(own->answer.status, 0);
    assert_int_equal(strncmp(own->error, "127.0.0.1: ", 11), 0);
    house_close(own);
}

static void a_server_that_is_not_there_is_named(void **state)
{
    house *own = house_open();
    kt_err err = { 0 };
    const kt_http_field bad = { KT_TEXT("A"), KT_TEXT("b\r\nC: d") };
    kt_fetch_spec spec = { .url = "ftp://127.0.0.1/", .on_done = on_done, .ctx = own };

    assert_int_equal(kt_fetch_start(own->fetcher, &spec, NULL, &err), KT_SYNTAX);
    spec.url = "ws://127.0.0.1/";
    assert_int_equal(kt_fetch_start(own->fetcher, &spec, NULL, &err), KT_SYNTAX);
    spec.url = "http://127.0.0.1:1/";
    spec.fields = &bad;
    spec.field_count = 1;
    assert_int_equal(kt_fetch_start(own->fetcher, &spec, NULL, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "header 'A'"));
    spec.field_count = 0;
    assert_int_equal(kt_fetch_start(own->fetcher, &spec, NULL, &err), KT_OK);
    TURN_UNTIL(own->loop, own->done == 1);
    assert_int_equal(own->answer.code, KT_SYS);
    assert_non_null(strstr(own->error, "127.0.0.1"));
    house_close(own);
}

static void requests_are_bounded_and_may_be_cancelled(void **state)
{
    house *own = house_open();
    kt_fetch_spec spec = { .url = "http://127.0.0.1/", .on_done = on_done, .ctx = own };
    kt_http_response response = { .status = 200, .body = KT_TEXT("{}") };

    uint64_t first = ask(own, (kt_fetch_spec){ 0 }, "/later");
    uint64_t second = ask(own, (kt_fetch_spec){ 0 }, "/a");
    ask(own, (kt_fetch_spec){ 0 }, "/b");
    assert_int_equal(kt_fetch_start(own->fetcher, &spec, NULL, NULL), KT_FULL);
    kt_fetch_cancel(own->fetcher, second);
    kt_fetch_cancel(own->fetcher, second);
    assert_int_equal(kt_fetcher_open_count(own->fetcher), 2);
    TURN_UNTIL(own->loop, own->done == 1 && own->held != 0);
    own->cancel_next = first;
    ask(own, (kt_fetch_spec){ 0 }, "/c");
    TURN_UNTIL(own->loop, own->done == 2);
    assert_int_equal(kt_fetcher_open_count(own->fetcher), 0);
    (void)kt_http_respond(own->server, own->held, &response);
    for (int turn = 0; turn < 10; turn++)
        kt_loop_turn(own->loop, 1000000, NULL);
    assert_int_equal(own->done, 2);
    ask(own, (kt_fetch_spec){ 0 }, "/later"); /* still open at the end */
    kt_loop_turn(own->loop, 1000000, NULL);
    house_close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_their_answers),
        cmocka_unit_test(an_answer_has_a_maximum_size_and_a_time_limit),
        cmocka_unit_test(a_server_that_is_not_there_is_named),
        cmocka_unit_test(requests_are_bounded_and_may_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
