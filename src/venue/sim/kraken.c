#include "venue/sim/kraken.h"

#include "base/assert.h"
#include "base/time.h"
#include "venue/sim/kraken_parts.h"

#define NS_PER_US 1000

enum {
    CHECKED_LEVELS = 10,
    DIGITS_V1 = 8, /* of quantities */
    NUMBER_SIZE = 64,
};

/* ---- names and numbers ---- */

/* BTC is XBT in v1 and in REST, DOGE is XDG. */
static void put_currency(kt_text name, bool old, kt_builder *out)
{
    if (old && kt_text_equal(name, KT_TEXT("BTC")))
        name = KT_TEXT("XBT");
    else if (old && kt_text_equal(name, KT_TEXT("DOGE")))
        name = KT_TEXT("XDG");
    kt_builder_text(out, name);
}

void kt_sim_kraken_put_pair(kt_text symbol, bool old, const char *between, kt_builder *out)
{
    kt_text quote = symbol, base = { 0 };

    kt_text_cut(&quote, '/', &base);
    put_currency(base, old, out);
    kt_builder_str(out, between);
    put_currency(quote, old, out);
}

uint32_t kt_sim_kraken_find(const kt_sim_market *market, kt_text name, bool old, const char *between)
{
    uint32_t count = kt_sim_symbol_count(market), i = 0;

    for (; i < count; i++) {
        char mem[NUMBER_SIZE];
        kt_builder spelled;

        kt_builder_init(&spelled, mem, sizeof mem);
        kt_sim_kraken_put_pair(kt_sim_symbol_at(market, i)->pair.symbol, old, between, &spelled);
        if (kt_text_equal(kt_builder_done(&spelled), name))
            break;
    }
    return i;
}

/* With so many digits behind the point, or all that it has. */
static void put_number(kt_decimal value, uint32_t digits, kt_builder *out)
{
    kt_decimal shown = { .scale = (uint8_t)digits };

    if (digits > KT_SCALE_MAX || kt_decimal_rescale(value, digits, &shown.m) != KT_OK)
        shown = value;
    kt_builder_decimal(out, shown);
}

void kt_sim_kraken_put_price(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal price, kt_builder *out)
{
    put_number(price, instrument->price_scale + (kt_sim_kraken_is_v1(format) ? 1u : 0u), out);
}

void kt_sim_kraken_put_quantity(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal quantity, kt_builder *out)
{
    put_number(quantity, kt_sim_kraken_is_v1(format) ? DIGITS_V1 : instrument->quantity_scale, out);
}

/* Seconds with six digits behind the point. */
static void put_seconds(int64_t time_ns, kt_builder *out)
{
    kt_builder_decimal(out, (kt_decimal){ .m = time_ns / NS_PER_US, .scale = 6 });
}

static void put_time(int64_t time_ns, kt_builder *out)
{
    char text[KT_TIME_TEXT_MAX];
    int64_t second_ns = kt_time_floor(time_ns, KT_NS_PER_S);
    size_t n = kt_time_format_iso(text, sizeof text, second_ns); /* ends in .000Z */

    kt_assert(n > 5);
    kt_builder_format(out, "%.*s.%06lldZ", (int)(n - 5), text, (long long)((time_ns - second_ns) / NS_PER_US));
}

/* ---- the checksum: text, then bits ---- */

static uint32_t crc_number(uint32_t crc, const char *number)
{
    bool front = true;

    for (; *number != '\0'; number++) {
        front = front && (*number == '0' || *number == '.');
        if (front || *number == '.')
            continue;
        crc ^= (uint8_t)*number;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
    }
    return crc;
}

static uint32_t crc_side(
    const kt_venue_format *format, const kt_row_instrument *instrument, uint32_t crc, const kt_rows *levels)
{
    for (uint32_t i = 0; i < levels->count && i < CHECKED_LEVELS; i++) {
        char price[NUMBER_SIZE], quantity[NUMBER_SIZE];
        kt_builder price_text, quantity_text;
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_init(&price_text, price, sizeof price);
        kt_builder_init(&quantity_text, quantity, sizeof quantity);
        kt_sim_kraken_put_price(format, instrument, level.price, &price_text);
        kt_sim_kraken_put_quantity(format, instrument, level.quantity, &quantity_text);
        crc = crc_number(crc_number(crc, price), quantity);
    }
    return crc;
}

