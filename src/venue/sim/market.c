#include "venue/sim/market.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/time.h"
#include "venue/sim/tape.h"

enum { SYMBOLS_DEFAULT = 4, SIZE_TEXT = 32 };

/* Known names and rough prices, for `--symbols N`; beyond them come made-up ones. */
static const struct {
    const char *base;
    double price;
} known[] = {
    { "BTC", 61800 },
    { "ETH", 2640 },
    { "SOL", 155 },
    { "XRP", 0.61 },
    { "BNB", 512 },
    { "DOGE", 0.104 },
    { "ADA", 0.344 },
    { "AVAX", 22.4 },
    { "LINK", 10.4 },
    { "DOT", 4.62 },
    { "LTC", 61.2 },
    { "BCH", 347 },
    { "UNI", 6.05 },
    { "ATOM", 4.89 },
    { "XLM", 0.101 },
    { "ETC", 18.9 },
    { "FIL", 3.62 },
    { "NEAR", 4.03 },
    { "APT", 6.28 },
    { "ARB", 0.558 },
    { "OP", 1.46 },
    { "PEPE", 0.0000084 },
    { "SHIB", 0.0000141 },
};

/* Shape of the generator. Rates are per second of market time. */
static const double BRANCHING = 0.6;    /* children of a trade, on average */
static const double DECAY = 60;         /* of the excitement: a child comes after 17 ms on average */
static const double SAME_SIDE = 0.85;   /* a child goes on in the direction of its parent */
static const double STEP = 0.00012;     /* standard step of the walk at an immigrant, as a part of the price */
static const double REVERSION = 0.0002; /* part of the way back to the first price, each step */
static const double HALF_SPREAD = 0.00004;
static const double SIZE_EXPONENT = 1.4;
static const double NOTIONAL_MIN = 12; /* smallest size, in the quote asset */
static const double SIZE_RATIO_MAX = 20000;

typedef struct price_walk {
    double first;     /* price at the start, in ticks */
    double middle;    /* now, in ticks */
    double weight;    /* sum of the weights of all symbols up to this one */
    int64_t tick;     /* one tick as a mantissa at KT_SIM_SCALE */
    int64_t lot;      /* one lot likewise */
    double lots_min;  /* the smallest size in lots */
    uint64_t number;  /* of the last trade */
    bool seller_took; /* side of the last trade */
} price_walk;

struct kt_sim_market {
    kt_sim_market_options options;
    kt_sim_symbol *symbols;
    uint32_t symbol_count;
    uint64_t taken;
    kt_sim_trade next;
    bool has_next;
    int64_t start_ns;
    /* tape */
    kt_sim_tape tape;
    uint32_t tape_at;
    /* generator */
    kt_rng rng;
    price_walk *walks;
    double excitement; /* intensity above the base rate */
    double elapsed_s;  /* since the start: of the last trade */
    uint32_t last_symbol;
    int64_t last_ns;  /* of the last trade */
    int64_t burst_ns; /* when the next burst comes */
    uint32_t burst_left;
};

/* ---- symbols ---- */

static kt_decimal step_of(uint32_t scale)
{
    return (kt_decimal){ .m = 1, .scale = (uint8_t)scale };
}

