#include "simulate/vdisk.h"

#include "base/assert.h"
#include "log/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, NAME_MAX_SIZE = 512, FILE_MAX = 4096 };

/* A file, by inode while it has one. */
typedef struct shadow {
    ino_t inode;    /* 0: unlinked; its last bytes are in `last` */
    uint8_t *disk;  /* what is on disk; NULL: nothing */
    uint8_t *clean; /* what the last sync saw: pages that equal it are not written by the next one */
    uint8_t *last;
    uint8_t *map; /* of the file as it is, kept from sync to sync; NULL: none */
    size_t disk_size, clean_size, last_size, map_size;
} shadow;

typedef struct entry {
    char name[NAME_MAX_SIZE]; /* below the folder */
    int file;
} entry;

typedef struct entries {
    entry *list;
    int count, room;
} entries;

/* What is left of a file when the power goes. */
typedef struct left {
    char name[NAME_MAX_SIZE];
    uint8_t *bytes;
    size_t size;
} left;

typedef struct owner {
    kt_vdisk *disk;
    uint32_t index;
    bool dead;
    uint64_t fuse; /* calls that are left; 0: no fuse */
    bool sync_fails, fails_for_good;
} owner;

struct kt_vdisk {
    char dir[NAME_MAX_SIZE];
    kt_rng *rng;
    bool shadows;
    owner owners[KT_VDISK_OWNER_MAX];
    shadow *files;
    int file_count;
    entries names; /* on disk */
    uint64_t cut_fuse;
    bool off, full;
    left *left;
    int left_count;
    sqlite3_vfs vfs;
    sqlite3_vfs *system_vfs; /* NULL: SQLite is not taken */
    uint32_t vfs_owner;
    kt_vdisk_counts counts;
};

/* ---- shadows ---- */

static void *must(void *mem)
{
    kt_assert(mem != NULL);
    return mem;
}

static int file_of(kt_vdisk *disk, ino_t inode)
{
    int unused = -1;

    for (int i = 0; i < disk->file_count; i++) {
        if (disk->files[i].inode == inode && inode != 0)
            return i;
        if (disk->files[i].inode == 0 && disk->files[i].last == NULL && unused < 0)
            unused = i;
    }
    if (unused < 0) {
        kt_assert(disk->file_count < FILE_MAX);
        unused = disk->file_count++;
    }
    disk->files[unused] = (shadow){ .inode = inode };
    return unused;
}

static void shadow_clear(shadow *file)
{
    if (file->map != NULL)
        munmap(file->map, file->map_size);
    free(file->disk);
    free(file->clean);
    free(file->last);
    *file = (shadow){ 0 };
}

/* A copy of the file's bytes; NULL for an empty one. */
static uint8_t *bytes_of(int fd, size_t *out_size)
{
    struct stat info;

    kt_assert(fstat(fd, &info) == 0);
    *out_size = (size_t)info.st_size;
    uint8_t *bytes = must(malloc(*out_size + 1));
    kt_assert(kt_read_all(fd, bytes, *out_size, 0) == (ssize_t)*out_size);
    return bytes;
}

static size_t page_at(size_t at, size_t size)
{
    return size - at < KT_PAGE ? size - at : KT_PAGE;
}

/* Is this page of `now` other than in `then`? */
static bool differs(const uint8_t *now, const uint8_t *then, size_t then_size, size_t at, size_t n)
{
    return then == NULL || at + n > then_size || memcmp(now + at, then + at, n) != 0;
}

static void resize(uint8_t **bytes, size_t *size, size_t to)
{
    *bytes = must(realloc(*bytes, to + 1));
    if (to > *size)
        memset(*bytes + *size, 0, to - *size);
    *size = to;
}

/* The bytes of a file as they are. */
static const uint8_t *look_at(shadow *file, int fd, size_t size)
{
    char path[64];

    if (file->map != NULL && file->map_size == size)
        return file->map;
    if (file->map != NULL)
        munmap(file->map, file->map_size);
    file->map = NULL;
    file->map_size = size;
    if (size == 0)
        return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int readable = open(path, O_RDONLY | O_CLOEXEC); /* the writer's own may not be */
    kt_assert(readable >= 0);
    file->map = mmap(NULL, size, PROT_READ, MAP_SHARED, readable, 0);
    kt_assert(file->map != MAP_FAILED);
    close(readable);
    return file->map;
}

