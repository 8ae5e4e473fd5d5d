#include "bus/caller.h"

#include "base/test_util.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TRY_LOG_MAX = 1024 };

/* The other side: what was sent when, and what becomes of it. */
typedef struct world {
    kt_caller *caller;
    int64_t now_ns;
    uint64_t chance;
    kt_code sending; /* what sending gives */
    bool at_once;    /* answer from within sending */
    kt_code at_once_code;
    uint32_t try_count;
    struct {
        uint64_t id;
        int64_t at_ms, timeout_ms;
        char params[16], trace[16];
    } tries[TRY_LOG_MAX];
    uint32_t answer_count;
    kt_caller_answer last;
    char body[64];
    uint64_t answered[TRY_LOG_MAX]; /* ids in order */
} world;

static world the;

static kt_code send_one(void *ctx, const kt_caller_try *one)
{
    assert_true(the.try_count < TRY_LOG_MAX);
    the.tries[the.try_count].id = one->id;
    the.tries[the.try_count].at_ms = the.now_ns / KT_NS_PER_MS;
    the.tries[the.try_count].timeout_ms = one->timeout_ns / KT_NS_PER_MS;
    snprintf(the.tries[the.try_count].params, sizeof the.tries[0].params, "%.*s", KT_TEXT_ARG(one->params));
    snprintf(the.tries[the.try_count].trace, sizeof the.tries[0].trace, "%.*s", KT_TEXT_ARG(one->trace));
    the.try_count++;
    if (the.at_once)
        kt_caller_answer_try(the.caller, the.now_ns, one->id, the.at_once_code, KT_TEXT("{}"));
    return the.sending;
}

static uint64_t chance(void *ctx)
{
    return the.chance;
}

static void on_answer(void *ctx, const kt_caller_answer *answer)
{
    the.last = *answer;
    snprintf(the.body, sizeof the.body, "%.*s", KT_TEXT_ARG(answer->body));
    the.answered[the.answer_count++ % TRY_LOG_MAX] = answer->id;
}

static int open_world(void **state)
{
    the = (world){ .now_ns = 1000 * KT_NS_PER_S };
    the.caller = kt_caller_new(&(kt_caller_options){ .send = send_one, .random = chance });
    assert_non_null(the.caller);
    return 0;
}

static int close_world(void **state)
{
    kt_caller_free(the.caller, NULL);
    return 0;
}

static uint64_t call_for(kt_action_index action, int64_t time_ms)
{
    char params[] = "{}", trace[] = "t1"; /* copied: gone when this returns */

    return kt_caller_start(the.caller, the.now_ns,
        &(kt_caller_spec){ .action = action,
            .params = kt_text_of(params),
            .trace = kt_text_of(trace),
            .deadline_ns = the.now_ns + time_ms * KT_NS_PER_MS,
            .on_answer = on_answer });
}

static uint64_t call(void)
{
    return call_for(KT_ACTION_store_query, 2000);
}

/* Let time pass, doing what is due when it is due. */
static void pass(int64_t ms)
{
    int64_t end_ns = the.now_ns + ms * KT_NS_PER_MS;

    while (kt_caller_next(the.caller) <= end_ns) {
        int64_t next_ns = kt_caller_next(the.caller);
        the.now_ns = next_ns > the.now_ns ? next_ns : the.now_ns;
        kt_caller_turn(the.caller, the.now_ns);
    }
    the.now_ns = end_ns;
}

static kt_breaker breaker(void)
{
    return kt_caller_count(the.caller, the.now_ns, KT_ACTION_store_query).breaker;
}

