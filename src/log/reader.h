/* log/reader.h - read a log from any process while it is being written: mapped read-only, no system call while awake.
 *
 * A reader stands between two records and hands out the next one. Each record is checked (size, CRC, seq, offset order)
 * before it is handed out. It follows the writer across segments and generations (a writer that died and came back).
 *
 * Never silent  A position with an unknown epoch, beyond the end, or removed is told: KT_EPOCH, KT_SEQ, KT_GONE with the
 *               lost range. A log that nobody has opened since the machine started is served only up to its last known
 *               durable record: what lies above may still be cut.
 * SIGBUS        A mapped file whose bytes can not be read (disk error, truncated by somebody) ends the process with a line
 *               on stderr that names the segment; the handler is installed when the first segment is mapped.
 * Pointers      A record is valid until the next call with the same reader.
 * Threads       One thread a reader; any number of readers.
 */
#ifndef KT_LOG_READER_H
#define KT_LOG_READER_H

#include "base/error.h"
#include "log/log.h"

typedef struct kt_reader kt_reader;

/* A range that can not be served. to = 0: its end is not known (null to clients). from = 0: nothing is lost. */
typedef struct kt_lost {
    uint64_t from;
    uint64_t to;
} kt_lost;

/* Open at the first record that is still there. `boot_id`: NULL asks the kernel; tests pass what they gave the writer.
 * KT_NOENT: there is no log in `dir` yet. KT_VERSION: made by a newer program. KT_CORRUPT, KT_SYS: named. */
kt_code kt_reader_open(const char *dir, const uint8_t *boot_id, kt_reader **out_reader, kt_err *err);
void kt_reader_close(kt_reader *reader);

/* The caller knows that records up to `seq` are durable, because it saw them below kt_reader_durable() and wrote that down
 * (a cursor, an admit). After a power cut the state file may say less than that: it is synced less often than the records.
 * Until a writer has opened the log, the reader serves up to there; tell it before kt_reader_seek(). */
void kt_reader_know_durable(kt_reader *reader, uint64_t seq);

/* `live` follows the same log (it came by kt_reader_seek_end) and outlives this reader: seeks to places that it has passed
 * ask it for epochs and for the index of the segment it is in, instead of reading that segment from its start. NULL: no
 * longer. */
void kt_reader_borrow(kt_reader *reader, const kt_reader *live);

/* A reader that follows keeps the places of the newest `record_max` records (a power of two) that it has passed, 16 bytes each,
 * for kt_reader_recent(). KT_SYS: no memory. */
kt_code kt_reader_remember(kt_reader *reader, uint32_t record_max, kt_err *err);

/* Stand before record `seq` (1: the very first; written + 1: the live end). `epoch`: the log epoch that the caller's
 * position was counted in (kt_reader_epoch at that time), 0: not checked, only for positions known to be durable.
 * Where the answer is not KT_OK the reader stands where serving can go on, and *out_lost (may be NULL) names the range.
 *   KT_GONE   removed by retention: stands at the first record kept
 *   KT_EPOCH  unknown epoch, or an older one and above its cut: stands at the first record of the newest epoch behind it
 *   KT_SEQ    beyond the end: stands at the end
 *   KT_CORRUPT, KT_SYS: a segment can not be read, named; the reader stands nowhere until the next seek */
kt_code kt_reader_seek(kt_reader *reader, uint64_t epoch, uint64_t seq, kt_lost *out_lost, kt_err *err);

/* Stand behind the last record, with the table of subjects up to date. */
kt_code kt_reader_seek_end(kt_reader *reader, kt_err *err);

/* Stand before the first record such that every record before it is older than time_ns (times need not be ordered).
 * KT_GONE: time_ns lies before the first record kept and earlier ones were removed; stands at the first kept. */
kt_code kt_reader_seek_time(kt_reader *reader, int64_t time_ns, kt_err *err);