static uint32_t checksum_v1(const kt_row_instrument *instrument, const kt_rows *bids, const kt_rows *asks)
{
    const kt_venue_format *format = &kt_venue_kraken_v1;

    return ~crc_side(format, instrument, crc_side(format, instrument, 0xFFFFFFFFu, asks), bids);
}

static uint32_t checksum_v2(const kt_row_instrument *instrument, const kt_rows *bids, const kt_rows *asks)
{
    const kt_venue_format *format = &kt_venue_kraken_v2;

    return ~crc_side(format, instrument, crc_side(format, instrument, 0xFFFFFFFFu, asks), bids);
}

/* ---- messages from their parts ---- */

/* A part of a message, which may be left out or replaced. */
typedef struct part {
    const char *name; /* NULL: an element of an array */
    int field;        /* index into the fields, -1: never broken */
    kt_text json;
} part;

static void put_parts(const part *parts, size_t count, const kt_sim_damage *damage, kt_builder *out)
{
    const char *comma = "";

    for (size_t i = 0; i < count; i++) {
        bool broken = damage != NULL && parts[i].field >= 0;

        if (broken && parts[i].field == damage->omit)
            continue;
        kt_builder_str(out, comma);
        if (parts[i].name != NULL)
            kt_builder_format(out, "\"%s\":", parts[i].name);
        kt_builder_text(out, broken && parts[i].field == damage->replace ? damage->with : parts[i].json);
        comma = ",";
    }
}

/* What has been appended to the scratch since `start`. */
static kt_text since(const kt_builder *scratch, size_t start)
{
    return (kt_text){ scratch->s + start, scratch->n - start };
}

/* [channel number, content ..., "channel", "pair"] of v1. */
static void put_news_v1(const kt_row_instrument *instrument, kt_text content, const char *channel, int channel_field,
    const kt_sim_damage *damage, kt_builder *out)
{
    char pair_mem[NUMBER_SIZE + 8], channel_mem[NUMBER_SIZE];
    kt_builder pair, name;

    kt_builder_init(&pair, pair_mem, sizeof pair_mem);
    kt_builder_char(&pair, '"');
    kt_sim_kraken_put_pair(instrument->symbol, true, "/", &pair);
    kt_builder_char(&pair, '"');
    kt_builder_init(&name, channel_mem, sizeof channel_mem);
    kt_builder_format(&name, "\"%s\"", channel);
    const part parts[] = { { NULL, -1, content }, { NULL, channel_field, kt_builder_done(&name) },
        { NULL, channel_field + 1, kt_builder_done(&pair) } };

    kt_builder_format(out, "[%d,", KT_SIM_KRAKEN_CHANNEL_NUMBER);
    put_parts(parts, KT_COUNT(parts), damage, out);
    kt_builder_char(out, ']');
}

/* ---- trades ---- */

static const kt_sim_field trade_fields_v1[] = { { "price", KT_SIM_JSON_TEXT }, { "volume", KT_SIM_JSON_TEXT },
    { "time", KT_SIM_JSON_TEXT }, { "side", KT_SIM_JSON_TEXT }, { "channelName", KT_SIM_JSON_TEXT },
    { "pair", KT_SIM_JSON_TEXT } };

static const kt_sim_field trade_fields_v2[] = { { "symbol", KT_SIM_JSON_TEXT }, { "side", KT_SIM_JSON_TEXT },
    { "price", KT_SIM_JSON_NUMBER }, { "qty", KT_SIM_JSON_NUMBER }, { "trade_id", KT_SIM_JSON_NUMBER },
    { "timestamp", KT_SIM_JSON_TEXT } };

/* Values as JSON text, each appended to the scratch: v1 writes numbers as texts. */
static kt_text json_price(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal price, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_str(scratch, kt_sim_kraken_is_v1(format) ? "\"" : "");
    kt_sim_kraken_put_price(format, instrument, price, scratch);
    kt_builder_str(scratch, kt_sim_kraken_is_v1(format) ? "\"" : "");
    return since(scratch, start);
}

