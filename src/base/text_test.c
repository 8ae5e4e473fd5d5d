#include "base/test.h"

#include "base/test_util.h"
#include "base/text.h"

static void a_builder_joins_pieces(void **state)
{
    char mem[128];
    kt_builder builder;

    kt_builder_init(&builder, mem, sizeof mem);
    kt_builder_str(&builder, "a ");
    kt_builder_char(&builder, 'b');
    kt_builder_u64(&builder, UINT64_MAX);
    kt_builder_i64(&builder, INT64_MIN);
    kt_builder_char(&builder, ' ');
    kt_builder_hex64(&builder, 0xBEEF);
    kt_builder_format(&builder, " %d ", 7);
    kt_builder_decimal(&builder, (kt_decimal){ .m = -1250, .scale = 3 });
    kt_builder_char(&builder, ' ');
    kt_builder_time(&builder, 0);
    assert_int_equal(builder.code, KT_OK);
    assert_string_equal(
        mem, "a b18446744073709551615-9223372036854775808 000000000000beef 7 -1.250 1970-01-01T00:00:00.000Z");
    assert_int_equal(kt_builder_done(&builder).n, strlen(mem));
}

static void what_does_not_fit_is_left_out_for_good(void **state)
{
    char mem[8];
    kt_builder builder;

    kt_builder_init(&builder, mem, sizeof mem);
    kt_builder_str(&builder, "12345");
    kt_builder_str(&builder, "678");
    assert_int_equal(builder.code, KT_FULL);
    kt_builder_char(&builder, 'x');
    kt_builder_format(&builder, "y");
    assert_string_equal(mem, "12345");
    kt_builder_init(&builder, mem, sizeof mem);
    kt_builder_format(&builder, "%s", "12345678");
    assert_int_equal(builder.code, KT_FULL);
    assert_string_equal(mem, "");
    kt_builder_init(&builder, mem, sizeof mem);
    kt_builder_str(&builder, "1234567");
    assert_int_equal(builder.code, KT_OK);
}

static void integers_out_of_text(void **state)
{
    static const struct {
        const char *text;
        kt_code as_u64, as_i64;
        uint64_t number;
    } rows[] = {
        { "0", KT_OK, KT_OK, 0 },
        { "007", KT_OK, KT_OK, 7 },
        { "9007199254740993", KT_OK, KT_OK, 9007199254740993u },
        { "9223372036854775807", KT_OK, KT_OK, INT64_MAX },
        { "9223372036854775808", KT_OK, KT_RANGE, (uint64_t)INT64_MAX + 1 },
        { "18446744073709551615", KT_OK, KT_RANGE, UINT64_MAX },
        { "18446744073709551616", KT_RANGE, KT_RANGE, 0 },
        { "1234567890123456789012345678901234567890", KT_RANGE, KT_RANGE, 0 },
        { "-1", KT_SYNTAX, KT_OK, UINT64_MAX },
        { "-9223372036854775808", KT_SYNTAX, KT_OK, (uint64_t)INT64_MIN },
        { "-9223372036854775809", KT_SYNTAX, KT_RANGE, 0 },
        { "", KT_SYNTAX, KT_SYNTAX, 0 },
        { "-", KT_SYNTAX, KT_SYNTAX, 0 },
        { "+1", KT_SYNTAX, KT_SYNTAX, 0 },
        { "1 ", KT_SYNTAX, KT_SYNTAX, 0 },
        { "1e3", KT_SYNTAX, KT_SYNTAX, 0 },
        { "99999999999999999999x", KT_SYNTAX, KT_SYNTAX, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        uint64_t as_u64 = 0;
        int64_t as_i64 = 0;
        KT_ROW(rows[i].text, kt_text_u64(kt_text_of(rows[i].text), &as_u64) == rows[i].as_u64);
        KT_ROW(rows[i].text, as_u64 == (rows[i].as_u64 == KT_OK ? rows[i].number : 0));
        KT_ROW(rows[i].text, kt_text_i64(kt_text_of(rows[i].text), &as_i64) == rows[i].as_i64);
        KT_ROW(rows[i].text, as_i64 == (rows[i].as_i64 == KT_OK ? (int64_t)rows[i].number : 0));
    }
}

static void integers_come_back(void **state)
{
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_test_cases(100000); i++) {
        int64_t number = (int64_t)kt_rng_u64(&rng) >> kt_rng_below(&rng, 64), back = 0;
        uint64_t plain = (uint64_t)number, plain_back = 0;
        char text[20];
        assert_int_equal(kt_text_i64((kt_text){ text, kt_i64_format(text, number) }, &back), KT_OK);
        assert_true(back == number);
        assert_int_equal(kt_text_u64((kt_text){ text, kt_u64_format(text, plain) }, &plain_back), KT_OK);
        assert_true(plain_back == plain);
    }
}

