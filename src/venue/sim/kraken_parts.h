/* venue/sim/kraken_parts.h - the inside of kraken.h, shared by kraken.c (how it spells things), kraken_hear.c (what clients ask)
 * and kraken_rest.c (REST). Nobody else includes it.
 *
 * old   spelled as in v1 and in REST: BTC is XBT, DOGE is XDG.
 */
#ifndef KT_VENUE_SIM_KRAKEN_PARTS_H
#define KT_VENUE_SIM_KRAKEN_PARTS_H

#include "venue/sim/kraken.h"

enum {
    KT_SIM_KRAKEN_CHANNEL_NUMBER = 336, /* of all channels of v1 */
    KT_SIM_KRAKEN_REST_EXTRA_NS = 400,  /* what REST gives behind the microsecond */
    KT_SIM_KRAKEN_MINUTE_MS = 60000,
};

static inline bool kt_sim_kraken_is_v1(const kt_venue_format *format)
{
    return format == &kt_venue_kraken_v1;
}

/* A pair with this between its currencies, and the symbol that is spelled so; kt_sim_symbol_count: none. */
void kt_sim_kraken_put_pair(kt_text symbol, bool old, const char *between, kt_builder *out);
uint32_t kt_sim_kraken_find(const kt_sim_market *market, kt_text name, bool old, const char *between);

/* With the digits of the format. */
void kt_sim_kraken_put_price(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal price, kt_builder *out);
void kt_sim_kraken_put_quantity(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal quantity, kt_builder *out);

/* Levels as v1 and REST give them: ["price","quantity",time], the time as JSON. */
void kt_sim_kraken_put_levels(
    const kt_row_instrument *instrument, const kt_rows *levels, kt_text time, kt_builder *out);

/* As REST gives it. */
void kt_sim_kraken_write_candle_row(const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out);

#endif
