#include "edge/test_house.h"

#include "base/test_util.h"
#include "base/time.h"
#include "edge/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char yaml[] = "edge: {port: 0, silence_ms: 600000}\n"
                           "venues:\n"
                           "  - {name: binance, format: binance, ws_url: \"ws://127.0.0.1:1/\", rest_url: "
                           "\"http://127.0.0.1:1/\", symbols: [BTC/USDT, ETH/USDT]}\n"
                           "vwap:\n"
                           "  composites:\n"
                           "    - {ticker: ALL, members: [{venue: binance, symbol: BTC/USDT}]}\n"
                           "    - {ticker: BTC, members: [{venue: binance, symbol: BTC/USDT}]}\n"
                           "compat:\n"
                           "  tickers:\n"
                           "    - {ticker: BTC, venue: binance, symbol: BTC/USDT}\n"
                           "    - {ticker: ETH, venue: binance, symbol: ETH/USDT}\n";

/* Lane keep, as far as a question and its answer go. */
typedef struct keep {
    kt_test_house *house;
    kt_code sent; /* what asking gives */
    bool silent;  /* the answer never comes */
    kt_code answer;
    const char *body;
    char action[64];
    char params[512];
    char trace[KT_TRACE_TEXT_MAX + 1];
    int64_t timeout_ns;
    uint64_t id;
    uint32_t asked;
} keep;

static kt_code ask(void *ctx, const kt_edge_question *question)
{
    keep *lane_keep = ctx;

    assert_string_equal(question->lane, "keep");
    snprintf(lane_keep->action, sizeof lane_keep->action, "%.*s", KT_TEXT_ARG(question->action));
    snprintf(lane_keep->params, sizeof lane_keep->params, "%.*s", KT_TEXT_ARG(question->params));
    snprintf(lane_keep->trace, sizeof lane_keep->trace, "%.*s", KT_TEXT_ARG(question->trace));
    lane_keep->timeout_ns = question->timeout_ns;
    lane_keep->id = question->id;
    lane_keep->asked++;
    if (lane_keep->sent == KT_OK && !lane_keep->silent)
        kt_edge_answer(lane_keep->house->edge, question->id, lane_keep->answer, kt_text_of(lane_keep->body));
    return lane_keep->sent;
}

static kt_test_house house;
static keep the_keep;

static int open_house(void **state)
{
    int64_t mark_ns = INT64_C(1684083600000) * KT_NS_PER_MS;

    kt_test_house_open(&house, yaml, 0, 0);
    the_keep = (keep){ .house = &house, .body = "{}" };
    kt_test_vwap(&house, "vwap.5m.binance.BTC/USDT", mark_ns, "27000.10", 1);
    kt_test_vwap(&house, "vwap.5m.ALL", mark_ns, "27000.25", 1);
    kt_test_vwap(&house, "vwap.1m.binance.BTC/USDT", mark_ns + KT_NS_PER_S, "1", 1);
    kt_test_house_open_edge(&house, ask, &the_keep);
    for (int i = 0; i < 10; i++)
        kt_test_house_turn(&house);
    return 0;
}

static int close_house(void **state)
{
    kt_test_house_close(&house);
    return 0;
}

typedef struct row {
    const char *name;
    const char *line; /* method and target */
    int status;
    const char *has; /* parts of the answer, separated by | */
} row;

static void check(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char request[1024];
        char parts[512];
        const char *answer;
        char *save = NULL;

        print_message("# %s\n", rows[i].name);
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", rows[i].line);
        int status = kt_test_http(&house, request, &answer);
        if (status != rows[i].status)
            fail_msg("%d instead of %d: %s", status, rows[i].status, answer);
        snprintf(parts, sizeof parts, "%s", rows[i].has);
        for (char *part = strtok_r(parts, "|", &save); part != NULL; part = strtok_r(NULL, "|", &save))
            if (strstr(answer, part) == NULL)
                fail_msg("no '%s' in: %s", part, answer);
    }
}

