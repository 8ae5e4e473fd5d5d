#include "edge/json_schema.h"

#include "base/assert.h"

#include <stdio.h>

#define DECIMAL_PATTERN "^-?[0-9]+([.][0-9]+)?$"
#define WINDOW_PATTERN "^[1-9][0-9]{0,4}[smh]$"

static void put_type(kt_json_writer *writer, const char *type)
{
    kt_json_member_text(writer, "type", kt_text_of(type));
}

static void put_pattern(kt_json_writer *writer, const char *pattern)
{
    kt_json_member_text(writer, "pattern", kt_text_of(pattern));
}

static void put_whole(kt_json_writer *writer, const kt_field *field)
{
    static const uint64_t type_max[KT_FIELD_TYPE_COUNT] = {
        [KT_FIELD_U8] = UINT8_MAX,
        [KT_FIELD_U16] = UINT16_MAX,
        [KT_FIELD_U32] = UINT32_MAX,
        [KT_FIELD_U64] = UINT64_MAX,
        [KT_FIELD_I64] = INT64_MAX,
    };

    put_type(writer, "integer");
    kt_json_member_i64(writer, "minimum", field->min);
    kt_json_member_u64(writer, "maximum", field->max < type_max[field->type] ? field->max : type_max[field->type]);
}

/* A whole number, or a window such as 5m. */
static void put_whole_or_window(kt_json_writer *writer, const kt_field *field)
{
    kt_json_name(writer, "anyOf");
    kt_json_open_array(writer);
    kt_json_open_object(writer);
    put_whole(writer, field);
    kt_json_close_object(writer);
    kt_json_open_object(writer);
    put_type(writer, "string");
    put_pattern(writer, WINDOW_PATTERN);
    kt_json_close_object(writer);
    kt_json_close_array(writer);
}

static void put_ms(kt_json_writer *writer, const kt_field *field, kt_json_place place)
{
    if (place == KT_JSON_IN_ANSWER) {
        put_type(writer, "string");
        put_pattern(writer, "^[0-9]+$");
        return;
    }
    put_type(writer, "integer");
    kt_json_member_i64(writer, "minimum", field->min / 1000000);
    kt_json_member_u64(writer, "maximum", field->max / 1000000);
}

static void put_text(kt_json_writer *writer, const kt_field *field)
{
    put_type(writer, "string");
    if (field->min > 0)
        kt_json_member_u64(writer, "minLength", 1); /* bounds are in bytes: a character has up to four */
    kt_json_member_u64(writer, "maxLength", field->max);
}

static void put_enum(kt_json_writer *writer, const kt_field *field)
{
    put_type(writer, "string");
    kt_json_name(writer, "enum");
    kt_json_open_array(writer);
    for (uint32_t i = 0; i < field->values->count; i++)
        kt_json_put_text(writer, kt_text_of(field->values->values[i]));
    kt_json_close_array(writer);
}

static void put_list(kt_json_writer *writer, const kt_field *field)
{
    char path[128];

    put_type(writer, "array");
    kt_json_member_u64(writer, "maxItems", field->max);
    kt_json_name(writer, "items");
    kt_json_open_object(writer);
    if (field->type == KT_FIELD_ROWS) {
        snprintf(path, sizeof path, "#/components/schemas/%s", field->rows->name);
        kt_json_member_text(writer, "$ref", kt_text_of(path));
    } else {
        put_type(writer, "string");
    }
    kt_json_close_object(writer);
}

