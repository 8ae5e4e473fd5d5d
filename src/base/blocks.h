/* base/blocks.h - blocks of memory for thousands of things that are used in no order that a cache could guess.
 *
 * What jumps between them waits for the tables of pages more than for the bytes: a core finds a few thousand pages without
 * searching, which at 4 KiB each is 16 MB. Here blocks of all sizes stand together on pages of 2 MiB (pages.h), where the system has them.
 *
 * Blocks   of powers of two, from KT_BLOCKS_MIN up, aligned to it; not zeroed. From 4 KiB on each is KT_BLOCKS_MIN
 *          longer, so that the same place in many blocks is not the same place in the cache. One that is given back is handed
 *          out again for the same size, and returns to the system with all; those from KT_BLOCKS_LARGE on at once.
 * Memory   taken from the system in regions that begin at 64 KiB and double up to 2 MiB, so that little use takes little.
 */
#ifndef KT_BASE_BLOCKS_H
#define KT_BASE_BLOCKS_H

#include "base/types.h"

enum { KT_BLOCKS_MIN = 64, KT_BLOCKS_LARGE = 1 << 20 };

typedef struct kt_blocks kt_blocks;

kt_blocks *kt_blocks_new(void);         /* NULL: no memory */
void kt_blocks_free(kt_blocks *blocks); /* every one of them. NULL is fine */

/* At least `size` bytes; all of kt_blocks_size(size) may be used. NULL: no memory. */
void *kt_blocks_take(kt_blocks *blocks, size_t size);
size_t kt_blocks_size(size_t size);

/* With the size that it was taken with. NULL is fine. */
void kt_blocks_give(kt_blocks *blocks, void *block, size_t size);

#endif
