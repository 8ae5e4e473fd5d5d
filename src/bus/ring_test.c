/* Rings between processes (reference: log.md 8). */
#include "bus/ring.h"

#include "base/rng.h"
#include "base/test_util.h"
#include "bus/board.h"
#include "bus/frame.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 4096 };

typedef struct pair {
    void *mem;
    kt_peer_ring writer, reader;
} pair;

static void pair_open(pair *self)
{
    self->mem = aligned_alloc(4096, kt_peer_ring_size(CAPACITY));
    memset(self->mem, 0, kt_peer_ring_size(CAPACITY));
    assert_int_equal(kt_peer_ring_init(&self->writer, self->mem, CAPACITY, true, NULL), KT_OK);
    assert_int_equal(kt_peer_ring_init(&self->reader, self->mem, CAPACITY, false, NULL), KT_OK);
}

static void messages_come_out_whole_and_in_order(void **state)
{
    pair self;
    kt_rng rng;
    uint8_t out[CAPACITY], message[1024];
    uint32_t size, pushed = 0, popped = 0;

    pair_open(&self);
    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_test_cases(100000); i++) {
        if (kt_rng_chance(&rng, 0.5)) {
            uint32_t n = 1 + pushed * 7919 % 900;
            memset(message, (int)(pushed & 255), n);
            if (kt_peer_ring_push(&self.writer, message, n / 2, message, n - n / 2) == KT_OK)
                pushed++;
        } else if (kt_peer_ring_pop(&self.reader, out, sizeof out, &size) == KT_OK) {
            assert_int_equal(size, 1 + popped * 7919 % 900);
            assert_true(out[0] == (popped & 255) && out[size - 1] == (popped & 255));
            popped++;
        }
    }
    assert_true(popped > 100);
    free(self.mem);
}

static void a_full_ring_answers_busy_and_changes_nothing(void **state)
{
    pair self;
    uint8_t message[1000] = { 1 }, out[1000];
    uint32_t size, count = 0;

    pair_open(&self);
    while (kt_peer_ring_push(&self.writer, message, sizeof message, NULL, 0) == KT_OK)
        count++;
    assert_int_equal(count, 4);
    assert_int_equal(kt_peer_ring_push(&self.writer, message, sizeof message, NULL, 0), KT_BUSY);
    while (kt_peer_ring_pop(&self.reader, out, sizeof out, &size) == KT_OK)
        count--;
    assert_int_equal(count, 0);
    assert_int_equal(kt_peer_ring_push(&self.writer, message, sizeof message, NULL, 0), KT_OK);
    assert_int_equal(kt_peer_ring_push(&self.writer, message, 0, NULL, 0), KT_ARG);
    assert_int_equal(kt_peer_ring_push(&self.writer, message, KT_PEER_RING_FRAME_MAX + 1, NULL, 0), KT_ARG);
    free(self.mem);
}

/* What the other side may have written: heads, tails and sizes that break a rule. */
static void contents_are_checked_like_bytes_from_outside(void **state)
{
    static const struct {
        const char *rule;
        size_t at; /* 0: head, 64: tail, 4096: first frame's size */
        uint64_t value;
        bool push;
    } rows[] = {
        { "head more than the capacity ahead", 0, CAPACITY + 8, false },
        { "head behind", 0, UINT64_MAX - 7, false },
        { "head not aligned", 0, 76, false }, /* behind the whole first frame */
        { "size zero", 4096, 0, false },
        { "size beyond what was written", 4096, 4000, false },
        { "size beyond every bound", 4096, UINT32_MAX, false },
        { "tail ahead of the head", 64, 4096, true },
        { "tail not aligned", 64, 3, true },
    };
    uint8_t message[64] = { 7 }, out[64];
    uint32_t size;

    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair self;
        pair_open(&self);
        assert_int_equal(kt_peer_ring_push(&self.writer, message, sizeof message, NULL, 0), KT_OK);
        memcpy((char *)self.mem + rows[i].at, &rows[i].value, rows[i].at == 4096 ? 4 : 8);
        kt_code code = rows[i].push ? kt_peer_ring_push(&self.writer, message, sizeof message, NULL, 0)
                                    : kt_peer_ring_pop(&self.reader, out, sizeof out, &size);
        if (code != KT_CORRUPT)
            fail_msg("%s: %s", rows[i].rule, kt_code_text(code));
        if (!rows[i].push)
            assert_false(kt_peer_ring_ready(&self.reader)); /* broken for good: it does not keep the lane busy */
        free(self.mem);
    }
}

