/* Disks that fail and folders that are not what they should be: each a clear error that names the thing, and nothing is
 * lost. */
#include "log/log_test.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

/* ---- a failing sync: log.md 3 ---- */

typedef struct failing {
    _Atomic int syncs_left; /* those that still succeed */
    _Atomic int syncs_tried_after;
} failing;

static int failing_fdatasync(void *ctx, int fd)
{
    failing *f = ctx;

    if (atomic_fetch_sub(&f->syncs_left, 1) > 0)
        return fdatasync(fd);
    atomic_fetch_add(&f->syncs_tried_after, 1);
    errno = EIO;
    return -1;
}

static void a_failed_sync_ends_the_log_and_is_never_retried(void **state)
{
    for (int threaded = 0; threaded < 2; threaded++) {
        kt_log_options options = small_log(1), good = options;
        failing f = { 1000000, 0 };
        options.io.ctx = &f;
        options.io.fdatasync = failing_fdatasync;
        options.sync = threaded ? KT_SYNC_THREAD : KT_SYNC_INLINE;
        kt_log *log = must_open(&options);
        kt_err err = { 0 };
        uint32_t subject = must_subject(log, "a", 0);

        append_keys(log, subject, 1, 10);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        assert_int_equal(kt_log_prewrite(log, NULL), KT_OK);
        uint64_t durable = kt_log_durable(log);
        atomic_store(&f.syncs_left, 0);
        append_keys(log, subject, 11, 20);
        assert_int_equal(kt_log_sync(log, &err), KT_SYS);
        assert_non_null(strstr(err.msg, options.dir));
        assert_true(kt_log_failed(log));
        int tried = atomic_load(&f.syncs_tried_after);
        assert_true(tried >= 1);
        atomic_store(&f.syncs_left, 1000000); /* the disk would say "fine" now, without having written the pages */
        assert_int_equal(kt_log_sync(log, NULL), KT_SYS);
        assert_int_equal(kt_log_wait(log, durable + 1, INT64_C(1000000)), KT_SYS);
        assert_int_equal(append_key(log, subject, KT_REC_INPUT, 21), KT_SYS);
        assert_int_equal(kt_log_durable(log), durable);
        assert_int_equal(kt_log_close(log, &err), KT_SYS); /* no clean mark */
        assert_int_equal(atomic_load(&f.syncs_tried_after), tried);
        assert_int_equal(atomic_load(&f.syncs_left), 1000000);

        log = must_open(&good); /* not by a restart either: it copies */
        assert_false(kt_log_recovered(log)->clean);
        assert_int_equal(kt_log_recovered(log)->copied_segments, 1);
        assert_int_equal(kt_log_recovered(log)->last_seq, durable + 10);
        kt_reader *reader = must_read(&good);
        expect_keys(reader, 1, 20);
        kt_reader_close(reader);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

static void durable_does_not_move_before_the_folder_knows_the_new_segment(void **state)
{
    kt_log_options options = small_log(1);
    failing f = { 1000000, 0 };
    options.io.ctx = &f;
    options.io.fsync = failing_fdatasync; /* only folders are synced with it */
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t durable = kt_log_durable(log);
    append_keys(log, subject, 1, 400);
    assert_true(segment_count(options.dir) > 1);
    atomic_store(&f.syncs_left, 0);
    assert_int_equal(kt_log_sync(log, NULL), KT_SYS);
    assert_int_equal(kt_log_durable(log), durable);
    kt_log_close(log, NULL);
}

/* ---- an index that can not be written ---- */

static int rename_but_no_index(void *ctx, const char *from, const char *to)
{
    if (strstr(to, ".idx") != NULL) {
        errno = EDQUOT;
        return -1;
    }
    return rename(from, to);
}

/* It only saves readers work: the log goes on, readers find everything, and no half of one is left. */
static void an_index_that_can_not_be_written_is_done_without(void **state)
{
    kt_log_options options = small_log(1);
    char path[KT_PATH_SIZE];

    options.io.rename = rename_but_no_index;
    kt_log *log = must_open(&options);
    append_keys(log, must_subject(log, "a", 0), 1, 2000);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    assert_true(names.count > 2);
    for (uint32_t i = 0; i < names.count; i++) {
        static const char *const ends[] = { ".idx", ".idx.tmp" };

        for (size_t k = 0; k < KT_COUNT(ends); k++)
            assert_int_equal(access(kt_seg_path(path, options.dir, names.list[i], ends[k]), F_OK), -1);
    }
    free(names.list);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 2000);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- folders ---- */

static int read_only_open(void *ctx, const char *path, int flags, mode_t mode)
{
    if ((flags & O_ACCMODE) != O_RDONLY) {
        errno = EROFS;
        return -1;
    }
    return open(path, flags, mode);
}

static void a_read_only_folder_is_named_and_still_read(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    kt_err err = { 0 };

    append_keys(log, must_subject(log, "a", 0), 1, 100);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    options.io.open = read_only_open;
    assert_int_equal(kt_log_open(&options, &log, &err), KT_SYS);
    assert_int_equal(err.sys_errno, EROFS);
    assert_non_null(strstr(err.msg, options.dir));
    assert_non_null(strstr(err.msg, "writable"));
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 100);
    kt_reader_close(reader);
    if (geteuid() != 0) {
        options.io = kt_log_io_system;
        assert_int_equal(chmod(options.dir, 0555), 0);
        char path[KT_PATH_SIZE];
        assert_int_equal(chmod(kt_file_path(path, options.dir, "lock"), 0444), 0);
        assert_int_equal(kt_log_open(&options, &log, &err), KT_SYS);
        assert_non_null(strstr(err.msg, path));
        assert_int_equal(chmod(options.dir, 0755), 0);
    }
}

static int full_errno;

static ssize_t full_pwrite(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    int64_t *room = ctx;

    if (*room < (int64_t)size) {
        errno = full_errno;
        return -1;
    }
    *room -= (int64_t)size;
    return pwrite(fd, data, size, at);
}

static void a_full_disk_at_any_write_of_opening_is_named_and_loses_nothing(void **state)
{
    static const int numbers[] = { ENOSPC, EDQUOT };

    for (int64_t room = 0; room < KT_SEGMENT_SIZE_MIN + 4 * KT_PAGE; room += 1000) {
        kt_log_options options = small_log(1);
        kt_log *log = NULL;
        kt_err err = { 0 };
        int64_t left = room;

        full_errno = numbers[room / 1000 % 2];
        options.io.ctx = &left;
        options.io.pwrite = full_pwrite;
        kt_code code = kt_log_open(&options, &log, &err);
        if (code == KT_OK) {
            kt_log_close(log, NULL);
        } else {
            assert_int_equal(code, KT_FULL);
            assert_non_null(strstr(err.msg, "disk is full"));
            assert_non_null(strstr(err.msg, options.dir));
        }
        left = INT64_MAX; /* with room it opens as if nothing had been */
        log = must_open(&options);
        append_keys(log, must_subject(log, "a", 0), 1, 5);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

static void a_really_full_disk_stops_intake_and_keeps_what_was_promised(void **state)
{
    const char *dir = kt_test_dir();
    char path[512];
    kt_log_options options = small_log(1);
    kt_log *log;
    kt_code code = KT_OK;
    uint64_t key = 0;
    struct statvfs info;

    assert_int_equal(mount("tmpfs", dir, "tmpfs", 0, "size=512k"), 0);
    snprintf(path, sizeof path, "%s/log", dir);
    options.dir = path;
    options.sync = KT_SYNC_THREAD;
    log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    while ((code = append_key(log, subject, KT_REC_INPUT, key + 1)) == KT_OK)
        key++;
    assert_int_equal(code, KT_FULL);
    assert_true(kt_log_intake_stopped(log));
    for (int i = 0; i < 10; i++)
        assert_int_equal(append_key(log, subject, KT_REC_OUTPUT, ++key), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_durable(log), kt_log_written(log));
    assert_int_equal(statvfs(dir, &info), 0);
    assert_true(info.f_bfree * info.f_bsize < KT_SEGMENT_SIZE_MIN);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, key);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->clean, 1);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    assert_int_equal(umount(dir), 0);
}

static void a_folder_held_by_another_process_is_named_with_its_holder(void **state)
{
    kt_log_options options = small_log(1);
    int ready[2], status;
    char byte = 0, pid_text[32];
    kt_log *log = NULL;
    kt_err err = { 0 };

    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        log = must_open(&options);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kt_log_open(&options, &log, &err), KT_BUSY);
    snprintf(pid_text, sizeof pid_text, "(%d)", (int)child);
    assert_non_null(strstr(err.msg, pid_text));
    assert_non_null(strstr(err.msg, options.dir));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ready[0]);
    close(ready[1]);
    log = must_open(&options); /* the lock went with the process */
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void files_of_a_newer_version_are_refused_and_left_alone(void **state)
{
    static const struct {
        const char *name;
        uint64_t at; /* of the format number */
        int which;   /* 0: the segment, 1: state, 2: control */
    } rows[] = { { "segment", 8, 0 }, { "state", 8, 1 }, { "state, other slot", KT_PAGE + 8, 1 }, { "control", 8, 2 } };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        kt_err err = { 0 };
        char path[KT_PATH_SIZE];
        uint32_t newer = KT_LOG_FORMAT + 1, format = KT_LOG_FORMAT;
        append_keys(log, must_subject(log, "a", 0), 1, 10);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK); /* both slots are used */
        append_keys(log, 1, 11, 12);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
        kt_seg_names names = segments_of(options.dir);
        if (rows[i].which == 0)
            kt_seg_path(path, options.dir, names.list[0], ".seg");
        else
            kt_file_path(path, options.dir, rows[i].which == 1 ? "state" : "control");
        free(names.list);
        overwrite(path, rows[i].at, &newer, sizeof newer);
        KT_ROW(rows[i].name, kt_log_open(&options, &log, &err) == KT_VERSION);
        KT_ROW(rows[i].name, strstr(err.msg, path) != NULL && strstr(err.msg, "newer program") != NULL);
        overwrite(path, rows[i].at, &format, sizeof format);
        log = must_open(&options);
        KT_ROW(rows[i].name, kt_log_recovered(log)->last_seq == 13);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

