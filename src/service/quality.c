#include "service/quality.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

/* The clock ---------------------------------------------------------------------------------------------------------
 */

void kt_quality_clock_move(kt_quality_clock *clock, int64_t market_ns, int64_t now_ns)
{
    if (market_ns <= clock->market_ns)
        return;
    if (clock->market_ns == 0)
        clock->closed_ns = market_ns - market_ns % KT_QUALITY_MINUTE_NS;
    clock->market_ns = market_ns;
    clock->seen_ns = now_ns;
}

int64_t kt_quality_clock_now(const kt_quality_clock *clock, int64_t now_ns)
{
    if (clock->market_ns == 0 || now_ns < clock->seen_ns)
        return clock->market_ns;
    return clock->market_ns + (now_ns - clock->seen_ns);
}

void kt_quality_clock_lost(kt_quality_clock *clock, int64_t since_ns)
{
    if (clock->lost)
        return;
    clock->lost = true;
    clock->lost_ns = kt_quality_clock_now(clock, since_ns);
}

void kt_quality_clock_connected(kt_quality_clock *clock, int64_t now_ns)
{
    int64_t to_ns = kt_quality_clock_now(clock, now_ns);

    if (!clock->lost)
        return;
    clock->lost = false;
    if (clock->lost_ns == 0 || to_ns <= clock->lost_ns)
        return;
    if (clock->outage_count == KT_QUALITY_OUTAGE_MAX)
        memmove(&clock->outages[0], &clock->outages[1], --clock->outage_count * sizeof clock->outages[0]);
    clock->outages[clock->outage_count].from_ns = clock->lost_ns;
    clock->outages[clock->outage_count++].to_ns = to_ns;
}

bool kt_quality_clock_close(kt_quality_clock *clock, int64_t now_ns, int64_t *out_from_ns, int64_t *out_until_ns)
{
    int64_t over_ns = kt_quality_clock_now(clock, now_ns) - KT_QUALITY_GRACE_NS;
    int64_t until_ns = over_ns - over_ns % KT_QUALITY_MINUTE_NS;

    if (clock->market_ns == 0 || until_ns <= clock->closed_ns)
        return false;
    *out_from_ns = until_ns - KT_QUALITY_CATCH_UP * KT_QUALITY_MINUTE_NS;
    *out_from_ns = *out_from_ns > clock->closed_ns ? *out_from_ns : clock->closed_ns;
    *out_until_ns = until_ns;
    clock->closed_ns = until_ns;
    return true;
}

/* How much of [from, to) the venue was silent. */
static int64_t silence(const kt_quality_clock *clock, int64_t now_ns, int64_t from_ns, int64_t to_ns)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i <= clock->outage_count; i++) {
        bool open = i == clock->outage_count;
        int64_t first = open ? clock->lost_ns : clock->outages[i].from_ns;
        int64_t last = open ? kt_quality_clock_now(clock, now_ns) : clock->outages[i].to_ns;

        if (open && (!clock->lost || clock->lost_ns == 0))
            break;
        first = first > from_ns ? first : from_ns;
        last = last < to_ns ? last : to_ns;
        sum += last > first ? last - first : 0;
    }
    return sum;
}

/* Telling -----------------------------------------------------------------------------------------------------------
 */

static void emit_minute(const kt_quality *quality, const kt_quality_minute *minute, kt_env *env, const char *subject)
{
    kt_ev_quality ev;

    kt_event_init(KT_EV_QUALITY, &ev);
    ev.minute = minute->start_ns;
    ev.revision = minute->revision + 1;
    ev.received = minute->counts[KT_QUALITY_RECEIVED];
    ev.invalid = minute->counts[KT_QUALITY_INVALID];
    ev.repeated = minute->counts[KT_QUALITY_REPEATED];
    ev.reordered = minute->counts[KT_QUALITY_REORDERED];
    ev.missing = kt_quality_missing(quality, minute);
    ev.repaired = minute->counts[KT_QUALITY_REPAIRED];
    ev.suspect = minute->counts[KT_QUALITY_SUSPECT];
    ev.silence = minute->silent_ns;
    ev.timed = minute->timed;
    ev.latency_p50 = minute->p50_ns;
    ev.latency_p99 = minute->p99_ns;
    ev.latency_max = minute->max_ns;
    kt_env_emit(env, KT_EV_QUALITY, kt_text_of(subject), &ev);
}

void kt_quality_tell(
    kt_quality *quality, const kt_quality_clock *clock, kt_env *env, const char *subject, int64_t settled_ns)
{
    kt_quality_minute *minute;
    bool any = false;

    while ((minute = kt_quality_next(quality)) != NULL) {
        int64_t silent_ns = silence(clock, kt_env_now(env), minute->start_ns, minute->start_ns + KT_QUALITY_MINUTE_NS);

        minute->silent_ns = silent_ns > minute->silent_ns ? silent_ns : minute->silent_ns;
        emit_minute(quality, minute, env, subject);
        kt_quality_told(quality, minute);
        any = true;
    }
    if (any)
        kt_quality_forget(quality, settled_ns);
}

/* Snapshots ---------------------------------------------------------------------------------------------------------
 */

/* The members that are plain numbers, one list for both ways. */
#define NUMBERS(X) \
    X(now_ns)      \
    X(first_ns)    \
    X(closed_ns)   \
    X(forgot_ns)   \
    X(forgot)

#define MINUTE_NUMBERS(X) \
    X(start_ns)           \
    X(low)                \
    X(high)               \
    X(p50_ns)             \
    X(p99_ns)             \
    X(max_ns)             \
    X(silent_ns)          \
    X(given)              \
    X(timed)              \
    X(revision)

