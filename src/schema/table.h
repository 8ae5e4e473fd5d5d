/* schema/table.h - tables of typed fields: what events, action parameters and answers are described by.
 *
 * A field is said once, as one line F(T, number, TYPE, of, name, unit, min, max, fallback, text) of an X-macro (T is
 * passed through: the table's own name). From that line come the member of the C struct, its place in the record, its
 * name and form in JSON, its check, its help and its default.
 *
 * TYPE    in the struct   in the record                                in JSON
 * BOOL    bool            1 byte, 0 or 1                               true, false
 * U8..U64 uintN_t         N / 8 bytes                                  number
 * I64     int64_t         8 bytes                                      number
 * TIME    int64_t         8 bytes, ns UTC                              "2024-08-08T23:54:15.342Z"
 * TIME_MS int64_t         8 bytes, ns UTC                              "1723161255342": ms as text, as the original
 * DEC     kt_decimal      16 bytes: mantissa, scale                    "27000.1", trailing zeros dropped
 * SUM     kt_sum          24 bytes: 128-bit mantissa, scale            "13500.05", exact, trailing zeros dropped
 * ENUM    uint8_t         1 byte; a number not known reads as 0        its name
 * TEXT    kt_text         8 bytes: span of UTF-8 text                  string
 * BYTES   kt_text         8 bytes: span of any bytes                   string of hexadecimal digits
 * TEXTS   kt_texts        8 bytes: span of spans                       array of strings
 * ROWS    kt_rows         16 bytes: where, count, stride, fixed size   array of objects
 * JSON    kt_text         never: of parameters and answers only        any value, well-formed; empty is null
 *
 * Record    uint32_t fixed_size (the bytes up to the end of the last field that the writer knew), then the fields in
 *           order, each naturally aligned, little endian, padding zero; variable data behind, its places counted from
 *           the start of the payload.
 * Evolution fields are only appended, their numbers never reused. A shorter record is filled with the missing fields'
 *           `fallback`; of a longer one the known part is read.
 * Bounds    min and max are of the value; of the mantissa for DEC; of the sign only for SUM (min 0: not negative); of
 *           the length in bytes for TEXT and BYTES; of the count for TEXTS and ROWS. kt_table_check() applies them.
 *           Decoding does not, since bounds may widen: it checks structure.
 */
#ifndef KT_SCHEMA_TABLE_H
#define KT_SCHEMA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/decimal.h"
#include "base/error.h"
#include "base/json.h"
#include "base/types.h"

typedef enum kt_field_type {
    KT_FIELD_BOOL,
    KT_FIELD_U8,
    KT_FIELD_U16,
    KT_FIELD_U32,
    KT_FIELD_U64,
    KT_FIELD_I64,
    KT_FIELD_TIME,
    KT_FIELD_TIME_MS,
    KT_FIELD_DEC,
    KT_FIELD_SUM,
    KT_FIELD_ENUM,
    KT_FIELD_TEXT,
    KT_FIELD_BYTES,
    KT_FIELD_TEXTS,
    KT_FIELD_ROWS,
    KT_FIELD_JSON,
    KT_FIELD_TYPE_COUNT
} kt_field_type;

enum {
    KT_TEXT_FIELD_MAX = 65535, /* no text of an event is longer; a field may say less */
    KT_ROW_COUNT_MAX = 10000,
    KT_ROW_SIZE_MAX = 512,   /* bytes of a row's C struct */
    KT_VALUE_SIZE_MAX = 1024 /* bytes of any table's C struct */
};

/* A list of texts. To encode: point `at` to an array of kt_text and leave `payload` NULL (KT_TEXTS_OF). Decoded:
 * borrowed from the payload. Read both forms with kt_texts_get(). */
typedef struct kt_texts {
    const void *at;
    const uint8_t *payload;
    uint32_t count;
} kt_texts;

/* A list of rows. To encode: point `at` to an array of the row's C struct and leave `payload` NULL (KT_ROWS_OF).
 * Decoded: borrowed from the payload, already checked. Read both forms with kt_rows_get(). */
typedef struct kt_rows {
    const void *at;
    const uint8_t *payload;
    uint32_t payload_size;
    uint32_t count;
    uint32_t stride;     /* decoded form only */
    uint32_t fixed_size; /* decoded form only */
} kt_rows;

#define KT_TEXTS_OF(array, n) ((kt_texts){ .at = (array), .count = (uint32_t)(n) })
#define KT_ROWS_OF(array, n) ((kt_rows){ .at = (array), .count = (uint32_t)(n) })

typedef struct kt_enum_spec {
    const char *name;
    const char *const *values; /* dense from 0; 0 is what an unknown number reads as */
    uint8_t count;
} kt_enum_spec;

typedef struct kt_table kt_table;

