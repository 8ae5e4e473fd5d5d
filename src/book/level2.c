#include "book/level2.h"

#include <stdlib.h>

#include "base/assert.h"

enum { CAPACITY_MIN = 64 };

void kt_level2_done(kt_level2 *book)
{
    free(book->sides[KT_BIDS].at);
    free(book->sides[KT_ASKS].at);
    *book = (kt_level2){ 0 };
}

void kt_level2_start(kt_level2 *book, uint64_t last_id)
{
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++)
        book->sides[side].count = 0;
    book->last_id = last_id;
    book->price_scale = 0;
    book->quantity_scale = 0;
    book->price_digits = 0;
    book->quantity_digits = 0;
    book->continued = false;
}

kt_level2_place kt_level2_place_of(const kt_level2 *book, uint64_t first_id, uint64_t last_id)
{
    kt_assert(first_id <= last_id);
    if (last_id <= book->last_id)
        return KT_LEVEL2_OLD;
    if (first_id == book->last_id + 1 || (first_id <= book->last_id && !book->continued))
        return KT_LEVEL2_NEXT;
    return KT_LEVEL2_GAP;
}

void kt_level2_continue(kt_level2 *book, uint64_t last_id)
{
    kt_assert(last_id > book->last_id);
    book->last_id = last_id;
    book->continued = true;
}

void kt_level2_written(kt_level2 *book, uint8_t price_digits, uint8_t quantity_digits)
{
    if (price_digits > book->price_digits)
        book->price_digits = price_digits;
    if (quantity_digits > book->quantity_digits)
        book->quantity_digits = quantity_digits;
}

/* ---- scales ---- */

static kt_code grown(int64_t m, uint8_t digits, int64_t *out_m)
{
    kt_decimal decimal = { .m = m };

    return kt_decimal_rescale(decimal, digits, out_m);
}

/* More digits behind the point for all that is there. */
static kt_code widen(kt_level2 *book, uint8_t price_scale, uint8_t quantity_scale)
{
    uint8_t price_digits = (uint8_t)(price_scale - book->price_scale);
    uint8_t quantity_digits = (uint8_t)(quantity_scale - book->quantity_scale);
    int64_t m = 0;

    for (uint32_t pass = 0; pass < 2; pass++) /* first look, then do: a failure leaves all as it was */
        for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++)
            for (uint32_t i = 0; i < book->sides[side].count; i++) {
                kt_price_level *level = &book->sides[side].at[i];

                if (grown(level->price.m, price_digits, &m) != KT_OK)
                    return KT_RANGE;
                if (pass == 1)
                    level->price.m = m;
                if (grown(level->quantity.m, quantity_digits, &m) != KT_OK)
                    return KT_RANGE;
                if (pass == 1)
                    level->quantity.m = m;
            }
    book->price_scale = price_scale;
    book->quantity_scale = quantity_scale;
    return KT_OK;
}

/* ---- levels ---- */

/* Greater is better, on either side. */
static int64_t goodness(kt_level2_side side, kt_price price)
{
    return side == KT_BIDS ? price.m : -price.m;
}

/* Index of the first level that is at least as good. */
static uint32_t search(const kt_levels *levels, kt_level2_side side, kt_price price)
{
    uint32_t low = 0, high = levels->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (goodness(side, levels->at[middle].price) < goodness(side, price))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static kt_code reserve(kt_levels *levels)
{
    uint32_t capacity = levels->capacity != 0 ? 2 * levels->capacity : CAPACITY_MIN;
    kt_price_level *at = NULL;

    if (levels->count < levels->capacity)
        return KT_OK;
    at = realloc(levels->at, capacity * sizeof *at);
    if (at == NULL)
        return KT_SYS;
    levels->at = at;
    levels->capacity = capacity;
    return KT_OK;
}

static void move(kt_levels *levels, uint32_t to, uint32_t from, uint32_t count)
{
    if (count != 0)
        memmove(&levels->at[to], &levels->at[from], count * sizeof *levels->at);
}

static kt_code insert(kt_levels *levels, uint32_t index, kt_price_level level)
{
    kt_code code = KT_OK;

    if (levels->count == KT_LEVEL2_MAX) {
        if (index == 0)
            return KT_OK; /* worse than all */
        move(levels, 0, 1, index - 1);
        levels->at[index - 1] = level;
        return KT_OK;
    }
    code = reserve(levels);
    if (code != KT_OK)
        return code;
    move(levels, index + 1, index, levels->count - index);
    levels->at[index] = level;
    levels->count++;
    return KT_OK;
}

kt_code kt_level2_set(kt_level2 *book, kt_level2_side side, kt_decimal price, kt_decimal quantity)
{
    kt_levels *levels = &book->sides[side];
    uint8_t price_scale = price.scale > book->price_scale ? price.scale : book->price_scale;
    uint8_t quantity_scale = quantity.scale > book->quantity_scale ? quantity.scale : book->quantity_scale;
    kt_price_level level = { 0 };
    uint32_t index = 0;

    kt_assert(price.m > 0);
    kt_assert(quantity.m >= 0);
    if (kt_decimal_rescale(price, price_scale, &level.price.m) != KT_OK ||
        kt_decimal_rescale(quantity, quantity_scale, &level.quantity.m) != KT_OK)
        return KT_RANGE;
    if ((price_scale != book->price_scale || quantity_scale != book->quantity_scale) &&
        widen(book, price_scale, quantity_scale) != KT_OK)
        return KT_RANGE;
    index = search(levels, side, level.price);
    if (index == levels->count || levels->at[index].price.m != level.price.m)
        return level.quantity.m != 0 ? insert(levels, index, level) : KT_OK;
    if (level.quantity.m != 0) {
        levels->at[index].quantity = level.quantity;
        return KT_OK;
    }
    levels->count--;
    move(levels, index, index + 1, levels->count - index);
    return KT_OK;
}

void kt_level2_cut(kt_level2 *book, uint32_t depth)
{
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        kt_levels *levels = &book->sides[side];
        uint32_t worst = levels->count > depth ? levels->count - depth : 0;

        levels->count -= worst;
        if (worst != 0)
            move(levels, 0, worst, levels->count);
    }
}

kt_price_level kt_level2_at(const kt_level2 *book, kt_level2_side side, uint32_t rank)
{
    const kt_levels *levels = &book->sides[side];

    kt_assert(rank < levels->count);
    return levels->at[levels->count - 1 - rank];
}

void kt_level2_decimals(
    const kt_level2 *book, kt_level2_side side, uint32_t rank, kt_decimal *out_price, kt_decimal *out_quantity)
{
    kt_price_level level = kt_level2_at(book, side, rank);

    *out_price = kt_decimal_canon((kt_decimal){ .m = level.price.m, .scale = book->price_scale });
    *out_quantity = kt_decimal_canon((kt_decimal){ .m = level.quantity.m, .scale = book->quantity_scale });
}
