#include "edge/test_house.h"

#include "base/test_util.h"
#include "base/time.h"
#include "edge/hub.h"
#include "edge/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BTC "trades.binance.BTC/USDT"
#define ETH "trades.binance.ETH/USDT"

static void say_subscribe(kt_test_client *client, const char *channel, const char *from, bool conflate)
{
    char text[512];

    snprintf(text, sizeof text, "{\"id\":7,\"op\":\"subscribe\",\"channel\":\"%s\",\"from\":%s,\"conflate\":%s}",
        channel, from, conflate ? "true" : "false");
    kt_test_client_say(client, text);
}

static void write_trades(kt_test_house *house, const char *subject, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++)
        kt_test_trade(house, subject, number);
}

/* Events of one channel from this offset to that, each once and in order; a trade's number is its offset in these
 * tests. */
static void want_events(kt_test_client *client, uint64_t from, uint64_t to)
{
    for (uint64_t offset = from; offset <= to; offset++) {
        kt_test_client_want(client, "event");
        assert_int_equal(kt_test_client_u64(client, "offset"), offset);
        assert_int_equal(kt_test_client_u64(client, "skipped"), 0);
        assert_int_equal(kt_test_client_u64(client, "data.trade_number"), offset);
    }
}

/* A client that has just heard the newest trade, which has this offset; and its epoch. */
static void open_at_newest(kt_test_client *client, kt_test_house *house, uint64_t offset, char epoch[32])
{
    kt_test_client_open(client, house);
    say_subscribe(client, BTC, "\"snapshot\"", false);
    kt_test_client_want(client, "answer");
    want_events(client, offset, offset);
    snprintf(epoch, 32, "%s", kt_test_client_text(client, "epoch"));
}

static const char *from_offset(const char *epoch, uint64_t offset)
{
    static char text[128];

    snprintf(text, sizeof text, "{\"epoch\":\"%s\",\"offset\":%llu}", epoch, (unsigned long long)offset);
    return text;
}

static void live(void **state)
{
    kt_test_house house;
    kt_test_client client;

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 3);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", true);
    kt_test_client_want(&client, "answer");
    assert_int_equal(kt_test_client_u64(&client, "id"), 7);
    assert_int_equal(kt_test_client_u64(&client, "offset"), 3);
    assert_true(kt_test_client_bool(&client, "recovered"));
    assert_true(kt_test_client_bool(&client, "exists"));
    write_trades(&house, ETH, 1, 5);
    write_trades(&house, BTC, 4, 6);
    want_events(&client, 4, 6);
    assert_string_equal(kt_test_client_text(&client, "channel"), BTC);
    assert_string_equal(kt_test_client_text(&client, "kind"), "trade");
    assert_string_equal(kt_test_client_text(&client, "data.price"), "65000.25");
    assert_int_equal(strlen(kt_test_client_text(&client, "epoch")), 16);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void channel_that_comes_later(void **state)
{
    kt_test_house house;
    kt_test_client client;

    kt_test_house_open(&house, NULL, 0, 0);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", true);
    kt_test_client_want(&client, "answer");
    assert_false(kt_test_client_bool(&client, "exists"));
    assert_true(kt_test_client_null(&client, "epoch"));
    assert_int_equal(kt_test_client_u64(&client, "offset"), 0);
    write_trades(&house, BTC, 1, 2);
    want_events(&client, 1, 2);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void snapshot(void **state)
{
    kt_test_house house;
    kt_test_client client;

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 500);
    write_trades(&house, ETH, 1, 500);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"snapshot\"", false);
    kt_test_client_want(&client, "answer");
    assert_int_equal(kt_test_client_u64(&client, "offset"), 499);
    want_events(&client, 500, 500);
    write_trades(&house, BTC, 501, 502);
    want_events(&client, 501, 502);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* Replay over many segments while the log goes on growing: no gap, no repeat at the seam. */
static void resume_joins_the_live_stream(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32];

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 10);
    open_at_newest(&client, &house, 10, epoch);
    kt_test_client_close(&client);
    write_trades(&house, BTC, 11, 4000);

    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, from_offset(epoch, 10), false);
    kt_test_client_want(&client, "answer");
    assert_true(kt_test_client_bool(&client, "recovered"));
    assert_int_equal(kt_test_client_u64(&client, "offset"), 10);
    for (uint64_t offset = 11; offset <= 4000; offset++) {
        want_events(&client, offset, offset);
        if (offset % 3 == 0)
            kt_test_trade(&house, BTC, 4000 + offset / 3 - 3);
    }
    want_events(&client, 4001, 4000 + 4000 / 3 - 3);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* The log is out of reach meanwhile: what a client missed a moment ago is found in memory, and so is the newest event. */
