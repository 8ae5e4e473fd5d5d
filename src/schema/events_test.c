#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/test_util.h"
#include "schema/actions.h"

enum { PAYLOAD_MAX = 1 << 16, JSON_MAX = 1 << 18, NODE_MAX = 1 << 14 };

static uint8_t arena_mem[1 << 18];

/* ---- values of every table, at random within its bounds ---- */

static kt_text random_text(kt_rng *rng, kt_arena *arena, uint64_t max)
{
    size_t n = kt_rng_below(rng, (max < 20 ? max : 20) + 1);
    char *text = kt_arena_take(arena, n, 1);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(kt_rng_chance(rng, 0.1) ? kt_rng_below(rng, 32) : 32 + kt_rng_below(rng, 95));
    return (kt_text){ text, n };
}

static void random_value(const kt_table *table, void *value, kt_rng *rng, kt_arena *arena);

static void random_field(const kt_field *field, void *at, kt_rng *rng, kt_arena *arena)
{
    uint64_t number = kt_rng_u64(rng) >> kt_rng_below(rng, 64);
    uint32_t count = (uint32_t)kt_rng_below(rng, 4);
    kt_text *texts;
    uint8_t *rows;

    switch ((kt_field_type)field->type) {
    case KT_FIELD_BOOL:
        *(bool *)at = number & 1;
        break;
    case KT_FIELD_U8:
        *(uint8_t *)at = (uint8_t)number;
        break;
    case KT_FIELD_U16:
        *(uint16_t *)at = (uint16_t)number;
        break;
    case KT_FIELD_U32:
        *(uint32_t *)at = (uint32_t)number;
        break;
    case KT_FIELD_U64:
    case KT_FIELD_I64:
    case KT_FIELD_TIME:
        memcpy(at, &number, sizeof number);
        break;
    case KT_FIELD_TIME_MS:
        *(int64_t *)at = (int64_t)(number >> 24) * 1000000;
        break;
    case KT_FIELD_DEC:
        *(kt_decimal *)at = (kt_decimal){ .m = (int64_t)(number >> 1), .scale = (uint8_t)kt_rng_below(rng, 19) };
        break;
    case KT_FIELD_SUM:
        *(kt_sum *)at = kt_sum_of(((kt_i128)kt_rng_u64(rng) << 50) * (kt_rng_chance(rng, 0.5) ? 1 : -1),
            (uint8_t)kt_rng_below(rng, KT_SUM_SCALE_MAX + 1));
        break;
    case KT_FIELD_ENUM:
        *(uint8_t *)at = (uint8_t)kt_rng_below(rng, field->values->count);
        break;
    case KT_FIELD_TEXT:
    case KT_FIELD_BYTES:
        *(kt_text *)at = random_text(rng, arena, field->max);
        break;
    case KT_FIELD_TEXTS:
        texts = kt_arena_take_zero(arena, count, sizeof *texts, 16);
        for (uint32_t i = 0; i < count; i++)
            texts[i] = random_text(rng, arena, 20);
        *(kt_texts *)at = KT_TEXTS_OF(texts, count);
        break;
    case KT_FIELD_ROWS:
        rows = kt_arena_take_zero(arena, count, field->rows->size, 16);
        for (uint32_t i = 0; i < count; i++)
            random_value(field->rows, rows + (size_t)i * field->rows->size, rng, arena);
        *(kt_rows *)at = KT_ROWS_OF(rows, count);
        break;
    case KT_FIELD_JSON: /* not of records */
    case KT_FIELD_TYPE_COUNT:
        break;
    }
}

static void random_value(const kt_table *table, void *value, kt_rng *rng, kt_arena *arena)
{
    for (uint32_t i = 0; i < table->field_count; i++)
        random_field(&table->fields[i], (uint8_t *)value + table->fields[i].at, rng, arena);
}

