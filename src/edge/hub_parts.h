/* edge/hub_parts.h - what the files of the hub share: hub.c (logs, live stream), hub_fanout.c (from there to clients),
 * hub_replay.c (reading back), hub_client.c (what clients ask, and what is sent to them), hub_call.c (the actions that
 * they call). Nobody else includes it.
 *
 * A subscription is in one state at a time, and in the lists that belong to it:
 *
 *     WAITING  its channel does not exist yet                     hub->waiting
 *     LIVE     hears its subject as it comes                      subject->live[phase of its client]
 *     REPLAY   reads the log, until it meets the live reader      hub->replays
 *     BLOCKED  would replay, but its client has no room           (found through its client)
 */
#ifndef KT_EDGE_HUB_PARTS_H
#define KT_EDGE_HUB_PARTS_H

#include "base/histogram.h"
#include "edge/hub.h"
#include "edge/protocol.h"
#include "log/reader.h"
#include "net/ws_server.h"

typedef struct kt_sub kt_sub;
typedef struct kt_hub_source kt_hub_source;
typedef struct kt_hub_client kt_hub_client;

/* A link of a list with a head of the same kind; a head is linked to itself. */
typedef struct kt_link_node {
    struct kt_link_node *next, *prev;
} kt_link_node;

/* Frames one behind the other, so that many leave in one write, from here: each client's numbers are written into them
 * before, unless they are there already, since clients have often heard as much as the one before. */
typedef struct kt_frame_span {
    uint32_t at;      /* in `bytes`; it ends where the next one begins */
    uint32_t body_at; /* in `bytes`, where its JSON starts */
} kt_frame_span;

typedef struct kt_frames {
    uint8_t *bytes;
    uint32_t size;
    uint32_t room;
    uint32_t count;
    uint32_t span_room;
    kt_frame_span *spans;
    uint64_t number;                     /* what the first of them would have ... */
    uint32_t numbered_from, numbered_to; /* ... by the numbers that these have */
} kt_frames;

typedef struct kt_run_event {
    uint64_t seq;    /* of the record */
    int64_t time_ns; /* of the record */
    uint64_t tick;   /* of its class when it came */
    uint32_t sent;   /* to so many clients, since delays were noted */
} kt_run_event;

/* Events of a channel without a gap that some client may not have yet. */
typedef struct kt_run {
    struct kt_run *next; /* while it is spare */
    uint64_t epoch;
    uint64_t first_offset;
    uint32_t count;
    uint32_t room;
    kt_run_event *events;
    kt_frames plain;  /* of each of them */
    kt_frames packed; /* of the first of them, as far as clients that agreed to permessage-deflate were due */
} kt_run;

typedef struct kt_hub_subject {
    kt_hub_source *source;
    kt_text name; /* the live reader's */
    uint32_t id;
    bool after_durable;
    bool watched;
    uint64_t epoch;
    uint64_t last_offset; /* newest that the live reader has passed */
    kt_flush_class flush;
    kt_link_node fresh; /* in the list of its class while some client may not have what is in `run` */
    kt_link_node live[KT_HUB_PHASES];
    uint32_t live_count;
    uint32_t strict_count; /* of them those that may skip nothing */
    uint32_t dirty_count;  /* of them those that owe their client the newest event */
    kt_run *run;           /* NULL: everybody has everything */
} kt_hub_subject;

#define KT_SUBJECT_OF(node) ((kt_hub_subject *)((char *)(node)-offsetof(kt_hub_subject, fresh)))

/* Channels that are flushed together. */
typedef struct kt_fan_class {
    kt_hub *hub;
    int64_t tick_ns;    /* from phase to phase; 0: all at once, each turn */
    uint64_t tick;      /* the last one, counted from the start of the clock; its phase: modulo KT_HUB_PHASES */
    kt_link_node fresh; /* subjects */
    kt_timer timer;     /* set while there are some, unless tick_ns is 0 */
} kt_fan_class;

struct kt_hub_source {
    char *name;
    char *dir;
    kt_reader *live; /* NULL: could not be opened yet */
    kt_rec *held;    /* read, but it may leave only when it is durable: a copy */
    kt_hub_subject **subjects;
    uint32_t subject_count; /* ids 0 to count - 1; 0 is the log's own */
    uint32_t subject_room;
    int64_t retry_ns; /* loop time; 0: nothing wrong */
    kt_err err;
    kt_reader *idle[KT_HUB_READER_MAX];
    uint32_t idle_count;
    uint32_t reader_count; /* replay readers, idle ones included */
    uint32_t want_count;   /* replays that found none in this turn */
};

typedef enum kt_sub_state { KT_SUB_WAITING, KT_SUB_LIVE, KT_SUB_REPLAY, KT_SUB_BLOCKED } kt_sub_state;

