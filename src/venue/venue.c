#include "venue/venue.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "net/url.h"
#include "venue/decoder.h"

enum { SYMBOL_MAX_DEFAULT = 4096, SYMBOL_MAX_LIMIT = 1 << 20, ARENA_SIZE = 64 << 10, ERROR_BODY_MAX = 64 << 10 };

static const kt_venue_format *const formats[] = { &kt_venue_generic, &kt_venue_binance, &kt_venue_kraken_v1,
    &kt_venue_kraken_v2 };

/* ---- the table of formats ---- */

const kt_venue_format *const *kt_venue_formats(uint32_t *out_count)
{
    *out_count = KT_COUNT(formats);
    return formats;
}

const kt_venue_format *kt_venue_format_of(kt_text name)
{
    for (size_t i = 0; i < KT_COUNT(formats); i++)
        if (kt_text_equal(kt_text_of(formats[i]->name), name))
            return formats[i];
    return NULL;
}

/* ---- the decoder and its symbols ---- */

kt_code kt_venue_decoder_new(const kt_venue_decoder_options *options, kt_venue_decoder **out_decoder, kt_err *err)
{
    kt_code code = KT_OK;
    kt_venue_decoder *decoder = NULL;
    uint32_t symbol_max = options->symbol_max != 0 ? options->symbol_max : SYMBOL_MAX_DEFAULT;
    uint32_t node_max = options->node_max != 0 ? options->node_max : KT_VENUE_NODE_MAX;
    void *arena_mem = NULL;

    if (options->format == NULL)
        return kt_fail(err, KT_ARG, "a venue decoder needs a format, such as binance");
    if (options->price_scale > KT_SCALE_MAX || options->quantity_scale > KT_SCALE_MAX)
        return kt_fail(err, KT_ARG, "price_scale %u and quantity_scale %u: each is 0 to %d", options->price_scale,
            options->quantity_scale, KT_SCALE_MAX);
    if (symbol_max > SYMBOL_MAX_LIMIT)
        return kt_fail(err, KT_ARG, "symbol_max %u: at most %d", symbol_max, SYMBOL_MAX_LIMIT);

    decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for a venue decoder");
        goto out;
    }
    decoder->format = options->format;
    decoder->price_scale = options->price_scale;
    decoder->quantity_scale = options->quantity_scale;
    decoder->node_max = node_max;
    decoder->symbol_max = symbol_max;
    decoder->books = options->books && (options->format->can & (1u << KT_WHAT_BOOK)) != 0;
    decoder->candles = options->candles;
    decoder->levels = malloc(KT_VENUE_LEVEL_MAX * sizeof *decoder->levels);
    decoder->nodes = malloc(node_max * sizeof *decoder->nodes);
    decoder->symbols = malloc(symbol_max * sizeof *decoder->symbols);
    decoder->map_mem[0] = malloc(kt_map_text_mem_size(symbol_max));
    decoder->map_mem[1] = malloc(kt_map_text_mem_size(symbol_max));
    arena_mem = malloc(ARENA_SIZE);
    kt_arena_init(&decoder->arena, arena_mem, arena_mem != NULL ? ARENA_SIZE : 0);
    if (decoder->nodes == NULL || decoder->levels == NULL || decoder->symbols == NULL || decoder->map_mem[0] == NULL ||
        decoder->map_mem[1] == NULL || arena_mem == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for a venue decoder with %u symbols and %u nodes", symbol_max, node_max);
        goto out;
    }
    kt_map_text_init(&decoder->by_symbol, decoder->map_mem[0], symbol_max, 0);
    kt_map_text_init(&decoder->by_venue, decoder->map_mem[1], symbol_max, 0);
    *out_decoder = decoder;
    decoder = NULL;
out:
    kt_venue_decoder_free(decoder);
    return code;
}

void kt_venue_decoder_free(kt_venue_decoder *decoder)
{
    if (decoder == NULL)
        return;
    free(decoder->arena.mem);
    free(decoder->map_mem[0]);
    free(decoder->map_mem[1]);
    free(decoder->symbols);
    free(decoder->levels);
    free(decoder->nodes);
    free(decoder);
}

