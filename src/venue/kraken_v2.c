/* Kraken spot, WebSocket v2, https://docs.kraken.com/api/docs/websocket-v2: news are {"channel":..., "type":"snapshot" or
 * "update", "data":[...]}, answers have a `method`. Prices and quantities are numbers with all digits that the checksum
 * counts; times are ISO 8601. */
#include "venue/kraken.h"

/* ---- what all messages have ---- */

typedef struct envelope {
    kt_text channel;
    kt_text type;
    uint32_t data;
    uint32_t time; /* a text in what we subscribe to */
    kt_text method;
    bool success;
    kt_text error;
    uint64_t id;
} envelope;

static const kt_json_field envelope_fields[] = {
    KT_JSON_FIELD(envelope, channel, "channel", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, type, "type", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, data, "data", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, time, "timestamp", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, method, "method", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, success, "success", BOOL, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, error, "error", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, id, "req_id", U64, KT_JSON_OPTIONAL),
};

static bool is_snapshot(const envelope *message)
{
    return kt_text_equal(message->type, KT_TEXT("snapshot"));
}

/* ---- trades, best prices, minutes: each a row of `data` ---- */

typedef struct trade_row {
    kt_text symbol;
    kt_text side;
    kt_decimal price;
    kt_decimal quantity;
    uint64_t number;
    kt_text time;
} trade_row;

static const kt_json_field trade_fields[] = {
    KT_JSON_FIELD(trade_row, symbol, "symbol", TEXT, 0),
    KT_JSON_FIELD(trade_row, side, "side", TEXT, 0),
    KT_JSON_FIELD(trade_row, price, "price", DECIMAL, 0),
    KT_JSON_FIELD(trade_row, quantity, "qty", DECIMAL, 0),
    KT_JSON_FIELD(trade_row, number, "trade_id", U64, 0),
    KT_JSON_FIELD(trade_row, time, "timestamp", TEXT, 0),
};

static const kt_venue_names trade_names = { KT_TEXT("timestamp"), KT_TEXT("price"), KT_TEXT("qty"),
    KT_TEXT("trade_id") };

static void decode_trade(const kt_venue_input *input, uint32_t node, const envelope *message)
{
    const kt_row_instrument *instrument = NULL;
    trade_row found = { 0 };
    char id[24];
    kt_row_trade row;

    if (!kt_kraken_pick(input, node, trade_fields, KT_COUNT(trade_fields), &found))
        return;
    row = (kt_row_trade){ .price = found.price,
        .quantity = found.quantity,
        .trade_id = { id, kt_u64_format(id, found.number) },
        .trade_number = found.number };
    if (kt_kraken_time(input, found.time, trade_names.time, &row.venue_time) &&
        kt_kraken_side(input, found.side, KT_TEXT("side"), &row.side) &&
        (instrument = kt_kraken_instrument(input, found.symbol)) != NULL &&
        kt_venue_trade_check(input, &row, instrument, &trade_names))
        kt_venue_tick(input, instrument->symbol, &row);
}

typedef struct ticker_row {
    kt_text symbol;
    kt_decimal bid, bid_quantity, ask, ask_quantity;
    kt_text time;
} ticker_row;

static const kt_json_field ticker_fields[] = {
    KT_JSON_FIELD(ticker_row, symbol, "symbol", TEXT, 0), KT_JSON_FIELD(ticker_row, bid, "bid", DECIMAL, 0),
    KT_JSON_FIELD(ticker_row, bid_quantity, "bid_qty", DECIMAL, 0), KT_JSON_FIELD(ticker_row, ask, "ask", DECIMAL, 0),
    KT_JSON_FIELD(ticker_row, ask_quantity, "ask_qty", DECIMAL, 0),
    KT_JSON_FIELD(ticker_row, time, "timestamp", TEXT, KT_JSON_OPTIONAL), /* not in older ones */
};

