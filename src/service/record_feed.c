#include "service/record_feed.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"
#include "log/cursor.h"
#include "log/reader.h"
#include "schema/actions.h"
#include "store/desk.h"
#include "store/recorder.h"

static const char cursor_name[] = "record";

enum { NODE_MAX = 64, BODY_MAX = 1024, AGAIN_MS = 10 };

typedef struct record_feed record_feed;

/* Questions that may take long are answered beside the lane. People's SQL has a desk of its own, so that it delays nobody
 * else's question. */
typedef enum seat_id { SEAT_SQL, SEAT_OTHER, SEAT_COUNT } seat_id;

typedef struct desk_seat {
    record_feed *record;
    kt_desk *desk;
} desk_seat;

struct record_feed {
    kt_lane *lane;
    const kt_config *config;
    kt_store *store;
    kt_recorder recorder;
    kt_cursor *held;   /* tells the log's writer what is needed; NULL: there was no log yet */
    kt_timer timer;    /* only wakes the loop: turn() looks at next_at */
    int64_t next_at;   /* no batch before; monotonic */
    bool told_unknown; /* that recorder.unknown_kinds is not 0 */
    bool in_trouble;   /* the last batch was refused, and an alert says so */
    desk_seat seats[SEAT_COUNT];
    kt_timer again; /* somebody had no room for an answer: tried again then */
};

static void tell_alert(record_feed *record, uint8_t level, const char *text)
{
    kt_ev_alert alert;

    kt_event_init(KT_EV_ALERT, &alert);
    alert.level = level;
    alert.subject = kt_text_of(record->config->store_file);
    alert.text = kt_text_of(text);
    /* on a full disk there may be no room for it either: then the store's catching up later is all there is */
    kt_lane_input(record->lane, KT_EV_ALERT, KT_TEXT("lane.alert.record"), 0, &alert, NULL);
}

static void tell_lost(record_feed *record, kt_lost range)
{
    kt_ev_lost lost;

    kt_event_init(KT_EV_LOST, &lost);
    lost.log = kt_text_of(KT_RECORDER_LOG);
    lost.from_seq = range.from;
    lost.to_seq = range.to;
    lost.reason = KT_TEXT("removed or fenced before it was kept in the store");
    lost.reader = kt_text_of(cursor_name);
    kt_lane_input(record->lane, KT_EV_LOST, KT_TEXT("lane.lost.record"), 0, &lost, NULL);
}

/* Once a run: more of them are the same news. */
static void tell_unknown(record_feed *record)
{
    char text[160];

    if (record->recorder.unknown_kinds == 0 || record->told_unknown)
        return;
    record->told_unknown = true;
    snprintf(text, sizeof text,
        "log '%s' holds records of kinds that this program does not know; a newer one wrote them, and "
        "they are skipped",
        KT_RECORDER_LOG);
    tell_alert(record, KT_LEVEL_WARNING, text);
}

/* Let the log's retention follow. A cursor that can not be written only holds more. */
static void release(record_feed *record)
{
    kt_cursor_position position = {
        .epoch = record->recorder.cursor.epoch, .seq = record->recorder.cursor.seq, .safe = record->recorder.cursor.seq
    };

    if (record->held == NULL && kt_cursor_open(record->recorder.dir, cursor_name, &record->held, NULL) != KT_OK)
        return;
    kt_cursor_store(record->held, position, NULL);
}

/* A log of a newer program is none of the store's business: what stands in it can still be asked for, and the log may be
 * put right while we run. */
static bool can_be_tried_again(kt_code code)
{
    return code == KT_BUSY || code == KT_FULL || code == KT_SYS || code == KT_VERSION;
}

static void wait_until(record_feed *record, int64_t at)
{
    record->next_at = at;
    kt_timer_set(kt_lane_loop(record->lane), &record->timer, at);
}

static void on_batch(record_feed *record, kt_code code, const kt_err *err, bool full)
{
    int64_t now = kt_loop_now(kt_lane_loop(record->lane));

    if (record->recorder.lost.from != 0 && (code == KT_OK || code == KT_EMPTY))
        tell_lost(record, record->recorder.lost);
    if (code == KT_EMPTY)
        return;
    if (code == KT_OK) {
        release(record);
        tell_unknown(record);
        if (record->in_trouble)
            tell_alert(record, KT_LEVEL_INFO, "the store takes rows again; nothing was lost");
        record->in_trouble = false;
        if (!full)
            wait_until(record, now + KT_RECORD_COMMIT_MS * KT_NS_PER_MS);
    } else if (can_be_tried_again(code)) {
        if (!record->in_trouble)
            tell_alert(record, KT_LEVEL_ERROR, err->msg);
        record->in_trouble = true;
        wait_until(record, now + KT_RECORD_RETRY_MS * KT_NS_PER_MS);
    } else {
        kt_lane_fail(record->lane, true, "%s", err->msg);
    }
}

