/* Bad input to the JSON reader and to kt_json_fields, one row a rule; each gets a code and a message that names the
 * thing. */
#include "base/test.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/test_util.h"
#include "base/text.h"

enum { NODE_MAX = 20480, DEEP = 10000 };

static kt_json_node nodes[NODE_MAX];

static void documents(void **state)
{
    static const struct {
        const char *name, *text;
        kt_code code;
        const char *says;
    } rows[] = {
        { "malformed: no value", " ", KT_SYNTAX, "expected a value" },
        { "malformed: a bare word", "{\"a\":yes}", KT_SYNTAX, "byte 5: expected a value, found 'y'" },
        { "malformed: a misspelt word", "[nul1]", KT_SYNTAX, "byte 4: expected null, found '1'" },
        { "malformed: capitals", "[True]", KT_SYNTAX, "found 'T'" },
        { "malformed: no colon", "{\"a\" 1}", KT_SYNTAX, "byte 5: expected ':', found '1'" },
        { "malformed: no comma", "[1 2]", KT_SYNTAX, "byte 3: expected ',' or ']', found '2'" },
        { "malformed: comma at the end of an array", "[1,]", KT_SYNTAX, "expected a value, found ']'" },
        { "malformed: comma at the end of an object", "{\"a\":1,}", KT_SYNTAX, "expected a key" },
        { "malformed: key without quotes", "{a:1}", KT_SYNTAX, "byte 1: expected a key" },
        { "malformed: single quotes", "['a']", KT_SYNTAX, "found '''" },
        { "malformed: the wrong bracket", "[1}", KT_SYNTAX, "expected ',' or ']', found '}'" },
        { "malformed: more behind the value", "{} {}", KT_SYNTAX, "byte 3: expected nothing behind the value" },
        { "malformed: a comment", "[1]//x", KT_SYNTAX, "nothing behind the value" },
        { "malformed: a control byte in a string", "[\"a\nb\"]", KT_SYNTAX, "control characters escaped" },
        { "malformed: an unknown escape", "[\"\\x41\"]", KT_SYNTAX, "byte 3: expected one of the escapes" },
        { "malformed: an escape that is not hexadecimal", "[\"\\u00g0\"]", KT_SYNTAX,
            "byte 6: expected one of the escapes" },
        { "malformed: bad UTF-8", "[\"\xC0\xAF\"]", KT_SYNTAX, "byte 2: expected UTF-8, found byte 0xC0" },
        { "malformed: a byte order mark", "\xEF\xBB\xBF[]", KT_SYNTAX, "byte 0" },
        { "malformed: leading zero", "[007]", KT_SYNTAX, "byte 2: expected a number as RFC 8259" },
        { "malformed: plus", "[+1]", KT_SYNTAX, "found '+'" },
        { "malformed: nothing behind the point", "[1.]", KT_SYNTAX, "byte 3: expected a number" },
        { "malformed: nothing before the point", "[.5]", KT_SYNTAX, "found '.'" },
        { "malformed: no exponent", "[1e]", KT_SYNTAX, "byte 3: expected a number" },
        { "malformed: a minus alone", "[-]", KT_SYNTAX, "byte 2: expected a number" },
        { "malformed: hexadecimal", "[0x10]", KT_SYNTAX, "found 'x'" },
        { "non-finite: NaN", "[NaN]", KT_SYNTAX, "found 'N'" },
        { "non-finite: Infinity", "[Infinity]", KT_SYNTAX, "found 'I'" },
        { "non-finite: -Infinity", "[-Infinity]", KT_SYNTAX, "byte 2: expected a number" },
        { "truncated: nothing at all", "", KT_SYNTAX, "truncated" },
        { "truncated in an object", "{\"a\":1", KT_SYNTAX, "truncated: it ends at byte 6, expected ',' or '}'" },
        { "truncated in an array", "[1,", KT_SYNTAX, "truncated: it ends at byte 3, expected a value" },
        { "truncated in a string", "[\"abc", KT_SYNTAX, "truncated" },
        { "truncated in an escape", "[\"\\u00", KT_SYNTAX, "truncated" },
        { "truncated in a word", "[tru", KT_SYNTAX, "truncated: it ends at byte 4, expected true" },
        { "truncated in a number", "[1.", KT_SYNTAX, "truncated" },
        { "truncated behind a key", "{\"a\"", KT_SYNTAX, "expected ':'" },
        { "accepted: duplicates", "{\"a\":1,\"a\":1}", KT_OK, "" },
        { "accepted: a scalar at the top", "\"a\"", KT_OK, "" },
        { "accepted: half a surrogate pair", "[\"\\uD800\"]", KT_OK, "" },
        { "accepted: a decimal of 40 digits", "1234567890123456789012345678901234567890", KT_OK, "" },
        { "accepted: a number larger than any double", "[1e999]", KT_OK, "" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t n = strlen(rows[i].text);
        char *flush = kt_guard_copy(rows[i].text, n);
        kt_json_doc doc = { .node_count = 77 };
        kt_err err = { 0 };
        KT_ROW(rows[i].name, kt_json_parse((kt_text){ flush, n }, nodes, NODE_MAX, &doc, &err) == rows[i].code);
        KT_ROW(rows[i].name, (doc.node_count == 77) == (rows[i].code != KT_OK));
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("row \"%s\" says: %s", rows[i].name, err.msg);
        kt_guard_free(flush, n);
    }
}

/* Depth is bounded by a number, not by the stack. */
static void deep(void **state)
{
    static const struct {
        const char *name, *open, *close;
        uint32_t depth;
        kt_code code;
    } rows[] = {
        { "arrays as deep as allowed", "[", "]", KT_JSON_DEPTH_MAX, KT_OK },
        { "arrays one deeper", "[", "]", KT_JSON_DEPTH_MAX + 1, KT_LIMIT },
        { "arrays 10,000 deep", "[", "]", DEEP, KT_LIMIT },
        { "objects 10,000 deep", "{\"a\":", "}", DEEP, KT_LIMIT },
        { "10,000 deep and never closed", "[", "", DEEP, KT_LIMIT },
        { "objects as deep as allowed, and truncated", "{\"a\":", "", KT_JSON_DEPTH_MAX, KT_SYNTAX },
    };
    char *text = malloc(DEEP * 8);

    assert_non_null(text);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_json_doc doc;
        kt_err err = { 0 };
        kt_builder builder;
        kt_builder_init(&builder, text, DEEP * 8);
        for (uint32_t level = 0; level < rows[i].depth; level++)
            kt_builder_str(&builder, rows[i].open);
        for (uint32_t level = 0; level < rows[i].depth; level++)
            kt_builder_str(&builder, rows[i].close);
        assert_int_equal(builder.code, KT_OK);
        KT_ROW(rows[i].name, kt_json_parse(kt_builder_done(&builder), nodes, NODE_MAX, &doc, &err) == rows[i].code);
        if (rows[i].code == KT_LIMIT)
            KT_ROW(rows[i].name, strstr(err.msg, "at most 512 levels") != NULL);
    }
    free(text);
}

