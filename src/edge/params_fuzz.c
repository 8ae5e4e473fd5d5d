/* Input: number of an action (1 byte), then a query. Parameters that are read are within their bounds, and written as JSON
 * they are read back the same. */
#include "edge/params.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODE_MAX = 4096, TEXT_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kt_json_node nodes[NODE_MAX];
    static uint8_t mem[TEXT_MAX];
    static char text[TEXT_MAX], room[KT_QUERY_MAX];
    kt_params_any params, again;
    kt_json_writer writer;
    kt_refusal refusal;
    kt_json_doc doc;
    kt_arena arena;
    kt_text json;

    if (size == 0)
        return 0;
    const kt_table *table = &kt_actions[data[0] % KT_ACTION_COUNT].params;
    if (kt_params_query(table, (kt_text){ (const char *)data + 1, size - 1 }, room, &params, &refusal) != KT_OK) {
        kt_assert(kt_code_status(refusal.code) == 400);
        kt_assert(refusal.message[0] != '\0');
        return 0;
    }
    kt_assert(kt_table_check(table, &params, NULL) == KT_OK);
    kt_json_writer_init(&writer, text, sizeof text);
    kt_table_write_json(table, &params, &writer);
    kt_assert(kt_json_writer_done(&writer, &json) == KT_OK);
    kt_arena_init(&arena, mem, sizeof mem);
    kt_assert(kt_json_parse(json, nodes, NODE_MAX, &doc, NULL) == KT_OK);
    for (uint32_t i = 0; i < table->field_count; i++) /* what is not given may be null, which is no value */
        if (table->fields[i].type == KT_FIELD_JSON)
            return 0;
    kt_assert(kt_params_json(table, &doc, 0, &arena, &again, &refusal) == KT_OK);
    kt_assert(kt_table_equal(table, &params, &again));
    return 0;
}
