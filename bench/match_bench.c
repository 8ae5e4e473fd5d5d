/* How fast the matching core is: tapes of the generator beside the recordings (cli/match_bench.h), churn at the touch with a
 * second thread that reads and checks every event, and what hurts a book most (match_streams.h). */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/pages.h"
#include "base/test_util.h"
#include "cli/match_bench.h"
#include "match_streams.h"
#include "report.h"

#define GENERATOR "../tools/workload_gen.c"
#define MATCHING "matching" /* first cell of each row */

enum { RUNS = 5, BATCH = KT_MATCH_BENCH_BATCH, STREAM_COMMANDS = 1000000, TAPE_COMMANDS = 5000000 };

/* ---- tapes ---- */

typedef struct tape_spec {
    const char *name;
    double handles_ns, client_ns; /* at most, on the reference machine; 0: see sparse_row */
} tape_spec;

static const tape_spec tapes[] = {
    { "single", 16, 24 },
    { "multi", 50, 55 },
    { "deep", 75, 75 },
    { "sparse", 0, 0 },
};
enum { SINGLE, MULTI, DEEP, SPARSE, TAPES = KT_COUNT(tapes) };

static kt_match_figures figures[TAPES][KT_MATCH_IDS_COUNT];
static double tape_bytes[TAPES]; /* resident at the end, with handles */

static void tell(const char *workload, const char *figure, const char *against, const char *demand, bool met)
{
    bench_print(&(bench_row){ .what = MATCHING,
        .workload = workload,
        .figure = figure,
        .against = against,
        .demand = demand,
        .met = demand != NULL ? bench_is(met) : BENCH_NOT_ASKED });
}

static void tape_row(const tape_spec *spec, kt_match_ids ids, const kt_match_figures *f)
{
    double bound = (ids == KT_MATCH_HANDLES ? spec->handles_ns : spec->client_ns) / bench_speed();

    const char *workload = bench_text("tape %s, ids: %s; %llu trades %016llx exact", spec->name,
        kt_match_ids_names[ids], (unsigned long long)f->outcome.trades, (unsigned long long)f->outcome.hash);

    bench_keep_histogram(MATCHING, workload, &f->spread);
    tell(workload,
        bench_text("%.1f ns a command; one by one p50 %lld, p99 %lld, p99.9 %lld ns", f->command_ns,
            (long long)kt_histogram_quantile(&f->spread, 500), (long long)kt_histogram_quantile(&f->spread, 990),
            (long long)kt_histogram_quantile(&f->spread, 999)),
        bench_text("%.1fx a plain array of quantities by price", f->command_ns / f->plain_ns),
        bound > 0 ? bench_text("at most %.1f ns", bound) : NULL, f->command_ns <= bound);
}

static void tape_rows(void)
{
    const kt_match_figures *single = &figures[SINGLE][KT_MATCH_HANDLES], *deep = &figures[DEEP][KT_MATCH_HANDLES];
    double sparse = figures[SPARSE][KT_MATCH_HANDLES].command_ns / figures[MULTI][KT_MATCH_HANDLES].command_ns;
    int64_t p99_ns = kt_histogram_quantile(&single->spread, 990);

    tell("one by one, tape single, handles",
        bench_text("p99 %lld ns, %lld of it the clock", (long long)p99_ns, (long long)kt_match_bench_clock_ns()), NULL,
        bench_text("at most %.0f ns", 250 / bench_speed()), (double)p99_ns <= 250 / bench_speed());
    tell("memory, tape deep, handles", bench_text("%.0f bytes a resting order", deep->order_bytes), NULL, "at most 80",
        deep->order_bytes <= 80);
    tell("tape sparse, handles", bench_text("%.0f MB", tape_bytes[SPARSE] / 1e6), bench_text("%.2fx multi", sparse),
        "at most 512 MB and 2x", tape_bytes[SPARSE] <= 512e6 && sparse <= 2);
}

static bool run(const char *command)
{
    return system(command) == 0;
}

