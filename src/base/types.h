/* base/types.h - the small types that every folder shares.
 */
#ifndef KT_BASE_TYPES_H
#define KT_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __int128 kt_i128;
typedef unsigned __int128 kt_u128;

/* Mantissas in the instrument's own scales: 65000.25 at scale 2 is 6500025. Two types, so that a price is never passed
 * as a quantity. */
typedef struct kt_price {
    int64_t m;
} kt_price;

typedef struct kt_qty {
    int64_t m;
} kt_qty;

/* A stretch of some buffer that the context names: offset of its first byte, number of bytes. */
typedef struct kt_span {
    uint32_t at;
    uint32_t size;
} kt_span;

/* Text that somebody else owns, not NUL-terminated. `s` may be NULL only when `n` is 0. Print it with
 * printf("%.*s", KT_TEXT_ARG(text)). */
typedef struct kt_text {
    const char *s;
    size_t n;
} kt_text;

/* The kt_text of a string literal, usable in static tables; and of a C string (NULL gives the empty text). */
#define KT_TEXT(literal) ((kt_text){ "" literal, sizeof(literal) - 1 })
#define KT_TEXT_ARG(text) (int)(text).n, ((text).s != NULL ? (text).s : "")

static inline kt_text kt_text_of(const char *s)
{
    return (kt_text){ s, s != NULL ? strlen(s) : 0 };
}

/* Byte for byte, no folding of case or Unicode forms. */
static inline bool kt_text_equal(kt_text a, kt_text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

/* Order of the bytes, a prefix before the longer text: < 0, 0, > 0. */
static inline int kt_text_compare(kt_text a, kt_text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n != 0 ? memcmp(a.s, b.s, n) : 0;

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static inline bool kt_text_starts(kt_text text, kt_text prefix)
{
    return text.n >= prefix.n && (prefix.n == 0 || memcmp(text.s, prefix.s, prefix.n) == 0);
}

#define KT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* `size` rounded up to a multiple of `align`, a power of two. */
#define KT_ALIGN_UP(size, align) (((size) + ((align)-1)) & ~((__typeof__(size))(align)-1))

#endif
