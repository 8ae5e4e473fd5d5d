/* One lane, turn by turn, without processes: order, env, recovery (reference: log.md 5 and 6). */
#include "lane/script.h"

#include "base/test_util.h"
#include "base/text.h"
#include "lane/state.h"
#include "lane/test_service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const kt_service_spec *const services[] = { &kt_test_counter, NULL };
static const kt_service_spec *const foreign[] = { &kt_test_foreign_counter, NULL };

static int setup(void **state)
{
    kt_test_mood_now = (kt_test_mood){ 0 };
    return 0;
}

static kt_test_counting *counting_of(kt_script *script)
{
    return kt_lane_service_state(script->lane, "counter");
}

static void see_times(void *ctx, const kt_event *event)
{
    int64_t *expected = ctx;
    kt_ev_feed_stats stats;

    assert_int_equal(kt_event_decode(KT_EV_FEED_STATS, event->payload, event->size, &stats), KT_OK);
    assert_int_equal(event->rec->time_ns, *expected);
    assert_int_equal(stats.market_time, *expected);
    assert_true(event->rec->cause > 0 && event->rec->cause < event->rec->seq);
    (*expected)++;
}

static void env_time_and_output_time_are_those_of_the_record_applied(void **state)
{
    kt_script script;
    int64_t expected = 1000;

    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (int i = 0; i < 8; i++)
        kt_test_tick(&script, 1000 + i, 1 + (uint64_t)i);
    assert_int_equal(kt_script_each(&script, "stats.sim.count", see_times, &expected), 8);
    kt_script_close(&script);
}

static void recovery_compares_what_stands_and_writes_nothing_twice(void **state)
{
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (int i = 0; i < 9; i++)
        kt_test_tick(&script, 1000 + i, (uint64_t)i);
    kt_script_restart(&script, false);
    assert_int_equal(kt_lane_count(script.lane)->compared, 12);
    assert_int_equal(kt_lane_count(script.lane)->completed, 0);
    assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 12);
    assert_int_equal(counting_of(&script)->count, 9);
    assert_int_equal(counting_of(&script)->starts, 2);
    kt_script_close(&script);
}

/* Leave behind a log whose last input has only some of its outputs, as a kill between two appends does. */
static void recovery_writes_the_missing_outputs(void **state)
{
    for (uint32_t stand = 0; stand < 2; stand++) {
        kt_script script;
        kt_made kept;
        kt_script_open(&script, &(kt_script_options){ .services = services });
        kt_test_tick(&script, 1000, 1);
        kt_test_tick(&script, 1001, 2);
        /* The input of the third, by hand, and the first `stand` of its two outputs as they will be made. */
        char id[32];
        kt_ev_tick tick = kt_test_tick_of(3, id);
        kt_rec rec;
        uint32_t size;
        script.now_ns = 1002;
        assert_int_equal(
            kt_event_encode(KT_EV_TICK, &tick, script.lane->scratch, script.lane->scratch_size, &size), KT_OK);
        assert_int_equal(kt_lane_append(script.lane, KT_EV_TICK, KT_REC_INPUT, KT_TEXT("feed.sim.BTC"), 0,
                             script.lane->scratch, size, &rec),
            KT_OK);
        script.lane->live = false; /* applied, but not written */
        kt_lane_apply(script.lane, &rec, KT_TEXT("feed.sim.BTC"), script.lane->scratch, size);
        assert_int_equal(script.lane->made.count, 2);
        kept = script.lane->made.items[0];
        if (stand == 1)
            assert_int_equal(kt_lane_write_made(script.lane, &kept), KT_OK);
        kt_script_restart(&script, false);
        assert_int_equal(kt_lane_count(script.lane)->completed, 2 - stand);
        assert_int_equal(kt_lane_count(script.lane)->compared, 2 + stand);
        assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 4);
        kt_script_restart(&script, false);
        assert_int_equal(kt_lane_count(script.lane)->compared, 4);
        kt_script_close(&script);
    }
}

/* Open the script's folder again by hand, and say how it went. */
static kt_code reopen(kt_script *script, uint32_t logic, kt_lane **out_lane, bool *out_park, kt_err *err)
{
    kt_lane_options options = script->lane->options;

    kt_lane_close(script->lane, false);
    script->lane = NULL;
    options.logic = logic;
    return kt_lane_open(&options, out_lane, out_park, err);
}

static void a_difference_is_a_divergence_event_and_parks(void **state)
{
    kt_script script;
    kt_lane *lane = NULL;
    kt_err err = { 0 };
    bool park = false;

    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_test_tick(&script, 1000, 1);
    kt_test_mood_now.add = 5;
    assert_int_equal(reopen(&script, 0, &lane, &park, &err), KT_CORRUPT);
    assert_true(park);
    assert_non_null(strstr(err.msg, "diverges at input"));

    char dir[600];
    kt_reader *reader = NULL;
    const kt_rec *rec;
    uint32_t events = 0;
    snprintf(dir, sizeof dir, "%s/test", script.dir);
    static const uint8_t boot_id[16] = "script of a test";
    assert_int_equal(kt_reader_open(dir, boot_id, &reader, NULL), KT_OK);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
        events += rec->kind == KT_EV_DIVERGENCE;
    kt_reader_close(reader);
    assert_int_equal(events, 1);
}

