#include "net/net_test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>

enum { TIMER_COUNT = 500 };

typedef struct note {
    kt_loop *loop;
    int64_t clock_ns;
    char order[256]; /* a letter for each thing that happened */
    kt_flush flush;
    kt_watch watch, other;
    kt_hook hooks[4];
    kt_timer timer;
    int count;
    int64_t last_ns;
    bool again;
} note;

static int64_t note_clock(void *ctx)
{
    return ((note *)ctx)->clock_ns;
}

static note *note_open(void)
{
    note *own = calloc(1, sizeof *own);
    const kt_loop_options options = { .timer_max = TIMER_COUNT, .clock_ns = note_clock, .ctx = own };

    assert_non_null(own);
    assert_int_equal(kt_loop_new(&options, &own->loop, NULL), KT_OK);
    return own;
}

static void note_close(note *own)
{
    kt_loop_free(own->loop);
    free(own);
}

static void put(note *own, char letter)
{
    size_t n = strlen(own->order);

    assert_true(n + 1 < sizeof own->order);
    own->order[n] = letter;
}

static void turn(note *own)
{
    assert_int_equal(kt_loop_turn(own->loop, 0, NULL), KT_OK);
}

static void on_flush(kt_flush *flush)
{
    note *own = flush->ctx;

    put(own, 'f');
    if (own->again)
        kt_loop_flush(own->loop, flush);
}

static void on_read(kt_watch *watch, uint32_t ready)
{
    note *own = watch->ctx;
    uint64_t count;

    assert_int_equal(ready, KT_LOOP_READ);
    assert_int_equal(read(watch->fd, &count, sizeof count), sizeof count);
    put(own, 'r');
    kt_loop_flush(own->loop, &own->flush);
    kt_loop_flush(own->loop, &own->flush);
}

static void on_publish(void *ctx)
{
    put(ctx, 'p');
    kt_loop_flush(((note *)ctx)->loop, &((note *)ctx)->flush);
}

static void on_due(kt_timer *timer)
{
    note *own = timer->ctx;

    put(own, 't');
    kt_loop_flush(own->loop, &own->flush);
}

static void a_turn_runs_its_phases_in_order(void **state)
{
    const uint64_t one = 1;
    note *own = note_open();

    own->flush = (kt_flush){ .fn = on_flush, .ctx = own };
    own->watch = (kt_watch){ .on_ready = on_read, .ctx = own, .fd = eventfd(0, EFD_NONBLOCK), .events = KT_LOOP_READ };
    own->hooks[0] = (kt_hook){ on_publish, own, KT_PHASE_PUBLISH, NULL };
    own->timer = (kt_timer){ .on_due = on_due, .ctx = own };
    assert_int_equal(kt_loop_watch(own->loop, &own->watch, NULL), KT_OK);
    kt_loop_hook(own->loop, &own->hooks[0]);
    assert_int_equal(kt_timer_set(own->loop, &own->timer, 0), KT_OK);
    assert_int_equal(write(own->watch.fd, &one, sizeof one), sizeof one);
    turn(own);
    assert_string_equal(own->order, "rpft");
    /* What the timer queued leaves in the next turn, which does not wait for anything else. */
    assert_int_equal(kt_loop_turn(own->loop, INT64_C(3600000000000), NULL), KT_OK);
    assert_string_equal(own->order, "rpftpf");
    kt_loop_unhook(own->loop, &own->hooks[0]);
    kt_loop_unwatch(own->loop, &own->watch);
    close(own->watch.fd);

    /* Queued again while it is flushed: once a turn, not for ever. */
    own->again = true;
    memset(own->order, 0, sizeof own->order);
    kt_loop_flush(own->loop, &own->flush);
    turn(own);
    turn(own);
    assert_string_equal(own->order, "ff");
    kt_loop_unflush(own->loop, &own->flush);
    kt_loop_unflush(own->loop, &own->flush);
    turn(own);
    assert_string_equal(own->order, "ff");
    note_close(own);
}

static void on_remove_other(kt_watch *watch, uint32_t ready)
{
    note *own = watch->ctx;
    kt_watch *victim = watch == &own->watch ? &own->other : &own->watch;

    own->count++;
    kt_loop_unwatch(own->loop, victim);
    memset(victim, 0xAA, sizeof *victim); /* as if it had been freed */
}

static void a_watch_removed_by_another_is_not_called(void **state)
{
    note *own = note_open();
    int fds[2] = { eventfd(1, EFD_NONBLOCK), eventfd(1, EFD_NONBLOCK) };

    own->watch = (kt_watch){ on_remove_other, own, fds[0], KT_LOOP_READ, false };
    own->other = (kt_watch){ on_remove_other, own, fds[1], KT_LOOP_READ, false };
    assert_int_equal(kt_loop_watch(own->loop, &own->watch, NULL), KT_OK);
    assert_int_equal(kt_loop_watch(own->loop, &own->other, NULL), KT_OK);
    turn(own);
    assert_int_equal(own->count, 1);
    close(fds[0]);
    close(fds[1]);
    note_close(own);
}

