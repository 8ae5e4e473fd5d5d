#include "service/market.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/text.h"
#include "base/time.h"
#include "log/record.h"
#include "schema/config.h"
#include "service/gather.h"
#include "service/minutes.h"
#include "service/quality.h"
#include "service/repair.h"
#include "service/vwap.h"
#include "venue/venue.h"

/* How long trades, cells and provisional values wait for a REST interface that is away, before they are given up. */
#define LAG_MAX_NS (6 * KT_NS_PER_HOUR)

#define STATS_NS KT_NS_PER_S

/* Venues change ticks and lots of what they trade now and then. */
#define INSTRUMENTS_NS KT_NS_PER_HOUR

enum {
    TRADE_MAX = 1 << 22, /* trades remembered of one feed */
    NAME_SIZE = 129,
    SUBJECT_SIZE = KT_SUBJECT_MAX + 1,
    SNAPSHOT_VERSION = 3, /* 1 was without minutes of quality, 2 without our own */
};

/* Timers: which of them, and of what. */
#define TIMER_STATS 0u
#define TIMER_ASK ((uint64_t)1 << 32)         /* + index of the feed */
#define TIMER_INSTRUMENTS ((uint64_t)2 << 32) /* + index of the venue */
#define TIMER_MORE ((uint64_t)3 << 32)        /* + index of the feed */
#define TIMER_QUALITY ((uint64_t)4 << 32)

typedef struct market_venue {
    const kt_config_venue *config;
    const kt_venue_format *format;
    bool repairs;
    int64_t slot_ns;  /* the next time at which a request may go out */
    int64_t quiet_ns; /* none before it: the venue said "too many", which counts for slots that were given before too */
    uint64_t invalid;
    bool stats_due;
    uint64_t instruments_id; /* of the open request for them, or 0 */
    uint32_t instruments_failures;
    uint32_t instruments_next; /* symbol that is asked for alone, since all together were refused; 0: all, else + 1 */
    kt_quality_clock clock;
    kt_quality quality; /* of messages that named no symbol */
    bool minutes;       /* are made of its trades */
    uint64_t breaks;    /* how often words of it may have been lost: the link was, or one was refused */
    char request_subject[SUBJECT_SIZE];
    char stats_subject[SUBJECT_SIZE];
    char quality_subject[SUBJECT_SIZE];
} market_venue;

typedef struct market_feed {
    uint32_t index;
    market_venue *venue;
    char symbol[NAME_SIZE];
    kt_ev_instrument instrument; /* version 0: not known; its texts are the ones below */
    char venue_symbol[NAME_SIZE];
    char base[NAME_SIZE];
    char quote[NAME_SIZE];
    kt_gather gather;
    kt_repair repair;
    kt_average_feed *average;
    kt_minutes minutes;
    int64_t ask_ns;  /* when to ask next, unless a request is open; 0: not planned */
    bool slot;       /* ask_ns is a slot of the venue: ask then */
    int64_t stats_s; /* market second of the last stats */
    bool stats_due;
    int64_t told_until_ns; /* in the last watermark */
    int64_t told_from_ns;
    char feed_subject[SUBJECT_SIZE];
    char trades_subject[SUBJECT_SIZE];
    char watermark_subject[SUBJECT_SIZE];
    char stats_subject[SUBJECT_SIZE];
    char quality_subject[SUBJECT_SIZE];
    char minute_subject[SUBJECT_SIZE];
    char instrument_subject[SUBJECT_SIZE];
} market_feed;

typedef struct market {
    const kt_config *config;
    uint64_t hash_seed;
    kt_averages *averages;
    market_venue venues[KT_CONFIG_VENUE_MAX];
    uint32_t venue_count;
    market_feed **feeds; /* KT_MARKET_FEED_MAX places */
    uint32_t feed_count;
    kt_map_text by_subject; /* feed_subject -> index */
    kt_map_u64 by_request;  /* id of an open request -> index */
    void *map_mem[2];
    bool stats_timer;
    int64_t heard_ns;   /* time of the last record that was seen */
    kt_row_trade *rows; /* KT_ROW_COUNT_MAX: those of the answer being applied */
} market;

static void name_copy(char out[NAME_SIZE], kt_text name)
{
    size_t n = name.n < NAME_SIZE - 1 ? name.n : NAME_SIZE - 1;

    if (n != 0)
        memcpy(out, name.s, n);
    out[n] = 0;
}

/* Feeds -------------------------------------------------------------------------------------------------------------
 */

static void feed_free(market_feed *feed)
{
    if (feed == NULL)
        return;
    kt_average_feed_free(feed->average);
    kt_minutes_done(&feed->minutes);
    kt_gather_done(&feed->gather);
    free(feed);
}

static kt_gather_rules gather_rules(const market *m, const market_venue *venue)
{
    return (kt_gather_rules){
        .suspect_percent = m->config->vwap_suspect_percent,
        .step_ns = m->config->vwap_step_s * KT_NS_PER_S,
        .keep_ns = kt_averages_longest_ns(m->averages),
        .lag_max_ns = venue->repairs ? LAG_MAX_NS : 0,
        .trade_max = TRADE_MAX,
        .numbered = venue->format->numbered,
    };
}

static kt_repair_rules repair_rules(const market *m, const market_venue *venue)
{
    return (kt_repair_rules){
        .numbered = venue->format->numbered,
        .page = venue->format->row_max,
        .back_ns = kt_averages_longest_ns(m->averages),
        .poll_ns = m->config->repair_interval_ms * KT_NS_PER_MS,
    };
}

/* A feed that is not registered yet. NULL: no memory, or names too long for a subject. */
static market_feed *feed_new(market *m, market_venue *venue, kt_text symbol)
{
    kt_text name = kt_text_of(venue->config->name);
    market_feed *feed = symbol.n == 0 || symbol.n >= NAME_SIZE ? NULL : calloc(1, sizeof *feed);
    kt_gather_rules gather = gather_rules(m, venue);
    kt_repair_rules repair = repair_rules(m, venue);

    if (feed == NULL)
        return NULL;
    feed->venue = venue;
    name_copy(feed->symbol, symbol);
    kt_event_init(KT_EV_INSTRUMENT, &feed->instrument);
    feed->instrument.version = 0;
    kt_repair_init(&feed->repair, &repair);
    kt_minutes_init(&feed->minutes);
    if (kt_gather_init(&feed->gather, &gather, m->hash_seed) != KT_OK ||
        !kt_subject_make(feed->feed_subject, "feed", name, symbol) ||
        !kt_subject_make(feed->trades_subject, "trades", name, symbol) ||
        !kt_subject_make(feed->watermark_subject, "watermark", name, symbol) ||
        !kt_subject_make(feed->stats_subject, "stats", name, symbol) ||
        !kt_subject_make(feed->quality_subject, "quality", name, symbol) ||
        !kt_subject_make(feed->minute_subject, "minute", name, symbol) ||
        !kt_subject_make(feed->instrument_subject, "instrument", name, symbol) ||
        kt_average_feed_new(m->averages, name, symbol, &feed->gather, &feed->average) != KT_OK) {
        feed_free(feed);
        return NULL;
    }
    feed->gather.price_scale = venue->config->price_scale;
    feed->gather.quantity_scale = venue->config->quantity_scale;
    kt_average_price_scale(feed->average, venue->config->price_scale);
    return feed;
}

