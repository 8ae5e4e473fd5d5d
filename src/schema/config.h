/* schema/config.h - the configuration, every key said once.
 *
 * A value comes from, the first that says it wins: a flag (--edge.port 3000 or --edge.port=3000), the environment
 * (KONTOR_EDGE_PORT, and the original's names such as PORT), the settings made while the house ran (below), the YAML
 * file (--config FILE or KONTOR_CONFIG), the default. In YAML the part of a key before the dot is a section:
 *
 *     data: ./data
 *     edge:
 *       port: 3000
 *     vwap:
 *       windows: [1m, 5m, 1h]
 *       composites:
 *         - ticker: BTC
 *           members: [{venue: binance, symbol: BTC/USDT}, {venue: market, symbol: BTC}]
 *     venues:
 *       - {name: market, format: generic, ws_url: "ws://127.0.0.1:8080/stream", rest_url:
 *       "http://127.0.0.1:8080/trades"}
 *     compat:
 *       tickers:
 *         - {ticker: BTC, venue: binance, symbol: BTC/USDT}
 *
 * In flags and environment a list of words is written with commas; lists of venues, composites and tickers only in
 * YAML. Each error names file and line, flag or variable, the key, what was wrong and what is allowed. A key given
 * twice in one place is an error; so is an unknown key, and the nearest known one is named.
 */
#ifndef KT_SCHEMA_CONFIG_H
#define KT_SCHEMA_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "base/types.h"

enum {
    KT_CONFIG_VENUE_MAX = 16,
    KT_CONFIG_VENUE_DERIVED_MAX = 2, /* of these, made by keys of their own: `venue` and `market` */
    KT_CONFIG_SYMBOL_MAX = 1024,     /* of one venue */
    KT_CONFIG_COMPOSITE_MAX = 64,
    KT_CONFIG_MEMBER_MAX = 16,   /* of one composite */
    KT_CONFIG_TICKER_MAX = 1024, /* compat.tickers */
    KT_CONFIG_WINDOW_MAX = 16,
    KT_CONFIG_WORD_MAX = 32,      /* of any other list of words */
    KT_CONFIG_VALUE_MAX = 1024,   /* bytes of one value */
    KT_CONFIG_FILE_MAX = 1 << 20, /* bytes of the YAML file */
    KT_CONFIG_REST_MAX = 16,      /* words of the command line that are no flags */
    KT_CONFIG_TEXT_MAX = 60000,   /* canonical form; leaves room in an event */
    KT_CONFIG_BURST_MIN = 100     /* edge.call_burst: any action can be called */
};

/* K(TYPE, member, key, flag, variable, min, max, default, text, stays). TYPE: TEXT (const char *), U32, U64, BOOL, WORDS
 * (kt_words; min and max are their number), WINDOWS (WORDS, each like 30s, 1m, 1h). flag: one more name of the flag;
 * variable: one more name in the environment; "" where there is none. min and max of TEXT: bytes. stays: why it can not
 * change while the house runs; "" where it can. */
