/* What was put is taken; what is not there is never read. */
#include "lane/bytes.h"

#include "base/test.h"
#include "base/test_util.h"

#include <string.h>

static void put_all(kt_writer *writer)
{
    kt_writer_u8(writer, 7);
    kt_writer_u32(writer, UINT32_MAX - 1);
    kt_writer_u64(writer, UINT64_MAX - 2);
    kt_writer_i64(writer, INT64_MIN);
    kt_writer_i128(writer, -(kt_i128)INT64_MAX * 5);
    kt_writer_decimal(writer, (kt_decimal){ .m = -12345, .scale = 18 });
    kt_writer_text(writer, KT_TEXT("text"));
    kt_writer_text(writer, KT_TEXT(""));
}

static void what_was_put_is_taken(void **state)
{
    kt_writer writer;
    kt_taker taker;

    kt_writer_init(&writer);
    put_all(&writer);
    assert_int_equal(writer.code, KT_OK);
    kt_taker_init(&taker, writer.bytes, writer.size);
    assert_int_equal(kt_taker_u8(&taker), 7);
    assert_int_equal(kt_taker_u32(&taker), UINT32_MAX - 1);
    assert_true(kt_taker_u64(&taker) == UINT64_MAX - 2);
    assert_true(kt_taker_i64(&taker) == INT64_MIN);
    assert_true(kt_taker_i128(&taker) == -(kt_i128)INT64_MAX * 5);
    kt_decimal decimal = kt_taker_decimal(&taker);
    assert_true(decimal.m == -12345 && decimal.scale == 18);
    assert_true(kt_text_equal(kt_taker_text(&taker), KT_TEXT("text")));
    assert_int_equal(kt_taker_end(&taker), KT_CORRUPT); /* something is left over */
    assert_int_equal(kt_taker_text(&taker).n, 0);
    assert_int_equal(kt_taker_end(&taker), KT_OK);
    kt_writer_done(&writer);
}

static void what_is_put_between_begin_and_end_is_one_text(void **state)
{
    kt_writer writer;
    kt_taker taker, part;

    kt_writer_init(&writer);
    size_t begun = kt_writer_begin(&writer);
    kt_writer_u64(&writer, 1);
    kt_writer_text(&writer, KT_TEXT("text"));
    kt_writer_end(&writer, begun);
    begun = kt_writer_begin(&writer); /* of nothing */
    kt_writer_end(&writer, begun);
    kt_taker_init(&taker, writer.bytes, writer.size);
    kt_text text = kt_taker_text(&taker);
    kt_taker_init(&part, text.s, text.n);
    assert_true(kt_taker_u64(&part) == 1);
    assert_true(kt_text_equal(kt_taker_text(&part), KT_TEXT("text")));
    assert_int_equal(kt_taker_end(&part), KT_OK);
    assert_int_equal(kt_taker_text(&taker).n, 0);
    assert_int_equal(kt_taker_end(&taker), KT_OK);
    kt_writer_done(&writer);
}

static void cut_short_anywhere_it_is_corrupt_and_gives_zeros(void **state)
{
    kt_writer writer;

    kt_writer_init(&writer);
    put_all(&writer);
    for (size_t size = 0; size < writer.size; size++) {
        kt_taker taker;
        uint8_t *copy = kt_guard_copy(writer.bytes, size);
        kt_taker_init(&taker, copy, size);
        kt_taker_u8(&taker);
        kt_taker_u32(&taker);
        kt_taker_u64(&taker);
        kt_taker_i64(&taker);
        kt_taker_i128(&taker);
        kt_taker_decimal(&taker);
        kt_taker_text(&taker);
        kt_taker_text(&taker);
        assert_int_equal(taker.code, KT_CORRUPT);
        assert_int_equal(kt_taker_end(&taker), KT_CORRUPT);
        assert_int_equal(kt_taker_u64(&taker), 0);
        assert_int_equal(kt_taker_text(&taker).n, 0);
        kt_guard_free(copy, size);
    }
    kt_writer_done(&writer);
}

static void a_count_that_can_not_be_there_is_corrupt(void **state)
{
    static const struct {
        uint32_t count;
        size_t left, item;
        kt_code code;
    } rows[] = {
        { 0, 0, 8, KT_OK },
        { 3, 24, 8, KT_OK },
        { 4, 24, 8, KT_CORRUPT },
        { UINT32_MAX, 24, SIZE_MAX / UINT32_MAX, KT_CORRUPT },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        uint8_t bytes[32] = { 0 };
        kt_taker taker;
        memcpy(bytes, &rows[i].count, 4);
        kt_taker_init(&taker, bytes, 4 + rows[i].left);
        assert_int_equal(kt_taker_count(&taker, rows[i].item), rows[i].code == KT_OK ? rows[i].count : 0);
        assert_int_equal(taker.code, rows[i].code);
    }
}

static void a_snapshot_has_a_largest_size(void **state)
{
    kt_writer writer;

    kt_writer_init(&writer);
    kt_writer_u8(&writer, 1);
    kt_writer_put(&writer, "", KT_WRITER_MAX); /* refused before it is looked at */
    assert_int_equal(writer.code, KT_LIMIT);
    kt_writer_u8(&writer, 1); /* the first failure stays */
    assert_int_equal(writer.size, 1);
    kt_writer_done(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_taken),
        cmocka_unit_test(what_is_put_between_begin_and_end_is_one_text),
        cmocka_unit_test(cut_short_anywhere_it_is_corrupt_and_gives_zeros),
        cmocka_unit_test(a_count_that_can_not_be_there_is_corrupt),
        cmocka_unit_test(a_snapshot_has_a_largest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