static void decode_ticker(const kt_venue_input *input, uint32_t node, const envelope *message)
{
    const kt_row_instrument *instrument = NULL;
    ticker_row found = { 0 };
    kt_ev_ticker ticker;

    kt_event_init(KT_EV_TICKER, &ticker);
    if (!kt_kraken_pick(input, node, ticker_fields, KT_COUNT(ticker_fields), &found) ||
        (found.time.s != NULL && !kt_kraken_time(input, found.time, trade_names.time, &ticker.venue_time)) ||
        (instrument = kt_kraken_instrument(input, found.symbol)) == NULL)
        return;
    ticker.bid = found.bid;
    ticker.bid_quantity = found.bid_quantity;
    ticker.ask = found.ask;
    ticker.ask_quantity = found.ask_quantity;
    kt_kraken_tell_ticker(input, instrument, &ticker);
}

typedef struct candle_row {
    kt_text symbol;
    kt_decimal open, high, low, close, vwap, volume;
    uint64_t trades;
    kt_text begin;
    uint64_t minutes;
} candle_row;

static const kt_json_field candle_fields[] = {
    KT_JSON_FIELD(candle_row, symbol, "symbol", TEXT, 0),
    KT_JSON_FIELD(candle_row, open, "open", DECIMAL, 0),
    KT_JSON_FIELD(candle_row, high, "high", DECIMAL, 0),
    KT_JSON_FIELD(candle_row, low, "low", DECIMAL, 0),
    KT_JSON_FIELD(candle_row, close, "close", DECIMAL, 0),
    KT_JSON_FIELD(candle_row, trades, "trades", U64, 0),
    KT_JSON_FIELD(candle_row, volume, "volume", DECIMAL, 0),
    KT_JSON_FIELD(candle_row, vwap, "vwap", DECIMAL, 0),
    KT_JSON_FIELD(candle_row, begin, "interval_begin", TEXT, 0),
    KT_JSON_FIELD(candle_row, minutes, "interval", U64, 0),
};

/* A row's own timestamp is the end of its minute, and deprecated. */
static void decode_candle(const kt_venue_input *input, uint32_t node, const envelope *message)
{
    enum { MINUTES_MAX = 21600 };
    const kt_row_instrument *instrument = NULL;
    candle_row found = { 0 };
    kt_ev_candle candle;

    kt_event_init(KT_EV_CANDLE, &candle);
    if (!kt_kraken_pick(input, node, candle_fields, KT_COUNT(candle_fields), &found) ||
        !kt_kraken_time(input, found.begin, KT_TEXT("interval_begin"), &candle.begin) ||
        (message->time != 0 &&
            !kt_kraken_time(input, kt_json_raw(input->doc, message->time), trade_names.time, &candle.venue_time)) ||
        (instrument = kt_kraken_instrument(input, found.symbol)) == NULL)
        return;
    if (found.minutes == 0 || found.minutes > MINUTES_MAX) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("interval"));
        return;
    }
    candle.interval_s = (uint32_t)found.minutes * 60;
    candle.open = found.open;
    candle.high = found.high;
    candle.low = found.low;
    candle.close = found.close;
    candle.vwap = found.vwap;
    candle.volume = found.volume;
    candle.trades = found.trades;
    kt_kraken_tell_candle(input, instrument, &candle);
}

/* ---- books ---- */

typedef struct book_row {
    kt_text symbol;
    uint32_t bids, asks;
    uint64_t checksum;
    kt_text time;
} book_row;

