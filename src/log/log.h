/* log/log.h - one append-only log: a folder of mapped segment files with exactly one writer.
 *
 * Positions  `written`: the last record stored, visible at once to every process that maps the log, and never un-written
 *            while the machine is up. `durable`: the last record known to be on disk. News may leave at written; whatever
 *            outlives memory is made only from records up to durable.
 * Threads    One thread (the lane's) calls everything here. With KT_SYNC_THREAD a second thread of the log pre-writes the
 *            next segment, calls fdatasync, publishes durable, and calls `wake`. A commit starts when the last one ends;
 *            from rest it starts at kt_log_kick, at most KT_COMMIT_DELAY_MS after the first record that is not synced.
 * Failure    A failed sync ends the log for good: kt_log_failed is true, appends answer KT_SYS, nothing is tried again.
 *            The lane must end; its next start copies what is above the last durable position into new files first.
 * Full disk  The next segment is pre-written before the current one is three quarters full. Where that fails, inputs and
 *            admits are answered with KT_FULL from three quarters on, outputs and control records are still taken.
 * On disk    <dir>/SEQ.GEN.seg  segments (first seq, 20 digits; generation, 4 or more digits)
 *            <dir>/SEQ.GEN.idx  sparse index of a sealed one; made again from the segment when it is missing
 *            <dir>/state        boot id, last durable seq, clean mark: two checksummed slots
 *            <dir>/control      mapped page that readers poll: generation, written, durable, first seq
 *            <dir>/lock         exclusive flock of the writer;  <dir>/cursors/, <dir>/snapshots/
 *            <dir>/ready-N.tmp  pre-written segments without a name yet
 */
#ifndef KT_LOG_LOG_H
#define KT_LOG_LOG_H

#include "base/error.h"
#include "log/record.h"

#include <sys/types.h>

enum {
    KT_LOG_FORMAT = 1,               /* of segments, state, index, cursor and snapshot files */
    KT_SEGMENT_SIZE_MIN = 64 * 1024, /* bytes of a segment file */
    KT_SEGMENT_SIZE_DEFAULT = 64 << 20,
    KT_SUBJECTS_DEFAULT = 65536,
    KT_SUBJECTS_LIMIT = 1 << 20, /* largest subject_max */
    KT_EPOCHS_MAX = 32,          /* epochs remembered per subject; older ones are unknown */
    KT_AHEAD_MAX = 64,           /* pre-written segments kept ready */
    KT_COMMIT_DELAY_MS = 50,
    KT_BOOT_ID_SIZE = 16,
};
#define KT_SEGMENT_SIZE_MAX (UINT64_C(1) << 31)

/* How the records of a subject leave the process. Subjects without the flag may leave at `written`, so their readers may
 * have seen records that a power cut takes back: they get a new epoch then. */
enum { KT_SUBJECT_AFTER_DURABLE = 1 }; /* leaves only after its cause is durable: keeps its epoch */

typedef enum kt_log_sync_mode {
    KT_SYNC_THREAD, /* a thread commits as described above */
    KT_SYNC_INLINE  /* nothing is synced but by kt_log_sync and kt_log_close, on the caller's thread */
} kt_log_sync_mode;

/* The system calls of the writer that can fail for reasons of the disk, replaceable by tests. Each behaves like the call
 * of its name: -1 and errno on failure. */
typedef struct kt_log_io {
    void *ctx;
    int (*open)(void *ctx, const char *path, int flags, mode_t mode);
    ssize_t (*pwrite)(void *ctx, int fd, const void *data, size_t size, off_t at);
    int (*fdatasync)(void *ctx, int fd);
    int (*fsync)(void *ctx, int fd); /* folders, and files whose size changed */
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
    /* Asked before each record is stored, for simulators: -1 ends the log here as the death of its process would. NULL: not. */
    int (*store)(void *ctx);
} kt_log_io;

/* The real ones. */
extern const kt_log_io kt_log_io_system;

typedef enum kt_log_moved { KT_MOVED_WRITTEN, KT_MOVED_DURABLE } kt_log_moved;

