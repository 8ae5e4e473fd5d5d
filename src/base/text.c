#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/assert.h"
#include "base/swar.h"
#include "base/time.h"

/* ---- builder ---- */

void kt_builder_init(kt_builder *builder, char *mem, size_t size)
{
    kt_assert(mem != NULL);
    kt_assert(size >= 1);
    *builder = (kt_builder){ .s = mem, .size = size };
    mem[0] = '\0';
}

void kt_builder_text(kt_builder *builder, kt_text text)
{
    if (builder->code != KT_OK || text.n >= builder->size - builder->n) {
        builder->code = KT_FULL;
        return;
    }
    if (text.n != 0)
        memcpy(builder->s + builder->n, text.s, text.n);
    builder->n += text.n;
    builder->s[builder->n] = '\0';
}

void kt_builder_str(kt_builder *builder, const char *s)
{
    kt_builder_text(builder, kt_text_of(s));
}

void kt_builder_char(kt_builder *builder, char c)
{
    kt_builder_text(builder, (kt_text){ &c, 1 });
}

void kt_builder_u64(kt_builder *builder, uint64_t number)
{
    char digits[20];

    kt_builder_text(builder, (kt_text){ digits, kt_u64_format(digits, number) });
}

void kt_builder_i64(kt_builder *builder, int64_t number)
{
    char digits[20];

    kt_builder_text(builder, (kt_text){ digits, kt_i64_format(digits, number) });
}

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

void kt_builder_hex64(kt_builder *builder, uint64_t number)
{
    char digits[16];

    for (int i = 15; i >= 0; i--, number >>= 4)
        digits[i] = hex_lower[number & 15];
    kt_builder_text(builder, (kt_text){ digits, sizeof digits });
}

void kt_builder_decimal(kt_builder *builder, kt_decimal decimal)
{
    char text[KT_DECIMAL_TEXT_MAX];

    kt_builder_text(builder, (kt_text){ text, kt_decimal_format(text, sizeof text, decimal) });
}

void kt_builder_time(kt_builder *builder, int64_t time_ns)
{
    char text[KT_TIME_TEXT_MAX];

    kt_builder_text(builder, (kt_text){ text, kt_time_format_iso(text, sizeof text, time_ns) });
}

void kt_builder_format(kt_builder *builder, const char *fmt, ...)
{
    size_t left = builder->size - builder->n;
    va_list args;

    if (builder->code != KT_OK)
        return;
    va_start(args, fmt);
    int n = vsnprintf(builder->s + builder->n, left, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= left) {
        builder->s[builder->n] = '\0';
        builder->code = KT_FULL;
        return;
    }
    builder->n += (size_t)n;
}

/* ---- numbers and pieces ---- */

size_t kt_u64_format(char *out, uint64_t number)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;

    for (; number >= 100; number /= 100) {
        at -= 2;
        memcpy(digits + at, pairs + number % 100 * 2, 2);
    }
    if (number >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + number * 2, 2);
    } else {
        digits[--at] = (char)('0' + number);
    }
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

size_t kt_i64_format(char *out, int64_t number)
{
    bool negative = number < 0;

    if (negative)
        *out++ = '-';
    return negative + kt_u64_format(out, negative ? -(uint64_t)number : (uint64_t)number);
}

kt_code kt_text_u64(kt_text text, uint64_t *out_number)
{
    uint64_t number = 0;
    bool fits = true;

    if (text.n == 0)
        return KT_SYNTAX;
    for (size_t i = 0; i < text.n; i++) {
        if (!kt_is_digit(text.s[i]))
            return KT_SYNTAX;
        fits = fits && !__builtin_mul_overflow(number, UINT64_C(10), &number) &&
               !__builtin_add_overflow(number, (uint64_t)(text.s[i] - '0'), &number);
    }
    if (!fits)
        return KT_RANGE;
    *out_number = number;
    return KT_OK;
}

