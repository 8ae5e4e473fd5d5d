#include "schema/actions.h"

#include "base/test_util.h"
#include "schema/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NODE_MAX = 512, TEXT_MAX = 4096 };

static kt_json_node nodes[NODE_MAX];

/* The same JSON without blanks. */
static kt_text dense(kt_text json, char *mem)
{
    kt_json_writer writer;
    kt_json_doc doc;
    kt_text text = { 0 };

    assert_int_equal(kt_json_parse(json, nodes, NODE_MAX, &doc, NULL), KT_OK);
    kt_json_writer_init(&writer, mem, TEXT_MAX);
    kt_json_put_node(&writer, &doc, 0);
    assert_int_equal(kt_json_writer_done(&writer, &text), KT_OK);
    return text;
}

/* What is shown as an example is read by the table that it is an example of, is within its bounds, and is written back
 * as it stands. */
static void check_example(const kt_table *table, const char *example)
{
    static uint8_t mem[1 << 16];
    static char again[TEXT_MAX], dense_again[TEXT_MAX], dense_example[TEXT_MAX];
    _Alignas(max_align_t) uint8_t value[KT_VALUE_SIZE_MAX];
    kt_json_writer writer;
    kt_json_doc doc;
    kt_arena arena;
    kt_text text = { 0 };
    kt_err err = { 0 };

    kt_arena_init(&arena, mem, sizeof mem);
    if (kt_json_parse(kt_text_of(example), nodes, NODE_MAX, &doc, &err) != KT_OK ||
        kt_table_read_json(table, &doc, 0, &arena, value, &err) != KT_OK || kt_table_check(table, value, &err) != KT_OK)
        fail_msg("%s: %s: %s", table->name, example, err.msg);
    kt_json_writer_init(&writer, again, sizeof again);
    kt_table_write_json(table, value, &writer);
    assert_int_equal(kt_json_writer_done(&writer, &text), KT_OK);
    if (!kt_text_equal(dense(text, dense_again), dense(kt_text_of(example), dense_example)))
        fail_msg("%s: %s is written as %.*s", table->name, example, KT_TEXT_ARG(text));
}

static bool has_error(const kt_action *action, kt_code code)
{
    for (const kt_action_error *error = action->errors; error->code != KT_OK; error++)
        if (error->code == code)
            return true;
    return false;
}

static void every_action_is_said_whole(void **state)
{
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        const kt_action *action = &kt_actions[i];

        print_message("# %s\n", action->name);
        assert_true(action->text[0] != '\0');
        assert_true(strcmp(action->method, "GET") == 0 || strcmp(action->method, "POST") == 0);
        assert_true(action->scope == KT_SCOPE_READ || action->scope == KT_SCOPE_OPERATE);
        assert_true(action->time_ms > 0 && action->time_ms <= 60000);
        assert_true(action->scope == KT_SCOPE_READ ? action->repeats : !action->repeats);
        assert_int_equal(has_error(action, KT_DENIED), action->scope == KT_SCOPE_OPERATE);
        assert_true(action->cost <= KT_CONFIG_BURST_MIN);
        assert_true(action->params.size <= KT_VALUE_SIZE_MAX && action->response.size <= KT_VALUE_SIZE_MAX);
        for (const kt_action_error *error = action->errors; error->code != KT_OK; error++)
            assert_true(error->text[0] != '\0');
        check_example(&action->params, kt_action_examples[i].params);
        check_example(&action->response, kt_action_examples[i].answer);
        assert_ptr_equal(kt_action_by_name(kt_text_of(action->name)), action);
    }
}

static void paths(void **state)
{
    static const struct {
        const char *path;
        const char *action; /* NULL: none */
    } rows[] = {
        { "/v1/vwap/latest", "vwap.latest" },
        { "/latest", "vwap.latest" },
        { "/historical", "vwap.historical" },
        { "/v1/health", "health" },
        { "/v1/store/query", "store.query" },
        { "/v1/vwap.latest", NULL },
        { "/v1/vwap", NULL },
        { "/v1/", NULL },
        { "/v1/vwap/latest/", NULL },
        { "", NULL },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_action *action = kt_action_by_path(kt_text_of(rows[i].path));

        if (rows[i].action == NULL)
            assert_null(action);
        else
            assert_string_equal(action->name, rows[i].action);
    }
}

/* A default that is not allowed is none: the parameter has to be given. */
static void required_parameters(void **state)
{
    static const struct {
        kt_action_index action;
        const char *field;
        bool required;
    } rows[] = {
        { KT_ACTION_vwap_historical, "ticker", true },
        { KT_ACTION_vwap_historical, "ts", true },
        { KT_ACTION_vwap_historical, "interval", false },
        { KT_ACTION_vwap_history, "venue", false },
        { KT_ACTION_vwap_history, "points", false },
        { KT_ACTION_config_put, "settings", true },
        { KT_ACTION_config_put, "expected", false },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_table *params = &kt_actions[rows[i].action].params;

        assert_int_equal(
            kt_table_required(params, kt_table_field(params, kt_text_of(rows[i].field))), rows[i].required);
    }
}

/* One value of JSON into one field: the type first, then the bounds. */
static void one_parameter(void **state)
{
    static const struct {
        const char *name;
        kt_action_index action;
        const char *field;
        const char *json;
        kt_code code;
        const char *says;
    } rows[] = {
        { "text", KT_ACTION_vwap_latest, "ticker", "\"BTC\"", KT_OK, "" },
        { "number for text", KT_ACTION_vwap_latest, "ticker", "7", KT_TYPE, "ticker: is a number; allowed is text" },
        { "text too short", KT_ACTION_vwap_latest, "ticker", "\"\"", KT_RANGE, "1 to 128 bytes" },
        { "number", KT_ACTION_vwap_history, "points", "4000", KT_OK, "" },
        { "number beyond its bounds", KT_ACTION_vwap_history, "points", "4001", KT_RANGE, "from 1 to 4000" },
        { "number beyond its type", KT_ACTION_vwap_history, "points", "4294967297", KT_RANGE, "from 1 to 4000" },
        { "text for a number", KT_ACTION_vwap_history, "points", "\"4\"", KT_TYPE, "a whole number" },
        { "any JSON", KT_ACTION_config_put, "settings", "{\"a\":[1,\"b\"]}", KT_OK, "" },
        { "JSON that is a text", KT_ACTION_config_put, "settings", "\"ab\"", KT_OK, "" },
        { "too little JSON", KT_ACTION_config_put, "settings", "1", KT_RANGE, "JSON of 2 to" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_table *params = &kt_actions[rows[i].action].params;
        kt_params_any value;
        kt_json_doc doc;
        uint8_t mem[256];
        kt_arena arena;
        kt_err err = { 0 };

        print_message("# %s\n", rows[i].name);
        kt_arena_init(&arena, mem, sizeof mem);
        kt_table_init(params, &value);
        assert_int_equal(kt_json_parse(kt_text_of(rows[i].json), nodes, NODE_MAX, &doc, NULL), KT_OK);
        assert_int_equal(
            kt_table_set_json(params, &value, kt_table_field(params, kt_text_of(rows[i].field)), &doc, 0, &arena, &err),
            rows[i].code);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("no '%s' in: %s", rows[i].says, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_is_said_whole),
        cmocka_unit_test(paths),
        cmocka_unit_test(required_parameters),
        cmocka_unit_test(one_parameter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
