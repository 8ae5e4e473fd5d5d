/* What the table of faults, schedules and the action sim.faults say and refuse, without a socket. */
#include "base/time.h"
#include "venue/sim/control.h"
#include "venue/sim/schedule.h"
#include "venue/test_sink.h"

enum { MS = 1000000 };

static kt_code set(kt_sim_faults *faults, const char *name, const char *value, kt_err *err)
{
    return kt_sim_faults_set(faults, kt_text_of(name), kt_text_of(value), err);
}

static void test_values(void **state)
{
    static const struct {
        const char *name, *fault, *value;
        kt_code code;
        const char *message;
    } rows[] = {
        { "a share", "drop", "0.05", KT_OK, "" },
        { "a share above 1", "drop", "1.01", KT_RANGE, "drop: '1.01': a number from 0 to 1 is needed (share)" },
        { "a share below 0", "drop", "-0.1", KT_RANGE, "from 0 to 1" },
        { "no number", "drop", "often", KT_RANGE, "drop: 'often'" },
        { "nothing", "drop", "", KT_RANGE, "drop: ''" },
        { "no such fault", "dorp", "0.1", KT_ARG, "'dorp': no such fault; there are drop, repeat" },
        { "a result is no fault", "outage", "0.1", KT_ARG, "no such fault" },
        { "a switch", "refuse", "1", KT_OK, "" },
        { "half a switch", "refuse", "0.5", KT_RANGE, "switch, 0 or 1" },
        { "a clock behind", "clock_offset", "-250.5", KT_OK, "" },
        { "a clock beyond a day", "clock_offset", "86400001", KT_RANGE, "-86400000 to 86400000 is needed (ms)" },
        { "bytes a second", "trickle", "500", KT_OK, "" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_sim_faults faults = { 0 }, before = { 0 };
        kt_err err = { 0 };
        kt_code code = set(&faults, rows[i].fault, rows[i].value, &err);

        if (code != rows[i].code || strstr(err.msg, rows[i].message) == NULL)
            fail_msg("%s: %d %s", rows[i].name, code, err.msg);
        if (code != KT_OK)
            assert_memory_equal(&faults, &before, sizeof faults);
    }
}

/* Of one thing at most one fault comes: shares of the same draw are at most 1 together, those of others are apart. */
static void test_shares_together(void **state)
{
    kt_sim_faults faults = { 0 };
    kt_err err = { 0 };

    assert_int_equal(set(&faults, "drop", "1", &err), KT_OK);
    assert_int_equal(set(&faults, "silence", "1", &err), KT_OK);
    assert_int_equal(set(&faults, "status_429", "1", &err), KT_OK);
    assert_int_equal(set(&faults, "half_open", "1", &err), KT_OK);
    assert_int_equal(set(&faults, "old_snapshot", "1", &err), KT_OK);
    assert_int_equal(kt_sim_faults_check(&faults, &err), KT_OK);
    assert_int_equal(set(&faults, "overlap", "0.1", &err), KT_OK);
    assert_int_equal(kt_sim_faults_check(&faults, &err), KT_RANGE);
    assert_non_null(strstr(err.msg, "of a request add up to 1.1"));
    assert_int_equal(set(&faults, "overlap", "0", &err), KT_OK);
    assert_int_equal(set(&faults, "crossed_book", "0.5", &err), KT_OK);
    assert_int_equal(kt_sim_faults_check(&faults, &err), KT_RANGE);
    assert_non_null(strstr(err.msg, "of a message of a book add up to 1.5"));
}

/* A draw gives each fault at its share, and only those that are drawn for it. */
static void test_draws(void **state)
{
    kt_sim_faults faults = { 0 };
    uint32_t counts[KT_SIM_FAULT_COUNT] = { 0 };
    kt_rng rng;

    kt_rng_init(&rng, 3);
    assert_int_equal(set(&faults, "status_429", "0.25", NULL), KT_OK);
    assert_int_equal(set(&faults, "status_503", "0.75", NULL), KT_OK);
    assert_int_equal(set(&faults, "drop", "1", NULL), KT_OK);
    for (int i = 0; i < 4000; i++)
        counts[kt_sim_faults_draw(&faults, &rng, KT_SIM_PER_REQUEST)]++;
    assert_int_equal(counts[KT_SIM_STATUS_429] + counts[KT_SIM_STATUS_503], 4000);
    assert_true(counts[KT_SIM_STATUS_429] > 850 && counts[KT_SIM_STATUS_429] < 1150);
    assert_int_equal(kt_sim_faults_draw(&faults, &rng, KT_SIM_PER_CONNECTION), KT_SIM_NONE);
}

/* The venue's time never goes back, wherever its clock is set to. */
static void test_clock(void **state)
{
    static const struct {
        const char *name, *offset, *drift;
        int64_t after_s;
        int64_t skew_ms;
    } steps[] = {
        { "right", "0", "0", 1, 0 },
        { "half a second ahead, at once", "500", "0", 1, 500 },
        { "back: at half speed", "0", "0", 1, 0 },
        { "two seconds behind: half a second later half of it", "-2000", "0", 1, -500 },
        { "and then the rest", "-2000", "0", 10, -2000 },
        { "drifting from now on", "0", "1000", 1, 1 },
        { "further", "0", "1000", 9, 10 },
    };
    kt_sim_faults faults = { 0 };
    int64_t now_ns = 1700000000 * KT_NS_PER_S, last_ns = 0;

    kt_sim_faults_skew(&faults, now_ns);
    for (size_t i = 0; i < KT_COUNT(steps); i++) {
        kt_sim_faults values = faults;

        assert_int_equal(set(&values, "clock_offset", steps[i].offset, NULL), KT_OK);
        assert_int_equal(set(&values, "clock_drift", steps[i].drift, NULL), KT_OK);
        kt_sim_faults_take(&faults, &values, now_ns);
        int64_t skew_ns = 0;
        for (int64_t ms = 0; ms < 1000 * steps[i].after_s; ms += 10) {
            now_ns += 10 * MS;
            skew_ns = kt_sim_faults_skew(&faults, now_ns);
            assert_true(now_ns + skew_ns >= last_ns);
            last_ns = now_ns + skew_ns;
        }
        if (skew_ns != steps[i].skew_ms * MS)
            fail_msg("%s: %lld ns", steps[i].name, (long long)skew_ns);
    }
}

/* ---- schedules ---- */

static void test_schedules_that_are_refused(void **state)
{
    static const struct {
        const char *name, *text;
        kt_code code;
        const char *message;
    } rows[] = {
        { "empty", "", KT_NOENT, "x.yaml:1: the file is empty; a schedule needs `steps`" },
        { "no YAML", "steps: [\n", KT_SYNTAX, "x.yaml:2: no valid YAML" },
        { "a second document", "steps: []\n---\nsteps: []\n", KT_SYNTAX, "x.yaml:2: a second document begins" },
        { "a list", "- 1\n", KT_TYPE, "x.yaml:1: a schedule is a list; allowed is an object with steps" },
        { "no steps", "every: 5s\n", KT_NOENT, "x.yaml:1: a schedule needs `steps`" },
        { "steps that are none", "steps: 7\n", KT_TYPE, "x.yaml:1: a schedule needs `steps`, a list" },
        { "an unknown key", "steps: []\nspeed: 3\n", KT_NOENT,
            "x.yaml:2: a schedule has no 'speed'; it has steps, every" },
        { "a key twice", "steps: []\nsteps: []\n", KT_TWICE, "x.yaml:2: a schedule: 'steps' is given twice" },
        { "an unknown key of a step", "steps:\n  - {at: 1s, fault: {}}\n", KT_NOENT,
            "x.yaml:2: a step has no 'fault'; it has at, faults, for" },
        { "a step without a time", "steps:\n  - {faults: {drop: 1}}\n", KT_NOENT,
            "x.yaml:2: a step needs `at` and `faults`" },
        { "a time without a unit", "steps:\n  - {at: 10, faults: {}}\n", KT_RANGE,
            "x.yaml:2: at: '10'; allowed is a time such as 500ms, 10s" },
        { "a time below 0", "steps:\n  - {at: -1s, faults: {}}\n", KT_RANGE, "at: '-1s'" },
        { "a time that is a list", "steps:\n  - {at: [1s], faults: {}}\n", KT_TYPE, "at: 'a list'" },
        { "for no time", "steps:\n  - {at: 1s, for: 0s, faults: {}}\n", KT_RANGE, "for: '0s'; allowed is a time" },
        { "faults that are none", "steps:\n  - {at: 1s, faults: drop}\n", KT_TYPE, "x.yaml:2: faults is one value" },
        { "an unknown fault", "steps:\n  - at: 1s\n    faults: {dorp: 0.1}\n", KT_ARG,
            "x.yaml:3: 'dorp': no such fault" },
        { "a share above 1", "steps:\n  - at: 1s\n    faults: {drop: 2}\n", KT_RANGE,
            "x.yaml:3: drop: '2': a number from 0 to 1" },
        { "a value that is a list", "steps:\n  - {at: 1s, faults: {drop: [1]}}\n", KT_TYPE,
            "a fault is its name and a number" },
        { "too much at once", "steps:\n  - {at: 1s, faults: {drop: 0.6}}\n  - {at: 2s, faults: {repeat: 0.6}}\n",
            KT_RANGE, "x.yaml:3: from then on the shares of all faults of a trade add up to 1.2" },
        { "a step behind the end of a round", "every: 5s\nsteps:\n  - {at: 6s, faults: {drop: 0.6}}\n", KT_RANGE,
            "x.yaml:3: behind the end of a round" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_sim_faults none = { 0 };
        kt_sim_schedule schedule;
        kt_err err = { 0 };
        kt_code code = kt_sim_schedule_parse("x.yaml", rows[i].text, strlen(rows[i].text), &none, &schedule, &err);

        if (code != rows[i].code || strstr(err.msg, rows[i].message) == NULL)
            fail_msg("%s: %d %s", rows[i].name, code, err.msg);
    }
}

/* What holds at each moment: "drop repeat silence". */
static void play(const char *text, const char *first_drop, const char *expected)
{
    kt_sim_faults values = { 0 };
    kt_sim_schedule schedule;
    char told[512] = "";
    kt_builder out;
    kt_err err = { 0 };

    assert_int_equal(set(&values, "drop", first_drop, NULL), KT_OK);
    if (kt_sim_schedule_parse("x.yaml", text, strlen(text), &values, &schedule, &err) != KT_OK)
        fail_msg("%s", err.msg);
    kt_builder_init(&out, told, sizeof told);
    for (int64_t ms = 0; ms <= 8000; ms += 500) {
        if (kt_sim_schedule_due(&schedule) > ms * MS)
            continue;
        kt_sim_schedule_apply(&schedule, ms * MS, &values);
        kt_builder_format(&out, "%g:%g/%g/%g ", (double)ms / 1000, kt_sim_faults_value(&values, KT_SIM_DROP),
            kt_sim_faults_value(&values, KT_SIM_REPEAT), kt_sim_faults_value(&values, KT_SIM_SILENCE));
    }
    assert_string_equal(told, expected);
    kt_sim_schedule_end(&schedule, &values, &values);
    assert_true(kt_sim_schedule_due(&schedule) == INT64_MAX);
    kt_sim_schedule_done(&schedule);
}

static void test_schedules(void **state)
{
    play("steps:\n"
         "  - {at: 2s, for: 1.5s, faults: {silence: 1}}\n"
         "  - {at: 1s, faults: {drop: 0.5}}\n"
         "  - {at: 3500ms, faults: {silence: 0.5}}\n"
         "  - {at: 5s, for: 1s, faults: {drop: 0, repeat: 0.25}}\n",
        "0.1", "1:0.5/0/0 2:0.5/0/1 3.5:0.5/0/0.5 5:0/0.25/0.5 6:0.5/0/0.5 ");
    play("every: 3s\nsteps:\n  - {at: 1s, faults: {drop: 0.5}}\n  - {at: 2s, for: 500ms, faults: {repeat: 0.25}}\n",
        "0.1",
        "0:0.1/0/0 1:0.5/0/0 2:0.5/0.25/0 2.5:0.5/0/0 3:0.1/0/0 4:0.5/0/0 5:0.5/0.25/0 5.5:0.5/0/0 6:0.1/0/0 7:0.5/0/0 "
        "8:0.5/0.25/0 ");
}

/* Those that come with the sim are read, and say in their first line what they are for. */
static void test_our_schedules(void **state)
{
    static const char *const names[] = { "bad_day", "connections", "rest", "clock" };

    for (size_t i = 0; i < KT_COUNT(names); i++) {
        const kt_sim_faults none = { 0 };
        char path[1024];
        kt_sim_schedule schedule;
        size_t size = 0;
        kt_err err = { 0 };

        snprintf(path, sizeof path, "%s/sim/%s.yaml", getenv("KONTOR_SOURCE_ROOT"), names[i]);
        if (kt_sim_schedule_read(path, &none, &schedule, &err) != KT_OK)
            fail_msg("%s", err.msg);
        assert_true(schedule.count > 0);
        kt_sim_schedule_done(&schedule);
        char *text = kt_test_read_file(path, &size);
        assert_int_equal(text[0], '#');
        free(text);
    }
}

/* ---- the action, and the documents ---- */

static void test_action(void **state)
{
    static const struct {
        const char *name, *body;
        kt_code code;
        const char *message;
    } rows[] = {
        { "a look", "{}", KT_OK, "" },
        { "numbers and texts", "{\"faults\":{\"drop\":0.5,\"clock_offset\":\"-250\"}}", KT_OK, "" },
        { "no JSON", "drop=1", KT_SYNTAX, "" },
        { "another parameter", "{\"fault\":{\"drop\":0.5}}", KT_ARG, "fault" },
        { "faults that are a list", "{\"faults\":[1]}", KT_TYPE, "allowed is an object such as {\"drop\":0.05}" },
        { "a value that is none", "{\"faults\":{\"drop\":true}}", KT_TYPE, "drop is true; allowed is a number" },
        { "no such fault", "{\"faults\":{\"dorp\":0.5}}", KT_ARG, "no such fault" },
        { "beyond its bounds", "{\"faults\":{\"drop\":0.5,\"repeat\":7}}", KT_RANGE, "repeat: '7'" },
        { "too many", "{\"faults\":{\"drop\":0.5,\"repeat\":0.6}}", KT_RANGE, "add up to 1.1" },
    };
    static const char half[] = "{\"fault\":\"drop\",\"value\":\"0.5\",\"unit\":\"share\"";
    char mem[KT_SIM_CONTROL_SIZE];

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_sim_faults faults = { 0 };
        kt_json_writer writer;
        kt_text text;
        kt_err err = { 0 };
        kt_code code = kt_sim_control_read(kt_text_of(rows[i].body), &faults, &err);

        if (code != rows[i].code || strstr(err.msg, rows[i].message) == NULL)
            fail_msg("%s: %d %s", rows[i].name, code, err.msg);
        if (code != KT_OK)
            assert_true(faults.values[KT_SIM_DROP].m == 0);
        kt_json_writer_init(&writer, mem, sizeof mem);
        kt_sim_control_write(&faults, &writer);
        assert_int_equal(kt_json_writer_done(&writer, &text), KT_OK);
        if (i == 1)
            assert_non_null(memmem(text.s, text.n, half, sizeof half - 1));
    }
}

/* docs/faulty-market.md has a row for each fault. */
static void test_document(void **state)
{
    char path[1024], row[64];
    size_t size = 0;

    snprintf(path, sizeof path, "%s/docs/faulty-market.md", getenv("KONTOR_SOURCE_ROOT"));
    char *text = kt_test_read_file(path, &size);
    assert_non_null(text);
    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++) {
        snprintf(row, sizeof row, "\n| `%s` |", kt_sim_fault_specs[fault].name);
        if (kt_sim_fault_specs[fault].place != KT_SIM_PLACE_RESULT && strstr(text, row) == NULL)
            fail_msg("docs/faulty-market.md does not describe %s", kt_sim_fault_specs[fault].name);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_shares_together),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_schedules_that_are_refused),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_our_schedules),
        cmocka_unit_test(test_action),
        cmocka_unit_test(test_document),
    };

    return cmocka_run_group_tests_name("sim faults", tests, NULL, NULL);
}
