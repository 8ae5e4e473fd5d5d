/* What clients cost the edge: a real log and a real edge, whose clients are sockets of another process.
 *
 *   edge_bench
 *
 * fan-out       W events of one channel are written, then the edge has one turn, in which N clients get them. CPU time
 *               of the turn, reading the log and building the frames included, against a bare loop of send() of as many
 *               bytes to as many sockets; both from the same state of the machine, first the one, then the other. Clients
 *               have heard different numbers of messages. Median of RUNS.
 * crowd         CROWD clients of one channel with an event each millisecond, flushed each 50 ms: age of the oldest event
 *               that a message stands for when it is received, and CPU time of the edge beside that of as many bare
 *               sends. The demand is for a machine on which a bare send costs SEND_NS; where it costs k times that, all
 *               times are k times longer. Who receives looks each half millisecond and sleeps in between: on another
 *               machine no send would have to wake it up.
 * return        BACK clients come back to QUIET channels each and have missed MISSED events of every one, while another channel
 *               got all that lies between: CPU time of the edge until all of it is sent, beside that of a reader which
 *               goes once over what was written meanwhile. Median of RUNS.
 */
#include "base/histogram.h"
#include "base/test_util.h"
#include "base/time.h"
#include "edge/test_house.h"
#include "log/reader.h"
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    RUNS = 5,
    SENDS_EACH_RUN = 10000,
    BATCH_MAX = 64,
    MANY = 5000,
    CROWD = 10000,
    CROWD_S = 5,
    SEND_NS = 3500,
    EVENT_US = 1000, /* between events, as the demand says it ... */
    FLUSH_MS = 50,   /* ... and between flushes */
    LOOK_US = 500,
    BACK = 20,
    QUIET = 100,
    MISSED = 3,
    BETWEEN = 100000,   /* events of the busy channel between two of the quiet ones */
    NUMBER_SPREAD = 11, /* so many messages more or less have been heard by clients side by side */
    FILES = 2 * MANY + 200,
};

#define TRADES "trades.binance.BTC/USDT"
#define PRICES "ticker.binance.BTC/USDT"

/* What the other process has seen, in memory that both see. */
typedef struct seen {
    _Atomic uint64_t bytes;
    _Atomic uint64_t asked, answered; /* has nothing been left to take since this was asked? */
    _Atomic bool measure;
    int64_t event_ns;
    kt_histogram ages;
} seen;

static seen *taken;
static kt_test_house house;

