#include "log/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct index_header {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* of everything with crc 0 */
    uint64_t first_seq;
    uint64_t next_seq;
    int64_t time_ns;
    uint32_t entry_count;
    uint32_t mark_count;
    uint32_t control_count;
    uint32_t zero;
} index_header;

static const char index_magic[8] = "ktlogidx";

void kt_index_init(kt_index *index, uint64_t first_seq)
{
    *index = (kt_index){ .first_seq = first_seq, .next_seq = first_seq, .time_ns = INT64_MIN };
}

void kt_index_done(kt_index *index)
{
    free(index->entries);
    free(index->marks);
    free(index->controls);
    *index = (kt_index){ 0 };
}

/* One more element; the room doubles. */
static bool room_for(void **list, uint32_t *room, uint32_t count, size_t size)
{
    if (count < *room)
        return true;
    uint32_t more = *room == 0 ? 64 : *room * 2;
    void *grown = realloc(*list, more * size);
    if (grown == NULL)
        return false;
    *list = grown;
    *room = more;
    return true;
}

kt_code kt_index_add(kt_index *index, const kt_rec *rec, uint64_t at, uint64_t subject_last_seq)
{
    if ((rec->seq - index->first_seq) % KT_INDEX_RECORDS == 0) {
        if (!room_for((void **)&index->marks, &index->mark_room, index->mark_count, sizeof *index->marks))
            return KT_SYS;
        index->marks[index->mark_count++] = (kt_index_mark){ rec->seq, at, index->time_ns };
    }
    if (rec->offset % KT_INDEX_OFFSETS == 0 || subject_last_seq < index->first_seq) {
        if (!room_for((void **)&index->entries, &index->entry_room, index->entry_count, sizeof *index->entries))
            return KT_SYS;
        index->entries[index->entry_count++] = (kt_index_entry){ rec->subject, 0, rec->offset, rec->seq };
    }
    if ((rec->flags & KT_REC_CONTROL) != 0 && rec->subject == 0) {
        if (!room_for((void **)&index->controls, &index->control_room, index->control_count, sizeof *index->controls))
            return KT_SYS;
        index->controls[index->control_count++] = at;
    }
    if (rec->time_ns > index->time_ns)
        index->time_ns = rec->time_ns;
    index->next_seq = rec->seq + 1;
    return KT_OK;
}

