/* simulate/vdisk.h - a disk that loses what was not synced.
 *
 * Mapped stores can not be intercepted, so the files themselves (on a folder in memory) are the page cache, and beside each
 * stands a shadow: what is on disk. A sync copies the pages that differ from what the last sync saw. A sync that fails copies
 * some of them, and the rest count as clean from then on, as they do in the kernel: only a page that changes again is written
 * by a later sync. When the power goes, what is left is the shadow and a random choice, page by page and here and there
 * sector by sector, of what was not synced; names likewise. The next start runs on that (log.md 9).
 *
 * Owners   each process of the house is one. A dead owner's calls fail and change nothing.
 * Fuses    an owner dies, or the power goes, before the n-th call from now: calls of the log's writer, each record that it
 *          stores, and the writes and syncs of SQLite.
 * Strict   names of a log's files are on disk once their folder is synced. Those of the store, which SQLite does not sync,
 *          with the first sync of the file, as file systems do.
 */
#ifndef KT_SIMULATE_VDISK_H
#define KT_SIMULATE_VDISK_H

#include "base/rng.h"
#include "log/log.h"

enum { KT_VDISK_OWNER_MAX = 8 };

typedef struct kt_vdisk kt_vdisk;

/* `dir` is a folder that is there. Without `shadows` there are no power cuts, and syncs cost nothing. `rng` is borrowed. */
kt_code kt_vdisk_new(const char *dir, kt_rng *rng, bool shadows, kt_vdisk **out_disk, kt_err *err);
void kt_vdisk_free(kt_vdisk *disk);

kt_log_io kt_vdisk_io(kt_vdisk *disk, uint32_t owner);

/* SQLite's files are on this disk, of this owner, until kt_vdisk_free(): every database that is opened in the process. */
kt_code kt_vdisk_take_sqlite(kt_vdisk *disk, uint32_t owner, kt_err *err);

/* Deaths. */
void kt_vdisk_kill(kt_vdisk *disk, uint32_t owner);
void kt_vdisk_revive(kt_vdisk *disk, uint32_t owner);
bool kt_vdisk_dead(const kt_vdisk *disk, uint32_t owner);
void kt_vdisk_fuse(kt_vdisk *disk, uint32_t owner, uint64_t calls); /* 0: none */

/* Power. While it is off everybody is dead. */
void kt_vdisk_cut_fuse(kt_vdisk *disk, uint64_t calls); /* 0: none */
void kt_vdisk_cut(kt_vdisk *disk);
bool kt_vdisk_is_off(const kt_vdisk *disk);
/* With the power back: the folder becomes what is left. Nobody may hold a file open or mapped. KT_SYS. */
kt_code kt_vdisk_power_on(kt_vdisk *disk, kt_err *err);

/* The owner's next sync fails, and for_good each one after it until it is revived. */
void kt_vdisk_fail_sync(kt_vdisk *disk, uint32_t owner, bool for_good);
void kt_vdisk_fill(kt_vdisk *disk, bool full); /* files can not grow */

typedef struct kt_vdisk_counts {
    uint64_t syncs, failed_syncs, refused; /* refused: for want of room */
    uint64_t lost_pages;                   /* by power cuts */
} kt_vdisk_counts;
kt_vdisk_counts kt_vdisk_count(const kt_vdisk *disk);

/* Bytes of all files below the folder. */
uint64_t kt_vdisk_bytes(const kt_vdisk *disk);

#endif
