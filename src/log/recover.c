#include "log/writer.h"

#include "base/assert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the walk over the end of the log found. */
typedef struct tail {
    kt_seg_names names;
    int64_t index;      /* segment with the last good record, -1: none */
    kt_segment segment; /* of that index, mapped writable; map NULL when index is -1 */
    uint64_t at;        /* behind the last good record */
    uint64_t seq;       /* of the next record */
    bool sealed;        /* the next record belongs into a new segment */
    bool fenced;        /* the end is a fence: a new segment, and new epochs for all */
} tail;

/* ---- files ---- */

/* Names that nobody refers to: half-written files of a process that died. */
static kt_code remove_temporaries(kt_log *log, kt_err *err)
{
    char path[KT_PATH_SIZE];
    struct dirent *entry;
    DIR *stream = opendir(log->dir);

    if (stream == NULL)
        return kt_fail(err, KT_SYS, "cannot read log folder '%s'", log->dir);
    while ((entry = readdir(stream)) != NULL) {
        size_t n = strlen(entry->d_name);
        if (n > 4 && strcmp(entry->d_name + n - 4, ".tmp") == 0)
            log->io.unlink(log->io.ctx, kt_file_path(path, log->dir, entry->d_name));
    }
    closedir(stream);
    return KT_OK;
}

static void remove_segment(kt_log *log, kt_seg_name name)
{
    char path[KT_PATH_SIZE];

    log->io.unlink(log->io.ctx, kt_seg_path(path, log->dir, name, ".seg"));
    log->io.unlink(log->io.ctx, kt_seg_path(path, log->dir, name, ".idx"));
}

/* Older generations of a segment that has a newer one: that one was synced before it got its name. */
static void remove_older_generations(kt_log *log, kt_seg_names *names)
{
    for (uint32_t i = 0; i + 1 < names->count; i++)
        if (names->list[i].first_seq == names->list[i + 1].first_seq)
            remove_segment(log, names->list[i]);
    kt_seg_names_newest(names);
}

static uint64_t nonzero_bytes(const uint8_t *map, uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    for (uint64_t at = from; at < to;) {
        uint64_t word;
        if (at % 8 == 0 && to - at >= 8 && (memcpy(&word, map + at, 8), word == 0)) {
            at += 8;
            continue;
        }
        count += map[at] != 0;
        at++;
    }
    return count;
}

static void drop_segment(kt_log *log, kt_seg_name name)
{
    kt_segment segment;

    if (kt_segment_map(log->dir, name, false, &segment, NULL) == KT_OK) {
        log->recovered.cut_bytes += nonzero_bytes(segment.map, segment.data_at, segment.size);
        kt_segment_unmap(&segment);
    }
    remove_segment(log, name);
}

/* Bring the file into the page cache in single pages: mapped faults would do that one by one from a cold disk, and
 * ordinary readahead would make large folios. */
static void warm(const char *dir, kt_seg_name name)
{
    enum { PIECE = 1 << 20 };
    char path[KT_PATH_SIZE];
    void *piece = malloc(PIECE);
    int fd = open(kt_seg_path(path, dir, name, ".seg"), O_RDONLY | O_CLOEXEC);

    if (piece != NULL && fd >= 0) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        for (off_t at = 0; kt_read_all(fd, piece, PIECE, at) == PIECE; at += PIECE)
            ;
    }
    if (fd >= 0)
        close(fd);
    free(piece);
}

/* Write `size` bytes of a file that is about to become a segment, in single pages; NULL: zeros. */
static kt_code write_pages(kt_log *log, int fd, const uint8_t *bytes, uint64_t size, const char *path, kt_err *err)
{
    static const uint8_t zeros[KT_PAGE];

    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (uint64_t at = 0; at < size; at += KT_PAGE)
        if (kt_write_all(&log->io, fd, bytes != NULL ? bytes + at : zeros, KT_PAGE, (off_t)at, KT_PAGE) != 0)
            return kt_fail_disk(err, "cannot write '%s', %llu bytes", path, (unsigned long long)size);
    return KT_OK;
}

/* A sync that fails is KT_SYS also where the disk is full: waiting for room and trying again would be a sync retried. */
static kt_code sync_file(kt_log *log, int fd, const char *path, kt_err *err)
{
    return log->io.fdatasync(log->io.ctx, fd) == 0 ? KT_OK : kt_fail(err, KT_SYS, "cannot sync '%s'", path);
}