static void an_answer_comes_through(void **state)
{
    uint64_t id = call();

    assert_true(id != 0);
    assert_int_equal(the.try_count, 1);
    assert_string_equal(the.tries[0].params, "{}");
    assert_string_equal(the.tries[0].trace, "t1");
    assert_int_equal(the.tries[0].timeout_ms, 2000);
    assert_int_equal(kt_caller_count(the.caller, the.now_ns, KT_ACTION_store_query).open, 1);
    kt_caller_answer_try(the.caller, the.now_ns, id, KT_OK, KT_TEXT("{\"a\":1}"));
    assert_int_equal(the.answer_count, 1);
    assert_int_equal(the.last.end, KT_CALLER_ANSWERED);
    assert_string_equal(the.body, "{\"a\":1}");
    assert_int_equal(kt_caller_count(the.caller, the.now_ns, KT_ACTION_store_query).open, 0);
    kt_caller_answer_try(the.caller, the.now_ns, id, KT_OK, KT_TEXT("again"));
    assert_int_equal(the.answer_count, 1);
    assert_true(kt_caller_next(the.caller) == INT64_MAX);
}

static void an_answer_from_within_sending_comes_through(void **state)
{
    the.at_once = true;
    assert_int_equal(call(), 0);
    assert_int_equal(the.answer_count, 1);
    assert_int_equal(the.last.code, KT_OK);
}

/* 100 ms and twice as long each time, five tries; each told what time is left. */
static void what_could_not_be_sent_is_tried_again(void **state)
{
    static const int64_t at_ms[] = { 0, 100, 300, 700, 1500 };
    static const int64_t at_most_ms[] = { 0, 149, 449, 1049, 1649 };

    the.sending = KT_NOENT;
    call();
    pass(1999);
    assert_int_equal(the.try_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(the.tries[i].at_ms - 1000000, at_ms[i]);
        assert_int_equal(the.tries[i].timeout_ms, 2000 - at_ms[i]);
        assert_true(the.tries[i].id == the.tries[0].id);
    }
    assert_int_equal(the.answer_count, 1);
    assert_int_equal(the.last.code, KT_BUSY);
    assert_int_equal(the.last.end, KT_CALLER_ABSENT);
    assert_int_equal(the.last.tries, 5);
    assert_int_equal(kt_caller_count(the.caller, the.now_ns, KT_ACTION_store_query).retries, 4);

    close_world(state);
    open_world(state);
    the.sending = KT_NOENT;
    the.chance = 49999999; /* of 50,000,000: the longest first wait */
    call_for(KT_ACTION_store_query, 60000);
    pass(59999);
    assert_int_equal(the.try_count, 5);
    for (uint32_t i = 0; i < 4; i++)
        assert_in_range(the.tries[i].at_ms - 1000000, at_ms[i], at_most_ms[i]);
}

static void a_try_that_succeeds_ends_it(void **state)
{
    the.sending = KT_BUSY;
    call();
    pass(250);
    the.sending = KT_OK;
    the.at_once = true;
    pass(100);
    assert_int_equal(the.try_count, 3);
    assert_int_equal(the.last.code, KT_OK);
    assert_int_equal(the.last.tries, 3);
}

/* What may have been done is repeated only where that does no harm. */
static void an_unknown_outcome(void **state)
{
    static const struct {
        const char *name;
        kt_action_index action;
        uint32_t tries;
        kt_caller_end end;
    } rows[] = {
        { "of what may be repeated", KT_ACTION_store_query, 2, KT_CALLER_ANSWERED },
        { "of what may not", KT_ACTION_config_put, 1, KT_CALLER_GONE },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].name);
        close_world(state);
        open_world(state);
        uint64_t id = call_for(rows[i].action, 2000);
        kt_caller_answer_try(the.caller, the.now_ns, id, KT_UNKNOWN, (kt_text){ NULL, 0 });
        the.at_once = true;
        pass(1000);
        assert_int_equal(the.try_count, rows[i].tries);
        assert_int_equal(the.last.end, rows[i].end);
        assert_int_equal(the.answer_count, 1);
    }
}

