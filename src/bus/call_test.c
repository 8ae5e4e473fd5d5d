/* Calls of a lane over its rings, with peers that write what they like (reference: log.md 8). */
#include "bus/bus.h"

#include "base/test_util.h"
#include "bus/frame.h"
#include "bus/ring.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TWO = 1, THREE = 2, TAIL_AT = 64 };

/* Lane "one" with a bus; of the other two the tests hold the far ends of the rings. */
typedef struct world {
    kt_board board;
    kt_log *log;
    kt_bus *bus;
    kt_waker waker;
    kt_peer_link far[3];
    uint32_t links;
    int64_t now_ns;
    uint32_t ends;  /* of calls that we made */
    kt_code code;   /* of the last */
    uint32_t calls; /* that we were asked */
    uint64_t token; /* of the last */
} world;

static int64_t clock_of(void *ctx)
{
    return ((world *)ctx)->now_ns;
}

static void relink(world *self, uint32_t peer)
{
    int fd;

    kt_peer_link_close(&self->far[peer]);
    assert_int_equal(kt_peer_link_create(KT_PEER_RING_CAPACITY, &fd, NULL), KT_OK);
    assert_int_equal(kt_peer_link_open(&self->far[peer], fd, KT_PEER_RING_CAPACITY, false, NULL), KT_OK);
    assert_int_equal(kt_bus_link(self->bus, peer, ++self->links, fd, NULL), KT_OK);
}

static void on_call(void *ctx, const kt_bus_call *call)
{
    world *self = ctx;

    self->calls++;
    self->token = call->token;
}

static void answer_now(void *ctx, const kt_bus_call *call)
{
    world *self = ctx;

    self->calls++;
    assert_int_equal(kt_bus_answer(self->bus, call->token, KT_OK, KT_TEXT("{}")), KT_OK);
}

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    world *self = ctx;

    self->ends++;
    self->code = code;
}

static int setup(void **state)
{
    static const char *const names[] = { "one", "two", "three" };
    world *self = calloc(1, sizeof *self);
    kt_bus_options options = { .driver = "local", .durability = KT_DURABILITY_DISK };
    kt_log_options log;
    char path[400];

    *state = self;
    self->now_ns = 1000;
    assert_int_equal(kt_board_open(&self->board, names, 3, NULL), KT_OK);
    kt_waker_init(&self->waker, &self->board);
    options.local.data_dir = kt_test_dir();
    snprintf(path, sizeof path, "%s/one", options.local.data_dir);
    kt_log_options_init(&log, path);
    log.segment_size = KT_SEGMENT_SIZE_MIN;
    log.sync = KT_SYNC_INLINE;
    assert_int_equal(kt_log_open(&log, &self->log, NULL), KT_OK);
    options.local.log = self->log;
    options.local.log_name = names[0];
    options.local.board = &self->board;
    options.local.waker = &self->waker;
    options.local.clock_ns = clock_of;
    options.local.clock_ctx = self;
    assert_int_equal(kt_bus_open(&options, &self->bus, NULL), KT_OK);
    assert_int_equal(kt_bus_serve(self->bus, KT_TEXT("do.later"), on_call, self, NULL), KT_OK);
    relink(self, TWO);
    relink(self, THREE);
    return 0;
}

static int teardown(void **state)
{
    world *self = *state;

    kt_bus_close(self->bus);
    kt_log_close(self->log, NULL);
    kt_board_close(&self->board);
    for (int i = 0; i < 3; i++)
        kt_peer_link_close(&self->far[i]);
    free(self);
    return 0;
}

static void call(world *self, const char *to, uint64_t id)
{
    kt_bus_call_spec spec = { .action = KT_TEXT("any.thing"), .to = to, .id = id, .on_answer = on_answer, .ctx = self };

    assert_int_equal(kt_bus_call_start(self->bus, &spec, NULL, NULL), KT_OK);
}

/* The next frame that lane one sent there. */
static kt_bus_frame_head sent(world *self, uint32_t peer)
{
    static uint8_t bytes[KT_PEER_RING_FRAME_MAX];
    uint32_t size;
    kt_bus_frame frame;

    assert_int_equal(kt_peer_ring_pop(&self->far[peer].in, bytes, sizeof bytes, &size), KT_OK);
    assert_int_equal(kt_bus_frame_take(bytes, size, &frame), KT_OK);
    return frame.head;
}

static void answer(world *self, uint32_t peer, uint64_t token, uint64_t id)
{
    kt_bus_frame_head head = {
        .magic = KT_BUS_FRAME_MAGIC, .what = KT_BUS_FRAME_ANSWER, .token = token, .id = id, .code = KT_OK
    };

    assert_int_equal(kt_peer_ring_push(&self->far[peer].out, &head, sizeof head, NULL, 0), KT_OK);
    kt_bus_poll(self->bus);
}

