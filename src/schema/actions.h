/* schema/actions.h - every action: what can be asked, with which parameters, what the answer holds, what can go wrong.
 *
 * One row says an action (KT_ACTION_MAP). Its tables of parameters and of the answer give kt_params_{NAME} and
 * kt_response_{NAME} (schema/table.h). REST, WebSocket, the command line, calls between lanes, /openapi.json, the types
 * of the page and help read the same rows.
 *
 * Path      /v1/ and the name with slashes: vwap.latest is GET /v1/vwap/latest. `alias` is a second path that was there
 *           before.
 * Params    of GET in the query, of POST a JSON object. A parameter whose default is not among the allowed values must be
 *           given.
 * Lane      that answers. What the edge answers itself never leaves its process.
 * Scope     what the caller must be allowed: `read`, or `operate` for what changes something (edge/gate.h).
 * Cost      tokens of the rate limit that one call takes (edge/gate.h), at most KT_CONFIG_BURST_MIN.
 * Time      how long a caller waits who does not say.
 * Repeats   the same call twice is the same as once: it may be sent again when its outcome is not known.
 * Errors    those of the action itself; KT_COMMON_ERROR_MAP has those that every action has. The code is what travels
 *           between lanes and stands in the answer, kt_code_status() its HTTP status.
 */
#ifndef KT_SCHEMA_ACTIONS_H
#define KT_SCHEMA_ACTIONS_H

#include "schema/events.h"

/* E(number, C name, name in JSON) */
#define KT_SCOPE_MAP(E)               \
    E(0, KT_SCOPE_UNKNOWN, "unknown") \
    E(1, KT_SCOPE_READ, "read")       \
    E(2, KT_SCOPE_OPERATE, "operate")

#define KT_BREAKER_MAP(E)             \
    E(0, KT_BREAKER_CLOSED, "closed") \
    E(1, KT_BREAKER_OPEN, "open")     \
    E(2, KT_BREAKER_HALF_OPEN, "half-open")

/* What of a minute's quality is looked at; of latency the 99th percentile. */
#define KT_MEASURE_MAP(E)                   \
    E(0, KT_MEASURE_UNKNOWN, "unknown")     \
    E(1, KT_MEASURE_MISSING, "missing")     \
    E(2, KT_MEASURE_REPAIRED, "repaired")   \
    E(3, KT_MEASURE_INVALID, "invalid")     \
    E(4, KT_MEASURE_REPEATED, "repeated")   \
    E(5, KT_MEASURE_REORDERED, "reordered") \
    E(6, KT_MEASURE_SUSPECT, "suspect")     \
    E(7, KT_MEASURE_SILENCE, "silence")     \
    E(8, KT_MEASURE_LATENCY, "latency")

#define KT_ACTION_ENUM_MAP(M)              \
    M(kt_scope, scope, KT_SCOPE_MAP)       \
    M(kt_breaker, breaker, KT_BREAKER_MAP) \
    M(kt_measure, measure, KT_MEASURE_MAP)

/* What any action may be answered with. C(code, when) */
#define KT_COMMON_ERROR_MAP(C)                                                                                         \
    C(SYNTAX, "the parameters are no JSON object, or not percent-encoded as they should be")                           \
    C(TYPE, "a parameter is of another type; the message names it and what is allowed")                                \
    C(RANGE, "a parameter is missing or out of range; the message names it and what is allowed")                       \
    C(TWICE, "a parameter is given twice")                                                                             \
    C(ARG, "there is no such parameter; the message lists those there are")                                            \
    C(LIMIT, "parameters or answer are larger than what is carried; ask for less")                                     \
    C(RATE, "the client has called too much; see Retry-After")                                                         \
    C(TIMEOUT, "the deadline has passed; whether it was done is not known")                                            \
    C(BUSY, "the lane that answers is not running, has failed too often or has too much to do; try again in a second") \
    C(UNKNOWN, "the lane that answers was started anew meanwhile; whether it was done is not known")

/* What those of scope `operate` have beside these. */
#define KT_OPERATE_ERROR(E) E(DENIED, "a web page that is not the house's own asks")

/* ---- prices ---- */

#define KT_PARAMS_vwap_latest(F, T) F(T, 1, TEXT, none, ticker, "", 1, 128, 0, "ticker as configured, such as BTC")

#define KT_RESPONSE_vwap_latest(F, T)                                                                      \
    F(T, 1, TEXT, none, ticker, "", 1, 128, 0, "as asked")                                                 \
    F(T, 2, DEC, none, price, "quote", 0, INT64_MAX, 0, "volume-weighted average price over the interval") \
    F(T, 3, TIME_MS, none, ts, "ms", 0, INT64_MAX, 0, "its mark: the whole second at which the window ends")

#define KT_ERRORS_vwap_latest(E) \
    E(NOENT, "there is no such ticker, or no price of it yet; the message lists those that have one")

#define KT_PARAMS_vwap_historical(F, T)                                                  \
    F(T, 1, TEXT, none, ticker, "", 1, 128, 0, "ticker as configured, such as BTC")      \
    F(T, 2, TIME_MS, none, ts, "ms", 0, INT64_MAX, -1, "mark, a whole second; required") \
    F(T, 3, U64, none, interval, "ms", 0, 86400000, 0,                                   \
        "length of the window, one that is configured; 0: the configured interval")

