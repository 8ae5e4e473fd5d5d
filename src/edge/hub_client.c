#include "edge/hub_parts.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "edge/gate.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- sending ---- */

kt_code kt_client_put(kt_hub_client *client, const uint8_t *bytes, size_t size)
{
    return client == client->hub->sole ? kt_ws_send_now(client->conn, bytes, size)
                                       : kt_ws_send_frame(client->conn, bytes, size);
}

/* An event, in the form that its client agreed to. KT_FULL: no room beside the reserve for answers, wait for room.
 * KT_NOENT: it is closing. */
static kt_code put_event(kt_hub_client *client, kt_message *message, uint64_t skipped)
{
    kt_hub *hub = client->hub;
    uint8_t *frame = message->frame;
    uint32_t size = message->size, body_at = message->body_at;

    if (kt_ws_deflates(client->conn)) {
        kt_message_pack(message, kt_ws_server_deflater(hub->ws), hub->packed, KT_HUB_EVENT_MAX);
        frame = message->packed;
        size = message->packed_size;
        body_at = message->packed_body_at;
    }
    if (kt_ws_room(client->conn) < size + hub->answer_reserve)
        return KT_FULL;
    kt_message_patch_seq(frame + body_at, client->seq + 1);
    kt_message_patch_skipped(frame + body_at, skipped);
    kt_code code = kt_client_put(client, frame, size);
    if (code != KT_OK)
        return code;
    client->seq++;
    hub->counts.messages_sent++;
    hub->counts.events_skipped += skipped;
    client->skipped += skipped;
    return KT_OK;
}

/* What is no event may use the whole buffer. */
static kt_code put(kt_hub_client *client, kt_message *message)
{
    uint8_t *body = message->frame + message->body_at;

    kt_message_patch_seq(body, client->seq + 1);
    kt_code code = kt_ws_send(client->conn, KT_WS_TEXT, body, message->size - message->body_at);
    if (code != KT_OK)
        return code;
    client->seq++;
    client->hub->counts.messages_sent++;
    return KT_OK;
}

/* A client that does not even read its answers is let go. */
void kt_client_say(kt_hub_client *client, kt_message *message)
{
    if (kt_message_end(message) != KT_OK || put(client, message) == KT_FULL)
        kt_client_close_slow(client, KT_WS_CLOSE_POLICY, KT_TEXT("the client does not read what it asks for"));
}

static void begin(kt_hub_client *client, kt_message *message, const char *type)
{
    kt_message_begin(message, client->hub->scratch, KT_HUB_EVENT_MAX, type, false);
}

static void put_epoch(kt_message *message, const char *name, uint64_t epoch)
{
    char hex[17];

    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)epoch);
    kt_json_member_text(&message->json, name, kt_text_of(hex));
}

static void put_number(kt_message *message, const char *name, uint64_t number) /* 0: not known */
{
    kt_json_name(&message->json, name);
    if (number != 0)
        kt_json_put_u64(&message->json, number);
    else
        kt_json_put_null(&message->json);
}

static void put_lost(kt_message *message, uint64_t from, uint64_t to)
{
    kt_json_name(&message->json, "lost");
    kt_json_open_object(&message->json);
    put_number(message, "from", from);
    put_number(message, "to", to);
    kt_json_close_object(&message->json);
}

/* ---- subscriptions ---- */

void kt_sub_behind(kt_sub *sub, bool behind)
{
    kt_hub_client *client = sub->client;
    kt_edge_counts *counts = &client->hub->counts;

    if (sub->behind == behind)
        return;
    sub->behind = behind;
    if (behind && client->behind_count++ == 0) {
        counts->slow++;
        counts->slow_begun++;
        client->slow_begun++;
    } else if (!behind && --client->behind_count == 0) {
        counts->slow--;
    }
}

