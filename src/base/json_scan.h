/* base/json_scan.h - one pass over a message whose shape is known, without a tree.
 *
 * A venue writes the same fields in the same order, without blanks, a million times an hour. A table of steps says what
 * is expected: the bytes that stand before a value, and what the value is. Every byte is checked, so what is accepted
 * is JSON and means exactly what kt_json_parse and the values of base/json.h would have found in it. Anything else,
 * valid or not (another order, one field more, blanks, an escape, a number with an exponent where an integer is
 * expected), gives NULL: the caller then asks the general reader, which also words the error.
 *
 *     typedef struct trade { kt_text symbol; uint64_t number; kt_decimal price; } trade;
 *     static const kt_json_step steps[] = {
 *         KT_JSON_STEP(trade, symbol, "{\"s\":", TEXT),
 *         KT_JSON_STEP(trade, number, ",\"t\":", U64),
 *         KT_JSON_STEP(trade, price, ",\"p\":", DECIMAL_TEXT),
 *         KT_JSON_BYTES("}"),
 *     };
 *     const char *behind = kt_json_scan(text.s, text.s + text.n, steps, KT_COUNT(steps), &trade);
 *
 * Method   16 bytes at a time (SSE2) to find where a string or a number ends, eight digits in one multiplication
 *          (base/swar.h); on other processors byte by byte, with the same results. It is all inline: where the table is
 *          known, the compiler makes straight code of it, which is a third faster than a loop over the table.
 * Cost     figures are in bench/json_bench.c.
 */
#ifndef KT_BASE_JSON_SCAN_H
#define KT_BASE_JSON_SCAN_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/decimal.h"
#include "base/swar.h"
#include "base/types.h"

enum { KT_JSON_BLOCK = 16 }; /* bytes that are looked at together, and the longest `before` of a step */

typedef enum kt_json_step_type {
    KT_JSON_STEP_NOTHING,      /* only the bytes */
    KT_JSON_STEP_BOOL,         /* bool */
    KT_JSON_STEP_U64,          /* uint64_t from a number of at most 15 digits */
    KT_JSON_STEP_I64,          /* int64_t, the same, not negative */
    KT_JSON_STEP_DECIMAL,      /* kt_decimal from a number */
    KT_JSON_STEP_DECIMAL_TEXT, /* kt_decimal from a string */
    KT_JSON_STEP_TEXT,         /* kt_text from a string of plain ASCII, borrowed */
    KT_JSON_STEP_PAIRS,        /* kt_json_pairs from [["1.5","2"], ...] */
} kt_json_step_type;

/* An array of pairs of decimals in strings, as venues write the levels of a book. The caller gives `at` and `max`. */
typedef struct kt_json_pairs {
    kt_decimal (*at)[2];
    uint32_t max; /* more than so many are unusual */
    uint32_t count;
} kt_json_pairs;

/* What is left of their room: for a second array behind the first. */
static inline kt_json_pairs kt_json_pairs_behind(const kt_json_pairs *pairs)
{
    return (kt_json_pairs){ .at = pairs->at + pairs->count, .max = pairs->max - pairs->count };
}

typedef struct kt_json_step {
    char before[KT_JSON_BLOCK]; /* the bytes that stand there, zeros behind */
    uint8_t size;
    uint8_t type; /* kt_json_step_type */
    uint32_t offset;
} kt_json_step;

#define KT_JSON_STEP(type_name, member, bytes, as)                                                                   \
    {                                                                                                                \
        .before = bytes, .size = sizeof(bytes) - 1, .type = KT_JSON_STEP_##as, .offset = offsetof(type_name, member) \
    }
#define KT_JSON_BYTES(bytes)                                                     \
    {                                                                            \
        .before = bytes, .size = sizeof(bytes) - 1, .type = KT_JSON_STEP_NOTHING \
    }

/* Read [at, end) as far as the steps go, at most KT_JSON_STEP_MAX. Behind the last one, or NULL: something else stands
 * there, and the struct at `out` may be partly filled. What follows is the caller's to look at (the end, or more
 * steps). */
enum { KT_JSON_STEP_MAX = 16 };
static inline const char *kt_json_scan(
    const char *at, const char *end, const kt_json_step *steps, uint32_t count, void *out);

/* ---- how it is done ---- */

/* Sixteen bytes as bits: bit i is about at[i]. */