/* False: the tapes can not be made here, or the trades are wrong. */
static bool bench_tapes(void)
{
    const char *source = kt_test_recordings(GENERATOR), *folder = kt_test_dir();
    char command[2048], path[600];

    snprintf(command, sizeof command, "cc -O2 -w -o '%s/generator' '%s'", folder, source != NULL ? source : "");
    if (source == NULL || !run(command)) {
        bench_print(&(bench_row){ .what = MATCHING,
            .workload = "tapes single, multi, deep, sparse",
            .figure = "no generator " GENERATOR " beside the recordings",
            .met = BENCH_NOT_MEASURED });
        return false;
    }
    snprintf(path, sizeof path, "%s/tape", folder);
    for (size_t i = 0; i < TAPES; i++) {
        char *bytes;
        size_t size = 0;
        const kt_tape *tape;

        bench_progress("match: tape %s", tapes[i].name);
        snprintf(command, sizeof command, "'%s/generator' %s '%s' %u 2>/dev/null", folder, tapes[i].name, path,
            TAPE_COMMANDS);
        bytes = run(command) ? kt_test_read_file(path, &size) : NULL;
        tape = bytes != NULL ? kt_tape_of(bytes, size) : NULL;
        kt_assert(tape != NULL);
        for (kt_match_ids ids = 0; ids < KT_MATCH_IDS_COUNT; ids++) {
            kt_match_figures *f = &figures[i][ids];

            if (!kt_match_bench_tape(tape, ids, f)) {
                tell(bench_text("tape %s, ids: %s", tapes[i].name, kt_match_ids_names[ids]),
                    bench_text("%llu trades %016llx", (unsigned long long)f->outcome.trades,
                        (unsigned long long)f->outcome.hash),
                    NULL, "the trades of the tape", false);
                return false;
            }
            tape_row(&tapes[i], ids, f);
        }
        tape_bytes[i] = figures[i][KT_MATCH_HANDLES].order_bytes * (double)tape->live;
        free(bytes);
    }
    tape_rows();
    return true;
}

/* ---- streams ---- */

/* A ring in chunks: the engine writes one while the reader has those before. Each side's place lies on a line of its own, and is
 * told once a batch or chunk. */
enum { CHUNK = 1 << 11, RING = 8 * CHUNK };

typedef struct ring {
    kt_match_event *events;
    uint64_t begun;                        /* the engine's: where its chunk begins, in places since the start */
    double waited_ns;                      /* CPU that it spent until the reader was far enough: not the engine's */
    _Alignas(64) _Atomic uint64_t written; /* up to here the reader may read */
    _Atomic bool ended;
    _Alignas(64) _Atomic uint64_t taken;  /* up to here it has read */
    uint64_t acknowledged, trades, wrong; /* the reader's */
} ring;

static void publish(ring *r, const kt_match_out *out)
{
    atomic_store_explicit(
        &r->written, r->begun + (uint64_t)(out->next - (r->events + r->begun % RING)), memory_order_release);
}

static void next_chunk(kt_match_out *out)
{
    ring *r = out->ctx;

    for (; out->next < out->end; out->next++)
        *out->next = (kt_match_event){ 0 }; /* no event: the rest stays empty */
    publish(r, out);
    r->begun += CHUNK;
    if (r->begun + CHUNK - atomic_load_explicit(&r->taken, memory_order_acquire) > RING) {
        double start = (double)bench_core_ns();

        while (r->begun + CHUNK - atomic_load_explicit(&r->taken, memory_order_acquire) > RING)
            sched_yield();
        r->waited_ns += (double)bench_core_ns() - start;
    }
    out->next = r->events + r->begun % RING;
    out->end = out->next + CHUNK;
}

