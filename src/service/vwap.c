#include "service/vwap.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"

#define S KT_NS_PER_S
#define STAMP_NEVER UINT64_MAX /* no published value has this trade as REST has it */
#define POSITION_GONE UINT64_MAX

enum { WINDOW_MAX = KT_CONFIG_WINDOW_MAX, SUBJECT_SIZE = KT_SUBJECT_MAX + 1, ARRAY_START = 16, ARRAY_KEPT = 64 };

/* A provisional value that waits for its validated one. */
typedef struct held {
    int64_t mark_s;
    uint64_t stamp;    /* averages->stamp when it was published */
    kt_vwap_sums sums; /* trades 0: done */
    uint8_t price_scale;
    uint8_t quantity_scale;
} held;

_Static_assert(offsetof(held, mark_s) == 0, "the key of lower_bound");

/* In the order of marks; a queue in an array. */
typedef struct held_list {
    held *at;
    uint32_t first, count, capacity;
} held_list;

/* A trade that was in provisional values otherwise than REST has it: in those with since <= stamp < until. */
typedef struct deviation {
    int64_t time_ns;
    uint64_t position;
    uint64_t since;
    uint64_t until;
    uint8_t cause;
} deviation;

_Static_assert(offsetof(deviation, time_ns) == 0, "the key of lower_bound");

typedef struct deviation_list {
    deviation *at;
    uint32_t first, count, capacity;
} deviation_list;

/* Times of which REST can not give all trades, both ends in. */
typedef struct hole {
    int64_t from_ns;
    int64_t to_ns;
} hole;

_Static_assert(offsetof(hole, from_ns) == 0, "the key of lower_bound");

typedef struct member {
    kt_text venue;
    kt_text symbol;
    kt_average_feed *feed;     /* NULL: no trade of it yet */
    uint32_t live[WINDOW_MAX]; /* this line's sliding windows in the feed's series */
    uint32_t sure[WINDOW_MAX];
} member;

/* What averages are published of: a feed by itself, or a composite. */
typedef struct line {
    kt_averages *averages;
    kt_text ticker; /* of a composite */
    member *members;
    uint32_t member_count;
    bool live_started;
    bool sure_started;
    int64_t live_s;  /* marks up to here have been looked at, for provisional values, */
    int64_t sure_s;  /* and for validated ones, */
    int64_t from_ns; /* when the windows began here or later */
    held_list held[WINDOW_MAX];
    char *subjects; /* SUBJECT_SIZE each: of each window the values', then the corrections' */
} line;

struct kt_average_feed {
    kt_averages *averages;
    kt_gather *gather;
    kt_vwap *live;
    kt_vwap *sure;
    line own;
    line *lines[1 + KT_CONFIG_COMPOSITE_MAX]; /* own first */
    uint32_t line_count;
    uint8_t price_scale;
    int64_t until_ns;
    int64_t from_ns;
    deviation_list deviations; /* in the order of time */
    hole *holes;               /* ascending, apart from each other */
    uint32_t hole_count, hole_capacity;
};

struct kt_averages {
    int64_t window_s[WINDOW_MAX]; /* ascending */
    const char *window_names[WINDOW_MAX];
    uint32_t window_count;
    int64_t longest_s;
    uint64_t stamp; /* counts changes, so that a value knows which ones it holds */
    line *composites;
    uint32_t composite_count;
    kt_blocks *blocks; /* of all series */
};

/* Arrays in order --------------------------------------------------------------------------------------------------- */

