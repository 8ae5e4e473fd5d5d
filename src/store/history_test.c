#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/test_util.h"
#include "base/time.h"
#include "store/history.h"
#include "store/query_parts.h"
#include "store/store.h"

#define S KT_NS_PER_S
#define MS KT_NS_PER_MS

static kt_err last;

#define OK(call)                                                    \
    do {                                                            \
        if ((call) != KT_OK)                                        \
            fail_msg("line %d: %s: %s", __LINE__, #call, last.msg); \
    } while (0)

enum { MARKS = 3000, TRADES = 3000 };

typedef struct test_trade {
    int64_t time, price, quantity;
    bool buy, validated, suspect;
} test_trade;

typedef struct test_value {
    int64_t price; /* 0: none */
    bool validated, complete;
    uint32_t revision;
} test_value;

/* What stands in the store, for a slow second reading. Marks from 0 s on, trades in order of time and id. */
typedef struct test_house {
    kt_config *config;
    kt_store *store;
    kt_query *query;
    kt_rng rng;
    test_trade trades[TRADES];
    test_value values[MARKS];
} test_house;

static test_house house;

static void put_trade(uint32_t i)
{
    const test_trade *from = &house.trades[i];
    kt_ev_trade trade;
    char id[16];

    kt_event_init(KT_EV_TRADE, &trade);
    trade.venue_time = trade.receive_time = from->time;
    trade.price = (kt_decimal){ .m = from->price, .scale = 2 };
    trade.quantity = (kt_decimal){ .m = from->quantity, .scale = 5 };
    trade.side = from->buy ? KT_SIDE_BUY : KT_SIDE_SELL;
    trade.validated = from->validated;
    trade.suspect = from->suspect;
    trade.trade_id = (kt_text){ id, (size_t)snprintf(id, sizeof id, "%06u", i) };
    OK(kt_store_trade(house.store, KT_TEXT("market"), KT_TEXT("BTC"), &trade, &last));
    OK(kt_store_trade(house.store, KT_TEXT("market"), KT_TEXT("ETH"), &trade, &last)); /* a neighbour */
}

static void put_value(int64_t mark, const char *venue, const char *symbol, int64_t window)
{
    const test_value *from = &house.values[mark];
    kt_ev_vwap vwap;

    kt_event_init(KT_EV_VWAP, &vwap);
    vwap.mark = mark * S;
    vwap.window = window;
    vwap.price = (kt_decimal){ .m = from->price, .scale = 4 };
    vwap.sum_pq = kt_sum_of(from->price, 4);
    vwap.sum_q = kt_sum_of(1, 0);
    vwap.trades = (uint64_t)mark + 1;
    vwap.validated = from->validated;
    vwap.complete = from->complete;
    vwap.revision = from->revision;
    OK(kt_store_vwap(house.store, kt_text_of(venue), kt_text_of(symbol), &vwap, &last));
}

static void fill(void)
{
    kt_rng *rng = &house.rng;
    int64_t time = 0;

    OK(kt_store_begin(house.store, &last));
    for (uint32_t i = 0; i < TRADES; i++) {
        time += kt_rng_chance(rng, 0.01) ? 60 * S : (int64_t)kt_rng_below(rng, 3) * 250 * MS; /* bursts and gaps */
        house.trades[i] = (test_trade){ .time = time,
            .price = 6000000 + (int64_t)kt_rng_below(rng, 100000),
            .quantity = 1 + (int64_t)kt_rng_below(rng, 100000),
            .buy = kt_rng_chance(rng, 0.5),
            .validated = kt_rng_chance(rng, 0.9),
            .suspect = kt_rng_chance(rng, 0.05) };
        put_trade(i);
    }
    for (int64_t mark = 0; mark < MARKS; mark++) {
        if (mark % 1000 > 800) /* a gap at the end of each thousand */
            continue;
        house.values[mark] = (test_value){ .price = 600000000 + (int64_t)kt_rng_below(rng, 1000000),
            .validated = mark < MARKS / 2,
            .complete = !kt_rng_chance(rng, 0.01),
            .revision = 1 + (uint32_t)kt_rng_below(rng, 3) };
        put_value(mark, "market", "BTC", 60 * S);
        put_value(mark, "market", "BTC", 300 * S);
        put_value(mark, "", "ALL", 60 * S);
    }
    OK(kt_store_commit(house.store, "market", (kt_store_cursor){ .epoch = 1, .seq = 1 }, &last));
}

static int set_up(void **state)
{
    static const char yaml[] =
        "vwap: {windows: [1m, 5m], interval_ms: 60000, composites: [{ticker: ALL, members: [{venue: market, "
        "symbol: BTC}]}, {ticker: NEW, members: [{venue: market, symbol: BTC}]}]}\n"
        "venues: [{name: market, format: generic, ws_url: 'ws://h/s'}]\n";
    char path[4096];

    snprintf(path, sizeof path, "%s/store.db", kt_test_dir());
    kt_rng_init(&house.rng, kt_test_seed());
    OK(kt_config_parse("test", yaml, strlen(yaml), &house.config, &last));
    OK(kt_store_open_file(path, house.config, &house.store, &last));
    fill();
    OK(kt_query_open(path, (kt_query_clock){ 0 }, &house.query, &last));
    return 0;
}

static int tear_down(void **state)
{
    kt_query_close(house.query);
    kt_store_close(house.store);
    kt_config_free(house.config);
    return 0;
}

static kt_code ask_values(const char *symbol, int64_t from, int64_t to, uint32_t points, kt_response_vwap_history *out)
{
    kt_params_vwap_history params = { .venue = kt_text_of(strcmp(symbol, "ALL") == 0 ? "" : "market"),
        .symbol = kt_text_of(symbol),
        .window = KT_TEXT("1m"),
        .from = from,
        .to = to,
        .points = points };

    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    return kt_history_vwap(house.query, house.config, &params, out, &last);
}

static kt_code ask_trades(
    const char *symbol, int64_t from, int64_t to, uint32_t points, kt_response_trades_history *out)
{
    kt_params_trades_history params = {
        .venue = KT_TEXT("market"), .symbol = kt_text_of(symbol), .from = from, .to = to, .points = points
    };

    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    return kt_history_trades(house.query, &params, out, &last);
}

/* ---- against a slow second reading ---- */

/* One step of values, straight from the definition. False: nothing in it. */
static bool slow_value(int64_t from, int64_t to, int64_t step, int64_t number, kt_row_vwap_point *out)
{
    kt_row_vwap_point row = { .validated = true, .complete = true, .low = { .m = INT64_MAX, .scale = 4 } };
    bool any = false;

    for (int64_t mark = 0; mark < MARKS; mark++) {
        const test_value *value = &house.values[mark];
        if (value->price == 0 || mark * S < from || mark * S > to || mark * S / step != number)
            continue;
        any = true;
        row.mark = mark * S;
        row.price = (kt_decimal){ .m = value->price, .scale = 4 };
        row.low.m = value->price < row.low.m ? value->price : row.low.m;
        row.high = (kt_decimal){ .m = value->price > row.high.m ? value->price : row.high.m, .scale = 4 };
        row.trades = (uint64_t)mark + 1;
        row.validated = row.validated && value->validated;
        row.complete = row.complete && value->complete;
        row.revision = value->revision > row.revision ? value->revision : row.revision;
    }
    *out = row;
    return any;
}

static void compare_values(int64_t from, int64_t to, uint32_t points)
{
    kt_response_vwap_history response;
    uint32_t at = 0;

    OK(ask_values("BTC", from, to, points, &response));
    assert_true(response.step >= S && response.step % S == 0);
    assert_true(to / response.step - from / response.step < points);
    if (response.step > S) /* no finer one fits */
        assert_true(to / (response.step - S) - from / (response.step - S) >= points ||
                    (to - from) / points / S * S == response.step);
    assert_int_equal(response.oldest, 0);
    for (int64_t number = from / response.step; number <= to / response.step; number++) {
        kt_row_vwap_point expected, row;

        if (!slow_value(from, to, response.step, number, &expected))
            continue;
        assert_true(at < response.rows.count);
        kt_rows_get(&kt_row_table_vwap_point, &response.rows, at++, &row);
        assert_true(kt_table_equal(&kt_row_table_vwap_point, &row, &expected));
    }
    assert_int_equal(at, response.rows.count);
}

static void test_values_equal_a_slow_reading(void **state)
{
    compare_values(0, (MARKS - 1) * S, 4000);
    compare_values(0, (MARKS - 1) * S, 1);
    compare_values(801 * S, 999 * S, 100); /* all of it a gap */
    for (uint32_t i = kt_test_cases(100); i > 0; i--) {
        int64_t from = (int64_t)kt_rng_below(&house.rng, MARKS) * S + (int64_t)kt_rng_below(&house.rng, S);

        compare_values(
            from, from + (int64_t)kt_rng_below(&house.rng, MARKS) * S, 1 + (uint32_t)kt_rng_below(&house.rng, 300));
    }
}

enum { HOURS = 20 * 24, HOUR = 3600 };

static int64_t hourly_price(int64_t hour)
{
    return 600000000 + hour * 7919 % 100003;
}

/* One value an hour, for weeks. */
static void fill_weeks(void)
{
    OK(kt_store_begin(house.store, &last));
    for (int64_t hour = 0; hour < HOURS; hour++) {
        kt_ev_vwap vwap;

        if (hour / 24 == 11) /* a day without any */
            continue;
        kt_event_init(KT_EV_VWAP, &vwap);
        vwap.mark = hour * HOUR * S;
        vwap.window = 300 * S;
        vwap.price = (kt_decimal){ .m = hourly_price(hour), .scale = 4 };
        vwap.sum_pq = vwap.sum_q = kt_sum_of(1, 0);
        vwap.trades = (uint64_t)hour + 1;
        vwap.validated = vwap.complete = hour % 2 == 0;
        vwap.revision = 1;
        OK(kt_store_vwap(house.store, KT_TEXT("market"), KT_TEXT("ETH"), &vwap, &last));
    }
    OK(kt_store_commit(house.store, "market", (kt_store_cursor){ .epoch = 1, .seq = 2 }, &last));
}

static void ask_weeks(int64_t from, int64_t to, uint32_t points, kt_response_vwap_history *out)
{
    kt_params_vwap_history params = { .venue = KT_TEXT("market"),
        .symbol = KT_TEXT("ETH"),
        .window = KT_TEXT("5m"),
        .from = from,
        .to = to,
        .points = points };

    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_history_vwap(house.query, house.config, &params, out, &last));
}

