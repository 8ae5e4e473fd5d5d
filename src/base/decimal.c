#include "base/decimal.h"

#include "base/assert.h"
#include "base/swar.h"
#include "base/text.h"

static const int64_t pow10_table[KT_SCALE_MAX + 1] = {
    INT64_C(1),
    INT64_C(10),
    INT64_C(100),
    INT64_C(1000),
    INT64_C(10000),
    INT64_C(100000),
    INT64_C(1000000),
    INT64_C(10000000),
    INT64_C(100000000),
    INT64_C(1000000000),
    INT64_C(10000000000),
    INT64_C(100000000000),
    INT64_C(1000000000000),
    INT64_C(10000000000000),
    INT64_C(100000000000000),
    INT64_C(1000000000000000),
    INT64_C(10000000000000000),
    INT64_C(100000000000000000),
    INT64_C(1000000000000000000),
};

int64_t kt_pow10(uint32_t exponent)
{
    kt_assert(exponent <= KT_SCALE_MAX);
    return pow10_table[exponent];
}

kt_i128 kt_pow10_i128(uint32_t exponent)
{
    kt_assert(exponent <= 38);
    kt_i128 power = pow10_table[exponent % 19];

    for (uint32_t left = exponent / 19; left > 0; left--)
        power *= (kt_i128)pow10_table[18] * 10;
    return power;
}

/* ---- parsing ---- */

/* Digits added to *number, which may wrap: the caller counts them. Returns the first byte that is no digit. */
static inline const char *digits_add(const char *at, const char *end, uint64_t *number)
{
    uint64_t sum = *number;

    while (end - at >= 8) {
        uint64_t chunk = kt_swar_load(at);
        if (!kt_swar_all_digits(chunk))
            break;
        sum = sum * 100000000 + kt_swar_eight_digits(chunk);
        at += 8;
    }
    for (; at < end && kt_is_digit(*at); at++)
        sum = sum * 10 + (uint64_t)(*at - '0');
    *number = sum;
    return at;
}

/* The end of [at, end) without the '0' characters it ends with. */
static inline const char *zeros_drop(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t other = kt_swar_load(end - 8) ^ UINT64_C(0x3030303030303030);
        if (other != 0)
            return end - __builtin_clzll(other) / 8; /* the last character is the highest byte */
        end -= 8;
    }
    while (end > at && end[-1] == '0')
        end--;
    return end;
}

/* What nearly every price is: at most 18 digits that count, no exponent. false: anything else, wrong or right. */
static inline bool parse_short(const char *at, const char *end, kt_decimal *out)
{
    bool negative = at < end && *at == '-';
    const char *whole = at + negative;
    uint64_t m = 0;
    ptrdiff_t scale = 0;

    const char *point = digits_add(whole, end, &m);
    if (point == whole || point - whole > 18 || (*whole == '0' && point - whole > 1))
        return false;
    if (point < end) {
        const char *fraction = point + 1;
        if (*point != '.' || fraction == end)
            return false;
        const char *last = zeros_drop(fraction, end);
        scale = last - fraction;
        if (scale + (point - whole) > 18 || digits_add(fraction, last, &m) != last)
            return false;
    }
    *out = (kt_decimal){ .m = negative ? -(int64_t)m : (int64_t)m, .scale = (uint8_t)scale };
    return true;
}

/* The parts of a number that follows the JSON grammar. */
typedef struct number_parts {
    const char *whole, *whole_end;
    const char *fraction, *fraction_end; /* empty when there is no point */
    int64_t exponent;                    /* beyond EXPONENT_FAR either way it is cut: any value there is out of range */
    bool negative;
} number_parts;

static const int64_t EXPONENT_FAR = INT64_C(1) << 40; /* more than the digits of any text that we read */

static const char *digits_end(const char *at, const char *end)
{
    while (at < end && kt_is_digit(*at))
        at++;
    return at;
}

static bool parts_read(const char *at, const char *end, number_parts *out)
{
    number_parts parts = { 0 };

    parts.negative = at < end && *at == '-';
    parts.whole = at + parts.negative;
    parts.whole_end = digits_end(parts.whole, end);
    if (parts.whole == parts.whole_end || (*parts.whole == '0' && parts.whole_end - parts.whole > 1))
        return false;
    at = parts.fraction = parts.fraction_end = parts.whole_end;
    if (at < end && *at == '.') {
        parts.fraction = at + 1;
        at = parts.fraction_end = digits_end(parts.fraction, end);
        if (parts.fraction == parts.fraction_end)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool down = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        const char *first = at;
        for (; at < end && kt_is_digit(*at); at++)
            if (parts.exponent < EXPONENT_FAR)
                parts.exponent = parts.exponent * 10 + (*at - '0');
        if (at == first)
            return false;
        if (down)
            parts.exponent = -parts.exponent;
    }
    *out = parts;
    return at == end;
}

