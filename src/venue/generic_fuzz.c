#include "venue/fuzz_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kt_venue_decoder *decoder;
    kt_text bytes = { (const char *)data, size };

    if (decoder == NULL)
        decoder = fuzz_decoder(&kt_venue_generic, "BTC");
    fuzz_message(decoder, bytes);
    fuzz_answer(decoder, KT_WHAT_TRADES_BY_TIME, "BTC", bytes);
    return 0;
}