#define KT_RESPONSE_vwap_historical(F, T)                                       \
    F(T, 1, TEXT, none, ticker, "", 1, 128, 0, "as asked")                      \
    F(T, 2, DEC, none, vwap, "quote", 0, INT64_MAX, 0,                          \
        "volume-weighted average price over [ts - interval, ts], both ends in") \
    F(T, 3, TIME_MS, none, ts, "ms", 0, INT64_MAX, 0, "as asked")

#define KT_ERRORS_vwap_historical(E) \
    E(NOENT,                         \
        "there is no such ticker, or no value of that mark is stored: no trade in its window, or not recorded (yet)")

#define KT_ROW_vwap_point(F, T)                                                                                    \
    F(T, 1, TIME, none, mark, "ns", 0, INT64_MAX, 0, "mark of `price`: the last one of the step that has a value") \
    F(T, 2, DEC, none, price, "quote", 0, INT64_MAX, 0, "value at the mark")                                       \
    F(T, 3, DEC, none, low, "quote", 0, INT64_MAX, 0, "least value within the step")                               \
    F(T, 4, DEC, none, high, "quote", 0, INT64_MAX, 0, "greatest value within the step")                           \
    F(T, 5, U64, none, trades, "trades", 0, UINT64_MAX, 0, "trades in the window at the mark")                     \
    F(T, 6, BOOL, none, validated, "", 0, 1, 0, "every value of the step is validated")                            \
    F(T, 7, BOOL, none, complete, "", 0, 1, 0, "in no window of the step anything is known to be missing")         \
    F(T, 8, U32, none, revision, "", 0, UINT32_MAX, 0, "greatest revision within the step; 2 and more: corrected")

#define KT_PARAMS_vwap_history(F, T)                                                                  \
    F(T, 1, TEXT, none, venue, "", 0, 64, 0, "venue; empty: a composite, whose ticker is the symbol") \
    F(T, 2, TEXT, none, symbol, "", 1, 128, 0, "spelled as ccxt does: BTC/USDT")                      \
    F(T, 3, TEXT, none, window, "", 2, 16, 0, "window as configured, such as 5m")                     \
    F(T, 4, TIME, none, from, "ns", 0, INT64_MAX, -1, "first mark")                                   \
    F(T, 5, TIME, none, to, "ns", 0, INT64_MAX, -1, "last mark")                                      \
    F(T, 6, U32, none, points, "rows", 1, 4000, 1000, "at most so many rows: the resolution is the finest that fits")

#define KT_RESPONSE_vwap_history(F, T)                                                                                \
    F(T, 1, I64, none, step, "ns", 1, INT64_MAX, 1, "marks that one row stands for, in whole seconds of market time") \
    F(T, 2, TIME, none, oldest, "ns", 0, INT64_MAX, 0, "first mark that is stored of this window; 0: none")           \
    F(T, 3, ROWS, vwap_point, rows, "", 0, 4000, 0, "in order of their marks; steps without a value are left out")    \
    F(T, 4, BOOL, none, sampled, "", 0, 1, 0,                                                                         \
        "the range is longer than a week: each row is the last mark of its step alone")

#define KT_ERRORS_vwap_history(E)                                                           \
    E(NOENT, "there is no such venue, symbol or window; the message lists those there are") \
    E(ARG, "`to` lies before `from`")

#define KT_ROW_trade_point(F, T)                                                                    \
    F(T, 1, TIME, none, time, "ns", 0, INT64_MAX, 0, "start of the step; with step 0 of the trade") \
    F(T, 2, DEC, none, open, "quote", 0, INT64_MAX, 0, "price of the first trade")                  \
    F(T, 3, DEC, none, high, "quote", 0, INT64_MAX, 0, "greatest price")                            \
    F(T, 4, DEC, none, low, "quote", 0, INT64_MAX, 0, "least price")                                \
    F(T, 5, DEC, none, close, "quote", 0, INT64_MAX, 0, "price of the last trade")                  \
    F(T, 6, SUM, none, quantity, "base", 0, INT64_MAX, 0, "sum of the quantities, exact")           \
    F(T, 7, U64, none, trades, "trades", 0, UINT64_MAX, 0, "how many trades")                       \
    F(T, 8, U64, none, buys, "trades", 0, UINT64_MAX, 0, "of these, those whose taker bought")      \
    F(T, 9, BOOL, none, validated, "", 0, 1, 0, "REST has confirmed each of them")

#define KT_PARAMS_trades_history(F, T)                                           \
    F(T, 1, TEXT, none, venue, "", 1, 64, 0, "venue")                            \
    F(T, 2, TEXT, none, symbol, "", 1, 128, 0, "spelled as ccxt does: BTC/USDT") \
    F(T, 3, TIME, none, from, "ns", 0, INT64_MAX, -1, "first venue time")        \
    F(T, 4, TIME, none, to, "ns", 0, INT64_MAX, -1, "last venue time")           \
    F(T, 5, U32, none, points, "rows", 1, 4000, 1000, "at most so many rows: single trades where they fit, else steps")

#define KT_RESPONSE_trades_history(F, T)                                                           \
    F(T, 1, I64, none, step, "ns", 0, INT64_MAX, 0, "length of one row; 0: each row is one trade") \
    F(T, 2, TIME, none, oldest, "ns", 0, INT64_MAX, 0, "first trade that is stored; 0: none")      \
    F(T, 3, ROWS, trade_point, rows, "", 0, 4000, 0, "in order of time; steps without a trade are left out")

#define KT_ERRORS_trades_history(E)                                                 \
    E(NOENT, "there is no such venue or symbol; the message lists those there are") \
    E(ARG, "`to` lies before `from`")