static bool feed_register(market *m, market_feed *feed)
{
    if (m->feed_count == KT_MARKET_FEED_MAX)
        return false;
    if (kt_map_text_put(&m->by_subject, kt_text_of(feed->feed_subject), m->feed_count) != KT_OK)
        return false;
    feed->index = m->feed_count;
    m->feeds[m->feed_count++] = feed;
    return true;
}

static market_venue *venue_of(market *m, kt_text name)
{
    for (uint32_t i = 0; i < m->venue_count; i++)
        if (kt_text_equal(kt_text_of(m->venues[i].config->name), name))
            return &m->venues[i];
    return NULL;
}

/* The venue of feed.{venue}.{symbol}, or NULL. */
static market_venue *venue_of_subject(market *m, kt_text subject)
{
    return venue_of(m, kt_subject_part(subject, 1));
}

static void emit_instrument(const market_feed *feed, kt_env *env)
{
    kt_env_emit(env, KT_EV_INSTRUMENT, kt_text_of(feed->instrument_subject), &feed->instrument);
}

/* The feed of that venue and symbol; made when it is not there. A venue that does not describe its instruments has
 * those of the configuration. NULL: beyond the bounds. */
static market_feed *feed_make(market *m, kt_env *env, market_venue *venue, kt_text symbol)
{
    market_feed *feed = feed_new(m, venue, symbol);

    if (feed == NULL || !feed_register(m, feed)) {
        feed_free(feed);
        return NULL;
    }
    if ((venue->format->can & (1u << KT_WHAT_INSTRUMENTS)) == 0) {
        name_copy(feed->venue_symbol, symbol);
        name_copy(feed->base, symbol);
        feed->instrument.venue_symbol = kt_text_of(feed->venue_symbol);
        feed->instrument.base = kt_text_of(feed->base);
        feed->instrument.price_scale = venue->config->price_scale;
        feed->instrument.quantity_scale = venue->config->quantity_scale;
        feed->instrument.version = 1;
        emit_instrument(feed, env);
    }
    return feed;
}

static market_feed *feed_of(market *m, kt_env *env, kt_text subject)
{
    char raw[NAME_SIZE];
    kt_builder b;
    uint32_t index;
    market_venue *venue;

    if (kt_map_text_get(&m->by_subject, subject, &index) == KT_OK)
        return m->feeds[index];
    venue = venue_of_subject(m, subject);
    kt_builder_init(&b, raw, sizeof raw);
    if (venue == NULL || kt_subject_token_decode(kt_subject_part(subject, 2), &b) != KT_OK)
        return NULL;
    return feed_make(m, env, venue, kt_builder_done(&b));
}

/* Make a trade's decimals fit the feed's scales, by growing those if need be. false: they can not. */
static bool feed_fit(market_feed *feed, kt_decimal price, kt_decimal quantity)
{
    kt_gather *gather = &feed->gather;
    uint8_t price_scale, quantity_scale;
    int64_t price_factor, qty_factor;

    if (!kt_gather_fit(gather, price, quantity, &price_scale, &quantity_scale))
        return false;
    if (price_scale == gather->price_scale && quantity_scale == gather->quantity_scale)
        return true;
    price_factor = kt_gather_factor(gather->price_scale, price_scale);
    qty_factor = kt_gather_factor(gather->quantity_scale, quantity_scale);
    if (!kt_average_fits(feed->average, price_factor, qty_factor) ||
        !kt_minutes_fit(&feed->minutes, price_factor, qty_factor) ||
        !kt_gather_rescale(gather, price_scale, quantity_scale))
        return false;
    kt_average_rescale(feed->average, price_factor, qty_factor);
    kt_minutes_rescale(&feed->minutes, price_factor, qty_factor);
    return true;
}

/* Telling -----------------------------------------------------------------------------------------------------------
 */

static void emit_trade(const market_feed *feed, kt_env *env, uint64_t position, bool rest)
{
    const kt_trade *trade = kt_trades_at(feed->gather.trades, position);
    char buf[KT_TRADE_ID_TEXT_MAX];
    kt_ev_trade ev;

    kt_event_init(KT_EV_TRADE, &ev);
    ev.venue_time = trade->time_ns;
    ev.receive_time = trade->receive_ns;
    ev.price = kt_decimal_canon((kt_decimal){ .m = trade->price, .scale = feed->gather.price_scale });
    ev.quantity = kt_decimal_canon((kt_decimal){ .m = trade->qty, .scale = feed->gather.quantity_scale });
    ev.side = trade->side;
    ev.trade_id = kt_trades_id(feed->gather.trades, trade, buf);
    ev.trade_number = kt_trades_number(trade);
    ev.validated = (trade->flags & KT_TRADE_REST) != 0;
    ev.suspect = (trade->flags & (KT_TRADE_SUSPECT | KT_TRADE_REST)) == KT_TRADE_SUSPECT;
    ev.source = rest ? KT_SOURCE_REST : KT_SOURCE_STREAM;
    ev.revision = trade->revision;
    kt_env_emit(env, KT_EV_TRADE, kt_text_of(feed->trades_subject), &ev);
}

static void stats_fill(const market_feed *feed, kt_ev_feed_stats *ev)
{
    const kt_gather *gather = &feed->gather;

    ev->received = gather->received;
    ev->invalid = gather->refused;
    ev->repeated = gather->repeated;
    ev->reordered = gather->reordered;
    ev->missing = kt_gather_missing(gather);
    ev->repaired = gather->repaired;
    ev->suspect = gather->suspect;
    ev->corrected = gather->corrected;
    ev->skew_min = gather->skew_min;
    ev->skew_max = gather->skew_max;
    ev->market_time = gather->market_ns;
    ev->validated_until = feed->repair.until_ns;
    ev->lost = gather->lost;
    ev->full_ms = feed->repair.full_count;
    ev->rest_invalid = feed->repair.invalid;
    ev->rest_failures = feed->repair.failures;
}

static void emit_stats(market_feed *feed, kt_env *env)
{
    kt_ev_feed_stats ev;

    kt_event_init(KT_EV_FEED_STATS, &ev);
    stats_fill(feed, &ev);
    feed->stats_due = false;
    feed->stats_s = feed->gather.market_ns / KT_NS_PER_S;
    kt_env_emit(env, KT_EV_FEED_STATS, kt_text_of(feed->stats_subject), &ev);
}

