#include "bus/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RING_HEAD_SIZE = 4096, RING_CAPACITY_MIN = 4096 };

struct kt_peer_ring_shared {
    _Atomic uint64_t head; /* bytes ever written; by the writer */
    uint8_t gap[56];
    _Atomic uint64_t tail; /* bytes ever read; by the reader */
};

size_t kt_peer_ring_size(uint32_t capacity)
{
    return RING_HEAD_SIZE + (size_t)capacity;
}

static bool capacity_ok(uint32_t capacity)
{
    return capacity >= RING_CAPACITY_MIN && (capacity & (capacity - 1)) == 0 && capacity <= (1u << 30);
}

kt_code kt_peer_ring_init(kt_peer_ring *ring, void *mem, uint32_t capacity, bool writer, kt_err *err)
{
    if (!capacity_ok(capacity))
        return kt_fail(
            err, KT_ARG, "a ring of %u bytes; a power of two from %d up is allowed", capacity, RING_CAPACITY_MIN);
    *ring = (kt_peer_ring){
        .shared = mem, .bytes = (uint8_t *)mem + RING_HEAD_SIZE, .capacity = capacity, .writer = writer
    };
    return KT_OK;
}

static void copy_in(kt_peer_ring *ring, uint64_t at, const void *from, uint32_t size)
{
    uint32_t place = (uint32_t)at & (ring->capacity - 1);
    uint32_t first = size < ring->capacity - place ? size : ring->capacity - place;

    if (size == 0)
        return;
    memcpy(ring->bytes + place, from, first);
    memcpy(ring->bytes, (const uint8_t *)from + first, size - first);
}

static void copy_out(const kt_peer_ring *ring, uint64_t at, void *to, uint32_t size)
{
    uint32_t place = (uint32_t)at & (ring->capacity - 1);
    uint32_t first = size < ring->capacity - place ? size : ring->capacity - place;

    memcpy(to, ring->bytes + place, first);
    memcpy((uint8_t *)to + first, ring->bytes, size - first);
}

static kt_code broken(kt_peer_ring *ring)
{
    ring->broken = true;
    return KT_CORRUPT;
}

kt_code kt_peer_ring_push(
    kt_peer_ring *ring, const void *head, uint32_t head_size, const void *rest, uint32_t rest_size)
{
    uint64_t size = (uint64_t)head_size + rest_size;
    uint64_t total = KT_ALIGN_UP(size + sizeof(uint32_t), 8);
    uint32_t size32 = (uint32_t)size;

    if (ring->broken)
        return KT_CORRUPT;
    if (size == 0 || size > KT_PEER_RING_FRAME_MAX || total > ring->capacity)
        return KT_ARG;
    uint64_t used = ring->own - atomic_load_explicit(&ring->shared->tail, memory_order_acquire);
    if (used > ring->capacity || used % 8 != 0)
        return broken(ring);
    if (ring->capacity - used < total)
        return KT_BUSY;
    copy_in(ring, ring->own, &size32, sizeof size32);
    copy_in(ring, ring->own + sizeof size32, head, head_size);
    copy_in(ring, ring->own + sizeof size32 + head_size, rest, rest_size);
    ring->own += total;
    atomic_store_explicit(&ring->shared->head, ring->own, memory_order_release);
    return KT_OK;
}

kt_code kt_peer_ring_pop(kt_peer_ring *ring, void *out, uint32_t size_max, uint32_t *out_size)
{
    uint32_t size;

    if (ring->broken)
        return KT_CORRUPT;
    uint64_t used = atomic_load_explicit(&ring->shared->head, memory_order_acquire) - ring->own;
    if (used == 0)
        return KT_EMPTY;
    if (used > ring->capacity || used % 8 != 0)
        return broken(ring);
    copy_out(ring, ring->own, &size, sizeof size); /* once: the other side may change it at any time */
    uint64_t total = KT_ALIGN_UP((uint64_t)size + sizeof size, 8);
    if (size == 0 || size > KT_PEER_RING_FRAME_MAX || total > used)
        return broken(ring);
    if (size > size_max)
        return KT_FULL;
    copy_out(ring, ring->own + sizeof size, out, size);
    ring->own += total;
    atomic_store_explicit(&ring->shared->tail, ring->own, memory_order_release);
    *out_size = size;
    return KT_OK;
}

bool kt_peer_ring_ready(const kt_peer_ring *ring)
{
    return !ring->broken && atomic_load_explicit(&ring->shared->head, memory_order_acquire) != ring->own;
}

kt_code kt_peer_link_create(uint32_t capacity, int *out_fd, kt_err *err)
{
    int fd;

    if (!capacity_ok(capacity))
        return kt_fail(
            err, KT_ARG, "a ring of %u bytes; a power of two from %d up is allowed", capacity, RING_CAPACITY_MIN);
    fd = memfd_create("kontor-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return kt_fail(err, KT_SYS, "cannot make shared memory for a ring");
    if (ftruncate(fd, (off_t)(2 * kt_peer_ring_size(capacity))) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        kt_fail(err, KT_SYS, "cannot size and seal shared memory for a ring");
        close(fd);
        return KT_SYS;
    }
    *out_fd = fd;
    return KT_OK;
}

kt_code kt_peer_link_open(kt_peer_link *link, int fd, uint32_t capacity, bool first, kt_err *err)
{
    struct stat status;
    size_t size = 2 * kt_peer_ring_size(capacity);
    int seals = fcntl(fd, F_GET_SEALS);

    if (!capacity_ok(capacity))
        return kt_fail(
            err, KT_ARG, "a ring of %u bytes; a power of two from %d up is allowed", capacity, RING_CAPACITY_MIN);
    if (fstat(fd, &status) != 0)
        return kt_fail(err, KT_SYS, "cannot look at a ring");
    if ((uint64_t)status.st_size != size || seals < 0 || (seals & F_SEAL_SHRINK) == 0)
        return kt_fail(err, KT_CORRUPT, "a ring has %lld bytes where %zu, sealed against shrinking, are expected",
            (long long)status.st_size, size);
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED)
        return kt_fail(err, KT_SYS, "cannot map a ring");
    *link = (kt_peer_link){ .mem = mem, .mem_size = size };
    kt_peer_ring_init(first ? &link->out : &link->in, mem, capacity, first, NULL);
    kt_peer_ring_init(first ? &link->in : &link->out, (char *)mem + size / 2, capacity, !first, NULL);
    return KT_OK;
}

void kt_peer_link_close(kt_peer_link *link)
{
    if (link == NULL || link->mem == NULL)
        return;
    munmap(link->mem, link->mem_size);
    *link = (kt_peer_link){ 0 };
}