kt_code kt_text_i64(kt_text text, int64_t *out_number)
{
    bool negative = text.n != 0 && text.s[0] == '-';
    uint64_t number;
    kt_code code = kt_text_u64(negative ? (kt_text){ text.s + 1, text.n - 1 } : text, &number);

    if (code != KT_OK)
        return code;
    if (number > (uint64_t)INT64_MAX + negative)
        return KT_RANGE;
    *out_number = (int64_t)(negative ? -number : number);
    return KT_OK;
}

/* Value of a hexadecimal digit, 16 for anything else. */
static uint32_t hex_value(char c)
{
    if (kt_is_digit(c))
        return (uint32_t)(c - '0');
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? (uint32_t)(lower - 'a') + 10 : 16;
}

kt_code kt_text_hex64(kt_text text, uint64_t *out_number)
{
    uint64_t number = 0;

    if (text.n == 0 || text.n > 16)
        return KT_SYNTAX;
    for (size_t i = 0; i < text.n; i++) {
        uint32_t digit = hex_value(text.s[i]);
        if (digit == 16)
            return KT_SYNTAX;
        number = number << 4 | digit;
    }
    *out_number = number;
    return KT_OK;
}

bool kt_text_cut(kt_text *rest, char separator, kt_text *out_part)
{
    if (rest->s == NULL)
        return false;
    const char *at = rest->n != 0 ? memchr(rest->s, separator, rest->n) : NULL;

    if (at == NULL) {
        *out_part = *rest;
        *rest = (kt_text){ NULL, 0 };
        return true;
    }
    *out_part = (kt_text){ rest->s, (size_t)(at - rest->s) };
    *rest = (kt_text){ at + 1, rest->n - out_part->n - 1 };
    return true;
}

size_t kt_utf8_first(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;

    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xC2 || n < 2 || (u[1] & 0xC0) != 0x80)
        return 0;
    if (u[0] < 0xE0)
        return 2;
    if (n < 3 || (u[2] & 0xC0) != 0x80)
        return 0;
    if (u[0] < 0xF0) {
        bool overlong = u[0] == 0xE0 && u[1] < 0xA0;
        bool surrogate = u[0] == 0xED && u[1] >= 0xA0;
        return overlong || surrogate ? 0 : 3;
    }
    if (n < 4 || (u[3] & 0xC0) != 0x80)
        return 0;
    bool overlong = u[0] == 0xF0 && u[1] < 0x90;
    bool beyond = u[0] > 0xF4 || (u[0] == 0xF4 && u[1] >= 0x90);
    return overlong || beyond ? 0 : 4;
}

bool kt_utf8_valid(kt_text text)
{
    size_t at = 0;

    while (at < text.n) {
#if defined(__SSE2__)
        if (text.n - at >= 16 && _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(text.s + at))) == 0) {
            at += 16;
            continue;
        }
