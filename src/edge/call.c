#include "edge/call.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "bus/caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

typedef struct open_call {
    kt_calls *calls;
    const kt_action *action;
    kt_trace trace;
    int64_t started_ns, deadline_ns; /* of the loop's clock */
    int64_t clock_ns;                /* start, for the time that it takes */
    void (*on_answer)(void *ctx, uint64_t key, const kt_call_answer *answer);
    void *ctx;
    uint64_t key;
} open_call;

typedef struct counts {
    uint64_t errors;
    uint64_t refused;
    kt_histogram times; /* that answered calls took */
} counts;

struct kt_calls {
    kt_calls_options options;
    kt_caller *caller;
    kt_gate *gate;
    kt_rng rng;
    kt_timer timer;
    char *answer; /* KT_CALL_ANSWER_MAX bytes: one is written at a time */
    counts counts[KT_ACTION_COUNT];
};

/* ---- figures ---- */

kt_call_counts kt_calls_count(const kt_calls *calls, kt_action_index action)
{
    const counts *own = &calls->counts[action];
    kt_caller_counts sent = kt_caller_count(calls->caller, kt_loop_now(calls->options.house.loop), action);

    return (kt_call_counts){
        .calls = own->times.count,
        .errors = own->errors,
        .retries = sent.retries,
        .refused = own->refused,
        .open = sent.open,
        .breaker = sent.breaker,
        .p50_ns = (uint64_t)kt_histogram_quantile(&own->times, 500),
        .p99_ns = (uint64_t)kt_histogram_quantile(&own->times, 990),
    };
}

const kt_histogram *kt_calls_times(const kt_calls *calls, kt_action_index action)
{
    return &calls->counts[action].times;
}

/* ---- answers ---- */

static void tell(open_call *call, kt_code code, kt_text body, const kt_refusal *refusal)
{
    kt_calls *calls = call->calls;
    counts *own = &calls->counts[call->action - kt_actions];
    /* The loop's time stands still within a turn, and what the edge answers itself takes less. */
    int64_t took_ns = kt_loop_clock(calls->options.house.loop) - call->clock_ns;
    kt_call_answer answer = {
        .action = call->action, .code = code, .body = body, .refusal = refusal, .trace = &call->trace
    };

    own->errors += code != KT_OK;
    kt_histogram_add(&own->times, took_ns, 1);
    call->on_answer(call->ctx, call->key, &answer);
}

/* When the action says a code without a word about it. */
static const char *text_of_error(const kt_action *action, kt_code code)
{
    const kt_action_error *lists[] = { action->errors, kt_common_errors };

    for (uint32_t i = 0; i < KT_COUNT(lists); i++)
        for (const kt_action_error *error = lists[i]; error->code != KT_OK; error++)
            if (error->code == code)
                return error->text;
    return kt_code_text(code);
}

static void explain(const open_call *call, const kt_caller_answer *answer, kt_refusal *out)
{
    const kt_action *action = call->action;

    switch (answer->end) {
    case KT_CALLER_LATE:
        kt_refuse(out, answer->code, NULL, "lane %s did not answer %s within %lld ms; live values are not affected, %s",
            action->lane, action->name, (long long)((call->deadline_ns - call->started_ns) / KT_NS_PER_MS),
            action->repeats ? "try again" : "look whether it was done before trying again");
        break;
    case KT_CALLER_CLOSED:
        kt_refuse(out, answer->code, NULL,
            "%s of lane %s has failed too often and is not asked for up to 10 s; try again then", action->name,
            action->lane);
        break;
    case KT_CALLER_FULL:
        kt_refuse(out, answer->code, NULL, "too many calls of %s are open; try again", action->name);
        break;
    case KT_CALLER_ABSENT:
        kt_refuse(out, answer->code, NULL,
            "lane %s, which answers %s, is not running or has too much to do (%u tries); live values are not affected, "
            "try again",
            action->lane, action->name, answer->tries);
        break;
    case KT_CALLER_GONE:
        kt_refuse(out, answer->code, NULL, "lane %s was started anew while it had a call of %s; %s", action->lane,
            action->name, action->repeats ? "try again" : "look whether it was done before trying again");
        break;
    case KT_CALLER_ANSWERED:
        if (answer->body.n > 0)
            kt_refuse(out, answer->code, NULL, "%.*s", KT_TEXT_ARG(answer->body));
        else
            kt_refuse(out, answer->code, NULL, "%s: %s", action->name, text_of_error(action, answer->code));
        break;
    }
}