void kt_sub_clean(kt_sub *sub)
{
    if (!sub->dirty)
        return;
    sub->dirty = false;
    sub->subject->dirty_count--;
    kt_sub_behind(sub, false);
    kt_fan_clean(sub->client->hub, sub->subject);
}

void kt_client_close_slow(kt_hub_client *client, uint16_t close_code, kt_text reason)
{
    client->hub->counts.slow_closed++;
    kt_ws_close(client->conn, close_code, reason);
}

kt_code kt_sub_offer(kt_sub *sub, kt_message *message, uint64_t offset, bool may_skip)
{
    kt_hub *hub = sub->client->hub;
    kt_code code;

    if (!kt_ws_is_open(sub->client->conn))
        return KT_NOENT;
    kt_assert(offset > sub->last_offset);
    kt_assert(may_skip || offset == sub->last_offset + 1);
    if (message->size + hub->answer_reserve > hub->buffer_bytes) {
        kt_sub_tell_gap(sub, sub->subject->epoch, sub->last_offset + 1, offset,
            "the event is larger than edge.client_buffer_bytes allows");
        return KT_LIMIT;
    }
    code = put_event(sub->client, message, offset - sub->last_offset - 1);
    if (code != KT_OK)
        return code;
    sub->last_offset = offset;
    kt_sub_clean(sub);
    return KT_OK;
}

void kt_sub_tell_gap(kt_sub *sub, uint64_t epoch, uint64_t from, uint64_t to, const char *reason)
{
    kt_message message;

    if (to != 0)
        sub->last_offset = to;
    kt_sub_clean(sub);
    /* The frame of an event may stand in the scratch: this one is small and has its own room. */
    uint8_t room[1024];
    kt_message_begin(&message, room, sizeof room, "gap", false);
    kt_json_member_text(&message.json, "channel", sub->subject->name);
    put_epoch(&message, "epoch", epoch);
    put_lost(&message, from, to);
    kt_json_member_text(&message.json, "reason", kt_text_of(reason));
    kt_client_say(sub->client, &message);
}

void kt_sub_tell_epoch(kt_sub *sub, uint64_t before, uint64_t epoch, uint64_t first_offset)
{
    kt_message message;
    bool lost = sub->last_offset >= first_offset;

    begin(sub->client, &message, "epoch");
    kt_json_member_text(&message.json, "channel", sub->subject->name);
    put_epoch(&message, "epoch", epoch);
    put_epoch(&message, "before", before);
    kt_json_member_u64(&message.json, "first_offset", first_offset);
    if (lost) /* what the client heard behind the cut is not in the log any more, and nobody knows how much there was */
        put_lost(&message, first_offset, 0);
    if (lost)
        sub->last_offset = first_offset - 1;
    kt_client_say(sub->client, &message);
}

void kt_sub_answer(kt_sub *sub, bool has_id, int64_t id, uint64_t epoch, const kt_lost *lost, const char *reason)
{
    kt_message message;
    kt_op op = { .has_id = has_id, .id = id };

    begin(sub->client, &message, "answer");
    kt_message_put_id(&message, &op);
    kt_json_member_text(&message.json, "op", kt_text_of(kt_op_name(KT_OP_SUBSCRIBE)));
    kt_json_member_text(&message.json, "channel", (kt_text){ sub->name, sub->name_size });
    kt_json_member_bool(&message.json, "exists", sub->subject != NULL);
    if (sub->subject != NULL) {
        put_epoch(&message, "epoch", epoch);
    } else {
        kt_json_name(&message.json, "epoch");
        kt_json_put_null(&message.json);
    }
    kt_json_member_u64(&message.json, "offset", sub->last_offset);
    kt_json_member_bool(&message.json, "recovered", reason == NULL);
    if (reason != NULL && lost != NULL)
        put_lost(&message, lost->from, lost->to);
    if (reason != NULL)
        kt_json_member_text(&message.json, "reason", kt_text_of(reason));
    kt_client_say(sub->client, &message);
}

