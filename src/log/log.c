#include "log/writer.h"

#include "base/assert.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- small things ---- */

int64_t kt_log_clock(kt_log *log)
{
    struct timespec now;

    if (log->options.clock_ns != NULL)
        return log->options.clock_ns(log->options.ctx);
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

uint64_t kt_log_random(kt_log *log)
{
    uint64_t bits = 0;

    if (log->options.random != NULL)
        return log->options.random(log->options.ctx);
    while (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        ;
    return bits;
}

const char *kt_ready_path(char *out, const kt_log *log, uint64_t serial)
{
    snprintf(out, KT_PATH_SIZE, "%s/ready-%llu.tmp", log->dir, (unsigned long long)serial);
    return out;
}

void kt_open_segment_free(kt_open_segment *open)
{
    if (open == NULL)
        return;
    kt_segment_unmap(&open->segment);
    if (open->fd >= 0)
        close(open->fd);
    free(open);
}

kt_code kt_log_keep(kt_log *log, kt_seg_name name, uint64_t size, int64_t created_ns)
{
    if (log->kept_count == log->kept_room) {
        uint32_t room = log->kept_room * 2 + 16;
        kt_kept *more = realloc(log->kept, room * sizeof *more);
        if (more == NULL)
            return KT_SYS;
        log->kept = more;
        log->kept_room = room;
    }
    log->kept[log->kept_count++] = (kt_kept){ name, size, created_ns };
    return KT_OK;
}

static uint64_t segment_end(const kt_open_segment *open)
{
    return open->segment.size - KT_SEAL_SIZE;
}

void kt_log_set_current(kt_log *log, kt_open_segment *open, uint64_t at)
{
    log->current = open;
    log->at = at;
    log->dirty_end = at;
    log->limit = open->segment.data_at + (segment_end(open) - open->segment.data_at) / 4 * 3;
}

/* ---- records ---- */

/* Fill in the header of a record whose payload stands already, and publish it. */
static void record_publish(kt_log *log, uint8_t *map, uint64_t at, const kt_rec_head *head, uint32_t payload_size,
    uint64_t seq, uint64_t offset)
{
    kt_rec *rec = (kt_rec *)(map + at);
    uint32_t size = (uint32_t)KT_ALIGN_UP(sizeof *rec + payload_size, 8);
    uint32_t padding = size - (uint32_t)sizeof *rec - payload_size;
    uint64_t about =
        head->kind | (uint64_t)(head->flags | padding << KT_REC_PAD_SHIFT) << 16 | (uint64_t)head->subject << 32;

    if (padding > 0)
        memset((uint8_t *)(rec + 1) + payload_size, 0, padding);
    memcpy(&rec->kind, &about, sizeof about); /* by the word, as the checksum loads it: else that waits for the line */
    rec->seq = seq;
    rec->offset = offset;
    rec->time_ns = head->time_ns;
    rec->cause = head->cause;
    rec->crc = kt_rec_crc(rec, size);
    __atomic_store_n(&rec->size, size, __ATOMIC_RELEASE);
    atomic_store_explicit(&log->written, seq, memory_order_release);
    atomic_store_explicit(&log->control->written, seq, memory_order_release);
}

/* Seal the current segment and go on in a ready one. The table in the new one already counts the seal. The new file has
 * its name before the seal is visible, so a reader that sees the seal finds the file. */
static kt_code log_roll(kt_log *log)
{
    kt_code code = KT_OK;
    kt_subject *own = &log->subjects.list[0];
    uint64_t seal_seq = log->seq;
    kt_seg_name name = { seal_seq + 1, log->state.generation };
    int64_t now_ns = kt_log_clock(log);
    char path[KT_PATH_SIZE], old_path[KT_PATH_SIZE];
    kt_open_segment *open = calloc(1, sizeof *open);
    kt_subject before = *own;

    pthread_mutex_lock(&log->lock);
    kt_ready ready = log->ready[0];
    pthread_mutex_unlock(&log->lock);
    own->last_offset++;
    own->last_seq = seal_seq;
    if (open == NULL || kt_log_keep(log, name, log->file_size, now_ns) != KT_OK) {
        code = KT_SYS;
        goto out;
    }
    open->fd = -1;
    open->segment.guard = -1;
    kt_segment_format(ready.map, log->file_size, name, log->options.schema_hash, now_ns, &log->subjects);
    kt_seg_path(path, log->dir, name, ".seg");
    code = kt_segment_check(ready.map, log->file_size, path, &open->segment, NULL);
    kt_assert(code == KT_OK);
    code = kt_guard_add(ready.map, log->file_size, path, &open->segment.guard);
    if (code == KT_OK && log->io.rename(log->io.ctx, kt_ready_path(old_path, log, ready.serial), path) != 0)
        code = errno == ENOSPC ? KT_FULL : KT_SYS;
    if (code != KT_OK) {
        kt_guard_remove(open->segment.guard);
        log->kept_count--;
        goto out;
    }
    open->fd = ready.fd;

    kt_rec_head head = { KT_CTL_SEAL, KT_REC_CONTROL, 0, now_ns, 0 };
    kt_ctl_seal seal = { seal_seq + 1 };
    if (log->dirty_end > log->at)
        memset(log->current->segment.map + log->at, 0, log->dirty_end - log->at);
    memcpy(log->current->segment.map + log->at + sizeof(kt_rec), &seal, sizeof seal);
    record_publish(log, log->current->segment.map, log->at, &head, sizeof seal, seal_seq, own->last_offset);
    log->seq++;

    pthread_mutex_lock(&log->lock);
    atomic_fetch_sub(&log->ready_count, 1);
    memmove(log->ready, log->ready + 1, (KT_AHEAD_MAX - 1) * sizeof ready);
    log->current->last_seq = seal_seq;
    atomic_store(&log->current->filled, log->current->segment.size);
    log->current->next = open;
    log->dir_dirty = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    kt_log_set_current(log, open, open->segment.data_at);
    open = NULL;
    kt_log_retain(log);
out:
    if (code != KT_OK)
        *own = before;
    free(open);
    return code;
}

/* Wait for a ready segment, or make one. */
static kt_code log_await_ready(kt_log *log)
{
    if (!log->thread_runs)
        return kt_log_prewrite_now(log, 1, NULL);
    pthread_mutex_lock(&log->lock);
    while (atomic_load(&log->ready_count) == 0 && !atomic_load(&log->prewrite_failed) && !atomic_load(&log->failed)) {
        pthread_cond_signal(&log->work);
        pthread_cond_wait(&log->moved, &log->lock);
    }
    pthread_mutex_unlock(&log->lock);
    return atomic_load(&log->failed) ? KT_SYS : atomic_load(&log->ready_count) > 0 ? KT_OK : KT_FULL;
}

/* `need` bytes do not fit below the limit. Intake needs a next segment behind three quarters; what was promised may use
 * the rest of this one. */
static kt_code log_make_room(kt_log *log, uint64_t need, bool intake)
{
    bool fits = log->at + need <= segment_end(log->current);
    kt_code code = KT_OK;

    if (fits && !intake)
        return KT_OK;
    if (atomic_load(&log->ready_count) == 0)
        code = log_await_ready(log);
    log->refused = code != KT_OK;
    if (code != KT_OK)
        return code;
    if (fits) {
        log->limit = segment_end(log->current);
        return KT_OK;
    }
    code = log_roll(log);
    if (code == KT_OK && log->at + need > segment_end(log->current))
        code = KT_FULL;
    return code;
}

kt_code kt_log_reserve(kt_log *log, const kt_rec_head *head, uint32_t size_max, void **out_payload)
{
    bool intake = (head->flags & (KT_REC_INPUT | KT_REC_ADMIT)) != 0;

    log->reserved_size = UINT32_MAX;
    if (size_max > log->record_max - sizeof(kt_rec))
        return KT_LIMIT;
    if (head->subject >= log->subjects.count || head->flags >> KT_REC_PAD_SHIFT != 0)
        return KT_ARG;
    if (atomic_load_explicit(&log->failed, memory_order_relaxed))
        return KT_SYS;
    if (log->io.store != NULL && log->io.store(log->io.ctx) != 0) {
        atomic_store(&log->failed, true);
        return KT_SYS;
    }
    if (intake && log->held)
        return KT_FULL;
    uint64_t need = KT_ALIGN_UP(sizeof(kt_rec) + (uint64_t)size_max, 8);
    if (log->at + need > log->limit) {
        kt_code code = log_make_room(log, need, intake);
        if (code != KT_OK)
            return code;
    }
    log->reserved = *head;
    log->reserved_size = size_max;
    if (log->at + need > log->dirty_end)
        log->dirty_end = log->at + need;
    *out_payload = log->current->segment.map + log->at + sizeof(kt_rec);
    return KT_OK;
}

kt_code kt_log_commit(kt_log *log, uint32_t size, uint64_t *out_seq)
{
    kt_assert(log->reserved_size != UINT32_MAX);
    kt_assert(size <= log->reserved_size);
    uint8_t *map = log->current->segment.map;
    uint64_t next = log->at + KT_ALIGN_UP(sizeof(kt_rec) + (uint64_t)size, 8);
    kt_subject *subject = &log->subjects.list[log->reserved.subject];

    if (log->dirty_end > next) /* the next record's size must be zero before this one can be seen */
        memset(map + next, 0, log->dirty_end - next);
    record_publish(log, map, log->at, &log->reserved, size, log->seq, subject->last_offset + 1);
    subject->last_offset++;
    subject->last_seq = log->seq;
    if (out_seq != NULL)
        *out_seq = log->seq;
    log->seq++;
    log->at = next;
    log->dirty_end = next;
    log->reserved_size = UINT32_MAX;
    return KT_OK;
}

kt_code kt_log_append(kt_log *log, const kt_rec_head *head, const void *payload, uint32_t size, uint64_t *out_seq)
{
    void *place;
    kt_code code = kt_log_reserve(log, head, size, &place);

    if (code != KT_OK)
        return code;
    if (size > 0)
        memcpy(place, payload, size);
    return kt_log_commit(log, size, out_seq);
}

kt_code kt_log_append_control(kt_log *log, uint16_t kind, const void *payload, uint32_t size)
{
    kt_rec_head head = { kind, KT_REC_CONTROL, 0, kt_log_clock(log), 0 };

    return kt_log_append(log, &head, payload, size, NULL);
}

/* ---- subjects ---- */

kt_code kt_log_subject_find(const kt_log *log, kt_text name, uint32_t *out_id)
{
    return name.n == 0 ? KT_NOENT : kt_subjects_find(&log->subjects, name, out_id);
}

uint32_t kt_log_subject_count(const kt_log *log)
{
    return log->subjects.count;
}

kt_log_subject_info kt_log_subject_info_of(const kt_log *log, uint32_t id)
{
    kt_assert(id < log->subjects.count);
    const kt_subject *subject = &log->subjects.list[id];

    return (kt_log_subject_info){ { subject->name, subject->name_size }, subject->flags,
        subject->epochs[subject->epoch_count - 1].epoch, subject->last_offset };
}

kt_code kt_log_subject(kt_log *log, kt_text name, uint32_t flags, uint32_t *out_id, kt_err *err)
{
    union {
        kt_ctl_subject declared;
        uint8_t bytes[sizeof(kt_ctl_subject) + KT_SUBJECT_MAX];
    } payload = { .declared = { .flags = flags, .first_offset = 1, .name_size = (uint32_t)name.n } };
    uint32_t id;
    kt_code code = kt_log_subject_find(log, name, &id);
    bool known = code == KT_OK;

    if (known && log->subjects.list[id].flags == flags) {
        *out_id = id;
        return KT_OK;
    }
    code = kt_subject_check(name, err);
    if (code != KT_OK)
        return code;
    if (!known && log->subjects.count > log->options.subject_max)
        return kt_fail(err, KT_FULL, "log '%s' has its %u subjects already (subject_max); '%.*s' can not be added",
            log->dir, log->options.subject_max, KT_TEXT_ARG(name));
    if (!known && log->subjects.table_size + kt_subject_table_size((uint32_t)name.n, 1) > log->file_size / 2)
        return kt_fail(err, KT_FULL,
            "the subjects of log '%s' would fill half a segment of %llu bytes; '%.*s' can not be added", log->dir,
            (unsigned long long)log->file_size, KT_TEXT_ARG(name));
    payload.declared.id = known ? id : log->subjects.count;
    payload.declared.epoch =
        known ? log->subjects.list[id].epochs[log->subjects.list[id].epoch_count - 1].epoch : kt_log_random(log);
    memcpy(payload.bytes + sizeof payload.declared, name.s, name.n);
    code = kt_log_append_control(log, KT_CTL_SUBJECT, &payload, (uint32_t)(sizeof payload.declared + name.n));
    if (code != KT_OK)
        return kt_fail(err, code, "cannot declare subject '%.*s' in log '%s'", KT_TEXT_ARG(name), log->dir);
    if (known)
        log->subjects.list[id].flags = flags;
    else
        code = kt_subjects_add(&log->subjects, name, flags, (kt_epoch){ payload.declared.epoch, 1, log->seq - 1 });
    if (code != KT_OK) {
        atomic_store(&log->failed, true); /* the record stands, the table does not: only a new start can mend it */
        return kt_fail(err, code, "no memory for subject '%.*s' of log '%s'", KT_TEXT_ARG(name), log->dir);
    }
    *out_id = payload.declared.id;
    return KT_OK;
}

/* ---- positions ---- */

const kt_log_recovery *kt_log_recovered(const kt_log *log)
{
    return &log->recovered;
}

uint32_t kt_log_record_max(const kt_log *log)
{
    return log->record_max;
}

uint64_t kt_log_written(const kt_log *log)
{
    return atomic_load_explicit(&log->written, memory_order_acquire);
}

uint64_t kt_log_durable(const kt_log *log)
{
    return atomic_load_explicit(&log->durable, memory_order_acquire);
}

uint64_t kt_log_snapshot_seq(const kt_log *log)
{
    return atomic_load(&log->snapshot_seq);
}

bool kt_log_failed(const kt_log *log)
{
    return atomic_load(&log->failed);
}

bool kt_log_intake_stopped(const kt_log *log)
{
    return log->held || (log->refused && atomic_load(&log->ready_count) == 0);
}

void kt_log_kick(kt_log *log)
{
    uint64_t written = log->seq - 1;

    if (written == log->kicked)
        return;
    log->kicked = written;
    atomic_store_explicit(&log->current->filled, log->at, memory_order_relaxed);
    if (log->options.wake != NULL)
        log->options.wake(log->options.ctx, KT_MOVED_WRITTEN);
    if (log->thread_runs && kt_log_is_resting(log)) {
        pthread_mutex_lock(&log->lock);
        pthread_cond_signal(&log->work);
        pthread_mutex_unlock(&log->lock);
    }
}

kt_code kt_log_wait(kt_log *log, uint64_t seq, int64_t timeout_ns)
{
    int64_t end_ns = kt_log_monotonic_ns() + timeout_ns;
    struct timespec end = { end_ns / 1000000000, end_ns % 1000000000 };
    int late = 0;

    kt_log_kick(log);
    pthread_mutex_lock(&log->lock);
    while (kt_log_durable(log) < seq && !kt_log_failed(log) && late == 0)
        late = pthread_cond_timedwait(&log->moved, &log->lock, &end);
    pthread_mutex_unlock(&log->lock);
    return kt_log_durable(log) >= seq ? KT_OK : kt_log_failed(log) ? KT_SYS : KT_TIMEOUT;
}

kt_code kt_log_sync(kt_log *log, kt_err *err)
{
    kt_code code;

    if (log->thread_runs) {
        code = kt_log_wait(log, kt_log_written(log), INT64_MAX / 4);
    } else {
        code = kt_log_commit_all(log);
        atomic_store(&log->prewrite_failed, false); /* asked again: the disk may have room by now */
        while (code == KT_OK && kt_log_work(log))
            ;
    }
    return code == KT_OK
               ? KT_OK
               : kt_fail(err, code, "log '%s' could not be synced; nothing above seq %llu is known to be on disk",
                     log->dir, (unsigned long long)kt_log_durable(log));
}

kt_code kt_log_prewrite(kt_log *log, kt_err *err)
{
    if (!log->thread_runs)
        return kt_log_prewrite_now(log, log->options.ahead, err);
    pthread_mutex_lock(&log->lock);
    while (atomic_load(&log->ready_count) < log->options.ahead && !atomic_load(&log->prewrite_failed) &&
           !kt_log_failed(log)) {
        pthread_cond_signal(&log->work);
        pthread_cond_wait(&log->moved, &log->lock);
    }
    pthread_mutex_unlock(&log->lock);
    if (atomic_load(&log->ready_count) >= log->options.ahead)
        return KT_OK;
    errno = atomic_load(&log->prewrite_errno);
    return kt_fail_disk(err, "cannot pre-write a segment of log '%s'", log->dir);
}

kt_code kt_log_snapshot(kt_log *log, uint64_t seq, uint32_t version, void *bytes, size_t size)
{
    kt_code code = KT_OK;

    if (seq > kt_log_written(log))
        return KT_ARG;
    pthread_mutex_lock(&log->lock);
    if (log->snapshot.bytes != NULL)
        code = KT_BUSY;
    else
        log->snapshot = (kt_snapshot_job){ bytes, size, seq, kt_log_subject_info_of(log, 0).epoch, version, -1, 0 };
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    return code;
}

bool kt_log_snapshot_busy(kt_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool busy = log->snapshot.bytes != NULL;
    pthread_mutex_unlock(&log->lock);
    return busy;
}

/* ---- open and close ---- */

void kt_log_options_init(kt_log_options *options, const char *dir)
{
    *options = (kt_log_options){ .dir = dir,
        .segment_size = KT_SEGMENT_SIZE_DEFAULT,
        .subject_max = KT_SUBJECTS_DEFAULT,
        .ahead = 1,
        .sync = KT_SYNC_THREAD,
        .io = kt_log_io_system };
}

static kt_code options_check(const kt_log_options *options, kt_err *err)
{
    if (options->dir == NULL || options->dir[0] == '\0' || strlen(options->dir) > KT_PATH_SIZE - KT_FILE_NAME_SIZE)
        return kt_fail(
            err, KT_ARG, "the folder of a log must be a path of 1 to %d bytes", KT_PATH_SIZE - KT_FILE_NAME_SIZE);
    if (options->segment_size < KT_SEGMENT_SIZE_MIN || options->segment_size > KT_SEGMENT_SIZE_MAX)
        return kt_fail(err, KT_ARG, "segment size %llu of log '%s' is not between %d and %llu bytes",
            (unsigned long long)options->segment_size, options->dir, KT_SEGMENT_SIZE_MIN,
            (unsigned long long)KT_SEGMENT_SIZE_MAX);
    if (options->subject_max < 1 || options->subject_max > KT_SUBJECTS_LIMIT)
        return kt_fail(err, KT_ARG, "subject_max %u of log '%s' is not between 1 and %d", options->subject_max,
            options->dir, KT_SUBJECTS_LIMIT);
    if (options->ahead < 1 || options->ahead > KT_AHEAD_MAX)
        return kt_fail(
            err, KT_ARG, "ahead %u of log '%s' is not between 1 and %d", options->ahead, options->dir, KT_AHEAD_MAX);
    return KT_OK;
}

/* The lock file holds the process id of who has it, for the message only. */
static kt_code log_lock(kt_log *log, kt_err *err)
{
    char path[KT_PATH_SIZE], text[32] = "";

    if (mkdir(log->dir, 0755) != 0 && errno != EEXIST)
        return kt_fail_disk(err, "cannot make log folder '%s'", log->dir);
    log->lock_fd = log->io.open(log->io.ctx, kt_file_path(path, log->dir, "lock"), O_RDWR | O_CREAT, 0644);
    if (log->lock_fd < 0)
        return kt_fail_disk(err, "cannot open '%s' for writing (the log folder must be writable)", path);
    if (flock(log->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return kt_fail(err, KT_SYS, "cannot lock '%s'", path);
        ssize_t n = kt_read_all(log->lock_fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        return kt_fail(err, KT_BUSY, "log folder '%s' is held by another process (%d)", log->dir, atoi(text));
    }
    int n = snprintf(text, sizeof text, "%-10d\n", (int)getpid());
    if (kt_write_all(&log->io, log->lock_fd, text, (size_t)n, 0, (size_t)n) != 0)
        return kt_fail_disk(err, "cannot write '%s'", path);
    return KT_OK;
}

static void log_free(kt_log *log)
{
    while (log->oldest != NULL) {
        kt_open_segment *next = log->oldest->next;
        kt_open_segment_free(log->oldest);
        log->oldest = next;
    }
    kt_control_unmap(log->control);
    if (log->state_fd >= 0)
        close(log->state_fd);
    if (log->lock_fd >= 0)
        close(log->lock_fd); /* releases the lock, unless a child of fork still has it */
    kt_subjects_done(&log->subjects);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->moved);
    pthread_mutex_destroy(&log->lock);
    free(log->removals);
    free(log->kept);
    free(log->dir);
    free(log);
}

kt_code kt_log_open(const kt_log_options *options, kt_log **out_log, kt_err *err)
{
    static const uint8_t no_boot[KT_BOOT_ID_SIZE];
    pthread_condattr_t monotonic;
    kt_code code = options_check(options, err);
    kt_log *log = code == KT_OK ? calloc(1, sizeof *log) : NULL;

    if (code != KT_OK)
        return code;
    if (log == NULL)
        return kt_fail(err, KT_SYS, "no memory for log '%s'", options->dir);
    log->options = *options;
    log->io = options->io;
    log->lock_fd = log->state_fd = log->prewriting.fd = -1;
    log->snapshot.fd = -1;
    log->reserved_size = UINT32_MAX;
    log->rest_ns = KT_COMMIT_DELAY_MS * INT64_C(1000000);
    log->file_size = KT_ALIGN_UP(options->segment_size, (uint64_t)KT_PAGE);
    log->record_max = log->file_size / 8 < KT_RECORD_MAX ? (uint32_t)(log->file_size / 8) : KT_RECORD_MAX;
    kt_subjects_init(&log->subjects, options->subject_max);
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->work, &monotonic);
    pthread_cond_init(&log->moved, &monotonic);
    pthread_condattr_destroy(&monotonic);

    log->dir = strdup(options->dir);
    log->options.dir = log->dir;
    if (log->dir == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for log '%s'", options->dir);
        goto out;
    }
    if (memcmp(log->options.boot_id, no_boot, sizeof no_boot) == 0)
        code = kt_boot_id(log->options.boot_id, err);
    if (code == KT_OK)
        code = log_lock(log, err);
    if (code == KT_OK)
        code = kt_log_recover(log, err);
    if (code == KT_OK && options->sync == KT_SYNC_THREAD)
        code = kt_log_thread_start(log, err);
    if (code != KT_OK)
        goto out;
    *out_log = log;
    log = NULL;
out:
    if (log != NULL) {
        kt_log_work_done(log, true);
        log_free(log);
    }
    return code;
}

kt_code kt_log_close(kt_log *log, kt_err *err)
{
    kt_code code = KT_OK;

    if (log == NULL)
        return KT_OK;
    kt_log_thread_stop(log);
    code = kt_log_commit_all(log);
    while (code == KT_OK && log->snapshot.bytes != NULL && kt_snapshot_work(log))
        ;
    if (code == KT_OK) {
        log->state.clean = 1;
        code = kt_state_write(&log->io, log->state_fd, &log->state, err);
    }
    if (code == KT_OK && log->io.fdatasync(log->io.ctx, log->state_fd) != 0)
        code = KT_SYS;
    if (code != KT_OK)
        kt_fail(err, code, "log '%s' could not be closed cleanly; nothing above seq %llu is known to be on disk",
            log->dir, (unsigned long long)kt_log_durable(log));
    atomic_store(&log->control->writer_pid, 0);
    kt_log_work_done(log, true);
    log_free(log);
    return code;
}

void kt_log_abandon(kt_log *log)
{
    if (log == NULL)
        return;
    kt_log_thread_stop(log);
    atomic_store(&log->control->writer_pid, 0);
    kt_log_work_done(log, true);
    log_free(log);
}

void kt_log_disown(kt_log *log)
{
    if (log == NULL)
        return;
    kt_log_work_done(log, false);
    log_free(log);
}