/* More than a week of values: the last one of each step alone, and it is said. */
static void test_a_long_range_is_sampled(void **state)
{
    int64_t to = (HOURS - 1) * HOUR * S;
    kt_response_vwap_history response;
    uint32_t at = 0;

    fill_weeks();
    ask_weeks(0, 7 * 24 * HOUR * S, 4000, &response);
    assert_false(response.sampled);
    assert_int_equal(response.rows.count, 7 * 24 + 1);
    for (int64_t from = 0; from < 3 * HOUR * S; from += HOUR * S) {
        ask_weeks(from, INT64_MAX, 4000, &response); /* nothing is looked for behind the newest */
        assert_true(response.sampled);
        assert_int_equal(response.rows.count, 1);
        ask_weeks(from, to, 100, &response);
        assert_true(response.sampled);
        at = 0;
        for (int64_t number = from / response.step; number <= to / response.step; number++) {
            int64_t end = (number + 1) * response.step - 1 < to ? (number + 1) * response.step - 1 : to;
            int64_t hour = end / S / HOUR;
            kt_row_vwap_point row;

            while (hour / 24 == 11) /* back to the last one there is */
                hour--;
            if (hour * HOUR * S < number * response.step || hour * HOUR * S < from)
                continue;
            assert_true(at < response.rows.count);
            kt_rows_get(&kt_row_table_vwap_point, &response.rows, at++, &row);
            assert_int_equal(row.mark, hour * HOUR * S);
            assert_int_equal(kt_decimal_compare(row.price, (kt_decimal){ .m = hourly_price(hour), .scale = 4 }), 0);
            assert_true(kt_decimal_compare(row.low, row.price) == 0 && kt_decimal_compare(row.high, row.price) == 0);
            assert_int_equal(row.trades, hour + 1);
            assert_int_equal(row.validated, hour % 2 == 0);
            assert_int_equal(row.complete, hour % 2 == 0);
        }
        assert_int_equal(at, response.rows.count);
        assert_true(at > 80 && at < 100);
    }
}

