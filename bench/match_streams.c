#include "match_streams.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/rng.h"

enum {
    PRICE_START = 1 << 20,
    PRICE_MAX = 1 << 22,
    PERIODS = 4, /* of a swing, in a stream */
    EVENT_MAX = 1 << 16,
    QTY_MAX = 100,
    NEWEST_PERCENT = 75,
    TAKE_PERMILLE = 50, /* of commands: with 1.1 fills each, about 95 % of orders end by a cancel */
    CALM_LIVE = 2000,   /* beyond that more is cancelled than added */
    LOOK_BACK = 64,     /* orders of a side among which the best is sought: it is one of the newest */
    SPREAD = 20,        /* of a book that has been left behind by the price, to its new middle */
    OWNERS = 1000,
    LIVE_MAX = 1 << 17 /* besides what stands */
};

typedef struct entry {
    uint64_t id;
    uint64_t number; /* how many orders came before */
    uint32_t price;
} entry;

typedef struct maker {
    const kt_stream_spec *spec;
    kt_stream *stream;
    kt_match *match;
    kt_match_event *events;
    kt_rng rng;
    entry *live[2]; /* by side, the newest last; some are gone */
    uint64_t live_count[2], live_max;
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
        if (event->kind == KT_MATCH_ACCEPTED && kt_match_order(k->match, event->id, &info) &&
            k->live_count[info.side] < k->live_max)
            k->live[info.side][k->live_count[info.side]++] = (entry){ event->id, k->stream->count, info.price };
    }
}

static void add(maker *k, kt_match_side side, uint32_t price)
{
    kt_match_command c = { .id = k->next_id++, .side = (uint8_t)side, .price = price, .qty = 1 + below(k, QTY_MAX) };
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
        } else if (k->live_count[side] > 0) { /* a pair with the newest, where that goes */
            kt_match_order_info peer;

            if (kt_match_order(k->match, k->live[side][k->live_count[side] - 1].id, &peer) && peer.peer == 0) {
                c.peer = peer.id;
                c.owner = peer.owner;
            }
        }
    }
    submit(k, c);
}

/* Cancel that one, unless it is gone. */
static bool cancel_at(maker *k, kt_match_side side, uint64_t at)
{
    entry *live = k->live[side];
    uint64_t id = live[at].id;
    kt_match_order_info info;

    live[at] = live[--k->live_count[side]];
    if (!kt_match_order(k->match, id, &info))
        return false;
    k->stream->cancels += k->measured;
    submit(k, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = id });
    return true;
}

static bool cancel_newest(maker *k)
{
    for (;;) {
        uint64_t bids = k->live_count[KT_MATCH_BUY], asks = k->live_count[KT_MATCH_SELL];
        kt_match_side side =
            asks == 0 || (bids != 0 && k->live[KT_MATCH_BUY][bids - 1].number > k->live[KT_MATCH_SELL][asks - 1].number)
                ? KT_MATCH_BUY
                : KT_MATCH_SELL;

        if (k->live_count[side] == 0)
            return false;
        if (cancel_at(k, side, k->live_count[side] - 1)) {
            k->stream->newest += k->measured;
            return true;
        }
    }
}

/* The best of a side, as far as it is among the newest. */
static void cancel_best(maker *k, kt_match_side side)
{
    bool done = false;

    while (!done && k->live_count[side] > 0) {
        uint64_t count = k->live_count[side], best = count - 1;

        for (uint64_t i = count > LOOK_BACK ? count - LOOK_BACK : 0; i < count; i++)
            if (side == KT_MATCH_BUY ? k->live[side][i].price > k->live[side][best].price
                                     : k->live[side][i].price < k->live[side][best].price)
                best = i;
        done = cancel_at(k, side, best);
    }
}

static void cancel_any(maker *k)
{
    bool done = false;

    while (!done && k->live_count[0] + k->live_count[1] > 0) {
        kt_match_side side = kt_rng_below(&k->rng, k->live_count[0] + k->live_count[1]) < k->live_count[0]
                                 ? KT_MATCH_BUY
                                 : KT_MATCH_SELL;

        done = cancel_at(k, side, kt_rng_below(&k->rng, k->live_count[side]));
    }
}

