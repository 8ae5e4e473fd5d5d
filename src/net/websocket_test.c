#include "base/json.h"
#include "base/test.h"
#include "base/test_util.h"
#include "base/text.h"
#include "net/websocket.h"
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_MAX = 70000 };

/* --- UTF-8 ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    const char *bytes;
    bool good;
} utf8_rows[] = {
    { "nothing", "", true },
    { "ASCII", "hello, world; more than eight bytes", true },
    { "two bytes", "\xc2\x80\xdf\xbf", true },
    { "three bytes", "\xe0\xa0\x80\xef\xbf\xbf", true },
    { "four bytes", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true },
    { "next to the surrogates", "\xed\x9f\xbf\xee\x80\x80", true },
    { "continuation alone", "\x80", false },
    { "overlong of two", "\xc0\x80", false },
    { "overlong of two, highest", "\xc1\xbf", false },
    { "overlong of three", "\xe0\x9f\xbf", false },
    { "overlong of four", "\xf0\x8f\xbf\xbf", false },
    { "first surrogate", "\xed\xa0\x80", false },
    { "last surrogate", "\xed\xbf\xbf", false },
    { "above U+10FFFF", "\xf4\x90\x80\x80", false },
    { "F5", "\xf5\x80\x80\x80", false },
    { "FE", "\xfe", false },
    { "cut short", "12345678\xe2\x82", false },
    { "ASCII inside a character",
        "\xe2\x82"
        "a",
        false },
    { "bad byte behind eight good ones", "12345678\xff", false },
};

static bool utf8_whole(const uint8_t *data, size_t size)
{
    kt_utf8 utf8 = { 0 };

    return kt_utf8_feed(&utf8, data, size) && utf8.need == 0;
}

static void utf8_is_judged_as_rfc_3629_says(void **state)
{
    for (size_t i = 0; i < KT_COUNT(utf8_rows); i++) {
        const uint8_t *bytes = (const uint8_t *)utf8_rows[i].bytes;
        size_t size = strlen(utf8_rows[i].bytes);
        KT_ROW(utf8_rows[i].name, utf8_whole(bytes, size) == utf8_rows[i].good);
        for (size_t cut = 0; cut <= size; cut++) {
            kt_utf8 utf8 = { 0 };
            bool good =
                kt_utf8_feed(&utf8, bytes, cut) && kt_utf8_feed(&utf8, bytes + cut, size - cut) && utf8.need == 0;
            KT_ROW(utf8_rows[i].name, good == utf8_rows[i].good);
        }
    }
}

/* Against the second implementation that base/text.c has. */
static void utf8_agrees_with_the_general_check(void **state)
{
    static const uint8_t likely[] = { 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed,
        0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t round = 0; round < kt_test_cases(300000); round++) {
        uint8_t bytes[12];
        size_t size = (size_t)kt_rng_below(&rng, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = likely[kt_rng_below(&rng, sizeof likely)];
        assert_int_equal(utf8_whole(bytes, size), kt_utf8_valid((kt_text){ (const char *)bytes, size }));
    }
}

/* --- encode and decode ------------------------------------------------------------------------------------------ */

static void frames_of_every_length_class_come_back(void **state)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, MESSAGE_MAX };
    static const size_t header_sizes[] = { 2, 2, 2, 4, 4, 4, 10, 10 };
    static const uint8_t mask[4] = { 0xde, 0xad, 0xbe, 0xef };
    static uint8_t bytes[KT_WS_HEADER_MAX + MESSAGE_MAX];
    kt_ws_decoder decoder;
    kt_ws_event event;

    for (size_t i = 0; i < KT_COUNT(sizes); i++) {
        for (int masked = 0; masked < 2; masked++) {
            size_t header = kt_ws_header(bytes, KT_WS_BINARY, true, sizes[i], masked ? mask : NULL);
            assert_int_equal(header, header_sizes[i] + (masked ? 4u : 0u));
            memset(bytes + header, 0x5a, sizes[i]);
            if (masked)
                kt_ws_mask(bytes + header, sizes[i], mask, 0);
            kt_ws_decoder_init(&decoder, masked ? KT_WS_SERVER : KT_WS_CLIENT, MESSAGE_MAX);
            assert_int_equal(kt_ws_decode(&decoder, bytes, header + sizes[i], &event), header + sizes[i]);
            assert_int_equal(event.kind, KT_WS_PIECE);
            assert_true(event.first && event.last);
            assert_int_equal(event.size, sizes[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(event.payload[k], 0x5a);
            assert_int_equal(kt_ws_decode(&decoder, bytes, 0, &event), 0);
            assert_int_equal(event.kind, KT_WS_NONE);
        }
    }
}

static void a_message_too_large_is_known_by_its_header(void **state)
{
    uint8_t bytes[KT_WS_HEADER_MAX];
    kt_ws_decoder decoder;
    kt_ws_event event;

    size_t header = kt_ws_header(bytes, KT_WS_BINARY, true, MESSAGE_MAX + 1, NULL);
    kt_ws_decoder_init(&decoder, KT_WS_CLIENT, MESSAGE_MAX);
    kt_ws_decode(&decoder, bytes, header, &event);
    assert_int_equal(event.kind, KT_WS_FAILED);
    assert_int_equal(event.close_code, KT_WS_CLOSE_TOO_BIG);

    /* The highest length there is must not wrap around the sum with what has come before. */
    kt_ws_decoder_init(&decoder, KT_WS_CLIENT, MESSAGE_MAX);
    header = kt_ws_header(bytes, KT_WS_BINARY, false, 1, NULL);
    bytes[header] = 0;
    kt_ws_decode(&decoder, bytes, header + 1, &event);
    header = kt_ws_header(bytes, KT_WS_CONTINUATION, true, INT64_MAX, NULL);
    kt_ws_decode(&decoder, bytes, header, &event);
    assert_int_equal(event.kind, KT_WS_FAILED);
    assert_int_equal(event.close_code, KT_WS_CLOSE_TOO_BIG);
    header = kt_ws_header(bytes, KT_WS_BINARY, true, UINT64_MAX, NULL);
    kt_ws_decoder_init(&decoder, KT_WS_CLIENT, UINT64_MAX);
    kt_ws_decode(&decoder, bytes, header, &event);
    assert_int_equal(event.kind, KT_WS_FAILED);
    assert_int_equal(event.close_code, KT_WS_CLOSE_PROTOCOL);
}

static void masking_is_its_own_inverse_at_every_offset(void **state)
{
    static const uint8_t mask[4] = { 1, 2, 3, 4 };
    uint8_t bytes[40], whole[40];

    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t cut = 0; cut <= size; cut++) {
            for (size_t i = 0; i < size; i++)
                whole[i] = bytes[i] = (uint8_t)(i * 31);
            kt_ws_mask(whole, size, mask, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(whole[i], bytes[i] ^ mask[i % 4]);
            kt_ws_mask(bytes, cut, mask, 0);
            kt_ws_mask(bytes + cut, size - cut, mask, cut);
            assert_memory_equal(bytes, whole, size);
        }
    }
}

