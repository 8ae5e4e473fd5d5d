/* venue/venue.h - what a venue says and how it is asked: bytes in, plain structs out.
 *
 * A venue format is one row of a table (kt_venue_format_of) and one file (generic.c, binance.c). It decodes stream
 * messages and REST answers, and spells the URLs and messages that ask for them. It opens no socket, reads no clock and
 * keeps nothing between two messages but the table of symbols, so the same bytes give the same calls of the sink for ever.
 *
 * Formats  generic   one trade a message, REST by start time, at most 100 rows (reference/contracts.md section 1)
 *          binance   Binance spot: single and combined trade streams, REST by id, instruments from exchangeInfo
 * Numbers  prices and quantities are read digit by digit from the text (JSON numbers and strings alike), trailing zeros
 *          dropped; both are greater than 0 and fit the instrument's scale exactly: kt_decimal_rescale of a tick to
 *          the instrument's scale never fails.
 * Time     ns since 1970 UTC, greater than 0. Ids keep every digit.
 * Bad      never an error of the decoder: it is told to `invalid` with what was wrong in which field, and counted.
 * Bounds   KT_VENUE_MESSAGE_MAX, KT_VENUE_ANSWER_MAX, KT_VENUE_NODE_MAX: what is larger is `oversized`.
 * Cost     one pass of the JSON reader; no allocation after kt_venue_decoder_new.
 */
#ifndef KT_VENUE_VENUE_H
#define KT_VENUE_VENUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/decimal.h"
#include "base/error.h"
#include "base/types.h"

#define KT_VENUE_SYMBOL_SIZE 64           /* bytes of a symbol in either spelling, at most */
#define KT_VENUE_TRADE_ID_SIZE 128        /* bytes of a trade id, at most */
#define KT_VENUE_EXCERPT_SIZE 200         /* bytes of a refused message that are passed on */
#define KT_VENUE_MESSAGE_MAX (64u << 10)  /* bytes of one stream message */
#define KT_VENUE_ANSWER_MAX (32u << 20)   /* bytes of one REST answer: a whole exchangeInfo has about 10 MB */
#define KT_VENUE_NODE_MAX (128u << 10)    /* JSON values of one message or answer: 1,000 trades need about 15,000 */

/* Who took: the side of the aggressor. Values are those of the schema's `side`. */
typedef enum kt_venue_side { KT_VENUE_SIDE_UNKNOWN, KT_VENUE_SIDE_BUY, KT_VENUE_SIDE_SELL } kt_venue_side;

/* Why a message or a row was refused, in the order of the schema's `invalid.reason`. */
#define KT_VENUE_REASON_MAP(X)                                                                    \
    X(MALFORMED, "malformed", "not JSON as RFC 8259 has it, cut short, or nested too deep")       \
    X(MISSING_FIELD, "missing field", "a field that every trade has is not there")                \
    X(WRONG_TYPE, "wrong type", "a field has another JSON type than the format says")             \
    X(DUPLICATE_FIELD, "duplicate field", "a known field is given twice")                         \
    X(NOT_POSITIVE, "not positive", "price, quantity or time is zero or negative")                \
    X(OUT_OF_RANGE, "out of range", "a number does not fit 64 bits with the instrument's scale, or a text is too long") \
    X(UNKNOWN_SYMBOL, "unknown symbol", "a symbol that was never asked for")                      \
    X(OVERSIZED, "oversized", "more bytes or values than one message may have")

#define X(name, text, help) KT_VENUE_##name,
typedef enum kt_venue_reason { KT_VENUE_REASON_MAP(X) KT_VENUE_REASON_COUNT } kt_venue_reason;
#undef X

/* "missing field" for KT_VENUE_MISSING_FIELD; never NULL. */
const char *kt_venue_reason_text(kt_venue_reason reason);

/* One trade as the venue said it. Texts are borrowed until the sink returns. */
typedef struct kt_venue_tick {
    kt_text symbol;          /* as ccxt spells it: BTC/USDT; in the generic format the ticker itself */
    int64_t venue_time_ns;   /* when the venue says it happened */
    int64_t receive_time_ns; /* as given to the decoder */
    kt_decimal price;
    kt_decimal quantity;
    kt_venue_side side;
    kt_text trade_id;      /* at most KT_VENUE_TRADE_ID_SIZE bytes, never empty */
    uint64_t trade_number; /* the same as a number where the venue numbers its trades; 0 where it does not */
} kt_venue_tick;

