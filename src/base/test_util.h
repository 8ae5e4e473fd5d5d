/* base/test_util.h - what tests share. For tests and benchmarks only: nothing in a program calls it.
 *
 * Environment
 *   TMPDIR                  where temporary folders are made (default /tmp)
 *   KONTOR_RECORDINGS       folder of recorded data (default ../shared/data beside the source tree)
 *   KONTOR_CASES_PERCENT    share of the random cases to run, 1 to 100 and above (default 100; CI says 10)
 *   KONTOR_SEED             seed of the random cases (default 1)
 */
#ifndef KT_BASE_TEST_UTIL_H
#define KT_BASE_TEST_UTIL_H

#include "base/rng.h"
#include "base/types.h"

/* A new empty folder at each call, removed with all that is in it when this process exits (not when a forked child
 * does). The text is valid until then. */
const char *kt_test_dir(void);

/* Remove a folder and everything in it; false when something stayed. A path that is not there is a success. */
bool kt_test_remove(const char *path);

/* full_count scaled by KONTOR_CASES_PERCENT, at least 1. */
uint32_t kt_test_cases(uint32_t full_count);

/* The seed; printed at the first call as a TAP comment, so that a failing run can be repeated. */
uint64_t kt_test_seed(void);

/* The path of `name` under the recordings, in a buffer that the next call but seven reuses; NULL when it is not
 * there. */
const char *kt_test_recordings(const char *name);

/* For the start of main() of a test that is nothing without them: the path, or a TAP plan "1..0 # SKIP" that says what
 * is missing, and the end of the process. */
const char *kt_test_need_recordings(const char *name);

/* Rows of a table of tests (struct CMUnitTest, in automatic storage) that are skips, with their reason, where the
 * condition does not hold or the recording is absent. cmocka's own skip() is not used anywhere: it writes
 * "not ok # SKIP", which Meson counts as a failure. */
#define KT_TEST_WHERE(condition, function, reason)                                                                     \
    {                                                                                                                  \
        (condition) ? #function : #function " # SKIP " reason, (condition) ? (function) : kt_test_nothing, NULL, NULL, \
            NULL                                                                                                       \
    }
#define KT_TEST_RECORDED(function, name) \
    KT_TEST_WHERE(kt_test_recordings(name) != NULL, function, "no recording " name ": see KONTOR_RECORDINGS")
void kt_test_nothing(void **state);

/* The whole file, malloc'ed, NUL-terminated behind its bytes; gunzips nothing. NULL when it can not be read. */
char *kt_test_read_file(const char *path, size_t *out_size);

/* A copy of the bytes that ends flush against a page nobody may touch: reading one byte too far is a crash. Free with
 * the same size. */
void *kt_guard_copy(const void *data, size_t size);
void kt_guard_free(void *copy, size_t size);

/* Monotonic nanoseconds, for bounds on waiting: no test depends on measured time otherwise. */
int64_t kt_test_now_ns(void);

/* Poll `condition` every millisecond until it is true or `bound_s` seconds have passed; says whether it came true. */
#define KT_TEST_WAIT(condition, bound_s)                                                 \
    ({                                                                                   \
        int64_t kt_wait_end = kt_test_now_ns() + (int64_t)(bound_s)*INT64_C(1000000000); \
        bool kt_wait_met = false;                                                        \
        while (!(kt_wait_met = (condition)) && kt_test_now_ns() < kt_wait_end)           \
            kt_test_sleep_ms(1);                                                         \
        kt_wait_met;                                                                     \
    })
void kt_test_sleep_ms(uint32_t ms);

/* Run both to their end at the same time, each on a core of its own where there are two: on a busy machine they would
 * else hardly ever run at once. For races; neither may assert (cmocka asserts on its own thread only). */
void kt_test_at_once(void (*one)(void *ctx), void (*other)(void *ctx), void *ctx);

#endif
