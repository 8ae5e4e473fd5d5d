/* net/url.h - the URLs that venues and requests use: scheme://host[:port][/path][?query], and percent-encoding.
 *
 * Refused   user names and passwords, fragments, control bytes, spaces and bytes above 0x7E (a host or path in another
 *           alphabet comes as punycode and percent-encoded), ports outside 1 to 65535, a query without a path.
 */
#ifndef KT_NET_URL_H
#define KT_NET_URL_H

#include "base/error.h"
#include "base/types.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    KT_URL_SIZE_MAX = 8192, /* the whole URL */
    KT_URL_HOST_MAX = 253,  /* a name in the domain name system */
};

typedef enum kt_url_scheme { KT_URL_HTTP, KT_URL_HTTPS, KT_URL_WS, KT_URL_WSS } kt_url_scheme;

typedef struct kt_url {
    kt_url_scheme scheme;
    kt_text host; /* without the brackets of an IPv6 address */
    bool host_is_ipv6;
    bool port_given; /* false: `port` is the scheme's own, 80 or 443 */
    uint16_t port;
    kt_text path;   /* starts with '/'; "/" when absent */
    kt_text query;  /* without '?'; empty when absent */
    kt_text target; /* path?query, as a request line has it */
} kt_url;

/* Views into `text`. KT_SYNTAX with a message that names the URL and the part. */
kt_code kt_url_parse(kt_text text, kt_url *out_url, kt_err *err);

/* Encode every byte but letters, digits and -._~ as %XX. Returns the size needed; writes, with a NUL, when that is less
 * than `size`. */
size_t kt_url_encode(char *to, size_t size, kt_text plain);

/* Decode %XX, and '+' as a space when `plus_is_space` (query strings). Writes at most text.n bytes to `to`, which may
 * be text.s itself. KT_SYNTAX: '%' without two hexadecimal digits, or %00. */
kt_code kt_url_decode(kt_text text, bool plus_is_space, char *to, size_t *out_size);

/* The first value of `name` in a query string a=1&b=2, still encoded. False: not there. An entry without '=' has an
 * empty value. `name` is compared with the encoded spelling. */
bool kt_url_query(kt_text query, kt_text name, kt_text *out_value);

/* Walk a query string: *at starts at 0. False at the end. Empty entries ("a=1&&b=2") are passed over. */
bool kt_url_query_next(kt_text query, size_t *at, kt_text *out_name, kt_text *out_value);

#endif
