#include "schema/table.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "schema/table_def.h"

enum { SEEN_MAX = 64 }; /* fields of a table that is read from JSON */

static const uint8_t wire_size[KT_FIELD_TYPE_COUNT] = {
    [KT_FIELD_BOOL] = 1,
    [KT_FIELD_U8] = 1,
    [KT_FIELD_U16] = 2,
    [KT_FIELD_U32] = 4,
    [KT_FIELD_U64] = 8,
    [KT_FIELD_I64] = 8,
    [KT_FIELD_TIME] = 8,
    [KT_FIELD_TIME_MS] = 8,
    [KT_FIELD_DEC] = sizeof(kt_decimal),
    [KT_FIELD_SUM] = sizeof(kt_sum),
    [KT_FIELD_ENUM] = 1,
    [KT_FIELD_TEXT] = sizeof(kt_span),
    [KT_FIELD_BYTES] = sizeof(kt_span),
    [KT_FIELD_TEXTS] = sizeof(kt_span),
    [KT_FIELD_ROWS] = sizeof(kt_wire_rows),
    [KT_FIELD_JSON] = sizeof(kt_span),
};

static const kt_field *field_last(const kt_table *table)
{
    return table->field_count == 0 ? NULL : &table->fields[table->field_count - 1];
}

/* End of the last field: what fixed_size says of our own records. `start` is where fields may begin. */
static uint32_t table_wire_size(const kt_table *table, uint32_t start)
{
    const kt_field *last = field_last(table);

    return last == NULL ? start : last->wire_at + wire_size[last->type];
}

static void field_init(const kt_field *field, void *value)
{
    void *at = (uint8_t *)value + field->at;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        *(bool *)at = field->fallback != 0;
        break;
    case KT_FIELD_U8:
    case KT_FIELD_ENUM:
        *(uint8_t *)at = (uint8_t)field->fallback;
        break;
    case KT_FIELD_U16:
        *(uint16_t *)at = (uint16_t)field->fallback;
        break;
    case KT_FIELD_U32:
        *(uint32_t *)at = (uint32_t)field->fallback;
        break;
    case KT_FIELD_U64:
        *(uint64_t *)at = (uint64_t)field->fallback;
        break;
    case KT_FIELD_I64:
    case KT_FIELD_TIME:
    case KT_FIELD_TIME_MS:
        *(int64_t *)at = field->fallback;
        break;
    case KT_FIELD_DEC:
        *(kt_decimal *)at = (kt_decimal){ .m = field->fallback };
        break;
    case KT_FIELD_SUM:
        *(kt_sum *)at = kt_sum_of(field->fallback, 0);
        break;
    case KT_FIELD_TEXT:
    case KT_FIELD_BYTES:
    case KT_FIELD_JSON:
        *(kt_text *)at = (kt_text){ "", 0 };
        break;
    case KT_FIELD_TEXTS:
        *(kt_texts *)at = (kt_texts){ 0 };
        break;
    case KT_FIELD_ROWS:
        *(kt_rows *)at = (kt_rows){ 0 };
        break;
    case KT_FIELD_TYPE_COUNT:
        kt_assert(field->type < KT_FIELD_TYPE_COUNT);
    }
}

void kt_table_init(const kt_table *table, void *out_value)
{
    memset(out_value, 0, table->size);
    for (uint32_t i = 0; i < table->field_count; i++)
        field_init(&table->fields[i], out_value);
}

/* ---- encode ---- */

typedef struct wire_out {
    uint8_t *buf;
    uint32_t size;
    uint32_t used;
} wire_out;

/* Take `size` bytes, zeroed, behind what is there. */
static kt_code encoder_take(wire_out *encoder, uint64_t size, uint32_t align, uint32_t *out_at)
{
    uint64_t at = KT_ALIGN_UP((uint64_t)encoder->used, align);

    if (at + size > encoder->size)
        return KT_FULL;
    memset(encoder->buf + encoder->used, 0, (size_t)(at + size - encoder->used));
    encoder->used = (uint32_t)(at + size);
    *out_at = (uint32_t)at;
    return KT_OK;
}

static kt_code encode_text(wire_out *encoder, kt_text text, uint32_t at)
{
    kt_span span = { 0 };
    kt_code code;

    if (text.n > KT_TEXT_FIELD_MAX)
        return KT_ARG;
    if (text.n == 0)
        return KT_OK; /* the span is zero already */
    code = encoder_take(encoder, text.n, 1, &span.at);
    if (code != KT_OK)
        return code;
    span.size = (uint32_t)text.n;
    memcpy(encoder->buf + span.at, text.s, text.n);
    memcpy(encoder->buf + at, &span, sizeof span);
    return KT_OK;
}

static kt_code encode_texts(wire_out *encoder, const kt_texts *texts, uint32_t at)
{
    kt_span list = { 0 };
    kt_code code;

    if (texts->count > KT_ROW_COUNT_MAX)
        return KT_ARG;
    if (texts->count == 0)
        return KT_OK;
    code = encoder_take(encoder, (uint64_t)texts->count * sizeof(kt_span), 4, &list.at);
    list.size = texts->count;
    for (uint32_t i = 0; code == KT_OK && i < texts->count; i++)
        code = encode_text(encoder, kt_texts_get(texts, i), list.at + i * (uint32_t)sizeof(kt_span));
    if (code == KT_OK)
        memcpy(encoder->buf + at, &list, sizeof list);
    return code;
}

static kt_code encode_fields(const kt_table *table, const void *value, wire_out *encoder, uint32_t base);

