/* What repair asks a venue and what it then says it knows, against the venue's own list of trades. */
#include "service/repair.h"

#include <string.h>

#include "base/assert.h"
#include "base/rng.h"
#include "base/test.h"
#include "base/test_util.h"

#define T0 (1700000000 * KT_NS_PER_S)

enum { TRADES = 3000, PAGE = 10, QUESTIONS_MAX = 3 * TRADES, SEEKS_MAX = 40 };

/* A venue that keeps trades from `oldest` on; those of one ms are fewer than a page. */
typedef struct venue {
    kt_row_trade trades[TRADES];
    bool taken[TRADES];
    uint32_t oldest;
    uint32_t end; /* as far as it has come */
} venue;

static void venue_init(venue *v, kt_rng *rng, uint64_t first_number)
{
    int64_t time_ns = T0;

    memset(v, 0, sizeof *v);
    for (uint32_t i = 0; i < TRADES; i++) {
        time_ns += kt_rng_chance(rng, 0.01) ? 30 * KT_NS_PER_S : kt_rng_between(rng, 1, 400) * KT_NS_PER_MS;
        v->trades[i] = (kt_row_trade){ .trade_number = first_number + i, .venue_time = time_ns };
    }
}

/* Ask once; false: there is no more for now. */
static bool ask(venue *v, kt_repair *repair)
{
    kt_ev_request request = { 0 };
    kt_repair_step step;
    uint32_t first = v->oldest, count = 0;

    kt_repair_question(repair, &request);
    while (first < v->end && (request.what == KT_WHAT_TRADES_BY_ID
                                     ? v->trades[first].trade_number < request.from_id
                                     : v->trades[first].venue_time / KT_NS_PER_MS < request.from_time / KT_NS_PER_MS))
        first++;
    count = v->end - first < request.limit ? v->end - first : request.limit;
    step = kt_repair_answer(repair, &v->trades[first], count, count);
    assert_false(step.failed || step.hole || step.full_ms);
    for (uint32_t i = first; step.take && i < first + count; i++)
        if (v->trades[i].venue_time >= step.take_from_ns && v->trades[i].trade_number >= step.take_from)
            v->taken[i] = true;
    return step.more;
}

/* Ask until REST has caught up; how many questions looked for the place to begin. */
static uint32_t catch_up(venue *v, kt_repair *repair)
{
    uint32_t seeks = 0, questions = 0;

    do {
        assert_true(++questions < QUESTIONS_MAX);
        seeks += repair->phase == KT_REPAIR_SEEK;
    } while (ask(v, repair) || repair->again);
    return seeks;
}

/* What it says it knows, it has been given; and that is everything from its start on that the venue has. */
static void check_known(const venue *v, const kt_repair *repair)
{
    assert_int_equal(repair->until_ns, v->trades[v->end - 1].venue_time);
    assert_true(repair->from_ns <= repair->start_ns);
    for (uint32_t i = v->oldest; i < v->end; i++)
        if (!v->taken[i] && (v->trades[i].venue_time >= repair->from_ns ||
                                kt_repair_passed(repair, v->trades[i].venue_time, v->trades[i].trade_number)))
            fail_msg("trade %u of %u to %u is not known, %lld ns behind the start", i, v->oldest, v->end,
                (long long)(v->trades[i].venue_time - repair->start_ns));
}

static void any_venue_is_known_from_the_start_on(void **state)
{
    static venue v;

    for (uint32_t run = 0; run < kt_test_cases(2000); run++) {
        kt_repair_rules rules = { .numbered = run % 2 == 0, .page = PAGE, .poll_ns = 1 };
        kt_repair repair;
        kt_rng rng;
        uint32_t at;

        kt_rng_init(&rng, kt_test_seed() + run);
        venue_init(&v, &rng, (uint64_t)kt_rng_between(&rng, 1, kt_rng_chance(&rng, 0.5) ? 3 : 1 << 30));
        rules.back_ns = kt_rng_between(&rng, 0, 400) * KT_NS_PER_S;
        kt_repair_init(&repair, &rules);
        v.end = 1 + (uint32_t)kt_rng_below(&rng, TRADES - 1);
        at = (uint32_t)kt_rng_below(&rng, v.end);
        assert_true(kt_repair_seen(&repair, v.trades[at].venue_time, v.trades[at].trade_number));
        assert_in_range(catch_up(&v, &repair), 0, SEEKS_MAX);
        check_known(&v, &repair);
        /* One from before comes late: the way is gone again. The venue goes on meanwhile, and forgets. */
        at = v.oldest + (uint32_t)kt_rng_below(&rng, at + 1);
        assert_false(kt_repair_seen(&repair, v.trades[at].venue_time, v.trades[at].trade_number));
        v.end += (uint32_t)kt_rng_below(&rng, TRADES - v.end + 1);
        if (kt_rng_chance(&rng, 0.3))
            v.oldest = (uint32_t)kt_rng_below(&rng, v.end);
        ask(&v, &repair); /* which is when it looks back */
        assert_in_range(catch_up(&v, &repair), 0, SEEKS_MAX);
        check_known(&v, &repair);
    }
}

/* 3,000 trades in a row, a page of 10: the way back doubles, and what it jumped over is halved. */
static void a_start_far_back_is_found_in_few_questions(void **state)
{
    static venue v;
    kt_repair_rules rules = { .numbered = true, .page = PAGE, .poll_ns = 1 };
    kt_repair repair;
    kt_rng rng;
    uint32_t start = 1000;

    kt_rng_init(&rng, 1);
    venue_init(&v, &rng, 5000);
    v.end = TRADES;
    rules.back_ns = v.trades[TRADES - 1].venue_time - v.trades[start].venue_time;
    kt_repair_init(&repair, &rules);
    kt_repair_seen(&repair, v.trades[TRADES - 1].venue_time, v.trades[TRADES - 1].trade_number);
    assert_int_equal(catch_up(&v, &repair), 8 + 7); /* back by 10, 20, 40 ... 1,280: then 1,280 to 10 */
    check_known(&v, &repair);
    assert_int_equal(repair.from_ns, v.trades[start].venue_time);
    assert_int_equal(repair.first, 5000 + start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_venue_is_known_from_the_start_on),
        cmocka_unit_test(a_start_far_back_is_found_in_few_questions),
    };

    return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
