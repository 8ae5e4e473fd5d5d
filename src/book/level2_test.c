/* Price levels, against a slow second implementation: an unordered list of decimals that is searched from end to end. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/test_util.h"
#include "base/text.h"
#include "book/level2.h"

/* ---- the sequence rule, as the venue's document says it ---- */

static const struct {
    const char *name;
    uint64_t snapshot;  /* its last update */
    uint64_t continued; /* the last update placed since, or 0 */
    uint64_t first, last;
    kt_level2_place place;
} places[] = {
    { "ends before the snapshot", 160, 0, 150, 159, KT_LEVEL2_OLD },
    { "ends with the snapshot", 160, 0, 157, 160, KT_LEVEL2_OLD },
    { "the first: reaches over the end of the snapshot", 160, 0, 157, 165, KT_LEVEL2_NEXT },
    { "the first: begins right behind the snapshot", 160, 0, 161, 165, KT_LEVEL2_NEXT },
    { "the first: begins at the snapshot's last update", 160, 0, 160, 161, KT_LEVEL2_NEXT },
    { "the first: begins one later", 160, 0, 162, 165, KT_LEVEL2_GAP },
    { "the next: begins right behind", 160, 165, 166, 166, KT_LEVEL2_NEXT },
    { "the next: begins one later", 160, 165, 167, 170, KT_LEVEL2_GAP },
    { "the next: reaches back", 160, 165, 165, 170, KT_LEVEL2_GAP },
    { "the next: comes again", 160, 165, 161, 165, KT_LEVEL2_OLD },
    { "the greatest numbers", UINT64_MAX - 2, 0, UINT64_MAX - 1, UINT64_MAX, KT_LEVEL2_NEXT },
};

static void rule_of_the_sequence(void **state)
{
    for (size_t i = 0; i < KT_COUNT(places); i++) {
        kt_level2 book = { 0 };

        kt_level2_start(&book, places[i].snapshot);
        if (places[i].continued != 0)
            kt_level2_continue(&book, places[i].continued);
        KT_ROW(places[i].name, kt_level2_place_of(&book, places[i].first, places[i].last) == places[i].place);
    }
}

/* ---- levels ---- */

static kt_decimal decimal(const char *text)
{
    kt_decimal value;

    assert_int_equal(kt_decimal_parse(kt_text_of(text), &value), KT_OK);
    return value;
}

/* "bid 10x1" sets, "bid 10x0" removes; the book is then told as "10x1 9x2 | 11x1", best first. */
static const struct {
    const char *name;
    const char *steps;
    const char *book;
} rows[] = {
    { "an empty book", "", " |" },
    { "best first on both sides", "b 9x1 b 10x2 b 8x3 a 12x1 a 11x2 a 13x3", " 10x2 9x1 8x3 | 11x2 12x1 13x3" },
    { "a quantity replaces what was there", "b 10x1 b 10x5", " 10x5 |" },
    { "nothing left: the level goes", "b 10x1 b 9x1 b 10x0", " 9x1 |" },
    { "removing what is not there is nothing", "a 11x0 a 12x1 a 11x0 a 13x0", " | 12x1" },
    { "equal prices in other digits are one level", "b 10.00x1 b 1e1x2", " 10x2 |" },
    { "a finer price comes later", "b 10x1 b 10.001x2 b 9.5x1", " 10.001x2 10x1 9.5x1 |" },
    { "a finer quantity comes later", "a 10x1 a 11x0.000001", " | 10x1 11x0.000001" },
    { "sides do not mix", "b 10x1 a 10x2", " 10x1 | 10x2" },
};

static void play(kt_level2 *book, const char *steps)
{
    kt_text rest = kt_text_of(steps), side, price, quantity;

    while (rest.n != 0 && kt_text_cut(&rest, ' ', &side) && kt_text_cut(&rest, ' ', &quantity)) {
        kt_decimal p, q;

        assert_true(kt_text_cut(&quantity, 'x', &price));
        assert_int_equal(kt_decimal_parse(price, &p), KT_OK);
        assert_int_equal(kt_decimal_parse(quantity, &q), KT_OK);
        assert_int_equal(kt_level2_set(book, side.s[0] == 'b' ? KT_BIDS : KT_ASKS, p, q), KT_OK);
    }
}

static void tell(const kt_level2 *book, kt_builder *out)
{
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        if (side == KT_ASKS)
            kt_builder_str(out, " |");
        for (uint32_t rank = 0; rank < kt_level2_count(book, side); rank++) {
            kt_decimal price, quantity;

            kt_level2_decimals(book, side, rank, &price, &quantity);
            kt_builder_char(out, ' ');
            kt_builder_decimal(out, price);
            kt_builder_char(out, 'x');
            kt_builder_decimal(out, quantity);
        }
    }
}

static void levels(void **state)
{
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_level2 book = { 0 };
        char text[256];
        kt_builder told;

        kt_builder_init(&told, text, sizeof text);
        play(&book, rows[i].steps);
        tell(&book, &told);
        if (strcmp(text, rows[i].book) != 0)
            fail_msg("%s: '%s' instead of '%s'", rows[i].name, text, rows[i].book);
        kt_level2_done(&book);
    }
}