#define KT_CONFIG_MAP(K)                                                                                               \
    K(TEXT, data, "data", "d", "", 1, 1000, "./data", "folder of logs, store and cursors",                             \
        "its logs and its store lie there")                                                                            \
    K(WORDS, lanes, "lanes", "", "", 1, 8, "market,keep,edge", "which lanes to run: market, keep, edge",               \
        "clients and logs of a lane that runs would be left alone")                                                    \
    K(WORDS, fixed, "fixed", "", "", 0, 32, "",                                                                        \
        "keys that nobody may change while the house runs; those given by flag or variable are always among them",     \
        "it says what may change")                                                                                     \
    K(TEXT, edge_host, "edge.host", "", "", 1, 255, "127.0.0.1", "address to listen on; only 127.0.0.1 for now",       \
        "clients are connected to it")                                                                                 \
    K(U32, edge_port, "edge.port", "p", "PORT", 0, 65535, "3000", "port of REST, WebSocket and page; 0: any free one", \
        "clients are connected to it")                                                                                 \
    K(U32, edge_silence_ms, "edge.silence_ms", "", "", 100, 3600000, "5000",                                           \
        "ms without a frame until a client is closed", "")                                                             \
    K(U32, edge_client_buffer_bytes, "edge.client_buffer_bytes", "", "", 65536, 1 << 30, "1048576",                    \
        "bytes that may wait for one client", "what waits for clients now would not fit")                              \
    K(U32, edge_flush_book_ms, "edge.flush_book_ms", "", "", 0, 1000, "20",                                            \
        "ms in which changes of books are gathered for each client; 0: none", "")                                      \
    K(U32, edge_flush_ticker_ms, "edge.flush_ticker_ms", "", "", 0, 1000, "50",                                        \
        "ms from which a client hears the newest best prices only; 0: all of them", "")                                \
    K(U32, edge_client_max, "edge.client_max", "", "", 1, 100000, "10000", "clients at a time", "")                    \
    K(U32, edge_call_rate, "edge.call_rate", "", "", 0, 1000000, "1000",                                               \
        "tokens that a client gets a second for its calls, which cost what /docs says; 0: no limit", "")               \
    K(U32, edge_call_burst, "edge.call_burst", "", "", KT_CONFIG_BURST_MIN, 1000000, "2000",                           \
        "tokens that a client has at most", "")                                                                        \
    K(TEXT, edge_tls_certificate, "edge.tls_certificate", "", "", 0, 1000, "",                                         \
        "PEM file, the certificate and those up to its authority, read anew when it changes; empty: plain text",       \
        "the port speaks TLS or plain text")                                                                           \
    K(TEXT, edge_tls_key, "edge.tls_key", "", "", 0, 1000, "", "PEM file of its key, without a password",              \
        "the port speaks TLS or plain text")                                                                           \
    K(TEXT, net_ca_file, "net.ca_file", "", "", 0, 1000, "",                                                           \
        "PEM file of the authorities that venues' certificates must come from; empty: the system's",                   \
        "venues are connected by it")                                                                                  \
    K(U64, log_segment_bytes, "log.segment_bytes", "", "", 1 << 21, 1ULL << 31, "67108864",                            \
        "bytes of one segment file of a log; an eighth of it must hold a venue's longest answer",                      \
        "segments that are being written have this size")                                                              \
    K(U64, log_retention_bytes, "log.retention_bytes", "", "", 1 << 26, 1ULL << 50, "1073741824",                      \
        "bytes of all logs together; older segments are removed", "logs that are open have their share of it")         \
    K(U64, log_retention_age_s, "log.retention_age_s", "", "", 0, 1ULL << 32, "0",                                     \
        "seconds until a segment is removed; 0: for ever", "logs that are open keep to it")                            \
    K(U64, log_hold_bytes, "log.hold_bytes", "", "", 1 << 20, 1ULL << 50, "536870912",                                 \
        "bytes that a slow reader may hold back from removal", "readers of logs that are open rely on it")             \
    K(U32, log_subject_max, "log.subject_max", "", "", 16, 1 << 20, "65536", "subjects of one log",                    \
        "tables of logs that are open have this size")                                                                 \
    K(TEXT, market_ws_url, "market.ws_url", "", "MARKET_WS_URL", 0, 1000, "",                                          \
        "stream of a venue `market` in the generic format; needs market.rest_url", "its venue is in use")              \
    K(TEXT, market_rest_url, "market.rest_url", "", "MARKET_REST_URL", 0, 1000, "", "its reliable source of trades",   \
        "its venue is in use")                                                                                         \
    K(TEXT, venue, "venue", "", "", 0, 32, "",                                                                         \
        "one more venue, by its name and at its public addresses: binance or kraken; needs symbols",                   \
        "its venue is in use")                                                                                         \
    K(WORDS, symbols, "symbols", "", "", 0, 1024, "", "what to gather from `venue`, such as BTC/USDT,ETH/USDT",        \
        "its venue is in use")                                                                                         \
    K(U32, gather_backoff_min_ms, "gather.backoff_min_ms", "", "", 1, 60000, "100",                                    \
        "ms until the first reconnect; doubles, with jitter", "")                                                      \
    K(U32, gather_backoff_max_ms, "gather.backoff_max_ms", "", "", 1, 3600000, "10000",                                \
        "greatest ms until a reconnect", "")                                                                           \
    K(WINDOWS, vwap_windows, "vwap.windows", "", "", 1, 15, "1m,5m,1h", "windows, whole seconds each: 30s, 1m, 1h",    \
        "averages over windows in use would break off")                                                                \
    K(U32, vwap_interval_ms, "vwap.interval_ms", "", "INTERVAL", 1000, 86400000, "300000",                             \
        "window of /latest, /historical and the compatible tables, whole seconds; added to vwap.windows",              \
        "the compatible tables hold averages over it")                                                                 \
    K(U32, vwap_suspect_percent, "vwap.suspect_percent", "", "", 1, 1000, "10",                                        \
        "percent from the median of the last 31 trades from which a trade is suspect", "")                             \
    K(U32, vwap_step_s, "vwap.step_s", "", "", 1, 86400, "60",                                                         \
        "seconds that market time steps ahead for a single trade", "")                                                 \
    K(BOOL, repair_enabled, "repair.enabled", "", "", 0, 1, "true", "ask REST for what the stream did not give", "")   \
    K(U32, repair_interval_ms, "repair.interval_ms", "", "", 1, 3600000, "1000",                                       \
        "ms between two rounds over all symbols", "")                                                                  \
    K(TEXT, store_path, "store.path", "", "", 0, 1000, "", "SQLite file; empty: store.db in the data folder",          \
        "the store is open there")                                                                                     \
    K(WORDS, diag_levels, "diag.levels", "", "LOG_LEVELS", 0, 5, "error,warn,log,debug,verbose",                       \
        "what to write on standard error: error, warn, log, debug, verbose", "")                                       \
    K(TEXT, diag_format, "diag.format", "", "", 1, 4, "text", "how: text for people, json for programs", "")

