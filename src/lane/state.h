/* lane/state.h - the inside of a lane, shared by lane.c (life and turns), apply.c (one record), recover.c (again) and
 * links.c (supervisor). Nobody else includes it.
 */
#ifndef KT_LANE_STATE_H
#define KT_LANE_STATE_H

#include "base/rng.h"
#include "lane/lane.h"
#include "lane/timers.h"
#include "log/cursor.h"
#include "log/log.h"
#include "log/reader.h"
#include "net/loop.h"

enum {
    KT_LANE_OUTPUT_MAX = 1 << 20, /* outputs that feeds have not seen yet */
    KT_LANE_ANSWER_MAX = 4096,    /* answers that wait for the durability of their command */
    KT_LANE_SNAPSHOT_VERSION = 2, /* 2: epochs of sources. Reads the one before */
    KT_LANE_BLOCK_SIZE = 256 << 10,
};

/* Outputs of the input being applied, with their bytes in blocks that never move. */
typedef struct kt_made {
    uint16_t kind;
    bool request;
    uint32_t subject_id; /* 0: not declared when it was made */
    const char *subject;
    uint32_t subject_size;
    uint32_t size;
    const void *payload;
    int64_t time_ns;
} kt_made;

typedef struct kt_block {
    struct kt_block *next;
    size_t size;
    uint8_t bytes[];
} kt_block;

typedef struct kt_made_queue {
    kt_made *items;
    uint32_t count;
    uint32_t capacity;
    uint32_t offered; /* to other services */
    uint32_t settled; /* written, or compared with what stands */
    kt_block *first;
    kt_block *block; /* being filled */
    size_t used;
} kt_made_queue;

struct kt_env {
    kt_lane *lane;
    uint32_t index;
};

typedef struct kt_lane_service {
    const kt_service_spec *spec;
    void *state;
    kt_env env;
} kt_lane_service;

typedef struct kt_lane_feed {
    const kt_feed_spec *spec;
    void *state;
    uint32_t output_next; /* in lane->outputs */
    uint64_t seen;        /* its outputs up to this seq have been given to it */
    bool started;
} kt_lane_feed;

/* An output that some feed wants, kept from when it is written until all feeds have passed it: to read the log again for the
 * few that are wanted would cost every record a second checksum. */
typedef struct kt_lane_output {
    uint32_t mask; /* of the feeds */
    uint32_t size;
    bool request;
    kt_text subject; /* the log's */
    kt_rec rec;      /* without its checksum */
    uint8_t payload[];
} kt_lane_output;

/* A foreign log that some service reads. */
typedef struct kt_lane_source {
    char name[KT_BOARD_NAME_SIZE];
    char dir[512];
    int board_index;    /* -1: not on the board */
    kt_reader *reader;  /* NULL: not there yet */
    uint64_t position;  /* last seq applied, or passed over because nobody wants it */
    uint64_t epoch;     /* of the source's log at the last admit; 0: none yet, not checked */
    uint64_t safe_next; /* position in the snapshot that is being written */
    uint64_t seen;      /* durable of the source when it was last looked through */
    kt_cursor *cursor;
    kt_lost lost;      /* a range that can not be had and is not yet written down ... */
    kt_code lost_code; /* ... KT_OK: none */
    uint32_t *masks;   /* by subject id: services that want it; MASK_KNOWN: computed */
    uint32_t mask_count;
} kt_lane_source;

/* Who wants a subject: services from bit 0 on, then the feeds. */
#define KT_MASK_SERVICES ((1u << KT_SERVICE_MAX) - 1)
#define KT_MASK_FEED (1u << KT_SERVICE_MAX)
#define KT_MASK_KNOWN (1u << 31)
_Static_assert(KT_SERVICE_MAX + KT_FEED_MAX < 31, "a bit for each, and one for KNOWN");

typedef struct kt_lane_answer {
    uint64_t seq; /* of the command */
    uint64_t token;
    kt_code code;
    char *body;
    size_t size;
} kt_lane_answer;

typedef struct kt_lane_follow_log {
    char name[KT_BOARD_NAME_SIZE];
    int board_index;
    uint64_t position;
    bool durable_only;
} kt_lane_follow_log;

struct kt_lane {
    kt_lane_options options;
    char name[KT_BOARD_NAME_SIZE];
    char dir[512];
    const uint8_t *boot_id; /* NULL: the kernel's */
    kt_log *log;
    _Atomic bool log_open; /* for the log's thread */
    kt_loop *loop;
    kt_bus *bus;
    kt_lane_service services[KT_SERVICE_MAX];
    uint32_t service_count;
    kt_lane_feed feeds[KT_FEED_MAX];
    uint32_t feed_count;
    kt_lane_source sources[KT_LANE_SOURCE_MAX];
    uint32_t source_count;
    kt_lane_follow_log follows[KT_LANE_SOURCE_MAX];
    uint32_t follow_count;
    uint32_t *masks; /* of the own log, by subject id */
    uint32_t mask_count;

    /* The state that a snapshot holds beside the services'. */
    kt_timers timers;
    kt_rng rng;
    uint64_t keys;       /* last kt_env_key() given out */
    int64_t last_ns;     /* time of the last input */
    uint64_t generation; /* of the last lane_start */
    uint32_t logic;      /* of the last lane_start */
    uint32_t config_crc; /* likewise */
    kt_lane_aside asides[KT_LANE_ASIDE_MAX];
    uint32_t aside_count;

