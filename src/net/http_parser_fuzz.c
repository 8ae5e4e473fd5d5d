/* Properties: a request that grows byte by byte gets the same verdict as the whole; what is accepted lies inside the
 * input; a chunked body decoded in pieces is the body decoded at once. The first byte of the input chooses the size of
 * the pieces. */
#include "base/assert.h"
#include "net/http_parser.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(kt_text part, kt_text whole)
{
    return part.n == 0 || (part.s >= whole.s && part.s + part.n <= whole.s + whole.n);
}

static void check_request(kt_text data, size_t step)
{
    static kt_http_request request, growing;
    kt_http_scan scan = { 0 }, growing_scan = { 0 };
    kt_http_error error = { 0 }, growing_error = { 0 };
    size_t used = 0, growing_used = 0;
    kt_code code = kt_http_parse_request(&scan, data, &request, &used, &error);
    kt_code growing_code = KT_EMPTY;

    for (size_t have = 0; have < data.n && growing_code == KT_EMPTY;) {
        have = have + step < data.n ? have + step : data.n;
        kt_text part = { data.s, have };
        growing_code = kt_http_parse_request(&growing_scan, part, &growing, &growing_used, &growing_error);
    }
    kt_assert(code == growing_code);
    kt_assert(error.status == growing_error.status);
    kt_assert(strcmp(error.why, growing_error.why) == 0);
    kt_assert(used == growing_used);
    if (code != KT_OK)
        return;
    kt_assert(used <= data.n && used <= KT_HTTP_HEAD_MAX + 2);
    kt_assert(request.field_count == growing.field_count);
    kt_assert(request.field_count <= KT_HTTP_HEADERS_MAX);
    kt_assert(is_inside(request.target, data) && is_inside(request.query, data) && is_inside(request.host, data));
    /* "http://host" has the path that it leaves out. */
    kt_assert(is_inside(request.path, data) || kt_text_equal(request.path, KT_TEXT("/")));
    kt_assert(!(request.chunked && request.content_length > 0));
    for (uint32_t i = 0; i < request.field_count; i++) {
        kt_assert(is_inside(request.fields[i].name, data) && is_inside(request.fields[i].value, data));
        kt_assert(request.fields[i].name.n > 0);
        kt_assert(kt_text_equal(request.fields[i].value, growing.fields[i].value));
    }
}

static void check_chunks(kt_text data, size_t step)
{
    uint8_t *whole = malloc(data.n + 1), *split = malloc(data.n + 1);
    kt_http_chunked chunked = { 0 }, split_chunked = { 0 };
    kt_http_error error = { 0 }, split_error = { 0 };
    size_t size = 0, used = 0, split_size = 0, split_used = 0;
    kt_code split_code = KT_EMPTY;

    kt_assert(whole != NULL && split != NULL);
    if (data.n > 0)
        memcpy(whole, data.s, data.n);
    kt_code code = kt_http_chunked_decode(&chunked, whole, data.n, &size, &used, &error);
    while (split_code == KT_EMPTY && split_used < data.n) {
        size_t piece = step < data.n - split_used ? step : data.n - split_used, got = 0, taken = 0;
        memcpy(split + split_size, data.s + split_used, piece);
        split_code = kt_http_chunked_decode(&split_chunked, split + split_size, piece, &got, &taken, &split_error);
        split_size += got;
        split_used += taken;
    }
    kt_assert(code == split_code);
    kt_assert(error.status == split_error.status);
    kt_assert(used == split_used);
    kt_assert(size == split_size && size <= data.n);
    kt_assert(size == 0 || memcmp(whole, split, size) == 0);
    free(whole);
    free(split);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kt_http_response_head head;
    kt_http_scan scan = { 0 };
    kt_http_error error;
    size_t used = 0;

    if (size == 0)
        return 0;
    size_t step = 1 + data[0] % 32;
    kt_text text = { (const char *)data + 1, size - 1 };
    check_request(text, step);
    check_chunks(text, step);
    if (kt_http_parse_response(&scan, text, &head, &used, &error) == KT_OK)
        kt_assert(used <= text.n && head.field_count <= KT_HTTP_HEADERS_MAX);
    return 0;
}
