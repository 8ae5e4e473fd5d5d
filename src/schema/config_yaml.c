#include "schema/config_parts.h"
#include "schema/yaml.h"

#include <stdlib.h>
#include <string.h>

typedef struct yaml_reader {
    kt_config *config;
    const char *name;
    yaml_document_t *document;
    kt_err *err;
    bool seen[KT_CONFIG_NAME_COUNT];
} yaml_reader;

static const char *where_of(yaml_reader *reader, const yaml_node_t *node)
{
    const char *where = kt_config_printf(reader->config, "%s:%u", reader->name, kt_yaml_line(node));

    return where != NULL ? where : reader->name;
}

static kt_code read_words(
    yaml_reader *reader, const kt_value_spec *spec, const yaml_node_t *node, void *at, const char *where)
{
    kt_text words[KT_CONFIG_SYMBOL_MAX];
    uint32_t count = 0;

    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(reader->document, *i);

        if (item->type != YAML_SCALAR_NODE)
            return kt_config_refuse(reader->err, KT_TYPE, where, spec, "holds %s", kt_yaml_kind(item));
        if (count == KT_COUNT(words))
            return kt_config_refuse(reader->err, KT_RANGE, where, spec, "has more than %zu words", KT_COUNT(words));
        words[count++] = kt_yaml_text(item);
    }
    return kt_config_set_words(reader->config, spec, words, count, at, where, reader->err);
}

static kt_code read_objects(yaml_reader *reader, const kt_value_spec *parts, uint32_t part_count, const char *list,
    uint32_t size, uint32_t max, const yaml_node_t *node, const void **out_first, uint32_t *out_count);

static kt_code read_value(yaml_reader *reader, const kt_value_spec *spec, const yaml_node_t *node, void *at)
{
    const char *where = where_of(reader, node);
    bool list = spec->type == KT_VALUE_WORDS || spec->type == KT_VALUE_WINDOWS;
    kt_config_composite *composite;
    kt_code code;

    if (spec->type == KT_VALUE_MEMBERS) {
        composite = (kt_config_composite *)((uint8_t *)at - offsetof(kt_config_composite, members));
        code = read_objects(reader, kt_config_member_parts, KT_COUNT(kt_config_member_parts), spec->name,
            sizeof(kt_config_member), KT_CONFIG_MEMBER_MAX, node, (const void **)&composite->members,
            &composite->member_count);
        if (code == KT_OK && composite->member_count < spec->min)
            return kt_config_refuse(reader->err, KT_RANGE, where, spec, "is empty");
        return code;
    }
    if (list && node->type == YAML_SEQUENCE_NODE)
        return read_words(reader, spec, node, at, where);
    if (node->type != YAML_SCALAR_NODE)
        return kt_config_refuse(reader->err, KT_TYPE, where, spec, "is %s", kt_yaml_kind(node));
    if (spec->type != KT_VALUE_TEXT && spec->type != KT_VALUE_FORMAT && !list &&
        node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return kt_config_refuse(
            reader->err, KT_TYPE, where, spec, "'%.*s' is text in quotes", KT_CUT(kt_yaml_text(node)));
    return kt_config_set_value(reader->config, spec, kt_yaml_text(node), at, where, reader->err);
}

/* One venue, composite, member or ticker. */
static kt_code read_object(yaml_reader *reader, const kt_value_spec *parts, uint32_t part_count, const char *list,
    const yaml_node_t *node, void *object)
{
    bool seen[KT_COUNT(kt_config_venue_parts)] = { false };
    const char *where = where_of(reader, node);
    kt_code code = KT_OK;

    if (node->type != YAML_MAPPING_NODE)
        return kt_fail(reader->err, KT_TYPE, "%s: %s: an element is %s; allowed is an object with %s, ...", where, list,
            kt_yaml_kind(node), parts[0].name);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        uint32_t index = 0;

        if (key->type != YAML_SCALAR_NODE)
            return kt_fail(reader->err, KT_TYPE, "%s: %s: a key is %s", where_of(reader, key), list, kt_yaml_kind(key));
        while (index < part_count && !kt_text_equal(kt_yaml_text(key), kt_text_of(parts[index].name)))
            index++;
        if (index == part_count)
            return kt_config_unknown_part(
                kt_yaml_text(key), parts, part_count, list, where_of(reader, key), reader->err);
        if (seen[index])
            return kt_config_refuse(reader->err, KT_TWICE, where_of(reader, key), &parts[index], "is given twice");
        seen[index] = true;
        code = read_value(reader, &parts[index], yaml_document_get_node(reader->document, pair->value),
            (uint8_t *)object + parts[index].at);
        if (code != KT_OK)
            return code;
    }
    for (uint32_t i = 0; code == KT_OK && i < part_count; i++) {
        if (seen[i])
            continue;
        if (parts[i].fallback == NULL)
            return kt_config_refuse(reader->err, KT_NOENT, where, &parts[i], "is missing in an element of %s", list);
        code = kt_config_set_value(reader->config, &parts[i], kt_text_of(parts[i].fallback),
            (uint8_t *)object + parts[i].at, where, reader->err);
    }
    return code;
}

