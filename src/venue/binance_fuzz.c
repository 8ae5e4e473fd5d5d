#include "venue/fuzz_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kt_venue_decoder *decoder;
    kt_text bytes = { (const char *)data, size };

    /* Instruments are learned, and would change what fits: they get a decoder of their own each time. */
    kt_venue_decoder *learner = fuzz_decoder(&kt_venue_binance, "BTC/USDT");

    if (decoder == NULL)
        decoder = fuzz_decoder(&kt_venue_binance, "BTC/USDT");
    fuzz_message(decoder, bytes);
    fuzz_answer(decoder, KT_WHAT_TRADES_BY_ID, "BTC/USDT", bytes);
    fuzz_answer(decoder, KT_WHAT_BOOK, "BTC/USDT", bytes);
    fuzz_answer(learner, KT_WHAT_INSTRUMENTS, "", bytes);
    kt_venue_decoder_free(learner);
    return 0;
}
