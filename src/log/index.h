/* log/index.h - inside the log: the sparse index of a segment, from (subject, offset) and from time to a place in it.
 *
 * Made from the records alone, so it can be made again at any time. A sealed segment has it in a file beside it, sorted by
 * subject and offset; a reader that follows the tail builds its own while it reads.
 */
#ifndef KT_LOG_INDEX_H
#define KT_LOG_INDEX_H

#include "log/segment.h"

enum {
    KT_INDEX_OFFSETS = 64,   /* every so manieth record of a subject has an entry, and its first in the segment */
    KT_INDEX_RECORDS = 1024, /* every so manieth record of the segment has a mark, and the first */
};

typedef struct kt_index_entry {
    uint32_t subject;
    uint32_t zero;
    uint64_t offset;
    uint64_t seq;
} kt_index_entry;

typedef struct kt_index_mark {
    uint64_t seq;
    uint64_t at;
    int64_t time_ns; /* greatest time of the records before it in the segment; INT64_MIN at its start */
} kt_index_mark;

typedef struct kt_index {
    kt_index_entry *entries;
    kt_index_mark *marks;
    uint64_t *controls; /* places of the log's own control records, which change the table of subjects */
    uint32_t entry_count, mark_count, control_count;
    uint32_t entry_room, mark_room, control_room;
    bool sorted;
    uint64_t first_seq;
    uint64_t next_seq; /* of the first record that is not in it */
    int64_t time_ns;   /* greatest so far */
} kt_index;

void kt_index_init(kt_index *index, uint64_t first_seq);
void kt_index_done(kt_index *index);

/* Records in order, from the segment's first. subject_last_seq: seq of the subject's record before this one, 0 for none.
 * KT_SYS: no memory. */
kt_code kt_index_add(kt_index *index, const kt_rec *rec, uint64_t at, uint64_t subject_last_seq);

/* Build from a mapped segment, sorted. KT_CORRUPT: a record or the table fails its checks. KT_SYS. */
kt_code kt_index_build(kt_index *index, const kt_segment *segment, uint32_t subject_max);

/* Seq of the last entry of the subject with an offset <= `offset`; first_seq when there is none. */
uint64_t kt_index_find(const kt_index *index, uint32_t subject, uint64_t offset);

/* The last mark with seq <= `seq`; NULL: none. */
const kt_index_mark *kt_index_mark_at(const kt_index *index, uint64_t seq);

/* The last mark with only records older than time_ns before it; NULL: none. */
const kt_index_mark *kt_index_mark_time(const kt_index *index, int64_t time_ns);

/* The file beside the segment: written to a temporary name and renamed, not synced (it can be made again). */
kt_code kt_index_save(const kt_index *index, const kt_log_io *io, const char *dir, kt_seg_name name);
/* KT_NOENT: no file. KT_CORRUPT: not the index of this segment, or damaged. KT_VERSION, KT_SYS. */
kt_code kt_index_load(kt_index *index, const char *dir, kt_seg_name name);

#endif
