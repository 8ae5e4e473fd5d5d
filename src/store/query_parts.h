/* store/query_parts.h - what the files that answer from one kt_query share. */
#ifndef KT_STORE_QUERY_PARTS_H
#define KT_STORE_QUERY_PARTS_H

#include <sqlite3.h>

#include "base/arena.h"
#include "store/query.h"

enum { KT_QUERY_ARENA_SIZE = 2 << 20 }; /* 4,000 rows of 256 bytes, or columns and rows of a statement */

struct kt_query {
    sqlite3 *db;
    char *path;
    kt_arena arena; /* of the answer */
    kt_query_clock clock;
    int64_t began_ns, deadline_ns;
    const atomic_bool *stop;
    int64_t memory;      /* of SQLite when the question began */
    const char *stopped; /* why; NULL: it was not */
    int refused;         /* what the statement wanted that is not allowed, as SQLite numbers it; 0: nothing */
};

/* KT_OK for the codes of success, else fills err. */
kt_code kt_query_fail(kt_query *query, int rc, kt_err *err);

/* A statement of our own. */
kt_code kt_query_prepare(kt_query *query, const char *sql, sqlite3_stmt **out_statement, kt_err *err);

static inline kt_text kt_query_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return (kt_text){ text != NULL ? text : "", (size_t)sqlite3_column_bytes(statement, column) };
}

#endif
