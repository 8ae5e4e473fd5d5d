/* The whole way of Kraken's two streams into lane market: `kontor sim` in a process of its own breaks them, and over real
 * sockets the counters become its own trades, REST repairs what is lost, and the books are the sim's. */
#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test_util.h"
#include "base/text.h"
#include "base/time.h"
#include "book/level2.h"
#include "net/fetch.h"
#include "schema/config.h"
#include "service/book.h"
#include "service/feed.h"
#include "service/market.h"
#include "venue/sim/sim.h"

enum { WAIT_S = 60, TEXT_SIZE = 64 << 10 };

/* What lane market says, as a subscriber takes it. */
typedef struct heard {
    kt_ev_feed_stats stats;
    kt_level2 book;
    bool book_known;
    uint32_t resyncs, snapshots, changes, sure;
    kt_ev_ticker ticker;
    kt_ev_candle candle;
} heard;

static heard said;
static char text[TEXT_SIZE];
static bool text_here;

static kt_code watcher_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = lane;
    return KT_OK;
}

static void set_side(kt_level2 *book, kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, rows, i, &level);
        assert_int_equal(kt_level2_set(book, side, level.price, level.quantity), KT_OK);
    }
}

/* Snapshots begin anew; each change continues the one before by its numbers. */
static void hear_book(const kt_ev_book *event)
{
    said.resyncs = event->resyncs;
    if (event->snapshot)
        kt_level2_start(&said.book, event->last_id);
    else
        assert_true(
            said.book_known && kt_level2_place_of(&said.book, event->first_id, event->last_id) == KT_LEVEL2_NEXT);
    set_side(&said.book, KT_BIDS, &event->bids);
    set_side(&said.book, KT_ASKS, &event->asks);
    if (!event->snapshot)
        kt_level2_continue(&said.book, event->last_id);
    said.book_known = true;
    *(event->snapshot ? &said.snapshots : &said.changes) += 1;
}

static void watcher_output(void *state, const kt_event *event)
{
    kt_event_any any;

    assert_int_equal(kt_event_decode(event->rec->kind, event->payload, event->size, &any), KT_OK);
    if (event->rec->kind == KT_EV_FEED_STATS)
        said.stats = any.feed_stats;
    else if (event->rec->kind == KT_EV_BOOK)
        hear_book(&any.book);
    else if (event->rec->kind == KT_EV_TICKER)
        said.ticker = any.ticker;
    else
        said.sure += any.vwap.validated;
}

static const char *const watcher_outputs[] = { "stats.kraken", "vwap.>", "book.>", "ticker.>", NULL };
static const kt_feed_spec watcher = {
    .name = "watcher", .start = watcher_start, .outputs = watcher_outputs, .on_output = watcher_output
};

/* Candles are inputs, which only services see. */
static kt_code minutes_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = &said;
    return KT_OK;
}

static void minutes_event(void *state, kt_env *env, const kt_event *event)
{
    const kt_ev_candle *candle = &said.candle;

    assert_true(kt_text_equal(event->subject, KT_TEXT("candle.kraken.1m.BTC/USDT")));
    assert_int_equal(kt_event_decode(KT_EV_CANDLE, event->payload, event->size, &said.candle), KT_OK);
    assert_true(candle->begin % KT_NS_PER_MIN == 0 && candle->interval_s == 60 && candle->trades > 0);
    assert_true(
        kt_decimal_compare(candle->low, candle->close) <= 0 && kt_decimal_compare(candle->close, candle->high) <= 0);
}

static const char *const minutes_subjects[] = { "candle.>", NULL };
static const kt_service_spec minutes = {
    .name = "minutes", .version = 1, .subjects = minutes_subjects, .start = minutes_start, .on_event = minutes_event
};

