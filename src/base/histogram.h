/* base/histogram.h - how often which durations came: bounded, mergeable, with a known error.
 *
 * Form     log-linear: values below 8 ns each have a counter, above them each power of two is divided into 8 equal steps, as
 *          in HdrHistogram. A quantile is the middle of its step: at most 1/16 from the value that was counted.
 * Range    0 to 2^42 ns (73 minutes); below it counts as 0 (clocks of two machines differ), above it as the greatest.
 * Cost     an addition a handful of instructions, no allocation; 2.6 kB each. Zeroed memory is an empty one.
 */
#ifndef KT_BASE_HISTOGRAM_H
#define KT_BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    KT_HISTOGRAM_STEP_BITS = 3,
    KT_HISTOGRAM_POWER_MAX = 42,
    KT_HISTOGRAM_COUNT = (KT_HISTOGRAM_POWER_MAX - KT_HISTOGRAM_STEP_BITS + 1) << KT_HISTOGRAM_STEP_BITS,
};

typedef struct kt_histogram {
    uint64_t counts[KT_HISTOGRAM_COUNT];
    uint64_t count;
    uint64_t sum_ns; /* of what was counted, after the bounds were applied */
} kt_histogram;

/* Count this duration `times` times. */
void kt_histogram_add(kt_histogram *histogram, int64_t ns, uint64_t times);

/* As if everything in `other` had been added. */
void kt_histogram_merge(kt_histogram *histogram, const kt_histogram *other);

/* How many are below 2^power ns: exact. power: KT_HISTOGRAM_STEP_BITS to KT_HISTOGRAM_POWER_MAX. */
uint64_t kt_histogram_below(const kt_histogram *histogram, uint32_t power);

/* The middle of the values that counts[index] is of. */
int64_t kt_histogram_middle(uint32_t index);

/* The duration that `permille` of a thousand do not exceed: 500 is the median, 1000 the greatest. 0: empty. */
int64_t kt_histogram_quantile(const kt_histogram *histogram, uint32_t permille);

#endif
