#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/test_util.h"
#include "quant/median.h"

static void test_far(void **state)
{
    static const struct {
        const char *name;
        int64_t before[4];
        uint32_t count;
        int64_t value;
        bool far;
    } rows[] = {
        { "no judgement without values", { 0 }, 0, 1, false },
        { "no judgement after two", { 100, 100 }, 2, 1000, false },
        { "judges from three on", { 100, 100, 100 }, 3, 111, true },
        { "the limit itself is not far", { 100, 100, 100 }, 3, 110, false },
        { "the lower limit itself is not far", { 100, 100, 100 }, 3, 90, false },
        { "below the lower limit", { 100, 100, 100 }, 3, 89, true },
        { "one wrong value does not move the median", { 100, 100000, 100 }, 3, 101, false },
        { "of an even number the mean of the middle two", { 100, 100, 120, 120 }, 4, 121, false },
        { "and its limit", { 100, 100, 120, 120 }, 4, 122, true },
        { "greatest values", { INT64_MAX, INT64_MAX, INT64_MAX }, 3, 1, true },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_median median = { 0 };

        for (uint32_t v = 0; v < rows[i].count; v++)
            kt_median_push(&median, rows[i].before[v]);
        if (kt_median_far(&median, rows[i].value, 10) != rows[i].far)
            fail_msg("%s", rows[i].name);
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void test_naive(void **state)
{
    kt_median median = { 0 };
    int64_t all[2000];
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (size_t n = 0; n < KT_COUNT(all); n++) {
        int64_t last[KT_MEDIAN_SPAN];
        size_t count = n + 1 < KT_MEDIAN_SPAN ? n + 1 : KT_MEDIAN_SPAN;

        all[n] = kt_rng_between(&rng, 1, n % 100 < 50 ? 10 : 1000000);
        kt_median_push(&median, all[n]);
        for (size_t i = 0; i < count; i++)
            last[i] = all[n - i];
        qsort(last, count, sizeof last[0], compare);
        assert_true(kt_median_twice(&median) == (kt_i128)last[(count - 1) / 2] + last[count / 2]);
    }
    assert_true(kt_median_rescale(&median, 10));
    assert_false(kt_median_rescale(&median, INT64_MAX));
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_far), cmocka_unit_test(test_naive) };

    return cmocka_run_group_tests_name("median", tests, NULL, NULL);
}
