/* kontor/match.h - the matching core: a pure function from commands to events on integers.
 *
 * A kt_match holds the books of 1 to 65,535 symbols over one pool of orders. It is single-threaded and has no clock and no
 * randomness: the same commands give the same events, byte for byte, on any machine. After kt_match_new there is no
 * allocation and no system call. Several may live in one process; they share nothing.
 *
 *   bounds -> kt_match_new -> kt_match_submit(commands, out) ... events -> kt_match_free
 *
 * Rule     price, then time. Trades happen at the price of the maker, the resting order. A part-filled maker keeps its place.
 * Units    price in ticks, 1 to price_max; quantity in lots, 1 to qty_max; time in any unit that only grows.
 * Ids      With KT_MATCH_HANDLES the engine gives each order a handle (generation << 32 | slot, never 0) that ACCEPTED
 *          tells; other commands and all events name the order by it, and the id in a new order is a tag that only
 *          ACCEPTED and REJECTED repeat. With KT_MATCH_HASH ids are the client's, any 64 bits but 0; with KT_MATCH_DIRECT
 *          they are the client's, 1 to id_max, and looked up in a table of 4 bytes each. A client's id must not be that of
 *          a live order; it may be used again once the order is gone.
 * Layout   commands are 64 bytes. Events are 32 bytes; a trade takes two places. Little endian, no padding.
 */
#ifndef KONTOR_MATCH_H
#define KONTOR_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KT_MATCH_API __attribute__((visibility("default")))

/* ---- bounds ---- */

typedef enum kt_match_ids { KT_MATCH_HANDLES, KT_MATCH_HASH, KT_MATCH_DIRECT, KT_MATCH_IDS_COUNT } kt_match_ids;

#define KT_MATCH_SYMBOL_CEILING 65535u
#define KT_MATCH_ORDER_CEILING ((1u << 24) - 2) /* orders alive at once */
#define KT_MATCH_PRICE_CEILING ((1u << 30) - 2)

typedef struct kt_match_bounds {
    uint32_t symbol_max; /* symbols are 0 to symbol_max - 1 */
    uint32_t order_max;  /* live orders of all symbols, stops that wait included */
    uint32_t price_max;
    uint32_t zero;
    int64_t qty_max; /* qty_max * order_max must fit 63 bits, so that no sum overflows */
    uint64_t id_max; /* KT_MATCH_DIRECT: greatest id, below 2^32; else 0 */
    uint64_t seed;   /* KT_MATCH_HASH: of the hash; no event depends on it */
    kt_match_ids ids;
    uint32_t zero2;
} kt_match_bounds;

/* ---- commands ---- */

typedef enum kt_match_op {
    KT_MATCH_NEW,
    KT_MATCH_CANCEL,       /* id, owner */
    KT_MATCH_AMEND,        /* id, qty, price, owner, stp, post_only; stop for a stop that waits */
    KT_MATCH_REPLACE,      /* the same, but the order always goes to the back */
    KT_MATCH_CANCEL_OWNER, /* owner; symbol, or KT_MATCH_ANY */
    KT_MATCH_CANCEL_ALL,   /* symbol, or KT_MATCH_ANY */
    KT_MATCH_TIME,         /* time: now, never back. Orders that are good till then or before expire */
    KT_MATCH_STATE,        /* symbol, state */
    KT_MATCH_OP_COUNT
} kt_match_op;

typedef enum kt_match_side { KT_MATCH_BUY, KT_MATCH_SELL } kt_match_side;

typedef enum kt_match_type {
    KT_MATCH_LIMIT,
    KT_MATCH_MARKET,     /* price: protection, the worst price it takes; 0: none. What is left is cancelled */
    KT_MATCH_STOP,       /* waits until a trade reaches `stop`, then a market order */
    KT_MATCH_STOP_LIMIT, /* waits likewise, then a limit order */
    KT_MATCH_TRAIL, /* waits; its stop follows the best price since entry at a distance of `trail`; then a market order */
    KT_MATCH_TYPE_COUNT
} kt_match_type;

