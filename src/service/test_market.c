#include "service/test_market.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/test.h"
#include "base/test_util.h"
#include "base/time.h"
#include "bus/board.h"
#include "log/record.h"
#include "net/fetch.h"
#include "service/book.h"
#include "service/feed.h"
#include "service/market.h"
#include "venue/sim/sim.h"

enum { ARG_MAX_COUNT = 40 };

static kt_test_lane here;
static kt_config *config;
static kt_fetcher *fetcher;
static pid_t market;    /* 0: none */
static bool supervised; /* with these: */
static kt_board board;
static int control[2]; /* of the lane, of its supervisor */
static bool answered;

/* ---- the market ---- */

static void start_market(const char *flags)
{
    static char mem[2048];
    char *args[ARG_MAX_COUNT] = { "sim", "--port", "0", "--control-port", "0", "--symbols", "1", "--wait", "--seed",
        "7" };
    char line[256] = "";
    int ends[2], count = 10;

    snprintf(mem, sizeof mem, "%s", flags);
    for (char *at = strtok(mem, " "); at != NULL && count < ARG_MAX_COUNT - 1; at = strtok(NULL, " "))
        args[count++] = at;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    market = fork();
    assert_true(market >= 0);
    if (market == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        _exit(kt_sim_main(count, args));
    }
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(sscanf(line, "listening 127.0.0.1:%u", &here.port), 1);
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(sscanf(line, "control 127.0.0.1:%u", &here.control), 1);
    fclose(out);
}

static void stop_market(void)
{
    if (market == 0)
        return;
    kill(market, SIGTERM);
    assert_int_equal(waitpid(market, NULL, 0), market);
    market = 0;
}

/* ---- what the lane says: inputs are seen by a service, outputs by a feed ---- */

static void put_once(char *lines, size_t size, kt_text text)
{
    size_t n = strlen(lines);

    if (text.s != NULL && text.n > 0 && n + text.n + 2 < size && memmem(lines, n, text.s, text.n) == NULL)
        snprintf(lines + n, size - n, "%.*s\n", KT_TEXT_ARG(text));
}

static void hear(kt_text text)
{
    put_once(here.heard, sizeof here.heard, text);
}

static void on_diag(void *ctx, kt_level level, const char *line)
{
    if (level == KT_LEVEL_WARNING)
        put_once(here.warned, sizeof here.warned, kt_text_of(line));
}

static kt_code ear_start(kt_env *env, const kt_config *lane_config, void **out_state, kt_err *err)
{
    *out_state = &here;
    return KT_OK;
}

static void ear_event(void *state, kt_env *env, const kt_event *event)
{
    kt_event_any any;

    assert_int_equal(kt_event_decode(event->rec->kind, event->payload, event->size, &any), KT_OK);
    if (event->rec->kind == KT_EV_ANSWER)
        hear(any.answer.error);
    if (event->rec->kind != KT_EV_LINK)
        return;
    hear(any.link.state == KT_LINK_SILENT ? KT_TEXT("silent") : any.link.reason);
    if (any.link.state == KT_LINK_DISCONNECTED) {
        here.lost_count++;
        assert_true(any.link.reason.n > 0);
    }
}

static const char *const ear_subjects[] = { "feed.*.link", "answer.*", NULL };
static const kt_service_spec ear = {
    .name = "ear", .version = 1, .subjects = ear_subjects, .start = ear_start, .on_event = ear_event
};

static void set_side(kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, rows, i, &level);
        assert_int_equal(kt_level2_set(&here.book, side, level.price, level.quantity), KT_OK);
    }
}

/* Snapshots begin anew; each change continues the one before by its numbers. */
static void hear_book(const kt_ev_book *event)
{
    here.book_resyncs = event->resyncs;
    if (event->snapshot)
        kt_level2_start(&here.book, event->last_id);
    else
        assert_true(
            here.book_known && kt_level2_place_of(&here.book, event->first_id, event->last_id) == KT_LEVEL2_NEXT);
    set_side(KT_BIDS, &event->bids);
    set_side(KT_ASKS, &event->asks);
    if (!event->snapshot)
        kt_level2_continue(&here.book, event->last_id);
    here.book_known = true;
}

static kt_code watcher_start(kt_lane *lane, const kt_config *lane_config, void **out_state, kt_err *err)
{
    *out_state = &here;
    return KT_OK;
}

static void watcher_output(void *state, const kt_event *event)
{
    kt_event_any any;

    assert_int_equal(kt_event_decode(event->rec->kind, event->payload, event->size, &any), KT_OK);
    if (event->rec->kind == KT_EV_FEED_STATS)
        here.stats = any.feed_stats;
    else if (event->rec->kind == KT_EV_VWAP)
        *(any.vwap.validated ? &here.sure_count : &here.live_count) += 1;
    else if (event->rec->kind == KT_EV_BOOK)
        hear_book(&any.book);
    else if (event->rec->kind == KT_EV_TICKER)
        here.ticker = any.ticker;
}

