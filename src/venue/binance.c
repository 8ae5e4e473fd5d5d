/* Binance spot, https://developers.binance.com/docs/binance-spot-api-docs: trade streams (/ws/<symbol>@trade or
 * combined under /stream?streams=), and REST under /api/v3. Times are in ms (microseconds come only to those who ask
 * for them with timeUnit, and would be out of range here). Prices and quantities are strings with eight digits behind
 * the point. Trade ids count per symbol without gaps; `m` says whether the buyer was the maker, so true means that the
 * taker sold. */
#include "base/time.h"
#include "venue/decoder.h"

enum { ROW_MAX = 1000 };

/* ---- stream messages ---- */

typedef struct envelope {
    kt_text stream;
    uint32_t data;
    uint32_t result;
    uint32_t error;
    uint32_t id;
} envelope;

static const kt_json_field envelope_fields[] = {
    KT_JSON_FIELD(envelope, stream, "stream", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, data, "data", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, result, "result", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, error, "error", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(envelope, id, "id", ANY, KT_JSON_OPTIONAL),
};
enum { SEEN_STREAM = 1 << 0, SEEN_DATA = 1 << 1, SEEN_RESULT = 1 << 2, SEEN_ERROR = 1 << 3 };

typedef struct stream_trade {
    kt_text event;
    kt_text symbol;
    uint64_t number;
    kt_decimal price;
    kt_decimal quantity;
    int64_t time_ms;
    bool buyer_is_maker;
} stream_trade;

static const kt_json_field trade_fields[] = {
    KT_JSON_FIELD(stream_trade, event, "e", TEXT, 0),
    KT_JSON_FIELD(stream_trade, symbol, "s", TEXT, 0),
    KT_JSON_FIELD(stream_trade, number, "t", U64, 0),
    KT_JSON_FIELD(stream_trade, price, "p", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(stream_trade, quantity, "q", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(stream_trade, time_ms, "T", I64, 0),
    KT_JSON_FIELD(stream_trade, buyer_is_maker, "m", BOOL, 0),
};

static const kt_venue_names stream_names = { KT_TEXT("T"), KT_TEXT("p"), KT_TEXT("q"), KT_TEXT("t") };

/* What both the stream's and the answer's trades become; false: the time leaves int64 ns. */
static bool trade_row(uint64_t number, kt_decimal price, kt_decimal quantity, int64_t time_ms, bool buyer_is_maker,
    char id_text[static 24], kt_row_trade *out)
{
    *out = (kt_row_trade){ .price = price,
        .quantity = quantity,
        .side = buyer_is_maker ? KT_SIDE_SELL : KT_SIDE_BUY,
        .trade_id = { id_text, kt_u64_format(id_text, number) },
        .trade_number = number };
    return kt_time_from_ms(time_ms, &out->venue_time) == KT_OK;
}

static void decode_trade(const kt_venue_input *input, uint32_t node)
{
    stream_trade trade = { 0 };
    kt_json_found found = { 0 };
    const kt_row_instrument *instrument = NULL;
    kt_row_trade row;
    char id_text[24];
    kt_code code = kt_json_fields(
        input->doc, node, trade_fields, KT_COUNT(trade_fields), &input->decoder->arena, &trade, &found, NULL);

    if (code != KT_OK) {
        kt_venue_refuse_code(input, code, &found);
        return;
    }
    if (!trade_row(trade.number, trade.price, trade.quantity, trade.time_ms, trade.buyer_is_maker, id_text, &row)) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, stream_names.time);
        return;
    }
    instrument = kt_venue_symbol_find_venue(input->decoder, trade.symbol);
    if (instrument == NULL) {
        kt_venue_refuse(input, KT_INVALID_UNKNOWN_SYMBOL, KT_TEXT("s"));
        return;
    }
    if (kt_venue_trade_check(input, &row, instrument, &stream_names))
        kt_venue_tick(input, instrument->symbol, &row);
}

static bool text_ends(kt_text text, kt_text end)
{
    return text.n >= end.n && memcmp(text.s + text.n - end.n, end.s, end.n) == 0;
}

static void tell_other(const kt_venue_input *input, kt_text kind)
{
    if (input->sink->other != NULL)
        input->sink->other(input->sink->ctx, kind);
}

/* An event, bare or out of a combined message. Only a trade stream must carry trades: elsewhere an event without a name
 * is just one of the many that are not ours (bookTicker and partial books have none). */
static void decode_event(const kt_venue_input *input, uint32_t node, kt_text stream)
{
    bool trades = text_ends(stream, KT_TEXT("@trade"));
    uint32_t event = kt_json_get(input->doc, node, KT_TEXT("e"));
    kt_text name = stream;

    if (event != 0 && kt_json_text_is(input->doc, event, KT_TEXT("trade")))
        decode_trade(input, node);
    else if (trades && kt_json_kind_of(input->doc, node) != KT_JSON_OBJECT)
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT("data"));
    else if (trades && event == 0)
        kt_venue_refuse(input, KT_INVALID_MISSING_FIELD, KT_TEXT("e"));
    else if (event != 0 && kt_json_text(input->doc, event, &input->decoder->arena, &name) != KT_OK)
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT("e"));
    else
        tell_other(input, name);
}

