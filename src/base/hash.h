/* base/hash.h - checksums that are stored, and hashes that are not.
 *
 * CRC-32C  the Castagnoli polynomial (RFC 3720 appendix B.4), reflected, complemented at both ends: "123456789" gives
 *          0xE3069283. SSE4.2 where the processor has it, three streams interleaved from 384 bytes on (about 20
 *          bytes/ns); a table elsewhere. Same value everywhere.
 * hash64   a fast 64-bit hash for tables in memory. Not for disk, not against an adversary without a secret seed; its
 *          value may change between versions.
 */
#ifndef KT_BASE_HASH_H
#define KT_BASE_HASH_H

#include "base/types.h"

/* CRC-32C of `size` bytes, going on from `crc`, the value of the bytes before (0 at the start):
 * kt_crc32c(kt_crc32c(0, a, n), b, m) is that of a and b in a row. */
uint32_t kt_crc32c(uint32_t crc, const void *data, size_t size);

/* The same through the table, for tests and machines without SSE4.2. */
uint32_t kt_crc32c_table(uint32_t crc, const void *data, size_t size);

uint64_t kt_hash64(const void *data, size_t size, uint64_t seed);

/* The same idea for one word; a bijection for each seed, so different keys never collide in all 64 bits. */
static inline uint64_t kt_hash_u64(uint64_t key, uint64_t seed)
{
    uint64_t x = key ^ seed;

    x = (x ^ (x >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
    x = (x ^ (x >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
    return x ^ (x >> 32);
}

#endif
