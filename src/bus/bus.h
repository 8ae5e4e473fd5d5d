/* bus/bus.h - one way to publish, read, call and watch, whatever carries it: local logs and rings, NATS or Redis.
 *
 * Contract  at least once, in the order of each log; effect once comes from the reader, which stores (producer, seq) or its
 *           cursor with its state in one step. bus_test.c holds every driver to it.
 * Drivers   one row of a table each (kt_bus_driver). `local`: logs of one node, no broker, the default.
 * Loop      callbacks run from kt_bus_poll() on the lane's loop and from nowhere else. Nothing here blocks.
 * Names     a log and a pattern are written "market:trades.>"; without a log it is the bus's own ("local.log" below).
 * Strength  each acknowledgement names its durability; a driver that can not give what is asked refuses at open.
 */
#ifndef KT_BUS_BUS_H
#define KT_BUS_BUS_H

#include "base/error.h"
#include "base/types.h"
#include "bus/board.h"
#include "bus/wake.h"
#include "log/record.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct kt_bus kt_bus;
typedef struct kt_bus_reader kt_bus_reader;
typedef struct kt_bus_call kt_bus_call;
typedef struct kt_log kt_log;

enum {
    KT_BUS_PATTERN_MAX = 16, /* patterns of one reader */
    KT_BUS_READER_MAX = 64,  /* readers of one bus */
    KT_BUS_CALL_MAX = 1024,  /* calls of one bus that are open at once, either way */
    KT_BUS_SERVE_MAX = 32,   /* actions that one bus answers */
    KT_BUS_WATCH_MAX = 64,   /* key-value watches of one bus */
    KT_BUS_KEY_SIZE = 200,   /* bytes of a key */
    KT_BUS_KEY_MAX = 4096,   /* keys of one log */
    KT_BUS_TRACE_MAX = 256,  /* bytes of a call's trace */
    KT_BUS_ACK_MAX = 4096,   /* publishes that wait for their acknowledgement */
};

typedef enum kt_durability { KT_DURABILITY_RAM, KT_DURABILITY_DISK, KT_DURABILITY_QUORUM } kt_durability;

/* "ram", "disk", "quorum". */
const char *kt_durability_text(kt_durability durability);

/* A record as it is read: `rec` is its header, valid with `payload` until the callback returns. */
typedef struct kt_bus_message {
    kt_text log;
    kt_text subject;
    uint64_t epoch;
    const kt_rec *rec;
    const void *payload;
    uint32_t size;
} kt_bus_message;

typedef struct kt_bus_options {
    const char *driver;       /* "local" */
    kt_durability durability; /* the least that acknowledgements of publish must stand for */
    struct {
        const char *data_dir;   /* logs are its folders */
        const uint8_t *boot_id; /* for tests, as kt_reader_open(); NULL: the kernel's */
        kt_log *log;            /* the log of this lane, borrowed; NULL: a bus that only reads and calls */
        const char *log_name;   /* its name */
        /* Append to that log; NULL: straight to `log`, as an input. A lane gives its own, so that what is published is
         * applied by its services at once. */
        kt_code (*append)(void *ctx, uint16_t kind, kt_text subject, uint64_t cause, const void *payload, uint32_t size,
            uint64_t *out_seq, kt_err *err);
        void *append_ctx;
        const kt_board *board;          /* NULL: alone, no other lane; then polled at leisure */
        uint32_t lane_index;            /* ours on the board */
        kt_waker *waker;                /* to ring other lanes; NULL without a board */
        int64_t (*clock_ns)(void *ctx); /* monotonic, for deadlines; NULL: the system's */
        void *clock_ctx;
    } local;
} kt_bus_options;

/* KT_ARG: unknown driver (the message lists them) or a durability that it can not give. */
kt_code kt_bus_open(const kt_bus_options *options, kt_bus **out_bus, kt_err *err);

/* Ends readers, watches and calls; open calls end KT_UNKNOWN. NULL is fine. */
void kt_bus_close(kt_bus *bus);

/* Publish ----------------------------------------------------------------------------------------------------- */

