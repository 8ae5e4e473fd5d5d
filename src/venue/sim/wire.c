#include "venue/sim/wire.h"

#include "base/assert.h"
#include "base/json.h"
#include "base/time.h"
#include "venue/decoder.h"
#include "venue/sim/kraken.h"

enum { BINANCE_DIGITS = 8, MS_TO_NS_SCALE = 6 };

/* Every value of an event as JSON text, in the order of the message; `field` numbers those that may be broken. */
typedef struct value {
    const char *name;
    int field; /* index into the format's fields, -1: never broken */
    kt_text json;
} value;

static const kt_sim_field generic_fields[] = {
    { "ticker", KT_SIM_JSON_TEXT },
    { "ts", KT_SIM_JSON_NUMBER },
    { "quantity", KT_SIM_JSON_NUMBER },
    { "price", KT_SIM_JSON_NUMBER },
    { "tradeid", KT_SIM_JSON_TEXT },
};

static const kt_sim_field binance_fields[] = {
    { "s", KT_SIM_JSON_TEXT },
    { "t", KT_SIM_JSON_NUMBER },
    { "p", KT_SIM_JSON_TEXT },
    { "q", KT_SIM_JSON_TEXT },
    { "T", KT_SIM_JSON_NUMBER },
    { "m", KT_SIM_JSON_BOOL },
};

/* ---- single values: each appends to `scratch` and gives back what it appended ---- */

static kt_text since(const kt_builder *scratch, size_t start)
{
    return (kt_text){ scratch->s + start, scratch->n - start };
}

static kt_text json_text(kt_builder *scratch, kt_text text)
{
    kt_json_writer writer;
    kt_text done = { 0 };

    kt_json_writer_init(&writer, scratch->s + scratch->n, scratch->size - scratch->n - 1);
    kt_json_put_text(&writer, text);
    if (kt_json_writer_done(&writer, &done) != KT_OK) {
        scratch->code = KT_FULL;
        return done;
    }
    scratch->n += done.n;
    scratch->s[scratch->n] = '\0';
    return done;
}

static kt_text json_number(kt_builder *scratch, kt_decimal decimal)
{
    size_t start = scratch->n;
    char text[KT_DECIMAL_TEXT_MAX];

    kt_decimal_format_trimmed(text, sizeof text, decimal);
    kt_builder_str(scratch, text);
    return since(scratch, start);
}

static kt_text json_u64(kt_builder *scratch, uint64_t number)
{
    size_t start = scratch->n;

    kt_builder_u64(scratch, number);
    return since(scratch, start);
}

static kt_text json_ms(kt_builder *scratch, int64_t time_ns)
{
    return json_number(scratch, (kt_decimal){ .m = time_ns, .scale = MS_TO_NS_SCALE });
}

/* "61837.63000000": eight digits behind the point, more where the value has them. */
static kt_text json_digits(kt_builder *scratch, kt_decimal decimal)
{
    size_t start = scratch->n;
    kt_decimal shown = { .scale = BINANCE_DIGITS };

    if (kt_decimal_rescale(decimal, BINANCE_DIGITS, &shown.m) != KT_OK)
        shown = decimal;
    kt_builder_char(scratch, '"');
    kt_builder_decimal(scratch, shown);
    kt_builder_char(scratch, '"');
    return since(scratch, start);
}

static kt_text json_bool(bool flag)
{
    return flag ? KT_TEXT("true") : KT_TEXT("false");
}

/* ---- objects ---- */

static void write_object(const value *values, size_t count, const kt_sim_damage *damage, kt_builder *out)
{
    const char *comma = "";

    kt_builder_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        bool broken = damage != NULL && values[i].field >= 0;

        if (broken && values[i].field == damage->omit)
            continue;
        kt_builder_str(out, comma);
        kt_builder_char(out, '"');
        kt_builder_str(out, values[i].name);
        kt_builder_str(out, "\":");
        kt_builder_text(out, broken && values[i].field == damage->replace ? damage->with : values[i].json);
        comma = ",";
    }
    kt_builder_char(out, '}');
}

static void write_generic(
    const kt_row_instrument *instrument, const kt_row_trade *trade, const kt_sim_damage *damage, kt_builder *out)
{
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    value values[] = {
        { "ticker", 0, json_text(&scratch, instrument->venue_symbol) },
        { "ts", 1, json_ms(&scratch, trade->venue_time) },
        { "quantity", 2, json_number(&scratch, trade->quantity) },
        { "price", 3, json_number(&scratch, trade->price) },
        { "tradeid", 4, json_text(&scratch, trade->trade_id) },
    };
    write_object(values, KT_COUNT(values), damage, out);
    if (scratch.code != KT_OK)
        out->code = KT_FULL;
}

