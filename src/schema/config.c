#include "schema/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"

/* ---- the tables ---- */

typedef enum value_type {
    TYPE_TEXT,
    TYPE_U8,
    TYPE_U32,
    TYPE_U64,
    TYPE_BOOL,
    TYPE_WORDS,
    TYPE_WINDOWS,
    TYPE_FORMAT,
    TYPE_MEMBERS
} value_type;

/* A value somewhere in a struct: a key of the configuration, or a part of a venue, composite, member or ticker. */
typedef struct value_spec {
    const char *name;
    const char *fallback; /* NULL: must be given */
    const char *text;
    uint64_t min;
    uint64_t max;
    size_t at;
    value_type type;
} value_spec;

typedef struct key_spec {
    value_spec value; /* at: in kt_config */
    const char *flag;
    const char *variable;
} key_spec;

#define KEY(type_, member, key, flag_, variable_, min_, max_, fallback_, text_) \
    { .value = { .name = key,                                                   \
          .fallback = fallback_,                                                \
          .text = text_,                                                        \
          .min = min_,                                                          \
          .max = max_,                                                          \
          .at = offsetof(kt_config, member),                                    \
          .type = TYPE_##type_ },                                               \
        .flag = flag_,                                                          \
        .variable = variable_ },
static const key_spec keys[] = { KT_CONFIG_MAP(KEY) };
enum { KEY_COUNT = KT_COUNT(keys) };

#define PART(type_, owner, member, min_, max_, fallback_, text_)                         \
    {                                                                                    \
        .name = #member, .fallback = fallback_, .text = text_, .min = min_, .max = max_, \
        .at = offsetof(owner, member), .type = TYPE_##type_                              \
    }

static const value_spec venue_parts[] = {
    PART(TEXT, kt_config_venue, name, 1, 32, NULL, "small letters, digits, _ and -"),
    PART(FORMAT, kt_config_venue, format, 0, 0, NULL, "generic or binance"),
    PART(TEXT, kt_config_venue, ws_url, 1, 1000, NULL, "its stream, ws:// or wss://"),
    PART(TEXT, kt_config_venue, rest_url, 0, 1000, "", "its reliable source, http:// or https://; empty: not asked"),
    PART(WORDS, kt_config_venue, symbols, 0, KT_CONFIG_SYMBOL_MAX, "",
        "which ones; empty: all that come (generic only)"),
    PART(U32, kt_config_venue, silence_ms, 100, 86400000, "10000", "ms without a message until it is connected anew"),
    PART(U8, kt_config_venue, price_scale, 0, 18, "8", "digits of prices that the venue does not describe"),
    PART(U8, kt_config_venue, quantity_scale, 0, 18, "8", "digits of quantities that the venue does not describe"),
    PART(U32, kt_config_venue, requests_per_s, 1, 10000, "20", "requests to REST a second, at most"),
};
static const value_spec member_parts[] = {
    PART(TEXT, kt_config_member, venue, 1, 32, NULL, "name of a venue"),
    PART(TEXT, kt_config_member, symbol, 1, 128, NULL, "symbol there"),
};
static const value_spec composite_parts[] = {
    PART(TEXT, kt_config_composite, ticker, 1, 128, NULL, "name of the composite"),
    PART(MEMBERS, kt_config_composite, members, 1, KT_CONFIG_MEMBER_MAX, NULL, "venues and symbols"),
};
static const value_spec ticker_parts[] = {
    PART(TEXT, kt_config_ticker, ticker, 1, 128, NULL, "ticker of the compatible API and tables"),
    PART(TEXT, kt_config_ticker, venue, 1, 32, NULL, "name of the venue that it stands for"),
    PART(TEXT, kt_config_ticker, symbol, 1, 128, NULL, "symbol there"),
};

/* Lists of objects, which only YAML can say. */
typedef struct list_spec {
    const char *name;
    const char *text;
    const value_spec *parts;
    uint32_t part_count;
    uint32_t size; /* of one object */
    uint32_t max;
    size_t at;       /* in kt_config: pointer to the first object */
    size_t count_at; /* in kt_config: uint32_t */
} list_spec;

#define LIST(key, type, member, count_member, parts_, max_, text_)                                         \
    {                                                                                                      \
        .name = key, .text = text_, .parts = parts_, .part_count = KT_COUNT(parts_), .size = sizeof(type), \
        .max = max_, .at = offsetof(kt_config, member), .count_at = offsetof(kt_config, count_member)      \
    }
static const list_spec lists[] = {
    LIST("vwap.composites", kt_config_composite, composites, composite_count, composite_parts, KT_CONFIG_COMPOSITE_MAX,
        "average prices over several venues"),
    LIST("venues", kt_config_venue, venues, venue_count, venue_parts, KT_CONFIG_VENUE_MAX - 1, "markets to connect to"),
    LIST("compat.tickers", kt_config_ticker, tickers, ticker_count, ticker_parts, KT_CONFIG_TICKER_MAX,
        "which venue a ticker of the compatible API and tables stands for"),
};
enum { LIST_COUNT = KT_COUNT(lists), NAME_COUNT = KEY_COUNT + LIST_COUNT };

static const char *const format_names[] = { [KT_CONFIG_GENERIC] = "generic", [KT_CONFIG_BINANCE] = "binance" };
static const char *const lane_names[] = { "market", "keep", "edge" };
static const char *const level_names[] = { "error", "warn", "log", "debug", "verbose" };
static const char own_address[] = "127.0.0.1";

/* ---- memory and origins ---- */

typedef struct config_block {
    struct config_block *next;
    max_align_t bytes[];
} config_block;

typedef struct kt_config_private {
    config_block *blocks;
    uint32_t listed_venue_count; /* without the one that market.ws_url makes */
    struct {
        kt_config_from from;
        const char *where; /* "kontor.yaml:3", "environment PORT", "flag --edge.port", "default" */
    } origins[KEY_COUNT];
} kt_config_private;

/* Zeroed memory that lives as long as the configuration; NULL when there is none. */
static void *config_take(kt_config *config, size_t size)
{
    config_block *block = calloc(1, sizeof *block + size);

    if (block == NULL)
        return NULL;
    block->next = config->private->blocks;
    config->private->blocks = block;
    return block->bytes;
}

static const char *config_copy(kt_config *config, kt_text text)
{
    char *copy = config_take(config, text.n + 1);

    if (copy != NULL && text.n > 0)
        memcpy(copy, text.s, text.n);
    return copy;
}

static const char *config_printf(kt_config *config, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static const char *config_printf(kt_config *config, const char *fmt, ...)
{
    char text[KT_CONFIG_VALUE_MAX + 64];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return config_copy(config, kt_text_of(text));
}

static kt_code no_memory(kt_err *err)
{
    errno = ENOMEM;
    return kt_fail(err, KT_SYS, "configuration");
}

static kt_code config_new(kt_config **out_config, kt_err *err)
{
    kt_config *config = calloc(1, sizeof *config);
    kt_config_private *private = calloc(1, sizeof *private);

    if (config == NULL || private == NULL) {
        free(config);
        free(private);
        return no_memory(err);
    }
    config->private = private;
    *out_config = config;
    return KT_OK;
}

void kt_config_free(kt_config *config)
{
    config_block *block;

    if (config == NULL)
        return;
    block = config->private->blocks;
    while (block != NULL) {
        config_block *next = block->next;

        free(block);
        block = next;
    }
    free(config->private);
    free(config);
}

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

static void allowed(const value_spec *spec, char *buf, size_t size)
{
    unsigned long long min = spec->min;
    unsigned long long max = spec->max;

    switch (spec->type) {
    case TYPE_TEXT:
        snprintf(buf, size, "text of %llu to %llu bytes", min, max);
        break;
    case TYPE_U8:
    case TYPE_U32:
    case TYPE_U64:
        snprintf(buf, size, "a whole number from %llu to %llu", min, max);
        break;
    case TYPE_BOOL:
        snprintf(buf, size, "true or false");
        break;
    case TYPE_WORDS:
        snprintf(buf, size, "a list of %llu to %llu words", min, max);
        break;
    case TYPE_WINDOWS:
        snprintf(buf, size, "a list of %llu to %llu windows from 1s to 24h, such as 30s, 1m, 1h", min, max);
        break;
    case TYPE_FORMAT:
        snprintf(buf, size, "generic or binance");
        break;
    case TYPE_MEMBERS:
        snprintf(buf, size, "a list of %llu to %llu pairs {venue, symbol}", min, max);
        break;
    }
}

static kt_code refuse(kt_err *err, kt_code code, const char *where, const value_spec *spec, const char *what, ...)
    __attribute__((cold, format(printf, 5, 6)));

/* "kontor.yaml:3: edge.port: 'x' is not allowed; allowed is a whole number from 0 to 65535" */
static kt_code refuse(kt_err *err, kt_code code, const char *where, const value_spec *spec, const char *what, ...)
{
    char said[100];
    char may[100];
    va_list args;

    va_start(args, what);
    vsnprintf(said, sizeof said, what, args);
    va_end(args);
    allowed(spec, may, sizeof may);
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

#define CUT(text) (int)((text).n > 40 ? 40 : (text).n), ((text).s != NULL ? (text).s : "")

static kt_code set_text(
    kt_config *config, const value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    if (!printable(text))
        return refuse(err, KT_SYNTAX, where, spec, "holds control bytes or broken UTF-8");
    if (text.n < spec->min || text.n > spec->max)
        return refuse(err, KT_RANGE, where, spec, "has %zu bytes", text.n);
    *(const char **)at = config_copy(config, text);
    return *(const char **)at == NULL ? no_memory(err) : KT_OK;
}

static kt_code set_number(const value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    uint64_t number;
    kt_code code = kt_text_u64(text, &number);

    if (code == KT_SYNTAX)
        return refuse(err, KT_TYPE, where, spec, "'%.*s' is no whole number", CUT(text));
    if (code != KT_OK || number < spec->min || number > spec->max)
        return refuse(err, KT_RANGE, where, spec, "'%.*s' is not allowed", CUT(text));
    switch (spec->type) {
    case TYPE_U8:
        *(uint8_t *)at = (uint8_t)number;
        break;
    case TYPE_U32:
        *(uint32_t *)at = (uint32_t)number;
        break;
    default:
        *(uint64_t *)at = number;
    }
    return KT_OK;
}

static kt_code set_bool(const value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    bool yes = kt_text_equal(text, KT_TEXT("true"));

    if (!yes && !kt_text_equal(text, KT_TEXT("false")))
        return refuse(err, KT_TYPE, where, spec, "'%.*s' is neither", CUT(text));
    *(bool *)at = yes;
    return KT_OK;
}

static kt_code set_format(const value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    for (uint32_t i = 0; i < KT_COUNT(format_names); i++) {
        if (kt_text_equal(text, kt_text_of(format_names[i]))) {
            *(kt_config_format *)at = (kt_config_format)i;
            return KT_OK;
        }
    }
    return refuse(err, KT_RANGE, where, spec, "'%.*s' is not known", CUT(text));
}

static kt_code set_words(kt_config *config, const value_spec *spec, const kt_text *words, uint32_t count, void *at,
    const char *where, kt_err *err)
{
    const char **list = config_take(config, (count + 1) * sizeof *list);
    int64_t ns;

    if (list == NULL)
        return no_memory(err);
    if (count < spec->min || count > spec->max)
        return refuse(err, KT_RANGE, where, spec, "%u are too %s", count, count < spec->min ? "few" : "many");
    for (uint32_t i = 0; i < count; i++) {
        if (words[i].n == 0 || words[i].n > 128 || !printable(words[i]) || memchr(words[i].s, ',', words[i].n) != NULL)
            return refuse(err, KT_SYNTAX, where, spec, "'%.*s' is no word of 1 to 128 bytes", CUT(words[i]));
        if (spec->type == TYPE_WINDOWS && kt_window_parse(words[i], &ns) != KT_OK)
            return refuse(err, KT_SYNTAX, where, spec, "'%.*s' is no window", CUT(words[i]));
        list[i] = config_copy(config, words[i]);
        if (list[i] == NULL)
            return no_memory(err);
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
    kt_config *config, const value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    kt_text words[KT_CONFIG_WORD_MAX];
    uint32_t count = 0;
    kt_text rest = text;
    kt_text word;

    while (trimmed(text).n > 0 && kt_text_cut(&rest, ',', &word)) {
        if (count == KT_COUNT(words))
            return refuse(err, KT_RANGE, where, spec, "has more than %zu words", KT_COUNT(words));
        words[count++] = trimmed(word);
    }
    return set_words(config, spec, words, count, at, where, err);
}

static kt_code set_value(
    kt_config *config, const value_spec *spec, kt_text text, void *at, const char *where, kt_err *err)
{
    switch (spec->type) {
    case TYPE_TEXT:
        return set_text(config, spec, text, at, where, err);
    case TYPE_U8:
    case TYPE_U32:
    case TYPE_U64:
        return set_number(spec, text, at, where, err);
    case TYPE_BOOL:
        return set_bool(spec, text, at, where, err);
    case TYPE_WORDS:
    case TYPE_WINDOWS:
        return set_list(config, spec, text, at, where, err);
    case TYPE_FORMAT:
        return set_format(spec, text, at, where, err);
    case TYPE_MEMBERS:
        break;
    }
    return refuse(err, KT_TYPE, where, spec, "is one value");
}

static kt_code set_key(
    kt_config *config, uint32_t index, kt_text text, kt_config_from from, const char *where, kt_err *err)
{
    const value_spec *spec = &keys[index].value;
    kt_code code = set_value(config, spec, text, (uint8_t *)config + spec->at, where, err);

    if (code == KT_OK) {
        config->private->origins[index].from = from;
        config->private->origins[index].where = where;
    }
    return code;
}

static kt_code set_defaults(kt_config *config, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < KEY_COUNT; i++)
        code = set_key(config, i, kt_text_of(keys[i].value.fallback), KT_FROM_DEFAULT, "default", err);
    return code;
}

/* ---- names ---- */

static const char *name_of(uint32_t index)
{
    return index < KEY_COUNT ? keys[index].value.name : lists[index - KEY_COUNT].name;
}

/* Index of a key, behind them of a list; NAME_COUNT: none. */
static uint32_t name_index(kt_text name)
{
    uint32_t index = 0;

    while (index < NAME_COUNT && !kt_text_equal(name, kt_text_of(name_of(index))))
        index++;
    return index;
}

/* Is there a key "name.something"? */
static bool is_section(kt_text name)
{
    for (uint32_t i = 0; i < NAME_COUNT; i++)
        if (strlen(name_of(i)) > name.n && memcmp(name_of(i), name.s, name.n) == 0 && name_of(i)[name.n] == '.')
            return true;
    return false;
}

/* How many letters must be changed, put in or left out (Levenshtein); texts longer than the table are far apart. */
static uint32_t distance(kt_text a, kt_text b)
{
    enum { LENGTH_MAX = 48 };
    uint32_t row[LENGTH_MAX + 1];

    if (a.n > LENGTH_MAX || b.n > LENGTH_MAX)
        return UINT32_MAX;
    for (uint32_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (uint32_t i = 1; i <= a.n; i++) {
        uint32_t diagonal = row[0];

        row[0] = i;
        for (uint32_t j = 1; j <= b.n; j++) {
            uint32_t changed = diagonal + (a.s[i - 1] != b.s[j - 1]);

            diagonal = row[j];
            row[j] = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            if (changed < row[j])
                row[j] = changed;
        }
    }
    return row[b.n];
}

static kt_code unknown_key(kt_text name, const char *where, kt_err *err)
{
    const char *nearest = NULL;
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < NAME_COUNT; i++) {
        kt_text known = kt_text_of(name_of(i));
        const char *dot = strchr(known.s, '.');
        uint32_t far = distance(name, known);

        /* "port" is nearer to "edge.port" than its letters say */
        if (dot != NULL && kt_text_equal(name, kt_text_of(dot + 1)))
            far = 0;
        if (far < least) {
            least = far;
            nearest = known.s;
        }
    }
    if (least <= 4 && least * 2 <= name.n) /* half of it another word is no slip of the finger */
        return kt_fail(err, KT_NOENT, "%s: unknown key '%.*s'; did you mean '%s'?", where, CUT(name), nearest);
    return kt_fail(err, KT_NOENT, "%s: unknown key '%.*s'; 'kontor config' lists those there are", where, CUT(name));
}

static kt_code unknown_part(
    kt_text name, const value_spec *parts, uint32_t count, const char *list, const char *where, kt_err *err)
{
    char names[120];
    kt_builder out;

    kt_builder_init(&out, names, sizeof names);
    for (uint32_t i = 0; i < count; i++)
        kt_builder_format(&out, "%s%s", i == 0 ? "" : ", ", parts[i].name);
    return kt_fail(err, KT_NOENT, "%s: unknown key '%.*s' in %s; allowed are %s", where, CUT(name), list, names);
}

/* ---- YAML ---- */

typedef struct yaml_reader {
    kt_config *config;
    const char *name;
    yaml_document_t *document;
    kt_err *err;
    bool seen[NAME_COUNT];
} yaml_reader;

static const char *where_of(yaml_reader *reader, const yaml_node_t *node)
{
    const char *where = config_printf(reader->config, "%s:%zu", reader->name, node->start_mark.line + 1);

    return where != NULL ? where : reader->name;
}

static kt_text scalar_text(const yaml_node_t *node)
{
    return (kt_text){ (const char *)node->data.scalar.value, node->data.scalar.length };
}

static const char *node_kind(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE ? "an object" : node->type == YAML_SEQUENCE_NODE ? "a list" : "one value";
}

static kt_code read_words(
    yaml_reader *reader, const value_spec *spec, const yaml_node_t *node, void *at, const char *where)
{
    kt_text words[KT_CONFIG_SYMBOL_MAX];
    uint32_t count = 0;

    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(reader->document, *i);

        if (item->type != YAML_SCALAR_NODE)
            return refuse(reader->err, KT_TYPE, where, spec, "holds %s", node_kind(item));
        if (count == KT_COUNT(words))
            return refuse(reader->err, KT_RANGE, where, spec, "has more than %zu words", KT_COUNT(words));
        words[count++] = scalar_text(item);
    }
    return set_words(reader->config, spec, words, count, at, where, reader->err);
}

static kt_code read_objects(yaml_reader *reader, const value_spec *parts, uint32_t part_count, const char *list,
    uint32_t size, uint32_t max, const yaml_node_t *node, const void **out_first, uint32_t *out_count);

static kt_code read_value(yaml_reader *reader, const value_spec *spec, const yaml_node_t *node, void *at)
{
    const char *where = where_of(reader, node);
    bool list = spec->type == TYPE_WORDS || spec->type == TYPE_WINDOWS;
    kt_config_composite *composite;
    kt_code code;

    if (spec->type == TYPE_MEMBERS) {
        composite = (kt_config_composite *)((uint8_t *)at - offsetof(kt_config_composite, members));
        code = read_objects(reader, member_parts, KT_COUNT(member_parts), spec->name, sizeof(kt_config_member),
            KT_CONFIG_MEMBER_MAX, node, (const void **)&composite->members, &composite->member_count);
        if (code == KT_OK && composite->member_count < spec->min)
            return refuse(reader->err, KT_RANGE, where, spec, "is empty");
        return code;
    }
    if (list && node->type == YAML_SEQUENCE_NODE)
        return read_words(reader, spec, node, at, where);
    if (node->type != YAML_SCALAR_NODE)
        return refuse(reader->err, KT_TYPE, where, spec, "is %s", node_kind(node));
    if (spec->type != TYPE_TEXT && spec->type != TYPE_FORMAT && !list &&
        node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return refuse(reader->err, KT_TYPE, where, spec, "'%.*s' is text in quotes", CUT(scalar_text(node)));
    return set_value(reader->config, spec, scalar_text(node), at, where, reader->err);
}

/* One venue, composite, member or ticker. */
static kt_code read_object(yaml_reader *reader, const value_spec *parts, uint32_t part_count, const char *list,
    const yaml_node_t *node, void *object)
{
    bool seen[KT_COUNT(venue_parts)] = { false };
    const char *where = where_of(reader, node);
    kt_code code = KT_OK;

    if (node->type != YAML_MAPPING_NODE)
        return kt_fail(reader->err, KT_TYPE, "%s: %s: an element is %s; allowed is an object with %s, ...", where, list,
            node_kind(node), parts[0].name);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        uint32_t index = 0;

        if (key->type != YAML_SCALAR_NODE)
            return kt_fail(reader->err, KT_TYPE, "%s: %s: a key is %s", where_of(reader, key), list, node_kind(key));
        while (index < part_count && !kt_text_equal(scalar_text(key), kt_text_of(parts[index].name)))
            index++;
        if (index == part_count)
            return unknown_part(scalar_text(key), parts, part_count, list, where_of(reader, key), reader->err);
        if (seen[index])
            return refuse(reader->err, KT_TWICE, where_of(reader, key), &parts[index], "is given twice");
        seen[index] = true;
        code = read_value(reader, &parts[index], yaml_document_get_node(reader->document, pair->value),
            (uint8_t *)object + parts[index].at);
        if (code != KT_OK)
            return code;
    }
    for (uint32_t i = 0; code == KT_OK && i < part_count; i++) {
        if (seen[i])
            continue;
        if (parts[i].fallback == NULL)
            return refuse(reader->err, KT_NOENT, where, &parts[i], "is missing in an element of %s", list);
        code = set_value(reader->config, &parts[i], kt_text_of(parts[i].fallback), (uint8_t *)object + parts[i].at,
            where, reader->err);
    }
    return code;
}

static kt_code read_objects(yaml_reader *reader, const value_spec *parts, uint32_t part_count, const char *list,
    uint32_t size, uint32_t max, const yaml_node_t *node, const void **out_first, uint32_t *out_count)
{
    const char *where = where_of(reader, node);
    uint32_t index = 0;
    kt_code code = KT_OK;
    uint8_t *objects;
    size_t count;

    if (node->type != YAML_SEQUENCE_NODE)
        return kt_fail(reader->err, KT_TYPE, "%s: %s: is %s; allowed is a list of objects with %s, ...", where, list,
            node_kind(node), parts[0].name);
    count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count > max)
        return kt_fail(
            reader->err, KT_RANGE, "%s: %s: has %zu elements; allowed are at most %u", where, list, count, max);
    objects = config_take(reader->config, (count + 1) * size); /* one more: the venue of market.ws_url */
    if (objects == NULL)
        return no_memory(reader->err);
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         code == KT_OK && i < node->data.sequence.items.top; i++)
        code = read_object(reader, parts, part_count, list, yaml_document_get_node(reader->document, *i),
            objects + (size_t)size * index++);
    *out_first = objects;
    *out_count = (uint32_t)count;
    return code;
}

