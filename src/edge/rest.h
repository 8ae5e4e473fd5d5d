/* edge/rest.h - answers HTTP: the actions, their documents, the page; hands /ws to the hub.
 *
 * Actions   /v1/... and the paths that were there before (schema/actions.h): GET with a query, POST with a JSON object.
 *           Numbers and times of answers are strings where the schema says so.
 * Errors    {"statusCode":404,"error":"Not Found","code":"not_found","field":"ticker","message":"..."}: the message says
 *           what was wrong, and what there is or what is allowed instead; `field` only where one is to blame.
 * Headers   of a call: X-Request-Id and traceparent (trace.h), taken and told; X-Deadline: ISO 8601 or ms since 1970.
 * Methods   GET (and HEAD) or POST, as the path says; OPTIONS says so; others get 405 with Allow. Any origin may read.
 */
#ifndef KT_EDGE_REST_H
#define KT_EDGE_REST_H

#include "edge/metrics.h"
#include "edge/call.h"
#include "edge/hub.h"

enum {
    KT_REST_BODY_MAX = 131072, /* bytes of a POST's body */
    KT_REST_NODE_MAX = 8192    /* JSON values in it */
};

typedef struct kt_rest kt_rest;

typedef struct kt_rest_options {
    kt_hub *hub;
    kt_calls *calls;
    const char *host; /* where clients find it, "127.0.0.1:3000"; not kept */
    bool tls;         /* it speaks TLS there */
    kt_metrics *metrics;
} kt_rest_options;

/* NULL: no memory. Everything in the options is borrowed and outlives it. */
kt_rest *kt_rest_new(const kt_rest_options *options);
void kt_rest_free(kt_rest *rest); /* the HTTP server is closed before */

/* on_request of the HTTP server; ctx is the kt_rest. */
void kt_rest_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request);

#endif
