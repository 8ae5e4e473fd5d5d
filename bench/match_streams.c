#include "match_streams.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/rng.h"

enum {
    PRICE_START = 1 << 20,
    PRICE_MAX = 1 << 22,
    PERIODS = 4, /* of a swing, in a stream */
    EVENT_MAX = 1 << 16,
    SIZE_MAX_QTY = 100,
    NEWEST_PERCENT = 75,
    TAKE_PERCENT = 3, /* of commands; with 1.1 fills each, about 95 % of orders end by a cancel */
    OWNERS = 1000,
    LIVE_MAX = 1 << 17 /* besides what stands */
};

typedef struct maker {
    const kt_stream_spec *spec;
    kt_stream *stream;
    kt_match *match;
    kt_match_event *events;
    kt_rng rng;
    uint64_t *live; /* ids, the newest last; some are gone */
    uint64_t live_count, live_max;
    uint64_t next_id;
    int64_t time;
    bool measured;
} maker;

static uint32_t below(maker *k, uint32_t bound)
{
    return (uint32_t)kt_rng_below(&k->rng, bound);
}

static void submit(maker *k, kt_match_command c)
{
    kt_match_out out = { .next = k->events, .end = k->events + EVENT_MAX };
    kt_match_order_info info;

    k->stream->commands[k->stream->count++] = c;
    kt_match_submit(k->match, &c, 1, &out);
    for (const kt_match_event *event = k->events; event < out.next; event = kt_match_next(event)) {
        kt_assert(event->kind != KT_MATCH_REJECTED || event->why == KT_MATCH_UNKNOWN || event->why == KT_MATCH_FULL);
        k->stream->fills += k->measured && event->kind == KT_MATCH_TRADE;
        if (event->kind == KT_MATCH_ACCEPTED && k->live_count < k->live_max &&
            kt_match_order(k->match, event->id, &info))
            k->live[k->live_count++] = event->id;
    }
}

static void add(maker *k, kt_match_side side, uint32_t price)
{
    kt_match_command c = {
        .id = k->next_id++, .side = (uint8_t)side, .price = price, .qty = 1 + below(k, SIZE_MAX_QTY)
    };
    uint32_t best = kt_match_best(k->match, 0, side);

    k->stream->adds += k->measured;
    k->stream->bests += k->measured && (best == 0 || (side == KT_MATCH_BUY ? price > best : price < best));
    if (below(k, 100) < k->spec->special_percent) {
        uint32_t which = below(k, 8);

        c.owner = 1 + below(k, OWNERS);
        c.stp = (uint8_t)(1 + below(k, 4));
        if (which < 2) {
            c.type = which == 0 ? KT_MATCH_STOP : KT_MATCH_STOP_LIMIT;
            c.stop = side == KT_MATCH_BUY ? price + 20 + below(k, 2000) : price - 20 - below(k, 2000);
            c.price = which == 0 ? 0 : side == KT_MATCH_BUY ? c.stop + 5 : c.stop - 5;
        } else if (which == 2 && kt_match_last(k->match, 0) != 0) {
            c.type = KT_MATCH_TRAIL;
            c.trail = 20 + below(k, 2000);
            c.price = 0;
        } else if (which < 5) {
            c.display = 1 + c.qty / 4;
        } else if (which == 5) {
            c.tif = KT_MATCH_GTD;
            c.time = k->time + 1 + below(k, 1000);
        } else if (which == 6) {
            c.post_only = 1;
        } else if (k->live_count > 0) { /* a pair with the newest, where that goes */
            kt_match_order_info peer;

            if (kt_match_order(k->match, k->live[k->live_count - 1], &peer) && peer.peer == 0 &&
                peer.side == (uint8_t)side) {
                c.peer = peer.id;
                c.owner = peer.owner;
            }
        }
    }
    submit(k, c);
}

/* The newest, or any. */
static void cancel(maker *k)
{
    bool newest = below(k, 100) < NEWEST_PERCENT;
    kt_match_order_info info;

    while (k->live_count > 0) {
        uint64_t at = newest ? k->live_count - 1 : kt_rng_below(&k->rng, k->live_count);
        uint64_t id = k->live[at];

        k->live[at] = k->live[--k->live_count];
        if (kt_match_order(k->match, id, &info)) {
            k->stream->cancels += k->measured;
            k->stream->newest += k->measured && newest;
            submit(k, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = id });
            return;
        }
    }
}

/* All that is on the other side of the middle, or about one order. */
static void take(maker *k, kt_match_side side)
{
    kt_match_level_info best;

    if (kt_match_depth(k->match, 0, side ^ 1, &best, 1) == 1)
        submit(k, (kt_match_command){ .id = k->next_id++,
                      .side = (uint8_t)side,
                      .price = best.price,
                      .tif = KT_MATCH_IOC,
                      .qty = 1 + below(k, (uint32_t)(best.qty < SIZE_MAX_QTY ? best.qty : SIZE_MAX_QTY)) });
}

