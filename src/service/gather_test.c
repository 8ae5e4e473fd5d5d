/* What gather makes of single trades: repeats, what is too old or has no room, and what was forgotten before REST gave it. */
#include "service/gather.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"

#define S KT_NS_PER_S
#define T0 (1700000000 * S)

enum { TRADE_MAX = 64 };

static kt_gather gather;

static void begin(int64_t lag_max_s, bool numbered)
{
    kt_gather_rules rules = { .suspect_percent = 10,
        .step_ns = 60 * S,
        .keep_ns = 20 * S,
        .lag_max_ns = lag_max_s * S,
        .trade_max = TRADE_MAX,
        .numbered = numbered };

    assert_int_equal(kt_gather_init(&gather, &rules, 1), KT_OK);
}

static kt_decimal whole(int64_t value)
{
    return (kt_decimal){ .m = value, .scale = 0 };
}

/* Where trades have no numbers `number` is only their id. */
static kt_gather_step tick(int64_t second, int64_t price, uint64_t number, bool passed)
{
    char id[24];
    kt_ev_tick ev = {
        .venue_time = T0 + second * S, .receive_time = T0 + second * S, .price = whole(price), .quantity = whole(1)
    };

    snprintf(id, sizeof id, "%llu", (unsigned long long)number);
    ev.trade_id = kt_text_of(id);
    ev.trade_number = gather.rules.numbered ? number : 0;
    return kt_gather_tick(&gather, &ev, passed);
}

static kt_gather_step row(int64_t second, int64_t price, uint64_t number)
{
    char id[24];
    kt_row_trade ev = { .venue_time = T0 + second * S, .price = whole(price), .quantity = whole(1) };

    snprintf(id, sizeof id, "%llu", (unsigned long long)number);
    ev.trade_id = kt_text_of(id);
    ev.trade_number = gather.rules.numbered ? number : 0;
    return kt_gather_row(&gather, &ev, ev.venue_time);
}

static uint16_t flags_of(kt_gather_step step)
{
    return kt_trades_at(gather.trades, step.position)->flags;
}

static void a_changed_copy_is_measured_anew(void **state)
{
    static const struct {
        const char *name;
        int64_t first, second;
        bool suspect;
    } rows[] = {
        { "near, then far: it is suspect now", 100, 150, true },
        { "far, then near: it no longer is", 150, 101, false },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_gather_step step;

        begin(300, false);
        for (uint64_t id = 1; id <= 5; id++)
            tick(0, 100, id, false);
        step = tick(1, rows[i].first, 6, false);
        KT_ROW(rows[i].name, ((flags_of(step) & KT_TRADE_SUSPECT) != 0) != rows[i].suspect);
        step = tick(1, rows[i].second, 6, false);
        KT_ROW(rows[i].name, step.what == KT_GATHER_CHANGED);
        KT_ROW(rows[i].name, ((flags_of(step) & KT_TRADE_SUSPECT) != 0) == rows[i].suspect);
        KT_ROW(rows[i].name, gather.repeated == 1);
        kt_gather_done(&gather);
    }
}

static void a_trade_older_than_what_is_remembered_is_a_repeat_where_nothing_can_settle_it(void **state)
{
    static const struct {
        const char *name;
        int64_t lag_max_s, second;
        bool passed;
        kt_gather_what what;
    } rows[] = {
        { "REST is not asked", 0, 79, false, KT_GATHER_SAME },
        { "REST has passed it", 300, -222, true, KT_GATHER_SAME },
        { "REST may still give it", 300, -222, false, KT_GATHER_ADDED },
        { "it is not older", 0, 80, false, KT_GATHER_ADDED },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        begin(rows[i].lag_max_s, false);
        tick(99, 100, 1, false);
        tick(100, 100, 2, false);
        KT_ROW(rows[i].name, tick(rows[i].second, 100, 3, rows[i].passed).what == rows[i].what);
        KT_ROW(rows[i].name, gather.repeated == (rows[i].what == KT_GATHER_SAME));
        KT_ROW(rows[i].name, gather.stream_count == 2 + (rows[i].what == KT_GATHER_ADDED));
        kt_gather_done(&gather);
    }
}