static void plain_answers(void **state)
{
    static const row rows[] = {
        { "health", "GET /health", 200, "\r\n\r\nOK|text/plain|Access-Control-Allow-Origin: *" },
        { "health for HEAD has no body", "HEAD /health", 200, "Content-Length: 2" },
        { "page", "GET /", 200, "text/html|Content-Security-Policy|ETag" },
        { "latest, in the original's shape", "GET /latest?ticker=BTC", 200,
            "\r\n\r\n{\"ticker\":\"BTC\",\"price\":\"27000.1\",\"ts\":\"1684083600000\"}|application/json" },
        { "latest of a symbol by its own name", "GET /latest?ticker=BTC%2FUSDT", 200,
            "{\"ticker\":\"BTC/USDT\",\"price\":\"27000.1\"" },
        { "latest of a composite", "GET /latest?ticker=ALL", 200, "\"price\":\"27000.25\"" },
        { "options", "OPTIONS /latest", 204, "Allow: GET, HEAD, OPTIONS|Access-Control-Allow-Methods" },
    };

    check(rows, KT_COUNT(rows));
}

static void refusals(void **state)
{
    static const row rows[] = {
        { "no ticker", "GET /latest", 400, "{\"statusCode\":400,\"error\":\"Bad Request\"|ticker is missing|BTC" },
        { "empty ticker", "GET /latest?ticker=", 400, "ticker|1 to 128 bytes" },
        { "unknown ticker", "GET /latest?ticker=DOGE", 404, "\"error\":\"Not Found\"|DOGE|known: BTC, ALL" },
        { "ticker without a price yet", "GET /latest?ticker=ETH", 404, "no price yet of 'ETH'" },
        { "unknown parameter", "GET /latest?tiker=BTC", 400, "tiker|ticker" },
        { "parameter given twice", "GET /latest?ticker=BTC&ticker=ETH", 400, "twice" },
        { "bad percent-encoding", "GET /latest?ticker=%2", 400, "hexadecimal" },
        { "hostile ticker", "GET /latest?ticker=%22%3Cimg%3E%00", 404, "statusCode" },
        { "a ticker that is not UTF-8", "GET /latest?ticker=%FF", 400, "\"field\":\"ticker\"|not UTF-8" },
        { "unknown path", "GET /lastest", 404, "/latest|/historical|/health" },
        { "method", "POST /latest?ticker=BTC", 405, "Allow: GET, HEAD, OPTIONS|POST" },
        { "no upgrade at /ws", "GET /ws", 426, "" },
        { "historical without ticker", "GET /historical?ts=1684083600000", 400, "ticker is missing" },
        { "historical without ts", "GET /historical?ticker=BTC", 400, "ts is missing" },
        { "historical of no whole second", "GET /historical?ticker=BTC&ts=1684083600123", 400, "whole seconds" },
        { "historical with a ts that is no number", "GET /historical?ticker=BTC&ts=soon", 400, "ts" },
        { "historical with a negative ts", "GET /historical?ticker=BTC&ts=-1000", 400,
            "vwap.historical.ts: -1000 is not allowed; allowed is milliseconds since 1970" },
        { "historical with a ts of 40 digits", "GET /historical?ticker=BTC&ts=1234567890123456789012345678901234567890",
            400, "ts" },
        { "historical of an interval that is not configured",
            "GET /historical?ticker=BTC&ts=1684083600000&interval=7000", 400, "1m (60000), 5m (300000), 1h (3600000)" },
        { "historical of an unknown ticker", "GET /historical?ticker=DOGE&ts=1684083600000", 404, "known: BTC" },
    };

    check(rows, KT_COUNT(rows));
}

static void historical(void **state)
{
    static const row good = { "answered", "GET /historical?ticker=BTC&ts=1684083600000", 200,
        "\r\n\r\n{\"ticker\":\"BTC\",\"vwap\":\"27000.1\",\"ts\":\"1684083600000\"}" };
    static const row by_window = { "interval as a window", "GET /historical?ticker=BTC&ts=1684083600000&interval=1m",
        200, "" };
    static const row missing = { "not stored", "GET /historical?ticker=BTC&ts=1684083600000", 404,
        "no value is stored of BTC" };
    static const row busy = { "lane keep is not running", "GET /historical?ticker=BTC&ts=1684083600000", 503,
        "Retry-After: 1|keep" };
    static const row late = { "no answer in time", "GET /historical?ticker=BTC&ts=1684083600000", 503,
        "within 2000 ms" };

    the_keep.body = "{\"ticker\":\"BTC\",\"vwap\":\"27000.1\",\"ts\":\"1684083600000\"}";
    check(&good, 1);
    assert_string_equal(the_keep.params, "{\"ticker\":\"BTC\",\"ts\":\"1684083600000\",\"interval\":300000}");
    check(&by_window, 1);
    assert_string_equal(the_keep.params, "{\"ticker\":\"BTC\",\"ts\":\"1684083600000\",\"interval\":60000}");
    the_keep.answer = KT_NOENT;
    the_keep.body = "no value is stored of BTC";
    check(&missing, 1);
    the_keep.answer = KT_OK;
    the_keep.sent = KT_NOENT;
    check(&busy, 1);
    the_keep.sent = KT_OK;
    the_keep.silent = true;
    check(&late, 1);
    kt_edge_answer(house.edge, the_keep.id, KT_OK, KT_TEXT("{}")); /* too late: nobody is there any more */
    the_keep.silent = false;
    the_keep.body = "{\"ticker\":\"BTC\",\"vwap\":\"27000.1\",\"ts\":\"1684083600000\"}";
    check(&good, 1);
}

