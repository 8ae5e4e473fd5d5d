#include "edge/protocol.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "net/websocket.h"

#include <stdarg.h>
#include <stdio.h>

/* What a message may hold, before its meaning is looked at. Node indexes are 0 where a field is missing. */
typedef struct op_fields {
    int64_t id;
    kt_text op;
    kt_text channel;
    kt_text pattern;
    kt_text token;
    uint32_t from;
    bool conflate;
    kt_text action;
    kt_text request_id;
    kt_text traceparent;
    uint32_t params;
    uint32_t deadline;
} op_fields;

#define EVERY_OP KT_JSON_FIELD(op_fields, id, "id", I64, KT_JSON_OPTIONAL), KT_JSON_FIELD(op_fields, op, "op", TEXT, 0)

static const kt_json_field id_fields[] = { EVERY_OP };

static const kt_json_field auth_fields[] = {
    EVERY_OP,
    KT_JSON_FIELD(op_fields, token, "token", TEXT, 0),
};

static const kt_json_field subscribe_fields[] = {
    EVERY_OP,
    KT_JSON_FIELD(op_fields, channel, "channel", TEXT, 0),
    KT_JSON_FIELD(op_fields, from, "from", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(op_fields, conflate, "conflate", BOOL, KT_JSON_OPTIONAL),
};

static const kt_json_field unsubscribe_fields[] = {
    EVERY_OP,
    KT_JSON_FIELD(op_fields, channel, "channel", TEXT, 0),
};

static const kt_json_field channels_fields[] = {
    EVERY_OP,
    KT_JSON_FIELD(op_fields, pattern, "pattern", TEXT, KT_JSON_OPTIONAL),
};

static const kt_json_field call_fields[] = {
    EVERY_OP,
    KT_JSON_FIELD(op_fields, action, "action", TEXT, 0),
    KT_JSON_FIELD(op_fields, params, "params", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(op_fields, deadline, "deadline", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(op_fields, request_id, "request_id", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(op_fields, traceparent, "traceparent", TEXT, KT_JSON_OPTIONAL),
};

typedef struct from_fields {
    kt_text epoch;
    uint64_t offset;
    uint32_t time;
} from_fields;

static const kt_json_field offset_fields[] = {
    KT_JSON_FIELD(from_fields, epoch, "epoch", TEXT, 0),
    KT_JSON_FIELD(from_fields, offset, "offset", U64, 0),
};

static const kt_json_field time_fields[] = {
    KT_JSON_FIELD(from_fields, time, "time", ANY, 0),
};

typedef struct op_context {
    const kt_json_doc *doc;
    const op_fields *fields;
    kt_arena *arena;
    kt_op *op;
    kt_op_error *error;
} op_context;

typedef struct op_spec {
    const char *name;
    const kt_json_field *fields;
    uint32_t field_count;
    bool (*read)(const op_context *context);
} op_spec;

static bool read_auth(const op_context *context);
static bool read_subscribe(const op_context *context);
static bool read_unsubscribe(const op_context *context);
static bool read_channels(const op_context *context);
static bool read_ping(const op_context *context);
static bool read_call(const op_context *context);

static const op_spec op_specs[KT_OP_COUNT] = {
    [KT_OP_AUTH] = { "auth", auth_fields, KT_COUNT(auth_fields), read_auth },
    [KT_OP_SUBSCRIBE] = { "subscribe", subscribe_fields, KT_COUNT(subscribe_fields), read_subscribe },
    [KT_OP_UNSUBSCRIBE] = { "unsubscribe", unsubscribe_fields, KT_COUNT(unsubscribe_fields), read_unsubscribe },
    [KT_OP_CHANNELS] = { "channels", channels_fields, KT_COUNT(channels_fields), read_channels },
    [KT_OP_PING] = { "ping", id_fields, KT_COUNT(id_fields), read_ping },
    [KT_OP_CALL] = { "call", call_fields, KT_COUNT(call_fields), read_call },
};

static const char *const fault_names[KT_FAULT_COUNT] = {
#define KT_FAULT_NAME(NAME, name) [KT_FAULT_##NAME] = name,
    KT_OP_FAULT_MAP(KT_FAULT_NAME)
#undef KT_FAULT_NAME
};

/* What a code of the JSON reader means to a client. */
static const kt_op_fault fault_of_code[KT_CODE_COUNT] = {
    [KT_SYNTAX] = KT_FAULT_MALFORMED,
    [KT_LIMIT] = KT_FAULT_TOO_DEEP,
    [KT_FULL] = KT_FAULT_OVERSIZED,
    [KT_TYPE] = KT_FAULT_WRONG_TYPE,
    [KT_NOENT] = KT_FAULT_MISSING_FIELD,
    [KT_TWICE] = KT_FAULT_DUPLICATE_FIELD,
    [KT_RANGE] = KT_FAULT_OUT_OF_RANGE,
};

const char *kt_op_name(kt_op_kind kind)
{
    kt_assert(kind < KT_OP_COUNT);
    return op_specs[kind].name;
}

const char *kt_op_fault_name(kt_op_fault fault)
{
    kt_assert(fault < KT_FAULT_COUNT);
    return fault_names[fault];
}

static bool refuse(kt_op_error *error, kt_op_fault fault, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static bool refuse(kt_op_error *error, kt_op_fault fault, const char *field, const char *fmt, ...)
{
    va_list args;

    error->fault = fault;
    snprintf(error->field, sizeof error->field, "%s", field);
    va_start(args, fmt);
    vsnprintf(error->message, sizeof error->message, fmt, args);
    va_end(args);
    return false;
}

static bool read_fields(const op_context *context, uint32_t object, const char *what, const kt_json_field *fields,
    uint32_t field_count, void *out)
{
    kt_json_found found = { 0 };
    kt_err err = { 0 };
    kt_code code = kt_json_fields(context->doc, object, fields, field_count, context->arena, out, &found, &err);
    char known[160];
    kt_builder list;

    if (code != KT_OK)
        return refuse(
            context->error, fault_of_code[code], found.field != NULL ? found.field : "", "%s: %s", what, err.msg);
    if (found.unknown == 0)
        return true;
    kt_builder_init(&list, known, sizeof known);
    for (uint32_t i = 0; i < field_count; i++) {
        kt_builder_str(&list, i != 0 ? ", " : "");
        kt_builder_str(&list, fields[i].name);
    }
    kt_text name = kt_json_raw(context->doc, found.unknown);
    kt_op_error *error = context->error;
    refuse(error, KT_FAULT_UNKNOWN_FIELD, "", "%s has no field '%.*s'; it has: %s", what,
        (int)(name.n < 40 ? name.n : 40), name.s, known);
    snprintf(error->field, sizeof error->field, "%.*s", (int)(name.n < 40 ? name.n : 40), name.s);
    return false;
}

static bool read_time(const op_context *context, uint32_t node, int64_t *out_time)
{
    kt_text text = { NULL, 0 };
    int64_t ms;
    kt_code code = kt_json_kind_of(context->doc, node) == KT_JSON_NUMBER
                       ? kt_json_i64(context->doc, node, &ms)
                       : kt_json_text(context->doc, node, context->arena, &text);

    if (code == KT_OK)
        code = text.s != NULL ? kt_time_parse_iso(text, out_time) : kt_time_from_ms(ms, out_time);
    if (code == KT_OK)
        return true;
    return refuse(context->error, code == KT_TYPE ? KT_FAULT_WRONG_TYPE : KT_FAULT_OUT_OF_RANGE, "from.time",
        "from.time is no time: give ISO 8601 as \"2024-08-08T23:54:15.342Z\", or whole ms since 1970 as 1723161255342");
}

static bool read_from(const op_context *context, uint32_t node)
{
    static const char allowed[] = "\"live\", \"snapshot\", {\"epoch\",\"offset\"} or {\"time\"}";
    const kt_json_doc *doc = context->doc;
    kt_from *from = &context->op->from;
    from_fields fields = { 0 };

    from->kind = KT_FROM_LIVE;
    if (node == 0 || kt_json_text_is(doc, node, KT_TEXT("live")))
        return true;
    if (kt_json_text_is(doc, node, KT_TEXT("snapshot"))) {
        from->kind = KT_FROM_SNAPSHOT;
        return true;
    }
    if (kt_json_kind_of(doc, node) == KT_JSON_STRING)
        return refuse(context->error, KT_FAULT_OUT_OF_RANGE, "from", "from is not allowed as it is: give %s", allowed);
    if (kt_json_kind_of(doc, node) != KT_JSON_OBJECT)
        return refuse(context->error, KT_FAULT_WRONG_TYPE, "from", "from is a %s: give %s",
            kt_json_kind_text(kt_json_kind_of(doc, node)), allowed);
    if (kt_json_get(doc, node, KT_TEXT("time")) != 0) {
        from->kind = KT_FROM_TIME;
        return read_fields(context, node, "from", time_fields, KT_COUNT(time_fields), &fields) &&
               read_time(context, fields.time, &from->time_ns);
    }
    from->kind = KT_FROM_OFFSET;
    if (!read_fields(context, node, "from", offset_fields, KT_COUNT(offset_fields), &fields))
        return false;
    from->offset = fields.offset;
    if (kt_text_hex64(fields.epoch, &from->epoch) != KT_OK)
        return refuse(context->error, KT_FAULT_OUT_OF_RANGE, "from.epoch",
            "from.epoch is 1 to 16 hexadecimal digits, as an event's `epoch` gave it");
    return true;
}

static bool read_channel(const op_context *context)
{
    kt_err err = { 0 };

    if (kt_subject_check(context->fields->channel, &err) == KT_OK) {
        context->op->channel = context->fields->channel;
        return true;
    }
    return refuse(context->error, KT_FAULT_OUT_OF_RANGE, "channel",
        "%s. A channel is one subject, such as trades.binance.BTC/USDT; op channels lists those that match a pattern",
        err.msg);
}

static bool read_auth(const op_context *context)
{
    context->op->token = context->fields->token;
    return true;
}

static bool read_subscribe(const op_context *context)
{
    context->op->conflate = context->fields->conflate;
    return read_channel(context) && read_from(context, context->fields->from);
}

static bool read_unsubscribe(const op_context *context)
{
    return read_channel(context);
}

static bool read_channels(const op_context *context)
{
    kt_err err = { 0 };

    context->op->pattern = context->fields->pattern;
    if (kt_pattern_check(context->op->pattern, &err) == KT_OK)
        return true;
    return refuse(context->error, KT_FAULT_OUT_OF_RANGE, "pattern",
        "%s. In a pattern * stands for one part and > for the rest, such as vwap.5m.>", err.msg);
}

static bool read_ping(const op_context *context)
{
    return true;
}

static bool read_call(const op_context *context)
{
    const op_fields *fields = context->fields;
    kt_op *op = context->op;

    op->call.action = fields->action;
    op->call.params = fields->params;
    op->call.request_id = fields->request_id;
    op->call.traceparent = fields->traceparent;
    if (fields->deadline == 0)
        return true;
    if (kt_json_kind_of(context->doc, fields->deadline) == KT_JSON_NUMBER)
        op->call.deadline = kt_json_raw(context->doc, fields->deadline);
    else if (kt_json_text(context->doc, fields->deadline, context->arena, &op->call.deadline) != KT_OK ||
             op->call.deadline.n == 0)
        return refuse(context->error, KT_FAULT_WRONG_TYPE, "deadline",
            "deadline is no time: give ISO 8601 as \"2024-08-08T23:54:15.342Z\", or ms since 1970 as 1723161255342");
    return true;
}

/* An id that can be read is repeated even when the rest of the message is wrong, so that the client knows which it was.
 * */
static void read_id(const kt_json_doc *doc, kt_op *op)
{
    uint32_t node = kt_json_get(doc, 0, KT_TEXT("id"));

    op->has_id = node != 0 && kt_json_i64(doc, node, &op->id) == KT_OK;
}

static bool find_op(const kt_json_doc *doc, kt_op *op, kt_op_error *error)
{
    uint32_t node = kt_json_get(doc, 0, KT_TEXT("op"));
    char known[160];
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    for (uint32_t i = 0; i < KT_OP_COUNT; i++) {
        if (node != 0 && kt_json_text_is(doc, node, kt_text_of(op_specs[i].name))) {
            op->kind = (kt_op_kind)i;
            return true;
        }
        kt_builder_str(&list, i != 0 ? ", " : "");
        kt_builder_str(&list, op_specs[i].name);
    }
    if (kt_json_kind_of(doc, 0) != KT_JSON_OBJECT)
        return refuse(error, KT_FAULT_WRONG_TYPE, "",
            "a message is a JSON object, such as {\"op\":\"ping\"}; this is a %s",
            kt_json_kind_text(kt_json_kind_of(doc, 0)));
    if (node == 0)
        return refuse(error, KT_FAULT_MISSING_FIELD, "op", "field op is missing; it is one of: %s", known);
    if (kt_json_kind_of(doc, node) != KT_JSON_STRING)
        return refuse(error, KT_FAULT_WRONG_TYPE, "op", "op is a %s; it is one of these texts: %s",
            kt_json_kind_text(kt_json_kind_of(doc, node)), known);
    kt_text name = kt_json_raw(doc, node);
    return refuse(error, KT_FAULT_UNKNOWN_OP, "op", "there is no op '%.*s'; there are: %s",
        (int)(name.n < 40 ? name.n : 40), name.s, known);
}

bool kt_op_parse(kt_text message, kt_op_scratch *scratch, kt_op *out_op, kt_op_error *out_error)
{
    kt_err err = { 0 };
    op_fields fields = { .pattern = KT_TEXT(">"), .conflate = true };
    op_context context = { &scratch->doc, &fields, &scratch->arena, out_op, out_error };
    kt_code code;

    *out_op = (kt_op){ .pattern = KT_TEXT(">"), .conflate = true };
    *out_error = (kt_op_error){ 0 };
    if (message.n > KT_OP_SIZE_MAX)
        return refuse(out_error, KT_FAULT_OVERSIZED, "", "a message has at most %d bytes; this one has %zu",
            KT_OP_SIZE_MAX, message.n);
    code = kt_json_parse(message, scratch->nodes, KT_OP_NODE_MAX, &scratch->doc, &err);
    if (code != KT_OK)
        return refuse(out_error, fault_of_code[code], "", "%s", err.msg);
    kt_arena_init(&scratch->arena, scratch->text, sizeof scratch->text);
    read_id(&scratch->doc, out_op);
    if (!find_op(&scratch->doc, out_op, out_error))
        return false;
    const op_spec *spec = &op_specs[out_op->kind];
    return read_fields(&context, 0, spec->name, spec->fields, spec->field_count, &fields) && spec->read(&context);
}

void kt_message_begin(kt_message *message, void *mem, uint32_t mem_size, const char *type, bool with_skipped)
{
    static const char blanks[] = "                ";

    _Static_assert(sizeof blanks == KT_SEQ_DIGITS + 1, "as wide as the number");
    kt_assert(mem_size > KT_FRAME_HEAD_MAX);
    *message = (kt_message){ .mem = mem, .mem_size = mem_size };
    kt_json_writer_init(&message->json, (char *)mem + KT_FRAME_HEAD_MAX, mem_size - KT_FRAME_HEAD_MAX);
    kt_json_open_object(&message->json);
    kt_json_name(&message->json, "seq");
    kt_json_put_raw(&message->json, kt_text_of(blanks));
    if (with_skipped) {
        kt_json_name(&message->json, "skipped");
        kt_json_put_raw(&message->json, kt_text_of(blanks));
    }
    kt_json_member_text(&message->json, "type", kt_text_of(type));
}

kt_code kt_message_end(kt_message *message)
{
    kt_text body;
    uint8_t header[KT_WS_HEADER_MAX];
    uint8_t *head;

    kt_json_close_object(&message->json);
    kt_code code = kt_json_writer_done(&message->json, &body);
    if (code != KT_OK)
        return code;
    message->body_at = (uint32_t)kt_ws_header(header, KT_WS_TEXT, true, body.n, NULL);
    kt_assert(message->body_at <= KT_FRAME_HEAD_MAX);
    head = message->mem + KT_FRAME_HEAD_MAX - message->body_at;
    memcpy(head, header, message->body_at);
    message->frame = head;
    message->size = message->body_at + (uint32_t)body.n;
    return KT_OK;
}

void kt_message_pack(kt_message *message, kt_deflater *deflater, void *mem, uint32_t mem_size)
{
    uint32_t size = message->size - message->body_at;
    size_t body_at = 0, packed_size = 0;

    if (message->packed != NULL)
        return;
    if (size >= KT_DEFLATE_SIZE_MIN)
        packed_size = kt_deflate_frame(deflater, KT_WS_TEXT, message->frame + message->body_at, size,
            KT_SKIPPED_AT + KT_SEQ_DIGITS, mem, mem_size, &body_at);
    message->packed = packed_size > 0 ? mem : message->frame;
    message->packed_size = packed_size > 0 ? (uint32_t)packed_size : message->size;
    message->packed_body_at = packed_size > 0 ? (uint32_t)body_at : message->body_at;
}

static void patch(uint8_t *field, uint64_t number)
{
    uint32_t at = KT_SEQ_DIGITS;

    do {
        kt_assert(at > 0);
        field[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    memset(field, ' ', at);
}

void kt_message_patch_seq(uint8_t *body, uint64_t seq)
{
    patch(body + KT_SEQ_AT, seq);
}

void kt_message_patch_skipped(uint8_t *body, uint64_t skipped)
{
    patch(body + KT_SKIPPED_AT, skipped);
}

void kt_message_put_id(kt_message *message, const kt_op *op)
{
    if (op->has_id)
        kt_json_member_i64(&message->json, "id", op->id);
}

void kt_message_begin_error(
    kt_message *message, void *mem, uint32_t mem_size, const kt_op *op, const kt_op_error *error)
{
    kt_message_begin(message, mem, mem_size, "error", false);
    kt_message_put_id(message, op);
    kt_json_member_text(&message->json, "code", kt_text_of(fault_names[error->fault]));
    if (error->field[0] != '\0')
        kt_json_member_text(&message->json, "field", kt_text_of(error->field));
    kt_json_member_text(&message->json, "message", kt_text_of(error->message));
}
