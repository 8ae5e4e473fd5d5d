/* The house's own minutes, through service market: the rules one by one, and Kraken's recorded minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/test_util.h"
#include "base/text.h"
#include "base/time.h"
#include "schema/config.h"
#include "service/fake_env.h"
#include "service/market.h"
#include "service/minutes.h"

#define S KT_NS_PER_S
#define MS KT_NS_PER_MS
#define T0 (1700000040 * S) /* the start of a minute */

enum { ROW_MAX = 64, NODE_MAX = 1 << 16, RECORDED_MINUTES = 136 };

#define KRAKEN_MINUTES "kraken_v1/trades_to_ohlc_vwap_pairs.json"

typedef struct desk {
    kt_env env;
    kt_config *config;
    void *state;
    uint64_t answered; /* the last request */
} desk;

typedef struct given {
    int64_t ms; /* behind T0 */
    const char *price, *qty;
    uint64_t number;
} given;

typedef struct word {
    int64_t minute; /* behind T0 */
    const char *open, *high, *low, *close, *vwap, *volume;
    uint64_t trades;
} word;

static kt_decimal decimal(const char *text)
{
    kt_decimal parsed;

    assert_int_equal(kt_decimal_parse(kt_text_of(text), &parsed), KT_OK);
    return parsed;
}

static void input(desk *d, uint16_t kind, const char *subject, const void *event)
{
    fake_input(&d->env, &kt_market_service, d->state, kind, subject, event);
}

/* The newest request that is not answered yet, when its time has come. */
static kt_ev_request asked(desk *d)
{
    kt_ev_request request = { 0 };

    do {
        for (size_t i = d->env.output_count; i-- > 0 && request.request_id == 0;) {
            const fake_output *o = &d->env.outputs[i];

            if (o->kind == KT_EV_REQUEST)
                assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, &request), KT_OK);
        }
        if (request.request_id == d->answered)
            request.request_id = 0;
    } while (request.request_id == 0 && fake_timer(&d->env, &kt_market_service, d->state, INT64_MAX));
    assert_true(request.request_id != 0);
    d->answered = request.request_id;
    return request;
}

/* `invalid` more rows could not be read. */
static void answer(desk *d, const kt_row_trade *rows, uint32_t count, uint32_t invalid)
{
    kt_ev_request request = asked(d);
    kt_ev_answer ev;

    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = request.request_id;
    ev.what = request.what;
    ev.status = 200;
    ev.rows = KT_ROWS_OF(rows, count);
    ev.row_count = count + invalid;
    ev.invalid_count = invalid;
    input(d, KT_EV_ANSWER, "answer.kr", &ev);
}

static kt_row_trade row_of(const given *g, char id[KT_TRADE_ID_TEXT_MAX])
{
    return (kt_row_trade){ .venue_time = T0 + g->ms * MS,
        .price = decimal(g->price),
        .quantity = decimal(g->qty),
        .trade_id = { id, kt_u64_format(id, g->number) },
        .trade_number = g->number };
}

static void rest_with(desk *d, const given *at, uint32_t count, uint32_t invalid)
{
    kt_row_trade rows[ROW_MAX];
    char ids[ROW_MAX][KT_TRADE_ID_TEXT_MAX];

    for (uint32_t i = 0; i < count; i++)
        rows[i] = row_of(&at[i], ids[i]);
    answer(d, rows, count, invalid);
}

static void rest(desk *d, const given *at, uint32_t count)
{
    rest_with(d, at, count, 0);
}

static void tick_row(desk *d, const kt_row_trade *row)
{
    kt_ev_tick ev;

    kt_event_init(KT_EV_TICK, &ev);
    ev.venue_time = row->venue_time;
    ev.receive_time = d->env.now_ns;
    ev.price = row->price;
    ev.quantity = row->quantity;
    ev.trade_id = row->trade_id;
    ev.trade_number = row->trade_number;
    input(d, KT_EV_TICK, "feed.kr.BTC/USD", &ev);
}