#define KT_PARAMS_book_snapshot(F, T)                                            \
    F(T, 1, TEXT, none, venue, "", 1, 64, 0, "venue")                            \
    F(T, 2, TEXT, none, symbol, "", 1, 128, 0, "spelled as ccxt does: BTC/USDT") \
    F(T, 3, U32, none, depth, "levels", 1, 1000, 20, "at most so many levels of each side")

#define KT_RESPONSE_book_snapshot(F, T)                                                               \
    F(T, 1, U64, none, sequence, "", 0, UINT64_MAX, 0, "the venue's number of the last update in it") \
    F(T, 2, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue made that update")         \
    F(T, 3, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when it reached us")                    \
    F(T, 4, ROWS, level, bids, "", 0, 1000, 0, "greatest price first")                                \
    F(T, 5, ROWS, level, asks, "", 0, 1000, 0, "least price first")

#define KT_ERRORS_book_snapshot(E)                                                  \
    E(NOENT, "there is no such venue or symbol; the message lists those there are") \
    E(EMPTY, "its book is being read anew: it comes back with the next snapshot")

#define KT_PARAMS_ticker_latest(F, T)                 \
    F(T, 1, TEXT, none, venue, "", 1, 64, 0, "venue") \
    F(T, 2, TEXT, none, symbol, "", 1, 128, 0, "spelled as ccxt does: BTC/USDT")

#define KT_RESPONSE_ticker_latest(F, T)                                                                          \
    F(T, 1, DEC, none, bid, "quote", 0, INT64_MAX, 0, "best bid")                                                \
    F(T, 2, DEC, none, bid_quantity, "base", 0, INT64_MAX, 0, "quantity at it")                                  \
    F(T, 3, DEC, none, ask, "quote", 0, INT64_MAX, 0, "best ask")                                                \
    F(T, 4, DEC, none, ask_quantity, "base", 0, INT64_MAX, 0, "quantity at it")                                  \
    F(T, 5, TIME, none, venue_time, "ns", 0, INT64_MAX, 0, "when the venue says that it was so; 0: it does not") \
    F(T, 6, TIME, none, receive_time, "ns", 0, INT64_MAX, 0, "when it reached us")

#define KT_ERRORS_ticker_latest(E)                                                  \
    E(NOENT, "there is no such venue or symbol; the message lists those there are") \
    E(EMPTY, "the venue has not said it yet")

/* ---- quality ---- */

#define KT_ROW_quality_strip(F, T)                                                                                \
    F(T, 1, TEXT, none, venue, "", 1, 64, 0, "venue")                                                             \
    F(T, 2, TEXT, none, symbol, "", 0, 128, 0, "spelled as ccxt does: BTC/USDT; empty: messages that named none") \
    F(T, 3, TEXT, none, cells, "", 0, 4000, 0,                                                                    \
        "a digit for each step of time: the worst minute in it as `steps` has it; -: no feed")                    \
    F(T, 4, I64, none, total, "", INT64_MIN, INT64_MAX, 0,                                                        \
        "of the measure, over the range: a sum; of latency, in ns, the greatest")                                 \
    F(T, 5, U64, none, received, "messages", 0, UINT64_MAX, 0, "over the range")

#define KT_PARAMS_quality_history(F, T)                                        \
    F(T, 1, TEXT, none, venue, "", 0, 64, 0, "venue; empty: all")              \
    F(T, 2, TEXT, none, symbol, "", 0, 128, 0, "part of a symbol; empty: all") \
    F(T, 3, ENUM, measure, measure, "", 1, 8, 1, "what is looked at")          \
    F(T, 4, TIME, none, from, "ns", 0, INT64_MAX, -1, "first minute")          \
    F(T, 5, TIME, none, to, "ns", 0, INT64_MAX, -1, "last minute")             \
    F(T, 6, U32, none, points, "cells", 1, 4000, 1440,                         \
        "at most so many cells of a symbol: the resolution is the finest that fits")

#define KT_RESPONSE_quality_history(F, T)                                                         \
    F(T, 1, I64, none, step, "ns", 1, INT64_MAX, 60000000000, "minutes that one cell stands for") \
    F(T, 2, TIME, none, start, "ns", 0, INT64_MAX, 0, "of the first cell")                        \
    F(T, 3, TEXTS, none, steps, "", 0, 5, 0,                                                      \
        "what 0 to 4 in `cells` mean; percent of the messages that came or should have come")     \
    F(T, 4, ROWS, quality_strip, rows, "", 0, 200, 0, "by venue and symbol")                      \
    F(T, 5, BOOL, none, complete, "", 0, 1, 0, "false: there are more symbols, ask for a part or for fewer points")

#define KT_ERRORS_quality_history(E) E(ARG, "`to` lies before `from`")

#define KT_ROW_quality_minute(F, T) KT_FIELDS_quality(F, T)

#define KT_PARAMS_quality_minutes(F, T)                                                                           \
    F(T, 1, TEXT, none, venue, "", 1, 64, 0, "venue")                                                             \
    F(T, 2, TEXT, none, symbol, "", 0, 128, 0, "spelled as ccxt does: BTC/USDT; empty: messages that named none") \
    F(T, 3, TIME, none, from, "ns", 0, INT64_MAX, -1, "first minute")                                             \
    F(T, 4, TIME, none, to, "ns", 0, INT64_MAX, -1, "last minute")                                                \
    F(T, 5, U32, none, limit, "minutes", 1, 1440, 60, "at most so many")