/* Of a venue: the sums of its feeds, with `received` and `invalid` counting the messages too that named no feed. */
static void emit_venue_stats(market *m, kt_env *env, market_venue *venue)
{
    kt_ev_feed_stats all;
    bool any = false;

    kt_event_init(KT_EV_FEED_STATS, &all);
    all.received = all.invalid = venue->invalid;
    for (uint32_t i = 0; i < m->feed_count; i++) {
        kt_ev_feed_stats one;

        if (m->feeds[i]->venue != venue)
            continue;
        kt_event_init(KT_EV_FEED_STATS, &one);
        stats_fill(m->feeds[i], &one);
        all.received += one.received;
        all.invalid += one.invalid;
        all.repeated += one.repeated;
        all.reordered += one.reordered;
        all.missing += one.missing;
        all.repaired += one.repaired;
        all.suspect += one.suspect;
        all.corrected += one.corrected;
        all.lost += one.lost;
        all.full_ms += one.full_ms;
        all.rest_invalid += one.rest_invalid;
        all.rest_failures = one.rest_failures > all.rest_failures ? one.rest_failures : all.rest_failures;
        if (one.received != 0) {
            all.skew_min = !any || one.skew_min < all.skew_min ? one.skew_min : all.skew_min;
            all.skew_max = !any || one.skew_max > all.skew_max ? one.skew_max : all.skew_max;
            any = true;
        }
        all.market_time = one.market_time > all.market_time ? one.market_time : all.market_time;
        all.validated_until = one.validated_until > all.validated_until ? one.validated_until : all.validated_until;
    }
    venue->stats_due = false;
    kt_env_emit(env, KT_EV_FEED_STATS, kt_text_of(venue->stats_subject), &all);
}

/* Something that stats count has changed: they go out when the market's second does, and with the timer. */
static void stats_note(market *m, kt_env *env, market_venue *venue, market_feed *feed)
{
    venue->stats_due = true;
    if (feed != NULL) {
        feed->stats_due = true;
        if (feed->stats_s != feed->gather.market_ns / KT_NS_PER_S)
            emit_stats(feed, env);
    }
    if (!m->stats_timer) {
        m->stats_timer = true;
        kt_env_timer(env, TIMER_STATS, kt_env_now(env) + STATS_NS);
    }
}

/* What has changed of minutes that are closed. */
static void quality_tell_feed(market_feed *feed, kt_env *env)
{
    if (feed->gather.quality.late)
        kt_quality_tell(&feed->gather.quality, &feed->venue->clock, env, feed->quality_subject,
            feed->venue->repairs ? feed->repair.until_ns : INT64_MAX);
}

static void quality_tell_venue(market_venue *venue, kt_env *env)
{
    if (venue->quality.late)
        kt_quality_tell(&venue->quality, &venue->clock, env, venue->quality_subject, INT64_MAX);
}

static void stats_timer(market *m, kt_env *env)
{
    m->stats_timer = false;
    for (uint32_t i = 0; i < m->feed_count; i++) {
        if (m->feeds[i]->stats_due)
            emit_stats(m->feeds[i], env);
        quality_tell_feed(m->feeds[i], env);
    }
    for (uint32_t i = 0; i < m->venue_count; i++) {
        if (m->venues[i].stats_due)
            emit_venue_stats(m, env, &m->venues[i]);
        quality_tell_venue(&m->venues[i], env);
    }
}

/* Close the minutes of a venue that are over. */
static void quality_close(market *m, kt_env *env, market_venue *venue)
{
    int64_t now = kt_env_now(env), market_ns = kt_quality_clock_now(&venue->clock, now);
    int64_t from_ns, until_ns;

    if (!kt_quality_clock_close(&venue->clock, now, &from_ns, &until_ns))
        return;
    for (uint32_t i = 0; i < m->feed_count; i++) {
        market_feed *feed = m->feeds[i];

        if (feed->venue != venue)
            continue;
        if (feed->gather.quality.now_ns < until_ns)
            kt_quality_reach(&feed->gather.quality, market_ns);
        kt_quality_close(&feed->gather.quality, from_ns, until_ns);
        quality_tell_feed(feed, env);
    }
    kt_quality_reach(&venue->quality, market_ns);
    kt_quality_close(&venue->quality, from_ns, until_ns);
    quality_tell_venue(venue, env);
}

static void quality_timer_set(kt_env *env)
{
    int64_t now = kt_env_now(env);

    kt_env_timer(env, TIMER_QUALITY, now - now % KT_QUALITY_MINUTE_NS + KT_QUALITY_MINUTE_NS + 2 * KT_QUALITY_GRACE_NS);
}

/* In silence the clock closes minutes, of venues whose market time is known. */
static void quality_timer(market *m, kt_env *env)
{
    bool any = false;

    for (uint32_t i = 0; i < m->venue_count; i++) {
        any |= m->venues[i].clock.market_ns != 0;
        quality_close(m, env, &m->venues[i]);
    }
    if (any)
        quality_timer_set(env);
}

/* The market time of a feed has moved: so may that of its venue. */
static void quality_move(market *m, kt_env *env, market_feed *feed)
{
    kt_quality_clock *clock = &feed->venue->clock;

    if (!feed->gather.market_sure || feed->gather.market_ns <= clock->market_ns)
        return;
    if (clock->market_ns == 0) {
        kt_quality_reach(&feed->venue->quality, feed->gather.market_ns);
        quality_timer_set(env);
    }
    kt_quality_clock_move(clock, feed->gather.market_ns, kt_env_now(env));
    quality_close(m, env, feed->venue);
}

static void minutes_tell(market_feed *feed, kt_env *env)
{
    if (!feed->venue->minutes) {
        kt_minutes_skip(&feed->minutes, feed->repair.until_ns);
        return;
    }
    kt_minutes_tell(&feed->minutes, &feed->gather, feed->instrument.version != 0 ? feed->instrument.price_scale : 0,
        feed->repair.until_ns, feed->repair.from_ns, env, feed->minute_subject);
}

/* Asking ------------------------------------------------------------------------------------------------------------
 */

static void request_emit(market_feed *feed, kt_env *env)
{
    kt_ev_request ev;

    kt_event_init(KT_EV_REQUEST, &ev);
    ev.request_id = feed->repair.request_id;
    ev.symbol = kt_text_of(feed->symbol);
    kt_repair_question(&feed->repair, &ev);
    kt_env_request(env, KT_EV_REQUEST, kt_text_of(feed->venue->request_subject), &ev);
    kt_env_timer(env, TIMER_ASK + feed->index, kt_env_now(env) + KT_REPAIR_LOST_NS);
}

