/* How fast the matching core is. Usage: match_bench, or match_bench TAPE ... (book/match_tape.h).
 *
 * Churn at the touch in five variants, with a second thread that reads and checks every event, and adversaries, as
 * multiples of calm churn (match_streams.h). Each tape is played with handles, with hashed and with direct client ids, in
 * batches as from a journal. The calibration stands beside it: dependent loads, and a tape through a plain array of
 * quantities by price. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
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
#include "match_streams.h"
#include "report.h"

enum { RUNS = 5, BATCH = 256, EVENT_MAX = 1 << 11 };

static kt_match_event *events; /* written over and over, as a ring is */

static void write_over(kt_match_out *out)
{
    out->next = events;
    out->end = events + EVENT_MAX;
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
        double start = (double)bench_core_ns(), ns;

        for (uint32_t i = 0; i < LOADS; i++)
            at = lines[at * LINE];
        __asm__ volatile("" : : "r"(at));
        ns = ((double)bench_core_ns() - start) / LOADS;
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
    size_t orders_size = (count + 1) * sizeof(plain),
           levels_size = (tape->price_max + 2) * tape->symbols * sizeof(uint64_t);
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
                start = (double)bench_core_ns();
            symbol[o->price] -= o->qty;
            *o = r->op == 1 ? (plain){ 0 } : (plain){ r->price, r->qty };
            symbol[o->price] += o->qty;
        }
        times[run] = ((double)bench_core_ns() - start) / (double)tape->timed;
        kt_pages_free(orders, orders_size);
        kt_pages_free(levels, levels_size);
    }
    return bench_median(times, RUNS);
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
            start = (double)bench_core_ns();
            submit_all(match, records + tape->prefill, tape->timed, &out);
            times[run] = ((double)bench_core_ns() - start) / (double)tape->timed;
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
    printf(
        "match %-8s %-8s %6.1f ns a command   one by one p50 %lld p99 %lld p99.9 %lld ns (clock %lld)   %4.0f bytes an order   "
        "%llu trades %016llx exact\n",
        name, ids_names[ids], bench_median(times, RUNS), (long long)kt_histogram_quantile(&spread, 500),
        (long long)kt_histogram_quantile(&spread, 990), (long long)kt_histogram_quantile(&spread, 999),
        (long long)clock_ns(), bytes, (unsigned long long)outcome.trades, (unsigned long long)outcome.hash);
    fflush(stdout);
    kt_pages_free(records, size);
}

/* ---- streams ---- */

/* A ring of two halves: the engine writes one while the reader has the other. */
enum { HALF = 1 << 13, STREAM_COMMANDS = 1000000 };

typedef struct ring {
    kt_match_event *events;
    _Atomic uint64_t written, taken; /* places since the start */
    _Atomic bool ended;
    uint64_t begun;                       /* place where the half that is written begins */
    double waited_ns;                     /* CPU that the writer spent until the reader was done: not the engine's */
    uint64_t acknowledged, trades, wrong; /* the reader's */
} ring;

static void publish(ring *r, const kt_match_out *out)
{
    atomic_store_explicit(
        &r->written, r->begun + (uint64_t)(out->next - (r->events + r->begun % (2 * HALF))), memory_order_release);
}

static void next_half(kt_match_out *out)
{
    ring *r = out->ctx;
    double start;

    for (; out->next < out->end; out->next++)
        *out->next = (kt_match_event){ 0 }; /* no event: the rest stays empty */
    publish(r, out);
    r->begun += HALF;
    start = (double)bench_core_ns();
    while (r->begun - atomic_load_explicit(&r->taken, memory_order_acquire) > HALF)
        sched_yield();
    r->waited_ns += (double)bench_core_ns() - start;
    out->next = r->events + r->begun % (2 * HALF);
    out->end = out->next + HALF;
}

static void *read_ring(void *ctx)
{
    ring *r = ctx;
    uint64_t at = 0;

    for (;;) {
        bool ended = atomic_load_explicit(&r->ended, memory_order_acquire);
        uint64_t written = atomic_load_explicit(&r->written, memory_order_acquire);

        while (at < written) {
            const kt_match_event *event = &r->events[at % (2 * HALF)];
            const kt_match_trade *trade = (const kt_match_trade *)event;

            r->acknowledged += event->kind == KT_MATCH_ACCEPTED || event->kind == KT_MATCH_REJECTED ||
                               event->kind == KT_MATCH_TIMED ||
                               (event->kind == KT_MATCH_CANCELLED && event->why == KT_MATCH_ASKED);
            r->wrong += event->kind != 0 && (event->qty < 0 || event->kind >= KT_MATCH_KIND_COUNT);
            if (event->kind == KT_MATCH_TRADE)
                r->wrong += trade->number != ++r->trades || trade->maker_left < 0 || trade->taker_left < 0;
            at += (uint64_t)(kt_match_next(event) - event);
        }
        atomic_store_explicit(&r->taken, at, memory_order_release);
        if (!ended && written == at)
            sched_yield(); /* for machines that are busy with others */
        if (ended && at == atomic_load_explicit(&r->written, memory_order_acquire))
            return NULL;
    }
}

