/* Minutes of quality against a slow, obvious model: a list of all trades with what became of each, and counts over it. */
#include "quant/quality.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/test.h"
#include "base/test_util.h"

#define M KT_QUALITY_MINUTE_NS
#define S KT_NS_PER_S
#define T0 (28333333 * M)

enum { TRADES = 2000, MINUTES = 80 };

typedef struct model_trade {
    int64_t time_ns;
    uint64_t number;
    int64_t latency_ns;
    bool given, found;
    bool timely; /* its minute was among the newest two that had one */
} model_trade;

static const kt_quality_minute *minute_of(const kt_quality *quality, int64_t start_ns)
{
    for (uint32_t i = 0; i < quality->count; i++)
        if (quality->minutes[i].start_ns == start_ns)
            return &quality->minutes[i];
    return NULL;
}

static uint64_t missing(const kt_quality *quality, int64_t start_ns)
{
    const kt_quality_minute *minute = minute_of(quality, start_ns);

    return minute == NULL ? 0 : kt_quality_missing(quality, minute);
}

static uint32_t count_of(const kt_quality *quality, int64_t start_ns, kt_quality_what what)
{
    const kt_quality_minute *minute = minute_of(quality, start_ns);

    return minute == NULL ? 0 : minute->counts[what];
}

/* Tell all that is to be told; how many it was, and the last one. */
static uint32_t tell(kt_quality *quality, kt_quality_minute *out_last)
{
    kt_quality_minute *minute;
    uint32_t count = 0;

    while ((minute = kt_quality_next(quality)) != NULL) {
        kt_quality_told(quality, minute);
        *out_last = *minute;
        count++;
    }
    return count;
}

static void a_gap_belongs_to_the_minute_behind_it_until_a_trade_says_when_it_was(void **state)
{
    kt_quality quality;

    kt_quality_init(&quality, true);
    kt_quality_reach(&quality, T0);
    kt_quality_given(&quality, 100, T0 + S, 0);
    kt_quality_reach(&quality, T0 + M);
    kt_quality_given(&quality, 105, T0 + M + S, 0);
    assert_int_equal(missing(&quality, T0), 0);
    assert_int_equal(missing(&quality, T0 + M), 4);

    kt_quality_found(&quality, 102, T0 + 50 * S, true); /* so 101 was before it */
    assert_int_equal(missing(&quality, T0), 2);
    assert_int_equal(count_of(&quality, T0, KT_QUALITY_REPAIRED), 1);
    assert_int_equal(missing(&quality, T0 + M), 2);

    kt_quality_given(&quality, 102, T0 + 50 * S, 0); /* late, but given */
    kt_quality_unfound(&quality, 102, T0 + 50 * S);
    assert_int_equal(missing(&quality, T0), 1);
    assert_int_equal(count_of(&quality, T0, KT_QUALITY_REPAIRED), 0);
    kt_quality_done(&quality);
}

/* REST says 101 was at a time behind that of 105: then it was between, and 105's minute is the last that it can be of. */
static void a_number_in_a_gap_is_of_no_later_minute_than_the_number_behind_it(void **state)
{
    kt_quality quality;

    kt_quality_init(&quality, true);
    kt_quality_reach(&quality, T0 + 2 * M);
    kt_quality_given(&quality, 100, T0, 0);
    kt_quality_given(&quality, 105, T0 + M, 0);
    kt_quality_found(&quality, 101, T0 + 2 * M, true);
    assert_int_equal(count_of(&quality, T0 + M, KT_QUALITY_REPAIRED), 1);
    assert_int_equal(missing(&quality, T0 + M), 4);
    assert_null(minute_of(&quality, T0 + 2 * M));
    kt_quality_done(&quality);
}

