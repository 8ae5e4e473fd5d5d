#include "net/http_parser.h"

#include "base/assert.h"
#include "net/url.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const method_names[KT_HTTP_METHOD_COUNT] = {
    [KT_HTTP_GET] = "GET",
    [KT_HTTP_HEAD] = "HEAD",
    [KT_HTTP_POST] = "POST",
    [KT_HTTP_PUT] = "PUT",
    [KT_HTTP_PATCH] = "PATCH",
    [KT_HTTP_DELETE] = "DELETE",
    [KT_HTTP_OPTIONS] = "OPTIONS",
    [KT_HTTP_TRACE] = "TRACE",
    [KT_HTTP_QUERY] = "QUERY",
};

const char *kt_http_method_name(kt_http_method method)
{
    return method_names[method];
}

const char *kt_http_status_text(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *text;
    } rows[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Unknown";
}

static kt_code refuse(kt_http_error *out_error, uint16_t status, const char *fmt, ...)
    __attribute__((cold, format(printf, 3, 4)));

static kt_code refuse(kt_http_error *out_error, uint16_t status, const char *fmt, ...)
{
    va_list args;

    out_error->status = status;
    va_start(args, fmt);
    vsnprintf(out_error->why, sizeof out_error->why, fmt, args);
    va_end(args);
    return KT_SYNTAX;
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

/* RFC 9110 5.6.2: the bytes of a method or a field name. */
static bool is_token_byte(uint8_t c)
{
    static const uint8_t table[128] = {
        ['!'] = 1,
        ['#'] = 1,
        ['$'] = 1,
        ['%'] = 1,
        ['&'] = 1,
        ['\''] = 1,
        ['*'] = 1,
        ['+'] = 1,
        ['-'] = 1,
        ['.'] = 1,
        ['^'] = 1,
        ['_'] = 1,
        ['`'] = 1,
        ['|'] = 1,
        ['~'] = 1,
        ['0' ... '9'] = 1,
        ['A' ... 'Z'] = 1,
        ['a' ... 'z'] = 1,
    };

    return c < 128 && table[c] != 0;
}

static bool is_token(kt_text text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_token_byte((uint8_t)text.s[i]))
            return false;
    return text.n > 0;
}

static bool is_value_byte(uint8_t c)
{
    return c == '\t' || (c >= ' ' && c != 0x7F);
}

static kt_text trim(kt_text text)
{
    while (text.n > 0 && (text.s[0] == ' ' || text.s[0] == '\t'))
        text = (kt_text){ text.s + 1, text.n - 1 };
    while (text.n > 0 && (text.s[text.n - 1] == ' ' || text.s[text.n - 1] == '\t'))
        text.n--;
    return text;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

bool kt_http_text_equal_nocase(kt_text a, kt_text b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.s[i]) != lower(b.s[i]))
            return false;
    return true;
}

bool kt_http_is_one_line(kt_text text)
{
    return text.n == 0 || (memchr(text.s, '\r', text.n) == NULL && memchr(text.s, '\n', text.n) == NULL);
}

/* --- fields ----------------------------------------------------------------------------------------------------- */

bool kt_http_field_get(const kt_http_field *fields, uint32_t count, kt_text name, kt_text *out_value)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!kt_http_text_equal_nocase(fields[i].name, name))
            continue;
        *out_value = fields[i].value;
        return true;
    }
    return false;
}

uint32_t kt_http_field_count(const kt_http_field *fields, uint32_t count, kt_text name)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        found += kt_http_text_equal_nocase(fields[i].name, name);
    return found;
}

static bool list_has_token(kt_text list, kt_text token)
{
    for (size_t at = 0; at <= list.n;) {
        const char *comma = at < list.n ? memchr(list.s + at, ',', list.n - at) : NULL;
        size_t end = comma != NULL ? (size_t)(comma - list.s) : list.n;
        if (kt_http_text_equal_nocase(trim((kt_text){ list.s + at, end - at }), token))
            return true;
        at = end + 1;
    }
    return false;
}

bool kt_http_field_has_token(const kt_http_field *fields, uint32_t count, kt_text name, kt_text token)
{
    for (uint32_t i = 0; i < count; i++)
        if (kt_http_text_equal_nocase(fields[i].name, name) && list_has_token(fields[i].value, token))
            return true;
    return false;
}

