/* cli/call.c - `kontor call`: one action, with its parameters as words. */
#include "base/text.h"
#include "cli/client.h"
#include "edge/params.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 131072, NODE_MAX = 8192 };

/* What it takes and gives: from the table, so that it works without a house. */
static int action_help(const kt_action *action)
{
    static char text[16384];
    char path[KT_ACTION_PATH_MAX];

    kt_action_path(action, path);
    printf("kontor call %s [NAME=VALUE ...]\n\n%s.\n%s %s, answered by lane %s%s.\n", action->name, action->text,
        action->method, path, action->lane,
        action->repeats ? "" : "; it changes something: a call whose outcome is unknown is not repeated");
    printf("\nParameters%s\n", action->params.field_count == 0 ? ": none" : "; those with a star must be given:");
    for (uint32_t i = 0; i < action->params.field_count; i++) {
        const kt_field *field = &action->params.fields[i];

        kt_field_allowed(field, text, sizeof text);
        printf("  %s%-15s %s (%s)\n", kt_table_required(&action->params, field) ? "*" : " ", field->name, field->text,
            text);
    }
    kt_table_help(&action->response, text, sizeof text);
    printf("\nAnswer:\n%s\nErrors:\n", text);
    for (const kt_action_error *error = action->errors; error->code != KT_OK; error++)
        printf("  %-16s %s\n", kt_code_word(error->code), error->text);
    for (const kt_action_error *error = kt_common_errors; error->code != KT_OK; error++)
        printf("  %-16s %s\n", kt_code_word(error->code), error->text);
    printf("\nExample:\n  %s\n  %s\n", kt_action_examples[action - kt_actions].params,
        kt_action_examples[action - kt_actions].answer);
    return KT_EXIT_OK;
}

static int no_such_action(const char *name)
{
    fprintf(stderr, "kontor call: there is no action '%s'; there are:\n", name);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        fprintf(stderr, "  %-16s %s\n", kt_actions[i].name, kt_actions[i].text);
    return KT_EXIT_USAGE;
}

static int refuse(const kt_action *action, const char *message)
{
    fprintf(stderr, "kontor call: %s\n`kontor call %s --help` lists what it takes\n", message, action->name);
    return KT_EXIT_USAGE;
}

/* Words into a JSON object: text where the parameter is text, JSON otherwise, and what is no JSON as text. */
static void put_word(kt_json_writer *writer, const kt_action *action, kt_text name, kt_text value)
{
    static kt_json_node nodes[NODE_MAX];
    const kt_field *field = kt_table_field(&action->params, name);
    bool text = field != NULL && (field->type == KT_FIELD_TEXT || field->type == KT_FIELD_BYTES);
    kt_json_doc doc;

    kt_json_put_key(writer, name);
    if (text || kt_json_parse(value, nodes, NODE_MAX, &doc, NULL) != KT_OK)
        kt_json_put_text(writer, value);
    else
        kt_json_put_raw(writer, value);
}

/* Check the words by the action's table, as the house will; make query and body of them. */
static int read_words(const kt_action *action, const kt_config *config, kt_builder *query, kt_text *out_body)
{
    static char body[BODY_MAX], room[KT_QUERY_MAX];
    static kt_json_node nodes[NODE_MAX];
    static uint8_t mem[BODY_MAX];
    bool post = strcmp(action->method, "POST") == 0;
    kt_params_any params;
    kt_json_writer writer;
    kt_refusal refusal;
    kt_json_doc doc;
    kt_arena arena;
    kt_err err = { 0 };

    kt_json_writer_init(&writer, body, sizeof body);
    kt_json_open_object(&writer);
    for (uint32_t i = 1; i < config->rest_count; i++) {
        kt_text value = kt_text_of(config->rest[i]);
        kt_text name;

        if (strchr(config->rest[i], '=') == NULL) {
            fprintf(stderr, "kontor call: '%s' is no parameter: write NAME=VALUE\n", config->rest[i]);
            return KT_EXIT_USAGE;
        }
        kt_text_cut(&value, '=', &name);
        if (post)
            put_word(&writer, action, name, value);
        else
            kt_cli_put_query(query, name, value);
    }
    kt_json_close_object(&writer);
    if (!post) {
        if (query->code != KT_OK)
            return refuse(action, "the parameters are too long");
        return kt_params_query(&action->params, kt_builder_done(query), room, &params, &refusal) == KT_OK
                   ? KT_EXIT_OK
                   : refuse(action, refusal.message);
    }
    kt_arena_init(&arena, mem, sizeof mem);
    if (kt_json_writer_done(&writer, out_body) != KT_OK ||
        kt_json_parse(*out_body, nodes, NODE_MAX, &doc, &err) != KT_OK)
        return refuse(action, "the parameters are too long");
    return kt_params_json(&action->params, &doc, 0, &arena, &params, &refusal) == KT_OK
               ? KT_EXIT_OK
               : refuse(action, refusal.message);
}

/* `kontor call ACTION --help` is about the action. */
static const kt_action *asked_for_help(int argc, char **argv)
{
    const kt_action *action = argc > 0 ? kt_action_by_name(kt_text_of(argv[0])) : NULL;

    for (int i = 1; i < argc && action != NULL; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return action;
    return NULL;
}

int kt_cli_call(int argc, char **argv)
{
    static char query_mem[KT_QUERY_MAX];
    const kt_action *action = asked_for_help(argc, argv);
    kt_text body = { NULL, 0 };
    char *answer = NULL;
    kt_cli_client client;
    kt_builder query;
    int status;

    if (action != NULL)
        return action_help(action);
    if (!kt_cli_client_take(&client, "call", &argc, argv, &status))
        return status;
    kt_builder_init(&query, query_mem, sizeof query_mem);
    if (client.config->rest_count == 0) {
        fprintf(stderr, "kontor call: which action? As in `kontor call vwap.latest ticker=BTC`; `kontor actions` lists "
                        "them\n");
        status = KT_EXIT_USAGE;
        goto out;
    }
    action = kt_action_by_name(kt_text_of(client.config->rest[0]));
    status = action == NULL ? no_such_action(client.config->rest[0]) : read_words(action, client.config, &query, &body);
    if (status == KT_EXIT_OK)
        status = kt_cli_ask(&client, action, kt_builder_done(&query), body, &answer);
    if (status == KT_EXIT_OK)
        printf("%s\n", answer);
out:
    free(answer);
    kt_cli_client_done(&client);
    return status;
}