/* Its minute is gone: the count of the newest one does not go below zero. */
static void what_was_repaired_in_a_forgotten_minute_stays_repaired(void **state)
{
    kt_quality quality;
    kt_quality_minute last;

    kt_quality_init(&quality, false);
    kt_quality_reach(&quality, T0);
    kt_quality_found(&quality, 0, T0, true);
    kt_quality_reach(&quality, T0 + 20 * M);
    kt_quality_close(&quality, T0, T0 + 20 * M);
    tell(&quality, &last);
    kt_quality_forget(&quality, INT64_MAX);
    assert_null(minute_of(&quality, T0));
    kt_quality_unfound(&quality, 0, T0);
    assert_int_equal(count_of(&quality, T0 + 20 * M, KT_QUALITY_REPAIRED), 0);
    kt_quality_found(&quality, 0, T0 + 20 * M, true);
    assert_int_equal(count_of(&quality, T0 + 20 * M, KT_QUALITY_REPAIRED), 1);
    kt_quality_done(&quality);
}

static void numbers_rule_where_times_do_not_agree_with_them(void **state)
{
    kt_quality quality;

    kt_quality_init(&quality, true);
    kt_quality_reach(&quality, T0 + M);
    kt_quality_given(&quality, 10, T0 + S, 0);
    kt_quality_given(&quality, 13, T0 + M, 0);
    kt_quality_given(&quality, 11, T0 + M + S, 0); /* of a time behind that of 13 */
    assert_int_equal(missing(&quality, T0) + missing(&quality, T0 + M), 1);
    kt_quality_given(&quality, 12, T0, 0);
    kt_quality_given(&quality, 14, T0, 0); /* of a time before that of 10 */
    assert_int_equal(missing(&quality, T0), 0);
    assert_int_equal(missing(&quality, T0 + M), 0);
    assert_int_equal(minute_of(&quality, T0)->timed, 3);
    kt_quality_done(&quality);
}

