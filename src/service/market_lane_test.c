/* The market service inside a real lane: the same bytes whatever the hash seed, the addresses and the batch size, over
 * a kill and a clean restart in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"
#include "lane/script.h"
#include "log/record.h"
#include "schema/config.h"
#include "service/market.h"

#define S KT_NS_PER_S
#define MS KT_NS_PER_MS

enum { TRADES = 600, PAGE = 100, ANSWERED_MAX = 512 };

static const char config_text[] =
    "vwap: {windows: [5s, 1m], interval_ms: 60000, composites: [{ticker: ALL, members: "
    "[{venue: gen, symbol: BTC}]}]}\n"
    "repair: {interval_ms: 250}\n"
    "venues: [{name: gen, format: generic, ws_url: \"ws://127.0.0.1:1/stream\", rest_url: "
    "\"http://127.0.0.1:1/trades\", price_scale: 2, quantity_scale: 3, requests_per_s: 20}]\n";

typedef struct truth {
    int64_t time_ns;
    int64_t price;
    int64_t qty;
    char id[16];
} truth;

typedef struct play {
    kt_script *script;
    truth trades[TRADES];
    uint32_t released;
    uint64_t answered[ANSWERED_MAX]; /* request ids */
    uint32_t answered_count;
    /* the request that is to be answered now */
    kt_ev_request request;
    uint64_t seq;
    bool found;
} play;

static void see_request(void *ctx, const kt_event *event)
{
    play *p = ctx;
    kt_ev_request ev;

    if (p->found || kt_event_decode(KT_EV_REQUEST, event->payload, event->size, &ev) != KT_OK)
        return;
    for (uint32_t i = 0; i < p->answered_count; i++)
        if (p->answered[i] == ev.request_id)
            return;
    p->request = ev;
    p->request.symbol = (kt_text){ 0 };
    p->seq = event->rec->seq;
    p->found = true;
}

static bool answer_one(play *p)
{
    kt_row_trade rows[PAGE];
    uint32_t count = 0;
    kt_ev_answer ev;

    p->found = false;
    kt_script_each(p->script, "request.gen", see_request, p);
    if (!p->found)
        return false;
    assert_true(p->answered_count < ANSWERED_MAX);
    p->answered[p->answered_count++] = p->request.request_id;
    for (uint32_t i = 0; i < p->released && count < PAGE; i++)
        if (p->trades[i].time_ns / MS >= p->request.from_time / MS)
            rows[count++] = (kt_row_trade){ .venue_time = p->trades[i].time_ns,
                .price = { .m = p->trades[i].price, .scale = 2 },
                .quantity = { .m = p->trades[i].qty, .scale = 3 },
                .trade_id = kt_text_of(p->trades[i].id) };
    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = p->request.request_id;
    ev.what = p->request.what;
    ev.status = 200;
    ev.rows = KT_ROWS_OF(rows, count);
    ev.row_count = count;
    ev.receive_time = p->script->now_ns;
    kt_script_answer(p->script, p->script->now_ns, p->seq, KT_EV_ANSWER, KT_TEXT("answer.gen"), &ev);
    return true;
}

static void tick(play *p, uint32_t index, int64_t price)
{
    kt_ev_tick ev;

    kt_event_init(KT_EV_TICK, &ev);
    ev.venue_time = p->trades[index].time_ns;
    ev.receive_time = p->script->now_ns;
    ev.price = (kt_decimal){ .m = price, .scale = 2 };
    ev.quantity = (kt_decimal){ .m = p->trades[index].qty, .scale = 3 };
    ev.trade_id = kt_text_of(p->trades[index].id);
    kt_script_input(p->script, p->script->now_ns, KT_EV_TICK, KT_TEXT("feed.gen.BTC"), &ev);
}

static void play_all(kt_script *script, void *ctx)
{
    static play p;
    kt_rng rng;
    int64_t time = 1700000000 * S;

    p = (play){ .script = script };
    kt_rng_init(&rng, 42);
    kt_script_time(script, 1800000000 * S);
    for (uint32_t i = 0; i < TRADES; i++) {
        time += kt_rng_between(&rng, 0, 500) * MS;
        p.trades[i] = (truth){
            .time_ns = time, .price = kt_rng_between(&rng, 100000, 101000), .qty = kt_rng_between(&rng, 1, 100000)
        };
        snprintf(p.trades[i].id, sizeof p.trades[i].id, "id-%u", i);
    }
    for (uint32_t i = 0; i < TRADES; i++) {
        p.released = i + 1;
        if (!kt_rng_chance(&rng, 0.1))
            tick(&p, i, kt_rng_chance(&rng, 0.05) ? 3 * p.trades[i].price : p.trades[i].price);
        if (i > 0 && kt_rng_chance(&rng, 0.05))
            tick(&p, i - 1, p.trades[i - 1].price);
        kt_script_time(script, script->now_ns + 40 * MS);
        if (i % 25 == 24)
            answer_one(&p);
        if (i == TRADES / 3)
            kt_script_restart(script, false); /* open requests are asked for again */
        if (i == TRADES / 2)
            kt_script_restart(script, true); /* from a snapshot */
    }
    for (uint32_t i = 0; i < 40; i++) {
        kt_script_time(script, script->now_ns + S);
        answer_one(&p);
    }
    /* Every mark that REST has passed has a validated value, of the feed and of the composite. */
    assert_true(kt_script_each(script, "vwap.5s.gen.BTC", NULL, NULL) > 100);
    assert_int_equal(
        kt_script_each(script, "vwap.5s.gen.BTC", NULL, NULL), kt_script_each(script, "vwap.5s.ALL", NULL, NULL));
    assert_true(kt_script_each(script, "correction.1m.gen.BTC", NULL, NULL) > 10);
}

static void test_deterministic(void **state)
{
    static const kt_service_spec *const services[] = { &kt_market_service, NULL };
    kt_config *config;
    kt_err err;

    if (kt_config_parse("test", config_text, strlen(config_text), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_true(
        kt_script_deterministic(&(kt_script_options){ .services = services, .config = config }, play_all, NULL));
    kt_config_free(config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_deterministic) };

    return cmocka_run_group_tests_name("market_lane", tests, NULL, NULL);
}