static kt_code sync_dir(kt_log *log, kt_err *err)
{
    return kt_dir_sync(&log->io, log->dir) == 0 ? KT_OK : kt_fail(err, KT_SYS, "cannot sync log folder '%s'", log->dir);
}

/* ---- the state file ---- */

static kt_code state_create(kt_log *log, kt_err *err)
{
    static const uint8_t zeros[2 * KT_PAGE];
    kt_code code = KT_OK;
    char path[KT_PATH_SIZE], temporary[KT_PATH_SIZE], parent[KT_PATH_SIZE];
    int fd =
        log->io.open(log->io.ctx, kt_file_path(temporary, log->dir, "state.tmp"), O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0)
        return kt_fail_disk(err, "cannot make '%s'", temporary);
    log->state = (kt_state){ .clean = 1, .first_seq = 1 };
    memcpy(log->state.boot_id, log->options.boot_id, sizeof log->state.boot_id);
    if (kt_write_all(&log->io, fd, zeros, sizeof zeros, 0, sizeof zeros) != 0)
        code = kt_fail_disk(err, "cannot write '%s'", temporary);
    if (code == KT_OK)
        code = kt_state_write(&log->io, fd, &log->state, err);
    if (code == KT_OK)
        code = sync_file(log, fd, temporary, err);
    if (code == KT_OK && log->io.rename(log->io.ctx, temporary, kt_file_path(path, log->dir, "state")) != 0)
        code = kt_fail_disk(err, "cannot make '%s/state'", log->dir);
    close(fd);
    if (code == KT_OK)
        code = sync_dir(log, err);
    if (code == KT_OK && kt_dir_sync(&log->io, kt_file_path(parent, log->dir, "..")) != 0)
        code = kt_fail(err, KT_SYS, "cannot sync the folder of '%s'", log->dir);
    return code;
}

/* Read or make it, and open it for writing. */
static kt_code state_open(kt_log *log, const kt_seg_names *names, kt_err *err)
{
    char path[KT_PATH_SIZE];
    kt_code code = kt_state_read(log->dir, &log->state, err);

    if (code == KT_NOENT && names->count > 0)
        return kt_fail(err, KT_CORRUPT,
            "log folder '%s' has segments but no state file: what was durable is unknown; see kontor doctor", log->dir);
    if (code == KT_NOENT) {
        log->recovered.fresh = true;
        code = state_create(log, err);
    }
    if (code != KT_OK)
        return code;
    log->state_fd = log->io.open(log->io.ctx, kt_file_path(path, log->dir, "state"), O_RDWR, 0);
    if (log->state_fd < 0)
        return kt_fail_disk(err, "cannot open '%s' for writing", path);
    log->recovered.clean = log->state.clean != 0;
    log->recovered.other_boot = memcmp(log->state.boot_id, log->options.boot_id, KT_BOOT_ID_SIZE) != 0;
    log->recovered.durable_before = log->state.durable;
    return KT_OK;
}

/* ---- the walk ---- */

static void tail_fence(kt_log *log, uint64_t from, uint64_t to)
{
    if (log->recovered.fenced_from == 0)
        log->recovered.fenced_from = from;
    log->recovered.fenced_to = to;
}

/* What may have been published at most: durable, and under the same boot what the control page says. */
static uint64_t published(kt_log *log)
{
    uint64_t written = atomic_load(&log->control->written);
    bool told = !log->recovered.other_boot && atomic_load(&log->control->boot_key) == kt_boot_key(log->options.boot_id);

    return told && written > log->state.durable ? written : log->state.durable;
}

/* The table as it stood at the end of a segment, for the one behind it that lost its own. */
static void subjects_before(kt_log *log, const kt_seg_names *names, int64_t index)
{
    kt_segment segment;
    const kt_rec *rec;

    if (index < 0 || kt_segment_map(log->dir, names->list[index], false, &segment, NULL) != KT_OK)
        return;
    if (kt_segment_subjects(&segment, &log->subjects) == KT_OK) {
        kt_scan scan = kt_scan_start(&segment);
        while (kt_scan_next(&scan, &log->subjects, &rec) == KT_OK)
            ;
    }
    kt_segment_unmap(&segment);
}

