/* The book service inside a real lane. What a subscriber makes of its outputs is compared, after each of them, with a slow
 * second book: all updates of the market from the first one on, played again into a list. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/test_util.h"
#include "base/text.h"
#include "base/time.h"
#include "lane/script.h"
#include "log/record.h"
#include "schema/config.h"
#include "service/book.h"

#define S KT_NS_PER_S
#define MS KT_NS_PER_MS
#define START_NS (INT64_C(1800000000) * S)

enum { SYMBOLS = 2, UPDATE_MAX = 20000, PRICES = 100, LEVEL_MAX = 64, REQUEST_MAX = 1024, FIRST_ID = 1000 };

static const char *const symbols[SYMBOLS] = { "BTC/USDT", "ETH/USDT" };

static const char config_text[] =
    "venues: [{name: bin, format: binance, ws_url: 'ws://127.0.0.1:1', rest_url: 'http://127.0.0.1:1', symbols: "
    "[BTC/USDT, ETH/USDT], books: true}]\n";

/* ---- the true market ---- */

typedef struct update {
    uint8_t bid;
    uint32_t price; /* 1 to PRICES: bids below its half, asks above */
    uint32_t quantity;
} update;

/* Update `id` stands at id - FIRST_ID. */
typedef struct truth {
    update updates[UPDATE_MAX];
    uint64_t next_id;
} truth;

typedef struct slow_book {
    uint32_t quantity[PRICES + 1]; /* by price; nobody is on both sides of one */
} slow_book;

static void slow_at(const truth *t, uint64_t last_id, slow_book *out)
{
    memset(out, 0, sizeof *out);
    for (uint64_t id = FIRST_ID; id <= last_id; id++)
        out->quantity[t->updates[id - FIRST_ID].price] = t->updates[id - FIRST_ID].quantity;
}

static kt_row_level level_of(uint32_t price, uint32_t quantity)
{
    return (kt_row_level){ kt_decimal_canon((kt_decimal){ .m = price, .scale = 2 }),
        kt_decimal_canon((kt_decimal){ .m = quantity, .scale = 3 }) };
}

/* What happens next: `count` updates. */
static void happen(truth *t, kt_rng *rng, uint32_t count)
{
    for (; count > 0; count--, t->next_id++) {
        bool bid = kt_rng_chance(rng, 0.5);

        kt_assert(t->next_id - FIRST_ID < UPDATE_MAX);
        t->updates[t->next_id - FIRST_ID] = (update){ .bid = bid,
            .price = 1 + (uint32_t)kt_rng_below(rng, PRICES / 2) + (bid ? 0 : PRICES / 2),
            .quantity = kt_rng_chance(rng, 0.4) ? 0 : 1 + (uint32_t)kt_rng_below(rng, 100000) };
    }
}

/* ---- one run ---- */

typedef struct play {
    kt_script *script;
    kt_rng rng;
    truth truths[SYMBOLS];
    uint64_t answered[REQUEST_MAX];
    uint32_t answered_count, requests[SYMBOLS];
    bool rest_fails;
    /* the request that is to be answered now */
    kt_ev_request request;
    char symbol[32];
    uint64_t seq;
    bool found;
} play;

static uint32_t symbol_index(kt_text symbol)
{
    for (uint32_t i = 0; i < SYMBOLS; i++)
        if (kt_text_equal(symbol, kt_text_of(symbols[i])))
            return i;
    fail_msg("symbol %.*s", KT_TEXT_ARG(symbol));
    return 0;
}

static kt_text feed_subject(uint32_t symbol, char out[64])
{
    return (kt_text){ out, (size_t)snprintf(out, 64, "feed.bin.%s", symbols[symbol]) };
}

