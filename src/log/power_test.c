/* Power cuts: a shadow "on disk" image is kept of the log's folder, copied at each sync. When the power goes, what is left
 * is that image plus a random subset of the 4 KiB pages, sizes and names that changed since: pages come back in any order.
 * The log is opened again on what is left, under another boot id, and everything that was acknowledged must be there. */
#include "log/log_test.h"

enum { FILES_MAX = 512, ENTRIES_MAX = 256, NAME_SIZE = 320, DIR_SIZE = 512 };

/* A file, by inode while it has one. `synced`: its bytes at the last sync of it, NULL: never. */
typedef struct shadow_file {
    ino_t inode; /* 0: unlinked; its last bytes are in `latest` */
    uint8_t *synced, *latest;
    size_t synced_size, latest_size;
} shadow_file;

typedef struct shadow_entry {
    char name[NAME_SIZE]; /* below the folder: "snapshots/..." too */
    int file;
} shadow_entry;

typedef struct shadow {
    char dir[DIR_SIZE];
    shadow_file files[FILES_MAX];
    int file_count;
    shadow_entry synced[ENTRIES_MAX]; /* names at the last sync of their folder */
    int synced_count;
    int64_t steps_left; /* calls until the power goes; -1: it went */
    kt_rng rng;
    char image[DIR_SIZE]; /* where what is left is put */
    kt_log *log;          /* NULL while it opens */
    uint64_t acknowledged, written;
} shadow;

static uint8_t *read_whole(int fd, size_t *out_size)
{
    struct stat info;

    assert_int_equal(fstat(fd, &info), 0);
    uint8_t *bytes = malloc((size_t)info.st_size + 1);
    ssize_t n = kt_read_all(fd, bytes, (size_t)info.st_size, 0);
    *out_size = n > 0 ? (size_t)n : 0;
    return bytes;
}

static int file_of(shadow *s, ino_t inode)
{
    for (int i = 0; i < s->file_count; i++)
        if (s->files[i].inode == inode)
            return i;
    assert_true(s->file_count < FILES_MAX);
    s->files[s->file_count] = (shadow_file){ .inode = inode };
    return s->file_count++;
}

/* The names below `folder` ("" or "snapshots") as they are now. */
static int list_names(shadow *s, const char *folder, shadow_entry *out, int count)
{
    char path[KT_PATH_SIZE], name[NAME_SIZE];
    struct stat info;
    kt_file_path(path, s->dir, folder);
    DIR *stream = opendir(path);

    if (stream == NULL)
        return count;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        snprintf(name, sizeof name, "%s%s%s", folder, folder[0] ? "/" : "", entry->d_name);
        kt_file_path(path, s->dir, name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || strcmp(name, "lock") == 0)
            continue;
        assert_true(count < ENTRIES_MAX);
        memcpy(out[count].name, name, sizeof name);
        out[count++].file = file_of(s, info.st_ino);
    }
    closedir(stream);
    return count;
}

static void sync_names(shadow *s, const char *folder)
{
    int kept = 0;
    bool top = folder[0] == '\0';

    for (int i = 0; i < s->synced_count; i++)
        if ((strchr(s->synced[i].name, '/') == NULL) != top)
            s->synced[kept++] = s->synced[i];
    s->synced_count = list_names(s, folder, s->synced, kept);
}

static void sync_file(shadow *s, int fd)
{
    struct stat info;

    assert_int_equal(fstat(fd, &info), 0);
    shadow_file *file = &s->files[file_of(s, info.st_ino)];
    free(file->synced);
    file->synced = read_whole(fd, &file->synced_size);
}

/* Before a name goes: keep the bytes of the file that may come back. */
static void forget(shadow *s, const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat info;

    if (fd < 0)
        return;
    assert_int_equal(fstat(fd, &info), 0);
    if (info.st_nlink == 1) {
        shadow_file *file = &s->files[file_of(s, info.st_ino)];
        file->latest = read_whole(fd, &file->latest_size);
        file->inode = 0;
    }
    close(fd);
}

