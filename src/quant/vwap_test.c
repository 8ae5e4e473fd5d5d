#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/test_util.h"
#include "quant/naive.h"
#include "quant/vwap.h"

#define S KT_NS_PER_S
#define PRICE(x) ((kt_price){ (x) })
#define QTY(x) ((kt_qty){ (x) })

static kt_blocks *blocks;

static kt_vwap *vwap_make(int64_t span_s, uint32_t *out_window)
{
    kt_vwap *vwap;

    assert_int_equal(kt_vwap_new(blocks, 1000, 1, &vwap), KT_OK);
    assert_int_equal(kt_vwap_window(vwap, span_s, out_window), KT_OK);
    return vwap;
}

static void test_window_ends(void **state)
{
    static const struct {
        const char *name;
        int64_t time_ns;
        bool in;
    } rows[] = {
        { "a trade at the mark itself is in", 100 * S, true },
        { "a ns behind the mark is out", 100 * S + 1, false },
        { "a trade at the window's start is in", 90 * S, true },
        { "a ns before the start is out", 90 * S - 1, false },
        { "a ns behind the start is in", 90 * S + 1, true },
        { "a ns before the mark is in", 100 * S - 1, true },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        uint32_t window;
        kt_vwap *vwap = vwap_make(10, &window);
        kt_vwap_sums sums;

        assert_int_equal(kt_vwap_push(vwap, rows[i].time_ns, PRICE(7), QTY(3)), KT_OK);
        assert_int_equal(kt_vwap_at(vwap, window, 100, &sums), KT_OK);
        if (sums.trades != rows[i].in)
            fail_msg("%s", rows[i].name);
        assert_true(sums.pq == (rows[i].in ? 21 : 0));
        assert_true(sums.q == (rows[i].in ? 3 : 0));
        kt_vwap_free(vwap);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *name;
        int64_t time_ns;
        int64_t price;
        int64_t qty;
        kt_code push;
        kt_code remove;
    } rows[] = {
        { "price zero", 60 * S, 0, 1, KT_ARG, KT_ARG },
        { "price negative", 60 * S, -1, 1, KT_ARG, KT_ARG },
        { "quantity zero", 60 * S, 1, 0, KT_ARG, KT_ARG },
        { "time negative", -1, 1, 1, KT_ARG, KT_ARG },
        { "older than what is kept", 50 * S - 1, 1, 1, KT_SEQ, KT_SEQ },
        { "never pushed, no such cell", 61 * S, 1, 1, KT_OK, KT_NOENT },
        { "never pushed, other price in its cell", 60 * S, 4, 1, KT_OK, KT_NOENT },
        { "more than the cell holds", 60 * S, 5, 6, KT_OK, KT_NOENT },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        uint32_t window;
        kt_vwap *vwap = vwap_make(5, &window);
        kt_vwap_sums sums;

        kt_vwap_forget(vwap, 50);
        assert_int_equal(kt_vwap_push(vwap, 60 * S, PRICE(5), QTY(5)), KT_OK);
        if (kt_vwap_remove(vwap, rows[i].time_ns, PRICE(rows[i].price), QTY(rows[i].qty)) != rows[i].remove)
            fail_msg("remove: %s", rows[i].name);
        assert_int_equal(kt_vwap_at(vwap, window, 60, &sums), KT_OK);
        assert_true(sums.pq == 25 && sums.q == 5 && sums.trades == 1);
        if (kt_vwap_push(vwap, rows[i].time_ns, PRICE(rows[i].price), QTY(rows[i].qty)) != rows[i].push)
            fail_msg("push: %s", rows[i].name);
        kt_vwap_free(vwap);
    }
}

static void test_range(void **state)
{
    uint32_t window;
    kt_vwap *vwap = vwap_make(5, &window);
    kt_vwap_sums before, after;

    assert_int_equal(kt_vwap_push(vwap, 1 * S, PRICE(INT64_MAX), QTY(INT64_MAX)), KT_OK);
    assert_int_equal(kt_vwap_push(vwap, 2 * S, PRICE(INT64_MAX), QTY(INT64_MAX)), KT_OK);
    assert_int_equal(kt_vwap_at(vwap, window, 3, &before), KT_OK);
    assert_int_equal(kt_vwap_push(vwap, 3 * S, PRICE(INT64_MAX), QTY(INT64_MAX)), KT_RANGE);
    assert_int_equal(kt_vwap_rescale(vwap, 10, 1), KT_RANGE);
    assert_int_equal(kt_vwap_at(vwap, window, 3, &after), KT_OK);
    assert_true(kt_sums_equal(&before, &after));
    assert_int_equal(after.trades, 2);
    assert_int_equal(kt_vwap_cell_count(vwap), 2);
    kt_vwap_free(vwap);
}

