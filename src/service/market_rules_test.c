/* The rules of the market service one by one, on a handful of trades each; market_test.c has the crowd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "base/time.h"
#include "schema/config.h"
#include "service/fake_env.h"
#include "service/market.h"
#include "service/quality.h"

#define S KT_NS_PER_S
#define MS KT_NS_PER_MS
#define T0 (1700000000 * S)

static const char config_text[] =
    "vwap: {windows: [5s%s], interval_ms: 20000, composites: [%s]}\n"
    "repair: {interval_ms: 250}\n"
    "venues: [{name: gen, format: generic, ws_url: \"ws://127.0.0.1:1/stream\", rest_url: "
    "\"http://127.0.0.1:1/trades\", price_scale: 2, quantity_scale: 3, requests_per_s: 20}%s]\n";

static const char numbered_venue[] = ", {name: bin, format: binance, ws_url: \"ws://127.0.0.1:1\", rest_url: "
                                     "\"http://127.0.0.1:1\", symbols: [BTC, NOPE, ETH]}";

/* Its trades have numbers, but REST is asked by time. */
static const char timed_venue[] = ", {name: kra, format: kraken_v2, ws_url: \"ws://127.0.0.1:1\", rest_url: "
                                  "\"http://127.0.0.1:1\", symbols: [BTC/USD]}";

static const char composite[] = "{ticker: BOTH, members: [{venue: gen, symbol: BTC}, {venue: bin, symbol: BTC}]}";

typedef struct desk {
    kt_env env;
    kt_config *config;
    void *state;
    const char *venue; /* whose trades and answers the test gives */
} desk;

typedef struct given {
    int64_t ms; /* behind T0 */
    const char *price;
    const char *qty;
    const char *id;
} given;

static void desk_open_with(desk *d, const char *windows, const char *composites, const char *venues)
{
    char text[1024];
    kt_err err;

    *d = (desk){ .env.now_ns = 1800000000 * S, .venue = "gen" };
    snprintf(text, sizeof text, config_text, windows, composites, venues);
    if (kt_config_parse("test", text, strlen(text), &d->config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_market_service.start(&d->env, d->config, &d->state, &err), KT_OK);
}

static void desk_open(desk *d)
{
    desk_open_with(d, "", "", "");
}

static void desk_close(desk *d)
{
    kt_market_service.stop(d->state);
    kt_config_free(d->config);
    fake_done(&d->env);
}

static kt_decimal decimal(const char *text)
{
    kt_decimal parsed;

    assert_int_equal(kt_decimal_parse(kt_text_of(text), &parsed), KT_OK);
    return parsed;
}

/* Where the desk's venue gives its trades numbers, the one that an id is; 0 otherwise. */
static uint64_t number_of(const desk *d, const char *id)
{
    uint64_t number = 0;

    if (strcmp(d->venue, "gen") != 0)
        assert_int_equal(kt_text_u64(kt_text_of(id), &number), KT_OK);
    return number;
}

static void tick(desk *d, const given *g)
{
    char subject[32];
    kt_ev_tick ev;

    kt_event_init(KT_EV_TICK, &ev);
    ev.venue_time = T0 + g->ms * MS;
    ev.receive_time = d->env.now_ns;
    ev.price = decimal(g->price);
    ev.quantity = decimal(g->qty);
    ev.trade_id = kt_text_of(g->id);
    ev.trade_number = number_of(d, g->id);
    snprintf(subject, sizeof subject, "feed.%s.BTC", d->venue);
    fake_input(&d->env, &kt_market_service, d->state, KT_EV_TICK, subject, &ev);
}

/* The newest output of a kind whose subject starts so; false: none. */
static bool newest(const desk *d, uint16_t kind, const char *subject, void *out)
{
    for (size_t i = d->env.output_count; i-- > 0;) {
        const fake_output *o = &d->env.outputs[i];

        if (o->kind == kind && strncmp(o->subject, subject, strlen(subject)) == 0)
            return kt_event_decode(kind, d->env.bytes + o->at, o->size, out) == KT_OK;
    }
    return false;
}

static uint32_t count_of(const desk *d, uint16_t kind)
{
    uint32_t count = 0;

    for (size_t i = 0; i < d->env.output_count; i++)
        count += d->env.outputs[i].kind == kind;
    return count;
}

static void wait_for(desk *d, int64_t ns)
{
    int64_t until = d->env.now_ns + ns;

    while (fake_timer(&d->env, &kt_market_service, d->state, until))
        ;
    d->env.now_ns = until;
}

/* Answer the newest request; a status other than 200 has no rows. `invalid` more rows were not valid. */
static void answer_with(
    desk *d, uint16_t status, const given *rows, uint32_t count, uint32_t invalid, int64_t retry_after)
{
    kt_row_trade trades[8];
    kt_ev_request request;
    kt_ev_answer ev;
    char subject[32];

    snprintf(subject, sizeof subject, "request.%s", d->venue);
    assert_true(newest(d, KT_EV_REQUEST, subject, &request));
    for (uint32_t i = 0; i < count; i++)
        trades[i] = (kt_row_trade){ .venue_time = T0 + rows[i].ms * MS,
            .price = decimal(rows[i].price),
            .quantity = decimal(rows[i].qty),
            .trade_id = kt_text_of(rows[i].id),
            .trade_number = number_of(d, rows[i].id) };
    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = request.request_id;
    ev.what = request.what;
    ev.status = status;
    ev.rows = KT_ROWS_OF(trades, count);
    ev.row_count = count + invalid;
    ev.invalid_count = invalid;
    ev.retry_after = retry_after;
    snprintf(subject, sizeof subject, "answer.%s", d->venue);
    fake_input(&d->env, &kt_market_service, d->state, KT_EV_ANSWER, subject, &ev);
}

static void answer(desk *d, uint16_t status, const given *rows, uint32_t count, int64_t retry_after)
{
    answer_with(d, status, rows, count, 0, retry_after);
}

static void lane_start(desk *d)
{
    kt_ev_lane_start ev;

    kt_event_init(KT_EV_LANE_START, &ev);
    ev.lane = KT_TEXT("market");
    fake_input(&d->env, &kt_market_service, d->state, KT_EV_LANE_START, "lane.start.market", &ev);
}

static void test_what_no_sum_can_hold_is_refused(void **state)
{
    static const struct {
        const char *name;
        given trade;
    } rows[] = {
        { "a price of more digits than the finest so far leaves room for", { 2000, "9000000000000000000", "1", "a" } },
        { "a quantity of more digits", { 2000, "100", "9000000000000000000", "b" } },
        { "a price finer than the greatest so far leaves room for", { 2000, "0.000000000000000001", "1", "c" } },
    };
    desk d;

    desk_open(&d);
    tick(&d, &(given){ 1000, "1000.25", "1.125", "first" });
    uint32_t trades = count_of(&d, KT_EV_TRADE);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_feed_stats stats = { 0 };
        tick(&d, &rows[i].trade);
        wait_for(&d, 2 * S);
        if (count_of(&d, KT_EV_TRADE) != trades || !newest(&d, KT_EV_FEED_STATS, "", &stats) || stats.invalid != i + 1)
            fail_msg("row \"%s\": %llu invalid", rows[i].name, (unsigned long long)stats.invalid);
    }
    answer(&d, 200, &rows[0].trade, 1, 0); /* what REST says is measured the same way */
    assert_int_equal(count_of(&d, KT_EV_TRADE), trades);
    tick(&d, &(given){ 3000, "1000.5", "1", "next" }); /* the feed goes on */
    assert_int_equal(count_of(&d, KT_EV_TRADE), trades + 1);
    desk_close(&d);
}

