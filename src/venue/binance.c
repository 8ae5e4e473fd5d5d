/* Binance spot, https://developers.binance.com/docs/binance-spot-api-docs: streams of trades, of changes of the book
 * (@depth@100ms) and of the best prices (@bookTicker), raw (/ws/<symbol>@trade) or combined under /stream?streams=, and
 * REST under /api/v3. Times are in ms (microseconds come only to those who ask
 * for them with timeUnit, and would be out of range here). Prices and quantities are strings with eight digits behind
 * the point. Trade ids count per symbol without gaps; `m` says whether the buyer was the maker, so true means that the
 * taker sold. */
#include "base/time.h"
#include "venue/binance_scan.h"
#include "venue/decoder.h"

enum { ROW_MAX = 1000 }; /* trades, or levels of one side of a book */

/* What the names of our streams end in. */
#define TRADE_STREAM "@trade"
#define DEPTH_STREAM "@depth@100ms"
#define TICKER_STREAM "@bookTicker"

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

/* Streams other than ours carry events of the same names: a book of futures has `pu`, and a rule of its own. */
enum { SEEN_OF_FUTURES = 1 << 7 };

typedef struct trade_nodes {
    kt_text event;
    kt_binance_trade trade;
} trade_nodes;

static const kt_json_field trade_fields[] = {
    KT_JSON_FIELD(trade_nodes, event, "e", TEXT, 0),
    KT_JSON_FIELD(trade_nodes, trade.symbol, "s", TEXT, 0),
    KT_JSON_FIELD(trade_nodes, trade.number, "t", U64, 0),
    KT_JSON_FIELD(trade_nodes, trade.price, "p", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(trade_nodes, trade.quantity, "q", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(trade_nodes, trade.time_ms, "T", I64, 0),
    KT_JSON_FIELD(trade_nodes, trade.buyer_is_maker, "m", BOOL, 0),
};

typedef struct depth_nodes {
    kt_text event;
    kt_binance_depth depth;
    uint32_t bids, asks, previous;
} depth_nodes;

static const kt_json_field depth_fields[] = {
    KT_JSON_FIELD(depth_nodes, event, "e", TEXT, 0),
    KT_JSON_FIELD(depth_nodes, depth.event_ms, "E", I64, 0),
    KT_JSON_FIELD(depth_nodes, depth.symbol, "s", TEXT, 0),
    KT_JSON_FIELD(depth_nodes, depth.first_id, "U", U64, 0),
    KT_JSON_FIELD(depth_nodes, depth.last_id, "u", U64, 0),
    KT_JSON_FIELD(depth_nodes, bids, "b", ARRAY, 0),
    KT_JSON_FIELD(depth_nodes, asks, "a", ARRAY, 0),
    KT_JSON_FIELD(depth_nodes, previous, "pu", ANY, KT_JSON_OPTIONAL),
};

static const kt_json_field ticker_fields[] = {
    KT_JSON_FIELD(kt_binance_ticker, update_id, "u", U64, 0),
    KT_JSON_FIELD(kt_binance_ticker, symbol, "s", TEXT, 0),
    KT_JSON_FIELD(kt_binance_ticker, bid, "b", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(kt_binance_ticker, bid_quantity, "B", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(kt_binance_ticker, ask, "a", DECIMAL_TEXT, 0),
    KT_JSON_FIELD(kt_binance_ticker, ask_quantity, "A", DECIMAL_TEXT, 0),
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

/* NULL: refused. */
static const kt_row_instrument *instrument_of(const kt_venue_input *input, kt_text venue_symbol)
{
    const kt_row_instrument *instrument = kt_venue_symbol_find_venue(input->decoder, venue_symbol);

    if (instrument == NULL)
        kt_venue_refuse(input, KT_INVALID_UNKNOWN_SYMBOL, KT_TEXT("s"));
    return instrument;
}

static void tell_trade(const kt_venue_input *input, const kt_binance_trade *trade)
{
    const kt_row_instrument *instrument = NULL;
    kt_row_trade row;
    char id_text[24];

    if (!trade_row(
            trade->number, trade->price, trade->quantity, trade->time_ms, trade->buyer_is_maker, id_text, &row)) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, stream_names.time);
        return;
    }
    instrument = instrument_of(input, trade->symbol);
    if (instrument != NULL && kt_venue_trade_check(input, &row, instrument, &stream_names))
        kt_venue_tick(input, instrument->symbol, &row);
}

static void tell_depth(const kt_venue_input *input, const kt_binance_depth *depth)
{
    const kt_row_instrument *instrument = NULL;
    kt_ev_book book;

    kt_event_init(KT_EV_BOOK, &book);
    book.receive_time = input->receive_time_ns;
    book.first_id = depth->first_id;
    book.last_id = depth->last_id;
    book.bids = KT_ROWS_OF(depth->bids.at, depth->bids.count);
    book.asks = KT_ROWS_OF(depth->asks.at, depth->asks.count);
    if (kt_time_from_ms(depth->event_ms, &book.venue_time) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("E"));
        return;
    }
    if (book.venue_time <= 0) {
        kt_venue_refuse(input, KT_INVALID_NOT_POSITIVE, KT_TEXT("E"));
        return;
    }
    if (depth->first_id > depth->last_id) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("U"));
        return;
    }
    instrument = instrument_of(input, depth->symbol);
    if (instrument != NULL && kt_venue_levels_check(input, &depth->bids, KT_TEXT("b")) &&
        kt_venue_levels_check(input, &depth->asks, KT_TEXT("a")) && input->sink->book != NULL)
        input->sink->book(input->sink->ctx, instrument->symbol, &book);
}

