/* schema/table_def.h - for the .c files that turn lists of fields into kt_table: the layout of a record, said by the
 * compiler, and the rows of descriptors. Nobody else includes it.
 */
#ifndef KT_SCHEMA_TABLE_DEF_H
#define KT_SCHEMA_TABLE_DEF_H

#include "schema/table.h"

/* Rows in a payload: `count` from `at` on, each `stride` bytes, of which the writer knew `fixed_size`. */
typedef struct kt_wire_rows {
    uint32_t at;
    uint32_t count;
    uint32_t stride;
    uint32_t fixed_size;
} kt_wire_rows;

#define KT_WIRE_BOOL uint8_t
#define KT_WIRE_U8 uint8_t
#define KT_WIRE_U16 uint16_t
#define KT_WIRE_U32 uint32_t
#define KT_WIRE_U64 uint64_t
#define KT_WIRE_I64 int64_t
#define KT_WIRE_TIME int64_t
#define KT_WIRE_TIME_MS int64_t
#define KT_WIRE_DEC kt_decimal
#define KT_WIRE_SUM kt_sum
#define KT_WIRE_ENUM uint8_t
#define KT_WIRE_TEXT kt_span
#define KT_WIRE_BYTES kt_span
#define KT_WIRE_TEXTS kt_span
#define KT_WIRE_ROWS kt_wire_rows
#define KT_WIRE_JSON kt_span

#define KT_FIELD_WIRE(T, number, type, of, name, unit, min, max, fallback, text) KT_WIRE_##type name;

/* What `of` means for ENUM and ROWS; nothing for the others. */
#define KT_OF_VALUES_BOOL(of) NULL
#define KT_OF_VALUES_U8(of) NULL
#define KT_OF_VALUES_U16(of) NULL
#define KT_OF_VALUES_U32(of) NULL
#define KT_OF_VALUES_U64(of) NULL
#define KT_OF_VALUES_I64(of) NULL
#define KT_OF_VALUES_TIME(of) NULL
#define KT_OF_VALUES_TIME_MS(of) NULL
#define KT_OF_VALUES_DEC(of) NULL
#define KT_OF_VALUES_SUM(of) NULL
#define KT_OF_VALUES_ENUM(of) &kt_enum_##of
#define KT_OF_VALUES_TEXT(of) NULL
#define KT_OF_VALUES_BYTES(of) NULL
#define KT_OF_VALUES_TEXTS(of) NULL
#define KT_OF_VALUES_ROWS(of) NULL
#define KT_OF_VALUES_JSON(of) NULL

#define KT_OF_ROWS_BOOL(of) NULL
#define KT_OF_ROWS_U8(of) NULL
#define KT_OF_ROWS_U16(of) NULL
#define KT_OF_ROWS_U32(of) NULL
#define KT_OF_ROWS_U64(of) NULL
#define KT_OF_ROWS_I64(of) NULL
#define KT_OF_ROWS_TIME(of) NULL
#define KT_OF_ROWS_TIME_MS(of) NULL
#define KT_OF_ROWS_DEC(of) NULL
#define KT_OF_ROWS_SUM(of) NULL
#define KT_OF_ROWS_ENUM(of) NULL
#define KT_OF_ROWS_TEXT(of) NULL
#define KT_OF_ROWS_BYTES(of) NULL
#define KT_OF_ROWS_TEXTS(of) NULL
#define KT_OF_ROWS_ROWS(of) &kt_row_table_##of
#define KT_OF_ROWS_JSON(of) NULL

/* T: name of the C struct without kt_; struct kt_wire_{T} is its layout in the payload. */
#define KT_FIELD_DESCRIPTOR(T, number_, type_, of_, name_, unit_, min_, max_, fallback_, text_) \
    { .name = #name_,                                                                           \
        .unit = unit_,                                                                          \
        .text = text_,                                                                          \
        .values = KT_OF_VALUES_##type_(of_),                                                    \
        .rows = KT_OF_ROWS_##type_(of_),                                                        \
        .min = min_,                                                                            \
        .max = max_,                                                                            \
        .fallback = fallback_,                                                                  \
        .at = offsetof(kt_##T, name_),                                                          \
        .wire_at = offsetof(struct kt_wire_##T, name_),                                         \
        .number = number_,                                                                      \
        .type = KT_FIELD_##type_ },

/* The array ends in an empty row, so that a table without fields is one too. */
#define KT_TABLE_OF(T, name_, text_, fields_)                                                                         \
    {                                                                                                                 \
        .name = name_, .text = text_, .fields = fields_, .field_count = KT_COUNT(fields_) - 1, .size = sizeof(kt_##T) \
    }

#endif