/* ---- quality ---- */

enum { MINUTES = 3000, PLACES = 3 };

static const struct {
    const char *venue, *symbol;
} places[PLACES] = { { "a", "" }, { "a", "BTC/USDT" }, { "b", "eth" } };

static kt_ev_quality minutes[PLACES][MINUTES]; /* revision 0: none */

static void fill_minutes(void)
{
    OK(kt_store_begin(house.store, &last));
    for (uint32_t p = 0; p < PLACES; p++)
        for (uint32_t i = 0; i < MINUTES; i++) {
            kt_ev_quality *ev = &minutes[p][i];

            kt_event_init(KT_EV_QUALITY, ev);
            ev->revision = 0;
            if (kt_rng_chance(&house.rng, 0.05))
                continue;
            ev->revision = 1 + (uint32_t)kt_rng_below(&house.rng, 3);
            ev->minute = i * 60 * S;
            ev->received = kt_rng_below(&house.rng, 20000);
            ev->missing = kt_rng_chance(&house.rng, 0.05) ? kt_rng_below(&house.rng, 400) : 0;
            ev->repaired = ev->missing / 2;
            ev->latency_p99 = kt_rng_between(&house.rng, -2000, 8000) * MS;
            ev->timed = ev->received / 2;
            if (kt_rng_chance(&house.rng, 0.05))
                *ev = (kt_ev_quality){ .minute = ev->minute, .revision = ev->revision, .silence = 60 * S };
            OK(kt_store_quality(house.store, kt_text_of(places[p].venue), kt_text_of(places[p].symbol), ev, &last));
        }
    OK(kt_store_commit(house.store, "market", (kt_store_cursor){ .epoch = 1, .seq = 3 }, &last));
}