static void hexadecimal(void **state)
{
    uint64_t number = 1;

    assert_int_equal(kt_text_hex64(KT_TEXT("00ffA"), &number), KT_OK);
    assert_true(number == 0xFFA);
    assert_int_equal(kt_text_hex64(KT_TEXT("ffffffffffffffff"), &number), KT_OK);
    assert_true(number == UINT64_MAX);
    assert_int_equal(kt_text_hex64(KT_TEXT(""), &number), KT_SYNTAX);
    assert_int_equal(kt_text_hex64(KT_TEXT("fg"), &number), KT_SYNTAX);
    assert_int_equal(kt_text_hex64(KT_TEXT("00000000000000000"), &number), KT_SYNTAX);
}

static void cutting(void **state)
{
    kt_text rest = KT_TEXT("a..b."), part;

    assert_true(kt_text_cut(&rest, '.', &part) && kt_text_equal(part, KT_TEXT("a")));
    assert_true(kt_text_cut(&rest, '.', &part) && kt_text_equal(part, KT_TEXT("")));
    assert_true(kt_text_cut(&rest, '.', &part) && kt_text_equal(part, KT_TEXT("b")));
    assert_true(kt_text_cut(&rest, '.', &part) && kt_text_equal(part, KT_TEXT("")));
    assert_false(kt_text_cut(&rest, '.', &part));
    rest = KT_TEXT("");
    assert_true(kt_text_cut(&rest, '.', &part) && part.n == 0);
    assert_false(kt_text_cut(&rest, '.', &part));
}

static void texts_compare_by_bytes(void **state)
{
    assert_true(kt_text_compare(KT_TEXT("a"), KT_TEXT("b")) < 0);
    assert_true(kt_text_compare(KT_TEXT("a"), KT_TEXT("ab")) < 0);
    assert_true(kt_text_compare(KT_TEXT("a"), KT_TEXT("a")) == 0);
    assert_true(kt_text_compare(KT_TEXT("\xFF"), KT_TEXT("a")) > 0);
    assert_true(kt_text_compare((kt_text){ NULL, 0 }, KT_TEXT("")) == 0);
    assert_true(kt_text_equal((kt_text){ NULL, 0 }, KT_TEXT("")));
    assert_true(kt_text_starts(KT_TEXT("trades.x"), KT_TEXT("trades.")));
    assert_false(kt_text_starts(KT_TEXT("trade"), KT_TEXT("trades.")));
}