/* Where the price is drawn to: a triangle wave, and a crash with its rebound. */
static uint32_t middle_at(const maker *k, uint64_t done, uint64_t all)
{
    uint64_t period = all / PERIODS + 1, at = done % period;
    uint64_t up = at < period / 2 ? at : period - at;
    double price = PRICE_START * (1.0 + k->spec->swing_percent / 100.0 * 2.0 * (double)up / (double)period);

    if (k->spec->crash_percent != 0 && done > all * 45 / 100 && done < all * 55 / 100)
        price *= 1.0 - k->spec->crash_percent / 100.0;
    return (uint32_t)price;
}

static void churn(maker *k, uint32_t middle)
{
    kt_match_side side = below(k, 2);
    uint32_t bid = kt_match_best(k->match, 0, KT_MATCH_BUY), ask = kt_match_best(k->match, 0, KT_MATCH_SELL);
    uint32_t what = below(k, 1000);

    if (what < k->spec->unknown_percent * 10)
        submit(k, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = k->next_id + 1000000 + below(k, 1 << 20) });
    else if (ask != 0 && ask + 2 < middle)
        take(k, KT_MATCH_BUY);
    else if (bid != 0 && bid > middle + 2)
        take(k, KT_MATCH_SELL);
    else if (k->spec->special_percent != 0 && what > 995)
        submit(k, (kt_match_command){ .op = KT_MATCH_TIME, .time = ++k->time });
    else if (what > 995 - TAKE_PERCENT * 10)
        take(k, side);
    else if (what > 500 && k->live_count > 0)
        cancel(k);
    else if (side == KT_MATCH_BUY)
        add(k, side,
            bid == 0 || bid + 1 < middle ? (bid == 0 || bid + 40 < middle ? middle - 20 : bid + 1) : bid - below(k, 4));
    else
        add(k, side,
            ask == 0 || ask > middle + 1 ? (ask == 0 || ask > middle + 40 ? middle + 20 : ask - 1) : ask + below(k, 4));
}

/* Orders behind the touch, on some thousand levels a side. */
static void stand(maker *k)
{
    uint64_t before;

    for (uint32_t i = 0; i < k->spec->standing; i++) {
        uint32_t far = 100 + below(k, 100000);

        add(k, i & 1, i & 1 ? PRICE_START + far : PRICE_START - far);
    }
    before = k->live_count;
    while (k->live_count > before - before * k->spec->gone_percent / 100) {
        uint64_t at = kt_rng_below(&k->rng, k->live_count), id = k->live[at];

        k->live[at] = k->live[--k->live_count];
        submit(k, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = id });
    }
}

/* Fill one level; then cancel the middle one, its neighbours, and so on. */
static void one_level(maker *k)
{
    uint32_t count = k->spec->one_level;

    k->live_count = 0;
    for (uint32_t i = 0; i < count; i++)
        add(k, KT_MATCH_BUY, PRICE_START);
    for (uint32_t i = 0; i < count; i++)
        submit(k, (kt_match_command){
                      .op = KT_MATCH_CANCEL, .id = k->live[i & 1 ? count / 2 - 1 - i / 2 : count / 2 + i / 2] });
}

static void sweep(maker *k)
{
    for (uint32_t i = 0; i < k->spec->sweep_levels; i++)
        submit(
            k, (kt_match_command){ .id = k->next_id++, .side = KT_MATCH_SELL, .price = PRICE_START + i * 7, .qty = 1 });
    submit(k, (kt_match_command){
                  .id = k->next_id++, .side = KT_MATCH_BUY, .price = PRICE_MAX, .qty = k->spec->sweep_levels });
}

kt_stream *kt_stream_new(const kt_stream_spec *spec, kt_match_ids ids, uint64_t commands, uint64_t seed)
{
    kt_stream *stream = calloc(1, sizeof *stream);
    uint64_t capacity = commands + 2 * (uint64_t)spec->standing + 2 * spec->one_level + spec->sweep_levels + 1;
    maker k = { .spec = spec, .stream = stream, .next_id = 1, .live_max = capacity, .time = 1 };

    kt_assert(stream != NULL);
    stream->bounds = (kt_match_bounds){ .symbol_max = 1,
        .order_max = spec->standing + spec->one_level + LIVE_MAX,
        .price_max = PRICE_MAX,
        .qty_max = 1000000,
        .ids = ids,
        .id_max = ids == KT_MATCH_DIRECT ? capacity + (1 << 22) : 0 };
    stream->commands = malloc(capacity * sizeof *stream->commands);
    k.match = kt_match_new(&stream->bounds);
    k.events = malloc(EVENT_MAX * sizeof *k.events);
    k.live = malloc(capacity * sizeof *k.live);
    kt_assert(stream->commands != NULL && k.match != NULL && k.events != NULL && k.live != NULL);
    kt_rng_init(&k.rng, seed);
    stand(&k);
    stream->prefill = stream->count;
    k.measured = true;
    while (stream->count - stream->prefill < commands) {
        if (spec->one_level != 0)
            one_level(&k);
        else if (spec->sweep_levels != 0)
            sweep(&k);
        else
            churn(&k, middle_at(&k, stream->count - stream->prefill, commands));
    }
    kt_match_free(k.match);
    free(k.events);
    free(k.live);
    return stream;
}

void kt_stream_free(kt_stream *stream)
{
    if (stream != NULL)
        free(stream->commands);
    free(stream);
}
