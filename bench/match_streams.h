/* match_streams.h - streams of commands for match_bench: churn at the touch as liquid markets have it, and what hurts a book most.
 *
 * Each is made by playing it: the maker looks at the book that its commands have made so far. Ids are those that an engine of
 * the stream's bounds wants, handles included.
 */
#ifndef KT_BENCH_MATCH_STREAMS_H
#define KT_BENCH_MATCH_STREAMS_H

#include <kontor/match.h>

typedef struct kt_stream {
    kt_match_bounds bounds;
    kt_match_command *commands;
    uint64_t prefill; /* the first ones, not measured */
    uint64_t count;   /* all */
    uint64_t fills;   /* trades of the measured part */
    /* Of the measured part: orders added, those that were a new best; cancels, those of the newest; takers. */
    uint64_t adds, bests, cancels, newest, takes;
    uint32_t low, high; /* best bids of churn */
} kt_stream;

typedef struct kt_stream_spec {
    const char *name;
    uint32_t swing_percent;   /* prices go up and down by that much */
    uint32_t crash_percent;   /* once, in the middle, and back */
    uint32_t standing;        /* orders behind the touch before it begins */
    uint32_t gone_percent;    /* of these, cancelled before it begins */
    uint32_t special_percent; /* of orders of more than the plain type */
    uint32_t unknown_percent; /* of commands: cancels of ids that never existed */
    uint32_t one_level;       /* orders at one price, cancelled from the middle out: instead of churn */
    uint32_t sweep_levels;    /* levels that are filled and swept again and again: instead of churn */
} kt_stream_spec;

kt_stream *kt_stream_new(const kt_stream_spec *spec, kt_match_ids ids, uint64_t commands, uint64_t seed);
void kt_stream_free(kt_stream *stream);

#endif