static void the_newest_is_served_without_opening_the_log(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32], away[sizeof house.dir + 8];

    kt_test_house_open(&house, NULL, 1 << 20, 0);
    write_trades(&house, BTC, 1, 10);
    open_at_newest(&client, &house, 10, epoch);
    kt_test_client_close(&client);
    for (uint64_t number = 11; number <= 20; number++) {
        kt_test_trade(&house, BTC, number);
        write_trades(&house, ETH, (number - 11) * 100 + 1, (number - 10) * 100);
    }
    kt_test_house_turn(&house);

    snprintf(away, sizeof away, "%s.away", house.dir);
    assert_int_equal(rename(house.dir, away), 0);
    for (uint64_t offset = 10; offset <= 20; offset += 5) {
        kt_test_client_open(&client, &house);
        say_subscribe(&client, BTC, from_offset(epoch, offset), false);
        kt_test_client_want(&client, "answer");
        assert_true(kt_test_client_bool(&client, "recovered"));
        want_events(&client, offset + 1, 20);
        kt_test_client_close(&client);
    }
    open_at_newest(&client, &house, 20, epoch);
    assert_int_equal(rename(away, house.dir), 0);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void resume_from_the_start(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32];

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 100);
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"op\":\"channels\",\"pattern\":\"trades.>\"}");
    kt_test_client_want(&client, "answer");
    assert_true(kt_test_client_bool(&client, "complete"));
    assert_string_equal(kt_test_client_text(&client, "channels.0.channel"), BTC);
    assert_string_equal(kt_test_client_text(&client, "channels.0.log"), "market");
    assert_int_equal(kt_test_client_u64(&client, "channels.0.offset"), 100);
    snprintf(epoch, sizeof epoch, "%s", kt_test_client_text(&client, "channels.0.epoch"));
    say_subscribe(&client, BTC, from_offset(epoch, 0), false);
    kt_test_client_want(&client, "answer");
    want_events(&client, 1, 100);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void resume_from_a_time(void **state)
{
    kt_test_house house;
    kt_test_client client;
    int64_t time_ns;
    char from[64];

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 1000);
    time_ns = house.time_ns;
    write_trades(&house, ETH, 1, 1000);
    write_trades(&house, BTC, 1001, 1500);
    kt_test_client_open(&client, &house);
    snprintf(from, sizeof from, "{\"time\":%lld}", (long long)kt_time_to_ms(time_ns));
    say_subscribe(&client, BTC, from, false);
    kt_test_client_want(&client, "answer");
    assert_int_equal(kt_test_client_u64(&client, "id"), 7);
    assert_true(kt_test_client_bool(&client, "recovered"));
    assert_int_equal(kt_test_client_u64(&client, "offset"), 1000);
    want_events(&client, 1001, 1500);
    /* a time that has not come yet: live */
    kt_test_client_say(&client, "{\"op\":\"unsubscribe\",\"channel\":\"" BTC "\"}");
    kt_test_client_want(&client, "answer");
    say_subscribe(&client, BTC, "{\"time\":\"2200-01-01T00:00:00.000Z\"}", false);
    kt_test_client_want(&client, "answer");
    assert_int_equal(kt_test_client_u64(&client, "offset"), 1500);
    write_trades(&house, BTC, 1501, 1502);
    want_events(&client, 1501, 1502);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void unknown_epoch_and_offset_beyond_the_end(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32];

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 10);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, from_offset("0123456789abcdef", 4), false);
    kt_test_client_want(&client, "answer");
    assert_false(kt_test_client_bool(&client, "recovered"));
    assert_int_equal(kt_test_client_u64(&client, "lost.from"), 5);
    assert_true(kt_test_client_null(&client, "lost.to"));
    snprintf(epoch, sizeof epoch, "%s", kt_test_client_text(&client, "epoch"));
    uint64_t offset = kt_test_client_u64(&client, "offset");
    if (offset < 10)
        want_events(&client, offset + 1, 10);
    kt_test_client_say(&client, "{\"op\":\"unsubscribe\",\"channel\":\"" BTC "\"}");
    kt_test_client_want(&client, "answer");

    say_subscribe(&client, BTC, from_offset(epoch, 99), false);
    kt_test_client_want(&client, "answer");
    assert_false(kt_test_client_bool(&client, "recovered"));
    assert_int_equal(kt_test_client_u64(&client, "offset"), 10);
    write_trades(&house, BTC, 11, 12);
    want_events(&client, 11, 12);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void removed_by_retention(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32];

    kt_test_house_open(&house, NULL, 0, 4 * KT_SEGMENT_SIZE_MIN);
    write_trades(&house, BTC, 1, 1);
    open_at_newest(&client, &house, 1, epoch);
    kt_test_client_say(&client, "{\"op\":\"unsubscribe\",\"channel\":\"" BTC "\"}");
    kt_test_client_want(&client, "answer");
    for (uint64_t number = 2; number <= 8000; number++) {
        kt_test_trade(&house, BTC, number);
        if (number % 500 == 0) {
            assert_int_equal(kt_log_sync(house.log, NULL), KT_OK);
            kt_log_retain(house.log);
            kt_test_house_turn(&house);
        }
    }
    say_subscribe(&client, BTC, from_offset(epoch, 1), false);
    kt_test_client_want(&client, "answer");
    assert_false(kt_test_client_bool(&client, "recovered"));
    assert_int_equal(kt_test_client_u64(&client, "lost.from"), 2);
    uint64_t to = kt_test_client_u64(&client, "lost.to");
    assert_true(to > 2 && to < 8000);
    assert_int_equal(kt_test_client_u64(&client, "offset"), to);
    want_events(&client, to + 1, 8000);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* The house itself is overtaken by retention (it was stopped): its clients are told the gap, and go on behind it. */
