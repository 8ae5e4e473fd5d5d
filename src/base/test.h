/* base/test.h - cmocka with the headers that it wants to have been included before it.
 */
#ifndef KT_BASE_TEST_H
#define KT_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* In a test that walks over rows: say which row failed, and how. */
#define KT_ROW(name, condition)                                         \
    do {                                                                \
        if (!(condition))                                               \
            fail_msg("row \"%s\": %s is not true", (name), #condition); \
    } while (0)

#endif