static void what_does_not_fit_changes_nothing(void **state)
{
    kt_level2 book = { 0 };

    play(&book, "b 9000000000000000000x1");
    assert_int_equal(kt_level2_set(&book, KT_ASKS, decimal("0.01"), decimal("1")), KT_RANGE);
    assert_int_equal(kt_level2_set(&book, KT_BIDS, decimal("1"), decimal("1")), KT_OK);
    assert_int_equal(kt_level2_count(&book, KT_ASKS), 0);
    assert_int_equal(book.price_scale, 0);
    kt_level2_done(&book);
}

/* With as many levels as are kept, the worst is forgotten for a better one, and a worse one is not taken. */
static void the_worst_is_forgotten(void **state)
{
    kt_level2 book = { 0 };

    for (int64_t i = 1; i <= KT_LEVEL2_MAX; i++)
        assert_int_equal(kt_level2_set(&book, KT_ASKS, (kt_decimal){ .m = 10 * i }, (kt_decimal){ .m = i }), KT_OK);
    assert_int_equal(kt_level2_set(&book, KT_ASKS, decimal("1000000"), decimal("1")), KT_OK);
    assert_int_equal(kt_level2_count(&book, KT_ASKS), KT_LEVEL2_MAX);
    assert_int_equal(kt_level2_at(&book, KT_ASKS, KT_LEVEL2_MAX - 1).price.m, 10 * KT_LEVEL2_MAX);
    assert_int_equal(kt_level2_set(&book, KT_ASKS, decimal("15"), decimal("7")), KT_OK);
    assert_int_equal(kt_level2_count(&book, KT_ASKS), KT_LEVEL2_MAX);
    assert_int_equal(kt_level2_at(&book, KT_ASKS, KT_LEVEL2_MAX - 1).price.m, 10 * (KT_LEVEL2_MAX - 1));
    assert_int_equal(kt_level2_at(&book, KT_ASKS, 0).price.m, 10);
    assert_int_equal(kt_level2_at(&book, KT_ASKS, 1).price.m, 15);
    assert_int_equal(kt_level2_at(&book, KT_ASKS, 2).price.m, 20);
    kt_level2_done(&book);
}

/* ---- the slow book ---- */

enum { SLOW_MAX = 4096 };

typedef struct slow_book {
    struct {
        kt_decimal price, quantity;
        kt_level2_side side;
    } at[SLOW_MAX];
    uint32_t count;
} slow_book;

static void slow_set(slow_book *slow, kt_level2_side side, kt_decimal price, kt_decimal quantity)
{
    for (uint32_t i = 0; i < slow->count; i++)
        if (slow->at[i].side == side && kt_decimal_compare(slow->at[i].price, price) == 0)
            slow->at[i] = slow->at[--slow->count];
    if (quantity.m == 0)
        return;
    assert_true(slow->count < SLOW_MAX);
    slow->at[slow->count].side = side;
    slow->at[slow->count].price = price;
    slow->at[slow->count++].quantity = quantity;
}

/* Every level of the book is in the list, in order, and there are as many. */
static void check_equal(const kt_level2 *book, const slow_book *slow)
{
    uint32_t count = 0;

    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        kt_decimal before = { 0 };

        for (uint32_t rank = 0; rank < kt_level2_count(book, side); rank++, count++) {
            kt_decimal price, quantity;
            bool found = false;

            kt_level2_decimals(book, side, rank, &price, &quantity);
            if (rank > 0)
                assert_true(
                    side == KT_BIDS ? kt_decimal_compare(price, before) < 0 : kt_decimal_compare(price, before) > 0);
            for (uint32_t i = 0; i < slow->count && !found; i++)
                found = slow->at[i].side == side && kt_decimal_compare(slow->at[i].price, price) == 0 &&
                        kt_decimal_compare(slow->at[i].quantity, quantity) == 0;
            assert_true(found);
            before = price;
        }
    }
    assert_int_equal(count, slow->count);
}

static void random_books(void **state)
{
    static slow_book slow;
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t run = kt_test_cases(60); run > 0; run--) {
        kt_level2 book = { 0 };
        uint64_t prices = 1 + kt_rng_below(&rng, 400);
        uint8_t finest = (uint8_t)kt_rng_below(&rng, 9);

        slow.count = 0;
        for (uint32_t step = 0; step < 2000; step++) {
            kt_level2_side side = kt_rng_chance(&rng, 0.5) ? KT_BIDS : KT_ASKS;
            kt_decimal price = { .m = 1 + (int64_t)kt_rng_below(&rng, prices) };
            kt_decimal quantity = { .m = kt_rng_chance(&rng, 0.4) ? 0 : 1 + (int64_t)kt_rng_below(&rng, 1000) };

            price.scale = kt_rng_chance(&rng, 0.01) ? finest : 0;
            quantity.scale = kt_rng_chance(&rng, 0.01) ? finest : 0;
            quantity = kt_decimal_canon(quantity);
            price = kt_decimal_canon(price);
            assert_int_equal(kt_level2_set(&book, side, price, quantity), KT_OK);
            slow_set(&slow, side, price, quantity);
            if (step % 100 == 0)
                check_equal(&book, &slow);
        }
        check_equal(&book, &slow);
        kt_level2_done(&book);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_of_the_sequence),
        cmocka_unit_test(levels),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(the_worst_is_forgotten),
        cmocka_unit_test(random_books),
    };

    return cmocka_run_group_tests_name("level2", tests, NULL, NULL);
}
