#include "log/snapshot.h"

#include "log/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct snapshot_header {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* of header (with crc 0) and bytes */
    uint64_t seq;
    uint64_t epoch;
    uint64_t size;
    uint32_t version;
    uint32_t zero;
} snapshot_header;

static const char snapshot_magic[8] = "ktlogsna";
enum { WRITE_PIECE = 256 * 1024 };

static const char *snapshots_dir(char *out, const char *dir)
{
    return kt_file_path(out, dir, "snapshots");
}

const char *kt_snapshot_path(char *out, const char *dir, uint64_t seq)
{
    snprintf(out, KT_PATH_SIZE, "%s/snapshots/%020llu.snap", dir, (unsigned long long)seq);
    return out;
}

/* Seqs of all snapshot files, ascending; malloc'ed. -1: the folder can not be read. */
static int64_t snapshots_list(const char *dir, uint64_t **out_seqs)
{
    char folder[KT_PATH_SIZE];
    struct dirent **entries = NULL;
    int count = scandir(snapshots_dir(folder, dir), &entries, NULL, alphasort);
    uint64_t *seqs = count > 0 ? malloc((size_t)count * sizeof *seqs) : NULL;
    int64_t kept = 0;

    if (count < 0 || (count > 0 && seqs == NULL))
        kept = count < 0 && errno == ENOENT ? 0 : -1;
    for (int i = 0; i < count; i++) {
        unsigned long long seq;
        int end = 0;
        if (kept >= 0 && sscanf(entries[i]->d_name, "%20llu.snap%n", &seq, &end) == 1 && end == 25 &&
            entries[i]->d_name[end] == '\0')
            seqs[kept++] = seq;
        free(entries[i]);
    }
    free(entries);
    *out_seqs = seqs;
    return kept;
}

uint32_t kt_snapshots_trim(const kt_log_io *io, const char *dir, uint64_t seq_max, uint32_t keep, uint64_t *out_newest)
{
    char path[KT_PATH_SIZE];
    uint64_t *seqs = NULL;
    int64_t count = snapshots_list(dir, &seqs);
    uint32_t dropped = 0, kept = 0;

    *out_newest = 0;
    for (int64_t i = count - 1; i >= 0; i--) {
        bool beyond = seqs[i] > seq_max;
        if (beyond || kept == keep)
            io->unlink(io->ctx, kt_snapshot_path(path, dir, seqs[i]));
        dropped += beyond;
        if (!beyond && kept < keep && kept++ == 0)
            *out_newest = seqs[i];
    }
    free(seqs);
    return dropped;
}

/* KT_CORRUPT: not a whole snapshot of this seq. */
static kt_code snapshot_read(const char *dir, uint64_t seq, kt_snapshot *out_snapshot, kt_err *err)
{
    char path[KT_PATH_SIZE];
    kt_code code = KT_CORRUPT;
    snapshot_header header;
    struct stat info;
    void *bytes = NULL;
    int fd = open(kt_snapshot_path(path, dir, seq), O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        kt_read_all(fd, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.magic, snapshot_magic, sizeof snapshot_magic) != 0)
        goto out;
    if (header.format > KT_LOG_FORMAT) {
        code = kt_fail(err, KT_VERSION, "snapshot '%s' has format %u, made by a newer program; this one reads up to %d",
            path, header.format, KT_LOG_FORMAT);
        goto out;
    }
    if (header.seq != seq || (uint64_t)info.st_size - sizeof header != header.size)
        goto out;
    bytes = malloc(header.size + 1);
    if (bytes == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for snapshot '%s'", path);
        goto out;
    }
    if (kt_read_all(fd, bytes, header.size, sizeof header) != (ssize_t)header.size)
        goto out;
    uint32_t crc = header.crc;
    header.crc = 0;
    if (crc != kt_crc32c(kt_crc32c(0, &header, sizeof header), bytes, header.size))
        goto out;
    *out_snapshot = (kt_snapshot){ seq, header.epoch, header.version, header.size, bytes };
    bytes = NULL;
    code = KT_OK;
out:
    if (fd >= 0)
        close(fd);
    free(bytes);
    return code;
}

