#include "store/query.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "store/migrations.h"
#include "store/query_parts.h"
#include "store/recorder.h"

enum {
    BUSY_MS = 1000, /* while the first connection recovers the WAL */
    NAME_MAX_SIZE = 256,
    CLOCK_ROWS = 4096 /* rows that are counted between two looks at the clock */
};

/* What a statement of anybody's may need of SQLite, far below what SQLite would give. */
static const struct {
    int what;
    int max;
} limits[] = {
    { SQLITE_LIMIT_LENGTH, KT_QUERY_VALUE_MAX },
    { SQLITE_LIMIT_COLUMN, KT_QUERY_COLUMN_MAX },
    { SQLITE_LIMIT_EXPR_DEPTH, 100 },
    { SQLITE_LIMIT_COMPOUND_SELECT, 50 },
    { SQLITE_LIMIT_VDBE_OP, 100000 },
    { SQLITE_LIMIT_ATTACHED, 0 },
    { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256 },
    { SQLITE_LIMIT_TRIGGER_DEPTH, 1 },
};

int64_t kt_query_clock_now(const kt_query_clock *clock)
{
    struct timespec now;

    if (clock->now_ns != NULL)
        return clock->now_ns(clock->ctx);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec;
}

/* ---- errors ---- */

static const char *const refused_words[] = {
    [SQLITE_INSERT] = "INSERT",
    [SQLITE_UPDATE] = "UPDATE",
    [SQLITE_DELETE] = "DELETE",
    [SQLITE_PRAGMA] = "PRAGMA",
    [SQLITE_ATTACH] = "ATTACH",
    [SQLITE_DETACH] = "DETACH",
    [SQLITE_TRANSACTION] = "a transaction of its own",
    [SQLITE_SAVEPOINT] = "a transaction of its own",
    [SQLITE_ANALYZE] = "ANALYZE",
    [SQLITE_REINDEX] = "REINDEX",
    [SQLITE_FUNCTION] = "a function that reaches outside the store",
};

static kt_code refuse(const kt_query *query, kt_err *err)
{
    bool known = query->refused > 0 && (size_t)query->refused < KT_COUNT(refused_words);
    const char *word = known ? refused_words[query->refused] : NULL;

    return kt_fail(err, KT_ARG, "the store can only be read here, by SELECT, VALUES, WITH or EXPLAIN; this wants %s",
        word != NULL ? word : "to change what tables there are");
}

