#include "log/log_test.h"

enum { SEGMENT = KT_SEGMENT_SIZE_MIN };

static int64_t fake_now;

static int64_t fake_clock(void *ctx)
{
    return fake_now;
}

/* Append until the log has `count` segments; keys go on from *key. */
static void grow(kt_log *log, const char *dir, uint32_t count, uint64_t *key)
{
    uint32_t id = must_subject(log, "a", 0);

    while (segment_count(dir) < count) {
        assert_int_equal(append_key(log, id, KT_REC_INPUT, *key + 1), KT_OK);
        ++*key;
    }
}

static uint64_t first_kept(const char *dir)
{
    kt_seg_names names = segments_of(dir);
    uint64_t first = names.list[0].first_seq;

    free(names.list);
    return first;
}

static void by_bytes_whole_segments_go_the_oldest_first(void **state)
{
    kt_log_options options = small_log(1);
    uint64_t key = 0;
    const kt_rec *rec;
    kt_lost lost;
    kt_err err;

    kt_log *log = must_open(&options);
    grow(log, options.dir, 10, &key);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    options.retention_bytes = 4 * SEGMENT;
    log = must_open(&options);
    kt_reader *slow = must_read(&options), *reader;
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 4);
    uint64_t first = first_kept(options.dir);
    reader = must_read(&options);
    assert_int_equal(kt_reader_first(reader), first);
    assert_int_equal(kt_reader_position(reader), first);
    assert_int_equal(kt_reader_seek(reader, 0, 5, &lost, &err), KT_GONE);
    assert_int_equal(lost.from, 5);
    assert_int_equal(lost.to, first - 1);
    assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
    assert_int_equal(rec->seq, first);
    assert_int_equal(kt_reader_seek_time(reader, 1, NULL), KT_GONE);
    assert_int_equal(kt_reader_lost(reader).to, first - 1);
    assert_int_equal(kt_reader_position(reader), first);
    /* Who reads a segment that is unlinked reads it to its end, and is told what is missing then. */
    uint64_t seq = 0;
    kt_code code;
    while ((code = kt_reader_next(slow, UINT64_MAX, &rec)) == KT_OK)
        assert_int_equal(rec->seq, ++seq);
    assert_int_equal(code, KT_GONE);
    assert_int_equal(kt_reader_lost(slow).from, seq + 1);
    assert_int_equal(kt_reader_lost(slow).to, first - 1);
    assert_int_equal(kt_reader_next(slow, UINT64_MAX, &rec), KT_OK);
    assert_int_equal(rec->seq, first);
    kt_reader_close(slow);
    /* A client whose range went is told it in offsets. */
    kt_resume resume;
    assert_int_equal(kt_reader_seek_end(reader, NULL), KT_OK);
    assert_int_equal(kt_reader_resume(reader, KT_TEXT("a"), 0, 3, &resume, NULL), KT_GONE);
    assert_int_equal(resume.lost.from, 4);
    assert_int_equal(resume.next_offset, resume.lost.to + 1);
    assert_int_equal(kt_reader_seek(reader, 0, resume.from_seq, NULL, NULL), KT_OK);
    assert_int_equal(next_key(reader, &rec), KT_OK);
    assert_int_equal(rec->offset, resume.next_offset);
    kt_reader_close(reader);
    for (int i = 0; i < 30; i++) { /* and as it grows */
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        grow(log, options.dir, segment_count(options.dir) + 1, &key);
        assert_true(segment_count(options.dir) <= 6);
    }
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void by_age_whole_segments_go(void **state)
{
    kt_log_options options = small_log(1);
    uint64_t key = 0;

    options.clock_ns = fake_clock;
    options.retention_age_ns = 1000;
    fake_now = 10000;
    kt_log *log = must_open(&options);
    grow(log, options.dir, 3, &key);
    fake_now += 600;
    grow(log, options.dir, 5, &key);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_log_retain(log);
    assert_int_equal(segment_count(options.dir), 5);
    fake_now += 600; /* segments 1 and 2 were full at 10000; 3 went on until 10600 */
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 3);
    fake_now += 10000000;
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 1); /* the current one stays */
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void nothing_goes_that_is_newer_than_the_last_snapshot_or_not_durable(void **state)
{
    kt_log_options options = small_log(1);
    uint64_t key = 0;

    options.retention_bytes = 2 * SEGMENT;
    options.needs_snapshot = true;
    kt_log *log = must_open(&options);
    grow(log, options.dir, 8, &key); /* no snapshot yet: everything is needed */
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 8);
    kt_seg_names names = segments_of(options.dir);
    uint64_t middle = names.list[3].first_seq + 2;
    free(names.list);
    assert_int_equal(kt_log_snapshot(log, middle, 1, calloc(1, 10), 10), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_snapshot_seq(log), middle);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 5); /* the one that holds the snapshot's next record stays */
    assert_true(first_kept(options.dir) <= middle + 1);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);

    kt_log_options plain = small_log(1);
    plain.retention_bytes = 2 * SEGMENT;
    key = 0;
    log = must_open(&plain);
    grow(log, plain.dir, 6, &key); /* nothing of it durable: nothing goes */
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(first_kept(plain.dir), 1);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(plain.dir), 2);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_cursor_holds_what_its_reader_has_not_safely_on_disk(void **state)
{
    kt_log_options options = small_log(1);
    kt_cursor *cursor;
    uint64_t key = 0;

    options.retention_bytes = 2 * SEGMENT;
    options.hold_bytes = 100 * SEGMENT;
    kt_log *log = must_open(&options);
    assert_int_equal(kt_cursor_open(options.dir, "keep", &cursor, NULL), KT_OK);
    grow(log, options.dir, 8, &key);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 8);
    kt_seg_names names = segments_of(options.dir);
    uint64_t fifth = names.list[4].first_seq, sixth = names.list[5].first_seq;
    free(names.list);
    assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, sixth + 3, fifth - 1 }, NULL), KT_OK);
    kt_log_retain(log); /* what was read does not count, only what is safe */
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(first_kept(options.dir), fifth);
    kt_cursor_close(cursor); /* a reader that is away still holds */
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(first_kept(options.dir), fifth);
    assert_int_equal(kt_cursor_remove(options.dir, "keep", NULL), KT_OK);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(segment_count(options.dir), 2);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_cursor_that_holds_too_much_is_cut_off_with_an_event_that_names_the_lost_range(void **state)
{
    kt_log_options options = small_log(1);
    kt_cursor *slow, *quick;
    uint64_t key = 0, told = 0;
    const kt_rec *rec;

    options.retention_bytes = 2 * SEGMENT;
    options.hold_bytes = 3 * SEGMENT;
    kt_log *log = must_open(&options);
    assert_int_equal(kt_cursor_open(options.dir, "slow", &slow, NULL), KT_OK);
    assert_int_equal(kt_cursor_open(options.dir, "quick", &quick, NULL), KT_OK);
    assert_int_equal(kt_cursor_store(slow, (kt_cursor_position){ 1, 10, 10 }, NULL), KT_OK);
    for (int i = 0; i < 12; i++) {
        grow(log, options.dir, segment_count(options.dir) + 1, &key);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        uint64_t safe = kt_log_written(log) - 50;
        assert_int_equal(kt_cursor_store(quick, (kt_cursor_position){ 1, safe, safe }, NULL), KT_OK);
    }
    assert_false(kt_log_intake_stopped(log));
    assert_true(segment_count(options.dir) <= 2 + 3 + 1);
    kt_reader *reader = must_read(&options);
    uint64_t first = kt_reader_position(reader), expected = 0;
    assert_true(first > 11);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
        kt_ctl_lost lost;
        if ((rec->flags & KT_REC_CONTROL) == 0 || rec->kind != KT_CTL_LOST)
            continue;
        memcpy(&lost, kt_rec_payload(rec), sizeof lost);
        assert_int_equal(lost.why, KT_LOST_CURSOR);
        assert_int_equal(lost.name_size, 4);
        assert_memory_equal((const char *)kt_rec_payload(rec) + sizeof lost, "slow", 4);
        if (expected != 0) /* one range after the other */
            assert_int_equal(lost.from_seq, expected);
        assert_true(lost.to_seq >= lost.from_seq);
        expected = lost.to_seq + 1;
        told++;
    }
    assert_true(told >= 1);
    assert_int_equal(expected, first); /* up to what is kept */
    kt_reader_close(reader);
    kt_cursor_close(slow);
    kt_cursor_close(quick);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void where_nothing_may_be_lost_a_cursor_that_holds_too_much_stops_intake(void **state)
{
    kt_log_options options = small_log(1);
    kt_cursor *cursor;
    uint64_t key = 0;
    kt_code code = KT_OK;

    options.retention_bytes = 2 * SEGMENT;
    options.hold_bytes = 3 * SEGMENT;
    options.hold_stops_intake = true;
    kt_log *log = must_open(&options);
    uint32_t id = must_subject(log, "a", 0);
    assert_int_equal(kt_cursor_open(options.dir, "ledger", &cursor, NULL), KT_OK);
    for (int i = 0; i < 100000 && code == KT_OK; i++) {
        if (i % 50 == 0)
            assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        code = append_key(log, id, KT_REC_INPUT, key + 1);
        key += code == KT_OK;
    }
    assert_int_equal(code, KT_FULL);
    assert_true(kt_log_intake_stopped(log));
    assert_int_equal(first_kept(options.dir), 1); /* nothing is lost */
    assert_true(segment_count(options.dir) <= 2 + 3 + 2);
    assert_int_equal(append_key(log, id, KT_REC_OUTPUT, key + 1), KT_OK); /* what was promised goes on */
    uint64_t safe = kt_log_durable(log);
    assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, safe, safe }, NULL), KT_OK);
    kt_log_retain(log);
    assert_false(kt_log_intake_stopped(log));
    assert_int_equal(append_key(log, id, KT_REC_INPUT, key + 2), KT_OK);
    kt_cursor_close(cursor);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void intake_goes_on_when_nothing_is_to_go_any_more(void **state)
{
    kt_log_options options = small_log(1);
    kt_cursor *cursor;
    uint64_t key = 0;

    options.clock_ns = fake_clock;
    options.retention_age_ns = 1000;
    options.hold_stops_intake = true;
    fake_now = 1000;
    kt_log *log = must_open(&options);
    assert_int_equal(kt_cursor_open(options.dir, "ledger", &cursor, NULL), KT_OK);
    grow(log, options.dir, 3, &key);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    fake_now = 10000;
    kt_log_retain(log);
    assert_true(kt_log_intake_stopped(log));
    fake_now = 1500; /* somebody has set the clock right */
    kt_log_retain(log);
    assert_false(kt_log_intake_stopped(log));
    kt_cursor_close(cursor);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void without_the_register_of_cursors_nothing_goes(void **state)
{
    kt_log_options options = small_log(1);
    char path[KT_PATH_SIZE];
    uint64_t key = 0;

    options.retention_bytes = 2 * SEGMENT;
    kt_log *log = must_open(&options);
    int fd = open(kt_file_path(path, options.dir, "cursors"), O_WRONLY | O_CREAT, 0644); /* no folder: not readable */
    assert_true(fd >= 0);
    close(fd);
    grow(log, options.dir, 5, &key);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(first_kept(options.dir), 1);
    assert_int_equal(unlink(path), 0);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_true(first_kept(options.dir) > 1);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void segments_are_unlinked_and_never_used_again_under_a_reader(void **state)
{
    kt_log_options options = small_log(1);
    uint64_t key = 0;
    const kt_rec *rec;

    options.retention_bytes = 2 * SEGMENT;
    kt_log *log = must_open(&options);
    kt_reader *reader = must_read(&options);
    grow(log, options.dir, 2, &key);
    assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
    for (int i = 0; i < 20; i++) {
        grow(log, options.dir, segment_count(options.dir) + 1, &key);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        kt_log_retain(log);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    }
    uint64_t seq = 1; /* the first segment is gone from the folder, not from under the reader */
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
        assert_int_equal(rec->seq, ++seq);
    assert_true(seq > 50);
    assert_int_equal(kt_reader_lost(reader).from, seq + 1);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_bytes_whole_segments_go_the_oldest_first),
        cmocka_unit_test(by_age_whole_segments_go),
        cmocka_unit_test(nothing_goes_that_is_newer_than_the_last_snapshot_or_not_durable),
        cmocka_unit_test(a_cursor_holds_what_its_reader_has_not_safely_on_disk),
        cmocka_unit_test(a_cursor_that_holds_too_much_is_cut_off_with_an_event_that_names_the_lost_range),
        cmocka_unit_test(where_nothing_may_be_lost_a_cursor_that_holds_too_much_stops_intake),
        cmocka_unit_test(intake_goes_on_when_nothing_is_to_go_any_more),
        cmocka_unit_test(without_the_register_of_cursors_nothing_goes),
        cmocka_unit_test(segments_are_unlinked_and_never_used_again_under_a_reader),
    };

    return cmocka_run_group_tests_name("log retention", tests, NULL, NULL);
}
