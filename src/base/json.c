#include "base/json.h"

#include <inttypes.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/swar.h"
#include "base/text.h"
#include "base/time.h"

/* ---- reader ---- */

typedef struct reader {
    const char *text;
    const char *end;
    kt_json_node *nodes;
    uint32_t node_max;
    kt_err *err;
} reader;

static __attribute__((cold, noinline)) kt_code syntax_fail(const reader *r, const char *at, const char *expected)
{
    size_t byte = (size_t)(at - r->text);

    if (at >= r->end)
        return kt_fail(r->err, KT_SYNTAX, "JSON is truncated: it ends at byte %zu, expected %s", byte, expected);
    unsigned char c = (unsigned char)*at;
    if (c > ' ' && c < 127)
        return kt_fail(r->err, KT_SYNTAX, "JSON is malformed at byte %zu: expected %s, found '%c'", byte, expected, c);
    return kt_fail(
        r->err, KT_SYNTAX, "JSON is malformed at byte %zu: expected %s, found byte 0x%02X", byte, expected, c);
}

static __attribute__((cold, noinline)) kt_code full_fail(const reader *r)
{
    return kt_fail(r->err, KT_FULL, "JSON has more than %" PRIu32 " values and keys", r->node_max);
}

static inline const char *blanks_skip(const char *at, const char *end)
{
    if (at<end && * at> ' ') /* nearly always: venues send no blanks */
        return at;
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* The first byte from `at` on that a string can not simply hold: a quote, a backslash, a control byte, or the start of
 * a longer UTF-8 character. */
static inline const char *plain_skip(const char *at, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), blank = _mm_set1_epi8(' ');

    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i special = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        special = _mm_or_si128(special, _mm_cmplt_epi8(bytes, blank)); /* signed: bytes from 0x80 on are below, too */
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (signed char)*at >= ' ')
        at++;
    return at;
}

/* Bytes that plain_skip stops at. */
static const bool special_bytes[256] = {
    [0 ... ' ' - 1] = true,
    ['"'] = true,
    ['\\'] = true,
    [0x80 ... 0xFF] = true,
};

/* The same for keys. Theirs are the same few lengths in every message, so a branch for each byte is predicted, and the
 * processor goes on reading behind the key before it has seen it; the end out of plain_skip it would have to wait
 * for. */
static inline const char *key_skip(const char *at, const char *end)
{
    if (end - at >= 8) {
        for (int i = 0; i < 8; i++)
            if (special_bytes[(unsigned char)at[i]])
                return at + i;
        at += 8;
    }
    return plain_skip(at, end);
}

static inline bool is_hex(char c)
{
    return kt_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Behind an escape that starts at `at`; NULL when there is none, and *fault is its first byte that is wrong. */
static const char *escape_skip(const char *at, const char *end, const char **fault)
{
    *fault = at + 1;
    if (end - at < 2 || at[1] == '\0' || strchr("\"\\/bfnrtu", at[1]) == NULL)
        return NULL;
    if (at[1] != 'u')
        return at + 2;
    for (*fault = at + 2; *fault < at + 6; (*fault)++)
        if (*fault == end || !is_hex(**fault))
            return NULL;
    return at + 6;
}

/* The rest of a string that is not plain to its end: `at` stands at its first special byte. Returns the closing
 * quote. */
static __attribute__((noinline)) kt_code string_slow(const reader *r, const char **at_quote, uint8_t *flags)
{
    const char *at = *at_quote;

    for (; at < r->end && *at != '"'; at = plain_skip(at, r->end)) {
        const char *behind, *fault;
        if (*at == '\\') {
            behind = escape_skip(at, r->end, &fault);
            if (behind == NULL)
                return syntax_fail(r, fault, "one of the escapes of RFC 8259 section 7");
            *flags |= KT_JSON_ESCAPED;
        } else {
            size_t size = (signed char)*at < 0 ? kt_utf8_first(at, (size_t)(r->end - at)) : 0;
            if (size == 0)
                return syntax_fail(r, at, (signed char)*at < 0 ? "UTF-8" : "control characters escaped in a string");
            behind = at + size;
        }
        at = behind;
    }
    if (at >= r->end)
        return syntax_fail(r, at, "'\"' at the end of the string");
    *at_quote = at;
    return KT_OK;
}

static inline const char *digits_skip(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t others = kt_swar_not_digits(kt_swar_load(at));
        if (others != 0)
            return at + __builtin_ctzll(others) / 8;
        at += 8;
    }
    while (at < end && kt_is_digit(*at))
        at++;
    return at;
}

