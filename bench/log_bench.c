/* How fast the log is, each figure as a ratio to a calibration measured in the same run on the same folder.
 *
 *   log_bench [folder]      default $TMPDIR or /tmp; needs 3 GiB there
 *
 * append+read   10 M records of 128 bytes over 5 pre-written segments, no sync, read with all checks by another process;
 *               against two processes that pass the same bytes through a bare mapping of a file pre-written the same way
 *               (no header, checksum, subjects; the two take turns), and against memcpy between two buffers
 * commit        p50 of a commit of a batch that stands in the mapping (lanes append while the commit before runs), against
 *               pwrite and fdatasync of the same bytes to a file that was pre-written the same way; the two take turns.
 *               "in line" counts the making of the records too, for who appends and then waits
 * hop           from just before the append to the moment another process, awake, has the checked record
 * recovery      opening a log whose last segment holds 10 M records, warm, checksums on; against the checksum of the same
 *               bytes alone
 */
#include "base/hash.h"
#include "base/test_util.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/segment.h"
#include "report.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 5, RECORDS = 10000000, PAYLOAD = 128 - sizeof(kt_rec), SEGMENTS = 5, HOPS = 200000, COMMITS = 300 };
#define SEGMENT_BYTES (UINT64_C(272) << 20)

static char folder[512];

