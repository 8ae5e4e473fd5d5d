#include "base/test.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/test_util.h"

enum { NODE_MAX = 256 };

static kt_json_node nodes[NODE_MAX];

static kt_json_doc parsed(const char *text)
{
    kt_json_doc doc = { 0 };
    kt_err err = { 0 };

    if (kt_json_parse(kt_text_of(text), nodes, NODE_MAX, &doc, &err) != KT_OK)
        fail_msg("%s: %s", text, err.msg);
    return doc;
}

static void nodes_stand_in_the_order_of_the_text(void **state)
{
    kt_json_doc doc = parsed(" {\"a\": [1, -2.5, \"x\\n\"], \"b\": {}, \"c\": null, \"d\": [true, false]} ");
    static const struct {
        kt_json_kind kind;
        uint32_t next;
        const char *raw;
    } expected[] = {
        { KT_JSON_OBJECT, 14, "{\"a\": [1, -2.5, \"x\\n\"], \"b\": {}, \"c\": null, \"d\": [true, false]}" },
        { KT_JSON_STRING, 2, "a" },
        { KT_JSON_ARRAY, 6, "[1, -2.5, \"x\\n\"]" },
        { KT_JSON_NUMBER, 4, "1" },
        { KT_JSON_NUMBER, 5, "-2.5" },
        { KT_JSON_STRING, 6, "x\\n" },
        { KT_JSON_STRING, 7, "b" },
        { KT_JSON_OBJECT, 8, "{}" },
        { KT_JSON_STRING, 9, "c" },
        { KT_JSON_NULL, 10, "null" },
        { KT_JSON_STRING, 11, "d" },
        { KT_JSON_ARRAY, 14, "[true, false]" },
        { KT_JSON_TRUE, 13, "true" },
        { KT_JSON_FALSE, 14, "false" },
    };

    assert_int_equal(doc.node_count, 14);
    for (uint32_t i = 0; i < KT_COUNT(expected); i++) {
        KT_ROW(expected[i].raw, kt_json_kind_of(&doc, i) == expected[i].kind);
        KT_ROW(expected[i].raw, nodes[i].next == expected[i].next);
        KT_ROW(expected[i].raw, kt_text_equal(kt_json_raw(&doc, i), kt_text_of(expected[i].raw)));
    }
}

static void containers_are_walked(void **state)
{
    kt_json_doc doc = parsed("{\"a\":[10,[],{\"x\":1},13],\"b\":{\"c\":2},\"\\u0061b\":3,\"\":4}");
    uint32_t array = kt_json_get(&doc, 0, KT_TEXT("a"));
    int64_t value = 0;

    assert_int_equal(kt_json_count(&doc, 0), 4);
    assert_int_equal(kt_json_count(&doc, array), 4);
    assert_int_equal(kt_json_i64(&doc, kt_json_at(&doc, array, 3), &value), KT_OK);
    assert_int_equal(value, 13);
    assert_int_equal(kt_json_at(&doc, array, 4), 0);
    assert_int_equal(kt_json_at(&doc, 0, 0), 0);
    assert_int_equal(kt_json_get(&doc, array, KT_TEXT("a")), 0);
    assert_int_equal(kt_json_get(&doc, 0, KT_TEXT("x")), 0);
    assert_int_equal(kt_json_i64(&doc, kt_json_get(&doc, 0, KT_TEXT("ab")), &value), KT_OK);
    assert_int_equal(value, 3);
    assert_int_equal(kt_json_i64(&doc, kt_json_get(&doc, 0, KT_TEXT("")), &value), KT_OK);
    assert_int_equal(value, 4);
    assert_int_equal(kt_json_count(&doc, kt_json_get(&doc, 0, KT_TEXT(""))), 0);
}

