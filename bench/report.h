/* bench/report.h - the form that every figure has: one row of a table, which people read and bench/run collects.
 *
 *   | what | workload | figure | against | demand | met |
 *
 * Against  a ratio to a calibration or a peer of the same run: figures of two machines, or of two days, can be compared by it.
 * Demand   absolute ones are for the reference machine, and are scaled by what this one does: bench/run measures it once,
 *          before everything else (calibrate.c), and hands it on as KONTOR_BENCH_SPEED, the core's, and KONTOR_BENCH_DISK, the
 *          lesser one of core and disk. Without them (a bench by hand) nothing is scaled.
 * Kept     what a figure with percentiles was made of is a file of its own: the percentile distribution of HdrHistogram (.hgrm), in us,
 *          in the folder that KONTOR_BENCH_HISTOGRAMS names; without it nothing is kept. It is called like the row, less what stands
 *          behind a semicolon: that has been found out. bench/page.py draws them.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "base/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum bench_met { BENCH_MISSED, BENCH_MET, BENCH_NOT_ASKED, BENCH_NOT_MEASURED } bench_met;

typedef struct bench_row {
    const char *what;
    const char *workload;
    const char *figure;
    const char *against; /* NULL: nothing */
    const char *demand;  /* NULL: none */
    bench_met met;
} bench_row;

/* Print it, and flush. */
void bench_print(const bench_row *row);

/* Keep what the row of these two cells was made of: each duration in us; sorts the list. Or a histogram of ns, whose steps are
 * coarser. */
void bench_keep(const char *what, const char *workload, double *list_us, size_t count);
void bench_keep_histogram(const char *what, const char *workload, const kt_histogram *histogram);

/* Text of a cell, kept until the 16th after it. */
const char *bench_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What happens, to stderr: a line without a newline. */
void bench_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Sorts the list. */
double bench_median(double *list, size_t count);

/* Time of a core that this thread has used, in ns: that others have the core meanwhile makes it no slower. */
int64_t bench_core_ns(void);

/* How fast a core of this machine is, the reference machine being 1; and for what waits for the disk. */
double bench_speed(void);
double bench_disk_speed(void);

static inline bench_met bench_is(bool met)
{
    return met ? BENCH_MET : BENCH_MISSED;
}

#endif
