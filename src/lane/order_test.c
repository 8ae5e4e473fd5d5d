/* What a lane does in which order, at which time, and how far (reference: log.md 5). */
#include "lane/script.h"

#include "base/hash.h"
#include "base/test_util.h"
#include "base/text.h"
#include "lane/state.h"
#include "lane/test_service.h"

#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_S = 60 };

/* The disk of this program: it can be told not to sync, or not yet. */
static bool sync_fails;
static _Atomic bool sync_waits;

static int sync_by(long call, int fd)
{
    while (atomic_load(&sync_waits))
        usleep(1000);
    if (!sync_fails)
        return (int)syscall(call, fd);
    errno = EIO;
    return -1;
}

int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}

static int setup(void **state)
{
    kt_test_mood_now = (kt_test_mood){ 0 };
    sync_fails = false;
    return 0;
}

/* ---- two services, one of which also sees what the other makes ---- */

static void say(kt_env *env, const char *subject)
{
    kt_ev_feed_stats stats;

    kt_event_init(KT_EV_FEED_STATS, &stats);
    stats.market_time = kt_env_now(env);
    kt_env_emit(env, KT_EV_FEED_STATS, kt_text_of(subject), &stats);
}

static void on_first(void *state, kt_env *env, const kt_event *event)
{
    say(env, "a.one");
    say(env, "a.two");
}

static void on_second(void *state, kt_env *env, const kt_event *event)
{
    kt_text part = kt_subject_part(event->subject, 1);
    char subject[64];

    snprintf(subject, sizeof subject, "b.%.*s", KT_TEXT_ARG(part));
    say(env, subject);
}

static const char *const first_subjects[] = { "feed.>", "market:feed.>", NULL };
static const char *const second_subjects[] = { "feed.>", "market:feed.>", "a.>", NULL };
static const kt_service_spec first = { .name = "first", .subjects = first_subjects, .on_event = on_first };
static const kt_service_spec second = { .name = "second", .subjects = second_subjects, .on_event = on_second };
static const kt_service_spec *const pipeline[] = { &first, &second, NULL };
static const kt_service_spec *const counter[] = { &kt_test_counter, NULL };
static const kt_service_spec *const foreign_counter[] = { &kt_test_foreign_counter, NULL };

typedef struct trail {
    char subjects[256];
    int64_t time_ns; /* of all of them */
} trail;

static void follow(void *ctx, const kt_event *event)
{
    trail *self = ctx;
    size_t n = strlen(self->subjects);
    kt_ev_feed_stats stats;

    assert_int_equal(kt_event_decode(KT_EV_FEED_STATS, event->payload, event->size, &stats), KT_OK);
    assert_int_equal(event->rec->time_ns, self->time_ns);
    assert_int_equal(stats.market_time, self->time_ns);
    snprintf(self->subjects + n, sizeof self->subjects - n, "%.*s ", KT_TEXT_ARG(event->subject));
}

static void foreign_ticks(kt_script *script, const char *subject, uint64_t from, uint64_t to)
{
    char id[32];

    for (uint64_t i = from; i <= to; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        kt_script_foreign(script, 100 + (int64_t)i, KT_EV_TICK, kt_text_of(subject), &tick);
    }
}

static void turns(kt_script *script, int count)
{
    for (int i = 0; i < count; i++)
        kt_script_turn(script);
}

static kt_test_counting *counting_of(kt_script *script)
{
    return kt_lane_service_state(script->lane, "counter");
}

/* ---- order and time ---- */

static void services_are_asked_in_the_order_of_the_table_then_offered_what_was_made(void **state)
{
    for (int is_foreign = 0; is_foreign < 2; is_foreign++) {
        kt_script script;
        trail all = { .time_ns = is_foreign ? 101 : 9000 };
        kt_script_open(&script, &(kt_script_options){ .services = pipeline, .foreign = "market" });
        script.now_ns = 9000; /* of the admit, which is not the time of what it admits */
        if (is_foreign)
            foreign_ticks(&script, "feed.sim", 1, 1);
        else
            kt_test_tick(&script, 9000, 1);
        turns(&script, 1);
        kt_script_each(&script, ">", follow, &all);
        assert_string_equal(all.subjects, "a.one a.two b.sim b.one b.two ");
        kt_script_close(&script);
    }
}

