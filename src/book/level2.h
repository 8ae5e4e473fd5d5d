/* book/level2.h - one symbol's book by price levels, as a venue tells it: a snapshot, then changes.
 *
 * Rule     of Binance spot ("How to manage a local order book correctly"): updates of a book are numbered 1, 2, 3 ... A
 *          change tells the updates first_id to last_id together. Behind a snapshot with last_id L, changes that end at L
 *          or before are old; the first that counts must begin at L + 1 or before and end behind L; from then on each
 *          begins where the one before ended. Anything else is a gap: what the book holds is not the venue's any more.
 * Levels   a quantity replaces what was there; 0 removes the level, and removing what is not there is nothing.
 * Numbers  mantissas at the book's own scales, which grow with the finest price and quantity that it has seen.
 *          A venue that does not number them tells in order, and says with a checksum what the book is then
 *          (book/checksum.h).
 * Depth    KT_LEVEL2_MAX levels a side; when there are more, the worst is forgotten. A venue's snapshot is cut as well, so
 *          of what lies far from the best only the changes are known; where the venue tells none of levels that its own
 *          depth has cut off, they have to go (kt_level2_cut).
 * Cost     a change near the best moves the few levels that are better: they stand at the end of the array. Memory
 *          doubles as a side grows.
 */
#ifndef KT_BOOK_LEVEL2_H
#define KT_BOOK_LEVEL2_H

#include "base/decimal.h"
#include "base/error.h"
#include "base/types.h"

enum { KT_LEVEL2_MAX = 5000 };

typedef enum kt_level2_side { KT_BIDS, KT_ASKS, KT_LEVEL2_SIDES } kt_level2_side;

typedef struct kt_price_level {
    kt_price price;
    kt_qty quantity;
} kt_price_level;

typedef struct kt_levels {
    kt_price_level *at; /* worst first, the best is the last */
    uint32_t count;
    uint32_t capacity;
} kt_levels;

/* All zero: an empty book. */
typedef struct kt_level2 {
    kt_levels sides[KT_LEVEL2_SIDES];
    uint64_t last_id;
    uint8_t price_scale;
    uint8_t quantity_scale;
    uint8_t price_digits; /* behind the point, as the venue has written them since the snapshot: most of them */
    uint8_t quantity_digits;
    bool continued; /* a change has been placed since the snapshot: the next one must begin right behind it */
} kt_level2;

/* Free the memory of both sides. */
void kt_level2_done(kt_level2 *book);

/* Empty it for a snapshot that ends with this update. Memory is kept. */
void kt_level2_start(kt_level2 *book, uint64_t last_id);

typedef enum kt_level2_place {
    KT_LEVEL2_OLD,  /* the book has these updates already: to be skipped */
    KT_LEVEL2_NEXT, /* they come next: set their levels, then kt_level2_continue */
    KT_LEVEL2_GAP   /* updates between are missing */
} kt_level2_place;

/* Where the updates first_id to last_id stand, first_id <= last_id. */
kt_level2_place kt_level2_place_of(const kt_level2 *book, uint64_t first_id, uint64_t last_id);

/* All levels of the updates up to last_id have been set. */
void kt_level2_continue(kt_level2 *book, uint64_t last_id);

/* Set one level; price above 0, quantity at least 0. KT_RANGE: the scales that it needs do not go with what is there in 63
 * bits. KT_SYS: no memory. After an error the book is as before. */
kt_code kt_level2_set(kt_level2 *book, kt_level2_side side, kt_decimal price, kt_decimal quantity);

/* The venue wrote prices and quantities with so many digits behind the point, zeros at the end included. */
void kt_level2_written(kt_level2 *book, uint8_t price_digits, uint8_t quantity_digits);

/* Forget all but the best `depth` levels of each side. */
void kt_level2_cut(kt_level2 *book, uint32_t depth);

/* Levels of a side, and the one at `rank`, 0 for the best. rank < count is asserted. */
static inline uint32_t kt_level2_count(const kt_level2 *book, kt_level2_side side)
{
    return book->sides[side].count;
}
kt_price_level kt_level2_at(const kt_level2 *book, kt_level2_side side, uint32_t rank);

/* The same in the shortest decimals. */
void kt_level2_decimals(
    const kt_level2 *book, kt_level2_side side, uint32_t rank, kt_decimal *out_price, kt_decimal *out_quantity);

#endif
