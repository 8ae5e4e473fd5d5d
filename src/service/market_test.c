/* The market service against a slow, obvious model: a list of true trades, a stream that breaks some of them, a REST
 * interface that tells the truth late, and sums by a loop over all of it for each published value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/test_util.h"
#include "base/time.h"
#include "quant/vwap.h"
#include "schema/config.h"
#include "service/fake_env.h"
#include "service/market.h"
#include "venue/venue.h"

#define S KT_NS_PER_S
#define MS KT_NS_PER_MS
#define SCALE 8 /* of the model's mantissas */

enum {
    VENUE_MAX = 2,
    WINDOWS = 3,
    MINUTE_MAX = 64,
    HELD_MAX = 16,
    QUEUE_MAX = 64,
    PAGE_GENERIC = 100,
    PAGE_BINANCE = 1000
};

static const int64_t short_windows[WINDOWS] = { 5, 20, 120 }, tape_windows[WINDOWS] = { 60, 300, 3600 };
static const char *const short_names[WINDOWS] = { "5s", "20s", "2m" }, *const tape_names[WINDOWS] = { "1m", "5m",
    "1h" };
static const int64_t *window_s = short_windows;
static const char *const *window_names = short_names;
static const char *const venue_names[VENUE_MAX] = { "gen", "bin" };
static const char *const symbols[VENUE_MAX] = { "BTC", "BTC/USDT" };

static const char config_text[] =
    "vwap:\n"
    "  windows: [%s, %s]\n"
    "  interval_ms: %lld\n"
    "  composites:\n"
    "    - {ticker: BTCX, members: [{venue: gen, symbol: BTC}, {venue: bin, symbol: BTC/USDT}]}\n"
    "repair:\n"
    "  interval_ms: 250\n"
    "  enabled: %s\n"
    "venues:\n"
    "  - {name: gen, format: generic, ws_url: \"ws://127.0.0.1:1/stream\", rest_url: "
    "\"http://127.0.0.1:1/trades\", price_scale: 4, quantity_scale: 8, requests_per_s: 50, candles: true}\n"
    "  - {name: bin, format: binance, ws_url: \"ws://127.0.0.1:1\", rest_url: "
    "\"http://127.0.0.1:1\", symbols: [BTC/USDT], requests_per_s: 50, candles: true}\n";

/* Digits of prices, as that says or the answer about instruments. */
static const uint8_t price_digits[VENUE_MAX] = { 4, 2 };

/* One true trade, and what is known of it. */
typedef struct model_trade {
    int64_t time_ns, price, qty;
    uint64_t number;
    char id[24];
    bool told; /* REST gives it: not one of too many in its ms */
    bool full; /* it makes its ms fill a page of REST */
    bool streamed, rested, suspect;
    int64_t seen_price; /* as the stream gave it */
} model_trade;

/* What the stream gave of the trades of one minute. */
typedef struct model_minute {
    uint64_t received, repeated, reordered, suspect, timed;
    int64_t latency_max;
    bool word; /* the venue has had its last word of it, and nothing broke before the next one */
} model_minute;

typedef struct model_venue {
    model_trade *trades;
    uint32_t count;
    uint32_t released; /* the market has come this far */
    uint32_t rest_lag; /* and REST is so many trades behind */
    int64_t market_ns;
    /* the last first deliveries */
    int64_t last[31];
    uint32_t last_count;
    int64_t order_max;
    uint64_t received, repeated, reordered, suspect, corrected, invalid;
    model_minute minutes[MINUTE_MAX];
    uint32_t word_minute; /* of the last word */
    bool word_broken;     /* since then */
    /* messages on their way: the index of a trade, a price, and how many messages still go before it */
    struct {
        uint32_t trade;
        int64_t price;
        uint32_t wait;
    } queue[QUEUE_MAX];
    uint32_t queue_count;
} model_venue;

/* A published provisional value, with what was known then. */
typedef struct model_value {
    bool live, sure, corrected;
    kt_ev_vwap live_ev, sure_ev;
    kt_ev_correction correction;
    char ids[16][32];
    int64_t *contribution[VENUE_MAX]; /* price * qty of each trade at the time, 0: it did not count */
} model_value;

typedef struct model {
    kt_env env;
    const kt_service_spec *spec;
    void *state;
    kt_config *config;
    kt_rng rng;
    model_venue venues[VENUE_MAX];
    uint32_t first_venue, venue_count;
    bool repairs;
    double fault;
    double rest_fails;
    int64_t base_s; /* marks are counted from here */
    uint32_t mark_count;
    model_value *values; /* [line][window][mark]; lines: the venues, then the composite */
    size_t seen;         /* outputs looked at */
    kt_ev_watermark watermark[VENUE_MAX];
    uint32_t later; /* corrections of ranges */
    struct {
        kt_ev_request request;
        char symbol[32];
        uint32_t venue;
        int64_t at_ns;
        bool used;
    } asked[16];
    bool blames;            /* keep what each provisional value held, to check the trades that corrections name */
    uint32_t restore_every; /* inputs between two snapshots that are restored at once; 0: none */
    uint32_t input_count;
} model;

static bool numbered(uint32_t venue)
{
    return venue == 1;
}

/* Truth -------------------------------------------------------------------------------------------------------------
 */

static void truth_make(model *m, uint32_t venue, uint32_t count, bool crowd)
{
    model_venue *v = &m->venues[venue];
    int64_t time = m->base_s * S + kt_rng_between(&m->rng, 0, 3000) * MS;
    int64_t price = kt_rng_between(&m->rng, 2000000, 9000000) * 1000000; /* two digits behind the point */
    uint32_t crowd_at = crowd ? count / 2 : UINT32_MAX;

    v->trades = calloc(count + 250, sizeof *v->trades);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t crowd_size = i == crowd_at ? 250 : 1;

        time += kt_rng_chance(&m->rng, 0.3)   ? 0
                : kt_rng_chance(&m->rng, 0.1) ? kt_rng_between(&m->rng, 1, 20000) * MS
                                              : kt_rng_between(&m->rng, 1, 400) * MS;
        if (kt_rng_chance(&m->rng, 0.1))
            time = (time + S - 1) / S * S;
        price += kt_rng_between(&m->rng, -20, 20) * 1000000;
        for (uint32_t k = 0; k < crowd_size; k++) {
            model_trade *t = &v->trades[v->count];

            t->time_ns = time;
            t->price = price + (int64_t)k * 1000000;
            t->qty = kt_rng_between(&m->rng, 1, 1000000) * (kt_rng_chance(&m->rng, 0.1) ? 100000 : 1000);
            t->number = 5000 + v->count;
            t->told = true;
            snprintf(t->id, sizeof t->id, numbered(venue) ? "%llu" : "t%08llu", (unsigned long long)t->number);
            v->count++;
        }
    }
}

