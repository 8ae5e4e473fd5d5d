#include "venue/sim/options.h"

#include "base/text.h"
#include "base/time.h"

enum {
    HISTORY_MAX_S = 7 * 24 * 3600,
    HELP_COLUMN = 24,
    FAULT_COLUMN = 19,
    BURST_MAX = 100000,
    WAIT_MAX = 64,
    KEEP_MAX = 50000000
};

typedef struct sim_flag {
    const char *name;
    const char *value; /* what follows it, as help shows it; NULL: nothing */
    const char *text;
    kt_code (*set)(kt_sim_options *options, const char *value, kt_err *err);
    bool value_optional;  /* what follows is its value only when it is no flag */
    char letter;          /* -p */
    const char *needs;    /* the flag without which it has no effect, */
    const char *not_with; /* and the one beside which it has none */
} sim_flag;

/* ---- values ---- */

static kt_code number(const char *value, uint64_t min, uint64_t max, uint64_t *out, kt_err *err)
{
    if (kt_text_u64(kt_text_of(value), out) != KT_OK || *out < min || *out > max)
        return kt_fail(err, KT_RANGE, "'%s': a whole number from %llu to %llu is needed", value,
            (unsigned long long)min, (unsigned long long)max);
    return KT_OK;
}

static kt_code real(const char *value, double min, double max, double *out, kt_err *err)
{
    kt_decimal decimal = { 0 };
    bool good = kt_decimal_parse(kt_text_of(value), &decimal) == KT_OK;

    *out = (double)decimal.m / (double)kt_pow10(decimal.scale);
    if (!good || *out < min || *out > max)
        return kt_fail(err, KT_RANGE, "'%s': a number from %.10g to %.10g is needed", value, min, max);
    return KT_OK;
}

static kt_code seconds(const char *value, double min, double max, int64_t *out_ns, kt_err *err)
{
    double s = 0;
    kt_code code = real(value, min, max, &s, err);

    if (code == KT_OK)
        *out_ns = (int64_t)(s * 1e9);
    return code;
}

/* ---- flags ---- */

static kt_code set_port(kt_sim_options *options, const char *value, kt_err *err)
{
    uint64_t port = 0;
    kt_code code = number(value, 0, 65535, &port, err);

    options->port = (uint16_t)port;
    return code;
}

static kt_code set_format(kt_sim_options *options, const char *value, kt_err *err)
{
    static const struct {
        const char *name;
        bool generic, binance;
        const kt_venue_format *kraken;
    } formats[] = {
        { "generic", true, false, NULL },
        { "binance", false, true, NULL },
        { "both", true, true, NULL },
        { "kraken_v1", false, false, &kt_venue_kraken_v1 },
        { "kraken_v2", false, false, &kt_venue_kraken_v2 },
    };

    for (size_t i = 0; i < KT_COUNT(formats); i++)
        if (strcmp(value, formats[i].name) == 0) {
            options->generic = formats[i].generic;
            options->binance = formats[i].binance;
            options->kraken = formats[i].kraken;
            return KT_OK;
        }
    return kt_fail(
        err, KT_ARG, "'%s': generic, binance, both, kraken_v1 and kraken_v2 are the formats there are", value);
}

static kt_code set_symbols(kt_sim_options *options, const char *value, kt_err *err)
{
    options->market.symbols = value;
    return KT_OK;
}

static kt_code set_rate(kt_sim_options *options, const char *value, kt_err *err)
{
    return real(value, 0.001, 1e6, &options->market.rate, err);
}

static kt_code set_skew(kt_sim_options *options, const char *value, kt_err *err)
{
    return real(value, 0, 10, &options->market.skew, err);
}

static kt_code set_seed(kt_sim_options *options, const char *value, kt_err *err)
{
    return number(value, 0, UINT64_MAX, &options->market.seed, err);
}

static kt_code set_count(kt_sim_options *options, const char *value, kt_err *err)
{
    return number(value, 1, UINT64_MAX, &options->market.count, err);
}

