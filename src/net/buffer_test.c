#include "base/test.h"
#include "base/test_util.h"
#include "net/buffer.h"

enum { QUEUE_COUNT = 8, SIZE_MAX_EACH = 5000 };

static void bytes_leave_as_they_came_whatever_is_put_and_taken(void **state)
{
    kt_pool pool;
    kt_queue queues[QUEUE_COUNT] = { 0 };
    uint64_t put[QUEUE_COUNT] = { 0 }, taken[QUEUE_COUNT] = { 0 };
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    kt_pool_init(&pool, 1 << 20, 8192);
    for (uint32_t round = 0; round < kt_test_cases(100000); round++) {
        size_t i = (size_t)kt_rng_below(&rng, QUEUE_COUNT), size = 1 + (size_t)kt_rng_below(&rng, 1500);
        kt_queue *queue = &queues[i];
        if (kt_rng_chance(&rng, 0.5)) {
            bool fits = kt_queue_size(queue) + size <= SIZE_MAX_EACH;
            uint8_t *to = kt_queue_extend(queue, &pool, size, SIZE_MAX_EACH);
            assert_int_equal(to != NULL, fits);
            if (to == NULL)
                continue;
            size_t spare = (size_t)kt_rng_below(&rng, size + 1);
            for (size_t k = 0; k < size - spare; k++)
                to[k] = (uint8_t)(put[i]++ * 7);
            kt_queue_trim(queue, &pool, spare);
        } else {
            size = size < kt_queue_size(queue) ? size : kt_queue_size(queue);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(queue->data[queue->at + k], (uint8_t)(taken[i]++ * 7));
            kt_queue_take(queue, &pool, size);
        }
        assert_int_equal(kt_queue_size(queue), put[i] - taken[i]);
        assert_int_equal(queue->data != NULL, kt_queue_size(queue) > 0); /* empty holds nothing */
        assert_true(pool.bytes_cached <= 8192);
    }
    for (size_t i = 0; i < QUEUE_COUNT; i++)
        kt_queue_clear(&queues[i], &pool);
    assert_int_equal(pool.bytes_used, 0);
    kt_pool_done(&pool);
}

static void the_pool_bounds_all_queues_together(void **state)
{
    kt_pool pool;
    kt_queue first = { 0 }, second = { 0 };

    kt_pool_init(&pool, 4096, 0);
    assert_non_null(kt_queue_extend(&first, &pool, 2048, 1 << 20));
    assert_null(kt_queue_extend(&first, &pool, 1, 1 << 20)); /* growing needs the old block and the new at once */
    assert_non_null(kt_queue_extend(&second, &pool, 2000, 1 << 20));
    assert_null(kt_queue_extend(&second, &pool, 2000, 1 << 20));
    assert_int_equal(kt_queue_size(&second), 2000); /* a refusal changes nothing */
    kt_queue_clear(&first, &pool);
    assert_int_equal(pool.bytes_used, 2048);
    assert_int_equal(pool.bytes_cached, 0);
    kt_queue_clear(&second, &pool);
    assert_null(kt_queue_extend(&first, &pool, SIZE_MAX, SIZE_MAX));
    kt_pool_done(&pool);
}

static void the_next_block_is_as_large_as_the_last_was(void **state)
{
    kt_pool pool;
    kt_queue queue = { 0 };

    kt_pool_init(&pool, 1 << 20, 1 << 20);
    for (int i = 0; i < 16; i++)
        assert_non_null(kt_queue_extend(&queue, &pool, 200, 1 << 20));
    kt_queue_take(&queue, &pool, 3200);
    assert_non_null(kt_queue_extend(&queue, &pool, 200, 1 << 20));
    assert_int_equal(queue.cap, 4096);
    for (int i = 0; i < 30; i++) { /* and forgets a burst */
        kt_queue_take(&queue, &pool, 200);
        assert_non_null(kt_queue_extend(&queue, &pool, 200, 1 << 20));
    }
    assert_int_equal(queue.cap, 512);
    kt_queue_clear(&queue, &pool);
    kt_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_leave_as_they_came_whatever_is_put_and_taken),
        cmocka_unit_test(the_pool_bounds_all_queues_together),
        cmocka_unit_test(the_next_block_is_as_large_as_the_last_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
