#include "edge/protocol.h"

#include "base/test_util.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static kt_op_scratch scratch;

/* Parse a copy that ends flush against a guard page: one byte read too far is a crash. */
static bool parse(kt_text message, kt_op *op, kt_op_error *error)
{
    static void *last;
    static size_t last_size;

    if (last != NULL)
        kt_guard_free(last, last_size);
    last = kt_guard_copy(message.s, message.n);
    last_size = message.n;
    return kt_op_parse((kt_text){ last, message.n }, &scratch, op, error);
}

typedef struct bad_row {
    const char *name;
    const char *message;
    kt_op_fault fault;
    const char *field;
    const char *says; /* a part of the message */
} bad_row;

static const bad_row bad_rows[] = {
    { "malformed", "{\"op\":\"ping\",}", KT_FAULT_MALFORMED, "", "" },
    { "malformed: two values", "{\"op\":\"ping\"}{}", KT_FAULT_MALFORMED, "", "" },
    { "malformed: not UTF-8", "{\"op\":\"\xff\"}", KT_FAULT_MALFORMED, "", "" },
    { "malformed: empty", "", KT_FAULT_MALFORMED, "", "" },
    { "truncated", "{\"op\":\"subscribe\",\"channel\":\"a.b", KT_FAULT_MALFORMED, "", "" },
    { "not an object", "[1]", KT_FAULT_WRONG_TYPE, "", "JSON object" },
    { "a known field missing: op", "{\"id\":1}", KT_FAULT_MISSING_FIELD, "op", "subscribe" },
    { "a known field missing: channel", "{\"op\":\"subscribe\"}", KT_FAULT_MISSING_FIELD, "channel", "channel" },
    { "a known field missing: token", "{\"op\":\"auth\"}", KT_FAULT_MISSING_FIELD, "token", "token" },
    { "a known field missing: offset", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":\"a1\"}}",
        KT_FAULT_MISSING_FIELD, "offset", "offset" },
    { "wrongly typed: op", "{\"op\":7}", KT_FAULT_WRONG_TYPE, "op", "number" },
    { "wrongly typed: id", "{\"op\":\"ping\",\"id\":\"one\"}", KT_FAULT_WRONG_TYPE, "id", "id" },
    { "wrongly typed: channel", "{\"op\":\"subscribe\",\"channel\":[\"a\"]}", KT_FAULT_WRONG_TYPE, "channel", "" },
    { "wrongly typed: conflate", "{\"op\":\"subscribe\",\"channel\":\"a\",\"conflate\":\"no\"}", KT_FAULT_WRONG_TYPE,
        "conflate", "" },
    { "wrongly typed: from", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":7}", KT_FAULT_WRONG_TYPE, "from",
        "snapshot" },
    { "wrongly typed: epoch", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":1,\"offset\":1}}",
        KT_FAULT_WRONG_TYPE, "epoch", "" },
    { "wrongly typed: time", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"time\":true}}", KT_FAULT_WRONG_TYPE,
        "from.time", "ISO 8601" },
    { "given twice: op", "{\"op\":\"ping\",\"op\":\"ping\"}", KT_FAULT_DUPLICATE_FIELD, "op", "" },
    { "given twice: id", "{\"id\":1,\"op\":\"ping\",\"id\":2}", KT_FAULT_DUPLICATE_FIELD, "id", "" },
    { "given twice: offset",
        "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":\"a1\",\"offset\":1,\"offset\":2}}",
        KT_FAULT_DUPLICATE_FIELD, "offset", "" },
    { "negative: offset", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":\"a1\",\"offset\":-1}}",
        KT_FAULT_OUT_OF_RANGE, "offset", "" },
    { "non-finite: id", "{\"op\":\"ping\",\"id\":NaN}", KT_FAULT_MALFORMED, "", "" },
    { "a decimal of 40 digits: id", "{\"op\":\"ping\",\"id\":1234567890123456789012345678901234567890}",
        KT_FAULT_OUT_OF_RANGE, "id", "" },
    { "not an integer: offset", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":\"a1\",\"offset\":1.5}}",
        KT_FAULT_OUT_OF_RANGE, "offset", "" },
    { "unknown op", "{\"op\":\"order\"}", KT_FAULT_UNKNOWN_OP, "op", "auth, subscribe, unsubscribe, channels, ping" },
    { "unknown field", "{\"op\":\"subscribe\",\"channel\":\"a\",\"conflat\":false}", KT_FAULT_UNKNOWN_FIELD, "conflat",
        "id, op, channel, from, conflate" },
    { "unknown field of another op", "{\"op\":\"ping\",\"channel\":\"a\"}", KT_FAULT_UNKNOWN_FIELD, "channel",
        "id, op" },
    { "unknown from", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":\"start\"}", KT_FAULT_OUT_OF_RANGE, "from",
        "snapshot" },
    { "epoch of other letters", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":\"xyz\",\"offset\":1}}",
        KT_FAULT_OUT_OF_RANGE, "from.epoch", "hexadecimal" },
    { "time of other form", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"time\":\"yesterday\"}}",
        KT_FAULT_OUT_OF_RANGE, "from.time", "ISO 8601" },
    { "time and offset", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"time\":1,\"offset\":1}}",
        KT_FAULT_UNKNOWN_FIELD, "offset", "time" },
    { "channel with a wildcard", "{\"op\":\"subscribe\",\"channel\":\"trades.*\"}", KT_FAULT_OUT_OF_RANGE, "channel",
        "op channels" },
    { "channel with an empty part", "{\"op\":\"subscribe\",\"channel\":\"trades..x\"}", KT_FAULT_OUT_OF_RANGE,
        "channel", "" },
    { "empty channel", "{\"op\":\"unsubscribe\",\"channel\":\"\"}", KT_FAULT_OUT_OF_RANGE, "channel", "" },
    { "pattern that goes on behind >", "{\"op\":\"channels\",\"pattern\":\">.x\"}", KT_FAULT_OUT_OF_RANGE, "pattern",
        "" },
    { "half a surrogate pair", "{\"op\":\"subscribe\",\"channel\":\"\\ud800\"}", KT_FAULT_MALFORMED, "channel", "" },
};

