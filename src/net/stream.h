/* net/stream.h - a non-blocking connected byte stream: a plain socket, or TLS (net/tls.h) behind the same functions.
 *
 * Size      24 bytes, embedded in each connection, so that an idle one stays small.
 * Owner     kt_stream_close closes the descriptor; the watch on it must have been removed before.
 */
#ifndef KT_NET_STREAM_H
#define KT_NET_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    KT_STREAM_READ_MIN = 16384, /* bytes of a TLS record: with less room some may stay behind unseen by the loop */
    KT_STREAM_AGAIN = 0,        /* nothing moved: wait for what kt_stream_wants says */
    KT_STREAM_END = -1,         /* the peer has closed its side in order */
    KT_STREAM_ERROR = -2,       /* broken; kt_stream_fault says how */
};

typedef struct kt_stream kt_stream;

typedef struct kt_stream_ops {
    ssize_t (*read)(kt_stream *stream, void *to, size_t size);
    ssize_t (*write)(kt_stream *stream, const void *from, size_t size);
    uint32_t (*wants)(const kt_stream *stream, uint32_t events);
    uint32_t (*may)(const kt_stream *stream, uint32_t ready);
    const char *(*fault)(const kt_stream *stream);
    void (*shut)(kt_stream *stream);
    void (*close)(kt_stream *stream);
} kt_stream_ops;

struct kt_stream {
    const kt_stream_ops *ops;
    void *state; /* the ops' own: NULL for a plain socket */
    int fd;      /* -1 once closed */
};

/* A plain socket: non-blocking, connected, now owned by the stream. */
void kt_stream_plain(kt_stream *stream, int fd);

/* Bytes moved, more than 0, or one of the three above. `size` is more than 0, and where all is to be read without
 * further ado, at least KT_STREAM_READ_MIN. A write moves as much as fits; after KT_STREAM_AGAIN the next one begins with
 * the same bytes. */
static inline ssize_t kt_stream_read(kt_stream *stream, void *to, size_t size)
{
    return stream->ops->read(stream, to, size);
}
static inline ssize_t kt_stream_write(kt_stream *stream, const void *from, size_t size)
{
    return stream->ops->write(stream, from, size);
}

/* The loop events (KT_LOOP_READ, KT_LOOP_WRITE) to wait for in order to read or write as `events` says: the same for a
 * plain socket; TLS may have to write in order to read. */
static inline uint32_t kt_stream_wants(const kt_stream *stream, uint32_t events)
{
    return stream->ops->wants(stream, events);
}

/* The other way round: what to try (KT_LOOP_READ, KT_LOOP_WRITE) now that these loop events have come. */
static inline uint32_t kt_stream_may(const kt_stream *stream, uint32_t ready)
{
    return stream->ops->may(stream, ready);
}

/* What broke it, right after KT_STREAM_ERROR; static. */
static inline const char *kt_stream_fault(const kt_stream *stream)
{
    return stream->ops->fault(stream);
}

/* Tell the peer that nothing more comes; reading goes on. */
static inline void kt_stream_shut(kt_stream *stream)
{
    stream->ops->shut(stream);
}

/* Harmless when closed already. */
void kt_stream_close(kt_stream *stream);

#endif
