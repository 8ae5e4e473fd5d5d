#include "edge/edge.h"

#include "base/time.h"
#include "edge/call.h"
#include "edge/hub.h"
#include "edge/latest.h"
#include "edge/metrics.h"
#include "edge/rest.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kt_edge {
    kt_loop *loop;
    const kt_config *config;
    kt_hook publish;
    kt_latest *latest;
    kt_act_deaths deaths;
    kt_calls *calls;
    kt_hub *hub;
    kt_metrics *metrics;
    kt_rest *rest;
    kt_http_server *http;
    kt_tls *tls; /* NULL: plain text */
    kt_timer certificate;
    void (*alert)(void *ctx, const char *text);
    void *alert_ctx;
};

static void on_watched(void *ctx, kt_text subject, const kt_rec *rec)
{
    kt_edge *edge = ctx;

    kt_latest_apply(edge->latest, subject, rec);
    kt_act_deaths_apply(&edge->deaths, rec);
}

static void on_publish(void *ctx)
{
    kt_edge *edge = ctx;

    kt_hub_turn(edge->hub);
    kt_metrics_turn(edge->metrics);
}

static void limits_of(const kt_config *config, kt_hub_limits *out_limits)
{
#define INTERVAL(name, skips, text) [KT_FLUSH_##name] = config->edge_flush_##name##_ms,
    *out_limits = (kt_hub_limits){
        .client_max = config->edge_client_max,
        .silence_ms = config->edge_silence_ms,
        .flush_ms = { KT_FLUSH_MAP(INTERVAL) },
    };
#undef INTERVAL
}

static kt_code open_hub(kt_edge *edge, const kt_edge_options *options, kt_err *err)
{
    kt_hub_limits limits;
    char values[64];
    char corrections[64];

    snprintf(values, sizeof values, "vwap.%s.>", options->config->interval_name);
    snprintf(corrections, sizeof corrections, "correction.%s.>", options->config->interval_name);
    limits_of(options->config, &limits);
    return kt_hub_open(
        &(kt_hub_options){
            .loop = options->loop,
            .sources = options->sources,
            .source_count = options->source_count,
            .boot_id = options->boot_id,
            .limits = limits,
            .buffer_bytes = options->config->edge_client_buffer_bytes,
            .watch = { values, corrections, "house.lane.*" },
            .on_watched = on_watched,
            .watch_ctx = edge,
        },
        &edge->hub, err);
}

/* Has somebody put a new certificate there? */
static void on_certificate_due(kt_timer *timer)
{
    kt_edge *edge = timer->ctx;
    kt_err err;
    kt_code code = kt_tls_refresh(edge->tls, &err);

    if (code != KT_OK && code != KT_EMPTY && edge->alert != NULL)
        edge->alert(edge->alert_ctx, err.msg);
    kt_timer_set(edge->loop, timer, kt_loop_now(edge->loop) + KT_EDGE_CERTIFICATE_MS * KT_NS_PER_MS);
}

static kt_code open_tls(kt_edge *edge, const kt_config *config, kt_err *err)
{
    if (config->edge_tls_certificate[0] == '\0')
        return KT_OK;
    kt_code code = kt_tls_server_new(config->edge_tls_certificate, config->edge_tls_key, &edge->tls, err);
    if (code != KT_OK)
        return kt_fail_within(err, code, "edge.tls_certificate, edge.tls_key");
    edge->certificate = (kt_timer){ .on_due = on_certificate_due, .ctx = edge };
    on_certificate_due(&edge->certificate);
    return KT_OK;
}

static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    kt_rest_request(((kt_edge *)ctx)->rest, http, exchange, request);
}