static void test_market_time(void **state)
{
    static const struct {
        const char *name;
        int64_t seconds[4];
        uint32_t count;
        int64_t rest; /* REST gives the trade at this second; 0: it gives none */
        int64_t market;
    } rows[] = {
        { "it is the greatest time", { 1, 3, 2 }, 3, 0, 3 },
        { "a step of 60 s is taken", { 1, 61 }, 2, 0, 61 },
        { "a step of more than 60 s waits", { 1, 62 }, 2, 0, 1 },
        { "a second trade near the first ends the wait", { 1, 100, 101 }, 3, 0, 101 },
        { "a second trade before the first ends it too", { 1, 101, 100 }, 3, 0, 101 },
        { "a second trade far beyond the first confirms it, and waits itself", { 1, 100, 300 }, 3, 0, 100 },
        { "a second trade far before the first waits in its place", { 1, 300, 100 }, 3, 0, 1 },
        { "a thin symbol is one trade behind", { 1, 100, 200, 300 }, 4, 0, 200 },
        { "trades in between go on as before", { 1, 100, 2 }, 3, 0, 2 },
        { "a first trade far ahead is contradicted by the second", { 1000, 1, 2 }, 3, 0, 2 },
        { "REST needs no second trade", { 1, 100 }, 2, 100, 100 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_feed_stats stats = { 0 };
        char ids[4][16];
        desk d;

        desk_open(&d);
        for (uint32_t k = 0; k < rows[i].count; k++) {
            snprintf(ids[k], sizeof ids[k], "id%u", k);
            tick(&d, &(given){ rows[i].seconds[k] * 1000, "100", "1", ids[k] });
        }
        if (rows[i].rest != 0)
            answer(&d, 200, &(given){ rows[i].rest * 1000, "100", "1", "id1" }, 1, 0);
        wait_for(&d, 2 * S);
        assert_true(newest(&d, KT_EV_FEED_STATS, "stats.gen.BTC", &stats));
        if (stats.market_time != T0 + rows[i].market * S)
            fail_msg("%s: %lld", rows[i].name, (long long)((stats.market_time - T0) / S));
        desk_close(&d);
    }
}

static void test_repeats(void **state)
{
    static const struct {
        const char *name;
        bool confirmed;    /* before the second copy comes */
        const char *price; /* of the second copy */
        const char *expected;
        uint32_t trades; /* events */
    } rows[] = {
        { "a repeat says nothing new", false, "100", "100", 1 },
        { "the last copy of an unconfirmed trade wins", false, "101", "101", 2 },
        { "a confirmed trade is never changed by the stream", true, "101", "100", 2 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_trade trade = { 0 };
        kt_ev_feed_stats stats = { 0 };
        desk d;

        desk_open(&d);
        tick(&d, &(given){ 500, "100", "1", "a" });
        if (rows[i].confirmed)
            answer(&d, 200, &(given){ 500, "100", "1", "a" }, 1, 0);
        tick(&d, &(given){ 500, rows[i].price, "1", "a" });
        wait_for(&d, 2 * S);
        assert_true(newest(&d, KT_EV_TRADE, "trades.gen.BTC", &trade));
        assert_true(newest(&d, KT_EV_FEED_STATS, "stats.gen.BTC", &stats));
        if (kt_decimal_compare(trade.price, decimal(rows[i].expected)) != 0 ||
            count_of(&d, KT_EV_TRADE) != rows[i].trades)
            fail_msg("%s", rows[i].name);
        assert_int_equal(trade.validated, rows[i].confirmed);
        assert_int_equal(stats.repeated, 1);
        desk_close(&d);
    }
}

/* 20 s is the longest window: REST is first asked from 20 s before the first trade. */
static void test_later_change(void **state)
{
    static const given first[] = { { 100500, "100", "1", "a" }, { 103200, "100", "2", "b" },
        { 110100, "100", "1", "c" } };
    static const given again[] = { { 99900, "100", "1", "d" }, { 100500, "101.5", "1", "a" },
        { 103200, "100", "2", "b" }, { 110100, "100", "1", "c" } };
    static const given earlier[] = { { 10, "100", "1", "z" } };
    kt_ev_request request = { 0 };
    kt_ev_watermark watermark = { 0 };
    uint32_t ranges = 0, changed = 0;
    desk d;

    desk_open(&d);
    tick(&d, &first[0]);
    assert_true(newest(&d, KT_EV_REQUEST, "request.gen", &request));
    assert_int_equal(request.from_time, T0 + 80500 * MS);
    answer(&d, 200, first, 3, 0);
    wait_for(&d, 60 * MS);
    assert_true(newest(&d, KT_EV_REQUEST, "request.gen", &request));
    assert_int_equal(request.from_time, 0); /* is there anything earlier? */
    assert_int_equal(count_of(&d, KT_EV_WATERMARK), 0);
    answer(&d, 200, earlier, 1, 0);
    assert_true(newest(&d, KT_EV_WATERMARK, "watermark.gen.BTC", &watermark));
    assert_int_equal(watermark.covered_from, T0 + 80500 * MS);
    assert_int_equal(watermark.validated_until, T0 + 110100 * MS);
    tick(&d, &again[0]); /* before the first: the way is gone again, 20 s before it */
    wait_for(&d, S);
    answer(&d, 200, &first[2], 1, 0);
    wait_for(&d, S);
    assert_true(newest(&d, KT_EV_REQUEST, "request.gen", &request));
    assert_int_equal(request.from_time, T0 + 79900 * MS);
    answer(&d, 200, again, 4, 0);
    assert_true(newest(&d, KT_EV_WATERMARK, "watermark.gen.BTC", &watermark));
    assert_int_equal(watermark.covered_from, T0 + 79900 * MS);
    for (size_t i = 0; i < d.env.output_count; i++) {
        const fake_output *o = &d.env.outputs[i];
        kt_ev_correction ev;

        if (o->kind != KT_EV_CORRECTION || kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev) != KT_OK ||
            ev.revision != 0)
            continue;
        ranges++;
        assert_int_equal(ev.cause, KT_CAUSE_CHANGED);
        assert_int_equal(ev.trade_count, 1);
        if (!kt_text_equal(kt_texts_get(&ev.trade_ids, 0), KT_TEXT("a")))
            continue;
        changed++;
        assert_int_equal(ev.mark_from, T0 + 101 * S);
        assert_int_equal(ev.mark_to, T0 + (ev.window == 5 * S ? 105 : 110) * S); /* 110: as far as there are values */
        assert_true(kt_sum_value(ev.delta_pq) * kt_pow10(6) == (kt_i128)15 * kt_pow10(5 + ev.delta_pq.scale));
        assert_true(kt_sum_value(ev.delta_q) == 0);
        assert_int_equal(ev.delta_trades, 0);
    }
    assert_int_equal(changed, 2); /* one a window */
    assert_int_equal(ranges, 4);  /* and as many for the trade that was not there */
    desk_close(&d);
}

/* REST says of a validated trade that it was 2 s later: it leaves the windows that it was in, and comes into those it is in. */
static void test_later_change_of_time(void **state)
{
    static const given first[] = { { 100500, "100", "1", "a" }, { 103200, "100", "2", "b" },
        { 110100, "100", "1", "c" } };
    static const given again[] = { { 99900, "100", "1", "d" }, { 102500, "100", "1", "a" }, { 103200, "100", "2", "b" },
        { 110100, "100", "1", "c" } };
    static const given earlier[] = { { 10, "100", "1", "z" } };
    static const int expected[] = { -1, -1, 0, 0, 0, 1, 1, 0 }; /* trades of the marks from 101 s on, windows of 5 s */
    int delta[KT_COUNT(expected)] = { 0 };
    desk d;

    desk_open(&d);
    tick(&d, &first[0]);
    answer(&d, 200, first, 3, 0);
    wait_for(&d, 60 * MS);
    answer(&d, 200, earlier, 1, 0);
    tick(&d, &again[0]);
    wait_for(&d, S);
    answer(&d, 200, &first[2], 1, 0);
    wait_for(&d, S);
    answer(&d, 200, again, 4, 0);
    for (size_t i = 0; i < d.env.output_count; i++) {
        const fake_output *o = &d.env.outputs[i];
        kt_ev_correction ev;

        if (o->kind != KT_EV_CORRECTION || kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev) != KT_OK ||
            ev.revision != 0 || ev.window != 5 * S || !kt_text_equal(kt_texts_get(&ev.trade_ids, 0), KT_TEXT("a")))
            continue;
        for (size_t mark = 0; mark < KT_COUNT(delta); mark++)
            if (ev.mark_from <= T0 + (101 + (int64_t)mark) * S && T0 + (101 + (int64_t)mark) * S <= ev.mark_to)
                delta[mark] += (int)ev.delta_trades;
    }
    for (size_t mark = 0; mark < KT_COUNT(delta); mark++)
        if (delta[mark] != expected[mark])
            fail_msg("mark %zu s: %d trades", 101 + mark, delta[mark]);
    desk_close(&d);
}

