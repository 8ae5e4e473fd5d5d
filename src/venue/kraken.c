#include "venue/kraken.h"

#include "base/time.h"

enum { NS_SCALE = 9, DEPTH_MAX = 500 /* of REST */ };
#define NS_PER_US 1000

const kt_venue_names kt_kraken_names = { KT_TEXT("time"), KT_TEXT("price"), KT_TEXT("volume"), KT_TEXT("trade_id") };

/* ---- names ---- */

static const struct {
    kt_text ours, old;
} currencies[] = {
    { KT_TEXT("BTC"), KT_TEXT("XBT") },
    { KT_TEXT("DOGE"), KT_TEXT("XDG") },
};

static void put_currency(kt_text name, bool old, kt_builder *out)
{
    for (size_t i = 0; i < KT_COUNT(currencies); i++)
        if (kt_text_equal(name, old ? currencies[i].ours : currencies[i].old)) {
            kt_builder_text(out, old ? currencies[i].old : currencies[i].ours);
            return;
        }
    kt_builder_text(out, name);
}

static void put_pair(kt_text symbol, bool old, bool slash, kt_builder *out)
{
    kt_text quote = symbol, base = { 0 };

    if (!kt_text_cut(&quote, '/', &base))
        return;
    put_currency(base, old, out);
    if (slash)
        kt_builder_char(out, '/');
    put_currency(quote, old, out);
}

void kt_kraken_put_old(kt_text symbol, bool slash, kt_builder *out)
{
    put_pair(symbol, true, slash, out);
}

void kt_kraken_put_new(kt_text symbol, kt_builder *out)
{
    put_pair(symbol, false, true, out);
}

static kt_code cut_symbol(kt_text symbol, kt_text *out_base, kt_text *out_quote, kt_err *err)
{
    kt_text quote = symbol, base = { 0 };

    if (!kt_text_cut(&quote, '/', &base) || base.n == 0 || quote.n == 0 || memchr(quote.s, '/', quote.n) != NULL ||
        memchr(quote.s, ':', quote.n) != NULL)
        return kt_fail(
            err, KT_SYNTAX, "symbol '%.*s': kraken spot needs BASE/QUOTE, such as BTC/USDT", KT_TEXT_ARG(symbol));
    *out_base = base;
    *out_quote = quote;
    return KT_OK;
}

kt_code kt_kraken_symbol_v1(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err)
{
    kt_code code = cut_symbol(symbol, out_base, out_quote, err);

    if (code == KT_OK)
        kt_kraken_put_old(symbol, true, out);
    return code;
}

kt_code kt_kraken_symbol_v2(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err)
{
    kt_code code = cut_symbol(symbol, out_base, out_quote, err);

    if (code == KT_OK)
        kt_builder_text(out, symbol);
    return code;
}

/* ---- values ---- */

bool kt_kraken_pick(
    const kt_venue_input *input, uint32_t node, const kt_json_field *fields, uint32_t field_count, void *out)
{
    kt_json_found found = { 0 };
    kt_code code = kt_json_fields(input->doc, node, fields, field_count, &input->decoder->arena, out, &found, NULL);

    if (code != KT_OK)
        kt_venue_refuse_code(input, code, &found);
    return code == KT_OK;
}

const kt_row_instrument *kt_kraken_instrument(const kt_venue_input *input, kt_text venue_symbol)
{
    const kt_row_instrument *instrument = kt_venue_symbol_find_venue(input->decoder, venue_symbol);

    if (instrument == NULL)
        kt_venue_refuse(input, KT_INVALID_UNKNOWN_SYMBOL, KT_TEXT("symbol"));
    return instrument;
}

/* A time of ns; false: refused. */
static bool take_time(const kt_venue_input *input, int64_t time_ns, kt_text field, int64_t *out_ns)
{
    if (time_ns <= 0) {
        kt_venue_refuse(input, KT_INVALID_NOT_POSITIVE, field);
        return false;
    }
    *out_ns = time_ns - time_ns % NS_PER_US;
    return true;
}

bool kt_kraken_seconds(const kt_venue_input *input, kt_decimal seconds, kt_text field, int64_t *out_ns)
{
    int64_t time_ns = 0;

    if (kt_decimal_rescale(seconds, NS_SCALE, &time_ns) == KT_OK)
        return take_time(input, time_ns, field, out_ns);
    kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, field);
    return false;
}