/* The input of a tick by hand, and its first output as the counter will make it, as the row changes it. */
static void every_field_of_an_output_that_stands_is_compared(void **state)
{
    static const struct {
        const char *field;
        int64_t time;
        int cause, kind, cut, flip, more, less;
        const char *subject;
    } rows[] = {
        { "none" },
        { "time", .time = 1 },
        { "cause", .cause = -1 },
        { "kind", .kind = KT_EV_ALERT - KT_EV_FEED_STATS },
        { "subject", .subject = "stats.sim.other" },
        { "payload", .flip = 1 },
        { "its size", .cut = 8 },
        { "one more than was made", .more = 1 },
        { "one less, and another input", .less = 1 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_script script;
        kt_lane *lane = NULL;
        kt_err err = { 0 };
        bool park = false;
        char id[32];
        uint32_t size;
        kt_rec rec;
        uint8_t payload[1024];
        kt_script_open(&script, &(kt_script_options){ .services = services });
        kt_test_tick(&script, 999, 1); /* declares the subjects */
        kt_lane *own = script.lane;
        kt_ev_tick tick = kt_test_tick_of(2, id);
        script.now_ns = 1000;
        assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, own->scratch, own->scratch_size, &size), KT_OK);
        assert_int_equal(
            kt_lane_append(own, KT_EV_TICK, KT_REC_INPUT, KT_TEXT("feed.sim.BTC"), 0, own->scratch, size, &rec), KT_OK);
        own->live = false; /* applied, but not written */
        kt_lane_apply(own, &rec, KT_TEXT("feed.sim.BTC"), own->scratch, size);
        assert_int_equal(own->made.count, 1);
        const kt_made *made = &own->made.items[0];
        kt_rec_head head = { .kind = (uint16_t)(made->kind + rows[i].kind),
            .flags = KT_REC_OUTPUT,
            .time_ns = made->time_ns + rows[i].time,
            .cause = rec.seq + (uint64_t)(int64_t)rows[i].cause };
        const char *subject = rows[i].subject != NULL ? rows[i].subject : "stats.sim.count";
        assert_int_equal(kt_log_subject(own->log, kt_text_of(subject), 0, &head.subject, NULL), KT_OK);
        memcpy(payload, made->payload, made->size);
        payload[made->size / 2] ^= (uint8_t)rows[i].flip;
        for (int n = 0; n < 1 + rows[i].more - rows[i].less; n++)
            assert_int_equal(kt_log_append(own->log, &head, payload, made->size - (uint32_t)rows[i].cut, NULL), KT_OK);
        own->live = true;
        if (rows[i].less != 0) {
            kt_lane_begin(own, rec.seq);
            kt_test_tick(&script, 1001, 3);
        }
        kt_code code = reopen(&script, 0, &lane, &park, &err);
        if (code != (i == 0 ? KT_OK : KT_CORRUPT) || park != (i != 0))
            fail_msg("%s: %s", rows[i].field, kt_code_text(code));
        kt_lane_close(lane, false);
    }
}

static void outputs_of_changed_logic_or_configuration_stand_and_are_not_compared(void **state)
{
    static const struct {
        uint32_t logic;
        const char *config;
        bool snapshot; /* behind the start, which is not applied again then */
    } rows[] = { { 1, "", false }, { 1, "", true }, { 0, "another: 1", false }, { 0, "another: 1", true } };

    for (size_t row = 0; row < KT_COUNT(rows); row++) {
        kt_script script;
        kt_err err = { 0 };
        bool park = false;
        uint32_t old = rows[row].snapshot ? 4 : 6;
        kt_script_open(&script, &(kt_script_options){ .services = services });
        kt_lane_options options = script.lane->options;
        for (int i = 0; i < 5; i++) {
            if (i == 2 && rows[row].snapshot)
                assert_int_equal(kt_lane_snapshot(script.lane, NULL), KT_OK);
            kt_test_tick(&script, 1000 + i, (uint64_t)i);
        }
        kt_script_turn(&script);
        kt_test_mood_now.add = 5;
        options.logic = rows[row].logic;
        options.config_text = kt_text_of(rows[row].config);
        for (int again = 0; again < 2; again++) {
            kt_lane_close(script.lane, false);
            if (kt_lane_open(&options, &script.lane, &park, &err) != KT_OK)
                fail_msg("%s", err.msg);
            assert_int_equal(kt_lane_count(script.lane)->uncompared, old);
            assert_int_equal(kt_lane_count(script.lane)->compared, again == 0 ? 0 : 2); /* from its start on */
            assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), again == 0 ? 6 : 8);
            if (again == 0)
                kt_test_tick(&script, 2000, 9); /* made by the new logic */
        }
        kt_script_close(&script);
        kt_test_mood_now.add = 0;
    }
}

/* The services are others now: what the former ones made of that log is kept, and nothing is added to it. */
static void outputs_made_of_a_log_that_no_service_reads_any_more_stand_and_are_not_compared(void **state)
{
    kt_script script;
    char id[32];

    kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market" });
    for (uint64_t i = 1; i <= 9; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        kt_script_foreign(&script, 100, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), &tick);
    }
    kt_script_turn(&script);
    assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 12);
    script.options.services = services;
    for (uint32_t own = 0; own < 2; own++) {
        kt_script_restart(&script, false);
        assert_int_equal(kt_lane_count(script.lane)->uncompared, 12 + own);
        assert_int_equal(kt_lane_count(script.lane)->compared, 0);
        assert_int_equal(kt_lane_count(script.lane)->completed, 0);
        assert_int_equal(counting_of(&script)->count, own); /* of its own log only */
        kt_test_tick(&script, 1000, 10);
        assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 12 + own + 1);
    }
    kt_script_close(&script);
}

static void an_admit_that_can_not_be_decoded_parks_with_its_number(void **state)
{
    kt_script script;
    kt_lane *lane = NULL;
    char expected[64];
    kt_err err = { 0 };
    bool park = false;
    kt_rec rec;

    kt_script_open(&script, &(kt_script_options){ .services = foreign });
    assert_int_equal(kt_lane_append(script.lane, KT_EV_ADMIT, KT_REC_ADMIT, KT_TEXT("lane.admit.test.market"), 0,
                         "not an admit", 12, &rec),
        KT_OK);
    assert_int_equal(reopen(&script, 0, &lane, &park, &err), KT_CORRUPT);
    assert_true(park);
    snprintf(expected, sizeof expected, "admit %llu of lane 'test' can not be decoded", (unsigned long long)rec.seq);
    assert_string_equal(err.msg, expected);
}

typedef struct key_set {
    uint64_t keys[64];
    uint32_t count;
} key_set;

static void see_key(void *ctx, const kt_event *event)
{
    key_set *all = ctx;
    kt_ev_feed_stats stats;

    assert_int_equal(kt_event_decode(KT_EV_FEED_STATS, event->payload, event->size, &stats), KT_OK);
    for (uint32_t i = 0; i < all->count; i++)
        assert_true(all->keys[i] != stats.reordered);
    all->keys[all->count++] = stats.reordered;
}