static void on_count(kt_watch *watch, uint32_t ready)
{
    ((note *)watch->ctx)->count++;
}

static void a_paused_watch_is_silent_even_at_a_hang_up(void **state)
{
    note *own = note_open();
    kt_err err = { 0 };
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    own->watch = (kt_watch){ on_count, own, pair[0], KT_LOOP_READ, false };
    assert_int_equal(kt_loop_watch(own->loop, &own->watch, NULL), KT_OK);
    kt_loop_watch_change(own->loop, &own->watch, 0);
    close(pair[1]);
    turn(own);
    assert_int_equal(own->count, 0);
    kt_loop_watch_change(own->loop, &own->watch, KT_LOOP_WRITE);
    turn(own);
    assert_int_equal(own->count, 1);
    kt_loop_unwatch(own->loop, &own->watch);
    kt_loop_unwatch(own->loop, &own->watch);
    close(pair[0]);
    own->watch.fd = pair[0];
    assert_int_equal(kt_loop_watch(own->loop, &own->watch, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "cannot watch descriptor"));
    note_close(own);
}

typedef struct random_timer {
    kt_timer timer;
    note *own;
    int64_t want_ns; /* 0: not set */
    bool fired;
} random_timer;

static void on_random_due(kt_timer *timer)
{
    random_timer *own = timer->ctx;

    assert_true(own->want_ns != 0);
    assert_true(own->want_ns <= kt_loop_now(own->own->loop));
    assert_true(own->want_ns >= own->own->last_ns); /* earliest first */
    assert_false(kt_timer_is_set(timer));
    own->own->last_ns = own->want_ns;
    own->want_ns = 0;
    own->fired = true;
}

static void timers_come_in_order_whatever_is_set_and_cancelled(void **state)
{
    static random_timer timers[TIMER_COUNT];
    note *own = note_open();
    kt_rng rng;
    kt_timer more = { .on_due = on_random_due };

    kt_rng_init(&rng, kt_test_seed());
    for (int i = 0; i < TIMER_COUNT; i++)
        timers[i] = (random_timer){ .timer = { .on_due = on_random_due, .ctx = &timers[i] }, .own = own };
    for (uint32_t round = 0; round < kt_test_cases(20000); round++) {
        random_timer *one = &timers[kt_rng_below(&rng, TIMER_COUNT)];
        switch (kt_rng_below(&rng, 4)) {
        case 0:
            kt_timer_cancel(own->loop, &one->timer);
            one->want_ns = 0;
            break;
        case 1:
            own->clock_ns += (int64_t)kt_rng_below(&rng, 50);
            own->last_ns = 0;
            turn(own);
            break;
        default:
            one->want_ns = own->clock_ns + 1 + (int64_t)kt_rng_below(&rng, 1000);
            assert_int_equal(kt_timer_set(own->loop, &one->timer, one->want_ns), KT_OK);
        }
        assert_int_equal(kt_timer_is_set(&one->timer), one->want_ns != 0);
    }
    for (int i = 0; i < TIMER_COUNT; i++) {
        timers[i].want_ns = own->clock_ns + i + 1;
        assert_int_equal(kt_timer_set(own->loop, &timers[i].timer, timers[i].want_ns), KT_OK);
    }
    assert_int_equal(kt_timer_set(own->loop, &more, 1), KT_FULL);
    own->clock_ns += TIMER_COUNT;
    own->last_ns = 0;
    turn(own);
    for (int i = 0; i < TIMER_COUNT; i++)
        assert_true(timers[i].fired && timers[i].want_ns == 0);
    kt_timer_cancel(own->loop, &more);
    note_close(own);
}

static void on_again(kt_timer *timer)
{
    note *own = timer->ctx;

    own->count++;
    assert_int_equal(kt_timer_set(own->loop, timer, 0), KT_OK);
}

static void a_timer_that_sets_itself_into_the_past_does_not_stop_the_loop(void **state)
{
    note *own = note_open();

    own->timer = (kt_timer){ .on_due = on_again, .ctx = own };
    assert_int_equal(kt_timer_set(own->loop, &own->timer, 0), KT_OK);
    turn(own);
    turn(own);
    assert_int_equal(own->count, 2);
    kt_timer_cancel(own->loop, &own->timer);
    note_close(own);
}

static void on_sleep(void *ctx)
{
    put(ctx, 's');
    if (((note *)ctx)->again)
        kt_loop_busy(((note *)ctx)->loop);
}

static void on_woke(void *ctx)
{
    put(ctx, 'w');
}

static void on_unhook(void *ctx)
{
    note *own = ctx;

    put(own, 'u');
    kt_loop_unhook(own->loop, &own->hooks[2]);
    kt_loop_unhook(own->loop, &own->hooks[3]);
}

