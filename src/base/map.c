#include "base/map.h"

#include "base/assert.h"
#include "base/hash.h"

enum { ENTRY_MAX_MAX = 1 << 28 };

/* A power of two that keeps at least a quarter of the slots free: a probe always ends at a free slot. */
static uint32_t slot_count(uint32_t entry_max)
{
    kt_assert(entry_max >= 1);
    kt_assert(entry_max <= ENTRY_MAX_MAX);
    uint32_t least = entry_max + (entry_max + 2) / 3;
    uint32_t count = 2;

    while (count < least)
        count *= 2;
    return count;
}

/* Backward-shift removal: may the entry whose home is `home`, now at `at`, move to the hole? Only if its home does not
 * lie behind the hole on the way to `at`. */
static bool may_move(uint32_t home, uint32_t hole, uint32_t at, uint32_t mask)
{
    return ((at - home) & mask) >= ((at - hole) & mask);
}

size_t kt_map_u64_mem_size(uint32_t entry_max)
{
    return (size_t)slot_count(entry_max) * sizeof(kt_map_u64_slot);
}

void kt_map_u64_init(kt_map_u64 *map, void *mem, uint32_t entry_max, uint64_t seed)
{
    kt_assert(mem != NULL);
    *map = (kt_map_u64){ .slots = mem, .mask = slot_count(entry_max) - 1, .entry_max = entry_max, .seed = seed };
    kt_map_u64_clear(map);
}

void kt_map_u64_clear(kt_map_u64 *map)
{
    memset(map->slots, 0, ((size_t)map->mask + 1) * sizeof *map->slots);
    map->count = 0;
}

/* The slot that holds the key, or the free one where it would go. */
static uint32_t u64_find(const kt_map_u64 *map, uint64_t key)
{
    uint32_t at = (uint32_t)kt_hash_u64(key, map->seed) & map->mask;

    while (map->slots[at].used != 0 && map->slots[at].key != key)
        at = (at + 1) & map->mask;
    return at;
}

kt_code kt_map_u64_put(kt_map_u64 *map, uint64_t key, uint32_t value)
{
    uint32_t at = u64_find(map, key);

    if (map->slots[at].used == 0) {
        if (map->count == map->entry_max)
            return KT_FULL;
        map->count++;
    }
    map->slots[at] = (kt_map_u64_slot){ .key = key, .value = value, .used = 1 };
    return KT_OK;
}

kt_code kt_map_u64_get(const kt_map_u64 *map, uint64_t key, uint32_t *out_value)
{
    uint32_t at = u64_find(map, key);

    if (map->slots[at].used == 0)
        return KT_NOENT;
    *out_value = map->slots[at].value;
    return KT_OK;
}

kt_code kt_map_u64_remove(kt_map_u64 *map, uint64_t key)
{
    uint32_t hole = u64_find(map, key);

    if (map->slots[hole].used == 0)
        return KT_NOENT;
    for (uint32_t at = (hole + 1) & map->mask; map->slots[at].used != 0; at = (at + 1) & map->mask) {
        uint32_t home = (uint32_t)kt_hash_u64(map->slots[at].key, map->seed) & map->mask;
        if (may_move(home, hole, at, map->mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (kt_map_u64_slot){ 0 };
    map->count--;
    return KT_OK;
}

size_t kt_map_text_mem_size(uint32_t entry_max)
{
    return (size_t)slot_count(entry_max) * sizeof(kt_map_text_slot);
}

void kt_map_text_init(kt_map_text *map, void *mem, uint32_t entry_max, uint64_t seed)
{
    kt_assert(mem != NULL);
    *map = (kt_map_text){ .slots = mem, .mask = slot_count(entry_max) - 1, .entry_max = entry_max, .seed = seed };
    kt_map_text_clear(map);
}

void kt_map_text_clear(kt_map_text *map)
{
    memset(map->slots, 0, ((size_t)map->mask + 1) * sizeof *map->slots);
    map->count = 0;
}

/* 0 marks a free slot, so no key may hash to it. */
static uint64_t text_hash(const kt_map_text *map, kt_text key)
{
    uint64_t hash = kt_hash64(key.s, key.n, map->seed);

    return hash != 0 ? hash : 1;
}

static uint32_t text_find(const kt_map_text *map, kt_text key, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & map->mask;

    while (map->slots[at].hash != 0) {
        const kt_map_text_slot *slot = &map->slots[at];
        if (slot->hash == hash && kt_text_equal((kt_text){ slot->key, slot->key_size }, key))
            break;
        at = (at + 1) & map->mask;
    }
    return at;
}

kt_code kt_map_text_put(kt_map_text *map, kt_text key, uint32_t value)
{
    kt_assert(key.n <= UINT32_MAX);
    uint64_t hash = text_hash(map, key);
    uint32_t at = text_find(map, key, hash);

    if (map->slots[at].hash != 0) {
        map->slots[at].value = value;
        return KT_OK;
    }
    if (map->count == map->entry_max)
        return KT_FULL;
    map->slots[at] = (kt_map_text_slot){ .key = key.s, .key_size = (uint32_t)key.n, .value = value, .hash = hash };
    map->count++;
    return KT_OK;
}

kt_code kt_map_text_get(const kt_map_text *map, kt_text key, uint32_t *out_value)
{
    uint32_t at = text_find(map, key, text_hash(map, key));

    if (map->slots[at].hash == 0)
        return KT_NOENT;
    *out_value = map->slots[at].value;
    return KT_OK;
}

kt_code kt_map_text_remove(kt_map_text *map, kt_text key)
{
    uint32_t hole = text_find(map, key, text_hash(map, key));

    if (map->slots[hole].hash == 0)
        return KT_NOENT;
    for (uint32_t at = (hole + 1) & map->mask; map->slots[at].hash != 0; at = (at + 1) & map->mask) {
        if (may_move((uint32_t)map->slots[at].hash & map->mask, hole, at, map->mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (kt_map_text_slot){ 0 };
    map->count--;
    return KT_OK;
}
