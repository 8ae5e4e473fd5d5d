#include "venue/sim/kraken.h"

#include "base/assert.h"
#include "base/json.h"
#include "base/time.h"
#include "net/url.h"

#define NS_PER_US 1000
#define REST_EXTRA_NS 400 /* what REST gives behind the microsecond */

enum {
    CHANNEL_NUMBER = 336,
    CHECKED_LEVELS = 10,
    DIGITS_V1 = 8, /* of quantities */
    NUMBER_SIZE = 64,
    WORDS_SIZE = 1024,
    HEAR_NODES = 4096,
    PAGE_MAX = 1000,
    CANDLES_MAX = 720,
    DEPTH_ASKED = 10,    /* of the stream, where it is not said, and */
    DEPTH_DEFAULT = 100, /* of REST */
    DEPTH_MAX = 500,
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

static void put_pair(kt_text symbol, bool old, const char *between, kt_builder *out)
{
    kt_text quote = symbol, base = { 0 };

    kt_text_cut(&quote, '/', &base);
    put_currency(base, old, out);
    kt_builder_str(out, between);
    put_currency(quote, old, out);
}

/* With so many digits behind the point, or all that it has. */
static void put_number(kt_decimal value, uint32_t digits, kt_builder *out)
{
    kt_decimal shown = { .scale = (uint8_t)digits };

    if (digits > KT_SCALE_MAX || kt_decimal_rescale(value, digits, &shown.m) != KT_OK)
        shown = value;
    kt_builder_decimal(out, shown);
}

static bool is_v1(const kt_venue_format *format)
{
    return format == &kt_venue_kraken_v1;
}

static void put_price(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal price, kt_builder *out)
{
    put_number(price, instrument->price_scale + (is_v1(format) ? 1u : 0u), out);
}

static void put_quantity(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal quantity, kt_builder *out)
{
    put_number(quantity, is_v1(format) ? DIGITS_V1 : instrument->quantity_scale, out);
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
        put_price(format, instrument, level.price, &price_text);
        put_quantity(format, instrument, level.quantity, &quantity_text);
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
    put_pair(instrument->symbol, true, "/", &pair);
    kt_builder_char(&pair, '"');
    kt_builder_init(&name, channel_mem, sizeof channel_mem);
    kt_builder_format(&name, "\"%s\"", channel);
    const part parts[] = { { NULL, -1, content }, { NULL, channel_field, kt_builder_done(&name) },
        { NULL, channel_field + 1, kt_builder_done(&pair) } };

    kt_builder_format(out, "[%d,", CHANNEL_NUMBER);
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

    kt_builder_str(scratch, is_v1(format) ? "\"" : "");
    put_price(format, instrument, price, scratch);
    kt_builder_str(scratch, is_v1(format) ? "\"" : "");
    return since(scratch, start);
}

static kt_text json_quantity(
    const kt_venue_format *format, const kt_row_instrument *instrument, kt_decimal quantity, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_str(scratch, is_v1(format) ? "\"" : "");
    put_quantity(format, instrument, quantity, scratch);
    kt_builder_str(scratch, is_v1(format) ? "\"" : "");
    return since(scratch, start);
}

static kt_text json_time(const kt_venue_format *format, int64_t time_ns, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_char(scratch, '"');
    (is_v1(format) ? put_seconds : put_time)(time_ns, scratch);
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
    kt_builder_decimal(out, (kt_decimal){ .m = (trade->venue_time + REST_EXTRA_NS) / 100, .scale = 7 });
    kt_builder_format(out, ",\"%s\",\"l\",\"\",%llu]", trade->side == KT_SIDE_SELL ? "s" : "b",
        (unsigned long long)trade->trade_number);
}

/* ---- books ---- */

static const kt_sim_field change_fields_v1[] = { { "levels", KT_SIM_JSON_TEXT }, { "channelName", KT_SIM_JSON_TEXT },
    { "pair", KT_SIM_JSON_TEXT } };

static const kt_sim_field change_fields_v2[] = { { "symbol", KT_SIM_JSON_TEXT }, { "bids", KT_SIM_JSON_TEXT },
    { "asks", KT_SIM_JSON_TEXT }, { "type", KT_SIM_JSON_TEXT } };

static kt_text levels_v1(
    const kt_row_instrument *instrument, const kt_rows *levels, int64_t time_ns, kt_builder *scratch)
{
    size_t start = scratch->n;

    kt_builder_char(scratch, '[');
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_str(scratch, i == 0 ? "[\"" : ",[\"");
        put_price(&kt_venue_kraken_v1, instrument, level.price, scratch);
        kt_builder_str(scratch, "\",\"");
        put_quantity(&kt_venue_kraken_v1, instrument, level.quantity, scratch);
        kt_builder_str(scratch, "\",\"");
        put_seconds(time_ns, scratch);
        kt_builder_str(scratch, "\"]");
    }
    kt_builder_char(scratch, ']');
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
        put_price(&kt_venue_kraken_v2, instrument, level.price, scratch);
        kt_builder_str(scratch, ",\"qty\":");
        put_quantity(&kt_venue_kraken_v2, instrument, level.quantity, scratch);
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
    (is_v1(format) ? write_book_v1 : write_book_v2)(instrument, book, NULL, out);
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
    int64_t begin_ms = trade->time_ms - trade->time_ms % 60000;

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

static kt_decimal at_sim_scale(int64_t m)
{
    return kt_decimal_canon((kt_decimal){ .m = m, .scale = KT_SIM_SCALE });
}

static kt_decimal average_of(const kt_row_instrument *instrument, const kt_sim_candle *candle)
{
    int64_t more = kt_pow10(KT_SIM_SCALE - instrument->price_scale);

    return (kt_decimal){ .m = (int64_t)(candle->turnover / candle->volume) / more, .scale = instrument->price_scale };
}

void kt_sim_kraken_write_candle(
    const kt_venue_format *format, const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *out)
{
    int64_t begin_ns = candle->begin_ms * KT_NS_PER_MS;
    char mem[KT_SIM_EVENT_SIZE], row_mem[KT_SIM_EVENT_SIZE];
    kt_builder scratch, row;

    kt_builder_init(&scratch, mem, sizeof mem);
    kt_builder_init(&row, row_mem, sizeof row_mem);
    const kt_text open = json_price(format, instrument, at_sim_scale(candle->open), &scratch);
    const kt_text high = json_price(format, instrument, at_sim_scale(candle->high), &scratch);
    const kt_text low = json_price(format, instrument, at_sim_scale(candle->low), &scratch);
    const kt_text close = json_price(format, instrument, at_sim_scale(candle->close), &scratch);
    const kt_text vwap = json_price(format, instrument, average_of(instrument, candle), &scratch);
    const kt_text volume = json_quantity(format, instrument, at_sim_scale((int64_t)candle->volume), &scratch);
    const kt_text count = json_u64(candle->count, &scratch);
    const kt_text last = json_time(format, candle->last_ns, &scratch);

    if (is_v1(format)) {
        const part parts[] = { { NULL, -1, last }, { NULL, -1, json_time(format, begin_ns + KT_NS_PER_MIN, &scratch) },
            { NULL, -1, open }, { NULL, -1, high }, { NULL, -1, low }, { NULL, -1, close }, { NULL, -1, vwap },
            { NULL, -1, volume }, { NULL, -1, count } };

        kt_builder_char(&row, '[');
        put_parts(parts, KT_COUNT(parts), NULL, &row);
        kt_builder_char(&row, ']');
        put_news_v1(instrument, kt_builder_done(&row), "ohlc-1", -1, NULL, out);
        return;
    }
    const part parts[] = {
        { "symbol", -1, json_text(instrument->symbol, &scratch) },
        { "open", -1, open },
        { "high", -1, high },
        { "low", -1, low },
        { "close", -1, close },
        { "trades", -1, count },
        { "volume", -1, volume },
        { "vwap", -1, vwap },
        { "interval_begin", -1, json_time(format, begin_ns, &scratch) },
        { "interval", -1, KT_TEXT("1") },
        { "timestamp", -1, last },
    };
    kt_builder_str(out, "{\"channel\":\"ohlc\",\"type\":\"update\",\"data\":[{");
    put_parts(parts, KT_COUNT(parts), NULL, out);
    kt_builder_str(out, "}]}");
}

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

/* ---- words with clients ---- */

void kt_sim_kraken_greeting(const kt_venue_format *format, kt_builder *out)
{
    kt_builder_str(
        out, is_v1(format)
                 ? "{\"connectionID\":8628615390848610000,\"event\":\"systemStatus\",\"status\":\"online\",\"version\":"
                   "\"1.9.0\"}"
                 : "{\"channel\":\"status\",\"type\":\"update\",\"data\":[{\"version\":\"2.0.0\",\"system\":\"online\","
                   "\"api_version\":\"v2\",\"connection_id\":8628615390848610000}]}");
}

kt_text kt_sim_kraken_heartbeat(const kt_venue_format *format)
{
    return is_v1(format) ? KT_TEXT("{\"event\":\"heartbeat\"}") : KT_TEXT("{\"channel\":\"heartbeat\"}");
}

/* What a client asks, in either version's words. */
typedef struct request {
    const kt_sim_kraken_host *host;
    const kt_json_doc *doc;
    kt_text verb;     /* subscribe, unsubscribe, ping */
    kt_text channel;  /* book, trade, ticker or spread, ohlc */
    uint32_t symbols; /* node; 0: none */
    uint64_t depth;
    uint64_t minutes; /* of candles */
    uint32_t id;      /* node; 0: none */
} request;

typedef struct words_v1 {
    kt_text verb;
    uint32_t id, symbols, subscription;
    kt_text channel;
    uint64_t depth, minutes;
} words_v1;

static const kt_json_field words_v1_fields[] = {
    KT_JSON_FIELD(words_v1, verb, "event", TEXT, 0),
    KT_JSON_FIELD(words_v1, id, "reqid", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v1, symbols, "pair", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v1, subscription, "subscription", OBJECT, KT_JSON_OPTIONAL),
};

static const kt_json_field subscription_fields[] = {
    KT_JSON_FIELD(words_v1, channel, "name", TEXT, 0),
    KT_JSON_FIELD(words_v1, depth, "depth", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v1, minutes, "interval", U64, KT_JSON_OPTIONAL),
};

typedef struct words_v2 {
    kt_text verb;
    uint32_t id, params, symbols;
    kt_text channel;
    uint64_t depth, minutes;
} words_v2;

static const kt_json_field words_v2_fields[] = {
    KT_JSON_FIELD(words_v2, verb, "method", TEXT, 0),
    KT_JSON_FIELD(words_v2, params, "params", OBJECT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v2, id, "req_id", ANY, KT_JSON_OPTIONAL),
};

static const kt_json_field params_fields[] = {
    KT_JSON_FIELD(words_v2, channel, "channel", TEXT, 0),
    KT_JSON_FIELD(words_v2, symbols, "symbol", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v2, depth, "depth", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v2, minutes, "interval", U64, KT_JSON_OPTIONAL),
};

static bool read_v1(const kt_json_doc *doc, request *out, kt_err *err)
{
    words_v1 words = { .depth = DEPTH_ASKED, .minutes = 1 };

    if (kt_json_fields(doc, 0, words_v1_fields, KT_COUNT(words_v1_fields), NULL, &words, NULL, err) != KT_OK ||
        (words.subscription != 0 && kt_json_fields(doc, words.subscription, subscription_fields,
                                        KT_COUNT(subscription_fields), NULL, &words, NULL, err) != KT_OK))
        return false;
    out->verb = words.verb;
    out->id = words.id;
    out->symbols = words.symbols;
    out->channel = words.channel;
    out->depth = words.depth;
    out->minutes = words.minutes;
    return true;
}

static bool read_v2(const kt_json_doc *doc, request *out, kt_err *err)
{
    words_v2 words = { .depth = DEPTH_ASKED, .minutes = 1 };

    if (kt_json_fields(doc, 0, words_v2_fields, KT_COUNT(words_v2_fields), NULL, &words, NULL, err) != KT_OK ||
        (words.params != 0 && kt_json_fields(doc, words.params, params_fields, KT_COUNT(params_fields), NULL, &words,
                                  NULL, err) != KT_OK))
        return false;
    out->verb = words.verb;
    out->id = words.id;
    out->symbols = words.symbols;
    out->channel = words.channel;
    out->depth = words.depth;
    out->minutes = words.minutes;
    return true;
}

static void put_id(const request *asked, const char *name, kt_json_writer *writer)
{
    if (asked->id == 0)
        return;
    kt_json_name(writer, name);
    kt_json_put_node(writer, asked->doc, asked->id);
}

static void put_shape(const request *asked, kt_sim_stream stream, kt_json_writer *writer)
{
    if (stream == KT_SIM_DEPTH)
        kt_json_member_u64(writer, "depth", asked->depth);
    if (stream == KT_SIM_CANDLES)
        kt_json_member_u64(writer, "interval", asked->minutes);
}

static void put_reply_v1(
    const request *asked, kt_text symbol, kt_sim_stream stream, const char *error, kt_json_writer *writer)
{
    bool added = kt_text_equal(asked->verb, KT_TEXT("subscribe"));
    char name[NUMBER_SIZE];
    kt_builder channel;

    kt_builder_init(&channel, name, sizeof name);
    kt_builder_text(&channel, asked->channel);
    if (stream == KT_SIM_DEPTH || stream == KT_SIM_CANDLES)
        kt_builder_format(
            &channel, "-%llu", (unsigned long long)(stream == KT_SIM_DEPTH ? asked->depth : asked->minutes));
    if (error != NULL)
        kt_json_member_text(writer, "errorMessage", kt_text_of(error));
    else
        kt_json_member_u64(writer, "channelID", CHANNEL_NUMBER);
    kt_json_member_text(writer, "channelName", kt_builder_done(&channel));
    kt_json_member_text(writer, "event", KT_TEXT("subscriptionStatus"));
    kt_json_member_text(writer, "pair", symbol);
    put_id(asked, "reqid", writer);
    kt_json_member_text(writer, "status",
        error != NULL ? KT_TEXT("error")
        : added       ? KT_TEXT("subscribed")
                      : KT_TEXT("unsubscribed"));
    kt_json_name(writer, "subscription");
    kt_json_open_object(writer);
    put_shape(asked, stream, writer);
    kt_json_member_text(writer, "name", asked->channel);
    kt_json_close_object(writer);
}

static void put_reply_v2(
    const request *asked, kt_text symbol, kt_sim_stream stream, const char *error, kt_json_writer *writer)
{
    kt_json_member_text(writer, "method", asked->verb);
    if (error == NULL) {
        kt_json_name(writer, "result");
        kt_json_open_object(writer);
        kt_json_member_text(writer, "channel", asked->channel);
        kt_json_member_text(writer, "symbol", symbol);
        put_shape(asked, stream, writer);
        kt_json_close_object(writer);
    } else {
        kt_json_member_text(writer, "error", kt_text_of(error));
        kt_json_member_text(writer, "symbol", symbol);
    }
    kt_json_member_bool(writer, "success", error == NULL);
    kt_json_name(writer, "time_in");
    kt_json_put_time(writer, asked->host->now_ns);
    kt_json_name(writer, "time_out");
    kt_json_put_time(writer, asked->host->now_ns);
    put_id(asked, "req_id", writer);
}

static void reply(const request *asked, kt_text symbol, kt_sim_stream stream, const char *error)
{
    char mem[WORDS_SIZE];
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    (is_v1(asked->host->format) ? put_reply_v1 : put_reply_v2)(asked, symbol, stream, error, &writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        asked->host->send(asked->host->ctx, text);
}

/* Index of the symbol with this spelling in REST (without a slash) or in a stream; symbol_count: none. */
static uint32_t find_symbol(const kt_sim_market *market, kt_text name, bool old, const char *between)
{
    uint32_t count = kt_sim_symbol_count(market), i = 0;

    for (; i < count; i++) {
        char mem[NUMBER_SIZE];
        kt_builder spelled;

        kt_builder_init(&spelled, mem, sizeof mem);
        put_pair(kt_sim_symbol_at(market, i)->pair.symbol, old, between, &spelled);
        if (kt_text_equal(kt_builder_done(&spelled), name))
            break;
    }
    return i;
}

/* The stream that the channel is; false: it is none of ours. */
static bool stream_of(const kt_venue_format *format, kt_text channel, kt_sim_stream *out)
{
    const kt_text names[KT_SIM_CANDLES + 1] = { [KT_SIM_TRADES] = KT_TEXT("trade"),
        [KT_SIM_DEPTH] = KT_TEXT("book"),
        [KT_SIM_TICKER] = is_v1(format) ? KT_TEXT("spread") : KT_TEXT("ticker"),
        [KT_SIM_CANDLES] = KT_TEXT("ohlc") };

    for (*out = KT_SIM_TRADES; *out <= KT_SIM_CANDLES; ++*out)
        if (kt_text_equal(channel, names[*out]))
            return true;
    return false;
}

static bool depth_is_served(const kt_venue_format *format, uint64_t depth)
{
    return depth == 1000 || (!is_v1(format) && (depth == 100 || depth == 500));
}

static void subscribe_one(const request *asked, kt_text name)
{
    const kt_sim_kraken_host *host = asked->host;
    bool wanted = kt_text_equal(asked->verb, KT_TEXT("subscribe"));
    uint32_t symbol = find_symbol(host->market, name, is_v1(host->format), "/");
    kt_sim_stream stream = KT_SIM_TRADES;
    const char *error = NULL;
    char words[WORDS_SIZE / 2];

    if (symbol == kt_sim_symbol_count(host->market)) {
        snprintf(words, sizeof words, "Currency pair not supported %.*s", (int)(name.n < 100 ? name.n : 100), name.s);
        error = words;
    } else if (!stream_of(host->format, asked->channel, &stream)) {
        error = "Channel not supported by the sim";
    } else if (stream == KT_SIM_DEPTH && !depth_is_served(host->format, asked->depth)) {
        error = "Subscription depth not supported by the sim";
    } else if (stream == KT_SIM_CANDLES && asked->minutes != 1) {
        error = "Subscription ohlc interval not supported by the sim";
    } else if (!host->subscribe(host->ctx, symbol, stream, wanted)) {
        error = wanted ? "Already subscribed" : "Subscription Not Found";
    }
    reply(asked, name, stream, error);
    if (error == NULL && wanted && stream == KT_SIM_DEPTH)
        host->snapshot(host->ctx, symbol);
}

static void pong(const request *asked)
{
    bool old = is_v1(asked->host->format);
    char mem[WORDS_SIZE];
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, old ? "event" : "method", KT_TEXT("pong"));
    put_id(asked, old ? "reqid" : "req_id", &writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        asked->host->send(asked->host->ctx, text);
}

/* A refusal of the whole message. */
static void refuse(const kt_sim_kraken_host *host, const char *why)
{
    char mem[WORDS_SIZE];
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    if (is_v1(host->format)) {
        kt_json_member_text(&writer, "errorMessage", kt_text_of(why));
        kt_json_member_text(&writer, "event", KT_TEXT("error"));
    } else {
        kt_json_member_text(&writer, "error", kt_text_of(why));
        kt_json_member_text(&writer, "method", KT_TEXT("subscribe"));
        kt_json_member_bool(&writer, "success", false);
    }
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        host->send(host->ctx, text);
}

void kt_sim_kraken_hear(const kt_sim_kraken_host *host, kt_text message)
{
    kt_json_node nodes[HEAR_NODES];
    request asked = { .host = host };
    kt_json_doc doc;
    kt_err err = { 0 };

    if (kt_json_parse(message, nodes, HEAR_NODES, &doc, &err) != KT_OK ||
        !(is_v1(host->format) ? read_v1 : read_v2)(&doc, &asked, &err)) {
        refuse(host, err.msg);
        return;
    }
    asked.doc = &doc;
    if (kt_text_equal(asked.verb, KT_TEXT("ping"))) {
        pong(&asked);
        return;
    }
    if (asked.symbols == 0 || asked.channel.n == 0 ||
        !(kt_text_equal(asked.verb, KT_TEXT("subscribe")) || kt_text_equal(asked.verb, KT_TEXT("unsubscribe")))) {
        refuse(host, "Event(s) not found");
        return;
    }
    kt_json_each (&doc, asked.symbols, item)
        if (kt_json_kind_of(&doc, item) == KT_JSON_STRING)
            subscribe_one(&asked, kt_json_raw(&doc, item));
}

/* ---- REST ---- */

static uint16_t put_error(kt_builder *body, const char *error)
{
    kt_builder_format(body, "{\"error\":[\"%s\"]}", error);
    return 200;
}

static void open_result(kt_builder *body, kt_text symbol)
{
    kt_builder_str(body, "{\"error\":[],\"result\":{\"");
    put_pair(symbol, true, "", body);
    kt_builder_str(body, "\":");
}

/* The number of a parameter, `fallback` where it is not given; false: it is none. */
static bool number_of(kt_text query, const char *name, uint64_t fallback, uint64_t *out)
{
    kt_text value;

    *out = fallback;
    return !kt_url_query(query, kt_text_of(name), &value) || kt_text_u64(value, out) == KT_OK;
}

/* The first trade behind this instant. */
static uint32_t first_behind(const kt_sim_rest *rest, uint32_t symbol, uint64_t since_ns)
{
    const kt_sim_history *history = &rest->histories[symbol];
    int64_t since = since_ns < INT64_MAX ? (int64_t)since_ns : INT64_MAX - REST_EXTRA_NS;
    uint32_t at = kt_sim_history_from_time(history, since / KT_NS_PER_MS);

    while (at < history->count && kt_sim_time(rest->kraken, kt_sim_history_at(history, at)) + REST_EXTRA_NS <= since)
        at++;
    return at;
}

static uint16_t answer_trades(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body)
{
    const kt_sim_symbol *known = kt_sim_symbol_at(rest->market, symbol);
    const kt_sim_history *history = &rest->histories[symbol];
    uint64_t since = 0, count = PAGE_MAX;
    uint32_t from = 0, to = 0;
    int64_t last_ns = 0;
    kt_text value;

    if (!number_of(query, "since", 0, &since) || !number_of(query, "count", PAGE_MAX, &count) || count == 0)
        return put_error(body, "EGeneral:Invalid arguments");
    count = count < PAGE_MAX ? count : PAGE_MAX;
    if (kt_url_query(query, KT_TEXT("since"), &value))
        from = kt_sim_page_start(rest, first_behind(rest, symbol, since), count);
    else
        from = history->count > count ? history->count - (uint32_t)count : 0;
    to = history->count - from < count ? history->count : from + (uint32_t)count;
    last_ns = (int64_t)since;
    open_result(body, known->pair.symbol);
    kt_builder_char(body, '[');
    for (uint32_t i = from; i < to; i++) {
        char id[KT_SIM_ID_SIZE];
        kt_row_trade row = kt_sim_row(rest->kraken, known, kt_sim_history_at(history, i), id);

        kt_builder_str(body, i == from ? "" : ",");
        write_row(&known->pair, &row, body);
        last_ns = row.venue_time + REST_EXTRA_NS;
    }
    kt_builder_format(body, "],\"last\":\"%lld\"}}", (long long)last_ns);
    return 200;
}

static void put_candle(const kt_row_instrument *instrument, const kt_sim_candle *candle, kt_builder *body)
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
    kt_builder_char(body, '[');
    put_parts(parts, KT_COUNT(parts), NULL, body);
    kt_builder_char(body, ']');
}

/* The last minutes that begin behind `since`; those without a trade are left out. */
static uint16_t answer_candles(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body)
{
    enum { MINUTE_MS = 60000 };
    const kt_row_instrument *instrument = &kt_sim_symbol_at(rest->market, symbol)->pair;
    const kt_sim_history *history = &rest->histories[symbol];
    uint64_t since = 0, minutes = 1;
    const kt_sim_trade *last = kt_sim_history_last(history);
    int64_t last_ms = last != NULL ? last->time_ms : 0;
    int64_t from_ms = last_ms - last_ms % MINUTE_MS - (CANDLES_MAX - 1) * (int64_t)MINUTE_MS;
    kt_sim_candle candle = { 0 };
    const char *comma = "";

    if (!number_of(query, "since", 0, &since) || !number_of(query, "interval", 1, &minutes) || minutes != 1)
        return put_error(body, "EGeneral:Invalid arguments");
    if (since < INT64_MAX / 1000 && (int64_t)since * 1000 >= from_ms)
        from_ms = ((int64_t)since * 1000 / MINUTE_MS + 1) * MINUTE_MS;
    open_result(body, instrument->symbol);
    kt_builder_char(body, '[');
    for (uint32_t i = kt_sim_history_from_time(history, from_ms); i < history->count; i++) {
        const kt_sim_trade *next = i + 1 < history->count ? kt_sim_history_at(history, i + 1) : NULL;

        kt_sim_kraken_candle_add(&candle, kt_sim_history_at(history, i));
        if (next != NULL && next->time_ms / MINUTE_MS == candle.begin_ms / MINUTE_MS)
            continue;
        kt_builder_str(body, comma);
        put_candle(instrument, &candle, body);
        comma = ",";
    }
    kt_builder_format(body, "],\"last\":%lld}}", (long long)(candle.begin_ms / 1000 - 60));
    return 200;
}

static void put_depth(const kt_row_instrument *instrument, const kt_rows *levels, int64_t now_ns, kt_builder *body)
{
    kt_builder_char(body, '[');
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_str(body, i == 0 ? "[\"" : ",[\"");
        put_price(&kt_venue_kraken_v1, instrument, level.price, body);
        kt_builder_str(body, "\",\"");
        put_quantity(&kt_venue_kraken_v1, instrument, level.quantity, body);
        kt_builder_format(body, "\",%lld]", (long long)(now_ns / KT_NS_PER_S));
    }
    kt_builder_char(body, ']');
}

