/* Kraken spot, WebSocket v1, https://docs.kraken.com/api/docs/websocket-v1: news are arrays [channel number, content ...,
 * channel, pair], everything else an object with an `event`. Numbers and times are texts. A change of a book has its
 * sides in one object or in two; the checksum stands in the last. */
#include "venue/kraken.h"

#include "base/time.h"

#define BOOK_CHANNEL "book-"
#define CANDLE_CHANNEL "ohlc-"

enum { PART_MAX = 5 };

/* [number, content, channel, pair], or with two contents. */
typedef struct news {
    uint32_t contents[2];
    uint32_t content_count;
    kt_text channel;
    const kt_row_instrument *instrument;
} news;

/* ---- trades, best prices, minutes ---- */

static void decode_trades(const kt_venue_input *input, const news *what)
{
    const kt_json_doc *doc = input->doc;
    kt_kraken_group group = { 0 };
    uint32_t list = what->contents[0], rows = 0;

    kt_json_each (doc, list, item) {
        kt_venue_input row_input = *input;
        char id_mem[KT_KRAKEN_ID_SIZE];
        kt_row_trade row;

        row_input.bytes = kt_json_raw(doc, item);
        rows++;
        if (kt_kraken_row(&row_input, list, item, KT_KRAKEN_ROWS_V1, &group, id_mem, &row) &&
            kt_venue_trade_check(&row_input, &row, what->instrument, &kt_kraken_names))
            kt_venue_tick(&row_input, what->instrument->symbol, &row);
    }
    if (rows == 0)
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, what->channel);
}

/* The decimals that stand as texts in an array; false: refused. */
static bool read_texts(const kt_venue_input *input, uint32_t array, uint32_t count, kt_text field, kt_decimal *out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = kt_json_at(input->doc, array, i);

        if (node == 0 || kt_json_decimal_text(input->doc, node, &out[i]) != KT_OK) {
            kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, field);
            return false;
        }
    }
    return true;
}

/* ["bid","ask","time","bid quantity","ask quantity"] */
static void decode_spread(const kt_venue_input *input, const news *what)
{
    kt_decimal at[5];
    kt_ev_ticker ticker;

    kt_event_init(KT_EV_TICKER, &ticker);
    if (!read_texts(input, what->contents[0], KT_COUNT(at), KT_TEXT("spread"), at) ||
        !kt_kraken_seconds(input, at[2], kt_kraken_names.time, &ticker.venue_time))
        return;
    ticker.bid = at[0];
    ticker.ask = at[1];
    ticker.bid_quantity = at[3];
    ticker.ask_quantity = at[4];
    kt_kraken_tell_ticker(input, what->instrument, &ticker);
}

/* ["time","end","open","high","low","close","vwap","volume",count], under ohlc-<minutes> */
static void decode_candle(const kt_venue_input *input, const news *what)
{
    enum { TEXTS = 8, MINUTES_MAX = 21600 };
    const size_t prefix = sizeof CANDLE_CHANNEL - 1;
    uint32_t count_node = kt_json_at(input->doc, what->contents[0], TEXTS);
    kt_decimal at[TEXTS];
    uint64_t minutes = 0;
    int64_t end_ns = 0;
    kt_ev_candle candle;

    kt_event_init(KT_EV_CANDLE, &candle);
    if (!read_texts(input, what->contents[0], TEXTS, KT_TEXT("ohlc"), at) ||
        !kt_kraken_seconds(input, at[0], kt_kraken_names.time, &candle.venue_time) ||
        !kt_kraken_seconds(input, at[1], KT_TEXT("etime"), &end_ns))
        return;
    if (kt_text_u64((kt_text){ what->channel.s + prefix, what->channel.n - prefix }, &minutes) != KT_OK ||
        minutes == 0 || minutes > MINUTES_MAX || end_ns < (int64_t)minutes * KT_NS_PER_MIN) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("etime"));
        return;
    }
    if (count_node == 0 || kt_json_u64(input->doc, count_node, &candle.trades) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT("count"));
        return;
    }
    candle.interval_s = (uint32_t)minutes * 60;
    candle.begin = kt_time_floor(end_ns, (int64_t)minutes * KT_NS_PER_MIN) - (int64_t)minutes * KT_NS_PER_MIN;
    candle.open = at[2];
    candle.high = at[3];
    candle.low = at[4];
    candle.close = at[5];
    candle.vwap = at[6];
    candle.volume = at[7];
    kt_kraken_tell_candle(input, what->instrument, &candle);
}