static void the_time_of_an_input_is_never_before_that_of_the_one_before(void **state)
{
    kt_script script;
    trail all = { .time_ns = 1000 };

    kt_script_open(&script, &(kt_script_options){ .services = pipeline, .foreign = "market" });
    kt_test_tick(&script, 1000, 1);
    script.now_ns = 400; /* somebody sets the clock */
    kt_test_tick(&script, 400, 2);
    assert_int_equal(kt_script_each(&script, ">", follow, &all), 10);
    kt_script_close(&script);
}

/* ---- other logs ---- */

static void records_that_nobody_wants_are_passed_over_without_an_admit(void **state)
{
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = foreign_counter, .foreign = "market" });
    uint64_t written = kt_log_written(kt_lane_log(script.lane));
    foreign_ticks(&script, "other.sim", 1, 20);
    turns(&script, 3);
    assert_int_equal(kt_log_written(kt_lane_log(script.lane)), written);
    foreign_ticks(&script, "feed.sim", 21, 21);
    turns(&script, 1);
    assert_int_equal(counting_of(&script)->count, 1);
    kt_script_close(&script);
}

/* Open the lane of a script again with other options. */
static void reopen(kt_script *script, const kt_lane_options *options)
{
    bool park;
    kt_err err = { 0 };

    kt_lane_close(script->lane, false);
    if (kt_lane_open(options, &script->lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

static void what_could_not_be_admitted_for_want_of_room_is_admitted_later(void **state)
{
    kt_script script;
    char path[700];

    kt_script_open(&script,
        &(kt_script_options){
            .services = foreign_counter, .foreign = "market", .turn_max = 8, .segment_size = KT_SEGMENT_SIZE_MIN });
    kt_lane_options options = script.lane->options;
    options.inline_sync = false; /* the log's thread does not wait for room */
    reopen(&script, &options);
    for (int serial = 1; serial <= 64; serial++) { /* folders where segments would be made */
        snprintf(path, sizeof path, "%s/test/ready-%d.tmp", script.dir, serial);
        mkdir(path, 0755);
    }
    foreign_ticks(&script, "feed.sim", 1, 2000);
    while (!kt_log_intake_stopped(kt_lane_log(script.lane)))
        turns(&script, 1);
    assert_true(counting_of(&script)->count < 2000);
    turns(&script, 3);
    for (int serial = 1; serial <= 64; serial++) {
        snprintf(path, sizeof path, "%s/test/ready-%d.tmp", script.dir, serial);
        rmdir(path);
    }
    assert_true(KT_TEST_WAIT((turns(&script, 1), counting_of(&script)->count == 2000), WAIT_S));
    assert_int_equal(counting_of(&script)->sum, 2000 * 2001 / 2);
    assert_int_equal(counting_of(&script)->lost, 0);
    kt_script_close(&script);
}

static void a_cursor_is_safe_only_up_to_a_snapshot_on_disk(void **state)
{
    kt_script script;
    kt_cursor_position at = { 0 };

    kt_script_open(&script,
        &(kt_script_options){
            .services = foreign_counter, .foreign = "market", .turn_max = 8, .segment_size = KT_SEGMENT_SIZE_MIN });
    foreign_ticks(&script, "feed.sim", 1, 4000);
    for (int i = 0; i < 4000 && at.safe == 0; i++) {
        turns(&script, 1);
        at = kt_cursor_get(script.lane->sources[0].cursor);
    }
    assert_true(at.safe > 0);
    assert_int_equal(kt_lane_count(script.lane)->snapshots, 1);
    assert_true(at.seq > at.safe); /* applied since, and not in it */
    kt_script_restart(&script, false);
    assert_true(script.lane->sources[0].position >= at.seq);
    kt_script_close(&script);
}

static void a_snapshot_on_its_way_is_waited_for(void **state)
{
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = foreign_counter, .foreign = "market" });
    kt_lane_options options = script.lane->options;
    options.inline_sync = false;
    reopen(&script, &options);
    foreign_ticks(&script, "feed.sim", 1, 3);
    turns(&script, 1);
    atomic_store(&sync_waits, true);
    assert_int_equal(kt_lane_snapshot(script.lane, NULL), KT_OK);
    uint64_t seq = script.lane->snapshot_seq;
    turns(&script, 5);
    assert_int_equal(script.lane->snapshot_seq, seq);
    assert_int_equal(kt_lane_snapshot(script.lane, NULL), KT_BUSY);
    assert_int_equal(kt_cursor_get(script.lane->sources[0].cursor).safe, 0);
    atomic_store(&sync_waits, false);
    assert_true(KT_TEST_WAIT((turns(&script, 1), script.lane->snapshot_seq == 0), WAIT_S));
    assert_true(kt_cursor_get(script.lane->sources[0].cursor).safe > 0);
    kt_script_close(&script);
}

/* What the supervisor has a lane write: a record by its seq, or (seq 0) a raw message by its hash. */
static void set_aside(kt_script *script, uint64_t seq, uint64_t hash)
{
    kt_ev_set_aside aside;
    uint8_t payload[512];
    uint32_t size;
    kt_rec rec;

    kt_event_init(KT_EV_SET_ASIDE, &aside);
    aside.log = kt_text_of(seq != 0 ? "test" : "");
    aside.seq = seq;
    aside.hash = hash;
    assert_int_equal(kt_event_encode(KT_EV_SET_ASIDE, &aside, payload, sizeof payload, &size), KT_OK);
    assert_int_equal(kt_lane_append(script->lane, KT_EV_SET_ASIDE, KT_REC_CONTROL, KT_TEXT("lane.set_aside.test"), 0,
                         payload, size, &rec),
        KT_OK);
}

/* It was applied once, and killed the lane only in recoveries. */
static void outputs_of_what_is_set_aside_later_stand(void **state)
{
    kt_script script;
    char id[32];
    uint64_t seq = 0;

    kt_script_open(&script, &(kt_script_options){ .services = counter });
    for (uint64_t i = 1; i <= 2; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        seq = kt_script_input(&script, 1000, KT_EV_TICK, KT_TEXT("feed.sim"), &tick);
    }
    set_aside(&script, seq, 0);
    kt_script_restart(&script, false);
    assert_int_equal(counting_of(&script)->count, 1);
    assert_int_equal(kt_lane_count(script.lane)->set_aside, 1);
    assert_int_equal(kt_lane_count(script.lane)->compared, 1);
    assert_int_equal(kt_lane_count(script.lane)->uncompared, 1);
    assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 2);
    kt_script_close(&script);
}

