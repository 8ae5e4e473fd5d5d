/* net/deflate.h - compression of WebSocket messages, permessage-deflate (RFC 7692), as a pure codec on zlib.
 *
 * Terms     Both ends begin each message with an empty window (no context takeover), so a message costs no memory
 *           between two of them, and one compressed frame serves all clients. Windows have 32 KiB: a client that wants
 *           smaller ones (server_max_window_bits below 15) is answered without compression.
 * Frame     What differs from client to client stands at the start of the message, uncompressed in a stored block, and
 *           may be changed in place; the rest is compressed once:
 *
 *               header, RSV1 | 00 LEN NLEN, private bytes as they are | shared rest, deflated
 *
 * Bounds    kt_inflate stops at the size that it is given: a bomb costs what an honest message of that size costs.
 * Cost      a kt_deflater holds about 200 KiB and serves any number of connections of one thread, one call after the
 *           other; no allocation after kt_deflater_new but for the queue.
 */
#ifndef KT_NET_DEFLATE_H
#define KT_NET_DEFLATE_H

#include "net/buffer.h"
#include "net/http_parser.h"
#include "net/websocket.h"

enum {
    KT_DEFLATE_SIZE_MIN = 128,       /* a shorter message is not worth the work and is sent as it is */
    KT_DEFLATE_PRIVATE_MAX = 0xFFFF, /* of one stored block */
};

/* Value of Sec-WebSocket-Extensions that a client of ours sends. */
#define KT_DEFLATE_OFFER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* The value to answer to these request headers; NULL: nothing is offered that is spoken here, which is no error. Of
 * several offers the first good one counts. */
const char *kt_deflate_answer(const kt_http_field *fields, uint32_t count);

/* What the server answered to KT_DEFLATE_OFFER. KT_OK: agreed. KT_EMPTY: the server does without. KT_SYNTAX: it answered
 * what was not offered, or would keep its window from message to message. */
kt_code kt_deflate_agreed(const kt_http_field *fields, uint32_t count);

typedef struct kt_deflater kt_deflater;

kt_code kt_deflater_new(kt_deflater **out_deflater, kt_err *err);
void kt_deflater_free(kt_deflater *deflater); /* accepts NULL */

/* Compressed payload of a message; returns its size, 0: would be larger than `to_size`. */
size_t kt_deflate(kt_deflater *deflater, const void *data, size_t size, uint8_t *to, size_t to_size);

/* A server's whole frame for a message whose first `private_size` bytes (at most KT_DEFLATE_PRIVATE_MAX) are each
 * client's own: *out_private_at is where they lie in it. Returns its size; 0: it would not be smaller than the plain
 * frame, which is to be sent then, or larger than `to_size`. */
size_t kt_deflate_frame(kt_deflater *deflater, kt_ws_opcode opcode, const uint8_t *payload, size_t size,
    size_t private_size, uint8_t *to, size_t to_size, size_t *out_private_at);

/* At most so many bytes does zlib make of `size` bytes that can not be compressed. */
static inline uint64_t kt_deflate_bound(uint64_t size)
{
    return size + (size >> 8) + 64;
}

/* Append the message that a compressed payload stands for to the queue, at most `size_max` bytes in all. KT_LIMIT: it is
 * longer. KT_CORRUPT: not a deflate stream, or its end is missing. KT_FULL: the pool is exhausted. After an error the
 * queue holds what had been made of it. */
kt_code kt_inflate(
    kt_deflater *deflater, const uint8_t *data, size_t size, kt_queue *to, kt_pool *pool, size_t size_max);

#endif
