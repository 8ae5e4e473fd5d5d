/* store/desk.h - questions about the store, answered one after the other by a thread of its own.
 *
 * Whoever keeps the store never waits for who reads it: a question is copied and answered by the desk's thread through its
 * own connection (store/query.h), which is opened with the first one.
 *
 * Actions  those of kt_desk_answers(): their Params as JSON in, their Response as JSON out (schema/actions.h).
 * Bounds   KT_DESK_WAIT_MAX questions, answered ones that nobody has taken included; each at most KT_QUERY_TIME_NS from
 *          when it is taken up. One whose time is over before is answered KT_TIMEOUT unseen.
 * Threads  everything here is for the caller's one thread; only on_done comes from the desk's.
 */
#ifndef KT_STORE_DESK_H
#define KT_STORE_DESK_H

#include <stdbool.h>

#include "base/error.h"
#include "schema/actions.h"
#include "schema/config.h"
#include "store/query.h"

enum {
    KT_DESK_WAIT_MAX = 64,
    KT_DESK_ANSWER_MAX = 1 << 20, /* bytes of an answer */
};

typedef struct kt_desk kt_desk;

typedef struct kt_desk_options {
    const kt_config *config;    /* borrowed: which store, and what windows and composites there are */
    kt_query_clock clock;       /* of time-outs, read by both threads */
    void (*on_done)(void *ctx); /* from the desk's thread: there is an answer to take */
    void *ctx;
} kt_desk_options;

typedef struct kt_desk_question {
    kt_action_index action;
    kt_text params;     /* JSON, copied */
    uint64_t token;     /* the caller's, given back with the answer */
    int64_t timeout_ns; /* from now */
    uint64_t durable;   /* of log KT_RECORDER_LOG as the caller sees it; 0: not known */
} kt_desk_question;

typedef struct kt_desk_answer {
    uint64_t token;
    kt_code code;
    kt_text body; /* KT_OK: JSON; else why not */
} kt_desk_answer;

/* Can a desk answer this action? */
bool kt_desk_answers(kt_action_index action);

/* Start the thread. KT_SYS. */
kt_code kt_desk_open(const kt_desk_options *options, kt_desk **out_desk, kt_err *err);

/* Stop what it is doing, and forget what was asked. NULL is fine. */
void kt_desk_close(kt_desk *desk);

/* KT_BUSY: KT_DESK_WAIT_MAX are waiting, or no memory. */
kt_code kt_desk_ask(kt_desk *desk, const kt_desk_question *question, kt_err *err);

/* The oldest answer that was not dropped yet, borrowed until it is; false: none. */
bool kt_desk_answered(const kt_desk *desk, kt_desk_answer *out_answer);
void kt_desk_drop(kt_desk *desk);

#endif