/* The size above the CRC-32C, which for these nine digits is the check value that catalogues of CRCs give. The hash stands in
 * logs, so it is the same in every version. */
static void a_raw_message_is_set_aside_by_size_and_checksum_and_no_other_is(void **state)
{
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = counter });
    set_aside(&script, 0, UINT64_C(0x9E3069283));
    for (int clean = 0; clean < 2; clean++) { /* read from the log, then from a snapshot */
        kt_script_restart(&script, clean != 0);
        kt_lane *lane = script.lane;
        assert_false(kt_lane_decoding(lane, "123456789", 9));
        assert_int_equal(kt_lane_count(lane)->set_aside, 1);
        assert_int_equal(atomic_load(&lane->page->decoding_hash), 0); /* nobody dies of it again */
        assert_true(kt_lane_decoding(lane, "12345678", 8));
        assert_int_equal(atomic_load(&lane->page->decoding_hash) >> 32, 8);
        kt_lane_decoded(lane);
        assert_int_equal(atomic_load(&lane->page->decoding_hash), 0);
        assert_int_equal(kt_lane_count(lane)->set_aside, 1);
    }
    kt_script_close(&script);
}

static uint64_t hash_of(uint32_t number)
{
    return kt_crc32c(0, &number, sizeof number) | UINT64_C(4) << 32;
}

