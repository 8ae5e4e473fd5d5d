/* service/test_market.h - for tests: lane market against `kontor sim`. The market runs in a process of its own, the lane in this
 * one; what the market knows is asked for at its control port, which no fault reaches.
 *
 * One lane at a time. Everything fails the test that calls it; a failure says what the lane has heard and what is true.
 */
#ifndef KT_SERVICE_TEST_MARKET_H
#define KT_SERVICE_TEST_MARKET_H

#include "book/level2.h"
#include "lane/lane.h"
#include "schema/config.h"

enum { KT_TEST_WAIT_S = 60 }; /* for anything that is waited for */

/* What is played. */
typedef struct kt_test_play {
    const char *format;          /* of one symbol: BTC in the generic format, BTC/USDT elsewhere */
    const char *flags;           /* of `kontor sim`, behind those that all have: ports, one symbol, --wait, --seed 7 */
    const char *venue;           /* more of the venue's configuration, ", books: true"; NULL: none */
    const char *ca_folder;       /* whose authority.crt is trusted; NULL: plain text */
    const kt_service_spec *more; /* a service beside market and book; NULL: none */
} kt_test_play;

/* The lane, and what it has said since it was opened. */
typedef struct kt_test_lane {
    kt_lane *lane;
    uint32_t port, control; /* of the market */
    kt_ev_feed_stats stats; /* the last ones */
    uint32_t live_count;    /* provisional averages */
    uint32_t sure_count;    /* validated ones */
    uint32_t lost_count;    /* links lost, or not got */
    char heard[1 << 16];    /* reasons of links and errors of answers, a line each, each once */
    char warned[1 << 12];   /* the same of warnings to operators */
    kt_level2 book;         /* as subscribers have it */
    bool book_known;
    uint32_t book_resyncs;
    kt_ev_ticker ticker;  /* the last one; its texts are gone */
    char answer[1 << 16]; /* of kt_test_ask */
} kt_test_lane;

/* A market, and a lane that listens to it; or (the second) a lane alone that lives by this configuration, which its supervisor
 * asks to set this message aside (NULL: it has none). */
kt_test_lane *kt_test_lane_open(const kt_test_play *play);
kt_test_lane *kt_test_lane_alone(const char *config, const char *aside);
void kt_test_lane_close(kt_test_lane *lane);

/* Let the lane go on for a moment; true, so that it can stand in a condition that is waited for. */
bool kt_test_turn(kt_test_lane *lane);

/* Ask the market at one of its ports, while the lane goes on; POST with a body. The answer is good until the next question. */
const char *kt_test_ask(kt_test_lane *lane, uint32_t port, const char *target, const char *body);

/* Change faults: {"drop":0.1} */
void kt_test_set_faults(kt_test_lane *lane, const char *values);

/* The number behind the first "name": that follows `part` in the answer, which is /sim/truth's. */
uint64_t kt_test_truth(const kt_test_lane *lane, const char *part, const char *name);

/* How often the market says that this fault came; it is asked. */
uint64_t kt_test_delivered(kt_test_lane *lane, const char *fault);

/* Until all is delivered, repaired and validated: then the lane has counted what the market has, but for repeats, which
 * are the caller's to compare where connections overlap. The answer is /sim/truth's. */
void kt_test_settle(kt_test_lane *lane, const char *row);

/* Does the book that was told have these levels, rows [price, quantity, ...] of an object's members "bids" and "asks"? */
bool kt_test_book_is(const kt_test_lane *lane, const kt_json_doc *doc, uint32_t object);

#endif
