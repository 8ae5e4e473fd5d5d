#include "net/websocket.h"

#include "base/assert.h"
#include "net/deflate.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

/* --- UTF-8 ------------------------------------------------------------------------------------------------------ */

/* What a first byte asks for: how many more, and the bounds of the second. The bounds of E0, ED, F0 and F4 shut out
 * overlong forms, surrogates and what lies above U+10FFFF (RFC 3629 section 4). */
static bool utf8_begin(kt_utf8 *utf8, uint8_t byte)
{
    static const struct {
        uint8_t from, to, need, low, high;
    } rows[] = {
        { 0x00, 0x7F, 0, 0, 0 },
        { 0xC2, 0xDF, 1, 0x80, 0xBF },
        { 0xE0, 0xE0, 2, 0xA0, 0xBF },
        { 0xE1, 0xEC, 2, 0x80, 0xBF },
        { 0xED, 0xED, 2, 0x80, 0x9F },
        { 0xEE, 0xEF, 2, 0x80, 0xBF },
        { 0xF0, 0xF0, 3, 0x90, 0xBF },
        { 0xF1, 0xF3, 3, 0x80, 0xBF },
        { 0xF4, 0xF4, 3, 0x80, 0x8F },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        if (byte < rows[i].from || byte > rows[i].to)
            continue;
        *utf8 = (kt_utf8){ rows[i].need, rows[i].low, rows[i].high };
        return true;
    }
    return false;
}

bool kt_utf8_feed(kt_utf8 *utf8, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint64_t eight;
        if (utf8->need > 0) {
            if (data[i] < utf8->low || data[i] > utf8->high)
                return false;
            *utf8 = (kt_utf8){ (uint8_t)(utf8->need - 1), 0x80, 0xBF };
            i++;
        } else if (size - i >= 8 && (memcpy(&eight, data + i, 8), (eight & 0x8080808080808080u) == 0)) {
            i += 8;
        } else if (data[i] < 0x80) {
            i++;
        } else if (!utf8_begin(utf8, data[i++])) {
            return false;
        }
    }
    return true;
}

/* --- decoding --------------------------------------------------------------------------------------------------- */

enum { STATE_HEADER, STATE_PAYLOAD, STATE_CONTROL, STATE_FAILED };
enum { RSV_ALL = 0x70 };

void kt_ws_decoder_init(kt_ws_decoder *decoder, kt_ws_role role, uint64_t message_max)
{
    *decoder = (kt_ws_decoder){ .role = role, .message_max = message_max };
}

static void fail(kt_ws_decoder *decoder, kt_ws_event *out_event, uint16_t close_code, const char *why)
{
    decoder->state = STATE_FAILED;
    *out_event = (kt_ws_event){ .kind = KT_WS_FAILED, .close_code = close_code, .why = why };
}

static bool is_control(uint8_t opcode)
{
    return opcode >= KT_WS_CLOSE;
}

/* Bytes of the whole header, as far as its first two bytes tell. */
static size_t header_need(const kt_ws_decoder *decoder)
{
    static const uint8_t length_size[128] = { [126] = 2, [127] = 8 };

    if (decoder->header_size < 2)
        return 2;
    return 2u + length_size[decoder->header[1] & 0x7F] + ((decoder->header[1] & 0x80) != 0 ? 4u : 0u);
}

/* What is wrong already with the first two bytes; NULL: nothing. */
static const char *header_fault(const kt_ws_decoder *decoder)
{
    uint8_t opcode = decoder->header[0] & 0x0F;
    bool fin = (decoder->header[0] & 0x80) != 0;
    bool masked = (decoder->header[1] & 0x80) != 0;
    bool may_compress = decoder->deflate && (opcode == KT_WS_TEXT || opcode == KT_WS_BINARY);

    if ((decoder->header[0] & (may_compress ? RSV_ALL & ~KT_WS_COMPRESSED : RSV_ALL)) != 0)
        return "reserved bits are set that no agreed extension uses";
    if (opcode > KT_WS_PONG || (opcode > KT_WS_BINARY && opcode < KT_WS_CLOSE))
        return "opcode not known";
    if (is_control(opcode) && !fin)
        return "a control frame must not be fragmented";
    if (is_control(opcode) && (decoder->header[1] & 0x7F) > KT_WS_CONTROL_MAX)
        return "a control frame has at most 125 bytes";
    if (decoder->role == KT_WS_SERVER && !masked)
        return "frames from a client must be masked";
    if (decoder->role == KT_WS_CLIENT && masked)
        return "frames from a server must not be masked";
    if (opcode == KT_WS_CONTINUATION && decoder->message_opcode == KT_WS_CONTINUATION)
        return "continuation without a message to continue";
    if (!is_control(opcode) && opcode != KT_WS_CONTINUATION && decoder->message_opcode != KT_WS_CONTINUATION)
        return "a new message before the end of the one in progress";
    return NULL;
}