typedef struct kt_words {
    const char *const *at;
    uint32_t count;
} kt_words;

typedef enum kt_config_format {
    KT_CONFIG_GENERIC,
    KT_CONFIG_BINANCE,
    KT_CONFIG_KRAKEN_V1,
    KT_CONFIG_KRAKEN_V2,
    KT_CONFIG_FORMAT_COUNT
} kt_config_format;

extern const char *const kt_config_format_names[KT_CONFIG_FORMAT_COUNT]; /* as in venue/venue.h */

typedef struct kt_config_venue {
    const char *name; /* [a-z0-9_-]+, at most 32 bytes: a token of subjects */
    kt_config_format format;
    const char *ws_url;
    const char *rest_url; /* "": REST is not asked */
    kt_words symbols;     /* empty: all that come (generic only) */
    uint32_t silence_ms;  /* without a message until the connection is made anew */
    uint8_t price_scale;  /* of instruments that the venue does not describe */
    uint8_t quantity_scale;
    uint32_t requests_per_s; /* to REST, at most */
    uint32_t renew_s;        /* until a connection is replaced by a new one; 0: ahead of the end that the venue sets */
    bool books;              /* gather books and best prices too, where the format has them */
    bool candles;            /* minutes of our own are made, and the venue's own gathered */
    bool compression;        /* offer permessage-deflate to its stream */
} kt_config_venue;

typedef struct kt_config_member {
    const char *venue;
    const char *symbol;
} kt_config_member;

typedef struct kt_config_composite {
    const char *ticker;
    const kt_config_member *members;
    uint32_t member_count;
} kt_config_composite;

