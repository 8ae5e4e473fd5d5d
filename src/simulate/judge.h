/* simulate/judge.h - what must be true of the logs, whatever breaks; looked at record by record as they are written.
 *
 * Order     seq has no gap; offset counts each subject's records; a published record is never another one later, unless the
 *           power went and it was above durable; and what was durable is never lost at all.
 * Epochs    a record that was lost never has its (subject, epoch, offset) used again.
 * Once      no output stands twice behind its input.
 * Truth     a validated trade is the venue's; a validated average is the one that a slow sum over the venue's own trades gives;
 *           and each mark with trades gets one, from the first trade on that the stream gave.
 * Pure but for reading the logs; the truth comes from a market of the same seed.
 */
#ifndef KT_SIMULATE_JUDGE_H
#define KT_SIMULATE_JUDGE_H

#include "log/log.h"
#include "venue/sim/market.h"

enum { KT_JUDGE_LOG_MAX = 4, KT_JUDGE_WINDOW_MAX = 4, KT_JUDGE_MARKET_MAX = 8 };

typedef struct kt_judge kt_judge;

typedef struct kt_judge_options {
    const char *dirs[KT_JUDGE_LOG_MAX]; /* of the logs; borrowed; NULL behind the last. The first holds the averages */
    const uint8_t *boot_id;             /* borrowed: what the house runs under now */
    const kt_sim_market_options *markets; /* of the venues; each symbol belongs to one */
    uint32_t market_count;
    const char *venues[2]; /* names in subjects of those in the generic format and in Binance's; NULL: none */
    int64_t windows_ns[KT_JUDGE_WINDOW_MAX];
    uint32_t window_count;
    int64_t lag_ns; /* a mark so old must have its validated average; INT64_MAX: only at the end */
    void (*failed)(void *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
    void *ctx;
} kt_judge_options;

kt_code kt_judge_new(const kt_judge_options *options, kt_judge **out_judge, kt_err *err);
void kt_judge_free(kt_judge *judge);

/* The venue's clock has come to here. */
void kt_judge_truth(kt_judge *judge, int64_t now_ns);

/* What is new in this log; its writer is there. */
void kt_judge_look(kt_judge *judge, uint32_t log);

/* The power went: what stands above durable may be lost. Lets go of the files. */
void kt_judge_power_cut(kt_judge *judge);

/* Every mark up to `mark_ns` has its validated average. False: *out_why says which has not. */
bool kt_judge_complete(const kt_judge *judge, int64_t mark_ns, char *out_why, size_t why_size);

/* Time of the last trade of all. */
int64_t kt_judge_last_ns(const kt_judge *judge);

/* What has ever been durable of this log. */
uint64_t kt_judge_durable(const kt_judge *judge, uint32_t log);

/* Where a subject of the log ends. KT_NOENT: it is not there. */
kt_code kt_judge_end_of(kt_judge *judge, uint32_t log, kt_text subject, uint64_t *out_epoch, uint64_t *out_offset);

typedef struct kt_judge_counts {
    uint64_t records, values, validated, trades, truths;
    uint64_t unwritten; /* by power cuts */
    uint64_t hash;      /* of all records in the order looked at */
} kt_judge_counts;
kt_judge_counts kt_judge_count(const kt_judge *judge);

#endif
