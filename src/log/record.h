/* log/record.h - the record as it stands on disk, in memory and before a reader: one layout for all three.
 *
 * A record is 8-byte aligned: 48 bytes of header, the payload, zeros up to the next multiple of 8. `size` is stored last
 * with release order, so a reader that sees it non-zero sees the whole record. Records are never changed.
 */
#ifndef KT_LOG_RECORD_H
#define KT_LOG_RECORD_H

#include "base/types.h"

enum {
    KT_RECORD_MAX =
        1 << 20, /* bytes of the largest record, header included; see kt_log_record_max for small segments */
    KT_LOG_NAME_MAX =
        63, /* bytes of the name of a log, a lane, a cursor; a subject's is KT_SUBJECT_MAX of base/text.h */
};

/* Whoever moves or interprets a record uses these; exactly one of the first three, or none beside CONTROL. */
enum {
    KT_REC_INPUT = 1,  /* something a service sees: a message, a timer firing, an answer, configuration */
    KT_REC_OUTPUT = 2, /* made by a service while it applied the input `cause` */
    KT_REC_ADMIT = 4,  /* "the foreign log X is applied up to seq N here" */
    KT_REC_CONTROL =
        8, /* of the log itself: subjects, epochs, seals, losses (kinds below), and set-aside marks of lanes */
    KT_REC_PAD_SHIFT = 13 /* the top three bits say how many zeros (0 to 7) follow the payload */
};

typedef struct kt_rec {
    uint32_t size;    /* bytes, this header and padding included, a multiple of 8; stored last, with release order */
    uint32_t crc;     /* CRC-32C of everything else */
    uint16_t kind;    /* number in the schema; control records of the log itself: KT_CTL_* */
    uint16_t flags;   /* KT_REC_*, and the padding */
    uint32_t subject; /* id in this log's table of subjects */
    uint64_t seq;     /* 1, 2, 3 ... without gaps in this log */
    uint64_t offset;  /* the same within the subject */
    int64_t time_ns;  /* UTC; taken once when the record is made, never by replay */
    uint64_t cause;   /* outputs: seq of the input that made them; inputs: correlation id */
} kt_rec;
_Static_assert(sizeof(kt_rec) == 48 && offsetof(kt_rec, seq) == 16, "on-disk layout");

static inline const void *kt_rec_payload(const kt_rec *rec)
{
    return rec + 1;
}

/* Bytes of the payload as appended, without the padding. */
static inline uint32_t kt_rec_payload_size(const kt_rec *rec)
{
    return rec->size - (uint32_t)sizeof *rec - (rec->flags >> KT_REC_PAD_SHIFT);
}

/* Kinds of the log's own control records (flag KT_REC_CONTROL, subject 0). Kinds of control records made by others start
 * at KT_CTL_OTHER. Readers hand them out like any record; who does not care skips the flag. */
enum {
    KT_CTL_SUBJECT = 1, /* kt_ctl_subject, then the name: a subject is declared (or its flags change) */
    KT_CTL_EPOCHS = 2,  /* array of kt_ctl_epoch: these subjects begin a new epoch, a tail may have been lost */
    KT_CTL_SEAL = 3,    /* kt_ctl_seal: last record of its segment */
    KT_CTL_LOST = 4,    /* kt_ctl_lost, then text: a range of this log is gone (cursor cut off, segment fenced) */
    KT_CTL_OTHER = 16,
};

typedef struct kt_ctl_subject {
    uint32_t id;
    uint32_t flags; /* KT_SUBJECT_* of log.h */
    uint64_t epoch;
    uint64_t first_offset;
    uint32_t name_size;
    uint32_t zero;
} kt_ctl_subject;

typedef struct kt_ctl_epoch {
    uint32_t id;
    uint32_t zero;
    uint64_t epoch;
    uint64_t first_offset;
    uint64_t first_seq; /* records of the subject at or above it belong to the epoch */
} kt_ctl_epoch;

typedef struct kt_ctl_seal {
    uint64_t next_seq; /* first seq of the next segment */
} kt_ctl_seal;

enum { KT_LOST_CURSOR = 1, KT_LOST_FENCED = 2 };

typedef struct kt_ctl_lost {
    uint32_t why;       /* KT_LOST_* */
    uint32_t name_size; /* of the text behind: the cursor's name, or the segment's file */
    uint64_t from_seq;
    uint64_t to_seq;
} kt_ctl_lost;

#endif
