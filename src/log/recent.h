/* log/recent.h - inside the log: the newest records that a reader has passed, from one of a subject to the next in one step.
 *
 * Who was away for a moment, or wants only the newest record, finds it here without reading what others wrote in between.
 * Each record knows how far away in seq the one before and the one after it of its subject are. Segments that the reader
 * has left stay mapped while records of them are here.
 *
 * Memory  16 bytes a record, touched as records come.
 * Cost    two writes a record, one of them where its predecessor lies.
 */
#ifndef KT_LOG_RECENT_H
#define KT_LOG_RECENT_H

#include "log/segment.h"

enum { KT_RECENT_SEGMENTS = 8 }; /* that stay mapped behind the one that is read */

typedef struct kt_recent_place {
    const kt_rec *rec;
    uint32_t before; /* seq less than this one's: of the record before it of its subject; 0: not here */
    uint32_t after;  /* seq more: of the one after it; 0: none yet */
} kt_recent_place;

typedef struct kt_recent {
    kt_recent_place *places; /* by seq */
    uint32_t room;           /* a power of two */
    uint64_t first_seq;      /* those here: first_seq <= seq < next_seq */
    uint64_t next_seq;
    kt_segment left[KT_RECENT_SEGMENTS]; /* oldest first */
    uint32_t left_count;
    uint64_t segment_seq; /* the first seq behind them */
} kt_recent;

/* record_max: a power of two. KT_SYS: no memory. */
kt_code kt_recent_new(uint32_t record_max, kt_recent **out_recent);
void kt_recent_free(kt_recent *recent); /* NULL: nothing */

/* Nothing is here any more. */
void kt_recent_clear(kt_recent *recent);

/* The record that follows all that are here; it stays where it is. before_seq: of its subject's record before; 0: none. */
void kt_recent_add(kt_recent *recent, const kt_rec *rec, uint64_t before_seq);

/* Records go on in the next segment: this one is kept mapped as long as it has records that are here, and is not `segment`
 * any more. */
void kt_recent_leave(kt_recent *recent, kt_segment *segment);

/* Records below this seq need not be here any more. */
void kt_recent_forget(kt_recent *recent, uint64_t first_seq);

/* The record of this seq; NULL: it is not here. */
const kt_recent_place *kt_recent_at(const kt_recent *recent, uint64_t seq);

/* From record `seq` back over `steps` records of its subject. NULL: that one is not here. */
const kt_rec *kt_recent_back(const kt_recent *recent, uint64_t seq, uint64_t steps);

#endif
