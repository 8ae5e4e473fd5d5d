/* simulate/simulate.h - the whole house in one process, on virtual time, on a network and a disk that are made up: to break it
 * wherever it can break, and to see that it keeps its promises.
 *
 * House     the supervisor, lanes market, keep and edge with all that they host, the faulty market (venue/sim) and a crowd of
 *           clients: all of it the code that runs in production, but for the end of a lane's process, libcurl, and the system
 *           calls behind net/net.h, kt_log_io and SQLite's VFS.
 *           Half of the short runs begin in the midst of a market of which REST knows more than the house has seen.
 * Steps     One task is run at a time, picked by the seed among those that have something to do: a turn of a loop, an opening
 *           of a lane, a sync of its log (at any moment between, and at the steps of falling asleep), a turn of the supervisor.
 *           A lane is run when it is woken or a timer of its own is due, and not otherwise: when nobody has anything to do and
 *           a lane sleeps on work, a wake-up was lost. Only then the clock moves on.
 * Mischief  lanes die before any record or call; the power goes; syncs fail, once or for good; the disk is full; connections
 *           are refused, cut, silent and slow; the market breaks what venue/sim/faults.h has.
 * Judged    after each step (judge.h, crowd.h), and at the end, when the mischief is over: every lane is live, every mark has its
 *           validated average, the store holds what the logs say, every client has heard everything.
 * Same      the same options give the same logs, byte by byte, and the same report.
 */
#ifndef KT_SIMULATE_SIMULATE_H
#define KT_SIMULATE_SIMULATE_H

#include "base/error.h"
#include "base/types.h"

#include <signal.h>
#include <stdio.h>

enum {
    KT_SIMULATE_SYMBOL_MAX = 5000,
    KT_SIMULATE_CLIENT_MAX = 2000,
    KT_SIMULATE_EVENTS = 24 /* told with a failure */
};

/* Longer spans have no power cuts: a shadow of large files would cost more than the house. */
#define KT_SIMULATE_CUTS_MAX_NS INT64_C(600000000000)

typedef struct kt_simulate_options {
    uint64_t seed;
    int64_t span_ns; /* of mischief; then it is over and the house comes to rest */
    uint32_t symbol_count;
    uint32_t client_count;
    double rate;                       /* trades a second, of all symbols */
    const char *folder;                /* where logs and store are made; emptied first */
    FILE *progress;                    /* a line now and then; NULL: none */
    bool verbose;                      /* what happens, there too */
    const volatile sig_atomic_t *stop; /* once set: no further step; what was found up to here counts. NULL: never */
} kt_simulate_options;

typedef struct kt_simulate_report {
    uint64_t steps;
    int64_t virtual_ns;
    bool stopped; /* before its end */
    uint64_t deaths, starts, power_cuts, failed_syncs, full_disks, unwritten;
    uint64_t records, values, validated, trades;
    uint64_t links, refused, cut, silent, trickled;
    uint64_t connects, resumes, recovered, messages, questions, answered;
    uint64_t memory_peak, files_peak, disk_peak; /* bytes of the heap, descriptors, bytes on disk */
    uint64_t hash;                               /* of all segments of all logs, and of all that clients heard */
    char failure[512];                           /* ""; else what was found, ... */
    uint64_t failed_step;                        /* ... when ... */
    char events[KT_SIMULATE_EVENTS][256];        /* ... and what had happened before, oldest first */
    uint32_t event_count;
} kt_simulate_report;

/* KT_OK also where a promise was broken: then report->failure says which. Other codes: the simulation itself could not be done. */
kt_code kt_simulate(const kt_simulate_options *options, kt_simulate_report *out_report, kt_err *err);

void kt_simulate_print(const kt_simulate_report *report, FILE *out);

#endif
