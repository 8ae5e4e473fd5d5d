/* How fast the rolling average is: trades pushed into their series, and after each whole second of a symbol its windows
 * asked, as service/vwap.h does. All runs have the same number of trades.
 *
 *   1 symbol          a thousand trades a second of market time
 *   10,000 symbols    one a second of each, in an order that no cache can guess: nearly every trade asks its windows. As
 *                     from a tape, the next trades are known, so that their series are fetched ahead
 *
 * Calibration: memcpy of the same trades between two buffers, in the same run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rng.h"
#include "base/test_util.h"
#include "base/time.h"
#include "quant/vwap.h"

enum { RUNS = 5, TRADES = 2000000, CELL_MAX = 1 << 19, WINDOW_MAX = 3, SERIES_AHEAD = 64, CELLS_AHEAD = 32 };

typedef struct windows {
    const char *text;
    uint32_t count;
    int64_t span_s[WINDOW_MAX];
} windows;

static const windows one_window = { "5m", 1, { 300 } }, three_windows = { "1m, 5m, 1h", 3, { 60, 300, 3600 } };

typedef struct trade {
    int64_t time_ns;
    int64_t price;
    int64_t qty;
    uint64_t symbol;
} trade;

typedef struct series {
    kt_vwap *vwap;
    int64_t mark_s; /* asked up to here */
} series;

static trade trades[TRADES + SERIES_AHEAD], copies[TRADES];
static uint64_t values; /* asked and not empty; printed, so that nothing is left out by the compiler */

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(double list[RUNS])
{
    qsort(list, RUNS, sizeof *list, order);
    return list[RUNS / 2];
}

static void make_trades(uint32_t symbols, uint32_t per_second)
{
    kt_rng rng;
    int64_t price = 6183700;

    kt_rng_init(&rng, 1);
    for (uint32_t i = 0; i < TRADES; i++) {
        price += (int64_t)(kt_rng_below(&rng, 201)) - 100;
        trades[i] = (trade){ .time_ns = (int64_t)i * (KT_NS_PER_S / per_second),
            .price = price > 0 ? price : 1,
            .qty = 1 + (int64_t)(kt_rng_below(&rng, 1000000)),
            .symbol = kt_rng_below(&rng, symbols) };
    }
}

static double memcpy_rate(void)
{
    double rates[RUNS];

    for (uint32_t run = 0; run < RUNS; run++) {
        int64_t start_ns = kt_test_now_ns();

        memcpy(copies, trades, sizeof copies);
        __asm__ volatile("" : : "r"(copies) : "memory");
        rates[run] = TRADES / ((double)(kt_test_now_ns() - start_ns) / KT_NS_PER_S);
    }
    return median_of(rates);
}

static void apply(series *s, const trade *t, uint32_t window_count)
{
    int64_t passed_s = (t->time_ns - 1) / KT_NS_PER_S;
    kt_vwap_sums sums;

    kt_assert(kt_vwap_push(s->vwap, t->time_ns, (kt_price){ t->price }, (kt_qty){ t->qty }) == KT_OK);
    for (; s->mark_s < passed_s; s->mark_s++)
        for (uint32_t w = 0; w < window_count; w++)
            values += kt_vwap_at(s->vwap, w, s->mark_s + 1, &sums) == KT_OK && sums.trades != 0;
}

static double run_once(uint32_t symbols, const windows *asked)
{
    series *all = calloc(symbols, sizeof *all);
    int64_t start_ns, end_ns;
    uint32_t window;

    kt_assert(all != NULL);
    for (uint32_t i = 0; i < symbols; i++) {
        kt_assert(kt_vwap_new(CELL_MAX, asked->count, &all[i].vwap) == KT_OK);
        for (uint32_t w = 0; w < asked->count; w++)
            kt_assert(kt_vwap_window(all[i].vwap, asked->span_s[w], &window) == KT_OK);
    }
    start_ns = kt_test_now_ns();
    for (uint32_t i = 0; i < TRADES; i++) {
        if (symbols > 1) {
            kt_vwap_fetch(all[trades[i + SERIES_AHEAD].symbol].vwap, KT_VWAP_SERIES);
            kt_vwap_fetch(all[trades[i + CELLS_AHEAD].symbol].vwap, KT_VWAP_CELLS);
        }
        apply(&all[trades[i].symbol], &trades[i], asked->count);
    }
    end_ns = kt_test_now_ns();
    for (uint32_t i = 0; i < symbols; i++)
        kt_vwap_free(all[i].vwap);
    free(all);
    return TRADES / ((double)(end_ns - start_ns) / KT_NS_PER_S);
}

static void bench(uint32_t symbols, uint32_t per_second, const windows *asked)
{
    double rates[RUNS], copied;

    make_trades(symbols, per_second);
    copied = memcpy_rate();
    values = 0;
    for (uint32_t run = 0; run < RUNS; run++)
        rates[run] = run_once(symbols, asked);
    printf(
        "vwap %5u symbol%s %-10s %6.2f M trades/s   %.4f of memcpy of the same bytes (%.0f M/s)   %.1f M values a run\n",
        symbols, symbols == 1 ? " " : "s", asked->text, median_of(rates) / 1e6, median_of(rates) / copied, copied / 1e6,
        (double)values / RUNS / 1e6);
}

int main(void)
{
    printf("vwap: %d M trades a run, median of %d runs\n", TRADES / 1000000, RUNS);
    bench(1, 1000, &one_window);
    bench(1, 1000, &three_windows);
    bench(10000, 10000, &one_window);
    bench(10000, 10000, &three_windows);
    return 0;
}
