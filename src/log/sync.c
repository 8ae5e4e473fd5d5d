#include "log/writer.h"

#include "log/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    PREWRITE_PIECE = 1 << 20, /* bytes pre-written between two commits */
    SPIN_NS = 50 * 1000,      /* looked for more work this long before resting: a wake-up costs 20 us */
};
#define STATE_SYNC_NS INT64_C(1000000000) /* under load the state file is synced this often, otherwise when at rest */
#define PREWRITE_RETRY_NS INT64_C(1000000000) /* a full disk is asked again this often */

int64_t kt_log_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- commit ---- */

/* After this nothing is synced, published or appended any more: the kernel has marked the pages clean, so trying again
 * would succeed without having written them. */
static kt_code commit_failed(kt_log *log)
{
    pthread_mutex_lock(&log->lock);
    atomic_store(&log->failed, true);
    pthread_cond_broadcast(&log->moved);
    pthread_mutex_unlock(&log->lock);
    if (log->options.wake != NULL)
        log->options.wake(log->options.ctx, KT_MOVED_DURABLE);
    return KT_SYS;
}

/* Take the full pages out of the mapping, all at once. The sync would otherwise write-protect them one by one, with an interrupt
 * to the lane's processor for each. They stay in the page cache, dirty as they are; who reads there maps them again. */
static void let_go(kt_open_segment *open)
{
    uint64_t full = atomic_load_explicit(&open->filled, memory_order_relaxed) / KT_PAGE * KT_PAGE;

    if (full > open->let_go)
        madvise(open->segment.map + open->let_go, full - open->let_go, MADV_DONTNEED);
    open->let_go = full;
}

kt_code kt_log_commit_all(kt_log *log)
{
    uint64_t target = kt_log_written(log);
    kt_open_segment *open;
    bool dir_dirty;

    if (kt_log_failed(log))
        return KT_SYS;
    pthread_mutex_lock(&log->lock);
    open = log->oldest;
    dir_dirty = log->dir_dirty;
    log->dir_dirty = false;
    pthread_mutex_unlock(&log->lock);
    if (target == kt_log_durable(log) && !dir_dirty)
        return KT_OK;
    while (open != NULL && open->segment.name.first_seq <= target) {
        let_go(open);
        if (!open->synced && log->io.fdatasync(log->io.ctx, open->fd) != 0)
            return commit_failed(log);
        pthread_mutex_lock(&log->lock);
        open->synced = open->last_seq != 0 && open->last_seq <= target;
        open = open->next;
        pthread_mutex_unlock(&log->lock);
    }
    if (dir_dirty && kt_dir_sync(&log->io, log->dir) != 0)
        return commit_failed(log);
    log->state.durable = target;
    log->state.first_seq = atomic_load(&log->control->first_seq);
    log->state_dirty = true;
    if (kt_state_write(&log->io, log->state_fd, &log->state, NULL) != KT_OK)
        return commit_failed(log);
    atomic_store_explicit(&log->control->durable, target, memory_order_release);
    pthread_mutex_lock(&log->lock);
    atomic_store_explicit(&log->durable, target, memory_order_release);
    pthread_cond_broadcast(&log->moved);
    pthread_mutex_unlock(&log->lock);
    if (log->options.wake != NULL)
        log->options.wake(log->options.ctx, KT_MOVED_DURABLE);
    return KT_OK;
}

static void state_sync(kt_log *log)
{
    if (!log->state_dirty || kt_log_failed(log))
        return;
    log->state_synced_ns = kt_log_monotonic_ns();
    log->state_dirty = false;
    if (log->io.fdatasync(log->io.ctx, log->state_fd) != 0)
        commit_failed(log);
}

/* ---- other work, in pieces ---- */

static bool work_remove(kt_log *log)
{
    static const char *const suffixes[] = { ".seg", ".idx" };
    char path[KT_PATH_SIZE];
    kt_seg_name name;

    pthread_mutex_lock(&log->lock);
    bool any = log->removal_count > 0;
    if (any) {
        name = log->removals[0];
        log->removal_count--;
        memmove(log->removals, log->removals + 1, log->removal_count * sizeof name);
    }
    pthread_mutex_unlock(&log->lock);
    for (size_t i = 0; any && i < KT_COUNT(suffixes); i++)
        log->io.unlink(log->io.ctx, kt_seg_path(path, log->dir, name, suffixes[i]));
    return any;
}

