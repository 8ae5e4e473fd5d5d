/* How fast the two messages that come most are read, all their fields to integers and decimals: by the scanner of
 * venue/binance_scan.h, by the general reader of base/json.h, and by simdjson on demand, which take turns.
 *
 *   trade   166 bytes
 *   depth   1.75 kB: some 50 levels of both sides, a third of them removals
 *
 * Demand: trade at least 3.0 times as fast as simdjson, depth 2.2 times. Calibration: memcpy of the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/test_util.h"
#include "base/text.h"
#include "json_peer.h"
#include "report.h"

enum {
    RUNS = 7,
    MESSAGES = 128,
    PASSES_TRADE = 1600,
    PASSES_DEPTH = 240,
    LEVEL_MAX = 128,
    MESSAGE_MAX = 4096,
    NODES = 1024
};

typedef enum kind { TRADE, DEPTH } kind;

/* One behind the other as in a receive buffer, each with what the peer reads beyond its end. */
static char buffer[MESSAGES * (MESSAGE_MAX + KT_PEER_PADDING)];
static kt_text messages[MESSAGES];
static kt_decimal levels[LEVEL_MAX][2];
static uint64_t sum; /* of what was read; printed nowhere, compared between the readers */

static void put_decimal(kt_builder *out, uint64_t m, uint8_t scale)
{
    kt_decimal decimal = { .m = (int64_t)m, .scale = scale };
    int64_t shown = 0;

    kt_assert(kt_decimal_rescale(decimal, 8, &shown) == KT_OK);
    kt_builder_char(out, '"');
    kt_builder_decimal(out, (kt_decimal){ .m = shown, .scale = 8 });
    kt_builder_char(out, '"');
}

static void put_levels(kt_builder *out, kt_rng *rng, uint32_t count, bool bids)
{
    kt_builder_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        uint64_t away = kt_rng_below(rng, kt_rng_chance(rng, 0.9) ? 9000 : 600000);

        kt_builder_str(out, i == 0 ? "[" : ",[");
        put_decimal(out, bids ? 6183763 - away : 6183764 + away, 2);
        kt_builder_char(out, ',');
        put_decimal(out, kt_rng_chance(rng, 0.35) ? 0 : 1 + kt_rng_below(rng, 400000), 5);
        kt_builder_char(out, ']');
    }
    kt_builder_char(out, ']');
}

static void make_messages(kind what)
{
    kt_rng rng;
    char *at = buffer;

    kt_rng_init(&rng, 1);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        kt_builder out;
        uint64_t ms = 1723161255208 + i * 100;

        kt_builder_init(&out, at, MESSAGE_MAX);
        if (what == TRADE) {
            kt_builder_format(&out,
                "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":%llu,\"s\":\"BTCUSDT\",\"t\":%llu,\"p\":",
                (unsigned long long)ms, (unsigned long long)(3735683259 + i));
            put_decimal(&out, 6183763 + kt_rng_below(&rng, 200), 2);
            kt_builder_str(&out, ",\"q\":");
            put_decimal(&out, 1 + kt_rng_below(&rng, kt_rng_chance(&rng, 0.8) ? 10000 : 400000), 5);
            kt_builder_format(&out, ",\"T\":%llu,\"m\":%s,\"M\":true}}", (unsigned long long)ms - 1,
                kt_rng_chance(&rng, 0.5) ? "true" : "false");
        } else {
            uint32_t bids = 20 + (uint32_t)kt_rng_below(&rng, 15);

            kt_builder_format(&out,
                "{\"stream\":\"btcusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":%llu,\"s\":\"BTCUSDT\",\"U\":%llu,\"u\":%llu,\"b\":",
                (unsigned long long)ms, 50093239189ULL + i * 50, 50093239189ULL + i * 50 + 49);
            put_levels(&out, &rng, bids, true);
            kt_builder_str(&out, ",\"a\":");
            put_levels(&out, &rng, 51 - bids, false);
            kt_builder_str(&out, "}}");
        }
        kt_assert(out.code == KT_OK);
        messages[i] = kt_builder_done(&out);
        at += out.n + KT_PEER_PADDING;
    }
}

