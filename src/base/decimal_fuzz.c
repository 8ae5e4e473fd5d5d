/* What is read as a decimal is canonical, is written and read again as itself, and agrees with the reader of 128 bits,
 * which has no fast path. */
#include "base/assert.h"
#include "base/decimal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_text text = { (const char *)data, size };
    kt_decimal decimal, back;
    char out[KT_DECIMAL_TEXT_MAX], wide_out[KT_I128_TEXT_MAX];
    kt_i128 wide;
    uint32_t scale;

    kt_code code = kt_decimal_parse(text, &decimal);
    kt_code wide_code = kt_i128_parse(text, &wide, &scale);
    kt_assert(code == KT_OK || code == KT_SYNTAX || code == KT_RANGE);
    if (wide_code == KT_OK) {
        kt_assert(code != KT_SYNTAX);
        kt_i128_format_trimmed(wide_out, sizeof wide_out, wide, scale);
    }
    if (code != KT_OK)
        return 0;
    kt_decimal canon = kt_decimal_canon(decimal);
    kt_assert(kt_decimal_valid(decimal));
    kt_assert(memcmp(&decimal, &canon, sizeof decimal) == 0);
    size_t n = kt_decimal_format(out, sizeof out, decimal);
    kt_assert(kt_decimal_parse((kt_text){ out, n }, &back) == KT_OK);
    kt_assert(memcmp(&decimal, &back, sizeof decimal) == 0);
    if (wide_code == KT_OK && wide != 0)
        kt_assert(strcmp(out, wide_out) == 0);
    return 0;
}
