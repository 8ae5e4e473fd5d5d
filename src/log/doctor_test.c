#include "log/log_test.h"

typedef struct findings {
    char text[16384];
    uint32_t losses, warnings;
} findings;

static void note(void *ctx, kt_doctor_level level, const char *line)
{
    findings *f = ctx;
    size_t n = strlen(f->text);

    f->losses += level == KT_DOCTOR_LOSS;
    f->warnings += level == KT_DOCTOR_WARN;
    snprintf(f->text + n, sizeof f->text - n, "%s\n", line);
}

static kt_doctor_summary examine(const char *dir, findings *f)
{
    kt_doctor_summary sum;
    kt_err err;

    memset(f, 0, sizeof *f);
    if (kt_log_doctor(dir, note, f, &sum, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return sum;
}

static void a_whole_log_is_whole(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    kt_cursor *cursor;
    findings f;

    append_keys(log, must_subject(log, "a", 0), 1, 700);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t written = kt_log_written(log);
    assert_int_equal(kt_cursor_open(options.dir, "keep", &cursor, NULL), KT_OK);
    kt_cursor_close(cursor);
    assert_int_equal(kt_log_snapshot(log, 10, 4, malloc(10), 10), KT_OK);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_int_equal(sum.record_count, written);
    assert_int_equal(sum.last_seq, written);
    assert_int_equal(sum.durable, written);
    assert_int_equal(sum.first_seq, 1);
    assert_int_equal(sum.subject_count, 2);
    assert_int_equal(sum.segment_count, segment_count(options.dir));
    assert_int_equal(f.losses, 0);
    assert_int_equal(f.warnings, 0);
    assert_non_null(strstr(f.text, "cursor 'keep'"));
    assert_non_null(strstr(f.text, "newest snapshot: version 4 at seq 10"));
    assert_non_null(strstr(f.text, "closed cleanly"));
}

static void a_torn_tail_and_a_missing_index_are_warnings(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE];
    findings f;

    append_keys(log, must_subject(log, "a", 0), 1, 300);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    append_keys(log, 1, 301, 310);
    uint64_t durable = kt_log_durable(log);
    die(log);
    damage(options.dir, durable + 1);
    kt_seg_names names = segments_of(options.dir);
    assert_int_equal(unlink(kt_seg_path(path, options.dir, names.list[0], ".idx")), 0);
    free(names.list);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_int_equal(sum.last_seq, durable);
    assert_true(sum.torn_bytes > 0);
    assert_int_equal(f.losses, 0);
    assert_int_equal(f.warnings, 2);
    assert_non_null(strstr(f.text, "torn tail"));
    assert_non_null(strstr(f.text, "no index"));
}

static void it_says_what_a_bad_segment_loses(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE], expected[64];
    findings f;

    append_keys(log, must_subject(log, "a", 0), 1, 700);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    uint64_t from = names.list[1].first_seq, to = names.list[2].first_seq - 1;
    overwrite(kt_seg_path(path, options.dir, names.list[1], ".seg"), 60, "bad", 3);
    free(names.list);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_int_equal(sum.lost_count, to - from + 1);
    snprintf(expected, sizeof expected, "seq %d to %d are lost", (int)from, (int)to);
    assert_non_null(strstr(f.text, expected));
    assert_non_null(strstr(f.text, path));
}

/* A byte of the segment's table of subjects, with checksums that hold: what only a program can have done. */
static void contradict_table(const char *dir, kt_seg_name name)
{
    char path[KT_PATH_SIZE];
    kt_seg_header header;
    kt_subject_row row;
    size_t size;
    char *bytes = kt_test_read_file(kt_seg_path(path, dir, name, ".seg"), &size);

    assert_non_null(bytes);
    memcpy(&header, bytes, sizeof header);
    memcpy(&row, bytes + sizeof header, sizeof row);
    row.name_size = 1; /* the log's own subject has no name */
    memcpy(bytes + sizeof header, &row, sizeof row);
    header.table_crc = kt_crc32c(0, bytes + sizeof header, header.table_size);
    header.crc = 0;
    header.crc = kt_crc32c(0, &header, sizeof header);
    overwrite(path, 0, &header, sizeof header);
    overwrite(path, sizeof header, &row, sizeof row);
    free(bytes);
}

