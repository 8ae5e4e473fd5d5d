/* The scanner against the general reader: what it takes, what it leaves, and that both then say the same. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan_property.h"
#include "base/test_util.h"
#include "base/text.h"

#define SHAPE(s, n, time, p, bare, f, b) \
    "{\"s\":" s ",\"n\":" n ",\"time\":" time ",\"p\":" p ",\"bare\":" bare ",\"f\":" f ",\"b\":" b "}"
#define NUMBERS(n, bare, p) SHAPE("\"BTCUSDT\"", n, "1723161255342", p, bare, "true", "[]")
#define PRICE(p) NUMBERS("1", "1", p)
#define PAIRS(b) SHAPE("\"\"", "1", "1", "\"1\"", "1", "false", b)

static const struct {
    const char *name, *text;
    bool taken;
} rows[] = {
    { "a message as venues write it",
        SHAPE("\"BTCUSDT\"", "3735683259", "1723161255342", "\"61837.63000000\"", "0.5", "true",
            "[[\"61837.63000000\",\"0.00000000\"],[\"1\",\"2\"]]"),
        true },
    { "no pairs", PAIRS("[]"), true },
    { "one pair", PAIRS("[[\"0.1\",\"10\"]]"), true },
    { "a text longer than two blocks",
        SHAPE("\"0123456789012345678901234567890123456789\"", "1", "1", "\"1\"", "1", "true", "[]"), true },
    { "zero", PRICE("\"0\""), true },
    { "zero with eight digits", PRICE("\"0.00000000\""), true },
    { "zeros between digits", PRICE("\"100.00100000\""), true },
    { "more digits than eight on either side", PRICE("\"1234567890.123456789\""), true },
    { "the longest decimal", PRICE("\"9.223372036854775807\""), true },
    { "a negative decimal", PRICE("\"-1.50\""), true },
    { "an exponent in a string", PRICE("\"1e-8\""), true },
    { "a bare number with an exponent", NUMBERS("1", "27E3", "\"1\""), true },
    { "a bare negative number", NUMBERS("1", "-0.125", "\"1\""), true },
    { "an integer of fifteen digits", NUMBERS("999999999999999", "1", "\"1\""), true },
    { "the integer zero", NUMBERS("0", "0", "\"1\""), true },

    { "longer integers are left", NUMBERS("18446744073709551615", "1", "\"1\""), false },
    { "an integer with a fraction of zero is left", NUMBERS("1.0", "1", "\"1\""), false },
    { "a blank is left",
        "{ "
        "\"s\":\"\",\"n\":1,\"time\":1,\"p\":\"1\",\"bare\":1,\"f\":true,\"b\":[]}",
        false },
    { "another order is left", "{\"n\":1,\"s\":\"\",\"time\":1,\"p\":\"1\",\"bare\":1,\"f\":true,\"b\":[]}", false },
    { "a field more is left", "{\"s\":\"\",\"n\":1,\"time\":1,\"p\":\"1\",\"bare\":1,\"f\":true,\"b\":[],\"x\":1}",
        false },
    { "an escape is left", SHAPE("\"BTC\\/USDT\"", "1", "1", "\"1\"", "1", "true", "[]"), false },
    { "a text that is not ASCII is left", SHAPE("\"\xC3\xA9\"", "1", "1", "\"1\"", "1", "true", "[]"), false },
    { "a third value of a pair is left", PAIRS("[[\"1\",\"1\",[]]]"), false },

    { "malformed: a control byte", SHAPE("\"a\nb\"", "1", "1", "\"1\"", "1", "true", "[]"), false },
    { "malformed: a leading zero of an integer", NUMBERS("007", "1", "\"1\""), false },
    { "malformed: a leading zero of a decimal", PRICE("\"01.5\""), false },
    { "malformed: nothing behind the point", PRICE("\"1.\""), false },
    { "malformed: nothing before the point", PRICE("\".5\""), false },
    { "malformed: two points", PRICE("\"1.2.3\""), false },
    { "malformed: no digits", PRICE("\"\""), false },
    { "malformed: a letter among the digits", PRICE("\"61837.6300000o\""), false },
    { "malformed: a bare number without a fraction", NUMBERS("1", "1.", "\"1\""), false },
    { "malformed: a bare number that goes on", NUMBERS("1", "1.5.2", "\"1\""), false },
    { "malformed: a word", SHAPE("\"\"", "1", "1", "\"1\"", "1", "truth", "[]"), false },
    { "malformed: a comma behind the last pair", PAIRS("[[\"1\",\"1\"],]"), false },
    { "malformed: no comma between pairs", PAIRS("[[\"1\",\"1\"][\"1\",\"1\"]]"), false },
    { "malformed: a pair of one", PAIRS("[[\"1\"]]"), false },
    { "malformed: more behind the value", PAIRS("[]") "x", false },
    { "wrong type: a number for a string", NUMBERS("1", "1", "1"), false },
    { "wrong type: a string for a number", NUMBERS("\"1\"", "1", "\"1\""), false },
    { "out of range: 20 digits", PRICE("\"12345678901234567890\""), false },
};

static void messages(void **state)
{
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t size = strlen(rows[i].text);
        char *copy = kt_guard_copy(rows[i].text, size);

        KT_ROW(rows[i].name, shape_check((kt_text){ copy, size }) == rows[i].taken);
        kt_guard_free(copy, size);
    }
}

/* Cut anywhere, it is not taken; and never a byte beyond the end is read. */
static void truncated_messages(void **state)
{
    for (size_t i = 0; i < KT_COUNT(rows); i++)
        for (size_t size = 0; size < strlen(rows[i].text) && rows[i].taken; size++) {
            char *copy = kt_guard_copy(rows[i].text, size);

            KT_ROW(rows[i].name, !shape_check((kt_text){ copy, size }));
            kt_guard_free(copy, size);
        }
}