/* decode(encode(x)) is x, encode gives the same bytes again, and so through JSON. */
static void check_round_trip(const kt_table *table, const void *value)
{
    static _Alignas(16) uint8_t back[4096];
    static _Alignas(16) uint8_t from_json[4096];
    static char json[JSON_MAX];
    static kt_json_node nodes[NODE_MAX];
    static uint8_t json_mem[1 << 18];
    uint8_t *payload = malloc(PAYLOAD_MAX);
    uint8_t *again = malloc(PAYLOAD_MAX);
    uint32_t size;
    uint32_t size_again;
    kt_json_writer writer;
    kt_json_doc doc;
    kt_text text;
    kt_arena arena;
    kt_err err = { 0 };
    uint8_t *guarded;

    assert_true(table->size <= sizeof back);
    assert_int_equal(kt_table_encode(table, value, payload, PAYLOAD_MAX, &size), KT_OK);
    assert_int_equal(size % 8, 0);
    guarded = kt_guard_copy(payload, size);
    assert_int_equal(kt_table_decode(table, guarded, size, back), KT_OK);
    assert_true(kt_table_equal(table, value, back));
    assert_int_equal(kt_table_encode(table, back, again, PAYLOAD_MAX, &size_again), KT_OK);
    assert_int_equal(size_again, size);
    assert_memory_equal(again, payload, size);

    kt_json_writer_init(&writer, json, sizeof json);
    kt_table_write_json(table, back, &writer);
    assert_int_equal(kt_json_writer_done(&writer, &text), KT_OK);
    assert_int_equal(kt_json_parse(text, nodes, NODE_MAX, &doc, &err), KT_OK);
    kt_arena_init(&arena, json_mem, sizeof json_mem);
    if (kt_table_read_json(table, &doc, 0, &arena, from_json, &err) != KT_OK)
        fail_msg("%s in %.*s", err.msg, (int)text.n, text.s);
    assert_true(kt_table_equal(table, value, from_json));

    kt_guard_free(guarded, size);
    free(payload);
    free(again);
}

static bool has_json(const kt_table *table)
{
    for (uint32_t i = 0; i < table->field_count; i++)
        if (table->fields[i].type == KT_FIELD_JSON)
            return true;
    return false;
}

static void test_every_table_round_trips(void **state)
{
    static _Alignas(16) uint8_t value[4096];
    uint32_t cases = kt_test_cases(2000);
    kt_arena arena;
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t n = 0; n < cases; n++) {
        for (uint32_t i = 0; i < kt_event_count; i++) {
            kt_arena_init(&arena, arena_mem, sizeof arena_mem);
            kt_table_init(&kt_events[i].table, value);
            random_value(&kt_events[i].table, value, &rng, &arena);
            check_round_trip(&kt_events[i].table, value);
        }
        for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
            kt_arena_init(&arena, arena_mem, sizeof arena_mem);
            const kt_table *tables[] = { &kt_actions[i].params, &kt_actions[i].response };

            for (uint32_t j = 0; j < KT_COUNT(tables); j++) {
                if (has_json(tables[j]))
                    continue;
                kt_table_init(tables[j], value);
                random_value(tables[j], value, &rng, &arena);
                check_round_trip(tables[j], value);
            }
        }
    }
}

/* ---- the tables themselves ---- */

/* What stands in records nests one level of rows; answers of actions may nest more. */
static void check_table(const kt_table *table, bool is_record)
{
    assert_true(table->field_count <= 64);
    for (uint32_t i = 0; i < table->field_count; i++) {
        const kt_field *field = &table->fields[i];

        assert_int_equal(field->number, i + 1);
        assert_ptr_equal(kt_table_field(table, kt_text_of(field->name)), field);
        assert_true(field->text[0] != '\0');
        if (field->type == KT_FIELD_ENUM) {
            assert_non_null(field->values);
            assert_int_equal(field->max, field->values->count - 1);
            for (uint32_t j = 0; j < field->values->count; j++)
                assert_non_null(field->values->values[j]);
        }
        if (field->type == KT_FIELD_ROWS) {
            check_table(field->rows, is_record);
            for (uint32_t j = 0; is_record && j < field->rows->field_count; j++) {
                assert_int_not_equal(field->rows->fields[j].type, KT_FIELD_ROWS);
                assert_int_not_equal(field->rows->fields[j].type, KT_FIELD_TEXTS);
            }
        }
        assert_false(is_record && field->type == KT_FIELD_JSON);
    }
}

