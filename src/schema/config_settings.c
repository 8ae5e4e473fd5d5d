#include "schema/config_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { NODE_MAX = KT_CONFIG_SETTINGS_MAX / 2 + 1, WHERE_SIZE = 64 };

/* Which lane applies a section: where what reads its keys runs. */
static const struct {
    const char *section;
    const char *lane;
} owners[] = {
    { "gather", "market" },
    { "vwap", "market" },
    { "repair", "market" },
    { "edge", "edge" },
    { "diag", "edge" },
};

const char *kt_config_section_at(uint32_t index)
{
    return index < KT_COUNT(owners) ? owners[index].section : NULL;
}

const char *kt_config_section_lane(kt_text section)
{
    for (uint32_t i = 0; i < KT_COUNT(owners); i++)
        if (kt_text_equal(section, kt_text_of(owners[i].section)))
            return owners[i].lane;
    return NULL;
}

static bool in_section(uint32_t index, kt_text section)
{
    return kt_text_equal(kt_config_section_of(kt_config_keys[index].value.name), section);
}

const char *kt_config_held_by(const kt_config *config, uint32_t index)
{
    for (uint32_t i = 0; i < config->fixed.count; i++)
        if (strcmp(config->fixed.at[i], kt_config_keys[index].value.name) == 0)
            return config->private->origins[index].from >= KT_FROM_ENVIRONMENT ? config->private->origins[index].where
                                                                               : "the list `fixed`";
    return NULL;
}

static size_t size_of(kt_value_type type)
{
    switch (type) {
    case KT_VALUE_TEXT:
        return sizeof(const char *);
    case KT_VALUE_U32:
        return sizeof(uint32_t);
    case KT_VALUE_U64:
        return sizeof(uint64_t);
    case KT_VALUE_BOOL:
        return sizeof(bool);
    default:
        return sizeof(kt_words);
    }
}

/* ---- applying ---- */

static void remember_loaded(kt_config *config)
{
    kt_config_private *private = config->private;

    if (private->settled)
        return;
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        const kt_value_spec *spec = &kt_config_keys[i].value;

        memcpy(&private->loaded[i], (const uint8_t *)config + spec->at, size_of(spec->type));
        private->loaded_origins[i] = private->origins[i];
    }
    private->settled = true;
}

/* The value that the key's setting gives, or without one what was loaded. */
static kt_code apply(kt_config *config, uint32_t index, kt_text section, kt_err *err)
{
    kt_config_private *private = config->private;
    kt_config_setting *setting = &private->settings[index];
    const kt_value_spec *spec = &kt_config_keys[index].value;
    kt_config_block *others = private->blocks;
    const char *where;
    kt_code code = KT_OK;

    memcpy((uint8_t *)config + spec->at, &private->loaded[index], size_of(spec->type));
    private->origins[index] = private->loaded_origins[index];
    kt_config_blocks_free(setting->blocks);
    setting->blocks = NULL;
    if (setting->text == NULL || kt_config_held_by(config, index) != NULL)
        return KT_OK;
    private->blocks = NULL; /* what is taken now goes with the setting */
    where = kt_config_printf(config, "key-value store " KT_CONFIG_SETTINGS_KEY "%.*s", KT_TEXT_ARG(section));
    code = where == NULL ? kt_config_no_memory(err)
                         : kt_config_set_key(config, index, kt_text_of(setting->text), KT_FROM_SETTINGS, where, err);
    setting->blocks = private->blocks;
    private->blocks = others;
    return code;
}

/* Give the section these settings (by key; taken over), and leave those it had in their place. */
static kt_code put_texts(kt_config *config, kt_text section, char **texts, kt_err *err)
{
    kt_config_setting *settings = config->private->settings;
    kt_code code = KT_OK;

    remember_loaded(config);
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        char *before = settings[i].text;
        kt_code one;

        if (!in_section(i, section))
            continue;
        settings[i].text = texts[i];
        texts[i] = before;
        one = apply(config, i, section, code == KT_OK ? err : NULL);
        code = code == KT_OK ? one : code;
    }
    return code == KT_OK ? kt_config_check_settings(config, err) : code;
}