static void tell_ticker(const kt_venue_input *input, const kt_binance_ticker *ticker)
{
    const kt_row_instrument *instrument = instrument_of(input, ticker->symbol);
    kt_ev_ticker ev;

    if (instrument == NULL || !kt_venue_level_check(input, ticker->bid, ticker->bid_quantity, true, KT_TEXT("b")) ||
        !kt_venue_level_check(input, ticker->ask, ticker->ask_quantity, true, KT_TEXT("a")) ||
        input->sink->ticker == NULL)
        return;
    kt_event_init(KT_EV_TICKER, &ev);
    ev.receive_time = input->receive_time_ns;
    ev.update_id = ticker->update_id;
    ev.bid = ticker->bid;
    ev.bid_quantity = ticker->bid_quantity;
    ev.ask = ticker->ask;
    ev.ask_quantity = ticker->ask_quantity;
    input->sink->ticker(input->sink->ctx, instrument->symbol, &ev);
}

static void tell_other(const kt_venue_input *input, kt_text kind)
{
    if (input->sink->other != NULL)
        input->sink->other(input->sink->ctx, kind);
}

/* ---- the same three, wherever their fields stand ---- */

/* Pick the fields of `node`; false: refused. */
static bool pick(const kt_venue_input *input, uint32_t node, const kt_json_field *fields, uint32_t field_count,
    void *out, kt_json_found *found)
{
    kt_code code = kt_json_fields(input->doc, node, fields, field_count, &input->decoder->arena, out, found, NULL);

    if (code != KT_OK)
        kt_venue_refuse_code(input, code, found);
    return code == KT_OK;
}

static void decode_trade(const kt_venue_input *input, uint32_t node)
{
    trade_nodes nodes = { 0 };
    kt_json_found found;

    if (pick(input, node, trade_fields, KT_COUNT(trade_fields), &nodes, &found))
        tell_trade(input, &nodes.trade);
}

static void decode_depth(const kt_venue_input *input, uint32_t node)
{
    depth_nodes nodes = { 0 };
    kt_json_found found;

    if (!pick(input, node, depth_fields, KT_COUNT(depth_fields), &nodes, &found))
        return;
    if ((found.seen & SEEN_OF_FUTURES) != 0) {
        tell_other(input, KT_TEXT("depthUpdate"));
        return;
    }
    nodes.depth.bids = (kt_json_pairs){ .at = input->decoder->levels, .max = KT_VENUE_LEVEL_MAX };
    if (!kt_venue_levels_read(input, nodes.bids, KT_TEXT("b"), &nodes.depth.bids))
        return;
    nodes.depth.asks = kt_json_pairs_behind(&nodes.depth.bids);
    if (kt_venue_levels_read(input, nodes.asks, KT_TEXT("a"), &nodes.depth.asks))
        tell_depth(input, &nodes.depth);
}

static void decode_ticker(const kt_venue_input *input, uint32_t node)
{
    kt_binance_ticker ticker = { 0 };
    kt_json_found found;

    if (pick(input, node, ticker_fields, KT_COUNT(ticker_fields), &ticker, &found))
        tell_ticker(input, &ticker);
}

static bool text_ends(kt_text text, kt_text end)
{
    return text.n >= end.n && memcmp(text.s + text.n - end.n, end.s, end.n) == 0;
}

/* Events with a name, and what they become. Each stream of ours must carry nothing else: elsewhere an event without a name
 * is just one of the many that are not ours (partial books have none). */
static const struct {
    const char *name;
    const char *stream;
    void (*decode)(const kt_venue_input *input, uint32_t node);
} events[] = {
    { "trade", TRADE_STREAM, decode_trade },
    { "depthUpdate", DEPTH_STREAM, decode_depth },
};

/* A book ticker has no name; raw, its fields tell it. */
static bool is_ticker(const kt_venue_input *input, uint32_t node, kt_text stream)
{
    if (stream.n != 0)
        return text_ends(stream, KT_TEXT(TICKER_STREAM));
    for (size_t i = 0; i < KT_COUNT(ticker_fields); i++)
        if (kt_json_get(input->doc, node, kt_text_of(ticker_fields[i].name)) == 0)
            return false;
    return true;
}

