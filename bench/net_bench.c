/* What a message to a subscriber and an answer to a request cost, as ratios within the same run.
 *
 *   net_bench                        (peers: in the folder KONTOR_BENCH_PEERS, see bench/peers/install)
 *
 * fan-out       N clients in another process take what comes; W frames of 204 bytes, each with a number of the client's
 *               own, are put together and sent in one turn. CPU time of the sending thread alone, against a bare loop
 *               of send() of the same buffer over the same number of sockets, both taking turns; median of RUNS.
 * TLS           the same over TLS against the same in plain text
 * idle          resident bytes that an idle subscriber adds
 * peers         CPU time of their whole process for the same messages and answers
 */
#include "base/test_util.h"
#include "net/test_tls.h"
#include "net/ws_server.h"
#include "net_load.h"
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    RUNS = 9,
    PEER_RUNS = 5,
    FRAME_SIZE = 204,
    BATCH_MAX = 64,
    CLIENT_MAX = 2000,
    IDLE_COUNT = 5000,
    SENDS_EACH_RUN = 10000,
    ASKER_COUNT = 32,
    ANSWERS_EACH_RUN = 40000,
    RECORD_EXTRA = 22, /* bytes that TLS 1.3 puts around a record, of which BATCH_MAX frames need one */
};

#define SMALL_JSON "{\"ticker\":\"BTC\",\"price\":\"65000.25\",\"ts\":\"1700000000000\"}"

/* A server with its subscribers: in plain text, or over TLS. */
typedef struct side {
    kt_http_server *http;
    kt_ws_server *ws;
} side;

static kt_loop *loop;
static side plain, secure;

/* --- the server ------------------------------------------------------------------------------------------------- */

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
}

static void on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
}

static void on_request(void *ctx, kt_http_server *server, uint64_t exchange, const kt_http_request *request)
{
    if (request->upgrade)
        kt_ws_accept(((side *)ctx)->ws, server, exchange, request, NULL);
    else
        kt_http_respond(server, exchange, &(kt_http_response){ .status = 200, .body = KT_TEXT(SMALL_JSON) });
}

static void serve(side *own, kt_tls *tls)
{
    kt_err err;
    const kt_http_server_options http = { .host = "127.0.0.1", .on_request = on_request, .ctx = own, .tls = tls };
    const kt_ws_server_options ws = { .handlers = { on_message, NULL, on_close } };

    if (kt_ws_server_new(loop, &ws, &own->ws, &err) != KT_OK ||
        kt_http_server_open(loop, &http, &own->http, &err) != KT_OK) {
        fprintf(stderr, "net_bench: %s\n", err.msg);
        exit(1);
    }
}

static void unserve(side *own)
{
    kt_http_server_close(own->http);
    kt_ws_server_free(own->ws);
}

static kt_tls *certificate(void)
{
    const char *dir = kt_test_dir();
    char crt[600], key[600];
    kt_tls *tls = NULL;
    kt_err err;

    kt_test_certificates_make(dir);
    snprintf(crt, sizeof crt, "%s/server.crt", dir);
    snprintf(key, sizeof key, "%s/server.key", dir);
    if (kt_tls_server_new(crt, key, &tls, &err) != KT_OK) {
        fprintf(stderr, "net_bench: %s\n", err.msg);
        exit(1);
    }
    return tls;
}

/* Subscribers of one side, all of them there when it returns. */
static pid_t subscribe(const side *to, int count, bool tls, uint16_t bare_port)
{
    pid_t load = load_start(
        &(load_spec){ .port = kt_http_server_port(to->http), .bare_port = bare_port, .tls = tls, .count = count });

    while (kt_ws_server_count(to->ws) < (uint32_t)count)
        kt_loop_turn(loop, 1000000, NULL);
    kt_loop_turn(loop, 10000000, NULL);
    return load;
}

