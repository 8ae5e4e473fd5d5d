/* The whole way of a trade into lane market: `kontor sim` in a process of its own breaks its stream, and over real
 * sockets the counters become its own books and every value that REST has passed is validated. */
#include <stdio.h>
#include <string.h>

#include "base/test.h"
#include "base/test_util.h"
#include "net/test_tls.h"
#include "net/ws_server.h"
#include "service/test_market.h"

#define FAULTS                                                                                                \
    "drop=0.03,repeat=0.03,reorder=0.03,malformed=0.01,missing_field=0.01,wrong_type=0.01,absurd_price=0.01," \
    "disconnect=0.001"
#define BROKEN "--count 3000 --speed max --rate 20 --fault " FAULTS

static void play_broken(const kt_test_play *play)
{
    kt_test_lane *lane = kt_test_lane_open(play);

    kt_test_settle(lane, play->format);
    assert_int_equal(lane->stats.repeated, kt_test_truth(lane, "\"feeds\"", "repeated"));
    assert_true(lane->stats.invalid > 0 && lane->stats.missing > 0 && lane->live_count > 100);
    assert_true(kt_test_truth(lane, "\"faults\"", "disconnect") > 0);
    kt_test_lane_close(lane);
}

static void test_generic(void **state)
{
    play_broken(&(kt_test_play){ .format = "generic", .flags = BROKEN });
}

static void test_binance(void **state)
{
    play_broken(&(kt_test_play){ .format = "binance", .flags = BROKEN });
}

static void test_over_tls(void **state)
{
    const char *dir = kt_test_dir();
    char flags[2048];

    kt_test_certificates_make(dir);
    snprintf(flags, sizeof flags, BROKEN " --tls-certificate %s/server.crt --tls-key %s/server.key", dir, dir);
    play_broken(&(kt_test_play){ .format = "binance", .flags = flags, .ca_folder = dir });
}

static void test_compressed(void **state)
{
    play_broken(&(kt_test_play){ .format = "binance", .flags = BROKEN, .venue = ", compression: true" });
}

static uint64_t connections(kt_test_lane *lane)
{
    kt_test_ask(lane, lane->control, "/sim/truth", NULL);
    return kt_test_truth(lane, "\"feeds\"", "connections");
}

/* A connection near the end of its life is replaced, and no trade is missing for it. What came on both before the new one
 * took over was repeated: often nothing. */
static void test_connections_are_renewed(void **state)
{
    kt_test_lane *lane = kt_test_lane_open(
        &(kt_test_play){ .format = "binance", .flags = "--count 3000 --speed 1 --rate 800", .venue = ", renew_s: 1" });

    kt_test_settle(lane, "renewed");
    assert_int_equal(lane->stats.invalid, 0);
    assert_int_equal(lane->stats.missing, 0);
    assert_true(KT_TEST_WAIT(connections(lane) >= 3, KT_TEST_WAIT_S));
    kt_test_lane_close(lane);
}

/* ---- a venue of our own, whose every word is the test's ---- */

enum { GUEST_MAX = 4 };

typedef struct own_venue {
    kt_loop *loop;
    kt_http_server *http;
    kt_ws_server *ws;
    kt_ws_conn *guests[GUEST_MAX]; /* in the order of coming; NULL: gone */
    uint32_t come, gone;
    uint16_t gone_code;
    const char *type, *body; /* what REST answers to everything; NULL: there is none */
} own_venue;

static void venue_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    own_venue *venue = ctx;

    if (!kt_text_equal(request->path, KT_TEXT("/stream"))) {
        if (venue->body != NULL)
            kt_http_respond(http, exchange,
                &(kt_http_response){ .status = 200, .type = kt_text_of(venue->type), .body = kt_text_of(venue->body) });
        else
            kt_http_fail(http, exchange, 404, "this venue has a stream only");
        return;
    }
    assert_true(venue->come < GUEST_MAX);
    venue->guests[venue->come] = kt_ws_accept(venue->ws, http, exchange, request, venue);
    assert_non_null(venue->guests[venue->come++]);
}

static void venue_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
}

