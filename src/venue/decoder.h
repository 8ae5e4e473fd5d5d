/* venue/decoder.h - what the formats share: the decoder's insides and the helpers of every format file. Callers of
 * decoders need venue/venue.h only.
 */
#ifndef KT_VENUE_DECODER_H
#define KT_VENUE_DECODER_H

#include "base/arena.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/map.h"
#include "base/text.h"
#include "venue/venue.h"

/* A known symbol; its row points into its own texts. */
typedef struct kt_venue_symbol {
    kt_row_instrument row;
    char text[4][KT_VENUE_SYMBOL_SIZE];
} kt_venue_symbol;

struct kt_venue_decoder {
    const kt_venue_format *format;
    uint8_t price_scale;
    uint8_t quantity_scale;
    bool books;
    bool candles;
    kt_json_node *nodes;
    uint32_t node_max;
    kt_decimal (*levels)[2]; /* of one message or answer, KT_VENUE_LEVEL_MAX of both sides together */
    kt_arena arena;          /* texts of one message whose escapes had to be undone */
    kt_venue_symbol *symbols;
    uint32_t symbol_count;
    uint32_t symbol_max;
    kt_map_text by_symbol; /* index into symbols */
    kt_map_text by_venue;
    void *map_mem[2];
};

_Static_assert(sizeof(kt_row_level) == sizeof(kt_decimal[2]) && offsetof(kt_row_level, quantity) == sizeof(kt_decimal),
    "levels are read as pairs and told as rows");

/* What is being decoded: passed down so that a refusal can say which bytes it is about. */
typedef struct kt_venue_input {
    kt_venue_decoder *decoder;
    const kt_venue_sink *sink;
    const kt_json_doc *doc; /* NULL: not read yet */
    kt_text bytes;          /* the message, or the row of an answer */
    int64_t receive_time_ns;
} kt_venue_input;

/* The functions of one format. scan_message (NULL: none) sees each message first: false, and nothing told, when it is none
 * of those that the format reads in one pass; what it does tell is the same as decode_message would. decode_message gets a whole JSON document; decode_answer one with status 200 to 299 (the
 * errors of others are the venue's own words, which `error_text` finds). */
typedef struct kt_venue_codec {
    bool (*scan_message)(const kt_venue_input *input);
    void (*decode_message)(const kt_venue_input *input);
    void (*decode_answer)(const kt_venue_input *input, const kt_ev_request *request, kt_venue_answer *answer);
    void (*error_text)(const kt_venue_input *input, kt_builder *out);
    kt_code (*venue_symbol)(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err);
    void (*stream_url)(
        const kt_venue_decoder *decoder, kt_text ws_url, uint32_t first, uint32_t count, kt_builder *out);
    bool (*say)(const kt_venue_decoder *decoder, kt_venue_speech speech, uint32_t part, uint32_t first, uint32_t count,
        kt_builder *out); /* false: no such part; NULL: none */
    void (*subscribe)(const kt_venue_decoder *decoder, uint64_t message_id, const kt_row_instrument *instrument,
        kt_builder *out); /* NULL: none */
    void (*rest_url)(const kt_venue_decoder *decoder, kt_text rest_url, const kt_ev_request *request,
        const kt_row_instrument *instrument, uint32_t limit, kt_builder *out);
} kt_venue_codec;

/* Tell the sink that the input is refused. */
void kt_venue_refuse(const kt_venue_input *input, kt_invalid reason, kt_text field);

/* The same for a failed kt_json_fields. */
void kt_venue_refuse_code(const kt_venue_input *input, kt_code code, const kt_json_found *found);

/* Check what every trade must fulfil: positive, fitting its instrument's scales (NULL: the decoder's own), a text id.
 * True when it does; otherwise the input was refused. `names` are the venue's names of time, price, quantity and id. */
typedef struct kt_venue_names {
    kt_text time, price, quantity, id;
} kt_venue_names;
bool kt_venue_trade_check(const kt_venue_input *input, const kt_row_trade *trade, const kt_row_instrument *instrument,
    const kt_venue_names *names);

/* Tell the sink about a trade of the stream. */
void kt_venue_tick(const kt_venue_input *input, kt_text symbol, const kt_row_trade *trade);

/* Read [["1.5","2"], ...] at `array`; more in a row than two are skipped. False: refused as `field`. */
bool kt_venue_levels_read(const kt_venue_input *input, uint32_t array, kt_text field, kt_json_pairs *levels);

/* Check what every level must fulfil: a price above 0 (of a best price, 0 where there is none), a quantity of at least 0.
 * False: refused as `field`. */
bool kt_venue_level_check(
    const kt_venue_input *input, kt_decimal price, kt_decimal quantity, bool may_lack, kt_text field);
bool kt_venue_levels_check(const kt_venue_input *input, const kt_json_pairs *levels, kt_text field);

/* Tell the sink of a whole book that REST answered with: its sides are the arrays at these nodes. last_id 0: the venue gives none. False:
 * refused as "bids" or "asks". */
bool kt_venue_book_answer(
    const kt_venue_input *input, kt_text symbol, uint32_t bids_node, uint32_t asks_node, uint64_t last_id);

/* Decode a message the long way, never by scan_message: for tests that compare the two. */
void kt_venue_decode_general(const kt_venue_input *input);

/* Append `text` as a part of a URL's query (net/url.h). */
void kt_venue_url_encode(kt_builder *out, kt_text text);

#endif
