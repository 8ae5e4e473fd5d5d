/* base/ring.h - bounded first-in first-out queues inside one thread: of bytes (kt_ring) and of slots (kt_slots).
 *
 * The memory is the caller's and must outlive the queue. Full is an answer (KT_FULL, NULL), never growth. Rings shared
 * between processes are another thing and live in bus/.
 */
#ifndef KT_BASE_RING_H
#define KT_BASE_RING_H

#include "base/error.h"
#include "base/types.h"

/* Bytes. `size` is a power of two up to 2^31. */
typedef struct kt_ring {
    uint8_t *mem;
    uint32_t size;
    uint64_t head; /* bytes ever pushed */
    uint64_t tail; /* bytes ever popped */
} kt_ring;

/* Asserts that size is a power of two between 1 and 2^31. */
void kt_ring_init(kt_ring *ring, void *mem, uint32_t size);

static inline uint32_t kt_ring_used(const kt_ring *ring)
{
    return (uint32_t)(ring->head - ring->tail);
}

static inline uint32_t kt_ring_left(const kt_ring *ring)
{
    return ring->size - kt_ring_used(ring);
}

/* All of the bytes or, with KT_FULL, none. */
kt_code kt_ring_push(kt_ring *ring, const void *data, uint32_t size);

/* The oldest bytes as at most two stretches in order (for writev); returns how many stretches are not empty. */
uint32_t kt_ring_front(const kt_ring *ring, kt_text out_parts[2]);

/* Copy up to `size` of the oldest bytes without popping; returns how many. */
uint32_t kt_ring_peek(const kt_ring *ring, void *out, uint32_t size);

/* Forget the oldest `size` bytes; asserts that there are so many. */
void kt_ring_pop(kt_ring *ring, uint32_t size);

/* Slots of equal size. `slot_max` need not be a power of two. */
typedef struct kt_slots {
    uint8_t *mem;
    uint32_t slot_size;
    uint32_t slot_max;
    uint32_t first;
    uint32_t count;
} kt_slots;

/* `mem` holds slot_size * slot_max bytes, aligned as the slots need it. Both at least 1. */
void kt_slots_init(kt_slots *slots, void *mem, uint32_t slot_size, uint32_t slot_max);

/* A new youngest slot to fill in place, its bytes as they were; NULL when full. */
void *kt_slots_push(kt_slots *slots);

/* The oldest slot, or NULL; it stays until it is popped. `at` counts from the oldest: NULL at or beyond count. */
void *kt_slots_front(const kt_slots *slots);
void *kt_slots_at(const kt_slots *slots, uint32_t index);

/* Forget the oldest, or the youngest; asserts that there is one. */
void kt_slots_pop(kt_slots *slots);
void kt_slots_pop_youngest(kt_slots *slots);

#endif
