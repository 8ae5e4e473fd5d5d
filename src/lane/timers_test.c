/* Timers against a slow, obvious second implementation: a list that is searched. */
#include "lane/timers.h"

#include "base/rng.h"
#include "base/test.h"
#include "base/test_util.h"

#include <stdlib.h>

enum { MAX = 64 };

static void due_first_then_as_set(void **state)
{
    static const struct {
        uint32_t service;
        uint64_t id;
        int64_t due_ns;
    } rows[] = { { 0, 1, 50 }, { 0, 2, 50 }, { 1, 1, 10 }, { 1, 1, 50 } }; /* the last moves the third: set anew */
    static const uint64_t order[][2] = { { 0, 1 }, { 0, 2 }, { 1, 1 } };
    kt_timers timers;

    assert_int_equal(kt_timers_init(&timers, MAX), KT_OK);
    assert_null(kt_timers_next(&timers));
    for (size_t i = 0; i < KT_COUNT(rows); i++)
        assert_int_equal(kt_timers_set(&timers, rows[i].service, rows[i].id, rows[i].due_ns), KT_OK);
    for (size_t i = 0; i < KT_COUNT(order); i++) {
        const kt_lane_timer *next = kt_timers_next(&timers);
        assert_int_equal(next->service, order[i][0]);
        assert_int_equal(next->id, order[i][1]);
        assert_int_equal(kt_timers_cancel(&timers, next->service, next->id), KT_OK);
    }
    assert_int_equal(kt_timers_cancel(&timers, 1, 1), KT_NOENT);
    kt_timers_done(&timers);
}

static void full_is_an_answer_and_moving_needs_no_room(void **state)
{
    kt_timers timers;

    assert_int_equal(kt_timers_init(&timers, 2), KT_OK);
    assert_int_equal(kt_timers_set(&timers, 0, 1, 1), KT_OK);
    assert_int_equal(kt_timers_set(&timers, 0, 2, 2), KT_OK);
    assert_int_equal(kt_timers_set(&timers, 0, 3, 3), KT_FULL);
    assert_int_equal(kt_timers_set(&timers, 0, 1, 9), KT_OK);
    assert_int_equal(kt_timers_cancel(&timers, 0, 2), KT_OK);
    assert_int_equal(kt_timers_set(&timers, 0, 3, 3), KT_OK);
    kt_timers_done(&timers);
}

static void the_heap_and_a_searched_list_agree(void **state)
{
    struct {
        bool set;
        int64_t due_ns;
        uint64_t order;
    } slow[2][MAX] = { 0 };
    kt_lane_timer listed[MAX];
    kt_timers timers;
    kt_rng rng;
    uint64_t orders = 0;
    uint32_t cases = kt_test_cases(50000);

    kt_rng_init(&rng, kt_test_seed());
    assert_int_equal(kt_timers_init(&timers, MAX), KT_OK);
    for (uint32_t i = 0; i < cases; i++) {
        uint32_t service = (uint32_t)kt_rng_below(&rng, 2), id = (uint32_t)kt_rng_below(&rng, MAX / 2);
        int64_t due_ns = (int64_t)kt_rng_below(&rng, 20);
        if (kt_rng_below(&rng, 3) == 0) {
            assert_int_equal(kt_timers_cancel(&timers, service, id), slow[service][id].set ? KT_OK : KT_NOENT);
            slow[service][id].set = false;
        } else {
            assert_int_equal(kt_timers_set(&timers, service, id, due_ns), KT_OK);
            slow[service][id].set = true;
            slow[service][id].due_ns = due_ns;
            slow[service][id].order = ++orders;
        }
        uint32_t count = 0, first = 0, first_service = 0;
        for (uint32_t s = 0; s < 2; s++)
            for (uint32_t n = 0; n < MAX; n++) {
                if (!slow[s][n].set)
                    continue;
                bool earlier = count == 0 || slow[s][n].due_ns < slow[first_service][first].due_ns ||
                               (slow[s][n].due_ns == slow[first_service][first].due_ns &&
                                   slow[s][n].order < slow[first_service][first].order);
                if (earlier) {
                    first = n;
                    first_service = s;
                }
                count++;
            }
        const kt_lane_timer *next = kt_timers_next(&timers);
        assert_int_equal(timers.count, count);
        assert_int_equal(next != NULL, count > 0);
        if (next == NULL)
            continue;
        assert_int_equal(next->id, first);
        assert_int_equal(next->service, first_service);
        kt_timers_list(&timers, listed);
        for (uint32_t n = 1; n < count; n++)
            assert_true(listed[n - 1].due_ns < listed[n].due_ns ||
                        (listed[n - 1].due_ns == listed[n].due_ns && listed[n - 1].order < listed[n].order));
    }
    kt_timers_done(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_first_then_as_set),
        cmocka_unit_test(full_is_an_answer_and_moving_needs_no_room),
        cmocka_unit_test(the_heap_and_a_searched_list_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
