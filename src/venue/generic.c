/* The generic format: one JSON object a trade, ticker, ts (ms), quantity and price as numbers, the id as text.
 * Everything that the stream carries comes without being asked for, so a ticker nobody configured is welcome. */
#include "base/time.h"
#include "venue/decoder.h"

enum { ROW_MAX = 100, MS_TO_NS_SCALE = 6 };

typedef struct generic_trade {
    kt_text ticker;
    kt_decimal ts;
    kt_decimal quantity;
    kt_decimal price;
    kt_text id;       /* spelled tradeid */
    kt_text id_camel; /* spelled tradeId, as the original's description has it */
} generic_trade;

static const kt_json_field trade_fields[] = {
    KT_JSON_FIELD(generic_trade, ticker, "ticker", TEXT, 0),
    KT_JSON_FIELD(generic_trade, ts, "ts", DECIMAL, 0),
    KT_JSON_FIELD(generic_trade, quantity, "quantity", DECIMAL, 0),
    KT_JSON_FIELD(generic_trade, price, "price", DECIMAL, 0),
    KT_JSON_FIELD(generic_trade, id, "tradeid", TEXT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(generic_trade, id_camel, "tradeId", TEXT, KT_JSON_OPTIONAL),
};
enum { SEEN_ID = 1 << 4, SEEN_ID_CAMEL = 1 << 5 };

static const kt_venue_names names = { KT_TEXT("ts"), KT_TEXT("price"), KT_TEXT("quantity"), KT_TEXT("tradeid") };

/* As nearly all are written. */
static const kt_json_step trade_steps[] = {
    KT_JSON_STEP(generic_trade, ticker, "{\"ticker\":", TEXT),
    KT_JSON_STEP(generic_trade, ts, ",\"ts\":", DECIMAL),
    KT_JSON_STEP(generic_trade, quantity, ",\"quantity\":", DECIMAL),
    KT_JSON_STEP(generic_trade, price, ",\"price\":", DECIMAL),
    KT_JSON_STEP(generic_trade, id, ",\"tradeid\":", TEXT),
    KT_JSON_BYTES("}"),
};

/* Check a trade whose id is in `id`; false: refused. */
static bool check_trade(const kt_venue_input *input, const generic_trade *trade, kt_text *out_ticker, kt_row_trade *out)
{
    if (trade->ticker.n == 0 || trade->ticker.n > KT_VENUE_SYMBOL_SIZE) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("ticker"));
        return false;
    }
    *out = (kt_row_trade){
        .price = trade->price, .quantity = trade->quantity, .side = KT_SIDE_UNKNOWN, .trade_id = trade->id
    };
    /* ms with six digits behind the point are ns */
    if (kt_decimal_rescale(trade->ts, MS_TO_NS_SCALE, &out->venue_time) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, names.time);
        return false;
    }
    *out_ticker = trade->ticker;
    return kt_venue_trade_check(input, out, kt_venue_symbol_find(input->decoder, trade->ticker), &names);
}

/* Read the object at `node`; false: refused. */
static bool read_trade(const kt_venue_input *input, uint32_t node, kt_text *out_ticker, kt_row_trade *out)
{
    generic_trade trade = { 0 };
    kt_json_found found = { 0 };
    uint64_t ids = 0;
    kt_code code = kt_json_fields(
        input->doc, node, trade_fields, KT_COUNT(trade_fields), &input->decoder->arena, &trade, &found, NULL);

    if (code != KT_OK) {
        kt_venue_refuse_code(input, code, &found);
        return false;
    }
    ids = found.seen & (SEEN_ID | SEEN_ID_CAMEL);
    if (ids == 0 || ids == (SEEN_ID | SEEN_ID_CAMEL)) {
        kt_venue_refuse(input, ids == 0 ? KT_INVALID_MISSING_FIELD : KT_INVALID_DUPLICATE_FIELD, names.id);
        return false;
    }
    if (ids == SEEN_ID_CAMEL)
        trade.id = trade.id_camel;
    return check_trade(input, &trade, out_ticker, out);
}