/* The sim's process; *out_port is where it listens. */
static pid_t sim_start(const char *format, const char *faults, uint32_t *out_port)
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
        char *argv[] = { "sim", "--port", "0", "--format", (char *)format, "--symbols", "1", "--count", "2000",
            "--speed", "max", "--wait", "--seed", "7", "--fault", (char *)faults };

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], STDOUT_FILENO);
        _exit(kt_sim_main((int)KT_COUNT(argv), argv));
    }
    close(pipes[1]);
    out = fdopen(pipes[0], "r");
    assert_non_null(fgets(line, sizeof line, out));
    fclose(out);
    assert_int_equal(sscanf(line, "listening 127.0.0.1:%u", out_port), 1);
    return pid;
}

static bool turn(kt_lane *lane)
{
    kt_err err;

    if (kt_lane_turn(lane, 10 * KT_NS_PER_MS, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return true;
}

static void on_text(void *ctx, const kt_fetch_answer *answer)
{
    assert_true(answer->body.n < sizeof text);
    if (answer->code == KT_OK) {
        memcpy(text, answer->body.s, answer->body.n);
        text[answer->body.n] = 0;
    }
    text_here = true;
}

/* Ask the sim; its answer is in `text`. */
static void ask(kt_lane *lane, kt_fetcher *fetcher, uint32_t port, const char *path)
{
    char url[128];
    kt_fetch_spec spec = { .method = KT_HTTP_GET, .url = url, .on_done = on_text };

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    text_here = false;
    assert_int_equal(kt_fetch_start(fetcher, &spec, NULL, NULL), KT_OK);
    assert_true(KT_TEST_WAIT(turn(lane) && text_here, WAIT_S));
}

static uint64_t truth_of(const char *name)
{
    char key[64];
    const char *at = strstr(text, "\"feeds\"");

    snprintf(key, sizeof key, "\"%s\":", name);
    at = at != NULL ? strstr(at, key) : NULL;
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Has every trade been delivered, asked for and told? */
static bool trades_settled(kt_lane *lane, kt_fetcher *fetcher, uint32_t port)
{
    const kt_ev_feed_stats *stats = &said.stats;

    turn(lane);
    ask(lane, fetcher, port, "/sim/truth");
    return strstr(text, "\"ended\":true") != NULL &&
           stats->received - stats->repeated == truth_of("received") - truth_of("repeated") &&
           stats->missing == truth_of("missing") && stats->repaired == stats->missing && stats->market_time != 0 &&
           stats->validated_until == stats->market_time;
}

/* Is the book that was told the one that the sim's REST gives? */
static bool book_equal(kt_lane *lane, kt_fetcher *fetcher, uint32_t port)
{
    kt_json_node *nodes = calloc(TEXT_SIZE, sizeof *nodes);
    static const char *const names[KT_LEVEL2_SIDES] = { [KT_BIDS] = "bids", [KT_ASKS] = "asks" };
    bool equal = said.book_known;
    kt_json_doc doc;

    turn(lane);
    ask(lane, fetcher, port, "/0/public/Depth?pair=XBTUSDT&count=500");
    assert_non_null(nodes);
    assert_int_equal(kt_json_parse(kt_text_of(text), nodes, TEXT_SIZE, &doc, NULL), KT_OK);
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        uint32_t pair = kt_json_get(&doc, kt_json_get(&doc, 0, KT_TEXT("result")), KT_TEXT("XBTUSDT"));
        uint32_t levels = kt_json_get(&doc, pair, kt_text_of(names[side])), rank = 0;

        equal = equal && kt_json_count(&doc, levels) == kt_level2_count(&said.book, side);
        kt_json_each (&doc, levels, level) {
            kt_decimal price, quantity, at[2];

            if (!equal)
                break;
            assert_int_equal(kt_json_decimal_text(&doc, kt_json_at(&doc, level, 0), &price), KT_OK);
            assert_int_equal(kt_json_decimal_text(&doc, kt_json_at(&doc, level, 1), &quantity), KT_OK);
            kt_level2_decimals(&said.book, side, rank++, &at[0], &at[1]);
            equal = kt_decimal_compare(price, at[0]) == 0 && kt_decimal_compare(quantity, at[1]) == 0;
        }
    }
    free(nodes);
    return equal;
}

typedef struct game {
    const char *format, *path, *faults;
    bool book_follows; /* the book's messages are delivered, right or refused: it ends as the sim's */
} game;

static void play(const game *how)
{
    static const kt_service_spec *const services[] = { &kt_market_service, &kt_book_service, &minutes, NULL };
    static const kt_feed_spec *const feeds[] = { &kt_venue_feed, &watcher, NULL };
    kt_lane_options options = { .name = "market",
        .data_dir = kt_test_dir(),
        .services = services,
        .feeds = feeds,
        .segment_size = 16 << 20,
        .inline_sync = true,
        .logic = 1,
        .version = "test" };
    kt_fetcher *fetcher;
    kt_config *config;
    kt_lane *lane;
    char yaml[1024];
    uint32_t port = 0;
    pid_t sim = sim_start(how->format, how->faults, &port);
    kt_err err;
    bool park;

    said = (heard){ 0 };
    snprintf(yaml, sizeof yaml,
        "vwap: {windows: [5s, 1m], interval_ms: 60000}\nrepair: {interval_ms: 20}\n"
        "venues: [{name: kraken, format: %s, ws_url: \"ws://127.0.0.1:%u%s\", rest_url: \"http://127.0.0.1:%u\", "
        "symbols: [BTC/USDT], books: true, candles: true, requests_per_s: 1000}]\n",
        how->format, port, how->path, port);
    if (kt_config_parse("test", yaml, strlen(yaml), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    options.config = config;
    if (kt_lane_open(&options, &lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_fetcher_new(kt_lane_loop(lane), &(kt_fetcher_options){ 0 }, &fetcher, &err), KT_OK);
    if (!KT_TEST_WAIT(trades_settled(lane, fetcher, port), WAIT_S))
        fail_msg("received %llu, missing %llu, repaired %llu; the sim says %s", (unsigned long long)said.stats.received,
            (unsigned long long)said.stats.missing, (unsigned long long)said.stats.repaired, text);
    assert_int_equal(said.stats.invalid, truth_of("invalid"));
    assert_int_equal(said.stats.repeated, truth_of("repeated"));
    assert_int_equal(said.stats.reordered, truth_of("reordered"));
    assert_int_equal(said.stats.suspect, truth_of("suspect"));
    assert_int_equal(said.stats.lost, 0);
    assert_true(said.stats.missing > 0 && truth_of("disconnect") > 0);
    assert_true(said.sure > 0 && said.snapshots > 0 && said.ticker.bid.m > 0 && said.candle.trades > 0);
    assert_true(KT_TEST_WAIT(turn(lane) && said.resyncs > 0, WAIT_S));
    if (how->book_follows)
        assert_true(KT_TEST_WAIT(book_equal(lane, fetcher, port), WAIT_S));
    kt_fetcher_free(fetcher);
    kt_lane_close(lane, true);
    kt_config_free(config);
    kt_level2_done(&said.book);
    kill(sim, SIGTERM);
    assert_int_equal(waitpid(sim, NULL, 0), sim);
}

#define FAULTS                                                                                                              \
    "drop=0.03,repeat=0.03,reorder=0.03,malformed=0.01,missing_field=0.01,wrong_type=0.01,disconnect=0.003,wrong_checksum=" \
    "0.02"

/* v1 names a trade by its price, too: one with another price is another trade. */
static void test_v1(void **state)
{
    play(&(game){ "kraken_v1", "/", FAULTS, false });
}

static void test_v2(void **state)
{
    play(&(game){ "kraken_v2", "/v2", FAULTS ",absurd_price=0.01", false });
}

/* A book that is lost by its checksum, or with its connection, is the venue's again. */
static void test_books_v1(void **state)
{
    play(&(game){ "kraken_v1", "/", "wrong_checksum=0.02,crossed_book=0.02,disconnect=0.003", true });
}

static void test_books_v2(void **state)
{
    play(&(game){ "kraken_v2", "/v2", "wrong_checksum=0.02,crossed_book=0.02,disconnect=0.003", true });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_books_v1),
        cmocka_unit_test(test_books_v2),
    };

    return cmocka_run_group_tests_name("kraken_feed", tests, NULL, NULL);
}
