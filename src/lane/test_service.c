#include "lane/test_service.h"

#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

kt_test_mood kt_test_mood_now;

static kt_code start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = calloc(1, sizeof(kt_test_counting));
    return *out_state != NULL ? KT_OK : kt_fail(err, KT_SYS, "no memory");
}

static void emit(kt_env *env, kt_test_counting *counting, const char *subject, uint64_t number, bool request)
{
    kt_ev_feed_stats stats;

    kt_event_init(KT_EV_FEED_STATS, &stats);
    stats.received = counting->count + kt_test_mood_now.add;
    stats.repaired = number;
    stats.corrected = counting->sum;
    stats.market_time = kt_env_now(env);
    if (kt_test_mood_now.random) {
        stats.repeated = kt_env_random(env);
        stats.reordered = kt_env_key(env);
    }
    if (request)
        kt_env_request(env, KT_EV_FEED_STATS, kt_text_of(subject), &stats);
    else
        kt_env_emit(env, KT_EV_FEED_STATS, kt_text_of(subject), &stats);
}

static void on_tick(kt_test_counting *counting, kt_env *env, const kt_event *event)
{
    kt_ev_tick tick;

    if (kt_event_decode(KT_EV_TICK, event->payload, event->size, &tick) != KT_OK)
        return;
    while (tick.trade_number == kt_test_mood_now.halt_at && kt_test_mood_now.halt_at != 0) {
        atomic_store(kt_test_mood_now.halted, tick.trade_number);
        pause();
    }
    counting->count++;
    counting->sum += tick.trade_number;
    if (tick.trade_number == kt_test_mood_now.die_at && kt_test_mood_now.die_at != 0 &&
        !kt_test_mood_now.die_unfinished)
        raise(SIGKILL);
    emit(env, counting, "stats.sim.count", tick.trade_number, false);
    if (tick.trade_number == kt_test_mood_now.die_at && kt_test_mood_now.die_at != 0)
        raise(SIGKILL);
    if (counting->count % 3 == 0)
        emit(env, counting, "stats.sim.third", tick.trade_number, false);
    if (kt_test_mood_now.request)
        emit(env, counting, "request.sim", tick.trade_number, true);
}

static void on_event(void *state, kt_env *env, const kt_event *event)
{
    kt_test_counting *counting = state;

    switch (event->rec->kind) {
    case KT_EV_TICK:
        on_tick(counting, env, event);
        break;
    case KT_EV_LANE_START:
        counting->starts++;
        if (kt_test_mood_now.timer_ns > 0)
            kt_env_timer(env, 1, kt_env_now(env) + kt_test_mood_now.timer_ns);
        break;
    case KT_EV_ANSWER:
        counting->answers++;
        counting->last_cause = event->rec->cause;
        break;
    case KT_EV_LOST:
        counting->lost++;
        break;
    default:
        break;
    }
}

static void on_timer(void *state, kt_env *env, uint64_t timer_id)
{
    kt_test_counting *counting = state;

    counting->fired++;
    emit(env, counting, "stats.sim.timer", timer_id, false);
    if (kt_test_mood_now.timer_ns > 0)
        kt_env_timer(env, timer_id, kt_env_now(env) + kt_test_mood_now.timer_ns);
}

static kt_code on_call(void *state, kt_env *env, const kt_call *call)
{
    kt_test_counting *counting = state;
    char body[64];

    if (kt_text_equal(call->action, KT_TEXT("count.kill")))
        raise(SIGKILL);
    if (kt_text_equal(call->action, KT_TEXT("count.wait")))
        return KT_OK; /* never answered */
    if (call->command) {
        counting->count++;
        emit(env, counting, "stats.sim.command", call->id, false);
    }
    snprintf(body, sizeof body, "{\"count\":%llu}", (unsigned long long)counting->count);
    kt_env_answer(env, call, KT_OK, kt_text_of(body));
    return KT_OK;
}

static kt_code snapshot(const void *state, kt_writer *writer)
{
    const kt_test_counting *counting = state;

    kt_writer_u64(writer, counting->count);
    kt_writer_u64(writer, counting->sum);
    kt_writer_u64(writer, counting->starts);
    kt_writer_u64(writer, counting->fired);
    kt_writer_u64(writer, counting->answers);
    kt_writer_u64(writer, counting->lost);
    return KT_OK;
}

static kt_code restore(void *state, uint16_t version, kt_text bytes, kt_err *err)
{
    kt_test_counting *counting = state;
    kt_taker taker;

    kt_taker_init(&taker, bytes.s, bytes.n);
    counting->count = kt_taker_u64(&taker);
    counting->sum = kt_taker_u64(&taker);
    counting->starts = kt_taker_u64(&taker);
    counting->fired = kt_taker_u64(&taker);
    counting->answers = kt_taker_u64(&taker);
    counting->lost = version >= 2 ? kt_taker_u64(&taker) : 0;
    return kt_taker_end(&taker) == KT_OK ? KT_OK : kt_fail(err, KT_CORRUPT, "a count is cut short");
}

static const char *const subjects[] = { "feed.>", "lane.start.>", "lane.lost.>", "answer.>", NULL };
static const char *const foreign_subjects[] = { "market:feed.>", "lane.start.>", "lane.lost.>", NULL };
static const kt_service_action actions[] = { { "count.read", false }, { "count.wait", false }, { "count.add", true },
    { "count.kill", true }, { NULL, false } };

#define COUNTER(patterns)                                                                                         \
    {                                                                                                             \
        .name = "counter", .version = 2, .subjects = patterns, .actions = actions, .start = start,                \
        .on_event = on_event, .on_timer = on_timer, .on_call = on_call, .snapshot = snapshot, .restore = restore, \
        .stop = free                                                                                              \
    }

const kt_service_spec kt_test_counter = COUNTER(subjects);
const kt_service_spec kt_test_foreign_counter = COUNTER(foreign_subjects);

kt_ev_tick kt_test_tick_of(uint64_t number, char id[32])
{
    kt_ev_tick tick;

    kt_event_init(KT_EV_TICK, &tick);
    snprintf(id, 32, "t%llu", (unsigned long long)number);
    tick.price = (kt_decimal){ .m = 100 + (int64_t)(number % 7), .scale = 2 };
    tick.quantity = (kt_decimal){ .m = 1, .scale = 0 };
    tick.trade_id = kt_text_of(id);
    tick.trade_number = number;
    return tick;
}

void kt_test_tick(kt_script *script, int64_t time_ns, uint64_t number)
{
    char id[32];
    kt_ev_tick tick = kt_test_tick_of(number, id);

    kt_script_input(script, time_ns, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), &tick);
}