static void test_tables_are_well_formed(void **state)
{
    for (uint32_t i = 0; i < kt_event_count; i++) {
        const kt_event_spec *spec = &kt_events[i];

        assert_true(i == 0 || spec->kind > kt_events[i - 1].kind);
        assert_ptr_equal(kt_event_by_kind(spec->kind), spec);
        assert_ptr_equal(kt_event_by_name(kt_text_of(spec->table.name)), spec);
        check_table(&spec->table, true);
    }
    assert_null(kt_event_by_kind(0));
    assert_null(kt_event_by_kind(65535));
    assert_null(kt_event_by_name(kt_text_of("nothing")));
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        check_table(&kt_actions[i].params, false);
        check_table(&kt_actions[i].response, false);
        assert_ptr_equal(kt_action_by_name(kt_text_of(kt_actions[i].name)), &kt_actions[i]);
    }
    assert_true(kt_schema_hash() != 0);
    assert_true(kt_schema_hash() == kt_schema_hash());
}

/* ---- evolution (log.md section 7) ---- */

/* Records of version 1, written by hand from the layout in schema/table.h: such bytes stand in logs. A field that is
 * appended later changes neither these bytes nor what they mean. */
static const char tick_v1[] = "50000000"         /* fixed_size 80 */
                              "00000000"         /* padding */
                              "8047603308e6e917" /* venue_time 1723161255342000000 */
                              "00101d7908e6e917" /* receive_time 1723161256512000000 */
                              "4196980000000000" /* price 99999.37: mantissa */
                              "0200000000000000" /* and scale */
                              "0100000000000000" /* quantity 0.00000001 */
                              "0800000000000000"
                              "02000000"                          /* side sell, padding */
                              "500000000a000000"                  /* trade_id: 10 bytes at 80 */
                              "00000000"                          /* padding */
                              "d726aade00000000"                  /* trade_number 3735693015 */
                              "33373335363933303135000000000000"; /* trade_id, padding */

static const char vwap_v1[] = "68000000"         /* fixed_size 104 */
                              "00000000"         /* padding */
                              "005ea66608e6e917" /* mark */
                              "005847f80d000000" /* window 60 s */
                              "d204000000000000" /* price 123.4 */
                              "0100000000000000"
                              "ffffffffffffffff" /* sum_pq (2^70 - 1) / 10^10 */
                              "3f00000000000000"
                              "0a00000000000000"
                              "0500000000000000" /* sum_q 5 */
                              "0000000000000000"
                              "0000000000000000"
                              "0700000000000000" /* trades 7 */
                              "0100"             /* validated, not complete */
                              "0000"             /* padding */
                              "03000000";        /* revision 3 */

/* An answer with one row: symbol behind the fixed part, then the rows, then their texts. */
static const char answer_v1[] = "64000000"                         /* fixed_size 100 */
                                "00000000"                         /* padding */
                                "0900000000000000"                 /* request_id 9 */
                                "c8000000"                         /* status 200, padding */
                                "0000000000000000"                 /* error: empty */
                                "6800000003000000"                 /* symbol: 3 bytes at 104 */
                                "00000000"                         /* padding */
                                "0100000000000000"                 /* receive_time */
                                "70000000010000004000000040000000" /* rows: 1 at 112, stride 64, fixed size 64 */
                                "0200000001000000"                 /* row_count 2, invalid_count 1 */
                                "0000000000000000"                 /* retry_after */
                                "02000000"                         /* what: trades by time */
                                "00000000000000000000000000000000" /* instruments: none */
                                "00000000"                         /* padding of the fixed part */
                                "4254430000000000"                 /* "BTC" */
                                "0500000000000000"                 /* row: venue_time */
                                "07000000000000000000000000000000" /* price 7 */
                                "0b000000000000000100000000000000" /* quantity 1.1 */
                                "01000000"                         /* side buy */
                                "b000000002000000"                 /* trade_id: 2 bytes at 176 */
                                "00000000"                         /* padding */
                                "0000000000000000"                 /* trade_number */
                                "6131000000000000";                /* "a1" */

