/* service/vwap.h - which averages are published, when, and what is corrected later.
 *
 * Series       each feed has two (quant/vwap.h): provisional, with every trade that is known and not held back as
 *              suspect, and validated, with what REST gave. A composite has none: its sums are those of its members at
 *              the same mark, brought to the greatest scale among them.
 * Marks        every whole second s with a trade in [s - I, s], both ends in, for each window I. Provisional values are
 *              published when market time passes s (is greater), in order of s, from the first market time on;
 *              validated ones when REST has passed s and covers s - I.
 * Composites   market time is the greatest of the members'. REST has passed s when it has for every member that ever
 *              had a trade; a member without any trade holds nobody up, one whose REST stands still holds up the
 *              validated values, and one without REST leaves the composite without any.
 * Revision     1 for the first value of a mark and window. A validated value that equals the provisional one has
 *              revision 1 too; one that differs has 2, and a correction follows it: cause and ids (the first
 *              KT_AVERAGE_ID_MAX, in order of time) of the trades that were not in the provisional value as REST has
 *              them, and their number. With several causes the one with the least number in the schema is named. Where
 *              REST has no trade at all in a window that had a provisional value, only the correction is published,
 *              with nothing as the new value.
 * Later        change of a trade that validated values hold: one correction a window with the range of marks and what
 *              to add to each; their revision counts one up.
 * Complete     false when the window holds times of which REST can not give all trades; a provisional value also when
 *              its window begins before anything is known (the stream's first trade, or what REST covers).
 * Price        pq / q with the instrument's price scale + 2 digits (18 at most), half to even.
 * Bounds       KT_AVERAGE_CELL_MAX cells a series (three days with trades in every second). What waits longer for REST
 *              than gather's lag_max_ns is given up: those marks get no validated value.
 */
#ifndef KT_SERVICE_VWAP_H
#define KT_SERVICE_VWAP_H

#include "lane/service.h"
#include "quant/vwap.h"
#include "schema/config.h"
#include "service/gather.h"

enum {
    KT_AVERAGE_ID_MAX = 16,
    KT_AVERAGE_CELL_MAX = 1 << 19,
    KT_AVERAGE_OUTPUT_MAX =
        4096, /* values of one line (a feed or composite) published at once; see kt_average_market */
};

typedef struct kt_averages kt_averages;         /* of the service */
typedef struct kt_average_feed kt_average_feed; /* of one feed */

/* Reads windows and composites. KT_SYS: no memory. */
kt_code kt_averages_new(const kt_config *config, kt_averages **out_averages, kt_err *err);
void kt_averages_free(kt_averages *averages);
int64_t kt_averages_longest_ns(const kt_averages *averages);

/* A feed of this venue and symbol; it joins the composites that name it. `gather` is borrowed for its life. */
kt_code kt_average_feed_new(
    kt_averages *averages, kt_text venue, kt_text symbol, kt_gather *gather, kt_average_feed **out);
void kt_average_feed_free(kt_average_feed *feed);

/* Digits of the instrument's prices. */
void kt_average_price_scale(kt_average_feed *feed, uint8_t price_scale);

/* The scales of the feed's mantissas grow by these factors: would the sums fit? Then multiply them. */
bool kt_average_fits(const kt_average_feed *feed, int64_t price_factor, int64_t qty_factor);
void kt_average_rescale(kt_average_feed *feed, int64_t price_factor, int64_t qty_factor);

/* Follow one step of gather (of what ADDED, AGREED or CHANGED), or a trade that REST went past (`lost`): sums, later
 * corrections. */
void kt_average_step(kt_average_feed *feed, kt_env *env, const kt_gather_step *step, bool rest);
void kt_average_lost(kt_average_feed *feed, uint64_t position);

/* REST can not give all trades of these times, both ends in. */
void kt_average_hole(kt_average_feed *feed, int64_t from_ns, int64_t to_ns);

/* Corrections may still name trades from this time on: where a composite waits for another member, much older ones than
 * the feed's own averages need. INT64_MAX: none. */
int64_t kt_average_named_ns(const kt_average_feed *feed);

/* Publish what market time has passed, and what REST has: until_ns and from_ns as in repair.h. After a long gap that
 * can be very much: true says that KT_AVERAGE_OUTPUT_MAX was reached, and that the call should be repeated with the
 * next input. */
bool kt_average_market(kt_average_feed *feed, kt_env *env);
bool kt_average_rest(kt_average_feed *feed, kt_env *env, int64_t until_ns, int64_t from_ns);

/* Snapshots: of the composites, and of one feed. What belongs to windows or composites that are no longer configured is
 * skipped. */
void kt_averages_save(const kt_averages *averages, kt_writer *writer);
kt_code kt_averages_load(kt_averages *averages, kt_taker *taker);
void kt_average_feed_save(const kt_average_feed *feed, kt_writer *writer);
kt_code kt_average_feed_load(kt_average_feed *feed, kt_taker *taker);

#endif
