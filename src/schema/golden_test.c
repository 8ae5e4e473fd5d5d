/* Records that stand in logs are read for ever (log.md 7): old bytes of every kind give the values that their JSON says. */
#include "schema/golden_v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/test.h"
#include "schema/events.h"

enum { GOLDEN_MAX = 4096, NODE_MAX = 256 };

static uint32_t from_hex(const char *hex, uint8_t *out)
{
    uint32_t size = (uint32_t)strlen(hex) / 2;

    assert_true(size <= GOLDEN_MAX);
    for (uint32_t i = 0; i < size; i++) {
        const char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static kt_text with_quotes(const char *json, char *out)
{
    size_t n = strlen(json);

    assert_true(n < GOLDEN_MAX);
    for (size_t i = 0; i < n; i++)
        out[i] = json[i] == '\'' ? '"' : json[i];
    return (kt_text){ out, n };
}

static void old_records_of_every_kind_are_read(void **state)
{
    static uint8_t bytes[GOLDEN_MAX], made[GOLDEN_MAX], arena_mem[1 << 16];
    static char text[GOLDEN_MAX];

    for (size_t i = 0; i < KT_COUNT(golden_v1); i++) {
        const struct golden_event *golden = &golden_v1[i];
        const kt_event_spec *spec = kt_event_by_kind(golden->kind);
        kt_event_any told, read;
        kt_json_node nodes[NODE_MAX];
        kt_json_doc doc;
        kt_arena arena;
        kt_err err = { 0 };
        uint32_t size = from_hex(golden->hex, bytes), made_size, old_fixed, fixed;

        KT_ROW(golden->json, spec != NULL);
        KT_ROW(golden->json, kt_event_decode(golden->kind, bytes, size, &read) == KT_OK);
        kt_arena_init(&arena, arena_mem, sizeof arena_mem);
        KT_ROW(golden->json, kt_json_parse(with_quotes(golden->json, text), nodes, NODE_MAX, &doc, &err) == KT_OK);
        if (kt_table_read_json(&spec->table, &doc, 0, &arena, &told, &err) != KT_OK)
            fail_msg("%s", err.msg);
        KT_ROW(golden->json, kt_table_equal(&spec->table, &told, &read));

        KT_ROW(golden->json, kt_event_encode(golden->kind, &read, made, sizeof made, &made_size) == KT_OK);
        memcpy(&old_fixed, bytes, sizeof old_fixed);
        memcpy(&fixed, made, sizeof fixed);
        KT_ROW(golden->json, fixed >= old_fixed); /* fields are only appended */
        if (fixed == old_fixed) {                 /* and until one is, nothing else changes either */
            KT_ROW(golden->json, made_size == size);
            KT_ROW(golden->json, memcmp(made, bytes, size) == 0);
        }
    }
}

static void every_kind_has_an_old_record(void **state)
{
    for (uint32_t i = 0; i < kt_event_count; i++) {
        bool found = false;
        for (size_t row = 0; row < KT_COUNT(golden_v1) && !found; row++)
            found = golden_v1[row].kind == kt_events[i].kind;
        KT_ROW(kt_events[i].table.name, found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_records_of_every_kind_are_read),
        cmocka_unit_test(every_kind_has_an_old_record),
    };

    return cmocka_run_group_tests_name("records of version 1", tests, NULL, NULL);
}