static void send_change(play *p, uint32_t symbol, uint64_t first_id, uint64_t last_id, int64_t time_ns)
{
    const truth *t = &p->truths[symbol];
    kt_row_level rows[2][LEVEL_MAX];
    uint32_t counts[2] = { 0 };
    char subject[64];
    kt_ev_book ev;

    for (uint64_t id = first_id; id <= last_id; id++) {
        const update *u = &t->updates[id - FIRST_ID];

        kt_assert(counts[u->bid] < LEVEL_MAX);
        rows[u->bid][counts[u->bid]++] = level_of(u->price, u->quantity);
    }
    kt_event_init(KT_EV_BOOK, &ev);
    ev.venue_time = time_ns;
    ev.receive_time = p->script->now_ns;
    ev.first_id = first_id;
    ev.last_id = last_id;
    ev.bids = KT_ROWS_OF(rows[1], counts[1]);
    ev.asks = KT_ROWS_OF(rows[0], counts[0]);
    kt_script_input(p->script, p->script->now_ns, KT_EV_BOOK, feed_subject(symbol, subject), &ev);
}

static void send_ticker(play *p, uint32_t symbol, uint64_t update_id)
{
    char subject[64];
    kt_ev_ticker ev;

    kt_event_init(KT_EV_TICKER, &ev);
    ev.receive_time = p->script->now_ns;
    ev.update_id = update_id;
    ev.bid = (kt_decimal){ .m = (int64_t)update_id };
    kt_script_input(p->script, p->script->now_ns, KT_EV_TICKER, feed_subject(symbol, subject), &ev);
}

static void see_request(void *ctx, const kt_event *event)
{
    play *p = ctx;
    kt_ev_request ev;

    if (p->found || kt_event_decode(KT_EV_REQUEST, event->payload, event->size, &ev) != KT_OK)
        return;
    for (uint32_t i = 0; i < p->answered_count; i++)
        if (p->answered[i] == ev.request_id)
            return;
    assert_int_equal(ev.what, KT_WHAT_BOOK);
    snprintf(p->symbol, sizeof p->symbol, "%.*s", KT_TEXT_ARG(ev.symbol));
    p->request = ev;
    p->request.symbol = kt_text_of(p->symbol);
    p->seq = event->rec->seq;
    p->found = true;
}

/* Answer the open request, if there is one, with the book as it was `age` updates ago. */
static bool answer_one(play *p, uint64_t age)
{
    kt_row_level rows[2][PRICES];
    uint32_t counts[2] = { 0 };
    slow_book book;
    kt_ev_answer ev;

    p->found = false;
    kt_script_each(p->script, "request.bin", see_request, p);
    if (!p->found)
        return false;
    assert_true(p->answered_count < REQUEST_MAX);
    p->answered[p->answered_count++] = p->request.request_id;
    uint32_t symbol = symbol_index(p->request.symbol);
    const truth *t = &p->truths[symbol];
    uint64_t last_id = t->next_id - 1 - FIRST_ID > age ? t->next_id - 1 - age : FIRST_ID;

    p->requests[symbol]++;
    slow_at(t, last_id, &book);
    for (uint32_t price = 1; price <= PRICES; price++)
        if (book.quantity[price] != 0) {
            bool bid = price <= PRICES / 2;
            rows[bid][counts[bid]++] = level_of(price, book.quantity[price]);
        }
    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = p->request.request_id;
    ev.what = p->request.what;
    ev.symbol = p->request.symbol;
    ev.receive_time = p->script->now_ns;
    if (p->rest_fails) {
        ev.status = 503;
        ev.error = KT_TEXT("status 503");
        ev.retry_after = p->script->now_ns + 2 * S;
    } else {
        ev.status = 200;
        ev.last_id = last_id;
        ev.bids = KT_ROWS_OF(rows[1], counts[1]);
        ev.asks = KT_ROWS_OF(rows[0], counts[0]);
        ev.row_count = 1;
    }
    kt_script_answer(p->script, p->script->now_ns, p->seq, KT_EV_ANSWER, KT_TEXT("answer.bin"), &ev);
    return true;
}

/* ---- a subscriber ---- */

typedef struct subscriber {
    const truth *truth;
    slow_book book;
    uint64_t last_id;
    bool synced;
    uint32_t snapshots, changes, resyncs;
    int64_t snapshot_ns; /* the last one */
    int64_t longest_ns;  /* between a snapshot and the next one */
} subscriber;

