#include "schema/actions.h"

#include "schema/table_def.h"

#define ACTION_FIELDS(NAME, name, method, path, text)                                                                \
    struct kt_wire_params_##NAME {                                                                                   \
        uint32_t fixed_size;                                                                                         \
        KT_PARAMS_##NAME(KT_FIELD_WIRE, )                                                                            \
    };                                                                                                               \
    static const kt_field params_##NAME[] = { KT_PARAMS_##NAME(KT_FIELD_DESCRIPTOR, params_##NAME){ .number = 0 } }; \
    struct kt_wire_response_##NAME {                                                                                 \
        uint32_t fixed_size;                                                                                         \
        KT_RESPONSE_##NAME(KT_FIELD_WIRE, )                                                                          \
    };                                                                                                               \
    static const kt_field response_##NAME[] = { KT_RESPONSE_##NAME(KT_FIELD_DESCRIPTOR, response_##NAME){            \
        .number = 0 } };
KT_ACTION_MAP(ACTION_FIELDS)

#define ACTION_ROW(NAME, name_, method_, path_, text_)                     \
    [KT_ACTION_##NAME] = { .name = name_,                                  \
        .method = method_,                                                 \
        .path = path_,                                                     \
        .text = text_,                                                     \
        .params = KT_TABLE_OF(params_##NAME, name_, text_, params_##NAME), \
        .response = KT_TABLE_OF(response_##NAME, name_, text_, response_##NAME) },
const kt_action kt_actions[KT_ACTION_COUNT] = { KT_ACTION_MAP(ACTION_ROW) };

const kt_action *kt_action_by_name(kt_text name)
{
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        if (kt_text_equal(name, kt_text_of(kt_actions[i].name)))
            return &kt_actions[i];
    return NULL;
}

const kt_action *kt_action_by_path(kt_text method, kt_text path)
{
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        if (path.n > 0 && kt_text_equal(path, kt_text_of(kt_actions[i].path)) &&
            kt_text_equal(method, kt_text_of(kt_actions[i].method)))
            return &kt_actions[i];
    return NULL;
}