#define KT_RESPONSE_quality_minutes(F, T)                                                                 \
    F(T, 1, ROWS, quality_minute, rows, "", 0, 1440, 0, "in order; minutes that nobody saw are left out") \
    F(T, 2, BOOL, none, complete, "", 0, 1, 0, "false: cut at `limit`")

#define KT_ERRORS_quality_minutes(E) E(ARG, "`to` lies before `from`")

/* ---- channels ---- */

#define KT_PARAMS_health(F, T)

#define KT_RESPONSE_health(F, T) F(T, 1, TEXT, none, status, "", 0, 16, 0, "OK while the edge answers")

#define KT_ERRORS_health(E)

#define KT_ROW_channel(F, T)                                                                 \
    F(T, 1, TEXT, none, channel, "", 1, 255, 0, "name: the subject of its events")           \
    F(T, 2, TEXT, none, log, "", 1, 64, 0, "log that it stands in")                          \
    F(T, 3, TEXT, none, epoch, "", 16, 16, 0, "epoch of the offsets, 16 hexadecimal digits") \
    F(T, 4, U64, none, offset, "", 0, UINT64_MAX, 0, "of its newest event")

#define KT_PARAMS_channels(F, T) \
    F(T, 1, TEXT, none, pattern, "", 0, 255, 0, "which ones: * is one token, > the rest; empty: all")

#define KT_RESPONSE_channels(F, T)                                       \
    F(T, 1, ROWS, channel, channels, "", 0, 1000, 0, "those that match") \
    F(T, 2, BOOL, none, complete, "", 0, 1, 0, "false: there are more, ask with a narrower pattern")

#define KT_ERRORS_channels(E)

#define KT_PARAMS_event_emit(F, T)                                                                         \
    F(T, 1, TEXT, none, topic, "", 1, 64, 0, "the note appears on channel note.{topic}; tokens with dots") \
    F(T, 2, TEXT, none, text, "", 1, 4096, 0, "what everybody is told")

#define KT_RESPONSE_event_emit(F, T)                                         \
    F(T, 1, TEXT, none, channel, "", 1, 255, 0, "channel that it stands in") \
    F(T, 2, U64, none, seq, "", 1, UINT64_MAX, 1, "of its record in log edge")

#define KT_ERRORS_event_emit(E) \
    KT_OPERATE_ERROR(E)         \
    E(FULL, "log edge takes nothing in at present: its disk is full")

/* ---- the house itself ---- */

#define KT_ROW_node(F, T)                                                                        \
    F(T, 1, TEXT, none, node, "", 1, 64, 0, "name")                                              \
    F(T, 2, TEXT, none, version, "", 1, 64, 0, "of the program")                                 \
    F(T, 3, U32, none, pid, "", 0, UINT32_MAX, 0, "process of the supervisor; 0: there is none") \
    F(T, 4, TIME, none, since, "ns", 0, INT64_MAX, 0, "start of the supervisor")                 \
    F(T, 5, TEXT, none, data, "", 0, 4096, 0, "folder of its logs and its store")                \
    F(T, 6, U32, none, lanes, "lanes", 0, 64, 0, "lanes that it has")                            \
    F(T, 7, U32, none, live, "lanes", 0, 64, 0, "of these, live now")                            \
    F(T, 8, U32, none, restarts, "", 0, UINT32_MAX, 0, "of all lanes, since the supervisor's start")

#define KT_PARAMS_node_list(F, T)

#define KT_RESPONSE_node_list(F, T) F(T, 1, ROWS, node, nodes, "", 0, 64, 0, "each `kontor run` that is known here")

#define KT_ERRORS_node_list(E)

#define KT_ROW_service(F, T)                                                                                         \
    F(T, 1, TEXT, none, service, "", 1, 64, 0, "first part of its actions' names, or its own where it answers none") \
    F(T, 2, TEXT, none, lane, "", 0, 64, 0, "lane that hosts it")                                                    \
    F(T, 3, BOOL, none, available, "", 0, 1, 0, "it is there now")                                                   \
    F(T, 4, TEXTS, none, actions, "", 0, 64, 0, "what it answers in that lane")

#define KT_PARAMS_node_services(F, T)

#define KT_RESPONSE_node_services(F, T) \
    F(T, 1, ROWS, service, services, "", 0, 64, 0, "those that answer actions first")

#define KT_ERRORS_node_services(E)

#define KT_ROW_action(F, T)                                                                                     \
    F(T, 1, TEXT, none, action, "", 1, 64, 0, "name")                                                           \
    F(T, 2, TEXT, none, text, "", 1, 256, 0, "what it gives")                                                   \
    F(T, 3, TEXT, none, method, "", 3, 4, 0, "of HTTP")                                                         \
    F(T, 4, TEXT, none, path, "", 1, 64, 0, "of HTTP")                                                          \
    F(T, 5, TEXT, none, lane, "", 1, 64, 0, "lane that answers")                                                \
    F(T, 6, ENUM, scope, scope, "", 0, 2, 0, "what a caller must be allowed")                                   \
    F(T, 7, U32, none, cost, "tokens", 0, 1000, 1, "of the rate limit, for one call")                           \
    F(T, 8, BOOL, none, repeats, "", 0, 1, 0, "a call whose outcome is not known is sent again")                \
    F(T, 9, BOOL, none, available, "", 0, 1, 0, "somebody answers it now")                                      \
    F(T, 10, ENUM, breaker, breaker, "", 0, 2, 0, "whether calls go through")                                   \
    F(T, 11, U64, none, calls, "calls", 0, UINT64_MAX, 0, "answered since the edge started, errors included")   \
    F(T, 12, U64, none, errors, "calls", 0, UINT64_MAX, 0, "of these, answered with an error")                  \
    F(T, 13, U64, none, retries, "calls", 0, UINT64_MAX, 0, "sent again")                                       \
    F(T, 14, U32, none, open, "calls", 0, UINT32_MAX, 0, "under way or waiting now")                            \
    F(T, 15, U64, none, p50, "ns", 0, UINT64_MAX, 0, "median time from the call to its answer; 0: no call yet") \
    F(T, 16, U64, none, p99, "ns", 0, UINT64_MAX, 0, "99 of 100 calls were answered within it")                 \
    F(T, 17, U64, none, refused, "calls", 0, UINT64_MAX, 0, "turned away for their rate or scope, not among `calls`")