static void write_binance(
    const kt_row_instrument *instrument, const kt_row_trade *trade, const kt_sim_damage *damage, kt_builder *out)
{
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_text time = json_ms(&scratch, trade->venue_time);
    value values[] = {
        { "e", -1, KT_TEXT("\"trade\"") },
        { "E", -1, time },
        { "s", 0, json_text(&scratch, instrument->venue_symbol) },
        { "t", 1, json_u64(&scratch, trade->trade_number) },
        { "p", 2, json_digits(&scratch, trade->price) },
        { "q", 3, json_digits(&scratch, trade->quantity) },
        { "T", 4, time },
        { "m", 5, json_bool(trade->side == KT_SIDE_SELL) },
        { "M", -1, KT_TEXT("true") },
    };
    write_object(values, KT_COUNT(values), damage, out);
    if (scratch.code != KT_OK)
        out->code = KT_FULL;
}

/* ---- books of Binance ---- */

static const kt_sim_field change_fields[] = {
    { "E", KT_SIM_JSON_NUMBER },
    { "s", KT_SIM_JSON_TEXT },
    { "U", KT_SIM_JSON_NUMBER },
    { "u", KT_SIM_JSON_NUMBER },
    { "b", KT_SIM_JSON_TEXT }, /* neither text nor number will do */
    { "a", KT_SIM_JSON_TEXT },
};

static const kt_sim_field ticker_fields[] = {
    { "u", KT_SIM_JSON_NUMBER },
    { "s", KT_SIM_JSON_TEXT },
    { "b", KT_SIM_JSON_TEXT },
    { "B", KT_SIM_JSON_TEXT },
    { "a", KT_SIM_JSON_TEXT },
    { "A", KT_SIM_JSON_TEXT },
};

static kt_text json_levels(kt_builder *scratch, const kt_rows *levels)
{
    size_t start = scratch->n;

    kt_builder_char(scratch, '[');
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_str(scratch, i == 0 ? "[" : ",[");
        json_digits(scratch, level.price);
        kt_builder_char(scratch, ',');
        json_digits(scratch, level.quantity);
        kt_builder_char(scratch, ']');
    }
    kt_builder_char(scratch, ']');
    return since(scratch, start);
}