typedef struct kt_bus_publish_spec {
    uint16_t kind;
    kt_text subject;
    const void *payload;
    uint32_t size;
    /* 0: not numbered. Otherwise a number that grows with each message of this producer on this subject; one at or below
     * the last that stands in the log is dropped and acknowledged again, so a publish whose fate is unknown is repeated
     * with the same number. */
    uint64_t producer_seq;
    /* Told once the record has the durability asked for at open (or KT_UNKNOWN when the bus closes before). NULL: nobody. */
    void (*on_ack)(void *ctx, kt_code code, uint64_t seq, kt_durability durability);
    void *ctx;
} kt_bus_publish_spec;

/* KT_FULL: intake is stopped (disk, hold_bytes) or too many acknowledgements wait. KT_ARG: the bus has no log. */
kt_code kt_bus_publish(kt_bus *bus, const kt_bus_publish_spec *spec, uint64_t *out_seq, kt_err *err);

/* Read -------------------------------------------------------------------------------------------------------- */

typedef enum kt_bus_from { KT_BUS_FROM_LIVE, KT_BUS_FROM_SEQ, KT_BUS_FROM_TIME, KT_BUS_FROM_CURSOR } kt_bus_from;

typedef struct kt_bus_read_spec {
    const char *const *patterns; /* "market:trades.>" ..., all of one log; copied */
    uint32_t pattern_count;
    kt_bus_from from;
    uint64_t seq;       /* FROM_SEQ: the first */
    int64_t time_ns;    /* FROM_TIME: the first at or after it */
    const char *cursor; /* a durable cursor of that name; FROM_CURSOR starts behind what it acknowledged, or at 1 */
    bool durable_only; /* only up to the source's durable: whoever keeps what it reads outside memory must ask for it */
    uint32_t poll_max; /* messages a poll, so that one reader can not keep the loop; 0: 1024 */
    void (*on_message)(void *ctx, kt_bus_reader *reader, const kt_bus_message *message);
    /* Records that can not be had; told from kt_bus_poll(), of the place to start from too. NULL: not told.
     *   KT_GONE     retention removed them; reading goes on behind lost_to
     *   KT_EPOCH    the cursor's epoch has ended before it; reading goes on with the newest epoch, lost_to is 0: unknown
     *   KT_SEQ      the place is beyond the end, no range; reading goes on at the end
     *   KT_CORRUPT  damaged at lost_from; reading goes on behind the fence at lost_to, or has stopped where that is 0
     *   any other   the source can not be read (KT_VERSION, KT_SYS ...); the reader has stopped */
    void (*on_lost)(void *ctx, kt_bus_reader *reader, kt_code code, uint64_t lost_from, uint64_t lost_to);
    void *ctx;
} kt_bus_read_spec;

/* The source's folder need not exist yet: reading starts when it does. KT_LIMIT: too many readers or patterns. KT_ARG:
 * patterns of two logs, or a wrong pattern. */
kt_code kt_bus_read(kt_bus *bus, const kt_bus_read_spec *spec, kt_bus_reader **out_reader, kt_err *err);
void kt_bus_read_close(kt_bus_reader *reader);

/* Everything up to `seq` has its effect on disk: retention may remove it, FROM_CURSOR starts behind it. */
kt_code kt_bus_ack(kt_bus_reader *reader, uint64_t seq, kt_err *err);

/* The last seq that was handed to on_message or skipped as not matching. */
uint64_t kt_bus_reader_position(const kt_bus_reader *reader);

/* Call and serve ---------------------------------------------------------------------------------------------- */

typedef struct kt_bus_call_spec {
    kt_text action;     /* "vwap.historical" */
    const char *to;     /* the lane to ask; NULL: one that says it answers the action */
    kt_text params;     /* JSON, copied */
    kt_text trace;      /* by which the call is found again in every lane: traceparent (W3C) and request id; copied */
    uint64_t id;        /* the caller's; a call whose outcome is unknown is repeated with the same one; 0: made up */
    int64_t timeout_ns; /* from now; 0: KT_BUS_TIMEOUT_NS */
    /* Exactly once, never from within kt_bus_call(). KT_OK or the server's code with its body; KT_TIMEOUT: no answer in
     * time, KT_UNKNOWN: either side restarted meanwhile; in both cases it may have been done. */
    void (*on_answer)(void *ctx, uint64_t id, kt_code code, kt_text body);
    void *ctx;
} kt_bus_call_spec;

