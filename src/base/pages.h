/* base/pages.h - large blocks of memory that are reserved at once and used as they are touched.
 *
 * The block is zero, aligned to 2 MiB, and asks for huge pages: structures that are walked at random miss the table of
 * pages otherwise. What is never touched costs address space only.
 */
#ifndef KT_BASE_PAGES_H
#define KT_BASE_PAGES_H

#include "base/types.h"

/* NULL: the system refused. Free with the same size; NULL is allowed. */
void *kt_pages_new(size_t size);
void kt_pages_free(void *block, size_t size);

#endif
