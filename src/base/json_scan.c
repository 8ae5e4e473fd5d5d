#include "base/json_scan.h"

const char *kt_json_scan_integer_slow(const char *at, const char *end, uint64_t *out)
{
    const char *first = at;
    uint64_t number = 0;

    for (; at < end && at - first < KT_JSON_BLOCK && kt_is_digit(*at); at++)
        number = number * 10 + (uint64_t)(*at - '0');
    if (at == first || at - first == KT_JSON_BLOCK || (at - first > 1 && *first == '0'))
        return NULL;
    *out = number;
    return at;
}

/* Behind the characters that a number can be made of; kt_decimal_parse then says whether they are one. */
static const char *number_end(const char *at, const char *end)
{
    while (at < end && (kt_is_digit(*at) || *at == '.' || *at == '-' || *at == '+' || (*at | 0x20) == 'e'))
        at++;
    return at;
}

const char *kt_json_scan_decimal_slow(const char *at, const char *end, bool quoted, kt_decimal *out)
{
    const char *behind = quoted ? kt_json_scan_plain(at, end) : number_end(at, end);

    return behind != NULL && kt_decimal_parse((kt_text){ at, (size_t)(behind - at) }, out) == KT_OK ? behind : NULL;
}

const char *kt_json_scan_pairs(const char *at, const char *end, kt_json_pairs *out)
{
    uint32_t count = 0;

    if (end - at < 2 || *at++ != '[')
        return NULL;
    while (*at != ']') {
        if (count == out->max || *at != '[')
            return NULL;
        at = kt_json_scan_decimal_text(at + 1, end, &out->at[count][0]);
        if (at == NULL || at == end || *at != ',')
            return NULL;
        at = kt_json_scan_decimal_text(at + 1, end, &out->at[count][1]);
        if (at == NULL || end - at < 3 || *at != ']') /* a bracket and two bytes more stand behind */
            return NULL;
        count++;
        at++;
        if (*at == ',' ? *++at != '[' : *at != ']')
            return NULL;
    }
    out->count = count;
    return at + 1;
}
