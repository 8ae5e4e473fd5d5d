/* venue/sim/history.h - what the sim's REST knows: the last trades of one symbol, in order.
 */
#ifndef KT_VENUE_SIM_HISTORY_H
#define KT_VENUE_SIM_HISTORY_H

#include "venue/sim/market.h"

typedef struct kt_sim_history {
    kt_sim_trade *trades; /* ring of `capacity`, which doubles until it is `keep` */
    uint32_t capacity, keep;
    uint32_t first; /* index of the oldest */
    uint32_t count;
} kt_sim_history;

/* `keep` at least 1. Allocates nothing yet; kt_sim_history_done accepts zeros. */
void kt_sim_history_init(kt_sim_history *history, uint32_t keep);
void kt_sim_history_done(kt_sim_history *history);

/* Add the newest; the oldest is forgotten when `keep` are there. KT_SYS: no memory. */
kt_code kt_sim_history_add(kt_sim_history *history, const kt_sim_trade *trade);

/* Trade `index`, 0 for the oldest; index < count is asserted. */
const kt_sim_trade *kt_sim_history_at(const kt_sim_history *history, uint32_t index);

/* The newest; NULL: there is none. */
const kt_sim_trade *kt_sim_history_last(const kt_sim_history *history);

/* Index of the first trade with this number (time) or a greater one; count when there is none. */
uint32_t kt_sim_history_from_number(const kt_sim_history *history, uint64_t number);
uint32_t kt_sim_history_from_time(const kt_sim_history *history, int64_t time_ms);

#endif
