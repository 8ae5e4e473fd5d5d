/* The whole way of a trade into lane market: `kontor sim` in a process of its own breaks its stream, and over real
 * sockets the counters become its own books and every value that REST has passed is validated. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/test_util.h"
#include "base/time.h"
#include "log/record.h"
#include "net/fetch.h"
#include "net/test_tls.h"
#include "net/ws_server.h"
#include "schema/config.h"
#include "service/feed.h"
#include "service/market.h"
#include "venue/sim/sim.h"

enum { WAIT_S = 60 };

/* What the house said last. */
static kt_ev_feed_stats stats;
static uint32_t live_count, sure_count, connected_count;
static char truth[8192];
static bool truth_here;

static kt_code watcher_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = lane;
    return KT_OK;
}

static void watcher_output(void *state, const kt_event *event)
{
    kt_event_any any;

    assert_int_equal(kt_event_decode(event->rec->kind, event->payload, event->size, &any), KT_OK);
    if (event->rec->kind == KT_EV_FEED_STATS)
        stats = any.feed_stats;
    if (event->rec->kind == KT_EV_VWAP)
        *(any.vwap.validated ? &sure_count : &live_count) += 1;
}

static const char *const watcher_outputs[] = { "stats.market", "vwap.>", NULL };
static const kt_feed_spec watcher = {
    .name = "watcher", .start = watcher_start, .outputs = watcher_outputs, .on_output = watcher_output
};

static const kt_service_spec *const market_alone[] = { &kt_market_service, NULL };

/* How a sim is played. */
typedef struct game {
    const char *format, *symbols, *faults;
    bool stream_path;    /* the format's addresses have paths */
    const char *tls_dir; /* of certificates; NULL: plain text */
    const char *speed, *rate;
    uint32_t renew_s;
    bool compression;
} game;

#define FAULTS                                                                                                \
    "drop=0.03,repeat=0.03,reorder=0.03,malformed=0.01,missing_field=0.01,wrong_type=0.01,absurd_price=0.01," \
    "disconnect=0.001"

#define NO_FAULTS "drop=0"

/* The sim's process; *out_port is where it listens. */
static pid_t sim_start(const game *how, uint32_t *out_port)
{
    char line[256] = "";
    int pipes[2];
    FILE *out;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    fflush(stdout);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char certificate[600], key[600];
        char *argv[] = { "sim", "--port", "0", "--format", (char *)how->format, "--symbols", "1", "--count", "3000",
            "--speed", (char *)how->speed, "--rate", (char *)how->rate, "--wait", "--seed", "7", "--fault",
            (char *)how->faults, "--tls-certificate", certificate, "--tls-key", key, NULL };
        int argc = (int)KT_COUNT(argv) - (how->tls_dir != NULL ? 1 : 5);

        snprintf(certificate, sizeof certificate, "%s/server.crt", how->tls_dir != NULL ? how->tls_dir : "");
        snprintf(key, sizeof key, "%s/server.key", how->tls_dir != NULL ? how->tls_dir : "");

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], STDOUT_FILENO);
        _exit(kt_sim_main(argc, argv));
    }
    close(pipes[1]);
    out = fdopen(pipes[0], "r");
    assert_non_null(fgets(line, sizeof line, out));
    fclose(out);
    assert_int_equal(sscanf(line, "listening 127.0.0.1:%u", out_port), 1);
    return pid;
}

static void on_truth(void *ctx, const kt_fetch_answer *answer)
{
    if (answer->code == KT_OK && answer->body.n < sizeof truth) {
        memcpy(truth, answer->body.s, answer->body.n);
        truth[answer->body.n] = 0;
    }
    truth_here = true;
}