/* What is left of one file. */
static void put_file(shadow *s, const shadow_file *file, const char *now_path, const char *to)
{
    size_t now_size = file->latest_size;
    uint8_t *now = file->latest;
    int fd = file->inode != 0 ? open(now_path, O_RDONLY) : -1;

    if (fd >= 0) {
        now = read_whole(fd, &now_size);
        close(fd);
    }
    size_t size = file->synced != NULL ? file->synced_size : 0;
    if (now_size != size && kt_rng_chance(&s->rng, 0.5))
        size = now_size;
    uint8_t *left = calloc(1, size + 1);
    for (size_t at = 0; at < size; at += KT_PAGE) {
        size_t part = size - at < KT_PAGE ? size - at : KT_PAGE;
        if (file->synced != NULL && at < file->synced_size)
            memcpy(left + at, file->synced + at, part < file->synced_size - at ? part : file->synced_size - at);
        if (now != NULL && at < now_size && kt_rng_chance(&s->rng, 0.5))
            memcpy(left + at, now + at, part < now_size - at ? part : now_size - at);
    }
    fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, left, size, 0), (ssize_t)size);
    close(fd);
    free(left);
    if (now != file->latest)
        free(now);
}

static void power_goes(shadow *s)
{
    shadow_entry now[ENTRIES_MAX];
    char from[KT_PATH_SIZE], to[KT_PATH_SIZE];
    int now_count = list_names(s, "snapshots", now, list_names(s, "", now, 0));

    s->steps_left = -1;
    s->acknowledged = s->log != NULL ? kt_log_durable(s->log) : s->acknowledged;
    s->written = s->log != NULL ? kt_log_written(s->log) : s->written;
    assert_int_equal(mkdir(s->image, 0755), 0);
    kt_file_path(to, s->image, "snapshots");
    assert_int_equal(mkdir(to, 0755), 0);
    for (int pass = 0; pass < 2; pass++) {
        const shadow_entry *list = pass == 0 ? s->synced : now, *other = pass == 0 ? now : s->synced;
        int count = pass == 0 ? s->synced_count : now_count, other_count = pass == 0 ? now_count : s->synced_count;
        for (int i = 0; i < count; i++) {
            bool both = false;
            for (int j = 0; j < other_count; j++)
                both = both || (strcmp(list[i].name, other[j].name) == 0 && list[i].file == other[j].file);
            if ((both && pass == 1) || (!both && kt_rng_chance(&s->rng, 0.5)))
                continue;
            kt_file_path(from, s->dir, list[i].name);
            kt_file_path(to, s->image, list[i].name);
            put_file(s, &s->files[list[i].file], from, to);
        }
    }
}

/* One call to the disk passes: the power may go before it. */
static void step(shadow *s)
{
    if (s->steps_left > 0 && --s->steps_left == 0)
        power_goes(s);
}

static int shadow_open(void *ctx, const char *path, int flags, mode_t mode)
{
    step(ctx);
    return open(path, flags | O_CLOEXEC, mode);
}

static ssize_t shadow_pwrite(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    if (at % (16 * KT_PAGE) == 0) /* pre-writing would take all the steps */
        step(ctx);
    return pwrite(fd, data, size, at);
}

static int shadow_fdatasync(void *ctx, int fd)
{
    step(ctx);
    sync_file(ctx, fd);
    return 0;
}

