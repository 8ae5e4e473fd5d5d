#include "base/arena.h"

#include "base/assert.h"

void kt_arena_init(kt_arena *arena, void *mem, size_t size)
{
    kt_assert(mem != NULL || size == 0);
    *arena = (kt_arena){ .mem = mem, .size = size };
}

void *kt_arena_take(kt_arena *arena, size_t size, size_t align)
{
    kt_assert(align != 0);
    kt_assert((align & (align - 1)) == 0);

    size_t pad = -((uintptr_t)arena->mem + arena->used) & (align - 1);
    size_t left = arena->size - arena->used;

    if (arena->mem == NULL || pad > left || size > left - pad)
        return NULL;
    void *taken = arena->mem + arena->used + pad;
    arena->used += pad + size;
    if (arena->used > arena->used_max)
        arena->used_max = arena->used;
    return taken;
}

void *kt_arena_take_zero(kt_arena *arena, size_t count, size_t size, size_t align)
{
    size_t whole;

    if (__builtin_mul_overflow(count, size, &whole))
        return NULL;
    void *taken = kt_arena_take(arena, whole, align);
    if (taken != NULL)
        memset(taken, 0, whole);
    return taken;
}

kt_text kt_arena_text(kt_arena *arena, kt_text text)
{
    char *copy = text.n < SIZE_MAX ? kt_arena_take(arena, text.n + 1, 1) : NULL;

    if (copy == NULL)
        return (kt_text){ NULL, 0 };
    if (text.n != 0)
        memcpy(copy, text.s, text.n);
    copy[text.n] = '\0';
    return (kt_text){ copy, text.n };
}

void kt_arena_rewind(kt_arena *arena, size_t mark)
{
    kt_assert(mark <= arena->used);
    arena->used = mark;
}

void kt_arena_reset(kt_arena *arena)
{
    arena->used = 0;
}
