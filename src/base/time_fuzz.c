/* Read as text: what is accepted is the same time after writing. Read as eight bytes of time: writing and reading gives
 * it back. */
#include "base/assert.h"
#include "base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void comes_back(int64_t time_ns)
{
    char out[KT_TIME_TEXT_MAX];
    int64_t back = 0;
    size_t n = kt_time_format_iso(out, sizeof out, time_ns);

    kt_assert(kt_time_parse_iso((kt_text){ out, n }, &back) == KT_OK);
    kt_assert(back == time_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t time_ns;

    if (kt_time_parse_iso((kt_text){ (const char *)data, size }, &time_ns) == KT_OK)
        comes_back(time_ns);
    if (size >= sizeof time_ns) {
        memcpy(&time_ns, data, sizeof time_ns);
        comes_back(time_ns);
    }
    return 0;
}
