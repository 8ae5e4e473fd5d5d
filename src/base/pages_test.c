#include "base/test.h"

#include "base/pages.h"

static void a_block_is_zero_and_aligned_to_its_end(void **state)
{
    static const size_t sizes[] = { 1, 4096, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 7 << 20 };

    for (size_t i = 0; i < KT_COUNT(sizes); i++) {
        unsigned char *block = kt_pages_new(sizes[i]);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (2 << 20), 0);
        assert_int_equal(block[0] | block[sizes[i] - 1], 0);
        block[0] = block[sizes[i] - 1] = 1;
        kt_pages_free(block, sizes[i]);
    }
    kt_pages_free(NULL, 0);
}

static void what_is_not_touched_costs_nothing(void **state)
{
    size_t size = (size_t)1 << 40;
    unsigned char *block = kt_pages_new(size);

    assert_non_null(block);
    block[size / 2] = 1;
    kt_pages_free(block, size);
}

static void what_is_too_much_is_refused(void **state)
{
    assert_null(kt_pages_new((size_t)1 << 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_zero_and_aligned_to_its_end),
        cmocka_unit_test(what_is_not_touched_costs_nothing),
        cmocka_unit_test(what_is_too_much_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