/* ---- books ---- */

typedef struct sides {
    uint32_t bids, asks, all_bids, all_asks;
    kt_text checksum;
} sides;

static const kt_json_field side_fields[] = {
    KT_JSON_FIELD(sides, asks, "a", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(sides, bids, "b", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(sides, checksum, "c", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(sides, all_asks, "as", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(sides, all_bids, "bs", ARRAY, KT_JSON_OPTIONAL),
};

/* The levels of one side, the digits that they are written with, and the latest of their times. */
static bool read_levels(
    const kt_venue_input *input, uint32_t array, kt_text field, kt_json_pairs *levels, kt_ev_book *book)
{
    const kt_json_doc *doc = input->doc;

    if (array == 0)
        return true;
    if (!kt_venue_levels_read(input, array, field, levels))
        return false;
    kt_json_each (doc, array, item) {
        uint8_t price_digits = kt_kraken_digits(kt_json_raw(doc, kt_json_at(doc, item, 0)));
        uint8_t quantity_digits = kt_kraken_digits(kt_json_raw(doc, kt_json_at(doc, item, 1)));
        uint32_t time_node = kt_json_at(doc, item, 2);
        kt_decimal time = { 0 };
        int64_t time_ns = 0;

        if (time_node == 0 || kt_json_decimal_text(doc, time_node, &time) != KT_OK) {
            kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, kt_kraken_names.time);
            return false;
        }
        if (!kt_kraken_seconds(input, time, kt_kraken_names.time, &time_ns))
            return false;
        book->venue_time = time_ns > book->venue_time ? time_ns : book->venue_time;
        book->price_digits = price_digits > book->price_digits ? price_digits : book->price_digits;
        book->quantity_digits = quantity_digits > book->quantity_digits ? quantity_digits : book->quantity_digits;
    }
    return true;
}

static void decode_book(const kt_venue_input *input, const news *what)
{
    sides found = { 0 };
    kt_json_pairs bids = { .at = input->decoder->levels, .max = KT_VENUE_LEVEL_MAX }, asks;
    uint64_t checksum = 0;
    kt_ev_book book;

    for (uint32_t i = 0; i < what->content_count; i++)
        if (!kt_kraken_pick(input, what->contents[i], side_fields, KT_COUNT(side_fields), &found))
            return;
    kt_event_init(KT_EV_BOOK, &book);
    book.snapshot = found.all_bids != 0 || found.all_asks != 0;
    if (book.snapshot == (found.bids != 0 || found.asks != 0)) {
        kt_venue_refuse(input, KT_INVALID_MISSING_FIELD, KT_TEXT("b"));
        return;
    }
    if (found.checksum.n != 0) {
        if (kt_text_u64(found.checksum, &checksum) != KT_OK || checksum > UINT32_MAX) {
            kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("c"));
            return;
        }
        book.checksum = (int64_t)checksum;
    }
    if (!read_levels(input, book.snapshot ? found.all_bids : found.bids, KT_TEXT("b"), &bids, &book))
        return;
    asks = kt_json_pairs_behind(&bids);
    if (read_levels(input, book.snapshot ? found.all_asks : found.asks, KT_TEXT("a"), &asks, &book))
        kt_kraken_tell_book(input, what->instrument, &bids, &asks, &book);
}

/* ---- messages ---- */

/* By the beginning of the channel's name, and what its content is. */
static const struct {
    const char *begins;
    kt_json_kind content;
    void (*decode)(const kt_venue_input *input, const news *what);
} channels[] = {
    { "trade", KT_JSON_ARRAY, decode_trades },
    { BOOK_CHANNEL, KT_JSON_OBJECT, decode_book },
    { "spread", KT_JSON_ARRAY, decode_spread },
    { CANDLE_CHANNEL, KT_JSON_ARRAY, decode_candle },
};

static void decode_news(const kt_venue_input *input)
{
    const kt_json_doc *doc = input->doc;
    uint32_t parts[PART_MAX] = { 0 }, count = 0;
    kt_text pair = { 0 };
    news what = { 0 };

    kt_json_each (doc, 0, item) {
        if (count < PART_MAX)
            parts[count] = item;
        count++;
    }
    if (count < PART_MAX - 1 || count > PART_MAX ||
        kt_json_text(doc, parts[count - 2], &input->decoder->arena, &what.channel) != KT_OK ||
        kt_json_text(doc, parts[count - 1], &input->decoder->arena, &pair) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT("channel"));
        return;
    }
    what.content_count = count - 3;
    for (uint32_t i = 0; i < what.content_count; i++)
        what.contents[i] = parts[1 + i];
    for (size_t i = 0; i < KT_COUNT(channels); i++) {
        if (!kt_text_starts(what.channel, kt_text_of(channels[i].begins)))
            continue;
        if (kt_json_kind_of(doc, what.contents[0]) != channels[i].content ||
            (what.content_count != 1 && channels[i].content == KT_JSON_ARRAY))
            kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, kt_text_of(channels[i].begins));
        else if ((what.instrument = kt_kraken_instrument(input, pair)) != NULL)
            channels[i].decode(input, &what);
        return;
    }
    kt_kraken_tell_other(input, what.channel);
}