static void what_is_not_a_folder_is_named(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log;
    kt_err err = { 0 };
    int fd = open(options.dir, O_WRONLY | O_CREAT, 0644);

    close(fd);
    assert_int_equal(kt_log_open(&options, &log, &err), KT_SYS);
    assert_int_equal(err.sys_errno, ENOTDIR);
    assert_non_null(strstr(err.msg, options.dir));
    options.dir = "/nowhere/at/all";
    assert_int_equal(kt_log_open(&options, &log, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
}

/* Only root may mount a small disk, and not in every container; the tests with injected errors run everywhere. */
static bool may_mount(void)
{
    const char *dir = kt_test_dir();

    return mount("tmpfs", dir, "tmpfs", 0, "size=512k") == 0 && umount(dir) == 0;
}

int main(void)
{
    const bool mounts = may_mount();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_sync_ends_the_log_and_is_never_retried),
        cmocka_unit_test(durable_does_not_move_before_the_folder_knows_the_new_segment),
        cmocka_unit_test(an_index_that_can_not_be_written_is_done_without),
        cmocka_unit_test(a_read_only_folder_is_named_and_still_read),
        cmocka_unit_test(a_full_disk_at_any_write_of_opening_is_named_and_loses_nothing),
        KT_TEST_WHERE(mounts, a_really_full_disk_stops_intake_and_keeps_what_was_promised, "mounting is not allowed"),
        cmocka_unit_test(a_folder_held_by_another_process_is_named_with_its_holder),
        cmocka_unit_test(files_of_a_newer_version_are_refused_and_left_alone),
        cmocka_unit_test(what_is_not_a_folder_is_named),
    };

    return cmocka_run_group_tests_name("log faults", tests, NULL, NULL);
}
