#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t answer(ssize_t moved)
{
    if (moved > 0)
        return moved;
    if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return KT_STREAM_AGAIN;
    return KT_STREAM_ERROR;
}

static ssize_t plain_read(kt_stream *stream, void *to, size_t size)
{
    ssize_t moved = recv(stream->fd, to, size, 0);

    return moved == 0 ? KT_STREAM_END : answer(moved);
}

static ssize_t plain_write(kt_stream *stream, const void *from, size_t size)
{
    return answer(send(stream->fd, from, size, MSG_NOSIGNAL));
}

static uint32_t plain_events(const kt_stream *stream, uint32_t events)
{
    return events;
}

static const char *plain_fault(const kt_stream *stream)
{
    return strerrordesc_np(errno);
}

static void plain_shut(kt_stream *stream)
{
    shutdown(stream->fd, SHUT_WR);
}

static void plain_close(kt_stream *stream)
{
    close(stream->fd);
}

void kt_stream_plain(kt_stream *stream, int fd)
{
    static const kt_stream_ops ops = { plain_read, plain_write, plain_events, plain_events, plain_fault, plain_shut,
        plain_close };

    *stream = (kt_stream){ &ops, NULL, fd };
}

void kt_stream_close(kt_stream *stream)
{
    if (stream->ops == NULL || stream->fd < 0)
        return;
    stream->ops->close(stream);
    stream->fd = -1;
}