/* A digit, or '-' for no feed: the limits as the answer says them in words. */
static char slow_digit(const kt_ev_quality *ev, uint8_t measure)
{
    double messages = (double)(ev->received + ev->missing);
    double share = (double)(measure == KT_MEASURE_MISSING ? ev->missing : ev->repaired) / messages * 100;

    if (ev->revision == 0 || (messages == 0 && ev->silence == 60 * S))
        return '-';
    if (measure == KT_MEASURE_LATENCY)
        return (char)('0' + (ev->latency_p99 > 100 * MS) + (ev->latency_p99 > 250 * MS) + (ev->latency_p99 > S) +
                      (ev->latency_p99 > 5 * S));
    return messages == 0 ? '0' : (char)('0' + (share > 0) + (share > 0.01) + (share > 0.1) + (share > 1));
}

static void compare_strips(uint8_t measure, int64_t from_ns, int64_t to_ns, uint32_t points)
{
    kt_params_quality_history params = { .measure = measure, .from = from_ns, .to = to_ns, .points = points };
    kt_response_quality_history response;

    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_history_quality(house.query, &params, &response, &last));
    OK(kt_table_check(&kt_actions[KT_ACTION_quality_history].response, &response, &last));
    assert_true(response.complete);
    assert_int_equal(response.rows.count, PLACES);
    assert_int_equal(response.step % (60 * S), 0);
    assert_true(response.start <= from_ns && from_ns < response.start + response.step);
    for (uint32_t p = 0; p < PLACES; p++) {
        char cells[4000];
        uint64_t received = 0;
        int64_t total = 0;
        kt_row_quality_strip row;

        kt_rows_get(&kt_row_table_quality_strip, &response.rows, p, &row);
        assert_true(kt_text_equal(row.symbol, kt_text_of(places[p].symbol)));
        assert_true(row.cells.n <= points);
        assert_true(response.start + (int64_t)row.cells.n * response.step > to_ns);
        memset(cells, '-', sizeof cells);
        for (uint32_t i = 0; i < MINUTES; i++) {
            const kt_ev_quality *ev = &minutes[p][i];
            int64_t start = i * 60 * S;
            char digit = slow_digit(ev, measure);

            if (start + 60 * S <= from_ns || start > to_ns || ev->revision == 0)
                continue;
            char *cell = &cells[(start - response.start) / response.step];
            *cell = digit > *cell ? digit : *cell;
            received += ev->received;
            if (measure != KT_MEASURE_LATENCY)
                total += (int64_t)(measure == KT_MEASURE_MISSING ? ev->missing : ev->repaired);
            else if (ev->timed > 0 && (total == 0 || ev->latency_p99 > total))
                total = ev->latency_p99;
        }
        assert_memory_equal(row.cells.s, cells, row.cells.n);
        assert_int_equal(row.received, received);
        assert_int_equal(row.total, total);
    }
}

