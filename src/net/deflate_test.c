#include "base/test.h"

#include "base/json.h"
#include "base/rng.h"
#include "base/test_util.h"
#include "net/deflate.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 1 << 20 };

static kt_deflater *deflater;
static kt_pool pool;

static int set_up(void **state)
{
    kt_pool_init(&pool, 64 << 20, 1 << 20);
    return kt_deflater_new(&deflater, NULL) == KT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    kt_deflater_free(deflater);
    kt_deflater_free(NULL);
    assert_int_equal(pool.bytes_used, 0);
    kt_pool_done(&pool);
    return 0;
}

/* --- the agreement ---------------------------------------------------------------------------------------------- */

#define PMD "permessage-deflate"
#define BOTH PMD "; server_no_context_takeover; client_no_context_takeover"

static const struct {
    const char *name;
    const char *offers[3]; /* one a header */
    const char *answer;    /* NULL: without compression */
} offer_rows[] = {
    { "nothing is offered", { NULL }, NULL },
    { "plain", { PMD }, BOTH },
    { "as browsers do", { PMD "; client_max_window_bits" }, BOTH },
    { "a limit for the client's window", { PMD "; client_max_window_bits=10" }, BOTH },
    { "without context takeover", { PMD ";server_no_context_takeover ; client_no_context_takeover" }, BOTH },
    { "the largest window, which is repeated", { PMD "; server_max_window_bits=15" },
        BOTH "; server_max_window_bits=15" },
    { "quoted, which RFC 6455 9.1 allows", { PMD "; server_max_window_bits=\"15\"" },
        BOTH "; server_max_window_bits=15" },
    { "a smaller window", { PMD "; server_max_window_bits=14" }, NULL },
    { "the smallest window", { PMD "; server_max_window_bits=8" }, NULL },
    { "a smaller window, or else any", { PMD "; server_max_window_bits=10, " PMD }, BOTH },
    { "the same in two headers", { PMD "; server_max_window_bits=10", PMD }, BOTH },
    { "behind another extension", { "x-webkit-deflate-frame, " PMD }, BOTH },
    { "another extension", { "permessage-bzip2" }, NULL },
    { "an unknown parameter", { PMD "; level=9" }, NULL },
    { "a parameter twice", { PMD "; client_max_window_bits; client_max_window_bits" }, NULL },
    { "a value where none belongs", { PMD "; server_no_context_takeover=1" }, NULL },
    { "a value missing", { PMD "; server_max_window_bits" }, NULL },
    { "an empty value", { PMD "; server_max_window_bits=" }, NULL },
    { "bits out of range", { PMD "; server_max_window_bits=16" }, NULL },
    { "bits with a leading zero", { PMD "; server_max_window_bits=015" }, NULL },
    { "bits that are no number", { PMD "; client_max_window_bits=ten" }, NULL },
    { "an empty parameter", { PMD ";" }, NULL },
    { "an empty list", { "" }, NULL },
    { "only commas", { ",,," }, NULL },
};

static void offers_are_answered_as_rfc_7692_says(void **state)
{
    for (size_t i = 0; i < KT_COUNT(offer_rows); i++) {
        kt_http_field fields[4] = { { KT_TEXT("Host"), KT_TEXT("a") } };
        uint32_t count = 1;
        for (size_t k = 0; k < 3 && offer_rows[i].offers[k] != NULL; k++)
            fields[count++] =
                (kt_http_field){ KT_TEXT("sec-websocket-extensions"), kt_text_of(offer_rows[i].offers[k]) };
        const char *answer = kt_deflate_answer(fields, count);
        KT_ROW(offer_rows[i].name, (answer == NULL) == (offer_rows[i].answer == NULL));
        KT_ROW(offer_rows[i].name, answer == NULL || strcmp(answer, offer_rows[i].answer) == 0);
        if (answer == NULL)
            continue;
        fields[0] = (kt_http_field){ KT_TEXT("Sec-WebSocket-Extensions"), kt_text_of(answer) };
        KT_ROW(offer_rows[i].name, kt_deflate_agreed(fields, 1) == KT_OK);
    }
}

