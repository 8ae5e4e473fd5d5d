/* edge/page.h - the built files of console/, inside the binary. The table is made at build time by console/build.mjs.
 * */
#ifndef KT_EDGE_PAGE_H
#define KT_EDGE_PAGE_H

#include <stdint.h>

typedef struct kt_page_file {
    const char *path; /* as asked for: "/", "/page.js" */
    const char *type; /* value of Content-Type */
    const char *tag;  /* value of ETag, quotes included; changes with the content */
    const unsigned char *bytes;
    uint32_t size;
} kt_page_file;

extern const kt_page_file kt_page_files[];
extern const uint32_t kt_page_file_count;

#endif