/* "Name: value" without its CRLF. Also for trailers, which are checked and dropped. */
static kt_code field_take(kt_text line, kt_http_field *out_field, kt_http_error *out_error)
{
    const char *colon = line.n > 0 ? memchr(line.s, ':', line.n) : NULL;

    if (line.s[0] == ' ' || line.s[0] == '\t')
        return refuse(out_error, 400, "header line begins with a blank; folded headers (obs-fold) are not accepted");
    if (colon == NULL)
        return refuse(out_error, 400, "header line without a colon");
    out_field->name = (kt_text){ line.s, (size_t)(colon - line.s) };
    if (!is_token(out_field->name))
        return refuse(out_error, 400, "header name is empty or has a byte that must not stand in it");
    for (const char *c = colon + 1; c < line.s + line.n; c++)
        if (!is_value_byte((uint8_t)*c))
            return refuse(out_error, 400, "header %.*s has a control byte in its value",
                (int)(out_field->name.n < 64 ? out_field->name.n : 64), out_field->name.s);
    out_field->value = trim((kt_text){ colon + 1, (size_t)(line.s + line.n - colon - 1) });
    return KT_OK;
}

/* --- the end of a head ------------------------------------------------------------------------------------------ */

/* Move `scan` over whole lines up to the empty one. Limits and line ends are judged byte by byte as it were, so the
 * verdict does not depend on how the bytes came. */
static kt_code head_scan(kt_http_scan *scan, kt_text data, kt_http_error *out_error)
{
    for (;;) {
        bool first = scan->line_count == (scan->skipped != 0 ? 1u : 0u);
        size_t line_max = first ? KT_HTTP_LINE_MAX : KT_HTTP_FIELD_MAX;
        size_t head_max = KT_HTTP_HEAD_MAX + scan->skipped;
        size_t limit = scan->line_start + line_max < head_max ? scan->line_start + line_max : head_max;
        size_t seen = data.n < limit ? data.n : limit;
        const char *end = seen > scan->at ? memchr(data.s + scan->at, '\n', seen - scan->at) : NULL;

        if (end == NULL) {
            scan->at = (uint32_t)seen;
            if (data.n < limit)
                return KT_EMPTY;
            if (first)
                return refuse(out_error, 414, "request line longer than %d bytes", KT_HTTP_LINE_MAX);
            if (limit == head_max)
                return refuse(out_error, 431, "request line and headers larger than %d bytes", KT_HTTP_HEAD_MAX);
            return refuse(out_error, 431, "header line longer than %d bytes", KT_HTTP_FIELD_MAX);
        }
        size_t at = (size_t)(end - data.s);
        if (at == scan->line_start || data.s[at - 1] != '\r')
            return refuse(out_error, 400, "line ends with a bare LF; HTTP lines end with CR LF");
        bool empty = at == scan->line_start + 1u;
        scan->at = scan->line_start = (uint32_t)at + 1;
        scan->line_count++;
        if (empty && first && scan->skipped == 0)
            scan->skipped = 2;
        else if (empty)
            return KT_OK;
        else if (scan->line_count > KT_HTTP_HEADERS_MAX + 1u + (scan->skipped != 0 ? 1u : 0u))
            return refuse(out_error, 431, "more than %d header lines", KT_HTTP_HEADERS_MAX);
    }
}

/* The next line of a head that head_scan has passed, without its CRLF. */
static kt_text line_take(kt_text data, size_t *at)
{
    const char *end = memchr(data.s + *at, '\n', data.n - *at);
    kt_text line = { data.s + *at, (size_t)(end - data.s) - 1 - *at };

    *at += line.n + 2;
    return line;
}

static kt_code fields_take(
    kt_text head, size_t at, kt_http_field *fields, uint32_t *out_count, kt_http_error *out_error)
{
    kt_code code = KT_OK;
    uint32_t count = 0;

    for (kt_text line; code == KT_OK && (line = line_take(head, &at), line.n > 0); count++) {
        kt_assert(count < KT_HTTP_HEADERS_MAX);
        code = field_take(line, &fields[count], out_error);
    }
    *out_count = count;
    return code;
}

/* --- request line ----------------------------------------------------------------------------------------------- */