static kt_text json_quantity(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal quantity, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_str(scratch, kt_sim_kraken_is_v1(format) ? "\"" : "");
    kt_sim_kraken_put_quantity(format, instrument, quantity, scratch);
    kt_builder_str(scratch, kt_sim_kraken_is_v1(format) ? "\"" : "");
    return since(scratch, start);
}

static kt_text json_time(const kt_venue_format *format, int64_t time_ns, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_char(scratch, '"');
    (kt_sim_kraken_is_v1(format) ? put_seconds : put_time)(time_ns, scratch);
    kt_builder_char(scratch, '"');
    return since(scratch, start);
}

static kt_text json_text(kt_text text, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_format(scratch, "\"%.*s\"", KT_TEXT_ARG(text));
    return since(scratch, start);
}

static kt_text json_u64(uint64_t number, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_u64(scratch, number);
    return since(scratch, start);
}

static void write_trade_v1(
    const kt_row_instrument *instrument, const kt_row_trade *trade, const kt_sim_damage *damage, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v1;
    char mem[KT_SIM_EVENT_SIZE], row_mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch, row;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_builder_init(&row, row_mem, sizeof row_mem);
    const part parts[] = {
        { NULL, 0, json_price(format, instrument, trade->price, &scratch) },
        { NULL, 1, json_quantity(format, instrument, trade->quantity, &scratch) },
        { NULL, 2, json_time(format, trade->venue_time, &scratch) },
        { NULL, 3, trade->side == KT_SIDE_SELL ? KT_TEXT("\"s\"") : KT_TEXT("\"b\"") },
        { NULL, -1, KT_TEXT("\"l\"") },
        { NULL, -1, KT_TEXT("\"\"") },
    };
    kt_builder_str(&row, "[[");
    put_parts(parts, KT_COUNT(parts), damage, &row);
    kt_builder_str(&row, "]]");
    put_news_v1(instrument, kt_builder_done(&row), "trade", 4, damage, out);
}

static void write_trade_v2(
    const kt_row_instrument *instrument, const kt_row_trade *trade, const kt_sim_damage *damage, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v2;
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    const part parts[] = {
        { "symbol", 0, json_text(instrument->symbol, &scratch) },
        { "side", 1, trade->side == KT_SIDE_SELL ? KT_TEXT("\"sell\"") : KT_TEXT("\"buy\"") },
        { "price", 2, json_price(format, instrument, trade->price, &scratch) },
        { "qty", 3, json_quantity(format, instrument, trade->quantity, &scratch) },
        { "ord_type", -1, KT_TEXT("\"limit\"") },
        { "trade_id", 4, json_u64(trade->trade_number, &scratch) },
        { "timestamp", 5, json_time(format, trade->venue_time, &scratch) },
    };
    kt_builder_str(out, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{");
    put_parts(parts, KT_COUNT(parts), damage, out);
    kt_builder_str(out, "}]}");
}

/* REST is the same for both. */
static void write_row(const kt_row_instrument *instrument, const kt_row_trade *trade, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v1;
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    const part parts[] = {
        { NULL, -1, json_price(format, instrument, trade->price, &scratch) },
        { NULL, -1, json_quantity(format, instrument, trade->quantity, &scratch) },
    };
    kt_builder_char(out, '[');
    put_parts(parts, KT_COUNT(parts), NULL, out);
    kt_builder_char(out, ',');
    kt_builder_decimal(out, (kt_decimal){ .m = (trade->venue_time + KT_SIM_KRAKEN_REST_EXTRA_NS) / 100, .scale = 7 });
    kt_builder_format(out, ",\"%s\",\"l\",\"\",%llu]", trade->side == KT_SIDE_SELL ? "s" : "b",
        (unsigned long long)trade->trade_number);
}

/* ---- books ---- */

static const kt_sim_field change_fields_v1[] = { { "levels", KT_SIM_JSON_TEXT }, { "channelName", KT_SIM_JSON_TEXT },
    { "pair", KT_SIM_JSON_TEXT } };

static const kt_sim_field change_fields_v2[] = { { "symbol", KT_SIM_JSON_TEXT }, { "bids", KT_SIM_JSON_TEXT },
    { "asks", KT_SIM_JSON_TEXT }, { "type", KT_SIM_JSON_TEXT } };

void kt_sim_kraken_put_levels(const kt_row_instrument *instrument, const kt_rows *levels, kt_text time, kt_builder *out)
{
    kt_builder_char(out, '[');
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_str(out, i == 0 ? "[\"" : ",[\"");
        kt_sim_kraken_put_price(&kt_venue_kraken_v1, instrument, level.price, out);
        kt_builder_str(out, "\",\"");
        kt_sim_kraken_put_quantity(&kt_venue_kraken_v1, instrument, level.quantity, out);
        kt_builder_format(out, "\",%.*s]", KT_TEXT_ARG(time));
    }
    kt_builder_char(out, ']');
}

static kt_text levels_v1(
    const kt_row_instrument *instrument, const kt_rows *levels, int64_t time_ns, kt_builder *scratch)
{
    kt_text time = json_time(&kt_venue_kraken_v1, time_ns, scratch);
    size_t start = scratch->n;

    kt_sim_kraken_put_levels(instrument, levels, time, scratch);
    return since(scratch, start);
}

static kt_text levels_v2(const kt_row_instrument *instrument, const kt_rows *levels, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_char(scratch, '[');
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_str(scratch, i == 0 ? "{\"price\":" : ",{\"price\":");
        kt_sim_kraken_put_price(&kt_venue_kraken_v2, instrument, level.price, scratch);
        kt_builder_str(scratch, ",\"qty\":");
        kt_sim_kraken_put_quantity(&kt_venue_kraken_v2, instrument, level.quantity, scratch);
        kt_builder_char(scratch, '}');
    }
    kt_builder_char(scratch, ']');
    return since(scratch, start);
}