/* Walk from the segment that holds the last durable record to the last good record of the log. */
static kt_code tail_find(kt_log *log, tail *end, kt_err *err)
{
    uint64_t durable = log->state.durable;
    int64_t i = kt_seg_names_find(&end->names, durable > 0 ? durable : 1);
    bool continues = false; /* the table in memory is that of this segment's start */

    end->index = -1;
    end->seq = durable + 1;
    end->sealed = true;
    if (i < 0 && durable > 0) { /* the segment of the last durable record is not there */
        end->fenced = end->names.count == 0;
        tail_fence(log, log->state.first_seq, end->fenced ? published(log) : end->names.list[0].first_seq - 1);
        end->seq = published(log) + 1;
        i = 0;
    }
    if (i < 0) /* nothing was ever durable, and the first segment is not the first */
        return end->names.count == 0
                   ? KT_OK
                   : kt_fail(err, KT_CORRUPT, "log folder '%s' does not begin at seq 1 and has no durable record",
                         log->dir);
    for (; i < end->names.count; i++) {
        kt_seg_name name = end->names.list[i];
        bool more = i + 1 < end->names.count;
        const kt_rec *rec;
        kt_segment segment;
        uint64_t bad_seq = name.first_seq;

        if (log->recovered.other_boot)
            warm(log->dir, name);
        kt_code code = kt_segment_map(log->dir, name, true, &segment, err);
        if (code == KT_VERSION || code == KT_SYS || code == KT_LIMIT)
            return code;
        if (code == KT_OK && !continues) {
            code = kt_segment_subjects(&segment, &log->subjects);
            if (code != KT_OK)
                kt_segment_unmap(&segment);
            if (code == KT_SYS)
                return kt_fail(err, KT_SYS, "no memory for the subjects of log '%s'", log->dir);
        }
        if (code == KT_OK) {
            kt_scan scan = kt_scan_start(&segment);
            while ((code = kt_scan_next(&scan, &log->subjects, &rec)) == KT_OK)
                ;
            kt_segment_unmap(&end->segment);
            end->segment = segment;
            end->index = i;
            end->at = scan.at;
            end->seq = bad_seq = scan.seq;
            end->sealed = scan.sealed;
            if (code == KT_SYS)
                return kt_fail(err, KT_SYS, "no memory for the subjects of log '%s'", log->dir);
            continues = scan.sealed && more && end->names.list[i + 1].first_seq == scan.seq;
            if (continues)
                continue;
        } else if (!continues && bad_seq <= durable) {
            subjects_before(log, &end->names, i - 1);
        }
        if (bad_seq > durable)
            return KT_OK; /* the tail: from here on nothing counts */
        /* A durable record is bad or missing: fence. Later segments that hold go on behind it. */
        bool reaches = more && end->names.list[i + 1].first_seq > bad_seq;
        tail_fence(log, bad_seq, reaches ? end->names.list[i + 1].first_seq - 1 : published(log));
        if (!reaches) {
            end->fenced = end->sealed = true;
            end->seq = published(log) + 1;
            end->index = i;
            return KT_OK;
        }
    }
    return KT_OK;
}

/* ---- making what the walk found safe ---- */

/* Same boot, not clean: the kernel may have marked pages clean that never reached the disk. Copy the whole segment into
 * this generation, sync, and only then unlink the old one. `used`: bytes that count, the rest becomes zeros. */
