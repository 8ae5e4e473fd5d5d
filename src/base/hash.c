#include "base/hash.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLYNOMIAL UINT32_C(0x82F63B78) /* Castagnoli, reflected */

static uint32_t slices[8][256]; /* slices[k][b]: byte b followed by k zero bytes */

static uint64_t load64(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static uint32_t crc_table(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;

    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word = load64(at) ^ crc;
        crc = 0;
        for (int byte = 0; byte < 8; byte++)
            crc ^= slices[7 - byte][word >> (8 * byte) & 0xFF];
    }
    for (; size > 0; size--, at++)
        crc = crc >> 8 ^ slices[0][(crc ^ *at) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)

/* The crc32 instruction takes three cycles but starts one a cycle, so three stretches run side by side. A stretch's own
 * checksum then goes through as many zero bytes as follow it, which is linear in its bits: four look-ups. */
enum { LONG = 1024, SHORT = 128 };

static uint32_t zeros_long[4][256];
static uint32_t zeros_short[4][256];

static uint32_t shift(const uint32_t zeros[4][256], uint32_t crc)
{
    return zeros[0][crc & 0xFF] ^ zeros[1][crc >> 8 & 0xFF] ^ zeros[2][crc >> 16 & 0xFF] ^ zeros[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static void zeros_fill(uint32_t zeros[4][256], size_t size)
{
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint64_t crc = UINT64_C(1) << bit;
        for (size_t done = 0; done < size; done += 8)
            crc = _mm_crc32_u64(crc, 0);
        zeros[bit / 8][1u << bit % 8] = (uint32_t)crc;
    }
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 1; value < 256; value++)
            zeros[byte][value] = zeros[byte][value & (value - 1)] ^ zeros[byte][value & -value];
}

__attribute__((target("sse4.2"))) static inline uint32_t three_streams(
    uint32_t crc, const uint8_t *at, size_t stretch, const uint32_t zeros[4][256])
{
    uint64_t first = crc, second = 0, third = 0;

    for (size_t i = 0; i < stretch; i += 8) {
        first = _mm_crc32_u64(first, load64(at + i));
        second = _mm_crc32_u64(second, load64(at + stretch + i));
        third = _mm_crc32_u64(third, load64(at + 2 * stretch + i));
    }
    second ^= shift(zeros, (uint32_t)first);
    return (uint32_t)third ^ shift(zeros, (uint32_t)second);
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;

    crc = ~crc;
    for (; size >= 3 * LONG; size -= 3 * LONG, at += 3 * LONG)
        crc = three_streams(crc, at, LONG, zeros_long);
    for (; size >= 3 * SHORT; size -= 3 * SHORT, at += 3 * SHORT)
        crc = three_streams(crc, at, SHORT, zeros_short);
    for (; size >= 8; size -= 8, at += 8)
        crc = (uint32_t)_mm_crc32_u64(crc, load64(at));
    for (; size > 0; size--, at++)
        crc = _mm_crc32_u8(crc, *at);
    return ~crc;
}

#endif

static uint32_t (*crc_best)(uint32_t crc, const void *data, size_t size) = crc_table;

/* Before main, so that no thread ever sees half a table. */
__attribute__((constructor)) static void tables_fill(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (POLYNOMIAL & -(crc & 1));
        slices[0][byte] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (uint32_t byte = 0; byte < 256; byte++)
            slices[slice][byte] = slices[slice - 1][byte] >> 8 ^ slices[0][slices[slice - 1][byte] & 0xFF];
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2")) {
        zeros_fill(zeros_long, LONG);
        zeros_fill(zeros_short, SHORT);
        crc_best = crc_sse42;
    }
#endif
}

uint32_t kt_crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc_best(crc, data, size);
}

uint32_t kt_crc32c_table(uint32_t crc, const void *data, size_t size)
{
    return crc_table(crc, data, size);
}

/* Both halves of a 128-bit product folded together: each input bit reaches all output bits. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    kt_u128 product = (kt_u128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t kt_hash64(const void *data, size_t size, uint64_t seed)
{
    const uint64_t k1 = UINT64_C(0x9E3779B97F4A7C15), k2 = UINT64_C(0xE7037ED1A0B428DB);
    const uint8_t *at = data;
    size_t left = size;
    uint64_t a = 0, b = 0, hash = fold(seed ^ k1, k2);

    for (; left > 16; left -= 16, at += 16)
        hash = fold(load64(at) ^ k1, load64(at + 8) ^ hash);
    if (left >= 8) {
        a = load64(at);
        b = load64(at + left - 8);
    } else if (left >= 4) {
        a = load32(at);
        b = load32(at + left - 4);
    } else if (left > 0) {
        a = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
    }
    return fold(k2 ^ size, fold(a ^ k1, b ^ hash));
}
