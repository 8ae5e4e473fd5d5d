#include "edge/openapi.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/version.h"
#include "edge/json_schema.h"
#include "edge/trace.h"
#include "net/http_parser.h"
#include "schema/actions.h"

#include <stdio.h>

/* What the HTTP server answers before anybody looks at the action, and what concerns bodies only. */
typedef struct other_answer {
    uint16_t status;
    const char *method; /* NULL: any */
    const char *text;
} other_answer;

static const other_answer other_answers[] = {
    { 400, NULL, "the request is malformed, or X-Deadline has passed or is no time" },
    { 413, "POST", "the body is too large" },
    { 414, NULL, "the target is too long" },
    { 415, "POST", "the body is not application/json" },
    { 431, NULL, "the headers are too large" },
    { 503, NULL, "the house can not answer now, see Retry-After" },
};

static void put_ref(kt_json_writer *writer, const char *path)
{
    kt_json_open_object(writer);
    kt_json_member_text(writer, "$ref", kt_text_of(path));
    kt_json_close_object(writer);
}

/* ---- parameters ---- */

static void put_query(kt_json_writer *writer, const kt_action *action)
{
    const kt_action_example *example = &kt_action_examples[action - kt_actions];
    kt_json_node nodes[64];
    kt_json_doc doc;

    kt_assert(kt_json_parse(kt_text_of(example->params), nodes, KT_COUNT(nodes), &doc, NULL) == KT_OK);
    for (uint32_t i = 0; i < action->params.field_count; i++) {
        const kt_field *field = &action->params.fields[i];
        uint32_t shown = kt_json_get(&doc, 0, kt_text_of(field->name));

        kt_json_open_object(writer);
        kt_json_member_text(writer, "name", kt_text_of(field->name));
        kt_json_member_text(writer, "in", KT_TEXT("query"));
        kt_json_member_bool(writer, "required", kt_table_required(&action->params, field));
        kt_json_member_text(writer, "description", kt_text_of(field->text));
        kt_json_name(writer, "schema");
        kt_json_schema_field(writer, &action->params, field, KT_JSON_IN_QUERY);
        if (shown != 0 && field->type == KT_FIELD_TIME_MS) { /* text in our JSON, a number to readers of documents */
            kt_json_name(writer, "example");
            kt_json_put_raw(writer, kt_json_raw(&doc, shown));
        } else if (shown != 0) {
            kt_json_name(writer, "example");
            kt_json_put_node(writer, &doc, shown);
        }
        kt_json_close_object(writer);
    }
}

static void put_parameters(kt_json_writer *writer, const kt_action *action, bool post)
{
    kt_json_name(writer, "parameters");
    kt_json_open_array(writer);
    if (!post)
        put_query(writer, action);
    put_ref(writer, "#/components/parameters/request_id");
    put_ref(writer, "#/components/parameters/traceparent");
    put_ref(writer, "#/components/parameters/deadline");
    kt_json_close_array(writer);
}

static void put_body(kt_json_writer *writer, const kt_action *action)
{
    kt_json_name(writer, "requestBody");
    kt_json_open_object(writer);
    kt_json_member_bool(writer, "required", true);
    kt_json_name(writer, "content");
    kt_json_open_object(writer);
    kt_json_name(writer, "application/json");
    kt_json_open_object(writer);
    kt_json_name(writer, "schema");
    kt_json_schema_table(writer, &action->params, KT_JSON_IN_BODY);
    kt_json_name(writer, "example");
    kt_json_put_raw(writer, kt_text_of(kt_action_examples[action - kt_actions].params));
    kt_json_close_object(writer);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}

/* ---- answers ---- */

static void put_answer(kt_json_writer *writer, const kt_action *action)
{
    char ref[128];

    snprintf(ref, sizeof ref, "#/components/schemas/%s", action->name);
    kt_json_name(writer, "200");
    kt_json_open_object(writer);
    kt_json_member_text(writer, "description", kt_text_of(action->text));
    kt_json_name(writer, "headers");
    kt_json_open_object(writer);
    kt_json_name(writer, "X-Request-Id");
    put_ref(writer, "#/components/headers/request_id");
    kt_json_name(writer, "Traceparent");
    put_ref(writer, "#/components/headers/traceparent");
    kt_json_close_object(writer);
    kt_json_name(writer, "content");
    kt_json_open_object(writer);
    kt_json_name(writer, "application/json");
    kt_json_open_object(writer);
    kt_json_name(writer, "schema");
    put_ref(writer, ref);
    kt_json_name(writer, "example");
    kt_json_put_raw(writer, kt_text_of(kt_action_examples[action - kt_actions].answer));
    kt_json_close_object(writer);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}

