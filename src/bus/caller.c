#include "bus/caller.h"

#include "base/assert.h"

#include <stdlib.h>

enum { SLOT_COUNT = 6 }; /* parts of the breaker's window */
#define SLOT_NS (KT_CALLER_WINDOW_NS / SLOT_COUNT)

typedef enum call_state { CALL_FREE, CALL_QUEUED, CALL_SENT, CALL_RESTING } call_state;

typedef struct call {
    uint64_t id;
    call_state state;
    kt_action_index action;
    kt_text params; /* one allocation with trace */
    kt_text trace;
    int64_t deadline_ns;
    int64_t next_ns; /* resting: of the next try */
    uint64_t order;  /* queued */
    uint32_t tries;
    bool probe; /* the one that a half-open breaker lets through */
    void (*on_answer)(void *ctx, const kt_caller_answer *answer);
    void *ctx;
} call;

typedef struct slot {
    int64_t number; /* of the stretch of time that it counts */
    uint32_t ended, failed;
} slot;

typedef struct gate {
    uint32_t open, queued;
    uint64_t retries;
    slot slots[SLOT_COUNT];
    bool tripped;
    int64_t tripped_ns;
    bool probing;
} gate;

struct kt_caller {
    kt_caller_options options;
    uint64_t started;
    gate gates[KT_ACTION_COUNT];
    call calls[KT_CALLER_CALL_MAX];
};

/* ---- breaker ---- */

static kt_breaker breaker_of(const gate *to, int64_t now_ns)
{
    if (!to->tripped)
        return KT_BREAKER_CLOSED;
    return now_ns - to->tripped_ns < KT_CALLER_REST_NS ? KT_BREAKER_OPEN : KT_BREAKER_HALF_OPEN;
}

static void trip(gate *to, int64_t now_ns)
{
    to->tripped = true;
    to->tripped_ns = now_ns;
}

static void count_try(gate *to, int64_t now_ns, bool failed)
{
    int64_t number = now_ns / SLOT_NS;
    slot *now = &to->slots[number % SLOT_COUNT];
    uint32_t all = 0, bad = 0;

    if (now->number != number)
        *now = (slot){ .number = number };
    now->ended++;
    now->failed += failed;
    for (uint32_t i = 0; i < SLOT_COUNT; i++)
        if (to->slots[i].number > number - SLOT_COUNT) {
            all += to->slots[i].ended;
            bad += to->slots[i].failed;
        }
    if (!to->tripped && all >= KT_CALLER_BREAKER_MIN && bad * 100 >= all * KT_CALLER_BREAKER_PERCENT)
        trip(to, now_ns);
}

/* What an action says about a question is an answer, however little it pleases. */
static bool is_failure(kt_code code)
{
    return kt_code_status(code) == 503;
}

static void learn(gate *to, int64_t now_ns, bool probe, bool failed)
{
    if (!probe) {
        count_try(to, now_ns, failed);
        return;
    }
    to->probing = false;
    if (failed) {
        trip(to, now_ns);
    } else {
        to->tripped = false;
        memset(to->slots, 0, sizeof to->slots);
    }
}

/* ---- life of a call ---- */

static call *call_of(kt_caller *caller, uint64_t id)
{
    call *found = &caller->calls[id % KT_CALLER_CALL_MAX];

    return id != 0 && found->state != CALL_FREE && found->id == id ? found : NULL;
}

static call *free_place(kt_caller *caller)
{
    for (uint32_t i = 0; i < KT_CALLER_CALL_MAX; i++) {
        uint64_t id = caller->started + i + KT_CALLER_CALL_MAX;
        call *place = &caller->calls[id % KT_CALLER_CALL_MAX];

        if (place->state == CALL_FREE) {
            caller->started += i + 1;
            *place = (call){ .id = id };
            return place;
        }
    }
    return NULL;
}

static bool keep_texts(call *to, const kt_caller_spec *spec)
{
    char *mem = malloc(spec->params.n + spec->trace.n + 1);

    if (mem == NULL)
        return false;
    if (spec->params.n > 0)
        memcpy(mem, spec->params.s, spec->params.n);
    if (spec->trace.n > 0)
        memcpy(mem + spec->params.n, spec->trace.s, spec->trace.n);
    to->params = (kt_text){ mem, spec->params.n };
    to->trace = (kt_text){ mem + spec->params.n, spec->trace.n };
    return true;
}