typedef enum kt_match_tif {
    KT_MATCH_GTC,
    KT_MATCH_IOC,
    KT_MATCH_FOK,
    KT_MATCH_GTD, /* until `time` */
    KT_MATCH_TIF_COUNT
} kt_match_tif;

/* What happens when a taker meets an order of its own owner. Owner 0 is nobody and never meets itself. */
typedef enum kt_match_stp {
    KT_MATCH_STP_NONE,
    KT_MATCH_STP_TAKER,     /* the rest of the taker is cancelled */
    KT_MATCH_STP_MAKER,     /* the maker is cancelled, and the taker goes on */
    KT_MATCH_STP_BOTH,      /* both are cancelled */
    KT_MATCH_STP_DECREMENT, /* both lose what they would have traded; what has nothing left is cancelled */
    KT_MATCH_STP_COUNT
} kt_match_stp;

typedef enum kt_match_state {
    KT_MATCH_OPEN,        /* coming here from any state first uncrosses the book: see "Auction" below */
    KT_MATCH_HALT,        /* nothing but mass cancels, time and states */
    KT_MATCH_CANCEL_ONLY, /* the same and single cancels */
    KT_MATCH_AUCTION,     /* orders rest without matching: limit GTC and GTD, stops; no post-only */
    KT_MATCH_STATE_COUNT
} kt_match_state;

#define KT_MATCH_ANY UINT16_MAX

/* Fields that an operation does not use are 0. */
typedef struct kt_match_command {
    uint64_t id;
    int64_t qty;
    uint32_t price;
    uint32_t owner;
    uint16_t symbol; /* of a new order; other operations on an order find it by the id */
    uint8_t op;
    uint8_t side;
    union {
        uint8_t type;
        uint8_t state;
    };
    uint8_t tif;
    uint8_t stp;
    uint8_t
        post_only; /* 1: never take. An order that would is cancelled (a new one) or left as it is (an amended one) */
    uint32_t stop;
    uint32_t trail;
    int64_t display; /* iceberg: shown at a time; 0: all. Each new part goes to the back of its level */
    int64_t time;
    uint64_t peer; /* one cancels the other: id of a live order of this symbol, side and owner without a peer yet. When
                      either trades, triggers, expires or is cancelled, the other is cancelled */
} kt_match_command;

/* Amend   `qty` is the new open quantity, shown and hidden; 0: as it is. `price` 0: as it is. When only the quantity changes
 *         and does not grow, the order keeps its place; else it goes to the back, and takes first when it crosses. An
 *         iceberg loses of its hidden part first.
 * Stops   Each price of a trade queues the stops that it reaches, in order of entry: sell stops at or above it, buy stops
 *         at or below it. When a command (or a stop) has done its own trades, the queue is worked off first in, first
 *         out, until nothing is left. A stop that the last price has reached already is queued as it comes.
 * Auction When a book is opened and crossed, all that crosses trades at one price: the one of the greatest volume; of those
 *         with the least surplus; of those the highest when the surplus is on the buy side, the lowest when it is on the
 *         sell side; of those the nearest to the last trade, then the lowest. Each pair is told as a trade of the buyer
 *         as taker. Self-trade prevention does not apply. Where an order that trades cancels its peer and the book is
 *         crossed still, it is uncrossed again.
 * Owner   AMEND, REPLACE and CANCEL with an owner other than 0 touch only orders of that owner. */

/* ---- events ---- */

typedef enum kt_match_kind {
    KT_MATCH_ACCEPTED = 1, /* id; price, qty, other: the command's id */
    KT_MATCH_REJECTED,     /* id: the command's; why; price, qty; other: op. Nothing has changed */
    KT_MATCH_TRADE,        /* kt_match_trade: two places */
    KT_MATCH_CANCELLED,    /* id; why; qty: was open */
    KT_MATCH_EXPIRED,      /* id; qty: was open */
    KT_MATCH_AMENDED,      /* id; price, qty: open now; other: was open; why: ASKED, or SELF when decremented */
    KT_MATCH_TRIGGERED,    /* id; qty; price: limit or protection from now on */
    KT_MATCH_LEVEL,        /* side, price; qty: the new total shown, 0 when the level is gone */
    KT_MATCH_STATED,       /* other: the new state of the symbol; before what trades at an opening */
    KT_MATCH_TIMED,        /* other: the time now; before what expires */
    KT_MATCH_DONE,         /* a mass cancel has come to its end. other: how many orders it cancelled */
    KT_MATCH_KIND_COUNT
} kt_match_kind;