/* {"code":-1121,"msg":"Invalid symbol."}, as REST errors and refused messages have it. */
static void put_error(const kt_venue_input *input, uint32_t node, kt_builder *out)
{
    kt_text msg = { 0 };
    int64_t number = 0;

    if (kt_json_i64(input->doc, kt_json_get(input->doc, node, KT_TEXT("code")), &number) == KT_OK)
        kt_builder_format(out, "%lld: ", (long long)number);
    if (kt_json_text(input->doc, kt_json_get(input->doc, node, KT_TEXT("msg")), &input->decoder->arena, &msg) == KT_OK)
        kt_builder_format(out, "%.*s", (int)(msg.n < 100 ? msg.n : 100), msg.s);
    if (out->n == 0)
        kt_builder_str(out, "refused without a reason");
}

static void decode_reply(const kt_venue_input *input, const envelope *message, bool failed)
{
    char text[160];
    kt_builder error;
    uint64_t id = 0;

    kt_builder_init(&error, text, sizeof text);
    if (failed)
        put_error(input, message->error, &error);
    if (message->id != 0 && kt_json_u64(input->doc, message->id, &id) != KT_OK)
        id = 0; /* the venue lets others number their messages by texts; ours never are */
    if (input->sink->reply != NULL)
        input->sink->reply(input->sink->ctx, id, kt_builder_done(&error));
}

static void decode_message(const kt_venue_input *input)
{
    envelope message = { 0 };
    kt_json_found found = { 0 };
    kt_code code = KT_OK;

    if (kt_json_kind_of(input->doc, 0) == KT_JSON_ARRAY) {
        tell_other(input, KT_TEXT("array")); /* a bare !ticker@arr */
        return;
    }
    code = kt_json_fields(
        input->doc, 0, envelope_fields, KT_COUNT(envelope_fields), &input->decoder->arena, &message, &found, NULL);
    if (code != KT_OK)
        kt_venue_refuse_code(input, code, &found);
    else if ((found.seen & SEEN_STREAM) == 0 && (found.seen & (SEEN_RESULT | SEEN_ERROR)) != 0)
        decode_reply(input, &message, (found.seen & SEEN_ERROR) != 0);
    else if ((found.seen & SEEN_STREAM) == 0)
        decode_event(input, 0, KT_TEXT(""));
    else if ((found.seen & SEEN_DATA) == 0)
        kt_venue_refuse(input, KT_INVALID_MISSING_FIELD, KT_TEXT("data"));
    else
        decode_event(input, message.data, message.stream);
}

/* ---- REST answers ---- */

typedef struct rest_trade {
    uint64_t id;
    kt_decimal price;
    kt_decimal quantity;
    int64_t time_ms;
    bool buyer_is_maker;
} rest_trade;

static const kt_json_field rest_fields[] = {
    KT_JSON_FIELD(rest_trade, id, "id", U64, 0),
    KT_JSON_FIELD(rest_trade, price, "price", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(rest_trade, quantity, "qty", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(rest_trade, time_ms, "time", I64, 0),
    KT_JSON_FIELD(rest_trade, buyer_is_maker, "isBuyerMaker", BOOL, 0),
};

static const kt_venue_names rest_names = { KT_TEXT("time"), KT_TEXT("price"), KT_TEXT("qty"), KT_TEXT("id") };

static bool decode_row(const kt_venue_input *input, uint32_t node, const kt_row_instrument *instrument)
{
    rest_trade trade = { 0 };
    kt_json_found found = { 0 };
    kt_row_trade row;
    char id_text[24];
    kt_code code = kt_json_fields(
        input->doc, node, rest_fields, KT_COUNT(rest_fields), &input->decoder->arena, &trade, &found, NULL);

    if (code != KT_OK) {
        kt_venue_refuse_code(input, code, &found);
        return false;
    }
    if (!trade_row(trade.id, trade.price, trade.quantity, trade.time_ms, trade.buyer_is_maker, id_text, &row)) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, rest_names.time);
        return false;
    }
    if (!kt_venue_trade_check(input, &row, instrument, &rest_names))
        return false;
    if (input->sink->row != NULL)
        input->sink->row(input->sink->ctx, &row);
    return true;
}

