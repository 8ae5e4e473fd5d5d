#include "service/settings.h"

#include "base/text.h"
#include "log/log.h"
#include "schema/actions.h"
#include "schema/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODE_MAX = KT_CONFIG_SETTINGS_MAX,
    BODY_SIZE = 128 << 10, /* of config.get: every key with its help */
    VALUE_SIZE = 64 << 10, /* of all values together */
    ARENA_SIZE = 2 * KT_CONFIG_SETTINGS_MAX,
    CHANGED_MAX = 64, /* keys of one section */
    KEY_SIZE = sizeof KT_CONFIG_SETTINGS_KEY + KT_CONFIG_SECTION_MAX,
};

/* Between lanes: the settings of the sections that the asked one applies, an object of them by section. */
#define HELD_ACTION "config.held"

typedef struct settings_feed settings_feed;

/* A change that is written and waits for the disk. */
typedef struct open_put {
    uint64_t token; /* of the call; 0: free */
    uint64_t revision;
    char section[KT_CONFIG_SECTION_MAX + 1];
    char *body;
} open_put;

/* A call that waits for other lanes. */
typedef struct question {
    settings_feed *feed;
    uint64_t token;
    uint32_t waiting; /* answers that are still to come */
    char section[KT_CONFIG_SECTION_MAX + 1];
} question;

struct settings_feed {
    kt_lane *lane; /* NULL: stopped; the last answer frees */
    kt_config *config;
    open_put puts[KT_SETTINGS_OPEN_MAX];
    uint32_t question_count;
};

static void feed_free(settings_feed *feed)
{
    if (feed->lane != NULL || feed->question_count > 0)
        return;
    for (uint32_t i = 0; i < KT_SETTINGS_OPEN_MAX; i++)
        free(feed->puts[i].body);
    free(feed);
}

static void answer(settings_feed *feed, uint64_t token, kt_code code, kt_text body)
{
    kt_bus_answer(kt_lane_bus(feed->lane), token, code, body); /* who is gone needs no answer */
}

static void answer_error(settings_feed *feed, uint64_t token, const kt_err *err)
{
    answer(feed, token, err->code, kt_text_of(err->msg));
}

static bool is_ours(const settings_feed *feed, kt_text section)
{
    const char *lane = kt_config_section_lane(section);

    return lane != NULL && strcmp(lane, kt_lane_name(feed->lane)) == 0;
}

/* ---- questions to other lanes ---- */

static question *question_new(settings_feed *feed, uint64_t token, kt_text section)
{
    question *q = feed->question_count < KT_SETTINGS_CALL_MAX ? calloc(1, sizeof *q) : NULL;

    if (q == NULL)
        return NULL;
    *q = (question){ .feed = feed, .token = token };
    snprintf(q->section, sizeof q->section, "%.*s", KT_TEXT_ARG(section));
    feed->question_count++;
    return q;
}

static void question_free(question *q)
{
    settings_feed *feed = q->feed;

    feed->question_count--;
    free(q);
    feed_free(feed);
}

/* ---- config.get ---- */

static bool is_asked(const kt_config_key *key, kt_text section)
{
    return section.n == 0 || (strlen(key->name) > section.n && memcmp(key->name, section.s, section.n) == 0 &&
                                 key->name[section.n] == '.');
}

static uint64_t revision_of(settings_feed *feed, kt_text section)
{
    char key[KEY_SIZE];
    kt_text value;
    uint64_t revision = 0;

    snprintf(key, sizeof key, KT_CONFIG_SETTINGS_KEY "%.*s", KT_TEXT_ARG(section));
    if (section.n == 0 || kt_bus_get(kt_lane_bus(feed->lane), kt_text_of(key), &value, &revision) != KT_OK)
        return 0;
    return revision;
}