/* Pages that the kernel holds to be dirty go to the disk, those of a sync that fails by chance. */
static void sync_file(kt_vdisk *disk, int fd, bool fails)
{
    struct stat info;

    kt_assert(fstat(fd, &info) == 0);
    if (!S_ISREG(info.st_mode) || info.st_nlink == 0)
        return;
    shadow *file = &disk->files[file_of(disk, info.st_ino)];
    size_t size = (size_t)info.st_size;
    const uint8_t *now = look_at(file, fd, size);
    size_t was_size = file->clean != NULL ? file->clean_size : 0;
    if (file->clean == NULL || file->clean_size != size)
        resize(&file->clean, &file->clean_size, size);
    if (!fails && (file->disk == NULL || file->disk_size != size))
        resize(&file->disk, &file->disk_size, size);
    for (size_t at = 0; at < size; at += KT_PAGE) {
        size_t n = page_at(at, size);
        if (!differs(now, file->clean, was_size, at, n))
            continue;
        memcpy(file->clean + at, now + at, n);
        if (file->disk != NULL && at + n <= file->disk_size && (!fails || kt_rng_chance(disk->rng, 0.3)))
            memcpy(file->disk + at, now + at, n);
    }
}

static void add(entries *to, const char *name, int file)
{
    if (to->count == to->room) {
        to->room = to->room * 2 + 64;
        to->list = must(realloc(to->list, (size_t)to->room * sizeof *to->list));
    }
    snprintf(to->list[to->count].name, NAME_MAX_SIZE, "%s", name);
    to->list[to->count++].file = file;
}

/* nftw() knows no context. */
static struct {
    kt_vdisk *disk;
    entries *out;
    const char *folder; /* only this one; NULL: all */
    uint64_t bytes;
} walk;

static bool in_folder(const char *name, const char *folder)
{
    const char *slash = strrchr(name, '/');
    size_t n = slash != NULL ? (size_t)(slash - name) : 0;

    return strlen(folder) == n && memcmp(name, folder, n) == 0;
}

static int on_name(const char *path, const struct stat *info, int type, struct FTW *place)
{
    const char *name = path + strlen(walk.disk->dir) + 1;
    size_t n = strlen(path);

    if (type != FTW_F)
        return 0;
    walk.bytes += (uint64_t)info->st_blocks * SECTOR;
    if (walk.out == NULL || strcmp(name + place->base - (name - path), "lock") == 0 ||
        (n > 4 && strcmp(path + n - 4, "-shm") == 0) || (walk.folder != NULL && !in_folder(name, walk.folder)))
        return 0;
    add(walk.out, name, file_of(walk.disk, info->st_ino));
    return 0;
}

static void list_names(kt_vdisk *disk, const char *folder, entries *out)
{
    walk.disk = disk;
    walk.out = out;
    walk.folder = folder;
    walk.bytes = 0;
    nftw(disk->dir, on_name, 16, FTW_PHYS);
}

uint64_t kt_vdisk_bytes(const kt_vdisk *disk)
{
    list_names((kt_vdisk *)disk, NULL, NULL);
    return walk.bytes;
}

static bool is_named(const kt_vdisk *disk, int file)
{
    for (int i = 0; i < disk->names.count; i++)
        if (disk->names.list[i].file == file)
            return true;
    return false;
}

/* Names in this folder are on disk as they are now; what has none left, neither here nor there, is gone. */
static void sync_names(kt_vdisk *disk, const char *folder)
{
    int kept = 0;

    for (int i = 0; i < disk->names.count; i++)
        if (!in_folder(disk->names.list[i].name, folder))
            disk->names.list[kept++] = disk->names.list[i];
    disk->names.count = kept;
    list_names(disk, folder, &disk->names);
    for (int i = 0; i < disk->file_count; i++)
        if (disk->files[i].inode == 0 && disk->files[i].last != NULL && !is_named(disk, i))
            shadow_clear(&disk->files[i]);
}