static void write_change(
    const kt_row_instrument *instrument, const kt_ev_book *change, const kt_sim_damage *damage, kt_builder *out)
{
    static char mem[KT_SIM_CHANGE_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    value values[] = {
        { "e", -1, KT_TEXT("\"depthUpdate\"") },
        { "E", 0, json_ms(&scratch, change->venue_time) },
        { "s", 1, json_text(&scratch, instrument->venue_symbol) },
        { "U", 2, json_u64(&scratch, change->first_id) },
        { "u", 3, json_u64(&scratch, change->last_id) },
        { "b", 4, json_levels(&scratch, &change->bids) },
        { "a", 5, json_levels(&scratch, &change->asks) },
    };
    write_object(values, KT_COUNT(values), damage, out);
    if (scratch.code != KT_OK)
        out->code = KT_FULL;
}

static void write_ticker(
    const kt_row_instrument *instrument, const kt_ev_ticker *ticker, const kt_sim_damage *damage, kt_builder *out)
{
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    value values[] = {
        { "u", 0, json_u64(&scratch, ticker->update_id) },
        { "s", 1, json_text(&scratch, instrument->venue_symbol) },
        { "b", 2, json_digits(&scratch, ticker->bid) },
        { "B", 3, json_digits(&scratch, ticker->bid_quantity) },
        { "a", 4, json_digits(&scratch, ticker->ask) },
        { "A", 5, json_digits(&scratch, ticker->ask_quantity) },
    };
    write_object(values, KT_COUNT(values), damage, out);
    if (scratch.code != KT_OK)
        out->code = KT_FULL;
}

void kt_sim_write_book(const kt_ev_book *book, kt_builder *out)
{
    kt_builder_str(out, "{\"lastUpdateId\":");
    kt_builder_u64(out, book->last_id);
    kt_builder_str(out, ",\"bids\":");
    json_levels(out, &book->bids);
    kt_builder_str(out, ",\"asks\":");
    json_levels(out, &book->asks);
    kt_builder_char(out, '}');
}

void kt_sim_write_stream(const kt_row_instrument *instrument, const char *suffix, kt_builder *out)
{
    kt_text symbol = instrument->venue_symbol;

    for (size_t i = 0; i < symbol.n; i++)
        kt_builder_char(
            out, symbol.s[i] >= 'A' && symbol.s[i] <= 'Z' ? (char)(symbol.s[i] + ('a' - 'A')) : symbol.s[i]);
    kt_builder_str(out, suffix);
}

void kt_sim_write_combined(const kt_row_instrument *instrument, const char *suffix, kt_text event, kt_builder *out)
{
    kt_builder_str(out, "{\"stream\":\"");
    kt_sim_write_stream(instrument, suffix, out);
    kt_builder_str(out, "\",\"data\":");
    kt_builder_text(out, event);
    kt_builder_char(out, '}');
}

/* price x quantity with eight digits, as the venue shows it. */
static kt_text json_notional(kt_builder *scratch, kt_decimal price, kt_decimal quantity)
{
    size_t start = scratch->n;
    uint32_t scale = (uint32_t)price.scale + quantity.scale;
    kt_i128 m = (kt_i128)price.m * quantity.m; /* 63 + 63 bits: can not overflow */
    char text[KT_I128_TEXT_MAX];

    if (scale > BINANCE_DIGITS)
        m = kt_div_half_even(m, kt_pow10_i128(scale - BINANCE_DIGITS));
    else if (kt_i128_mul(m, kt_pow10_i128(BINANCE_DIGITS - scale), &m) != KT_OK)
        return KT_TEXT("null"); /* more than 10^22 of the quote asset */
    kt_i128_format(text, sizeof text, m, BINANCE_DIGITS);
    kt_builder_char(scratch, '"');
    kt_builder_str(scratch, text);
    kt_builder_char(scratch, '"');
    return since(scratch, start);
}

static void write_generic_row(const kt_row_instrument *instrument, const kt_row_trade *trade, kt_builder *out)
{
    write_generic(instrument, trade, NULL, out);
}

static void write_binance_row(const kt_row_instrument *instrument, const kt_row_trade *trade, kt_builder *out)
{
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    value values[] = {
        { "id", -1, json_u64(&scratch, trade->trade_number) },
        { "price", -1, json_digits(&scratch, trade->price) },
        { "qty", -1, json_digits(&scratch, trade->quantity) },
        { "quoteQty", -1, json_notional(&scratch, trade->price, trade->quantity) },
        { "time", -1, json_ms(&scratch, trade->venue_time) },
        { "isBuyerMaker", -1, json_bool(trade->side == KT_SIDE_SELL) },
        { "isBestMatch", -1, KT_TEXT("true") },
    };
    write_object(values, KT_COUNT(values), NULL, out);
}

void kt_sim_write_instrument(const kt_row_instrument *instrument, kt_builder *out)
{
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_text symbol = json_text(&scratch, instrument->venue_symbol);
    kt_text base = json_text(&scratch, instrument->base);
    kt_text quote = json_text(&scratch, instrument->quote);
    kt_text tick = json_digits(&scratch, instrument->tick);
    kt_text lot = json_digits(&scratch, instrument->lot);

    kt_builder_format(out,
        "{\"symbol\":%.*s,\"status\":\"TRADING\",\"baseAsset\":%.*s,\"baseAssetPrecision\":8,\"quoteAsset\":%.*s,"
        "\"quotePrecision\":8,\"quoteAssetPrecision\":8,\"orderTypes\":[\"LIMIT\",\"MARKET\"],"
        "\"isSpotTradingAllowed\":true,"
        "\"filters\":[{\"filterType\":\"PRICE_FILTER\",\"minPrice\":%.*s,\"maxPrice\":\"1000000.00000000\","
        "\"tickSize\":%.*s},"
        "{\"filterType\":\"LOT_SIZE\",\"minQty\":%.*s,\"maxQty\":\"9000000000.00000000\",\"stepSize\":%.*s}],"
        "\"permissions\":[\"SPOT\"]}",
        KT_TEXT_ARG(symbol), KT_TEXT_ARG(base), KT_TEXT_ARG(quote), KT_TEXT_ARG(tick), KT_TEXT_ARG(tick),
        KT_TEXT_ARG(lot), KT_TEXT_ARG(lot));
}

static const kt_sim_wire generic = {
    .format = &kt_venue_generic,
    .trade_fields = generic_fields,
    .trade_field_count = KT_COUNT(generic_fields),
    .write_trade = write_generic,
    .write_row = write_generic_row,
};

static const kt_sim_wire binance = {
    .format = &kt_venue_binance,
    .trade_fields = binance_fields,
    .trade_field_count = KT_COUNT(binance_fields),
    .change_fields = change_fields,
    .change_field_count = KT_COUNT(change_fields),
    .ticker_fields = ticker_fields,
    .ticker_field_count = KT_COUNT(ticker_fields),
    .write_trade = write_binance,
    .write_row = write_binance_row,
    .write_change = write_change,
    .write_ticker = write_ticker,
};

const kt_sim_wire *kt_sim_wire_of(const kt_venue_format *format)
{
    static const kt_sim_wire *const wires[] = { &generic, &binance, &kt_sim_kraken_v1, &kt_sim_kraken_v2 };
    size_t i = 0;

    while (i < KT_COUNT(wires) && wires[i]->format != format)
        i++;
    kt_assert(i < KT_COUNT(wires));
    return wires[i];
}
