/* bus/caller.h - calls that get over what passes: deadlines, retries, a circuit breaker and a bulkhead for each action.
 *
 * Deadline  A call ends at its deadline, whatever happens; every try is sent with the time that is left.
 * Retries   What could not be sent, or was refused as busy, was not done, and is tried again; what may have been done
 *           (KT_UNKNOWN) only where the action may be repeated. At most KT_CALLER_TRY_MAX tries under one id, after
 *           100 ms, 200 ms, 400 ms ..., each wait up to half longer by chance, so that callers do not come back all at
 *           once.
 * Breaker   Tries of the last 60 s are counted: when at least 20 ended and half of them or more failed, the next 10 s are
 *           answered KT_BUSY at once. Then one call is let through: it closes the breaker, or opens it again. Refusals by
 *           the action itself (no such value, a wrong parameter) are answers, not failures.
 * Bulkhead  KT_CALLER_OPEN_MAX calls of an action are under way, KT_CALLER_QUEUE_MAX wait in order, more are answered
 *           KT_BUSY at once: one slow action does not use up the places of the others.
 * Pure      The time is a parameter, chance and sending are functions of the caller's: no clock, no socket. Whoever uses
 *           it calls kt_caller_turn() at kt_caller_next().
 */
#ifndef KT_BUS_CALLER_H
#define KT_BUS_CALLER_H

#include "base/error.h"
#include "base/types.h"
#include "schema/actions.h"

typedef struct kt_caller kt_caller;

enum {
    KT_CALLER_CALL_MAX = 256,  /* calls of all actions, waiting ones included */
    KT_CALLER_OPEN_MAX = 32,   /* of one action under way */
    KT_CALLER_QUEUE_MAX = 64,  /* of one action waiting */
    KT_CALLER_TRY_MAX = 5,     /* tries of one call */
    KT_CALLER_BREAKER_MIN = 20 /* tries in the window before the breaker may open */
};
#define KT_CALLER_WAIT_NS INT64_C(100000000)     /* before the second try; twice as long before each further one */
#define KT_CALLER_WINDOW_NS INT64_C(60000000000) /* that the breaker looks back */
#define KT_CALLER_REST_NS INT64_C(10000000000)   /* that an open breaker stays open */
#define KT_CALLER_BREAKER_PERCENT 50             /* failed tries that open it */

typedef struct kt_caller_try {
    uint64_t id; /* the same in every try of a call, never used again */
    kt_action_index action;
    kt_text params;     /* JSON; borrowed */
    kt_text trace;      /* borrowed, see bus.h */
    int64_t timeout_ns; /* time that is left */
} kt_caller_try;

/* Send one try; must not block. The answer is given to kt_caller_answer(), later or from within. KT_NOENT (nobody is
 * there) and KT_BUSY: not sent, worth another try; other codes: not sent, for good. */
typedef kt_code (*kt_caller_send)(void *ctx, const kt_caller_try *one_try);

typedef struct kt_caller_options {
    kt_caller_send send;
    uint64_t (*random)(void *ctx);
    void *ctx; /* of both */
} kt_caller_options;

/* Who has the last word about a call. */
typedef enum kt_caller_end {
    KT_CALLER_ANSWERED, /* the action itself */
    KT_CALLER_LATE,     /* the deadline */
    KT_CALLER_CLOSED,   /* the breaker */
    KT_CALLER_FULL,     /* the bulkhead */
    KT_CALLER_ABSENT,   /* nobody was there to send it to, or nobody took it */
    KT_CALLER_GONE      /* whoever had it was started anew */
} kt_caller_end;

typedef struct kt_caller_answer {
    uint64_t id;
    kt_code code;
    kt_text body; /* of an answer: JSON, or with an error a message; borrowed for the callback */
    kt_caller_end end;
    uint32_t tries;
} kt_caller_answer;

typedef struct kt_caller_spec {
    kt_action_index action;
    kt_text params; /* copied, like trace */
    kt_text trace;
    int64_t deadline_ns;
    /* Exactly once, perhaps from within kt_caller_start(). */
    void (*on_answer)(void *ctx, const kt_caller_answer *answer);
    void *ctx;
} kt_caller_spec;

kt_caller *kt_caller_new(const kt_caller_options *options); /* NULL: no memory */

/* Open calls are not answered any more; `forget` (may be NULL) gets the ctx of each. NULL is fine. */
void kt_caller_free(kt_caller *caller, void (*forget)(void *ctx));

/* Call. Returns its id, 0 when it has been answered already. */
uint64_t kt_caller_start(kt_caller *caller, int64_t now_ns, const kt_caller_spec *spec);

/* The answer to a try; of a call that is not open any more it is ignored. KT_NOENT without a body: nobody answers the
 * action there, as when it could not be sent. */
void kt_caller_answer_try(kt_caller *caller, int64_t now_ns, uint64_t id, kt_code code, kt_text body);

/* Do what is due: next tries, deadlines. */
void kt_caller_turn(kt_caller *caller, int64_t now_ns);
int64_t kt_caller_next(const kt_caller *caller); /* when that is; INT64_MAX: nothing is open */

typedef struct kt_caller_counts {
    uint64_t retries;
    uint32_t open; /* under way or waiting */
    kt_breaker breaker;
} kt_caller_counts;

kt_caller_counts kt_caller_count(const kt_caller *caller, int64_t now_ns, kt_action_index action);

#endif
