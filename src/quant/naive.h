/* quant/naive.h - the slow, obvious second implementation that tests compare quant/vwap.h with: a list of trades, and a
 * loop over all of it for each question. For tests only.
 */
#ifndef KT_QUANT_NAIVE_H
#define KT_QUANT_NAIVE_H

#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "quant/vwap.h"

typedef struct kt_naive_trade {
    int64_t time_ns;
    int64_t price;
    int64_t qty;
} kt_naive_trade;

typedef struct kt_naive {
    kt_naive_trade *trades;
    size_t count;
    size_t capacity;
} kt_naive;

static inline void kt_naive_push(kt_naive *naive, int64_t time_ns, int64_t price, int64_t qty)
{
    if (naive->count == naive->capacity) {
        naive->capacity = naive->capacity == 0 ? 256 : 2 * naive->capacity;
        naive->trades = realloc(naive->trades, naive->capacity * sizeof *naive->trades);
        kt_assert(naive->trades != NULL);
    }
    naive->trades[naive->count++] = (kt_naive_trade){ time_ns, price, qty };
}

static inline void kt_naive_drop(kt_naive *naive, size_t index)
{
    naive->trades[index] = naive->trades[--naive->count];
}

static inline void kt_naive_free(kt_naive *naive)
{
    free(naive->trades);
    *naive = (kt_naive){ 0 };
}

static inline kt_vwap_sums kt_naive_at(const kt_naive *naive, int64_t span_s, int64_t mark_s)
{
    kt_vwap_sums sums = { 0 };

    for (size_t i = 0; i < naive->count; i++) {
        const kt_naive_trade *t = &naive->trades[i];

        if (t->time_ns < (mark_s - span_s) * KT_NS_PER_S || t->time_ns > mark_s * KT_NS_PER_S)
            continue;
        sums.pq += (kt_i128)t->price * t->qty;
        sums.q += t->qty;
        sums.trades++;
    }
    return sums;
}

static inline bool kt_naive_next(const kt_naive *naive, int64_t span_s, int64_t after_s, int64_t *out_mark_s)
{
    int64_t best = INT64_MAX;

    for (size_t i = 0; i < naive->count; i++) {
        int64_t first = (naive->trades[i].time_ns + KT_NS_PER_S - 1) / KT_NS_PER_S;
        int64_t last = naive->trades[i].time_ns / KT_NS_PER_S + span_s;
        int64_t mark = first > after_s + 1 ? first : after_s + 1;

        if (mark <= last && mark < best)
            best = mark;
    }
    *out_mark_s = best;
    return best != INT64_MAX;
}

static inline bool kt_sums_equal(const kt_vwap_sums *a, const kt_vwap_sums *b)
{
    return a->pq == b->pq && a->q == b->q && a->trades == b->trades;
}

#endif