static kt_code encode_rows(const kt_table *row, wire_out *encoder, const kt_rows *rows, uint32_t at)
{
    union {
        max_align_t align;
        uint8_t bytes[KT_ROW_SIZE_MAX];
    } one;
    kt_wire_rows list = { .count = rows->count, .fixed_size = table_wire_size(row, 0) };
    kt_code code;

    if (rows->count > KT_ROW_COUNT_MAX)
        return KT_ARG;
    if (rows->count == 0)
        return KT_OK;
    list.stride = KT_ALIGN_UP(list.fixed_size, 8U);
    code = encoder_take(encoder, (uint64_t)list.count * list.stride, 8, &list.at);
    for (uint32_t i = 0; code == KT_OK && i < rows->count; i++) {
        kt_rows_get(row, rows, i, &one);
        code = encode_fields(row, &one, encoder, list.at + i * list.stride);
    }
    if (code == KT_OK)
        memcpy(encoder->buf + at, &list, sizeof list);
    return code;
}

static kt_code encode_field(const kt_field *field, const void *value, wire_out *encoder, uint32_t base)
{
    const void *from = (const uint8_t *)value + field->at;
    uint8_t *to = encoder->buf + base + field->wire_at;
    kt_decimal decimal;
    kt_sum sum;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        *to = *(const bool *)from ? 1 : 0;
        return KT_OK;
    case KT_FIELD_ENUM:
        if (*(const uint8_t *)from >= field->values->count)
            return KT_ARG;
        *to = *(const uint8_t *)from;
        return KT_OK;
    case KT_FIELD_U8:
    case KT_FIELD_U16:
    case KT_FIELD_U32:
    case KT_FIELD_U64:
    case KT_FIELD_I64:
    case KT_FIELD_TIME:
    case KT_FIELD_TIME_MS:
        memcpy(to, from, wire_size[field->type]);
        return KT_OK;
    case KT_FIELD_DEC:
        decimal = *(const kt_decimal *)from;
        if (!kt_decimal_valid(decimal))
            return KT_ARG;
        memcpy(to, &decimal.m, sizeof decimal.m);
        to[offsetof(kt_decimal, scale)] = decimal.scale;
        return KT_OK;
    case KT_FIELD_SUM:
        sum = *(const kt_sum *)from;
        if (sum.scale > KT_SUM_SCALE_MAX)
            return KT_ARG;
        memcpy(to, &sum, offsetof(kt_sum, scale));
        to[offsetof(kt_sum, scale)] = sum.scale;
        return KT_OK;
    case KT_FIELD_TEXT:
    case KT_FIELD_BYTES:
        return encode_text(encoder, *(const kt_text *)from, base + field->wire_at);
    case KT_FIELD_TEXTS:
        return encode_texts(encoder, from, base + field->wire_at);
    case KT_FIELD_ROWS:
        return encode_rows(field->rows, encoder, from, base + field->wire_at);
    case KT_FIELD_JSON:
    case KT_FIELD_TYPE_COUNT:
        break;
    }
    return KT_ARG;
}

static kt_code encode_fields(const kt_table *table, const void *value, wire_out *encoder, uint32_t base)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < table->field_count; i++)
        code = encode_field(&table->fields[i], value, encoder, base);
    return code;
}

kt_code kt_table_encode(const kt_table *table, const void *value, void *buf, uint32_t size, uint32_t *out_size)
{
    wire_out encoder = { .buf = buf, .size = size };
    uint32_t fixed_size = table_wire_size(table, sizeof(uint32_t));
    uint32_t start;
    uint32_t end;
    kt_code code = encoder_take(&encoder, KT_ALIGN_UP(fixed_size, 8U), 8, &start);

    if (code != KT_OK)
        return code;
    memcpy(encoder.buf, &fixed_size, sizeof fixed_size);
    code = encode_fields(table, value, &encoder, start);
    if (code == KT_OK)
        code = encoder_take(&encoder, 0, 8, &end);
    if (code == KT_OK)
        *out_size = end;
    return code;
}

/* ---- decode ---- */

typedef struct wire_in {
    const uint8_t *payload;
    uint32_t size;
} wire_in;

static bool inside(const wire_in *decoder, uint32_t at, uint64_t size)
{
    return at + size <= decoder->size; /* 32 + 64 bits: can not wrap with the sizes that come here */
}

static kt_code decode_text(const wire_in *decoder, const uint8_t *from, kt_text *out_text)
{
    kt_span span;

    memcpy(&span, from, sizeof span);
    if (span.size > KT_TEXT_FIELD_MAX || !inside(decoder, span.at, span.size))
        return KT_CORRUPT;
    *out_text = span.size == 0 ? KT_TEXT("") : (kt_text){ (const char *)decoder->payload + span.at, span.size };
    return KT_OK;
}

static kt_code decode_texts(const wire_in *decoder, const uint8_t *from, kt_texts *out_texts)
{
    kt_span list;
    kt_text ignored;

    memcpy(&list, from, sizeof list);
    if (list.size > KT_ROW_COUNT_MAX || !inside(decoder, list.at, (uint64_t)list.size * sizeof(kt_span)))
        return KT_CORRUPT;
    for (uint32_t i = 0; i < list.size; i++)
        if (decode_text(decoder, decoder->payload + list.at + i * sizeof(kt_span), &ignored) != KT_OK)
            return KT_CORRUPT;
    *out_texts = list.size == 0
                     ? (kt_texts){ 0 }
                     : (kt_texts){ .at = decoder->payload + list.at, .payload = decoder->payload, .count = list.size };
    return KT_OK;
}

static kt_code decode_fields(
    const kt_table *table, const wire_in *decoder, uint32_t base, uint32_t start, uint32_t fixed_size, void *out_value);