static void ask(world *self, uint32_t peer, uint64_t id)
{
    static const char action[] = "do.later";
    kt_bus_frame_head head = { .magic = KT_BUS_FRAME_MAGIC,
        .what = KT_BUS_FRAME_CALL,
        .token = id,
        .id = id,
        .timeout_ns = 500,
        .action_size = sizeof action - 1 };

    assert_int_equal(kt_peer_ring_push(&self->far[peer].out, &head, sizeof head, action, sizeof action - 1), KT_OK);
    kt_bus_poll(self->bus);
}

static void only_the_lane_that_was_asked_answers_and_only_this_call(void **state)
{
    world *self = *state;

    call(self, "two", 77);
    kt_bus_frame_head asked = sent(self, TWO);
    answer(self, THREE, asked.token, asked.id);
    answer(self, TWO, asked.token, asked.id + 1);
    answer(self, TWO, asked.token + 1, asked.id);
    answer(self, TWO, UINT64_MAX, asked.id);
    assert_int_equal(self->ends, 0);
    answer(self, TWO, asked.token, asked.id);
    assert_int_equal(self->ends, 1);
    call(self, "two", 77); /* the same command again, in the same place */
    answer(self, TWO, asked.token, asked.id);
    assert_int_equal(self->ends, 1);
    kt_bus_frame_head again = sent(self, TWO);
    answer(self, TWO, again.token, again.id);
    assert_int_equal(self->ends, 2);
}

static void a_new_generation_ends_the_calls_of_that_lane_and_no_others(void **state)
{
    world *self = *state;

    call(self, "two", 0);
    call(self, "three", 0);
    kt_bus_frame_head two = sent(self, TWO), three = sent(self, THREE);
    ask(self, TWO, 5);
    assert_false(kt_bus_pending(self->bus));
    relink(self, TWO);
    assert_int_equal(self->ends, 0); /* told by the next poll, not from within */
    assert_true(kt_bus_pending(self->bus));
    answer(self, TWO, two.token, two.id); /* of a generation that has ended */
    assert_int_equal(self->ends, 1);
    assert_int_equal(self->code, KT_UNKNOWN);
    assert_false(kt_bus_pending(self->bus));
    assert_int_equal(kt_bus_answer(self->bus, self->token, KT_OK, KT_TEXT("{}")), KT_NOENT);
    answer(self, THREE, three.token, three.id);
    assert_int_equal(self->ends, 2);
    assert_int_equal(self->code, KT_OK);
}

static void what_is_open_when_the_bus_closes_is_unknown(void **state)
{
    world *self = *state;

    call(self, "two", 0);
    kt_bus_close(self->bus);
    self->bus = NULL;
    assert_int_equal(self->ends, 1);
    assert_int_equal(self->code, KT_UNKNOWN);
}

static void more_calls_than_fit_are_answered_busy(void **state)
{
    world *self = *state;

    for (uint64_t i = 1; i <= KT_BUS_CALL_MAX; i++)
        ask(self, TWO, i);
    assert_int_equal(self->calls, KT_BUS_CALL_MAX);
    ask(self, TWO, 9999);
    assert_int_equal(self->calls, KT_BUS_CALL_MAX);
    kt_bus_frame_head refused = sent(self, TWO);
    assert_int_equal(refused.code, KT_BUSY);
    assert_int_equal(refused.token, 9999);
    self->now_ns += 500; /* nobody waits for the others any more */
    kt_bus_poll(self->bus);
    ask(self, TWO, 10000);
    assert_int_equal(self->calls, KT_BUS_CALL_MAX + 1);
}

static void a_question_to_the_own_lane_is_answered_in_the_same_poll(void **state)
{
    world *self = *state;
    kt_bus_call_spec spec = { .action = KT_TEXT("do.now"), .on_answer = on_answer, .ctx = self };

    assert_int_equal(kt_bus_serve(self->bus, KT_TEXT("do.now"), answer_now, self, NULL), KT_OK);
    assert_int_equal(kt_bus_call_start(self->bus, &spec, NULL, NULL), KT_OK);
    assert_int_equal(self->calls, 0);
    kt_bus_poll(self->bus);
    assert_int_equal(self->calls, 1);
    assert_int_equal(self->ends, 1);
    assert_int_equal(self->code, KT_OK);
    assert_false(kt_bus_pending(self->bus));
}

/* A call of this lane to itself, as the test remembers it. */
typedef struct kept {
    world *world;
    uint64_t id;
    uint64_t token; /* 0: not asked yet */
    int64_t deadline_ns;
    bool open;
} kept;

static kept kept_calls[KT_BUS_CALL_MAX];

static void keep_token(void *ctx, const kt_bus_call *call)
{
    kept_calls[call->id - 1].token = call->token;
}