static bool scan_message(const kt_venue_input *input)
{
    const char *end = input->bytes.s + input->bytes.n;
    generic_trade trade;
    kt_text ticker = { 0 };
    kt_row_trade row;

    if (kt_json_scan(input->bytes.s, end, trade_steps, KT_COUNT(trade_steps), &trade) != end)
        return false;
    if (check_trade(input, &trade, &ticker, &row))
        kt_venue_tick(input, ticker, &row);
    return true;
}

static void decode_message(const kt_venue_input *input)
{
    kt_text ticker = { 0 };
    kt_row_trade trade;

    if (read_trade(input, 0, &ticker, &trade))
        kt_venue_tick(input, ticker, &trade);
}

static void decode_answer(const kt_venue_input *input, const kt_ev_request *request, kt_venue_answer *answer)
{
    const kt_json_doc *doc = input->doc;

    if (kt_json_kind_of(doc, 0) != KT_JSON_ARRAY) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT(""));
        answer->invalid_count++;
        return;
    }
    kt_json_each (doc, 0, item) {
        kt_venue_input row_input = *input;
        kt_text ticker = { 0 };
        kt_row_trade row;
        bool good;

        kt_arena_reset(&input->decoder->arena);
        row_input.bytes = kt_json_raw(doc, item);
        good = read_trade(&row_input, item, &ticker, &row);
        if (good && !kt_text_equal(ticker, request->symbol)) {
            kt_venue_refuse(&row_input, KT_INVALID_UNKNOWN_SYMBOL, KT_TEXT("ticker"));
            good = false;
        }
        answer->row_count++;
        answer->invalid_count += !good;
        if (good && input->sink->row != NULL)
            input->sink->row(input->sink->ctx, &row);
    }
}

static void error_text(const kt_venue_input *input, kt_builder *out)
{
    kt_text message = { 0 };
    uint32_t node = kt_json_get(input->doc, 0, KT_TEXT("message"));

    if (node != 0 && kt_json_text(input->doc, node, &input->decoder->arena, &message) == KT_OK)
        kt_builder_format(out, ": %.*s", (int)(message.n < 100 ? message.n : 100), message.s);
}

static kt_code venue_symbol(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err)
{
    if (symbol.n == 0)
        return kt_fail(err, KT_SYNTAX, "a symbol can not be empty");
    kt_builder_text(out, symbol);
    *out_base = (kt_text){ 0 };
    *out_quote = (kt_text){ 0 };
    return KT_OK;
}

static void stream_url(const kt_venue_decoder *decoder, kt_text ws_url, uint32_t first, uint32_t count, kt_builder *out)
{
    kt_builder_text(out, ws_url);
}

static void rest_url(const kt_venue_decoder *decoder, kt_text rest_url, const kt_ev_request *request,
    const kt_row_instrument *instrument, uint32_t limit, kt_builder *out)
{
    kt_builder_text(out, rest_url);
    kt_builder_char(out, memchr(rest_url.s, '?', rest_url.n) != NULL ? '&' : '?');
    kt_builder_str(out, "ticker=");
    kt_venue_url_encode(out, request->symbol);
    kt_builder_str(out, "&startTime=");
    kt_builder_i64(out, kt_time_to_ms(request->from_time));
}

static const kt_venue_codec codec = {
    .scan_message = scan_message,
    .decode_message = decode_message,
    .decode_answer = decode_answer,
    .error_text = error_text,
    .venue_symbol = venue_symbol,
    .stream_url = stream_url,
    .rest_url = rest_url,
};

const kt_venue_format kt_venue_generic = {
    .name = "generic",
    .can = 1u << KT_WHAT_TRADES_BY_TIME,
    .row_max = ROW_MAX,
    .numbered = false,
    .open = true,
    .codec = &codec,
};