static void call_free(kt_caller *caller, call *ended)
{
    gate *to = &caller->gates[ended->action];

    if (ended->state == CALL_QUEUED)
        to->queued--;
    else
        to->open--;
    if (ended->probe)
        to->probing = false; /* it said nothing: the next one is the probe */
    free((char *)ended->params.s);
    ended->params = (kt_text){ NULL, 0 };
    ended->state = CALL_FREE;
}

static void send_queued(kt_caller *caller, int64_t now_ns, kt_action_index action);

static void end_call(kt_caller *caller, int64_t now_ns, call *ended, kt_caller_end end, kt_code code, kt_text body)
{
    call copy = *ended; /* its place is free before the callback, which may call again */
    kt_caller_answer answer = { .id = copy.id, .code = code, .body = body, .end = end, .tries = copy.tries };

    call_free(caller, ended);
    copy.on_answer(copy.ctx, &answer);
    send_queued(caller, now_ns, copy.action);
}

/* One try has failed, by `end`; another one, or the end. */
static void try_failed(kt_caller *caller, int64_t now_ns, call *failed, kt_caller_end end, kt_code code)
{
    gate *to = &caller->gates[failed->action];
    bool again = failed->tries < KT_CALLER_TRY_MAX &&
                 (end == KT_CALLER_ABSENT || (end == KT_CALLER_GONE && kt_actions[failed->action].repeats));
    int64_t wait_ns = KT_CALLER_WAIT_NS << (failed->tries - 1);
    kt_text none = { NULL, 0 };

    learn(to, now_ns, failed->probe, true);
    failed->probe = false;
    wait_ns += (int64_t)(caller->options.random(caller->options.ctx) % (uint64_t)(wait_ns / 2));
    if (!again || to->tripped || failed->deadline_ns - now_ns <= wait_ns) {
        end_call(caller, now_ns, failed, end, code, none);
        return;
    }
    to->retries++;
    failed->state = CALL_RESTING;
    failed->next_ns = now_ns + wait_ns;
}

static void send_try(kt_caller *caller, int64_t now_ns, call *one)
{
    uint64_t id = one->id;
    kt_caller_try one_try = { .id = id,
        .action = one->action,
        .params = one->params,
        .trace = one->trace,
        .timeout_ns = one->deadline_ns - now_ns };
    kt_code code;

    one->state = CALL_SENT;
    one->tries++;
    code = caller->options.send(caller->options.ctx, &one_try);
    if (code == KT_OK || call_of(caller, id) != one)
        return;
    if (code == KT_NOENT || code == KT_BUSY)
        try_failed(caller, now_ns, one, KT_CALLER_ABSENT, KT_BUSY);
    else
        end_call(caller, now_ns, one, KT_CALLER_ANSWERED, code, (kt_text){ NULL, 0 });
}

static void send_queued(kt_caller *caller, int64_t now_ns, kt_action_index action)
{
    gate *to = &caller->gates[action];
    call *first = NULL;

    if (to->queued == 0 || to->open >= KT_CALLER_OPEN_MAX)
        return;
    for (uint32_t i = 0; i < KT_CALLER_CALL_MAX; i++) {
        call *one = &caller->calls[i];
        if (one->state == CALL_QUEUED && one->action == action && (first == NULL || one->order < first->order))
            first = one;
    }
    kt_assert(first != NULL);
    to->queued--;
    to->open++;
    send_try(caller, now_ns, first);
}

/* ---- from outside ---- */