static kt_code add_symbol(
    kt_sim_market *market, kt_text pair, uint32_t price_scale, uint32_t quantity_scale, kt_err *err)
{
    kt_sim_symbol *symbol = NULL;
    kt_text quote = pair, base = { 0 };
    size_t n = 0;

    if (!kt_text_cut(&quote, '/', &base) || base.n == 0 || quote.n == 0 || memchr(quote.s, '/', quote.n) != NULL)
        return kt_fail(err, KT_ARG, "symbol '%.*s': a symbol is BASE/QUOTE, such as BTC/USDT", KT_TEXT_ARG(pair));
    if (pair.n >= sizeof symbol->text[0])
        return kt_fail(
            err, KT_ARG, "symbol '%.*s' is longer than %zu bytes", KT_TEXT_ARG(pair), sizeof symbol->text[0] - 1);
    for (size_t i = 0; i < pair.n; i++)
        if (!((pair.s[i] >= 'A' && pair.s[i] <= 'Z') || (pair.s[i] >= '0' && pair.s[i] <= '9') || pair.s[i] == '/'))
            return kt_fail(err, KT_ARG, "symbol '%.*s': only capital letters, digits and one slash are allowed",
                KT_TEXT_ARG(pair));
    if (market->symbol_count == KT_SIM_SYMBOL_MAX)
        return kt_fail(err, KT_ARG, "more than %d symbols", KT_SIM_SYMBOL_MAX);

    symbol = &market->symbols[market->symbol_count];
    *symbol = (kt_sim_symbol){ 0 };
    memcpy(symbol->text[0], pair.s, pair.n);
    for (size_t i = 0; i < pair.n; i++)
        if (pair.s[i] != '/')
            symbol->text[1][n++] = pair.s[i];
    memcpy(symbol->text[2], base.s, base.n);
    memcpy(symbol->text[3], quote.s, quote.n);
    symbol->pair = (kt_row_instrument){ .symbol = { symbol->text[0], pair.n },
        .venue_symbol = { symbol->text[1], n },
        .base = { symbol->text[2], base.n },
        .quote = { symbol->text[3], quote.n },
        .price_scale = (uint8_t)price_scale,
        .quantity_scale = (uint8_t)quantity_scale,
        .tick = step_of(price_scale),
        .lot = step_of(quantity_scale) };
    symbol->ticker = symbol->pair;
    symbol->ticker.symbol = symbol->ticker.venue_symbol = symbol->pair.base;
    for (uint32_t i = 0; i < market->symbol_count; i++) {
        if (kt_text_equal(market->symbols[i].pair.venue_symbol, symbol->pair.venue_symbol))
            return kt_fail(err, KT_ARG, "symbol '%.*s' is given twice", KT_TEXT_ARG(pair));
        if (kt_text_equal(market->symbols[i].pair.base, symbol->pair.base))
            symbol->ticker.symbol = symbol->ticker.venue_symbol = symbol->pair.symbol;
    }
    market->symbol_count++;
    return KT_OK;
}

/* A price of six to seven digits, and lots worth about as much at every price. */
static kt_code add_walk(kt_sim_market *market, kt_text pair, double price, kt_err *err)
{
    double magnitude = floor(log10(price));
    uint32_t price_scale = 0, quantity_scale = 0;
    kt_code code = KT_OK;
    price_walk *walk = NULL;

    if (!(price >= 1e-6 && price <= 1e6))
        return kt_fail(err, KT_ARG, "symbol '%.*s': its price must be 0.000001 to 1000000", KT_TEXT_ARG(pair));
    price_scale = (uint32_t)fmin(fmax(6 - magnitude, 0), KT_SIM_SCALE);
    quantity_scale = (uint32_t)fmin(fmax(magnitude + 1, 0), KT_SIM_SCALE);
    code = add_symbol(market, pair, price_scale, quantity_scale, err);
    if (code != KT_OK)
        return code;
    walk = &market->walks[market->symbol_count - 1];
    walk->tick = kt_pow10(KT_SIM_SCALE - price_scale);
    walk->lot = kt_pow10(KT_SIM_SCALE - quantity_scale);
    walk->first = walk->middle = price * (double)kt_pow10(price_scale);
    walk->lots_min = fmax(1, NOTIONAL_MIN / price * (double)kt_pow10(quantity_scale));
    walk->number = (uint64_t)kt_time_to_ms(market->options.start_ns);
    walk->weight =
        (market->symbol_count > 1 ? walk[-1].weight : 0) + 1 / pow(market->symbol_count, market->options.skew);
    return KT_OK;
}

static double price_of(kt_text base)
{
    for (size_t i = 0; i < KT_COUNT(known); i++)
        if (kt_text_equal(kt_text_of(known[i].base), base))
            return known[i].price;
    return 100;
}

static kt_code add_numbered(kt_sim_market *market, uint64_t count, kt_err *err)
{
    kt_code code = KT_OK;

    if (count == 0 || count > KT_SIM_SYMBOL_MAX)
        return kt_fail(
            err, KT_ARG, "--symbols %llu: 1 to %d, or a list of symbols", (unsigned long long)count, KT_SIM_SYMBOL_MAX);
    for (uint64_t i = 0; i < count && code == KT_OK; i++) {
        char pair[SIZE_TEXT];

        if (i < KT_COUNT(known))
            snprintf(pair, sizeof pair, "%s/USDT", known[i].base);
        else
            snprintf(pair, sizeof pair, "SIM%llu/USDT", (unsigned long long)i);
        code = add_walk(market, kt_text_of(pair), i < KT_COUNT(known) ? known[i].price : 1 + (double)(i % 97), err);
    }
    return code;
}