static void a_close_reason_is_cut_at_a_character(void **state)
{
    char reason[200];
    uint8_t payload[KT_WS_CONTROL_MAX];

    assert_int_equal(kt_ws_close_payload(payload, KT_WS_CLOSE_NO_CODE, (kt_text){ 0 }), 0);
    assert_int_equal(kt_ws_close_payload(payload, 1000, (kt_text){ 0 }), 2);
    assert_memory_equal(payload, "\x03\xe8", 2);
    memset(reason, 'a', sizeof reason);
    assert_int_equal(kt_ws_close_payload(payload, 1000, (kt_text){ reason, sizeof reason }), 125);
    assert_int_equal(kt_ws_close_payload(payload, 1000, (kt_text){ reason, 123 }), 125);
    for (size_t at = 119; at < 124; at++) {
        memset(reason, 'a', sizeof reason);
        memcpy(reason + at, "\xf0\x9f\x98\x80", 4);
        size_t size = kt_ws_close_payload(payload, 1000, (kt_text){ reason, sizeof reason });
        assert_int_equal(size, at + 4 <= 123 ? 125 : at + 2);
        assert_true(utf8_whole(payload + 2, size - 2));
    }
}

/* --- split input gives the same events as whole input ------------------------------------------------------------- */

typedef struct digest {
    char text[4096];
    size_t n;
    bool failed;
} digest;