static void it_says_what_a_table_that_contradicts_itself_loses(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char expected[128];
    findings f;

    append_keys(log, must_subject(log, "a", 0), 1, 700);
    uint64_t written = kt_log_written(log);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    uint64_t from = names.list[1].first_seq, to = names.list[2].first_seq - 1;
    contradict_table(options.dir, names.list[1]);
    free(names.list);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_int_equal(sum.lost_count, to - from + 1);
    assert_int_equal(sum.record_count, written - sum.lost_count);
    assert_int_equal(sum.last_seq, written); /* those behind it have a table of their own */
    snprintf(expected, sizeof expected,
        "segment %d can not be read: its table of subjects does not hold\nseq %d to %d are lost", (int)from, (int)from,
        (int)to);
    assert_non_null(strstr(f.text, expected));
    assert_int_equal(f.losses, 2);
}

static void it_says_what_is_lost_behind_a_bad_record_that_was_durable(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char expected[64];
    findings f;

    append_keys(log, must_subject(log, "a", 0), 1, 30);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t durable = kt_log_durable(log);
    die(log);
    damage(options.dir, durable - 4);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_int_equal(sum.last_seq, durable - 5);
    assert_int_equal(sum.lost_count, 5);
    snprintf(expected, sizeof expected, "seq %d to %d are lost", (int)durable - 4, (int)durable);
    assert_non_null(strstr(f.text, expected));
    assert_int_equal(f.losses, 1);
}

static void it_says_what_is_lost_without_segments_and_without_a_state(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE], expected[64];
    findings f;

    append_keys(log, must_subject(log, "a", 0), 1, 30);
    uint64_t written = kt_log_written(log);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    assert_int_equal(unlink(kt_seg_path(path, options.dir, names.list[0], ".seg")), 0);
    free(names.list);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_int_equal(sum.lost_count, written);
    snprintf(expected, sizeof expected, "seq 1 to %d are lost: there are no segments", (int)written);
    assert_non_null(strstr(f.text, expected));

    options = small_log(1);
    log = must_open(&options);
    append_keys(log, must_subject(log, "a", 0), 1, 30);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    overwrite(kt_file_path(path, options.dir, "state"), 20, "gone", 4);
    overwrite(path, KT_PAGE + 20, "gone", 4);
    sum = examine(options.dir, &f);
    assert_int_equal(sum.last_seq, written); /* the records are told all the same */
    assert_int_equal(f.losses, 1);
    assert_non_null(strstr(f.text, "what was durable is unknown"));
}

static void it_says_which_cursor_lost_records_and_which_will(void **state)
{
    kt_log_options options = small_log(1);
    kt_cursor *slow, *quick;
    uint64_t key = 0;
    char expected[32];
    findings f;

    options.retention_bytes = 2 * KT_SEGMENT_SIZE_MIN;
    options.hold_bytes = 3 * KT_SEGMENT_SIZE_MIN;
    kt_log *log = must_open(&options);
    assert_int_equal(kt_cursor_open(options.dir, "slow", &slow, NULL), KT_OK);
    assert_int_equal(kt_cursor_open(options.dir, "quick", &quick, NULL), KT_OK);
    assert_int_equal(kt_cursor_store(slow, (kt_cursor_position){ 1, 10, 10 }, NULL), KT_OK);
    while (key < 3000) {
        append_keys(log, must_subject(log, "a", 0), key + 1, key + 100);
        key += 100;
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        uint64_t safe = kt_log_written(log);
        assert_int_equal(kt_cursor_store(quick, (kt_cursor_position){ 1, safe, safe }, NULL), KT_OK);
    }
    uint64_t durable = kt_log_written(log);
    append_keys(log, 1, key + 1, key + 10);
    assert_int_equal(kt_cursor_store(quick, (kt_cursor_position){ 1, durable + 10, durable }, NULL), KT_OK);
    die(log);
    damage(options.dir, durable + 1); /* the power went: what the quick one has seen is not there any more */
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_true(f.losses >= 1);
    assert_non_null(strstr(f.text, "cursor 'slow' was cut off: it never read seq "));
    snprintf(expected, sizeof expected, " to %d\n", (int)sum.first_seq - 1);
    assert_non_null(strstr(f.text, expected)); /* one range after the other, up to what is kept */
    assert_non_null(strstr(f.text, "cursor 'quick' is beyond the end"));
    assert_null(strstr(f.text, "cursor 'slow' is beyond the end"));
    kt_cursor_close(slow);
    kt_cursor_close(quick);
}

