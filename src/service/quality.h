/* service/quality.h - when the minutes of quant/quality.h are closed, and what they say: the market time of a venue.
 *
 * Time     of a venue is the greatest market time of its feeds. While nothing comes it goes on with the lane's clock, so that
 *          silence closes minutes too. All feeds of a venue close a minute together, KT_QUALITY_GRACE_NS behind its end.
 * Left     out is what nobody has seen: after a step of more than KT_QUALITY_CATCH_UP minutes (the house stood still) those
 *          between are not told, unless a trade of them is found later.
 * Silence  from the last sign of the venue before its link is lost until it is connected: a watchdog's time counts, and so
 *          does the time in which the lane did not run. Of the last KT_QUALITY_OUTAGE_MAX such times.
 * Outputs  quality.{venue}.{symbol} for each feed and minute; quality.{venue} for messages that named no symbol.
 */
#ifndef KT_SERVICE_QUALITY_H
#define KT_SERVICE_QUALITY_H

#include "base/error.h"
#include "lane/bytes.h"
#include "lane/service.h"
#include "quant/quality.h"

#define KT_QUALITY_GRACE_NS (2 * KT_NS_PER_S)

enum { KT_QUALITY_CATCH_UP = 3, KT_QUALITY_OUTAGE_MAX = 64 };

typedef struct kt_quality_clock {
    int64_t market_ns; /* 0: not known yet */
    int64_t seen_ns;   /* the lane's time when it moved */
    int64_t closed_ns; /* minutes before are closed */
    int64_t lost_ns;   /* market time since when there is no link */
    bool lost;
    uint32_t outage_count;
    struct {
        int64_t from_ns, to_ns;       /* of market time */
    } outages[KT_QUALITY_OUTAGE_MAX]; /* the oldest first */
} kt_quality_clock;

/* A feed's market time is sure to have come so far, at the lane's time now_ns. */
void kt_quality_clock_move(kt_quality_clock *clock, int64_t market_ns, int64_t now_ns);

/* Market time as it is while nothing comes; 0: not known yet. */
int64_t kt_quality_clock_now(const kt_quality_clock *clock, int64_t now_ns);

/* There has been no link since since_ns of the lane's time; nothing changes when that is known. */
void kt_quality_clock_lost(kt_quality_clock *clock, int64_t since_ns);
void kt_quality_clock_connected(kt_quality_clock *clock, int64_t now_ns);

/* Minutes are over: [from, until) are to be closed. false: none. */
bool kt_quality_clock_close(kt_quality_clock *clock, int64_t now_ns, int64_t *out_from_ns, int64_t *out_until_ns);

/* Emit what has changed of closed minutes. `settled_ns`: REST has passed trades before it. */
void kt_quality_tell(
    kt_quality *quality, const kt_quality_clock *clock, kt_env *env, const char *subject, int64_t settled_ns);

void kt_quality_save(const kt_quality *quality, kt_writer *writer);
kt_code kt_quality_load(kt_quality *quality, kt_taker *taker);
void kt_quality_clock_save(const kt_quality_clock *clock, kt_writer *writer);
kt_code kt_quality_clock_load(kt_quality_clock *clock, kt_taker *taker);

#endif