bool kt_kraken_time(const kt_venue_input *input, kt_text text, kt_text field, int64_t *out_ns)
{
    int64_t time_ns = 0;
    kt_code code = kt_time_parse_iso(text, &time_ns);

    if (code == KT_OK)
        return take_time(input, time_ns, field, out_ns);
    kt_venue_refuse(input, code == KT_RANGE ? KT_INVALID_OUT_OF_RANGE : KT_INVALID_WRONG_TYPE, field);
    return false;
}

bool kt_kraken_side(const kt_venue_input *input, kt_text text, kt_text field, uint8_t *out_side)
{
    bool buy = kt_text_equal(text, KT_TEXT("b")) || kt_text_equal(text, KT_TEXT("buy"));
    bool sell = kt_text_equal(text, KT_TEXT("s")) || kt_text_equal(text, KT_TEXT("sell"));

    if (!buy && !sell)
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, field);
    else
        *out_side = buy ? KT_SIDE_BUY : KT_SIDE_SELL;
    return buy || sell;
}

uint8_t kt_kraken_digits(kt_text number)
{
    const char *point = number.n != 0 ? memchr(number.s, '.', number.n) : NULL;
    size_t digits = 0;

    if (point == NULL)
        return 0;
    for (const char *at = point + 1; at < number.s + number.n && *at >= '0' && *at <= '9'; at++)
        digits++;
    return digits < KT_SCALE_MAX ? (uint8_t)digits : KT_SCALE_MAX;
}

/* ---- telling ---- */

void kt_kraken_tell_other(const kt_venue_input *input, kt_text kind)
{
    if (input->sink->other != NULL)
        input->sink->other(input->sink->ctx, kind);
}

void kt_kraken_tell_reply(const kt_venue_input *input, uint64_t message_id, kt_text error)
{
    if (input->sink->reply != NULL)
        input->sink->reply(input->sink->ctx, message_id, error);
}

void kt_kraken_tell_book(const kt_venue_input *input, const kt_row_instrument *instrument, const kt_json_pairs *bids,
    const kt_json_pairs *asks, kt_ev_book *book)
{
    book->receive_time = input->receive_time_ns;
    book->bids = KT_ROWS_OF(bids->at, bids->count);
    book->asks = KT_ROWS_OF(asks->at, asks->count);
    if (kt_venue_levels_check(input, bids, KT_TEXT("bids")) && kt_venue_levels_check(input, asks, KT_TEXT("asks")) &&
        input->sink->book != NULL)
        input->sink->book(input->sink->ctx, instrument->symbol, book);
}

void kt_kraken_tell_ticker(const kt_venue_input *input, const kt_row_instrument *instrument, kt_ev_ticker *ticker)
{
    ticker->receive_time = input->receive_time_ns;
    ticker->update_id = (uint64_t)(ticker->venue_time != 0 ? ticker->venue_time : ticker->receive_time) / NS_PER_US;
    if (kt_venue_level_check(input, ticker->bid, ticker->bid_quantity, true, KT_TEXT("bid")) &&
        kt_venue_level_check(input, ticker->ask, ticker->ask_quantity, true, KT_TEXT("ask")) &&
        input->sink->ticker != NULL)
        input->sink->ticker(input->sink->ctx, instrument->symbol, ticker);
}

bool kt_kraken_tell_candle(const kt_venue_input *input, const kt_row_instrument *instrument, kt_ev_candle *candle)
{
    const kt_decimal *const positive[] = { &candle->open, &candle->high, &candle->low, &candle->close, &candle->vwap,
        &candle->volume };

    candle->receive_time = input->receive_time_ns;
    for (size_t i = 0; i < KT_COUNT(positive); i++)
        if (positive[i]->m < 0) {
            kt_venue_refuse(input, KT_INVALID_NOT_POSITIVE, KT_TEXT("ohlc"));
            return false;
        }
    if (input->sink->candle != NULL)
        input->sink->candle(input->sink->ctx, instrument->symbol, candle);
    return true;
}

/* ---- trades as rows ---- */

typedef struct row_values {
    kt_decimal price, quantity, time;
    kt_text side;
} row_values;

