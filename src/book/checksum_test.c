/* The venue's documents give a book with its checksum; a slow second implementation works on the text as it was sent. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/test_util.h"
#include "book/checksum.h"

enum { LEVELS = 10, TEXT = 32 };

typedef struct text_level {
    char price[TEXT], quantity[TEXT];
} text_level;

/* ---- the second implementation: bit by bit over text ---- */

static uint32_t crc_bits(uint32_t crc, char c)
{
    crc ^= (uint8_t)c;
    for (int bit = 0; bit < 8; bit++)
        crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    return crc;
}

static uint32_t crc_text(uint32_t crc, const char *number)
{
    bool zeros = true;

    for (; *number != '\0'; number++) {
        zeros = zeros && (*number == '0' || *number == '.');
        if (!zeros && *number != '.')
            crc = crc_bits(crc, *number);
    }
    return crc;
}

static uint32_t crc_side(uint32_t crc, const text_level *levels, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < LEVELS; i++)
        crc = crc_text(crc_text(crc, levels[i].price), levels[i].quantity);
    return crc;
}

/* ---- books from text ---- */

static void set(kt_level2 *book, kt_level2_side side, const text_level *level)
{
    const char *texts[] = { level->price, level->quantity };
    uint8_t digits[2] = { 0 };
    kt_decimal values[2];

    for (int i = 0; i < 2; i++) {
        const char *point = strchr(texts[i], '.');

        digits[i] = point != NULL ? (uint8_t)strlen(point + 1) : 0;
        assert_int_equal(kt_decimal_parse(kt_text_of(texts[i]), &values[i]), KT_OK);
    }
    assert_int_equal(kt_level2_set(book, side, values[0], values[1]), KT_OK);
    kt_level2_written(book, digits[0], digits[1]);
}

/* docs.kraken.com, Book checksum (WebSocket v1): the sample of the calculation. */
static void sample_of_the_document(void **state)
{
    static const text_level asks[] = { { "0.05005", "0.00000500" }, { "0.05010", "0.00000500" },
        { "0.05015", "0.00000500" }, { "0.05020", "0.00000500" }, { "0.05025", "0.00000500" },
        { "0.05030", "0.00000500" }, { "0.05035", "0.00000500" }, { "0.05040", "0.00000500" },
        { "0.05045", "0.00000500" }, { "0.05050", "0.00000500" } };
    static const text_level bids[] = { { "0.05000", "0.00000500" }, { "0.04995", "0.00000500" },
        { "0.04990", "0.00000500" }, { "0.04980", "0.00000500" }, { "0.04975", "0.00000500" },
        { "0.04970", "0.00000500" }, { "0.04965", "0.00000500" }, { "0.04960", "0.00000500" },
        { "0.04955", "0.00000500" }, { "0.04950", "0.00000500" } };
    kt_level2 book = { 0 };
    uint32_t checksum = 0;

    for (size_t i = 0; i < LEVELS; i++) {
        set(&book, KT_ASKS, &asks[i]);
        set(&book, KT_BIDS, &bids[i]);
    }
    assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_OK);
    assert_int_equal(checksum, 974947235);
    /* What lies behind the tenth level is not covered. */
    set(&book, KT_ASKS, &(text_level){ "0.05055", "1.00000000" });
    assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_OK);
    assert_int_equal(checksum, 974947235);
    set(&book, KT_ASKS, &(text_level){ "0.05004", "1.00000000" });
    assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_OK);
    assert_int_not_equal(checksum, 974947235);
    kt_level2_done(&book);
}

/* Digits that nobody wrote can not be in the venue's book. */
static void more_digits_than_written(void **state)
{
    kt_level2 book = { 0 };
    uint32_t checksum = 7;

    assert_int_equal(kt_level2_set(&book, KT_BIDS, (kt_decimal){ .m = 15, .scale = 1 }, (kt_decimal){ .m = 1 }), KT_OK);
    assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_RANGE);
    assert_int_equal(checksum, 7);
    kt_level2_written(&book, 18, 0);
    assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_OK);
    kt_level2_written(&book, 0, 18);
    kt_level2_set(&book, KT_BIDS, (kt_decimal){ .m = 15, .scale = 1 }, (kt_decimal){ .m = 10 });
    assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_RANGE);
    kt_level2_done(&book);
}

static void random_books(void **state)
{
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t n = kt_test_cases(2000); n > 0; n--) {
        int price_digits = (int)kt_rng_below(&rng, 9), quantity_digits = (int)kt_rng_below(&rng, 9);
        text_level levels[KT_LEVEL2_SIDES][LEVELS + 5];
        uint32_t counts[KT_LEVEL2_SIDES], checksum = 0, crc;
        kt_level2 book = { 0 };

        for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
            int64_t price = 100000;

            counts[side] = (uint32_t)kt_rng_below(&rng, LEVELS + 6);
            for (uint32_t i = 0; i < counts[side]; i++) {
                price += (side == KT_BIDS ? -1 : 1) * kt_rng_between(&rng, 1, 3000);
                kt_decimal_format(levels[side][i].price, KT_DECIMAL_TEXT_MAX,
                    (kt_decimal){ .m = price, .scale = (uint8_t)price_digits });
                kt_decimal_format(levels[side][i].quantity, KT_DECIMAL_TEXT_MAX,
                    (kt_decimal){
                        .m = kt_rng_between(&rng, 1, n % 2 ? 100 : 1000000) * 10, .scale = (uint8_t)quantity_digits });
                set(&book, side, &levels[side][i]);
            }
        }
        crc = crc_side(0xFFFFFFFFu, levels[KT_ASKS], counts[KT_ASKS]);
        crc = ~crc_side(crc, levels[KT_BIDS], counts[KT_BIDS]);
        assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_OK);
        assert_int_equal(checksum, crc);
        kt_level2_cut(&book, LEVELS);
        assert_true(kt_level2_count(&book, KT_BIDS) == (counts[KT_BIDS] < LEVELS ? counts[KT_BIDS] : LEVELS));
        assert_int_equal(kt_checksum_kraken(&book, &checksum), KT_OK);
        assert_int_equal(checksum, crc);
        kt_level2_done(&book);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_of_the_document),
        cmocka_unit_test(more_digits_than_written),
        cmocka_unit_test(random_books),
    };

    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