/* Index of the first item whose key, its first member, is `key` or more; `count` when there is none. */
static uint32_t lower_bound(const void *items, uint32_t count, size_t item_size, int64_t key)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int64_t at;

        memcpy(&at, (const char *)items + middle * item_size, sizeof at);
        if (at < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room for one more item of a queue in an array, by moving it to the front or by doubling. */
static void *room_make(void *items, uint32_t *first, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (*first + count < *capacity)
        return items;
    if (*first > *capacity / 2) {
        memmove(items, (char *)items + *first * item_size, count * item_size);
        *first = 0;
        return items;
    }
    *capacity = *capacity == 0 ? ARRAY_START : 2 * *capacity;
    items = realloc(items, *capacity * item_size);
    kt_assert(items != NULL);
    return items;
}

/* A queue that was long for a while gives back what it does not use; short ones keep what they have. */
static void *room_give(void *items, uint32_t *first, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (*capacity <= ARRAY_KEPT || count > *capacity / 8)
        return items;
    memmove(items, (char *)items + *first * item_size, count * item_size);
    *first = 0;
    *capacity /= 4;
    items = realloc(items, *capacity * item_size);
    kt_assert(items != NULL);
    return items;
}

/* Lines ------------------------------------------------------------------------------------------------------------ */

static char *line_subject(const line *l, uint32_t window, bool correction)
{
    return l->subjects + (2 * window + correction) * SUBJECT_SIZE;
}

static kt_code line_init(line *l, kt_averages *averages, kt_text ticker, uint32_t member_count)
{
    l->averages = averages;
    l->ticker = ticker;
    l->from_ns = INT64_MAX;
    l->members = calloc(member_count, sizeof *l->members);
    l->member_count = member_count;
    l->subjects = calloc(2 * averages->window_count, SUBJECT_SIZE);
    return l->members != NULL && l->subjects != NULL ? KT_OK : KT_SYS;
}

/* KT_FULL: the names are too long for a subject. */
static kt_code line_name(line *l, kt_text first, kt_text second)
{
    for (uint32_t i = 0; i < 2 * l->averages->window_count; i++) {
        kt_builder b;

        kt_builder_init(&b, line_subject(l, i / 2, i % 2), SUBJECT_SIZE);
        kt_builder_str(&b, i % 2 == 0 ? "vwap." : "correction.");
        kt_builder_str(&b, l->averages->window_names[i / 2]);
        kt_builder_char(&b, '.');
        kt_subject_token(&b, first);
        if (second.n != 0) {
            kt_builder_char(&b, '.');
            kt_subject_token(&b, second);
        }
        if (b.code != KT_OK)
            return b.code;
    }
    return KT_OK;
}

static void line_done(line *l)
{
    for (uint32_t w = 0; w < WINDOW_MAX; w++)
        free(l->held[w].at);
    free(l->members);
    free(l->subjects);
}

/* The feed becomes this member of the line: the line's windows slide over its series. */
static kt_code line_join(line *l, member *m, kt_average_feed *feed)
{
    for (uint32_t w = 0; w < l->averages->window_count; w++) {
        kt_code code = kt_vwap_window(feed->live, l->averages->window_s[w], &m->live[w]);

        if (code == KT_OK)
            code = kt_vwap_window(feed->sure, l->averages->window_s[w], &m->sure[w]);
        if (code != KT_OK)
            return code;
    }
    m->feed = feed;
    feed->lines[feed->line_count++] = l;
    return KT_OK;
}

typedef struct scales {
    uint8_t price; /* of the mantissas */
    uint8_t quantity;
    uint8_t shown; /* of published prices */
} scales;

static scales line_scales(const line *l)
{
    scales of = { 0 };

    for (uint32_t i = 0; i < l->member_count; i++) {
        const kt_average_feed *feed = l->members[i].feed;

        if (feed == NULL)
            continue;
        of.price = feed->gather->price_scale > of.price ? feed->gather->price_scale : of.price;
        of.quantity = feed->gather->quantity_scale > of.quantity ? feed->gather->quantity_scale : of.quantity;
        of.shown = feed->price_scale > of.shown ? feed->price_scale : of.shown;
    }
    of.shown += KT_VWAP_PRICE_DIGITS;
    of.shown = of.shown > KT_SCALE_MAX ? KT_SCALE_MAX : of.shown;
    return of;
}

static kt_code sums_rescale(kt_vwap_sums *sums, uint8_t price_from, uint8_t quantity_from, scales to)
{
    kt_i128 price_factor = kt_pow10((uint32_t)(to.price - price_from));
    kt_i128 qty_factor = kt_pow10((uint32_t)(to.quantity - quantity_from));

    if (price_factor == 1 && qty_factor == 1)
        return KT_OK;
    if (kt_i128_mul(sums->pq, price_factor * qty_factor, &sums->pq) != KT_OK ||
        kt_i128_mul(sums->q, qty_factor, &sums->q) != KT_OK)
        return KT_RANGE;
    return KT_OK;
}

/* KT_SEQ: a member no longer has the whole window. KT_RANGE: beyond 128 bits. */
static kt_code line_sums(const line *l, uint32_t window, int64_t mark_s, bool live, scales at, kt_vwap_sums *out_sums)
{
    kt_vwap_sums all = { 0 };

    for (uint32_t i = 0; i < l->member_count; i++) {
        const member *m = &l->members[i];
        kt_vwap_sums sums;
        kt_code code;

        if (m->feed == NULL)
            continue;
        code = live ? kt_vwap_at(m->feed->live, m->live[window], mark_s, &sums)
                    : kt_vwap_at(m->feed->sure, m->sure[window], mark_s, &sums);
        if (code == KT_OK)
            code = sums_rescale(&sums, m->feed->gather->price_scale, m->feed->gather->quantity_scale, at);
        if (code != KT_OK)
            return code;
        if (kt_i128_add(all.pq, sums.pq, &all.pq) != KT_OK || kt_i128_add(all.q, sums.q, &all.q) != KT_OK)
            return KT_RANGE;
        all.trades += sums.trades;
    }
    *out_sums = all;
    return KT_OK;
}

/* The first mark after `after_s` with a trade in the longest window, which holds all others. INT64_MAX: none yet. */
static int64_t line_next(const line *l, int64_t after_s, bool live)
{
    int64_t next = INT64_MAX, mark;

    for (uint32_t i = 0; i < l->member_count; i++) {
        const kt_average_feed *feed = l->members[i].feed;

        if (feed != NULL &&
            kt_vwap_next(live ? feed->live : feed->sure, l->averages->longest_s, after_s, &mark) == KT_OK &&
            mark < next)
            next = mark;
    }
    return next;
}

static bool hole_in(const kt_average_feed *feed, int64_t from_ns, int64_t to_ns)
{
    uint32_t behind = lower_bound(feed->holes, feed->hole_count, sizeof *feed->holes, to_ns + 1);

    return behind > 0 && feed->holes[behind - 1].to_ns >= from_ns;
}

static bool line_complete(const line *l, uint32_t window, int64_t mark_s, bool live)
{
    int64_t from_ns = (mark_s - l->averages->window_s[window]) * S;

    for (uint32_t i = 0; i < l->member_count; i++) {
        const kt_average_feed *feed = l->members[i].feed;
        int64_t known;

        if (feed == NULL)
            continue;
        known = feed->from_ns < feed->gather->stream_first_ns || feed->gather->stream_count == 0
                    ? feed->from_ns
                    : feed->gather->stream_first_ns;
        if ((live && from_ns < known) || hole_in(feed, from_ns, mark_s * S))
            return false;
    }
    return true;
}

/* Values that wait --------------------------------------------------------------------------------------------------
 */

static void held_push(held_list *list, const held *h)
{
    list->at = room_make(list->at, &list->first, list->count, &list->capacity, sizeof *list->at);
    list->at[list->first + list->count++] = *h;
}

/* Index behind `first` of the first value of this mark or a later one. */
static uint32_t held_from(const held_list *list, int64_t mark_s)
{
    return list->count == 0 ? 0 : lower_bound(list->at + list->first, list->count, sizeof *list->at, mark_s);
}

static held *held_find(const held_list *list, int64_t mark_s)
{
    uint32_t i = held_from(list, mark_s);
    held *h = i < list->count ? &list->at[list->first + i] : NULL;

    return h != NULL && h->mark_s == mark_s && h->sums.trades != 0 ? h : NULL;
}

static void held_trim(held_list *list, int64_t before_s)
{
    while (list->count > 0 && (list->at[list->first].sums.trades == 0 || list->at[list->first].mark_s < before_s)) {
        list->first++;
        list->count--;
    }
    list->at = room_give(list->at, &list->first, list->count, &list->capacity, sizeof *list->at);
}

/* Deviations --------------------------------------------------------------------------------------------------------
 */

static uint32_t deviation_from(const deviation_list *list, int64_t time_ns)
{
    return list->count == 0 ? 0 : lower_bound(list->at + list->first, list->count, sizeof *list->at, time_ns);
}

/* The deviation of this trade at this time, or NULL. */
static deviation *deviation_find(const deviation_list *list, int64_t time_ns, uint64_t position)
{
    for (uint32_t i = deviation_from(list, time_ns); i < list->count; i++) {
        deviation *d = &list->at[list->first + i];

        if (d->time_ns != time_ns)
            break;
        if (d->position == position)
            return d;
    }
    return NULL;
}

static void deviation_insert(deviation_list *list, const deviation *d)
{
    uint32_t i;

    list->at = room_make(list->at, &list->first, list->count, &list->capacity, sizeof *list->at);
    for (i = list->count; i > 0 && list->at[list->first + i - 1].time_ns > d->time_ns; i--)
        ;
    memmove(&list->at[list->first + i + 1], &list->at[list->first + i], (list->count - i) * sizeof *list->at);
    list->at[list->first + i] = *d;
    list->count++;
}

/* Values published so far have this trade otherwise than from now on. */
static void deviation_until(kt_average_feed *feed, int64_t time_ns, uint64_t position, uint64_t until, uint8_t cause)
{
    deviation *known = deviation_find(&feed->deviations, time_ns, position);

    if (known == NULL) {
        deviation_insert(&feed->deviations, &(deviation){ time_ns, position, 0, until, cause });
        return;
    }
    known->since = 0;
    known->until = until;
    known->cause = cause;
}

/* Which trades make the difference to a held value. */
typedef struct blame {
    kt_text ids[KT_AVERAGE_ID_MAX];
    char bufs[KT_AVERAGE_ID_MAX][KT_TRADE_ID_TEXT_MAX];
    uint32_t id_count;
    uint32_t count;
    uint8_t cause;
} blame;

static void blame_one(blame *b, const kt_average_feed *feed, uint64_t position, uint8_t cause)
{
    kt_trades *trades = feed->gather->trades;

    b->count++;
    if (b->cause == KT_CAUSE_UNKNOWN || cause < b->cause)
        b->cause = cause;
    if (b->id_count == KT_AVERAGE_ID_MAX || position < kt_trades_first(trades) || position >= kt_trades_end(trades))
        return;
    b->ids[b->id_count] = kt_trades_id(trades, kt_trades_at(trades, position), b->bufs[b->id_count]);
    b->id_count++;
}

static void line_blame(const line *l, uint32_t window, const held *h, blame *b)
{
    int64_t from_ns = (h->mark_s - l->averages->window_s[window]) * S, to_ns = h->mark_s * S;

    for (uint32_t i = 0; i < l->member_count; i++) {
        const kt_average_feed *feed = l->members[i].feed;

        if (feed == NULL)
            continue;
        for (uint32_t k = deviation_from(&feed->deviations, from_ns); k < feed->deviations.count; k++) {
            const deviation *d = &feed->deviations.at[feed->deviations.first + k];

            if (d->time_ns > to_ns)
                break;
            if (d->since <= h->stamp && h->stamp < d->until)
                blame_one(b, feed, d->position, d->cause);
        }
    }
}

/* Publishing --------------------------------------------------------------------------------------------------------
 */

static kt_decimal price_of(const kt_vwap_sums *sums, scales at)
{
    kt_vwap_sums scaled = *sums;
    int64_t m = 0;

    if (sums->trades == 0)
        return (kt_decimal){ 0 };
    if (at.shown < at.price) { /* the mantissas have more digits than the instrument */
        if (kt_i128_mul(sums->q, kt_pow10((uint32_t)(at.price - at.shown)), &scaled.q) != KT_OK)
            return (kt_decimal){ 0 };
        return kt_vwap_price(&scaled, 0, &m) == KT_OK ? (kt_decimal){ .m = m, .scale = at.shown } : (kt_decimal){ 0 };
    }
    /* An average is never greater than the greatest price, so without further digits it fits. */
    for (uint8_t shown = at.shown; shown >= at.price; shown--)
        if (kt_vwap_price(sums, (uint32_t)(shown - at.price), &m) == KT_OK)
            return (kt_decimal){ .m = m, .scale = shown };
    return (kt_decimal){ 0 };
}

static void emit_value(const line *l, kt_env *env, uint32_t window, int64_t mark_s, const kt_vwap_sums *sums, scales at,
    bool live, uint32_t revision)
{
    kt_ev_vwap ev;

    kt_event_init(KT_EV_VWAP, &ev);
    ev.mark = mark_s * S;
    ev.window = l->averages->window_s[window] * S;
    ev.price = price_of(sums, at);
    ev.sum_pq = kt_sum_of(sums->pq, (uint8_t)(at.price + at.quantity));
    ev.sum_q = kt_sum_of(sums->q, at.quantity);
    ev.trades = sums->trades;
    ev.validated = !live;
    ev.complete = line_complete(l, window, mark_s, live);
    ev.revision = revision;
    kt_env_emit(env, KT_EV_VWAP, kt_text_of(line_subject(l, window, false)), &ev);
}

static void emit_correction(
    const line *l, kt_env *env, uint32_t window, const held *was, const kt_vwap_sums *now, scales at)
{
    scales then = at;
    blame b = { 0 };
    kt_ev_correction ev;

    then.price = was->price_scale;
    then.quantity = was->quantity_scale;
    line_blame(l, window, was, &b);
    kt_event_init(KT_EV_CORRECTION, &ev);
    ev.mark_from = ev.mark_to = was->mark_s * S;
    ev.window = l->averages->window_s[window] * S;
    ev.revision = 2;
    ev.old_price = price_of(&was->sums, then);
    ev.old_sum_pq = kt_sum_of(was->sums.pq, (uint8_t)(then.price + then.quantity));
    ev.old_sum_q = kt_sum_of(was->sums.q, then.quantity);
    ev.old_trades = was->sums.trades;
    ev.new_price = price_of(now, at);
    ev.new_sum_pq = kt_sum_of(now->pq, (uint8_t)(at.price + at.quantity));
    ev.new_sum_q = kt_sum_of(now->q, at.quantity);
    ev.new_trades = now->trades;
    ev.cause = b.cause;
    ev.trade_ids = KT_TEXTS_OF(b.ids, b.id_count);
    ev.trade_count = b.count;
    ev.complete = line_complete(l, window, was->mark_s, false);
    kt_env_emit(env, KT_EV_CORRECTION, kt_text_of(line_subject(l, window, true)), &ev);
}

/* Whether REST is asked for every member that had a trade: otherwise nothing waits for it. */
static bool line_validates(const line *l)
{
    for (uint32_t i = 0; i < l->member_count; i++) {
        const kt_average_feed *feed = l->members[i].feed;

        if (feed != NULL && feed->gather->market_ns != 0 && feed->gather->rules.lag_max_ns == 0)
            return false;
    }
    return true;
}

/* true: there is more to publish. */
static bool line_publish_live(line *l, kt_env *env)
{
    kt_averages *averages = l->averages;
    bool validates = line_validates(l);
    scales at = line_scales(l);
    int64_t market_ns = 0, end_s, mark_s;
    uint32_t count = 0;

    for (uint32_t i = 0; i < l->member_count; i++)
        if (l->members[i].feed != NULL && l->members[i].feed->gather->market_ns > market_ns)
            market_ns = l->members[i].feed->gather->market_ns;
    if (market_ns == 0)
        return false;
    end_s = (market_ns - 1) / S;
    if (!l->live_started) {
        l->live_started = true;
        l->live_s = end_s;
    }
    while (l->live_s < end_s && (mark_s = line_next(l, l->live_s, true)) <= end_s) {
        for (uint32_t w = 0; w < averages->window_count; w++) {
            held h = {
                .mark_s = mark_s, .stamp = averages->stamp, .price_scale = at.price, .quantity_scale = at.quantity
            };

            if (line_sums(l, w, mark_s, true, at, &h.sums) != KT_OK || h.sums.trades == 0)
                continue;
            emit_value(l, env, w, mark_s, &h.sums, at, true, 1);
            count++;
            if (validates)
                held_push(&l->held[w], &h);
        }
        l->live_s = mark_s;
        if (count >= KT_AVERAGE_OUTPUT_MAX)
            return l->live_s < end_s;
    }
    if (l->live_s < end_s)
        l->live_s = end_s;
    return false;
}

/* The validated value of one window, if it has one: the number of outputs. */
static uint32_t line_settle(line *l, kt_env *env, uint32_t window, int64_t mark_s, scales at)
{
    held *h = held_find(&l->held[window], mark_s);
    kt_vwap_sums sums;
    bool same;
    kt_vwap_sums was = { 0 };

    if (line_sums(l, window, mark_s, false, at, &sums) != KT_OK) {
        if (h != NULL)
            h->sums.trades = 0; /* given up: part of the window is no longer kept */
        return 0;
    }
    if (h == NULL) {
        if (sums.trades != 0)
            emit_value(l, env, window, mark_s, &sums, at, false, 1);
        return sums.trades != 0;
    }
    was = h->sums;
    same = sums_rescale(&was, h->price_scale, h->quantity_scale, at) == KT_OK && was.pq == sums.pq && was.q == sums.q &&
           was.trades == sums.trades;
    if (sums.trades != 0)
        emit_value(l, env, window, mark_s, &sums, at, false, same ? 1 : 2);
    if (!same)
        emit_correction(l, env, window, h, &sums, at);
    h->sums.trades = 0;
    return (sums.trades != 0) + !same;
}

/* true: there is more to publish. */
static bool line_publish_sure(line *l, kt_env *env)
{
    kt_averages *averages = l->averages;
    scales at = line_scales(l);
    int64_t until_ns = INT64_MAX, from_ns = 0, end_s;
    uint32_t count = 0;

    for (uint32_t i = 0; i < l->member_count; i++) {
        const kt_average_feed *feed = l->members[i].feed;

        if (feed == NULL || feed->gather->market_ns == 0)
            continue;
        until_ns = feed->until_ns < until_ns ? feed->until_ns : until_ns;
        from_ns = feed->from_ns > from_ns ? feed->from_ns : from_ns;
    }
    if (until_ns <= 0 || until_ns == INT64_MAX || from_ns == INT64_MAX)
        return false;
    end_s = (until_ns - 1) / S;
    if (!l->sure_started) {
        l->sure_started = true;
        l->sure_s = from_ns / S - 1;
    } else if (from_ns < l->from_ns && l->from_ns != INT64_MAX) {
        /* REST has covered more of the past: marks whose windows begin there come now. */
        for (uint32_t w = 0; w < averages->window_count; w++)
            for (int64_t s = (from_ns + S - 1) / S + averages->window_s[w];
                 s <= l->sure_s && (s - averages->window_s[w]) * S < l->from_ns; s++)
                line_settle(l, env, w, s, at);
    }
    l->from_ns = from_ns;
    while (l->sure_s < end_s) {
        int64_t mark_s = line_next(l, l->sure_s, false);

        for (uint32_t w = 0; w < averages->window_count; w++) {
            uint32_t i = held_from(&l->held[w], l->sure_s + 1);

            if (i < l->held[w].count && l->held[w].at[l->held[w].first + i].mark_s < mark_s)
                mark_s = l->held[w].at[l->held[w].first + i].mark_s;
        }
        if (mark_s > end_s)
            break;
        for (uint32_t w = 0; w < averages->window_count; w++)
            if ((mark_s - averages->window_s[w]) * S >= from_ns || from_ns == 0)
                count += line_settle(l, env, w, mark_s, at);
        l->sure_s = mark_s;
        if (count >= KT_AVERAGE_OUTPUT_MAX)
            return l->sure_s < end_s;
    }
    if (l->sure_s < end_s)
        l->sure_s = end_s;
    return false;
}

/* A trade that validated values hold has changed at this time: one correction a window. */
static void line_later(const line *l, kt_env *env, const kt_average_feed *feed, int64_t time_ns, kt_vwap_sums delta,
    int64_t delta_trades, uint64_t position)
{
    scales at = line_scales(l);
    char buf[KT_TRADE_ID_TEXT_MAX];
    kt_text id = kt_trades_id(feed->gather->trades, kt_trades_at(feed->gather->trades, position), buf);

    if (!l->sure_started || sums_rescale(&delta, feed->gather->price_scale, feed->gather->quantity_scale, at) != KT_OK)
        return;
    for (uint32_t w = 0; w < l->averages->window_count; w++) {
        int64_t span_s = l->averages->window_s[w];
        int64_t from_s = (time_ns + S - 1) / S, to_s = time_ns / S + span_s;
        int64_t first_s = l->from_ns == 0 ? 0 : (l->from_ns + S - 1) / S + span_s;
        kt_ev_correction ev;

        from_s = from_s > first_s ? from_s : first_s;
        to_s = to_s < l->sure_s ? to_s : l->sure_s;
        if (from_s > to_s)
            continue;
        kt_event_init(KT_EV_CORRECTION, &ev);
        ev.mark_from = from_s * S;
        ev.mark_to = to_s * S;
        ev.window = span_s * S;
        ev.revision = 0;
        ev.delta_pq = kt_sum_of(delta.pq, (uint8_t)(at.price + at.quantity));
        ev.delta_q = kt_sum_of(delta.q, at.quantity);
        ev.delta_trades = delta_trades;
        ev.cause = KT_CAUSE_CHANGED;
        ev.trade_ids = KT_TEXTS_OF(&id, 1);
        ev.trade_count = 1;
        ev.complete = line_complete(l, w, to_s, false);
        ev.price_scale = at.shown;
        kt_env_emit(env, KT_EV_CORRECTION, kt_text_of(line_subject(l, w, true)), &ev);
    }
}

/* Drop what no line needs any more. */
static void feed_forget(kt_average_feed *feed)
{
    int64_t longest_s = feed->averages->longest_s;
    int64_t oldest_s = feed->gather->market_ns / S - longest_s - feed->gather->rules.lag_max_ns / S;
    int64_t live_s = INT64_MAX, sure_s = INT64_MAX;
    uint32_t holes = 0;

    for (uint32_t i = 0; i < feed->line_count; i++) {
        const line *l = feed->lines[i];

        if (l->live_started && l->live_s < live_s)
            live_s = l->live_s;
        if (!line_validates(l))
            continue;
        if (!l->sure_started)
            sure_s = INT64_MIN / 2;
        else if (l->sure_s < sure_s)
            sure_s = l->sure_s;
    }
    live_s += live_s == INT64_MAX ? 0 : 1 - longest_s;
    sure_s += sure_s == INT64_MAX ? 0 : 1 - longest_s;
    live_s = live_s > oldest_s ? live_s : oldest_s;
    sure_s = sure_s > oldest_s ? sure_s : oldest_s;
    if (live_s != INT64_MAX)
        kt_vwap_forget(feed->live, live_s);
    if (sure_s == INT64_MAX)
        return;
    kt_vwap_forget(feed->sure, sure_s);
    while (feed->deviations.count > 0 && feed->deviations.at[feed->deviations.first].time_ns < sure_s * S) {
        feed->deviations.first++;
        feed->deviations.count--;
    }
    for (uint32_t w = 0; w < feed->averages->window_count; w++)
        for (uint32_t i = 0; i < feed->line_count; i++)
            held_trim(&feed->lines[i]->held[w], sure_s);
    while (holes < feed->hole_count && feed->holes[holes].to_ns < (sure_s - longest_s) * S)
        holes++;
    if (holes > 0) {
        memmove(feed->holes, feed->holes + holes, (feed->hole_count - holes) * sizeof *feed->holes);
        feed->hole_count -= holes;
    }
}

int64_t kt_average_named_ns(const kt_average_feed *feed)
{
    /* Deviations are forgotten together with the validated series. */
    return feed->gather->rules.lag_max_ns == 0 ? INT64_MAX : kt_vwap_kept_from(feed->sure) * S;
}

/* The feed's steps --------------------------------------------------------------------------------------------------
 */

bool kt_average_market(kt_average_feed *feed, kt_env *env)
{
    int64_t end_s = (feed->gather->market_ns - 1) / S;
    bool due = false, more = false;

    for (uint32_t i = 0; i < feed->line_count; i++)
        due = due || !feed->lines[i]->live_started || feed->lines[i]->live_s < end_s;
    if (!due)
        return false;
    for (uint32_t i = 0; i < feed->line_count; i++)
        more |= line_publish_live(feed->lines[i], env);
    feed_forget(feed);
    return more;
}

bool kt_average_rest(kt_average_feed *feed, kt_env *env, int64_t until_ns, int64_t from_ns)
{
    bool more = false;

    feed->until_ns = until_ns;
    feed->from_ns = from_ns;
    for (uint32_t i = 0; i < feed->line_count; i++)
        more |= line_publish_sure(feed->lines[i], env);
    feed_forget(feed);
    return more;
}

/* Was some provisional value published whose window may hold this time? */
static bool feed_published(const kt_average_feed *feed, int64_t time_ns)
{
    if (feed->gather->rules.lag_max_ns == 0)
        return false;
    for (uint32_t i = 0; i < feed->line_count; i++)
        if (feed->lines[i]->live_started && time_ns <= feed->lines[i]->live_s * S)
            return true;
    return false;
}

static uint8_t cause_of(const kt_gather_step *step, const kt_trade *now, bool rest)
{
    if (step->what == KT_GATHER_ADDED)
        return rest ? KT_CAUSE_MISSING : KT_CAUSE_LATE;
    if ((step->was.flags & KT_TRADE_SUSPECT) != 0 && (step->was.flags & KT_TRADE_LIVE) == 0)
        return KT_CAUSE_SUSPECT;
    if (step->was.time_ns != now->time_ns)
        return KT_CAUSE_CHANGED;
    return step->was.price != now->price ? KT_CAUSE_PRICE : KT_CAUSE_QUANTITY;
}

/* Replace what a series holds of a trade. Returns whether it holds it now. */
static bool series_replace(kt_vwap *series, const kt_trade *was, bool held_before, const kt_trade *now, bool wanted)
{
    if (held_before)
        kt_vwap_remove(series, was->time_ns, (kt_price){ was->price }, (kt_qty){ was->qty });
    return wanted && kt_vwap_push(series, now->time_ns, (kt_price){ now->price }, (kt_qty){ now->qty }) == KT_OK;
}

static kt_vwap_sums sums_of(const kt_trade *trade)
{
    return (kt_vwap_sums){ .pq = (kt_i128)trade->price * trade->qty, .q = trade->qty, .trades = 1 };
}

static void feed_later(kt_average_feed *feed, kt_env *env, const kt_trade *was, const kt_trade *now, uint64_t position)
{
    kt_vwap_sums old = was != NULL ? sums_of(was) : (kt_vwap_sums){ 0 };
    kt_vwap_sums new = sums_of(now);

    for (uint32_t i = 0; i < feed->line_count; i++) {
        const line *l = feed->lines[i];

        if (was != NULL && was->time_ns != now->time_ns) {
            line_later(l, env, feed, was->time_ns, (kt_vwap_sums){ .pq = -old.pq, .q = -old.q }, -1, position);
            line_later(l, env, feed, now->time_ns, new, 1, position);
        } else {
            line_later(l, env, feed, now->time_ns, (kt_vwap_sums){ .pq = new.pq - old.pq, .q = new.q - old.q },
                was == NULL, position);
        }
    }
}

/* REST has left this trade out (`lost`): the values that hold it deviate, which are those from its arrival on. Or it
 * has it after all: then those deviate that do not hold it. */
static void deviation_lost(kt_average_feed *feed, const kt_trade *trade, uint64_t position, bool lost)
{
    deviation *known = deviation_find(&feed->deviations, trade->time_ns, position);
    uint8_t cause = hole_in(feed, trade->time_ns, trade->time_ns) ? KT_CAUSE_INCOMPLETE : KT_CAUSE_CHANGED;

    if (known == NULL && lost) {
        deviation_insert(&feed->deviations, &(deviation){ trade->time_ns, position, 0, STAMP_NEVER, cause });
    } else if (known != NULL && lost) {
        known->since = known->until;
        known->until = STAMP_NEVER;
        known->cause = cause;
    } else if (known != NULL) {
        known->until = known->since;
        known->since = 0;
        known->cause = KT_CAUSE_LATE;
    }
}

/* The stream has changed a trade that REST has left out: as before those values deviate that hold it. */
static void deviation_moves(
    kt_average_feed *feed, const kt_trade *was, const kt_trade *now, uint64_t position, uint64_t stamp)
{
    bool was_live = (was->flags & KT_TRADE_LIVE) != 0, is_live = (now->flags & KT_TRADE_LIVE) != 0;
    deviation *known;

    if (was_live && is_live && was->time_ns == now->time_ns)
        return;
    known = was_live ? deviation_find(&feed->deviations, was->time_ns, position) : NULL;
    if (known != NULL)
        known->until = stamp;
    if (!is_live)
        return;
    known = deviation_find(&feed->deviations, now->time_ns, position);
    if (known != NULL)
        known->until = STAMP_NEVER;
    else
        deviation_insert(
            &feed->deviations, &(deviation){ now->time_ns, position, stamp, STAMP_NEVER, KT_CAUSE_CHANGED });
}

void kt_average_step(kt_average_feed *feed, kt_env *env, const kt_gather_step *step, bool rest)
{
    kt_trade *now = kt_trades_at(feed->gather->trades, step->position);
    const kt_trade *was = &step->was;
    bool was_live = (was->flags & KT_TRADE_LIVE) != 0, was_sure = (was->flags & KT_TRADE_SURE) != 0;
    bool validated = (now->flags & KT_TRADE_REST) != 0;
    bool want_live = (now->flags & KT_TRADE_FORGOTTEN) == 0 && (validated || (now->flags & KT_TRADE_SUSPECT) == 0);
    bool differs = was->price != now->price || was->qty != now->qty || was->time_ns != now->time_ns;
    bool left_out = step->what == KT_GATHER_CHANGED && (now->flags & KT_TRADE_PASSED) != 0;
    uint64_t stamp;

    if (validated && (was->flags & KT_TRADE_PASSED) != 0)
        deviation_lost(feed, was, step->position, false);
    if (want_live != was_live || (was_live && differs)) {
        now->flags &= (uint16_t)~KT_TRADE_LIVE;
        if (series_replace(feed->live, was, was_live, now, want_live))
            now->flags |= KT_TRADE_LIVE;
        stamp = ++feed->averages->stamp;
        if (!left_out && was_live && was->time_ns != now->time_ns && feed_published(feed, was->time_ns))
            deviation_until(feed, was->time_ns, step->position, stamp, KT_CAUSE_CHANGED);
        if (left_out)
            deviation_moves(feed, was, now, step->position, stamp);
        else if (feed_published(feed, now->time_ns))
            deviation_until(feed, now->time_ns, step->position, stamp, cause_of(step, now, rest));
    }
    if (validated && (!was_sure || differs)) {
        now->flags &= (uint16_t)~KT_TRADE_SURE;
        if (series_replace(feed->sure, was, was_sure, now, true))
            now->flags |= KT_TRADE_SURE;
        feed_later(feed, env, was_sure ? was : NULL, now, step->position);
    }
}

void kt_average_lost(kt_average_feed *feed, uint64_t position)
{
    const kt_trade *trade = kt_trades_at(feed->gather->trades, position);

    if ((trade->flags & KT_TRADE_LIVE) != 0 && feed->gather->rules.lag_max_ns > 0)
        deviation_lost(feed, trade, position, true);
}

void kt_average_hole(kt_average_feed *feed, int64_t from_ns, int64_t to_ns)
{
    uint32_t first = feed->hole_count, end;

    while (first > 0 && feed->holes[first - 1].to_ns >= from_ns)
        first--;
    /* Those that it touches become part of it. */
    for (end = first; end < feed->hole_count && feed->holes[end].from_ns <= to_ns; end++) {
        from_ns = feed->holes[end].from_ns < from_ns ? feed->holes[end].from_ns : from_ns;
        to_ns = feed->holes[end].to_ns > to_ns ? feed->holes[end].to_ns : to_ns;
    }
    if (end == first)
        feed->holes =
            room_make(feed->holes, &(uint32_t){ 0 }, feed->hole_count, &feed->hole_capacity, sizeof *feed->holes);
    memmove(&feed->holes[first + 1], &feed->holes[end], (feed->hole_count - end) * sizeof *feed->holes);
    feed->holes[first] = (hole){ from_ns, to_ns };
    feed->hole_count += 1 + first - end;
}

bool kt_average_fits(const kt_average_feed *feed, int64_t price_factor, int64_t qty_factor)
{
    return kt_vwap_fits(feed->live, price_factor, qty_factor) && kt_vwap_fits(feed->sure, price_factor, qty_factor);
}

void kt_average_rescale(kt_average_feed *feed, int64_t price_factor, int64_t qty_factor)
{
    kt_assert(kt_vwap_rescale(feed->live, price_factor, qty_factor) == KT_OK);
    kt_assert(kt_vwap_rescale(feed->sure, price_factor, qty_factor) == KT_OK);
}

void kt_average_price_scale(kt_average_feed *feed, uint8_t price_scale)
{
    feed->price_scale = price_scale;
}

/* Life --------------------------------------------------------------------------------------------------------------
 */

kt_code kt_averages_new(const kt_config *config, kt_averages **out_averages, kt_err *err)
{
    kt_averages *averages = calloc(1, sizeof *averages);

    if (averages == NULL)
        return kt_fail(err, KT_SYS, "no memory for averages");
    averages->window_count = config->window_count;
    for (uint32_t w = 0; w < config->window_count; w++) {
        averages->window_s[w] = config->windows_ns[w] / S;
        averages->window_names[w] = config->window_names[w];
        averages->longest_s = averages->window_s[w] > averages->longest_s ? averages->window_s[w] : averages->longest_s;
    }
    averages->composites = calloc(config->composite_count + 1, sizeof *averages->composites);
    averages->blocks = kt_blocks_new();
    if (averages->composites == NULL || averages->blocks == NULL)
        goto no_memory;
    for (uint32_t c = 0; c < config->composite_count; c++) {
        const kt_config_composite *from = &config->composites[c];
        line *l = &averages->composites[c];

        averages->composite_count++;
        if (line_init(l, averages, kt_text_of(from->ticker), from->member_count) != KT_OK)
            goto no_memory;
        for (uint32_t m = 0; m < from->member_count; m++) {
            l->members[m].venue = kt_text_of(from->members[m].venue);
            l->members[m].symbol = kt_text_of(from->members[m].symbol);
        }
        if (line_name(l, l->ticker, (kt_text){ 0 }) != KT_OK) {
            kt_averages_free(averages);
            return kt_fail(err, KT_LIMIT, "vwap.composites[%u].ticker is too long for a subject", c);
        }
    }
    *out_averages = averages;
    return KT_OK;
no_memory:
    kt_averages_free(averages);
    return kt_fail(err, KT_SYS, "no memory for averages");
}

void kt_averages_free(kt_averages *averages)
{
    if (averages == NULL)
        return;
    for (uint32_t c = 0; c < averages->composite_count; c++)
        line_done(&averages->composites[c]);
    free(averages->composites);
    kt_blocks_free(averages->blocks);
    free(averages);
}

int64_t kt_averages_longest_ns(const kt_averages *averages)
{
    return averages->longest_s * S;
}

/* The place of this venue's symbol in a composite, or NULL. */
static member *member_of(const line *composite, kt_text venue, kt_text symbol)
{
    for (uint32_t m = 0; m < composite->member_count; m++)
        if (kt_text_equal(composite->members[m].venue, venue) && kt_text_equal(composite->members[m].symbol, symbol))
            return &composite->members[m];
    return NULL;
}

kt_code kt_average_feed_new(
    kt_averages *averages, kt_text venue, kt_text symbol, kt_gather *gather, kt_average_feed **out)
{
    kt_average_feed *feed = calloc(1, sizeof *feed);
    uint32_t window_max = averages->window_count;
    kt_code code = KT_SYS;

    if (feed == NULL)
        return KT_SYS;
    for (uint32_t c = 0; c < averages->composite_count; c++)
        if (member_of(&averages->composites[c], venue, symbol) != NULL)
            window_max += averages->window_count;
    feed->averages = averages;
    feed->gather = gather;
    feed->from_ns = INT64_MAX;
    if (kt_vwap_new(averages->blocks, KT_AVERAGE_CELL_MAX, window_max, &feed->live) != KT_OK ||
        kt_vwap_new(averages->blocks, KT_AVERAGE_CELL_MAX, window_max, &feed->sure) != KT_OK)
        goto out;
    code = line_init(&feed->own, averages, (kt_text){ 0 }, 1);
    if (code == KT_OK)
        code = line_name(&feed->own, venue, symbol);
    if (code == KT_OK)
        code = line_join(&feed->own, &feed->own.members[0], feed);
    for (uint32_t c = 0; code == KT_OK && c < averages->composite_count; c++) {
        member *m = member_of(&averages->composites[c], venue, symbol);

        if (m != NULL && m->feed == NULL)
            code = line_join(&averages->composites[c], m, feed);
    }
out:
    if (code != KT_OK) {
        kt_average_feed_free(feed);
        return code;
    }
    *out = feed;
    return KT_OK;
}

void kt_average_feed_free(kt_average_feed *feed)
{
    if (feed == NULL)
        return;
    for (uint32_t c = 0; c < feed->averages->composite_count; c++)
        for (uint32_t m = 0; m < feed->averages->composites[c].member_count; m++)
            if (feed->averages->composites[c].members[m].feed == feed)
                feed->averages->composites[c].members[m].feed = NULL;
    line_done(&feed->own);
    kt_vwap_free(feed->live);
    kt_vwap_free(feed->sure);
    free(feed->deviations.at);
    free(feed->holes);
    free(feed);
}

/* Snapshots ---------------------------------------------------------------------------------------------------------
 */

enum {
    CELL_SIZE = 8 + 8 + 16 + 16,
    HELD_SIZE = 8 + 8 + 8 + 16 + 16 + 1 + 1,
    DEVIATION_SIZE = 8 + 8 + 8 + 8 + 1,
    HOLE_SIZE = 8 + 8,
};

static void line_save(const line *l, kt_writer *writer)
{
    kt_writer_u8(writer, l->live_started);
    kt_writer_u8(writer, l->sure_started);
    kt_writer_i64(writer, l->live_s);
    kt_writer_i64(writer, l->sure_s);
    kt_writer_i64(writer, l->from_ns);
    kt_writer_u32(writer, l->averages->window_count);
    for (uint32_t w = 0; w < l->averages->window_count; w++) {
        kt_writer_i64(writer, l->averages->window_s[w]);
        kt_writer_u32(writer, l->held[w].count);
        for (uint32_t i = 0; i < l->held[w].count; i++) {
            const held *h = &l->held[w].at[l->held[w].first + i];

            kt_writer_i64(writer, h->mark_s);
            kt_writer_u64(writer, h->stamp);
            kt_writer_u64(writer, h->sums.trades);
            kt_writer_i128(writer, h->sums.pq);
            kt_writer_i128(writer, h->sums.q);
            kt_writer_u8(writer, h->price_scale);
            kt_writer_u8(writer, h->quantity_scale);
        }
    }
}

/* `l` NULL: read past it. */
static kt_code line_load(line *l, kt_taker *taker)
{
    bool live_started = kt_taker_u8(taker) != 0, sure_started = kt_taker_u8(taker) != 0;
    int64_t live_s = kt_taker_i64(taker), sure_s = kt_taker_i64(taker), from_ns = kt_taker_i64(taker);
    uint32_t windows = kt_taker_count(taker, 8 + 4);

    for (uint32_t i = 0; i < windows; i++) {
        int64_t span_s = kt_taker_i64(taker);
        uint32_t count = kt_taker_count(taker, HELD_SIZE);
        held_list *list = NULL;

        for (uint32_t w = 0; l != NULL && w < l->averages->window_count; w++)
            if (l->averages->window_s[w] == span_s)
                list = &l->held[w];
        for (uint32_t k = 0; k < count; k++) {
            held h = { .mark_s = kt_taker_i64(taker) };

            h.stamp = kt_taker_u64(taker);
            h.sums.trades = kt_taker_u64(taker);
            h.sums.pq = kt_taker_i128(taker);
            h.sums.q = kt_taker_i128(taker);
            h.price_scale = kt_taker_u8(taker);
            h.quantity_scale = kt_taker_u8(taker);
            if (taker->code != KT_OK || h.price_scale > KT_SCALE_MAX || h.quantity_scale > KT_SCALE_MAX)
                return KT_CORRUPT;
            if (list != NULL)
                held_push(list, &h);
        }
    }
    if (l != NULL) {
        l->live_started = live_started;
        l->sure_started = sure_started;
        l->live_s = live_s;
        l->sure_s = sure_s;
        l->from_ns = from_ns;
    }
    return taker->code;
}

static void series_save(const kt_vwap *series, kt_writer *writer)
{
    kt_writer_i64(writer, kt_vwap_kept_from(series));
    kt_writer_u32(writer, kt_vwap_cell_count(series));
    for (uint32_t i = 0; i < kt_vwap_cell_count(series); i++) {
        kt_vwap_cell cell;

        kt_vwap_cell_get(series, i, &cell);
        kt_writer_i64(writer, cell.number);
        kt_writer_u64(writer, cell.sums.trades);
        kt_writer_i128(writer, cell.sums.pq);
        kt_writer_i128(writer, cell.sums.q);
    }
}

static kt_code series_load(kt_vwap *series, kt_taker *taker)
{
    int64_t kept_from_s = kt_taker_i64(taker);
    uint32_t count = kt_taker_count(taker, CELL_SIZE);

    kt_vwap_forget(series, kept_from_s);
    for (uint32_t i = 0; i < count; i++) {
        kt_vwap_cell cell = { .number = kt_taker_i64(taker) };
        kt_code code;

        cell.sums.trades = kt_taker_u64(taker);
        cell.sums.pq = kt_taker_i128(taker);
        cell.sums.q = kt_taker_i128(taker);
        code = taker->code == KT_OK ? kt_vwap_cell_put(series, &cell) : KT_CORRUPT;
        if (code != KT_OK)
            return code == KT_SYS ? KT_SYS : KT_CORRUPT;
    }
    return taker->code;
}

void kt_averages_save(const kt_averages *averages, kt_writer *writer)
{
    kt_writer_u64(writer, averages->stamp);
    kt_writer_u32(writer, averages->composite_count);
    for (uint32_t c = 0; c < averages->composite_count; c++) {
        kt_writer_text(writer, averages->composites[c].ticker);
        line_save(&averages->composites[c], writer);
    }
}

kt_code kt_averages_load(kt_averages *averages, kt_taker *taker)
{
    uint32_t count;

    averages->stamp = kt_taker_u64(taker);
    count = kt_taker_count(taker, 4 + 2 + 8 * 3 + 4);
    for (uint32_t i = 0; i < count; i++) {
        kt_text ticker = kt_taker_text(taker);
        line *l = NULL;

        for (uint32_t c = 0; c < averages->composite_count; c++)
            if (kt_text_equal(averages->composites[c].ticker, ticker))
                l = &averages->composites[c];
        if (line_load(l, taker) != KT_OK)
            return KT_CORRUPT;
    }
    return taker->code;
}

void kt_average_feed_save(const kt_average_feed *feed, kt_writer *writer)
{
    uint64_t first = kt_trades_first(feed->gather->trades);

    kt_writer_u8(writer, feed->price_scale);
    kt_writer_i64(writer, feed->until_ns);
    kt_writer_i64(writer, feed->from_ns);
    line_save(&feed->own, writer);
    series_save(feed->live, writer);
    series_save(feed->sure, writer);
    kt_writer_u32(writer, feed->deviations.count);
    for (uint32_t i = 0; i < feed->deviations.count; i++) {
        const deviation *d = &feed->deviations.at[feed->deviations.first + i];

        kt_writer_i64(writer, d->time_ns);
        kt_writer_u64(
            writer, d->position != POSITION_GONE && d->position >= first ? d->position - first : POSITION_GONE);
        kt_writer_u64(writer, d->since);
        kt_writer_u64(writer, d->until);
        kt_writer_u8(writer, d->cause);
    }
    kt_writer_u32(writer, feed->hole_count);
    for (uint32_t i = 0; i < feed->hole_count; i++) {
        kt_writer_i64(writer, feed->holes[i].from_ns);
        kt_writer_i64(writer, feed->holes[i].to_ns);
    }
}

kt_code kt_average_feed_load(kt_average_feed *feed, kt_taker *taker)
{
    uint64_t first = kt_trades_first(feed->gather->trades);
    kt_code code;
    uint32_t count;

    feed->price_scale = kt_taker_u8(taker);
    feed->until_ns = kt_taker_i64(taker);
    feed->from_ns = kt_taker_i64(taker);
    code = line_load(&feed->own, taker);
    if (code == KT_OK)
        code = series_load(feed->live, taker);
    if (code == KT_OK)
        code = series_load(feed->sure, taker);
    if (code != KT_OK || feed->price_scale > KT_SCALE_MAX)
        return code != KT_OK ? code : KT_CORRUPT;
    count = kt_taker_count(taker, DEVIATION_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        deviation d = { .time_ns = kt_taker_i64(taker) };
        uint64_t position = kt_taker_u64(taker);

        d.position = position == POSITION_GONE ? position : first + position;
        d.since = kt_taker_u64(taker);
        d.until = kt_taker_u64(taker);
        d.cause = kt_taker_u8(taker);
        deviation_insert(&feed->deviations, &d);
    }
    count = kt_taker_count(taker, HOLE_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        int64_t from_ns = kt_taker_i64(taker);

        kt_average_hole(feed, from_ns, kt_taker_i64(taker));
    }
    return taker->code;
}
