#include "log/log_test.h"

static void a_cursor_comes_back_where_it_was_stored(void **state)
{
    const char *dir = kt_test_dir();
    kt_cursor *cursor;

    assert_int_equal(kt_cursor_open(dir, "keep.record", &cursor, NULL), KT_OK);
    assert_int_equal(kt_cursor_get(cursor).seq, 0);
    for (uint64_t seq = 1; seq <= 50; seq++)
        assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 9, seq, seq / 2 }, NULL), KT_OK);
    kt_cursor_close(cursor);
    assert_int_equal(kt_cursor_open(dir, "keep.record", &cursor, NULL), KT_OK);
    kt_cursor_position position = kt_cursor_get(cursor);
    assert_int_equal(position.epoch, 9);
    assert_int_equal(position.seq, 50);
    assert_int_equal(position.safe, 25);
    kt_cursor_close(cursor);
}

static void a_torn_slot_means_holding_more_never_less(void **state)
{
    const char *dir = kt_test_dir();
    char folder[KT_PATH_SIZE], path[KT_PATH_SIZE];
    kt_cursor *cursor;

    assert_int_equal(kt_cursor_open(dir, "c", &cursor, NULL), KT_OK);
    for (uint64_t seq = 1; seq <= 4; seq++)
        assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, seq, seq }, NULL), KT_OK);
    kt_cursor_close(cursor);
    kt_file_path(path, kt_file_path(folder, dir, "cursors"), "c");
    overwrite(path, 30, "torn", 4); /* the newer slot */
    assert_int_equal(kt_cursor_open(dir, "c", &cursor, NULL), KT_OK);
    assert_int_equal(kt_cursor_get(cursor).safe, 3);
    kt_cursor_close(cursor);
    overwrite(path, 512 + 30, "torn", 4);
    assert_int_equal(kt_cursor_open(dir, "c", &cursor, NULL), KT_OK);
    assert_int_equal(kt_cursor_get(cursor).safe, 0);
    assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, 9, 9 }, NULL), KT_OK);
    kt_cursor_close(cursor);
    assert_int_equal(kt_cursor_open(dir, "c", &cursor, NULL), KT_OK);
    assert_int_equal(kt_cursor_get(cursor).safe, 9);
    kt_cursor_close(cursor);
}

static void note_name(void *ctx, const char *name, kt_cursor_position position)
{
    char *text = ctx;
    size_t n = strlen(text);

    snprintf(text + n, 100 - n, "%s=%d ", name, (int)position.safe);
}

static void a_cursor_of_a_newer_program_holds_everything(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE];
    kt_cursor *cursor;
    struct stat info;

    assert_int_equal(kt_cursor_open(options.dir, "store", &cursor, NULL), KT_OK);
    for (uint64_t seq = 10; seq <= 20; seq += 10) /* both slots */
        assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, seq, seq }, NULL), KT_OK);
    kt_cursor_close(cursor);
    kt_file_path(path, options.dir, "cursors/store");
    assert_int_equal(stat(path, &info), 0);
    size_t slot = (size_t)info.st_size - 512;
    make_newer(path, 0, slot);
    make_newer(path, 512, slot);
    assert_int_equal(kt_cursor_open(options.dir, "store", &cursor, NULL), KT_OK);
    assert_int_equal(kt_cursor_get(cursor).safe, 0);
    kt_cursor_close(cursor);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void the_register_lists_every_cursor_until_it_is_removed(void **state)
{
    const char *dir = kt_test_dir();
    char text[100] = "";
    kt_cursor *cursor;

    assert_int_equal(kt_cursor_each(dir, note_name, text, NULL), KT_OK);
    assert_string_equal(text, "");
    for (int i = 3; i > 0; i--) {
        char name[2] = { (char)('a' + i), 0 };
        assert_int_equal(kt_cursor_open(dir, name, &cursor, NULL), KT_OK);
        assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, 10, (uint64_t)i }, NULL), KT_OK);
        kt_cursor_close(cursor);
    }
    assert_int_equal(kt_cursor_remove(dir, "c", NULL), KT_OK);
    assert_int_equal(kt_cursor_remove(dir, "c", NULL), KT_OK);
    assert_int_equal(kt_cursor_each(dir, note_name, text, NULL), KT_OK);
    assert_string_equal(text, "b=1 d=3 ");
}

static void names_are_checked(void **state)
{
    static const char *const rows[] = { "", ".", "..", ".hidden", "a/b", "../../etc/passwd", "blank name",
        "0123456789012345678901234567890123456789012345678901234567890123" };
    const char *dir = kt_test_dir();
    kt_cursor *cursor;
    kt_err err;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        KT_ROW(rows[i], kt_cursor_open(dir, rows[i], &cursor, &err) == KT_ARG);
        KT_ROW(rows[i], kt_cursor_remove(dir, rows[i], &err) == KT_ARG);
    }
    assert_int_equal(kt_cursor_open("/nowhere/at/all", "a", &cursor, &err), KT_NOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_comes_back_where_it_was_stored),
        cmocka_unit_test(a_torn_slot_means_holding_more_never_less),
        cmocka_unit_test(a_cursor_of_a_newer_program_holds_everything),
        cmocka_unit_test(the_register_lists_every_cursor_until_it_is_removed),
        cmocka_unit_test(names_are_checked),
    };

    return cmocka_run_group_tests_name("log cursors", tests, NULL, NULL);
}