static uint32_t from_hex(const char *hex, uint8_t *out)
{
    uint32_t n = (uint32_t)strlen(hex) / 2;

    for (uint32_t i = 0; i < n; i++) {
        unsigned byte;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static void check_same_bytes(uint16_t kind, const void *event, const uint8_t *bytes, uint32_t size)
{
    uint8_t made[512];
    uint32_t made_size;

    assert_int_equal(kt_event_encode(kind, event, made, sizeof made, &made_size), KT_OK);
    assert_int_equal(made_size, size);
    assert_memory_equal(made, bytes, size);
}

static void test_golden_records_of_version_1(void **state)
{
    uint8_t bytes[512];
    uint32_t size = from_hex(tick_v1, bytes);
    kt_ev_tick tick;
    kt_ev_vwap vwap;
    kt_ev_answer answer;
    kt_row_trade row;

    assert_int_equal(kt_event_decode(KT_EV_TICK, bytes, size, &tick), KT_OK);
    assert_true(tick.venue_time == INT64_C(1723161255342000000));
    assert_true(tick.receive_time == INT64_C(1723161256512000000));
    assert_true(tick.price.m == 9999937 && tick.price.scale == 2);
    assert_true(tick.quantity.m == 1 && tick.quantity.scale == 8);
    assert_int_equal(tick.side, KT_SIDE_SELL);
    assert_true(kt_text_equal(tick.trade_id, KT_TEXT("3735693015")));
    assert_true(tick.trade_number == 3735693015);
    check_same_bytes(KT_EV_TICK, &tick, bytes, size);

    size = from_hex(vwap_v1, bytes);
    assert_int_equal(kt_event_decode(KT_EV_VWAP, bytes, size, &vwap), KT_OK);
    assert_true(vwap.window == INT64_C(60000000000));
    assert_true(vwap.price.m == 1234 && vwap.price.scale == 1);
    assert_true(kt_sum_value(vwap.sum_pq) == ((kt_i128)1 << 70) - 1 && vwap.sum_pq.scale == 10);
    assert_true(kt_sum_value(vwap.sum_q) == 5 && vwap.sum_q.scale == 0);
    assert_true(vwap.trades == 7 && vwap.validated && !vwap.complete && vwap.revision == 3);
    check_same_bytes(KT_EV_VWAP, &vwap, bytes, size);

    size = from_hex(answer_v1, bytes);
    assert_int_equal(kt_event_decode(KT_EV_ANSWER, bytes, size, &answer), KT_OK);
    assert_true(answer.request_id == 9 && answer.status == 200 && answer.row_count == 2 && answer.invalid_count == 1);
    assert_true(kt_text_equal(answer.symbol, KT_TEXT("BTC")) && answer.error.n == 0);
    assert_int_equal(answer.what, KT_WHAT_TRADES_BY_TIME);
    assert_int_equal(answer.rows.count, 1);
    kt_rows_get(&kt_row_table_trade, &answer.rows, 0, &row);
    assert_true(row.venue_time == 5 && row.price.m == 7 && row.quantity.m == 11 && row.quantity.scale == 1);
    assert_true(row.side == KT_SIDE_BUY && kt_text_equal(row.trade_id, KT_TEXT("a1")));
    /* its writer now knows more fields: golden_test.c */
}

/* The same table as the program of an earlier release had it: without its last field, and so its rows. */
typedef struct older_table {
    kt_table table;
    kt_table row;
    kt_field fields[64];
} older_table;

static void make_older(const kt_table *table, older_table *out_older, uint16_t field_count, bool older_rows)
{
    out_older->table = *table;
    out_older->table.fields = out_older->fields;
    out_older->table.field_count = field_count;
    memcpy(out_older->fields, table->fields, field_count * sizeof(kt_field));
    for (uint32_t i = 0; older_rows && i < field_count; i++) {
        if (out_older->fields[i].type == KT_FIELD_ROWS) {
            out_older->row = *out_older->fields[i].rows;
            out_older->row.field_count--;
            out_older->fields[i].rows = &out_older->row;
        }
    }
}

static void test_shorter_record_gets_defaults(void **state)
{
    static _Alignas(16) uint8_t value[4096];
    static _Alignas(16) uint8_t back[4096];
    static _Alignas(16) uint8_t defaults[4096];
    static older_table older;
    static uint8_t payload[PAYLOAD_MAX];
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_event_count; i++) {
        const kt_table *table = &kt_events[i].table;

        kt_table_init(table, defaults);
        for (uint16_t known = 0; known < table->field_count; known++) {
            kt_arena arena;
            uint32_t size;

            kt_arena_init(&arena, arena_mem, sizeof arena_mem);
            random_value(table, value, &rng, &arena);
            make_older(table, &older, known, false);
            assert_int_equal(kt_table_encode(&older.table, value, payload, sizeof payload, &size), KT_OK);
            assert_int_equal(kt_table_decode(table, payload, size, back), KT_OK);
            assert_true(kt_table_equal(&older.table, value, back));
            older.table.fields = table->fields + known;
            older.table.field_count = table->field_count - known;
            assert_true(kt_table_equal(&older.table, defaults, back));
        }
    }
}

static void test_longer_record_is_read_as_far_as_known(void **state)
{
    static _Alignas(16) uint8_t value[4096];
    static _Alignas(16) uint8_t back[4096];
    static older_table older;
    static uint8_t payload[PAYLOAD_MAX];
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_event_count; i++) {
        const kt_table *table = &kt_events[i].table;

        for (uint16_t known = 0; known < table->field_count; known++) {
            kt_arena arena;
            uint32_t size;

            kt_arena_init(&arena, arena_mem, sizeof arena_mem);
            random_value(table, value, &rng, &arena);
            make_older(table, &older, known, false);
            assert_int_equal(kt_table_encode(table, value, payload, sizeof payload, &size), KT_OK);
            assert_int_equal(kt_table_decode(&older.table, payload, size, back), KT_OK);
            assert_true(kt_table_equal(&older.table, value, back));
        }
    }
}

