/* edge/gate.h - what a client may call, and how often.
 *
 * Client    a network address, through whichever door and however many connections: nobody has an identity yet.
 * Scope     `read` is open to whoever reaches the port. `operate` is not open to web pages of others: a browser sends
 *           its pages' Origin along, and without this rule any page that somebody on this machine looks at could change
 *           the house. It is allowed to programs, which send none, and to the house's own page: an Origin that is the
 *           Host asked for, and this machine by name or address, so that another name that leads here is none.
 * Cost      A bucket of tokens a client: it holds at most `burst`, gets `rate` a second, and a call takes the cost of
 *           its action out of it, or is refused with the time after which there are enough.
 * Bounds    KT_GATE_CLIENT_MAX buckets. One more takes the place of the fullest among those it hashes to: whoever
 *           calls much keeps a bucket.
 */
#ifndef KT_EDGE_GATE_H
#define KT_EDGE_GATE_H

#include "edge/params.h"
#include "net/http_parser.h"

enum {
    KT_GATE_CLIENT_MAX = 4096,
    KT_GATE_ADDRESS_SIZE = 48 /* of an IPv6 address with its NUL */
};

/* Who calls. */
typedef struct kt_gate_client {
    char address[KT_GATE_ADDRESS_SIZE];
    bool operates; /* may call what has scope `operate` */
} kt_gate_client;

/* `peer` with its port, "127.0.0.1:54321" or "[::1]:54321". */
void kt_gate_client_init(kt_gate_client *client, const char *peer, bool operates);

/* May whoever sends these headers operate? */
bool kt_gate_operates(const kt_http_request *request);

typedef struct kt_gate kt_gate;

kt_gate *kt_gate_new(void);       /* NULL: no memory */
void kt_gate_free(kt_gate *gate); /* NULL is fine */

/* `now_ns` of any clock that does not go back; `rate` tokens a second, 0: no limit; `burst` at least the cost of any
 * action. KT_DENIED, KT_RATE: refused, and nothing was taken. */
kt_code kt_gate_pass(kt_gate *gate, const kt_gate_client *client, const kt_action *action, int64_t now_ns,
    uint32_t rate, uint32_t burst, kt_refusal *out_refusal);

#endif
