#include "base/json_scan_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SHAPE_NODES)
        shape_check((kt_text){ (const char *)data, size });
    return 0;
}