/* Behind a number that starts at `at`; NULL when the grammar is broken, and *fault says where. */
static inline const char *number_skip(const char *at, const char *end, uint8_t *flags, const char **fault)
{
    const char *whole = at + (*at == '-');
    const char *behind = digits_skip(whole, end);

    *fault = behind;
    if (behind == whole)
        return NULL;
    if (*whole == '0' && behind - whole > 1) {
        *fault = whole + 1;
        return NULL;
    }
    if (behind == end || (*behind != '.' && (*behind | 0x20) != 'e')) {
        *flags = KT_JSON_INTEGER;
        return behind;
    }
    if (*behind == '.') {
        const char *fraction = behind + 1;
        *fault = behind = digits_skip(fraction, end);
        if (behind == fraction)
            return NULL;
    }
    if (behind < end && (*behind | 0x20) == 'e') {
        const char *exponent = behind + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-'))
            exponent++;
        *fault = behind = digits_skip(exponent, end);
        if (behind == exponent)
            return NULL;
    }
    return behind;
}

static inline bool word_is(const char *at, const char *end, const char *word, size_t size)
{
    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0;
}

static __attribute__((cold, noinline)) kt_code word_fail(const reader *r, const char *at, const char *word)
{
    for (const char *letter = word; at < r->end && *at == *letter; letter++)
        at++;
    return syntax_fail(r, at, word);
}

kt_code kt_json_parse(kt_text text, kt_json_node *nodes, uint32_t node_max, kt_json_doc *out_doc, kt_err *err)
{
    reader r = {
        .text = text.s,
        .end = text.s != NULL ? text.s + text.n : NULL,
        .nodes = nodes,
        .node_max = node_max,
        .err = err,
    };
    uint32_t open[KT_JSON_DEPTH_MAX]; /* the containers around `at`, outermost first */
    uint32_t depth = 0;
    const char *at = text.s;
    const char *const end = r.end;
    const char *behind, *fault;
    uint32_t count = 0; /* of nodes */
    kt_json_kind kind;
    uint8_t flags;
    size_t size;
    kt_code code;

    if (text.n >= UINT32_MAX)
        return kt_fail(err, KT_LIMIT, "JSON of %zu bytes is oversized: fewer than 2^32 - 1 are allowed", text.n);
    if (text.n == 0)
        return kt_fail(err, KT_SYNTAX, "JSON is truncated: there is not one byte, expected a value");

value:
    at = blanks_skip(at, end);
    if (at == end)
        return syntax_fail(&r, at, "a value");
    if (count == node_max)
        return full_fail(&r);
    flags = 0;
    switch (*at) {
    case '"':
        goto string;
    case '{':
    case '[':
        if (depth == KT_JSON_DEPTH_MAX)
            return kt_fail(err, KT_LIMIT, "JSON is too deep at byte %zu: at most %d levels are allowed",
                (size_t)(at - r.text), KT_JSON_DEPTH_MAX);
        open[depth++] = count;
        kind = *at == '{' ? KT_JSON_OBJECT : KT_JSON_ARRAY;
        nodes[count++] = (kt_json_node){ .at = (uint32_t)(at - text.s), .kind = (uint8_t)kind };
        at = blanks_skip(at + 1, end);
        if (at < end && *at == (kind == KT_JSON_OBJECT ? '}' : ']'))
            goto close;
        if (kind == KT_JSON_OBJECT)
            goto key;
        goto value;
    case 't':
        kind = KT_JSON_TRUE;
        size = 4;
        if (!word_is(at, end, "true", 4))
            return word_fail(&r, at, "true");
        break;
    case 'f':
        kind = KT_JSON_FALSE;
        size = 5;
        if (!word_is(at, end, "false", 5))
            return word_fail(&r, at, "false");
        break;
    case 'n':
        kind = KT_JSON_NULL;
        size = 4;
        if (!word_is(at, end, "null", 4))
            return word_fail(&r, at, "null");
        break;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        kind = KT_JSON_NUMBER;
        behind = number_skip(at, end, &flags, &fault);
        if (behind == NULL)
            return syntax_fail(&r, fault, "a number as RFC 8259 section 6 spells it");
        size = (size_t)(behind - at);
        break;
    default:
        return syntax_fail(&r, at, "a value");
    }
    nodes[count] = (kt_json_node){
        .at = (uint32_t)(at - text.s),
        .size = (uint32_t)size,
        .next = count + 1,
        .kind = (uint8_t)kind,
        .flags = flags,
    };
    count++;
    at += size;

behind_value:
    at = blanks_skip(at, end);
    if (depth == 0) {
        if (at != end)
            return syntax_fail(&r, at, "nothing behind the value");
        *out_doc = (kt_json_doc){
            .text = text.s,
            .size = (uint32_t)text.n,
            .node_count = count,
            .nodes = nodes,
        };
        return KT_OK;
    }
    kind = (kt_json_kind)nodes[open[depth - 1]].kind;
    if (at == end)
        return syntax_fail(&r, at, kind == KT_JSON_OBJECT ? "',' or '}'" : "',' or ']'");
    if (*at == ',') {
        at++;
        if (kind == KT_JSON_ARRAY)
            goto value;
        at = blanks_skip(at, end);
        goto key;
    }
    if (*at != (kind == KT_JSON_OBJECT ? '}' : ']'))
        return syntax_fail(&r, at, kind == KT_JSON_OBJECT ? "',' or '}'" : "',' or ']'");

close:
    depth--;
    nodes[open[depth]].next = count;
    at++;
    nodes[open[depth]].size = (uint32_t)(at - r.text) - nodes[open[depth]].at;
    goto behind_value;

key:
    if (at == end || *at != '"')
        return syntax_fail(&r, at, "a key in '\"'");
    if (count == node_max)
        return full_fail(&r);
    flags = KT_JSON_KEY;
    behind = key_skip(at + 1, end);
    goto string_end;

string:
    behind = plain_skip(at + 1, end);
string_end:
    if (__builtin_expect(behind == end || *behind != '"', 0)) {
        code = string_slow(&r, &behind, &flags);
        if (code != KT_OK)
            return code;
    }
    nodes[count] = (kt_json_node){
        .at = (uint32_t)(at + 1 - text.s),
        .size = (uint32_t)(behind - at - 1),
        .next = count + 1,
        .kind = KT_JSON_STRING,
        .flags = flags,
    };
    count++;
    at = behind + 1;
    if ((flags & KT_JSON_KEY) == 0)
        goto behind_value;
    at = blanks_skip(at, end);
    if (at == end || *at != ':')
        return syntax_fail(&r, at, "':'");
    at++;
    goto value;
}