static kt_code version_take(kt_text text, uint8_t *out_minor, kt_http_error *out_error)
{
    if (text.n != 8 || !kt_text_starts(text, KT_TEXT("HTTP/")) || text.s[5] < '0' || text.s[5] > '9' ||
        text.s[6] != '.' || text.s[7] < '0' || text.s[7] > '9')
        return refuse(out_error, 400, "request line must read: method, space, target, space, HTTP/1.1");
    if (text.s[5] != '1' || text.s[7] > '1')
        return refuse(out_error, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    *out_minor = (uint8_t)(text.s[7] - '0');
    return KT_OK;
}

static kt_code method_take(kt_text text, kt_http_method *out_method, kt_http_error *out_error)
{
    if (!is_token(text))
        return refuse(out_error, 400, "method has a byte that must not stand in it");
    for (int method = 0; method < KT_HTTP_METHOD_COUNT; method++) {
        if (!kt_text_equal(text, kt_text_of(method_names[method])))
            continue;
        *out_method = (kt_http_method)method;
        return KT_OK;
    }
    return refuse(
        out_error, 501, "method not known; GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE and QUERY are");
}

static kt_code target_take(kt_text target, kt_http_request *request, kt_http_error *out_error)
{
    kt_url url;

    if (target.n > KT_HTTP_TARGET_MAX)
        return refuse(out_error, 414, "request target longer than %d bytes", KT_HTTP_TARGET_MAX);
    for (size_t i = 0; i < target.n; i++)
        if (target.s[i] <= ' ' || target.s[i] > '~' || target.s[i] == '#')
            return refuse(out_error, 400, "request target has a byte that must be percent-encoded");
    request->target = target;
    if (target.n > 0 && target.s[0] == '/') {
        const char *mark = memchr(target.s, '?', target.n);
        request->path = (kt_text){ target.s, mark != NULL ? (size_t)(mark - target.s) : target.n };
        if (mark != NULL)
            request->query = (kt_text){ mark + 1, target.n - request->path.n - 1 };
        return KT_OK;
    }
    if (kt_text_equal(target, KT_TEXT("*")) && request->method == KT_HTTP_OPTIONS) {
        request->path = target;
        return KT_OK;
    }
    if (!kt_text_starts(target, KT_TEXT("http://")) || kt_url_parse(target, &url, NULL) != KT_OK)
        return refuse(out_error, 400, "request target must begin with '/'");
    request->path = url.path;
    request->query = url.query;
    return KT_OK;
}

static kt_code request_line_take(kt_text line, kt_http_request *request, kt_http_error *out_error)
{
    const char *first = memchr(line.s, ' ', line.n);
    const char *second = first != NULL ? memchr(first + 1, ' ', (size_t)(line.s + line.n - first - 1)) : NULL;
    kt_code code = KT_OK;

    if (second == NULL)
        return refuse(out_error, 400, "request line must read: method, space, target, space, HTTP/1.1");
    code = method_take((kt_text){ line.s, (size_t)(first - line.s) }, &request->method, out_error);
    if (code == KT_OK)
        code =
            version_take((kt_text){ second + 1, (size_t)(line.s + line.n - second - 1) }, &request->minor, out_error);
    if (code == KT_OK)
        code = target_take((kt_text){ first + 1, (size_t)(second - first - 1) }, request, out_error);
    return code;
}

/* --- what the headers mean -------------------------------------------------------------------------------------- */

static kt_code host_check(kt_http_request *request, kt_http_error *out_error)
{
    uint32_t count = kt_http_field_count(request->fields, request->field_count, KT_TEXT("Host"));

    if (count > 1 || (count == 0 && request->minor == 1))
        return refuse(out_error, 400, "a request has exactly one Host header");
    (void)kt_http_field_get(request->fields, request->field_count, KT_TEXT("Host"), &request->host);
    for (size_t i = 0; i < request->host.n; i++)
        if (request->host.s[i] <= ' ' || strchr("/?#@\\,\"<>{}|^`", request->host.s[i]) != NULL)
            return refuse(out_error, 400, "Host has a byte that must not stand in it");
    return KT_OK;
}

static kt_code length_check(kt_http_request *request, kt_http_error *out_error)
{
    uint32_t lengths = kt_http_field_count(request->fields, request->field_count, KT_TEXT("Content-Length"));
    uint32_t codings = kt_http_field_count(request->fields, request->field_count, KT_TEXT("Transfer-Encoding"));
    kt_text value = { 0 };

    if (lengths > 0 && codings > 0)
        return refuse(out_error, 400, "both Content-Length and Transfer-Encoding: the end of the body is ambiguous");
    if (lengths > 1 || codings > 1)
        return refuse(out_error, 400, "the length of the body is given more than once");
    if (kt_http_field_get(request->fields, request->field_count, KT_TEXT("Transfer-Encoding"), &value)) {
        if (request->minor == 0)
            return refuse(out_error, 400, "HTTP/1.0 has no Transfer-Encoding");
        if (!kt_http_text_equal_nocase(value, KT_TEXT("chunked")))
            return refuse(out_error, 501, "the only Transfer-Encoding known here is 'chunked'");
        request->chunked = true;
    }
    if (!kt_http_field_get(request->fields, request->field_count, KT_TEXT("Content-Length"), &value))
        return KT_OK;
    for (size_t i = 0; i < value.n; i++)
        if (value.s[i] < '0' || value.s[i] > '9')
            return refuse(out_error, 400, "Content-Length must be digits only");
    if (value.n == 0)
        return refuse(out_error, 400, "Content-Length is empty");
    if (value.n > 18)
        return refuse(out_error, 413, "Content-Length has more than 18 digits");
    for (size_t i = 0; i < value.n; i++)
        request->content_length = request->content_length * 10 + (uint64_t)(value.s[i] - '0');
    return KT_OK;
}

static kt_code connection_check(kt_http_request *request, kt_http_error *out_error)
{
    const kt_http_field *fields = request->fields;
    uint32_t count = request->field_count;
    kt_text value = { 0 };
    bool close = kt_http_field_has_token(fields, count, KT_TEXT("Connection"), KT_TEXT("close"));

    request->keep_alive = !close && (request->minor == 1 || kt_http_field_has_token(fields, count,
                                                                KT_TEXT("Connection"), KT_TEXT("keep-alive")));
    request->upgrade = request->minor == 1 && kt_http_field_get(fields, count, KT_TEXT("Upgrade"), &value) &&
                       kt_http_field_has_token(fields, count, KT_TEXT("Connection"), KT_TEXT("upgrade"));
    if (kt_http_field_get(fields, count, KT_TEXT("Expect"), &value) && request->minor == 1) {
        if (!kt_http_text_equal_nocase(value, KT_TEXT("100-continue")))
            return refuse(out_error, 417, "the only expectation known is '100-continue'");
        request->expect_continue = true;
    }
    return KT_OK;
}

kt_code kt_http_parse_request(
    kt_http_scan *scan, kt_text data, kt_http_request *out_request, size_t *out_used, kt_http_error *out_error)
{
    kt_code code = head_scan(scan, data, out_error);
    kt_text head = { data.s, scan->at };
    size_t at = scan->skipped;

    if (code != KT_OK)
        return code;
    /* Only what is read before it is written is cleared: the array of fields is 2 KiB. */
    memset(out_request, 0, offsetof(kt_http_request, fields));
    out_request->body = (kt_text){ 0 };
    kt_text line = line_take(head, &at);
    if (line.n == 0)
        return refuse(out_error, 400, "more than one empty line before the request");
    code = request_line_take(line, out_request, out_error);
    if (code == KT_OK)
        code = fields_take(head, at, out_request->fields, &out_request->field_count, out_error);
    if (code == KT_OK)
        code = host_check(out_request, out_error);
    if (code == KT_OK)
        code = length_check(out_request, out_error);
    if (code == KT_OK)
        code = connection_check(out_request, out_error);
    if (code == KT_OK)
        *out_used = scan->at;
    return code;
}

kt_code kt_http_parse_response(
    kt_http_scan *scan, kt_text data, kt_http_response_head *out_head, size_t *out_used, kt_http_error *out_error)
{
    kt_code code = head_scan(scan, data, out_error);
    kt_text head = { data.s, scan->at };
    size_t at = 0;

    if (code != KT_OK)
        return code;
    kt_text line = line_take(head, &at);
    if (line.n < 12 || !kt_text_starts(line, KT_TEXT("HTTP/1.")) || line.s[7] < '0' || line.s[7] > '9' ||
        line.s[8] != ' ' || (line.n > 12 && line.s[12] != ' '))
        return refuse(out_error, 400, "answer does not begin with HTTP/1.1 and a status");
    out_head->status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.s[i] < '0' || line.s[i] > '9')
            return refuse(out_error, 400, "status is not a number of three digits");
        out_head->status = (uint16_t)(out_head->status * 10 + (line.s[i] - '0'));
    }
    code = fields_take(head, at, out_head->fields, &out_head->field_count, out_error);
    if (code == KT_OK)
        *out_used = scan->at;
    return code;
}