static kt_code read_name(yaml_reader *reader, uint32_t index, const yaml_node_t *key, const yaml_node_t *value)
{
    const char *where = where_of(reader, key);
    const list_spec *list;
    kt_code code;

    if (reader->seen[index])
        return kt_fail(reader->err, KT_TWICE, "%s: key '%s' is given twice; once is allowed", where, name_of(index));
    reader->seen[index] = true;
    if (index < KEY_COUNT) {
        code = read_value(reader, &keys[index].value, value, (uint8_t *)reader->config + keys[index].value.at);
        if (code == KT_OK) {
            reader->config->private->origins[index].from = KT_FROM_FILE;
            reader->config->private->origins[index].where = where;
        }
        return code;
    }
    list = &lists[index - KEY_COUNT];
    return read_objects(reader, list->parts, list->part_count, list->name, list->size, list->max, value,
        (const void **)((uint8_t *)reader->config + list->at),
        (uint32_t *)((uint8_t *)reader->config + list->count_at));
}

/* The keys of the file (prefix "") or of a section (prefix "edge."). */
static kt_code read_keys(yaml_reader *reader, const char *prefix, const yaml_node_t *node)
{
    kt_text sections[NAME_COUNT];
    uint32_t section_count = 0;

    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(reader->document, pair->value);
        const char *where = where_of(reader, key);
        char name[KT_CONFIG_VALUE_MAX];
        uint32_t index;
        kt_code code;

        if (key->type != YAML_SCALAR_NODE)
            return kt_fail(reader->err, KT_TYPE, "%s: a key is %s; allowed is a word", where, node_kind(key));
        snprintf(name, sizeof name, "%s%.*s", prefix, CUT(scalar_text(key)));
        if (prefix[0] == '\0' && is_section(scalar_text(key))) {
            for (uint32_t i = 0; i < section_count; i++)
                if (kt_text_equal(sections[i], scalar_text(key)))
                    return kt_fail(reader->err, KT_TWICE, "%s: key '%s' is given twice; once is allowed", where, name);
            sections[section_count++] = scalar_text(key);
            if (value->type != YAML_MAPPING_NODE)
                return kt_fail(
                    reader->err, KT_TYPE, "%s: %s: is %s; allowed is an object of keys", where, name, node_kind(value));
            strcat(name, ".");
            code = read_keys(reader, name, value);
        } else {
            index = name_index(kt_text_of(name));
            if (index == NAME_COUNT)
                return unknown_key(kt_text_of(name), where, reader->err);
            code = read_name(reader, index, key, value);
        }
        if (code != KT_OK)
            return code;
    }
    return KT_OK;
}

