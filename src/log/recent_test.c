/* What a following reader remembers: exactly the newest records, found by subject and offset. */
#include "log/log_test.h"
#include "log/recent.h"

enum { SUBJECTS = 12, APPENDED = 6000, REMEMBERED = 256 };

static kt_reader *following(const kt_log_options *options, uint32_t record_max)
{
    kt_reader *live = must_read(options);

    assert_int_equal(kt_reader_remember(live, record_max, NULL), KT_OK);
    assert_int_equal(kt_reader_seek_end(live, NULL), KT_OK);
    return live;
}

static uint64_t read_on(kt_reader *live)
{
    const kt_rec *rec;

    while (kt_reader_next(live, UINT64_MAX, &rec) == KT_OK)
        ;
    return kt_reader_position(live) - 1;
}

static uint64_t epoch_of(const kt_log *log, uint32_t subject)
{
    return kt_log_subject_info_of(log, subject).epoch;
}

/* Where this record of the log stands: a scan of all of it. */
typedef struct known {
    uint64_t seq, key;
} known;

static void the_newest_records_are_found_by_subject_and_offset(void **state)
{
    static known written[SUBJECTS][APPENDED + 1]; /* by offset */
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t ids[SUBJECTS], counts[SUBJECTS] = { 0 };
    kt_reader *live = following(&options, REMEMBERED);
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < SUBJECTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        ids[i] = must_subject(log, name, 0);
    }
    for (uint64_t key = 1; key <= APPENDED; key++) {
        uint32_t s = (uint32_t)kt_rng_below(&rng, 1 + kt_rng_below(&rng, SUBJECTS)); /* the first ones more often */
        const kt_rec *rec;

        assert_int_equal(append_key(log, ids[s], KT_REC_INPUT, key), KT_OK);
        written[s][++counts[s]] = (known){ kt_log_written(log), key };
        if (kt_rng_below(&rng, 20) != 0)
            continue;
        uint64_t last = read_on(live);
        s = (uint32_t)kt_rng_below(&rng, SUBJECTS);
        assert_int_equal(kt_reader_recent(live, ids[s], epoch_of(log, ids[s]), counts[s] + 1, 0, &rec), KT_NOENT);
        for (uint32_t offset = counts[s]; offset > 0 && offset + REMEMBERED > counts[s]; offset--) {
            bool here = written[s][offset].seq + REMEMBERED > last;

            assert_int_equal(
                kt_reader_recent(live, ids[s], epoch_of(log, ids[s]), offset, 0, &rec), here ? KT_OK : KT_NOENT);
            assert_true(!here || (rec->seq == written[s][offset].seq && is_key(rec, written[s][offset].key)));
            assert_true(!here || offset == counts[s] ||
                        kt_reader_recent(live, ids[s], epoch_of(log, ids[s]), offset + 1, rec->seq, &rec) == KT_OK);
            assert_true(!here || offset == counts[s] || is_key(rec, written[s][offset + 1].key));
            assert_true(
                !here || kt_reader_recent(live, ids[s], epoch_of(log, ids[s]) + 1, offset, 0, &rec) == KT_NOENT);
        }
    }
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* The same offsets may have been other records before. */
static void of_an_older_epoch_nothing_is_recent(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t a = must_subject(log, "a", 0);
    const kt_rec *rec;

    append_keys(log, a, 1, 50);
    die(log);
    on_boot(&options, 2);
    log = must_open(&options);
    append_keys(log, a, 51, 60);
    uint64_t first = kt_log_subject_info_of(log, a).last_offset - 9;
    kt_reader *live = following(&options, 1024);
    for (uint64_t offset = 1; offset < first + 10; offset++)
        assert_int_equal(
            kt_reader_recent(live, a, epoch_of(log, a), offset, 0, &rec), offset < first ? KT_NOENT : KT_OK);
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* A reader that goes over to another writer's segments has nothing of what it left, until it has read it there. */
static void another_generation_is_read_anew(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t a = must_subject(log, "a", 0);
    kt_reader *live = following(&options, 4096);
    const kt_rec *rec;

    for (uint64_t life = 0; life < 6; life++) {
        append_keys(log, a, life * 130 + 1, life * 130 + 130);
        read_on(live);
        assert_int_equal(kt_reader_recent(live, a, epoch_of(log, a), life * 130 + 130, 0, &rec), KT_OK);
        assert_true(is_key(rec, life * 130 + 130));
        die(log);
        log = must_open(&options);
    }
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static uint32_t deleted_but_mapped(const char *dir)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    uint32_t count = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, dir) != NULL && strstr(line, "(deleted)") != NULL;
    fclose(maps);
    return count;
}

static void what_retention_removed_is_not_recent_and_leaves_the_disk(void **state)
{
    kt_log_options options = small_log(1);
    options.retention_bytes = 4 * KT_SEGMENT_SIZE_MIN;
    kt_log *log = must_open(&options);
    uint32_t a = must_subject(log, "a", 0);
    kt_reader *live = following(&options, 1 << 16);
    const kt_rec *rec;

    for (uint64_t key = 1; key <= 3000; key += 10) {
        append_keys(log, a, key, key + 9);
        read_on(live);
    }
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_log_retain(log);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    for (uint32_t i = 0; i < 1000; i++)
        read_on(live); /* nothing is new, but it looks what is kept */
    uint64_t first = kt_reader_first(live);
    assert_true(first > 1000);
    for (uint64_t offset = 1; offset <= 3000; offset++) {
        kt_code code = kt_reader_recent(live, a, epoch_of(log, a), offset, 0, &rec);
        assert_true(code == KT_OK ? rec->seq >= first && is_key(rec, offset) : code == KT_NOENT);
        assert_true(code == KT_OK || offset < 3000);
    }
    assert_int_equal(deleted_but_mapped(options.dir), 0);
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void few_segments_stay_mapped(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t a = must_subject(log, "a", 0);
    kt_reader *live = following(&options, 1 << 16);
    const kt_rec *rec;

    for (uint64_t key = 1; segment_count(options.dir) < 2 * KT_RECENT_SEGMENTS; key++) {
        append_keys(log, a, key, key);
        read_on(live);
    }
    uint64_t last = kt_log_subject_info_of(log, a).last_offset;
    kt_seg_names names = segments_of(options.dir);
    for (uint64_t offset = 1; offset <= last; offset++)
        if (kt_reader_recent(live, a, epoch_of(log, a), offset, 0, &rec) == KT_OK)
            break;
    assert_int_equal(rec->seq, names.list[names.count - 1 - KT_RECENT_SEGMENTS].first_seq);
    free(names.list);
    kt_reader_close(live);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_records_are_found_by_subject_and_offset),
        cmocka_unit_test(of_an_older_epoch_nothing_is_recent),
        cmocka_unit_test(another_generation_is_read_anew),
        cmocka_unit_test(what_retention_removed_is_not_recent_and_leaves_the_disk),
        cmocka_unit_test(few_segments_stay_mapped),
    };

    return cmocka_run_group_tests_name("log recent", tests, NULL, NULL);
}
