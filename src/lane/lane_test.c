/* One lane, turn by turn, without processes: order, env, recovery (reference: log.md 5). */
#include "lane/script.h"

#include "base/test_util.h"
#include "base/text.h"
#include "lane/test_service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const kt_service_spec *const services[] = { &kt_test_counter, NULL };

static void outputs_follow_their_input(void **state)
{
    kt_script script;
    kt_script_open(&script, &(kt_script_options){ .services = services });
    for (int i = 0; i < 9; i++)
        kt_test_tick(&script, 1000 + i, i);
    assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 9 + 3);
    kt_script_restart(&script, false);
    assert_int_equal(kt_lane_count(script.lane)->compared, 12);
    assert_int_equal(kt_script_each(&script, "stats.>", NULL, NULL), 12);
    kt_script_close(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_follow_their_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