static kt_code read_document(kt_config *config, const char *name, yaml_document_t *document, kt_err *err)
{
    yaml_reader reader = { .config = config, .name = name, .document = document, .err = err };
    const yaml_node_t *root = yaml_document_get_root_node(document);

    if (root == NULL || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
        return KT_OK; /* an empty file says nothing */
    if (root->type != YAML_MAPPING_NODE)
        return kt_fail(err, KT_TYPE, "%s:1: the file is %s; allowed is an object of keys", name, node_kind(root));
    return read_keys(&reader, "", root);
}

static kt_code read_yaml(kt_config *config, const char *name, const char *yaml, size_t size, kt_err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    yaml_document_t second;
    kt_code code;

    if (!yaml_parser_initialize(&parser))
        return no_memory(err);
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    if (!yaml_parser_load(&parser, &document)) {
        code = kt_fail(err, KT_SYNTAX, "%s:%zu: no valid YAML: %s", name, parser.problem_mark.line + 1,
            parser.problem != NULL ? parser.problem : "it can not be read");
        goto out;
    }
    code = read_document(config, name, &document, err);
    yaml_document_delete(&document);
    if (code != KT_OK)
        goto out;
    if (!yaml_parser_load(&parser, &second)) {
        code = kt_fail(err, KT_SYNTAX, "%s:%zu: no valid YAML: %s", name, parser.problem_mark.line + 1,
            parser.problem != NULL ? parser.problem : "it can not be read");
        goto out;
    }
    if (yaml_document_get_root_node(&second) != NULL)
        code = kt_fail(
            err, KT_SYNTAX, "%s:%zu: a second document begins; one is allowed", name, second.start_mark.line + 1);
    yaml_document_delete(&second);
out:
    yaml_parser_delete(&parser);
    return code;
}

static kt_code read_file(kt_config *config, const char *path, kt_err *err)
{
    char *text = malloc(KT_CONFIG_FILE_MAX + 1);
    FILE *file = fopen(path, "re");
    kt_code code = KT_OK;
    size_t size;

    if (text == NULL || file == NULL) {
        code = kt_fail(err, KT_SYS, "cannot open configuration '%s'", path);
        goto out;
    }
    size = fread(text, 1, KT_CONFIG_FILE_MAX + 1, file);
    if (ferror(file))
        code = kt_fail(err, KT_SYS, "cannot read configuration '%s'", path);
    else if (size > KT_CONFIG_FILE_MAX)
        code = kt_fail(err, KT_LIMIT, "configuration '%s' is larger than %d bytes", path, KT_CONFIG_FILE_MAX);
    else
        code = read_yaml(config, path, text, size, err);
out:
    if (file != NULL)
        fclose(file);
    free(text);
    return code;
}

/* ---- environment and flags ---- */

/* edge.port -> KONTOR_EDGE_PORT */
static void variable_name(const char *key, char *buf, size_t size)
{
    int n = snprintf(buf, size, "KONTOR_%s", key);

    kt_assert(n > 0 && (size_t)n < size);
    for (char *c = buf; *c != '\0'; c++)
        *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
}

/* Value of a variable; NULL: not there, or empty, which counts as not there since that is how compose files say it. */
static const char *variable(char *const *env, const char *name)
{
    size_t n = strlen(name);

    for (uint32_t i = 0; env != NULL && env[i] != NULL; i++)
        if (strncmp(env[i], name, n) == 0 && env[i][n] == '=' && env[i][n + 1] != '\0')
            return env[i] + n + 1;
    return NULL;
}

/* Other variables named KONTOR_ are not an error: orchestrators make some of their own for each service. */
static kt_code read_environment(kt_config *config, char *const *env, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < KEY_COUNT; i++) {
        char own[64];
        const char *name = own;
        const char *value;
        const char *where;

        variable_name(keys[i].value.name, own, sizeof own);
        value = variable(env, own);
        if (value == NULL && keys[i].variable[0] != '\0') {
            name = keys[i].variable;
            value = variable(env, name);
        }
        if (value == NULL)
            continue;
        where = config_printf(config, "environment %s", name);
        code = where == NULL ? no_memory(err) : set_key(config, i, kt_text_of(value), KT_FROM_ENVIRONMENT, where, err);
    }
    return code;
}