static kt_code set_start(kt_sim_options *options, const char *value, kt_err *err)
{
    int64_t ms = 0;

    if (kt_text_i64(kt_text_of(value), &ms) == KT_OK && ms > 0 &&
        kt_time_from_ms(ms, &options->market.start_ns) == KT_OK)
        return KT_OK;
    if (kt_time_parse_iso(kt_text_of(value), &options->market.start_ns) == KT_OK && options->market.start_ns > 0)
        return KT_OK;
    return kt_fail(err, KT_SYNTAX, "'%s': a time such as 2024-08-08T23:54:15Z, or ms since 1970, is needed", value);
}

static kt_code set_history(kt_sim_options *options, const char *value, kt_err *err)
{
    return seconds(value, 0, HISTORY_MAX_S, &options->history_ns, err);
}

static kt_code set_burst(kt_sim_options *options, const char *value, kt_err *err)
{
    uint64_t burst = 0;
    kt_code code = number(value, 1, BURST_MAX, &burst, err);

    options->market.burst = (uint32_t)burst;
    return code;
}

static kt_code set_burst_every(kt_sim_options *options, const char *value, kt_err *err)
{
    return seconds(value, 1, 86400, &options->market.burst_every_ns, err);
}

static kt_code set_tape(kt_sim_options *options, const char *value, kt_err *err)
{
    options->market.tape = value;
    return KT_OK;
}

static kt_code set_until(kt_sim_options *options, const char *value, kt_err *err)
{
    return number(value, 1, UINT64_MAX, &options->market.until_number, err);
}

static kt_code set_speed(kt_sim_options *options, const char *value, kt_err *err)
{
    if (strcmp(value, "max") == 0) {
        options->speed = KT_SIM_SPEED_MAX;
        return KT_OK;
    }
    if (real(value, 0.001, 1e6, &options->speed, NULL) != KT_OK)
        return kt_fail(err, KT_RANGE, "'%s': a factor from 0.001 to 1000000, or max, is needed", value);
    return KT_OK;
}

static kt_code set_wait(kt_sim_options *options, const char *value, kt_err *err)
{
    uint64_t wait = 1;
    kt_code code = value != NULL ? number(value, 1, WAIT_MAX, &wait, err) : KT_OK;

    options->wait = (uint32_t)wait;
    return code;
}

static kt_code set_keep(kt_sim_options *options, const char *value, kt_err *err)
{
    uint64_t keep = 0;
    kt_code code = number(value, 1000, KEEP_MAX, &keep, err);

    options->keep = (uint32_t)keep;
    return code;
}

static kt_code set_shuffle(kt_sim_options *options, const char *value, kt_err *err)
{
    options->shuffle = true;
    return KT_OK;
}

static kt_code set_no_rest(kt_sim_options *options, const char *value, kt_err *err)
{
    options->no_rest = true;
    return KT_OK;
}

static kt_code set_fault(kt_sim_options *options, const char *value, kt_err *err)
{
    kt_text rest = kt_text_of(value), item;
    kt_code code = KT_OK;

    while (code == KT_OK && kt_text_cut(&rest, ',', &item)) {
        kt_text name = { 0 };

        kt_text_cut(&item, '=', &name);
        if (name.n == 0 || item.s == NULL)
            return kt_fail(err, KT_SYNTAX, "'%.*s': NAME=VALUE is needed, such as drop=0.01", KT_TEXT_ARG(name));
        code = kt_sim_faults_set(&options->faults, name, item, err);
    }
    return code;
}

static kt_code set_schedule(kt_sim_options *options, const char *value, kt_err *err)
{
    options->schedule = value;
    return KT_OK;
}

static kt_code set_retry_after(kt_sim_options *options, const char *value, kt_err *err)
{
    uint64_t seconds_to_wait = 0;
    kt_code code = number(value, 1, 3600, &seconds_to_wait, err);

    options->retry_after_s = (uint32_t)seconds_to_wait;
    return code;
}

static kt_code set_control_port(kt_sim_options *options, const char *value, kt_err *err)
{
    uint64_t port = 0;
    kt_code code = number(value, 0, 65535, &port, err);

    options->has_control = true;
    options->control_port = (uint16_t)port;
    return code;
}

static kt_code set_tls(kt_sim_options *options, const char *value, kt_err *err)
{
    options->tls_folder = value;
    return KT_OK;
}

static kt_code set_silence(kt_sim_options *options, const char *value, kt_err *err)
{
    return seconds(value, 0.001, 3600, &options->silence_max_ns, err);
}