/* No such value, a wrong parameter: that is what the action says, and it would say it again. */
static void refusals_are_answers(void **state)
{
    static const kt_code codes[] = { KT_NOENT, KT_EMPTY, KT_ARG, KT_RANGE, KT_SYNTAX, KT_LIMIT, KT_SEQ };

    for (uint32_t i = 0; i < 100; i++) {
        uint64_t id = call();
        kt_caller_answer_try(the.caller, the.now_ns, id, codes[i % KT_COUNT(codes)], KT_TEXT("no"));
        assert_int_equal(the.last.code, codes[i % KT_COUNT(codes)]);
        assert_int_equal(the.last.end, KT_CALLER_ANSWERED);
        assert_int_equal(the.last.tries, 1);
    }
    assert_int_equal(breaker(), KT_BREAKER_CLOSED);
}

/* The bus says so when the lane is there but does not know the action (yet). */
static void no_such_action_there_is_tried_again(void **state)
{
    uint64_t id = call();

    kt_caller_answer_try(the.caller, the.now_ns, id, KT_NOENT, (kt_text){ NULL, 0 });
    assert_int_equal(the.answer_count, 0);
    pass(100);
    assert_int_equal(the.try_count, 2);
}

static void a_deadline_in_the_past_sends_nothing(void **state)
{
    assert_int_equal(call_for(KT_ACTION_store_query, 0), 0);
    assert_int_equal(call_for(KT_ACTION_store_query, -5), 0);
    assert_int_equal(the.try_count, 0);
    assert_int_equal(the.answer_count, 2);
    assert_int_equal(the.last.code, KT_TIMEOUT);
    assert_int_equal(the.last.end, KT_CALLER_LATE);
}

static void the_deadline_ends_it_wherever_it_is(void **state)
{
    uint64_t id = call_for(KT_ACTION_store_query, 500); /* sent */

    pass(499);
    assert_int_equal(the.answer_count, 0);
    pass(1);
    assert_int_equal(the.answer_count, 1);
    assert_int_equal(the.last.code, KT_TIMEOUT);
    kt_caller_answer_try(the.caller, the.now_ns, id, KT_OK, KT_TEXT("late"));
    assert_int_equal(the.answer_count, 1);

    the.sending = KT_BUSY;
    call_for(KT_ACTION_store_query, 500); /* the third wait would end behind the deadline: no use in waiting */
    pass(300);
    assert_int_equal(the.answer_count, 2);
    assert_int_equal(the.last.end, KT_CALLER_ABSENT);
    assert_int_equal(the.last.tries, 3);

    the.sending = KT_OK;
    for (int i = 0; i < KT_CALLER_OPEN_MAX; i++)
        call_for(KT_ACTION_store_tables, 5000);
    call_for(KT_ACTION_store_tables, 500); /* queued */
    pass(500);
    assert_int_equal(the.answer_count, 3);
    assert_int_equal(the.last.end, KT_CALLER_LATE);
    assert_int_equal(the.last.tries, 0);
}

static void slow_ones_do_not_crowd_out_others(void **state)
{
    uint64_t first = call();

    for (int i = 1; i < KT_CALLER_OPEN_MAX + KT_CALLER_QUEUE_MAX; i++)
        assert_true(call() != 0);
    assert_int_equal(the.try_count, KT_CALLER_OPEN_MAX);
    assert_int_equal(call(), 0);
    assert_int_equal(the.last.end, KT_CALLER_FULL);
    assert_int_equal(the.last.code, KT_BUSY);
    assert_true(call_for(KT_ACTION_store_tables, 2000) != 0);
    assert_int_equal(the.try_count, KT_CALLER_OPEN_MAX + 1);
    kt_caller_answer_try(the.caller, the.now_ns, first, KT_OK, KT_TEXT("{}"));
    assert_int_equal(the.try_count, KT_CALLER_OPEN_MAX + 2);
    for (uint32_t i = 0; i < the.try_count - 1; i++) { /* in the order in which they came */
        if (i != KT_CALLER_OPEN_MAX)
            kt_caller_answer_try(the.caller, the.now_ns, the.tries[i].id, KT_OK, KT_TEXT("{}"));
    }
    for (uint32_t i = KT_CALLER_OPEN_MAX + 2; i < the.try_count; i++)
        assert_true(the.tries[i].id > the.tries[i - 1].id);
}

