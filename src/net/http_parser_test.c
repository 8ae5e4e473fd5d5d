#include "base/test.h"
#include "base/test_util.h"
#include "net/http_parser.h"
#include <stdio.h>
#include <stdlib.h>

/* What makes a request bad is in the rows of http_server_test.c, over real sockets; here is what they can not show. */

static const char *const heads[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nPOST /a/b?c=d HTTP/1.1\r\nHost: a:80\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
    "GET http://a/b HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nX:\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: [::1]:3000\r\nTransfer-Encoding: chunked\r\nA: \xc3\xa9\r\n\r\n",
    "DELETE /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
};

typedef struct verdict {
    kt_code code;
    size_t used;
    kt_http_error error;
    char text[8192]; /* everything of the request */
} verdict;

static void verdict_take(verdict *own, kt_code code, const kt_http_request *request, size_t used)
{
    size_t n = 0;

    own->code = code;
    own->used = used;
    if (code != KT_OK)
        return;
    n += (size_t)snprintf(own->text, sizeof own->text, "%d %.*s|%.*s|%.*s|%.*s %d%d%d%d%d %llu", request->method,
        KT_TEXT_ARG(request->target), KT_TEXT_ARG(request->path), KT_TEXT_ARG(request->query),
        KT_TEXT_ARG(request->host), request->minor, request->keep_alive, request->upgrade, request->chunked,
        request->expect_continue, (unsigned long long)request->content_length);
    for (uint32_t i = 0; i < request->field_count && n < sizeof own->text; i++)
        n += (size_t)snprintf(own->text + n, sizeof own->text - n, "\n%.*s=%.*s", KT_TEXT_ARG(request->fields[i].name),
            KT_TEXT_ARG(request->fields[i].value));
}

static void judge_whole(const char *data, size_t size, verdict *out)
{
    kt_http_scan scan = { 0 };
    kt_http_request request;
    size_t used = 0;

    *out = (verdict){ .code = KT_EMPTY };
    char *copy = kt_guard_copy(data, size);
    kt_code code = kt_http_parse_request(&scan, (kt_text){ copy, size }, &request, &used, &out->error);
    verdict_take(out, code, &request, used);
    kt_guard_free(copy, size);
}

/* The same bytes, longer by `step` at each call. */
static void judge_growing(const char *data, size_t size, size_t step, verdict *out)
{
    kt_http_scan scan = { 0 };
    kt_http_request request;
    kt_code code = KT_EMPTY;
    size_t used = 0;

    *out = (verdict){ .code = KT_EMPTY };
    for (size_t have = 0; have < size && code == KT_EMPTY;) {
        have = have + step < size ? have + step : size;
        char *copy = kt_guard_copy(data, have);
        code = kt_http_parse_request(&scan, (kt_text){ copy, have }, &request, &used, &out->error);
        verdict_take(out, code, &request, used);
        kt_guard_free(copy, have);
    }
}

static void expect_equal(const char *data, size_t size, size_t step)
{
    static verdict whole, growing;

    judge_whole(data, size, &whole);
    judge_growing(data, size, step, &growing);
    assert_int_equal(whole.code, growing.code);
    assert_int_equal(whole.used, growing.used);
    assert_int_equal(whole.error.status, growing.error.status);
    assert_string_equal(whole.error.why, growing.error.why);
    assert_string_equal(whole.text, growing.text);
}

static void a_head_is_asked_for_until_it_is_whole(void **state)
{
    static verdict got;

    for (size_t i = 0; i < KT_COUNT(heads); i++) {
        size_t size = strlen(heads[i]);
        for (size_t have = 0; have < size; have++) {
            judge_whole(heads[i], have, &got);
            assert_int_equal(got.code, KT_EMPTY);
        }
        judge_whole(heads[i], size, &got);
        assert_int_equal(got.code, KT_OK);
        assert_int_equal(got.used, size);
    }
}

static void split_input_gives_the_same_verdict_as_whole_input(void **state)
{
    static const char likely[] = "\r\n :,;\t/?#AaHh019\001\177\200-";
    kt_rng rng;
    char data[512];

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t round = 0; round < kt_test_cases(5000); round++) {
        const char *head = heads[kt_rng_below(&rng, KT_COUNT(heads))];
        size_t size = strlen(head);
        memcpy(data, head, size);
        for (uint64_t changes = kt_rng_below(&rng, 4); changes > 0; changes--) {
            size_t at = (size_t)kt_rng_below(&rng, size);
            if (kt_rng_chance(&rng, 0.5)) {
                data[at] = likely[kt_rng_below(&rng, sizeof likely - 1)];
            } else if (size + 8 < sizeof data) {
                memmove(data + at + 1, data + at, size - at);
                data[at] = likely[kt_rng_below(&rng, sizeof likely - 1)];
                size++;
            }
        }
        expect_equal(data, size, (size_t)kt_rng_between(&rng, 1, 20));
    }
}

