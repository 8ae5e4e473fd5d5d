/* log/segment.h - inside the log: one segment file, mapped, and the walk over its records.
 *
 *   0        kt_seg_header
 *   128      table of subjects (subjects.h) as it stood before the first record
 *   data_at  records, back to back, then zeros up to the end of the file; the last record of a full one is KT_CTL_SEAL
 */
#ifndef KT_LOG_SEGMENT_H
#define KT_LOG_SEGMENT_H

#include "base/hash.h"
#include "log/disk.h"
#include "log/subjects.h"

#include <string.h>

typedef struct kt_seg_header {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* of the header with crc 0 */
    uint64_t file_size;
    uint64_t schema_hash;
    uint64_t first_seq;
    uint64_t generation;
    int64_t
        created_ns; /* when its first record could be written: about the time of the last record of the one before */
    uint32_t subject_count;
    uint32_t table_crc;
    uint64_t table_size;
    uint64_t data_at; /* a multiple of KT_PAGE */
    uint8_t zeros[48];
} kt_seg_header;
_Static_assert(sizeof(kt_seg_header) == 128, "on-disk layout");

enum {
    KT_SEAL_SIZE = sizeof(kt_rec) + sizeof(kt_ctl_seal),
    KT_SEGMENTS_MAPPED_MAX = 16384, /* mapped at the same time in one process */
};

typedef struct kt_segment {
    uint8_t *map; /* NULL: not mapped */
    uint64_t size;
    kt_seg_name name;
    uint64_t data_at;
    int64_t created_ns;
    uint32_t subject_count;
    uint64_t table_size;
    int32_t guard; /* place in the register of the SIGBUS handler, -1: none */
} kt_segment;

/* Check the header and table of `size` bytes that begin at `map`, and fill in everything but guard.
 * KT_CORRUPT, KT_VERSION: `path` is named. */
kt_code kt_segment_check(const uint8_t *map, uint64_t size, const char *path, kt_segment *out_segment, kt_err *err);

/* Map the file of that name and check it. KT_NOENT, KT_CORRUPT (also: too short, not a regular file, another segment's
 * header), KT_VERSION, KT_SYS. */
kt_code kt_segment_map(const char *dir, kt_seg_name name, bool writable, kt_segment *out_segment, kt_err *err);
void kt_segment_unmap(kt_segment *segment);

/* Write header and table of an empty segment into `map`. table_size must leave room (asserted). */
void kt_segment_format(uint8_t *map, uint64_t size, kt_seg_name name, uint64_t schema_hash, int64_t created_ns,
    const kt_subjects *subjects);

/* Change the generation in a header, checksum included. */
void kt_segment_set_generation(uint8_t *map, uint64_t generation);

/* The register of mapped ranges that the SIGBUS handler names; the handler is installed unless it is there. KT_LIMIT: too many. */
kt_code kt_guard_add(const void *map, uint64_t size, const char *path, int32_t *out_guard);
void kt_guard_remove(int32_t guard);

/* ---- records ---- */

/* One step of a loop that waits for another thread or process. */
static inline void kt_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static inline uint32_t kt_rec_crc(const kt_rec *rec, uint32_t size)
{
    return kt_crc32c(kt_crc32c(0, &size, sizeof size), (const uint8_t *)rec + 8, size - 8);
}

/* A record that begins at `at`, of which `end - at` bytes may be touched. KT_EMPTY: none yet. KT_CORRUPT: size, seq or
 * checksum is wrong. */
static inline kt_code kt_rec_check(const uint8_t *map, uint64_t at, uint64_t end, uint64_t seq, const kt_rec **out_rec)
{
    const kt_rec *rec = (const kt_rec *)(map + at);

    if (end - at < sizeof *rec)
        return KT_EMPTY;
    uint32_t size = __atomic_load_n(&rec->size, __ATOMIC_ACQUIRE);
    if (size == 0)
        return KT_EMPTY;
    if (size < sizeof *rec || size % 8 != 0 || size > end - at || size > KT_RECORD_MAX || rec->seq != seq ||
        (rec->flags >> KT_REC_PAD_SHIFT) > size - sizeof *rec || rec->crc != kt_rec_crc(rec, size))
        return KT_CORRUPT;
    *out_rec = rec;
    return KT_OK;
}

static inline bool kt_rec_is_seal(const kt_rec *rec)
{
    return rec->kind == KT_CTL_SEAL && (rec->flags & KT_REC_CONTROL) != 0 && rec->subject == 0;
}

/* Walk from the first record of a segment. */
typedef struct kt_scan {
    const kt_segment *segment;
    uint64_t at;
    uint64_t seq; /* of the record at `at` */
    bool sealed;  /* the record before was the seal */
} kt_scan;

static inline kt_scan kt_scan_start(const kt_segment *segment)
{
    return (kt_scan){ segment, segment->data_at, segment->name.first_seq, false };
}

/* The next record, checked, its effect taken into `subjects` (loaded from this segment). KT_EMPTY: no more (sealed says
 * whether that is the end of a full one). KT_CORRUPT: the walk stays there. KT_SYS: no memory. */
static inline kt_code kt_scan_next(kt_scan *scan, kt_subjects *subjects, const kt_rec **out_rec)
{
    const kt_rec *rec;

    if (scan->sealed)
        return KT_EMPTY;
    kt_code code = kt_rec_check(scan->segment->map, scan->at, scan->segment->size, scan->seq, &rec);
    if (code == KT_OK)
        code = kt_subjects_accept(subjects, rec, true);
    if (code != KT_OK)
        return code;
    scan->at += rec->size;
    scan->seq++;
    scan->sealed = kt_rec_is_seal(rec);
    *out_rec = rec;
    return KT_OK;
}

/* The table of the segment's start. KT_CORRUPT, KT_SYS. */
static inline kt_code kt_segment_subjects(const kt_segment *segment, kt_subjects *subjects)
{
    return kt_subjects_load(
        subjects, segment->map + sizeof(kt_seg_header), segment->table_size, segment->subject_count);
}

#endif
