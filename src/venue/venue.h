/* venue/venue.h - what a venue says and how it is asked: bytes in, plain structs out.
 *
 * A venue format is one row of a table (kt_venue_format_of) and one file (generic.c, binance.c). It decodes stream
 * messages and REST answers, and spells the URLs and messages that ask for them. It opens no socket, reads no clock and
 * keeps nothing between two messages but the table of symbols, so the same bytes give the same calls of the sink for
 * ever.
 *
 * Formats  generic   one trade a message, REST by start time, at most 100 rows (reference/contracts.md section 1)
 *          binance   Binance spot: single and combined streams of trades, book changes and best prices, REST by id,
 *                    instruments from exchangeInfo, whole books
 *          kraken_v1  Kraken spot: trades, books with their checksums, best prices and minutes of both versions of its
 *          kraken_v2  WebSocket API, REST by time, instruments from AssetPairs
 * Numbers  prices and quantities are read digit by digit from the text (JSON numbers and strings alike), trailing zeros
 *          dropped. Of a trade both are greater than 0 and fit the instrument's scale exactly: kt_decimal_rescale of a tick to
 *          the instrument's scale never fails. Levels of a book may have more digits than their instrument.
 * Time     ns since 1970 UTC, greater than 0. Ids keep every digit.
 * Bad      never an error of the decoder: it is told to `invalid` with what was wrong in which field, and counted.
 * Bounds   KT_VENUE_MESSAGE_MAX, KT_VENUE_ANSWER_MAX, KT_VENUE_NODE_MAX: what is larger is `oversized`.
 * Cost     one pass of base/json_scan.h for what comes by the million, written as the venue always writes it; one of the JSON
 *          reader for the rest, with the same result. No allocation after kt_venue_decoder_new.
 */
#ifndef KT_VENUE_VENUE_H
#define KT_VENUE_VENUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/decimal.h"
#include "base/error.h"
#include "base/types.h"
#include "book/level2.h"
#include "schema/events.h"

#define KT_VENUE_SYMBOL_SIZE 64           /* bytes of a symbol in either spelling, at most */
#define KT_VENUE_TRADE_ID_SIZE 128        /* bytes of a trade id, at most */
#define KT_VENUE_EXCERPT_SIZE 200         /* bytes of a refused message that are passed on */
#define KT_VENUE_MESSAGE_MAX (256u << 10) /* bytes of one stream message: a whole book of Kraken has about 100,000 */
#define KT_VENUE_ANSWER_MAX (32u << 20)   /* bytes of one REST answer: a whole exchangeInfo has about 10 MB */
#define KT_VENUE_LEVEL_MAX 10000          /* levels of one message or answer, both sides together */
#define KT_VENUE_NODE_MAX (128u << 10)    /* JSON values of one message or answer: 1,000 trades need about 15,000 */

/* Where decoded things go. A NULL function is skipped. The calls come in the order of the bytes; texts are borrowed
 * until the function returns. */
typedef struct kt_venue_sink {
    void *ctx;
    /* One trade of the stream. `symbol` as ccxt spells it: BTC/USDT; in the generic format the ticker itself. trade_id
     * is never empty; trade_number is the same as a number where the venue numbers its trades, 0 where it does not. */
    void (*tick)(void *ctx, kt_text symbol, const kt_ev_tick *tick);
    /* One trade of a REST answer, of the symbol that was asked for. */
    void (*row)(void *ctx, const kt_row_trade *row);
    /* What changed in a book, or (snapshot, of the symbol that was asked for, or out of a stream that gives it) all of it.
     * Prices are positive, quantities not negative; first_id is at most last_id, both 0 where updates have no numbers. The
     * levels are decoded already and borrowed. */
    void (*book)(void *ctx, kt_text symbol, const kt_ev_book *book);
    /* The best prices. 0: there is none on this side. */
    void (*ticker)(void *ctx, kt_text symbol, const kt_ev_ticker *ticker);
    /* An interval as the venue sums it up; of an answer, of the symbol that was asked for. */
    void (*candle)(void *ctx, kt_text symbol, const kt_ev_candle *candle);
    /* One message of the stream, or one row of an answer, that was refused. */
    void (*invalid)(void *ctx, const kt_ev_invalid *invalid);
    /* One instrument of a REST answer. */
    void (*instrument)(void *ctx, const kt_row_instrument *instrument);
    /* A well-formed message that is none of ours, with the venue's name for it ("aggTrade", "serverShutdown"). */
    void (*other)(void *ctx, kt_text kind);
    /* The venue's answer to a message of ours: `error` is empty when it agreed. */
    void (*reply)(void *ctx, uint64_t message_id, kt_text error);
} kt_venue_sink;