static void of_too_many_that_are_set_aside_the_oldest_comes_back(void **state)
{
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = counter });
    for (uint32_t i = 0; i < KT_LANE_ASIDE_MAX + 1; i++)
        set_aside(&script, 0, hash_of(i));
    for (int clean = 0; clean < 2; clean++) {
        kt_script_restart(&script, clean != 0);
        for (uint32_t i = 0; i < KT_LANE_ASIDE_MAX + 1; i++)
            if (kt_lane_decoding(script.lane, &i, sizeof i) != (i == 0))
                fail_msg("message %u of %u", i, KT_LANE_ASIDE_MAX + 1);
        assert_int_equal(kt_lane_count(script.lane)->set_aside, KT_LANE_ASIDE_MAX);
    }
    kt_script_close(&script);
}

/* ---- feeds, answers ---- */

typedef struct watcher {
    uint32_t outputs;
} watcher;
static watcher soon, later;

static kt_code soon_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = &soon;
    return KT_OK;
}

static kt_code later_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = &later;
    return KT_OK;
}

static void on_output(void *state, const kt_event *event)
{
    ((watcher *)state)->outputs++;
}

static void a_feed_that_asks_for_it_sees_outputs_when_they_are_durable(void **state)
{
    static const char *const wanted[] = { "stats.>", NULL };
    static const kt_feed_spec specs[] = {
        { .name = "soon", .start = soon_start, .outputs = wanted, .on_output = on_output },
        { .name = "later", .start = later_start, .outputs = wanted, .on_output = on_output, .after_durable = true },
    };
    static const kt_feed_spec *const feeds[] = { &specs[0], &specs[1], NULL };
    kt_script script;

    soon = later = (watcher){ 0 };
    kt_script_open(&script, &(kt_script_options){ .services = counter });
    kt_lane_options options = script.lane->options;
    options.feeds = feeds;
    reopen(&script, &options);
    turns(&script, 1);
    kt_test_tick(&script, 1000, 1);
    turns(&script, 1); /* synced at its end */
    assert_int_equal(soon.outputs, 1);
    assert_int_equal(later.outputs, 0);
    turns(&script, 1);
    assert_int_equal(later.outputs, 1);
    kt_script_close(&script);
}

static void on_counted(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    assert_int_equal(code, KT_OK);
    ++*(uint32_t *)ctx;
}

static void the_answer_to_a_command_waits_until_the_command_is_durable(void **state)
{
    kt_script script;
    uint32_t answers = 0;
    kt_bus_call_spec call = { .action = KT_TEXT("count.add"), .on_answer = on_counted, .ctx = &answers };

    kt_script_open(&script, &(kt_script_options){ .services = counter });
    kt_lane_options options = script.lane->options;
    options.inline_sync = false;
    reopen(&script, &options);
    kt_log *log = kt_lane_log(script.lane);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    atomic_store(&sync_waits, true);
    assert_int_equal(kt_bus_call_start(kt_lane_bus(script.lane), &call, NULL, NULL), KT_OK);
    turns(&script, 20);
    assert_int_equal(counting_of(&script)->count, 1);
    assert_true(kt_log_durable(log) < kt_log_written(log));
    assert_int_equal(answers, 0);
    atomic_store(&sync_waits, false);
    assert_true(KT_TEST_WAIT((turns(&script, 1), answers == 1), WAIT_S));
    assert_int_equal(kt_log_durable(log), kt_log_written(log));
    kt_script_close(&script);
}

static kt_call waiting;

