/* edge/act.h - the actions that the edge answers itself, from the configuration, the logs it reads and the board of lanes.
 *
 * An action is one function and one row in act.c. It gets its checked parameters and writes its answer, or refuses; it
 * does not wait. Actions of other lanes may have a preparation: what the edge knows better is completed or refused before
 * anybody is asked.
 */
#ifndef KT_EDGE_ACT_H
#define KT_EDGE_ACT_H

#include "base/json.h"
#include "edge/edge.h"
#include "edge/hub.h"
#include "edge/latest.h"
#include "edge/params.h"

struct kt_calls;

enum { KT_ACT_LANE_MAX = 16 };

/* Why each lane ended last, as log house tells. */
typedef struct kt_act_deaths {
    struct {
        char lane[KT_BOARD_NAME_SIZE];
        char reason[KT_BOARD_REASON_SIZE];
    } lanes[KT_ACT_LANE_MAX];
    uint32_t count;
} kt_act_deaths;

/* Take a record of house.lane.>; others change nothing. */
void kt_act_deaths_apply(kt_act_deaths *deaths, const kt_rec *rec);

/* What the edge's actions see. Everything is borrowed. */
typedef struct kt_act_house {
    kt_loop *loop;
    const kt_config *config;
    kt_hub *hub;
    const kt_latest *latest;
    const kt_act_deaths *deaths;
    kt_lane *lane;          /* NULL: alone, as in tests */
    struct kt_calls *calls; /* for the figures of calls */
} kt_act_house;

/* What the system says about a process; zeros: nothing, it is gone. */
typedef struct kt_act_process {
    uint64_t cpu_ns, rss; /* rss in bytes */
    int64_t since_ns;     /* UTC */
} kt_act_process;
kt_act_process kt_act_process_of(int32_t pid);

/* A lane that runs here. The log of the supervisor has a page on the board, too; it never was started. */
bool kt_act_is_lane(const kt_board_page *page);

int64_t kt_act_clock(const kt_act_house *house); /* UTC now */

typedef struct kt_act {
    /* Write the answer as JSON. KT_OK, or what kt_refuse() gave. NULL: another lane answers. */
    kt_code (*own)(const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
    /* Complete or refuse the parameters of another lane's action. NULL: nothing to do. */
    kt_code (*prepare)(const kt_act_house *house, void *params, kt_refusal *out_refusal);
} kt_act;

extern const kt_act kt_acts[KT_ACTION_COUNT];

/* act_price.c */
kt_code kt_act_vwap_latest(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
kt_code kt_act_prepare_historical(const kt_act_house *house, void *params, kt_refusal *out_refusal);

/* act_node.c */
kt_code kt_act_node_list(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
kt_code kt_act_node_services(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
kt_code kt_act_node_actions(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
kt_code kt_act_node_lanes(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
kt_code kt_act_node_logs(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);
kt_code kt_act_node_clients(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal);

#endif