static void keys_are_given_out_once_across_logics_that_take_fewer(void **state)
{
    kt_script script;
    key_set all = { 0 };

    kt_test_mood_now.random = true;
    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (int i = 0; i < 10; i++)
        kt_test_tick(&script, 1000 + i, (uint64_t)i);
    kt_test_mood_now.random = false; /* what has taken keys takes none when it is applied again */
    script.options.logic = 1;
    kt_script_restart(&script, false);
    kt_test_mood_now.random = true;
    for (int i = 0; i < 10; i++)
        kt_test_tick(&script, 2000 + i, (uint64_t)i);
    assert_int_equal(kt_script_each(&script, "stats.>", see_key, &all), 13 + 13);
    kt_script_close(&script);
}

static void timers_are_inputs_in_the_order_they_are_due(void **state)
{
    kt_script script;

    kt_test_mood_now.timer_ns = 100;
    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_script_time(&script, 1001);
    assert_int_equal(counting_of(&script)->fired, 10);
    kt_script_restart(&script, false);
    assert_int_equal(counting_of(&script)->fired, 10);
    assert_int_equal(kt_lane_count(script.lane)->compared, 10);
    kt_script_close(&script);
}

static void answers_carry_their_correlation(void **state)
{
    kt_script script;
    kt_ev_answer answer;

    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_event_init(KT_EV_ANSWER, &answer);
    answer.request_id = 7;
    kt_script_answer(&script, 1000, 4711, KT_EV_ANSWER, KT_TEXT("answer.sim"), &answer);
    assert_int_equal(counting_of(&script)->last_cause, 4711);
    kt_script_close(&script);
}

static void random_numbers_and_keys_are_the_same_when_applied_again(void **state)
{
    kt_script script;

    kt_test_mood_now.random = true;
    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (int i = 0; i < 20; i++)
        kt_test_tick(&script, 1000 + i, (uint64_t)i);
    kt_script_restart(&script, false);
    for (int i = 0; i < 20; i++)
        kt_test_tick(&script, 2000 + i, (uint64_t)i);
    kt_script_restart(&script, false);
    assert_int_equal(kt_lane_count(script.lane)->compared, 40 + 13);
    kt_script_close(&script);
}

static void foreign_events_apply_in_the_order_of_the_admits_and_only_when_durable(void **state)
{
    kt_script script;
    char id[32];

    kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market", .turn_max = 3 });
    for (uint64_t i = 1; i <= 10; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        kt_script_foreign(&script, 100 + (int64_t)i, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), &tick);
    }
    /* One more that is written and not durable. */
    kt_ev_tick tick = kt_test_tick_of(11, id);
    uint8_t payload[512];
    uint32_t size;
    kt_rec_head head = { .kind = KT_EV_TICK, .flags = KT_REC_INPUT, .time_ns = 200 };
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, payload, sizeof payload, &size), KT_OK);
    assert_int_equal(kt_log_subject(script.foreign, KT_TEXT("feed.sim.BTC"), 0, &head.subject, NULL), KT_OK);
    assert_int_equal(kt_log_append(script.foreign, &head, payload, size, NULL), KT_OK);
    for (int i = 0; i < 10; i++)
        kt_script_turn(&script);
    assert_int_equal(counting_of(&script)->count, 10);
    kt_script_restart(&script, false);
    assert_int_equal(counting_of(&script)->count, 10);
    assert_int_equal(kt_lane_count(script.lane)->compared, 13);
    assert_int_equal(kt_log_sync(script.foreign, NULL), KT_OK);
    for (int i = 0; i < 3; i++)
        kt_script_turn(&script);
    assert_int_equal(counting_of(&script)->count, 11);
    kt_script_close(&script);
}

static void a_snapshot_names_all_positions_and_shortens_recovery(void **state)
{
    kt_script script;

    kt_test_mood_now.timer_ns = 1 << 20;
    kt_script_open(&script, &(kt_script_options){ .services = services, .segment_size = 1 << 16 });
    for (int i = 0; i < 3000; i++) {
        kt_test_tick(&script, 1000 + i, (uint64_t)i);
        kt_script_turn(&script);
    }
    assert_true(kt_lane_count(script.lane)->snapshots > 0);
    kt_script_restart(&script, false);
    assert_true(kt_lane_count(script.lane)->replayed < 2900);
    assert_int_equal(counting_of(&script)->count, 3000);
    assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 4000);
    kt_script_restart(&script, true);
    assert_int_equal(counting_of(&script)->count, 3000);
    kt_script_restart(&script, true);
    assert_true(
        kt_lane_count(script.lane)->replayed <= 1); /* nothing but the start behind the snapshot of a clean stop */
    kt_script_time(&script, 1 << 22);
    assert_true(counting_of(&script)->fired >= 3); /* the timer was in the snapshots */
    kt_script_close(&script);
}

/* A container as version 1 wrote it: positions of sources without their epochs. */
static const char snapshot_of_version_1[] = "\0\0\0\0"           /* logic */
                                            "\0\0\0\0"           /* checksum of the configuration */
                                            "\5\0\0\0\0\0\0\0"   /* generation */
                                            "\1\0\0\0\0\0\0\0"   /* the state of the random numbers */
                                            "\2\0\0\0\0\0\0\0"   /* ... */
                                            "\3\0\0\0\0\0\0\0"   /* ... */
                                            "\4\0\0\0\0\0\0\0"   /* ... */
                                            "\0\0\2\0\0\0\0\0"   /* keys given out */
                                            "\x64\0\0\0\0\0\0\0" /* time of the last input: 100 */
                                            "\1\0\0\0"           /* one source */
                                            "\6\0\0\0market"     /* ... */
                                            "\x0c\0\0\0\0\0\0\0" /* ... applied up to 12 */
                                            "\1\0\0\0"           /* one timer */
                                            "\7\0\0\0counter"    /* ... of this service */
                                            "\x09\0\0\0\0\0\0\0" /* ... its number */
                                            "\xe8\3\0\0\0\0\0\0" /* ... due at 1000 */
                                            "\1\0\0\0"           /* one record set aside */
                                            "\6\0\0\0market"     /* ... of this log */
                                            "\x0e\0\0\0\0\0\0\0" /* ... at 14 */
                                            "\0\0\0\0\0\0\0\0"   /* ... no raw message */
                                            "\1\0\0\0"           /* one service */
                                            "\7\0\0\0counter"    /* ... */
                                            "\1\0\0\0"           /* ... its version, the one before too */
                                            "\x28\0\0\0"         /* ... 40 bytes of it */
                                            "\x0b\0\0\0\0\0\0\0" /* ticks: 11 */
                                            "\x42\0\0\0\0\0\0\0" /* sum of their numbers: 66 */
                                            "\5\0\0\0\0\0\0\0"   /* starts */
                                            "\2\0\0\0\0\0\0\0"   /* timers */
                                            "\3\0\0\0\0\0\0";    /* answers; C adds the last zero */