static uint16_t answer_depth(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body)
{
    const kt_row_instrument *instrument = &kt_sim_symbol_at(rest->market, symbol)->pair;
    uint64_t count = DEPTH_DEFAULT;
    kt_ev_book book;

    if (!number_of(query, "count", DEPTH_DEFAULT, &count) || count == 0)
        return put_error(body, "EGeneral:Invalid arguments");
    kt_sim_books_want(rest->books, symbol, kt_sim_history_last(&rest->histories[symbol]));
    kt_sim_books_whole(rest->books, symbol, count < DEPTH_MAX ? (uint32_t)count : DEPTH_MAX, &book);
    open_result(body, instrument->symbol);
    kt_builder_str(body, "{\"asks\":");
    put_depth(instrument, &book.asks, rest->now_ns, body);
    kt_builder_str(body, ",\"bids\":");
    put_depth(instrument, &book.bids, rest->now_ns, body);
    kt_builder_str(body, "}}}");
    return 200;
}

static void put_pair_row(const kt_row_instrument *instrument, kt_builder *body)
{
    kt_builder_char(body, '"');
    put_pair(instrument->symbol, true, "", body);
    kt_builder_str(body, "\":{\"altname\":\"");
    put_pair(instrument->symbol, true, "", body);
    kt_builder_str(body, "\",\"wsname\":\"");
    put_pair(instrument->symbol, true, "/", body);
    kt_builder_format(body, "\",\"pair_decimals\":%u,\"lot_decimals\":%u,\"lot_multiplier\":1,\"tick_size\":\"",
        instrument->price_scale, instrument->quantity_scale);
    kt_builder_decimal(body, instrument->tick);
    kt_builder_str(body, "\",\"status\":\"online\"}");
}

