/* Waking without losing a wake-up (reference: log.md 4). */
#include "bus/wake.h"

#include "base/test_util.h"

#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* One log and one reader lane in one process; `published` stands for the control page of the log. */
typedef struct scene {
    kt_board board;
    kt_waker waker;
    kt_sleeper sleeper;
    _Atomic uint64_t published;
    uint64_t seen;
    uint32_t looks;
    bool publish_at_asleep;
} scene;

static bool pending(void *ctx)
{
    scene *self = ctx;

    self->looks++;
    return atomic_load_explicit(&self->published, memory_order_relaxed) > self->seen;
}

static void publish(scene *self)
{
    uint64_t now = atomic_load_explicit(&self->published, memory_order_relaxed) + 1;

    /* A plain store, as the log's: an atomic addition would be a fence of its own on x86 and hide a missing one. */
    atomic_store_explicit(&self->published, now, memory_order_release);
    kt_wake_log(&self->waker, 0, now, 0);
}

static void scene_open(scene *self)
{
    static const char *const names[] = { "writer", "reader" };

    memset(self, 0, sizeof *self);
    assert_int_equal(kt_board_open(&self->board, names, 2, NULL), KT_OK);
    kt_waker_init(&self->waker, &self->board);
    self->sleeper = (kt_sleeper){
        .page = kt_board_page_of(&self->board, 1), .bell_fd = self->board.bell_fds[1], .pending = pending, .ctx = self
    };
    kt_sleep_want(&self->sleeper, 0, 0, UINT64_MAX);
}

static bool rung(const scene *self)
{
    struct pollfd bell = { .fd = self->sleeper.bell_fd, .events = POLLIN };

    return poll(&bell, 1, 0) == 1;
}

static void a_sleeping_reader_is_rung_once_an_episode(void **state)
{
    scene self;

    scene_open(&self);
    assert_true(kt_sleep_begin(&self.sleeper, 0));
    for (int i = 0; i < 100; i++)
        publish(&self);
    assert_int_equal(atomic_load(&self.waker.ring_count), 1);
    assert_true(rung(&self));
    kt_sleep_end(&self.sleeper);
    assert_false(rung(&self));
    self.seen = 100;
    kt_sleep_want(&self.sleeper, 0, 100, UINT64_MAX);
    assert_true(kt_sleep_begin(&self.sleeper, 0));
    publish(&self);
    assert_int_equal(atomic_load(&self.waker.ring_count), 2);
    kt_sleep_end(&self.sleeper);
    kt_board_close(&self.board);
}

static void a_reader_awake_costs_no_system_call(void **state)
{
    scene self;

    scene_open(&self);
    for (int i = 0; i < 100; i++)
        publish(&self);
    assert_int_equal(atomic_load(&self.waker.ring_count), 0);
    assert_false(kt_sleep_begin(&self.sleeper, 0)); /* there is something */
    assert_int_equal(atomic_load(&self.sleeper.page->episode) & 1, 0);
    kt_board_close(&self.board);
}

static void at_step(void *ctx, kt_wake_step step)
{
    scene *self = ctx;

    if (step == KT_WAKE_STEP_ASLEEP_SET && self->publish_at_asleep) {
        self->publish_at_asleep = false;
        atomic_fetch_add(
            &self->published, 1); /* published, and whoever did it has looked before we were marked asleep */
    }
}

static void set_asleep_then_look_again(void **state)
{
    scene self;

    scene_open(&self);
    self.sleeper.hooks = (kt_wake_hooks){ .at = at_step, .ctx = &self };
    self.publish_at_asleep = true;
    assert_false(kt_sleep_begin(&self.sleeper, 0)); /* without the second look it would sleep, with nobody to ring */
    assert_int_equal(atomic_load(&self.waker.ring_count), 0);
    kt_board_close(&self.board);
}

static void sleep_at_look(void *ctx, kt_wake_step step)
{
    scene *self = ctx;

    if (step == KT_WAKE_STEP_LOOK && self->publish_at_asleep) {
        self->publish_at_asleep = false;
        self->seen = atomic_load(&self->published); /* looked just before it was published */
        assert_true(kt_sleep_begin(&self->sleeper, 0));
    }
}

static void publish_then_look_whether_asleep(void **state)
{
    scene self;

    scene_open(&self);
    self.waker.hooks = (kt_wake_hooks){ .at = sleep_at_look, .ctx = &self };
    self.publish_at_asleep = true;
    publish(&self); /* who looks before publishing would miss the reader that falls asleep in between */
    assert_true(rung(&self));
    kt_board_close(&self.board);
}

static void a_reader_spins_a_bounded_time_first(void **state)
{
    scene self;

    scene_open(&self);
    assert_true(kt_sleep_begin(&self.sleeper, 50));
    assert_int_equal(self.looks, 50 + 1);
    kt_sleep_end(&self.sleeper);
    self.looks = 0;
    assert_true(kt_sleep_begin(&self.sleeper, 0));
    assert_int_equal(self.looks, 1);
    kt_board_close(&self.board);
}