static kt_code set_truth(kt_sim_options *options, const char *value, kt_err *err)
{
    options->truth = value;
    return KT_OK;
}

static kt_code set_tls_certificate(kt_sim_options *options, const char *value, kt_err *err)
{
    options->tls_certificate = value;
    return KT_OK;
}

static kt_code set_tls_key(kt_sim_options *options, const char *value, kt_err *err)
{
    options->tls_key = value;
    return KT_OK;
}

static kt_code set_help(kt_sim_options *options, const char *value, kt_err *err)
{
    options->help = true;
    return KT_OK;
}

static const sim_flag flags[] = {
    { "port", "N", "listen on 127.0.0.1:N; 0: any free port (3001)", set_port, .letter = 'p' },
    { "format", "NAME", "generic, binance or both at once, kraken_v1 or kraken_v2 (both)", set_format },
    { "seed", "N", "of the market and of the faults: the same seed, the same trades and faults (1)", set_seed },
    { "symbols", "LIST", "a number of symbols, or BTC/USDT,ETH/USDT=2500,... with first prices (4)", set_symbols },
    { "rate", "X", "trades a second of market time, over all symbols (20)", set_rate, .not_with = "tape" },
    { "skew", "X", "the n-th symbol has 1/n^X of the first one's trades; 0: all trade alike (1)", set_skew,
        .not_with = "tape" },
    { "count", "N", "the market ends after N trades, those of --history included; REST goes on (no end)", set_count },
    { "start-time", "T", "market time of the start, ISO 8601 or ms since 1970 (now)", set_start, .not_with = "tape" },
    { "history", "SECONDS", "let so much market time have passed before the start, for REST to tell (0)", set_history },
    { "burst", "N", "now and then N trades of the first symbol in one millisecond", set_burst, .not_with = "tape" },
    { "burst-every", "SECONDS", "how often; the first one comes after half of it (60)", set_burst_every,
        .needs = "burst" },
    { "tape", "FILE", "play recorded trades instead: *.ns_raw.txt[.gz] or trades_<symbol>_*.csv[.gz]", set_tape },
    { "until-id", "N", "the tape ends with trade N", set_until, .needs = "tape" },
    { "speed", "X", "market seconds a second, or max: as fast as the reader takes it (1)", set_speed },
    { "wait", "N", "start when N clients have subscribed; --wait alone: 1", set_wait, true },
    { "keep", "N", "trades of each symbol that REST remembers (1000000)", set_keep },
    { "shuffle", NULL, "rows of /trades come in no order", set_shuffle },
    { "no-rest", NULL, "REST answers 503", set_no_rest },
    { "fault", "NAME=VALUE", "break so much; may be repeated, or a list with commas; the names are below", set_fault },
    { "schedule", "FILE", "change the faults by a script, YAML: sim/*.yaml are some", set_schedule },
    { "retry-after", "SECONDS", "that status_429 tells a client to wait (2)", set_retry_after },
    { "control-port", "N", "/sim/truth and /v1/sim/faults here too, in plain text, out of reach of all faults",
        set_control_port },
    { "silence-length", "SECONDS", "the longest silence, in market time (8)", set_silence },
    { "truth", "FILE",
        "write down what became of each trade, a JSON object a line, and totals at the end and on SIGUSR1", set_truth },
    { "tls", "FOLDER", "speak TLS with certificates that are made there; clients trust FOLDER/authority.crt", set_tls,
        .not_with = "tls-certificate" },
    { "tls-certificate", "FILE", "speak TLS (https, wss) with this certificate, PEM; needs --tls-key",
        set_tls_certificate, .needs = "tls-key" },
    { "tls-key", "FILE", "the key of --tls-certificate, PEM", set_tls_key, .needs = "tls-certificate" },
    { "help", NULL, "this text", set_help, .letter = 'h' },
};

/* The place of the flag that is meant, --port or -p; KT_COUNT(flags): none. */
static size_t find(kt_text word)
{
    bool named = kt_text_starts(word, KT_TEXT("--"));
    size_t i = 0;

    while (
        i < KT_COUNT(flags) && !(named ? kt_text_equal((kt_text){ word.s + 2, word.n - 2 }, kt_text_of(flags[i].name))
                                       : word.n == 2 && word.s[0] == '-' && word.s[1] == flags[i].letter))
        i++;
    return i;
}