typedef struct event_message {
    kt_text event;
    kt_text status;
    kt_text error;
    uint64_t id;
} event_message;

static const kt_json_field event_fields[] = {
    KT_JSON_FIELD(event_message, event, "event", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(event_message, status, "status", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(event_message, error, "errorMessage", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(event_message, id, "reqid", U64, KT_JSON_OPTIONAL),
};

static void decode_message(const kt_venue_input *input)
{
    event_message message = { 0 };

    if (kt_json_kind_of(input->doc, 0) == KT_JSON_ARRAY) {
        decode_news(input);
        return;
    }
    if (!kt_kraken_pick(input, 0, event_fields, KT_COUNT(event_fields), &message))
        return;
    if (kt_text_equal(message.event, KT_TEXT("subscriptionStatus")) || kt_text_equal(message.event, KT_TEXT("error")))
        kt_kraken_tell_reply(input, message.id, message.error);
    else
        kt_kraken_tell_other(input, message.event);
}

static void decode_answer(const kt_venue_input *input, const kt_ev_request *request, kt_venue_answer *answer)
{
    kt_kraken_decode_answer(input, request, KT_KRAKEN_ROWS_REST, answer);
}

/* ---- asking ---- */

static void stream_url(const kt_venue_decoder *decoder, kt_text ws_url, uint32_t first, uint32_t count, kt_builder *out)
{
    kt_builder_text(out, ws_url);
}

void kt_kraken_put_v1(const kt_venue_decoder *decoder, const char *event, kt_kraken_channel channel, uint32_t first,
    uint32_t count, kt_builder *out)
{
    static const char *const subscriptions[KT_KRAKEN_CHANNEL_COUNT] = {
        [KT_KRAKEN_TRADES] = "{\"name\":\"trade\"}",
        [KT_KRAKEN_BOOK] = ("{\"name\":\"book\",\"depth\":" KT_KRAKEN_TEXT(KT_KRAKEN_DEPTH) "}"),
        [KT_KRAKEN_BEST] = "{\"name\":\"spread\"}",
        [KT_KRAKEN_CANDLES] = "{\"name\":\"ohlc\",\"interval\":1}",
    };

    kt_builder_format(out, "{\"event\":\"%s\",\"pair\":", event);
    kt_kraken_put_symbols(decoder, first, count, out);
    kt_builder_format(out, ",\"subscription\":%s}", subscriptions[channel]);
}

static const kt_venue_codec codec = {
    .decode_message = decode_message,
    .decode_answer = decode_answer,
    .error_text = kt_kraken_error_text,
    .venue_symbol = kt_kraken_symbol_v1,
    .stream_url = stream_url,
    .say = kt_kraken_say,
    .rest_url = kt_kraken_rest_url,
};

const kt_venue_format kt_venue_kraken_v1 = {
    .name = "kraken_v1",
    .can = KT_KRAKEN_CAN,
    .row_max = KT_KRAKEN_ROW_MAX,
    .numbered = false,
    .open = false,
    .books = { .streamed = true, .depth = KT_KRAKEN_DEPTH, .checksum = kt_checksum_kraken },
    .limits = { .connection_max = KT_KRAKEN_CONNECTION_MAX, .connection_span_s = KT_KRAKEN_CONNECTION_SPAN_S },
    .codec = &codec,
};
