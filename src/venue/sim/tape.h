/* venue/sim/tape.h - recorded trades read into memory; what files it understands is said in market.h. */
#ifndef KT_VENUE_SIM_TAPE_H
#define KT_VENUE_SIM_TAPE_H

#include "venue/sim/market.h"

enum { KT_SIM_TAPE_SYMBOL_MAX = 64 };

/* A message about a book: an event as a raw stream carries it, or the whole book as REST gave it. */
typedef struct kt_sim_book_message {
    int64_t at_ns;
    uint64_t at; /* of its text in the tape's texts */
    uint32_t size;
    uint32_t symbol;
} kt_sim_book_message;

typedef struct kt_sim_tape {
    kt_sim_trade *trades; /* in the order of the file */
    uint32_t count;
    kt_sim_book_message *messages; /* of books, of a raw file; in the order of the file */
    uint32_t message_count;
    kt_sim_book_message whole; /* the first whole book; size 0: there is none */
    char *texts;
    uint32_t symbol_count;
    char symbols[KT_SIM_TAPE_SYMBOL_MAX][32];    /* BTC/USDT, in order of appearance */
    uint8_t price_scale[KT_SIM_TAPE_SYMBOL_MAX]; /* digits that its prices and quantities use */
    uint8_t quantity_scale[KT_SIM_TAPE_SYMBOL_MAX];
} kt_sim_tape;

static inline kt_text kt_sim_tape_text(const kt_sim_tape *tape, const kt_sim_book_message *message)
{
    return (kt_text){ tape->texts + message->at, message->size };
}

/* `symbol` is for a csv whose name does not tell it (NULL: take it from there). Errors as kt_sim_market_open. */
kt_code kt_sim_tape_read(const char *path, const char *symbol, kt_sim_tape *out_tape, kt_err *err);
void kt_sim_tape_done(kt_sim_tape *tape);

#endif