void kt_sub_go_live(kt_sub *sub)
{
    kt_hub_subject *subject = sub->subject;

    if (sub->last_offset < subject->last_offset)
        kt_sub_tell_gap(
            sub, subject->epoch, sub->last_offset + 1, subject->last_offset, "the log can not be read there");
    sub->thin = false;
    kt_sub_behind(sub, false);
    kt_fan_join(sub);
}

void kt_sub_free(kt_hub *hub, kt_sub *sub)
{
    if (sub->state == KT_SUB_REPLAY || sub->state == KT_SUB_BLOCKED)
        kt_replay_leave(sub);
    if (sub->state == KT_SUB_LIVE)
        kt_fan_leave(sub);
    kt_link_remove(&sub->link);
    if (sub->client != NULL) {
        kt_sub_clean(sub);
        kt_sub_behind(sub, false);
        kt_link_remove(&sub->client_link);
        sub->client->sub_count--;
        hub->counts.subscriptions--;
    } else {
        hub->watch_open--;
    }
    free(sub);
}

static kt_sub *sub_find(kt_hub_client *client, kt_text channel)
{
    for (kt_link_node *node = client->subs.next; node != &client->subs; node = node->next) {
        kt_sub *sub = KT_SUB_OF_CLIENT(node);

        if (kt_text_equal((kt_text){ sub->name, sub->name_size }, channel))
            return sub;
    }
    return NULL;
}

static kt_sub *sub_new(kt_hub_client *client, const kt_op *op)
{
    kt_sub *sub = calloc(1, sizeof *sub + op->channel.n);

    if (sub == NULL)
        return NULL;
    sub->client = client;
    sub->conflate = op->conflate && kt_flush_skips(kt_flush_class_of(op->channel));
    sub->has_id = op->has_id;
    sub->id = op->id;
    sub->name_size = (uint16_t)op->channel.n;
    memcpy(sub->name, op->channel.s, op->channel.n);
    kt_link_push(&client->subs, &sub->client_link);
    client->sub_count++;
    client->hub->counts.subscriptions++;
    return sub;
}

/* ---- ops ---- */

void kt_client_answer_error(
    kt_hub_client *client, const kt_op *op, kt_op_fault fault, const char *field, const char *text)
{
    kt_message message;

    begin(client, &message, "error");
    kt_message_put_id(&message, op);
    kt_json_member_text(&message.json, "code", kt_text_of(kt_op_fault_name(fault)));
    if (field[0] != '\0')
        kt_json_member_text(&message.json, "field", kt_text_of(field));
    kt_json_member_text(&message.json, "message", kt_text_of(text));
    kt_client_say(client, &message);
}

static void begin_answer(kt_hub_client *client, kt_message *message, const kt_op *op)
{
    begin(client, message, "answer");
    kt_message_put_id(message, op);
    kt_json_member_text(&message->json, "op", kt_text_of(kt_op_name(op->kind)));
}

static void do_auth(kt_hub_client *client, const kt_op *op)
{
    kt_client_answer_error(client, op, KT_FAULT_NO_IDENTITY, "",
        "no identity is configured in this house: everything it has is open to this machine, go on without auth");
}

static void subscribe_waiting(kt_hub_client *client, kt_sub *sub, const kt_op *op)
{
    kt_lost lost = { .from = op->from.offset + 1, .to = 0 };
    bool resumes = op->from.kind == KT_FROM_OFFSET && op->from.offset != 0;

    kt_link_push(&client->hub->waiting, &sub->link);
    kt_sub_answer(sub, op->has_id, op->id, 0, &lost, resumes ? "there is no such channel (yet)" : NULL);
}

