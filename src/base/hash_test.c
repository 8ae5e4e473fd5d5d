#include "base/test.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/test_util.h"

/* RFC 3720 appendix B.4, and the check value of the catalogue of CRCs. */
static void published_checksums(void **state)
{
    uint8_t bytes[32];

    assert_int_equal(kt_crc32c(0, "123456789", 9), 0xE3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(kt_crc32c(0, bytes, 32), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(kt_crc32c(0, bytes, 32), 0x62A8AB43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(kt_crc32c(0, bytes, 32), 0x46DD794E);
    assert_int_equal(kt_crc32c(0, NULL, 0), 0);
}

/* One bit at a time: slow, and obviously the polynomial. */
static uint32_t crc_bitwise(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
    }
    return ~crc;
}

static void all_ways_agree_at_every_length_and_split(void **state)
{
    static const size_t sizes[] = { 0, 1, 7, 8, 9, 63, 127, 383, 384, 385, 391, 767, 768, 3071, 3072, 3073, 3456,
        10000 };
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (size_t i = 0; i < KT_COUNT(sizes); i++) {
        uint8_t *data = malloc(sizes[i] + 8);
        assert_non_null(data);
        uint8_t *bytes = data + kt_rng_below(&rng, 8); /* any alignment */
        kt_rng_fill(&rng, bytes, sizes[i]);
        uint32_t expected = crc_bitwise(bytes, sizes[i]);
        size_t split = (size_t)kt_rng_below(&rng, sizes[i] + 1);
        assert_int_equal(kt_crc32c(0, bytes, sizes[i]), expected);
        assert_int_equal(kt_crc32c_table(0, bytes, sizes[i]), expected);
        assert_int_equal(kt_crc32c(kt_crc32c(0, bytes, split), bytes + split, sizes[i] - split), expected);
        free(data);
    }
}

static void hash64_depends_on_every_byte_the_size_and_the_seed(void **state)
{
    for (size_t size = 0; size <= 80; size++) {
        uint8_t bytes[81] = { 0 };
        uint64_t whole = kt_hash64(bytes, size, 7);
        assert_true(whole != kt_hash64(bytes, size, 8));
        assert_true(whole != kt_hash64(bytes, size + 1, 7));
        for (size_t i = 0; i < size; i++) {
            bytes[i] ^= 0x10;
            assert_true(whole != kt_hash64(bytes, size, 7));
            bytes[i] ^= 0x10;
        }
    }
}

static void hash64_reads_no_byte_too_far(void **state)
{
    for (size_t size = 0; size <= 40; size++) {
        uint8_t bytes[40] = { 1, 2, 3 };
        uint8_t *flush = kt_guard_copy(bytes, size);
        assert_true(kt_hash64(flush, size, 0) == kt_hash64(bytes, size, 0));
        assert_int_equal(kt_crc32c(0, flush, size), kt_crc32c(0, bytes, size));
        kt_guard_free(flush, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_checksums),
        cmocka_unit_test(all_ways_agree_at_every_length_and_split),
        cmocka_unit_test(hash64_depends_on_every_byte_the_size_and_the_seed),
        cmocka_unit_test(hash64_reads_no_byte_too_far),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