/* The same, and back when they are refused. */
static kt_code change_texts(kt_config *config, kt_text section, char **texts, kt_err *err)
{
    kt_code code = put_texts(config, section, texts, err);

    if (code != KT_OK)
        put_texts(config, section, texts, NULL);
    return code;
}

static void texts_free(char **texts)
{
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++)
        free(texts[i]);
}

void kt_config_settings_clear(kt_config *config)
{
    char *texts[KT_CONFIG_KEY_COUNT];

    for (uint32_t s = 0; s < KT_COUNT(owners); s++) {
        memset(texts, 0, sizeof texts);
        put_texts(config, kt_text_of(owners[s].section), texts, NULL);
        texts_free(texts);
    }
}

/* ---- reading ---- */

static kt_code no_section(kt_text section, kt_err *err)
{
    char names[160];
    kt_builder out;

    kt_builder_init(&out, names, sizeof names);
    for (uint32_t i = 0; i < KT_COUNT(owners); i++)
        kt_builder_format(&out, "%s%s", i == 0 ? "" : ", ", owners[i].section);
    return kt_fail(err, KT_NOENT, "there is no section '%.*s' that may change while the house runs; there are %s",
        KT_CUT(section), names);
}

static const char list_stays[] = "services are made for each of its elements at the start";

static kt_code stays(const char *name, const char *why, kt_err *err)
{
    return kt_fail(err, KT_ARG,
        "%s: can not change while the house runs: %s; change it in the file, by flag or by variable, and start again",
        name, why);
}

/* Index of a key that may change: section and name as one. */
static kt_code find_key(kt_text section, kt_text name, const char *where, uint32_t *out_index, kt_err *err)
{
    char full[KT_CONFIG_VALUE_MAX];
    uint32_t index;

    snprintf(full, sizeof full, "%.*s.%.*s", KT_CUT(section), KT_CUT(name));
    index = kt_config_name_index(kt_text_of(full));
    if (index == KT_CONFIG_NAME_COUNT)
        return kt_config_unknown_key(kt_text_of(full), where, err);
    if (index >= KT_CONFIG_KEY_COUNT)
        return stays(full, list_stays, err);
    if (kt_config_keys[index].stays[0] != '\0')
        return stays(full, kt_config_keys[index].stays, err);
    *out_index = index;
    return KT_OK;
}

static kt_code take_words(const kt_json_doc *doc, uint32_t node, const kt_value_spec *spec, const char *where,
    kt_arena *arena, kt_builder *out, kt_err *err)
{
    kt_json_each (doc, node, item) {
        kt_text word;

        if (kt_json_text(doc, item, arena, &word) != KT_OK)
            return kt_config_refuse(
                err, KT_TYPE, where, spec, "holds %s", kt_json_kind_text(kt_json_kind_of(doc, item)));
        if (out->n > 0)
            kt_builder_char(out, ',');
        kt_builder_text(out, word);
    }
    return KT_OK;
}

/* A value of JSON as a flag would give it, in *out_text from malloc. */
static kt_code take_value(
    const kt_json_doc *doc, uint32_t node, const kt_value_spec *spec, const char *where, char **out_text, kt_err *err)
{
    char room[KT_CONFIG_SETTINGS_MAX];
    char text[KT_CONFIG_SETTINGS_MAX];
    kt_json_kind kind = kt_json_kind_of(doc, node);
    bool words = spec->type == KT_VALUE_WORDS || spec->type == KT_VALUE_WINDOWS;
    kt_builder out;
    kt_arena arena;
    kt_text said;
    kt_code code = KT_OK;

    kt_builder_init(&out, text, sizeof text);
    kt_arena_init(&arena, room, sizeof room);
    if (kind == KT_JSON_STRING) {
        code = kt_json_text(doc, node, &arena, &said);
        if (code != KT_OK)
            return kt_config_refuse(err, code, where, spec, "holds half a character");
        if (!words && spec->type != KT_VALUE_TEXT)
            return kt_config_refuse(err, KT_TYPE, where, spec, "'%.*s' is text in quotes", KT_CUT(said));
        kt_builder_text(&out, said);
    } else if (kind == KT_JSON_ARRAY && words) {
        code = take_words(doc, node, spec, where, &arena, &out, err);
    } else if (kind == KT_JSON_OBJECT || kind == KT_JSON_ARRAY || kind == KT_JSON_NULL || words ||
               spec->type == KT_VALUE_TEXT) {
        code = kt_config_refuse(err, KT_TYPE, where, spec, "is %s", kt_json_kind_text(kind));
    } else {
        kt_builder_text(&out, kt_json_raw(doc, node));
    }
    if (code != KT_OK)
        return code;
    if (out.code != KT_OK || memchr(text, '\0', out.n) != NULL)
        return kt_config_refuse(err, KT_RANGE, where, spec, "is too long, or holds a NUL");
    *out_text = strndup(text, out.n);
    return *out_text == NULL ? kt_config_no_memory(err) : KT_OK;
}