static kt_code add_listed(kt_sim_market *market, const char *list, kt_err *err)
{
    kt_text rest = kt_text_of(list), item;
    kt_code code = KT_OK;

    while (code == KT_OK && kt_text_cut(&rest, ',', &item)) {
        kt_text price_text = item, pair = { 0 };
        kt_decimal price = { 0 };
        double value = 0;

        if (!kt_text_cut(&price_text, '=', &pair) || pair.n == item.n) {
            kt_text quote = item, base = item;

            kt_text_cut(&quote, '/', &base);
            value = price_of(base);
            pair = item;
        } else if (kt_decimal_parse(price_text, &price) == KT_OK) {
            value = (double)price.m / (double)kt_pow10(price.scale);
        }
        code = add_walk(market, pair, value, err);
    }
    return code;
}

/* ---- tape ---- */

static kt_code open_tape(kt_sim_market *market, kt_err *err)
{
    const char *symbols = market->options.symbols;
    kt_code code = KT_OK;

    if (symbols != NULL && (strchr(symbols, ',') != NULL || strchr(symbols, '/') == NULL))
        return kt_fail(err, KT_ARG, "--symbols %s: a tape takes one symbol, BASE/QUOTE, or none", symbols);
    code = kt_sim_tape_read(market->options.tape, symbols, &market->tape, err);
    for (uint32_t i = 0; i < market->tape.symbol_count && code == KT_OK; i++)
        code = add_symbol(market, kt_text_of(market->tape.symbols[i]), market->tape.price_scale[i],
            market->tape.quantity_scale[i], err);
    if (code == KT_OK)
        market->start_ns = market->tape.trades[0].at_ns;
    return code;
}

static bool next_of_tape(kt_sim_market *market)
{
    if (market->tape_at >= market->tape.count)
        return false;
    market->next = market->tape.trades[market->tape_at++];
    if (market->options.until_number != 0 && market->next.number > market->options.until_number)
        market->tape_at = market->tape.count + 1; /* and it stays at its end */
    return market->tape_at <= market->tape.count;
}

/* ---- generator ---- */

static double exponential(kt_rng *rng)
{
    return -log1p(-kt_rng_unit(rng));
}

/* Sum of four uniforms: bell enough, and never further than 3.5 standard deviations. */
static double bell(kt_rng *rng)
{
    double sum = 0;

    for (int i = 0; i < 4; i++)
        sum += kt_rng_unit(rng);
    return (sum - 2) * 1.7320508075688772;
}

/* Moves the clock to the next trade; true: it is a child of the one before. */
static bool next_arrival(kt_sim_market *market)
{
    double base_rate = market->options.rate * (1 - BRANCHING);
    double immigrant_s = exponential(&market->rng) / base_rate;
    double child_s = INFINITY, wait_s = 0;

    if (market->excitement > 0) {
        double reach = 1 - DECAY * exponential(&market->rng) / market->excitement;

        if (reach > 0)
            child_s = -log(reach) / DECAY;
    }
    wait_s = fmin(immigrant_s, child_s);
    market->elapsed_s += wait_s;
    market->excitement = market->excitement * exp(-DECAY * wait_s) + BRANCHING * DECAY;
    return child_s < immigrant_s;
}

