#include "base/test.h"

#include "base/decimal.h"
#include "base/test_util.h"

static void reading(void **state)
{
    static const struct {
        const char *name, *text;
        kt_code code;
        int64_t m;
        uint8_t scale;
    } rows[] = {
        { "a whole number", "27000", KT_OK, 27000, 0 },
        { "a price", "61763.25", KT_OK, 6176325, 2 },
        { "trailing zeros are dropped", "61763.25000000", KT_OK, 6176325, 2 },
        { "and the point with the last of them", "27000.00000000", KT_OK, 27000, 0 },
        { "a small quantity", "0.00080000", KT_OK, 8, 4 },
        { "zero has scale 0", "0.00000000", KT_OK, 0, 0 },
        { "minus zero is zero", "-0.0", KT_OK, 0, 0 },
        { "negative", "-1.50", KT_OK, -15, 1 },
        { "zeros inside stay", "100.001", KT_OK, 100001, 3 },
        { "18 digits behind the point", "0.000000000000000001", KT_OK, 1, 18 },
        { "18 digits in front and a fraction of zeros", "123456789012345678.000", KT_OK, 123456789012345678, 0 },
        { "the greatest", "9223372036854775807", KT_OK, INT64_MAX, 0 },
        { "the greatest at scale 18", "9.223372036854775807", KT_OK, INT64_MAX, 18 },
        { "the least", "-9223372036854775807", KT_OK, -INT64_MAX, 0 },
        { "an exponent", "1e-7", KT_OK, 1, 7 },
        { "an exponent with plus", "2.50E+3", KT_OK, 2500, 0 },
        { "an exponent that meets its own zeros", "1000e-3", KT_OK, 1, 0 },
        { "an exponent of zero", "1.0e0", KT_OK, 1, 0 },
        { "an exponent with zeros in front", "5e-0000000000000000000000002", KT_OK, 5, 2 },
        { "zero to any power", "0e999999999999999999999", KT_OK, 0, 0 },
        { "a decimal of 40 digits, most of them zeros", "1.500000000000000000000000000000000000000", KT_OK, 15, 1 },
        { "40 digits, zeros to the end, by exponent", "1000000000000000000000000000000000000000e-39", KT_OK, 1, 0 },
        { "a decimal of 40 digits", "1234567890123456789012345678901234567890", KT_RANGE, 0, 0 },
        { "a decimal of 40 digits behind the point", "0.1234567890123456789012345678901234567891", KT_RANGE, 0, 0 },
        { "does not fit 64 bits", "9223372036854775808", KT_RANGE, 0, 0 },
        { "INT64_MIN is no mantissa", "-9223372036854775808", KT_RANGE, 0, 0 },
        { "does not fit 64 bits with its scale", "92233720368547758.08", KT_RANGE, 0, 0 },
        { "does not fit 64 bits with its scale of 8", "123456789012.12345678", KT_RANGE, 0, 0 },
        { "19 digits behind the point", "0.0000000000000000001", KT_RANGE, 0, 0 },
        { "an exponent too small", "1e-19", KT_RANGE, 0, 0 },
        { "an exponent too large", "1e19", KT_RANGE, 0, 0 },
        { "an exponent of 10^18", "1e18", KT_OK, 1000000000000000000, 0 },
        { "an exponent beyond counting", "1e99999999999999999999999", KT_RANGE, 0, 0 },
        { "an exponent beyond counting, down", "1e-99999999999999999999999", KT_RANGE, 0, 0 },
        { "malformed: empty", "", KT_SYNTAX, 0, 0 },
        { "malformed: a sign alone", "-", KT_SYNTAX, 0, 0 },
        { "malformed: plus", "+1", KT_SYNTAX, 0, 0 },
        { "malformed: two signs", "--1", KT_SYNTAX, 0, 0 },
        { "malformed: leading zero", "01", KT_SYNTAX, 0, 0 },
        { "malformed: two zeros", "00", KT_SYNTAX, 0, 0 },
        { "malformed: nothing behind the point", "1.", KT_SYNTAX, 0, 0 },
        { "malformed: nothing before the point", ".5", KT_SYNTAX, 0, 0 },
        { "malformed: two points", "1.2.3", KT_SYNTAX, 0, 0 },
        { "malformed: a blank behind", "1 ", KT_SYNTAX, 0, 0 },
        { "malformed: a comma", "1,000", KT_SYNTAX, 0, 0 },
        { "malformed: no exponent behind e", "1e", KT_SYNTAX, 0, 0 },
        { "malformed: a sign for an exponent", "1e-", KT_SYNTAX, 0, 0 },
        { "malformed: a point before the exponent", "1.e5", KT_SYNTAX, 0, 0 },
        { "malformed: zeros behind a bare exponent point", "1.e00", KT_SYNTAX, 0, 0 },
        { "malformed: a fraction in the exponent", "1e1.5", KT_SYNTAX, 0, 0 },
        { "malformed: hexadecimal", "0x10", KT_SYNTAX, 0, 0 },
        { "malformed: 40 digits and a letter", "1234567890123456789012345678901234567890x", KT_SYNTAX, 0, 0 },
        { "non-finite: NaN", "NaN", KT_SYNTAX, 0, 0 },
        { "non-finite: Infinity", "Infinity", KT_SYNTAX, 0, 0 },
        { "non-finite: -inf", "-inf", KT_SYNTAX, 0, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t n = strlen(rows[i].text);
        char *flush = kt_guard_copy(rows[i].text, n);
        kt_decimal got = { .m = -7, .scale = 7 };
        kt_code code = rows[i].code;
        KT_ROW(rows[i].name, kt_decimal_parse((kt_text){ flush, n }, &got) == code);
        KT_ROW(rows[i].name, got.m == (code == KT_OK ? rows[i].m : -7));
        KT_ROW(rows[i].name, got.scale == (code == KT_OK ? rows[i].scale : 7));
        kt_guard_free(flush, n);
    }
}

static void writing(void **state)
{
    static const struct {
        int64_t m;
        uint8_t scale;
        const char *text, *trimmed;
    } rows[] = {
        { 0, 0, "0", "0" },
        { 0, 3, "0.000", "0" },
        { 5, 1, "0.5", "0.5" },
        { -5, 3, "-0.005", "-0.005" },
        { 1250, 3, "1.250", "1.25" },
        { 1000, 3, "1.000", "1" },
        { 1000, 0, "1000", "1000" },
        { INT64_MAX, 18, "9.223372036854775807", "9.223372036854775807" },
        { -INT64_MAX, 0, "-9223372036854775807", "-9223372036854775807" },
        { 1, 18, "0.000000000000000001", "0.000000000000000001" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char text[KT_DECIMAL_TEXT_MAX];
        kt_decimal decimal = { .m = rows[i].m, .scale = rows[i].scale };
        KT_ROW(rows[i].text, kt_decimal_format(text, sizeof text, decimal) == strlen(rows[i].text));
        KT_ROW(rows[i].text, strcmp(text, rows[i].text) == 0);
        KT_ROW(rows[i].text, kt_decimal_format_trimmed(text, sizeof text, decimal) == strlen(rows[i].trimmed));
        KT_ROW(rows[i].text, strcmp(text, rows[i].trimmed) == 0);
    }
}

static void every_decimal_comes_back_canonical(void **state)
{
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_test_cases(200000); i++) {
        char text[KT_DECIMAL_TEXT_MAX], again[KT_DECIMAL_TEXT_MAX];
        kt_decimal decimal = { .scale = (uint8_t)kt_rng_below(&rng, 19) }, back = { 0 };
        decimal.m = (int64_t)kt_rng_u64(&rng) >> kt_rng_below(&rng, 64);
        if (decimal.m == INT64_MIN)
            continue;
        if (kt_rng_chance(&rng, 0.3))
            decimal.m = decimal.m / 1000 * 1000;
        size_t n = kt_decimal_format(text, sizeof text, decimal);
        assert_int_equal(kt_decimal_parse((kt_text){ text, n }, &back), KT_OK);
        kt_decimal canon = kt_decimal_canon(decimal);
        assert_memory_equal(&back, &canon, sizeof back);
        assert_int_equal(kt_decimal_compare(decimal, back), 0);
        kt_decimal_format_trimmed(text, sizeof text, decimal);
        kt_decimal_format(again, sizeof again, back);
        assert_string_equal(text, again);
    }
}

static void rescaling_never_rounds(void **state)
{
    int64_t m = 7;

    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = 15, .scale = 1 }, 3, &m), KT_OK);
    assert_true(m == 1500);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = 1500, .scale = 3 }, 1, &m), KT_OK);
    assert_true(m == 15);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = 1501, .scale = 3 }, 1, &m), KT_RANGE);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = INT64_MAX }, 1, &m), KT_RANGE);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = 10, .scale = 0 }, 18, &m), KT_RANGE);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = 1 }, 19, &m), KT_ARG);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = INT64_MIN }, 0, &m), KT_ARG);
    assert_int_equal(kt_decimal_rescale((kt_decimal){ .m = 1, .scale = 19 }, 0, &m), KT_ARG);
    assert_true(m == 15);
}