/* Those that ?pair= names, in a list with commas; all without it. */
static uint16_t answer_pairs(const kt_sim_rest *rest, kt_text query, kt_builder *body)
{
    uint32_t count = kt_sim_symbol_count(rest->market);
    const char *comma = "";
    kt_text names = { 0 }, name;

    kt_builder_str(body, "{\"error\":[],\"result\":{");
    if (kt_url_query(query, KT_TEXT("pair"), &names)) {
        while (kt_text_cut(&names, ',', &name)) {
            uint32_t symbol = find_symbol(rest->market, name, true, "");

            if (symbol == count) {
                body->n = 0;
                return put_error(body, "EQuery:Unknown asset pair");
            }
            kt_builder_str(body, comma);
            put_pair_row(&kt_sim_symbol_at(rest->market, symbol)->pair, body);
            comma = ",";
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            kt_builder_str(body, comma);
            put_pair_row(&kt_sim_symbol_at(rest->market, i)->pair, body);
            comma = ",";
        }
    }
    kt_builder_str(body, "}}");
    return 200;
}

uint16_t kt_sim_kraken_answer(kt_sim_rest *rest, kt_text path, kt_text query, kt_builder *body)
{
    static const struct {
        const char *path;
        uint16_t (*answer)(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body);
    } answers[] = {
        { "/0/public/Trades", answer_trades },
        { "/0/public/Depth", answer_depth },
        { "/0/public/OHLC", answer_candles },
    };
    uint32_t symbol = 0;
    size_t which = 0;
    kt_text name = { 0 };

    if (kt_text_equal(path, KT_TEXT("/0/public/AssetPairs")))
        return answer_pairs(rest, query, body);
    while (which < KT_COUNT(answers) && !kt_text_equal(path, kt_text_of(answers[which].path)))
        which++;
    if (which == KT_COUNT(answers))
        return 0;
    if (!kt_url_query(query, KT_TEXT("pair"), &name))
        return put_error(body, "EGeneral:Invalid arguments");
    symbol = find_symbol(rest->market, name, true, "");
    if (symbol == kt_sim_symbol_count(rest->market))
        return put_error(body, "EQuery:Unknown asset pair");
    return answers[which].answer(rest, query, symbol, body);
}