struct kt_sub {
    /* what every flush looks at, side by side */
    kt_link_node link;       /* in the list of its state */
    kt_hub_client *client;   /* NULL: the hub's own, for a watched subject */
    kt_hub_subject *subject; /* NULL while waiting */
    kt_sub *next_due;        /* of its client's */
    uint64_t last_offset;    /* accounted for: sent, or told as lost */
    kt_sub_state state;
    bool conflate; /* the client agrees, and the class allows it */
    bool dirty;    /* live: owes the newest event */
    /* the rest */
    bool behind; /* its client was too slow for the live stream */
    bool thin;   /* replay: the next event may stand for those before it */
    bool placed; /* replay: the reader stands where it should */
    bool by_time;
    bool gone;   /* by_time: the log does not go back that far */
    bool has_id; /* by_time: of the op that is answered when the first event is found */
    int64_t id;
    kt_link_node client_link; /* in client->subs; unused without a client */
    uint64_t from_offset;     /* replay: events before it are passed over */
    uint64_t epoch;           /* replay: of the subject where the reader stands */
    uint64_t log_epoch;       /* replay: in which `seq` counts */
    uint64_t seq;             /* replay: read from here when not placed */
    uint64_t mark;            /* replay: live position when it was asked for; what comes later may be conflated */
    int64_t time_ns;          /* by_time */
    kt_reader *reader;        /* replay: NULL when it waits for one */
    uint16_t name_size;
    char name[]; /* of the channel */
};

struct kt_hub_client {
    kt_hub *hub;
    kt_ws_conn *conn;
    uint64_t seq;
    kt_sub *due; /* subscriptions that are to be sent to now, in order */
    kt_sub *due_last;
    kt_hub_client *next_due; /* of the hub's */
    kt_link_node subs;
    uint32_t sub_count;
    uint32_t behind_count;
    uint32_t phase;
    int64_t since_ns; /* loop time */
    uint64_t slow_begun;
    uint64_t skipped;
    bool operates; /* may call what has scope `operate` (gate.h) */
    kt_timer silence;
};

struct kt_hub {
    kt_loop *loop;
    kt_ws_server *ws;
    kt_hub_source sources[KT_EDGE_SOURCE_MAX];
    uint32_t source_count;
    bool has_boot_id;
    uint8_t boot_id[KT_BOOT_ID_SIZE];
    kt_fan_class classes[KT_FLUSH_COUNT];
    kt_hub_client *due; /* clients with subscriptions that are due */
    kt_hub_client *due_last;
    kt_hub_client
        *sole; /* the one whose turn it is, with one subscription that is due: what it gets may leave at once */
    uint32_t phase_next;
    kt_run *spare;
    uint32_t spare_count;
    uint32_t buffer_bytes;
    uint32_t answer_reserve; /* bytes of a client's buffer that events leave free */
    int64_t silence_ns;
    char *watch[KT_HUB_WATCH_MAX];
    void (*on_watched)(void *ctx, kt_text subject, const kt_rec *rec);
    void *watch_ctx;
    bool leaving;
    uint32_t watch_open; /* watched subjects whose newest record is still being looked for */
    kt_link_node waiting;
    kt_link_node replays;
    kt_timer retry;
    struct kt_calls *calls;
    kt_link_node open_calls;
    kt_op_scratch op_scratch;
    uint8_t *scratch; /* the message that is being built, KT_HUB_EVENT_MAX bytes */
    uint8_t *packed;  /* the event that is being sent, compressed, as many */
    kt_edge_counts counts;
    kt_histogram delays;
};

static inline void kt_link_init(kt_link_node *head)
{
    head->next = head->prev = head;
}

static inline bool kt_link_empty(const kt_link_node *head)
{
    return head->next == head;
}

