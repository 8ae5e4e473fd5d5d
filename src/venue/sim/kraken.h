/* venue/sim/kraken.h - Kraken's two versions as the sim speaks them: what it says about the market, what it hears from
 * clients, and REST.
 *
 * Sources  those of venue/kraken.h. Nothing here is shared with the decoders: the checksum is counted bit by bit over the
 *          decimal text that is sent.
 * Digits   v2 writes a price with the digits of its instrument, v1 with one more, as the venue does.
 * Time     trades of one symbol in one ms are a microsecond apart; REST gives 400 ns more than the streams, which cut it.
 * Books    v2 of depth 100, 500 and 1000, v1 of 1000 only; the sim's books are never that deep, so that nothing is cut.
 *          The whole book comes with the subscription, and is never broken.
 * Candles  (ohlc) of one minute, told with each trade, and by REST; their average price is cut to the digits of the instrument.
 *          A subscription begins with minutes that had a trade: v1 tells the last one, however long ago it was, v2 the last
 *          KT_SIM_KRAKEN_SNAPSHOT_MINUTES (the venue does not say how many it gives). They are never broken.
 * Left out other intervals, and all that needs an account.
 */
#ifndef KT_VENUE_SIM_KRAKEN_H
#define KT_VENUE_SIM_KRAKEN_H

#include "venue/sim/rest.h"
#include "venue/sim/wire.h"

enum { KT_SIM_KRAKEN_SNAPSHOT_MINUTES = 10 };

/* One row a version. */
extern const kt_sim_wire kt_sim_kraken_v1;
extern const kt_sim_wire kt_sim_kraken_v2;

/* A whole book as the stream gives it. */
void kt_sim_kraken_write_snapshot(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_ev_book *book, kt_builder *out);

/* One symbol's present minute; all zero: no trade yet. */
typedef struct kt_sim_candle {
    int64_t begin_ms, last_ns;
    int64_t open, high, low, close; /* mantissas at KT_SIM_SCALE */
    kt_i128 volume;                 /* at KT_SIM_SCALE, and */
    kt_i128 turnover;               /* at twice that */
    uint64_t count;
} kt_sim_candle;

void kt_sim_kraken_candle_add(kt_sim_candle *candle, const kt_sim_trade *trade);

/* The minute of trade *at, which is then the first one behind it; false: there is no such trade. */
bool kt_sim_kraken_candle_next(const kt_sim_history *history, uint32_t *at, kt_sim_candle *out_candle);

/* With a trade; and what a subscription begins with, nothing where no trade has happened yet. */
void kt_sim_kraken_write_candle(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out);
void kt_sim_kraken_write_candles(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_sim_history *history, kt_builder *out);

/* What is said to a new client, and when nothing else is said for a second. */
void kt_sim_kraken_greeting(const kt_venue_format *format, kt_builder *out);
kt_text kt_sim_kraken_heartbeat(const kt_venue_format *format);

/* Whoever serves the clients. */
typedef struct kt_sim_kraken_host {
    const kt_venue_format *format;
    const kt_sim_market *market;
    int64_t now_ns; /* the market's clock */
    void *ctx;
    void (*send)(void *ctx, kt_text message); /* to the client that is heard */
    /* It wants a stream of a symbol, or no longer; false: that was so already. */
    bool (*subscribe)(void *ctx, uint32_t symbol, kt_sim_stream stream, bool wanted);
    void (*snapshot)(
        void *ctx, uint32_t symbol, kt_sim_stream stream); /* send it what a book, or candles, begin with */
} kt_sim_kraken_host;

/* A message of a client: it is answered, and done. */
void kt_sim_kraken_hear(const kt_sim_kraken_host *host, kt_text message);

/* As kt_sim_rest_answer, for paths under /0/public/. */
uint16_t kt_sim_kraken_answer(kt_sim_rest *rest, kt_text path, kt_text query, kt_builder *body);

#endif
