/* simulate/house.h - the processes of the house as tasks of one: the host of the supervisor's lanes.
 *
 * A lane begins as a task of its own (opening takes a step), is turned while it has something to do, and ends as its process
 * would: with the exit code of kt_lane_main(), or killed, and then nothing of it reaches disk or network any more.
 */
#ifndef KT_SIMULATE_HOUSE_H
#define KT_SIMULATE_HOUSE_H

#include "lane/supervisor.h"
#include "schema/config.h"
#include "simulate/vdisk.h"
#include "simulate/vnet.h"

#include <poll.h>

enum { KT_HOUSE_LANES = 3, KT_HOUSE_MARKET = 0, KT_HOUSE_KEEP = 1, KT_HOUSE_EDGE = 2, KT_HOUSE_SUPERVISOR = 3 };

typedef struct kt_house kt_house;

typedef struct kt_house_options {
    kt_vdisk *disk; /* owners are the lanes' numbers, and KT_HOUSE_SUPERVISOR; borrowed, as all here */
    kt_vnet *net;
    kt_rng *rng;
    const int64_t *now_ns; /* the clock: monotonic and UTC */
    const char *yaml;      /* configuration, without the data folder */
    const char *data;
    uint64_t segment_size, retention_bytes; /* of log market; the others have a quarter */
    void (*diag)(void *ctx, kt_level level, const char *line);
    void *ctx;
} kt_house_options;

kt_code kt_house_new(const kt_house_options *options, kt_house **out_house, kt_err *err);
void kt_house_free(kt_house *house); /* kills what runs */

/* Start the supervisor, under a boot of its own. */
kt_code kt_house_boot(kt_house *house, kt_err *err);
const uint8_t *kt_house_boot_id(const kt_house *house);

/* The power went: every process is gone. */
void kt_house_fall(kt_house *house);

/* Descriptors whose readiness wakes a lane; -1: of a lane that is not asleep. */
void kt_house_fds(const kt_house *house, struct pollfd out_fds[KT_HOUSE_LANES]);

/* What can be done now, and when at the earliest something else can (INT64_MAX: never). `fds` have been polled. */
typedef enum kt_house_what { KT_HOUSE_OPEN, KT_HOUSE_TURN, KT_HOUSE_SYNC, KT_HOUSE_SUPERVISE } kt_house_what;
typedef struct kt_house_task {
    kt_house_what what;
    uint32_t lane;
} kt_house_task;
enum { KT_HOUSE_TASK_MAX = 2 * KT_HOUSE_LANES + 1 };
uint32_t kt_house_tasks(
    const kt_house *house, const struct pollfd fds[KT_HOUSE_LANES], kt_house_task *out_tasks, int64_t *out_next_ns);
kt_code kt_house_run(kt_house *house, kt_house_task task, kt_err *err);

/* A lane that sleeps although there is work; NULL: none. Asked when nobody has anything to do. */
const char *kt_house_overslept(const kt_house *house);

const char *kt_house_lane_name(uint32_t lane);
bool kt_house_lives(const kt_house *house, uint32_t lane); /* it is open */
bool kt_house_all_live(const kt_house *house);
const char *kt_house_parked(kt_house *house); /* name and reason of a lane that is; NULL: none */
void kt_house_stop(kt_house *house);
bool kt_house_stopped(const kt_house *house);

typedef struct kt_house_counts {
    uint64_t starts, deaths;
} kt_house_counts;
kt_house_counts kt_house_count(const kt_house *house);

#endif
