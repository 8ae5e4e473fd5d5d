/* venue/sim/rest.h - the answers of the sim's REST side, true and complete up to the market's clock. Pure: a request
 * in, a status and a body out. Only asking for a book that nobody has wanted before changes something: it is made.
 */
#ifndef KT_VENUE_SIM_REST_H
#define KT_VENUE_SIM_REST_H

#include "base/rng.h"
#include "base/text.h"
#include "venue/sim/books.h"
#include "venue/sim/history.h"

typedef struct kt_sim_rest {
    const kt_sim_market *market;
    const kt_sim_history *histories; /* one a symbol */
    kt_sim_books *books;             /* NULL: no format with books is served */
    bool generic, binance;           /* formats that are served */
    const kt_venue_format *kraken;   /* the version that is served, or NULL */
    kt_rng *shuffle;                 /* NULL: rows of /trades in order */
    int64_t now_ns;                  /* the venue's clock */
    kt_rng *overlap;                 /* NULL: pages of trades begin where they were asked to */
    bool overlaps;                   /* the answer does not */
} kt_sim_rest;

/* Where a page that was asked for from index `from` on begins: sometimes up to half a page of `max` rows before. */
uint32_t kt_sim_page_start(kt_sim_rest *rest, uint32_t from, uint64_t max);

enum { KT_SIM_BODY_SIZE = 2 << 20 };

/* Answer GET `path`?`query` (both still percent-encoded) into `body`, KT_SIM_BODY_SIZE bytes. Returns the HTTP status,
 * 0 when the path is none of the formats' that are served. */
uint16_t kt_sim_rest_answer(kt_sim_rest *rest, kt_text path, kt_text query, kt_builder *body);

#endif