static int shadow_fsync(void *ctx, int fd)
{
    shadow *s = ctx;
    struct stat info;
    char link[64], path[1024];

    step(s);
    assert_int_equal(fstat(fd, &info), 0);
    if (!S_ISDIR(info.st_mode)) {
        sync_file(s, fd);
        return 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    size_t dir_size = strlen(s->dir);
    if (strncmp(path, s->dir, dir_size) == 0)
        sync_names(s, path[dir_size] == '/' ? path + dir_size + 1 : "");
    return 0;
}

static int shadow_rename(void *ctx, const char *from, const char *to)
{
    step(ctx);
    forget(ctx, to);
    return rename(from, to);
}

static int shadow_unlink(void *ctx, const char *path)
{
    step(ctx);
    forget(ctx, path);
    return unlink(path);
}

static shadow *shadow_new(const char *dir, uint64_t seed)
{
    shadow *s = calloc(1, sizeof *s);

    char path[KT_PATH_SIZE];

    assert_true(strlen(dir) + 8 < DIR_SIZE);
    memcpy(s->dir, dir, strlen(dir) + 1);
    kt_rng_init(&s->rng, seed);
    /* What is there at the start is on disk. */
    sync_names(s, "");
    sync_names(s, "snapshots");
    for (int i = 0; i < s->synced_count; i++) {
        kt_file_path(path, dir, s->synced[i].name);
        int fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        sync_file(s, fd);
        close(fd);
    }
    return s;
}

static void shadow_free(shadow *s)
{
    for (int i = 0; i < s->file_count; i++) {
        free(s->files[i].synced);
        free(s->files[i].latest);
    }
    free(s);
}

static void shadow_options(shadow *s, kt_log_options *options)
{
    options->dir = s->dir;
    options->io =
        (kt_log_io){ s, shadow_open, shadow_pwrite, shadow_fdatasync, shadow_fsync, shadow_rename, shadow_unlink };
}

/* ---- what was appended ---- */

enum { HISTORY_MAX = 20000, SUBJECTS = 4, OWN = 0 };

/* Key of the record at each seq, OWN for the log's; a cut shortens it. */
typedef struct history {
    uint64_t keys[HISTORY_MAX];
    uint64_t count;
    uint64_t next_key;
    uint64_t epochs[SUBJECTS]; /* of the subjects and, at 0, of the log */
    bool after_durable[SUBJECTS];
} history;

static void history_fill(history *h, kt_log *log)
{
    while (h->count < kt_log_written(log)) {
        assert_true(h->count + 1 < HISTORY_MAX);
        h->keys[++h->count] = OWN;
    }
}

static void history_append(history *h, kt_log *log, uint32_t subject)
{
    uint64_t key = ++h->next_key;

    assert_int_equal(append_key(log, subject, KT_REC_INPUT, key), KT_OK);
    history_fill(h, log);
    h->keys[h->count] = key;
}

/* Everything up to the end, and only that, in order. */
static void history_check(const history *h, const kt_log_options *options, uint64_t last_seq)
{
    kt_reader *reader = must_read(options);
    uint64_t offsets[64] = { 0 };
    const kt_rec *rec;

    for (uint64_t seq = 1; seq <= last_seq; seq++) {
        kt_code code = kt_reader_next(reader, UINT64_MAX, &rec);
        if (code != KT_OK)
            fail_msg("seq %llu of %llu: %s %s", (unsigned long long)seq, (unsigned long long)last_seq,
                kt_code_name(code), kt_reader_error(reader)->msg);
        assert_int_equal(rec->seq, seq);
        assert_true(rec->subject < 64);
        assert_int_equal(rec->offset, ++offsets[rec->subject]);
        if (seq <= h->count && h->keys[seq] != OWN)
            assert_true(is_key(rec, h->keys[seq]));
        else
            assert_true((rec->flags & KT_REC_CONTROL) != 0);
    }
    assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_EMPTY);
    kt_reader_close(reader);
}

/* Clients of before: what they are told. */
static void clients_check(const history *h, const kt_log_options *options, kt_log *log, const uint64_t *seen)
{
    kt_reader *live = must_read(options);
    kt_resume resume;
    char name[16];
    uint32_t id;

    assert_int_equal(kt_reader_seek_end(live, NULL), KT_OK);
    for (int i = 1; i < SUBJECTS; i++) {
        snprintf(name, sizeof name, "s%d", i);
        if (h->epochs[i] == 0 || kt_log_subject_find(log, kt_text_of(name), &id) != KT_OK)
            continue;
        kt_log_subject_info now = kt_log_subject_info_of(log, id);
        kt_code code = kt_reader_resume(live, kt_text_of(name), h->epochs[i], seen[i], &resume, NULL);
        if (h->after_durable[i]) {
            assert_int_equal(now.epoch, h->epochs[i]);
            assert_int_equal(code, seen[i] <= now.last_offset ? KT_OK : KT_SEQ);
        } else {
            assert_true(now.epoch != h->epochs[i]);
            assert_int_equal(resume.epoch, now.epoch);
            assert_int_equal(code, seen[i] <= now.last_offset ? KT_OK : KT_EPOCH);
            assert_int_equal(resume.lost.from, seen[i] <= now.last_offset ? 0 : seen[i] + 1);
            assert_int_equal(resume.lost.to, 0);
        }
    }
    kt_reader_close(live);
}

static void snapshot_append(kt_log *log)
{
    void *bytes = calloc(1, 5000);

    if (kt_log_snapshot(log, kt_log_written(log), 1, bytes, 5000) != KT_OK)
        free(bytes); /* the one before is not written yet */
}

