/* Lane market against each fault of connections, REST, books and clocks that `kontor sim` knows: a market in a process of its own
 * breaks, the lane says what it met, and in the end it has everything that the market knows, counted as the market counts.
 * What is drawn by trade comes from one seed, so that each row meets it in every run. How many requests there are is up to time: their
 * faults are certain until they were met. */
#include <stdio.h>
#include <string.h>

#include "base/test.h"
#include "base/test_util.h"
#include "base/time.h"
#include "service/test_market.h"

enum { NODE_MAX = 1 << 14, FAULTS_MAX = 4 };

/* In the end the lane has counted what the market has, and every value is validated. */
static void check_settled(kt_test_lane *lane, const char *row)
{
    kt_test_settle(lane, row);
    assert_int_equal(lane->stats.repeated, kt_test_truth(lane, "\"feeds\"", "repeated"));
}

/* ---- faults that are there from the start on ---- */

static const struct fault_row {
    const char *name;
    kt_test_play play;
    bool in_turn; /* the faults are certain one after the other, the first from the start; each ends once it was met */
    struct {
        const char *fault; /* that was delivered */
        const char *says;  /* what the lane has heard of it; NULL: nothing */
    } met[FAULTS_MAX];
} rows[] = {
    { "a half-open connection is found by its silence",
        { .format = "binance", .flags = "--speed max --count 100 --fault half_open=1", .venue = ", silence_ms: 400" },
        false, { { "half_open", "silent" } } },
    { "a frame that is cut off is no trade",
        { .format = "binance", .flags = "--speed max --count 3000 --fault cut_frame=0.003" }, false,
        { { "cut_frame", "connection ended without a close frame" } } },
    { "a compressed frame that is cut off is no trade",
        { .format = "binance",
            .flags = "--speed max --count 3000 --fault cut_frame=0.003",
            .venue = ", compression: true" },
        false, { { "cut_frame", "compressed message is damaged" } } },
    { "Retry-After is waited for",
        { .format = "generic", .flags = "--speed max --count 1000 --fault status_429=1,drop=0.05 --retry-after 1" },
        true, { { "status_429", "status 429" } } },
    { "what is no answer is asked again",
        { .format = "generic", .flags = "--speed max --count 1000 --fault status_500=1,drop=0.05" }, true,
        { { "status_500", "status 500" }, { "status_503", "status 503" }, { "truncated_body", "bytes remaining" },
            { "wrong_content_type", "the answer is text/html; charset=utf-8; the venue's are application/json" } } },
    { "what trickles is slow and nothing else, and pages by time that overlap count once",
        { .format = "generic", .flags = "--speed max --count 600 --fault trickle=400000,overlap=1,drop=0.05" }, false,
        { { "trickle", NULL }, { "overlap", NULL } } },
    { "pages by number that overlap count once",
        { .format = "binance", .flags = "--speed max --count 3000 --fault overlap=1,drop=0.05" }, false,
        { { "overlap", NULL } } },
};

static bool is_met(kt_test_lane *lane, const char *fault, const char *says)
{
    return kt_test_delivered(lane, fault) > 0 && (says == NULL || strstr(lane->heard, says) != NULL);
}

static void meet_in_turn(kt_test_lane *lane, const struct fault_row *row)
{
    for (uint32_t i = 0; i < FAULTS_MAX && row->met[i].fault != NULL; i++) {
        const char *next = i + 1 < FAULTS_MAX ? row->met[i + 1].fault : NULL;
        char values[128];

        if (!KT_TEST_WAIT(kt_test_turn(lane) && is_met(lane, row->met[i].fault, row->met[i].says), KT_TEST_WAIT_S))
            fail_msg("%s: no '%s' in:\n%s", row->name, row->met[i].says, lane->heard);
        snprintf(values, sizeof values, next != NULL ? "{\"%s\":0,\"%s\":1}" : "{\"%s\":0}", row->met[i].fault, next);
        kt_test_set_faults(lane, values);
    }
}

static void test_faults(void **state)
{
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const struct fault_row *row = &rows[i];

        print_message("# %s\n", row->name);
        kt_test_lane *lane = kt_test_lane_open(&row->play);

        if (row->in_turn)
            meet_in_turn(lane, row);
        check_settled(lane, row->name);
        for (uint32_t j = 0; j < FAULTS_MAX && row->met[j].fault != NULL; j++) {
            if (kt_test_truth(lane, "\"faults\"", row->met[j].fault) == 0)
                fail_msg("%s: %s did not come", row->name, row->met[j].fault);
            if (row->met[j].says != NULL && strstr(lane->heard, row->met[j].says) == NULL)
                fail_msg("%s: no '%s' in:\n%s", row->name, row->met[j].says, lane->heard);
        }
        assert_int_equal(kt_test_truth(lane, "", "early"), 0);
        kt_test_lane_close(lane);
    }
}

/* ---- faults that come and go ---- */