const kt_venue_format *kt_venue_decoder_format(const kt_venue_decoder *decoder)
{
    return decoder->format;
}

static kt_text keep(char *mem, kt_text text)
{
    if (text.n != 0)
        memcpy(mem, text.s, text.n);
    return (kt_text){ mem, text.n };
}

kt_code kt_venue_instrument_put(kt_venue_decoder *decoder, const kt_row_instrument *instrument, kt_err *err)
{
    uint32_t index = 0, other = 0;
    bool known = kt_map_text_get(&decoder->by_symbol, instrument->symbol, &index) == KT_OK;
    bool venue_known = kt_map_text_get(&decoder->by_venue, instrument->venue_symbol, &other) == KT_OK;
    kt_venue_symbol *symbol = NULL;

    if (instrument->symbol.n == 0 || instrument->venue_symbol.n == 0)
        return kt_fail(err, KT_ARG, "an instrument needs its symbol and the venue's symbol");
    if (instrument->price_scale > KT_SCALE_MAX || instrument->quantity_scale > KT_SCALE_MAX)
        return kt_fail(err, KT_ARG, "%.*s: scales %u and %u: each is 0 to %d", KT_TEXT_ARG(instrument->symbol),
            instrument->price_scale, instrument->quantity_scale, KT_SCALE_MAX);
    if (instrument->symbol.n > KT_VENUE_SYMBOL_SIZE || instrument->venue_symbol.n > KT_VENUE_SYMBOL_SIZE ||
        instrument->base.n > KT_VENUE_SYMBOL_SIZE || instrument->quote.n > KT_VENUE_SYMBOL_SIZE)
        return kt_fail(
            err, KT_RANGE, "symbol '%.60s...' is longer than %d bytes", instrument->symbol.s, KT_VENUE_SYMBOL_SIZE);
    if (known != venue_known || (known && index != other))
        return kt_fail(err, KT_ARG, "%.*s is not what the venue's symbol %.*s stood for until now",
            KT_TEXT_ARG(instrument->symbol), KT_TEXT_ARG(instrument->venue_symbol));
    if (!known && decoder->symbol_count == decoder->symbol_max)
        return kt_fail(err, KT_FULL, "%u symbols are known already: '%.*s' does not fit", decoder->symbol_max,
            KT_TEXT_ARG(instrument->symbol));

    symbol = &decoder->symbols[known ? index : decoder->symbol_count];
    if (!known) {
        symbol->row.symbol = keep(symbol->text[0], instrument->symbol);
        symbol->row.venue_symbol = keep(symbol->text[1], instrument->venue_symbol);
        kt_map_text_put(&decoder->by_symbol, symbol->row.symbol, decoder->symbol_count);
        kt_map_text_put(&decoder->by_venue, symbol->row.venue_symbol, decoder->symbol_count);
        decoder->symbol_count++;
    }
    symbol->row.base = keep(symbol->text[2], instrument->base);
    symbol->row.quote = keep(symbol->text[3], instrument->quote);
    symbol->row.price_scale = instrument->price_scale;
    symbol->row.quantity_scale = instrument->quantity_scale;
    symbol->row.tick = instrument->tick;
    symbol->row.lot = instrument->lot;
    return KT_OK;
}

kt_code kt_venue_symbol_add(kt_venue_decoder *decoder, kt_text symbol, kt_err *err)
{
    char mem[KT_VENUE_SYMBOL_SIZE + 1];
    kt_builder venue_symbol;
    kt_row_instrument row = {
        .symbol = symbol, .price_scale = decoder->price_scale, .quantity_scale = decoder->quantity_scale
    };
    kt_code code;

    if (kt_venue_symbol_find(decoder, symbol) != NULL)
        return KT_OK;
    kt_builder_init(&venue_symbol, mem, sizeof mem);
    code = decoder->format->codec->venue_symbol(symbol, &venue_symbol, &row.base, &row.quote, err);
    if (code != KT_OK)
        return code;
    if (venue_symbol.code != KT_OK)
        return kt_fail(
            err, KT_RANGE, "symbol '%.*s' is longer than %d bytes", KT_TEXT_ARG(symbol), KT_VENUE_SYMBOL_SIZE);
    row.venue_symbol = kt_builder_done(&venue_symbol);
    return kt_venue_instrument_put(decoder, &row, err);
}

