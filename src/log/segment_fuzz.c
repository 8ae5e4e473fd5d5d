/* Arbitrary bytes as the only segment of a log: reading and recovering never crash, and whatever a reader hands out has a
 * valid checksum and consecutive seqs. What recovery accepts can be written to and read again.
 *
 * Input: byte 0 says what is mended before (bit 0: checksums, so that what lies behind them is reached) and how the log
 * was left (bit 1: clean, bit 2: other boot); byte 1 is the last durable seq; the rest is the file, filled up with zeros
 * to the size that its header names. */
#include "base/test_util.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 256 * 1024, MENDS = 1, CLEAN = 2, OTHER_BOOT = 4 };

#define MUST(fact)                                                     \
    do {                                                               \
        if (!(fact)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact); \
            abort();                                                   \
        }                                                              \
    } while (0)

static int no_sync(void *ctx, int fd)
{
    return 0;
}

static void mend(uint8_t *file, size_t size)
{
    kt_seg_header header;

    memcpy(&header, file, sizeof header);
    memcpy(header.magic, "ktlogseg", 8);
    header.format = KT_LOG_FORMAT;
    header.file_size = size;
    header.first_seq = 1;
    if (header.table_size <= size - sizeof header)
        header.table_crc = kt_crc32c(0, file + sizeof header, header.table_size);
    header.crc = 0;
    header.crc = kt_crc32c(0, &header, sizeof header);
    memcpy(file, &header, sizeof header);
    for (uint64_t at = header.data_at; at % 8 == 0 && at < size && size - at >= sizeof(kt_rec);) {
        kt_rec rec;
        memcpy(&rec, file + at, sizeof rec);
        if (rec.size < sizeof rec || rec.size > size - at)
            break;
        rec.crc = kt_crc32c(kt_crc32c(0, &rec.size, 4), file + at + 8, rec.size - 8);
        memcpy(file + at + 4, &rec.crc, 4);
        at += rec.size;
    }
}

static void remove_segments(const char *dir)
{
    kt_seg_names names;
    char path[KT_PATH_SIZE];

    MUST(kt_seg_names_read(dir, &names, NULL) == KT_OK);
    for (uint32_t i = 0; i < names.count; i++) {
        unlink(kt_seg_path(path, dir, names.list[i], ".seg"));
        unlink(kt_seg_path(path, dir, names.list[i], ".idx"));
    }
    free(names.list);
}

static void put(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[KT_PATH_SIZE];
    int fd = open(kt_file_path(path, dir, name), O_RDWR | O_CREAT | O_TRUNC, 0644);

    MUST(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    close(fd);
}

/* Read to the end; returns how many records. */
static uint64_t read_all(const kt_log_options *options)
{
    kt_reader *reader;
    const kt_rec *rec;
    uint64_t count = 0, seq = 0;

    if (kt_reader_open(options->dir, options->boot_id, &reader, NULL) != KT_OK)
        return 0;
    for (int bad = 0; bad < 3;) {
        kt_code code = kt_reader_next(reader, UINT64_MAX, &rec);
        if (code == KT_EMPTY)
            break;
        bad += code != KT_OK;
        if (code != KT_OK) {
            seq = 0;
            continue;
        }
        MUST(rec->crc == kt_rec_crc(rec, rec->size));
        MUST(seq == 0 || rec->seq == seq + 1);
        MUST(kt_rec_payload_size(rec) <= rec->size - sizeof *rec);
        MUST(kt_reader_subject(reader, rec->subject).n <= 255);
        seq = rec->seq;
        count++;
    }
    kt_resume resume;
    if (kt_reader_seek_end(reader, NULL) == KT_OK)
        for (uint32_t id = 1; id < kt_reader_subject_count(reader) && id < 4; id++)
            kt_reader_resume(reader, kt_reader_subject(reader, id), 0, seq / 2, &resume, NULL);
    kt_reader_seek_time(reader, 1000, NULL);
    kt_reader_close(reader);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char dir[512];
    static uint8_t file[FILE_MAX];
    kt_log_options options;
    kt_log *log = NULL;
    kt_seg_header header;

    if (size < 2 + sizeof header || size - 2 > FILE_MAX)
        return 0;
    if (dir[0] == '\0')
        snprintf(dir, sizeof dir, "%s", kt_test_dir());
    size_t file_size = size - 2;
    memset(file, 0, sizeof file);
    memcpy(file, data + 2, file_size);
    memcpy(&header, file, sizeof header);
    if (header.file_size >= file_size && header.file_size <= FILE_MAX)
        file_size = header.file_size;
    if ((data[0] & MENDS) != 0)
        file_size = KT_ALIGN_UP(file_size, (size_t)KT_PAGE);
    if ((data[0] & MENDS) != 0)
        mend(file, file_size);

    kt_log_options_init(&options, dir);
    options.segment_size = KT_SEGMENT_SIZE_MIN;
    options.sync = KT_SYNC_INLINE;
    options.io.fdatasync = no_sync;
    options.io.fsync = no_sync;
    memset(options.boot_id, 1, sizeof options.boot_id);
    remove_segments(dir);
    put(dir, "00000000000000000001.0001.seg", file, file_size);
    static uint8_t slots[2 * KT_PAGE];
    put(dir, "state", slots, sizeof slots);
    kt_state state = { .durable = data[1], .first_seq = 1, .generation = 1, .clean = (data[0] & CLEAN) != 0 };
    memcpy(state.boot_id, options.boot_id, KT_BOOT_ID_SIZE);
    char path[KT_PATH_SIZE];
    int fd = open(kt_file_path(path, dir, "state"), O_RDWR);
    MUST(fd >= 0 && kt_state_write(&options.io, fd, &state, NULL) == KT_OK);
    close(fd);
    kt_control *control;
    MUST(kt_control_map(dir, true, &control, NULL) == KT_OK);
    atomic_store(&control->boot_key, kt_boot_key(options.boot_id));
    atomic_store(&control->written, data[1]);
    atomic_store(&control->durable, data[1]);
    kt_control_unmap(control);

    read_all(&options);
    if ((data[0] & OTHER_BOOT) != 0)
        memset(options.boot_id, 2, sizeof options.boot_id);
    if (kt_log_open(&options, &log, NULL) != KT_OK)
        return 0;
    uint32_t id;
    if (kt_log_subject(log, KT_TEXT("fuzz.after"), 0, &id, NULL) == KT_OK) {
        kt_rec_head head = { 1, KT_REC_INPUT, id, 1, 0 };
        MUST(kt_log_append(log, &head, "after", 5, NULL) == KT_OK);
        MUST(kt_log_sync(log, NULL) == KT_OK);
        MUST(read_all(&options) >= 1);
    }
    kt_log_close(log, NULL);
    return 0;
}
