/* The control socket between supervisor and lane: what comes over it is checked like bytes from outside (reference: log.md 8). */
#include "lane/state.h"

#include "base/test_util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    static int fds[2];

    *state = fds;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

static int teardown(void **state)
{
    int *fds = *state;

    close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    return 0;
}

static void a_message_comes_whole_with_its_descriptor(void **state)
{
    const int *fds = *state;
    kt_control_message sent = { .what = KT_CONTROL_LINK, .peer = 3, .generation = 7 }, got;
    int pipe_fds[2], fd;
    char byte = 0;

    assert_int_equal(kt_control_receive(fds[0], &got, &fd), KT_EMPTY);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(kt_control_send(fds[1], &sent, pipe_fds[1]), KT_OK);
    close(pipe_fds[1]);
    assert_int_equal(kt_control_receive(fds[0], &got, &fd), KT_OK);
    assert_memory_equal(&got, &sent, sizeof sent);
    assert_true(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(write(fd, "y", 1), 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    close(fd);
    close(pipe_fds[0]);
}

static void a_message_of_another_size_is_refused_and_what_came_with_it_is_closed(void **state)
{
    const int *fds = *state;
    kt_control_message got;
    int pipe_fds[2], fd;
    char byte;

    for (size_t size = 1; size < 2 * sizeof got; size += sizeof got - 1) { /* shorter, and longer */
        uint8_t bytes[2 * sizeof got] = { KT_CONTROL_STOP };
        union {
            struct cmsghdr head;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .head = {
                          .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec part = { .iov_base = bytes, .iov_len = size == sizeof got ? sizeof bytes : size };
        struct msghdr msg = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        assert_int_equal(pipe(pipe_fds), 0);
        memcpy(CMSG_DATA(&control.head), &pipe_fds[1], sizeof(int));
        assert_true(sendmsg(fds[1], &msg, 0) > 0);
        close(pipe_fds[1]);
        assert_int_equal(kt_control_receive(fds[0], &got, &fd), KT_CORRUPT);
        assert_int_equal(fd, -1);
        assert_int_equal(read(pipe_fds[0], &byte, 1), 0); /* nobody holds the other end */
        close(pipe_fds[0]);
    }
}

static void a_full_socket_is_busy_and_a_closed_one_gone(void **state)
{
    int *fds = *state;
    kt_control_message message = { .what = KT_CONTROL_UNLINK };
    kt_code code;
    int fd;

    while ((code = kt_control_send(fds[1], &message, -1)) == KT_OK) {}
    assert_int_equal(code, KT_BUSY);
    close(fds[1]);
    fds[1] = -1;
    while ((code = kt_control_receive(fds[0], &message, &fd)) == KT_OK)
        assert_int_equal(fd, -1);
    assert_int_equal(code, KT_GONE);
    assert_int_equal(kt_control_send(fds[0], &message, -1), KT_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_comes_whole_with_its_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_message_of_another_size_is_refused_and_what_came_with_it_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_socket_is_busy_and_a_closed_one_gone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
