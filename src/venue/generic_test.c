/* The generic format, message by message. Expected values: reference/contracts.md section 1. */
#include "venue/test_sink.h"

static const told_case messages[] = {
    { "the contract's own example",
        "{\"ticker\":\"BTC\",\"ts\":1684083600123,\"quantity\":0.5,\"price\":27000.1,\"tradeid\":\"a1\"}",
        "tick BTC 1684083600123000000 27000.1 0.5 unknown a1 0" },
    { "tradeId as the README spells it",
        "{\"ticker\":\"BTC\",\"ts\":1684083600123,\"quantity\":0.5,\"price\":27000.1,\"tradeId\":\"a1\"}",
        "tick BTC 1684083600123000000 27000.1 0.5 unknown a1 0" },
    { "fields in any order, unknown fields ignored",
        " { \"tradeid\":\"\\u0061\\\"1\", \"x\":[{}], \"price\":1, \"quantity\":2, \"x\":1, \"ts\":3, \"ticker\":\"BTC/USDT\" } ",
        "tick BTC/USDT 3000000 1 2 unknown a\"1 0" },
    { "trailing zeros do not count",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":0.50000000000000000000,\"price\":27000.10,\"tradeid\":\"a\"}",
        "tick BTC 1000000 27000.1 0.5 unknown a 0" },
    { "exponents are numbers too",
        "{\"ticker\":\"BTC\",\"ts\":1.684083600123e12,\"quantity\":5e-8,\"price\":1E2,\"tradeid\":\"a\"}",
        "tick BTC 1684083600123000000 100 0.00000005 unknown a 0" },
    { "times finer than a millisecond",
        "{\"ticker\":\"BTC\",\"ts\":1684083600123.456,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "tick BTC 1684083600123456000 1 1 unknown a 0" },
    { "ids beyond 2^53 keep every digit",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"9007199254740993000000000001\"}",
        "tick BTC 1000000 1 1 unknown 9007199254740993000000000001 0" },
    { "prices beyond 2^53 keep every digit",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":90071992547.40993001,\"tradeid\":\"a\"}",
        "tick BTC 1000000 90071992547.40993001 1 unknown a 0" },
    { "the greatest mantissa at scale 8",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":92233720368.54775807,\"tradeid\":\"a\"}",
        "tick BTC 1000000 92233720368.54775807 1 unknown a 0" },

    { "malformed: no JSON", "<html>502 Bad Gateway</html>", "invalid malformed" },
    { "malformed: empty", "", "invalid malformed" },
    { "malformed: trailing comma", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\",}",
        "invalid malformed" },
    { "malformed: bad UTF-8", "{\"ticker\":\"\xff\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid malformed" },
    { "malformed: half a surrogate pair",
        "{\"ticker\":\"\\ud800\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}", "invalid malformed: ticker" },
    { "malformed: two values", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"} {}",
        "invalid malformed" },
    { "truncated in a number's object", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1",
        "invalid malformed" },
    { "truncated in a text", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a",
        "invalid malformed" },
    { "truncated before the last brace", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"",
        "invalid malformed" },
    { "oversized", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"#\"}", "invalid oversized",
        "x", KT_VENUE_MESSAGE_MAX },
    { "oversized: more values than nodes", "[#1]", "invalid oversized", "1,", 9000 },
    { "10,000 deep", "{\"ticker\":\"BTC\",\"x\":#1}", "invalid malformed", "[", 10000 },
    { "10,000 deep, objects", "#", "invalid malformed", "{\"a\":", 10000 },

    { "not an object: array", "[]", "invalid wrong type" },
    { "not an object: null", "null", "invalid wrong type" },
    { "known field missing: ticker", "{\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid missing field: ticker" },
    { "known field missing: ts", "{\"ticker\":\"BTC\",\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid missing field: ts" },
    { "known field missing: quantity", "{\"ticker\":\"BTC\",\"ts\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid missing field: quantity" },
    { "known field missing: price", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"tradeid\":\"a\"}",
        "invalid missing field: price" },
    { "known field missing: tradeid", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1}",
        "invalid missing field: tradeid" },
    { "wrongly typed: ticker", "{\"ticker\":7,\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid wrong type: ticker" },
    { "wrongly typed: ts", "{\"ticker\":\"BTC\",\"ts\":\"1\",\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid wrong type: ts" },
    { "wrongly typed: quantity", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":\"1\",\"price\":1,\"tradeid\":\"a\"}",
        "invalid wrong type: quantity" },
    { "wrongly typed: price", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":null,\"tradeid\":\"a\"}",
        "invalid wrong type: price" },
    { "wrongly typed: tradeid", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":17}",
        "invalid wrong type: tradeid" },
    { "given twice: price", "{\"ticker\":\"BTC\",\"price\":1,\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid duplicate field: price" },
    { "given twice: the second spelled with an escape",
        "{\"ticker\":\"BTC\",\"price\":1,\"ts\":1,\"quantity\":1,\"\\u0070rice\":1,\"tradeid\":\"a\"}",
        "invalid duplicate field: price" },
    { "given twice: tradeid and tradeId",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\",\"tradeId\":\"a\"}",
        "invalid duplicate field: tradeid" },
    { "negative price", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":-1,\"tradeid\":\"a\"}",
        "invalid not positive: price" },
    { "negative quantity", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":-0.5,\"price\":1,\"tradeid\":\"a\"}",
        "invalid not positive: quantity" },
    { "negative time", "{\"ticker\":\"BTC\",\"ts\":-1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid not positive: ts" },
    { "zero price", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":0.00,\"tradeid\":\"a\"}",
        "invalid not positive: price" },
    { "zero quantity", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":-0,\"price\":1,\"tradeid\":\"a\"}",
        "invalid not positive: quantity" },
    { "zero time", "{\"ticker\":\"BTC\",\"ts\":0,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid not positive: ts" },
    { "non-finite: NaN", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":NaN,\"tradeid\":\"a\"}",
        "invalid malformed" },
    { "non-finite: Infinity", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":Infinity,\"price\":1,\"tradeid\":\"a\"}",
        "invalid malformed" },
    { "non-finite: as a text", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":\"NaN\",\"tradeid\":\"a\"}",
        "invalid wrong type: price" },
    { "non-finite in double: 1e400", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1e400,\"tradeid\":\"a\"}",
        "invalid out of range: price" },
    { "an exponent of 20 digits",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1e99999999999999999999,\"tradeid\":\"a\"}",
        "invalid out of range: price" },
    { "decimal of 40 digits", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":#,\"tradeid\":\"a\"}",
        "invalid out of range: price", "7", 40 },
    { "decimal of 40 digits behind the point",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":0.#,\"price\":1,\"tradeid\":\"a\"}",
        "invalid out of range: quantity", "7", 40 },
    { "fits 64 bits, but not with its scale",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":92233720368.54775808,\"tradeid\":\"a\"}",
        "invalid out of range: price" },
    { "whole, fits 64 bits, but not with its scale",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":9223372036854775807,\"price\":1,\"tradeid\":\"a\"}",
        "invalid out of range: quantity" },
    { "more digits than its scale",
        "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1.000000001,\"tradeid\":\"a\"}",
        "invalid out of range: price" },
    { "a time in microseconds",
        "{\"ticker\":\"BTC\",\"ts\":1684083600123456,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid out of range: ts" },
    { "an empty id", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"\"}",
        "invalid out of range: tradeid" },
    { "an id of 129 bytes", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"#\"}",
        "invalid out of range: tradeid", "x", 129 },
    { "a ticker of 65 bytes", "{\"ticker\":\"#\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid out of range: ticker", "x", 65 },
    { "an empty ticker", "{\"ticker\":\"\",\"ts\":1,\"quantity\":1,\"price\":1,\"tradeid\":\"a\"}",
        "invalid out of range: ticker" },
};

