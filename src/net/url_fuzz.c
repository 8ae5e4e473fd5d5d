/* Properties: the parts of an accepted URL, put together again, are the same URL to the parser; decode(encode(x)) is
 * x; what can be decoded is never longer than it was; walking a query string ends, and its parts lie inside it. */
#include "base/assert.h"
#include "net/url.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(kt_text text)
{
    static const char *const names[] = { "http", "https", "ws", "wss" };
    static char again[KT_URL_SIZE_MAX + 64];
    kt_url url, second;

    if (kt_url_parse(text, &url, NULL) != KT_OK)
        return;
    int n = snprintf(again, sizeof again, "%s://%s%.*s%s:%u%.*s", names[url.scheme], url.host_is_ipv6 ? "[" : "",
        KT_TEXT_ARG(url.host), url.host_is_ipv6 ? "]" : "", url.port, KT_TEXT_ARG(url.target));
    if (n > KT_URL_SIZE_MAX)
        return; /* the port now written out was one byte too many */
    kt_assert(kt_url_parse(kt_text_of(again), &second, NULL) == KT_OK);
    kt_assert(second.scheme == url.scheme);
    kt_assert(second.port == url.port);
    kt_assert(kt_text_equal(second.host, url.host));
    kt_assert(kt_text_equal(second.path, url.path));
    kt_assert(kt_text_equal(second.query, url.query));
}

static void check_encoding(kt_text text)
{
    size_t need = kt_url_encode(NULL, 0, text), size = 0;
    char *encoded = malloc(need + 1), *decoded = malloc(need + 1);

    kt_assert(encoded != NULL && decoded != NULL);
    kt_assert(kt_url_encode(encoded, need + 1, text) == need);
    bool has_zero = text.n > 0 && memchr(text.s, 0, text.n) != NULL;
    kt_code code = kt_url_decode((kt_text){ encoded, need }, true, decoded, &size);
    kt_assert((code == KT_OK) == !has_zero); /* %00 is refused */
    if (code == KT_OK)
        kt_assert(kt_text_equal((kt_text){ decoded, size }, text));
    free(encoded);
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_text text = { (const char *)data, size };
    kt_text name, value;
    char *plain = malloc(size + 1);
    size_t plain_size = 0;

    kt_assert(plain != NULL);
    check_url(text);
    check_encoding(text);
    if (kt_url_decode(text, false, plain, &plain_size) == KT_OK)
        kt_assert(plain_size <= size);
    for (size_t at = 0, before = 0; kt_url_query_next(text, &at, &name, &value); before = at) {
        kt_assert(at > before);
        kt_assert(name.n + value.n <= size);
        kt_assert(memchr(name.s, '&', name.n) == NULL);
    }
    free(plain);
    return 0;
}