static void test_rows_grow_and_shrink_like_records(void **state)
{
    static uint8_t payload[PAYLOAD_MAX];
    static older_table older;
    kt_row_trade rows[2] = {
        { .venue_time = 1, .price = { 5, 0 }, .quantity = { 6, 0 }, .trade_id = KT_TEXT("x"), .trade_number = 77 },
        { .venue_time = 2, .price = { 7, 0 }, .quantity = { 8, 0 }, .trade_id = KT_TEXT("yy"), .trade_number = 78 },
    };
    kt_ev_answer answer;
    kt_ev_answer back;
    kt_row_trade row;
    uint32_t size;

    kt_event_init(KT_EV_ANSWER, &answer);
    answer.rows = KT_ROWS_OF(rows, 2);
    make_older(&kt_event_by_kind(KT_EV_ANSWER)->table, &older, kt_event_by_kind(KT_EV_ANSWER)->table.field_count, true);
    for (uint32_t i = 0; i < older.table.field_count; i++)
        if (older.fields[i].type == KT_FIELD_ROWS && older.fields[i].number == 11)
            older.fields[i].rows = &kt_row_table_instrument;
    older.row = kt_row_table_trade;
    older.row.field_count--;

    /* written by the older program: trade_number is its default */
    assert_int_equal(kt_table_encode(&older.table, &answer, payload, sizeof payload, &size), KT_OK);
    assert_int_equal(kt_event_decode(KT_EV_ANSWER, payload, size, &back), KT_OK);
    kt_rows_get(&kt_row_table_trade, &back.rows, 1, &row);
    assert_true(row.venue_time == 2 && kt_text_equal(row.trade_id, KT_TEXT("yy")) && row.trade_number == 0);

    /* written by this one, read by the older */
    assert_int_equal(kt_event_encode(KT_EV_ANSWER, &answer, payload, sizeof payload, &size), KT_OK);
    assert_int_equal(kt_table_decode(&older.table, payload, size, &back), KT_OK);
    kt_rows_get(&older.row, &back.rows, 1, &row);
    assert_true(row.venue_time == 2 && kt_text_equal(row.trade_id, KT_TEXT("yy")) && row.trade_number == 0);
}

static void test_unknown_kind_is_told_apart_from_bad_bytes(void **state)
{
    uint8_t bytes[512];
    uint32_t size = from_hex(tick_v1, bytes);
    kt_event_any any;

    assert_int_equal(kt_event_decode(60000, bytes, size, &any), KT_NOENT);
    assert_int_equal(kt_event_encode(60000, &any, bytes, sizeof bytes, &size), KT_NOENT);
}