static void venue_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    own_venue *venue = ctx;

    for (uint32_t i = 0; i < GUEST_MAX; i++)
        if (venue->guests[i] == conn)
            venue->guests[i] = NULL;
    venue->gone++;
    venue->gone_code = code;
}

static void venue_open(own_venue *venue)
{
    kt_ws_server_options ws = { .handlers = { .on_message = venue_message, .on_close = venue_close }, .deflate = true };
    kt_http_server_options http = { .host = "127.0.0.1", .on_request = venue_request, .ctx = venue };

    *venue = (own_venue){ 0 };
    assert_int_equal(kt_loop_new(NULL, &venue->loop, NULL), KT_OK);
    assert_int_equal(kt_ws_server_new(venue->loop, &ws, &venue->ws, NULL), KT_OK);
    assert_int_equal(kt_http_server_open(venue->loop, &http, &venue->http, NULL), KT_OK);
}

static void venue_end(own_venue *venue)
{
    kt_http_server_close(venue->http);
    kt_ws_server_free(venue->ws);
    kt_loop_free(venue->loop);
}

static void venue_say(own_venue *venue, uint32_t guest, const char *text)
{
    assert_int_equal(kt_ws_send(venue->guests[guest], KT_WS_TEXT, text, strlen(text)), KT_OK);
}

static void venue_trade(own_venue *venue, uint32_t guest, uint32_t number)
{
    char text[256];

    snprintf(text, sizeof text,
        "{\"e\":\"trade\",\"E\":1684083600000,\"s\":\"BTCUSDT\",\"t\":%u,\"p\":\"27000.10\",\"q\":\"0.5\","
        "\"T\":%llu,\"m\":true,\"M\":true}",
        number, 1684083600000ULL + number);
    venue_say(venue, guest, text);
}

/* A lane that gathers BTC/USDT from it, and asks its REST for instruments when it has one. */
static kt_test_lane *guest_open(own_venue *venue, bool compression, const char *aside)
{
    char text[512], rest_url[64] = "";

    if (venue->body != NULL)
        snprintf(rest_url, sizeof rest_url, ", rest_url: \"http://127.0.0.1:%u\"", kt_http_server_port(venue->http));
    snprintf(text, sizeof text,
        "repair: {enabled: false}\n"
        "venues: [{name: market, format: binance, ws_url: \"ws://127.0.0.1:%u\", symbols: [BTC/USDT], compression: %s%s}]\n",
        kt_http_server_port(venue->http), compression ? "true" : "false", rest_url);
    return kt_test_lane_alone(text, aside);
}

static bool turn_both(kt_test_lane *lane, own_venue *venue)
{
    assert_int_equal(kt_loop_turn(venue->loop, 0, NULL), KT_OK);
    return kt_test_turn(lane);
}

/* Compression is offered where it is configured, and nowhere else. */
static void test_compression_is_as_configured(void **state)
{
    for (int compression = 0; compression < 2; compression++) {
        own_venue venue;

        venue_open(&venue);
        kt_test_lane *lane = guest_open(&venue, compression, NULL);
        assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 1, KT_TEST_WAIT_S));
        assert_int_equal(kt_ws_deflates(venue.guests[0]), compression);
        kt_test_lane_close(lane);
        venue_end(&venue);
    }
}

/* The venue says that it will end the connection: another one is there before it does, and no trade falls between. */
static void test_an_end_that_is_announced(void **state)
{
    static const char ends[] = "{\"e\":\"serverShutdown\",\"E\":1770123456789}";
    own_venue venue;

    venue_open(&venue);
    kt_test_lane *lane = guest_open(&venue, false, NULL);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 1, KT_TEST_WAIT_S));
    venue_trade(&venue, 0, 1);
    for (int i = 0; i < 2; i++) /* said twice, done once */
        venue_say(&venue, 0, ends);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 2, KT_TEST_WAIT_S));
    venue_trade(&venue, 0, 2); /* the old one delivers until the new one does */
    for (int i = 0; i < 10; i++)
        turn_both(lane, &venue);
    assert_int_equal(venue.gone, 0);
    venue_trade(&venue, 1, 3);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.gone == 1, KT_TEST_WAIT_S));
    assert_null(venue.guests[0]);
    assert_int_equal(venue.gone_code, KT_WS_CLOSE_NORMAL);
    venue_trade(&venue, 1, 4);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && lane->stats.received == 4, KT_TEST_WAIT_S));
    assert_int_equal(lane->stats.missing, 0);
    assert_int_equal(venue.come, 2);
    kt_test_lane_close(lane);
    venue_end(&venue);
}