static void take_rows(subscriber *sub, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level row;
        int64_t price, quantity;

        kt_rows_get(&kt_row_table_level, rows, i, &row);
        assert_int_equal(kt_decimal_rescale(row.price, 2, &price), KT_OK);
        assert_int_equal(kt_decimal_rescale(row.quantity, 3, &quantity), KT_OK);
        sub->book.quantity[price] = (uint32_t)quantity;
    }
}

/* By the words of schema/events.h alone. */
static void take_book(void *ctx, const kt_event *event)
{
    subscriber *sub = ctx;
    slow_book expected;
    kt_ev_book ev;

    assert_int_equal(kt_event_decode(KT_EV_BOOK, event->payload, event->size, &ev), KT_OK);
    if (ev.snapshot) {
        memset(&sub->book, 0, sizeof sub->book);
        if (sub->snapshots++ > 0 && event->rec->time_ns - sub->snapshot_ns > sub->longest_ns)
            sub->longest_ns = event->rec->time_ns - sub->snapshot_ns;
        sub->snapshot_ns = event->rec->time_ns;
        sub->synced = true;
    } else {
        assert_true(sub->synced);
        assert_true(ev.first_id <= sub->last_id + 1 && sub->last_id + 1 <= ev.last_id);
        sub->changes++;
    }
    assert_true(ev.resyncs >= sub->resyncs);
    sub->resyncs = ev.resyncs;
    take_rows(sub, &ev.bids);
    take_rows(sub, &ev.asks);
    sub->last_id = ev.last_id;
    slow_at(sub->truth, sub->last_id, &expected);
    assert_memory_equal(&sub->book, &expected, sizeof expected);
}

static subscriber subscribe(play *p, uint32_t symbol)
{
    subscriber sub = { .truth = &p->truths[symbol] };
    char subject[64];

    snprintf(subject, sizeof subject, "book.bin.%s", symbols[symbol]);
    kt_script_each(p->script, subject, take_book, &sub);
    return sub;
}

static void start(play *p, kt_script *script, uint64_t seed)
{
    *p = (play){ .script = script };
    kt_rng_init(&p->rng, seed);
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        p->truths[i].next_id = FIRST_ID;
        happen(&p->truths[i], &p->rng, 300);
    }
    kt_script_time(script, START_NS);
}

static void wait(play *p, int64_t ns)
{
    kt_script_time(p->script, p->script->now_ns + ns);
}

/* One message about the symbol: some updates that happen now. */
static void step(play *p, uint32_t symbol)
{
    truth *t = &p->truths[symbol];
    uint64_t first_id = t->next_id;

    happen(t, &p->rng, 1 + (uint32_t)kt_rng_below(&p->rng, 6));
    send_change(p, symbol, first_id, t->next_id - 1, p->script->now_ns);
}

/* ---- rules ---- */

static void run(void (*rules)(kt_script *script, void *ctx), void *ctx)
{
    static const kt_service_spec *const services[] = { &kt_book_service, NULL };
    kt_config *config;
    kt_script script;
    kt_err err;

    if (kt_config_parse("test", config_text, strlen(config_text), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    kt_script_open(&script, &(kt_script_options){ .services = services, .config = config });
    rules(&script, ctx);
    kt_script_close(&script);
    kt_config_free(config);
}

static void rule_of_the_start(kt_script *script, void *ctx)
{
    static play p;

    start(&p, script, 1);
    wait(&p, 5 * S);
    assert_false(answer_one(&p, 0)); /* nothing is asked before a change has come */
    step(&p, 0);
    wait(&p, 100 * MS);
    step(&p, 0);
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 0); /* held */
    assert_true(answer_one(&p, 1));
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 1);
    step(&p, 0);
    subscriber sub = subscribe(&p, 0);
    assert_int_equal(sub.snapshots, 1);
    assert_int_equal(sub.changes, 1);
    assert_int_equal(sub.last_id, p.truths[0].next_id - 1);
}

