#include "book/checksum.h"

#include "base/text.h"

enum { KRAKEN_LEVELS = 10, TEXT_SIZE = KT_LEVEL2_SIDES * KRAKEN_LEVELS * 2 * KT_DECIMAL_TEXT_MAX + 1 };

/* CRC-32 with the reflected polynomial 0xEDB88320, half a byte at a time. */
static uint32_t crc32(kt_text text)
{
    static const uint32_t halves[16] = { 0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278,
        0xBDBDF21C };
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < text.n; i++) {
        crc ^= (uint8_t)text.s[i];
        crc = crc >> 4 ^ halves[crc & 15];
        crc = crc >> 4 ^ halves[crc & 15];
    }
    return ~crc;
}

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
        *out_checksum = crc32(kt_builder_done(&text));
    return code;
}