static uint32_t broken_checksum(const kt_ev_book *book, const kt_sim_damage *damage)
{
    return (uint32_t)book->checksum + (damage != NULL ? damage->checksum : 0);
}

/* Sides without levels are not told; the checksum stands with the last one. */
static void write_book_v1(
    const kt_row_instrument *instrument, const kt_ev_book *book, const kt_sim_damage *damage, kt_builder *out)
{
    static char mem[KT_SIM_CHANGE_SIZE], content_mem[KT_SIM_CHANGE_SIZE];
    const kt_rows *const sides[] = { &book->asks, &book->bids };
    static const char *const names[][2] = { { "a", "b" }, { "as", "bs" } };
    const char *comma = "";
    kt_builder scratch, content;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_builder_init(&content, content_mem, sizeof content_mem);
    if (book->snapshot)
        kt_builder_char(&content, '{');
    for (size_t side = 0; side < KT_COUNT(sides); side++) {
        const part levels[] = { { names[book->snapshot][side], 0,
            levels_v1(instrument, sides[side], book->venue_time, &scratch) } };
        bool last = side == 1 || sides[1]->count == 0;

        if (!book->snapshot && sides[side]->count == 0)
            continue;
        kt_builder_str(&content, comma);
        kt_builder_str(&content, book->snapshot ? "" : "{");
        put_parts(levels, 1, damage, &content);
        if (!book->snapshot && last)
            kt_builder_format(&content, "%s\"c\":\"%u\"", damage != NULL && damage->omit == 0 ? "" : ",",
                broken_checksum(book, damage));
        kt_builder_str(&content, book->snapshot ? "" : "}");
        comma = ",";
    }
    if (book->snapshot)
        kt_builder_char(&content, '}');
    put_news_v1(instrument, kt_builder_done(&content), "book-1000", 1, damage, out);
}