static const kt_row_instrument *find(const kt_venue_decoder *decoder, const kt_map_text *map, kt_text key)
{
    uint32_t index = 0;

    return kt_map_text_get(map, key, &index) == KT_OK ? &decoder->symbols[index].row : NULL;
}

const kt_row_instrument *kt_venue_symbol_find(const kt_venue_decoder *decoder, kt_text symbol)
{
    return find(decoder, &decoder->by_symbol, symbol);
}

const kt_row_instrument *kt_venue_symbol_find_venue(const kt_venue_decoder *decoder, kt_text venue_symbol)
{
    return find(decoder, &decoder->by_venue, venue_symbol);
}

uint32_t kt_venue_symbol_count(const kt_venue_decoder *decoder)
{
    return decoder->symbol_count;
}

const kt_row_instrument *kt_venue_symbol_at(const kt_venue_decoder *decoder, uint32_t index)
{
    kt_assert(index < decoder->symbol_count);
    return &decoder->symbols[index].row;
}

/* ---- refusing ---- */

/* Length of the UTF-8 character at `at`, 0 when there is none. */
static size_t character_size(kt_text text, size_t at)
{
    for (size_t size = 1; size <= 4 && at + size <= text.n; size++)
        if (kt_utf8_valid((kt_text){ text.s + at, size }))
            return size;
    return 0;
}

/* The start of the message, fit for a record and a screen: whole characters, `?` for what is none. */
static kt_text excerpt(kt_text bytes, char *out)
{
    size_t n = 0;

    for (size_t at = 0; at < bytes.n && n < KT_VENUE_EXCERPT_SIZE;) {
        size_t size = character_size(bytes, at);
        unsigned char c = (unsigned char)bytes.s[at];

        if (n + size > KT_VENUE_EXCERPT_SIZE)
            break;
        if (size == 0 || c < 32 || c == 127) {
            out[n++] = '?';
            at++;
            continue;
        }
        memcpy(out + n, bytes.s + at, size);
        n += size;
        at += size;
    }
    return (kt_text){ out, n };
}

void kt_venue_refuse(const kt_venue_input *input, kt_invalid reason, kt_text field)
{
    char text[KT_VENUE_EXCERPT_SIZE];
    kt_ev_invalid invalid;

    if (input->sink->invalid == NULL)
        return;
    kt_event_init(KT_EV_INVALID, &invalid);
    invalid.receive_time = input->receive_time_ns;
    invalid.reason = reason;
    invalid.field = field;
    invalid.excerpt = excerpt(input->bytes, text);
    invalid.size = input->bytes.n;
    input->sink->invalid(input->sink->ctx, &invalid);
}

static const struct {
    kt_code code;
    kt_invalid reason;
} reasons[] = {
    { KT_SYNTAX, KT_INVALID_MALFORMED },
    { KT_LIMIT, KT_INVALID_MALFORMED }, /* nested too deep */
    { KT_FULL, KT_INVALID_OVERSIZED },
    { KT_NOENT, KT_INVALID_MISSING_FIELD },
    { KT_TYPE, KT_INVALID_WRONG_TYPE },
    { KT_TWICE, KT_INVALID_DUPLICATE_FIELD },
    { KT_RANGE, KT_INVALID_OUT_OF_RANGE },
};

void kt_venue_refuse_code(const kt_venue_input *input, kt_code code, const kt_json_found *found)
{
    kt_invalid reason = KT_INVALID_OTHER;

    for (size_t i = 0; i < KT_COUNT(reasons); i++)
        if (reasons[i].code == code)
            reason = reasons[i].reason;
    kt_venue_refuse(input, reason, kt_text_of(found != NULL ? found->field : NULL));
}