static uint64_t truth_of(const char *name)
{
    char key[64];
    const char *at = strstr(truth, "\"feeds\"");

    snprintf(key, sizeof key, "\"%s\":", name);
    at = at != NULL ? strstr(at, key) : NULL;
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static bool turn(kt_lane *lane)
{
    kt_err err;

    if (kt_lane_turn(lane, 10 * KT_NS_PER_MS, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return true;
}

static void truth_ask(kt_lane *lane, kt_fetcher *fetcher, const char *url)
{
    kt_fetch_spec spec = { .method = KT_HTTP_GET, .url = url, .on_done = on_truth };

    truth_here = false;
    assert_int_equal(kt_fetch_start(fetcher, &spec, NULL, NULL), KT_OK);
    assert_true(KT_TEST_WAIT(turn(lane) && truth_here, WAIT_S));
}

/* Has everything been delivered, asked for and told? */
static bool settled(kt_lane *lane, kt_fetcher *fetcher, const char *url)
{
    turn(lane);
    truth_ask(lane, fetcher, url);
    return strstr(truth, "\"ended\":true") != NULL &&
           stats.received - stats.repeated == truth_of("received") - truth_of("repeated") &&
           stats.missing == truth_of("missing") && stats.repaired == stats.missing && stats.market_time != 0 &&
           stats.validated_until == stats.market_time;
}

/* A lane of its own that lives by this configuration. */
static kt_lane *open_lane(const char *text, const kt_service_spec *const *services, kt_config **out_config)
{
    static const kt_feed_spec *const feeds[] = { &kt_venue_feed, &watcher, NULL };
    kt_lane_options options = { .name = "market",
        .data_dir = kt_test_dir(),
        .services = services,
        .feeds = feeds,
        .segment_size = 16 << 20,
        .inline_sync = true,
        .logic = 1,
        .version = "test" };
    kt_lane *lane;
    kt_err err;
    bool park;

    stats = (kt_ev_feed_stats){ 0 };
    live_count = sure_count = 0;
    if (kt_config_parse("test", text, strlen(text), out_config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    options.config = *out_config;
    if (kt_lane_open(&options, &lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return lane;
}

static void play(const game *how)
{
    char text[2048], url[128], authority[600] = "";
    bool broken = strcmp(how->faults, NO_FAULTS) != 0;
    const char *s = how->tls_dir != NULL ? "s" : "";
    kt_fetcher *fetcher;
    kt_config *config;
    kt_lane *lane;
    uint32_t port = 0;
    kt_err err;
    pid_t sim = sim_start(how, &port);

    if (how->tls_dir != NULL)
        snprintf(authority, sizeof authority, "%s/authority.crt", how->tls_dir);
    snprintf(text, sizeof text,
        "vwap: {windows: [5s, 1m], interval_ms: 60000}\nrepair: {interval_ms: 20}\n"
        "net: {ca_file: \"%s\"}\n"
        "venues: [{name: market, format: %s, ws_url: \"ws%s://127.0.0.1:%u%s\", rest_url: \"http%s://127.0.0.1:%u%s\", "
        "symbols: [%s], requests_per_s: 1000, renew_s: %u, compression: %s}]\n",
        authority, how->format, s, port, how->stream_path ? "/stream" : "", s, port, how->stream_path ? "/trades" : "",
        how->symbols, how->renew_s, how->compression ? "true" : "false");
    lane = open_lane(text, market_alone, &config);
    assert_int_equal(
        kt_fetcher_new(kt_lane_loop(lane), &(kt_fetcher_options){ .ca_file = authority }, &fetcher, &err), KT_OK);
    snprintf(url, sizeof url, "http%s://127.0.0.1:%u/sim/truth", s, port);
    if (!KT_TEST_WAIT(settled(lane, fetcher, url), WAIT_S))
        fail_msg("received %llu, missing %llu, repaired %llu; the sim says %s", (unsigned long long)stats.received,
            (unsigned long long)stats.missing, (unsigned long long)stats.repaired, truth);
    assert_int_equal(stats.invalid, truth_of("invalid"));
    if (how->renew_s == 0)
        assert_int_equal(stats.repeated, truth_of("repeated"));
    else /* a repeat for each trade that came on both connections before the new one took over: often none */
        assert_true(KT_TEST_WAIT((truth_ask(lane, fetcher, url), truth_of("connections") >= 3), WAIT_S));
    assert_int_equal(stats.reordered, truth_of("reordered"));
    assert_int_equal(stats.suspect, truth_of("suspect"));
    assert_int_equal(stats.lost, 0);
    assert_int_equal(truth_of("invalid") > 0, broken);
    assert_int_equal(truth_of("missing") > 0, broken);
    assert_int_equal(truth_of("disconnect") > 0, broken);
    assert_true(live_count > (broken ? 100 : 0) && sure_count >= live_count);
    kt_fetcher_free(fetcher);
    kt_lane_close(lane, true);
    kt_config_free(config);
    kill(sim, SIGTERM);
    assert_int_equal(waitpid(sim, NULL, 0), sim);
}

static void test_generic(void **state)
{
    play(&(game){ "generic", "BTC", FAULTS, true, NULL, "max", "20", 0 });
}

static void test_binance(void **state)
{
    play(&(game){ "binance", "BTC/USDT", FAULTS, false, NULL, "max", "20", 0 });
}

static void test_over_tls(void **state)
{
    const char *dir = kt_test_dir();

    kt_test_certificates_make(dir);
    play(&(game){ "binance", "BTC/USDT", FAULTS, false, dir, "max", "20", 0 });
}

static void test_compressed(void **state)
{
    play(&(game){ "binance", "BTC/USDT", FAULTS, false, NULL, "max", "20", 0, true });
}

/* A connection near the end of its life is replaced, and no trade is missing for it. */
static void test_connections_are_renewed(void **state)
{
    play(&(game){ "binance", "BTC/USDT", NO_FAULTS, false, NULL, "1", "800", 1 });
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
} own_venue;

static void venue_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    own_venue *venue = ctx;

    if (!kt_text_equal(request->path, KT_TEXT("/stream"))) {
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

static void venue_trade(own_venue *venue, uint32_t guest, uint32_t number)
{
    char text[256];
    int n = snprintf(text, sizeof text,
        "{\"e\":\"trade\",\"E\":1684083600000,\"s\":\"BTCUSDT\",\"t\":%u,\"p\":\"27000.10\",\"q\":\"0.5\","
        "\"T\":%llu,\"m\":true,\"M\":true}",
        number, 1684083600000ULL + number);

    assert_int_equal(kt_ws_send(venue->guests[guest], KT_WS_TEXT, text, (size_t)n), KT_OK);
}

/* A lane that gathers BTC/USDT from it. */
static kt_lane *guest_open(own_venue *venue, bool compression, kt_config **out_config)
{
    char text[512];

    snprintf(text, sizeof text,
        "repair: {enabled: false}\n"
        "venues: [{name: market, format: binance, ws_url: \"ws://127.0.0.1:%u\", symbols: [BTC/USDT], compression: %s}]\n",
        kt_http_server_port(venue->http), compression ? "true" : "false");
    return open_lane(text, market_alone, out_config);
}

static bool turn_both(kt_lane *lane, own_venue *venue)
{
    assert_int_equal(kt_loop_turn(venue->loop, 0, NULL), KT_OK);
    return turn(lane);
}

/* Compression is offered where it is configured, and nowhere else. */
static void test_compression_is_as_configured(void **state)
{
    for (int compression = 0; compression < 2; compression++) {
        kt_config *config;
        own_venue venue;

        venue_open(&venue);
        kt_lane *lane = guest_open(&venue, compression, &config);
        assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 1, WAIT_S));
        assert_int_equal(kt_ws_deflates(venue.guests[0]), compression);
        kt_lane_close(lane, true);
        kt_config_free(config);
        venue_end(&venue);
    }
}

/* The venue says that it will end the connection: another one is there before it does, and no trade falls between. */
static void test_an_end_that_is_announced(void **state)
{
    static const char ends[] = "{\"e\":\"serverShutdown\",\"E\":1770123456789}";
    kt_config *config;
    own_venue venue;

    venue_open(&venue);
    kt_lane *lane = guest_open(&venue, false, &config);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 1, WAIT_S));
    venue_trade(&venue, 0, 1);
    for (int i = 0; i < 2; i++) /* said twice, done once */
        assert_int_equal(kt_ws_send(venue.guests[0], KT_WS_TEXT, ends, sizeof ends - 1), KT_OK);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.come == 2, WAIT_S));
    venue_trade(&venue, 0, 2); /* the old one delivers until the new one does */
    for (int i = 0; i < 10; i++)
        turn_both(lane, &venue);
    assert_int_equal(venue.gone, 0);
    venue_trade(&venue, 1, 3);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && venue.gone == 1, WAIT_S));
    assert_null(venue.guests[0]);
    assert_int_equal(venue.gone_code, KT_WS_CLOSE_NORMAL);
    venue_trade(&venue, 1, 4);
    assert_true(KT_TEST_WAIT(turn_both(lane, &venue) && stats.received == 4, WAIT_S));
    assert_int_equal(stats.missing, 0);
    assert_int_equal(venue.come, 2);
    kt_lane_close(lane, true);
    kt_config_free(config);
    venue_end(&venue);
}