static void ask_plan(market_feed *feed, kt_env *env, int64_t at_ns, bool slot)
{
    feed->ask_ns = at_ns;
    feed->slot = slot;
    kt_env_timer(env, TIMER_ASK + feed->index, at_ns);
}

/* Ask now, or at the venue's next free slot: so many requests a second, and none before it said. */
static void ask(market *m, market_feed *feed, kt_env *env)
{
    market_venue *venue = feed->venue;
    int64_t now = kt_env_now(env);

    if (!venue->repairs) { /* switched off meanwhile */
        feed->ask_ns = 0;
        feed->slot = false;
        return;
    }
    if (venue->quiet_ns > now)
        feed->slot = false;
    if (!feed->slot && venue->slot_ns > now) {
        ask_plan(feed, env, venue->slot_ns, true);
        venue->slot_ns += KT_NS_PER_S / venue->config->requests_per_s;
        return;
    }
    if (!feed->slot)
        venue->slot_ns = now + KT_NS_PER_S / venue->config->requests_per_s;
    feed->ask_ns = 0;
    feed->slot = false;
    feed->repair.request_id = kt_env_key(env);
    kt_assert(kt_map_u64_put(&m->by_request, feed->repair.request_id, feed->index) == KT_OK);
    request_emit(feed, env);
}

static void ask_in(market *m, market_feed *feed, kt_env *env, int64_t wait_ns)
{
    if (wait_ns == 0)
        ask(m, feed, env);
    else
        ask_plan(feed, env, kt_env_now(env) + wait_ns, false);
}

static void request_close(market *m, market_feed *feed)
{
    kt_map_u64_remove(&m->by_request, feed->repair.request_id);
    feed->repair.request_id = 0;
}

static void ask_timer(market *m, market_feed *feed, kt_env *env)
{
    if (feed->repair.phase == KT_REPAIR_WAIT)
        return; /* set for the feed that had this index under another configuration */
    if (feed->repair.request_id != 0)
        request_close(m, feed); /* no answer came in all this time */
    ask(m, feed, env);
}

static void ask_instruments(market_venue *venue, kt_env *env)
{
    kt_ev_request ev;

    if (venue->instruments_id == 0)
        venue->instruments_id = kt_env_key(env);
    kt_event_init(KT_EV_REQUEST, &ev);
    ev.request_id = venue->instruments_id;
    ev.what = KT_WHAT_INSTRUMENTS;
    if (venue->instruments_next != 0)
        ev.symbol = kt_text_of(venue->config->symbols.at[venue->instruments_next - 1]);
    kt_env_request(env, KT_EV_REQUEST, kt_text_of(venue->request_subject), &ev);
}

static void instruments_timer(market_venue *venue, kt_env *env, uint64_t timer_id)
{
    if (venue->quiet_ns > kt_env_now(env))
        kt_env_timer(env, timer_id, venue->quiet_ns);
    else
        ask_instruments(venue, env);
}

/* Inputs ------------------------------------------------------------------------------------------------------------
 */

/* Publish what is due; the rest of very much with a timer that is due at once, so that no input makes outputs without
 * bound. */
static void publish(market_feed *feed, kt_env *env, bool rest)
{
    bool more = kt_average_market(feed->average, env);

    if (rest)
        more |= kt_average_rest(feed->average, env, feed->repair.until_ns, feed->repair.from_ns);
    if (more)
        kt_env_timer(env, TIMER_MORE + feed->index, kt_env_now(env));
}

/* What follows from one step of gather: sums, later corrections, the trade event. */
static void step_apply(market_feed *feed, kt_env *env, const kt_gather_step *step, bool rest)
{
    if (step->what == KT_GATHER_SAME || step->what == KT_GATHER_REFUSED)
        return;
    kt_average_step(feed->average, env, step, rest);
    if (rest && feed->venue->minutes)
        kt_minutes_step(&feed->minutes, &feed->gather, step);
    emit_trade(feed, env, step->position, rest);
}

static void on_tick(market *m, kt_env *env, const kt_event *event)
{
    market_feed *feed = feed_of(m, env, event->subject);
    kt_gather_step step;
    kt_ev_tick tick;

    if (feed == NULL || kt_event_decode(KT_EV_TICK, event->payload, event->size, &tick) != KT_OK)
        return;
    if (feed_fit(feed, tick.price, tick.quantity)) {
        step =
            kt_gather_tick(&feed->gather, &tick, kt_repair_passed(&feed->repair, tick.venue_time, tick.trade_number));
        step_apply(feed, env, &step, false);
        if (step.what == KT_GATHER_ADDED &&
            (kt_trades_at(feed->gather.trades, step.position)->flags & KT_TRADE_PASSED) != 0)
            kt_average_lost(feed->average, step.position);
    } else {
        kt_gather_refuse(&feed->gather, tick.venue_time);
        stats_note(m, env, feed->venue, feed);
        return;
    }
    quality_move(m, env, feed);
    if (feed->gather.market_ns / KT_NS_PER_S != feed->stats_s)
        kt_gather_forget(&feed->gather, kt_average_named_ns(feed->average));
    publish(feed, env, false);
    stats_note(m, env, feed->venue, feed);
    if (!feed->venue->repairs || step.what == KT_GATHER_REFUSED)
        return;
    if (kt_repair_seen(&feed->repair, tick.venue_time, tick.trade_number)) {
        ask(m, feed, env);
    } else if (feed->repair.request_id == 0 && !feed->slot && feed->gather.unsettled > 0 &&
               feed->ask_ns > kt_env_now(env) + feed->repair.rules.poll_ns && feed->repair.failures == 0) {
        ask_in(m, feed, env, feed->repair.rules.poll_ns);
    }
}

static void on_invalid(market *m, kt_env *env, const kt_event *event)
{
    market_venue *venue = venue_of_subject(m, event->subject);

    if (venue == NULL)
        return;
    venue->invalid++;
    venue->breaks++;
    kt_quality_count(&venue->quality, KT_QUALITY_RECEIVED, 0);
    kt_quality_count(&venue->quality, KT_QUALITY_INVALID, 0);
    stats_note(m, env, venue, NULL);
}

/* Of several connections of a venue the last one that told counts. */
static void on_link(market *m, kt_env *env, const kt_event *event)
{
    market_venue *venue = venue_of_subject(m, event->subject);
    kt_ev_link link;

    if (venue == NULL || kt_event_decode(KT_EV_LINK, event->payload, event->size, &link) != KT_OK)
        return;
    venue->breaks += link.state != KT_LINK_CONNECTED;
    if (link.state == KT_LINK_CONNECTED)
        kt_quality_clock_connected(&venue->clock, kt_env_now(env));
    else if (link.state == KT_LINK_SILENT)
        kt_quality_clock_lost(&venue->clock, kt_env_now(env) - venue->config->silence_ms * KT_NS_PER_MS);
    else
        kt_quality_clock_lost(&venue->clock, kt_env_now(env));
}