static void test_scales(void **state)
{
    kt_ev_vwap value = { 0 };
    desk d;

    desk_open(&d);
    tick(&d, &(given){ 500, "100.25", "0.001", "a" });
    tick(&d, &(given){
                 600, "100.2512345", "0.00000001", "b" }); /* more digits than the instrument has: exact all the same */
    tick(&d, &(given){ 1500, "100.25", "1", "c" });
    assert_true(newest(&d, KT_EV_VWAP, "vwap.5s.gen.BTC", &value));
    assert_int_equal(value.mark, T0 + S);
    assert_true(kt_sum_value(value.sum_pq) == 100250000ll * 1000000 + 1002512345);
    assert_int_equal(value.sum_pq.scale, 15);
    assert_true(kt_sum_value(value.sum_q) == 100001);
    assert_int_equal(value.price.scale, 4);
    assert_int_equal(value.price.m, 1002500);
    desk_close(&d);
}

static void test_asking(void **state)
{
    kt_ev_request request = { 0 };
    desk d;
    uint32_t asked;
    int64_t failed_at;

    desk_open(&d);
    tick(&d, &(given){ 500, "100", "1", "a" });
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1);
    tick(&d, &(given){ 600, "100", "1", "b" });
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1); /* one at a time */
    failed_at = d.env.now_ns;
    answer(&d, 429, NULL, 0, failed_at + 10 * S);
    wait_for(&d, 10 * S - 1);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1); /* not before the venue said */
    wait_for(&d, S);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 2);
    for (uint32_t i = 0; i < 10; i++) {
        answer(&d, 500, NULL, 0, 0);
        wait_for(&d, 31 * S);
    }
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 12); /* failures wait longer and longer, 30 s at most */
    assert_true(newest(&d, KT_EV_REQUEST, "request.gen", &request));
    asked = count_of(&d, KT_EV_REQUEST);
    wait_for(&d, 61 * S);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), asked + 1); /* an answer that never comes is asked for again */
    /* A restart asks for what is open, by the same name. */
    assert_true(newest(&d, KT_EV_REQUEST, "request.gen", &request));
    kt_ev_lane_start start;
    uint64_t open = request.request_id;
    kt_event_init(KT_EV_LANE_START, &start);
    start.lane = KT_TEXT("market");
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_LANE_START, "lane.start.market", &start);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), asked + 2);
    assert_true(newest(&d, KT_EV_REQUEST, "request.gen", &request));
    assert_int_equal(request.request_id, open);
    desk_close(&d);
}

/* REST is switched off and on while the house runs: what is open is not asked again, and it begins anew with what changed. */
static void test_rest_is_switched(void **state)
{
    kt_ev_settings settings;
    uint32_t asked;
    kt_err err;
    desk d;

    desk_open(&d);
    kt_event_init(KT_EV_SETTINGS, &settings);
    settings.section = KT_TEXT("repair");
    tick(&d, &(given){ 500, "100", "1", "a" });
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1);
    assert_int_equal(kt_config_settings(d.config, settings.section, KT_TEXT("{\"enabled\":false}"), &err), KT_OK);
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_SETTINGS, "settings", &settings);
    answer(&d, 200, &(given){ 500, "100", "1", "a" }, 1, 0); /* it was on its way */
    tick(&d, &(given){ 1500, "100", "1", "b" });
    wait_for(&d, 60 * S);
    asked = count_of(&d, KT_EV_REQUEST);
    assert_int_equal(asked, 1);
    assert_int_equal(kt_config_settings(d.config, settings.section, KT_TEXT("{\"enabled\":true}"), &err), KT_OK);
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_SETTINGS, "settings", &settings);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), asked + 1);
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_SETTINGS, "settings", &settings);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), asked + 1); /* one at a time */
    desk_close(&d);
}

/* A house that ran without REST starts again with it, from a snapshot. */
static void test_rest_is_there_after_a_restart(void **state)
{
    kt_writer writer;
    void *again;
    kt_err err;
    desk d;

    desk_open(&d);
    tick(&d, &(given){ 500, "100", "1", "a" });
    assert_int_equal(kt_config_settings(d.config, KT_TEXT("repair"), KT_TEXT("{\"enabled\":false}"), &err), KT_OK);
    kt_ev_settings settings;
    kt_event_init(KT_EV_SETTINGS, &settings);
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_SETTINGS, "settings", &settings);
    answer(&d, 200, &(given){ 500, "100", "1", "a" }, 1, 0);
    wait_for(&d, 60 * S);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1);
    kt_writer_init(&writer);
    assert_int_equal(kt_market_service.snapshot(d.state, &writer), KT_OK);
    assert_int_equal(kt_config_settings(d.config, KT_TEXT("repair"), KT_TEXT("{\"enabled\":true}"), &err), KT_OK);
    assert_int_equal(kt_market_service.start(&d.env, d.config, &again, &err), KT_OK);
    assert_int_equal(kt_market_service.restore(
                         again, kt_market_service.version, (kt_text){ (char *)writer.bytes, writer.size }, &err),
        KT_OK);
    kt_market_service.stop(d.state);
    d.state = again;
    lane_start(&d);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 2);
    kt_writer_done(&writer);
    desk_close(&d);
}