bool kt_venue_trade_check(const kt_venue_input *input, const kt_row_trade *trade, const kt_row_instrument *instrument,
    const kt_venue_names *names)
{
    const kt_venue_decoder *decoder = input->decoder;
    uint8_t price_scale = instrument != NULL ? instrument->price_scale : decoder->price_scale;
    uint8_t quantity_scale = instrument != NULL ? instrument->quantity_scale : decoder->quantity_scale;
    int64_t m = 0;
    const struct {
        bool good;
        kt_invalid reason;
        const kt_text *field;
    } rules[] = {
        { trade->venue_time > 0, KT_INVALID_NOT_POSITIVE, &names->time },
        { trade->price.m > 0, KT_INVALID_NOT_POSITIVE, &names->price },
        { trade->quantity.m > 0, KT_INVALID_NOT_POSITIVE, &names->quantity },
        { kt_decimal_rescale(trade->price, price_scale, &m) == KT_OK, KT_INVALID_OUT_OF_RANGE, &names->price },
        { kt_decimal_rescale(trade->quantity, quantity_scale, &m) == KT_OK, KT_INVALID_OUT_OF_RANGE, &names->quantity },
        { trade->trade_id.n >= 1 && trade->trade_id.n <= KT_VENUE_TRADE_ID_SIZE, KT_INVALID_OUT_OF_RANGE, &names->id },
    };

    for (size_t i = 0; i < KT_COUNT(rules); i++)
        if (!rules[i].good) {
            kt_venue_refuse(input, rules[i].reason, *rules[i].field);
            return false;
        }
    return true;
}

bool kt_venue_levels_read(const kt_venue_input *input, uint32_t array, kt_text field, kt_json_pairs *levels)
{
    const kt_json_doc *doc = input->doc;

    kt_json_each (doc, array, item) {
        uint32_t price = kt_json_at(doc, item, 0), quantity = kt_json_at(doc, item, 1);
        kt_code code = KT_FULL;

        if (price == 0 || quantity == 0) {
            kt_venue_refuse(input, KT_INVALID_WRONG_TYPE, field);
            return false;
        }
        if (levels->count < levels->max)
            code = kt_json_decimal_text(doc, price, &levels->at[levels->count][0]);
        if (code == KT_OK)
            code = kt_json_decimal_text(doc, quantity, &levels->at[levels->count][1]);
        if (code != KT_OK) {
            kt_venue_refuse_code(input, code, &(kt_json_found){ .field = field.s });
            return false;
        }
        levels->count++;
    }
    return true;
}

/* No scales here: an order that is older than a change of the instrument's lot keeps its digits. */
bool kt_venue_level_check(
    const kt_venue_input *input, kt_decimal price, kt_decimal quantity, bool may_lack, kt_text field)
{
    bool good = price.m >= !may_lack && quantity.m >= 0;

    if (!good)
        kt_venue_refuse(input, KT_INVALID_NOT_POSITIVE, field);
    return good;
}

bool kt_venue_levels_check(const kt_venue_input *input, const kt_json_pairs *levels, kt_text field)
{
    for (uint32_t i = 0; i < levels->count; i++)
        if (!kt_venue_level_check(input, levels->at[i][0], levels->at[i][1], false, field))
            return false;
    return true;
}

bool kt_venue_book_answer(
    const kt_venue_input *input, kt_text symbol, uint32_t bids_node, uint32_t asks_node, uint64_t last_id)
{
    kt_json_pairs bids = { .at = input->decoder->levels, .max = KT_VENUE_LEVEL_MAX }, asks;
    kt_ev_book book;

    if (!kt_venue_levels_read(input, bids_node, KT_TEXT("bids"), &bids))
        return false;
    asks = kt_json_pairs_behind(&bids);
    if (!kt_venue_levels_read(input, asks_node, KT_TEXT("asks"), &asks) ||
        !kt_venue_levels_check(input, &bids, KT_TEXT("bids")) || !kt_venue_levels_check(input, &asks, KT_TEXT("asks")))
        return false;
    kt_event_init(KT_EV_BOOK, &book);
    book.receive_time = input->receive_time_ns;
    book.snapshot = true;
    book.last_id = last_id;
    book.bids = KT_ROWS_OF(bids.at, bids.count);
    book.asks = KT_ROWS_OF(asks.at, asks.count);
    if (input->sink->book != NULL)
        input->sink->book(input->sink->ctx, symbol, &book);
    return true;
}

