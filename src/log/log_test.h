/* log/log_test.h - what the tests of a log share: small logs, records that can be told apart, damage to files.
 */
#ifndef KT_LOG_LOG_TEST_H
#define KT_LOG_LOG_TEST_H

#include "base/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test_util.h"
#include "log/cursor.h"
#include "log/disk.h"
#include "log/doctor.h"
#include "log/index.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/snapshot.h"

enum { PAYLOAD_MAX = 600 };

/* Options of a small inline log under boot `boot` (1 to 255) in a new folder; the path is kept by kt_test_dir. */
static inline kt_log_options small_log(uint8_t boot)
{
    static char paths[64][512];
    static uint32_t used;
    kt_log_options options;
    char *path = paths[used++ % 64];

    snprintf(path, sizeof paths[0], "%s/log", kt_test_dir());
    kt_log_options_init(&options, path);
    options.segment_size = KT_SEGMENT_SIZE_MIN;
    options.subject_max = 100;
    options.sync = KT_SYNC_INLINE;
    memset(options.boot_id, boot, sizeof options.boot_id);
    return options;
}

static inline void on_boot(kt_log_options *options, uint8_t boot)
{
    memset(options->boot_id, boot, sizeof options->boot_id);
}

static inline kt_log *must_open(const kt_log_options *options)
{
    kt_log *log = NULL;
    kt_err err = { 0 };
    kt_code code = kt_log_open(options, &log, &err);

    if (code != KT_OK)
        fail_msg("%s: %s", kt_code_name(code), err.msg);
    return log;
}

static inline kt_reader *must_read(const kt_log_options *options)
{
    kt_reader *reader = NULL;
    kt_err err = { 0 };
    kt_code code = kt_reader_open(options->dir, options->boot_id, &reader, &err);

    if (code != KT_OK)
        fail_msg("%s: %s", kt_code_name(code), err.msg);
    return reader;
}

