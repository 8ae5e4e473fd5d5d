/* base/arena.h - memory for request-shaped work: taken piece by piece, given back all at once.
 *
 * The bytes belong to the caller (static, malloc, mmap) and must outlive what was taken. Capacity is fixed: a full
 * arena answers NULL and does not grow. Cost: a compare and an add.
 */
#ifndef KT_BASE_ARENA_H
#define KT_BASE_ARENA_H

#include "base/types.h"

typedef struct kt_arena {
    uint8_t *mem;
    size_t size;
    size_t used;
    size_t used_max; /* the most that was ever in use: how large to make it */
} kt_arena;

void kt_arena_init(kt_arena *arena, void *mem, size_t size);

/* `size` bytes (0 is allowed) aligned to `align`, a power of two; not zeroed. NULL: not that much left; nothing has
 * changed. */
void *kt_arena_take(kt_arena *arena, size_t size, size_t align);

/* The same, zeroed, for `count` things; NULL also when count * size overflows. */
void *kt_arena_take_zero(kt_arena *arena, size_t count, size_t size, size_t align);

/* A copy of the text with a NUL behind it (not counted in n). .s is NULL when it does not fit. */
kt_text kt_arena_text(kt_arena *arena, kt_text text);

/* Everything taken since the mark (`used` as it was) is given back; reset gives back all. */
static inline size_t kt_arena_mark(const kt_arena *arena)
{
    return arena->used;
}

void kt_arena_rewind(kt_arena *arena, size_t mark);
void kt_arena_reset(kt_arena *arena);

#endif
