#include "base/pages.h"

#include <sys/mman.h>

enum { HUGE_SIZE = 2 << 20 };

void *kt_pages_new(size_t size)
{
    size_t whole = KT_ALIGN_UP(size, (size_t)HUGE_SIZE) + HUGE_SIZE;
    char *start = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *block;

    if (start == MAP_FAILED)
        return NULL;
    block = (char *)KT_ALIGN_UP((uintptr_t)start, (uintptr_t)HUGE_SIZE);
    if (block > start)
        munmap(start, (size_t)(block - start));
    munmap(block + KT_ALIGN_UP(size, (size_t)HUGE_SIZE), HUGE_SIZE - (size_t)(block - start));
    madvise(block, size, MADV_HUGEPAGE); /* refused: slower, not wrong */
    return block;
}

void kt_pages_free(void *block, size_t size)
{
    if (block != NULL)
        munmap(block, KT_ALIGN_UP(size, (size_t)HUGE_SIZE));
}
