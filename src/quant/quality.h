/* quant/quality.h - what was wrong with the trades of one feed, minute by minute.
 *
 * Minute    [start, start + 60 s) of market time. A trade is counted in the minute of its venue time. What has no time, lies
 *           ahead of the newest minute, or comes from the stream more than KT_QUALITY_KEEP_NS behind it, counts in the
 *           newest one. Before market time is known all counts in one minute, that of the first trade.
 * Counts    the words are those of service/gather.h, and the sums over all minutes are its totals.
 * Missing   where the venue numbers its trades a minute owns the numbers above those of the minute before, up to its own
 *           greatest, and misses those of them that the stream has not given. A gap belongs to the minute behind it until a
 *           trade out of it says when it was. Without numbers: those that only REST has given.
 * Latency   receive time - venue time of first deliveries, negative where clocks differ. Quantiles are the middle of a step
 *           of a histogram: at most 1/16 or 8 us off; the greatest is exact. Late first deliveries of a minute whose
 *           histogram is gone move only the greatest.
 * Telling   a minute is told when it is closed, and again after each change (`revision` 2, 3 ...). One in which nothing had
 *           happened when it was closed is not kept; should a trade of it be found later, it begins with revision 2.
 * Memory    minutes are kept KT_QUALITY_KEEP_NS, and as long as REST has not passed them; KT_QUALITY_MINUTE_MAX at most, 120
 *           bytes each, grown by doubling. What comes for a minute that is forgotten counts in the newest one, and finds no
 *           missing number any more.
 * Cost      a trade in order: the newest minute and one step of a histogram. A late one: the distance in minutes.
 */
#ifndef KT_QUANT_QUALITY_H
#define KT_QUANT_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

#define KT_QUALITY_MINUTE_NS (60 * KT_NS_PER_S)
#define KT_QUALITY_KEEP_NS (15 * KT_QUALITY_MINUTE_NS)

enum {
    KT_QUALITY_MINUTE_MAX = 512,
    KT_QUALITY_UNIT_BITS = 14, /* latencies are counted in units of 16 us */
    KT_QUALITY_STEP_BITS = 3,  /* each power of two has 8 steps */
    KT_QUALITY_POWER_MAX = 28, /* up to 73 minutes */
    KT_QUALITY_STEPS = (KT_QUALITY_POWER_MAX - KT_QUALITY_STEP_BITS + 1) << KT_QUALITY_STEP_BITS,
};

typedef enum kt_quality_what {
    KT_QUALITY_RECEIVED,
    KT_QUALITY_INVALID,
    KT_QUALITY_REPEATED,
    KT_QUALITY_REORDERED,
    KT_QUALITY_REPAIRED,
    KT_QUALITY_SUSPECT,
    KT_QUALITY_WHATS
} kt_quality_what;

typedef struct kt_quality_minute {
    int64_t start_ns; /* 0: market time is not known yet */
    uint64_t low;     /* least and greatest number that is known in it; 0: none */
    uint64_t high;
    int64_t p50_ns; /* as of the last telling */
    int64_t p99_ns;
    int64_t max_ns;
    int64_t silent_ns;
    uint32_t counts[KT_QUALITY_WHATS];
    uint32_t given;    /* of its numbers, by the stream */
    uint32_t timed;    /* first deliveries */
    uint32_t revision; /* told last; 0: not yet */
    bool dirty;        /* to be told (again) */
} kt_quality_minute;

/* How often which latencies came in one minute: those below zero from the middle down. */
typedef struct kt_quality_times {
    int64_t start_ns;
    uint32_t count;
    uint32_t steps[2 * KT_QUALITY_STEPS];
} kt_quality_times;

typedef struct kt_quality {
    bool numbered;
    bool late;         /* a minute that is closed has changed */
    int64_t now_ns;    /* start of the newest minute; 0: not known yet */
    int64_t first_ns;  /* time of the first trade, until market time is known */
    int64_t closed_ns; /* minutes before are closed */
    int64_t forgot_ns; /* minutes before may be forgotten */
    uint64_t forgot;   /* greatest number in those */
    uint32_t count;    /* of minutes */
    uint32_t capacity;
    kt_quality_minute *minutes; /* the oldest first */
    kt_quality_times times[2];  /* of the newest two that had one */
} kt_quality;

/* An empty one for a venue that numbers its trades, or does not. Needs no memory before the first count. */
void kt_quality_init(kt_quality *quality, bool numbered);
void kt_quality_done(kt_quality *quality);

/* Make room for so many minutes. false: no memory. */
bool kt_quality_room(kt_quality *quality, uint32_t minute_count);

/* Market time is `market_ns`. It may step back, after it has followed a clock. */
void kt_quality_reach(kt_quality *quality, int64_t market_ns);

/* One more, of a trade at `time_ns`; 0: without a time. */
void kt_quality_count(kt_quality *quality, kt_quality_what what, int64_t time_ns);

/* The stream gives a trade for the first time. `number` is looked at only where trades have one. */
void kt_quality_given(kt_quality *quality, uint64_t number, int64_t time_ns, int64_t latency_ns);

/* REST gives a trade that the stream should have given; `repaired`: it counts as such. */
void kt_quality_found(kt_quality *quality, uint64_t number, int64_t time_ns, bool repaired);

/* The stream has given it after all. */
void kt_quality_unfound(kt_quality *quality, uint64_t number, int64_t time_ns);

/* Minutes before `until_ns` are over; those from `from_ns` on are told even if they are empty. */
void kt_quality_close(kt_quality *quality, int64_t from_ns, int64_t until_ns);

/* The first closed minute that is to be told, its quantiles made; NULL: none. Say that it was with kt_quality_told(). */
kt_quality_minute *kt_quality_next(kt_quality *quality);
void kt_quality_told(kt_quality *quality, kt_quality_minute *minute);

/* Forget minutes that are told and empty, and those before both `settled_ns` and what is kept. */
void kt_quality_forget(kt_quality *quality, int64_t settled_ns);

/* Trades of the minute that the stream has not given. */
uint64_t kt_quality_missing(const kt_quality *quality, const kt_quality_minute *minute);

#endif
