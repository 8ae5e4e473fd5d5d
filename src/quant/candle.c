#include "quant/candle.h"

#include "base/assert.h"
#include "base/decimal.h"

kt_candle kt_candle_of(int64_t time_ns, int64_t interval_ns)
{
    kt_assert(time_ns >= 0);
    kt_assert(interval_ns > 0);
    return (kt_candle){ .open_ns = time_ns - time_ns % interval_ns, .interval_ns = interval_ns };
}

kt_code kt_candle_add(kt_candle *candle, int64_t time_ns, kt_price price, kt_qty quantity)
{
    bool first = candle->count == 0;
    kt_i128 volume, turnover;

    if (price.m <= 0 || quantity.m <= 0)
        return KT_ARG;
    if (time_ns < candle->open_ns || time_ns - candle->open_ns >= candle->interval_ns)
        return KT_SEQ;
    if (kt_i128_add(candle->volume, quantity.m, &volume) != KT_OK ||
        kt_i128_add(candle->turnover, (kt_i128)price.m * quantity.m, &turnover) != KT_OK)
        return KT_RANGE;
    candle->volume = volume;
    candle->turnover = turnover;
    candle->count++;
    if (first || time_ns < candle->first_ns) {
        candle->first_ns = time_ns;
        candle->open = price;
    }
    if (first || time_ns >= candle->last_ns) {
        candle->last_ns = time_ns;
        candle->close = price;
    }
    if (first || price.m > candle->high.m)
        candle->high = price;
    if (first || price.m < candle->low.m)
        candle->low = price;
    return KT_OK;
}

kt_code kt_candle_vwap(
    const kt_candle *candle, uint8_t price_scale, uint8_t scale, kt_candle_rounding rounding, kt_price *out_price)
{
    kt_i128 num = candle->turnover, den = candle->volume, m;

    kt_assert(price_scale <= KT_SCALE_MAX);
    kt_assert(scale <= KT_SCALE_MAX);
    if (candle->count == 0)
        return KT_EMPTY;
    if (scale >= price_scale ? kt_i128_mul(num, kt_pow10(scale - price_scale), &num) != KT_OK
                             : kt_i128_mul(den, kt_pow10(price_scale - scale), &den) != KT_OK)
        return KT_RANGE;
    m = rounding == KT_CANDLE_CUT ? num / den : kt_div_half_even(num, den);
    if (m > INT64_MAX)
        return KT_RANGE;
    out_price->m = (int64_t)m;
    return KT_OK;
}