/* The venue's own minute, "candle.{venue}.{interval}.{symbol}". */
static void on_candle(market *m, kt_env *env, const kt_event *event)
{
    market_venue *venue = venue_of_subject(m, event->subject);
    char subject[SUBJECT_SIZE];
    market_feed *feed;
    kt_ev_candle candle;
    kt_builder b;

    if (venue == NULL || !venue->minutes)
        return;
    kt_builder_init(&b, subject, sizeof subject);
    kt_builder_str(&b, "feed.");
    kt_builder_text(&b, kt_subject_part(event->subject, 1));
    kt_builder_char(&b, '.');
    kt_builder_text(&b, kt_subject_part(event->subject, 3));
    feed = b.code == KT_OK ? feed_of(m, env, kt_builder_done(&b)) : NULL;
    if (feed == NULL || kt_event_decode(KT_EV_CANDLE, event->payload, event->size, &candle) != KT_OK)
        return;
    kt_minutes_word(&feed->minutes, &candle, venue->breaks);
    if (feed->minutes.due)
        minutes_tell(feed, env);
}

static bool scales_learn(market_feed *feed, const kt_row_instrument *row)
{
    kt_gather *gather = &feed->gather;
    kt_decimal price = { .m = 1, .scale = row->price_scale }, quantity = { .m = 1, .scale = row->quantity_scale };

    if (row->price_scale > KT_SCALE_MAX || row->quantity_scale > KT_SCALE_MAX)
        return false;
    if (gather->market_ns == 0) {
        gather->price_scale = row->price_scale;
        gather->quantity_scale = row->quantity_scale;
    } else if (!feed_fit(feed, price, quantity)) {
        return false;
    }
    kt_average_price_scale(feed->average, row->price_scale);
    return true;
}

static void learn_instrument(market *m, kt_env *env, market_venue *venue, const kt_row_instrument *row)
{
    char subject[SUBJECT_SIZE];
    market_feed *feed;
    kt_ev_instrument now;

    if (!kt_subject_make(subject, "feed", kt_text_of(venue->config->name), row->symbol))
        return;
    feed = feed_of(m, env, kt_text_of(subject));
    if (feed == NULL)
        return;
    kt_event_init(KT_EV_INSTRUMENT, &now);
    now.venue_symbol = row->venue_symbol;
    now.base = row->base;
    now.quote = row->quote;
    now.price_scale = row->price_scale;
    now.quantity_scale = row->quantity_scale;
    now.tick = row->tick;
    now.lot = row->lot;
    now.version = feed->instrument.version;
    if (now.version != 0 && kt_table_equal(&kt_event_by_kind(KT_EV_INSTRUMENT)->table, &now, &feed->instrument))
        return;
    if (!scales_learn(feed, row))
        return;
    name_copy(feed->venue_symbol, row->venue_symbol);
    name_copy(feed->base, row->base);
    name_copy(feed->quote, row->quote);
    now.venue_symbol = kt_text_of(feed->venue_symbol);
    now.base = kt_text_of(feed->base);
    now.quote = kt_text_of(feed->quote);
    now.version++;
    feed->instrument = now;
    emit_instrument(feed, env);
}

static bool answer_good(const kt_ev_answer *answer)
{
    return answer->status >= 200 && answer->status < 300 && answer->error.n == 0;
}

/* One unknown symbol makes a venue refuse them all: then each is asked for by itself. Says whether there is a next one. */
static bool instruments_each(market_venue *venue, const kt_ev_answer *answer)
{
    bool refused = answer->status >= 400 && answer->status < 500 && answer->retry_after == 0;

    if (venue->instruments_next == 0)
        venue->instruments_next = refused && venue->config->symbols.count > 1;
    else if (refused || answer_good(answer))
        venue->instruments_next =
            venue->instruments_next < venue->config->symbols.count ? venue->instruments_next + 1 : 0;
    else
        return false; /* asked again after a while */
    return venue->instruments_next != 0;
}

static void on_instruments(market *m, kt_env *env, market_venue *venue, const kt_ev_answer *answer)
{
    int64_t wait = KT_REPAIR_RETRY_NS << (venue->instruments_failures < 16 ? venue->instruments_failures : 16);
    bool one = venue->instruments_next != 0, next = instruments_each(venue, answer);

    venue->instruments_id = 0;
    for (uint32_t i = 0; answer_good(answer) && i < answer->instruments.count; i++) {
        kt_row_instrument row;

        kt_rows_get(&kt_row_table_instrument, &answer->instruments, i, &row);
        learn_instrument(m, env, venue, &row);
    }
    if (next) {
        ask_instruments(venue, env);
        return;
    }
    if (answer_good(answer) || (one && venue->instruments_next == 0)) {
        venue->instruments_failures = 0;
        wait = INSTRUMENTS_NS;
    } else {
        venue->instruments_failures++;
        wait = wait < KT_REPAIR_RETRY_MAX_NS ? wait : KT_REPAIR_RETRY_MAX_NS;
        if (answer->retry_after > kt_env_now(env) + wait)
            wait = answer->retry_after - kt_env_now(env);
    }
    kt_env_timer(env, TIMER_INSTRUMENTS + (uint64_t)(venue - m->venues), kt_env_now(env) + wait);
}

static int compare_numbers(const void *a, const void *b)
{
    const kt_row_trade *x = a, *y = b;

    return (x->trade_number > y->trade_number) - (x->trade_number < y->trade_number);
}

static int compare_times(const void *a, const void *b)
{
    const kt_row_trade *x = a, *y = b;

    if (x->venue_time != y->venue_time)
        return (x->venue_time > y->venue_time) - (x->venue_time < y->venue_time);
    if (x->trade_number != y->trade_number)
        return compare_numbers(a, b);
    return kt_text_compare(x->trade_id, y->trade_id);
}

static bool in_order_of_time(const kt_row_trade *rows, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (rows[i].venue_time < rows[i - 1].venue_time)
            return false;
    return true;
}

/* The rows of an answer in order. Of trades of one time the venue's own order stays. */
static uint32_t rows_take(market *m, const market_feed *feed, const kt_ev_answer *answer)
{
    uint32_t count = answer->rows.count < KT_ROW_COUNT_MAX ? answer->rows.count : KT_ROW_COUNT_MAX;

    for (uint32_t i = 0; i < count; i++)
        kt_rows_get(&kt_row_table_trade, &answer->rows, i, &m->rows[i]);
    if (feed->venue->format->numbered)
        qsort(m->rows, count, sizeof *m->rows, compare_numbers);
    else if (!in_order_of_time(m->rows, count))
        qsort(m->rows, count, sizeof *m->rows, compare_times);
    return count;
}

