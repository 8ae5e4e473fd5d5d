/* edge/protocol.h - what WebSocket clients say at /ws, and what they are told. Subprotocol `kontor.v1.json`.
 *
 * In       one JSON object a text message, at most KT_OP_SIZE_MAX bytes. Every op may carry an `id`, a whole number,
 *          which its answer repeats. Unknown fields are refused: a misspelt option must not be ignored in silence.
 *
 *              {"id":1,"op":"auth","token":"..."}
 *              {"id":2,"op":"subscribe","channel":"vwap.5m.binance.BTC/USDT","conflate":false,
 *               "from":{"epoch":"a1","offset":4711}}
 *              {"id":3,"op":"unsubscribe","channel":"vwap.5m.binance.BTC/USDT"}
 *              {"id":4,"op":"channels","pattern":"vwap.>"}
 *              {"id":5,"op":"ping"}
 *              {"id":6,"op":"call","action":"vwap.latest","params":{"ticker":"BTC"}}
 *
 *          `from` is "live" (the default), "snapshot" (the newest event first), {"epoch","offset"} (everything after
 *          the last offset that the client has), or {"time"} (everything from there: ISO 8601, or ms since 1970).
 * Out      JSON objects, each starting with `seq`, the number of the message on its connection: 1, 2, 3 ... An event
 *          also has `skipped`. Both stand in fields of fixed width, padded with blanks, so that one frame is built for
 *          all clients and only these digits are written for each.
 *
 *              {"seq":               9,"skipped":               0,"type":"event","channel":"...","epoch":"...",
 *               "offset":4712,"publish_time":"...","kind":"vwap","data":{...}}
 *
 *          call takes the parameters of the action's table as `params`, and may say `deadline` (ISO 8601, or ms since
 *          1970), `request_id` and `traceparent` (trace.h).
 *
 *          answer      to an op, with its `id`. Of call: `action`, `request_id`, `traceparent`, `data`. Of subscribe: `exists`, `epoch`, `offset` (the stream begins behind
 *                      it), `recovered`, and where that is false `reason` and mostly `lost`: {"from","to"}, null where
 *                      not known
 *          error       instead of an answer: `code`, `field`, `message`
 *          pong        to ping
 *          gap         events of a channel that are lost while it is heard: `lost`, `reason`. It goes on behind lost.to
 *          epoch       a channel has a new epoch: `epoch`, `before`, `first_offset`; `lost` where the client heard more
 *                      than is left
 *          disconnect  the connection ends: `code` (silent, stopping), `reason`
 */
#ifndef KT_EDGE_PROTOCOL_H
#define KT_EDGE_PROTOCOL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/types.h"
#include "net/deflate.h"

#define KT_SUBPROTOCOL "kontor.v1.json"

enum {
    KT_OP_SIZE_MAX = 16384, /* bytes of one message of a client */
    KT_OP_NODE_MAX = 2048,  /* JSON values in one message */
    KT_OP_TEXT_MAX = 16384, /* bytes of all texts of a message with their escapes undone */
    KT_OP_MESSAGE_MAX = 320
};

/* O(C name, name in JSON, what it does) */
#define KT_OP_MAP(O)                                                                      \
    O(AUTH, "auth", "say who you are")                                                    \
    O(SUBSCRIBE, "subscribe", "hear the events of a channel, from now or from an offset") \
    O(UNSUBSCRIBE, "unsubscribe", "hear them no longer")                                  \
    O(CHANNELS, "channels", "list the channels that match a pattern")                     \
    O(PING, "ping", "a sign of life")                                                     \
    O(CALL, "call", "have an action carried out")

#define KT_OP_ENUM(NAME, name, text) KT_OP_##NAME,
typedef enum kt_op_kind { KT_OP_MAP(KT_OP_ENUM) KT_OP_COUNT } kt_op_kind;
#undef KT_OP_ENUM

/* What can be wrong with a message. P(C name, `code` in the answer) */
#define KT_OP_FAULT_MAP(P)                \
    P(MALFORMED, "malformed")             \
    P(OVERSIZED, "oversized")             \
    P(TOO_DEEP, "too_deep")               \
    P(UNKNOWN_OP, "unknown_op")           \
    P(MISSING_FIELD, "missing_field")     \
    P(UNKNOWN_FIELD, "unknown_field")     \
    P(WRONG_TYPE, "wrong_type")           \
    P(DUPLICATE_FIELD, "duplicate_field") \
    P(OUT_OF_RANGE, "out_of_range")       \
    P(NO_IDENTITY, "no_identity")         \
    P(NOT_SUBSCRIBED, "not_subscribed")   \
    P(ALREADY, "already_subscribed")      \
    P(LIMIT, "limit_reached")             \
    P(UNAVAILABLE, "unavailable")

