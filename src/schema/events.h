/* schema/events.h - every kind of event, said once.
 *
 * A kind is a number that is never reused, and a table of fields (schema/table.h says what a line of it means). Kinds 1
 * to 99 are what services say to each other and to clients; from 100 on they are the house's own (lanes, logs, the
 * supervisor). For kind `tick` there are: KT_EV_TICK (its number), kt_ev_tick (its struct), and its row in kt_events[].
 *
 *     kt_ev_tick tick;
 *     kt_code code = kt_event_decode(KT_EV_TICK, payload, size, &tick);  // texts are borrowed from the payload
 *     code = kt_event_encode(KT_EV_TICK, &tick, buf, sizeof buf, &size);
 *
 * Structs that are filled by hand start with kt_event_init(), so that a field added later has its default.
 * All times are ns since 1970, UTC. The publish time of an event is the time in its record's header.
 */
#ifndef KT_SCHEMA_EVENTS_H
#define KT_SCHEMA_EVENTS_H

#include "schema/table.h"

/* Enumerations: E(number, C name, name in JSON). Numbers are never reused; 0 is what a newer program's number reads as.
 * */

#define KT_SIDE_MAP(E)               \
    E(0, KT_SIDE_UNKNOWN, "unknown") \
    E(1, KT_SIDE_BUY, "buy")         \
    E(2, KT_SIDE_SELL, "sell")

#define KT_SOURCE_MAP(E)               \
    E(0, KT_SOURCE_UNKNOWN, "unknown") \
    E(1, KT_SOURCE_STREAM, "stream")   \
    E(2, KT_SOURCE_REST, "rest")

#define KT_INVALID_MAP(E)                               \
    E(0, KT_INVALID_OTHER, "other")                     \
    E(1, KT_INVALID_MALFORMED, "malformed")             \
    E(2, KT_INVALID_MISSING_FIELD, "missing field")     \
    E(3, KT_INVALID_WRONG_TYPE, "wrong type")           \
    E(4, KT_INVALID_DUPLICATE_FIELD, "duplicate field") \
    E(5, KT_INVALID_NOT_POSITIVE, "not positive")       \
    E(6, KT_INVALID_OUT_OF_RANGE, "out of range")       \
    E(7, KT_INVALID_UNKNOWN_SYMBOL, "unknown symbol")   \
    E(8, KT_INVALID_OVERSIZED, "oversized")

#define KT_LINK_MAP(E)                         \
    E(0, KT_LINK_UNKNOWN, "unknown")           \
    E(1, KT_LINK_CONNECTING, "connecting")     \
    E(2, KT_LINK_CONNECTED, "connected")       \
    E(3, KT_LINK_DISCONNECTED, "disconnected") \
    E(4, KT_LINK_SILENT, "silent")

#define KT_WHAT_MAP(E)                             \
    E(0, KT_WHAT_UNKNOWN, "unknown")               \
    E(1, KT_WHAT_INSTRUMENTS, "instruments")       \
    E(2, KT_WHAT_TRADES_BY_TIME, "trades by time") \
    E(3, KT_WHAT_TRADES_BY_ID, "trades by id")     \
    E(4, KT_WHAT_RECENT_TRADES, "recent trades")   \
    E(5, KT_WHAT_BOOK, "book")                     \
    E(6, KT_WHAT_CANDLES, "candles")

#define KT_CAUSE_MAP(E)                     \
    E(0, KT_CAUSE_UNKNOWN, "unknown")       \
    E(1, KT_CAUSE_MISSING, "missing")       \
    E(2, KT_CAUSE_PRICE, "price")           \
    E(3, KT_CAUSE_QUANTITY, "quantity")     \
    E(4, KT_CAUSE_SUSPECT, "suspect")       \
    E(5, KT_CAUSE_LATE, "late")             \
    E(6, KT_CAUSE_INCOMPLETE, "incomplete") \
    E(7, KT_CAUSE_CHANGED, "changed")

#define KT_LANE_STATE_MAP(E)         \
    E(0, KT_LANE_UNKNOWN, "unknown") \
    E(1, KT_LANE_STARTED, "started") \
    E(2, KT_LANE_RUNNING, "running") \
    E(3, KT_LANE_STOPPED, "stopped") \
    E(4, KT_LANE_DIED, "died")       \
    E(5, KT_LANE_PARKED, "parked")   \
    E(6, KT_LANE_WAITING, "waiting")

#define KT_LEVEL_MAP(E)               \
    E(0, KT_LEVEL_INFO, "info")       \
    E(1, KT_LEVEL_WARNING, "warning") \
    E(2, KT_LEVEL_ERROR, "error")     \
    E(3, KT_LEVEL_DEBUG, "debug")     \
    E(4, KT_LEVEL_VERBOSE, "verbose")

#define KT_AGREEMENT_MAP(E)             \
    E(0, KT_AGREEMENT_NONE, "not told") \
    E(1, KT_AGREEMENT_EQUAL, "equal")   \
    E(2, KT_AGREEMENT_DIFFERENT, "different")