static void hooks_surround_a_wait_that_would_block(void **state)
{
    note *own = note_open();

    own->hooks[0] = (kt_hook){ on_sleep, own, KT_PHASE_SLEEP, NULL };
    own->hooks[1] = (kt_hook){ on_woke, own, KT_PHASE_WOKE, NULL };
    own->hooks[2] = (kt_hook){ on_unhook, own, KT_PHASE_PUBLISH, NULL };
    own->hooks[3] = (kt_hook){ on_publish, own, KT_PHASE_PUBLISH, NULL };
    for (int i = 0; i < 4; i++)
        kt_loop_hook(own->loop, &own->hooks[i]);
    turn(own);
    assert_string_equal(own->order, "u"); /* it does not block, and unhooking in a hook is fine */
    assert_int_equal(kt_loop_turn(own->loop, 1, NULL), KT_OK);
    assert_string_equal(own->order, "usw");
    own->again = true;
    assert_int_equal(kt_loop_turn(own->loop, INT64_C(3600000000000), NULL), KT_OK);
    assert_string_equal(own->order, "uswsw");
    kt_loop_busy(own->loop);
    assert_int_equal(kt_loop_turn(own->loop, INT64_C(3600000000000), NULL), KT_OK);
    assert_string_equal(own->order, "uswsw");
    note_close(own);
}

static void ignore_due(kt_timer *timer)
{
}

static void a_parked_loop_says_until_when_and_its_next_turn_wakes_it(void **state)
{
    note *own = note_open();
    int64_t until_ns = 0;

    own->hooks[0] = (kt_hook){ on_sleep, own, KT_PHASE_SLEEP, NULL };
    own->hooks[1] = (kt_hook){ on_woke, own, KT_PHASE_WOKE, NULL };
    for (int i = 0; i < 2; i++)
        kt_loop_hook(own->loop, &own->hooks[i]);
    assert_true(kt_loop_park(own->loop, &until_ns));
    assert_true(until_ns == INT64_MAX);
    own->timer = (kt_timer){ .on_due = ignore_due };
    assert_int_equal(kt_timer_set(own->loop, &own->timer, 77), KT_OK);
    assert_true(kt_loop_park(own->loop, &until_ns)); /* asked again it does not fall asleep again */
    assert_true(until_ns == 77);
    assert_string_equal(own->order, "s");
    turn(own);
    assert_string_equal(own->order, "sw");
    own->again = true; /* looks once more before it sleeps, and finds something */
    assert_false(kt_loop_park(own->loop, &until_ns));
    turn(own);
    assert_string_equal(own->order, "swsw");
    kt_timer_cancel(own->loop, &own->timer);
    note_close(own);
}

/* --- other threads ---------------------------------------------------------------------------------------------- */

enum { THREAD_COUNT = 4, POST_COUNT = 5000 };

typedef struct poster {
    pthread_t thread;
    kt_loop *loop;
    atomic_int *finished;
    int next; /* number the next post should have */
} poster;

typedef struct posted {
    poster *from;
    int number;
} posted;

static void on_posted(void *ctx)
{
    posted *one = ctx;

    assert_int_equal(one->number, one->from->next);
    if (++one->from->next == POST_COUNT && atomic_fetch_add(one->from->finished, 1) == THREAD_COUNT - 1)
        kt_loop_stop(one->from->loop);
    free(one);
}

static void *post_all(void *ctx)
{
    poster *own = ctx;

    for (int i = 0; i < POST_COUNT; i++) {
        posted *one = malloc(sizeof *one);
        *one = (posted){ own, i };
        while (kt_loop_post(own->loop, on_posted, one) == KT_FULL)
            sched_yield();
    }
    return NULL;
}

static void posts_of_other_threads_come_all_and_in_order(void **state)
{
    kt_loop *loop = NULL;
    poster posters[THREAD_COUNT];
    atomic_int finished = 0;

    assert_int_equal(kt_loop_new(NULL, &loop, NULL), KT_OK);
    for (int i = 0; i < THREAD_COUNT; i++) {
        posters[i] = (poster){ .loop = loop, .finished = &finished };
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    assert_int_equal(kt_loop_run(loop, NULL), KT_OK);
    for (int i = 0; i < THREAD_COUNT; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].next, POST_COUNT);
    }
    kt_loop_free(loop);
}

static void nothing(void *ctx)
{
}

static void posts_are_bounded(void **state)
{
    note *own = note_open();

    for (int i = 0; i < KT_LOOP_POST_MAX; i++)
        assert_int_equal(kt_loop_post(own->loop, nothing, NULL), KT_OK);
    assert_int_equal(kt_loop_post(own->loop, nothing, NULL), KT_FULL);
    turn(own);
    assert_int_equal(kt_loop_post(own->loop, nothing, NULL), KT_OK);
    kt_loop_free(NULL);
    note_close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_runs_its_phases_in_order),
        cmocka_unit_test(a_watch_removed_by_another_is_not_called),
        cmocka_unit_test(a_paused_watch_is_silent_even_at_a_hang_up),
        cmocka_unit_test(timers_come_in_order_whatever_is_set_and_cancelled),
        cmocka_unit_test(a_timer_that_sets_itself_into_the_past_does_not_stop_the_loop),
        cmocka_unit_test(hooks_surround_a_wait_that_would_block),
        cmocka_unit_test(a_parked_loop_says_until_when_and_its_next_turn_wakes_it),
        cmocka_unit_test(posts_of_other_threads_come_all_and_in_order),
        cmocka_unit_test(posts_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
