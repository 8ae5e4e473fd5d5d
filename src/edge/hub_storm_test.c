/* Clients that ask for too much, or take nothing: others are served meanwhile, and afterwards nothing of them is left. */
#include "edge/test_house.h"

#include "base/test_util.h"
#include "base/time.h"
#include "edge/hub.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BTC "trades.binance.BTC/USDT"
#define ETH "trades.binance.ETH/USDT"
#define SMALL_BUFFERS "edge: {port: 0, silence_ms: 600000, client_buffer_bytes: 65536}\n"

enum {
    TURNS_MAX = 10, /* loop turns until an event has reached a client that reads */
    HALF_OPEN = 1000,
};

static void subscribe(kt_test_client *client, const char *channel, const char *from, bool conflate)
{
    char text[512];

    snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"channel\":\"%s\",\"from\":%s,\"conflate\":%s}", channel, from,
        conflate ? "true" : "false");
    kt_test_client_say(client, text);
}

static kt_edge_counts counts_of(kt_test_house *house)
{
    kt_edge_counts counts;

    kt_edge_count(house->edge, &counts);
    return counts;
}

static void want_event(kt_test_client *client, uint64_t offset)
{
    kt_test_client_want(client, "event");
    assert_int_equal(kt_test_client_u64(client, "offset"), offset);
}

/* A client that reads what it asks for. */
static void open_witness(kt_test_client *witness, kt_test_house *house)
{
    kt_test_client_open(witness, house);
    subscribe(witness, ETH, "\"live\"", false);
    kt_test_client_want(witness, "answer");
}

/* One more event is there after a few turns, whatever the others do. */
static void is_served(kt_test_client *witness, kt_test_house *house, uint64_t number)
{
    uint64_t sent = witness->seq;
    int turns = 0;

    kt_test_trade(house, ETH, number);
    for (char byte; turns < TURNS_MAX && recv(witness->fd, &byte, 1, MSG_PEEK) != 1; turns++)
        kt_test_house_turn(house);
    assert_true(turns < TURNS_MAX);
    want_event(witness, number);
    assert_int_equal(witness->seq, sent + 1);
}

static void want_nothing_left(kt_test_house *house, kt_test_client *witness)
{
    assert_true(KT_TEST_WAIT((kt_test_house_turn(house), counts_of(house).clients == 1), KT_TEST_BOUND_S));
    assert_int_equal(counts_of(house).subscriptions, 1);
    assert_int_equal(counts_of(house).slow, 0);
    kt_test_client_close(witness);
}

static int half_open(kt_test_house *house, const char *bytes)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(kt_edge_port(house->edge)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), strlen(bytes));
    return fd;
}

static void half_open_handshakes(void **state)
{
    static const char *const beginnings[] = { "", "G", "GET /ws HTTP/1.1\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhb" };
    static int fds[HALF_OPEN];
    kt_test_house house;
    kt_test_client witness;

    kt_test_house_open(&house, NULL, 0, 0);
    open_witness(&witness, &house);
    for (int i = 0; i < HALF_OPEN; i++) {
        fds[i] = half_open(&house, beginnings[i % KT_COUNT(beginnings)]);
        if (i % 50 == 0)
            is_served(&witness, &house, (uint64_t)i / 50 + 1);
    }
    assert_int_equal(counts_of(&house).clients, 1);
    for (int i = 0; i < HALF_OPEN; i++)
        close(fds[i]);
    is_served(&witness, &house, HALF_OPEN / 50 + 1);
    want_nothing_left(&house, &witness);
    kt_test_house_close(&house);
}

static void slow_readers(void **state)
{
    enum { SLOW = 40, EVENTS = 20000 };
    static kt_test_client slow[SLOW];
    kt_test_house house;
    kt_test_client witness;
    uint64_t served = 0;

    kt_test_house_open(&house, SMALL_BUFFERS, 1 << 20, 0);
    kt_test_trade(&house, BTC, 1);
    open_witness(&witness, &house);
    for (int i = 0; i < SLOW; i++) {
        kt_test_client_open(&slow[i], &house);
        subscribe(&slow[i], BTC, "\"live\"", i % 2 == 0);
        kt_test_client_want(&slow[i], "answer");
    }
    for (uint64_t number = 2; number <= EVENTS; number++) {
        kt_test_trade(&house, BTC, number);
        if (number % 200 == 0)
            is_served(&witness, &house, ++served);
    }
    assert_int_equal(counts_of(&house).slow, SLOW);
    assert_true(counts_of(&house).slow_begun >= SLOW);
    assert_true(counts_of(&house).replays >= SLOW / 2);
    assert_int_equal(counts_of(&house).slow_closed, 0); /* the log still has all of it */
    for (int i = 0; i < SLOW; i++)
        kt_test_client_close(&slow[i]);
    is_served(&witness, &house, ++served);
    want_nothing_left(&house, &witness);
    kt_test_house_close(&house);
}

