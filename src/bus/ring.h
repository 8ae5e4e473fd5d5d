/* bus/ring.h - a queue of messages from one process to another in shared memory, one writer and one reader.
 *
 * Layout   one memfd holds a pair of rings, one for each direction, so two lanes share one file a generation. A ring is a page
 *          with head and tail and `capacity` bytes of frames; a frame is a 4-byte size and its bytes, padded to 8.
 * Trust    what the other side wrote is checked like bytes from outside: positions and sizes are copied out, compared
 *          with the bounds, and only then used; a frame is copied before anybody looks at it. A ring that breaks a rule
 *          answers KT_CORRUPT for ever; it is made anew with the next generation. No byte in it can make the reader read
 *          or write outside the ring.
 * Full     a push that does not fit changes nothing and answers KT_BUSY.
 * Waking   is the caller's (wake.h): after a push, kt_wake_lane(); before sleeping, kt_peer_ring_ready().
 * Cost     no system call, no allocation; one copy on each side.
 */
#ifndef KT_BUS_RING_H
#define KT_BUS_RING_H

#include "base/error.h"
#include "base/types.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KT_PEER_RING_CAPACITY = 2 << 20,  /* bytes of each direction between two lanes */
    KT_PEER_RING_FRAME_MAX = 1 << 20, /* bytes of one message: an answer of 4,000 rows */
};

typedef struct kt_peer_ring_shared kt_peer_ring_shared;

typedef struct kt_peer_ring {
    kt_peer_ring_shared *shared; /* head and tail, both untrusted */
    uint8_t *bytes;
    uint32_t capacity; /* power of two */
    uint64_t own;      /* our own position: never read back from the shared page */
    bool writer;
    bool broken;
} kt_peer_ring;

/* Bytes of one ring, of a pair it is twice that. `capacity` is a power of two from 4096 up. */
size_t kt_peer_ring_size(uint32_t capacity);

/* Take one side of a ring in `mem` (kt_peer_ring_size(capacity) bytes, page aligned, zero when new). */
kt_code kt_peer_ring_init(kt_peer_ring *ring, void *mem, uint32_t capacity, bool writer, kt_err *err);

/* KT_BUSY: does not fit now. KT_ARG: empty or longer than KT_PEER_RING_FRAME_MAX. KT_CORRUPT: the reader's position is
 * impossible. Two pieces, so that a head and its payload need no copy before. */
kt_code kt_peer_ring_push(
    kt_peer_ring *ring, const void *head, uint32_t head_size, const void *rest, uint32_t rest_size);

/* Copy the next message out. KT_EMPTY: none. KT_FULL: larger than `size_max`, left in place. KT_CORRUPT: impossible
 * positions or sizes. */
kt_code kt_peer_ring_pop(kt_peer_ring *ring, void *out, uint32_t size_max, uint32_t *out_size);

/* The reader may have something to pop. */
bool kt_peer_ring_ready(const kt_peer_ring *ring);

/* A pair of rings of this process and one other, in one memfd. */
typedef struct kt_peer_link {
    kt_peer_ring out;
    kt_peer_ring in;
    void *mem;
    size_t mem_size;
} kt_peer_link;

/* A new memfd for a pair; the caller owns the descriptor. Sealed against shrinking, so that no peer can cause a SIGBUS. */
kt_code kt_peer_link_create(uint32_t capacity, int *out_fd, kt_err *err);

/* Map it. `first`: this side writes the first ring. The size and the seals are checked; the descriptor stays the caller's. */
kt_code kt_peer_link_open(kt_peer_link *link, int fd, uint32_t capacity, bool first, kt_err *err);
void kt_peer_link_close(kt_peer_link *link);

#endif
