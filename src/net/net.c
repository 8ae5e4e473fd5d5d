#include "net/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 };

static int close_keeping_errno(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
    return -1;
}

static int system_connect(void *ctx, const kt_address *to)
{
    const int one = 1;
    int fd = socket(to->of.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, &to->of.any, to->size) == 0 || errno == EINPROGRESS)
        return fd;
    return close_keeping_errno(fd);
}

static int system_listen(void *ctx, kt_address *at)
{
    const int one = 1;
    int fd = socket(at->of.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* else a restart waits a minute for old connections */
    if (bind(fd, &at->of.any, at->size) != 0 || listen(fd, LISTEN_BACKLOG) != 0)
        return close_keeping_errno(fd);
    at->size = sizeof at->of;
    if (getsockname(fd, &at->of.any, &at->size) != 0)
        return close_keeping_errno(fd);
    return fd;
}

static void system_unlisten(void *ctx, int listener)
{
    close(listener);
}

static int system_accept(void *ctx, int listener)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

const kt_net kt_net_system = {
    .connect = system_connect, .listen = system_listen, .unlisten = system_unlisten, .accept = system_accept
};
