#include "base/test.h"

#include "base/arena.h"

static _Alignas(16) uint8_t mem[256];

static void pieces_are_aligned_and_apart(void **state)
{
    kt_arena arena;

    kt_arena_init(&arena, mem, sizeof mem);
    uint8_t *a = kt_arena_take(&arena, 3, 1);
    uint8_t *b = kt_arena_take(&arena, 8, 8);
    uint8_t *c = kt_arena_take(&arena, 1, 16);
    assert_true((uintptr_t)b % 8 == 0);
    assert_true((uintptr_t)c % 16 == 0);
    assert_true(b >= a + 3);
    assert_true(c >= b + 8);
}

static void full_is_an_answer(void **state)
{
    kt_arena arena;

    kt_arena_init(&arena, mem, 16);
    assert_non_null(kt_arena_take(&arena, 10, 1));
    assert_null(kt_arena_take(&arena, 7, 1));
    assert_null(kt_arena_take(&arena, 1, 16));
    assert_null(kt_arena_take(&arena, SIZE_MAX, 1));
    assert_null(kt_arena_take_zero(&arena, SIZE_MAX / 2, 3, 1));
    assert_int_equal(arena.used, 10);
    assert_non_null(kt_arena_take(&arena, 6, 1));
    assert_non_null(kt_arena_take(&arena, 0, 1));
    assert_null(kt_arena_text(&arena, KT_TEXT("")).s);
}

static void rewinding_gives_back(void **state)
{
    kt_arena arena;

    kt_arena_init(&arena, mem, sizeof mem);
    kt_arena_take(&arena, 100, 1);
    size_t mark = kt_arena_mark(&arena);
    void *first = kt_arena_take(&arena, 100, 1);
    kt_arena_rewind(&arena, mark);
    assert_ptr_equal(kt_arena_take(&arena, 50, 1), first);
    kt_arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_int_equal(arena.used_max, 200);
}

static void texts_and_zeroed_memory(void **state)
{
    kt_arena arena;

    memset(mem, 0xAA, sizeof mem);
    kt_arena_init(&arena, mem, sizeof mem);
    kt_text copy = kt_arena_text(&arena, KT_TEXT("kontor"));
    assert_string_equal(copy.s, "kontor");
    assert_int_equal(copy.n, 6);
    uint32_t *numbers = kt_arena_take_zero(&arena, 4, sizeof *numbers, _Alignof(uint32_t));
    for (int i = 0; i < 4; i++)
        assert_int_equal(numbers[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(full_is_an_answer),
        cmocka_unit_test(rewinding_gives_back),
        cmocka_unit_test(texts_and_zeroed_memory),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