static void house_is_overtaken(void **state)
{
    kt_test_house house;
    kt_test_client strict;
    kt_test_client loose;

    kt_test_house_open(&house, NULL, 0, 4 * KT_SEGMENT_SIZE_MIN);
    write_trades(&house, BTC, 1, 1);
    kt_test_client_open(&strict, &house);
    say_subscribe(&strict, BTC, "\"live\"", false);
    kt_test_client_want(&strict, "answer");
    kt_test_client_open(&loose, &house);
    say_subscribe(&loose, BTC, "\"live\"", true);
    kt_test_client_want(&loose, "answer");
    for (uint64_t number = 2; number <= 8000; number++) {
        kt_test_trade(&house, BTC, number);
        if (number % 500 == 0) {
            assert_int_equal(kt_log_sync(house.log, NULL), KT_OK);
            kt_log_retain(house.log);
        }
    }
    for (int i = 0; i < 2; i++) {
        kt_test_client *client = i == 0 ? &strict : &loose;
        uint64_t last = 1;

        while (kt_test_client_next(client) != NULL && strcmp(kt_test_client_text(client, "type"), "event") == 0)
            assert_int_equal(kt_test_client_u64(client, "offset"), ++last); /* what is still mapped can be read */
        assert_string_equal(kt_test_client_text(client, "type"), "gap");
        assert_int_equal(kt_test_client_u64(client, "lost.from"), last + 1);
        last = kt_test_client_u64(client, "lost.to");
        assert_true(last > 2 && last < 8000);
        want_events(client, last + 1, 8000);
        kt_test_client_close(client);
    }
    kt_test_house_close(&house);
}

/* What leaves only when it is durable waits for it, here as anywhere; and what is written behind it waits, too. */
static void after_durable(void **state)
{
    kt_test_house house;
    kt_test_client client;
    kt_edge_counts counts;

    kt_test_house_open(&house, NULL, 0, 0);
    house.subject_flags = KT_SUBJECT_AFTER_DURABLE;
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", false);
    kt_test_client_want(&client, "answer");
    write_trades(&house, BTC, 1, 3);
    for (int i = 0; i < 200; i++)
        kt_test_house_turn(&house);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.messages_sent, 1);
    assert_int_equal(kt_log_sync(house.log, NULL), KT_OK);
    want_events(&client, 1, 3);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* A client that does not read and lets events be skipped: bounded memory, then the newest with the right count. */
static void conflation_counts_what_it_skips(void **state)
{
    kt_test_house house;
    kt_test_client client;
    kt_edge_counts counts;
    uint64_t last = 0;
    uint64_t skipped = 0;

    kt_test_house_open(&house, "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536}\n", 1 << 20, 0);
    write_trades(&house, BTC, 1, 1);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, from_offset("0", 0), true);
    kt_test_client_want(&client, "answer");
    kt_test_client_say(&client, "{\"op\":\"unsubscribe\",\"channel\":\"" BTC "\"}");
    while (strcmp(kt_test_client_next(&client), "") != 0 && strstr(client.message, "\"op\":\"unsubscribe\"") == NULL)
        ;
    say_subscribe(&client, BTC, "\"live\"", true);
    kt_test_client_want(&client, "answer");
    last = 1;
    for (uint64_t number = 2; number <= 20000; number++) {
        kt_test_trade(&house, BTC, number);
        if (number % 50 == 0)
            kt_test_house_turn(&house);
    }
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.slow, 1);
    assert_true(counts.slow_begun >= 1);
    const char *told;
    assert_int_equal(
        kt_test_http(&house, "GET /v1/node/clients?slow=true HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &told),
        200);
    assert_non_null(strstr(told, "\"channels\":1,\"slow\":1,\"slow_begun\":1,"));
    assert_null(strstr(told, "\"queued\":0,"));
    while (last < 20000) {
        kt_test_client_want(&client, "event");
        uint64_t offset = kt_test_client_u64(&client, "offset");
        uint64_t n = kt_test_client_u64(&client, "skipped");
        assert_int_equal(offset, last + n + 1);
        assert_int_equal(kt_test_client_u64(&client, "data.trade_number"), offset);
        last = offset;
        skipped += n;
    }
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.slow, 0);
    assert_true(skipped > 1000);
    assert_int_equal(counts.events_skipped, skipped);
    write_trades(&house, BTC, 20001, 20002);
    want_events(&client, 20001, 20002);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* ---- flushes, on a clock of their own ---- */

enum { PHASE_NS = 50 * KT_NS_PER_MS / KT_HUB_PHASES };

static int64_t clock_now;

static void open_gathering(kt_test_house *house)
{
    clock_now = KT_NS_PER_S;
    kt_test_house_clock = &clock_now;
    kt_test_house_open(house,
        "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536, flush_ticker_ms: 50, flush_book_ms: 50}\n",
        1 << 20, 0);
}

