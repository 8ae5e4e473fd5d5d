#include "base/test.h"

#include "base/ring.h"
#include "base/test_util.h"

static void bytes_come_out_as_they_went_in(void **state)
{
    uint8_t mem[64], chunk[64], expected[64];
    uint8_t next_in = 0, next_out = 0;
    kt_ring ring;
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    kt_ring_init(&ring, mem, sizeof mem);
    for (uint32_t i = 0; i < kt_test_cases(20000); i++) {
        uint32_t size = (uint32_t)kt_rng_below(&rng, 40);
        if (kt_rng_chance(&rng, 0.5)) {
            for (uint32_t at = 0; at < size; at++)
                chunk[at] = (uint8_t)(next_in + at);
            uint32_t left = kt_ring_left(&ring);
            kt_code code = kt_ring_push(&ring, chunk, size);
            assert_int_equal(code, size <= left ? KT_OK : KT_FULL);
            if (code == KT_OK)
                next_in = (uint8_t)(next_in + size);
        } else {
            uint32_t got = kt_ring_peek(&ring, chunk, size);
            assert_int_equal(got, size < kt_ring_used(&ring) ? size : kt_ring_used(&ring));
            for (uint32_t at = 0; at < got; at++)
                expected[at] = (uint8_t)(next_out + at);
            assert_memory_equal(chunk, expected, got);
            kt_text parts[2];
            uint32_t count = kt_ring_front(&ring, parts);
            assert_int_equal(parts[0].n + parts[1].n, kt_ring_used(&ring));
            assert_int_equal(count, (parts[0].n != 0) + (parts[1].n != 0));
            if (got > 0)
                assert_int_equal((uint8_t)parts[0].s[0], next_out);
            kt_ring_pop(&ring, got);
            next_out = (uint8_t)(next_out + got);
        }
    }
}

static void a_full_ring_takes_all_or_nothing(void **state)
{
    uint8_t mem[8];
    kt_ring ring;

    kt_ring_init(&ring, mem, sizeof mem);
    assert_int_equal(kt_ring_push(&ring, "12345", 5), KT_OK);
    assert_int_equal(kt_ring_push(&ring, "6789", 4), KT_FULL);
    assert_int_equal(kt_ring_used(&ring), 5);
    assert_int_equal(kt_ring_push(&ring, "678", 3), KT_OK);
    assert_int_equal(kt_ring_left(&ring), 0);
    assert_int_equal(kt_ring_push(&ring, "", 0), KT_OK);
}

static void slots_go_round(void **state)
{
    uint32_t mem[5];
    uint32_t in = 0, out = 0;
    kt_slots slots;

    kt_slots_init(&slots, mem, sizeof mem[0], 5);
    assert_null(kt_slots_front(&slots));
    for (int round = 0; round < 50; round++) {
        while (slots.count < 5)
            *(uint32_t *)kt_slots_push(&slots) = in++;
        assert_null(kt_slots_push(&slots));
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(*(uint32_t *)kt_slots_at(&slots, i), out + i);
        assert_null(kt_slots_at(&slots, 5));
        for (int i = 0; i < 1 + round % 5; i++) {
            assert_int_equal(*(uint32_t *)kt_slots_front(&slots), out++);
            kt_slots_pop(&slots);
        }
    }
    *(uint32_t *)kt_slots_push(&slots) = in;
    *(uint32_t *)kt_slots_push(&slots) = in + 1;
    kt_slots_pop_youngest(&slots);
    assert_int_equal(slots.count, 1);
    assert_int_equal(*(uint32_t *)kt_slots_front(&slots), out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(a_full_ring_takes_all_or_nothing),
        cmocka_unit_test(slots_go_round),
    };

    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
