/* venue/test_sink.h - for tests: a sink that writes down every call as one line of text, so that rows of a table can
 * say what they expect. Messages are decoded from memory that ends at a guard page.
 */
#ifndef KT_VENUE_TEST_SINK_H
#define KT_VENUE_TEST_SINK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/test_util.h"
#include "base/text.h"
#include "venue/decoder.h"

typedef struct kt_told {
    char mem[1 << 16];
    kt_builder text;
    uint32_t ticks, rows, books, tickers, candles, invalids, instruments, others, replies;
} kt_told;

static inline void told_line(kt_told *told)
{
    if (told->text.n != 0)
        kt_builder_char(&told->text, '\n');
}

static inline void told_trade(
    kt_told *told, int64_t time_ns, kt_decimal price, kt_decimal quantity, uint8_t side, kt_text id, uint64_t number)
{
    kt_builder_i64(&told->text, time_ns);
    kt_builder_char(&told->text, ' ');
    kt_builder_decimal(&told->text, price);
    kt_builder_char(&told->text, ' ');
    kt_builder_decimal(&told->text, quantity);
    kt_builder_format(
        &told->text, " %s %.*s %llu", kt_enum_side.values[side], KT_TEXT_ARG(id), (unsigned long long)number);
}

static inline void told_tick(void *ctx, kt_text symbol, const kt_ev_tick *tick)
{
    kt_told *told = ctx;

    told->ticks++;
    told_line(told);
    kt_builder_format(&told->text, "tick %.*s ", KT_TEXT_ARG(symbol));
    told_trade(told, tick->venue_time, tick->price, tick->quantity, tick->side, tick->trade_id, tick->trade_number);
}

static inline void told_row(void *ctx, const kt_row_trade *row)
{
    kt_told *told = ctx;

    told->rows++;
    told_line(told);
    kt_builder_str(&told->text, "row ");
    told_trade(told, row->venue_time, row->price, row->quantity, row->side, row->trade_id, row->trade_number);
}

static inline void told_levels(kt_told *told, const kt_rows *levels)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        kt_builder_char(&told->text, ' ');
        kt_builder_decimal(&told->text, level.price);
        kt_builder_char(&told->text, 'x');
        kt_builder_decimal(&told->text, level.quantity);
    }
}

static inline void told_book(void *ctx, kt_text symbol, const kt_ev_book *book)
{
    kt_told *told = ctx;

    told->books++;
    told_line(told);
    kt_builder_format(&told->text, "%s %.*s %lld %llu-%llu bids", book->snapshot ? "book" : "change",
        KT_TEXT_ARG(symbol), (long long)book->venue_time, (unsigned long long)book->first_id,
        (unsigned long long)book->last_id);
    told_levels(told, &book->bids);
    kt_builder_str(&told->text, " asks");
    told_levels(told, &book->asks);
    if (book->checksum >= 0)
        kt_builder_format(&told->text, " sum %lld over %u and %u digits", (long long)book->checksum, book->price_digits,
            book->quantity_digits);
}

static inline void told_ticker(void *ctx, kt_text symbol, const kt_ev_ticker *ticker)
{
    const kt_row_level sides[] = { { ticker->bid, ticker->bid_quantity }, { ticker->ask, ticker->ask_quantity } };
    kt_told *told = ctx;

    told->tickers++;
    told_line(told);
    kt_builder_format(&told->text, "ticker %.*s %llu", KT_TEXT_ARG(symbol), (unsigned long long)ticker->update_id);
    told_levels(told, &KT_ROWS_OF(sides, 2));
}

static inline void told_candle(void *ctx, kt_text symbol, const kt_ev_candle *candle)
{
    const kt_decimal *const values[] = { &candle->open, &candle->high, &candle->low, &candle->close, &candle->vwap,
        &candle->volume };
    kt_told *told = ctx;

    told->candles++;
    told_line(told);
    kt_builder_format(
        &told->text, "candle %.*s %lld+%us", KT_TEXT_ARG(symbol), (long long)candle->begin, candle->interval_s);
    for (size_t i = 0; i < KT_COUNT(values); i++) {
        kt_builder_char(&told->text, ' ');
        kt_builder_decimal(&told->text, *values[i]);
    }
    kt_builder_format(&told->text, " %llu", (unsigned long long)candle->trades);
}

static inline void told_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    kt_told *told = ctx;

    told->invalids++;
    told_line(told);
    assert_true(invalid->excerpt.n <= KT_VENUE_EXCERPT_SIZE);
    assert_true(kt_utf8_valid(invalid->excerpt));
    kt_builder_format(&told->text, "invalid %s", kt_enum_invalid.values[invalid->reason]);
    if (invalid->field.n != 0)
        kt_builder_format(&told->text, ": %.*s", KT_TEXT_ARG(invalid->field));
}