static kt_code decode_rows(const kt_table *row, const wire_in *decoder, const uint8_t *from, kt_rows *out_rows)
{
    union {
        max_align_t align;
        uint8_t bytes[KT_ROW_SIZE_MAX];
    } one;
    kt_wire_rows list;

    memcpy(&list, from, sizeof list);
    if (list.count == 0) {
        *out_rows = (kt_rows){ 0 };
        return KT_OK;
    }
    if (list.count > KT_ROW_COUNT_MAX || list.stride == 0 || list.fixed_size > list.stride ||
        !inside(decoder, list.at, (uint64_t)list.count * list.stride))
        return KT_CORRUPT;
    for (uint32_t i = 0; i < list.count; i++)
        if (decode_fields(row, decoder, list.at + i * list.stride, 0, list.fixed_size, &one) != KT_OK)
            return KT_CORRUPT;
    *out_rows = (kt_rows){ .at = decoder->payload + list.at,
        .payload = decoder->payload,
        .payload_size = decoder->size,
        .count = list.count,
        .stride = list.stride,
        .fixed_size = list.fixed_size };
    return KT_OK;
}

static kt_code decode_field(const kt_field *field, const wire_in *decoder, const uint8_t *from, void *value)
{
    void *to = (uint8_t *)value + field->at;
    kt_decimal decimal = { 0 };
    kt_sum sum = { 0 };

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        if (*from > 1)
            return KT_CORRUPT;
        *(bool *)to = *from == 1;
        return KT_OK;
    case KT_FIELD_ENUM:
        *(uint8_t *)to = *from < field->values->count ? *from : (uint8_t)field->fallback;
        return KT_OK;
    case KT_FIELD_U8:
    case KT_FIELD_U16:
    case KT_FIELD_U32:
    case KT_FIELD_U64:
    case KT_FIELD_I64:
    case KT_FIELD_TIME:
    case KT_FIELD_TIME_MS:
        memcpy(to, from, wire_size[field->type]);
        return KT_OK;
    case KT_FIELD_DEC:
        memcpy(&decimal.m, from, sizeof decimal.m);
        decimal.scale = from[offsetof(kt_decimal, scale)];
        if (!kt_decimal_valid(decimal))
            return KT_CORRUPT;
        *(kt_decimal *)to = decimal;
        return KT_OK;
    case KT_FIELD_SUM:
        memcpy(&sum, from, offsetof(kt_sum, scale));
        sum.scale = from[offsetof(kt_sum, scale)];
        if (sum.scale > KT_SUM_SCALE_MAX)
            return KT_CORRUPT;
        *(kt_sum *)to = sum;
        return KT_OK;
    case KT_FIELD_TEXT:
    case KT_FIELD_BYTES:
        return decode_text(decoder, from, to);
    case KT_FIELD_TEXTS:
        return decode_texts(decoder, from, to);
    case KT_FIELD_ROWS:
        return decode_rows(field->rows, decoder, from, to);
    case KT_FIELD_JSON:
    case KT_FIELD_TYPE_COUNT:
        break;
    }
    return KT_CORRUPT;
}

/* Fields from `base` on, as far as `fixed_size` says that the writer knew them; the others get their default. */
static kt_code decode_fields(
    const kt_table *table, const wire_in *decoder, uint32_t base, uint32_t start, uint32_t fixed_size, void *out_value)
{
    uint32_t known_end = start;
    uint32_t i = 0;

    for (; i < table->field_count; i++) {
        const kt_field *field = &table->fields[i];
        kt_code code;

        if (field->wire_at + wire_size[field->type] > fixed_size)
            break;
        known_end = field->wire_at + wire_size[field->type];
        code = decode_field(field, decoder, decoder->payload + base + field->wire_at, out_value);
        if (code != KT_OK)
            return code;
    }
    if (i < table->field_count && known_end != fixed_size)
        return KT_CORRUPT; /* ends inside a field, or in the padding between two */
    for (; i < table->field_count; i++)
        field_init(&table->fields[i], out_value);
    return KT_OK;
}

kt_code kt_table_decode(const kt_table *table, const void *payload, uint32_t size, void *out_value)
{
    wire_in decoder = { .payload = payload, .size = size };
    uint32_t fixed_size;

    if (size < sizeof fixed_size)
        return KT_CORRUPT;
    memcpy(&fixed_size, payload, sizeof fixed_size);
    if (fixed_size < sizeof fixed_size || fixed_size > size)
        return KT_CORRUPT;
    return decode_fields(table, &decoder, 0, sizeof fixed_size, fixed_size, out_value);
}

kt_text kt_texts_get(const kt_texts *texts, uint32_t index)
{
    kt_span span;

    kt_assert(index < texts->count);
    if (texts->payload == NULL)
        return ((const kt_text *)texts->at)[index];
    memcpy(&span, (const uint8_t *)texts->at + index * sizeof span, sizeof span);
    return span.size == 0 ? KT_TEXT("") : (kt_text){ (const char *)texts->payload + span.at, span.size };
}

void kt_rows_get(const kt_table *row, const kt_rows *rows, uint32_t index, void *out_row)
{
    wire_in decoder = { .payload = rows->payload, .size = rows->payload_size };
    kt_code code = KT_OK;

    kt_assert(index < rows->count);
    kt_assert(row->size <= KT_ROW_SIZE_MAX);
    if (rows->payload == NULL) {
        memcpy(out_row, (const uint8_t *)rows->at + (size_t)index * row->size, row->size);
        return;
    }
    code = decode_fields(row, &decoder, (uint32_t)((const uint8_t *)rows->at - rows->payload) + index * rows->stride, 0,
        rows->fixed_size, out_row);
    kt_assert(code == KT_OK); /* was checked when the list was decoded */
}

/* ---- compare ---- */