/* Newest mark wins, and of one mark the greatest revision, in whatever order they come. */
static void latest_is_the_newest(void **state)
{
    static const row first = { "a newer mark", "GET /latest?ticker=BTC", 200,
        "\"price\":\"30000\",\"ts\":\"1684083601000\"" };
    static const row revised = { "a revision of it", "GET /latest?ticker=BTC", 200,
        "\"price\":\"30001\",\"ts\":\"1684083601000\"" };
    int64_t mark_ns = INT64_C(1684083600000) * KT_NS_PER_MS;
    const char *subject = "vwap.5m.binance.BTC/USDT";

    kt_test_vwap(&house, subject, mark_ns + KT_NS_PER_S, "30000", 1);
    kt_test_vwap(&house, subject, mark_ns, "27001", 2);
    check(&first, 1);
    kt_test_vwap(&house, subject, mark_ns + KT_NS_PER_S, "30001", 2);
    kt_test_vwap(&house, subject, mark_ns + KT_NS_PER_S, "30000", 1);
    check(&revised, 1);
}

static void put_value(const char *symbol, int64_t mark_ns, uint64_t trades)
{
    char subject[64];
    kt_ev_vwap vwap;

    snprintf(subject, sizeof subject, "vwap.5m.binance.%s", symbol);
    kt_event_init(KT_EV_VWAP, &vwap);
    vwap.mark = mark_ns;
    vwap.window = 300 * KT_NS_PER_S;
    vwap.price = (kt_decimal){ 100, 2 };
    vwap.sum_pq = kt_sum_of((kt_i128)trades * 1000, 3);
    vwap.sum_q = kt_sum_of((kt_i128)trades * 10, 1);
    vwap.trades = trades;
    vwap.revision = 2;
    vwap.validated = true;
    kt_test_event(&house, KT_EV_VWAP, subject, &vwap);
}

static void put_range(const char *symbol, int64_t from_ns, int64_t to_ns, int64_t pq, int64_t q, int64_t trades)
{
    char subject[64];
    kt_ev_correction correction;

    snprintf(subject, sizeof subject, "correction.5m.binance.%s", symbol);
    kt_event_init(KT_EV_CORRECTION, &correction);
    correction.mark_from = from_ns;
    correction.mark_to = to_ns;
    correction.window = 300 * KT_NS_PER_S;
    correction.delta_pq = kt_sum_of(pq, 3);
    correction.delta_q = kt_sum_of(q, 1);
    correction.delta_trades = trades;
    correction.price_scale = 2;
    kt_test_event(&house, KT_EV_CORRECTION, subject, &correction);
}