/* "Too many" counts for the whole venue, also for questions whose turn had been settled before. */
static void test_too_many_is_for_all(void **state)
{
    static const given first = { 500, "100", "1", "a" };
    kt_ev_tick ev;
    desk d;

    desk_open(&d);
    tick(&d, &first);
    for (uint32_t i = 0; i < 10; i++) { /* more symbols than the venue takes requests at once: they wait in a row */
        char subject[32];

        kt_event_init(KT_EV_TICK, &ev);
        ev.venue_time = T0;
        ev.price = ev.quantity = decimal("1");
        ev.trade_id = KT_TEXT("a");
        snprintf(subject, sizeof subject, "feed.gen.S%u", i);
        fake_input(&d.env, &kt_market_service, d.state, KT_EV_TICK, subject, &ev);
    }
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1);
    answer(&d, 429, NULL, 0, d.env.now_ns + 10 * S);
    wait_for(&d, 10 * S - 1);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 1);
    wait_for(&d, 2 * S);
    assert_int_equal(count_of(&d, KT_EV_REQUEST), 12);
    desk_close(&d);
}

/* A symbol that the venue does not know costs the others nothing; what the venue says is asked for again each hour. */
static void test_instruments(void **state)
{
    static const struct {
        const char *asked; /* "": all together */
        uint16_t status;
    } rows[] = { { "", 400 }, { "BTC", 200 }, { "NOPE", 400 }, { "ETH", 500 }, { "ETH", 200 }, { "", 200 } };
    kt_ev_lane_start start;
    desk d;

    desk_open_with(&d, "", "", numbered_venue);
    d.venue = "bin";
    kt_event_init(KT_EV_LANE_START, &start);
    start.lane = KT_TEXT("market");
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_LANE_START, "lane.start.market", &start);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        kt_ev_request request;

        assert_int_equal(count_of(&d, KT_EV_REQUEST), i + 1);
        assert_true(newest(&d, KT_EV_REQUEST, "request.bin", &request));
        assert_int_equal(request.what, KT_WHAT_INSTRUMENTS);
        assert_true(kt_text_equal(request.symbol, kt_text_of(rows[i].asked)));
        answer(&d, rows[i].status, NULL, 0, 0);
        wait_for(&d, rows[i].status == 500 ? S : strcmp(rows[i].asked, "ETH") == 0 ? KT_NS_PER_HOUR : 0);
    }
    assert_int_equal(count_of(&d, KT_EV_REQUEST), KT_COUNT(rows));
    desk_close(&d);
}

/* A gap of three hours: each mark of the windows comes, once and in order, but not all with one input. */
static void test_gap(void **state)
{
    int64_t last = 0;
    uint32_t count = 0, at_once;
    desk d;

    desk_open_with(&d, ", 1h, 2h", "", "");
    tick(&d, &(given){ 500, "100", "1", "a" });
    tick(&d, &(given){ 3 * 3600 * 1000, "100", "1", "b" });
    tick(&d, &(given){ 3 * 3600 * 1000 + 1, "100", "1", "c" });
    at_once = count_of(&d, KT_EV_VWAP);
    assert_in_range(at_once, 4096, 5000);
    wait_for(&d, S);
    for (size_t i = 0; i < d.env.output_count; i++) {
        const fake_output *o = &d.env.outputs[i];
        kt_ev_vwap ev;

        if (strcmp(o->subject, "vwap.2h.gen.BTC") != 0)
            continue;
        assert_int_equal(kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev), KT_OK);
        assert_true(ev.mark == (last == 0 ? T0 + S : last + S) || ev.mark == T0 + 3 * 3600 * S);
        last = ev.mark;
        count++;
    }
    assert_int_equal(count, 7200 + 1); /* T0 + 1 s to T0 + 7200 s, and the second of the trades behind the gap */
    desk_close(&d);
}

/* The greatest `missing` that any stats of the desk's feed ever told. */
static uint64_t missing_most(const desk *d)
{
    uint64_t most = 0;

    for (size_t i = 0; i < d->env.output_count; i++) {
        const fake_output *o = &d->env.outputs[i];
        kt_ev_feed_stats stats;

        if (o->kind != KT_EV_FEED_STATS)
            continue;
        assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, &stats), KT_OK);
        most = stats.missing > most ? stats.missing : most;
    }
    return most;
}

/* A venue whose first number is great: what lies before it is missing at no moment, whatever REST has said so far. */
static void test_missing_of_numbers(void **state)
{
    static const given trades[] = { { 100, "100", "1", "3735683259" }, { 1600, "100", "1", "3735683260" },
        { 2700, "100", "1", "3735683261" }, { 3800, "100", "1", "3735683263" } };
    desk d;

    desk_open_with(&d, "", "", numbered_venue);
    d.venue = "bin";
    tick(&d, &trades[0]);
    tick(&d, &trades[1]); /* before REST has answered */
    wait_for(&d, 2 * S);
    assert_int_equal(missing_most(&d), 0);
    answer(&d, 200, trades, 1, 0); /* the way back: nothing is earlier, but no trade is taken yet */
    tick(&d, &trades[2]);
    wait_for(&d, 2 * S);
    assert_int_equal(missing_most(&d), 0);
    answer(&d, 200, trades, 3, 0);
    tick(&d, &trades[3]); /* 3735683262 has not come */
    wait_for(&d, 2 * S);
    assert_int_equal(missing_most(&d), 1);
    desk_close(&d);
}

/* A correction of a composite waits for the slowest REST, and still names trades that another venue's settled long ago:
 * here one of them is further back than the longest window of 20 s. */
static void test_composite_names_trades(void **state)
{
    static const given gen[] = { { 500, "100", "1", "a" }, { 1500, "100", "1", "dropped" }, { 8000, "100", "1", "c" },
        { 60000, "100", "1", "d" } };
    static const given bin[] = { { 500, "100", "1", "7" }, { 2500, "100", "1", "8" }, { 8000, "100", "1", "9" } };
    kt_ev_correction correction;
    desk d;

    desk_open_with(&d, "", composite, numbered_venue);
    d.venue = "bin";
    tick(&d, &bin[0]);
    tick(&d, &bin[1]);
    d.venue = "gen";
    tick(&d, &gen[0]);
    tick(&d, &gen[2]);
    answer(&d, 200, gen, 3, 0);
    wait_for(&d, S);
    answer(&d, 200, gen, 1, 0); /* nothing is earlier */
    assert_true(newest(&d, KT_EV_CORRECTION, "correction.5s.gen.BTC", &correction));
    tick(&d, &gen[3]);
    wait_for(&d, S);
    answer(&d, 200, &gen[2], 2, 0);
    assert_false(newest(&d, KT_EV_CORRECTION, "correction.5s.BOTH", &correction));
    d.venue = "bin";
    answer(&d, 200, bin, 1, 0);
    wait_for(&d, S);
    answer(&d, 200, bin, 3, 0);
    assert_true(newest(&d, KT_EV_CORRECTION, "correction.5s.BOTH", &correction));
    assert_int_equal(correction.mark_from, T0 + 6 * S);
    assert_int_equal(correction.trade_count, 1);
    assert_int_equal(correction.trade_ids.count, 1);
    assert_true(kt_text_equal(kt_texts_get(&correction.trade_ids, 0), KT_TEXT("dropped")));
    desk_close(&d);
}

/* REST's rows of trades 2 to 6 are not valid. A page of them is stepped over when the one behind it is valid, and what
 * was in it is known to be missing; a venue that gives nothing valid at all is asked again from the same place, more and
 * more seldom. */