typedef struct pace {
    double cpu_ns, wall_ns; /* a command */
} pace;

static pace play_stream(const kt_stream *stream)
{
    ring r = { .events = kt_pages_new(2 * HALF * sizeof(kt_match_event)) };
    kt_match_out out = { .next = r.events, .end = r.events + HALF, .more = next_half, .ctx = &r };
    kt_match *match = kt_match_new(&stream->bounds);
    uint64_t measured = stream->count - stream->prefill;
    pthread_t reader;
    double cpu = 0;
    int64_t wall = 0;

    kt_assert(match != NULL && r.events != NULL);
    memset(r.events, 0, 2 * HALF * sizeof(kt_match_event));
    kt_assert(pthread_create(&reader, NULL, read_ring, &r) == 0);
    for (uint64_t i = 0; i < stream->count; i += BATCH) {
        uint64_t end = i + BATCH < stream->count ? i + BATCH : stream->count;

        if (wall == 0 && i >= stream->prefill) {
            cpu = (double)bench_core_ns() - r.waited_ns;
            wall = kt_test_now_ns();
        }
        kt_match_submit(match, stream->commands + i, end - i, &out);
        publish(&r, &out);
    }
    cpu = (double)bench_core_ns() - r.waited_ns - cpu;
    wall = kt_test_now_ns() - wall;
    atomic_store(&r.ended, true);
    pthread_join(reader, NULL);
    kt_assert(r.wrong == 0);
    kt_assert(r.acknowledged == stream->count);
    kt_match_free(match);
    kt_pages_free(r.events, 2 * HALF * sizeof(kt_match_event));
    return (pace){ cpu / (double)measured, (double)wall / (double)measured };
}

static double bench_stream(const kt_stream_spec *spec, kt_match_ids ids, double calm)
{
    kt_stream *stream = kt_stream_new(spec, ids, STREAM_COMMANDS, 1);
    double cpu[RUNS], wall[RUNS], ns;
    double by_fill = spec->sweep_levels != 0 ? (double)(stream->count - stream->prefill + stream->fills) /
                                                   (double)(stream->count - stream->prefill)
                                             : 1;

    for (uint32_t run = 0; run < RUNS; run++) {
        pace p = play_stream(stream);

        cpu[run] = p.cpu_ns / by_fill;
        wall[run] = p.wall_ns;
    }
    ns = bench_median(cpu, RUNS);
    printf("match %-34s %-7s %6.1f ns a %s (%.1f M/s of CPU, %.1f M/s by the clock)", spec->name, ids_names[ids], ns,
        by_fill > 1 ? "command or fill" : "command", 1e3 / ns, 1e3 / bench_median(wall, RUNS));
    if (stream->adds > 0 && stream->cancels > 0)
        printf("   %.0f %% new bests, %.0f %% of orders cancelled, %.0f %% of cancels the newest",
            100.0 * (double)stream->bests / (double)stream->adds,
            100.0 * (double)stream->cancels / (double)stream->adds,
            100.0 * (double)stream->newest / (double)stream->cancels);
    if (calm > 0)
        printf("   %.2f x calm", ns / calm);
    printf("\n");
    fflush(stdout);
    kt_stream_free(stream);
    return ns;
}

static const kt_stream_spec calm_churn = { .name = "calm churn", .swing_percent = 5 };
static const kt_stream_spec hard[] = {
    { .name = "churn, prices swing by 25 %", .swing_percent = 25 },
    { .name = "churn, prices swing by 60 %", .swing_percent = 60 },
    { .name = "churn, a crash of 40 % and back", .swing_percent = 5, .crash_percent = 40 },
    { .name = "churn, 60 % and a crash of 25 %", .swing_percent = 60, .crash_percent = 25 },
    { .name = "churn, every type of order", .swing_percent = 5, .special_percent = 30 },
    { .name = "1 M orders behind the touch", .standing = 1000000 },
    { .name = "the same, 95 % of them cancelled", .standing = 1000000, .gone_percent = 95 },
    { .name = "100,000 at one price, from the middle", .one_level = 100000 },
    { .name = "sweeps through 5,000 levels", .sweep_levels = 5000 },
    { .name = "half the cancels never existed", .swing_percent = 5, .unknown_percent = 33 },
};

static void bench_streams(void)
{
    static const kt_match_ids kinds[] = { KT_MATCH_HASH, KT_MATCH_HANDLES };

    for (size_t k = 0; k < KT_COUNT(kinds); k++) {
        double calm = bench_stream(&calm_churn, kinds[k], 0);

        for (size_t i = 0; i < KT_COUNT(hard); i++)
            bench_stream(&hard[i], kinds[k], calm);
    }
}

int main(int argc, char **argv)
{
    events = kt_pages_new(EVENT_MAX * sizeof *events);
    kt_assert(events != NULL);
    printf(
        "match: CPU time, medians of %d; dependent load from 16 KiB %.1f, 256 KiB %.1f, 4 MiB %.1f, 64 MiB %.1f ns\n",
        RUNS, load_ns(16 << 10), load_ns(256 << 10), load_ns(4 << 20), load_ns(64 << 20));
    if (argc == 1)
        bench_streams();
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
