/* Input: kind (2 bytes, little endian), then a payload. What decodes must survive encoding and JSON unchanged. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "schema/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAYLOAD_MAX = 1 << 20, JSON_MAX = 1 << 22, NODE_MAX = 1 << 18, ARENA_MAX = 1 << 22 };

static uint8_t payload[PAYLOAD_MAX];
static uint8_t payload_again[PAYLOAD_MAX];
static char json[JSON_MAX];
static kt_json_node nodes[NODE_MAX];
static uint8_t arena_mem[ARENA_MAX];

/* JSON can not hold text that is not UTF-8: its writer replaces it. */
static bool texts_are_utf8(const kt_table *table, const void *value)
{
    for (uint32_t i = 0; i < table->field_count; i++) {
        const kt_field *field = &table->fields[i];
        const void *at = (const uint8_t *)value + field->at;

        if (field->type == KT_FIELD_TEXT && !kt_utf8_valid(*(const kt_text *)at))
            return false;
        for (uint32_t j = 0; field->type == KT_FIELD_TEXTS && j < ((const kt_texts *)at)->count; j++)
            if (!kt_utf8_valid(kt_texts_get(at, j)))
                return false;
        for (uint32_t j = 0; field->type == KT_FIELD_ROWS && j < ((const kt_rows *)at)->count; j++) {
            _Alignas(max_align_t) uint8_t row[KT_ROW_SIZE_MAX];

            kt_rows_get(field->rows, at, j, row);
            if (!texts_are_utf8(field->rows, row))
                return false;
        }
    }
    return true;
}

static void check_json(const kt_table *table, const void *event)
{
    kt_event_any back;
    kt_json_writer writer;
    kt_json_doc doc;
    kt_arena arena;
    kt_text text;

    kt_json_writer_init(&writer, json, sizeof json);
    kt_table_write_json(table, event, &writer);
    if (kt_json_writer_done(&writer, &text) != KT_OK)
        return; /* spans may share bytes, so a small payload can be a huge text */
    if (kt_json_parse(text, nodes, NODE_MAX, &doc, NULL) == KT_FULL)
        return;
    kt_arena_init(&arena, arena_mem, sizeof arena_mem);
    kt_assert(kt_table_read_json(table, &doc, 0, &arena, &back, NULL) == KT_OK);
    kt_assert(kt_table_equal(table, event, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const kt_event_spec *spec;
    kt_event_any event;
    kt_event_any back;
    uint32_t n;
    uint32_t n_again;
    uint16_t kind;

    if (size < 2 || size > PAYLOAD_MAX)
        return 0;
    kind = (uint16_t)(data[0] | data[1] << 8);
    spec = kt_event_by_kind(kind);
    if (kt_event_decode(kind, data + 2, (uint32_t)size - 2, &event) != KT_OK)
        return 0;
    kt_assert(spec != NULL);
    kt_table_check(&spec->table, &event, NULL);
    if (kt_event_encode(kind, &event, payload, sizeof payload, &n) != KT_OK)
        return 0; /* shared spans again: more than a record may hold */
    kt_assert(kt_event_decode(kind, payload, n, &back) == KT_OK);
    kt_assert(kt_table_equal(&spec->table, &event, &back));
    kt_assert(kt_event_encode(kind, &back, payload_again, sizeof payload_again, &n_again) == KT_OK);
    kt_assert(n == n_again);
    kt_assert(memcmp(payload, payload_again, n) == 0);
    if (texts_are_utf8(&spec->table, &event))
        check_json(&spec->table, &event);
    return 0;
}