/* Everything that is answered with this status; false: nothing is. */
static bool describe(const kt_action *action, uint16_t status, kt_builder *out)
{
    const kt_action_error *lists[] = { action->errors, kt_common_errors };

    for (uint32_t i = 0; i < KT_COUNT(other_answers); i++)
        if (other_answers[i].status == status &&
            (other_answers[i].method == NULL || strcmp(other_answers[i].method, action->method) == 0))
            kt_builder_format(out, "%s%s", out->n > 0 ? ". " : "", other_answers[i].text);
    for (uint32_t i = 0; i < KT_COUNT(lists); i++)
        for (const kt_action_error *error = lists[i]; error->code != KT_OK; error++)
            if (kt_code_status(error->code) == status)
                kt_builder_format(out, "%s%s: %s", out->n > 0 ? ". " : "", kt_code_word(error->code), error->text);
    return out->n > 0;
}

static void put_retry_after(kt_json_writer *writer)
{
    kt_json_name(writer, "headers");
    kt_json_open_object(writer);
    kt_json_name(writer, "Retry-After");
    put_ref(writer, "#/components/headers/retry_after");
    kt_json_close_object(writer);
}

static void put_answers(kt_json_writer *writer, const kt_action *action)
{
    static const uint16_t statuses[] = { 400, 403, 404, 409, 410, 413, 414, 415, 429, 431, 503 };

    kt_json_name(writer, "responses");
    kt_json_open_object(writer);
    put_answer(writer, action);
    for (uint32_t i = 0; i < KT_COUNT(statuses); i++) {
        char text[2048], name[8];
        kt_builder described;

        kt_builder_init(&described, text, sizeof text);
        if (!describe(action, statuses[i], &described))
            continue;
        snprintf(name, sizeof name, "%u", statuses[i]);
        kt_json_name(writer, name);
        kt_json_open_object(writer);
        kt_json_member_text(writer, "description", kt_builder_done(&described));
        if (statuses[i] == 429 || statuses[i] == 503)
            put_retry_after(writer);
        kt_json_name(writer, "content");
        kt_json_open_object(writer);
        kt_json_name(writer, "application/json");
        kt_json_open_object(writer);
        kt_json_name(writer, "schema");
        put_ref(writer, "#/components/schemas/Error");
        kt_json_close_object(writer);
        kt_json_close_object(writer);
        kt_json_close_object(writer);
    }
    kt_json_close_object(writer);
}

/* ---- paths ---- */

static kt_text tag_of(const kt_action *action)
{
    const char *dot = strchr(action->name, '.');

    return dot != NULL ? (kt_text){ action->name, (size_t)(dot - action->name) } : KT_TEXT("house");
}

static void put_path(kt_json_writer *writer, const kt_action *action, const char *path, const char *behind)
{
    bool post = strcmp(action->method, "POST") == 0;
    char id[96], text[512];

    snprintf(id, sizeof id, "%s%s", action->name, behind);
    snprintf(text, sizeof text, "%s. Answered by lane %s. From the command line: `kontor call %s`.", action->text,
        action->lane, action->name);
    kt_json_name(writer, path);
    kt_json_open_object(writer);
    kt_json_name(writer, post ? "post" : "get");
    kt_json_open_object(writer);
    kt_json_member_text(writer, "operationId", kt_text_of(id));
    kt_json_member_text(writer, "summary", kt_text_of(action->text));
    kt_json_member_text(writer, "description", kt_text_of(text));
    kt_json_name(writer, "tags");
    kt_json_open_array(writer);
    kt_json_put_text(writer, tag_of(action));
    kt_json_close_array(writer);
    put_parameters(writer, action, post);
    if (post)
        put_body(writer, action);
    put_answers(writer, action);
    kt_json_member_text(writer, "x-action", kt_text_of(action->name));
    kt_json_member_text(writer, "x-scope", kt_text_of(kt_enum_scope.values[action->scope]));
    kt_json_member_u64(writer, "x-cost", action->cost);
    kt_json_member_bool(writer, "x-repeats", action->repeats);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}

/* What is no action: it is answered as text. */
static void put_texts(kt_json_writer *writer)
{
    kt_json_name(writer, "/health");
    kt_json_put_raw(writer,
        KT_TEXT("{\"get\":{\"operationId\":\"health.text\",\"summary\":\"whether the edge answers, as text\","
                "\"tags\":[\"house\"],\"responses\":{\"200\":{\"description\":\"it does\",\"content\":{\"text/plain\":"
                "{\"schema\":{\"type\":\"string\",\"const\":\"OK\"},\"example\":\"OK\"}}}}}}"));
    kt_json_name(writer, "/metrics");
    kt_json_put_raw(writer,
        KT_TEXT("{\"get\":{\"operationId\":\"metrics\",\"summary\":\"the figures of the house for Prometheus, text "
                "format 0.0.4\",\"tags\":[\"house\"],\"responses\":{\"200\":{\"description\":\"figures\",\"content\":"
                "{\"text/plain\":{\"schema\":{\"type\":\"string\"},\"example\":\"kontor_clients 3\\n\"}}},"
                "\"503\":{\"description\":\"they do not fit an answer\",\"content\":{\"application/json\":{\"schema\":"
                "{\"$ref\":\"#/components/schemas/Error\"}}}}}}}"));
}