static const char *below(const kt_vdisk *disk, const char *path)
{
    size_t n = strlen(disk->dir);

    if (strncmp(path, disk->dir, n) != 0)
        return NULL;
    return path[n] == '/' ? path + n + 1 : path[n] == '\0' ? path + n : NULL;
}

/* Before a name goes: keep the bytes of the file that may come back. */
static void forget(kt_vdisk *disk, const char *path)
{
    struct stat info;
    int fd = disk->shadows ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    kt_assert(fstat(fd, &info) == 0);
    if (info.st_nlink == 1) {
        int index = file_of(disk, info.st_ino);
        shadow *file = &disk->files[index];
        if (is_named(disk, index)) {
            file->last = bytes_of(fd, &file->last_size);
            file->inode = 0;
        } else {
            shadow_clear(file);
        }
    }
    close(fd);
}

/* ---- power ---- */

static left what_is_left(kt_vdisk *disk, const entry *named)
{
    const shadow *file = &disk->files[named->file];
    char path[2 * NAME_MAX_SIZE];
    size_t now_size = file->last_size;
    uint8_t *now = file->last;
    left result = { 0 };
    int fd = -1;

    snprintf(result.name, sizeof result.name, "%s", named->name);
    if (file->inode != 0) {
        snprintf(path, sizeof path, "%s/%s", disk->dir, named->name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd >= 0) {
        now = bytes_of(fd, &now_size);
        close(fd);
    }
    result.size = file->disk != NULL ? file->disk_size : 0;
    if (now != NULL && now_size != result.size && kt_rng_chance(disk->rng, 0.5))
        result.size = now_size;
    result.bytes = must(calloc(1, result.size + 1));
    if (file->disk != NULL)
        memcpy(result.bytes, file->disk, result.size < file->disk_size ? result.size : file->disk_size);
    for (size_t at = 0; now != NULL && at < result.size && at < now_size; at += KT_PAGE) {
        size_t n = page_at(at, result.size < now_size ? result.size : now_size);
        bool torn = kt_rng_chance(disk->rng, 0.1);
        if (!differs(now, file->clean, file->clean_size, at, n))
            continue; /* clean: written, or lost by a sync that failed */
        if (!torn && kt_rng_chance(disk->rng, 0.5)) {
            memcpy(result.bytes + at, now + at, n);
            continue;
        }
        disk->counts.lost_pages++;
        for (size_t part = 0; torn && part < n; part += SECTOR)
            if (kt_rng_chance(disk->rng, 0.5))
                memcpy(result.bytes + at + part, now + at + part, n - part < SECTOR ? n - part : SECTOR);
    }
    if (now != file->last)
        free(now);
    return result;
}

void kt_vdisk_cut(kt_vdisk *disk)
{
    entries now = { 0 };

    kt_assert(disk->shadows);
    if (disk->off)
        return;
    list_names(disk, NULL, &now);
    disk->left = must(calloc((size_t)(now.count + disk->names.count) + 1, sizeof *disk->left));
    disk->left_count = 0;
    for (int pass = 0; pass < 2; pass++) {
        const entries *these = pass == 0 ? &disk->names : &now, *others = pass == 0 ? &now : &disk->names;
        for (int i = 0; i < these->count; i++) {
            bool both = false, taken = false;
            for (int j = 0; j < others->count; j++)
                both = both || (strcmp(these->list[i].name, others->list[j].name) == 0 &&
                                   these->list[i].file == others->list[j].file);
            for (int j = 0; j < disk->left_count; j++)
                taken = taken || strcmp(disk->left[j].name, these->list[i].name) == 0;
            if (taken || (both && pass == 1) || (!both && kt_rng_chance(disk->rng, 0.5)))
                continue;
            disk->left[disk->left_count++] = what_is_left(disk, &these->list[i]);
        }
    }
    free(now.list);
    disk->off = true;
    for (uint32_t i = 0; i < KT_VDISK_OWNER_MAX; i++)
        kt_vdisk_kill(disk, i);
}

static int on_old_name(const char *path, const struct stat *info, int type, struct FTW *place)
{
    return type == FTW_F ? unlink(path) : 0;
}

kt_code kt_vdisk_power_on(kt_vdisk *disk, kt_err *err)
{
    char path[2 * NAME_MAX_SIZE];

    nftw(disk->dir, on_old_name, 16, FTW_PHYS | FTW_DEPTH);
    for (int i = 0; i < disk->file_count; i++)
        shadow_clear(&disk->files[i]);
    disk->file_count = 0;
    disk->names.count = 0;
    for (int i = 0; i < disk->left_count; i++) {
        left *one = &disk->left[i];
        snprintf(path, sizeof path, "%s/%s", disk->dir, one->name);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || kt_write_all(&kt_log_io_system, fd, one->bytes, one->size, 0, one->size + 1) != 0)
            return kt_fail(err, KT_SYS, "cannot write '%s'", path);
        sync_file(disk, fd, false);
        close(fd);
        free(one->bytes);
    }
    free(disk->left);
    disk->left = NULL;
    disk->left_count = 0;
    list_names(disk, NULL, &disk->names);
    disk->off = false;
    disk->cut_fuse = 0;
    return KT_OK;
}