kt_code kt_edge_open(const kt_edge_options *options, kt_edge **out_edge, kt_err *err)
{
    const kt_config *config = options->config;
    kt_code code = KT_OK;
    kt_edge *edge = NULL;
    char host[80];

    if (strcmp(config->edge_host, "127.0.0.1") != 0)
        return kt_fail(err, KT_ARG,
            "edge.host is '%s': only 127.0.0.1 is allowed, because clients can not say yet who they are",
            config->edge_host);
    edge = calloc(1, sizeof *edge);
    if (edge == NULL)
        return kt_fail(err, KT_SYS, "no memory for the edge");
    edge->loop = options->loop;
    edge->config = config;
    edge->publish = (kt_hook){ .fn = on_publish, .ctx = edge, .phase = KT_PHASE_PUBLISH };
    edge->alert = options->alert;
    edge->alert_ctx = options->alert_ctx;
    edge->latest = kt_latest_new();
    if (edge->latest == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for the edge");
        goto out;
    }
    code = open_hub(edge, options, err);
    if (code != KT_OK)
        goto out;
    edge->calls = kt_calls_new(&(kt_calls_options){
        .house = { .loop = options->loop,
            .config = config,
            .hub = edge->hub,
            .latest = edge->latest,
            .deaths = &edge->deaths,
            .lane = options->lane },
        .ask = options->ask,
        .ask_ctx = options->ask_ctx,
        .seed = options->lane != NULL ? kt_lane_random(options->lane) : 0,
    });
    if (edge->calls == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for the edge");
        goto out;
    }
    kt_hub_take_calls(edge->hub, edge->calls);
    edge->metrics = kt_metrics_new(&(kt_metrics_options){
        .hub = edge->hub, .calls = edge->calls, .lane = options->lane, .boot_id = options->boot_id });
    if (edge->metrics == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for the edge");
        goto out;
    }
    code = open_tls(edge, config, err);
    if (code != KT_OK)
        goto out;
    code = kt_http_server_open(options->loop,
        &(kt_http_server_options){
            .host = config->edge_host,
            .port = (uint16_t)config->edge_port,
            .conn_max = config->edge_client_max,
            .server_name = "kontor",
            .tls = edge->tls,
            .on_request = on_request,
            .ctx = edge,
        },
        &edge->http, err);
    if (code != KT_OK)
        goto out;
    snprintf(host, sizeof host, "%s:%u", config->edge_host, kt_edge_port(edge));
    edge->rest = kt_rest_new(&(kt_rest_options){ .hub = edge->hub,
        .calls = edge->calls,
        .host = host,
        .tls = config->edge_tls_certificate[0] != '\0',
        .metrics = edge->metrics });
    if (edge->rest == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for the edge");
        goto out;
    }
    kt_loop_hook(edge->loop, &edge->publish);
    *out_edge = edge;
    edge = NULL;
out:
    kt_edge_close(edge);
    return code;
}

void kt_edge_leave(kt_edge *edge)
{
    kt_edge_counts counts;
    int64_t left_ns = KT_EDGE_LEAVE_MS * KT_NS_PER_MS;
    int64_t end_ns;

    kt_hub_leave(edge->hub);
    if (kt_loop_turn(edge->loop, 0, NULL) != KT_OK)
        return;
    end_ns = kt_loop_now(edge->loop) + left_ns;
    for (kt_edge_count(edge, &counts); counts.clients > 0 && left_ns > 0; kt_edge_count(edge, &counts)) {
        if (kt_loop_turn(edge->loop, left_ns, NULL) != KT_OK)
            return;
        poll(NULL, 0, 1); /* the loop of a lane that stops does not wait by itself */
        left_ns = end_ns - kt_loop_now(edge->loop);
    }
}

void kt_edge_settings(kt_edge *edge)
{
    kt_hub_limits limits;

    limits_of(edge->config, &limits);
    kt_hub_limit(edge->hub, &limits);
    (void)kt_http_server_limit(edge->http, edge->config->edge_client_max); /* no memory: as many as before */
}

void kt_edge_close(kt_edge *edge)
{
    if (edge == NULL)
        return;
    if (edge->http != NULL) {
        kt_loop_unhook(edge->loop, &edge->publish);
        kt_http_server_close(edge->http);
    }
    kt_timer_cancel(edge->loop, &edge->certificate);
    kt_tls_free(edge->tls);
    kt_rest_free(edge->rest);
    kt_metrics_free(edge->metrics);
    kt_calls_free(edge->calls);
    kt_hub_free(edge->hub);
    kt_latest_free(edge->latest);
    free(edge);
}

uint16_t kt_edge_port(const kt_edge *edge)
{
    return kt_http_server_port(edge->http);
}

bool kt_edge_pending(const kt_edge *edge)
{
    return kt_hub_pending(edge->hub);
}

uint64_t kt_edge_position(const kt_edge *edge, uint32_t source_index)
{
    return kt_hub_position(edge->hub, source_index);
}

void kt_edge_answer(kt_edge *edge, uint64_t ask_id, kt_code code, kt_text body)
{
    kt_calls_answer(edge->calls, ask_id, code, body);
}

void kt_edge_count(const kt_edge *edge, kt_edge_counts *out_counts)
{
    kt_hub_count(edge->hub, out_counts);
}