/* The borders of RFC 3629 section 4. */
static void utf8(void **state)
{
    static const struct {
        const char *name, *bytes;
        bool valid;
    } rows[] = {
        { "nothing", "", true },
        { "plain text longer than a register", "0123456789abcdefghijklmnopqrstuvwxyz", true },
        { "two bytes", "\xC3\xA4", true },
        { "three bytes", "\xE2\x82\xAC", true },
        { "four bytes", "\xF0\x9F\x98\x80", true },
        { "the last code point", "\xF4\x8F\xBF\xBF", true },
        { "a long character behind sixteen plain ones", "0123456789abcdef\xE2\x82\xAC", true },
        { "beyond the last code point", "\xF4\x90\x80\x80", false },
        { "overlong in two", "\xC0\xAF", false },
        { "overlong in three", "\xE0\x9F\xBF", false },
        { "overlong in four", "\xF0\x8F\xBF\xBF", false },
        { "a surrogate", "\xED\xA0\x80", false },
        { "a continuation alone", "\x80", false },
        { "truncated two", "\xC3", false },
        { "truncated three", "\xE2\x82", false },
        { "truncated four", "\xF0\x9F\x98", false },
        { "a start in the middle", "\xE2\x28\xA1", false },
        { "never a byte of UTF-8", "\xFF", false },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t n = strlen(rows[i].bytes);
        char *flush = kt_guard_copy(rows[i].bytes, n);
        KT_ROW(rows[i].name, kt_utf8_valid((kt_text){ flush, n }) == rows[i].valid);
        kt_guard_free(flush, n);
    }
}

static void tokens_are_encoded(void **state)
{
    static const struct {
        const char *raw, *token;
    } rows[] = {
        { "BTC/USDT", "BTC/USDT" },
        { "ETH/USD:ETH-220204-5500-P", "ETH/USD:ETH-220204-5500-P" },
        { "a.b", "a%2Eb" },
        { "*", "%2A" },
        { ">", "%3E" },
        { "100%", "100%25" },
        { "a b\tc\x7F", "a%20b%09c%7F" },
        { "\xE2\x82\xAC", "\xE2\x82\xAC" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char token[64], raw[64];
        kt_builder out, back;
        kt_builder_init(&out, token, sizeof token);
        kt_builder_init(&back, raw, sizeof raw);
        KT_ROW(rows[i].raw, kt_subject_token(&out, kt_text_of(rows[i].raw)) == KT_OK);
        KT_ROW(rows[i].raw, strcmp(token, rows[i].token) == 0);
        KT_ROW(rows[i].raw, kt_subject_check(kt_text_of(token), NULL) == KT_OK);
        KT_ROW(rows[i].raw, kt_subject_token_decode(kt_text_of(token), &back) == KT_OK);
        KT_ROW(rows[i].raw, strcmp(raw, rows[i].raw) == 0);
    }
}

static void bad_tokens(void **state)
{
    static const char *const bad[] = { "", "a.b", "a b", "*", ">", "%", "%2", "%zz", "a\x7F", "a\n" };
    char mem[16];
    kt_builder builder;

    for (size_t i = 0; i < KT_COUNT(bad); i++) {
        kt_builder_init(&builder, mem, sizeof mem);
        KT_ROW(bad[i], kt_subject_token_decode(kt_text_of(bad[i]), &builder) == KT_SYNTAX);
        KT_ROW(bad[i], builder.n == 0);
    }
    kt_builder_init(&builder, mem, 4);
    assert_int_equal(kt_subject_token(&builder, KT_TEXT("")), KT_ARG);
    assert_int_equal(kt_subject_token(&builder, KT_TEXT("a.b")), KT_FULL);
}

static void subjects_are_made_of_tokens(void **state)
{
    static const struct {
        const char *second, *third, *subject; /* NULL: refused */
    } rows[] = {
        { "binance", "BTC/USDT", "trades.binance.BTC/USDT" },
        { "ALL", "", "trades.ALL" },
        { "a.b", "x y", "trades.a%2Eb.x%20y" },
        { "", "BTC", NULL },
    };
    char out[KT_SUBJECT_MAX + 1], name[KT_SUBJECT_MAX];

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        bool made = kt_subject_make(out, "trades", kt_text_of(rows[i].second), kt_text_of(rows[i].third));

        KT_ROW(rows[i].second, made == (rows[i].subject != NULL));
        if (made)
            assert_string_equal(out, rows[i].subject);
    }
    memset(name, 'a', sizeof name);
    assert_true(kt_subject_make(out, "a", (kt_text){ name, KT_SUBJECT_MAX - 4 }, KT_TEXT("b")));
    assert_int_equal(strlen(out), KT_SUBJECT_MAX);
    assert_false(kt_subject_make(out, "a", (kt_text){ name, KT_SUBJECT_MAX - 3 }, KT_TEXT("b")));
}