static bool is_waiting(const record_feed *record)
{
    return kt_loop_now(kt_lane_loop(record->lane)) < record->next_at;
}

/* ---- desks ---- */

static seat_id seat_of(kt_action_index action)
{
    return action == KT_ACTION_store_query ? SEAT_SQL : SEAT_OTHER;
}

/* From the desk's thread. */
static void on_answered(void *ctx)
{
    kt_loop_wake(kt_lane_loop(((const desk_seat *)ctx)->record->lane));
}

static void on_question(void *ctx, const kt_bus_call *call)
{
    record_feed *record = ctx;
    const kt_action *action = kt_action_by_name(call->action);
    kt_action_index index = (kt_action_index)(action - kt_actions);
    kt_desk_question question = { .action = index,
        .params = call->params,
        .token = call->token,
        .timeout_ns = call->deadline_ns - kt_loop_now(kt_lane_loop(record->lane)) };
    kt_err err = { 0 };
    kt_code code;

    if (record->recorder.reader != NULL)
        question.durable = kt_reader_durable(record->recorder.reader);
    code = kt_desk_ask(record->seats[seat_of(index)].desk, &question, &err);
    if (code != KT_OK)
        kt_bus_answer(kt_lane_bus(record->lane), call->token, code, kt_text_of(err.msg));
}

/* Who is gone needs no answer; who has no room for it now gets it later. */
static void give_answers(record_feed *record)
{
    kt_loop *loop = kt_lane_loop(record->lane);
    kt_desk_answer answer;

    for (uint32_t i = 0; i < SEAT_COUNT && !kt_timer_is_set(&record->again); i++)
        while (kt_desk_answered(record->seats[i].desk, &answer)) {
            if (kt_bus_answer(kt_lane_bus(record->lane), answer.token, answer.code, answer.body) == KT_BUSY) {
                kt_timer_set(loop, &record->again, kt_loop_now(loop) + AGAIN_MS * KT_NS_PER_MS);
                break;
            }
            kt_desk_drop(record->seats[i].desk);
        }
}

static bool has_answers(const record_feed *record)
{
    kt_desk_answer answer;
    bool any = false;

    for (uint32_t i = 0; i < SEAT_COUNT; i++)
        any = any || kt_desk_answered(record->seats[i].desk, &answer);
    return any && !kt_timer_is_set(&record->again);
}

static int64_t clock_now(void *ctx)
{
    return kt_lane_mono(ctx);
}

static kt_code open_desks(record_feed *record, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; i < SEAT_COUNT && code == KT_OK; i++) {
        desk_seat *seat = &record->seats[i];

        seat->record = record;
        code = kt_desk_open(
            &(kt_desk_options){
                .config = record->config, .clock = { clock_now, record->lane }, .on_done = on_answered, .ctx = seat },
            &seat->desk, err);
    }
    for (uint32_t i = 0; i < KT_ACTION_COUNT && code == KT_OK; i++)
        if (kt_desk_answers((kt_action_index)i))
            code = kt_bus_serve(kt_lane_bus(record->lane), kt_text_of(kt_actions[i].name), on_question, record, err);
    return code;
}

/* ---- turns ---- */

static void record_turn(void *state)
{
    record_feed *record = state;
    kt_recorder *recorder = &record->recorder;
    kt_err err = { 0 };
    kt_code code;

    give_answers(record);
    if (!is_waiting(record)) {
        code = kt_recorder_batch(recorder, KT_RECORDER_BATCH_MAX, &err);
        on_batch(record, code, &err, recorder->full);
    }
    /* while waiting, what is there already is no reason to stay awake */
    kt_lane_follow(record->lane, KT_RECORDER_LOG,
        is_waiting(record) && recorder->reader != NULL ? kt_reader_durable(recorder->reader) : recorder->cursor.seq,
        true);
}

static bool record_pending(void *state)
{
    const record_feed *record = state;
    const kt_reader *reader = record->recorder.reader;

    return has_answers(record) ||
           (reader != NULL && !is_waiting(record) && kt_reader_durable(reader) >= kt_reader_position(reader));
}

/* ---- vwap.historical ---- */