/* One message (or one row of an answer) that was refused. Texts are borrowed until the sink returns. */
typedef struct kt_venue_invalid {
    kt_venue_reason reason;
    kt_text field;           /* the venue's name of the field; empty when the whole message is meant */
    kt_text excerpt;         /* its first bytes, at most KT_VENUE_EXCERPT_SIZE, cut between UTF-8 characters */
    uint32_t size;           /* bytes of the message */
    int64_t receive_time_ns;
} kt_venue_invalid;

/* What is traded. The decoder copies what it keeps. */
typedef struct kt_venue_instrument {
    kt_text symbol;         /* BTC/USDT */
    kt_text venue_symbol;   /* BTCUSDT */
    kt_text base;           /* BTC; empty where the venue does not say */
    kt_text quote;          /* USDT; likewise */
    uint8_t price_scale;    /* digits after the point that a price may have: of tick where it is known */
    uint8_t quantity_scale; /* the same for quantities, of lot */
    kt_decimal tick;        /* smallest step of a price; m is 0 where unknown */
    kt_decimal lot;         /* smallest step of a quantity; m is 0 where unknown */
} kt_venue_instrument;

/* Where decoded things go. A NULL function is skipped. The calls come in the order of the bytes. */
typedef struct kt_venue_sink {
    void *ctx;
    void (*tick)(void *ctx, const kt_venue_tick *tick);
    void (*invalid)(void *ctx, const kt_venue_invalid *invalid);
    void (*instrument)(void *ctx, const kt_venue_instrument *instrument);
    /* A well-formed message that is none of ours, with the venue's name for it ("aggTrade", "serverShutdown"). */
    void (*other)(void *ctx, kt_text kind);
    /* The venue's answer to a message of ours: `error` is empty when it agreed. */
    void (*reply)(void *ctx, uint64_t message_id, kt_text error);
} kt_venue_sink;

/* What can be asked over REST, in the order of the schema's `request.what`. */
typedef enum kt_venue_what {
    KT_VENUE_INSTRUMENTS,    /* symbols with their scales; `symbol` empty: all that the decoder knows */
    KT_VENUE_TRADES_BY_TIME, /* trades with time >= from_time_ns */
    KT_VENUE_TRADES_BY_ID,   /* trades with trade_number >= from_id, in its order */
    KT_VENUE_RECENT_TRADES,  /* the newest trades */
    KT_VENUE_WHAT_COUNT
} kt_venue_what;

typedef struct kt_venue_request {
    kt_venue_what what;
    kt_text symbol; /* as ccxt spells it */
    int64_t from_time_ns;
    uint64_t from_id;
    uint32_t limit; /* rows; 0 or more than the format's row_max: row_max */
} kt_venue_request;

/* What became of a request, beside the rows that went to the sink. */
typedef struct kt_venue_answer {
    uint32_t row_count;     /* rows that went to `tick` or `instrument` */
    uint32_t invalid_count; /* rows (or the body, when it is no list of rows at all) that went to `invalid` */
    bool full;              /* the answer holds as many rows as were asked for: there may be more */
    bool rate_limited;      /* wait as long as the Retry-After header says before the next request */
    char error[160];        /* the venue's own words, "-1121: Invalid symbol."; empty when it answered with rows */
} kt_venue_answer;

typedef struct kt_venue_decoder kt_venue_decoder;

/* One format. `can` has a bit 1 << what for each kind of request that the venue answers. */
typedef struct kt_venue_format {
    const char *name;       /* as in the configuration: "generic", "binance" */
    uint32_t can;           /* bits 1 << kt_venue_what */
    uint32_t row_max;       /* trades of one answer, at most */
    bool numbered;          /* trades have numbers 1, 2, 3 ... without gaps, per symbol; otherwise order is by time */
    bool open;              /* symbols that nobody asked for come too, and are accepted */
    void (*decode_message)(kt_venue_decoder *decoder, kt_text bytes, int64_t receive_time_ns, const kt_venue_sink *sink);
    void (*decode_answer)(kt_venue_decoder *decoder, const kt_venue_request *request, uint16_t status, kt_text body,
        int64_t receive_time_ns, const kt_venue_sink *sink, kt_venue_answer *answer);
    kt_code (*stream_url)(const kt_venue_decoder *decoder, const char *ws_url, char *out, size_t size, kt_err *err);
    kt_code (*subscribe)(
        const kt_venue_decoder *decoder, uint64_t message_id, kt_text symbol, char *out, size_t size, kt_err *err);
    kt_code (*rest_url)(const kt_venue_decoder *decoder, const char *rest_url, const kt_venue_request *request, char *out,
        size_t size, kt_err *err);
} kt_venue_format;

