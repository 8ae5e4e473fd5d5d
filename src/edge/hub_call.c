#include "edge/call.h"
#include "edge/hub_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* A call of a client that is not answered yet. */
typedef struct client_call {
    kt_link_node link; /* in hub->open_calls */
    kt_hub *hub;
    kt_hub_client *client; /* NULL: it has gone */
    bool has_id;
    int64_t id;
} client_call;

#define CALL_OF(node) ((client_call *)((char *)(node)-offsetof(client_call, link)))

void kt_hub_take_calls(kt_hub *hub, struct kt_calls *calls)
{
    hub->calls = calls;
}

void kt_client_forget_calls(kt_hub_client *client)
{
    kt_link_node *head = &client->hub->open_calls;

    for (kt_link_node *node = head->next; node != head; node = node->next)
        if (CALL_OF(node)->client == client)
            CALL_OF(node)->client = NULL;
}

void kt_hub_forget_calls(kt_hub *hub)
{
    while (!kt_link_empty(&hub->open_calls)) {
        client_call *call = CALL_OF(hub->open_calls.next);

        kt_link_remove(&call->link);
        free(call);
    }
}

/* ---- answers ---- */

static void put_call(kt_message *message, const client_call *call, const kt_action *action, const kt_trace *trace)
{
    kt_message_put_id(message, &(kt_op){ .has_id = call->has_id, .id = call->id });
    kt_json_member_text(&message->json, "op", kt_text_of(kt_op_name(KT_OP_CALL)));
    if (action != NULL)
        kt_json_member_text(&message->json, "action", kt_text_of(action->name));
    kt_json_member_text(&message->json, "request_id", kt_text_of(trace->request_id));
    kt_json_member_text(&message->json, "traceparent", kt_text_of(trace->traceparent));
}

static void say_refusal(
    const client_call *call, const kt_action *action, const kt_trace *trace, const kt_refusal *refusal)
{
    kt_hub_client *client = call->client;
    kt_message message;

    kt_message_begin(&message, client->hub->scratch, KT_HUB_EVENT_MAX, "error", false);
    put_call(&message, call, action, trace);
    kt_json_member_text(&message.json, "code", kt_text_of(refusal->word));
    if (refusal->field[0] != '\0')
        kt_json_member_text(&message.json, "field", kt_text_of(refusal->field));
    if (refusal->retry_s > 0)
        kt_json_member_u64(&message.json, "retry_s", refusal->retry_s);
    kt_json_member_text(&message.json, "message", kt_text_of(refusal->message));
    kt_client_say(client, &message);
}

static void say_answer(const client_call *call, const kt_call_answer *answer)
{
    kt_hub_client *client = call->client;
    kt_refusal refusal;
    kt_message message;

    if (answer->body.n + client->hub->answer_reserve > client->hub->buffer_bytes) {
        kt_refuse(&refusal, KT_LIMIT, NULL,
            "the answer has %zu bytes, more than edge.client_buffer_bytes has room for; ask for less, or over HTTP",
            answer->body.n);
        say_refusal(call, answer->action, answer->trace, &refusal);
        return;
    }
    kt_message_begin(&message, client->hub->scratch, KT_HUB_EVENT_MAX, "answer", false);
    put_call(&message, call, answer->action, answer->trace);
    kt_json_name(&message.json, "data");
    kt_json_put_raw(&message.json, answer->body);
    kt_client_say(client, &message);
}

static void on_answer(void *ctx, uint64_t key, const kt_call_answer *answer)
{
    client_call *call = ctx;

    kt_link_remove(&call->link);
    if (call->client != NULL && kt_ws_is_open(call->client->conn)) {
        if (answer->code == KT_OK)
            say_answer(call, answer);
        else
            say_refusal(call, answer->action, answer->trace, answer->refusal);
    }
    free(call);
}

/* ---- calls ---- */

static kt_code read_params(kt_hub *hub, const kt_action *action, const kt_op *op, void *out_params, kt_refusal *refusal)
{
    static const kt_json_node empty[] = { { .at = 0, .size = 2, .next = 1, .kind = KT_JSON_OBJECT } };
    static const kt_json_doc none = { .text = "{}", .size = 2, .node_count = 1, .nodes = empty };
    const kt_json_doc *doc = op->call.params != 0 ? &hub->op_scratch.doc : &none;

    return kt_params_json(&action->params, doc, op->call.params, &hub->op_scratch.arena, out_params, refusal);
}

static kt_code read_call(
    kt_hub_client *client, const kt_op *op, kt_params_any *params, kt_call_spec *spec, kt_refusal *refusal)
{
    char peer[KT_GATE_ADDRESS_SIZE + 8];
    kt_hub *hub = client->hub;
    kt_gate_client who;
    kt_code code;

    spec->action = kt_action_by_name(op->call.action);
    if (spec->action == NULL)
        return kt_refuse(refusal, KT_NOENT, "action", "there is no action '%.*s'; node.actions lists those there are",
            (int)(op->call.action.n < 64 ? op->call.action.n : 64), op->call.action.s);
    kt_ws_peer(client->conn, peer, sizeof peer);
    kt_gate_client_init(&who, peer, client->operates);
    code = kt_calls_pass(hub->calls, spec->action, &who, refusal);
    if (code == KT_OK && op->call.deadline.n > 0)
        code = kt_calls_deadline(hub->calls, op->call.deadline, &spec->deadline_ns, refusal);
    return code == KT_OK ? read_params(hub, spec->action, op, params, refusal) : code;
}

void kt_client_call(kt_hub_client *client, const kt_op *op)
{
    kt_hub *hub = client->hub;
    client_call *call = calloc(1, sizeof *call);
    kt_call_spec spec = { .on_answer = on_answer, .ctx = call };
    kt_params_any params;
    kt_refusal refusal;

    if (call == NULL) {
        kt_client_answer_error(client, op, KT_FAULT_UNAVAILABLE, "", "no memory for one more call; try again");
        return;
    }
    *call = (client_call){ .hub = hub, .client = client, .has_id = op->has_id, .id = op->id };
    spec.params = &params;
    kt_calls_trace(hub->calls, &spec.trace, op->call.request_id, op->call.traceparent);
    if (read_call(client, op, &params, &spec, &refusal) != KT_OK) {
        say_refusal(call, spec.action, &spec.trace, &refusal);
        free(call);
        return;
    }
    kt_link_push(&hub->open_calls, &call->link);
    kt_calls_start(hub->calls, &spec);
}