#endif
        size_t size = kt_utf8_first(text.s + at, text.n - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

/* ---- subjects ---- */

static bool must_encode(char c)
{
    unsigned char u = (unsigned char)c;

    return u <= ' ' || u == 127 || c == '.' || c == '*' || c == '>' || c == '%';
}

kt_code kt_subject_token(kt_builder *builder, kt_text raw)
{
    if (raw.n == 0)
        return KT_ARG;
    for (size_t i = 0; i < raw.n && builder->code == KT_OK; i++) {
        unsigned char u = (unsigned char)raw.s[i];
        if (must_encode(raw.s[i]))
            kt_builder_text(builder, (kt_text){ (char[]){ '%', hex_upper[u >> 4], hex_upper[u & 15] }, 3 });
        else
            kt_builder_char(builder, raw.s[i]);
    }
    return builder->code;
}

/* The byte at token.s[*at], decoded; *at moves behind it. false: not well encoded. */
static bool token_byte(kt_text token, size_t *at, char *out)
{
    char c = token.s[(*at)++];

    if (c != '%') {
        *out = c;
        return !must_encode(c);
    }
    if (token.n - *at < 2)
        return false;
    uint32_t high = hex_value(token.s[*at]);
    uint32_t low = hex_value(token.s[*at + 1]);
    *at += 2;
    *out = (char)(high << 4 | low);
    return high < 16 && low < 16;
}

bool kt_subject_make(char out[KT_SUBJECT_MAX + 1], const char *first, kt_text second, kt_text third)
{
    kt_builder b;

    kt_builder_init(&b, out, KT_SUBJECT_MAX + 1);
    kt_builder_str(&b, first);
    kt_builder_char(&b, '.');
    if (kt_subject_token(&b, second) != KT_OK)
        return false;
    if (third.n != 0) {
        kt_builder_char(&b, '.');
        kt_subject_token(&b, third);
    }
    return b.code == KT_OK;
}

kt_code kt_subject_token_decode(kt_text token, kt_builder *builder)
{
    char c;

    if (token.n == 0)
        return KT_SYNTAX;
    for (size_t at = 0; at < token.n;)
        if (!token_byte(token, &at, &c))
            return KT_SYNTAX;
    for (size_t at = 0; at < token.n && builder->code == KT_OK;)
        if (token_byte(token, &at, &c))
            kt_builder_char(builder, c);
    return builder->code;
}

static bool token_is(kt_text token, char c)
{
    return token.n == 1 && token.s[0] == c;
}

/* What is wrong with a token, or NULL. */
static const char *token_fault(kt_text token)
{
    char c;

    if (token.n == 0)
        return "has an empty token: tokens have at least one byte and are separated by one '.'";
    for (size_t at = 0; at < token.n;)
        if (!token_byte(token, &at, &c))
            return "has a byte that must stand as % and two hexadecimal digits (. * > % blanks, control bytes)";
    return NULL;
}

static kt_code tokens_check(kt_text subject, bool pattern, kt_err *err)
{
    const char *what = pattern ? "pattern" : "subject";
    kt_text rest = subject.s != NULL ? subject : KT_TEXT("");
    kt_text token;

    if (subject.n > KT_SUBJECT_MAX)
        return kt_fail(err, KT_LIMIT, "%s '%.60s...' has %zu bytes, at most %d are allowed", what, subject.s, subject.n,
            KT_SUBJECT_MAX);
    while (kt_text_cut(&rest, '.', &token)) {
        if (pattern && token_is(token, '*'))
            continue;
        if (pattern && token_is(token, '>')) {
            if (rest.s == NULL)
                continue;
            return kt_fail(err, KT_SYNTAX, "pattern '%.*s': '>' stands for the rest and must be the last token",
                KT_TEXT_ARG(subject));
        }
        const char *fault = token_fault(token);
        if (fault != NULL)
            return kt_fail(err, KT_SYNTAX, "%s '%.*s' %s", what, KT_TEXT_ARG(subject), fault);
    }
    return KT_OK;
}

kt_code kt_subject_check(kt_text subject, kt_err *err)
{
    return tokens_check(subject, false, err);
}

kt_code kt_pattern_check(kt_text pattern, kt_err *err)
{
    return tokens_check(pattern, true, err);
}

bool kt_subject_match(kt_text pattern, kt_text subject)
{
    kt_text wanted, token;

    if (pattern.n == 0 || subject.n == 0)
        return false;
    while (kt_text_cut(&pattern, '.', &wanted)) {
        if (!kt_text_cut(&subject, '.', &token))
            return false;
        if (token_is(wanted, '>'))
            return true;
        if (!token_is(wanted, '*') && !kt_text_equal(wanted, token))
            return false;
    }
    return subject.s == NULL;
}

kt_text kt_subject_part(kt_text subject, uint32_t index)
{
    kt_text token = { NULL, 0 };

    if (subject.n == 0)
        return token;
    for (uint32_t i = 0; i <= index; i++)
        if (!kt_text_cut(&subject, '.', &token))
            return (kt_text){ NULL, 0 };
    return token;
}