void kt_venue_tick(const kt_venue_input *input, kt_text symbol, const kt_row_trade *trade)
{
    kt_ev_tick tick;

    if (input->sink->tick == NULL)
        return;
    kt_event_init(KT_EV_TICK, &tick);
    tick.venue_time = trade->venue_time;
    tick.receive_time = input->receive_time_ns;
    tick.price = trade->price;
    tick.quantity = trade->quantity;
    tick.side = trade->side;
    tick.trade_id = trade->trade_id;
    tick.trade_number = trade->trade_number;
    input->sink->tick(input->sink->ctx, symbol, &tick);
}

/* ---- decoding ---- */

void kt_venue_decode_general(const kt_venue_input *input)
{
    kt_venue_decoder *decoder = input->decoder;
    kt_venue_input parsed = *input;
    kt_json_doc doc;
    kt_code code = kt_json_parse(input->bytes, decoder->nodes, decoder->node_max, &doc, NULL);

    if (code != KT_OK) {
        kt_venue_refuse_code(input, code, NULL);
        return;
    }
    parsed.doc = &doc;
    decoder->format->codec->decode_message(&parsed);
}

void kt_venue_decode_message(
    kt_venue_decoder *decoder, kt_text bytes, int64_t receive_time_ns, const kt_venue_sink *sink)
{
    const kt_venue_codec *codec = decoder->format->codec;
    kt_venue_input input = { .decoder = decoder, .sink = sink, .bytes = bytes, .receive_time_ns = receive_time_ns };

    kt_arena_reset(&decoder->arena);
    if (bytes.n > KT_VENUE_MESSAGE_MAX)
        kt_venue_refuse(&input, KT_INVALID_OVERSIZED, KT_TEXT(""));
    /* what is long enough to have too many values is left to the reader that counts them */
    else if (codec->scan_message == NULL || bytes.n / 2 >= decoder->node_max || !codec->scan_message(&input))
        kt_venue_decode_general(&input);
}

static uint32_t limit_of(const kt_venue_format *format, const kt_ev_request *request)
{
    return request->limit == 0 || request->limit > format->row_max ? format->row_max : request->limit;
}

void kt_venue_decode_answer(kt_venue_decoder *decoder, const kt_ev_request *request, uint16_t status, kt_text body,
    int64_t receive_time_ns, const kt_venue_sink *sink, kt_venue_answer *out_answer)
{
    const kt_venue_codec *codec = decoder->format->codec;
    kt_json_doc doc;
    kt_venue_input input = {
        .decoder = decoder, .sink = sink, .doc = &doc, .bytes = body, .receive_time_ns = receive_time_ns
    };
    bool good = status >= 200 && status <= 299;
    kt_builder error;
    kt_code code = KT_OK;

    *out_answer = (kt_venue_answer){ .rate_limited = status == 429 || status == 418 };
    kt_builder_init(&error, out_answer->error, sizeof out_answer->error);
    kt_arena_reset(&decoder->arena);
    if (status == 0) {
        kt_builder_str(&error, "no answer came");
        return;
    }
    if (body.n > (good ? KT_VENUE_ANSWER_MAX : ERROR_BODY_MAX))
        code = KT_FULL;
    else
        code = kt_json_parse(body, decoder->nodes, decoder->node_max, &doc, NULL);
    if (good && code == KT_OK) {
        codec->decode_answer(&input, request, out_answer);
        out_answer->full =
            request->what != KT_WHAT_INSTRUMENTS && out_answer->row_count >= limit_of(decoder->format, request);
    } else if (good) {
        kt_venue_refuse_code(&input, code, NULL);
        out_answer->invalid_count = 1;
        kt_builder_str(&error, code == KT_FULL ? "the answer is too large" : "the answer is not JSON");
    } else {
        kt_builder_format(&error, "status %u", status);
        if (code == KT_OK)
            codec->error_text(&input, &error);
    }
}

/* ---- asking ---- */

static kt_code finish(const kt_builder *builder, const char *what, kt_err *err)
{
    return builder->code == KT_OK ? KT_OK
                                  : kt_fail(err, KT_FULL, "%s is longer than %zu bytes", what, builder->size - 1);
}

