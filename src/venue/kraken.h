/* venue/kraken.h - what both versions of Kraken's spot streams share: names, digits, events, and REST.
 *
 * Sources  https://docs.kraken.com/api (spot WebSocket v1 and v2, book checksums of both, REST public market data); that
 *          `since` of REST is exclusive: issue 13 of dominiktraxl/pykrakenapi.
 * Names    we write BTC/USDT as ccxt does; v2 too. v1 and REST write XBT for BTC and XDG for DOGE, REST without the slash.
 * Time     the streams give microseconds, REST up to nanoseconds of the same trades: what is behind the microsecond is
 *          cut, so that both agree.
 * Trades   v2 and REST number them. v1 does not: there a trade is named by its time, price, quantity and side, and by
 *          how many of these came before it in the same message or answer (of the last KT_KRAKEN_GROUP_MAX of its time),
 *          which REST then names alike.
 * Books    are subscribed to KT_KRAKEN_DEPTH levels a side: the stream gives the whole book, then changes without numbers,
 *          each with the checksum (book/checksum.h) of what the book is then.
 * Best     prices have no numbers either: their time in microseconds stands for one.
 * Limits   Cloudflare lets one address open about 150 connections in 10 minutes. While anything is subscribed, a message
 *          comes each second at least (a heartbeat), so that no pings of ours are needed. REST takes about one request a
 *          second from one address.
 */
#ifndef KT_VENUE_KRAKEN_H
#define KT_VENUE_KRAKEN_H

#include "book/checksum.h"
#include "venue/decoder.h"

#define KT_KRAKEN_DEPTH 1000
#define KT_KRAKEN_TEXT_OF(number) #number
#define KT_KRAKEN_TEXT(number) KT_KRAKEN_TEXT_OF(number)

enum {
    KT_KRAKEN_ROW_MAX = 1000,
    KT_KRAKEN_CONNECTION_MAX = 150,
    KT_KRAKEN_CONNECTION_SPAN_S = 600,
    KT_KRAKEN_CAN = 1 << KT_WHAT_INSTRUMENTS | 1 << KT_WHAT_TRADES_BY_TIME | 1 << KT_WHAT_RECENT_TRADES |
                    1 << KT_WHAT_BOOK | 1 << KT_WHAT_CANDLES,
};

/* Append our BASE/QUOTE as v1 and REST spell it, XBT/USDT with the slash or without; and theirs in our spelling. */
void kt_kraken_put_old(kt_text symbol, bool slash, kt_builder *out);
void kt_kraken_put_new(kt_text symbol, kt_builder *out);

/* The venue's spelling of a configured symbol: kt_venue_codec.venue_symbol. */
kt_code kt_kraken_symbol_v1(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err);
kt_code kt_kraken_symbol_v2(kt_text symbol, kt_builder *out, kt_text *out_base, kt_text *out_quote, kt_err *err);

/* Pick the fields of `node`; false: refused. */
bool kt_kraken_pick(
    const kt_venue_input *input, uint32_t node, const kt_json_field *fields, uint32_t field_count, void *out);

/* The instrument of the venue's spelling; NULL: refused. */
const kt_row_instrument *kt_kraken_instrument(const kt_venue_input *input, kt_text venue_symbol);

/* Seconds to ns, and a time text of v2; both cut to microseconds. false: refused as `field`. */
bool kt_kraken_seconds(const kt_venue_input *input, kt_decimal seconds, kt_text field, int64_t *out_ns);
bool kt_kraken_time(const kt_venue_input *input, kt_text text, kt_text field, int64_t *out_ns);

/* "buy", "sell", "b", "s"; false: refused as `field`. */
bool kt_kraken_side(const kt_venue_input *input, kt_text text, kt_text field, uint8_t *out_side);

/* Digits behind the point of a number as it stands. */
uint8_t kt_kraken_digits(kt_text number);

/* Tell the sink; of candles false: refused. */
void kt_kraken_tell_other(const kt_venue_input *input, kt_text kind);
void kt_kraken_tell_reply(const kt_venue_input *input, uint64_t message_id, kt_text error);
void kt_kraken_tell_book(const kt_venue_input *input, const kt_row_instrument *instrument, const kt_json_pairs *bids,
    const kt_json_pairs *asks, kt_ev_book *book); /* its levels are checked and put in */
void kt_kraken_tell_ticker(const kt_venue_input *input, const kt_row_instrument *instrument, kt_ev_ticker *ticker);
bool kt_kraken_tell_candle(const kt_venue_input *input, const kt_row_instrument *instrument, kt_ev_candle *candle);

/* Trades of v1 and of REST are [price, quantity, time, side ...]; v1 writes the time as a text, REST as a number and the
 * trade's number behind it all. Decode the one at `node` of the list `list`. *group is 0 at the start of a list. false:
 * refused. */
typedef enum kt_kraken_rows {
    KT_KRAKEN_ROWS_V1,
    KT_KRAKEN_ROWS_REST,     /* named as v1 would */
    KT_KRAKEN_ROWS_NUMBERED, /* of REST, by their numbers */
} kt_kraken_rows;
enum { KT_KRAKEN_ID_SIZE = 96, KT_KRAKEN_GROUP_MAX = 256 };
typedef struct kt_kraken_group {
    uint32_t first; /* node of the first trade of the same time; 0: none yet */
    uint32_t count; /* of them so far */
    int64_t time_ns;
} kt_kraken_group;
bool kt_kraken_row(const kt_venue_input *input, uint32_t list, uint32_t node, kt_kraken_rows rows,
    kt_kraken_group *group, char id_mem[static KT_KRAKEN_ID_SIZE], kt_row_trade *out);

/* The names of a row's fields, for refusals. */
extern const kt_venue_names kt_kraken_names;

/* REST, the same for both versions but for the ids of trades. */
void kt_kraken_decode_answer(
    const kt_venue_input *input, const kt_ev_request *request, kt_kraken_rows rows, kt_venue_answer *answer);
void kt_kraken_error_text(const kt_venue_input *input, kt_builder *out);
void kt_kraken_rest_url(const kt_venue_decoder *decoder, kt_text rest_url, const kt_ev_request *request,
    const kt_row_instrument *instrument, uint32_t limit, kt_builder *out);

/* What the streams of both versions are, and what has to be said about them: kt_venue_codec.say. The two `put` append the message
 * that subscribes a channel, or unsubscribes it, as the version says it. */
typedef enum kt_kraken_channel {
    KT_KRAKEN_TRADES,
    KT_KRAKEN_BOOK,
    KT_KRAKEN_BEST,
    KT_KRAKEN_CANDLES,
    KT_KRAKEN_CHANNEL_COUNT
} kt_kraken_channel;
typedef void kt_kraken_put(const kt_venue_decoder *decoder, const char *verb, kt_kraken_channel channel, uint32_t first,
    uint32_t count, kt_builder *out);
kt_kraken_put kt_kraken_put_v1, kt_kraken_put_v2;
bool kt_kraken_say(const kt_venue_decoder *decoder, kt_venue_speech speech, uint32_t part, uint32_t first,
    uint32_t count, kt_builder *out);

/* ["BTC/USD","ETH/USD"], as the venue spells them. */
void kt_kraken_put_symbols(const kt_venue_decoder *decoder, uint32_t first, uint32_t count, kt_builder *out);

#endif