static void test_full(void **state)
{
    kt_vwap *vwap;

    assert_int_equal(kt_vwap_new(blocks, 3, 1, &vwap), KT_OK);
    for (int64_t s = 1; s <= 3; s++)
        assert_int_equal(kt_vwap_push(vwap, s * S, PRICE(1), QTY(1)), KT_OK);
    assert_int_equal(kt_vwap_push(vwap, 4 * S, PRICE(1), QTY(1)), KT_FULL);
    assert_int_equal(kt_vwap_push(vwap, 3 * S, PRICE(1), QTY(1)), KT_OK); /* its cell is there */
    kt_vwap_forget(vwap, 2);
    assert_int_equal(kt_vwap_push(vwap, 4 * S, PRICE(1), QTY(1)), KT_OK);
    kt_vwap_free(vwap);
}

static void test_price(void **state)
{
    static const struct {
        const char *name;
        kt_i128 pq;
        kt_i128 q;
        uint32_t digits;
        kt_code code;
        int64_t m;
    } rows[] = {
        { "exact", 600, 3, 2, KT_OK, 20000 },
        { "rounds down below the half", 100, 3, 2, KT_OK, 3333 },
        { "rounds up above the half", 200, 3, 2, KT_OK, 6667 },
        { "half goes to the even neighbour, down", 5, 1000, 2, KT_OK, 0 },
        { "half goes to the even neighbour, up", 15, 1000, 2, KT_OK, 2 },
        { "no digits more", 7, 2, 0, KT_OK, 4 },
        { "needs more room than 128 bits for the digits", (kt_i128)1 << 125, (kt_i128)1 << 100, 2, KT_OK, 100LL << 25 },
        { "greatest mantissa", INT64_MAX, 1, 0, KT_OK, INT64_MAX },
        { "one too many", (kt_i128)INT64_MAX + 1, 1, 0, KT_RANGE, 0 },
        { "digits that do not fit", INT64_MAX, 1, 2, KT_RANGE, 0 },
        { "nothing traded", 0, 0, 2, KT_EMPTY, 0 },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_vwap_sums sums = { rows[i].pq, rows[i].q, rows[i].q != 0 };
        int64_t m = 0;

        if (kt_vwap_price(&sums, rows[i].digits, &m) != rows[i].code || m != rows[i].m)
            fail_msg("%s: %lld", rows[i].name, (long long)m);
    }
}

/* Random pushes (in order, late, on whole seconds), removals, questions at rising and falling marks, forgetting,
 * rescaling and rebuilding from cells, each answer compared with the naive list. */