static void bad_input(void **state)
{
    for (size_t i = 0; i < KT_COUNT(bad_rows); i++) {
        const bad_row *row = &bad_rows[i];
        kt_op op;
        kt_op_error error;

        print_message("# %s\n", row->name);
        assert_false(parse(kt_text_of(row->message), &op, &error));
        assert_string_equal(kt_op_fault_name(error.fault), kt_op_fault_name(row->fault));
        assert_string_equal(error.field, row->field);
        assert_int_not_equal(error.message[0], '\0');
        assert_non_null(strstr(error.message, row->says));
    }
}

static void too_large_and_too_deep(void **state)
{
    static char text[KT_OP_SIZE_MAX + 64];
    kt_op op;
    kt_op_error error;

    print_message("# oversized\n");
    memset(text, ' ', sizeof text);
    memcpy(text, "{\"op\":\"ping\"}", 13);
    assert_false(parse((kt_text){ text, KT_OP_SIZE_MAX + 1 }, &op, &error));
    assert_int_equal(error.fault, KT_FAULT_OVERSIZED);
    assert_true(parse((kt_text){ text, KT_OP_SIZE_MAX }, &op, &error));

    print_message("# 10,000 deep\n");
    memset(text, '[', 10000);
    assert_false(parse((kt_text){ text, 10000 }, &op, &error));
    assert_true(error.fault == KT_FAULT_TOO_DEEP || error.fault == KT_FAULT_OVERSIZED);

    print_message("# more values than any op has\n");
    for (size_t i = 0; i < 2000; i += 2)
        memcpy(text + i, "1,", 2);
    text[0] = '[';
    text[2000] = ']';
    assert_false(parse((kt_text){ text, 2001 }, &op, &error));
}

typedef struct good_row {
    const char *name;
    const char *message;
    kt_op want;
} good_row;

static const good_row good_rows[] = {
    { "ping", "{\"op\":\"ping\"}", { .kind = KT_OP_PING } },
    { "an id beyond 2^53 keeps every digit", "{\"op\":\"ping\",\"id\":9007199254740993}",
        { .kind = KT_OP_PING, .has_id = true, .id = 9007199254740993 } },
    { "auth", "{\"id\":1,\"op\":\"auth\",\"token\":\"t\"}",
        { .kind = KT_OP_AUTH, .has_id = true, .id = 1, .token = KT_TEXT("t") } },
    { "subscribe is live and conflates unless it says otherwise",
        "{\"op\":\"subscribe\",\"channel\":\"vwap.5m.binance.BTC/USDT\"}",
        { .kind = KT_OP_SUBSCRIBE, .channel = KT_TEXT("vwap.5m.binance.BTC/USDT"), .conflate = true } },
    { "from live", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":\"live\",\"conflate\":false}",
        { .kind = KT_OP_SUBSCRIBE, .channel = KT_TEXT("a") } },
    { "from snapshot", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":\"snapshot\"}",
        { .kind = KT_OP_SUBSCRIBE, .channel = KT_TEXT("a"), .conflate = true, .from = { .kind = KT_FROM_SNAPSHOT } } },
    { "from an offset",
        "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"epoch\":\"A1\",\"offset\":18446744073709551615}}",
        { .kind = KT_OP_SUBSCRIBE,
            .channel = KT_TEXT("a"),
            .conflate = true,
            .from = { .kind = KT_FROM_OFFSET, .epoch = 0xa1, .offset = UINT64_MAX } } },
    { "from a time in ms", "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"time\":1723161255342}}",
        { .kind = KT_OP_SUBSCRIBE,
            .channel = KT_TEXT("a"),
            .conflate = true,
            .from = { .kind = KT_FROM_TIME, .time_ns = 1723161255342 * KT_NS_PER_MS } } },
    { "from a time as text",
        "{\"op\":\"subscribe\",\"channel\":\"a\",\"from\":{\"time\":\"2024-08-08T23:54:15.342Z\"}}",
        { .kind = KT_OP_SUBSCRIBE,
            .channel = KT_TEXT("a"),
            .conflate = true,
            .from = { .kind = KT_FROM_TIME, .time_ns = 1723161255342 * KT_NS_PER_MS } } },
    { "escapes are undone", "{\"op\":\"unsubscr\\u0069be\",\"channel\":\"trades.x.BTC\\/USDT\"}",
        { .kind = KT_OP_UNSUBSCRIBE, .channel = KT_TEXT("trades.x.BTC/USDT"), .conflate = true } },
    { "all channels", "{\"op\":\"channels\"}", { .kind = KT_OP_CHANNELS, .pattern = KT_TEXT(">") } },
    { "some channels", "{\"op\":\"channels\",\"pattern\":\"vwap.*.>\"}",
        { .kind = KT_OP_CHANNELS, .pattern = KT_TEXT("vwap.*.>") } },
};