static kt_code parse_long(const char *at, const char *end, kt_decimal *out)
{
    number_parts parts;
    kt_u128 m = 0;
    uint32_t digit_count = 0;
    int64_t zeros = 0; /* read, but not yet known to be followed by another digit */

    if (!parts_read(at, end, &parts))
        return KT_SYNTAX;
    for (at = parts.whole; at < parts.fraction_end; at++) {
        if (*at == '.')
            continue;
        if (*at == '0') {
            zeros += m != 0; /* zeros in front count for nothing */
            continue;
        }
        if (digit_count + zeros + 1 > 19)
            return KT_RANGE;
        for (; zeros > 0; zeros--, digit_count++)
            m *= 10;
        m = m * 10 + (kt_u128)(*at - '0');
        digit_count++;
    }
    if (m == 0) {
        *out = (kt_decimal){ 0 };
        return KT_OK;
    }
    int64_t exponent = parts.exponent - (parts.fraction_end - parts.fraction) + zeros; /* value = m * 10^exponent */
    if (exponent < -KT_SCALE_MAX || exponent > KT_SCALE_MAX)
        return KT_RANGE;
    if (exponent > 0)
        m *= (kt_u128)pow10_table[exponent]; /* below 10^19 * 10^18: fits */
    if (m > INT64_MAX)
        return KT_RANGE;
    *out = (kt_decimal){
        .m = parts.negative ? -(int64_t)m : (int64_t)m,
        .scale = (uint8_t)(exponent < 0 ? -exponent : 0),
    };
    return KT_OK;
}

kt_code kt_decimal_parse(kt_text text, kt_decimal *out_decimal)
{
    if (text.n == 0)
        return KT_SYNTAX;
    if (__builtin_expect(parse_short(text.s, text.s + text.n, out_decimal), 1))
        return KT_OK;
    return parse_long(text.s, text.s + text.n, out_decimal);
}

kt_code kt_i128_parse(kt_text text, kt_i128 *out_m, uint32_t *out_scale)
{
    number_parts parts;
    kt_i128 m = 0;

    if (text.n == 0 || memchr(text.s, 'e', text.n) != NULL || memchr(text.s, 'E', text.n) != NULL ||
        !parts_read(text.s, text.s + text.n, &parts))
        return KT_SYNTAX;
    if (parts.fraction_end - parts.fraction > KT_SUM_SCALE_MAX)
        return KT_RANGE;
    for (const char *at = parts.whole; at < parts.fraction_end; at++) {
        if (*at == '.')
            continue;
        int digit = parts.negative ? -(*at - '0') : *at - '0'; /* downwards when negative, so that -2^127 is read */
        if (__builtin_mul_overflow(m, (kt_i128)10, &m) || __builtin_add_overflow(m, (kt_i128)digit, &m))
            return KT_RANGE;
    }
    *out_m = m;
    *out_scale = (uint32_t)(parts.fraction_end - parts.fraction);
    return KT_OK;
}

/* ---- arithmetic ---- */

bool kt_decimal_valid(kt_decimal decimal)
{
    return decimal.scale <= KT_SCALE_MAX && decimal.m != INT64_MIN;
}

kt_code kt_decimal_rescale(kt_decimal decimal, uint32_t scale, int64_t *out_m)
{
    int64_t m = decimal.m;

    if (scale > KT_SCALE_MAX || !kt_decimal_valid(decimal))
        return KT_ARG;
    if (scale >= decimal.scale) {
        if (__builtin_mul_overflow(m, pow10_table[scale - decimal.scale], &m) || m == INT64_MIN)
            return KT_RANGE;
    } else {
        int64_t divisor = pow10_table[decimal.scale - scale];
        if (m % divisor != 0)
            return KT_RANGE;
        m /= divisor;
    }
    *out_m = m;
    return KT_OK;
}

kt_decimal kt_decimal_canon(kt_decimal decimal)
{
    if (decimal.m == 0)
        return (kt_decimal){ 0 };
    while (decimal.scale > 0 && decimal.m % 10 == 0) {
        decimal.m /= 10;
        decimal.scale--;
    }
    return (kt_decimal){ .m = decimal.m, .scale = decimal.scale };
}

int kt_decimal_compare(kt_decimal a, kt_decimal b)
{
    kt_assert(a.scale <= KT_SCALE_MAX);
    kt_assert(b.scale <= KT_SCALE_MAX);
    kt_i128 left = a.m, right = b.m;

    if (a.scale < b.scale)
        left *= pow10_table[b.scale - a.scale]; /* 63 + 60 bits: fits */
    else
        right *= pow10_table[a.scale - b.scale];
    return (left > right) - (left < right);
}

static kt_u128 magnitude(kt_i128 number)
{
    return number < 0 ? -(kt_u128)number : (kt_u128)number;
}

kt_i128 kt_div_half_even(kt_i128 num, kt_i128 den)
{
    kt_assert(den != 0);
    kt_assert(!(den == -1 && magnitude(num) == (kt_u128)1 << 127 && num < 0));
    kt_i128 quotient = num / den; /* towards zero */
    kt_u128 rest = magnitude(num % den);
    kt_u128 missing = magnitude(den) - rest;

    if (rest > missing || (rest == missing && (quotient & 1) != 0))
        quotient += (num < 0) != (den < 0) ? -1 : 1;
    return quotient;
}