typedef struct kt_field {
    const char *name;
    const char *unit;           /* "" where there is none */
    const char *text;           /* one clause of help */
    const kt_enum_spec *values; /* ENUM */
    const kt_table *rows;       /* ROWS */
    int64_t min;
    uint64_t max; /* never negative; signed types compare it as such */
    int64_t fallback;
    uint32_t at;      /* offset in the C struct */
    uint32_t wire_at; /* offset in the payload, or in the row */
    uint16_t number;  /* 1, 2, 3 ...: position in the table */
    uint8_t type;     /* kt_field_type */
} kt_field;

struct kt_table {
    const char *name;
    const char *text;
    const kt_field *fields;
    uint16_t field_count;
    uint32_t size; /* of the C struct */
};

/* Every member its field's default, texts and lists empty. */
void kt_table_init(const kt_table *table, void *out_value);

/* Write `value` (the table's C struct) into `buf` of `size` bytes as a record payload; *out_size is a multiple of 8.
 * KT_FULL: does not fit. KT_ARG: what no reader would accept (an enum number out of range, a scale too great, a text
 * longer than KT_TEXT_FIELD_MAX, more than KT_ROW_COUNT_MAX rows). The same value gives the same bytes. */
kt_code kt_table_encode(const kt_table *table, const void *value, void *buf, uint32_t size, uint32_t *out_size);

/* Read a payload, which may come from outside and need not be aligned. Texts and lists are borrowed from it.
 * KT_CORRUPT: a span or a list leaves the payload, fixed_size ends inside a field or behind the payload, a bool is
 * neither 0 nor 1, or a scale is too great; then *out_value is undefined. */
kt_code kt_table_decode(const kt_table *table, const void *payload, uint32_t size, void *out_value);

/* One element of a list; index < count is asserted. */
kt_text kt_texts_get(const kt_texts *texts, uint32_t index);
void kt_rows_get(const kt_table *row, const kt_rows *rows, uint32_t index, void *out_row);

/* Compare bounds, also inside rows. KT_RANGE: err names table, field, value and what is allowed. */
kt_code kt_table_check(const kt_table *table, const void *value, kt_err *err);

/* Equal in value: decimals and sums by value, texts and lists by content. */
bool kt_table_equal(const kt_table *table, const void *a, const void *b);

/* Write a JSON object with all fields in order. A full writer stays full (base/json.h). */
void kt_table_write_json(const kt_table *table, const void *value, kt_json_writer *writer);

/* Read such an object back. A missing field gets its default, an unknown one is an error. Texts are borrowed from the
 * document or, where they hold escapes, kept in `arena`, as lists are.
 * KT_SYNTAX, KT_TYPE, KT_RANGE or KT_FULL (arena): err names the field, what was wrong and what is allowed. */
kt_code kt_table_read_json(
    const kt_table *table, const kt_json_doc *doc, uint32_t object, kt_arena *arena, void *out_value, kt_err *err);

/* Set one field from one value of JSON, and compare its bounds. Codes and messages as of kt_table_read_json and
 * kt_table_check. */
kt_code kt_table_set_json(const kt_table *table, void *value, const kt_field *field, const kt_json_doc *doc,
    uint32_t node, kt_arena *arena, kt_err *err);

/* The default of this field is not among what is allowed: whoever makes a value has to give it. */
bool kt_table_required(const kt_table *table, const kt_field *field);

/* Set one field from text, as query parameters are: numbers, decimals, enum names, ISO 8601 or ms for times. Texts stay
 * borrowed from `text`. KT_NOENT: no such field (err lists those there are). KT_SYNTAX, KT_RANGE: the value, and what
 * is allowed. Lists can not be set so: KT_TYPE. */
kt_code kt_table_set(const kt_table *table, void *value, kt_text name, kt_text text, kt_err *err);

/* Help, one line a field: name, text, what is allowed, unit. Returns the length it has or would have, as snprintf. */
size_t kt_table_help(const kt_table *table, char *buf, size_t size);

/* What is allowed in a field, such as "a whole number from 1 to 65535"; for messages and help. */
size_t kt_field_allowed(const kt_field *field, char *buf, size_t size);

const kt_field *kt_table_field(const kt_table *table, kt_text name); /* NULL: none */

/* Make C structs and tables out of X-macro lists */

#define KT_MEMBER_BOOL bool
#define KT_MEMBER_U8 uint8_t
#define KT_MEMBER_U16 uint16_t
#define KT_MEMBER_U32 uint32_t
#define KT_MEMBER_U64 uint64_t
#define KT_MEMBER_I64 int64_t
#define KT_MEMBER_TIME int64_t
#define KT_MEMBER_TIME_MS int64_t
#define KT_MEMBER_DEC kt_decimal
#define KT_MEMBER_SUM kt_sum
#define KT_MEMBER_ENUM uint8_t
#define KT_MEMBER_TEXT kt_text
#define KT_MEMBER_BYTES kt_text
#define KT_MEMBER_TEXTS kt_texts
#define KT_MEMBER_ROWS kt_rows
#define KT_MEMBER_JSON kt_text

#define KT_FIELD_MEMBER(T, number, type, of, name, unit, min, max, fallback, text) KT_MEMBER_##type name;

#define KT_ENUM_VALUE(number, name, text) name = number,

#endif
