/* lane/service.h - what a service is, and all that it may touch.
 *
 * A service is a deterministic state machine inside a lane. It sees events, timers and commands in the order of the lane's log
 * and makes outputs; time, randomness, memory of timers and effects come from `env` and from nowhere else. The same log
 * therefore gives the same outputs, byte for byte, whatever the machine, the year, the hash seed or the batch size.
 *
 * Life      start -> [restore] -> on_event, on_timer, on_call ... -> [snapshot ...] -> stop. start only allocates and reads its
 *           configuration. After it, the lane restores the newest snapshot and applies the log from there; then it appends
 *           a `lane_start` record, which goes to every service whose patterns match "lane.start.{lane}".
 * Order     one record at a time. A service's handlers run to the end before anybody else's. For a record, services are
 *           asked in the order of the lane's table; then the outputs they made are offered to all services, in the order made
 *           (so a pipeline gather -> repair -> vwap lives in one lane), until nothing new comes.
 * Time      kt_env_now() is the header time of the record being applied: of the input; of the foreign record itself, not of
 *           the admit. An output gets the time of the record that made it, so that a log made again is the same bytes.
 * Effects   kt_env_request() writes an output that asks a feed for something outside. It is carried out only at the live end,
 *           once per record; after a restart the service asks again for what is open when it gets `lane_start` (with the same
 *           key, as a new record). The answer comes back as an input whose `cause` is whatever the feed was told.
 * Memory    bounded and allocated at start (STYLE section 6).
 */
#ifndef KT_LANE_SERVICE_H
#define KT_LANE_SERVICE_H

#include "base/error.h"
#include "base/types.h"
#include "lane/bytes.h"
#include "log/record.h"
#include "schema/events.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct kt_env kt_env;
typedef struct kt_config kt_config;

enum {
    KT_SERVICE_MAX = 16,            /* services of one lane */
    KT_SERVICE_PATTERN_MAX = 16,    /* patterns of one service */
    KT_SERVICE_ACTION_MAX = 16,     /* actions of one service */
    KT_SERVICE_TIMER_MAX = 65536,   /* timers of one lane that wait at once */
    KT_SERVICE_OUTPUT_MAX = 262144, /* outputs that one input may make, those of its outputs included */
};

/* A record as a service sees it; everything is borrowed until the handler returns.
 * Own inputs and foreign records have their header as it stands in the log. Of the lane's own outputs (which a service sees
 * while they are made) rec->seq and rec->offset are 0: they are not part of what the order promises. */
typedef struct kt_event {
    const kt_rec *rec; /* kind, time_ns, cause, seq, offset */
    kt_text subject;
    kt_text log;        /* the log it comes from: the lane's own name for inputs and outputs */
    uint64_t input_seq; /* the own input (or admit) that everything made now will have as its cause */
    const void *payload;
    uint32_t size;
} kt_event;

/* A call of another lane. A command has been written as an input before it is seen; a question has not, and must change
 * nothing. */
typedef struct kt_call {
    kt_text action;
    kt_text params; /* JSON */
    kt_text caller; /* the lane that asks */
    uint64_t id;    /* the caller's: a repeated command has the same one */
    bool command;
    uint64_t token; /* for kt_env_answer(); 0 during recovery, where answers go nowhere */
} kt_call;

typedef struct kt_service_action {
    const char *name; /* "vwap.latest" */
    bool command;     /* changes state: written first, answered when durable */
} kt_service_action;

typedef struct kt_service_spec {
    const char *name;
    uint16_t version; /* of its snapshots; reads version - 1 too */
    /* Patterns, ended by NULL: "feed.>" of the own log's inputs and outputs, "market:trades.>" of log market (up to its durable). */
    const char *const *subjects;
    const kt_service_action *actions; /* ended by a NULL name; NULL: none */

    /* Allocate. No output, no timer, no randomness here. */
    kt_code (*start)(kt_env *env, const kt_config *config, void **out_state, kt_err *err);
    void (*on_event)(void *state, kt_env *env, const kt_event *event);
    void (*on_timer)(void *state, kt_env *env, uint64_t timer_id);
    /* Answer by kt_env_answer(), at once or later by the token. A code other than KT_OK answers with that code and no body. */
    kt_code (*on_call)(void *state, kt_env *env, const kt_call *call);
    kt_code (*snapshot)(const void *state, kt_writer *writer);
    kt_code (*restore)(void *state, uint16_t version, kt_text bytes, kt_err *err);
    void (*stop)(void *state); /* free; NULL is fine */
    /* Patterns (ended by NULL) of outputs that no feed or reader sees before their cause is durable: their subjects keep
     * their epoch after a power cut. NULL: none. */
    const char *const *after_durable;
} kt_service_spec;
/* NULL is allowed for on_event, on_timer, on_call, snapshot and restore; a service without snapshot starts empty after each
 * start and must live from what its patterns bring after the lane's newest snapshot. */

/* The same at every application of the record. */
int64_t kt_env_now(const kt_env *env);
uint64_t kt_env_random(kt_env *env);

/* A number that no other call in the life of this log gets: for idempotency keys and ids. Never 0. */
uint64_t kt_env_key(kt_env *env);

/* Seed for hash tables: differs between runs on purpose. Nothing that leaves the service may depend on it. */
uint64_t kt_env_hash_seed(const kt_env *env);

/* Name of the lane. */
const char *kt_env_lane(const kt_env *env);

/* Append an output: `event` is the struct of that kind (schema/events.h). KT_ARG: outside of on_event, on_timer and commands, or
 * not encodable; KT_SYNTAX, KT_LIMIT: the subject; KT_FULL: KT_SERVICE_OUTPUT_MAX. A service may ignore the code: the lane has
 * noted it and ends with it, because a lost output can not be repaired later. */
kt_code kt_env_emit(kt_env *env, uint16_t kind, kt_text subject, const void *event);

/* The same, and ask the lane's feeds to carry it out (kt_feed_spec.on_request). */
kt_code kt_env_request(kt_env *env, uint16_t kind, kt_text subject, const void *event);

/* Set (or move) a timer of this service; on_timer comes at or after at_ns by the lane's clock, as a recorded input. A timer is
 * gone when it has fired. KT_FULL: KT_SERVICE_TIMER_MAX. */
kt_code kt_env_timer(kt_env *env, uint64_t timer_id, int64_t at_ns);
void kt_env_timer_cancel(kt_env *env, uint64_t timer_id);

/* Answer a call. Commands: sent when the command's record is durable. Body is copied. */
void kt_env_answer(kt_env *env, const kt_call *call, kt_code code, kt_text body);

#endif
