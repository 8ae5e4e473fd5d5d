#include "net_load.h"

#include "base/test_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_MAX = 256, TAKE_SIZE = 1 << 20, ANSWER_MAX = 4096 };

#define HANDSHAKE                                                                  \
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

typedef struct conn {
    int fd;
    SSL *ssl;    /* NULL: plain */
    size_t left; /* bytes of the answer that is awaited */
} conn;

static _Atomic uint64_t *counted;

void die(const char *what)
{
    fprintf(stderr, "net_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void load_init(void)
{
    counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counted == MAP_FAILED)
        die("no memory");
}

uint64_t load_count(void)
{
    return atomic_load(counted);
}

void load_wait(uint64_t count)
{
    while (load_count() < count)
        kt_test_sleep_ms(1);
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static ssize_t conn_read(conn *own, void *to, size_t size)
{
    ssize_t got = own->ssl != NULL ? SSL_read(own->ssl, to, (int)size) : recv(own->fd, to, size, 0);

    return got;
}

static void conn_write(conn *own, const char *data, size_t size)
{
    ssize_t put = own->ssl != NULL ? SSL_write(own->ssl, data, (int)size) : send(own->fd, data, size, MSG_NOSIGNAL);

    if (put != (ssize_t)size)
        die("cannot send");
}

static void conn_open(conn *own, uint16_t port, SSL_CTX *tls)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

    *own = (conn){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (own->fd < 0 || connect(own->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect");
    if (tls == NULL)
        return;
    own->ssl = SSL_new(tls);
    SSL_set_fd(own->ssl, own->fd);
    if (SSL_connect(own->ssl) != 1)
        die("no TLS");
}

/* One answer's head; returns its Content-Length. */
static size_t head_read(conn *own)
{
    char head[ANSWER_MAX] = "";
    size_t have = 0;

    while (have < 4 || memcmp(head + have - 4, "\r\n\r\n", 4) != 0) {
        if (have == sizeof head - 1 || conn_read(own, head + have, 1) != 1)
            die("no answer");
        have++;
    }
    const char *length = strcasestr(head, "\r\nContent-Length: ");
    own->left = have;
    return length != NULL ? strtoul(length + 18, NULL, 10) : 0;
}

static void watch(int epoll_fd, conn *own)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = own };

    fcntl(own->fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, own->fd, &event);
}

/* --- the process ------------------------------------------------------------------------------------------------ */

static void subscribe_all(const load_spec *spec, int epoll_fd, conn *conns, SSL_CTX *tls)
{
    for (int i = 0; i < spec->count; i++) {
        conn *own = &conns[2 * i];
        conn_open(own, spec->port, tls);
        conn_write(own, HANDSHAKE, sizeof HANDSHAKE - 1);
        head_read(own);
        watch(epoll_fd, own);
        if (spec->bare_port == 0)
            continue;
        conn_open(own + 1, spec->bare_port, NULL);
        watch(epoll_fd, own + 1);
    }
}

/* As it comes from the wire: what a client does with it costs the client. */
static void take(conn *own, char *dropped)
{
    ssize_t got = recv(own->fd, dropped, TAKE_SIZE, 0);

    if (got == 0)
        _exit(0);
    atomic_fetch_add(counted, got > 0 ? (uint64_t)got : 0);
}

static void answer_take(conn *own, size_t answer_size, const char *request, size_t request_size, char *dropped)
{
    ssize_t got = conn_read(own, dropped, TAKE_SIZE);

    if (got == 0)
        _exit(0);
    if (got < 0)
        return;
    own->left -= (size_t)got;
    if (own->left > 0)
        return;
    atomic_fetch_add(counted, 1);
    own->left = answer_size;
    conn_write(own, request, request_size);
}

static void run(const load_spec *spec)
{
    static char dropped[TAKE_SIZE];
    struct epoll_event events[EVENT_MAX];
    char request[256];
    int request_size = 0, epoll_fd = epoll_create1(0);
    size_t answer_size = 0;
    SSL_CTX *tls = spec->tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    conn *conns = calloc((size_t)spec->count * 2, sizeof *conns);

    if (tls != NULL)
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    if (spec->path == NULL) {
        subscribe_all(spec, epoll_fd, conns, tls);
    } else {
        request_size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", spec->path);
        for (int i = 0; i < spec->count; i++) {
            conn_open(&conns[i], spec->port, tls);
            conn_write(&conns[i], request, (size_t)request_size);
            size_t body = head_read(&conns[i]); /* all answers have the size of the first */
            answer_size = conns[i].left + body;
            for (ssize_t got = 0; body > 0; body -= (size_t)got)
                if ((got = conn_read(&conns[i], dropped, body)) <= 0)
                    die("half an answer");
            watch(epoll_fd, &conns[i]);
        }
        for (int i = 0; i < spec->count; i++) {
            conns[i].left = answer_size;
            conn_write(&conns[i], request, (size_t)request_size);
        }
    }
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, EVENT_MAX, -1);
        for (int i = 0; i < ready; i++) {
            if (spec->path == NULL)
                take(events[i].data.ptr, dropped);
            else
                answer_take(events[i].data.ptr, answer_size, request, (size_t)request_size, dropped);
        }
    }
}

pid_t load_start(const load_spec *spec)
{
    fflush(stdout);
    pid_t load = fork();

    if (load < 0)
        die("cannot fork");
    if (load == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(spec);
    }
    return load;
}

void load_stop(pid_t load)
{
    kill(load, SIGKILL);
    waitpid(load, NULL, 0);
}

/* --- peers ------------------------------------------------------------------------------------------------------ */

bool peer_start(char *const argv[], peer *out_peer)
{
    int in[2], out[2];
    unsigned port = 0;
    char line[256] = "";

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        die("no pipe");
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("cannot fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    FILE *said = fdopen(out[0], "r");
    *out_peer = (peer){ .pid = pid, .say = in[1] };
    bool listens = said != NULL && fgets(line, sizeof line, said) != NULL && sscanf(line, "listening %u", &port) == 1;
    out_peer->port = (uint16_t)port;
    if (said != NULL)
        fclose(said);
    if (!listens)
        peer_stop(out_peer);
    return listens;
}

void peer_stop(peer *own)
{
    kill(own->pid, SIGKILL);
    waitpid(own->pid, NULL, 0);
    close(own->say);
}

int64_t peer_cpu_ns(const peer *own)
{
    clockid_t clock;
    struct timespec now;

    if (clock_getcpuclockid(own->pid, &clock) != 0 || clock_gettime(clock, &now) != 0)
        die("cannot read a peer's clock");
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