static const struct {
    const char *name;
    const char *answer;
    kt_code code;
} answer_rows[] = {
    { "without", NULL, KT_EMPTY },
    { "as offered", BOTH, KT_OK },
    { "the client's side need not be repeated", PMD "; server_no_context_takeover", KT_OK },
    { "a smaller window of the server's", PMD "; server_no_context_takeover; server_max_window_bits=10", KT_OK },
    { "keeps its window", PMD, KT_SYNTAX },
    { "limits our window, which was not offered", PMD "; server_no_context_takeover; client_max_window_bits=10",
        KT_SYNTAX },
    { "another extension", "permessage-bzip2", KT_SYNTAX },
    { "two extensions", BOTH ", " BOTH, KT_SYNTAX },
    { "unknown parameter", BOTH "; x", KT_SYNTAX },
    { "window too large", PMD "; server_no_context_takeover; server_max_window_bits=16", KT_SYNTAX },
};

static void answers_are_checked_against_the_offer(void **state)
{
    for (size_t i = 0; i < KT_COUNT(answer_rows); i++) {
        kt_http_field field = { KT_TEXT("Sec-WebSocket-Extensions"), kt_text_of(answer_rows[i].answer) };
        KT_ROW(answer_rows[i].name,
            kt_deflate_agreed(&field, answer_rows[i].answer != NULL ? 1 : 0) == answer_rows[i].code);
    }
}

/* --- payloads --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *payload;
    size_t size;
    size_t max;
    kt_code code;
    const char *message;
} inflate_rows[] = {
    { "Hello [RFC 7692 7.2.3.1]", "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 100, KT_OK, "Hello" },
    { "stored block [7.2.3.3]", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, 100, KT_OK, "Hello" },
    { "block marked as the last [7.2.3.4]", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, 100, KT_OK, "Hello" },
    { "two blocks [7.2.3.5]", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, 100, KT_OK, "Hello" },
    { "empty message [7.2.3.6]", "\x00", 1, 100, KT_OK, "" },
    { "just as long as allowed", "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 5, KT_OK, "Hello" },
    { "longer than allowed", "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 4, KT_LIMIT, NULL },
    { "nothing allowed", "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 0, KT_LIMIT, NULL },
    { "second Hello of a kept window [7.2.3.2]", "\xf2\x00\x11\x00\x00", 5, 100, KT_CORRUPT, NULL },
    { "no byte", "", 0, 100, KT_CORRUPT, NULL },
    { "end missing", "\xf2\x48\xcd\xc9", 4, 100, KT_CORRUPT, NULL },
    { "last byte missing", "\xf2\x48\xcd\xc9\xc9\x07", 6, 100, KT_CORRUPT, NULL },
    { "stored block cut short", "\x00\x05\x00\xfa\xff\x48\x65", 7, 100, KT_CORRUPT, NULL },
    { "stored block whose sizes differ", "\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00", 11, 100, KT_CORRUPT, NULL },
    { "block type that does not exist", "\x07\x00", 2, 100, KT_CORRUPT, NULL },
};

static void payloads_stand_for_messages(void **state)
{
    for (size_t i = 0; i < KT_COUNT(inflate_rows); i++) {
        kt_queue queue = { 0 };
        kt_code code = kt_inflate(deflater, (const uint8_t *)inflate_rows[i].payload, inflate_rows[i].size, &queue,
            &pool, inflate_rows[i].max);
        KT_ROW(inflate_rows[i].name, code == inflate_rows[i].code);
        if (code == KT_OK) {
            KT_ROW(inflate_rows[i].name, kt_queue_size(&queue) == strlen(inflate_rows[i].message));
            KT_ROW(inflate_rows[i].name,
                kt_queue_size(&queue) == 0 ||
                    memcmp(queue.data + queue.at, inflate_rows[i].message, kt_queue_size(&queue)) == 0);
        }
        kt_queue_clear(&queue, &pool);
    }
}

static size_t unhex(kt_text hex, uint8_t *to)
{
    for (size_t i = 0; i + 1 < hex.n; i += 2) {
        char byte[3] = { hex.s[i], hex.s[i + 1], 0 };
        to[i / 2] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return hex.n / 2;
}

/* rfc_frames.json: whole frames with what they carry. */
static void recorded_frames_carry_what_they_say(void **state)
{
    static kt_json_node nodes[512];
    const char *path = kt_test_recordings("websocket/rfc_frames.json");
    size_t size = 0;
    int checked = 0;
    kt_json_doc doc;

    assert_non_null(path);
    char *text = kt_test_read_file(path, &size);
    assert_non_null(text);
    assert_int_equal(kt_json_parse((kt_text){ text, size }, nodes, KT_COUNT(nodes), &doc, NULL), KT_OK);
    kt_json_each (&doc, 0, item) {
        uint32_t frame = kt_json_get(&doc, item, KT_TEXT("frame_hex"));
        kt_text payload = kt_json_raw(&doc, kt_json_get(&doc, item, KT_TEXT("payload")));
        uint8_t bytes[256];
        kt_ws_decoder decoder;
        kt_ws_event event;
        kt_queue queue = { 0 };
        if (frame == 0 || kt_json_get(&doc, item, KT_TEXT("after")) != 0)
            continue; /* a header alone, or a frame that needs the window of the one before */
        size_t n = unhex(kt_json_raw(&doc, frame), bytes);
        kt_ws_decoder_init(&decoder, (bytes[1] & 0x80) != 0 ? KT_WS_SERVER : KT_WS_CLIENT, 1000);
        decoder.deflate = true;
        assert_int_equal(kt_ws_decode(&decoder, bytes, n, &event), n);
        assert_true(event.kind == KT_WS_PIECE || event.kind == KT_WS_CONTROL);
        if (event.compressed) {
            assert_int_equal(kt_inflate(deflater, event.payload, event.size, &queue, &pool, 1000), KT_OK);
            assert_int_equal(kt_queue_size(&queue), payload.n);
            assert_memory_equal(queue.data + queue.at, payload.s, payload.n);
            kt_queue_clear(&queue, &pool);
        } else {
            assert_int_equal(event.size, payload.n);
            assert_memory_equal(event.payload, payload.s, payload.n);
        }
        checked++;
    }
    assert_true(checked >= 3);
    free(text);
}

