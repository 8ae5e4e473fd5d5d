#include "log/disk.h"

#include "base/hash.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- system calls ---- */

static int system_open(void *ctx, const char *path, int flags, mode_t mode)
{
    return open(path, flags | O_CLOEXEC, mode);
}

static ssize_t system_pwrite(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    return pwrite(fd, data, size, at);
}

static int system_fdatasync(void *ctx, int fd)
{
    return fdatasync(fd);
}

static int system_fsync(void *ctx, int fd)
{
    return fsync(fd);
}

static int system_rename(void *ctx, const char *from, const char *to)
{
    return rename(from, to);
}

static int system_unlink(void *ctx, const char *path)
{
    return unlink(path);
}

const kt_log_io kt_log_io_system = {
    .open = system_open,
    .pwrite = system_pwrite,
    .fdatasync = system_fdatasync,
    .fsync = system_fsync,
    .rename = system_rename,
    .unlink = system_unlink,
};

kt_code kt_fail_disk(kt_err *err, const char *fmt, ...)
{
    char text[KT_ERR_MSG_SIZE];
    int number = errno;
    bool full = number == ENOSPC || number == EDQUOT;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    errno = number;
    return full ? kt_fail(err, KT_FULL, "%s: the disk is full (%s)", text, strerror(number))
                : kt_fail(err, KT_SYS, "%s", text);
}

int kt_write_all(const kt_log_io *io, int fd, const void *data, size_t size, off_t at, size_t piece)
{
    const uint8_t *bytes = data;

    for (size_t done = 0; done < size;) {
        size_t part = size - done < piece ? size - done : piece;
        ssize_t n = io->pwrite(io->ctx, fd, bytes + done, part, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) {
            errno = ENOSPC;
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}

ssize_t kt_read_all(int fd, void *out, size_t size, off_t at)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)out + done, size - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int kt_dir_sync(const kt_log_io *io, const char *path)
{
    int fd = io->open(io->ctx, path, O_RDONLY | O_DIRECTORY, 0);
    int result = fd < 0 ? -1 : io->fsync(io->ctx, fd);
    int number = errno;

    if (fd >= 0)
        close(fd);
    errno = number;
    return result;
}

/* ---- names ---- */

const char *kt_file_path(char *out, const char *dir, const char *name)
{
    snprintf(out, KT_PATH_SIZE, "%s/%s", dir, name);
    return out;
}

const char *kt_seg_path(char *out, const char *dir, kt_seg_name name, const char *suffix)
{
    snprintf(out, KT_PATH_SIZE, "%s/%020llu.%04llu%s", dir, (unsigned long long)name.first_seq,
        (unsigned long long)name.generation, suffix);
    return out;
}

/* "00000000000000000001.0001.seg" and nothing else. */
static bool seg_name_parse(const char *file, kt_seg_name *out)
{
    kt_text rest = kt_text_of(file);
    kt_text first, generation, suffix;

    return kt_text_cut(&rest, '.', &first) && kt_text_cut(&rest, '.', &generation) &&
           kt_text_cut(&rest, '.', &suffix) && rest.n == 0 && first.n == 20 && generation.n >= 4 &&
           kt_text_equal(suffix, KT_TEXT("seg")) && kt_text_u64(first, &out->first_seq) == KT_OK &&
           kt_text_u64(generation, &out->generation) == KT_OK && out->first_seq > 0;
}

static int seg_name_order(const void *a, const void *b)
{
    const kt_seg_name *x = a, *y = b;

    if (x->first_seq != y->first_seq)
        return x->first_seq < y->first_seq ? -1 : 1;
    return (x->generation > y->generation) - (x->generation < y->generation);
}

kt_code kt_seg_names_read(const char *dir, kt_seg_names *out_names, kt_err *err)
{
    kt_code code = KT_OK;
    kt_seg_names names = { NULL, 0 };
    uint32_t room = 0;
    struct dirent *entry;
    DIR *stream = opendir(dir);

    if (stream == NULL)
        return kt_fail(err, errno == ENOENT ? KT_NOENT : KT_SYS, "cannot read log folder '%s'", dir);
    while ((entry = readdir(stream)) != NULL) {
        kt_seg_name name;
        if (!seg_name_parse(entry->d_name, &name))
            continue;
        if (names.count == room) {
            kt_seg_name *more = realloc(names.list, (room * 2 + 16) * sizeof *more);
            if (more == NULL) {
                code = kt_fail(err, KT_SYS, "cannot list log folder '%s'", dir);
                goto out;
            }
            names.list = more;
            room = room * 2 + 16;
        }
        names.list[names.count++] = name;
    }
    if (names.count > 0)
        qsort(names.list, names.count, sizeof *names.list, seg_name_order);
    *out_names = names;
    names.list = NULL;
out:
    closedir(stream);
    free(names.list);
    return code;
}

void kt_seg_names_newest(kt_seg_names *names)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < names->count; i++) {
        bool last = i + 1 == names->count || names->list[i + 1].first_seq != names->list[i].first_seq;
        if (last)
            names->list[kept++] = names->list[i];
    }
    names->count = kept;
}

