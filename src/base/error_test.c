#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"

static void failing_is_one_line(void **state)
{
    kt_err err = { 0 };

    errno = ENOENT;
    assert_int_equal(kt_fail(&err, KT_SYS, "cannot open log '%s'", "x"), KT_SYS);
    assert_string_equal(err.msg, "cannot open log 'x': No such file or directory");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(kt_fail(&err, KT_RANGE, "too much"), KT_RANGE);
    assert_string_equal(err.msg, "too much");
    assert_int_equal(err.sys_errno, 0);
    assert_int_equal(kt_fail(NULL, KT_FULL, "nobody reads this"), KT_FULL);
}

static void context_goes_in_front(void **state)
{
    kt_err err = { 0 };

    kt_fail(&err, KT_TYPE, "a number is allowed, found a string");
    assert_int_equal(kt_fail_within(&err, KT_TYPE, "venues[%d].rate", 2), KT_TYPE);
    assert_string_equal(err.msg, "venues[2].rate: a number is allowed, found a string");
    assert_int_equal(kt_fail_within(NULL, KT_TYPE, "x"), KT_TYPE);
}

static void long_messages_are_cut(void **state)
{
    kt_err err = { 0 };
    char text[2 * KT_ERR_MSG_SIZE];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    kt_fail(&err, KT_ARG, "%s", text);
    assert_int_equal(strlen(err.msg), KT_ERR_MSG_SIZE - 1);
    kt_fail_within(&err, KT_ARG, "%s", text);
    assert_int_equal(strlen(err.msg), KT_ERR_MSG_SIZE - 1);
    errno = EIO;
    kt_fail(&err, KT_SYS, "%s", text);
    assert_int_equal(strlen(err.msg), KT_ERR_MSG_SIZE - 1);
}

static void every_code_has_a_name_and_a_text(void **state)
{
    for (int code = 0; code < KT_CODE_COUNT; code++) {
        assert_true(strlen(kt_code_name((kt_code)code)) > 0);
        assert_true(strlen(kt_code_text((kt_code)code)) > 0);
    }
    assert_string_equal(kt_code_name(KT_CORRUPT), "CORRUPT");
    assert_string_equal(kt_code_text((kt_code)999), "unknown code");
    assert_string_equal(kt_code_name((kt_code)-1), "UNKNOWN_CODE");
}

static void a_failed_fact_ends_the_process_and_is_named(void **state)
{
    char said[256] = "";
    int pipes[2];
    int status = 0;

    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        kt_assert(1 + 1 == 2);
        kt_assert(1 + 1 == 3);
        _exit(0);
    }
    close(pipes[1]);
    assert_true(read(pipes[0], said, sizeof said - 1) > 0);
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "1 + 1 == 3 is not true"));
    assert_non_null(strstr(said, "error_test.c:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_is_one_line),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(every_code_has_a_name_and_a_text),
        cmocka_unit_test(a_failed_fact_ends_the_process_and_is_named),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