static void test_messages(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "BTC", 8192);

    told_run(decoder, messages, KT_COUNT(messages));
    kt_venue_decoder_free(decoder);
}

/* Every prefix of a message is a message cut short, and says so. */
static void test_truncated_anywhere(void **state)
{
    const char *text =
        "{\"ticker\":\"BTC\",\"ts\":1684083600123,\"quantity\":0.5,\"price\":27000.1,\"tradeid\":\"a1\"}";
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "", 0);
    static kt_told told;

    for (size_t n = 0; n < strlen(text); n++) {
        kt_venue_sink sink = told_start(&told);
        char *copy = kt_guard_copy(text, n);

        kt_venue_decode_message(decoder, (kt_text){ copy, n }, 1, &sink);
        assert_string_equal(told.mem, "invalid malformed");
        kt_guard_free(copy, n);
    }
    kt_venue_decoder_free(decoder);
}

static void test_scales_of_the_instrument_count(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "", 0);
    kt_row_instrument row = {
        .symbol = KT_TEXT("BTC"), .venue_symbol = KT_TEXT("BTC"), .price_scale = 2, .quantity_scale = 0
    };
    const told_case rows[] = {
        { "fits", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":3,\"price\":27000.12,\"tradeid\":\"a\"}",
            "tick BTC 1000000 27000.12 3 unknown a 0" },
        { "price too fine", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":3,\"price\":27000.123,\"tradeid\":\"a\"}",
            "invalid out of range: price" },
        { "quantity too fine", "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":0.5,\"price\":27000.12,\"tradeid\":\"a\"}",
            "invalid out of range: quantity" },
        { "others have the decoder's own",
            "{\"ticker\":\"ETH\",\"ts\":1,\"quantity\":0.5,\"price\":2.123,\"tradeid\":\"a\"}",
            "tick ETH 1000000 2.123 0.5 unknown a 0" },
    };

    assert_int_equal(kt_venue_instrument_put(decoder, &row, NULL), KT_OK);
    told_run(decoder, rows, KT_COUNT(rows));
    kt_venue_decoder_free(decoder);
}

