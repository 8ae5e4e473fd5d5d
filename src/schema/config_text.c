#include "schema/config_parts.h"

#include <string.h>

/* In double quotes; what is not ASCII is escaped, since YAML refuses some characters as they are. */
static void put_quoted(kt_builder *out, const char *text)
{
    const uint8_t *c = (const uint8_t *)text;

    kt_builder_char(out, '"');
    while (*c != '\0') {
        uint32_t point = *c;
        uint32_t more = point < 0x80 ? 0 : point < 0xE0 ? 1 : point < 0xF0 ? 2 : 3;

        if (more == 0) {
            if (point == '"' || point == '\\')
                kt_builder_char(out, '\\');
            kt_builder_char(out, (char)point);
        } else {
            point &= 0x3FU >> more;
            for (uint32_t i = 1; i <= more; i++)
                point = point << 6 | (c[i] & 0x3F);
            kt_builder_format(out, "\\U%08X", point);
        }
        c += 1 + more;
    }
    kt_builder_char(out, '"');
}

static void put_parts(kt_builder *out, const kt_value_spec *parts, uint32_t count, const void *object);

static void put_value(kt_builder *out, const kt_value_spec *spec, const void *at)
{
    const kt_config_composite *composite;
    const kt_words *words;

    switch (spec->type) {
    case KT_VALUE_TEXT:
        put_quoted(out, *(const char *const *)at);
        break;
    case KT_VALUE_U8:
        kt_builder_u64(out, *(const uint8_t *)at);
        break;
    case KT_VALUE_U32:
        kt_builder_u64(out, *(const uint32_t *)at);
        break;
    case KT_VALUE_U64:
        kt_builder_u64(out, *(const uint64_t *)at);
        break;
    case KT_VALUE_BOOL:
        kt_builder_str(out, *(const bool *)at ? "true" : "false");
        break;
    case KT_VALUE_FORMAT:
        kt_builder_str(out, kt_config_format_names[*(const kt_config_format *)at]);
        break;
    case KT_VALUE_WORDS:
    case KT_VALUE_WINDOWS:
        words = at;
        kt_builder_char(out, '[');
        for (uint32_t i = 0; i < words->count; i++) {
            kt_builder_str(out, i == 0 ? "" : ", ");
            put_quoted(out, words->at[i]);
        }
        kt_builder_char(out, ']');
        break;
    case KT_VALUE_MEMBERS:
        composite = (const kt_config_composite *)((const uint8_t *)at - offsetof(kt_config_composite, members));
        kt_builder_char(out, '[');
        for (uint32_t i = 0; i < composite->member_count; i++) {
            kt_builder_str(out, i == 0 ? "" : ", ");
            put_parts(out, kt_config_member_parts, KT_COUNT(kt_config_member_parts), &composite->members[i]);
        }
        kt_builder_char(out, ']');
        break;
    }
}

static void put_parts(kt_builder *out, const kt_value_spec *parts, uint32_t count, const void *object)
{
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_format(out, "%s%s: ", i == 0 ? "{" : ", ", parts[i].name);
        put_value(out, &parts[i], (const uint8_t *)object + parts[i].at);
    }
    kt_builder_char(out, '}');
}

static size_t section_size(const char *name)
{
    return kt_config_section_of(name).n;
}

/* The line "edge:" where a section begins, then the name behind the dot, indented. */
static void put_name(kt_builder *out, const char *name, const char *before)
{
    size_t n = section_size(name);

    if (n > 0 && (before == NULL || section_size(before) != n || strncmp(before, name, n) != 0))
        kt_builder_format(out, "%.*s:\n", (int)n, name);
    kt_builder_format(out, "%s%s:", n > 0 ? "  " : "", n > 0 ? name + n + 1 : name);
}

static void put_list(kt_builder *out, const kt_config *config, const kt_list_spec *list)
{
    const uint8_t *first = *(const uint8_t *const *)((const uint8_t *)config + list->at);
    uint32_t count = *(const uint32_t *)((const uint8_t *)config + list->count_at);

    if (list->parts == kt_config_venue_parts)
        count = config->private->listed_venue_count;
    kt_builder_str(out, count == 0 ? " []\n" : "\n");
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_str(out, "    - ");
        put_parts(out, list->parts, list->part_count, first + (size_t)list->size * i);
        kt_builder_char(out, '\n');
    }
}

/* Lists stand behind the last key of their section, or at the end. */
static void put_lists_of(kt_builder *out, const kt_config *config, const char *name, const char *next)
{
    size_t n = section_size(name);

    for (uint32_t i = 0; i < KT_CONFIG_LIST_COUNT; i++) {
        bool same =
            n > 0 && section_size(kt_config_lists[i].name) == n && strncmp(kt_config_lists[i].name, name, n) == 0;
        bool last = next == NULL || section_size(next) != n || strncmp(next, name, n) != 0;

        if (same && last) {
            put_name(out, kt_config_lists[i].name, name);
            put_list(out, config, &kt_config_lists[i]);
        }
    }
}

static bool section_has_keys(const char *name)
{
    size_t n = section_size(name);

    for (uint32_t i = 0; n > 0 && i < KT_CONFIG_KEY_COUNT; i++)
        if (section_size(kt_config_keys[i].value.name) == n && strncmp(kt_config_keys[i].value.name, name, n) == 0)
            return true;
    return false;
}