static int entry_order(const void *a, const void *b)
{
    const kt_index_entry *x = a, *y = b;

    if (x->subject != y->subject)
        return x->subject < y->subject ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

kt_code kt_index_build(kt_index *index, const kt_segment *segment, uint32_t subject_max)
{
    kt_subjects subjects;
    kt_scan scan = kt_scan_start(segment);
    kt_code code;

    kt_index_init(index, segment->name.first_seq);
    kt_subjects_init(&subjects, subject_max);
    code = kt_segment_subjects(segment, &subjects);
    while (code == KT_OK) {
        /* The table moves with the record, so the subject's last seq is asked before; a bad id is met by the scan. */
        const kt_rec *next = (const kt_rec *)(segment->map + scan.at);
        uint64_t at = scan.at;
        bool known = segment->size - at >= sizeof *next && next->subject < subjects.count;
        uint64_t last_seq = known ? subjects.list[next->subject].last_seq : 0;
        code = kt_scan_next(&scan, &subjects, &next);
        if (code == KT_OK)
            code = kt_index_add(index, next, at, last_seq);
    }
    kt_subjects_done(&subjects);
    if (code != KT_EMPTY) {
        kt_index_done(index);
        return code;
    }
    if (index->entry_count > 0)
        qsort(index->entries, index->entry_count, sizeof *index->entries, entry_order);
    index->sorted = true;
    return KT_OK;
}

uint64_t kt_index_find(const kt_index *index, uint32_t subject, uint64_t offset)
{
    uint32_t low = 0, high = index->entry_count;
    kt_index_entry key = { subject, 0, offset, 0 };

    if (!index->sorted) { /* in order of seq: the first from the back is the one */
        while (high > 0) {
            const kt_index_entry *entry = &index->entries[--high];
            if (entry->subject == subject && entry->offset <= offset)
                return entry->seq;
        }
        return index->first_seq;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_order(&index->entries[middle], &key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && index->entries[low - 1].subject == subject ? index->entries[low - 1].seq : index->first_seq;
}

const kt_index_mark *kt_index_mark_at(const kt_index *index, uint64_t seq)
{
    uint64_t place;

    if (index->mark_count == 0 || seq < index->first_seq)
        return NULL;
    place = (seq - index->first_seq) / KT_INDEX_RECORDS;
    return &index->marks[place < index->mark_count ? place : index->mark_count - 1];
}

const kt_index_mark *kt_index_mark_time(const kt_index *index, int64_t time_ns)
{
    uint32_t low = 0, high = index->mark_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->marks[middle].time_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &index->marks[low - 1] : NULL;
}

static size_t index_parts_size(const index_header *header)
{
    return (size_t)header->entry_count * sizeof(kt_index_entry) + (size_t)header->mark_count * sizeof(kt_index_mark) +
           (size_t)header->control_count * sizeof(uint64_t);
}

kt_code kt_index_save(const kt_index *index, const kt_log_io *io, const char *dir, kt_seg_name name)
{
    kt_code code = KT_SYS;
    char path[KT_PATH_SIZE], temporary[KT_PATH_SIZE];
    index_header header = { .format = KT_LOG_FORMAT,
        .first_seq = index->first_seq,
        .next_seq = index->next_seq,
        .time_ns = index->time_ns,
        .entry_count = index->entry_count,
        .mark_count = index->mark_count,
        .control_count = index->control_count };
    size_t size = sizeof header + index_parts_size(&header);
    uint8_t *bytes = malloc(size);
    int fd = -1;

    if (bytes == NULL)
        goto out;
    memcpy(header.magic, index_magic, sizeof index_magic);
    uint8_t *at = bytes + sizeof header;
    const struct {
        const void *list;
        size_t size;
    } parts[] = { { index->entries, index->entry_count * sizeof *index->entries },
        { index->marks, index->mark_count * sizeof *index->marks },
        { index->controls, index->control_count * sizeof *index->controls } };
    for (size_t i = 0; i < KT_COUNT(parts); at += parts[i].size, i++)
        if (parts[i].size > 0)
            memcpy(at, parts[i].list, parts[i].size);
    memcpy(bytes, &header, sizeof header);
    header.crc = kt_crc32c(0, bytes, size);
    memcpy(bytes, &header, sizeof header);

    kt_seg_path(path, dir, name, ".idx");
    kt_seg_path(temporary, dir, name, ".idx.tmp");
    fd = io->open(io->ctx, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || kt_write_all(io, fd, bytes, size, 0, size) != 0 || io->rename(io->ctx, temporary, path) != 0)
        goto out;
    code = KT_OK;
out:
    if (fd >= 0 && code != KT_OK)
        io->unlink(io->ctx, temporary);
    if (fd >= 0)
        close(fd);
    free(bytes);
    return code;
}

kt_code kt_index_load(kt_index *index, const char *dir, kt_seg_name name)
{
    kt_code code = KT_CORRUPT;
    char path[KT_PATH_SIZE];
    index_header header;
    struct stat info;
    uint8_t *bytes = NULL;
    int fd = open(kt_seg_path(path, dir, name, ".idx"), O_RDONLY | O_CLOEXEC);

    kt_index_init(index, name.first_seq);
    if (fd < 0)
        return errno == ENOENT ? KT_NOENT : KT_SYS;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < (off_t)sizeof header ||
        info.st_size > (off_t)KT_SEGMENT_SIZE_MAX)
        goto out;
    bytes = malloc((size_t)info.st_size);
    if (bytes == NULL || kt_read_all(fd, bytes, (size_t)info.st_size, 0) != info.st_size)
        goto out;
    memcpy(&header, bytes, sizeof header);
    if (memcmp(header.magic, index_magic, sizeof index_magic) != 0 || header.format > KT_LOG_FORMAT ||
        header.first_seq != name.first_seq || sizeof header + index_parts_size(&header) != (size_t)info.st_size)
        goto out;
    uint32_t crc = header.crc;
    memset(bytes + offsetof(index_header, crc), 0, sizeof crc);
    if (crc != kt_crc32c(0, bytes, (size_t)info.st_size))
        goto out;

    size_t entries_size = header.entry_count * sizeof *index->entries;
    size_t marks_size = header.mark_count * sizeof *index->marks;
    size_t controls_size = header.control_count * sizeof *index->controls;
    index->entries = malloc(entries_size + 1);
    index->marks = malloc(marks_size + 1);
    index->controls = malloc(controls_size + 1);
    if (index->entries == NULL || index->marks == NULL || index->controls == NULL) {
        code = KT_SYS;
        goto out;
    }
    memcpy(index->entries, bytes + sizeof header, entries_size);
    memcpy(index->marks, bytes + sizeof header + entries_size, marks_size);
    memcpy(index->controls, bytes + sizeof header + entries_size + marks_size, controls_size);
    index->entry_count = index->entry_room = header.entry_count;
    index->mark_count = index->mark_room = header.mark_count;
    index->control_count = index->control_room = header.control_count;
    index->next_seq = header.next_seq;
    index->time_ns = header.time_ns;
    index->sorted = true;
    code = KT_OK;
out:
    close(fd);
    free(bytes);
    if (code != KT_OK)
        kt_index_done(index);
    return code;
}
