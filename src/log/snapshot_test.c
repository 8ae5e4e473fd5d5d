#include "log/log_test.h"
#include "log/writer.h"

static void *bytes_of(size_t size, uint8_t fill)
{
    uint8_t *bytes = malloc(size + 1);

    memset(bytes, fill, size);
    return bytes;
}

static uint32_t snapshot_files(const char *dir)
{
    char path[KT_PATH_SIZE];
    uint32_t count = 0;
    DIR *stream = opendir(kt_file_path(path, dir, "snapshots"));

    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;)
        count += entry->d_name[0] != '.';
    if (stream != NULL)
        closedir(stream);
    return count;
}

static void a_snapshot_gets_its_name_once_durable_has_passed_its_seq(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    kt_snapshot snapshot;
    void *bytes = bytes_of(700000, 7);

    append_keys(log, must_subject(log, "a", 0), 1, 20);
    assert_int_equal(kt_log_snapshot(log, kt_log_written(log) + 1, 3, bytes, 1), KT_ARG);
    uint64_t seq = kt_log_written(log);
    assert_int_equal(kt_log_snapshot(log, seq, 3, bytes, 700000), KT_OK);
    assert_int_equal(kt_log_snapshot(log, seq, 3, bytes, 700000), KT_BUSY);
    while (kt_snapshot_work(log)) /* written, and waiting for durable */
        ;
    assert_int_equal(kt_log_snapshot_seq(log), 0);
    assert_int_equal(kt_snapshot_newest(options.dir, UINT64_MAX, &snapshot, NULL), KT_EMPTY);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_snapshot_seq(log), seq);
    assert_int_equal(kt_snapshot_newest(options.dir, UINT64_MAX, &snapshot, NULL), KT_OK);
    assert_int_equal(snapshot.seq, seq);
    assert_int_equal(snapshot.version, 3);
    assert_int_equal(snapshot.epoch, kt_log_subject_info_of(log, 0).epoch);
    assert_int_equal(snapshot.size, 700000);
    for (size_t i = 0; i < snapshot.size; i++)
        assert_int_equal(((uint8_t *)snapshot.bytes)[i], 7);
    kt_snapshot_done(&snapshot);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void the_thread_writes_it_off_the_loop(void **state)
{
    kt_log_options options = small_log(1);
    options.sync = KT_SYNC_THREAD;
    kt_log *log = must_open(&options);
    uint32_t id = must_subject(log, "a", 0);

    for (int i = 1; i <= 5; i++) {
        append_keys(log, id, 1, 100);
        uint64_t seq = kt_log_written(log);
        assert_int_equal(kt_log_snapshot(log, seq, 1, bytes_of(3000000, 1), 3000000), KT_OK);
        assert_true(KT_TEST_WAIT(kt_log_snapshot_seq(log) == seq, 60));
        assert_true(kt_log_durable(log) >= seq);
        assert_true(snapshot_files(options.dir) <= KT_SNAPSHOTS_KEPT);
    }
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void whoever_sees_that_it_is_there_may_give_the_next(void **state)
{
    enum { SIZE = 2000000, ROUNDS = 200 };
    kt_log_options options = small_log(1);
    options.sync = KT_SYNC_THREAD;
    kt_log *log = must_open(&options);
    int64_t end_ns = kt_test_now_ns() + INT64_C(120000000000);

    append_keys(log, must_subject(log, "a", 0), 1, ROUNDS);
    for (uint64_t seq = 1; seq <= ROUNDS; seq++) {
        void *bytes = bytes_of(SIZE, 1);
        while (kt_log_snapshot_seq(log) != seq - 1) /* without a pause: the next one comes at the very moment */
            assert_true(kt_test_now_ns() < end_ns);
        assert_int_equal(kt_log_snapshot(log, seq, 1, bytes, SIZE), KT_OK);
    }
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_damaged_snapshot_is_passed_over_for_the_one_before(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t id = must_subject(log, "a", 0);
    kt_snapshot snapshot;
    char path[KT_PATH_SIZE], name[64];
    uint64_t seqs[2];
    kt_err err;

    for (int i = 0; i < 2; i++) {
        append_keys(log, id, 1, 10);
        seqs[i] = kt_log_written(log);
        assert_int_equal(kt_log_snapshot(log, seqs[i], 1, bytes_of(100, (uint8_t)i), 100), KT_OK);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    }
    assert_int_equal(kt_snapshot_newest(options.dir, seqs[1] - 1, &snapshot, NULL), KT_OK); /* at most ... */
    assert_int_equal(snapshot.seq, seqs[0]);
    kt_snapshot_done(&snapshot);
    snprintf(name, sizeof name, "snapshots/%020d.snap", (int)seqs[1]);
    overwrite(kt_file_path(path, options.dir, name), 60, "damage", 6);
    assert_int_equal(kt_snapshot_newest(options.dir, UINT64_MAX, &snapshot, NULL), KT_OK);
    assert_int_equal(snapshot.seq, seqs[0]);
    kt_snapshot_done(&snapshot);
    uint32_t newer = KT_LOG_FORMAT + 1;
    overwrite(path, 8, &newer, sizeof newer);
    assert_int_equal(kt_snapshot_newest(options.dir, UINT64_MAX, &snapshot, &err), KT_VERSION);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_snapshot_beyond_the_end_is_dropped_before_its_seq_is_used_again(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t id = must_subject(log, "a", 0);
    kt_snapshot snapshot;
    char path[KT_PATH_SIZE];

    append_keys(log, id, 1, 10);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t durable = kt_log_durable(log);
    append_keys(log, id, 11, 20);
    uint64_t seq = kt_log_written(log);
    assert_int_equal(kt_log_snapshot(log, seq, 1, bytes_of(10, 1), 10), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    die(log);
    /* The machine lost the tail and, as disks do, the newer slot of the state file too: it said what was durable. */
    damage(options.dir, durable + 2);
    kt_state kept;
    assert_int_equal(kt_state_read(options.dir, &kept, NULL), KT_OK);
    overwrite(kt_file_path(path, options.dir, "state"), kept.counter % 2 * KT_PAGE + 20, "gone", 4);
    on_boot(&options, 2);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->last_seq, durable + 1);
    assert_int_equal(kt_log_recovered(log)->snapshots_dropped, 1);
    assert_int_equal(kt_log_snapshot_seq(log), 0);
    append_keys(log, id, 11, 30);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_snapshot_newest(options.dir, UINT64_MAX, &snapshot, NULL), KT_EMPTY);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static ssize_t no_room(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    if (*(bool *)ctx && size == 1234) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, at);
}

static void a_snapshot_that_can_not_be_written_costs_nothing_else(void **state)
{
    kt_log_options options = small_log(1);
    bool full = true;

    options.io.ctx = &full;
    options.io.pwrite = no_room;
    kt_log *log = must_open(&options);
    append_keys(log, must_subject(log, "a", 0), 1, 20);
    assert_int_equal(kt_log_snapshot(log, 10, 1, bytes_of(1234, 1), 1234), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_snapshot_seq(log), 0);
    assert_int_equal(snapshot_files(options.dir), 0);
    full = false;
    assert_int_equal(kt_log_snapshot(log, 10, 1, bytes_of(1234, 1), 1234), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_snapshot_seq(log), 10);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static int no_sync_of_a_snapshot(void *ctx, int fd)
{
    struct stat info;

    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) { /* folders are synced with it too */
        errno = EIO;
        return -1;
    }
    return fsync(fd);
}

static void a_snapshot_is_synced_before_it_gets_its_name(void **state)
{
    kt_log_options options = small_log(1);

    options.io.fsync = no_sync_of_a_snapshot;
    kt_log *log = must_open(&options);
    append_keys(log, must_subject(log, "a", 0), 1, 20);
    for (size_t size = 0; size < 2000; size += 1000) {
        assert_int_equal(kt_log_snapshot(log, 10, 1, bytes_of(size, 1), size), KT_OK);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        assert_int_equal(kt_log_snapshot_seq(log), 0);
        assert_int_equal(snapshot_files(options.dir), 0);
    }
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_gets_its_name_once_durable_has_passed_its_seq),
        cmocka_unit_test(the_thread_writes_it_off_the_loop),
        cmocka_unit_test(whoever_sees_that_it_is_there_may_give_the_next),
        cmocka_unit_test(a_damaged_snapshot_is_passed_over_for_the_one_before),
        cmocka_unit_test(a_snapshot_beyond_the_end_is_dropped_before_its_seq_is_used_again),
        cmocka_unit_test(a_snapshot_that_can_not_be_written_costs_nothing_else),
        cmocka_unit_test(a_snapshot_is_synced_before_it_gets_its_name),
    };

    return cmocka_run_group_tests_name("log snapshots", tests, NULL, NULL);
}