static void good_input(void **state)
{
    for (size_t i = 0; i < KT_COUNT(good_rows); i++) {
        const good_row *row = &good_rows[i];
        kt_op op;
        kt_op_error error;

        print_message("# %s\n", row->name);
        if (!parse(kt_text_of(row->message), &op, &error))
            fail_msg("%s", error.message);
        assert_int_equal(op.kind, row->want.kind);
        assert_int_equal(op.has_id, row->want.has_id);
        assert_true(op.id == row->want.id);
        assert_true(kt_text_equal(op.channel, row->want.channel));
        assert_true(kt_text_equal(op.token, row->want.token));
        if (op.kind == KT_OP_CHANNELS)
            assert_true(kt_text_equal(op.pattern, row->want.pattern));
        if (op.kind == KT_OP_SUBSCRIBE) {
            assert_int_equal(op.conflate, row->want.conflate);
            assert_int_equal(op.from.kind, row->want.from.kind);
            assert_true(op.from.epoch == row->want.from.epoch);
            assert_true(op.from.offset == row->want.from.offset);
            assert_true(op.from.time_ns == row->want.from.time_ns);
        }
    }
}

static void id_is_kept_in_errors(void **state)
{
    kt_op op;
    kt_op_error error;

    assert_false(parse(KT_TEXT("{\"id\":41,\"op\":\"subscribe\",\"channel\":7}"), &op, &error));
    assert_true(op.has_id);
    assert_int_equal(op.id, 41);
}

/* A frame is JSON before and after its numbers are patched, and its header says its length. */
static void frames(void **state)
{
    static const size_t text_sizes[] = { 0, 20, 100, 1000, 65000, 70000 };
    static uint8_t mem[100000];
    static char text[70000];
    static kt_json_node nodes[64];

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < KT_COUNT(text_sizes); i++) {
        kt_message message;
        kt_json_doc doc;
        uint64_t seq = 0, skipped = 0, size = 0;

        kt_message_begin(&message, mem, sizeof mem, "event", true);
        kt_json_member_text(&message.json, "data", (kt_text){ text, text_sizes[i] });
        assert_int_equal(kt_message_end(&message), KT_OK);
        size = message.frame[1] < 126 ? message.frame[1]
               : message.frame[1] == 126
                   ? (uint64_t)message.frame[2] << 8 | message.frame[3]
                   : (uint64_t)message.frame[7] << 16 | (uint64_t)message.frame[8] << 8 | message.frame[9];
        assert_int_equal(message.frame[0], 0x81);
        assert_true(size == message.size - message.body_at);
        kt_message_patch_seq(message.frame + message.body_at, 9999999999999999u);
        kt_message_patch_seq(message.frame + message.body_at, 42);
        kt_message_patch_skipped(message.frame + message.body_at, 7);
        kt_text body = { (const char *)message.frame + message.body_at, size };
        assert_int_equal(kt_json_parse(body, nodes, 64, &doc, NULL), KT_OK);
        assert_int_equal(kt_json_u64(&doc, kt_json_get(&doc, 0, KT_TEXT("seq")), &seq), KT_OK);
        assert_int_equal(kt_json_u64(&doc, kt_json_get(&doc, 0, KT_TEXT("skipped")), &skipped), KT_OK);
        assert_int_equal(seq, 42);
        assert_int_equal(skipped, 7);
    }
}

static void frame_that_does_not_fit(void **state)
{
    uint8_t mem[64];
    kt_message message;

    kt_message_begin(&message, mem, sizeof mem, "event", true);
    assert_int_equal(kt_message_end(&message), KT_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_input),
        cmocka_unit_test(too_large_and_too_deep),
        cmocka_unit_test(good_input),
        cmocka_unit_test(id_is_kept_in_errors),
        cmocka_unit_test(frames),
        cmocka_unit_test(frame_that_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