/* Why something was refused or cancelled. A new order is checked in this order, and the first that fails is told. */
#define KT_MATCH_WHY_MAP(X)                                                                   \
    X(NONE, "")                                                                               \
    X(BAD_OP, "no such operation")                                                            \
    X(BAD_SYMBOL, "no such symbol")                                                           \
    X(BAD_SIDE, "side is not 0 or 1")                                                         \
    X(BAD_TYPE, "no such type, time in force, self-trade mode or state, or not with another") \
    X(CLOSED, "the state of the book does not allow it")                                      \
    X(BAD_ID, "id is 0 or above id_max")                                                      \
    X(BAD_PRICE, "price outside 1 to price_max")                                              \
    X(BAD_QTY, "quantity outside 1 to qty_max")                                               \
    X(BAD_STOP, "stop or trail outside 1 to price_max, or given where there is none")         \
    X(BAD_DISPLAY, "display outside 0 to quantity, or of an order that does not rest")        \
    X(BAD_TIME, "time is not behind the present")                                             \
    X(NO_PRICE, "nothing has traded yet that could be trailed")                               \
    X(TWICE, "a live order has this id")                                                      \
    X(BAD_PEER, "peer is not alive, of another symbol, side or owner, or has a peer")         \
    X(FULL, "order_max orders are alive")                                                     \
    X(UNKNOWN, "no live order has this id")                                                   \
    X(NOT_OWNER, "the order is another owner's")                                              \
    X(ASKED, "by its owner")                                                                  \
    X(MASS, "by a cancel of all")                                                             \
    X(UNFILLED, "what an IOC or market order found nothing for")                              \
    X(NOT_WHOLE, "FOK that could not be filled whole")                                        \
    X(WOULD_TAKE, "post-only that would have taken")                                          \
    X(SELF, "self-trade prevention")                                                          \
    X(PEER, "its peer traded, triggered or went")

#define X(name, text) KT_MATCH_##name,
typedef enum kt_match_why { KT_MATCH_WHY_MAP(X) KT_MATCH_WHY_COUNT } kt_match_why;
#undef X

typedef struct kt_match_event {
    uint8_t kind;
    uint8_t side : 1; /* of the order; of a trade the taker's */
    uint8_t why : 7;
    uint16_t symbol;
    uint32_t price;
    uint64_t id;
    int64_t qty;
    uint64_t other;
} kt_match_event;

typedef struct kt_match_trade {
    kt_match_event event; /* price: the maker's; id: maker; qty; other: taker */
    int64_t maker_left;   /* open quantity, hidden part included */
    int64_t taker_left;
    uint32_t maker_owner;
    uint32_t taker_owner;
    uint64_t number; /* 1, 2, 3 ... of all symbols */
} kt_match_trade;

#if defined(__cplusplus)
static_assert(sizeof(kt_match_command) == 64 && sizeof(kt_match_event) == 32 && sizeof(kt_match_trade) == 64, "layout");
#else
_Static_assert(sizeof(kt_match_command) == 64, "layout of commands");
_Static_assert(sizeof(kt_match_event) == 32 && sizeof(kt_match_trade) == 64, "layout of events");
#endif

/* The event behind this one. */
static inline const kt_match_event *kt_match_next(const kt_match_event *event)
{
    return event + (event->kind == KT_MATCH_TRADE ? 2 : 1);
}

/* Where events are written, in place: the caller's buffer or ring. Whenever fewer than KT_MATCH_ROOM places are left, `more`
 * is called between two events; it takes what has been written up to `next` and sets `next` and `end` to at least
 * KT_MATCH_ROOM free places. A sweep writes as many events as it likes; nothing is dropped. */