_Static_assert(KT_COUNT(flags) <= 64, "a bit for each");

static bool is_given(uint64_t given, const char *flag)
{
    for (size_t i = 0; i < KT_COUNT(flags); i++)
        if (strcmp(flags[i].name, flag) == 0)
            return (given >> i & 1) != 0;
    return false;
}

/* ---- what has no effect is refused ---- */

static kt_code check_flags(const kt_sim_options *options, uint64_t given, kt_err *err)
{
    for (size_t i = 0; i < KT_COUNT(flags); i++) {
        const sim_flag *flag = &flags[i];

        if ((given >> i & 1) == 0)
            continue;
        if (flag->needs != NULL && !is_given(given, flag->needs))
            return kt_fail(err, KT_ARG, "--%s has no effect without --%s", flag->name, flag->needs);
        if (flag->not_with != NULL && is_given(given, flag->not_with))
            return kt_fail(err, KT_ARG, "--%s has no effect with --%s: one of both", flag->name, flag->not_with);
    }
    if (options->shuffle && !options->generic)
        return kt_fail(err, KT_ARG, "--shuffle has no effect without /trades: --format generic or both");
    return KT_OK;
}

static bool makes_certificates(const kt_sim_options *options)
{
    return options->tls_folder != NULL;
}

static bool answers_rest(const kt_sim_options *options)
{
    return !options->no_rest;
}

static bool has_books(const kt_sim_options *options)
{
    return options->binance || options->kraken != NULL;
}

static bool has_numbered_books(const kt_sim_options *options)
{
    return options->binance;
}

static bool has_checksums(const kt_sim_options *options)
{
    return options->kraken != NULL;
}

kt_code kt_sim_options_check_faults(
    const kt_sim_options *options, const kt_sim_faults *before, const kt_sim_faults *faults, kt_err *err)
{
    static const struct {
        uint32_t per;
        bool (*there)(const kt_sim_options *options);
        const char *needs;
    } things[] = {
        { KT_SIM_PER_HANDSHAKE, makes_certificates, "--tls, which makes the certificates" },
        { KT_SIM_PER_REQUEST, answers_rest, "REST: not with --no-rest" },
        { KT_SIM_PER_CHANGE, has_books, "books: --format binance, both, kraken_v1 or kraken_v2" },
        { KT_SIM_PER_NUMBERED | KT_SIM_PER_SNAPSHOT, has_numbered_books, "numbered books: --format binance or both" },
        { KT_SIM_PER_CHECKSUM, has_checksums, "checksums: --format kraken_v1 or kraken_v2" },
    };

    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
        for (size_t i = 0; i < KT_COUNT(things); i++)
            if ((kt_sim_fault_specs[fault].per & things[i].per) != 0 && !things[i].there(options) &&
                faults->values[fault].m != 0 && kt_decimal_compare(faults->values[fault], before->values[fault]) != 0)
                return kt_fail(
                    err, KT_ARG, "fault %s has no effect without %s", kt_sim_fault_specs[fault].name, things[i].needs);
    return KT_OK;
}

static kt_code check(const kt_sim_options *options, uint64_t given, kt_err *err)
{
    kt_code code = check_flags(options, given, err);

    if (code == KT_OK)
        code = kt_sim_faults_check(&options->faults, err);
    if (code == KT_OK)
        code = kt_sim_options_check_faults(options, &(kt_sim_faults){ 0 }, &options->faults, err);
    return code;
}