    /* The record being applied. */
    bool active;
    bool question;  /* a call that must not change anything */
    bool live;      /* recovery is over */
    bool comparing; /* recovery: standing outputs of this input are compared */
    bool damaged;   /* recovery: records are missing, nothing behind them can be compared */
    uint64_t input_seq;
    int64_t now_ns;
    kt_made_queue made;
    uint8_t *scratch; /* payload of an input being encoded */
    uint32_t scratch_size;

    uint64_t call_token;     /* of the command being written */
    kt_lane_answer *answers; /* in the order of their commands */
    uint32_t answer_count;
    kt_lane_output **outputs; /* that some feed has not seen, in order */
    uint32_t output_count, output_room;
    uint64_t bytes_since;  /* own and foreign bytes applied since the last snapshot */
    uint64_t snapshot_seq; /* handed to the log and not yet known to be on disk; 0: none */
    bool was_clean;        /* the log had its clean mark */

    kt_board_page own_page; /* without a board */
    kt_board_page *page;
    uint32_t log_index;
    kt_waker waker;
    kt_sleeper sleeper;
    uint32_t spin;
    bool worked; /* in this turn */
    kt_hook hooks[3];
    kt_watch bell, control;
    kt_timer timer;
    kt_timer bus_timer;
    kt_timer intake_timer; /* intake has stopped: look again */
    kt_rng feed_rng;
    uint64_t hash_seed;

    bool stopping;
    bool failed;
    bool park;
    kt_err failure;
    kt_lane_counts counts;
};

/* lane.c: the code that a failed lane ends with, and why. */
kt_code kt_lane_failure(const kt_lane *lane, kt_err *err);

/* apply.c */
void kt_lane_apply(kt_lane *lane, const kt_rec *rec, kt_text subject, const void *payload, uint32_t size);
void kt_lane_apply_foreign(kt_lane *lane, kt_lane_source *source, const kt_rec *rec);
void kt_lane_begin(kt_lane *lane, uint64_t input_seq); /* a new input: forget the outputs of the last */
void kt_lane_settle(kt_lane *lane);                    /* live: write what was made */
kt_code kt_lane_write_made(kt_lane *lane, const kt_made *made);
uint32_t kt_lane_foreign_mask(kt_lane *lane, kt_lane_source *source, uint32_t subject_id);
bool kt_lane_is_aside(const kt_lane *lane, const char *log, uint64_t seq);
kt_lane_source *kt_lane_source_of(kt_lane *lane, kt_text name);
kt_code kt_lane_append(kt_lane *lane, uint16_t kind, uint16_t flags, kt_text subject, uint64_t cause,
    const void *payload, uint32_t size, kt_rec *out_rec);
void kt_lane_made_done(kt_made_queue *made);
bool kt_lane_pattern(const char *pattern, const char **out_pattern, char log[KT_BOARD_NAME_SIZE]);
void kt_lane_on_bus_call(void *ctx, const kt_bus_call *call);
bool kt_lane_lacks_room(const kt_lane *lane, kt_code code); /* KT_FULL that passes when there is room again */
kt_code kt_lane_put_input(kt_lane *lane, uint16_t kind, kt_text subject, uint64_t cause, const void *payload,
    uint32_t size, uint64_t *out_seq);

/* feeds.c */
uint32_t kt_lane_feeds_mask(const kt_lane *lane, kt_text subject);
/* An output stands in the log that the feeds of `mask` want. */
void kt_lane_feeds_keep(kt_lane *lane, const kt_made *made, const kt_rec_head *head, uint64_t seq, uint32_t mask);
kt_code kt_lane_feeds_start(kt_lane *lane, kt_err *err);
void kt_lane_feeds_live(kt_lane *lane);
void kt_lane_feeds_turn(kt_lane *lane);
bool kt_lane_feeds_pending(kt_lane *lane);    /* a turn may have something to do */
bool kt_lane_feeds_wait(const kt_lane *lane); /* one of them sees outputs when they are durable */
void kt_lane_feeds_stop(kt_lane *lane);

/* recover.c */
kt_code kt_lane_recover(kt_lane *lane, bool *out_park, kt_err *err);
kt_code kt_lane_snapshot(kt_lane *lane, kt_err *err);
uint32_t kt_lane_config_crc(const kt_lane_options *options);
/* The bytes of a snapshot, and from them a lane whose services have only been started; `version` is of the container.
 * KT_CORRUPT, KT_VERSION, KT_LIMIT; the services' own codes. After an error the lane is good for nothing but its end. */
kt_code kt_lane_save(const kt_lane *lane, kt_writer *writer);
kt_code kt_lane_restore(kt_lane *lane, uint32_t version, kt_text bytes, kt_err *err);
kt_code kt_lane_source_open(kt_lane *lane, kt_lane_source *source, kt_err *err); /* KT_NOENT: not there yet */
/* What can not be had of the source, to be written down as soon as the lane is live and takes inputs. */
void kt_lane_source_lost(kt_lane_source *source, kt_code why, kt_lost lost);

/* links.c */
kt_code kt_lane_links_start(kt_lane *lane, kt_err *err);
void kt_lane_links_stop(kt_lane *lane);

/* What goes over a lane's control socket, one datagram each; a LINK carries the descriptor of the rings. */
typedef enum kt_control_what { KT_CONTROL_STOP = 1, KT_CONTROL_LINK, KT_CONTROL_UNLINK } kt_control_what;

typedef struct kt_control_message {
    uint32_t what;
    uint32_t peer;
    uint32_t generation;
} kt_control_message;

kt_code kt_control_send(int fd, const kt_control_message *message, int passed_fd);
/* KT_EMPTY: nothing now. KT_GONE: the other side has closed. KT_CORRUPT: not a control message. */
kt_code kt_control_receive(int fd, kt_control_message *message, int *out_fd);

#endif