static void only_who_wants_it_is_rung(void **state)
{
    scene self;

    scene_open(&self);
    kt_sleep_want(&self.sleeper, 0, UINT64_MAX, 10);
    assert_true(kt_sleep_begin(&self.sleeper, 0));
    kt_wake_log(&self.waker, 0, 100, 10);
    kt_wake_log(&self.waker, 1, 100, 100);
    assert_false(rung(&self));
    kt_wake_log(&self.waker, 0, 100, 11);
    assert_true(rung(&self));
    kt_sleep_end(&self.sleeper);
    assert_true(kt_sleep_begin(&self.sleeper, 0));
    kt_wake_lane(&self.waker, 1); /* a ring has something: whatever the logs */
    assert_true(rung(&self));
    kt_board_close(&self.board);
}

/* ---- both at once: both looking too early is a lost wake-up ---- */

enum { LANES = 16, WRITER = 0, READERS = 1 };

/* Lane 0 publishes, the others are readers that go to sleep; the two walk over the readers towards each other, so that they
 * meet at one of them in every round. */
typedef struct race {
    kt_board board;
    kt_waker waker;
    kt_sleeper sleepers[LANES];
    struct {
        _Atomic uint64_t position;
        uint8_t pad_to_line[120];
    } published[LANES];
    bool slept[LANES];
    _Atomic uint64_t steps[2];
    uint64_t rounds;
    uint64_t sleeps, lost;
} race;

static void meet(race *self, int who, uint64_t step)
{
    atomic_store_explicit(&self->steps[who], step, memory_order_release);
    for (uint32_t looks = 1; atomic_load_explicit(&self->steps[!who], memory_order_acquire) < step; looks++)
        if (looks % 1024 == 0)
            sched_yield(); /* the other has no core just now */
}

/* Both have everything at hand: then a store waits, and a load does not. */
static uint64_t look_at_all(race *self)
{
    uint64_t sum = 0;

    for (int lane = 1; lane < LANES; lane++)
        sum += atomic_load(&self->published[lane].position) + atomic_load(&self->sleepers[lane].page->episode);
    return sum;
}

static bool pending_position(void *ctx)
{
    return atomic_load_explicit((const _Atomic uint64_t *)ctx, memory_order_relaxed) != 0;
}

/* Log i is read by lane i. In every other round it is a ring that has something, not a log. */
static void race_publish(void *ctx)
{
    race *self = ctx;

    for (uint64_t round = 0; round < self->rounds; round++) {
        meet(self, WRITER, 3 * round + 1);
        look_at_all(self);
        meet(self, WRITER, 3 * round + 2);
        for (uint32_t lane = 1; lane < LANES; lane++) {
            atomic_store_explicit(&self->published[lane].position, 1, memory_order_release);
            if (round % 2 == 0)
                kt_wake_log(&self->waker, lane, 1, 0);
            else
                kt_wake_lane(&self->waker, lane);
        }
        meet(self, WRITER, 3 * round + 3);
    }
}

static void race_sleep(void *ctx)
{
    race *self = ctx;

    for (uint64_t round = 0; round < self->rounds; round++) {
        for (uint32_t lane = 1; lane < LANES; lane++)
            atomic_store_explicit(&self->published[lane].position, 0, memory_order_relaxed);
        meet(self, READERS, 3 * round + 1);
        look_at_all(self);
        meet(self, READERS, 3 * round + 2);
        for (uint32_t lane = LANES - 1; lane > 0; lane--)
            self->slept[lane] = kt_sleep_begin(&self->sleepers[lane], 0);
        meet(self, READERS, 3 * round + 3);
        for (uint32_t lane = 1; lane < LANES; lane++) {
            struct pollfd bell = { .fd = self->sleepers[lane].bell_fd, .events = POLLIN };
            self->sleeps += self->slept[lane];
            self->lost += self->slept[lane] && poll(&bell, 1, 0) != 1; /* asleep, and nobody told: for ever */
            kt_sleep_end(&self->sleepers[lane]);
        }
    }
}

static void no_wake_up_is_lost_in_a_race(void **state)
{
    static const char *const lanes[LANES] = { "writer", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n",
        "o", "p" };
    static race self;

    assert_int_equal(kt_board_open(&self.board, lanes, LANES, NULL), KT_OK);
    kt_waker_init(&self.waker, &self.board);
    for (uint32_t lane = 1; lane < LANES; lane++) {
        self.sleepers[lane] = (kt_sleeper){ .page = kt_board_page_of(&self.board, lane),
            .bell_fd = self.board.bell_fds[lane],
            .pending = pending_position,
            .ctx = &self.published[lane].position };
        for (uint32_t log = 0; log < LANES; log++)
            kt_sleep_want(&self.sleepers[lane], log, log == lane ? 0 : UINT64_MAX, UINT64_MAX);
    }
    self.rounds = kt_test_cases(50000);
    kt_test_at_once(race_publish, race_sleep, &self);
    assert_true(self.sleeps > 0);
    assert_int_equal(self.lost, 0);
    kt_board_close(&self.board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sleeping_reader_is_rung_once_an_episode),
        cmocka_unit_test(a_reader_awake_costs_no_system_call),
        cmocka_unit_test(set_asleep_then_look_again),
        cmocka_unit_test(publish_then_look_whether_asleep),
        cmocka_unit_test(a_reader_spins_a_bounded_time_first),
        cmocka_unit_test(only_who_wants_it_is_rung),
        cmocka_unit_test(no_wake_up_is_lost_in_a_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