typedef struct rest_symbol {
    kt_text symbol;
    kt_text base;
    kt_text quote;
    uint32_t filters;
} rest_symbol;

static const kt_json_field symbol_fields[] = {
    KT_JSON_FIELD(rest_symbol, symbol, "symbol", TEXT, 0),
    KT_JSON_FIELD(rest_symbol, base, "baseAsset", TEXT, 0),
    KT_JSON_FIELD(rest_symbol, quote, "quoteAsset", TEXT, 0),
    KT_JSON_FIELD(rest_symbol, filters, "filters", ARRAY, 0),
};

typedef struct rest_filter {
    kt_text type;
    kt_decimal tick;
    kt_decimal lot;
} rest_filter;

static const kt_json_field filter_fields[] = {
    KT_JSON_FIELD(rest_filter, type, "filterType", TEXT, 0),
    KT_JSON_FIELD(rest_filter, tick, "tickSize", DECIMAL_TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(rest_filter, lot, "stepSize", DECIMAL_TEXT, KT_JSON_OPTIONAL),
};

static bool decode_filters(const kt_venue_input *input, uint32_t filters, kt_row_instrument *row)
{
    kt_json_each (input->doc, filters, item) {
        rest_filter filter = { 0 };
        kt_json_found found = { 0 };
        kt_code code = kt_json_fields(
            input->doc, item, filter_fields, KT_COUNT(filter_fields), &input->decoder->arena, &filter, &found, NULL);

        if (code != KT_OK) {
            kt_venue_refuse_code(input, code, &found);
            return false;
        }
        if (kt_text_equal(filter.type, KT_TEXT("PRICE_FILTER")) && filter.tick.m > 0) {
            row->tick = filter.tick;
            row->price_scale = filter.tick.scale;
        }
        if (kt_text_equal(filter.type, KT_TEXT("LOT_SIZE")) && filter.lot.m > 0) {
            row->lot = filter.lot;
            row->quantity_scale = filter.lot.scale;
        }
    }
    return true;
}

/* One symbol of exchangeInfo; false: refused. */
static bool decode_symbol(const kt_venue_input *input, uint32_t node, bool all)
{
    char mem[2 * KT_VENUE_SYMBOL_SIZE + 2];
    kt_builder symbol;
    rest_symbol listed = { 0 };
    kt_json_found found = { 0 };
    kt_row_instrument row = { .price_scale = input->decoder->price_scale,
        .quantity_scale = input->decoder->quantity_scale };
    kt_code code = kt_json_fields(
        input->doc, node, symbol_fields, KT_COUNT(symbol_fields), &input->decoder->arena, &listed, &found, NULL);

    if (code != KT_OK) {
        kt_venue_refuse_code(input, code, &found);
        return false;
    }
    if (!all && kt_venue_symbol_find_venue(input->decoder, listed.symbol) == NULL)
        return true; /* nobody asked for it */
    if (!decode_filters(input, listed.filters, &row))
        return false;
    kt_builder_init(&symbol, mem, sizeof mem);
    kt_builder_text(&symbol, listed.base);
    kt_builder_char(&symbol, '/');
    kt_builder_text(&symbol, listed.quote);
    row.symbol = kt_builder_done(&symbol);
    row.venue_symbol = listed.symbol;
    row.base = listed.base;
    row.quote = listed.quote;
    if (symbol.code != KT_OK || kt_venue_instrument_put(input->decoder, &row, NULL) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("symbol"));
        return false;
    }
    if (input->sink->instrument != NULL)
        input->sink->instrument(input->sink->ctx, &row);
    return true;
}

static void decode_answer(const kt_venue_input *input, const kt_ev_request *request, kt_venue_answer *answer)
{
    const kt_json_doc *doc = input->doc;
    const kt_row_instrument *instrument = kt_venue_symbol_find(input->decoder, request->symbol);
    bool instruments = request->what == KT_WHAT_INSTRUMENTS;
    bool all = kt_venue_symbol_count(input->decoder) == 0;
    uint32_t list = instruments ? kt_json_get(doc, 0, KT_TEXT("symbols")) : 0;

    if ((instruments && list == 0) || kt_json_kind_of(doc, list) != KT_JSON_ARRAY) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, instruments ? KT_TEXT("symbols") : KT_TEXT(""));
        answer->invalid_count++;
        return;
    }
    kt_json_each (doc, list, item) {
        kt_venue_input row_input = *input;
        bool good;

        kt_arena_reset(&input->decoder->arena);
        row_input.bytes = kt_json_raw(doc, item);
        good = instruments ? decode_symbol(&row_input, item, all) : decode_row(&row_input, item, instrument);
        answer->row_count++;
        answer->invalid_count += !good;
    }
}