static uint32_t pick_symbol(kt_sim_market *market)
{
    double at = kt_rng_unit(&market->rng) * market->walks[market->symbol_count - 1].weight;
    uint32_t low = 0, high = market->symbol_count - 1;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (market->walks[middle].weight > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int64_t pick_size(kt_sim_market *market, const price_walk *walk)
{
    double ratio = pow(1 - kt_rng_unit(&market->rng), -1 / SIZE_EXPONENT);
    double lots = ceil(walk->lots_min * fmin(ratio, SIZE_RATIO_MAX));

    return (int64_t)lots * walk->lot;
}

/* The price a taker pays: half the spread away from the middle, at least half a tick. */
static int64_t pick_price(const price_walk *walk)
{
    double away = fmax(0.5, walk->middle * HALF_SPREAD);
    double ticks = walk->seller_took ? floor(walk->middle - away) : ceil(walk->middle + away);

    return (int64_t)fmax(ticks, 1) * walk->tick;
}

static void make_trade(kt_sim_market *market, int64_t at_ns, bool child)
{
    price_walk *walk = &market->walks[market->last_symbol];

    if (!child) {
        walk->middle += bell(&market->rng) * STEP * walk->middle + (walk->first - walk->middle) * REVERSION;
        walk->seller_took = kt_rng_chance(&market->rng, 0.5);
    } else if (!kt_rng_chance(&market->rng, SAME_SIDE)) {
        walk->seller_took = !walk->seller_took;
    } else {
        walk->middle += (walk->seller_took ? -1 : 1) * kt_rng_unit(&market->rng) * HALF_SPREAD * walk->middle;
    }
    market->last_ns = at_ns;
    market->next = (kt_sim_trade){ .at_ns = at_ns,
        .time_ms = kt_time_to_ms(at_ns),
        .price = pick_price(walk),
        .quantity = pick_size(market, walk),
        .number = ++walk->number,
        .symbol = market->last_symbol,
        .seller_took = walk->seller_took };
}

static bool next_of_generator(kt_sim_market *market)
{
    const kt_sim_market_options *options = &market->options;
    double elapsed_s = market->elapsed_s, excitement = market->excitement;
    kt_rng rng = market->rng;
    bool child = false;
    int64_t at_ns = 0;

    if (market->burst_left == 0) {
        child = next_arrival(market);
        at_ns = options->start_ns + (int64_t)(market->elapsed_s * 1e9);
        if (at_ns < market->last_ns)
            at_ns = market->last_ns; /* rounding behind a burst */
        if (options->burst != 0 && at_ns >= market->burst_ns) {
            market->elapsed_s = elapsed_s; /* the burst comes first; this arrival is drawn again behind it */
            market->excitement = excitement;
            market->rng = rng;
            market->burst_left = options->burst;
        }
    }
    if (market->burst_left != 0) {
        market->last_symbol = 0;
        make_trade(market, market->burst_ns, true);
        if (--market->burst_left == 0) {
            market->elapsed_s = fmax(market->elapsed_s, (double)(market->burst_ns - options->start_ns) * 1e-9);
            market->burst_ns += options->burst_every_ns;
        }
        return true;
    }
    if (!child)
        market->last_symbol = pick_symbol(market);
    make_trade(market, at_ns, child);
    return true;
}

/* ---- the market ---- */

kt_code kt_sim_market_open(const kt_sim_market_options *options, kt_sim_market **out_market, kt_err *err)
{
    kt_code code = KT_OK;
    kt_sim_market *market = calloc(1, sizeof *market);
    uint64_t count = SYMBOLS_DEFAULT;

    if (market == NULL)
        return kt_fail(err, KT_SYS, "no memory for the market");
    market->options = *options;
    market->start_ns = options->start_ns;
    market->symbols = calloc(KT_SIM_SYMBOL_MAX, sizeof *market->symbols);
    market->walks = calloc(KT_SIM_SYMBOL_MAX, sizeof *market->walks);
    if (market->symbols == NULL || market->walks == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for %d symbols", KT_SIM_SYMBOL_MAX);
        goto out;
    }
    kt_rng_init(&market->rng, options->seed);
    /* Half an interval after the start, at a whole millisecond, so that all of a burst has one time. */
    market->burst_ns = kt_time_floor(options->start_ns + options->burst_every_ns / 2, KT_NS_PER_MS);
    if (options->tape != NULL)
        code = open_tape(market, err);
    else if (options->symbols == NULL || kt_text_u64(kt_text_of(options->symbols), &count) == KT_OK)
        code = add_numbered(market, count, err);
    else
        code = add_listed(market, options->symbols, err);
    if (code != KT_OK)
        goto out;
    *out_market = market;
    market = NULL;
out:
    kt_sim_market_close(market);
    return code;
}

void kt_sim_market_close(kt_sim_market *market)
{
    if (market == NULL)
        return;
    kt_sim_tape_done(&market->tape);
    free(market->walks);
    free(market->symbols);
    free(market);
}

uint32_t kt_sim_symbol_count(const kt_sim_market *market)
{
    return market->symbol_count;
}

const kt_sim_symbol *kt_sim_symbol_at(const kt_sim_market *market, uint32_t index)
{
    kt_assert(index < market->symbol_count);
    return &market->symbols[index];
}

const kt_sim_tape *kt_sim_market_tape(const kt_sim_market *market)
{
    return market->options.tape != NULL ? &market->tape : NULL;
}

int64_t kt_sim_market_start(const kt_sim_market *market)
{
    return market->start_ns;
}

const kt_sim_trade *kt_sim_market_peek(kt_sim_market *market)
{
    if (market->has_next)
        return &market->next;
    if (market->options.count != 0 && market->taken == market->options.count)
        return NULL;
    market->has_next = market->options.tape != NULL ? next_of_tape(market) : next_of_generator(market);
    return market->has_next ? &market->next : NULL;
}

void kt_sim_market_take(kt_sim_market *market)
{
    kt_assert(market->has_next);
    market->has_next = false;
    market->taken++;
}
