/* Lane market against each fault of connections, REST, books and clocks that `kontor sim` knows: a market in a process of its own
 * breaks, the lane says what it met, and in the end it has everything that the market knows, counted as the market counts.
 * What is drawn by trade comes from one seed, so that each row meets it in every run. How many requests there are is up to time: their
 * faults are certain until they were met. */
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
#include "book/level2.h"
#include "log/record.h"
#include "net/fetch.h"
#include "schema/config.h"
#include "service/book.h"
#include "service/feed.h"
#include "service/market.h"
#include "venue/sim/sim.h"

enum {
    WAIT_S = 60,
    ARG_MAX_COUNT = 40,
    HEARD_SIZE = 1 << 16,
    TRUTH_SIZE = 1 << 16,
    NODE_MAX = 1 << 14,
    FAULTS_MAX = 4
};

/* What the lane said. */
static kt_ev_feed_stats stats;
static uint32_t live_count, sure_count;
static char heard[HEARD_SIZE]; /* reasons of links and errors of answers, a line each */
static kt_level2 told_book;    /* as subscribers have it */

/* ---- the market ---- */

typedef struct market_process {
    pid_t pid;
    uint32_t port, control;
} market_process;

/* `kontor sim` with these flags, separated by blanks. */
static market_process start_market(const char *flags)
{
    static char mem[2048];
    char *args[ARG_MAX_COUNT] = { "sim", "--port", "0", "--control-port", "0", "--wait", "--seed", "7" };
    market_process market = { 0 };
    char line[256] = "";
    int ends[2], count = 8;

    snprintf(mem, sizeof mem, "%s", flags);
    for (char *at = strtok(mem, " "); at != NULL && count < ARG_MAX_COUNT - 1; at = strtok(NULL, " "))
        args[count++] = at;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    market.pid = fork();
    assert_true(market.pid >= 0);
    if (market.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        _exit(kt_sim_main(count, args));
    }
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(sscanf(line, "listening 127.0.0.1:%u", &market.port), 1);
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(sscanf(line, "control 127.0.0.1:%u", &market.control), 1);
    fclose(out);
    return market;
}

static void stop_market(const market_process *market)
{
    kill(market->pid, SIGTERM);
    assert_int_equal(waitpid(market->pid, NULL, 0), market->pid);
}

/* ---- the lane ---- */

static void hear(kt_text text)
{
    size_t n = strlen(heard);

    if (text.s != NULL && text.n > 0 && n + text.n + 2 < sizeof heard && memmem(heard, n, text.s, text.n) == NULL)
        snprintf(heard + n, sizeof heard - n, "%.*s\n", KT_TEXT_ARG(text));
}

static void ear_event(void *state, kt_env *env, const kt_event *event)
{
    kt_event_any any;

    assert_int_equal(kt_event_decode(event->rec->kind, event->payload, event->size, &any), KT_OK);
    if (event->rec->kind == KT_EV_LINK)
        hear(any.link.state == KT_LINK_SILENT ? KT_TEXT("silent") : any.link.reason);
    if (event->rec->kind == KT_EV_ANSWER)
        hear(any.answer.error);
}

static kt_code ear_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = heard;
    return KT_OK;
}

static const char *const ear_subjects[] = { "feed.*.link", "answer.*", NULL };
static const kt_service_spec ear = {
    .name = "ear", .version = 1, .subjects = ear_subjects, .start = ear_start, .on_event = ear_event
};

static void set_side(kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level row;

        kt_rows_get(&kt_row_table_level, rows, i, &row);
        assert_int_equal(kt_level2_set(&told_book, side, row.price, row.quantity), KT_OK);
    }
}

static void watcher_output(void *state, const kt_event *event)
{
    kt_event_any any;

    assert_int_equal(kt_event_decode(event->rec->kind, event->payload, event->size, &any), KT_OK);
    if (event->rec->kind == KT_EV_FEED_STATS)
        stats = any.feed_stats;
    if (event->rec->kind == KT_EV_VWAP)
        *(any.vwap.validated ? &sure_count : &live_count) += 1;
    if (event->rec->kind == KT_EV_BOOK) {
        if (any.book.snapshot)
            kt_level2_start(&told_book, any.book.last_id);
        set_side(KT_BIDS, &any.book.bids);
        set_side(KT_ASKS, &any.book.asks);
        told_book.last_id = any.book.last_id;
    }
}

