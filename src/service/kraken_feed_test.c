/* The whole way of Kraken's two streams into lane market: `kontor sim` in a process of its own breaks them, and over real
 * sockets the counters become its own trades, REST repairs what is lost, and the books are the sim's. */
#include <stdlib.h>

#include "base/test.h"
#include "base/test_util.h"
#include "base/text.h"
#include "base/time.h"
#include "service/test_market.h"

enum { NODE_MAX = 1 << 16 };

/* The last minute that the venue told, and the last one of our own. */
static struct {
    kt_ev_candle told;
    kt_ev_minute own;
} minute;

/* Candles are inputs, which only services see. */
static kt_code minutes_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = &minute;
    return KT_OK;
}

static void minutes_event(void *state, kt_env *env, const kt_event *event)
{
    kt_ev_candle *candle = &minute.told;

    if (event->rec->kind == KT_EV_MINUTE) {
        assert_true(kt_text_equal(event->subject, KT_TEXT("minute.market.BTC/USDT")));
        assert_int_equal(kt_event_decode(KT_EV_MINUTE, event->payload, event->size, &minute.own), KT_OK);
        assert_true(minute.own.complete && minute.own.trades > 0);
        return;
    }
    assert_true(kt_text_equal(event->subject, KT_TEXT("candle.market.1m.BTC/USDT")));
    assert_int_equal(kt_event_decode(KT_EV_CANDLE, event->payload, event->size, candle), KT_OK);
    assert_true(candle->begin % KT_NS_PER_MIN == 0 && candle->interval_s == 60 && candle->trades > 0);
    assert_true(
        kt_decimal_compare(candle->low, candle->close) <= 0 && kt_decimal_compare(candle->close, candle->high) <= 0);
}

static const char *const minutes_subjects[] = { "candle.>", "minute.>", NULL };
static const kt_service_spec minutes = {
    .name = "minutes", .version = 1, .subjects = minutes_subjects, .start = minutes_start, .on_event = minutes_event
};

/* Is the book that was told the one that the sim's REST gives? */
static bool book_is_the_venues(kt_test_lane *lane)
{
    static kt_json_node nodes[NODE_MAX];
    kt_json_doc doc;

    kt_test_ask(lane, lane->port, "/0/public/Depth?pair=XBTUSDT&count=500", NULL);
    assert_int_equal(kt_json_parse(kt_text_of(lane->answer), nodes, NODE_MAX, &doc, NULL), KT_OK);
    return kt_test_book_is(lane, &doc, kt_json_get(&doc, kt_json_get(&doc, 0, KT_TEXT("result")), KT_TEXT("XBTUSDT")));
}

static kt_test_lane *market_open(const char *format, const char *flags)
{
    memset(&minute, 0, sizeof minute);
    return kt_test_lane_open(
        &(kt_test_play){ .format = format, .flags = flags, .venue = ", books: true, candles: true", .more = &minutes });
}

/* `book_follows`: the book's messages are delivered, right or refused, so that it ends as the sim's. */
static void play(const char *format, const char *flags, bool book_follows)
{
    kt_test_lane *lane = market_open(format, flags);

    kt_test_settle(lane, format);
    assert_int_equal(lane->stats.repeated, kt_test_truth(lane, "\"feeds\"", "repeated"));
    assert_true(lane->stats.missing > 0 && kt_test_truth(lane, "\"faults\"", "disconnect") > 0);
    assert_true(lane->book_known && lane->ticker.bid.m > 0 && minute.told.trades > 0);
    assert_int_equal(minute.own.different, 0);
    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && lane->book_resyncs > 0, KT_TEST_WAIT_S));
    if (book_follows)
        assert_true(KT_TEST_WAIT(book_is_the_venues(lane), KT_TEST_WAIT_S));
    kt_test_lane_close(lane);
}

#define FAULTS                                                                                               \
    "--count 2000 --speed max --fault "                                                                      \
    "drop=0.03,repeat=0.03,reorder=0.03,malformed=0.01,missing_field=0.01,wrong_type=0.01,disconnect=0.003," \
    "wrong_checksum=0.02"
#define BOOK_FAULTS "--count 2000 --speed max --fault wrong_checksum=0.02,crossed_book=0.02,disconnect=0.003"

/* Where no message about minutes is lost, the venue's last word is known: of 108 s one minute at least is over, and it was
 * told. (A connection that is lost can take the last word of each with it.) */
static void compared(const char *format)
{
    kt_test_lane *lane = market_open(format, "--count 2000 --speed max --fault drop=0.03,repeat=0.03,reorder=0.03");

    kt_test_settle(lane, format);
    assert_true(KT_TEST_WAIT(kt_test_turn(lane) && minute.own.compared > 0, KT_TEST_WAIT_S));
    assert_int_equal(minute.own.different, 0);
    assert_true(lane->stats.missing > 0 && lane->lost_count == 0);
    kt_test_lane_close(lane);
}

/* v1 names a trade by its price, too: one with another price is another trade. */
static void test_v1(void **state)
{
    play("kraken_v1", FAULTS, false);
}

static void test_v2(void **state)
{
    play("kraken_v2", FAULTS ",absurd_price=0.01", false);
}

/* A book that is lost by its checksum, or with its connection, is the venue's again. */
static void test_books_v1(void **state)
{
    play("kraken_v1", BOOK_FAULTS, true);
}

static void test_books_v2(void **state)
{
    play("kraken_v2", BOOK_FAULTS, true);
}

static void test_minutes_v1(void **state)
{
    compared("kraken_v1");
}

static void test_minutes_v2(void **state)
{
    compared("kraken_v2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_books_v1),
        cmocka_unit_test(test_books_v2),
        cmocka_unit_test(test_minutes_v1),
        cmocka_unit_test(test_minutes_v2),
    };

    return cmocka_run_group_tests_name("kraken_feed", tests, NULL, NULL);
}
