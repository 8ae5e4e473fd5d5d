/* venue/sim/sim.h - `kontor sim`, the faulty market: a venue that says what is true over REST and garbles it on the way
 * over WebSocket, and keeps the books about it.
 *
 * Trades come from a seeded generator or from a recorded tape, at the tape's own times, at a factor of them, or as fast
 * as the reader takes them. On one port are served the first two formats together, or any one of them alone:
 *
 *   generic   WebSocket /stream, REST /trades?ticker=&startTime=
 *   binance   WebSocket /stream?streams=btcusdt@trade/btcusdt@depth@100ms/btcusdt@bookTicker/... and /ws/btcusdt@trade,
 *             SUBSCRIBE and UNSUBSCRIBE, REST /api/v3/exchangeInfo, /api/v3/trades, /api/v3/historicalTrades,
 *             /api/v3/depth
 *   kraken    v1 or v2, see kraken.h: WebSocket / or /v2, REST /0/public/
 *   own       GET /sim/truth: what was delivered, broken and how, as totals by kontor's counters; GET and POST /v1/sim/faults
 *
 * One seed, one client and speed `max` give the same bytes every time. `kontor sim --help` is the manual.
 */
#ifndef KT_VENUE_SIM_SIM_H
#define KT_VENUE_SIM_SIM_H

#include "net/loop.h"
#include "venue/sim/options.h"

typedef struct kt_sim kt_sim;

/* A market on somebody's loop; `options` is borrowed for its life. Errors as the program's. */
kt_code kt_sim_open(kt_loop *loop, const kt_sim_options *options, kt_sim **out_sim, kt_err *err);
void kt_sim_close(kt_sim *sim); /* before its loop. NULL is fine */

/* The market's clock starts, whoever waits. */
void kt_sim_start(kt_sim *sim);

/* From now on it breaks this. */
void kt_sim_break(kt_sim *sim, const kt_sim_faults *values);

/* Runs until SIGINT or SIGTERM and returns the exit status: 0; 1 for what went wrong while running (a busy port, an
 * unreadable tape); 2 for a flag that is wrong. Messages go to stderr, `listening 127.0.0.1:PORT` to stdout. */
int kt_sim_main(int argc, char **argv);

#endif