static void close_gathering(kt_test_house *house)
{
    kt_test_house_close(house);
    kt_test_house_clock = NULL;
}

static void subscribe_live(kt_test_client *client, kt_test_house *house, const char *channel, bool conflate)
{
    kt_test_client_open(client, house);
    say_subscribe(client, channel, "\"live\"", conflate);
    kt_test_client_want(client, "answer");
}

/* Everything that can be done without time going on. */
static uint64_t sent_now(kt_test_house *house)
{
    kt_edge_counts counts;

    do
        kt_test_house_turn(house);
    while (kt_edge_pending(house->edge));
    kt_test_house_turn(house); /* timers come last in a turn */
    kt_edge_count(house->edge, &counts);
    return counts.messages_sent;
}

typedef struct flush_row {
    const char *name;
    const char *channel;
    bool conflate;
    bool gathered;
    bool skips;
} flush_row;

static const flush_row flush_rows[] = {
    { "a trade leaves at once", BTC, true, false, false },
    { "best prices: the newest, once an interval", "ticker.binance.BTC/USDT", true, true, true },
    { "best prices without conflation: all of them, once an interval", "ticker.binance.BTC/USDT", false, true, false },
    { "changes of a book are never left out, whatever the client says", "book.binance.BTC/USDT", true, true, false },
    { "changes of a book, strictly", "book.binance.BTC/USDT", false, true, false },
};

static void flush_classes(void **state)
{
    for (size_t i = 0; i < KT_COUNT(flush_rows); i++) {
        const flush_row *row = &flush_rows[i];
        kt_test_house house;
        kt_test_client client;
        uint64_t before;

        print_message("# %s\n", row->name);
        open_gathering(&house);
        subscribe_live(&client, &house, row->channel, row->conflate);
        before = sent_now(&house);
        write_trades(&house, row->channel, 1, 5);
        assert_int_equal(sent_now(&house), before + (row->gathered ? 0 : 5));
        clock_now += KT_HUB_PHASES * PHASE_NS;
        assert_int_equal(sent_now(&house), before + (row->skips ? 1 : 5));
        if (row->skips) {
            kt_test_client_want(&client, "event");
            assert_int_equal(kt_test_client_u64(&client, "offset"), 5);
            assert_int_equal(kt_test_client_u64(&client, "skipped"), 4);
            assert_int_equal(kt_test_client_u64(&client, "data.trade_number"), 5);
        } else {
            want_events(&client, 1, 5);
        }
        print_message("# nothing is sent twice, and what comes later comes\n");
        clock_now += 3 * KT_HUB_PHASES * PHASE_NS;
        assert_int_equal(sent_now(&house), before + (row->skips ? 1 : 5));
        write_trades(&house, row->channel, 6, 6);
        sent_now(&house);
        clock_now += KT_HUB_PHASES * PHASE_NS;
        want_events(&client, 6, 6);
        kt_test_client_close(&client);
        close_gathering(&house);
    }
}

/* One flush each interval and client, but not of all clients at once. */
static void flushes_are_spread_over_the_interval(void **state)
{
    kt_test_house house;
    static kt_test_client clients[KT_HUB_PHASE_RUN * KT_HUB_PHASES];

    open_gathering(&house);
    for (size_t i = 0; i < KT_COUNT(clients); i++)
        subscribe_live(&clients[i], &house, "ticker.binance.BTC/USDT", i % 3 != 0);
    uint64_t before = sent_now(&house);
    kt_test_trade(&house, "ticker.binance.BTC/USDT", 1);
    assert_int_equal(sent_now(&house), before);
    for (uint64_t phase = 1; phase <= KT_HUB_PHASES; phase++) {
        clock_now += PHASE_NS;
        assert_int_equal(sent_now(&house), before + KT_HUB_PHASE_RUN * phase);
    }
    print_message("# events that come on the way reach each client in its own time, all of them\n");
    for (uint64_t number = 2; number <= 200; number++) {
        kt_test_trade(&house, "ticker.binance.BTC/USDT", number);
        sent_now(&house);
        clock_now += PHASE_NS / 3;
    }
    clock_now += KT_HUB_PHASES * PHASE_NS;
    sent_now(&house);
    for (size_t i = 0; i < KT_COUNT(clients); i++) {
        uint64_t last = 0;
        uint64_t messages = 0;

        while (last < 200) {
            kt_test_client_want(&clients[i], "event");
            assert_int_equal(
                kt_test_client_u64(&clients[i], "offset"), last + kt_test_client_u64(&clients[i], "skipped") + 1);
            last = kt_test_client_u64(&clients[i], "offset");
            messages++;
        }
        if (i % 3 == 0)
            assert_int_equal(messages, 200);
        else
            assert_in_range(messages, 200 / 3 / KT_HUB_PHASES, 200 / 3 / KT_HUB_PHASES + 4);
        kt_test_client_close(&clients[i]);
    }
    close_gathering(&house);
}

