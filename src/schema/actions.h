/* schema/actions.h - every action: what can be asked, with which parameters, and what the answer holds.
 *
 * One row says an action: A(NAME, name, method, path, text). Its tables of parameters and of the answer give
 * kt_params_{NAME} and kt_response_{NAME} (schema/table.h). REST, calls between lanes (both as records,
 * kt_table_encode) and help read the same rows.
 */
#ifndef KT_SCHEMA_ACTIONS_H
#define KT_SCHEMA_ACTIONS_H

#include "schema/events.h"

#define KT_PARAMS_vwap_latest(F, T) F(T, 1, TEXT, none, ticker, "", 1, 128, 0, "ticker as configured, such as BTC")

#define KT_RESPONSE_vwap_latest(F, T)                                                                      \
    F(T, 1, TEXT, none, ticker, "", 1, 128, 0, "as asked")                                                 \
    F(T, 2, DEC, none, price, "quote", 0, INT64_MAX, 0, "volume-weighted average price over the interval") \
    F(T, 3, TIME_MS, none, ts, "ms", 0, INT64_MAX, 0, "its mark: the whole second at which the window ends")

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

#define KT_PARAMS_health(F, T)

#define KT_RESPONSE_health(F, T) F(T, 1, TEXT, none, status, "", 0, 16, 0, "OK while the edge answers")

#define KT_PARAMS_channels(F, T) \
    F(T, 1, TEXT, none, pattern, "", 0, 255, 0, "which ones: * is one token, > the rest; empty: all")

#define KT_RESPONSE_channels(F, T) F(T, 1, TEXTS, none, channels, "", 0, 10000, 0, "names of channels")

/* A(NAME, name, method, path, text); an empty path: not over REST */
#define KT_ACTION_MAP(A)                                                                                   \
    A(vwap_latest, "vwap.latest", "GET", "/latest", "the latest average price of a ticker")                \
    A(vwap_historical, "vwap.historical", "GET", "/historical", "the average price of a ticker at a mark") \
    A(health, "health", "GET", "/health", "whether the edge answers")                                      \
    A(channels, "channels", "", "", "the channels that can be subscribed to")

/* A table may be without fields: its struct then holds the one byte that C wants. */
#define KT_ACTION_STRUCTS(NAME, name, method, path, text)  \
    typedef struct kt_params_##NAME {                      \
        KT_PARAMS_##NAME(KT_FIELD_MEMBER, ) uint8_t end;   \
    } kt_params_##NAME;                                    \
    typedef struct kt_response_##NAME {                    \
        KT_RESPONSE_##NAME(KT_FIELD_MEMBER, ) uint8_t end; \
    } kt_response_##NAME;
KT_ACTION_MAP(KT_ACTION_STRUCTS)
#undef KT_ACTION_STRUCTS

#define KT_ACTION_NUMBER(NAME, name, method, path, text) KT_ACTION_##NAME,
typedef enum kt_action_index { KT_ACTION_MAP(KT_ACTION_NUMBER) KT_ACTION_COUNT } kt_action_index;
#undef KT_ACTION_NUMBER

typedef struct kt_action {
    const char *name;
    const char *method;
    const char *path;
    const char *text;
    kt_table params;
    kt_table response;
} kt_action;

extern const kt_action kt_actions[KT_ACTION_COUNT]; /* by kt_action_index */

const kt_action *kt_action_by_name(kt_text name);
const kt_action *kt_action_by_path(kt_text method, kt_text path); /* NULL: none */

#endif
