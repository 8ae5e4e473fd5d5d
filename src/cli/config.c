/* cli/config.c - `kontor config`: every value and its origin, here or in the running house, and changes while it runs. */
#include "bus/bus.h"
#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_SIZE = KT_CONFIG_SETTINGS_MAX + 256, NODE_MAX = 1024 };

static int usage(const char *message)
{
    fprintf(stderr, "kontor config: %s\n`kontor config --help` says more\n", message);
    return KT_EXIT_USAGE;
}

static int unknown_word(const char *word)
{
    char message[120];

    snprintf(message, sizeof message, "'%.60s' is not one of its words: show, set, unset", word);
    return usage(message);
}

static int show(const kt_cli_client *client, const char *section)
{
    static const kt_cli_column columns[] = {
        { "key", "KEY", KT_CLI_PLAIN },
        { "value", "VALUE", KT_CLI_PLAIN },
        { "origin", "ORIGIN", KT_CLI_PLAIN },
        { "live", "LIVE", KT_CLI_YES },
    };
    char mem[128];
    kt_builder query;

    kt_builder_init(&query, mem, sizeof mem);
    if (section != NULL)
        kt_cli_put_query(&query, KT_TEXT("section"), kt_text_of(section));
    if (query.code != KT_OK)
        return usage("a section has a shorter name");
    return kt_cli_show(
        client, KT_ACTION_config_get, kt_builder_done(&query), "settings", columns, KT_COUNT(columns), "");
}

static void on_stored(void *ctx, kt_text key, kt_text value, uint64_t revision)
{
    kt_err err = { 0 };

    if (kt_config_settings(ctx, kt_subject_part(key, 2), value, &err) != KT_OK)
        fprintf(stderr, "kontor config: %s\n", err.msg);
}

/* What was changed while the house ran, from the logs in the data folder; of a lane that has never run there is nothing. */
static void take_stored(kt_config *config)
{
    kt_bus_options options = { .driver = "local", .durability = KT_DURABILITY_RAM };
    kt_bus *bus = NULL;

    options.local.data_dir = config->data;
    if (kt_bus_open(&options, &bus, NULL) != KT_OK)
        return;
    for (uint32_t i = 0; kt_config_section_at(i) != NULL; i++) {
        kt_text section = kt_text_of(kt_config_section_at(i));
        char key[sizeof KT_CONFIG_SETTINGS_KEY + KT_CONFIG_SECTION_MAX];

        snprintf(key, sizeof key, KT_CONFIG_SETTINGS_KEY "%.*s", KT_TEXT_ARG(section));
        kt_bus_watch(bus, kt_config_section_lane(section), kt_text_of(key), on_stored, config, NULL);
    }
    kt_bus_close(bus);
}

/* "vwap" of "vwap.step_s=30"; empty: the word names no key. */
static kt_text section_of(const char *word)
{
    size_t n = strcspn(word, ".=");

    return word[n] == '.' ? (kt_text){ word, n } : (kt_text){ word, 0 };
}

/* One word as a member of the section's settings. */
static kt_code put_word(kt_json_writer *writer, const char *word, bool unset, kt_err *err)
{
    size_t n = strcspn(word, "=");
    kt_text key = { word, n };

    if (unset && word[n] != '\0')
        return kt_fail(err, KT_ARG, "'%.60s': unset takes keys alone", word);
    if (unset)
        return kt_config_settings_unset(key, writer, err);
    if (word[n] == '\0')
        return kt_fail(err, KT_ARG, "'%.60s' is not KEY=VALUE", word);
    return kt_config_settings_member(key, kt_text_of(word + n + 1), writer, err);
}

/* The words of one section, those from `first` on that belong to it, as one change. */
static int change(const kt_cli_client *client, char *const *words, uint32_t count, uint32_t first, bool unset)
{
    static kt_json_node nodes[NODE_MAX];
    char mem[BODY_SIZE];
    kt_text section = section_of(words[first]);
    kt_json_writer writer;
    kt_json_doc doc;
    kt_err err = { 0 };
    kt_code code = KT_OK;
    kt_text body;
    char *answer = NULL;
    int status;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "section", section);
    kt_json_name(&writer, "settings");
    kt_json_open_object(&writer);
    for (uint32_t i = first; code == KT_OK && i < count; i++)
        if (kt_text_equal(section_of(words[i]), section))
            code = put_word(&writer, words[i], unset, &err);
    if (code != KT_OK)
        return usage(err.msg);
    kt_json_close_object(&writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &body) != KT_OK)
        return usage("the values are too long");
    status = kt_cli_ask(client, &kt_actions[KT_ACTION_config_put], (kt_text){ NULL, 0 }, body, &answer);
    if (status == KT_EXIT_OK && client->json)
        printf("%s\n", answer);
    else if (status == KT_EXIT_OK && kt_json_parse(kt_text_of(answer), nodes, NODE_MAX, &doc, NULL) == KT_OK) {
        uint32_t changed = kt_json_get(&doc, 0, KT_TEXT("changed"));

        printf("%.*s: revision %.*s;", KT_TEXT_ARG(section),
            KT_TEXT_ARG(kt_json_raw(&doc, kt_json_get(&doc, 0, KT_TEXT("revision")))));
        kt_json_each (&doc, changed, key)
            printf(" %.*s", KT_TEXT_ARG(kt_json_raw(&doc, key)));
        printf("%s\n", kt_json_count(&doc, changed) == 0 ? " nothing has another value now" : " changed");
    }
    free(answer);
    return status;
}

static int change_all(const kt_cli_client *client, char *const *words, uint32_t count, bool unset)
{
    int status = KT_EXIT_OK;

    if (count == 0)
        return usage(unset ? "unset needs keys" : "set needs KEY=VALUE");
    for (uint32_t i = 0; status == KT_EXIT_OK && i < count; i++) {
        bool done = false;

        for (uint32_t before = 0; before < i && !done; before++)
            done = kt_text_equal(section_of(words[before]), section_of(words[i]));
        if (!done)
            status = change(client, words, count, i, unset);
    }
    return status;
}

int kt_cli_config(int argc, char **argv)
{
    kt_cli_client client;
    int status;

    if (!kt_cli_client_take(&client, "config", &argc, argv, &status))
        return status;
    const char *const *words = client.config->rest;
    uint32_t count = client.config->rest_count;
    bool set = count > 0 && strcmp(words[0], "set") == 0;

    if (count == 0) {
        take_stored(client.config);
        kt_config_list(client.config, stdout);
    } else if (strcmp(words[0], "show") == 0 && count > 2)
        status = usage("show takes one section");
    else if (strcmp(words[0], "show") == 0)
        status = show(&client, words[1]);
    else if (set || strcmp(words[0], "unset") == 0)
        status = change_all(&client, (char *const *)words + 1, count - 1, !set);
    else
        status = unknown_word(words[0]);
    kt_cli_client_done(&client);
    return status;
}