/* The next record, only if its seq is at most `limit` (UINT64_MAX: any; kt_reader_durable(): what outlives memory).
 *   KT_EMPTY    nothing (more) yet: call again after a wake
 *   KT_GONE     the reader was overtaken by retention; kt_reader_lost names the range, it stands behind it
 *   KT_SEQ      the reader stands beyond the end of a log that was cut (other boot); kt_reader_lost, stands at the end
 *   KT_CORRUPT  bad bytes where a record was promised; kt_reader_lost (from, to of the fence, or to 0), and it stands
 *               behind a fence (next call goes on) or stays (every call answers the same)
 *   KT_SYS      a segment can not be opened; see kt_reader_error */
kt_code kt_reader_next(kt_reader *reader, uint64_t limit, const kt_rec **out_rec);

kt_lost kt_reader_lost(const kt_reader *reader);        /* of the last answer that named a range */
const kt_err *kt_reader_error(const kt_reader *reader); /* of the last answer other than OK and EMPTY */

uint64_t kt_reader_position(const kt_reader *reader); /* seq of the record that comes next */

/* From the control page; without a live writer: the last record found, and the state file's durable. */
uint64_t kt_reader_written(const kt_reader *reader);
uint64_t kt_reader_durable(const kt_reader *reader);
uint64_t kt_reader_first(const kt_reader *reader);      /* first seq that is kept; 0 in an empty log */
uint64_t kt_reader_epoch(const kt_reader *reader);      /* of the log, at the reader's position */
uint64_t kt_reader_generation(const kt_reader *reader); /* counts the openings by a writer */

/* Of a record just read. The empty text for an id outside the table. Lives as long as the reader. */
kt_text kt_reader_subject(const kt_reader *reader, uint32_t id);
uint32_t kt_reader_subject_count(const kt_reader *reader); /* ids 0 to count - 1, known at this position */

typedef struct kt_reader_subject_info {
    uint32_t id;
    uint32_t flags;
    uint64_t epoch;       /* at the reader's position */
    uint64_t last_offset; /* the same; 0: none. Exact for a reader that came by seek_end or from a segment's start */
} kt_reader_subject_info;
/* KT_NOENT: not declared before the reader's position. */
kt_code kt_reader_subject_find(const kt_reader *reader, kt_text name, kt_reader_subject_info *out_info);

/* Where a client of one subject goes on: log.md 2.
 *   KT_OK     everything after `offset` is there (also from an older epoch, at or below its cut): recovered
 *   KT_EPOCH  unknown epoch, or above the cut of an older one: lost = offset + 1 to unknown
 *   KT_GONE   lost = offset + 1 to the last removed
 *   KT_SEQ    the epoch is right, the offset is beyond the end: nothing to name
 *   KT_NOENT  no such subject (out is left alone)
 *   KT_ARG    this reader has not followed from seek_end: it does not know the subject's present
 *   KT_CORRUPT, KT_SYS: a segment can not be read
 * In the first four `out` is filled: serve records of `subject` with offset >= next_offset, reading from from_seq on (an
 * index entry at or before the record: records of the subject with smaller offsets are skipped by the caller). epoch 0
 * in the question means "whatever it is", for clients that name an offset alone. */
typedef struct kt_resume {
    uint32_t subject;
    uint64_t epoch; /* now */
    uint64_t next_offset;
    uint64_t from_seq;
    kt_lost lost; /* offsets */
} kt_resume;
kt_code kt_reader_resume(kt_reader *live, kt_text name, uint64_t epoch, uint64_t offset, kt_resume *out, kt_err *err);

/* The record `offset` of a subject in its newest epoch, when it is among those that `live` remembers; it stays valid until the
 * next call of anything but this with the same reader. before_seq: seq of the subject's record before it, as a hint; 0: not
 * known. Cost: a step with the right hint, otherwise one for each record of the subject after it, at most
 * KT_READER_RECENT_STEPS.
 *   KT_NOENT  not remembered, removed by retention, another epoch, not there (yet), or too many steps: kt_reader_resume() knows */
enum { KT_READER_RECENT_STEPS = 1 << 16 };
kt_code kt_reader_recent(const kt_reader *live, uint32_t subject, uint64_t epoch, uint64_t offset, uint64_t before_seq,
    const kt_rec **out_rec);

#endif