static const char *const watcher_outputs[] = { "stats.market", "vwap.>", "book.>", "ticker.>", NULL };
static const kt_feed_spec watcher = {
    .name = "watcher", .start = watcher_start, .outputs = watcher_outputs, .on_output = watcher_output
};

/* ---- the lane ---- */

/* What a supervisor shares with a lane that it starts anew, after this message ended it. */
static const kt_lane_links *links_with(const char *aside)
{
    static kt_lane_aside asides[1];
    static kt_lane_links links;
    static const char *const names[] = { "market" };

    /* As kt_lane_decoding() has it, and logs hold it. */
    asides[0].hash = kt_crc32c(0, aside, strlen(aside)) | (uint64_t)strlen(aside) << 32;
    assert_int_equal(kt_board_open(&board, names, KT_COUNT(names), NULL), KT_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control), 0);
    supervised = true;
    links = (kt_lane_links){ .board = &board, .control_fd = control[0], .asides = asides, .aside_count = 1 };
    return &links;
}

static void end_links(void)
{
    if (!supervised)
        return;
    supervised = false;
    close(control[0]);
    close(control[1]);
    kt_board_close(&board);
}

static void open_lane(const char *text, const kt_service_spec *more, const kt_lane_links *links)
{
    static const kt_service_spec *services[5];
    static const kt_feed_spec *const feeds[] = { &kt_venue_feed, &watcher, NULL };
    kt_lane_options options = { .name = "market",
        .data_dir = kt_test_dir(),
        .services = services,
        .feeds = feeds,
        .segment_size = 16 << 20,
        .inline_sync = true,
        .logic = 1,
        .version = "test",
        .links = links,
        .diag = on_diag };
    kt_err err;
    bool park;

    memcpy(services, (const kt_service_spec *[]){ &kt_market_service, &kt_book_service, &ear, more, NULL },
        sizeof services);
    if (kt_config_parse("test", text, strlen(text), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    options.config = config;
    if (kt_lane_open(&options, &here.lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_fetcher_new(kt_lane_loop(here.lane), &(kt_fetcher_options){ 0 }, &fetcher, NULL), KT_OK);
}

kt_test_lane *kt_test_lane_alone(const char *text, const char *aside)
{
    here = (kt_test_lane){ 0 };
    open_lane(text, NULL, aside != NULL ? links_with(aside) : NULL);
    return &here;
}

/* What differs in the addresses of a format. */
static const struct address {
    const char *format, *stream, *rest, *symbol;
} addresses[] = {
    { "generic", "/stream", "/trades", "BTC" },
    { "binance", "", "", "BTC/USDT" },
    { "kraken_v1", "/", "", "BTC/USDT" },
    { "kraken_v2", "/v2", "", "BTC/USDT" },
};

kt_test_lane *kt_test_lane_open(const kt_test_play *play)
{
    const struct address *at = addresses;
    const char *s = play->ca_folder != NULL ? "s" : "";
    char text[4096], flags[2048];

    while (strcmp(at->format, play->format) != 0)
        assert_true(++at < addresses + KT_COUNT(addresses));
    here = (kt_test_lane){ 0 };
    snprintf(flags, sizeof flags, "--format %s %s", play->format, play->flags);
    start_market(flags);
    snprintf(text, sizeof text,
        "vwap: {windows: [5s, 1m], interval_ms: 60000}\nrepair: {interval_ms: 20}\n"
        "gather: {backoff_min_ms: 5, backoff_max_ms: 100}\nnet: {ca_file: \"%s%s\"}\n"
        "venues: [{name: market, format: %s, ws_url: \"ws%s://127.0.0.1:%u%s\", rest_url: \"http%s://127.0.0.1:%u%s\", "
        "symbols: [%s], requests_per_s: 1000%s}]\n",
        play->ca_folder != NULL ? play->ca_folder : "", play->ca_folder != NULL ? "/authority.crt" : "", play->format,
        s, here.port, at->stream, s, here.port, at->rest, at->symbol, play->venue != NULL ? play->venue : "");
    open_lane(text, play->more, NULL);
    return &here;
}

void kt_test_lane_close(kt_test_lane *lane)
{
    kt_fetcher_free(fetcher);
    kt_lane_close(lane->lane, true);
    end_links();
    kt_config_free(config);
    stop_market();
    kt_level2_done(&lane->book);
}

bool kt_test_turn(kt_test_lane *lane)
{
    kt_err err;

    if (kt_lane_turn(lane->lane, 10 * KT_NS_PER_MS, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return true;
}

/* ---- questions ---- */

static void on_answer(void *ctx, const kt_fetch_answer *answer)
{
    kt_test_lane *lane = ctx;

    assert_true(answer->body.n < sizeof lane->answer);
    if (answer->code == KT_OK)
        memcpy(lane->answer, answer->body.s, answer->body.n);
    lane->answer[answer->code == KT_OK ? answer->body.n : 0] = '\0';
    answered = true;
}

const char *kt_test_ask(kt_test_lane *lane, uint32_t port, const char *target, const char *body)
{
    char url[512];
    kt_fetch_spec spec = { .method = body != NULL ? KT_HTTP_POST : KT_HTTP_GET,
        .url = url,
        .body = body != NULL ? kt_text_of(body) : (kt_text){ 0 },
        .on_done = on_answer,
        .ctx = lane };

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, target);
    answered = false;
    assert_int_equal(kt_fetch_start(fetcher, &spec, NULL, NULL), KT_OK);
    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && answered, KT_TEST_WAIT_S));
    return lane->answer;
}

void kt_test_set_faults(kt_test_lane *lane, const char *values)
{
    char body[512];

    snprintf(body, sizeof body, "{\"faults\":%s}", values);
    if (strncmp(kt_test_ask(lane, lane->control, "/v1/sim/faults", body), "{\"faults\":[", 11) != 0)
        fail_msg("%s", lane->answer);
}

uint64_t kt_test_truth(const kt_test_lane *lane, const char *part, const char *name)
{
    char key[64];
    const char *at = strstr(lane->answer, part);

    snprintf(key, sizeof key, "\"%s\":", name);
    at = at != NULL ? strstr(at, key) : NULL;
    if (at == NULL)
        fail_msg("no %s of %s in %s", name, part, lane->answer);
    return strtoull(at + strlen(key), NULL, 10);
}

uint64_t kt_test_delivered(kt_test_lane *lane, const char *fault)
{
    kt_test_ask(lane, lane->control, "/sim/truth", NULL);
    return kt_test_truth(lane, "\"faults\"", fault);
}

static uint64_t sent(const kt_test_lane *lane, const char *name)
{
    return kt_test_truth(lane, "\"feeds\"", name);
}

/* Has everything been delivered, asked for and told? */
static bool settled(kt_test_lane *lane)
{
    const kt_ev_feed_stats *stats = &lane->stats;

    kt_test_turn(lane);
    kt_test_ask(lane, lane->control, "/sim/truth", NULL);
    return strstr(lane->answer, "\"ended\":true") != NULL &&
           stats->received - stats->repeated == sent(lane, "received") - sent(lane, "repeated") &&
           stats->missing == sent(lane, "missing") && stats->repaired == stats->missing && stats->market_time != 0 &&
           stats->validated_until == stats->market_time;
}

void kt_test_settle(kt_test_lane *lane, const char *row)
{
    const kt_ev_feed_stats *stats = &lane->stats;

    if (!KT_TEST_WAIT(settled(lane), KT_TEST_WAIT_S))
        fail_msg("%s: received %llu, missing %llu, repaired %llu; the lane has heard:\n%s\nthe market says %s", row,
            (unsigned long long)stats->received, (unsigned long long)stats->missing,
            (unsigned long long)stats->repaired, lane->heard, lane->answer);
    assert_int_equal(stats->invalid, sent(lane, "invalid"));
    assert_int_equal(stats->reordered, sent(lane, "reordered"));
    assert_int_equal(stats->suspect, sent(lane, "suspect"));
    assert_int_equal(stats->lost, 0);
    assert_true(lane->sure_count >= lane->live_count && lane->sure_count > 0);
}

bool kt_test_book_is(const kt_test_lane *lane, const kt_json_doc *doc, uint32_t object)
{
    static const char *const names[KT_LEVEL2_SIDES] = { [KT_BIDS] = "bids", [KT_ASKS] = "asks" };

    if (!lane->book_known)
        return false;
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        uint32_t levels = kt_json_get(doc, object, kt_text_of(names[side])), rank = 0;

        if (kt_json_count(doc, levels) != kt_level2_count(&lane->book, side))
            return false;
        kt_json_each (doc, levels, level) {
            kt_decimal told[2], given[2];

            kt_level2_decimals(&lane->book, side, rank++, &told[0], &told[1]);
            for (uint32_t i = 0; i < 2; i++) {
                assert_int_equal(kt_json_decimal_text(doc, kt_json_at(doc, level, i), &given[i]), KT_OK);
                if (kt_decimal_compare(told[i], given[i]) != 0)
                    return false;
            }
        }
    }
    return true;
}
