#include "edge/trace.h"

#include <stdio.h>

static bool is_request_id(kt_text text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
                    c == '_' || c == ':' || c == '-';
        if (!fine)
            return false;
    }
    return text.n > 0 && text.n <= KT_REQUEST_ID_MAX;
}

/* Lower-case hexadecimal digits, not all of them 0. */
static bool is_id(kt_text text, size_t at, size_t n)
{
    bool any = false;

    for (size_t i = at; i < at + n; i++) {
        char c = text.s[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        any = any || c != '0';
    }
    return any;
}

/* 00-TRACEID-SPANID-FLAGS. A later version may have more behind a further dash, and is taken as far as it is known. */
static bool is_traceparent(kt_text text)
{
    if (text.n < KT_TRACEPARENT_SIZE || (text.n > KT_TRACEPARENT_SIZE && text.s[KT_TRACEPARENT_SIZE] != '-'))
        return false;
    if (text.s[2] != '-' || text.s[35] != '-' || text.s[52] != '-' || !is_id(text, 3, 32) || !is_id(text, 36, 16))
        return false;
    if (text.s[0] == '0' && text.s[1] == '0')
        return text.n == KT_TRACEPARENT_SIZE && (is_id(text, 53, 2) || (text.s[53] == '0' && text.s[54] == '0'));
    return is_id(text, 0, 2) && !(text.s[0] == 'f' && text.s[1] == 'f') &&
           (is_id(text, 53, 2) || (text.s[53] == '0' && text.s[54] == '0'));
}

void kt_trace_init(kt_trace *trace, kt_rng *rng, kt_text request_id, kt_text traceparent)
{
    unsigned long long span = kt_rng_u64(rng) | 1; /* never all 0 */

    if (is_request_id(request_id))
        snprintf(trace->request_id, sizeof trace->request_id, "%.*s", KT_TEXT_ARG(request_id));
    else
        snprintf(trace->request_id, sizeof trace->request_id, "%016llx", (unsigned long long)kt_rng_u64(rng));
    if (is_traceparent(traceparent))
        snprintf(trace->traceparent, sizeof trace->traceparent, "00-%.32s-%016llx-%.2s", traceparent.s + 3, span,
            traceparent.s + 53);
    else
        snprintf(trace->traceparent, sizeof trace->traceparent, "00-%016llx%016llx-%016llx-00",
            (unsigned long long)kt_rng_u64(rng), (unsigned long long)kt_rng_u64(rng) | 1, span);
}

kt_text kt_trace_text(const kt_trace *trace, char room[KT_TRACE_TEXT_MAX + 1])
{
    int n = snprintf(room, KT_TRACE_TEXT_MAX + 1, "%s %s", trace->traceparent, trace->request_id);

    return (kt_text){ room, (size_t)n };
}