/* ---- looking around ---- */

const char *kt_json_kind_text(kt_json_kind kind)
{
    static const char *const texts[] = {
        [KT_JSON_NULL] = "null",
        [KT_JSON_FALSE] = "false",
        [KT_JSON_TRUE] = "true",
        [KT_JSON_NUMBER] = "a number",
        [KT_JSON_STRING] = "a string",
        [KT_JSON_ARRAY] = "an array",
        [KT_JSON_OBJECT] = "an object",
    };

    return (unsigned)kind < KT_COUNT(texts) ? texts[kind] : "no kind";
}

uint32_t kt_json_count(const kt_json_doc *doc, uint32_t parent)
{
    uint32_t count = 0;

    kt_json_each (doc, parent, item)
        count++;
    return count;
}

uint32_t kt_json_get(const kt_json_doc *doc, uint32_t object, kt_text name)
{
    if (kt_json_kind_of(doc, object) != KT_JSON_OBJECT)
        return 0;
    kt_json_each (doc, object, key)
        if (kt_json_text_is(doc, key, name))
            return key + 1;
    return 0;
}

uint32_t kt_json_at(const kt_json_doc *doc, uint32_t array, uint32_t index)
{
    if (kt_json_kind_of(doc, array) != KT_JSON_ARRAY)
        return 0;
    kt_json_each (doc, array, item)
        if (index-- == 0)
            return item;
    return 0;
}

/* ---- values ---- */

