/* simulate/crowd.h - clients of the edge: they come, subscribe, leave, come back and resume from what they have, ask over
 * REST; some are on lines so slow that the edge must wait for them.
 *
 * Checked, by each for itself  seq counts every message; offset is last + skipped + 1, or a gap or an epoch was told in between; a
 *              resume is recovered unless something may really be lost (kt_crowd_lost() since then, or it was heard
 *              longer ago than logs are kept).
 * Together     (channel, epoch, offset) is the same event for everybody, for ever.
 */
#ifndef KT_SIMULATE_CROWD_H
#define KT_SIMULATE_CROWD_H

#include "base/rng.h"
#include "net/net.h"

enum { KT_CROWD_SUBSCRIPTIONS = 3, KT_CROWD_REMEMBERED = 1 << 16 /* events that all must agree on */ };

typedef struct kt_crowd kt_crowd;

typedef struct kt_crowd_options {
    kt_loop *loop; /* the crowd's own, on the made-up network */
    kt_rng *rng;   /* borrowed */
    uint16_t port;
    uint32_t client_count;
    const char *const *channels; /* borrowed, for its life */
    uint32_t channel_count;
    const char *const *questions; /* paths to GET */
    uint32_t question_count;
    int64_t stay_ns; /* on average; then it leaves, ... */
    int64_t away_ns; /* ... for so long, on average */
    int64_t kept_ns; /* what was heard at most so long ago can be resumed from: retention keeps what came since */
    int64_t ping_ns; /* between two signs of life, which the edge wants; after some of them a question is asked */
    void (*failed)(void *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
    void *ctx;
} kt_crowd_options;

kt_code kt_crowd_new(const kt_crowd_options *options, kt_crowd **out_crowd, kt_err *err);
void kt_crowd_free(kt_crowd *crowd); /* before its loop */

/* From now on nobody leaves, and who is away comes back. */
void kt_crowd_settle(kt_crowd *crowd);

/* The power went: what was heard may not be there any more. */
void kt_crowd_lost(kt_crowd *crowd);

/* Everybody is connected and has heard every channel up to its end, as the caller knows it. False: *out_why says who has not. */
bool kt_crowd_caught_up(const kt_crowd *crowd,
    bool (*end_of)(void *ctx, const char *channel, uint64_t *out_epoch, uint64_t *out_offset), void *ctx, char *out_why,
    size_t why_size);

typedef struct kt_crowd_counts {
    uint64_t messages, events, skipped, connects, resumes, recovered, gaps, epochs, questions, answered;
    uint64_t hash; /* of all that was heard */
    uint32_t connected;
} kt_crowd_counts;
kt_crowd_counts kt_crowd_count(const kt_crowd *crowd);

#endif