/* What REST gives ends before the held changes begin: it is asked again, later. */
static void rule_of_an_old_answer(kt_script *script, void *ctx)
{
    static play p;

    start(&p, script, 2);
    step(&p, 0);
    wait(&p, 10 * MS);
    assert_true(answer_one(&p, 100));
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 0);
    assert_false(answer_one(&p, 0));
    wait(&p, 2 * S);
    assert_true(answer_one(&p, 0));
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 1);
    step(&p, 0);
    assert_int_equal(subscribe(&p, 0).last_id, p.truths[0].next_id - 1);
}

/* An answer that is newer than all that is held: the next change may reach back over it. */
static void rule_of_a_new_answer(kt_script *script, void *ctx)
{
    static play p;
    truth *t = &p.truths[0];

    start(&p, script, 3);
    step(&p, 0);
    wait(&p, 10 * MS);
    happen(t, &p.rng, 4);
    assert_true(answer_one(&p, 2));
    send_change(&p, 0, t->next_id - 4, t->next_id - 1, script->now_ns);
    subscriber sub = subscribe(&p, 0);
    assert_int_equal(sub.last_id, t->next_id - 1);
    assert_int_equal(sub.resyncs, 0);
}

/* A gap in one book: it alone is asked for anew, and says nothing until then. */
static void rule_of_one_alone(kt_script *script, void *ctx)
{
    static play p;

    start(&p, script, 4);
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        step(&p, i);
        wait(&p, 600 * MS);
        assert_true(answer_one(&p, 0));
    }
    happen(&p.truths[0], &p.rng, 3); /* lost */
    step(&p, 0);
    step(&p, 1);
    subscriber sub = subscribe(&p, 0);
    assert_int_equal(sub.changes, 0);
    wait(&p, 600 * MS);
    step(&p, 0);
    assert_true(answer_one(&p, 0));
    step(&p, 0);
    step(&p, 1);
    sub = subscribe(&p, 0);
    assert_int_equal(sub.snapshots, 2);
    assert_int_equal(sub.changes, 1);
    assert_int_equal(sub.resyncs, 1);
    sub = subscribe(&p, 1);
    assert_int_equal(sub.snapshots, 1);
    assert_int_equal(sub.changes, 2);
    assert_int_equal(sub.resyncs, 0);
    assert_int_equal(p.requests[1], 1);
}

static void rule_of_repeats(kt_script *script, void *ctx)
{
    static play p;
    truth *t = &p.truths[0];

    start(&p, script, 5);
    step(&p, 0);
    wait(&p, 10 * MS);
    assert_true(answer_one(&p, 0));
    uint64_t first_id = t->next_id;
    int64_t time_ns = script->now_ns;
    step(&p, 0);
    uint64_t last_id = t->next_id - 1;
    wait(&p, 100 * MS);
    step(&p, 0);
    send_change(&p, 0, first_id, last_id, time_ns); /* again */
    subscriber sub = subscribe(&p, 0);
    assert_int_equal(sub.changes, 2);
    assert_int_equal(sub.resyncs, 0);

    /* the same numbers, but happening now: the venue counts anew, and the book is lost */
    wait(&p, 100 * MS);
    send_change(&p, 0, first_id, last_id, script->now_ns);
    assert_int_equal(subscribe(&p, 0).changes, 2);
    wait(&p, 1 * S);
    assert_true(answer_one(&p, 0));
    assert_int_equal(subscribe(&p, 0).resyncs, 1);
}

/* After failures the waits double, and a venue that says when is obeyed. */
static void rule_of_failures(kt_script *script, void *ctx)
{
    static play p;

    start(&p, script, 6);
    p.rest_fails = true;
    step(&p, 0);
    wait(&p, 10 * MS);
    assert_true(answer_one(&p, 0)); /* not before 2 s */
    wait(&p, 1900 * MS);
    assert_false(answer_one(&p, 0));
    wait(&p, 200 * MS);
    assert_true(answer_one(&p, 0)); /* 2 s again, by either rule */
    wait(&p, 2100 * MS);
    assert_true(answer_one(&p, 0)); /* 4 s of our own */
    wait(&p, 3900 * MS);
    assert_false(answer_one(&p, 0));
    p.rest_fails = false;
    wait(&p, 200 * MS);
    assert_true(answer_one(&p, 0));
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 1);
}

