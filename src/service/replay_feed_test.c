/* Where a replay begins, and what it says of a log that it does not make again as it stands; tests/replay_test.py replays whole
 * houses. */
#include "service/replay_feed.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"
#include "base/test_util.h"
#include "base/text.h"
#include "lane/script.h"
#include "log/log.h"
#include "log/log_test.h"
#include "log/reader.h"
#include "schema/events.h"

enum {
    SAID_SIZE = 4096,
    TURN_MAX = 100, /* of a replay that needs a few */
};

static kt_log *open_log(const char *dir)
{
    kt_log_options options;
    kt_log *log = NULL;
    kt_err err;

    kt_log_options_init(&options, dir);
    options.segment_size = KT_SEGMENT_SIZE_MIN;
    options.sync = KT_SYNC_INLINE;
    options.retention_bytes = 2 * KT_SEGMENT_SIZE_MIN;
    if (kt_log_open(&options, &log, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return log;
}

static void write_notes(kt_log *log, uint32_t count)
{
    kt_rec_head head = { .kind = KT_EV_NOTE, .flags = KT_REC_INPUT, .time_ns = 1 };
    uint8_t payload[512];
    uint32_t size = 0;
    kt_ev_note note;

    kt_event_init(KT_EV_NOTE, &note);
    note.text = KT_TEXT("what somebody said");
    assert_int_equal(kt_event_encode(KT_EV_NOTE, &note, payload, sizeof payload, &size), KT_OK);
    assert_int_equal(kt_log_subject(log, KT_TEXT("house.note"), 0, &head.subject, NULL), KT_OK);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(kt_log_append(log, &head, payload, size, NULL), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
}

static void a_replay_begins_with_the_first_record_or_a_snapshot(void **state)
{
    static const struct {
        const char *name;
        uint32_t notes; /* written more, before retention looks */
        kt_code code;
        const char *contains;
    } rows[] = {
        { "nothing stands in it yet: it is followed", 0, KT_OK, "" },
        { "the first record is there", 10, KT_OK, "" },
        { "it was removed, and there is no snapshot", 20000, KT_GONE, "and it has no snapshot to begin with" },
    };
    const char *dir = kt_test_dir();
    kt_replay nowhere = { .dir = dir };
    kt_err none = { 0 };
    kt_log *log;

    assert_int_equal(kt_replay_begin(&nowhere, &none), KT_NOENT);
    assert_non_null(strstr(none.msg, dir));
    log = open_log(dir);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_replay replay = { .dir = dir };
        kt_err err = { 0 };

        write_notes(log, rows[i].notes);
        kt_log_retain(log);
        if (kt_replay_begin(&replay, &err) != rows[i].code || strstr(err.msg, rows[i].contains) == NULL)
            fail_msg("%s: %s", rows[i].name, err.msg);
        assert_int_equal(replay.origin_seq, 0);
    }
    kt_log_close(log, NULL);
}

/* ---- a lane that was recorded, and its replay ---- */

static uint32_t beyond; /* outputs of a tick beyond its number: what another program makes */

static void make(void *state, kt_env *env, const kt_event *event)
{
    kt_ev_feed_stats stats;
    kt_ev_tick tick;

    if (event->rec->kind != KT_EV_TICK || kt_event_decode(KT_EV_TICK, event->payload, event->size, &tick) != KT_OK)
        return;
    kt_event_init(KT_EV_FEED_STATS, &stats);
    for (stats.received = 0; stats.received < tick.trade_number + beyond; stats.received++)
        kt_env_emit(env, KT_EV_FEED_STATS, KT_TEXT("stats.sim"), &stats);
}

static const char *const made_of[] = { "feed.>", NULL };
static const kt_service_spec maker = { .name = "maker", .subjects = made_of, .on_event = make };
static const kt_service_spec *const makers[] = { &maker, NULL };

enum { TICK_COUNT = 3 };

typedef struct recording {
    char dir[600];
    uint64_t seqs[TICK_COUNT]; /* of the ticks */
} recording;

/* Ticks with these numbers, then an input of which nothing is made. */
static recording record(const uint32_t numbers[TICK_COUNT])
{
    recording out;
    kt_ev_invalid last;
    kt_script script;

    kt_script_open(&script, &(kt_script_options){ .services = makers, .segment_size = KT_SEGMENT_SIZE_MIN });
    snprintf(out.dir, sizeof out.dir, "%s/%s", script.dir, script.name);
    for (uint32_t i = 0; i < TICK_COUNT; i++) {
        kt_ev_tick tick;

        kt_event_init(KT_EV_TICK, &tick);
        tick.price = tick.quantity = (kt_decimal){ .m = 1 };
        tick.trade_id = KT_TEXT("one");
        tick.trade_number = numbers[i];
        out.seqs[i] = kt_script_input(&script, 1000 + i, KT_EV_TICK, KT_TEXT("feed.sim"), &tick);
    }
    kt_event_init(KT_EV_INVALID, &last);
    kt_script_input(&script, 2000, KT_EV_INVALID, KT_TEXT("feed.sim"), &last);
    kt_script_close(&script);
    return out;
}

static void on_ended(void *ctx)
{
    *(bool *)ctx = true;
}

static void on_diag(void *ctx, kt_level level, const char *line)
{
    char *said = ctx;

    snprintf(said + strlen(said), SAID_SIZE - strlen(said), "%s\n", line);
}

/* `said`: SAID_SIZE bytes, what it tells. */
static kt_lane *replay_open(kt_replay *replay, char *said)
{
    static const kt_feed_spec *const feeds[] = { &kt_replay_feed, NULL };
    kt_lane_options options = { .name = "test",
        .data_dir = kt_test_dir(),
        .services = makers,
        .feeds = feeds,
        .version = "test",
        .segment_size = 1 << 20,
        .inline_sync = true,
        .diag = on_diag,
        .diag_ctx = said,
        .timers_given = true,
        .clock_ns = kt_replay_clock,
        .clock_ctx = replay };
    kt_lane *lane = NULL;
    kt_err err = { 0 };
    bool park;

    assert_int_equal(kt_replay_begin(replay, &err), KT_OK);
    kt_replay_set(replay);
    if (kt_lane_open(&options, &lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return lane;
}

/* To the end of the log. */
static void play(kt_replay *replay, char *said)
{
    bool ended = false;

    replay->ended = on_ended;
    replay->ended_ctx = &ended;
    kt_lane *lane = replay_open(replay, said);
    for (int turn = 0; turn < TURN_MAX && !ended; turn++)
        assert_int_equal(kt_lane_turn(lane, 0, NULL), KT_OK);
    assert_true(ended);
    kt_lane_close(lane, true);
}

static void __attribute__((format(printf, 3, 4))) must_say(const char *name, const char *said, const char *fmt, ...)
{
    char line[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (strstr(said, line) == NULL)
        fail_msg("row \"%s\": '%s' is not in\n%s", name, line, said);
}

static void what_is_not_made_again_is_counted_and_told(void **state)
{
    static const struct {
        const char *name;
        uint32_t then, now; /* beyond */
        uint64_t same, different;
        const char *how;
        int64_t first; /* that differs, counted from the second tick */
    } rows[] = {
        { "the same program", .same = 4 },
        { "one that makes less", .then = 1, .same = 4, .different = 3, .how = "is not made now", .first = -1 },
        { "one that makes more", .now = 1, .same = 4, .different = 3, .how = "follows one that is made only now" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char said[SAID_SIZE] = "";
        const char *name = rows[i].name;

        beyond = rows[i].then;
        recording log = record((const uint32_t[]){ 1, 2, 1 });
        kt_replay replay = { .dir = log.dir };
        beyond = rows[i].now;
        play(&replay, said);
        KT_ROW(name, replay.same == rows[i].same && replay.different == rows[i].different);
        must_say(name, said, "outputs: %llu as they were, %llu not", (unsigned long long)rows[i].same,
            (unsigned long long)rows[i].different);
        if (rows[i].how == NULL)
            continue;
        KT_ROW(name, replay.first_different == log.seqs[1] + (uint64_t)rows[i].first);
        must_say(name, said, "record %llu of the log, on stats.sim, %s", (unsigned long long)replay.first_different,
            rows[i].how);
    }
}

/* Its outputs go on behind the damaged segment: there is nothing to compare them with, and what follows is as it was. */
static void outputs_of_an_input_that_is_lost_are_neither_the_same_nor_different(void **state)
{
    char said[SAID_SIZE] = "";

    beyond = 0;
    recording log = record((const uint32_t[]){ 1, 2000, 1 });
    kt_replay replay = { .dir = log.dir };
    kt_seg_names names = segments_of(log.dir);
    damage(log.dir, log.seqs[1]);
    play(&replay, said);
    must_say("the range", said, "records %llu to %llu of the log are lost: what follows may differ",
        (unsigned long long)log.seqs[1], (unsigned long long)names.list[1].first_seq - 1);
    assert_true(names.list[1].first_seq > log.seqs[1] && names.list[1].first_seq < log.seqs[2]);
    assert_int_equal(replay.inputs, 4); /* the start, two ticks, and the last */
    assert_int_equal(replay.same, 2);
    assert_int_equal(replay.different, 0);
    free(names.list);
}

static void a_log_that_ends_in_damage_ends_the_replay_for_good(void **state)
{
    char said[SAID_SIZE] = "", expected[700];
    kt_err err = { 0 };
    bool park = false;

    beyond = 0;
    recording log = record((const uint32_t[]){ 1, 1, 1 });
    kt_replay replay = { .dir = log.dir };
    damage(log.dir, log.seqs[1]);
    kt_lane *lane = replay_open(&replay, said);
    assert_int_equal(kt_lane_run(lane, &park, &err), KT_CORRUPT);
    assert_true(park);
    snprintf(expected, sizeof expected, "log '%s' can not be read at record %llu: ", log.dir,
        (unsigned long long)log.seqs[1]);
    assert_non_null(strstr(err.msg, expected));
    assert_int_equal(replay.same, 1); /* of the tick before */
    kt_lane_close(lane, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_begins_with_the_first_record_or_a_snapshot),
        cmocka_unit_test(what_is_not_made_again_is_counted_and_told),
        cmocka_unit_test(outputs_of_an_input_that_is_lost_are_neither_the_same_nor_different),
        cmocka_unit_test(a_log_that_ends_in_damage_ends_the_replay_for_good),
    };

    return cmocka_run_group_tests_name("replay_feed", tests, NULL, NULL);
}