static void test_strips_equal_a_slow_reading(void **state)
{
    static const uint8_t asked[] = { KT_MEASURE_MISSING, KT_MEASURE_REPAIRED, KT_MEASURE_LATENCY };
    kt_params_quality_history params = { .measure = KT_MEASURE_MISSING, .to = MINUTES * 60 * S, .points = 4000 };
    kt_response_quality_history response;
    kt_row_quality_strip row;

    fill_minutes();
    for (uint32_t i = kt_test_cases(60); i > 0; i--) {
        int64_t from = kt_rng_between(&house.rng, 0, MINUTES * 60) * S;

        compare_strips(asked[i % KT_COUNT(asked)], from, from + kt_rng_between(&house.rng, 0, MINUTES * 60) * S,
            1 + (uint32_t)kt_rng_below(&house.rng, 4000));
    }
    params.venue = KT_TEXT("b");
    params.symbol = KT_TEXT("TH"); /* a part, of either case */
    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_history_quality(house.query, &params, &response, &last));
    assert_int_equal(response.rows.count, 1);
    kt_rows_get(&kt_row_table_quality_strip, &response.rows, 0, &row);
    assert_true(kt_text_equal(row.symbol, KT_TEXT("eth")));
    params.to = params.from - 1;
    assert_int_equal(kt_history_quality(house.query, &params, &response, &last), KT_ARG);
}

static void test_minutes_are_told_whole(void **state)
{
    kt_params_quality_minutes params = {
        .venue = KT_TEXT("a"), .symbol = KT_TEXT("BTC/USDT"), .from = 90 * S, .to = 100 * 60 * S, .limit = 1440
    };
    kt_response_quality_minutes response;
    uint32_t at = 0;

    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_history_minutes(house.query, &params, &response, &last));
    assert_true(response.complete);
    for (uint32_t i = 1; i <= 100; i++) {
        kt_row_quality_minute row;

        if (minutes[1][i].revision == 0)
            continue;
        kt_rows_get(&kt_row_table_quality_minute, &response.rows, at++, &row);
        assert_memory_equal(&row, &minutes[1][i], sizeof row);
    }
    assert_int_equal(response.rows.count, at);
    params.limit = 10;
    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_history_minutes(house.query, &params, &response, &last));
    assert_false(response.complete);
    assert_int_equal(response.rows.count, 10);
}

static bool slow_step(int64_t from, int64_t to, int64_t step, int64_t number, kt_row_trade_point *out)
{
    kt_row_trade_point row = { .time = number * step, .validated = true, .low = { .m = INT64_MAX, .scale = 2 } };
    int64_t quantity = 0;

    for (uint32_t i = 0; i < TRADES; i++) {
        const test_trade *trade = &house.trades[i];
        if ((trade->suspect && !trade->validated) || trade->time < from || trade->time > to ||
            trade->time / step != number)
            continue;
        if (row.trades++ == 0)
            row.open = (kt_decimal){ .m = trade->price, .scale = 2 };
        row.close = (kt_decimal){ .m = trade->price, .scale = 2 };
        row.low.m = trade->price < row.low.m ? trade->price : row.low.m;
        row.high = (kt_decimal){ .m = trade->price > row.high.m ? trade->price : row.high.m, .scale = 2 };
        row.buys += trade->buy;
        row.validated = row.validated && trade->validated;
        quantity += trade->quantity;
    }
    row.quantity = kt_sum_of(quantity, 5);
    *out = row;
    return row.trades > 0;
}

