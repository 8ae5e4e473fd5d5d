#include "quant/quality.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { CAPACITY_FIRST = 8, STEPS_OF_POWER = 1 << KT_QUALITY_STEP_BITS };

void kt_quality_init(kt_quality *quality, bool numbered)
{
    *quality = (kt_quality){ .numbered = numbered };
}

void kt_quality_done(kt_quality *quality)
{
    free(quality->minutes);
    quality->minutes = NULL;
    quality->count = quality->capacity = 0;
}

/* Minutes -----------------------------------------------------------------------------------------------------------
 */

static int64_t minute_of(int64_t time_ns)
{
    return time_ns - time_ns % KT_QUALITY_MINUTE_NS;
}

static void mark(kt_quality *quality, kt_quality_minute *minute)
{
    minute->dirty = true;
    quality->late |= minute->start_ns < quality->closed_ns;
}

static void drop(kt_quality *quality, uint32_t index)
{
    const kt_quality_minute *minute = &quality->minutes[index];

    quality->forgot = minute->high > quality->forgot ? minute->high : quality->forgot;
    quality->count--;
    memmove(
        &quality->minutes[index], &quality->minutes[index + 1], (quality->count - index) * sizeof *quality->minutes);
}

static void drop_oldest(kt_quality *quality)
{
    quality->forgot_ns = quality->minutes[0].start_ns + KT_QUALITY_MINUTE_NS;
    drop(quality, 0);
}

bool kt_quality_room(kt_quality *quality, uint32_t minute_count)
{
    uint32_t capacity = quality->capacity == 0 ? CAPACITY_FIRST : quality->capacity;
    kt_quality_minute *minutes;

    if (minute_count <= quality->capacity)
        return true;
    while (capacity < minute_count)
        capacity *= 2;
    minutes = capacity <= KT_QUALITY_MINUTE_MAX ? realloc(quality->minutes, capacity * sizeof *minutes) : NULL;
    if (minutes == NULL)
        return false;
    quality->minutes = minutes;
    quality->capacity = capacity;
    return true;
}

/* The minute that starts then; made when it is not there. NULL: there is no memory for even one. */
static kt_quality_minute *minute_at(kt_quality *quality, int64_t start_ns)
{
    uint32_t at = quality->count;

    while (at > 0 && quality->minutes[at - 1].start_ns > start_ns)
        at--;
    if (at > 0 && quality->minutes[at - 1].start_ns == start_ns)
        return &quality->minutes[at - 1];
    if (!kt_quality_room(quality, quality->count + 1)) {
        if (quality->count == 0)
            return NULL;
        drop_oldest(quality);
        at -= at > 0;
    }
    memmove(&quality->minutes[at + 1], &quality->minutes[at], (quality->count - at) * sizeof *quality->minutes);
    quality->count++;
    /* One that is closed and not kept may have been told as empty. */
    quality->minutes[at] =
        (kt_quality_minute){ .start_ns = start_ns, .revision = start_ns < quality->closed_ns ? 1 : 0 };
    return &quality->minutes[at];
}

/* Where a time is counted. */
static int64_t place(kt_quality *quality, int64_t time_ns, bool stream)
{
    int64_t start = minute_of(time_ns);

    if (quality->now_ns == 0) {
        quality->first_ns = quality->first_ns == 0 && time_ns > 0 ? time_ns : quality->first_ns;
        return 0;
    }
    if (time_ns <= 0 || start > quality->now_ns || start < quality->forgot_ns ||
        (stream && start < quality->now_ns - KT_QUALITY_KEEP_NS))
        return quality->now_ns;
    return start;
}

void kt_quality_reach(kt_quality *quality, int64_t market_ns)
{
    int64_t first = minute_of(quality->first_ns), start = minute_of(market_ns);
    bool begins = quality->now_ns == 0;

    if (start == quality->now_ns || start <= 0)
        return;
    quality->now_ns = start;
    if (!begins || quality->count == 0)
        return;
    kt_assert(quality->count == 1);
    quality->minutes[0].start_ns = first > 0 && first < start ? first : start;
    for (uint32_t i = 0; i < 2; i++)
        if (quality->times[i].count > 0)
            quality->times[i].start_ns = quality->minutes[0].start_ns;
}

void kt_quality_count(kt_quality *quality, kt_quality_what what, int64_t time_ns)
{
    kt_quality_minute *minute = minute_at(quality, place(quality, time_ns, true));

    kt_assert(what < KT_QUALITY_WHATS);
    if (minute == NULL)
        return;
    minute->counts[what]++;
    mark(quality, minute);
}