static void a_snapshot_of_the_version_before_is_read(void **state)
{
    kt_script script;
    char id[32];
    size_t size = sizeof snapshot_of_version_1;
    void *bytes = malloc(size);

    kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market" });
    for (uint64_t i = 1; i <= 20; i++) { /* seq 2 to 21, behind the declaration of their subject */
        kt_ev_tick tick = kt_test_tick_of(i, id);
        kt_script_foreign(&script, 100, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), &tick);
    }
    memcpy(bytes, snapshot_of_version_1, size);
    kt_log *log = kt_lane_log(script.lane);
    assert_int_equal(kt_log_snapshot(log, kt_log_written(log), 1, bytes, size), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_script_restart(&script, false);
    assert_int_equal(kt_lane_count(script.lane)->replayed, 0);
    assert_int_equal(script.lane->generation, 6);
    assert_int_equal(script.lane->sources[0].epoch, 0); /* not known: not checked */
    kt_script_turn(&script);
    assert_int_equal(counting_of(&script)->count, 11 + 9 - 1); /* 13 to 21, but for the one that is set aside */
    assert_int_equal(kt_lane_count(script.lane)->set_aside, 1);
    assert_int_equal(counting_of(&script)->starts, 6);
    kt_script_time(&script, 1000);
    assert_int_equal(counting_of(&script)->fired, 3);
    kt_script_close(&script);
}

static void a_snapshot_of_a_newer_service_is_refused(void **state)
{
    enum { VERSION_AT = sizeof snapshot_of_version_1 - 40 - 4 - 4 };
    kt_script script;
    kt_err err = { 0 };
    char bytes[sizeof snapshot_of_version_1];

    kt_script_open(&script, &(kt_script_options){ .services = services });
    memcpy(bytes, snapshot_of_version_1, sizeof bytes);
    assert_int_equal(bytes[VERSION_AT], 1);
    bytes[VERSION_AT] = 3;
    assert_int_equal(kt_lane_restore(script.lane, 1, (kt_text){ bytes, sizeof bytes }, &err), KT_VERSION);
    assert_non_null(strstr(err.msg, "service 'counter' has version 3; this program reads 2 and the one before"));
    kt_script_close(&script);
}

/* What is made behind a snapshot is the same whether the lane was there all the time or has been restored from it. */
static void what_follows_a_snapshot_has_its_logic_randomness_keys_and_time(void **state)
{
    kt_script script;
    kt_rec rec;
    bool park;

    kt_test_mood_now.random = true;
    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_lane_options options = script.lane->options;
    options.logic = 3;
    options.config_text = KT_TEXT("one: 1");
    kt_lane_close(script.lane, true);
    assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
    for (int i = 0; i < 6; i++) {
        if (i == 3)
            assert_int_equal(kt_lane_snapshot(script.lane, NULL), KT_OK);
        kt_test_tick(&script, 5000 + i, (uint64_t)i);
    }
    kt_script_turn(&script);
    kt_lane_close(script.lane, false);
    assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
    assert_int_equal(kt_lane_count(script.lane)->replayed, 3);
    assert_int_equal(kt_lane_count(script.lane)->compared, 4);
    kt_lane_close(script.lane, true); /* a snapshot, and nothing behind it that would tell the time */
    script.now_ns = 400;
    assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
    assert_int_equal(
        kt_lane_append(script.lane, KT_EV_TICK, KT_REC_CONTROL, KT_TEXT("feed.sim"), 0, "", 0, &rec), KT_OK);
    assert_true(rec.time_ns >= 5005);
    kt_script_close(&script);
}

static void a_snapshot_of_a_newer_version_is_refused_and_parks(void **state)
{
    kt_script script;
    kt_lane *lane = NULL;
    kt_err err = { 0 };
    bool park = false;

    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_log *log = kt_lane_log(script.lane);
    assert_int_equal(kt_log_snapshot(log, kt_log_written(log), KT_LANE_SNAPSHOT_VERSION + 1, calloc(1, 64), 64), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(reopen(&script, 0, &lane, &park, &err), KT_VERSION);
    assert_true(park);
    assert_non_null(strstr(err.msg, "has version 3; this program reads 2 and the one before"));
}

static void play(kt_script *script, void *ctx)
{
    char id[32];

    for (uint64_t i = 1; i <= 100; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        if (script->foreign != NULL)
            kt_script_foreign(script, 100 + (int64_t)i, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), &tick);
        else
            kt_test_tick(script, 100 + (int64_t)i, i);
        if (i % 10 == 0)
            kt_script_turn(script);
    }
    for (int i = 0; i < 120; i++)
        kt_script_turn(script);
}

/* A service whose output depends on its hash seed: what the check is there to find. */
static void leak(void *state, kt_env *env, const kt_event *event)
{
    kt_ev_feed_stats stats;

    kt_event_init(KT_EV_FEED_STATS, &stats);
    stats.received = kt_env_hash_seed(env) & 1023;
    if (event->rec->kind == KT_EV_TICK)
        kt_env_emit(env, KT_EV_FEED_STATS, KT_TEXT("stats.sim.leak"), &stats);
}