static bool sum_equal(kt_sum a, kt_sum b)
{
    char text[2][KT_I128_TEXT_MAX];

    if (a.scale == b.scale)
        return a.lo == b.lo && a.hi == b.hi;
    kt_i128_format_trimmed(text[0], sizeof text[0], kt_sum_value(a), a.scale);
    kt_i128_format_trimmed(text[1], sizeof text[1], kt_sum_value(b), b.scale);
    return strcmp(text[0], text[1]) == 0;
}

static bool texts_equal(const kt_texts *a, const kt_texts *b)
{
    bool equal = a->count == b->count;

    for (uint32_t i = 0; equal && i < a->count; i++)
        equal = kt_text_equal(kt_texts_get(a, i), kt_texts_get(b, i));
    return equal;
}

static bool rows_equal(const kt_table *row, const kt_rows *a, const kt_rows *b)
{
    union {
        max_align_t align;
        uint8_t bytes[KT_ROW_SIZE_MAX];
    } one[2];
    bool equal = a->count == b->count;

    for (uint32_t i = 0; equal && i < a->count; i++) {
        kt_rows_get(row, a, i, &one[0]);
        kt_rows_get(row, b, i, &one[1]);
        equal = kt_table_equal(row, &one[0], &one[1]);
    }
    return equal;
}

static bool field_equal(const kt_field *field, const void *a, const void *b)
{
    const void *left = (const uint8_t *)a + field->at;
    const void *right = (const uint8_t *)b + field->at;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_DEC:
        return kt_decimal_compare(*(const kt_decimal *)left, *(const kt_decimal *)right) == 0;
    case KT_FIELD_SUM:
        return sum_equal(*(const kt_sum *)left, *(const kt_sum *)right);
    case KT_FIELD_TEXT:
    case KT_FIELD_BYTES:
    case KT_FIELD_JSON:
        return kt_text_equal(*(const kt_text *)left, *(const kt_text *)right);
    case KT_FIELD_TEXTS:
        return texts_equal(left, right);
    case KT_FIELD_ROWS:
        return rows_equal(field->rows, left, right);
    default:
        return memcmp(left, right, wire_size[field->type]) == 0;
    }
}

bool kt_table_equal(const kt_table *table, const void *a, const void *b)
{
    bool equal = true;

    for (uint32_t i = 0; equal && i < table->field_count; i++)
        equal = field_equal(&table->fields[i], a, b);
    return equal;
}

/* ---- what is allowed ---- */

static void allowed_whole(kt_builder *out, const kt_field *field)
{
    static const uint64_t type_max[KT_FIELD_TYPE_COUNT] = {
        [KT_FIELD_U8] = UINT8_MAX,
        [KT_FIELD_U16] = UINT16_MAX,
        [KT_FIELD_U32] = UINT32_MAX,
        [KT_FIELD_U64] = UINT64_MAX,
        [KT_FIELD_I64] = INT64_MAX,
    };

    kt_builder_str(out, "a whole number");
    if (field->max < type_max[field->type])
        kt_builder_format(out, " from %lld to %llu", (long long)field->min, (unsigned long long)field->max);
    else if (field->min != INT64_MIN)
        kt_builder_format(out, " of at least %lld", (long long)field->min);
}

static void allowed_signed(kt_builder *out, const kt_field *field)
{
    kt_builder_str(out, "a decimal");
    if (field->min == 1)
        kt_builder_str(out, " greater than 0");
    else if (field->min == 0)
        kt_builder_str(out, " of at least 0");
}

static void allowed_length(kt_builder *out, const kt_field *field, const char *what)
{
    if (field->min > 0)
        kt_builder_format(out, "%s of %lld to %llu bytes", what, (long long)field->min, (unsigned long long)field->max);
    else
        kt_builder_format(out, "%s of at most %llu bytes", what, (unsigned long long)field->max);
}

static void allowed_enum(kt_builder *out, const kt_field *field)
{
    for (uint32_t i = 0; i < field->values->count; i++)
        kt_builder_format(out, "%s%s", i == 0 ? "one of: " : ", ", field->values->values[i]);
}

static void field_allowed(kt_builder *out, const kt_field *field)
{
    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        kt_builder_str(out, "true or false");
        break;
    case KT_FIELD_U8:
    case KT_FIELD_U16:
    case KT_FIELD_U32:
    case KT_FIELD_U64:
    case KT_FIELD_I64:
        allowed_whole(out, field);
        break;
    case KT_FIELD_TIME:
        kt_builder_str(out, "a time such as 2024-08-08T23:54:15.342Z");
        break;
    case KT_FIELD_TIME_MS:
        kt_builder_str(out, "milliseconds since 1970 such as 1723161255342");
        break;
    case KT_FIELD_DEC:
    case KT_FIELD_SUM:
        allowed_signed(out, field);
        break;
    case KT_FIELD_ENUM:
        allowed_enum(out, field);
        break;
    case KT_FIELD_TEXT:
        allowed_length(out, field, "text");
        break;
    case KT_FIELD_BYTES:
        allowed_length(out, field, "pairs of hexadecimal digits");
        break;
    case KT_FIELD_TEXTS:
        kt_builder_format(out, "a list of at most %llu texts", (unsigned long long)field->max);
        break;
    case KT_FIELD_ROWS:
        kt_builder_format(out, "a list of at most %llu rows", (unsigned long long)field->max);
        break;
    case KT_FIELD_JSON:
        allowed_length(out, field, "JSON");
        break;
    case KT_FIELD_TYPE_COUNT:
        break;
    }
}

size_t kt_field_allowed(const kt_field *field, char *buf, size_t size)
{
    kt_builder out;

    kt_builder_init(&out, buf, size);
    field_allowed(&out, field);
    return out.n;
}

