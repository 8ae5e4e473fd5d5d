/* venue/sim/feed.h - one garbled stream of the sim: true trades in, broken messages out, and the books about both.
 *
 * There is one feed a format. It decides by a seeded generator what becomes of each trade, at most one of the faults that are
 * drawn for a trade (venue/sim/faults.h). An absurd price comes once a symbol has 32 good ones: before that nobody can tell.
 * With a disconnect or a cut frame at speed max up to 64 trades more are lost.
 *
 * A trade that nobody is there to receive is lost too, and called `outage`. Only symbols that were subscribed count,
 * from their first subscription on.
 *
 * Totals, in the sense of kontor's own counters (schema/events.h, feed_stats):
 *   received   messages delivered about trades, broken ones and repeats included
 *   invalid    of these: malformed, missing_field, wrong_type
 *   repeated   well-formed, of a trade that had been delivered well-formed before
 *   reordered  well-formed for the first time, behind a trade of the same symbol that the venue orders after it (by
 *              number; in the generic format by time)
 *   missing    true trades that were never delivered well-formed; while one is held back to be reordered it is missing
 *   suspect    first deliveries with an absurd price
 *
 * Pure but for the truth file: no clock, no socket. The same trades, options and answers of `deliver` give the same
 * bytes.
 */
#ifndef KT_VENUE_SIM_FEED_H
#define KT_VENUE_SIM_FEED_H

#include <stdio.h>

#include "base/json.h"
#include "venue/sim/faults.h"
#include "venue/sim/market.h"
#include "venue/venue.h"

enum {
    KT_SIM_HOLD_MAX = 256,  /* messages held back at once; the oldest goes out when there are more */
    KT_SIM_DELAY_MAX = 8,   /* messages by which one is delayed */
    KT_SIM_OUTAGE_MAX = 64, /* trades lost with a disconnect at speed max */
    KT_SIM_FACTOR_MAX = 40, /* of an absurd price */
    KT_SIM_SETTLED = 32     /* well-formed deliveries of a symbol before an absurd one */
};

typedef struct kt_sim_totals {
    uint64_t trades; /* true ones, since the first subscription of their symbol */
    uint64_t received, invalid, repeated, reordered, missing, suspect;
} kt_sim_totals;

typedef struct kt_sim_feed_options {
    const kt_venue_format *format;
    const kt_sim_market *market; /* for its symbols; outlives the feed */
    uint64_t seed;
    kt_sim_faults *faults; /* borrowed; may change between calls */
    int64_t silence_max_ns;
    /* Speed max: a disconnect loses a number of trades rather than those of the time until the client is back. */
    bool counted_outage;
    FILE *truth; /* one JSON object a line is written here; NULL: none. Borrowed */
    void *ctx;
    /* Hand a message about a symbol to whoever subscribed it; false: nobody did or could take it. `event` is what a raw
     * stream carries. */
    bool (*deliver)(void *ctx, uint32_t symbol, kt_text event);
    void (*disconnect)(void *ctx); /* close all connections once what was delivered has been sent */
    /* Send the message cut off to whoever subscribed the symbol, and end those connections. */
    void (*cut)(void *ctx, uint32_t symbol, kt_text event);
    uint32_t (*connection)(void *ctx); /* number of the newest connection, for the truth */
} kt_sim_feed_options;

typedef struct kt_sim_feed kt_sim_feed;

/* KT_SYS: no memory. */
kt_code kt_sim_feed_new(const kt_sim_feed_options *options, kt_sim_feed **out_feed, kt_err *err);
void kt_sim_feed_free(kt_sim_feed *feed);

/* Somebody receives this symbol from now on. Harmless when repeated. */
void kt_sim_feed_subscribed(kt_sim_feed *feed, uint32_t symbol);

/* The next true trade has happened. */
void kt_sim_feed_trade(kt_sim_feed *feed, const kt_sim_trade *trade);

/* The market has ended: what was held back goes out now. */
void kt_sim_feed_end(kt_sim_feed *feed);

/* What has been withheld until now is over: trades go out again. */
void kt_sim_feed_speak(kt_sim_feed *feed);

/* Is nothing said at this moment of market time, although the connection is there? */
bool kt_sim_feed_silent(const kt_sim_feed *feed, int64_t now_ns);

/* Trades that are still to be lost to a counted outage. */
uint32_t kt_sim_feed_outage_left(const kt_sim_feed *feed);

kt_sim_totals kt_sim_feed_totals(const kt_sim_feed *feed);
kt_sim_totals kt_sim_feed_symbol_totals(const kt_sim_feed *feed, uint32_t symbol);

/* Totals of the feed, by fault and by symbol, as one JSON object. `other_invalid`: broken messages of the same connections
 * that are not about trades: kontor, who can not tell, counts them as received and invalid, too. */
void kt_sim_feed_write(const kt_sim_feed *feed, uint64_t other_invalid, kt_json_writer *writer);

/* When the trade happened as the format says it: in ms, or in microseconds, in which trades of one ms are apart. */
int64_t kt_sim_time(const kt_venue_format *format, const kt_sim_trade *trade);

/* The trade as the venue's rows have it; `id_mem` of KT_SIM_ID_SIZE bytes keeps its id. */
enum { KT_SIM_ID_SIZE = 64 };
kt_row_trade kt_sim_row(
    const kt_venue_format *format, const kt_sim_symbol *symbol, const kt_sim_trade *trade, char *id_mem);

#endif
