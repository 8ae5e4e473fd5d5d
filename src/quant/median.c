#include "quant/median.h"

#include <string.h>

#include "base/assert.h"

/* Index of the first sorted value that is not less. */
static uint32_t place_of(const kt_median *median, int64_t value)
{
    uint32_t i = 0;

    while (i < median->count && median->sorted[i] < value)
        i++;
    return i;
}

void kt_median_push(kt_median *median, int64_t value)
{
    uint32_t place;

    kt_assert(median->count <= KT_MEDIAN_SPAN);
    kt_assert(median->next < KT_MEDIAN_SPAN);
    if (median->count == KT_MEDIAN_SPAN) {
        place = place_of(median, median->values[median->next]);
        median->count--;
        memmove(&median->sorted[place], &median->sorted[place + 1], (median->count - place) * sizeof median->sorted[0]);
    }
    place = place_of(median, value);
    memmove(&median->sorted[place + 1], &median->sorted[place], (median->count - place) * sizeof median->sorted[0]);
    median->sorted[place] = value;
    median->count++;
    median->values[median->next] = value;
    median->next = (median->next + 1) % KT_MEDIAN_SPAN;
}

kt_i128 kt_median_twice(const kt_median *median)
{
    if (median->count == 0)
        return 0;
    return (kt_i128)median->sorted[(median->count - 1) / 2] + median->sorted[median->count / 2];
}

bool kt_median_far(const kt_median *median, int64_t value, uint32_t percent)
{
    kt_i128 twice = kt_median_twice(median);
    kt_i128 distance = 2 * (kt_i128)value - twice;

    if (median->count < KT_MEDIAN_MIN)
        return false;
    return (distance < 0 ? -distance : distance) * 100 > twice * percent;
}

bool kt_median_rescale(kt_median *median, int64_t factor)
{
    kt_median scaled = *median;

    for (uint32_t i = 0; i < KT_MEDIAN_SPAN; i++)
        if (__builtin_mul_overflow(median->values[i], factor, &scaled.values[i]) ||
            __builtin_mul_overflow(median->sorted[i], factor, &scaled.sorted[i]))
            return false;
    *median = scaled;
    return true;
}
