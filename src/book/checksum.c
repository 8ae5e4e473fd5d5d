#include "book/checksum.h"

#include <zlib.h>

#include "base/text.h"

enum { KRAKEN_LEVELS = 10, TEXT_SIZE = KT_LEVEL2_SIDES * KRAKEN_LEVELS * 2 * KT_DECIMAL_TEXT_MAX + 1 };

/* The value in units of its last written digit is its text without the point and the zeros in front. */
static kt_code put_digits(kt_builder *text, int64_t m, uint8_t scale, uint8_t digits)
{
    int64_t unit = 0;
    kt_code code = kt_decimal_rescale((kt_decimal){ .m = m, .scale = scale }, digits, &unit);

    if (code == KT_OK)
        kt_builder_i64(text, unit);
    return code;
}

static kt_code put_side(kt_builder *text, const kt_level2 *book, kt_level2_side side)
{
    uint32_t count = kt_level2_count(book, side);
    kt_code code = KT_OK;

    for (uint32_t rank = 0; rank < count && rank < KRAKEN_LEVELS && code == KT_OK; rank++) {
        kt_price_level level = kt_level2_at(book, side, rank);

        code = put_digits(text, level.price.m, book->price_scale, book->price_digits);
        if (code == KT_OK)
            code = put_digits(text, level.quantity.m, book->quantity_scale, book->quantity_digits);
    }
    return code;
}

kt_code kt_checksum_kraken(const kt_level2 *book, uint32_t *out_checksum)
{
    char mem[TEXT_SIZE];
    kt_builder text;
    kt_code code;

    kt_builder_init(&text, mem, sizeof mem);
    code = put_side(&text, book, KT_ASKS);
    if (code == KT_OK)
        code = put_side(&text, book, KT_BIDS);
    if (code == KT_OK)
        *out_checksum = (uint32_t)crc32(0, (const Bytef *)text.s, (uInt)text.n);
    return code;
}
