#include "log/log_test.h"
#include "log/writer.h"

/* ---- record and segment: log.md 1 ---- */

static void a_record_is_48_bytes_of_header_and_its_checksum_covers_everything_else(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a.b", 0);
    kt_rec_head head = { 9, KT_REC_OUTPUT, subject, 123456789, 42 };
    char path[KT_PATH_SIZE];
    uint8_t bytes[64], twin[64];
    uint32_t size;
    uint64_t seq;

    assert_int_equal(kt_log_append(log, &head, "hello", 5, &seq), KT_OK);
    uint64_t at = place_of(options.dir, seq, path, &size);
    assert_int_equal(size, 56);
    int fd = open(path, O_RDONLY);
    assert_int_equal(kt_read_all(fd, bytes, 56, (off_t)at), 56);
    close(fd);
    const uint8_t expected[48] = { 56, 0, 0, 0, 0, 0, 0, 0, 9, 0, KT_REC_OUTPUT, 3 << 5, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0,
        0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x15, 0xCD, 0x5B, 0x07, 0, 0, 0, 0, 42 };
    memcpy(twin, bytes, sizeof twin);
    memset(twin + 4, 0, 4);
    assert_memory_equal(twin, expected, 48);
    assert_memory_equal(bytes + 48, "hello\0\0\0", 8);
    uint32_t crc = kt_crc32c(kt_crc32c_table(0, bytes, 4), bytes + 8, 48); /* of size, then of what is behind crc */
    assert_memory_equal(bytes + 4, &crc, 4);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

typedef struct publishing {
    kt_log *log;
    uint32_t subject, records;
    const uint8_t *map;
    uint64_t at, end, seq; /* where the first record will stand */
    uint32_t torn;
} publishing;

static void publish_records(void *ctx)
{
    publishing *self = ctx;
    static const uint8_t payload[400] = { 1, 2, 3 };
    kt_rec_head head = { 1, KT_REC_INPUT, self->subject, 1, 0 };

    for (uint32_t i = 0; i < self->records; i++)
        kt_log_append(self->log, &head, payload, sizeof payload, NULL);
}

static void look_at_records(void *ctx)
{
    publishing *self = ctx;
    const kt_rec *rec;

    for (uint32_t i = 0; i < self->records && self->torn == 0;) {
        kt_code code = kt_rec_check(self->map, self->at, self->end, self->seq + i, &rec);
        if (code == KT_OK) {
            self->at += rec->size;
            i++;
        }
        self->torn += code == KT_CORRUPT;
    }
}

static void whoever_sees_the_size_sees_the_whole_record(void **state)
{
    kt_log_options options = small_log(1);
    options.segment_size = 8 << 20;
    kt_log *log = must_open(&options);
    publishing self = { .log = log, .subject = must_subject(log, "a", 0), .records = 10000 };

    self.map = log->current->segment.map;
    self.at = log->at;
    self.end = log->current->segment.size;
    self.seq = log->seq;
    kt_test_at_once(publish_records, look_at_records, &self);
    assert_int_equal(self.torn, 0);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void seq_counts_from_1_in_the_log_and_offset_in_each_subject(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    uint32_t ids[3] = { must_subject(log, "a", 0), must_subject(log, "b", 0), must_subject(log, "c", 0) };
    uint64_t offsets[4] = { 0 };
    uint64_t seq = 0;
    const kt_rec *rec;

    for (uint64_t key = 1; key <= 2000; key++) /* many segments */
        assert_int_equal(append_key(log, ids[kt_hash_u64(key, 3) % 3], KT_REC_INPUT, key), KT_OK);
    assert_true(segment_count(options.dir) > 4);
    kt_reader *reader = must_read(&options);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
        assert_int_equal(rec->seq, ++seq);
        assert_int_equal(rec->offset, ++offsets[rec->subject]);
    }
    assert_int_equal(seq, kt_log_written(log));
    assert_int_equal(offsets[1] + offsets[2] + offsets[3], 2000);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void every_segment_can_be_read_alone(void **state)
{
    kt_log_options options = small_log(1);
    options.schema_hash = 0x1122334455667788;
    kt_log *log = must_open(&options);
    uint32_t a = must_subject(log, "a.x", 0), b = must_subject(log, "b.y", KT_SUBJECT_AFTER_DURABLE);
    uint64_t offset_a = 0, seq_a = 0;
    const kt_rec *rec;

    for (uint64_t key = 1; key <= 1000; key++)
        assert_int_equal(append_key(log, key % 3 ? a : b, KT_REC_INPUT, key), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    assert_true(names.count > 3);
    for (uint32_t i = 0; i < names.count; i++) {
        kt_segment segment;
        kt_subjects subjects;
        kt_seg_header header;
        assert_int_equal(kt_segment_map(options.dir, names.list[i], false, &segment, NULL), KT_OK);
        memcpy(&header, segment.map, sizeof header);
        assert_int_equal(header.format, KT_LOG_FORMAT);
        assert_int_equal(header.schema_hash, options.schema_hash);
        kt_subjects_init(&subjects, 100);
        assert_int_equal(kt_segment_subjects(&segment, &subjects), KT_OK);
        if (i > 0) { /* the table: id, name, epoch, last offset, seq of the last record */
            assert_int_equal(subjects.count, 3);
            assert_string_equal(subjects.list[a].name, "a.x");
            assert_int_equal(subjects.list[a].epochs[0].epoch, kt_log_subject_info_of(log, a).epoch);
            assert_int_equal(subjects.list[a].epochs[0].first_offset, 1);
            assert_int_equal(subjects.list[a].last_offset, offset_a);
            assert_int_equal(subjects.list[a].last_seq, seq_a);
            assert_int_equal(subjects.list[b].flags, KT_SUBJECT_AFTER_DURABLE);
        }
        kt_scan scan = kt_scan_start(&segment);
        while (kt_scan_next(&scan, &subjects, &rec) == KT_OK) {
            offset_a = rec->subject == a ? rec->offset : offset_a;
            seq_a = rec->subject == a ? rec->seq : seq_a;
        }
        assert_true(scan.sealed == (i + 1 < names.count));
        kt_subjects_done(&subjects);
        kt_segment_unmap(&segment);
    }
    free(names.list);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static int64_t clock_of_zero(void *ctx)
{
    return 0;
}

static void a_sealed_segment_has_an_index_and_it_can_be_made_again(void **state)
{
    kt_log_options options = small_log(1);
    options.clock_ns = clock_of_zero; /* control records are not newer than the test's own */
    kt_log *log = must_open(&options);
    uint32_t ids[5];
    char name[16], path[KT_PATH_SIZE];

    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "s%d", i);
        ids[i] = must_subject(log, name, 0);
    }
    for (uint64_t key = 1; key <= 3000; key++) /* payloads of nothing: many records a segment */
        assert_int_equal(
            kt_log_append(log, &(kt_rec_head){ 77, KT_REC_INPUT, ids[key % 5], (int64_t)key * 10, key }, "", 0, NULL),
            KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    kt_seg_names names = segments_of(options.dir);
    assert_true(names.count >= 3);
    for (uint32_t i = 0; i + 1 < names.count; i++) {
        kt_index saved, built;
        kt_segment segment;
        assert_int_equal(kt_index_load(&saved, options.dir, names.list[i]), KT_OK);
        assert_int_equal(kt_segment_map(options.dir, names.list[i], false, &segment, NULL), KT_OK);
        assert_int_equal(kt_index_build(&built, &segment, 100), KT_OK);
        assert_int_equal(saved.entry_count, built.entry_count);
        assert_memory_equal(saved.entries, built.entries, built.entry_count * sizeof *built.entries);
        assert_int_equal(saved.mark_count, built.mark_count);
        assert_memory_equal(saved.marks, built.marks, built.mark_count * sizeof *built.marks);
        assert_true(built.entry_count >= 5 && built.entry_count < 200); /* sparse */
        kt_index_done(&saved);
        kt_index_done(&built);
        kt_segment_unmap(&segment);
    }
    /* The same places with the index, without it, with a damaged one, and with that of a reader at the end. */
    for (int pass = 0; pass < 4; pass++) {
        kt_reader *live = must_read(&options), *reader = must_read(&options);
        const kt_rec *rec;
        kt_resume resume;
        assert_int_equal(kt_reader_seek_end(live, NULL), KT_OK);
        kt_reader_borrow(reader, pass == 3 ? live : NULL);
        for (uint64_t offset = 0; offset < 600; offset += 37) {
            assert_int_equal(kt_reader_resume(live, KT_TEXT("s2"), 0, offset, &resume, NULL), KT_OK);
            assert_int_equal(kt_reader_seek(reader, kt_reader_epoch(live), resume.from_seq, NULL, NULL), KT_OK);
            do
                assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
            while (rec->subject != ids[2] || rec->offset < offset + 1);
            assert_true(rec->seq - resume.from_seq <= 6 * KT_INDEX_OFFSETS); /* five subjects in turn: from near it */
            assert_int_equal(rec->offset, offset + 1);
            assert_int_equal(rec->cause, offset * 5 + 2);
        }
        for (uint64_t key = 5; key < 3000; key += 211) {
            assert_int_equal(kt_reader_seek_time(reader, (int64_t)key * 10 - 5, NULL), KT_OK);
            assert_int_equal(next_key(reader, &rec), KT_OK);
            assert_int_equal(rec->cause, key);
        }
        for (uint32_t i = 0; i + 1 < names.count; i++) {
            kt_seg_path(path, options.dir, names.list[i], ".idx");
            if (pass == 0)
                overwrite(path, 70, "damage", 6);
            else if (pass == 1)
                assert_int_equal(unlink(path), 0); /* later passes make do without */
        }
        kt_reader_close(live);
        kt_reader_close(reader);
    }
    free(names.list);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* A log of more than one segment, each of more records than there are between two marks. */
static kt_log *log_with_marks(const kt_log_options *options)
{
    kt_log *log = must_open(options);
    uint32_t ids[2] = { must_subject(log, "a", 0), must_subject(log, "b", 0) };

    for (uint64_t key = 1; key <= 3000; key++)
        assert_int_equal(
            kt_log_append(log, &(kt_rec_head){ 77, KT_REC_INPUT, ids[key % 2], (int64_t)key, key }, "", 0, NULL),
            KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    return log;
}

static void an_index_is_sorted_and_not_believed_when_damaged(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = log_with_marks(&options);
    kt_seg_names names = segments_of(options.dir);
    char path[KT_PATH_SIZE];
    struct stat info;
    kt_index index;

    assert_int_equal(kt_index_load(&index, options.dir, names.list[0]), KT_OK);
    for (uint32_t i = 1; i < index.entry_count; i++) {
        const kt_index_entry *one = &index.entries[i - 1], *next = &index.entries[i];
        assert_true(one->subject < next->subject || (one->subject == next->subject && one->offset < next->offset));
    }
    kt_index_done(&index);
    kt_seg_path(path, options.dir, names.list[0], ".idx");
    assert_int_equal(stat(path, &info), 0);
    for (off_t at = 0; at < info.st_size; at += 13) {
        uint8_t was, other;
        int fd = open(path, O_RDONLY);
        assert_int_equal(kt_read_all(fd, &was, 1, at), 1);
        close(fd);
        other = was ^ 0x10;
        overwrite(path, (uint64_t)at, &other, 1);
        assert_true(kt_index_load(&index, options.dir, names.list[0]) != KT_OK);
        overwrite(path, (uint64_t)at, &was, 1);
    }
    assert_int_equal(kt_index_load(&index, options.dir, names.list[0]), KT_OK);
    kt_index_done(&index);
    make_newer(path, 0, (size_t)info.st_size);
    assert_int_equal(kt_index_load(&index, options.dir, names.list[0]), KT_CORRUPT); /* readers make their own */
    free(names.list);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_seek_skips_what_the_index_lets_it_skip(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = log_with_marks(&options);
    kt_reader *reader = must_read(&options);
    const kt_rec *rec;

    damage(options.dir, 100); /* who reads it notices */
    assert_int_equal(kt_reader_seek(reader, 0, 1 + KT_INDEX_RECORDS + 10, NULL, NULL), KT_OK);
    assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_OK);
    assert_int_equal(rec->seq, 1 + KT_INDEX_RECORDS + 10);
    assert_int_equal(kt_reader_seek(reader, 0, 200, NULL, NULL), KT_CORRUPT);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void the_record_limit_is_named(void **state)
{
    kt_log_options options = small_log(1);
    options.segment_size = 16 << 20;
    kt_log *log = must_open(&options);
    kt_rec_head head = { 1, KT_REC_INPUT, must_subject(log, "a", 0), 1, 0 };
    uint8_t *large = calloc(1, KT_RECORD_MAX + 1);
    const kt_rec *rec;

    assert_int_equal(kt_log_record_max(log), KT_RECORD_MAX);
    memset(large, 3, KT_RECORD_MAX);
    assert_int_equal(kt_log_append(log, &head, large, KT_RECORD_MAX - 47, NULL), KT_LIMIT);
    for (int i = 0; i < 40; i++)
        assert_int_equal(kt_log_append(log, &head, large, KT_RECORD_MAX - 48, NULL), KT_OK);
    kt_reader *reader = must_read(&options);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(next_key(reader, &rec), KT_OK);
        assert_int_equal(rec->size, KT_RECORD_MAX);
        assert_memory_equal(kt_rec_payload(rec), large, KT_RECORD_MAX - 48);
    }
    kt_reader_close(reader);
    free(large);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);

    kt_log_options tiny = small_log(1);
    log = must_open(&tiny);
    assert_int_equal(kt_log_record_max(log), KT_SEGMENT_SIZE_MIN / 8);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_reservation_leaves_nothing_behind(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    kt_rec_head head = { 1, KT_REC_INPUT, must_subject(log, "a", 0), 1, 0 };
    void *place;
    const kt_rec *rec;

    assert_int_equal(kt_log_reserve(log, &head, 500, &place), KT_OK);
    memset(place, 0xFF, 500);
    assert_int_equal(kt_log_reserve(log, &head, 400, &place), KT_OK); /* drops the first */
    memset(place, 0xEE, 400);
    assert_int_equal(kt_log_commit(log, 3, NULL), KT_OK);
    kt_reader *reader = must_read(&options);
    assert_int_equal(next_key(reader, &rec), KT_OK);
    assert_int_equal(kt_rec_payload_size(rec), 3);
    assert_int_equal(kt_reader_next(reader, UINT64_MAX, &rec), KT_EMPTY);
    assert_int_equal(kt_log_append(log, &head, "next", 4, NULL), KT_OK);
    assert_int_equal(next_key(reader, &rec), KT_OK);
    assert_memory_equal(kt_rec_payload(rec), "next\0\0\0\0", 8);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- subjects: log.md 2 ---- */

static void subjects_have_bounds_and_a_grammar(void **state)
{
    kt_log_options options = small_log(1);
    options.subject_max = 3;
    kt_log *log = must_open(&options);
    char name[300];
    uint32_t id;
    kt_err err;

    memset(name, 'x', sizeof name);
    assert_int_equal(kt_log_subject(log, (kt_text){ name, 255 }, 0, &id, &err), KT_OK);
    assert_int_equal(id, 1);
    assert_int_equal(kt_log_subject(log, (kt_text){ name, 256 }, 0, &id, &err), KT_LIMIT);
    assert_int_equal(kt_log_subject(log, KT_TEXT("a b"), 0, &id, &err), KT_SYNTAX);
    assert_int_equal(kt_log_subject(log, KT_TEXT("a.*"), 0, &id, &err), KT_SYNTAX);
    assert_int_equal(must_subject(log, "b", 0), 2);
    assert_int_equal(must_subject(log, "b", 0), 2);
    assert_int_equal(must_subject(log, "c", 0), 3);
    assert_int_equal(kt_log_subject(log, KT_TEXT("d"), 0, &id, &err), KT_FULL);
    assert_non_null(strstr(err.msg, "subject_max"));
    assert_non_null(strstr(err.msg, "'d'"));
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    log = must_open(&options); /* ids never change */
    assert_int_equal(must_subject(log, "c", 0), 3);
    assert_int_equal(must_subject(log, "b", KT_SUBJECT_AFTER_DURABLE), 2);
    assert_int_equal(kt_log_subject_info_of(log, 2).flags, KT_SUBJECT_AFTER_DURABLE);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    log = must_open(&options);
    assert_int_equal(kt_log_subject_info_of(log, 2).flags, KT_SUBJECT_AFTER_DURABLE);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void the_table_of_subjects_never_fills_a_segment(void **state)
{
    kt_log_options options = small_log(1);
    options.subject_max = 10000;
    kt_log *log = must_open(&options);
    char name[260];
    kt_err err = { 0 };
    kt_code code = KT_OK;
    uint32_t count = 0, id;

    for (int i = 0; code == KT_OK; i++) {
        memset(name, 'n', 250);
        snprintf(name + 240, 20, "%d", i);
        code = kt_log_subject(log, kt_text_of(name), 0, &id, &err);
        count += code == KT_OK;
    }
    assert_int_equal(code, KT_FULL);
    assert_non_null(strstr(err.msg, "half a segment"));
    append_keys(log, 1, 1, 500);
    assert_true(count > 50);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    log = must_open(&options);
    assert_int_equal(kt_log_subject_count(log), count + 1);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- committing: log.md 3 ---- */

static void the_thread_makes_durable_what_is_written_without_being_asked(void **state)
{
    kt_log_options options = small_log(1);
    options.sync = KT_SYNC_THREAD;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    /* Without a kick a commit starts by itself, at most KT_COMMIT_DELAY_MS later, also when the thread has gone to rest. */
    assert_int_equal(kt_log_prewrite(log, NULL), KT_OK);
    assert_true(KT_TEST_WAIT(kt_log_durable(log) == kt_log_written(log), 20));
    kt_test_sleep_ms(4 * KT_COMMIT_DELAY_MS);
    append_keys(log, subject, 1, 10);
    assert_true(KT_TEST_WAIT(kt_log_durable(log) == kt_log_written(log), 20));
    append_keys(log, subject, 11, 2000); /* over many segments, the next ones pre-written by the thread */
    assert_int_equal(kt_log_wait(log, kt_log_written(log), INT64_C(60000000000)), KT_OK);
    kt_reader *reader = must_read(&options);
    assert_int_equal(kt_reader_durable(reader), kt_log_written(log));
    expect_keys(reader, 1, 2000);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void a_kick_starts_a_commit_from_rest(void **state)
{
    kt_log_options options = small_log(1);
    options.sync = KT_SYNC_THREAD;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    pthread_mutex_lock(&log->lock);
    log->rest_ns = INT64_C(3600000000000);
    pthread_mutex_unlock(&log->lock);
    assert_int_equal(kt_log_prewrite(log, NULL), KT_OK);
    for (uint64_t key = 1; key <= 20; key++) {
        assert_true(KT_TEST_WAIT(atomic_load(&log->resting), 20));
        append_keys(log, subject, key, key);
        kt_log_kick(log);
        assert_true(KT_TEST_WAIT(kt_log_durable(log) == kt_log_written(log), 20));
    }
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- both at once: a record is published while the thread goes to rest ---- */

/* The two walk over the logs towards each other, so that they meet at one of them in every round. */
typedef struct race {
    kt_log logs[32]; /* nothing of each but what the two look at */
    bool seen_resting[32], seen_written[32];
    _Atomic uint64_t steps[2];
    uint64_t rounds;
    uint64_t lost; /* rounds in which both looked too early */
} race;

enum { PUBLISHES, RESTS };

static void meet(race *self, int who, uint64_t step)
{
    atomic_store_explicit(&self->steps[who], step, memory_order_release);
    for (uint32_t looks = 1; atomic_load_explicit(&self->steps[!who], memory_order_acquire) < step; looks++)
        if (looks % 1024 == 0)
            sched_yield(); /* the other has no core just now */
}

/* Both have both of each at hand: then a store waits, and a load does not. */
static void look_at_all(const race *self)
{
    for (size_t i = 0; i < KT_COUNT(self->logs); i++)
        if (atomic_load(&self->logs[i].resting) || kt_log_written(&self->logs[i]) != 0)
            abort();
}

static void race_publish(void *ctx)
{
    race *self = ctx;

    for (uint64_t step = 1; step <= 3 * self->rounds; step += 3) {
        meet(self, PUBLISHES, step);
        look_at_all(self);
        meet(self, PUBLISHES, step + 1);
        for (size_t i = 0; i < KT_COUNT(self->logs); i++) {
            atomic_store_explicit(&self->logs[i].written, 1, memory_order_release);
            self->seen_resting[i] = kt_log_is_resting(&self->logs[i]);
        }
        meet(self, PUBLISHES, step + 2);
    }
}

static void race_rest(void *ctx)
{
    race *self = ctx;

    for (uint64_t step = 1; step <= 3 * self->rounds; step += 3) {
        for (size_t i = 0; i < KT_COUNT(self->logs); i++) {
            atomic_store_explicit(&self->logs[i].resting, false, memory_order_relaxed);
            atomic_store_explicit(&self->logs[i].written, 0, memory_order_relaxed);
        }
        meet(self, RESTS, step);
        look_at_all(self);
        meet(self, RESTS, step + 1);
        for (size_t i = KT_COUNT(self->logs); i-- > 0;) {
            self->seen_written[i] = !kt_log_rests(&self->logs[i]);
        }
        meet(self, RESTS, step + 2);
        bool lost = false;
        for (size_t i = 0; i < KT_COUNT(self->logs); i++)
            lost = lost || (!self->seen_resting[i] && !self->seen_written[i]);
        self->lost += lost;
    }
}

static void no_kick_is_lost_while_the_thread_goes_to_rest(void **state)
{
    static race self;

    self.rounds = kt_test_cases(20000);
    kt_test_at_once(race_publish, race_rest, &self);
    assert_int_equal(self.lost, 0);
}

static _Atomic uint32_t wakes[2];

static void count_wake(void *ctx, kt_log_moved moved)
{
    atomic_fetch_add(&wakes[moved], 1);
}

static void a_commit_wakes_those_who_wait_for_it(void **state)
{
    kt_log_options options = small_log(1);
    options.sync = KT_SYNC_THREAD;
    options.wake = count_wake;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    kt_log_kick(log);
    assert_true(KT_TEST_WAIT(kt_log_durable(log) == kt_log_written(log), 20));
    uint32_t written = atomic_load(&wakes[KT_MOVED_WRITTEN]), durable = atomic_load(&wakes[KT_MOVED_DURABLE]);
    kt_log_kick(log); /* nothing new: nobody is woken */
    assert_int_equal(atomic_load(&wakes[KT_MOVED_WRITTEN]), written);
    append_keys(log, subject, 1, 1);
    kt_log_kick(log);
    assert_int_equal(atomic_load(&wakes[KT_MOVED_WRITTEN]), written + 1);
    assert_true(KT_TEST_WAIT(atomic_load(&wakes[KT_MOVED_DURABLE]) > durable, 20));
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

/* ---- pre-writing ---- */

typedef struct watched {
    uint32_t page_writes, other_writes;
    _Atomic int64_t room; /* bytes that the disk still takes; -1: any */
} watched;

static ssize_t watched_pwrite(void *ctx, int fd, const void *data, size_t size, off_t at)
{
    watched *w = ctx;
    char link[64], path[512];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    if (strstr(path, "ready-") == NULL)
        return pwrite(fd, data, size, at);
    if (w->room >= 0 && w->room < (int64_t)size) {
        errno = ENOSPC;
        return -1;
    }
    w->room -= w->room >= 0 ? (int64_t)size : 0;
    w->page_writes += size == KT_PAGE && at % KT_PAGE == 0;
    w->other_writes += size != KT_PAGE || at % KT_PAGE != 0;
    return pwrite(fd, data, size, at);
}

static void the_next_segment_is_pre_written_in_writes_of_4_kib(void **state)
{
    kt_log_options options = small_log(1);
    watched w = { 0, 0, -1 };
    options.io.ctx = &w;
    options.io.pwrite = watched_pwrite;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);

    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(w.page_writes, KT_SEGMENT_SIZE_MIN / KT_PAGE); /* ready long before three quarters */
    assert_int_equal(w.other_writes, 0);
    append_keys(log, subject, 1, 1000);
    assert_int_equal(w.other_writes, 0);
    assert_true(w.page_writes >= 3 * KT_SEGMENT_SIZE_MIN / KT_PAGE);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    /* what was ready and unused is gone */
    DIR *dir = opendir(options.dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        assert_null(strstr(entry->d_name, ".tmp"));
    closedir(dir);
}

/* What the kernel says of every mapping of a segment ("rr": random reads are expected, nothing is read ahead). */
static void readahead_is_switched_off_for_mapped_segments(void **state)
{
    kt_log_options options = small_log(1);
    kt_log *log = must_open(&options);
    char line[1024];
    uint32_t mappings = 0, random = 0;
    bool ours = false;

    append_keys(log, must_subject(log, "a", 0), 1, 300);
    kt_reader *reader = must_read(&options);
    FILE *file = fopen("/proc/self/smaps", "r");
    if (file == NULL)
        skip();
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, ".seg") != NULL || strstr(line, ".tmp") != NULL)
            ours = true;
        if (!ours || strncmp(line, "VmFlags:", 8) != 0)
            continue;
        mappings++;
        random += strstr(line, " rr") != NULL;
        ours = false;
    }
    fclose(file);
    assert_true(mappings >= 3);
    assert_int_equal(random, mappings);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void on_a_full_disk_intake_stops_while_what_was_promised_still_fits(void **state)
{
    kt_log_options options = small_log(1);
    watched w = { 0, 0, 0 };
    options.io.ctx = &w;
    options.io.pwrite = watched_pwrite;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    kt_code code = KT_OK;
    uint64_t key = 0, outputs = 0;

    while ((code = append_key(log, subject, KT_REC_INPUT, ++key)) == KT_OK)
        ;
    assert_int_equal(code, KT_FULL);
    assert_true(kt_log_intake_stopped(log));
    assert_int_equal(append_key(log, subject, KT_REC_ADMIT, key), KT_FULL);
    while (append_key(log, subject, KT_REC_OUTPUT, key) == KT_OK) { /* what was promised */
        key++;
        outputs++;
    }
    assert_true(outputs > 20);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_int_equal(kt_log_durable(log), kt_log_written(log));
    w.room = -1; /* somebody made room */
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
    assert_false(kt_log_intake_stopped(log));
    for (int i = 0; i < 500; i++, key++)
        assert_int_equal(append_key(log, subject, KT_REC_INPUT, key), KT_OK);
    kt_reader *reader = must_read(&options);
    expect_keys(reader, 1, key - 1);
    kt_reader_close(reader);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void the_thread_asks_a_full_disk_again(void **state)
{
    kt_log_options options = small_log(1);
    watched w = { 0, 0, 0 };
    options.sync = KT_SYNC_THREAD;
    options.io.ctx = &w;
    options.io.pwrite = watched_pwrite;
    kt_log *log = must_open(&options);
    uint32_t subject = must_subject(log, "a", 0);
    uint64_t key = 1;

    while (append_key(log, subject, KT_REC_INPUT, key) == KT_OK)
        key++;
    assert_true(kt_log_intake_stopped(log));
    w.room = -1;
    assert_true(KT_TEST_WAIT(!kt_log_intake_stopped(log), 20));
    assert_int_equal(append_key(log, subject, KT_REC_INPUT, key), KT_OK);
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
}

static void options_outside_their_range_are_refused(void **state)
{
    const struct {
        const char *name;
        uint64_t segment_size;
        uint32_t subject_max, ahead;
    } rows[] = {
        { "segment too small", KT_SEGMENT_SIZE_MIN - 1, 1, 1 },
        { "segment too large", KT_SEGMENT_SIZE_MAX + 1, 1, 1 },
        { "no subjects", KT_SEGMENT_SIZE_MIN, 0, 1 },
        { "too many subjects", KT_SEGMENT_SIZE_MIN, KT_SUBJECTS_LIMIT + 1, 1 },
        { "nothing ahead", KT_SEGMENT_SIZE_MIN, 1, 0 },
        { "too much ahead", KT_SEGMENT_SIZE_MIN, 1, KT_AHEAD_MAX + 1 },
    };
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_log_options options = small_log(1);
        kt_log *log;
        kt_err err;
        options.segment_size = rows[i].segment_size;
        options.subject_max = rows[i].subject_max;
        options.ahead = rows[i].ahead;
        KT_ROW(rows[i].name, kt_log_open(&options, &log, &err) == KT_ARG);
        KT_ROW(rows[i].name, strstr(err.msg, options.dir) != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_48_bytes_of_header_and_its_checksum_covers_everything_else),
        cmocka_unit_test(whoever_sees_the_size_sees_the_whole_record),
        cmocka_unit_test(seq_counts_from_1_in_the_log_and_offset_in_each_subject),
        cmocka_unit_test(an_index_is_sorted_and_not_believed_when_damaged),
        cmocka_unit_test(a_seek_skips_what_the_index_lets_it_skip),
        cmocka_unit_test(every_segment_can_be_read_alone),
        cmocka_unit_test(a_sealed_segment_has_an_index_and_it_can_be_made_again),
        cmocka_unit_test(the_record_limit_is_named),
        cmocka_unit_test(a_reservation_leaves_nothing_behind),
        cmocka_unit_test(subjects_have_bounds_and_a_grammar),
        cmocka_unit_test(the_table_of_subjects_never_fills_a_segment),
        cmocka_unit_test(the_thread_makes_durable_what_is_written_without_being_asked),
        cmocka_unit_test(a_kick_starts_a_commit_from_rest),
        cmocka_unit_test(no_kick_is_lost_while_the_thread_goes_to_rest),
        cmocka_unit_test(a_commit_wakes_those_who_wait_for_it),
        cmocka_unit_test(the_next_segment_is_pre_written_in_writes_of_4_kib),
        cmocka_unit_test(readahead_is_switched_off_for_mapped_segments),
        cmocka_unit_test(on_a_full_disk_intake_stops_while_what_was_promised_still_fits),
        cmocka_unit_test(the_thread_asks_a_full_disk_again),
        cmocka_unit_test(options_outside_their_range_are_refused),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