static void try_and_fail(int count, kt_code code)
{
    for (int i = 0; i < count; i++) {
        uint64_t id = call();
        kt_caller_answer_try(the.caller, the.now_ns, id, code, KT_TEXT("no"));
    }
}

static void the_breaker_opens_when_half_have_failed(void **state)
{
    try_and_fail(10, KT_OK);
    try_and_fail(9, KT_SYS);
    assert_int_equal(breaker(), KT_BREAKER_CLOSED); /* 19 are too few to judge */
    try_and_fail(1, KT_SYS);
    assert_int_equal(breaker(), KT_BREAKER_OPEN);
    the.try_count = 0;
    assert_int_equal(call(), 0);
    assert_int_equal(the.try_count, 0);
    assert_int_equal(the.last.end, KT_CALLER_CLOSED);
    assert_true(call_for(KT_ACTION_store_tables, 2000) != 0); /* others are not concerned */
    pass(9999);
    assert_int_equal(breaker(), KT_BREAKER_OPEN);
    pass(1);
    assert_int_equal(breaker(), KT_BREAKER_HALF_OPEN);
}

static void one_failure_of_many_does_not_open_it(void **state)
{
    for (int i = 0; i < 30; i++) {
        try_and_fail(11, KT_OK);
        try_and_fail(10, KT_SYS);
    }
    assert_int_equal(breaker(), KT_BREAKER_CLOSED);
}

static void one_call_is_let_through_to_see(void **state)
{
    try_and_fail(20, KT_SYS);
    pass(10000);
    uint64_t probe = call();
    assert_true(probe != 0);
    assert_int_equal(call(), 0);
    assert_int_equal(the.last.end, KT_CALLER_CLOSED);
    kt_caller_answer_try(the.caller, the.now_ns, probe, KT_SYS, KT_TEXT("no"));
    assert_int_equal(breaker(), KT_BREAKER_OPEN);
    pass(10000);
    probe = call();
    kt_caller_answer_try(the.caller, the.now_ns, probe, KT_OK, KT_TEXT("{}"));
    assert_int_equal(breaker(), KT_BREAKER_CLOSED);
    try_and_fail(19, KT_SYS); /* what was before it counts no more */
    assert_int_equal(breaker(), KT_BREAKER_CLOSED);
    try_and_fail(1, KT_SYS);
    assert_int_equal(breaker(), KT_BREAKER_OPEN);
}

/* A probe that is never answered is a failed one. */
static void a_silent_probe_opens_it_again(void **state)
{
    try_and_fail(20, KT_SYS);
    pass(10000);
    assert_true(call() != 0);
    pass(2000);
    assert_int_equal(the.last.end, KT_CALLER_LATE);
    assert_int_equal(breaker(), KT_BREAKER_OPEN);
}

/* A probe that was never asked has said nothing about the other side: the next call is the probe. */
static void a_probe_that_is_not_sent_leaves_its_turn_to_the_next(void **state)
{
    try_and_fail(20, KT_SYS);
    pass(10000);
    the.sending = KT_LIMIT; /* not sent, for good */
    assert_int_equal(call(), 0);
    assert_int_equal(the.last.end, KT_CALLER_ANSWERED);
    assert_int_equal(the.last.code, KT_LIMIT);
    assert_int_equal(breaker(), KT_BREAKER_HALF_OPEN);
    the.sending = KT_OK;
    uint64_t probe = call();
    assert_true(probe != 0);
    kt_caller_answer_try(the.caller, the.now_ns, probe, KT_OK, KT_TEXT("{}"));
    assert_int_equal(breaker(), KT_BREAKER_CLOSED);

    close_world(state);
    open_world(state);
    for (int i = 0; i < KT_CALLER_OPEN_MAX + 20; i++)
        call_for(KT_ACTION_store_query, 60000);
    for (int i = 0; i < 20; i++)
        kt_caller_answer_try(the.caller, the.now_ns, the.tries[i].id, KT_SYS, KT_TEXT("no"));
    assert_int_equal(breaker(), KT_BREAKER_OPEN);
    pass(10000);
    the.try_count = the.answer_count = 0;
    assert_true(call_for(KT_ACTION_store_query, 500) != 0); /* waits for one of those that are under way */
    assert_int_equal(call(), 0);
    assert_int_equal(the.last.end, KT_CALLER_CLOSED);
    pass(500);
    assert_int_equal(the.try_count, 0);
    assert_int_equal(the.answer_count, 2);
    assert_int_equal(the.last.end, KT_CALLER_LATE);
    assert_int_equal(breaker(), KT_BREAKER_HALF_OPEN);
    assert_true(call() != 0);
}

