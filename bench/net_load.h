/* The other side of net_bench: processes that take what servers send, or ask them, and count it in memory that both see.
 */
#ifndef KT_BENCH_NET_LOAD_H
#define KT_BENCH_NET_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct load_spec {
    uint16_t port;
    uint16_t bare_port; /* as many plain connections to this port too; 0: none */
    bool tls;           /* with whatever certificate */
    int count;          /* connections */
    const char *path;   /* NULL: WebSocket subscribers, who take. Else: GETs, each connection one after the other */
} load_spec;

void load_init(void); /* once, before everything */

/* Bytes taken off the wire, or requests answered, by all processes so far. */
uint64_t load_count(void);
void load_wait(uint64_t count);

pid_t load_start(const load_spec *spec);
void load_stop(pid_t load);

/* A server in a process of its own that says "listening PORT" as its first line. False: it did not. */
typedef struct peer {
    pid_t pid;
    int say; /* to its standard input */
    uint16_t port;
} peer;

bool peer_start(char *const argv[], peer *out_peer);
void peer_stop(peer *own);
int64_t peer_cpu_ns(const peer *own); /* of all its threads */

/* Ends the program with a message. */
void die(const char *what) __attribute__((noreturn));

#endif
