/* bus/wake.h - wakes lanes that sleep, without a system call for those that do not, and without losing a wake-up.
 *
 * Reader   before it blocks: kt_sleep_begin() marks it asleep, then it looks again at everything it waits for, and blocks
 *          only when there is still nothing; kt_sleep_end() after waking.
 * Writer   publishes (written, durable or a ring's head moves), then kt_wake_log() or kt_wake_lane() looks whether the reader
 *          is asleep and rings its eventfd once an episode of sleep.
 * Fences   "publish, then look whether asleep" and "set asleep, then look again" are each a store followed by a load of
 *          another place. Both sides have a sequentially consistent fence between the two; without either one, both
 *          can look too early and the reader sleeps on news (Dekker's argument). wake_test.c shows it.
 * Threads  any thread of the writer's process may wake; one thread of the reader sleeps.
 */
#ifndef KT_BUS_WAKE_H
#define KT_BUS_WAKE_H

#include "bus/board.h"

/* Steps between which tests put their own code; at() is NULL in production. */
typedef enum kt_wake_step {
    KT_WAKE_STEP_ASLEEP_SET, /* reader: marked asleep, has not looked again yet */
    KT_WAKE_STEP_LOOK,       /* writer: has published, has not looked yet whether the reader sleeps */
} kt_wake_step;

typedef struct kt_wake_hooks {
    void (*at)(void *ctx, kt_wake_step step);
    void *ctx;
} kt_wake_hooks;

/* The writer's side: remembers for which episode each reader has been rung already. */
typedef struct kt_waker {
    const kt_board *board;
    _Atomic uint64_t rung[KT_BOARD_LANE_MAX];
    _Atomic uint64_t ring_count; /* eventfd writes, for tests and figures */
    kt_wake_hooks hooks;
} kt_waker;

void kt_waker_init(kt_waker *waker, const kt_board *board);

/* Log `log_index` has moved to these positions: rings every lane that sleeps and wants to know. */
void kt_wake_log(kt_waker *waker, uint32_t log_index, uint64_t written, uint64_t durable);

/* Something was put into a ring of this lane: ring it when it sleeps. */
void kt_wake_lane(kt_waker *waker, uint32_t lane_index);

/* The reader's side. `pending` answers whether there is anything to do; it is asked again after the lane is marked asleep. */
typedef struct kt_sleeper {
    kt_board_page *page;
    int bell_fd;
    bool (*pending)(void *ctx);
    void *ctx;
    kt_wake_hooks hooks;
} kt_sleeper;

/* Want to be woken when a log passes a position; UINT64_MAX: not at all. Takes effect at the next kt_sleep_begin(). */
void kt_sleep_want(kt_sleeper *sleeper, uint32_t log_index, uint64_t written, uint64_t durable);

/* Mark asleep and look again. True: nothing to do, block on bell_fd (kt_sleep_end() afterwards). False: there is work, the
 * lane is not marked asleep any more. `spin_max`: look that many times, with a pause each, before marking; 0 in a lane that
 * has been idle, so that an idle house costs nothing. */
bool kt_sleep_begin(kt_sleeper *sleeper, uint32_t spin_max);

/* Awake again; empties the eventfd. Harmless when not asleep. */
void kt_sleep_end(kt_sleeper *sleeper);

#endif