static kt_code refuse(kt_err *err, kt_code code, const kt_table *table, const kt_field *field, const char *what, ...)
    __attribute__((cold, format(printf, 5, 6)));

/* "tick.price: -5 is not allowed; allowed is a decimal greater than 0" */
static kt_code refuse(kt_err *err, kt_code code, const kt_table *table, const kt_field *field, const char *what, ...)
{
    char allowed[160];
    char said[80];
    va_list args;

    va_start(args, what);
    vsnprintf(said, sizeof said, what, args);
    va_end(args);
    kt_field_allowed(field, allowed, sizeof allowed);
    return kt_fail(err, code, "%s.%s: %s; allowed is %s", table->name, field->name, said, allowed);
}

/* ---- check ---- */

static kt_code check_i64(const kt_table *table, const kt_field *field, int64_t value, kt_err *err)
{
    int64_t shown = field->type == KT_FIELD_TIME_MS ? value / KT_NS_PER_MS : value;

    if (value < field->min || (value > 0 && (uint64_t)value > field->max))
        return refuse(err, KT_RANGE, table, field, "%lld is not allowed", (long long)shown);
    return KT_OK;
}

static kt_code check_u64(const kt_table *table, const kt_field *field, uint64_t value, kt_err *err)
{
    if ((field->min > 0 && value < (uint64_t)field->min) || value > field->max)
        return refuse(err, KT_RANGE, table, field, "%llu is not allowed", (unsigned long long)value);
    return KT_OK;
}

static kt_code check_decimal(const kt_table *table, const kt_field *field, kt_decimal value, kt_err *err)
{
    char text[KT_DECIMAL_TEXT_MAX];

    if (!kt_decimal_valid(value))
        return refuse(err, KT_RANGE, table, field, "scale %u or its mantissa is not allowed", value.scale);
    if (value.m >= field->min)
        return KT_OK;
    kt_decimal_format_trimmed(text, sizeof text, value);
    return refuse(err, KT_RANGE, table, field, "%s is not allowed", text);
}

static kt_code check_sum(const kt_table *table, const kt_field *field, kt_sum value, kt_err *err)
{
    char text[KT_I128_TEXT_MAX];

    if (value.scale > KT_SUM_SCALE_MAX)
        return refuse(err, KT_RANGE, table, field, "scale %u is not allowed", value.scale);
    if (field->min == INT64_MIN || kt_sum_value(value) >= field->min)
        return KT_OK;
    kt_i128_format_trimmed(text, sizeof text, kt_sum_value(value), value.scale);
    return refuse(err, KT_RANGE, table, field, "%s is not allowed", text);
}

static kt_code check_length(const kt_table *table, const kt_field *field, size_t length, kt_err *err)
{
    if ((field->min > 0 && length < (uint64_t)field->min) || length > field->max)
        return refuse(err, KT_RANGE, table, field, "a length of %zu is not allowed", length);
    return KT_OK;
}

static kt_code check_rows(const kt_table *table, const kt_field *field, const kt_rows *rows, kt_err *err)
{
    union {
        max_align_t align;
        uint8_t bytes[KT_ROW_SIZE_MAX];
    } one;
    kt_code code = check_length(table, field, rows->count, err);

    for (uint32_t i = 0; code == KT_OK && i < rows->count; i++) {
        kt_rows_get(field->rows, rows, i, &one);
        code = kt_table_check(field->rows, &one, err);
        if (code != KT_OK)
            return kt_fail_within(err, code, "%s.%s[%u]", table->name, field->name, i);
    }
    return code;
}

static kt_code check_field(const kt_table *table, const kt_field *field, const void *value, kt_err *err)
{
    const void *at = (const uint8_t *)value + field->at;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        return KT_OK;
    case KT_FIELD_U8:
    case KT_FIELD_ENUM:
        return check_u64(table, field, *(const uint8_t *)at, err);
    case KT_FIELD_U16:
        return check_u64(table, field, *(const uint16_t *)at, err);
    case KT_FIELD_U32:
        return check_u64(table, field, *(const uint32_t *)at, err);
    case KT_FIELD_U64:
        return check_u64(table, field, *(const uint64_t *)at, err);
    case KT_FIELD_I64:
    case KT_FIELD_TIME:
    case KT_FIELD_TIME_MS:
        return check_i64(table, field, *(const int64_t *)at, err);
    case KT_FIELD_DEC:
        return check_decimal(table, field, *(const kt_decimal *)at, err);
    case KT_FIELD_SUM:
        return check_sum(table, field, *(const kt_sum *)at, err);
    case KT_FIELD_TEXT:
    case KT_FIELD_BYTES:
    case KT_FIELD_JSON:
        return check_length(table, field, ((const kt_text *)at)->n, err);
    case KT_FIELD_TEXTS:
        return check_length(table, field, ((const kt_texts *)at)->count, err);
    case KT_FIELD_ROWS:
        return check_rows(table, field, at, err);
    case KT_FIELD_TYPE_COUNT:
        break;
    }
    return KT_ARG;
}

kt_code kt_table_check(const kt_table *table, const void *value, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < table->field_count; i++)
        code = check_field(table, &table->fields[i], value, err);
    return code;
}

/* ---- JSON out ---- */

static void put_hex(kt_json_writer *writer, kt_text bytes)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * KT_TEXT_FIELD_MAX];
    size_t n = bytes.n < KT_TEXT_FIELD_MAX ? bytes.n : KT_TEXT_FIELD_MAX;

    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[(uint8_t)bytes.s[i] >> 4];
        text[2 * i + 1] = digits[(uint8_t)bytes.s[i] & 15];
    }
    kt_json_put_text(writer, (kt_text){ text, 2 * n });
}

