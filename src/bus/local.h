/* bus/local.h - the inside of the local driver, shared by local.c (logs), local_call.c (rings) and local_kv.c (keys). */
#ifndef KT_BUS_LOCAL_H
#define KT_BUS_LOCAL_H

#include "bus/driver.h"
#include "bus/frame.h"
#include "bus/ring.h"
#include "log/cursor.h"
#include "log/log.h"
#include "log/reader.h"

enum {
    KT_LOCAL_DIR_SIZE = 512,
    KT_LOCAL_PATTERN_SIZE = 256,
    KT_LOCAL_POLL_MAX = 1024,      /* messages of a reader in one poll */
    KT_LOCAL_FRAME_POLL_MAX = 256, /* frames of one ring in one poll */
    KT_LOCAL_LOOP_MAX = 64,        /* frames to ourselves that wait */
};

typedef struct kt_local kt_local;

typedef struct kt_local_reader {
    kt_bus_reader base;
    kt_local *bus;
    char log[KT_BOARD_NAME_SIZE];
    char dir[KT_LOCAL_DIR_SIZE];
    char patterns[KT_BUS_PATTERN_MAX][KT_LOCAL_PATTERN_SIZE];
    uint32_t pattern_count;
    kt_bus_read_spec spec;
    char cursor_name[KT_LOG_NAME_MAX + 1];
    kt_cursor *cursor;
    kt_reader *reader; /* NULL: the log is not there yet */
    uint64_t position;
    int board_index; /* of the log; -1: not on the board */
    kt_code untold;  /* of the start: the next poll tells it; KT_OK: nothing */
    kt_lost untold_lost;
    bool stopped; /* the source can not be read on */
    bool closing; /* closed from within its own callback */
    bool busy;
} kt_local_reader;

/* Calls that we made, and calls that we serve. A token is the place in the table and how often that place was used. */
typedef struct kt_local_call {
    bool open;
    bool ended;  /* to be told at the next poll, with `code` */
    uint16_t at; /* its place in `order`, while it is open */
    uint32_t uses;
    uint32_t peer; /* KT_BOARD_LANE_MAX: ourselves */
    uint64_t id;
    uint64_t peer_token; /* served calls: the caller's */
    int64_t deadline_ns;
    kt_code code;
    void (*on_answer)(void *ctx, uint64_t id, kt_code code, kt_text body);
    void *ctx;
} kt_local_call;

/* The places of the open calls come first in `order`, free ones behind them, so that the table is never searched. */
typedef struct kt_local_calls {
    kt_local_call items[KT_BUS_CALL_MAX];
    uint16_t order[KT_BUS_CALL_MAX];
    uint32_t open;
    uint32_t ended; /* of the open ones */
} kt_local_calls;

typedef struct kt_local_action {
    char name[KT_BOARD_ACTION_SIZE];
    kt_bus_on_call on_call;
    void *ctx;
} kt_local_action;

typedef struct kt_local_peer {
    kt_peer_link link;
    uint32_t generation;
} kt_local_peer;

typedef struct kt_local_loop { /* a frame from us to us */
    struct kt_local_loop *next;
    uint32_t size;
    uint8_t bytes[];
} kt_local_loop;

typedef struct kt_local_ack {
    uint64_t seq;
    void (*on_ack)(void *ctx, kt_code code, uint64_t seq, kt_durability durability);
    void *ctx;
} kt_local_ack;

typedef struct kt_local_key {
    char *name;
    char *value;
    size_t size;
    uint64_t revision;
    bool removed;
} kt_local_key;

/* The keys of one log, as far as they were read. */
typedef struct kt_local_keys {
    kt_local_key *items;
    uint32_t count;
    bool loaded;
} kt_local_keys;

typedef struct kt_local_watch {
    char pattern[KT_LOCAL_PATTERN_SIZE];
    kt_bus_change on_change;
    void *ctx;
    kt_bus_reader *reader;
} kt_local_watch;

struct kt_local {
    kt_bus base;
    kt_bus_options options;
    char log_name[KT_BOARD_NAME_SIZE];
    kt_local_reader *readers[KT_BUS_READER_MAX];
    uint32_t reader_bound; /* behind the last place that was ever used */
    kt_local_calls calls;  /* that we made */
    kt_local_calls served; /* that we answer */
    uint64_t last_id;
    kt_local_action actions[KT_BUS_SERVE_MAX];
    uint32_t action_count;
    kt_local_peer peers[KT_BOARD_LANE_MAX];
    uint32_t peer_bound; /* behind the last peer that ever had a ring */
    kt_local_loop *loop_first, *loop_last;
    uint32_t loop_count;
    uint8_t *frame; /* KT_PEER_RING_FRAME_MAX bytes */
    kt_local_ack acks[KT_BUS_ACK_MAX];
    uint32_t ack_count;
    uint64_t *producers; /* by subject id: last producer sequence, UINT64_MAX: not looked up yet */
    uint32_t producer_count;
    kt_local_keys keys; /* of the own log */
    kt_local_watch watches[KT_BUS_WATCH_MAX];
    uint32_t watch_count;
};

int64_t kt_local_now(const kt_local *bus);
kt_code kt_local_append(kt_local *bus, uint16_t kind, kt_text subject, uint64_t cause, const void *payload,
    uint32_t size, uint64_t *out_seq, kt_err *err);

/* The last record of a subject that its log still has. KT_NOENT: none. Valid until the reader's next call. */
kt_code kt_local_last(kt_reader *live, kt_reader *reader, kt_text subject, const kt_rec **out_rec);

/* local_call.c */
void kt_local_calls_open(kt_local *bus);
kt_code kt_local_call_start(kt_bus *base, const kt_bus_call_spec *spec, uint64_t *out_id, kt_err *err);
kt_code kt_local_serve(kt_bus *base, kt_text action, kt_bus_on_call on_call, void *ctx, kt_err *err);
kt_code kt_local_answer(kt_bus *base, uint64_t token, kt_code code, kt_text body);
kt_code kt_local_link(kt_bus *base, uint32_t peer_index, uint32_t generation, int fd, kt_err *err);
uint32_t kt_local_poll_calls(kt_local *bus);
bool kt_local_calls_pending(const kt_local *bus);
int64_t kt_local_next_deadline(const kt_bus *base);
void kt_local_calls_close(kt_local *bus);

/* local_kv.c */
kt_code kt_local_put(kt_bus *base, kt_text key, kt_text value, uint64_t expected, uint64_t *out_revision, kt_err *err);
kt_code kt_local_get(kt_bus *base, kt_text key, kt_text *out_value, uint64_t *out_revision);
kt_code kt_local_watch_keys(
    kt_bus *base, const char *log, kt_text pattern, kt_bus_change on_change, void *ctx, kt_err *err);
void kt_local_keys_close(kt_local *bus);

#endif