static void test_unknown_enum_number_reads_as_unknown(void **state)
{
    uint8_t bytes[512];
    uint32_t size = from_hex(tick_v1, bytes);
    kt_ev_tick tick;

    bytes[56] = 200;
    assert_int_equal(kt_event_decode(KT_EV_TICK, bytes, size, &tick), KT_OK);
    assert_int_equal(tick.side, KT_SIDE_UNKNOWN);
}

/* ---- bad bytes ---- */

static void test_bad_bytes_are_corrupt(void **state)
{
    static const struct {
        const char *name;
        uint16_t kind;
        const char *golden;
        uint32_t at;
        uint32_t value; /* stored at `at`, 4 bytes */
        uint32_t size;  /* 0: all of it */
    } rows[] = {
        { "empty", KT_EV_TICK, tick_v1, 0, 80, 1 },
        { "truncated behind fixed_size", KT_EV_TICK, tick_v1, 0, 80, 4 },
        { "truncated in the text", KT_EV_TICK, tick_v1, 0, 80, 88 },
        { "fixed_size zero", KT_EV_TICK, tick_v1, 0, 0, 0 },
        { "fixed_size behind the payload", KT_EV_TICK, tick_v1, 0, 97, 0 },
        { "fixed_size of 4 GiB", KT_EV_TICK, tick_v1, 0, UINT32_MAX, 0 },
        { "fixed_size inside a field", KT_EV_TICK, tick_v1, 0, 79, 0 },
        { "fixed_size inside padding", KT_EV_TICK, tick_v1, 0, 70, 0 },
        { "scale of a decimal over 18", KT_EV_TICK, tick_v1, 32, 19, 0 },
        { "text begins behind the payload", KT_EV_TICK, tick_v1, 60, 97, 0 },
        { "text ends behind the payload", KT_EV_TICK, tick_v1, 64, 17, 0 },
        { "text of 4 GiB", KT_EV_TICK, tick_v1, 64, UINT32_MAX, 0 },
        { "bool of 2", KT_EV_VWAP, vwap_v1, 96, 2, 0 },
        { "scale of a sum over 36", KT_EV_VWAP, vwap_v1, 56, 37, 0 },
        { "rows begin behind the payload", KT_EV_ANSWER, answer_v1, 48, 200, 0 },
        { "more rows than bytes", KT_EV_ANSWER, answer_v1, 52, 3, 0 },
        { "4 G rows", KT_EV_ANSWER, answer_v1, 52, UINT32_MAX, 0 },
        { "rows of no size", KT_EV_ANSWER, answer_v1, 56, 0, 0 },
        { "rows larger than their stride", KT_EV_ANSWER, answer_v1, 60, 72, 0 },
        { "fixed size of rows inside a field", KT_EV_ANSWER, answer_v1, 60, 63, 0 },
        { "text of a row behind the payload", KT_EV_ANSWER, answer_v1, 156, 200, 0 },
        { "scale of a row's decimal", KT_EV_ANSWER, answer_v1, 128, 99, 0 },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        uint8_t bytes[512];
        uint32_t size = from_hex(rows[i].golden, bytes);
        uint8_t *guarded;
        kt_event_any any;
        kt_code code;

        memcpy(bytes + rows[i].at, &rows[i].value, sizeof rows[i].value);
        if (rows[i].size != 0)
            size = rows[i].size;
        guarded = kt_guard_copy(bytes, size);
        code = kt_event_decode(rows[i].kind, guarded, size, &any);
        if (code != KT_CORRUPT)
            fail_msg("%s: %s", rows[i].name, kt_code_name(code));
        kt_guard_free(guarded, size);
    }
}

static void test_encode_says_what_it_can_not_write(void **state)
{
    static char long_text[KT_TEXT_FIELD_MAX + 1];
    uint8_t bytes[512];
    uint32_t size;
    kt_ev_tick tick;

    kt_event_init(KT_EV_TICK, &tick);
    tick.trade_id = KT_TEXT("a1");
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, bytes, 80, &size), KT_FULL);
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, bytes, 87, &size), KT_FULL);
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, bytes, 88, &size), KT_OK);
    assert_int_equal(size, 88);
    tick.side = 3;
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, bytes, sizeof bytes, &size), KT_ARG);
    tick.side = KT_SIDE_BUY;
    tick.price.scale = 19;
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, bytes, sizeof bytes, &size), KT_ARG);
    tick.price.scale = 0;
    tick.trade_id = (kt_text){ long_text, sizeof long_text };
    assert_int_equal(kt_event_encode(KT_EV_TICK, &tick, bytes, sizeof bytes, &size), KT_ARG);
}

