#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TEXTS = 16, TEXT_SIZE = 200 };

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
