#include "schema/config_parts.h"

#include <string.h>

#include "base/assert.h"
#include "base/time.h"

static const char *const lane_names[] = { "market", "keep", "edge" };
static const char *const level_names[] = { "error", "warn", "log", "debug", "verbose" };
static const char *const diag_formats[] = { "text", "json" };
static const char own_address[] = "127.0.0.1";

static uint32_t key_of_member(const void *config, const void *member)
{
    size_t at = (size_t)((const uint8_t *)member - (const uint8_t *)config);
    uint32_t index = 0;

    while (index < KT_CONFIG_KEY_COUNT && kt_config_keys[index].value.at != at)
        index++;
    kt_assert(index < KT_CONFIG_KEY_COUNT);
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
    const char *name = kt_config_keys[key].value.name;

    for (uint32_t i = 0; i < words->count; i++) {
        if (!one_of(words->at[i], names, count))
            return kt_fail(err, KT_RANGE, "%s: %s: '%.40s' is not known; %s", where, name, words->at[i],
                kt_config_keys[key].value.text);
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
    if (venue->format != KT_CONFIG_GENERIC && venue->symbols.count == 0)
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

/* Where a format's own venue is, its name for `venue`, and how often its REST may be asked at most (0: as configured); NULL:
 * there is none. */
static const struct {
    const char *ws_url, *rest_url, *venue;
    uint32_t requests_per_s;
} public_addresses[KT_CONFIG_FORMAT_COUNT] = {
    [KT_CONFIG_BINANCE] = { "wss://stream.binance.com:9443", "https://api.binance.com", "binance", 0 },
    [KT_CONFIG_KRAKEN_V1] = { "wss://ws.kraken.com", "https://api.kraken.com", NULL, 1 },
    [KT_CONFIG_KRAKEN_V2] = { "wss://ws.kraken.com/v2", "https://api.kraken.com", "kraken", 1 },
};

static kt_code take_public_addresses(kt_config *config, kt_err *err)
{
    kt_config_venue *venues = (kt_config_venue *)config->venues;

    for (uint32_t i = 0; i < config->venue_count; i++) {
        uint32_t requests_per_s = public_addresses[venues[i].format].requests_per_s;

        if (venues[i].ws_url[0] != '\0')
            continue;
        if (public_addresses[venues[i].format].ws_url == NULL)
            return kt_fail(err, KT_NOENT, "venues[%u] %.32s: ws_url: the format %s has no public address", i,
                venues[i].name, kt_config_format_names[venues[i].format]);
        venues[i].ws_url = public_addresses[venues[i].format].ws_url;
        if (venues[i].rest_url[0] == '\0')
            venues[i].rest_url = public_addresses[venues[i].format].rest_url;
        if (requests_per_s != 0 && venues[i].requests_per_s > requests_per_s)
            venues[i].requests_per_s = requests_per_s;
    }
    return KT_OK;
}

/* One more venue behind those of the list, its other parts as they are without being told. */
static kt_code add_venue(kt_config *config, const kt_config_venue *from, kt_err *err)
{
    kt_config_venue *venues = (kt_config_venue *)config->venues; /* read_objects left room */

    if (venues == NULL)
        venues = kt_config_take(config, KT_CONFIG_VENUE_DERIVED_MAX * sizeof *venues);
    if (venues == NULL)
        return kt_config_no_memory(err);
    config->venues = venues;
    kt_config_venue *added = &venues[config->venue_count];
    for (uint32_t i = 0; i < KT_COUNT(kt_config_venue_parts); i++) {
        const kt_value_spec *part = &kt_config_venue_parts[i];
        kt_code code = part->fallback == NULL ? KT_OK
                                              : kt_config_set_value(config, part, kt_text_of(part->fallback),
                                                    (uint8_t *)added + part->at, from->name, err);

        if (code != KT_OK)
            return code;
    }
    added->name = from->name;
    added->format = from->format;
    added->ws_url = from->ws_url;
    added->rest_url = from->rest_url;
    added->symbols = from->symbols;
    added->books = from->books;
    config->venue_count++;
    return KT_OK;
}

/* `venue` and `symbols` are one more venue. */
static kt_code add_public(kt_config *config, kt_err *err)
{
    uint32_t format = 0;

    if (config->venue[0] == '\0' && config->symbols.count == 0)
        return KT_OK;
    if (config->venue[0] == '\0')
        return kt_fail(
            err, KT_NOENT, "%s: symbols are given, but venue is not; both are needed", WHERE(config, symbols));
    while (format < KT_CONFIG_FORMAT_COUNT &&
           (public_addresses[format].venue == NULL || strcmp(public_addresses[format].venue, config->venue) != 0))
        format++;
    if (format == KT_CONFIG_FORMAT_COUNT)
        return kt_fail(err, KT_RANGE, "%s: venue: '%s' is not known; allowed are binance and kraken",
            WHERE(config, venue), config->venue);
    return add_venue(config,
        &(kt_config_venue){ .name = config->venue,
            .format = (kt_config_format)format,
            .ws_url = "",
            .rest_url = "",
            .symbols = config->symbols,
            .books = true },
        err);
}

/* market.ws_url and market.rest_url are one more venue. */
static kt_code add_market(kt_config *config, kt_err *err)
{
    if (config->market_ws_url[0] == '\0' && config->market_rest_url[0] == '\0')
        return KT_OK;
    if (config->market_ws_url[0] == '\0')
        return kt_fail(err, KT_NOENT, "%s: market.rest_url is given, but market.ws_url is not; both are needed",
            WHERE(config, market_rest_url));
    if (config->market_rest_url[0] == '\0')
        return kt_fail(err, KT_NOENT, "%s: market.ws_url is given, but market.rest_url is not; both are needed",
            WHERE(config, market_ws_url));
    return add_venue(config,
        &(kt_config_venue){ .name = "market",
            .format = KT_CONFIG_GENERIC,
            .ws_url = config->market_ws_url,
            .rest_url = config->market_rest_url },
        err);
}

static kt_code check_tls(const kt_config *config, kt_err *err)
{
    bool certificate = config->edge_tls_certificate[0] != '\0', key = config->edge_tls_key[0] != '\0';

    if (certificate == key)
        return KT_OK;
    return kt_fail(err, KT_NOENT, "%s: %s is given, but %s is not; both are needed",
        certificate ? WHERE(config, edge_tls_certificate) : WHERE(config, edge_tls_key),
        certificate ? "edge.tls_certificate" : "edge.tls_key", certificate ? "edge.tls_key" : "edge.tls_certificate");
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
        config->window_names[i] = kt_config_copy(config, kt_text_of(name));
        if (config->window_names[i] == NULL)
            return kt_config_no_memory(err);
        if (config->windows_ns[i] == config->interval_ns)
            config->interval_name = config->window_names[i];
    }
    return KT_OK;
}

/* `fixed` names keys that could change; what flags and variables say joins it. */
static kt_code join_fixed(kt_config *config, kt_err *err)
{
    const kt_words *said = &config->fixed;
    const char **names = kt_config_take(config, KT_CONFIG_KEY_COUNT * sizeof *names);
    uint32_t count = 0;

    if (names == NULL)
        return kt_config_no_memory(err);
    for (uint32_t i = 0; i < said->count; i++) {
        uint32_t index = kt_config_name_index(kt_text_of(said->at[i]));

        if (index >= KT_CONFIG_KEY_COUNT || kt_config_keys[index].stays[0] != '\0')
            return kt_fail(err, KT_NOENT, "%s: fixed: '%.40s' is no key that may change while the house runs",
                WHERE(config, fixed), said->at[i]);
    }
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++)
        if (kt_config_keys[i].stays[0] == '\0' && (config->private->origins[i].from >= KT_FROM_ENVIRONMENT ||
                                                      one_of(kt_config_keys[i].value.name, said->at, said->count)))
            names[count++] = kt_config_keys[i].value.name;
    config->fixed = (kt_words){ .at = names, .count = count };
    return KT_OK;
}