/* The header is whole: take it apart. False: failed. */
static bool header_take(kt_ws_decoder *decoder, kt_ws_event *out_event)
{
    const uint8_t *header = decoder->header;
    size_t size = decoder->header_size;
    uint64_t length = header[1] & 0x7F;
    bool masked = (header[1] & 0x80) != 0;

    if (length == 126) {
        length = (uint64_t)header[2] << 8 | header[3];
        if (length < 126)
            return fail(decoder, out_event, KT_WS_CLOSE_PROTOCOL, "length not in its shortest form"), false;
    } else if (length == 127) {
        length = 0;
        for (int i = 0; i < 8; i++)
            length = length << 8 | header[2 + i];
        if (length < 65536)
            return fail(decoder, out_event, KT_WS_CLOSE_PROTOCOL, "length not in its shortest form"), false;
        if (length >> 63 != 0)
            return fail(decoder, out_event, KT_WS_CLOSE_PROTOCOL, "length with its highest bit set"), false;
    }
    memset(decoder->mask, 0, sizeof decoder->mask);
    if (masked)
        memcpy(decoder->mask, header + size - 4, 4);
    decoder->mask_at = 0;
    decoder->opcode = header[0] & 0x0F;
    decoder->fin = (header[0] & 0x80) != 0;
    decoder->frame_left = length;
    decoder->header_size = 0;
    if (is_control(decoder->opcode)) {
        decoder->control_size = 0;
        decoder->state = STATE_CONTROL;
        return true;
    }
    if (decoder->opcode != KT_WS_CONTINUATION)
        decoder->compressed = (header[0] & KT_WS_COMPRESSED) != 0;
    uint64_t max = decoder->compressed ? kt_deflate_bound(decoder->message_max) : decoder->message_max;
    if (length > max || decoder->message_size > max - length)
        return fail(decoder, out_event, KT_WS_CLOSE_TOO_BIG, "message larger than allowed here"), false;
    decoder->message_size += length;
    if (decoder->opcode != KT_WS_CONTINUATION) {
        decoder->message_opcode = decoder->opcode;
        decoder->started = false;
        decoder->utf8 = (kt_utf8){ 0 };
    }
    decoder->state = STATE_PAYLOAD;
    return true;
}

/* Collect header bytes. False: failed. */
static bool header_feed(kt_ws_decoder *decoder, const uint8_t *data, size_t size, size_t *used, kt_ws_event *out_event)
{
    while (decoder->header_size < header_need(decoder)) {
        if (*used == size)
            return true;
        decoder->header[decoder->header_size++] = data[(*used)++];
        const char *fault = decoder->header_size == 2 ? header_fault(decoder) : NULL;
        if (fault != NULL)
            return fail(decoder, out_event, KT_WS_CLOSE_PROTOCOL, fault), false;
    }
    return header_take(decoder, out_event);
}

static void unmask(kt_ws_decoder *decoder, uint8_t *data, size_t size)
{
    if (decoder->role == KT_WS_SERVER)
        kt_ws_mask(data, size, decoder->mask, decoder->mask_at);
    decoder->mask_at = (uint8_t)((decoder->mask_at + size) & 3);
}

static void close_take(kt_ws_decoder *decoder, kt_ws_event *out_event)
{
    const uint8_t *payload = decoder->control;
    kt_utf8 utf8 = { 0 };

    out_event->close_code = KT_WS_CLOSE_NO_CODE;
    if (decoder->control_size == 0)
        return;
    uint16_t code = (uint16_t)(payload[0] << 8 | payload[1]);
    if (decoder->control_size == 1)
        return fail(decoder, out_event, KT_WS_CLOSE_PROTOCOL, "half a close code");
    if (!kt_ws_close_code_valid(code))
        return fail(decoder, out_event, KT_WS_CLOSE_PROTOCOL, "close code that must not be sent");
    if (!kt_utf8_feed(&utf8, payload + 2, decoder->control_size - 2u) || utf8.need != 0)
        return fail(decoder, out_event, KT_WS_CLOSE_BAD_TEXT, "close reason is not UTF-8");
    out_event->close_code = code;
    out_event->payload = payload + 2;
    out_event->size = decoder->control_size - 2u;
}

static size_t control_feed(kt_ws_decoder *decoder, const uint8_t *data, size_t size, kt_ws_event *out_event)
{
    size_t take = decoder->frame_left < size ? (size_t)decoder->frame_left : size;
    uint8_t *to = decoder->control + decoder->control_size;

    memcpy(to, data, take);
    unmask(decoder, to, take);
    decoder->control_size = (uint8_t)(decoder->control_size + take);
    decoder->frame_left -= take;
    if (decoder->frame_left > 0)
        return take;
    decoder->state = STATE_HEADER;
    *out_event = (kt_ws_event){
        .kind = KT_WS_CONTROL,
        .opcode = decoder->opcode,
        .payload = decoder->control,
        .size = decoder->control_size,
    };
    if (decoder->opcode == KT_WS_CLOSE)
        close_take(decoder, out_event);
    return take;
}

