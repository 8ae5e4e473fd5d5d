/* net/loop.h - level-triggered epoll loop that runs in phases, so that everything ready for a peer leaves in one write.
 *
 * One turn
 *     wait      sleep hooks, epoll_wait, woke hooks; the clock is read once
 *     read      every ready watch: read and parse all; nothing is written to a socket here
 *     publish   publish hooks: a lane applies its inputs and hands the results to its clients' buffers
 *     flush     every object queued with kt_loop_flush, once each: one write a client
 *     timers    those due, earliest first; what they queue for flushing leaves in the next turn, which then does not
 *     wait
 *
 * Memory    Watches, timers, hooks and flush links are embedded in the caller's structures and must outlive their
 *           registration; the loop allocates at kt_loop_new only.
 * Threads   A loop belongs to one thread, and to one process: make it after the fork. Only kt_loop_post, kt_loop_wake
 *           and kt_loop_stop may be called from elsewhere.
 * Removal   A callback may remove, free and re-register anything, itself included.
 * Simulated kt_loop_park() for a scheduler that waits by itself, and kt_loop_options.net for a network that it makes up.
 */
#ifndef KT_NET_LOOP_H
#define KT_NET_LOOP_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    KT_LOOP_EVENT_MAX = 512,             /* events taken by one wait; the rest come with the next */
    KT_LOOP_TIMER_MAX_DEFAULT = 1 << 18, /* 8 bytes each, untouched pages cost nothing */
    KT_LOOP_POST_MAX = 1024,             /* posts waiting at once */
    KT_LOOP_READ = 1,                    /* bits of kt_watch.events and of `ready` */
    KT_LOOP_WRITE = 4,
};

typedef struct kt_loop kt_loop;
typedef struct kt_watch kt_watch;
typedef struct kt_timer kt_timer;
typedef struct kt_hook kt_hook;
typedef struct kt_flush kt_flush;
typedef struct kt_net kt_net;

typedef struct kt_loop_options {
    uint32_t timer_max;             /* timers set at once; 0: KT_LOOP_TIMER_MAX_DEFAULT */
    int64_t (*clock_ns)(void *ctx); /* monotonic; NULL: CLOCK_MONOTONIC. Tests put their own clock here */
    void *ctx;
    const kt_net *net; /* net/net.h; NULL: the system's */
} kt_loop_options;

/* `options` may be NULL. KT_SYS: epoll or eventfd refused. */
kt_code kt_loop_new(const kt_loop_options *options, kt_loop **out_loop, kt_err *err);

/* Whatever is still registered is forgotten, not called. */
void kt_loop_free(kt_loop *loop);

/* Turns until kt_loop_stop. KT_SYS: epoll_wait failed. */
kt_code kt_loop_run(kt_loop *loop, kt_err *err);

/* One turn, waiting at most `wait_max_ns` (0: not at all, negative: as long as it takes). */
kt_code kt_loop_turn(kt_loop *loop, int64_t wait_max_ns, kt_err *err);

/* Any thread, also a signal handler: kt_loop_run returns after the turn it is in. */
void kt_loop_stop(kt_loop *loop);

/* The clock as read after the last wait: monotonic, ns, no meaning between machines or boots. */
int64_t kt_loop_now(const kt_loop *loop);

/* The same clock, read now: for how long something within a turn took. */
int64_t kt_loop_clock(const kt_loop *loop);

/* Where connections of this loop go. */
const kt_net *kt_loop_net(const kt_loop *loop);

/* Do what comes before a wait, and leave the waiting to the caller. False: there is more to do, turn at once. True: nothing
 * is, until kt_loop_fd() is readable or *out_until_ns (INT64_MAX: no timer is set) has come; whatever comes, the next turn is
 * the end of that wait. */
bool kt_loop_park(kt_loop *loop, int64_t *out_until_ns);
int kt_loop_fd(const kt_loop *loop);

/* --- file descriptors ------------------------------------------------------------------------------------------ */

struct kt_watch {
    void (*on_ready)(kt_watch *watch, uint32_t ready); /* ready: KT_LOOP_READ | KT_LOOP_WRITE; an error or hang-up sets
                                                          both, and the next read or write tells which it was */
    void *ctx;
    int fd;
    uint32_t events; /* what to wait for; 0 pauses, and then not even a hang-up is reported */
    bool in_epoll;   /* the loop's own */
};

/* Caller has filled on_ready, ctx, fd and events. KT_SYS: the descriptor can not be watched (a plain file), or the
 * kernel's bound on watches (fs.epoll.max_user_watches) is reached. */
kt_code kt_loop_watch(kt_loop *loop, kt_watch *watch, kt_err *err);

/* No system call when nothing changes. */
void kt_loop_watch_change(kt_loop *loop, kt_watch *watch, uint32_t events);

/* Before the descriptor is closed. Harmless for a watch filled with zeros or removed already. */
void kt_loop_unwatch(kt_loop *loop, kt_watch *watch);

/* --- timers ---------------------------------------------------------------------------------------------------- */

struct kt_timer {
    void (*on_due)(kt_timer *timer);
    void *ctx;
    int64_t at_ns;  /* on kt_loop_now's clock */
    uint32_t place; /* the loop's own: 1 + index in its heap, 0 while not set */
};

/* Call timer->on_due once, in the first turn at or after `at_ns`; moves a timer already set. O(log n). KT_FULL:
 * timer_max are set. Precision is a millisecond, never early. */
kt_code kt_timer_set(kt_loop *loop, kt_timer *timer, int64_t at_ns);
void kt_timer_cancel(kt_loop *loop, kt_timer *timer); /* harmless when not set */
static inline bool kt_timer_is_set(const kt_timer *timer)
{
    return timer->place != 0;
}

/* --- hooks ----------------------------------------------------------------------------------------------------- */

typedef enum kt_phase {
    KT_PHASE_SLEEP,   /* the loop is about to wait and would block: announce "asleep", look once more, and call
                          kt_loop_busy when there is work after all */
    KT_PHASE_WOKE,    /* after a wait whose sleep hooks ran, blocked or not */
    KT_PHASE_PUBLISH, /* every turn, after all reading */
    KT_PHASE_COUNT
} kt_phase;

struct kt_hook {
    void (*fn)(void *ctx);
    void *ctx;
    kt_phase phase;
    kt_hook *next; /* the loop's own */
};

/* Hooks of one phase run in the order they were added. */
void kt_loop_hook(kt_loop *loop, kt_hook *hook);
void kt_loop_unhook(kt_loop *loop, kt_hook *hook);

/* The next wait polls instead of blocking: there is more to do. Counts for one wait. */
void kt_loop_busy(kt_loop *loop);

/* --- flushing -------------------------------------------------------------------------------------------------- */

struct kt_flush {
    void (*fn)(kt_flush *flush);
    void *ctx;
    kt_flush *next, *prev; /* the loop's own; both NULL while not queued */
};

/* Call flush->fn once in the flush phase of this turn, however often it is asked; asked for during the flush phase or a
 * timer, in the next turn. */
void kt_loop_flush(kt_loop *loop, kt_flush *flush);
void kt_loop_unflush(kt_loop *loop, kt_flush *flush); /* harmless when not queued */

/* --- from other threads ---------------------------------------------------------------------------------------- */

/* Any thread: run fn(ctx) in the loop's thread, in the read phase. In order of posting. KT_FULL: KT_LOOP_POST_MAX
 * wait. */
kt_code kt_loop_post(kt_loop *loop, void (*fn)(void *ctx), void *ctx);

/* Any thread, also a signal handler: end the wait. */
void kt_loop_wake(kt_loop *loop);

#endif