static void compare_trades(int64_t from, int64_t to, uint32_t points)
{
    kt_response_trades_history response;
    uint32_t at = 0, single = 0;

    OK(ask_trades("BTC", from, to, points, &response));
    for (uint32_t i = 0; i < TRADES; i++) {
        const test_trade *trade = &house.trades[i];
        kt_row_trade_point row;

        if ((trade->suspect && !trade->validated) || trade->time < from || trade->time > to)
            continue;
        single++;
        if (response.step != 0)
            continue;
        assert_true(at < response.rows.count);
        kt_rows_get(&kt_row_table_trade_point, &response.rows, at++, &row);
        assert_true(row.time == trade->time && row.trades == 1 && row.buys == trade->buy);
        assert_int_equal(kt_decimal_compare(row.open, (kt_decimal){ .m = trade->price, .scale = 2 }), 0);
        assert_int_equal(kt_decimal_compare(row.close, row.open), 0);
    }
    assert_int_equal(response.step == 0, single <= points); /* single trades where they fit */
    for (int64_t number = from / (response.step + !response.step); response.step > 0 && number <= to / response.step;
         number++) {
        kt_row_trade_point expected, row;

        if (!slow_step(from, to, response.step, number, &expected))
            continue;
        assert_true(at < response.rows.count);
        kt_rows_get(&kt_row_table_trade_point, &response.rows, at++, &row);
        assert_true(kt_table_equal(&kt_row_table_trade_point, &row, &expected));
    }
    assert_int_equal(at, response.rows.count);
    assert_true(response.rows.count <= points);
}

static void test_trades_equal_a_slow_reading(void **state)
{
    int64_t end = house.trades[TRADES - 1].time;

    compare_trades(0, end, 4000);
    compare_trades(0, end, 1);
    compare_trades(end + 1, end + S, 10);
    for (uint32_t i = kt_test_cases(100); i > 0; i--) {
        int64_t from = (int64_t)kt_rng_below(&house.rng, (uint64_t)end);

        compare_trades(from, from + (int64_t)kt_rng_below(&house.rng, (uint64_t)end / 4),
            1 + (uint32_t)kt_rng_below(&house.rng, 300));
    }
}

/* ---- rules ---- */

static void test_composites_and_newcomers(void **state)
{
    kt_response_vwap_history response;

    OK(ask_values("ALL", 0, 10 * S, 100, &response));
    assert_int_equal(response.rows.count, 11);
    OK(ask_values("ETH", 0, 10 * S, 100, &response)); /* known, without a value yet */
    assert_true(response.rows.count == 0 && response.oldest == 0);
}

static void test_a_correction_shows_its_newest_revision(void **state)
{
    kt_response_vwap_history response;
    kt_row_vwap_point row;

    house.values[100] = (test_value){ .price = 700000000, .validated = true, .complete = true, .revision = 9 };
    OK(kt_store_begin(house.store, &last));
    put_value(100, "market", "BTC", 60 * S);
    OK(kt_store_commit(house.store, "market", (kt_store_cursor){ .epoch = 1, .seq = 2 }, &last));
    OK(ask_values("BTC", 100 * S, 100 * S, 1, &response));
    kt_rows_get(&kt_row_table_vwap_point, &response.rows, 0, &row);
    assert_true(response.rows.count == 1 && row.revision == 9 && row.mark == 100 * S);
    assert_int_equal(kt_decimal_compare(row.price, (kt_decimal){ .m = 70000, .scale = 0 }), 0);
}