static void every_service_test_runs_with_other_seeds_addresses_and_batches(void **state)
{
    static const char *const subjects[] = { "feed.>", NULL };
    static const kt_service_spec leaking = { .name = "leaking", .subjects = subjects, .on_event = leak };
    static const kt_service_spec *const leaky[] = { &leaking, NULL };
    int status;

    kt_test_mood_now.random = true;
    assert_true(kt_script_deterministic(&(kt_script_options){ .services = services }, play, NULL));
    assert_true(kt_script_deterministic(&(kt_script_options){ .services = foreign, .foreign = "market" }, play, NULL));
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        signal(SIGABRT, SIG_DFL);
        _exit(kt_script_deterministic(&(kt_script_options){ .services = leaky }, play, NULL) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- effects ---- */

typedef struct effects {
    uint64_t requests, outputs;
    kt_lane *lane;
} effects;
static effects seen;

static kt_code effects_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    seen.lane = lane;
    *out_state = &seen;
    return KT_OK;
}

static void on_request(void *state, const kt_event *event)
{
    kt_ev_answer answer;

    seen.requests++;
    kt_event_init(KT_EV_ANSWER, &answer);
    answer.request_id = seen.requests;
    assert_int_equal(
        kt_lane_input(seen.lane, KT_EV_ANSWER, KT_TEXT("answer.sim"), event->rec->seq, &answer, NULL), KT_OK);
}

static void on_output(void *state, const kt_event *event)
{
    seen.outputs++;
}

static const char *const wanted[] = { "request.>", "stats.>", NULL };
static const kt_feed_spec effecting = {
    .name = "effecting", .start = effects_start, .outputs = wanted, .on_request = on_request, .on_output = on_output
};
static const kt_feed_spec *const feeds[] = { &effecting, NULL };

static void effects_are_carried_out_only_at_the_live_end(void **state)
{
    kt_script script;
    kt_lane_options options;
    kt_lane *lane;
    bool park;
    char id[32];

    seen = (effects){ 0 };
    kt_test_mood_now.request = true;
    kt_script_open(&script, &(kt_script_options){ .services = services });
    options = script.lane->options;
    kt_lane_close(script.lane, true);
    options.feeds = feeds;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(kt_lane_open(&options, &lane, &park, NULL), KT_OK);
        assert_int_equal(seen.requests, 3 * (uint64_t)round);
        for (uint64_t i = 1; i <= 3; i++) {
            kt_ev_tick tick = kt_test_tick_of(i, id);
            assert_int_equal(kt_lane_input(lane, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), 0, &tick, NULL), KT_OK);
        }
        for (int i = 0; i < 4; i++)
            assert_int_equal(kt_lane_turn(lane, 0, NULL), KT_OK);
        assert_int_equal(seen.requests, 3 * ((uint64_t)round + 1));
        assert_int_equal(((kt_test_counting *)kt_lane_service_state(lane, "counter"))->answers, seen.requests);
        kt_lane_close(lane, false);
    }
    assert_int_equal(seen.outputs, 2 * 4);
}

/* ---- answers ---- */

typedef struct outcome {
    uint32_t count;
    kt_code code;
} outcome;

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    outcome *got = ctx;

    got->count++;
    got->code = code;
}

static void answers_to_commands_wait_for_the_durability_of_the_cause(void **state)
{
    kt_script script;
    outcome got = { 0 };
    kt_bus_call_spec call = { .action = KT_TEXT("count.add"), .on_answer = on_answer, .ctx = &got };

    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_bus *bus = kt_lane_bus(script.lane);
    assert_int_equal(kt_bus_call_start(bus, &call, NULL, NULL), KT_OK);
    for (int i = 0; i < 3; i++)
        kt_bus_poll(bus); /* accepted and applied; nothing has been synced */
    assert_int_equal(counting_of(&script)->count, 1);
    assert_true(kt_log_durable(kt_lane_log(script.lane)) < kt_log_written(kt_lane_log(script.lane)));
    assert_int_equal(got.count, 0);
    kt_script_turn(&script); /* syncs once a turn */
    kt_script_turn(&script);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.code, KT_OK);
    call.action = KT_TEXT("count.read"); /* a question changes nothing and waits for nothing */
    uint64_t written = kt_log_written(kt_lane_log(script.lane));
    assert_int_equal(kt_bus_call_start(bus, &call, NULL, NULL), KT_OK);
    kt_bus_poll(bus);
    kt_bus_poll(bus);
    assert_int_equal(got.count, 2);
    assert_int_equal(kt_log_written(kt_lane_log(script.lane)), written);
    kt_script_restart(&script, false);
    assert_int_equal(counting_of(&script)->count, 1);
    kt_script_close(&script);
}

/* ---- what is lost ---- */

static const uint8_t script_boot[16] = "script of a test";

static void foreign_ticks(kt_script *script, uint64_t from, uint64_t to)
{
    char id[32];

    for (uint64_t i = from; i <= to; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        kt_script_foreign(script, 100 + (int64_t)i, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), &tick);
    }
}

static void turns(kt_script *script, int count)
{
    for (int i = 0; i < count; i++)
        kt_script_turn(script);
}

static void log_path(const kt_script *script, const char *log, char out[600])
{
    snprintf(out, 600, "%s/%s", script->dir, log);
}

/* The foreign log again, as its writer opens it. `small`: with segments and retention that let it forget. */
static void foreign_open(kt_script *script, bool small)
{
    char dir[600];
    kt_log_options log;

    log_path(script, "market", dir);
    kt_log_options_init(&log, dir);
    log.segment_size = small ? KT_SEGMENT_SIZE_MIN : 1 << 20;
    log.retention_bytes = small ? 2 * KT_SEGMENT_SIZE_MIN : 0;
    log.sync = KT_SYNC_INLINE;
    memcpy(log.boot_id, script_boot, sizeof script_boot);
    assert_int_equal(kt_log_open(&log, &script->foreign, NULL), KT_OK);
}

