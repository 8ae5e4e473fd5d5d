#include "service/gather.h"

#include <string.h>

#include "base/assert.h"
#include "base/time.h"

/* Trades this far beyond the place that REST has reached can still stand before older ones in the order of arrival. */
#define REORDER_NS (5 * KT_NS_PER_S)

/* A trade whose time is so far ahead that it blocks the front of the table is moved back, at most so many at a time. */
enum { REQUEUE_MAX = 16 };

kt_code kt_gather_init(kt_gather *gather, const kt_gather_rules *rules, uint64_t hash_seed)
{
    *gather = (kt_gather){ .rules = *rules };
    kt_quality_init(&gather->quality, rules->numbered);
    return kt_trades_new(rules->trade_max, hash_seed, &gather->trades);
}

void kt_gather_done(kt_gather *gather)
{
    kt_trades_free(gather->trades);
    gather->trades = NULL;
    kt_quality_done(&gather->quality);
}

bool kt_gather_fit(const kt_gather *gather, kt_decimal price, kt_decimal quantity, uint8_t *out_price_scale,
    uint8_t *out_quantity_scale)
{
    kt_decimal p = kt_decimal_canon(price), q = kt_decimal_canon(quantity);
    int64_t m;

    *out_price_scale = p.scale > gather->price_scale ? p.scale : gather->price_scale;
    *out_quantity_scale = q.scale > gather->quantity_scale ? q.scale : gather->quantity_scale;
    return p.m > 0 && q.m > 0 && kt_decimal_rescale(p, *out_price_scale, &m) == KT_OK &&
           kt_decimal_rescale(q, *out_quantity_scale, &m) == KT_OK;
}