static void write_book_v2(
    const kt_row_instrument *instrument, const kt_ev_book *book, const kt_sim_damage *damage, kt_builder *out)
{
    static char mem[KT_SIM_CHANGE_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    const part envelope[] = {
        { "channel", -1, KT_TEXT("\"book\"") },
        { "type", 3, book->snapshot ? KT_TEXT("\"snapshot\"") : KT_TEXT("\"update\"") },
    };
    const part parts[] = {
        { "symbol", 0, json_text(instrument->symbol, &scratch) },
        { "bids", 1, levels_v2(instrument, &book->bids, &scratch) },
        { "asks", 2, levels_v2(instrument, &book->asks, &scratch) },
        { "checksum", -1, json_u64(broken_checksum(book, damage), &scratch) },
        { "timestamp", -1, json_time(&kt_venue_kraken_v2, book->venue_time, &scratch) },
    };
    kt_builder_char(out, '{');
    put_parts(envelope, KT_COUNT(envelope), damage, out);
    kt_builder_str(out, ",\"data\":[{");
    put_parts(parts, KT_COUNT(parts), damage, out);
    kt_builder_str(out, "}]}");
}

void kt_sim_kraken_write_snapshot(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_ev_book *book, kt_builder *out)
{
    (kt_sim_kraken_is_v1(format) ? write_book_v1 : write_book_v2)(instrument, book, NULL, out);
}

/* ---- best prices ---- */

static const kt_sim_field ticker_fields_v1[] = { { "bid", KT_SIM_JSON_TEXT }, { "ask", KT_SIM_JSON_TEXT },
    { "timestamp", KT_SIM_JSON_TEXT }, { "bidVolume", KT_SIM_JSON_TEXT }, { "askVolume", KT_SIM_JSON_TEXT },
    { "channelName", KT_SIM_JSON_TEXT }, { "pair", KT_SIM_JSON_TEXT } };

static const kt_sim_field ticker_fields_v2[] = { { "symbol", KT_SIM_JSON_TEXT }, { "bid", KT_SIM_JSON_NUMBER },
    { "bid_qty", KT_SIM_JSON_NUMBER }, { "ask", KT_SIM_JSON_NUMBER }, { "ask_qty", KT_SIM_JSON_NUMBER } };

static void write_ticker_v1(
    const kt_row_instrument *instrument, const kt_ev_ticker *ticker, const kt_sim_damage *damage, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v1;
    char mem[KT_SIM_EVENT_SIZE], row_mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch, row;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_builder_init(&row, row_mem, sizeof row_mem);
    const part parts[] = {
        { NULL, 0, json_price(format, instrument, ticker->bid, &scratch) },
        { NULL, 1, json_price(format, instrument, ticker->ask, &scratch) },
        { NULL, 2, json_time(format, ticker->venue_time, &scratch) },
        { NULL, 3, json_quantity(format, instrument, ticker->bid_quantity, &scratch) },
        { NULL, 4, json_quantity(format, instrument, ticker->ask_quantity, &scratch) },
    };
    kt_builder_char(&row, '[');
    put_parts(parts, KT_COUNT(parts), damage, &row);
    kt_builder_char(&row, ']');
    put_news_v1(instrument, kt_builder_done(&row), "spread", 5, damage, out);
}

static void write_ticker_v2(
    const kt_row_instrument *instrument, const kt_ev_ticker *ticker, const kt_sim_damage *damage, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v2;
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    const part parts[] = {
        { "symbol", 0, json_text(instrument->symbol, &scratch) },
        { "bid", 1, json_price(format, instrument, ticker->bid, &scratch) },
        { "bid_qty", 2, json_quantity(format, instrument, ticker->bid_quantity, &scratch) },
        { "ask", 3, json_price(format, instrument, ticker->ask, &scratch) },
        { "ask_qty", 4, json_quantity(format, instrument, ticker->ask_quantity, &scratch) },
        { "timestamp", -1, json_time(format, ticker->venue_time, &scratch) },
    };
    kt_builder_str(out, "{\"channel\":\"ticker\",\"type\":\"update\",\"data\":[{");
    put_parts(parts, KT_COUNT(parts), damage, out);
    kt_builder_str(out, "}]}");
}

/* ---- candles ---- */

void kt_sim_kraken_candle_add(kt_sim_candle *candle, const kt_sim_trade *trade)
{
    int64_t begin_ms = trade->time_ms - trade->time_ms % KT_SIM_KRAKEN_MINUTE_MS;

    if (candle->count == 0 || candle->begin_ms != begin_ms)
        *candle =
            (kt_sim_candle){ .begin_ms = begin_ms, .open = trade->price, .high = trade->price, .low = trade->price };
    candle->high = trade->price > candle->high ? trade->price : candle->high;
    candle->low = trade->price < candle->low ? trade->price : candle->low;
    candle->close = trade->price;
    candle->volume += trade->quantity;
    candle->turnover += (kt_i128)trade->price * trade->quantity;
    candle->count++;
    candle->last_ns = kt_sim_time(&kt_venue_kraken_v2, trade);
}

bool kt_sim_kraken_candle_next(const kt_sim_history *history, uint32_t *at, kt_sim_candle *out_candle)
{
    kt_sim_candle candle = { 0 };

    while (*at < history->count) {
        const kt_sim_trade *trade = kt_sim_history_at(history, *at);

        if (candle.count != 0 && trade->time_ms - candle.begin_ms >= KT_SIM_KRAKEN_MINUTE_MS)
            break;
        kt_sim_kraken_candle_add(&candle, trade);
        ++*at;
    }
    if (candle.count != 0)
        *out_candle = candle;
    return candle.count != 0;
}

static kt_decimal at_sim_scale(int64_t m)
{
    return kt_decimal_canon((kt_decimal){ .m = m, .scale = KT_SIM_SCALE });
}

static int64_t end_of(const kt_sim_candle *candle)
{
    return (candle->begin_ms + KT_SIM_KRAKEN_MINUTE_MS) * KT_NS_PER_MS;
}

static kt_decimal average_of(const kt_row_instrument *instrument, const kt_sim_candle *candle)
{
    int64_t more = kt_pow10(KT_SIM_SCALE - instrument->price_scale);

    return (kt_decimal){ .m = (int64_t)(candle->turnover / candle->volume) / more, .scale = instrument->price_scale };
}

static void write_candle_v1(const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v1;
    char mem[KT_SIM_EVENT_SIZE], row_mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch, row;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_builder_init(&row, row_mem, sizeof row_mem);
    const part parts[] = {
        { NULL, -1, json_time(format, candle->last_ns, &scratch) },
        { NULL, -1, json_time(format, end_of(candle), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->open), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->high), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->low), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->close), &scratch) },
        { NULL, -1, json_price(format, instrument, average_of(instrument, candle), &scratch) },
        { NULL, -1, json_quantity(format, instrument, at_sim_scale((int64_t)candle->volume), &scratch) },
        { NULL, -1, json_u64(candle->count, &scratch) },
    };
    kt_builder_char(&row, '[');
    put_parts(parts, KT_COUNT(parts), NULL, &row);
    kt_builder_char(&row, ']');
    put_news_v1(instrument, kt_builder_done(&row), "ohlc-1", -1, NULL, out);
}