kt_code kt_snapshot_newest(const char *dir, uint64_t seq_max, kt_snapshot *out_snapshot, kt_err *err)
{
    uint64_t *seqs = NULL;
    int64_t count = snapshots_list(dir, &seqs);
    kt_code code = KT_EMPTY;

    if (count < 0)
        code = kt_fail(err, KT_SYS, "cannot read '%s/snapshots'", dir);
    for (int64_t i = count - 1; i >= 0 && (code == KT_EMPTY || code == KT_CORRUPT); i--)
        if (seqs[i] <= seq_max)
            code = snapshot_read(dir, seqs[i], out_snapshot, err);
    free(seqs);
    return code == KT_CORRUPT ? KT_EMPTY : code;
}

void kt_snapshot_done(kt_snapshot *snapshot)
{
    free(snapshot->bytes);
    *snapshot = (kt_snapshot){ 0 };
}

/* ---- the writer's side ---- */

static const char *temporary_path(char *out, const kt_log *log)
{
    snprintf(out, KT_PATH_SIZE, "%s/snapshots/next.tmp", log->dir);
    return out;
}

static bool snapshot_begin(kt_log *log, kt_snapshot_job *job)
{
    char path[KT_PATH_SIZE];
    snapshot_header header = {
        .format = KT_LOG_FORMAT, .seq = job->seq, .epoch = job->epoch, .size = job->size, .version = job->version
    };

    memcpy(header.magic, snapshot_magic, sizeof snapshot_magic);
    header.crc = kt_crc32c(kt_crc32c(0, &header, sizeof header), job->bytes, job->size);
    if (mkdir(snapshots_dir(path, log->dir), 0755) != 0 && errno != EEXIST)
        return false;
    job->fd = log->io.open(log->io.ctx, temporary_path(path, log), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return job->fd >= 0 && kt_write_all(&log->io, job->fd, &header, sizeof header, 0, sizeof header) == 0;
}

static bool snapshot_piece(kt_log *log, kt_snapshot_job *job)
{
    size_t part = job->size - job->done < WRITE_PIECE ? job->size - job->done : WRITE_PIECE;

    if (kt_write_all(
            &log->io, job->fd, job->bytes + job->done, part, (off_t)(sizeof(snapshot_header) + job->done), part) != 0)
        return false;
    job->done += part;
    return job->done < job->size || log->io.fsync(log->io.ctx, job->fd) == 0;
}

/* The file gets its name, and only then an older one goes. */
static bool snapshot_finish(kt_log *log, kt_snapshot_job *job, uint64_t *out_newest)
{
    char path[KT_PATH_SIZE], temporary[KT_PATH_SIZE];

    if (log->io.rename(log->io.ctx, temporary_path(temporary, log), kt_snapshot_path(path, log->dir, job->seq)) != 0 ||
        kt_dir_sync(&log->io, snapshots_dir(path, log->dir)) != 0 || kt_dir_sync(&log->io, log->dir) != 0)
        return false;
    kt_snapshots_trim(&log->io, log->dir, UINT64_MAX, KT_SNAPSHOTS_KEPT, out_newest);
    return true;
}

bool kt_snapshot_work(kt_log *log)
{
    char path[KT_PATH_SIZE];
    bool good = true, finished = false;
    uint64_t newest = 0;

    pthread_mutex_lock(&log->lock);
    kt_snapshot_job job = log->snapshot;
    pthread_mutex_unlock(&log->lock);
    if (job.bytes == NULL)
        return false;
    bool written = job.fd >= 0 && job.done == job.size;
    if (written && kt_log_durable(log) < job.seq)
        return false;
    if (job.fd < 0)
        good = snapshot_begin(log, &job) && (job.size > 0 || log->io.fsync(log->io.ctx, job.fd) == 0);
    else if (!written)
        good = snapshot_piece(log, &job);
    else
        finished = good = snapshot_finish(log, &job, &newest);
    if (finished || !good) { /* a snapshot that can not be written costs nothing but a longer recovery */
        if (!good)
            log->io.unlink(log->io.ctx, temporary_path(path, log));
        if (job.fd >= 0)
            close(job.fd);
        free(job.bytes);
        job = (kt_snapshot_job){ .fd = -1 };
    }
    pthread_mutex_lock(&log->lock);
    log->snapshot = job;
    if (finished) /* in one step with the end of the job: whoever sees the seq may give the next snapshot */
        atomic_store(&log->snapshot_seq, newest);
    pthread_mutex_unlock(&log->lock);
    return true;
}