/* What one answer did, for the watermark event. */
typedef struct answer_counts {
    uint32_t confirmed, repaired, changed, lost, full_ms;
} answer_counts;

typedef struct lost_ctx {
    market_feed *feed;
    answer_counts *counts;
} lost_ctx;

static void on_lost(void *ctx, uint64_t position)
{
    const lost_ctx *lost = ctx;

    kt_average_lost(lost->feed->average, position);
    lost->counts->lost++;
}

static void row_apply(
    market_feed *feed, kt_env *env, const kt_row_trade *row, int64_t receive_ns, answer_counts *counts)
{
    kt_gather_step step = { .what = KT_GATHER_REFUSED };

    if (feed_fit(feed, row->price, row->quantity))
        step = kt_gather_row(&feed->gather, row, receive_ns);
    else
        kt_gather_refuse(&feed->gather, row->venue_time);
    step_apply(feed, env, &step, true);
    counts->confirmed += step.what == KT_GATHER_AGREED;
    counts->repaired += step.what == KT_GATHER_ADDED;
    counts->changed += step.what == KT_GATHER_CHANGED;
}

/* Says whether there was something to tell. */
static bool emit_watermark(market_feed *feed, kt_env *env, const answer_counts *counts)
{
    static const answer_counts none;
    const kt_repair *repair = &feed->repair;
    bool covered = repair->from_ns != INT64_MAX;
    kt_ev_watermark ev;

    if (!covered || (feed->told_until_ns == repair->until_ns && feed->told_from_ns == repair->from_ns &&
                        memcmp(counts, &none, sizeof none) == 0))
        return false;
    kt_event_init(KT_EV_WATERMARK, &ev);
    ev.validated_until = repair->until_ns;
    ev.covered_from = repair->from_ns;
    ev.confirmed = counts->confirmed;
    ev.repaired = counts->repaired;
    ev.changed = counts->changed;
    ev.lost = counts->lost;
    ev.full_ms = counts->full_ms;
    ev.market_time = feed->gather.market_ns;
    feed->told_until_ns = repair->until_ns;
    feed->told_from_ns = repair->from_ns;
    kt_env_emit(env, KT_EV_WATERMARK, kt_text_of(feed->watermark_subject), &ev);
    return true;
}

/* false: there was nothing valid in it. */
static bool answer_apply(market *m, kt_env *env, market_feed *feed, const kt_ev_answer *answer)
{
    uint32_t count = rows_take(m, feed, answer);
    kt_repair_step step = kt_repair_answer(&feed->repair, m->rows, count, answer->row_count);
    answer_counts counts = { 0 };

    if (step.failed)
        return false;
    for (uint32_t i = 0; step.take && i < count; i++)
        if (m->rows[i].venue_time >= step.take_from_ns && m->rows[i].trade_number >= step.take_from)
            row_apply(feed, env, &m->rows[i], answer->receive_time, &counts);
    if (step.from_start)
        kt_gather_from_start(&feed->gather);
    if (step.hole) {
        kt_average_hole(feed->average, step.hole_from_ns, step.hole_to_ns);
        kt_minutes_hole(&feed->minutes, step.hole_from_ns, step.hole_to_ns);
    }
    counts.full_ms += step.full_ms;
    if (step.before_ns != 0 || step.below != 0)
        kt_gather_pass(
            &feed->gather, feed->repair.until_ns, step.before_ns, step.below, on_lost, &(lost_ctx){ feed, &counts });
    publish(feed, env, true);
    minutes_tell(feed, env);
    kt_gather_forget(&feed->gather, kt_average_named_ns(feed->average));
    quality_move(m, env, feed);
    quality_tell_feed(feed, env);
    if (emit_watermark(feed, env, &counts))
        stats_note(m, env, feed->venue, feed);
    ask_in(m, feed, env, kt_repair_wait_ns(&feed->repair, step.more, feed->gather.unsettled));
    return true;
}

static void on_answer(market *m, kt_env *env, const kt_event *event)
{
    market_venue *venue = venue_of_subject(m, event->subject);
    kt_ev_answer answer;
    uint32_t index;
    market_feed *feed;
    uint32_t failures;
    uint64_t invalid;
    int64_t wait;

    if (venue == NULL || kt_event_decode(KT_EV_ANSWER, event->payload, event->size, &answer) != KT_OK)
        return;
    if (answer.retry_after > venue->quiet_ns) {
        venue->quiet_ns = answer.retry_after;
        venue->slot_ns = answer.retry_after > venue->slot_ns ? answer.retry_after : venue->slot_ns;
    }
    if (answer.request_id == venue->instruments_id && venue->instruments_id != 0) {
        on_instruments(m, env, venue, &answer);
        return;
    }
    if (kt_map_u64_get(&m->by_request, answer.request_id, &index) != KT_OK)
        return; /* of a request that was given up, or answered already */
    feed = m->feeds[index];
    request_close(m, feed);
    failures = feed->repair.failures;
    invalid = feed->repair.invalid;
    if (!answer_good(&answer) || !answer_apply(m, env, feed, &answer)) {
        wait = kt_repair_failed_ns(&feed->repair);
        if (answer.retry_after - kt_env_now(env) > wait)
            wait = answer.retry_after - kt_env_now(env);
        ask_in(m, feed, env, wait);
    }
    if (feed->repair.failures != failures || feed->repair.invalid != invalid)
        stats_note(m, env, venue, feed);
}

/* The effects that are open are asked for again: those before the start went nowhere. */
static void on_lane_start(market *m, kt_env *env)
{
    for (uint32_t i = 0; i < m->venue_count; i++)
        if ((m->venues[i].format->can & (1u << KT_WHAT_INSTRUMENTS)) != 0 && m->venues[i].config->rest_url[0] != 0)
            ask_instruments(&m->venues[i], env);
    for (uint32_t i = 0; i < m->feed_count; i++) {
        market_feed *feed = m->feeds[i];

        if (feed->repair.request_id != 0)
            request_emit(feed, env);
        else if (feed->ask_ns != 0)
            ask_plan(feed, env, feed->ask_ns, feed->slot); /* its index may be another than before */
        else if (feed->venue->repairs && feed->repair.phase != KT_REPAIR_WAIT)
            ask(m, feed, env); /* REST was switched on with this start */
    }
    for (uint32_t i = 0; i < m->venue_count; i++) {
        kt_quality_clock_lost(&m->venues[i].clock, m->heard_ns);
        m->venues[i].breaks++;
    }
    quality_timer(m, env);
}

