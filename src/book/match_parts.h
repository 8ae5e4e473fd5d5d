/* book/match_parts.h - how the matching core keeps its books; for match*.c only. include/kontor/match.h is the manual.
 *
 *   kt_match ── books[symbol] ── halves[4]: bids, asks, sell stops, buy stops
 *                                   │  best key, best level
 *                                   │  tree: 4 bitmaps, a bit for each page in use, summed up 64 to 1
 *                                   └─ directory[key >> 6] ──▶ page: bitmap of its 64 levels, first key, symbol, half
 *                                                               └─ levels[page * 64 + (key & 63)]: head, tail, total
 *                                                                    └─▶ orders[slot] ⇄ orders[slot] ⇄ ...  (FIFO)
 *
 * Key      a half keeps its levels by key, the best is the lowest: the price for asks and buy stops, price_top - price for
 *          bids and sell stops. So all four are one code; a taker, and a price that triggers, reach a half up to a key.
 * Slot     number of an order in `orders`, 1 and up; 0 is none. Free slots are a list, the last freed is the next used,
 *          because it is still in the cache. An order is 32 bytes and knows its level; the level's page knows the rest. What is
 *          linked to slot 0 is written there and never read: queues need no branches for their ends.
 * Page     made when the first order comes to one of its 64 prices, given back when the last one goes: a book costs what
 *          it holds, not what its range of prices is.
 * Terms    what only some orders have (hidden part, stop, expiry, peer) lies apart under the same slot number; its memory
 *          is never touched for plain orders.
 * Whose    levels and ids inline in match_levels.h; commands and takers match.c; stops match_stops.c; auctions
 *          match_auction.c; memory and questions match_ask.c; bytes and the audit match_save.c.
 */
#ifndef KT_BOOK_MATCH_PARTS_H
#define KT_BOOK_MATCH_PARTS_H

#include <kontor/match.h>

#include "base/assert.h"
#include "base/types.h"

#define KT_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define KT_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

enum {
    KT_PAGE_BITS = 6,
    KT_PAGE_LEVELS = 1 << KT_PAGE_BITS,
    KT_TREE_DEPTH = 4,           /* 64^4 pages of 64 keys: more than KT_MATCH_PRICE_CEILING */
    KT_STOP_HALVES = 2,          /* halves[KT_STOP_HALVES + ...] are the stops */
    KT_HALF_COUNT = 4,           /* an odd half counts keys upwards with the price */
    KT_ORDER_SPARE = 2,          /* slot 0 is none, and one more than order_max is for a taker that will not rest */
    KT_AHEAD_LIVE_MIN = 1 << 15, /* with fewer orders nearly all is in the cache anyway */
    KT_AHEAD = 8,                /* commands at a time: see match.c */
    KT_ID_ROW = 16,              /* ids that share a line: see match_levels.h */
    KT_SLOT_BITS = 24,           /* what KT_MATCH_ORDER_CEILING needs */
    KT_SLOT_MASK = (1 << KT_SLOT_BITS) - 1,
};

#define KT_KEY_NONE UINT32_MAX

typedef struct kt_match_slot {
    uint32_t prev, next; /* in the queue of the level; of a free slot: the next free */
    uint32_t place;      /* level << 1 | has terms */
    uint32_t owner;
    int64_t left; /* shown; 0: the slot is free */
    uint64_t id;  /* handles: the next to be given out while the slot is free */
} kt_match_slot;

typedef struct kt_match_level {
    uint32_t head, tail;
    int64_t total; /* shown */
} kt_match_level;

typedef struct kt_match_page {
    uint64_t used;  /* bit i: levels[page * 64 + i] holds orders */
    uint32_t first; /* key >> 6; of a free page: the next free */
    uint16_t symbol;
    uint16_t half;
} kt_match_page;

/* Node of a mergeable heap that lies in the terms: match_heap.h. */
typedef struct kt_match_node {
    int64_t key;
    uint32_t left, right, up;
} kt_match_node;

typedef enum kt_match_heap { KT_HEAP_EXPIRY, KT_HEAP_TRAIL, KT_HEAP_COUNT } kt_match_heap;

typedef enum kt_match_where {
    KT_RESTING,
    KT_WAITING, /* in a level of a half of stops */
    KT_BEHIND,  /* a trailing stop that another of its group is nearer than: only that one waits */
    KT_QUEUED,  /* triggered, not yet executed */
    KT_TAKING
} kt_match_where;