typedef struct flag_words {
    int argc;
    char *const *argv;
    int next;
    bool only_words; /* behind "--" */
} flag_words;

typedef struct one_flag {
    kt_text name;      /* without dashes; empty: a word that is no flag */
    const char *word;  /* as it stands */
    const char *value; /* behind "=", or NULL */
} one_flag;

static bool next_flag(flag_words *flags, one_flag *out_flag)
{
    const char *word;
    const char *equals;

    if (flags->next < flags->argc && !flags->only_words && strcmp(flags->argv[flags->next], "--") == 0) {
        flags->only_words = true;
        flags->next++;
    }
    if (flags->next >= flags->argc)
        return false;
    word = flags->argv[flags->next++];
    *out_flag = (one_flag){ .word = word };
    if (flags->only_words || word[0] != '-' || word[1] == '\0')
        return true;
    out_flag->name = kt_text_of(word[1] == '-' ? word + 2 : word + 1);
    equals = strchr(out_flag->name.s, '=');
    if (equals != NULL) {
        out_flag->value = equals + 1;
        out_flag->name.n = (size_t)(equals - out_flag->name.s);
    }
    return true;
}

static bool flag_is(const one_flag *flag, const char *name, const char *letter)
{
    bool is_long = flag->word[1] == '-';

    return is_long ? kt_text_equal(flag->name, kt_text_of(name))
                   : letter[0] != '\0' && kt_text_equal(flag->name, kt_text_of(letter));
}