/* A shorter interval, or none, holds at once, and what was gathered is not forgotten. */
static void intervals_change_while_it_runs(void **state)
{
    kt_test_house house;
    kt_test_client client;

    open_gathering(&house);
    subscribe_live(&client, &house, "ticker.binance.BTC/USDT", false);
    uint64_t before = sent_now(&house);
    write_trades(&house, "ticker.binance.BTC/USDT", 1, 3);
    assert_int_equal(sent_now(&house), before);
    house.config->edge_flush_ticker_ms = 0;
    kt_edge_settings(house.edge);
    assert_int_equal(sent_now(&house), before + 3);
    write_trades(&house, "ticker.binance.BTC/USDT", 4, 6);
    assert_int_equal(sent_now(&house), before + 6);
    house.config->edge_flush_ticker_ms = 1000;
    kt_edge_settings(house.edge);
    write_trades(&house, "ticker.binance.BTC/USDT", 7, 8);
    assert_int_equal(sent_now(&house), before + 6);
    clock_now += KT_NS_PER_S;
    want_events(&client, 1, 8);
    kt_test_client_close(&client);
    close_gathering(&house);
}

/* What is gathered is bounded: beyond, it leaves before its time; and who has no room for it reads the log. */
static void gathering_is_bounded(void **state)
{
    kt_test_house house;
    kt_test_client fast;
    kt_test_client slow;
    kt_edge_counts counts;

    open_gathering(&house);
    subscribe_live(&fast, &house, "book.binance.BTC/USDT", true);
    subscribe_live(&slow, &house, "book.binance.BTC/USDT", true);
    uint64_t before = sent_now(&house);
    for (uint64_t number = 1; number <= 20000; number++) {
        kt_test_trade(&house, "book.binance.BTC/USDT", number);
        if (number % 100 == 0)
            sent_now(&house);
        if (number > 2000 && sent_now(&house) > before + 1)
            want_events(&fast, fast.message_count, fast.message_count);
    }
    assert_true(sent_now(&house) > before + 1000);
    clock_now += KT_HUB_PHASES * PHASE_NS;
    want_events(&fast, fast.message_count, 20000);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.slow, 1);
    assert_true(counts.slow_begun >= 1);
    want_events(&slow, 1, 20000);
    kt_test_trade(&house, "book.binance.BTC/USDT", 20001);
    sent_now(&house);
    clock_now += KT_HUB_PHASES * PHASE_NS;
    want_events(&slow, 20001, 20001);
    want_events(&fast, 20001, 20001);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.slow, 0);
    assert_int_equal(counts.events_skipped, 0);
    assert_int_equal(counts.slow_closed, 0);
    kt_test_client_close(&slow);
    kt_test_client_close(&fast);
    close_gathering(&house);
}

/* The same without leave to skip: it goes back to the log and gets every one, although its buffer holds few of them. */
static void slow_client_reads_the_log(void **state)
{
    kt_test_house house;
    kt_test_client slow;
    kt_test_client fast;
    kt_edge_counts counts;

    kt_test_house_open(&house, "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536}\n", 1 << 20, 0);
    write_trades(&house, BTC, 1, 1);
    kt_test_client_open(&slow, &house);
    kt_test_client_open(&fast, &house);
    say_subscribe(&slow, BTC, "\"live\"", false);
    kt_test_client_want(&slow, "answer");
    say_subscribe(&fast, BTC, "\"live\"", false);
    kt_test_client_want(&fast, "answer");
    for (uint64_t number = 2; number <= 20000; number++) {
        kt_test_trade(&house, BTC, number);
        want_events(&fast, number, number);
    }
    kt_edge_count(house.edge, &counts);
    assert_true(counts.replays >= 1);
    for (uint64_t offset = 2; offset <= 20000; offset++) {
        want_events(&slow, offset, offset);
        if (offset % 100 == 0) /* the log goes on while it catches up */
            kt_test_trade(&house, BTC, 20000 + offset / 100);
    }
    want_events(&slow, 20001, 20200);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.events_skipped, 0);
    assert_int_equal(counts.slow_closed, 0);
    kt_test_client_close(&slow);
    kt_test_client_close(&fast);
    kt_test_house_close(&house);
}

/* Too slow even for the log: told the gap, then closed. */
static void slower_than_the_log_keeps(void **state)
{
    kt_test_house house;
    kt_test_client client;
    kt_edge_counts counts;
    uint64_t last = 1;

    kt_test_house_open(
        &house, "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536}\n", 0, 4 * KT_SEGMENT_SIZE_MIN);
    write_trades(&house, BTC, 1, 1);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", false);
    kt_test_client_want(&client, "answer");
    for (uint64_t number = 2; number <= 30000; number++) {
        kt_test_trade(&house, BTC, number);
        if (number % 200 == 0) {
            assert_int_equal(kt_log_sync(house.log, NULL), KT_OK);
            kt_log_retain(house.log);
            kt_test_house_turn(&house);
        }
    }
    for (;;) {
        assert_non_null(kt_test_client_next(&client));
        if (strcmp(kt_test_client_text(&client, "type"), "gap") == 0)
            break;
        assert_int_equal(kt_test_client_u64(&client, "offset"), last + 1);
        last++;
    }
    assert_int_equal(kt_test_client_u64(&client, "lost.from"), last + 1);
    assert_true(kt_test_client_u64(&client, "lost.to") > last + 1);
    assert_null(kt_test_client_next(&client));
    assert_int_equal(client.close_code, KT_WS_CLOSE_TRY_LATER);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.slow_closed, 1);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* A long replay to some clients does not delay what others hear live. */