/* What became of a request, beside the rows that went to the sink. */
typedef struct kt_venue_answer {
    uint32_t row_count;     /* rows that the venue sent, valid or not; a book is one */
    uint32_t invalid_count; /* of these, not valid: told to `invalid`. A body that is no list of rows counts as one */
    bool full;              /* as many rows as were asked for: there may be more */
    bool rate_limited;      /* wait as long as the Retry-After header says before the next request */
    char error[160];        /* the venue's own words, "-1121: Invalid symbol."; empty when it answered with rows */
} kt_venue_answer;

/* What the venue of a format asks of those who connect to its streams; 0: nothing is said. */
typedef struct kt_venue_limits {
    uint32_t stream_max;        /* streams of one connection */
    uint32_t book_streams;      /* streams of a symbol whose book is wanted, too; without it one */
    uint32_t connection_max;    /* connections that one address may open ... */
    uint32_t connection_span_s; /* ... in so many seconds */
    uint32_t connection_life_s; /* after which the venue ends a connection */
} kt_venue_limits;

/* How long to wait before the next connection may be opened; 0: it may be now, and is counted. *state starts at 0; times
 * are of any one clock. In no span are more than connection_max opened: half of them at once, the others evenly. */
int64_t kt_venue_connect_wait_ns(const kt_venue_limits *limits, int64_t *state, int64_t now_ns);

/* How books of a format are got and continued. All zero: REST gives the whole book, and numbers continue it (book/level2.h). */
typedef struct kt_venue_books {
    bool
        streamed; /* the stream gives the whole book when it is subscribed, and then changes in order, without numbers */
    uint32_t depth; /* streamed: levels of a side that are subscribed */
    kt_code (*checksum)(const kt_level2 *book, uint32_t *out_checksum); /* what kt_ev_book.checksum is; NULL: none */
} kt_venue_books;

/* One format. */
typedef struct kt_venue_format {
    const char *name; /* as in the configuration: "generic", "binance", "kraken_v2" */
    uint32_t can;     /* a bit 1 << KT_WHAT_... for each kind of request that the venue answers */
    uint32_t row_max; /* trades of one answer, at most */
    bool numbered;    /* trades have numbers without gaps, per symbol; otherwise their order is by time */
    bool open;        /* symbols that nobody asked for come too, and are accepted */
    kt_venue_books books;
    kt_venue_limits limits;
    const struct kt_venue_codec *codec; /* its functions: venue/decoder.h */
} kt_venue_format;

typedef struct kt_venue_decoder kt_venue_decoder;

extern const kt_venue_format kt_venue_generic;
extern const kt_venue_format kt_venue_binance;
extern const kt_venue_format kt_venue_kraken_v1;
extern const kt_venue_format kt_venue_kraken_v2;

/* The format of that name, or NULL. `kt_venue_formats` lists them all. */
const kt_venue_format *kt_venue_format_of(kt_text name);
const kt_venue_format *const *kt_venue_formats(uint32_t *out_count);

typedef struct kt_venue_decoder_options {
    const kt_venue_format *format;
    uint32_t symbol_max; /* 0: 4,096 */
    uint32_t node_max;   /* 0: KT_VENUE_NODE_MAX */
    uint8_t price_scale; /* of symbols whose instrument is not known yet (and of all in the generic format), 0 to 18 */
    uint8_t quantity_scale; /* likewise */
    bool books;             /* ask the stream for books too, where the format can answer KT_WHAT_BOOK */
    bool candles;           /* and for the venue's own minutes, where the format has them */
} kt_venue_decoder_options;

/* A decoder with its table of symbols and its scratch memory. KT_ARG names the option that is wrong; KT_SYS: no
 * memory. */
kt_code kt_venue_decoder_new(const kt_venue_decoder_options *options, kt_venue_decoder **out_decoder, kt_err *err);
void kt_venue_decoder_free(kt_venue_decoder *decoder);
const kt_venue_format *kt_venue_decoder_format(const kt_venue_decoder *decoder);