#define KT_PARAMS_node_actions(F, T)

#define KT_RESPONSE_node_actions(F, T) F(T, 1, ROWS, action, actions, "", 0, 256, 0, "each action of the house")

#define KT_ERRORS_node_actions(E)

#define KT_ROW_lane(F, T)                                                                                  \
    F(T, 1, TEXT, none, lane, "", 1, 64, 0, "name, of the lane and of its log")                            \
    F(T, 2, TEXT, none, state, "", 1, 16, 0, "absent, starting, live, stopping, stopped, waiting, parked") \
    F(T, 3, U32, none, pid, "", 0, UINT32_MAX, 0, "its process; 0: none")                                  \
    F(T, 4, U32, none, generation, "", 0, UINT32_MAX, 0, "starts under this supervisor")                   \
    F(T, 5, U32, none, restarts, "", 0, UINT32_MAX, 0, "starts after a death")                             \
    F(T, 6, TEXT, none, reason, "", 0, 256, 0, "why it ended last; empty: it did not")                     \
    F(T, 7, TIME, none, since, "ns", 0, INT64_MAX, 0, "live since; 0: it is not")                          \
    F(T, 8, U64, none, cpu, "ns", 0, UINT64_MAX, 0, "processor time that its process has taken")           \
    F(T, 9, U64, none, rss, "bytes", 0, UINT64_MAX, 0, "memory of its process that is resident")           \
    F(T, 10, U64, none, inputs, "", 0, UINT64_MAX, 0, "last record of its own log that it has applied")

#define KT_PARAMS_node_lanes(F, T)

#define KT_RESPONSE_node_lanes(F, T) F(T, 1, ROWS, lane, lanes, "", 0, 64, 0, "each lane of this node")

#define KT_ERRORS_node_lanes(E)

#define KT_ROW_log_reader(F, T)                                                                                     \
    F(T, 1, TEXT, none, reader, "", 1, 64, 0, "a lane, or the name of a durable cursor")                            \
    F(T, 2, BOOL, none, cursor, "", 0, 1, 0, "a durable cursor: the log keeps what it has not acknowledged")        \
    F(T, 3, U64, none, position, "", 0, UINT64_MAX, 0, "last record that it has")                                   \
    F(T, 4, U64, none, lag, "records", 0, UINT64_MAX, 0, "records behind it that are written")                      \
    F(T, 5, BOOL, none, awake, "", 0, 1, 0, "its lane works; false: sleeps until something comes, or is not there") \
    F(T, 6, U64, none, held, "bytes", 0, UINT64_MAX, 0, "of the log, kept for it: a cursor's only")

#define KT_ROW_log(F, T)                                                                              \
    F(T, 1, TEXT, none, log, "", 1, 64, 0, "name")                                                    \
    F(T, 2, TEXT, none, epoch, "", 16, 16, 0, "16 hexadecimal digits")                                \
    F(T, 3, U64, none, first, "", 0, UINT64_MAX, 0, "seq of the first record that is there; 0: none") \
    F(T, 4, U64, none, written, "", 0, UINT64_MAX, 0, "seq of the last record that is written")       \
    F(T, 5, U64, none, durable, "", 0, UINT64_MAX, 0, "seq of the last record that is on disk")       \
    F(T, 6, U64, none, size, "bytes", 0, UINT64_MAX, 0, "of its segments on disk")                    \
    F(T, 7, ROWS, log_reader, readers, "", 0, 64, 0, "who reads it")

#define KT_PARAMS_node_logs(F, T)

#define KT_RESPONSE_node_logs(F, T) F(T, 1, ROWS, log, logs, "", 0, 64, 0, "each log of this node")

#define KT_ERRORS_node_logs(E)

#define KT_ROW_client(F, T)                                                                             \
    F(T, 1, TEXT, none, address, "", 0, 64, 0, "of its connection, with the port")                      \
    F(T, 2, TIME, none, since, "ns", 0, INT64_MAX, 0, "connected since")                                \
    F(T, 3, U32, none, channels, "channels", 0, UINT32_MAX, 0, "that it hears")                         \
    F(T, 4, U32, none, slow, "channels", 0, UINT32_MAX, 0, "of these, not taken yet what is theirs")    \
    F(T, 5, U64, none, slow_begun, "", 0, UINT64_MAX, 0, "how often it became slow")                    \
    F(T, 6, U64, none, skipped, "events", 0, UINT64_MAX, 0, "that newer ones stood for")                \
    F(T, 7, U64, none, messages, "messages", 0, UINT64_MAX, 0, "queued to it so far, answers included") \
    F(T, 8, U64, none, queued, "bytes", 0, UINT64_MAX, 0, "wait for it, of edge.client_buffer_bytes")   \
    F(T, 9, BOOL, none, compressed, "", 0, 1, 0, "permessage-deflate is agreed")