static void replay_delays_nobody(void **state)
{
    enum { READERS = 12 }; /* more than there are replay readers */
    kt_test_house house;
    kt_test_client client;
    kt_test_client readers[READERS];
    uint64_t turns;

    kt_test_house_open(&house, NULL, 8 << 20, 0);
    write_trades(&house, BTC, 1, 40000);
    write_trades(&house, ETH, 1, 1);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, ETH, "\"live\"", false);
    kt_test_client_want(&client, "answer");
    for (int i = 0; i < READERS; i++) {
        kt_test_client_open(&readers[i], &house);
        say_subscribe(&readers[i], BTC, "{\"time\":0}", false);
    }
    for (uint64_t number = 2; number <= 20; number++) {
        uint64_t count = client.message_count;

        kt_test_trade(&house, ETH, number);
        for (turns = 0; client.message_count == count && turns < 3; turns++)
            kt_test_house_turn(&house);
        want_events(&client, number, number);
        assert_true(turns <= 3);
    }
    for (int i = 0; i < READERS; i++) {
        kt_test_client_want(&readers[i], "answer");
        assert_int_equal(kt_test_client_u64(&readers[i], "offset"), 0);
    }
    for (uint64_t offset = 1; offset <= 40000; offset++)
        for (int i = 0; i < READERS; i++)
            if (offset % 97 == 0 || i < 2)
                want_events(&readers[i], i < 2 ? offset : offset / 97, i < 2 ? offset : offset / 97);
    for (int i = 0; i < READERS; i++)
        kt_test_client_close(&readers[i]);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* The writer dies and comes back: same boot, so nothing published is lost, and nobody notices. */
static void writer_restarts(void **state)
{
    kt_test_house house;
    kt_test_client client;

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 10);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", false);
    kt_test_client_want(&client, "answer");
    write_trades(&house, BTC, 11, 20);
    want_events(&client, 11, 20);
    kt_test_house_reopen_log(&house, 0, 0);
    write_trades(&house, BTC, 21, 30);
    want_events(&client, 21, 30);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* The edge dies; its clients come back with what they have. */
static void edge_restarts(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32];

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 10);
    open_at_newest(&client, &house, 10, epoch);
    kt_test_client_close(&client);
    kt_test_house_open_edge(&house, NULL, NULL);
    write_trades(&house, BTC, 11, 2000);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, from_offset(epoch, 10), false);
    kt_test_client_want(&client, "answer");
    assert_true(kt_test_client_bool(&client, "recovered"));
    want_events(&client, 11, 2000);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* After a power cut a tail may be lost: the epoch is new, and a client hears whether that touches it. */
static void power_cut(void **state)
{
    kt_test_house house;
    kt_test_client client;
    char epoch[32];

    kt_test_house_open(&house, NULL, 0, 0);
    write_trades(&house, BTC, 1, 10);
    assert_int_equal(kt_log_sync(house.log, NULL), KT_OK);
    write_trades(&house, BTC, 11, 20);
    open_at_newest(&client, &house, 20, epoch);
    kt_test_client_close(&client);

    kt_test_house_power_cut(&house, 100);
    kt_test_client_open(&client, &house);
    print_message("# above the cut: not recovered, and nobody knows how much is lost\n");
    say_subscribe(&client, BTC, from_offset(epoch, 20), false);
    kt_test_client_want(&client, "answer");
    assert_false(kt_test_client_bool(&client, "recovered"));
    assert_string_not_equal(kt_test_client_text(&client, "epoch"), epoch);
    assert_true(kt_test_client_null(&client, "lost.to"));
    uint64_t cut = kt_test_client_u64(&client, "offset");
    assert_true(cut >= 10 && cut < 20);
    kt_test_client_say(&client, "{\"op\":\"unsubscribe\",\"channel\":\"" BTC "\"}");
    kt_test_client_want(&client, "answer");

    print_message("# at or below the cut: recovered, and the epoch is told\n");
    say_subscribe(&client, BTC, from_offset(epoch, 5), false);
    kt_test_client_want(&client, "answer");
    assert_true(kt_test_client_bool(&client, "recovered"));
    assert_string_not_equal(kt_test_client_text(&client, "epoch"), epoch);
    want_events(&client, 6, cut);
    assert_string_equal(kt_test_client_text(&client, "epoch"), epoch);
    kt_test_client_want(&client, "epoch");
    assert_string_equal(kt_test_client_text(&client, "before"), epoch);
    assert_int_equal(kt_test_client_u64(&client, "first_offset"), cut + 1);
    write_trades(&house, BTC, cut + 1, cut + 5);
    want_events(&client, cut + 1, cut + 5);
    assert_string_not_equal(kt_test_client_text(&client, "epoch"), epoch);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

static void silence(void **state)
{
    kt_test_house house;
    kt_test_client silent;
    kt_test_client pings;
    kt_test_client frames;
    int64_t end_ns;
    kt_edge_counts counts;

    kt_test_house_open(&house, "edge: {port: 0, silence_ms: 300}\n", 0, 0);
    kt_test_client_open(&silent, &house);
    kt_test_client_open(&pings, &house);
    kt_test_client_open(&frames, &house);
    end_ns = kt_test_now_ns() + 900 * KT_NS_PER_MS;
    while (kt_test_now_ns() < end_ns) {
        kt_test_client_say(&pings, "{\"id\":3,\"op\":\"ping\"}");
        kt_test_client_want(&pings, "pong");
        assert_int_equal(kt_test_client_u64(&pings, "id"), 3);
        kt_test_client_send(&frames, KT_WS_PING, "x", 1);
        assert_string_equal(kt_test_client_next(&frames), "pong frame");
        kt_test_house_turn(&house);
    }
    kt_test_client_want(&silent, "disconnect");
    assert_string_equal(kt_test_client_text(&silent, "code"), "silent");
    assert_non_null(strstr(kt_test_client_text(&silent, "reason"), "300 ms"));
    assert_null(kt_test_client_next(&silent));
    assert_int_equal(silent.close_code, KT_WS_CLOSE_POLICY);
    assert_false(pings.ended);
    assert_false(frames.ended);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.silent_closed, 1);
    kt_test_client_close(&silent);
    kt_test_client_close(&pings);
    kt_test_client_close(&frames);
    kt_test_house_close(&house);
}

