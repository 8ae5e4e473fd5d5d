/* What a message to a subscriber costs, as a ratio to a bare loop of send() of the same buffer in the same run.
 *
 *   net_bench
 *
 * fan-out       N clients in another process take what comes; W frames of 204 bytes, each with a number of the client's
 *               own, are put together and sent in one turn. CPU time of the sending thread alone, both ways taking turns
 *               over the same number of sockets; median of RUNS. 1.00 is as fast as the bare loop, the demand is 0.90.
 * idle          resident bytes that an idle subscriber adds; the demand is 1 KiB
 */
#include "base/test_util.h"
#include "net/ws_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 9, FRAME_SIZE = 204, BATCH_MAX = 64, CLIENT_MAX = 2000, IDLE_COUNT = 5000, SENDS_EACH_RUN = 10000 };

#define REQUEST                                                                    \
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

/* Bytes that the taking process has taken, in memory that both see. */
static _Atomic uint64_t *taken;

static kt_loop *loop;
static kt_http_server *http;
static kt_ws_server *ws;

static void die(const char *what)
{
    fprintf(stderr, "net_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *list, size_t count)
{
    qsort(list, count, sizeof *list, order);
    return list[count / 2];
}

/* --- the process that takes ------------------------------------------------------------------------------------- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect");
    return fd;
}

static void shake_hands(int fd)
{
    char answer[1024];
    size_t have = 0;

    if (send(fd, REQUEST, sizeof REQUEST - 1, 0) < 0)
        die("cannot send");
    while (have < 4 || memcmp(answer + have - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(fd, answer + have, 1, 0);
        if (got <= 0 || ++have == sizeof answer)
            die("no handshake");
    }
}

/* `count` subscribers of the server and, when there is a `bare_port`, as many plain connections. Never returns. */
static void take_all(uint16_t port, uint16_t bare_port, int count)
{
    static char dropped[1 << 20];
    struct epoll_event events[256];
    int epoll_fd = epoll_create1(0);

    for (int i = 0; i < count; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = connect_to(port) };
        shake_hands(event.data.fd);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
        if (bare_port == 0)
            continue;
        event.data.fd = connect_to(bare_port);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            ssize_t got = recv(events[i].data.fd, dropped, sizeof dropped, MSG_DONTWAIT);
            if (got == 0)
                _exit(0);
            atomic_fetch_add(taken, got > 0 ? (uint64_t)got : 0);
        }
    }
}

static pid_t start_taking(uint16_t port, uint16_t bare_port, int count)
{
    pid_t child = fork();

    if (child < 0)
        die("cannot fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take_all(port, bare_port, count);
    }
    return child;
}

static void stop_taking(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (kt_ws_server_count(ws) > 0)
        kt_loop_turn(loop, 1000000, NULL);
}

static void wait_until_taken(uint64_t bytes)
{
    while (atomic_load(taken) < bytes)
        kt_test_sleep_ms(1);
}

/* --- the server ------------------------------------------------------------------------------------------------- */

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
}

static void on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
}

static void on_request(void *ctx, kt_http_server *server, uint64_t exchange, const kt_http_request *request)
{
    kt_ws_accept(ws, server, exchange, request, NULL);
}

static void serve(void)
{
    kt_err err;
    const kt_http_server_options http_options = { .host = "127.0.0.1", .on_request = on_request };
    const kt_ws_server_options ws_options = { .handlers = { on_message, NULL, on_close } };

    if (kt_loop_new(NULL, &loop, &err) != KT_OK || kt_ws_server_new(loop, &ws_options, &ws, &err) != KT_OK ||
        kt_http_server_open(loop, &http_options, &http, &err) != KT_OK) {
        fprintf(stderr, "net_bench: %s\n", err.msg);
        exit(1);
    }
}

static int bare_listen(uint16_t *out_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("cannot listen");
    *out_port = ntohs(address.sin_port);
    return fd;
}

/* --- fan-out ---------------------------------------------------------------------------------------------------- */

/* W frames to each subscriber, then one turn, as a lane does it: seq is patched into each copy. `now`: each client's are
 * written before the next client's are put together. */
static double send_frames(const uint8_t *frame, int batch, int turns, bool now)
{
    int64_t start_ns = 0, spent_ns = 0;
    uint64_t count = 0;

    for (int turn = 0; turn < turns; turn++) {
        uint64_t goal = atomic_load(taken);
        start_ns = cpu_ns();
        for (kt_ws_conn *conn = kt_ws_server_next(ws, NULL); conn != NULL; conn = kt_ws_server_next(ws, conn)) {
            for (int i = 0; i < batch; i++) {
                uint8_t *copy = NULL;
                if (kt_ws_send_frame(conn, frame, FRAME_SIZE, &copy) != KT_OK)
                    die("a subscriber is too slow");
                memcpy(copy + 12, &count, sizeof count);
                count++;
            }
            if (now)
                kt_ws_write_now(conn);
        }
        kt_loop_turn(loop, 0, NULL);
        spent_ns += cpu_ns() - start_ns;
        wait_until_taken(goal + (uint64_t)kt_ws_server_count(ws) * (uint64_t)batch * FRAME_SIZE);
    }
    return (double)spent_ns / (double)count;
}

