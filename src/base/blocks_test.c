#include "base/blocks.h"

#include "base/test_util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void a_block_is_the_next_power_of_two_and_a_line_more_from_a_page_on(void **state)
{
    static const struct {
        size_t size, block;
    } rows[] = { { 1, 64 }, { 64, 64 }, { 65, 128 }, { 2049, 4160 }, { 4096, 4160 }, { 4160, 4160 }, { 4161, 8256 },
        { 1000000, KT_BLOCKS_LARGE + 64 } };

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        assert_int_equal(kt_blocks_size(rows[i].size), rows[i].block);
}

/* Blocks of every class, taken and given back in any order, keep what is written to all of their bytes: none of them overlap. */
static void blocks_do_not_overlap(void **state)
{
    enum { BLOCK_MAX = 400, CLASS_MAX = 16 };
    static struct {
        uint8_t *at;
        size_t size;
        uint8_t mark;
    } taken[BLOCK_MAX];
    kt_blocks *blocks = kt_blocks_new();
    uint32_t rounds = kt_test_cases(20000);
    kt_rng rng;

    assert_non_null(blocks);
    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t k = (uint32_t)kt_rng_below(&rng, BLOCK_MAX);

        if (taken[k].at == NULL) {
            taken[k].size = 1 + kt_rng_below(&rng, (uint64_t)1 << kt_rng_below(&rng, CLASS_MAX));
            taken[k].mark = (uint8_t)kt_rng_below(&rng, 256);
            taken[k].at = kt_blocks_take(blocks, taken[k].size);
            assert_non_null(taken[k].at);
            assert_int_equal((uintptr_t)taken[k].at % KT_BLOCKS_MIN, 0);
            memset(taken[k].at, taken[k].mark, kt_blocks_size(taken[k].size));
            continue;
        }
        for (size_t b = 0; b < kt_blocks_size(taken[k].size); b++)
            assert_int_equal(taken[k].at[b], taken[k].mark);
        kt_blocks_give(blocks, taken[k].at, taken[k].size);
        taken[k].at = NULL;
    }
    kt_blocks_free(blocks);
}

static void a_block_given_back_is_handed_out_again(void **state)
{
    kt_blocks *blocks = kt_blocks_new();
    void *one = kt_blocks_take(blocks, 1000), *other = kt_blocks_take(blocks, 1000);

    assert_ptr_not_equal(one, other);
    kt_blocks_give(blocks, one, 1000);
    assert_ptr_not_equal(kt_blocks_take(blocks, 4000), one);
    assert_ptr_equal(kt_blocks_take(blocks, 600), one);
    kt_blocks_free(blocks);
}

static void a_large_block_returns_to_the_system_at_once(void **state)
{
    kt_blocks *blocks = kt_blocks_new();

    for (uint32_t i = 0; i < 1000; i++) { /* 64 GB of them one after the other */
        char *block = kt_blocks_take(blocks, (size_t)64 << 20);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % KT_BLOCKS_MIN, 0);
        assert_int_equal(block[i], 0);
        block[i] = 1;
        kt_blocks_give(blocks, block, (size_t)64 << 20);
    }
    kt_blocks_free(blocks);
}

static void nothing_is_given_back_or_freed_without_harm(void **state)
{
    kt_blocks *blocks = kt_blocks_new();

    kt_blocks_give(blocks, NULL, 100);
    kt_blocks_free(blocks);
    kt_blocks_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_the_next_power_of_two_and_a_line_more_from_a_page_on),
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(a_block_given_back_is_handed_out_again),
        cmocka_unit_test(a_large_block_returns_to_the_system_at_once),
        cmocka_unit_test(nothing_is_given_back_or_freed_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