static void a_bomb_costs_what_an_honest_message_costs(void **state)
{
    enum { BOMB = 64 << 20, MAX = 1 << 16 };
    uint8_t *zeros = calloc(1, BOMB), *packed = malloc(ROOM);
    kt_queue queue = { 0 };
    kt_pool small;

    assert_true(zeros != NULL && packed != NULL);
    size_t size = kt_deflate(deflater, zeros, BOMB, packed, ROOM);
    assert_true(size > 0 && size < BOMB / 200);
    assert_int_equal(kt_inflate(deflater, packed, size, &queue, &pool, MAX), KT_LIMIT);
    assert_true(pool.bytes_used <= 2 * MAX);
    kt_queue_clear(&queue, &pool);
    /* And where memory is short, that is what is said. */
    kt_pool_init(&small, 4096, 0);
    assert_int_equal(kt_inflate(deflater, packed, size, &queue, &small, MAX), KT_FULL);
    kt_queue_clear(&queue, &small);
    kt_pool_done(&small);
    free(zeros);
    free(packed);
}

static void what_can_not_be_compressed_is_not(void **state)
{
    static uint8_t noise[4096], packed[8192];
    kt_rng rng;
    size_t private_at = 0;

    kt_rng_init(&rng, 1);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)kt_rng_u64(&rng);
    assert_int_equal(kt_deflate(deflater, noise, sizeof noise, packed, sizeof noise), 0);
    assert_int_equal(
        kt_deflate_frame(deflater, KT_WS_TEXT, noise, sizeof noise, 40, packed, sizeof packed, &private_at), 0);
    size_t size = kt_deflate(deflater, noise, sizeof noise, packed, sizeof packed);
    assert_true(size > sizeof noise && size <= kt_deflate_bound(sizeof noise));
    assert_int_equal(kt_deflate(deflater, "", 0, packed, sizeof packed), 0);
}

/* --- frames that many share ------------------------------------------------------------------------------------- */

