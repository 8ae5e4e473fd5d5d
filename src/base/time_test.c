#include "base/test.h"

#include "base/test_util.h"
#include "base/time.h"

/* Numbers from GNU date (date -u -d TEXT +%s%N), where it reaches. */
static void known_times(void **state)
{
    static const struct {
        const char *name;
        int64_t time_ns;
        const char *text;
    } rows[] = {
        { "the beginning", 0, "1970-01-01T00:00:00.000Z" },
        { "milliseconds have 3 digits", 1723161255342000000, "2024-08-08T23:54:15.342Z" },
        { "microseconds have 6", 1723161255342001000, "2024-08-08T23:54:15.342001Z" },
        { "nanoseconds have 9", 1723161255342001002, "2024-08-08T23:54:15.342001002Z" },
        { "a leap day", 1709164800000000000, "2024-02-29T00:00:00.000Z" },
        { "a leap day of a century", 951782400000000000, "2000-02-29T00:00:00.000Z" },
        { "the day after no leap day", -2203891200000000000, "1900-03-01T00:00:00.000Z" },
        { "a nanosecond before 1970", -1, "1969-12-31T23:59:59.999999999Z" },
        { "the first", INT64_MIN, "1677-09-21T00:12:43.145224192Z" },
        { "the last", INT64_MAX, "2262-04-11T23:47:16.854775807Z" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char text[KT_TIME_TEXT_MAX];
        int64_t time_ns = 7;
        size_t n = kt_time_format_iso(text, sizeof text, rows[i].time_ns);
        KT_ROW(rows[i].name, strcmp(text, rows[i].text) == 0);
        KT_ROW(rows[i].name, n == strlen(rows[i].text));
        KT_ROW(rows[i].name, kt_time_parse_iso(kt_text_of(text), &time_ns) == KT_OK);
        KT_ROW(rows[i].name, time_ns == rows[i].time_ns);
    }
}

static void read_only_forms(void **state)
{
    static const struct {
        const char *name, *text;
        kt_code code;
        int64_t time_ns;
    } rows[] = {
        { "no fraction", "1970-01-01T00:00:01Z", KT_OK, 1000000000 },
        { "one digit of fraction", "1970-01-01T00:00:00.5Z", KT_OK, 500000000 },
        { "east of Greenwich", "1970-01-01T01:00:00+01:00", KT_OK, 0 },
        { "west of Greenwich", "1969-12-31T19:30:00-04:30", KT_OK, 0 },
        { "an offset brings an early day into range", "1677-09-20T23:12:43.145224192-01:00", KT_OK, INT64_MIN },
        { "malformed: nothing", "", KT_SYNTAX, 0 },
        { "malformed: a word", "yesterday", KT_SYNTAX, 0 },
        { "malformed: a blank for the T", "1970-01-01 00:00:00Z", KT_SYNTAX, 0 },
        { "malformed: lower case", "1970-01-01t00:00:00z", KT_SYNTAX, 0 },
        { "malformed: a point without digits", "1970-01-01T00:00:00.Z", KT_SYNTAX, 0 },
        { "malformed: ten digits of fraction", "1970-01-01T00:00:00.0123456789Z", KT_SYNTAX, 0 },
        { "malformed: five digits of year", "12026-01-01T00:00:00Z", KT_SYNTAX, 0 },
        { "malformed: negative year", "-970-01-01T00:00:00Z", KT_SYNTAX, 0 },
        { "malformed: more behind the Z", "1970-01-01T00:00:00ZZ", KT_SYNTAX, 0 },
        { "malformed: offset without colon", "1970-01-01T00:00:00+0100", KT_SYNTAX, 0 },
        { "truncated: no zone", "1970-01-01T00:00:00", KT_SYNTAX, 0 },
        { "truncated in the offset", "1970-01-01T00:00:00+01:", KT_SYNTAX, 0 },
        { "no such month", "1970-13-01T00:00:00Z", KT_RANGE, 0 },
        { "month zero", "1970-00-01T00:00:00Z", KT_RANGE, 0 },
        { "no such day", "2023-02-29T00:00:00Z", KT_RANGE, 0 },
        { "no such leap day in 1900", "1900-02-29T00:00:00Z", KT_RANGE, 0 },
        { "day zero", "1970-01-00T00:00:00Z", KT_RANGE, 0 },
        { "no such hour", "1970-01-01T24:00:00Z", KT_RANGE, 0 },
        { "no such minute", "1970-01-01T00:60:00Z", KT_RANGE, 0 },
        { "a leap second", "2016-12-31T23:59:60Z", KT_RANGE, 0 },
        { "no such offset", "1970-01-01T00:00:00+24:00", KT_RANGE, 0 },
        { "before the first", "1677-09-21T00:12:43.145224191Z", KT_RANGE, 0 },
        { "after the last", "2262-04-11T23:47:16.854775808Z", KT_RANGE, 0 },
        { "year zero", "0000-01-01T00:00:00Z", KT_RANGE, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t n = strlen(rows[i].text);
        char *flush = kt_guard_copy(rows[i].text, n);
        int64_t time_ns = -7;
        KT_ROW(rows[i].name, kt_time_parse_iso((kt_text){ flush, n }, &time_ns) == rows[i].code);
        KT_ROW(rows[i].name, time_ns == (rows[i].code == KT_OK ? rows[i].time_ns : -7));
        kt_guard_free(flush, n);
    }
}

static void every_time_comes_back(void **state)
{
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_test_cases(200000); i++) {
        char text[KT_TIME_TEXT_MAX];
        int64_t time_ns = (int64_t)kt_rng_u64(&rng), back = 0;
        size_t n = kt_time_format_iso(text, sizeof text, time_ns);
        assert_int_equal(kt_time_parse_iso((kt_text){ text, n }, &back), KT_OK);
        assert_true(back == time_ns);
    }
}

static void floors_go_towards_the_past(void **state)
{
    assert_true(kt_time_floor(1999, 1000) == 1000);
    assert_true(kt_time_floor(2000, 1000) == 2000);
    assert_true(kt_time_floor(-1, 1000) == -1000);
    assert_true(kt_time_floor(-1000, 1000) == -1000);
    assert_true(kt_time_floor(INT64_MIN, KT_NS_PER_S) == INT64_MIN);
    assert_true(kt_time_to_ms(1999999) == 1);
    assert_true(kt_time_to_ms(-1) == -1);
}

static void milliseconds_beyond_the_range_are_refused(void **state)
{
    int64_t time_ns = 0;

    assert_int_equal(kt_time_from_ms(1684083600123, &time_ns), KT_OK);
    assert_true(time_ns == 1684083600123000000);
    assert_int_equal(kt_time_from_ms(INT64_MAX / 1000, &time_ns), KT_RANGE);
    assert_int_equal(kt_time_from_ms(INT64_MIN, &time_ns), KT_RANGE);
    assert_true(time_ns == 1684083600123000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times),
        cmocka_unit_test(read_only_forms),
        cmocka_unit_test(every_time_comes_back),
        cmocka_unit_test(floors_go_towards_the_past),
        cmocka_unit_test(milliseconds_beyond_the_range_are_refused),
    };

    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
