/* base/rng.h - a seeded generator (xoshiro256**, Blackman and Vigna 2018, seeded through splitmix64): the same numbers
 * from the same seed on every machine. For simulations, tests and jitter; not for secrets.
 */
#ifndef KT_BASE_RNG_H
#define KT_BASE_RNG_H

#include "base/types.h"

typedef struct kt_rng {
    uint64_t state[4];
} kt_rng;

void kt_rng_init(kt_rng *rng, uint64_t seed);

uint64_t kt_rng_u64(kt_rng *rng);

/* Uniform in [0, bound), without bias; bound 0 gives 0. */
uint64_t kt_rng_below(kt_rng *rng, uint64_t bound);

/* Uniform in [low, high], both in; asserts low <= high. */
int64_t kt_rng_between(kt_rng *rng, int64_t low, int64_t high);

/* Uniform in [0, 1), 53 bits. */
double kt_rng_unit(kt_rng *rng);

/* True with this probability: never at 0 or below, always at 1 or above. */
bool kt_rng_chance(kt_rng *rng, double probability);

void kt_rng_fill(kt_rng *rng, void *out, size_t size);

#endif
