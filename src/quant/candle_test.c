/* Candles: Kraken's own minutes, and a slow second implementation that keeps every trade. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/decimal.h"
#include "base/json.h"
#include "base/test_util.h"
#include "base/time.h"
#include "quant/candle.h"

enum { NODE_MAX = 1 << 16, PRICE_SCALE = 1, QUANTITY_SCALE = 8, NS_SCALE = 9, TRADES = 40 };

#define KRAKEN_MINUTES "kraken_v1/trades_to_ohlc_vwap_pairs.json"

/* ---- Kraken's minutes ---- */

static int64_t mantissa(const kt_json_doc *doc, uint32_t node, uint32_t scale)
{
    kt_decimal decimal = { 0 };
    int64_t m = 0;

    assert_true(kt_json_decimal_text(doc, node, &decimal) == KT_OK || kt_json_decimal(doc, node, &decimal) == KT_OK);
    assert_int_equal(kt_decimal_rescale(decimal, scale, &m), KT_OK);
    return m;
}

static int64_t member(const kt_json_doc *doc, uint32_t object, const char *name, uint32_t scale)
{
    uint32_t node = kt_json_get(doc, object, kt_text_of(name));

    assert_true(node != 0);
    return mantissa(doc, node, scale);
}

static void check_minute(const kt_json_doc *doc, uint32_t row)
{
    kt_candle candle = kt_candle_of(member(doc, row, "minute", NS_SCALE), KT_NS_PER_MIN);
    uint32_t input = kt_json_get(doc, row, KT_TEXT("input")), expected = kt_json_get(doc, row, KT_TEXT("expected"));
    kt_price vwap;

    kt_json_each (doc, input, trade)
        assert_int_equal(kt_candle_add(&candle, mantissa(doc, kt_json_at(doc, trade, 2), NS_SCALE),
                             (kt_price){ mantissa(doc, kt_json_at(doc, trade, 0), PRICE_SCALE) },
                             (kt_qty){ mantissa(doc, kt_json_at(doc, trade, 1), QUANTITY_SCALE) }),
            KT_OK);
    assert_int_equal(candle.open.m, member(doc, expected, "open", PRICE_SCALE));
    assert_int_equal(candle.high.m, member(doc, expected, "high", PRICE_SCALE));
    assert_int_equal(candle.low.m, member(doc, expected, "low", PRICE_SCALE));
    assert_int_equal(candle.close.m, member(doc, expected, "close", PRICE_SCALE));
    assert_int_equal(candle.volume, member(doc, expected, "volume", QUANTITY_SCALE));
    assert_int_equal(candle.count, member(doc, expected, "count", 0));
    assert_int_equal(kt_candle_vwap(&candle, PRICE_SCALE, PRICE_SCALE, KT_CANDLE_CUT, &vwap), KT_OK);
    assert_int_equal(vwap.m, member(doc, expected, "vwap_truncated_1dp", PRICE_SCALE));
}

static void test_minutes_of_kraken(void **state)
{
    size_t size = 0;
    char *text = kt_test_read_file(kt_test_recordings(KRAKEN_MINUTES), &size);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    kt_json_doc doc;
    uint32_t minutes = 0;

    assert_non_null(text);
    assert_non_null(nodes);
    assert_int_equal(kt_json_parse((kt_text){ text, size }, nodes, NODE_MAX, &doc, NULL), KT_OK);
    kt_json_each (&doc, 0, row) {
        check_minute(&doc, row);
        minutes++;
    }
    assert_int_equal(minutes, 136);
    free(nodes);
    free(text);
}

/* ---- rules ---- */

static void test_interval(void **state)
{
    kt_candle candle = kt_candle_of(119 * KT_NS_PER_S, KT_NS_PER_MIN);
    static const struct {
        const char *name;
        int64_t time_ns, price, quantity;
        kt_code code;
    } rows[] = {
        { "its first instant is in", 60 * KT_NS_PER_S, 1, 1, KT_OK },
        { "its last instant is in", 120 * KT_NS_PER_S - 1, 1, 1, KT_OK },
        { "the next one's first instant is not", 120 * KT_NS_PER_S, 1, 1, KT_SEQ },
        { "nor the one before", 60 * KT_NS_PER_S - 1, 1, 1, KT_SEQ },
        { "a price of nothing", 61 * KT_NS_PER_S, 0, 1, KT_ARG },
        { "a negative quantity", 61 * KT_NS_PER_S, 1, -1, KT_ARG },
    };

    assert_int_equal(candle.open_ns, 60 * KT_NS_PER_S);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_candle before = candle;
        kt_code code =
            kt_candle_add(&candle, rows[i].time_ns, (kt_price){ rows[i].price }, (kt_qty){ rows[i].quantity });

        if (code != rows[i].code || candle.count != before.count + (code == KT_OK))
            fail_msg("%s", rows[i].name);
    }
}

