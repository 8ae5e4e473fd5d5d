#include "schema/actions.h"

#include "base/assert.h"
#include "schema/table_def.h"

#define ENUM_NAME(number, name, text) [number] = text,
#define ENUM_SPEC(type, name_, map)                                                         \
    static const char *const enum_names_##name_[] = { map(ENUM_NAME) };                     \
    const kt_enum_spec kt_enum_##name_ = {                                                  \
        .name = #name_, .values = enum_names_##name_, .count = KT_COUNT(enum_names_##name_) \
    };
KT_ACTION_ENUM_MAP(ENUM_SPEC)

#define ROW_TABLE(name_, text_)                                                                                       \
    struct kt_wire_row_##name_ {                                                                                      \
        KT_ROW_##name_(KT_FIELD_WIRE, )                                                                               \
    };                                                                                                                \
    static const kt_field row_fields_##name_[] = { KT_ROW_##name_(KT_FIELD_DESCRIPTOR, row_##name_){ .number = 0 } }; \
    _Static_assert(sizeof(kt_row_##name_) <= KT_ROW_SIZE_MAX, "rows are copied through a buffer of this size");       \
    const kt_table kt_row_table_##name_ = KT_TABLE_OF(row_##name_, #name_, text_, row_fields_##name_);
KT_ACTION_ROW_MAP(ROW_TABLE)

#define ACTION_ERROR(code_, text_) { .code = KT_##code_, .text = text_ },
#define ACTION_FIELDS(NAME, name, lane, method, alias, scope, cost, time_ms, repeats, text)                          \
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
        .number = 0 } };                                                                                             \
    static const kt_action_error errors_##NAME[] = { KT_ERRORS_##NAME(ACTION_ERROR){ .code = KT_OK } };
KT_ACTION_MAP(ACTION_FIELDS)

#define ACTION_ROW(NAME, name_, lane_, method_, alias_, scope_, cost_, time_ms_, repeats_, text_) \
    [KT_ACTION_##NAME] = { .name = name_,                                                         \
        .lane = lane_,                                                                            \
        .method = method_,                                                                        \
        .alias = alias_,                                                                          \
        .text = text_,                                                                            \
        .scope = KT_SCOPE_##scope_,                                                               \
        .cost = cost_,                                                                            \
        .time_ms = time_ms_,                                                                      \
        .repeats = repeats_,                                                                      \
        .errors = errors_##NAME,                                                                  \
        .params = KT_TABLE_OF(params_##NAME, name_, text_, params_##NAME),                        \
        .response = KT_TABLE_OF(response_##NAME, name_, text_, response_##NAME) },
const kt_action kt_actions[KT_ACTION_COUNT] = { KT_ACTION_MAP(ACTION_ROW) };

const kt_action_error kt_common_errors[] = { KT_COMMON_ERROR_MAP(ACTION_ERROR){ .code = KT_OK } };

const kt_action *kt_action_by_name(kt_text name)
{
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        if (kt_text_equal(name, kt_text_of(kt_actions[i].name)))
            return &kt_actions[i];
    return NULL;
}

size_t kt_action_path(const kt_action *action, char out[KT_ACTION_PATH_MAX])
{
    static const char prefix[] = "/v1/";
    size_t n = sizeof prefix - 1;

    memcpy(out, prefix, n);
    for (const char *s = action->name; *s != '\0'; s++) {
        kt_assert(n < KT_ACTION_PATH_MAX - 1);
        out[n++] = *s == '.' ? '/' : *s;
    }
    out[n] = '\0';
    return n;
}

const kt_action *kt_action_by_path(kt_text path)
{
    char own[KT_ACTION_PATH_MAX];

    for (uint32_t i = 0; i < KT_ACTION_COUNT && path.n > 0; i++) {
        size_t n = kt_action_path(&kt_actions[i], own);

        if (kt_text_equal(path, (kt_text){ own, n }) || kt_text_equal(path, kt_text_of(kt_actions[i].alias)))
            return &kt_actions[i];
    }
    return NULL;
}

/* What a code means to a client. Whatever is not here: the house can not answer now. */
typedef struct code_meaning {
    uint16_t status;
    const char *word;
} code_meaning;

static const code_meaning meanings[KT_CODE_COUNT] = {
    [KT_OK] = { 200, "ok" },
    [KT_ARG] = { 400, "not_allowed" },
    [KT_RANGE] = { 400, "out_of_range" },
    [KT_SYNTAX] = { 400, "malformed" },
    [KT_TYPE] = { 400, "wrong_type" },
    [KT_TWICE] = { 400, "duplicate_field" },
    [KT_LIMIT] = { 400, "too_large" },
    [KT_NOENT] = { 404, "not_found" },
    [KT_EMPTY] = { 404, "not_found" },
    [KT_SEQ] = { 409, "conflict" },
    [KT_GONE] = { 410, "gone" },
    [KT_DENIED] = { 403, "forbidden" },
    [KT_RATE] = { 429, "too_many_requests" },
    [KT_TIMEOUT] = { 503, "timeout" },
    [KT_UNKNOWN] = { 503, "outcome_unknown" },
};

uint16_t kt_code_status(kt_code code)
{
    return code < KT_CODE_COUNT && meanings[code].status != 0 ? meanings[code].status : 503;
}

const char *kt_code_word(kt_code code)
{
    return code < KT_CODE_COUNT && meanings[code].word != NULL ? meanings[code].word : "unavailable";
}
