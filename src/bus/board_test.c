/* The board of lanes: pages of others can not be written (DESIGN section 3). */
#include "bus/board.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const names[] = { "market", "keep" };

static void lanes_and_actions_are_found_by_name(void **state)
{
    kt_board board;

    assert_int_equal(kt_board_open(&board, names, 2, NULL), KT_OK);
    assert_int_equal(kt_board_find(&board, KT_TEXT("keep")), 1);
    assert_int_equal(kt_board_find(&board, KT_TEXT("kee")), -1);
    assert_int_equal(kt_board_add_action(&board, 1, KT_TEXT("store.read"), NULL), KT_OK);
    assert_int_equal(kt_board_add_action(&board, 1, KT_TEXT("store.read"), NULL), KT_OK);
    assert_int_equal(atomic_load(&kt_board_page_of(&board, 1)->action_count), 1);
    assert_int_equal(kt_board_find_action(&board, KT_TEXT("store.read")), 1);
    assert_int_equal(kt_board_find_action(&board, KT_TEXT("store.write")), -1);
    kt_text service;
    assert_int_equal(kt_board_add_service(&board, 1, KT_TEXT("record"), NULL), KT_OK);
    assert_int_equal(kt_board_add_service(&board, 1, KT_TEXT("record"), NULL), KT_OK);
    assert_true(kt_board_service_at(&board, 1, 0, &service));
    assert_true(kt_text_equal(service, KT_TEXT("record")));
    assert_false(kt_board_service_at(&board, 1, 1, &service));
    /* A page that another lane has spoilt: no end of a name, an impossible count. */
    kt_board_page *page = kt_board_page_of(&board, 0);
    memset(page->name, 'x', sizeof page->name);
    memset(page->actions, 'y', sizeof page->actions);
    atomic_store(&page->action_count, UINT32_MAX);
    atomic_store(&page->service_count, UINT32_MAX);
    memset(page->services, 'z', sizeof page->services);
    assert_true(kt_board_service_at(&board, 0, KT_BOARD_SERVICE_MAX - 1, &service));
    assert_int_equal(service.n, KT_BOARD_NAME_SIZE);
    assert_false(kt_board_service_at(&board, 0, KT_BOARD_SERVICE_MAX, &service));
    assert_int_equal(kt_board_find(&board, KT_TEXT("market")), -1);
    assert_int_equal(kt_board_find_action(&board, KT_TEXT("store.read")), 1);
    kt_board_close(&board);
}

static void too_many_and_too_long_are_refused(void **state)
{
    static const char *const long_name[] = { "a lane whose name has more than thirty-one bytes" };
    kt_board board;
    kt_err err;

    assert_int_equal(kt_board_open(&board, names, KT_BOARD_LANE_MAX + 1, &err), KT_LIMIT);
    assert_int_equal(kt_board_open(&board, long_name, 1, &err), KT_LIMIT);
    kt_board_close(&board);

    char name[KT_BOARD_NAME_SIZE + 1];
    assert_int_equal(kt_board_open(&board, names, 2, NULL), KT_OK);
    memset(name, 'a', sizeof name);
    assert_int_equal(kt_board_add_service(&board, 0, (kt_text){ name, KT_BOARD_NAME_SIZE }, &err), KT_LIMIT);
    for (int i = 0; i < KT_BOARD_SERVICE_MAX; i++) {
        name[0] = (char)('b' + i);
        assert_int_equal(kt_board_add_service(&board, 0, (kt_text){ name, 2 }, &err), KT_OK);
    }
    assert_int_equal(kt_board_add_service(&board, 0, KT_TEXT("z"), &err), KT_LIMIT);
    kt_board_close(&board);
}

static void the_page_of_another_lane_is_read_only(void **state)
{
    kt_board board;
    int status;

    assert_int_equal(kt_board_open(&board, names, 2, NULL), KT_OK);
    for (uint32_t lane = 0; lane < 2; lane++) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGSEGV, SIG_DFL);
            if (kt_board_protect(&board, 0, NULL) != KT_OK)
                _exit(1);
            atomic_store(&kt_board_page_of(&board, lane)->episode, 77);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WIFSIGNALED(status), lane != 0);
    }
    assert_int_equal(
        atomic_load(&kt_board_page_of(&board, 0)->episode), 77); /* and what a lane writes is seen by all */
    assert_int_equal(atomic_load(&kt_board_page_of(&board, 1)->episode), 0);
    kt_board_close(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_and_actions_are_found_by_name),
        cmocka_unit_test(too_many_and_too_long_are_refused),
        cmocka_unit_test(the_page_of_another_lane_is_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