static void die_with(const char *what, const kt_err *err)
{
    fprintf(stderr, "log_bench: %s: %s\n", what, err != NULL ? err->msg : "");
    exit(1);
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(double *list, size_t count, double share)
{
    qsort(list, count, sizeof *list, order);
    return list[(size_t)((double)(count - 1) * share)];
}

static double seconds_since(int64_t start_ns)
{
    return (double)(kt_test_now_ns() - start_ns) / 1e9;
}

static const char *new_dir(void)
{
    static char path[600];
    static int number;

    snprintf(path, sizeof path, "%s/log-%d", folder, number++);
    return path;
}

static kt_log *open_log(const char *dir, uint64_t segment_size, uint32_t ahead, uint32_t *out_subject)
{
    kt_log_options options;
    kt_log *log = NULL;
    kt_err err;

    kt_log_options_init(&options, dir);
    options.segment_size = segment_size;
    options.ahead = ahead;
    options.sync = KT_SYNC_INLINE;
    if (kt_log_open(&options, &log, &err) != KT_OK ||
        kt_log_subject(log, KT_TEXT("bench"), 0, out_subject, &err) != KT_OK)
        die_with("open", &err);
    return log;
}

static void append(kt_log *log, uint32_t subject, int64_t time_ns, const void *payload)
{
    kt_rec_head head = { 1, KT_REC_INPUT, subject, time_ns, 0 };

    if (kt_log_append(log, &head, payload, PAYLOAD, NULL) != KT_OK)
        die_with("append", NULL);
}

/* ---- append and read ---- */

static double memcpy_rate(void)
{
    size_t size = (size_t)64 << 20, total = 0;
    uint8_t *from = malloc(size), *to = malloc(size);

    memset(from, 1, size);
    memset(to, 2, size);
    int64_t start = kt_test_now_ns();
    for (; total < (size_t)RECORDS * 128; total += size) {
        memcpy(to, from, size);
        __asm__ volatile("" ::"r"(to) : "memory");
    }
    double rate = (double)total / 128 / seconds_since(start);
    free(from);
    free(to);
    return rate;
}

typedef struct bare_record {
    uint64_t number; /* stored last; 0: not yet */
    uint8_t payload[120];
} bare_record;
_Static_assert(sizeof(bare_record) == 128, "as large as the log's");

/* A file of zeros, written as the log pre-writes its segments. */
static int prewritten(const char *path, off_t size)
{
    static const uint8_t zeros[4096];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (off_t at = 0; at < size; at += (off_t)sizeof zeros)
        if (pwrite(fd, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros)
            die_with("pwrite", NULL);
    if (fdatasync(fd) != 0)
        die_with("sync", NULL);
    return fd;
}

static void bare_read(const bare_record *list)
{
    uint64_t word, sum = 0;

    for (uint64_t i = 0; i < RECORDS; i++) {
        while (__atomic_load_n(&list[i].number, __ATOMIC_ACQUIRE) == 0)
            for (int pause = 0; pause < 16; pause++)
                kt_relax();
        for (size_t at = 0; at < sizeof list->payload; at += sizeof word) {
            memcpy(&word, list[i].payload + at, sizeof word);
            sum += word;
        }
    }
    __asm__ volatile("" ::"r"(sum));
}

static double bare_pass(void)
{
    uint8_t payload[sizeof((bare_record *)NULL)->payload] = { 1, 2, 3 };
    const size_t size = (size_t)RECORDS * sizeof(bare_record);
    char path[600];
    int status;

    snprintf(path, sizeof path, "%s/bare", folder);
    int fd = prewritten(path, (off_t)size);
    bare_record *list = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (list == MAP_FAILED)
        die_with("mmap", NULL);
    madvise(list, size, MADV_RANDOM);
    pid_t child = fork();
    if (child == 0) {
        bare_read(list);
        _exit(0);
    }
    int64_t start = kt_test_now_ns();
    for (uint64_t i = 0; i < RECORDS; i++) {
        memcpy(list[i].payload, payload, sizeof payload);
        __atomic_store_n(&list[i].number, i + 1, __ATOMIC_RELEASE);
    }
    waitpid(child, &status, 0);
    double rate = RECORDS / seconds_since(start);
    munmap(list, size);
    close(fd);
    unlink(path);
    return rate;
}

static double append_and_read(void)
{
    uint8_t payload[PAYLOAD] = { 1, 2, 3 };
    const char *dir = new_dir();
    uint32_t subject;
    int ends[2], status;
    kt_err err;
    kt_log *log = open_log(dir, SEGMENT_BYTES, SEGMENTS - 1, &subject);

    if (kt_log_prewrite(log, &err) != KT_OK)
        die_with("pre-write", &err);
    if (pipe(ends) != 0)
        die_with("pipe", NULL);
    pid_t child = fork();
    if (child == 0) {
        kt_reader *reader;
        const kt_rec *rec;
        uint64_t count = 0;
        if (kt_reader_open(dir, NULL, &reader, &err) != KT_OK || write(ends[1], "r", 1) != 1)
            _exit(1);
        while (count < RECORDS) {
            kt_code code = kt_reader_next(reader, UINT64_MAX, &rec);
            if (code == KT_OK)
                count += (rec->flags & KT_REC_CONTROL) == 0;
            else if (code != KT_EMPTY)
                _exit(2);
        }
        _exit(0);
    }
    char byte;
    if (read(ends[0], &byte, 1) != 1)
        die_with("reader", NULL);
    int64_t start = kt_test_now_ns();
    for (int64_t i = 0; i < RECORDS; i++)
        append(log, subject, i, payload);
    waitpid(child, &status, 0);
    double rate = RECORDS / seconds_since(start);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die_with("the reader did not get every record", NULL);
    close(ends[0]);
    close(ends[1]);
    kt_log_disown(log);
    kt_test_remove(dir);
    return rate;
}

static void bench_append_and_read(void)
{
    double rates[RUNS], ratios[RUNS], bares[RUNS], copies[RUNS];

    for (int i = 0; i < RUNS; i++) {
        copies[i] = memcpy_rate();
        bares[i] = bare_pass();
        rates[i] = append_and_read();
        ratios[i] = rates[i] / bares[i];
    }
    double rate = percentile(rates, RUNS, 0.5), copy = percentile(copies, RUNS, 0.5);
    double demand = 5e6 * bench_speed();
    bench_print(&(bench_row){ .what = "log",
        .workload = bench_text(
            "append, and read with all checks by another process; %d M records of 128 B, no sync", RECORDS / 1000000),
        .figure = bench_text("%.1f M/s", rate / 1e6),
        .against = bench_text("%.2f of a bare mapping (%.1f M/s), %.2f of memcpy", percentile(ratios, RUNS, 0.5),
            percentile(bares, RUNS, 0.5) / 1e6, rate / copy),
        .demand = bench_text("at least %.1f M/s", demand / 1e6),
        .met = bench_is(rate >= demand) });
}

/* ---- group commit ---- */

static void bench_commit(int batch)
{
    static double all[RUNS * COMMITS];
    double ours[COMMITS], whole[COMMITS], bare[COMMITS], ratios[RUNS], in_line[RUNS], p50s[RUNS], p99s[RUNS];
    static uint8_t bytes[1024 * 128];
    uint8_t payload[PAYLOAD] = { 1, 2, 3 };
    uint32_t subject;
    const char *dir = new_dir();
    char path[600];
    kt_err err;
    kt_log *log = open_log(dir, UINT64_C(512) << 20, 1, &subject);

    snprintf(path, sizeof path, "%s/bare", folder);
    int fd = prewritten(path, (off_t)COMMITS * RUNS * batch * 128 + 4096);
    off_t at = 0;
    if (kt_log_sync(log, &err) != KT_OK)
        die_with("sync", &err);
    memset(bytes, 3, sizeof bytes);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < COMMITS; i++) {
            int64_t start = kt_test_now_ns();
            for (int k = 0; k < batch; k++)
                append(log, subject, k, payload);
            int64_t appended = kt_test_now_ns();
            if (kt_log_sync(log, &err) != KT_OK)
                die_with("sync", &err);
            ours[i] = seconds_since(appended) * 1e6;
            whole[i] = seconds_since(start) * 1e6;
            start = kt_test_now_ns();
            if (pwrite(fd, bytes, (size_t)batch * 128, at) < 0 || fdatasync(fd) != 0)
                die_with("pwrite", NULL);
            bare[i] = seconds_since(start) * 1e6;
            at += batch * 128;
        }
        memcpy(all + run * COMMITS, ours, sizeof ours);
        p50s[run] = percentile(ours, COMMITS, 0.5);
        p99s[run] = percentile(ours, COMMITS, 0.99);
        ratios[run] = p50s[run] / percentile(bare, COMMITS, 0.5);
        in_line[run] = percentile(whole, COMMITS, 0.5) / percentile(bare, COMMITS, 0.5);
    }
    double ratio = percentile(ratios, RUNS, 0.5);
    const char *workload = bench_text("commit of %d record%s, on disk", batch, batch == 1 ? "" : "s");
    bench_keep("log", workload, all, KT_COUNT(all));
    bench_print(&(bench_row){ .what = "log",
        .workload = workload,
        .figure = bench_text("p50 %.0f us, p99 %.0f us", percentile(p50s, RUNS, 0.5), percentile(p99s, RUNS, 0.5)),
        .against = bench_text(
            "%.2fx pwrite and fdatasync; with the making of the records %.2fx", ratio, percentile(in_line, RUNS, 0.5)),
        .demand = "at most 1.15x",
        .met = bench_is(ratio <= 1.15) });
    close(fd);
    unlink(path);
    kt_log_disown(log);
    kt_test_remove(dir);
}

