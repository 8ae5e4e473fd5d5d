/* venue/binance_scan.h - the stream messages of Binance spot that come by the million, read in one pass.
 *
 * Trades, depth updates and book tickers, raw or in a combined stream, in the order in which the venue writes their
 * fields. Anything else is not scanned, and goes the long way through base/json.h in venue/binance.c, with the same
 * result for the same message.
 */
#ifndef KT_VENUE_BINANCE_SCAN_H
#define KT_VENUE_BINANCE_SCAN_H

#include "base/json_scan.h"

typedef struct kt_binance_trade {
    int64_t event_ms;
    kt_text symbol;
    uint64_t number;
    kt_decimal price;
    kt_decimal quantity;
    int64_t time_ms;
    bool buyer_is_maker;
    bool unused; /* `M`: the venue says to ignore it */
} kt_binance_trade;

typedef struct kt_binance_depth {
    int64_t event_ms;
    kt_text symbol;
    uint64_t first_id;
    uint64_t last_id;
    kt_json_pairs bids;
    kt_json_pairs asks;
} kt_binance_depth;

typedef struct kt_binance_ticker {
    uint64_t update_id;
    kt_text symbol;
    kt_decimal bid;
    kt_decimal bid_quantity;
    kt_decimal ask;
    kt_decimal ask_quantity;
} kt_binance_ticker;

typedef enum kt_binance_kind { KT_BINANCE_TRADE, KT_BINANCE_DEPTH, KT_BINANCE_TICKER } kt_binance_kind;

typedef struct kt_binance_message {
    kt_text stream; /* of a combined message; empty of a raw one */
    kt_binance_kind kind;
    union {
        kt_binance_trade trade;
        kt_binance_depth depth;
        kt_binance_ticker ticker;
    };
} kt_binance_message;

/* True when all of `bytes` was such a message. Levels of both sides go to `levels`, of which there are `level_max`; texts
 * are borrowed from `bytes`. */
bool kt_binance_scan(kt_text bytes, kt_decimal (*levels)[2], uint32_t level_max, kt_binance_message *out);

#endif