kt_code kt_config_text(const kt_config *config, char *buf, size_t size, size_t *out_length)
{
    kt_builder out;

    if (size == 0)
        return KT_FULL;
    kt_builder_init(&out, buf, size);
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        const kt_value_spec *spec = &kt_config_keys[i].value;

        put_name(&out, spec->name, i == 0 ? NULL : kt_config_keys[i - 1].value.name);
        kt_builder_char(&out, ' ');
        put_value(&out, spec, (const uint8_t *)config + spec->at);
        kt_builder_char(&out, '\n');
        put_lists_of(&out, config, spec->name, i + 1 == KT_CONFIG_KEY_COUNT ? NULL : kt_config_keys[i + 1].value.name);
    }
    for (uint32_t i = 0; i < KT_CONFIG_LIST_COUNT; i++) {
        if (section_has_keys(kt_config_lists[i].name))
            continue;
        put_name(&out, kt_config_lists[i].name, NULL);
        put_list(&out, config, &kt_config_lists[i]);
    }
    if (out.code == KT_OK)
        *out_length = out.n;
    return out.code;
}

void kt_config_list(const kt_config *config, FILE *out)
{
    char value[8 * KT_CONFIG_VALUE_MAX];
    kt_builder text;

    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        kt_builder_init(&text, value, sizeof value);
        put_value(&text, &kt_config_keys[i].value, (const uint8_t *)config + kt_config_keys[i].value.at);
        fprintf(out, "%-28s %-32s # %s\n", kt_config_keys[i].value.name, value, config->private->origins[i].where);
    }
    for (uint32_t i = 0; i < KT_CONFIG_LIST_COUNT; i++) {
        const uint8_t *first = *(const uint8_t *const *)((const uint8_t *)config + kt_config_lists[i].at);
        uint32_t count = *(const uint32_t *)((const uint8_t *)config + kt_config_lists[i].count_at);

        for (uint32_t j = 0; j < count; j++) {
            kt_builder_init(&text, value, sizeof value);
            put_parts(&text, kt_config_lists[i].parts, kt_config_lists[i].part_count,
                first + (size_t)kt_config_lists[i].size * j);
            fprintf(out, "%s[%u] %s%s\n", kt_config_lists[i].name, j, value, text.code == KT_OK ? "" : "...");
        }
    }
}

/* ---- one key ---- */

static void put_plain(kt_builder *out, const kt_value_spec *spec, const void *at)
{
    const kt_words *words = at;

    if (spec->type == KT_VALUE_TEXT) {
        kt_builder_str(out, *(const char *const *)at);
        return;
    }
    if (spec->type != KT_VALUE_WORDS && spec->type != KT_VALUE_WINDOWS) {
        put_value(out, spec, at);
        return;
    }
    for (uint32_t i = 0; i < words->count; i++)
        kt_builder_format(out, "%s%s", i == 0 ? "" : ",", words->at[i]);
}

uint32_t kt_config_key_count(void)
{
    return KT_CONFIG_KEY_COUNT;
}

kt_code kt_config_key_at(
    const kt_config *config, uint32_t index, kt_config_key *out_key, char *buf, size_t size, kt_text *out_value)
{
    const kt_key_spec *key = &kt_config_keys[index];
    const char *held;
    kt_builder value;

    kt_builder_init(&value, buf, size);
    put_plain(&value, &key->value, (const uint8_t *)config + key->value.at);
    if (value.code != KT_OK)
        return value.code;
    held = kt_config_held_by(config, index);
    *out_key = (kt_config_key){
        .name = key->value.name, .text = key->value.text, .origin = config->private->origins[index].where
    };
    snprintf(out_key->stays, sizeof out_key->stays, "%s%s", held != NULL ? held : key->stays,
        held != NULL ? " holds it" : "");
    kt_config_allowed(&key->value, out_key->allowed, sizeof out_key->allowed);
    *out_value = kt_builder_done(&value);
    return KT_OK;
}

static void help_line(FILE *out, const char *name, const kt_value_spec *spec)
{
    char may[100];

    kt_config_allowed(spec, may, sizeof may);
    fprintf(out, "  %-32s %s\n  %-32s   %s%s%s\n", name, spec->text, "", may,
        spec->fallback != NULL ? "; default " : "; required",
        spec->fallback == NULL      ? ""
        : spec->fallback[0] == '\0' ? "empty"
                                    : spec->fallback);
}

void kt_config_help(FILE *out)
{
    fprintf(out, "Configuration: flags go over the environment, the environment over the YAML file (--config FILE).\n"
                 "Each key is a flag (--edge.port 3000), a variable (KONTOR_EDGE_PORT) and a line in YAML.\n\n");
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        char name[100];
        int n = snprintf(name, sizeof name, "--%s", kt_config_keys[i].value.name);

        if (kt_config_keys[i].flag[0] != '\0')
            n += snprintf(name + n, sizeof name - (size_t)n, ", -%s", kt_config_keys[i].flag);
        if (kt_config_keys[i].variable[0] != '\0')
            snprintf(name + n, sizeof name - (size_t)n, ", %s", kt_config_keys[i].variable);
        help_line(out, name, &kt_config_keys[i].value);
    }
    fprintf(out, "\nOnly in YAML:\n");
    for (uint32_t i = 0; i < KT_CONFIG_LIST_COUNT; i++) {
        fprintf(
            out, "  %s: %s; at most %u\n", kt_config_lists[i].name, kt_config_lists[i].text, kt_config_lists[i].max);
        for (uint32_t j = 0; j < kt_config_lists[i].part_count; j++) {
            char name[40];

            snprintf(name, sizeof name, "  %s", kt_config_lists[i].parts[j].name);
            help_line(out, name, &kt_config_lists[i].parts[j]);
        }
    }
}
