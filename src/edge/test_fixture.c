/* A small house for the tests of foreign clients and for looking at the page: an edge over a log that this program
 * writes itself, with ten minutes of the past and a market that goes on. No lanes, no venue; figures are made up, but
 * hang together.
 *
 *     edge_test_fixture [PORT [SILENCE_MS]]     prints "listening 127.0.0.1:PORT"; ends when its input ends
 */
#include "base/rng.h"
#include "base/test_util.h"
#include "base/time.h"
#include "edge/edge.h"
#include "log/log.h"
#include "schema/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WINDOWS = 3, SYMBOLS = 2, VALIDATED_AFTER_S = 4, PAST_S = 600, SECONDS_MAX = 4096 };

static const char *const window_names[WINDOWS] = { "1m", "5m", "1h" };
static const int window_seconds[WINDOWS] = { 60, 300, 3600 };
static const char *const symbols[SYMBOLS] = { "BTC/USDT", "ETH/USDT" };
static const char *const bases[SYMBOLS] = { "BTC", "ETH" };

typedef struct second {
    kt_i128 pq; /* price mantissa x quantity mantissa */
    kt_i128 q;
    uint64_t trades;
    bool corrected;
} second;

typedef struct market {
    int64_t price; /* scale 2 */
    uint64_t number;
    second seconds[SECONDS_MAX]; /* by second modulo its size */
    kt_ev_feed_stats stats;
} market;

static kt_log *the_log;
static kt_rng rng;
static market markets[SYMBOLS];

static int64_t utc_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * KT_NS_PER_S + now.tv_nsec;
}

static void put(uint16_t kind, int64_t time_ns, const void *event, const char *fmt, const char *a, const char *b)
{
    char subject[128];
    uint8_t payload[2048];
    uint32_t size = 0;
    uint32_t id = 0;

    snprintf(subject, sizeof subject, "%s%s%s", fmt, a, b);
    if (kt_log_subject(the_log, kt_text_of(subject), 0, &id, NULL) != KT_OK ||
        kt_event_encode(kind, event, payload, sizeof payload, &size) != KT_OK ||
        kt_log_append(the_log, &(kt_rec_head){ .kind = kind, .flags = KT_REC_INPUT, .subject = id, .time_ns = time_ns },
            payload, size, NULL) != KT_OK) {
        fprintf(stderr, "cannot write %s\n", subject);
        exit(1);
    }
}

static void put_trade(int symbol, int64_t time_ns, bool suspect)
{
    market *at = &markets[symbol];
    kt_ev_trade trade;
    char id[24];
    int64_t quantity = 1 + (int64_t)kt_rng_below(&rng, 5000);
    second *slot = &at->seconds[time_ns / KT_NS_PER_S % SECONDS_MAX];

    at->price += (int64_t)kt_rng_below(&rng, 401) - 200;
    kt_event_init(KT_EV_TRADE, &trade);
    trade.venue_time = time_ns - 41 * KT_NS_PER_MS;
    trade.receive_time = time_ns;
    trade.price = (kt_decimal){ .m = suspect ? at->price * 13 / 10 : at->price, .scale = 2 };
    trade.quantity = (kt_decimal){ .m = quantity, .scale = 4 };
    trade.side = kt_rng_below(&rng, 2) != 0 ? KT_SIDE_BUY : KT_SIDE_SELL;
    snprintf(id, sizeof id, "%llu", (unsigned long long)++at->number);
    trade.trade_id = kt_text_of(id);
    trade.trade_number = at->number;
    trade.source = KT_SOURCE_STREAM;
    trade.suspect = suspect;
    put(KT_EV_TRADE, time_ns, &trade, "trades.binance.", symbols[symbol], "");
    at->stats.received++;
    at->stats.market_time = trade.venue_time;
    at->stats.suspect += suspect;
    if (suspect)
        return;
    slot->pq += (kt_i128)at->price * quantity;
    slot->q += quantity;
    slot->trades++;
}