#define KT_PARAMS_node_clients(F, T) F(T, 1, BOOL, none, slow, "", 0, 1, 0, "only those that are slow now")

#define KT_RESPONSE_node_clients(F, T)                                          \
    F(T, 1, ROWS, client, clients, "", 0, 1000, 0, "of WebSocket, in no order") \
    F(T, 2, BOOL, none, complete, "", 0, 1, 0, "false: there are more")

#define KT_ERRORS_node_clients(E)

/* ---- store ---- */

#define KT_ROW_column(F, T)                                   \
    F(T, 1, TEXT, none, name, "", 0, 256, 0, "of the column") \
    F(T, 2, TEXT, none, type, "", 0, 64, 0, "as declared, or empty")

#define KT_ROW_store_table(F, T)                                                                    \
    F(T, 1, TEXT, none, name, "", 1, 256, 0, "of the table or view")                                \
    F(T, 2, BOOL, none, view, "", 0, 1, 0, "it is a view")                                          \
    F(T, 3, U64, none, row_count, "rows", 0, UINT64_MAX, 0, "of a table; of a view 0: not counted") \
    F(T, 4, ROWS, column, columns, "", 0, 256, 0, "in order")                                       \
    F(T, 5, BOOL, none, exact, "", 0, 1, 0, "row_count is all; false: there are more, or it is a view")

#define KT_PARAMS_store_tables(F, T)

#define KT_RESPONSE_store_tables(F, T)                                               \
    F(T, 1, ROWS, store_table, tables, "", 0, 256, 0, "by name")                     \
    F(T, 2, U64, none, size, "bytes", 0, UINT64_MAX, 0, "of the store on disk")      \
    F(T, 3, U64, none, seq, "", 0, UINT64_MAX, 0, "last record of log market in it") \
    F(T, 4, U64, none, lag, "records", 0, UINT64_MAX, 0, "durable records of log market that are not in it yet")

#define KT_ERRORS_store_tables(E)

#define KT_PARAMS_store_query(F, T)                                      \
    F(T, 1, TEXT, none, sql, "", 1, 8192, 0, "one statement that reads") \
    F(T, 2, U32, none, limit, "rows", 1, 1000, 1000, "at most so many rows")

#define KT_RESPONSE_store_query(F, T)                                                                     \
    F(T, 1, ROWS, column, columns, "", 0, 256, 0, "of the result")                                        \
    F(T, 2, JSON, none, rows, "", 2, 524288, 0,                                                           \
        "array of arrays: per row a text, number or null per column; integers beyond 2^53 and bytes (as " \
        "hexadecimal digits) are texts")                                                                  \
    F(T, 3, BOOL, none, complete, "", 0, 1, 0, "false: cut at `limit` rows or at the size of an answer")  \
    F(T, 4, U64, none, time, "ns", 0, UINT64_MAX, 0, "that it took")

#define KT_ERRORS_store_query(E)                                                               \
    E(SYNTAX, "no SQL, or more than one statement; the message is the store's")                \
    E(ARG, "the statement would change something: writes, ATTACH and pragmas are not allowed") \
    E(LIMIT, "stopped after 2 s, or beyond 64 MB of memory; ask for less")

#define KT_ROW_migration(F, T)                                       \
    F(T, 1, U32, none, version, "", 1, UINT32_MAX, 1, "1, 2, 3 ...") \
    F(T, 2, BOOL, none, applied, "", 0, 1, 0, "the store has it")    \
    F(T, 3, TEXT, none, text, "", 0, 256, 0, "its first line of comment, or empty")

#define KT_PARAMS_store_migrations(F, T)

#define KT_RESPONSE_store_migrations(F, T)                            \
    F(T, 1, U32, none, version, "", 0, UINT32_MAX, 0, "of the store") \
    F(T, 2, ROWS, migration, migrations, "", 0, 256, 0, "those that this program knows")

#define KT_ERRORS_store_migrations(E)

/* ---- configuration ---- */

#define KT_ROW_setting(F, T)                                                                                    \
    F(T, 1, TEXT, none, key, "", 1, 128, 0, "such as edge.silence_ms")                                          \
    F(T, 2, TEXT, none, value, "", 0, 65535, 0, "as it would be given as a flag")                               \
    F(T, 3, TEXT, none, origin, "", 0, 256, 0, "flag, environment, key-value store, file and line, or default") \
    F(T, 4, BOOL, none, live, "", 0, 1, 0, "a change takes effect without a restart")                           \
    F(T, 5, TEXT, none, allowed, "", 0, 256, 0, "what is allowed")                                              \
    F(T, 6, TEXT, none, text, "", 0, 512, 0, "what it does")                                                    \
    F(T, 7, TEXT, none, stays, "", 0, 256, 0, "why a change does not; empty: it does")

#define KT_PARAMS_config_get(F, T) \
    F(T, 1, TEXT, none, section, "", 0, 64, 0, "first part of the keys, such as edge; empty: all")

#define KT_RESPONSE_config_get(F, T)                                              \
    F(T, 1, ROWS, setting, settings, "", 0, 512, 0, "in the order of the schema") \
    F(T, 2, U64, none, revision, "", 0, UINT64_MAX, 0, "of the section in the key-value store; 0: it is not there")