static void error_text(const kt_venue_input *input, kt_builder *out)
{
    kt_builder_str(out, ", ");
    put_error(input, 0, out);
}

/* ---- asking ---- */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static kt_code venue_symbol(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err)
{
    kt_text quote = symbol, base = { 0 };

    if (!kt_text_cut(&quote, '/', &base) || base.n == 0 || quote.n == 0 || memchr(quote.s, '/', quote.n) != NULL ||
        memchr(quote.s, ':', quote.n) != NULL)
        return kt_fail(
            err, KT_SYNTAX, "symbol '%.*s': binance spot needs BASE/QUOTE, such as BTC/USDT", KT_TEXT_ARG(symbol));
    for (size_t i = 0; i < symbol.n; i++)
        if (symbol.s[i] != '/')
            kt_builder_char(out, upper(symbol.s[i]));
    *out_base = base;
    *out_quote = quote;
    return KT_OK;
}

static void put_stream_name(const kt_row_instrument *instrument, kt_builder *out)
{
    for (size_t i = 0; i < instrument->venue_symbol.n; i++)
        kt_builder_char(out, lower(instrument->venue_symbol.s[i]));
    kt_builder_str(out, "@trade");
}

static kt_text without_slash(kt_text url)
{
    while (url.n > 0 && url.s[url.n - 1] == '/')
        url.n--;
    return url;
}

static void stream_url(const kt_venue_decoder *decoder, kt_text ws_url, kt_builder *out)
{
    kt_text url = without_slash(ws_url);

    kt_builder_text(out, url);
    if (!text_ends(url, KT_TEXT("/stream")))
        kt_builder_str(out, "/stream");
    for (uint32_t i = 0; i < kt_venue_symbol_count(decoder); i++) {
        kt_builder_str(out, i == 0 ? "?streams=" : "/");
        put_stream_name(kt_venue_symbol_at(decoder, i), out);
    }
}

static void subscribe(uint64_t message_id, const kt_row_instrument *instrument, kt_builder *out)
{
    kt_builder_str(out, "{\"method\":\"SUBSCRIBE\",\"params\":[\"");
    put_stream_name(instrument, out);
    kt_builder_str(out, "\"],\"id\":");
    kt_builder_u64(out, message_id);
    kt_builder_char(out, '}');
}

static void put_instruments_url(const kt_venue_decoder *decoder, const kt_row_instrument *instrument, kt_builder *out)
{
    uint32_t count = kt_venue_symbol_count(decoder);

    kt_builder_str(out, "/api/v3/exchangeInfo");
    if (instrument != NULL) {
        kt_builder_str(out, "?symbol=");
        kt_venue_url_encode(out, instrument->venue_symbol);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_str(out, i == 0 ? "?symbols=%5B%22" : "%22,%22");
        kt_venue_url_encode(out, kt_venue_symbol_at(decoder, i)->venue_symbol);
    }
    if (count != 0)
        kt_builder_str(out, "%22%5D");
}

static void rest_url(const kt_venue_decoder *decoder, kt_text rest_url, const kt_ev_request *request,
    const kt_row_instrument *instrument, uint32_t limit, kt_builder *out)
{
    kt_builder_text(out, without_slash(rest_url));
    if (request->what == KT_WHAT_INSTRUMENTS) {
        put_instruments_url(decoder, instrument, out);
        return;
    }
    kt_builder_str(out, request->what == KT_WHAT_TRADES_BY_ID ? "/api/v3/historicalTrades" : "/api/v3/trades");
    kt_builder_str(out, "?symbol=");
    kt_venue_url_encode(out, instrument->venue_symbol);
    kt_builder_str(out, "&limit=");
    kt_builder_u64(out, limit);
    if (request->what == KT_WHAT_TRADES_BY_ID) {
        kt_builder_str(out, "&fromId=");
        kt_builder_u64(out, request->from_id);
    }
}

static const kt_venue_codec codec = {
    .decode_message = decode_message,
    .decode_answer = decode_answer,
    .error_text = error_text,
    .venue_symbol = venue_symbol,
    .stream_url = stream_url,
    .subscribe = subscribe,
    .rest_url = rest_url,
};

const kt_venue_format kt_venue_binance = {
    .name = "binance",
    .can = 1u << KT_WHAT_INSTRUMENTS | 1u << KT_WHAT_TRADES_BY_ID | 1u << KT_WHAT_RECENT_TRADES,
    .row_max = ROW_MAX,
    .numbered = true,
    .open = false,
    .codec = &codec,
};