static kt_code copy_segment(kt_log *log, kt_seg_name name, uint64_t used, kt_seg_name *out_name, kt_err *err)
{
    kt_code code = KT_OK;
    char path[KT_PATH_SIZE], temporary[KT_PATH_SIZE];
    kt_segment segment = { .guard = -1 };
    kt_seg_name copy = { name.first_seq, log->state.generation };
    uint8_t *bytes = NULL;
    int fd = -1;

    kt_seg_path(path, log->dir, copy, ".seg");
    code = kt_segment_map(log->dir, name, false, &segment, err);
    if (code != KT_OK)
        return code;
    bytes = calloc(1, segment.size);
    fd = log->io.open(log->io.ctx, kt_file_path(temporary, log->dir, "copy.tmp"), O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (bytes == NULL || fd < 0) {
        code = kt_fail_disk(err, "cannot make '%s'", temporary);
        goto out;
    }
    memcpy(bytes, segment.map, used);
    kt_segment_set_generation(bytes, copy.generation);
    code = write_pages(log, fd, bytes, segment.size, temporary, err);
    if (code != KT_OK)
        goto out;
    code = sync_file(log, fd, path, err);
    if (code == KT_OK && log->io.rename(log->io.ctx, temporary, path) != 0)
        code = kt_fail_disk(err, "cannot make '%s'", path);
    if (code == KT_OK)
        code = sync_dir(log, err);
    if (code != KT_OK)
        goto out;
    remove_segment(log, name);
    *out_name = copy;
    log->recovered.copied_segments++;
out:
    if (code != KT_OK && fd >= 0)
        log->io.unlink(log->io.ctx, temporary);
    if (fd >= 0)
        close(fd);
    free(bytes);
    kt_segment_unmap(&segment);
    return code;
}

static kt_code copy_above_durable(kt_log *log, tail *end, kt_err *err)
{
    int64_t from = kt_seg_names_find(&end->names, log->state.durable + 1);

    for (int64_t i = from < 0 ? 0 : from; i <= end->index; i++) {
        bool last = i == end->index;
        kt_seg_name copy;
        uint64_t used = end->at;
        if (!last) { /* whole: every byte of it counts */
            struct stat info;
            char path[KT_PATH_SIZE];
            if (stat(kt_seg_path(path, log->dir, end->names.list[i], ".seg"), &info) != 0)
                return kt_fail(err, KT_SYS, "cannot look at '%s'", path);
            used = (uint64_t)info.st_size;
        }
        kt_code code = copy_segment(log, end->names.list[i], used, &copy, err);
        if (code == KT_CORRUPT && !last)
            continue; /* a fenced segment: evidence, not records */
        if (code != KT_OK)
            return code;
        end->names.list[i] = copy;
        if (last) {
            kt_segment_unmap(&end->segment);
            code = kt_segment_map(log->dir, copy, true, &end->segment, err);
            if (code != KT_OK)
                return code;
        }
    }
    return KT_OK;
}

/* Zero everything behind the last good record, even what looks whole: its seqs will be used again. */
static kt_code zero_tail(kt_log *log, tail *end, int fd, kt_err *err)
{
    uint64_t bytes = nonzero_bytes(end->segment.map, end->at, end->segment.size);

    log->recovered.cut_bytes += bytes;
    if (bytes == 0)
        return KT_OK;
    for (uint64_t at = end->at; at < end->segment.size;) { /* touch only pages that need it */
        uint64_t stop = KT_ALIGN_UP(at + 1, (uint64_t)KT_PAGE);
        if (nonzero_bytes(end->segment.map, at, stop) > 0)
            memset(end->segment.map + at, 0, stop - at);
        at = stop;
    }
    return log->io.fdatasync(log->io.ctx, fd) == 0
               ? KT_OK
               : kt_fail(err, KT_SYS, "cannot sync the mended tail of log '%s'", log->dir);
}

/* Make the segment at the tail the current one. */
static kt_code continue_segment(kt_log *log, tail *end, kt_err *err)
{
    char path[KT_PATH_SIZE];
    kt_code code = KT_OK;
    kt_open_segment *open = calloc(1, sizeof *open);

    if (open == NULL)
        return kt_fail(err, KT_SYS, "no memory for log '%s'", log->dir);
    open->fd = log->io.open(log->io.ctx, kt_seg_path(path, log->dir, end->names.list[end->index], ".seg"), O_RDWR, 0);
    if (open->fd < 0)
        code = kt_fail_disk(err, "cannot open '%s' for writing", path);
    if (code == KT_OK) {
        posix_fadvise(open->fd, 0, 0, POSIX_FADV_RANDOM);
        code = zero_tail(log, end, open->fd, err);
    }
    if (code != KT_OK) {
        kt_open_segment_free(open);
        return code;
    }
    open->segment = end->segment;
    end->segment = (kt_segment){ .guard = -1 };
    log->oldest = open;
    kt_log_set_current(log, open, end->at);
    return KT_OK;
}

kt_code kt_log_new_segment(kt_log *log, uint64_t first_seq, kt_err *err)
{
    char path[KT_PATH_SIZE], temporary[KT_PATH_SIZE];
    kt_seg_name name = { first_seq, log->state.generation };
    uint64_t size = log->file_size;
    uint8_t *map = MAP_FAILED;
    kt_open_segment *open = calloc(1, sizeof *open);
    kt_code code = KT_OK;
    int64_t now_ns = kt_log_clock(log);
    int fd =
        log->io.open(log->io.ctx, kt_file_path(temporary, log->dir, "first.tmp"), O_RDWR | O_CREAT | O_TRUNC, 0644);

    kt_seg_path(path, log->dir, name, ".seg");
    if (open == NULL || fd < 0) {
        code = kt_fail_disk(err, "cannot make '%s'", temporary);
        goto out;
    }
    code = write_pages(log, fd, NULL, size, temporary, err);
    if (code != KT_OK)
        goto out;
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        code = kt_fail(err, KT_SYS, "cannot map '%s'", temporary);
        goto out;
    }
    kt_segment_format(map, size, name, log->options.schema_hash, now_ns, &log->subjects);
    munmap(map, size);
    code = sync_file(log, fd, path, err);
    if (code == KT_OK && log->io.rename(log->io.ctx, temporary, path) != 0)
        code = kt_fail_disk(err, "cannot make segment '%s'", path);
    if (code == KT_OK)
        code = sync_dir(log, err);
    if (code == KT_OK)
        code = kt_segment_map(log->dir, name, true, &open->segment, err);
    if (code == KT_OK && kt_log_keep(log, name, size, now_ns) != KT_OK)
        code = kt_fail(err, KT_SYS, "no memory for log '%s'", log->dir);
    if (code != KT_OK)
        goto out;
    open->fd = fd;
    fd = -1;
    log->oldest = open;
    kt_log_set_current(log, open, open->segment.data_at);
    open = NULL;
out:
    if (code != KT_OK && fd >= 0)
        log->io.unlink(log->io.ctx, temporary);
    if (fd >= 0)
        close(fd);
    free(open);
    return code;
}

