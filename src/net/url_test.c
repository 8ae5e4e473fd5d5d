#include "base/test.h"
#include "base/test_util.h"
#include "net/url.h"
#include <stdio.h>

static const struct {
    const char *url;
    kt_url_scheme scheme;
    const char *host;
    uint16_t port;
    const char *path, *query, *target;
} good_rows[] = {
    { "http://a", KT_URL_HTTP, "a", 80, "/", "", "/" },
    { "https://a/", KT_URL_HTTPS, "a", 443, "/", "", "/" },
    { "ws://127.0.0.1:3001/stream", KT_URL_WS, "127.0.0.1", 3001, "/stream", "", "/stream" },
    { "wss://stream.binance.com:9443/stream?streams=a@b/c@d", KT_URL_WSS, "stream.binance.com", 9443, "/stream",
        "streams=a@b/c@d", "/stream?streams=a@b/c@d" },
    { "http://[::1]:80/", KT_URL_HTTP, "::1", 80, "/", "", "/" },
    { "http://a:65535/b?", KT_URL_HTTP, "a", 65535, "/b", "", "/b?" },
    { "http://a/b?c?d", KT_URL_HTTP, "a", 80, "/b", "c?d", "/b?c?d" },
};

static const struct {
    const char *name, *url, *says;
} bad_rows[] = {
    { "empty", "", "must begin with" },
    { "no scheme", "a/b", "must begin with" },
    { "another scheme", "ftp://a/", "must begin with" },
    { "scheme in capitals", "HTTP://a/", "must begin with" },
    { "no host", "http:///a", "no valid host" },
    { "no host at all", "http://", "no valid host" },
    { "user and password", "http://a:b@c/", "port outside" },
    { "user", "http://a@c/", "no valid host" },
    { "port 0", "http://a:0/", "port outside" },
    { "port 65536", "http://a:65536/", "port outside" },
    { "port of six digits", "http://a:000080/", "port outside" },
    { "port empty", "http://a:/", "port outside" },
    { "port not a number", "http://a:b/", "port outside" },
    { "fragment", "http://a/b#c", "must not stand" },
    { "space", "http://a/b c", "must not stand" },
    { "line end", "http://a/b\r\nX: y", "must not stand" },
    { "byte above ASCII", "http://a/\xc3\xa9", "must not stand" },
    { "query without a path", "http://a?b", "no valid host" },
    { "IPv6 without its end", "http://[::1/", "no valid host" },
    { "IPv6 with a name", "http://[host]/", "no valid host" },
};

static void urls_are_taken_apart(void **state)
{
    for (size_t i = 0; i < KT_COUNT(good_rows); i++) {
        const char *name = good_rows[i].url;
        kt_url url;
        kt_err err;
        if (kt_url_parse(kt_text_of(name), &url, &err) != KT_OK)
            fail_msg("%s", err.msg);
        KT_ROW(name, url.scheme == good_rows[i].scheme);
        KT_ROW(name, kt_text_equal(url.host, kt_text_of(good_rows[i].host)));
        KT_ROW(name, url.port == good_rows[i].port);
        KT_ROW(name, kt_text_equal(url.path, kt_text_of(good_rows[i].path)));
        KT_ROW(name, kt_text_equal(url.query, kt_text_of(good_rows[i].query)));
        KT_ROW(name, kt_text_equal(url.target, kt_text_of(good_rows[i].target)));
    }
}

static void bad_urls_are_refused_by_name(void **state)
{
    static char large[KT_URL_SIZE_MAX + 2] = "http://a/";
    kt_url url;
    kt_err err;

    for (size_t i = 0; i < KT_COUNT(bad_rows); i++) {
        KT_ROW(bad_rows[i].name, kt_url_parse(kt_text_of(bad_rows[i].url), &url, &err) == KT_SYNTAX);
        if (strstr(err.msg, bad_rows[i].says) == NULL || strstr(err.msg, bad_rows[i].url) == NULL)
            fail_msg("row \"%s\": %s", bad_rows[i].name, err.msg);
    }
    memset(large + 9, 'b', KT_URL_SIZE_MAX + 1 - 9);
    assert_int_equal(kt_url_parse(kt_text_of(large), &url, &err), KT_SYNTAX);
    large[KT_URL_SIZE_MAX] = 0;
    assert_int_equal(kt_url_parse(kt_text_of(large), &url, &err), KT_OK);
}