/* The value of a flag: behind "=", or the next word. A switch may stand alone and then means true. */
static const char *flag_value(flag_words *flags, const one_flag *flag, bool is_switch)
{
    const char *next = flags->next < flags->argc ? flags->argv[flags->next] : NULL;

    if (flag->value != NULL)
        return flag->value;
    if (is_switch && (next == NULL || (strcmp(next, "true") != 0 && strcmp(next, "false") != 0)))
        return "true";
    if (next != NULL)
        flags->next++;
    return next;
}

static uint32_t flag_key(const one_flag *flag)
{
    uint32_t index = 0;

    while (index < KEY_COUNT && !flag_is(flag, keys[index].value.name, keys[index].flag))
        index++;
    return index;
}

static kt_code unknown_flag(const one_flag *flag, kt_err *err)
{
    uint32_t index = name_index(flag->name);
    char where[80];

    snprintf(where, sizeof where, "flag %.40s", flag->word);
    if (index != NAME_COUNT)
        return kt_fail(err, KT_ARG, "%s: a list of objects can only be given in the YAML file", where);
    unknown_key(flag->name, where, err);
    if (err != NULL)
        err->code = KT_ARG;
    return KT_ARG;
}

/* `apply` false: only look for --config, which must be read before the other flags go over it. */
static kt_code read_flags(
    kt_config *config, int argc, char *const *argv, bool apply, const char **out_file, kt_err *err)
{
    flag_words flags = { .argc = argc, .argv = argv };
    bool seen[KEY_COUNT] = { false };
    bool file_seen = false;
    one_flag flag;

    while (next_flag(&flags, &flag)) {
        uint32_t index;
        const char *value;
        const char *where;
        kt_code code;

        if (flag.name.s == NULL) {
            if (apply && config->rest_count == KT_CONFIG_REST_MAX)
                return kt_fail(err, KT_ARG, "'%.40s': more than %d words", flag.word, KT_CONFIG_REST_MAX);
            if (apply)
                config->rest[config->rest_count++] = flag.word;
            continue;
        }
        if (flag_is(&flag, "help", "h") && flag.value == NULL) {
            config->help = true;
            continue;
        }
        if (flag_is(&flag, "config", "c")) {
            *out_file = flag_value(&flags, &flag, false);
            if (*out_file == NULL || file_seen)
                return kt_fail(err, KT_ARG, "flag %.40s: %s", flag.word,
                    file_seen ? "is given twice; once is allowed" : "needs the name of a YAML file");
            file_seen = true;
            continue;
        }
        index = flag_key(&flag);
        if (index == KEY_COUNT)
            return unknown_flag(&flag, err);
        where = config_printf(config, "flag %s%s", flag.word[1] == '-' ? "--" : "-",
            flag.word[1] == '-' ? keys[index].value.name : keys[index].flag);
        if (where == NULL)
            return no_memory(err);
        if (seen[index])
            return refuse(err, KT_ARG, where, &keys[index].value, "is given twice");
        seen[index] = true;
        value = flag_value(&flags, &flag, keys[index].value.type == TYPE_BOOL);
        if (value == NULL)
            return refuse(err, KT_ARG, where, &keys[index].value, "has no value");
        code = apply ? set_key(config, index, kt_text_of(value), KT_FROM_FLAG, where, err) : KT_OK;
        if (code != KT_OK)
            return code;
    }
    return KT_OK;
}

/* ---- what holds between values ---- */

static uint32_t key_of_member(const void *config, const void *member)
{
    size_t at = (size_t)((const uint8_t *)member - (const uint8_t *)config);
    uint32_t index = 0;

    while (index < KEY_COUNT && keys[index].value.at != at)
        index++;
    kt_assert(index < KEY_COUNT);
    return index;
}

/* The name and origin of a key by its member, for messages. */
#define WHERE(config, member) (config)->private->origins[key_of_member((config), &(config)->member)].where

static bool one_of(const char *word, const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return true;
    return false;
}