static void tick(desk *d, const given *g)
{
    char id[KT_TRADE_ID_TEXT_MAX];
    kt_row_trade row = row_of(g, id);

    tick_row(d, &row);
}

static void say_of(desk *d, const word *w, uint32_t interval_s)
{
    kt_ev_candle ev;

    kt_event_init(KT_EV_CANDLE, &ev);
    ev.begin = T0 + w->minute * KT_NS_PER_MIN;
    ev.receive_time = d->env.now_ns;
    ev.interval_s = interval_s;
    ev.open = decimal(w->open);
    ev.high = decimal(w->high);
    ev.low = decimal(w->low);
    ev.close = decimal(w->close);
    ev.vwap = decimal(w->vwap);
    ev.volume = decimal(w->volume);
    ev.trades = w->trades;
    input(d, KT_EV_CANDLE, interval_s == 60 ? "candle.kr.1m.BTC/USD" : "candle.kr.5m.BTC/USD", &ev);
}

static void say(desk *d, const word *w)
{
    say_of(d, w, 60);
}

static void link_is(desk *d, kt_link state)
{
    kt_ev_link ev;

    kt_event_init(KT_EV_LINK, &ev);
    ev.state = (uint8_t)state;
    input(d, KT_EV_LINK, "feed.kr.link", &ev);
}

static void refused(desk *d)
{
    kt_ev_invalid ev;

    kt_event_init(KT_EV_INVALID, &ev);
    input(d, KT_EV_INVALID, "feed.kr.invalid", &ev);
}

static void lane_start(desk *d)
{
    kt_ev_lane_start ev;

    kt_event_init(KT_EV_LANE_START, &ev);
    ev.lane = KT_TEXT("market");
    input(d, KT_EV_LANE_START, "lane.start.market", &ev);
}

/* A house with one symbol whose prices have one digit; `more` of its venue. */
static void desk_open(desk *d, const char *window, const char *more)
{
    static const kt_row_instrument instrument = { .symbol = KT_TEXT("BTC/USD"),
        .venue_symbol = KT_TEXT("BTC/USD"),
        .base = KT_TEXT("BTC"),
        .quote = KT_TEXT("USD"),
        .price_scale = 1,
        .quantity_scale = 8 };
    kt_ev_answer ev;
    char text[512];
    kt_err err;

    *d = (desk){ .env.now_ns = 1800000000 * S };
    snprintf(text, sizeof text,
        "vwap: {windows: [%s], interval_ms: 5000}\nvenues: [{name: kr, format: kraken_v2, ws_url: 'ws://127.0.0.1:1', rest_url: "
        "'http://127.0.0.1:1', symbols: [BTC/USD]%s}]\n",
        window, more);
    if (kt_config_parse("test", text, strlen(text), &d->config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_market_service.start(&d->env, d->config, &d->state, &err), KT_OK);
    lane_start(d);
    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = asked(d).request_id;
    ev.what = KT_WHAT_INSTRUMENTS;
    ev.status = 200;
    ev.instruments = KT_ROWS_OF(&instrument, 1);
    input(d, KT_EV_ANSWER, "answer.kr", &ev);
}

static void desk_close(desk *d)
{
    kt_market_service.stop(d->state);
    kt_config_free(d->config);
    fake_done(&d->env);
}

/* What was told last of a minute behind T0; revision 0: nothing. */
static kt_ev_minute told(const desk *d, int64_t minute)
{
    kt_ev_minute last = { 0 };

    for (size_t i = 0; i < d->env.output_count; i++) {
        const fake_output *o = &d->env.outputs[i];
        kt_ev_minute ev;

        if (o->kind != KT_EV_MINUTE)
            continue;
        assert_string_equal(o->subject, "minute.kr.BTC/USD");
        assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, &ev), KT_OK);
        if (ev.begin == T0 + minute * KT_NS_PER_MIN)
            last = ev;
    }
    return last;
}

static bool is(kt_decimal value, const char *text)
{
    return kt_decimal_compare(value, decimal(text)) == 0;
}