static uint32_t hex4(const char *at)
{
    uint32_t number = 0;

    for (int i = 0; i < 4; i++) {
        char c = at[i];
        number = number << 4 | (uint32_t)(kt_is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return number;
}

static size_t utf8_write(char out[4], uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* What the byte or escape at *at stands for, in UTF-8 (of a longer character, one byte of it); *at moves behind it.
 * Returns how many bytes, 0 for half a surrogate pair. The reader has checked the escapes. */
static size_t string_step(const char **at, const char *end, char out[4])
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";

    if (**at != '\\') {
        out[0] = *(*at)++;
        return 1;
    }
    char letter = (*at)[1];
    if (letter != 'u') {
        out[0] = meanings[strchr(letters, letter) - letters];
        *at += 2;
        return 1;
    }
    uint32_t point = hex4(*at + 2);
    *at += 6;
    if (point < 0xD800 || point > 0xDFFF)
        return utf8_write(out, point);
    if (point > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return 0;
    uint32_t low = hex4(*at + 2);
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *at += 6;
    return utf8_write(out, 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00));
}

kt_code kt_json_text(const kt_json_doc *doc, uint32_t node, kt_arena *arena, kt_text *out_text)
{
    kt_text raw = kt_json_raw(doc, node);

    if (kt_json_kind_of(doc, node) != KT_JSON_STRING)
        return KT_TYPE;
    if ((doc->nodes[node].flags & KT_JSON_ESCAPED) == 0) {
        *out_text = raw;
        return KT_OK;
    }
    size_t mark = arena != NULL ? kt_arena_mark(arena) : 0;
    char *made = arena != NULL ? kt_arena_take(arena, raw.n, 1) : NULL; /* undone, a string is never longer */
    if (made == NULL)
        return KT_FULL;
    const char *at = raw.s, *end = raw.s + raw.n;
    size_t n = 0;
    while (at < end) {
        char piece[4];
        size_t size = string_step(&at, end, piece);
        if (size == 0) {
            kt_arena_rewind(arena, mark);
            return KT_SYNTAX;
        }
        memcpy(made + n, piece, size);
        n += size;
    }
    kt_arena_rewind(arena, mark + n);
    *out_text = (kt_text){ made, n };
    return KT_OK;
}

bool kt_json_text_is(const kt_json_doc *doc, uint32_t node, kt_text text)
{
    kt_text raw = kt_json_raw(doc, node);

    if (kt_json_kind_of(doc, node) != KT_JSON_STRING)
        return false;
    if ((doc->nodes[node].flags & KT_JSON_ESCAPED) == 0)
        return kt_text_equal(raw, text);
    const char *at = raw.s, *end = raw.s + raw.n;
    size_t n = 0;
    while (at < end) {
        char piece[4];
        size_t size = string_step(&at, end, piece);
        if (size == 0 || text.n - n < size || memcmp(text.s + n, piece, size) != 0)
            return false;
        n += size;
    }
    return n == text.n;
}

kt_code kt_json_bool(const kt_json_doc *doc, uint32_t node, bool *out_value)
{
    kt_json_kind kind = kt_json_kind_of(doc, node);

    if (kind != KT_JSON_TRUE && kind != KT_JSON_FALSE)
        return KT_TYPE;
    *out_value = kind == KT_JSON_TRUE;
    return KT_OK;
}

/* Digits and a sign as the grammar has them, of a length that can not overflow. */
static inline int64_t short_integer(kt_text raw)
{
    const char *at = raw.s, *end = raw.s + raw.n;
    bool negative = *at == '-';
    uint64_t number = 0;

    at += negative;
    for (; end - at >= 8; at += 8)
        number = number * 100000000 + kt_swar_eight_digits(kt_swar_load(at));
    for (; at < end; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return negative ? -(int64_t)number : (int64_t)number;
}

static kt_code integral(kt_text raw, int64_t *out_value)
{
    kt_decimal decimal;

    if (kt_decimal_parse(raw, &decimal) != KT_OK || decimal.scale != 0)
        return KT_RANGE;
    *out_value = decimal.m;
    return KT_OK;
}

kt_code kt_json_i64(const kt_json_doc *doc, uint32_t node, int64_t *out_value)
{
    kt_text raw = kt_json_raw(doc, node);

    if (kt_json_kind_of(doc, node) != KT_JSON_NUMBER)
        return KT_TYPE;
    if ((doc->nodes[node].flags & KT_JSON_INTEGER) == 0)
        return integral(raw, out_value);
    if (raw.n > 18)
        return kt_text_i64(raw, out_value);
    *out_value = short_integer(raw);
    return KT_OK;
}

kt_code kt_json_u64(const kt_json_doc *doc, uint32_t node, uint64_t *out_value)
{
    kt_text raw = kt_json_raw(doc, node);
    int64_t value;

    if (kt_json_kind_of(doc, node) == KT_JSON_NUMBER && (doc->nodes[node].flags & KT_JSON_INTEGER) != 0 && raw.n > 18 &&
        *raw.s != '-')
        return kt_text_u64(raw, out_value);
    kt_code code = kt_json_i64(doc, node, &value);
    if (code != KT_OK)
        return code;
    if (value < 0)
        return KT_RANGE;
    *out_value = (uint64_t)value;
    return KT_OK;
}

kt_code kt_json_decimal(const kt_json_doc *doc, uint32_t node, kt_decimal *out_value)
{
    if (kt_json_kind_of(doc, node) != KT_JSON_NUMBER)
        return KT_TYPE;
    return kt_decimal_parse(kt_json_raw(doc, node), out_value);
}

/* A string that some number is read from: escapes are allowed by the RFC, though no sender has them in numbers. */
static kt_code number_text(const kt_json_doc *doc, uint32_t node, char mem[64], kt_text *out_text)
{
    kt_arena arena;

    kt_arena_init(&arena, mem, 64);
    kt_code code = kt_json_text(doc, node, &arena, out_text);
    return code == KT_SYNTAX ? KT_TYPE : code == KT_FULL ? KT_RANGE : code;
}

kt_code kt_json_decimal_text(const kt_json_doc *doc, uint32_t node, kt_decimal *out_value)
{
    char mem[64];
    kt_text text;
    kt_code code = number_text(doc, node, mem, &text);

    if (code != KT_OK)
        return code;
    code = kt_decimal_parse(text, out_value);
    return code == KT_SYNTAX ? KT_TYPE : code;
}

/* ---- known fields ---- */

/* An integer as a number or as digits in a string. */
static kt_code i64_any(const kt_json_doc *doc, uint32_t node, int64_t *out)
{
    char mem[64];
    kt_text text;

    if (kt_json_kind_of(doc, node) == KT_JSON_NUMBER)
        return kt_json_i64(doc, node, out);
    kt_code code = number_text(doc, node, mem, &text);
    if (code == KT_OK)
        code = kt_text_i64(text, out);
    return code == KT_SYNTAX ? KT_TYPE : code;
}

static kt_code u64_any(const kt_json_doc *doc, uint32_t node, uint64_t *out)
{
    char mem[64];
    kt_text text;

    if (kt_json_kind_of(doc, node) == KT_JSON_NUMBER)
        return kt_json_u64(doc, node, out);
    kt_code code = number_text(doc, node, mem, &text);
    if (code == KT_OK)
        code = kt_text_u64(text, out);
    return code == KT_SYNTAX ? KT_TYPE : code;
}

static inline kt_code node_if(const kt_json_doc *doc, uint32_t node, kt_json_kind kind, uint32_t *out)
{
    if (kt_json_kind_of(doc, node) != kind)
        return KT_TYPE;
    *out = node;
    return KT_OK;
}

/* The value of `node` as a field's type asks for it, written to the struct's member. */
static inline kt_code field_read(const kt_json_doc *doc, uint32_t node, uint8_t type, kt_arena *arena, void *out)
{
    switch ((kt_json_type)type) {
    case KT_JSON_AS_BOOL:
        return kt_json_bool(doc, node, out);
    case KT_JSON_AS_I64:
        return kt_json_i64(doc, node, out);
    case KT_JSON_AS_U64:
        return kt_json_u64(doc, node, out);
    case KT_JSON_AS_DECIMAL:
        return kt_json_decimal(doc, node, out);
    case KT_JSON_AS_DECIMAL_TEXT:
        return kt_json_decimal_text(doc, node, out);
    case KT_JSON_AS_DECIMAL_ANY:
        return kt_json_kind_of(doc, node) == KT_JSON_NUMBER ? kt_json_decimal(doc, node, out)
                                                            : kt_json_decimal_text(doc, node, out);
    case KT_JSON_AS_I64_ANY:
        return i64_any(doc, node, out);
    case KT_JSON_AS_U64_ANY:
        return u64_any(doc, node, out);
    case KT_JSON_AS_TEXT:
        return kt_json_text(doc, node, arena, out);
    case KT_JSON_AS_ARRAY:
        return node_if(doc, node, KT_JSON_ARRAY, out);
    case KT_JSON_AS_OBJECT:
        return node_if(doc, node, KT_JSON_OBJECT, out);
    case KT_JSON_AS_ANY:
        *(uint32_t *)out = node;
        return KT_OK;
    case KT_JSON_TYPE_COUNT:
        break;
    }
    kt_assert(!"a type of KT_JSON_FIELD");
    return KT_ARG;
}

static const struct {
    const char *wanted;
    const char *range;
} types[KT_JSON_TYPE_COUNT] = {
    [KT_JSON_AS_BOOL] = { "true or false", "" },
    [KT_JSON_AS_I64] = { "a number", "an integer of 64 bits with sign" },
    [KT_JSON_AS_U64] = { "a number", "an integer of 64 bits, not negative" },
    [KT_JSON_AS_DECIMAL] = { "a number", "at most 18 digits behind the point and 63 bits in all" },
    [KT_JSON_AS_DECIMAL_TEXT] = { "a decimal number in a string",
        "at most 18 digits behind the point and 63 bits in all" },
    [KT_JSON_AS_DECIMAL_ANY] = { "a number, bare or in a string",
        "at most 18 digits behind the point and 63 bits in all" },
    [KT_JSON_AS_I64_ANY] = { "an integer, bare or in a string", "an integer of 64 bits with sign" },
    [KT_JSON_AS_U64_ANY] = { "an integer of at least 0, bare or in a string", "an integer of 64 bits, not negative" },
    [KT_JSON_AS_TEXT] = { "a string", "" },
    [KT_JSON_AS_ARRAY] = { "an array", "" },
    [KT_JSON_AS_OBJECT] = { "an object", "" },
    [KT_JSON_AS_ANY] = { "anything", "" },
};

/* memcmp() for names, most of them shorter than a call to it is worth. */
static inline bool name_is(const kt_json_field *field, const char *key, uint32_t size)
{
    const char *name = field->name;

    if (size != field->name_size)
        return false;
    if (size >= 8)
        return kt_swar_load(key) == kt_swar_load(name) && memcmp(key + 8, name + 8, size - 8) == 0;
    if (size == 0)
        return true;
    /* Up to seven bytes: the first, the last, and if there are more, the rest. */
    return key[0] == name[0] && key[size - 1] == name[size - 1] &&
           (size <= 2 || memcmp(key + 1, name + 1, size - 2) == 0);
}

/* The row of a key that is not where the last one led to; field_count when there is none. */
static uint32_t field_find(const kt_json_doc *doc, uint32_t key, const kt_json_field *fields, uint32_t field_count)
{
    kt_text raw = kt_json_raw(doc, key);
    bool escaped = (doc->nodes[key].flags & KT_JSON_ESCAPED) != 0;

    for (uint32_t i = 0; i < field_count; i++)
        if (escaped ? kt_json_text_is(doc, key, (kt_text){ fields[i].name, fields[i].name_size })
                    : name_is(&fields[i], raw.s, (uint32_t)raw.n))
            return i;
    return field_count;
}

static __attribute__((cold, noinline)) kt_code field_fail(
    const kt_json_doc *doc, uint32_t node, const kt_json_field *field, kt_code code, kt_json_found *found, kt_err *err)
{
    kt_text raw = kt_json_raw(doc, node);

    found->field = field->name;
    switch (code) {
    case KT_TYPE:
        if (field->type == KT_JSON_AS_TEXT || kt_json_kind_of(doc, node) != KT_JSON_STRING)
            return kt_fail(err, code, "field '%s' has the wrong type: %s is allowed, found %s", field->name,
                types[field->type].wanted, kt_json_kind_text(kt_json_kind_of(doc, node)));
        return kt_fail(err, code, "field '%s' has the wrong type: %s is allowed, found the string \"%.*s\"",
            field->name, types[field->type].wanted, (int)(raw.n < 40 ? raw.n : 40), raw.s);
    case KT_RANGE:
        return kt_fail(err, code, "field '%s' is out of range: %s is allowed, found %.*s", field->name,
            types[field->type].range, (int)(raw.n < 60 ? raw.n : 60), raw.s);
    case KT_TWICE:
        return kt_fail(err, code, "field '%s' is given twice", field->name);
    case KT_NOENT:
        return kt_fail(err, code, "field '%s' is missing", field->name);
    case KT_SYNTAX:
        return kt_fail(
            err, code, "field '%s' has an escape of half a surrogate pair, which is no character", field->name);
    default:
        return kt_fail(err, code, "field '%s': no room for its text", field->name);
    }
}

kt_code kt_json_fields(const kt_json_doc *doc, uint32_t object, const kt_json_field *fields, uint32_t field_count,
    kt_arena *arena, void *out, kt_json_found *found, kt_err *err)
{
    kt_json_found own;
    kt_json_found *result = found != NULL ? found : &own;
    const kt_json_node *nodes = doc->nodes;
    uint64_t all = field_count < KT_JSON_FIELD_MAX ? (UINT64_C(1) << field_count) - 1 : UINT64_MAX;
    uint64_t given = 0, seen = 0; /* null is given, but where it is allowed not seen */
    uint32_t unknown = 0;
    uint32_t guess = 0; /* the row behind the last one: senders keep their order */

    kt_assert(field_count <= KT_JSON_FIELD_MAX);
    *result = (kt_json_found){ 0 };
    if (nodes[object].kind != KT_JSON_OBJECT)
        return kt_fail(err, KT_TYPE, "expected an object, found %s", kt_json_kind_text(kt_json_kind_of(doc, object)));
    for (uint32_t key = object + 1, end = nodes[object].next; key < end; key = nodes[key + 1].next) {
        uint32_t value = key + 1, i = guess;
        if (i >= field_count || (nodes[key].flags & KT_JSON_ESCAPED) != 0 ||
            !name_is(&fields[i], doc->text + nodes[key].at, nodes[key].size)) {
            i = field_find(doc, key, fields, field_count);
            if (i == field_count) {
                unknown = unknown != 0 ? unknown : key;
                continue;
            }
        }
        const kt_json_field *field = &fields[i];
        uint64_t bit = UINT64_C(1) << i;
        if ((given & bit) != 0)
            return field_fail(doc, value, field, KT_TWICE, result, err);
        given |= bit;
        guess = i + 1;
        if ((field->flags & KT_JSON_NULLABLE) != 0 && nodes[value].kind == KT_JSON_NULL)
            continue;
        kt_code code = field_read(doc, value, field->type, arena, (char *)out + field->offset);
        if (code != KT_OK)
            return field_fail(doc, value, field, code, result, err);
        seen |= bit;
    }
    result->seen = seen;
    result->unknown = unknown;
    for (uint32_t i = 0; i < field_count && seen != all; i++)
        if ((seen >> i & 1) == 0 && (fields[i].flags & KT_JSON_OPTIONAL) == 0)
            return field_fail(doc, object, &fields[i], KT_NOENT, result, err);
    return KT_OK;
}

/* ---- writer ---- */

void kt_json_writer_init(kt_json_writer *writer, char *mem, size_t size)
{
    kt_assert(mem != NULL || size == 0);
    *writer = (kt_json_writer){ .s = mem, .size = size };
}

kt_code kt_json_writer_done(const kt_json_writer *writer, kt_text *out_text)
{
    kt_assert(writer->depth == 0);
    if (writer->code != KT_OK)
        return writer->code;
    *out_text = (kt_text){ writer->s, writer->n };
    return KT_OK;
}

static void put(kt_json_writer *writer, const char *s, size_t n)
{
    if (writer->code != KT_OK || n > writer->size - writer->n) {
        writer->code = KT_FULL;
        return;
    }
    memcpy(writer->s + writer->n, s, n);
    writer->n += n;
}

/* Before each value and key. */
static void separate(kt_json_writer *writer)
{
    if (writer->comma)
        put(writer, ",", 1);
    writer->comma = true;
}

static void open_with(kt_json_writer *writer, const char *bracket)
{
    separate(writer);
    put(writer, bracket, 1);
    writer->comma = false;
    writer->depth++;
}

static void close_with(kt_json_writer *writer, const char *bracket)
{
    kt_assert(writer->depth > 0);
    writer->depth--;
    put(writer, bracket, 1);
    writer->comma = true;
}

void kt_json_open_object(kt_json_writer *writer)
{
    open_with(writer, "{");
}

void kt_json_close_object(kt_json_writer *writer)
{
    close_with(writer, "}");
}

void kt_json_open_array(kt_json_writer *writer)
{
    open_with(writer, "[");
}

void kt_json_close_array(kt_json_writer *writer)
{
    close_with(writer, "]");
}

/* What stands in a string for one special byte or character at `at`; *at moves behind it. */
static void put_special(kt_json_writer *writer, const char **at, const char *end)
{
    static const char hex[] = "0123456789abcdef";
    static const char bytes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    unsigned char c = (unsigned char)**at;
    const char *known = c != 0 ? strchr(bytes, c) : NULL;

    if (c >= 0x80) {
        size_t size = kt_utf8_first(*at, (size_t)(end - *at));
        if (size == 0)
            put(writer, "\xEF\xBF\xBD", 3);
        else
            put(writer, *at, size);
        *at += size != 0 ? size : 1;
        return;
    }
    if (known != NULL)
        put(writer, (char[]){ '\\', letters[known - bytes] }, 2);
    else
        put(writer, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
    (*at)++;
}

static void put_string(kt_json_writer *writer, kt_text text)
{
    const char *at = text.s, *end = text.n != 0 ? text.s + text.n : text.s;

    put(writer, "\"", 1);
    while (at < end) {
        const char *special = plain_skip(at, end);
        if (special != at)
            put(writer, at, (size_t)(special - at));
        at = special;
        if (at < end)
            put_special(writer, &at, end);
    }
    put(writer, "\"", 1);
}

void kt_json_put_key(kt_json_writer *writer, kt_text name)
{
    separate(writer);
    put_string(writer, name);
    put(writer, ":", 1);
    writer->comma = false;
}

void kt_json_name(kt_json_writer *writer, const char *name)
{
    separate(writer);
    put(writer, "\"", 1);
    put(writer, name, strlen(name));
    put(writer, "\":", 2);
    writer->comma = false;
}

void kt_json_put_text(kt_json_writer *writer, kt_text text)
{
    separate(writer);
    put_string(writer, text);
}

void kt_json_put_raw(kt_json_writer *writer, kt_text json)
{
    separate(writer);
    put(writer, json.s, json.n);
}

void kt_json_put_bool(kt_json_writer *writer, bool value)
{
    kt_json_put_raw(writer, value ? KT_TEXT("true") : KT_TEXT("false"));
}

void kt_json_put_null(kt_json_writer *writer)
{
    kt_json_put_raw(writer, KT_TEXT("null"));
}

void kt_json_put_i64(kt_json_writer *writer, int64_t value)
{
    char digits[20];

    kt_json_put_raw(writer, (kt_text){ digits, kt_i64_format(digits, value) });
}

void kt_json_put_u64(kt_json_writer *writer, uint64_t value)
{
    char digits[20];

    kt_json_put_raw(writer, (kt_text){ digits, kt_u64_format(digits, value) });
}

/* Text that needs no escaping, as a string. */
static void put_quoted(kt_json_writer *writer, const char *s, size_t n)
{
    separate(writer);
    put(writer, "\"", 1);
    put(writer, s, n);
    put(writer, "\"", 1);
}

void kt_json_put_decimal(kt_json_writer *writer, kt_decimal value)
{
    char text[KT_DECIMAL_TEXT_MAX];

    put_quoted(writer, text, kt_decimal_format(text, sizeof text, value));
}

void kt_json_put_decimal_number(kt_json_writer *writer, kt_decimal value)
{
    char text[KT_DECIMAL_TEXT_MAX];

    kt_json_put_raw(writer, (kt_text){ text, kt_decimal_format(text, sizeof text, value) });
}

void kt_json_put_i128(kt_json_writer *writer, kt_i128 m, uint32_t scale)
{
    char text[KT_I128_TEXT_MAX];

    put_quoted(writer, text, kt_i128_format(text, sizeof text, m, scale));
}

void kt_json_put_time(kt_json_writer *writer, int64_t time_ns)
{
    char text[KT_TIME_TEXT_MAX];

    put_quoted(writer, text, kt_time_format_iso(text, sizeof text, time_ns));
}

void kt_json_put_node(kt_json_writer *writer, const kt_json_doc *doc, uint32_t node)
{
    uint32_t open[KT_JSON_DEPTH_MAX];
    uint32_t depth = 0;
    uint32_t end = doc->nodes[node].next;

    for (uint32_t at = node; at < end || depth > 0;) {
        if (depth > 0 && at == doc->nodes[open[depth - 1]].next) {
            close_with(writer, kt_json_kind_of(doc, open[--depth]) == KT_JSON_OBJECT ? "}" : "]");
            continue;
        }
        kt_text raw = kt_json_raw(doc, at);
        switch (kt_json_kind_of(doc, at)) {
        case KT_JSON_OBJECT:
        case KT_JSON_ARRAY:
            open_with(writer, kt_json_kind_of(doc, at) == KT_JSON_OBJECT ? "{" : "[");
            open[depth++] = at;
            break;
        case KT_JSON_STRING:
            put_quoted(writer, raw.s, raw.n);
            if ((doc->nodes[at].flags & KT_JSON_KEY) != 0) {
                put(writer, ":", 1);
                writer->comma = false;
            }
            break;
        default:
            kt_json_put_raw(writer, raw);
        }
        at++;
    }
}