/* --- chunked bodies --------------------------------------------------------------------------------------------- */

enum {
    CHUNK_SIZE,      /* hexadecimal digits */
    CHUNK_EXTENSION, /* behind ';' up to CR */
    CHUNK_SIZE_LF,   /* the LF of the size line */
    CHUNK_DATA,      /* `left` bytes */
    CHUNK_DATA_CR,   /* CRLF behind the data */
    CHUNK_DATA_LF,
    TRAILER_START, /* begin of a trailer line, or CR of the last empty one */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_END_LF, /* LF of the last empty line */
};

enum { CHUNK_DIGITS_MAX = 8 };

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static kt_code size_line_byte(kt_http_chunked *chunked, uint8_t c, kt_http_error *out_error)
{
    int digit = hex_value(c);

    if (++chunked->line_size > KT_HTTP_CHUNK_LINE_MAX)
        return refuse(out_error, 400, "size line of a chunk longer than %d bytes", KT_HTTP_CHUNK_LINE_MAX);
    if (chunked->state == CHUNK_SIZE && digit >= 0) {
        if (++chunked->digits > CHUNK_DIGITS_MAX)
            return refuse(out_error, 413, "chunk size has more than %d digits", CHUNK_DIGITS_MAX);
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        return KT_OK;
    }
    if (chunked->digits == 0)
        return refuse(out_error, 400, "chunk without a size");
    if (c == '\r') {
        chunked->state = CHUNK_SIZE_LF;
        return KT_OK;
    }
    if (chunked->state == CHUNK_SIZE && c == ';') {
        chunked->state = CHUNK_EXTENSION;
        return KT_OK;
    }
    if (chunked->state == CHUNK_SIZE || !is_value_byte(c))
        return refuse(out_error, 400, "chunk size has a byte that must not stand in it");
    return KT_OK;
}

