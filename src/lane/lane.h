/* lane/lane.h - one lane: a loop, a log that only it writes, the services and feeds it hosts, recovery.
 *
 * Turn      feeds read their sockets and hand over inputs (kt_lane_input): each is appended and applied at once, its outputs are
 *           appended directly behind it. Then due timers and foreign records are applied: timers as `timer` inputs, foreign
 *           records behind an `admit` input for as much as the source has made durable (at most turn_max a turn). Then
 *           feeds see outputs, calls are answered whose cause is durable, and the lane sleeps until something happens.
 * Recovery  in kt_lane_open(): read set-asides, restore the newest valid snapshot, apply the inputs behind it again. Outputs that
 *           stand are compared in order (kind, flags, subject, time, cause, payload), missing ones are written, a difference appends a
 *           `divergence` event and answers KT_CORRUPT with parking asked for. Outputs of inputs that were applied under
 *           another logic version stand and are not compared; of such an input those beyond the number that stand are
 *           written. Only then the lane appends `lane_start` and is live.
 * Time      a record's time is the lane's clock when an input is made, never less than that of the input before it; outputs take their input's.
 * Snapshots at the first quiet moment after a segment was sealed, and at a clean stop; handed to the log's writer when durable
 *           has passed the position they name.
 * Alone     with `links` NULL a lane needs no supervisor and no other process: tests and the simulator run it turn by turn.
 * Bounds    KT_SERVICE_MAX services, KT_FEED_MAX feeds, KT_LANE_SOURCE_MAX foreign logs.
 */
#ifndef KT_LANE_LANE_H
#define KT_LANE_LANE_H

#include "bus/bus.h"
#include "lane/service.h"
#include "log/log.h"
#include "net/loop.h"
#include "net/net.h"

typedef struct kt_lane kt_lane;

enum {
    KT_FEED_MAX = 8,
    KT_LANE_SOURCE_MAX = 8,
    KT_LANE_TURN_MAX = 4096,  /* foreign records admitted in one turn, when turn_max is 0 */
    KT_LANE_ASIDE_MAX = 1024, /* records and messages set aside that one lane remembers */
};

/* What a lane's process ends with; the supervisor reads it. */
typedef enum kt_lane_exit {
    KT_LANE_EXIT_OK = 0,     /* stopped when told to, log closed cleanly */
    KT_LANE_EXIT_FAILED = 1, /* start it again, with back-off */
    KT_LANE_EXIT_FULL = 75,  /* nothing is wrong with it but that there is no room: start it again until there is */
    KT_LANE_EXIT_PARK =
        78, /* starting it again can not help: divergence, corrupt or newer log, failed copy, bad configuration */
} kt_lane_exit;

/* A feed is the part of a lane that touches the world: sockets, the store, clients. It has no part in determinism: it makes
 * inputs and looks at outputs. All hooks run on the lane's loop. */
typedef struct kt_feed_spec {
    const char *name;
    /* The log is recovered, lane_start is not yet written: open sockets, register watches and readers. `ctx` is the row's. */
    kt_code (*start)(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err);
    /* lane_start has been applied: inputs may come now. */
    void (*live)(void *state);
    /* Own outputs that match, each once, in order, live ones only: not those written by recovery. Once a turn, outside of any
     * application, so kt_lane_input() is allowed. */
    const char *const *outputs; /* patterns ended by NULL; NULL: none */
    bool after_durable;         /* outputs and requests come when they are durable: for what outlives memory outside */
    void (*on_output)(void *state, const kt_event *event);
    /* Own kt_env_request() outputs that match `outputs`: carry it out. Give the answer to kt_lane_input() with the request's seq
     * (event->rec->seq) as `cause`. NULL: on_output gets them too. */
    void (*on_request)(void *state, const kt_event *event);
    /* A log that was asked for by kt_lane_follow() may have grown, or something was waiting: called once a turn. */
    void (*turn)(void *state);
    /* Asked after the lane is marked asleep: true when turn() has something to do. Must be cheap and must not write. */
    bool (*pending)(void *state);
    /* Close sockets, free. The lane's log is still open and may take last inputs. NULL state is fine. */
    void (*stop)(void *state);
} kt_feed_spec;

