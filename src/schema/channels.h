/* schema/channels.h - how old a value of a channel may be before it counts as stale, and when its events leave.
 *
 * A page or a service must not show an old value as if it were new. When a value is old follows from its kind: a book
 * changes all the time, a trade happens when it happens. A channel's kind is the first token of its subject; channels
 * that are not listed tell what happened, and never become stale.
 */
#ifndef KT_SCHEMA_CHANNELS_H
#define KT_SCHEMA_CHANNELS_H

#include "base/types.h"

#include <stdbool.h>

/* Against what the age is measured. R(C name, name in JSON, text) */
#define KT_STALE_RULE_MAP(R)                                                                                        \
    R(KT_STALE_ARRIVAL, "arrival", "the time since the last event of the channel was published")                    \
    R(KT_STALE_MARKET_TIME, "market time", "the distance of the event's mark behind the market time of its symbol") \
    R(KT_STALE_WATCHDOG, "watchdog",                                                                                \
        "the silence watchdog of its feed (venues.silence_ms): stale while feed.{venue}.link is not `connected`")

#define KT_STALE_ENUM(NAME, name, text) NAME,
typedef enum kt_stale_rule { KT_STALE_RULE_MAP(KT_STALE_ENUM) KT_STALE_RULE_COUNT } kt_stale_rule;
#undef KT_STALE_ENUM

/* S(first token of the subject, rule, limit in ms; 0: the watchdog's) */
#define KT_STALE_MAP(S)                   \
    S("trades", KT_STALE_WATCHDOG, 0)     \
    S("vwap", KT_STALE_MARKET_TIME, 3000) \
    S("book", KT_STALE_ARRIVAL, 2000)     \
    S("ticker", KT_STALE_ARRIVAL, 2000)

typedef struct kt_stale {
    const char *first; /* token of the subject */
    kt_stale_rule rule;
    uint32_t limit_ms;
} kt_stale;

extern const kt_stale kt_stales[];
extern const uint32_t kt_stale_count;

const char *kt_stale_rule_name(kt_stale_rule rule);
const char *kt_stale_rule_text(kt_stale_rule rule);

/* Channels whose events are gathered and leave together, each edge.flush_{class}_ms; all others leave at once.
 * C(class and first token of the subject, may events be skipped, text) */
#define KT_FLUSH_MAP(C)                                                                                        \
    C(book, false, "changes continue the book: each must come, so that a slow client reads them from the log") \
    C(ticker, true, "the newest best prices are all that counts")

#define KT_FLUSH_ENUM(name, skips, text) KT_FLUSH_##name,
typedef enum kt_flush_class { KT_FLUSH_MAP(KT_FLUSH_ENUM) KT_FLUSH_NONE, KT_FLUSH_COUNT } kt_flush_class;
#undef KT_FLUSH_ENUM

/* KT_FLUSH_NONE: in no class. */
kt_flush_class kt_flush_class_of(kt_text subject);

/* May an event stand for those before it, for clients that agree ("conflate")? */
bool kt_flush_skips(kt_flush_class flush);

/* Of a subject, or of its pattern as the event tables have it: "vwap.{window}.{venue}.{symbol}". NULL: never stale. */
const kt_stale *kt_stale_of(kt_text subject);

#endif