static void unsubscribe(const side *from, pid_t load)
{
    load_stop(load);
    while (kt_ws_server_count(from->ws) > 0)
        kt_loop_turn(loop, 1000000, NULL);
}

/* W frames to each subscriber, then one turn. `now`: they lie one behind the other, each client's numbers are written into
 * them, and they leave before the next client's; else they are queued one by one and leave in the flush phase. */
static double send_frames(const side *to, int batch, int turns, bool now)
{
    static uint8_t frames[BATCH_MAX * FRAME_SIZE];
    int64_t start_ns = 0, spent_ns = 0;
    uint64_t count = 0;

    for (int i = 0; i < batch; i++)
        kt_ws_header(frames + i * FRAME_SIZE, KT_WS_TEXT, true, FRAME_SIZE - 4, NULL);
    for (int turn = 0; turn < turns; turn++) {
        size_t each = (size_t)batch * FRAME_SIZE + (to == &secure ? RECORD_EXTRA : 0);
        uint64_t goal = load_count() + kt_ws_server_count(to->ws) * each;
        start_ns = bench_core_ns();
        for (kt_ws_conn *conn = NULL; (conn = kt_ws_server_next(to->ws, conn)) != NULL;) {
            for (int i = 0; i < batch; i++) {
                uint8_t *frame = frames + i * FRAME_SIZE;
                memcpy(frame + 12, &count, sizeof count);
                count++;
                if (!now && kt_ws_send_frame(conn, frame, FRAME_SIZE) != KT_OK)
                    die("a subscriber is too slow");
            }
            if (now && kt_ws_send_now(conn, frames, (size_t)batch * FRAME_SIZE) != KT_OK)
                die("a subscriber is too slow");
        }
        kt_loop_turn(loop, 0, NULL);
        spent_ns += bench_core_ns() - start_ns;
        load_wait(goal);
    }
    return (double)spent_ns / (double)count;
}

/* --- against a bare loop of send -------------------------------------------------------------------------------- */

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