static inline void told_instrument(void *ctx, const kt_row_instrument *row)
{
    kt_told *told = ctx;

    told->instruments++;
    told_line(told);
    kt_builder_format(&told->text, "instrument %.*s %.*s %.*s %.*s %u %u ", KT_TEXT_ARG(row->symbol),
        KT_TEXT_ARG(row->venue_symbol), KT_TEXT_ARG(row->base), KT_TEXT_ARG(row->quote), row->price_scale,
        row->quantity_scale);
    kt_builder_decimal(&told->text, row->tick);
    kt_builder_char(&told->text, ' ');
    kt_builder_decimal(&told->text, row->lot);
}

static inline void told_other(void *ctx, kt_text kind)
{
    kt_told *told = ctx;

    told->others++;
    told_line(told);
    kt_builder_format(&told->text, "other %.*s", KT_TEXT_ARG(kind));
}

static inline void told_reply(void *ctx, uint64_t id, kt_text error)
{
    kt_told *told = ctx;

    told->replies++;
    told_line(told);
    kt_builder_format(&told->text, "reply %llu %.*s", (unsigned long long)id, KT_TEXT_ARG(error));
}

static inline kt_venue_sink told_start(kt_told *told)
{
    *told = (kt_told){ 0 };
    kt_builder_init(&told->text, told->mem, sizeof told->mem);
    return (kt_venue_sink){ .ctx = told,
        .tick = told_tick,
        .row = told_row,
        .book = told_book,
        .ticker = told_ticker,
        .candle = told_candle,
        .invalid = told_invalid,
        .instrument = told_instrument,
        .other = told_other,
        .reply = told_reply };
}

static inline uint32_t told_calls(const kt_told *told)
{
    return told->ticks + told->rows + told->books + told->tickers + told->candles + told->invalids + told->instruments +
           told->others + told->replies;
}

/* A decoder at the scales of the configuration's defaults that knows `symbols`, separated by blanks. */
static inline kt_venue_decoder *decoder_knowing(const kt_venue_format *format, const char *symbols, uint32_t node_max)
{
    kt_venue_decoder_options options = {
        .format = format, .node_max = node_max, .price_scale = 8, .quantity_scale = 8
    };
    kt_venue_decoder *decoder = NULL;
    kt_text rest = kt_text_of(symbols), symbol;
    kt_err err = { 0 };

    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_OK);
    while (rest.n != 0 && kt_text_cut(&rest, ' ', &symbol))
        if (kt_venue_symbol_add(decoder, symbol, &err) != KT_OK)
            fail_msg("%s", err.msg);
    return decoder;
}

/* Decode a message, and again the long way (venue/decoder.h), which must tell the same. */
static inline void told_message(kt_told *told, kt_venue_decoder *decoder, kt_text bytes)
{
    static kt_told general;
    kt_venue_sink sink = told_start(told);

    kt_venue_decode_message(decoder, bytes, 77, &sink);
    if (bytes.n > KT_VENUE_MESSAGE_MAX)
        return;
    sink = told_start(&general);
    kt_venue_decode_general(
        &(kt_venue_input){ .decoder = decoder, .sink = &sink, .bytes = bytes, .receive_time_ns = 77 });
    assert_string_equal(told->mem, general.mem);
    assert_int_equal(told_calls(told), told_calls(&general));
}

/* A message as a row of a table gives it: `text`, in which the one '#' stands for `times` copies of `part`. */
typedef struct told_case {
    const char *name;
    const char *text;
    const char *expected;
    const char *part;
    uint32_t times;
} told_case;

static inline char *told_expand(const told_case *row, size_t *out_size)
{
    const char *mark = row->part != NULL ? strchr(row->text, '#') : NULL;
    size_t before = mark != NULL ? (size_t)(mark - row->text) : strlen(row->text);
    size_t part = row->part != NULL ? strlen(row->part) : 0;
    size_t size = before + part * row->times + (mark != NULL ? strlen(mark + 1) : 0);
    char *text = malloc(size + 1), *at = text;

    assert_non_null(text);
    memcpy(at, row->text, before);
    at += before;
    for (uint32_t i = 0; mark != NULL && i < row->times; i++, at += part)
        memcpy(at, row->part, part);
    if (mark != NULL)
        strcpy(at, mark + 1);
    else
        *at = '\0';
    *out_size = size;
    return text;
}

static inline uint32_t lines(const char *text)
{
    uint32_t ends = 0;

    for (; *text != '\0'; text++)
        ends += *text == '\n';
    return ends;
}

static inline void told_run(kt_venue_decoder *decoder, const told_case *rows, size_t count)
{
    static kt_told told;
    uint32_t wrong = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        char *text = told_expand(&rows[i], &size);
        char *copy = kt_guard_copy(text, size);

        told_message(&told, decoder, (kt_text){ copy, size });
        if (told_calls(&told) != 1 + lines(rows[i].expected) || strcmp(told.mem, rows[i].expected) != 0) {
            print_error("%s: '%s' instead of '%s'\n", rows[i].name, told.mem, rows[i].expected);
            wrong++;
        }
        kt_guard_free(copy, size);
        free(text);
    }
    assert_int_equal(wrong, 0);
}

#endif