/* A minute and the first trade of the next one: 607 for 6. */
static const given known[] = { { 10000, "100", "1", 1 }, { 20000, "103", "2", 2 }, { 30000, "99", "1", 3 },
    { 59999, "101", "2", 4 }, { 60000, "102", "1", 5 } };

static const word whole = { 0, "100", "103", "99", "101", "101.1", "6", 4 };
static const word next = { 1, "102", "102", "102", "102", "102", "1", 1 };

/* The stream gives all, and REST knows nothing yet. */
static void stream_all(desk *d)
{
    for (uint32_t i = 0; i < KT_COUNT(known); i++)
        tick(d, &known[i]);
}

/* REST gives so many of the trades, and there is nothing before them. */
static void rest_first(desk *d, uint32_t count)
{
    rest(d, known, count);
    rest(d, known, 1);
}

static void test_a_minute_is_told_when_the_watermark_reaches_its_end(void **state)
{
    kt_ev_minute minute;
    desk d;

    desk_open(&d, "1m", ", candles: true");
    stream_all(&d);
    assert_int_equal(told(&d, 0).revision, 0);
    rest_first(&d, 4);
    assert_int_equal(told(&d, 0).revision, 0); /* others of its last ms may still come */
    rest(&d, known + 3, 2);
    minute = told(&d, 0);
    assert_int_equal(minute.revision, 1);
    assert_true(is(minute.open, "100") && is(minute.high, "103") && is(minute.low, "99") && is(minute.close, "101"));
    assert_true(is(minute.vwap, "101.167") && kt_sum_value(minute.volume) == 6 * kt_pow10(minute.volume.scale));
    assert_int_equal(minute.trades, 4);
    assert_true(minute.complete);
    assert_int_equal(minute.told, KT_AGREEMENT_NONE);
    assert_int_equal(told(&d, 1).revision, 0);
    desk_close(&d);
}

static void test_without_candles_there_are_none(void **state)
{
    desk d;

    desk_open(&d, "1m", "");
    stream_all(&d);
    say(&d, &whole);
    say(&d, &next);
    rest_first(&d, KT_COUNT(known));
    assert_int_equal(told(&d, 0).revision, 0);
    desk_close(&d);
}

/* The snapshot as the program before this one wrote it: without minutes, of which there are none here, and without the
 * venue's breaks. */
static kt_text without_minutes(kt_writer *writer)
{
    enum { BREAKS = 8, FEED_COUNT = 4, MINUTES = 8 * 8 + 1 + 4 };
    static const char feed[] = "\2\0\0\0kr\7\0\0\0BTC/USD";
    uint8_t *at = memmem(writer->bytes, writer->size, feed, sizeof feed - 1);

    assert_non_null(at);
    at -= BREAKS + FEED_COUNT;
    writer->size -= BREAKS + MINUTES;
    memmove(at, at + BREAKS, (size_t)(writer->bytes + writer->size - at));
    return (kt_text){ (char *)writer->bytes, writer->size };
}

/* Of the minute in which they are switched on a part was confirmed before; or in which a program that has them goes on where
 * one without them ended. */
static void test_minutes_that_begin_later(void **state)
{
    static const given later[] = { { 70000, "100", "1", 6 }, { 125000, "101", "1", 7 }, { 185000, "102", "1", 8 } };

    for (uint16_t version = kt_market_service.version - 1; version <= kt_market_service.version; version++) {
        kt_text bytes;
        kt_writer writer;
        kt_err err;
        desk off, on;

        desk_open(&off, "1m", "");
        stream_all(&off);
        rest_first(&off, KT_COUNT(known));
        kt_writer_init(&writer);
        assert_int_equal(kt_market_service.snapshot(off.state, &writer), KT_OK);
        bytes = version == kt_market_service.version ? (kt_text){ (char *)writer.bytes, writer.size }
                                                     : without_minutes(&writer);
        desk_open(&on, "1m", ", candles: true");
        kt_market_service.stop(on.state);
        assert_int_equal(kt_market_service.start(&on.env, on.config, &on.state, &err), KT_OK);
        assert_int_equal(kt_market_service.restore(on.state, version, bytes, &err), KT_OK);
        lane_start(&on);
        asked(&on); /* the instruments */
        for (uint32_t i = 0; i < KT_COUNT(later); i++)
            tick(&on, &later[i]);
        rest(&on, later, KT_COUNT(later));
        assert_int_equal(told(&on, 0).revision, 0);
        assert_int_equal(told(&on, 1).revision, 0);
        assert_int_equal(told(&on, 2).trades, 1);
        kt_writer_done(&writer);
        desk_close(&off);
        desk_close(&on);
    }
}