/* ---- epochs ---- */

/* A log without a table begins with its own subject. */
static kt_code subjects_begin(kt_log *log, kt_err *err)
{
    kt_code code = KT_OK;

    if (log->subjects.count == 0)
        code = kt_subjects_add(&log->subjects, KT_TEXT(""), 0, (kt_epoch){ kt_log_random(log), 1, 1 });
    return code == KT_OK ? KT_OK : kt_fail(err, KT_SYS, "no memory for the subjects of log '%s'", log->dir);
}

/* New epochs for every subject (all), or for those whose records may have left at `written`; told in control records. */
static kt_code begin_epochs(kt_log *log, bool all, kt_err *err)
{
    uint32_t batch_max = (log->record_max - (uint32_t)sizeof(kt_rec)) / (uint32_t)sizeof(kt_ctl_epoch);
    kt_ctl_epoch *batch = malloc(batch_max * sizeof *batch);
    uint32_t count = 0;
    kt_code code = batch != NULL ? KT_OK : KT_SYS;

    for (uint32_t id = 0; id < log->subjects.count && code == KT_OK; id++) {
        const kt_subject *subject = &log->subjects.list[id];
        bool keeps = !all && (subject->flags & KT_SUBJECT_AFTER_DURABLE) != 0;
        if (!keeps) {
            kt_epoch epoch = { kt_log_random(log), subject->last_offset + 1, log->seq };
            batch[count++] = (kt_ctl_epoch){ id, 0, epoch.epoch, epoch.first_offset, epoch.first_seq };
            code = kt_subjects_begin(&log->subjects, id, epoch);
            log->recovered.epochs_begun++;
        }
        bool last = id + 1 == log->subjects.count;
        if (code == KT_OK && count > 0 && (last || count == batch_max)) {
            code = kt_log_append_control(log, KT_CTL_EPOCHS, batch, count * (uint32_t)sizeof *batch);
            count = 0;
        }
    }
    free(batch);
    return code == KT_OK ? KT_OK : kt_fail(err, code, "cannot begin new epochs in log '%s'", log->dir);
}

static kt_code tell_fence(kt_log *log, kt_err *err)
{
    kt_ctl_lost lost = { KT_LOST_FENCED, 0, log->recovered.fenced_from, log->recovered.fenced_to };
    kt_code code = kt_log_append_control(log, KT_CTL_LOST, &lost, sizeof lost);

    return code == KT_OK ? KT_OK : kt_fail(err, code, "cannot write down what log '%s' has lost", log->dir);
}

/* ---- all of it ---- */

static kt_code list_kept(kt_log *log, const tail *end, kt_err *err)
{
    for (uint32_t i = 0; i < end->names.count; i++) {
        char path[KT_PATH_SIZE];
        kt_seg_header header;
        struct stat info = { 0 };
        int fd = open(kt_seg_path(path, log->dir, end->names.list[i], ".seg"), O_RDONLY | O_CLOEXEC);
        bool read = fd >= 0 && fstat(fd, &info) == 0 && kt_read_all(fd, &header, sizeof header, 0) == sizeof header;

        if (fd >= 0)
            close(fd);
        kt_code code = kt_log_keep(log, end->names.list[i], (uint64_t)info.st_size, read ? header.created_ns : 0);
        if (code != KT_OK)
            return kt_fail(err, code, "no memory for log '%s'", log->dir);
    }
    return KT_OK;
}

