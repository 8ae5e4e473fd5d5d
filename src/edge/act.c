#include "edge/act.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "bus/bus.h"

#include <stdio.h>
#include <time.h>

int64_t kt_act_clock(const kt_act_house *house)
{
    struct timespec now;

    if (house->lane != NULL)
        return kt_lane_clock(house->lane);
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec;
}

void kt_act_deaths_apply(kt_act_deaths *deaths, const kt_rec *rec)
{
    kt_ev_lane_state event;
    uint32_t at = 0;

    if (rec->kind != KT_EV_LANE_STATE ||
        kt_event_decode(KT_EV_LANE_STATE, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) != KT_OK ||
        event.reason.n == 0)
        return;
    while (at < deaths->count && !kt_text_equal(event.lane, kt_text_of(deaths->lanes[at].lane)))
        at++;
    if (at == KT_ACT_LANE_MAX)
        return;
    deaths->count += at == deaths->count;
    snprintf(deaths->lanes[at].lane, sizeof deaths->lanes[at].lane, "%.*s", KT_TEXT_ARG(event.lane));
    snprintf(deaths->lanes[at].reason, sizeof deaths->lanes[at].reason, "%.*s", KT_TEXT_ARG(event.reason));
}

static kt_code act_health(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    kt_response_health response = { .status = KT_TEXT("OK") };

    kt_table_write_json(&kt_actions[KT_ACTION_health].response, &response, writer);
    return KT_OK;
}

/* ---- channels ---- */

typedef struct channel_list {
    kt_json_writer *writer;
    uint32_t count;
} channel_list;

static bool put_channel(void *ctx, const kt_hub_channel *channel)
{
    channel_list *list = ctx;
    char epoch[17];
    kt_row_channel row = { .channel = channel->name, .log = channel->log, .offset = channel->last_offset };

    if (list->count == KT_HUB_CHANNELS_MAX)
        return false;
    list->count++;
    row.epoch =
        (kt_text){ epoch, (size_t)snprintf(epoch, sizeof epoch, "%016llx", (unsigned long long)channel->epoch) };
    kt_table_write_json(&kt_row_table_channel, &row, list->writer);
    return true;
}

static kt_code act_channels(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    kt_text pattern = ((const kt_params_channels *)params)->pattern;
    channel_list list = { .writer = writer };
    kt_err err = { 0 };
    bool complete;

    if (pattern.n == 0)
        pattern = KT_TEXT(">");
    if (kt_pattern_check(pattern, &err) != KT_OK)
        return kt_refuse(out_refusal, KT_ARG, "pattern",
            "%s. In a pattern * stands for one part and > for the rest, such as vwap.5m.>", err.msg);
    kt_json_open_object(writer);
    kt_json_name(writer, "channels");
    kt_json_open_array(writer);
    complete = kt_hub_channels(house->hub, pattern, put_channel, &list);
    kt_json_close_array(writer);
    kt_json_member_bool(writer, "complete", complete);
    kt_json_close_object(writer);
    return KT_OK;
}

static kt_code act_event_emit(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    const kt_params_event_emit *given = params;
    kt_response_event_emit response = { .seq = 1 };
    char channel[KT_SUBJECT_MAX + 1];
    kt_ev_note note;
    kt_err err = { 0 };
    kt_code code;

    response.channel =
        (kt_text){ channel, (size_t)snprintf(channel, sizeof channel, "note.%.*s", KT_TEXT_ARG(given->topic)) };
    if (kt_subject_check(response.channel, &err) != KT_OK)
        return kt_refuse(
            out_refusal, KT_ARG, "topic", "%s. A topic is one or more tokens with dots, such as deploy", err.msg);
    if (house->lane == NULL)
        return kt_refuse(out_refusal, KT_BUSY, NULL, "this edge has no log to write to");
    kt_event_init(KT_EV_NOTE, &note);
    note.text = given->text;
    code = kt_lane_input(house->lane, KT_EV_NOTE, response.channel, 0, &note, &response.seq);
    if (code != KT_OK)
        return kt_refuse(out_refusal, code, NULL, "log %s takes nothing in at present: %s", kt_lane_name(house->lane),
            kt_code_text(code));
    kt_table_write_json(&kt_actions[KT_ACTION_event_emit].response, &response, writer);
    return KT_OK;
}

/* A market of our own is no part of the house. */
static kt_code prepare_sim_faults(const kt_act_house *house, void *params, kt_refusal *out_refusal)
{
    return kt_refuse(out_refusal, KT_BUSY, NULL,
        "the house has no market of its own: ask `kontor sim` itself, as in `kontor call sim.faults --url "
        "http://127.0.0.1:3001`");
}

const kt_act kt_acts[KT_ACTION_COUNT] = {
    [KT_ACTION_vwap_latest] = { .own = kt_act_vwap_latest },
    [KT_ACTION_vwap_historical] = { .prepare = kt_act_prepare_historical },
    [KT_ACTION_health] = { .own = act_health },
    [KT_ACTION_channels] = { .own = act_channels },
    [KT_ACTION_event_emit] = { .own = act_event_emit },
    [KT_ACTION_node_list] = { .own = kt_act_node_list },
    [KT_ACTION_node_services] = { .own = kt_act_node_services },
    [KT_ACTION_node_actions] = { .own = kt_act_node_actions },
    [KT_ACTION_node_lanes] = { .own = kt_act_node_lanes },
    [KT_ACTION_node_logs] = { .own = kt_act_node_logs },
    [KT_ACTION_node_clients] = { .own = kt_act_node_clients },
    [KT_ACTION_sim_faults] = { .prepare = prepare_sim_faults },
};