static double send_bare(const uint8_t *buffer, int batch, int turns, const int *fds, int fd_count)
{
    int64_t start_ns = 0, spent_ns = 0;
    size_t size = (size_t)batch * FRAME_SIZE;

    for (int turn = 0; turn < turns; turn++) {
        uint64_t goal = atomic_load(taken);
        start_ns = cpu_ns();
        for (int i = 0; i < fd_count; i++)
            if (send(fds[i], buffer, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
                die("a bare client is too slow");
        spent_ns += cpu_ns() - start_ns;
        wait_until_taken(goal + (uint64_t)fd_count * size);
    }
    return (double)spent_ns / ((double)turns * fd_count * batch);
}

static void fan_out(int clients, int batch)
{
    static uint8_t buffer[BATCH_MAX * FRAME_SIZE];
    static int fds[CLIENT_MAX];
    double bare_ns[RUNS], own_ns[RUNS], now_ns[RUNS], ratio[RUNS], now_ratio[RUNS];
    uint16_t bare_port = 0;
    int listener = bare_listen(&bare_port);
    pid_t child = start_taking(kt_http_server_port(http), bare_port, clients);
    int accepted = 0;

    while (kt_ws_server_count(ws) < (uint32_t)clients || accepted < clients) {
        kt_loop_turn(loop, 100000, NULL);
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            fds[accepted++] = fd;
    }
    kt_loop_turn(loop, 10000000, NULL);
    for (int i = 0; i < batch; i++)
        kt_ws_header(buffer + (size_t)i * FRAME_SIZE, KT_WS_TEXT, true, FRAME_SIZE - 4, NULL);
    int turns = SENDS_EACH_RUN / clients;
    send_bare(buffer, batch, 3, fds, clients);
    send_frames(buffer, batch, 3, false);
    for (int run = 0; run < RUNS; run++) {
        bare_ns[run] = send_bare(buffer, batch, turns, fds, clients);
        own_ns[run] = send_frames(buffer, batch, turns, false);
        now_ns[run] = send_frames(buffer, batch, turns, true);
        ratio[run] = bare_ns[run] / own_ns[run];
        now_ratio[run] = bare_ns[run] / now_ns[run];
    }
    printf(
        "fan-out W=%-2d N=%-4d  bare send %6.0f ns a message; flush phase %6.0f ns, %.2fx; client by client %6.0f ns, "
        "%.2fx (demand 0.90x)\n",
        batch, clients, median(bare_ns, RUNS), median(own_ns, RUNS), median(ratio, RUNS), median(now_ns, RUNS),
        median(now_ratio, RUNS));
    fflush(stdout);
    for (int i = 0; i < clients; i++)
        close(fds[i]);
    close(listener);
    stop_taking(child);
}

/* --- idle ------------------------------------------------------------------------------------------------------- */

static long resident_bytes(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2)
        die("cannot read /proc/self/statm");
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static void idle(void)
{
    long before = resident_bytes();
    pid_t child = start_taking(kt_http_server_port(http), 0, IDLE_COUNT);

    while (kt_ws_server_count(ws) < IDLE_COUNT)
        kt_loop_turn(loop, 1000000, NULL);
    kt_loop_turn(loop, 10000000, NULL);
    printf("idle subscriber       %6ld bytes resident (%d of them; demand at most 1024)\n",
        (resident_bytes() - before) / IDLE_COUNT, IDLE_COUNT);
    stop_taking(child);
}

int main(void)
{
    static const int clients[] = { 100, CLIENT_MAX };
    static const int batches[] = { 1, 16, BATCH_MAX };
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < IDLE_COUNT + 100) {
        printf("net: skipped, needs %d open files at once and may have %ld\n", IDLE_COUNT + 100, (long)files.rlim_cur);
        return 0;
    }
    taken = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (taken == MAP_FAILED)
        die("no memory");
    serve();
    idle();
    for (size_t n = 0; n < KT_COUNT(clients); n++)
        for (size_t w = 0; w < KT_COUNT(batches); w++)
            fan_out(clients[n], batches[w]);
    kt_http_server_close(http);
    kt_ws_server_free(ws);
    kt_loop_free(loop);
    return 0;
}