static uint64_t sum_pairs(const kt_json_pairs *pairs)
{
    return pairs->count == 0
               ? 0
               : (uint64_t)(pairs->at[pairs->count - 1][0].m + pairs->at[pairs->count - 1][1].m) + pairs->count;
}

static uint64_t sum_trade(const kt_binance_trade *t)
{
    return (uint64_t)t->event_ms + t->symbol.n + t->number + (uint64_t)(t->price.m + t->quantity.m + t->time_ms) +
           t->price.scale + t->quantity.scale + t->buyer_is_maker + t->unused;
}

static uint64_t sum_depth(const kt_binance_depth *d)
{
    return (uint64_t)d->event_ms + d->symbol.n + d->first_id + d->last_id + sum_pairs(&d->bids) + sum_pairs(&d->asks);
}

static uint64_t sum_message(kind what, const kt_binance_message *message)
{
    return message->stream.n + (what == TRADE ? sum_trade(&message->trade) : sum_depth(&message->depth));
}

/* ---- the readers: one message each ---- */

static void read_scan(kind what, kt_text text)
{
    kt_binance_message message;

    kt_assert(kt_binance_scan(text, levels, LEVEL_MAX, &message));
    sum += sum_message(what, &message);
}

static void read_peer(kind what, kt_text text)
{
    kt_binance_message message;

    kt_assert(
        what == TRADE ? kt_peer_trade(text.s, text.n, &message) : kt_peer_depth(text.s, text.n, levels, &message));
    sum += sum_message(what, &message);
}

typedef struct envelope {
    kt_text stream;
    uint32_t data;
} envelope;

static const kt_json_field envelope_fields[] = {
    KT_JSON_FIELD(envelope, stream, "stream", TEXT, 0),
    KT_JSON_FIELD(envelope, data, "data", OBJECT, 0),
};

