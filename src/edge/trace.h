/* edge/trace.h - by what a call is found again, in every lane and on the client's side: a request id and a W3C
 * traceparent (Trace Context, level 1).
 *
 * Both are taken from the client where they are well-formed, and made where not; a traceparent that was taken goes on
 * with the same trace id and flags and with a span id of ours. They are told in the answer, and travel to other lanes as
 * "TRACEPARENT REQUEST-ID".
 */
#ifndef KT_EDGE_TRACE_H
#define KT_EDGE_TRACE_H

#include "base/rng.h"
#include "base/types.h"

enum {
    KT_REQUEST_ID_MAX = 64, /* bytes, of A-Z a-z 0-9 . _ : - */
    KT_TRACEPARENT_SIZE = 55,
    KT_TRACE_TEXT_MAX = KT_TRACEPARENT_SIZE + 1 + KT_REQUEST_ID_MAX
};

typedef struct kt_trace {
    char request_id[KT_REQUEST_ID_MAX + 1];
    char traceparent[KT_TRACEPARENT_SIZE + 1];
} kt_trace;

/* Empty texts: the client gave none. */
void kt_trace_init(kt_trace *trace, kt_rng *rng, kt_text request_id, kt_text traceparent);

/* As it travels. */
kt_text kt_trace_text(const kt_trace *trace, char room[KT_TRACE_TEXT_MAX + 1]);

#endif
