/* The true market: the generator's promises, and tapes good and bad. */
#include <math.h>
#include <zlib.h>

#include "base/time.h"
#include "venue/sim/history.h"
#include "venue/sim/market.h"
#include "venue/sim/tape.h"
#include "venue/test_sink.h"

static const int64_t start_ns = INT64_C(1700000000000000000);

static kt_sim_market *opened(const kt_sim_market_options *options)
{
    kt_sim_market *market = NULL;
    kt_err err = { 0 };

    if (kt_sim_market_open(options, &market, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return market;
}

static kt_sim_market_options generator(uint64_t seed)
{
    return (kt_sim_market_options){
        .seed = seed, .rate = 100, .skew = 1, .start_ns = start_ns, .burst_every_ns = 60 * KT_NS_PER_S, .symbols = "8"
    };
}

static void test_one_seed_gives_one_market(void **state)
{
    kt_sim_market_options options = generator(7), other = generator(8);
    kt_sim_market *a = opened(&options), *b = opened(&options), *c = opened(&other);
    uint32_t differing = 0;

    for (uint32_t i = 0; i < 20000; i++) {
        kt_sim_trade trade = *kt_sim_market_peek(a);

        assert_memory_equal(&trade, kt_sim_market_peek(b), sizeof trade);
        differing += memcmp(&trade, kt_sim_market_peek(c), sizeof trade) != 0;
        kt_sim_market_take(a);
        kt_sim_market_take(b);
        kt_sim_market_take(c);
    }
    assert_true(differing > 19000);
    kt_sim_market_close(a);
    kt_sim_market_close(b);
    kt_sim_market_close(c);
}

static int compare_prices(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* What kontor may rely on: numbers without gaps, times that do not fall, steps of the instrument, and no true price
 * further than 10 % from the median of the 31 before it. What makes it a market: clusters and heavy tails. */
static void test_generator(void **state)
{
    enum { TRADES = 200000, MEDIAN = 31 };
    kt_sim_market_options options = generator(kt_test_seed());
    kt_sim_market *market = opened(&options);
    struct {
        uint64_t number;
        int64_t time_ms, last[MEDIAN];
        uint32_t count;
    } seen[8] = { 0 };
    uint32_t together = 0, bounces = 0, large = 0, first = 0;
    int64_t last_ns = start_ns;
    double notional_sum = 0;

    for (uint32_t i = 0; i < TRADES; i++) {
        kt_sim_trade trade = *kt_sim_market_peek(market);
        const kt_row_instrument *pair = &kt_sim_symbol_at(market, trade.symbol)->pair;
        __typeof__(&seen[0]) symbol = &seen[trade.symbol];
        double notional = (double)trade.price * (double)trade.quantity * 1e-16;
        int64_t m = 0;

        kt_sim_market_take(market);
        assert_true(trade.at_ns >= last_ns);
        together += trade.at_ns - last_ns < KT_NS_PER_MS;
        last_ns = trade.at_ns;
        assert_true(trade.time_ms == kt_time_to_ms(trade.at_ns) && trade.time_ms >= symbol->time_ms);
        assert_true(symbol->number == 0 || trade.number == symbol->number + 1);
        assert_true(trade.price > 0 && trade.quantity > 0);
        assert_int_equal(
            kt_decimal_rescale((kt_decimal){ .m = trade.price, .scale = KT_SIM_SCALE }, pair->price_scale, &m), KT_OK);
        assert_int_equal(
            kt_decimal_rescale((kt_decimal){ .m = trade.quantity, .scale = KT_SIM_SCALE }, pair->quantity_scale, &m),
            KT_OK);
        if (symbol->count >= MEDIAN) {
            int64_t sorted[MEDIAN];

            memcpy(sorted, symbol->last, sizeof sorted);
            qsort(sorted, MEDIAN, sizeof *sorted, compare_prices);
            assert_true(llabs(trade.price - sorted[MEDIAN / 2]) * 10 < sorted[MEDIAN / 2]);
        }
        bounces += symbol->count > 0 && trade.price != symbol->last[(symbol->count - 1) % MEDIAN];
        symbol->last[symbol->count++ % MEDIAN] = trade.price;
        symbol->number = trade.number;
        symbol->time_ms = trade.time_ms;
        first += trade.symbol == 0;
        large += notional > 100 * 12;
        notional_sum += notional;
    }
    /* 200,000 at 100 a second are 2,000 s; clusters make the spread wide. */
    assert_true(last_ns - start_ns > 1200 * KT_NS_PER_S && last_ns - start_ns < 3000 * KT_NS_PER_S);
    assert_true(together > TRADES / 8); /* without clusters 9.5 % would follow within a millisecond */
    assert_true(bounces > TRADES / 4);  /* prices move */
    assert_true(first > TRADES / 4 && first < TRADES / 2); /* weights 1, 1/2, 1/3 ...: 37 % */
    assert_true(large > TRADES / 5000 && large < TRADES / 50);
    assert_true(notional_sum / TRADES > 2 * 12); /* the mean lies far above the smallest */
    kt_sim_market_close(market);
}

/* Of eight symbols: 1/8; 1 / (1 + 1/2 + ... + 1/8); 1 / (1 + 1/4 + ... + 1/64). Clusters, some 2.5 trades each, stay on a symbol. */
static void test_skew(void **state)
{
    static const struct {
        double skew, first, last;
    } rows[] = { { 0, 0.125, 0.125 }, { 1, 0.368, 0.046 }, { 2, 0.655, 0.0102 } };
    enum { TRADES = 100000 };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_sim_market_options options = generator(kt_test_seed());
        kt_sim_market *market = NULL;
        double shares[8] = { 0 };

        options.skew = rows[i].skew;
        market = opened(&options);
        for (uint32_t n = 0; n < TRADES; n++) {
            shares[kt_sim_market_peek(market)->symbol] += 1.0 / TRADES;
            kt_sim_market_take(market);
        }
        kt_sim_market_close(market);
        assert_true(fabs(shares[0] - rows[i].first) < 0.03);
        assert_true(fabs(shares[7] - rows[i].last) < 0.02);
    }
}

static void test_burst(void **state)
{
    kt_sim_market_options options = generator(3);
    kt_sim_market *market = NULL;
    uint32_t most = 0, run = 0;
    int64_t last_ms = 0;

    options.burst = 250;
    options.burst_every_ns = 10 * KT_NS_PER_S;
    market = opened(&options);
    for (uint32_t i = 0; i < 4000; i++) {
        const kt_sim_trade *trade = kt_sim_market_peek(market);

        if (trade->symbol == 0) {
            run = trade->time_ms == last_ms ? run + 1 : 1;
            last_ms = trade->time_ms;
            most = run > most ? run : most;
        }
        assert_true(trade->at_ns >= start_ns);
        kt_sim_market_take(market);
    }
    assert_true(most >= 250 && most < 300);
    kt_sim_market_close(market);
}

static void test_symbols(void **state)
{
    static const struct {
        const char *name;
        const char *symbols;
        const char *error;   /* NULL: none */
        const char *tickers; /* of the generic format */
    } rows[] = {
        { "a number", "2", NULL, "BTC ETH " },
        { "a list", "ETH/BTC,XRP/USDT=0.61", NULL, "ETH XRP " },
        { "two pairs share a base", "BTC/USDT,BTC/EUR", NULL, "BTC BTC/EUR " },
        { "none", "0", "1 to 1000", NULL },
        { "too many", "1001", "1 to 1000", NULL },
        { "no quote", "BTC", "BASE/QUOTE", NULL },
        { "empty item", "BTC/USDT,", "BASE/QUOTE", NULL },
        { "twice", "BTC/USDT,BTC/USDT", "given twice", NULL },
        { "small letters", "btc/usdt", "capital letters", NULL },
        { "price is no number", "BTC/USDT=x", "its price", NULL },
        { "price is negative", "BTC/USDT=-1", "its price", NULL },
        { "too long", "ABCDEFGHIJKLMNOPQRSTUVWXYZ/ABCDEFGHIJKLMNOPQRSTUVWXYZ", "longer than", NULL },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_sim_market_options options = generator(1);
        kt_sim_market *market = NULL;
        kt_err err = { 0 };
        char tickers[64] = "";

        options.symbols = rows[i].symbols;
        if (kt_sim_market_open(&options, &market, &err) != KT_OK) {
            if (rows[i].error == NULL || strstr(err.msg, rows[i].error) == NULL)
                fail_msg("%s: '%s'", rows[i].name, err.msg);
            continue;
        }
        if (rows[i].error != NULL)
            fail_msg("%s: no error", rows[i].name);
        for (uint32_t at = 0; at < kt_sim_symbol_count(market); at++)
            snprintf(tickers + strlen(tickers), sizeof tickers - strlen(tickers), "%s ",
                kt_sim_symbol_at(market, at)->ticker.symbol.s);
        kt_sim_market_close(market);
        if (strcmp(tickers, rows[i].tickers) != 0)
            fail_msg("%s: '%s'", rows[i].name, tickers);
    }
}

/* ---- tapes ---- */

#define HEAD "trade_id,price,qty,trade_time_ms,buyer_is_maker,recv_ns\n"
#define RAW(id, time)                                                                     \
    "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"s\":\"BTCUSDT\",\"t\":" id \
    ",\"p\":\"1.50\",\"q\":\"2\",\"T\":" time ",\"m\":true}}\n"

static void test_bad_tapes(void **state)
{
    static const struct {
        const char *name;
        const char *file;
        const char *text;
        const char *error;
    } rows[] = {
        { "good csv", "trades_btcusdt_1.csv", HEAD "1,1.5,2,3,1,4\n2,1.5,2,3,0,4\n", NULL },
        { "good csv, columns in another order", "trades_ethbtc.csv",
            "x,recv_ns,qty,price,trade_time_ms,buyer_is_maker,trade_id\n0,1,2,3,4,1,6\n", NULL },
        { "good raw", "btc.ns_raw.txt", "7 " RAW("1", "3") "8 {\"stream\":\"btcusdt@depth\"}\n9 " RAW("2", "3"), NULL },
        { "no such ending", "tape.txt", "", "its name must end in" },
        { "empty", "trades_btcusdt.csv", "", "has no trades" },
        { "a column is not there", "trades_btcusdt.csv", "trade_id,price,qty,trade_time_ms,buyer_is_maker\n",
            "'recv_ns' is not there" },
        { "no pair in the name", "trades.csv", HEAD "1,1,1,1,1,1\n", "--symbols" },
        { "a row cut short", "trades_btcusdt.csv", HEAD "1,1.5,2\n", "csv:2: not a row" },
        { "a price that is none", "trades_btcusdt.csv", HEAD "1,x,2,3,1,4\n", "csv:2: not a row" },
        { "a price of zero", "trades_btcusdt.csv", HEAD "1,0,2,3,1,4\n", "csv:2: price and quantity must be positive" },
        { "nine digits", "trades_btcusdt.csv", HEAD "1,0.123456789,2,3,1,4\n", "at most 8 digits" },
        { "ids fall", "trades_btcusdt.csv", HEAD "2,1,2,3,1,4\n1,1,2,3,1,4\n", "csv:3: trade 1 comes after 2" },
        { "the venue's time falls", "trades_btcusdt.csv", HEAD "1,1,2,3,1,4\n2,1,2,2,1,4\n",
            "csv:3: the venue's time falls" },
        { "the receive time falls", "trades_btcusdt.csv", HEAD "1,1,2,3,1,4\n2,1,2,3,1,3\n",
            "csv:3: the receive time falls" },
        { "raw without a time", "x.ns_raw.txt", RAW("1", "3"), "txt:1: a line is" },
        { "raw with broken JSON", "x.ns_raw.txt", "7 {\"stream\":\"btcusdt@trade\",\n", "txt:1" },
        { "raw without a field", "x.ns_raw.txt", "7 {\"stream\":\"btcusdt@trade\",\"data\":{\"s\":\"BTCUSDT\"}}\n",
            "txt:1" },
        { "torn gzip", "trades_btcusdt.csv.gz", NULL, "csv.gz" },
    };
    const char *dir = kt_test_dir();

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char path[512];
        kt_sim_tape tape = { 0 };
        kt_err err = { 0 };
        FILE *file = NULL;

        snprintf(path, sizeof path, "%s/%s", dir, rows[i].file);
        file = fopen(path, "w");
        assert_non_null(file);
        fwrite(rows[i].text != NULL ? rows[i].text : "\x1f\x8b\x08\x00\x00", 1,
            rows[i].text != NULL ? strlen(rows[i].text) : 5, file);
        fclose(file);
        if (kt_sim_tape_read(path, NULL, &tape, &err) == KT_OK) {
            if (rows[i].error != NULL)
                fail_msg("%s: no error", rows[i].name);
            kt_sim_tape_done(&tape);
        } else if (rows[i].error == NULL || strstr(err.msg, rows[i].error) == NULL) {
            fail_msg("%s: '%s'", rows[i].name, err.msg);
        }
    }
    {
        kt_sim_tape tape = { 0 };
        kt_err err = { 0 };

        assert_int_equal(kt_sim_tape_read("/nowhere/x.csv", "BTC/USDT", &tape, &err), KT_SYS);
        assert_non_null(strstr(err.msg, "/nowhere/x.csv"));
    }
}

/* The raw messages and the csv that another program made of them are the same market. */
static void test_recorded_tapes(void **state)
{
    const char *raw_path = kt_test_recordings("binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz");
    const char *csv_path = kt_test_recordings("binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz");
    kt_sim_market_options raw_options = { 0 }, csv_options = { .until_number = 3735693015 };
    kt_sim_market *raw = NULL, *csv = NULL;
    uint32_t count = 0;

    assert_non_null(raw_path);
    assert_non_null(csv_path);
    raw_options.tape = raw_path;
    csv_options.tape = csv_path;
    raw = opened(&raw_options);
    csv = opened(&csv_options);
    assert_int_equal(kt_sim_symbol_count(raw), 1);
    assert_true(kt_text_equal(kt_sim_symbol_at(raw, 0)->pair.symbol, KT_TEXT("BTC/USDT")));
    assert_int_equal(kt_sim_symbol_at(raw, 0)->pair.price_scale, 2);
    assert_int_equal(kt_sim_symbol_at(raw, 0)->pair.quantity_scale, 5);
    assert_int_equal(kt_sim_market_start(raw), 1723161254087896568);
    while (kt_sim_market_peek(raw) != NULL) {
        assert_non_null(kt_sim_market_peek(csv));
        assert_memory_equal(kt_sim_market_peek(raw), kt_sim_market_peek(csv), sizeof(kt_sim_trade));
        kt_sim_market_take(raw);
        kt_sim_market_take(csv);
        count++;
    }
    assert_null(kt_sim_market_peek(csv));
    assert_int_equal(count, 9757);
    kt_sim_market_close(raw);
    kt_sim_market_close(csv);
}

/* ---- what REST remembers ---- */

static void test_history(void **state)
{
    kt_sim_history history;

    kt_sim_history_init(&history, 3000);
    assert_int_equal(kt_sim_history_from_number(&history, 0), 0);
    for (uint64_t i = 1; i <= 10000; i++) {
        kt_sim_trade trade = { .number = 2 * i, .time_ms = (int64_t)(i / 2) };
        uint32_t oldest = i <= 3000 ? 1 : (uint32_t)i - 2999;

        assert_int_equal(kt_sim_history_add(&history, &trade), KT_OK);
        assert_int_equal(history.count, i <= 3000 ? i : 3000);
        assert_int_equal(kt_sim_history_at(&history, 0)->number, 2 * oldest);
        assert_int_equal(kt_sim_history_at(&history, history.count - 1)->number, 2 * i);
        assert_int_equal(kt_sim_history_from_number(&history, 0), 0);
        assert_int_equal(kt_sim_history_from_number(&history, 2 * i - 1), history.count - 1);
        assert_int_equal(kt_sim_history_from_number(&history, 2 * i + 1), history.count);
        assert_int_equal(kt_sim_history_from_time(&history, (int64_t)(i / 2) + 1), history.count);
    }
    assert_int_equal(kt_sim_history_at(&history, kt_sim_history_from_time(&history, 4500))->number, 2 * 9000);
    kt_sim_history_done(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_seed_gives_one_market),
        cmocka_unit_test(test_generator),
        cmocka_unit_test(test_skew),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_bad_tapes),
        KT_TEST_RECORDED(test_recorded_tapes, "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz"),
        cmocka_unit_test(test_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
