/* cli/simulate.c - `kontor simulate`: seeds, one after the other, and what was found. */
#include "cli/cli.h"
#include "cli/client.h"

#include "base/text.h"
#include "base/time.h"
#include "simulate/simulate.h"

#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHORT_S = 12, SEEDS_MAX = 1000000000 };

typedef struct wanted {
    uint64_t seed, seeds, symbols, clients, rate;
    uint64_t seconds;
    bool verbose;
} wanted;

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    told_to_stop = 1;
}

static kt_code read_plan(int *argc, char **argv, wanted *out_plan, kt_err *err)
{
    const struct {
        const char *flag;
        uint64_t *value;
        uint64_t least, most, unit;
    } rows[] = {
        { "--seed", &out_plan->seed, 0, UINT64_MAX, 1 },
        { "--seeds", &out_plan->seeds, 1, SEEDS_MAX, 1 },
        { "--minutes", &out_plan->seconds, 1, 100000, 60 },
        { "--symbols", &out_plan->symbols, 1, KT_SIMULATE_SYMBOL_MAX, 1 },
        { "--clients", &out_plan->clients, 0, KT_SIMULATE_CLIENT_MAX, 1 },
        { "--rate", &out_plan->rate, 1, 10000, 1 },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        const char *text = NULL;
        uint64_t value = 0;
        kt_code code = kt_cli_take(argc, argv, rows[i].flag, &text, err);

        if (code != KT_OK)
            return code;
        if (text == NULL)
            continue;
        if (kt_text_u64(kt_text_of(text), &value) != KT_OK || value < rows[i].least || value > rows[i].most)
            return kt_fail(err, KT_RANGE, "%s is '%s'; allowed are whole numbers from %llu to %llu", rows[i].flag, text,
                (unsigned long long)rows[i].least, (unsigned long long)rows[i].most);
        *rows[i].value = value * rows[i].unit;
    }
    out_plan->verbose = kt_cli_take_switch(argc, argv, "--verbose");
    return *argc == 0 ? KT_OK : kt_fail(err, KT_ARG, "'%s' is no flag; `kontor simulate --help` lists them", argv[0]);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    return remove(path);
}

static void tell_failure(const wanted *plan, uint64_t seed, const kt_simulate_report *report)
{
    printf("seed %llu FAILED at step %llu, %.6f s: %s\n\nbefore it:\n", (unsigned long long)seed,
        (unsigned long long)report->failed_step, (double)report->virtual_ns / (double)KT_NS_PER_S, report->failure);
    for (uint32_t i = 0; i < report->event_count; i++)
        printf("  %s\n", report->events[i]);
    printf("\nagain: kontor simulate --seed %llu", (unsigned long long)seed);
    if (plan->seconds != SHORT_S)
        printf(" --minutes %llu", (unsigned long long)plan->seconds / 60);
    printf(" --symbols %llu --clients %llu --rate %llu --verbose\n", (unsigned long long)plan->symbols,
        (unsigned long long)plan->clients, (unsigned long long)plan->rate);
}

/* Seeds until one fails, or all have passed, or somebody stops us. */
static int play(const wanted *plan, const char *folder)
{
    static kt_simulate_report report;
    kt_err err = { 0 };
    uint64_t passed = 0;

    for (uint64_t i = 0; i < plan->seeds && !told_to_stop; i++) {
        uint64_t seed = plan->seed + i;
        kt_simulate_options options = { .seed = seed,
            .span_ns = (int64_t)plan->seconds * KT_NS_PER_S,
            .symbol_count = (uint32_t)plan->symbols,
            .client_count = (uint32_t)plan->clients,
            .rate = (double)plan->rate,
            .folder = folder,
            .progress = plan->seeds == 1 ? stderr : NULL,
            .verbose = plan->verbose,
            .stop = &told_to_stop };

        if (kt_simulate(&options, &report, &err) != KT_OK)
            return kt_cli_fail("simulate", &err);
        if (report.failure[0] != '\0') {
            tell_failure(plan, seed, &report);
            return KT_EXIT_FAILED;
        }
        if (report.stopped) {
            fprintf(stderr, "kontor simulate: stopped at %.3f s of seed %llu; nothing was found up to there\n",
                (double)report.virtual_ns / (double)KT_NS_PER_S, (unsigned long long)seed);
            break;
        }
        passed++;
        if (plan->seeds > 1)
            fprintf(stderr, "seed %llu passed: %llu steps, %llu deaths, %llu power cuts, %016llx\n",
                (unsigned long long)seed, (unsigned long long)report.steps, (unsigned long long)report.deaths,
                (unsigned long long)report.power_cuts, (unsigned long long)report.hash);
    }
    if (plan->seeds == 1)
        kt_simulate_print(&report, stdout);
    printf("%llu seed%s passed\n", (unsigned long long)passed, passed == 1 ? "" : "s");
    return passed == plan->seeds ? KT_EXIT_OK : KT_EXIT_FAILED; /* fewer: stopped */
}

int kt_cli_simulate(int argc, char **argv)
{
    wanted plan = { .seed = 1, .seeds = 1, .symbols = 3, .clients = 6, .rate = 20, .seconds = SHORT_S };
    const char *tmp = getenv("TMPDIR");
    char folder[512];
    kt_err err = { 0 };

    argc--; /* the command's own name */
    argv++;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            kt_cli_help(kt_cli_command_of("simulate"), stdout);
            return KT_EXIT_OK;
        }
    if (read_plan(&argc, argv, &plan, &err) != KT_OK) {
        fprintf(stderr, "kontor simulate: %s\n", err.msg);
        return KT_EXIT_USAGE;
    }
    /* In memory: the disk is made up anyway. */
    snprintf(folder, sizeof folder, "%s/kontor-simulate-XXXXXX",
        tmp != NULL                     ? tmp
        : access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                                        : "/tmp");
    if (mkdtemp(folder) == NULL) {
        fprintf(stderr, "kontor simulate: cannot make a folder '%s'\n", folder);
        return KT_EXIT_FAILED;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    int status = play(&plan, folder);
    nftw(folder, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    return status;
}