/* About one order: all that the best level shows, or a part. */
static void take(maker *k, kt_match_side side)
{
    kt_match_level_info best;

    if (kt_match_depth(k->match, 0, side ^ 1, &best, 1) != 1)
        return;
    k->stream->takes += k->measured;
    submit(k, (kt_match_command){ .id = k->next_id++,
                  .side = (uint8_t)side,
                  .price = best.price,
                  .tif = KT_MATCH_IOC,
                  .qty = below(k, 2) ? best.qty : 1 + below(k, (uint32_t)best.qty) });
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

/* A new best of a side at one tick, at the middle when the price has left it behind, or a place behind the best. Never past the
 * middle, and never so that it would trade. */
static void quote(maker *k, kt_match_side side, uint32_t middle)
{
    uint32_t own = kt_match_best(k->match, 0, side), other = kt_match_best(k->match, 0, side ^ 1), gap, price;

    if (side == KT_MATCH_BUY) {
        gap = own == 0 ? SPREAD + 1 : own < middle ? middle - own : 0;
        price = gap > 2 * SPREAD || own == 0 ? middle - SPREAD : gap > 1 ? own + 1 : own - below(k, 4);
        price = other != 0 && price >= other ? other - 1 : price;
    } else {
        gap = own == 0 ? SPREAD + 1 : own > middle ? own - middle : 0;
        price = gap > 2 * SPREAD || own == 0 ? middle + SPREAD : gap > 1 ? own - 1 : own + below(k, 4);
        price = price <= other ? other + 1 : price;
    }
    add(k, side, price);
}

/* Prices move as they do where quotes are most of it: the side in the way is cancelled, the other one follows. */
static void churn(maker *k, uint32_t middle)
{
    uint32_t bid = kt_match_best(k->match, 0, KT_MATCH_BUY), ask = kt_match_best(k->match, 0, KT_MATCH_SELL);
    uint32_t what = below(k, 1000), cancels = kt_match_live(k->match) > CALM_LIVE + k->spec->standing ? 520 : 450;

    if (below(k, 100) < k->spec->unknown_percent)
        submit(k, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = k->next_id + 1000000 + below(k, 1 << 20) });
    else if (k->spec->special_percent != 0 && below(k, 1000) < 5)
        submit(k, (kt_match_command){ .op = KT_MATCH_TIME, .time = ++k->time });
    else if (what < TAKE_PERMILLE)
        take(k, below(k, 2));
    else if (what >= TAKE_PERMILLE + cancels) /* where there is room for a new best, where there is any */
        quote(k, bid + 1 >= middle ? KT_MATCH_SELL : ask <= middle + 1 ? KT_MATCH_BUY : below(k, 2), middle);
    else if (below(k, 100) < NEWEST_PERCENT)
        cancel_newest(k);
    else if (ask != 0 && ask < middle)
        cancel_best(k, KT_MATCH_SELL);
    else if (bid > middle)
        cancel_best(k, KT_MATCH_BUY);
    else
        cancel_best(k, below(k, 2)); /* so that there is room for a new best */
    if (k->measured && bid != 0) {
        k->stream->low = k->stream->low == 0 || bid < k->stream->low ? bid : k->stream->low;
        k->stream->high = bid > k->stream->high ? bid : k->stream->high;
    }
}

/* Orders behind the touch, on some thousand levels a side. */
static void stand(maker *k)
{
    for (uint32_t i = 0; i < k->spec->standing; i++) {
        uint32_t far = 100 + below(k, 100000);

        add(k, i & 1, i & 1 ? PRICE_START + far : PRICE_START - far);
    }
    for (uint64_t left = (uint64_t)k->spec->standing * k->spec->gone_percent / 100; left > 0; left--)
        cancel_any(k);
}

/* Fill one level; then cancel the middle one, its neighbours, and so on. */
static void one_level(maker *k)
{
    uint32_t count = k->spec->one_level;

    k->live_count[KT_MATCH_BUY] = 0;
    for (uint32_t i = 0; i < count; i++)
        add(k, KT_MATCH_BUY, PRICE_START);
    for (uint32_t i = 0; i < count; i++)
        submit(k, (kt_match_command){ .op = KT_MATCH_CANCEL,
                      .id = k->live[KT_MATCH_BUY][i & 1 ? count / 2 - 1 - i / 2 : count / 2 + i / 2].id });
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
    for (uint32_t side = 0; side < 2; side++) {
        k.live[side] = malloc(capacity * sizeof *k.live[side]);
        kt_assert(k.live[side] != NULL);
    }
    kt_assert(stream->commands != NULL && k.match != NULL && k.events != NULL);
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
    free(k.live[0]);
    free(k.live[1]);
    return stream;
}

void kt_stream_free(kt_stream *stream)
{
    if (stream != NULL)
        free(stream->commands);
    free(stream);
}
