#include "edge/params.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "schema/config.h"

#include <stdarg.h>
#include <stdio.h>

kt_code kt_refuse(kt_refusal *out, kt_code code, const char *field, const char *fmt, ...)
{
    va_list args;

    *out = (kt_refusal){ .code = code, .word = kt_code_word(code), .retry_s = kt_code_status(code) == 503 };
    snprintf(out->field, sizeof out->field, "%s", field != NULL ? field : "");
    va_start(args, fmt);
    vsnprintf(out->message, sizeof out->message, fmt, args);
    va_end(args);
    return code;
}

/* ---- what both forms share ---- */

static kt_code unknown_field(const kt_table *table, kt_text name, kt_refusal *out)
{
    char known[512];
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    for (uint32_t i = 0; i < table->field_count; i++)
        kt_builder_format(&list, "%s%s", i == 0 ? "" : ", ", table->fields[i].name);
    kt_refuse(out, KT_ARG, NULL, "%s has no '%.*s'; it has: %s", table->name, (int)(name.n < 40 ? name.n : 40), name.s,
        table->field_count == 0 ? "no parameters" : known);
    out->word = "unknown_field";
    snprintf(out->field, sizeof out->field, "%.*s", (int)(name.n < 40 ? name.n : 40), name.s);
    return KT_ARG;
}

/* Note that a field was given. */
static kt_code see(const kt_field *field, uint64_t *seen, kt_refusal *out)
{
    uint64_t bit = UINT64_C(1) << field->number;

    kt_assert(field->number < 64);
    if ((*seen & bit) != 0)
        return kt_refuse(out, KT_TWICE, field->name, "%s is given twice", field->name);
    *seen |= bit;
    return KT_OK;
}

static kt_code check_text(const kt_field *field, const void *params, kt_refusal *out)
{
    const kt_text *text = (const kt_text *)((const uint8_t *)params + field->at);

    if (field->type == KT_FIELD_TEXT && !kt_utf8_valid(*text))
        return kt_refuse(out, KT_SYNTAX, field->name, "%s is not UTF-8", field->name);
    return KT_OK;
}

static kt_code end(const kt_table *table, uint64_t seen, kt_refusal *out)
{
    char allowed[160];

    for (uint32_t i = 0; i < table->field_count; i++) {
        const kt_field *field = &table->fields[i];

        if ((seen >> field->number & 1) != 0 || !kt_table_required(table, field))
            continue;
        kt_field_allowed(field, allowed, sizeof allowed);
        kt_refuse(out, KT_RANGE, field->name, "%s is missing: %s; allowed is %s", field->name, field->text, allowed);
        out->word = "missing_field";
        return KT_RANGE;
    }
    return KT_OK;
}

/* ---- a query ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undo percent-encoding and "+" into `out`, which has room for text.n bytes. false: a bad escape. */
static bool unescape(kt_text text, char *out, kt_text *out_text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];

        if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.s[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.s[i + 2]) : -1;

            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    *out_text = (kt_text){ out, n };
    return true;
}

static kt_code set(const kt_table *table, const kt_field *field, kt_text value, void *params, kt_refusal *out)
{
    char room[24];
    kt_err err = { 0 };
    int64_t ns;
    kt_code code;

    if (field->type == KT_FIELD_U64 && strcmp(field->unit, "ms") == 0 && kt_window_parse(value, &ns) == KT_OK)
        value = (kt_text){ room, kt_u64_format(room, (uint64_t)(ns / KT_NS_PER_MS)) };
    code = kt_table_set(table, params, kt_text_of(field->name), value, &err);
    return code == KT_OK ? check_text(field, params, out) : kt_refuse(out, code, field->name, "%s", err.msg);
}

kt_code kt_params_query(const kt_table *table, kt_text query, char *room, void *out_params, kt_refusal *out_refusal)
{
    uint64_t seen = 0;
    kt_code code = KT_OK;
    kt_text part;

    kt_table_init(table, out_params);
    if (query.n > KT_QUERY_MAX)
        return kt_refuse(
            out_refusal, KT_LIMIT, NULL, "the query has %zu bytes; at most %d are read", query.n, KT_QUERY_MAX);
    while (code == KT_OK && query.n > 0 && kt_text_cut(&query, '&', &part)) {
        kt_text value = part;
        kt_text name;

        if (part.n == 0)
            continue;
        kt_text_cut(&value, '=', &name);
        if (name.n == part.n)
            value = (kt_text){ part.s, 0 };
        if (!unescape(name, room, &name) || !unescape(value, room + name.n, &value))
            return kt_refuse(out_refusal, KT_SYNTAX, NULL,
                "'%.*s' is not percent-encoded as it should be: %% is followed by two hexadecimal digits",
                (int)(part.n < 100 ? part.n : 100), part.s);
        room += name.n + value.n;
        const kt_field *field = kt_table_field(table, name);
        if (field == NULL)
            return unknown_field(table, name, out_refusal);
        code = see(field, &seen, out_refusal);
        if (code == KT_OK)
            code = set(table, field, value, out_params, out_refusal);
    }
    return code == KT_OK ? end(table, seen, out_refusal) : code;
}

/* ---- JSON ---- */

static const kt_field *field_of_key(const kt_table *table, const kt_json_doc *doc, uint32_t key)
{
    for (uint32_t i = 0; i < table->field_count; i++)
        if (kt_json_text_is(doc, key, kt_text_of(table->fields[i].name)))
            return &table->fields[i];
    return NULL;
}

kt_code kt_params_json(const kt_table *table, const kt_json_doc *doc, uint32_t node, kt_arena *arena, void *out_params,
    kt_refusal *out_refusal)
{
    uint64_t seen = 0;
    kt_code code = KT_OK;

    kt_table_init(table, out_params);
    if (kt_json_kind_of(doc, node) != KT_JSON_OBJECT)
        return kt_refuse(out_refusal, KT_TYPE, NULL, "the parameters of %s are a JSON object; this is a %s",
            table->name, kt_json_kind_text(kt_json_kind_of(doc, node)));
    kt_json_each (doc, node, key) {
        const kt_field *field = field_of_key(table, doc, key);
        kt_err err = { 0 };

        if (field == NULL)
            return unknown_field(table, kt_json_raw(doc, key), out_refusal);
        code = see(field, &seen, out_refusal);
        if (code != KT_OK)
            return code;
        code = kt_table_set_json(table, out_params, field, doc, key + 1, arena, &err);
        if (code != KT_OK)
            return kt_refuse(out_refusal, code == KT_FULL ? KT_LIMIT : code, field->name, "%s", err.msg);
    }
    return end(table, seen, out_refusal);
}