/* A sealed segment that is wholly on disk gets its index and is let go. */
static bool work_retire(kt_log *log)
{
    kt_index index;

    pthread_mutex_lock(&log->lock);
    kt_open_segment *open = log->oldest;
    bool done = open != NULL && open->synced && open->next != NULL;
    if (done)
        log->oldest = open->next;
    pthread_mutex_unlock(&log->lock);
    if (!done)
        return false;
    if (kt_index_build(&index, &open->segment, log->options.subject_max) == KT_OK) {
        kt_index_save(&index, &log->io, log->dir, open->segment.name); /* without it readers make their own */
        kt_index_done(&index);
    }
    kt_open_segment_free(open);
    return true;
}

static void prewrite_drop(kt_log *log, bool unlinks)
{
    char path[KT_PATH_SIZE];

    if (log->prewriting.fd < 0)
        return;
    close(log->prewriting.fd);
    if (unlinks)
        log->io.unlink(log->io.ctx, kt_ready_path(path, log, log->prewriting.serial));
    log->prewriting.fd = -1;
}

/* The next piece of the segment that is being pre-written: writes of single pages, so that the page cache holds it in
 * single pages, and a sync, so that the blocks are allocated when the commits come. */
static kt_code prewrite_piece(kt_log *log)
{
    static const uint8_t zeros[KT_PAGE];
    kt_ready *file = &log->prewriting;
    char path[KT_PATH_SIZE];

    if (file->fd < 0) {
        file->serial = ++log->ready_serial;
        file->fd = log->io.open(log->io.ctx, kt_ready_path(path, log, file->serial), O_RDWR | O_CREAT | O_TRUNC, 0644);
        log->prewriting_at = 0;
        if (file->fd < 0)
            return KT_SYS;
        posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
    }
    uint64_t end =
        log->prewriting_at + PREWRITE_PIECE < log->file_size ? log->prewriting_at + PREWRITE_PIECE : log->file_size;
    for (; log->prewriting_at < end; log->prewriting_at += KT_PAGE)
        if (kt_write_all(&log->io, file->fd, zeros, KT_PAGE, (off_t)log->prewriting_at, KT_PAGE) != 0)
            return KT_SYS;
    if (log->io.fdatasync(log->io.ctx, file->fd) != 0)
        return KT_SYS;
    if (end < log->file_size)
        return KT_OK;
    file->map = mmap(NULL, log->file_size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    if (file->map == MAP_FAILED)
        return KT_SYS;
    madvise(file->map, log->file_size, MADV_RANDOM);
    pthread_mutex_lock(&log->lock);
    log->ready[atomic_load(&log->ready_count)] = *file;
    atomic_fetch_add(&log->ready_count, 1);
    pthread_cond_broadcast(&log->moved);
    pthread_mutex_unlock(&log->lock);
    file->fd = -1;
    return KT_OK;
}

/* A failure to pre-write is not a failure of the log: intake stops until a later try succeeds. */
static kt_code prewrite_try(kt_log *log)
{
    kt_code code = prewrite_piece(log);
    int number = errno;

    if (code == KT_OK) {
        atomic_store(&log->prewrite_failed, false);
        return KT_OK;
    }
    prewrite_drop(log, true);
    log->prewrite_tried_ns = kt_log_monotonic_ns();
    pthread_mutex_lock(&log->lock);
    atomic_store(&log->prewrite_errno, number);
    atomic_store(&log->prewrite_failed, true);
    pthread_cond_broadcast(&log->moved);
    pthread_mutex_unlock(&log->lock);
    errno = number;
    return number == ENOSPC || number == EDQUOT ? KT_FULL : KT_SYS;
}

kt_code kt_log_prewrite_now(kt_log *log, uint32_t count, kt_err *err)
{
    while (atomic_load(&log->ready_count) < count)
        if (prewrite_try(log) != KT_OK)
            return kt_fail_disk(err, "cannot pre-write a segment of log '%s'", log->dir);
    return KT_OK;
}

static bool work_prewrite(kt_log *log)
{
    if (atomic_load(&log->ready_count) >= log->options.ahead)
        return false;
    if (atomic_load(&log->prewrite_failed) && kt_log_monotonic_ns() - log->prewrite_tried_ns < PREWRITE_RETRY_NS)
        return false;
    return prewrite_try(log) == KT_OK;
}

bool kt_log_work(kt_log *log)
{
    if (kt_log_failed(log))
        return false;
    return work_remove(log) || work_retire(log) || work_prewrite(log) || kt_snapshot_work(log);
}

void kt_log_work_done(kt_log *log, bool unlinks)
{
    char path[KT_PATH_SIZE];
    uint32_t ready = atomic_load(&log->ready_count);

    if (unlinks && !kt_log_failed(log))
        while (work_remove(log) || work_retire(log))
            ;
    prewrite_drop(log, unlinks);
    for (uint32_t i = 0; i < ready; i++) {
        munmap(log->ready[i].map, log->file_size);
        close(log->ready[i].fd);
        if (unlinks)
            log->io.unlink(log->io.ctx, kt_ready_path(path, log, log->ready[i].serial));
    }
    atomic_store(&log->ready_count, 0);
    if (log->snapshot.fd >= 0)
        close(log->snapshot.fd);
    free(log->snapshot.bytes);
    log->snapshot = (kt_snapshot_job){ .fd = -1 };
}

/* ---- the thread ---- */

static bool unsynced(kt_log *log)
{
    return kt_log_written(log) != kt_log_durable(log) && !kt_log_failed(log);
}

/* Nothing to do: look a little longer, then wait for a kick, at most the time that a record may stay unsynced. */
static void rest(kt_log *log, bool just_worked)
{
    int64_t now_ns = kt_log_monotonic_ns();
    int64_t spin_end_ns = now_ns + (just_worked ? SPIN_NS : 0);

    while (now_ns < spin_end_ns) {
        for (int i = 0; i < 64; i++)
            kt_relax();
        if (unsynced(log))
            return;
        now_ns = kt_log_monotonic_ns();
    }
    int late = 0;

    pthread_mutex_lock(&log->lock);
    struct timespec end = { (now_ns + log->rest_ns) / 1000000000, (now_ns + log->rest_ns) % 1000000000 };
    if ((kt_log_rests(log) || kt_log_failed(log)) && !log->thread_stops)
        late = pthread_cond_timedwait(&log->work, &log->lock, &end);
    atomic_store(&log->resting, false);
    pthread_mutex_unlock(&log->lock);
    if (late != 0 && !unsynced(log))
        state_sync(log);
}

static void *thread_main(void *argument)
{
    kt_log *log = argument;
    bool stops = false;

    while (!stops) {
        bool committed = unsynced(log);
        if (committed)
            kt_log_commit_all(log);
        if (kt_log_monotonic_ns() - log->state_synced_ns > STATE_SYNC_NS)
            state_sync(log);
        bool worked = kt_log_work(log);
        if (!worked && !unsynced(log))
            rest(log, committed);
        pthread_mutex_lock(&log->lock);
        stops = log->thread_stops;
        pthread_mutex_unlock(&log->lock);
    }
    return NULL;
}

kt_code kt_log_thread_start(kt_log *log, kt_err *err)
{
    log->state_synced_ns = kt_log_monotonic_ns();
    int number = pthread_create(&log->thread, NULL, thread_main, log);

    if (number != 0) {
        errno = number;
        return kt_fail(err, KT_SYS, "cannot start the thread of log '%s'", log->dir);
    }
    log->thread_runs = true;
    return KT_OK;
}

void kt_log_thread_stop(kt_log *log)
{
    if (!log->thread_runs)
        return;
    pthread_mutex_lock(&log->lock);
    log->thread_stops = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    log->thread_runs = false;
}