static void what_is_not_positive_is_refused_wherever_it_comes_from(void **state)
{
    begin(300, true);
    assert_int_equal(tick(1, 0, 1, false).what, KT_GATHER_REFUSED);
    assert_int_equal(row(1, -1, 2).what, KT_GATHER_REFUSED);
    assert_int_equal(gather.refused, 2);
    assert_int_equal(gather.received, 0);
    assert_int_equal(gather.market_ns, 0);
    kt_gather_done(&gather);
}

static void a_full_table_refuses_the_trade_and_not_the_next_one_when_there_is_room(void **state)
{
    begin(300, true);
    for (uint64_t number = 1; number <= TRADE_MAX; number++)
        assert_int_equal(tick(1, 100, number, false).what, KT_GATHER_ADDED);
    assert_int_equal(tick(1, 100, TRADE_MAX + 1, false).what, KT_GATHER_REFUSED);
    assert_int_equal(row(1, 100, TRADE_MAX + 1).what, KT_GATHER_REFUSED);
    kt_gather_forget(&gather, INT64_MAX); /* which makes some room before it is needed */
    assert_int_equal(tick(1, 100, TRADE_MAX + 2, false).what, KT_GATHER_ADDED);
    kt_gather_done(&gather);
}

/* REST was away longer than trades wait for it. What it then gives may stand in the provisional averages, and may not. */
static void what_was_forgotten_before_rest_gave_it_is_not_missing(void **state)
{
    static const struct {
        const char *name;
        bool numbered;
    } rows[] = { { "with numbers", true }, { "without", false } };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_gather_step step;

        begin(300, rows[i].numbered);
        tick(0, 100, 1, false);
        for (int64_t second = 10; second <= 400; second += 10) {
            tick(second, 100, (uint64_t)second, false);
            kt_gather_forget(&gather, INT64_MAX);
        }
        KT_ROW(rows[i].name, gather.forgotten_ns == T0 + 70 * S); /* 20 s and 300 s behind 400 s is 80 s */
        step = row(70, 100, 70);
        KT_ROW(rows[i].name, step.what == KT_GATHER_ADDED);
        KT_ROW(rows[i].name, (flags_of(step) & (KT_TRADE_FORGOTTEN | KT_TRADE_MISSING)) == KT_TRADE_FORGOTTEN);
        KT_ROW(rows[i].name, gather.repaired == 0);
        step = row(75, 100, 75); /* the stream never gave this one */
        KT_ROW(rows[i].name, (flags_of(step) & (KT_TRADE_FORGOTTEN | KT_TRADE_MISSING)) == KT_TRADE_MISSING);
        KT_ROW(rows[i].name, gather.repaired == 1);
        kt_gather_done(&gather);
    }
}

/* Where REST is not asked nothing but the next trades can say that the first one's time was wrong: they are no repeats. It stands
 * at the front of the table, and does not keep those behind it from being forgotten. */
static void a_first_trade_far_ahead_holds_up_nobody(void **state)
{
    static const struct {
        const char *name;
        bool numbered;
    } rows[] = { { "with numbers", true }, { "with texts", false } };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        uint64_t position;

        begin(0, rows[i].numbered);
        tick(100000, 100, 7, false);
        for (int64_t second = 1; second <= 60; second++) {
            tick(second, 100, 7 + (uint64_t)second, false);
            kt_gather_forget(&gather, INT64_MAX);
        }
        KT_ROW(rows[i].name, gather.stream_count == 61);
        KT_ROW(rows[i].name, gather.repeated == 0);
        KT_ROW(rows[i].name, gather.market_ns == T0 + 60 * S);
        KT_ROW(rows[i].name, kt_trades_end(gather.trades) - kt_trades_first(gather.trades) <= 20 + 2);
        KT_ROW(rows[i].name, kt_trades_find(gather.trades, rows[i].numbered ? 7 : 0, KT_TEXT("7"), &position) == KT_OK);
        KT_ROW(rows[i].name, kt_trades_at(gather.trades, position)->time_ns == T0 + 100000 * S);
        kt_gather_done(&gather);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_copy_is_measured_anew),
        cmocka_unit_test(a_trade_older_than_what_is_remembered_is_a_repeat_where_nothing_can_settle_it),
        cmocka_unit_test(what_is_not_positive_is_refused_wherever_it_comes_from),
        cmocka_unit_test(a_full_table_refuses_the_trade_and_not_the_next_one_when_there_is_room),
        cmocka_unit_test(what_was_forgotten_before_rest_gave_it_is_not_missing),
        cmocka_unit_test(a_first_trade_far_ahead_holds_up_nobody),
    };

    return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