static void test_vwap(void **state)
{
    static const struct {
        const char *name;
        int64_t price[2], quantity[2];
        uint8_t scale;
        kt_candle_rounding rounding;
        kt_code code;
        int64_t expected;
    } rows[] = {
        { "none without a trade", { 0 }, { 0 }, 1, KT_CANDLE_CUT, KT_EMPTY, 0 },
        { "cut", { 10, 11 }, { 1, 3 }, 1, KT_CANDLE_CUT, KT_OK, 10 },
        { "rounded", { 10, 11 }, { 1, 3 }, 1, KT_CANDLE_HALF_EVEN, KT_OK, 11 },
        { "a half goes to the even one", { 10, 11 }, { 1, 1 }, 1, KT_CANDLE_HALF_EVEN, KT_OK, 10 },
        { "more digits", { 10, 11 }, { 1, 3 }, 3, KT_CANDLE_CUT, KT_OK, 1075 },
        { "fewer digits", { 119, 119 }, { 1, 1 }, 0, KT_CANDLE_CUT, KT_OK, 11 },
        { "more digits than fit", { INT64_MAX, 1 }, { 1, 1 }, 3, KT_CANDLE_CUT, KT_RANGE, 0 },
        { "more digits than 128 bits hold", { INT64_MAX, INT64_MAX }, { INT64_MAX, 1 }, 18, KT_CANDLE_CUT, KT_RANGE,
            0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_candle candle = kt_candle_of(0, KT_NS_PER_MIN);
        kt_price vwap = { 0 };

        for (int t = 0; t < 2 && rows[i].price[t] != 0; t++)
            assert_int_equal(
                kt_candle_add(&candle, t, (kt_price){ rows[i].price[t] }, (kt_qty){ rows[i].quantity[t] }), KT_OK);
        if (kt_candle_vwap(&candle, 1, rows[i].scale, rows[i].rounding, &vwap) != rows[i].code ||
            vwap.m != rows[i].expected)
            fail_msg("%s: %lld", rows[i].name, (long long)vwap.m);
    }
}

/* ---- against trades that are all kept ---- */

typedef struct kept_trade {
    int64_t time_ns, price, quantity;
} kept_trade;

/* By time; of one time in the order they came, for the sort is stable: plain insertion. */
static void sort(kept_trade *trades, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && trades[j].time_ns < trades[j - 1].time_ns; j--) {
            kept_trade kept = trades[j];

            trades[j] = trades[j - 1];
            trades[j - 1] = kept;
        }
}

static void test_any_order(void **state)
{
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t n = kt_test_cases(5000); n > 0; n--) {
        kt_candle candle = kt_candle_of(1000, 100);
        kept_trade trades[TRADES];
        size_t count = 1 + kt_rng_below(&rng, TRADES);
        kt_i128 volume = 0, turnover = 0;
        int64_t high = 0, low = INT64_MAX;
        kt_price vwap;

        for (size_t i = 0; i < count; i++) {
            trades[i] = (kept_trade){ kt_rng_between(&rng, 1000, n % 2 ? 1004 : 1099), kt_rng_between(&rng, 1, 1000),
                kt_rng_between(&rng, 1, 1000) };
            assert_int_equal(kt_candle_add(&candle, trades[i].time_ns, (kt_price){ trades[i].price },
                                 (kt_qty){ trades[i].quantity }),
                KT_OK);
        }
        sort(trades, count);
        for (size_t i = 0; i < count; i++) {
            volume += trades[i].quantity;
            turnover += (kt_i128)trades[i].price * trades[i].quantity;
            high = trades[i].price > high ? trades[i].price : high;
            low = trades[i].price < low ? trades[i].price : low;
        }
        assert_true(candle.open.m == trades[0].price && candle.close.m == trades[count - 1].price);
        assert_true(candle.high.m == high && candle.low.m == low);
        assert_true(candle.volume == volume && candle.turnover == turnover && candle.count == count);
        assert_int_equal(kt_candle_vwap(&candle, 2, 4, KT_CANDLE_CUT, &vwap), KT_OK);
        assert_true(vwap.m * volume <= turnover * 100 && (vwap.m + 1) * volume > turnover * 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KT_TEST_RECORDED(test_minutes_of_kraken, KRAKEN_MINUTES),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_vwap),
        cmocka_unit_test(test_any_order),
    };

    return cmocka_run_group_tests_name("candle", tests, NULL, NULL);
}
