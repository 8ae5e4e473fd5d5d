/* log/subjects.h - inside the log: the table of subjects, in memory and at the start of each segment.
 *
 * On disk: one kt_subject_row a subject, by id, then at row.at (from the table's start, a multiple of 8) its epochs,
 * oldest first, and its name. Bytes from disk are checked, never trusted.
 */
#ifndef KT_LOG_SUBJECTS_H
#define KT_LOG_SUBJECTS_H

#include "base/map.h"
#include "log/log.h"

typedef struct kt_epoch {
    uint64_t epoch;
    uint64_t first_offset; /* first offset of the subject that belongs to it */
    uint64_t first_seq;    /* and the first seq */
} kt_epoch;

typedef struct kt_subject_row {
    uint64_t last_offset;
    uint64_t last_seq;
    uint32_t at;
    uint32_t flags;
    uint16_t name_size;
    uint16_t epoch_count;
    uint32_t zero;
} kt_subject_row;
_Static_assert(sizeof(kt_subject_row) == 32 && sizeof(kt_epoch) == 24, "on-disk layout");

typedef struct kt_subject {
    uint64_t last_offset;
    uint64_t last_seq;
    char *name; /* NUL-terminated; interned: kept until the table is done, also when the id gets another name */
    kt_epoch *epochs;
    uint32_t flags;
    uint16_t name_size;
    uint16_t epoch_count;
} kt_subject;

typedef struct kt_subjects {
    kt_subject *list;
    uint32_t count; /* ids 0 to count - 1 */
    uint32_t room;  /* allocated; those above count keep their names for reuse */
    uint32_t max;
    uint64_t table_size; /* bytes of the table on disk */
    kt_map_text map;
    void *map_mem;
    char **retired; /* names of ids that were given another one */
    uint32_t retired_count;
} kt_subjects;

void kt_subjects_init(kt_subjects *subjects, uint32_t max);
void kt_subjects_done(kt_subjects *subjects);

/* Id `subjects->count` gets this name. KT_FULL: max reached. KT_SYS: no memory. */
kt_code kt_subjects_add(kt_subjects *subjects, kt_text name, uint32_t flags, kt_epoch epoch);

/* A new epoch for an id below count; the oldest is forgotten beyond KT_EPOCHS_MAX. KT_SYS: no memory. */
kt_code kt_subjects_begin(kt_subjects *subjects, uint32_t id, kt_epoch epoch);

kt_code kt_subjects_find(const kt_subjects *subjects, kt_text name, uint32_t *out_id); /* KT_NOENT */

/* Bytes that one more subject takes on disk. */
uint64_t kt_subject_table_size(uint32_t name_size, uint32_t epoch_count);

/* Write subjects->table_size bytes. */
void kt_subjects_store(const kt_subjects *subjects, void *out);

/* Replace the whole by a table of `count` subjects. KT_CORRUPT, KT_SYS. */
kt_code kt_subjects_load(kt_subjects *subjects, const void *table, uint64_t size, uint32_t count);

/* Last offset of one subject in a table on disk, 0 when it is not there or the table is bad. */
uint64_t kt_subject_table_last(const void *table, uint64_t size, uint32_t count, uint32_t id);

/* Take the effect of a record that passed its checksum: last offset and seq, declarations, epochs. `exact`: the table has
 * seen every record before, so the offset must be the next one; otherwise it must be a later one.
 * KT_CORRUPT: it contradicts the table; nothing has changed. KT_SYS: no memory. */
kt_code kt_subjects_accept(kt_subjects *subjects, const kt_rec *rec, bool exact);

#endif