#define KT_ERRORS_config_get(E) E(NOENT, "there is no such section; the message lists those there are")

#define KT_PARAMS_config_put(F, T)                                                                            \
    F(T, 1, TEXT, none, section, "", 1, 64, 0, "such as edge")                                                \
    F(T, 2, JSON, none, settings, "", 2, 65535, 0, "object of new values by key, without the section's name") \
    F(T, 3, I64, none, expected, "", -1, INT64_MAX, -1, "revision that the section must have; 0: none yet; -1: any")

#define KT_RESPONSE_config_put(F, T)                                         \
    F(T, 1, U64, none, revision, "", 1, UINT64_MAX, 1, "of the section now") \
    F(T, 2, TEXTS, none, changed, "", 0, 256, 0, "keys that have another value now")

#define KT_ERRORS_config_put(E)                                                                   \
    KT_OPERATE_ERROR(E)                                                                           \
    E(NOENT, "there is no such section or key; the message lists those there are")                \
    E(ARG, "the change would strand a running service, or needs a restart; the message says why") \
    E(SEQ, "the section has another revision than expected: read it again")

/* ---- the market of our own (`kontor sim`), which answers by itself ---- */

#define KT_ROW_sim_fault(F, T)                                                                            \
    F(T, 1, TEXT, none, fault, "", 1, 64, 0, "name")                                                      \
    F(T, 2, DEC, none, value, "", INT64_MIN, INT64_MAX, 0, "in its unit; 0: off")                         \
    F(T, 3, TEXT, none, unit, "", 1, 64, 0, "share (from 0 to 1), switch, bytes/s, ms or ppm")            \
    F(T, 4, TEXT, none, place, "", 1, 64, 0, "where it applies: stream, book, connection, REST or clock") \
    F(T, 5, U64, none, delivered, "", 0, UINT64_MAX, 0, "how often it came so far")                       \
    F(T, 6, TEXT, none, text, "", 1, 256, 0, "what it does")

#define KT_PARAMS_sim_faults(F, T) \
    F(T, 1, JSON, none, faults, "", 0, 65535, 0, "object of new values by name; what is not named stays as it is")

#define KT_RESPONSE_sim_faults(F, T) F(T, 1, ROWS, sim_fault, faults, "", 0, 256, 0, "each fault, as it is now")

#define KT_ERRORS_sim_faults(E) \
    KT_OPERATE_ERROR(E)         \
    E(ARG, "there is no such fault; the message lists those there are")

/* Rows inside answers. R(name, text) */
#define KT_ACTION_ROW_MAP(R)                                  \
    R(vwap_point, "an average price")                         \
    R(trade_point, "a trade, or the trades of a step")        \
    R(quality_strip, "how good the minutes of a symbol were") \
    R(quality_minute, "how good a minute was")                \
    R(channel, "a channel")                                   \
    R(node, "a node")                                         \
    R(service, "the actions of one name in one lane")         \
    R(action, "an action")                                    \
    R(lane, "a lane")                                         \
    R(log_reader, "who reads a log")                          \
    R(log, "a log")                                           \
    R(client, "who is connected")                             \
    R(column, "a column")                                     \
    R(store_table, "a table of the store")                    \
    R(migration, "a migration of the store")                  \
    R(setting, "a value of the configuration")                \
    R(sim_fault, "what the market of our own breaks")

/* A(NAME, name, lane, method, alias, scope, cost, time_ms, repeats, text) */
#define KT_ACTION_MAP(A)                                                                                               \
    A(vwap_latest, "vwap.latest", "edge", "GET", "/latest", READ, 1, 2000, true,                                       \
        "the latest average price of a ticker")                                                                        \
    A(vwap_historical, "vwap.historical", "keep", "GET", "/historical", READ, 1, 2000, true,                           \
        "the average price of a ticker at a mark")                                                                     \
    A(vwap_history, "vwap.history", "keep", "GET", "", READ, 5, 2000, true,                                            \
        "average prices over a range of time, at the finest resolution that fits")                                     \
    A(trades_history, "trades.history", "keep", "GET", "", READ, 5, 2000, true,                                        \
        "trades over a range of time, at the finest resolution that fits")                                             \
    A(quality_history, "quality.history", "keep", "GET", "", READ, 5, 2000, true,                                      \
        "how good the trades were over a range of time: the worst minute of each step, for each symbol")               \
    A(quality_minutes, "quality.minutes", "keep", "GET", "", READ, 2, 2000, true,                                      \
        "all that is counted of a symbol's minutes")                                                                   \
    A(book_snapshot, "book.snapshot", "market", "GET", "", READ, 2, 2000, true, "the best levels of a book")           \
    A(ticker_latest, "ticker.latest", "market", "GET", "", READ, 1, 2000, true, "the best bid and ask of a symbol")    \
    A(health, "health", "edge", "GET", "", READ, 0, 2000, true, "whether the edge answers")                            \
    A(channels, "channels", "edge", "GET", "", READ, 1, 2000, true, "the channels that can be subscribed to")          \
    A(event_emit, "event.emit", "edge", "POST", "", OPERATE, 5, 2000, false, "say something to everybody who listens") \
    A(node_list, "node.list", "edge", "GET", "", READ, 1, 2000, true, "the nodes of this house")                       \
    A(node_services, "node.services", "edge", "GET", "", READ, 1, 2000, true,                                          \
        "the services of this house, and what they answer")                                                            \
    A(node_actions, "node.actions", "edge", "GET", "", READ, 1, 2000, true, "every action, and how its calls go")      \
    A(node_lanes, "node.lanes", "edge", "GET", "", READ, 1, 2000, true,                                                \
        "the processes of this node, and how they are")                                                                \
    A(node_logs, "node.logs", "edge", "GET", "", READ, 1, 2000, true, "how far each log is, and who reads it")         \
    A(node_clients, "node.clients", "edge", "GET", "", READ, 5, 2000, true,                                            \
        "who is connected over WebSocket, and how slow they are")                                                      \
    A(store_tables, "store.tables", "keep", "GET", "", READ, 5, 4000, true, "what is in the store")                    \
    A(store_query, "store.query", "keep", "POST", "", READ, 20, 4000, true,                                            \
        "read the store with SQL: at most 2 s and 1,000 rows")                                                         \
    A(store_migrations, "store.migrations", "keep", "GET", "", READ, 1, 2000, true, "how the store was made")          \
    A(config_get, "config.get", "edge", "GET", "", READ, 1, 2000, true,                                                \
        "values of the configuration, and where they come from")                                                       \
    A(config_put, "config.put", "edge", "POST", "", OPERATE, 5, 2000, false, "change a section of the configuration")  \
    A(sim_faults, "sim.faults", "sim", "POST", "", OPERATE, 1, 2000, false,                                            \
        "what a market of our own breaks, and change it: asked of `kontor sim` itself")