static void put_sum(kt_json_writer *writer, kt_sum sum)
{
    char text[KT_I128_TEXT_MAX];
    size_t n = kt_i128_format_trimmed(text, sizeof text, kt_sum_value(sum), sum.scale);

    kt_json_put_text(writer, (kt_text){ text, n });
}

static void put_time_ms(kt_json_writer *writer, int64_t time_ns)
{
    char text[20];
    size_t n = kt_i64_format(text, kt_time_to_ms(time_ns));

    kt_json_put_text(writer, (kt_text){ text, n });
}

static void put_texts(kt_json_writer *writer, const kt_texts *texts)
{
    kt_json_open_array(writer);
    for (uint32_t i = 0; i < texts->count; i++)
        kt_json_put_text(writer, kt_texts_get(texts, i));
    kt_json_close_array(writer);
}

static void put_rows(kt_json_writer *writer, const kt_table *row, const kt_rows *rows)
{
    union {
        max_align_t align;
        uint8_t bytes[KT_ROW_SIZE_MAX];
    } one;

    kt_json_open_array(writer);
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_rows_get(row, rows, i, &one);
        kt_table_write_json(row, &one, writer);
    }
    kt_json_close_array(writer);
}

static void put_field(const kt_field *field, const void *value, kt_json_writer *writer)
{
    const void *at = (const uint8_t *)value + field->at;

    kt_json_name(writer, field->name);
    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        kt_json_put_bool(writer, *(const bool *)at);
        break;
    case KT_FIELD_U8:
        kt_json_put_u64(writer, *(const uint8_t *)at);
        break;
    case KT_FIELD_U16:
        kt_json_put_u64(writer, *(const uint16_t *)at);
        break;
    case KT_FIELD_U32:
        kt_json_put_u64(writer, *(const uint32_t *)at);
        break;
    case KT_FIELD_U64:
        kt_json_put_u64(writer, *(const uint64_t *)at);
        break;
    case KT_FIELD_I64:
        kt_json_put_i64(writer, *(const int64_t *)at);
        break;
    case KT_FIELD_TIME:
        kt_json_put_time(writer, *(const int64_t *)at);
        break;
    case KT_FIELD_TIME_MS:
        put_time_ms(writer, *(const int64_t *)at);
        break;
    case KT_FIELD_DEC:
        kt_json_put_decimal(writer, kt_decimal_canon(*(const kt_decimal *)at));
        break;
    case KT_FIELD_SUM:
        put_sum(writer, *(const kt_sum *)at);
        break;
    case KT_FIELD_ENUM:
        kt_assert(*(const uint8_t *)at < field->values->count);
        kt_json_put_text(writer, kt_text_of(field->values->values[*(const uint8_t *)at]));
        break;
    case KT_FIELD_TEXT:
        kt_json_put_text(writer, *(const kt_text *)at);
        break;
    case KT_FIELD_BYTES:
        put_hex(writer, *(const kt_text *)at);
        break;
    case KT_FIELD_TEXTS:
        put_texts(writer, at);
        break;
    case KT_FIELD_ROWS:
        put_rows(writer, field->rows, at);
        break;
    case KT_FIELD_JSON:
        if (((const kt_text *)at)->n == 0)
            kt_json_put_null(writer);
        else
            kt_json_put_raw(writer, *(const kt_text *)at);
        break;
    case KT_FIELD_TYPE_COUNT:
        kt_assert(field->type < KT_FIELD_TYPE_COUNT);
    }
}

void kt_table_write_json(const kt_table *table, const void *value, kt_json_writer *writer)
{
    kt_json_open_object(writer);
    for (uint32_t i = 0; i < table->field_count; i++)
        put_field(&table->fields[i], value, writer);
    kt_json_close_object(writer);
}

/* ---- text and JSON in ---- */

static void store_unsigned(const kt_field *field, uint64_t number, void *at)
{
    switch ((kt_field_type)field->type) {
    case KT_FIELD_U8:
        *(uint8_t *)at = (uint8_t)number;
        break;
    case KT_FIELD_U16:
        *(uint16_t *)at = (uint16_t)number;
        break;
    case KT_FIELD_U32:
        *(uint32_t *)at = (uint32_t)number;
        break;
    default:
        *(uint64_t *)at = number;
    }
}

/* Does a number fit the C type? The documented bounds are kt_table_check()'s. */
static bool unsigned_fits(const kt_field *field, uint64_t number)
{
    uint32_t bits = 8U * wire_size[field->type];

    return bits == 64 || number >> bits == 0;
}

static kt_code parse_time_ms(kt_text text, int64_t *out_time_ns)
{
    int64_t time_ms;
    kt_code code = kt_text_i64(text, &time_ms);

    return code != KT_OK ? code : kt_time_from_ms(time_ms, out_time_ns);
}

static kt_code parse_sum(kt_text text, kt_sum *out_sum)
{
    kt_i128 m;
    uint32_t scale;
    kt_code code = kt_i128_parse(text, &m, &scale);

    if (code == KT_OK)
        *out_sum = kt_sum_of(m, (uint8_t)scale);
    return code;
}

static kt_code parse_enum(const kt_enum_spec *values, kt_text text, uint8_t *out_number)
{
    for (uint8_t i = 0; i < values->count; i++) {
        if (kt_text_equal(text, kt_text_of(values->values[i]))) {
            *out_number = i;
            return KT_OK;
        }
    }
    return KT_SYNTAX;
}

static kt_code parse_bool(kt_text text, bool *out_value)
{
    bool yes = kt_text_equal(text, KT_TEXT("true"));

    if (!yes && !kt_text_equal(text, KT_TEXT("false")))
        return KT_SYNTAX;
    *out_value = yes;
    return KT_OK;
}