typedef struct kt_match_terms {
    int64_t hidden;
    int64_t display;  /* 0: no iceberg */
    int64_t expiry;   /* KT_MATCH_GTD */
    uint64_t entry;   /* orders accepted before: who came first */
    uint32_t peer;    /* slot */
    uint32_t limit;   /* of a stop: price once it is triggered */
    uint32_t stop;    /* of a stop that does not trail */
    uint32_t trail;   /* of one that does */
    uint32_t follows; /* first of a trailing group: the best key since all of it came */
    uint32_t older,
        newer; /* first of a trailing group: first of the group that came before (at a better key), behind */
    uint16_t symbol;
    uint8_t side, type, tif, stp, post_only, where;
    kt_match_node nodes[KT_HEAP_COUNT];
} kt_match_terms;

typedef struct kt_match_half {
    _Alignas(64) uint32_t best_key; /* KT_KEY_NONE: empty */
    uint32_t best_level;
    uint32_t *directory;
    uint64_t *tree[KT_TREE_DEPTH];
    uint32_t trailing; /* first of the newest trailing group */
    uint16_t symbol, which;
} kt_match_half;

typedef struct kt_match_book {
    kt_match_half halves[KT_HALF_COUNT];
    uint32_t last;               /* price of the last trade; 0: none */
    uint32_t queued, queued_end; /* triggered stops: first and last */
    uint32_t icebergs;           /* with something hidden */
    uint16_t symbol;
    uint8_t state;
} kt_match_book;

struct kt_match {
    kt_match_event *next,
        *full; /* of `out`, while commands are applied: from `full` on there are fewer than KT_MATCH_ROOM places */
    kt_match_out *out;
    kt_match_slot *orders;
    kt_match_level *levels;
    kt_match_page *pages;
    kt_match_terms *terms;
    uint32_t *owners; /* by slot: of the last order there that had one */
    union {
        uint32_t *hash;   /* KT_MATCH_HASH: see match_levels.h; 0: free */
        uint32_t *direct; /* KT_MATCH_DIRECT: slot by id */
    };
    uint32_t hash_shift, hash_mask;    /* of a hash of 32 bits to its place; places, less one */
    uint32_t price_top;                /* price_max + 1: key of a price that nothing reaches */
    uint32_t key_flip[2], key_base[2]; /* of an even and an odd half: see kt_match_key */
    uint32_t free_slot, slots;         /* the last freed; slots ever used, slot 0 included */
    uint32_t free_page, pages_used;
    uint32_t live;
    uint32_t expiry; /* root of the heap */
    int64_t time;
    uint64_t entries, trades;
    kt_match_bounds bounds;
    size_t size; /* of the whole block */
    uint32_t slot_count, page_count, directory_size;
    kt_match_book books[];
};

/* ---- events: written in place ----
 *
 * A step asks for room once and writes what it has to tell in a row. Compilers must take any store for one that may change
 * `next`, so steps that every command runs through keep it in a variable: at = kt_match_put(at, ...). */

static inline void kt_match_turn(kt_match *m, kt_match_out *out)
{
    m->out = out;
    m->next = out->next;
    m->full = out->end - KT_MATCH_ROOM;
}

__attribute__((cold, noinline)) static void kt_match_more(kt_match *m)
{
    m->out->next = m->next;
    m->out->more(m->out);
    kt_match_turn(m, m->out);
}

/* Room for what a step writes between two calls of this. */
static inline void kt_match_room(kt_match *m)
{
    if (KT_UNLIKELY(m->next > m->full))
        kt_match_more(m);
}

/* Symbol, side and price, where the first eight bytes of an event have them; kind and why are the rest. */
static inline uint64_t kt_match_spot(uint32_t symbol, uint32_t side, uint32_t price)
{
    return (uint64_t)price << 32 | symbol << 16 | (side & 1) << 8;
}

static inline kt_match_event *kt_match_put(kt_match_event *event, kt_match_kind kind, kt_match_why why, uint64_t spot,
    uint64_t id, int64_t qty, uint64_t other)
{
    spot |= (uint32_t)kind | (uint32_t)why << 9;
    memcpy(event, &spot, sizeof spot);
    event->id = id;
    event->qty = qty;
    event->other = other;
    return event + 1;
}

static inline void kt_match_tell(kt_match *m, kt_match_kind kind, kt_match_why why, uint32_t symbol, uint32_t side,
    uint32_t price, uint64_t id, int64_t qty, uint64_t other)
{
    m->next = kt_match_put(m->next, kind, why, kt_match_spot(symbol, side, price), id, qty, other);
}