static void digest_add(digest *own, const kt_ws_event *event)
{
    char *to = own->text + own->n;
    size_t room = sizeof own->text - own->n;

    if (event->kind == KT_WS_PIECE) {
        if (event->first)
            own->n += (size_t)snprintf(to, room, "(%d ", event->opcode);
        for (size_t i = 0; i < event->size && own->n + 8 < sizeof own->text; i++)
            own->n += (size_t)snprintf(own->text + own->n, sizeof own->text - own->n, "%02x", event->payload[i]);
        if (event->last)
            own->n += (size_t)snprintf(own->text + own->n, sizeof own->text - own->n, ")");
    } else if (event->kind == KT_WS_CONTROL) {
        own->n += (size_t)snprintf(to, room, "[%d %d %.*s]", event->opcode, event->close_code, (int)event->size,
            event->size > 0 ? (const char *)event->payload : "");
    } else if (event->kind == KT_WS_FAILED) {
        own->n += (size_t)snprintf(to, room, "!%d %s", event->close_code, event->why);
        own->failed = true;
    }
    assert_true(own->n < sizeof own->text);
}

static void digest_feed(digest *own, kt_ws_decoder *decoder, uint8_t *data, size_t size)
{
    kt_ws_event event;

    for (size_t at = 0; at < size && !own->failed;) {
        at += kt_ws_decode(decoder, data + at, size - at, &event);
        digest_add(own, &event);
    }
}

static size_t random_frames(kt_rng *rng, uint8_t *to, size_t room)
{
    static const uint8_t opcodes[] = { 0, 0, 1, 1, 2, 8, 9, 10, 3 };
    size_t n = 0;

    while (n + 200 < room) {
        uint8_t mask[4];
        size_t size = (size_t)kt_rng_below(rng, kt_rng_chance(rng, 0.2) ? 150 : 8);
        kt_rng_fill(rng, mask, sizeof mask);
        size_t header =
            kt_ws_header(to + n, opcodes[kt_rng_below(rng, sizeof opcodes)], kt_rng_chance(rng, 0.6), size, mask);
        for (size_t i = 0; i < size; i++)
            to[n + header + i] = (uint8_t)(kt_rng_chance(rng, 0.01) ? 0xc3 : 'a' + kt_rng_below(rng, 26));
        kt_ws_mask(to + n + header, size, mask, 0);
        n += header + size;
    }
    if (kt_rng_chance(rng, 0.3))
        to[kt_rng_below(rng, n)] ^= (uint8_t)(1 << kt_rng_below(rng, 8));
    return n;
}

static void split_input_gives_the_same_events_as_whole_input(void **state)
{
    uint8_t bytes[1000];
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t round = 0; round < kt_test_cases(5000); round++) {
        digest whole = { .n = 0 }, split = { .n = 0 };
        kt_ws_decoder decoder;
        size_t size = random_frames(&rng, bytes, kt_rng_between(&rng, 201, sizeof bytes));
        uint8_t *copy = kt_guard_copy(bytes, size);
        kt_ws_decoder_init(&decoder, KT_WS_SERVER, 300);
        digest_feed(&whole, &decoder, copy, size);
        kt_guard_free(copy, size);
        kt_ws_decoder_init(&decoder, KT_WS_SERVER, 300);
        for (size_t at = 0; at < size;) {
            size_t piece = (size_t)kt_rng_between(&rng, 1, kt_rng_chance(&rng, 0.5) ? 3 : 100);
            piece = piece < size - at ? piece : size - at;
            copy = kt_guard_copy(bytes + at, piece);
            digest_feed(&split, &decoder, copy, piece);
            kt_guard_free(copy, piece);
            at += piece;
        }
        /* A message fails as soon as it can be known to, so before the failure fewer of its bytes may have been told.
         * */
        if (!whole.failed)
            assert_string_equal(whole.text, split.text);
        else
            assert_string_equal(strchr(whole.text, '!'), strchr(split.text, '!'));
    }
}

/* --- the RFC's own examples ------------------------------------------------------------------------------------- */

