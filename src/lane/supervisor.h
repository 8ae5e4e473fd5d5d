/* lane/supervisor.h - holds the lanes of a node: starts them, makes what they share, starts one again that died, parks one that
 * gets nowhere.
 *
 * Lanes     forked without exec, held by pidfd. They end when the supervisor ends: PDEATHSIG, and EOF on the control socket.
 * Shared    made before the first fork: the board (bus/board.h) and an eventfd a lane; made for each generation of a pair of lanes: a
 *           memfd with two rings, sent to both over their control sockets.
 * House     the supervisor writes a log of its own, `house`, synced inline: lane_state, alert, set_aside events.
 * Deaths    count only while the position of the lane's inputs does not move: back-off is 50 ms, doubling to 5 s, and five such
 *           deaths in a row park the lane, with an alert. A lane that was live for KT_SETTLED_NS with nothing to do has got where it
 *           could: the count starts again. Exit code KT_LANE_EXIT_PARK parks at once.
 * Full      a lane that ends with KT_LANE_EXIT_FULL has not died: it waits, with the same back-off but without end, and tells it by a
 *           `lane_state` an attempt and one alert.
 * Poison    a market message that was being decoded or applied at three deaths in a row is set aside, with an event; a command
 *           (kind `call`) never is.
 * Locks     each lane's log is locked by its lane. A new supervisor waits 5 s for locks of lanes of a former one before it complains.
 * Signals   SIGTERM and SIGINT stop all lanes and wait stop_ns for them to close their logs; a second signal kills.
 */
#ifndef KT_LANE_SUPERVISOR_H
#define KT_LANE_SUPERVISOR_H

#include "lane/lane.h"

#include <signal.h>

enum {
    KT_DEATHS_TO_PARK = 5,
    KT_DEATHS_TO_SET_ASIDE = 3,
};

#define KT_BACKOFF_FIRST_NS INT64_C(50000000)
#define KT_BACKOFF_MAX_NS INT64_C(5000000000)
#define KT_LOCK_WAIT_NS INT64_C(5000000000)
#define KT_STOP_WAIT_NS INT64_C(10000000000)
#define KT_SETTLED_NS INT64_C(60000000000)

/* A lane to hold. `run` is the lane's main function, in the forked process: build kt_lane_options with these links,
 * kt_lane_main() does the rest. It returns the exit code. */
typedef struct kt_supervisor_lane {
    const char *name; /* of the lane and its log */
    int (*run)(const kt_lane_links *links, void *ctx);
    void *ctx;
} kt_supervisor_lane;

/* Who carries lanes out instead of forked processes: a simulator. */
typedef struct kt_supervisor_host {
    void *ctx;
    /* Begin a lane; `links` is good until the return, the control socket in it is the host's to close. A descriptor that is readable
     * once the lane has ended, as a pidfd is, and a number for it; -1 and errno. */
    int (*start)(void *ctx, uint32_t lane_index, const kt_lane_links *links, pid_t *out_pid);
    void (*ended)(void *ctx, uint32_t lane_index, siginfo_t *out_info); /* how it has; si_pid 0: it has not */
    void (*kill)(void *ctx, uint32_t lane_index);
    int64_t (*clock_ns)(void *ctx); /* UTC and monotonic */
    int64_t (*mono_ns)(void *ctx);
    const kt_lane_world *world; /* of the house log */
    const uint8_t *boot_id;     /* likewise */
} kt_supervisor_host;

typedef struct kt_supervisor_options {
    const char *data_dir; /* made when it is missing */
    const kt_supervisor_lane *lanes;
    uint32_t lane_count; /* at most KT_BOARD_LANE_MAX - 1: the house log has a place on the board too */
    int64_t backoff_first_ns, backoff_max_ns, lock_wait_ns, stop_wait_ns, settled_ns; /* 0: as above */
    uint64_t house_segment_size, house_retention_bytes;                               /* 0: the log's defaults */
    /* What happens, for operators: one line without a newline. NULL: nobody. */
    void (*diag)(void *ctx, kt_level level, const char *line);
    void *diag_ctx;
    const kt_supervisor_host *host; /* NULL: each lane is a process, and signals are taken */
} kt_supervisor_options;

typedef struct kt_supervisor kt_supervisor;

/* Take the lock of the house log (waiting lock_wait_ns), make the board, fork the lanes; SIGTERM and SIGINT are blocked and read by
 * the supervisor until it is closed. The process must have one thread. KT_BUSY: another supervisor has the folder (the message
 * names it and its pid). KT_ARG, KT_LIMIT: the lanes. KT_SYS, KT_CORRUPT, KT_VERSION: data_dir or house log. */
kt_code kt_supervisor_open(const kt_supervisor_options *options, kt_supervisor **out_supervisor, kt_err *err);

/* Serve until told to stop. KT_OK: all lanes closed in time. KT_TIMEOUT: some had to be killed. */
kt_code kt_supervisor_run(kt_supervisor *supervisor, kt_err *err);

/* One round: at most wait_ns of waiting. For tests, and what kt_supervisor_run() is made of. */
kt_code kt_supervisor_turn(kt_supervisor *supervisor, int64_t wait_ns, kt_err *err);

/* How long there is nothing for a turn to do unless a lane ends; at most max_ns (negative: no bound, INT64_MAX). */
int64_t kt_supervisor_quiet_ns(const kt_supervisor *supervisor, int64_t max_ns);

/* Ask for the end, as SIGTERM does. */
void kt_supervisor_stop(kt_supervisor *supervisor);

/* Kills what still runs, closes the house log. NULL is fine. */
void kt_supervisor_close(kt_supervisor *supervisor);

const kt_board *kt_supervisor_board(const kt_supervisor *supervisor);
bool kt_supervisor_stopped(const kt_supervisor *supervisor); /* every lane is stopped or parked, after a stop */

/* What `run` of a lane usually is: open, run, close; reason to the board and to options->diag; returns the exit code. */
int kt_lane_main(const kt_lane_options *options);

#endif