/* An event, bare or out of a combined message. */
static void decode_event(const kt_venue_input *input, uint32_t node, kt_text stream)
{
    uint32_t event = kt_json_get(input->doc, node, KT_TEXT("e"));
    bool ours = text_ends(stream, KT_TEXT(TICKER_STREAM));
    kt_text name = stream;

    for (size_t i = 0; i < KT_COUNT(events); i++) {
        if (event != 0 && kt_json_text_is(input->doc, event, kt_text_of(events[i].name))) {
            events[i].decode(input, node);
            return;
        }
        ours = ours || text_ends(stream, kt_text_of(events[i].stream));
    }
    if (ours && kt_json_kind_of(input->doc, node) != KT_JSON_OBJECT)
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT("data"));
    else if (event == 0 && is_ticker(input, node, stream))
        decode_ticker(input, node);
    else if (ours && event == 0)
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

static bool scan_message(const kt_venue_input *input)
{
    kt_binance_message message;

    if (!kt_binance_scan(input->bytes, input->decoder->levels, KT_VENUE_LEVEL_MAX, &message) ||
        (message.kind == KT_BINANCE_TICKER && message.stream.n != 0 &&
            !text_ends(message.stream, KT_TEXT(TICKER_STREAM))))
        return false;
    switch (message.kind) {
    case KT_BINANCE_TRADE:
        tell_trade(input, &message.trade);
        break;
    case KT_BINANCE_DEPTH:
        tell_depth(input, &message.depth);
        break;
    case KT_BINANCE_TICKER:
        tell_ticker(input, &message.ticker);
        break;
    }
    return true;
}

/* ---- REST answers ---- */

typedef struct rest_book {
    uint64_t last_id;
    uint32_t bids;
    uint32_t asks;
} rest_book;

static const kt_json_field book_fields[] = {
    KT_JSON_FIELD(rest_book, last_id, "lastUpdateId", U64, 0),
    KT_JSON_FIELD(rest_book, bids, "bids", ARRAY, 0),
    KT_JSON_FIELD(rest_book, asks, "asks", ARRAY, 0),
};

static bool decode_book(const kt_venue_input *input, kt_text symbol)
{
    rest_book answer = { 0 };
    kt_json_found found;

    return pick(input, 0, book_fields, KT_COUNT(book_fields), &answer, &found) &&
           kt_venue_book_answer(input, symbol, answer.bids, answer.asks, answer.last_id);
}

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

    if (request->what == KT_WHAT_BOOK) {
        answer->row_count = 1;
        answer->invalid_count = !decode_book(input, request->symbol);
        return;
    }
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

static const char *const streams[] = { TRADE_STREAM, DEPTH_STREAM, TICKER_STREAM };

/* The streams of one symbol: trades, and books where they are wanted. */
static void put_streams(const kt_row_instrument *instrument, bool books, const char *between, kt_builder *out)
{
    for (size_t stream = 0; stream < (books ? KT_COUNT(streams) : 1); stream++) {
        if (stream != 0)
            kt_builder_str(out, between);
        for (size_t i = 0; i < instrument->venue_symbol.n; i++)
            kt_builder_char(out, lower(instrument->venue_symbol.s[i]));
        kt_builder_str(out, streams[stream]);
    }
}

static kt_text without_slash(kt_text url)
{
    while (url.n > 0 && url.s[url.n - 1] == '/')
        url.n--;
    return url;
}

static void stream_url(const kt_venue_decoder *decoder, kt_text ws_url, uint32_t first, uint32_t count, kt_builder *out)
{
    kt_text url = without_slash(ws_url);

    kt_builder_text(out, url);
    if (!text_ends(url, KT_TEXT("/stream")))
        kt_builder_str(out, "/stream");
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_str(out, i == 0 ? "?streams=" : "/");
        put_streams(kt_venue_symbol_at(decoder, first + i), decoder->books, "/", out);
    }
}

static void subscribe(
    const kt_venue_decoder *decoder, uint64_t message_id, const kt_row_instrument *instrument, kt_builder *out)
{
    kt_builder_str(out, "{\"method\":\"SUBSCRIBE\",\"params\":[\"");
    put_streams(instrument, decoder->books, "\",\"", out);
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
    static const char *const paths[] = {
        [KT_WHAT_TRADES_BY_ID] = "/api/v3/historicalTrades",
        [KT_WHAT_RECENT_TRADES] = "/api/v3/trades",
        [KT_WHAT_BOOK] = "/api/v3/depth",
    };

    kt_builder_text(out, without_slash(rest_url));
    if (request->what == KT_WHAT_INSTRUMENTS) {
        put_instruments_url(decoder, instrument, out);
        return;
    }
    kt_builder_str(out, paths[request->what]);
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
    .scan_message = scan_message,
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
    .can = 1u << KT_WHAT_INSTRUMENTS | 1u << KT_WHAT_TRADES_BY_ID | 1u << KT_WHAT_RECENT_TRADES | 1u << KT_WHAT_BOOK,
    .row_max = ROW_MAX,
    .numbered = true,
    .open = false,
    /* developers.binance.com, spot, WebSocket streams. It also takes at most 5 messages a second from each connection:
     * we send none but the answers to its pings, one in 20 s. */
    .limits = { .stream_max = 1024,
        .book_streams = KT_COUNT(streams),
        .connection_max = 300,
        .connection_span_s = 300,
        .connection_life_s = 24 * 3600 },
    .codec = &codec,
};
