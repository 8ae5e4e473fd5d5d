/* Logs of earlier programs stay readable (log.md 7): every file of a folder of format 1, from bytes that never change. */
#include "log/golden_v1.h"
#include "log/log_test.h"

static const int64_t golden_time_ns = INT64_C(1700000000000000000); /* each record: this and its seq, but for seq 4 */
static const uint64_t log_epochs[] = { UINT64_C(0x1111111111111111), UINT64_C(0x4444444444444444) };
static const uint64_t trades_epochs[] = { UINT64_C(0x2222222222222222), UINT64_C(0x5555555555555555) };
static const uint64_t ledger_epoch = UINT64_C(0x3333333333333333);

static void write_piece(const char *dir, const golden_piece *piece)
{
    char path[KT_PATH_SIZE];
    size_t size = strlen(piece->hex) / 2;
    int fd = open(kt_file_path(path, dir, piece->file), O_RDWR | O_CREAT, 0644);

    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i++) {
        const char digits[3] = { piece->hex[2 * i], piece->hex[2 * i + 1], '\0' };
        uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)(piece->at + i)), 1);
    }
    close(fd);
}

/* The folder, as options of a log under the boot after it. */
static kt_log_options golden_folder(void)
{
    kt_log_options options = small_log(8);
    char path[KT_PATH_SIZE];

    assert_int_equal(mkdir(options.dir, 0755), 0);
    assert_int_equal(mkdir(kt_file_path(path, options.dir, "snapshots"), 0755), 0);
    assert_int_equal(mkdir(kt_file_path(path, options.dir, "cursors"), 0755), 0);
    for (size_t i = 0; i < KT_COUNT(golden_v1); i++)
        write_piece(options.dir, &golden_v1[i]);
    for (size_t i = 0; i < KT_COUNT(golden_v1_sizes); i++)
        assert_int_equal(
            truncate(kt_file_path(path, options.dir, golden_v1_sizes[i].file), (off_t)golden_v1_sizes[i].size), 0);
    return options;
}

static const struct {
    uint16_t kind, flags;
    uint32_t subject;
    uint64_t offset, cause;
    const char *payload; /* NULL: the log's own record */
} golden_records[] = {
    { KT_CTL_SUBJECT, KT_REC_CONTROL, 0, 1, 0, NULL },
    { KT_CTL_SUBJECT, KT_REC_CONTROL, 0, 2, 0, NULL },
    { 1, KT_REC_INPUT, 1, 1, 77, "first" },
    { 8, KT_REC_OUTPUT, 2, 1, 3, "second!!" },
    { 101, KT_REC_ADMIT, 1, 2, 0, "third" },
    { KT_CTL_EPOCHS, KT_REC_CONTROL, 0, 3, 0, NULL },
    { 1, KT_REC_INPUT, 1, 3, 78, "fourth" },
    { KT_CTL_SEAL, KT_REC_CONTROL, 0, 4, 0, NULL },
    { KT_CTL_LOST, KT_REC_CONTROL, 0, 5, 0, NULL },
    { 9, KT_REC_INPUT, 2, 2, 79, "" },
};

static void expect_records(kt_reader *reader)
{
    const kt_rec *rec;

    for (uint64_t seq = 1; seq <= KT_COUNT(golden_records); seq++) {
        const char *payload = golden_records[seq - 1].payload;
        assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
        assert_int_equal(rec->seq, seq);
        assert_int_equal(rec->kind, golden_records[seq - 1].kind);
        assert_int_equal(rec->flags & 0xF, golden_records[seq - 1].flags);
        assert_int_equal(rec->subject, golden_records[seq - 1].subject);
        assert_int_equal(rec->offset, golden_records[seq - 1].offset);
        assert_int_equal(rec->time_ns, golden_time_ns + (int64_t)(seq == 4 ? 3 : seq)); /* an output has its input's */
        assert_int_equal(rec->cause, golden_records[seq - 1].cause);
        if (payload != NULL) {
            assert_int_equal(kt_rec_payload_size(rec), strlen(payload));
            assert_memory_equal(kt_rec_payload(rec), payload, strlen(payload));
        }
        assert_int_equal(kt_reader_epoch(reader), log_epochs[seq >= 6]);
    }
}

