#include "report.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TEXTS = 16, TEXT_SIZE = 200, TICKS = 5 /* points on the way to each half of what is left to 1 */ };

void bench_print(const bench_row *row)
{
    static const char *const words[] = { [BENCH_MISSED] = "**missed**",
        [BENCH_MET] = "met",
        [BENCH_NOT_ASKED] = "",
        [BENCH_NOT_MEASURED] = "**not measured**" };

    printf("| %s | %s | %s | %s | %s | %s |\n", row->what, row->workload, row->figure,
        row->against != NULL ? row->against : "", row->demand != NULL ? row->demand : "", words[row->met]);
    fflush(stdout);
}

const char *bench_text(const char *fmt, ...)
{
    static char texts[TEXTS][TEXT_SIZE];
    static unsigned next;
    char *text = texts[next++ % TEXTS];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, TEXT_SIZE, fmt, args);
    va_end(args);
    return text;
}

void bench_progress(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *list, size_t count)
{
    qsort(list, count, sizeof *list, order);
    return list[count / 2];
}

int64_t bench_core_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- histograms ---- */

/* "log", "commit of 1 record, on disk; 3 tries" is log-commit-of-1-record-on-disk.hgrm; report.py spells it the same way. */
static FILE *open_kept(const char *what, const char *workload)
{
    const char *folder = getenv("KONTOR_BENCH_HISTOGRAMS");
    const char *parts[] = { what, " ", workload };
    char path[4096];
    size_t n;
    FILE *file;

    if (folder == NULL || folder[0] == '\0')
        return NULL;
    n = (size_t)snprintf(path, sizeof path - TEXT_SIZE, "%s/", folder);
    for (int i = 0; i < 3; i++)
        for (const char *at = parts[i]; *at != '\0' && *at != ';' && n < sizeof path - 8; at++)
            if (isalnum((unsigned char)*at))
                path[n++] = (char)tolower((unsigned char)*at);
            else if (path[n - 1] != '-' && path[n - 1] != '/')
                path[n++] = '-';
    n -= path[n - 1] == '-';
    snprintf(path + n, sizeof path - n, ".hgrm");
    file = fopen(path, "we");
    if (file == NULL)
        bench_progress("cannot keep '%s'", path);
    else
        fprintf(file, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    return file;
}

static void close_kept(FILE *file, double mean_us, double max_us, uint64_t total)
{
    fprintf(file, "#[Mean    = %12.3f, Unit           =           us]\n#[Max     = %12.3f, Total count    = %12llu]\n",
        mean_us, max_us, (unsigned long long)total);
    fclose(file);
}

static void put_point(FILE *file, double us, double share, uint64_t total)
{
    uint64_t upto = (uint64_t)(share * (double)total + 0.5);

    if (share < 1)
        fprintf(file, "%12.3f %14.12f %10llu %14.2f\n", us, share, (unsigned long long)upto, 1 / (1 - share));
    else
        fprintf(file, "%12.3f %14.12f %10llu %14s\n", us, share, (unsigned long long)total, "inf");
}

/* The next share: as many steps to 1/2 as from there to 3/4, to 7/8 ... */
static double next_share(double share)
{
    double half = 0.5;

    while (1 - share <= half)
        half /= 2;
    return share + half / TICKS;
}

void bench_keep(const char *what, const char *workload, double *list_us, size_t count)
{
    FILE *file = count > 0 ? open_kept(what, workload) : NULL;
    double sum = 0;

    if (file == NULL)
        return;
    qsort(list_us, count, sizeof *list_us, order);
    for (size_t i = 0; i < count; i++)
        sum += list_us[i];
    for (double share = 0; (1 - share) * (double)count >= 1; share = next_share(share))
        put_point(file, list_us[(size_t)(share * (double)count)], share, count);
    put_point(file, list_us[count - 1], 1, count);
    close_kept(file, sum / (double)count, list_us[count - 1], count);
}

void bench_keep_histogram(const char *what, const char *workload, const kt_histogram *histogram)
{
    FILE *file = histogram->count > 0 ? open_kept(what, workload) : NULL;
    uint64_t count = histogram->count, upto = 0;

    if (file == NULL)
        return;
    put_point(file, (double)kt_histogram_quantile(histogram, 0) / 1e3, 0, count);
    for (uint32_t i = 0; i < KT_HISTOGRAM_COUNT; i++) {
        upto += histogram->counts[i];
        if (histogram->counts[i] > 0)
            put_point(file, (double)kt_histogram_middle(i) / 1e3, (double)upto / (double)count, count);
    }
    close_kept(file, (double)histogram->sum_ns / (double)count / 1e3,
        (double)kt_histogram_quantile(histogram, 1000) / 1e3, count);
}

/* ---- this machine ---- */

static double scale(const char *name)
{
    const char *text = getenv(name);
    double speed = text != NULL ? strtod(text, NULL) : 1;

    return speed > 0 ? speed : 1;
}

double bench_speed(void)
{
    return scale("KONTOR_BENCH_SPEED");
}

double bench_disk_speed(void)
{
    return scale("KONTOR_BENCH_DISK");
}