/* The venue agrees with what it is told, or does not: the operator is warned, and the connection goes on. */
static void test_what_the_venue_refuses(void **state)
{
    own_venue venue;

    venue_open(&venue);
    kt_test_lane *lane = guest_open(&venue, false, NULL);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 1, KT_TEST_WAIT_S));
    venue_say(&venue, 0, "{\"result\":null,\"id\":1}");
    venue_trade(&venue, 0, 1);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && lane->stats.received == 1, KT_TEST_WAIT_S));
    assert_null(strstr(lane->warned, "venue market: \n"));
    venue_say(&venue, 0, "{\"error\":{\"code\":2,\"msg\":\"Invalid request: unknown stream\"},\"id\":1}");
    venue_trade(&venue, 0, 2);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && lane->stats.received == 2, KT_TEST_WAIT_S));
    assert_non_null(strstr(lane->warned, "venue market: 2: Invalid request: unknown stream\n"));
    assert_int_equal(venue.gone, 0);
    kt_test_lane_close(lane);
    venue_end(&venue);
}

/* With status 200 everything can come: what is no answer of the venue is told with its reason, as input and to the operator. */
static void test_answers_that_are_none(void **state)
{
    static const struct {
        const char *name, *type, *body;
        bool aside; /* the body ended the lane before */
        const char *says;
    } rows[] = {
        { "a page of a proxy, or of a log-in", "text/html; charset=utf-8", "{\"symbols\":[]}", false,
            "the answer is text/html; charset=utf-8; the venue's are application/json" },
        { "JSON that has no rows", "application/json", "{}", false, "the body is no list of rows" },
        { "spaces between the type and its parameters make it no other", "application/json  ; charset=utf-8", "{}",
            false, "the body is no list of rows" },
        { "what ended the lane again and again is not decoded", "application/json", "{\"symbols\":[ ]}", true,
            "set aside: it ended this lane again and again" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char warned[256];
        own_venue venue;

        snprintf(warned, sizeof warned, "venue market: no instruments: %s\n", rows[i].says);
        venue_open(&venue);
        venue.type = rows[i].type;
        venue.body = rows[i].body;
        kt_test_lane *lane = guest_open(&venue, false, rows[i].aside ? rows[i].body : NULL);
        if (!KT_TEST_WAIT(turn_both(lane, &venue) && strstr(lane->heard, rows[i].says) != NULL, KT_TEST_WAIT_S) ||
            strstr(lane->warned, warned) == NULL)
            fail_msg("%s: heard '%s', warned '%s'", rows[i].name, lane->heard, lane->warned);
        kt_test_lane_close(lane);
        venue_end(&venue);
    }
}

/* Nobody listens: the lane lives, tells each attempt, and waits longer between them. */
static void test_nobody_listens(void **state)
{
    kt_test_lane *lane =
        kt_test_lane_alone("venues: [{name: market, format: generic, ws_url: \"ws://127.0.0.1:1/stream\", rest_url: "
                           "\"http://127.0.0.1:1/trades\", symbols: [BTC]}]\ngather: {backoff_min_ms: 1}\n",
            NULL);

    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && lane->lost_count >= 4, KT_TEST_WAIT_S));
    kt_test_lane_close(lane);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_binance),
        cmocka_unit_test(test_generic),
        cmocka_unit_test(test_over_tls),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_compression_is_as_configured),
        cmocka_unit_test(test_an_end_that_is_announced),
        cmocka_unit_test(test_what_the_venue_refuses),
        cmocka_unit_test(test_answers_that_are_none),
        cmocka_unit_test(test_connections_are_renewed),
    };

    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