static size_t hex_decode(kt_text hex, uint8_t *to)
{
    for (size_t i = 0; i + 1 < hex.n; i += 2)
        to[i / 2] = (uint8_t)strtoul((char[]){ hex.s[i], hex.s[i + 1], 0 }, NULL, 16);
    return hex.n / 2;
}

static kt_text member(const kt_json_doc *doc, uint32_t item, kt_text name)
{
    uint32_t node = kt_json_get(doc, item, name);

    return node != 0 ? kt_json_raw(doc, node) : (kt_text){ 0 };
}

static void frame_row(const kt_json_doc *doc, uint32_t item)
{
    uint8_t bytes[256], again[256], mask[4];
    kt_text payload = member(doc, item, KT_TEXT("payload"));
    kt_text mask_hex = member(doc, item, KT_TEXT("mask"));
    uint32_t opcode = (uint32_t)strtoul(member(doc, item, KT_TEXT("opcode")).s, NULL, 10);
    kt_ws_decoder decoder;
    kt_ws_event event;

    size_t size = hex_decode(member(doc, item, KT_TEXT("frame_hex")), bytes);
    bool masked = mask_hex.n > 0;
    if (masked)
        hex_decode(mask_hex, mask);
    size_t header = kt_ws_header(again, (kt_ws_opcode)opcode, true, payload.n, masked ? mask : NULL);
    memcpy(again + header, payload.s, payload.n);
    if (masked)
        kt_ws_mask(again + header, payload.n, mask, 0);
    assert_int_equal(header + payload.n, size);
    assert_memory_equal(again, bytes, size);
    kt_ws_decoder_init(&decoder, masked ? KT_WS_SERVER : KT_WS_CLIENT, MESSAGE_MAX);
    kt_ws_decode(&decoder, bytes, size, &event);
    assert_int_equal(event.opcode, opcode);
    assert_int_equal(event.size, payload.n);
    assert_memory_equal(event.payload, payload.s, payload.n);
}

static void the_examples_of_the_rfc_hold(void **state)
{
    static kt_json_node nodes[256];
    const char *path = kt_test_recordings("websocket/rfc_frames.json");
    kt_json_doc doc;
    size_t size = 0;
    int keys = 0, frames = 0, headers = 0;

    assert_non_null(path);
    char *text = kt_test_read_file(path, &size);
    assert_non_null(text);
    assert_int_equal(kt_json_parse((kt_text){ text, size }, nodes, KT_COUNT(nodes), &doc, NULL), KT_OK);
    kt_json_each (&doc, 0, item) {
        char accept[KT_WS_ACCEPT_SIZE + 1];
        uint8_t bytes[KT_WS_HEADER_MAX], expected[KT_WS_HEADER_MAX];
        kt_text key = member(&doc, item, KT_TEXT("key"));
        kt_text header = member(&doc, item, KT_TEXT("header_hex"));
        if (key.n > 0) {
            kt_ws_accept_key(key, accept);
            assert_true(kt_text_equal(kt_text_of(accept), member(&doc, item, KT_TEXT("accept"))));
            keys++;
        } else if (header.n > 0) {
            uint64_t length = strtoull(member(&doc, item, KT_TEXT("length")).s, NULL, 10);
            assert_int_equal(kt_ws_header(bytes, KT_WS_BINARY, true, length, NULL), hex_decode(header, expected));
            assert_memory_equal(bytes, expected, header.n / 2);
            headers++;
        } else if (kt_json_get(&doc, item, KT_TEXT("opcode")) != 0) { /* the others are compressed */
            frame_row(&doc, item);
            frames++;
        }
    }
    assert_int_equal(keys, 1);
    assert_int_equal(headers, 1);
    assert_int_equal(frames, 2);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_judged_as_rfc_3629_says),
        cmocka_unit_test(utf8_agrees_with_the_general_check),
        cmocka_unit_test(frames_of_every_length_class_come_back),
        cmocka_unit_test(a_message_too_large_is_known_by_its_header),
        cmocka_unit_test(masking_is_its_own_inverse_at_every_offset),
        cmocka_unit_test(a_close_reason_is_cut_at_a_character),
        cmocka_unit_test(split_input_gives_the_same_events_as_whole_input),
        KT_TEST_RECORDED(the_examples_of_the_rfc_hold, "websocket/rfc_frames.json"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