/* Numbers -----------------------------------------------------------------------------------------------------------
 */

/* The minute whose number it is: that of the numbers around it, and in a gap the one of its time. NULL: of a forgotten one.
 */
static kt_quality_minute *owner(kt_quality *quality, uint64_t number, int64_t start_ns)
{
    kt_quality_minute *next = NULL, *before = NULL, *minute;
    int64_t next_ns;

    if (number == 0)
        return NULL;
    for (uint32_t i = quality->count; i > 0 && before == NULL; i--) {
        minute = &quality->minutes[i - 1];
        if (minute->high >= number)
            next = minute;
        else if (minute->high != 0)
            before = minute;
    }
    if (next != NULL && next->low <= number)
        return next;
    if (before == NULL && number <= quality->forgot)
        return NULL;
    next_ns = next != NULL ? next->start_ns : INT64_MAX;
    if (before != NULL && start_ns < before->start_ns)
        start_ns = before->start_ns;
    if (start_ns > next_ns)
        start_ns = next_ns;
    if (next != NULL)
        mark(quality, next); /* the gap before its first number changes */
    minute = minute_at(quality, start_ns);
    if (minute == NULL)
        return NULL;
    minute->low = minute->low == 0 || number < minute->low ? number : minute->low;
    minute->high = number > minute->high ? number : minute->high;
    mark(quality, minute);
    return minute;
}

static uint64_t high_before(const kt_quality *quality, const kt_quality_minute *minute)
{
    for (const kt_quality_minute *before = minute; before-- > quality->minutes;)
        if (before->high != 0)
            return before->high;
    return quality->forgot != 0 ? quality->forgot : minute->low - 1;
}

uint64_t kt_quality_missing(const kt_quality *quality, const kt_quality_minute *minute)
{
    uint64_t owned;

    if (!quality->numbered)
        return minute->counts[KT_QUALITY_REPAIRED];
    if (minute->high == 0)
        return 0;
    owned = minute->high - high_before(quality, minute);
    return owned > minute->given ? owned - minute->given : 0; /* the stream may give again what gather has forgotten */
}

void kt_quality_found(kt_quality *quality, uint64_t number, int64_t time_ns, bool repaired)
{
    int64_t start = place(quality, time_ns, false);
    kt_quality_minute *minute = quality->numbered ? owner(quality, number, start) : NULL;

    if (!repaired)
        return;
    minute = minute != NULL ? minute : minute_at(quality, start);
    if (minute == NULL)
        return;
    minute->counts[KT_QUALITY_REPAIRED]++;
    mark(quality, minute);
}

void kt_quality_unfound(kt_quality *quality, uint64_t number, int64_t time_ns)
{
    int64_t start = place(quality, time_ns, false);
    kt_quality_minute *minute = quality->numbered ? owner(quality, number, start) : NULL;

    minute = minute != NULL ? minute : minute_at(quality, start);
    if (minute == NULL || minute->counts[KT_QUALITY_REPAIRED] == 0)
        return; /* it was counted in a minute that is forgotten */
    minute->counts[KT_QUALITY_REPAIRED]--;
    mark(quality, minute);
}

/* Latency -----------------------------------------------------------------------------------------------------------
 */

/* As in base/histogram.c, from the middle of the steps in both directions. */
static uint32_t step_of(int64_t ns)
{
    uint64_t units = (ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns) >> KT_QUALITY_UNIT_BITS;
    uint32_t step = (uint32_t)units;

    if (units >= UINT64_C(1) << KT_QUALITY_POWER_MAX)
        step = KT_QUALITY_STEPS - 1;
    else if (units >= STEPS_OF_POWER) {
        uint32_t shift = 63 - (uint32_t)__builtin_clzll(units) - KT_QUALITY_STEP_BITS;

        step = (shift + 1) * STEPS_OF_POWER + (uint32_t)(units >> shift) - STEPS_OF_POWER;
    }
    return ns < 0 ? KT_QUALITY_STEPS - 1 - step : KT_QUALITY_STEPS + step;
}

static int64_t middle_of(uint32_t index)
{
    bool below = index < KT_QUALITY_STEPS;
    uint32_t step = below ? KT_QUALITY_STEPS - 1 - index : index - KT_QUALITY_STEPS;
    uint32_t shift = step < STEPS_OF_POWER ? 0 : step / STEPS_OF_POWER - 1;
    int64_t first = step < STEPS_OF_POWER ? step : (int64_t)(STEPS_OF_POWER + step % STEPS_OF_POWER) << shift;
    int64_t ns = (first << KT_QUALITY_UNIT_BITS) + (INT64_C(1) << (shift + KT_QUALITY_UNIT_BITS - 1));

    return below ? -ns : ns;
}