static void subjects_and_patterns_are_checked(void **state)
{
    static const struct {
        const char *text;
        kt_code subject, pattern;
    } rows[] = {
        { "trades.binance.BTC/USDT", KT_OK, KT_OK },
        { "a", KT_OK, KT_OK },
        { "trades.*.BTC/USDT", KT_SYNTAX, KT_OK },
        { "trades.>", KT_SYNTAX, KT_OK },
        { ">", KT_SYNTAX, KT_OK },
        { "trades.>.x", KT_SYNTAX, KT_SYNTAX },
        { "trades.a*", KT_SYNTAX, KT_SYNTAX },
        { "", KT_SYNTAX, KT_SYNTAX },
        { ".a", KT_SYNTAX, KT_SYNTAX },
        { "a..b", KT_SYNTAX, KT_SYNTAX },
        { "a.", KT_SYNTAX, KT_SYNTAX },
        { "a b", KT_SYNTAX, KT_SYNTAX },
        { "a%2", KT_SYNTAX, KT_SYNTAX },
    };
    char text[KT_SUBJECT_MAX + 2];
    kt_err err = { 0 };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        KT_ROW(rows[i].text, kt_subject_check(kt_text_of(rows[i].text), &err) == rows[i].subject);
        KT_ROW(rows[i].text, kt_pattern_check(kt_text_of(rows[i].text), &err) == rows[i].pattern);
    }
    memset(text, 'a', sizeof text);
    assert_int_equal(kt_subject_check((kt_text){ text, KT_SUBJECT_MAX }, &err), KT_OK);
    assert_int_equal(kt_subject_check((kt_text){ text, KT_SUBJECT_MAX + 1 }, &err), KT_LIMIT);
    assert_non_null(strstr(err.msg, "at most 255"));
    assert_int_equal(kt_subject_check((kt_text){ NULL, 0 }, &err), KT_SYNTAX);
}

static void patterns_match_subjects(void **state)
{
    static const struct {
        const char *pattern, *subject;
        bool matches;
    } rows[] = {
        { "a.b.c", "a.b.c", true },
        { "a.b.c", "a.b", false },
        { "a.b", "a.b.c", false },
        { "a.*.c", "a.b.c", true },
        { "a.*.c", "a.b.d", false },
        { "a.*", "a.b.c", false },
        { "*.*.*", "a.b.c", true },
        { "a.>", "a.b.c", true },
        { "a.>", "a.b", true },
        { "a.>", "a", false },
        { ">", "a", true },
        { ">", "a.b.c", true },
        { "*", "a", true },
        { "*", "a.b", false },
        { "*.b.>", "a.b.c.d", true },
        { "trades.*.BTC/USDT", "trades.binance.BTC/USDT", true },
        { "ab", "a", false },
        { "a", "ab", false },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        KT_ROW(rows[i].pattern,
            kt_subject_match(kt_text_of(rows[i].pattern), kt_text_of(rows[i].subject)) == rows[i].matches);
    assert_true(kt_text_equal(kt_subject_part(KT_TEXT("a.b.c"), 0), KT_TEXT("a")));
    assert_true(kt_text_equal(kt_subject_part(KT_TEXT("a.b.c"), 2), KT_TEXT("c")));
    assert_int_equal(kt_subject_part(KT_TEXT("a.b.c"), 3).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_builder_joins_pieces),
        cmocka_unit_test(what_does_not_fit_is_left_out_for_good),
        cmocka_unit_test(integers_out_of_text),
        cmocka_unit_test(integers_come_back),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(cutting),
        cmocka_unit_test(texts_compare_by_bytes),
        cmocka_unit_test(utf8),
        cmocka_unit_test(tokens_are_encoded),
        cmocka_unit_test(bad_tokens),
        cmocka_unit_test(subjects_are_made_of_tokens),
        cmocka_unit_test(subjects_and_patterns_are_checked),
        cmocka_unit_test(patterns_match_subjects),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