/* A later change of validated trades comes as a range of marks; whoever asks sees it at once, by the exact sums. */
static void latest_follows_corrections_of_ranges(void **state)
{
    static const row before = { "the value", "GET /latest?ticker=ETH", 200, "\"price\":\"1\"," };
    static const row after = { "corrected", "GET /latest?ticker=ETH", 200, "\"price\":\"1.5\"," };
    static const row same = { "ranges elsewhere change nothing", "GET /latest?ticker=ETH", 200, "\"price\":\"1.5\"," };
    static const row again = { "and again, half to even", "GET /latest?ticker=ETH", 200, "\"price\":\"1.33\"," };
    static const row none = { "no trade is left", "GET /latest?ticker=ETH", 404, "no price yet" };
    int64_t mark_ns = INT64_C(1684083600000) * KT_NS_PER_MS;

    put_value("ETH/USDT", mark_ns, 2);
    check(&before, 1);
    put_range("ETH/USDT", mark_ns - KT_NS_PER_S, mark_ns + KT_NS_PER_S, 1000, 0, 0);
    check(&after, 1);
    put_range("ETH/USDT", mark_ns + KT_NS_PER_S, mark_ns + 2 * KT_NS_PER_S, 1000, 0, 0);
    put_range("ETH/USDT", mark_ns - 2 * KT_NS_PER_S, mark_ns - KT_NS_PER_S, 1000, 0, 0);
    check(&same, 1);
    kt_test_house_open_edge(
        &house, ask, &the_keep); /* the newest correction lies elsewhere, the value stands before it */
    for (int i = 0; i < 10; i++)
        kt_test_house_turn(&house);
    check(&before, 1);
    put_range("ETH/USDT", mark_ns, mark_ns, 1000, 0, 0); /* one mark, but a range all the same: it has no revision */
    check(&after, 1);
    kt_test_house_open_edge(&house, ask, &the_keep); /* now it is the newest, and is read back */
    for (int i = 0; i < 10; i++)
        kt_test_house_turn(&house);
    check(&after, 1);
    put_range("ETH/USDT", mark_ns, mark_ns, 1000, 10, 1);
    check(&again, 1);
    put_range("ETH/USDT", mark_ns, mark_ns, -4000, -30, -3);
    check(&none, 1);
    put_value("ETH/USDT", mark_ns + KT_NS_PER_S, 3);
    check(&before, 1);
}

/* REST leaves no trade of the newest mark: there is no value of its own to follow, and none to show. */
static void latest_follows_a_correction_that_leaves_nothing(void **state)
{
    static const row value = { "the value", "GET /latest?ticker=ETH", 200, "\"price\":\"1\"," };
    static const row none = { "no trade is left", "GET /latest?ticker=ETH", 404, "no price yet" };
    int64_t mark_ns = INT64_C(1684083700000) * KT_NS_PER_MS;
    kt_ev_correction correction;

    put_value("ETH/USDT", mark_ns, 2);
    kt_event_init(KT_EV_CORRECTION, &correction);
    correction.mark_from = correction.mark_to = mark_ns - KT_NS_PER_S;
    correction.window = 300 * KT_NS_PER_S;
    correction.revision = 3;
    kt_test_event(&house, KT_EV_CORRECTION, "correction.5m.binance.ETH/USDT", &correction);
    check(&value, 1); /* of an older mark */
    correction.mark_from = correction.mark_to = mark_ns;
    kt_test_event(&house, KT_EV_CORRECTION, "correction.5m.binance.ETH/USDT", &correction);
    check(&none, 1);
    put_value("ETH/USDT", mark_ns + KT_NS_PER_S, 3);
    check(&value, 1);
}

/* The store holds the same sums, and lane keep says that it can not add to them. */
static void latest_stays_where_a_sum_would_leave_its_range(void **state)
{
    static const row value = { "the value", "GET /latest?ticker=ETH", 200, "\"price\":\"1\"," };
    int64_t mark_ns = INT64_C(1684083800000) * KT_NS_PER_MS;
    kt_ev_correction correction;

    put_value("ETH/USDT", mark_ns, 2);
    kt_event_init(KT_EV_CORRECTION, &correction);
    correction.mark_from = correction.mark_to = mark_ns;
    correction.window = 300 * KT_NS_PER_S;
    correction.delta_pq = kt_sum_of(((kt_i128)1 << 126) - 1 + ((kt_i128)1 << 126), 3);
    correction.price_scale = 2;
    kt_test_event(&house, KT_EV_CORRECTION, "correction.5m.binance.ETH/USDT", &correction);
    check(&value, 1);
}

/* Whatever a venue calls a symbol: its backslashes, quotes and ends of lines are escaped as the text format wants it. */
static void figures_escape_the_names_of_venues(void **state)
{
    static const row rows[] = {
        { "before it is told", "GET /metrics", 200, "text/plain; version=0.0.4|kontor_info{version=" },
        { "told", "GET /metrics", 200,
            "\nkontor_feed_received_total{venue=\"binance\",symbol=\"A\\\"B\\\\C\\nD\"} 7\n" },
    };
    kt_ev_feed_stats stats;

    check(rows, 1); /* whoever reads for the figures begins at the end of the log */
    kt_event_init(KT_EV_FEED_STATS, &stats);
    stats.received = 7;
    kt_test_event(&house, KT_EV_FEED_STATS, "stats.binance.A\"B\\C%0AD", &stats);
    check(&rows[1], 1);
}