static void it_says_where_the_store_is_the_record(void **state)
{
    kt_log_options options = small_log(1);
    findings f;
    char expected[80];

    options.retention_bytes = 2 * KT_SEGMENT_SIZE_MIN;
    kt_log *log = must_open(&options);
    for (int i = 0; i < 10; i++) {
        append_keys(log, must_subject(log, "a", 0), 1, 200);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    }
    kt_log_retain(log);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_true(sum.first_seq > 1);
    snprintf(expected, sizeof expected, "before seq %d the store is the record", (int)sum.first_seq);
    assert_non_null(strstr(f.text, expected));
    assert_int_equal(f.losses, 0);
}

/* Copies and backups may lack the page that readers poll: everything else is said all the same. */
static void without_a_control_page_nobody_is_said_to_write(void **state)
{
    kt_log_options options = small_log(1);
    char path[KT_PATH_SIZE], expected[64];
    findings f;

    assert_int_equal(kt_boot_id(options.boot_id, NULL), KT_OK);
    kt_log *log = must_open(&options);
    append_keys(log, must_subject(log, "a", 0), 1, 30);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t written = kt_log_written(log);
    examine(options.dir, &f);
    snprintf(expected, sizeof expected, "written by process %d, up to seq %d\n", (int)getpid(), (int)written);
    assert_non_null(strstr(f.text, expected));
    assert_int_equal(unlink(kt_file_path(path, options.dir, "control")), 0);
    kt_doctor_summary sum = examine(options.dir, &f);
    assert_null(strstr(f.text, "written by process"));
    assert_non_null(strstr(f.text, "not closed"));
    assert_int_equal(sum.durable, written);
    assert_int_equal(sum.record_count, written);
    assert_int_equal(f.losses + f.warnings, 0);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void it_changes_nothing_and_names_what_it_can_not_examine(void **state)
{
    kt_log_options options = small_log(1);
    kt_doctor_summary sum;
    findings f = { 0 };
    kt_err err;
    char path[KT_PATH_SIZE];
    uint32_t newer = KT_LOG_FORMAT + 1;

    assert_int_equal(kt_log_doctor("/nowhere/at/all", note, &f, &sum, &err), KT_NOENT);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
    assert_int_equal(kt_log_doctor(kt_test_dir(), note, &f, &sum, &err), KT_NOENT);
    kt_log *log = must_open(&options);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    overwrite(kt_file_path(path, options.dir, "state"), 8, &newer, sizeof newer);
    overwrite(path, KT_PAGE + 8, &newer, sizeof newer);
    assert_int_equal(kt_log_doctor(options.dir, note, &f, &sum, &err), KT_VERSION);
    assert_non_null(strstr(err.msg, "newer program"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_log_is_whole),
        cmocka_unit_test(a_torn_tail_and_a_missing_index_are_warnings),
        cmocka_unit_test(it_says_what_a_bad_segment_loses),
        cmocka_unit_test(it_says_what_a_table_that_contradicts_itself_loses),
        cmocka_unit_test(it_says_what_is_lost_behind_a_bad_record_that_was_durable),
        cmocka_unit_test(it_says_what_is_lost_without_segments_and_without_a_state),
        cmocka_unit_test(it_says_which_cursor_lost_records_and_which_will),
        cmocka_unit_test(it_says_where_the_store_is_the_record),
        cmocka_unit_test(without_a_control_page_nobody_is_said_to_write),
        cmocka_unit_test(it_changes_nothing_and_names_what_it_can_not_examine),
    };

    return cmocka_run_group_tests_name("log doctor", tests, NULL, NULL);
}