/* The house stops: everybody gets what is queued, then the reason; who does not answer is waited for, but not long. */
static void house_stops(void **state)
{
    kt_test_house house;
    kt_test_client client;
    kt_test_client full;
    int64_t begun_ns;
    kt_edge_counts counts;

    kt_test_house_open(&house, "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536}\n", 1 << 20, 0);
    write_trades(&house, BTC, 1, 1);
    kt_test_client_open(&full, &house);
    say_subscribe(&full, BTC, "\"live\"", true);
    kt_test_client_want(&full, "answer");
    for (uint64_t number = 2; number <= 20000; number++) {
        kt_test_trade(&house, BTC, number);
        if (number % 50 == 0)
            kt_test_house_turn(&house);
    }
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", false);
    kt_test_client_want(&client, "answer");
    write_trades(&house, BTC, 20001, 20010);
    want_events(&client, 20001, 20002);
    while (kt_edge_pending(house.edge))
        kt_test_house_turn(&house);
    begun_ns = kt_test_now_ns();
    kt_edge_leave(house.edge);
    assert_true(kt_test_now_ns() - begun_ns < KT_TEST_BOUND_S * KT_NS_PER_S);
    kt_edge_count(house.edge, &counts);
    assert_int_equal(counts.clients, 2); /* neither answers a close */
    want_events(&client, 20003, 20010);
    kt_test_client_want(&client, "disconnect");
    assert_string_equal(kt_test_client_text(&client, "code"), "stopping");
    assert_null(kt_test_client_next(&client));
    assert_int_equal(client.close_code, KT_WS_CLOSE_GOING_AWAY);
    kt_test_client_close(&client);
    kt_test_client_close(&full);
    kt_test_house_close(&house);
}

typedef struct refusal_row {
    const char *name;
    const char *message;
    const char *code;
} refusal_row;

static const refusal_row refusal_rows[] = {
    { "malformed", "{", "malformed" },
    { "unknown op", "{\"op\":\"order\"}", "unknown_op" },
    { "no identity", "{\"op\":\"auth\",\"token\":\"x\"}", "no_identity" },
    { "subscribed already", "{\"op\":\"subscribe\",\"channel\":\"" BTC "\"}", "already_subscribed" },
    { "not subscribed", "{\"op\":\"unsubscribe\",\"channel\":\"" ETH "\"}", "not_subscribed" },
};

static void refusals_keep_the_connection(void **state)
{
    kt_test_house house;
    kt_test_client client;
    static char large[KT_EDGE_MESSAGE_MAX + 1];

    kt_test_house_open(&house, NULL, 0, 0);
    kt_test_trade(&house, BTC, 1);
    kt_test_client_open(&client, &house);
    say_subscribe(&client, BTC, "\"live\"", true);
    kt_test_client_want(&client, "answer");
    for (size_t i = 0; i < KT_COUNT(refusal_rows); i++) {
        print_message("# %s\n", refusal_rows[i].name);
        kt_test_client_say(&client, refusal_rows[i].message);
        kt_test_client_want(&client, "error");
        assert_string_equal(kt_test_client_text(&client, "code"), refusal_rows[i].code);
    }
    print_message("# binary\n");
    kt_test_client_send(&client, KT_WS_BINARY, "{}", 2);
    kt_test_client_want(&client, "error");
    print_message("# oversized\n");
    memset(large, ' ', sizeof large);
    kt_test_client_send(&client, KT_WS_TEXT, large, KT_OP_SIZE_MAX + 1);
    kt_test_client_want(&client, "error");
    assert_string_equal(kt_test_client_text(&client, "code"), "oversized");
    kt_test_trade(&house, BTC, 2);
    want_events(&client, 2, 2);
    kt_test_client_send(&client, KT_WS_TEXT, large, sizeof large);
    assert_null(kt_test_client_next(&client));
    assert_int_equal(client.close_code, KT_WS_CLOSE_TOO_BIG);
    kt_test_client_close(&client);
    kt_test_house_close(&house);
}

