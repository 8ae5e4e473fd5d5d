/* service/repair.h - how far REST has confirmed the trades of one feed, what to ask next, and when.
 *
 * Way       seek     (numbered) find the first trade to ask for: gallop back by numbers until a trade lies before the
 *           start, or
 *                    nothing is earlier; then halve the range to one page
 *           forward  page after page: by number from the last one known, or by time from the last one known, which
 *                    comes again (trades of the same ms may be new). A full page of one ms can not be passed by asking
 *                    again: it is stepped over, and told as a full ms
 *           probe    (by time) after the first page: is there anything before it? "Nothing earlier" counts as covered
 * Start     one longest window before the smallest time the stream gave. When a smaller one arrives, and it is not
 *           covered, the way is gone again from there; what was confirmed stays confirmed.
 * Watermark `until_ns` is the time of the last trade that REST gave: every mark before it (strictly) is passed.
 * `from_ns`: every
 *           trade at or after it, up to there, is known.
 * Invalid   rows are counted, and what lies between the valid ones around them is a hole: REST has not given all of it. A
 *           page without any valid row is a failure, and asked again. Where trades are numbered, the page behind it is
 *           looked at first: when that one has valid rows, the fault is the page's, and it is stepped over; otherwise it is
 *           the venue's, and nothing is given up.
 * When      at once after a full page, after poll_ns while trades of the stream wait to be confirmed, after
 *           KT_REPAIR_IDLE_NS otherwise, so that drops at the end of a burst are found too. Failures double a wait from
 *           KT_REPAIR_RETRY_NS to KT_REPAIR_RETRY_MAX_NS. One request of a feed is open at a time; one that is not
 *           answered in KT_REPAIR_LOST_NS is asked again.
 */
#ifndef KT_SERVICE_REPAIR_H
#define KT_SERVICE_REPAIR_H

#include "base/time.h"
#include "base/types.h"
#include "lane/bytes.h"
#include "schema/events.h"

#define KT_REPAIR_IDLE_NS (5 * KT_NS_PER_S)
#define KT_REPAIR_RETRY_NS (250 * KT_NS_PER_MS)
#define KT_REPAIR_RETRY_MAX_NS (30 * KT_NS_PER_S)
#define KT_REPAIR_LOST_NS (60 * KT_NS_PER_S)

typedef enum kt_repair_phase {
    KT_REPAIR_WAIT, /* for the stream's first trade */
    KT_REPAIR_SEEK,
    KT_REPAIR_FORWARD,
    KT_REPAIR_PROBE,
} kt_repair_phase;

typedef struct kt_repair_rules {
    bool numbered;
    uint32_t page; /* rows of a full page */
    int64_t back_ns;
    int64_t poll_ns;
} kt_repair_rules;

typedef struct kt_repair {
    kt_repair_rules rules;
    kt_repair_phase phase;
    uint64_t request_id; /* of the open request, or 0 */
    uint32_t failures;   /* in a row */

    int64_t start_ns;    /* trades before it are not needed */
    int64_t until_ns;    /* watermark; 0: none yet */
    int64_t from_ns;     /* covered from here; INT64_MAX: nothing is; 0: nothing is earlier */
    int64_t cover_ns;    /* from_ns when the way that is being gone has been gone */
    uint64_t full_count; /* of ms that REST could not give whole */
    uint64_t invalid;    /* rows that were not valid, each time they came */
    bool again;          /* the way is gone again, from an earlier start, up to where it began before */

    /* numbered */
    uint64_t first;     /* everything from this number on is known, */
    uint64_t next;      /* up to before this one: the next to ask for */
    uint64_t reached;   /* while gone again: `next` of before */
    uint64_t seek_low;  /* a trade before the start; 0: not found yet */
    uint64_t seek_high; /* one behind it */
    uint64_t step;
    uint64_t asked; /* the number of the last question */
    uint32_t skip;  /* rows of a page without a valid one: the next question looks behind them */
    int64_t row_ns; /* time of the last row on this way; 0: none yet */

    /* by time */
    int64_t cursor_ns;    /* ask from here */
    int64_t resume_ns;    /* while gone again: cursor_ns of before */
    int64_t first_row_ns; /* time of the first trade that REST gave */
} kt_repair;

void kt_repair_init(kt_repair *repair, const kt_repair_rules *rules);

/* The stream gave a trade at this time and with this number: true when it is the first, and something has to be asked.
 */
bool kt_repair_seen(kt_repair *repair, int64_t time_ns, uint64_t number);

/* Has REST gone past the place of this trade? */
bool kt_repair_passed(const kt_repair *repair, int64_t time_ns, uint64_t number);

/* The question to ask now: fills what, from_time, from_id and limit. Not in phase wait. */
void kt_repair_question(kt_repair *repair, kt_ev_request *request);

/* What an answer brought, beside its rows. */
typedef struct kt_repair_step {
    bool take; /* the rows are trades to be taken: those at or after take_from_ns, and */
    int64_t take_from_ns;
    uint64_t take_from;   /* numbered from here on; what comes before has been given, and may be forgotten */
    bool more;            /* ask again at once */
    bool from_start;      /* it is now known that nothing is earlier */
    bool failed;          /* no valid row: to be asked again after kt_repair_failed_ns */
    bool full_ms;         /* the hole is a ms of which a page can not hold all */
    bool hole;            /* REST can not give all trades */
    int64_t hole_from_ns; /* from here */
    int64_t hole_to_ns;   /* to here, both in */
    int64_t before_ns;    /* by time: all before it is given or will never be */
    uint64_t below;       /* numbered: all below it */
} kt_repair_step;

/* An answer of status 200 to kt_repair_question(), for which nothing else was asked since. `rows` are sorted by number,
 * or by time; row_count is how many the venue sent, valid or not. */
kt_repair_step kt_repair_answer(kt_repair *repair, const kt_row_trade *rows, uint32_t count, uint32_t row_count);

/* How long to wait after an answer, or after a failure. */
int64_t kt_repair_wait_ns(const kt_repair *repair, bool more, uint64_t unsettled);
int64_t kt_repair_failed_ns(kt_repair *repair);

void kt_repair_save(const kt_repair *repair, kt_writer *writer);
kt_code kt_repair_load(kt_repair *repair, kt_taker *taker);

#endif
