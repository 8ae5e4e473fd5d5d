/* net/net_test.h - for the tests of this folder: a bare client socket, and turning the loop while it waits.
 */
#ifndef KT_NET_NET_TEST_H
#define KT_NET_NET_TEST_H

#include "base/test.h"

#include "base/test_util.h"
#include "net/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BOUND_S = 20 }; /* nothing takes that long; a test that waits for it has failed */

/* Turn the loop until the condition holds; fails after BOUND_S. */
#define TURN_UNTIL(loop, condition)                                                     \
    do {                                                                                \
        int64_t turn_end = kt_test_now_ns() + (int64_t)BOUND_S * 1000000000;            \
        while (!(condition)) {                                                          \
            assert_int_equal(kt_loop_turn(loop, 1000000, NULL), KT_OK);                 \
            if (kt_test_now_ns() > turn_end)                                            \
                fail_msg("%s did not come true within %d s", #condition, (int)BOUND_S); \
        }                                                                               \
    } while (0)

static inline int client_connect(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Send in pieces of `piece` bytes (0: as it fits), turning the loop in between. False: the server has closed before
 * the end. */
static inline bool client_send(kt_loop *loop, int fd, const void *data, size_t size, size_t piece)
{
    int64_t end_ns = kt_test_now_ns() + (int64_t)BOUND_S * 1000000000;

    for (size_t at = 0; at < size;) {
        size_t want = piece != 0 && piece < size - at ? piece : size - at;
        ssize_t put = send(fd, (const char *)data + at, want, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && errno != EAGAIN)
            return false;
        at += put > 0 ? (size_t)put : 0;
        if (put < 0 || piece != 0)
            assert_int_equal(kt_loop_turn(loop, put < 0 ? 1000000 : 0, NULL), KT_OK);
        if (kt_test_now_ns() > end_ns)
            fail_msg("the server took only %zu of %zu bytes", at, size);
    }
    return true;
}

/* Read until the server closes, or `stop` (may be NULL) has come, or `to` is full; returns the bytes, NUL-terminated.
 * */
static inline size_t client_read(kt_loop *loop, int fd, char *to, size_t size, const char *stop)
{
    int64_t end_ns = kt_test_now_ns() + (int64_t)BOUND_S * 1000000000;
    size_t have = 0;

    to[0] = 0;
    while (have < size - 1) {
        ssize_t got = recv(fd, to + have, size - 1 - have, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        have += got > 0 ? (size_t)got : 0;
        to[have] = 0;
        if (stop != NULL && memmem(to, have, stop, strlen(stop)) != NULL)
            break;
        if (got < 0)
            assert_int_equal(kt_loop_turn(loop, 1000000, NULL), KT_OK);
        if (kt_test_now_ns() > end_ns)
            fail_msg("the server said only: %s", to);
    }
    return have;
}

#endif
