/* Properties: whatever a payload stands for is at most as long as allowed, and comes back when it is compressed again,
 * alone and as a frame with a private start; headers are read to an end, and what a server answers a client of ours
 * accepts. The first byte chooses payload or headers and the size of the private part. */
#include "base/assert.h"
#include "net/deflate.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 1 << 16 };

static kt_deflater *deflater;
static kt_pool pool;

static void check_headers(const uint8_t *data, size_t size)
{
    kt_http_field fields[2] = {
        { { "Sec-WebSocket-Extensions", 24 }, { (const char *)data, size / 2 } },
        { { "Sec-WebSocket-Extensions", 24 }, { (const char *)data + size / 2, size - size / 2 } },
    };
    const char *answer = kt_deflate_answer(fields, 2);
    kt_code agreed = kt_deflate_agreed(fields, 2);

    kt_assert(agreed == KT_OK || agreed == KT_SYNTAX || agreed == KT_EMPTY);
    if (answer == NULL)
        return;
    fields[0].value = kt_text_of(answer);
    kt_assert(kt_deflate_agreed(fields, 1) == KT_OK);
}

static void check_same(const uint8_t *payload, size_t size, const kt_queue *message)
{
    kt_queue again = { 0 };

    kt_assert(kt_inflate(deflater, payload, size, &again, &pool, MESSAGE_MAX) == KT_OK);
    kt_assert(kt_queue_size(&again) == kt_queue_size(message));
    kt_assert(memcmp(again.data + again.at, message->data + message->at, kt_queue_size(&again)) == 0);
    kt_queue_clear(&again, &pool);
}

static void check_again(const kt_queue *message, size_t private_size)
{
    static uint8_t packed[2 * MESSAGE_MAX];
    const uint8_t *bytes = message->data + message->at;
    size_t size = kt_queue_size(message), private_at = 0;
    kt_ws_decoder decoder;
    kt_ws_event event;

    size_t made = kt_deflate(deflater, bytes, size, packed, sizeof packed);
    kt_assert(made > 0 && made <= kt_deflate_bound(size));
    check_same(packed, made, message);
    private_size = private_size < size ? private_size : size;
    made = kt_deflate_frame(deflater, KT_WS_TEXT, bytes, size, private_size, packed, sizeof packed, &private_at);
    if (made == 0)
        return;
    kt_ws_decoder_init(&decoder, KT_WS_CLIENT, MESSAGE_MAX);
    decoder.deflate = true;
    kt_assert(kt_ws_decode(&decoder, packed, made, &event) == made);
    kt_assert(event.kind == KT_WS_PIECE && event.last && event.compressed);
    kt_assert(event.payload <= packed + private_at);
    check_same(event.payload, event.size, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_queue message = { 0 };

    if (size == 0)
        return 0;
    if (deflater == NULL) {
        kt_pool_init(&pool, 1 << 24, 1 << 20);
        kt_assert(kt_deflater_new(&deflater, NULL) == KT_OK);
    }
    if ((data[0] & 0x80) != 0) {
        check_headers(data + 1, size - 1);
        return 0;
    }
    kt_code code = kt_inflate(deflater, data + 1, size - 1, &message, &pool, MESSAGE_MAX);
    kt_assert(code == KT_OK || code == KT_LIMIT || code == KT_CORRUPT);
    kt_assert(kt_queue_size(&message) <= MESSAGE_MAX);
    if (code == KT_OK && kt_queue_size(&message) > 0)
        check_again(&message, data[0]);
    kt_queue_clear(&message, &pool);
    kt_assert(pool.bytes_used == 0);
    return 0;
}