/* A record of a log, or (seq 0) a raw message by its hash. */
typedef struct kt_lane_aside {
    char log[KT_BOARD_NAME_SIZE];
    uint64_t seq;
    uint64_t hash;
    uint32_t deaths;
} kt_lane_aside;

/* What a lane of a node shares with the others; made by the supervisor. */
typedef struct kt_lane_links {
    kt_board *board;
    uint32_t lane_index;
    int control_fd;       /* SOCK_SEQPACKET to the supervisor; EOF: end at once */
    uint32_t generation;  /* start of this lane under this supervisor */
    int64_t lock_wait_ns; /* how long kt_lane_main() waits for the log's lock */
    /* What the supervisor asks to set aside before anything is applied. */
    const kt_lane_aside *asides;
    uint32_t aside_count;
} kt_lane_links;

/* What a simulator makes up beside the clocks. No thread syncs: nothing is durable before the simulator calls kt_log_sync(), as
 * the log's thread would at any time. */
typedef struct kt_lane_world {
    const kt_net *net;
    kt_log_io io;
    kt_wake_hooks wake_hooks;      /* of both sides */
    uint64_t (*random)(void *ctx); /* epochs, and seeds of feeds */
    void *random_ctx;
} kt_lane_world;

typedef struct kt_lane_options {
    const char *name;                       /* of the lane and of its log */
    const char *data_dir;                   /* the log is data_dir/name, foreign ones lie beside it */
    const kt_service_spec *const *services; /* ended by NULL; the order of asking */
    const kt_feed_spec *const *feeds;       /* ended by NULL; NULL: none */
    const kt_config
        *config;         /* borrowed, for services and feeds; where service settings is hosted, of this lane alone */
    kt_text config_text; /* its canonical form: goes into lane_start */
    uint32_t logic;      /* version of the services' logic: raise it when the same inputs give other outputs */
    const char *version; /* of the program, for lane_start */
    const kt_lane_links *links; /* NULL: alone */

    /* The log, see log/log.h; 0: its defaults. */
    uint64_t segment_size;
    uint32_t subject_max;
    uint64_t retention_bytes;
    int64_t retention_age_ns;
    uint64_t hold_bytes;
    bool hold_stops_intake;
    bool inline_sync;    /* no sync thread: the lane syncs once a turn. For tests */
    uint8_t boot_id[16]; /* zero: the kernel's */

    /* What happens, for operators: one line without a newline. NULL: nobody. */
    void (*diag)(void *ctx, kt_level level, const char *line);
    void *diag_ctx;

    /* A lane that applies a recorded log again (service/replay_feed.h). */
    bool timers_given; /* timers come as inputs of a feed, never by the clock */
    const char *
        origin_dir; /* the folder of a log of this lane: with its newest snapshot up to origin_seq this log begins. NULL: with nothing */
    uint64_t origin_seq;

    uint32_t turn_max;              /* foreign records a turn; 0: KT_LANE_TURN_MAX */
    uint64_t hash_seed;             /* 0: random */
    uint64_t seed;                  /* of the services' randomness; 0: random. Recorded in lane_start */
    int64_t (*clock_ns)(void *ctx); /* UTC; NULL: the system's */
    int64_t (*mono_ns)(void *ctx);  /* monotonic, for the loop; NULL: the system's */
    void *clock_ctx;
    const kt_lane_world *world; /* NULL: the machine's */
} kt_lane_options;

/* Open the log, recover, start feeds, go live. On failure *out_park says whether another attempt is pointless. KT_BUSY: the log is held by
 * another process (the message names it); KT_CORRUPT: fenced or divergent; KT_VERSION: written by a newer program; KT_FULL, where it does
 * not park: the disk is full, or a cursor holds too much. */
kt_code kt_lane_open(const kt_lane_options *options, kt_lane **out_lane, bool *out_park, kt_err *err);