/* ---- checks, text and JSON in ---- */

static void test_check_names_field_value_and_what_is_allowed(void **state)
{
    kt_row_trade row = { .price = { 1, 0 }, .quantity = { 1, 0 }, .trade_id = KT_TEXT("") };
    kt_err err = { 0 };
    kt_ev_tick tick;
    kt_ev_answer answer;

    kt_event_init(KT_EV_TICK, &tick);
    tick.price = (kt_decimal){ .m = -5, .scale = 1 };
    tick.quantity = (kt_decimal){ .m = 1 };
    tick.trade_id = KT_TEXT("a1");
    assert_int_equal(kt_table_check(&kt_event_by_kind(KT_EV_TICK)->table, &tick, &err), KT_RANGE);
    assert_string_equal(err.msg, "tick.price: -0.5 is not allowed; allowed is a decimal greater than 0");
    tick.price.m = 5;
    assert_int_equal(kt_table_check(&kt_event_by_kind(KT_EV_TICK)->table, &tick, &err), KT_OK);
    tick.trade_id = KT_TEXT("");
    assert_int_equal(kt_table_check(&kt_event_by_kind(KT_EV_TICK)->table, &tick, &err), KT_RANGE);
    assert_string_equal(err.msg, "tick.trade_id: a length of 0 is not allowed; allowed is text of 1 to 128 bytes");

    kt_event_init(KT_EV_ANSWER, &answer);
    answer.request_id = 1;
    answer.rows = KT_ROWS_OF(&row, 1);
    assert_int_equal(kt_table_check(&kt_event_by_kind(KT_EV_ANSWER)->table, &answer, &err), KT_RANGE);
    assert_string_equal(
        err.msg, "answer.rows[0]: trade.trade_id: a length of 0 is not allowed; allowed is text of 1 to 128 bytes");
}

static void test_set_from_text(void **state)
{
    const kt_table *table = &kt_actions[KT_ACTION_vwap_historical].params;
    kt_params_vwap_historical params;
    kt_err err = { 0 };

    kt_table_init(table, &params);
    assert_int_equal(kt_table_set(table, &params, KT_TEXT("ticker"), KT_TEXT("BTC"), &err), KT_OK);
    assert_true(kt_text_equal(params.ticker, KT_TEXT("BTC")));
    assert_int_equal(kt_table_set(table, &params, KT_TEXT("ts"), KT_TEXT("1684083600000"), &err), KT_OK);
    assert_true(params.ts == INT64_C(1684083600000000000));
    assert_int_equal(kt_table_set(table, &params, KT_TEXT("ts"), KT_TEXT("yesterday"), &err), KT_SYNTAX);
    assert_string_equal(err.msg,
        "vwap.historical.ts: 'yesterday' is not allowed; allowed is milliseconds since 1970 such "
        "as 1723161255342");
    assert_int_equal(kt_table_set(table, &params, KT_TEXT("ts"), KT_TEXT("99999999999999999999"), &err), KT_RANGE);
    assert_int_equal(kt_table_set(table, &params, KT_TEXT("interval"), KT_TEXT("90000000"), &err), KT_RANGE);
    assert_int_equal(kt_table_set(table, &params, KT_TEXT("tick"), KT_TEXT("BTC"), &err), KT_NOENT);
    assert_string_equal(err.msg, "vwap.historical has no 'tick'; it has: ticker, ts, interval");
}

