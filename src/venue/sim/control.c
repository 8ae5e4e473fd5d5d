#include "venue/sim/control.h"

#include "base/arena.h"
#include "schema/actions.h"

enum { NODE_MAX = 512, TEXT_SIZE = 4096 };

/* An object of values by name. */
static kt_code read_values(kt_text object, kt_sim_faults *values, kt_err *err)
{
    kt_json_node nodes[NODE_MAX];
    kt_json_doc doc;
    kt_code code = kt_json_parse(object, nodes, NODE_MAX, &doc, err);

    if (code == KT_OK && kt_json_kind_of(&doc, 0) != KT_JSON_OBJECT)
        return kt_fail(err, KT_TYPE, "faults: is %s; allowed is an object such as {\"drop\":0.05}",
            kt_json_kind_text(kt_json_kind_of(&doc, 0)));
    if (code != KT_OK)
        return code;
    kt_json_each (&doc, 0, key) {
        kt_json_kind kind = kt_json_kind_of(&doc, key + 1);

        if (kind != KT_JSON_NUMBER && kind != KT_JSON_STRING)
            return kt_fail(err, KT_TYPE, "faults: %.*s is %s; allowed is a number", KT_TEXT_ARG(kt_json_raw(&doc, key)),
                kt_json_kind_text(kind));
        code = kt_sim_faults_set(values, kt_json_raw(&doc, key), kt_json_raw(&doc, key + 1), err);
        if (code != KT_OK)
            return code;
    }
    return kt_sim_faults_check(values, err);
}

kt_code kt_sim_control_read(kt_text body, kt_sim_faults *values, kt_err *err)
{
    const kt_table *table = &kt_actions[KT_ACTION_sim_faults].params;
    kt_sim_faults wanted = *values;
    kt_params_sim_faults params;
    kt_json_node nodes[NODE_MAX];
    uint8_t mem[TEXT_SIZE];
    kt_json_doc doc;
    kt_arena arena;
    kt_code code = kt_json_parse(body, nodes, NODE_MAX, &doc, err);

    kt_arena_init(&arena, mem, sizeof mem);
    if (code == KT_OK)
        code = kt_table_read_json(table, &doc, 0, &arena, &params, err);
    if (code == KT_OK)
        code = kt_table_check(table, &params, err);
    if (code == KT_OK && params.faults.n > 0)
        code = read_values(params.faults, &wanted, err);
    if (code == KT_OK)
        *values = wanted;
    return code == KT_FULL ? KT_LIMIT : code == KT_NOENT ? KT_ARG : code;
}

void kt_sim_control_write(const kt_sim_faults *faults, kt_json_writer *writer)
{
    kt_row_sim_fault rows[KT_SIM_FAULT_COUNT];
    kt_response_sim_faults response = { 0 };
    uint32_t count = 0;

    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++) {
        const kt_sim_fault_spec *spec = &kt_sim_fault_specs[fault];

        if (spec->place == KT_SIM_PLACE_RESULT)
            continue;
        rows[count++] = (kt_row_sim_fault){ .fault = kt_text_of(spec->name),
            .value = faults->values[fault],
            .unit = kt_text_of(kt_sim_unit_name(spec->unit)),
            .place = kt_text_of(kt_sim_place_name(spec->place)),
            .delivered = faults->delivered[fault],
            .text = kt_text_of(spec->text) };
    }
    response.faults = KT_ROWS_OF(rows, count);
    kt_table_write_json(&kt_actions[KT_ACTION_sim_faults].response, &response, writer);
}