kt_code kt_venue_stream_url(const kt_venue_decoder *decoder, const char *ws_url, uint32_t first, uint32_t count,
    char *out, size_t size, kt_err *err)
{
    kt_builder builder;

    kt_assert(first + count <= decoder->symbol_count);
    kt_builder_init(&builder, out, size);
    decoder->format->codec->stream_url(decoder, kt_text_of(ws_url), first, count, &builder);
    return finish(&builder, "the address of the stream", err);
}

kt_code kt_venue_say(const kt_venue_decoder *decoder, kt_venue_speech speech, uint32_t part, uint32_t first,
    uint32_t count, char *out, size_t size, kt_err *err)
{
    const kt_venue_codec *codec = decoder->format->codec;
    kt_builder builder;

    kt_assert(first + count <= decoder->symbol_count);
    kt_builder_init(&builder, out, size);
    if (codec->say == NULL || !codec->say(decoder, speech, part, first, count, &builder))
        return KT_NOENT;
    return finish(&builder, "the message", err);
}

uint32_t kt_venue_stream_symbol_max(const kt_venue_decoder *decoder)
{
    const kt_venue_limits *limits = &decoder->format->limits;

    if (limits->stream_max == 0)
        return UINT32_MAX;
    return decoder->books ? limits->stream_max / limits->book_streams : limits->stream_max;
}

/* The generic cell rate algorithm: *state is when all that was opened would have been opened at an even pace. */
int64_t kt_venue_connect_wait_ns(const kt_venue_limits *limits, int64_t *state, int64_t now_ns)
{
    if (limits->connection_max == 0)
        return 0;
    int64_t gap_ns = 2 * (int64_t)limits->connection_span_s * KT_NS_PER_S / limits->connection_max;
    int64_t ahead_ns = gap_ns * (limits->connection_max / 2 - 1);
    int64_t even_ns = *state > now_ns ? *state : now_ns;
    if (even_ns - now_ns > ahead_ns)
        return even_ns - now_ns - ahead_ns;
    *state = even_ns + gap_ns;
    return 0;
}

kt_code kt_venue_subscribe(
    const kt_venue_decoder *decoder, uint64_t message_id, kt_text symbol, char *out, size_t size, kt_err *err)
{
    const kt_row_instrument *instrument = kt_venue_symbol_find(decoder, symbol);
    kt_builder builder;

    if (decoder->format->codec->subscribe == NULL)
        return kt_fail(err, KT_ARG, "in the format %s nothing is subscribed: everything comes", decoder->format->name);
    if (instrument == NULL)
        return kt_fail(err, KT_NOENT, "unknown symbol '%.*s'", KT_TEXT_ARG(symbol));
    kt_builder_init(&builder, out, size);
    decoder->format->codec->subscribe(decoder, message_id, instrument, &builder);
    return finish(&builder, "the message", err);
}

kt_code kt_venue_rest_url(const kt_venue_decoder *decoder, const char *rest_url, const kt_ev_request *request,
    char *out, size_t size, kt_err *err)
{
    const kt_venue_format *format = decoder->format;
    const kt_row_instrument *instrument = kt_venue_symbol_find(decoder, request->symbol);
    kt_builder builder;

    if (request->what >= 32 || (format->can & (1u << request->what)) == 0)
        return kt_fail(err, KT_ARG, "the format %s can not answer request %u", format->name, request->what);
    if (instrument == NULL && !format->open && !(request->what == KT_WHAT_INSTRUMENTS && request->symbol.n == 0))
        return kt_fail(err, KT_NOENT, "unknown symbol '%.*s'", KT_TEXT_ARG(request->symbol));
    kt_builder_init(&builder, out, size);
    format->codec->rest_url(decoder, kt_text_of(rest_url), request, instrument, limit_of(format, request), &builder);
    return finish(&builder, "the address of the request", err);
}

void kt_venue_url_encode(kt_builder *out, kt_text text)
{
    size_t room = out->size - out->n;
    size_t size = out->code == KT_OK ? kt_url_encode(out->s + out->n, room, text) : room;

    if (size >= room)
        out->code = KT_FULL;
    else
        out->n += size;
}