/* An answer that never comes is given up after a minute, and counts as a failure. */
static void rule_of_no_answer(kt_script *script, void *ctx)
{
    static play p;

    start(&p, script, 21);
    step(&p, 0);
    wait(&p, 59 * S);
    assert_int_equal(kt_script_each(script, "request.bin", NULL, NULL), 1);
    wait(&p, 1900 * MS);
    assert_int_equal(kt_script_each(script, "request.bin", NULL, NULL), 1); /* a second later, as after any failure */
    wait(&p, S);
    assert_int_equal(kt_script_each(script, "request.bin", NULL, NULL), 2);
    assert_true(answer_one(&p, 0)); /* of the first: too late */
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 0);
    assert_true(answer_one(&p, 0));
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 1);
}

/* More changes are held than there is room for: those before are given up, and the book goes on with what follows its answer. */
static void rule_of_too_many_held(kt_script *script, void *ctx)
{
    enum { UPDATES = 60, TIMES = 2000 };
    static play p;
    truth *t = &p.truths[0];
    uint64_t first_id;
    subscriber sub;

    start(&p, script, 22);
    first_id = t->next_id;
    happen(t, &p.rng, UPDATES);
    for (uint32_t i = 0; i < TIMES; i++) /* KT_BOOK_HELD_MAX is 1 MiB */
        send_change(&p, 0, first_id, t->next_id - 1, script->now_ns);
    step(&p, 0);
    wait(&p, 100 * MS);
    assert_true(answer_one(&p, 0));
    step(&p, 0);
    sub = subscribe(&p, 0);
    assert_int_equal(sub.resyncs, 0);
    assert_int_equal(sub.last_id, t->next_id - 1);
}

/* A venue counts all that it is asked: when it said "not before", in whatever answer, no book is asked for before either. */
static void rule_of_another_answer(kt_script *script, void *ctx)
{
    static play p;
    kt_ev_answer ev;

    start(&p, script, 6);
    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = 4711; /* of nobody here */
    ev.what = KT_WHAT_TRADES_BY_ID;
    ev.status = 429;
    ev.retry_after = script->now_ns + 3 * S;
    kt_script_input(script, script->now_ns, KT_EV_ANSWER, KT_TEXT("answer.bin"), &ev);
    step(&p, 0);
    wait(&p, 2900 * MS);
    assert_false(answer_one(&p, 0));
    wait(&p, 100 * MS);
    assert_true(answer_one(&p, 0));
}

/* A change that makes bids and asks cross belongs to no book. */
static void rule_of_crossing(kt_script *script, void *ctx)
{
    static play p;
    truth *t = &p.truths[0];
    char subject[64];
    kt_ev_book ev;
    kt_row_level absurd = level_of(PRICES, 1);

    start(&p, script, 7);
    step(&p, 0);
    wait(&p, 10 * MS);
    assert_true(answer_one(&p, 0));
    kt_event_init(KT_EV_BOOK, &ev);
    ev.venue_time = script->now_ns;
    ev.first_id = ev.last_id = t->next_id;
    ev.bids = KT_ROWS_OF(&absurd, 1);
    kt_script_input(script, script->now_ns, KT_EV_BOOK, feed_subject(0, subject), &ev);
    assert_int_equal(kt_script_each(script, "book.>", NULL, NULL), 1);
    happen(t, &p.rng, 1);
    wait(&p, 1 * S);
    assert_true(answer_one(&p, 0));
    assert_int_equal(subscribe(&p, 0).resyncs, 1);
}

typedef struct ticker_order {
    uint64_t last;
    uint32_t count;
} ticker_order;

static void take_ticker(void *ctx, const kt_event *event)
{
    ticker_order *order = ctx;
    kt_ev_ticker ev;

    assert_int_equal(kt_event_decode(KT_EV_TICKER, event->payload, event->size, &ev), KT_OK);
    assert_true(ev.update_id > order->last);
    order->last = ev.update_id;
    order->count++;
}

