/* Properties: frames cut into pieces give the same messages as frames in one piece; a message that came through is,
 * encoded again, decoded to itself; text that came through is UTF-8, unless it is compressed, which only happens where
 * that was agreed. The first byte chooses the role, whether it was, and the size of the pieces. */
#include "base/assert.h"
#include "base/text.h"
#include "net/deflate.h"
#include "net/websocket.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096 };

/* All events, as bytes: pieces joined, so that they can be compared. */
typedef struct history {
    uint8_t *bytes; /* twice the input: each message adds one byte to at least two of its frame */
    size_t n;
    size_t message_at;
    uint32_t event_count;
    uint16_t failed_with;
} history;

static void put(history *own, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(own->bytes + own->n, bytes, size);
    own->n += size;
}

static void check_again(kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    static const uint8_t mask[4] = { 9, 8, 7, 6 };
    uint8_t *frame = malloc(KT_WS_HEADER_MAX + size);
    kt_ws_decoder decoder;
    kt_ws_event event;

    kt_assert(frame != NULL);
    size_t header = kt_ws_header(frame, opcode, true, size, mask);
    if (size > 0)
        memcpy(frame + header, payload, size);
    kt_ws_mask(frame + header, size, mask, 0);
    kt_ws_decoder_init(&decoder, KT_WS_SERVER, MESSAGE_MAX);
    kt_assert(kt_ws_decode(&decoder, frame, header + size, &event) == header + size);
    kt_assert(event.kind == KT_WS_PIECE && event.first && event.last);
    kt_assert(event.opcode == opcode);
    kt_assert(event.size == size);
    kt_assert(size == 0 || memcmp(event.payload, payload, size) == 0);
    free(frame);
}

static void take(history *own, const kt_ws_event *event)
{
    uint8_t opcode = (uint8_t)event->opcode;

    if (event->kind == KT_WS_PIECE) {
        if (event->first) {
            put(own, &opcode, 1);
            own->message_at = own->n;
        }
        put(own, event->payload, event->size);
        if (event->last) {
            kt_text text = { (const char *)own->bytes + own->message_at, own->n - own->message_at };
            kt_assert(text.n <= (event->compressed ? kt_deflate_bound(MESSAGE_MAX) : MESSAGE_MAX));
            if (!event->compressed) {
                kt_assert(event->opcode == KT_WS_BINARY || kt_utf8_valid(text));
                check_again(event->opcode, own->bytes + own->message_at, text.n);
            }
        }
    } else if (event->kind == KT_WS_CONTROL) {
        /* May come between pieces, so it must not stand among their bytes. */
        kt_assert(event->size <= KT_WS_CONTROL_MAX);
        kt_assert(event->opcode >= KT_WS_CLOSE && event->opcode <= KT_WS_PONG);
    } else if (event->kind == KT_WS_FAILED) {
        kt_assert(kt_ws_close_code_valid(event->close_code));
        kt_assert(event->why != NULL);
        own->failed_with = event->close_code;
    }
    own->event_count += event->kind == KT_WS_CONTROL || (event->kind == KT_WS_PIECE && event->last);
}

static void play(history *own, kt_ws_role role, bool agreed, const uint8_t *data, size_t size, size_t step)
{
    kt_ws_decoder decoder;
    kt_ws_event event;

    kt_ws_decoder_init(&decoder, role, MESSAGE_MAX);
    decoder.deflate = agreed;
    for (size_t at = 0; at < size && own->failed_with == 0;) {
        size_t piece = step < size - at ? step : size - at;
        uint8_t *copy = malloc(piece);
        kt_assert(copy != NULL);
        memcpy(copy, data + at, piece);
        for (size_t used = 0; used < piece && own->failed_with == 0;) {
            used += kt_ws_decode(&decoder, copy + used, piece - used, &event);
            kt_assert(used <= piece);
            kt_assert(agreed || !event.compressed);
            take(own, &event);
        }
        free(copy);
        at += piece;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    kt_ws_role role = (data[0] & 0x80) != 0 ? KT_WS_CLIENT : KT_WS_SERVER;
    history whole = { .bytes = malloc(2 * size) }, split = { .bytes = malloc(2 * size) };

    kt_assert(whole.bytes != NULL && split.bytes != NULL);
    bool agreed = (data[0] & 0x40) != 0;
    play(&whole, role, agreed, data + 1, size - 1, size);
    play(&split, role, agreed, data + 1, size - 1, 1 + data[0] % 64);
    kt_assert(whole.failed_with == split.failed_with);
    kt_assert(whole.event_count == split.event_count);
    if (whole.failed_with == 0) {
        kt_assert(whole.n == split.n);
        kt_assert(whole.n == 0 || memcmp(whole.bytes, split.bytes, whole.n) == 0);
    }
    free(whole.bytes);
    free(split.bytes);
    return 0;
}