/* Of a ms with more trades than a page has rows REST gives the first. */
static void truth_crop(model_venue *v, bool crop)
{
    uint32_t rank = 0;

    for (uint32_t i = 0; i < v->count; i++) {
        rank = i > 0 && v->trades[i - 1].time_ns == v->trades[i].time_ns ? rank + 1 : 0;
        v->trades[i].told = !crop || rank < PAGE_GENERIC;
        v->trades[i].full = crop && rank == PAGE_GENERIC - 1;
    }
}

static void tape_read(model *m, uint32_t venue, const char *path)
{
    model_venue *v = &m->venues[venue];
    gzFile file = gzopen(path, "rb");
    char line[256];
    uint32_t room = 0;

    assert_non_null(file);
    assert_non_null(gzgets(file, line, sizeof line)); /* names of the columns */
    while (gzgets(file, line, sizeof line) != NULL) {
        char *id = strtok(line, ","), *price = strtok(NULL, ","), *qty = strtok(NULL, ","), *ms = strtok(NULL, ",");
        kt_decimal decimal;
        model_trade *t;

        if (v->count == room) {
            room = room == 0 ? 1024 : 2 * room;
            v->trades = realloc(v->trades, room * sizeof *v->trades);
        }
        t = &v->trades[v->count++];
        *t = (model_trade){ .number = strtoull(id, NULL, 10), .time_ns = strtoll(ms, NULL, 10) * MS, .told = true };
        snprintf(t->id, sizeof t->id, numbered(venue) ? "%s" : "t%s", id);
        assert_int_equal(kt_decimal_parse(kt_text_of(price), &decimal), KT_OK);
        assert_int_equal(kt_decimal_rescale(decimal, SCALE, &t->price), KT_OK);
        assert_int_equal(kt_decimal_parse(kt_text_of(qty), &decimal), KT_OK);
        assert_int_equal(kt_decimal_rescale(decimal, SCALE, &t->qty), KT_OK);
    }
    gzclose(file);
    m->base_s = v->trades[0].time_ns / S - 1;
}

static kt_decimal decimal_of(int64_t m)
{
    return kt_decimal_canon((kt_decimal){ .m = m, .scale = SCALE });
}

static uint32_t minute_of(const model *m, int64_t time_ns)
{
    int64_t minute = time_ns / (60 * S) - m->base_s / 60;

    assert_true(minute >= 0 && minute < MINUTE_MAX);
    return (uint32_t)minute;
}

/* What is expected
 * ----------------------------------------------------------------------------------------------------- */

/* What a trade puts into provisional sums now: its price, 0 when it does not count. */
static int64_t live_price(const model_trade *t)
{
    if (t->rested)
        return t->price;
    return t->streamed && !t->suspect ? t->seen_price : 0;
}

static bool line_has(const model *m, uint32_t line, uint32_t venue)
{
    return venue >= m->first_venue && venue < m->first_venue + m->venue_count && (line == venue || line == VENUE_MAX);
}

static kt_vwap_sums expected(const model *m, uint32_t line, int64_t span_s, int64_t mark_s, bool live)
{
    kt_vwap_sums sums = { 0 };

    for (uint32_t v = 0; v < VENUE_MAX; v++) {
        if (!line_has(m, line, v))
            continue;
        for (uint32_t i = 0; i < m->venues[v].count; i++) {
            const model_trade *t = &m->venues[v].trades[i];
            int64_t price = live ? live_price(t) : t->told ? t->price : 0;

            if (price == 0 || t->time_ns < (mark_s - span_s) * S || t->time_ns > mark_s * S)
                continue;
            sums.pq += (kt_i128)price * t->qty;
            sums.q += t->qty;
            sums.trades++;
        }
    }
    return sums;
}

static kt_i128 at_scale(kt_sum sum, uint32_t scale)
{
    assert_true(sum.scale <= scale);
    return kt_sum_value(sum) * kt_pow10_i128(scale - sum.scale);
}

static void value_check(const char *what, kt_sum pq, kt_sum q, uint64_t trades, const kt_vwap_sums *want)
{
    if (at_scale(pq, 2 * SCALE) != want->pq || at_scale(q, SCALE) != want->q || trades != want->trades)
        fail_msg("%s: %llu trades, expected %llu", what, (unsigned long long)trades, (unsigned long long)want->trades);
}

static model_value *value_at(model *m, uint32_t line, uint32_t window, int64_t mark_s)
{
    assert_true(mark_s >= m->base_s && mark_s - m->base_s < m->mark_count);
    return &m->values[(line * WINDOWS + window) * m->mark_count + (uint32_t)(mark_s - m->base_s)];
}

static bool line_parse(const char *subject, const char *kind, uint32_t *line, uint32_t *window)
{
    char want[64];

    for (uint32_t l = 0; l <= VENUE_MAX; l++)
        for (uint32_t w = 0; w < WINDOWS; w++) {
            if (l < VENUE_MAX)
                snprintf(want, sizeof want, "%s.%s.%s.%s", kind, window_names[w], venue_names[l], symbols[l]);
            else
                snprintf(want, sizeof want, "%s.%s.BTCX", kind, window_names[w]);
            if (strcmp(subject, want) == 0) {
                *line = l;
                *window = w;
                return true;
            }
        }
    return false;
}

/* Outputs -------------------------------------------------------------------------------------------------------------
 */