kt_code kt_query_fail(kt_query *query, int rc, kt_err *err)
{
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return KT_OK;
    case SQLITE_INTERRUPT:
        return kt_fail(err, KT_LIMIT, "stopped: %s", query->stopped != NULL ? query->stopped : "told to");
    case SQLITE_AUTH:
        return refuse(query, err);
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
        return kt_fail(err, KT_LIMIT, "stopped: a value or a row grew beyond %d bytes, or memory ran out; ask for less",
            KT_QUERY_VALUE_MAX);
    case SQLITE_ERROR:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return kt_fail(err, KT_SYNTAX, "%s", sqlite3_errmsg(query->db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return kt_fail(err, KT_BUSY, "store '%s' is held by another process; try again", query->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return kt_fail(err, KT_CORRUPT,
            "store '%s' is damaged or no database (%s): 'kontor rebuild store' makes it again", query->path,
            sqlite3_errstr(rc));
    default:
        errno = query->db != NULL ? sqlite3_system_errno(query->db) : ENOMEM;
        return kt_fail(err, KT_SYS, "store '%s': %s", query->path, sqlite3_errstr(rc));
    }
}

/* ---- bounds ---- */

static int on_progress(void *ctx)
{
    kt_query *query = ctx;

    if (query->stop != NULL && atomic_load_explicit(query->stop, memory_order_relaxed))
        query->stopped = "it was told to";
    else if (kt_query_clock_now(&query->clock) > query->deadline_ns)
        query->stopped = "it took longer than 2 s, or than its caller waits; add a limit or a range of time";
    else if (sqlite3_memory_used() - query->memory > KT_QUERY_MEMORY_MAX)
        query->stopped = "what it sorts or gathers takes more than 64 MB; ask for less";
    else
        return 0;
    return 1;
}

/* Asked while SQLite reads the text of a statement. What is not for reading is refused, whatever it is called. */
static int on_access(
    void *ctx, int what, const char *first, const char *second, const char *database, const char *inner)
{
    static const char *const outside[] = { "load_extension", "fts3_tokenizer" };
    kt_query *query = ctx;

    switch (what) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        for (uint32_t i = 0; i < KT_COUNT(outside); i++)
            if (sqlite3_stricmp(second, outside[i]) == 0)
                query->refused = what;
        return query->refused != 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE: /* of SQLite's own list of tables: CREATE, DROP and ALTER begin so */
        query->refused = strncmp(first, "sqlite_", 7) == 0 ? SQLITE_CREATE_TABLE : what;
        return SQLITE_DENY;
    default:
        query->refused = what;
        return SQLITE_DENY;
    }
}

void kt_query_begin(kt_query *query, int64_t timeout_ns, const atomic_bool *stop)
{
    query->began_ns = kt_query_clock_now(&query->clock);
    query->deadline_ns = query->began_ns + (timeout_ns < KT_QUERY_TIME_NS ? timeout_ns : KT_QUERY_TIME_NS);
    query->stop = stop;
    query->memory = sqlite3_memory_used();
    query->stopped = NULL;
    query->refused = 0;
    kt_arena_reset(&query->arena);
}

/* ---- open ---- */

static int set_up(kt_query *query)
{
    int rc = sqlite3_open_v2(
        query->path, &query->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(query->db, BUSY_MS);
    if (rc == SQLITE_OK) /* what is sorted stays within KT_QUERY_MEMORY_MAX instead of filling a disk */
        rc = sqlite3_exec(query->db, "PRAGMA query_only = 1; PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
    if (rc ==
        SQLITE_OK) /* tables of functions are made when first used, which is not allowed later; a damaged file is told then */
        sqlite3_exec(query->db, "SELECT 1 FROM json_each('[]'), json_tree('[]')", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_db_config(query->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(query->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(query->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* an unknown "name" is an error, not a text */
    for (uint32_t i = 0; i < KT_COUNT(limits); i++)
        sqlite3_limit(query->db, limits[i].what, limits[i].max);
    sqlite3_progress_handler(query->db, KT_QUERY_STEP_MAX, on_progress, query);
    return SQLITE_OK;
}

kt_code kt_query_open(const char *path, kt_query_clock clock, kt_query **out_query, kt_err *err)
{
    kt_query *query = calloc(1, sizeof *query);
    void *mem = malloc(KT_QUERY_ARENA_SIZE);
    struct stat file;
    kt_code code = KT_OK;

    if (query != NULL)
        query->path = strdup(path);
    if (query == NULL || query->path == NULL || mem == NULL) {
        free(mem);
        kt_query_close(query);
        return kt_fail(err, KT_SYS, "no memory to read store '%s'", path);
    }
    query->clock = clock;
    kt_arena_init(&query->arena, mem, KT_QUERY_ARENA_SIZE);
    query->deadline_ns = INT64_MAX;
    if (stat(path, &file) != 0 && errno == ENOENT)
        code = kt_fail(err, KT_NOENT, "store '%s' does not exist: lane keep makes it, so start kontor first", path);
    if (code == KT_OK)
        code = kt_query_fail(query, set_up(query), err);
    if (code == KT_OK) {
        *out_query = query;
        query = NULL;
    }
    kt_query_close(query);
    return code;
}

void kt_query_close(kt_query *query)
{
    if (query == NULL)
        return;
    sqlite3_close(query->db);
    free(query->arena.mem);
    free(query->path);
    free(query);
}

kt_code kt_query_prepare(kt_query *query, const char *sql, sqlite3_stmt **out_statement, kt_err *err)
{
    return kt_query_fail(query, sqlite3_prepare_v2(query->db, sql, -1, out_statement, NULL), err);
}

/* ---- store.query ---- */

/* Exactly one statement, or none of it is run. */
static kt_code prepare_one(kt_query *query, kt_text sql, sqlite3_stmt **out_statement, kt_err *err)
{
    sqlite3_stmt *more = NULL;
    const char *rest = NULL;
    int rc = sqlite3_prepare_v2(query->db, sql.s, (int)sql.n, out_statement, &rest);
    int at = sqlite3_error_offset(query->db);

    if (rc != SQLITE_OK && query->refused != 0)
        return refuse(query, err);
    if ((rc & 0xFF) == SQLITE_ERROR && at >= 0)
        return kt_fail(err, KT_SYNTAX, "%s (at byte %d)", sqlite3_errmsg(query->db), at + 1);
    if (rc != SQLITE_OK)
        return kt_query_fail(query, rc, err);
    if (*out_statement == NULL)
        return kt_fail(err, KT_SYNTAX, "there is no statement; try SELECT * FROM trades LIMIT 10");
    rc = sqlite3_prepare_v2(query->db, rest, (int)(sql.n - (size_t)(rest - sql.s)), &more, NULL);
    sqlite3_finalize(more);
    if (rc != SQLITE_OK || more != NULL)
        return kt_fail(err, KT_SYNTAX, "more than one statement; ask them one by one");
    if (sqlite3_bind_parameter_count(*out_statement) > 0)
        return kt_fail(
            err, KT_SYNTAX, "a parameter (?, :name, @name or $name) has no value here; write the value itself");
    if (!sqlite3_stmt_readonly(*out_statement) || sqlite3_column_count(*out_statement) == 0)
        return refuse(query, err);
    return KT_OK;
}

/* The longest start of whole characters within NAME_MAX_SIZE bytes. */
static kt_text name_of(kt_query *query, const char *name)
{
    kt_text text = kt_text_of(name != NULL ? name : "");
    size_t n = 0;

    for (size_t step = 1; step > 0 && n + 4 <= NAME_MAX_SIZE && n < text.n; n += step)
        step = kt_utf8_first(text.s + n, text.n - n);
    return kt_arena_text(&query->arena, (kt_text){ text.s, n });
}

static kt_code put_columns(kt_query *query, sqlite3_stmt *statement, kt_rows *out_columns, kt_err *err)
{
    int count = sqlite3_column_count(statement);
    kt_row_column *columns = kt_arena_take_zero(&query->arena, (size_t)count, sizeof *columns, 16);

    for (int i = 0; columns != NULL && i < count; i++) {
        columns[i].name = name_of(query, sqlite3_column_name(statement, i));
        columns[i].type = name_of(query, sqlite3_column_decltype(statement, i));
        if (columns[i].name.s == NULL || columns[i].type.s == NULL)
            columns = NULL;
    }
    if (columns == NULL)
        return kt_fail(err, KT_LIMIT, "the names of %d columns do not fit an answer", count);
    *out_columns = KT_ROWS_OF(columns, count);
    return KT_OK;
}

static void put_i64(kt_json_writer *writer, int64_t value)
{
    char text[32];

    if (value >= -(INT64_C(1) << 53) && value <= INT64_C(1) << 53)
        kt_json_put_i64(writer, value);
    else
        kt_json_put_text(writer, (kt_text){ text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value) });
}

/* The shortest of 15 and 17 digits that gives the same number back. */
static void put_double(kt_json_writer *writer, double value)
{
    char mem[40];
    kt_text text = { mem, (size_t)snprintf(mem, sizeof mem, "%.15g", value) };

    if (isfinite(value) && strtod(mem, NULL) != value)
        text.n = (size_t)snprintf(mem, sizeof mem, "%.17g", value);
    if (isfinite(value))
        kt_json_put_raw(writer, text);
    else
        kt_json_put_text(writer, text);
}

static void put_hex(kt_json_writer *writer, const uint8_t *bytes, size_t size, kt_arena *arena)
{
    static const char digits[] = "0123456789abcdef";
    size_t mark = kt_arena_mark(arena);
    char *text = kt_arena_take(arena, 2 * size, 1);

    for (size_t i = 0; text != NULL && i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    kt_json_put_text(writer, (kt_text){ text, text != NULL ? 2 * size : 0 });
    kt_arena_rewind(arena, mark);
}

static void put_value(kt_query *query, sqlite3_stmt *statement, int column, kt_json_writer *writer)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        put_i64(writer, sqlite3_column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        put_double(writer, sqlite3_column_double(statement, column));
        break;
    case SQLITE_TEXT:
        kt_json_put_text(writer, kt_query_text(statement, column));
        break;
    case SQLITE_BLOB:
        put_hex(writer, sqlite3_column_blob(statement, column), (size_t)sqlite3_column_bytes(statement, column),
            &query->arena);
        break;
    default:
        kt_json_put_null(writer);
    }
}

/* False: it does not fit any more, and none of it was written. */
static bool put_row(kt_query *query, sqlite3_stmt *statement, kt_json_writer *writer)
{
    kt_json_writer before = *writer;

    kt_json_open_array(writer);
    for (int i = 0; i < sqlite3_column_count(statement); i++)
        put_value(query, statement, i, writer);
    kt_json_close_array(writer);
    if (writer->code == KT_OK && writer->n < writer->size - 1) /* the bracket that closes all */
        return true;
    *writer = before;
    return false;
}

static kt_code put_rows(
    kt_query *query, sqlite3_stmt *statement, uint32_t row_max, kt_response_store_query *response, kt_err *err)
{
    char *mem = kt_arena_take(&query->arena, KT_QUERY_ROWS_SIZE, 1);
    kt_json_writer writer;
    uint32_t count = 0;
    int rc;

    if (mem == NULL)
        return kt_fail(err, KT_LIMIT, "the answer does not fit");
    kt_json_writer_init(&writer, mem, KT_QUERY_ROWS_SIZE);
    kt_json_open_array(&writer);
    response->complete = true;
    for (rc = sqlite3_step(statement); rc == SQLITE_ROW && response->complete; count++) {
        response->complete = count < row_max && put_row(query, statement, &writer);
        if (response->complete)
            rc = sqlite3_step(statement);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return kt_query_fail(query, rc, err);
    kt_json_close_array(&writer);
    return kt_json_writer_done(&writer, &response->rows);
}

kt_code kt_query_sql(
    kt_query *query, const kt_params_store_query *params, kt_response_store_query *out_response, kt_err *err)
{
    kt_response_store_query response = { 0 };
    sqlite3_stmt *statement = NULL;
    kt_code code;

    sqlite3_set_authorizer(query->db, on_access, query);
    code = prepare_one(query, params->sql, &statement, err);
    if (code == KT_OK)
        code = put_columns(query, statement, &response.columns, err);
    if (code == KT_OK)
        code = put_rows(query, statement, params->limit, &response, err);
    sqlite3_finalize(statement);
    sqlite3_set_authorizer(query->db, NULL, NULL);
    if (code != KT_OK)
        return code;
    response.time = (uint64_t)(kt_query_clock_now(&query->clock) - query->began_ns);
    *out_response = response;
    return KT_OK;
}

/* ---- store.tables ---- */

static kt_code list_columns(kt_query *query, kt_row_store_table *table, kt_err *err)
{
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\" LIMIT 0", table->name.s);
    sqlite3_stmt *statement = NULL;
    kt_code code =
        sql != NULL ? kt_query_prepare(query, sql, &statement, err) : kt_query_fail(query, SQLITE_NOMEM, err);

    if (code == KT_OK)
        code = put_columns(query, statement, &table->columns, err);
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return code;
}

static kt_code count_rows(kt_query *query, kt_row_store_table *table, kt_err *err)
{
    char *sql = sqlite3_mprintf("SELECT 1 FROM \"%w\"", table->name.s);
    int64_t until_ns = kt_query_clock_now(&query->clock) + KT_QUERY_COUNT_TIME_NS;
    sqlite3_stmt *statement = NULL;
    kt_code code =
        sql != NULL ? kt_query_prepare(query, sql, &statement, err) : kt_query_fail(query, SQLITE_NOMEM, err);
    int rc = SQLITE_ROW;

    while (code == KT_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        table->row_count++;
        if (table->row_count % CLOCK_ROWS == 0 && kt_query_clock_now(&query->clock) > until_ns)
            break;
    }
    if (code == KT_OK)
        code = kt_query_fail(query, rc, err);
    table->exact = rc == SQLITE_DONE;
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return code;
}

static kt_code list_tables(kt_query *query, kt_rows *out_tables, kt_err *err)
{
    kt_row_store_table *tables = kt_arena_take_zero(&query->arena, KT_QUERY_TABLE_MAX, sizeof *tables, 16);
    sqlite3_stmt *names = NULL;
    uint32_t count = 0;
    int rc = SQLITE_DONE;
    kt_code code = kt_query_prepare(query,
        "SELECT name, type = 'view' FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' "
        "ORDER BY name",
        &names, err);

    while (code == KT_OK && count < KT_QUERY_TABLE_MAX && (rc = sqlite3_step(names)) == SQLITE_ROW) {
        kt_row_store_table *table = &tables[count++];

        table->name = name_of(query, (const char *)sqlite3_column_text(names, 0));
        table->view = sqlite3_column_int(names, 1) != 0;
        code = list_columns(query, table, err);
        if (code == KT_OK && !table->view)
            code = count_rows(query, table, err);
    }
    if (code == KT_OK)
        code = kt_query_fail(query, rc, err);
    sqlite3_finalize(names);
    *out_tables = KT_ROWS_OF(tables, count);
    return code;
}

static uint64_t size_of(const char *path, const char *suffix)
{
    char name[KT_RECORDER_PATH_SIZE + 8];
    struct stat file;

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &file) == 0 ? (uint64_t)file.st_size : 0;
}

/* The first value of a statement of ours. Where there is no row *out_value stays. */
static kt_code ask(kt_query *query, const char *sql, int64_t *out_value, kt_err *err)
{
    sqlite3_stmt *statement = NULL;
    kt_code code = kt_query_prepare(query, sql, &statement, err);
    int rc = code == KT_OK ? sqlite3_step(statement) : SQLITE_OK;

    if (code == KT_OK)
        code = kt_query_fail(query, rc, err);
    if (rc == SQLITE_ROW)
        *out_value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code;
}

kt_code kt_query_tables(kt_query *query, kt_response_store_tables *out_response, kt_err *err)
{
    kt_response_store_tables response = { .size = size_of(query->path, "") + size_of(query->path, "-wal") };
    int64_t seq = 0;
    kt_code code = list_tables(query, &response.tables, err);

    if (code == KT_OK)
        code = ask(query, "SELECT seq FROM cursors WHERE log = '" KT_RECORDER_LOG "'", &seq, err);
    if (code != KT_OK)
        return code;
    response.seq = (uint64_t)seq;
    *out_response = response;
    return KT_OK;
}

/* ---- store.migrations ---- */

/* "-- What it does" */
static kt_text first_comment(const char *sql)
{
    kt_text text = kt_text_of(sql);
    kt_text line = { sql, 0 };

    kt_text_cut(&text, '\n', &line);
    return line.n > 3 && memcmp(line.s, "-- ", 3) == 0 ? (kt_text){ line.s + 3, line.n - 3 } : KT_TEXT("");
}

kt_code kt_query_migrations(kt_query *query, kt_response_store_migrations *out_response, kt_err *err)
{
    kt_row_migration *rows = kt_arena_take_zero(&query->arena, kt_store_migration_count, sizeof *rows, 16);
    int64_t version = 0;
    kt_code code = ask(query, "PRAGMA user_version", &version, err);

    if (code != KT_OK)
        return code;
    if (rows == NULL)
        return kt_fail(err, KT_LIMIT, "the list of migrations does not fit an answer");
    for (uint32_t i = 0; i < kt_store_migration_count; i++)
        rows[i] = (kt_row_migration){
            .version = i + 1, .applied = i < version, .text = first_comment(kt_store_migrations[i])
        };
    *out_response = (kt_response_store_migrations){ .version = (uint32_t)version,
        .migrations = KT_ROWS_OF(rows, kt_store_migration_count) };
    return KT_OK;
}