static void numbers_keep_every_digit(void **state)
{
    static const struct {
        const char *name, *text;
        kt_code i64, u64, decimal;
        uint64_t number;
    } rows[] = {
        { "small", "7", KT_OK, KT_OK, KT_OK, 7 },
        { "13 digits", "1723161256345", KT_OK, KT_OK, KT_OK, 1723161256345 },
        { "beyond 2^53", "9007199254740993", KT_OK, KT_OK, KT_OK, 9007199254740993 },
        { "18 digits", "123456789012345678", KT_OK, KT_OK, KT_OK, 123456789012345678 },
        { "the greatest int64", "9223372036854775807", KT_OK, KT_OK, KT_OK, INT64_MAX },
        { "beyond int64", "9223372036854775808", KT_RANGE, KT_OK, KT_RANGE, (uint64_t)INT64_MAX + 1 },
        { "the greatest uint64", "18446744073709551615", KT_RANGE, KT_OK, KT_RANGE, UINT64_MAX },
        { "does not fit 64 bits", "18446744073709551616", KT_RANGE, KT_RANGE, KT_RANGE, 0 },
        { "the least int64", "-9223372036854775808", KT_OK, KT_RANGE, KT_RANGE, (uint64_t)INT64_MIN },
        { "below int64", "-9223372036854775809", KT_RANGE, KT_RANGE, KT_RANGE, 0 },
        { "negative", "-12345678", KT_OK, KT_RANGE, KT_OK, (uint64_t)-12345678 },
        { "minus zero", "-0", KT_OK, KT_OK, KT_OK, 0 },
        { "an integer with a point", "12.000", KT_OK, KT_OK, KT_OK, 12 },
        { "an integer by exponent", "1.5e3", KT_OK, KT_OK, KT_OK, 1500 },
        { "a fraction", "1.5", KT_RANGE, KT_RANGE, KT_OK, 0 },
        { "a fraction by exponent", "1e-3", KT_RANGE, KT_RANGE, KT_OK, 0 },
        { "larger than any double", "1e999", KT_RANGE, KT_RANGE, KT_RANGE, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_json_doc doc = parsed(rows[i].text);
        int64_t as_i64 = 0;
        uint64_t as_u64 = 0;
        kt_decimal decimal;
        KT_ROW(rows[i].name, kt_json_i64(&doc, 0, &as_i64) == rows[i].i64);
        KT_ROW(rows[i].name, as_i64 == (rows[i].i64 == KT_OK ? (int64_t)rows[i].number : 0));
        KT_ROW(rows[i].name, kt_json_u64(&doc, 0, &as_u64) == rows[i].u64);
        KT_ROW(rows[i].name, as_u64 == (rows[i].u64 == KT_OK ? rows[i].number : 0));
        KT_ROW(rows[i].name, kt_json_decimal(&doc, 0, &decimal) == rows[i].decimal);
        KT_ROW(rows[i].name, kt_text_equal(kt_json_raw(&doc, 0), kt_text_of(rows[i].text)));
    }
}

static void escapes_are_undone(void **state)
{
    static const struct {
        const char *name, *json;
        kt_code code;
        kt_text text;
    } rows[] = {
        { "none", "\"plain\"", KT_OK, KT_TEXT("plain") },
        { "every letter", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", KT_OK, KT_TEXT("\"\\/\b\f\n\r\t") },
        { "code points of one, two and three bytes", "\"\\u0041\\u00e4\\u20AC\"", KT_OK,
            KT_TEXT("A\xC3\xA4\xE2\x82\xAC") },
        { "a surrogate pair", "\"\\uD83D\\uDE00!\"", KT_OK, KT_TEXT("\xF0\x9F\x98\x80!") },
        { "NUL", "\"a\\u0000b\"", KT_OK, KT_TEXT("a\0b") },
        { "UTF-8 as it stands", "\"\xE2\x82\xAC\\n\"", KT_OK, KT_TEXT("\xE2\x82\xAC\n") },
        { "half a pair: the first", "\"x\\uD83D\"", KT_SYNTAX, KT_TEXT("") },
        { "half a pair: the second", "\"\\uDE00\"", KT_SYNTAX, KT_TEXT("") },
        { "half a pair before another escape", "\"\\uD83D\\n\"", KT_SYNTAX, KT_TEXT("") },
        { "two first halves", "\"\\uD83D\\uD83D\"", KT_SYNTAX, KT_TEXT("") },
    };
    char mem[64];
    kt_arena arena;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_json_doc doc = parsed(rows[i].json);
        kt_text text = { 0 };
        kt_arena_init(&arena, mem, sizeof mem);
        KT_ROW(rows[i].name, kt_json_text(&doc, 0, &arena, &text) == rows[i].code);
        KT_ROW(rows[i].name, kt_text_equal(text, rows[i].text));
        KT_ROW(rows[i].name, kt_json_text_is(&doc, 0, rows[i].text) == (rows[i].code == KT_OK));
        KT_ROW(rows[i].name, !kt_json_text_is(&doc, 0, KT_TEXT("something else")));
        KT_ROW(rows[i].name, arena.used <= text.n);
    }
    kt_json_doc doc = parsed("\"a\\nb\"");
    kt_text text;
    assert_int_equal(kt_json_text(&doc, 0, NULL, &text), KT_FULL);
    kt_arena_init(&arena, mem, 2);
    assert_int_equal(kt_json_text(&doc, 0, &arena, &text), KT_FULL);
}