static int64_t quantile(const kt_quality_times *times, uint32_t permille, int64_t max_ns)
{
    uint64_t rank = ((uint64_t)times->count * permille + 999) / 1000, seen = 0;
    uint32_t index = 0;

    while (index < 2 * KT_QUALITY_STEPS && (seen += times->steps[index]) < rank)
        index++;
    return index < 2 * KT_QUALITY_STEPS && middle_of(index) < max_ns ? middle_of(index) : max_ns;
}

static void quantiles_take(const kt_quality_times *times, kt_quality_minute *minute)
{
    if (times->start_ns != minute->start_ns || times->count == 0)
        return;
    minute->p50_ns = quantile(times, 500, minute->max_ns);
    minute->p99_ns = quantile(times, 990, minute->max_ns);
}

/* The histogram of this minute; NULL: it has made room for newer ones. */
static kt_quality_times *times_of(kt_quality *quality, int64_t start_ns)
{
    kt_quality_times *older = &quality->times[quality->times[0].start_ns > quality->times[1].start_ns];

    for (uint32_t i = 0; i < 2; i++)
        if (quality->times[i].start_ns == start_ns)
            return &quality->times[i];
    if (older->start_ns > start_ns)
        return NULL;
    for (uint32_t i = quality->count; i > 0 && quality->minutes[i - 1].start_ns >= older->start_ns; i--)
        quantiles_take(older, &quality->minutes[i - 1]);
    *older = (kt_quality_times){ .start_ns = start_ns };
    return older;
}

void kt_quality_given(kt_quality *quality, uint64_t number, int64_t time_ns, int64_t latency_ns)
{
    int64_t start = place(quality, time_ns, true);
    kt_quality_minute *minute = minute_at(quality, start);
    kt_quality_times *times = times_of(quality, start);

    if (minute == NULL)
        return;
    minute->max_ns = minute->timed == 0 || latency_ns > minute->max_ns ? latency_ns : minute->max_ns;
    minute->timed++;
    if (times != NULL) {
        times->steps[step_of(latency_ns)]++;
        times->count++;
    }
    mark(quality, minute);
    minute = quality->numbered ? owner(quality, number, start) : NULL;
    if (minute == NULL)
        return;
    minute->given++;
    mark(quality, minute);
}

/* Telling -----------------------------------------------------------------------------------------------------------
 */

void kt_quality_close(kt_quality *quality, int64_t from_ns, int64_t until_ns)
{
    kt_assert(from_ns % KT_QUALITY_MINUTE_NS == 0);
    kt_assert(until_ns % KT_QUALITY_MINUTE_NS == 0);
    for (int64_t start = from_ns; start < until_ns; start += KT_QUALITY_MINUTE_NS) {
        kt_quality_minute *minute = minute_at(quality, start);

        if (minute != NULL)
            minute->dirty = true;
    }
    quality->closed_ns = until_ns;
    quality->late = true;
}

kt_quality_minute *kt_quality_next(kt_quality *quality)
{
    for (uint32_t i = 0; quality->late && i < quality->count; i++) {
        kt_quality_minute *minute = &quality->minutes[i];

        if (!minute->dirty || minute->start_ns >= quality->closed_ns)
            continue;
        quantiles_take(&quality->times[0], minute);
        quantiles_take(&quality->times[1], minute);
        return minute;
    }
    quality->late = false;
    return NULL;
}

void kt_quality_told(kt_quality *quality, kt_quality_minute *minute)
{
    kt_assert(minute >= quality->minutes);
    kt_assert(minute < quality->minutes + quality->count);
    minute->dirty = false;
    minute->revision++;
}

static bool is_empty(const kt_quality_minute *minute)
{
    uint32_t any = minute->timed | minute->given | (minute->high != 0);

    for (uint32_t i = 0; i < KT_QUALITY_WHATS; i++)
        any |= minute->counts[i];
    return any == 0 && !minute->dirty && minute->revision == 1;
}

void kt_quality_forget(kt_quality *quality, int64_t settled_ns)
{
    int64_t keep = quality->now_ns - KT_QUALITY_KEEP_NS;

    while (quality->count > 0 && !quality->minutes[0].dirty && quality->minutes[0].start_ns < quality->closed_ns &&
           quality->minutes[0].start_ns + KT_QUALITY_MINUTE_NS <= (settled_ns < keep ? settled_ns : keep))
        drop_oldest(quality);
    for (uint32_t i = quality->count; i-- > 0;)
        if (is_empty(&quality->minutes[i]))
            drop(quality, i);
}
