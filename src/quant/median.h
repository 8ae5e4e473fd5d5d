/* quant/median.h - the median of the last few values, and which value is too far from it.
 *
 * Median   of the last KT_MEDIAN_SPAN values (fewer at the start); of an even number of them the mean of the two in the
 *          middle, kept doubled so that it stays an integer.
 * Far      |value - median| * 100 > percent * median, exactly: a value at the limit itself is not far. Values are
 *          positive. Before KT_MEDIAN_MIN values there is no judgement.
 * Cost     a push moves at most KT_MEDIAN_SPAN numbers; no allocation.
 */
#ifndef KT_QUANT_MEDIAN_H
#define KT_QUANT_MEDIAN_H

#include "base/types.h"

enum {
    KT_MEDIAN_SPAN = 31,
    KT_MEDIAN_MIN = 3, /* with fewer, one wrong value could be the median itself */
};

/* All zero: empty. May be copied and stored as bytes. */
typedef struct kt_median {
    int64_t values[KT_MEDIAN_SPAN]; /* in the order they came; the next one goes to `next` */
    int64_t sorted[KT_MEDIAN_SPAN]; /* the same, ascending */
    uint32_t count;
    uint32_t next;
} kt_median;

void kt_median_push(kt_median *median, int64_t value);

/* Twice the median; 0 when empty. */
kt_i128 kt_median_twice(const kt_median *median);

bool kt_median_far(const kt_median *median, int64_t value, uint32_t percent);

/* Multiply all values by `factor`, when their scale grows. false: one would leave 64 bits, and nothing has changed. */
bool kt_median_rescale(kt_median *median, int64_t factor);

#endif
