/* base/json_scan_property.h - for the fuzz target and the test of base/json_scan.h only: one shape with every type of
 * step, read by the scanner and by the general reader. What the scanner accepts, the general reader reads the same.
 */
#ifndef KT_BASE_JSON_SCAN_PROPERTY_H
#define KT_BASE_JSON_SCAN_PROPERTY_H

#include "base/assert.h"
#include "base/json.h"
#include "base/json_scan.h"

enum { SHAPE_PAIRS = 64, SHAPE_NODES = 1 << 16 };

typedef struct shape {
    kt_text text;
    uint64_t number;
    int64_t time;
    kt_decimal price;
    kt_decimal bare;
    bool flag;
    kt_json_pairs pairs;
    uint32_t pairs_node; /* of the general reader */
} shape;

static const kt_json_step shape_steps[] = {
    KT_JSON_BYTES("{"),
    KT_JSON_STEP(shape, text, "\"s\":", TEXT),
    KT_JSON_STEP(shape, number, ",\"n\":", U64),
    KT_JSON_STEP(shape, time, ",\"time\":", I64),
    KT_JSON_STEP(shape, price, ",\"p\":", DECIMAL_TEXT),
    KT_JSON_STEP(shape, bare, ",\"bare\":", DECIMAL),
    KT_JSON_STEP(shape, flag, ",\"f\":", BOOL),
    KT_JSON_STEP(shape, pairs, ",\"b\":", PAIRS),
    KT_JSON_BYTES("}"),
};

static const kt_json_field shape_fields[] = {
    KT_JSON_FIELD(shape, text, "s", TEXT, 0),
    KT_JSON_FIELD(shape, number, "n", U64, 0),
    KT_JSON_FIELD(shape, time, "time", I64, 0),
    KT_JSON_FIELD(shape, price, "p", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(shape, bare, "bare", DECIMAL, 0),
    KT_JSON_FIELD(shape, flag, "f", BOOL, 0),
    KT_JSON_FIELD(shape, pairs_node, "b", ARRAY, 0),
};

static inline bool shape_decimal_equal(kt_decimal a, kt_decimal b)
{
    return a.m == b.m && a.scale == b.scale && memcmp(a.zero, b.zero, sizeof a.zero) == 0;
}

/* Does the scanner accept it? Asserts that the general reader then agrees in everything. */
static inline bool shape_check(kt_text text)
{
    static kt_json_node nodes[SHAPE_NODES];
    static kt_decimal storage[SHAPE_PAIRS][2];
    shape scanned = { .pairs = { .at = storage, .max = SHAPE_PAIRS } }, read = { 0 };
    const char *end = text.s + text.n;
    kt_json_doc doc;
    kt_decimal decimal;

    if (kt_json_scan(text.s, end, shape_steps, KT_COUNT(shape_steps), &scanned) != end)
        return false;
    kt_assert(kt_json_parse(text, nodes, SHAPE_NODES, &doc, NULL) == KT_OK);
    kt_assert(kt_json_fields(&doc, 0, shape_fields, KT_COUNT(shape_fields), NULL, &read, NULL, NULL) == KT_OK);
    kt_assert(scanned.text.s == read.text.s && scanned.text.n == read.text.n);
    kt_assert(scanned.number == read.number && scanned.time == read.time && scanned.flag == read.flag);
    kt_assert(shape_decimal_equal(scanned.price, read.price));
    kt_assert(shape_decimal_equal(scanned.bare, read.bare));
    kt_assert(kt_json_count(&doc, read.pairs_node) == scanned.pairs.count);
    for (uint32_t i = 0; i < scanned.pairs.count; i++) {
        uint32_t pair = kt_json_at(&doc, read.pairs_node, i);

        kt_assert(kt_json_count(&doc, pair) == 2);
        for (uint32_t side = 0; side < 2; side++) {
            kt_assert(kt_json_decimal_text(&doc, kt_json_at(&doc, pair, side), &decimal) == KT_OK);
            kt_assert(shape_decimal_equal(decimal, storage[i][side]));
        }
    }
    return true;
}

#endif