typedef struct kt_config_ticker {
    const char *ticker;
    const char *venue;
    const char *symbol;
} kt_config_ticker;

#define KT_CONFIG_TYPE_TEXT const char *
#define KT_CONFIG_TYPE_U32 uint32_t
#define KT_CONFIG_TYPE_U64 uint64_t
#define KT_CONFIG_TYPE_BOOL bool
#define KT_CONFIG_TYPE_WORDS kt_words
#define KT_CONFIG_TYPE_WINDOWS kt_words

/* Read-only once loaded, but for kt_config_settings(). Everything in it lives as long as it does, but for values of keys
 * that may change while the house runs: whoever needs one later reads it again. */
typedef struct kt_config {
#define KT_CONFIG_MEMBER(type, member, key, flag, variable, min, max, fallback, text, stays) \
    KT_CONFIG_TYPE_##type member;
    KT_CONFIG_MAP(KT_CONFIG_MEMBER)
#undef KT_CONFIG_MEMBER
    const kt_config_venue *venues; /* in the order of the file; then those of `venue` and of market.ws_url */
    uint32_t venue_count;
    const kt_config_composite *composites;
    uint32_t composite_count;
    const kt_config_ticker *tickers; /* compat.tickers */
    uint32_t ticker_count;
    /* derived */
    const char *store_file;                         /* store.path, or store.db in the data folder */
    int64_t windows_ns[KT_CONFIG_WINDOW_MAX];       /* ascending, each once, vwap.interval_ms among them */
    const char *window_names[KT_CONFIG_WINDOW_MAX]; /* "30s", "1m", "1h": the longest unit that divides it */
    uint32_t window_count;
    int64_t interval_ns;
    const char *interval_name;
    /* what else the command line said */
    bool help;                                /* --help or -h */
    const char *rest[KT_CONFIG_REST_MAX + 1]; /* words that are no flags; NULL behind the last */
    uint32_t rest_count;
    const char *file; /* the YAML file, or NULL */
    struct kt_config_private *private;
} kt_config;

typedef enum kt_config_from {
    KT_FROM_DEFAULT,
    KT_FROM_FILE,
    KT_FROM_SETTINGS,
    KT_FROM_ENVIRONMENT,
    KT_FROM_FLAG
} kt_config_from;

/* argv: the words behind the subcommand, without it. env: NULL-ended "NAME=value" list; environ in the program. KT_ARG:
 * a flag or a variable is wrong; KT_SYS, KT_SYNTAX, KT_TYPE, KT_RANGE, KT_NOENT: the file or a value in it is. */
kt_code kt_config_load(int argc, char *const *argv, char *const *env, kt_config **out_config, kt_err *err);

/* From YAML text alone, named `name` in errors: what a lane.start record holds. Neither flags nor environment. */
kt_code kt_config_parse(const char *name, const char *yaml, size_t size, kt_config **out_config, kt_err *err);
void kt_config_free(kt_config *config);

/* Settings ------------------------------------------------------------------------------------------------------------
 *
 * What was changed while the house ran: an object of JSON a section, {"step_s":30,"suspect_percent":20} of section vwap,
 * kept in the key-value store under config.settings.{section}. Each section belongs to one lane, whose service
 * `settings` (service/settings.h) applies it in the order of the lane's log. Keys of flags and of the environment keep
 * their value; others whose row says why they stay are refused. */

enum {
    KT_CONFIG_SECTION_MAX = 32,    /* bytes of a section's name */
    KT_CONFIG_SETTINGS_MAX = 4096, /* bytes of the settings of one section */
};
#define KT_CONFIG_SETTINGS_KEY "config.settings."

/* Sections of which keys may change, one after the other; NULL behind the last. */
const char *kt_config_section_at(uint32_t index);

/* The lane whose section it is; NULL: no key of it may change while the house runs, or there is no such section. */
const char *kt_config_section_lane(kt_text section);