/* Around each bound, where one byte decides. */
static void bounds_hold_to_the_byte(void **state)
{
    static char data[40000];
    static verdict got;

    for (int spare = -3; spare <= 3; spare++) {
        size_t n = (size_t)snprintf(data, sizeof data, "GET / HTTP/1.1\r\nHost: a\r\nA: ");
        size_t fill = (size_t)(KT_HTTP_FIELD_MAX - 5 + spare);
        memset(data + n, 'x', fill);
        memcpy(data + n + fill, "\r\n\r\n", 4);
        judge_whole(data, n + fill + 4, &got);
        assert_int_equal(got.code, spare <= 0 ? KT_OK : KT_SYNTAX);
        assert_int_equal(got.error.status, spare <= 0 ? 0 : 431);
        expect_equal(data, n + fill + 4, 777);

        n = (size_t)snprintf(data, sizeof data, "GET /");
        fill = (size_t)(KT_HTTP_TARGET_MAX - 1 + spare);
        memset(data + n, 'x', fill);
        memcpy(data + n + fill, " HTTP/1.1\r\nHost: a\r\n\r\n", 22);
        judge_whole(data, n + fill + 22, &got);
        assert_int_equal(got.code, spare <= 0 ? KT_OK : KT_SYNTAX);
        assert_int_equal(got.error.status, spare <= 0 ? 0 : 414);
        expect_equal(data, n + fill + 22, 777);

        /* Three lines of 5,000 bytes and a last one up to the bound of the whole head. */
        n = (size_t)snprintf(data, sizeof data, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int line = 0; line < 3; line++) {
            memset(data + n, 'a', 4998);
            data[n + 1] = ':';
            memcpy(data + n + 4998, "\r\n", 2);
            n += 5000;
        }
        fill = (size_t)(KT_HTTP_HEAD_MAX - (int)n - 4 + spare);
        memset(data + n, 'b', fill);
        data[n + 1] = ':';
        memcpy(data + n + fill, "\r\n\r\n", 4);
        judge_whole(data, n + fill + 4, &got);
        assert_int_equal(got.code, spare <= 0 ? KT_OK : KT_SYNTAX);
        assert_int_equal(got.error.status, spare <= 0 ? 0 : 431);
        expect_equal(data, n + fill + 4, 777);
    }
}

static void lists_are_searched_token_by_token(void **state)
{
    const kt_http_field fields[] = {
        { KT_TEXT("Connection"), KT_TEXT("keep-alive, Upgrade") },
        { KT_TEXT("connection"), KT_TEXT(" ,close,") },
        { KT_TEXT("X"), KT_TEXT("") },
    };
    kt_text value;

    assert_true(kt_http_field_has_token(fields, 3, KT_TEXT("CONNECTION"), KT_TEXT("upgrade")));
    assert_true(kt_http_field_has_token(fields, 3, KT_TEXT("Connection"), KT_TEXT("Keep-Alive")));
    assert_true(kt_http_field_has_token(fields, 3, KT_TEXT("Connection"), KT_TEXT("close")));
    assert_false(kt_http_field_has_token(fields, 3, KT_TEXT("Connection"), KT_TEXT("keep")));
    assert_false(kt_http_field_has_token(fields, 3, KT_TEXT("X"), KT_TEXT("close")));
    assert_int_equal(kt_http_field_count(fields, 3, KT_TEXT("Connection")), 2);
    assert_true(kt_http_field_get(fields, 3, KT_TEXT("x"), &value));
    assert_false(kt_http_field_get(fields, 3, KT_TEXT("y"), &value));
    assert_string_equal(kt_http_status_text(404), "Not Found");
    assert_string_equal(kt_http_status_text(799), "Unknown");
}

/* --- chunked bodies --------------------------------------------------------------------------------------------- */

