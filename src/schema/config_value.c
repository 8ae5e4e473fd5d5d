#include "schema/config_parts.h"

#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"

/* ---- windows ---- */

kt_code kt_window_parse(kt_text text, int64_t *out_ns)
{
    uint64_t number;
    uint64_t unit_s;
    kt_code code;

    if (text.n < 2)
        return KT_SYNTAX;
    switch (text.s[text.n - 1]) {
    case 's':
        unit_s = 1;
        break;
    case 'm':
        unit_s = 60;
        break;
    case 'h':
        unit_s = 3600;
        break;
    default:
        return KT_SYNTAX;
    }
    code = kt_text_u64((kt_text){ text.s, text.n - 1 }, &number);
    if (code != KT_OK)
        return code;
    if (number < 1 || number > 86400 / unit_s)
        return KT_RANGE;
    *out_ns = (int64_t)(number * unit_s) * KT_NS_PER_S;
    return KT_OK;
}

size_t kt_window_format(int64_t ns, char buf[KT_WINDOW_NAME_MAX])
{
    long long s = ns / KT_NS_PER_S;
    int n;

    kt_assert(ns > 0);
    kt_assert(ns % KT_NS_PER_S == 0);
    if (s % 3600 == 0)
        n = snprintf(buf, KT_WINDOW_NAME_MAX, "%lldh", s / 3600);
    else if (s % 60 == 0)
        n = snprintf(buf, KT_WINDOW_NAME_MAX, "%lldm", s / 60);
    else
        n = snprintf(buf, KT_WINDOW_NAME_MAX, "%llds", s);
    kt_assert(n > 0 && n < KT_WINDOW_NAME_MAX);
    return (size_t)n;
}

/* ---- one value ---- */

void kt_config_allowed(const kt_value_spec *spec, char *buf, size_t size)
{
    unsigned long long min = spec->min;
    unsigned long long max = spec->max;

    switch (spec->type) {
    case KT_VALUE_TEXT:
        snprintf(buf, size, "text of %llu to %llu bytes", min, max);
        break;
    case KT_VALUE_U8:
    case KT_VALUE_U32:
    case KT_VALUE_U64:
        snprintf(buf, size, "a whole number from %llu to %llu", min, max);
        break;
    case KT_VALUE_BOOL:
        snprintf(buf, size, "true or false");
        break;
    case KT_VALUE_WORDS:
        snprintf(buf, size, "a list of %llu to %llu words", min, max);
        break;
    case KT_VALUE_WINDOWS:
        snprintf(buf, size, "a list of %llu to %llu windows from 1s to 24h, such as 30s, 1m, 1h", min, max);
        break;
    case KT_VALUE_FORMAT:
        snprintf(buf, size, KT_CONFIG_FORMATS_TEXT);
        break;
    case KT_VALUE_MEMBERS:
        snprintf(buf, size, "a list of %llu to %llu pairs {venue, symbol}", min, max);
        break;
    }
}

kt_code kt_config_refuse(kt_err *err, kt_code code, const char *where, const kt_value_spec *spec, const char *what, ...)
{
    char said[100];
    char may[100];
    va_list args;

    va_start(args, what);
    vsnprintf(said, sizeof said, what, args);
    va_end(args);
    kt_config_allowed(spec, may, sizeof may);
    return kt_fail(err, code, "%s: %s: %s; allowed is %s", where, spec->name, said, may);
}

/* Control bytes and broken UTF-8 would not survive the canonical form, and no name or address has them. */
static bool printable(kt_text text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((uint8_t)text.s[i] < 0x20 || text.s[i] == 0x7F)
            return false;
    return kt_utf8_valid(text);
}

static kt_code set_text(
    kt_config *config, const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    if (!printable(text))
        return kt_config_refuse(err, KT_SYNTAX, where, spec, "holds control bytes or broken UTF-8");
    if (text.n < spec->min || text.n > spec->max)
        return kt_config_refuse(err, KT_RANGE, where, spec, "has %zu bytes", text.n);
    *(const char **)at = kt_config_copy(config, text);
    return *(const char **)at == NULL ? kt_config_no_memory(err) : KT_OK;
}

static kt_code set_number(const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    uint64_t number;
    kt_code code = kt_text_u64(text, &number);

    if (code == KT_SYNTAX)
        return kt_config_refuse(err, KT_TYPE, where, spec, "'%.*s' is no whole number", KT_CUT(text));
    if (code != KT_OK || number < spec->min || number > spec->max)
        return kt_config_refuse(err, KT_RANGE, where, spec, "'%.*s' is not allowed", KT_CUT(text));
    switch (spec->type) {
    case KT_VALUE_U8:
        *(uint8_t *)at = (uint8_t)number;
        break;
    case KT_VALUE_U32:
        *(uint32_t *)at = (uint32_t)number;
        break;
    default:
        *(uint64_t *)at = number;
    }
    return KT_OK;
}