static bool average(int symbol, int window, int64_t mark, kt_ev_vwap *vwap)
{
    kt_i128 pq = 0;
    kt_i128 q = 0;

    kt_event_init(KT_EV_VWAP, vwap);
    for (int64_t s = mark - window_seconds[window] + 1; s <= mark; s++) {
        const second *slot = &markets[symbol].seconds[s % SECONDS_MAX];

        pq += slot->pq;
        q += slot->q;
        vwap->trades += slot->trades;
    }
    if (q == 0)
        return false;
    vwap->mark = mark * KT_NS_PER_S;
    vwap->window = window_seconds[window] * KT_NS_PER_S;
    vwap->price = (kt_decimal){ .m = (int64_t)kt_div_half_even(pq * 100, q), .scale = 4 };
    vwap->sum_pq = kt_sum_of(pq, 6);
    vwap->sum_q = kt_sum_of(q, 4);
    vwap->complete = true;
    return true;
}

static void put_correction(int symbol, int window, int64_t time_ns, const kt_ev_vwap *vwap, const char *key)
{
    static const kt_text ids[] = { { "4711", 4 } };
    kt_ev_correction correction;

    kt_event_init(KT_EV_CORRECTION, &correction);
    correction.mark_from = correction.mark_to = vwap->mark;
    correction.window = vwap->window;
    correction.revision = vwap->revision;
    correction.old_price = vwap->price;
    correction.old_price.m -= 731;
    correction.new_price = vwap->price;
    correction.cause = KT_CAUSE_MISSING;
    correction.trade_ids = KT_TEXTS_OF(ids, 1);
    correction.trade_count = 1;
    put(KT_EV_CORRECTION, time_ns, &correction, "correction.", window_names[window], key);
}

static void put_second(int symbol, int64_t mark, int64_t time_ns)
{
    char key[64];
    kt_ev_vwap vwap;
    market *at = &markets[symbol];
    int64_t done = mark - VALIDATED_AFTER_S;

    snprintf(key, sizeof key, ".binance.%s", symbols[symbol]);
    for (int window = 0; window < WINDOWS; window++) {
        if (average(symbol, window, mark, &vwap))
            put(KT_EV_VWAP, time_ns, &vwap, "vwap.", window_names[window], key);
        if (!average(symbol, window, done, &vwap))
            continue;
        vwap.validated = true;
        vwap.revision = 2;
        put(KT_EV_VWAP, time_ns, &vwap, "vwap.", window_names[window], key);
        if (at->seconds[done % SECONDS_MAX].corrected)
            put_correction(symbol, window, time_ns, &vwap, key);
    }
    at->stats.validated_until = done * KT_NS_PER_S;
    at->stats.skew_min = -1281 * KT_NS_PER_MS;
    at->stats.skew_max = -1060 * KT_NS_PER_MS;
    put(KT_EV_FEED_STATS, time_ns, &at->stats, "stats.binance.", symbols[symbol], "");
}

static void play_second(int64_t s, bool silent)
{
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
        market *at = &markets[symbol];
        second *slot = &at->seconds[s % SECONDS_MAX];

        *slot = (second){ 0 };
        for (uint64_t i = 0, n = silent ? 0 : 2 + kt_rng_below(&rng, 12); i < n; i++)
            put_trade(symbol, s * KT_NS_PER_S + (int64_t)i * 60 * KT_NS_PER_MS, kt_rng_below(&rng, 600) == 0);
        slot->corrected = kt_rng_below(&rng, 12) == 0;
        at->stats.missing += slot->corrected;
        at->stats.repaired += slot->corrected;
        at->stats.repeated += kt_rng_below(&rng, 3) == 0;
        at->stats.reordered += kt_rng_below(&rng, 9) == 0;
        at->stats.invalid += kt_rng_below(&rng, 40) == 0;
        if (!silent)
            put_second(symbol, s, s * KT_NS_PER_S + 999 * KT_NS_PER_MS);
    }
}

