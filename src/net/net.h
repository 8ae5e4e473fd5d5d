/* net/net.h - the calls by which connections come about, replaceable by a simulator (kt_loop_options.net).
 *
 * Descriptors  what `connect` and `accept` give is a non-blocking stream socket, of whatever family; all that follows on it
 *              (recv, send, shutdown, close) are system calls. A listener is readable while there is somebody to accept.
 * Errors       -1 and errno, as the calls of the same names.
 */
#ifndef KT_NET_NET_H
#define KT_NET_NET_H

#include "base/error.h"
#include "net/resolve.h"

struct kt_fetch_spec;

typedef struct kt_net {
    void *ctx;
    int (*connect)(
        void *ctx, const kt_address *to); /* done, or on its way: then it becomes writable, SO_ERROR says how it went */
    int (*listen)(void *ctx, kt_address *at);  /* port 0: any, and told */
    void (*unlisten)(void *ctx, int listener); /* and close it */
    int (*accept)(void *ctx, int listener);
    /* Outgoing HTTP. NULL: libcurl (net/fetch.c). As kt_fetch_start, with a number for it and whose it is; `cancel` ends one, or
     * (id 0) all of an owner, without a callback. */
    kt_code (*fetch)(
        void *ctx, kt_loop *loop, const struct kt_fetch_spec *spec, const void *owner, uint64_t id, kt_err *err);
    void (*cancel)(void *ctx, const void *owner, uint64_t id);
} kt_net;

/* The system's. */
extern const kt_net kt_net_system;

#endif
