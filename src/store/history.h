/* store/history.h - values, trades and their quality over a range of time, at the finest resolution that fits.
 *
 * Steps    A row stands for a step of time, [k * step, (k + 1) * step) with whole k since 1970, so that ranges that overlap
 *          have the same steps. A step at an end of the range holds only what lies within [from, to], both ends in. Steps
 *          without anything are left out: a gap in the data stays a gap between rows.
 * Values   the newest revision of each mark. A row has the price, number of trades and mark of its last mark, the least and
 *          greatest price of all its marks, and is validated (complete) only if all of them are. The step is the least
 *          whole number of seconds that fits. Of more than KT_HISTORY_READ_NS that are stored, each step's last mark is
 *          looked up and no other one is read; the answer says so (`sampled`).
 * Trades   price of the first, the last, the least and the greatest; sum of quantities, exact. Trades of the same time are
 *          in order of their ids as text. What is suspect and was not confirmed is left out. If the range holds few enough,
 *          each row is one trade and the step is 0; else it is the least whole number of ms that fits.
 * Quality  a cell for each step of whole minutes: the worst of its minutes in five steps. Of counts the step is that of their
 *          share of the messages that came or should have come. A minute without a row, or silent from its start to its
 *          end, is no feed.
 * Cost     reads the range by its index, nothing else: about 1 M marks or 0.5 M trades a second; a sampled one 4,000
 *          marks, whatever its length. KT_LIMIT as of store/query.h ends what takes too long.
 * Errors   KT_ARG: `to` lies before `from`. KT_NOENT: nothing is stored of this venue and symbol, or there is no such
 *          window; the message lists what there is. Others as store/query.h.
 */
#ifndef KT_STORE_HISTORY_H
#define KT_STORE_HISTORY_H

#include "base/time.h"
#include "schema/config.h"
#include "store/query.h"

enum { KT_HISTORY_STRIP_MAX = 200, KT_HISTORY_CELL_MAX = 400000 }; /* symbols of one answer, and cells of all of them */

#define KT_HISTORY_READ_NS (7 * 86400 * KT_NS_PER_S) /* of values: at most 604,800 marks */

/* The window's name and composites are looked up in `config`. */
kt_code kt_history_vwap(kt_query *query, const kt_config *config, const kt_params_vwap_history *params,
    kt_response_vwap_history *out_response, kt_err *err);

kt_code kt_history_trades(
    kt_query *query, const kt_params_trades_history *params, kt_response_trades_history *out_response, kt_err *err);

kt_code kt_history_quality(
    kt_query *query, const kt_params_quality_history *params, kt_response_quality_history *out_response, kt_err *err);

kt_code kt_history_minutes(
    kt_query *query, const kt_params_quality_minutes *params, kt_response_quality_minutes *out_response, kt_err *err);

#endif
