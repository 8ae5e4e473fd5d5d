#include "log/log_test.h"

/* ---- same boot: log.md 3 ---- */

static void after_a_death_nothing_published_is_unwritten(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    uint64_t epoch = kt_log_subject_info_of(log, subject).epoch;

    append_keys(log, subject, 1, 300);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    append_keys(log, subject, 301, 700); /* over several segments, nothing of it durable */
    uint64_t written = kt_log_written(log);
    die(log);
    log = must_open(&options);
    const kt_log_recovery *found = kt_log_recovered(log);
    assert_int_equal(found->last_seq, written);
    assert_false(found->clean);
    assert_false(found->other_boot);
    assert_int_equal(found->epochs_begun, 0);
    assert_int_equal(kt_log_subject_info_of(log, subject).epoch, epoch);
    append_keys(log, subject, 701, 800);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 800);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void after_a_death_what_was_never_published_is_cut(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    kt_rec_head head = { 1, KT_REC_INPUT, subject, 1, 0 };
    void *place;

    append_keys(log, subject, 1, 50);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_reserve(log, &head, 4000, &place), KT_OK);
    memset(place, 0xFF, 4000); /* died in the middle of a record */
    die(log);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->cut_bytes, 4000);
    append_keys(log, subject, 51, 100);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 100);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

typedef struct traced {
    uint32_t steps;
    uint32_t synced_at, named_at, unlinked_at, dir_at; /* step of the first of its kind that concerns the copy */
    int error;                                         /* of each sync of the copy, 0: none */
} traced;

static bool fd_is(int fd, const char *part)
{
    char link[64], path[512];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, part) != NULL;
}

static int traced_fdatasync(void *ctx, int fd)
{
    traced *t = ctx;

    t->steps++;
    if (fd_is(fd, "copy.tmp") && t->synced_at == 0)
        t->synced_at = t->steps;
    if (fd_is(fd, "copy.tmp") && t->error != 0) {
        errno = t->error;
        return -1;
    }
    return fdatasync(fd);
}

static int traced_fsync(void *ctx, int fd)
{
    traced *t = ctx;

    t->steps++;
    if (t->named_at != 0 && t->dir_at == 0)
        t->dir_at = t->steps;
    return fsync(fd);
}

static int traced_rename(void *ctx, const char *from, const char *to)
{
    traced *t = ctx;

    t->steps++;
    if (strstr(from, "copy.tmp") != NULL && t->named_at == 0)
        t->named_at = t->steps;
    return rename(from, to);
}

static int traced_unlink(void *ctx, const char *path)
{
    traced *t = ctx;

    t->steps++;
    if (strstr(path, ".seg") != NULL && t->unlinked_at == 0)
        t->unlinked_at = t->steps;
    return unlink(path);
}

static void trace(kt_log_options *options, traced *t)
{
    options->io.ctx = t;
    options->io.fdatasync = traced_fdatasync;
    options->io.fsync = traced_fsync;
    options->io.rename = traced_rename;
    options->io.unlink = traced_unlink;
}