static kt_code find_value(kt_store *store, const kt_config *config, const kt_params_vwap_historical *params,
    kt_store_value *out_value, kt_err *err)
{
    int64_t window = params->interval == 0 ? config->interval_ns : (int64_t)params->interval * KT_NS_PER_MS;
    kt_text venue;
    kt_text symbol;
    kt_code code = kt_config_ticker_of(config, params->ticker, &venue, &symbol);

    if (code == KT_OK)
        code = kt_store_vwap_at(store, venue, symbol, window, params->ts, out_value, err);
    if (code == KT_NOENT) /* or a composite */
        code = kt_store_vwap_at(store, KT_TEXT(""), params->ticker, window, params->ts, out_value, err);
    return code;
}

kt_code kt_record_historical(
    kt_store *store, const kt_config *config, kt_text params_json, kt_json_writer *writer, kt_err *err)
{
    const kt_action *action = &kt_actions[KT_ACTION_vwap_historical];
    kt_json_node nodes[NODE_MAX];
    uint8_t arena_mem[BODY_MAX];
    kt_params_vwap_historical params;
    kt_response_vwap_historical response;
    kt_store_value value;
    kt_json_doc doc;
    kt_arena arena;
    kt_code code = kt_json_parse(params_json, nodes, NODE_MAX, &doc, err);

    kt_arena_init(&arena, arena_mem, sizeof arena_mem);
    if (code == KT_OK)
        code = kt_table_read_json(&action->params, &doc, 0, &arena, &params, err);
    if (code == KT_OK)
        code = kt_table_check(&action->params, &params, err);
    if (code == KT_OK)
        code = find_value(store, config, &params, &value, err);
    if (code == KT_NOENT && (err == NULL || err->msg[0] == '\0'))
        return kt_fail(err, code, "no value of '%.*s' is stored for the mark %lld ms and this interval",
            KT_TEXT_ARG(params.ticker), (long long)(params.ts / KT_NS_PER_MS));
    if (code != KT_OK)
        return code;
    kt_table_init(&action->response, &response);
    response.ticker = params.ticker;
    response.vwap = value.price;
    response.ts = params.ts;
    kt_table_write_json(&action->response, &response, writer);
    return writer->code;
}

static void on_historical(void *ctx, const kt_bus_call *call)
{
    record_feed *record = ctx;
    char mem[BODY_MAX];
    kt_text body = { 0 };
    kt_err err = { 0 };
    kt_json_writer writer;
    kt_code code;

    kt_json_writer_init(&writer, mem, sizeof mem);
    code = kt_record_historical(record->store, record->config, call->params, &writer, &err);
    if (code == KT_OK)
        code = kt_json_writer_done(&writer, &body);
    if (code != KT_OK)
        body = kt_text_of(err.msg);
    kt_bus_answer(kt_lane_bus(record->lane), call->token, code, body); /* who is gone needs no answer */
}

/* ---- life ---- */

static void on_due(kt_timer *timer)
{
}

/* The batch that was waiting for its time. What else the store has not taken waits in the log: nobody who stops the house in the
 * middle of a long catching up waits for its end. */
static void keep_rest(record_feed *record)
{
    if (record->recorder.reader != NULL && kt_recorder_batch(&record->recorder, KT_RECORDER_BATCH_MAX, NULL) == KT_OK)
        release(record);
}

static void record_stop(void *state)
{
    record_feed *record = state;

    if (record == NULL)
        return;
    for (uint32_t i = 0; i < SEAT_COUNT; i++)
        kt_desk_close(record->seats[i].desk);
    kt_timer_cancel(kt_lane_loop(record->lane), &record->timer);
    kt_timer_cancel(kt_lane_loop(record->lane), &record->again);
    keep_rest(record);
    kt_recorder_close(&record->recorder);
    kt_cursor_close(record->held);
    kt_store_close(record->store);
    free(record);
}

static kt_code record_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    record_feed *record = calloc(1, sizeof *record);
    kt_code code;

    if (record == NULL)
        return kt_fail(err, KT_SYS, "record");
    record->lane = lane;
    record->config = config;
    record->timer = (kt_timer){ .on_due = on_due };
    record->again = (kt_timer){ .on_due = on_due };
    code = kt_store_open(config, &record->store, err);
    if (code == KT_OK)
        code = kt_recorder_init(&record->recorder, record->store, kt_lane_data_dir(lane), err);
    record->recorder.boot_id = kt_lane_boot_id(lane);
    if (code == KT_OK)
        code = kt_bus_serve(
            kt_lane_bus(lane), kt_text_of(kt_actions[KT_ACTION_vwap_historical].name), on_historical, record, err);
    if (code == KT_OK)
        code = open_desks(record, err);
    if (code != KT_OK) {
        record_stop(record);
        return code;
    }
    *out_state = record;
    return KT_OK;
}

const kt_feed_spec kt_record_feed = {
    .name = "record",
    .start = record_start,
    .turn = record_turn,
    .pending = record_pending,
    .stop = record_stop,
};
