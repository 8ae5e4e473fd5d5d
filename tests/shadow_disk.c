/* tests/shadow_disk.c - a disk whose power can be cut, to be preloaded into a house under test.
 *
 * Keeps in SHADOW_DIR what a real disk would be sure to hold of the files under SHADOW_ROOT:
 *   - a synced file is copied there as it is when its sync begins (the page cache may hold more later: not sure to be there);
 *   - a rename of a synced file waits as NAME#pending until its folder is synced;
 *   - an unlink shows when its folder is synced.
 * tests/power_cut_test.py makes an image from it: the sure bytes, and a random part of everything that is not sure.
 * The real sync is left out (the machine stays up), so that a cut every second is affordable.
 * SHADOW_BOOT_ID is the boot id that the house sees: each restart after a cut is another boot. */
#undef _FILE_OFFSET_BITS /* open and open64 are two names here: both are defined below */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
FILE *fopen(const char *path, const char *mode);
FILE *fopen64(const char *path, const char *mode);

/* True when `path` lies under SHADOW_ROOT; out_shadow is its place under SHADOW_DIR. */
static bool shadow_of(const char *path, const char *suffix, char out_shadow[PATH_MAX])
{
    const char *root = getenv("SHADOW_ROOT");
    const char *dir = getenv("SHADOW_DIR");
    size_t size = root != NULL ? strlen(root) : 0;

    if (root == NULL || dir == NULL || strncmp(path, root, size) != 0 || (path[size] != '/' && path[size] != '\0'))
        return false;
    return snprintf(out_shadow, PATH_MAX, "%s%s%s", dir, path + size, suffix) < PATH_MAX;
}

static void make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
}

static int real_open(const char *path, int flags, mode_t mode)
{
    static int (*next)(const char *, int, ...);

    if (next == NULL)
        next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    return next(path, flags, mode);
}

/* Copy a file whole and put it in place in one step, so that a kill in between leaves the earlier synced state. */
static void copy_file(const char *from, char *to)
{
    char temporary[PATH_MAX];
    static __thread char block[1 << 16];
    int in = real_open(from, O_RDONLY | O_CLOEXEC, 0);
    int out = -1;
    ssize_t got = 0;

    make_parents(to);
    if (snprintf(temporary, sizeof temporary, "%s#%d.%p", to, (int)getpid(), (void *)block) < (int)sizeof temporary)
        out = real_open(temporary, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    while (in >= 0 && out >= 0 && (got = read(in, block, sizeof block)) > 0)
        if (write(out, block, (size_t)got) != got)
            abort();
    if (in >= 0)
        close(in);
    if (out >= 0) {
        close(out);
        renameat(AT_FDCWD, temporary, AT_FDCWD, to);
    }
}

/* A folder was synced: renames in it have happened for sure, and so have unlinks. */
static void sync_folder(const char *live, const char *shadow)
{
    char path[2 * PATH_MAX], other[2 * PATH_MAX];
    DIR *dir = opendir(shadow);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char *pending = strstr(entry->d_name, "#pending");
        if (entry->d_type != DT_REG)
            continue;
        snprintf(path, sizeof path, "%s/%s", shadow, entry->d_name);
        if (pending != NULL) {
            snprintf(other, sizeof other, "%s/%.*s", shadow, (int)(pending - entry->d_name), entry->d_name);
            renameat(AT_FDCWD, path, AT_FDCWD, other);
            continue;
        }
        snprintf(other, sizeof other, "%s/%s", live, entry->d_name);
        if (strchr(entry->d_name, '#') == NULL && access(other, F_OK) != 0)
            unlinkat(AT_FDCWD, path, 0);
    }
    if (dir != NULL)
        closedir(dir);
}

static int sync_fd(int fd)
{
    char link[64], path[PATH_MAX], shadow[PATH_MAX];
    struct stat status;
    ssize_t size;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size < 0 || fstat(fd, &status) != 0) {
        errno = EBADF;
        return -1;
    }
    path[size] = '\0';
    if (!shadow_of(path, "", shadow))
        return 0;
    if (S_ISDIR(status.st_mode))
        sync_folder(path, shadow);
    else if (S_ISREG(status.st_mode))
        copy_file(path, shadow);
    return 0;
}

int fsync(int fd)
{
    return sync_fd(fd);
}

int fdatasync(int fd)
{
    return sync_fd(fd);
}

int rename(const char *from, const char *to)
{
    static int (*next)(const char *, const char *);
    char real[PATH_MAX], shadow_from[PATH_MAX], shadow_to[PATH_MAX];
    bool watched = realpath(from, real) != NULL && shadow_of(real, "", shadow_from) && access(shadow_from, F_OK) == 0;

    if (next == NULL)
        next = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (next(from, to) != 0)
        return -1;
    if (watched && realpath(to, real) != NULL && shadow_of(real, "#pending", shadow_to))
        copy_file(shadow_from, shadow_to);
    return 0;
}

static const char *boot_path(const char *path)
{
    const char *own = getenv("SHADOW_BOOT_ID");

    return own != NULL && strcmp(path, BOOT_ID_PATH) == 0 ? own : path;
}

#define OPEN_BODY                                                             \
    va_list args;                                                             \
    va_start(args, flags);                                                    \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(args, mode_t) : 0; \
    va_end(args);                                                             \
    return real_open(boot_path(path), flags, mode)

int open(const char *path, int flags, ...)
{
    OPEN_BODY;
}

int open64(const char *path, int flags, ...)
{
    OPEN_BODY;
}

#define FOPEN_BODY                                                                                                    \
    FILE *(*next)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen64"); \
    return next(boot_path(path), mode)

FILE *fopen(const char *path, const char *mode)
{
    FOPEN_BODY;
}

FILE *fopen64(const char *path, const char *mode)
{
    FOPEN_BODY;
}