static kt_code write_settings(const kt_config *config, kt_text section, uint64_t revision, kt_json_writer *writer)
{
    uint32_t count = kt_config_key_count();
    kt_config_key *keys = calloc(count, sizeof *keys);
    kt_row_setting *rows = calloc(count, sizeof *rows);
    char *values = malloc(VALUE_SIZE);
    kt_response_config_get response;
    size_t used = 0;
    uint32_t n = 0;
    kt_code code = keys == NULL || rows == NULL || values == NULL ? KT_SYS : KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < count; i++) {
        kt_text value;

        code = kt_config_key_at(config, i, &keys[i], values + used, VALUE_SIZE - used, &value);
        if (code != KT_OK || !is_asked(&keys[i], section))
            continue;
        used += value.n;
        rows[n++] = (kt_row_setting){ .key = kt_text_of(keys[i].name),
            .value = value,
            .origin = kt_text_of(keys[i].origin),
            .live = keys[i].stays[0] == '\0',
            .allowed = kt_text_of(keys[i].allowed),
            .text = kt_text_of(keys[i].text),
            .stays = kt_text_of(keys[i].stays) };
    }
    if (code == KT_OK && n == 0)
        code = KT_NOENT;
    if (code == KT_OK) {
        kt_table_init(&kt_actions[KT_ACTION_config_get].response, &response);
        response.settings = KT_ROWS_OF(rows, n);
        response.revision = revision;
        kt_table_write_json(&kt_actions[KT_ACTION_config_get].response, &response, writer);
        code = writer->code;
    }
    free(keys);
    free(rows);
    free(values);
    return code;
}

/* The sections there are, each once: keys of one stand together. */
static void name_sections(const kt_config *config, kt_text asked, kt_err *err)
{
    char names[160], value[KT_CONFIG_VALUE_MAX * 8], last[KT_CONFIG_SECTION_MAX + 1] = "";
    kt_builder out;

    kt_builder_init(&out, names, sizeof names);
    for (uint32_t i = 0; i < kt_config_key_count(); i++) {
        kt_config_key key;
        kt_text text;
        const char *dot;

        if (kt_config_key_at(config, i, &key, value, sizeof value, &text) != KT_OK)
            continue;
        dot = strchr(key.name, '.');
        if (dot == NULL || (strncmp(last, key.name, (size_t)(dot - key.name)) == 0 && last[dot - key.name] == '\0'))
            continue;
        snprintf(last, sizeof last, "%.*s", (int)(dot - key.name), key.name);
        kt_builder_format(&out, "%s%s", out.n == 0 ? "" : ", ", last);
    }
    kt_fail(
        err, KT_NOENT, "section: there is no '%.*s'; there are %s", (int)(asked.n > 40 ? 40 : asked.n), asked.s, names);
}

static void answer_get(settings_feed *feed, uint64_t token, kt_text section)
{
    char *mem = malloc(BODY_SIZE);
    kt_json_writer writer;
    kt_text body = { 0 };
    kt_err err = { 0 };
    kt_code code = mem == NULL ? KT_SYS : KT_OK;

    if (code == KT_OK) {
        kt_json_writer_init(&writer, mem, BODY_SIZE);
        code = write_settings(feed->config, section, revision_of(feed, section), &writer);
    }
    if (code == KT_OK)
        code = kt_json_writer_done(&writer, &body);
    if (code == KT_NOENT) {
        name_sections(feed->config, section, &err);
        body = kt_text_of(err.msg);
    }
    answer(feed, token, code, body);
    free(mem);
}

/* What another lane holds goes over what we know of its sections, which nobody but config.get reads in this lane. */
static void take_held(settings_feed *feed, kt_text body)
{
    static kt_json_node nodes[NODE_MAX];
    kt_json_doc doc;

    if (kt_json_parse(body, nodes, NODE_MAX, &doc, NULL) != KT_OK)
        return;
    kt_json_each (&doc, 0, key) {
        kt_text section = kt_json_raw(&doc, key);
        kt_text settings = kt_json_raw(&doc, key + 1);

        if (!is_ours(feed, section))
            kt_config_settings(feed->config, section, settings.n > 2 ? settings : (kt_text){ NULL, 0 }, NULL);
    }
}

static void on_held(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    question *q = ctx;

    q->waiting--;
    if (q->feed->lane != NULL && code == KT_OK)
        take_held(q->feed, body);
    if (q->waiting > 0)
        return;
    if (q->feed->lane != NULL)
        answer_get(q->feed, q->token, kt_text_of(q->section));
    question_free(q);
}

/* Each other lane that applies sections, once: true when section `index` is the first of its lane. */
static bool is_first_of_lane(uint32_t index)
{
    const char *lane = kt_config_section_lane(kt_text_of(kt_config_section_at(index)));

    for (uint32_t i = 0; i < index; i++)
        if (strcmp(kt_config_section_lane(kt_text_of(kt_config_section_at(i))), lane) == 0)
            return false;
    return true;
}