static void what_has_no_place_of_its_own_counts_in_the_newest_minute(void **state)
{
    static const struct {
        const char *name;
        int64_t time_ns, start_ns;
    } rows[] = {
        { "without a time", 0, T0 },
        { "ahead of the newest minute", T0 + M, T0 },
        { "in it", T0 + M - 1, T0 },
        { "before it", T0 - 1, T0 - M },
        { "as long behind as minutes are kept", T0 - KT_QUALITY_KEEP_NS, T0 - KT_QUALITY_KEEP_NS },
        { "longer behind", T0 - KT_QUALITY_KEEP_NS - 1, T0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_quality quality;

        kt_quality_init(&quality, false);
        kt_quality_reach(&quality, T0 + S);
        kt_quality_count(&quality, KT_QUALITY_INVALID, rows[i].time_ns);
        KT_ROW(rows[i].name, count_of(&quality, rows[i].start_ns, KT_QUALITY_INVALID) == 1);
        kt_quality_done(&quality);
    }
}

static void before_market_time_is_known_all_is_of_the_minute_of_the_first_trade(void **state)
{
    kt_quality quality;

    kt_quality_init(&quality, false);
    kt_quality_given(&quality, 0, T0 + 59 * S, 5);
    kt_quality_count(&quality, KT_QUALITY_RECEIVED, T0 + 59 * S);
    kt_quality_count(&quality, KT_QUALITY_RECEIVED, T0 + 900 * M);
    kt_quality_reach(&quality, T0 + M + S);
    assert_int_equal(count_of(&quality, T0, KT_QUALITY_RECEIVED), 2);
    assert_int_equal(minute_of(&quality, T0)->timed, 1);
    kt_quality_done(&quality);
}

static void a_minute_is_told_when_it_is_closed_and_again_after_each_change(void **state)
{
    kt_quality quality;
    kt_quality_minute last;

    kt_quality_init(&quality, false);
    kt_quality_reach(&quality, T0);
    kt_quality_given(&quality, 0, T0, 7);
    kt_quality_reach(&quality, T0 + 2 * M);
    assert_null(kt_quality_next(&quality));
    kt_quality_close(&quality, T0, T0 + 2 * M);
    assert_int_equal(tell(&quality, &last), 2); /* that nothing was wrong is told as well */
    assert_int_equal(last.start_ns, T0 + M);
    kt_quality_forget(&quality, INT64_MAX);
    assert_null(minute_of(&quality, T0 + M)); /* but not kept */

    kt_quality_found(&quality, 0, T0, true);
    kt_quality_found(&quality, 0, T0 + S, true);
    assert_int_equal(tell(&quality, &last), 1);
    assert_int_equal(last.revision, 2);
    assert_int_equal(last.counts[KT_QUALITY_REPAIRED], 2);
    kt_quality_found(&quality, 0, T0 + M, true); /* of the minute that was empty */
    assert_int_equal(tell(&quality, &last), 1);
    assert_int_equal(last.revision, 2);
    kt_quality_count(&quality, KT_QUALITY_RECEIVED, T0 + 2 * M); /* the open one waits */
    assert_int_equal(tell(&quality, &last), 0);
    kt_quality_done(&quality);
}

static void minutes_are_kept_for_a_while_until_rest_has_passed_them_and_within_a_bound(void **state)
{
    kt_quality quality;
    kt_quality_minute last;
    int64_t settled = T0 + 10 * M;

    kt_quality_init(&quality, true);
    for (int64_t i = 0; i < 3 * KT_QUALITY_MINUTE_MAX; i++) {
        int64_t time = T0 + i * M;

        kt_quality_reach(&quality, time);
        kt_quality_close(&quality, time - M, time);
        kt_quality_given(&quality, (uint64_t)(2 * i + 1), time, 0);
        tell(&quality, &last);
        kt_quality_forget(&quality, settled);
        if (i == 100) /* nothing behind `settled` is forgotten, all before it is */
            assert_int_equal(quality.minutes[0].start_ns, settled);
        assert_true(quality.count <= KT_QUALITY_MINUTE_MAX);
        assert_int_equal(missing(&quality, time), i > 0 ? 1 : 0);
    }
    assert_int_equal(quality.count, KT_QUALITY_MINUTE_MAX);
    kt_quality_forget(&quality, INT64_MAX);
    assert_int_equal(quality.count, KT_QUALITY_KEEP_NS / M + 1);
    kt_quality_given(&quality, 3, T0 + M, 0); /* of one that is forgotten: it finds no missing number */
    assert_int_equal(missing(&quality, quality.now_ns), 1);
    kt_quality_done(&quality);
}

static int compare(const void *a, const void *b)
{
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static void check_quantile(const int64_t *sorted, uint32_t count, uint32_t permille, int64_t got)
{
    int64_t exact = sorted[(count * permille + 999) / 1000 - 1];
    int64_t off = llabs(got - exact);

    if (off > llabs(exact) / 16 && off > 1 << (KT_QUALITY_UNIT_BITS - 1))
        fail_msg("quantile %u: %lld, expected %lld", permille, (long long)got, (long long)exact);
}

static void check_minute(const kt_quality *quality, const model_trade *trades, int64_t start_ns)
{
    static int64_t latencies[TRADES];
    uint64_t want_missing = 0, want_repaired = 0;
    uint32_t count = 0, timed = 0, first = 0, last = 0;
    int64_t max = INT64_MIN;
    const kt_quality_minute *minute = minute_of(quality, start_ns);

    while (!trades[first].given && !trades[first].found)
        first++;
    for (uint32_t i = 0; i < TRADES; i++)
        last = trades[i].given || trades[i].found ? i : last;
    for (uint32_t i = first; i <= last; i++) {
        uint32_t known = i;

        while (!trades[known].given && !trades[known].found)
            known++; /* of a gap: the first one behind it */
        if (trades[known].time_ns / M * M != start_ns)
            continue;
        want_missing += quality->numbered ? !trades[i].given : !trades[i].given && trades[i].found;
        want_repaired += !trades[i].given && trades[i].found;
        max = trades[i].given && trades[i].latency_ns > max ? trades[i].latency_ns : max;
        timed += trades[i].given;
        if (trades[i].timely)
            latencies[count++] = trades[i].latency_ns;
    }
    assert_int_equal(missing(quality, start_ns), want_missing);
    assert_int_equal(count_of(quality, start_ns, KT_QUALITY_REPAIRED), want_repaired);
    if (timed == 0)
        return;
    assert_int_equal(minute->timed, timed);
    assert_int_equal(minute->max_ns, max);
    if (count == 0)
        return;
    qsort(latencies, count, sizeof latencies[0], compare);
    check_quantile(latencies, count, 500, minute->p50_ns);
    check_quantile(latencies, count, 990, minute->p99_ns);
}

/* Trades in about their order, some of them never by the stream, some late, REST any time behind; the clocks differ. */
static void any_stream_gives_the_counts_of_the_slow_model(void **state)
{
    for (uint32_t run = 0; run < kt_test_cases(200); run++) {
        static model_trade trades[TRADES];
        kt_quality quality;
        kt_quality_minute last;
        kt_rng rng;
        int64_t time = T0, skew, closed = T0, market = 0, newest[2] = { 0 };

        kt_rng_init(&rng, kt_test_seed() + run);
        kt_quality_init(&quality, run % 2 == 0);
        skew = kt_rng_between(&rng, -2, 2) * S;
        for (uint32_t i = 0; i < TRADES; i++) {
            time += kt_rng_chance(&rng, 0.005) ? kt_rng_between(&rng, 1, 150) * S : kt_rng_between(&rng, 0, 2) * S;
            trades[i] = (model_trade){ .time_ns = time,
                .number = 4711 + i,
                .latency_ns = skew + kt_rng_between(&rng, 1, kt_rng_chance(&rng, 0.1) ? 4 * S : S / 20) };
        }
        for (uint32_t i = 0; i < TRADES + 32; i++) {
            uint32_t late = i - (uint32_t)kt_rng_below(&rng, 8), row = i - (uint32_t)kt_rng_below(&rng, 32);

            if (late < TRADES && kt_rng_chance(&rng, 0.8) && !trades[late].given) {
                model_trade *t = &trades[late];

                market = t->time_ns > market ? t->time_ns : market;
                kt_quality_reach(&quality, market);
                if (t->found)
                    kt_quality_unfound(&quality, t->number, t->time_ns);
                kt_quality_given(&quality, t->number, t->time_ns, t->latency_ns);
                t->given = true;
                t->timely = t->time_ns / M >= newest[0];
                if (t->time_ns / M > newest[1])
                    newest[0] = newest[1];
                else if (t->time_ns / M > newest[0] && t->time_ns / M < newest[1])
                    newest[0] = t->time_ns / M;
                newest[1] = t->time_ns / M > newest[1] ? t->time_ns / M : newest[1];
            }
            if (row < TRADES && row < i && kt_rng_chance(&rng, 0.7) && !trades[row].given && !trades[row].found) {
                market = trades[row].time_ns > market ? trades[row].time_ns : market;
                kt_quality_reach(&quality, market);
                kt_quality_found(&quality, trades[row].number, trades[row].time_ns, true);
                trades[row].found = true;
            }
            if (market - closed >= M) {
                kt_quality_close(&quality, closed, market / M * M);
                closed = market / M * M;
            }
            if (kt_rng_chance(&rng, 0.1))
                tell(&quality, &last);
        }
        kt_quality_close(&quality, closed, market / M * M + M);
        tell(&quality, &last);
        for (int64_t start = T0; start <= market; start += M)
            check_minute(&quality, trades, start);
        kt_quality_done(&quality);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_belongs_to_the_minute_behind_it_until_a_trade_says_when_it_was),
        cmocka_unit_test(a_number_in_a_gap_is_of_no_later_minute_than_the_number_behind_it),
        cmocka_unit_test(what_was_repaired_in_a_forgotten_minute_stays_repaired),
        cmocka_unit_test(numbers_rule_where_times_do_not_agree_with_them),
        cmocka_unit_test(what_has_no_place_of_its_own_counts_in_the_newest_minute),
        cmocka_unit_test(before_market_time_is_known_all_is_of_the_minute_of_the_first_trade),
        cmocka_unit_test(a_minute_is_told_when_it_is_closed_and_again_after_each_change),
        cmocka_unit_test(minutes_are_kept_for_a_while_until_rest_has_passed_them_and_within_a_bound),
        cmocka_unit_test(any_stream_gives_the_counts_of_the_slow_model),
    };

    return cmocka_run_group_tests_name("quality", tests, NULL, NULL);
}
