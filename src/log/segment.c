#include "log/segment.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char segment_magic[8] = "ktlogseg";

/* ---- SIGBUS ---- */

typedef struct guarded {
    _Atomic(const uint8_t *) map; /* NULL: free */
    uint64_t size;
    char *path;
} guarded;

static guarded guards[KT_SEGMENTS_MAPPED_MAX];
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t guard_count; /* places ever used */
static struct sigaction guard_before;

static void guard_write(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nobody is left to tell */
}

/* Only what is allowed in a signal handler. The process ends: what the caller was reading does not exist. */
static void guard_handler(int number, siginfo_t *info, void *context)
{
    const uint8_t *where = info->si_addr;
    uint32_t count = atomic_load(&guard_count);

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *map = atomic_load(&guards[i].map);
        if (map == NULL || where < map || where >= map + guards[i].size)
            continue;
        guard_write("log segment '");
        guard_write(guards[i].path);
        guard_write("' can not be read: its file is shorter than it was, or the disk fails (SIGBUS)\n");
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    sigaction(number, &guard_before, NULL); /* not ours: the access is repeated and meets who was there before */
}

/* Under guards_lock. Looked at with each mapping: whoever put a handler there meanwhile is called behind ours. */
static void guard_install(void)
{
    struct sigaction action = { .sa_sigaction = guard_handler, .sa_flags = SA_SIGINFO };
    struct sigaction now;

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) == 0 && ((now.sa_flags & SA_SIGINFO) == 0 || now.sa_sigaction != guard_handler))
        sigaction(SIGBUS, &action, &guard_before);
}

kt_code kt_guard_add(const void *map, uint64_t size, const char *path, int32_t *out_guard)
{
    kt_code code = KT_LIMIT;
    char *copy = strdup(path);

    if (copy == NULL)
        return KT_SYS;
    pthread_mutex_lock(&guards_lock);
    guard_install();
    for (uint32_t i = 0; i < KT_SEGMENTS_MAPPED_MAX; i++) {
        if (atomic_load(&guards[i].map) != NULL)
            continue;
        guards[i].size = size;
        guards[i].path = copy;
        atomic_store(&guards[i].map, map);
        if (i >= atomic_load(&guard_count))
            atomic_store(&guard_count, i + 1);
        *out_guard = (int32_t)i;
        code = KT_OK;
        break;
    }
    pthread_mutex_unlock(&guards_lock);
    if (code != KT_OK)
        free(copy);
    return code;
}

void kt_guard_remove(int32_t index)
{
    if (index < 0)
        return;
    pthread_mutex_lock(&guards_lock);
    char *path = guards[index].path;
    atomic_store(&guards[index].map, NULL);
    guards[index].path = NULL;
    pthread_mutex_unlock(&guards_lock);
    free(path);
}

/* ---- header ---- */

static uint32_t header_crc(kt_seg_header header)
{
    header.crc = 0;
    return kt_crc32c(0, &header, sizeof header);
}

kt_code kt_segment_check(const uint8_t *map, uint64_t size, const char *path, kt_segment *out_segment, kt_err *err)
{
    kt_seg_header header;

    if (size < KT_PAGE)
        return kt_fail(
            err, KT_CORRUPT, "segment '%s' is %llu bytes, shorter than its header", path, (unsigned long long)size);
    memcpy(&header, map, sizeof header);
    if (memcmp(header.magic, segment_magic, sizeof segment_magic) != 0)
        return kt_fail(err, KT_CORRUPT, "'%s' does not begin as a segment", path);
    if (header.format > KT_LOG_FORMAT)
        return kt_fail(err, KT_VERSION, "segment '%s' has format %u, made by a newer program; this one reads up to %d",
            path, header.format, KT_LOG_FORMAT);
    if (header.crc != header_crc(header))
        return kt_fail(err, KT_CORRUPT, "the header of segment '%s' fails its checksum", path);
    if (header.file_size != size)
        return kt_fail(err, KT_CORRUPT, "segment '%s' is %llu bytes, its header says %llu", path,
            (unsigned long long)size, (unsigned long long)header.file_size);
    if (header.first_seq == 0 || header.subject_count == 0 || size % KT_PAGE != 0 || header.data_at % KT_PAGE != 0 ||
        header.data_at < KT_PAGE || header.data_at >= size || header.table_size > header.data_at - sizeof header)
        return kt_fail(err, KT_CORRUPT, "the header of segment '%s' contradicts itself", path);
    if (header.table_crc != kt_crc32c(0, map + sizeof header, header.table_size))
        return kt_fail(err, KT_CORRUPT, "the table of subjects of segment '%s' fails its checksum", path);
    *out_segment = (kt_segment){ .map = (uint8_t *)map,
        .size = size,
        .name = { header.first_seq, header.generation },
        .data_at = header.data_at,
        .created_ns = header.created_ns,
        .subject_count = header.subject_count,
        .table_size = header.table_size,
        .guard = -1 };
    return KT_OK;
}