kt_code kt_sim_options_read(int argc, char **argv, int64_t now_ns, kt_sim_options *out_options, kt_err *err)
{
    kt_sim_options options = { .port = KT_SIM_PORT_DEFAULT,
        .generic = true,
        .binance = true,
        .market = { .seed = 1, .rate = 20, .skew = 1, .start_ns = now_ns, .burst_every_ns = 60 * KT_NS_PER_S },
        .speed = 1,
        .keep = KT_SIM_KEEP_DEFAULT,
        .retry_after_s = KT_SIM_RETRY_AFTER_DEFAULT_S,
        .silence_max_ns = KT_SIM_SILENCE_DEFAULT_S * KT_NS_PER_S };
    uint64_t given = 0; /* a bit for each of the flags */

    for (int i = 1; i < argc; i++) {
        kt_text value_text = kt_text_of(argv[i]), name = { 0 };
        const sim_flag *flag = NULL;
        const char *value = NULL;
        kt_code code = KT_OK;
        size_t which = 0;

        kt_text_cut(&value_text, '=', &name);
        which = find(name);
        if (which == KT_COUNT(flags))
            return kt_fail(err, KT_ARG, "unknown flag '%.*s': kontor sim --help lists them", KT_TEXT_ARG(name));
        flag = &flags[which];
        given |= UINT64_C(1) << which;
        if (value_text.s != NULL)
            value = value_text.s;
        else if (flag->value != NULL && i + 1 < argc && !(flag->value_optional && argv[i + 1][0] == '-'))
            value = argv[++i];
        if (flag->value != NULL && !flag->value_optional && value == NULL)
            return kt_fail(err, KT_ARG, "--%s needs a value: --%s %s", flag->name, flag->name, flag->value);
        if (flag->value == NULL && value != NULL)
            return kt_fail(err, KT_ARG, "--%s takes no value", flag->name);
        code = flag->set(&options, value, err);
        if (code != KT_OK)
            return kt_fail_within(err, code, "--%s", flag->name);
    }
    *out_options = options;
    return options.help ? KT_OK : check(&options, given, err);
}

static void put_faults(FILE *out)
{
    fputs(
        "\nFaults, by where they apply, with their units; 0 is off. Of one trade, message, connection or request at most one "
        "comes.\n",
        out);
    for (kt_sim_place place = 0; place < KT_SIM_PLACE_RESULT; place++) {
        fprintf(out, "%s\n", kt_sim_place_name(place));
        for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
            if (kt_sim_fault_specs[fault].place == place)
                fprintf(out, "  %-*s %s (%s)\n", FAULT_COLUMN, kt_sim_fault_specs[fault].name,
                    kt_sim_fault_specs[fault].text, kt_sim_unit_name(kt_sim_fault_specs[fault].unit));
    }
}

void kt_sim_help(FILE *out)
{
    fputs(
        "kontor sim - a market that breaks its stream on purpose and tells the truth over REST\n"
        "\n"
        "Usage: kontor sim [flags]\n"
        "\n"
        "  kontor sim                                     a market of four symbols, 20 trades a second, no faults\n"
        "  kontor sim --fault drop=0.01,repeat=0.01 --fault absurd_price=0.001\n"
        "  kontor sim --tape btcusdt.ns_raw.txt.gz --speed max --truth truth.jsonl\n"
        "\n"
        "Served on one port:\n"
        "  generic   ws://127.0.0.1:3001/stream, http://127.0.0.1:3001/trades?ticker=BTC&startTime=<ms>\n"
        "  binance   ws://127.0.0.1:3001/stream?streams=btcusdt@trade/btcusdt@depth@100ms/btcusdt@bookTicker,\n"
        "            /ws/btcusdt@trade, /ws with SUBSCRIBE;\n"
        "            http://127.0.0.1:3001/api/v3/exchangeInfo, /api/v3/trades, /api/v3/historicalTrades, /api/v3/depth\n"
        "  kraken_v2 ws://127.0.0.1:3001/v2; kraken_v1: ws://127.0.0.1:3001/; both: http://127.0.0.1:3001/0/public/Trades,\n"
        "            Depth, OHLC and AssetPairs\n"
        "  own       http://127.0.0.1:3001/sim/truth: what was delivered and what was broken so far;\n"
        "            /v1/sim/faults: GET shows the faults, POST changes them: kontor call sim.faults --url\n"
        "            http://127.0.0.1:3001 faults='{\"drop\":0.05}'\n"
        "\n"
        "Flags, with what holds without them in brackets:\n",
        out);
    for (size_t i = 0; i < KT_COUNT(flags); i++) {
        const sim_flag *flag = &flags[i];
        char mem[64];
        kt_builder head;

        kt_builder_init(&head, mem, sizeof mem);
        if (flag->letter != '\0')
            kt_builder_format(&head, "-%c, ", flag->letter);
        kt_builder_format(&head, "--%s", flag->name);
        if (flag->value != NULL)
            kt_builder_format(&head, flag->value_optional ? " [%s]" : " %s", flag->value);
        fprintf(out, "  %-*s %s\n", HELP_COLUMN, mem, flag->text);
    }
    put_faults(out);
}