#define CLOCK_NUMBERS(X) \
    X(market_ns)         \
    X(seen_ns)           \
    X(closed_ns)         \
    X(lost_ns)

enum { MINUTE_SIZE = 10 * 8 + KT_QUALITY_WHATS * 4 + 1, STEP_SIZE = 8 };

static void times_save(const kt_quality_times *times, kt_writer *writer)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < 2 * KT_QUALITY_STEPS; i++)
        used += times->steps[i] != 0;
    kt_writer_i64(writer, times->start_ns);
    kt_writer_u32(writer, used);
    for (uint32_t i = 0; i < 2 * KT_QUALITY_STEPS; i++) {
        if (times->steps[i] == 0)
            continue;
        kt_writer_u32(writer, i);
        kt_writer_u32(writer, times->steps[i]);
    }
}

static kt_code times_load(kt_quality_times *times, kt_taker *taker)
{
    uint32_t used;

    times->start_ns = kt_taker_i64(taker);
    used = kt_taker_count(taker, STEP_SIZE);
    for (uint32_t i = 0; i < used; i++) {
        uint32_t step = kt_taker_u32(taker), count = kt_taker_u32(taker);

        if (step >= 2 * KT_QUALITY_STEPS || times->steps[step] != 0)
            return KT_CORRUPT;
        times->steps[step] = count;
        times->count += count;
    }
    return taker->code;
}

void kt_quality_save(const kt_quality *quality, kt_writer *writer)
{
#define SAVE(name) kt_writer_u64(writer, (uint64_t)quality->name);
    NUMBERS(SAVE)
#undef SAVE
    kt_writer_u8(writer, quality->late);
    kt_writer_u32(writer, quality->count);
    for (uint32_t i = 0; i < quality->count; i++) {
        const kt_quality_minute *minute = &quality->minutes[i];

#define SAVE(name) kt_writer_u64(writer, (uint64_t)minute->name);
        MINUTE_NUMBERS(SAVE)
#undef SAVE
        for (uint32_t what = 0; what < KT_QUALITY_WHATS; what++)
            kt_writer_u32(writer, minute->counts[what]);
        kt_writer_u8(writer, minute->dirty);
    }
    times_save(&quality->times[0], writer);
    times_save(&quality->times[1], writer);
}

static bool is_minute(int64_t start_ns)
{
    return start_ns >= 0 && start_ns % KT_QUALITY_MINUTE_NS == 0;
}

kt_code kt_quality_load(kt_quality *quality, kt_taker *taker)
{
    uint32_t count;

#define LOAD(name) quality->name = (__typeof__(quality->name))kt_taker_u64(taker);
    NUMBERS(LOAD)
#undef LOAD
    quality->late = kt_taker_u8(taker) != 0;
    count = kt_taker_count(taker, MINUTE_SIZE);
    if (!is_minute(quality->now_ns) || !is_minute(quality->closed_ns) || count > KT_QUALITY_MINUTE_MAX ||
        (quality->now_ns == 0 && count > 1))
        return KT_CORRUPT;
    if (count > 0 && !kt_quality_room(quality, count))
        return KT_SYS;
    for (uint32_t i = 0; i < count; i++) {
        kt_quality_minute *minute = &quality->minutes[i];

        *minute = (kt_quality_minute){ 0 };
#define LOAD(name) minute->name = (__typeof__(minute->name))kt_taker_u64(taker);
        MINUTE_NUMBERS(LOAD)
#undef LOAD
        for (uint32_t what = 0; what < KT_QUALITY_WHATS; what++)
            minute->counts[what] = kt_taker_u32(taker);
        minute->dirty = kt_taker_u8(taker) != 0;
        if (!is_minute(minute->start_ns) || (i > 0 && minute->start_ns <= minute[-1].start_ns) ||
            (minute->low == 0) != (minute->high == 0) || minute->low > minute->high)
            return KT_CORRUPT;
        quality->count++;
    }
    return times_load(&quality->times[0], taker) == KT_OK ? times_load(&quality->times[1], taker) : KT_CORRUPT;
}

void kt_quality_clock_save(const kt_quality_clock *clock, kt_writer *writer)
{
#define SAVE(name) kt_writer_i64(writer, clock->name);
    CLOCK_NUMBERS(SAVE)
#undef SAVE
    kt_writer_u8(writer, clock->lost);
    kt_writer_u32(writer, clock->outage_count);
    for (uint32_t i = 0; i < clock->outage_count; i++) {
        kt_writer_i64(writer, clock->outages[i].from_ns);
        kt_writer_i64(writer, clock->outages[i].to_ns);
    }
}

kt_code kt_quality_clock_load(kt_quality_clock *clock, kt_taker *taker)
{
    uint32_t count;

#define LOAD(name) clock->name = kt_taker_i64(taker);
    CLOCK_NUMBERS(LOAD)
#undef LOAD
    clock->lost = kt_taker_u8(taker) != 0;
    count = kt_taker_count(taker, 16);
    if (count > KT_QUALITY_OUTAGE_MAX || !is_minute(clock->closed_ns))
        return KT_CORRUPT;
    for (clock->outage_count = 0; clock->outage_count < count; clock->outage_count++) {
        clock->outages[clock->outage_count].from_ns = kt_taker_i64(taker);
        clock->outages[clock->outage_count].to_ns = kt_taker_i64(taker);
    }
    return taker->code;
}
