/* edge/latest.h - the newest average price of each channel vwap.{interval}.>, for GET /latest. Made from the log alone.
 *
 * Newest is the greatest mark, and of one mark the greatest revision: events may come in any order, so reading the log
 * back at start and hearing it live mix freely. Provisional or validated: whichever is newest.
 */
#ifndef KT_EDGE_LATEST_H
#define KT_EDGE_LATEST_H

#include "log/record.h"
#include "schema/events.h"

enum { KT_LATEST_MAX = 16384 }; /* channels; of later ones there is no latest value */

typedef struct kt_latest kt_latest;

typedef struct kt_latest_value {
    kt_text subject; /* borrowed from the caller of kt_latest_apply */
    int64_t mark_ns;
    kt_decimal price;
    uint32_t revision;
    bool validated;
} kt_latest_value;

kt_latest *kt_latest_new(void); /* NULL: no memory */
void kt_latest_free(kt_latest *latest);

/* Take one record. `subject` must live as long as `latest`. Records of other kinds, or damaged ones, change nothing. */
void kt_latest_apply(kt_latest *latest, kt_text subject, const kt_rec *rec);

/* NULL: no value yet. */
const kt_latest_value *kt_latest_find(const kt_latest *latest, kt_text subject);

uint32_t kt_latest_count(const kt_latest *latest);
const kt_latest_value *kt_latest_at(const kt_latest *latest, uint32_t index); /* in the order they were first seen */

#endif