static void a_source_that_cuts_the_reader_off_is_told_and_reading_goes_on(void **state)
{
    kt_script script;
    char dir[600];

    kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market" });
    kt_log_close(script.foreign, NULL);
    log_path(&script, "market", dir);
    assert_true(kt_test_remove(dir));
    foreign_open(&script, true); /* hold_bytes is 0: a reader that is away is cut off */
    foreign_ticks(&script, 1, 10);
    turns(&script, 2);
    assert_int_equal(counting_of(&script)->count, 10);
    foreign_ticks(&script, 11, 4000);
    turns(&script, 4);
    kt_test_counting *counting = counting_of(&script);
    assert_int_equal(counting->lost, 1);
    assert_true(counting->count > 10 && counting->count < 4000);
    uint64_t count = counting->count;
    foreign_ticks(&script, 4001, 4001);
    turns(&script, 2);
    assert_int_equal(counting->count, count + 1);
    kt_script_restart(&script, false); /* what was applied before is gone too by now: told, and the rest is the same */
    turns(&script, 3);
    counting = counting_of(&script);
    assert_int_equal(counting->lost, 2);
    uint64_t again = counting->count;
    assert_true(again > 1 && again <= count + 1 - 10);
    foreign_ticks(&script, 4002, 4002);
    turns(&script, 2);
    assert_int_equal(counting->count, again + 1);
    kt_script_close(&script);
}

static void a_source_made_anew_is_read_from_its_beginning_and_told(void **state)
{
    static const uint64_t grown[] = { 0, 3, 60 }; /* shorter than what was read, and longer */

    for (size_t i = 0; i < 2 * KT_COUNT(grown); i++) {
        bool clean = i >= KT_COUNT(grown); /* then a snapshot tells the epoch, otherwise the admits do */
        uint64_t count = grown[i % KT_COUNT(grown)];
        kt_script script;
        char dir[600];
        kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market" });
        foreign_ticks(&script, 1, 20);
        turns(&script, 2);
        kt_lane_options options = script.lane->options;
        kt_lane_close(script.lane, clean);
        kt_log_close(script.foreign, NULL);
        log_path(&script, "market", dir);
        assert_true(kt_test_remove(dir));
        foreign_open(&script, false);
        foreign_ticks(&script, 100, 99 + count);
        bool park;
        assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
        turns(&script, 3);
        foreign_ticks(&script, 500, 500);
        turns(&script, 3);
        assert_int_equal(counting_of(&script)->lost, 1);
        /* Without a snapshot the twenty are nowhere any more. */
        assert_int_equal(counting_of(&script)->count, (clean ? 20 : 0) + count + 1);
        kt_script_close(&script);
    }
}

/* The snapshot under way names a position in the log as it was: safe means that its writer may remove what lies before. */
static void a_cursor_of_a_log_made_anew_is_not_safe_up_to_where_the_old_one_was(void **state)
{
    kt_script script;
    kt_cursor_position at;
    char dir[600];
    bool park;

    kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market" });
    foreign_ticks(&script, 1, 20);
    turns(&script, 2);
    kt_lane_options options = script.lane->options;
    kt_lane_close(script.lane, true);
    kt_log_close(script.foreign, NULL);
    log_path(&script, "market", dir);
    assert_true(kt_test_remove(dir));
    foreign_open(&script, false);
    foreign_ticks(&script, 100, 102);
    assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
    kt_lane_source *source = &script.lane->sources[0];
    assert_int_equal(kt_lane_snapshot(script.lane, NULL), KT_OK); /* the other log has not been looked at yet */
    uint64_t before = source->position;
    turns(&script, 1);
    assert_int_equal(counting_of(&script)->lost, 1);
    assert_int_equal(script.lane->snapshot_seq, 0); /* it is on disk */
    at = kt_cursor_get(source->cursor);
    assert_true(at.seq < before);
    assert_int_equal(at.safe, 0);
    assert_int_equal(kt_lane_snapshot(script.lane, NULL), KT_OK);
    turns(&script, 1);
    at = kt_cursor_get(source->cursor);
    assert_int_equal(at.safe, kt_log_written(script.foreign));
    kt_script_close(&script);
}

/* The state file of a log as the power left it: durable is less than what was on disk. */
static void after_a_power_cut_what_was_admitted_is_there_before_its_writer_opens(void **state)
{
    kt_script script;
    char path[700], log[600];
    size_t size;
    bool park;

    kt_script_open(&script, &(kt_script_options){ .services = foreign, .foreign = "market" });
    foreign_ticks(&script, 1, 4);
    log_path(&script, "market", log);
    snprintf(path, sizeof path, "%s/state", log);
    char *old = kt_test_read_file(path, &size);
    foreign_ticks(&script, 5, 20);
    turns(&script, 2);
    kt_lane_options options = script.lane->options;
    kt_lane_close(script.lane, false);
    kt_log_disown(script.foreign);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(old, 1, size, file), size);
    fclose(file);
    free(old);
    memset(options.boot_id, 7, sizeof options.boot_id);
    assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
    turns(&script, 2);
    assert_int_equal(counting_of(&script)->count, 20);
    assert_int_equal(counting_of(&script)->lost, 0);
    script.foreign = NULL;
    kt_script_close(&script);
}

/* Two bytes of the file of the own log, at an input that is durable. */
static void damage_input(const kt_script *script, uint64_t number)
{
    char dir[600], path[900];
    kt_reader *reader = NULL;
    const kt_rec *rec;
    kt_ev_tick tick;
    size_t size;

    log_path(script, "test", dir);
    assert_int_equal(kt_reader_open(dir, script_boot, &reader, NULL), KT_OK);
    do {
        assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
    } while (rec->kind != KT_EV_TICK ||
             kt_event_decode(KT_EV_TICK, kt_rec_payload(rec), kt_rec_payload_size(rec), &tick) != KT_OK ||
             tick.trade_number != number);
    snprintf(path, sizeof path, "%s/%020d.0001.seg", dir, 1);
    char *bytes = kt_test_read_file(path, &size);
    char *at = memmem(bytes, size, rec, rec->size);
    assert_non_null(at);
    at[4] = (char)~at[4];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    free(bytes);
    kt_reader_close(reader);
}

static void inputs_lost_in_a_fence_park_the_lane_with_the_range(void **state)
{
    kt_script script;
    kt_lane *lane = NULL;
    bool park = false;
    kt_err err = { 0 };

    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (uint64_t i = 1; i <= 9; i++)
        kt_test_tick(&script, 1000 + (int64_t)i, i);
    turns(&script, 1); /* durable */
    damage_input(&script, 5);
    kt_lane_options options = script.lane->options;
    for (int i = 0; i < 2; i++) { /* a second start finds the same */
        if (script.lane != NULL)
            kt_lane_close(script.lane, false);
        script.lane = NULL;
        park = false;
        assert_int_equal(kt_lane_open(&options, &lane, &park, &err), KT_CORRUPT);
        assert_true(park);
        assert_non_null(strstr(err.msg, "log 'test' has lost records"));
        assert_non_null(strstr(err.msg, "no snapshot lies behind them"));
    }
}