/* Put these settings in the place of those that the section had; empty text: none. All or nothing. KT_SYNTAX: no object of
 * JSON. KT_NOENT: no such section or key. KT_TYPE, KT_RANGE, KT_TWICE, KT_SYNTAX: a value. KT_ARG: a key that stays, and
 * why. KT_LIMIT: too long. */
kt_code kt_config_settings(kt_config *config, kt_text section, kt_text json, kt_err *err);

/* Make the settings that the section would have with these changes: values by key; null takes a key back to what file or
 * default say. Changes nothing; refuses what kt_config_settings() would, and keys that flag, variable or `fixed` hold
 * (KT_ARG). `buf` of KT_CONFIG_SETTINGS_MAX bytes. */
kt_code kt_config_settings_merge(
    kt_config *config, kt_text section, kt_text changes, char *buf, kt_text *out_json, kt_err *err);

/* As they stand, in the order of the table; empty: none. KT_FULL. */
kt_code kt_config_settings_text(const kt_config *config, kt_text section, char *buf, size_t size, kt_text *out_json);

/* As if there were none: what flag, environment, file and default say. */
void kt_config_settings_clear(kt_config *config);

/* One key, for people and for config.get. */
typedef struct kt_config_key {
    const char *name;
    const char *text;
    char stays[200];    /* why it can not change while the house runs: its row's reason, or who holds it; "": it can */
    const char *origin; /* as kt_config_list() */
    char allowed[100];
} kt_config_key;

uint32_t kt_config_key_count(void);
/* `buf` gets the value as a flag would give it. KT_FULL. */
kt_code kt_config_key_at(
    const kt_config *config, uint32_t index, kt_config_key *out_key, char *buf, size_t size, kt_text *out_value);

/* `text` as a flag would give it (step_s, "30"), written as a member of a section's settings: {"step_s":30} gets open and
 * closed by the caller. KT_NOENT: unknown key. */
kt_code kt_config_settings_member(kt_text key, kt_text text, kt_json_writer *writer, kt_err *err);

/* The same for a key that is taken back: its member is null. */
kt_code kt_config_settings_unset(kt_text key, kt_json_writer *writer, kt_err *err);

/* Canonical form: YAML with every key, in the order of the table, whatever its origin; kt_config_parse() of it gives an
 * equal configuration and its canonical form is the same text. KT_FULL: more than `size` bytes, the closing NUL
 * included. */
kt_code kt_config_text(const kt_config *config, char *buf, size_t size, size_t *out_length);

/* One line a key: key, value, origin (default, FILE:LINE, key-value store KEY, environment NAME, flag --NAME). For
 * `kontor config`. */
void kt_config_list(const kt_config *config, FILE *out);

/* All keys with type, range, default, flag, variable and text. For `--help`. */
void kt_config_help(FILE *out);

kt_config_from kt_config_origin(const kt_config *config, const char *key); /* asserts that there is such a key */

const kt_config_venue *kt_config_venue_of(const kt_config *config, kt_text name); /* NULL: none */

/* The one venue and symbol that a ticker of the compatible API and tables stands for: as compat.tickers says, else the
 * first venue in order that lists a symbol of this name or takes all symbols. KT_NOENT: there is none. */
kt_code kt_config_ticker_of(const kt_config *config, kt_text ticker, kt_text *out_venue, kt_text *out_symbol);

/* "1m" -> 60e9 ns. Whole seconds from 1s to 24h, units s, m, h. KT_SYNTAX, KT_RANGE. */
kt_code kt_window_parse(kt_text text, int64_t *out_ns);

enum { KT_WINDOW_NAME_MAX = 16 };
/* The longest unit that divides it: 60 s is "1m", 90 s is "90s". `ns` is a whole number of seconds. Returns the length.
 * */
size_t kt_window_format(int64_t ns, char buf[KT_WINDOW_NAME_MAX]);

#endif
