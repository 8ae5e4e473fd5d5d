/* Where a replay begins; tests/replay_test.py replays whole houses. */
#include "service/replay_feed.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"
#include "base/test_util.h"
#include "log/log.h"
#include "log/reader.h"
#include "schema/events.h"

static kt_log *open_log(const char *dir)
{
    kt_log_options options;
    kt_log *log = NULL;
    kt_err err;

    kt_log_options_init(&options, dir);
    options.segment_size = KT_SEGMENT_SIZE_MIN;
    options.sync = KT_SYNC_INLINE;
    options.retention_bytes = 2 * KT_SEGMENT_SIZE_MIN;
    if (kt_log_open(&options, &log, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return log;
}

static void write_notes(kt_log *log, uint32_t count)
{
    kt_rec_head head = { .kind = KT_EV_NOTE, .flags = KT_REC_INPUT, .time_ns = 1 };
    uint8_t payload[512];
    uint32_t size = 0;
    kt_ev_note note;

    kt_event_init(KT_EV_NOTE, &note);
    note.text = KT_TEXT("what somebody said");
    assert_int_equal(kt_event_encode(KT_EV_NOTE, &note, payload, sizeof payload, &size), KT_OK);
    assert_int_equal(kt_log_subject(log, KT_TEXT("house.note"), 0, &head.subject, NULL), KT_OK);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(kt_log_append(log, &head, payload, size, NULL), KT_OK);
    assert_int_equal(kt_log_sync(log, NULL), KT_OK);
}

static void a_replay_begins_with_the_first_record_or_a_snapshot(void **state)
{
    static const struct {
        const char *name;
        uint32_t notes; /* written more, before retention looks */
        kt_code code;
        const char *contains;
    } rows[] = {
        { "nothing stands in it yet: it is followed", 0, KT_OK, "" },
        { "the first record is there", 10, KT_OK, "" },
        { "it was removed, and there is no snapshot", 20000, KT_GONE, "and it has no snapshot to begin with" },
    };
    const char *dir = kt_test_dir();
    kt_replay nowhere = { .dir = dir };
    kt_err none = { 0 };
    kt_log *log;

    assert_int_equal(kt_replay_begin(&nowhere, &none), KT_NOENT);
    assert_non_null(strstr(none.msg, dir));
    log = open_log(dir);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_replay replay = { .dir = dir };
        kt_err err = { 0 };

        write_notes(log, rows[i].notes);
        kt_log_retain(log);
        if (kt_replay_begin(&replay, &err) != rows[i].code || strstr(err.msg, rows[i].contains) == NULL)
            fail_msg("%s: %s", rows[i].name, err.msg);
        assert_int_equal(replay.origin_seq, 0);
    }
    kt_log_close(log, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_replay_begins_with_the_first_record_or_a_snapshot) };

    return cmocka_run_group_tests_name("replay_feed", tests, NULL, NULL);
}