static void values_of_another_kind_are_a_type_error(void **state)
{
    kt_json_doc doc = parsed("[null,\"1.5\",1,true]");
    kt_text text;
    bool flag = false;
    int64_t number;
    uint64_t plain;
    kt_decimal decimal = { 0 };

    assert_int_equal(kt_json_text(&doc, 1, NULL, &text), KT_TYPE);
    assert_int_equal(kt_json_bool(&doc, 1, &flag), KT_TYPE);
    assert_int_equal(kt_json_bool(&doc, 4, &flag), KT_OK);
    assert_true(flag);
    assert_int_equal(kt_json_i64(&doc, 2, &number), KT_TYPE);
    assert_int_equal(kt_json_u64(&doc, 2, &plain), KT_TYPE);
    assert_int_equal(kt_json_decimal(&doc, 2, &decimal), KT_TYPE);
    assert_int_equal(kt_json_decimal_text(&doc, 3, &decimal), KT_TYPE);
    assert_int_equal(kt_json_decimal_text(&doc, 2, &decimal), KT_OK);
    assert_true(decimal.m == 15 && decimal.scale == 1);
    assert_false(kt_json_text_is(&doc, 3, KT_TEXT("1")));
}

typedef struct all_types {
    bool flag;
    int64_t i64, i64_any;
    uint64_t u64, u64_any;
    kt_decimal decimal, decimal_text, decimal_any;
    kt_text text;
    uint32_t array, object, any;
} all_types;