static kt_code watcher_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = lane;
    return KT_OK;
}

static const char *const watcher_outputs[] = { "stats.market", "vwap.>", "book.>", NULL };
static const kt_feed_spec watcher = {
    .name = "watcher", .start = watcher_start, .outputs = watcher_outputs, .on_output = watcher_output
};

/* A lane that listens to a market. */
typedef struct house {
    market_process market;
    kt_config *config;
    kt_lane *lane;
    kt_fetcher *fetcher;
    char answer[TRUTH_SIZE];
    bool answered;
} house;

static bool turn(house *h)
{
    kt_err err;

    if (kt_lane_turn(h->lane, 10 * KT_NS_PER_MS, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return true;
}

static void on_answer(void *ctx, const kt_fetch_answer *answer)
{
    house *h = ctx;

    h->answer[0] = '\0';
    if (answer->code == KT_OK && answer->body.n < sizeof h->answer) {
        memcpy(h->answer, answer->body.s, answer->body.n);
        h->answer[answer->body.n] = '\0';
    }
    h->answered = true;
}

/* Ask the market, while the lane goes on; POST with a body. */
static const char *ask(house *h, uint32_t port, const char *target, const char *body)
{
    char url[512];
    kt_fetch_spec spec = { .method = body != NULL ? KT_HTTP_POST : KT_HTTP_GET,
        .url = url,
        .body = body != NULL ? kt_text_of(body) : (kt_text){ 0 },
        .on_done = on_answer,
        .ctx = h };

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, target);
    h->answered = false;
    assert_int_equal(kt_fetch_start(h->fetcher, &spec, NULL, NULL), KT_OK);
    assert_true(KT_TEST_WAIT(turn(h) && h->answered, WAIT_S));
    return h->answer;
}

/* Change faults: {"drop":0.1} */
static void set_faults(house *h, const char *values)
{
    char body[512];

    snprintf(body, sizeof body, "{\"faults\":%s}", values);
    if (strncmp(ask(h, h->market.control, "/v1/sim/faults", body), "{\"faults\":[", 11) != 0)
        fail_msg("%s", h->answer);
}

/* The number behind the first "name": that follows `part` in the truth. */
static uint64_t truth_of(const house *h, const char *part, const char *name)
{
    char key[64];
    const char *at = strstr(h->answer, part);

    snprintf(key, sizeof key, "\"%s\":", name);
    at = at != NULL ? strstr(at, key) : NULL;
    if (at == NULL)
        fail_msg("no %s of %s in %s", name, part, h->answer);
    return strtoull(at + strlen(key), NULL, 10);
}

static uint64_t delivered(house *h, const char *fault)
{
    ask(h, h->market.control, "/sim/truth", NULL);
    return truth_of(h, "\"faults\"", fault);
}

static void open_house(house *h, const char *flags, const char *format, const char *more, const char *ca_folder)
{
    static const kt_service_spec *const services[] = { &kt_market_service, &kt_book_service, &ear, NULL };
    static const kt_feed_spec *const feeds[] = { &kt_venue_feed, &watcher, NULL };
    bool generic = strcmp(format, "generic") == 0;
    const char *s = ca_folder != NULL ? "s" : "";
    char text[2048];
    kt_lane_options options = { .name = "market",
        .data_dir = kt_test_dir(),
        .services = services,
        .feeds = feeds,
        .segment_size = 16 << 20,
        .inline_sync = true,
        .logic = 1,
        .version = "test" };
    kt_err err;
    bool park;

    stats = (kt_ev_feed_stats){ 0 };
    live_count = sure_count = 0;
    heard[0] = '\0';
    kt_level2_done(&told_book);
    *h = (house){ .market = start_market(flags) };
    snprintf(text, sizeof text,
        "vwap: {windows: [5s], interval_ms: 5000}\nrepair: {interval_ms: 20}\n"
        "gather: {backoff_min_ms: 5, backoff_max_ms: 100}\nnet: {ca_file: \"%s%s\"}\n"
        "venues: [{name: market, format: %s, ws_url: \"ws%s://127.0.0.1:%u%s\", rest_url: \"http%s://127.0.0.1:%u%s\", "
        "symbols: [%s], requests_per_s: 1000%s}]\n",
        ca_folder != NULL ? ca_folder : "", ca_folder != NULL ? "/authority.crt" : "", format, s, h->market.port,
        generic ? "/stream" : "", s, h->market.port, generic ? "/trades" : "", generic ? "BTC" : "BTC/USDT", more);
    if (kt_config_parse("test", text, strlen(text), &h->config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    options.config = h->config;
    if (kt_lane_open(&options, &h->lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_fetcher_new(kt_lane_loop(h->lane), &(kt_fetcher_options){ 0 }, &h->fetcher, &err), KT_OK);
}

static void close_house(house *h)
{
    kt_fetcher_free(h->fetcher);
    kt_lane_close(h->lane, true);
    kt_config_free(h->config);
    stop_market(&h->market);
    kt_level2_done(&told_book);
}

/* Has everything been delivered, asked for and told? */
static bool settled(house *h)
{
    turn(h);
    ask(h, h->market.control, "/sim/truth", NULL);
    return strstr(h->answer, "\"ended\":true") != NULL &&
           stats.received - stats.repeated ==
               truth_of(h, "\"feeds\"", "received") - truth_of(h, "\"feeds\"", "repeated") &&
           stats.missing == truth_of(h, "\"feeds\"", "missing") && stats.repaired == stats.missing &&
           stats.market_time != 0 && stats.validated_until == stats.market_time;
}

/* In the end the lane has counted what the market has, and every value is validated. */
static void check_settled(house *h, const char *name)
{
    if (!KT_TEST_WAIT(settled(h), WAIT_S))
        fail_msg("%s: received %llu, missing %llu, repaired %llu; the lane said:\n%s\nthe market says %s", name,
            (unsigned long long)stats.received, (unsigned long long)stats.missing, (unsigned long long)stats.repaired,
            heard, h->answer);
    assert_int_equal(stats.invalid, truth_of(h, "\"feeds\"", "invalid"));
    assert_int_equal(stats.repeated, truth_of(h, "\"feeds\"", "repeated"));
    assert_int_equal(stats.reordered, truth_of(h, "\"feeds\"", "reordered"));
    assert_int_equal(stats.lost, 0);
    assert_true(sure_count >= live_count && sure_count > 0);
}

/* ---- faults that are there from the start on ---- */

static const struct fault_row {
    const char *name;
    const char *flags; /* of the market */
    const char *format;
    const char *more; /* of the venue's configuration */
    bool in_turn; /* the faults are certain one after the other, the first from the start; each ends once it was met */
    struct {
        const char *fault; /* that was delivered */
        const char *says;  /* what the lane has heard of it; NULL: nothing */
    } met[FAULTS_MAX];
} rows[] = {
    { "a half-open connection is found by its silence",
        "--format binance --symbols 1 --speed max --count 100 --fault half_open=1", "binance", ", silence_ms: 400",
        false, { { "half_open", "silent" } } },
    { "a frame that is cut off is no trade",
        "--format binance --symbols 1 --speed max --count 3000 --fault cut_frame=0.003", "binance", "", false,
        { { "cut_frame", "connection ended without a close frame" } } },
    { "a compressed frame that is cut off is no trade",
        "--format binance --symbols 1 --speed max --count 3000 --fault cut_frame=0.003", "binance",
        ", compression: true", false, { { "cut_frame", "compressed message is damaged" } } },
    { "Retry-After is waited for",
        "--format generic --symbols 1 --speed max --count 1000 --fault status_429=1,drop=0.05 --retry-after 1",
        "generic", "", true, { { "status_429", "status 429" } } },
    { "what is no answer is asked again",
        "--format generic --symbols 1 --speed max --count 1000 --fault status_500=1,drop=0.05", "generic", "", true,
        { { "status_500", "status 500" }, { "status_503", "status 503" }, { "truncated_body", "bytes remaining" },
            { "wrong_content_type", "the answer is text/html; charset=utf-8; the venue's are application/json" } } },
    { "what trickles is slow and nothing else, and pages by time that overlap count once",
        "--format generic --symbols 1 --speed max --count 600 --fault trickle=400000,overlap=1,drop=0.05", "generic",
        "", false, { { "trickle", NULL }, { "overlap", NULL } } },
    { "pages by number that overlap count once",
        "--format binance --symbols 1 --speed max --count 3000 --fault overlap=1,drop=0.05", "binance", "", false,
        { { "overlap", NULL } } },
};

static bool is_met(house *h, const char *fault, const char *says)
{
    return delivered(h, fault) > 0 && (says == NULL || strstr(heard, says) != NULL);
}

static void meet_in_turn(house *h, const struct fault_row *row)
{
    for (uint32_t i = 0; i < FAULTS_MAX && row->met[i].fault != NULL; i++) {
        const char *next = i + 1 < FAULTS_MAX ? row->met[i + 1].fault : NULL;
        char values[128];

        if (!KT_TEST_WAIT(turn(h) && is_met(h, row->met[i].fault, row->met[i].says), WAIT_S))
            fail_msg("%s: no '%s' in:\n%s", row->name, row->met[i].says, heard);
        snprintf(values, sizeof values, next != NULL ? "{\"%s\":0,\"%s\":1}" : "{\"%s\":0}", row->met[i].fault, next);
        set_faults(h, values);
    }
}

static void test_faults(void **state)
{
    static house h;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const struct fault_row *row = &rows[i];

        print_message("# %s\n", row->name);
        open_house(&h, row->flags, row->format, row->more, NULL);
        if (row->in_turn)
            meet_in_turn(&h, row);
        check_settled(&h, row->name);
        for (uint32_t j = 0; j < FAULTS_MAX && row->met[j].fault != NULL; j++) {
            if (truth_of(&h, "\"faults\"", row->met[j].fault) == 0)
                fail_msg("%s: %s did not come", row->name, row->met[j].fault);
            if (row->met[j].says != NULL && strstr(heard, row->met[j].says) == NULL)
                fail_msg("%s: no '%s' in:\n%s", row->name, row->met[j].says, heard);
        }
        assert_int_equal(truth_of(&h, "", "early"), 0);
        close_house(&h);
    }
}

/* ---- faults that come and go ---- */

/* The port closes, and everybody is cut off: the lane tries again and again, and asks for what it has missed. */
static void test_a_port_that_closes(void **state)
{
    static house h;

    open_house(&h, "--format generic --symbols 1 --rate 300 --count 450", "generic", "", NULL);
    assert_true(KT_TEST_WAIT(turn(&h) && stats.received > 20, WAIT_S));
    set_faults(&h, "{\"refuse\":1}");
    assert_true(KT_TEST_WAIT(turn(&h) && strstr(heard, "Connection refused") != NULL, WAIT_S));
    set_faults(&h, "{\"refuse\":0}");
    check_settled(&h, "refuse");
    assert_int_equal(truth_of(&h, "\"faults\"", "refuse"), 1);
    assert_true(truth_of(&h, "\"feeds\"", "connections") >= 2);
    close_house(&h);
}

/* Nothing is sent to, and nothing believed of, somebody whose certificate is not good; the stream and REST say why. */
static void test_bad_certificates(void **state)
{
    static const struct {
        const char *fault, *stream, *rest;
    } certificates[] = {
        { "expired_certificate", ": certificate has expired", "certificate problem: certificate has expired" },
        { "wrong_name", ": IP address mismatch", "target host name '127.0.0.1'" },
        { "unknown_authority", ": unable to get local issuer certificate",
            "certificate problem: unable to get local issuer certificate" },
    };
    static house h;

    for (size_t i = 0; i < KT_COUNT(certificates); i++) {
        char folder[600], flags[1024], off[64];

        snprintf(folder, sizeof folder, "%s/tls", kt_test_dir());
        snprintf(flags, sizeof flags, "--format binance --symbols 1 --speed max --count 1000 --tls %s --fault %s=1",
            folder, certificates[i].fault);
        snprintf(off, sizeof off, "{\"%s\":0}", certificates[i].fault);
        open_house(&h, flags, "binance", "", folder);
        if (!KT_TEST_WAIT(turn(&h) && strstr(heard, certificates[i].stream) != NULL &&
                              strstr(heard, certificates[i].rest) != NULL,
                WAIT_S))
            fail_msg("%s: no '%s' and '%s' in:\n%s", certificates[i].fault, certificates[i].stream,
                certificates[i].rest, heard);
        assert_int_equal(stats.received, 0);
        ask(&h, h.market.control, "/sim/truth", NULL);
        assert_true(truth_of(&h, "\"faults\"", certificates[i].fault) >= 2);
        assert_int_equal(truth_of(&h, "\"feeds\"", "connections"), 0);
        set_faults(&h, off);
        check_settled(&h, certificates[i].fault);
        close_house(&h);
    }
}

/* The venue's clock is an hour behind: the skew is measured, and the market goes by its own time. */
static void test_a_clock_that_is_wrong(void **state)
{
    static house h;

    open_house(&h, "--format generic --symbols 1 --rate 400 --count 600 --fault clock_offset=-3600000,drop=0.05",
        "generic", "", NULL);
    check_settled(&h, "clock_offset");
    assert_true(truth_of(&h, "\"faults\"", "clock_offset") >= 600);
    assert_true(stats.skew_min >= KT_NS_PER_HOUR);
    assert_true(stats.skew_max >= stats.skew_min && stats.skew_max < KT_NS_PER_HOUR + WAIT_S * KT_NS_PER_S);
    close_house(&h);
}

/* What subscribers have of the book is what REST gives now. */
static bool book_is_the_venues(house *h)
{
    static kt_json_node nodes[NODE_MAX];
    static const char *const names[] = { [KT_BIDS] = "bids", [KT_ASKS] = "asks" };
    const char *body = ask(h, h->market.port, "/api/v3/depth?symbol=BTCUSDT&limit=1000", NULL);
    kt_json_doc doc;
    uint64_t last_id = 0;

    assert_int_equal(kt_json_parse(kt_text_of(body), nodes, NODE_MAX, &doc, NULL), KT_OK);
    assert_int_equal(kt_json_u64(&doc, kt_json_get(&doc, 0, KT_TEXT("lastUpdateId")), &last_id), KT_OK);
    if (told_book.last_id != last_id)
        return false;
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        uint32_t list = kt_json_get(&doc, 0, kt_text_of(names[side])), rank = 0;

        if (kt_json_count(&doc, list) != kt_level2_count(&told_book, side))
            return false;
        kt_json_each (&doc, list, row) {
            kt_decimal told[2], given[2];

            kt_level2_decimals(&told_book, side, rank++, &told[0], &told[1]);
            for (uint32_t i = 0; i < 2; i++)
                if (kt_json_decimal_text(&doc, kt_json_at(&doc, row, i), &given[i]) != KT_OK ||
                    kt_decimal_compare(told[i], given[i]) != 0)
                    return false;
        }
    }
    return true;
}

/* By the truth that was asked for last. */
static bool has_ended(const house *h)
{
    return strstr(h->answer, "\"ended\":true") != NULL;
}

/* Gaps, crossed books and old snapshots lose a book for a while, and never show a wrong one in the end. */
static void test_books(void **state)
{
    static house h;

    open_house(&h, "--format binance --symbols 1 --rate 300 --count 1500 --fault old_snapshot=1", "binance",
        ", books: true", NULL);
    assert_true(KT_TEST_WAIT(turn(&h) && delivered(&h, "old_snapshot") > 0, WAIT_S));
    set_faults(&h, "{\"old_snapshot\":0,\"sequence_gap\":1}");
    assert_true(KT_TEST_WAIT(turn(&h) && (delivered(&h, "sequence_gap") > 0 || has_ended(&h)), WAIT_S));
    set_faults(&h, "{\"sequence_gap\":0,\"crossed_book\":1}");
    assert_true(KT_TEST_WAIT(turn(&h) && (delivered(&h, "crossed_book") > 0 || has_ended(&h)), WAIT_S));
    set_faults(&h, "{\"crossed_book\":0}");
    assert_true(KT_TEST_WAIT(turn(&h) && (delivered(&h, "crossed_book"), has_ended(&h)), WAIT_S));
    if (!KT_TEST_WAIT(book_is_the_venues(&h), WAIT_S))
        fail_msg("the house has %llu, the market %s", (unsigned long long)told_book.last_id, h.answer);
    check_settled(&h, "books");
    close_house(&h);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_port_that_closes),
        cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_a_clock_that_is_wrong),
        cmocka_unit_test(test_books),
    };

    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
