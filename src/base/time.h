/* base/time.h - time as int64 nanoseconds since 1970-01-01T00:00:00Z, and its ISO 8601 text. There is no clock here.
 *
 * Range    all of int64: 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z, proleptic Gregorian.
 */
#ifndef KT_BASE_TIME_H
#define KT_BASE_TIME_H

#include "base/error.h"
#include "base/types.h"

#define KT_NS_PER_US INT64_C(1000)
#define KT_NS_PER_MS INT64_C(1000000)
#define KT_NS_PER_S INT64_C(1000000000)
#define KT_NS_PER_MIN (60 * KT_NS_PER_S)
#define KT_NS_PER_HOUR (60 * KT_NS_PER_MIN)
#define KT_NS_PER_DAY (24 * KT_NS_PER_HOUR)

enum { KT_TIME_TEXT_MAX = 32 }; /* "2024-08-08T23:54:15.342123456Z" and NUL */

/* Write "2024-08-08T23:54:15.342Z": 3, 6 or 9 digits behind the point, as few as keep every digit. NUL-terminated;
 * returns the number of characters. Asserts size >= KT_TIME_TEXT_MAX. */
size_t kt_time_format_iso(char *out, size_t size, int64_t time_ns);

/* Read "YYYY-MM-DDTHH:MM:SS[.1 to 9 digits](Z or +HH:MM or -HH:MM)", the whole of `text`. KT_SYNTAX: other text.
 * KT_RANGE: no such day or hour (a leap second :60 included), or outside int64 nanoseconds. */
kt_code kt_time_parse_iso(kt_text text, int64_t *out_time_ns);

/* The greatest multiple of `step_ns` (> 0, asserted) at or below the time, before 1970 too. Never overflows: where the
 * multiple would lie below INT64_MIN the answer is INT64_MIN. */
int64_t kt_time_floor(int64_t time_ns, int64_t step_ns);

/* Milliseconds (as venues send them) to nanoseconds: KT_RANGE when that leaves int64. */
kt_code kt_time_from_ms(int64_t time_ms, int64_t *out_time_ns);

/* Nanoseconds to milliseconds, towards the past. */
int64_t kt_time_to_ms(int64_t time_ns);

#endif