uint64_t kt_caller_start(kt_caller *caller, int64_t now_ns, const kt_caller_spec *spec)
{
    gate *to = &caller->gates[spec->action];
    kt_breaker breaker = breaker_of(to, now_ns);
    kt_caller_answer refusal = { .code = KT_BUSY, .end = KT_CALLER_FULL };
    call *one = NULL;
    uint64_t id;

    kt_assert(spec->action < KT_ACTION_COUNT);
    if (spec->deadline_ns <= now_ns)
        refusal = (kt_caller_answer){ .code = KT_TIMEOUT, .end = KT_CALLER_LATE };
    else if (breaker == KT_BREAKER_OPEN || (breaker == KT_BREAKER_HALF_OPEN && to->probing))
        refusal.end = KT_CALLER_CLOSED;
    else if (to->open < KT_CALLER_OPEN_MAX || to->queued < KT_CALLER_QUEUE_MAX)
        one = free_place(caller);
    if (one == NULL || !keep_texts(one, spec)) {
        spec->on_answer(spec->ctx, &refusal);
        return 0;
    }
    id = one->id;
    one->action = spec->action;
    one->deadline_ns = spec->deadline_ns;
    one->on_answer = spec->on_answer;
    one->ctx = spec->ctx;
    one->order = id;
    one->probe = to->probing = breaker == KT_BREAKER_HALF_OPEN;
    if (to->open < KT_CALLER_OPEN_MAX) {
        to->open++;
        send_try(caller, now_ns, one);
    } else {
        to->queued++;
        one->state = CALL_QUEUED;
    }
    return call_of(caller, id) != NULL ? id : 0;
}

void kt_caller_answer_try(kt_caller *caller, int64_t now_ns, uint64_t id, kt_code code, kt_text body)
{
    call *one = call_of(caller, id);

    if (one == NULL || one->state != CALL_SENT)
        return; /* too late, or from a try that was given up */
    if (code == KT_NOENT && body.n == 0)
        code = KT_BUSY;
    if (code == KT_BUSY) {
        try_failed(caller, now_ns, one, KT_CALLER_ABSENT, code);
    } else if (code == KT_UNKNOWN) {
        try_failed(caller, now_ns, one, KT_CALLER_GONE, code);
    } else if (code == KT_TIMEOUT) {
        try_failed(caller, now_ns, one, KT_CALLER_LATE, code);
    } else {
        learn(&caller->gates[one->action], now_ns, one->probe, is_failure(code));
        one->probe = false;
        end_call(caller, now_ns, one, KT_CALLER_ANSWERED, code, body);
    }
}

static void turn_call(kt_caller *caller, int64_t now_ns, call *one)
{
    if (one->state == CALL_FREE)
        return;
    if (one->deadline_ns <= now_ns) {
        if (one->state == CALL_SENT) {
            learn(&caller->gates[one->action], now_ns, one->probe, true);
            one->probe = false;
        }
        end_call(caller, now_ns, one, KT_CALLER_LATE, KT_TIMEOUT, (kt_text){ NULL, 0 });
    } else if (one->state == CALL_RESTING && one->next_ns <= now_ns) {
        send_try(caller, now_ns, one);
    }
}

void kt_caller_turn(kt_caller *caller, int64_t now_ns)
{
    for (uint32_t i = 0; i < KT_CALLER_CALL_MAX; i++)
        turn_call(caller, now_ns, &caller->calls[i]);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        send_queued(caller, now_ns, i);
}

int64_t kt_caller_next(const kt_caller *caller)
{
    int64_t next_ns = INT64_MAX;

    for (uint32_t i = 0; i < KT_CALLER_CALL_MAX; i++) {
        const call *one = &caller->calls[i];

        if (one->state != CALL_FREE && one->deadline_ns < next_ns)
            next_ns = one->deadline_ns;
        if (one->state == CALL_RESTING && one->next_ns < next_ns)
            next_ns = one->next_ns;
    }
    return next_ns;
}

kt_caller_counts kt_caller_count(const kt_caller *caller, int64_t now_ns, kt_action_index action)
{
    const gate *to = &caller->gates[action];

    return (
        kt_caller_counts){ .retries = to->retries, .open = to->open + to->queued, .breaker = breaker_of(to, now_ns) };
}

kt_caller *kt_caller_new(const kt_caller_options *options)
{
    kt_caller *caller = calloc(1, sizeof *caller);

    if (caller != NULL)
        caller->options = *options;
    return caller;
}

void kt_caller_free(kt_caller *caller, void (*forget)(void *ctx))
{
    if (caller == NULL)
        return;
    for (uint32_t i = 0; i < KT_CALLER_CALL_MAX; i++) {
        if (caller->calls[i].state == CALL_FREE)
            continue;
        free((char *)caller->calls[i].params.s);
        if (forget != NULL)
            forget(caller->calls[i].ctx);
    }
    free(caller);
}
