/* service/replay_feed.h - the inputs of a recorded log once more, in the place of venues: the feed of `kontor replay`.
 *
 * Order     each input of the recorded log is an input of this lane, in the same order and with the same time, those of timers and
 *           starts among them; so the services make of them what they made then. The lane's own timers stand still
 *           (kt_lane_options.timers_given), its clock is that of the record (kt_replay_clock).
 * Compared  each output that stands in the recorded log is compared with the one made now: kind, subject, time, payload. What differs
 *           is counted, and the first is told: another program, or another configuration.
 * Requests  are not carried out: their answers are in the log. A request's id is counted from where a start stands in the log, so it
 *           may differ; each answer gets the id that its request has now.
 * Place     an input's `cause` is its seq in the recorded log. After a restart what stands is passed over, and it goes on behind.
 * Origin    where retention has removed the beginning, the lane starts from a snapshot of the recorded log (kt_replay_begin).
 * Pace      records before `from` at once, then at `speed` times the pace of their times. A log that is still being written is
 *           followed.
 */
#ifndef KT_SERVICE_REPLAY_FEED_H
#define KT_SERVICE_REPLAY_FEED_H

#include "lane/lane.h"

#include <stdatomic.h>

#define KT_REPLAY_SPEED_MAX 0.0

/* A place in the log; both 0: not said. */
typedef struct kt_replay_place {
    uint64_t seq;
    int64_t time_ns;
} kt_replay_place;

typedef struct kt_replay {
    const char *dir;       /* of the recorded log */
    kt_replay_place from;  /* pace begins with the first record here or behind; not said: with the very first */
    kt_replay_place until; /* the last record is the one before; not said: the end */
    double speed;          /* times the recorded pace, or KT_REPLAY_SPEED_MAX */
    uint64_t origin_seq;   /* 0: the log is there from its first record on */
    /* At the end of the log, once, when lane keep has all of it. NULL: nobody. */
    void (*ended)(void *ctx);
    void *ended_ctx;

    /* What came of it; may be shared between processes. */
    _Atomic int64_t now_ns; /* of the record applied last */
    _Atomic uint64_t inputs, same, different;
    _Atomic uint64_t first_different; /* seq in the recorded log */
} kt_replay;

/* Look at the log and say where replay can begin (origin_seq). KT_NOENT: there is no log in `dir`, or nothing in it. KT_GONE: its
 * beginning was removed, and no snapshot can take its place. Others as kt_reader_open. */
kt_code kt_replay_begin(kt_replay *replay, kt_err *err);

/* What the process of the lane replays: before it is opened. */
void kt_replay_set(kt_replay *replay);

/* For kt_lane_options: the clock of the lane, and its context. */
int64_t kt_replay_clock(void *replay);

extern const kt_feed_spec kt_replay_feed;

#endif
