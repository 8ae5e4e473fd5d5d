/* service/trades.h - the trades of one feed that are still of use, in the order they came, found by their id.
 *
 * A trade stays at its position until it is dropped at the front. Positions count up from 0 and are never used again.
 * Cost     add, find and drop O(1) amortised; memory (64 bytes a trade, 8 of index, the bytes of ids that are no
 *          numbers) is grown by doubling up to trade_max trades.
 */
#ifndef KT_SERVICE_TRADES_H
#define KT_SERVICE_TRADES_H

#include "base/error.h"
#include "base/types.h"

enum {
    KT_TRADE_STREAM = 1,      /* the stream gave it */
    KT_TRADE_REST = 2,        /* REST gave it: validated */
    KT_TRADE_SUSPECT = 4,     /* held back: in no provisional value before REST confirms it */
    KT_TRADE_PASSED = 8,      /* REST went past it without giving it */
    KT_TRADE_MISSING = 16,    /* counted as never given by the stream */
    KT_TRADE_LIVE = 32,       /* in the provisional sums, with the values it has here */
    KT_TRADE_SURE = 64,       /* in the validated sums, with the values it has here */
    KT_TRADE_FORGOTTEN = 128, /* came from REST so late that an earlier copy may stand in the provisional sums */

    KT_TRADE_ID_TEXT_MAX = 24, /* room for the text of a number */
};

typedef struct kt_trade {
    int64_t time_ns;    /* the venue's */
    int64_t receive_ns; /* when it first reached us */
    int64_t price;      /* mantissas at the feed's scales */
    int64_t qty;
    uint64_t key;   /* the number, or the hash of the text of its id */
    uint64_t id_at; /* the table's: where the text is */
    uint32_t revision;
    uint16_t flags;
    uint8_t id_size; /* bytes of the id as text; 0: the id is the number in decimal digits */
    uint8_t side;
} kt_trade;

typedef struct kt_trades kt_trades;

/* `hash_seed` may be anything. KT_SYS: no memory. */
kt_code kt_trades_new(uint32_t trade_max, uint64_t hash_seed, kt_trades **out_trades);
void kt_trades_free(kt_trades *trades);

/* Positions of the first trade and behind the last: first == end when empty. */
uint64_t kt_trades_first(const kt_trades *trades);
uint64_t kt_trades_end(const kt_trades *trades);

/* Valid until the next add; first <= position < end is asserted. */
kt_trade *kt_trades_at(kt_trades *trades, uint64_t position);

/* `number` 0: by the text. KT_NOENT. */
kt_code kt_trades_find(kt_trades *trades, uint64_t number, kt_text id, uint64_t *out_position);

/* Add a trade that is not there. Of `trade` all but key, id_at and id_size is taken. An id that is not the decimal
 * digits of `number` is kept as text, at most 255 bytes. KT_FULL: trade_max; KT_SYS: no memory; KT_LIMIT: the id. */
kt_code kt_trades_add(kt_trades *trades, const kt_trade *trade, uint64_t number, kt_text id, uint64_t *out_position);

void kt_trades_drop(kt_trades *trades);

/* Move the first trade to the end; returns its new position. */
uint64_t kt_trades_requeue(kt_trades *trades);

/* The id as text, borrowed from the table or written to `buf`. */
kt_text kt_trades_id(const kt_trades *trades, const kt_trade *trade, char buf[KT_TRADE_ID_TEXT_MAX]);

/* The number, 0 when the venue does not number its trades. */
uint64_t kt_trades_number(const kt_trade *trade);

#endif