#if defined(__SSE2__)

static inline __m128i kt_json_block(const char *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

static inline uint32_t kt_json_not_digits(const char *at)
{
    __m128i from_least = _mm_add_epi8(kt_json_block(at), _mm_set1_epi8((char)(128 - '0'))); /* '0': least signed byte */

    return (uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(from_least, _mm_set1_epi8(INT8_MIN + 10))) ^ 0xFFFF;
}

static inline uint32_t kt_json_not_zeros(const char *at)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(kt_json_block(at), _mm_set1_epi8('0'))) ^ 0xFFFF;
}

static inline uint32_t kt_json_not_plain(const char *at)
{
    __m128i bytes = kt_json_block(at);
    __m128i special =
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));

    special = _mm_or_si128(special, _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '))); /* signed: from 0x80 on, too */
    return (uint32_t)_mm_movemask_epi8(special);
}

static inline uint32_t kt_json_differs(const char *at, const char *other)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(kt_json_block(at), kt_json_block(other))) ^ 0xFFFF;
}

#else

#define KT_JSON_BITS(name, condition)                              \
    static inline uint32_t name(const char *at, const char *other) \
    {                                                              \
        uint32_t bits = 0;                                         \
                                                                   \
        for (int i = 0; i < KT_JSON_BLOCK; i++)                    \
            bits |= (uint32_t)(condition) << i;                    \
        return bits;                                               \
    }
KT_JSON_BITS(kt_json_differs, at[i] != other[i])
KT_JSON_BITS(kt_json_not_digits_, !kt_is_digit(at[i]))
KT_JSON_BITS(kt_json_not_zeros_, at[i] != '0')
KT_JSON_BITS(kt_json_not_plain_, at[i] == '"' || at[i] == '\\' || (signed char)at[i] < ' ')
#define kt_json_not_digits(at) kt_json_not_digits_(at, NULL)
#define kt_json_not_zeros(at) kt_json_not_zeros_(at, NULL)
#define kt_json_not_plain(at) kt_json_not_plain_(at, NULL)
#undef KT_JSON_BITS

#endif

/* Values. Each returns the byte behind, or NULL. The slow ones are for the last bytes of a message and for what seldom
 * comes. */

const char *kt_json_scan_integer_slow(const char *at, const char *end, uint64_t *out);
const char *kt_json_scan_decimal_slow(const char *at, const char *end, bool quoted, kt_decimal *out);
const char *kt_json_scan_pairs(const char *at, const char *end, kt_json_pairs *out);

/* The number that the `count` digits from `at` on spell, 0 to 8; eight bytes are read. */
static inline uint32_t kt_json_digits(const char *at, uint32_t count)
{
    uint32_t half = 4 * (8 - count); /* twice, since a shift by 64 is none */

    return kt_swar_eight_digits(kt_swar_load(at) << half << half);
}

static inline const char *kt_json_scan_integer(const char *at, const char *end, uint64_t *out)
{
    if (__builtin_expect(end - at < KT_JSON_BLOCK, 0))
        return kt_json_scan_integer_slow(at, end, out);
    uint32_t stops = kt_json_not_digits(at);
    uint32_t count = (uint32_t)__builtin_ctz(stops | 1u << KT_JSON_BLOCK);
    if (count == 0 || count == KT_JSON_BLOCK || (count > 1 && *at == '0'))
        return NULL;
    *out = count <= 8 ? kt_json_digits(at, count)
                      : kt_json_digits(at, count - 8) * UINT64_C(100000000) +
                            kt_swar_eight_digits(kt_swar_load(at + count - 8));
    return at + count;
}

static inline const char *kt_json_scan_bool(const char *at, const char *end, bool *out)
{
    if (end - at < 5)
        return NULL; /* at least a bracket stands behind */
    *out = memcmp(at, "true", 4) == 0;
    if (*out)
        return at + 4;
    return memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
}

/* A string of plain bytes; `at` stands behind its first quote, the result on its last one. */
static inline const char *kt_json_scan_plain(const char *at, const char *end)
{
    while (end - at >= KT_JSON_BLOCK) {
        uint32_t stops = kt_json_not_plain(at);
        if (stops != 0) {
            at += __builtin_ctz(stops);
            return *at == '"' ? at : NULL;
        }
        at += KT_JSON_BLOCK;
    }
    while (at < end && *at != '"' && *at != '\\' && (signed char)*at >= ' ')
        at++;
    return at < end && *at == '"' ? at : NULL;
}

