#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/test_util.h"
#include "schema/config.h"

static kt_config *parse(const char *yaml)
{
    kt_config *config = NULL;
    kt_err err = { 0 };

    if (kt_config_parse("kontor.yaml", yaml, strlen(yaml), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return config;
}

static const char *write_file(const char *yaml)
{
    static char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/kontor.yaml", kt_test_dir());
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(yaml, file);
    fclose(file);
    return path;
}

static const char whole[] = "data: /srv/kontor\n"
                            "lanes: [market, edge]\n"
                            "edge:\n"
                            "  port: 4000\n"
                            "vwap:\n"
                            "  windows: [1m, 90s, 60s, 1h]\n"
                            "  interval_ms: 250000\n"
                            "  composites:\n"
                            "    - ticker: BTC\n"
                            "      members: [{venue: binance, symbol: BTC/USDT}, {venue: market, symbol: BTC}]\n"
                            "market: {ws_url: 'ws://h/stream', rest_url: 'http://h/trades'}\n"
                            "repair: {enabled: false}\n"
                            "venues:\n"
                            "  - name: binance\n"
                            "    format: binance\n"
                            "    ws_url: ws://127.0.0.1:9000\n"
                            "    rest_url: http://127.0.0.1:9000\n"
                            "    symbols: [BTC/USDT, ETH/USDT]\n"
                            "compat:\n"
                            "  tickers: [{ticker: BTC, venue: binance, symbol: BTC/USDT}]\n";

static void test_file_says_everything(void **state)
{
    kt_config *config = parse(whole);
    kt_text venue;
    kt_text symbol;

    assert_string_equal(config->data, "/srv/kontor");
    assert_int_equal(config->lanes.count, 2);
    assert_string_equal(config->lanes.at[1], "edge");
    assert_int_equal(config->edge_port, 4000);
    assert_int_equal(config->edge_silence_ms, 5000);
    assert_false(config->repair_enabled);
    assert_string_equal(config->store_file, "/srv/kontor/store.db");
    /* ascending, each once, the interval among them */
    assert_int_equal(config->window_count, 4);
    assert_string_equal(config->window_names[0], "1m");
    assert_string_equal(config->window_names[1], "90s");
    assert_string_equal(config->window_names[2], "250s");
    assert_string_equal(config->window_names[3], "1h");
    assert_string_equal(config->interval_name, "250s");
    assert_true(config->interval_ns == INT64_C(250000000000));
    /* market.* is one more venue, the last */
    assert_int_equal(config->venue_count, 2);
    assert_string_equal(config->venues[1].name, "market");
    assert_int_equal(config->venues[1].format, KT_CONFIG_GENERIC);
    assert_string_equal(config->venues[1].rest_url, "http://h/trades");
    assert_int_equal(config->venues[1].price_scale, 8);
    assert_ptr_equal(kt_config_venue_of(config, KT_TEXT("binance")), &config->venues[0]);
    assert_null(kt_config_venue_of(config, KT_TEXT("kraken")));
    assert_int_equal(config->composite_count, 1);
    assert_string_equal(config->composites[0].members[1].venue, "market");
    /* a ticker is what compat.tickers says, else a symbol of the first venue that has it */
    assert_int_equal(kt_config_ticker_of(config, KT_TEXT("BTC"), &venue, &symbol), KT_OK);
    assert_true(kt_text_equal(venue, KT_TEXT("binance")) && kt_text_equal(symbol, KT_TEXT("BTC/USDT")));
    assert_int_equal(kt_config_ticker_of(config, KT_TEXT("ETH/USDT"), &venue, &symbol), KT_OK);
    assert_true(kt_text_equal(venue, KT_TEXT("binance")) && kt_text_equal(symbol, KT_TEXT("ETH/USDT")));
    assert_int_equal(kt_config_ticker_of(config, KT_TEXT("DOGE"), &venue, &symbol), KT_OK);
    assert_true(kt_text_equal(venue, KT_TEXT("market")) && kt_text_equal(symbol, KT_TEXT("DOGE")));
    kt_config_free(config);

    config = parse("");
    assert_int_equal(config->edge_port, 3000);
    assert_int_equal(kt_config_ticker_of(config, KT_TEXT("BTC"), &venue, &symbol), KT_NOENT);
    kt_config_free(config);
}

static void test_canonical_form_reads_back_the_same(void **state)
{
    static const char *const files[] = { whole, "", "data: \"a\\\"b\\\\c \\u00e9\\U0001F600\\u0085\"\n" };

    for (uint32_t i = 0; i < KT_COUNT(files); i++) {
        static char text[KT_CONFIG_TEXT_MAX];
        static char again[KT_CONFIG_TEXT_MAX];
        kt_config *config = parse(files[i]);
        kt_config *back = NULL;
        kt_err err = { 0 };
        size_t n;
        size_t n_again;

        assert_int_equal(kt_config_text(config, text, sizeof text, &n), KT_OK);
        if (kt_config_parse("canonical", text, n, &back, &err) != KT_OK)
            fail_msg("%s in\n%s", err.msg, text);
        assert_int_equal(kt_config_text(back, again, sizeof again, &n_again), KT_OK);
        assert_string_equal(text, again);
        assert_string_equal(back->data, config->data);
        assert_int_equal(back->venue_count, config->venue_count);
        assert_int_equal(kt_config_text(config, again, n, &n_again), KT_FULL);
        kt_config_free(config);
        kt_config_free(back);
    }
}

static void test_flag_over_environment_over_file_over_default(void **state)
{
    const char *path = write_file("edge: {port: 1001, silence_ms: 1001, client_max: 1001}\n");
    char *const argv[] = { "--config", (char *)path, "--edge.port=3", "-d", "here", "feed.>", "--", "-x" };
    char *const env[] = { "PORT=2", "KONTOR_EDGE_SILENCE_MS=2002", "INTERVAL=60000", "KONTOR_SEED=7",
        "LOG_LEVELS= error , warn ", "MARKET_WS_URL=ws://h/stream", "MARKET_REST_URL=http://h/trades",
        "KONTOR_DATA=", NULL };
    kt_config *config = NULL;
    kt_err err = { 0 };

    if (kt_config_load((int)KT_COUNT(argv), argv, env, &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(config->edge_port, 3);
    assert_int_equal(kt_config_origin(config, "edge.port"), KT_FROM_FLAG);
    assert_int_equal(config->edge_silence_ms, 2002);
    assert_int_equal(kt_config_origin(config, "edge.silence_ms"), KT_FROM_ENVIRONMENT);
    assert_int_equal(config->edge_client_max, 1001);
    assert_int_equal(kt_config_origin(config, "edge.client_max"), KT_FROM_FILE);
    assert_int_equal(kt_config_origin(config, "edge.host"), KT_FROM_DEFAULT);
    assert_string_equal(config->data, "here");
    assert_int_equal(config->vwap_interval_ms, 60000);
    assert_int_equal(config->diag_levels.count, 2);
    assert_string_equal(config->diag_levels.at[0], "error"); /* spaces around a word are not part of it */
    assert_string_equal(config->diag_levels.at[1], "warn");
    assert_string_equal(config->venues[0].ws_url, "ws://h/stream");
    assert_int_equal(config->rest_count, 2);
    assert_string_equal(config->rest[0], "feed.>");
    assert_string_equal(config->rest[1], "-x");
    assert_string_equal(config->file, path);
    kt_config_free(config);
}

static void test_a_public_venue_needs_only_its_name(void **state)
{
    char *const argv[] = { "--venue", "binance", "--symbols", "BTC/USDT,ETH/USDT" };
    char *const env[] = { "MARKET_WS_URL=ws://h/stream", "MARKET_REST_URL=http://h/trades", NULL };
    kt_config *config = NULL;
    kt_err err = { 0 };

    if (kt_config_load((int)KT_COUNT(argv), argv, env, &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(config->venue_count, 2);
    assert_string_equal(config->venues[0].name, "binance");
    assert_int_equal(config->venues[0].format, KT_CONFIG_BINANCE);
    assert_string_equal(config->venues[0].ws_url, "wss://stream.binance.com:9443");
    assert_string_equal(config->venues[0].rest_url, "https://api.binance.com");
    assert_int_equal(config->venues[0].symbols.count, 2);
    assert_string_equal(config->venues[0].symbols.at[1], "ETH/USDT");
    assert_int_equal(config->venues[0].silence_ms, 10000);
    assert_int_equal(config->venues[0].requests_per_s, 20);
    assert_string_equal(config->venues[1].name, "market");
    kt_config_free(config);
}

static void test_kraken_is_asked_once_a_second(void **state)
{
    kt_config *config = parse("venue: kraken\nsymbols: [BTC/USD]\n"
                              "venues: [{name: old, format: kraken_v1, symbols: [BTC/USD]},"
                              "{name: mine, format: kraken_v2, ws_url: 'ws://h/v2', symbols: [BTC/USD]}]\n");

    assert_int_equal(config->venue_count, 3);
    assert_string_equal(config->venues[0].ws_url, "wss://ws.kraken.com");
    assert_int_equal(config->venues[0].requests_per_s, 1);
    assert_int_equal(config->venues[1].requests_per_s, 20);
    assert_string_equal(config->venues[1].rest_url, "");
    assert_string_equal(config->venues[2].name, "kraken");
    assert_int_equal(config->venues[2].format, KT_CONFIG_KRAKEN_V2);
    assert_string_equal(config->venues[2].ws_url, "wss://ws.kraken.com/v2");
    assert_string_equal(config->venues[2].rest_url, "https://api.kraken.com");
    assert_int_equal(config->venues[2].requests_per_s, 1);
    assert_true(config->venues[2].books && !config->venues[2].candles);
    kt_config_free(config);
}

static void test_list_names_value_and_origin(void **state)
{
    const char *path = write_file("edge: {port: 1001}\n");
    char *const argv[] = { "-c", (char *)path, "--repair.enabled", "-h" };
    char *const env[] = { "INTERVAL=60000", NULL };
    kt_config *config = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    char line[600];

    assert_int_equal(kt_config_load((int)KT_COUNT(argv), argv, env, &config, NULL), KT_OK);
    assert_true(config->help && config->repair_enabled);
    kt_config_list(config, out);
    kt_config_help(out);
    fclose(out);
    snprintf(line, sizeof line, "%-28s %-32s # %s:1\n", "edge.port", "1001", path);
    assert_non_null(strstr(text, line));
    snprintf(line, sizeof line, "%-28s %-32s # environment INTERVAL\n", "vwap.interval_ms", "60000");
    assert_non_null(strstr(text, line));
    snprintf(line, sizeof line, "%-28s %-32s # flag --repair.enabled\n", "repair.enabled", "true");
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, "--edge.port, -p, PORT"));
    free(text);
    kt_config_free(config);
}

#define VENUE "{name: a, format: generic, ws_url: 'ws://h/s'"

static void test_bad_files(void **state)
{
    static const struct {
        const char *name;
        const char *yaml;
        kt_code code;
        const char *contains;
    } rows[] = {
        { "unknown key", "edge:\n  prt: 1\n", KT_NOENT,
            "kontor.yaml:2: unknown key 'edge.prt'; did you mean 'edge.port'?" },
        { "unknown key at the top", "port: 1\n", KT_NOENT, "unknown key 'port'; did you mean 'edge.port'?" },
        { "unknown key like nothing", "frobnicate_everything: 1\n", KT_NOENT, "'kontor config' lists those there are" },
        { "unknown section", "edges: {port: 1}\n", KT_NOENT, "kontor.yaml:1: unknown key 'edges'" },
        { "wrongly typed: word for a number", "edge:\n  port: http\n", KT_TYPE,
            "kontor.yaml:2: edge.port: 'http' is no whole number; allowed is a whole number from 0 to 65535" },
        { "wrongly typed: list for a number", "edge:\n  port: [1]\n", KT_TYPE, "edge.port: is a list" },
        { "wrongly typed: object for a number", "edge:\n  port: {a: 1}\n", KT_TYPE, "edge.port: is an object" },
        { "wrongly typed: quoted number", "edge:\n  port: '1'\n", KT_TYPE, "edge.port: '1' is text in quotes" },
        { "wrongly typed: fraction", "edge:\n  port: 1.5\n", KT_TYPE, "edge.port: '1.5' is no whole number" },
        { "wrongly typed: yes for true", "repair:\n  enabled: yes\n", KT_TYPE,
            "repair.enabled: 'yes' is neither; allowed is true or false" },
        { "wrongly typed: one value for a section", "edge: 1\n", KT_TYPE, "edge: is one value" },
        { "wrongly typed: object for words", "lanes: {a: 1}\n", KT_TYPE, "lanes: is an object" },
        { "wrongly typed: list in words", "lanes: [[market]]\n", KT_TYPE, "lanes: holds a list" },
        { "wrongly typed: venues", "venues: 1\n", KT_TYPE, "venues: is one value" },
        { "wrongly typed: a venue", "venues: [binance]\n", KT_TYPE, "venues: an element is one value" },
        { "wrongly typed: the file", "[1, 2]\n", KT_TYPE, "kontor.yaml:1: the file is a list" },
        { "wrongly typed: a key", "[1]: 2\n", KT_TYPE, "a key is a list" },
        { "negative", "edge:\n  port: -1\n", KT_TYPE, "edge.port: '-1'" },
        { "too great", "edge:\n  port: 65536\n", KT_RANGE,
            "edge.port: '65536' is not allowed; allowed is a whole number from 0 to 65535" },
        { "beyond 64 bits", "log:\n  hold_bytes: 99999999999999999999\n", KT_RANGE, "log.hold_bytes" },
        { "key given twice", "edge:\n  port: 1\n  port: 2\n", KT_TWICE,
            "kontor.yaml:3: key 'edge.port' is given twice" },
        { "section given twice", "edge:\n  port: 1\nedge:\n  client_max: 2\n", KT_TWICE,
            "kontor.yaml:3: key 'edge' is given twice" },
        { "key given twice in two spellings", "edge:\n  port: 1\nedge.port: 2\n", KT_TWICE,
            "kontor.yaml:3: key 'edge.port' is given twice" },
        { "malformed", "edge: {port: 1\n", KT_SYNTAX, "no valid YAML" },
        { "malformed: tab", "edge:\n\tport: 1\n", KT_SYNTAX, "kontor.yaml:2: no valid YAML" },
        { "malformed: bad UTF-8", "data: \xff\n", KT_SYNTAX, "no valid YAML" },
        { "two documents", "data: a\n---\ndata: b\n", KT_SYNTAX, "kontor.yaml:2: a second document" },
        { "control byte", "data: \"a\\0b\"\n", KT_SYNTAX, "data: holds control bytes" },
        { "empty text", "data: ''\n", KT_RANGE, "data: has 0 bytes" },
        { "alias of itself", "edge: &a\n  port: *a\n", KT_TYPE, "edge.port: is an object" },
        { "unknown lane", "lanes: [market, kitchen]\n", KT_RANGE,
            "kontor.yaml:1: lanes: 'kitchen' is not known; which lanes to run: market, keep, edge" },
        { "lane twice", "lanes: [market, market]\n", KT_TWICE, "lanes: 'market' is given twice" },
        { "no lane", "lanes: []\n", KT_RANGE, "lanes: 0 are too few" },
        { "unknown level", "diag: {levels: [warn, loud]}\n", KT_RANGE, "diag.levels: 'loud' is not known" },
        { "other address", "edge:\n  host: 0.0.0.0\n", KT_RANGE,
            "kontor.yaml:2: edge.host: '0.0.0.0' is refused: clients can not be told apart yet, so nobody but this machine may connect; allowed is 127.0.0.1" },
        { "window without unit", "vwap: {windows: [60]}\n", KT_SYNTAX, "vwap.windows: '60' is no window" },
        { "window of a fraction", "vwap: {windows: [1.5m]}\n", KT_SYNTAX, "vwap.windows: '1.5m' is no window" },
        { "window too long", "vwap: {windows: [25h]}\n", KT_SYNTAX, "vwap.windows: '25h' is no window" },
        { "interval of a fraction of a second", "vwap: {interval_ms: 1500}\n", KT_RANGE,
            "vwap.interval_ms: 1500 is not allowed; allowed are whole seconds" },
        { "back-off the wrong way round", "gather: {backoff_min_ms: 500, backoff_max_ms: 100}\n", KT_RANGE,
            "gather.backoff_min_ms: 500" },
        { "stream without REST", "market: {ws_url: 'ws://h/s'}\n", KT_NOENT,
            "market.rest_url is not; both are needed" },
        { "REST without stream", "market: {rest_url: 'http://h/s'}\n", KT_NOENT,
            "market.ws_url is not; both are needed" },
        { "certificate without its key", "edge: {tls_certificate: a.crt}\n", KT_NOENT,
            "edge.tls_certificate is given, but edge.tls_key is not; both are needed" },
        { "key without its certificate", "edge: {tls_key: a.key}\n", KT_NOENT,
            "edge.tls_key is given, but edge.tls_certificate is not; both are needed" },
        { "symbols of no venue", "symbols: [BTC/USDT]\n", KT_NOENT, "symbols are given, but venue is not" },
        { "a public venue without symbols", "venue: binance\n", KT_NOENT, "symbols: this format needs to be told" },
        { "an unknown public venue", "venue: nyse\nsymbols: [A/USD]\n", KT_RANGE, "allowed are binance and kraken" },
        { "a format without a public venue", "venue: generic\nsymbols: [A/USD]\n", KT_RANGE,
            "allowed are binance and kraken" },
        { "no stream where none is public", "venues: [{name: a, format: generic}]\n", KT_NOENT,
            "the format generic has no public address" },
        { "a public venue twice",
            "venue: binance\nsymbols: [A/B]\nvenues: [{name: binance, format: binance, symbols: [A/B]}]\n", KT_TWICE,
            "another venue has it already" },
        { "venue without name", "venues:\n  - {format: generic, ws_url: 'ws://h/s'}\n", KT_NOENT,
            "kontor.yaml:2: name: is missing in an element of venues" },
        { "venue with unknown key", "venues: [" VENUE ", colour: red}]\n", KT_NOENT,
            "unknown key 'colour' in venues; allowed are name, format" },
        { "venue with a key that is a list", "venues: [{[name]: a}]\n", KT_TYPE, "venues: a key is a list" },
        { "more venues than there may be", "venues: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]\n", KT_RANGE,
            "venues: has 17 elements; allowed are at most 14" },
        { "venue with a key twice", "venues: [" VENUE ", name: b}]\n", KT_TWICE, "name: is given twice" },
        { "venue with unknown format", "venues: [{name: a, format: fix, ws_url: 'ws://h/s'}]\n", KT_RANGE,
            "format: 'fix' is not known; allowed is generic, binance, kraken_v1 or kraken_v2" },
        { "venue with a bad name", "venues: [{name: A.b, format: generic, ws_url: 'ws://h/s'}]\n", KT_SYNTAX,
            "venues[0] A.b: name: allowed are small letters" },
        { "venue with a bad stream", "venues: [{name: a, format: generic, ws_url: 'http://h/s'}]\n", KT_SYNTAX,
            "is no address of the form ws://" },
        { "venue with a bad REST", "venues: [" VENUE ", rest_url: 'ftp://h'}]\n", KT_SYNTAX,
            "is no address of the form http://" },
        { "venue with a scale too great", "venues: [" VENUE ", price_scale: 19}]\n", KT_RANGE,
            "price_scale: '19' is not allowed; allowed is a whole number from 0 to 18" },
        { "two venues of one name", "venues: [" VENUE "}, " VENUE "}]\n", KT_TWICE,
            "venues[1] a: name: another venue has it already" },
        { "symbol twice", "venues: [" VENUE ", symbols: [B, B]}]\n", KT_TWICE, "symbols: 'B' is given twice" },
        { "binance without symbols", "venues: [{name: a, format: binance, ws_url: 'ws://h/s'}]\n", KT_NOENT,
            "symbols: this format needs to be told which" },
        { "composite of an unknown venue", "vwap: {composites: [{ticker: B, members: [{venue: x, symbol: B}]}]}\n",
            KT_NOENT, "venue 'x' is not among the venues" },
        { "composite of nothing", "vwap: {composites: [{ticker: B, members: []}]}\n", KT_RANGE, "members: is empty" },
        { "composite of an unknown symbol",
            "venues: [" VENUE ", symbols: [B]}]\nvwap: {composites: [{ticker: B, members: [{venue: a, symbol: C}]}]}\n",
            KT_NOENT, "symbol 'C' is not among the symbols of a" },
        { "composite twice",
            "venues: [" VENUE
            ", symbols: [B]}]\nvwap: {composites: [{ticker: C, members: [{venue: a, symbol: B}]}, {ticker: C, members: "
            "[{venue: a, symbol: B}]}]}\n",
            KT_TWICE, "ticker 'C' is given twice" },
        { "fixed: a key that is fixed anyway", "fixed: [store.path]\n", KT_NOENT,
            "'store.path' is no key that may change" },
        { "fixed: no key at all", "fixed: [store.pth]\n", KT_NOENT, "'store.pth' is no key that may change" },
        { "ticker twice",
            "venues: [" VENUE
            "}]\ncompat: {tickers: [{ticker: B, venue: a, symbol: B}, {ticker: B, venue: a, symbol: C}]}\n",
            KT_TWICE, "ticker 'B' is given twice" },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        size_t size = strlen(rows[i].yaml);
        char *guarded = kt_guard_copy(rows[i].yaml, size);
        kt_config *config = NULL;
        kt_err err = { 0 };
        kt_code code = kt_config_parse("kontor.yaml", guarded, size, &config, &err);

        if (code != rows[i].code || strstr(err.msg, rows[i].contains) == NULL)
            fail_msg("%s: %s, '%s'", rows[i].name, kt_code_name(code), err.msg);
        kt_guard_free(guarded, size);
    }
}

static void test_bad_flags_and_variables(void **state)
{
    static const struct {
        const char *name;
        char *argv[4];
        char *env[2];
        const char *contains;
    } rows[] = {
        { "unknown flag", { "--edge.prt", "1" }, { NULL },
            "flag --edge.prt: unknown key 'edge.prt'; did you mean 'edge.port'?" },
        { "unknown letter", { "-z" }, { NULL }, "flag -z: unknown key 'z'" },
        { "flag without value", { "--edge.port" }, { NULL }, "flag --edge.port: edge.port: has no value" },
        { "flag twice", { "-p", "1", "--edge.port", "2" }, { NULL }, "edge.port: is given twice" },
        { "flag of a wrong type", { "--edge.port", "http" }, { NULL },
            "flag --edge.port: edge.port: 'http' is no whole number" },
        { "flag for a list of objects", { "--venues", "x" }, { NULL },
            "flag --venues: a list of objects can only be given in the YAML file" },
        { "no such file", { "--config", "/nowhere/kontor.yaml" }, { NULL },
            "cannot open configuration '/nowhere/kontor.yaml': No such file" },
        { "file is a folder", { "--config", "/" }, { NULL }, "cannot read configuration '/': Is a directory" },
        { "file without name", { "--config" }, { NULL }, "flag --config: needs the name of a YAML file" },
        { "variable of a wrong type", { NULL }, { "PORT=tcp://10.0.0.1:80" },
            "environment PORT: edge.port: 'tcp://10.0.0.1:80' is no whole number" },
        { "variable out of range", { NULL }, { "KONTOR_EDGE_PORT=70000" },
            "environment KONTOR_EDGE_PORT: edge.port: '70000' is not allowed" },
        { "unknown level", { NULL }, { "LOG_LEVELS=error,loud" },
            "environment LOG_LEVELS: diag.levels: 'loud' is not known" },
        { "no text", { NULL }, { "KONTOR_DATA=\xff" },
            "environment KONTOR_DATA: data: holds control bytes or broken UTF-8" },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char *env[] = { rows[i].env[0], NULL };
        kt_config *config = NULL;
        kt_err err = { 0 };
        int argc = 0;

        while (argc < 4 && rows[i].argv[argc] != NULL)
            argc++;
        if (kt_config_load(argc, rows[i].argv, env, &config, &err) == KT_OK ||
            strstr(err.msg, rows[i].contains) == NULL)
            fail_msg("%s: '%s'", rows[i].name, err.msg);
    }
}

static void test_oversized_file(void **state)
{
    char *yaml = malloc(KT_CONFIG_FILE_MAX + 2);
    kt_config *config = NULL;
    kt_err err = { 0 };

    memset(yaml, '\n', KT_CONFIG_FILE_MAX + 1);
    yaml[KT_CONFIG_FILE_MAX + 1] = '\0';
    assert_int_equal(kt_config_parse("kontor.yaml", yaml, KT_CONFIG_FILE_MAX + 1, &config, &err), KT_LIMIT);
    char *const argv[] = { "--config", (char *)write_file(yaml) };
    assert_int_equal(kt_config_load(2, argv, NULL, &config, &err), KT_LIMIT);
    assert_non_null(strstr(err.msg, "is larger than 1048576 bytes"));
    free(yaml);
}

static void test_windows(void **state)
{
    static const struct {
        const char *text;
        kt_code code;
        int64_t ns;
        const char *name;
    } rows[] = {
        { "1s", KT_OK, 1000000000, "1s" },
        { "90s", KT_OK, 90000000000, "90s" },
        { "60s", KT_OK, 60000000000, "1m" },
        { "24h", KT_OK, 86400000000000, "24h" },
        { "86400s", KT_OK, 86400000000000, "24h" },
        { "0s", KT_RANGE, 0, NULL },
        { "25h", KT_RANGE, 0, NULL },
        { "99999999999999999999s", KT_RANGE, 0, NULL },
        { "1d", KT_SYNTAX, 0, NULL },
        { "m", KT_SYNTAX, 0, NULL },
        { "-1m", KT_SYNTAX, 0, NULL },
        { "", KT_SYNTAX, 0, NULL },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char name[KT_WINDOW_NAME_MAX];
        int64_t ns = 0;

        assert_int_equal(kt_window_parse(kt_text_of(rows[i].text), &ns), rows[i].code);
        if (rows[i].code != KT_OK)
            continue;
        assert_true(ns == rows[i].ns);
        kt_window_format(ns, name);
        assert_string_equal(name, rows[i].name);
    }
}

/* ---- settings ---- */

/* The value and origin of a key, as config.get tells them: "30 (default)". */
static const char *shown(const kt_config *config, const char *name)
{
    static char text[KT_CONFIG_VALUE_MAX + 200];
    char value[KT_CONFIG_VALUE_MAX];
    kt_config_key key;
    kt_text said;

    for (uint32_t i = 0; i < kt_config_key_count(); i++) {
        assert_int_equal(kt_config_key_at(config, i, &key, value, sizeof value, &said), KT_OK);
        if (strcmp(key.name, name) != 0)
            continue;
        snprintf(text, sizeof text, "%.*s (%s)", KT_TEXT_ARG(said), key.origin);
        return text;
    }
    fail_msg("there is no key %s", name);
    return NULL;
}

static void put(kt_config *config, const char *section, const char *json)
{
    kt_err err = { 0 };

    if (kt_config_settings(config, kt_text_of(section), kt_text_of(json), &err) != KT_OK)
        fail_msg("%s", err.msg);
}

static void test_setting_goes_over_file_and_under_flag_and_variable(void **state)
{
    const char *path = write_file("vwap: {step_s: 90, suspect_percent: 15}\ngather: {backoff_max_ms: 7000}\n");
    char *argv[] = { (char *)"--config", (char *)path, (char *)"--vwap.suspect_percent", (char *)"40", NULL };
    char *env[] = { (char *)"KONTOR_GATHER_BACKOFF_MAX_MS=8000", NULL };
    kt_config *config = NULL;
    kt_err err = { 0 };

    assert_int_equal(kt_config_load(4, argv, env, &config, &err), KT_OK);
    put(config, "vwap", "{\"step_s\":30,\"suspect_percent\":20}");
    put(config, "gather", "{\"backoff_max_ms\":500,\"backoff_min_ms\":50}");
    assert_int_equal(config->vwap_step_s, 30);
    assert_int_equal(kt_config_origin(config, "vwap.step_s"), KT_FROM_SETTINGS);
    assert_string_equal(shown(config, "vwap.step_s"), "30 (key-value store config.settings.vwap)");
    assert_string_equal(shown(config, "vwap.suspect_percent"), "40 (flag --vwap.suspect_percent)");
    assert_string_equal(shown(config, "gather.backoff_max_ms"), "8000 (environment KONTOR_GATHER_BACKOFF_MAX_MS)");
    assert_int_equal(config->gather_backoff_min_ms, 50);
    put(config, "vwap", "");
    assert_int_equal(config->vwap_step_s, 90);
    assert_int_equal(kt_config_origin(config, "vwap.step_s"), KT_FROM_FILE);
    put(config, "diag", "{\"levels\":[\"error\",\"warn\"],\"format\":\"json\"}");
    assert_string_equal(shown(config, "diag.levels"), "error,warn (key-value store config.settings.diag)");
    kt_config_settings_clear(config);
    assert_string_equal(shown(config, "diag.levels"), "error,warn,log,debug,verbose (default)");
    assert_string_equal(config->diag_format, "text");
    assert_int_equal(config->gather_backoff_min_ms, 100);
    kt_config_free(config);
}

/* What flags and variables hold is said in the canonical form, so that a lane knows that it started with other ones. */
static void test_what_flags_hold_is_fixed_in_the_canonical_form(void **state)
{
    static char text[KT_CONFIG_TEXT_MAX];
    char *argv[] = { (char *)"--repair.enabled", (char *)"true", (char *)"--data", (char *)"/tmp/d", NULL };
    kt_config *config = NULL;
    kt_config *back = NULL;
    size_t n;

    assert_int_equal(kt_config_load(4, argv, NULL, &config, NULL), KT_OK);
    assert_int_equal(kt_config_text(config, text, sizeof text, &n), KT_OK);
    assert_non_null(strstr(text, "fixed: [\"repair.enabled\"]\n"));
    assert_int_equal(kt_config_parse("canonical", text, n, &back, NULL), KT_OK);
    put(back, "repair", "{\"enabled\":false,\"interval_ms\":300}");
    assert_true(back->repair_enabled);
    assert_int_equal(back->repair_interval_ms, 300);
    kt_config_free(config);
    kt_config_free(back);
}

static void test_changes_are_merged(void **state)
{
    static const struct {
        const char *name;
        const char *changes;
        const char *settings;
    } rows[] = {
        { "the first", "{\"step_s\": 30}", "{\"step_s\":30}" },
        { "in the order of the table", "{\"suspect_percent\": 20}", "{\"suspect_percent\":20,\"step_s\":30}" },
        { "a new value", "{\"step_s\": 31}", "{\"suspect_percent\":20,\"step_s\":31}" },
        { "nothing", "{}", "{\"suspect_percent\":20,\"step_s\":31}" },
        { "null takes it back", "{\"suspect_percent\": null}", "{\"step_s\":31}" },
        { "the last", "{\"step_s\": null}", "" },
    };
    kt_config *config = parse("");

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char buf[KT_CONFIG_SETTINGS_MAX];
        kt_text json;
        kt_err err = { 0 };
        uint32_t step = config->vwap_step_s;

        if (kt_config_settings_merge(config, KT_TEXT("vwap"), kt_text_of(rows[i].changes), buf, &json, &err) != KT_OK)
            fail_msg("%s: %s", rows[i].name, err.msg);
        if (!kt_text_equal(json, kt_text_of(rows[i].settings)))
            fail_msg("%s: %.*s", rows[i].name, KT_TEXT_ARG(json));
        assert_int_equal(config->vwap_step_s, step); /* only made, not put */
        assert_int_equal(kt_config_settings(config, KT_TEXT("vwap"), json, NULL), KT_OK);
    }
    assert_int_equal(config->vwap_step_s, 60);
    kt_config_free(config);
}

static void test_refused_changes(void **state)
{
    static const struct {
        const char *name;
        const char *section;
        const char *changes;
        kt_code code;
        const char *contains;
    } rows[] = {
        { "no JSON", "vwap", "{step_s: 30}", KT_SYNTAX, "config.settings.vwap: " },
        { "no object", "vwap", "[30]", KT_SYNTAX, "is an array; allowed is an object of keys" },
        { "unknown section", "frob", "{\"x\":1}", KT_NOENT, "unknown key 'frob.x'" },
        { "unknown section, nothing to change", "frob", "{}", KT_NOENT, "there are gather, vwap, repair, edge, diag" },
        { "unknown key, near one", "vwap", "{\"step\":1}", KT_NOENT, "did you mean 'vwap.step_s'?" },
        { "text for a number", "vwap", "{\"step_s\":\"30\"}", KT_TYPE,
            "config.settings.vwap: vwap.step_s: '30' is text in quotes; allowed is a whole number from 1 to 86400" },
        { "a truth for a number", "vwap", "{\"step_s\":true}", KT_TYPE, "'true' is no whole number" },
        { "a fraction", "vwap", "{\"step_s\":1.5}", KT_TYPE, "'1.5' is no whole number" },
        { "an object", "vwap", "{\"step_s\":{}}", KT_TYPE, "is an object; allowed is a whole number" },
        { "a number for a truth", "repair", "{\"enabled\":1}", KT_TYPE, "'1' is neither; allowed is true or false" },
        { "a number for words", "diag", "{\"levels\":3}", KT_TYPE, "is a number; allowed is a list" },
        { "half a character", "diag", "{\"format\":\"\\ud800\"}", KT_SYNTAX, "diag.format: holds half a character" },
        { "half a character in a key", "diag", "{\"\\ud800\":1}", KT_NOENT, "unknown key 'diag.\\ud800'" },
        { "a list of numbers", "diag", "{\"levels\":[1]}", KT_TYPE, "holds a number" },
        { "an unknown level", "diag", "{\"levels\":[\"loud\"]}", KT_RANGE, "'loud' is not known" },
        { "an unknown format", "diag", "{\"format\":\"xml\"}", KT_RANGE, "allowed is text or json" },
        { "out of range", "vwap", "{\"step_s\":0}", KT_RANGE, "'0' is not allowed" },
        { "too large for any", "vwap", "{\"step_s\":99999999999999999999}", KT_RANGE, "is not allowed" },
        { "twice", "vwap", "{\"step_s\":1,\"step_s\":2}", KT_TWICE, "is given twice" },
        { "two values that do not fit", "gather", "{\"backoff_min_ms\":20000}", KT_RANGE,
            "allowed is at most gather.backoff_max_ms, 10000" },
        { "one good, one bad: none", "vwap", "{\"suspect_percent\":20,\"step_s\":0}", KT_RANGE, "vwap.step_s" },
        { "a window in use", "vwap", "{\"windows\":[\"1m\"]}", KT_ARG,
            "vwap.windows: can not change while the house runs: averages over windows in use would break off" },
        { "composites", "vwap", "{\"composites\":[]}", KT_ARG, "vwap.composites: can not change" },
        { "the port", "edge", "{\"port\":3001}", KT_ARG, "clients are connected to it" },
        { "the store", "store", "{\"path\":\"x.db\"}", KT_ARG, "the store is open there" },
        { "a venue in use", "market", "{\"ws_url\":\"ws://h/\"}", KT_ARG, "its venue is in use" },
        { "the data folder", "data", "{}", KT_ARG, "its logs and its store lie there" },
        { "what the file has fixed", "edge", "{\"silence_ms\":9000}", KT_ARG, "the list `fixed` holds it" },
    };
    static char before[KT_CONFIG_TEXT_MAX];
    static char after[KT_CONFIG_TEXT_MAX];
    kt_config *config = parse("fixed: [edge.silence_ms]\n");
    size_t n;

    put(config, "vwap", "{\"suspect_percent\":12}");
    assert_int_equal(kt_config_text(config, before, sizeof before, &n), KT_OK);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char buf[KT_CONFIG_SETTINGS_MAX];
        kt_text json;
        kt_err err = { 0 };
        kt_code code = kt_config_settings_merge(
            config, kt_text_of(rows[i].section), kt_text_of(rows[i].changes), buf, &json, &err);

        if (code != rows[i].code || strstr(err.msg, rows[i].contains) == NULL)
            fail_msg("%s: %s, '%s'", rows[i].name, kt_code_name(code), err.msg);
        assert_int_equal(kt_config_text(config, after, sizeof after, &n), KT_OK);
        assert_string_equal(before, after);
    }
    kt_config_free(config);
}

static void test_a_section_that_no_lane_reads_has_no_settings(void **state)
{
    kt_config *config = parse("");
    kt_err err = { 0 };

    assert_int_equal(kt_config_settings(config, KT_TEXT("store"), KT_TEXT("{\"path\":\"x.db\"}"), &err), KT_NOENT);
    assert_non_null(strstr(err.msg, "there are gather, vwap, repair, edge, diag"));
    kt_config_free(config);
}

/* What `kontor config set KEY VALUE` makes of its two words. */
static void test_one_change_as_a_member(void **state)
{
    static char long_text[KT_CONFIG_VALUE_MAX + 1];
    static const struct {
        const char *name;
        const char *key;
        const char *text;
        kt_code code;
        const char *contains; /* of the member, or of the reason */
    } rows[] = {
        { "a number stays one", "vwap.step_s", "30", KT_OK, "\"step_s\":30" },
        { "a word is text", "diag.format", "json", KT_OK, "\"format\":\"json\"" },
        { "an unknown key", "vwap.stepp_s", "30", KT_NOENT, "did you mean 'vwap.step_s'?" },
        { "a key that stays", "data", "x", KT_ARG, "its logs and its store lie there" },
        { "a value that is too long", "diag.format", long_text, KT_RANGE, "diag.format: has 1024 bytes" },
    };

    memset(long_text, 'x', KT_CONFIG_VALUE_MAX);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char buf[256];
        kt_text json = { 0 };
        kt_err err = { 0 };
        kt_json_writer writer;
        kt_code code;

        kt_json_writer_init(&writer, buf, sizeof buf);
        kt_json_open_object(&writer);
        code = kt_config_settings_member(kt_text_of(rows[i].key), kt_text_of(rows[i].text), &writer, &err);
        kt_json_close_object(&writer);
        assert_int_equal(kt_json_writer_done(&writer, &json), KT_OK);
        buf[json.n] = '\0';
        if (code != rows[i].code || strstr(code == KT_OK ? buf : err.msg, rows[i].contains) == NULL)
            fail_msg("%s: %s, '%s', '%s'", rows[i].name, kt_code_name(code), buf, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_says_everything),
        cmocka_unit_test(test_canonical_form_reads_back_the_same),
        cmocka_unit_test(test_flag_over_environment_over_file_over_default),
        cmocka_unit_test(test_a_public_venue_needs_only_its_name),
        cmocka_unit_test(test_kraken_is_asked_once_a_second),
        cmocka_unit_test(test_list_names_value_and_origin),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_flags_and_variables),
        cmocka_unit_test(test_oversized_file),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_setting_goes_over_file_and_under_flag_and_variable),
        cmocka_unit_test(test_what_flags_hold_is_fixed_in_the_canonical_form),
        cmocka_unit_test(test_changes_are_merged),
        cmocka_unit_test(test_refused_changes),
        cmocka_unit_test(test_a_section_that_no_lane_reads_has_no_settings),
        cmocka_unit_test(test_one_change_as_a_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
