#include "base/histogram.h"

#include <stdlib.h>

#include "base/rng.h"
#include "base/test.h"
#include "base/test_util.h"

enum { VALUES = 5000 };

static int by_value(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* Against the values themselves, sorted: of every order of magnitude. */
static void quantiles_are_within_a_sixteenth_of_the_sorted_values(void **state)
{
    static const uint32_t permilles[] = { 0, 1, 10, 250, 500, 900, 990, 999, 1000 };
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t round = 0; round < kt_test_cases(100); round++) {
        static int64_t values[VALUES];
        kt_histogram whole = { 0 }, parts[2] = { { { 0 } } };
        uint64_t sum = 0;

        for (uint32_t i = 0; i < VALUES; i++) {
            values[i] = kt_rng_between(&rng, 0, (INT64_C(1) << kt_rng_between(&rng, 1, 42)) - 1);
            sum += (uint64_t)values[i];
            kt_histogram_add(&whole, values[i], 1);
            kt_histogram_add(&parts[i % 2], values[i], 1);
        }
        kt_histogram_merge(&parts[0], &parts[1]);
        assert_memory_equal(&parts[0], &whole, sizeof whole);
        assert_true(whole.sum_ns == sum);
        qsort(values, VALUES, sizeof *values, by_value);
        for (uint32_t i = 0; i < KT_COUNT(permilles); i++) {
            uint32_t rank = (VALUES * permilles[i] + 999) / 1000;
            int64_t exact = values[rank == 0 ? 0 : rank - 1];

            assert_true(llabs(kt_histogram_quantile(&whole, permilles[i]) - exact) <= exact / 16 + 1);
        }
        for (uint32_t power = KT_HISTOGRAM_STEP_BITS; power <= KT_HISTOGRAM_POWER_MAX; power++) {
            uint64_t below = 0;

            while (below < VALUES && values[below] < INT64_C(1) << power)
                below++;
            assert_true(kt_histogram_below(&whole, power) == below);
        }
    }
}

static void what_is_out_of_range_counts_at_its_ends(void **state)
{
    kt_histogram histogram = { 0 };

    assert_int_equal(kt_histogram_quantile(&histogram, 500), 0);
    kt_histogram_add(&histogram, INT64_MIN, 1);
    kt_histogram_add(&histogram, -1, 1);
    assert_int_equal(kt_histogram_quantile(&histogram, 1000), 0);
    kt_histogram_add(&histogram, INT64_MAX, 3);
    assert_int_equal(histogram.count, 5);
    assert_true(kt_histogram_quantile(&histogram, 1000) > (INT64_C(1) << 41));
    assert_true(kt_histogram_below(&histogram, KT_HISTOGRAM_POWER_MAX) == 5);
    assert_true(histogram.sum_ns == 3 * ((UINT64_C(1) << 42) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_a_sixteenth_of_the_sorted_values),
        cmocka_unit_test(what_is_out_of_range_counts_at_its_ends),
    };

    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
