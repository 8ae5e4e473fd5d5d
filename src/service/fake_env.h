/* service/fake_env.h - the smallest env that a service can live in: timers in a list, outputs in a buffer, and the last answer
 * to a call. For tests that call a service's handlers themselves, to look at it between any two inputs; tests of recovery use
 * lane/script.h.
 */
#ifndef KT_SERVICE_FAKE_ENV_H
#define KT_SERVICE_FAKE_ENV_H

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "lane/service.h"
#include "log/record.h"

enum { FAKE_TIMER_MAX = 64, FAKE_EVENT_SIZE = 1 << 20, FAKE_ANSWER_SIZE = 1024 };

typedef struct fake_output {
    size_t at; /* of the payload in bytes */
    uint32_t size;
    uint16_t kind;
    bool request;
    char subject[96];
} fake_output;

struct kt_env {
    int64_t now_ns;
    uint64_t hash_seed;
    uint64_t keys;
    struct {
        uint64_t id;
        int64_t at_ns;
    } timers[FAKE_TIMER_MAX];
    uint32_t timer_count;
    fake_output *outputs;
    size_t output_count, output_capacity;
    uint8_t *bytes;
    size_t byte_count, byte_capacity;
    kt_code answer_code;
    char answer[FAKE_ANSWER_SIZE];
};

int64_t kt_env_now(const kt_env *env)
{
    return env->now_ns;
}

uint64_t kt_env_random(kt_env *env)
{
    (void)env;
    abort(); /* these services use none */
}

uint64_t kt_env_key(kt_env *env)
{
    return ++env->keys;
}

uint64_t kt_env_hash_seed(const kt_env *env)
{
    return env->hash_seed;
}

static kt_code fake_emit(kt_env *env, uint16_t kind, kt_text subject, const void *event, bool request)
{
    fake_output *o;

    if (env->output_count == env->output_capacity) {
        env->output_capacity = env->output_capacity == 0 ? 256 : 2 * env->output_capacity;
        env->outputs = realloc(env->outputs, env->output_capacity * sizeof *env->outputs);
    }
    if (env->byte_capacity - env->byte_count < FAKE_EVENT_SIZE) {
        env->byte_capacity = env->byte_capacity == 0 ? 4 * FAKE_EVENT_SIZE : 2 * env->byte_capacity;
        env->bytes = realloc(env->bytes, env->byte_capacity);
    }
    o = &env->outputs[env->output_count++];
    memset(o, 0, sizeof *o);
    o->at = env->byte_count;
    o->kind = kind;
    o->request = request;
    kt_assert(subject.n < sizeof o->subject);
    memcpy(o->subject, subject.s, subject.n);
    kt_assert(kt_event_encode(kind, event, env->bytes + env->byte_count, FAKE_EVENT_SIZE, &o->size) == KT_OK);
    env->byte_count += o->size;
    return KT_OK;
}

kt_code kt_env_emit(kt_env *env, uint16_t kind, kt_text subject, const void *event)
{
    return fake_emit(env, kind, subject, event, false);
}

kt_code kt_env_request(kt_env *env, uint16_t kind, kt_text subject, const void *event)
{
    return fake_emit(env, kind, subject, event, true);
}

void kt_env_timer_cancel(kt_env *env, uint64_t timer_id)
{
    for (uint32_t i = 0; i < env->timer_count; i++)
        if (env->timers[i].id == timer_id)
            env->timers[i] = env->timers[--env->timer_count];
}

kt_code kt_env_timer(kt_env *env, uint64_t timer_id, int64_t at_ns)
{
    kt_env_timer_cancel(env, timer_id);
    kt_assert(env->timer_count < FAKE_TIMER_MAX);
    env->timers[env->timer_count].id = timer_id;
    env->timers[env->timer_count++].at_ns = at_ns;
    return KT_OK;
}

void kt_env_answer(kt_env *env, const kt_call *call, kt_code code, kt_text body)
{
    (void)call;
    kt_assert(body.n < sizeof env->answer);
    env->answer_code = code;
    memcpy(env->answer, body.s, body.n);
    env->answer[body.n] = '\0';
}

static inline void fake_input(
    kt_env *env, const kt_service_spec *spec, void *state, uint16_t kind, const char *subject, const void *event)
{
    static _Alignas(8) uint8_t payload[FAKE_EVENT_SIZE];
    kt_rec rec = { .kind = kind, .flags = KT_REC_INPUT, .time_ns = env->now_ns };
    kt_event ev = { .rec = &rec, .subject = kt_text_of(subject), .log = KT_TEXT("market"), .payload = payload };

    kt_assert(kt_event_encode(kind, event, payload, sizeof payload, &ev.size) == KT_OK);
    spec->on_event(state, env, &ev);
}

/* Fire the timer that is due next, at `until_ns` or before. false: there is none. */
static inline bool fake_timer(kt_env *env, const kt_service_spec *spec, void *state, int64_t until_ns)
{
    uint32_t next = UINT32_MAX;
    uint64_t id;

    for (uint32_t i = 0; i < env->timer_count; i++)
        if (env->timers[i].at_ns <= until_ns &&
            (next == UINT32_MAX || env->timers[i].at_ns < env->timers[next].at_ns ||
                (env->timers[i].at_ns == env->timers[next].at_ns && env->timers[i].id < env->timers[next].id)))
            next = i;
    if (next == UINT32_MAX)
        return false;
    id = env->timers[next].id;
    env->now_ns = env->timers[next].at_ns > env->now_ns ? env->timers[next].at_ns : env->now_ns;
    env->timers[next] = env->timers[--env->timer_count];
    spec->on_timer(state, env, id);
    return true;
}

static inline void fake_done(kt_env *env)
{
    free(env->outputs);
    free(env->bytes);
    *env = (kt_env){ 0 };
}

#endif