static void same_boot_copies_what_is_above_durable_syncs_it_and_only_then_unlinks(void **state)
{
    kt_log_options options = small_log(1);
    traced t = { 0 };
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    append_keys(log, subject, 1, 20);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    append_keys(log, subject, 21, 40);
    die(log);
    kt_seg_names before = segments_of(options.dir);
    trace(&options, &t);
    log = must_open(&options);
    kt_seg_names after = segments_of(options.dir);
    assert_int_equal(kt_log_recovered(log)->copied_segments, 1);
    assert_int_equal(after.count, before.count);
    assert_int_equal(after.list[0].first_seq, before.list[0].first_seq);
    assert_true(after.list[0].generation > before.list[0].generation);
    assert_true(t.synced_at > 0);
    assert_true(t.named_at > t.synced_at);
    assert_true(t.dir_at > t.named_at);
    assert_true(t.unlinked_at > t.dir_at);
    free(before.list);
    free(after.list);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 40);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void when_the_copy_fails_the_log_does_not_open_and_durable_does_not_move(void **state)
{
    kt_log_options options = small_log(1), good;
    traced t = { 0 };
    kt_log *log = must_open(&options);
    kt_err err;
    kt_state kept;
    uint32_t subject = must_subject(log, "a", 0);

    append_keys(log, subject, 1, 20);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t durable = kt_log_durable(log);
    append_keys(log, subject, 21, 40);
    die(log);
    good = options;
    trace(&options, &t);
    for (int i = 0; i < 3; i++) {        /* the lane is parked; each start fails the same way and loses nothing */
        t.error = i == 1 ? ENOSPC : EIO; /* a full disk is waited for, but a sync is not tried again */
        assert_int_equal(kt_log_open(&options, &log, &err), KT_SYS);
        assert_non_null(strstr(err.msg, ".seg"));
        assert_int_equal(kt_state_read(options.dir, &kept, NULL), KT_OK);
        assert_int_equal(kept.durable, durable);
    }
    log = must_open(&good);
    kt_reader *reader = must_read(&good);
    expect_keys(reader, 1, 40);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static ssize_t killed_before_state(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    if (fd_is(fd, "/state"))
        _exit(7);
    return pwrite(fd, data, size, at);
}

static void an_opening_killed_behind_its_copies_leaves_them_to_the_next(void **state)
{
    kt_log_options options = small_log(1), killed;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    int status;

    append_keys(log, subject, 1, 100);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    append_keys(log, subject, 101, 500); /* over several segments */
    uint64_t written = kt_log_written(log);
    uint32_t segments = segment_count(options.dir);
    assert_true(segments > 2);
    die(log);
    killed = options;
    killed.io.pwrite = killed_before_state;
    for (int deaths = 0; deaths < 3; deaths++) { /* the state file knows nothing of the copies' generation */
        pid_t child = fork();
        if (child == 0) {
            kt_log_open(&killed, &log, NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 7);
        assert_int_equal(segment_count(options.dir), segments);
    }
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->last_seq, written);
    assert_int_equal(kt_log_recovered(log)->fenced_from, 0);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 500);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_clean_close_leaves_its_mark(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    uint64_t epoch = kt_log_subject_info_of(log, subject).epoch;

    assert_true(kt_log_recovered(log)->fresh);
    append_keys(log, subject, 1, 100);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    on_boot(&options, 2);
    log = must_open(&options);
    assert_true(kt_log_recovered(log)->clean);
    assert_true(kt_log_recovered(log)->other_boot);
    assert_int_equal(kt_log_recovered(log)->epochs_begun, 0);
    assert_int_equal(kt_log_subject_info_of(log, subject).epoch, epoch);
    die(log);
    on_boot(&options, 3); /* the mark counts for one opening */
    log = must_open(&options);
    assert_false(kt_log_recovered(log)->clean);
    assert_int_equal(kt_log_recovered(log)->epochs_begun, 2);
    die(log);
    log = must_open(&options); /* and the epochs for one boot */
    assert_false(kt_log_recovered(log)->other_boot);
    assert_int_equal(kt_log_recovered(log)->epochs_begun, 0);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- another boot ---- */

static void a_torn_tail_is_zeroed_even_where_later_records_look_whole(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0), size;
    char path[KT_PATH_SIZE];
    uint8_t rest[4096];

    append_keys(log, subject, 1, 50);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    uint64_t durable = kt_log_durable(log);
    append_keys(log, subject, 51, 400); /* later segments too */
    die(log);
    assert_true(segment_count(options.dir) > 1);
    damage(options.dir, durable + 11); /* keys 51 to 60 survive; 62 and later are whole, but count no more */
    uint64_t at = place_of(options.dir, durable + 10, path, &size) + size;
    on_boot(&options, 2);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->last_seq, durable + 10);
    assert_true(kt_log_recovered(log)->cut_bytes > 1000);
    assert_int_equal(kt_log_recovered(log)->fenced_from, 0);
    assert_int_equal(segment_count(options.dir), 1);
    uint64_t end = at + 48 + 2 * sizeof(kt_ctl_epoch); /* the new epochs are written behind the cut */
    int fd = open(path, O_RDONLY);
    for (off_t from = (off_t)end; from < KT_SEGMENT_SIZE_MIN; from += sizeof rest) {
        ssize_t n = kt_read_all(fd, rest, sizeof rest, from);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(rest[i], 0);
    }
    close(fd);
    append_keys(log, subject, 61, 500); /* the seqs are used again */
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, 500);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void unclean_under_another_boot_begins_new_epochs_but_not_for_subjects_after_durable(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t news = must_subject(log, "news", 0), ledger = must_subject(log, "ledger", KT_SUBJECT_AFTER_DURABLE);
    uint64_t log_epoch = kt_log_subject_info_of(log, 0).epoch;
    uint64_t news_epoch = kt_log_subject_info_of(log, news).epoch;
    uint64_t ledger_epoch = kt_log_subject_info_of(log, ledger).epoch;

    append_keys(log, news, 1, 10);
    append_keys(log, ledger, 11, 20);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    die(log);
    on_boot(&options, 2);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->epochs_begun, 2);
    assert_true(kt_log_subject_info_of(log, 0).epoch != log_epoch);
    assert_true(kt_log_subject_info_of(log, news).epoch != news_epoch);
    assert_int_equal(kt_log_subject_info_of(log, ledger).epoch, ledger_epoch);
    append_keys(log, news, 21, 21);
    assert_int_equal(kt_log_subject_info_of(log, news).last_offset, 11); /* offsets go on */
    append_keys(log, news, 22, 300); /* into a later segment, whose table names each epoch's first offset */
    kt_seg_names names = segments_of(options.dir);
    kt_segment segment;
    kt_subjects subjects;
    assert_int_equal(kt_segment_map(options.dir, names.list[names.count - 1], false, &segment, NULL), KT_OK);
    kt_subjects_init(&subjects, 100);
    assert_int_equal(kt_segment_subjects(&segment, &subjects), KT_OK);
    assert_int_equal(subjects.list[news].epoch_count, 2);
    assert_int_equal(subjects.list[news].epochs[0].epoch, news_epoch);
    assert_int_equal(subjects.list[news].epochs[1].first_offset, 11);
    assert_int_equal(subjects.list[ledger].epoch_count, 1);
    kt_subjects_done(&subjects);
    kt_segment_unmap(&segment);
    free(names.list);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* The record of new epochs may be the first of a segment, whose table then holds them already: they are known once. */