bool kt_vdisk_is_off(const kt_vdisk *disk)
{
    return disk->off;
}

void kt_vdisk_cut_fuse(kt_vdisk *disk, uint64_t calls)
{
    disk->cut_fuse = calls;
}

/* ---- owners ---- */

void kt_vdisk_kill(kt_vdisk *disk, uint32_t index)
{
    disk->owners[index].dead = true;
}

void kt_vdisk_revive(kt_vdisk *disk, uint32_t index)
{
    disk->owners[index] = (owner){ .disk = disk, .index = index };
}

bool kt_vdisk_dead(const kt_vdisk *disk, uint32_t index)
{
    return disk->owners[index].dead;
}

void kt_vdisk_fuse(kt_vdisk *disk, uint32_t index, uint64_t calls)
{
    disk->owners[index].fuse = calls;
}

void kt_vdisk_fail_sync(kt_vdisk *disk, uint32_t index, bool for_good)
{
    disk->owners[index].sync_fails = true;
    disk->owners[index].fails_for_good = for_good;
}

void kt_vdisk_fill(kt_vdisk *disk, bool full)
{
    disk->full = full;
}

/* One call passes: the power may go before it, or its owner die. False: refused. */
static bool step(owner *own)
{
    kt_vdisk *disk = own->disk;

    if (!disk->off && disk->cut_fuse > 0 && --disk->cut_fuse == 0)
        kt_vdisk_cut(disk);
    if (!own->dead && own->fuse > 0 && --own->fuse == 0)
        own->dead = true;
    if (own->dead)
        errno = EIO;
    return !own->dead;
}

/* The same for a call that needs room. */
static bool room_step(owner *own)
{
    if (!step(own))
        return false;
    if (own->disk->full) {
        own->disk->counts.refused++;
        errno = ENOSPC;
    }
    return !own->disk->full;
}

static bool sync_step(owner *own, int fd)
{
    kt_vdisk *disk = own->disk;
    bool fails = own->sync_fails;

    if (!step(own))
        return false;
    disk->counts.syncs++;
    disk->counts.failed_syncs += fails;
    own->sync_fails = fails && own->fails_for_good;
    if (disk->shadows)
        sync_file(disk, fd, fails);
    if (fails)
        errno = EIO;
    return !fails;
}

/* ---- the log's writer ---- */

static int disk_open(void *ctx, const char *path, int flags, mode_t mode)
{
    bool grows = (flags & O_CREAT) != 0;

    return (grows ? room_step(ctx) : step(ctx)) ? open(path, flags | O_CLOEXEC, mode) : -1;
}

static ssize_t disk_pwrite(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    struct stat info;
    owner *own = ctx;
    bool grows = own->disk->full && fstat(fd, &info) == 0 && at + (off_t)size > info.st_size;

    if (at % (16 * KT_PAGE) != 0 && !grows) /* pre-writing would burn all of a fuse */
        return own->dead ? (errno = EIO, -1) : pwrite(fd, data, size, at);
    return (grows ? room_step(own) : step(own)) ? pwrite(fd, data, size, at) : -1;
}

static int disk_fdatasync(void *ctx, int fd)
{
    return sync_step(ctx, fd) ? 0 : -1;
}

