#include "log/log_test.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

static void seek_by_seq_stands_before_that_record(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    const kt_rec *rec;
    kt_rng rng;

    append_keys(log, subject, 1, 1500);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_reader *reader = must_read(&options);
    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < 200; i++) {
        uint64_t seq = 1 + kt_rng_below(&rng, kt_log_written(log));
        assert_int_equal(kt_reader_seek(reader, 0, seq, NULL, NULL), KT_OK);
        assert_int_equal(kt_reader_position(reader), seq);
        assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
        assert_int_equal(rec->seq, seq);
        if (rec->subject == subject)
            assert_true(kt_text_equal(kt_reader_subject(reader, rec->subject), KT_TEXT("a")));
    }
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void nothing_above_the_limit_is_handed_out(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    const kt_rec *rec;
    uint64_t seq = 0;

    append_keys(log, subject, 1, 300);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    append_keys(log, subject, 301, 600);
    kt_reader *reader = must_read(&options);
    while (kt_reader_next(reader, kt_reader_durable(reader), &rec) == KT_OK)
        seq = rec->seq;
    assert_int_equal(seq, kt_log_durable(log));
    assert_true(seq < kt_log_written(log));
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    while (kt_reader_next(reader, kt_reader_durable(reader), &rec) == KT_OK)
        seq = rec->seq;
    assert_int_equal(seq, kt_log_written(log));
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_reader_is_told_an_unknown_epoch_and_a_position_beyond_the_end(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    uint64_t old_epoch = kt_log_subject_info_of(log, 0).epoch;
    kt_lost lost;
    kt_err err;

    append_keys(log, subject, 1, 100);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t cut = kt_log_written(log); /* what survives */
    append_keys(log, subject, 101, 110);
    uint64_t seen = kt_log_written(log);
    die(log);
    damage(options.dir, cut + 1);
    on_boot(&options, 2);
    log = must_open(&options);
    append_keys(log, subject, 111, 160);
    uint64_t epoch = kt_log_subject_info_of(log, 0).epoch, end = kt_log_written(log);

    const struct {
        const char *name;
        uint64_t epoch, seq;
        kt_code code;
        uint64_t position;
        kt_lost lost;
    } rows[] = {
        { "old epoch below the cut", old_epoch, cut - 5, KT_OK, cut - 5, { 0, 0 } },
        { "old epoch at the cut", old_epoch, cut + 1, KT_OK, cut + 1, { 0, 0 } },
        { "old epoch above the cut", old_epoch, seen + 1, KT_EPOCH, cut + 1, { seen + 1, 0 } },
        { "new epoch", epoch, end - 3, KT_OK, end - 3, { 0, 0 } },
        { "unknown epoch", 12345, 10, KT_EPOCH, cut + 1, { 10, 0 } },
        { "live end", epoch, end + 1, KT_OK, end + 1, { 0, 0 } },
        { "beyond the end", epoch, end + 2, KT_SEQ, end + 1, { 0, 0 } },
        { "far beyond, not checked", 0, end + 1000000, KT_SEQ, end + 1, { 0, 0 } },
    };
    kt_reader *reader = must_read(&options);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        KT_ROW(rows[i].name, kt_reader_seek(reader, rows[i].epoch, rows[i].seq, &lost, &err) == rows[i].code);
        KT_ROW(rows[i].name, kt_reader_position(reader) == rows[i].position);
        KT_ROW(rows[i].name, lost.from == rows[i].lost.from && lost.to == rows[i].lost.to);
        KT_ROW(rows[i].name, rows[i].code == KT_OK || strstr(err.msg, options.dir) != NULL);
    }
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_client_of_the_old_epoch_resumes_at_or_below_the_cut_and_is_told_the_loss_above(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t a = must_subject(log, "a", 0), b = must_subject(log, "b", 0);
    uint64_t epochs[3];
    kt_resume resume;

    /* Two cuts: subject a has offsets 1 to 100 in the first epoch, to 150 in the second, to 180 in the third. */
    append_keys(log, a, 1, 100);
    for (int round = 0; round < 2; round++) {
        epochs[round] = kt_log_subject_info_of(log, a).epoch;
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        uint64_t good = kt_log_written(log);
        append_keys(log, a, 1000, 1020); /* seen by clients, then lost */
        die(log);
        damage(options.dir, good + 1);
        on_boot(&options, (uint8_t)(round + 2));
        log = must_open(&options);
        append_keys(log, b, 1, 400); /* over segments */
        append_keys(log, a, 101, round == 0 ? 150 : 130);
    }
    epochs[2] = kt_log_subject_info_of(log, a).epoch;
    assert_int_equal(kt_log_subject_info_of(log, a).last_offset, 180);

    const struct {
        const char *name;
        uint64_t epoch, offset;
        kt_code code;
        uint64_t next_offset;
        kt_lost lost;
    } rows[] = {
        { "first epoch, from the start", epochs[0], 0, KT_OK, 1, { 0, 0 } },
        { "first epoch, below the cut", epochs[0], 50, KT_OK, 51, { 0, 0 } },
        { "first epoch, at the cut", epochs[0], 100, KT_OK, 101, { 0, 0 } },
        { "first epoch, above the cut: no known end", epochs[0], 121, KT_EPOCH, 101, { 122, 0 } },
        { "second epoch, at the cut", epochs[1], 150, KT_OK, 151, { 0, 0 } },
        { "second epoch, above the cut", epochs[1], 151, KT_EPOCH, 151, { 152, 0 } },
        { "present epoch", epochs[2], 170, KT_OK, 171, { 0, 0 } },
        { "present epoch, at the end", epochs[2], 180, KT_OK, 181, { 0, 0 } },
        { "present epoch, beyond the end", epochs[2], 181, KT_SEQ, 181, { 0, 0 } },
        { "no epoch named", 0, 120, KT_OK, 121, { 0, 0 } },
        { "unknown epoch", 999, 120, KT_EPOCH, 181, { 121, 0 } },
    };
    kt_reader *live = must_read(&options), *reader = must_read(&options);
    assert_int_equal(kt_reader_resume(live, KT_TEXT("a"), 0, 1, &resume, NULL), KT_ARG);
    assert_int_equal(kt_reader_seek_end(live, NULL), KT_OK);
    assert_int_equal(kt_reader_resume(live, KT_TEXT("nobody"), 0, 1, &resume, NULL), KT_NOENT);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_rec *rec;
        KT_ROW(rows[i].name,
            kt_reader_resume(live, KT_TEXT("a"), rows[i].epoch, rows[i].offset, &resume, NULL) == rows[i].code);
        KT_ROW(rows[i].name, resume.epoch == epochs[2] && resume.subject == a);
        KT_ROW(rows[i].name, resume.next_offset == rows[i].next_offset);
        KT_ROW(rows[i].name, resume.lost.from == rows[i].lost.from && resume.lost.to == rows[i].lost.to);
        /* Every record from there on, without a gap or a repeat. */
        KT_ROW(rows[i].name, kt_reader_seek(reader, 0, resume.from_seq, NULL, NULL) == KT_OK);
        uint64_t offset = resume.next_offset;
        while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
            if (rec->subject != a || rec->offset < resume.next_offset)
                continue;
            KT_ROW(rows[i].name, rec->offset == offset);
            offset++;
        }
        KT_ROW(rows[i].name, offset == 181);
    }
    kt_reader_close(live);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_live_reader_keeps_its_table_while_it_follows(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    kt_reader *live = must_read(&options);
    kt_reader_subject_info info;
    kt_resume resume;
    const kt_rec *rec;

    assert_int_equal(kt_reader_seek_end(live, NULL), KT_OK);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i % 4);
        uint32_t subject = must_subject(log, name, 0);
        append_keys(log, subject, 1, 60);
        while (kt_reader_next(live, UINT64_MAX, &rec) == KT_OK)
            ;
        assert_int_equal(kt_reader_subject_find(live, kt_text_of(name), &info), KT_OK);
        assert_int_equal(info.last_offset, kt_log_subject_info_of(log, subject).last_offset);
        assert_int_equal(info.epoch, kt_log_subject_info_of(log, subject).epoch);
        assert_int_equal(
            kt_reader_resume(live, kt_text_of(name), info.epoch, info.last_offset - 30, &resume, NULL), KT_OK);
        assert_int_equal(resume.next_offset, info.last_offset - 29);
    }
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_reader_follows_the_writer_into_a_new_generation(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    kt_reader *reader = must_read(&options), *live = must_read(&options);
    uint64_t key = 0;
    kt_resume resume;

    assert_int_equal(kt_reader_seek_end(live, NULL), KT_OK);
    for (int life = 0; life < 6; life++) {
        append_keys(log, subject, key + 1, key + 130);
        expect_keys(reader, key + 1, key + 130);
        expect_keys(live, key + 1, key + 130);
        key += 130;
        die(log);
        assert_int_equal(kt_reader_position(reader), kt_reader_written(reader) + 1);
        log = must_open(&options);
    }
    assert_int_equal(kt_reader_resume(live, KT_TEXT("a"), 0, 700, &resume, NULL), KT_OK);
    kt_reader_close(reader);
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void until_a_writer_has_opened_under_this_boot_only_durable_records_are_served(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    const kt_rec *rec;
    uint64_t seq = 0;

    append_keys(log, subject, 1, 20);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t durable = kt_log_durable(log);
    append_keys(log, subject, 21, 40);
    die(log);
    on_boot(&options, 2);
    kt_reader *reader = must_read(&options);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
        seq = rec->seq;
    assert_int_equal(seq, durable);
    damage(options.dir, durable + 5); /* and indeed the machine lost the rest */
    log = must_open(&options);
    append_keys(log, subject, 25, 30);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(
        kt_reader_written(reader), kt_log_written(log)); /* whoever asks the reader first hears of it too */
    assert_int_equal(kt_reader_durable(reader), kt_log_durable(log));
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
        seq = rec->seq;
    assert_int_equal(seq, kt_log_written(log));
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void readers_in_other_processes_see_every_record_once_and_in_order(void **state)
{
    enum { READERS = 3, KEYS = 20000 };
    kt_log_options options = small_log(1);
    options.sync = KT_SYNC_THREAD;
    pid_t children[READERS];
    int status;

    for (int i = 0; i < READERS; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        kt_reader *reader = NULL;
        const kt_rec *rec;
        int64_t end_ns = kt_test_now_ns() + INT64_C(120000000000);
        uint64_t key = 1;
        while (kt_reader_open(options.dir, options.boot_id, &reader, NULL) != KT_OK && kt_test_now_ns() < end_ns)
            kt_test_sleep_ms(1);
        while (reader != NULL && key <= KEYS && kt_test_now_ns() < end_ns) {
            kt_code code = kt_reader_next(reader, UINT64_MAX, &rec);
            if (code == KT_EMPTY)
                sched_yield();
            else if (code != KT_OK)
                _exit(10 + code);
            else if ((rec->flags & KT_REC_CONTROL) == 0 && !is_key(rec, key++))
                _exit(3);
        }
        _exit(key > KEYS ? 0 : 2);
    }
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    append_keys(log, subject, 1, KEYS);
    kt_log_kick(log);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void sigbus_ends_the_process_and_names_the_segment(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE], text[1024] = "";
    int ends[2], status;

    append_keys(log, must_subject(log, "a", 0), 1, 100);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    kt_seg_path(path, options.dir, names.list[0], ".seg");
    free(names.list);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        kt_reader *reader;
        const kt_rec *rec;
        dup2(ends[1], STDERR_FILENO);
        if (kt_reader_open(options.dir, options.boot_id, &reader, NULL) != KT_OK || truncate(path, 4096) != 0)
            _exit(1);
        while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
            ;
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    assert_non_null(strstr(text, path));
}

static void a_file_of_the_wrong_size_or_kind_is_refused_before_it_is_used(void **state)
{
    static const struct {
        const char *name;
        off_t size; /* -1: a folder in its place */
    } rows[] = { { "empty", 0 }, { "half a header", 100 }, { "shorter than its header says", 8192 },
        { "longer than its header says", KT_SEGMENT_SIZE_MIN + 4096 }, { "a folder", -1 } };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        kt_reader *reader;
        kt_err err = { 0 };
        char path[KT_PATH_SIZE];
        append_keys(log, must_subject(log, "a", 0), 1, 10);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
        kt_seg_names names = segments_of(options.dir);
        kt_seg_path(path, options.dir, names.list[0], ".seg");
        free(names.list);
        if (rows[i].size < 0) {
            assert_int_equal(unlink(path), 0);
            assert_int_equal(mkdir(path, 0755), 0);
        } else {
            assert_int_equal(truncate(path, rows[i].size), 0);
        }
        KT_ROW(rows[i].name, kt_reader_open(options.dir, options.boot_id, &reader, &err) == KT_CORRUPT);
        KT_ROW(rows[i].name, strstr(err.msg, "damaged") != NULL || strstr(err.msg, path) != NULL);
    }
}

/* Change a record and give it the checksum that fits: what no writer leaves. */
static void forge(const char *dir, uint64_t seq, size_t at, uint64_t value, size_t value_size)
{
    char path[KT_PATH_SIZE];
    union {
        kt_rec rec;
        uint8_t bytes[sizeof(kt_rec) + PAYLOAD_MAX + 8];
    } forged;
    uint32_t size;
    uint64_t place = place_of(dir, seq, path, &size);
    int fd = open(path, O_RDONLY);

    assert_int_equal(kt_read_all(fd, forged.bytes, size, (off_t)place), (ssize_t)size);
    close(fd);
    memcpy(forged.bytes + at, &value, value_size);
    forged.rec.crc = kt_rec_crc(&forged.rec, forged.rec.size <= size ? forged.rec.size : size);
    overwrite(path, place, forged.bytes, size);
}

static void a_record_that_contradicts_its_place_is_damage(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        uint64_t value;
        size_t value_size;
    } rows[] = {
        { "another seq", offsetof(kt_rec, seq), 31, 8 },
        { "an offset left out", offsetof(kt_rec, offset), 31, 8 },
        { "an offset given twice", offsetof(kt_rec, offset), 28, 8 },
        { "a subject that was never declared", offsetof(kt_rec, subject), 7, 4 },
        { "a size that is not one of 8", offsetof(kt_rec, size), 52, 4 },
        { "a size below the header's", offsetof(kt_rec, size), 40, 4 },
        { "a size beyond the segment", offsetof(kt_rec, size), 1 << 19, 4 },
        { "a size beyond any record", offsetof(kt_rec, size), UINT32_MAX - 7, 4 },
        { "more padding than payload", offsetof(kt_rec, flags), KT_REC_INPUT | 7 << KT_REC_PAD_SHIFT, 2 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        uint32_t subject = must_subject(log, "a", 0);
        kt_rec_head empty = { 77, KT_REC_INPUT, subject, 1, 0 };
        const kt_rec *rec;
        kt_code code;

        append_keys(log, subject, 1, 28);
        assert_int_equal(kt_log_append(log, &empty, "", 0, NULL), KT_OK); /* seq 30, offset 29 */
        append_keys(log, subject, 30, 40);
        forge(options.dir, 30, rows[i].at, rows[i].value, rows[i].value_size);
        kt_reader *reader = must_read(&options);
        while ((code = kt_reader_next(reader, UINT64_MAX, &rec)) == KT_OK)
            ;
        KT_ROW(rows[i].name, code == KT_CORRUPT);
        KT_ROW(rows[i].name, kt_reader_position(reader) == 30);
        kt_reader_close(reader);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

static void a_table_of_subjects_that_fails_its_checksum_is_refused(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE];
    kt_segment segment;
    uint64_t offset = 77; /* of the log's own subject: no other check would notice */

    append_keys(log, must_subject(log, "a", 0), 1, 300);
    kt_seg_names names = segments_of(options.dir);
    kt_seg_path(path, options.dir, names.list[1], ".seg");
    overwrite(path, sizeof(kt_seg_header) + offsetof(kt_subject_row, last_offset), &offset, sizeof offset);
    assert_int_equal(kt_segment_map(options.dir, names.list[1], false, &segment, NULL), KT_CORRUPT);
    free(names.list);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_folder_without_a_log_is_named(void **state)
{
    kt_reader *reader;
    kt_err err;

    assert_int_equal(kt_reader_open("/nowhere/at/all", NULL, &reader, &err), KT_NOENT);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seek_by_seq_stands_before_that_record),
        cmocka_unit_test(nothing_above_the_limit_is_handed_out),
        cmocka_unit_test(a_reader_is_told_an_unknown_epoch_and_a_position_beyond_the_end),
        cmocka_unit_test(a_client_of_the_old_epoch_resumes_at_or_below_the_cut_and_is_told_the_loss_above),
        cmocka_unit_test(a_live_reader_keeps_its_table_while_it_follows),
        cmocka_unit_test(a_reader_follows_the_writer_into_a_new_generation),
        cmocka_unit_test(until_a_writer_has_opened_under_this_boot_only_durable_records_are_served),
        cmocka_unit_test(readers_in_other_processes_see_every_record_once_and_in_order),
        cmocka_unit_test(sigbus_ends_the_process_and_names_the_segment),
        cmocka_unit_test(a_file_of_the_wrong_size_or_kind_is_refused_before_it_is_used),
        cmocka_unit_test(a_record_that_contradicts_its_place_is_damage),
        cmocka_unit_test(a_table_of_subjects_that_fails_its_checksum_is_refused),
        cmocka_unit_test(a_folder_without_a_log_is_named),
    };

    return cmocka_run_group_tests_name("log reader", tests, NULL, NULL);
}