static kt_code take_call(void *state, kt_env *env, const kt_call *call)
{
    waiting = *call;
    return KT_OK;
}

static void answer_call(void *state, kt_env *env, const kt_event *event)
{
    kt_env_answer(env, &waiting, KT_OK, KT_TEXT("done"));
}

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    assert_int_equal(code, KT_OK);
    assert_true(kt_text_equal(body, KT_TEXT("done")));
    ++*(uint32_t *)ctx;
}

static void a_command_may_be_answered_later(void **state)
{
    static const char *const subjects[] = { "feed.>", NULL };
    static const kt_service_action actions[] = { { "slow.do", true }, { NULL, false } };
    static const kt_service_spec slow = {
        .name = "slow", .subjects = subjects, .actions = actions, .on_call = take_call, .on_event = answer_call
    };
    static const kt_service_spec *const services[] = { &slow, NULL };
    kt_script script;
    uint32_t answers = 0;
    kt_bus_call_spec call = { .action = KT_TEXT("slow.do"), .on_answer = on_answer, .ctx = &answers };

    kt_script_open(&script, &(kt_script_options){ .services = services });
    assert_int_equal(kt_bus_call_start(kt_lane_bus(script.lane), &call, NULL, NULL), KT_OK);
    turns(&script, 4);
    assert_int_equal(answers, 0);
    kt_test_tick(&script, 1000, 1);
    turns(&script, 2);
    assert_int_equal(answers, 1);
    kt_script_close(&script);
}

/* ---- what ends a lane ---- */

static void a_failed_sync_ends_the_lane_and_the_next_start_has_all_that_was_written(void **state)
{
    kt_script script;
    kt_err err = { 0 };

    kt_script_open(&script, &(kt_script_options){ .services = counter });
    kt_lane_options options = script.lane->options;
    kt_test_tick(&script, 1000, 1);
    sync_fails = true;
    assert_int_equal(kt_lane_turn(script.lane, 0, &err), KT_SYS);
    assert_non_null(strstr(err.msg, "the disk does not sync log 'test'"));
    sync_fails = false;
    reopen(&script, &options);
    assert_int_equal(counting_of(&script)->count, 1);
    assert_int_equal(kt_lane_count(script.lane)->compared, 1);
    kt_script_close(&script);
}

static void a_failed_lane_takes_nothing_more(void **state)
{
    kt_script script;
    char id[32];
    kt_ev_tick tick = kt_test_tick_of(1, id);

    kt_script_open(&script, &(kt_script_options){ .services = counter });
    kt_lane_fail(script.lane, false, "the first reason");
    kt_lane_fail(script.lane, true, "and another");
    uint64_t written = kt_log_written(kt_lane_log(script.lane));
    assert_int_equal(kt_lane_input(script.lane, KT_EV_TICK, KT_TEXT("feed.sim"), 0, &tick, NULL), KT_SYS);
    assert_int_equal(kt_log_written(kt_lane_log(script.lane)), written);
    kt_err err = { 0 };
    assert_int_equal(kt_lane_turn(script.lane, 0, &err), KT_SYS);
    assert_string_equal(err.msg, "the first reason");
    kt_script_close(&script);
}

static void on_end(void *ctx, uint64_t id, kt_code code, kt_text body)
{
}

static void on_bad(void *state, kt_env *env, const kt_event *event)
{
    say(env, "not a subject");
}

static kt_code ask_bad(void *state, kt_env *env, const kt_call *call)
{
    say(env, "stats.sim"); /* a question changes nothing */
    kt_env_answer(env, call, KT_OK, KT_TEXT("done"));
    return KT_OK;
}

