/* quant/candle.h - open, high, low, close, volume, count and average price of one interval, exactly.
 *
 * Interval [open_ns, open_ns + interval_ns): a trade at its first instant is in, one at the first instant of the next is
 *          not. Trades come in any order: the earliest is the open and the latest the close; of trades of one time the
 *          first that came is the open and the last that came the close, as venues list them.
 * Numbers  price and quantity are mantissas in the caller's scales; volume and turnover are exact 128-bit sums.
 * VWAP     turnover / volume. Venues cut theirs (Kraken: to the digits of the pair's prices) or round them, so the caller
 *          names scale and rounding.
 * Cost     a few comparisons a trade; no allocation. All zero but the interval: no trade yet.
 */
#ifndef KT_QUANT_CANDLE_H
#define KT_QUANT_CANDLE_H

#include "base/error.h"
#include "base/types.h"

typedef struct kt_candle {
    int64_t open_ns;
    int64_t interval_ns; /* above 0 */
    int64_t first_ns;    /* times of the trades behind open and close */
    int64_t last_ns;
    kt_price open, high, low, close;
    kt_i128 volume;
    kt_i128 turnover;
    uint64_t count;
} kt_candle;

/* The interval of `interval_ns` above 0 that time_ns, not negative, falls into, counted from 1970; no trade yet. */
kt_candle kt_candle_of(int64_t time_ns, int64_t interval_ns);

/* Add a trade. KT_ARG: price or quantity is not positive. KT_SEQ: it is not of this interval. KT_RANGE: a sum would
 * leave 128 bits. After an error nothing has changed. */
kt_code kt_candle_add(kt_candle *candle, int64_t time_ns, kt_price price, kt_qty quantity);

typedef enum kt_candle_rounding {
    KT_CANDLE_CUT,       /* digits behind `scale` are dropped */
    KT_CANDLE_HALF_EVEN, /* to the nearest, a half to the even neighbour */
} kt_candle_rounding;

/* The average price as a mantissa at `scale`, where price_scale is that of the prices; both 0 to KT_SCALE_MAX, which is
 * asserted. KT_EMPTY: no trade, no price. KT_RANGE: the result does not fit 63 bits, or what leads to it 128. */
kt_code kt_candle_vwap(
    const kt_candle *candle, uint8_t price_scale, uint8_t scale, kt_candle_rounding rounding, kt_price *out_price);

#endif