/* ---- orders ---- */

static inline bool kt_match_has_terms(const kt_match_slot *order)
{
    return order->place & 1;
}

static inline kt_match_terms *kt_match_terms_of(const kt_match *m, uint32_t slot)
{
    return kt_match_has_terms(&m->orders[slot]) ? &m->terms[slot] : NULL;
}

/* Open quantity, hidden part included. */
static inline int64_t kt_match_whole(const kt_match *m, uint32_t slot)
{
    const kt_match_slot *order = &m->orders[slot];

    return KT_UNLIKELY(kt_match_has_terms(order)) ? order->left + m->terms[slot].hidden : order->left;
}

static inline void kt_match_tell_trade(kt_match *m, const kt_match_book *book, uint32_t price, uint32_t maker,
    uint32_t taker, uint32_t taker_side, int64_t qty)
{
    const kt_match_slot *makers = &m->orders[maker], *takers = &m->orders[taker];
    uint64_t spot = kt_match_spot(book->symbol, taker_side, price);
    int64_t maker_left = kt_match_whole(m, maker) - qty, taker_left = kt_match_whole(m, taker) - qty;
    uint32_t maker_owner = makers->owner, taker_owner = takers->owner;
    kt_match_trade *trade = (kt_match_trade *)m->next;

    kt_match_put(&trade->event, KT_MATCH_TRADE, KT_MATCH_NONE, spot, makers->id, qty, takers->id);
    trade->maker_left = maker_left;
    trade->taker_left = taker_left;
    trade->maker_owner = maker_owner;
    trade->taker_owner = taker_owner;
    trade->number = ++m->trades;
    m->next = (kt_match_event *)(trade + 1);
}

/* The price for an odd half, else price_top - price: without a branch, which would be guessed wrong every other time. */
static inline uint32_t kt_match_key(const kt_match *m, uint32_t half, uint32_t price)
{
    return (price ^ m->key_flip[half & 1]) + m->key_base[half & 1];
}

static inline uint32_t kt_match_price(const kt_match *m, uint32_t half, uint32_t key)
{
    return kt_match_key(m, half, key); /* its own inverse */
}

/* The half where the stops of a side wait: sells are reached by falling prices, as bids are. */
static inline uint32_t kt_match_stop_half(uint32_t side)
{
    return KT_STOP_HALVES | (side ^ 1);
}

/* What an order wants when it comes to the other side. */
typedef struct kt_match_intent {
    uint32_t price; /* worst price it takes; 0: any */
    uint32_t side;
    bool rests; /* what is left */
    uint8_t tif, stp, post_only;
} kt_match_intent;

/* match.c */

/* An order that is in no level, open and not more than all of its quantity: trade what it can, rest or cancel what is left. */
void kt_match_execute(kt_match *m, kt_match_book *book, uint32_t slot, const kt_match_intent *intent);

/* Take an order away from wherever it is, tell it, and cancel its peer. */
void kt_match_remove(kt_match *m, uint32_t slot, kt_match_kind kind, kt_match_why why);

/* `qty` of an order in its level has traded: its next part, or its end. Returns the slot of a peer that is to go now; 0: none. */
uint32_t kt_match_filled(kt_match *m, kt_match_book *book, uint32_t slot, int64_t qty);

/* match_stops.c */
void kt_match_wait(kt_match *m, kt_match_book *book, uint32_t slot);
void kt_match_unwait(kt_match *m, kt_match_book *book, uint32_t slot);
void kt_match_reach(kt_match *m, kt_match_book *book, uint32_t price);
void kt_match_work_off(kt_match *m, kt_match_book *book);
bool kt_match_wait_all(kt_match *m, uint32_t list);
uint32_t kt_match_stop_price(const kt_match *m, uint32_t slot);

/* match_auction.c */
void kt_match_uncross(kt_match *m, kt_match_book *book);

/* Book and side of any live order. */
static inline kt_match_book *kt_match_book_of(kt_match *m, uint32_t slot)
{
    const kt_match_terms *terms = kt_match_terms_of(m, slot);

    return &m->books[terms != NULL ? terms->symbol : m->pages[m->orders[slot].place >> (KT_PAGE_BITS + 1)].symbol];
}

static inline uint32_t kt_match_side_of(const kt_match *m, uint32_t slot)
{
    const kt_match_terms *terms = kt_match_terms_of(m, slot);

    return terms != NULL ? terms->side : m->pages[m->orders[slot].place >> (KT_PAGE_BITS + 1)].half;
}

#endif