/* ---- formatting ---- */

/* Digits of `number`, most significant first; returns how many (at least one). */
static size_t u128_digits(char out[40], kt_u128 number)
{
    const uint64_t chunk = UINT64_C(10000000000000000000); /* 10^19 */

    if (number < chunk)
        return kt_u64_format(out, (uint64_t)number);
    size_t n = u128_digits(out, number / chunk);
    uint64_t low = (uint64_t)(number % chunk);
    for (size_t i = 19; i > 0; i--, low /= 10)
        out[n + i - 1] = (char)('0' + low % 10);
    return n + 19;
}

/* Sign, digits and point, with zeros in front of a number smaller than its scale. */
static size_t number_write(char *out, bool negative, const char *digits, size_t n, size_t scale, bool trimmed)
{
    char *at = out;

    if (negative)
        *at++ = '-';
    if (n > scale) {
        memcpy(at, digits, n - scale);
        at += n - scale;
        digits += n - scale;
        n = scale;
    } else {
        *at++ = '0';
    }
    if (scale > 0) {
        *at++ = '.';
        memset(at, '0', scale - n);
        memcpy(at + scale - n, digits, n);
        at += scale;
        if (trimmed) {
            while (at[-1] == '0')
                at--;
            at -= at[-1] == '.';
        }
    }
    *at = '\0';
    return (size_t)(at - out);
}

static size_t decimal_write(char *out, size_t size, kt_decimal decimal, bool trimmed)
{
    kt_assert(size >= KT_DECIMAL_TEXT_MAX);
    kt_assert(decimal.scale <= KT_SCALE_MAX);
    char digits[20];
    bool negative = decimal.m < 0;
    size_t n = kt_u64_format(digits, negative ? -(uint64_t)decimal.m : (uint64_t)decimal.m);

    return number_write(out, negative, digits, n, decimal.scale, trimmed);
}

size_t kt_decimal_format(char *out, size_t size, kt_decimal decimal)
{
    return decimal_write(out, size, decimal, false);
}

size_t kt_decimal_format_trimmed(char *out, size_t size, kt_decimal decimal)
{
    return decimal_write(out, size, decimal, true);
}

static size_t i128_write(char *out, size_t size, kt_i128 m, uint32_t scale, bool trimmed)
{
    kt_assert(size >= KT_I128_TEXT_MAX);
    kt_assert(scale <= KT_SUM_SCALE_MAX);
    char digits[40];
    size_t n = u128_digits(digits, magnitude(m));

    return number_write(out, m < 0, digits, n, scale, trimmed);
}

size_t kt_i128_format(char *out, size_t size, kt_i128 m, uint32_t scale)
{
    return i128_write(out, size, m, scale, false);
}

size_t kt_i128_format_trimmed(char *out, size_t size, kt_i128 m, uint32_t scale)
{
    return i128_write(out, size, m, scale, true);
}

kt_code kt_sum_add(kt_sum a, kt_sum b, kt_sum *out_sum)
{
    uint8_t scale = a.scale > b.scale ? a.scale : b.scale;
    kt_i128 left;
    kt_i128 right;
    kt_i128 sum;
    kt_code code = kt_i128_mul(kt_sum_value(a), kt_pow10_i128((uint32_t)(scale - a.scale)), &left);

    if (code == KT_OK)
        code = kt_i128_mul(kt_sum_value(b), kt_pow10_i128((uint32_t)(scale - b.scale)), &right);
    if (code == KT_OK)
        code = kt_i128_add(left, right, &sum);
    if (code == KT_OK)
        *out_sum = kt_sum_of(sum, scale);
    return code;
}

kt_code kt_sum_ratio(kt_sum pq, kt_sum q, uint8_t scale, kt_decimal *out_ratio)
{
    kt_code code = KT_RANGE;

    for (int32_t digits = scale < KT_SCALE_MAX ? scale : KT_SCALE_MAX; code == KT_RANGE && digits >= 0; digits--) {
        int32_t shift = digits + q.scale - pq.scale; /* of the quotient of the mantissas */
        kt_i128 num = kt_sum_value(pq);
        kt_i128 den = kt_sum_value(q);
        kt_i128 ratio;

        if (shift > 38)
            continue; /* 10^shift itself does not fit */
        code = shift >= 0 ? kt_i128_mul(num, kt_pow10_i128((uint32_t)shift), &num)
                          : kt_i128_mul(den, kt_pow10_i128((uint32_t)-shift), &den);
        if (code != KT_OK)
            continue;
        ratio = kt_div_half_even(num, den);
        if (ratio > INT64_MAX || ratio < -INT64_MAX)
            code = KT_RANGE;
        else
            *out_ratio = (kt_decimal){ .m = (int64_t)ratio, .scale = (uint8_t)digits };
    }
    return code;
}