static void an_output_that_can_not_be_made_ends_the_lane_whatever_the_service_does_with_the_code(void **state)
{
    static const char *const subjects[] = { "feed.>", NULL };
    static const kt_service_action actions[] = { { "bad.ask", false }, { NULL, false } };
    static const kt_service_spec bad = {
        .name = "bad", .subjects = subjects, .actions = actions, .on_call = ask_bad, .on_event = on_bad
    };
    static const kt_service_spec *const services[] = { &bad, NULL };

    for (int asked = 0; asked < 2; asked++) {
        kt_script script;
        kt_err err = { 0 };
        char id[32];
        kt_script_open(&script, &(kt_script_options){ .services = services });
        kt_bus_call_spec call = { .action = KT_TEXT("bad.ask"), .on_answer = on_end };
        kt_ev_tick tick = kt_test_tick_of(1, id);
        if (asked)
            assert_int_equal(kt_bus_call_start(kt_lane_bus(script.lane), &call, NULL, NULL), KT_OK);
        else
            assert_int_equal(kt_lane_input(script.lane, KT_EV_TICK, KT_TEXT("feed.sim"), 0, &tick, NULL), KT_SYS);
        assert_int_equal(kt_lane_turn(script.lane, 0, &err), KT_SYS);
        assert_non_null(strstr(err.msg, "service bad can not emit"));
        assert_int_equal(kt_script_each(&script, ">", NULL, NULL), 0);
        kt_script_close(&script);
    }
}

static void subjects_that_leave_after_durable_are_declared_so(void **state)
{
    static const char *const after[] = { "a.one", NULL };
    static const kt_service_spec careful = {
        .name = "first", .subjects = first_subjects, .on_event = on_first, .after_durable = after
    };
    static const kt_service_spec *const services[] = { &careful, NULL };
    kt_script script;
    uint32_t one, two;

    kt_script_open(&script, &(kt_script_options){ .services = services, .foreign = "market" });
    kt_test_tick(&script, 1000, 1);
    kt_log *log = kt_lane_log(script.lane);
    assert_int_equal(kt_log_subject_find(log, KT_TEXT("a.one"), &one), KT_OK);
    assert_int_equal(kt_log_subject_find(log, KT_TEXT("a.two"), &two), KT_OK);
    assert_int_equal(kt_log_subject_info_of(log, one).flags, KT_SUBJECT_AFTER_DURABLE);
    assert_int_equal(kt_log_subject_info_of(log, two).flags, 0);
    kt_script_close(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(services_are_asked_in_the_order_of_the_table_then_offered_what_was_made, setup),
        cmocka_unit_test_setup(the_time_of_an_input_is_never_before_that_of_the_one_before, setup),
        cmocka_unit_test_setup(records_that_nobody_wants_are_passed_over_without_an_admit, setup),
        cmocka_unit_test_setup(what_could_not_be_admitted_for_want_of_room_is_admitted_later, setup),
        cmocka_unit_test_setup(a_cursor_is_safe_only_up_to_a_snapshot_on_disk, setup),
        cmocka_unit_test_setup(a_snapshot_on_its_way_is_waited_for, setup),
        cmocka_unit_test_setup(outputs_of_what_is_set_aside_later_stand, setup),
        cmocka_unit_test_setup(a_raw_message_is_set_aside_by_size_and_checksum_and_no_other_is, setup),
        cmocka_unit_test_setup(of_too_many_that_are_set_aside_the_oldest_comes_back, setup),
        cmocka_unit_test_setup(a_feed_that_asks_for_it_sees_outputs_when_they_are_durable, setup),
        cmocka_unit_test_setup(the_answer_to_a_command_waits_until_the_command_is_durable, setup),
        cmocka_unit_test_setup(a_command_may_be_answered_later, setup),
        cmocka_unit_test_setup(a_failed_sync_ends_the_lane_and_the_next_start_has_all_that_was_written, setup),
        cmocka_unit_test_setup(a_failed_lane_takes_nothing_more, setup),
        cmocka_unit_test_setup(
            an_output_that_can_not_be_made_ends_the_lane_whatever_the_service_does_with_the_code, setup),
        cmocka_unit_test_setup(subjects_that_leave_after_durable_are_declared_so, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
