/* service/gather.h - which trades a feed (one symbol of one venue) has had: ids, counters, suspicion, market time.
 *
 * Counted    received   well-formed trades of the stream, repeats included
 *            repeated   trades whose id the stream had given before; also trades that are older than what is remembered
 *                       and that REST has passed
 *            reordered  first deliveries behind a later one: by number where the venue numbers its trades, else by time
 *            suspect    first deliveries whose price is more than suspect_percent away from the median of the (up to)
 *                       31 first deliveries before, whatever REST says of them
 *            missing    trades that the stream has not given: gaps in the numbers between the first and the last trade
 *                       known; without numbers, trades that only REST has given. Counted from the stream's first trade
 *                       on, or from REST's first when there is nothing earlier. A trade that comes after all counts no
 *                       longer
 *            repaired   trades in that range that only REST has given
 *            corrected  trades to which REST gave another price, quantity or time than the stream; and later changes
 *            lost       trades of the stream that REST has passed without giving
 *            Each also in the minute of its trade: quant/quality.h, which knows all of these but the last two.
 * Never      is a confirmed trade changed by the stream. The last copy of a trade that is not confirmed yet wins.
 * Market     time is the greatest accepted venue time; it never follows a clock. A step of more than step_ns ahead
 *            waits for a second trade within step_ns of the first, or for REST. A second trade still further ahead
 *            confirms the first and waits itself, so a thin symbol is one trade behind. A first trade that the second
 *            contradicts is such a step too. Until the second, or a trade of REST that is no more than step_ns older than
 *            the first, it is not sure; older ones of REST, which begins with its oldest, are followed but prove nothing.
 * Memory     a trade is remembered while it is younger than keep_ns behind market time (and behind the stream), or not
 *            settled by REST, or may still be named in a correction; at most lag_max_ns longer than that, and trade_max at
 *            most.
 */
#ifndef KT_SERVICE_GATHER_H
#define KT_SERVICE_GATHER_H

#include "base/types.h"
#include "lane/bytes.h"
#include "quant/median.h"
#include "quant/quality.h"
#include "schema/events.h"
#include "service/trades.h"

typedef struct kt_gather_rules {
    uint32_t suspect_percent;
    int64_t step_ns;
    int64_t keep_ns;
    int64_t lag_max_ns; /* 0: REST is not asked, nothing waits for it */
    uint32_t trade_max;
    bool numbered;
} kt_gather_rules;

typedef struct kt_gather {
    kt_gather_rules rules;
    kt_trades *trades;
    kt_median median;
    uint8_t price_scale; /* of the mantissas; grows when a trade has more digits */
    uint8_t quantity_scale;

    int64_t market_ns; /* 0: no trade yet */
    int64_t ahead_ns;  /* the time that waits for a second trade, or 0 */
    bool market_sure;  /* a second trade or REST has agreed with it: quality may close minutes by it */

    uint64_t stream_count; /* first deliveries */
    int64_t stream_first_ns;
    int64_t stream_last_ns;
    uint64_t stream_low; /* least and greatest number that the stream gave */
    uint64_t stream_high;
    int64_t rest_ns;   /* greatest time that REST has reached */
    uint64_t rest_low; /* least and greatest number that REST gave */
    uint64_t rest_high;
    int64_t rest_first_ns; /* time of the earliest trade that REST gave, 0: none */
    bool from_start;       /* there is nothing before REST's first trade */

    uint64_t unsettled_at; /* position: trades before it are settled */
    uint64_t unsettled;    /* trades that REST has neither given nor passed */
    int64_t forgotten_ns;  /* trades up to this time may have been forgotten before REST gave them */

    uint64_t received, repeated, reordered, suspect, repaired, corrected, lost;
    uint64_t refused; /* well-formed, but beyond what the scales can hold: counted as invalid */
    int64_t skew_min, skew_max;
    kt_quality quality; /* the same by minute; saved by whoever tells it */
} kt_gather;

typedef enum kt_gather_what {
    KT_GATHER_SAME,    /* nothing new: a repeat, or what was known */
    KT_GATHER_ADDED,   /* a trade that was not known */
    KT_GATHER_AGREED,  /* REST confirms what the stream gave */
    KT_GATHER_CHANGED, /* other values than before */
    KT_GATHER_REFUSED, /* can not be kept: no room, or its digits do not fit */
} kt_gather_what;

typedef struct kt_gather_step {
    kt_gather_what what;
    uint64_t position; /* of the trade, unless SAME or REFUSED */
    kt_trade was;      /* before; of an added trade all zero */
} kt_gather_step;

kt_code kt_gather_init(kt_gather *gather, const kt_gather_rules *rules, uint64_t hash_seed);
void kt_gather_done(kt_gather *gather);

/* The scales at which a trade with these decimals fits: the feed's own mostly. false: none, or a value is not positive.
 * */
bool kt_gather_fit(const kt_gather *gather, kt_decimal price, kt_decimal quantity, uint8_t *out_price_scale,
    uint8_t *out_quantity_scale);

/* Change to greater scales, everything that is remembered included. false: something would not fit, nothing has
 * changed. */
bool kt_gather_rescale(kt_gather *gather, uint8_t price_scale, uint8_t quantity_scale);

/* A trade that does not fit was not taken. */
void kt_gather_refuse(kt_gather *gather, int64_t time_ns);

/* A trade of the stream. `passed` says that REST has gone past its place. */
kt_gather_step kt_gather_tick(kt_gather *gather, const kt_ev_tick *tick, bool passed);

/* A trade of REST. */
kt_gather_step kt_gather_row(kt_gather *gather, const kt_row_trade *row, int64_t receive_ns);

/* REST has reached rest_ns and given everything before before_ns (where trades are numbered: below this number): trades
 * that it has not given are settled without it, each told to `lost` (its flags are set already). */
void kt_gather_pass(kt_gather *gather, int64_t rest_ns, int64_t before_ns, uint64_t below,
    void (*lost)(void *ctx, uint64_t position), void *ctx);

/* REST has shown that there is nothing before its first trade. */
void kt_gather_from_start(kt_gather *gather);

/* Forget trades that are no longer of use. Those from named_ns on may still be named in a correction. */
void kt_gather_forget(kt_gather *gather, int64_t named_ns);

uint64_t kt_gather_missing(const kt_gather *gather);

/* What mantissas are multiplied by when their scale grows. */
static inline int64_t kt_gather_factor(uint8_t from, uint8_t to)
{
    return kt_pow10((uint32_t)(to - from));
}

void kt_gather_save(const kt_gather *gather, kt_writer *writer);
kt_code kt_gather_load(kt_gather *gather, kt_taker *taker);

#endif