kt_code kt_segment_map(const char *dir, kt_seg_name name, bool writable, kt_segment *out_segment, kt_err *err)
{
    kt_code code = KT_OK;
    kt_segment segment;
    char path[KT_PATH_SIZE];
    struct stat info;
    uint8_t *map = MAP_FAILED;
    int32_t guard = -1;
    int fd = open(kt_seg_path(path, dir, name, ".seg"), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);

    if (fd < 0) {
        code = kt_fail(err, errno == ENOENT ? KT_NOENT : KT_SYS, "cannot open segment '%s'", path);
        goto out;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        code = kt_fail(err, KT_CORRUPT, "segment '%s' is not a regular file", path);
        goto out;
    }
    if (info.st_size < KT_PAGE) {
        code = kt_fail(
            err, KT_CORRUPT, "segment '%s' is %lld bytes, shorter than its header", path, (long long)info.st_size);
        goto out;
    }
    map = mmap(NULL, (size_t)info.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        code = kt_fail(err, KT_SYS, "cannot map segment '%s'", path);
        goto out;
    }
    madvise(map, (size_t)info.st_size, MADV_RANDOM); /* large folios in the page cache would make commits slow */
    code = kt_guard_add(map, (uint64_t)info.st_size, path, &guard);
    if (code != KT_OK) {
        code = kt_fail(err, code, "cannot map segment '%s': %d are mapped", path, KT_SEGMENTS_MAPPED_MAX);
        goto out;
    }
    code = kt_segment_check(map, (uint64_t)info.st_size, path, &segment, err);
    if (code != KT_OK)
        goto out;
    if (segment.name.first_seq != name.first_seq) {
        code = kt_fail(err, KT_CORRUPT, "segment '%s' says that it begins at seq %llu", path,
            (unsigned long long)segment.name.first_seq);
        goto out;
    }
    segment.name = name;
    segment.guard = guard;
    *out_segment = segment;
    map = MAP_FAILED;
    guard = -1;
out:
    kt_guard_remove(guard);
    if (map != MAP_FAILED)
        munmap(map, (size_t)info.st_size);
    if (fd >= 0)
        close(fd);
    return code;
}

void kt_segment_unmap(kt_segment *segment)
{
    if (segment->map == NULL)
        return;
    kt_guard_remove(segment->guard);
    munmap(segment->map, segment->size);
    segment->map = NULL;
    segment->guard = -1;
}

void kt_segment_format(uint8_t *map, uint64_t size, kt_seg_name name, uint64_t schema_hash, int64_t created_ns,
    const kt_subjects *subjects)
{
    kt_seg_header header = { .format = KT_LOG_FORMAT,
        .file_size = size,
        .schema_hash = schema_hash,
        .first_seq = name.first_seq,
        .generation = name.generation,
        .created_ns = created_ns,
        .subject_count = subjects->count,
        .table_size = subjects->table_size };

    header.data_at = KT_ALIGN_UP(sizeof header + header.table_size, (uint64_t)KT_PAGE);
    kt_assert(header.data_at < size);
    memcpy(header.magic, segment_magic, sizeof segment_magic);
    kt_subjects_store(subjects, map + sizeof header);
    header.table_crc = kt_crc32c(0, map + sizeof header, header.table_size);
    header.crc = header_crc(header);
    memcpy(map, &header, sizeof header);
}

void kt_segment_set_generation(uint8_t *map, uint64_t generation)
{
    kt_seg_header header;

    memcpy(&header, map, sizeof header);
    header.generation = generation;
    header.crc = header_crc(header);
    memcpy(map, &header, sizeof header);
}
