/* edge/call.h - a call, through whichever door it came: REST or WebSocket.
 *
 * The door asks whether this client may (gate.h), reads the parameters (params.h) and starts the call. What the edge
 * answers itself (act.h) is answered at once; the rest goes to the lane that answers the action, with the time that is
 * left, by the rules of bus/caller.h. Every call is answered exactly once, and counted.
 */
#ifndef KT_EDGE_CALL_H
#define KT_EDGE_CALL_H

#include "base/histogram.h"
#include "edge/act.h"
#include "edge/edge.h"
#include "edge/gate.h"
#include "edge/params.h"
#include "edge/trace.h"

enum {
    KT_CALL_ANSWER_MAX = 1 << 20, /* bytes of an answer, whoever gives it */
    KT_CALL_TIME_MAX_MS = 60000   /* a deadline further away is brought to this */
};

typedef struct kt_calls kt_calls;

typedef struct kt_calls_options {
    kt_act_house house; /* for the edge's own actions; `calls` is filled in */
    kt_edge_ask ask;    /* NULL: nobody else is there */
    void *ask_ctx;
    uint64_t seed; /* of ids and waits; 0: random */
} kt_calls_options;

kt_calls *kt_calls_new(const kt_calls_options *options); /* NULL: no memory */
void kt_calls_free(kt_calls *calls);                     /* open calls are forgotten. NULL is fine */

typedef struct kt_call_answer {
    const kt_action *action;
    kt_code code;
    kt_text body;              /* KT_OK: JSON */
    const kt_refusal *refusal; /* otherwise */
    const kt_trace *trace;
} kt_call_answer;

typedef struct kt_call_spec {
    const kt_action *action;
    void *params; /* the struct of its table, checked; may be completed here */
    kt_trace trace;
    int64_t deadline_ns; /* of the loop's clock; 0: the action's own time from now */
    void (*on_answer)(void *ctx, uint64_t key, const kt_call_answer *answer); /* all of it borrowed */
    void *ctx;
    uint64_t key; /* the door's: exchange, or client and id */
} kt_call_spec;

/* May this client call it now? Takes what it costs, by edge.call_rate and edge.call_burst. KT_DENIED, KT_RATE. */
kt_code kt_calls_pass(kt_calls *calls, const kt_action *action, const kt_gate_client *client, kt_refusal *out_refusal);

/* Exactly one on_answer, perhaps from within. */
void kt_calls_start(kt_calls *calls, const kt_call_spec *spec);

/* As kt_edge_answer. */
void kt_calls_answer(kt_calls *calls, uint64_t ask_id, kt_code code, kt_text body);

/* Make a trace from what a client gave. */
void kt_calls_trace(kt_calls *calls, kt_trace *out_trace, kt_text request_id, kt_text traceparent);

/* A deadline as clients say it: ISO 8601, or ms since 1970. KT_SYNTAX: neither. KT_RANGE: it has passed. */
kt_code kt_calls_deadline(kt_calls *calls, kt_text text, int64_t *out_deadline_ns, kt_refusal *out_refusal);

typedef struct kt_call_counts {
    uint64_t calls; /* answered, errors included */
    uint64_t errors;
    uint64_t retries;
    uint64_t refused; /* at the gate */
    uint32_t open;
    kt_breaker breaker;
    uint64_t p50_ns, p99_ns; /* from the start to the answer, within 1/16; 0: no call yet */
} kt_call_counts;

kt_call_counts kt_calls_count(const kt_calls *calls, kt_action_index action);

/* How long answered calls took, from the start to the answer. */
const kt_histogram *kt_calls_times(const kt_calls *calls, kt_action_index action);

#endif
