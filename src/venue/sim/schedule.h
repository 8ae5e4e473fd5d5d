/* venue/sim/schedule.h - which faults when: a script in YAML.
 *
 *     every: 60s                                             # optional: then it begins again
 *     steps:
 *       - {at: 10s, faults: {drop: 0.05}}                    # from then on
 *       - {at: 20s, for: 8s, faults: {silence: 1}}           # then back to what it was
 *
 * Times are of the market, from its start on: 500ms, 10s, 1.5s, 2m, 1h; at speed max they pass as its trades do. Values are those
 * of --fault, which holds until the first step.
 */
#ifndef KT_VENUE_SIM_SCHEDULE_H
#define KT_VENUE_SIM_SCHEDULE_H

#include "venue/sim/faults.h"

enum {
    KT_SIM_SCHEDULE_MAX = 1024,
    KT_SIM_SCHEDULE_SIZE_MAX = 1 << 16
}; /* changes, two a fault with `for`; bytes of a file */

/* One fault has this value from then on. */
typedef struct kt_sim_change {
    int64_t at_ns; /* after the start of its round */
    uint32_t line;
    uint32_t pair; /* with `for`: this change and the one that ends it have the same; 0: alone */
    bool ends;
    kt_sim_fault fault;
    kt_decimal value;
} kt_sim_change;

/* All zero: nothing changes. */
typedef struct kt_sim_schedule {
    kt_sim_change *changes; /* in order of time */
    uint32_t count;
    uint32_t next;
    int64_t every_ns; /* 0: once */
    int64_t begun_ns; /* of this round, after the start */
} kt_sim_schedule;

/* Read a file, or a text (`name` is for messages), whose changes go on from the values of `first`. KT_SYS, KT_LIMIT, KT_SYNTAX,
 * KT_TYPE, KT_NOENT, KT_TWICE, KT_ARG, KT_RANGE: the message names file, line, and what is allowed. */
kt_code kt_sim_schedule_read(const char *path, const kt_sim_faults *first, kt_sim_schedule *out_schedule, kt_err *err);
kt_code kt_sim_schedule_parse(const char *name, const char *text, size_t size, const kt_sim_faults *first,
    kt_sim_schedule *out_schedule, kt_err *err);
void kt_sim_schedule_done(kt_sim_schedule *schedule);

/* When the next change is due, after the start; INT64_MAX: never. */
int64_t kt_sim_schedule_due(const kt_sim_schedule *schedule);

/* Make the changes that are due at this time after the start. */
void kt_sim_schedule_apply(kt_sim_schedule *schedule, int64_t passed_ns, kt_sim_faults *values);

/* Make no more changes; what the schedule changes is as it was before the first. */
void kt_sim_schedule_end(kt_sim_schedule *schedule, const kt_sim_faults *first, kt_sim_faults *values);

#endif
