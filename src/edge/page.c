#include "edge/page.h"

#include "base/text.h"

#include <string.h>

const kt_page_file *kt_page_find(kt_text path)
{
    for (uint32_t i = 0; i < kt_page_file_count; i++) {
        kt_text known = kt_text_of(kt_page_files[i].path);
        bool below =
            known.n > 1 && known.s[known.n - 1] == '/' && path.n > known.n && memcmp(path.s, known.s, known.n) == 0;

        if (below || kt_text_equal(path, known))
            return &kt_page_files[i];
    }
    return NULL;
}