static void oversized(void **state)
{
    kt_json_doc doc;
    kt_err err = { 0 };

    assert_int_equal(kt_json_parse((kt_text){ "", UINT32_MAX }, nodes, NODE_MAX, &doc, &err), KT_LIMIT);
    assert_non_null(strstr(err.msg, "oversized"));
    assert_int_equal(kt_json_parse(KT_TEXT("[1,2,3]"), nodes, 3, &doc, &err), KT_FULL);
    assert_non_null(strstr(err.msg, "more than 3 values"));
    assert_int_equal(kt_json_parse(KT_TEXT("{\"a\":1}"), nodes, 1, &doc, &err), KT_FULL);
    assert_int_equal(kt_json_parse(KT_TEXT("{\"a\":1}"), nodes, 2, &doc, &err), KT_FULL);
    assert_int_equal(kt_json_parse(KT_TEXT("1"), nodes, 0, &doc, &err), KT_FULL);
    assert_int_equal(kt_json_parse(KT_TEXT("[1,2,3]"), nodes, 4, &doc, &err), KT_OK);
}

typedef struct trade {
    kt_text ticker, tradeid;
    int64_t ts;
    uint64_t number;
    kt_decimal price, quantity;
    bool maker;
} trade;

static const kt_json_field trade_fields[] = {
    KT_JSON_FIELD(trade, ticker, "ticker", TEXT, 0),
    KT_JSON_FIELD(trade, ts, "ts", I64, 0),
    KT_JSON_FIELD(trade, quantity, "quantity", DECIMAL, 0),
    KT_JSON_FIELD(trade, price, "price", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(trade, tradeid, "tradeid", TEXT, 0),
    KT_JSON_FIELD(trade, number, "number", U64_ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(trade, maker, "maker", BOOL, KT_JSON_OPTIONAL),
};

static void fields(void **state)
{
    static const struct {
        const char *name, *text;
        kt_code code;
        const char *field, *says;
    } rows[] = {
        { "nothing is wrong",
            "{\"ticker\":\"BTC\",\"ts\":9007199254740993,\"quantity\":0.5,\"price\":\"1.5\",\"tradeid\":\"a\"}", KT_OK,
            NULL, "" },
        { "known field missing", "{\"ticker\":\"BTC\",\"ts\":1,\"price\":\"1.5\",\"tradeid\":\"a\"}", KT_NOENT,
            "quantity", "field 'quantity' is missing" },
        { "all known fields missing", "{}", KT_NOENT, "ticker", "field 'ticker' is missing" },
        { "wrongly typed: number for text", "{\"ticker\":5}", KT_TYPE, "ticker",
            "field 'ticker' has the wrong type: a string is allowed, found a number" },
        { "wrongly typed: text for number", "{\"ts\":\"1684083600123\"}", KT_TYPE, "ts",
            "a number is allowed, found the string \"1684083600123\"" },
        { "wrongly typed: number for decimal text", "{\"price\":1.5}", KT_TYPE, "price",
            "a decimal number in a string is allowed, found a number" },
        { "wrongly typed: text that is no decimal", "{\"price\":\"cheap\"}", KT_TYPE, "price",
            "found the string \"cheap\"" },
        { "wrongly typed: null", "{\"price\":null}", KT_TYPE, "price", "found null" },
        { "wrongly typed: an array", "{\"quantity\":[1]}", KT_TYPE, "quantity", "found an array" },
        { "wrongly typed: 1 for true", "{\"maker\":1}", KT_TYPE, "maker", "true or false is allowed" },
        { "wrongly typed: the message itself", "[]", KT_TYPE, NULL, "expected an object, found an array" },
        { "given twice", "{\"ticker\":\"BTC\",\"ticker\":\"BTC\"}", KT_TWICE, "ticker",
            "field 'ticker' is given twice" },
        { "given twice, once with an escape", "{\"ts\":1,\"t\\u0073\":1}", KT_TWICE, "ts", "given twice" },
        { "given twice far apart",
            "{\"ticker\":\"BTC\",\"ts\":1,\"quantity\":0.5,\"price\":\"1.5\",\"tradeid\":\"a\",\"ticker\":\"ETH\"}",
            KT_TWICE, "ticker", "given twice" },
        { "given twice: unknown fields may be",
            "{\"x\":1,\"x\":2,\"ticker\":\"BTC\",\"ts\":1,\"quantity\":0.5,\"price\":\"1.5\",\"tradeid\":\"a\"}", KT_OK,
            NULL, "" },
        { "negative for an unsigned number", "{\"number\":-1}", KT_RANGE, "number",
            "not negative is allowed, found -1" },
        { "negative in a string for an unsigned number", "{\"number\":\"-1\"}", KT_TYPE, "number", "at least 0" },
        { "negative is a decimal",
            "{\"ticker\":\"BTC\",\"ts\":-1,\"quantity\":-0.5,\"price\":\"-1.5\",\"tradeid\":\"a\"}", KT_OK, NULL, "" },
        { "non-finite: larger than any number", "{\"quantity\":1e999}", KT_RANGE, "quantity", "found 1e999" },
        { "non-finite: NaN in a string", "{\"price\":\"NaN\"}", KT_TYPE, "price", "found the string \"NaN\"" },
        { "non-finite: Infinity in a string", "{\"price\":\"Infinity\"}", KT_TYPE, "price", "\"Infinity\"" },
        { "decimal of 40 digits", "{\"quantity\":1.234567890123456789012345678901234567891}", KT_RANGE, "quantity",
            "out of range: at most 18 digits" },
        { "decimal of 40 digits in a string", "{\"price\":\"1.234567890123456789012345678901234567891\"}", KT_RANGE,
            "price", "out of range" },
        { "does not fit 64 bits with its scale", "{\"quantity\":123456789012.12345678}", KT_RANGE, "quantity",
            "63 bits" },
        { "an integer that does not fit 64 bits", "{\"ts\":18446744073709551616}", KT_RANGE, "ts", "64 bits" },
        { "a fraction for an integer", "{\"ts\":1.5}", KT_RANGE, "ts", "found 1.5" },
        { "half a surrogate pair in a text", "{\"ticker\":\"\\uD800\"}", KT_SYNTAX, "ticker", "surrogate" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        size_t n = strlen(rows[i].text);
        char *flush = kt_guard_copy(rows[i].text, n);
        kt_json_found found;
        kt_json_doc doc;
        kt_err err = { 0 };
        trade got;
        char mem[64];
        kt_arena arena;
        kt_arena_init(&arena, mem, sizeof mem);
        KT_ROW(rows[i].name, kt_json_parse((kt_text){ flush, n }, nodes, NODE_MAX, &doc, &err) == KT_OK);
        KT_ROW(rows[i].name,
            kt_json_fields(&doc, 0, trade_fields, KT_COUNT(trade_fields), &arena, &got, &found, &err) == rows[i].code);
        KT_ROW(rows[i].name, (found.field == NULL) == (rows[i].field == NULL));
        if (rows[i].field != NULL)
            KT_ROW(rows[i].name, strcmp(found.field, rows[i].field) == 0);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("row \"%s\" says: %s", rows[i].name, err.msg);
        kt_guard_free(flush, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(deep),
        cmocka_unit_test(oversized),
        cmocka_unit_test(fields),
    };

    return cmocka_run_group_tests_name("json bad input", tests, NULL, NULL);
}