static void die(const char *what)
{
    fprintf(stderr, "edge_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double list[RUNS])
{
    qsort(list, RUNS, sizeof *list, compare);
    return list[RUNS / 2];
}

/* ---- the process that takes ---- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    return fd;
}

static void say(int fd, const char *text)
{
    static const uint8_t mask[4] = { 0 };
    uint8_t frame[256];
    size_t size = strlen(text), head = kt_ws_header(frame, KT_WS_TEXT, true, size, mask);

    memcpy(frame + head, text, size);
    if (send(fd, frame, head + size, 0) < 0)
        die("cannot send");
}

/* After `pings`, each of which is answered. */
static int subscribe(uint16_t port, const char *channel, int pings)
{
    static const char hello[] = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    char text[200], byte;
    int fd = connect_to(port);

    if (send(fd, hello, sizeof hello - 1, 0) < 0)
        die("cannot send");
    while (pings-- > 0)
        say(fd, "{\"op\":\"ping\"}");
    snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"channel\":\"%s\"}", channel);
    say(fd, text);
    for (int ends = 0; ends < 4; ends = byte == "\r\n\r\n"[ends] ? ends + 1 : 0)
        if (recv(fd, &byte, 1, 0) != 1)
            die("no handshake");
    return fd;
}

static uint64_t number_behind(const char *at, const char *end, const char *name)
{
    const char *found = memmem(at, (size_t)(end - at), name, strlen(name));

    return found != NULL ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* Messages come whole: a client gets one, far smaller than its socket's buffer, at a time. */
static void measure(const char *bytes, size_t size)
{
    uint64_t made_ns = number_behind(bytes, bytes + size, "\"update_id\":");
    uint64_t skipped = number_behind(bytes, bytes + size, "\"skipped\":");

    if (made_ns == 0)
        return;
    kt_histogram_add(
        &taken->ages, clock_ns(CLOCK_MONOTONIC) - (int64_t)made_ns + (int64_t)skipped * taken->event_ns, 1);
}

/* `count` subscribers and, when there is a `bare_port`, as many plain connections. */
static void take_all(uint16_t bare_port, const char *channel, int count)
{
    static char bytes[1 << 20];
    struct epoll_event events[512];
    int epoll_fd = epoll_create1(0);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = { .events = EPOLLIN };

        event.data.fd = subscribe(kt_edge_port(house.edge), channel, i % NUMBER_SPREAD);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
        if (bare_port == 0)
            continue;
        event.data.fd = connect_to(bare_port);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    for (;;) {
        uint64_t asked = atomic_load(&taken->asked);
        bool looks = atomic_load(&taken->measure);
        int ready = epoll_wait(epoll_fd, events, KT_COUNT(events), looks ? 0 : 1);

        if (ready == 0)
            atomic_store(&taken->answered, asked);
        if (ready == 0 && looks)
            usleep(LOOK_US);
        for (int i = 0; i < ready; i++) {
            ssize_t got = recv(events[i].data.fd, bytes, sizeof bytes, MSG_DONTWAIT);

            if (got == 0)
                _exit(0);
            if (got > 0 && looks)
                measure(bytes, (size_t)got);
            atomic_fetch_add(&taken->bytes, got > 0 ? (uint64_t)got : 0);
        }
    }
}

/* Until more than `before` has been taken, and all that is under way. */
static void settle(uint64_t before)
{
    uint64_t bytes;

    do {
        uint64_t question = atomic_fetch_add(&taken->asked, 1) + 1;

        bytes = atomic_load(&taken->bytes);
        while (atomic_load(&taken->answered) < question)
            kt_test_sleep_ms(1);
    } while (bytes == before || atomic_load(&taken->bytes) != bytes);
}

/* ---- the house ---- */

static kt_edge_counts counts_now(void)
{
    kt_edge_counts counts;

    kt_edge_count(house.edge, &counts);
    return counts;
}

/* Connections that a bare loop sends to: a listener, and what it has accepted. */
typedef struct bare {
    int listener;
    uint16_t port; /* 0: none are wanted */
    uint32_t count;
    int fds[MANY];
} bare;

static void bare_accept(bare *own)
{
    static const int one = 1;
    int fd;

    while (own->port != 0 && (fd = accept4(own->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* as the edge's are */
        own->fds[own->count++] = fd;
    }
}

static pid_t start_taking(bare *own, const char *channel, uint32_t count)
{
    uint64_t before = atomic_load(&taken->bytes), seen_before;
    pid_t child = fork();

    if (child < 0)
        die("cannot fork");
    if (child == 0)
        take_all(own->port, channel, (int)count);
    while (counts_now().subscriptions < count || (own->port != 0 && own->count < count)) {
        kt_loop_turn(house.loop, KT_NS_PER_MS, NULL);
        bare_accept(own);
    }
    do { /* the answers have come */
        seen_before = atomic_load(&taken->bytes);
        kt_loop_turn(house.loop, 0, NULL);
        kt_test_sleep_ms(20);
    } while (seen_before == before || atomic_load(&taken->bytes) != seen_before);
    return child;
}

static void stop_taking(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (counts_now().clients > 0)
        kt_loop_turn(house.loop, KT_NS_PER_MS, NULL);
}

static void write_price(void)
{
    kt_ev_ticker price;

    kt_event_init(KT_EV_TICKER, &price);
    price.venue_time = price.receive_time = house.time_ns;
    price.update_id = (uint64_t)clock_ns(CLOCK_MONOTONIC);
    price.bid = (kt_decimal){ .m = 6500025, .scale = 2 };
    price.ask = (kt_decimal){ .m = 6500026, .scale = 2 };
    price.bid_quantity = price.ask_quantity = (kt_decimal){ .m = 12, .scale = 4 };
    kt_test_event(&house, KT_EV_TICKER, PRICES, &price);
}

/* ---- fan-out ---- */

static uint64_t trade_number;

static void write_trades(int count)
{
    for (int i = 0; i < count; i++)
        kt_test_trade(&house, TRADES, 1000000 + trade_number++); /* all of one size */
}

/* All that has been written to all clients: ns of CPU, and how many bytes. */
static int64_t send_events(uint32_t clients, int batch, size_t *out_bytes)
{
    uint64_t before = atomic_load(&taken->bytes);
    uint64_t goal = counts_now().messages_sent + (uint64_t)clients * (uint64_t)batch;
    int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), spent_ns;

    while (counts_now().messages_sent < goal)
        kt_loop_turn(house.loop, 0, NULL);
    spent_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
    settle(before);
    *out_bytes = atomic_load(&taken->bytes) - before;
    return spent_ns;
}

static int64_t send_bare(const bare *to, size_t size)
{
    static uint8_t bytes[BATCH_MAX * 1024];
    uint64_t before = atomic_load(&taken->bytes);
    int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), spent_ns;

    for (uint32_t i = 0; i < to->count; i++)
        if (send(to->fds[i], bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
            die("cannot send");
    spent_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
    settle(before);
    return spent_ns;
}

static void bare_listen(bare *own)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;

    *own = (bare){ .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (own->listener < 0 || bind(own->listener, (struct sockaddr *)&address, size) != 0 ||
        listen(own->listener, 4096) != 0 || getsockname(own->listener, (struct sockaddr *)&address, &size) != 0)
        die("cannot listen");
    own->port = ntohs(address.sin_port);
}

static void bare_close(bare *own)
{
    for (uint32_t i = 0; i < own->count; i++)
        close(own->fds[i]);
    close(own->listener);
}

static void fan_out(uint32_t clients)
{
    static const int batches[] = { 1, 16, BATCH_MAX };
    static bare other;
    int turns = (int)(SENDS_EACH_RUN / clients);

    bare_listen(&other);
    pid_t child = start_taking(&other, TRADES, clients);
    for (size_t w = 0; w < KT_COUNT(batches); w++) {
        double own_ns[RUNS], bare_ns[RUNS], ratio[RUNS];
        double messages = (double)clients * batches[w];
        size_t bytes;

        write_trades(batches[w]);
        send_events(clients, batches[w], &bytes);
        for (int run = 0; run < RUNS; run++) {
            int64_t own_sum = 0, bare_sum = 0;

            for (int turn = 0; turn < turns; turn++) {
                write_trades(batches[w]);
                if (turn % 2 == 0)
                    bare_sum += send_bare(&other, bytes / clients);
                own_sum += send_events(clients, batches[w], &bytes);
                if (turn % 2 == 1)
                    bare_sum += send_bare(&other, bytes / clients);
            }
            bare_ns[run] = (double)bare_sum / turns / messages;
            own_ns[run] = (double)own_sum / turns / messages;
            ratio[run] = bare_ns[run] / own_ns[run];
        }
        bench_print(&(bench_row){ .what = "edge",
            .workload = bench_text("fan-out of %d event%s to %u clients, %.0f B each, from the log", batches[w],
                batches[w] == 1 ? "" : "s", clients, (double)bytes / messages),
            .figure = bench_text("%.0f ns a message", median(own_ns)),
            .against = bench_text("%.2fx as fast as bare send (%.0f ns)", median(ratio), median(bare_ns)),
            .demand = "at least 0.90x",
            .met = bench_is(median(ratio) >= 0.9) });
    }
    bare_close(&other);
    stop_taking(child);
}

/* ---- crowd ---- */

static double bare_send_ns(void)
{
    static bare other;
    double ns[RUNS];

    bare_listen(&other);
    pid_t child = start_taking(&other, TRADES, MANY);
    for (int run = 0; run < RUNS; run++)
        ns[run] = (double)send_bare(&other, 400) / MANY;
    bare_close(&other);
    stop_taking(child);
    return median(ns);
}

static void crowd(void)
{
    double bare_ns = bare_send_ns(), slower = bare_ns > SEND_NS ? bare_ns / SEND_NS : 1;
    pid_t child = start_taking(&(bare){ 0 }, PRICES, CROWD);
    uint64_t before = counts_now().messages_sent;
    int64_t begun_ns, end_ns, now_ns, spent_ns = 0;
    clockid_t taker;

    taken->event_ns = (int64_t)(EVENT_US * slower * 1e3);
    house.config->edge_flush_ticker_ms = (uint32_t)(FLUSH_MS * slower + 0.5);
    kt_edge_settings(house.edge);
    atomic_store(&taken->measure, true);
    if (clock_getcpuclockid(child, &taker) != 0)
        die("cannot read the clock of who receives");
    int64_t taking_ns = clock_ns(taker);
    begun_ns = now_ns = clock_ns(CLOCK_MONOTONIC);
    end_ns = begun_ns + (int64_t)(CROWD_S * KT_NS_PER_S * slower);
    for (int64_t due_ns = begun_ns; now_ns < end_ns; now_ns = clock_ns(CLOCK_MONOTONIC)) {
        for (; due_ns <= now_ns; due_ns += taken->event_ns)
            write_price();
        int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        kt_loop_turn(house.loop, due_ns - now_ns, NULL);
        spent_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
    }
    double messages = (double)(counts_now().messages_sent - before), wall_ns = (double)(now_ns - begun_ns);
    taking_ns = clock_ns(taker) - taking_ns;
    kt_test_sleep_ms(500);
    double p99_ms = (double)kt_histogram_quantile(&taken->ages, 990) / 1e6, p99_max = (FLUSH_MS + 10) * slower;
    double cores = (double)spent_ns / wall_ns;
    const char *workload = bench_text("%d clients of one channel, %.0f events/s, the newest each %u ms", CROWD,
        1e9 / (double)taken->event_ns, house.config->edge_flush_ticker_ms);
    bench_keep_histogram("edge", workload, &taken->ages);
    bench_print(&(bench_row){ .what = "edge",
        .workload = workload,
        .figure =
            bench_text("age p50 %.0f, p99 %.0f, max %.0f ms", (double)kt_histogram_quantile(&taken->ages, 500) / 1e6,
                p99_ms, (double)kt_histogram_quantile(&taken->ages, 1000) / 1e6),
        .against = bench_text("of the oldest event in a message, %.0f messages/s", messages / wall_ns * 1e9),
        .demand = bench_text("p99 at most 60 ms, here %.0f: a send costs %.2fx", p99_max, slower),
        .met = bench_is(p99_ms <= p99_max) });
    bench_print(&(bench_row){ .what = "edge",
        .workload = workload,
        .figure = bench_text("%.2f cores, who receives %.2f", cores, (double)taking_ns / wall_ns),
        .against = bench_text("%.2fx a bare send (%.0f ns)", (double)spent_ns / messages / bare_ns, bare_ns),
        .demand = "at most 1.00 cores",
        .met = bench_is(cores <= 1 && p99_ms <= p99_max) });
    stop_taking(child);
}

/* ---- return ---- */

static const char *quiet_channel(uint32_t index)
{
    return bench_text("trades.binance.QUIET%u", index);
}

static void come_back(void)
{
    char text[200];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint32_t client = 0; client < BACK; client++) {
        int fd = subscribe(kt_edge_port(house.edge), TRADES, 0);

        for (uint32_t i = 0; i < QUIET; i++) {
            snprintf(text, sizeof text,
                "{\"op\":\"subscribe\",\"channel\":\"%s\",\"from\":{\"epoch\":\"0\",\"offset\":1}}", quiet_channel(i));
            say(fd, text);
        }
    }
    for (;;)
        pause();
}

/* One pass over the whole log. */
static int64_t pass_ns(void)
{
    int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    kt_reader *reader;
    const kt_rec *rec;

    if (kt_reader_open(house.dir, house.boot_id, &reader, NULL) != KT_OK)
        die("cannot read the log");
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
        ;
    kt_reader_close(reader);
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
}

static void comeback(void)
{
    double own_us[RUNS], pass_us[RUNS], ratio[RUNS];

    for (uint64_t round = 1; round <= 1 + MISSED; round++) {
        for (uint32_t i = 0; i < QUIET; i++)
            kt_test_trade(&house, quiet_channel(i), round);
        for (int written = 0; written < BETWEEN; written += 1000) {
            write_trades(1000);
            kt_loop_turn(house.loop, 0, NULL);
        }
    }
    for (int run = 0; run < RUNS; run++) {
        uint64_t goal = counts_now().messages_sent + BACK * (1 + QUIET * (1 + MISSED));
        int64_t spent_ns = 0;
        pid_t child = fork();

        if (child < 0)
            die("cannot fork");
        if (child == 0)
            come_back();
        while (counts_now().messages_sent < goal) {
            int64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
            kt_loop_turn(house.loop, KT_NS_PER_MS, NULL);
            spent_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
        }
        stop_taking(child);
        own_us[run] = (double)spent_ns / 1e3 / (BACK * QUIET);
        pass_us[run] = (double)pass_ns() / 1e3;
        ratio[run] = pass_us[run] / own_us[run];
    }
    bench_print(&(bench_row){ .what = "edge",
        .workload = bench_text("%d clients come back to %d channels, %d events missed of each among %d of others", BACK,
            QUIET, MISSED, MISSED * BETWEEN),
        .figure = bench_text("%.1f us a channel, all its messages sent", median(own_us)),
        .against = bench_text("%.0f channels in the time of one pass over what was written (%.0f ms)", median(ratio),
            median(pass_us) / 1e3),
        .met = BENCH_NOT_ASKED });
}

int main(void)
{
    struct rlimit files;

    setvbuf(stdout, NULL, _IOLBF, 0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < FILES) {
        bench_print(&(bench_row){ .what = "edge",
            .workload = "fan-out and crowd",
            .figure = bench_text("needs %d open files at once and may have %ld", FILES, (long)files.rlim_cur),
            .met = BENCH_NOT_MEASURED });
        return 0;
    }
    taken = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (taken == MAP_FAILED)
        die("no memory");
    kt_test_house_open(&house, "edge: {port: 0, silence_ms: 3600000, client_max: 20000}\n", 64 << 20, 0);
    bench_progress("edge_bench: fan-out");
    fan_out(100);
    fan_out(MANY);
    bench_progress("edge_bench: %d clients", CROWD);
    crowd();
    bench_progress("edge_bench: %d clients come back", BACK);
    comeback();
    kt_test_house_close(&house);
    return 0;
}