static void *read_ring(void *ctx)
{
    ring *r = ctx;
    uint64_t at = 0;

    for (;;) {
        bool ended = atomic_load_explicit(&r->ended, memory_order_acquire);
        uint64_t written = atomic_load_explicit(&r->written, memory_order_acquire);

        if (written == at) {
            if (ended)
                return NULL;
            sched_yield(); /* for machines that are busy with others */
        }
        while (at < written) {
            const kt_match_event *event = &r->events[at % RING];
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
    }
}

typedef struct pace {
    double cpu_ns, wall_ns; /* a command */
} pace;

static pace play_stream(const kt_stream *stream)
{
    ring r = { .events = kt_pages_new(RING * sizeof(kt_match_event)) };
    kt_match_out out = { .next = r.events, .end = r.events + CHUNK, .more = next_chunk, .ctx = &r };
    kt_match *match = kt_match_new(&stream->bounds);
    double measured = (double)(stream->count - stream->prefill), cpu = 0;
    int64_t wall = 0;
    pthread_t reader;

    kt_assert(match != NULL);
    kt_assert(r.events != NULL);
    memset(r.events, 0, RING * sizeof(kt_match_event));
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
    kt_pages_free(r.events, RING * sizeof(kt_match_event));
    return (pace){ cpu / measured, (double)wall / measured };
}

/* Median, CPU time of the engine's thread; sweeps by command and fill. */
static double bench_stream(const kt_stream_spec *spec, kt_match_ids ids, const char **out_about)
{
    kt_stream *stream = kt_stream_new(spec, ids, STREAM_COMMANDS, 1);
    double measured = (double)(stream->count - stream->prefill);
    double cpu[RUNS], wall[RUNS], each = spec->sweep_levels != 0 ? 1 + (double)stream->fills / measured : 1;

    bench_progress("match: %s, ids: %s", spec->name, kt_match_ids_names[ids]);
    for (uint32_t i = 0; i < RUNS; i++) {
        pace p = play_stream(stream);

        cpu[i] = p.cpu_ns / each;
        wall[i] = p.wall_ns / each;
    }
    *out_about =
        stream->adds == 0 || stream->cancels == 0 || stream->takes == 0
            ? ""
            : bench_text("; %.0f %% cancelled, %.0f %% of cancels the newest, %.0f %% new bests, %.2f fills a sweep, "
                         "prices %.0f %% apart",
                  100.0 * (double)stream->cancels / (double)stream->adds,
                  100.0 * (double)stream->newest / (double)stream->cancels,
                  100.0 * (double)stream->bests / (double)stream->adds, (double)stream->fills / (double)stream->takes,
                  100.0 * (stream->high - stream->low) / stream->low);
    kt_stream_free(stream);
    bench_progress("match: by the clock %.1f M/s, reader and waiting included", 1e3 / bench_median(wall, RUNS));
    return bench_median(cpu, RUNS);
}

static const kt_stream_spec churns[] = {
    { .name = "churn, calm", .swing_percent = 5 },
    { .name = "churn, prices swing by 25 %", .swing_percent = 25 },
    { .name = "churn, prices swing by 60 %", .swing_percent = 60 },
    { .name = "churn, a crash of 40 % and its rebound", .swing_percent = 5, .crash_percent = 40 },
    { .name = "churn, 60 % and a crash of 25 %", .swing_percent = 60, .crash_percent = 25 },
};
static const kt_stream_spec all_types = {
    .name = "churn, calm, a tenth of orders of every other type", .swing_percent = 5, .special_percent = 10
};
static const kt_stream_spec adversaries[] = {
    { .name = "1 M orders behind the touch", .swing_percent = 5, .standing = 1000000 },
    { .name = "the same, 95 % of them cancelled", .swing_percent = 5, .standing = 1000000, .gone_percent = 95 },
    { .name = "prices swing by 60 %", .swing_percent = 60 },
    { .name = "100,000 at one price, from the middle", .one_level = 100000 },
    { .name = "sweeps through 5,000 levels, by fill", .sweep_levels = 5000 },
    { .name = "a third are ids that never existed", .swing_percent = 5, .unknown_percent = 33 },
};

static void bench_streams(kt_match_ids ids, bool taped)
{
    const char *name = kt_match_ids_names[ids], *about;
    double calm, worst = 0, ns, single = figures[SINGLE][ids].command_ns;

    for (size_t i = 0; i < KT_COUNT(churns); i++) {
        ns = bench_stream(&churns[i], ids, &about);
        worst = ns > worst ? ns : worst;
        tell(bench_text("%s, ids: %s%s", churns[i].name, name, about), bench_text("%.1f M commands/s", 1e3 / ns),
            "every event read and checked by a second thread", NULL, false);
    }
    tell(bench_text("churn, ids: %s: the worst of five", name), bench_text("%.1f M commands/s", 1e3 / worst), NULL,
        bench_text("at least %.1f M commands/s", 45 * bench_speed()), 1e3 / worst >= 45 * bench_speed());
    calm = bench_stream(&churns[0], ids, &about); /* once more, at the same time of the machine */
    ns = bench_stream(&all_types, ids, &about);
    tell(bench_text("%s, ids: %s", all_types.name, name), bench_text("%.1f ns a command", ns),
        bench_text("%.2fx calm churn", ns / calm), "at most 1.3x", ns <= 1.3 * calm);
    for (size_t i = 0; i < KT_COUNT(adversaries); i++) {
        ns = bench_stream(&adversaries[i], ids, &about);
        tell(bench_text("%s, ids: %s", adversaries[i].name, name), bench_text("%.1f ns a command", ns),
            taped ? bench_text("%.2fx tape single", ns / single) : bench_text("%.2fx calm churn", ns / calm),
            taped ? "at most 4x" : NULL, ns <= 4 * single);
    }
}

int main(void)
{
    bool taped;

    bench_progress("match: dependent loads");
    tell("dependent load, median",
        bench_text("16 KiB %.1f, 256 KiB %.1f, 256 MiB %.1f ns", kt_match_bench_load_ns(16 << 10),
            kt_match_bench_load_ns(256 << 10), kt_match_bench_load_ns(256 << 20)),
        NULL, NULL, false);
    taped = bench_tapes();
    bench_streams(KT_MATCH_HANDLES, taped);
    bench_streams(KT_MATCH_HASH, taped);
    return 0;
}