/* Nobody listens: the lane lives, tells each attempt, and waits longer between them. */
static void link_output(void *ctx, const kt_event *event)
{
    kt_ev_link ev;

    assert_int_equal(kt_event_decode(KT_EV_LINK, event->payload, event->size, &ev), KT_OK);
    if (ev.state == KT_LINK_DISCONNECTED) {
        connected_count++;
        assert_true(ev.reason.n > 0);
    }
}

static void see_link(void *state, kt_env *env, const kt_event *event)
{
    link_output(state, event);
}

static kt_code see_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = &connected_count;
    return KT_OK;
}

static const char *const link_subjects[] = { "feed.*.link", NULL };
static const kt_service_spec link_service = {
    .name = "links", .version = 1, .subjects = link_subjects, .start = see_start, .on_event = see_link
};

static void test_nobody_listens(void **state)
{
    static const char text[] =
        "venues: [{name: market, format: generic, ws_url: \"ws://127.0.0.1:1/stream\", rest_url: "
        "\"http://127.0.0.1:1/trades\", symbols: [BTC]}]\ngather: {backoff_min_ms: 1}\n";
    static const kt_service_spec *const services[] = { &kt_market_service, &link_service, NULL };
    kt_config *config;
    kt_lane *lane;

    connected_count = 0;
    lane = open_lane(text, services, &config);
    assert_true(KT_TEST_WAIT(turn(lane) && connected_count >= 4, WAIT_S));
    kt_lane_close(lane, true);
    kt_config_free(config);
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
        cmocka_unit_test(test_connections_are_renewed),
    };

    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