kt_code kt_config_check_settings(const kt_config *config, kt_err *err)
{
    kt_code code = check_names(config, &config->diag_levels, level_names, KT_COUNT(level_names), err);

    if (code == KT_OK && !one_of(config->diag_format, diag_formats, KT_COUNT(diag_formats)))
        code = kt_fail(err, KT_RANGE, "%s: diag.format: '%s' is not allowed; allowed is text or json",
            WHERE(config, diag_format), config->diag_format);
    if (code == KT_OK && config->gather_backoff_min_ms > config->gather_backoff_max_ms)
        code = kt_fail(err, KT_RANGE,
            "%s: gather.backoff_min_ms: %u is not allowed; allowed is at most gather.backoff_max_ms, %u",
            WHERE(config, gather_backoff_min_ms), config->gather_backoff_min_ms, config->gather_backoff_max_ms);
    return code;
}

kt_code kt_config_finish(kt_config *config, kt_err *err)
{
    kt_code code = check_names(config, &config->lanes, lane_names, KT_COUNT(lane_names), err);

    if (code == KT_OK)
        code = join_fixed(config, err);
    if (code == KT_OK)
        code = kt_config_check_settings(config, err);
    if (code == KT_OK)
        code = check_host(config, err);
    if (code == KT_OK)
        code = check_tls(config, err);
    config->private->listed_venue_count = config->venue_count;
    if (code == KT_OK)
        code = add_public(config, err);
    if (code == KT_OK)
        code = add_market(config, err);
    if (code == KT_OK)
        code = take_public_addresses(config, err);
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
        config->store_path[0] != '\0' ? config->store_path : kt_config_printf(config, "%s/store.db", config->data);
    return config->store_file == NULL ? kt_config_no_memory(err) : KT_OK;
}