static const kt_json_field book_fields[] = {
    KT_JSON_FIELD(book_row, symbol, "symbol", TEXT, 0), KT_JSON_FIELD(book_row, bids, "bids", ARRAY, 0),
    KT_JSON_FIELD(book_row, asks, "asks", ARRAY, 0),
    KT_JSON_FIELD(book_row, checksum, "checksum", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(book_row, time, "timestamp", TEXT, KT_JSON_OPTIONAL), /* not in all snapshots */
};

typedef struct level_row {
    uint32_t price, quantity;
} level_row;

static const kt_json_field level_fields[] = {
    KT_JSON_FIELD(level_row, price, "price", ANY, 0),
    KT_JSON_FIELD(level_row, quantity, "qty", ANY, 0),
};

/* A number of a level and its digits as they stand. */
static bool read_number(const kt_venue_input *input, uint32_t node, kt_text field, kt_decimal *out, uint8_t *digits)
{
    kt_code code = kt_json_decimal(input->doc, node, out);
    uint8_t written = kt_kraken_digits(kt_json_raw(input->doc, node));

    if (code != KT_OK)
        kt_venue_refuse_code(input, code, &(kt_json_found){ .field = field.s });
    *digits = written > *digits ? written : *digits;
    return code == KT_OK;
}

static bool read_levels(
    const kt_venue_input *input, uint32_t array, kt_text field, kt_json_pairs *levels, kt_ev_book *book)
{
    kt_json_each (input->doc, array, item) {
        level_row level = { 0 };

        if (levels->count == levels->max) {
            kt_venue_refuse(input, KT_INVALID_OVERSIZED, field);
            return false;
        }
        if (!kt_kraken_pick(input, item, level_fields, KT_COUNT(level_fields), &level) ||
            !read_number(input, level.price, field, &levels->at[levels->count][0], &book->price_digits) ||
            !read_number(input, level.quantity, field, &levels->at[levels->count][1], &book->quantity_digits))
            return false;
        levels->count++;
    }
    return true;
}

static void decode_book(const kt_venue_input *input, uint32_t node, const envelope *message)
{
    const kt_row_instrument *instrument = NULL;
    kt_json_pairs bids = { .at = input->decoder->levels, .max = KT_VENUE_LEVEL_MAX }, asks;
    book_row found = { .checksum = UINT64_MAX };
    kt_ev_book book;

    kt_event_init(KT_EV_BOOK, &book);
    book.snapshot = is_snapshot(message);
    if (!kt_kraken_pick(input, node, book_fields, KT_COUNT(book_fields), &found) ||
        (found.time.s != NULL && !kt_kraken_time(input, found.time, trade_names.time, &book.venue_time)))
        return;
    if (found.checksum != UINT64_MAX && found.checksum > UINT32_MAX) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("checksum"));
        return;
    }
    if (found.checksum != UINT64_MAX)
        book.checksum = (int64_t)found.checksum;
    instrument = kt_kraken_instrument(input, found.symbol);
    if (instrument == NULL || !read_levels(input, found.bids, KT_TEXT("bids"), &bids, &book))
        return;
    asks = kt_json_pairs_behind(&bids);
    if (read_levels(input, found.asks, KT_TEXT("asks"), &asks, &book))
        kt_kraken_tell_book(input, instrument, &bids, &asks, &book);
}

/* ---- messages ---- */

/* Trades that happened before the subscription are REST's to give. */
static const struct {
    const char *name;
    bool snapshots;
    void (*decode)(const kt_venue_input *input, uint32_t node, const envelope *message);
} channels[] = {
    { "trade", false, decode_trade },
    { "book", true, decode_book },
    { "ticker", true, decode_ticker },
    { "ohlc", true, decode_candle },
};

static void decode_rows(const kt_venue_input *input, const envelope *message, size_t channel)
{
    const kt_json_doc *doc = input->doc;
    bool snapshot = is_snapshot(message);
    uint32_t rows = 0;

    if (!snapshot && !kt_text_equal(message->type, KT_TEXT("update"))) {
        kt_venue_refuse(
            input, message->type.s == NULL ? KT_INVALID_MISSING_FIELD : KT_INVALID_OUT_OF_RANGE, KT_TEXT("type"));
        return;
    }
    if (snapshot && !channels[channel].snapshots) {
        kt_kraken_tell_other(input, message->channel);
        return;
    }
    if (message->data != 0 && kt_json_kind_of(doc, message->data) == KT_JSON_ARRAY)
        kt_json_each (doc, message->data, item) {
            kt_venue_input row_input = *input;

            row_input.bytes = kt_json_raw(doc, item);
            channels[channel].decode(&row_input, item, message);
            rows++;
        }
    if (rows == 0)
        kt_venue_refuse(input, message->data == 0 ? KT_INVALID_MISSING_FIELD : KT_INVALID_WRONG_TYPE, KT_TEXT("data"));
}