/* One value from its text. KT_TYPE: this type has no form as text. */
static kt_code parse_field(const kt_field *field, kt_text text, void *value)
{
    void *at = (uint8_t *)value + field->at;
    uint64_t number;
    kt_code code;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        return parse_bool(text, at);
    case KT_FIELD_U8:
    case KT_FIELD_U16:
    case KT_FIELD_U32:
    case KT_FIELD_U64:
        code = kt_text_u64(text, &number);
        if (code == KT_OK && !unsigned_fits(field, number))
            code = KT_RANGE;
        if (code == KT_OK)
            store_unsigned(field, number, at);
        return code;
    case KT_FIELD_I64:
        return kt_text_i64(text, at);
    case KT_FIELD_TIME:
        return kt_time_parse_iso(text, at);
    case KT_FIELD_TIME_MS:
        return parse_time_ms(text, at);
    case KT_FIELD_DEC:
        return kt_decimal_parse(text, at);
    case KT_FIELD_SUM:
        return parse_sum(text, at);
    case KT_FIELD_ENUM:
        return parse_enum(field->values, text, at);
    case KT_FIELD_TEXT:
        *(kt_text *)at = text;
        return KT_OK;
    default:
        return KT_TYPE;
    }
}

const kt_field *kt_table_field(const kt_table *table, kt_text name)
{
    for (uint32_t i = 0; i < table->field_count; i++)
        if (kt_text_equal(name, kt_text_of(table->fields[i].name)))
            return &table->fields[i];
    return NULL;
}

static kt_code no_such_field(const kt_table *table, kt_text name, kt_err *err)
{
    char names[160];
    kt_builder out;

    kt_builder_init(&out, names, sizeof names);
    for (uint32_t i = 0; i < table->field_count; i++)
        kt_builder_format(&out, "%s%s", i == 0 ? "" : ", ", table->fields[i].name);
    return kt_fail(err, KT_NOENT, "%s has no '%.*s'; it has: %s", table->name, (int)(name.n > 40 ? 40 : name.n),
        name.s != NULL ? name.s : "", table->field_count == 0 ? "nothing" : names);
}

kt_code kt_table_set(const kt_table *table, void *value, kt_text name, kt_text text, kt_err *err)
{
    const kt_field *field = kt_table_field(table, name);
    kt_code code;

    if (field == NULL)
        return no_such_field(table, name, err);
    code = parse_field(field, text, value);
    if (code == KT_TYPE)
        return refuse(err, code, table, field, "can not be given as text");
    if (code != KT_OK)
        return refuse(err, code, table, field, "'%.*s' is not allowed", (int)(text.n > 40 ? 40 : text.n),
            text.s != NULL ? text.s : "");
    return check_field(table, field, value, err);
}