/* Put the members of an object into the table of texts. `merge`: null removes, and held keys are refused. */
static kt_code take_members(const kt_config *config, kt_text section, const kt_json_doc *doc, bool merge,
    const char *where, char **texts, kt_err *err)
{
    bool seen[KT_CONFIG_KEY_COUNT] = { false };

    kt_json_each (doc, 0, key) {
        char room[KT_CONFIG_VALUE_MAX];
        kt_arena arena;
        kt_text name;
        uint32_t index;
        kt_code code;

        kt_arena_init(&arena, room, sizeof room);
        if (kt_json_text(doc, key, &arena, &name) != KT_OK)
            name = kt_json_raw(doc, key);
        code = find_key(section, name, where, &index, err);
        if (code != KT_OK)
            return code;
        if (seen[index])
            return kt_config_refuse(err, KT_TWICE, where, &kt_config_keys[index].value, "is given twice");
        seen[index] = true;
        if (merge && kt_config_held_by(config, index) != NULL)
            return kt_fail(err, KT_ARG, "%s: can not change while the house runs: %s holds it",
                kt_config_keys[index].value.name, kt_config_held_by(config, index));
        free(texts[index]);
        texts[index] = NULL;
        if (merge && kt_json_kind_of(doc, key + 1) == KT_JSON_NULL)
            continue;
        code = take_value(doc, key + 1, &kt_config_keys[index].value, where, &texts[index], err);
        if (code != KT_OK)
            return code;
    }
    return KT_OK;
}

static kt_code take_json(const kt_config *config, kt_text section, kt_text json, bool merge, char **texts, kt_err *err)
{
    char where[WHERE_SIZE];
    kt_json_node nodes[NODE_MAX];
    kt_json_doc doc;
    kt_code code = KT_OK;

    snprintf(where, sizeof where, KT_CONFIG_SETTINGS_KEY "%.*s", KT_CUT(section));
    if (json.n > KT_CONFIG_SETTINGS_MAX)
        return kt_fail(
            err, KT_LIMIT, "%s: has %zu bytes; allowed are at most %d", where, json.n, KT_CONFIG_SETTINGS_MAX);
    code = kt_json_parse(json, nodes, NODE_MAX, &doc, err);
    if (code != KT_OK)
        return kt_fail_within(err, code, "%s", where);
    if (kt_json_kind_of(&doc, 0) != KT_JSON_OBJECT)
        return kt_fail(err, KT_SYNTAX, "%s: is %s; allowed is an object of keys", where,
            kt_json_kind_text(kt_json_kind_of(&doc, 0)));
    return take_members(config, section, &doc, merge, where, texts, err);
}

kt_code kt_config_settings(kt_config *config, kt_text section, kt_text json, kt_err *err)
{
    char *texts[KT_CONFIG_KEY_COUNT] = { NULL };
    kt_code code = KT_OK;

    if (kt_config_section_lane(section) == NULL)
        return no_section(section, err);
    if (json.n > 0)
        code = take_json(config, section, json, false, texts, err);
    if (code == KT_OK)
        code = change_texts(config, section, texts, err);
    texts_free(texts);
    return code;
}

/* ---- writing ---- */

/* A number or a truth as such, if it is one; everything else is text. */
static bool is_bare(kt_value_type type, const char *text)
{
    if (type == KT_VALUE_BOOL)
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    return (type == KT_VALUE_U32 || type == KT_VALUE_U64) && text[0] != '\0' &&
           text[strspn(text, "0123456789")] == '\0' && (text[0] != '0' || text[1] == '\0');
}

