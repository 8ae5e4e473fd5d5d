#include "net/loop.h"

#include "base/assert.h"
#include "net/net.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, WAIT_MS_MAX = 3600 * 1000 };

static_assert((int)KT_LOOP_READ == (int)EPOLLIN && (int)KT_LOOP_WRITE == (int)EPOLLOUT, "handed to epoll as they are");

typedef struct post {
    void (*fn)(void *ctx);
    void *ctx;
} post;

struct kt_loop {
    int epoll_fd;
    int64_t (*clock_ns)(void *ctx);
    void *clock_ctx;
    const kt_net *net;
    int64_t now_ns;
    bool busy;
    bool parked; /* the sleep hooks have run, and nobody has woken yet */

    struct epoll_event events[KT_LOOP_EVENT_MAX]; /* of this turn; data.ptr NULL: removed meanwhile */
    int event_count;
    int event_next;

    kt_timer **heap; /* heap[1] is the earliest; heap[0] is not used */
    uint32_t timer_count;
    uint32_t timer_max;

    kt_hook *hooks[KT_PHASE_COUNT];
    kt_hook *hook_next; /* the one after that which runs, so that a hook may remove any */

    kt_flush flush_head;   /* ring of those queued */
    kt_flush flush_active; /* ring of those being flushed in this turn */

    kt_watch wake_watch;
    atomic_bool stopped;
    atomic_bool woken; /* an eventfd write is on its way: no second one is needed */
    pthread_mutex_t post_lock;
    uint32_t post_first;
    uint32_t post_count;
    post posts[KT_LOOP_POST_MAX];
};

static int64_t clock_monotonic_ns(void *ctx)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- posts ------------------------------------------------------------------------------------------------------ */

static bool post_take(kt_loop *loop, post *out_post)
{
    bool taken = false;

    pthread_mutex_lock(&loop->post_lock);
    if (loop->post_count > 0) {
        *out_post = loop->posts[loop->post_first];
        loop->post_first = (loop->post_first + 1) % KT_LOOP_POST_MAX;
        loop->post_count--;
        taken = true;
    }
    pthread_mutex_unlock(&loop->post_lock);
    return taken;
}

static void on_wake(kt_watch *watch, uint32_t ready)
{
    kt_loop *loop = watch->ctx;
    uint64_t count = 0;
    post next;

    /* Cleared before the queue is looked at: a post that comes later writes again. */
    if (read(watch->fd, &count, sizeof count) == (ssize_t)sizeof count)
        atomic_store(&loop->woken, false);
    for (int taken = 0; taken < KT_LOOP_POST_MAX && post_take(loop, &next); taken++)
        next.fn(next.ctx);
    pthread_mutex_lock(&loop->post_lock);
    loop->busy |= loop->post_count > 0;
    pthread_mutex_unlock(&loop->post_lock);
}

void kt_loop_wake(kt_loop *loop)
{
    const uint64_t one = 1;
    int saved = errno; /* for signal handlers */

    if (!atomic_exchange(&loop->woken, true)) {
        ssize_t written = write(loop->wake_watch.fd, &one, sizeof one);
        kt_assert(written == (ssize_t)sizeof one || errno == EAGAIN);
    }
    errno = saved;
}

kt_code kt_loop_post(kt_loop *loop, void (*fn)(void *ctx), void *ctx)
{
    kt_code code = KT_FULL;

    pthread_mutex_lock(&loop->post_lock);
    if (loop->post_count < KT_LOOP_POST_MAX) {
        loop->posts[(loop->post_first + loop->post_count) % KT_LOOP_POST_MAX] = (post){ fn, ctx };
        loop->post_count++;
        code = KT_OK;
    }
    pthread_mutex_unlock(&loop->post_lock);
    kt_loop_wake(loop);
    return code;
}

void kt_loop_stop(kt_loop *loop)
{
    atomic_store(&loop->stopped, true);
    kt_loop_wake(loop);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

kt_code kt_loop_new(const kt_loop_options *options, kt_loop **out_loop, kt_err *err)
{
    static const kt_loop_options defaults = { 0 };
    kt_code code = KT_OK;
    kt_loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL)
        return kt_fail(err, KT_SYS, "cannot make an event loop");
    if (options == NULL)
        options = &defaults;
    pthread_mutex_init(&loop->post_lock, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_watch = (kt_watch){ on_wake, loop, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), KT_LOOP_READ, false };
    loop->timer_max = options->timer_max != 0 ? options->timer_max : KT_LOOP_TIMER_MAX_DEFAULT;
    loop->heap = calloc((size_t)loop->timer_max + 1, sizeof *loop->heap);
    loop->clock_ns = options->clock_ns != NULL ? options->clock_ns : clock_monotonic_ns;
    loop->clock_ctx = options->ctx;
    loop->net = options->net != NULL ? options->net : &kt_net_system;
    loop->now_ns = loop->clock_ns(loop->clock_ctx);
    loop->flush_head.next = loop->flush_head.prev = &loop->flush_head;
    loop->flush_active.next = loop->flush_active.prev = &loop->flush_active;
    if (loop->epoll_fd < 0 || loop->wake_watch.fd < 0 || loop->heap == NULL) {
        code = kt_fail(err, KT_SYS, "cannot make an event loop");
        goto out;
    }
    code = kt_loop_watch(loop, &loop->wake_watch, err);
    if (code != KT_OK)
        goto out;
    *out_loop = loop;
    loop = NULL;
out:
    kt_loop_free(loop);
    return code;
}

