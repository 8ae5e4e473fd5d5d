/* venue/kraken_fuzz.h - what both fuzz targets of Kraken do; for fuzz targets only. */
#ifndef KT_VENUE_KRAKEN_FUZZ_H
#define KT_VENUE_KRAKEN_FUZZ_H

#include "venue/fuzz_property.h"

static void fuzz_kraken(const kt_venue_format *format, kt_venue_decoder **decoder, kt_text bytes)
{
    /* Instruments are learned, and would change what fits: they get a decoder of their own each time. */
    kt_venue_decoder *learner = fuzz_decoder(format, "BTC/USD");

    if (*decoder == NULL)
        *decoder = fuzz_decoder(format, "BTC/USD");
    fuzz_message(*decoder, bytes);
    fuzz_answer(*decoder, KT_WHAT_TRADES_BY_TIME, "BTC/USD", bytes);
    fuzz_answer(*decoder, KT_WHAT_BOOK, "BTC/USD", bytes);
    fuzz_answer(*decoder, KT_WHAT_CANDLES, "BTC/USD", bytes);
    fuzz_answer(learner, KT_WHAT_INSTRUMENTS, "", bytes);
    kt_venue_decoder_free(learner);
}

#endif