static const kt_json_field all_fields[] = {
    KT_JSON_FIELD(all_types, flag, "flag", BOOL, 0),
    KT_JSON_FIELD(all_types, i64, "i", I64, 0),
    KT_JSON_FIELD(all_types, i64_any, "ia", I64_ANY, 0),
    KT_JSON_FIELD(all_types, u64, "u", U64, 0),
    KT_JSON_FIELD(all_types, u64_any, "ua", U64_ANY, 0),
    KT_JSON_FIELD(all_types, decimal, "d", DECIMAL, 0),
    KT_JSON_FIELD(all_types, decimal_text, "dt", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(all_types, decimal_any, "da", DECIMAL_ANY, 0),
    KT_JSON_FIELD(all_types, text, "text", TEXT, 0),
    KT_JSON_FIELD(all_types, array, "array", ARRAY, 0),
    KT_JSON_FIELD(all_types, object, "object", OBJECT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(all_types, any, "any", ANY, KT_JSON_OPTIONAL | KT_JSON_NULLABLE),
};

static void fields_of_every_type_in_any_order(void **state)
{
    static const char *const texts[] = {
        "{\"flag\":true,\"i\":-5,\"ia\":\"-6\",\"u\":18446744073709551615,\"ua\":\"7\",\"d\":1.50,\"dt\":\"2.5\","
        "\"da\":\"-3.5\",\"text\":\"a\",\"array\":[1],\"object\":{},\"any\":9}",
        "{\"any\":9,\"object\":{},\"array\":[1],\"text\":\"\\u0061\",\"da\":-3.5,\"dt\":\"2.5\",\"d\":1.50,\"ua\":7,"
        "\"u\":18446744073709551615,\"ia\":-6,\"i\":-5,\"fl\\u0061g\":true}",
    };

    for (size_t i = 0; i < KT_COUNT(texts); i++) {
        kt_json_doc doc = parsed(texts[i]);
        kt_json_found found;
        all_types got = { 0 };
        kt_err err = { 0 };
        char mem[16];
        kt_arena arena;
        kt_arena_init(&arena, mem, sizeof mem);
        assert_int_equal(kt_json_fields(&doc, 0, all_fields, KT_COUNT(all_fields), &arena, &got, &found, &err), KT_OK);
        assert_true(found.seen == (1u << KT_COUNT(all_fields)) - 1);
        assert_int_equal(found.unknown, 0);
        assert_true(got.flag && got.i64 == -5 && got.i64_any == -6 && got.u64 == UINT64_MAX && got.u64_any == 7);
        assert_true(got.decimal.m == 15 && got.decimal_text.m == 25 && got.decimal_any.m == -35);
        assert_true(kt_text_equal(got.text, KT_TEXT("a")));
        assert_int_equal(kt_json_kind_of(&doc, got.array), KT_JSON_ARRAY);
        assert_int_equal(kt_json_kind_of(&doc, got.object), KT_JSON_OBJECT);
        assert_int_equal(kt_json_kind_of(&doc, got.any), KT_JSON_NUMBER);
    }
}

static void optional_fields_keep_what_the_caller_put_there(void **state)
{
    static const kt_json_field fields[] = {
        KT_JSON_FIELD(all_types, i64, "i", I64, KT_JSON_OPTIONAL),
        KT_JSON_FIELD(all_types, u64, "u", U64, KT_JSON_OPTIONAL | KT_JSON_NULLABLE),
        KT_JSON_FIELD(all_types, text, "text", TEXT, KT_JSON_NULLABLE),
    };
    all_types got = { .i64 = 42, .u64 = 43 };
    kt_json_found found;
    kt_err err = { 0 };

    kt_json_doc doc = parsed("{\"u\":null,\"text\":\"x\",\"new\":1,\"newer\":2}");
    assert_int_equal(kt_json_fields(&doc, 0, fields, 3, NULL, &got, &found, &err), KT_OK);
    assert_true(got.i64 == 42 && got.u64 == 43);
    assert_int_equal(found.seen, 4);
    assert_true(kt_text_equal(kt_json_raw(&doc, found.unknown), KT_TEXT("new")));

    doc = parsed("{\"text\":null}");
    assert_int_equal(kt_json_fields(&doc, 0, fields, 3, NULL, &got, &found, &err), KT_NOENT);
    assert_string_equal(found.field, "text");
    doc = parsed("{\"i\":null,\"text\":\"x\"}");
    assert_int_equal(kt_json_fields(&doc, 0, fields, 3, NULL, &got, &found, &err), KT_TYPE);
    assert_string_equal(found.field, "i");
    doc = parsed("{\"u\":null,\"u\":1,\"text\":\"x\"}");
    assert_int_equal(kt_json_fields(&doc, 0, fields, 3, NULL, &got, NULL, &err), KT_TWICE);
    doc = parsed("{\"text\":\"a\\tb\"}");
    assert_int_equal(kt_json_fields(&doc, 0, fields, 3, NULL, &got, &found, &err), KT_FULL);
}

static void the_writer_puts_commas_and_escapes(void **state)
{
    char mem[512];
    kt_json_writer writer;
    kt_text text = { 0 };

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "a", KT_TEXT("\"\\/\b\f\n\r\t\x01\xE2\x82\xAC\xFF\0z"));
    kt_json_name(&writer, "b");
    kt_json_open_array(&writer);
    kt_json_put_i64(&writer, INT64_MIN);
    kt_json_put_u64(&writer, UINT64_MAX);
    kt_json_put_null(&writer);
    kt_json_open_object(&writer);
    kt_json_close_object(&writer);
    kt_json_open_array(&writer);
    kt_json_close_array(&writer);
    kt_json_put_raw(&writer, KT_TEXT("[1]"));
    kt_json_close_array(&writer);
    kt_json_member_bool(&writer, "c", false);
    kt_json_member_decimal(&writer, "d", (kt_decimal){ .m = 2700010, .scale = 2 });
    kt_json_name(&writer, "e");
    kt_json_put_decimal_number(&writer, (kt_decimal){ .m = -5, .scale = 1 });
    kt_json_name(&writer, "f");
    kt_json_put_i128(&writer, 150, 2);
    kt_json_put_key(&writer, KT_TEXT("g\n"));
    kt_json_put_time(&writer, 0);
    kt_json_member_i64(&writer, "h", -1);
    kt_json_member_u64(&writer, "i", 1);
    kt_json_close_object(&writer);
    assert_int_equal(kt_json_writer_done(&writer, &text), KT_OK);
    const char *expected =
        "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\xE2\x82\xAC\xEF\xBF\xBD\\u0000z\",\"b\":[-9223372036854775808,"
        "18446744073709551615,null,{},[],[1]],\"c\":false,\"d\":\"27000.10\",\"e\":-0.5,\"f\":\"1.50\",\"g\\n\":"
        "\"1970-01-01T00:00:00.000Z\",\"h\":-1,\"i\":1}";
    if (!kt_text_equal(text, kt_text_of(expected)))
        fail_msg("wrote %.*s", KT_TEXT_ARG(text));
}

static void a_full_writer_stays_full(void **state)
{
    static const char whole[] = "{\"symbol\":\"BTC/USDT\",\"n\":[1,2]}";

    for (size_t size = 0; size < sizeof whole; size++) {
        char *mem = kt_guard_copy(whole, size);
        kt_text text = { 0 };
        kt_json_writer writer;
        kt_json_writer_init(&writer, mem, size);
        kt_json_open_object(&writer);
        kt_json_member_text(&writer, "symbol", KT_TEXT("BTC/USDT"));
        kt_json_name(&writer, "n");
        kt_json_open_array(&writer);
        kt_json_put_i64(&writer, 1);
        kt_json_put_i64(&writer, 2);
        kt_json_close_array(&writer);
        kt_json_close_object(&writer);
        assert_int_equal(kt_json_writer_done(&writer, &text), size + 1 < sizeof whole ? KT_FULL : KT_OK);
        assert_int_equal(text.n, size + 1 < sizeof whole ? 0 : size);
        kt_guard_free(mem, size);
    }
}

static void a_node_is_written_as_it_stands(void **state)
{
    char mem[256];
    kt_json_writer writer;
    kt_text text = { 0 };
    kt_json_doc doc = parsed(" { \"a\\u0062\" : [ 1.50 , { } , [ ] , \"\\n\" ] , \"c\" : { \"d\" : null } } ");

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_array(&writer);
    kt_json_put_node(&writer, &doc, 0);
    kt_json_put_node(&writer, &doc, kt_json_get(&doc, 0, KT_TEXT("c")));
    kt_json_put_node(&writer, &doc, 3);
    kt_json_close_array(&writer);
    assert_int_equal(kt_json_writer_done(&writer, &text), KT_OK);
    const char *expected = "[{\"a\\u0062\":[1.50,{},[],\"\\n\"],\"c\":{\"d\":null}},{\"d\":null},1.50]";
    if (!kt_text_equal(text, kt_text_of(expected)))
        fail_msg("wrote %.*s", KT_TEXT_ARG(text));
}

/* Whatever is cut off a document, the reader looks at no byte behind it. */
static void every_truncation_is_an_error(void **state)
{
    static const char whole[] =
        "[\"0123456789abcdef\\u20AC\\n\xE2\x82\xAC\",-12345678901.5e-10,true,null,{\"k\":false}]";

    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *flush = kt_guard_copy(whole, size);
        kt_json_doc doc;
        kt_err err = { 0 };
        assert_int_equal(kt_json_parse((kt_text){ flush, size }, nodes, NODE_MAX, &doc, &err), KT_SYNTAX);
        assert_non_null(strstr(err.msg, "expected"));
        kt_guard_free(flush, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_stand_in_the_order_of_the_text),
        cmocka_unit_test(containers_are_walked),
        cmocka_unit_test(numbers_keep_every_digit),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(values_of_another_kind_are_a_type_error),
        cmocka_unit_test(fields_of_every_type_in_any_order),
        cmocka_unit_test(optional_fields_keep_what_the_caller_put_there),
        cmocka_unit_test(the_writer_puts_commas_and_escapes),
        cmocka_unit_test(a_full_writer_stays_full),
        cmocka_unit_test(a_node_is_written_as_it_stands),
        cmocka_unit_test(every_truncation_is_an_error),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