/* NULL: read; otherwise the name of what is no such value. */
static const kt_text *read_values(const kt_json_doc *doc, uint32_t node, kt_kraken_rows rows, row_values *out)
{
    static const kt_text side = KT_TEXT("side");
    uint32_t at[4];

    for (uint32_t i = 0; i < KT_COUNT(at); i++)
        at[i] = kt_json_at(doc, node, i);
    if (at[0] == 0 || kt_json_decimal_text(doc, at[0], &out->price) != KT_OK)
        return &kt_kraken_names.price;
    if (at[1] == 0 || kt_json_decimal_text(doc, at[1], &out->quantity) != KT_OK)
        return &kt_kraken_names.quantity;
    if (at[2] == 0 ||
        (rows == KT_KRAKEN_ROWS_V1 ? kt_json_decimal_text : kt_json_decimal)(doc, at[2], &out->time) != KT_OK)
        return &kt_kraken_names.time;
    if (at[3] == 0 || kt_json_kind_of(doc, at[3]) != KT_JSON_STRING)
        return &side;
    out->side = kt_json_raw(doc, at[3]);
    return NULL;
}

/* How many trades of the list before `node`, from the first one of its time on, are the same. */
static uint32_t same_before(
    const kt_json_doc *doc, uint32_t first, uint32_t node, kt_kraken_rows rows, const row_values *values)
{
    uint32_t same = 0;

    for (uint32_t at = first; at != node; at = kt_json_next(doc, at)) {
        row_values other = { 0 };

        same += read_values(doc, at, rows, &other) == NULL && kt_decimal_compare(other.price, values->price) == 0 &&
                kt_decimal_compare(other.quantity, values->quantity) == 0 && kt_text_equal(other.side, values->side);
    }
    return same;
}

static void put_id(kt_builder *id, const row_values *values, int64_t time_ns, uint32_t same)
{
    kt_builder_i64(id, time_ns / NS_PER_US);
    kt_builder_char(id, '-');
    kt_builder_decimal(id, values->price);
    kt_builder_char(id, '-');
    kt_builder_decimal(id, values->quantity);
    kt_builder_char(id, '-');
    kt_builder_char(id, values->side.s[0]);
    if (same == 0)
        return;
    kt_builder_char(id, '-');
    kt_builder_u64(id, same);
}

bool kt_kraken_row(const kt_venue_input *input, uint32_t list, uint32_t node, kt_kraken_rows rows,
    kt_kraken_group *group, char id_mem[static KT_KRAKEN_ID_SIZE], kt_row_trade *out)
{
    enum { NUMBER_AT = 6 };
    const kt_json_doc *doc = input->doc;
    bool numbered = rows == KT_KRAKEN_ROWS_NUMBERED;
    row_values values = { 0 };
    const kt_text *wrong = read_values(doc, node, rows, &values);
    uint32_t number_node = numbered ? kt_json_at(doc, node, NUMBER_AT) : 0;
    kt_builder id;

    if (wrong != NULL) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, *wrong);
        return false;
    }
    *out = (kt_row_trade){ .price = values.price, .quantity = values.quantity };
    if (!kt_kraken_seconds(input, values.time, kt_kraken_names.time, &out->venue_time) ||
        !kt_kraken_side(input, values.side, KT_TEXT("side"), &out->side))
        return false;
    if (numbered && (number_node == 0 || kt_json_u64(doc, number_node, &out->trade_number) != KT_OK)) {
        kt_venue_refuse(input, number_node == 0 ? KT_INVALID_MISSING_FIELD : KT_INVALID_WRONG_TYPE, kt_kraken_names.id);
        return false;
    }
    if (group->first == 0 || group->time_ns != out->venue_time || group->count == KT_KRAKEN_GROUP_MAX)
        *group = (kt_kraken_group){ .first = node, .time_ns = out->venue_time };
    group->count++;
    kt_builder_init(&id, id_mem, KT_KRAKEN_ID_SIZE);
    if (numbered)
        kt_builder_u64(&id, out->trade_number);
    else
        put_id(&id, &values, out->venue_time, same_before(doc, group->first, node, rows, &values));
    out->trade_id = kt_builder_done(&id);
    return true;
}

/* ---- REST answers ---- */

/* The venue's own words of what went wrong; a text that begins with W is a warning only. Empty: nothing did. */
static kt_text error_of(const kt_json_doc *doc)
{
    uint32_t errors = kt_json_get(doc, 0, KT_TEXT("error"));

    if (errors != 0)
        kt_json_each (doc, errors, item)
            if (kt_json_kind_of(doc, item) == KT_JSON_STRING && !kt_text_starts(kt_json_raw(doc, item), KT_TEXT("W")))
                return kt_json_raw(doc, item);
    return (kt_text){ 0 };
}