static void test_instruments_that_can_not_be(void **state)
{
    static char wide[KT_VENUE_SYMBOL_SIZE + 1];
    memset(wide, 'S', sizeof wide);
    const kt_text long_one = { wide, sizeof wide };
    const struct {
        const char *name;
        kt_row_instrument row;
        kt_code code;
        const char *told;
    } rows[] = {
        { "without a symbol", { .venue_symbol = KT_TEXT("A") }, KT_ARG, "needs its symbol" },
        { "without the venue's", { .symbol = KT_TEXT("A") }, KT_ARG, "needs its symbol" },
        { "a scale beyond 18", { .symbol = KT_TEXT("A"), .venue_symbol = KT_TEXT("A"), .price_scale = 19 }, KT_ARG,
            "0 to 18" },
        { "the quantity's too", { .symbol = KT_TEXT("A"), .venue_symbol = KT_TEXT("A"), .quantity_scale = 19 }, KT_ARG,
            "0 to 18" },
        { "a symbol that is too long", { .symbol = long_one, .venue_symbol = KT_TEXT("A") }, KT_RANGE, "longer than" },
        { "a base that is too long", { .symbol = KT_TEXT("A"), .venue_symbol = KT_TEXT("A"), .base = long_one },
            KT_RANGE, "longer than" },
        { "a name that stands for another", { .symbol = KT_TEXT("BTC"), .venue_symbol = KT_TEXT("A") }, KT_ARG,
            "stood for" },
    };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "BTC", 1);
    kt_err err;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_code code = kt_venue_instrument_put(decoder, &rows[i].row, &err);
        if (code != rows[i].code || strstr(err.msg, rows[i].told) == NULL)
            fail_msg("row \"%s\": %s", rows[i].name, err.msg);
    }
    assert_int_equal(kt_venue_symbol_add(decoder, KT_TEXT(""), &err), KT_SYNTAX);
    assert_non_null(strstr(err.msg, "can not be empty"));
    kt_venue_decoder_free(decoder);
}