static void failures_are_forgotten_after_a_minute(void **state)
{
    try_and_fail(19, KT_SYS);
    pass(60000);
    try_and_fail(1, KT_SYS);
    assert_int_equal(breaker(), KT_BREAKER_CLOSED);
}

/* Whatever happens, each call is answered once, and nothing is left behind. */
static void random_calls_are_answered_once(void **state)
{
    static const kt_code codes[] = { KT_OK, KT_NOENT, KT_BUSY, KT_UNKNOWN, KT_SYS, KT_TIMEOUT };
    uint64_t seed = kt_test_seed();
    uint32_t started = 0;

    for (uint32_t i = 0; i < kt_test_cases(20000); i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint32_t dice = (uint32_t)(seed >> 33);
        the.chance = dice;
        the.sending = dice % 5 == 0 ? KT_BUSY : dice % 97 == 0 ? KT_LIMIT : KT_OK;
        if (the.try_count > TRY_LOG_MAX - 50)
            the.try_count = 0;
        switch (dice / 128 % 4) {
        case 0:
        case 1:
            call_for(dice / 512 % KT_ACTION_COUNT, dice / 1024 % 3000);
            started++;
            break;
        case 2:
            if (the.try_count > 0)
                kt_caller_answer_try(the.caller, the.now_ns, the.tries[dice / 512 % the.try_count].id,
                    codes[dice / 64 % KT_COUNT(codes)], dice % 2 ? KT_TEXT("{}") : (kt_text){ NULL, 0 });
            break;
        case 3:
            the.now_ns += dice / 512 % 50 * KT_NS_PER_MS;
            kt_caller_turn(the.caller, the.now_ns);
        }
    }
    for (int i = 0; i < 100; i++) {
        the.try_count = 0;
        the.now_ns += 100 * KT_NS_PER_MS;
        kt_caller_turn(the.caller, the.now_ns);
    }
    assert_int_equal(the.answer_count, started);
    assert_true(kt_caller_next(the.caller) == INT64_MAX);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        assert_int_equal(kt_caller_count(the.caller, the.now_ns, i).open, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answer_comes_through),
        CASE(an_answer_from_within_sending_comes_through),
        CASE(what_could_not_be_sent_is_tried_again),
        CASE(a_try_that_succeeds_ends_it),
        CASE(an_unknown_outcome),
        CASE(refusals_are_answers),
        CASE(no_such_action_there_is_tried_again),
        CASE(a_deadline_in_the_past_sends_nothing),
        CASE(the_deadline_ends_it_wherever_it_is),
        CASE(slow_ones_do_not_crowd_out_others),
        CASE(the_breaker_opens_when_half_have_failed),
        CASE(one_failure_of_many_does_not_open_it),
        CASE(one_call_is_let_through_to_see),
        CASE(a_silent_probe_opens_it_again),
        CASE(a_probe_that_is_not_sent_leaves_its_turn_to_the_next),
        CASE(failures_are_forgotten_after_a_minute),
        CASE(random_calls_are_answered_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