/* The format of that name, or NULL. `kt_venue_formats` lists them all. */
const kt_venue_format *kt_venue_format_of(kt_text name);
const kt_venue_format *const *kt_venue_formats(uint32_t *out_count);

typedef struct kt_venue_decoder_options {
    const kt_venue_format *format;
    uint32_t symbol_max;    /* 0: 4,096 */
    uint32_t node_max;      /* 0: KT_VENUE_NODE_MAX */
    uint8_t price_scale;    /* of symbols whose instrument is not known yet (and of all in the generic format), 0 to 18 */
    uint8_t quantity_scale; /* likewise */
} kt_venue_decoder_options;

/* A decoder with its table of symbols and its scratch memory. KT_ARG names the option that is wrong; KT_SYS: no memory. */
kt_code kt_venue_decoder_new(const kt_venue_decoder_options *options, kt_venue_decoder **out_decoder, kt_err *err);
void kt_venue_decoder_free(kt_venue_decoder *decoder);
const kt_venue_format *kt_venue_decoder_format(const kt_venue_decoder *decoder);

/* Make a configured symbol known by its ccxt spelling, with the scales of the options until its instrument arrives. Known
 * already: nothing changes. KT_SYNTAX: binance needs BASE/QUOTE; KT_RANGE: longer than KT_VENUE_SYMBOL_SIZE; KT_FULL. */
kt_code kt_venue_symbol_add(kt_venue_decoder *decoder, kt_text symbol, kt_err *err);

/* Learn an instrument (from `sink.instrument`, or from the log after a restart): adds it or replaces what was known.
 * KT_ARG: an empty symbol or a scale beyond 18; KT_RANGE and KT_FULL as above. */
kt_code kt_venue_instrument_put(kt_venue_decoder *decoder, const kt_venue_instrument *instrument, kt_err *err);

/* What is known of a symbol in either spelling, or NULL. Valid until the next put of the same symbol. Known symbols
 * are numbered 0 .. count - 1 in the order they came. */
const kt_venue_instrument *kt_venue_symbol_find(const kt_venue_decoder *decoder, kt_text symbol);
const kt_venue_instrument *kt_venue_symbol_find_venue(const kt_venue_decoder *decoder, kt_text venue_symbol);
uint32_t kt_venue_symbol_count(const kt_venue_decoder *decoder);
const kt_venue_instrument *kt_venue_symbol_at(const kt_venue_decoder *decoder, uint32_t index);

/* Decode one stream message. Exactly one call of the sink for each message, whatever the bytes. */
void kt_venue_decode_message(
    kt_venue_decoder *decoder, kt_text bytes, int64_t receive_time_ns, const kt_venue_sink *sink);

/* Decode the answer to `request`: rows go to the sink in the order of the body, *out_answer sums them up. Status 0 means
 * that nothing came (no connection). Instruments are learned by the decoder itself before the sink hears of them. */
void kt_venue_decode_answer(kt_venue_decoder *decoder, const kt_venue_request *request, uint16_t status, kt_text body,
    int64_t receive_time_ns, const kt_venue_sink *sink, kt_venue_answer *out_answer);

/* Where to connect for the trades of all known symbols: `ws_url` is the configured address, with or without the
 * path (/stream). After connecting nothing has to be sent. KT_FULL: longer than `size`. */
kt_code kt_venue_stream_url(const kt_venue_decoder *decoder, const char *ws_url, char *out, size_t size, kt_err *err);

/* The message that adds one known symbol on an open connection; answered through `sink.reply`. KT_ARG: the format has no
 * such message (everything comes by itself); KT_NOENT: unknown symbol. */
kt_code kt_venue_subscribe(
    const kt_venue_decoder *decoder, uint64_t message_id, kt_text symbol, char *out, size_t size, kt_err *err);

/* The URL of a request. `rest_url`: generic: the address of the trades (http://host/trades); binance: the host
 * (https://api.binance.com). KT_ARG: the format can not answer this; KT_NOENT: unknown symbol; KT_FULL. */
kt_code kt_venue_rest_url(const kt_venue_decoder *decoder, const char *rest_url, const kt_venue_request *request, char *out,
    size_t size, kt_err *err);

#endif
