/* What this machine does with nothing of ours on it, beside the reference machine.
 *
 *   calibrate FILE      writes KONTOR_BENCH_SPEED and KONTOR_BENCH_DISK (report.h) and KONTOR_BENCH_COMPILER to FILE, for a shell */
#include "base/test_util.h"
#include "report.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RUNS = 11, PAGE = 4096, LARGE = 256 << 20, SENDS = 20000, SEND_SIZE = 204, SYNCS = 20, FILE_PAGES = 4096 };

/* performance.md of the reference: GB/s, us, us */
#define REFERENCE_PAGE_GB 132.0
#define REFERENCE_LARGE_GB 17.5
#define REFERENCE_SEND_US 3.5
#define REFERENCE_SYNC_US 110.0

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double memcpy_gb(size_t size, size_t total)
{
    /* Not at the same place of their pages, where each load would wait for a store that only looks like its own. */
    char *from = aligned_alloc(PAGE, size), *to_page = aligned_alloc(PAGE, size + PAGE), *to = to_page + PAGE / 2;
    double rates[RUNS];

    if (from == NULL || to_page == NULL)
        die("memory");
    memset(from, 1, size);
    memset(to, 2, size);
    for (int run = 0; run < RUNS; run++) {
        int64_t start_ns = bench_core_ns();

        for (size_t done = 0; done < total; done += size) {
            memcpy(to, from, size);
            __asm__ volatile("" : : "r"(to) : "memory");
        }
        rates[run] = (double)total / (double)(bench_core_ns() - start_ns);
    }
    free(from);
    free(to_page);
    return bench_median(rates, RUNS);
}

static double send_us(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t at_size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), in;
    static char bytes[1 << 16];
    double each[RUNS];

    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &at_size) != 0 ||
        connect(out, (struct sockaddr *)&at, sizeof at) != 0 || (in = accept(listener, NULL, NULL)) < 0)
        die("sockets");
    for (int run = 0; run < RUNS; run++) {
        int64_t spent_ns = 0;

        for (int i = 0; i < SENDS / RUNS; i++) {
            int64_t start_ns = kt_test_now_ns();

            if (send(out, bytes, SEND_SIZE, 0) != SEND_SIZE)
                die("send");
            spent_ns += kt_test_now_ns() - start_ns;
            if (recv(in, bytes, sizeof bytes, 0) <= 0)
                die("recv");
        }
        each[run] = (double)spent_ns / (SENDS / RUNS) / 1e3;
    }
    close(in);
    close(out);
    close(listener);
    return bench_median(each, RUNS);
}

/* A page of a file that has been written before, as the log's segments are. */
static double sync_us(void)
{
    static char page[PAGE];
    double each[RUNS];
    char path[600];

    snprintf(path, sizeof path, "%s/bare", kt_test_dir());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < FILE_PAGES; i++)
        if (fd < 0 || write(fd, page, PAGE) != PAGE)
            die("write");
    fsync(fd);
    for (int run = 0; run < RUNS; run++) {
        int64_t start_ns = kt_test_now_ns();

        for (int i = 0; i < SYNCS; i++)
            if (pwrite(fd, page, PAGE, (off_t)(run * SYNCS + i) * PAGE) != PAGE || fdatasync(fd) != 0)
                die("fdatasync");
        each[run] = (double)(kt_test_now_ns() - start_ns) / SYNCS / 1e3;
    }
    close(fd);
    return bench_median(each, RUNS);
}

static void tell(const char *workload, const char *figure, double speed)
{
    bench_print(&(bench_row){ .what = "calibration",
        .workload = workload,
        .figure = figure,
        .against = bench_text("%.2f of the reference machine", speed),
        .met = BENCH_NOT_ASKED });
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "w") : NULL;

    if (file == NULL)
        die("usage: calibrate FILE");
    bench_progress("calibrate: memcpy, send, fdatasync");
    double page_gb = memcpy_gb(PAGE, (size_t)1 << 30), large_gb = memcpy_gb(LARGE, LARGE), sent_us = send_us(),
           synced_us = sync_us();
    double speed = page_gb / REFERENCE_PAGE_GB, disk = REFERENCE_SYNC_US / synced_us;

    tell("memcpy of 4 KiB", bench_text("%.1f GB/s", page_gb), speed);
    tell("memcpy of 256 MiB", bench_text("%.1f GB/s", large_gb), large_gb / REFERENCE_LARGE_GB);
    tell("bare send of 204 B, TCP loopback", bench_text("%.2f us", sent_us), REFERENCE_SEND_US / sent_us);
    tell("bare write of 4 KiB and fdatasync, on disk", bench_text("%.0f us", synced_us), disk);
    fprintf(file, "KONTOR_BENCH_SPEED=%.3f\nKONTOR_BENCH_DISK=%.3f\nKONTOR_BENCH_COMPILER='%s'\n", speed,
        disk < speed ? disk : speed, COMPILER);
    return fclose(file) == 0 ? 0 : 1;
}
