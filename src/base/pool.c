#include "base/pool.h"

#include "base/assert.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { CLASS_COUNT = 64, REGION_MIN = 1 << 16, REGION_MAX = 1 << 21, SHIFTED_CLASS = 12 };

typedef struct unused {
    struct unused *next;
} unused;

typedef struct region {
    struct region *next;
    void *mem;
    size_t size;
} region;

struct kt_pool {
    region *regions;
    size_t region_size; /* of the next one */
    uint8_t *at, *end;  /* what is left of the newest */
    unused *given[CLASS_COUNT];
};

_Static_assert(KT_POOL_BLOCK_MIN >= sizeof(unused), "a block that is not in use holds the list of those");

static size_t size_of(uint32_t class)
{
    return ((size_t)1 << class) + (class >= SHIFTED_CLASS ? KT_POOL_BLOCK_MIN : 0);
}

/* The least one that has this size. */
static uint32_t class_of(size_t size)
{
    size_t least = size > KT_POOL_BLOCK_MIN ? size : KT_POOL_BLOCK_MIN;
    uint32_t class = (uint32_t)(63 - __builtin_clzll(least));

    return size_of(class) >= size ? class : class + 1;
}

size_t kt_pool_block_size(size_t size)
{
    return size_of(class_of(size));
}

/* Aligned to a large page where it is as large as one: a mapping one page too long, and both ends cut off. */
static void *map(size_t size)
{
    size_t extra = size >= REGION_MAX ? REGION_MAX : 0;
    uint8_t *mem = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED)
        return NULL;
    if (extra == 0)
        return mem;
    size_t before = KT_ALIGN_UP((uintptr_t)mem, REGION_MAX) - (uintptr_t)mem;
    if (before > 0)
        munmap(mem, before);
    if (extra > before)
        munmap(mem + before + size, extra - before);
    madvise(mem + before, size, MADV_HUGEPAGE); /* where there are none, small ones do */
    return mem + before;
}

kt_pool *kt_pool_new(void)
{
    kt_pool *pool = calloc(1, sizeof *pool);

    if (pool != NULL)
        pool->region_size = REGION_MIN;
    return pool;
}

static region *region_new(kt_pool *pool, size_t size)
{
    region *made = malloc(sizeof *made);
    void *mem = made != NULL ? map(size) : NULL;

    if (mem == NULL) {
        free(made);
        return NULL;
    }
    *made = (region){ .next = pool->regions, .mem = mem, .size = size };
    pool->regions = made;
    return made;
}

static void block_give(kt_pool *pool, void *block, uint32_t class)
{
    unused *given = block;

    given->next = pool->given[class];
    pool->given[class] = given;
}

/* What is left of a region when the next one is begun serves smaller blocks. */
static void rest_give(kt_pool *pool)
{
    while ((size_t)(pool->end - pool->at) >= KT_POOL_BLOCK_MIN) {
        uint32_t class = class_of((size_t)(pool->end - pool->at));

        class -= size_of(class) > (size_t)(pool->end - pool->at);
        block_give(pool, pool->at, class);
        pool->at += size_of(class);
    }
}

static bool region_begin(kt_pool *pool, size_t size)
{
    rest_give(pool);
    while (pool->region_size < size)
        pool->region_size *= 2;
    region *made = region_new(pool, pool->region_size);
    if (made == NULL)
        return false;
    pool->at = made->mem;
    pool->end = pool->at + made->size;
    if (pool->region_size < REGION_MAX)
        pool->region_size *= 2;
    return true;
}

void *kt_pool_take(kt_pool *pool, size_t size)
{
    uint32_t class = class_of(size);
    size_t block_size = kt_pool_block_size(size);
    unused *given = pool->given[class];

    if (block_size >= KT_POOL_LARGE) {
        region *made = region_new(pool, block_size);
        return made != NULL ? made->mem : NULL;
    }
    if (given != NULL) {
        pool->given[class] = given->next;
        return given;
    }
    if ((size_t)(pool->end - pool->at) < block_size && !region_begin(pool, block_size))
        return NULL;
    void *block = pool->at;
    pool->at += block_size;
    return block;
}

static void large_give(kt_pool *pool, const void *block)
{
    region **at = &pool->regions;

    while (*at != NULL && (*at)->mem != block)
        at = &(*at)->next;
    kt_assert(*at != NULL);
    region *gone = *at;
    *at = gone->next;
    munmap(gone->mem, gone->size);
    free(gone);
}

void kt_pool_give(kt_pool *pool, void *block, size_t size)
{
    if (block == NULL)
        return;
    if (kt_pool_block_size(size) >= KT_POOL_LARGE) {
        large_give(pool, block);
        return;
    }
    block_give(pool, block, class_of(size));
}

void kt_pool_free(kt_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->regions != NULL) {
        region *gone = pool->regions;

        pool->regions = gone->next;
        munmap(gone->mem, gone->size);
        free(gone);
    }
    free(pool);
}