static inline void kt_link_push(kt_link_node *head, kt_link_node *node) /* at the end */
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void kt_link_remove(kt_link_node *node) /* harmless when in no list */
{
    if (node->next == NULL)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

#define KT_SUB_OF(node) ((kt_sub *)((char *)(node)-offsetof(kt_sub, link)))
#define KT_SUB_OF_CLIENT(node) ((kt_sub *)((char *)(node)-offsetof(kt_sub, client_link)))

/* hub.c */

/* Seq of the record that the live reader looks at next: replays stop before it. */
uint64_t kt_hub_source_next_seq(const kt_hub_source *source);

/* Build the frame of an event in hub->scratch. KT_FULL: larger than KT_HUB_EVENT_MAX as JSON. */
kt_code kt_hub_event_frame(
    kt_hub *hub, const kt_hub_subject *subject, uint64_t epoch, const kt_rec *rec, kt_message *out_message);

/* The subject of that name in any source; NULL: there is none (yet). */
kt_hub_subject *kt_hub_find(kt_hub *hub, kt_text name);

/* Try again what could not be read, after KT_HUB_RETRY_MS. */
void kt_hub_source_retry_later(kt_hub *hub, kt_hub_source *source);

/* hub_fanout.c */

void kt_fan_init(kt_hub *hub, const uint32_t flush_ms[KT_FLUSH_COUNT]);
void kt_fan_done(kt_hub *hub); /* clients and subjects have gone */
void kt_fan_intervals(kt_hub *hub, const uint32_t flush_ms[KT_FLUSH_COUNT]);

void kt_fan_subject_init(kt_hub_subject *subject);
void kt_fan_subject_done(kt_hub_subject *subject);

/* Gather an event for those who hear the subject live; there are some. */
void kt_fan_event(kt_hub *hub, kt_hub_subject *subject, const kt_rec *rec);

/* What is gathered leaves now: something else is to be said about the channel. */
void kt_fan_out(kt_hub *hub, kt_hub_subject *subject);

/* All that is not gathered for longer than a turn. */
void kt_fan_turn(kt_hub *hub);

/* In and out of the live stream. */
void kt_fan_join(kt_sub *sub);
void kt_fan_leave(kt_sub *sub);

/* Walk those who hear it live: start with NULL. */
kt_sub *kt_fan_next(const kt_hub_subject *subject, const kt_sub *sub);

/* There is room for the newest event, which it owes its client. */
void kt_fan_newest(kt_hub *hub, kt_sub *sub);

/* One fewer owes it: nothing may have to be kept any more. */
void kt_fan_clean(kt_hub *hub, kt_hub_subject *subject);

/* hub_replay.c */

/* Read the subject's log for this subscription: everything after `offset` of `epoch` (0: of whichever). Fills
 * out_resume (may be NULL) as kt_reader_resume does and answers its code; after KT_OK, KT_EPOCH, KT_GONE and KT_SEQ the
 * subscription is in state REPLAY and its last_offset is right, after others it is in no state. */
kt_code kt_replay_after(kt_hub *hub, kt_sub *sub, uint64_t epoch, uint64_t offset, kt_resume *out_resume, kt_err *err);

/* From the first record of the subject at or after sub->time_ns. */
void kt_replay_by_time(kt_hub *hub, kt_sub *sub);

/* From this record of the live stream, which its client has no room for: blocked until there is. */
void kt_replay_blocked_at(kt_hub *hub, kt_sub *sub, uint64_t epoch, uint64_t seq);

void kt_replay_unblock(kt_hub *hub, kt_sub *sub);
void kt_replay_leave(kt_sub *sub); /* out of REPLAY or BLOCKED into no state */
void kt_replay_turn(kt_hub *hub);  /* one slice each, in turns */

/* hub_client.c */

kt_code kt_client_server_open(kt_hub *hub, uint32_t client_max, kt_err *err);

/* One event for one subscription that is due for it: sends it, with its numbers written into the message, and keeps
 * last_offset right. `may_skip`: events between last_offset and this one were left out on purpose; otherwise there are
 * none (asserted). KT_FULL: no room, nothing has changed. KT_LIMIT: can never fit its client's buffer, told as a gap.
 * KT_NOENT: its client is closing. */
kt_code kt_sub_offer(kt_sub *sub, kt_message *message, uint64_t offset, bool may_skip);

/* Finished frames to a client: written from where they lie when nothing else is due for it. Codes of kt_ws_send_now. */
kt_code kt_client_put(kt_hub_client *client, const uint8_t *bytes, size_t size);

/* Tell that offsets from `from` to `to` (0: not known) are lost. */
void kt_sub_tell_gap(kt_sub *sub, uint64_t epoch, uint64_t from, uint64_t to, const char *reason);

/* Tell a new epoch, whose first offset this is. */
void kt_sub_tell_epoch(kt_sub *sub, uint64_t before, uint64_t epoch, uint64_t first_offset);

/* Is its client too slow for it? Counted a client. */
void kt_sub_behind(kt_sub *sub, bool behind);
void kt_sub_clean(kt_sub *sub); /* it owes nothing any more */

/* Let its client go: it is too slow. */
void kt_client_close_slow(kt_hub_client *client, uint16_t close_code, kt_text reason);

/* The answer to subscribe: the stream begins behind sub->last_offset. `reason` NULL: recovered. `lost`: from or to 0
 * are not known; NULL: nothing to name. */
void kt_sub_answer(kt_sub *sub, bool has_id, int64_t id, uint64_t epoch, const kt_lost *lost, const char *reason);

/* Into the live stream, which every record before the live reader's position has passed; what of them was not accounted
 * for is told as lost. */
void kt_sub_go_live(kt_sub *sub);

void kt_sub_free(kt_hub *hub, kt_sub *sub);
void kt_client_free(kt_hub_client *client);

/* Send what is no event: it may use the whole buffer, and a client that does not even read its answers is let go. */
void kt_client_say(kt_hub_client *client, kt_message *message);
void kt_client_answer_error(
    kt_hub_client *client, const kt_op *op, kt_op_fault fault, const char *field, const char *text);

/* hub_call.c */

void kt_client_call(kt_hub_client *client, const kt_op *op);
void kt_client_forget_calls(kt_hub_client *client); /* it goes: nobody is to be told */
void kt_hub_forget_calls(kt_hub *hub);

#endif
