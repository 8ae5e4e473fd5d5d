#include "cli/match_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/pages.h"
#include "base/rng.h"

enum {
    RUNS = KT_MATCH_BENCH_RUNS,
    EVENT_MAX = 512
}; /* the events stay in the nearest cache, as in a ring that is read at once */

const char *const kt_match_ids_names[KT_MATCH_IDS_COUNT] = {
    [KT_MATCH_HANDLES] = "handles",
    [KT_MATCH_HASH] = "hash",
    [KT_MATCH_DIRECT] = "direct",
};

static kt_match_event events[EVENT_MAX]; /* written over and over */

static void write_over(kt_match_out *out)
{
    out->next = events;
    out->end = events + EVENT_MAX;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double core_ns(void)
{
    return (double)clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *list)
{
    qsort(list, RUNS, sizeof *list, by_size);
    return list[RUNS / 2];
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long whole = 0, resident = 0;

    if (file == NULL || fscanf(file, "%ld %ld", &whole, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

double kt_match_bench_load_ns(size_t bytes)
{
    enum { LOADS = 1000000, LINE = 64 / sizeof(uint64_t) };
    size_t count = bytes / 64;
    uint64_t *lines = kt_pages_new(bytes), at = 0;
    double times[RUNS];
    kt_rng rng;

    kt_assert(lines != NULL);
    kt_rng_init(&rng, 1);
    for (size_t i = 0; i < count; i++)
        lines[i * LINE] = i;
    for (size_t i = count - 1; i > 0; i--) { /* Sattolo: one cycle through all */
        size_t j = kt_rng_below(&rng, i);
        uint64_t line = lines[i * LINE];

        lines[i * LINE] = lines[j * LINE];
        lines[j * LINE] = line;
    }
    for (uint32_t run = 0; run < RUNS; run++) {
        double start = core_ns();

        for (uint32_t i = 0; i < LOADS; i++)
            at = lines[at * LINE];
        __asm__ volatile("" : : "r"(at));
        times[run] = (core_ns() - start) / LOADS;
    }
    kt_pages_free(lines, bytes);
    return median(times);
}

int64_t kt_match_bench_clock_ns(void)
{
    int64_t least = INT64_MAX;

    for (uint32_t i = 0; i < 1000; i++) {
        int64_t start = clock_ns(CLOCK_MONOTONIC), end = clock_ns(CLOCK_MONOTONIC);

        least = end - start < least ? end - start : least;
    }
    return least;
}

/* What every book must do at least: find each order and change a sum by price. */
static double plain_run(const kt_tape *tape)
{
    typedef struct plain {
        uint32_t price, qty;
    } plain;
    uint64_t count = kt_tape_count(tape), row = tape->price_max + 2;
    size_t orders_size = (count + 1) * sizeof(plain), levels_size = row * tape->symbols * sizeof(uint64_t);
    plain *orders = kt_pages_new(orders_size);
    uint64_t *levels = kt_pages_new(levels_size);
    double start = 0, spent;

    kt_assert(orders != NULL);
    kt_assert(levels != NULL);
    for (uint64_t i = 0; i < count; i++) {
        const kt_tape_record *r = &tape->records[i];
        uint64_t *symbol = levels + r->symbol * row;
        plain *o = &orders[r->id];

        if (i == tape->prefill)
            start = core_ns();
        symbol[o->price] -= o->qty;
        *o = r->op == 1 ? (plain){ 0 } : (plain){ r->price, r->qty };
        symbol[o->price] += o->qty;
    }
    spent = core_ns() - start;
    kt_pages_free(orders, orders_size);
    kt_pages_free(levels, levels_size);
    return spent / (double)tape->timed;
}

static void submit_all(kt_match *match, const kt_match_command *commands, uint64_t count)
{
    kt_match_out out = { .more = write_over };

    write_over(&out);
    for (uint64_t i = 0; i < count; i += KT_MATCH_BENCH_BATCH)
        kt_match_submit(match, commands + i, count - i < KT_MATCH_BENCH_BATCH ? count - i : KT_MATCH_BENCH_BATCH, &out);
}

static kt_match *new_match(const kt_tape *tape, kt_match_ids ids)
{
    const kt_match_bounds bounds = kt_tape_bounds(tape, ids);
    kt_match *match = kt_match_new(&bounds);

    kt_assert(match != NULL);
    return match;
}

static double engine_run(
    const kt_tape *tape, kt_match_ids ids, const kt_match_command *commands, double *out_order_bytes)
{
    double before = resident_bytes(), start, spent;
    kt_match *match = new_match(tape, ids);

    submit_all(match, commands, tape->prefill);
    start = core_ns();
    submit_all(match, commands + tape->prefill, tape->timed);
    spent = core_ns() - start;
    *out_order_bytes = (resident_bytes() - before) / kt_match_live(match);
    kt_match_free(match);
    return spent / (double)tape->timed;
}

static void one_by_one(const kt_tape *tape, kt_match_ids ids, const kt_match_command *commands, kt_histogram *spread)
{
    kt_match *match = new_match(tape, ids);

    submit_all(match, commands, tape->prefill);
    for (uint64_t i = tape->prefill; i < kt_tape_count(tape); i++) {
        kt_match_out out = { .next = events, .end = events + EVENT_MAX, .more = write_over };
        int64_t start = clock_ns(CLOCK_MONOTONIC);

        kt_match_submit(match, &commands[i], 1, &out);
        kt_histogram_add(spread, clock_ns(CLOCK_MONOTONIC) - start, 1);
    }
    kt_match_free(match);
}

bool kt_match_bench_tape(const kt_tape *tape, kt_match_ids ids, kt_match_figures *out)
{
    size_t size = kt_tape_count(tape) * sizeof(kt_match_command);
    kt_match_command *commands = kt_pages_new(size); /* with the ids that this engine wants */
    kt_match *match = new_match(tape, ids);
    double engine[RUNS], plain[RUNS];
    bool fine;

    kt_assert(commands != NULL);
    fine = kt_tape_play(tape, match, commands, &out->outcome) && kt_tape_is(tape, &out->outcome);
    kt_match_free(match);
    if (fine) {
        for (uint32_t run = 0; run < RUNS; run++) {
            plain[run] = plain_run(tape);
            engine[run] = engine_run(tape, ids, commands, &out->order_bytes);
        }
        out->spread = (kt_histogram){ 0 };
        one_by_one(tape, ids, commands, &out->spread);
        out->command_ns = median(engine);
        out->plain_ns = median(plain);
    }
    kt_pages_free(commands, size);
    return fine;
}
