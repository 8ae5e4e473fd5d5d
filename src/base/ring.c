#include "base/ring.h"

#include "base/assert.h"

void kt_ring_init(kt_ring *ring, void *mem, uint32_t size)
{
    kt_assert(mem != NULL);
    kt_assert(size != 0 && size <= UINT32_C(1) << 31);
    kt_assert((size & (size - 1)) == 0);
    *ring = (kt_ring){ .mem = mem, .size = size };
}

kt_code kt_ring_push(kt_ring *ring, const void *data, uint32_t size)
{
    if (size > kt_ring_left(ring))
        return KT_FULL;
    if (size == 0)
        return KT_OK;
    uint32_t at = (uint32_t)ring->head & (ring->size - 1);
    uint32_t before_end = ring->size - at;
    uint32_t first = size < before_end ? size : before_end;

    memcpy(ring->mem + at, data, first);
    memcpy(ring->mem, (const uint8_t *)data + first, size - first);
    ring->head += size;
    return KT_OK;
}

uint32_t kt_ring_front(const kt_ring *ring, kt_text out_parts[2])
{
    uint32_t used = kt_ring_used(ring);
    uint32_t at = (uint32_t)ring->tail & (ring->size - 1);
    uint32_t before_end = ring->size - at;
    uint32_t first = used < before_end ? used : before_end;

    out_parts[0] = (kt_text){ (const char *)ring->mem + at, first };
    out_parts[1] = (kt_text){ (const char *)ring->mem, used - first };
    return (first != 0) + (used != first);
}

uint32_t kt_ring_peek(const kt_ring *ring, void *out, uint32_t size)
{
    kt_text parts[2];

    kt_ring_front(ring, parts);
    size_t first = size < parts[0].n ? size : parts[0].n;
    size_t second = size - first < parts[1].n ? size - first : parts[1].n;
    if (first != 0)
        memcpy(out, parts[0].s, first);
    if (second != 0)
        memcpy((uint8_t *)out + first, parts[1].s, second);
    return (uint32_t)(first + second);
}

void kt_ring_pop(kt_ring *ring, uint32_t size)
{
    kt_assert(size <= kt_ring_used(ring));
    ring->tail += size;
}

void kt_slots_init(kt_slots *slots, void *mem, uint32_t slot_size, uint32_t slot_max)
{
    kt_assert(mem != NULL);
    kt_assert(slot_size != 0);
    kt_assert(slot_max != 0);
    *slots = (kt_slots){ .mem = mem, .slot_size = slot_size, .slot_max = slot_max };
}

static void *slot_at(const kt_slots *slots, uint32_t index)
{
    uint64_t at = (uint64_t)slots->first + index;

    if (at >= slots->slot_max)
        at -= slots->slot_max;
    return slots->mem + (size_t)at * slots->slot_size;
}

void *kt_slots_push(kt_slots *slots)
{
    if (slots->count == slots->slot_max)
        return NULL;
    return slot_at(slots, slots->count++);
}

void *kt_slots_front(const kt_slots *slots)
{
    return slots->count != 0 ? slot_at(slots, 0) : NULL;
}

void *kt_slots_at(const kt_slots *slots, uint32_t index)
{
    return index < slots->count ? slot_at(slots, index) : NULL;
}

void kt_slots_pop(kt_slots *slots)
{
    kt_assert(slots->count != 0);
    slots->count--;
    slots->first = slots->first + 1 == slots->slot_max ? 0 : slots->first + 1;
}

void kt_slots_pop_youngest(kt_slots *slots)
{
    kt_assert(slots->count != 0);
    slots->count--;
}