bool kt_table_required(const kt_table *table, const kt_field *field)
{
    union {
        max_align_t align;
        uint8_t bytes[KT_VALUE_SIZE_MAX];
    } value;

    kt_assert(table->size <= KT_VALUE_SIZE_MAX);
    kt_table_init(table, &value);
    return check_field(table, field, &value, NULL) != KT_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static kt_code read_hex(kt_text text, kt_arena *arena, kt_text *out_bytes)
{
    uint8_t *bytes;

    if (text.n % 2 != 0)
        return KT_SYNTAX;
    bytes = kt_arena_take(arena, text.n / 2, 1);
    if (bytes == NULL)
        return KT_FULL;
    for (size_t i = 0; i < text.n; i += 2) {
        int high = hex_digit(text.s[i]);
        int low = hex_digit(text.s[i + 1]);

        if (high < 0 || low < 0)
            return KT_SYNTAX;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out_bytes = (kt_text){ (const char *)bytes, text.n / 2 };
    return KT_OK;
}

static kt_code read_texts(const kt_json_doc *doc, uint32_t node, kt_arena *arena, kt_texts *out_texts)
{
    uint32_t count = kt_json_count(doc, node);
    uint32_t index = 0;
    kt_code code = KT_OK;
    kt_text *list;

    if (kt_json_kind_of(doc, node) != KT_JSON_ARRAY)
        return KT_TYPE;
    if (count > KT_ROW_COUNT_MAX)
        return KT_RANGE;
    list = kt_arena_take_zero(arena, count, sizeof *list, _Alignof(kt_text));
    if (list == NULL)
        return KT_FULL;
    kt_json_each (doc, node, item) {
        if (code == KT_OK)
            code = kt_json_text(doc, item, arena, &list[index++]);
    }
    if (code == KT_OK)
        *out_texts = KT_TEXTS_OF(list, count);
    return code;
}

static kt_code read_rows(
    const kt_table *row, const kt_json_doc *doc, uint32_t node, kt_arena *arena, kt_rows *out_rows, kt_err *err)
{
    uint32_t count = kt_json_count(doc, node);
    uint32_t index = 0;
    kt_code code = KT_OK;
    uint8_t *list;

    if (kt_json_kind_of(doc, node) != KT_JSON_ARRAY)
        return KT_TYPE;
    if (count > KT_ROW_COUNT_MAX)
        return KT_RANGE;
    list = kt_arena_take_zero(arena, count, row->size, _Alignof(max_align_t));
    if (list == NULL)
        return KT_FULL;
    kt_json_each (doc, node, item) {
        if (code == KT_OK)
            code = kt_table_read_json(row, doc, item, arena, list + (size_t)row->size * index++, err);
    }
    if (code == KT_OK)
        *out_rows = KT_ROWS_OF(list, count);
    return code;
}

static kt_code read_time_ms(const kt_json_doc *doc, uint32_t node, int64_t *out_time_ns)
{
    int64_t time_ms;
    kt_code code = kt_json_i64(doc, node, &time_ms);

    return code != KT_OK ? code : kt_time_from_ms(time_ms, out_time_ns);
}

/* A value as it stands: of a string with its quotes. */
static kt_text json_span(const kt_json_doc *doc, uint32_t node)
{
    kt_text raw = kt_json_raw(doc, node);
    bool quoted = kt_json_kind_of(doc, node) == KT_JSON_STRING;

    return quoted ? (kt_text){ raw.s - 1, raw.n + 2 } : raw;
}

/* Decimals and ms are strings in our JSON; numbers are taken too, since people write them by hand. */
static kt_code read_field(const kt_field *field, const kt_json_doc *doc, uint32_t node, kt_arena *arena, void *value)
{
    void *at = (uint8_t *)value + field->at;
    kt_text text = { 0 };
    uint64_t number;
    kt_code code;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        return kt_json_bool(doc, node, at);
    case KT_FIELD_U8:
    case KT_FIELD_U16:
    case KT_FIELD_U32:
    case KT_FIELD_U64:
        code = kt_json_u64(doc, node, &number);
        if (code == KT_OK && !unsigned_fits(field, number))
            code = KT_RANGE;
        if (code == KT_OK)
            store_unsigned(field, number, at);
        return code;
    case KT_FIELD_I64:
        return kt_json_i64(doc, node, at);
    case KT_FIELD_DEC:
        if (kt_json_kind_of(doc, node) == KT_JSON_NUMBER)
            return kt_json_decimal(doc, node, at);
        break;
    case KT_FIELD_TIME_MS:
        if (kt_json_kind_of(doc, node) == KT_JSON_NUMBER)
            return read_time_ms(doc, node, at);
        break;
    case KT_FIELD_TEXTS:
        return read_texts(doc, node, arena, at);
    case KT_FIELD_JSON:
        *(kt_text *)at = json_span(doc, node);
        return KT_OK;
    default:
        break;
    }
    code = kt_json_text(doc, node, arena, &text);
    if (code != KT_OK)
        return code;
    return field->type == KT_FIELD_BYTES ? read_hex(text, arena, at) : parse_field(field, text, value);
}

static kt_code read_member(const kt_table *table, const kt_field *field, const kt_json_doc *doc, uint32_t node,
    kt_arena *arena, void *value, kt_err *err)
{
    kt_text raw = kt_json_raw(doc, node);
    kt_code code;

    if (field->type == KT_FIELD_ROWS) {
        kt_err inner = { 0 };
        code = read_rows(field->rows, doc, node, arena, (kt_rows *)((uint8_t *)value + field->at), &inner);
        if (inner.code != KT_OK) {
            if (err != NULL)
                *err = inner;
            return kt_fail_within(err, code, "%s.%s", table->name, field->name);
        }
    } else {
        code = read_field(field, doc, node, arena, value);
    }
    if (code == KT_OK)
        return KT_OK;
    if (code == KT_FULL)
        return kt_fail(err, code, "%s.%s: does not fit the memory of one message", table->name, field->name);
    if (code == KT_TYPE)
        return refuse(err, code, table, field, "is %s", kt_json_kind_text(kt_json_kind_of(doc, node)));
    return refuse(err, code, table, field, "'%.*s' is not allowed", (int)(raw.n > 40 ? 40 : raw.n), raw.s);
}

kt_code kt_table_set_json(const kt_table *table, void *value, const kt_field *field, const kt_json_doc *doc,
    uint32_t node, kt_arena *arena, kt_err *err)
{
    kt_code code = read_member(table, field, doc, node, arena, value, err);

    return code != KT_OK ? code : check_field(table, field, value, err);
}

kt_code kt_table_read_json(
    const kt_table *table, const kt_json_doc *doc, uint32_t object, kt_arena *arena, void *out_value, kt_err *err)
{
    uint64_t seen = 0;
    uint32_t guess = 0;

    kt_assert(table->field_count <= SEEN_MAX);
    if (kt_json_kind_of(doc, object) != KT_JSON_OBJECT)
        return kt_fail(err, KT_TYPE, "%s: is %s; allowed is an object", table->name,
            kt_json_kind_text(kt_json_kind_of(doc, object)));
    kt_table_init(table, out_value);
    kt_json_each (doc, object, key) {
        uint32_t index = guess;
        kt_code code;

        /* our own writer keeps the order of the table, so the first look usually finds it */
        for (uint32_t tried = 0; tried < table->field_count; tried++, index = (index + 1) % table->field_count)
            if (kt_json_text_is(doc, key, kt_text_of(table->fields[index].name)))
                goto found;
        return no_such_field(table, kt_json_raw(doc, key), err);
    found:
        guess = (index + 1) % table->field_count;
        if (seen & UINT64_C(1) << index)
            return refuse(err, KT_TWICE, table, &table->fields[index], "is given twice");
        seen |= UINT64_C(1) << index;
        code = read_member(table, &table->fields[index], doc, key + 1, arena, out_value, err);
        if (code != KT_OK)
            return code;
    }
    return KT_OK;
}

/* ---- help ---- */

size_t kt_table_help(const kt_table *table, char *buf, size_t size)
{
    size_t length = 0;

    if (size > 0)
        buf[0] = '\0';
    for (uint32_t i = 0; i < table->field_count; i++) {
        const kt_field *field = &table->fields[i];
        char allowed[160];
        int n;

        kt_field_allowed(field, allowed, sizeof allowed);
        n = snprintf(length < size ? buf + length : NULL, length < size ? size - length : 0, "  %-16s %s (%s%s%s)\n",
            field->name, field->text, allowed, field->unit[0] == '\0' ? "" : "; ", field->unit);
        length += n > 0 ? (size_t)n : 0;
    }
    return length;
}
