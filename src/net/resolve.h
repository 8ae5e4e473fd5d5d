/* net/resolve.h - host names to addresses without stopping the loop.
 *
 * getaddrinfo blocks for seconds when a name server is away, so it runs on a short-lived thread that touches neither
 * the loop nor the caller's memory: cancelling just stops listening. Numeric addresses need no thread.
 */
#ifndef KT_NET_RESOLVE_H
#define KT_NET_RESOLVE_H

#include "base/types.h"
#include "net/loop.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum { KT_RESOLVE_ADDRESS_MAX = 16 };

typedef struct kt_address {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } of;
} kt_address;

typedef struct kt_resolve kt_resolve;

/* A numeric IPv4 or IPv6 address; false for a name. */
bool kt_address_parse(kt_text host, uint16_t port, kt_address *out_address);

/* "127.0.0.1:3000", "[::1]:3000"; at most KT_ADDRESS_TEXT_MAX bytes with the NUL. */
enum { KT_ADDRESS_TEXT_MAX = 64 };
void kt_address_format(const kt_address *address, char *to, size_t size);

/* `on_done` is called once from the loop, never inside this call; the addresses are good until it returns. On failure
 * count is 0 and `error` says why. KT_ARG: name empty or longer than KT_URL_HOST_MAX. KT_SYS: no thread or descriptor.
 * */
kt_code kt_resolve_start(kt_loop *loop, kt_text host, uint16_t port,
    void (*on_done)(void *ctx, const kt_address *addresses, uint32_t count, const char *error), void *ctx,
    kt_resolve **out_resolve, kt_err *err);

/* No callback any more. Not after on_done: the object is gone then. Accepts NULL. */
void kt_resolve_cancel(kt_resolve *resolve);

#endif
