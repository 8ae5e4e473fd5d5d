/* base/map.h - hash maps of bounded size: u64 to u32 (kt_map_u64) and text to u32 (kt_map_text).
 *
 * Open addressing with linear probing in a table of at least 4/3 of `entry_max` slots; removal shifts back, so there
 * are no tombstones and the cost stays that of a half-full table. Full is KT_FULL; nothing grows.
 *
 * There is no iteration, on purpose: its order would depend on the seed, and outputs must not. Values are usually
 * indexes into an array of the caller's, which has the order. The seed comes from outside; any value is right.
 */
#ifndef KT_BASE_MAP_H
#define KT_BASE_MAP_H

#include "base/error.h"
#include "base/types.h"

typedef struct kt_map_u64_slot {
    uint64_t key;
    uint32_t value;
    uint32_t used;
} kt_map_u64_slot;

typedef struct kt_map_u64 {
    kt_map_u64_slot *slots;
    uint32_t mask;
    uint32_t count;
    uint32_t entry_max;
    uint64_t seed;
} kt_map_u64;

/* Bytes of memory for a map of entry_max entries (1 to 2^28, asserted); the caller owns them, aligned to 8. */
size_t kt_map_u64_mem_size(uint32_t entry_max);
void kt_map_u64_init(kt_map_u64 *map, void *mem, uint32_t entry_max, uint64_t seed);

/* Insert or replace. KT_FULL: a new key and entry_max are there already. */
kt_code kt_map_u64_put(kt_map_u64 *map, uint64_t key, uint32_t value);

/* KT_NOENT: no such key; *out_value is left alone. Every key is allowed, 0 too. */
kt_code kt_map_u64_get(const kt_map_u64 *map, uint64_t key, uint32_t *out_value);

/* KT_NOENT: no such key. */
kt_code kt_map_u64_remove(kt_map_u64 *map, uint64_t key);

void kt_map_u64_clear(kt_map_u64 *map);

/* The same with text keys. The map borrows the bytes of a key from `put` until its removal; the empty text is a key. */
typedef struct kt_map_text_slot {
    const char *key;
    uint32_t key_size;
    uint32_t value;
    uint64_t hash; /* 0: free */
} kt_map_text_slot;

typedef struct kt_map_text {
    kt_map_text_slot *slots;
    uint32_t mask;
    uint32_t count;
    uint32_t entry_max;
    uint64_t seed;
} kt_map_text;

size_t kt_map_text_mem_size(uint32_t entry_max);
void kt_map_text_init(kt_map_text *map, void *mem, uint32_t entry_max, uint64_t seed);
kt_code kt_map_text_put(kt_map_text *map, kt_text key, uint32_t value); /* replacing keeps the bytes of the first key */
kt_code kt_map_text_get(const kt_map_text *map, kt_text key, uint32_t *out_value);
kt_code kt_map_text_remove(kt_map_text *map, kt_text key);
void kt_map_text_clear(kt_map_text *map);

#endif
