/* book/match_slow.h - the matching rules of kontor/match.h a second time, for tests: one array of orders that is searched from
 * end to end for everything. It shares no code with the fast book, and does nothing cleverly.
 */
#ifndef KT_BOOK_MATCH_SLOW_H
#define KT_BOOK_MATCH_SLOW_H

#include <kontor/match.h>

typedef struct kt_slow kt_slow;

kt_slow *kt_slow_new(const kt_match_bounds *bounds);
void kt_slow_free(kt_slow *slow);

/* Apply one command; its events stay at *out_events until the next. Returns how many places they take. */
size_t kt_slow_submit(kt_slow *slow, const kt_match_command *command, const kt_match_event **out_events);

size_t kt_slow_depth(
    const kt_slow *slow, uint16_t symbol, kt_match_side side, kt_match_level_info *out_levels, size_t max);
uint32_t kt_slow_last(const kt_slow *slow, uint16_t symbol);

/* Orders by slot, 1 to kt_slow_slots; false: nobody is there now. */
uint32_t kt_slow_slots(const kt_slow *slow);
bool kt_slow_order(const kt_slow *slow, uint32_t slot, kt_match_order_info *out_order);

#endif
