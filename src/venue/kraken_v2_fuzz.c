#include "venue/kraken_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kt_venue_decoder *decoder;

    fuzz_kraken(&kt_venue_kraken_v2, &decoder, (kt_text){ (const char *)data, size });
    return 0;
}
