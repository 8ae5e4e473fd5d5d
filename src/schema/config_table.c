#include "schema/config_parts.h"

#include <string.h>

#include "base/assert.h"

#define KEY(type_, member, key, flag_, variable_, min_, max_, fallback_, text_, stays_) \
    { .value = { .name = key,                                                           \
          .fallback = fallback_,                                                        \
          .text = text_,                                                                \
          .min = min_,                                                                  \
          .max = max_,                                                                  \
          .at = offsetof(kt_config, member),                                            \
          .type = KT_VALUE_##type_ },                                                   \
        .flag = flag_,                                                                  \
        .variable = variable_,                                                          \
        .stays = stays_ },
const kt_key_spec kt_config_keys[KT_CONFIG_KEY_COUNT] = { KT_CONFIG_MAP(KEY) };

#define PART(type_, owner, member, min_, max_, fallback_, text_)                         \
    {                                                                                    \
        .name = #member, .fallback = fallback_, .text = text_, .min = min_, .max = max_, \
        .at = offsetof(owner, member), .type = KT_VALUE_##type_                          \
    }

const kt_value_spec kt_config_venue_parts[KT_CONFIG_VENUE_PART_COUNT] = {
    PART(TEXT, kt_config_venue, name, 1, 32, NULL, "small letters, digits, _ and -"),
    PART(FORMAT, kt_config_venue, format, 0, 0, NULL, KT_CONFIG_FORMATS_TEXT),
    PART(TEXT, kt_config_venue, ws_url, 0, 1000, "",
        "its stream, ws:// or wss://; empty: the public address of the format, and that of REST"),
    PART(TEXT, kt_config_venue, rest_url, 0, 1000, "", "its reliable source, http:// or https://; empty: not asked"),
    PART(WORDS, kt_config_venue, symbols, 0, KT_CONFIG_SYMBOL_MAX, "",
        "which ones; empty: all that come (generic only)"),
    PART(U32, kt_config_venue, silence_ms, 100, 86400000, "10000", "ms without a message until it is connected anew"),
    PART(U8, kt_config_venue, price_scale, 0, 18, "8", "digits of prices that the venue does not describe"),
    PART(U8, kt_config_venue, quantity_scale, 0, 18, "8", "digits of quantities that the venue does not describe"),
    PART(U32, kt_config_venue, requests_per_s, 1, 10000, "20", "requests to REST a second, at most"),
    PART(U32, kt_config_venue, renew_s, 0, 31536000, "0",
        "s until a connection is replaced by a new one; 0: ahead of the end that the venue sets"),
    PART(BOOL, kt_config_venue, books, 0, 1, "false",
        "gather books and best prices too (binance, which needs rest_url, and kraken)"),
    PART(BOOL, kt_config_venue, candles, 0, 1, "false",
        "make minutes of the confirmed trades, and compare them with the venue's own (kraken)"),
    PART(BOOL, kt_config_venue, compression, 0, 1, "false",
        "offer permessage-deflate: fewer bytes on the way, more work at both ends"),
};
const kt_value_spec kt_config_member_parts[KT_CONFIG_MEMBER_PART_COUNT] = {
    PART(TEXT, kt_config_member, venue, 1, 32, NULL, "name of a venue"),
    PART(TEXT, kt_config_member, symbol, 1, 128, NULL, "symbol there"),
};
static const kt_value_spec composite_parts[] = {
    PART(TEXT, kt_config_composite, ticker, 1, 128, NULL, "name of the composite"),
    PART(MEMBERS, kt_config_composite, members, 1, KT_CONFIG_MEMBER_MAX, NULL, "venues and symbols"),
};
static const kt_value_spec ticker_parts[] = {
    PART(TEXT, kt_config_ticker, ticker, 1, 128, NULL, "ticker of the compatible API and tables"),
    PART(TEXT, kt_config_ticker, venue, 1, 32, NULL, "name of the venue that it stands for"),
    PART(TEXT, kt_config_ticker, symbol, 1, 128, NULL, "symbol there"),
};

#define LIST(key, type, member, count_member, parts_, max_, text_)                                         \
    {                                                                                                      \
        .name = key, .text = text_, .parts = parts_, .part_count = KT_COUNT(parts_), .size = sizeof(type), \
        .max = max_, .at = offsetof(kt_config, member), .count_at = offsetof(kt_config, count_member)      \
    }
const kt_list_spec kt_config_lists[KT_CONFIG_LIST_COUNT] = {
    LIST("vwap.composites", kt_config_composite, composites, composite_count, composite_parts, KT_CONFIG_COMPOSITE_MAX,
        "average prices over several venues"),
    LIST("venues", kt_config_venue, venues, venue_count, kt_config_venue_parts,
        KT_CONFIG_VENUE_MAX - KT_CONFIG_VENUE_DERIVED_MAX, "markets to connect to"),
    LIST("compat.tickers", kt_config_ticker, tickers, ticker_count, ticker_parts, KT_CONFIG_TICKER_MAX,
        "which venue a ticker of the compatible API and tables stands for"),
};

const char *const kt_config_format_names[KT_CONFIG_FORMAT_COUNT] = {
    [KT_CONFIG_GENERIC] = "generic",
    [KT_CONFIG_BINANCE] = "binance",
    [KT_CONFIG_KRAKEN_V1] = "kraken_v1",
    [KT_CONFIG_KRAKEN_V2] = "kraken_v2",
};

const char *kt_config_name_of(uint32_t index)
{
    return index < KT_CONFIG_KEY_COUNT ? kt_config_keys[index].value.name
                                       : kt_config_lists[index - KT_CONFIG_KEY_COUNT].name;
}

kt_text kt_config_section_of(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot == NULL ? (kt_text){ "", 0 } : (kt_text){ name, (size_t)(dot - name) };
}

uint32_t kt_config_name_index(kt_text name)
{
    uint32_t index = 0;

    while (index < KT_CONFIG_NAME_COUNT && !kt_text_equal(name, kt_text_of(kt_config_name_of(index))))
        index++;
    return index;
}

bool kt_config_is_section(kt_text name)
{
    for (uint32_t i = 0; i < KT_CONFIG_NAME_COUNT; i++)
        if (strlen(kt_config_name_of(i)) > name.n && memcmp(kt_config_name_of(i), name.s, name.n) == 0 &&
            kt_config_name_of(i)[name.n] == '.')
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

kt_code kt_config_unknown_key(kt_text name, const char *where, kt_err *err)
{
    const char *nearest = NULL;
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < KT_CONFIG_NAME_COUNT; i++) {
        kt_text known = kt_text_of(kt_config_name_of(i));
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
        return kt_fail(err, KT_NOENT, "%s: unknown key '%.*s'; did you mean '%s'?", where, KT_CUT(name), nearest);
    return kt_fail(err, KT_NOENT, "%s: unknown key '%.*s'; 'kontor config' lists those there are", where, KT_CUT(name));
}

kt_code kt_config_unknown_part(
    kt_text name, const kt_value_spec *parts, uint32_t count, const char *list, const char *where, kt_err *err)
{
    char names[120];
    kt_builder out;

    kt_builder_init(&out, names, sizeof names);
    for (uint32_t i = 0; i < count; i++)
        kt_builder_format(&out, "%s%s", i == 0 ? "" : ", ", parts[i].name);
    return kt_fail(err, KT_NOENT, "%s: unknown key '%.*s' in %s; allowed are %s", where, KT_CUT(name), list, names);
}