static bool repairs(const market *m, const market_venue *venue)
{
    return m->config->repair_enabled && venue->config->rest_url[0] != 0;
}

/* A section has changed while the house runs: rules are made of it. */
static void on_settings(market *m, kt_env *env)
{
    for (uint32_t i = 0; i < m->venue_count; i++)
        m->venues[i].repairs = repairs(m, &m->venues[i]);
    for (uint32_t i = 0; i < m->feed_count; i++) {
        market_feed *feed = m->feeds[i];

        feed->gather.rules = gather_rules(m, feed->venue);
        feed->repair.rules = repair_rules(m, feed->venue);
        if (feed->venue->repairs && feed->repair.phase != KT_REPAIR_WAIT && feed->repair.request_id == 0 &&
            feed->ask_ns == 0)
            ask(m, feed, env); /* REST was switched on */
    }
}

static void market_event(void *state, kt_env *env, const kt_event *event)
{
    market *m = state;

    switch (event->rec->kind) {
    case KT_EV_TICK:
        on_tick(state, env, event);
        break;
    case KT_EV_INVALID:
        on_invalid(state, env, event);
        break;
    case KT_EV_LINK:
        on_link(state, env, event);
        break;
    case KT_EV_CANDLE:
        on_candle(state, env, event);
        break;
    case KT_EV_ANSWER:
        on_answer(state, env, event);
        break;
    case KT_EV_LANE_START:
        on_lane_start(state, env);
        break;
    case KT_EV_SETTINGS:
        on_settings(state, env);
        break;
    default:
        break; /* not ours */
    }
    m->heard_ns = kt_env_now(env);
}

static void market_timer(void *state, kt_env *env, uint64_t timer_id)
{
    market *m = state;
    uint32_t index = (uint32_t)timer_id;

    if (timer_id == TIMER_STATS)
        stats_timer(m, env);
    else if (timer_id == TIMER_QUALITY)
        quality_timer(m, env);
    else if (timer_id >= TIMER_MORE && index < m->feed_count)
        publish(m->feeds[index], env, true);
    else if (timer_id >= TIMER_INSTRUMENTS && timer_id < TIMER_MORE && index < m->venue_count)
        instruments_timer(&m->venues[index], env, timer_id);
    else if (timer_id >= TIMER_ASK && timer_id < TIMER_INSTRUMENTS && index < m->feed_count)
        ask_timer(m, m->feeds[index], env);
}

/* Life --------------------------------------------------------------------------------------------------------------
 */

static void market_stop(void *state)
{
    market *m = state;

    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->feed_count; i++)
        feed_free(m->feeds[i]);
    for (uint32_t i = 0; i < m->venue_count; i++)
        kt_quality_done(&m->venues[i].quality);
    kt_averages_free(m->averages);
    free(m->feeds);
    free(m->map_mem[0]);
    free(m->map_mem[1]);
    free(m->rows);
    free(m);
}

static kt_code venue_init(market *m, const kt_config_venue *config, kt_err *err)
{
    market_venue *venue = &m->venues[m->venue_count];

    venue->config = config;
    venue->format = kt_venue_format_of(kt_text_of(kt_config_format_names[config->format]));
    kt_assert(venue->format != NULL);
    venue->repairs = repairs(m, venue);
    venue->minutes = config->candles;
    if (!kt_subject_make(venue->request_subject, "request", kt_text_of(config->name), (kt_text){ 0 }) ||
        !kt_subject_make(venue->stats_subject, "stats", kt_text_of(config->name), (kt_text){ 0 }) ||
        !kt_subject_make(venue->quality_subject, "quality", kt_text_of(config->name), (kt_text){ 0 }))
        return kt_fail(err, KT_LIMIT, "venues: '%s' is too long for a subject", config->name);
    m->venue_count++;
    return KT_OK;
}

static kt_code market_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    market *m = calloc(1, sizeof *m);
    kt_code code = KT_SYS;

    if (m == NULL)
        return kt_fail(err, KT_SYS, "no memory for service market");
    m->config = config;
    m->hash_seed = kt_env_hash_seed(env);
    m->feeds = calloc(KT_MARKET_FEED_MAX, sizeof *m->feeds);
    m->map_mem[0] = malloc(kt_map_text_mem_size(KT_MARKET_FEED_MAX));
    m->map_mem[1] = malloc(kt_map_u64_mem_size(KT_MARKET_FEED_MAX));
    m->rows = malloc(KT_ROW_COUNT_MAX * sizeof *m->rows);
    if (m->feeds == NULL || m->map_mem[0] == NULL || m->map_mem[1] == NULL || m->rows == NULL) {
        kt_fail(err, KT_SYS, "no memory for service market");
        goto out;
    }
    kt_map_text_init(&m->by_subject, m->map_mem[0], KT_MARKET_FEED_MAX, m->hash_seed);
    kt_map_u64_init(&m->by_request, m->map_mem[1], KT_MARKET_FEED_MAX, m->hash_seed);
    code = kt_averages_new(config, &m->averages, err);
    for (uint32_t i = 0; code == KT_OK && i < config->venue_count; i++)
        code = venue_init(m, &config->venues[i], err);
out:
    if (code != KT_OK) {
        market_stop(m);
        return code;
    }
    *out_state = m;
    return KT_OK;
}

/* Snapshots ---------------------------------------------------------------------------------------------------------
 */

static kt_code market_snapshot(const void *state, kt_writer *writer)
{
    const market *m = state;

    kt_writer_u8(writer, m->stats_timer);
    kt_writer_i64(writer, m->heard_ns);
    kt_averages_save(m->averages, writer);
    kt_writer_u32(writer, m->venue_count);
    for (uint32_t i = 0; i < m->venue_count; i++) {
        const market_venue *venue = &m->venues[i];

        kt_writer_text(writer, kt_text_of(venue->config->name));
        kt_writer_i64(writer, venue->slot_ns);
        kt_writer_i64(writer, venue->quiet_ns);
        kt_writer_u64(writer, venue->invalid);
        kt_writer_u8(writer, venue->stats_due);
        kt_writer_u64(writer, venue->instruments_id);
        kt_writer_u32(writer, venue->instruments_failures);
        kt_writer_u32(writer, venue->instruments_next);
        kt_quality_clock_save(&venue->clock, writer);
        kt_quality_save(&venue->quality, writer);
        kt_writer_u64(writer, venue->breaks);
    }
    kt_writer_u32(writer, m->feed_count);
    for (uint32_t i = 0; i < m->feed_count; i++) {
        const market_feed *feed = m->feeds[i];

        kt_writer_text(writer, kt_text_of(feed->venue->config->name));
        kt_writer_text(writer, kt_text_of(feed->symbol));
        kt_writer_u32(writer, feed->instrument.version);
        kt_writer_text(writer, feed->instrument.venue_symbol);
        kt_writer_text(writer, feed->instrument.base);
        kt_writer_text(writer, feed->instrument.quote);
        kt_writer_u8(writer, feed->instrument.price_scale);
        kt_writer_u8(writer, feed->instrument.quantity_scale);
        kt_writer_decimal(writer, feed->instrument.tick);
        kt_writer_decimal(writer, feed->instrument.lot);
        kt_writer_i64(writer, feed->ask_ns);
        kt_writer_u8(writer, feed->slot);
        kt_writer_i64(writer, feed->stats_s);
        kt_writer_u8(writer, feed->stats_due);
        kt_writer_i64(writer, feed->told_until_ns);
        kt_writer_i64(writer, feed->told_from_ns);
        kt_gather_save(&feed->gather, writer);
        kt_repair_save(&feed->repair, writer);
        kt_average_feed_save(feed->average, writer);
        kt_quality_save(&feed->gather.quality, writer);
        kt_minutes_save(&feed->minutes, writer);
    }
    return writer->code;
}