/* A decimal up to the byte that ends it. Nearly all have 1 to 8 digits, at most 8 behind a point, and end within a
 * block. */
static inline const char *kt_json_scan_decimal(const char *at, const char *end, bool quoted, kt_decimal *out)
{
    static const uint32_t pow10[9] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

    if (__builtin_expect(end - at < KT_JSON_BLOCK + 8, 0))
        return kt_json_scan_decimal_slow(at, end, quoted, out);
    uint32_t stops = kt_json_not_digits(at) | 1u << KT_JSON_BLOCK;
    uint32_t point = (uint32_t)__builtin_ctz(stops); /* digits before it */
    uint32_t behind = point, digits = 0;             /* digits: those behind the point that count */
    if (at[point] == '.') {
        behind = (uint32_t)__builtin_ctz((stops & (stops - 1)) | 1u << KT_JSON_BLOCK);
        /* Zeros at the end count for nothing. The point itself is no zero, so that one bit is always found. */
        digits = 31 - (uint32_t)__builtin_clz((kt_json_not_zeros(at) & ((1u << behind) - 1)) | 1u << point) - point;
    }
    if (point - 1 > 7 || digits > 8 || behind == KT_JSON_BLOCK || at[behind - 1] == '.' || (point > 1 && *at == '0') ||
        (quoted ? at[behind] != '"' : (at[behind] | 0x20) == 'e'))
        return kt_json_scan_decimal_slow(at, end, quoted, out);
    *out = (kt_decimal){
        .m = (int64_t)((uint64_t)kt_json_digits(at, point) * pow10[digits] + kt_json_digits(at + point + 1, digits)),
        .scale = (uint8_t)digits,
    };
    return at + behind;
}

static inline const char *kt_json_scan_decimal_text(const char *at, const char *end, kt_decimal *out)
{
    if (at == end || *at != '"')
        return NULL;
    at = kt_json_scan_decimal(at + 1, end, true, out);
    return at != NULL ? at + 1 : NULL;
}

static inline const char *kt_json_scan_text(const char *at, const char *end, kt_text *out)
{
    if (at == end || *at != '"')
        return NULL;
    const char *behind = kt_json_scan_plain(at + 1, end);
    if (behind == NULL)
        return NULL;
    *out = (kt_text){ at + 1, (size_t)(behind - at - 1) };
    return behind + 1;
}

static inline __attribute__((always_inline)) const char *kt_json_scan_value(
    const char *at, const char *end, uint8_t type, void *out)
{
    switch ((kt_json_step_type)type) {
    case KT_JSON_STEP_NOTHING:
        return at;
    case KT_JSON_STEP_BOOL:
        return kt_json_scan_bool(at, end, (bool *)out);
    case KT_JSON_STEP_U64:
    case KT_JSON_STEP_I64: /* below 10^15: the same bytes */
        return kt_json_scan_integer(at, end, (uint64_t *)out);
    case KT_JSON_STEP_DECIMAL:
        return kt_json_scan_decimal(at, end, false, (kt_decimal *)out);
    case KT_JSON_STEP_DECIMAL_TEXT:
        return kt_json_scan_decimal_text(at, end, (kt_decimal *)out);
    case KT_JSON_STEP_TEXT:
        return kt_json_scan_text(at, end, (kt_text *)out);
    case KT_JSON_STEP_PAIRS:
        return kt_json_scan_pairs(at, end, (kt_json_pairs *)out);
    }
    return NULL;
}

static inline __attribute__((always_inline)) const char *kt_json_scan(
    const char *at, const char *end, const kt_json_step *steps, uint32_t count, void *out)
{
#pragma GCC unroll 16
    for (uint32_t i = 0; i < count; i++) {
        const kt_json_step *step = &steps[i];
        if (__builtin_expect(end - at >= KT_JSON_BLOCK, 1)) {
            if ((kt_json_differs(at, step->before) & ((1u << step->size) - 1)) != 0)
                return NULL;
        } else if (end - at < step->size || memcmp(at, step->before, step->size) != 0) {
            return NULL;
        }
        at = kt_json_scan_value(at + step->size, end, step->type, (char *)out + step->offset);
        if (at == NULL)
            return NULL;
    }
    return at;
}

#endif
