/* cli/run.c - `kontor run`: which lanes there are, what each hosts, and the supervisor that holds them. */
#include "cli/cli.h"

#include "edge/edge.h"
#include "lane/supervisor.h"
#include "log/log.h"
#include "service/book.h"
#include "service/feed.h"
#include "service/market.h"
#include "service/record_feed.h"
#include "service/replay_feed.h"
#include "service/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Version of the services' logic, see lane/lane.h: raise it when the same inputs give other outputs. */
    LOGIC = 3,
    /* Small logs share a part of log.retention_bytes, lane market has the rest. */
    SMALL_SHARE = 16,
    SEGMENTS_MIN = 8,      /* segments in a log's share, so that retention can remove a part of it */
    SEGMENT_MIN = 2 << 20, /* as for log.segment_bytes: a record has at most an eighth of it */
    SEGMENTS_AHEAD = 2,    /* the one being written and the next, which retention does not count */
};

typedef struct lane_plan {
    const char *name;
    const kt_service_spec *const *services;
    const kt_feed_spec *const *feeds;
} lane_plan;

static const kt_service_spec *const market_services[] = { &kt_settings_service, &kt_market_service, &kt_book_service,
    NULL };
static const kt_feed_spec *const market_feeds[] = { &kt_settings_feed, &kt_venue_feed, NULL };
static const kt_feed_spec *const keep_feeds[] = { &kt_record_feed, NULL };
static const kt_service_spec *const no_services[] = { NULL };
static const kt_service_spec *const edge_services[] = { &kt_settings_service, NULL };
static const kt_feed_spec *const edge_feeds[] = { &kt_settings_feed, &kt_cli_diag_feed, &kt_edge_feed, NULL };

/* A recorded log in the place of the venues. */
static const kt_feed_spec *const replay_feeds[] = { &kt_settings_feed, &kt_replay_feed, NULL };

static const lane_plan plans[] = {
    { "market", market_services, market_feeds },
    { "keep", no_services, keep_feeds },
    { "edge", edge_services, edge_feeds },
};
enum { PLAN_COUNT = sizeof plans / sizeof plans[0] };

typedef struct run_lane {
    const lane_plan *plan;
    const kt_config *config;
    kt_text config_text;
    kt_replay *replay; /* NULL: the venues themselves */
} run_lane;

/* Bytes of one log's share of log.retention_bytes: market has what the small ones leave. */
static uint64_t share_of(const kt_config *config, const char *log)
{
    uint64_t small = config->log_retention_bytes / SMALL_SHARE;

    return strcmp(log, "market") == 0 ? config->log_retention_bytes - PLAN_COUNT * small : small;
}

static uint64_t segment_of(const kt_config *config, const char *log)
{
    uint64_t size = share_of(config, log) / SEGMENTS_MIN / 4096 * 4096;

    if (size > config->log_segment_bytes)
        size = config->log_segment_bytes;
    return size < SEGMENT_MIN ? SEGMENT_MIN : size;
}

/* What the log is told: its share without what it will write next, and never nothing, which would mean no bound. */
static uint64_t retention_of(const kt_config *config, const char *log)
{
    uint64_t ahead = SEGMENTS_AHEAD * segment_of(config, log);
    uint64_t share = share_of(config, log);

    return share > ahead ? share - ahead : segment_of(config, log);
}

static void tell_service(const kt_lane_links *links, const char *name)
{
    (void)kt_board_add_service(links->board, links->lane_index, kt_text_of(name), NULL); /* it is for people only */
}

static void tell_services(const kt_lane_links *links, const lane_plan *plan)
{
    for (uint32_t i = 0; plan->services[i] != NULL; i++)
        tell_service(links, plan->services[i]->name);
    for (uint32_t i = 0; plan->feeds[i] != NULL; i++)
        tell_service(links, plan->feeds[i]->name);
}