static void subscribe_offset(kt_hub_client *client, kt_sub *sub, const kt_op *op)
{
    kt_resume resume;
    kt_err err = { 0 };
    kt_code code = kt_replay_after(client->hub, sub, op->from.epoch, op->from.offset, &resume, &err);
    const char *reason = code == KT_OK ? NULL
                         : code == KT_EPOCH
                             ? "that epoch is not known, or its end was lost; going on with what there is"
                         : code == KT_GONE ? "the log no longer has them"
                                           : "that offset is beyond the end of the channel";

    if (code == KT_OK || code == KT_EPOCH || code == KT_GONE || code == KT_SEQ) {
        kt_sub_answer(sub, op->has_id, op->id, resume.epoch, code == KT_SEQ ? NULL : &resume.lost, reason);
        return;
    }
    kt_client_answer_error(client, op, KT_FAULT_UNAVAILABLE, "from", err.msg);
    kt_sub_free(client->hub, sub);
}

static void do_subscribe(kt_hub_client *client, const kt_op *op)
{
    kt_hub *hub = client->hub;
    kt_sub *sub;

    if (sub_find(client, op->channel) != NULL) {
        kt_client_answer_error(
            client, op, KT_FAULT_ALREADY, "channel", "this connection hears that channel already; unsubscribe first");
        return;
    }
    if (client->sub_count == KT_HUB_SUBSCRIPTION_MAX || (sub = sub_new(client, op)) == NULL) {
        kt_client_answer_error(client, op, KT_FAULT_LIMIT, "channel",
            "a connection hears at most 1024 channels; unsubscribe from one first");
        return;
    }
    sub->subject = kt_hub_find(hub, op->channel);
    if (sub->subject == NULL) {
        subscribe_waiting(client, sub, op);
        return;
    }
    sub->last_offset = sub->subject->last_offset;
    switch (op->from.kind) {
    case KT_FROM_LIVE:
        kt_sub_answer(sub, op->has_id, op->id, sub->subject->epoch, NULL, NULL);
        kt_sub_go_live(sub);
        break;
    case KT_FROM_SNAPSHOT:
        if (sub->last_offset == 0 || kt_replay_after(hub, sub, 0, sub->last_offset - 1, NULL, NULL) != KT_OK) {
            if (sub->state == KT_SUB_REPLAY)
                kt_replay_leave(sub);
            sub->last_offset = sub->subject->last_offset;
            kt_sub_answer(sub, op->has_id, op->id, sub->subject->epoch, NULL, NULL);
            kt_sub_go_live(sub);
            break;
        }
        kt_sub_answer(sub, op->has_id, op->id, sub->subject->epoch, NULL, NULL);
        break;
    case KT_FROM_OFFSET:
        subscribe_offset(client, sub, op);
        break;
    case KT_FROM_TIME:
        sub->last_offset = 0;
        sub->time_ns = op->from.time_ns;
        kt_replay_by_time(hub, sub);
        break;
    }
}

static void do_unsubscribe(kt_hub_client *client, const kt_op *op)
{
    kt_sub *sub = sub_find(client, op->channel);
    kt_message message;

    if (sub == NULL) {
        kt_client_answer_error(
            client, op, KT_FAULT_NOT_SUBSCRIBED, "channel", "this connection does not hear that channel");
        return;
    }
    begin_answer(client, &message, op);
    kt_json_member_text(&message.json, "channel", op->channel);
    kt_json_member_u64(&message.json, "offset", sub->last_offset);
    kt_client_say(client, &message);
    kt_sub_free(client->hub, sub);
}

typedef struct channel_list {
    kt_message *message;
    size_t size_max;
    uint32_t count;
} channel_list;

static bool put_channel(void *ctx, const kt_hub_channel *channel)
{
    channel_list *list = ctx;
    kt_json_writer *json = &list->message->json;

    if (++list->count > KT_HUB_CHANNELS_MAX || json->n > list->size_max)
        return false;
    kt_json_open_object(json);
    kt_json_member_text(json, "channel", channel->name);
    kt_json_member_text(json, "log", channel->log);
    put_epoch(list->message, "epoch", channel->epoch);
    kt_json_member_u64(json, "offset", channel->last_offset);
    kt_json_close_object(json);
    return true;
}