static void ask_held(question *q)
{
    settings_feed *feed = q->feed;

    for (uint32_t i = 0; kt_config_section_at(i) != NULL; i++) {
        kt_text section = kt_text_of(kt_config_section_at(i));

        if (is_ours(feed, section) || !is_first_of_lane(i))
            continue;
        if (kt_bus_call_start(kt_lane_bus(feed->lane),
                &(kt_bus_call_spec){ .action = KT_TEXT(HELD_ACTION),
                    .to = kt_config_section_lane(section),
                    .on_answer = on_held,
                    .ctx = q },
                NULL, NULL) == KT_OK)
            q->waiting++; /* of a lane that does not run, what was last known is told */
    }
}

/* ---- config.put ---- */

static void on_passed(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    question *q = ctx;

    if (q->feed->lane != NULL)
        answer(q->feed, q->token, code, body);
    question_free(q);
}

/* Let the lane whose section it is answer. */
static void pass_on(settings_feed *feed, const kt_bus_call *call, kt_text section)
{
    const char *lane = kt_config_section_lane(section);
    question *q = question_new(feed, call->token, section);
    kt_err err = { 0 };
    kt_code code =
        q == NULL
            ? kt_fail(&err, KT_BUSY, "%d calls wait for other lanes already", KT_SETTINGS_CALL_MAX)
            : kt_bus_call_start(kt_lane_bus(feed->lane),
                  &(kt_bus_call_spec){
                      .action = call->action, .to = lane, .params = call->params, .on_answer = on_passed, .ctx = q },
                  NULL, &err);

    if (code == KT_OK)
        return;
    if (code == KT_NOENT)
        kt_fail(&err, KT_BUSY, "lane %s, which applies section %.*s, is not running", lane, KT_TEXT_ARG(section));
    answer_error(feed, call->token, &err);
    if (q != NULL)
        question_free(q);
}

/* The values of a section as they are now, one after the other; NULL: no memory. */
static char *values_of(const kt_config *config, kt_text section, kt_text values[CHANGED_MAX],
    kt_text names[CHANGED_MAX], uint32_t *out_count)
{
    char *mem = malloc(VALUE_SIZE);
    size_t used = 0;

    *out_count = 0;
    for (uint32_t i = 0; mem != NULL && i < kt_config_key_count() && *out_count < CHANGED_MAX; i++) {
        kt_config_key key;

        if (kt_config_key_at(config, i, &key, mem + used, VALUE_SIZE - used, &values[*out_count]) != KT_OK ||
            !is_asked(&key, section))
            continue;
        used += values[*out_count].n;
        names[(*out_count)++] = kt_text_of(key.name);
    }
    return mem;
}

static char *put_body(uint64_t revision, const kt_text *changed, uint32_t count)
{
    const kt_table *table = &kt_actions[KT_ACTION_config_put].response;
    kt_response_config_put response;
    char *mem = calloc(1, KT_CONFIG_SETTINGS_MAX);
    kt_json_writer writer;

    if (mem == NULL)
        return NULL;
    kt_table_init(table, &response);
    response.revision = revision;
    response.changed = KT_TEXTS_OF(changed, count);
    kt_json_writer_init(&writer, mem, KT_CONFIG_SETTINGS_MAX - 1);
    kt_table_write_json(table, &response, &writer);
    return mem;
}

static kt_code put(settings_feed *feed, open_put *open, const kt_params_config_put *params, kt_err *err)
{
    kt_text before[CHANGED_MAX], after[CHANGED_MAX], names[CHANGED_MAX];
    char json[KT_CONFIG_SETTINGS_MAX], key[KEY_SIZE];
    char *mem = NULL, *now = NULL;
    kt_text settings;
    uint32_t count = 0, changed = 0;
    kt_code code = kt_config_settings_merge(feed->config, params->section, params->settings, json, &settings, err);

    if (code != KT_OK)
        return code;
    mem = values_of(feed->config, params->section, before, names, &count);
    if (mem == NULL)
        return kt_fail(err, KT_SYS, "no memory for section '%.*s'", KT_TEXT_ARG(params->section));
    snprintf(key, sizeof key, KT_CONFIG_SETTINGS_KEY "%.*s", KT_TEXT_ARG(params->section));
    code = kt_bus_put(kt_lane_bus(feed->lane), kt_text_of(key), settings,
        params->expected < 0 ? UINT64_MAX : (uint64_t)params->expected, &open->revision, err);
    if (code == KT_OK) { /* the service has applied it */
        now = values_of(feed->config, params->section, after, names, &count);
        for (uint32_t i = 0; now != NULL && i < count; i++)
            if (!kt_text_equal(before[i], after[i]))
                names[changed++] = names[i];
        open->body = put_body(open->revision, names, changed);
        snprintf(open->section, sizeof open->section, "%.*s", KT_TEXT_ARG(params->section));
    }
    free(mem);
    free(now);
    return code;
}