#define KT_ENUM_MAP(M)                              \
    M(kt_side, side, KT_SIDE_MAP)                   \
    M(kt_source, source, KT_SOURCE_MAP)             \
    M(kt_invalid, invalid, KT_INVALID_MAP)          \
    M(kt_link, link, KT_LINK_MAP)                   \
    M(kt_what, what, KT_WHAT_MAP)                   \
    M(kt_cause, cause, KT_CAUSE_MAP)                \
    M(kt_lane_state, lane_state, KT_LANE_STATE_MAP) \
    M(kt_level, level, KT_LEVEL_MAP)                \
    M(kt_agreement, agreement, KT_AGREEMENT_MAP)

/* Rows inside events */

#define KT_ROW_trade(F, T)                                                                         \
    F(T, 1, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it happened") \
    F(T, 2, DEC, none, price, "quote", 1, INT64_MAX, 0, "price")                                   \
    F(T, 3, DEC, none, quantity, "base", 1, INT64_MAX, 0, "quantity")                              \
    F(T, 4, ENUM, side, side, "", 0, 2, 0, "what the taker did")                                   \
    F(T, 5, TEXT, none, trade_id, "", 1, 128, 0, "the venue's id of the trade, as text")           \
    F(T, 6, U64, none, trade_number, "", 0, UINT64_MAX, 0, "the id as a number; 0: the venue's ids are not numbers")

#define KT_ROW_instrument(F, T)                                                                    \
    F(T, 1, TEXT, none, symbol, "", 1, 128, 0, "spelled as ccxt does: BTC/USDT")                   \
    F(T, 2, TEXT, none, venue_symbol, "", 1, 128, 0, "as the venue spells it")                     \
    F(T, 3, TEXT, none, base, "", 0, 64, 0, "what is traded")                                      \
    F(T, 4, TEXT, none, quote, "", 0, 64, 0, "what it is paid in")                                 \
    F(T, 5, U8, none, price_scale, "digits", 0, 18, 8, "digits behind the point of a price")       \
    F(T, 6, U8, none, quantity_scale, "digits", 0, 18, 8, "digits behind the point of a quantity") \
    F(T, 7, DEC, none, tick, "quote", 0, INT64_MAX, 0, "smallest step of a price; 0: not known")   \
    F(T, 8, DEC, none, lot, "base", 0, INT64_MAX, 0, "smallest step of a quantity; 0: not known")

#define KT_ROW_level(F, T)                                       \
    F(T, 1, DEC, none, price, "quote", 1, INT64_MAX, 1, "price") \
    F(T, 2, DEC, none, quantity, "base", 0, INT64_MAX, 0, "all that is offered at it; in a change 0: nothing any more")

#define KT_ROW_MAP(R)                                    \
    R(trade, "a trade as REST gave it")                  \
    R(instrument, "an instrument as the venue lists it") \
    R(level, "a price of a book, and how much is offered at it")

/* Events */

#define KT_FIELDS_tick(F, T)                                                                       \
    F(T, 1, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it happened") \
    F(T, 2, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when its message reached us")        \
    F(T, 3, DEC, none, price, "quote", 1, INT64_MAX, 0, "price")                                   \
    F(T, 4, DEC, none, quantity, "base", 1, INT64_MAX, 0, "quantity")                              \
    F(T, 5, ENUM, side, side, "", 0, 2, 0, "what the taker did")                                   \
    F(T, 6, TEXT, none, trade_id, "", 1, 128, 0, "the venue's id of the trade, as text")           \
    F(T, 7, U64, none, trade_number, "", 0, UINT64_MAX, 0, "the id as a number; 0: the venue's ids are not numbers")

#define KT_FIELDS_invalid(F, T)                                                                                        \
    F(T, 1, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when the message reached us")                            \
    F(T, 2, ENUM, invalid, reason, "", 0, 8, 0, "what was wrong")                                                      \
    F(T, 3, TEXT, none, field, "", 0, 64, 0, "the field that was wrong, or empty")                                     \
    F(T, 4, TEXT, none, excerpt, "", 0, 200, 0, "the start of the message, control bytes and bad UTF-8 replaced by ?") \
    F(T, 5, U64, none, size, "bytes", 0, UINT64_MAX, 0, "size of the whole message")

#define KT_FIELDS_link(F, T)                                                                  \
    F(T, 1, ENUM, link, state, "", 0, 4, 0, "what happened to the connection")                \
    F(T, 2, TEXT, none, reason, "", 0, 256, 0, "why")                                         \
    F(T, 3, U32, none, attempt, "", 0, UINT32_MAX, 0, "attempts since it was last connected") \
    F(T, 4, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when we saw it")

#define KT_FIELDS_instrument(F, T)                                                                 \
    F(T, 1, TEXT, none, venue_symbol, "", 1, 128, 0, "as the venue spells it")                     \
    F(T, 2, TEXT, none, base, "", 0, 64, 0, "what is traded")                                      \
    F(T, 3, TEXT, none, quote, "", 0, 64, 0, "what it is paid in")                                 \
    F(T, 4, U8, none, price_scale, "digits", 0, 18, 8, "digits behind the point of a price")       \
    F(T, 5, U8, none, quantity_scale, "digits", 0, 18, 8, "digits behind the point of a quantity") \
    F(T, 6, DEC, none, tick, "quote", 0, INT64_MAX, 0, "smallest step of a price; 0: not known")   \
    F(T, 7, DEC, none, lot, "base", 0, INT64_MAX, 0, "smallest step of a quantity; 0: not known")  \
    F(T, 8, U32, none, version, "", 1, UINT32_MAX, 1, "grows when anything of it changes, before its first use")

#define KT_FIELDS_request(F, T)                                                                                \
    F(T, 1, U64, none, request_id, "", 1, UINT64_MAX, 0, "names the request: the same id is the same request") \
    F(T, 2, TEXT, none, symbol, "", 0, 128, 0, "whose trades, or empty")                                       \
    F(T, 3, ENUM, what, what, "", 0, 6, 0, "what is asked for")                                                \
    F(T, 4, TIME, none, from_time, "ns", 0, INT64_MAX, 0, "trades by time, candles: from here, inclusive")     \
    F(T, 5, U64, none, from_id, "", 0, UINT64_MAX, 0, "trades by id: from here, inclusive")                    \
    F(T, 6, U32, none, limit, "rows", 0, 10000, 0, "at most so many; 0: as many as the venue gives")

#define KT_FIELDS_answer(F, T)                                                                                  \
    F(T, 1, U64, none, request_id, "", 1, UINT64_MAX, 0, "of the request that this answers")                    \
    F(T, 2, U16, none, status, "", 0, 999, 0, "HTTP status; 0: no answer came")                                 \
    F(T, 3, TEXT, none, error, "", 0, 256, 0, "what went wrong, or empty")                                      \
    F(T, 4, TEXT, none, symbol, "", 0, 128, 0, "whose trades, or empty")                                        \
    F(T, 5, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when the answer was whole")                       \
    F(T, 6, ROWS, trade, rows, "", 0, 10000, 0, "the trades")                                                   \
    F(T, 7, U32, none, row_count, "", 0, 10000, 0, "rows that the venue sent, valid or not")                    \
    F(T, 8, U32, none, invalid_count, "", 0, 10000, 0, "rows among them that were not valid and were left out") \
    F(T, 9, I64, none, retry_after, "ns", 0, INT64_MAX, 0, "do not ask again before; 0: not said")              \
    F(T, 10, ENUM, what, what, "", 0, 6, 0, "what was asked for")                                               \
    F(T, 11, ROWS, instrument, instruments, "", 0, 10000, 0, "the instruments")                                 \
    F(T, 12, U64, none, last_id, "", 0, UINT64_MAX, 0, "book: the last update that is in it")                   \
    F(T, 13, ROWS, level, bids, "", 0, 10000, 0, "book: its bids")                                              \
    F(T, 14, ROWS, level, asks, "", 0, 10000, 0, "book: its asks")

#define KT_FIELDS_timer(F, T)                                                            \
    F(T, 1, TEXT, none, service, "", 1, 64, 0, "whose timer")                            \
    F(T, 2, U64, none, timer_id, "", 0, UINT64_MAX, 0, "the service's own number of it") \
    F(T, 3, TIME, none, due, "ns", 0, INT64_MAX, 0, "when it was due")

#define KT_FIELDS_trade(F, T)                                                                                        \
    F(T, 1, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it happened")                   \
    F(T, 2, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when it first reached us")                             \
    F(T, 3, DEC, none, price, "quote", 1, INT64_MAX, 0, "price")                                                     \
    F(T, 4, DEC, none, quantity, "base", 1, INT64_MAX, 0, "quantity")                                                \
    F(T, 5, ENUM, side, side, "", 0, 2, 0, "what the taker did")                                                     \
    F(T, 6, TEXT, none, trade_id, "", 1, 128, 0, "the venue's id of the trade, as text")                             \
    F(T, 7, U64, none, trade_number, "", 0, UINT64_MAX, 0, "the id as a number; 0: the venue's ids are not numbers") \
    F(T, 8, BOOL, none, validated, "", 0, 1, 0, "REST has confirmed it")                                             \
    F(T, 9, BOOL, none, suspect, "", 0, 1, 0, "too far from the median to count before REST confirms it")            \
    F(T, 10, ENUM, source, source, "", 0, 2, 0, "where these values come from")                                      \
    F(T, 11, U32, none, revision, "", 1, UINT32_MAX, 1, "2 and more: values changed since it was first published")

#define KT_FIELDS_watermark(F, T)                                                                                    \
    F(T, 1, TIME, none, validated_until, "ns", 0, INT64_MAX, 0, "REST has given everything up to here")              \
    F(T, 2, TIME, none, covered_from, "ns", 0, INT64_MAX, 0, "and everything from here")                             \
    F(T, 3, U32, none, confirmed, "trades", 0, UINT32_MAX, 0, "by this step: as the stream gave them")               \
    F(T, 4, U32, none, repaired, "trades", 0, UINT32_MAX, 0, "by this step: the stream had not given them")          \
    F(T, 5, U32, none, changed, "trades", 0, UINT32_MAX, 0, "by this step: the stream gave other values")            \
    F(T, 6, U32, none, lost, "trades", 0, UINT32_MAX, 0, "by this step: known to exist, and REST can not give them") \
    F(T, 7, U32, none, full_ms, "ms", 0, UINT32_MAX, 0,                                                              \
        "by this step: milliseconds with more trades than REST can give")                                            \
    F(T, 8, TIME, none, market_time, "ns", 0, INT64_MAX, 0, "greatest accepted venue time")

#define KT_FIELDS_vwap(F, T)                                                                                          \
    F(T, 1, TIME, none, mark, "ns", 0, INT64_MAX, 0,                                                                  \
        "whole second; the window is [mark - window, mark], both ends in")                                            \
    F(T, 2, I64, none, window, "ns", 1, INT64_MAX, 0, "length of the window")                                         \
    F(T, 3, DEC, none, price, "quote", 1, INT64_MAX, 0, "sum_pq / sum_q at the instrument's scale + 2, half to even") \
    F(T, 4, SUM, none, sum_pq, "quote", 0, INT64_MAX, 0, "sum of price x quantity, exact")                            \
    F(T, 5, SUM, none, sum_q, "base", 0, INT64_MAX, 0, "sum of quantity, exact")                                      \
    F(T, 6, U64, none, trades, "trades", 1, UINT64_MAX, 0, "trades in the window")                                    \
    F(T, 7, BOOL, none, validated, "", 0, 1, 0, "false: provisional")                                                 \
    F(T, 8, BOOL, none, complete, "", 0, 1, 0, "nothing in the window is known to be missing")                        \
    F(T, 9, U32, none, revision, "", 1, UINT32_MAX, 1, "1: first value of this mark and window")

#define KT_FIELDS_correction(F, T)                                                                                   \
    F(T, 1, TIME, none, mark_from, "ns", 0, INT64_MAX, 0, "first mark that changes")                                 \
    F(T, 2, TIME, none, mark_to, "ns", 0, INT64_MAX, 0, "last mark that changes; the same for a single mark")        \
    F(T, 3, I64, none, window, "ns", 1, INT64_MAX, 0, "length of the window")                                        \
    F(T, 4, U32, none, revision, "", 0, UINT32_MAX, 0,                                                               \
        "single mark: the new one; range: 0, each mark's own grows by 1")                                            \
    F(T, 5, DEC, none, old_price, "quote", 0, INT64_MAX, 0, "single mark: before")                                   \
    F(T, 6, SUM, none, old_sum_pq, "quote", 0, INT64_MAX, 0, "single mark: before")                                  \
    F(T, 7, SUM, none, old_sum_q, "base", 0, INT64_MAX, 0, "single mark: before")                                    \
    F(T, 8, U64, none, old_trades, "trades", 0, UINT64_MAX, 0, "single mark: before")                                \
    F(T, 9, DEC, none, new_price, "quote", 0, INT64_MAX, 0, "single mark: after")                                    \
    F(T, 10, SUM, none, new_sum_pq, "quote", 0, INT64_MAX, 0, "single mark: after")                                  \
    F(T, 11, SUM, none, new_sum_q, "base", 0, INT64_MAX, 0, "single mark: after")                                    \
    F(T, 12, U64, none, new_trades, "trades", 0, UINT64_MAX, 0, "single mark: after")                                \
    F(T, 13, SUM, none, delta_pq, "quote", INT64_MIN, INT64_MAX, 0, "range: to be added to each mark's sum_pq")      \
    F(T, 14, SUM, none, delta_q, "base", INT64_MIN, INT64_MAX, 0, "range: to be added to each mark's sum_q")         \
    F(T, 15, I64, none, delta_trades, "trades", INT64_MIN, INT64_MAX, 0, "range: to be added to each mark's trades") \
    F(T, 16, ENUM, cause, cause, "", 0, 7, 0, "why")                                                                 \
    F(T, 17, TEXTS, none, trade_ids, "", 0, 16, 0, "ids of trades behind it, the first 16")                          \
    F(T, 18, U32, none, trade_count, "trades", 0, UINT32_MAX, 0, "how many trades are behind it")                    \
    F(T, 19, BOOL, none, complete, "", 0, 1, 0, "after: nothing in the window is known to be missing")               \
    F(T, 20, U8, none, price_scale, "digits", 0, 20, 0, "range: scale of the new prices, rounded half to even")

#define KT_FIELDS_feed_stats(F, T)                                                                           \
    F(T, 1, U64, none, received, "messages", 0, UINT64_MAX, 0, "trades received from the stream")            \
    F(T, 2, U64, none, invalid, "messages", 0, UINT64_MAX, 0,                                                \
        "refused; counted for the venue where no symbol could be read")                                      \
    F(T, 3, U64, none, repeated, "messages", 0, UINT64_MAX, 0, "trades that came again")                     \
    F(T, 4, U64, none, reordered, "messages", 0, UINT64_MAX, 0, "trades that came after a later one")        \
    F(T, 5, U64, none, missing, "trades", 0, UINT64_MAX, 0, "trades that the stream never gave")             \
    F(T, 6, U64, none, repaired, "trades", 0, UINT64_MAX, 0, "of these, given by REST")                      \
    F(T, 7, U64, none, suspect, "trades", 0, UINT64_MAX, 0, "trades held back as suspect")                   \
    F(T, 8, U64, none, corrected, "trades", 0, UINT64_MAX, 0, "trades to which REST gave other values")      \
    F(T, 9, I64, none, skew_min, "ns", INT64_MIN, INT64_MAX, 0,                                              \
        "least receive time - venue time; negative is no error")                                             \
    F(T, 10, I64, none, skew_max, "ns", INT64_MIN, INT64_MAX, 0, "greatest receive time - venue time")       \
    F(T, 11, TIME, none, market_time, "ns", 0, INT64_MAX, 0, "greatest accepted venue time")                 \
    F(T, 12, TIME, none, validated_until, "ns", 0, INT64_MAX, 0, "REST has given everything up to here")     \
    F(T, 13, U64, none, lost, "trades", 0, UINT64_MAX, 0, "known to exist, and REST can not give them")      \
    F(T, 14, U64, none, full_ms, "ms", 0, UINT64_MAX, 0, "milliseconds with more trades than REST can give") \
    F(T, 15, U64, none, rest_invalid, "rows", 0, UINT64_MAX, 0,                                              \
        "rows of REST that were not valid, each time they came")                                             \
    F(T, 16, U32, none, rest_failures, "answers", 0, UINT32_MAX, 0,                                          \
        "answers of REST in a row that said nothing; 0: it serves. Validated values wait meanwhile")

#define KT_FIELDS_book(F, T)                                                                                           \
    F(T, 1, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it happened")                     \
    F(T, 2, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when its message reached us")                            \
    F(T, 3, BOOL, none, snapshot, "", 0, 1, 0, "the whole book as far as it is known; otherwise what changed")         \
    F(T, 4, U64, none, first_id, "", 0, UINT64_MAX, 0,                                                                 \
        "changes: number of the first update in it. They continue a book whose last_id + 1 is from here to last_id")   \
    F(T, 5, U64, none, last_id, "", 0, UINT64_MAX, 0, "number of the last update in it")                               \
    F(T, 6, ROWS, level, bids, "", 0, 10000, 0, "what is offered at these prices now; snapshot: greatest price first") \
    F(T, 7, ROWS, level, asks, "", 0, 10000, 0, "the same; snapshot: least price first")                               \
    F(T, 8, U32, none, resyncs, "", 0, UINT32_MAX, 0, "how often the book was lost and asked for anew")                \
    F(T, 9, I64, none, checksum, "", -1, UINT32_MAX, -1, "of the venue, over what the book is now; -1: it gives none") \
    F(T, 10, U8, none, price_digits, "digits", 0, 18, 0,                                                               \
        "checksum: it is over prices with so many digits behind the point, or more if an earlier message had them")    \
    F(T, 11, U8, none, quantity_digits, "digits", 0, 18, 0, "checksum: the same of quantities")

#define KT_FIELDS_ticker(F, T)                                                                                   \
    F(T, 1, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it was so; 0: it does not") \
    F(T, 2, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when its message reached us")                      \
    F(T, 3, U64, none, update_id, "", 0, UINT64_MAX, 0, "number of the book's update that made it so")           \
    F(T, 4, DEC, none, bid, "quote", 0, INT64_MAX, 0, "best bid; 0: there is none")                              \
    F(T, 5, DEC, none, bid_quantity, "base", 0, INT64_MAX, 0, "all that is bid at it")                           \
    F(T, 6, DEC, none, ask, "quote", 0, INT64_MAX, 0, "best ask; 0: there is none")                              \
    F(T, 7, DEC, none, ask_quantity, "base", 0, INT64_MAX, 0, "all that is asked at it")

#define KT_FIELDS_candle(F, T)                                                                                         \
    F(T, 1, TIME, none, begin, "ns", 0, INT64_MAX, 0, "its first instant")                                             \
    F(T, 2, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it was so")                       \
    F(T, 3, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when its message reached us")                            \
    F(T, 4, U32, none, interval_s, "s", 1, UINT32_MAX, 60, "trades from begin to before begin + interval_s are in it") \
    F(T, 5, DEC, none, open, "quote", 0, INT64_MAX, 0, "price of the first trade")                                     \
    F(T, 6, DEC, none, high, "quote", 0, INT64_MAX, 0, "greatest price")                                               \
    F(T, 7, DEC, none, low, "quote", 0, INT64_MAX, 0, "least price")                                                   \
    F(T, 8, DEC, none, close, "quote", 0, INT64_MAX, 0, "price of the last trade so far")                              \
    F(T, 9, DEC, none, vwap, "quote", 0, INT64_MAX, 0, "average price by volume, as the venue rounds it")              \
    F(T, 10, DEC, none, volume, "base", 0, INT64_MAX, 0, "sum of the quantities")                                      \
    F(T, 11, U64, none, trades, "trades", 0, UINT64_MAX, 0, "how many")

#define KT_FIELDS_quality(F, T)                                                                          \
    F(T, 1, TIME, none, minute, "ns", 0, INT64_MAX, 0, "start of the minute, by market time")            \
    F(T, 2, U32, none, revision, "", 1, UINT32_MAX, 1, "2 and more: it changed after it was first told") \
    F(T, 3, U64, none, received, "messages", 0, UINT64_MAX, 0, "trades received from the stream")        \
    F(T, 4, U64, none, invalid, "messages", 0, UINT64_MAX, 0,                                            \
        "refused; counted for the venue where no symbol could be read")                                  \
    F(T, 5, U64, none, repeated, "messages", 0, UINT64_MAX, 0, "trades that came again")                 \
    F(T, 6, U64, none, reordered, "messages", 0, UINT64_MAX, 0, "trades that came after a later one")    \
    F(T, 7, U64, none, missing, "trades", 0, UINT64_MAX, 0, "trades that the stream has not given")      \
    F(T, 8, U64, none, repaired, "trades", 0, UINT64_MAX, 0, "of these, given by REST")                  \
    F(T, 9, U64, none, suspect, "trades", 0, UINT64_MAX, 0, "trades held back as suspect")               \
    F(T, 10, I64, none, silence, "ns", 0, INT64_MAX, 0, "of the minute, without a link to the venue")    \
    F(T, 11, I64, none, latency_p50, "ns", INT64_MIN, INT64_MAX, 0,                                      \
        "median of receive time - venue time; negative is no error")                                     \
    F(T, 12, I64, none, latency_p99, "ns", INT64_MIN, INT64_MAX, 0, "99 of 100 trades took no longer")   \
    F(T, 13, I64, none, latency_max, "ns", INT64_MIN, INT64_MAX, 0, "the greatest")                      \
    F(T, 14, U64, none, timed, "trades", 0, UINT64_MAX, 0, "first deliveries, of which the latencies are; 0: none")

#define KT_FIELDS_minute(F, T)                                                                                         \
    F(T, 1, TIME, none, begin, "ns", 0, INT64_MAX, 0,                                                                  \
        "its first instant; trades from here to before begin + 60 s are in it")                                        \
    F(T, 2, U32, none, revision, "", 1, UINT32_MAX, 1, "2 and more: it changed after it was first told")               \
    F(T, 3, DEC, none, open, "quote", 0, INT64_MAX, 0, "price of the first trade; 0: there was none")                  \
    F(T, 4, DEC, none, high, "quote", 0, INT64_MAX, 0, "greatest price")                                               \
    F(T, 5, DEC, none, low, "quote", 0, INT64_MAX, 0, "least price")                                                   \
    F(T, 6, DEC, none, close, "quote", 0, INT64_MAX, 0, "price of the last trade")                                     \
    F(T, 7, DEC, none, vwap, "quote", 0, INT64_MAX, 0,                                                                 \
        "average price by volume at the instrument's scale + 2, half to even")                                         \
    F(T, 8, SUM, none, volume, "base", 0, INT64_MAX, 0, "sum of the quantities, exact")                                \
    F(T, 9, U64, none, trades, "trades", 0, UINT64_MAX, 0, "how many")                                                 \
    F(T, 10, BOOL, none, complete, "", 0, 1, 0, "nothing of it is known to be missing")                                \
    F(T, 11, ENUM, agreement, told, "", 0, 2, 0,                                                                       \
        "whether the venue's own minute is the same: its values follow, cut to its digits")                            \
    F(T, 12, DEC, none, told_open, "quote", 0, INT64_MAX, 0, "as the venue has it; 0: not told")                       \
    F(T, 13, DEC, none, told_high, "quote", 0, INT64_MAX, 0, "as the venue has it")                                    \
    F(T, 14, DEC, none, told_low, "quote", 0, INT64_MAX, 0, "as the venue has it")                                     \
    F(T, 15, DEC, none, told_close, "quote", 0, INT64_MAX, 0, "as the venue has it")                                   \
    F(T, 16, DEC, none, told_vwap, "quote", 0, INT64_MAX, 0, "as the venue cuts or rounds it")                         \
    F(T, 17, DEC, none, told_volume, "base", 0, INT64_MAX, 0, "as the venue has it")                                   \
    F(T, 18, U64, none, told_trades, "trades", 0, UINT64_MAX, 0, "as the venue has it")                                \
    F(T, 19, U64, none, compared, "minutes", 0, UINT64_MAX, 0, "minutes of the symbol so far that the venue told too") \
    F(T, 20, U64, none, different, "minutes", 0, UINT64_MAX, 0, "of these, not the same")

#define KT_FIELDS_lane_start(F, T)                                                                                \
    F(T, 1, TEXT, none, lane, "", 1, 64, 0, "which lane")                                                         \
    F(T, 2, U64, none, generation, "", 1, UINT64_MAX, 1, "1 for the first start on this log, then one more each") \
    F(T, 3, U32, none, logic, "", 0, UINT32_MAX, 0,                                                               \
        "version of the services' logic: outputs of another are not compared")                                    \
    F(T, 4, U64, none, seed, "", 0, UINT64_MAX, 0, "of the randomness of this run")                               \
    F(T, 5, U64, none, schema_hash, "", 0, UINT64_MAX, 0, "of the program's tables")                              \
    F(T, 6, TEXT, none, config, "", 0, 65535, 0, "the configuration in its canonical form")                       \
    F(T, 7, TEXT, none, version, "", 0, 64, 0, "of the program")

#define KT_FIELDS_admit(F, T)                                    \
    F(T, 1, TEXT, none, log, "", 1, 64, 0, "which log")          \
    F(T, 2, U64, none, epoch, "", 0, UINT64_MAX, 0, "its epoch") \
    F(T, 3, U64, none, up_to, "", 0, UINT64_MAX, 0, "its records up to this seq apply now")

#define KT_FIELDS_set_aside(F, T)                                                            \
    F(T, 1, TEXT, none, log, "", 0, 64, 0, "which log; empty: a raw message, see hash")      \
    F(T, 2, U64, none, seq, "", 0, UINT64_MAX, 0, "the record that is not applied any more") \
    F(T, 3, TEXT, none, reason, "", 0, 256, 0, "why")                                        \
    F(T, 4, TEXT, none, lane, "", 0, 64, 0, "which lane it killed")                          \
    F(T, 5, U32, none, deaths, "", 0, UINT32_MAX, 0, "how often")                            \
    F(T, 6, U64, none, hash, "", 0, UINT64_MAX, 0, "a raw message with this hash is not decoded any more")

#define KT_FIELDS_divergence(F, T)                                                                          \
    F(T, 1, U64, none, input_seq, "", 0, UINT64_MAX, 0, "the input whose outputs differ")                   \
    F(T, 2, U64, none, output_seq, "", 0, UINT64_MAX, 0, "the output that stands in the log; 0: none does") \
    F(T, 3, TEXT, none, expected, "", 0, 512, 0, "what stands in the log")                                  \
    F(T, 4, TEXT, none, made, "", 0, 512, 0, "what was made when the input was applied again")              \
    F(T, 5, TEXT, none, lane, "", 0, 64, 0, "which lane")

#define KT_FIELDS_lost(F, T)                                                           \
    F(T, 1, TEXT, none, log, "", 1, 64, 0, "which log")                                \
    F(T, 2, U64, none, from_seq, "", 0, UINT64_MAX, 0, "first record lost")            \
    F(T, 3, U64, none, to_seq, "", 0, UINT64_MAX, 0, "last record lost; 0: not known") \
    F(T, 4, TEXT, none, reason, "", 0, 256, 0, "why")                                  \
    F(T, 5, TEXT, none, reader, "", 0, 64, 0, "whose cursor was cut off, or empty: everybody's loss")

#define KT_FIELDS_kv(F, T)                                                                                     \
    F(T, 1, TEXT, none, key, "", 1, 255, 0, "key")                                                             \
    F(T, 2, BYTES, none, value, "", 0, 65535, 0, "value")                                                      \
    F(T, 3, U64, none, revision, "", 1, UINT64_MAX, 1, "1 for the first value of the key, then one more each") \
    F(T, 4, BOOL, none, removed, "", 0, 1, 0, "the key is gone")

#define KT_FIELDS_settings(F, T)                                                                        \
    F(T, 1, TEXT, none, section, "", 1, 64, 0, "first part of its keys")                                \
    F(T, 2, TEXT, none, lane, "", 1, 64, 0, "lane that applies them")                                   \
    F(T, 3, U64, none, revision, "", 0, UINT64_MAX, 0, "of the section in the key-value store")         \
    F(T, 4, TEXT, none, settings, "", 0, 4096, 0, "object of JSON that holds from now on; empty: none") \
    F(T, 5, TEXT, none, refused, "", 0, 255, 0, "why the change was not taken; empty: it was")

#define KT_FIELDS_lane_state(F, T)                                                       \
    F(T, 1, TEXT, none, lane, "", 1, 64, 0, "which lane")                                \
    F(T, 2, ENUM, lane_state, state, "", 0, 6, 0, "what became of it")                   \
    F(T, 3, U32, none, pid, "", 0, UINT32_MAX, 0, "its process")                         \
    F(T, 4, U32, none, restarts, "", 0, UINT32_MAX, 0, "how often it was started again") \
    F(T, 5, TEXT, none, reason, "", 0, 256, 0, "why")                                    \
    F(T, 6, U64, none, progress, "", 0, UINT64_MAX, 0, "inputs that it had applied")

#define KT_FIELDS_alert(F, T)                                       \
    F(T, 1, ENUM, level, level, "", 0, 4, 0, "how bad")             \
    F(T, 2, TEXT, none, subject, "", 0, 255, 0, "what it is about") \
    F(T, 3, TEXT, none, text, "", 1, 512, 0, "what happened and what to do")

#define KT_FIELDS_call(F, T)                                                              \
    F(T, 1, TEXT, none, action, "", 1, 64, 0, "what is to be done")                       \
    F(T, 2, TEXT, none, caller, "", 0, 64, 0, "the lane that asks")                       \
    F(T, 3, U64, none, call_id, "", 0, UINT64_MAX, 0, "a repeated call has the same one") \
    F(T, 4, BYTES, none, params, "", 0, 65535, 0, "parameters, JSON")

#define KT_FIELDS_note(F, T) F(T, 1, TEXT, none, text, "", 1, 4096, 0, "what everybody is told")

/* E(kind, NAME, name, subject, text) */
#define KT_EVENT_MAP(E)                                                                                              \
    E(1, TICK, tick, "feed.{venue}.{symbol}", "a trade as the venue's stream gave it")                               \
    E(2, INVALID, invalid, "feed.{venue}.invalid", "a message that was refused")                                     \
    E(3, LINK, link, "feed.{venue}.link", "the connection to a venue changed")                                       \
    E(4, INSTRUMENT, instrument, "instrument.{venue}.{symbol}", "what is traded, and in which steps")                \
    E(5, REQUEST, request, "request.{venue}", "a question to a venue's REST interface, to be asked at the live end") \
    E(6, ANSWER, answer, "answer.{venue}", "what the venue's REST interface answered")                               \
    E(7, TIMER, timer, "timer.{service}", "a timer fired")                                                           \
    E(8, TRADE, trade, "trades.{venue}.{symbol}", "a trade, checked; again when REST confirms or changes it")        \
    E(9, WATERMARK, watermark, "watermark.{venue}.{symbol}", "how far REST has confirmed the trades")                \
    E(10, VWAP, vwap, "vwap.{window}.{venue}.{symbol}",                                                              \
        "volume-weighted average price; a composite's subject ends in its ticker")                                   \
    E(11, CORRECTION, correction, "correction.{window}.{venue}.{symbol}", "published values changed")                \
    E(12, FEED_STATS, feed_stats, "stats.{venue}.{symbol}",                                                          \
        "what a feed gave and what was wrong with it, since the start")                                              \
    E(13, BOOK, book, "book.{venue}.{symbol}", "a book, or what changed in it")                                      \
    E(14, TICKER, ticker, "ticker.{venue}.{symbol}", "best bid and ask as the venue gives them")                     \
    E(15, CANDLE, candle, "candle.{venue}.{interval}.{symbol}",                                                      \
        "open, high, low, close and volume of an interval as the venue gives them, again while it lasts")            \
    E(16, QUALITY, quality, "quality.{venue}.{symbol}",                                                              \
        "what was wrong with a feed's trades in a minute; again when that changes")                                  \
    E(17, MINUTE, minute, "minute.{venue}.{symbol}",                                                                 \
        "a minute made of the trades that REST confirmed, beside the venue's own; again when it changes")            \
    E(100, LANE_START, lane_start, "lane.start.{lane}", "a lane starts or starts again")                             \
    E(101, ADMIT, admit, "lane.admit.{log}", "records of another log apply now")                                     \
    E(102, SET_ASIDE, set_aside, "house.set_aside",                                                                  \
        "a record that killed a lane again and again is not applied any more")                                       \
    E(103, DIVERGENCE, divergence, "house.divergence", "an input applied again gave another output")                 \
    E(104, LOST, lost, "house.lost", "records are lost")                                                             \
    E(105, KV, kv, "kv.{key}", "a key of the key-value store changed")                                               \
    E(106, LANE_STATE, lane_state, "house.lane.{lane}", "a lane started, ended, died, waits or was parked")          \
    E(107, ALERT, alert, "house.alert", "somebody should look")                                                      \
    E(108, CALL, call, "call.{action}", "a command that was accepted: applied in the order of the lane's log")       \
    E(109, NOTE, note, "note.{topic}", "what a client or an operator says to everybody")                             \
    E(110, SETTINGS, settings, "settings.{section}", "the configuration changed while the house ran, or did not")

/* What the lists above make */

#define KT_ENUM_TYPE(type, name, map) typedef enum type { map(KT_ENUM_VALUE) } type;
KT_ENUM_MAP(KT_ENUM_TYPE)
#undef KT_ENUM_TYPE

#define KT_ENUM_DECLARE(type, name, map) extern const kt_enum_spec kt_enum_##name;
KT_ENUM_MAP(KT_ENUM_DECLARE)
#undef KT_ENUM_DECLARE

#define KT_ROW_STRUCT(name, text)        \
    typedef struct kt_row_##name {       \
        KT_ROW_##name(KT_FIELD_MEMBER, ) \
    } kt_row_##name;                     \
    extern const kt_table kt_row_table_##name;
KT_ROW_MAP(KT_ROW_STRUCT)
#undef KT_ROW_STRUCT

#define KT_EVENT_KIND(kind, NAME, name, subject, text) KT_EV_##NAME = kind,
typedef enum kt_event_kind { KT_EVENT_MAP(KT_EVENT_KIND) } kt_event_kind;
#undef KT_EVENT_KIND

#define KT_EVENT_STRUCT(kind, NAME, name, subject, text) \
    typedef struct kt_ev_##name {                        \
        KT_FIELDS_##name(KT_FIELD_MEMBER, )              \
    } kt_ev_##name;
KT_EVENT_MAP(KT_EVENT_STRUCT)
#undef KT_EVENT_STRUCT

#define KT_EVENT_MEMBER(kind, NAME, name, subject, text) kt_ev_##name name;
typedef union kt_event_any {
    KT_EVENT_MAP(KT_EVENT_MEMBER)
} kt_event_any; /* room for any event */
#undef KT_EVENT_MEMBER

typedef struct kt_event_spec {
    uint16_t kind;
    const char *subject; /* how its subjects are made */
    kt_table table;
} kt_event_spec;

extern const kt_event_spec kt_events[];
extern const uint32_t kt_event_count;

/* NULL: unknown here, probably a newer program's; the reader skips it and counts it. */
const kt_event_spec *kt_event_by_kind(uint16_t kind);
const kt_event_spec *kt_event_by_name(kt_text name);

/* As kt_table_init, _encode, _decode, by kind. KT_NOENT: unknown kind. kt_event_init asserts that the kind is known. */
void kt_event_init(uint16_t kind, void *out_event);
kt_code kt_event_encode(uint16_t kind, const void *event, void *buf, uint32_t size, uint32_t *out_size);
kt_code kt_event_decode(uint16_t kind, const void *payload, uint32_t size, void *out_event);

/* Hash of all tables of events and rows (numbers, names, types): each segment carries it, so that one can see which
 * program wrote. */
uint64_t kt_schema_hash(void);

#endif
