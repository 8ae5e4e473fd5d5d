/* A venue that is never the bottleneck, and a client that takes everything: what path_bench.py puts around a house.
 *
 *   path_load TRADES SYMBOL...       prints "venue PORT", and sends when it is told to (SIGUSR1)
 *   path_load take PORT SYMBOL...    subscribes to the trades of each, prints "took COUNT BYTES" a few times a second
 *
 * The trades are messages as Binance's combined stream sends them, made before the first connection comes, so that sending
 * costs a system call for many. They are numbered from 1 in each symbol; a thousand of them share a millisecond. */
#include "base/assert.h"
#include "base/rng.h"
#include "base/test_util.h"
#include "base/text.h"
#include "net/websocket.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { SYMBOL_MAX = 64, FRAME_MAX = 256, HEAD_MAX = 8192, SEND_BYTES = 1 << 18, TAKE_BYTES = 1 << 20, EACH_MS = 1000 };

#define TELL_NS INT64_C(200000000)
#define START_MS 1723161600000 /* 2024-08-09 */

typedef struct symbol {
    char name[32]; /* as in the stream's name: btcusdt */
    char upper[32];
    uint64_t last;
    int64_t price; /* in cents */
} symbol;

typedef struct tape {
    char *bytes;
    size_t size;
} tape;

static void die(const char *what)
{
    fprintf(stderr, "path_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static volatile sig_atomic_t go;

static void on_go(int number)
{
    go = 1;
}

static symbol symbol_of(const char *text)
{
    symbol s = { .price = 6183700 };
    size_t n = 0;

    for (; *text != 0 && n < sizeof s.name - 1; text++)
        if (*text != '/') {
            s.upper[n] = *text;
            s.name[n++] = (char)tolower((unsigned char)*text);
        }
    return s;
}

static tape render(uint64_t trades, symbol *symbols, uint32_t symbol_count)
{
    tape made = { .bytes = malloc(trades * FRAME_MAX) };
    kt_rng rng;

    if (made.bytes == NULL)
        die("no memory for the tape");
    kt_rng_init(&rng, 1);
    for (uint64_t i = 0; i < trades; i++) {
        symbol *s = &symbols[kt_rng_below(&rng, symbol_count)];
        long long ms = START_MS + (long long)(i / EACH_MS);
        char text[FRAME_MAX];

        s->price += (int64_t)kt_rng_below(&rng, 201) - 100;
        int n = snprintf(text, sizeof text,
            "{\"stream\":\"%s@trade\",\"data\":{\"e\":\"trade\",\"E\":%lld,\"s\":\"%s\",\"t\":%llu,\"p\":\"%lld.%02lld000000\","
            "\"q\":\"0.%05u000\",\"T\":%lld,\"m\":%s,\"M\":true}}",
            s->name, ms + 1, s->upper, (unsigned long long)++s->last, (long long)s->price / 100,
            (long long)s->price % 100, 1 + (unsigned)kt_rng_below(&rng, 99999), ms,
            kt_rng_below(&rng, 2) != 0 ? "true" : "false");
        uint8_t *at = (uint8_t *)made.bytes + made.size;
        size_t head = kt_ws_header(at, KT_WS_TEXT, true, (size_t)n, NULL);
        memcpy(at + head, text, (size_t)n);
        made.size += head + (size_t)n;
    }
    return made;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size < SEND_BYTES ? size : SEND_BYTES, MSG_NOSIGNAL);

        if (sent < 0)
            die("cannot send");
        bytes += sent;
        size -= (size_t)sent;
    }
}

/* The head of a request or of an answer to one, up to the empty line. */
static void take_head(int fd, char head[HEAD_MAX])
{
    size_t size = 0;

    while (size < HEAD_MAX - 1 && recv(fd, head + size, 1, 0) == 1) {
        head[++size] = 0;
        if (size >= 4 && memcmp(head + size - 4, "\r\n\r\n", 4) == 0)
            return;
    }
    head[0] = 0;
}