static int disk_fsync(void *ctx, int fd)
{
    owner *own = ctx;
    struct stat info;
    char link[64], path[2 * NAME_MAX_SIZE];

    if (!sync_step(own, fd))
        return -1;
    kt_assert(fstat(fd, &info) == 0);
    if (!S_ISDIR(info.st_mode) || !own->disk->shadows)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *name = below(own->disk, path);
    if (name != NULL)
        sync_names(own->disk, name);
    return 0;
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    owner *own = ctx;

    if (!step(own))
        return -1;
    forget(own->disk, to);
    return rename(from, to);
}

static int disk_unlink(void *ctx, const char *path)
{
    owner *own = ctx;

    if (!step(own))
        return -1;
    forget(own->disk, path);
    return unlink(path);
}

static int disk_store(void *ctx)
{
    return step(ctx) ? 0 : -1;
}

kt_log_io kt_vdisk_io(kt_vdisk *disk, uint32_t index)
{
    return (kt_log_io){ &disk->owners[index], disk_open, disk_pwrite, disk_fdatasync, disk_fsync, disk_rename,
        disk_unlink, disk_store };
}

/* ---- SQLite: the system's files behind the same rules ---- */

typedef struct vfs_file {
    sqlite3_file base;
    owner *own;
    char path[NAME_MAX_SIZE];
    sqlite3_file system[]; /* szOsFile bytes */
} vfs_file;

static sqlite3_file *system_of(sqlite3_file *file)
{
    return ((vfs_file *)file)->system;
}

static int file_close(sqlite3_file *file)
{
    return system_of(file)->pMethods->xClose(system_of(file));
}

static int file_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at)
{
    return system_of(file)->pMethods->xRead(system_of(file), to, size, at);
}

