#include "bus/wake.h"

#include <unistd.h>

/* The fence between "publish" and "look whether asleep", and between "set asleep" and "look again": one place for both, where
 * tests step in. Without it each side's load may come before its own store is seen by the other. */
static void fence(const kt_wake_hooks *hooks, kt_wake_step at)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (__builtin_expect(hooks->at != NULL, 0))
        hooks->at(hooks->ctx, at);
}

void kt_waker_init(kt_waker *waker, const kt_board *board)
{
    *waker = (kt_waker){ .board = board };
}

/* Once an episode: whoever sets `rung` first writes. A ring that comes late wakes somebody for nothing, which is harmless. */
static void ring(kt_waker *waker, uint32_t lane_index, uint64_t episode)
{
    uint64_t one = 1;

    if (atomic_exchange_explicit(&waker->rung[lane_index], episode, memory_order_relaxed) == episode)
        return;
    atomic_fetch_add_explicit(&waker->ring_count, 1, memory_order_relaxed);
    /* Can only fail when the counter is full, and then the reader is woken already. */
    if (write(waker->board->bell_fds[lane_index], &one, sizeof one) < 0)
        return;
}

void kt_wake_log(kt_waker *waker, uint32_t log_index, uint64_t written, uint64_t durable)
{
    const kt_board *board = waker->board;

    fence(&waker->hooks, KT_WAKE_STEP_LOOK);
    for (uint32_t i = 0; i < board->lane_count; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);
        uint64_t episode = atomic_load_explicit(&page->episode, memory_order_acquire);

        if ((episode & 1) == 0)
            continue;
        if (written > atomic_load_explicit(&page->want_written[log_index], memory_order_relaxed) ||
            durable > atomic_load_explicit(&page->want_durable[log_index], memory_order_relaxed))
            ring(waker, i, episode);
    }
}

void kt_wake_lane(kt_waker *waker, uint32_t lane_index)
{
    fence(&waker->hooks, KT_WAKE_STEP_LOOK);
    uint64_t episode = atomic_load_explicit(&kt_board_page_of(waker->board, lane_index)->episode, memory_order_acquire);
    if ((episode & 1) != 0)
        ring(waker, lane_index, episode);
}

void kt_sleep_want(kt_sleeper *sleeper, uint32_t log_index, uint64_t written, uint64_t durable)
{
    atomic_store_explicit(&sleeper->page->want_written[log_index], written, memory_order_relaxed);
    atomic_store_explicit(&sleeper->page->want_durable[log_index], durable, memory_order_relaxed);
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

bool kt_sleep_begin(kt_sleeper *sleeper, uint32_t spin_max)
{
    _Atomic uint64_t *episode = &sleeper->page->episode;

    for (uint32_t i = 0; i < spin_max; i++) {
        if (sleeper->pending(sleeper->ctx))
            return false;
        pause_briefly();
    }
    atomic_store_explicit(episode, (atomic_load_explicit(episode, memory_order_relaxed) | 1), memory_order_release);
    fence(&sleeper->hooks, KT_WAKE_STEP_ASLEEP_SET);
    if (!sleeper->pending(sleeper->ctx))
        return true;
    kt_sleep_end(sleeper);
    return false;
}

void kt_sleep_end(kt_sleeper *sleeper)
{
    uint64_t episode = atomic_load_explicit(&sleeper->page->episode, memory_order_relaxed);
    uint64_t rings;

    if ((episode & 1) == 0)
        return;
    atomic_store_explicit(&sleeper->page->episode, episode + 1, memory_order_release);
    while (read(sleeper->bell_fd, &rings, sizeof rings) > 0) {}
}
