/* lane/test_service.h - a small deterministic service for the tests of this folder: counts ticks.
 *
 * For each tick it emits `feed_stats` on "stats.sim.count" with `received` (the count so far) and `repaired` (the trade number); for
 * each third one more on "stats.sim.third". It can be told to misbehave.
 */
#ifndef KT_LANE_TEST_SERVICE_H
#define KT_LANE_TEST_SERVICE_H

#include "lane/script.h"

typedef struct kt_test_counting {
    uint64_t count;
    uint64_t sum;
    uint64_t starts;  /* lane_start seen */
    uint64_t fired;   /* timers */
    uint64_t answers; /* with their cause */
    uint64_t last_cause;
    uint64_t lost;
} kt_test_counting;

extern const kt_service_spec kt_test_counter;         /* "feed.>", "lane.start.>" ... of the own log */
extern const kt_service_spec kt_test_foreign_counter; /* the same of "market:feed.>" */

/* How the counter misbehaves: changed by tests, not part of its state. */
typedef struct kt_test_mood {
    uint64_t add;             /* added to each count: other logic */
    uint64_t die_at;          /* trade number at which the process ends by SIGKILL, 0: never */
    bool die_unfinished;      /* then after the first output was emitted */
    uint64_t halt_at;         /* trade number at which the process stands still until it is killed, 0: never */
    _Atomic uint64_t *halted; /* and says so here */
    int64_t timer_ns;         /* each lane_start sets a timer that repeats, 0: none */
    bool request;             /* each tick asks a feed for something */
    bool random;              /* outputs hold randomness and keys */
} kt_test_mood;
extern kt_test_mood kt_test_mood_now;

void kt_test_tick(kt_script *script, int64_t time_ns, uint64_t number);
kt_ev_tick kt_test_tick_of(uint64_t number, char id[32]);

#endif