/* Many clients come, ask at random and go at random; the house goes on, and nobody is told anything wrong. */
static void clients_come_and_go(void **state)
{
    enum { CLIENTS = 16 };
    kt_test_house house;
    kt_test_client clients[CLIENTS];
    uint64_t last[CLIENTS];
    bool open[CLIENTS] = { false };
    uint64_t written = 1;
    kt_rng rng;
    kt_edge_counts counts;
    uint32_t rounds = kt_test_cases(4000);

    kt_rng_init(&rng, kt_test_seed());
    kt_test_house_open(&house, "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536}\n", 0, 0);
    kt_test_trade(&house, BTC, 1);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t i = (uint32_t)(kt_rng_u64(&rng) % CLIENTS);

        for (uint64_t n = kt_rng_u64(&rng) % 40; n > 0; n--)
            kt_test_trade(&house, BTC, ++written);
        kt_test_house_turn(&house);
        if (!open[i]) {
            bool live_only = kt_rng_u64(&rng) % 2 == 0;

            kt_test_client_open(&clients[i], &house);
            say_subscribe(&clients[i], BTC, live_only ? "\"live\"" : "{\"time\":0}", kt_rng_u64(&rng) % 2 == 0);
            kt_test_client_want(&clients[i], "answer");
            last[i] = kt_test_client_u64(&clients[i], "offset");
            open[i] = true;
        } else if (kt_rng_u64(&rng) % 10 == 0) {
            kt_test_client_close(&clients[i]);
            open[i] = false;
        } else {
            for (uint64_t n = kt_rng_u64(&rng) % 200; n > 0 && last[i] < written; n--) {
                kt_test_client_want(&clients[i], "event");
                assert_int_equal(kt_test_client_u64(&clients[i], "offset"),
                    last[i] + kt_test_client_u64(&clients[i], "skipped") + 1);
                last[i] = kt_test_client_u64(&clients[i], "offset");
            }
        }
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (open[i])
            kt_test_client_close(&clients[i]);
    assert_true(KT_TEST_WAIT(
        (kt_test_house_turn(&house), kt_edge_count(house.edge, &counts), counts.clients == 0), KT_TEST_BOUND_S));
    assert_int_equal(counts.subscriptions, 0);
    kt_test_house_close(&house);
}

/* hub_test deflate: what concerns frames, with clients that agree to permessage-deflate. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live),
        cmocka_unit_test(channel_that_comes_later),
        cmocka_unit_test(snapshot),
        cmocka_unit_test(resume_joins_the_live_stream),
        cmocka_unit_test(the_newest_is_served_without_opening_the_log),
        cmocka_unit_test(resume_from_the_start),
        cmocka_unit_test(resume_from_a_time),
        cmocka_unit_test(unknown_epoch_and_offset_beyond_the_end),
        cmocka_unit_test(removed_by_retention),
        cmocka_unit_test(house_is_overtaken),
        cmocka_unit_test(after_durable),
        cmocka_unit_test(conflation_counts_what_it_skips),
        cmocka_unit_test(flush_classes),
        cmocka_unit_test(flushes_are_spread_over_the_interval),
        cmocka_unit_test(intervals_change_while_it_runs),
        cmocka_unit_test(gathering_is_bounded),
        cmocka_unit_test(slow_client_reads_the_log),
        cmocka_unit_test(slower_than_the_log_keeps),
        cmocka_unit_test(replay_delays_nobody),
        cmocka_unit_test(writer_restarts),
        cmocka_unit_test(edge_restarts),
        cmocka_unit_test(power_cut),
        cmocka_unit_test(silence),
        cmocka_unit_test(house_stops),
        cmocka_unit_test(refusals_keep_the_connection),
        cmocka_unit_test(clients_come_and_go),
    };

    const struct CMUnitTest deflate_tests[] = {
        cmocka_unit_test(flush_classes),
        cmocka_unit_test(flushes_are_spread_over_the_interval),
        cmocka_unit_test(live),
        cmocka_unit_test(snapshot),
        cmocka_unit_test(resume_joins_the_live_stream),
        cmocka_unit_test(conflation_counts_what_it_skips),
        cmocka_unit_test(house_stops),
        cmocka_unit_test(refusals_keep_the_connection),
    };

    kt_test_clients_deflate = argc > 1 && strcmp(argv[1], "deflate") == 0;
    return kt_test_clients_deflate ? cmocka_run_group_tests(deflate_tests, NULL, NULL)
                                   : cmocka_run_group_tests(tests, NULL, NULL);
}