static const struct {
    const char *encoded;
    bool plus_is_space;
    const char *plain; /* NULL: KT_SYNTAX */
} decode_rows[] = {
    { "", false, "" },
    { "abc", false, "abc" },
    { "a%20b%2F%2f", false, "a b//" },
    { "a+b", false, "a+b" },
    { "a+b", true, "a b" },
    { "%2B+", true, "+ " },
    { "%E2%82%AC", false, "\xe2\x82\xac" },
    { "%", false, NULL },
    { "a%4", false, NULL },
    { "%4g", false, NULL },
    { "%00", false, NULL },
    { "%%41", false, NULL },
};

static void percent_signs_are_understood(void **state)
{
    char plain[64];
    char encoded[64];
    size_t size = 0;

    for (size_t i = 0; i < KT_COUNT(decode_rows); i++) {
        const char *name = decode_rows[i].encoded;
        kt_code code = kt_url_decode(kt_text_of(name), decode_rows[i].plus_is_space, plain, &size);
        KT_ROW(name, code == (decode_rows[i].plain != NULL ? KT_OK : KT_SYNTAX));
        KT_ROW(name, code != KT_OK || kt_text_equal((kt_text){ plain, size }, kt_text_of(decode_rows[i].plain)));
    }
    assert_int_equal(kt_url_encode(encoded, sizeof encoded, KT_TEXT("BTC/USDT a+b~")), 19);
    assert_string_equal(encoded, "BTC%2FUSDT%20a%2Bb~");
    assert_int_equal(kt_url_encode(encoded, 3, KT_TEXT("/")), 3);
    assert_int_equal(kt_url_encode(encoded, 4, KT_TEXT("/")), 3);
    assert_string_equal(encoded, "%2F");
}

static void what_was_encoded_comes_back(void **state)
{
    kt_rng rng;
    char encoded[301], decoded[301];
    uint8_t plain[100];

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t round = 0; round < kt_test_cases(20000); round++) {
        size_t size = (size_t)kt_rng_below(&rng, sizeof plain + 1), back = 0;
        for (size_t i = 0; i < size; i++)
            plain[i] = (uint8_t)kt_rng_between(&rng, 1, 255);
        size_t need = kt_url_encode(encoded, sizeof encoded, (kt_text){ (const char *)plain, size });
        assert_true(need <= 3 * size);
        assert_int_equal(kt_url_decode((kt_text){ encoded, need }, kt_rng_chance(&rng, 0.5), decoded, &back), KT_OK);
        assert_int_equal(back, size);
        assert_memory_equal(decoded, plain, size);
    }
}

static void query_strings_are_walked(void **state)
{
    kt_text query = KT_TEXT("ticker=BTC&&ts=1&flag&empty=&ticker=ETH&=x");
    kt_text name, value;
    char order[256] = "";

    for (size_t at = 0; kt_url_query_next(query, &at, &name, &value);)
        snprintf(
            order + strlen(order), sizeof order - strlen(order), "%.*s:%.*s,", KT_TEXT_ARG(name), KT_TEXT_ARG(value));
    assert_string_equal(order, "ticker:BTC,ts:1,flag:,empty:,ticker:ETH,:x,");
    assert_true(kt_url_query(query, KT_TEXT("ticker"), &value));
    assert_true(kt_text_equal(value, KT_TEXT("BTC")));
    assert_true(kt_url_query(query, KT_TEXT("flag"), &value));
    assert_int_equal(value.n, 0);
    assert_false(kt_url_query(query, KT_TEXT("tick"), &value));
    assert_false(kt_url_query((kt_text){ 0 }, KT_TEXT("a"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused_by_name),
        cmocka_unit_test(percent_signs_are_understood),
        cmocka_unit_test(what_was_encoded_comes_back),
        cmocka_unit_test(query_strings_are_walked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