static void put_member(kt_json_writer *writer, const kt_value_spec *spec, const char *text)
{
    kt_json_name(writer, spec->name + kt_config_section_of(spec->name).n + 1);
    if (is_bare(spec->type, text))
        kt_json_put_raw(writer, kt_text_of(text));
    else
        kt_json_put_text(writer, kt_text_of(text));
}

kt_code kt_config_settings_text(const kt_config *config, kt_text section, char *buf, size_t size, kt_text *out_json)
{
    kt_json_writer writer;
    bool any = false;

    kt_json_writer_init(&writer, buf, size);
    kt_json_open_object(&writer);
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        const char *text = config->private->settings[i].text;

        if (text == NULL || !in_section(i, section))
            continue;
        put_member(&writer, &kt_config_keys[i].value, text);
        any = true;
    }
    kt_json_close_object(&writer);
    if (any)
        return kt_json_writer_done(&writer, out_json);
    *out_json = (kt_text){ buf, 0 };
    return KT_OK;
}

kt_code kt_config_settings_merge(
    kt_config *config, kt_text section, kt_text changes, char *buf, kt_text *out_json, kt_err *err)
{
    char *texts[KT_CONFIG_KEY_COUNT] = { NULL };
    uint32_t alone = kt_config_name_index(section);
    kt_code code = KT_OK;

    if (alone < KT_CONFIG_KEY_COUNT)
        return stays(kt_config_keys[alone].value.name, kt_config_keys[alone].stays, err);
    for (uint32_t i = 0; code == KT_OK && i < KT_CONFIG_KEY_COUNT; i++) {
        const char *text = config->private->settings[i].text;

        if (text == NULL || !in_section(i, section))
            continue;
        texts[i] = strdup(text);
        code = texts[i] == NULL ? kt_config_no_memory(err) : KT_OK;
    }
    if (code == KT_OK)
        code = take_json(config, section, changes, true, texts, err);
    if (code == KT_OK && kt_config_section_lane(section) == NULL)
        code = no_section(section, err);
    if (code == KT_OK)
        code = change_texts(config, section, texts, err);
    if (code == KT_OK) {
        code = kt_config_settings_text(config, section, buf, KT_CONFIG_SETTINGS_MAX, out_json);
        put_texts(config, section, texts, NULL); /* those that stood */
        if (code == KT_FULL)
            kt_fail(err, KT_LIMIT, "the settings of section '%.*s' are longer than %d bytes", KT_CUT(section),
                KT_CONFIG_SETTINGS_MAX);
    }
    texts_free(texts);
    return code;
}

/* A key by its whole name, that may change. */
static kt_code find_whole(kt_text key, uint32_t *out_index, kt_err *err)
{
    uint32_t index = kt_config_name_index(key);
    kt_text section;

    if (index == KT_CONFIG_NAME_COUNT)
        return kt_config_unknown_key(key, "config", err);
    section = kt_config_section_of(kt_config_name_of(index));
    if (section.n == 0)
        return stays(
            kt_config_name_of(index), index < KT_CONFIG_KEY_COUNT ? kt_config_keys[index].stays : list_stays, err);
    return find_key(section, kt_text_of(kt_config_name_of(index) + section.n + 1), "config", out_index, err);
}

kt_code kt_config_settings_member(kt_text key, kt_text text, kt_json_writer *writer, kt_err *err)
{
    uint32_t index;
    char value[KT_CONFIG_VALUE_MAX];
    kt_code code = find_whole(key, &index, err);

    if (code == KT_OK && text.n >= sizeof value)
        code = kt_config_refuse(err, KT_RANGE, "config", &kt_config_keys[index].value, "has %zu bytes", text.n);
    if (code != KT_OK)
        return code;
    if (text.n > 0)
        memcpy(value, text.s, text.n);
    value[text.n] = '\0';
    put_member(writer, &kt_config_keys[index].value, value);
    return KT_OK;
}

kt_code kt_config_settings_unset(kt_text key, kt_json_writer *writer, kt_err *err)
{
    uint32_t index;
    kt_code code = find_whole(key, &index, err);

    if (code != KT_OK)
        return code;
    kt_json_name(
        writer, kt_config_keys[index].value.name + kt_config_section_of(kt_config_keys[index].value.name).n + 1);
    kt_json_put_null(writer);
    return KT_OK;
}