static void put_paths(kt_json_writer *writer)
{
    char path[KT_ACTION_PATH_MAX];

    kt_json_name(writer, "paths");
    kt_json_open_object(writer);
    put_texts(writer);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        kt_action_path(&kt_actions[i], path);
        put_path(writer, &kt_actions[i], path, "");
        if (kt_actions[i].alias[0] != '\0')
            put_path(writer, &kt_actions[i], kt_actions[i].alias, ".compatible");
    }
    kt_json_close_object(writer);
}

/* ---- components ---- */

static void put_schemas(kt_json_writer *writer)
{
    kt_json_schema_rows rows = { .count = 0 };

    kt_json_name(writer, "schemas");
    kt_json_open_object(writer);
    kt_json_name(writer, "Error");
    kt_json_put_raw(writer,
        KT_TEXT(
            "{\"type\":\"object\",\"required\":[\"statusCode\",\"error\",\"message\"],\"properties\":{"
            "\"statusCode\":{\"type\":\"integer\",\"description\":\"the HTTP status\"},"
            "\"error\":{\"type\":\"string\",\"description\":\"its text\"},"
            "\"code\":{\"type\":\"string\",\"description\":\"what was wrong, for programs\"},"
            "\"field\":{\"type\":\"string\",\"description\":\"the parameter that was wrong\"},"
            "\"message\":{\"type\":\"string\",\"description\":\"what was wrong, and what is allowed or there\"}}}"));
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        kt_json_name(writer, kt_actions[i].name);
        kt_json_schema_table(writer, &kt_actions[i].response, KT_JSON_IN_ANSWER);
        kt_json_schema_put_rows(writer, &kt_actions[i].response, &rows);
    }
    kt_json_close_object(writer);
}

static const char parameters[] =
    "{\"request_id\":{\"name\":\"X-Request-Id\",\"in\":\"header\",\"description\":\"by which the call is found again, "
    "up to 64 of A-Z a-z 0-9 . _ : -; made when it is missing or another\",\"schema\":{\"type\":\"string\"}},"
    "\"traceparent\":{\"name\":\"Traceparent\",\"in\":\"header\",\"description\":\"W3C Trace Context; made when it is "
    "missing or malformed\",\"schema\":{\"type\":\"string\"}},"
    "\"deadline\":{\"name\":\"X-Deadline\",\"in\":\"header\",\"description\":\"when the caller stops waiting, at most "
    "60 s from now; ms since 1970 are taken, too\",\"schema\":{\"type\":\"string\",\"format\":\"date-time\"}}}";

static const char headers[] =
    "{\"request_id\":{\"description\":\"as given, or made\",\"schema\":{\"type\":\"string\"}},"
    "\"traceparent\":{\"description\":\"the call's own span in the caller's trace\",\"schema\":{\"type\":\"string\"}},"
    "\"retry_after\":{\"description\":\"seconds until it is good to try again\",\"schema\":{\"type\":\"integer\"}}}";

void kt_openapi_write(kt_json_writer *writer)
{
    kt_json_open_object(writer);
    kt_json_member_text(writer, "openapi", KT_TEXT("3.1.0"));
    kt_json_name(writer, "info");
    kt_json_put_raw(writer,
        KT_TEXT("{\"title\":\"kontor\",\"version\":\"" KT_VERSION_TEXT "\",\"description\":\"Actions of the house. "
                "Decimals are text with all their digits, times are ISO 8601 in UTC or ms since 1970 as the schema "
                "says. The same actions can be called over WebSocket at /ws, see /asyncapi.json, and with `kontor "
                "call`.\",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}}"));
    kt_json_name(writer, "servers");
    kt_json_put_raw(writer, KT_TEXT("[{\"url\":\"/\"}]"));
    put_paths(writer);
    kt_json_name(writer, "components");
    kt_json_open_object(writer);
    kt_json_name(writer, "parameters");
    kt_json_put_raw(writer, kt_text_of(parameters));
    kt_json_name(writer, "headers");
    kt_json_put_raw(writer, kt_text_of(headers));
    put_schemas(writer);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}