static kt_code check_names(
    const kt_config *config, const kt_words *words, const char *const *names, uint32_t count, kt_err *err)
{
    uint32_t key = key_of_member(config, words);
    const char *where = config->private->origins[key].where;
    const char *name = keys[key].value.name;

    for (uint32_t i = 0; i < words->count; i++) {
        if (!one_of(words->at[i], names, count))
            return kt_fail(
                err, KT_RANGE, "%s: %s: '%.40s' is not known; %s", where, name, words->at[i], keys[key].value.text);
        if (one_of(words->at[i], words->at, i))
            return kt_fail(err, KT_TWICE, "%s: %s: '%s' is given twice", where, name, words->at[i]);
    }
    return KT_OK;
}

static kt_code check_host(const kt_config *config, kt_err *err)
{
    if (strcmp(config->edge_host, own_address) == 0)
        return KT_OK;
    return kt_fail(err, KT_RANGE,
        "%s: edge.host: '%.60s' is refused: clients can not be told apart yet, so nobody but this machine may connect; "
        "allowed is %s",
        WHERE(config, edge_host), config->edge_host, own_address);
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0 && strlen(text) > strlen(prefix);
}

static kt_code check_url(const char *what, const char *url, const char *plain, const char *secure, kt_err *err)
{
    if (starts(url, plain) || starts(url, secure))
        return KT_OK;
    return kt_fail(
        err, KT_SYNTAX, "%s: '%.80s' is no address of the form %sHOST:PORT/PATH or %s...", what, url, plain, secure);
}

static bool is_venue_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '-'))
            return false;
    return true;
}

const kt_config_venue *kt_config_venue_of(const kt_config *config, kt_text name)
{
    for (uint32_t i = 0; i < config->venue_count; i++)
        if (kt_text_equal(name, kt_text_of(config->venues[i].name)))
            return &config->venues[i];
    return NULL;
}

static kt_code check_venue(const kt_config *config, uint32_t index, kt_err *err)
{
    const kt_config_venue *venue = &config->venues[index];
    char what[64];
    kt_code code;

    snprintf(what, sizeof what, "venues[%u] %.32s", index, venue->name);
    if (!is_venue_name(venue->name))
        return kt_fail(err, KT_SYNTAX, "%s: name: allowed are small letters, digits, _ and -", what);
    if (kt_config_venue_of(config, kt_text_of(venue->name)) != venue)
        return kt_fail(err, KT_TWICE, "%s: name: another venue has it already", what);
    code = check_url(what, venue->ws_url, "ws://", "wss://", err);
    if (code == KT_OK && venue->rest_url[0] != '\0')
        code = check_url(what, venue->rest_url, "http://", "https://", err);
    if (code != KT_OK)
        return code;
    if (venue->format == KT_CONFIG_BINANCE && venue->symbols.count == 0)
        return kt_fail(err, KT_NOENT, "%s: symbols: this format needs to be told which", what);
    for (uint32_t i = 0; i < venue->symbols.count; i++)
        if (one_of(venue->symbols.at[i], venue->symbols.at, i))
            return kt_fail(err, KT_TWICE, "%s: symbols: '%.60s' is given twice", what, venue->symbols.at[i]);
    return KT_OK;
}

static kt_code check_pair(
    const kt_config *config, const char *what, const char *ticker, const char *venue, const char *symbol, kt_err *err)
{
    const kt_config_venue *known = kt_config_venue_of(config, kt_text_of(venue));

    if (known == NULL)
        return kt_fail(err, KT_NOENT, "%s '%.40s': venue '%s' is not among the venues", what, ticker, venue);
    if (known->symbols.count > 0 && !one_of(symbol, known->symbols.at, known->symbols.count))
        return kt_fail(
            err, KT_NOENT, "%s '%.40s': symbol '%.40s' is not among the symbols of %s", what, ticker, symbol, venue);
    return KT_OK;
}

static kt_code check_composites(const kt_config *config, kt_err *err)
{
    for (uint32_t i = 0; i < config->composite_count; i++) {
        const kt_config_composite *composite = &config->composites[i];

        for (uint32_t j = 0; j < i; j++)
            if (strcmp(config->composites[j].ticker, composite->ticker) == 0)
                return kt_fail(err, KT_TWICE, "vwap.composites: ticker '%.40s' is given twice", composite->ticker);
        for (uint32_t j = 0; j < composite->member_count; j++) {
            kt_code code = check_pair(config, "vwap.composites: ticker", composite->ticker, composite->members[j].venue,
                composite->members[j].symbol, err);

            if (code != KT_OK)
                return code;
        }
    }
    return KT_OK;
}

static kt_code check_tickers(const kt_config *config, kt_err *err)
{
    for (uint32_t i = 0; i < config->ticker_count; i++) {
        const kt_config_ticker *ticker = &config->tickers[i];
        kt_code code = check_pair(config, "compat.tickers: ticker", ticker->ticker, ticker->venue, ticker->symbol, err);

        if (code != KT_OK)
            return code;
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(config->tickers[j].ticker, ticker->ticker) == 0)
                return kt_fail(err, KT_TWICE, "compat.tickers: ticker '%.40s' is given twice", ticker->ticker);
    }
    return KT_OK;
}

/* market.ws_url and market.rest_url are one more venue. */
static kt_code add_market(kt_config *config, kt_err *err)
{
    kt_config_venue *venues = (kt_config_venue *)config->venues;

    config->private->listed_venue_count = config->venue_count;
    if (config->market_ws_url[0] == '\0' && config->market_rest_url[0] == '\0')
        return KT_OK;
    if (config->market_ws_url[0] == '\0')
        return kt_fail(err, KT_NOENT, "%s: market.rest_url is given, but market.ws_url is not; both are needed",
            WHERE(config, market_rest_url));
    if (config->market_rest_url[0] == '\0')
        return kt_fail(err, KT_NOENT, "%s: market.ws_url is given, but market.rest_url is not; both are needed",
            WHERE(config, market_ws_url));
    if (venues == NULL)
        venues = config_take(config, sizeof *venues);
    if (venues == NULL)
        return no_memory(err);
    config->venues = venues; /* read_objects left room for one more */
    for (uint32_t i = 0; i < KT_COUNT(venue_parts); i++) {
        const value_spec *part = &venue_parts[i];
        kt_code code = part->fallback == NULL ? KT_OK
                                              : set_value(config, part, kt_text_of(part->fallback),
                                                    (uint8_t *)&venues[config->venue_count] + part->at, "market", err);

        if (code != KT_OK)
            return code;
    }
    venues[config->venue_count].name = "market";
    venues[config->venue_count].format = KT_CONFIG_GENERIC;
    venues[config->venue_count].ws_url = config->market_ws_url;
    venues[config->venue_count].rest_url = config->market_rest_url;
    config->venue_count++;
    return KT_OK;
}

static void add_window(kt_config *config, int64_t ns)
{
    uint32_t at = 0;

    while (at < config->window_count && config->windows_ns[at] < ns)
        at++;
    if (at < config->window_count && config->windows_ns[at] == ns)
        return;
    kt_assert(config->window_count < KT_CONFIG_WINDOW_MAX);
    memmove(&config->windows_ns[at + 1], &config->windows_ns[at],
        (config->window_count - at) * sizeof config->windows_ns[0]);
    config->windows_ns[at] = ns;
    config->window_count++;
}

