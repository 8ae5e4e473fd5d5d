/* base/swar.h - eight characters in one register, for the readers of this folder.
 *
 * Little-endian: the first character is the lowest byte. The caller guarantees eight readable bytes.
 */
#ifndef KT_BASE_SWAR_H
#define KT_BASE_SWAR_H

#include "base/types.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first character is taken for the lowest byte");

static inline bool kt_is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static inline uint64_t kt_swar_load(const char *at)
{
    uint64_t chunk;

    memcpy(&chunk, at, sizeof chunk);
    return chunk;
}

/* The high bit of each byte that is not '0' to '9'. */
static inline uint64_t kt_swar_not_digits(uint64_t chunk)
{
    uint64_t low = chunk & UINT64_C(0x7F7F7F7F7F7F7F7F);
    uint64_t above = low + UINT64_C(0x4646464646464646);    /* '9' + 0x46 = 0x7F: the high bit says more */
    uint64_t below = ~(low + UINT64_C(0x5050505050505050)); /* '0' + 0x50 = 0x80: its absence says less */

    return (chunk | above | below) & UINT64_C(0x8080808080808080);
}

static inline bool kt_swar_all_digits(uint64_t chunk)
{
    return kt_swar_not_digits(chunk) == 0;
}

/* The number that eight digits spell: pairs, then fours, then all. */
static inline uint32_t kt_swar_eight_digits(uint64_t chunk)
{
    chunk = (chunk & UINT64_C(0x0F0F0F0F0F0F0F0F)) * 2561 >> 8;     /* 10 * first + second */
    chunk = (chunk & UINT64_C(0x00FF00FF00FF00FF)) * 6553601 >> 16; /* 100 * first + second */
    return (uint32_t)((chunk & UINT64_C(0x0000FFFF0000FFFF)) * UINT64_C(42949672960001) >> 32);
}

#endif
