#include "net/buffer.h"

#include "base/assert.h"
#include <stdlib.h>
#include <string.h>

/* A block kept for later is its own list node. */
struct kt_block {
    kt_block *next;
};

static uint32_t class_of(size_t size)
{
    return size <= KT_BLOCK_SIZE_MIN ? 0 : 64 - (uint32_t)__builtin_clzl((size - 1) / KT_BLOCK_SIZE_MIN);
}

static size_t class_size(uint32_t class)
{
    return (size_t)KT_BLOCK_SIZE_MIN << class;
}

void kt_pool_init(kt_pool *pool, uint64_t bytes_max, uint64_t cached_max)
{
    *pool = (kt_pool){ .bytes_max = bytes_max, .cached_max = cached_max };
}

void kt_pool_done(kt_pool *pool)
{
    kt_assert(pool->bytes_used == 0);
    for (uint32_t class = 0; class < KT_BLOCK_CLASS_COUNT; class ++) {
        for (kt_block *block = pool->cached[class], *next; block != NULL; block = next) {
            next = block->next;
            free(block);
        }
        pool->cached[class] = NULL;
    }
    pool->bytes_cached = 0;
}

static void *block_get(kt_pool *pool, uint32_t class)
{
    size_t size = class_size(class);
    kt_block *block = NULL;

    if (class >= KT_BLOCK_CLASS_COUNT || pool->bytes_used + size > pool->bytes_max)
        return NULL;
    block = pool->cached[class];
    if (block != NULL) {
        pool->cached[class] = block->next;
        pool->bytes_cached -= size;
    } else {
        block = malloc(size);
    }
    if (block != NULL)
        pool->bytes_used += size;
    return block;
}

static void block_put(kt_pool *pool, void *data, size_t size)
{
    kt_block *block = data;
    uint32_t class = class_of(size);

    kt_assert(class_size(class) == size);
    kt_assert(pool->bytes_used >= size);
    pool->bytes_used -= size;
    if (pool->bytes_cached + size > pool->cached_max) {
        free(block);
        return;
    }
    block->next = pool->cached[class];
    pool->cached[class] = block;
    pool->bytes_cached += size;
}

uint8_t *kt_queue_grow(kt_queue *queue, kt_pool *pool, size_t size, size_t size_max)
{
    size_t used = kt_queue_size(queue);
    size_t want = used + size;

    kt_assert(size > 0);
    if (size > size_max || want > size_max)
        return NULL;
    if (queue->cap - queue->end < size) {
        /* Moving to the front is worth it only when what moves is small against the room won: else sending a long queue
         * in small pieces would move it all again and again. */
        if (want <= queue->cap && used <= queue->cap / 2) {
            memmove(queue->data, queue->data + queue->at, used);
        } else {
            uint32_t class = class_of(want > queue->hint ? want : queue->hint);
            uint8_t *data = block_get(pool, class);
            if (data == NULL)
                return NULL;
            if (queue->data != NULL) {
                memcpy(data, queue->data + queue->at, used);
                block_put(pool, queue->data, queue->cap);
            }
            queue->data = data;
            queue->cap = (uint32_t)class_size(class);
        }
        queue->at = 0;
        queue->end = (uint32_t)used;
    }
    uint8_t *room = queue->data + queue->end;
    queue->end += (uint32_t)size;
    return room;
}

void kt_queue_trim(kt_queue *queue, kt_pool *pool, size_t size)
{
    kt_assert(size <= kt_queue_size(queue));
    queue->end -= (uint32_t)size;
    if (queue->at == queue->end)
        kt_queue_clear(queue, pool);
}

void kt_queue_take(kt_queue *queue, kt_pool *pool, size_t size)
{
    kt_assert(size <= kt_queue_size(queue));
    queue->at += (uint32_t)size;
    if (queue->at == queue->end)
        kt_queue_clear(queue, pool);
}

void kt_queue_clear(kt_queue *queue, kt_pool *pool)
{
    uint32_t used_most = queue->end;

    if (queue->data != NULL)
        block_put(pool, queue->data, queue->cap);
    /* The next use begins with a block as large as this one needed, but a single burst is forgotten step by step. */
    uint32_t hint = queue->hint;
    *queue = (kt_queue){ .hint = used_most > hint ? used_most : hint - hint / 4 };
}