static kt_code venue_restore(market *m, uint16_t version, kt_taker *taker)
{
    market_venue skipped = { 0 };
    market_venue *venue = venue_of(m, kt_taker_text(taker));
    kt_code code = KT_OK;

    venue = venue != NULL ? venue : &skipped;
    venue->slot_ns = kt_taker_i64(taker);
    venue->quiet_ns = kt_taker_i64(taker);
    venue->invalid = kt_taker_u64(taker);
    venue->stats_due = kt_taker_u8(taker) != 0;
    venue->instruments_id = kt_taker_u64(taker);
    venue->instruments_failures = kt_taker_u32(taker);
    venue->instruments_next = kt_taker_u32(taker);
    if (venue != &skipped && venue->instruments_next > venue->config->symbols.count)
        venue->instruments_next = 0; /* fewer are configured now */
    if (version > 1) {
        code = kt_quality_clock_load(&venue->clock, taker);
        if (code == KT_OK)
            code = kt_quality_load(&venue->quality, taker);
    }
    if (code == KT_OK && version > 2)
        venue->breaks = kt_taker_u64(taker);
    kt_quality_done(&skipped.quality);
    return code == KT_OK ? taker->code : code;
}

/* The rest of a feed; its names are read. */
static kt_code feed_load(market_feed *feed, uint16_t version, kt_taker *taker)
{
    kt_ev_instrument *instrument = &feed->instrument;
    kt_code code;

    instrument->version = kt_taker_u32(taker);
    name_copy(feed->venue_symbol, kt_taker_text(taker));
    name_copy(feed->base, kt_taker_text(taker));
    name_copy(feed->quote, kt_taker_text(taker));
    instrument->venue_symbol = kt_text_of(feed->venue_symbol);
    instrument->base = kt_text_of(feed->base);
    instrument->quote = kt_text_of(feed->quote);
    instrument->price_scale = kt_taker_u8(taker);
    instrument->quantity_scale = kt_taker_u8(taker);
    instrument->tick = kt_taker_decimal(taker);
    instrument->lot = kt_taker_decimal(taker);
    feed->ask_ns = kt_taker_i64(taker);
    feed->slot = kt_taker_u8(taker) != 0;
    feed->stats_s = kt_taker_i64(taker);
    feed->stats_due = kt_taker_u8(taker) != 0;
    feed->told_until_ns = kt_taker_i64(taker);
    feed->told_from_ns = kt_taker_i64(taker);
    code = kt_gather_load(&feed->gather, taker);
    if (code == KT_OK)
        code = kt_repair_load(&feed->repair, taker);
    if (code == KT_OK)
        code = kt_average_feed_load(feed->average, taker);
    if (code == KT_OK && version > 1)
        code = kt_quality_load(&feed->gather.quality, taker);
    if (code == KT_OK && version > 2)
        code = kt_minutes_load(&feed->minutes, taker);
    else if (code == KT_OK)
        kt_minutes_skip(&feed->minutes, feed->repair.until_ns);
    return code == KT_OK ? taker->code : code;
}

static kt_code feed_restore(market *m, uint16_t version, kt_taker *taker)
{
    kt_text name = kt_taker_text(taker), symbol = kt_taker_text(taker);
    market_venue *venue = venue_of(m, name);
    /* One of a venue that is no longer configured is read like any other, and dropped. */
    kt_config_venue gone = { .name = "gone", .rest_url = "" };
    market_venue gone_venue = { .config = &gone, .format = *kt_venue_formats(&(uint32_t){ 0 }) };
    market_feed *feed = taker->code == KT_OK ? feed_new(m, venue != NULL ? venue : &gone_venue, symbol) : NULL;
    kt_code code = feed != NULL ? feed_load(feed, version, taker) : KT_CORRUPT;

    if (code != KT_OK || venue == NULL || !feed_register(m, feed)) {
        feed_free(feed);
        return code;
    }
    if (feed->repair.request_id != 0 && kt_map_u64_put(&m->by_request, feed->repair.request_id, feed->index) != KT_OK)
        return KT_CORRUPT;
    return KT_OK;
}

static kt_code market_restore(void *state, uint16_t version, kt_text bytes, kt_err *err)
{
    market *m = state;
    kt_taker taker;
    kt_code code;
    uint32_t count;

    if (version == 0 || version > SNAPSHOT_VERSION)
        return kt_fail(err, KT_VERSION, "snapshot of service market has version %u, this program reads 1 to %u",
            version, SNAPSHOT_VERSION);
    kt_taker_init(&taker, bytes.s, bytes.n);
    m->stats_timer = kt_taker_u8(&taker) != 0;
    m->heard_ns = version > 1 ? kt_taker_i64(&taker) : 0;
    code = kt_averages_load(m->averages, &taker);
    count = kt_taker_count(&taker, 4 + 8 + 8 + 8 + 1 + 8 + 4 + 4);
    for (uint32_t i = 0; code == KT_OK && i < count; i++)
        code = venue_restore(m, version, &taker);
    count = kt_taker_count(&taker, 64);
    for (uint32_t i = 0; code == KT_OK && i < count; i++)
        code = feed_restore(m, version, &taker);
    if (code == KT_OK)
        code = kt_taker_end(&taker);
    return code == KT_OK ? KT_OK : kt_fail(err, code, "snapshot of service market does not read");
}

static const char *const market_subjects[] = { "feed.>", "candle.>", "answer.>", "lane.start.>", "settings.*", NULL };

const kt_service_spec kt_market_service = {
    .name = "market",
    .version = SNAPSHOT_VERSION,
    .subjects = market_subjects,
    .start = market_start,
    .on_event = market_event,
    .on_timer = market_timer,
    .snapshot = market_snapshot,
    .restore = market_restore,
    .stop = market_stop,
};