static void epochs_that_begin_a_segment_are_known_once(void **state)
{
    uint32_t begun = 0;

    for (uint64_t count = 1; begun < 2; count++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        uint32_t subject = must_subject(log, "news", 0);
        append_keys(log, subject, 1, count);
        kt_seg_names before = segments_of(options.dir);
        die(log);
        on_boot(&options, 2);
        log = must_open(&options);
        kt_seg_names after = segments_of(options.dir);
        begun += after.count > before.count;
        append_keys(log, subject, count + 1, count + 1);
        kt_reader *reader = must_read(&options);
        uint64_t epoch = kt_log_subject_info_of(log, 0).epoch;
        assert_int_equal(kt_reader_seek(reader, epoch, kt_log_written(log), NULL, NULL), KT_OK);
        kt_reader_close(reader);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
        free(before.list);
        free(after.list);
    }
}

static int no_segment_sync(void *ctx, int fd)
{
    if (fd_is(fd, ".seg")) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static void a_start_that_stops_while_epochs_begin_begins_them_again(void **state)
{
    kt_log_options options = small_log(1), stops;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    append_keys(log, subject, 1, 10);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    die(log);
    on_boot(&options, 2);
    stops = options;
    stops.io.fdatasync = no_segment_sync; /* the new epochs never reach the disk */
    assert_int_equal(kt_log_open(&stops, &log, NULL), KT_SYS);
    log = must_open(&options); /* until they do, the state file names the old boot */
    assert_true(kt_log_recovered(log)->other_boot);
    assert_int_equal(kt_log_recovered(log)->epochs_begun, 2);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_cut_tail_is_synced_before_anything_is_written_behind_it(void **state)
{
    kt_log_options options = small_log(1), stops;
    kt_log *log = must_open(&options);
    kt_rec_head head = { 1, KT_REC_INPUT, must_subject(log, "a", 0), 1, 0 };
    void *place;

    append_keys(log, 1, 1, 10);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_reserve(log, &head, 4000, &place), KT_OK);
    memset(place, 0xFF, 4000);
    die(log);
    stops = options;
    stops.io.fdatasync = no_segment_sync;
    assert_int_equal(kt_log_open(&stops, &log, NULL), KT_SYS);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->last_seq, 11);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void the_newest_epochs_are_remembered(void **state)
{
    enum { BOOTS = KT_EPOCHS_MAX + 8 };
    kt_log_options options = small_log(1);
    uint64_t epochs[BOOTS], last[BOOTS];
    kt_log *log = NULL;

    for (int boot = 0; boot < BOOTS; boot++) {
        on_boot(&options, (uint8_t)(boot + 1));
        log = must_open(&options);
        uint32_t subject = must_subject(log, "a", 0);
        append_keys(log, subject, 1, 2);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        epochs[boot] = kt_log_subject_info_of(log, subject).epoch;
        last[boot] = kt_log_subject_info_of(log, subject).last_offset;
        if (boot + 1 < BOOTS)
            die(log);
    }
    kt_reader *reader = must_read(&options);
    assert_int_equal(kt_reader_seek_end(reader, NULL), KT_OK);
    for (int boot = 0; boot < BOOTS; boot++) {
        kt_resume resume;
        bool known = boot >= BOOTS - KT_EPOCHS_MAX;
        assert_int_equal(
            kt_reader_resume(reader, KT_TEXT("a"), epochs[boot], last[boot], &resume, NULL), known ? KT_OK : KT_EPOCH);
        assert_int_equal(resume.epoch, epochs[BOOTS - 1]);
    }
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- corruption ---- */

static void lines_of(void *ctx, kt_doctor_level level, const char *line)
{
    char *text = ctx;
    size_t n = strlen(text);

    snprintf(text + n, 8192 - n, "%s%s\n",
        level == KT_DOCTOR_LOSS   ? "LOSS "
        : level == KT_DOCTOR_WARN ? "WARN "
                                  : "",
        line);
}

static void a_bad_record_at_or_below_durable_fences_its_segment_and_doctor_says_what_is_lost(void **state)
{
    static const uint8_t boots[] = { 1, 2 };

    for (size_t i = 0; i < KT_COUNT(boots); i++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        uint32_t subject = must_subject(log, "a", KT_SUBJECT_AFTER_DURABLE);
        uint64_t epoch = kt_log_subject_info_of(log, subject).epoch;
        char text[8192] = "", expected[64];
        kt_doctor_summary sum;
        const kt_rec *rec;

        append_keys(log, subject, 1, 60);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        uint64_t durable = kt_log_durable(log);
        die(log);
        damage(options.dir, durable - 9); /* keys 51 to 60 are behind it */
        on_boot(&options, boots[i]);
        log = must_open(&options);
        assert_int_equal(kt_log_recovered(log)->fenced_from, durable - 9);
        assert_int_equal(kt_log_recovered(log)->fenced_to, durable);
        assert_true(kt_log_subject_info_of(log, subject).epoch != epoch); /* all of them: even this one lost records */
        append_keys(log, subject, 61, 80);
        assert_int_equal(kt_log_subject_info_of(log, subject).last_offset, 50 + 20);

        kt_reader *reader = must_read(&options);
        for (uint64_t key = 1; key <= 50; key++) {
            assert_int_equal(next_key(reader, &rec), KT_OK);
            assert_true(is_key(rec, key));
        }
        assert_int_equal(next_key(reader, &rec), KT_CORRUPT); /* never silently */
        assert_int_equal(kt_reader_lost(reader).from, durable - 9);
        assert_int_equal(kt_reader_lost(reader).to, durable);
        do
            assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
        while (rec->kind != KT_CTL_LOST); /* the log says it itself, for whoever reads it later */
        const kt_ctl_lost *told = kt_rec_payload(rec);
        assert_int_equal(told->why, KT_LOST_FENCED);
        assert_int_equal(told->from_seq, durable - 9);
        assert_int_equal(told->to_seq, durable);
        expect_keys(reader, 61, 80);
        kt_lost lost;
        assert_int_equal(kt_reader_seek(reader, 0, durable - 3, &lost, NULL), KT_CORRUPT);
        assert_int_equal(lost.to, durable);
        expect_keys(reader, 61, 80);
        kt_reader_close(reader);

        assert_int_equal(kt_log_doctor(options.dir, lines_of, text, &sum, NULL), KT_OK);
        snprintf(expected, sizeof expected, "LOSS seq %d to %d are lost", (int)durable - 9, (int)durable);
        assert_non_null(strstr(text, expected));
        assert_int_equal(sum.lost_count, 10);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
        log = must_open(&options); /* and once is enough */
        assert_int_equal(kt_log_recovered(log)->fenced_from, 0);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

static void a_fence_in_the_middle_goes_on_behind_it(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    const kt_rec *rec;
    uint64_t lost = 0, got = 0;

    append_keys(log, subject, 1, 700);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    assert_true(names.count > 3);
    uint64_t bad = names.list[1].first_seq + 5, behind = names.list[2].first_seq;
    damage(options.dir, bad); /* in the middle of a living log: readers meet it */
    kt_reader *reader = must_read(&options);
    for (kt_code code; (code = kt_reader_next(reader, UINT64_MAX, &rec)) != KT_EMPTY;) {
        assert_true(code == KT_OK || code == KT_CORRUPT);
        if (code == KT_CORRUPT)
            lost += kt_reader_lost(reader).to - kt_reader_lost(reader).from + 1;
        else
            got++;
    }
    assert_int_equal(lost, behind - bad);
    assert_int_equal(lost + got, kt_log_written(log));
    kt_reader_close(reader);
    free(names.list);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_segment_whose_header_is_bad_is_fenced_or_cut(void **state)
{
    for (int durable = 0; durable < 2; durable++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        uint32_t subject = must_subject(log, "a", 0);
        char path[KT_PATH_SIZE];

        append_keys(log, subject, 1, 50);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        append_keys(log, subject, 51, 400);
        if (durable)
            assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        uint64_t written = kt_log_written(log);
        die(log);
        kt_seg_names names = segments_of(options.dir);
        kt_seg_name last = names.list[names.count - 1];
        overwrite(kt_seg_path(path, options.dir, last, ".seg"), 40, "\xA5\xA5\xA5\xA5", 4);
        free(names.list);
        on_boot(&options, 2);
        log = must_open(&options);
        if (durable) {
            assert_int_equal(kt_log_recovered(log)->fenced_from, last.first_seq);
            assert_int_equal(kt_log_recovered(log)->fenced_to, written);
            assert_int_equal(kt_log_recovered(log)->last_seq, written);
        } else {
            assert_int_equal(kt_log_recovered(log)->fenced_from, 0);
            assert_int_equal(kt_log_recovered(log)->last_seq, last.first_seq - 1);
        }
        assert_int_equal(must_subject(log, "a", 0), subject);
        append_keys(log, subject, 1000, 1400);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
        log = must_open(&options);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

/* ---- the state file ---- */

static void a_torn_slot_of_the_state_file_leaves_the_other(void **state)
{
    for (int slot = 0; slot < 2; slot++) {
        kt_log_options options = small_log(1);
        kt_log *log = must_open(&options);
        uint32_t subject = must_subject(log, "a", 0);
        char path[KT_PATH_SIZE];

        append_keys(log, subject, 1, 10);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        append_keys(log, subject, 11, 20);
        assert_int_equal(kt_log_sync(log, NULL), KT_OK);
        die(log);
        overwrite(kt_file_path(path, options.dir, "state"), (uint64_t)slot * KT_PAGE + 40, "torn", 4);
        on_boot(&options, 2);
        log = must_open(&options);
        kt_reader *reader = must_read(&options);
        expect_keys(reader, 1, 20); /* whatever the slot says, whole records count */
        kt_reader_close(reader);
        assert_int_equal(kt_log_close(log, NULL), KT_OK);
    }
}

static void without_its_state_file_a_log_is_not_guessed(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char path[KT_PATH_SIZE];
    kt_err err;

    append_keys(log, must_subject(log, "a", 0), 1, 10);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_file_path(path, options.dir, "state");
    overwrite(path, 0, "XXXX", 4);
    overwrite(path, KT_PAGE, "XXXX", 4);
    assert_int_equal(kt_log_open(&options, &log, &err), KT_CORRUPT);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(kt_log_open(&options, &log, &err), KT_CORRUPT);
    assert_non_null(strstr(err.msg, "no state file"));
}

static void segments_that_vanished_are_a_loss_that_is_named(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    char path[KT_PATH_SIZE];

    append_keys(log, subject, 1, 300);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    for (uint32_t i = 0; i < names.count; i++)
        assert_int_equal(unlink(kt_seg_path(path, options.dir, names.list[i], ".seg")), 0);
    free(names.list);
    log = must_open(&options);
    assert_int_equal(kt_log_recovered(log)->fenced_from, 1);
    assert_true(kt_log_recovered(log)->fenced_to > 300);
    append_keys(log, must_subject(log, "a", 0), 1, 10);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_death_nothing_published_is_unwritten),
        cmocka_unit_test(after_a_death_what_was_never_published_is_cut),
        cmocka_unit_test(same_boot_copies_what_is_above_durable_syncs_it_and_only_then_unlinks),
        cmocka_unit_test(when_the_copy_fails_the_log_does_not_open_and_durable_does_not_move),
        cmocka_unit_test(an_opening_killed_behind_its_copies_leaves_them_to_the_next),
        cmocka_unit_test(a_clean_close_leaves_its_mark),
        cmocka_unit_test(a_torn_tail_is_zeroed_even_where_later_records_look_whole),
        cmocka_unit_test(unclean_under_another_boot_begins_new_epochs_but_not_for_subjects_after_durable),
        cmocka_unit_test(epochs_that_begin_a_segment_are_known_once),
        cmocka_unit_test(a_start_that_stops_while_epochs_begin_begins_them_again),
        cmocka_unit_test(a_cut_tail_is_synced_before_anything_is_written_behind_it),
        cmocka_unit_test(the_newest_epochs_are_remembered),
        cmocka_unit_test(a_bad_record_at_or_below_durable_fences_its_segment_and_doctor_says_what_is_lost),
        cmocka_unit_test(a_fence_in_the_middle_goes_on_behind_it),
        cmocka_unit_test(a_segment_whose_header_is_bad_is_fenced_or_cut),
        cmocka_unit_test(a_torn_slot_of_the_state_file_leaves_the_other),
        cmocka_unit_test(without_its_state_file_a_log_is_not_guessed),
        cmocka_unit_test(segments_that_vanished_are_a_loss_that_is_named),
    };

    return cmocka_run_group_tests_name("log recovery", tests, NULL, NULL);
}
