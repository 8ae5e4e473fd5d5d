/* net/buffer.h - bounded byte queues of connections, in blocks from a pool; an empty queue holds no block at all.
 *
 * Blocks    powers of two from KT_BLOCK_SIZE_MIN to KT_BLOCK_SIZE_MAX. The pool bounds the bytes lent out to all queues
 *           together (bytes_max) and keeps up to cached_max bytes of returned blocks for the next use.
 * Queue     contiguous, so that one write sends all of it; grows by doubling up to the `size_max` given at each append.
 */
#ifndef KT_NET_BUFFER_H
#define KT_NET_BUFFER_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

enum {
    KT_BLOCK_SIZE_MIN = 512,
    KT_BLOCK_CLASS_COUNT = 18, /* 512 bytes << 17 = 64 MiB */
    KT_BLOCK_SIZE_MAX = KT_BLOCK_SIZE_MIN << (KT_BLOCK_CLASS_COUNT - 1),
};

typedef struct kt_block kt_block;

typedef struct kt_pool {
    uint64_t bytes_max;  /* lent out at once */
    uint64_t cached_max; /* kept for the next use */
    uint64_t bytes_used;
    uint64_t bytes_cached;
    kt_block *cached[KT_BLOCK_CLASS_COUNT];
} kt_pool;

void kt_pool_init(kt_pool *pool, uint64_t bytes_max, uint64_t cached_max);
void kt_pool_done(kt_pool *pool); /* all queues have been cleared before */

typedef struct kt_queue {
    uint8_t *data; /* the block; NULL while empty */
    uint32_t at;   /* first byte not taken yet */
    uint32_t end;  /* behind the last byte */
    uint32_t cap;
    uint32_t hint; /* block size that was needed last time, to begin with the next time */
} kt_queue;

static inline size_t kt_queue_size(const kt_queue *queue)
{
    return queue->end - queue->at;
}

/* Room for `size` bytes (at least 1) at the end, to be filled by the caller at once; NULL when the queue would then
 * hold more than `size_max` or the pool is exhausted. The pointer is good until the next call on this queue. */
uint8_t *kt_queue_grow(kt_queue *queue, kt_pool *pool, size_t size, size_t size_max); /* where the block is too small */
static inline uint8_t *kt_queue_extend(kt_queue *queue, kt_pool *pool, size_t size, size_t size_max)
{
    uint32_t end = queue->end;

    if (queue->cap - end < size || end - queue->at + size > size_max || size == 0)
        return kt_queue_grow(queue, pool, size, size_max);
    queue->end = end + (uint32_t)size;
    return queue->data + end;
}

/* Give back the last `size` bytes of an extension that did not need them. */
void kt_queue_trim(kt_queue *queue, kt_pool *pool, size_t size);

/* Take `size` bytes off the front; returns the block when nothing is left. */
void kt_queue_take(kt_queue *queue, kt_pool *pool, size_t size);
void kt_queue_clear(kt_queue *queue, kt_pool *pool);

#endif