static void one_frame_serves_all_with_their_own_numbers(void **state)
{
    char message[2000];
    uint8_t frame[2048];
    size_t private_at = 0, private_size = 40;
    kt_ws_decoder decoder;
    kt_ws_event event;
    int n = snprintf(message, sizeof message, "{\"seq\":%16d,\"skipped\":%16d,\"rows\":[", 0, 0);

    for (int i = 0; i < 20; i++)
        n += snprintf(
            message + n, sizeof message - (size_t)n, "{\"price\":\"65000.%02d\",\"quantity\":\"0.%d\"},", i, i);
    size_t size = kt_deflate_frame(
        deflater, KT_WS_TEXT, (uint8_t *)message, (size_t)n, private_size, frame, sizeof frame, &private_at);
    assert_true(size > private_size && size < (size_t)n / 2);
    assert_memory_equal(frame + private_at, message, private_size);
    for (int client = 1; client <= 3; client++) {
        kt_queue queue = { 0 };
        uint8_t copy[2048];
        memcpy(copy, frame, size);
        message[22] = (char)('0' + client);
        copy[private_at + 22] = (uint8_t)('0' + client);
        kt_ws_decoder_init(&decoder, KT_WS_CLIENT, sizeof message);
        decoder.deflate = true;
        assert_int_equal(kt_ws_decode(&decoder, copy, size, &event), size);
        assert_true(event.kind == KT_WS_PIECE && event.first && event.last && event.compressed);
        assert_int_equal(kt_inflate(deflater, event.payload, event.size, &queue, &pool, sizeof message), KT_OK);
        assert_int_equal(kt_queue_size(&queue), n);
        assert_memory_equal(queue.data + queue.at, message, (size_t)n);
        kt_queue_clear(&queue, &pool);
    }
}

static void frames_of_all_sizes_come_back(void **state)
{
    uint8_t *message = malloc(ROOM), *frame = malloc(ROOM);
    uint64_t cases = kt_test_cases(2000);
    kt_rng rng;

    assert_true(message != NULL && frame != NULL);
    kt_rng_init(&rng, kt_test_seed());
    for (uint64_t i = 0; i < cases; i++) {
        size_t size = 1 + kt_rng_below(&rng, i % 10 == 0 ? 300000 : 3000);
        size_t most = size < KT_DEFLATE_PRIVATE_MAX ? size : KT_DEFLATE_PRIVATE_MAX;
        size_t private_size = kt_rng_below(&rng, most + 1), private_at = 0;
        uint64_t letters = 1 + kt_rng_below(&rng, 40);
        kt_ws_decoder decoder;
        kt_ws_event event;
        kt_queue queue = { 0 };
        for (size_t k = 0; k < size; k++)
            message[k] = (uint8_t)('0' + kt_rng_below(&rng, letters));
        size_t made = kt_deflate_frame(deflater, KT_WS_BINARY, message, size, private_size, frame, ROOM, &private_at);
        if (made == 0)
            continue;
        assert_true(made < size + KT_WS_HEADER_MAX);
        assert_memory_equal(frame + private_at, message, private_size);
        kt_ws_decoder_init(&decoder, KT_WS_CLIENT, ROOM);
        decoder.deflate = true;
        assert_int_equal(kt_ws_decode(&decoder, frame, made, &event), made);
        assert_int_equal(kt_inflate(deflater, event.payload, event.size, &queue, &pool, size), KT_OK);
        assert_int_equal(kt_queue_size(&queue), size);
        assert_memory_equal(queue.data + queue.at, message, size);
        kt_queue_clear(&queue, &pool);
    }
    free(message);
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_answered_as_rfc_7692_says),
        cmocka_unit_test(answers_are_checked_against_the_offer),
        cmocka_unit_test(payloads_stand_for_messages),
        KT_TEST_RECORDED(recorded_frames_carry_what_they_say, "websocket/rfc_frames.json"),
        cmocka_unit_test(a_bomb_costs_what_an_honest_message_costs),
        cmocka_unit_test(what_can_not_be_compressed_is_not),
        cmocka_unit_test(one_frame_serves_all_with_their_own_numbers),
        cmocka_unit_test(frames_of_all_sizes_come_back),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
