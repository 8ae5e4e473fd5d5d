/* edge/page.h - the built files of console/, inside the binary. The table is made at build time by console/build.mjs. */
#ifndef KT_EDGE_PAGE_H
#define KT_EDGE_PAGE_H

#include "base/types.h"

#include <stdint.h>

typedef struct kt_page_file {
    const char *path; /* as asked for: "/", "/page.css"; one that ends in '/' stands for all below it: "/m/" */
    const char *type; /* value of Content-Type */
    const char *tag;  /* value of ETag, quotes included; changes with the content */
    const unsigned char *bytes;
    uint32_t size;
} kt_page_file;

extern const kt_page_file kt_page_files[];
extern const uint32_t kt_page_file_count;

/* The file that a path stands for. NULL: none. */
const kt_page_file *kt_page_find(kt_text path);

#endif
