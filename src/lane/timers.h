/* lane/timers.h - the timers of a lane's services: which is due next, in an order that is the same at every application.
 *
 * Order     by due time, then by the order in which they were set. Moving a timer counts as setting it anew.
 * Key       (service index, the service's own number).
 * Cost      O(log n) to set, cancel and take; memory is allocated once, for `max` timers.
 */
#ifndef KT_LANE_TIMERS_H
#define KT_LANE_TIMERS_H

#include "base/error.h"
#include "base/types.h"

typedef struct kt_lane_timer {
    int64_t due_ns;
    uint64_t order; /* 1, 2, 3 ... as they were set */
    uint64_t id;
    uint32_t service;
    uint32_t place; /* own: index in the heap */
    uint32_t next;  /* own: next slot of the same hash, or of the free ones */
} kt_lane_timer;

typedef struct kt_timers {
    kt_lane_timer *slots;
    uint32_t *heap;
    uint32_t *heads; /* by hash; UINT32_MAX: none */
    uint32_t count;
    uint32_t max;
    uint32_t mask;
    uint32_t free;
    uint64_t orders;
} kt_timers;

kt_code kt_timers_init(kt_timers *timers, uint32_t max);
void kt_timers_done(kt_timers *timers);

/* Set or move. KT_FULL. */
kt_code kt_timers_set(kt_timers *timers, uint32_t service, uint64_t id, int64_t due_ns);

/* KT_NOENT: not set. */
kt_code kt_timers_cancel(kt_timers *timers, uint32_t service, uint64_t id);

/* The next one due; NULL: none. Valid until the next call. */
const kt_lane_timer *kt_timers_next(const kt_timers *timers);

/* All of them in the order they are due, `out` has room for timers->count. */
void kt_timers_list(const kt_timers *timers, kt_lane_timer *out);

#endif
