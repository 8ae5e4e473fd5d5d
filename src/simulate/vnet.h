/* simulate/vnet.h - a network on virtual time: connections between the tasks of one process, with what happens on the way.
 *
 * Link     two pairs of sockets; what one end writes is read here and written to the other end later, in order: after a
 *          latency, in pieces where it trickles. A link may be cut after so many bytes (in the middle of a frame), or fall
 *          silent for ever while it stays open (half-open). An end that takes nothing holds up the other, as a window does.
 * Faults   are drawn for each link when it is made, as kt_vnet_faults says; a connection may be refused, too.
 * Requests outgoing HTTP goes over such links as well, by a small client in libcurl's place.
 * Owners   as of vdisk.h. When a process dies, its links end here, and its listeners as its code lets go of them.
 */
#ifndef KT_SIMULATE_VNET_H
#define KT_SIMULATE_VNET_H

#include "base/rng.h"
#include "net/net.h"

enum { KT_VNET_OWNER_MAX = 8, KT_VNET_PORT_MAX = 8 };

/* Chances for each link. */
typedef struct kt_vnet_faults {
    double refused;  /* when it is made */
    double cut;      /* after some bytes */
    double silent;   /* the same, but it stays open */
    double trickles; /* a few bytes at a time */
    int64_t latency_max_ns;
    int64_t grain_ns; /* pieces arrive at multiples of it, together, as interrupts coalesce; 0: each at its own time */
} kt_vnet_faults;

typedef struct kt_vnet kt_vnet;

/* `loop` is the network's own; `rng` is borrowed. KT_SYS. */
kt_code kt_vnet_new(kt_loop *loop, kt_rng *rng, kt_vnet **out_net, kt_err *err);
void kt_vnet_free(kt_vnet *net); /* before its loop */

/* What the loops of this owner are given. */
const kt_net *kt_vnet_of(kt_vnet *net, uint32_t owner);

/* Of links that are made from now on; those there are lose theirs when there are none any more. */
void kt_vnet_set(kt_vnet *net, const kt_vnet_faults *faults);

/* The owner has died, or leaves: its links end. */
void kt_vnet_sever(kt_vnet *net, uint32_t owner);

typedef struct kt_vnet_counts {
    uint64_t links, refused, cut, silent, trickled;
    uint32_t open;
} kt_vnet_counts;
kt_vnet_counts kt_vnet_count(const kt_vnet *net);

#endif