static void play_case(uint64_t seed)
{
    enum { CUTS = 3 };
    kt_log_options options = small_log(1);
    history *h = calloc(1, sizeof *h);
    kt_rng rng;
    uint64_t acknowledged = 0, seen[SUBJECTS] = { 0 };
    char path[DIR_SIZE];
    uint8_t boot = 1;
    bool lived = false; /* the log of before was taken over by its boot */
    kt_log *log = NULL;

    kt_rng_init(&rng, seed);
    memcpy(path, options.dir, strlen(options.dir) + 1);
    assert_int_equal(mkdir(path, 0755), 0);
    for (int cut = 0; cut <= CUTS; cut++) {
        shadow *s = shadow_new(path, seed + (uint64_t)cut);
        uint32_t ids[SUBJECTS] = { 0 };
        shadow_options(s, &options);
        on_boot(&options, boot++);
        memcpy(s->image, s->dir, sizeof s->image);
        strcat(s->image, ".cut");
        s->acknowledged = acknowledged;
        s->steps_left = cut == CUTS ? 0 : 1 + (int64_t)kt_rng_below(&rng, kt_rng_chance(&rng, 0.3) ? 30 : 200);
        log = must_open(&options);
        uint64_t last_seq = kt_log_recovered(log)->last_seq;
        assert_int_equal(kt_log_recovered(log)->fenced_from, 0);
        assert_true(last_seq >= acknowledged); /* every acknowledged record is there */
        assert_true(last_seq <= h->count);     /* and nothing was invented */
        h->count = last_seq;
        history_check(h, &options, kt_log_written(log));
        if (cut > 0 && lived) {
            assert_true(kt_log_subject_info_of(log, 0).epoch != h->epochs[0]);
            clients_check(h, &options, log, seen);
        }
        s->log = log;
        lived = s->steps_left >= 0;
        history_fill(h, log);
        if (s->steps_left < 0) /* it went while opening: nobody was acknowledged anything new */
            acknowledged = s->acknowledged;
        for (int i = 1; i < SUBJECTS && s->steps_left >= 0; i++) {
            char name[16];
            snprintf(name, sizeof name, "s%d", i);
            h->after_durable[i] = i == 3;
            ids[i] = must_subject(log, name, i == 3 ? KT_SUBJECT_AFTER_DURABLE : 0);
            history_fill(h, log);
        }
        int64_t actions = cut == CUTS ? 100 : 100000;
        while (s->steps_left >= 0 && actions-- > 0) {
            uint64_t dice = kt_rng_below(&rng, 100);
            if (dice < 80)
                history_append(h, log, ids[1 + kt_rng_below(&rng, SUBJECTS - 1)]);
            else if (dice < 97)
                assert_int_equal(kt_log_sync(log, NULL), KT_OK);
            else
                snapshot_append(log);
            if (kt_rng_chance(&rng, 0.004) && cut < CUTS && s->steps_left > 0)
                power_goes(s); /* between two calls to the disk */
            history_fill(h, log);
        }
        if (lived && cut < CUTS) {
            acknowledged = s->acknowledged;
            for (int i = 1; i < SUBJECTS; i++) {
                h->epochs[i] = kt_log_subject_info_of(log, ids[i]).epoch;
                seen[i] = kt_log_subject_info_of(log, ids[i]).last_offset;
            }
            h->epochs[0] = kt_log_subject_info_of(log, 0).epoch;
        }
        if (cut < CUTS) {
            memcpy(path, s->image, sizeof path);
            die(log);
        } else {
            history_check(h, &options, kt_log_written(log));
            assert_int_equal(kt_log_close(log, NULL), KT_OK);
        }
        kt_test_remove(s->dir);
        shadow_free(s);
    }
    kt_test_remove(path);
    free(h);
}

static void after_a_power_cut_every_acknowledged_record_is_there_without_gaps_or_repeats_and_the_new_epoch_is_told(
    void **state)
{
    uint64_t seed = kt_test_seed();

    for (uint32_t i = 0; i < kt_test_cases(200); i++) {
        print_message("# case seed %llu\n", (unsigned long long)(seed * 1000003 + i));
        play_case(seed * 1000003 + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            after_a_power_cut_every_acknowledged_record_is_there_without_gaps_or_repeats_and_the_new_epoch_is_told),
    };

    return cmocka_run_group_tests_name("log power cuts", tests, NULL, NULL);
}
