/* log/writer.h - inside the log: the writer's state, shared by log.c (append), recover.c (open), sync.c (commit, pre-write,
 * the thread) and retain.c.
 *
 * Who touches what: members above the line "shared" belong to the lane's thread. Those below are atomic, or guarded by
 * `lock`, or belong to whoever runs the log's work (the log's thread; inline: the lane's).
 */
#ifndef KT_LOG_WRITER_H
#define KT_LOG_WRITER_H

#include "log/segment.h"

#include <pthread.h>

/* A segment that is being written, or full and not yet wholly on disk. */
typedef struct kt_open_segment {
    kt_segment segment;
    int fd;
    uint64_t last_seq;       /* of the seal; 0 while it is the current one; guarded by lock */
    bool synced;             /* wholly on disk; belongs to the work */
    _Atomic uint64_t filled; /* what stands before it is not written to any more: moved at each kick */
    uint64_t let_go;         /* up to there its pages are out of the mapping; belongs to the work */
    struct kt_open_segment *next;
} kt_open_segment;

/* A segment on disk, for retention. */
typedef struct kt_kept {
    kt_seg_name name;
    uint64_t size;
    int64_t created_ns;
} kt_kept;

/* A pre-written file without a name yet. */
typedef struct kt_ready {
    uint8_t *map;
    int fd;
    uint64_t serial; /* of ready-N.tmp */
} kt_ready;

typedef struct kt_snapshot_job {
    uint8_t *bytes; /* NULL: no job */
    size_t size;
    uint64_t seq;
    uint64_t epoch;
    uint32_t version;
    int fd; /* -1: not begun */
    size_t done;
} kt_snapshot_job;

struct kt_log {
    kt_log_options options;
    char *dir;
    kt_log_io io;
    kt_control *control;
    int lock_fd;
    kt_log_recovery recovered;
    kt_subjects subjects;
    kt_open_segment *current;
    uint64_t at;        /* where the next record goes in the current segment */
    uint64_t limit;     /* up to here nothing has to be asked: three quarters, or the end when the next one is ready */
    uint64_t seq;       /* of the next record */
    uint64_t dirty_end; /* a reservation may have left bytes up to here */
    kt_rec_head reserved;
    uint32_t reserved_size; /* UINT32_MAX: no reservation */
    uint32_t record_max;
    uint64_t kicked; /* written when KT_MOVED_WRITTEN was last reported */
    bool held;       /* a cursor holds more than it may: intake is stopped */
    bool refused;    /* something was answered with KT_FULL for want of a next segment */
    kt_kept *kept;   /* by first seq; the last is the current one */
    uint32_t kept_count, kept_room;
    uint64_t file_size; /* of new segments */
    bool retaining;     /* retention is appending its own record */

    /* ---- shared ---- */
    _Atomic uint64_t written, durable, snapshot_seq;
    _Atomic bool failed;
    uint8_t pad_to_line[64]; /* `written` is stored with each record */
    _Atomic bool resting;    /* the thread waits on `work` */
    _Atomic uint32_t ready_count;
    _Atomic bool prewrite_failed;
    _Atomic int prewrite_errno;
    pthread_mutex_t lock;
    pthread_cond_t work;  /* for the thread */
    pthread_cond_t moved; /* durable, ready_count or a failure changed */
    pthread_t thread;
    bool thread_runs, thread_stops;
    int64_t rest_ns;         /* longest rest of the thread, guarded by lock: tests make it longer than their patience */
    kt_open_segment *oldest; /* list up to the current one */
    bool dir_dirty;          /* a segment got its name since the last commit */
    kt_ready ready[KT_AHEAD_MAX];
    kt_seg_name *removals;
    uint32_t removal_count, removal_room;
    kt_snapshot_job snapshot;

    /* of the work */
    int state_fd;
    kt_state state;
    bool state_dirty; /* written since it was last synced */
    int64_t state_synced_ns;
    int64_t prewrite_tried_ns;
    kt_ready prewriting; /* fd -1: none */
    uint64_t prewriting_at;
    uint64_t ready_serial;
};

/* "Publish, then look whether the thread rests" and "say that it rests, then look again": each is a store followed by a load of
 * another place, and without either fence both can look too early; the record would wait for the commit delay. The test
 * of the log has them race. False: something is written that is not durable. */
static inline bool kt_log_rests(kt_log *log)
{
    atomic_store_explicit(&log->resting, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&log->written, memory_order_relaxed) ==
           atomic_load_explicit(&log->durable, memory_order_relaxed);
}

static inline bool kt_log_is_resting(const kt_log *log)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&log->resting, memory_order_relaxed);
}

/* recover.c: everything of kt_log_open between the lock and the thread. */
kt_code kt_log_recover(kt_log *log, kt_err *err);

/* Make the segment `name`, pre-written, formatted from log->subjects, and current. */
kt_code kt_log_new_segment(kt_log *log, uint64_t first_seq, kt_err *err);

/* sync.c */
/* One commit: everything written is synced, durable moves. KT_SYS: failed for good. */
kt_code kt_log_commit_all(kt_log *log);
/* One piece of other work; false when there is none. */
bool kt_log_work(kt_log *log);
/* Pre-write until `count` are ready or it fails, on this thread. */
kt_code kt_log_prewrite_now(kt_log *log, uint32_t count, kt_err *err);
kt_code kt_log_thread_start(kt_log *log, kt_err *err);
void kt_log_thread_stop(kt_log *log);
/* Drop what the work holds (files half pre-written, a snapshot half written); `unlinks`: their files too. */
void kt_log_work_done(kt_log *log, bool unlinks);
int64_t kt_log_monotonic_ns(void);

/* log.c */
void kt_open_segment_free(kt_open_segment *open);
kt_code kt_log_append_control(kt_log *log, uint16_t kind, const void *payload, uint32_t size);
int64_t kt_log_clock(kt_log *log);
uint64_t kt_log_random(kt_log *log);
void kt_log_set_current(kt_log *log, kt_open_segment *open, uint64_t at);
kt_code kt_log_keep(kt_log *log, kt_seg_name name, uint64_t size, int64_t created_ns);
/* "<dir>/ready-<serial>.tmp" */
const char *kt_ready_path(char *out, const kt_log *log, uint64_t serial);

/* snapshot.c: files of the folder <dir>/snapshots. */
const char *kt_snapshot_path(char *out, const char *dir, uint64_t seq);
/* Remove those above seq_max, and all but the `keep` newest; *out_newest: seq of the newest left, 0 for none. Returns how
 * many above seq_max were removed. */
uint32_t kt_snapshots_trim(const kt_log_io *io, const char *dir, uint64_t seq_max, uint32_t keep, uint64_t *out_newest);
/* One piece of the job: true while there is more to do now; the job is cleared when it ends, well or not. */
bool kt_snapshot_work(kt_log *log);

#endif
