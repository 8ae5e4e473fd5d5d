/* quant/vwap.h - volume-weighted average price over sliding windows of whole seconds, exact.
 *
 * Method   sum(price * qty) / sum(qty), after Berkowitz, Logue and Noser (1988), J. Finance 43(1).
 *          Sums are 128-bit integers: taking a trade out again leaves no residue behind.
 * Units    price and qty are mantissas in one scale each, the same for all trades of a series (kt_vwap_rescale changes
 *          it); time in ns since 1970 UTC, at least 0; marks and spans in whole seconds.
 * Window   of mark s and span I: the trades with s - I <= time <= s, both ends in.
 * Cells    trades are summed into sparse cells, in the order of time: one for each exact whole second and one for the
 *          open interval between two, so that both ends of every window fall between cells.
 *
 *              second   10          11          12
 *              cell     |20|  21   |22|   23   |24|        window of mark 12, span 2: cells 20 to 24
 *
 *          What is kept of a cell is the sum of all cells before it, so that a window is a difference of two.
 *
 * Cost     push: O(1) in order; a late trade or a removal touches the cells behind it. kt_vwap_at: amortised O(1) a cell
 *          while its marks ascend, a search otherwise. Memory: 48 bytes a cell, grown by doubling up to cell_max, all of
 *          it from blocks (base/blocks.h): thousands of series should share one.
 * Bounds   KT_VWAP_WINDOW_MAX windows, cell_max cells; all sums held together fit 127 bits (KT_RANGE).
 */
#ifndef KT_QUANT_VWAP_H
#define KT_QUANT_VWAP_H

#include "base/decimal.h"
#include "base/error.h"
#include "base/blocks.h"
#include "base/types.h"

enum {
    KT_VWAP_WINDOW_MAX = 2048,
    KT_VWAP_PRICE_DIGITS = 2, /* digits that an average has beyond its instrument's price scale */
};

/* What is in a window. trades 0: nothing, and the sums are 0. */
typedef struct kt_vwap_sums {
    kt_i128 pq;
    kt_i128 q;
    uint64_t trades;
} kt_vwap_sums;

typedef struct kt_vwap kt_vwap;

/* A series of at most cell_max cells (at least 2) and window_max windows (1 to KT_VWAP_WINDOW_MAX). `blocks` is borrowed for
 * its life. KT_ARG, KT_SYS: no memory. */
kt_code kt_vwap_new(kt_blocks *blocks, uint32_t cell_max, uint32_t window_max, kt_vwap **out_vwap);
void kt_vwap_free(kt_vwap *vwap);

/* Add a window of `span_s` whole seconds (at least 1); *out_window is its number from 0. Two windows may have the same
 * span: each slides on its own. KT_ARG, KT_FULL: window_max. */
kt_code kt_vwap_window(kt_vwap *vwap, int64_t span_s, uint32_t *out_window);

/* Add one trade. KT_ARG: price or qty not positive, or time negative. KT_SEQ: older than what kt_vwap_forget left.
 * KT_FULL: cell_max cells are in use. KT_RANGE: a sum would leave 127 bits. KT_SYS: no memory. After an error nothing
 * has changed. */
kt_code kt_vwap_push(kt_vwap *vwap, int64_t time_ns, kt_price price, kt_qty qty);

/* Take out a trade that was pushed with the same three values. KT_SEQ: already forgotten. KT_NOENT: its cell does not
 * hold so much. After an error nothing has changed. */
kt_code kt_vwap_remove(kt_vwap *vwap, int64_t time_ns, kt_price price, kt_qty qty);

/* What is in the window of this mark. KT_SEQ: the window begins before what is kept. */
kt_code kt_vwap_at(kt_vwap *vwap, uint32_t window, int64_t mark_s, kt_vwap_sums *out_sums);

/* For those who know which series come next, as in a batch or a tape: start to fetch its memory, so that it is there
 * when its turn comes. Nothing changes. First of the series itself, and some trades later of the cells that a trade in
 * order and averages will need. */
typedef enum kt_vwap_part { KT_VWAP_SERIES, KT_VWAP_CELLS } kt_vwap_part;

void kt_vwap_fetch(const kt_vwap *vwap, kt_vwap_part part);

/* The first mark after `after_s` whose window of `span_s` has a trade. KT_EMPTY: there is none yet. Cells that
 * forgetting or removal emptied do not count. */
kt_code kt_vwap_next(const kt_vwap *vwap, int64_t span_s, int64_t after_s, int64_t *out_mark_s);

/* Drop the cells of times before the whole second `before_s`; windows must not reach further back from now on. */
void kt_vwap_forget(kt_vwap *vwap, int64_t before_s);
int64_t kt_vwap_kept_from(const kt_vwap *vwap); /* the greatest before_s so far, or 0 */

/* Multiply what is kept: prices by price_factor, quantities by qty_factor (at least 1). KT_RANGE: nothing has changed.
 */
kt_code kt_vwap_rescale(kt_vwap *vwap, int64_t price_factor, int64_t qty_factor);
bool kt_vwap_fits(const kt_vwap *vwap, int64_t price_factor, int64_t qty_factor); /* would it be KT_OK? */

/* Cells in order of time, for snapshots: `number` is 2 x second, or 2 x second + 1 for the open interval behind it. A
 * series is rebuilt by kt_vwap_cell_put in the same order. KT_SEQ: not after the last one, KT_FULL, KT_RANGE, KT_ARG,
 * KT_SYS. */
typedef struct kt_vwap_cell {
    int64_t number;
    kt_vwap_sums sums;
} kt_vwap_cell;

uint32_t kt_vwap_cell_count(const kt_vwap *vwap);
void kt_vwap_cell_get(const kt_vwap *vwap, uint32_t index, kt_vwap_cell *out_cell);
kt_code kt_vwap_cell_put(kt_vwap *vwap, const kt_vwap_cell *cell);

/* pq / q with `digits` more digits than the price scale of the trades, half to even, as a mantissa at that scale.
 * KT_EMPTY: no trades. KT_RANGE: the mantissa does not fit 64 bits. */
kt_code kt_vwap_price(const kt_vwap_sums *sums, uint32_t digits, int64_t *out_m);

#endif