static void comparing_is_by_value(void **state)
{
    assert_true(kt_decimal_compare((kt_decimal){ .m = 110, .scale = 2 }, (kt_decimal){ .m = 11, .scale = 1 }) == 0);
    assert_true(kt_decimal_compare((kt_decimal){ .m = -1 }, (kt_decimal){ .m = 1, .scale = 18 }) < 0);
    assert_true(kt_decimal_compare((kt_decimal){ .m = INT64_MAX }, (kt_decimal){ .m = INT64_MAX, .scale = 18 }) > 0);
}

static void division_rounds_half_to_even(void **state)
{
    static const struct {
        int64_t num, den, quotient;
    } rows[] = {
        { 5, 2, 2 },
        { 7, 2, 4 },
        { -5, 2, -2 },
        { -7, 2, -4 },
        { 5, -2, -2 },
        { 7, -2, -4 },
        { -7, -2, 4 },
        { 1, 2, 0 },
        { 3, 2, 2 },
        { -1, 2, 0 },
        { 10, 4, 2 },
        { 14, 4, 4 },
        { 2, 3, 1 },
        { 1, 3, 0 },
        { -2, 3, -1 },
        { 6, 3, 2 },
        { 0, 5, 0 },
        { INT64_MIN, 1, INT64_MIN },
        { INT64_MAX, 2, 4611686018427387904 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        assert_true(kt_div_half_even(rows[i].num, rows[i].den) == rows[i].quotient);
    kt_i128 large = (kt_i128)1 << 126;
    assert_true(kt_div_half_even(large + 1, 2) == large / 2);
    assert_true(kt_div_half_even(-large - large, 1) == -large - large);
    assert_true(kt_div_half_even(large, -large - large) == 0); /* -0.5 */
    assert_true(kt_div_half_even(large + 1, -large - large) == -1);
}

static void sums_of_128_bits(void **state)
{
    static const struct {
        const char *text;
        kt_code code;
        uint32_t scale;
    } rows[] = {
        { "0", KT_OK, 0 },
        { "1.50", KT_OK, 2 },
        { "-0.000000000000000000000000000000000001", KT_OK, 36 },
        { "170141183460469231731687303715884105727", KT_OK, 0 },
        { "-170141183460469231731687303715884105728", KT_OK, 0 },
        { "-170.141183460469231731687303715884105728", KT_OK, 36 },
        { "170141183460469231731687303715884105728", KT_RANGE, 0 },
        { "0.0000000000000000000000000000000000001", KT_RANGE, 0 },
        { "1e5", KT_SYNTAX, 0 },
        { "01", KT_SYNTAX, 0 },
        { "", KT_SYNTAX, 0 },
        { "1.", KT_SYNTAX, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char text[KT_I128_TEXT_MAX];
        kt_i128 m = 0;
        uint32_t scale = 99;
        KT_ROW(rows[i].text, kt_i128_parse(kt_text_of(rows[i].text), &m, &scale) == rows[i].code);
        if (rows[i].code != KT_OK)
            continue;
        KT_ROW(rows[i].text, scale == rows[i].scale);
        KT_ROW(rows[i].text, kt_i128_format(text, sizeof text, m, scale) == strlen(rows[i].text));
        KT_ROW(rows[i].text, strcmp(text, rows[i].text) == 0);
        KT_ROW(rows[i].text, kt_sum_value(kt_sum_of(m, (uint8_t)scale)) == m);
    }
    char text[KT_I128_TEXT_MAX];
    kt_i128_format_trimmed(text, sizeof text, 150, 2);
    assert_string_equal(text, "1.5");
    kt_i128 sum = 1;
    kt_i128 greatest = kt_sum_value((kt_sum){ .lo = UINT64_MAX, .hi = INT64_MAX });
    assert_int_equal(kt_i128_add(greatest, 1, &sum), KT_RANGE);
    assert_int_equal(kt_i128_mul(greatest, 2, &sum), KT_RANGE);
    assert_true(sum == 1);
    assert_int_equal(kt_i128_add(greatest, -1, &sum), KT_OK);
    assert_true(kt_pow10_i128(38) == kt_pow10_i128(19) * kt_pow10_i128(19));
    assert_true(kt_pow10_i128(19) == (kt_i128)kt_pow10(18) * 10);
    assert_true(kt_pow10_i128(3) == 1000);
}

static void sums_are_added_and_divided_exactly(void **state)
{
    static const struct {
        const char *name;
        int64_t pq, q;
        uint8_t pq_scale, q_scale, scale;
        kt_code code;
        int64_t ratio;
        uint8_t ratio_scale;
    } rows[] = {
        { "as many digits as asked for", 10001, 2, 2, 0, 4, KT_OK, 500050, 4 },
        { "half to even, down", 5, 2, 0, 0, 0, KT_OK, 2, 0 },
        { "half to even, up", 7, 2, 0, 0, 0, KT_OK, 4, 0 },
        { "the greatest scale that fits", INT64_MAX, 1, 0, 0, 2, KT_OK, INT64_MAX, 0 },
        { "none fits", INT64_MAX, 1, 0, 1, 2, KT_RANGE, 0, 0 },
        { "scales far apart", 1, 1, 0, 36, 18, KT_RANGE, 0, 0 },
    };
    kt_decimal ratio;
    kt_sum sum;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        KT_ROW(rows[i].name, kt_sum_ratio(kt_sum_of(rows[i].pq, rows[i].pq_scale),
                                 kt_sum_of(rows[i].q, rows[i].q_scale), rows[i].scale, &ratio) == rows[i].code);
        if (rows[i].code == KT_OK)
            KT_ROW(rows[i].name, ratio.m == rows[i].ratio && ratio.scale == rows[i].ratio_scale);
    }
    assert_int_equal(kt_sum_add(kt_sum_of(15, 1), kt_sum_of(-25, 2), &sum), KT_OK);
    assert_true(kt_sum_value(sum) == 125 && sum.scale == 2);
    assert_int_equal(kt_sum_add(kt_sum_of(kt_pow10_i128(38), 0), kt_sum_of(1, 1), &sum), KT_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(writing),
        cmocka_unit_test(every_decimal_comes_back_canonical),
        cmocka_unit_test(rescaling_never_rounds),
        cmocka_unit_test(comparing_is_by_value),
        cmocka_unit_test(division_rounds_half_to_even),
        cmocka_unit_test(sums_of_128_bits),
        cmocka_unit_test(sums_are_added_and_divided_exactly),
    };

    return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
