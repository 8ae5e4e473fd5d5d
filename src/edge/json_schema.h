/* edge/json_schema.h - tables of the schema as JSON Schema 2020-12, as OpenAPI 3.1 and AsyncAPI 3 use it. */
#ifndef KT_EDGE_JSON_SCHEMA_H
#define KT_EDGE_JSON_SCHEMA_H

#include "base/json.h"
#include "schema/table.h"

/* Where a value stands: it decides which forms are taken, and what is promised. */
typedef enum kt_json_place {
    KT_JSON_IN_QUERY, /* text; whole numbers of ms may be windows */
    KT_JSON_IN_BODY,
    KT_JSON_IN_ANSWER /* every field is there */
} kt_json_place;

/* The schema of one field, an object. Rows are references to #/components/schemas/ and the row's name. */
void kt_json_schema_field(kt_json_writer *writer, const kt_table *table, const kt_field *field, kt_json_place place);

/* The schema of a table. Members of bodies that are not in the table are refused; answers may grow. */
void kt_json_schema_table(kt_json_writer *writer, const kt_table *table, kt_json_place place);

/* Rows of a table and of its rows, each once: "name":{...} behind what stands in the open object. `done` holds `count` of
 * those that are there already. */
enum { KT_JSON_SCHEMA_ROW_MAX = 64 };
typedef struct kt_json_schema_rows {
    const kt_table *done[KT_JSON_SCHEMA_ROW_MAX];
    uint32_t count;
} kt_json_schema_rows;
void kt_json_schema_put_rows(kt_json_writer *writer, const kt_table *table, kt_json_schema_rows *rows);

#endif