void kt_kraken_error_text(const kt_venue_input *input, kt_builder *out)
{
    kt_text error = error_of(input->doc);

    if (error.n != 0)
        kt_builder_format(out, ", %.*s", (int)(error.n < 100 ? error.n : 100), error.s);
}

/* What the result has under the name of the pair, whichever of its names that is; 0: nothing. */
static uint32_t pair_of(const kt_json_doc *doc, uint32_t result)
{
    if (result != 0 && kt_json_kind_of(doc, result) == KT_JSON_OBJECT)
        kt_json_each (doc, result, key)
            if (!kt_json_text_is(doc, key, KT_TEXT("last")))
                return key + 1;
    return 0;
}

static bool decode_trade(const kt_venue_input *input, uint32_t list, uint32_t node, kt_kraken_rows rows,
    const kt_row_instrument *instrument, kt_kraken_group *group)
{
    char id_mem[KT_KRAKEN_ID_SIZE];
    kt_row_trade row;

    if (!kt_kraken_row(input, list, node, rows, group, id_mem, &row) ||
        !kt_venue_trade_check(input, &row, instrument, &kt_kraken_names))
        return false;
    if (input->sink->row != NULL)
        input->sink->row(input->sink->ctx, &row);
    return true;
}

typedef struct rest_book {
    uint32_t bids, asks;
} rest_book;

static const kt_json_field book_fields[] = {
    KT_JSON_FIELD(rest_book, asks, "asks", ARRAY, 0),
    KT_JSON_FIELD(rest_book, bids, "bids", ARRAY, 0),
};

static bool decode_book(const kt_venue_input *input, uint32_t node, kt_text symbol)
{
    rest_book answer = { 0 };

    return kt_kraken_pick(input, node, book_fields, KT_COUNT(book_fields), &answer) &&
           kt_venue_book_answer(input, symbol, answer.bids, answer.asks, 0);
}

/* [begin in s, "open", "high", "low", "close", "vwap", "volume", count], of the minutes that are asked for; the last one
 * is not over yet. false: refused. */
static bool decode_candle(const kt_venue_input *input, uint32_t node, const kt_row_instrument *instrument)
{
    enum { COUNT_AT = 7 };
    static const kt_text field = KT_TEXT("ohlc");
    const kt_json_doc *doc = input->doc;
    uint32_t begin_node = kt_json_at(doc, node, 0), count_node = kt_json_at(doc, node, COUNT_AT);
    kt_ev_candle candle;
    int64_t begin_s = 0;
    bool good = true;

    kt_event_init(KT_EV_CANDLE, &candle);
    kt_decimal *const values[] = { &candle.open, &candle.high, &candle.low, &candle.close, &candle.vwap,
        &candle.volume };
    for (uint32_t i = 0; i < KT_COUNT(values); i++) {
        uint32_t at = kt_json_at(doc, node, 1 + i);

        good = good && at != 0 && kt_json_decimal_text(doc, at, values[i]) == KT_OK;
    }
    if (!good || begin_node == 0 || kt_json_i64(doc, begin_node, &begin_s) != KT_OK || count_node == 0 ||
        kt_json_u64(doc, count_node, &candle.trades) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, field);
        return false;
    }
    if (begin_s <= 0 || begin_s > INT64_MAX / KT_NS_PER_S) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, kt_kraken_names.time);
        return false;
    }
    candle.begin = begin_s * KT_NS_PER_S;
    candle.interval_s = 60;
    return kt_kraken_tell_candle(input, instrument, &candle);
}

typedef struct rest_pair {
    kt_text name; /* wsname: XBT/USD */
    uint64_t price_digits;
    uint64_t quantity_digits;
    kt_decimal tick;
} rest_pair;

static const kt_json_field pair_fields[] = {
    KT_JSON_FIELD(rest_pair, name, "wsname", TEXT, 0),
    KT_JSON_FIELD(rest_pair, price_digits, "pair_decimals", U64, 0),
    KT_JSON_FIELD(rest_pair, quantity_digits, "lot_decimals", U64, 0),
    KT_JSON_FIELD(rest_pair, tick, "tick_size", DECIMAL_TEXT, KT_JSON_OPTIONAL),
};

