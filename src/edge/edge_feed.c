#include "edge/edge.h"

#include "bus/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct edge_feed {
    kt_lane *lane;
    kt_edge *edge;
    const char *names[4]; /* of the logs; the last is the lane's own */
    uint32_t open_count;  /* calls whose answer is still to come; the bus ends them after the feed has stopped */
} edge_feed;

static void feed_free(edge_feed *feed)
{
    if (feed->edge == NULL && feed->open_count == 0)
        free(feed);
}

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    edge_feed *feed = ctx;

    feed->open_count--;
    if (feed->edge != NULL)
        kt_edge_answer(feed->edge, id, code, body);
    else
        feed_free(feed);
}

static kt_code ask_lane(void *ctx, const kt_edge_question *question)
{
    edge_feed *feed = ctx;
    kt_code code = kt_bus_call_start(kt_lane_bus(feed->lane),
        &(kt_bus_call_spec){ .action = question->action,
            .to = question->lane,
            .params = question->params,
            .trace = question->trace,
            .id = question->id,
            .timeout_ns = question->timeout_ns,
            .on_answer = on_answer,
            .ctx = feed },
        NULL, NULL);

    feed->open_count += code == KT_OK;
    return code;
}

static void alert(void *ctx, const char *text)
{
    edge_feed *feed = ctx;
    kt_ev_alert event;

    kt_event_init(KT_EV_ALERT, &event);
    event.level = KT_LEVEL_ERROR;
    event.subject = KT_TEXT("edge.tls_certificate");
    event.text = kt_text_of(text);
    kt_lane_input(feed->lane, KT_EV_ALERT, KT_TEXT("edge.alert"), 0, &event, NULL);
}

static void feed_stop(void *state)
{
    edge_feed *feed = state;

    if (feed == NULL)
        return;
    kt_edge_leave(feed->edge);
    kt_edge_close(feed->edge);
    feed->edge = NULL;
    feed_free(feed);
}

static kt_code feed_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    kt_code code;
    char dirs[4][4096];
    kt_edge_source sources[4];
    edge_feed *feed = calloc(1, sizeof *feed);

    if (feed == NULL)
        return kt_fail(err, KT_SYS, "no memory for the edge");
    *feed = (edge_feed){ .lane = lane, .names = { "market", "keep", "house", kt_lane_name(lane) } };
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(dirs[i], sizeof dirs[i], "%s/%s", kt_lane_data_dir(lane), feed->names[i]);
        sources[i] = (kt_edge_source){ .name = feed->names[i], .dir = dirs[i] };
    }
    code = kt_edge_open(&(kt_edge_options){ .loop = kt_lane_loop(lane),
                            .config = config,
                            .sources = sources,
                            .source_count = 4,
                            .lane = lane,
                            .ask = ask_lane,
                            .ask_ctx = feed,
                            .boot_id = kt_lane_boot_id(lane),
                            .alert = alert,
                            .alert_ctx = feed },
        &feed->edge, err);
    if (code != KT_OK) {
        free(feed);
        return code;
    }
    kt_lane_diag(lane, KT_LEVEL_INFO, "http%s://%s:%u/ serves page, REST and WebSocket; data in %s",
        config->edge_tls_certificate[0] != '\0' ? "s" : "", config->edge_host, kt_edge_port(feed->edge),
        kt_lane_data_dir(lane));
    *out_state = feed;
    return KT_OK;
}

static void feed_turn(void *state)
{
    edge_feed *feed = state;

    for (uint32_t i = 0; i < 4; i++)
        kt_lane_follow(feed->lane, feed->names[i], kt_edge_position(feed->edge, i),
            false); /* a lane that does not run is no error */
}

static void feed_output(void *state, const kt_event *event)
{
    kt_edge_settings(((edge_feed *)state)->edge);
}

static bool feed_pending(void *state)
{
    return kt_edge_pending(((edge_feed *)state)->edge);
}

static const char *const feed_outputs[] = { "settings.edge", NULL };

const kt_feed_spec kt_edge_feed = {
    .name = "edge",
    .start = feed_start,
    .outputs = feed_outputs,
    .on_output = feed_output,
    .turn = feed_turn,
    .pending = feed_pending,
    .stop = feed_stop,
};