static void a_log_of_format_1_is_read(void **state)
{
    kt_log_options options = golden_folder();
    kt_reader *reader = must_read(&options);
    const kt_rec *rec;
    kt_reader_subject_info info;
    kt_resume resume;
    kt_lost lost;

    assert_int_equal(kt_reader_written(reader), KT_COUNT(golden_records)); /* as its state file says: durable */
    expect_records(reader);
    assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_EMPTY);
    assert_int_equal(kt_reader_seek(reader, log_epochs[0], 4, NULL, NULL), KT_OK); /* before the first epoch's cut */
    assert_int_equal(kt_reader_seek(reader, log_epochs[0], 8, &lost, NULL), KT_EPOCH);
    assert_int_equal(kt_reader_position(reader), 6);
    assert_int_equal(kt_reader_seek_time(reader, golden_time_ns + 9, NULL), KT_OK);
    assert_int_equal(kt_reader_position(reader), 9);

    assert_int_equal(kt_reader_seek_end(reader, NULL), KT_OK);
    assert_int_equal(kt_reader_subject_find(reader, KT_TEXT("trades.sim.BTC/USDT"), &info), KT_OK);
    assert_int_equal(info.id, 1);
    assert_int_equal(info.flags, 0);
    assert_int_equal(info.epoch, trades_epochs[1]);
    assert_int_equal(info.last_offset, 3);
    assert_int_equal(kt_reader_subject_find(reader, KT_TEXT("ledger"), &info), KT_OK);
    assert_int_equal(info.flags, KT_SUBJECT_AFTER_DURABLE);
    assert_int_equal(info.epoch, ledger_epoch);
    assert_int_equal(info.last_offset, 2);
    assert_int_equal(
        kt_reader_resume(reader, KT_TEXT("trades.sim.BTC/USDT"), trades_epochs[0], 2, &resume, NULL), KT_OK);
    assert_int_equal(resume.next_offset, 3);
    assert_int_equal(
        kt_reader_resume(reader, KT_TEXT("trades.sim.BTC/USDT"), trades_epochs[0], 3, &resume, NULL), KT_EPOCH);
    kt_reader_close(reader);
}

/* The program was changed for a newer one while the machine stayed up. */
static void under_its_own_boot_the_control_page_counts(void **state)
{
    kt_log_options options = golden_folder();
    on_boot(&options, 7);
    kt_reader *reader = must_read(&options);

    assert_int_equal(kt_reader_generation(reader), 2);
    assert_int_equal(kt_reader_first(reader), 1);
    assert_int_equal(kt_reader_written(reader), KT_COUNT(golden_records));
    assert_int_equal(kt_reader_durable(reader), KT_COUNT(golden_records));
    expect_records(reader);
    kt_reader_close(reader);
    kt_log *log = must_open(&options);
    assert_true(kt_log_recovered(log)->clean && !kt_log_recovered(log)->other_boot);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void its_index_snapshot_and_cursor_are_read(void **state)
{
    kt_log_options options = golden_folder();
    kt_snapshot snapshot;
    kt_cursor *cursor;
    kt_index index;

    assert_int_equal(kt_index_load(&index, options.dir, (kt_seg_name){ 1, 1 }), KT_OK);
    assert_int_equal(index.next_seq, 9);
    assert_int_equal(index.time_ns, golden_time_ns + 8);
    assert_int_equal(kt_index_find(&index, 2, 1), 4);
    assert_int_equal(kt_index_mark_at(&index, 8)->at, 4096);
    assert_int_equal(index.control_count, 4);
    kt_index_done(&index);

    assert_int_equal(kt_snapshot_newest(options.dir, UINT64_MAX, &snapshot, NULL), KT_OK);
    assert_int_equal(snapshot.seq, 7);
    assert_int_equal(snapshot.epoch, log_epochs[1]);
    assert_int_equal(snapshot.version, 3);
    assert_int_equal(snapshot.size, strlen("what services knew at 7"));
    assert_memory_equal(snapshot.bytes, "what services knew at 7", snapshot.size);
    kt_snapshot_done(&snapshot);

    assert_int_equal(kt_cursor_open(options.dir, "store", &cursor, NULL), KT_OK);
    assert_int_equal(kt_cursor_get(cursor).epoch, log_epochs[1]);
    assert_int_equal(kt_cursor_get(cursor).seq, 9);
    assert_int_equal(kt_cursor_get(cursor).safe, 7);
    kt_cursor_close(cursor);
}

static void a_writer_goes_on_with_it(void **state)
{
    kt_log_options options = golden_folder();
    kt_log *log = must_open(&options);
    const kt_log_recovery *found = kt_log_recovered(log);

    assert_true(found->clean && found->other_boot && !found->fresh);
    assert_int_equal(found->durable_before, KT_COUNT(golden_records));
    assert_int_equal(found->last_seq, KT_COUNT(golden_records));
    assert_int_equal(found->epochs_begun, 0);
    assert_int_equal(found->cut_bytes, 0);
    assert_int_equal(kt_log_snapshot_seq(log), 7);
    assert_int_equal(must_subject(log, "ledger", KT_SUBJECT_AFTER_DURABLE), 2);
    assert_int_equal(kt_log_written(log), KT_COUNT(golden_records)); /* it was there: no record was needed */
    append_keys(log, 2, 1, 400);                                     /* into more segments */
    assert_int_equal(kt_log_subject_info_of(log, 2).last_offset, 402);
    kt_reader *reader = must_read(&options);
    expect_records(reader);
    expect_keys(reader, 1, 400);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_of_format_1_is_read),
        cmocka_unit_test(under_its_own_boot_the_control_page_counts),
        cmocka_unit_test(its_index_snapshot_and_cursor_are_read),
        cmocka_unit_test(a_writer_goes_on_with_it),
    };

    return cmocka_run_group_tests_name("log of format 1", tests, NULL, NULL);
}
