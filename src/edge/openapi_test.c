#include "edge/openapi.h"

#include "base/test_util.h"
#include "schema/actions.h"
#include "schema/channels.h"
#include "schema/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NODE_MAX = 1 << 16 };

static char memory[KT_OPENAPI_SIZE_MAX];
static kt_json_node nodes[NODE_MAX];
static kt_json_doc doc;

static void take(const kt_json_writer *writer)
{
    kt_text text = { NULL, 0 };
    kt_err err = { 0 };

    assert_int_equal(kt_json_writer_done(writer, &text), KT_OK);
    if (kt_json_parse(text, nodes, NODE_MAX, &doc, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

/* "a/b" under a node; 0: not there. "~1" stands for a slash, as in JSON pointers. */
static uint32_t find(uint32_t node, const char *path)
{
    char rest[256];
    char *save = NULL;

    snprintf(rest, sizeof rest, "%s", path);
    for (char *part = strtok_r(rest, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        char name[256];
        size_t n = 0;

        for (const char *s = part; *s != '\0'; s++, n++) {
            name[n] = s[0] == '~' && s[1] == '1' ? '/' : *s;
            s += s[0] == '~' && s[1] == '1';
        }
        node = kt_json_get(&doc, node, (kt_text){ name, n });
        if (node == 0)
            return 0;
    }
    return node;
}

static uint32_t want(uint32_t node, const char *path)
{
    uint32_t found = find(node, path);

    if (found == 0)
        fail_msg("no %s", path);
    return found;
}

/* Whatever is referred to is there. */
static void check_references(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < doc.node_count; i++) {
        char path[256];

        if ((nodes[i].flags & KT_JSON_KEY) == 0 || !kt_json_text_is(&doc, i, KT_TEXT("$ref")))
            continue;
        snprintf(path, sizeof path, "%.*s", KT_TEXT_ARG(kt_json_raw(&doc, i + 1)));
        assert_memory_equal(path, "#/", 2);
        want(0, path + 2);
        count++;
    }
    assert_true(count > 20);
}

static void every_action_is_documented(void **state)
{
    kt_json_writer writer;

    kt_json_writer_init(&writer, memory, sizeof memory);
    kt_openapi_write(&writer);
    take(&writer);
    check_references();
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        const kt_action *action = &kt_actions[i];
        bool post = strcmp(action->method, "POST") == 0;
        char path[KT_ACTION_PATH_MAX];

        print_message("# %s\n", action->name);
        kt_action_path(action, path);
        uint32_t item = kt_json_get(&doc, want(0, "paths"), kt_text_of(path));
        assert_true(item != 0);
        uint32_t operation = want(item, post ? "post" : "get");
        assert_true(kt_json_text_is(&doc, want(operation, "summary"), kt_text_of(action->text)));
        want(operation, "responses/200/content/application~1json/example");
        want(operation, "responses/400/description");
        want(operation, "responses/429/headers/Retry-After");
        want(operation, "responses/503/headers/Retry-After");
        for (const kt_action_error *error = action->errors; error->code != KT_OK; error++) {
            char status[32];

            snprintf(status, sizeof status, "responses/%u", kt_code_status(error->code));
            want(operation, status);
        }
        if (post)
            want(operation, "requestBody/content/application~1json/example");
        else
            assert_int_equal(
                kt_json_count(&doc, want(operation, "parameters")), action->params.field_count + 3); /* and headers */
    }
}

static void every_channel_is_documented(void **state)
{
    kt_json_writer writer;

    kt_json_writer_init(&writer, memory, sizeof memory);
    kt_asyncapi_write(&writer, KT_TEXT("127.0.0.1:3000"), false);
    take(&writer);
    check_references();
    for (uint32_t i = 0; i < kt_event_count; i++) {
        uint32_t channel = kt_json_get(&doc, want(0, "channels"), kt_text_of(kt_events[i].table.name));
        const kt_stale *stale = kt_stale_of(kt_text_of(kt_events[i].subject));

        assert_true(channel != 0);
        assert_true(kt_json_text_is(&doc, want(channel, "address"), kt_text_of(kt_events[i].subject)));
        assert_int_equal(find(channel, "x-stale") != 0, stale != NULL);
    }
    want(0, "channels/trade/parameters/venue");
    want(0, "channels/trade/parameters/symbol");
}

/* What console.md says about the age of values. */
static void values_become_stale(void **state)
{
    static const struct {
        const char *subject;
        const char *rule; /* NULL: never */
        uint32_t limit_ms;
    } rows[] = {
        { "book.binance.BTC/USDT", "arrival", 2000 },
        { "vwap.5m.binance.BTC/USDT", "market time", 3000 },
        { "trades.binance.BTC/USDT", "watchdog", 0 },
        { "correction.5m.binance.BTC/USDT", NULL, 0 },
        { "trade", NULL, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_stale *stale = kt_stale_of(kt_text_of(rows[i].subject));

        assert_int_equal(stale != NULL, rows[i].rule != NULL);
        if (stale == NULL)
            continue;
        assert_string_equal(kt_stale_rule_name(stale->rule), rows[i].rule);
        assert_int_equal(stale->limit_ms, rows[i].limit_ms);
        assert_true(kt_stale_rule_text(stale->rule)[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_is_documented),
        cmocka_unit_test(every_channel_is_documented),
        cmocka_unit_test(values_become_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
