/* venue/sim/market.h - the true market behind the sim: trades in order, from a seeded generator or a recorded tape.
 *
 * Generator  clusters: a self-exciting (Hawkes) process with exponential kernel, simulated exactly after Dassios and
 *            Zhao (2013); 60 % of the trades are children of others within some milliseconds, on the same symbol and
 *            mostly the same side. The n-th symbol weighs 1/n^skew. Sizes are Pareto with exponent 1.4. Prices bounce
 *            between a bid and an ask around a slowly reverting walk, and stay within 10 % of the last few trades.
 * Tape       `*.ns_raw.txt[.gz]`: lines "<receive time ns> <message>", of which the trades of combined streams count, and
 *            its books (venue/sim/books.h) where the whole book stands among them;
 *            `*.csv[.gz]`: columns trade_id, price, qty, trade_time_ms, buyer_is_maker, recv_ns, found by their names.
 *            Its clock is the receive time. Per symbol ids must grow and times must not fall.
 * Numbers    every price and quantity is a mantissa at scale KT_SIM_SCALE. Trade numbers of the generator start at the
 *            start time in ms, so that a later run with a later start does not use a number twice.
 * The same options give the same trades.
 */
#ifndef KT_VENUE_SIM_MARKET_H
#define KT_VENUE_SIM_MARKET_H

#include "base/error.h"
#include "base/types.h"
#include "schema/events.h"

enum {
    KT_SIM_SCALE = 8,
    KT_SIM_SYMBOL_MAX = 1000,
    KT_SIM_TAPE_MAX = 20000000 /* trades of one tape */
};

typedef struct kt_sim_symbol {
    kt_row_instrument pair;   /* BTC/USDT, BTCUSDT */
    kt_row_instrument ticker; /* of the generic format: BTC, or BTC/USDT where two pairs share a base */
    char text[4][32];
} kt_sim_symbol;

/* No padding, so that trades can be compared as bytes; leave `zero` zero. */
typedef struct kt_sim_trade {
    int64_t at_ns;   /* when the market's clock reaches it */
    int64_t time_ms; /* as the venue says */
    int64_t price;   /* mantissas at KT_SIM_SCALE */
    int64_t quantity;
    uint64_t number; /* grows within a symbol */
    uint32_t symbol; /* index */
    bool seller_took;
    uint8_t zero;
    uint16_t nth; /* how many of its symbol and ms came before: the sim counts them as the trade happens */
} kt_sim_trade;

_Static_assert(sizeof(kt_sim_trade) == 48, "no padding");

typedef struct kt_sim_market_options {
    const char *symbols;   /* "BTC/USDT,ETH/USDT=2500" or a number of symbols; NULL: 4, or those of the tape */
    const char *tape;      /* NULL: generate */
    uint64_t until_number; /* tape: the last trade number that counts; 0: all */
    uint64_t seed;
    double rate;      /* generator: trades a second, over all symbols */
    double skew;      /* generator: 0: all symbols trade alike; 1: the n-th an n-th of the first */
    int64_t start_ns; /* generator: its first instant */
    uint64_t count;   /* trades in all, then it ends; 0: no end */
    uint32_t burst;   /* generator: trades in one millisecond, of the first symbol; 0: none */
    int64_t burst_every_ns;
} kt_sim_market_options;

typedef struct kt_sim_market kt_sim_market;

/* KT_ARG: a symbol or number in the options is wrong. KT_SYS, KT_SYNTAX, KT_SEQ, KT_LIMIT: the tape can not be read;
 * the message names file and line. */
kt_code kt_sim_market_open(const kt_sim_market_options *options, kt_sim_market **out_market, kt_err *err);
void kt_sim_market_close(kt_sim_market *market);

uint32_t kt_sim_symbol_count(const kt_sim_market *market);
const kt_sim_symbol *kt_sim_symbol_at(const kt_sim_market *market, uint32_t index);

/* The tape that is played; NULL: the trades are generated. */
const struct kt_sim_tape *kt_sim_market_tape(const kt_sim_market *market);

/* The clock at the very beginning: the start time, or the receive time of the tape's first trade. */
int64_t kt_sim_market_start(const kt_sim_market *market);

/* The next trade without taking it; NULL: the market has ended. Valid until kt_sim_market_take. */
const kt_sim_trade *kt_sim_market_peek(kt_sim_market *market);
void kt_sim_market_take(kt_sim_market *market);

#endif