void kt_loop_free(kt_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->wake_watch.fd >= 0)
        close(loop->wake_watch.fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    pthread_mutex_destroy(&loop->post_lock);
    free(loop->heap);
    free(loop);
}

int64_t kt_loop_now(const kt_loop *loop)
{
    return loop->now_ns;
}

int64_t kt_loop_clock(const kt_loop *loop)
{
    return loop->clock_ns(loop->clock_ctx);
}

const kt_net *kt_loop_net(const kt_loop *loop)
{
    return loop->net;
}

int kt_loop_fd(const kt_loop *loop)
{
    return loop->epoll_fd;
}

/* --- watches ---------------------------------------------------------------------------------------------------- */

/* What the last wait reported about this watch is not delivered any more: it may be freed now. */
static void forget_reports(kt_loop *loop, const kt_watch *watch)
{
    for (int i = loop->event_next; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

static int epoll_set(kt_loop *loop, kt_watch *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    int result = 0;

    if (events == 0 && watch->in_epoll)
        result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    else if (events != 0)
        result = epoll_ctl(loop->epoll_fd, watch->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, &event);
    watch->in_epoll = events != 0 && result == 0;
    return result;
}

kt_code kt_loop_watch(kt_loop *loop, kt_watch *watch, kt_err *err)
{
    watch->in_epoll = false;
    if (epoll_set(loop, watch, watch->events) != 0)
        return kt_fail(err, KT_SYS, "cannot watch descriptor %d", watch->fd);
    return KT_OK;
}

void kt_loop_watch_change(kt_loop *loop, kt_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    /* Only pausing and going on again can fail here, and then for want of kernel memory. */
    int result = epoll_set(loop, watch, events);
    kt_assert(result == 0 || errno == ENOMEM || errno == ENOSPC);
}

void kt_loop_unwatch(kt_loop *loop, kt_watch *watch)
{
    forget_reports(loop, watch);
    if (watch->in_epoll)
        (void)epoll_set(loop, watch, 0); /* fails when the descriptor is closed already, and then it is gone anyway */
    watch->in_epoll = false;
}

/* --- timers: a binary heap of pointers --------------------------------------------------------------------------- */

static void heap_put(kt_loop *loop, uint32_t place, kt_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void heap_up(kt_loop *loop, uint32_t place, kt_timer *timer)
{
    while (place > 1 && loop->heap[place / 2]->at_ns > timer->at_ns) {
        heap_put(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    heap_put(loop, place, timer);
}

static void heap_down(kt_loop *loop, uint32_t place, kt_timer *timer)
{
    for (uint32_t child; (child = place * 2) <= loop->timer_count; place = child) {
        if (child < loop->timer_count && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
            child++;
        if (loop->heap[child]->at_ns >= timer->at_ns)
            break;
        heap_put(loop, place, loop->heap[child]);
    }
    heap_put(loop, place, timer);
}

kt_code kt_timer_set(kt_loop *loop, kt_timer *timer, int64_t at_ns)
{
    if (timer->place == 0) {
        if (loop->timer_count == loop->timer_max)
            return KT_FULL;
        timer->place = ++loop->timer_count;
    }
    timer->at_ns = at_ns;
    heap_up(loop, timer->place, timer);
    heap_down(loop, timer->place, timer);
    return KT_OK;
}

void kt_timer_cancel(kt_loop *loop, kt_timer *timer)
{
    uint32_t place = timer->place;

    if (place == 0)
        return;
    kt_assert(loop->heap[place] == timer);
    kt_timer *last = loop->heap[loop->timer_count--];
    timer->place = 0;
    if (last != timer) {
        heap_up(loop, place, last);
        heap_down(loop, last->place, last);
    }
}

/* Those due when the phase begins, each at most once: a timer that sets itself into the past waits for the next turn.
 * */
static void run_timers(kt_loop *loop)
{
    uint32_t budget = loop->timer_count;

    while (budget-- > 0 && loop->timer_count > 0 && loop->heap[1]->at_ns <= loop->now_ns) {
        kt_timer *timer = loop->heap[1];
        kt_timer_cancel(loop, timer);
        timer->on_due(timer);
    }
}

/* --- hooks ------------------------------------------------------------------------------------------------------ */

void kt_loop_hook(kt_loop *loop, kt_hook *hook)
{
    kt_hook **end = &loop->hooks[hook->phase];

    while (*end != NULL)
        end = &(*end)->next;
    hook->next = NULL;
    *end = hook;
}

void kt_loop_unhook(kt_loop *loop, kt_hook *hook)
{
    kt_hook **at = &loop->hooks[hook->phase];

    while (*at != NULL && *at != hook)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = hook->next;
    if (loop->hook_next == hook)
        loop->hook_next = hook->next;
}

static void run_hooks(kt_loop *loop, kt_phase phase)
{
    for (kt_hook *hook = loop->hooks[phase]; hook != NULL; hook = loop->hook_next) {
        loop->hook_next = hook->next;
        hook->fn(hook->ctx);
    }
}

void kt_loop_busy(kt_loop *loop)
{
    loop->busy = true;
}

/* --- flushing --------------------------------------------------------------------------------------------------- */

static void ring_append(kt_flush *ring, kt_flush *flush)
{
    flush->prev = ring->prev;
    flush->next = ring;
    ring->prev->next = flush;
    ring->prev = flush;
}

void kt_loop_flush(kt_loop *loop, kt_flush *flush)
{
    if (flush->next == NULL)
        ring_append(&loop->flush_head, flush);
}

void kt_loop_unflush(kt_loop *loop, kt_flush *flush)
{
    if (flush->next == NULL)
        return;
    flush->prev->next = flush->next;
    flush->next->prev = flush->prev;
    flush->next = flush->prev = NULL;
}

static void run_flush(kt_loop *loop)
{
    kt_flush *head = &loop->flush_head, *active = &loop->flush_active;

    if (head->next == head)
        return;
    /* Move the whole ring over, so that what is queued from here on waits for the next turn. */
    kt_assert(active->next == active);
    active->next = head->next;
    active->prev = head->prev;
    active->next->prev = active->prev->next = active;
    head->next = head->prev = head;
    while (active->next != active) {
        kt_flush *flush = active->next;
        kt_loop_unflush(loop, flush);
        flush->fn(flush);
    }
}

/* --- the turn --------------------------------------------------------------------------------------------------- */

static bool must_poll(const kt_loop *loop)
{
    return loop->busy || loop->flush_head.next != &loop->flush_head ||
           atomic_load_explicit(&loop->stopped, memory_order_relaxed);
}

/* Milliseconds until something is due, rounded up so that no timer comes early; -1: nothing is. */
static int wait_ms(kt_loop *loop, int64_t wait_max_ns)
{
    int64_t wait_ns = wait_max_ns;

    if (must_poll(loop))
        return 0;
    if (loop->timer_count > 0) {
        int64_t due_ns = loop->heap[1]->at_ns - loop->clock_ns(loop->clock_ctx);
        due_ns = due_ns > 0 ? due_ns : 0;
        wait_ns = wait_ns < 0 || due_ns < wait_ns ? due_ns : wait_ns;
    }
    if (wait_ns < 0)
        return -1;
    int64_t ms = wait_ns / NS_PER_MS + (wait_ns % NS_PER_MS != 0);
    return ms < WAIT_MS_MAX ? (int)ms : WAIT_MS_MAX;
}

bool kt_loop_park(kt_loop *loop, int64_t *out_until_ns)
{
    if (!loop->parked && !must_poll(loop)) {
        run_hooks(loop, KT_PHASE_SLEEP);
        loop->parked = true;
    }
    *out_until_ns = loop->timer_count > 0 ? loop->heap[1]->at_ns : INT64_MAX;
    return !must_poll(loop);
}

kt_code kt_loop_turn(kt_loop *loop, int64_t wait_max_ns, kt_err *err)
{
    int ms = wait_ms(loop, wait_max_ns);
    bool sleeping = loop->parked || ms != 0;

    if (sleeping && !loop->parked) {
        run_hooks(loop, KT_PHASE_SLEEP);
        if (must_poll(loop))
            ms = 0;
    }
    loop->parked = false;
    loop->busy = false;
    loop->event_next = 0;
    loop->event_count = epoll_wait(loop->epoll_fd, loop->events, KT_LOOP_EVENT_MAX, ms);
    if (loop->event_count < 0) {
        loop->event_count = 0;
        if (errno != EINTR)
            return kt_fail(err, KT_SYS, "the event loop cannot wait");
    }
    loop->now_ns = loop->clock_ns(loop->clock_ctx);
    if (sleeping)
        run_hooks(loop, KT_PHASE_WOKE);

    while (loop->event_next < loop->event_count) {
        struct epoll_event event = loop->events[loop->event_next++];
        kt_watch *watch = event.data.ptr;
        uint32_t ready = event.events & (KT_LOOP_READ | KT_LOOP_WRITE);
        if (watch == NULL)
            continue;
        if (event.events & (EPOLLERR | EPOLLHUP))
            ready = KT_LOOP_READ | KT_LOOP_WRITE;
        watch->on_ready(watch, ready);
    }
    loop->event_count = 0;
    run_hooks(loop, KT_PHASE_PUBLISH);
    run_flush(loop);
    run_timers(loop);
    return KT_OK;
}

kt_code kt_loop_run(kt_loop *loop, kt_err *err)
{
    kt_code code = KT_OK;

    while (code == KT_OK && !atomic_load(&loop->stopped))
        code = kt_loop_turn(loop, -1, err);
    atomic_store(&loop->stopped, false);
    return code;
}