static void on_kept_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    kept *one = ctx;
    bool late = one->deadline_ns <= one->world->now_ns;
    char own[24];

    snprintf(own, sizeof own, "%llu", (unsigned long long)id);
    assert_true(one->open);
    assert_int_equal(id, one->id);
    assert_int_equal(code, late ? KT_TIMEOUT : KT_OK);
    assert_true(late || kt_text_equal(body, kt_text_of(own)));
    one->open = false;
    one->world->ends++;
}

static void begin(world *self, uint64_t id, int64_t timeout_ns)
{
    kept *one = &kept_calls[id - 1];
    kt_bus_call_spec spec = {
        .action = KT_TEXT("do.kept"), .id = id, .timeout_ns = timeout_ns, .on_answer = on_kept_answer, .ctx = one
    };

    *one = (kept){ .world = self, .id = id, .deadline_ns = self->now_ns + timeout_ns, .open = true };
    assert_int_equal(kt_bus_call_start(self->bus, &spec, NULL, NULL), KT_OK);
    kt_bus_poll(self->bus);
    assert_int_not_equal(one->token, 0);
}

static void calls_end_in_any_order_each_once_and_with_its_own_answer(void **state)
{
    world *self = *state;
    uint32_t begun = 0, rounds = kt_test_cases(20000);
    char body[24];
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    assert_int_equal(kt_bus_serve(self->bus, KT_TEXT("do.kept"), keep_token, self, NULL), KT_OK);
    for (uint32_t i = 0; i < rounds; i++) {
        kept *one = &kept_calls[kt_rng_below(&rng, 200)];
        int64_t first_ns = INT64_MAX;

        if (!one->open) {
            begin(self, (uint64_t)(one - kept_calls) + 1, 1 + (int64_t)kt_rng_below(&rng, 2000));
            begun++;
        } else {
            kt_text answer = { body, (size_t)snprintf(body, sizeof body, "%llu", (unsigned long long)one->id) };
            assert_int_equal(kt_bus_answer(self->bus, one->token, KT_OK, answer), KT_OK);
            assert_int_equal(kt_bus_answer(self->bus, one->token, KT_OK, answer), KT_NOENT);
            kt_bus_poll(self->bus);
            assert_false(one->open);
        }
        self->now_ns += (int64_t)kt_rng_below(&rng, 10);
        kt_bus_poll(self->bus);
        for (uint32_t k = 0; k < 200; k++)
            if (kept_calls[k].open && kept_calls[k].deadline_ns < first_ns)
                first_ns = kept_calls[k].deadline_ns;
        assert_int_equal(kt_bus_next_deadline(self->bus), first_ns);
        assert_true(first_ns > self->now_ns);
    }
    self->now_ns += 3000;
    kt_bus_poll(self->bus);
    assert_int_equal(self->ends, begun);
    assert_int_equal(kt_bus_next_deadline(self->bus), INT64_MAX);
}

static void an_answer_too_long_for_a_ring_is_told_as_such(void **state)
{
    static char body[KT_PEER_RING_FRAME_MAX];
    world *self = *state;

    ask(self, TWO, 5);
    kt_bus_answer(self->bus, self->token, KT_OK, (kt_text){ body, sizeof body });
    assert_int_equal(sent(self, TWO).code, KT_LIMIT);
}

static void a_ring_that_the_other_side_broke_is_no_way_to_it(void **state)
{
    world *self = *state;
    kt_bus_call_spec spec = { .action = KT_TEXT("any.thing"), .to = "two", .on_answer = on_answer, .ctx = self };

    memset((char *)self->far[TWO].mem + TAIL_AT, 0xff, 8); /* of the ring that lane one writes */
    assert_int_equal(kt_bus_call_start(self->bus, &spec, NULL, NULL), KT_NOENT);
    relink(self, TWO); /* until the next generation */
    assert_int_equal(kt_bus_call_start(self->bus, &spec, NULL, NULL), KT_OK);
}

static void a_ring_to_no_lane_is_refused_and_closed(void **state)
{
    world *self = *state;
    int fd;

    assert_int_equal(kt_peer_link_create(KT_PEER_RING_CAPACITY, &fd, NULL), KT_OK);
    assert_int_equal(kt_bus_link(self->bus, KT_BOARD_LANE_MAX, 9, fd, NULL), KT_ARG);
    assert_int_equal(close(fd), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_lane_that_was_asked_answers_and_only_this_call, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_generation_ends_the_calls_of_that_lane_and_no_others, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_open_when_the_bus_closes_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(more_calls_than_fit_are_answered_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_to_the_own_lane_is_answered_in_the_same_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_end_in_any_order_each_once_and_with_its_own_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_too_long_for_a_ring_is_told_as_such, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_that_the_other_side_broke_is_no_way_to_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_to_no_lane_is_refused_and_closed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
