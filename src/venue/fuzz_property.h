/* venue/fuzz_property.h - what holds for any bytes given to any decoder; for fuzz targets only.
 *
 *   - a message is told to the sink in one call, or in several where it may hold several trades; in the same ones whether it
 *     is scanned or read the long way
 *   - a tick keeps the promises of venue.h, and the only one of a message, written again the way the venue writes it
 *     (venue/sim/wire.h), decodes to the same tick
 *   - the rows of an answer are told or counted as invalid, each once
 */
#ifndef KT_VENUE_FUZZ_PROPERTY_H
#define KT_VENUE_FUZZ_PROPERTY_H

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "venue/sim/wire.h"
#include "venue/decoder.h"

typedef struct fuzz_told {
    uint32_t calls, rows, books, candles, invalids, instruments;
    bool is_tick;
    uint64_t hash; /* of what was told */
    kt_ev_tick tick;
    char symbol[KT_VENUE_SYMBOL_SIZE];
    size_t symbol_size;
    char id[KT_VENUE_TRADE_ID_SIZE];
} fuzz_told;

static void fuzz_hash(fuzz_told *told, uint16_t kind, kt_text symbol, const void *event)
{
    static uint8_t payload[1 << 20];
    uint32_t size = 0;

    kt_assert(kt_event_encode(kind, event, payload, sizeof payload, &size) == KT_OK);
    told->hash = kt_hash64(payload, size, kt_hash64(symbol.s, symbol.n, told->hash + kind));
}

static void fuzz_tick(void *ctx, kt_text symbol, const kt_ev_tick *tick)
{
    fuzz_told *told = ctx;
    int64_t m = 0;

    kt_assert(tick->venue_time > 0);
    kt_assert(tick->price.m > 0 && tick->quantity.m > 0);
    kt_assert(kt_decimal_rescale(tick->price, 8, &m) == KT_OK);
    kt_assert(kt_decimal_rescale(tick->quantity, 8, &m) == KT_OK);
    kt_assert(tick->trade_id.n >= 1 && tick->trade_id.n <= sizeof told->id);
    kt_assert(symbol.n >= 1 && symbol.n <= sizeof told->symbol);
    told->calls++;
    told->is_tick = true;
    fuzz_hash(told, KT_EV_TICK, symbol, tick);
    told->tick = *tick;
    memcpy(told->id, tick->trade_id.s, tick->trade_id.n);
    told->tick.trade_id.s = told->id;
    memcpy(told->symbol, symbol.s, symbol.n);
    told->symbol_size = symbol.n;
}

static void fuzz_book(void *ctx, kt_text symbol, const kt_ev_book *book)
{
    fuzz_told *told = ctx;
    const kt_rows *const sides[] = { &book->bids, &book->asks };
    kt_row_level level;

    kt_assert(book->first_id <= book->last_id);
    kt_assert(book->bids.count + book->asks.count <= KT_VENUE_LEVEL_MAX);
    for (size_t side = 0; side < 2; side++)
        for (uint32_t i = 0; i < sides[side]->count; i++) {
            kt_rows_get(&kt_row_table_level, sides[side], i, &level);
            kt_assert(level.price.m > 0 && level.quantity.m >= 0);
        }
    told->calls++;
    told->books++;
    fuzz_hash(told, KT_EV_BOOK, symbol, book);
}

static void fuzz_ticker(void *ctx, kt_text symbol, const kt_ev_ticker *ticker)
{
    fuzz_told *told = ctx;

    kt_assert(ticker->bid.m >= 0 && ticker->ask.m >= 0 && ticker->bid_quantity.m >= 0 && ticker->ask_quantity.m >= 0);
    told->calls++;
    fuzz_hash(told, KT_EV_TICKER, symbol, ticker);
}

static void fuzz_candle(void *ctx, kt_text symbol, const kt_ev_candle *candle)
{
    kt_assert(candle->interval_s != 0);
    ((fuzz_told *)ctx)->calls++;
    ((fuzz_told *)ctx)->candles++;
    fuzz_hash(ctx, KT_EV_CANDLE, symbol, candle);
}

static void fuzz_row(void *ctx, const kt_row_trade *row)
{
    ((fuzz_told *)ctx)->rows++;
}

static void fuzz_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    kt_assert(kt_utf8_valid(invalid->excerpt) && invalid->excerpt.n <= KT_VENUE_EXCERPT_SIZE);
    ((fuzz_told *)ctx)->calls++;
    ((fuzz_told *)ctx)->invalids++;
    fuzz_hash(ctx, KT_EV_INVALID, KT_TEXT(""), invalid);
}