/* Stop feeds and services, take a snapshot, sync, mark the log clean. `clean` false, or a lane that has failed: what is written stays as
 * after kill -9, and the next start recovers. NULL is fine. */
void kt_lane_close(kt_lane *lane, bool clean);

/* One turn of the loop, waiting at most wait_max_ns (0: not at all, negative: as long as it takes). Any code but KT_OK ends the lane;
 * KT_FULL: not even what was promised fits any more. */
kt_code kt_lane_turn(kt_lane *lane, int64_t wait_max_ns, kt_err *err);

/* Turns until told to stop by the supervisor, or by a failure. */
kt_code kt_lane_run(kt_lane *lane, bool *out_park, kt_err *err);
bool kt_lane_stopping(const kt_lane *lane); /* told to: for who turns it by hand */

/* For feeds and main programs ----------------------------------------------------------------------------------- */

/* Write an input and apply it. `event` is the struct of the kind; `cause` a correlation (an answer: its request's seq), or 0. KT_FULL: intake is stopped, nothing
 * was written; keep the input or drop it and say so. KT_ARG: from within a service. Other codes end the lane. */
kt_code kt_lane_input(
    kt_lane *lane, uint16_t kind, kt_text subject, uint64_t cause, const void *event, uint64_t *out_seq);

/* A raw message is about to be decoded: false when it was set aside (it killed the lane three times): drop it. Otherwise
 * kt_lane_decoded() afterwards. */
bool kt_lane_decoding(kt_lane *lane, const void *bytes, size_t size);
void kt_lane_decoded(kt_lane *lane);

/* Wake the lane (feeds' turn()) when this log passes what was seen: `written`, or only its `durable`. Again at each turn
 * with the position reached: it counts as progress of the lane. KT_NOENT: no such lane on the board (alone: always KT_OK). */
kt_code kt_lane_follow(kt_lane *lane, const char *log, uint64_t position, bool durable_only);

kt_loop *kt_lane_loop(kt_lane *lane);
kt_bus *kt_lane_bus(kt_lane *lane); /* read other logs, call, serve; its callbacks run on the loop */
kt_log *kt_lane_log(kt_lane *lane);
const char *kt_lane_name(const kt_lane *lane);
const char *kt_lane_data_dir(const kt_lane *lane);
const kt_board *kt_lane_board(const kt_lane *lane);  /* NULL: alone */
const uint8_t *kt_lane_boot_id(const kt_lane *lane); /* for readers; NULL: the kernel's */
bool kt_lane_pending(kt_lane *lane); /* there is something to do: a lane that sleeps now has missed its wake-up */
int64_t kt_lane_clock(const kt_lane *lane); /* UTC now, for feeds */
int64_t kt_lane_mono(const kt_lane *lane);  /* a clock that never goes back, for feeds and their threads */
uint64_t kt_lane_random(kt_lane *lane);     /* for feeds (jitter): not recorded, not for services */
void *kt_lane_service_state(kt_lane *lane, const char *service); /* for tests; NULL: no such service */

/* Text for operators: what happened, and where (venue, address, section). Feeds only: services say what they have to in
 * events. */
void kt_lane_diag(kt_lane *lane, kt_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* End the lane after this turn with this reason; `park`: for good. */
void kt_lane_fail(kt_lane *lane, bool park, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Figures, for stats and tests. */
typedef struct kt_lane_counts {
    uint64_t inputs;     /* own inputs applied live */
    uint64_t foreign;    /* foreign records applied live */
    uint64_t outputs;    /* written live */
    uint64_t replayed;   /* inputs applied by recovery */
    uint64_t compared;   /* outputs that stood and were equal */
    uint64_t completed;  /* outputs that recovery wrote */
    uint64_t uncompared; /* outputs of another logic version that stand */
    uint64_t set_aside;  /* records skipped */
    uint64_t snapshots;  /* handed to the log */
} kt_lane_counts;
const kt_lane_counts *kt_lane_count(const kt_lane *lane);

#endif