/* One pair of AssetPairs; false: refused. */
static bool decode_pair(const kt_venue_input *input, uint32_t node, bool all)
{
    char mem[2 * KT_VENUE_SYMBOL_SIZE + 4], venue_mem[sizeof mem];
    kt_builder symbol, venue_symbol;
    rest_pair pair = { 0 };
    kt_row_instrument row = { 0 };
    kt_code code;

    if (!kt_kraken_pick(input, node, pair_fields, KT_COUNT(pair_fields), &pair))
        return false;
    if (pair.price_digits > KT_SCALE_MAX || pair.quantity_digits > KT_SCALE_MAX) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("pair_decimals"));
        return false;
    }
    kt_builder_init(&symbol, mem, sizeof mem);
    kt_builder_init(&venue_symbol, venue_mem, sizeof venue_mem);
    kt_kraken_put_new(pair.name, &symbol);
    row.symbol = kt_builder_done(&symbol);
    code = input->decoder->format->codec->venue_symbol(row.symbol, &venue_symbol, &row.base, &row.quote, NULL);
    if (code != KT_OK || symbol.code != KT_OK || venue_symbol.code != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("wsname"));
        return false;
    }
    row.venue_symbol = kt_builder_done(&venue_symbol);
    if (!all && kt_venue_symbol_find(input->decoder, row.symbol) == NULL)
        return true;
    row.price_scale = (uint8_t)pair.price_digits;
    row.quantity_scale = (uint8_t)pair.quantity_digits;
    row.tick = pair.tick.m > 0 ? pair.tick : kt_decimal_canon((kt_decimal){ .m = 1, .scale = row.price_scale });
    row.lot = kt_decimal_canon((kt_decimal){ .m = 1, .scale = row.quantity_scale });
    if (kt_venue_instrument_put(input->decoder, &row, NULL) != KT_OK) {
        kt_venue_refuse(input, KT_INVALID_OUT_OF_RANGE, KT_TEXT("wsname"));
        return false;
    }
    if (input->sink->instrument != NULL)
        input->sink->instrument(input->sink->ctx, &row);
    return true;
}

static void decode_pairs(const kt_venue_input *input, uint32_t result, kt_venue_answer *answer)
{
    bool all = kt_venue_symbol_count(input->decoder) == 0;

    kt_json_each (input->doc, result, key) {
        kt_venue_input row_input = *input;

        kt_arena_reset(&input->decoder->arena);
        row_input.bytes = kt_json_raw(input->doc, key + 1);
        answer->row_count++;
        answer->invalid_count += !decode_pair(&row_input, key + 1, all);
    }
}

void kt_kraken_decode_answer(
    const kt_venue_input *input, const kt_ev_request *request, kt_kraken_rows rows, kt_venue_answer *answer)
{
    const kt_json_doc *doc = input->doc;
    const kt_row_instrument *instrument = kt_venue_symbol_find(input->decoder, request->symbol);
    uint32_t result = kt_json_get(doc, 0, KT_TEXT("result")), list = pair_of(doc, result);
    kt_text error = error_of(doc);
    kt_kraken_group group = { 0 };

    if (error.n != 0) { /* with status 200 */
        kt_builder says;

        kt_builder_init(&says, answer->error, sizeof answer->error);
        kt_builder_format(&says, "%.*s", (int)(error.n < 100 ? error.n : 100), error.s);
        answer->rate_limited = kt_text_starts(error, KT_TEXT("EAPI:Rate limit")) ||
                               kt_text_starts(error, KT_TEXT("EGeneral:Too many requests")) ||
                               kt_text_starts(error, KT_TEXT("EService:Throttled"));
        return;
    }
    if (request->what == KT_WHAT_BOOK) {
        answer->row_count = 1;
        answer->invalid_count = !decode_book(input, list, request->symbol);
        return;
    }
    if (request->what == KT_WHAT_INSTRUMENTS && result != 0 && kt_json_kind_of(doc, result) == KT_JSON_OBJECT) {
        decode_pairs(input, result, answer);
        return;
    }
    if (request->what == KT_WHAT_INSTRUMENTS || list == 0 || kt_json_kind_of(doc, list) != KT_JSON_ARRAY) {
        kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, KT_TEXT("result"));
        answer->invalid_count++;
        return;
    }
    kt_json_each (doc, list, item) {
        kt_venue_input row_input = *input;

        row_input.bytes = kt_json_raw(doc, item);
        answer->row_count++;
        answer->invalid_count += request->what == KT_WHAT_CANDLES
                                     ? !decode_candle(&row_input, item, instrument)
                                     : !decode_trade(&row_input, list, item, rows, instrument, &group);
    }
}

