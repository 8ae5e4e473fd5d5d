/* How fast the matching core is. Usage: match_bench [TAPE ...] (book/match_tape.h).
 *
 * Each tape is played with handles, with hashed and with direct client ids, in batches as from a journal; the calibration
 * stands beside it: dependent loads, and the same tape through a plain array of quantities by price. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/histogram.h"
#include "base/pages.h"
#include "base/rng.h"
#include "base/test_util.h"
#include "book/match_tape.h"

enum { RUNS = 5, BATCH = 256, EVENT_MAX = 1 << 11 };

static kt_match_event *events; /* written over and over, as a ring is */

static void write_over(kt_match_out *out)
{
    out->next = events;
    out->end = events + EVENT_MAX;
}

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(double list[RUNS])
{
    qsort(list, RUNS, sizeof *list, order);
    return list[RUNS / 2];
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long whole = 0, resident = 0;

    if (file == NULL || fscanf(file, "%ld %ld", &whole, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- calibration ---- */

/* One load after the other, each at the place that the one before names, on lines in random order. */
static double load_ns(size_t bytes)
{
    enum { LOADS = 2000000, LINE = 64 / sizeof(uint64_t) };
    size_t count = bytes / 64;
    uint64_t *lines = kt_pages_new(bytes), at = 0;
    kt_rng rng;
    double best = 1e18;

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
        double start = cpu_ns(), ns;

        for (uint32_t i = 0; i < LOADS; i++)
            at = lines[at * LINE];
        __asm__ volatile("" : : "r"(at));
        ns = (cpu_ns() - start) / LOADS;
        best = ns < best ? ns : best;
    }
    kt_pages_free(lines, bytes);
    return best;
}

/* What every book must do at least: find each order and change a sum by price. */
static double plain_array_ns(const kt_tape *tape)
{
    typedef struct plain {
        uint32_t price, qty;
    } plain;
    uint64_t count = kt_tape_count(tape);
    size_t orders_size = (count + 1) * sizeof(plain), levels_size = (tape->price_max + 2) * tape->symbols * sizeof(uint64_t);
    double times[RUNS];

    for (uint32_t run = 0; run < RUNS; run++) {
        plain *orders = kt_pages_new(orders_size);
        uint64_t *levels = kt_pages_new(levels_size);
        double start = 0;

        kt_assert(orders != NULL && levels != NULL);
        for (uint64_t i = 0; i < count; i++) {
            const kt_tape_record *r = &tape->records[i];
            uint64_t *symbol = levels + r->symbol * (tape->price_max + 2);
            plain *o = &orders[r->id];

            if (i == tape->prefill)
                start = cpu_ns();
            symbol[o->price] -= o->qty;
            *o = r->op == 1 ? (plain){ 0 } : (plain){ r->price, r->qty };
            symbol[o->price] += o->qty;
        }
        times[run] = (cpu_ns() - start) / (double)tape->timed;
        kt_pages_free(orders, orders_size);
        kt_pages_free(levels, levels_size);
    }
    return median_of(times);
}

/* ---- tapes ---- */

static const char *const ids_names[] = { "handles", "hash", "direct" };

/* The smallest duration that the clock tells apart from none. */
static int64_t clock_ns(void)
{
    int64_t least = INT64_MAX;

    for (uint32_t i = 0; i < 1000; i++) {
        int64_t start = kt_test_now_ns(), end = kt_test_now_ns();

        least = end - start < least ? end - start : least;
    }
    return least;
}

/* Records as a journal has them, read into commands some at a time: a buffer of commands that stays in the cache. */
static void submit_all(kt_match *match, const kt_tape_record *records, uint64_t count, kt_match_out *out)
{
    static kt_match_command commands[BATCH];

    for (uint64_t i = 0; i < count; i += BATCH) {
        size_t some = count - i < BATCH ? count - i : BATCH;

        for (size_t j = 0; j < some; j++)
            commands[j] = kt_tape_command(&records[i + j]);
        kt_match_submit(match, commands, some, out);
    }
}

static void bench_tape(const char *name, const kt_tape *tape, kt_match_ids ids)
{
    const kt_match_bounds bounds = kt_tape_bounds(tape, ids);
    uint64_t count = kt_tape_count(tape), hash;
    size_t size = count * sizeof(kt_tape_record), resident;
    kt_tape_record *records = kt_pages_new(size); /* with the ids that this engine wants */
    kt_match_out out = { .more = write_over };
    kt_match *match = kt_match_new(&bounds);
    kt_tape_outcome outcome;
    kt_histogram spread = { 0 };
    double times[RUNS], bytes = 0;

    write_over(&out);
    kt_assert(match != NULL && records != NULL);
    if (!kt_tape_play(tape, match, records, &outcome) || !kt_tape_is(tape, &outcome)) {
        printf("match %-8s %-8s WRONG: %llu trades, hash %016llx; the tape says %llu, %016llx\n", name, ids_names[ids],
            (unsigned long long)outcome.trades, (unsigned long long)outcome.hash, (unsigned long long)tape->trades,
            (unsigned long long)tape->hash);
        exit(1);
    }
    hash = kt_match_hash(match);
    kt_match_free(match);
    for (uint32_t run = 0; run <= RUNS; run++) { /* the last measures each command by itself */
        double start;

        resident = resident_bytes();
        match = kt_match_new(&bounds);
        kt_assert(match != NULL);
        submit_all(match, records, tape->prefill, &out);
        if (run < RUNS) {
            start = cpu_ns();
            submit_all(match, records + tape->prefill, tape->timed, &out);
            times[run] = (cpu_ns() - start) / (double)tape->timed;
            bytes = (double)(resident_bytes() - resident) / kt_match_live(match);
        } else {
            for (uint64_t i = tape->prefill; i < count; i++) {
                kt_match_command command = kt_tape_command(&records[i]);
                int64_t before = kt_test_now_ns();

                kt_match_submit(match, &command, 1, &out);
                kt_histogram_add(&spread, kt_test_now_ns() - before, 1);
            }
        }
        kt_assert(kt_match_hash(match) == hash);
        kt_match_free(match);
    }
    printf("match %-8s %-8s %6.1f ns a command   one by one p50 %lld p99 %lld p99.9 %lld ns (clock %lld)   %4.0f bytes an order   "
           "%llu trades %016llx exact\n",
        name, ids_names[ids], median_of(times), (long long)kt_histogram_quantile(&spread, 500),
        (long long)kt_histogram_quantile(&spread, 990), (long long)kt_histogram_quantile(&spread, 999), (long long)clock_ns(), bytes,
        (unsigned long long)outcome.trades, (unsigned long long)outcome.hash);
    fflush(stdout);
    kt_pages_free(records, size);
}

int main(int argc, char **argv)
{
    events = kt_pages_new(EVENT_MAX * sizeof *events);
    kt_assert(events != NULL);
    printf("match: CPU time, medians of %d; dependent load from 16 KiB %.1f, 256 KiB %.1f, 4 MiB %.1f, 64 MiB %.1f ns\n", RUNS, load_ns(16 << 10),
        load_ns(256 << 10), load_ns(4 << 20), load_ns(64 << 20));
    for (int i = 1; i < argc; i++) {
        const char *name = strrchr(argv[i], '/') != NULL ? strrchr(argv[i], '/') + 1 : argv[i];
        size_t size = 0;
        char *bytes = kt_test_read_file(argv[i], &size);
        const kt_tape *tape = bytes != NULL ? kt_tape_of(bytes, size) : NULL;

        if (tape == NULL) {
            fprintf(stderr, "match_bench: '%s' is no tape (book/match_tape.h)\n", argv[i]);
            return 1;
        }
        printf("match %-8s plain array of quantities by price %.1f ns a command\n", name, plain_array_ns(tape));
        for (kt_match_ids ids = 0; ids < KT_MATCH_IDS_COUNT; ids++)
            bench_tape(name, tape, ids);
        free(bytes);
    }
    return 0;
}