static size_t payload_feed(kt_ws_decoder *decoder, uint8_t *data, size_t size, kt_ws_event *out_event)
{
    size_t take = decoder->frame_left < size ? (size_t)decoder->frame_left : size;
    bool frame_ends = decoder->frame_left == take;
    bool last = frame_ends && decoder->fin;
    bool text = decoder->message_opcode == KT_WS_TEXT && !decoder->compressed;

    unmask(decoder, data, take);
    decoder->frame_left -= take;
    if (frame_ends)
        decoder->state = STATE_HEADER;
    if (text && (!kt_utf8_feed(&decoder->utf8, data, take) || (last && decoder->utf8.need != 0))) {
        fail(decoder, out_event, KT_WS_CLOSE_BAD_TEXT, "text is not UTF-8");
        return take;
    }
    if (take == 0 && !last)
        return 0;
    *out_event = (kt_ws_event){
        .kind = KT_WS_PIECE,
        .opcode = decoder->message_opcode,
        .first = !decoder->started,
        .last = last,
        .compressed = decoder->compressed,
        .payload = data,
        .size = take,
    };
    decoder->started = true;
    if (last) {
        decoder->message_opcode = KT_WS_CONTINUATION;
        decoder->message_size = 0;
    }
    return take;
}

size_t kt_ws_decode(kt_ws_decoder *decoder, uint8_t *data, size_t size, kt_ws_event *out_event)
{
    size_t used = 0;

    kt_assert(decoder->state != STATE_FAILED);
    *out_event = (kt_ws_event){ .kind = KT_WS_NONE };
    while (out_event->kind == KT_WS_NONE) {
        /* A frame without payload is complete with its header; anything else waits for bytes. */
        if (used == size && (decoder->state == STATE_HEADER || decoder->frame_left > 0))
            break;
        if (decoder->state == STATE_HEADER)
            (void)header_feed(decoder, data, size, &used, out_event);
        else if (decoder->state == STATE_CONTROL)
            used += control_feed(decoder, data + used, size - used, out_event);
        else
            used += payload_feed(decoder, data + used, size - used, out_event);
    }
    return used;
}

/* --- encoding --------------------------------------------------------------------------------------------------- */

size_t kt_ws_header(uint8_t out[KT_WS_HEADER_MAX], kt_ws_opcode opcode, bool fin, uint64_t size, const uint8_t *mask)
{
    size_t n = 2;
    uint8_t mask_bit = mask != NULL ? 0x80 : 0;

    out[0] = (uint8_t)((fin ? 0x80 : 0) | opcode);
    if (size < 126) {
        out[1] = (uint8_t)(mask_bit | size);
    } else if (size < 65536) {
        out[1] = mask_bit | 126;
        out[n++] = (uint8_t)(size >> 8);
        out[n++] = (uint8_t)size;
    } else {
        out[1] = mask_bit | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            out[n++] = (uint8_t)(size >> shift);
    }
    if (mask != NULL) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

void kt_ws_mask(uint8_t *data, size_t size, const uint8_t mask[4], uint64_t at)
{
    uint8_t turned[8];
    uint64_t wide, word;
    size_t i = 0;

    for (size_t k = 0; k < 8; k++)
        turned[k] = mask[(at + k) & 3];
    memcpy(&wide, turned, 8);
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= wide;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++)
        data[i] ^= turned[i & 7];
}

size_t kt_ws_close_payload(uint8_t out[KT_WS_CONTROL_MAX], uint16_t code, kt_text reason)
{
    size_t size = reason.n < KT_WS_REASON_MAX ? reason.n : KT_WS_REASON_MAX;

    if (code == KT_WS_CLOSE_NO_CODE)
        return 0;
    /* Not in the middle of a character: back to before its first byte. */
    if (size < reason.n)
        while (size > 0 && ((uint8_t)reason.s[size] & 0xC0) == 0x80)
            size--;
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (size > 0)
        memcpy(out + 2, reason.s, size);
    return size + 2;
}

bool kt_ws_close_code_valid(uint16_t code)
{
    /* RFC 6455 7.4 and the registry; 1004 to 1006 and 1015 are for use inside a program only. */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void kt_ws_accept_key(kt_text key, char out[KT_WS_ACCEPT_SIZE + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA_DIGEST_LENGTH];
    uint8_t joined[KT_WS_KEY_SIZE + sizeof guid - 1];

    kt_assert(key.n == KT_WS_KEY_SIZE);
    memcpy(joined, key.s, KT_WS_KEY_SIZE);
    memcpy(joined + KT_WS_KEY_SIZE, guid, sizeof guid - 1);
    SHA1(joined, sizeof joined, digest);
    EVP_EncodeBlock((uint8_t *)out, digest, sizeof digest);
}