static void see_vwap(model *m, const fake_output *o, const kt_ev_vwap *ev)
{
    uint32_t line = 0, window = 0;
    kt_vwap_sums want;
    model_value *value;
    kt_i128 rest;

    assert_true(line_parse(o->subject, "vwap", &line, &window));
    assert_int_equal(ev->window, window_s[window] * S);
    assert_int_equal(ev->mark % S, 0);
    value = value_at(m, line, window, ev->mark / S);
    want = expected(m, line, window_s[window], ev->mark / S, !ev->validated);
    value_check(ev->validated ? "validated" : "provisional", ev->sum_pq, ev->sum_q, ev->trades, &want);
    /* |price * q - pq| is at most half a unit of the price's last digit. */
    rest = 2 * (want.pq * kt_pow10_i128(ev->price.scale) - (kt_i128)ev->price.m * want.q * kt_pow10_i128(SCALE));
    assert_true((rest < 0 ? -rest : rest) <= want.q * kt_pow10_i128(SCALE));
    if (ev->validated) {
        assert_false(value->sure);
        value->sure = true;
        value->sure_ev = *ev;
        return;
    }
    assert_false(value->live);
    assert_false(value->sure);
    assert_int_equal(ev->revision, 1);
    value->live = true;
    value->live_ev = *ev;
    for (uint32_t v = 0; v < VENUE_MAX; v++) {
        if (!m->blames || !line_has(m, line, v))
            continue;
        value->contribution[v] = calloc(m->venues[v].count, sizeof(int64_t));
        for (uint32_t i = 0; i < m->venues[v].count; i++)
            value->contribution[v][i] = live_price(&m->venues[v].trades[i]);
    }
}

static void see_correction(model *m, const fake_output *o, const kt_ev_correction *ev)
{
    uint32_t line = 0, window = 0;
    model_value *value;

    assert_true(line_parse(o->subject, "correction", &line, &window));
    if (ev->revision == 0) {
        m->later++;
        return;
    }
    assert_int_equal(ev->mark_from, ev->mark_to);
    value = value_at(m, line, window, ev->mark_from / S);
    assert_false(value->corrected);
    value->corrected = true;
    value->correction = *ev;
    for (uint32_t i = 0; i < ev->trade_ids.count; i++) {
        kt_text id = kt_texts_get(&ev->trade_ids, i);

        snprintf(value->ids[i], sizeof value->ids[i], "%.*s", KT_TEXT_ARG(id));
    }
}

static void see_request(model *m, const fake_output *o, const kt_ev_request *ev)
{
    for (uint32_t i = 0; i < KT_COUNT(m->asked); i++) {
        if (m->asked[i].used)
            continue;
        m->asked[i].used = true;
        m->asked[i].request = *ev;
        m->asked[i].venue = strcmp(o->subject, "request.gen") != 0;
        m->asked[i].at_ns = m->env.now_ns + kt_rng_between(&m->rng, 0, 300) * MS;
        return;
    }
    fail_msg("too many open requests");
}

static void see_outputs(model *m)
{
    for (; m->seen < m->env.output_count; m->seen++) {
        fake_output o = m->env.outputs[m->seen];
        kt_event_any any;

        assert_int_equal(kt_event_decode(o.kind, m->env.bytes + o.at, o.size, &any), KT_OK);
        if (o.kind == KT_EV_REQUEST)
            see_request(m, &o, &any.request);
        else if (o.kind == KT_EV_WATERMARK)
            m->watermark[strstr(o.subject, ".gen.") == NULL] = any.watermark;
        else if (o.kind == KT_EV_VWAP)
            see_vwap(m, &o, &any.vwap);
        else if (o.kind == KT_EV_CORRECTION)
            see_correction(m, &o, &any.correction);
    }
}

static void state_restore(model *m)
{
    kt_writer writer;
    kt_err err;
    void *again;

    kt_writer_init(&writer);
    assert_int_equal(m->spec->snapshot(m->state, &writer), KT_OK);
    m->env.hash_seed++;
    assert_int_equal(m->spec->start(&m->env, m->config, &again, &err), KT_OK);
    if (m->spec->restore(again, m->spec->version, (kt_text){ (char *)writer.bytes, writer.size }, &err) != KT_OK)
        fail_msg("%s", err.msg);
    m->spec->stop(m->state);
    m->state = again;
    kt_writer_done(&writer);
}

static void input(model *m, uint16_t kind, const char *subject, const void *event)
{
    fake_input(&m->env, m->spec, m->state, kind, subject, event);
    see_outputs(m);
    if (m->restore_every != 0 && ++m->input_count % m->restore_every == 0)
        state_restore(m);
}

/* The stream
 * ------------------------------------------------------------------------------------------------------------ */