static void put_here(settings_feed *feed, const kt_bus_call *call, const kt_params_config_put *params)
{
    open_put *open = NULL;
    kt_err err = { 0 };

    for (uint32_t i = 0; i < KT_SETTINGS_OPEN_MAX && open == NULL; i++)
        open = feed->puts[i].token == 0 ? &feed->puts[i] : NULL;
    if (open == NULL)
        kt_fail(&err, KT_BUSY, "%d changes wait for the disk already", KT_SETTINGS_OPEN_MAX);
    else if (put(feed, open, params, &err) == KT_OK) {
        open->token = call->token;
        return;
    }
    answer_error(feed, call->token, &err);
}

/* ---- calls ---- */

static kt_code read_params(const kt_bus_call *call, kt_action_index index, kt_arena *arena, void *out, kt_err *err)
{
    static kt_json_node nodes[NODE_MAX];
    const kt_table *table = &kt_actions[index].params;
    kt_json_doc doc;
    kt_code code;

    if (call->params.n == 0) {
        kt_table_init(table, out);
        return kt_table_check(table, out, err);
    }
    code = kt_json_parse(call->params, nodes, NODE_MAX, &doc, err);
    if (code == KT_OK)
        code = kt_table_read_json(table, &doc, 0, arena, out, err);
    return code == KT_OK ? kt_table_check(table, out, err) : code;
}

static void on_get(void *ctx, const kt_bus_call *call)
{
    settings_feed *feed = ctx;
    uint8_t mem[ARENA_SIZE];
    kt_params_config_get params;
    kt_arena arena;
    kt_err err = { 0 };
    question *q;

    kt_arena_init(&arena, mem, sizeof mem);
    if (read_params(call, KT_ACTION_config_get, &arena, &params, &err) != KT_OK) {
        answer_error(feed, call->token, &err);
        return;
    }
    q = question_new(feed, call->token, params.section);
    if (q == NULL) {
        kt_fail(&err, KT_BUSY, "%d calls wait for other lanes already", KT_SETTINGS_CALL_MAX);
        answer_error(feed, call->token, &err);
        return;
    }
    if (params.section.n > 0 && kt_config_section_lane(params.section) != NULL && !is_ours(feed, params.section)) {
        question_free(q);
        pass_on(feed, call, params.section); /* it knows the revision too */
        return;
    }
    if (params.section.n == 0)
        ask_held(q);
    if (q->waiting > 0)
        return;
    answer_get(feed, call->token, params.section);
    question_free(q);
}

static void on_put(void *ctx, const kt_bus_call *call)
{
    settings_feed *feed = ctx;
    uint8_t mem[ARENA_SIZE];
    kt_params_config_put params;
    kt_arena arena;
    kt_err err = { 0 };

    kt_arena_init(&arena, mem, sizeof mem);
    if (read_params(call, KT_ACTION_config_put, &arena, &params, &err) != KT_OK)
        answer_error(feed, call->token, &err);
    else if (kt_config_section_lane(params.section) == NULL || is_ours(feed, params.section))
        put_here(feed, call, &params); /* or says why not */
    else
        pass_on(feed, call, params.section);
}

static void on_held_call(void *ctx, const kt_bus_call *call)
{
    settings_feed *feed = ctx;
    char mem[8 * KT_CONFIG_SETTINGS_MAX], json[KT_CONFIG_SETTINGS_MAX];
    kt_json_writer writer;
    kt_text body = { 0 }, text;
    kt_code code;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    for (uint32_t i = 0; kt_config_section_at(i) != NULL; i++) {
        kt_text section = kt_text_of(kt_config_section_at(i));

        if (!is_ours(feed, section) ||
            kt_config_settings_text(feed->config, section, json, sizeof json, &text) != KT_OK)
            continue;
        kt_json_put_key(&writer, section);
        kt_json_put_raw(&writer, text.n > 0 ? text : KT_TEXT("{}"));
    }
    kt_json_close_object(&writer);
    code = kt_json_writer_done(&writer, &body);
    answer(feed, call->token, code, body);
}