static kt_code read_objects(yaml_reader *reader, const kt_value_spec *parts, uint32_t part_count, const char *list,
    uint32_t size, uint32_t max, const yaml_node_t *node, const void **out_first, uint32_t *out_count)
{
    const char *where = where_of(reader, node);
    uint32_t index = 0;
    kt_code code = KT_OK;
    uint8_t *objects;
    size_t count;

    if (node->type != YAML_SEQUENCE_NODE)
        return kt_fail(reader->err, KT_TYPE, "%s: %s: is %s; allowed is a list of objects with %s, ...", where, list,
            kt_yaml_kind(node), parts[0].name);
    count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count > max)
        return kt_fail(
            reader->err, KT_RANGE, "%s: %s: has %zu elements; allowed are at most %u", where, list, count, max);
    objects = kt_config_take(reader->config, (count + KT_CONFIG_VENUE_DERIVED_MAX) * size);
    if (objects == NULL)
        return kt_config_no_memory(reader->err);
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         code == KT_OK && i < node->data.sequence.items.top; i++)
        code = read_object(reader, parts, part_count, list, yaml_document_get_node(reader->document, *i),
            objects + (size_t)size * index++);
    *out_first = objects;
    *out_count = (uint32_t)count;
    return code;
}

static kt_code read_name(yaml_reader *reader, uint32_t index, const yaml_node_t *key, const yaml_node_t *value)
{
    const char *where = where_of(reader, key);
    const kt_list_spec *list;
    kt_code code;

    if (reader->seen[index])
        return kt_fail(
            reader->err, KT_TWICE, "%s: key '%s' is given twice; once is allowed", where, kt_config_name_of(index));
    reader->seen[index] = true;
    if (index < KT_CONFIG_KEY_COUNT) {
        code = read_value(
            reader, &kt_config_keys[index].value, value, (uint8_t *)reader->config + kt_config_keys[index].value.at);
        if (code == KT_OK) {
            reader->config->private->origins[index].from = KT_FROM_FILE;
            reader->config->private->origins[index].where = where;
        }
        return code;
    }
    list = &kt_config_lists[index - KT_CONFIG_KEY_COUNT];
    return read_objects(reader, list->parts, list->part_count, list->name, list->size, list->max, value,
        (const void **)((uint8_t *)reader->config + list->at),
        (uint32_t *)((uint8_t *)reader->config + list->count_at));
}

/* The keys of the file (prefix "") or of a section (prefix "edge."). */
static kt_code read_keys(yaml_reader *reader, const char *prefix, const yaml_node_t *node)
{
    kt_text sections[KT_CONFIG_NAME_COUNT];
    uint32_t section_count = 0;

    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(reader->document, pair->value);
        const char *where = where_of(reader, key);
        char name[KT_CONFIG_VALUE_MAX];
        uint32_t index;
        kt_code code;

        if (key->type != YAML_SCALAR_NODE)
            return kt_fail(reader->err, KT_TYPE, "%s: a key is %s; allowed is a word", where, kt_yaml_kind(key));
        snprintf(name, sizeof name, "%s%.*s", prefix, KT_CUT(kt_yaml_text(key)));
        if (prefix[0] == '\0' && kt_config_is_section(kt_yaml_text(key))) {
            for (uint32_t i = 0; i < section_count; i++)
                if (kt_text_equal(sections[i], kt_yaml_text(key)))
                    return kt_fail(reader->err, KT_TWICE, "%s: key '%s' is given twice; once is allowed", where, name);
            sections[section_count++] = kt_yaml_text(key);
            if (value->type != YAML_MAPPING_NODE)
                return kt_fail(reader->err, KT_TYPE, "%s: %s: is %s; allowed is an object of keys", where, name,
                    kt_yaml_kind(value));
            strcat(name, ".");
            code = read_keys(reader, name, value);
        } else {
            index = kt_config_name_index(kt_text_of(name));
            if (index == KT_CONFIG_NAME_COUNT)
                return kt_config_unknown_key(kt_text_of(name), where, reader->err);
            code = read_name(reader, index, key, value);
        }
        if (code != KT_OK)
            return code;
    }
    return KT_OK;
}

static kt_code read_document(kt_config *config, const char *name, yaml_document_t *document, kt_err *err)
{
    yaml_reader reader = { .config = config, .name = name, .document = document, .err = err };
    const yaml_node_t *root = yaml_document_get_root_node(document);

    if (root == NULL || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
        return KT_OK; /* an empty file says nothing */
    if (root->type != YAML_MAPPING_NODE)
        return kt_fail(err, KT_TYPE, "%s:1: the file is %s; allowed is an object of keys", name, kt_yaml_kind(root));
    return read_keys(&reader, "", root);
}

kt_code kt_config_read_yaml(kt_config *config, const char *name, const char *yaml, size_t size, kt_err *err)
{
    yaml_document_t document;
    kt_code code = kt_yaml_parse(name, yaml, size, &document, err);

    if (code != KT_OK)
        return code;
    code = read_document(config, name, &document, err);
    yaml_document_delete(&document);
    return code;
}

kt_code kt_config_read_file(kt_config *config, const char *path, kt_err *err)
{
    char *text = NULL;
    size_t size = 0;
    kt_code code = kt_yaml_file("configuration", path, KT_CONFIG_FILE_MAX, &text, &size, err);

    if (code == KT_OK)
        code = kt_config_read_yaml(config, path, text, size, err);
    free(text);
    return code;
}