/* From here on the log is this boot's: what the state file and the control page say is true. */
static kt_code take_over(kt_log *log, kt_err *err)
{
    uint64_t key = kt_boot_key(log->options.boot_id);

    memcpy(log->state.boot_id, log->options.boot_id, KT_BOOT_ID_SIZE);
    log->state.clean = 0;
    log->state.durable = log->seq - 1;
    log->state.first_seq = log->kept[0].name.first_seq;
    kt_code code = kt_state_write(&log->io, log->state_fd, &log->state, err);
    if (code == KT_OK)
        code = sync_file(log, log->state_fd, "the state file", err);
    if (code != KT_OK)
        return kt_fail_within(err, code, "log '%s'", log->dir);
    log->state_dirty = false;
    atomic_store(&log->durable, log->state.durable);
    atomic_store(&log->control->first_seq, log->state.first_seq);
    atomic_store(&log->control->written, log->seq - 1);
    atomic_store(&log->control->durable, log->state.durable);
    atomic_store(&log->control->writer_pid, (uint32_t)getpid());
    atomic_store(&log->control->generation, log->state.generation);
    atomic_store(&log->control->boot_key, key);
    return KT_OK;
}

kt_code kt_log_recover(kt_log *log, kt_err *err)
{
    tail end = { .segment.guard = -1 };
    uint64_t snapshot_seq = 0;
    kt_code code = kt_seg_names_read(log->dir, &end.names, err);

    if (code == KT_OK)
        code = remove_temporaries(log, err);
    if (code == KT_OK)
        code = state_open(log, &end.names, err);
    if (code == KT_OK)
        code = kt_control_map(log->dir, true, &log->control, err);
    if (code != KT_OK)
        goto out;
    remove_older_generations(log, &end.names);
    /* Above every file's own: an opening that was killed while it copied has left files of a generation that the state
     * does not know, and a copy must never get the name of what it is a copy of. */
    for (uint32_t i = 0; i < end.names.count; i++)
        if (end.names.list[i].generation > log->state.generation)
            log->state.generation = end.names.list[i].generation;
    log->state.generation++;
    code = tail_find(log, &end, err);
    if (code != KT_OK)
        goto out;

    uint32_t good = (uint32_t)(end.index + 1);
    for (uint32_t i = good; i < end.names.count; i++)
        drop_segment(log, end.names.list[i]);
    end.names.count = good;
    log->seq = end.seq;
    log->recovered.last_seq = log->seq - 1;
    bool copies = !log->recovered.other_boot && !end.fenced && log->seq - 1 > log->state.durable;
    if (copies)
        code = copy_above_durable(log, &end, err);
    if (code == KT_OK)
        code = subjects_begin(log, err);
    if (code == KT_OK)
        code = list_kept(log, &end, err);
    if (code != KT_OK)
        goto out;

    uint64_t table_max = log->subjects.table_size + log->subjects.count * sizeof(kt_epoch);
    if (log->file_size < 4 * table_max)
        log->file_size = KT_ALIGN_UP(4 * table_max, (uint64_t)KT_PAGE);
    code = end.sealed ? kt_log_new_segment(log, log->seq, err) : continue_segment(log, &end, err);
    if (code != KT_OK)
        goto out;
    log->recovered.snapshots_dropped =
        kt_snapshots_trim(&log->io, log->dir, log->recovered.last_seq, UINT32_MAX, &snapshot_seq);
    atomic_store(&log->snapshot_seq, snapshot_seq);

    /* Everything up to here is on disk. The records of this opening are synced before the state file names this boot: a
     * machine that stops in between finds the old one, and begins new epochs again. */
    atomic_store(&log->written, log->seq - 1);
    atomic_store(&log->durable, log->seq - 1);
    if (log->recovered.fenced_from != 0)
        code = tell_fence(log, err);
    if (code == KT_OK && (end.fenced || (log->recovered.other_boot && !log->recovered.clean)))
        code = begin_epochs(log, end.fenced, err);
    if (code == KT_OK && log->seq - 1 > log->recovered.last_seq)
        for (kt_open_segment *open = log->oldest; open != NULL && code == KT_OK; open = open->next)
            code = sync_file(log, open->fd, log->dir, err);
    if (code == KT_OK && log->dir_dirty)
        code = sync_dir(log, err);
    log->dir_dirty = false;
    if (code == KT_OK)
        code = take_over(log, err);
out:
    kt_segment_unmap(&end.segment);
    free(end.names.list);
    return code;
}
