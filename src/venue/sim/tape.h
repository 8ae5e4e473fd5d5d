/* venue/sim/tape.h - recorded trades read into memory; what files it understands is said in market.h. */
#ifndef KT_VENUE_SIM_TAPE_H
#define KT_VENUE_SIM_TAPE_H

#include "venue/sim/market.h"

enum { KT_SIM_TAPE_SYMBOL_MAX = 64 };

typedef struct kt_sim_tape {
    kt_sim_trade *trades; /* in the order of the file */
    uint32_t count;
    uint32_t symbol_count;
    char symbols[KT_SIM_TAPE_SYMBOL_MAX][32];    /* BTC/USDT, in order of appearance */
    uint8_t price_scale[KT_SIM_TAPE_SYMBOL_MAX]; /* digits that its prices and quantities use */
    uint8_t quantity_scale[KT_SIM_TAPE_SYMBOL_MAX];
} kt_sim_tape;

/* `symbol` is for a csv whose name does not tell it (NULL: take it from there). Errors as kt_sim_market_open. */
kt_code kt_sim_tape_read(const char *path, const char *symbol, kt_sim_tape *out_tape, kt_err *err);
void kt_sim_tape_done(kt_sim_tape *tape);

#endif