static void decode_message(const kt_venue_input *input)
{
    envelope message = { .success = true };

    if (!kt_kraken_pick(input, 0, envelope_fields, KT_COUNT(envelope_fields), &message))
        return;
    if (message.channel.s == NULL && message.method.s != NULL) {
        bool failed = !message.success && message.error.n == 0;

        if (kt_text_equal(message.method, KT_TEXT("pong")))
            kt_kraken_tell_other(input, message.method);
        else
            kt_kraken_tell_reply(input, message.id, failed ? KT_TEXT("refused without a reason") : message.error);
        return;
    }
    for (size_t i = 0; i < KT_COUNT(channels); i++)
        if (kt_text_equal(message.channel, kt_text_of(channels[i].name))) {
            decode_rows(input, &message, i);
            return;
        }
    kt_kraken_tell_other(input, message.channel);
}

static void decode_answer(const kt_venue_input *input, const kt_ev_request *request, kt_venue_answer *answer)
{
    kt_kraken_decode_answer(input, request, KT_KRAKEN_ROWS_NUMBERED, answer);
}

/* ---- asking ---- */

static void stream_url(const kt_venue_decoder *decoder, kt_text ws_url, uint32_t first, uint32_t count, kt_builder *out)
{
    static const char path[] = "/v2";
    const size_t size = sizeof path - 1;

    while (ws_url.n > 0 && ws_url.s[ws_url.n - 1] == '/')
        ws_url.n--;
    kt_builder_text(out, ws_url);
    if (ws_url.n < size || memcmp(ws_url.s + ws_url.n - size, path, size) != 0)
        kt_builder_str(out, path);
}

void kt_kraken_put_v2(const kt_venue_decoder *decoder, const char *method, kt_kraken_channel channel, uint32_t first,
    uint32_t count, kt_builder *out)
{
    static const char *const params[KT_KRAKEN_CHANNEL_COUNT] = {
        [KT_KRAKEN_TRADES] = "\"channel\":\"trade\",\"snapshot\":false",
        [KT_KRAKEN_BOOK] = ("\"channel\":\"book\",\"depth\":" KT_KRAKEN_TEXT(KT_KRAKEN_DEPTH)),
        [KT_KRAKEN_BEST] = "\"channel\":\"ticker\",\"event_trigger\":\"bbo\"",
        [KT_KRAKEN_CANDLES] = "\"channel\":\"ohlc\",\"interval\":1",
    };

    kt_builder_format(out, "{\"method\":\"%s\",\"params\":{%s,\"symbol\":", method, params[channel]);
    kt_kraken_put_symbols(decoder, first, count, out);
    kt_builder_str(out, "}}");
}

static const kt_venue_codec codec = {
    .decode_message = decode_message,
    .decode_answer = decode_answer,
    .error_text = kt_kraken_error_text,
    .venue_symbol = kt_kraken_symbol_v2,
    .stream_url = stream_url,
    .say = kt_kraken_say,
    .rest_url = kt_kraken_rest_url,
};

const kt_venue_format kt_venue_kraken_v2 = {
    .name = "kraken_v2",
    .can = KT_KRAKEN_CAN,
    .row_max = KT_KRAKEN_ROW_MAX,
    .numbered = false, /* they are, but REST is asked by time */
    .open = false,
    .books = { .streamed = true, .depth = KT_KRAKEN_DEPTH, .checksum = kt_checksum_kraken },
    .limits = { .connection_max = KT_KRAKEN_CONNECTION_MAX, .connection_span_s = KT_KRAKEN_CONNECTION_SPAN_S },
    .codec = &codec,
};