static void put_candle_v2(const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v2;
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    const part parts[] = {
        { "symbol", -1, json_text(instrument->symbol, &scratch) },
        { "open", -1, json_price(format, instrument, at_sim_scale(candle->open), &scratch) },
        { "high", -1, json_price(format, instrument, at_sim_scale(candle->high), &scratch) },
        { "low", -1, json_price(format, instrument, at_sim_scale(candle->low), &scratch) },
        { "close", -1, json_price(format, instrument, at_sim_scale(candle->close), &scratch) },
        { "trades", -1, json_u64(candle->count, &scratch) },
        { "volume", -1, json_quantity(format, instrument, at_sim_scale((int64_t)candle->volume), &scratch) },
        { "vwap", -1, json_price(format, instrument, average_of(instrument, candle), &scratch) },
        { "interval_begin", -1, json_time(format, candle->begin_ms * KT_NS_PER_MS, &scratch) },
        { "interval", -1, KT_TEXT("1") },
        { "timestamp", -1,
            json_time(format, end_of(candle), &scratch) }, /* the venue gives the end, and deprecates it */
    };
    kt_builder_char(out, '{');
    put_parts(parts, KT_COUNT(parts), NULL, out);
    kt_builder_char(out, '}');
}

/* The front of v2's message, up to its first candle. */
static void open_candles_v2(const char *type, int64_t now_ns, kt_builder *out)
{
    kt_builder_format(out, "{\"channel\":\"ohlc\",\"type\":\"%s\",\"timestamp\":\"", type);
    put_time(now_ns, out);
    kt_builder_str(out, "\",\"data\":[");
}

