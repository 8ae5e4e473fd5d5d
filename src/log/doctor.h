/* log/doctor.h - say what is in a log folder, what is wrong with it and what is lost, without changing anything.
 *
 * Reads every segment with all checks, whether a writer is alive or not (then only up to what was written when it began).
 */
#ifndef KT_LOG_DOCTOR_H
#define KT_LOG_DOCTOR_H

#include "base/error.h"
#include "base/types.h"

typedef enum kt_doctor_level {
    KT_DOCTOR_NOTE, /* a fact */
    KT_DOCTOR_WARN, /* mends itself at the next opening: torn tail, missing index, stale file */
    KT_DOCTOR_LOSS  /* records are gone for good: fenced range, cursor cut off, segment unreadable */
} kt_doctor_level;

typedef struct kt_doctor_summary {
    uint64_t first_seq; /* first record that is kept: further back the store is the record */
    uint64_t last_seq;
    uint64_t durable;
    uint64_t record_count; /* that passed all checks */
    uint64_t lost_count;   /* records known to be lost in fences and bad segments */
    uint64_t torn_bytes;   /* non-zero bytes behind the last good record */
    uint32_t segment_count;
    uint32_t subject_count;
    uint32_t loss_lines; /* 0: the log is whole */
} kt_doctor_summary;

/* `report` gets one line a finding, without a newline, in the order of the log.
 * KT_NOENT: no log there. KT_VERSION: made by a newer program. KT_SYS: the folder can not be read. */
kt_code kt_log_doctor(const char *dir, void (*report)(void *ctx, kt_doctor_level level, const char *line), void *ctx,
    kt_doctor_summary *out_summary, kt_err *err);

#endif