#define KT_BUS_TIMEOUT_NS INT64_C(2000000000)

/* KT_NOENT: nobody answers this action, or its lane is not running. KT_BUSY: the ring or the table of open calls is full.
 * After an error on_answer is not called. */
kt_code kt_bus_call_start(kt_bus *bus, const kt_bus_call_spec *spec, uint64_t *out_id, kt_err *err);

/* What a server sees. Valid until it is answered. */
struct kt_bus_call {
    kt_text action;      /* borrowed until on_call returns */
    kt_text params;      /* likewise */
    kt_text trace;       /* likewise; to be passed on with calls that this one makes */
    kt_text caller;      /* name of the lane that asks; likewise */
    uint64_t id;         /* the caller's id: the same when it repeats an unknown call */
    int64_t deadline_ns; /* monotonic */
    uint64_t token;      /* for kt_bus_answer() */
};

/* Answer this action. on_call may answer at once or later by the token. KT_LIMIT; KT_BUSY: somebody else on this bus does. */
typedef void (*kt_bus_on_call)(void *ctx, const kt_bus_call *call);
kt_code kt_bus_serve(kt_bus *bus, kt_text action, kt_bus_on_call on_call, void *ctx, kt_err *err);

/* KT_NOENT: the caller is gone or its time is over; nothing to be done. KT_BUSY: its ring is full: try again later. */
kt_code kt_bus_answer(kt_bus *bus, uint64_t token, kt_code code, kt_text body);

/* Keys and values ---------------------------------------------------------------------------------------------- */

/* Kept as records of kind `kv` under "kv.{key}" of the own log, and as a table in memory. A key is tokens with dots, as a
 * subject. Revisions count the values of a key: 1, 2, 3 ... `expected`: the one that must stand, UINT64_MAX: any, 0: none
 * yet; otherwise KT_SEQ. A value without bytes removes the key. KT_FULL: KT_BUS_KEY_MAX. A value lives as long as its log
 * keeps the record. */
kt_code kt_bus_put(kt_bus *bus, kt_text key, kt_text value, uint64_t expected, uint64_t *out_revision, kt_err *err);

/* The value as it stands; KT_NOENT. Borrowed until the next put or poll. */
kt_code kt_bus_get(kt_bus *bus, kt_text key, kt_text *out_value, uint64_t *out_revision);

/* Every key that matches ("venue.*"): as it stands, from within this call, then at each change from kt_bus_poll(). `log`: NULL is the own. */
typedef void (*kt_bus_change)(void *ctx, kt_text key, kt_text value, uint64_t revision);
kt_code kt_bus_watch(kt_bus *bus, const char *log, kt_text pattern, kt_bus_change on_change, void *ctx, kt_err *err);

/* Members, poll ------------------------------------------------------------------------------------------------ */

typedef struct kt_bus_member {
    char name[KT_BOARD_NAME_SIZE];
    kt_board_state state;
    uint32_t generation;
    int32_t pid;
    uint32_t restarts;
} kt_bus_member;

/* The lanes of the node, at most `max`; returns how many. */
uint32_t kt_bus_members(const kt_bus *bus, kt_bus_member *out_members, uint32_t max);

/* Deliver what is there: messages, calls, answers, changes, ended deadlines. Returns how many callbacks ran. */
uint32_t kt_bus_poll(kt_bus *bus);

/* Something is waiting for kt_bus_poll(): do not sleep. Asked after the lane is marked asleep. */
bool kt_bus_pending(kt_bus *bus);

/* Tell the sleeper what this bus waits for, before kt_sleep_begin(). */
void kt_bus_wants(kt_bus *bus, kt_sleeper *sleeper);

/* Monotonic time of the next deadline; INT64_MAX: none. */
int64_t kt_bus_next_deadline(const kt_bus *bus);

/* A ring pair of a new generation with another lane arrived; the descriptor is taken over. Calls that were open with it
 * end KT_UNKNOWN. fd -1: the lane is gone. */
kt_code kt_bus_link(kt_bus *bus, uint32_t peer_index, uint32_t generation, int fd, kt_err *err);

#endif