static void test_words_of_the_venue(void **state)
{
    const struct {
        const char *name;
        word said[3]; /* trades 0: nothing more */
        enum { NOTHING, LINK, REFUSED, RESTART } breaks;
        uint32_t before; /* so many were said */
        kt_agreement expected;
    } rows[] = {
        { "the same", { whole, next }, NOTHING, 0, KT_AGREEMENT_EQUAL },
        { "its average may be rounded", { { 0, "100", "103", "99", "101", "101.2", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_EQUAL },
        { "or have more digits", { { 0, "100", "103", "99", "101", "101.1666", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_EQUAL },
        { "another open", { { 0, "100.1", "103", "99", "101", "101.1", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "another high", { { 0, "100", "103.1", "99", "101", "101.1", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "another low", { { 0, "100", "103", "98.9", "101", "101.1", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "another close", { { 0, "100", "103", "99", "101.1", "101.1", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "another average", { { 0, "100", "103", "99", "101", "101.3", "6", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "fewer digits than the instrument has are zeros", { { 0, "100", "103", "99", "101", "101", "6", 4 }, next },
            NOTHING, 0, KT_AGREEMENT_DIFFERENT },
        { "another volume", { { 0, "100", "103", "99", "101", "101.1", "6.00000001", 4 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "another count", { { 0, "100", "103", "99", "101", "101.1", "6", 5 }, next }, NOTHING, 0,
            KT_AGREEMENT_DIFFERENT },
        { "a word counts when a later minute is spoken of", { whole }, NOTHING, 0, KT_AGREEMENT_NONE },
        { "the one with the most trades counts", { whole, { 0, "100", "103", "100", "103", "102", "3", 2 }, next },
            NOTHING, 0, KT_AGREEMENT_EQUAL },
        { "also when it comes after the next minute's",
            { { 0, "100", "100", "100", "100", "100", "1", 1 }, next, whole }, NOTHING, 0, KT_AGREEMENT_EQUAL },
        { "more may have been said while the link was lost", { whole, next }, LINK, 1, KT_AGREEMENT_NONE },
        { "or by a message that was refused", { whole, next }, REFUSED, 1, KT_AGREEMENT_NONE },
        { "or while the lane was away", { whole, next }, RESTART, 1, KT_AGREEMENT_NONE },
        { "when it is said again, it counts", { whole, whole, next }, LINK, 1, KT_AGREEMENT_EQUAL },
        { "what was final stays", { whole, next }, LINK, 2, KT_AGREEMENT_EQUAL },
        { "a minute that is hours ahead is none", { whole, { 9000000, "1", "1", "1", "1", "1", "1", 1 } }, NOTHING, 0,
            KT_AGREEMENT_NONE },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_minute minute;
        desk d;

        desk_open(&d, "1m", ", candles: true");
        stream_all(&d);
        for (uint32_t k = 0; k < KT_COUNT(rows[i].said) + 1; k++) {
            if (k == rows[i].before && rows[i].breaks == LINK)
                link_is(&d, KT_LINK_DISCONNECTED);
            if (k == rows[i].before && rows[i].breaks == REFUSED)
                refused(&d);
            if (k == rows[i].before && rows[i].breaks == RESTART) {
                lane_start(&d);
                asked(&d); /* the instruments */
            }
            if (k < KT_COUNT(rows[i].said) && rows[i].said[k].trades != 0)
                say(&d, &rows[i].said[k]);
        }
        if (rows[i].breaks == RESTART)
            d.answered = 0;
        rest_first(&d, KT_COUNT(known));
        minute = told(&d, 0);
        if (minute.revision != 1 || minute.told != rows[i].expected ||
            (minute.told_trades != 0) != (rows[i].expected != KT_AGREEMENT_NONE) ||
            minute.compared != (rows[i].expected != KT_AGREEMENT_NONE) ||
            minute.different != (rows[i].expected == KT_AGREEMENT_DIFFERENT))
            fail_msg("%s: revision %u, %s", rows[i].name, minute.revision, kt_enum_agreement.values[minute.told]);
        desk_close(&d);
    }
}

static void test_other_intervals_are_no_minutes(void **state)
{
    desk d;

    desk_open(&d, "1m", ", candles: true");
    stream_all(&d);
    say_of(&d, &whole, 300);
    say(&d, &next);
    rest_first(&d, KT_COUNT(known));
    assert_int_equal(told(&d, 0).told, KT_AGREEMENT_NONE);
    desk_close(&d);
}

/* All trades of a minute are missing, at the stream and at REST; but the venue counts some. */
static void test_a_minute_that_only_the_venue_has(void **state)
{
    static const given later = { 130000, "104", "1", 9 };
    static const word third = { 2, "104", "104", "104", "104", "104", "1", 1 };
    kt_ev_minute minute;
    desk d;

    desk_open(&d, "1m", ", candles: true");
    for (uint32_t i = 0; i < 4; i++)
        tick(&d, &known[i]);
    say(&d, &whole);
    say(&d, &next);
    say(&d, &third);
    tick(&d, &later);
    rest_first(&d, 4);
    rest(&d, &later, 1);
    minute = told(&d, 1);
    assert_int_equal(minute.revision, 1);
    assert_int_equal(minute.told, KT_AGREEMENT_DIFFERENT);
    assert_int_equal(minute.trades, 0);
    assert_int_equal(minute.told_trades, 1);
    assert_true(is(minute.open, "0") && is(minute.told_open, "102"));
    assert_int_equal(minute.compared, 2);
    assert_int_equal(minute.different, 1);
    desk_close(&d);
}

static void test_a_word_that_comes_late_tells_the_minute_again(void **state)
{
    kt_ev_minute minute;
    desk d;

    desk_open(&d, "1m", ", candles: true");
    stream_all(&d);
    say(&d, &whole);
    rest_first(&d, KT_COUNT(known));
    assert_int_equal(told(&d, 0).told, KT_AGREEMENT_NONE);
    say(&d, &next);
    minute = told(&d, 0);
    assert_int_equal(minute.revision, 2);
    assert_int_equal(minute.told, KT_AGREEMENT_EQUAL);
    assert_int_equal(minute.compared, 1);
    say(&d, &next); /* nothing new */
    assert_int_equal(told(&d, 0).revision, 2);
    desk_close(&d);
}

/* REST gives all, from a minute before the first on; there is more before it, which is not asked for. */
static void covered(desk *d)
{
    desk_open(d, "1m", ", candles: true");
    stream_all(d);
    rest(d, known, KT_COUNT(known));
    rest(d, &(given){ -3600000, "100", "1", 99 }, 1);
}

/* An earlier trade of the stream makes REST go its way again: what it says otherwise by then is told. */
static void test_a_later_change_tells_the_minute_again(void **state)
{
    static const given before = { -5000, "100", "1", 100 };
    const struct {
        const char *name;
        given again[7];
        uint32_t count;
        const char *high, *close;
        uint64_t trades;
    } rows[] = {
        { "another price", { before, known[0], { 20000, "104", "2", 2 }, known[2], known[3], known[4] }, 6, "104",
            "101", 4 },
        { "the greatest price is no longer one",
            { before, known[0], { 20000, "100.5", "2", 2 }, known[2], known[3], known[4] }, 6, "101", "101", 4 },
        { "another trade", { before, known[0], known[1], known[2], { 40000, "105", "1", 9 }, known[3], known[4] }, 7,
            "105", "101", 5 },
        { "a trade that goes to the minute before",
            { before, { -1, "101", "2", 4 }, known[0], known[1], known[2], known[4] }, 6, "103", "99", 3 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_minute minute;
        desk d;

        covered(&d);
        assert_int_equal(told(&d, 0).revision, 1);
        tick(&d, &before);
        rest(&d, &known[4], 1);
        rest(&d, rows[i].again, rows[i].count);
        minute = told(&d, 0);
        if (minute.revision != 2 || !minute.complete || minute.trades != rows[i].trades ||
            !is(minute.high, rows[i].high) || !is(minute.close, rows[i].close))
            fail_msg("%s: revision %u, %llu trades", rows[i].name, minute.revision, (unsigned long long)minute.trades);
        assert_int_equal(told(&d, -1).trades, i == 3 ? 2 : 1); /* it is covered now, too */
        desk_close(&d);
    }
}

/* The trades of a minute are not remembered longer than averages need them, and minutes for a quarter of an hour. */
static void test_a_change_of_what_is_forgotten_is_told_as_not_complete(void **state)
{
    static const given before = { -5000, "100", "1", 100 }, changed = { 20000, "104", "2", 2 };
    const struct {
        const char *name;
        int64_t until_minute;
        given again[2];
        uint64_t trades;
        const char *high;
    } rows[] = {
        { "the minute keeps its values without the other trades", 14, { before, changed }, 4, "103" },
        { "of a minute that is gone the change is told", 30, { before, changed }, 1, "104" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_minute minute;
        desk d;

        covered(&d);
        for (int64_t m = 2; m <= rows[i].until_minute; m++) {
            given more = { m * 60000, "102", "1", 1000 + (uint64_t)m };

            tick(&d, &more);
            rest(&d, &more, 1);
        }
        tick(&d, &before);
        rest(&d, NULL, 0);
        rest(&d, rows[i].again, 2);
        minute = told(&d, 0);
        if (minute.revision != 2 || minute.complete || minute.trades != rows[i].trades ||
            !is(minute.high, rows[i].high))
            fail_msg("%s: revision %u, %llu trades", rows[i].name, minute.revision, (unsigned long long)minute.trades);
        desk_close(&d);
    }
}

static void test_a_minute_with_a_hole_is_not_complete(void **state)
{
    static const given later = { 130000, "104", "1", 9 };
    desk d;

    desk_open(&d, "1m", ", candles: true");
    stream_all(&d);
    tick(&d, &later);
    rest_first(&d, 4);
    rest_with(&d, known + 3, 2, 1); /* a row could not be read */
    assert_false(told(&d, 0).complete);
    rest(&d, &later, 1);
    assert_int_equal(told(&d, 1).revision, 1);
    assert_false(told(&d, 1).complete); /* it may have been any time up to the last row that could */
    desk_close(&d);
}

/* Its first trade may lie before what REST has covered. */
static void test_a_minute_that_is_not_covered_is_not_told(void **state)
{
    desk d;

    desk_open(&d, "5s", ", candles: true");
    stream_all(&d);
    rest(&d, known, KT_COUNT(known));
    rest(&d, &(given){ -3600000, "100", "1", 99 }, 1); /* there is more before it, which is not asked for */
    assert_int_equal(told(&d, 0).revision, 0);
    rest(&d, &(given){ 125000, "100", "1", 200 }, 1);
    assert_int_equal(told(&d, 0).revision, 0);
    assert_int_equal(told(&d, 1).trades, 1);
    desk_close(&d);
}

static void test_more_digits_than_before(void **state)
{
    static const given fine[] = { { 40000, "99.125", "0.000000001", 10 }, { 61000, "99", "1", 11 } };
    kt_ev_minute minute;
    desk d;

    desk_open(&d, "1m", ", candles: true");
    tick(&d, &known[0]);
    rest_first(&d, 3);
    tick(&d, &fine[0]);
    rest(&d, fine, 2);
    minute = told(&d, 0);
    assert_int_equal(minute.trades, 4);
    assert_true(is(minute.close, "99.125") && is(minute.open, "100") && is(minute.high, "103"));
    assert_int_equal(minute.volume.scale, 9);
    assert_true(kt_sum_value(minute.volume) == 4000000001);
    desk_close(&d);
}

/* A page of one trade a minute, before it is known whether there is anything earlier. */
static void test_a_page_of_minutes(void **state)
{
    enum { MINUTES = 1000 };
    static kt_row_trade rows[MINUTES + 1];
    static char ids[MINUTES + 1][KT_TRADE_ID_TEXT_MAX];
    desk d;

    desk_open(&d, "24h", ", candles: true");
    for (uint32_t i = 0; i <= MINUTES; i++)
        rows[i] = row_of(&(given){ i * 60000, "100", "1", 1 + i }, ids[i]);
    tick_row(&d, &rows[MINUTES - 1]);
    answer(&d, rows, MINUTES, 0);
    assert_int_equal(told(&d, 0).revision, 0);
    answer(&d, rows, 1, 0);
    for (uint32_t i = 0; i < MINUTES - 1; i++)
        assert_true(told(&d, i).revision == 1 && told(&d, i).complete);
    answer(&d, rows + MINUTES, 1, 0);
    assert_int_equal(told(&d, MINUTES - 1).revision, 1);
    desk_close(&d);
}

/* REST is away for days: what waits longest for it is given up, and of what is left nothing is wrong. */
static void test_minutes_that_wait_too_long(void **state)
{
    enum { MORE = 10 };
    desk d;

    desk_open(&d, "1m", ", candles: true");
    stream_all(&d);
    for (int64_t m = 0; m < KT_MINUTES_MAX + MORE; m++)
        say(&d, &(word){ m, "102", "102", "102", "102", "102", "1", 1 });
    rest_first(&d, KT_COUNT(known));
    assert_int_equal(told(&d, 0).revision, 0);
    for (int64_t m = 2; m < MORE + 2; m++)
        rest(&d, &(given){ m * 60000, "102", "1", 1000 + (uint64_t)m }, 1);
    assert_int_equal(told(&d, MORE - 1).revision, 0);
    assert_int_equal(told(&d, MORE).told, KT_AGREEMENT_EQUAL);
    desk_close(&d);
}

/* ---- Kraken's minutes ---- */

static kt_decimal member(const kt_json_doc *doc, uint32_t node)
{
    kt_decimal value = { 0 };

    assert_true(node != 0);
    assert_true(kt_json_decimal_text(doc, node, &value) == KT_OK || kt_json_decimal(doc, node, &value) == KT_OK);
    return value;
}

static int64_t ns_of(kt_decimal seconds)
{
    int64_t ns = 0;

    assert_int_equal(kt_decimal_rescale(seconds, 9, &ns), KT_OK);
    return ns;
}

static void play_minute(desk *d, const kt_json_doc *doc, uint32_t row)
{
    const uint32_t expected = kt_json_get(doc, row, KT_TEXT("expected"));
    kt_row_trade rows[ROW_MAX];
    char ids[ROW_MAX][KT_TRADE_ID_TEXT_MAX];
    uint32_t count = 0;
    kt_ev_candle ev;

    kt_json_each (doc, kt_json_get(doc, row, KT_TEXT("input")), trade) {
        assert_true(count < ROW_MAX);
        rows[count] = (kt_row_trade){ .venue_time = ns_of(member(doc, kt_json_at(doc, trade, 2))),
            .price = member(doc, kt_json_at(doc, trade, 0)),
            .quantity = member(doc, kt_json_at(doc, trade, 1)) };
        assert_int_equal(kt_json_u64(doc, kt_json_at(doc, trade, 6), &rows[count].trade_number), KT_OK);
        rows[count].trade_id = (kt_text){ ids[count], kt_u64_format(ids[count], rows[count].trade_number) };
        tick_row(d, &rows[count++]);
    }
    kt_event_init(KT_EV_CANDLE, &ev);
    ev.begin = ns_of(member(doc, kt_json_get(doc, row, KT_TEXT("minute"))));
    ev.receive_time = d->env.now_ns;
    ev.open = member(doc, kt_json_get(doc, expected, KT_TEXT("open")));
    ev.high = member(doc, kt_json_get(doc, expected, KT_TEXT("high")));
    ev.low = member(doc, kt_json_get(doc, expected, KT_TEXT("low")));
    ev.close = member(doc, kt_json_get(doc, expected, KT_TEXT("close")));
    ev.vwap = member(doc, kt_json_get(doc, expected, KT_TEXT("vwap_truncated_1dp")));
    ev.volume = member(doc, kt_json_get(doc, expected, KT_TEXT("volume")));
    assert_int_equal(kt_json_u64(doc, kt_json_get(doc, expected, KT_TEXT("count")), &ev.trades), KT_OK);
    input(d, KT_EV_CANDLE, "candle.kr.1m.BTC/USD", &ev);
    answer(d, rows, count, 0);
}

/* All but the last one, whose end the watermark does not reach. */
static void test_minutes_of_kraken(void **state)
{
    size_t size = 0;
    char *text = kt_test_read_file(kt_test_recordings(KRAKEN_MINUTES), &size);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    uint32_t minutes = 0;
    kt_json_doc doc;
    desk d;

    assert_non_null(text);
    assert_non_null(nodes);
    assert_int_equal(kt_json_parse((kt_text){ text, size }, nodes, NODE_MAX, &doc, NULL), KT_OK);
    desk_open(&d, "1m", ", candles: true");
    kt_json_each (&doc, 0, row) {
        play_minute(&d, &doc, row);
        if (minutes == 0)
            answer(&d, NULL, 0, 0); /* is there anything before? nothing is told of it */
        minutes++;
    }
    assert_int_equal(minutes, RECORDED_MINUTES);
    minutes = 0;
    for (size_t i = 0; i < d.env.output_count; i++) {
        const fake_output *o = &d.env.outputs[i];
        kt_ev_minute ev;

        if (o->kind != KT_EV_MINUTE)
            continue;
        assert_int_equal(kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev), KT_OK);
        assert_true(ev.revision == 1 && ev.complete && ev.different == 0);
        assert_int_equal(ev.told, KT_AGREEMENT_EQUAL);
        assert_int_equal(ev.compared, ++minutes);
    }
    assert_int_equal(minutes, RECORDED_MINUTES - 1);
    desk_close(&d);
    free(nodes);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minute_is_told_when_the_watermark_reaches_its_end),
        cmocka_unit_test(test_without_candles_there_are_none),
        cmocka_unit_test(test_minutes_that_begin_later),
        cmocka_unit_test(test_words_of_the_venue),
        cmocka_unit_test(test_other_intervals_are_no_minutes),
        cmocka_unit_test(test_a_minute_that_only_the_venue_has),
        cmocka_unit_test(test_a_word_that_comes_late_tells_the_minute_again),
        cmocka_unit_test(test_a_later_change_tells_the_minute_again),
        cmocka_unit_test(test_a_change_of_what_is_forgotten_is_told_as_not_complete),
        cmocka_unit_test(test_a_minute_with_a_hole_is_not_complete),
        cmocka_unit_test(test_a_minute_that_is_not_covered_is_not_told),
        cmocka_unit_test(test_more_digits_than_before),
        cmocka_unit_test(test_a_page_of_minutes),
        cmocka_unit_test(test_minutes_that_wait_too_long),
        KT_TEST_RECORDED(test_minutes_of_kraken, KRAKEN_MINUTES),
    };

    return cmocka_run_group_tests_name("minutes", tests, NULL, NULL);
}