static void test_invalid_rows(void **state)
{
    static const given trades[] = { { 500, "100", "1", "1" }, { 1500, "100", "1", "2" }, { 9000, "100", "1", "7" },
        { 10500, "100", "1", "8" } };
    static const struct {
        const char *name;
        uint64_t asked; /* from this number */
        const given *rows;
        uint32_t count, invalid;
        uint32_t failures; /* in a row, afterwards */
    } rows[] = {
        { "the first page", 1, trades, 1, 0, 0 },
        { "no valid row: the page behind is looked at", 2, NULL, 0, 5, 0 },
        { "nor is one there: the fault is the venue's", 7, NULL, 0, 2, 1 },
        { "it is asked again from the same place", 2, NULL, 0, 5, 1 },
        { "nothing is behind it yet", 7, NULL, 0, 0, 2 },
        { "again", 2, NULL, 0, 5, 2 },
        { "the page behind is valid: the first is stepped over", 7, &trades[2], 2, 0, 0 },
        { "and on from there", 9, NULL, 0, 0, 0 },
    };
    kt_ev_request request = { 0 };
    kt_ev_feed_stats stats = { 0 };
    uint32_t incomplete = 0, complete = 0;
    desk d;

    desk_open_with(&d, "", "", numbered_venue);
    d.venue = "bin";
    for (size_t i = 0; i < KT_COUNT(trades); i++)
        tick(&d, &trades[i]);
    answer(&d, 200, trades, 1, 0); /* the way back: nothing is earlier */
    wait_for(&d, 2 * S);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        assert_true(newest(&d, KT_EV_REQUEST, "request.bin", &request));
        if (request.from_id != rows[i].asked)
            fail_msg("%s: from %llu", rows[i].name, (unsigned long long)request.from_id);
        answer_with(&d, 200, rows[i].rows, rows[i].count, rows[i].invalid, 0);
        wait_for(&d, 6 * S);
        assert_true(newest(&d, KT_EV_FEED_STATS, "stats.bin.BTC", &stats));
        if (stats.rest_failures != rows[i].failures)
            fail_msg("%s: %u failures", rows[i].name, stats.rest_failures);
    }
    assert_int_equal(stats.rest_invalid, 5 + 2 + 5 + 5);
    assert_int_equal(stats.lost, 1);
    for (size_t i = 0; i < d.env.output_count; i++) {
        const fake_output *o = &d.env.outputs[i];
        kt_ev_vwap ev;

        if (strcmp(o->subject, "vwap.5s.bin.BTC") != 0 ||
            kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev) != KT_OK || !ev.validated)
            continue;
        incomplete += !ev.complete;
        complete += ev.complete;
    }
    assert_int_equal(
        incomplete, 5 + 2); /* marks 1 to 5 and 9 to 10: their windows hold 0.5 s or 9 s, the hole's ends */
    assert_int_equal(complete, 0);
    desk_close(&d);
}

static void link_is(desk *d, kt_link state)
{
    kt_ev_link ev;

    kt_event_init(KT_EV_LINK, &ev);
    ev.state = (uint8_t)state;
    fake_input(&d->env, &kt_market_service, d->state, KT_EV_LINK, "feed.gen.link", &ev);
}

/* REST's pages by time have rows that are not valid, one behind the other: the holes that they leave are one, and what no window
 * reaches any more is forgotten. */
static void test_holes_that_touch_are_one(void **state)
{
    static const given trades[] = { { 500, "100", "1", "a" }, { 1500, "100", "1", "b" }, { 2500, "100", "1", "c" },
        { 12500, "100", "1", "d" }, { 22500, "100", "1", "e" }, { 32500, "100", "1", "f" }, { 42500, "100", "1", "g" },
        { 52500, "100", "1", "h" } };
    static const given earlier[] = { { 10, "100", "1", "z" } };
    static const struct {
        const char *subject;
        int64_t incomplete_until; /* the last mark whose window reaches back to the holes' end, 1.5 s */
    } windows[] = { { "vwap.5s.gen.BTC", 6 }, { "vwap.20s.gen.BTC", 21 } };
    uint32_t complete = 0;
    desk d;

    desk_open(&d);
    for (size_t i = 0; i < KT_COUNT(trades); i++)
        tick(&d, &trades[i]);
    answer_with(&d, 200, trades, 1, 1, 0);
    wait_for(&d, S);
    answer(&d, 200, earlier, 1, 0);
    wait_for(&d, S);
    answer_with(&d, 200, &trades[1], 1, 1, 0);
    wait_for(&d, S);
    for (size_t count = 2; count <= 6; count += 2) {
        answer(&d, 200, &trades[2], (uint32_t)count, 0);
        wait_for(&d, 6 * S);
    }
    for (size_t i = 0; i < d.env.output_count; i++) {
        const fake_output *o = &d.env.outputs[i];

        for (size_t w = 0; w < KT_COUNT(windows); w++) {
            kt_ev_vwap ev;

            if (strcmp(o->subject, windows[w].subject) != 0 ||
                kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev) != KT_OK || !ev.validated)
                continue;
            if (ev.complete != (ev.mark > T0 + windows[w].incomplete_until * S))
                fail_msg("%s at %lld s: complete is %d", o->subject, (long long)((ev.mark - T0) / S), ev.complete);
            complete += ev.complete;
        }
    }
    assert_true(complete > 30);
    desk_close(&d);
}

/* REST is asked by time for the first time, gives these trades, and shows that nothing is earlier. */
static void rest_gives_all(desk *d, const given *rows, uint32_t count)
{
    answer(d, 200, rows, count, 0);
    wait_for(d, 60 * MS);
    answer(d, 200, rows, 1, 0);
}

/* The value of the mark so many seconds behind T0, provisional or validated; false: there is none. */
static bool value_at(const desk *d, const char *subject, int64_t mark_s, bool validated, kt_ev_vwap *out)
{
    for (size_t i = 0; i < d->env.output_count; i++) {
        const fake_output *o = &d->env.outputs[i];

        if (o->kind != KT_EV_VWAP || strcmp(o->subject, subject) != 0)
            continue;
        assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, out), KT_OK);
        if (out->mark == T0 + mark_s * S && out->validated == validated)
            return true;
    }
    return false;
}

/* The correction of that mark, of a provisional value by its validated one. */
static bool correction_at(const desk *d, const char *subject, int64_t mark_s, kt_ev_correction *out)
{
    for (size_t i = 0; i < d->env.output_count; i++) {
        const fake_output *o = &d->env.outputs[i];

        if (o->kind != KT_EV_CORRECTION || strcmp(o->subject, subject) != 0)
            continue;
        assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, out), KT_OK);
        if (out->mark_from == T0 + mark_s * S && out->revision != 0)
            return true;
    }
    return false;
}

