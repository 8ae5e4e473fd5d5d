/* edge/rest.h - answers HTTP: /health, /latest, /historical and the page; hands /ws to the hub.
 *
 * Shapes    those of the original API: numbers and times as strings, `price` in one and `vwap` in the other. Errors are
 *           {"statusCode":404,"error":"Not Found","message":"..."}, and the message says what there is instead.
 * Methods   GET and HEAD; OPTIONS says so; others get 405 with Allow. Any origin may read (CORS).
 * Slow      /historical asks another lane; after KT_EDGE_ASK_MS without an answer it is 503, and a late answer is
 *           dropped.
 */
#ifndef KT_EDGE_REST_H
#define KT_EDGE_REST_H

#include "edge/edge.h"
#include "edge/hub.h"
#include "edge/latest.h"

typedef struct kt_rest kt_rest;

typedef struct kt_rest_options {
    kt_loop *loop;
    const kt_config *config;
    kt_hub *hub;
    const kt_latest *latest;
    kt_edge_ask ask; /* NULL: /historical is 503 */
    void *ask_ctx;
} kt_rest_options;

/* NULL: no memory. Everything in the options is borrowed and outlives it. */
kt_rest *kt_rest_new(const kt_rest_options *options);
void kt_rest_free(kt_rest *rest); /* open questions are forgotten; the HTTP server is closed before */

/* on_request of the HTTP server; ctx is the kt_rest. */
void kt_rest_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request);

/* As kt_edge_answer. */
void kt_rest_answer(kt_rest *rest, uint64_t ask_id, kt_code code, kt_text body);

#endif
