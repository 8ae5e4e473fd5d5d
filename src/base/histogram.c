#include "base/histogram.h"

#include "base/assert.h"

enum { STEPS = 1 << KT_HISTOGRAM_STEP_BITS };

/* Steps of one power of two follow those of the one before, so that indices grow with values. */
static uint32_t index_of(uint64_t ns)
{
    if (ns < STEPS)
        return (uint32_t)ns;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(ns);

    return (power - KT_HISTOGRAM_STEP_BITS + 1) * STEPS + (uint32_t)(ns >> (power - KT_HISTOGRAM_STEP_BITS)) - STEPS;
}

int64_t kt_histogram_middle(uint32_t index)
{
    uint32_t shift = index < STEPS ? 0 : index / STEPS - 1;
    uint64_t first = index < STEPS ? index : (uint64_t)(STEPS + index % STEPS) << shift;

    kt_assert(index < KT_HISTOGRAM_COUNT);
    return (int64_t)(first + (UINT64_C(1) << shift) / 2);
}

void kt_histogram_add(kt_histogram *histogram, int64_t ns, uint64_t times)
{
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns;

    if (value >= UINT64_C(1) << KT_HISTOGRAM_POWER_MAX)
        value = (UINT64_C(1) << KT_HISTOGRAM_POWER_MAX) - 1;
    histogram->counts[index_of(value)] += times;
    histogram->count += times;
    histogram->sum_ns += value * times;
}

void kt_histogram_merge(kt_histogram *histogram, const kt_histogram *other)
{
    for (uint32_t i = 0; i < KT_HISTOGRAM_COUNT; i++)
        histogram->counts[i] += other->counts[i];
    histogram->count += other->count;
    histogram->sum_ns += other->sum_ns;
}

uint64_t kt_histogram_below(const kt_histogram *histogram, uint32_t power)
{
    uint64_t below = 0;

    kt_assert(power >= KT_HISTOGRAM_STEP_BITS);
    kt_assert(power <= KT_HISTOGRAM_POWER_MAX);
    for (uint32_t i = 0; i < (power - KT_HISTOGRAM_STEP_BITS + 1) * STEPS; i++)
        below += histogram->counts[i];
    return below;
}

int64_t kt_histogram_quantile(const kt_histogram *histogram, uint32_t permille)
{
    uint64_t rank = (histogram->count * permille + 999) / 1000;
    uint32_t index = 0;

    kt_assert(permille <= 1000);
    if (histogram->count == 0)
        return 0;
    rank = rank == 0 ? 1 : rank;
    for (uint64_t seen = histogram->counts[0]; seen < rank; seen += histogram->counts[index])
        index++;
    return kt_histogram_middle(index);
}