/* A trade of the stream that the stream changes again: what was told in between has it otherwise, and names it once. */
static void test_a_trade_that_changes_twice(void **state)
{
    static const given others[] = { { 1600, "100", "1", "b" }, { 2600, "100", "1", "c" }, { 3600, "100", "1", "d" } };
    enum { MARKS = 3 }; /* with the first copy, the second, the third */
    static const struct {
        const char *name;
        given copies[MARKS]; /* the last one is what REST says */
        bool corrected[MARKS];
        uint8_t cause; /* of the last change */
    } rows[] = {
        { "both values before are wrong, by what changed last",
            { { 500, "100", "1", "a" }, { 500, "101", "1", "a" }, { 500, "101", "2", "a" } }, { true, true, false },
            KT_CAUSE_QUANTITY },
        { "a change that is taken back makes the first right again",
            { { 500, "100", "1", "a" }, { 500, "101", "1", "a" }, { 500, "100", "1", "a" } }, { false, true, false },
            KT_CAUSE_PRICE },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        given truth[1 + MARKS] = { rows[i].copies[MARKS - 1], others[0], others[1], others[2] };
        desk d;

        desk_open(&d);
        for (uint32_t k = 0; k < MARKS; k++) {
            tick(&d, &rows[i].copies[k]);
            tick(&d, &others[k]);
        }
        rest_gives_all(&d, truth, KT_COUNT(truth));
        for (int64_t mark = 1; mark <= MARKS; mark++) {
            kt_ev_vwap value = { 0 };
            kt_ev_correction correction = { 0 };
            bool corrected = correction_at(&d, "correction.5s.gen.BTC", mark, &correction);

            if (!value_at(&d, "vwap.5s.gen.BTC", mark, true, &value) || corrected != rows[i].corrected[mark - 1] ||
                value.revision != 1u + corrected)
                fail_msg("%s: mark %lld, corrected %d", rows[i].name, (long long)mark, corrected);
            if (!corrected)
                continue;
            assert_int_equal(correction.cause, rows[i].cause);
            assert_int_equal(correction.trade_count, 1);
            assert_true(kt_text_equal(kt_texts_get(&correction.trade_ids, 0), KT_TEXT("a")));
        }
        desk_close(&d);
    }
}

/* REST does not have a trade that was alone in its windows: their values are corrected to nothing. */
static void test_a_value_of_no_trade(void **state)
{
    static const given trades[] = { { 500, "100", "1", "a" }, { 60500, "100", "1", "b" } };
    static const given lost = { 30500, "100", "1", "x" };
    enum { FIRST = 31, LAST = 35 }; /* marks of 5 s that hold x */
    desk d;

    desk_open(&d);
    tick(&d, &trades[0]);
    tick(&d, &lost);
    tick(&d, &trades[1]);
    rest_gives_all(&d, trades, KT_COUNT(trades));
    for (int64_t mark = FIRST - 1; mark <= LAST + 1; mark++) {
        kt_ev_vwap value;
        kt_ev_correction correction = { 0 };
        bool within = mark >= FIRST && mark <= LAST;

        assert_int_equal(value_at(&d, "vwap.5s.gen.BTC", mark, false, &value), within);
        assert_false(value_at(&d, "vwap.5s.gen.BTC", mark, true, &value));
        assert_int_equal(correction_at(&d, "correction.5s.gen.BTC", mark, &correction), within);
        if (!within)
            continue;
        assert_int_equal(correction.old_trades, 1);
        assert_int_equal(correction.new_trades, 0);
        assert_int_equal(correction.cause, KT_CAUSE_CHANGED);
        assert_int_equal(correction.trade_count, 1);
        assert_true(kt_text_equal(kt_texts_get(&correction.trade_ids, 0), KT_TEXT("x")));
    }
    desk_close(&d);
}

/* A trade that REST left out, and that the stream then gives otherwise: the values that hold it, before and after, name it. */
static void test_a_trade_that_changes_after_rest_left_it_out(void **state)
{
    enum { FIRST = 31, LAST = 35 }; /* marks of 5 s that could hold it; those from 34 on are told after the change */
    static const given first[] = { { 500, "100", "1", "p" }, { 600, "100", "1", "q" }, { 700, "100", "1", "r" },
        { 800, "100", "1", "s" }, { 32000, "100", "1", "b" } };
    static const given b = { 32000, "100", "1", "b" }, c = { 33600, "100", "1", "c" },
                       last = { 35200, "100", "1", "d" };
    static const struct {
        const char *name;
        given before, after, again; /* `again` is told at the same moment */
        int64_t from, to;           /* marks whose values hold it */
    } rows[] = {
        { "its price", { 30500, "100", "1", "x" }, { 30500, "101", "1", "x" }, { 30500, "101", "1", "x" }, 31, 35 },
        { "its time", { 30500, "100", "1", "x" }, { 31900, "100", "1", "x" }, { 31900, "100", "1", "x" }, 31, 35 },
        { "its time, and back", { 30500, "100", "1", "x" }, { 31900, "100", "1", "x" }, { 30500, "100", "1", "x" }, 31,
            35 },
        { "from then on it is too far away to be counted", { 30500, "100", "1", "x" }, { 30500, "900", "1", "x" },
            { 30500, "900", "1", "x" }, 31, 33 },
        { "from then on it is no longer too far away", { 30500, "900", "1", "x" }, { 30500, "100", "1", "x" },
            { 30500, "100", "1", "x" }, 34, 35 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        desk at;

        desk_open(&at);
        for (uint32_t k = 0; k + 1 < KT_COUNT(first); k++)
            tick(&at, &first[k]);
        tick(&at, &rows[i].before);
        tick(&at, &b);
        rest_gives_all(&at, first, KT_COUNT(first));
        tick(&at, &c);
        tick(&at, &rows[i].after);
        tick(&at, &rows[i].again);
        tick(&at, &last);
        wait_for(&at, 6 * S);
        answer(&at, 200, (const given[]){ b, c, last }, 3, 0);
        for (int64_t mark = FIRST; mark <= LAST; mark++) {
            bool holds = mark >= rows[i].from && mark <= rows[i].to;
            kt_ev_correction correction = { 0 };
            bool corrected = correction_at(&at, "correction.5s.gen.BTC", mark, &correction);

            if (corrected != holds ||
                (holds && (correction.cause != KT_CAUSE_CHANGED || correction.trade_count != 1 ||
                              !kt_text_equal(kt_texts_get(&correction.trade_ids, 0), KT_TEXT("x")))))
                fail_msg("%s: mark %lld: corrected %d, cause %d, %u trades", rows[i].name, (long long)mark, corrected,
                    correction.cause, correction.trade_count);
        }
        desk_close(&at);
    }
}

/* Where REST is behind by more than six hours, a window that begins before what is kept of it has no validated value: it is
 * neither told nor corrected by the half that is kept. */
static void test_windows_that_are_no_longer_kept(void **state)
{
    enum { LAG_S = 6 * 3600, LONGEST_S = 20, KEPT_S = 11, MARKET_S = KEPT_S + LONGEST_S + LAG_S };
    static const given trades[] = { { 1000, "100", "1", "a" }, { 15000, "101", "1", "b" },
        { MARKET_S * 1000 - 500, "100", "1", "c" }, { MARKET_S * 1000, "100", "1", "d" } };
    static const given streamed = { 15000, "100", "1", "b" };
    static const struct {
        const char *value, *correction;
        int64_t span_s;
    } windows[] = { { "vwap.5s.gen.BTC", "correction.5s.gen.BTC", 5 },
        { "vwap.20s.gen.BTC", "correction.20s.gen.BTC", LONGEST_S } };
    desk d;

    desk_open(&d);
    tick(&d, &trades[0]);
    tick(&d, &streamed);
    tick(&d, &trades[2]);
    tick(&d, &trades[3]);
    rest_gives_all(&d, trades, KT_COUNT(trades));
    for (size_t w = 0; w < KT_COUNT(windows); w++)
        for (int64_t mark = 15; mark <= 15 + windows[w].span_s; mark++) {
            bool kept = mark - windows[w].span_s >= KEPT_S;
            kt_ev_correction correction;
            kt_ev_vwap value;

            assert_true(value_at(&d, windows[w].value, mark, false, &value));
            if (value_at(&d, windows[w].value, mark, true, &value) != kept ||
                correction_at(&d, windows[w].correction, mark, &correction) != kept)
                fail_msg("%s at %lld s", windows[w].value, (long long)mark);
        }
    desk_close(&d);
}

/* REST's rows of one time come in any order; where the venue numbers its trades or names them in order, they are taken so. */
static void test_order_of_rows(void **state)
{
    enum { ROWS = 4 };
    static const struct {
        const char *name, *venue;
        given rows[ROWS];
        const char *expected;
    } rows[] = {
        { "in order of time they stay as the venue gives them", "kra",
            { { 500, "100", "1", "5" }, { 1000, "100", "1", "10" }, { 1000, "100", "1", "9" },
                { 2000, "100", "1", "12" } },
            "5 10 9 12 " },
        { "out of it they are sorted by time, then by number", "kra",
            { { 2000, "100", "1", "12" }, { 1000, "100", "1", "10" }, { 1000, "100", "1", "9" },
                { 500, "100", "1", "5" } },
            "5 9 10 12 " },
        { "without numbers by their ids", "gen",
            { { 2000, "100", "1", "d" }, { 1000, "100", "1", "c" }, { 1000, "100", "1", "b" },
                { 500, "100", "1", "a" } },
            "a b c d " },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char text[64];
        kt_builder taken;
        desk d;

        desk_open_with(&d, "", "", timed_venue);
        d.venue = rows[i].venue;
        tick(&d, &(given){ 3000, "100", "1", "99" });
        answer(&d, 200, rows[i].rows, ROWS, 0);
        kt_builder_init(&taken, text, sizeof text);
        for (size_t k = 0; k < d.env.output_count; k++) {
            const fake_output *o = &d.env.outputs[k];
            kt_ev_trade ev;

            if (o->kind == KT_EV_TRADE && kt_event_decode(o->kind, d.env.bytes + o->at, o->size, &ev) == KT_OK &&
                ev.source == KT_SOURCE_REST)
                kt_builder_format(&taken, "%.*s ", KT_TEXT_ARG(ev.trade_id));
        }
        if (!kt_text_equal(kt_builder_done(&taken), kt_text_of(rows[i].expected)))
            fail_msg("%s: %s", rows[i].name, text);
        desk_close(&d);
    }
}

/* What was told last of the minute that starts so many seconds behind T0; revision 0: nothing. */
static kt_ev_quality minute_at(const desk *d, const char *subject, int64_t start_s)
{
    kt_ev_quality last = { 0 };

    for (size_t i = 0; i < d->env.output_count; i++) {
        const fake_output *o = &d->env.outputs[i];
        kt_ev_quality ev;

        if (o->kind != KT_EV_QUALITY || strcmp(o->subject, subject) != 0)
            continue;
        assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, &ev), KT_OK);
        if (ev.minute == T0 + start_s * S)
            last = ev;
    }
    return last;
}