/* Messages with one byte changed: the property of json_scan_property.h. */
static void changed_messages(void **state)
{
    static const char bytes[] = "\"\\{}[]:,.-+0123456789eEabtrufs \n\x80\xFF";
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = kt_test_cases(300000); i > 0; i--) {
        const char *text = rows[kt_rng_below(&rng, KT_COUNT(rows))].text;
        size_t size = strlen(text);
        char changed[512];

        memcpy(changed, text, size);
        changed[kt_rng_below(&rng, size)] = bytes[kt_rng_below(&rng, sizeof bytes)];
        shape_check((kt_text){ changed, size });
    }
}

/* Decimals of all lengths on either side of the point are taken, whether in strings or bare. */
static void decimals_of_every_length(void **state)
{
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = kt_test_cases(200000); i > 0; i--) {
        char price[40], bare[40], text[256];
        char *const numbers[] = { price, bare };

        for (uint32_t which = 0; which < 2; which++) {
            uint32_t whole = 1 + (uint32_t)kt_rng_below(&rng, 10), fraction = (uint32_t)kt_rng_below(&rng, 9);
            uint32_t zeros = (uint32_t)kt_rng_below(&rng, fraction + 1);
            char *at = numbers[which];

            for (uint32_t digit = 0; digit < whole; digit++)
                *at++ = (char)((whole == 1 ? '0' : '1') + (char)kt_rng_below(&rng, 9));
            if (fraction != 0)
                *at++ = '.';
            for (uint32_t digit = 0; digit < fraction; digit++)
                *at++ = (char)(digit < fraction - zeros ? '0' + (char)kt_rng_below(&rng, 10) : '0');
            *at = '\0';
        }
        snprintf(text, sizeof text,
            "{\"s\":\"\",\"n\":1,\"time\":1,\"p\":\"%s\",\"bare\":%s,\"f\":true,\"b\":[[\"%s\",\"%s\"]]}", price, bare,
            bare, price);
        if (!shape_check(kt_text_of(text)))
            fail_msg("not taken: %s", text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(truncated_messages),
        cmocka_unit_test(changed_messages),
        cmocka_unit_test(decimals_of_every_length),
    };

    return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