static void a_snapshot_behind_a_fence_replaces_what_is_lost_in_it(void **state)
{
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (uint64_t i = 1; i <= 9; i++)
        kt_test_tick(&script, 1000 + (int64_t)i, i);
    kt_script_restart(&script, true); /* the snapshot of the stop, and one more start */
    damage_input(&script, 5);
    kt_script_restart(&script, true);
    assert_int_equal(counting_of(&script)->count, 9);
    kt_test_tick(&script, 2000, 10);
    assert_int_equal(counting_of(&script)->count, 10);
    kt_script_close(&script);
}

static void a_failed_copy_at_start_parks(void **state)
{
    kt_script script;
    kt_lane *lane = NULL;
    bool park = false;
    kt_err err = { 0 };
    char dir[600], path[700];

    kt_script_open(&script, &(kt_script_options){ .services = services });
    kt_test_tick(&script, 1000, 1); /* written, not durable */
    kt_lane_options options = script.lane->options;
    kt_lane_close(script.lane, false);
    log_path(&script, "test", dir);
    snprintf(path, sizeof path, "%s/copy.tmp", dir);
    assert_int_equal(mkdir(path, 0755), 0); /* so that the copy can not be made */
    assert_int_equal(kt_lane_open(&options, &lane, &park, &err), KT_SYS);
    assert_true(park);
    assert_non_null(strstr(err.msg, "copy.tmp"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(kt_lane_open(&options, &lane, &park, &err), KT_OK); /* by hand, when the disk is mended */
    assert_int_equal(((kt_test_counting *)kt_lane_service_state(lane, "counter"))->count, 1);
    kt_lane_close(lane, true);
}

static void a_snapshot_that_can_not_be_written_is_followed_by_the_next(void **state)
{
    kt_script script;
    char dir[600], path[700];

    kt_script_open(&script, &(kt_script_options){ .services = services, .segment_size = 1 << 16 });
    log_path(&script, "test", dir);
    snprintf(path, sizeof path, "%s/snapshots", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    strcat(path, "/next.tmp");
    assert_int_equal(mkdir(path, 0755), 0); /* in the way of the first */
    uint64_t i = 0;
    while (kt_lane_count(script.lane)->snapshots < 1) {
        kt_test_tick(&script, 1000 + (int64_t)i, i + 1);
        kt_script_turn(&script);
        i++;
    }
    kt_script_turn(&script);
    assert_int_equal(kt_log_snapshot_seq(kt_lane_log(script.lane)), 0);
    assert_int_equal(rmdir(path), 0);
    while (kt_lane_count(script.lane)->snapshots < 2 && i < 10000) {
        kt_test_tick(&script, 1000 + (int64_t)i, i + 1);
        kt_script_turn(&script);
        i++;
    }
    turns(&script, 2);
    assert_true(kt_log_snapshot_seq(kt_lane_log(script.lane)) > 0);
    kt_script_close(&script);
}

/* What would be missing after a death: with the clean mark it is what the new logic makes beyond the old. */
static void after_a_clean_stop_another_logic_adds_nothing_to_what_stands(void **state)
{
    for (int clean = 0; clean < 2; clean++) {
        kt_script script;
        char dir[600], path[700];
        kt_script_open(&script, &(kt_script_options){ .services = services });
        log_path(&script, "test", dir);
        snprintf(path, sizeof path, "%s/snapshots", dir);
        assert_int_equal(mkdir(path, 0755), 0);
        strcat(path, "/next.tmp");
        assert_int_equal(mkdir(path, 0755), 0); /* so that the last input is applied again */
        kt_test_tick(&script, 1000, 1);
        kt_script_turn(&script);
        kt_test_mood_now.request = true; /* one more output a tick */
        script.options.logic = 1;
        kt_script_restart(&script, clean != 0);
        assert_true(kt_lane_count(script.lane)->replayed > 0);
        assert_int_equal(kt_lane_count(script.lane)->completed, clean ? 0 : 1);
        kt_script_close(&script);
        kt_test_mood_now.request = false;
    }
}

static void intake_that_stopped_for_a_cursor_starts_again_when_it_has_moved(void **state)
{
    kt_script script;
    kt_lane_options options;
    kt_cursor *cursor = NULL;
    char dir[600], id[32];
    bool park;
    uint64_t i = 1;
    kt_code code = KT_OK;

    kt_script_open(&script, &(kt_script_options){ .services = services, .segment_size = 1 << 16 });
    options = script.lane->options;
    kt_lane_close(script.lane, true);
    options.retention_bytes = 1 << 17;
    options.hold_bytes = 1 << 17;
    options.hold_stops_intake = true;
    assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
    log_path(&script, "test", dir);
    assert_int_equal(kt_cursor_open(dir, "ledger", &cursor, NULL), KT_OK);
    for (; i < 20000 && code == KT_OK; i++) {
        kt_ev_tick tick = kt_test_tick_of(i, id);
        code = kt_lane_input(script.lane, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), 0, &tick, NULL);
        kt_script_turn(&script);
    }
    assert_int_equal(code, KT_FULL); /* nothing is cut off */
    turns(&script, 2);
    assert_true(kt_log_intake_stopped(kt_lane_log(script.lane)));
    uint64_t safe = kt_log_durable(kt_lane_log(script.lane));
    assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, safe, safe }, NULL), KT_OK);
    turns(&script, 1);
    assert_false(kt_log_intake_stopped(kt_lane_log(script.lane)));
    kt_test_tick(&script, 5000, i);
    kt_cursor_close(cursor);
    kt_script_close(&script);
}

enum { FLOOD = 2000 }; /* outputs of one tick: more than two segments hold */

