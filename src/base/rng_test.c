#include "base/test.h"

#include "base/rng.h"
#include "base/test_util.h"

/* From the reference code of splitmix64 and xoshiro256**, seed 0: written out so that no machine ever differs. */
static void the_same_seed_gives_the_same_numbers(void **state)
{
    kt_rng a, b, other;

    kt_rng_init(&a, 0);
    assert_true(a.state[0] == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(a.state[1] == UINT64_C(0x6E789E6AA1B965F4));
    assert_true(kt_rng_u64(&a) == UINT64_C(0x99EC5F36CB75F2B4));
    kt_rng_init(&a, 42);
    kt_rng_init(&b, 42);
    kt_rng_init(&other, 43);
    for (int i = 0; i < 100; i++)
        assert_true(kt_rng_u64(&a) == kt_rng_u64(&b));
    assert_true(kt_rng_u64(&a) != kt_rng_u64(&other));
}

static void bounds_are_kept_and_reached(void **state)
{
    uint32_t hits[7] = { 0 };
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    assert_true(kt_rng_below(&rng, 0) == 0);
    assert_true(kt_rng_below(&rng, 1) == 0);
    for (int i = 0; i < 7000; i++) {
        uint64_t drawn = kt_rng_below(&rng, 7);
        assert_true(drawn < 7);
        hits[drawn]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(hits[i], 800, 1200);
    for (int i = 0; i < 1000; i++) {
        int64_t between = kt_rng_between(&rng, -3, 3);
        assert_true(between >= -3 && between <= 3);
        double unit = kt_rng_unit(&rng);
        assert_true(unit >= 0.0 && unit < 1.0);
        assert_false(kt_rng_chance(&rng, 0.0));
        assert_true(kt_rng_chance(&rng, 1.0));
    }
    kt_rng_between(&rng, INT64_MIN, INT64_MAX);
    assert_true(kt_rng_between(&rng, INT64_MIN, INT64_MIN) == INT64_MIN);
}

static void fill_covers_every_byte(void **state)
{
    uint8_t seen[13] = { 0 }, bytes[14];
    kt_rng rng;

    kt_rng_init(&rng, 5);
    bytes[13] = 0xEE;
    for (int round = 0; round < 20; round++) {
        kt_rng_fill(&rng, bytes, 13);
        for (int i = 0; i < 13; i++)
            seen[i] |= bytes[i];
    }
    for (int i = 0; i < 13; i++)
        assert_true(seen[i] != 0);
    assert_int_equal(bytes[13], 0xEE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(bounds_are_kept_and_reached),
        cmocka_unit_test(fill_covers_every_byte),
    };

    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
