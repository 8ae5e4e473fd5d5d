#include "bus/frame.h"

#include "bus/board.h"
#include "bus/bus.h"

kt_code kt_bus_frame_take(const void *bytes, size_t size, kt_bus_frame *out_frame)
{
    kt_bus_frame_head head;
    bool call;

    if (size < sizeof head)
        return KT_CORRUPT;
    memcpy(&head, bytes, sizeof head);
    call = head.what == KT_BUS_FRAME_CALL;
    if (head.magic != KT_BUS_FRAME_MAGIC || (!call && head.what != KT_BUS_FRAME_ANSWER))
        return KT_CORRUPT;
    if ((uint64_t)head.action_size + head.trace_size + head.body_size != size - sizeof head)
        return KT_CORRUPT;
    if (call &&
        (head.action_size == 0 || head.action_size >= KT_BOARD_ACTION_SIZE || head.trace_size > KT_BUS_TRACE_MAX ||
            head.timeout_ns <= 0 || head.timeout_ns > KT_BUS_FRAME_TIMEOUT_MAX_NS))
        return KT_CORRUPT;
    if (!call && (head.action_size != 0 || head.trace_size != 0 || head.code >= KT_CODE_COUNT))
        return KT_CORRUPT;
    const char *rest = (const char *)bytes + sizeof head;
    *out_frame = (kt_bus_frame){ .head = head,
        .action = { rest, head.action_size },
        .trace = { rest + head.action_size, head.trace_size },
        .body = { rest + head.action_size + head.trace_size, head.body_size } };
    return KT_OK;
}
