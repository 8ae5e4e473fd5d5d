/* edge/latest.h - the newest average price of each channel vwap.{interval}.>, for GET /latest. Made from the log alone.
 *
 * Newest     the greatest mark, and of one mark the greatest revision: events may come in any order, so reading the log
 *            back at start and hearing it live mix freely. Provisional or validated: whichever is newest.
 * Corrected  a correction of a range of marks changes a validated value inside it at once, by the exact sums; one that
 *            leaves no trade takes the value away until the next comes. Of corrections older than the edge itself only
 *            the newest of each channel is read back.
 */
#ifndef KT_EDGE_LATEST_H
#define KT_EDGE_LATEST_H

#include "log/record.h"
#include "schema/events.h"

enum { KT_LATEST_MAX = 16384 }; /* channels; of later ones there is no latest value */

typedef struct kt_latest kt_latest;

typedef struct kt_latest_value {
    kt_text subject; /* of the event that began it, vwap.* or correction.*: borrowed from kt_latest_apply's caller */
    int64_t mark_ns;
    kt_decimal price;
    uint32_t revision;
    bool validated;
} kt_latest_value;

kt_latest *kt_latest_new(void); /* NULL: no memory */
void kt_latest_free(kt_latest *latest);

/* Take one record of vwap.{interval}.> or correction.{interval}.>. `subject` must live as long as `latest`. Records of
 * other kinds, or damaged ones, change nothing. */
void kt_latest_apply(kt_latest *latest, kt_text subject, const kt_rec *rec);

/* By the subject of its values, vwap.*. NULL: no value (yet). */
const kt_latest_value *kt_latest_find(const kt_latest *latest, kt_text subject);

uint32_t kt_latest_count(const kt_latest *latest);
/* In the order they were first seen; kt_latest_find() knows whether there is a value now. */
const kt_latest_value *kt_latest_at(const kt_latest *latest, uint32_t index);

#endif