static double send_bare(int batch, int turns, const int *fds, int fd_count)
{
    static const uint8_t buffer[BATCH_MAX * FRAME_SIZE];
    int64_t start_ns = 0, spent_ns = 0;
    size_t size = (size_t)batch * FRAME_SIZE;

    for (int turn = 0; turn < turns; turn++) {
        uint64_t goal = load_count() + (uint64_t)fd_count * size;
        start_ns = bench_core_ns();
        for (int i = 0; i < fd_count; i++)
            if (send(fds[i], buffer, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
                die("a bare client is too slow");
        spent_ns += bench_core_ns() - start_ns;
        load_wait(goal);
    }
    return (double)spent_ns / ((double)turns * fd_count * batch);
}

static void against_send(int clients, int batch)
{
    static int fds[CLIENT_MAX];
    double bare_ns[RUNS], own_ns[RUNS], now_ns[RUNS], ratio[RUNS], now_ratio[RUNS];
    uint16_t bare_port = 0;
    int listener = bare_listen(&bare_port);
    pid_t load = subscribe(&plain, clients, false, bare_port);

    for (int accepted = 0; accepted < clients;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            fds[accepted++] = fd;
        else
            kt_test_sleep_ms(1);
    }
    int turns = SENDS_EACH_RUN / clients;
    send_bare(batch, 3, fds, clients);
    send_frames(&plain, batch, 3, false);
    for (int run = 0; run < RUNS; run++) {
        bare_ns[run] = send_bare(batch, turns, fds, clients);
        own_ns[run] = send_frames(&plain, batch, turns, false);
        now_ns[run] = send_frames(&plain, batch, turns, true);
        ratio[run] = bare_ns[run] / own_ns[run];
        now_ratio[run] = bare_ns[run] / now_ns[run];
    }
    bench_print(&(bench_row){ .what = "fan-out",
        .workload = bench_text("W=%d N=%d", batch, clients),
        .figure = bench_text("%.0f ns a message", bench_median(now_ns, RUNS)),
        .against = bench_text("%.2fx as fast as bare send (%.0f ns); in the flush phase %.2fx",
            bench_median(now_ratio, RUNS), bench_median(bare_ns, RUNS), bench_median(ratio, RUNS)),
        .demand = "at least 0.90x",
        .met = bench_is(bench_median(now_ratio, RUNS) >= 0.9) });
    for (int i = 0; i < clients; i++)
        close(fds[i]);
    close(listener);
    unsubscribe(&plain, load);
}

/* --- TLS -------------------------------------------------------------------------------------------------------- */

static void against_plain_text(int clients, int batch, double demand)
{
    double plain_ns[RUNS], tls_ns[RUNS], ratio[RUNS];
    pid_t plain_load = subscribe(&plain, clients, false, 0), tls_load = subscribe(&secure, clients, true, 0);
    int turns = SENDS_EACH_RUN / clients;

    send_frames(&plain, batch, 3, true);
    send_frames(&secure, batch, 3, true);
    for (int run = 0; run < RUNS; run++) {
        plain_ns[run] = send_frames(&plain, batch, turns, true);
        tls_ns[run] = send_frames(&secure, batch, turns, true);
        ratio[run] = tls_ns[run] / plain_ns[run];
    }
    bench_print(&(bench_row){ .what = "TLS",
        .workload = bench_text("W=%d N=%d", batch, clients),
        .figure = bench_text("%.0f ns a message", bench_median(tls_ns, RUNS)),
        .against = bench_text(
            "%.2fx the CPU of plain text (%.0f ns)", bench_median(ratio, RUNS), bench_median(plain_ns, RUNS)),
        .demand = bench_text("at most %.2fx", demand),
        .met = bench_is(bench_median(ratio, RUNS) <= demand) });
    unsubscribe(&plain, plain_load);
    unsubscribe(&secure, tls_load);
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

static void idle(const side *to, bool tls, const char *name, long demand)
{
    long before = resident_bytes();
    pid_t load = subscribe(to, IDLE_COUNT, tls, 0);

    long each = (resident_bytes() - before) / IDLE_COUNT;
    bench_print(&(bench_row){ .what = "memory",
        .workload = bench_text("an idle subscriber of %d, %s", IDLE_COUNT, name),
        .figure = bench_text("%ld B resident", each),
        .demand = bench_text("at most %ld B", demand),
        .met = bench_is(each <= demand) });
    unsubscribe(to, load);
}

/* --- peers ------------------------------------------------------------------------------------------------------ */

static double peer_send(peer *own, int clients, int batch, int turns)
{
    int64_t start_ns = peer_cpu_ns(own);

    for (int turn = 0; turn < turns; turn++) {
        uint64_t goal = load_count() + (uint64_t)clients * (uint64_t)batch * FRAME_SIZE;
        dprintf(own->say, "%d\n", batch);
        load_wait(goal);
    }
    return (double)(peer_cpu_ns(own) - start_ns) / ((double)turns * clients * batch);
}

static void not_there(const char *what, const char *name)
{
    bench_print(&(bench_row){ .what = what,
        .workload = bench_text("against %s", name),
        .figure = "it is not there",
        .met = BENCH_NOT_MEASURED });
}

/* `demands`: at W = 1, 16, 64; 0: none, and nothing is measured. */
static void against_fan_out(const char *name, char *const argv[], const double demands[3])
{
    static const int batches[] = { 1, 16, BATCH_MAX };
    enum { CLIENTS = 100 };
    double own_ns[PEER_RUNS], peer_ns[PEER_RUNS], ratio[PEER_RUNS];
    peer other;

    if (!peer_start(argv, &other)) {
        not_there("fan-out", name);
        return;
    }
    pid_t load = subscribe(&plain, CLIENTS, false, 0);
    pid_t peer_load = load_start(&(load_spec){ .port = other.port, .count = CLIENTS });
    kt_test_sleep_ms(1000);
    for (size_t w = 0; w < KT_COUNT(batches); w++) {
        int turns = SENDS_EACH_RUN / CLIENTS;
        if (demands[w] == 0)
            continue;
        peer_send(&other, CLIENTS, batches[w], 3);
        for (int run = 0; run < PEER_RUNS; run++) {
            peer_ns[run] = peer_send(&other, CLIENTS, batches[w], turns);
            own_ns[run] = send_frames(&plain, batches[w], turns, true);
            ratio[run] = peer_ns[run] / own_ns[run];
        }
        bench_print(&(bench_row){ .what = "fan-out",
            .workload = bench_text("W=%d N=%d", batches[w], CLIENTS),
            .figure = bench_text("%.0f ns a message", bench_median(own_ns, PEER_RUNS)),
            .against = bench_text("%.1fx as fast as %s (%.0f ns)", bench_median(ratio, PEER_RUNS), name,
                bench_median(peer_ns, PEER_RUNS)),
            .demand = bench_text("at least %.1fx", demands[w]),
            .met = bench_is(bench_median(ratio, PEER_RUNS) >= demands[w]) });
    }
    load_stop(peer_load);
    peer_stop(&other);
    unsubscribe(&plain, load);
}

static double own_answers(void)
{
    pid_t load = load_start(
        &(load_spec){ .port = kt_http_server_port(plain.http), .count = ASKER_COUNT, .path = "/small.json" });
    uint64_t goal = load_count() + ANSWERS_EACH_RUN;
    int64_t start_ns = bench_core_ns();

    while (load_count() < goal)
        kt_loop_turn(loop, 1000000, NULL);
    double each_ns = (double)(bench_core_ns() - start_ns) / ANSWERS_EACH_RUN;
    load_stop(load);
    while (kt_http_server_get_stats(plain.http).conn_count > 0)
        kt_loop_turn(loop, 1000000, NULL);
    return each_ns;
}

static void against_answers(const char *name, peer *other, double demand)
{
    double own_ns[PEER_RUNS], peer_ns[PEER_RUNS], ratio[PEER_RUNS];

    for (int run = 0; run < PEER_RUNS; run++) {
        pid_t load = load_start(&(load_spec){ .port = other->port, .count = ASKER_COUNT, .path = "/small.json" });
        load_wait(load_count() + ANSWERS_EACH_RUN / 10);
        uint64_t first = load_count();
        int64_t start_ns = peer_cpu_ns(other);
        load_wait(first + ANSWERS_EACH_RUN);
        peer_ns[run] = (double)(peer_cpu_ns(other) - start_ns) / (double)(load_count() - first);
        load_stop(load);
        own_ns[run] = own_answers();
        ratio[run] = peer_ns[run] / own_ns[run];
    }
    bench_print(&(bench_row){ .what = "HTTP GET",
        .workload = "small JSON, kept connections",
        .figure = bench_text("%.0f ns an answer", bench_median(own_ns, PEER_RUNS)),
        .against = bench_text(
            "%.2fx as fast as %s (%.0f ns)", bench_median(ratio, PEER_RUNS), name, bench_median(peer_ns, PEER_RUNS)),
        .demand = bench_text("at least %.2fx", demand),
        .met = bench_is(bench_median(ratio, PEER_RUNS) >= demand) });
}

static uint16_t free_port(void)
{
    uint16_t port = 0;

    close(bare_listen(&port));
    return port;
}

/* nginx does not say where it listens: it is told, and asked until it answers. */
static bool nginx_start(const char *peers, peer *out_peer)
{
    const char *dir = kt_test_dir();
    char path[700], program[700], command[3000], shell[] = "sh";
    uint16_t port = free_port();
    FILE *file = NULL;

    snprintf(program, sizeof program, "%s/unpacked/usr/sbin/nginx", peers);
    snprintf(path, sizeof path, "%s/small.json", dir);
    if (access(program, X_OK) != 0 || (file = fopen(path, "w")) == NULL)
        return false;
    fputs(SMALL_JSON, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/nginx.conf", dir);
    file = fopen(path, "w");
    if (file == NULL)
        return false;
    fprintf(file,
        "daemon off; master_process off; pid %s/pid; error_log stderr emerg;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; default_type application/json; keepalive_requests 1000000000; open_file_cache max=8;\n"
        "tcp_nodelay on; sendfile on; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n"
        "uwsgi_temp_path %s/u; scgi_temp_path %s/s; server { listen 127.0.0.1:%u; root %s; } }\n",
        dir, dir, dir, dir, dir, dir, port, dir);
    fclose(file);
    snprintf(command, sizeof command, "echo listening %u; exec %s -p %s -c %s", port, program, dir, path);
    char *argv[] = { shell, (char *)"-c", command, NULL };
    bool started = peer_start(argv, out_peer);
    kt_test_sleep_ms(1000);
    return started;
}

static void against_peers(const char *peers)
{
    static const double lws_demands[] = { 0, 12, 40 }, ws_demands[] = { 1.3, 15, 0 };
    char program[700], modules[700], ws[] = "bench/peers/ws.cjs", http[] = "bench/peers/http.cjs", node[] = "node";
    peer other;

    snprintf(modules, sizeof modules, "%s/node_modules", peers);
    setenv("NODE_PATH", modules, 1);
    snprintf(program, sizeof program, "%s/lws", peers);
    against_fan_out("libwebsockets", (char *[]){ program, NULL }, lws_demands);
    against_fan_out("Node ws", (char *[]){ node, ws, NULL }, ws_demands);
    if (nginx_start(peers, &other)) {
        against_answers("nginx", &other, 1.05);
        peer_stop(&other);
    } else {
        not_there("HTTP GET", "nginx");
    }
    if (peer_start((char *[]){ node, http, (char *)SMALL_JSON, NULL }, &other)) {
        against_answers("Node", &other, 2.3);
        peer_stop(&other);
    } else {
        not_there("HTTP GET", "Node");
    }
}

int main(void)
{
    static const int clients[] = { 100, CLIENT_MAX };
    static const int batches[] = { 1, 16, BATCH_MAX };
    static const double tls_demands[] = { 1.4, 1.75, 2.0 };
    const char *peers = getenv("KONTOR_BENCH_PEERS");
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < IDLE_COUNT + 100) {
        bench_print(&(bench_row){ .what = "fan-out, TLS, memory, HTTP",
            .workload = "all",
            .figure =
                bench_text("needs %d open files at once and may have %ld", IDLE_COUNT + 100, (long)files.rlim_cur),
            .met = BENCH_NOT_MEASURED });
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    load_init();
    if (kt_loop_new(NULL, &loop, NULL) != KT_OK)
        die("no loop");
    kt_tls *tls = certificate();
    serve(&plain, NULL);
    serve(&secure, tls);
    bench_progress("net_bench: idle subscribers");
    idle(&plain, false, "plain text", 1024);
    idle(&secure, true, "TLS", 16384);
    bench_progress("net_bench: fan-out, TLS");
    for (size_t n = 0; n < KT_COUNT(clients); n++)
        for (size_t w = 0; w < KT_COUNT(batches); w++)
            against_send(clients[n], batches[w]);
    for (size_t n = 0; n < KT_COUNT(clients); n++)
        for (size_t w = 0; w < KT_COUNT(batches); w++)
            against_plain_text(clients[n], batches[w], tls_demands[w]);
    bench_progress("net_bench: peers");
    if (peers != NULL)
        against_peers(peers);
    else
        not_there("fan-out, HTTP GET", "all peers");
    unserve(&plain);
    unserve(&secure);
    kt_tls_free(tls);
    kt_loop_free(loop);
    return 0;
}
