/* Any bytes: they are an op or a clear refusal, and what is answered is JSON. An op that was read, written again in its
 * plain form, is read as the same op. */
#include "base/assert.h"
#include "base/text.h"
#include "edge/protocol.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static kt_op_scratch first_scratch;
static kt_op_scratch second_scratch;

static kt_text plain_form(const kt_op *op, char *mem, size_t size)
{
    kt_json_writer writer;
    kt_text text = { NULL, 0 };
    char hex[17];

    kt_json_writer_init(&writer, mem, size);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "op", kt_text_of(kt_op_name(op->kind)));
    if (op->has_id)
        kt_json_member_i64(&writer, "id", op->id);
    if (op->kind == KT_OP_AUTH)
        kt_json_member_text(&writer, "token", op->token);
    if (op->kind == KT_OP_CHANNELS)
        kt_json_member_text(&writer, "pattern", op->pattern);
    if (op->kind == KT_OP_SUBSCRIBE || op->kind == KT_OP_UNSUBSCRIBE)
        kt_json_member_text(&writer, "channel", op->channel);
    if (op->kind == KT_OP_SUBSCRIBE) {
        kt_json_member_bool(&writer, "conflate", op->conflate);
        kt_json_name(&writer, "from");
        switch (op->from.kind) {
        case KT_FROM_LIVE:
            kt_json_put_text(&writer, KT_TEXT("live"));
            break;
        case KT_FROM_SNAPSHOT:
            kt_json_put_text(&writer, KT_TEXT("snapshot"));
            break;
        case KT_FROM_OFFSET:
            snprintf(hex, sizeof hex, "%llx", (unsigned long long)op->from.epoch);
            kt_json_open_object(&writer);
            kt_json_member_text(&writer, "epoch", kt_text_of(hex));
            kt_json_member_u64(&writer, "offset", op->from.offset);
            kt_json_close_object(&writer);
            break;
        case KT_FROM_TIME:
            kt_json_open_object(&writer);
            kt_json_name(&writer, "time");
            kt_json_put_time(&writer, op->from.time_ns);
            kt_json_close_object(&writer);
            break;
        }
    }
    kt_json_close_object(&writer);
    kt_assert(kt_json_writer_done(&writer, &text) == KT_OK);
    return text;
}

static bool same(const kt_op *a, const kt_op *b)
{
    return a->kind == b->kind && a->has_id == b->has_id && (!a->has_id || a->id == b->id) &&
           kt_text_equal(a->channel, b->channel) && kt_text_equal(a->pattern, b->pattern) &&
           kt_text_equal(a->token, b->token) && a->conflate == b->conflate && a->from.kind == b->from.kind &&
           a->from.epoch == b->from.epoch && a->from.offset == b->from.offset && a->from.time_ns == b->from.time_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char again[8 * KT_OP_SIZE_MAX];
    static uint8_t mem[65536];
    static kt_json_node nodes[256];
    kt_op op;
    kt_op second;
    kt_op_error error;
    kt_op_error second_error;
    kt_message message;
    kt_json_doc doc;

    if (kt_op_parse((kt_text){ (const char *)data, size }, &first_scratch, &op, &error)) {
        kt_text text = plain_form(&op, again, sizeof again);

        if (text.n > KT_OP_SIZE_MAX)
            return 0;
        kt_assert(kt_op_parse(text, &second_scratch, &second, &second_error));
        kt_assert(same(&op, &second));
        return 0;
    }
    kt_assert(error.message[0] != '\0');
    kt_message_begin_error(&message, mem, sizeof mem, &op, &error);
    kt_assert(kt_message_end(&message) == KT_OK);
    kt_text body = { (const char *)message.frame + message.body_at, message.size - message.body_at };
    kt_message_patch_seq(message.frame + message.body_at, size);
    kt_assert(kt_json_parse(body, nodes, KT_COUNT(nodes), &doc, NULL) == KT_OK);
    return 0;
}