static kt_code set_bool(const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    bool yes = kt_text_equal(text, KT_TEXT("true"));

    if (!yes && !kt_text_equal(text, KT_TEXT("false")))
        return kt_config_refuse(err, KT_TYPE, where, spec, "'%.*s' is neither", KT_CUT(text));
    *(bool *)at = yes;
    return KT_OK;
}

static kt_code set_format(const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    for (uint32_t i = 0; i < KT_COUNT(kt_config_format_names); i++) {
        if (kt_text_equal(text, kt_text_of(kt_config_format_names[i]))) {
            *(kt_config_format *)at = (kt_config_format)i;
            return KT_OK;
        }
    }
    return kt_config_refuse(err, KT_RANGE, where, spec, "'%.*s' is not known", KT_CUT(text));
}

kt_code kt_config_set_words(kt_config *config, const kt_value_spec *spec, const kt_text *words, uint32_t count,
    void *at, const char *where, kt_err *err)
{
    const char **list = kt_config_take(config, (count + 1) * sizeof *list);
    int64_t ns;

    if (list == NULL)
        return kt_config_no_memory(err);
    if (count < spec->min || count > spec->max)
        return kt_config_refuse(err, KT_RANGE, where, spec, "%u are too %s", count, count < spec->min ? "few" : "many");
    for (uint32_t i = 0; i < count; i++) {
        if (words[i].n == 0 || words[i].n > 128 || !printable(words[i]) || memchr(words[i].s, ',', words[i].n) != NULL)
            return kt_config_refuse(
                err, KT_SYNTAX, where, spec, "'%.*s' is no word of 1 to 128 bytes", KT_CUT(words[i]));
        if (spec->type == KT_VALUE_WINDOWS && kt_window_parse(words[i], &ns) != KT_OK)
            return kt_config_refuse(err, KT_SYNTAX, where, spec, "'%.*s' is no window", KT_CUT(words[i]));
        list[i] = kt_config_copy(config, words[i]);
        if (list[i] == NULL)
            return kt_config_no_memory(err);
    }
    *(kt_words *)at = (kt_words){ .at = list, .count = count };
    return KT_OK;
}

static kt_text trimmed(kt_text text)
{
    while (text.n > 0 && text.s[0] == ' ')
        text = (kt_text){ text.s + 1, text.n - 1 };
    while (text.n > 0 && text.s[text.n - 1] == ' ')
        text.n--;
    return text;
}

/* "market,keep,edge"; empty text is no word at all. */
static kt_code set_list(
    kt_config *config, const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    kt_text words[KT_CONFIG_WORD_MAX];
    uint32_t count = 0;
    kt_text rest = text;
    kt_text word;

    while (trimmed(text).n > 0 && kt_text_cut(&rest, ',', &word)) {
        if (count == KT_COUNT(words))
            return kt_config_refuse(err, KT_RANGE, where, spec, "has more than %zu words", KT_COUNT(words));
        words[count++] = trimmed(word);
    }
    return kt_config_set_words(config, spec, words, count, at, where, err);
}

kt_code kt_config_set_value(
    kt_config *config, const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    switch (spec->type) {
    case KT_VALUE_TEXT:
        return set_text(config, spec, text, at, where, err);
    case KT_VALUE_U8:
    case KT_VALUE_U32:
    case KT_VALUE_U64:
        return set_number(spec, text, at, where, err);
    case KT_VALUE_BOOL:
        return set_bool(spec, text, at, where, err);
    case KT_VALUE_WORDS:
    case KT_VALUE_WINDOWS:
        return set_list(config, spec, text, at, where, err);
    case KT_VALUE_FORMAT:
        return set_format(spec, text, at, where, err);
    case KT_VALUE_MEMBERS:
        break;
    }
    return kt_config_refuse(err, KT_TYPE, where, spec, "is one value");
}

kt_code kt_config_set_key(
    kt_config *config, uint32_t index, kt_text text, kt_config_from from, const char *where, kt_err *err)
{
    const kt_value_spec *spec = &kt_config_keys[index].value;
    kt_code code = kt_config_set_value(config, spec, text, (uint8_t *)config + spec->at, where, err);

    if (code == KT_OK) {
        config->private->origins[index].from = from;
        config->private->origins[index].where = where;
    }
    return code;
}

kt_code kt_config_set_defaults(kt_config *config, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < KT_CONFIG_KEY_COUNT; i++)
        code =
            kt_config_set_key(config, i, kt_text_of(kt_config_keys[i].value.fallback), KT_FROM_DEFAULT, "default", err);
    return code;
}