static kt_code derive_windows(kt_config *config, kt_err *err)
{
    char name[KT_WINDOW_NAME_MAX];
    int64_t ns;

    if (config->vwap_interval_ms % 1000 != 0)
        return kt_fail(err, KT_RANGE,
            "%s: vwap.interval_ms: %u is not allowed; allowed are whole seconds, such as 300000",
            WHERE(config, vwap_interval_ms), config->vwap_interval_ms);
    config->interval_ns = (int64_t)config->vwap_interval_ms * KT_NS_PER_MS;
    add_window(config, config->interval_ns);
    for (uint32_t i = 0; i < config->vwap_windows.count; i++) {
        kt_code code = kt_window_parse(kt_text_of(config->vwap_windows.at[i]), &ns);

        kt_assert(code == KT_OK); /* was checked when it was set */
        add_window(config, ns);
    }
    for (uint32_t i = 0; i < config->window_count; i++) {
        kt_window_format(config->windows_ns[i], name);
        config->window_names[i] = config_copy(config, kt_text_of(name));
        if (config->window_names[i] == NULL)
            return no_memory(err);
        if (config->windows_ns[i] == config->interval_ns)
            config->interval_name = config->window_names[i];
    }
    return KT_OK;
}

static kt_code config_finish(kt_config *config, kt_err *err)
{
    kt_code code = check_names(config, &config->lanes, lane_names, KT_COUNT(lane_names), err);

    if (code == KT_OK)
        code = check_names(config, &config->diag_levels, level_names, KT_COUNT(level_names), err);
    if (code == KT_OK)
        code = check_host(config, err);
    if (code == KT_OK && config->gather_backoff_min_ms > config->gather_backoff_max_ms)
        code = kt_fail(err, KT_RANGE,
            "%s: gather.backoff_min_ms: %u is not allowed; allowed is at most gather.backoff_max_ms, %u",
            WHERE(config, gather_backoff_min_ms), config->gather_backoff_min_ms, config->gather_backoff_max_ms);
    if (code == KT_OK)
        code = add_market(config, err);
    for (uint32_t i = 0; code == KT_OK && i < config->venue_count; i++)
        code = check_venue(config, i, err);
    if (code == KT_OK)
        code = check_composites(config, err);
    if (code == KT_OK)
        code = check_tickers(config, err);
    if (code == KT_OK)
        code = derive_windows(config, err);
    if (code != KT_OK)
        return code;
    config->store_file =
        config->store_path[0] != '\0' ? config->store_path : config_printf(config, "%s/store.db", config->data);
    return config->store_file == NULL ? no_memory(err) : KT_OK;
}

kt_code kt_config_load(int argc, char *const *argv, char *const *env, kt_config **out_config, kt_err *err)
{
    kt_config *config = NULL;
    const char *file = variable(env, "KONTOR_CONFIG");
    kt_code code = config_new(&config, err);

    if (code != KT_OK)
        return code;
    code = read_flags(config, argc, argv, false, &file, err);
    if (code == KT_OK)
        code = set_defaults(config, err);
    if (code == KT_OK && file != NULL) {
        config->file = config_copy(config, kt_text_of(file));
        code = config->file == NULL ? no_memory(err) : read_file(config, config->file, err);
    }
    if (code == KT_OK)
        code = read_environment(config, env, err);
    if (code == KT_OK)
        code = read_flags(config, argc, argv, true, &file, err);
    if (code == KT_OK)
        code = config_finish(config, err);
    if (code == KT_OK) {
        *out_config = config;
        config = NULL;
    }
    kt_config_free(config);
    return code;
}

kt_code kt_config_parse(const char *name, const char *yaml, size_t size, kt_config **out_config, kt_err *err)
{
    kt_config *config = NULL;
    kt_code code = config_new(&config, err);

    if (code != KT_OK)
        return code;
    code = set_defaults(config, err);
    if (code == KT_OK && size > KT_CONFIG_FILE_MAX)
        code = kt_fail(err, KT_LIMIT, "configuration '%s' is larger than %d bytes", name, KT_CONFIG_FILE_MAX);
    if (code == KT_OK)
        code = read_yaml(config, name, yaml, size, err);
    if (code == KT_OK)
        code = config_finish(config, err);
    if (code == KT_OK) {
        *out_config = config;
        config = NULL;
    }
    kt_config_free(config);
    return code;
}

/* ---- out ---- */

/* In double quotes; what is not ASCII is escaped, since YAML refuses some characters as they are. */
static void put_quoted(kt_builder *out, const char *text)
{
    const uint8_t *c = (const uint8_t *)text;

    kt_builder_char(out, '"');
    while (*c != '\0') {
        uint32_t point = *c;
        uint32_t more = point < 0x80 ? 0 : point < 0xE0 ? 1 : point < 0xF0 ? 2 : 3;

        if (more == 0) {
            if (point == '"' || point == '\\')
                kt_builder_char(out, '\\');
            kt_builder_char(out, (char)point);
        } else {
            point &= 0x3FU >> more;
            for (uint32_t i = 1; i <= more; i++)
                point = point << 6 | (c[i] & 0x3F);
            kt_builder_format(out, "\\U%08X", point);
        }
        c += 1 + more;
    }
    kt_builder_char(out, '"');
}

static void put_parts(kt_builder *out, const value_spec *parts, uint32_t count, const void *object);

static void put_value(kt_builder *out, const value_spec *spec, const void *at)
{
    const kt_config_composite *composite;
    const kt_words *words;

    switch (spec->type) {
    case TYPE_TEXT:
        put_quoted(out, *(const char *const *)at);
        break;
    case TYPE_U8:
        kt_builder_u64(out, *(const uint8_t *)at);
        break;
    case TYPE_U32:
        kt_builder_u64(out, *(const uint32_t *)at);
        break;
    case TYPE_U64:
        kt_builder_u64(out, *(const uint64_t *)at);
        break;
    case TYPE_BOOL:
        kt_builder_str(out, *(const bool *)at ? "true" : "false");
        break;
    case TYPE_FORMAT:
        kt_builder_str(out, format_names[*(const kt_config_format *)at]);
        break;
    case TYPE_WORDS:
    case TYPE_WINDOWS:
        words = at;
        kt_builder_char(out, '[');
        for (uint32_t i = 0; i < words->count; i++) {
            kt_builder_str(out, i == 0 ? "" : ", ");
            put_quoted(out, words->at[i]);
        }
        kt_builder_char(out, ']');
        break;
    case TYPE_MEMBERS:
        composite = (const kt_config_composite *)((const uint8_t *)at - offsetof(kt_config_composite, members));
        kt_builder_char(out, '[');
        for (uint32_t i = 0; i < composite->member_count; i++) {
            kt_builder_str(out, i == 0 ? "" : ", ");
            put_parts(out, member_parts, KT_COUNT(member_parts), &composite->members[i]);
        }
        kt_builder_char(out, ']');
        break;
    }
}

