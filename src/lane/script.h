/* lane/script.h - runs services on scripted inputs without processes, and checks that they are deterministic. For tests.
 *
 *     kt_script script;
 *     kt_script_open(&script, &(kt_script_options){ .services = services });
 *     kt_script_input(&script, 1000, KT_EV_TICK, kt_text_of("feed.sim.BTC"), &tick);    // at time 1000
 *     kt_script_time(&script, 5000);                                                    // lets timers fire up to 5000
 *     kt_script_each(&script, "trades.>", see, ctx);                                    // outputs so far
 *     kt_script_close(&script);
 *
 * Time is the script's own. Feeds are replaced by the script: requests stand among the outputs, answers are inputs.
 * Anything unexpected aborts with a message, so that tests need no error handling.
 */
#ifndef KT_LANE_SCRIPT_H
#define KT_LANE_SCRIPT_H

#include "lane/lane.h"

typedef struct kt_script_options {
    const char *lane; /* NULL: "test" */
    const kt_service_spec *const *services;
    const kt_config *config;
    const char *dir;     /* data folder; NULL: a new temporary one */
    const char *foreign; /* name of one foreign log that kt_script_foreign() writes; NULL: none */
    uint32_t turn_max;   /* batch size of foreign records; 0: default */
    uint64_t hash_seed;  /* 0: 1 */
    uint64_t seed;       /* of kt_env_random; 0: 1 */
    uint32_t logic;
    uint64_t segment_size; /* 0: 1 MiB */
    bool scatter;          /* allocate odd blocks between those of the services, so that addresses differ */
} kt_script_options;

typedef struct kt_script {
    kt_script_options options;
    char dir[512];
    char name[KT_BOARD_NAME_SIZE];
    kt_lane *lane;
    kt_log *foreign;
    int64_t now_ns;
    void *scattered[64];
} kt_script; /* stays where it is while open */

void kt_script_open(kt_script *script, const kt_script_options *options);
void kt_script_close(kt_script *script);

/* Close as after a kill and open again: recovery. `clean`: stop and start. */
void kt_script_restart(kt_script *script, bool clean);

/* An input at this time (not before that of the former); returns its seq. */
uint64_t kt_script_input(kt_script *script, int64_t time_ns, uint16_t kind, kt_text subject, const void *event);

/* An input with a correlation: the answer to the request at seq `cause`. */
uint64_t kt_script_answer(
    kt_script *script, int64_t time_ns, uint64_t cause, uint16_t kind, kt_text subject, const void *event);

/* A durable record in the foreign log, seen by the lane at kt_script_turn(). */
uint64_t kt_script_foreign(kt_script *script, int64_t time_ns, uint16_t kind, kt_text subject, const void *event);

/* Admit what is there, fire what is due. */
void kt_script_turn(kt_script *script);

/* Move the time, firing timers in the order they are due, each at its own time. */
void kt_script_time(kt_script *script, int64_t time_ns);

/* Every output so far that matches, in order; returns how many. `see` may be NULL to count. Events have their seq. */
uint32_t kt_script_each(
    kt_script *script, const char *pattern, void (*see)(void *ctx, const kt_event *event), void *ctx);

/* Runs `play` on fresh scripts with other hash seeds, allocation addresses and batch sizes, and compares the bytes of all outputs
 * (kind, subject, time, payload; causes only where the batch sizes are the same). Each run ends in a kill and a recovery with
 * yet another hash seed, which compares every output once more. True when all are equal; otherwise prints the first difference. */
bool kt_script_deterministic(const kt_script_options *options, void (*play)(kt_script *script, void *ctx), void *ctx);

#endif