static void series_against_naive(kt_rng *rng, uint32_t steps)
{
    static const int64_t spans[] = { 1, 2, 7, 60, 300 };
    uint32_t windows[KT_COUNT(spans)];
    kt_naive naive = { 0 };
    kt_vwap *vwap;
    int64_t now = kt_rng_between(rng, 0, 2000 * S);
    int64_t marks[KT_COUNT(spans)] = { 0 };
    int64_t kept = 0;

    assert_int_equal(kt_vwap_new(blocks, 4000, KT_COUNT(spans), &vwap), KT_OK);
    for (size_t i = 0; i < KT_COUNT(spans); i++)
        assert_int_equal(kt_vwap_window(vwap, spans[i], &windows[i]), KT_OK);
    for (uint32_t step = 0; step < steps; step++) {
        uint64_t what = kt_rng_below(rng, 100);
        kt_vwap_sums ours, theirs;

        if (what < 55) {
            int64_t time, price = kt_rng_between(rng, 1, 1000000), qty = kt_rng_between(rng, 1, 1000000);

            now += kt_rng_chance(rng, 0.05) ? kt_rng_between(rng, 0, 400 * S) : kt_rng_between(rng, 0, S);
            time = kt_rng_chance(rng, 0.2) ? now - kt_rng_between(rng, 0, 100 * S) : now;
            time = time < 0 ? 0 : time;
            if (kt_rng_chance(rng, 0.3))
                time = time / S * S;
            if (time < kept * S) {
                assert_int_equal(kt_vwap_push(vwap, time, PRICE(price), QTY(qty)), KT_SEQ);
            } else {
                assert_int_equal(kt_vwap_push(vwap, time, PRICE(price), QTY(qty)), KT_OK);
                kt_naive_push(&naive, time, price, qty);
            }
        } else if (what < 65 && naive.count > 0) {
            size_t index = (size_t)kt_rng_below(rng, naive.count);
            kt_naive_trade t = naive.trades[index];

            assert_int_equal(kt_vwap_remove(vwap, t.time_ns, PRICE(t.price), QTY(t.qty)), KT_OK);
            kt_naive_drop(&naive, index);
        } else if (what < 95) {
            size_t i = (size_t)kt_rng_below(rng, KT_COUNT(spans));
            int64_t next, naive_next;
            bool any;

            marks[i] =
                kt_rng_chance(rng, 0.8) ? marks[i] + kt_rng_between(rng, 0, 3) : now / S - kt_rng_between(rng, 0, 50);
            if (kt_rng_chance(rng, 0.1))
                marks[i] = now / S;
            marks[i] = marks[i] < 0 ? 0 : marks[i];
            if (kept > 0 && marks[i] - spans[i] < kept) {
                assert_int_equal(kt_vwap_at(vwap, windows[i], marks[i], &ours), KT_SEQ);
                continue;
            }
            assert_int_equal(kt_vwap_at(vwap, windows[i], marks[i], &ours), KT_OK);
            theirs = kt_naive_at(&naive, spans[i], marks[i]);
            assert_true(kt_sums_equal(&ours, &theirs));
            any = kt_vwap_next(vwap, spans[i], marks[i], &next) == KT_OK;
            assert_int_equal(any, kt_naive_next(&naive, spans[i], marks[i], &naive_next));
            assert_true(!any || next == naive_next);
        } else if (what < 97) {
            kept = now / S - 500 > kept ? now / S - 500 : kept;
            kt_vwap_forget(vwap, kept);
            for (size_t i = naive.count; i-- > 0;)
                if (naive.trades[i].time_ns < kept * S)
                    kt_naive_drop(&naive, i);
        } else {
            kt_vwap *again;
            kt_vwap_cell cell;

            assert_int_equal(kt_vwap_new(blocks, 4000, KT_COUNT(spans), &again), KT_OK);
            for (size_t i = 0; i < KT_COUNT(spans); i++)
                assert_int_equal(kt_vwap_window(again, spans[i], &windows[i]), KT_OK);
            kt_vwap_forget(again, kept);
            for (uint32_t i = 0; i < kt_vwap_cell_count(vwap); i++) {
                kt_vwap_cell_get(vwap, i, &cell);
                assert_int_equal(kt_vwap_cell_put(again, &cell), KT_OK);
            }
            assert_true(kt_vwap_cell_count(vwap) == 0 || kt_vwap_cell_put(again, &cell) == KT_SEQ);
            kt_vwap_free(vwap);
            vwap = again;
        }
    }
    kt_vwap_free(vwap);
    kt_naive_free(&naive);
}

static void test_naive(void **state)
{
    kt_rng rng;
    uint32_t cases = kt_test_cases(200);

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < cases; i++)
        series_against_naive(&rng, 1000);
}

static void test_rescale(void **state)
{
    uint32_t window;
    kt_vwap *vwap = vwap_make(10, &window);
    kt_vwap_sums sums;

    assert_int_equal(kt_vwap_push(vwap, 5 * S, PRICE(3), QTY(4)), KT_OK);
    assert_int_equal(kt_vwap_at(vwap, window, 6, &sums), KT_OK);
    assert_int_equal(kt_vwap_rescale(vwap, 10, 100), KT_OK);
    assert_int_equal(kt_vwap_push(vwap, 6 * S, PRICE(31), QTY(401)), KT_OK);
    assert_int_equal(kt_vwap_at(vwap, window, 7, &sums), KT_OK);
    assert_true(sums.pq == 12000 + 31 * 401 && sums.q == 801 && sums.trades == 2);
    kt_vwap_free(vwap);
}

static int setup(void **state)
{
    blocks = kt_blocks_new();
    return blocks != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    kt_blocks_free(blocks);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_ends),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_price),
        cmocka_unit_test(test_rescale),
        cmocka_unit_test(test_naive),
    };

    return cmocka_run_group_tests_name("vwap", tests, setup, teardown);
}
