/* A ring whose shared memory the other side has filled as it likes. Property: whatever comes out was inside the ring, has an
 * allowed size, and at most a ring's worth comes out; a frame that is taken lies inside of its bytes. */
#include "bus/frame.h"
#include "bus/ring.h"

#include <stdlib.h>

enum { CAPACITY = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[KT_PEER_RING_FRAME_MAX];
    uint8_t *mem = calloc(1, kt_peer_ring_size(CAPACITY)); /* its ends are watched by the address sanitizer */
    kt_peer_ring ring;
    kt_bus_frame frame;
    uint32_t taken, total = 0;

    if (mem == NULL || kt_peer_ring_init(&ring, mem, CAPACITY, false, NULL) != KT_OK)
        abort();
    if (size >= 8) {
        size_t frames = size - 8 < CAPACITY ? size - 8 : CAPACITY;
        memcpy(mem, data, 8);
        memcpy(mem + 4096, data + 8, frames);
    }
    while (kt_peer_ring_pop(&ring, out, sizeof out, &taken) == KT_OK) {
        total += (taken + 4 + 7) / 8 * 8;
        if (taken == 0 || taken > KT_PEER_RING_FRAME_MAX || total > CAPACITY)
            abort();
        if (kt_bus_frame_take(out, taken, &frame) == KT_OK &&
            (frame.action.s < (char *)out || frame.body.s + frame.body.n != (char *)out + taken))
            abort();
    }
    if (kt_bus_frame_take(data, size, &frame) == KT_OK && frame.body.s + frame.body.n != (const char *)data + size)
        abort();
    free(mem);
    return 0;
}
