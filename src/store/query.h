/* store/query.h - the store as anybody may read it: a connection of its own that can only read, and is stopped in time.
 *
 * Reading holds up no writer: each statement sees the store as it stood when it began (WAL).
 * Bounds   Time: past the deadline, or once `stop` is set, whatever runs ends KT_LIMIT. Memory: so does what takes more
 *          than KT_QUERY_MEMORY_MAX beyond what the process had, be it sorted or recursed; no value is longer than
 *          KT_QUERY_VALUE_MAX. Both are looked at every KT_QUERY_STEP_MAX steps of SQLite's machine. Nothing is written to
 *          any disk.
 * Answers  are structs of the actions' tables (schema/actions.h). What they borrow lives in the connection until its
 *          next kt_query_begin().
 * Threads  a connection belongs to one thread at a time; others may only set `stop`.
 * Errors   KT_LIMIT: a bound above. KT_BUSY, KT_CORRUPT, KT_SYS: the store can not be read (store.h).
 */
#ifndef KT_STORE_QUERY_H
#define KT_STORE_QUERY_H

#include <stdatomic.h>

#include "base/error.h"
#include "schema/actions.h"

enum {
    KT_QUERY_MEMORY_MAX = 64 << 20,
    KT_QUERY_VALUE_MAX = 65536,
    KT_QUERY_STEP_MAX = 1000,
    KT_QUERY_COLUMN_MAX = 256,
    KT_QUERY_TABLE_MAX = 256,
    KT_QUERY_ROWS_SIZE = 512 << 10, /* bytes of store.query's rows as JSON */
};

#define KT_QUERY_TIME_NS INT64_C(2000000000)      /* the longest that one question may take */
#define KT_QUERY_COUNT_TIME_NS INT64_C(300000000) /* how long the rows of one table are counted */

typedef struct kt_query kt_query;

/* ns of a clock that never goes back, read by the connection's thread. `now_ns` NULL: the machine's. */
typedef struct kt_query_clock {
    int64_t (*now_ns)(void *ctx);
    void *ctx;
} kt_query_clock;
int64_t kt_query_clock_now(const kt_query_clock *clock);

/* KT_NOENT: there is no such file. */
kt_code kt_query_open(const char *path, kt_query_clock clock, kt_query **out_query, kt_err *err);
void kt_query_close(kt_query *query); /* NULL is fine */

/* A new question, to be answered within timeout_ns, at most KT_QUERY_TIME_NS. `stop` is looked at from now on; NULL: none. */
void kt_query_begin(kt_query *query, int64_t timeout_ns, const atomic_bool *stop);

/* One statement that reads. Integers beyond 2^53, which readers of JSON round, and numbers that are not finite are written
 * as text. KT_SYNTAX: no SQL, or not exactly one statement. KT_ARG: it would change something, or leave the store. */
kt_code kt_query_sql(
    kt_query *query, const kt_params_store_query *params, kt_response_store_query *out_response, kt_err *err);

/* Tables and views. Rows are counted one by one for KT_QUERY_COUNT_TIME_NS a table; `exact` false: there are more. `lag` is
 * left to whoever knows the log. */
kt_code kt_query_tables(kt_query *query, kt_response_store_tables *out_response, kt_err *err);

kt_code kt_query_migrations(kt_query *query, kt_response_store_migrations *out_response, kt_err *err);

#endif