/* True: it was the stream's connection. What is asked over REST is not known here. */
static bool serve(int fd, const tape *sent)
{
    static const char none[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    char head[HEAD_MAX], answer[512], accept[KT_WS_ACCEPT_SIZE + 1];
    const char *key;

    take_head(fd, head);
    key = strcasestr(head, "sec-websocket-key: ");
    if (key == NULL) {
        send_all(fd, none, sizeof none - 1);
        return false;
    }
    key += strlen("sec-websocket-key: ");
    kt_ws_accept_key((kt_text){ key, strcspn(key, "\r") }, accept);
    int n = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
        accept);
    send_all(fd, answer, (size_t)n);
    while (!go)
        usleep(1000);
    send_all(fd, sent->bytes, sent->size);
    return true;
}

static _Noreturn void give(uint64_t trades, symbol *symbols, uint32_t symbol_count)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t at_size = sizeof at;
    signal(SIGUSR1, on_go);
    tape sent = render(trades, symbols, symbol_count);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &at_size) != 0)
        die("cannot listen");
    printf("venue %u\n", ntohs(at.sin_port));
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            die("cannot accept");
        if (serve(fd, &sent))
            break; /* it stays open: to the house the venue has just become quiet */
        close(fd);
    }
    for (;;)
        pause();
}

static void subscribe(int fd, const char *text)
{
    static const uint8_t mask[4] = { 0 };
    uint8_t frame[512];
    char message[256];
    int n = snprintf(
        message, sizeof message, "{\"op\":\"subscribe\",\"channel\":\"trades.binance.%s\",\"conflate\":false}", text);
    size_t head = kt_ws_header(frame, KT_WS_TEXT, true, (size_t)n, mask);

    memcpy(frame + head, message, (size_t)n);
    send_all(fd, (char *)frame, head + (size_t)n);
}

/* Messages of the server, whose frames are counted and not looked into. */
static _Noreturn void take(uint16_t port, char *const symbols[], int symbol_count)
{
    static char hello[] = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    static const uint8_t ping[] = { 0x89, 0x80, 0, 0, 0, 0 }; /* or the house takes us for gone */
    static uint8_t bytes[TAKE_BYTES];
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t count = 0, total = 0;
    size_t held = 0, skip = 0;
    int64_t told_ns = kt_test_now_ns();
    char head[HEAD_MAX];

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect to the house");
    send_all(fd, hello, sizeof hello - 1);
    take_head(fd, head);
    for (int i = 0; i < symbol_count; i++)
        subscribe(fd, symbols[i]);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = TELL_NS / 1000 }, sizeof(struct timeval));
    for (;;) {
        ssize_t got = recv(fd, bytes + held, sizeof bytes - held, 0);

        if (got < 0 && errno == EAGAIN)
            got = 0;
        else if (got <= 0)
            die("the house has closed the connection");
        held += (size_t)got;
        total += (uint64_t)got;
        size_t at = 0;
        for (;;) {
            size_t left = held - at, step = skip < left ? skip : left, size, start;

            at += step;
            skip -= step;
            left -= step;
            if (skip > 0 || left < 10)
                break; /* no head of a frame is longer */
            size = bytes[at + 1] & 0x7f;
            start = 2;
            if (size == 126) {
                size = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
                start = 4;
            } else if (size == 127) {
                size = 0;
                for (int i = 0; i < 8; i++)
                    size = size << 8 | bytes[at + 2 + i];
                start = 10;
            }
            skip = start + size;
            count += (bytes[at] & 0x0f) == KT_WS_TEXT;
        }
        memmove(bytes, bytes + at, held - at);
        held -= at;
        if (kt_test_now_ns() - told_ns > TELL_NS) {
            told_ns = kt_test_now_ns();
            send_all(fd, (const char *)ping, sizeof ping);
            printf("took %llu %llu\n", (unsigned long long)count, (unsigned long long)total);
        }
    }
}

int main(int argc, char **argv)
{
    static symbol symbols[SYMBOL_MAX];
    uint32_t count = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc >= 4 && strcmp(argv[1], "take") == 0)
        take((uint16_t)atoi(argv[2]), argv + 3, argc - 3);
    if (argc < 3 || argc - 2 > SYMBOL_MAX) {
        fprintf(stderr, "usage: path_load TRADES SYMBOL... | path_load take PORT SYMBOL...\n");
        return 64;
    }
    for (int i = 2; i < argc; i++)
        symbols[count++] = symbol_of(argv[i]);
    give(strtoull(argv[1], NULL, 10), symbols, count);
}