static void flood(void *state, kt_env *env, const kt_event *event)
{
    kt_ev_feed_stats stats;

    kt_event_init(KT_EV_FEED_STATS, &stats);
    for (uint64_t i = 0; i < FLOOD && event->rec->kind == KT_EV_TICK; i++) {
        stats.received = i;
        kt_env_emit(env, KT_EV_FEED_STATS, KT_TEXT("stats.sim.flood"), &stats);
    }
}

/* Folders where the log would make its next segments: to it a disk without room. */
static void fill_disk(const kt_script *script, bool full)
{
    char dir[600], path[700];

    log_path(script, "test", dir);
    for (int serial = 1; serial <= 64; serial++) {
        snprintf(path, sizeof path, "%s/ready-%d.tmp", dir, serial);
        if (full)
            mkdir(path, 0755); /* but for one that is ready already */
        else
            rmdir(path);
    }
}

/* A lane that fails between an input and its outputs has not been stopped cleanly, whatever its log could still sync. */
static void outputs_that_found_no_room_are_written_when_there_is_some(void **state)
{
    static const char *const subjects[] = { "feed.>", NULL };
    static const kt_service_spec flooding = { .name = "flooding", .subjects = subjects, .on_event = flood };
    static const kt_service_spec *const flooded[] = { &flooding, NULL };

    for (uint32_t logic = 0; logic < 2; logic++) { /* the same again, and another */
        kt_script script;
        kt_err err = { 0 };
        char id[32];
        bool park = false;
        kt_script_open(&script, &(kt_script_options){ .services = flooded, .segment_size = KT_SEGMENT_SIZE_MIN });
        kt_lane_options options = script.lane->options;
        kt_lane_close(script.lane, true);
        options.inline_sync = false;
        assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
        fill_disk(&script, true);
        kt_ev_tick tick = kt_test_tick_of(1, id);
        assert_int_equal(kt_lane_input(script.lane, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), 0, &tick, NULL), KT_SYS);
        assert_int_equal(kt_lane_turn(script.lane, 0, &err), KT_FULL);
        assert_non_null(strstr(err.msg, "does not take the output 'stats.sim.flood' of input"));
        uint32_t stands = kt_script_each(&script, "stats.sim.flood", NULL, NULL);
        assert_true(stands > 0 && stands < FLOOD);
        fill_disk(&script, true); /* the one that was ready is used */
        kt_lane_close(script.lane, false);
        script.lane = NULL;
        options.logic = logic;
        assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_FULL);
        assert_false(park);
        fill_disk(&script, false);
        assert_int_equal(kt_lane_open(&options, &script.lane, &park, NULL), KT_OK);
        assert_int_equal(kt_lane_count(script.lane)->compared, logic == 0 ? stands : 0);
        assert_int_equal(kt_lane_count(script.lane)->completed, FLOOD - stands);
        assert_int_equal(kt_script_each(&script, "stats.sim.flood", NULL, NULL), FLOOD);
        kt_script_close(&script);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(env_time_and_output_time_are_those_of_the_record_applied, setup),
        cmocka_unit_test_setup(recovery_compares_what_stands_and_writes_nothing_twice, setup),
        cmocka_unit_test_setup(recovery_writes_the_missing_outputs, setup),
        cmocka_unit_test_setup(a_difference_is_a_divergence_event_and_parks, setup),
        cmocka_unit_test_setup(every_field_of_an_output_that_stands_is_compared, setup),
        cmocka_unit_test_setup(outputs_of_changed_logic_or_configuration_stand_and_are_not_compared, setup),
        cmocka_unit_test_setup(outputs_made_of_a_log_that_no_service_reads_any_more_stand_and_are_not_compared, setup),
        cmocka_unit_test_setup(an_admit_that_can_not_be_decoded_parks_with_its_number, setup),
        cmocka_unit_test_setup(keys_are_given_out_once_across_logics_that_take_fewer, setup),
        cmocka_unit_test_setup(timers_are_inputs_in_the_order_they_are_due, setup),
        cmocka_unit_test_setup(answers_carry_their_correlation, setup),
        cmocka_unit_test_setup(random_numbers_and_keys_are_the_same_when_applied_again, setup),
        cmocka_unit_test_setup(foreign_events_apply_in_the_order_of_the_admits_and_only_when_durable, setup),
        cmocka_unit_test_setup(a_snapshot_names_all_positions_and_shortens_recovery, setup),
        cmocka_unit_test_setup(a_snapshot_of_the_version_before_is_read, setup),
        cmocka_unit_test_setup(a_snapshot_of_a_newer_service_is_refused, setup),
        cmocka_unit_test_setup(what_follows_a_snapshot_has_its_logic_randomness_keys_and_time, setup),
        cmocka_unit_test_setup(a_snapshot_of_a_newer_version_is_refused_and_parks, setup),
        cmocka_unit_test_setup(every_service_test_runs_with_other_seeds_addresses_and_batches, setup),
        cmocka_unit_test_setup(effects_are_carried_out_only_at_the_live_end, setup),
        cmocka_unit_test_setup(answers_to_commands_wait_for_the_durability_of_the_cause, setup),
        cmocka_unit_test_setup(a_source_that_cuts_the_reader_off_is_told_and_reading_goes_on, setup),
        cmocka_unit_test_setup(a_source_made_anew_is_read_from_its_beginning_and_told, setup),
        cmocka_unit_test_setup(a_cursor_of_a_log_made_anew_is_not_safe_up_to_where_the_old_one_was, setup),
        cmocka_unit_test_setup(after_a_power_cut_what_was_admitted_is_there_before_its_writer_opens, setup),
        cmocka_unit_test_setup(inputs_lost_in_a_fence_park_the_lane_with_the_range, setup),
        cmocka_unit_test_setup(a_snapshot_behind_a_fence_replaces_what_is_lost_in_it, setup),
        cmocka_unit_test_setup(a_failed_copy_at_start_parks, setup),
        cmocka_unit_test_setup(a_snapshot_that_can_not_be_written_is_followed_by_the_next, setup),
        cmocka_unit_test_setup(outputs_that_found_no_room_are_written_when_there_is_some, setup),
        cmocka_unit_test_setup(after_a_clean_stop_another_logic_adds_nothing_to_what_stands, setup),
        cmocka_unit_test_setup(intake_that_stopped_for_a_cursor_starts_again_when_it_has_moved, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