static void put_parts(kt_builder *out, const value_spec *parts, uint32_t count, const void *object)
{
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_format(out, "%s%s: ", i == 0 ? "{" : ", ", parts[i].name);
        put_value(out, &parts[i], (const uint8_t *)object + parts[i].at);
    }
    kt_builder_char(out, '}');
}

static size_t section_size(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot == NULL ? 0 : (size_t)(dot - name);
}

/* The line "edge:" where a section begins, then the name behind the dot, indented. */
static void put_name(kt_builder *out, const char *name, const char *before)
{
    size_t n = section_size(name);

    if (n > 0 && (before == NULL || section_size(before) != n || strncmp(before, name, n) != 0))
        kt_builder_format(out, "%.*s:\n", (int)n, name);
    kt_builder_format(out, "%s%s:", n > 0 ? "  " : "", n > 0 ? name + n + 1 : name);
}

static void put_list(kt_builder *out, const kt_config *config, const list_spec *list)
{
    const uint8_t *first = *(const uint8_t *const *)((const uint8_t *)config + list->at);
    uint32_t count = *(const uint32_t *)((const uint8_t *)config + list->count_at);

    if (list->parts == venue_parts)
        count = config->private->listed_venue_count;
    kt_builder_str(out, count == 0 ? " []\n" : "\n");
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_str(out, "    - ");
        put_parts(out, list->parts, list->part_count, first + (size_t)list->size * i);
        kt_builder_char(out, '\n');
    }
}

/* Lists stand behind the last key of their section, or at the end. */
static void put_lists_of(kt_builder *out, const kt_config *config, const char *name, const char *next)
{
    size_t n = section_size(name);

    for (uint32_t i = 0; i < LIST_COUNT; i++) {
        bool same = n > 0 && section_size(lists[i].name) == n && strncmp(lists[i].name, name, n) == 0;
        bool last = next == NULL || section_size(next) != n || strncmp(next, name, n) != 0;

        if (same && last) {
            put_name(out, lists[i].name, name);
            put_list(out, config, &lists[i]);
        }
    }
}

static bool section_has_keys(const char *name)
{
    size_t n = section_size(name);

    for (uint32_t i = 0; n > 0 && i < KEY_COUNT; i++)
        if (section_size(keys[i].value.name) == n && strncmp(keys[i].value.name, name, n) == 0)
            return true;
    return false;
}

kt_code kt_config_text(const kt_config *config, char *buf, size_t size, size_t *out_length)
{
    kt_builder out;

    if (size == 0)
        return KT_FULL;
    kt_builder_init(&out, buf, size);
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        const value_spec *spec = &keys[i].value;

        put_name(&out, spec->name, i == 0 ? NULL : keys[i - 1].value.name);
        kt_builder_char(&out, ' ');
        put_value(&out, spec, (const uint8_t *)config + spec->at);
        kt_builder_char(&out, '\n');
        put_lists_of(&out, config, spec->name, i + 1 == KEY_COUNT ? NULL : keys[i + 1].value.name);
    }
    for (uint32_t i = 0; i < LIST_COUNT; i++) {
        if (section_has_keys(lists[i].name))
            continue;
        put_name(&out, lists[i].name, NULL);
        put_list(&out, config, &lists[i]);
    }
    if (out.code == KT_OK)
        *out_length = out.n;
    return out.code;
}

void kt_config_list(const kt_config *config, FILE *out)
{
    char value[8 * KT_CONFIG_VALUE_MAX];
    kt_builder text;

    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        kt_builder_init(&text, value, sizeof value);
        put_value(&text, &keys[i].value, (const uint8_t *)config + keys[i].value.at);
        fprintf(out, "%-28s %-32s # %s\n", keys[i].value.name, value, config->private->origins[i].where);
    }
    for (uint32_t i = 0; i < LIST_COUNT; i++) {
        const uint8_t *first = *(const uint8_t *const *)((const uint8_t *)config + lists[i].at);
        uint32_t count = *(const uint32_t *)((const uint8_t *)config + lists[i].count_at);

        for (uint32_t j = 0; j < count; j++) {
            kt_builder_init(&text, value, sizeof value);
            put_parts(&text, lists[i].parts, lists[i].part_count, first + (size_t)lists[i].size * j);
            fprintf(out, "%s[%u] %s%s\n", lists[i].name, j, value, text.code == KT_OK ? "" : "...");
        }
    }
}

static void help_line(FILE *out, const char *name, const value_spec *spec)
{
    char may[100];

    allowed(spec, may, sizeof may);
    fprintf(out, "  %-32s %s\n  %-32s   %s%s%s\n", name, spec->text, "", may,
        spec->fallback != NULL ? "; default " : "; required",
        spec->fallback == NULL      ? ""
        : spec->fallback[0] == '\0' ? "empty"
                                    : spec->fallback);
}

void kt_config_help(FILE *out)
{
    fprintf(out, "Configuration: flags go over the environment, the environment over the YAML file (--config FILE).\n"
                 "Each key is a flag (--edge.port 3000), a variable (KONTOR_EDGE_PORT) and a line in YAML.\n\n");
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        char name[100];
        int n = snprintf(name, sizeof name, "--%s", keys[i].value.name);

        if (keys[i].flag[0] != '\0')
            n += snprintf(name + n, sizeof name - (size_t)n, ", -%s", keys[i].flag);
        if (keys[i].variable[0] != '\0')
            snprintf(name + n, sizeof name - (size_t)n, ", %s", keys[i].variable);
        help_line(out, name, &keys[i].value);
    }
    fprintf(out, "\nOnly in YAML:\n");
    for (uint32_t i = 0; i < LIST_COUNT; i++) {
        fprintf(out, "  %s: %s; at most %u\n", lists[i].name, lists[i].text, lists[i].max);
        for (uint32_t j = 0; j < lists[i].part_count; j++) {
            char name[40];

            snprintf(name, sizeof name, "  %s", lists[i].parts[j].name);
            help_line(out, name, &lists[i].parts[j]);
        }
    }
}

kt_config_from kt_config_origin(const kt_config *config, const char *key)
{
    uint32_t index = name_index(kt_text_of(key));

    kt_assert(index < KEY_COUNT);
    return config->private->origins[index].from;
}

kt_code kt_config_ticker_of(const kt_config *config, kt_text ticker, kt_text *out_venue, kt_text *out_symbol)
{
    for (uint32_t i = 0; i < config->ticker_count; i++) {
        if (kt_text_equal(ticker, kt_text_of(config->tickers[i].ticker))) {
            *out_venue = kt_text_of(config->tickers[i].venue);
            *out_symbol = kt_text_of(config->tickers[i].symbol);
            return KT_OK;
        }
    }
    for (uint32_t i = 0; i < config->venue_count; i++) {
        const kt_config_venue *venue = &config->venues[i];
        bool takes = venue->symbols.count == 0;

        for (uint32_t j = 0; !takes && j < venue->symbols.count; j++)
            takes = kt_text_equal(ticker, kt_text_of(venue->symbols.at[j]));
        if (takes) {
            *out_venue = kt_text_of(venue->name);
            *out_symbol = ticker;
            return KT_OK;
        }
    }
    return KT_NOENT;
}