static void set_timer(kt_calls *calls)
{
    int64_t next_ns = kt_caller_next(calls->caller);

    if (next_ns == INT64_MAX)
        kt_timer_cancel(calls->options.house.loop, &calls->timer);
    else
        kt_timer_set(calls->options.house.loop, &calls->timer, next_ns);
}

static void on_due(kt_timer *timer)
{
    kt_calls *calls = timer->ctx;

    kt_caller_turn(calls->caller, kt_loop_now(calls->options.house.loop));
    set_timer(calls);
}

static void on_caller_answer(void *ctx, const kt_caller_answer *answer)
{
    open_call *call = ctx;
    kt_refusal refusal;

    if (answer->code != KT_OK)
        explain(call, answer, &refusal);
    tell(call, answer->code, answer->body, answer->code != KT_OK ? &refusal : NULL);
    free(call);
}

void kt_calls_answer(kt_calls *calls, uint64_t ask_id, kt_code code, kt_text body)
{
    kt_caller_answer_try(calls->caller, kt_loop_now(calls->options.house.loop), ask_id, code, body);
    set_timer(calls);
}

/* ---- calls ---- */

static kt_code send_try(void *ctx, const kt_caller_try *one)
{
    kt_calls *calls = ctx;
    kt_edge_question question = {
        .id = one->id,
        .lane = kt_actions[one->action].lane,
        .action = kt_text_of(kt_actions[one->action].name),
        .params = one->params,
        .trace = one->trace,
        .timeout_ns = one->timeout_ns,
    };

    return calls->options.ask != NULL ? calls->options.ask(calls->options.ask_ctx, &question) : KT_NOENT;
}

static uint64_t chance(void *ctx)
{
    return kt_rng_u64(&((kt_calls *)ctx)->rng);
}

static void answer_own(kt_calls *calls, open_call *call, const void *params)
{
    const kt_act *act = &kt_acts[call->action - kt_actions];
    kt_json_writer writer;
    kt_refusal refusal;
    kt_text body = { NULL, 0 };
    kt_code code;

    kt_json_writer_init(&writer, calls->answer, KT_CALL_ANSWER_MAX);
    code = act->own(&calls->options.house, params, &writer, &refusal);
    if (code == KT_OK && kt_json_writer_done(&writer, &body) != KT_OK)
        code = kt_refuse(&refusal, KT_LIMIT, NULL, "the answer of %s is larger than %d bytes; ask for less",
            call->action->name, KT_CALL_ANSWER_MAX);
    tell(call, code, body, code != KT_OK ? &refusal : NULL);
}

static void ask_lane(kt_calls *calls, const open_call *call, const void *params)
{
    open_call *kept = malloc(sizeof *kept);
    char room[KT_TRACE_TEXT_MAX + 1];
    kt_json_writer writer;
    kt_refusal refusal;
    kt_text json;

    kt_json_writer_init(&writer, calls->answer, KT_CALL_ANSWER_MAX);
    kt_table_write_json(&call->action->params, params, &writer);
    if (kept == NULL || kt_json_writer_done(&writer, &json) != KT_OK) {
        open_call refused = *call;
        kt_code code = kt_refuse(&refusal, KT_BUSY, NULL, "no memory for one more call; try again");
        free(kept);
        tell(&refused, code, (kt_text){ NULL, 0 }, &refusal);
        return;
    }
    *kept = *call;
    kt_caller_start(calls->caller, call->started_ns,
        &(kt_caller_spec){
            .action = (kt_action_index)(call->action - kt_actions),
            .params = json,
            .trace = kt_trace_text(&call->trace, room),
            .deadline_ns = call->deadline_ns,
            .on_answer = on_caller_answer,
            .ctx = kept,
        });
    set_timer(calls);
}

kt_code kt_calls_pass(kt_calls *calls, const kt_action *action, const kt_gate_client *client, kt_refusal *out_refusal)
{
    const kt_config *config = calls->options.house.config;
    kt_code code = kt_gate_pass(calls->gate, client, action, kt_loop_now(calls->options.house.loop),
        config->edge_call_rate, config->edge_call_burst, out_refusal);

    calls->counts[action - kt_actions].refused += code != KT_OK;
    return code;
}