static void do_channels(kt_hub_client *client, const kt_op *op)
{
    kt_message message;
    bool complete;

    begin_answer(client, &message, op);
    kt_json_member_text(&message.json, "pattern", op->pattern);
    kt_json_name(&message.json, "channels");
    kt_json_open_array(&message.json);
    complete = kt_hub_channels(client->hub, op->pattern, put_channel,
        &(channel_list){ .message = &message, .size_max = message.json.n + client->hub->buffer_bytes / 2 });
    kt_json_close_array(&message.json);
    kt_json_member_bool(&message.json, "complete", complete); /* false: ask with a narrower pattern */
    kt_client_say(client, &message);
}

static void do_ping(kt_hub_client *client, const kt_op *op)
{
    kt_message message;

    begin(client, &message, "pong");
    kt_message_put_id(&message, op);
    kt_client_say(client, &message);
}

static void (*const ops[KT_OP_COUNT])(kt_hub_client *client, const kt_op *op) = {
    [KT_OP_AUTH] = do_auth,
    [KT_OP_SUBSCRIBE] = do_subscribe,
    [KT_OP_UNSUBSCRIBE] = do_unsubscribe,
    [KT_OP_CHANNELS] = do_channels,
    [KT_OP_PING] = do_ping,
    [KT_OP_CALL] = kt_client_call,
};

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    kt_hub_client *client = ctx;
    kt_hub *hub = client->hub;
    kt_op op = { 0 };
    kt_op_error error;
    kt_message message;

    if (opcode != KT_WS_TEXT) {
        kt_client_answer_error(
            client, &op, KT_FAULT_MALFORMED, "", "a message is JSON in a text frame; this was a binary one");
    } else if (kt_op_parse((kt_text){ (const char *)payload, size }, &hub->op_scratch, &op, &error)) {
        ops[op.kind](client, &op);
    } else {
        kt_message_begin_error(&message, hub->scratch, KT_HUB_EVENT_MAX, &op, &error);
        kt_client_say(client, &message);
    }
}

/* ---- room again ---- */

static void on_drain(void *ctx, kt_ws_conn *conn)
{
    kt_hub_client *client = ctx;

    if (!kt_ws_is_open(conn))
        return;
    for (kt_link_node *node = client->subs.next; node != &client->subs; node = node->next) {
        kt_sub *sub = KT_SUB_OF_CLIENT(node);

        if (sub->state == KT_SUB_BLOCKED)
            kt_replay_unblock(client->hub, sub);
        else if (sub->dirty)
            kt_fan_newest(client->hub, sub);
    }
}

/* ---- life of a client ---- */

void kt_client_free(kt_hub_client *client)
{
    while (!kt_link_empty(&client->subs))
        kt_sub_free(client->hub, KT_SUB_OF_CLIENT(client->subs.next));
    kt_client_forget_calls(client);
    kt_timer_cancel(client->hub->loop, &client->silence);
    client->hub->counts.clients--;
    free(client);
}

static void on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    kt_client_free(ctx);
}

/* The last message, and the reason again in the close frame. */
static void disconnect(
    kt_hub_client *client, uint16_t close_code, const char *code, const char *reason, const char *close_reason)
{
    kt_message message;

    begin(client, &message, "disconnect");
    kt_json_member_text(&message.json, "code", kt_text_of(code));
    kt_json_member_text(&message.json, "reason", kt_text_of(reason));
    if (kt_message_end(&message) == KT_OK) /* no room for it: the close frame, which has its own, says it, too */
        (void)put(client, &message);
    kt_ws_close(client->conn, close_code, kt_text_of(close_reason));
}

