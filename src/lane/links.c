#include "lane/state.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

kt_code kt_control_send(int fd, const kt_control_message *message, int passed_fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec part = { .iov_base = (void *)message, .iov_len = sizeof *message };
    struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };

    if (passed_fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &passed_fd, sizeof passed_fd);
    }
    while (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EINTR)
            continue;
        return errno == EAGAIN ? KT_BUSY : KT_GONE;
    }
    return KT_OK;
}

kt_code kt_control_receive(int fd, kt_control_message *message, int *out_fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec part = { .iov_base = message, .iov_len = sizeof *message };
    struct msghdr msg = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    ssize_t size;

    *out_fd = -1;
    do
        size = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == EAGAIN ? KT_EMPTY : KT_GONE;
    if (size == 0)
        return KT_GONE;
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(out_fd, CMSG_DATA(head), sizeof *out_fd);
    if (size == (ssize_t)sizeof *message && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
        return KT_OK;
    if (*out_fd >= 0)
        close(*out_fd);
    *out_fd = -1;
    return KT_CORRUPT;
}

static void handle(kt_lane *lane, const kt_control_message *message, int fd)
{
    switch (message->what) {
    case KT_CONTROL_STOP:
        lane->stopping = true;
        atomic_store(&lane->page->state, KT_BOARD_STOPPING);
        kt_loop_busy(lane->loop);
        break;
    case KT_CONTROL_LINK:
    case KT_CONTROL_UNLINK: /* without a ring to this lane calls to it answer "no such", which is all that can be done */
        kt_bus_link(lane->bus, message->peer, message->generation, fd, NULL);
        return;
    default:
        break;
    }
    if (fd >= 0)
        close(fd);
}

static void on_control(kt_watch *watch, uint32_t ready)
{
    kt_lane *lane = watch->ctx;
    kt_control_message message;
    kt_code code;
    int fd;

    while ((code = kt_control_receive(watch->fd, &message, &fd)) == KT_OK || code == KT_CORRUPT)
        if (code == KT_OK)
            handle(lane, &message, fd);
    if (code == KT_GONE) {
        kt_loop_unwatch(lane->loop, watch); /* the supervisor is gone, and so are we */
        lane->stopping = true;
        kt_loop_busy(lane->loop);
    }
}

kt_code kt_lane_links_start(kt_lane *lane, kt_err *err)
{
    lane->control = (kt_watch){
        .on_ready = on_control, .ctx = lane, .fd = lane->options.links->control_fd, .events = KT_LOOP_READ
    };
    return kt_loop_watch(lane->loop, &lane->control, err);
}

void kt_lane_links_stop(kt_lane *lane)
{
    if (lane->loop == NULL)
        return;
    kt_loop_unwatch(lane->loop, &lane->control);
    kt_loop_unwatch(lane->loop, &lane->bell);
}
