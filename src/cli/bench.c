/* cli/bench.c - `kontor bench`: how fast a part of kontor is on this machine. */
#include "cli/cli.h"
#include "cli/match_bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The whole file, to be read only; *out_size is what to unmap. */
static const void *map_file(const char *path, size_t *out_size, kt_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about = { 0 };
    void *bytes = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &about) == 0 && about.st_size > 0)
        bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED)
        kt_fail(err, KT_SYS, "cannot read '%s'", path);
    if (fd >= 0)
        close(fd);
    *out_size = (size_t)about.st_size;
    return bytes != MAP_FAILED ? bytes : NULL;
}

static kt_code bench_tape(const char *path, kt_err *err)
{
    size_t size;
    const void *bytes = map_file(path, &size, err);
    const kt_tape *tape = bytes != NULL ? kt_tape_of(bytes, size) : NULL;
    kt_code code = KT_OK;

    if (bytes == NULL)
        return KT_SYS;
    if (tape == NULL)
        code = kt_fail(err, KT_CORRUPT,
            "'%s' is no whole tape of orders: \"MEWL0001\", a header of 80 bytes, records of 32 whose ids, symbols and "
            "prices are within what it says",
            path);
    for (kt_match_ids ids = 0; ids < KT_MATCH_IDS_COUNT && code == KT_OK; ids++) {
        kt_match_figures f;

        if (kt_match_bench_tape(tape, ids, &f)) {
            if (ids == 0)
                printf("%s: %llu trades, hash %016llx, as the tape says\n", path, (unsigned long long)f.outcome.trades,
                    (unsigned long long)f.outcome.hash);
            printf(
                "  %-8s %6.1f ns a command (a plain array of quantities by price: %.1f); one by one p50 %lld, p99 %lld, "
                "p99.9 %lld ns; %.0f bytes a resting order\n",
                kt_match_ids_names[ids], f.command_ns, f.plain_ns, (long long)kt_histogram_quantile(&f.spread, 500),
                (long long)kt_histogram_quantile(&f.spread, 990), (long long)kt_histogram_quantile(&f.spread, 999),
                f.order_bytes);
            fflush(stdout);
        } else {
            code = kt_fail(err, KT_CORRUPT, "'%s', ids %s: %llu trades, hash %016llx; the tape says %llu, %016llx",
                path, kt_match_ids_names[ids], (unsigned long long)f.outcome.trades, (unsigned long long)f.outcome.hash,
                (unsigned long long)tape->trades, (unsigned long long)tape->hash);
        }
    }
    munmap((void *)bytes, size);
    return code;
}

int kt_cli_bench(int argc, char **argv)
{
    kt_err err = { 0 };

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        kt_cli_help(kt_cli_command_of("bench"), stdout);
        return KT_EXIT_OK;
    }
    if (argc < 3 || strcmp(argv[1], "match") != 0 || argv[2][0] == '-') {
        fprintf(stderr, "kontor bench: 'match' and the file of a tape are needed; `kontor bench --help` says more\n");
        return KT_EXIT_USAGE;
    }
    printf("dependent load: 16 KiB %.1f, 256 KiB %.1f, 256 MiB %.1f ns; the clock's own cost: %lld ns\n",
        kt_match_bench_load_ns(16 << 10), kt_match_bench_load_ns(256 << 10), kt_match_bench_load_ns(256 << 20),
        (long long)kt_match_bench_clock_ns());
    for (int i = 2; i < argc; i++)
        if (bench_tape(argv[i], &err) != KT_OK)
            return kt_cli_fail("bench", &err);
    return KT_EXIT_OK;
}