#define KT_MATCH_ROOM 32

typedef struct kt_match_out {
    kt_match_event *next;
    kt_match_event *end;
    void (*more)(struct kt_match_out *out);
    void *ctx; /* the caller's */
} kt_match_out;

/* ---- the engine ---- */

typedef struct kt_match kt_match;

/* NULL when these bounds can be had, else which is wrong and what is allowed. */
KT_MATCH_API const char *kt_match_bounds_wrong(const kt_match_bounds *bounds);

/* Books without orders, all open. NULL: bounds wrong, or no memory. Address space is reserved for the worst case; memory is
 * used as orders and levels come: about 32 bytes an order and 1 KiB for each 64 neighbouring prices in use. */
KT_MATCH_API kt_match *kt_match_new(const kt_match_bounds *bounds);
KT_MATCH_API void kt_match_free(kt_match *match);
KT_MATCH_API const kt_match_bounds *kt_match_bounds_of(const kt_match *match);

/* Apply the commands in order. Give many at once where there are many: memory of the next is fetched while one is applied;
 * events are the same either way. */
KT_MATCH_API void kt_match_submit(kt_match *match, const kt_match_command *commands, size_t count, kt_match_out *out);

/* ---- questions: of a symbol below symbol_max ---- */

typedef struct kt_match_level_info {
    uint32_t price;
    uint32_t orders;
    int64_t qty; /* shown */
} kt_match_level_info;

typedef struct kt_match_order_info {
    uint64_t id;
    int64_t left; /* open, shown and hidden */
    int64_t shown;
    uint32_t price; /* 0: a stop that becomes a market order without protection */
    uint32_t stop;  /* of a stop that waits, where it stands now; else 0 */
    uint32_t owner;
    uint16_t symbol;
    uint8_t side;
    uint8_t tif; /* GTC or GTD; of a stop that waits its own */
    int64_t time;
    uint64_t peer; /* 0: none */
} kt_match_order_info;

/* Up to `max` levels of a side, the best first; returns how many. Stops are not part of it. */
KT_MATCH_API size_t kt_match_depth(
    const kt_match *match, uint16_t symbol, kt_match_side side, kt_match_level_info *out_levels, size_t max);

/* Best price of a side; 0: none. And of the last trade; 0: none yet. */
KT_MATCH_API uint32_t kt_match_best(const kt_match *match, uint16_t symbol, kt_match_side side);
KT_MATCH_API uint32_t kt_match_last(const kt_match *match, uint16_t symbol);
KT_MATCH_API kt_match_state kt_match_state_of(const kt_match *match, uint16_t symbol);
KT_MATCH_API uint32_t kt_match_live(const kt_match *match);

/* False: no live order has this id. */
KT_MATCH_API bool kt_match_order(const kt_match *match, uint64_t id, kt_match_order_info *out_order);

KT_MATCH_API const char *kt_match_why_text(kt_match_why why);
KT_MATCH_API const char *kt_match_why_name(kt_match_why why);

/* ---- state ---- */

/* The whole state as bytes that any kt_match with equal bounds (but the seed) can load and continue from, handles included.
 * save: `size` bytes at least kt_match_save_size, which only changes with a command; returns the bytes written, 0 when
 * they do not suffice. load: false when the bytes are damaged or of other bounds; the books are then empty. */
KT_MATCH_API size_t kt_match_save_size(const kt_match *match);
KT_MATCH_API size_t kt_match_save(const kt_match *match, void *bytes, size_t size);
KT_MATCH_API bool kt_match_load(kt_match *match, const void *bytes, size_t size);

/* A hash of what save would write: equal states, equal hashes. Not for use against an adversary. */
KT_MATCH_API uint64_t kt_match_hash(const kt_match *match);

/* Check every rule that the structure keeps by itself; NULL, or the first that is broken. Walks everything: for tests and
 * after a load. */
KT_MATCH_API const char *kt_match_audit(const kt_match *match);

#ifdef __cplusplus
}
#endif

#endif
