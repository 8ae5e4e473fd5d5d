/* net/websocket.h - WebSocket framing (RFC 6455) as a pure codec: bytes in, events out; no I/O, no allocation.
 *
 * Decoder   takes bytes as they come, in any pieces, unmasks them in place and reports pieces of messages and whole
 *           control frames. Everything a peer may do wrong ends in KT_WS_FAILED with the close code to send (1002
 *           protocol, 1007 not UTF-8, 1009 too big), found as early as the bytes allow: text is checked while it comes.
 * Deflate   Where permessage-deflate was agreed (net/deflate.h) the first reserved bit of a text or binary message says
 *           that it is compressed: its pieces are then reported as they come, and what they stand for, its size and
 *           whether it is UTF-8, is the caller's to check.
 * Strict    No other reserved bits, no unknown opcodes, minimal length encodings, control
 *           frames of at most 125 bytes and unfragmented, every frame from a client masked and none from a server,
 *           valid close codes.
 */
#ifndef KT_NET_WEBSOCKET_H
#define KT_NET_WEBSOCKET_H

#include "base/error.h"
#include "base/types.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum kt_ws_opcode {
    KT_WS_CONTINUATION = 0,
    KT_WS_TEXT = 1,
    KT_WS_BINARY = 2,
    KT_WS_CLOSE = 8,
    KT_WS_PING = 9,
    KT_WS_PONG = 10,
} kt_ws_opcode;

enum {
    KT_WS_HEADER_MAX = 14,
    KT_WS_COMPRESSED = 0x40, /* the first reserved bit, in the first byte of a header */
    KT_WS_CONTROL_MAX = 125,
    KT_WS_REASON_MAX = 123, /* of a close frame, after its code */
    KT_WS_KEY_SIZE = 24,    /* Sec-WebSocket-Key: 16 random bytes in base64 */
    KT_WS_ACCEPT_SIZE = 28, /* Sec-WebSocket-Accept */
};

enum { /* close codes */
    KT_WS_CLOSE_NORMAL = 1000,
    KT_WS_CLOSE_GOING_AWAY = 1001,
    KT_WS_CLOSE_PROTOCOL = 1002,
    KT_WS_CLOSE_UNSUPPORTED = 1003,
    KT_WS_CLOSE_NO_CODE = 1005,  /* never sent: a close frame without a code came */
    KT_WS_CLOSE_ABNORMAL = 1006, /* never sent: the connection ended without a close frame */
    KT_WS_CLOSE_BAD_TEXT = 1007,
    KT_WS_CLOSE_POLICY = 1008,
    KT_WS_CLOSE_TOO_BIG = 1009,
    KT_WS_CLOSE_INTERNAL = 1011,
    KT_WS_CLOSE_TRY_LATER = 1013,
};

/* UTF-8 as it comes, RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Zeros to begin with. */
typedef struct kt_utf8 {
    uint8_t need;      /* continuation bytes still to come; 0: a character may begin, so the text may end here */
    uint8_t low, high; /* bounds of the next of them */
} kt_utf8;

/* False: these bytes can not go on the text so far. ASCII is passed over eight bytes at a time. */
bool kt_utf8_feed(kt_utf8 *utf8, const uint8_t *data, size_t size);

typedef enum kt_ws_role { KT_WS_SERVER, KT_WS_CLIENT } kt_ws_role; /* ours: a server takes masked frames only */

typedef struct kt_ws_decoder {
    uint64_t message_max; /* bytes of a whole message: 1009 above, told by the header already. A compressed one may have
                             kt_deflate_bound of it on the wire */
    uint64_t message_size;
    uint64_t frame_left;
    kt_ws_role role;
    uint8_t state;
    uint8_t header[KT_WS_HEADER_MAX];
    uint8_t header_size; /* bytes of it received */
    uint8_t mask[4];
    uint8_t mask_at;
    uint8_t opcode;         /* of the current frame */
    uint8_t message_opcode; /* of the message in progress; KT_WS_CONTINUATION when there is none */
    bool fin;
    bool deflate;    /* agreed: set by the caller after init */
    bool compressed; /* the message in progress */
    bool started;    /* a piece of the message has been reported */
    kt_utf8 utf8;
    uint8_t control_size;
    uint8_t control[KT_WS_CONTROL_MAX];
} kt_ws_decoder;

typedef enum kt_ws_event_kind {
    KT_WS_NONE,    /* all bytes taken, nothing to report yet */
    KT_WS_PIECE,   /* bytes of a text or binary message: payload points into the caller's data */
    KT_WS_CONTROL, /* a whole close, ping or pong: payload points into the decoder */
    KT_WS_FAILED,  /* close with close_code and `why`; the decoder is not to be fed again */
} kt_ws_event_kind;

typedef struct kt_ws_event {
    kt_ws_event_kind kind;
    kt_ws_opcode opcode; /* TEXT, BINARY, CLOSE, PING, PONG */
    bool first, last;    /* PIECE: begins, ends its message */
    bool compressed;     /* PIECE: of a compressed message */
    const uint8_t *payload;
    size_t size;
    uint16_t close_code; /* CLOSE: the peer's, or KT_WS_CLOSE_NO_CODE; FAILED: the one to send */
    const char *why;     /* FAILED: one sentence, static */
} kt_ws_event;

void kt_ws_decoder_init(kt_ws_decoder *decoder, kt_ws_role role, uint64_t message_max);

/* Take bytes up to the next event; returns how many, and is called again with the rest. With size 0: KT_WS_NONE. */
size_t kt_ws_decode(kt_ws_decoder *decoder, uint8_t *data, size_t size, kt_ws_event *out_event);

/* Header of a frame; returns its size, 2 to 14. `mask` NULL: unmasked, as a server sends. */
size_t kt_ws_header(uint8_t out[KT_WS_HEADER_MAX], kt_ws_opcode opcode, bool fin, uint64_t size, const uint8_t *mask);

/* XOR with the mask; `at` is the offset of data[0] in the payload. Its own inverse. */
void kt_ws_mask(uint8_t *data, size_t size, const uint8_t mask[4], uint64_t at);

/* Payload of a close frame; a longer reason is cut at a character. Returns its size; 0 for KT_WS_CLOSE_NO_CODE. */
size_t kt_ws_close_payload(uint8_t out[KT_WS_CONTROL_MAX], uint16_t code, kt_text reason);

/* May this code stand in a close frame? */
bool kt_ws_close_code_valid(uint16_t code);

/* Sec-WebSocket-Accept for a key, NUL-terminated. */
void kt_ws_accept_key(kt_text key, char out[KT_WS_ACCEPT_SIZE + 1]);

#endif
