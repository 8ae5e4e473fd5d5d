#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/test_util.h"

enum { KEYS = 40, ENTRIES = 24 };

/* Against an array that is looked up by the key itself. Few keys, so that runs of probes grow and shrink all the
 * time. */
static void u64_agrees_with_an_array(void **state)
{
    bool there[KEYS] = { false };
    uint32_t values[KEYS] = { 0 };
    uint32_t count = 0;
    kt_map_u64 map;
    kt_rng rng;
    void *mem = malloc(kt_map_u64_mem_size(ENTRIES));

    assert_non_null(mem);
    kt_rng_init(&rng, kt_test_seed());
    kt_map_u64_init(&map, mem, ENTRIES, kt_rng_u64(&rng));
    for (uint32_t i = 0; i < kt_test_cases(100000); i++) {
        uint32_t key = (uint32_t)kt_rng_below(&rng, KEYS);
        uint32_t value = 0;
        if (kt_rng_chance(&rng, 0.5)) {
            kt_code expected = there[key] || count < ENTRIES ? KT_OK : KT_FULL;
            assert_int_equal(kt_map_u64_put(&map, key, i), expected);
            if (expected == KT_OK) {
                count += !there[key];
                there[key] = true;
                values[key] = i;
            }
        } else {
            assert_int_equal(kt_map_u64_remove(&map, key), there[key] ? KT_OK : KT_NOENT);
            count -= there[key];
            there[key] = false;
        }
        assert_int_equal(map.count, count);
        key = (uint32_t)kt_rng_below(&rng, KEYS);
        assert_int_equal(kt_map_u64_get(&map, key, &value), there[key] ? KT_OK : KT_NOENT);
        if (there[key])
            assert_int_equal(value, values[key]);
    }
    kt_map_u64_clear(&map);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_int_equal(kt_map_u64_get(&map, key, &values[key]), KT_NOENT);
    free(mem);
}

static void text_agrees_with_an_array(void **state)
{
    char keys[KEYS][12];
    bool there[KEYS] = { false };
    uint32_t values[KEYS] = { 0 };
    uint32_t count = 0;
    kt_map_text map;
    kt_rng rng;
    void *mem = malloc(kt_map_text_mem_size(ENTRIES));

    assert_non_null(mem);
    for (int key = 0; key < KEYS; key++)
        snprintf(keys[key], sizeof keys[key], "%.*s%d", key % 4, "SYM", key);
    keys[0][0] = '\0'; /* the empty text is a key, too */
    kt_rng_init(&rng, kt_test_seed());
    kt_map_text_init(&map, mem, ENTRIES, kt_rng_u64(&rng));
    for (uint32_t i = 0; i < kt_test_cases(100000); i++) {
        uint32_t key = (uint32_t)kt_rng_below(&rng, KEYS);
        uint32_t value = 0;
        if (kt_rng_chance(&rng, 0.5)) {
            kt_code expected = there[key] || count < ENTRIES ? KT_OK : KT_FULL;
            assert_int_equal(kt_map_text_put(&map, kt_text_of(keys[key]), i), expected);
            if (expected == KT_OK) {
                count += !there[key];
                there[key] = true;
                values[key] = i;
            }
        } else {
            assert_int_equal(kt_map_text_remove(&map, kt_text_of(keys[key])), there[key] ? KT_OK : KT_NOENT);
            count -= there[key];
            there[key] = false;
        }
        assert_int_equal(map.count, count);
        key = (uint32_t)kt_rng_below(&rng, KEYS);
        assert_int_equal(kt_map_text_get(&map, kt_text_of(keys[key]), &value), there[key] ? KT_OK : KT_NOENT);
        if (there[key])
            assert_int_equal(value, values[key]);
    }
    kt_map_text_clear(&map);
    assert_int_equal(map.count, 0);
    free(mem);
}

static void extreme_keys_are_keys(void **state)
{
    _Alignas(8) uint8_t mem[256];
    uint32_t value = 0;
    kt_map_u64 map;

    assert_true(kt_map_u64_mem_size(3) <= sizeof mem);
    kt_map_u64_init(&map, mem, 3, 0);
    assert_int_equal(kt_map_u64_put(&map, 0, 1), KT_OK);
    assert_int_equal(kt_map_u64_put(&map, UINT64_MAX, 2), KT_OK);
    assert_int_equal(kt_map_u64_put(&map, 0, 3), KT_OK);
    assert_int_equal(kt_map_u64_get(&map, 0, &value), KT_OK);
    assert_int_equal(value, 3);
    assert_int_equal(map.count, 2);
    assert_int_equal(kt_map_u64_get(&map, 7, &value), KT_NOENT);
    assert_int_equal(value, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64_agrees_with_an_array),
        cmocka_unit_test(text_agrees_with_an_array),
        cmocka_unit_test(extreme_keys_are_keys),
    };

    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