static inline uint32_t must_subject(kt_log *log, const char *name, uint32_t flags)
{
    uint32_t id = 0;
    kt_err err = { 0 };

    if (kt_log_subject(log, kt_text_of(name), flags, &id, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return id;
}

/* The payload of record `key`: its size and bytes follow from the key. */
static inline uint32_t key_payload(uint64_t key, uint8_t *out)
{
    uint32_t size = (uint32_t)(kt_hash_u64(key, 7) % PAYLOAD_MAX);

    for (uint32_t i = 0; i < size; i++)
        out[i] = (uint8_t)(kt_hash_u64(key, i + 100));
    return size;
}

/* Append record `key` (in `cause`); time is the key too. */
static inline kt_code append_key(kt_log *log, uint32_t subject, uint16_t flags, uint64_t key)
{
    uint8_t payload[PAYLOAD_MAX];
    uint32_t size = key_payload(key, payload);
    kt_rec_head head = { 77, flags, subject, (int64_t)key, key };

    return kt_log_append(log, &head, payload, size, NULL);
}

static inline void append_keys(kt_log *log, uint32_t subject, uint64_t from, uint64_t to)
{
    for (uint64_t key = from; key <= to; key++)
        assert_int_equal(append_key(log, subject, KT_REC_INPUT, key), KT_OK);
}

static inline bool is_key(const kt_rec *rec, uint64_t key)
{
    uint8_t payload[PAYLOAD_MAX];
    uint32_t size = key_payload(key, payload);

    return rec->kind == 77 && rec->cause == key && kt_rec_payload_size(rec) == size &&
           memcmp(kt_rec_payload(rec), payload, size) == 0;
}

/* The next record that is not the log's own. */
static inline kt_code next_key(kt_reader *reader, const kt_rec **out)
{
    kt_code code;

    do
        code = kt_reader_next(reader, UINT64_MAX, out);
    while (code == KT_OK && ((*out)->flags & KT_REC_CONTROL) != 0);
    return code;
}

/* Read keys from..to in order, and then nothing more. */
static inline void expect_keys(kt_reader *reader, uint64_t from, uint64_t to)
{
    const kt_rec *rec;

    for (uint64_t key = from; key <= to; key++) {
        kt_code code = next_key(reader, &rec);
        if (code != KT_OK)
            fail_msg("key %llu: %s %s", (unsigned long long)key, kt_code_name(code), kt_reader_error(reader)->msg);
        if (!is_key(rec, key))
            fail_msg("key %llu expected, %llu at seq %llu", (unsigned long long)key, (unsigned long long)rec->cause,
                (unsigned long long)rec->seq);
    }
    assert_int_equal(next_key(reader, &rec), KT_EMPTY);
}

/* The process dies: the file stays as it is, the lock is released, nothing is synced or marked. In this process that is
 * what kt_log_disown does. */
static inline void die(kt_log *log)
{
    kt_log_disown(log);
}

/* The log's folder as the names of its segments. */
static inline kt_seg_names segments_of(const char *dir)
{
    kt_seg_names names;

    assert_int_equal(kt_seg_names_read(dir, &names, NULL), KT_OK);
    return names;
}

static inline uint32_t segment_count(const char *dir)
{
    kt_seg_names names = segments_of(dir);

    free(names.list);
    return names.count;
}

/* Where record `seq` stands: its file, and the place in it. */
static inline uint64_t place_of(const char *dir, uint64_t seq, char *out_path, uint32_t *out_size)
{
    kt_seg_names names = segments_of(dir);
    kt_segment segment;
    kt_subjects subjects;
    const kt_rec *rec = NULL;
    uint64_t at = 0;

    kt_seg_names_newest(&names);
    kt_seg_name name = names.list[kt_seg_names_find(&names, seq)];
    free(names.list);
    kt_seg_path(out_path, dir, name, ".seg");
    assert_int_equal(kt_segment_map(dir, name, false, &segment, NULL), KT_OK);
    kt_subjects_init(&subjects, KT_SUBJECTS_LIMIT);
    assert_int_equal(kt_segment_subjects(&segment, &subjects), KT_OK);
    kt_scan scan = kt_scan_start(&segment);
    while (scan.seq <= seq) {
        at = scan.at;
        assert_int_equal(kt_scan_next(&scan, &subjects, &rec), KT_OK);
    }
    *out_size = rec->size;
    kt_subjects_done(&subjects);
    kt_segment_unmap(&segment);
    return at;
}

static inline void overwrite(const char *path, uint64_t at, const void *bytes, size_t size)
{
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), (ssize_t)size);
    close(fd);
}

/* As a newer program would have written it: its format, and a checksum that holds. Everything with a format of its own
 * (`size` bytes from `at` on) begins with 8 bytes of magic, the format, and the checksum over all of it. */
static inline void make_newer(const char *path, uint64_t at, size_t size)
{
    uint8_t *bytes = calloc(1, size);
    uint32_t format = KT_LOG_FORMAT + 1, crc = 0;
    int fd = open(path, O_RDONLY);

    assert_int_equal(kt_read_all(fd, bytes, size, (off_t)at), (ssize_t)size);
    close(fd);
    memcpy(bytes + 8, &format, sizeof format);
    memcpy(bytes + 12, &crc, sizeof crc);
    crc = kt_crc32c(0, bytes, size);
    memcpy(bytes + 12, &crc, sizeof crc);
    overwrite(path, at, bytes, size);
    free(bytes);
}

/* Change one byte in the payload or header of record `seq`. */
static inline void damage(const char *dir, uint64_t seq)
{
    char path[KT_PATH_SIZE];
    uint32_t size;
    uint64_t at = place_of(dir, seq, path, &size);
    uint8_t byte = 0xA5;

    overwrite(path, at + 4, &byte, 1); /* the checksum itself, whatever it was: one in 256 is no change, so two bytes */
    overwrite(path, at + 5, &byte, 1);
}

#endif