/* ---- what the lists above make ---- */

#define KT_ENUM_TYPE(type, name, map) typedef enum type { map(KT_ENUM_VALUE) } type;
KT_ACTION_ENUM_MAP(KT_ENUM_TYPE)
#undef KT_ENUM_TYPE

#define KT_ENUM_DECLARE(type, name, map) extern const kt_enum_spec kt_enum_##name;
KT_ACTION_ENUM_MAP(KT_ENUM_DECLARE)
#undef KT_ENUM_DECLARE

#define KT_ROW_STRUCT(name, text)        \
    typedef struct kt_row_##name {       \
        KT_ROW_##name(KT_FIELD_MEMBER, ) \
    } kt_row_##name;                     \
    extern const kt_table kt_row_table_##name;
KT_ACTION_ROW_MAP(KT_ROW_STRUCT)
#undef KT_ROW_STRUCT

/* A table may be without fields: its struct then holds the one byte that C wants. */
#define KT_ACTION_STRUCTS(NAME, name, lane, method, alias, scope, cost, time_ms, repeats, text) \
    typedef struct kt_params_##NAME {                                                           \
        KT_PARAMS_##NAME(KT_FIELD_MEMBER, ) uint8_t end;                                        \
    } kt_params_##NAME;                                                                         \
    typedef struct kt_response_##NAME {                                                         \
        KT_RESPONSE_##NAME(KT_FIELD_MEMBER, ) uint8_t end;                                      \
    } kt_response_##NAME;
KT_ACTION_MAP(KT_ACTION_STRUCTS)
#undef KT_ACTION_STRUCTS

#define KT_ACTION_MEMBER(NAME, name, lane, method, alias, scope, cost, time_ms, repeats, text) kt_params_##NAME NAME;
typedef union kt_params_any {
    KT_ACTION_MAP(KT_ACTION_MEMBER)
} kt_params_any; /* room for the parameters of any action */
#undef KT_ACTION_MEMBER

#define KT_ACTION_NUMBER(NAME, name, lane, method, alias, scope, cost, time_ms, repeats, text) KT_ACTION_##NAME,
typedef enum kt_action_index { KT_ACTION_MAP(KT_ACTION_NUMBER) KT_ACTION_COUNT } kt_action_index;
#undef KT_ACTION_NUMBER

enum { KT_ACTION_PATH_MAX = 64 }; /* bytes of a path with its NUL */

typedef struct kt_action_error {
    kt_code code;
    const char *text; /* when */
} kt_action_error;

typedef struct kt_action {
    const char *name;
    const char *lane;
    const char *method; /* "GET" or "POST" */
    const char *alias;  /* "": none */
    const char *text;
    kt_scope scope;
    uint32_t cost;
    uint32_t time_ms;
    bool repeats;
    const kt_action_error *errors; /* of this action, ended by KT_OK */
    kt_table params;
    kt_table response;
} kt_action;

extern const kt_action kt_actions[KT_ACTION_COUNT]; /* by kt_action_index */
extern const kt_action_error kt_common_errors[];    /* ended by KT_OK */

/* A call and its answer, JSON objects; they stand in examples.c. */
typedef struct kt_action_example {
    const char *params;
    const char *answer;
} kt_action_example;

extern const kt_action_example kt_action_examples[KT_ACTION_COUNT];

/* NULL: none. */
const kt_action *kt_action_by_name(kt_text name);

/* By /v1/... or by its alias, whatever the method. NULL: none. */
const kt_action *kt_action_by_path(kt_text path);

/* "/v1/vwap/latest". Returns its length. */
size_t kt_action_path(const kt_action *action, char out[KT_ACTION_PATH_MAX]);

/* HTTP status of an answer: 200, 400 (the question can not be answered as it is), 403, 404, 409, 410, 429, 503 (not
 * now). */
uint16_t kt_code_status(kt_code code);

/* The same for programs: "not_found". */
const char *kt_code_word(kt_code code);

#endif
