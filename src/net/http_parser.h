/* net/http_parser.h - strict HTTP/1.1 heads and chunked bodies. Pure: bytes in, request out; no I/O, no allocation.
 *
 * Strict    RFC 9112 without its tolerances, because each of them is a way to make two parsers disagree about where a
 *           request ends: lines end with CRLF (no bare LF, no bare CR), no line folding, no space before a colon,
 *           exactly one Host in HTTP/1.1, Content-Length once and in digits only, never together with
 *           Transfer-Encoding, whose only value is "chunked". The one kindness: a single empty line before a request
 *           line is skipped.
 * Answers   An error carries the status to answer with and a sentence for the body: 400 malformed or ambiguous, 414
 *           target too long, 417 unknown expectation, 431 header fields too large or too many, 501 method or coding
 *           not known, 505 not HTTP/1.0 or 1.1.
 * Splits    The result is the same however the bytes are cut up on their way, and errors are found as early as they
 *           can be: a line that is too long is refused before its end has come.
 */
#ifndef KT_NET_HTTP_PARSER_H
#define KT_NET_HTTP_PARSER_H

#include "base/error.h"
#include "base/types.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    KT_HTTP_TARGET_MAX = 8192,    /* request target: 414 above */
    KT_HTTP_LINE_MAX = 8192 + 32, /* request line; a header line has KT_HTTP_FIELD_MAX */
    KT_HTTP_FIELD_MAX = 8192,     /* one header line: 431 above */
    KT_HTTP_HEAD_MAX = 16384,     /* request line and all headers: 431 above */
    KT_HTTP_HEADERS_MAX = 64,     /* header lines: 431 above */
    KT_HTTP_CHUNK_LINE_MAX = 256, /* size line of a chunk, extensions included: 400 above */
    KT_HTTP_TRAILER_MAX = 4096,   /* trailer lines in all: 431 above */
};

typedef enum kt_http_method {
    KT_HTTP_GET,
    KT_HTTP_HEAD,
    KT_HTTP_POST,
    KT_HTTP_PUT,
    KT_HTTP_PATCH,
    KT_HTTP_DELETE,
    KT_HTTP_OPTIONS,
    KT_HTTP_TRACE, /* these two are known, so that they are refused as 405: nobody answers them */
    KT_HTTP_QUERY,
    KT_HTTP_METHOD_COUNT
} kt_http_method;

typedef struct kt_http_field {
    kt_text name;  /* as sent; compare without regard to case */
    kt_text value; /* without surrounding spaces */
} kt_http_field;

typedef struct kt_http_request {
    kt_http_method method;
    kt_text target; /* as sent */
    kt_text path;   /* up to '?', still percent-encoded; "*" for OPTIONS * */
    kt_text query;  /* after '?', still percent-encoded; empty when absent */
    kt_text host;
    uint8_t minor; /* HTTP/1.minor */
    bool keep_alive;
    bool upgrade;         /* Connection: upgrade, with an Upgrade header */
    bool chunked;         /* body follows in chunks */
    bool expect_continue; /* client waits for 100 before it sends the body */
    uint64_t content_length;
    uint32_t field_count;
    kt_http_field fields[KT_HTTP_HEADERS_MAX];
    kt_text body; /* whole, decoded; filled by the server */
} kt_http_request;

typedef struct kt_http_response_head {
    uint16_t status;
    uint32_t field_count;
    kt_http_field fields[KT_HTTP_HEADERS_MAX];
} kt_http_response_head;

/* Where the search for the end of a head stands, so that a head that drips in is still read once. Zeros to begin with.
 * */
typedef struct kt_http_scan {
    uint32_t at; /* bytes seen */
    uint32_t line_start;
    uint32_t line_count; /* whole lines seen, the empty one before the request included */
    uint32_t skipped;    /* 2 when an empty line came before the request */
} kt_http_scan;

typedef struct kt_http_error {
    uint16_t status;
    char why[160]; /* one sentence for the answer's body */
} kt_http_error;

/* Parse the request head at the start of `data`: all bytes since the end of the request before. KT_EMPTY: more bytes
 * are needed; call again with these and more, and the same `scan`. KT_OK: *out_request points into `data` and
 * *out_used is the size of the head. KT_SYNTAX: *out_error says what to answer; the connection must then be closed. */
kt_code kt_http_parse_request(
    kt_http_scan *scan, kt_text data, kt_http_request *out_request, size_t *out_used, kt_http_error *out_error);

/* The same for the head of an answer, as far as a WebSocket client needs it. */
kt_code kt_http_parse_response(
    kt_http_scan *scan, kt_text data, kt_http_response_head *out_head, size_t *out_used, kt_http_error *out_error);

/* Value of the first field of this name; false: not there. */
bool kt_http_field_get(const kt_http_field *fields, uint32_t count, kt_text name, kt_text *out_value);
uint32_t kt_http_field_count(const kt_http_field *fields, uint32_t count, kt_text name);

/* Is `token` in the comma-separated lists of all fields of this name? Without regard to case. */
bool kt_http_field_has_token(const kt_http_field *fields, uint32_t count, kt_text name, kt_text token);

bool kt_http_text_equal_nocase(kt_text a, kt_text b);

/* No CR and no LF: may stand in a header that we send. */
bool kt_http_is_one_line(kt_text text);

/* Chunked body, decoded in place as it comes. Zeros to begin with. */
typedef struct kt_http_chunked {
    uint64_t left;      /* bytes of the current chunk still to come */
    uint32_t line_size; /* bytes of the current size line */
    uint32_t trailer_size;
    uint8_t state;
    uint8_t digits;
    bool done;
} kt_http_chunked;

/* Take `size` bytes at `data`. The body bytes among them are moved to the front of `data`: *out_size of them; *out_used
 * bytes were taken. KT_OK: the body is complete, and what is after *out_used belongs to the next request. KT_EMPTY:
 * everything was taken, more is needed. KT_SYNTAX: *out_error. The sum of the chunks is the caller's to bound. */
kt_code kt_http_chunked_decode(
    kt_http_chunked *chunked, uint8_t *data, size_t size, size_t *out_size, size_t *out_used, kt_http_error *out_error);

const char *kt_http_method_name(kt_http_method method);
const char *kt_http_status_text(uint16_t status); /* "Bad Request"; "Unknown" for a status we do not know */

#endif