static void fuzz_instrument(void *ctx, const kt_row_instrument *row)
{
    ((fuzz_told *)ctx)->instruments++;
}

static void fuzz_other(void *ctx, kt_text kind)
{
    ((fuzz_told *)ctx)->calls++;
}

static void fuzz_reply(void *ctx, uint64_t id, kt_text error)
{
    ((fuzz_told *)ctx)->calls++;
}

static kt_venue_sink fuzz_sink(fuzz_told *told)
{
    *told = (fuzz_told){ 0 };
    return (kt_venue_sink){ .ctx = told,
        .tick = fuzz_tick,
        .row = fuzz_row,
        .book = fuzz_book,
        .ticker = fuzz_ticker,
        .candle = fuzz_candle,
        .invalid = fuzz_invalid,
        .instrument = fuzz_instrument,
        .other = fuzz_other,
        .reply = fuzz_reply };
}

static kt_venue_decoder *fuzz_decoder(const kt_venue_format *format, const char *symbol)
{
    kt_venue_decoder_options options = {
        .format = format, .symbol_max = 64, .node_max = 4096, .price_scale = 8, .quantity_scale = 8
    };
    kt_venue_decoder *decoder = NULL;

    if (kt_venue_decoder_new(&options, &decoder, NULL) != KT_OK ||
        kt_venue_symbol_add(decoder, kt_text_of(symbol), NULL) != KT_OK)
        abort();
    return decoder;
}

static void fuzz_message(kt_venue_decoder *decoder, kt_text bytes)
{
    const kt_venue_format *format = kt_venue_decoder_format(decoder);
    char mem[KT_SIM_EVENT_SIZE];
    fuzz_told told, again;
    kt_venue_sink sink = fuzz_sink(&told);
    kt_builder event;

    kt_venue_decode_message(decoder, bytes, 5, &sink);
    kt_assert(told.calls == 1 || (told.calls > 1 && format->books.streamed));
    if (bytes.n <= KT_VENUE_MESSAGE_MAX) {
        sink = fuzz_sink(&again);
        kt_venue_decode_general(
            &(kt_venue_input){ .decoder = decoder, .sink = &sink, .bytes = bytes, .receive_time_ns = 5 });
        kt_assert(again.calls == told.calls && again.is_tick == told.is_tick && again.hash == told.hash);
    }
    if (!told.is_tick || told.calls != 1)
        return;
    kt_text symbol = { told.symbol, told.symbol_size };
    const kt_row_instrument *known = kt_venue_symbol_find(decoder, symbol);
    kt_row_instrument spelled = { .symbol = symbol, .venue_symbol = known != NULL ? known->venue_symbol : symbol };
    kt_row_trade trade = { .venue_time = told.tick.venue_time,
        .price = told.tick.price,
        .quantity = told.tick.quantity,
        .side = told.tick.side,
        .trade_id = told.tick.trade_id,
        .trade_number = told.tick.trade_number };

    kt_builder_init(&event, mem, sizeof mem);
    kt_sim_wire_of(format)->write_trade(&spelled, &trade, NULL, &event);
    kt_assert(event.code == KT_OK);
    sink = fuzz_sink(&again);
    kt_venue_decode_message(decoder, kt_builder_done(&event), 5, &sink);
    kt_assert(again.is_tick);
    kt_assert(kt_table_equal(&kt_event_by_kind(KT_EV_TICK)->table, &told.tick, &again.tick));
    kt_assert(again.symbol_size == told.symbol_size && memcmp(again.symbol, told.symbol, told.symbol_size) == 0);
}

static void fuzz_answer(kt_venue_decoder *decoder, kt_what what, const char *symbol, kt_text bytes)
{
    kt_ev_request request = { .what = what, .symbol = kt_text_of(symbol) };
    kt_venue_answer answer;
    fuzz_told told;
    kt_venue_sink sink = fuzz_sink(&told);

    kt_venue_decode_answer(decoder, &request, 200, bytes, 5, &sink, &answer);
    kt_assert(told.invalids == answer.invalid_count);
    kt_assert(what != KT_WHAT_BOOK || told.books + told.invalids == 1 || answer.error[0] != '\0');
    kt_assert(what == KT_WHAT_INSTRUMENTS || what == KT_WHAT_BOOK || answer.row_count == 0 ||
              told.rows + told.candles + told.invalids == answer.row_count);
    kt_assert(told.instruments <= answer.row_count);
    kt_venue_decode_answer(decoder, &request, 400, bytes, 5, &sink, &answer);
    kt_assert(answer.row_count == 0 && answer.error[0] != '\0');
}

#endif
