#include "base/rng.h"

#include "base/assert.h"

static uint64_t rotate_left(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

/* splitmix64: spreads any seed, 0 too, over a state that is never all zero. */
void kt_rng_init(kt_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += UINT64_C(0x9E3779B97F4A7C15));
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        rng->state[i] = z ^ (z >> 31);
    }
}

uint64_t kt_rng_u64(kt_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire (2019): the high half of a 128-bit product, redrawn in the few cases that would be biased. */
uint64_t kt_rng_below(kt_rng *rng, uint64_t bound)
{
    if (bound == 0)
        return 0;
    kt_u128 product = (kt_u128)kt_rng_u64(rng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)product < threshold)
            product = (kt_u128)kt_rng_u64(rng) * bound;
    }
    return (uint64_t)(product >> 64);
}

int64_t kt_rng_between(kt_rng *rng, int64_t low, int64_t high)
{
    kt_assert(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;

    if (span == UINT64_MAX)
        return (int64_t)kt_rng_u64(rng);
    return (int64_t)((uint64_t)low + kt_rng_below(rng, span + 1));
}

double kt_rng_unit(kt_rng *rng)
{
    return (double)(kt_rng_u64(rng) >> 11) * 0x1.0p-53;
}

bool kt_rng_chance(kt_rng *rng, double probability)
{
    return kt_rng_unit(rng) < probability;
}

void kt_rng_fill(kt_rng *rng, void *out, size_t size)
{
    uint8_t *bytes = out;

    while (size > 0) {
        uint64_t word = kt_rng_u64(rng);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(bytes, &word, part);
        bytes += part;
        size -= part;
    }
}
