/* log/disk.h - inside the log: the names of its files, the state file, the control page, the boot id.
 */
#ifndef KT_LOG_DISK_H
#define KT_LOG_DISK_H

#include "log/log.h"

#include <stdatomic.h>

enum {
    KT_PAGE = 4096,
    KT_PATH_SIZE = 4096,
    KT_FILE_NAME_SIZE = 64,
};

/* Positions that readers poll, one mapped page. It is only true while `boot_key` is that of the running system. */
typedef struct kt_control {
    char magic[8];
    uint32_t format;
    uint32_t zero;
    _Atomic uint64_t boot_key;   /* stored last when a writer has opened */
    _Atomic uint64_t generation; /* counts openings; a change makes readers look for their segment again */
    _Atomic uint64_t first_seq;  /* first record kept */
    _Atomic uint32_t writer_pid; /* 0: closed */
    uint8_t pad_to_line[20];
    _Atomic uint64_t written __attribute__((aligned(64))); /* lines of their own: two threads write them */
    _Atomic uint64_t durable __attribute__((aligned(64)));
} kt_control;
_Static_assert(sizeof(kt_control) <= KT_PAGE, "one page");

/* One word for a boot id, never 0. */
uint64_t kt_boot_key(const uint8_t boot_id[KT_BOOT_ID_SIZE]);

/* Map <dir>/control, for the writer made when it is not there or unreadable. KT_NOENT (readers only), KT_VERSION,
 * KT_CORRUPT (readers only), KT_SYS. */
kt_code kt_control_map(const char *dir, bool writable, kt_control **out_control, kt_err *err);
void kt_control_unmap(kt_control *control);

/* What the state file remembers. */
typedef struct kt_state {
    uint64_t counter; /* of writes; the slot is counter mod 2 */
    uint8_t boot_id[KT_BOOT_ID_SIZE];
    uint64_t durable;
    uint64_t first_seq;
    uint64_t generation;
    uint32_t clean;
    uint32_t zero;
} kt_state;

/* The newer of the two slots. KT_NOENT: no file. KT_CORRUPT: neither slot holds. KT_VERSION, KT_SYS. */
kt_code kt_state_read(const char *dir, kt_state *out_state, kt_err *err);

/* Write the next slot (counter is moved); no sync. KT_SYS, KT_FULL. */
kt_code kt_state_write(const kt_log_io *io, int fd, kt_state *state, kt_err *err);

/* The segment files of a folder, by first seq and, within one, by generation. */
typedef struct kt_seg_name {
    uint64_t first_seq;
    uint64_t generation;
} kt_seg_name;

typedef struct kt_seg_names {
    kt_seg_name *list; /* malloc'ed */
    uint32_t count;
} kt_seg_names;

/* KT_SYS: the folder can not be read; KT_NOENT: it is not there. Free `list`. */
kt_code kt_seg_names_read(const char *dir, kt_seg_names *out_names, kt_err *err);

/* Keep only the newest generation of each first seq. */
void kt_seg_names_newest(kt_seg_names *names);

/* Index of the last one with first_seq <= seq, -1 when there is none. Of the list after kt_seg_names_newest. */
int64_t kt_seg_names_find(const kt_seg_names *names, uint64_t seq);

/* "<dir>/<first>.<generation><suffix>"; suffix ".seg" or ".idx". Into a KT_PATH_SIZE buffer. */
const char *kt_seg_path(char *out, const char *dir, kt_seg_name name, const char *suffix);
/* "<dir>/<name>" */
const char *kt_file_path(char *out, const char *dir, const char *name);

/* ENOSPC and EDQUOT are KT_FULL, the rest KT_SYS; the message ends in the text of errno either way. */
kt_code kt_fail_disk(kt_err *err, const char *fmt, ...) __attribute__((cold, format(printf, 2, 3)));

/* Write all of it, in pieces of at most `piece` bytes. -1 and errno. */
int kt_write_all(const kt_log_io *io, int fd, const void *data, size_t size, off_t at, size_t piece);

/* pread all of it; the number of bytes that were there, -1 and errno. */
ssize_t kt_read_all(int fd, void *out, size_t size, off_t at);

/* fsync of a folder. -1 and errno. */
int kt_dir_sync(const kt_log_io *io, const char *path);

#endif