void kt_hub_limit(kt_hub *hub, const kt_hub_limits *limits)
{
    hub->silence_ns = limits->silence_ms * KT_NS_PER_MS;
    kt_fan_intervals(hub, limits->flush_ms);
    kt_ws_server_limit(hub->ws, limits->client_max);
}

void kt_hub_leave(kt_hub *hub)
{
    hub->leaving = true;
    for (kt_ws_conn *conn = NULL; (conn = kt_ws_server_next(hub->ws, conn)) != NULL;)
        if (kt_ws_is_open(conn))
            disconnect(kt_ws_ctx(conn), KT_WS_CLOSE_GOING_AWAY, "stopping",
                "the house stops; come back with your epoch and offset", "the house stops");
}

static void silence_due(kt_timer *timer)
{
    kt_hub_client *client = timer->ctx;
    kt_hub *hub = client->hub;
    int64_t silent_at = kt_ws_heard_ns(client->conn) + hub->silence_ns;
    char text[160];

    if (silent_at > kt_loop_now(hub->loop)) {
        kt_timer_set(hub->loop, timer, silent_at);
        return;
    }
    if (!kt_ws_is_open(client->conn))
        return;
    snprintf(text, sizeof text,
        "nothing was heard for %lld ms; any frame will do, such as {\"op\":\"ping\"} or a ping frame",
        (long long)(hub->silence_ns / KT_NS_PER_MS));
    disconnect(client, KT_WS_CLOSE_POLICY, "silent", text, "silent for too long");
    hub->counts.silent_closed++;
}

bool kt_hub_guests(const kt_hub *hub, bool (*each)(void *ctx, const kt_hub_guest *guest), void *ctx)
{
    for (kt_ws_conn *conn = NULL; (conn = kt_ws_server_next(hub->ws, conn)) != NULL;) {
        const kt_hub_client *client = kt_ws_ctx(conn);
        kt_hub_guest guest = {
            .since_ns = client->since_ns,
            .channels = client->sub_count,
            .slow = client->behind_count,
            .slow_begun = client->slow_begun,
            .skipped = client->skipped,
            .messages = client->seq,
            .pending = kt_ws_pending(conn),
            .deflates = kt_ws_deflates(conn),
        };

        kt_ws_peer(conn, guest.address, sizeof guest.address);
        if (!each(ctx, &guest))
            return false;
    }
    return true;
}

void kt_hub_accept(kt_hub *hub, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    kt_hub_client *client = hub->leaving ? NULL : calloc(1, sizeof *client);

    if (hub->leaving) {
        kt_http_fail(http, exchange, 503, "the house stops; try again when it is back");
        return;
    }
    if (client == NULL) {
        kt_http_fail(http, exchange, 503, "no memory for one more client; try again later");
        return;
    }
    client->hub = hub;
    client->since_ns = kt_loop_now(hub->loop);
    client->operates = kt_gate_operates(request);
    client->phase = hub->phase_next++ / KT_HUB_PHASE_RUN % KT_HUB_PHASES;
    client->silence = (kt_timer){ .on_due = silence_due, .ctx = client };
    kt_link_init(&client->subs);
    client->conn = kt_ws_accept(hub->ws, http, exchange, request, client);
    if (client->conn == NULL) { /* it has been answered */
        free(client);
        return;
    }
    hub->counts.clients++;
    kt_timer_set(hub->loop, &client->silence, kt_loop_now(hub->loop) + hub->silence_ns);
}

kt_code kt_client_server_open(kt_hub *hub, uint32_t client_max, kt_err *err)
{
    kt_ws_server_options options = {
        .handlers = { on_message, on_drain, on_close },
        .subprotocol = KT_SUBPROTOCOL,
        .deflate = true,
        .conn_max = client_max,
        .message_max = KT_EDGE_MESSAGE_MAX,
        .out_max = hub->buffer_bytes,
    };

    return kt_ws_server_new(hub->loop, &options, &hub->ws, err);
}