void kt_sim_kraken_write_candle(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out)
{
    if (kt_sim_kraken_is_v1(format)) {
        write_candle_v1(instrument, candle, out);
        return;
    }
    open_candles_v2("update", candle->last_ns, out);
    put_candle_v2(instrument, candle, out);
    kt_builder_str(out, "]}");
}

void kt_sim_kraken_write_candles(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_sim_history *history, kt_builder *out)
{
    const kt_sim_trade *last = kt_sim_history_last(history);
    int64_t minutes = kt_sim_kraken_is_v1(format) ? 1 : KT_SIM_KRAKEN_SNAPSHOT_MINUTES;
    kt_sim_candle candle;
    uint32_t at = 0;

    if (last == NULL)
        return;
    at = kt_sim_history_from_time(
        history, last->time_ms - last->time_ms % KT_SIM_KRAKEN_MINUTE_MS - (minutes - 1) * KT_SIM_KRAKEN_MINUTE_MS);
    if (kt_sim_kraken_is_v1(format)) {
        kt_sim_kraken_candle_next(history, &at, &candle);
        write_candle_v1(instrument, &candle, out);
        return;
    }
    open_candles_v2("snapshot", kt_sim_time(format, last), out);
    for (const char *comma = ""; kt_sim_kraken_candle_next(history, &at, &candle); comma = ",") {
        kt_builder_str(out, comma);
        put_candle_v2(instrument, &candle, out);
    }
    kt_builder_str(out, "]}");
}

void kt_sim_kraken_write_candle_row(const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out)
{
    const kt_venue_format *format = &kt_venue_kraken_v1;
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch;

    kt_builder_init(&scratch, mem, sizeof mem);
    const part parts[] = {
        { NULL, -1, json_u64((uint64_t)candle->begin_ms / 1000, &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->open), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->high), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->low), &scratch) },
        { NULL, -1, json_price(format, instrument, at_sim_scale(candle->close), &scratch) },
        { NULL, -1, json_price(format, instrument, average_of(instrument, candle), &scratch) },
        { NULL, -1, json_quantity(format, instrument, at_sim_scale((int64_t)candle->volume), &scratch) },
        { NULL, -1, json_u64(candle->count, &scratch) },
    };
    kt_builder_char(out, '[');
    put_parts(parts, KT_COUNT(parts), NULL, out);
    kt_builder_char(out, ']');
}

/* ---- all of a version ---- */

const kt_sim_wire kt_sim_kraken_v1 = {
    .format = &kt_venue_kraken_v1,
    .microseconds = true,
    .trade_fields = trade_fields_v1,
    .trade_field_count = KT_COUNT(trade_fields_v1),
    .change_fields = change_fields_v1,
    .change_field_count = KT_COUNT(change_fields_v1),
    .ticker_fields = ticker_fields_v1,
    .ticker_field_count = KT_COUNT(ticker_fields_v1),
    .write_trade = write_trade_v1,
    .write_row = write_row,
    .write_change = write_book_v1,
    .write_ticker = write_ticker_v1,
    .checksum = checksum_v1,
};

const kt_sim_wire kt_sim_kraken_v2 = {
    .format = &kt_venue_kraken_v2,
    .microseconds = true,
    .trade_fields = trade_fields_v2,
    .trade_field_count = KT_COUNT(trade_fields_v2),
    .change_fields = change_fields_v2,
    .change_field_count = KT_COUNT(change_fields_v2),
    .ticker_fields = ticker_fields_v2,
    .ticker_field_count = KT_COUNT(ticker_fields_v2),
    .write_trade = write_trade_v2,
    .write_row = write_row,
    .write_change = write_book_v2,
    .write_ticker = write_ticker_v2,
    .checksum = checksum_v2,
};