static void put_start(int64_t time_ns)
{
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
        kt_ev_instrument instrument;

        kt_event_init(KT_EV_INSTRUMENT, &instrument);
        instrument.venue_symbol = kt_text_of(symbols[symbol]);
        instrument.base = kt_text_of(bases[symbol]);
        instrument.quote = KT_TEXT("USDT");
        instrument.price_scale = 2;
        instrument.quantity_scale = 4;
        put(KT_EV_INSTRUMENT, time_ns, &instrument, "instrument.binance.", symbols[symbol], "");
        markets[symbol].price = symbol == 0 ? 6500025 : 321010;
    }
    kt_ev_link link;
    kt_event_init(KT_EV_LINK, &link);
    link.state = KT_LINK_CONNECTED;
    link.receive_time = time_ns;
    put(KT_EV_LINK, time_ns, &link, "feed.binance.link", "", "");
}

static void on_input(kt_watch *watch, uint32_t ready)
{
    char byte;

    if (read(watch->fd, &byte, 1) <= 0)
        kt_loop_stop(watch->ctx);
}

typedef struct ticker {
    kt_loop *loop;
    kt_timer timer;
    int64_t second;
} ticker;

static void on_tick(kt_timer *timer)
{
    ticker *at = timer->ctx;
    int64_t now_s = utc_ns() / KT_NS_PER_S;

    for (; at->second < now_s; at->second++)
        play_second(at->second, false);
    kt_timer_set(at->loop, timer, kt_loop_now(at->loop) + 100 * KT_NS_PER_MS);
}

int main(int argc, char **argv)
{
    kt_log_options options;
    kt_config *config = NULL;
    kt_edge *edge = NULL;
    kt_loop *loop = NULL;
    kt_err err = { 0 };
    bool failed = true;
    char dir[512];
    char yaml[256];
    int64_t start_s = utc_ns() / KT_NS_PER_S - PAST_S;
    int size = snprintf(
        yaml, sizeof yaml, "edge: {port: %s, silence_ms: %s}\n", argc > 1 ? argv[1] : "0", argc > 2 ? argv[2] : "5000");

    kt_rng_init(&rng, 1);
    snprintf(dir, sizeof dir, "%s/market", kt_test_dir());
    kt_log_options_init(&options, dir);
    options.segment_size = 1 << 20;
    if (kt_log_open(&options, &the_log, &err) != KT_OK || kt_loop_new(NULL, &loop, &err) != KT_OK ||
        kt_config_parse("fixture", yaml, (size_t)size, &config, &err) != KT_OK)
        goto out;
    put_start(start_s * KT_NS_PER_S);
    for (int64_t s = start_s; s < start_s + PAST_S; s++)
        play_second(s, s > start_s + 180 && s < start_s + 210);
    if (kt_edge_open(
            &(kt_edge_options){
                .loop = loop, .config = config, .source_count = 1, .sources = &(kt_edge_source){ "market", dir } },
            &edge, &err) != KT_OK)
        goto out;
    ticker tick = { .loop = loop, .second = start_s + PAST_S };
    tick.timer = (kt_timer){ .on_due = on_tick, .ctx = &tick };
    kt_watch input = { .on_ready = on_input, .ctx = loop, .fd = STDIN_FILENO, .events = KT_LOOP_READ };
    kt_timer_set(loop, &tick.timer, kt_loop_now(loop));
    if (kt_loop_watch(loop, &input, &err) != KT_OK)
        goto out;
    printf("listening 127.0.0.1:%u\n", kt_edge_port(edge));
    fflush(stdout);
    failed = kt_loop_run(loop, &err) != KT_OK;
out:
    if (failed)
        fprintf(stderr, "%s\n", err.msg);
    kt_edge_close(edge);
    kt_log_close(the_log, NULL);
    kt_loop_free(loop);
    kt_config_free(config);
    return failed;
}