typedef struct kt_log_options {
    const char *dir;          /* made when it is not there (its parent must be) */
    uint64_t segment_size;    /* bytes, KT_SEGMENT_SIZE_MIN to KT_SEGMENT_SIZE_MAX, rounded up to 4096 */
    uint32_t subject_max;     /* 1 to KT_SUBJECTS_LIMIT */
    uint32_t ahead;           /* pre-written segments kept ready: 1 to KT_AHEAD_MAX */
    uint64_t schema_hash;     /* stored in each segment for tools; not checked */
    uint64_t retention_bytes; /* 0: no bound */
    int64_t retention_age_ns; /* of a segment's newest record; 0: no bound */
    uint64_t hold_bytes;      /* beyond what retention asks for, what cursors together may hold back */
    bool hold_stops_intake;   /* a cursor holding more: true stops intake, false cuts the cursor off with KT_CTL_LOST */
    bool needs_snapshot;      /* keep everything until the first snapshot: for lanes that recover from this log */
    kt_log_sync_mode sync;
    uint8_t boot_id[KT_BOOT_ID_SIZE]; /* all zero: asked of the kernel */
    int64_t (*clock_ns)(void *ctx);   /* UTC, for times of control records; NULL: the system's */
    uint64_t (*random)(void *ctx);    /* for epochs; NULL: the system's */
    void (*wake)(
        void *ctx, kt_log_moved moved); /* may be NULL. WRITTEN: from kt_log_kick, on the lane's thread. DURABLE:
                                                    after each commit, on the log's thread (inline: the caller's) */
    void *ctx;
    kt_log_io io;
} kt_log_options;

/* Fill in every default: 64 MiB segments, no retention, KT_SYNC_THREAD, the system's clock, randomness and calls. */
void kt_log_options_init(kt_log_options *options, const char *dir);

/* What kt_log_open found and did; for events, diagnostics and tests. */
typedef struct kt_log_recovery {
    bool fresh;                 /* there was no log */
    bool clean;                 /* the last writer closed it, or it is fresh */
    bool other_boot;            /* the last writer ran under another boot id */
    uint64_t durable_before;    /* as the state file said */
    uint64_t last_seq;          /* last record after recovery, control records of this opening not counted */
    uint64_t cut_bytes;         /* non-zero bytes zeroed behind the last good record, and segments dropped whole */
    uint32_t copied_segments;   /* same boot, not clean: segments copied into this generation */
    uint32_t epochs_begun;      /* subjects with a new epoch */
    uint32_t snapshots_dropped; /* they named a seq beyond last_seq */
    uint64_t fenced_from;       /* 0: none. Otherwise the first seq that is lost inside a fenced segment ... */
    uint64_t fenced_to;         /* ... and the last one that was durable */
} kt_log_recovery;

typedef struct kt_log kt_log;

/* Open for writing: take the lock, recover (reference: log.md 3), begin new epochs where a tail may be lost, make sure
 * that there is a segment to write to. On failure nothing is held and what was readable stays readable.
 * A bad record at or below durable does not fail the call: its segment is fenced, the log goes on in a new segment behind
 * the last durable seq with new epochs, and `recovered` names the lost range; readers get KT_CORRUPT there.
 *   KT_ARG      an option is outside its range          KT_BUSY     another process holds the lock (named)
 *   KT_VERSION  made by a newer program                 KT_CORRUPT  not a log: the state file is there but unreadable
 *   KT_FULL     no room for a file: free some, repeat   KT_SYS      the system refused (read-only folder ...), or a sync
 *                                                                   failed, whatever the reason: not to be repeated  */
kt_code kt_log_open(const kt_log_options *options, kt_log **out_log, kt_err *err);

/* Commit everything, leave the clean mark, release the lock and free. After a failed sync no mark is left. NULL is fine.
 * KT_SYS: the last commit failed (the log is closed and freed all the same). */
kt_code kt_log_close(kt_log *log, kt_err *err);

/* Release the lock and free, and leave the folder as the death of the process would: no clean mark, what is not synced is for
 * the next opening. For a writer that has failed. NULL is fine. */
void kt_log_abandon(kt_log *log);

/* Free without touching the disk or the lock: for a child of fork that inherited the parent's log. */
void kt_log_disown(kt_log *log);

const kt_log_recovery *kt_log_recovered(const kt_log *log);

/* The id of a subject, declared with a control record when it is new or its flags change. Ids are 1, 2, 3 ... (0 is the
 * log's own); they never change within a log folder.
 * KT_SYNTAX, KT_LIMIT: not a subject, or longer than KT_SUBJECT_MAX (kt_subject_check of base/text.h). KT_FULL: subject_max
 * are there already, or their table would fill half a segment; or as kt_log_append. */