static int file_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at)
{
    owner *own = ((vfs_file *)file)->own;

    if (!room_step(own))
        return own->dead ? SQLITE_IOERR_WRITE : SQLITE_FULL;
    return system_of(file)->pMethods->xWrite(system_of(file), from, size, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (!step(((vfs_file *)file)->own))
        return SQLITE_IOERR_TRUNCATE;
    return system_of(file)->pMethods->xTruncate(system_of(file), size);
}

/* Its name is on disk from now on, too. */
static int file_sync(sqlite3_file *file, int flags)
{
    vfs_file *own = (vfs_file *)file;
    kt_vdisk *disk = own->own->disk;
    const char *name = below(disk, own->path);
    struct stat info;
    int fd = open(own->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return SQLITE_IOERR_FSYNC;
    bool synced = sync_step(own->own, fd);
    if (synced && disk->shadows && name != NULL && fstat(fd, &info) == 0) {
        int index = file_of(disk, info.st_ino);
        if (!is_named(disk, index))
            add(&disk->names, name, index);
    }
    close(fd);
    return synced ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *out_size)
{
    return system_of(file)->pMethods->xFileSize(system_of(file), out_size);
}

static int file_lock(sqlite3_file *file, int level)
{
    return system_of(file)->pMethods->xLock(system_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return system_of(file)->pMethods->xUnlock(system_of(file), level);
}

static int file_reserved(sqlite3_file *file, int *out_reserved)
{
    return system_of(file)->pMethods->xCheckReservedLock(system_of(file), out_reserved);
}

static int file_control(sqlite3_file *file, int what, void *with)
{
    return system_of(file)->pMethods->xFileControl(system_of(file), what, with);
}

static int file_sector(sqlite3_file *file)
{
    return KT_PAGE;
}

static int file_device(sqlite3_file *file)
{
    return 0; /* whatever the folder lies on: nothing is promised */
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return system_of(file)->pMethods->xShmMap(system_of(file), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return system_of(file)->pMethods->xShmLock(system_of(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    system_of(file)->pMethods->xShmBarrier(system_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int deletes)
{
    return system_of(file)->pMethods->xShmUnmap(system_of(file), deletes);
}

static const sqlite3_io_methods methods = { 2, file_close, file_read, file_write, file_truncate, file_sync, file_size,
    file_lock, file_unlock, file_reserved, file_control, file_sector, file_device, file_shm_map, file_shm_lock,
    file_shm_barrier, file_shm_unmap };

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    kt_vdisk *disk = vfs->pAppData;
    vfs_file *own = (vfs_file *)file;

    own->own = &disk->owners[disk->vfs_owner];
    own->path[0] = '\0';
    file->pMethods = NULL;
    if (name != NULL)
        snprintf(own->path, sizeof own->path, "%s", name);
    if (!step(own->own))
        return SQLITE_CANTOPEN;
    int rc = disk->system_vfs->xOpen(disk->system_vfs, name, own->system, flags, out_flags);
    if (rc == SQLITE_OK)
        file->pMethods = &methods;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int syncs)
{
    kt_vdisk *disk = vfs->pAppData;

    if (!step(&disk->owners[disk->vfs_owner]))
        return SQLITE_IOERR_DELETE;
    forget(disk, name);
    return disk->system_vfs->xDelete(disk->system_vfs, name, 0);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    sqlite3_vfs *system = ((kt_vdisk *)vfs->pAppData)->system_vfs;

    return system->xAccess(system, name, flags, out);
}

static int vfs_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    sqlite3_vfs *system = ((kt_vdisk *)vfs->pAppData)->system_vfs;

    return system->xFullPathname(system, name, size, out);
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *out)
{
    kt_rng_fill(((kt_vdisk *)vfs->pAppData)->rng, out, (size_t)size);
    return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return us; /* whoever could let go does not run meanwhile */
}

static int vfs_time(sqlite3_vfs *vfs, double *out_day)
{
    *out_day = 2460000.5; /* nothing of the store's depends on it */
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs, int size, char *out)
{
    return 0;
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out_ms)
{
    *out_ms = INT64_C(212544043200000);
    return SQLITE_OK;
}

kt_code kt_vdisk_take_sqlite(kt_vdisk *disk, uint32_t index, kt_err *err)
{
    disk->system_vfs = sqlite3_vfs_find("unix");
    if (disk->system_vfs == NULL)
        return kt_fail(err, KT_SYS, "SQLite has no VFS 'unix'");
    disk->vfs_owner = index;
    disk->vfs = (sqlite3_vfs){ .iVersion = 2,
        .szOsFile = (int)sizeof(vfs_file) + disk->system_vfs->szOsFile,
        .mxPathname = NAME_MAX_SIZE,
        .zName = "kontor-simulated",
        .pAppData = disk,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_error,
        .xCurrentTimeInt64 = vfs_time_ms };
    sqlite3_randomness(0, NULL); /* seeded anew, by us */
    if (sqlite3_vfs_register(&disk->vfs, 1) == SQLITE_OK)
        return KT_OK;
    disk->system_vfs = NULL;
    return kt_fail(err, KT_SYS, "SQLite takes no VFS of ours");
}

/* ---- life ---- */

kt_code kt_vdisk_new(const char *dir, kt_rng *rng, bool shadows, kt_vdisk **out_disk, kt_err *err)
{
    kt_vdisk *disk = calloc(1, sizeof *disk);
    char *whole = realpath(dir, NULL); /* SQLite and /proc speak of whole paths */

    if (disk != NULL)
        disk->files = calloc(FILE_MAX, sizeof *disk->files);
    if (disk == NULL || disk->files == NULL || whole == NULL || strlen(whole) >= NAME_MAX_SIZE / 2) {
        free(whole);
        kt_vdisk_free(disk);
        return kt_fail(err, KT_SYS, "no disk can be made up in '%s'", dir);
    }
    snprintf(disk->dir, sizeof disk->dir, "%s", whole);
    free(whole);
    disk->rng = rng;
    disk->shadows = shadows;
    for (uint32_t i = 0; i < KT_VDISK_OWNER_MAX; i++)
        kt_vdisk_revive(disk, i);
    *out_disk = disk;
    return KT_OK;
}

void kt_vdisk_free(kt_vdisk *disk)
{
    if (disk == NULL)
        return;
    if (disk->system_vfs != NULL)
        sqlite3_vfs_unregister(&disk->vfs);
    for (int i = 0; i < disk->file_count; i++)
        shadow_clear(&disk->files[i]);
    for (int i = 0; i < disk->left_count; i++)
        free(disk->left[i].bytes);
    free(disk->left);
    free(disk->names.list);
    free(disk->files);
    free(disk);
}

kt_vdisk_counts kt_vdisk_count(const kt_vdisk *disk)
{
    return disk->counts;
}