static void test_answers(void **state)
{
    static const struct {
        const char *name;
        uint16_t status;
        const char *body;
        const char *told;
        kt_venue_answer answer;
    } rows[] = {
        { "rows in the order of the body", 200,
            "[{\"ticker\":\"BTC\",\"ts\":2,\"quantity\":1,\"price\":3,\"tradeid\":\"b\"},{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":3,"
            "\"tradeid\":\"a\"}]",
            "row 2000000 3 1 unknown b 0\nrow 1000000 3 1 unknown a 0", { .row_count = 2, .full = true } },
        { "nothing is an answer", 200, "[]", "", { 0 } },
        { "one bad row costs the others nothing", 200,
            "[{\"ticker\":\"BTC\",\"ts\":2,\"quantity\":0,\"price\":3,\"tradeid\":\"b\"},{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":1,\"price\":3,"
            "\"tradeid\":\"a\"}]",
            "invalid not positive: quantity\nrow 1000000 3 1 unknown a 0",
            { .row_count = 2, .invalid_count = 1, .full = true } },
        { "a row of another ticker", 200,
            "[{\"ticker\":\"ETH\",\"ts\":2,\"quantity\":1,\"price\":3,\"tradeid\":\"b\"}]",
            "invalid unknown symbol: ticker", { .row_count = 1, .invalid_count = 1 } },
        { "no list", 200, "{\"rows\":[]}", "invalid wrong type", { .invalid_count = 1 } },
        { "no JSON", 200, "<html>", "invalid malformed", { .invalid_count = 1, .error = "the answer is not JSON" } },
        { "an error with a sentence", 404, "{\"statusCode\":404,\"message\":\"unknown ticker\"}", "",
            { .error = "status 404: unknown ticker" } },
        { "an error without JSON", 502, "<html>", "", { .error = "status 502" } },
        { "too many requests", 429, "", "", { .rate_limited = true, .error = "status 429" } },
        { "no connection", 0, "", "", { .error = "no answer came" } },
    };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "BTC", 0);
    kt_ev_request request = { .symbol = KT_TEXT("BTC"), .what = KT_WHAT_TRADES_BY_TIME, .limit = 2 };
    static kt_told told;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_venue_sink sink = told_start(&told);
        kt_venue_answer answer;
        size_t size = strlen(rows[i].body);
        char *copy = kt_guard_copy(rows[i].body, size);

        kt_venue_decode_answer(decoder, &request, rows[i].status, (kt_text){ copy, size }, 1, &sink, &answer);
        if (strcmp(told.mem, rows[i].told) != 0 || strcmp(answer.error, rows[i].answer.error) != 0 ||
            answer.row_count != rows[i].answer.row_count || answer.invalid_count != rows[i].answer.invalid_count ||
            answer.full != rows[i].answer.full || answer.rate_limited != rows[i].answer.rate_limited)
            fail_msg("%s: '%s', '%s', %u rows, %u invalid, full %d", rows[i].name, told.mem, answer.error,
                answer.row_count, answer.invalid_count, answer.full);
        kt_guard_free(copy, size);
    }
    kt_venue_decoder_free(decoder);
}

static void test_urls(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "BTC", 0);
    kt_ev_request request = {
        .symbol = KT_TEXT("B&C"), .what = KT_WHAT_TRADES_BY_TIME, .from_time = 1684083600123999999
    };
    kt_err err = { 0 };
    char url[256];

    assert_int_equal(
        kt_venue_stream_url(decoder, "ws://h:1/stream", 0, kt_venue_symbol_count(decoder), url, sizeof url, &err),
        KT_OK);
    assert_string_equal(url, "ws://h:1/stream");
    assert_int_equal(kt_venue_rest_url(decoder, "http://h/trades", &request, url, sizeof url, &err), KT_OK);
    assert_string_equal(url, "http://h/trades?ticker=B%26C&startTime=1684083600123");
    assert_int_equal(kt_venue_rest_url(decoder, "http://h/trades?key=1", &request, url, sizeof url, &err), KT_OK);
    assert_string_equal(url, "http://h/trades?key=1&ticker=B%26C&startTime=1684083600123");
    assert_int_equal(kt_venue_rest_url(decoder, "http://h/trades", &request, url, 20, &err), KT_FULL);
    request.what = KT_WHAT_TRADES_BY_ID;
    assert_int_equal(kt_venue_rest_url(decoder, "http://h/trades", &request, url, sizeof url, &err), KT_ARG);
    assert_int_equal(kt_venue_subscribe(decoder, 1, KT_TEXT("BTC"), url, sizeof url, &err), KT_ARG);
    kt_venue_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_scales_of_the_instrument_count),
        cmocka_unit_test(test_instruments_that_can_not_be),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