/* ---- asking ---- */

static void put_rest_pair(const kt_row_instrument *instrument, kt_builder *out)
{
    char mem[2 * KT_VENUE_SYMBOL_SIZE];
    kt_builder pair;

    kt_builder_init(&pair, mem, sizeof mem);
    kt_kraken_put_old(instrument->symbol, false, &pair);
    kt_venue_url_encode(out, kt_builder_done(&pair));
}

static void put_instruments_url(const kt_venue_decoder *decoder, const kt_row_instrument *instrument, kt_builder *out)
{
    uint32_t count = kt_venue_symbol_count(decoder);

    kt_builder_str(out, "/0/public/AssetPairs");
    if (instrument != NULL) {
        kt_builder_str(out, "?pair=");
        put_rest_pair(instrument, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        kt_builder_str(out, i == 0 ? "?pair=" : ",");
        put_rest_pair(kt_venue_symbol_at(decoder, i), out);
    }
}

void kt_kraken_rest_url(const kt_venue_decoder *decoder, kt_text rest_url, const kt_ev_request *request,
    const kt_row_instrument *instrument, uint32_t limit, kt_builder *out)
{
    static const char *const paths[] = {
        [KT_WHAT_TRADES_BY_TIME] = "/0/public/Trades?pair=",
        [KT_WHAT_RECENT_TRADES] = "/0/public/Trades?pair=",
        [KT_WHAT_BOOK] = "/0/public/Depth?pair=",
        [KT_WHAT_CANDLES] = "/0/public/OHLC?pair=",
    };
    int64_t before = request->from_time > 0 ? request->from_time - 1 : 0; /* `since` is exclusive */

    while (rest_url.n > 0 && rest_url.s[rest_url.n - 1] == '/')
        rest_url.n--;
    kt_builder_text(out, rest_url);
    if (request->what == KT_WHAT_INSTRUMENTS) {
        put_instruments_url(decoder, instrument, out);
        return;
    }
    kt_builder_str(out, paths[request->what]);
    put_rest_pair(instrument, out);
    if (request->what == KT_WHAT_CANDLES) {
        kt_builder_str(out, "&interval=1&since=");
        kt_builder_i64(out, before / KT_NS_PER_S);
        return;
    }
    kt_builder_str(out, "&count=");
    kt_builder_u64(out, request->what == KT_WHAT_BOOK && limit > DEPTH_MAX ? DEPTH_MAX : limit);
    if (request->what == KT_WHAT_TRADES_BY_TIME) {
        kt_builder_str(out, "&since=");
        kt_builder_i64(out, before);
    }
}

void kt_kraken_put_symbols(const kt_venue_decoder *decoder, uint32_t first, uint32_t count, kt_builder *out)
{
    kt_builder_char(out, '[');
    for (uint32_t i = 0; i < count; i++)
        kt_builder_format(
            out, "%s\"%.*s\"", i == 0 ? "" : ",", KT_TEXT_ARG(kt_venue_symbol_at(decoder, first + i)->venue_symbol));
    kt_builder_char(out, ']');
}

bool kt_kraken_say(const kt_venue_decoder *decoder, kt_venue_speech speech, uint32_t part, uint32_t first,
    uint32_t count, kt_builder *out)
{
    kt_kraken_put *put = decoder->format == &kt_venue_kraken_v1 ? kt_kraken_put_v1 : kt_kraken_put_v2;
    static const char *const again[] = { "unsubscribe", "subscribe" };
    const bool wanted[KT_KRAKEN_CHANNEL_COUNT] = { [KT_KRAKEN_TRADES] = true,
        [KT_KRAKEN_BOOK] = decoder->books,
        [KT_KRAKEN_BEST] = decoder->books,
        [KT_KRAKEN_CANDLES] = decoder->candles };

    if (speech == KT_VENUE_BOOKS_AGAIN) {
        if (part < KT_COUNT(again))
            put(decoder, again[part], KT_KRAKEN_BOOK, first, count, out);
        return part < KT_COUNT(again);
    }
    for (kt_kraken_channel channel = 0; channel < KT_KRAKEN_CHANNEL_COUNT; channel++)
        if (wanted[channel] && part-- == 0) {
            put(decoder, "subscribe", channel, first, count, out);
            return true;
        }
    return false;
}
