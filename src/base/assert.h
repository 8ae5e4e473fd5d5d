/* base/assert.h - what must be true of our own code, checked in production too.
 *
 * One fact a line, so that the failing fact is named. Bytes from outside (feed, client, disk) are checked and answered
 * with a kt_code, never asserted. A failed fact ends the process by abort(): the supervisor restarts the lane and the
 * log says what it was applying.
 */
#ifndef KT_BASE_ASSERT_H
#define KT_BASE_ASSERT_H

#define kt_assert(fact) (__builtin_expect(!!(fact), 1) ? (void)0 : kt_assert_failed(__FILE__, __LINE__, #fact))

/* Write "file:line: fact is not true" to stderr in one write and abort. */
_Noreturn void kt_assert_failed(const char *file, int line, const char *fact) __attribute__((cold));

#endif