/* ---- life ---- */

static kt_code settings_feed_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    static const struct {
        const char *action;
        kt_bus_on_call on_call;
    } served[] = { { "config.get", on_get }, { "config.put", on_put }, { HELD_ACTION, on_held_call } };
    settings_feed *feed = calloc(1, sizeof *feed);
    kt_code code = KT_OK;

    if (feed == NULL)
        return kt_fail(err, KT_SYS, "no memory for settings");
    feed->lane = lane;
    feed->config = (kt_config *)config; /* for what other lanes hold; our own is the service's */
    for (uint32_t i = 0; code == KT_OK && i < KT_COUNT(served); i++)
        code = kt_bus_serve(kt_lane_bus(lane), kt_text_of(served[i].action), served[i].on_call, feed, err);
    if (code != KT_OK) {
        free(feed);
        return code;
    }
    *out_state = feed;
    return KT_OK;
}

/* The log may have removed the record of a change made long ago; the service knows it from its snapshot. */
static void settings_feed_live(void *state)
{
    settings_feed *feed = state;

    for (uint32_t i = 0; kt_config_section_at(i) != NULL; i++) {
        kt_text section = kt_text_of(kt_config_section_at(i));
        char json[KT_CONFIG_SETTINGS_MAX], key[KEY_SIZE];
        kt_text settings, stored;

        snprintf(key, sizeof key, KT_CONFIG_SETTINGS_KEY "%.*s", KT_TEXT_ARG(section));
        if (!is_ours(feed, section) ||
            kt_config_settings_text(feed->config, section, json, sizeof json, &settings) != KT_OK || settings.n == 0 ||
            kt_bus_get(kt_lane_bus(feed->lane), kt_text_of(key), &stored, NULL) == KT_OK)
            continue;
        kt_bus_put(kt_lane_bus(feed->lane), kt_text_of(key), settings, UINT64_MAX, NULL, NULL);
    }
}

/* Durable now: answer those who asked for it. */
static void settings_feed_output(void *state, const kt_event *event)
{
    settings_feed *feed = state;
    kt_ev_settings said;

    if (event->rec->kind != KT_EV_SETTINGS ||
        kt_event_decode(KT_EV_SETTINGS, event->payload, event->size, &said) != KT_OK)
        return;
    if (said.refused.n > 0)
        kt_lane_diag(feed->lane, KT_LEVEL_WARNING, "settings of section %.*s are refused: %.*s",
            KT_TEXT_ARG(said.section), KT_TEXT_ARG(said.refused));
    else
        kt_lane_diag(feed->lane, KT_LEVEL_INFO, "settings of section %.*s are now %.*s (revision %llu)",
            KT_TEXT_ARG(said.section), KT_TEXT_ARG(said.settings.n > 0 ? said.settings : KT_TEXT("{}")),
            (unsigned long long)said.revision);
    for (uint32_t i = 0; i < KT_SETTINGS_OPEN_MAX; i++) {
        open_put *open = &feed->puts[i];

        if (open->token == 0 || open->revision > said.revision ||
            !kt_text_equal(said.section, kt_text_of(open->section)))
            continue;
        answer(
            feed, open->token, open->body != NULL ? KT_OK : KT_SYS, kt_text_of(open->body != NULL ? open->body : ""));
        free(open->body);
        *open = (open_put){ 0 };
    }
}

static void settings_feed_stop(void *state)
{
    settings_feed *feed = state;

    if (feed == NULL)
        return;
    feed->lane = NULL; /* open calls end when the bus closes */
    feed_free(feed);
}

static const char *const settings_outputs[] = { "settings.*", NULL };

const kt_feed_spec kt_settings_feed = {
    .name = "settings",
    .start = settings_feed_start,
    .live = settings_feed_live,
    .outputs = settings_outputs,
    .after_durable = true,
    .on_output = settings_feed_output,
    .stop = settings_feed_stop,
};