static int compare_i64(const void *a, const void *b)
{
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static bool model_far(const model_venue *v, int64_t price)
{
    int64_t sorted[31];
    int64_t twice;

    if (v->last_count < 3)
        return false;
    memcpy(sorted, v->last, sizeof sorted);
    qsort(sorted, v->last_count, sizeof sorted[0], compare_i64);
    twice = sorted[(v->last_count - 1) / 2] + sorted[v->last_count / 2];
    return llabs(2 * price - twice) > (twice * 10) / 100;
}

static void deliver(model *m, uint32_t venue, uint32_t index, int64_t price)
{
    model_venue *v = &m->venues[venue];
    model_trade *t = &v->trades[index];
    model_minute *minute = &v->minutes[minute_of(m, t->time_ns)];
    int64_t latency = m->env.now_ns - t->time_ns;
    char subject[64];
    kt_ev_tick ev;

    kt_event_init(KT_EV_TICK, &ev);
    ev.venue_time = t->time_ns;
    ev.receive_time = m->env.now_ns;
    ev.price = decimal_of(price);
    ev.quantity = decimal_of(t->qty);
    ev.trade_id = kt_text_of(t->id);
    ev.trade_number = numbered(venue) ? t->number : 0;
    v->received++;
    minute->received++;
    if (t->streamed) {
        v->repeated++;
        minute->repeated++;
    } else {
        int64_t order = numbered(venue) ? (int64_t)t->number : t->time_ns;
        bool far = model_far(v, price);

        v->reordered += order < v->order_max;
        minute->reordered += order < v->order_max;
        v->order_max = order > v->order_max ? order : v->order_max;
        v->suspect += far;
        minute->suspect += far;
        minute->latency_max = minute->timed == 0 || latency > minute->latency_max ? latency : minute->latency_max;
        minute->timed++;
        if (v->last_count == 31)
            memmove(v->last, v->last + 1, 30 * sizeof v->last[0]);
        v->last[v->last_count == 31 ? 30 : v->last_count] = price;
        v->last_count += v->last_count < 31;
        t->streamed = true;
        t->suspect = far;
        t->seen_price = price;
        v->corrected += t->rested && price != t->price;
    }
    v->market_ns = t->time_ns > v->market_ns ? t->time_ns : v->market_ns;
    snprintf(subject, sizeof subject, "feed.%s.%s", venue_names[venue], symbols[venue]);
    input(m, KT_EV_TICK, subject, &ev);
}

static void queue_push(model_venue *v, uint32_t trade, int64_t price, uint32_t wait)
{
    assert_true(v->queue_count < QUEUE_MAX);
    v->queue[v->queue_count].trade = trade;
    v->queue[v->queue_count].price = price;
    v->queue[v->queue_count++].wait = wait;
}

static void queue_run(model *m, uint32_t venue, bool all)
{
    model_venue *v = &m->venues[venue];

    for (uint32_t i = 0; i < v->queue_count;) {
        if (v->queue[i].wait > 0 && !all) {
            v->queue[i++].wait--;
            continue;
        }
        uint32_t trade = v->queue[i].trade;
        int64_t price = v->queue[i].price;
        v->queue_count--;
        memmove(&v->queue[i], &v->queue[i + 1], (v->queue_count - i) * sizeof v->queue[0]);
        deliver(m, venue, trade, price);
    }
}

/* The minute at `from_ns` of those of the first `count` trades that the venue told, or of all; volume 0: there is none. */
static kt_ev_candle minute_made(const model *m, uint32_t venue, int64_t from_ns, uint32_t count, bool all)
{
    const model_venue *v = &m->venues[venue];
    kt_i128 pq = 0, q = 0;
    kt_ev_candle ev;

    kt_event_init(KT_EV_CANDLE, &ev);
    ev.begin = from_ns;
    ev.interval_s = 60;
    ev.receive_time = m->env.now_ns;
    for (uint32_t i = 0; i < count; i++) {
        const model_trade *t = &v->trades[i];

        if (t->time_ns < from_ns || t->time_ns >= from_ns + 60 * S || !(t->told || all))
            continue;
        if (ev.trades == 0)
            ev.open = ev.high = ev.low = decimal_of(t->price);
        if (kt_decimal_compare(decimal_of(t->price), ev.high) > 0)
            ev.high = decimal_of(t->price);
        if (kt_decimal_compare(decimal_of(t->price), ev.low) < 0)
            ev.low = decimal_of(t->price);
        ev.close = decimal_of(t->price);
        pq += (kt_i128)t->price * t->qty;
        q += t->qty;
        ev.trades++;
    }
    if (ev.trades == 0)
        return ev;
    ev.volume = decimal_of((int64_t)q);
    ev.vwap = kt_decimal_canon(
        (kt_decimal){ .m = (int64_t)(pq / q / kt_pow10(SCALE - price_digits[venue])), .scale = price_digits[venue] });
    return ev;
}

/* After each trade the venue says how its minute is now; of a long tape now and then, and always after a minute's last trade. */
static bool word_comes(const model *m, const model_venue *v)
{
    return v->count < 1000 || v->released % 64 == 0 || v->released == v->count ||
           minute_of(m, v->trades[v->released].time_ns) != minute_of(m, v->trades[v->released - 1].time_ns);
}

static void word_next(model *m, uint32_t venue)
{
    model_venue *v = &m->venues[venue];
    int64_t time_ns = v->trades[v->released - 1].time_ns;
    kt_ev_candle ev = minute_made(m, venue, time_ns - time_ns % (60 * S), v->released, true);
    char subject[64];

    if (minute_of(m, time_ns) != v->word_minute)
        v->minutes[v->word_minute].word = !v->word_broken;
    v->word_minute = minute_of(m, time_ns);
    v->word_broken = false;
    snprintf(subject, sizeof subject, "candle.%s.1m.%s", venue_names[venue], symbols[venue]);
    input(m, KT_EV_CANDLE, subject, &ev);
}

static void stream_next(model *m, uint32_t venue)
{
    model_venue *v = &m->venues[venue];
    uint32_t index = v->released++;
    int64_t price = v->trades[index].price;
    /* A composite waits for a member from its first trade on. */
    bool first = index == 0 && m->venue_count > 1;

    if (!kt_rng_chance(&m->rng, m->fault) || first) {
        deliver(m, venue, index, price);
    } else {
        switch (kt_rng_below(&m->rng, 5)) {
        case 0: /* dropped */
            break;
        case 1:
            deliver(m, venue, index, price);
            queue_push(v, index, price, (uint32_t)kt_rng_below(&m->rng, 9));
            break;
        case 2:
            queue_push(v, index, price, 1 + (uint32_t)kt_rng_below(&m->rng, 8));
            break;
        case 3: {
            char subject[64];
            kt_ev_invalid ev;

            kt_event_init(KT_EV_INVALID, &ev);
            ev.reason = KT_INVALID_MALFORMED;
            snprintf(subject, sizeof subject, "feed.%s.invalid", venue_names[venue]);
            input(m, KT_EV_INVALID, subject, &ev);
            v->invalid++;
            v->word_broken = true;
            break;
        }
        default:
            deliver(m, venue, index, v->last_count > 10 ? price * kt_rng_between(&m->rng, 2, 20) : price);
            break;
        }
    }
    if (m->repairs && word_comes(m, v))
        word_next(m, venue);
    queue_run(m, venue, false);
}

/* REST
 * ------------------------------------------------------------------------------------------------------------------ */

static void answer_instruments(model *m, uint32_t venue, const kt_ev_request *request)
{
    kt_row_instrument row = { .symbol = kt_text_of(symbols[venue]),
        .venue_symbol = KT_TEXT("BTCUSDT"),
        .base = KT_TEXT("BTC"),
        .quote = KT_TEXT("USDT"),
        .price_scale = 2,
        .quantity_scale = 5 };
    kt_ev_answer ev;

    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = request->request_id;
    ev.status = 200;
    ev.what = KT_WHAT_INSTRUMENTS;
    ev.instruments = KT_ROWS_OF(&row, 1);
    input(m, KT_EV_ANSWER, "answer.bin", &ev);
}

static void answer_trades(model *m, uint32_t venue, const kt_ev_request *request)
{
    static kt_row_trade rows[PAGE_BINANCE];
    model_venue *v = &m->venues[venue];
    uint32_t page = numbered(venue) ? PAGE_BINANCE : PAGE_GENERIC;
    uint32_t limit = request->limit != 0 && request->limit < page ? request->limit : page;
    uint32_t reach = v->released > v->rest_lag ? v->released - v->rest_lag : 0;
    uint32_t count = 0;
    char subject[64];
    kt_ev_answer ev;

    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = request->request_id;
    ev.what = request->what;
    ev.symbol = kt_text_of(symbols[venue]);
    ev.receive_time = m->env.now_ns;
    if (kt_rng_chance(&m->rng, m->rest_fails)) {
        static const uint16_t failures[] = { 0, 500, 429, 404 };

        ev.status = failures[kt_rng_below(&m->rng, KT_COUNT(failures))];
        ev.error = KT_TEXT("out of order");
        ev.retry_after = ev.status == 429 ? m->env.now_ns + 2 * S : 0;
    } else {
        ev.status = 200;
        for (uint32_t i = 0; i < reach && count < limit; i++) {
            model_trade *t = &v->trades[i];

            if (numbered(venue) ? t->number < request->from_id : t->time_ns / MS < request->from_time / MS)
                continue;
            rows[count++] = (kt_row_trade){ .venue_time = t->time_ns,
                .price = decimal_of(t->price),
                .quantity = decimal_of(t->qty),
                .side = KT_SIDE_BUY,
                .trade_id = kt_text_of(t->id),
                .trade_number = numbered(venue) ? t->number : 0 };
            if (request->limit == 1 || request->from_time == 0)
                continue; /* it only looks */
        }
        for (uint32_t i = 0;
             i < count && !(numbered(venue) && request->limit == 1) && (numbered(venue) || request->from_time != 0);
             i++) {
            model_trade *t = &v->trades[(uint32_t)(rows[i].trade_id.s - v->trades[0].id) / sizeof(model_trade)];

            v->corrected += !t->rested && t->streamed && t->seen_price != t->price;
            t->rested = true;
            v->market_ns = t->time_ns > v->market_ns ? t->time_ns : v->market_ns;
        }
        /* "any order" */
        for (uint32_t i = 0; !numbered(venue) && i + 1 < count; i++) {
            uint32_t k = i + (uint32_t)kt_rng_below(&m->rng, count - i);
            kt_row_trade swap = rows[i];

            rows[i] = rows[k];
            rows[k] = swap;
        }
    }
    ev.rows = KT_ROWS_OF(rows, count);
    ev.row_count = count;
    snprintf(subject, sizeof subject, "answer.%s", venue_names[venue]);
    input(m, KT_EV_ANSWER, subject, &ev);
}

static void rest_run(model *m, int64_t until_ns)
{
    for (uint32_t i = 0; i < KT_COUNT(m->asked); i++) {
        if (!m->asked[i].used || m->asked[i].at_ns > until_ns)
            continue;
        m->asked[i].used = false;
        m->env.now_ns = m->asked[i].at_ns > m->env.now_ns ? m->asked[i].at_ns : m->env.now_ns;
        if (m->asked[i].request.what == KT_WHAT_INSTRUMENTS)
            answer_instruments(m, m->asked[i].venue, &m->asked[i].request);
        else
            answer_trades(m, m->asked[i].venue, &m->asked[i].request);
    }
}

static void time_pass(model *m, int64_t ns)
{
    int64_t until = m->env.now_ns + ns;

    rest_run(m, until);
    while (fake_timer(&m->env, m->spec, m->state, until)) {
        see_outputs(m);
        rest_run(m, until);
    }
    m->env.now_ns = until;
}

/* Runs ----------------------------------------------------------------------------------------------------------------
 */

typedef struct model_options {
    uint64_t seed;
    uint32_t first_venue, venue_count;
    uint32_t count;
    bool repairs;
    bool crowd;
    double fault, rest_fails;
    uint32_t rest_lag;
    uint32_t restore_every;
    uint64_t hash_seed;
    const char *tape; /* a recording instead of made-up trades */
} model_options;

static void model_open(model *m, const model_options *options)
{
    kt_ev_lane_start start;
    char text[2048];
    kt_err err;

    *m = (model){ .spec = &kt_market_service,
        .first_venue = options->first_venue,
        .venue_count = options->venue_count,
        .repairs = options->repairs,
        .fault = options->fault,
        .rest_fails = options->rest_fails,
        .blames = options->tape == NULL,
        .base_s = 1700000000,
        .restore_every = options->restore_every };
    kt_rng_init(&m->rng, options->seed);
    m->env.now_ns = 1800000000 * S;
    m->env.hash_seed = options->hash_seed;
    window_s = options->tape != NULL ? tape_windows : short_windows;
    window_names = options->tape != NULL ? tape_names : short_names;
    snprintf(text, sizeof text, config_text, window_names[0], window_names[1], (long long)window_s[2] * 1000,
        options->repairs ? "true" : "false");
    if (kt_config_parse("test", text, strlen(text), &m->config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(m->config->window_count, WINDOWS);
    assert_int_equal(m->spec->start(&m->env, m->config, &m->state, &err), KT_OK);
    for (uint32_t v = options->first_venue; v < options->first_venue + options->venue_count; v++) {
        if (options->tape != NULL)
            tape_read(m, v, options->tape);
        else
            truth_make(m, v, options->count, options->crowd && !numbered(v));
        truth_crop(&m->venues[v], !numbered(v));
        m->venues[v].rest_lag = options->rest_lag;
    }
    for (uint32_t v = 0; v < VENUE_MAX; v++)
        for (uint32_t i = 0; i < m->venues[v].count; i++) {
            uint32_t marks = (uint32_t)(m->venues[v].trades[i].time_ns / S - m->base_s) + 200;

            m->mark_count = marks > m->mark_count ? marks : m->mark_count;
        }
    m->values = calloc((VENUE_MAX + 1) * WINDOWS * m->mark_count, sizeof *m->values);
    kt_event_init(KT_EV_LANE_START, &start);
    start.lane = KT_TEXT("market");
    input(m, KT_EV_LANE_START, "lane.start.market", &start);
    time_pass(m, S);
}

static void model_close(model *m)
{
    m->spec->stop(m->state);
    for (uint32_t i = 0; i < (VENUE_MAX + 1) * WINDOWS * m->mark_count; i++)
        for (uint32_t v = 0; v < VENUE_MAX; v++)
            free(m->values[i].contribution[v]);
    free(m->values);
    for (uint32_t v = 0; v < VENUE_MAX; v++)
        free(m->venues[v].trades);
    kt_config_free(m->config);
    fake_done(&m->env);
}

static void model_play(model *m)
{
    uint32_t left = 0;

    for (uint32_t v = 0; v < VENUE_MAX; v++)
        left += m->venues[v].count;
    while (left > 0) {
        /* In the order of market time over the venues, so that a composite has no late member by construction. */
        uint32_t best = UINT32_MAX;

        for (uint32_t v = 0; v < VENUE_MAX; v++) {
            model_venue *mv = &m->venues[v];

            if (mv->released < mv->count &&
                (best == UINT32_MAX ||
                    mv->trades[mv->released].time_ns < m->venues[best].trades[m->venues[best].released].time_ns))
                best = v;
        }
        stream_next(m, best);
        left--;
        time_pass(m, kt_rng_between(&m->rng, 0, 60) * MS);
    }
    for (uint32_t v = 0; v < VENUE_MAX; v++)
        queue_run(m, v, true);
    for (uint32_t v = 0; v < VENUE_MAX; v++)
        m->venues[v].rest_lag = 0;
    m->rest_fails = 0;
    time_pass(m, 180 * S);
}

/* The trades by which the provisional value differed from the truth, as the correction should tell them. */
static uint32_t blamed(const model *m, uint32_t line, uint32_t window, int64_t mark_s, const model_value *value)
{
    uint32_t count = 0, listed = 0;

    for (uint32_t v = 0; v < VENUE_MAX; v++)
        for (uint32_t i = 0; value->contribution[v] != NULL && i < m->venues[v].count; i++) {
            const model_trade *t = &m->venues[v].trades[i];

            if (t->time_ns < (mark_s - window_s[window]) * S || t->time_ns > mark_s * S ||
                value->contribution[v][i] == (t->told ? t->price : 0))
                continue;
            for (uint32_t k = 0; k < value->correction.trade_ids.count; k++)
                listed += strcmp(value->ids[k], t->id) == 0;
            count++;
        }
    assert_int_equal(listed, count < 16 ? count : 16);
    return count;
}

static bool crowded(const model *m, uint32_t line, uint32_t window, int64_t mark_s)
{
    for (uint32_t v = 0; v < VENUE_MAX; v++)
        for (uint32_t i = 0; line_has(m, line, v) && i < m->venues[v].count; i++) {
            const model_trade *t = &m->venues[v].trades[i];

            if (t->full && t->time_ns >= (mark_s - window_s[window]) * S && t->time_ns <= mark_s * S)
                return true;
        }
    return false;
}

/* Every value that should be there is, validated ones equal the truth, and revisions and corrections follow from both.
 */
static void model_check(model *m)
{
    for (uint32_t line = 0; line <= VENUE_MAX; line++) {
        int64_t market = 0, until = INT64_MAX, first = INT64_MAX;

        if (line < VENUE_MAX && !line_has(m, line, line))
            continue;
        for (uint32_t v = 0; v < VENUE_MAX; v++) {
            if (!line_has(m, line, v))
                continue;
            market = m->venues[v].market_ns > market ? m->venues[v].market_ns : market;
            until = m->watermark[v].validated_until < until ? m->watermark[v].validated_until : until;
            first = m->venues[v].trades[0].time_ns < first ? m->venues[v].trades[0].time_ns : first;
            if (m->repairs) {
                assert_int_equal(m->watermark[v].covered_from, 0); /* nothing is earlier */
                assert_int_equal(m->watermark[v].validated_until, m->venues[v].trades[m->venues[v].count - 1].time_ns);
            }
        }
        for (uint32_t w = 0; w < WINDOWS; w++)
            for (int64_t s = m->base_s; s < m->base_s + m->mark_count; s++) {
                model_value *value = value_at(m, line, w, s);
                kt_vwap_sums truth = expected(m, line, window_s[w], s, false);
                kt_vwap_sums live = expected(m, line, window_s[w], s, true);
                bool same;

                if (s * S >= first && s * S < market && !m->repairs && m->fault == 0)
                    assert_int_equal(value->live, live.trades != 0);
                if (s * S >= market)
                    assert_false(value->live);
                if (!m->repairs) {
                    assert_false(value->sure);
                    continue;
                }
                assert_int_equal(value->sure, truth.trades != 0 && s * S < until);
                if (!value->sure)
                    continue;
                assert_int_equal(value->sure_ev.complete, !crowded(m, line, w, s));
                same = !value->live ||
                       (at_scale(value->live_ev.sum_pq, 2 * SCALE) == truth.pq &&
                           value->live_ev.trades == truth.trades && at_scale(value->live_ev.sum_q, SCALE) == truth.q);
                assert_int_equal(value->corrected, !same);
                assert_int_equal(value->sure_ev.revision, same ? 1 : 2);
                if (same)
                    continue;
                value_check("old", value->correction.old_sum_pq, value->correction.old_sum_q,
                    value->correction.old_trades,
                    &(kt_vwap_sums){ at_scale(value->live_ev.sum_pq, 2 * SCALE), at_scale(value->live_ev.sum_q, SCALE),
                        value->live_ev.trades });
                value_check("new", value->correction.new_sum_pq, value->correction.new_sum_q,
                    value->correction.new_trades, &truth);
                assert_true(value->correction.cause != KT_CAUSE_UNKNOWN);
                if (m->blames)
                    assert_int_equal(value->correction.trade_count, blamed(m, line, w, s, value));
            }
    }
    assert_int_equal(m->later, 0);
}

/* The minute that misses a trade: its own when REST has given it; otherwise that of the next one of the stream. */
static uint32_t minute_missing(const model *m, const model_venue *v, uint32_t index)
{
    while (!m->repairs && !v->trades[index].streamed)
        index++;
    return minute_of(m, v->trades[index].time_ns);
}

/* The last that was told of each minute is what a count over all trades says. */
static void minutes_check(model *m, uint32_t venue)
{
    const model_venue *v = &m->venues[venue];
    kt_ev_quality told[MINUTE_MAX] = { 0 }, unnamed[MINUTE_MAX] = { 0 };
    uint64_t missing[MINUTE_MAX] = { 0 }, invalid = 0;
    uint32_t first = v->count, last = 0;
    char subject[64], venue_subject[64];

    snprintf(subject, sizeof subject, "quality.%s.%s", venue_names[venue], symbols[venue]);
    snprintf(venue_subject, sizeof venue_subject, "quality.%s", venue_names[venue]);
    for (size_t i = 0; i < m->env.output_count; i++) {
        const fake_output *o = &m->env.outputs[i];
        kt_ev_quality ev;
        kt_ev_quality *before;

        if (o->kind != KT_EV_QUALITY)
            continue;
        assert_int_equal(kt_event_decode(o->kind, m->env.bytes + o->at, o->size, &ev), KT_OK);
        assert_int_equal(ev.minute % (60 * S), 0);
        if (strcmp(o->subject, venue_subject) == 0)
            unnamed[minute_of(m, ev.minute)] = ev;
        if (strcmp(o->subject, subject) != 0)
            continue;
        before = &told[minute_of(m, ev.minute)];
        assert_true(ev.revision == before->revision + 1 || (before->revision == 0 && ev.revision == 2));
        *before = ev;
    }
    for (uint32_t i = 0; i < v->count; i++) {
        first = v->trades[i].streamed && first == v->count ? i : first;
        last = v->trades[i].streamed ? i : last;
    }
    for (uint32_t i = m->repairs ? 0 : first; m->repairs ? i < v->count : i < last; i++)
        if (!v->trades[i].streamed && v->trades[i].told && (m->repairs || numbered(venue)))
            missing[minute_missing(m, v, i)]++;
    for (uint32_t i = 0; i < MINUTE_MAX; i++) {
        invalid += unnamed[i].invalid;
        assert_int_equal(told[i].received, v->minutes[i].received);
        assert_int_equal(told[i].repeated, v->minutes[i].repeated);
        assert_int_equal(told[i].reordered, v->minutes[i].reordered);
        assert_int_equal(told[i].suspect, v->minutes[i].suspect);
        assert_int_equal(told[i].timed, v->minutes[i].timed);
        assert_int_equal(told[i].latency_max, v->minutes[i].latency_max);
        assert_int_equal(told[i].missing, missing[i]);
        assert_int_equal(told[i].repaired, m->repairs ? missing[i] : 0);
    }
    assert_int_equal(invalid, v->invalid);
}

/* Is this the price of the first trade of a minute, or of the last? Those of one ms have no order, unless they are numbered. */
static bool price_is_at_end(const model *m, uint32_t venue, int64_t begin_ns, bool last, kt_decimal price)
{
    const model_venue *v = &m->venues[venue];
    const model_trade *end = NULL;
    bool found = false;

    for (uint32_t i = 0; i < v->count; i++) {
        const model_trade *t = &v->trades[i];

        if (!t->told || t->time_ns < begin_ns || t->time_ns >= begin_ns + 60 * S)
            continue;
        if (end == NULL || (last && (numbered(venue) || t->time_ns > end->time_ns))) {
            end = t;
            found = false;
        }
        found |= (t == end || (t->time_ns == end->time_ns && !numbered(venue))) &&
                 kt_decimal_compare(decimal_of(t->price), price) == 0;
    }
    return found;
}

/* The last that was told of each of our own minutes is what a loop over the trades of REST says; the venue's word is the same,
 * unless there were more trades than REST gives. */
static void own_minutes_check(model *m, uint32_t venue)
{
    static const kt_ev_minute none;
    kt_ev_minute told[MINUTE_MAX] = { 0 };
    uint64_t compared = 0, different = 0;
    uint32_t last = 0;
    char subject[64];

    snprintf(subject, sizeof subject, "minute.%s.%s", venue_names[venue], symbols[venue]);
    for (size_t i = 0; i < m->env.output_count; i++) {
        const fake_output *o = &m->env.outputs[i];
        kt_ev_minute ev;

        if (o->kind != KT_EV_MINUTE || strcmp(o->subject, subject) != 0)
            continue;
        assert_int_equal(kt_event_decode(o->kind, m->env.bytes + o->at, o->size, &ev), KT_OK);
        last = minute_of(m, ev.begin);
        assert_int_equal(ev.revision, told[last].revision + 1);
        told[last] = ev;
    }
    for (uint32_t i = 0; i < MINUTE_MAX; i++) {
        int64_t begin = (m->base_s / 60 + i) * 60 * S;
        kt_ev_candle want = minute_made(m, venue, begin, m->venues[venue].count, false);
        kt_ev_candle all = minute_made(m, venue, begin, m->venues[venue].count, true);
        const kt_ev_minute *ev = &told[i];
        bool same_ends = kt_decimal_compare(ev->open, all.open) == 0 && kt_decimal_compare(ev->close, all.close) == 0;
        kt_agreement word = !m->venues[venue].minutes[i].word        ? KT_AGREEMENT_NONE
                            : want.trades == all.trades && same_ends ? KT_AGREEMENT_EQUAL
                                                                     : KT_AGREEMENT_DIFFERENT;

        if (want.trades == 0 || begin + 60 * S > m->watermark[venue].validated_until) {
            assert_memory_equal(ev, &none, sizeof none);
            continue;
        }
        assert_int_equal(ev->begin, begin);
        assert_int_equal(ev->trades, want.trades);
        assert_int_equal(ev->complete, want.trades == all.trades);
        assert_true(price_is_at_end(m, venue, begin, false, ev->open));
        assert_true(price_is_at_end(m, venue, begin, true, ev->close));
        assert_true(kt_decimal_compare(ev->high, want.high) == 0 && kt_decimal_compare(ev->low, want.low) == 0);
        assert_true(at_scale(ev->volume, SCALE) == at_scale(kt_sum_of(want.volume.m, want.volume.scale), SCALE));
        assert_int_equal(ev->told, word);
        assert_int_equal(ev->told_trades, word == KT_AGREEMENT_NONE ? 0 : all.trades);
        compared += word != KT_AGREEMENT_NONE;
        different += word == KT_AGREEMENT_DIFFERENT;
    }
    assert_true(told[last].compared == compared && told[last].different == different);
}

static void counters_check(model *m)
{
    for (uint32_t v = m->first_venue; v < m->first_venue + m->venue_count; v++) {
        model_venue *mv = &m->venues[v];
        uint64_t missing = 0, untold = 0, full = 0;
        kt_ev_feed_stats stats = { 0 }, venue = { 0 };
        char subject[64], venue_subject[64];

        snprintf(subject, sizeof subject, "stats.%s.%s", venue_names[v], symbols[v]);
        snprintf(venue_subject, sizeof venue_subject, "stats.%s", venue_names[v]);
        for (size_t i = 0; i < m->env.output_count; i++) {
            const fake_output *o = &m->env.outputs[i];

            if (o->kind == KT_EV_FEED_STATS && strcmp(o->subject, subject) == 0)
                assert_int_equal(kt_event_decode(o->kind, m->env.bytes + o->at, o->size, &stats), KT_OK);
            if (o->kind == KT_EV_FEED_STATS && strcmp(o->subject, venue_subject) == 0)
                assert_int_equal(kt_event_decode(o->kind, m->env.bytes + o->at, o->size, &venue), KT_OK);
        }
        for (uint32_t i = 0; i < mv->count; i++) {
            missing += !mv->trades[i].streamed && mv->trades[i].told;
            untold += mv->trades[i].streamed && !mv->trades[i].told;
            full += mv->trades[i].full;
        }
        assert_int_equal(stats.received, mv->received);
        assert_int_equal(stats.repeated, mv->repeated);
        assert_int_equal(stats.reordered, mv->reordered);
        assert_int_equal(stats.suspect, mv->suspect);
        assert_int_equal(venue.invalid, mv->invalid);
        assert_int_equal(venue.received, mv->received + mv->invalid);
        if (m->repairs) {
            assert_int_equal(stats.missing, missing);
            assert_int_equal(stats.repaired, missing);
            assert_int_equal(stats.corrected, mv->corrected);
            assert_int_equal(stats.lost, untold);
            assert_int_equal(stats.full_ms, full);
        }
        minutes_check(m, v);
        own_minutes_check(m, v);
    }
}

static void run(const model_options *options)
{
    model m;

    model_open(&m, options);
    model_play(&m);
    model_check(&m);
    counters_check(&m);
    model_close(&m);
}

static void test_clean(void **state)
{
    run(&(model_options){ .seed = 1, .first_venue = 0, .venue_count = 1, .count = 300, .repairs = true });
    run(&(model_options){ .seed = 2, .first_venue = 1, .venue_count = 1, .count = 300, .repairs = true });
    run(&(model_options){ .seed = 3, .first_venue = 0, .venue_count = 2, .count = 200, .repairs = false });
}

static void test_generic(void **state)
{
    for (uint32_t i = 0; i < kt_test_cases(40); i++)
        run(&(model_options){ .seed = kt_test_seed() + i,
            .first_venue = 0,
            .venue_count = 1,
            .count = 300,
            .repairs = true,
            .crowd = i % 2 == 0,
            .fault = 0.15,
            .rest_fails = i % 3 == 0 ? 0.3 : 0,
            .rest_lag = i % 5 * 7 });
}

static void test_binance(void **state)
{
    for (uint32_t i = 0; i < kt_test_cases(40); i++)
        run(&(model_options){ .seed = kt_test_seed() + i,
            .first_venue = 1,
            .venue_count = 1,
            .count = 300,
            .repairs = true,
            .fault = 0.15,
            .rest_fails = i % 3 == 0 ? 0.3 : 0,
            .rest_lag = i % 5 * 7 });
}

static void test_composite(void **state)
{
    for (uint32_t i = 0; i < kt_test_cases(20); i++)
        run(&(model_options){ .seed = kt_test_seed() + i,
            .first_venue = 0,
            .venue_count = 2,
            .count = 200,
            .repairs = true,
            .crowd = i % 4 == 0,
            .fault = 0.15,
            .rest_lag = i % 5 * 7 });
}

static void test_without_rest(void **state)
{
    for (uint32_t i = 0; i < kt_test_cases(20); i++)
        run(&(model_options){ .seed = kt_test_seed() + i,
            .first_venue = 0,
            .venue_count = 2,
            .count = 200,
            .repairs = false,
            .fault = 0.2 });
}

/* The same inputs give the same bytes, whatever the hash seed, and with the state taken out and put back in between. */
static void test_snapshots(void **state)
{
    for (uint32_t i = 0; i < kt_test_cases(10); i++) {
        model_options options = { .seed = kt_test_seed() + i,
            .first_venue = 0,
            .venue_count = 2,
            .count = 150,
            .repairs = true,
            .crowd = i % 2 == 0,
            .fault = 0.2,
            .rest_fails = 0.1,
            .hash_seed = 1 };
        model whole, pieces;

        model_open(&whole, &options);
        model_play(&whole);
        options.restore_every = 1 + i;
        options.hash_seed = 77;
        model_open(&pieces, &options);
        model_play(&pieces);
        assert_int_equal(whole.env.output_count, pieces.env.output_count);
        assert_int_equal(whole.env.byte_count, pieces.env.byte_count);
        assert_memory_equal(whole.env.bytes, pieces.env.bytes, whole.env.byte_count);
        model_close(&whole);
        model_close(&pieces);
    }
}

/* A recorded quarter of an hour of BTC/USDT at Binance, with 735 trades in one ms, in both formats. */
static void test_tape(void **state)
{
    const char *path = kt_test_recordings("binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz");

    assert_non_null(path);
    for (uint32_t venue = 0; venue < VENUE_MAX; venue++)
        for (uint32_t repairs = 0; repairs < 2; repairs++)
            run(&(model_options){ .seed = kt_test_seed(),
                .first_venue = venue,
                .venue_count = 1,
                .repairs = repairs != 0,
                .fault = 0.1,
                .rest_lag = 30,
                .tape = path });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_generic),
        cmocka_unit_test(test_binance),
        cmocka_unit_test(test_composite),
        cmocka_unit_test(test_without_rest),
        cmocka_unit_test(test_snapshots),
        KT_TEST_RECORDED(test_tape, "binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz"),
    };

    return cmocka_run_group_tests_name("market", tests, NULL, NULL);
}