/* REST gives one trade where it is asked for more than a look at what is earlier; there is nothing. */
static void rest_gives(desk *d, int64_t second, uint32_t id)
{
    char text[16];
    kt_ev_request request;

    snprintf(text, sizeof text, "%u", id);
    for (;;) {
        wait_for(d, 300 * MS);
        assert_true(newest(d, KT_EV_REQUEST, strcmp(d->venue, "bin") == 0 ? "request.bin" : "request.gen", &request));
        if (request.limit == 1 || (request.from_id == 0 && request.from_time == 0))
            answer(d, 200, &(given){ 10, "100", "1", "1" }, 1, 0);
        else
            break;
    }
    answer(d, 200, &(given){ second * 1000, "100", "1", text }, 1, 0);
}

/* The first trade of a stream, and REST's oldest ones before the second: with windows of 15 minutes it begins there. */
static void test_market_time_while_not_sure(void **state)
{
    enum { HOLD = -1 };
    static const struct {
        const char *name;
        const char *venue;
        struct {
            bool rest;
            int64_t second;
        } given[6];
        int64_t market;
        int64_t told_from; /* the first minute that quality tells, once the one of the last trade is over; HOLD: none */
    } rows[] = {
        { "REST's oldest trade proves nothing: no minute before the first of the stream is told", "gen",
            { { false, 1010 }, { true, 400 }, { false, 1011 } }, 1011, 1000 },
        { "nor do its next ones", "gen",
            { { false, 1010 }, { true, 400 }, { true, 500 }, { true, 600 }, { false, 1011 } }, 1011, 1000 },
        { "market time goes with them", "gen", { { false, 1010 }, { true, 400 }, { true, 500 } }, 500, HOLD },
        { "REST comes near the first: it is sure", "gen", { { false, 1010 }, { true, 400 }, { true, 950 } }, 1010,
            1000 },
        { "of two first trades far apart the later one waits, as it would without REST", "gen",
            { { false, 1010 }, { true, 400 }, { false, 1100 } }, 1010, 1000 },
        { "a first trade far in the future: REST's are kept, and the second, which is near them, is sure", "bin",
            { { false, 90000 }, { true, 1010 }, { true, 1011 }, { false, 1012 }, { false, 1013 } }, 1013, 1000 },
        { "a second one far before it: REST agrees with the second", "bin",
            { { false, 90000 }, { false, 1011 }, { true, 1010 } }, 1011, 1000 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char subject[32];
        kt_ev_feed_stats stats = { 0 };
        int64_t told_from = HOLD;
        desk d;

        desk_open_with(&d, ", 15m", "", numbered_venue);
        d.venue = rows[i].venue;
        lane_start(&d);
        for (uint32_t k = 0; k < KT_COUNT(rows[i].given) && rows[i].given[k].second != 0; k++) {
            char id[16];

            snprintf(id, sizeof id, "%u", 100 + k);
            if (rows[i].given[k].rest)
                rest_gives(&d, rows[i].given[k].second, 2 + k);
            else
                tick(&d, &(given){ rows[i].given[k].second * 1000, "100", "1", id });
        }
        wait_for(&d, 2 * S);
        snprintf(subject, sizeof subject, "stats.%s.BTC", rows[i].venue);
        assert_true(newest(&d, KT_EV_FEED_STATS, subject, &stats));
        if (stats.market_time != T0 + rows[i].market * S)
            fail_msg("%s: market time %lld", rows[i].name, (long long)((stats.market_time - T0) / S));
        wait_for(&d, 70 * S);
        snprintf(subject, sizeof subject, "quality.%s.BTC", rows[i].venue);
        for (int64_t s = -20; s <= 90000 && told_from == HOLD; s += 60)
            if (minute_at(&d, subject, s).revision > 0)
                told_from = s;
        if (told_from != rows[i].told_from)
            fail_msg("%s: told from %lld", rows[i].name, (long long)told_from);
        desk_close(&d);
    }
}

/* T0 is 20 s behind the start of a minute, the lane's clock at the start of one. */
static void test_quality_of_silence(void **state)
{
    static const given known[] = { { 0, "100", "1", "a" }, { 500, "101", "1", "x" }, { 1000, "100", "1", "b" } };
    kt_ev_quality minute;
    desk d;

    desk_open(&d);
    lane_start(&d);
    link_is(&d, KT_LINK_CONNECTED);
    tick(&d, &known[0]);
    tick(&d, &known[2]);
    wait_for(&d, 10 * S);
    link_is(&d, KT_LINK_DISCONNECTED);
    wait_for(&d, S);
    link_is(&d, KT_LINK_CONNECTING);
    wait_for(&d, 3 * S);
    link_is(&d, KT_LINK_CONNECTED);
    wait_for(&d, 31 * S);
    link_is(&d, KT_LINK_SILENT); /* nothing for the watchdog's 10 s: since 36 s of market time */
    wait_for(&d, 85 * S);
    minute = minute_at(&d, "quality.gen.BTC", -20);
    assert_int_equal(minute.revision, 1);
    assert_int_equal(minute.received, 2);
    assert_int_equal(minute.silence, (4 + 4) * S);
    assert_int_equal(minute_at(&d, "quality.gen", -20).silence, (4 + 4) * S);
    minute = minute_at(&d, "quality.gen.BTC", 40); /* the next one, without a trade */
    assert_int_equal(minute.revision, 1);
    assert_int_equal(minute.received, 0);
    assert_int_equal(minute.silence, 60 * S);

    answer(&d, 200, known, 3, 0); /* the trade that nobody had seen */
    minute = minute_at(&d, "quality.gen.BTC", -20);
    assert_int_equal(minute.revision, 2);
    assert_int_equal(minute.missing, 1);
    assert_int_equal(minute.repaired, 1);
    assert_int_equal(minute.silence, (4 + 4) * S);
    desk_close(&d);
}

/* Each second one of 200 ms: what is known of silence begins with the oldest that is kept. */
static void test_quality_of_a_link_that_flaps(void **state)
{
    enum { OUTAGES = KT_QUALITY_OUTAGE_MAX + 6 };
    kt_quality_clock clock = { 0 };

    kt_quality_clock_move(&clock, T0, T0);
    for (int64_t i = 0; i < OUTAGES; i++) {
        kt_quality_clock_lost(&clock, T0 + i * S);
        kt_quality_clock_connected(&clock, T0 + i * S + 200 * MS);
    }
    assert_int_equal(clock.outage_count, KT_QUALITY_OUTAGE_MAX);
    for (int64_t i = 0; i < KT_QUALITY_OUTAGE_MAX; i++) {
        assert_int_equal(clock.outages[i].from_ns, T0 + (6 + i) * S);
        assert_int_equal(clock.outages[i].to_ns, T0 + (6 + i) * S + 200 * MS);
    }
}

/* A log may hold the links of a venue that is no longer configured. */
static void test_links_of_another_venue_mean_nothing(void **state)
{
    kt_ev_link ev;
    desk d;

    desk_open(&d);
    kt_event_init(KT_EV_LINK, &ev);
    ev.state = KT_LINK_CONNECTED;
    fake_input(&d.env, &kt_market_service, d.state, KT_EV_LINK, "feed.gone.link", &ev);
    assert_int_equal(d.env.output_count, 0);
    desk_close(&d);
}

/* The house stands still for half an hour: of the minutes between the last ones are told, as silent. */
static void test_quality_of_a_standstill(void **state)
{
    uint32_t told = 0;
    desk d;

    desk_open(&d);
    lane_start(&d);
    link_is(&d, KT_LINK_CONNECTED);
    tick(&d, &(given){ 0, "100", "1", "a" });
    tick(&d, &(given){ 1000, "100", "1", "b" });
    d.env.now_ns += 1800 * S;
    lane_start(&d);
    for (int64_t s = 40; s < 1900; s += 60) {
        kt_ev_quality minute = minute_at(&d, "quality.gen.BTC", s);

        told += minute.revision;
        if (minute.revision > 0)
            assert_int_equal(minute.silence, 60 * S);
    }
    assert_int_equal(told, KT_QUALITY_CATCH_UP);
    assert_int_equal(minute_at(&d, "quality.gen.BTC", -20).silence, 39 * S); /* it was open */
    desk_close(&d);
}

/* Without a feed: what a version brought stands at the end of the only venue, and at the start. */
static void test_snapshots_of_before(void **state)
{
    enum { HEARD = 8, CLOCK = 4 * 8 + 1 + 4, QUALITY = 5 * 8 + 1 + 4 + 2 * (8 + 4), BREAKS = 8, FEED_COUNT = 4 };
    static const struct {
        uint16_t version;
        size_t heard, venue_end;
    } rows[] = { { 1, HEARD, CLOCK + QUALITY + BREAKS }, { 2, 0, BREAKS } };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t heard = rows[i].heard;
        kt_writer now, then;
        kt_err err;
        desk d;

        desk_open(&d);
        kt_writer_init(&now);
        kt_writer_init(&then);
        assert_int_equal(kt_market_service.snapshot(d.state, &now), KT_OK);
        kt_writer_put(&then, now.bytes, 1);
        kt_writer_put(&then, now.bytes + 1 + heard, now.size - 1 - heard - rows[i].venue_end - FEED_COUNT);
        kt_writer_put(&then, now.bytes + now.size - FEED_COUNT, FEED_COUNT);
        assert_int_equal(
            kt_market_service.restore(d.state, rows[i].version, (kt_text){ (char *)then.bytes, then.size }, &err),
            KT_OK);
        kt_writer_done(&then);
        kt_writer_init(&then);
        assert_int_equal(kt_market_service.snapshot(d.state, &then), KT_OK);
        assert_int_equal(now.size, then.size);
        assert_memory_equal(now.bytes, then.bytes, now.size);
        kt_writer_done(&now);
        kt_writer_done(&then);
        desk_close(&d);
    }
}