int64_t kt_seg_names_find(const kt_seg_names *names, uint64_t seq)
{
    uint32_t low = 0, high = names->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (names->list[middle].first_seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return (int64_t)low - 1;
}

/* ---- boot id ---- */

kt_code kt_boot_id(uint8_t out_boot_id[KT_BOOT_ID_SIZE], kt_err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    char text[64];
    uint8_t id[KT_BOOT_ID_SIZE];
    uint32_t digits = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return kt_fail(err, KT_SYS, "cannot read the boot id from '%s'", path);
    for (ssize_t i = 0; i < n && digits < 2 * KT_BOOT_ID_SIZE; i++) {
        uint64_t value;
        if (kt_text_hex64((kt_text){ text + i, 1 }, &value) != KT_OK)
            continue;
        id[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : id[digits / 2] | value);
        digits++;
    }
    if (digits != 2 * KT_BOOT_ID_SIZE)
        return kt_fail(err, KT_CORRUPT, "'%s' does not hold a boot id of 32 hexadecimal digits", path);
    memcpy(out_boot_id, id, sizeof id);
    return KT_OK;
}

uint64_t kt_boot_key(const uint8_t boot_id[KT_BOOT_ID_SIZE])
{
    uint64_t low, high;

    memcpy(&low, boot_id, 8);
    memcpy(&high, boot_id + 8, 8);
    low = kt_hash_u64(low, 1) ^ kt_hash_u64(high, 2);
    return low != 0 ? low : 1;
}

/* ---- control page ---- */

static const char control_magic[8] = "ktlogctl";

kt_code kt_control_map(const char *dir, bool writable, kt_control **out_control, kt_err *err)
{
    kt_code code = KT_OK;
    kt_control *control = MAP_FAILED;
    char path[KT_PATH_SIZE];
    struct stat info;
    int fd = open(kt_file_path(path, dir, "control"), (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0644);

    if (fd < 0) {
        code = kt_fail(err, errno == ENOENT && !writable ? KT_NOENT : KT_SYS, "cannot open '%s'", path);
        goto out;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        code = kt_fail(err, KT_CORRUPT, "'%s' is not a regular file", path);
        goto out;
    }
    if (info.st_size < KT_PAGE && !writable) {
        code = kt_fail(err, KT_NOENT, "'%s' is still being made", path);
        goto out;
    }
    if (info.st_size < KT_PAGE) {
        static const uint8_t zeros[KT_PAGE];
        if (kt_write_all(&kt_log_io_system, fd, zeros, sizeof zeros, 0, sizeof zeros) != 0) {
            code = kt_fail_disk(err, "cannot write '%s'", path);
            goto out;
        }
    }
    control = mmap(NULL, KT_PAGE, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) {
        code = kt_fail(err, KT_SYS, "cannot map '%s'", path);
        goto out;
    }
    bool known = memcmp(control->magic, control_magic, sizeof control_magic) == 0;
    if (known && control->format > KT_LOG_FORMAT) {
        code = kt_fail(err, KT_VERSION, "'%s' has format %u, made by a newer program; this one reads up to %d", path,
            control->format, KT_LOG_FORMAT);
        goto out;
    }
    if (!known && !writable) {
        code = kt_fail(err, KT_NOENT, "'%s' is still being made", path);
        goto out;
    }
    if (!known) {
        memset(control, 0, KT_PAGE);
        control->format = KT_LOG_FORMAT;
        memcpy(control->magic, control_magic, sizeof control_magic);
    }
    *out_control = control;
    control = MAP_FAILED;
out:
    if (control != MAP_FAILED)
        munmap(control, KT_PAGE);
    if (fd >= 0)
        close(fd); /* the mapping keeps the file alive */
    return code;
}

void kt_control_unmap(kt_control *control)
{
    if (control != NULL)
        munmap(control, KT_PAGE);
}

/* ---- state file ---- */

typedef struct state_slot {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* of the slot with crc 0 */
    kt_state state;
} state_slot;

static const char state_magic[8] = "ktlogsta";

static uint32_t slot_crc(state_slot slot)
{
    slot.crc = 0;
    return kt_crc32c(0, &slot, sizeof slot);
}

kt_code kt_state_read(const char *dir, kt_state *out_state, kt_err *err)
{
    kt_code code = KT_CORRUPT;
    char path[KT_PATH_SIZE];
    uint64_t newest = 0;
    int fd = open(kt_file_path(path, dir, "state"), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return kt_fail(err, errno == ENOENT ? KT_NOENT : KT_SYS, "cannot open '%s'", path);
    for (int i = 0; i < 2; i++) {
        state_slot slot;
        if (kt_read_all(fd, &slot, sizeof slot, (off_t)i * KT_PAGE) != sizeof slot ||
            memcmp(slot.magic, state_magic, sizeof state_magic) != 0)
            continue;
        if (slot.format > KT_LOG_FORMAT) {
            code = kt_fail(err, KT_VERSION, "'%s' has format %u, made by a newer program; this one reads up to %d",
                path, slot.format, KT_LOG_FORMAT);
            break;
        }
        if (slot.crc != slot_crc(slot) || slot.state.counter <= newest)
            continue;
        newest = slot.state.counter;
        *out_state = slot.state;
        code = KT_OK;
    }
    if (code == KT_CORRUPT)
        kt_fail(err, code, "neither slot of '%s' holds its checksum: what was durable is unknown", path);
    close(fd);
    return code;
}

kt_code kt_state_write(const kt_log_io *io, int fd, kt_state *state, kt_err *err)
{
    state_slot slot = { .format = KT_LOG_FORMAT };

    state->counter++;
    memcpy(slot.magic, state_magic, sizeof state_magic);
    slot.state = *state;
    slot.crc = slot_crc(slot);
    if (kt_write_all(io, fd, &slot, sizeof slot, (off_t)(state->counter % 2) * KT_PAGE, sizeof slot) != 0)
        return kt_fail_disk(err, "cannot write the state file");
    return KT_OK;
}