bool kt_gather_rescale(kt_gather *gather, uint8_t price_scale, uint8_t quantity_scale)
{
    int64_t price_factor = kt_gather_factor(gather->price_scale, price_scale);
    int64_t qty_factor = kt_gather_factor(gather->quantity_scale, quantity_scale);
    int64_t m;

    for (uint64_t p = kt_trades_first(gather->trades); p < kt_trades_end(gather->trades); p++) {
        const kt_trade *trade = kt_trades_at(gather->trades, p);

        if (__builtin_mul_overflow(trade->price, price_factor, &m) ||
            __builtin_mul_overflow(trade->qty, qty_factor, &m))
            return false;
    }
    if (!kt_median_rescale(&gather->median, price_factor))
        return false;
    for (uint64_t p = kt_trades_first(gather->trades); p < kt_trades_end(gather->trades); p++) {
        kt_trade *trade = kt_trades_at(gather->trades, p);

        trade->price *= price_factor;
        trade->qty *= qty_factor;
    }
    gather->price_scale = price_scale;
    gather->quantity_scale = quantity_scale;
    return true;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* REST begins with its oldest rows. While it is not sure yet that the stream's first time is true, those more than a step
 * before it neither agree with it nor contradict it: market time goes with them, so that a first time far ahead of the truth
 * makes nothing look too old to be kept, but it is no more sure than before. */
static void move_by_rest(kt_gather *gather, int64_t time_ns)
{
    int64_t step = gather->rules.step_ns;

    if (!gather->market_sure && time_ns < gather->stream_first_ns - step) {
        if (time_ns < gather->market_ns - step) {
            gather->ahead_ns = gather->stream_first_ns;
            gather->market_ns = time_ns;
        }
    } else {
        if (!gather->market_sure && distance(time_ns, gather->ahead_ns) <= step)
            gather->market_ns = gather->ahead_ns;
        gather->market_sure = true;
    }
    gather->market_ns = time_ns > gather->market_ns ? time_ns : gather->market_ns;
}

static void market_move(kt_gather *gather, int64_t time_ns, bool rest)
{
    int64_t step = gather->rules.step_ns, before = gather->market_ns;
    bool was_sure = gather->market_sure;

    if (gather->market_ns == 0) {
        gather->market_ns = time_ns;
        gather->market_sure = rest;
    } else if (rest) {
        move_by_rest(gather, time_ns);
    } else if (time_ns > gather->market_ns && time_ns - gather->market_ns > step) {
        if (gather->ahead_ns != 0 && distance(time_ns, gather->ahead_ns) <= step) {
            gather->market_ns = time_ns > gather->ahead_ns ? time_ns : gather->ahead_ns;
            gather->market_sure = true;
        } else if (gather->ahead_ns != 0 && time_ns > gather->ahead_ns) {
            gather->market_ns = gather->ahead_ns; /* a thin symbol: the second trade says that the first was no error */
            gather->market_sure = true;
            gather->ahead_ns = time_ns;
        } else {
            gather->ahead_ns = time_ns;
        }
    } else if (!gather->market_sure && gather->market_ns - time_ns > step) {
        gather->ahead_ns = gather->market_ns;
        gather->market_ns = time_ns;
    } else {
        gather->market_ns = time_ns > gather->market_ns ? time_ns : gather->market_ns;
        gather->market_sure = true;
    }
    if (gather->ahead_ns != 0 && gather->ahead_ns <= gather->market_ns)
        gather->ahead_ns = 0;
    if (gather->market_sure && (gather->market_ns != before || !was_sure))
        kt_quality_reach(&gather->quality, gather->market_ns);
}

/* Trades before this time are no longer needed to tell repeats. */
static int64_t keep_from(const kt_gather *gather)
{
    int64_t base = gather->market_ns;

    if (gather->stream_count > 0 && gather->stream_last_ns < base)
        base = gather->stream_last_ns;
    if (gather->rules.lag_max_ns > 0 && gather->rest_ns < base)
        base = gather->rest_ns;
    if (base < gather->market_ns - gather->rules.lag_max_ns)
        base = gather->market_ns - gather->rules.lag_max_ns;
    return base - gather->rules.keep_ns;
}

/* The venue began when we did: what REST gave before the stream's first trade was meant for us. A longer history was not. */
static bool began_with_us(const kt_gather *gather)
{
    return gather->from_start && gather->rest_first_ns != 0 &&
           (gather->stream_count == 0 || gather->rest_first_ns >= gather->stream_first_ns - gather->rules.step_ns);
}

static bool number_missing(const kt_gather *gather, uint64_t number, int64_t time_ns)
{
    if (began_with_us(gather))
        return true;
    if (gather->stream_count == 0)
        return false;
    return gather->rules.numbered ? number > gather->stream_low : time_ns >= gather->stream_first_ns;
}

/* Trades that only REST gave before it was known how far back they count. */
static void missing_again(kt_gather *gather)
{
    for (uint64_t p = kt_trades_first(gather->trades); p < kt_trades_end(gather->trades); p++) {
        kt_trade *trade = kt_trades_at(gather->trades, p);

        if ((trade->flags & (KT_TRADE_STREAM | KT_TRADE_MISSING | KT_TRADE_FORGOTTEN)) == 0 &&
            number_missing(gather, kt_trades_number(trade), trade->time_ns)) {
            trade->flags |= KT_TRADE_MISSING;
            gather->repaired++;
            kt_quality_found(&gather->quality, kt_trades_number(trade), trade->time_ns, true);
        }
    }
}

void kt_gather_from_start(kt_gather *gather)
{
    if (gather->from_start)
        return;
    gather->from_start = true;
    missing_again(gather);
}

uint64_t kt_gather_missing(const kt_gather *gather)
{
    uint64_t low = gather->stream_low, high = gather->stream_high;

    if (!gather->rules.numbered)
        return gather->repaired;
    if (gather->stream_count == 0)
        return 0;
    if (began_with_us(gather) && gather->rest_low < low)
        low = gather->rest_low;
    if (gather->rest_high > high)
        high = gather->rest_high;
    return high - low + 1 > gather->stream_count ? high - low + 1 - gather->stream_count : 0;
}

void kt_gather_refuse(kt_gather *gather, int64_t time_ns)
{
    gather->refused++;
    kt_quality_count(&gather->quality, KT_QUALITY_INVALID, time_ns);
}

static void repeat(kt_gather *gather, int64_t time_ns)
{
    gather->repeated++;
    kt_quality_count(&gather->quality, KT_QUALITY_REPEATED, time_ns);
}

/* Everything that a first delivery by the stream counts; true: it is suspect. */
static bool first_delivery(kt_gather *gather, const kt_ev_tick *tick, int64_t price)
{
    int64_t skew = tick->receive_time - tick->venue_time;
    bool far = kt_median_far(&gather->median, price, gather->rules.suspect_percent);
    bool lower = gather->stream_count == 0 || tick->venue_time < gather->stream_first_ns ||
                 tick->trade_number < gather->stream_low;
    bool late = false;

    kt_median_push(&gather->median, price);
    gather->suspect += far;
    if (gather->stream_count == 0) {
        gather->skew_min = gather->skew_max = skew;
        gather->stream_low = gather->stream_high = tick->trade_number;
        gather->stream_last_ns = tick->venue_time;
    } else if (gather->rules.numbered ? tick->trade_number < gather->stream_high
                                      : tick->venue_time < gather->stream_last_ns) {
        late = true;
    }
    gather->reordered += late;
    gather->skew_min = skew < gather->skew_min ? skew : gather->skew_min;
    gather->skew_max = skew > gather->skew_max ? skew : gather->skew_max;
    gather->stream_low = tick->trade_number < gather->stream_low ? tick->trade_number : gather->stream_low;
    gather->stream_high = tick->trade_number > gather->stream_high ? tick->trade_number : gather->stream_high;
    gather->stream_count++;
    if (gather->stream_count == 1 || tick->venue_time < gather->stream_first_ns)
        gather->stream_first_ns = tick->venue_time;
    market_move(gather, tick->venue_time, false);
    /* A time that waits for a second trade must not make all that follow look late. */
    if (tick->venue_time > gather->stream_last_ns && tick->venue_time <= gather->market_ns)
        gather->stream_last_ns = tick->venue_time;
    kt_quality_given(&gather->quality, tick->trade_number, tick->venue_time, skew);
    if (far)
        kt_quality_count(&gather->quality, KT_QUALITY_SUSPECT, tick->venue_time);
    if (late)
        kt_quality_count(&gather->quality, KT_QUALITY_REORDERED, tick->venue_time);
    if (lower)
        missing_again(gather);
    return far;
}

static bool values_equal(const kt_trade *a, const kt_trade *b)
{
    return a->price == b->price && a->qty == b->qty && a->time_ns == b->time_ns;
}

/* A later copy of a trade that the stream has given before. */
static kt_gather_step tick_again(kt_gather *gather, kt_trade *trade, uint64_t position, const kt_trade *now)
{
    kt_gather_step step = { .what = KT_GATHER_SAME, .position = position, .was = *trade };

    repeat(gather, now->time_ns);
    if ((trade->flags & KT_TRADE_REST) != 0 || values_equal(trade, now))
        return step;
    trade->price = now->price;
    trade->qty = now->qty;
    trade->time_ns = now->time_ns;
    trade->side = now->side;
    trade->revision++;
    trade->flags &= (uint16_t)~KT_TRADE_SUSPECT;
    if (kt_median_far(&gather->median, now->price, gather->rules.suspect_percent))
        trade->flags |= KT_TRADE_SUSPECT;
    step.what = KT_GATHER_CHANGED;
    return step;
}

static kt_gather_step tick_take(kt_gather *gather, const kt_ev_tick *tick, kt_trade now, bool passed)
{
    kt_gather_step step = { .what = KT_GATHER_REFUSED };
    kt_trade *trade;

    if (kt_trades_find(gather->trades, tick->trade_number, tick->trade_id, &step.position) == KT_OK) {
        trade = kt_trades_at(gather->trades, step.position);
        if ((trade->flags & KT_TRADE_STREAM) != 0)
            return tick_again(gather, trade, step.position, &now);
        /* REST was first. */
        step.what = KT_GATHER_SAME;
        step.was = *trade;
        first_delivery(gather, tick, now.price);
        trade = kt_trades_at(gather->trades, step.position);
        trade->flags |= KT_TRADE_STREAM;
        gather->corrected += !values_equal(trade, &now);
        if ((trade->flags & KT_TRADE_MISSING) != 0) {
            trade->flags &= (uint16_t)~KT_TRADE_MISSING;
            gather->repaired--;
            kt_quality_unfound(&gather->quality, tick->trade_number, trade->time_ns);
        }
        return step;
    }
    if (gather->market_sure && now.time_ns < keep_from(gather) && (passed || gather->rules.lag_max_ns == 0)) {
        repeat(gather, now.time_ns);
        step.what = KT_GATHER_SAME;
        return step;
    }
    if (first_delivery(gather, tick, now.price))
        now.flags |= KT_TRADE_SUSPECT;
    if (passed)
        now.flags |= KT_TRADE_PASSED;
    if (kt_trades_add(gather->trades, &now, tick->trade_number, tick->trade_id, &step.position) != KT_OK)
        return step;
    if (passed)
        gather->lost++;
    else
        gather->unsettled++;
    step.what = KT_GATHER_ADDED;
    return step;
}

kt_gather_step kt_gather_tick(kt_gather *gather, const kt_ev_tick *tick, bool passed)
{
    kt_gather_step step = { .what = KT_GATHER_REFUSED };
    kt_trade now = {
        .time_ns = tick->venue_time,
        .receive_ns = tick->receive_time,
        .revision = 1,
        .side = tick->side,
        .flags = KT_TRADE_STREAM,
    };

    if (kt_decimal_rescale(tick->price, gather->price_scale, &now.price) != KT_OK ||
        kt_decimal_rescale(tick->quantity, gather->quantity_scale, &now.qty) != KT_OK || now.price <= 0 ||
        now.qty <= 0 || now.time_ns <= 0) {
        kt_gather_refuse(gather, now.time_ns);
        return step;
    }
    gather->received++;
    step = tick_take(gather, tick, now, passed);
    kt_quality_count(&gather->quality, KT_QUALITY_RECEIVED, now.time_ns);
    return step;
}

static void settle(kt_gather *gather, kt_trade *trade)
{
    if ((trade->flags & (KT_TRADE_REST | KT_TRADE_PASSED)) == 0) {
        kt_assert(gather->unsettled > 0);
        gather->unsettled--;
    }
    if ((trade->flags & KT_TRADE_PASSED) != 0) {
        trade->flags &= (uint16_t)~KT_TRADE_PASSED; /* REST has it after all */
        gather->lost--;
    }
}

static kt_gather_step row_known(kt_gather *gather, uint64_t position, const kt_trade *now)
{
    kt_trade *trade = kt_trades_at(gather->trades, position);
    kt_gather_step step = { .what = KT_GATHER_SAME, .position = position, .was = *trade };
    bool equal = values_equal(trade, now);

    if ((trade->flags & KT_TRADE_REST) != 0 && equal)
        return step;
    step.what = equal ? KT_GATHER_AGREED : KT_GATHER_CHANGED;
    settle(gather, trade);
    trade->flags |= KT_TRADE_REST;
    if (!equal) {
        trade->price = now->price;
        trade->qty = now->qty;
        trade->time_ns = now->time_ns;
        trade->revision++;
        gather->corrected++;
    }
    if (now->side != KT_SIDE_UNKNOWN)
        trade->side = now->side;
    market_move(gather, now->time_ns, true);
    return step;
}

kt_gather_step kt_gather_row(kt_gather *gather, const kt_row_trade *row, int64_t receive_ns)
{
    kt_gather_step step = { .what = KT_GATHER_REFUSED };
    kt_trade now = {
        .time_ns = row->venue_time,
        .receive_ns = receive_ns,
        .revision = 1,
        .side = row->side,
        .flags = KT_TRADE_REST,
    };
    bool counts;

    if (kt_decimal_rescale(row->price, gather->price_scale, &now.price) != KT_OK ||
        kt_decimal_rescale(row->quantity, gather->quantity_scale, &now.qty) != KT_OK || now.price <= 0 ||
        now.qty <= 0 || now.time_ns <= 0) {
        kt_gather_refuse(gather, now.time_ns);
        return step;
    }
    if (gather->rest_high == 0 || row->trade_number < gather->rest_low)
        gather->rest_low = row->trade_number;
    if (gather->rest_first_ns == 0 || now.time_ns < gather->rest_first_ns)
        gather->rest_first_ns = now.time_ns;
    if (row->trade_number > gather->rest_high)
        gather->rest_high = row->trade_number;
    if (kt_trades_find(gather->trades, row->trade_number, row->trade_id, &step.position) == KT_OK)
        return row_known(gather, step.position, &now);
    counts = number_missing(gather, row->trade_number, now.time_ns);
    if (now.time_ns <= gather->forgotten_ns) {
        now.flags |= KT_TRADE_FORGOTTEN;
    } else if (counts) {
        now.flags |= KT_TRADE_MISSING;
        gather->repaired++;
    }
    if (kt_trades_add(gather->trades, &now, row->trade_number, row->trade_id, &step.position) == KT_OK) {
        market_move(gather, now.time_ns, true);
        step.what = KT_GATHER_ADDED;
    }
    if (counts)
        kt_quality_found(&gather->quality, row->trade_number, now.time_ns, (now.flags & KT_TRADE_MISSING) != 0);
    return step;
}

void kt_gather_pass(kt_gather *gather, int64_t rest_ns, int64_t before_ns, uint64_t below,
    void (*lost)(void *ctx, uint64_t position), void *ctx)
{
    uint64_t first = kt_trades_first(gather->trades);
    bool front = true;

    gather->rest_ns = rest_ns > gather->rest_ns ? rest_ns : gather->rest_ns;
    if (gather->unsettled_at < first)
        gather->unsettled_at = first;
    if (gather->unsettled == 0)
        gather->unsettled_at = kt_trades_end(gather->trades);
    for (uint64_t p = gather->unsettled_at; p < kt_trades_end(gather->trades); p++) {
        kt_trade *trade = kt_trades_at(gather->trades, p);
        bool settled = (trade->flags & (KT_TRADE_REST | KT_TRADE_PASSED)) != 0;

        if (!settled && (gather->rules.numbered ? trade->key < below : trade->time_ns < before_ns)) {
            trade->flags |= KT_TRADE_PASSED;
            gather->unsettled--;
            gather->lost++;
            settled = true;
            lost(ctx, p);
        }
        if (front && settled)
            gather->unsettled_at = p + 1;
        front = front && settled;
        if (!settled && trade->time_ns > before_ns + REORDER_NS && trade->time_ns <= gather->market_ns)
            break;
    }
}

void kt_gather_forget(kt_gather *gather, int64_t named_ns)
{
    int64_t from = keep_from(gather);
    int64_t at_most = gather->market_ns - gather->rules.keep_ns - gather->rules.lag_max_ns;
    uint64_t end = kt_trades_end(gather->trades);
    uint32_t requeued = 0;

    while (kt_trades_first(gather->trades) < end) {
        kt_trade *trade = kt_trades_at(gather->trades, kt_trades_first(gather->trades));
        bool settled = (trade->flags & (KT_TRADE_REST | KT_TRADE_PASSED)) != 0 || gather->rules.lag_max_ns == 0;
        bool full = end - kt_trades_first(gather->trades) >= gather->rules.trade_max - gather->rules.trade_max / 16;

        if (trade->time_ns - gather->rules.step_ns > gather->market_ns && requeued < REQUEUE_MAX) {
            kt_trades_requeue(gather->trades);
            requeued++;
            continue;
        }
        if (!(settled && trade->time_ns < from && trade->time_ns < named_ns) && trade->time_ns >= at_most && !full)
            break;
        if (!settled || trade->time_ns >= from)
            gather->forgotten_ns = trade->time_ns > gather->forgotten_ns && trade->time_ns <= gather->market_ns
                                       ? trade->time_ns
                                       : gather->forgotten_ns;
        if ((trade->flags & (KT_TRADE_REST | KT_TRADE_PASSED)) == 0)
            gather->unsettled--;
        kt_trades_drop(gather->trades);
    }
}

/* Snapshots ------------------------------------------------------------------------------------------------------- */

static void median_save(const kt_median *median, kt_writer *writer)
{
    uint32_t oldest = median->count == KT_MEDIAN_SPAN ? median->next : 0;

    kt_writer_u32(writer, median->count);
    for (uint32_t i = 0; i < median->count; i++)
        kt_writer_i64(writer, median->values[(oldest + i) % KT_MEDIAN_SPAN]);
}

static void median_load(kt_median *median, kt_taker *taker)
{
    uint32_t count = kt_taker_count(taker, 8);

    *median = (kt_median){ 0 };
    for (uint32_t i = 0; i < count; i++)
        kt_median_push(median, kt_taker_i64(taker));
}

/* The members that are plain numbers, one list for both ways. */
#define NUMBERS(X)     \
    X(market_ns)       \
    X(ahead_ns)        \
    X(stream_count)    \
    X(stream_first_ns) \
    X(stream_last_ns)  \
    X(stream_low)      \
    X(stream_high)     \
    X(rest_ns)         \
    X(rest_low)        \
    X(rest_first_ns)   \
    X(rest_high)       \
    X(forgotten_ns)    \
    X(received)        \
    X(repeated)        \
    X(reordered)       \
    X(suspect)         \
    X(repaired)        \
    X(corrected)       \
    X(lost)            \
    X(refused)         \
    X(skew_min)        \
    X(skew_max)

void kt_gather_save(const kt_gather *gather, kt_writer *writer)
{
    uint64_t first = kt_trades_first(gather->trades), end = kt_trades_end(gather->trades);
    char buf[KT_TRADE_ID_TEXT_MAX];

#define SAVE(name) kt_writer_u64(writer, (uint64_t)gather->name);
    NUMBERS(SAVE)
#undef SAVE
    kt_writer_u8(writer, gather->price_scale);
    kt_writer_u8(writer, gather->quantity_scale);
    kt_writer_u8(writer, gather->market_sure);
    kt_writer_u8(writer, gather->from_start);
    median_save(&gather->median, writer);
    kt_writer_u32(writer, (uint32_t)(end - first));
    for (uint64_t p = first; p < end; p++) {
        const kt_trade *trade = kt_trades_at(gather->trades, p);

        kt_writer_i64(writer, trade->time_ns);
        kt_writer_i64(writer, trade->receive_ns);
        kt_writer_i64(writer, trade->price);
        kt_writer_i64(writer, trade->qty);
        kt_writer_u64(writer, kt_trades_number(trade));
        kt_writer_u32(writer, trade->revision);
        kt_writer_u32(writer, trade->flags);
        kt_writer_u8(writer, trade->side);
        kt_writer_text(writer, kt_trades_id(gather->trades, trade, buf));
    }
}

kt_code kt_gather_load(kt_gather *gather, kt_taker *taker)
{
    enum { TRADE_SIZE = 8 * 5 + 4 + 4 + 1 + 4 };
    uint32_t count;

#define LOAD(name) gather->name = (__typeof__(gather->name))kt_taker_u64(taker);
    NUMBERS(LOAD)
#undef LOAD
    gather->price_scale = kt_taker_u8(taker);
    gather->quantity_scale = kt_taker_u8(taker);
    gather->market_sure = kt_taker_u8(taker) != 0;
    gather->from_start = kt_taker_u8(taker) != 0;
    median_load(&gather->median, taker);
    if (gather->price_scale > KT_SCALE_MAX || gather->quantity_scale > KT_SCALE_MAX)
        return KT_CORRUPT;
    count = kt_taker_count(taker, TRADE_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        kt_trade trade = { .time_ns = kt_taker_i64(taker) };
        uint64_t number, position;
        kt_text id;
        kt_code code;

        trade.receive_ns = kt_taker_i64(taker);
        trade.price = kt_taker_i64(taker);
        trade.qty = kt_taker_i64(taker);
        number = kt_taker_u64(taker);
        trade.revision = kt_taker_u32(taker);
        trade.flags = (uint16_t)kt_taker_u32(taker);
        trade.side = kt_taker_u8(taker);
        id = kt_taker_text(taker);
        if (taker->code != KT_OK || kt_trades_find(gather->trades, number, id, &position) == KT_OK)
            return KT_CORRUPT;
        code = kt_trades_add(gather->trades, &trade, number, id, &position);
        if (code != KT_OK)
            return code == KT_SYS ? KT_SYS : KT_CORRUPT;
        gather->unsettled += (trade.flags & (KT_TRADE_REST | KT_TRADE_PASSED)) == 0;
    }
    return taker->code;
}