kt_code kt_log_subject(kt_log *log, kt_text name, uint32_t flags, uint32_t *out_id, kt_err *err);

/* KT_NOENT: not declared. */
kt_code kt_log_subject_find(const kt_log *log, kt_text name, uint32_t *out_id);

/* Name, flags, epoch and last offset; of subject 0 the epoch is that of the log itself. `id` below the count. */
typedef struct kt_log_subject_info {
    kt_text name; /* lives as long as the log */
    uint32_t flags;
    uint64_t epoch;
    uint64_t last_offset; /* 0: none yet */
} kt_log_subject_info;
uint32_t kt_log_subject_count(const kt_log *log);
kt_log_subject_info kt_log_subject_info_of(const kt_log *log, uint32_t id);

/* What the caller says of a record; the log adds seq, offset and crc. */
typedef struct kt_rec_head {
    uint16_t kind;
    uint16_t flags; /* KT_REC_INPUT, _OUTPUT, _ADMIT or _CONTROL */
    uint32_t subject;
    int64_t time_ns;
    uint64_t cause;
} kt_rec_head;

/* Store one record; it is visible to readers when the call returns. out_seq may be NULL.
 * KT_LIMIT: larger than kt_log_record_max. KT_FULL: intake has stopped (full disk, or a cursor holds too much) and this
 * is an input or admit; or nothing fits any more. KT_ARG: no such subject. KT_SYS: the log has failed.
 * Where the next segment is still being pre-written at three quarters, the call waits for it. */
kt_code kt_log_append(kt_log *log, const kt_rec_head *head, const void *payload, uint32_t size, uint64_t *out_seq);

/* The same in place: room for at most size_max bytes of payload, 8-byte aligned, to be filled and then committed with
 * its real size, or dropped by the next reserve or append. Errors as kt_log_append. */
kt_code kt_log_reserve(kt_log *log, const kt_rec_head *head, uint32_t size_max, void **out_payload);
kt_code kt_log_commit(kt_log *log, uint32_t size, uint64_t *out_seq);

/* Bytes of the largest record that fits: KT_RECORD_MAX, or an eighth of a segment where that is less. */
uint32_t kt_log_record_max(const kt_log *log);

/* Call at the end of each batch (loop turn): start a commit if the log rests and something is not synced, and report
 * KT_MOVED_WRITTEN if something was appended since. Costs a few ns when there is nothing to do. */
void kt_log_kick(kt_log *log);

uint64_t kt_log_written(const kt_log *log);    /* 0: nothing yet */
uint64_t kt_log_durable(const kt_log *log);    /* any thread */
bool kt_log_failed(const kt_log *log);         /* any thread; the lane must end */
bool kt_log_intake_stopped(const kt_log *log); /* inputs are answered with KT_FULL now */

/* Commit now: on this thread when inline, otherwise by waiting until everything written is durable.
 * KT_SYS: a sync failed, now or before. */
kt_code kt_log_sync(kt_log *log, kt_err *err);

/* Wait until `seq` is durable. KT_SYS: the log failed. KT_TIMEOUT. */
kt_code kt_log_wait(kt_log *log, uint64_t seq, int64_t timeout_ns);

/* Apply retention now; done at each new segment too. Unlinks happen on the log's thread. */
void kt_log_retain(kt_log *log);

/* Pre-write until `ahead` segments are ready. KT_FULL, KT_SYS: the disk refused. For benchmarks and tests. */
kt_code kt_log_prewrite(kt_log *log, kt_err *err);

/* Take over `bytes` (malloc'ed; the log frees them) as the snapshot of the state after applying `seq` and write it off
 * this thread; the file gets its name once durable has passed seq. KT_BUSY: one is still being written; the caller keeps
 * `bytes`. KT_ARG: seq above written. Read with snapshot.h. */
kt_code kt_log_snapshot(kt_log *log, uint64_t seq, uint32_t version, void *bytes, size_t size);

/* One is still being written. When it is not any more and kt_log_snapshot_seq() is less than its seq, it could not be
 * written, which costs nothing but a longer recovery. */
bool kt_log_snapshot_busy(kt_log *log);

/* Seq of the newest snapshot on disk; 0: none. Any thread. */
uint64_t kt_log_snapshot_seq(const kt_log *log);

/* The machine's boot id, from the kernel. */
kt_code kt_boot_id(uint8_t out_boot_id[KT_BOOT_ID_SIZE], kt_err *err);

#endif