static void test_bad_json_names_the_field(void **state)
{
    static const struct {
        const char *name;
        const char *json;
        kt_code code;
        const char *contains;
    } rows[] = {
        { "field unknown", "{\"prize\":\"1\"}", KT_NOENT, "tick has no 'prize'; it has: venue_time" },
        { "field wrongly typed", "{\"price\":true}", KT_TYPE, "tick.price: is true; allowed is a decimal" },
        { "field given twice", "{\"price\":\"1\",\"price\":\"2\"}", KT_TWICE, "tick.price: is given twice" },
        { "decimal of 40 digits", "{\"price\":\"1234567890123456789012345678901234567890\"}", KT_RANGE, "tick.price" },
        { "number beyond 64 bits", "{\"trade_number\":18446744073709551616}", KT_RANGE, "tick.trade_number" },
        { "number negative", "{\"trade_number\":-1}", KT_RANGE, "tick.trade_number" },
        { "enum unknown", "{\"side\":\"both\"}", KT_SYNTAX, "allowed is one of: unknown, buy, sell" },
        { "time malformed", "{\"venue_time\":\"noon\"}", KT_SYNTAX, "allowed is a time such as" },
        { "no object", "[]", KT_TYPE, "tick: is an array" },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        kt_json_node nodes[64];
        kt_json_doc doc;
        kt_arena arena;
        kt_err err = { 0 };
        kt_ev_tick tick;
        kt_code code;

        kt_arena_init(&arena, arena_mem, sizeof arena_mem);
        assert_int_equal(kt_json_parse(kt_text_of(rows[i].json), nodes, 64, &doc, &err), KT_OK);
        code = kt_table_read_json(&kt_event_by_kind(KT_EV_TICK)->table, &doc, 0, &arena, &tick, &err);
        if (code != rows[i].code || strstr(err.msg, rows[i].contains) == NULL)
            fail_msg("%s: %s, '%s'", rows[i].name, kt_code_name(code), err.msg);
    }
}

static void test_numbers_beyond_2_53_keep_every_digit(void **state)
{
    static const char json[] = "{\"price\":\"0.000000000000000001\",\"trade_number\":18446744073709551615}";
    kt_json_node nodes[64];
    char text[1024];
    kt_json_writer writer;
    kt_json_doc doc;
    kt_text written;
    kt_arena arena;
    kt_ev_tick tick;

    kt_arena_init(&arena, arena_mem, sizeof arena_mem);
    assert_int_equal(kt_json_parse(kt_text_of(json), nodes, 64, &doc, NULL), KT_OK);
    assert_int_equal(kt_table_read_json(&kt_event_by_kind(KT_EV_TICK)->table, &doc, 0, &arena, &tick, NULL), KT_OK);
    assert_true(tick.trade_number == UINT64_MAX && tick.price.m == 1 && tick.price.scale == 18);
    kt_json_writer_init(&writer, text, sizeof text);
    kt_table_write_json(&kt_event_by_kind(KT_EV_TICK)->table, &tick, &writer);
    assert_int_equal(kt_json_writer_done(&writer, &written), KT_OK);
    text[written.n] = '\0';
    assert_non_null(strstr(text, "\"price\":\"0.000000000000000001\""));
    assert_non_null(strstr(text, "\"trade_number\":18446744073709551615"));
}

static void test_help_lists_every_field(void **state)
{
    char help[4096];
    size_t n = kt_table_help(&kt_event_by_kind(KT_EV_TICK)->table, help, sizeof help);

    assert_true(n < sizeof help);
    assert_int_equal(kt_table_help(&kt_event_by_kind(KT_EV_TICK)->table, NULL, 0), n);
    assert_non_null(strstr(help, "  side             what the taker did (one of: unknown, buy, sell)\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_well_formed),
        cmocka_unit_test(test_every_table_round_trips),
        cmocka_unit_test(test_golden_records_of_version_1),
        cmocka_unit_test(test_shorter_record_gets_defaults),
        cmocka_unit_test(test_longer_record_is_read_as_far_as_known),
        cmocka_unit_test(test_rows_grow_and_shrink_like_records),
        cmocka_unit_test(test_unknown_kind_is_told_apart_from_bad_bytes),
        cmocka_unit_test(test_unknown_enum_number_reads_as_unknown),
        cmocka_unit_test(test_bad_bytes_are_corrupt),
        cmocka_unit_test(test_encode_says_what_it_can_not_write),
        cmocka_unit_test(test_check_names_field_value_and_what_is_allowed),
        cmocka_unit_test(test_set_from_text),
        cmocka_unit_test(test_bad_json_names_the_field),
        cmocka_unit_test(test_numbers_beyond_2_53_keep_every_digit),
        cmocka_unit_test(test_help_lists_every_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