static void put_form(kt_json_writer *writer, const kt_field *field, kt_json_place place)
{
    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        put_type(writer, "boolean");
        break;
    case KT_FIELD_U64:
        if (place == KT_JSON_IN_QUERY && strcmp(field->unit, "ms") == 0) {
            put_whole_or_window(writer, field);
            break;
        }
        put_whole(writer, field);
        break;
    case KT_FIELD_U8:
    case KT_FIELD_U16:
    case KT_FIELD_U32:
    case KT_FIELD_I64:
        put_whole(writer, field);
        break;
    case KT_FIELD_TIME:
        put_type(writer, "string");
        kt_json_member_text(writer, "format", KT_TEXT("date-time"));
        break;
    case KT_FIELD_TIME_MS:
        put_ms(writer, field, place);
        break;
    case KT_FIELD_DEC:
    case KT_FIELD_SUM:
        put_type(writer, "string");
        put_pattern(writer, DECIMAL_PATTERN);
        break;
    case KT_FIELD_ENUM:
        put_enum(writer, field);
        break;
    case KT_FIELD_TEXT:
        put_text(writer, field);
        break;
    case KT_FIELD_BYTES:
        put_type(writer, "string");
        put_pattern(writer, "^([0-9a-f]{2})*$");
        break;
    case KT_FIELD_TEXTS:
    case KT_FIELD_ROWS:
        put_list(writer, field);
        break;
    case KT_FIELD_JSON: /* anything */
        break;
    case KT_FIELD_TYPE_COUNT:
        kt_assert(field->type < KT_FIELD_TYPE_COUNT);
    }
}

/* The default, as a member of the schema. */
static void put_default(kt_json_writer *writer, const kt_table *table, const kt_field *field)
{
    _Alignas(max_align_t) uint8_t value[KT_VALUE_SIZE_MAX];
    kt_json_node nodes[256];
    char text[4096];
    kt_json_writer all;
    kt_json_doc doc;
    kt_text json;

    kt_table_init(table, value);
    kt_json_writer_init(&all, text, sizeof text);
    kt_table_write_json(table, value, &all);
    if (kt_json_writer_done(&all, &json) != KT_OK || kt_json_parse(json, nodes, KT_COUNT(nodes), &doc, NULL) != KT_OK)
        return;
    kt_json_name(writer, "default");
    kt_json_put_node(writer, &doc, kt_json_get(&doc, 0, kt_text_of(field->name)));
}

void kt_json_schema_field(kt_json_writer *writer, const kt_table *table, const kt_field *field, kt_json_place place)
{
    kt_json_open_object(writer);
    kt_json_member_text(writer, "description", kt_text_of(field->text));
    put_form(writer, field, place);
    if (place != KT_JSON_IN_ANSWER && !kt_table_required(table, field))
        put_default(writer, table, field);
    if (field->unit[0] != '\0')
        kt_json_member_text(writer, "x-unit", kt_text_of(field->unit));
    kt_json_close_object(writer);
}

void kt_json_schema_table(kt_json_writer *writer, const kt_table *table, kt_json_place place)
{
    kt_json_open_object(writer);
    put_type(writer, "object");
    kt_json_member_text(writer, "description", kt_text_of(table->text));
    kt_json_name(writer, "properties");
    kt_json_open_object(writer);
    for (uint32_t i = 0; i < table->field_count; i++) {
        kt_json_name(writer, table->fields[i].name);
        kt_json_schema_field(writer, table, &table->fields[i], place);
    }
    kt_json_close_object(writer);
    kt_json_name(writer, "required");
    kt_json_open_array(writer);
    for (uint32_t i = 0; i < table->field_count; i++)
        if (place == KT_JSON_IN_ANSWER || kt_table_required(table, &table->fields[i]))
            kt_json_put_text(writer, kt_text_of(table->fields[i].name));
    kt_json_close_array(writer);
    if (place == KT_JSON_IN_BODY)
        kt_json_member_bool(writer, "additionalProperties", false);
    kt_json_close_object(writer);
}

void kt_json_schema_put_rows(kt_json_writer *writer, const kt_table *table, kt_json_schema_rows *rows)
{
    for (uint32_t i = 0; i < table->field_count; i++) {
        const kt_table *row = table->fields[i].rows;
        bool done = row == NULL;

        for (uint32_t j = 0; j < rows->count; j++)
            done = done || rows->done[j] == row;
        if (done)
            continue;
        kt_assert(rows->count < KT_JSON_SCHEMA_ROW_MAX);
        rows->done[rows->count++] = row;
        kt_json_name(writer, row->name);
        kt_json_schema_table(writer, row, KT_JSON_IN_ANSWER);
        kt_json_schema_put_rows(writer, row, rows);
    }
}