static void test_snapshot_refused(void **state)
{
    kt_writer writer;
    kt_err err;
    desk d;

    desk_open(&d);
    tick(&d, &(given){ 500, "100", "1", "a" });
    tick(&d, &(given){ 1600, "100", "1", "b" });
    kt_writer_init(&writer);
    assert_int_equal(kt_market_service.snapshot(d.state, &writer), KT_OK);
    for (size_t size = 0; size < writer.size; size++) {
        void *again;

        assert_int_equal(kt_market_service.start(&d.env, d.config, &again, &err), KT_OK);
        assert_int_equal(
            kt_market_service.restore(again, kt_market_service.version, (kt_text){ (char *)writer.bytes, size }, &err),
            KT_CORRUPT);
        kt_market_service.stop(again);
    }
    kt_writer_done(&writer);
    desk_close(&d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_no_sum_can_hold_is_refused),
        cmocka_unit_test(test_market_time),
        cmocka_unit_test(test_market_time_while_not_sure),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_later_change),
        cmocka_unit_test(test_later_change_of_time),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_a_trade_that_changes_twice),
        cmocka_unit_test(test_a_value_of_no_trade),
        cmocka_unit_test(test_a_trade_that_changes_after_rest_left_it_out),
        cmocka_unit_test(test_windows_that_are_no_longer_kept),
        cmocka_unit_test(test_order_of_rows),
        cmocka_unit_test(test_asking),
        cmocka_unit_test(test_rest_is_switched),
        cmocka_unit_test(test_rest_is_there_after_a_restart),
        cmocka_unit_test(test_too_many_is_for_all),
        cmocka_unit_test(test_instruments),
        cmocka_unit_test(test_missing_of_numbers),
        cmocka_unit_test(test_composite_names_trades),
        cmocka_unit_test(test_invalid_rows),
        cmocka_unit_test(test_holes_that_touch_are_one),
        cmocka_unit_test(test_quality_of_silence),
        cmocka_unit_test(test_quality_of_a_link_that_flaps),
        cmocka_unit_test(test_links_of_another_venue_mean_nothing),
        cmocka_unit_test(test_quality_of_a_standstill),
        cmocka_unit_test(test_snapshots_of_before),
        cmocka_unit_test(test_snapshot_refused),
        cmocka_unit_test(test_gap),
    };

    return cmocka_run_group_tests_name("market_rules", tests, NULL, NULL);
}