static const kt_json_field trade_fields[] = {
    KT_JSON_FIELD(kt_binance_trade, event_ms, "E", I64, 0),
    KT_JSON_FIELD(kt_binance_trade, symbol, "s", TEXT, 0),
    KT_JSON_FIELD(kt_binance_trade, number, "t", U64, 0),
    KT_JSON_FIELD(kt_binance_trade, price, "p", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(kt_binance_trade, quantity, "q", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(kt_binance_trade, time_ms, "T", I64, 0),
    KT_JSON_FIELD(kt_binance_trade, buyer_is_maker, "m", BOOL, 0),
    KT_JSON_FIELD(kt_binance_trade, unused, "M", BOOL, 0),
};

typedef struct general_depth {
    kt_binance_depth depth;
    uint32_t bids;
    uint32_t asks;
} general_depth;

static const kt_json_field depth_fields[] = {
    KT_JSON_FIELD(general_depth, depth.event_ms, "E", I64, 0),
    KT_JSON_FIELD(general_depth, depth.symbol, "s", TEXT, 0),
    KT_JSON_FIELD(general_depth, depth.first_id, "U", U64, 0),
    KT_JSON_FIELD(general_depth, depth.last_id, "u", U64, 0),
    KT_JSON_FIELD(general_depth, bids, "b", ARRAY, 0),
    KT_JSON_FIELD(general_depth, asks, "a", ARRAY, 0),
};

static void general_pairs(const kt_json_doc *doc, uint32_t list, kt_json_pairs *out)
{
    out->count = 0;
    kt_json_each (doc, list, pair) {
        kt_assert(kt_json_decimal_text(doc, pair + 1, &out->at[out->count][0]) == KT_OK);
        kt_assert(kt_json_decimal_text(doc, pair + 2, &out->at[out->count][1]) == KT_OK);
        out->count++;
    }
}

static kt_code general_fields(
    const kt_json_doc *doc, uint32_t object, const kt_json_field *fields, uint32_t count, void *out)
{
    return kt_json_fields(doc, object, fields, count, NULL, out, NULL, NULL);
}

static void read_general(kind what, kt_text text)
{
    static kt_json_node nodes[NODES];
    kt_json_doc doc;
    envelope outer;
    kt_binance_message message;
    general_depth depth;

    kt_assert(kt_json_parse(text, nodes, NODES, &doc, NULL) == KT_OK);
    kt_assert(general_fields(&doc, 0, envelope_fields, KT_COUNT(envelope_fields), &outer) == KT_OK);
    message.stream = outer.stream;
    if (what == TRADE) {
        kt_assert(general_fields(&doc, outer.data, trade_fields, KT_COUNT(trade_fields), &message.trade) == KT_OK);
    } else {
        kt_assert(general_fields(&doc, outer.data, depth_fields, KT_COUNT(depth_fields), &depth) == KT_OK);
        message.depth = depth.depth;
        message.depth.bids.at = levels;
        general_pairs(&doc, depth.bids, &message.depth.bids);
        message.depth.asks.at = levels + message.depth.bids.count;
        general_pairs(&doc, depth.asks, &message.depth.asks);
    }
    sum += sum_message(what, &message);
}

static void read_copy(kind what, kt_text text)
{
    static char copy[MESSAGE_MAX];

    memcpy(copy, text.s, text.n);
    __asm__ volatile("" : : "r"(copy) : "memory");
}

/* ---- */

static const struct {
    const char *name;
    void (*read)(kind what, kt_text text);
} readers[] = {
    { "scanner", read_scan },
    { "general", read_general },
    { "simdjson", read_peer },
    { "memcpy", read_copy },
};
enum { SCANNER, GENERAL, PEER, COPY, READERS };

/* One pass of a reader over all messages, ns. */
static double time_pass(uint32_t reader, kind what, uint64_t *io_sum)
{
    int64_t start_ns = kt_test_now_ns();

    sum = 0;
    for (uint32_t i = 0; i < MESSAGES; i++)
        readers[reader].read(what, messages[i]);
    *io_sum += sum;
    return (double)(kt_test_now_ns() - start_ns);
}

static void bench(kind what, double demand)
{
    double ns[READERS][RUNS], ratios[RUNS], scanner, peer;
    uint32_t passes = what == TRADE ? PASSES_TRADE : PASSES_DEPTH;
    uint64_t sums[READERS] = { 0 };
    size_t bytes = 0;

    make_messages(what);
    for (uint32_t i = 0; i < MESSAGES; i++)
        bytes += messages[i].n;
    for (uint32_t run = 0; run < RUNS; run++) {
        for (uint32_t reader = 0; reader < READERS; reader++)
            ns[reader][run] = 0;
        for (uint32_t pass = 0; pass < passes; pass++)
            for (uint32_t reader = 0; reader < READERS; reader++)
                ns[reader][run] += time_pass(reader, what, &sums[reader]) / passes / MESSAGES;
        kt_assert(sums[SCANNER] == sums[PEER]);
        kt_assert(sums[SCANNER] == sums[GENERAL]);
        ratios[run] = ns[PEER][run] / ns[SCANNER][run];
    }
    scanner = bench_median(ns[SCANNER], RUNS);
    peer = bench_median(ns[PEER], RUNS);
    bench_print(&(bench_row){ .what = "JSON",
        .workload = bench_text("Binance %s of %zu B, all fields", what == TRADE ? "trade" : "depth", bytes / MESSAGES),
        .figure = bench_text("%.0f ns", scanner),
        .against = bench_text("%.2fx as fast as simdjson (%.0f ns); memcpy %.0f ns, general reader %.0f ns",
            bench_median(ratios, RUNS), peer, bench_median(ns[COPY], RUNS), bench_median(ns[GENERAL], RUNS)),
        .demand = bench_text("at least %.1fx", demand),
        .met = bench_is(bench_median(ratios, RUNS) >= demand) });
}

int main(void)
{
    bench_progress("json_bench: Binance messages, median of %d runs", RUNS);
    bench(TRADE, 3.0);
    bench(DEPTH, 2.2);
    return 0;
}