void kt_calls_start(kt_calls *calls, const kt_call_spec *spec)
{
    const kt_act *act = &kt_acts[spec->action - kt_actions];
    int64_t now_ns = kt_loop_now(calls->options.house.loop);
    open_call call = { .calls = calls,
        .action = spec->action,
        .trace = spec->trace,
        .started_ns = now_ns,
        .clock_ns = kt_loop_clock(calls->options.house.loop),
        .deadline_ns = spec->deadline_ns != 0 ? spec->deadline_ns : now_ns + spec->action->time_ms * KT_NS_PER_MS,
        .on_answer = spec->on_answer,
        .ctx = spec->ctx,
        .key = spec->key };
    kt_refusal refusal;
    kt_code code = KT_OK;

    if (act->prepare != NULL)
        code = act->prepare(&calls->options.house, spec->params, &refusal);
    if (code != KT_OK)
        tell(&call, code, (kt_text){ NULL, 0 }, &refusal);
    else if (act->own != NULL)
        answer_own(calls, &call, spec->params);
    else
        ask_lane(calls, &call, spec->params);
}

/* ---- what clients say about a call ---- */

void kt_calls_trace(kt_calls *calls, kt_trace *out_trace, kt_text request_id, kt_text traceparent)
{
    kt_trace_init(out_trace, &calls->rng, request_id, traceparent);
}

kt_code kt_calls_deadline(kt_calls *calls, kt_text text, int64_t *out_deadline_ns, kt_refusal *out_refusal)
{
    int64_t now_ns = kt_act_clock(&calls->options.house);
    int64_t utc_ns, ms, left_ns;
    kt_code code = kt_text_i64(text, &ms) == KT_OK ? kt_time_from_ms(ms, &utc_ns) : kt_time_parse_iso(text, &utc_ns);

    if (code != KT_OK)
        return kt_refuse(out_refusal, KT_SYNTAX, "deadline",
            "the deadline '%.*s' is no time: give ISO 8601 as 2024-08-08T23:54:15.342Z, or ms since 1970 as "
            "1723161255342",
            (int)(text.n < 40 ? text.n : 40), text.s);
    if (utc_ns <= now_ns)
        return kt_refuse(out_refusal, KT_RANGE, "deadline",
            "the deadline has passed already, %lld ms ago by the clock of the house",
            (long long)(now_ns / KT_NS_PER_MS - utc_ns / KT_NS_PER_MS));
    left_ns = utc_ns - now_ns;
    if (left_ns > KT_CALL_TIME_MAX_MS * KT_NS_PER_MS)
        left_ns = KT_CALL_TIME_MAX_MS * KT_NS_PER_MS;
    *out_deadline_ns = kt_loop_now(calls->options.house.loop) + left_ns;
    return KT_OK;
}

/* ---- life ---- */

kt_calls *kt_calls_new(const kt_calls_options *options)
{
    kt_calls *calls = calloc(1, sizeof *calls);
    uint64_t seed = options->seed;

    if (calls == NULL)
        return NULL;
    if (seed == 0 && getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint64_t)kt_loop_now(options->house.loop);
    calls->options = *options;
    calls->options.house.calls = calls;
    calls->timer = (kt_timer){ .on_due = on_due, .ctx = calls };
    kt_rng_init(&calls->rng, seed);
    calls->answer = malloc(KT_CALL_ANSWER_MAX);
    calls->gate = kt_gate_new();
    calls->caller = kt_caller_new(&(kt_caller_options){ .send = send_try, .random = chance, .ctx = calls });
    if (calls->answer != NULL && calls->caller != NULL && calls->gate != NULL)
        return calls;
    kt_calls_free(calls);
    return NULL;
}

static void forget(void *ctx)
{
    free(ctx);
}

void kt_calls_free(kt_calls *calls)
{
    if (calls == NULL)
        return;
    kt_timer_cancel(calls->options.house.loop, &calls->timer);
    kt_caller_free(calls->caller, forget);
    kt_gate_free(calls->gate);
    free(calls->answer);
    free(calls);
}
