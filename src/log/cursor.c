#include "log/cursor.h"

#include "base/assert.h"
#include "base/hash.h"
#include "log/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct kt_cursor {
    int fd;
    uint64_t counter;
    kt_cursor_position position;
    char name[KT_LOG_NAME_MAX + 1];
};

typedef struct cursor_slot {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* with crc 0 */
    uint64_t counter;
    kt_cursor_position position;
} cursor_slot;

static const char cursor_magic[8] = "ktlogcur";
enum { SLOT_STRIDE = 512 }; /* a torn sector takes one slot at most */

static uint32_t slot_crc(cursor_slot slot)
{
    slot.crc = 0;
    return kt_crc32c(0, &slot, sizeof slot);
}

static bool name_valid(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n <= KT_LOG_NAME_MAX && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* The newer slot that holds; a zero position when none does. */
static void cursor_read(int fd, kt_cursor_position *out_position, uint64_t *out_counter)
{
    *out_position = (kt_cursor_position){ 0, 0, 0 };
    *out_counter = 0;
    for (int i = 0; i < 2; i++) {
        cursor_slot slot;
        if (kt_read_all(fd, &slot, sizeof slot, (off_t)i * SLOT_STRIDE) != sizeof slot ||
            memcmp(slot.magic, cursor_magic, sizeof cursor_magic) != 0 || slot.format > KT_LOG_FORMAT ||
            slot.crc != slot_crc(slot) || slot.counter <= *out_counter)
            continue;
        *out_counter = slot.counter;
        *out_position = slot.position;
    }
}

kt_code kt_cursor_open(const char *dir, const char *name, kt_cursor **out_cursor, kt_err *err)
{
    char folder[KT_PATH_SIZE], path[KT_PATH_SIZE];
    struct stat info;
    kt_cursor *cursor;

    if (!name_valid(name))
        return kt_fail(err, KT_ARG, "cursor name '%.80s' is not 1 to %d of A-Z a-z 0-9 . _ - without a leading dot",
            name, KT_LOG_NAME_MAX);
    if (stat(dir, &info) != 0)
        return kt_fail(err, errno == ENOENT ? KT_NOENT : KT_SYS, "there is no log in '%s'", dir);
    if (mkdir(kt_file_path(folder, dir, "cursors"), 0755) != 0 && errno != EEXIST)
        return kt_fail_disk(err, "cannot make '%s'", folder);
    cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL)
        return kt_fail(err, KT_SYS, "no memory for cursor '%s'", name);
    cursor->fd = open(kt_file_path(path, folder, name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (cursor->fd < 0) {
        free(cursor);
        return kt_fail_disk(err, "cannot open cursor '%s'", path);
    }
    snprintf(cursor->name, sizeof cursor->name, "%s", name);
    cursor_read(cursor->fd, &cursor->position, &cursor->counter);
    *out_cursor = cursor;
    return KT_OK;
}

void kt_cursor_close(kt_cursor *cursor)
{
    if (cursor == NULL)
        return;
    close(cursor->fd);
    free(cursor);
}

kt_cursor_position kt_cursor_get(const kt_cursor *cursor)
{
    return cursor->position;
}

kt_code kt_cursor_store(kt_cursor *cursor, kt_cursor_position position, kt_err *err)
{
    cursor_slot slot = { .format = KT_LOG_FORMAT, .counter = cursor->counter + 1, .position = position };

    kt_assert(position.safe <= position.seq);
    memcpy(slot.magic, cursor_magic, sizeof cursor_magic);
    slot.crc = slot_crc(slot);
    if (kt_write_all(&kt_log_io_system, cursor->fd, &slot, sizeof slot, (off_t)(slot.counter % 2) * SLOT_STRIDE,
            sizeof slot) != 0)
        return kt_fail_disk(err, "cannot store cursor '%s'", cursor->name);
    cursor->counter++;
    cursor->position = position;
    return KT_OK;
}

kt_code kt_cursor_remove(const char *dir, const char *name, kt_err *err)
{
    char folder[KT_PATH_SIZE], path[KT_PATH_SIZE];

    if (!name_valid(name))
        return kt_fail(err, KT_ARG, "'%.80s' is not the name of a cursor", name);
    kt_file_path(path, kt_file_path(folder, dir, "cursors"), name);
    if (unlink(path) != 0 && errno != ENOENT)
        return kt_fail(err, KT_SYS, "cannot remove cursor '%s'", path);
    return KT_OK;
}

kt_code kt_cursor_each(
    const char *dir, void (*each)(void *ctx, const char *name, kt_cursor_position position), void *ctx, kt_err *err)
{
    char folder[KT_PATH_SIZE], path[KT_PATH_SIZE];
    struct dirent **entries = NULL;
    int count = scandir(kt_file_path(folder, dir, "cursors"), &entries, NULL, alphasort);
    kt_code code = KT_OK;

    if (count < 0)
        return errno == ENOENT ? KT_OK : kt_fail(err, KT_SYS, "cannot read '%s'", folder);
    for (int i = 0; i < count; i++) {
        kt_cursor_position position;
        uint64_t counter;
        if (code == KT_OK && name_valid(entries[i]->d_name)) {
            int fd = open(kt_file_path(path, folder, entries[i]->d_name), O_RDONLY | O_CLOEXEC);
            if (fd < 0) {
                code = kt_fail(err, KT_SYS, "cannot open cursor '%s'", path);
            } else {
                cursor_read(fd, &position, &counter);
                close(fd);
                each(ctx, entries[i]->d_name, position);
            }
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}
