#include "net/url.h"

#include <string.h>

static const struct {
    kt_text text;
    kt_url_scheme scheme;
    uint16_t port;
} schemes[] = {
    { { "http://", 7 }, KT_URL_HTTP, 80 },
    { { "https://", 8 }, KT_URL_HTTPS, 443 },
    { { "ws://", 5 }, KT_URL_WS, 80 },
    { { "wss://", 6 }, KT_URL_WSS, 443 },
};

static kt_text text_from(kt_text text, size_t at)
{
    return (kt_text){ text.s + at, text.n - at };
}

static kt_text text_until(kt_text text, size_t end)
{
    return (kt_text){ text.s, end };
}

static size_t text_find(kt_text text, char byte)
{
    const char *found = text.n > 0 ? memchr(text.s, byte, text.n) : NULL;

    return found != NULL ? (size_t)(found - text.s) : text.n;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static bool is_ipv6_byte(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' || c == '.';
}

static bool host_take(kt_text *rest, kt_url *url)
{
    size_t size = 0;

    url->host_is_ipv6 = rest->n > 0 && rest->s[0] == '[';
    if (url->host_is_ipv6) {
        size = text_find(*rest, ']');
        if (size == rest->n)
            return false;
        url->host = text_from(text_until(*rest, size), 1);
        *rest = text_from(*rest, size + 1);
    } else {
        while (size < rest->n && is_unreserved(rest->s[size]))
            size++;
        url->host = text_until(*rest, size);
        *rest = text_from(*rest, size);
    }
    for (size_t i = 0; url->host_is_ipv6 && i < url->host.n; i++)
        if (!is_ipv6_byte(url->host.s[i]))
            return false;
    return url->host.n > 0 && url->host.n <= KT_URL_HOST_MAX &&
           (rest->n == 0 || rest->s[0] == ':' || rest->s[0] == '/');
}

static bool port_take(kt_text *rest, kt_url *url)
{
    uint32_t port = 0;
    size_t size = 1;

    if (rest->n == 0 || rest->s[0] != ':')
        return true;
    for (; size < rest->n && size <= 5 && rest->s[size] >= '0' && rest->s[size] <= '9'; size++)
        port = port * 10 + (uint32_t)(rest->s[size] - '0');
    if (port < 1 || port > 65535 || (size < rest->n && rest->s[size] != '/'))
        return false;
    url->port = (uint16_t)port;
    url->port_given = true;
    *rest = text_from(*rest, size);
    return true;
}

kt_code kt_url_parse(kt_text text, kt_url *out_url, kt_err *err)
{
    kt_url url = { 0 };
    kt_text rest = { 0 };
    const char *fault = NULL;
    int shown = text.n < 100 ? (int)text.n : 100;

    for (size_t i = 0; i < KT_COUNT(schemes) && rest.s == NULL; i++) {
        if (!kt_text_starts(text, schemes[i].text))
            continue;
        rest = text_from(text, schemes[i].text.n);
        url.scheme = schemes[i].scheme;
        url.port = schemes[i].port;
    }
    if (text.n > KT_URL_SIZE_MAX)
        fault = "longer than 8192 bytes";
    else if (rest.s == NULL)
        fault = "must begin with http://, https://, ws:// or wss://";
    for (size_t i = 0; fault == NULL && i < text.n; i++)
        if (text.s[i] <= ' ' || text.s[i] > '~' || text.s[i] == '#')
            fault = "has a byte that must not stand in it (space, control, '#', not ASCII)";
    if (fault == NULL && !host_take(&rest, &url))
        fault = "has no valid host";
    if (fault == NULL && !port_take(&rest, &url))
        fault = "has a port outside 1 to 65535";
    if (fault != NULL)
        return kt_fail(err, KT_SYNTAX, "URL '%.*s' %s", shown, text.n > 0 ? text.s : "", fault);
    url.target = rest.n > 0 ? rest : KT_TEXT("/");
    size_t path_size = text_find(url.target, '?');
    url.path = text_until(url.target, path_size);
    if (path_size < url.target.n)
        url.query = text_from(url.target, path_size + 1);
    *out_url = url;
    return KT_OK;
}

size_t kt_url_encode(char *to, size_t size, kt_text plain)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t need = 0;

    for (size_t i = 0; i < plain.n; i++)
        need += is_unreserved(plain.s[i]) ? 1 : 3;
    if (need >= size)
        return need;
    for (size_t i = 0; i < plain.n; i++) {
        uint8_t byte = (uint8_t)plain.s[i];
        if (is_unreserved(plain.s[i])) {
            *to++ = plain.s[i];
            continue;
        }
        *to++ = '%';
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
    }
    *to = 0;
    return need;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

kt_code kt_url_decode(kt_text text, bool plus_is_space, char *to, size_t *out_size)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex_value(text.s[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_value(text.s[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0)
                return KT_SYNTAX;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        to[n++] = c;
    }
    *out_size = n;
    return KT_OK;
}

bool kt_url_query_next(kt_text query, size_t *at, kt_text *out_name, kt_text *out_value)
{
    while (*at < query.n) {
        kt_text rest = text_from(query, *at);
        kt_text entry = text_until(rest, text_find(rest, '&'));
        *at += entry.n + 1;
        if (entry.n == 0)
            continue;
        size_t name_size = text_find(entry, '=');
        *out_name = text_until(entry, name_size);
        *out_value = name_size < entry.n ? text_from(entry, name_size + 1) : (kt_text){ "", 0 };
        return true;
    }
    return false;
}

bool kt_url_query(kt_text query, kt_text name, kt_text *out_value)
{
    kt_text found, value;

    for (size_t at = 0; kt_url_query_next(query, &at, &found, &value);) {
        if (!kt_text_equal(found, name))
            continue;
        *out_value = value;
        return true;
    }
    return false;
}