static void a_link_is_checked_before_it_is_mapped(void **state)
{
    kt_peer_link link, other;
    int fd;

    assert_int_equal(kt_peer_link_create(CAPACITY, &fd, NULL), KT_OK);
    assert_true(ftruncate(fd, 100) != 0); /* sealed: no SIGBUS for the other side */
    assert_int_equal(kt_peer_link_open(&link, fd, 2 * CAPACITY, true, NULL), KT_CORRUPT);
    assert_int_equal(kt_peer_link_open(&link, fd, CAPACITY, true, NULL), KT_OK);
    assert_int_equal(kt_peer_link_open(&other, fd, CAPACITY, false, NULL), KT_OK);
    uint8_t out[8];
    uint32_t size;
    assert_int_equal(kt_peer_ring_push(&link.out, "there", 5, NULL, 0), KT_OK);
    assert_int_equal(kt_peer_ring_push(&other.out, "back", 4, NULL, 0), KT_OK);
    assert_int_equal(kt_peer_ring_pop(&other.in, out, sizeof out, &size), KT_OK);
    assert_memory_equal(out, "there", 5);
    assert_int_equal(kt_peer_ring_pop(&link.in, out, sizeof out, &size), KT_OK);
    assert_memory_equal(out, "back", 4);
    kt_peer_link_close(&link);
    kt_peer_link_close(&other);
    close(fd);
    fd = memfd_create("unsealed", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)(2 * kt_peer_ring_size(CAPACITY))), 0);
    assert_int_equal(kt_peer_link_open(&link, fd, CAPACITY, true, NULL), KT_CORRUPT);
    close(fd);
}