static void test_bad_questions_are_answered_with_what_there_is(void **state)
{
    kt_params_vwap_history values = {
        .venue = KT_TEXT("market"), .symbol = KT_TEXT("BTC"), .window = KT_TEXT("2m"), .to = S, .points = 1
    };
    kt_response_vwap_history value_rows;
    kt_response_trades_history trade_rows;

    kt_query_begin(house.query, KT_QUERY_TIME_NS, NULL);
    assert_int_equal(kt_history_vwap(house.query, house.config, &values, &value_rows, &last), KT_NOENT);
    assert_non_null(strstr(last.msg, "no window '2m'; configured: 1m, 5m"));
    assert_int_equal(ask_values("XRP", 0, S, 1, &value_rows), KT_NOENT);
    assert_non_null(strstr(last.msg, "'market' 'XRP'; there is: market BTC, market ETH, ALL, NEW"));
    assert_int_equal(ask_values("BTC", S, 0, 1, &value_rows), KT_ARG);
    assert_non_null(strstr(last.msg, "'to' lies before 'from'"));
    assert_int_equal(ask_trades("XRP", 0, S, 1, &trade_rows), KT_NOENT);
    assert_non_null(strstr(last.msg, "there is: market BTC, market ETH"));
    assert_int_equal(ask_trades("BTC", S, 0, 1, &trade_rows), KT_ARG);
    OK(ask_trades("BTC", 0, S, 1, &trade_rows)); /* and the next one is answered */
}

/* ---- plans ---- */

typedef struct statement_list {
    char *sql[32];
    uint32_t count;
} statement_list;

static int on_statement(unsigned what, void *ctx, void *statement, void *text)
{
    statement_list *list = ctx;

    if (list->count < KT_COUNT(list->sql))
        list->sql[list->count++] = sqlite3_expanded_sql(statement);
    return 0;
}

/* Every statement, as SQLite plans it: it searches, and it sorts nothing. */
static void test_ranges_are_read_by_their_index(void **state)
{
    kt_response_vwap_history value_rows;
    kt_response_trades_history trade_rows;
    statement_list list = { .count = 0 };
    uint32_t searches = 0;

    sqlite3_trace_v2(house.query->db, SQLITE_TRACE_STMT, on_statement, &list);
    OK(ask_values("BTC", 0, 100 * S, 10, &value_rows));
    ask_weeks(0, HOURS * HOUR * S, 1, &value_rows);
    OK(ask_trades("BTC", 0, 100 * S, 10, &trade_rows));
    sqlite3_trace_v2(house.query->db, 0, NULL, NULL);
    for (uint32_t i = 0; i < list.count; i++) {
        char *plan = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", list.sql[i]);
        sqlite3_stmt *steps = NULL;

        if (strncmp(list.sql[i], "SELECT", 6) == 0)
            assert_int_equal(sqlite3_prepare_v2(house.query->db, plan, -1, &steps, NULL), SQLITE_OK);
        while (steps != NULL && sqlite3_step(steps) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(steps, 3);

            searches += strncmp(step, "SEARCH", 6) == 0;
            if (strstr(step, "TEMP B-TREE") != NULL ||
                (strncmp(step, "SCAN", 4) == 0 && strstr(step, "trades") != NULL))
                fail_msg("%s: %s", list.sql[i], step);
        }
        sqlite3_finalize(steps);
        sqlite3_free(plan);
        sqlite3_free(list.sql[i]);
    }
    assert_int_equal(searches, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_equal_a_slow_reading),
        cmocka_unit_test(test_strips_equal_a_slow_reading),
        cmocka_unit_test(test_minutes_are_told_whole),
        cmocka_unit_test(test_a_long_range_is_sampled),
        cmocka_unit_test(test_trades_equal_a_slow_reading),
        cmocka_unit_test(test_composites_and_newcomers),
        cmocka_unit_test(test_a_correction_shows_its_newest_revision),
        cmocka_unit_test(test_bad_questions_are_answered_with_what_there_is),
        cmocka_unit_test(test_ranges_are_read_by_their_index),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