/* The port closes, and everybody is cut off: the lane tries again and again, and asks for what it has missed. */
static void test_a_port_that_closes(void **state)
{
    kt_test_lane *lane = kt_test_lane_open(&(kt_test_play){ .format = "generic", .flags = "--rate 300 --count 450" });

    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && lane->stats.received > 20, KT_TEST_WAIT_S));
    kt_test_set_faults(lane, "{\"refuse\":1}");
    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && strstr(lane->heard, "Connection refused") != NULL, KT_TEST_WAIT_S));
    kt_test_set_faults(lane, "{\"refuse\":0}");
    check_settled(lane, "refuse");
    assert_int_equal(kt_test_truth(lane, "\"faults\"", "refuse"), 1);
    assert_true(kt_test_truth(lane, "\"feeds\"", "connections") >= 2);
    kt_test_lane_close(lane);
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
    for (size_t i = 0; i < KT_COUNT(certificates); i++) {
        char folder[600], flags[1024], off[64];

        snprintf(folder, sizeof folder, "%s/tls", kt_test_dir());
        snprintf(flags, sizeof flags, "--speed max --count 1000 --tls %s --fault %s=1", folder, certificates[i].fault);
        snprintf(off, sizeof off, "{\"%s\":0}", certificates[i].fault);
        kt_test_lane *lane =
            kt_test_lane_open(&(kt_test_play){ .format = "binance", .flags = flags, .ca_folder = folder });
        if (!KT_TEST_WAIT(kt_test_turn(lane) && strstr(lane->heard, certificates[i].stream) != NULL &&
                              strstr(lane->heard, certificates[i].rest) != NULL,
                KT_TEST_WAIT_S))
            fail_msg("%s: no '%s' and '%s' in:\n%s", certificates[i].fault, certificates[i].stream,
                certificates[i].rest, lane->heard);
        assert_int_equal(lane->stats.received, 0);
        kt_test_ask(lane, lane->control, "/sim/truth", NULL);
        assert_true(kt_test_truth(lane, "\"faults\"", certificates[i].fault) >= 2);
        assert_int_equal(kt_test_truth(lane, "\"feeds\"", "connections"), 0);
        kt_test_set_faults(lane, off);
        check_settled(lane, certificates[i].fault);
        kt_test_lane_close(lane);
    }
}

/* The venue's clock is an hour behind: the skew is measured, and the market goes by its own time. */
static void test_a_clock_that_is_wrong(void **state)
{
    kt_test_lane *lane = kt_test_lane_open(&(kt_test_play){
        .format = "generic", .flags = "--rate 400 --count 600 --fault clock_offset=-3600000,drop=0.05" });

    check_settled(lane, "clock_offset");
    assert_true(kt_test_truth(lane, "\"faults\"", "clock_offset") >= 600);
    assert_true(lane->stats.skew_min >= KT_NS_PER_HOUR);
    assert_true(lane->stats.skew_max >= lane->stats.skew_min &&
                lane->stats.skew_max < KT_NS_PER_HOUR + KT_TEST_WAIT_S * KT_NS_PER_S);
    kt_test_lane_close(lane);
}

/* What subscribers have of the book is what REST gives now. */
static bool book_is_the_venues(kt_test_lane *lane)
{
    static kt_json_node nodes[NODE_MAX];
    kt_json_doc doc;
    uint64_t last_id = 0;

    kt_test_ask(lane, lane->port, "/api/v3/depth?symbol=BTCUSDT&limit=1000", NULL);
    assert_int_equal(kt_json_parse(kt_text_of(lane->answer), nodes, NODE_MAX, &doc, NULL), KT_OK);
    assert_int_equal(kt_json_u64(&doc, kt_json_get(&doc, 0, KT_TEXT("lastUpdateId")), &last_id), KT_OK);
    return lane->book.last_id == last_id && kt_test_book_is(lane, &doc, 0);
}

/* By the truth that was asked for last. */
static bool has_ended(const kt_test_lane *lane)
{
    return strstr(lane->answer, "\"ended\":true") != NULL;
}

/* Gaps, crossed books and old snapshots lose a book for a while, and never show a wrong one in the end. */
static void test_books(void **state)
{
    kt_test_lane *lane = kt_test_lane_open(&(kt_test_play){
        .format = "binance", .flags = "--rate 300 --count 1500 --fault old_snapshot=1", .venue = ", books: true" });

    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && kt_test_delivered(lane, "old_snapshot") > 0, KT_TEST_WAIT_S));
    kt_test_set_faults(lane, "{\"old_snapshot\":0,\"sequence_gap\":1}");
    assert_true(KT_TEST_WAIT(
        kt_test_turn(lane) && (kt_test_delivered(lane, "sequence_gap") > 0 || has_ended(lane)), KT_TEST_WAIT_S));
    kt_test_set_faults(lane, "{\"sequence_gap\":0,\"crossed_book\":1}");
    assert_true(KT_TEST_WAIT(
        kt_test_turn(lane) && (kt_test_delivered(lane, "crossed_book") > 0 || has_ended(lane)), KT_TEST_WAIT_S));
    kt_test_set_faults(lane, "{\"crossed_book\":0}");
    assert_true(
        KT_TEST_WAIT(kt_test_turn(lane) && (kt_test_delivered(lane, "crossed_book"), has_ended(lane)), KT_TEST_WAIT_S));
    if (!KT_TEST_WAIT(book_is_the_venues(lane), KT_TEST_WAIT_S))
        fail_msg("the house has %llu, the market %s", (unsigned long long)lane->book.last_id, lane->answer);
    check_settled(lane, "books");
    kt_test_lane_close(lane);
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
