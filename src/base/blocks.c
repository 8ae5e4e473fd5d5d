#include "base/blocks.h"

#include "base/assert.h"
#include "base/pages.h"

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

struct kt_blocks {
    region *regions;
    size_t region_size; /* of the next one */
    uint8_t *at, *end;  /* what is left of the newest */
    unused *given[CLASS_COUNT];
};

_Static_assert(KT_BLOCKS_MIN >= sizeof(unused), "a block that is not in use holds the list of those");

static size_t size_of(uint32_t class)
{
    return ((size_t)1 << class) + (class >= SHIFTED_CLASS ? KT_BLOCKS_MIN : 0);
}

/* The least one that has this size. */
static uint32_t class_of(size_t size)
{
    size_t least = size > KT_BLOCKS_MIN ? size : KT_BLOCKS_MIN;
    uint32_t class = (uint32_t)(63 - __builtin_clzll(least));

    return size_of(class) >= size ? class : class + 1;
}

size_t kt_blocks_size(size_t size)
{
    return size_of(class_of(size));
}

static void *map(size_t size)
{
    if (size >= REGION_MAX)
        return kt_pages_new(size);
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mem != MAP_FAILED ? mem : NULL;
}

static void unmap(void *mem, size_t size)
{
    if (size >= REGION_MAX)
        kt_pages_free(mem, size);
    else
        munmap(mem, size);
}

kt_blocks *kt_blocks_new(void)
{
    kt_blocks *blocks = calloc(1, sizeof *blocks);

    if (blocks != NULL)
        blocks->region_size = REGION_MIN;
    return blocks;
}

static region *region_new(kt_blocks *blocks, size_t size)
{
    region *made = malloc(sizeof *made);
    void *mem = made != NULL ? map(size) : NULL;

    if (mem == NULL) {
        free(made);
        return NULL;
    }
    *made = (region){ .next = blocks->regions, .mem = mem, .size = size };
    blocks->regions = made;
    return made;
}

static void block_give(kt_blocks *blocks, void *block, uint32_t class)
{
    unused *given = block;

    given->next = blocks->given[class];
    blocks->given[class] = given;
}

/* What is left of a region when the next one is begun serves smaller blocks. */
static void rest_give(kt_blocks *blocks)
{
    while ((size_t)(blocks->end - blocks->at) >= KT_BLOCKS_MIN) {
        uint32_t class = class_of((size_t)(blocks->end - blocks->at));

        class -= size_of(class) > (size_t)(blocks->end - blocks->at);
        block_give(blocks, blocks->at, class);
        blocks->at += size_of(class);
    }
}

static bool region_begin(kt_blocks *blocks, size_t size)
{
    rest_give(blocks);
    while (blocks->region_size < size)
        blocks->region_size *= 2;
    region *made = region_new(blocks, blocks->region_size);
    if (made == NULL)
        return false;
    blocks->at = made->mem;
    blocks->end = blocks->at + made->size;
    if (blocks->region_size < REGION_MAX)
        blocks->region_size *= 2;
    return true;
}

void *kt_blocks_take(kt_blocks *blocks, size_t size)
{
    uint32_t class = class_of(size);
    size_t block_size = kt_blocks_size(size);
    unused *given = blocks->given[class];

    if (block_size >= KT_BLOCKS_LARGE) {
        region *made = region_new(blocks, block_size);
        return made != NULL ? made->mem : NULL;
    }
    if (given != NULL) {
        blocks->given[class] = given->next;
        return given;
    }
    if ((size_t)(blocks->end - blocks->at) < block_size && !region_begin(blocks, block_size))
        return NULL;
    void *block = blocks->at;
    blocks->at += block_size;
    return block;
}

static void large_give(kt_blocks *blocks, const void *block)
{
    region **at = &blocks->regions;

    while (*at != NULL && (*at)->mem != block)
        at = &(*at)->next;
    kt_assert(*at != NULL);
    region *gone = *at;
    *at = gone->next;
    unmap(gone->mem, gone->size);
    free(gone);
}

void kt_blocks_give(kt_blocks *blocks, void *block, size_t size)
{
    if (block == NULL)
        return;
    if (kt_blocks_size(size) >= KT_BLOCKS_LARGE) {
        large_give(blocks, block);
        return;
    }
    block_give(blocks, block, class_of(size));
}

void kt_blocks_free(kt_blocks *blocks)
{
    if (blocks == NULL)
        return;
    while (blocks->regions != NULL) {
        region *gone = blocks->regions;

        blocks->regions = gone->next;
        unmap(gone->mem, gone->size);
        free(gone);
    }
    free(blocks);
}