#define KT_FAULT_ENUM(NAME, name) KT_FAULT_##NAME,
typedef enum kt_op_fault { KT_OP_FAULT_MAP(KT_FAULT_ENUM) KT_FAULT_COUNT } kt_op_fault;
#undef KT_FAULT_ENUM

typedef enum kt_from_kind { KT_FROM_LIVE, KT_FROM_SNAPSHOT, KT_FROM_OFFSET, KT_FROM_TIME } kt_from_kind;

typedef struct kt_from {
    kt_from_kind kind;
    uint64_t epoch;  /* KT_FROM_OFFSET */
    uint64_t offset; /* KT_FROM_OFFSET: the last one that the client has; 0: none */
    int64_t time_ns; /* KT_FROM_TIME */
} kt_from;

typedef struct kt_op {
    kt_op_kind kind;
    bool has_id;
    int64_t id;
    kt_text channel; /* subscribe, unsubscribe: a checked subject; borrowed from the message or the scratch */
    kt_text pattern; /* channels: a checked pattern, ">" when not given */
    kt_text token;   /* auth */
    kt_from from;
    bool conflate; /* true when not given */
    struct {
        kt_text action;
        uint32_t params;  /* node of the document in the scratch; 0: none given */
        kt_text deadline; /* empty: none */
        kt_text request_id;
        kt_text traceparent;
    } call;
} kt_op;

typedef struct kt_op_error {
    kt_op_fault fault;
    char field[64];                  /* which field, or empty */
    char message[KT_OP_MESSAGE_MAX]; /* what was wrong, and what is allowed */
} kt_op_error;

/* Room to read one message in; one serves all clients, one after the other. About 50 KiB. */
typedef struct kt_op_scratch {
    kt_json_node nodes[KT_OP_NODE_MAX];
    uint8_t text[KT_OP_TEXT_MAX];
    kt_json_doc doc; /* the message, after kt_op_parse() */
    kt_arena arena;  /* the rest of `text` */
} kt_op_scratch;

/* Read one message. false: *out_error says why, and out_op->has_id and ->id are right where an id could be read;
 * nothing else of *out_op is. Texts of the op are valid until the scratch or the message changes. */
bool kt_op_parse(kt_text message, kt_op_scratch *scratch, kt_op *out_op, kt_op_error *out_error);

const char *kt_op_name(kt_op_kind kind);
const char *kt_op_fault_name(kt_op_fault fault);

/* ---- messages to clients ----
 *
 * A message is a whole WebSocket text frame (FIN, unmasked) in memory: header, then JSON. It is begun with room for the
 * longest header, written through `json`, and ended; `frame` is then what goes onto the wire once seq is patched in. */
enum {
    KT_SEQ_DIGITS = 16,                 /* width of `seq` and `skipped` */
    KT_FRAME_HEAD_MAX = 10,             /* bytes of the longest header of a server's frame */
    KT_SEQ_AT = sizeof "{\"seq\":" - 1, /* where the digits stand in the JSON */
    KT_SKIPPED_AT = KT_SEQ_AT + KT_SEQ_DIGITS + sizeof ",\"skipped\":" - 1
};

typedef struct kt_message {
    uint8_t *mem;
    uint32_t mem_size;
    kt_json_writer json; /* inside the top object */
    /* set by kt_message_end */
    uint8_t *frame;
    uint32_t size;
    uint32_t body_at; /* where the JSON starts in the frame */
    /* set by kt_message_pack */
    uint8_t *packed; /* NULL: not yet */
    uint32_t packed_size;
    uint32_t packed_body_at;
} kt_message;

/* Begin {"seq":...,"type":"<type>" or, with skips, {"seq":...,"skipped":...,"type":"<type>". */
void kt_message_begin(kt_message *message, void *mem, uint32_t mem_size, const char *type, bool with_skipped);

/* Close the object and put the header in front. KT_FULL: it did not fit. */
kt_code kt_message_end(kt_message *message);

/* For clients that agreed to permessage-deflate: the frame of an event (with skips) once more, with all but the two
 * numbers compressed, in `mem`; where that would not be smaller, the plain frame. Made at the first call, for all
 * clients; the bytes in `mem` belong to the message until another one is packed there. */
void kt_message_pack(kt_message *message, kt_deflater *deflater, void *mem, uint32_t mem_size);

/* Write the numbers into a copy of the frame, whose JSON starts at `body`. Asserts that they have at most KT_SEQ_DIGITS
 * digits. */
void kt_message_patch_seq(uint8_t *body, uint64_t seq);
void kt_message_patch_skipped(uint8_t *body, uint64_t skipped);

/* Begin and fill the answer to a message that is refused; to be ended. */
void kt_message_begin_error(
    kt_message *message, void *mem, uint32_t mem_size, const kt_op *op, const kt_op_error *error);
void kt_message_put_id(kt_message *message, const kt_op *op); /* "id":7, or nothing */

#endif
