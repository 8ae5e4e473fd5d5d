/* bus/frame.h - calls and answers as they stand in a ring: a head of fixed size, then of a call the action and the trace, then
 * the body.
 *
 * What comes out of a ring is bytes from outside: kt_bus_frame_take() checks every size against what was received and every
 * number against its bounds before anybody uses it.
 */
#ifndef KT_BUS_FRAME_H
#define KT_BUS_FRAME_H

#include "base/error.h"
#include "base/types.h"

typedef enum kt_bus_frame_what { KT_BUS_FRAME_CALL = 1, KT_BUS_FRAME_ANSWER = 2 } kt_bus_frame_what;

typedef struct kt_bus_frame_head {
    uint32_t magic; /* KT_BUS_FRAME_MAGIC */
    uint32_t what;
    uint64_t id;        /* the caller's id of the call */
    uint64_t token;     /* the caller's place for the answer */
    int64_t timeout_ns; /* of a call, from now */
    uint32_t code;      /* of an answer: kt_code */
    uint32_t action_size;
    uint32_t body_size;
    uint32_t trace_size;
} kt_bus_frame_head;

enum { KT_BUS_FRAME_MAGIC = 0x3152544B };
#define KT_BUS_FRAME_TIMEOUT_MAX_NS INT64_C(3600000000000)

typedef struct kt_bus_frame {
    kt_bus_frame_head head;
    kt_text action; /* borrowed from the bytes, like what follows */
    kt_text trace;
    kt_text body;
} kt_bus_frame;

/* KT_CORRUPT: not a frame. */
kt_code kt_bus_frame_take(const void *bytes, size_t size, kt_bus_frame *out_frame);

#endif
