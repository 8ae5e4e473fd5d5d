/* kill -9 at any moment: what a reader has seen stays, once and in order. */
#include "log/log_test.h"

#include <signal.h>

/* Append for ever; key and offset of the subject are the same number. */
static void child_main(kt_log_options options, uint64_t seed)
{
    kt_rng rng;
    kt_log *log = NULL;
    kt_err err = { 0 };
    int64_t end_ns = kt_test_now_ns() + INT64_C(30000000000);
    uint32_t id;

    kt_rng_init(&rng, seed);
    while (kt_log_open(&options, &log, &err) != KT_OK)
        if (err.code != KT_BUSY || kt_test_now_ns() > end_ns)
            _exit(2);
    if (kt_log_subject(log, KT_TEXT("a"), 0, &id, NULL) != KT_OK)
        _exit(3);
    uint64_t key = kt_log_subject_info_of(log, id).last_offset;
    for (;;) {
        if (append_key(log, id, KT_REC_INPUT, ++key) != KT_OK)
            _exit(4);
        if (kt_rng_chance(&rng, 0.05))
            kt_log_kick(log);
        if (options.sync == KT_SYNC_INLINE && kt_rng_chance(&rng, 0.01) && kt_log_sync(log, NULL) != KT_OK)
            _exit(5);
    }
}

static void killed_at_any_moment_nothing_published_is_unwritten(void **state)
{
    kt_log_options options = small_log(1);
    kt_reader *reader = NULL;
    const kt_rec *rec;
    uint64_t key = 0;
    kt_rng rng;
    int status;

    options.retention_bytes = 40 * KT_SEGMENT_SIZE_MIN;
    kt_rng_init(&rng, kt_test_seed());
    for (uint32_t i = 0; i < kt_test_cases(200); i++) {
        options.sync = i % 2 ? KT_SYNC_INLINE : KT_SYNC_THREAD;
        uint64_t goal = key + 1 + kt_rng_below(&rng, 400);
        pid_t child = fork();
        if (child == 0)
            child_main(options, kt_rng_u64(&rng));
        int64_t end_ns = kt_test_now_ns() + INT64_C(60000000000);
        bool dead = false;
        while (!dead) { /* read along until the goal, then kill, then read what it had published */
            kt_code code = KT_EMPTY;
            if (reader == NULL)
                kt_reader_open(options.dir, options.boot_id, &reader, NULL);
            if (reader != NULL)
                code = next_key(reader, &rec);
            if (code == KT_OK && !is_key(rec, ++key))
                fail_msg("key %llu expected, %llu found", (unsigned long long)key, (unsigned long long)rec->cause);
            if (code != KT_OK && code != KT_EMPTY)
                fail_msg("%s: %s", kt_code_name(code), kt_reader_error(reader)->msg);
            if (code == KT_EMPTY && waitpid(child, &status, WNOHANG) == child)
                fail_msg("the writer ended by itself: %d", status);
            if (kt_test_now_ns() > end_ns)
                fail_msg("no record in a minute");
            dead = key >= goal;
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        while (next_key(reader, &rec) == KT_OK)
            assert_true(is_key(rec, ++key));
    }
    kt_log *log = must_open(&options);
    assert_int_equal(kt_log_subject_info_of(log, 1).last_offset, key); /* neither less nor more than was seen */
    assert_int_equal(kt_log_close(log, NULL), KT_OK);
    kt_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment_nothing_published_is_unwritten),
    };

    return cmocka_run_group_tests_name("log kill", tests, NULL, NULL);
}