static kt_code trailer_byte(kt_http_chunked *chunked, uint8_t c, kt_http_error *out_error)
{
    if (++chunked->trailer_size > KT_HTTP_TRAILER_MAX)
        return refuse(out_error, 431, "trailers larger than %d bytes", KT_HTTP_TRAILER_MAX);
    switch (chunked->state) {
    case TRAILER_START:
        if (c == '\r') {
            chunked->state = TRAILER_END_LF;
            return KT_OK;
        }
        chunked->state = TRAILER_NAME;
        return is_token_byte(c) ? KT_OK : refuse(out_error, 400, "trailer name has a byte that must not stand in it");
    case TRAILER_NAME:
        if (c == ':') {
            chunked->state = TRAILER_VALUE;
            return KT_OK;
        }
        return is_token_byte(c) ? KT_OK : refuse(out_error, 400, "trailer name has a byte that must not stand in it");
    case TRAILER_VALUE:
        if (c == '\r') {
            chunked->state = TRAILER_LF;
            return KT_OK;
        }
        return is_value_byte(c) ? KT_OK : refuse(out_error, 400, "trailer has a control byte in its value");
    default:
        if (c != '\n')
            return refuse(out_error, 400, "trailer line ends with a bare CR");
        chunked->done = chunked->state == TRAILER_END_LF;
        chunked->state = TRAILER_START;
        return KT_OK;
    }
}

static kt_code frame_byte(kt_http_chunked *chunked, uint8_t c, kt_http_error *out_error)
{
    switch (chunked->state) {
    case CHUNK_SIZE:
    case CHUNK_EXTENSION:
        return size_line_byte(chunked, c, out_error);
    case CHUNK_SIZE_LF:
        if (c != '\n')
            return refuse(out_error, 400, "size line of a chunk ends with a bare CR");
        chunked->state = chunked->left > 0 ? CHUNK_DATA : TRAILER_START;
        chunked->line_size = chunked->digits = 0;
        return KT_OK;
    case CHUNK_DATA_CR:
    case CHUNK_DATA_LF:
        if (c != (chunked->state == CHUNK_DATA_CR ? '\r' : '\n'))
            return refuse(out_error, 400, "chunk is longer than its size says");
        chunked->state = chunked->state == CHUNK_DATA_CR ? CHUNK_DATA_LF : CHUNK_SIZE;
        return KT_OK;
    default:
        return trailer_byte(chunked, c, out_error);
    }
}

kt_code kt_http_chunked_decode(
    kt_http_chunked *chunked, uint8_t *data, size_t size, size_t *out_size, size_t *out_used, kt_http_error *out_error)
{
    kt_code code = KT_OK;
    size_t used = 0, body = 0;

    while (code == KT_OK && !chunked->done && used < size) {
        if (chunked->state != CHUNK_DATA) {
            code = frame_byte(chunked, data[used++], out_error);
            continue;
        }
        size_t take = chunked->left < size - used ? (size_t)chunked->left : size - used;
        memmove(data + body, data + used, take);
        body += take;
        used += take;
        chunked->left -= take;
        if (chunked->left == 0)
            chunked->state = CHUNK_DATA_CR;
    }
    *out_size = body;
    *out_used = used;
    if (code == KT_OK && !chunked->done)
        code = KT_EMPTY;
    return code;
}
