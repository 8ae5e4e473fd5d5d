/* How fast the rolling average is: trades pushed into their series, and after each whole second of a symbol its windows
 * asked, as service/vwap.h does. All runs have the same number of trades.
 *
 *   1 symbol          a thousand trades a second of market time
 *   10,000 symbols    one a second of each, in an order that no cache can guess: nearly every trade asks its windows. As
 *                     from a tape, the next trades are known, so that their series are fetched ahead
 *
 * Measured is the steady state: the longest window has been filled before, and what lies behind it is forgotten.
 *
 * Calibration: memcpy of the same trades between two buffers, in the same run. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rng.h"
#include "base/time.h"
#include "quant/vwap.h"
#include "report.h"

enum {
    RUNS = 5,
    TRADES = 2000000,
    CELL_MAX = 1 << 19,
    WINDOW_MAX = 3,
    NAMES_AHEAD = 36,
    SERIES_AHEAD = 24,
    CELLS_AHEAD = 12
};

typedef struct windows {
    const char *text;
    uint32_t count;
    int64_t span_s[WINDOW_MAX]; /* ascending */
} windows;

static const windows one_window = { "5m", 1, { 300 } }, three_windows = { "30s, 1m, 5m", 3, { 30, 60, 300 } };

typedef struct trade {
    int64_t time_ns; /* of the run */
    int64_t price;
    int64_t qty;
    uint64_t symbol;
} trade;

typedef struct series {
    kt_vwap *vwap;
    int64_t mark_s; /* asked up to here */
} series;

static trade trades[TRADES + NAMES_AHEAD], copies[TRADES];
static uint64_t values; /* asked and not empty; looked at, so that nothing is left out by the compiler */

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
        int64_t start_ns = bench_core_ns();

        memcpy(copies, trades, sizeof copies);
        __asm__ volatile("" : : "r"(copies) : "memory");
        rates[run] = TRADES / ((double)(bench_core_ns() - start_ns) / KT_NS_PER_S);
    }
    return bench_median(rates, RUNS);
}

static void apply(series *s, const trade *t, int64_t from_ns, const windows *asked)
{
    int64_t time_ns = from_ns + t->time_ns, passed_s = (time_ns - 1) / KT_NS_PER_S;
    kt_vwap_sums sums;

    kt_assert(kt_vwap_push(s->vwap, time_ns, (kt_price){ t->price }, (kt_qty){ t->qty }) == KT_OK);
    if (s->mark_s == passed_s)
        return;
    for (; s->mark_s < passed_s; s->mark_s++)
        for (uint32_t w = 0; w < asked->count; w++)
            values += kt_vwap_at(s->vwap, w, s->mark_s + 1, &sums) == KT_OK && sums.trades != 0;
    kt_vwap_forget(s->vwap, passed_s - asked->span_s[asked->count - 1]);
}

/* The tape once, from this time on. */
static void replay(series *all, int64_t from_ns, const windows *asked, bool ahead)
{
    for (uint32_t i = 0; i < TRADES; i++) {
        if (ahead) {
            __builtin_prefetch(&all[trades[i + NAMES_AHEAD].symbol]);
            kt_vwap_fetch(all[trades[i + SERIES_AHEAD].symbol].vwap, KT_VWAP_SERIES);
            kt_vwap_fetch(all[trades[i + CELLS_AHEAD].symbol].vwap, KT_VWAP_CELLS);
        }
        apply(&all[trades[i].symbol], &trades[i], from_ns, asked);
    }
}

static void run(uint32_t symbols, const windows *asked, double rates[RUNS])
{
    series *all = calloc(symbols, sizeof *all);
    kt_blocks *blocks = kt_blocks_new();
    int64_t tape_ns = trades[TRADES - 1].time_ns + 1, from_ns = 0;
    uint32_t window;

    kt_assert(all != NULL && blocks != NULL);
    for (uint32_t i = 0; i < symbols; i++) {
        kt_assert(kt_vwap_new(blocks, CELL_MAX, asked->count, &all[i].vwap) == KT_OK);
        for (uint32_t w = 0; w < asked->count; w++)
            kt_assert(kt_vwap_window(all[i].vwap, asked->span_s[w], &window) == KT_OK);
    }
    for (; from_ns <= 2 * asked->span_s[asked->count - 1] * KT_NS_PER_S; from_ns += tape_ns)
        replay(all, from_ns, asked, symbols > 1);
    values = 0;
    for (uint32_t i = 0; i < RUNS; i++, from_ns += tape_ns) {
        int64_t start_ns = bench_core_ns();

        replay(all, from_ns, asked, symbols > 1);
        rates[i] = TRADES / ((double)(bench_core_ns() - start_ns) / KT_NS_PER_S);
    }
    for (uint32_t i = 0; i < symbols; i++)
        kt_vwap_free(all[i].vwap);
    kt_blocks_free(blocks);
    free(all);
}

static void bench(uint32_t symbols, uint32_t per_second, const windows *asked, double demand_m)
{
    double rates[RUNS], copied, rate_m;

    bench_progress("vwap_bench: %u symbols, windows of %s", symbols, asked->text);
    make_trades(symbols, per_second);
    copied = memcpy_rate();
    run(symbols, asked, rates);
    kt_assert(values > 0);
    rate_m = bench_median(rates, RUNS) / 1e6;
    demand_m *= bench_speed();
    bench_print(&(bench_row){ .what = "VWAP",
        .workload = bench_text("%u symbol%s, window%s of %s, one core", symbols, symbols == 1 ? "" : "s",
            asked->count == 1 ? "" : "s", asked->text),
        .figure = bench_text("%.1f M trades/s", rate_m),
        .against = bench_text("%.3f of memcpy of the same bytes", rate_m * 1e6 / copied),
        .demand = demand_m > 0 ? bench_text("at least %.1f M/s", demand_m) : NULL,
        .met = demand_m > 0 ? bench_is(rate_m >= demand_m) : BENCH_NOT_ASKED });
}

int main(void)
{
    bench(1, 1000, &one_window, 40);
    bench(1, 1000, &three_windows, 0);
    bench(10000, 10000, &one_window, 20);
    bench(10000, 10000, &three_windows, 0);
    return 0;
}