/* Make a configured symbol known by its ccxt spelling, with the scales of the options until its instrument arrives.
 * Known already: nothing changes. KT_SYNTAX: binance needs BASE/QUOTE; KT_RANGE: longer than KT_VENUE_SYMBOL_SIZE;
 * KT_FULL. */
kt_code kt_venue_symbol_add(kt_venue_decoder *decoder, kt_text symbol, kt_err *err);

/* Learn an instrument (from `sink.instrument`, or from the log after a restart): adds it or replaces what was known.
 * KT_ARG: an empty symbol or a scale beyond 18; KT_RANGE and KT_FULL as above. */
kt_code kt_venue_instrument_put(kt_venue_decoder *decoder, const kt_row_instrument *instrument, kt_err *err);

/* What is known of a symbol in either spelling, or NULL. Valid until the next put of the same symbol. Known symbols
 * are numbered 0 .. count - 1 in the order they came. */
const kt_row_instrument *kt_venue_symbol_find(const kt_venue_decoder *decoder, kt_text symbol);
const kt_row_instrument *kt_venue_symbol_find_venue(const kt_venue_decoder *decoder, kt_text venue_symbol);
uint32_t kt_venue_symbol_count(const kt_venue_decoder *decoder);
const kt_row_instrument *kt_venue_symbol_at(const kt_venue_decoder *decoder, uint32_t index);

/* Decode one stream message. One call of the sink for each message, whatever the bytes; where a message holds several
 * trades or minutes (Kraken), one for each. */
void kt_venue_decode_message(
    kt_venue_decoder *decoder, kt_text bytes, int64_t receive_time_ns, const kt_venue_sink *sink);

/* Decode the answer to `request` (what, symbol and limit are read): rows go to the sink in the order of the body,
 * *out_answer sums them up. Status 0 means that nothing came (no connection). Instruments are learned by the decoder
 * itself before the sink hears of them; of those that are not known already only when none is. */
void kt_venue_decode_answer(kt_venue_decoder *decoder, const kt_ev_request *request, uint16_t status, kt_text body,
    int64_t receive_time_ns, const kt_venue_sink *sink, kt_venue_answer *out_answer);

/* Where to connect for the trades (and books) of known symbols, `count` of them from index `first` on: `ws_url` is the
 * configured address, with or without the path (/stream, /v2). After connecting kt_venue_say tells what has to be sent.
 * An open format gives all symbols on every connection. KT_FULL: longer than `size`. */
kt_code kt_venue_stream_url(const kt_venue_decoder *decoder, const char *ws_url, uint32_t first, uint32_t count,
    char *out, size_t size, kt_err *err);

/* What has to be sent on an open connection, message `part` of it (0, 1, 2 ...): that the streams of the known symbols
 * from index `first` on come, `count` of them; or that their whole books come again. KT_NOENT: it has no such part, all is
 * said (formats whose address says it all have none). KT_FULL: longer than `size`. */
typedef enum kt_venue_speech { KT_VENUE_SUBSCRIBE, KT_VENUE_BOOKS_AGAIN } kt_venue_speech;
kt_code kt_venue_say(const kt_venue_decoder *decoder, kt_venue_speech speech, uint32_t part, uint32_t first,
    uint32_t count, char *out, size_t size, kt_err *err);

/* Symbols that one connection may carry at most, by the limits of the venue. */
uint32_t kt_venue_stream_symbol_max(const kt_venue_decoder *decoder);

/* The message that adds one known symbol on an open connection; answered through `sink.reply`. KT_ARG: the format has
 * no such message (everything comes by itself); KT_NOENT: unknown symbol. */
kt_code kt_venue_subscribe(
    const kt_venue_decoder *decoder, uint64_t message_id, kt_text symbol, char *out, size_t size, kt_err *err);

/* The URL of a request (limit 0, or more than row_max: row_max; instruments without a symbol: of all that are known, or
 * of the whole venue when none is). `rest_url`: generic: the address of the trades (http://host/trades); binance
 * and kraken: the host (https://api.binance.com). KT_ARG: the format can not answer this; KT_NOENT: unknown symbol; KT_FULL. */
kt_code kt_venue_rest_url(const kt_venue_decoder *decoder, const char *rest_url, const kt_ev_request *request,
    char *out, size_t size, kt_err *err);

#endif