static size_t chunks_build(kt_rng *rng, const uint8_t *body, size_t size, uint8_t *to)
{
    size_t n = 0;

    for (size_t at = 0; at < size;) {
        size_t piece = (size_t)kt_rng_between(rng, 1, 40);
        piece = piece < size - at ? piece : size - at;
        n += (size_t)sprintf((char *)to + n, kt_rng_chance(rng, 0.5) ? "%zx%s\r\n" : "%04zX%s\r\n", piece,
            kt_rng_chance(rng, 0.2) ? ";name=\"value\"" : "");
        memcpy(to + n, body + at, piece);
        memcpy(to + n + piece, "\r\n", 2);
        n += piece + 2;
        at += piece;
    }
    n += (size_t)sprintf((char *)to + n, "0\r\n%s\r\n", kt_rng_chance(rng, 0.3) ? "Trailer: x\r\nAnother:\r\n" : "");
    return n;
}

static void chunks_come_back_as_the_body_they_were(void **state)
{
    kt_rng rng;
    uint8_t body[300], sent[8192], back[8192];

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t round = 0; round < kt_test_cases(5000); round++) {
        kt_http_chunked chunked = { 0 };
        kt_http_error error;
        kt_code code = KT_EMPTY;
        size_t size = (size_t)kt_rng_below(&rng, sizeof body + 1), have = 0, at = 0;
        kt_rng_fill(&rng, body, size);
        size_t n = chunks_build(&rng, body, size, sent);
        memcpy(sent + n, "GET ", 4); /* of the next request, not to be touched */
        while (code == KT_EMPTY && at < n + 4) {
            size_t piece = (size_t)kt_rng_between(&rng, 1, 60), got = 0, used = 0;
            piece = piece < n + 4 - at ? piece : n + 4 - at;
            uint8_t *copy = kt_guard_copy(sent + at, piece);
            code = kt_http_chunked_decode(&chunked, copy, piece, &got, &used, &error);
            assert_true(code == KT_OK || used == piece);
            memcpy(back + have, copy, got);
            kt_guard_free(copy, piece);
            have += got;
            at += used;
        }
        assert_int_equal(code, KT_OK);
        assert_int_equal(at, n);
        assert_int_equal(have, size);
        assert_memory_equal(back, body, size);
    }
}

static void an_answer_is_read_too(void **state)
{
    static const struct {
        const char *name, *head;
        kt_code code;
        int status;
    } rows[] = {
        { "101", "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n", KT_OK, 101 },
        { "no reason", "HTTP/1.1 204 \r\n\r\n", KT_OK, 204 },
        { "no reason and no space", "HTTP/1.1 204\r\n\r\n", KT_OK, 204 },
        { "HTTP/1.0", "HTTP/1.0 404 x\r\n\r\n", KT_OK, 404 },
        { "not whole", "HTTP/1.1 101 Switching", KT_EMPTY, 0 },
        { "status of two digits", "HTTP/1.1 10 x\r\n\r\n", KT_SYNTAX, 0 },
        { "status of four digits", "HTTP/1.1 1010 x\r\n\r\n", KT_SYNTAX, 0 },
        { "status not a number", "HTTP/1.1 abc x\r\n\r\n", KT_SYNTAX, 0 },
        { "HTTP/2", "HTTP/2 200 x\r\n\r\n", KT_SYNTAX, 0 },
        { "bare LF", "HTTP/1.1 200 x\n\n", KT_SYNTAX, 0 },
        { "empty line first", "\r\n\r\n", KT_SYNTAX, 0 },
        { "header without a colon", "HTTP/1.1 200 x\r\nabc\r\n\r\n", KT_SYNTAX, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_http_scan scan = { 0 };
        kt_http_response_head head;
        kt_http_error error;
        size_t used = 0, size = strlen(rows[i].head);
        char *copy = kt_guard_copy(rows[i].head, size);
        kt_code code = kt_http_parse_response(&scan, (kt_text){ copy, size }, &head, &used, &error);
        kt_guard_free(copy, size);
        KT_ROW(rows[i].name, code == rows[i].code);
        KT_ROW(rows[i].name, code != KT_OK || (head.status == rows[i].status && used == size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_asked_for_until_it_is_whole),
        cmocka_unit_test(split_input_gives_the_same_verdict_as_whole_input),
        cmocka_unit_test(bounds_hold_to_the_byte),
        cmocka_unit_test(lists_are_searched_token_by_token),
        cmocka_unit_test(chunks_come_back_as_the_body_they_were),
        cmocka_unit_test(an_answer_is_read_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
