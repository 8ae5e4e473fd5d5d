#include "schema/events.h"

#include "base/assert.h"
#include "schema/table_def.h"

#define ENUM_NAME(number, name, text) [number] = text,
#define ENUM_SPEC(type, name_, map)                                                         \
    static const char *const enum_names_##name_[] = { map(ENUM_NAME) };                     \
    const kt_enum_spec kt_enum_##name_ = {                                                  \
        .name = #name_, .values = enum_names_##name_, .count = KT_COUNT(enum_names_##name_) \
    };
KT_ENUM_MAP(ENUM_SPEC)

#define ROW_TABLE(name_, text_)                                                                                       \
    struct kt_wire_row_##name_ {                                                                                      \
        KT_ROW_##name_(KT_FIELD_WIRE, )                                                                               \
    };                                                                                                                \
    static const kt_field row_fields_##name_[] = { KT_ROW_##name_(KT_FIELD_DESCRIPTOR, row_##name_){ .number = 0 } }; \
    _Static_assert(sizeof(kt_row_##name_) <= KT_ROW_SIZE_MAX, "rows are copied through a buffer of this size");       \
    const kt_table kt_row_table_##name_ = KT_TABLE_OF(row_##name_, #name_, text_, row_fields_##name_);
KT_ROW_MAP(ROW_TABLE)

#define EVENT_FIELDS(kind, NAME, name_, subject, text)                                                   \
    struct kt_wire_ev_##name_ {                                                                          \
        uint32_t fixed_size;                                                                             \
        KT_FIELDS_##name_(KT_FIELD_WIRE, )                                                               \
    };                                                                                                   \
    static const kt_field event_fields_##name_[] = { KT_FIELDS_##name_(KT_FIELD_DESCRIPTOR, ev_##name_){ \
        .number = 0 } };
KT_EVENT_MAP(EVENT_FIELDS)

#define EVENT_SPEC(kind_, NAME, name_, subject_, text_) \
    { .kind = kind_, .subject = subject_, .table = KT_TABLE_OF(ev_##name_, #name_, text_, event_fields_##name_) },
const kt_event_spec kt_events[] = { KT_EVENT_MAP(EVENT_SPEC) };
const uint32_t kt_event_count = KT_COUNT(kt_events);

#define EVENT_INDEX(kind, NAME, name_, subject, text) INDEX_##name_,
enum { KT_EVENT_MAP(EVENT_INDEX) };

const kt_event_spec *kt_event_by_kind(uint16_t kind)
{
    switch (kind) {
#define EVENT_CASE(kind_, NAME, name_, subject, text) \
    case kind_:                                       \
        return &kt_events[INDEX_##name_];
        KT_EVENT_MAP(EVENT_CASE)
    default:
        return NULL;
    }
}

const kt_event_spec *kt_event_by_name(kt_text name)
{
    for (uint32_t i = 0; i < kt_event_count; i++)
        if (kt_text_equal(name, kt_text_of(kt_events[i].table.name)))
            return &kt_events[i];
    return NULL;
}

void kt_event_init(uint16_t kind, void *out_event)
{
    const kt_event_spec *spec = kt_event_by_kind(kind);

    kt_assert(spec != NULL);
    kt_table_init(&spec->table, out_event);
}

kt_code kt_event_encode(uint16_t kind, const void *event, void *buf, uint32_t size, uint32_t *out_size)
{
    const kt_event_spec *spec = kt_event_by_kind(kind);

    return spec == NULL ? KT_NOENT : kt_table_encode(&spec->table, event, buf, size, out_size);
}

kt_code kt_event_decode(uint16_t kind, const void *payload, uint32_t size, void *out_event)
{
    const kt_event_spec *spec = kt_event_by_kind(kind);

    return spec == NULL ? KT_NOENT : kt_table_decode(&spec->table, payload, size, out_event);
}

/* FNV-1a, 64 bits: the value is stored, so the function must never change. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static uint64_t hash_table(uint64_t hash, const kt_table *table)
{
    hash = hash_bytes(hash, table->name, strlen(table->name) + 1);
    for (uint32_t i = 0; i < table->field_count; i++) {
        const kt_field *field = &table->fields[i];
        uint8_t numbers[3] = { (uint8_t)field->number, (uint8_t)(field->number >> 8), field->type };

        hash = hash_bytes(hash, numbers, sizeof numbers);
        hash = hash_bytes(hash, field->name, strlen(field->name) + 1);
        if (field->values != NULL)
            hash = hash_bytes(hash, field->values->name, strlen(field->values->name) + 1);
        if (field->rows != NULL)
            hash = hash_table(hash, field->rows);
    }
    return hash;
}

uint64_t kt_schema_hash(void)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (uint32_t i = 0; i < kt_event_count; i++) {
        uint8_t kind[2] = { (uint8_t)kt_events[i].kind, (uint8_t)(kt_events[i].kind >> 8) };

        hash = hash_table(hash_bytes(hash, kind, sizeof kind), &kt_events[i].table);
    }
    return hash;
}