static void it_carries_messages_between_processes(void **state)
{
    kt_peer_link link;
    uint32_t count = kt_test_cases(200000), size;
    int fd, status;

    assert_int_equal(kt_peer_link_create(CAPACITY, &fd, NULL), KT_OK);
    pid_t pid = fork();
    if (pid == 0) {
        if (kt_peer_link_open(&link, fd, CAPACITY, false, NULL) != KT_OK)
            _exit(1);
        for (uint32_t i = 0; i < count;)
            if (kt_peer_ring_push(&link.out, &i, sizeof i, &i, sizeof i) == KT_OK)
                i++;
        _exit(0);
    }
    assert_int_equal(kt_peer_link_open(&link, fd, CAPACITY, true, NULL), KT_OK);
    int64_t until = kt_test_now_ns() + INT64_C(60000000000);
    for (uint32_t i = 0; i < count;) {
        uint32_t got[2];
        if (kt_peer_ring_pop(&link.in, got, sizeof got, &size) == KT_OK) {
            assert_true(size == 8 && got[0] == i && got[1] == i);
            i++;
        } else {
            assert_true(kt_test_now_ns() < until);
        }
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    kt_peer_link_close(&link);
    close(fd);
}

static void frames_are_checked_before_use(void **state)
{
    struct {
        kt_bus_frame_head head;
        char rest[16];
    } good = { .head = { .magic = KT_BUS_FRAME_MAGIC,
                   .what = KT_BUS_FRAME_CALL,
                   .timeout_ns = 1,
                   .action_size = 3,
                   .trace_size = 2,
                   .body_size = 4 },
        .rest = "a.bt1{}  " };
    size_t size = sizeof good.head + 9;
    kt_bus_frame frame;

    assert_int_equal(kt_bus_frame_take(&good, size, &frame), KT_OK);
    assert_true(kt_text_equal(frame.action, KT_TEXT("a.b")));
    assert_true(kt_text_equal(frame.trace, KT_TEXT("t1")));
    assert_true(kt_text_equal(frame.body, KT_TEXT("{}  ")));
    assert_int_equal(kt_bus_frame_take(&good, size - 1, &frame), KT_CORRUPT);
    assert_int_equal(kt_bus_frame_take(&good, 10, &frame), KT_CORRUPT);
    for (int i = 0; i < 6; i++) {
        kt_bus_frame_head bad = good.head;
        bad.magic += i == 0;
        bad.what = i == 1 ? 3 : bad.what;
        bad.timeout_ns = i == 2 ? -1 : bad.timeout_ns;
        bad.action_size = i == 3 ? UINT32_MAX : i == 4 ? 0 : bad.action_size;
        bad.body_size = i == 3 ? 8 : i == 4 ? 7 : bad.body_size;
        bad.what = i == 5 ? KT_BUS_FRAME_ANSWER : bad.what; /* an answer names no action */
        char bytes[sizeof good];
        memcpy(bytes, &good, sizeof good);
        memcpy(bytes, &bad, sizeof bad);
        assert_int_equal(kt_bus_frame_take(bytes, size, &frame), KT_CORRUPT);
    }
}

static void a_message_larger_than_the_room_stays_and_one_beyond_the_bound_breaks_the_ring(void **state)
{
    static uint8_t message[KT_PEER_RING_FRAME_MAX], out[KT_PEER_RING_FRAME_MAX + 8];
    kt_peer_link here, there;
    uint32_t size, beyond = KT_PEER_RING_FRAME_MAX + 1;
    int fd;

    assert_int_equal(kt_peer_link_create(KT_PEER_RING_CAPACITY, &fd, NULL), KT_OK);
    assert_int_equal(kt_peer_link_open(&here, fd, KT_PEER_RING_CAPACITY, true, NULL), KT_OK);
    assert_int_equal(kt_peer_link_open(&there, fd, KT_PEER_RING_CAPACITY, false, NULL), KT_OK);
    assert_int_equal(kt_peer_ring_push(&here.out, message, 100, NULL, 0), KT_OK);
    assert_int_equal(kt_peer_ring_pop(&there.in, out, 99, &size), KT_FULL);
    assert_int_equal(kt_peer_ring_pop(&there.in, out, 100, &size), KT_OK);
    assert_int_equal(size, 100);
    assert_int_equal(kt_peer_ring_push(&here.out, message, sizeof message - 8, NULL, 0), KT_OK);
    assert_int_equal(kt_peer_ring_push(&here.out, message, 100, NULL, 0), KT_OK);
    memcpy((char *)here.mem + 4096 + 104, &beyond, sizeof beyond); /* the second's size, with enough behind it */
    assert_int_equal(kt_peer_ring_pop(&there.in, out, sizeof out, &size), KT_CORRUPT);
    kt_peer_link_close(&here);
    kt_peer_link_close(&there);
    close(fd);
}

static void each_number_of_a_frame_has_its_bounds(void **state)
{
    static const kt_bus_frame_head call = {
        .magic = KT_BUS_FRAME_MAGIC, .what = KT_BUS_FRAME_CALL, .timeout_ns = 1, .action_size = 3, .body_size = 4
    };
    static const kt_bus_frame_head answer = {
        .magic = KT_BUS_FRAME_MAGIC, .what = KT_BUS_FRAME_ANSWER, .code = KT_CODE_COUNT - 1, .body_size = 4
    };
    struct {
        const char *number;
        kt_bus_frame_head head;
        size_t size;
        kt_code code;
    } rows[] = {
        { "a call", call, sizeof call + 7, KT_OK },
        { "an answer", answer, sizeof answer + 4, KT_OK },
        { "neither", answer, sizeof answer + 4, KT_CORRUPT },
        { "the longest action", call, sizeof call + KT_BOARD_ACTION_SIZE + 3, KT_OK },
        { "one longer", call, sizeof call + KT_BOARD_ACTION_SIZE + 4, KT_CORRUPT },
        { "the longest timeout", call, sizeof call + 7, KT_OK },
        { "one longer", call, sizeof call + 7, KT_CORRUPT },
        { "no timeout", call, sizeof call + 7, KT_CORRUPT },
        { "no such code", answer, sizeof answer + 4, KT_CORRUPT },
        { "an answer that names an action", answer, sizeof answer + 7, KT_CORRUPT },
        { "a body shorter than it says", call, sizeof call + 6, KT_CORRUPT },
        { "shorter than a head", call, 10, KT_CORRUPT },
    };
    char bytes[256] = { 0 };
    kt_bus_frame frame;

    rows[2].head.what = 3;
    rows[3].head.action_size = KT_BOARD_ACTION_SIZE - 1;
    rows[4].head.action_size = KT_BOARD_ACTION_SIZE;
    rows[5].head.timeout_ns = KT_BUS_FRAME_TIMEOUT_MAX_NS;
    rows[6].head.timeout_ns = KT_BUS_FRAME_TIMEOUT_MAX_NS + 1;
    rows[7].head.timeout_ns = 0;
    rows[8].head.code = KT_CODE_COUNT;
    rows[9].head.action_size = 3;
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        memcpy(bytes, &rows[i].head, sizeof rows[i].head);
        void *copy = kt_guard_copy(bytes, rows[i].size);
        kt_code code = kt_bus_frame_take(copy, rows[i].size, &frame);
        kt_guard_free(copy, rows[i].size);
        if (code != rows[i].code)
            fail_msg("%s: %s", rows[i].number, kt_code_text(code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_whole_and_in_order),
        cmocka_unit_test(a_full_ring_answers_busy_and_changes_nothing),
        cmocka_unit_test(contents_are_checked_like_bytes_from_outside),
        cmocka_unit_test(a_link_is_checked_before_it_is_mapped),
        cmocka_unit_test(it_carries_messages_between_processes),
        cmocka_unit_test(frames_are_checked_before_use),
        cmocka_unit_test(a_message_larger_than_the_room_stays_and_one_beyond_the_bound_breaks_the_ring),
        cmocka_unit_test(each_number_of_a_frame_has_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