/* In the lane's own process. */
static int host(const kt_lane_links *links, void *ctx)
{
    const run_lane *hosted = ctx;
    const kt_config *config = hosted->config;
    kt_lane_options options = {
        .name = hosted->plan->name,
        .data_dir = config->data,
        .services = hosted->plan->services,
        .feeds = hosted->plan->feeds,
        .config = config,
        .config_text = hosted->config_text,
        .logic = LOGIC,
        .version = KT_VERSION_TEXT,
        .links = links,
        .segment_size = segment_of(config, hosted->plan->name),
        .subject_max = config->log_subject_max,
        .retention_bytes = retention_of(config, hosted->plan->name),
        .retention_age_ns = (int64_t)config->log_retention_age_s * 1000000000,
        .hold_bytes = config->log_hold_bytes,
        .diag = kt_cli_diag,
        .diag_ctx = (void *)hosted->plan->name,
    };

    if (hosted->replay != NULL && hosted->plan->feeds == market_feeds) {
        kt_replay_set(hosted->replay);
        options.feeds = replay_feeds;
        options.timers_given = true;
        options.origin_dir = hosted->replay->dir;
        options.origin_seq = hosted->replay->origin_seq;
        options.clock_ns = kt_replay_clock;
        options.clock_ctx = hosted->replay;
    }
    tell_services(links, hosted->plan);
    return kt_lane_main(&options);
}

static const lane_plan *plan_of(const char *name)
{
    for (int i = 0; i < PLAN_COUNT; i++)
        if (strcmp(plans[i].name, name) == 0)
            return &plans[i];
    return NULL;
}

/* The lanes that the configuration names, each once. */
static uint32_t choose(
    const kt_config *config, kt_text config_text, kt_replay *replay, run_lane *hosts, kt_supervisor_lane *lanes)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < config->lanes.count; i++) {
        const lane_plan *plan = plan_of(config->lanes.at[i]);
        bool there = plan == NULL;
        for (uint32_t j = 0; j < count; j++)
            there = there || hosts[j].plan == plan;
        if (there)
            continue;
        hosts[count] = (run_lane){ plan, config, config_text, replay };
        lanes[count] = (kt_supervisor_lane){ plan->name, host, &hosts[count] };
        count++;
    }
    return count;
}

int kt_cli_house(const char *name, const kt_config *config, kt_replay *replay)
{
    static char text[KT_CONFIG_TEXT_MAX];
    run_lane hosts[PLAN_COUNT];
    kt_supervisor_lane lanes[PLAN_COUNT];
    size_t length = 0;
    kt_supervisor *supervisor = NULL;
    kt_err err = { 0 };
    int status;

    if (kt_config_text(config, text, sizeof text, &length) != KT_OK) {
        fprintf(stderr, "kontor %s: the configuration is longer than %d bytes\n", name, KT_CONFIG_TEXT_MAX);
        return KT_EXIT_FAILED;
    }
    kt_supervisor_options options = {
        .data_dir = config->data,
        .lanes = lanes,
        .lane_count = choose(config, (kt_text){ text, length }, replay, hosts, lanes),
        .house_segment_size = segment_of(config, "house"),
        .house_retention_bytes = retention_of(config, "house"),
        .diag = kt_cli_diag,
    };
    if (kt_supervisor_open(&options, &supervisor, &err) != KT_OK)
        return kt_cli_fail(name, &err);
    if (config->venue_count == 0)
        kt_cli_diag(NULL, KT_LEVEL_WARNING,
            "no venue is configured: nothing will be gathered (see `kontor run --help`, venues)");
    status = kt_supervisor_run(supervisor, &err) == KT_OK ? KT_EXIT_OK : kt_cli_fail(name, &err);
    kt_supervisor_close(supervisor);
    return status;
}

int kt_cli_run(int argc, char **argv)
{
    kt_config *config = NULL;
    int status = kt_cli_config_load("run", argc, argv, &config);

    if (config == NULL)
        return status;
    status = kt_cli_no_words("run", config);
    if (status == KT_EXIT_OK)
        status = kt_cli_house("run", config, NULL);
    kt_config_free(config);
    return status;
}
