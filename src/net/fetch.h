/* net/fetch.h - outgoing HTTP requests that are not hot, through libcurl's multi interface on the loop.
 *
 * Bounds    Each request has a time limit and a maximum size of its answer; one fetcher has at most fetch_max requests
 *           open and conn_max connections, which are kept alive and used again. Redirects are not followed: venues'
 *           APIs have none, and one would carry keys elsewhere.
 * Made up  Where the loop's network is a simulator's (net/net.h), that carries requests out, and the bounds are its own.
 * TLS       https works through libcurl, TLS 1.2 or newer, with names checked against the system's authorities or those
 *           of ca_file. The program must ignore SIGPIPE, which libcurl's writes may raise.
 */
#ifndef KT_NET_FETCH_H
#define KT_NET_FETCH_H

#include "net/http_parser.h"
#include "net/loop.h"

enum {
    KT_FETCH_MAX_DEFAULT = 64,
    KT_FETCH_CONN_MAX_DEFAULT = 16,
    KT_FETCH_TIME_DEFAULT_MS = 10000,
    KT_FETCH_ANSWER_MAX_DEFAULT = 16 << 20,
    KT_FETCH_HEADER_SIZE_MAX = 128, /* of each header value kept; longer ones are cut */
};

typedef struct kt_fetcher kt_fetcher;

typedef struct kt_fetcher_options {
    uint32_t fetch_max; /* 0: the default */
    uint32_t conn_max;  /* 0: the default; to all hosts together */
    const char *user_agent;
    const char *ca_file; /* PEM file of the authorities to trust, copied; NULL or empty: the system's */
} kt_fetcher_options;

kt_code kt_fetcher_new(kt_loop *loop, const kt_fetcher_options *options, kt_fetcher **out_fetcher, kt_err *err);

/* Open requests end without a callback. Not inside on_done. */
void kt_fetcher_free(kt_fetcher *fetcher);

typedef struct kt_fetch_answer {
    kt_code code;      /* KT_OK: an HTTP answer of whatever status has come whole. KT_TIMEOUT, KT_LIMIT (larger than
                          answer_max), KT_SYS (no connection, broken off), KT_ARG (libcurl refuses the URL) */
    const char *error; /* a sentence that names the host when code is not KT_OK; else "" */
    uint16_t status;   /* 0 while none came */
    const char *content_type; /* "" when absent */
    const char *retry_after;  /* as sent, seconds or a date; "" when absent */
    kt_text body;             /* good until on_done returns */
} kt_fetch_answer;

typedef struct kt_fetch_spec {
    kt_http_method method;
    const char *url;             /* http:// or https:// */
    const kt_http_field *fields; /* request headers, copied */
    uint32_t field_count;
    kt_text body;        /* copied */
    uint32_t time_ms;    /* 0: KT_FETCH_TIME_DEFAULT_MS; from now to the last byte */
    uint32_t answer_max; /* 0: KT_FETCH_ANSWER_MAX_DEFAULT; bytes of the body */
    void (*on_done)(
        void *ctx, const kt_fetch_answer *answer); /* exactly once, from the loop, never inside kt_fetch_start */
    void *ctx;
} kt_fetch_spec;

/* KT_SYNTAX: not an http or https URL. KT_FULL: fetch_max are open. KT_ARG: CR or LF in a header. *out_id (may be NULL)
 * names the request for kt_fetch_cancel and is never used twice. */
kt_code kt_fetch_start(kt_fetcher *fetcher, const kt_fetch_spec *spec, uint64_t *out_id, kt_err *err);

/* End it without a callback. Harmless when done already. */
void kt_fetch_cancel(kt_fetcher *fetcher, uint64_t id);

uint32_t kt_fetcher_open_count(const kt_fetcher *fetcher);

#endif