/* Twenty names help to find the right one, or as many as a message has room for; of the others it is enough how many there
 * are. */
static void a_refusal_lists_twenty_tickers(void **state)
{
    enum { TICKERS = 23 };
    static const char venues[] = "edge: {port: 0, silence_ms: 600000}\n"
                                 "venues:\n"
                                 "  - {name: binance, format: binance, ws_url: \"ws://127.0.0.1:1/\", rest_url: "
                                 "\"http://127.0.0.1:1/\", symbols: [";
    static const struct {
        const char *behind; /* the number, in the name of each */
        uint32_t count;
        row says;
    } rows[] = {
        { "", 20,
            { "all of them", "GET /latest?ticker=NO", 404,
                "\"message\":\"there is no ticker 'NO'; known: S1, S2, S3, |, S19, S20\"" } },
        { "", TICKERS,
            { "and more", "GET /latest?ticker=NO", 404,
                "\"message\":\"there is no ticker 'NO'; known: S1, S2, S3, |, S19, S20 and 3 more\"" } },
        { "-OF-A-NAME-THAT-IS-FORTY-CHARACTERS-LONG", TICKERS,
            { "long names", "GET /latest?ticker=NO", 404,
                "known: S1-OF-A-NAME|LONG, S10-OF-A-NAME|LONG and 13 more\"" } },
    };
    char text[2048], subject[64];

    for (size_t r = 0; r < KT_COUNT(rows); r++) {
        size_t size = (size_t)snprintf(text, sizeof text, "%s", venues);

        for (int i = 1; i <= TICKERS; i++)
            size += (size_t)snprintf(text + size, sizeof text - size, "%sS%d%s", i > 1 ? ", " : "", i, rows[r].behind);
        snprintf(text + size, sizeof text - size, "]}\n");
        close_house(state);
        kt_test_house_open(&house, text, 0, 0);
        for (int i = 0; i < 10; i++)
            kt_test_house_turn(&house);
        for (uint32_t i = 1; i <= rows[r].count; i++) {
            snprintf(subject, sizeof subject, "vwap.5m.binance.S%u%s", i, rows[r].behind);
            kt_test_vwap(&house, subject, INT64_C(1684083600000) * KT_NS_PER_MS, "1", 1);
        }
        check(&rows[r].says, 1);
    }
    close_house(state);
    open_house(state);
}

static void page_is_not_sent_twice(void **state)
{
    const char *answer;
    char tag[64];
    char request[256];

    assert_int_equal(kt_test_http(&house, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &answer), 200);
    assert_int_equal(sscanf(strstr(answer, "ETag: "), "ETag: %63s", tag), 1);
    snprintf(
        request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: %s\r\n\r\n", tag);
    assert_int_equal(kt_test_http(&house, request, &answer), 304);
}

static void addresses(void **state)
{
    static const char *const hosts[] = { "0.0.0.0", "::1", "localhost", "192.168.0.1" };
    kt_config config = *house.config;
    kt_edge *edge = NULL;
    kt_err err;

    for (size_t i = 0; i < KT_COUNT(hosts); i++) {
        config.edge_host = hosts[i];
        assert_int_equal(
            kt_edge_open(&(kt_edge_options){ .loop = house.loop, .config = &config }, &edge, &err), KT_ARG);
        assert_non_null(strstr(err.msg, "only 127.0.0.1"));
    }
    config.edge_host = "127.0.0.1";
    config.edge_port = kt_edge_port(house.edge);
    assert_int_equal(kt_edge_open(&(kt_edge_options){ .loop = house.loop, .config = &config }, &edge, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "127.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_answers),
        cmocka_unit_test(refusals),
        cmocka_unit_test(historical),
        cmocka_unit_test(latest_is_the_newest),
        cmocka_unit_test(latest_follows_corrections_of_ranges),
        cmocka_unit_test(latest_follows_a_correction_that_leaves_nothing),
        cmocka_unit_test(latest_stays_where_a_sum_would_leave_its_range),
        cmocka_unit_test(figures_escape_the_names_of_venues),
        cmocka_unit_test(a_refusal_lists_twenty_tickers),
        cmocka_unit_test(page_is_not_sent_twice),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