static void rule_of_tickers(kt_script *script, void *ctx)
{
    static const uint64_t ids[] = { 5, 7, 7, 6, 9, 8, 10 };
    static play p;
    ticker_order order = { 0 };

    start(&p, script, 8);
    for (size_t i = 0; i < KT_COUNT(ids); i++)
        send_ticker(&p, 0, ids[i]);
    kt_script_each(script, "ticker.bin.BTC/USDT", take_ticker, &order);
    assert_int_equal(order.count, 4); /* 5, 7, 9, 10 */
    assert_int_equal(order.last, 10);
}

static void rule_of_strangers(kt_script *script, void *ctx)
{
    static play p;
    kt_ev_book ev;

    start(&p, script, 9);
    kt_event_init(KT_EV_BOOK, &ev);
    ev.first_id = ev.last_id = 1;
    kt_script_input(script, script->now_ns, KT_EV_BOOK, KT_TEXT("feed.other.BTC/USDT"), &ev);
    kt_script_time(script, script->now_ns + 10 * S);
    assert_int_equal(kt_script_each(script, ">", NULL, NULL), 0);
}

static void rules(void **state)
{
    static void (*const each[])(kt_script * script, void *ctx) = { rule_of_the_start, rule_of_an_old_answer,
        rule_of_a_new_answer, rule_of_no_answer, rule_of_too_many_held, rule_of_one_alone, rule_of_repeats,
        rule_of_failures, rule_of_crossing, rule_of_tickers, rule_of_strangers, rule_of_another_answer };

    for (size_t i = 0; i < KT_COUNT(each); i++)
        run(each[i], NULL);
}

/* ---- all of it at random, twice and over restarts ---- */

static void faulty(kt_script *script, void *ctx)
{
    static play p;
    uint64_t held_first = 0, held_last = 0;
    int64_t held_ns = 0;

    start(&p, script, 42);
    for (uint32_t i = 0; i < 1500; i++) {
        truth *t = &p.truths[0];
        uint64_t first_id = t->next_id;

        happen(t, &p.rng, 1 + (uint32_t)kt_rng_below(&p.rng, 6));
        if (i >= 1400 || !kt_rng_chance(&p.rng, 0.01)) /* else dropped */
            send_change(&p, 0, first_id, t->next_id - 1, script->now_ns);
        if (held_last != 0) /* a repeat */
            send_change(&p, 0, held_first, held_last, held_ns);
        held_last = 0;
        if (i < 1400 && kt_rng_chance(&p.rng, 0.05)) {
            held_first = first_id;
            held_last = t->next_id - 1;
            held_ns = script->now_ns;
        }
        step(&p, 1);
        wait(&p, 100 * MS);
        if (kt_rng_chance(&p.rng, 0.2)) {
            p.rest_fails = i < 1300 && kt_rng_chance(&p.rng, 0.2);
            answer_one(&p, kt_rng_below(&p.rng, 12));
        }
        if (i == 500)
            kt_script_restart(script, false); /* an open request is asked again */
        if (i == 1000)
            kt_script_restart(script, true); /* from a snapshot */
    }
    subscriber sub = subscribe(&p, 0);
    assert_true(sub.resyncs > 5);
    assert_int_equal(sub.last_id, p.truths[0].next_id - 1);
    sub = subscribe(&p, 1);
    assert_int_equal(sub.resyncs, 0);
    assert_int_equal(sub.last_id, p.truths[1].next_id - 1);
    assert_int_equal(sub.snapshots, 3); /* 150 s */
    assert_true(sub.longest_ns <= KT_BOOK_SNAPSHOT_NS + 100 * MS);
}

static void test_faulty_streams(void **state)
{
    static const kt_service_spec *const services[] = { &kt_book_service, NULL };
    kt_config *config;
    kt_err err;

    if (kt_config_parse("test", config_text, strlen(config_text), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_true(kt_script_deterministic(&(kt_script_options){ .services = services, .config = config }, faulty, NULL));
    kt_config_free(config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(test_faulty_streams),
    };

    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