/* ---- hop ---- */

static void bench_hop(void)
{
    uint8_t payload[PAYLOAD] = { 1, 2, 3 };
    double *hops = mmap(NULL, HOPS * sizeof *hops, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double *all = malloc(RUNS * HOPS * sizeof *all);
    double p50[RUNS], p99[RUNS], p999[RUNS], greatest[RUNS];
    const char *workload = "from the append to an awake reader in another process, in memory";
    int status, ends[2];
    kt_err err;

    if (hops == MAP_FAILED || all == NULL)
        die_with("no memory", NULL);
    for (int run = 0; run < RUNS; run++) {
        const char *dir = new_dir();
        uint32_t subject;
        char byte;
        kt_log *log = open_log(dir, UINT64_C(64) << 20, 1, &subject);
        if (pipe(ends) != 0)
            die_with("pipe", NULL);
        pid_t child = fork();
        if (child == 0) {
            kt_reader *reader;
            const kt_rec *rec;
            if (kt_reader_open(dir, NULL, &reader, &err) != KT_OK || write(ends[1], "r", 1) != 1)
                _exit(1);
            for (int i = 0; i < HOPS;) {
                kt_code code = kt_reader_next(reader, UINT64_MAX, &rec);
                if (code == KT_OK && (rec->flags & KT_REC_CONTROL) == 0)
                    hops[i++] = (double)(kt_test_now_ns() - rec->time_ns) / 1e3;
            }
            _exit(0);
        }
        if (read(ends[0], &byte, 1) != 1)
            die_with("reader", NULL);
        for (int i = 0; i < HOPS; i++) {
            int64_t until = kt_test_now_ns() + 5000;
            while (kt_test_now_ns() < until)
                ;
            append(log, subject, kt_test_now_ns(), payload);
        }
        waitpid(child, &status, 0);
        close(ends[0]);
        close(ends[1]);
        memcpy(all + (size_t)run * HOPS, hops, HOPS * sizeof *hops);
        p50[run] = percentile(hops, HOPS, 0.5);
        p99[run] = percentile(hops, HOPS, 0.99);
        p999[run] = percentile(hops, HOPS, 0.999);
        greatest[run] = percentile(hops, HOPS, 1);
        kt_log_disown(log);
        kt_test_remove(dir);
    }
    double half = percentile(p50, RUNS, 0.5), demand = 1 / bench_speed();
    bench_keep("log", workload, all, (size_t)RUNS * HOPS);
    free(all);
    bench_print(&(bench_row){ .what = "log",
        .workload = workload,
        .figure = bench_text("p50 %.2f us, p99 %.2f us", half, percentile(p99, RUNS, 0.5)),
        .against =
            bench_text("p99.9 %.1f us, max %.0f us", percentile(p999, RUNS, 0.5), percentile(greatest, RUNS, 0.5)),
        .demand = bench_text("p50 at most %.2f us", demand),
        .met = bench_is(half <= demand) });
    munmap(hops, HOPS * sizeof *hops);
}

/* ---- recovery ---- */

static void bench_recovery(void)
{
    uint8_t payload[PAYLOAD] = { 1, 2, 3 };
    double rates[RUNS], sums[RUNS];
    uint32_t subject;
    const char *dir = new_dir();
    static uint8_t bytes[64 << 20];
    kt_err err;
    kt_log *log = open_log(dir, UINT64_C(1400) << 20, 1, &subject);

    for (int64_t i = 0; i < RECORDS; i++)
        append(log, subject, i, payload);
    if (kt_log_sync(log, &err) != KT_OK)
        die_with("sync", &err);
    for (int run = 0; run < RUNS; run++) {
        uint32_t crc = 0;
        int64_t start = kt_test_now_ns();
        for (uint64_t done = 0; done < (uint64_t)RECORDS * 128; done += 128)
            crc ^= kt_crc32c(0, bytes + done % sizeof bytes, 128);
        __asm__ volatile("" ::"r"(crc));
        sums[run] = RECORDS / seconds_since(start);
        kt_log_disown(log); /* died */
        start = kt_test_now_ns();
        log = open_log(dir, UINT64_C(1400) << 20, 1, &subject);
        rates[run] = RECORDS / seconds_since(start);
        if (kt_log_recovered(log)->last_seq < RECORDS || kt_log_recovered(log)->clean)
            die_with("recovery did not find every record", NULL);
    }
    kt_log_disown(log);
    kt_test_remove(dir);
    double rate = percentile(rates, RUNS, 0.5), sum = percentile(sums, RUNS, 0.5);
    double demand = 10e6 * bench_speed();
    bench_print(&(bench_row){ .what = "log",
        .workload = bench_text("recovery of %d M records, warm, checksums on", RECORDS / 1000000),
        .figure = bench_text("%.1f M/s", rate / 1e6),
        .against = bench_text("%.2f of the checksums alone (%.0f M/s)", rate / sum, sum / 1e6),
        .demand = bench_text("at least %.1f M/s", demand / 1e6),
        .met = bench_is(rate >= demand) });
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1)
        setenv("TMPDIR", argv[1], 1);
    snprintf(folder, sizeof folder, "%s", kt_test_dir());
    bench_progress("log_bench: append and read");
    bench_append_and_read();
    bench_progress("log_bench: commits");
    bench_commit(1);
    bench_commit(16);
    bench_commit(256);
    bench_progress("log_bench: hop");
    bench_hop();
    bench_progress("log_bench: recovery");
    bench_recovery();
    return 0;
}
