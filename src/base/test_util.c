#include "base/test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, PATH_COUNT = 8 };

static void give_up(const char *what, const char *path)
{
    fprintf(stderr, "test set-up: %s '%s': %s\n", what, path, strerror(errno));
    abort();
}

/* ---- folders ---- */

static char root[PATH_SIZE]; /* one folder a process; kt_test_dir's are numbered inside it */
static pid_t root_owner;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)walk;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

/* First make every folder writable: a test may have taken the right away. */
static int allow_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)walk;
    if ((type == FTW_D || type == FTW_DNR) && (status->st_mode & 0700) != 0700)
        chmod(path, 0700);
    return 0;
}

bool kt_test_remove(const char *path)
{
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    nftw(path, allow_one, 16, FTW_PHYS);
    return nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH) == 0;
}

static void root_remove(void)
{
    if (getpid() == root_owner && !kt_test_remove(root))
        fprintf(stderr, "# left behind: %s\n", root);
}

const char *kt_test_dir(void)
{
    static unsigned count;
    const char *base = getenv("TMPDIR");
    static char *paths[4096]; /* kept reachable, so that the leak checker does not count them */
    char *path = NULL;

    if (root_owner != getpid()) {
        snprintf(root, sizeof root, "%s/kontor-test-XXXXXX", base != NULL && *base != '\0' ? base : "/tmp");
        if (mkdtemp(root) == NULL)
            give_up("cannot make a folder", root);
        if (root_owner == 0)
            atexit(root_remove);
        root_owner = getpid();
    }
    if (asprintf(&path, "%s/%u", root, ++count) < 0 || mkdir(path, 0700) != 0)
        give_up("cannot make a folder", path != NULL ? path : root);
    paths[count % KT_COUNT(paths)] = path; /* lives as long as the process */
    return path;
}

/* ---- environment ---- */

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    char *end = NULL;

    if (text == NULL || *text == '\0')
        return otherwise;
    uint64_t number = strtoull(text, &end, 0);
    if (*end != '\0') {
        fprintf(stderr, "test set-up: %s must be a number, not '%s'\n", name, text);
        abort();
    }
    return number;
}

uint32_t kt_test_cases(uint32_t full_count)
{
    uint64_t cases = full_count * env_number("KONTOR_CASES_PERCENT", 100) / 100;

    if (cases < 1)
        return 1;
    return cases < UINT32_MAX ? (uint32_t)cases : UINT32_MAX;
}

uint64_t kt_test_seed(void)
{
    static bool printed;
    uint64_t seed = env_number("KONTOR_SEED", 1);

    if (!printed) {
        printf("# KONTOR_SEED=%llu\n", (unsigned long long)seed);
        fflush(stdout);
        printed = true;
    }
    return seed;
}

const char *kt_test_recordings(const char *name)
{
    static char paths[PATH_COUNT][PATH_SIZE];
    static unsigned turn;
    const char *folder = getenv("KONTOR_RECORDINGS");
    const char *source = getenv("KONTOR_SOURCE_ROOT");
    char *path = paths[turn++ % PATH_COUNT];

    if (folder != NULL && *folder != '\0')
        snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    else
        snprintf(path, PATH_SIZE, "%s/../shared/data/%s", source != NULL && *source != '\0' ? source : ".", name);
    return access(path, R_OK) == 0 ? path : NULL;
}

void kt_test_nothing(void **state)
{
}

const char *kt_test_need_recordings(const char *name)
{
    const char *path = kt_test_recordings(name);

    if (path == NULL) {
        printf("1..0 # SKIP no recordings '%s': see KONTOR_RECORDINGS\n", name);
        exit(0);
    }
    return path;
}

/* ---- bytes ---- */

char *kt_test_read_file(const char *path, size_t *out_size)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    char *bytes = NULL;

    if (file == NULL || fstat(fileno(file), &status) != 0)
        goto out;
    bytes = malloc((size_t)status.st_size + 1);
    if (bytes == NULL)
        goto out;
    if (fread(bytes, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
        free(bytes);
        bytes = NULL;
        goto out;
    }
    bytes[status.st_size] = '\0';
    if (out_size != NULL)
        *out_size = (size_t)status.st_size;
out:
    if (file != NULL)
        fclose(file);
    return bytes;
}

static size_t guarded_size(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return KT_ALIGN_UP(size, page) + page;
}

void *kt_guard_copy(const void *data, size_t size)
{
    size_t whole = guarded_size(size);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *mem = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED)
        give_up("cannot map", "guarded copy");
    if (mprotect(mem + whole - page, page, PROT_NONE) != 0)
        give_up("cannot protect", "guard page");
    uint8_t *copy = mem + whole - page - size;
    if (size != 0)
        memcpy(copy, data, size);
    return copy;
}

void kt_guard_free(void *copy, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole = guarded_size(size);

    if (copy != NULL)
        munmap((uint8_t *)copy + size + page - whole, whole);
}

/* ---- waiting ---- */

int64_t kt_test_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void kt_test_sleep_ms(uint32_t ms)
{
    struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    nanosleep(&span, NULL);
}

typedef struct racer {
    void (*run)(void *ctx);
    void *ctx;
    int core; /* the how manieth of those that this process may use */
} racer;

static void *racer_main(void *argument)
{
    const racer *self = argument;
    cpu_set_t allowed, own;
    int nth = 0;

    CPU_ZERO(&own);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) >= 2) {
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &allowed) && nth++ == self->core)
                CPU_SET(cpu, &own);
        sched_setaffinity(0, sizeof own, &own);
    }
    self->run(self->ctx);
    return NULL;
}

void kt_test_at_once(void (*one)(void *ctx), void (*other)(void *ctx), void *ctx)
{
    racer racers[] = { { one, ctx, 0 }, { other, ctx, 1 } };
    pthread_t threads[KT_COUNT(racers)];

    for (size_t i = 0; i < KT_COUNT(racers); i++)
        if (pthread_create(&threads[i], NULL, racer_main, &racers[i]) != 0)
            give_up("cannot start", "a thread");
    for (size_t i = 0; i < KT_COUNT(racers); i++)
        pthread_join(threads[i], NULL);
}