static void resume_storm(void **state)
{
    enum { CLIENTS = 100, EVENTS = 500 };
    static kt_test_client clients[CLIENTS];
    kt_test_house house;
    kt_test_client witness;
    uint64_t served = 0;

    kt_test_house_open(&house, NULL, 1 << 20, 0);
    for (uint64_t number = 1; number <= EVENTS; number++)
        kt_test_trade(&house, BTC, number);
    open_witness(&witness, &house);
    for (int i = 0; i < CLIENTS; i++)
        kt_test_client_open(&clients[i], &house);
    for (int i = 0; i < CLIENTS; i++)
        subscribe(&clients[i], BTC, "{\"time\":0}", false);
    for (int i = 0; i < 20; i++)
        is_served(&witness, &house, ++served);
    for (int i = 0; i < CLIENTS; i++) {
        kt_test_client_want(&clients[i], "answer");
        for (uint64_t offset = 1; offset <= EVENTS; offset++)
            want_event(&clients[i], offset);
        kt_test_client_close(&clients[i]);
    }
    assert_int_equal(counts_of(&house).replays, CLIENTS);
    is_served(&witness, &house, ++served);
    want_nothing_left(&house, &witness);
    kt_test_house_close(&house);
}

/* A client that asks on and on and never reads its answers is let go. */
static void subscribe_storm(void **state)
{
    enum { ROUNDS = 100000 };
    kt_test_house house;
    kt_test_client witness;
    kt_test_client storm;
    uint64_t served = 0;
    int round = 0;

    kt_test_house_open(&house, SMALL_BUFFERS, 1 << 20, 0);
    kt_test_trade(&house, BTC, 1);
    open_witness(&witness, &house);
    kt_test_client_open(&storm, &house);
    for (; round < ROUNDS && counts_of(&house).slow_closed == 0; round++) {
        subscribe(&storm, BTC, "\"live\"", round % 2 == 0);
        kt_test_client_say(&storm, "{\"op\":\"unsubscribe\",\"channel\":\"" BTC "\"}");
        kt_test_house_turn(&house);
        if (round % 500 == 0)
            is_served(&witness, &house, ++served);
    }
    assert_int_equal(counts_of(&house).slow_closed, 1);
    assert_true(counts_of(&house).subscriptions <= 2);
    kt_test_client_close(&storm);
    is_served(&witness, &house, ++served);
    want_nothing_left(&house, &witness);
    kt_test_house_close(&house);
}

static void too_many_subscriptions(void **state)
{
    kt_test_house house;
    kt_test_client witness;
    kt_test_client greedy;
    char channel[64];

    kt_test_house_open(&house, NULL, 0, 0);
    open_witness(&witness, &house);
    kt_test_client_open(&greedy, &house);
    for (int i = 0; i < KT_HUB_SUBSCRIPTION_MAX + 3; i++) {
        snprintf(channel, sizeof channel, "trades.binance.COIN%d/USDT", i);
        subscribe(&greedy, channel, "\"live\"", true);
        kt_test_client_want(&greedy, i < KT_HUB_SUBSCRIPTION_MAX ? "answer" : "error");
    }
    assert_string_equal(kt_test_client_text(&greedy, "code"), "limit_reached");
    assert_int_equal(counts_of(&house).subscriptions, KT_HUB_SUBSCRIPTION_MAX + 1);
    is_served(&witness, &house, 1);
    kt_test_client_close(&greedy);
    want_nothing_left(&house, &witness);
    kt_test_house_close(&house);
}

int main(void)
{
    struct rlimit files;
    bool enough;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    enough = files.rlim_cur >= 2 * HALF_OPEN + 100;

    const struct CMUnitTest tests[] = {
        KT_TEST_WHERE(enough, half_open_handshakes, "fewer than 2100 open files are allowed"),
        cmocka_unit_test(slow_readers),
        cmocka_unit_test(resume_storm),
        cmocka_unit_test(subscribe_storm),
        cmocka_unit_test(too_many_subscriptions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
