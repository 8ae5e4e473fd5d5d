/* edge/metrics.h - the figures of the house for Prometheus: GET /metrics, text format 0.0.4.
 *
 * Sources  the board (lanes: state, restarts, positions), the logs (written, durable, what their readers have), the hub
 *          (clients), calls (per action), /proc (processor and memory of each lane), and log market itself, read by a reader
 *          of its own: newest feed_stats of each feed, the state of connections, and how long trades took.
 * Delays   histograms over trades as the stream gave them: venue to receive (clocks of two machines: below zero counts as
 *          zero), receive to publish; publish to client is the hub's. Bounds are powers of two of a nanosecond.
 *          When the reader is further behind than KT_METRICS_LAG_MAX it goes on at the end, and says how many records
 *          it did not look at: figures must not cost the house its speed.
 * Names    kontor_..., in base units (seconds, bytes); counters end in _total. Counters of feeds are the fields of
 *          feed_stats, by their names there; kontor_quality_... those of the newest minute that was told (quality);
 *          kontor_minutes_... those of the last one of our own (minute).
 */
#ifndef KT_EDGE_METRICS_H
#define KT_EDGE_METRICS_H

#include "edge/hub.h"

enum {
    KT_METRICS_SIZE_MAX = 4 << 20, /* bytes of one answer */
    KT_METRICS_FEED_MAX = 1024,    /* feeds and venues that are told; those beyond are left out */
    KT_METRICS_LAG_MAX = 65536,    /* records */
    KT_METRICS_TURN_MAX = 128,     /* records looked at in one turn, some 10 us */
};

typedef struct kt_metrics kt_metrics;
struct kt_calls;

typedef struct kt_metrics_options {
    const kt_hub *hub; /* all borrowed */
    const struct kt_calls *calls;
    kt_lane *lane;          /* NULL: no board */
    const uint8_t *boot_id; /* of the reader; NULL: the kernel's */
} kt_metrics_options;

kt_metrics *kt_metrics_new(const kt_metrics_options *options); /* NULL: no memory */
void kt_metrics_free(kt_metrics *metrics);                     /* NULL is fine */

/* Look at what log market has got. */
void kt_metrics_turn(kt_metrics *metrics);

/* KT_FULL: more than `size` bytes. */
kt_code kt_metrics_write(kt_metrics *metrics, char *buf, size_t size, kt_text *out_text);

#endif
