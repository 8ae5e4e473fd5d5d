/* cli/match_bench.h - the matching core on a tape (book/match_tape.h), and what the same machine does without it. For `kontor bench`
 * and bench/match_bench.
 *
 * Times are of the core, in ns: that others have it meanwhile makes nothing slower but what they push out of its caches.
 */
#ifndef KT_CLI_MATCH_BENCH_H
#define KT_CLI_MATCH_BENCH_H

#include "base/histogram.h"
#include "book/match_tape.h"

enum { KT_MATCH_BENCH_RUNS = 5, KT_MATCH_BENCH_BATCH = 256 };

typedef struct kt_match_figures {
    kt_tape_outcome outcome;
    double command_ns; /* median of KT_MATCH_BENCH_RUNS, in batches as from a journal */
    double
        plain_ns; /* median of as many runs in between: a plain array of quantities by price, which finds no trades */
    double order_bytes;  /* memory that the engine has touched, by orders alive at the end */
    kt_histogram spread; /* one by one; each has the clock's own cost in it */
} kt_match_figures;

/* False: a command was refused, or the trades are not those that the tape says; only the outcome is set. */
bool kt_match_bench_tape(const kt_tape *tape, kt_match_ids ids, kt_match_figures *out);

/* One load after the other from a block of that size, each at the place that the one before names. */
double kt_match_bench_load_ns(size_t bytes);

/* The least duration that the clock tells. */
int64_t kt_match_bench_clock_ns(void);

extern const char *const kt_match_ids_names[KT_MATCH_IDS_COUNT];

#endif
