#include "store/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/recorder.h"
#include "store/store.h"

typedef struct rebuild_job {
    const kt_config *config;
    char path[KT_RECORDER_PATH_SIZE]; /* of the new file, until it takes the old one's name */
    int lock_fd;                      /* of lane keep's log: while it is held the lane can not start */
    kt_store *store;
    kt_recorder recorder;
} rebuild_job;

static kt_code lock_keep(rebuild_job *rebuild, kt_err *err)
{
    char path[KT_RECORDER_PATH_SIZE];

    snprintf(path, sizeof path, "%s/keep/lock", rebuild->config->data);
    rebuild->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (rebuild->lock_fd < 0 && errno != ENOENT)
        return kt_fail(err, KT_SYS, "cannot open '%s'", path);
    if (rebuild->lock_fd >= 0 && flock(rebuild->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return kt_fail(err, KT_BUSY, "lane keep is running on '%s' and writes the store: stop kontor first",
            rebuild->config->data);
    return KT_OK;
}

static void remove_with(const char *path, const char *suffix)
{
    char name[KT_RECORDER_PATH_SIZE + 8];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    unlink(name);
}

/* A database and what SQLite keeps beside it. */
static void remove_database(const char *path)
{
    remove_with(path, "");
    remove_with(path, "-wal");
    remove_with(path, "-shm");
}

/* The new store comes as far as the old one had come, so that the two can be compared; lane keep goes on from there. An
 * old store that can not be read, or holds nothing yet, sets no end; what is not ours to replace is an error. */
static kt_code look_at_old(const rebuild_job *rebuild, uint64_t *out_end, kt_err *err)
{
    kt_store *old = NULL;
    kt_store_cursor cursor = { 0 };
    kt_code code = kt_store_open_read(rebuild->config->store_file, &old, err);

    if (code == KT_OK)
        kt_store_cursor_of(old, KT_RECORDER_LOG, &cursor, NULL);
    kt_store_close(old);
    *out_end = cursor.seq > 0 ? cursor.seq : UINT64_MAX;
    return code == KT_VERSION || code == KT_ARG ? code : KT_OK;
}

static kt_code open_log(rebuild_job *rebuild, kt_err *err)
{
    kt_recorder *recorder = &rebuild->recorder;
    kt_code code;

    snprintf(recorder->dir, sizeof recorder->dir, "%s/%s", rebuild->config->data, KT_RECORDER_LOG);
    code = kt_reader_open(recorder->dir, NULL, &recorder->reader, err);
    if (code == KT_NOENT)
        return kt_fail(err, code, "there is no log '%s' in the data folder '%s'; --data names another", KT_RECORDER_LOG,
            rebuild->config->data);
    return code;
}

/* What the log does not hold any more, the old store does. */
static kt_code copy_old(rebuild_job *rebuild, kt_lost gone, kt_err *err)
{
    kt_store *old = NULL;
    kt_code code = kt_store_open(rebuild->config, &old, err);

    if (code == KT_OK)
        code = kt_store_check(old, err);
    if (code == KT_OK)
        code = kt_store_copy(old, rebuild->path, err);
    kt_store_close(old);
    if (code != KT_OK)
        return kt_fail_within(err, code,
            "log '%s' does not hold records %llu to %llu any more, so the old store is needed for what was in them",
            KT_RECORDER_LOG, (unsigned long long)gone.from, (unsigned long long)gone.to);
    return KT_OK;
}

/* *out_hole: the first records on the way that are not there; `to` 0: none. */
static kt_code apply_all(rebuild_job *rebuild, kt_rebuild_progress progress, void *ctx, kt_lost *out_hole, kt_err *err)
{
    uint64_t all = kt_recorder_limit(&rebuild->recorder);
    kt_code code = KT_OK;

    while (code == KT_OK) {
        if (progress != NULL)
            progress(ctx, KT_RECORDER_LOG, rebuild->recorder.cursor.seq, all);
        code = kt_recorder_batch(&rebuild->recorder, KT_RECORDER_BATCH_MAX, err);
        if (out_hole->to == 0)
            *out_hole = rebuild->recorder.lost;
    }
    return code == KT_EMPTY ? KT_OK : code;
}

/* The whole new store, beside the old one, from the log that is open. `gone`: what the log is known not to hold, for which
 * the old store is copied first. */
static kt_code make_new(
    rebuild_job *rebuild, kt_lost gone, kt_rebuild_progress progress, void *ctx, kt_lost *out_hole, kt_err *err)
{
    kt_recorder *recorder = &rebuild->recorder;
    kt_code code = KT_OK;

    remove_database(rebuild->path);
    if (gone.to != 0 && access(rebuild->config->store_file, F_OK) == 0)
        code = copy_old(rebuild, gone, err);
    if (code == KT_OK)
        code = kt_store_open_file(rebuild->path, rebuild->config, &rebuild->store, err);
    if (code != KT_OK)
        return code;
    recorder->store = rebuild->store;
    recorder->cursor = (kt_store_cursor){ 0 };
    code = apply_all(rebuild, progress, ctx, out_hole, err);
    kt_store_close(rebuild->store); /* folds the WAL in and syncs */
    rebuild->store = NULL;
    kt_recorder_close(recorder);
    return code;
}

static kt_code sync_folder_of(const char *path, kt_err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[KT_RECORDER_PATH_SIZE] = ".";
    int fd;
    int failed;

    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = fd < 0 || fsync(fd) != 0;
    if (fd >= 0)
        close(fd);
    return failed ? kt_fail(err, KT_SYS, "cannot sync folder '%s'", folder) : KT_OK;
}

/* The old file's WAL would be taken for the new one's: it is either folded into the old file by opening and closing it,
 * or belongs to a file that can not be read anyway. */
static kt_code take_its_place(rebuild_job *rebuild, kt_err *err)
{
    const char *old_path = rebuild->config->store_file;
    kt_store *old = NULL;

    if (access(old_path, F_OK) == 0 && kt_store_open(rebuild->config, &old, NULL) == KT_OK)
        kt_store_close(old);
    remove_with(old_path, "-wal");
    remove_with(old_path, "-shm");
    if (rename(rebuild->path, old_path) != 0)
        return kt_fail(err, KT_SYS, "cannot rename '%s' to '%s'", rebuild->path, old_path);
    return sync_folder_of(old_path, err);
}

static kt_code rebuild_run(rebuild_job *rebuild, kt_rebuild_progress progress, void *ctx, kt_err *err)
{
    kt_recorder *recorder = &rebuild->recorder;
    kt_lost before = { 0, 0 }, hole = { 0, 0 };
    kt_code code = lock_keep(rebuild, err);

    if (code == KT_OK)
        code = look_at_old(rebuild, &recorder->end, err);
    if (code != KT_OK)
        return code;
    code = open_log(rebuild, err);
    if (code != KT_OK)
        return code;
    if (kt_reader_first(recorder->reader) > 1)
        before = (kt_lost){ 1, kt_reader_first(recorder->reader) - 1 };
    code = make_new(rebuild, before, progress, ctx, &hole, err);
    if (code == KT_OK && hole.to != 0 && before.to == 0) { /* only the old store has it: once more, over its rows */
        code = open_log(rebuild, err);
        if (code == KT_OK)
            code = make_new(rebuild, hole, progress, ctx, &hole, err);
    }
    return code == KT_OK ? take_its_place(rebuild, err) : code;
}

kt_code kt_rebuild_store(const kt_config *config, kt_rebuild_progress progress, void *ctx, kt_err *err)
{
    rebuild_job rebuild = { .config = config, .lock_fd = -1 };
    kt_code code;

    if ((size_t)snprintf(rebuild.path, sizeof rebuild.path, "%s.new", config->store_file) >= sizeof rebuild.path)
        return kt_fail(err, KT_LIMIT, "store.path '%.60s...' is too long", config->store_file);
    code = rebuild_run(&rebuild, progress, ctx, err);
    kt_store_close(rebuild.store);
    kt_recorder_close(&rebuild.recorder);
    if (rebuild.lock_fd >= 0)
        close(rebuild.lock_fd);
    if (code != KT_OK)
        remove_database(rebuild.path);
    return code;
}
