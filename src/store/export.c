#include "store/export.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "store/query_parts.h"

enum { LINE_MAX_SIZE = 4096, BLOCK_SIZE = 65536, NAME_SIZE = 256, ID_SIZE = 1024 };

/* The last two columns are not written: they are the row's place, behind which the next page begins. */
static const char *const heads[] = {
    "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n",
    "exchange,symbol,timestamp,window,price,amount,notional,trades,validated,complete,revision\n",
};
static const char *const pages[] = {
    "SELECT venue, symbol, venue_time / 1000, receive_time / 1000, trade_id, side, price, quantity, venue_time, trade_id "
    "FROM trades WHERE venue = :venue AND symbol = :symbol AND venue_time < :to "
    "AND (venue_time, trade_id) > (:time, :id) AND (validated OR NOT suspect) "
    "ORDER BY venue_time, trade_id LIMIT :rows",
    "SELECT venue, symbol, mark / 1000, :name, price, sum_q, sum_pq, trades, "
    "CASE validated WHEN 1 THEN 'true' ELSE 'false' END, CASE complete WHEN 1 THEN 'true' ELSE 'false' END, revision, "
    "mark, '' "
    "FROM vwap WHERE venue = :venue AND symbol = :symbol AND \"window\" = :window AND mark < :to AND mark > :time "
    "ORDER BY mark LIMIT :rows",
};

typedef struct export_job {
    kt_query *query;
    const kt_config *config;
    const kt_export_spec *spec;
    int64_t window_ns;
    char window_name[KT_WINDOW_NAME_MAX];
    bool has_window;                          /* it is configured, or there are values of it */
    char venue[NAME_SIZE], symbol[NAME_SIZE]; /* of the series */
    int64_t time;                             /* place in it: of the last row that was written */
    char id[ID_SIZE];
    uint64_t rows;
    char block[BLOCK_SIZE];
    size_t block_size;
} export_job;

/* ---- text ---- */

static kt_code flush(export_job *job, kt_err *err)
{
    kt_text csv = { job->block, job->block_size };

    job->block_size = 0;
    return csv.n > 0 ? job->spec->write(job->spec->ctx, csv, err) : KT_OK;
}

static void put_field(kt_builder *line, kt_text text)
{
    bool plain = true;

    for (size_t i = 0; i < text.n; i++)
        plain = plain && strchr(",\"\r\n", text.s[i]) == NULL;
    if (plain) {
        kt_builder_text(line, text);
        return;
    }
    kt_builder_char(line, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] == '"')
            kt_builder_char(line, '"');
        kt_builder_char(line, text.s[i]);
    }
    kt_builder_char(line, '"');
}

static kt_code put_row(export_job *job, sqlite3_stmt *row, kt_err *err)
{
    int columns = sqlite3_column_count(row) - 2;
    kt_builder line;
    kt_code code = KT_OK;

    if (BLOCK_SIZE - job->block_size < LINE_MAX_SIZE)
        code = flush(job, err);
    kt_builder_init(&line, job->block + job->block_size, BLOCK_SIZE - job->block_size);
    for (int i = 0; i < columns; i++) {
        put_field(&line, kt_query_text(row, i));
        kt_builder_char(&line, i < columns - 1 ? ',' : '\n');
    }
    if (code == KT_OK && line.code != KT_OK)
        code = kt_fail(
            err, KT_LIMIT, "a row of '%s' '%s' is longer than %d bytes", job->venue, job->symbol, LINE_MAX_SIZE);
    if (code != KT_OK)
        return code;
    job->block_size += line.n;
    job->rows++;
    job->time = sqlite3_column_int64(row, columns);
    snprintf(job->id, sizeof job->id, "%s", kt_query_text(row, columns + 1).s);
    return KT_OK;
}

/* ---- pages ---- */

static void bind_text(sqlite3_stmt *statement, const char *name, const char *text)
{
    sqlite3_bind_text(statement, sqlite3_bind_parameter_index(statement, name), text, -1, SQLITE_TRANSIENT);
}

static void bind_i64(sqlite3_stmt *statement, const char *name, int64_t value)
{
    sqlite3_bind_int64(statement, sqlite3_bind_parameter_index(statement, name), value);
}

/* The next rows of the series; *out_count: how many there were. */
static kt_code put_page(export_job *job, uint32_t *out_count, kt_err *err)
{
    const kt_export_spec *spec = job->spec;
    sqlite3_stmt *row = NULL;
    uint32_t count = 0;
    int rc = SQLITE_DONE;
    kt_code code;

    kt_query_begin(job->query, KT_QUERY_TIME_NS, spec->stop);
    code = kt_query_prepare(job->query, pages[spec->values], &row, err);
    if (code == KT_OK) { /* a name that this statement does not have is passed over */
        bind_text(row, ":venue", job->venue);
        bind_text(row, ":symbol", job->symbol);
        bind_text(row, ":id", job->id);
        bind_text(row, ":name", job->window_name);
        bind_i64(row, ":window", job->window_ns);
        bind_i64(row, ":time", job->time);
        bind_i64(row, ":to", spec->to_ns);
        bind_i64(row, ":rows", KT_EXPORT_PAGE_MAX);
    }
    for (; code == KT_OK && (rc = sqlite3_step(row)) == SQLITE_ROW; count++)
        code = put_row(job, row, err);
    if (code == KT_OK)
        code = kt_query_fail(job->query, rc, err);
    sqlite3_finalize(row);
    *out_count = count;
    return code == KT_OK ? flush(job, err) : code;
}

static kt_code put_series(export_job *job, kt_err *err)
{
    uint32_t count = KT_EXPORT_PAGE_MAX;
    kt_code code = KT_OK;

    job->time = job->spec->from_ns - 1; /* behind every id of that time */
    snprintf(job->id, sizeof job->id, "\xf4\x8f\xbf\xbf");
    while (code == KT_OK && count == KT_EXPORT_PAGE_MAX) {
        code = put_page(job, &count, err);
        if (code == KT_OK && job->spec->progress != NULL)
            job->spec->progress(job->spec->ctx, &(kt_export_progress){ .venue = kt_text_of(job->venue),
                                                    .symbol = kt_text_of(job->symbol),
                                                    .rows = job->rows,
                                                    .time_ns = job->time });
    }
    return code;
}

/* ---- series ---- */

static bool wants(kt_text wanted, const char *name)
{
    return wanted.n == 0 || kt_text_equal(wanted, kt_text_of(name));
}

/* What is stored, whatever the configuration says now. Composites have no venue. */
static const char *const series_behind[] = {
    "SELECT venue, symbol FROM instruments WHERE (venue, symbol) > (:venue, :symbol) ORDER BY venue, symbol LIMIT 1",
    "SELECT venue, symbol FROM vwap WHERE venue = '' AND symbol > :symbol ORDER BY symbol LIMIT 1",
};

/* The series behind job->venue and job->symbol. KT_EMPTY: that was the last. */
static kt_code next_series(export_job *job, bool composites, kt_err *err)
{
    sqlite3_stmt *next = NULL;
    kt_code code;
    int rc;

    kt_query_begin(job->query, KT_QUERY_TIME_NS, job->spec->stop);
    code = kt_query_prepare(job->query, series_behind[composites], &next, err);
    if (code != KT_OK)
        return code;
    bind_text(next, ":venue", job->venue);
    bind_text(next, ":symbol", job->symbol);
    rc = sqlite3_step(next);
    code = rc == SQLITE_DONE ? KT_EMPTY : kt_query_fail(job->query, rc, err);
    if (code == KT_OK) {
        snprintf(job->venue, sizeof job->venue, "%s", kt_query_text(next, 0).s);
        snprintf(job->symbol, sizeof job->symbol, "%s", kt_query_text(next, 1).s);
    }
    sqlite3_finalize(next);
    return code;
}

/* Lists of what there is, for the message when it is not what was asked for. */
typedef struct stored_names {
    char series_mem[96], windows_mem[96];
    kt_builder series, windows;
    uint32_t count; /* of the series that were asked for */
} stored_names;

/* Is there a value of the window in this series? Notes those that there are. */
static kt_code look_for_window(export_job *job, stored_names *names, kt_err *err)
{
    sqlite3_stmt *next = NULL;
    kt_code code;
    int64_t window_ns = 0;
    char name[KT_WINDOW_NAME_MAX];
    int rc = SQLITE_ROW;

    kt_query_begin(job->query, KT_QUERY_TIME_NS, job->spec->stop);
    code = kt_query_prepare(job->query,
        "SELECT \"window\" FROM vwap WHERE venue = :venue AND symbol = :symbol AND \"window\" > :window "
        "ORDER BY \"window\" LIMIT 1",
        &next, err);
    kt_builder_init(&names->windows, names->windows_mem, sizeof names->windows_mem);
    while (code == KT_OK && rc == SQLITE_ROW && !job->has_window) {
        bind_text(next, ":venue", job->venue);
        bind_text(next, ":symbol", job->symbol);
        bind_i64(next, ":window", window_ns);
        rc = sqlite3_step(next);
        if (rc == SQLITE_ROW) {
            window_ns = sqlite3_column_int64(next, 0);
            kt_window_format(window_ns, name);
            kt_builder_format(&names->windows, "%s%s", names->windows.n > 0 ? ", " : "", name);
            job->has_window = window_ns == job->window_ns;
        } else {
            code = kt_query_fail(job->query, rc, err);
        }
        sqlite3_reset(next);
    }
    sqlite3_finalize(next);
    return code;
}

static kt_code put_all(export_job *job, bool composites, stored_names *names, kt_err *err)
{
    const kt_export_spec *spec = job->spec;
    kt_code code;

    job->venue[0] = job->symbol[0] = '\0';
    while ((code = next_series(job, composites, err)) == KT_OK) {
        kt_builder_format(
            &names->series, "%s%s %s", names->series.n > 0 ? ", " : "", composites ? "-" : job->venue, job->symbol);
        if ((!composites && !wants(spec->venue, job->venue)) || !wants(spec->symbol, job->symbol))
            continue;
        names->count++;
        if (!job->has_window)
            code = look_for_window(job, names, err);
        if (code == KT_OK)
            code = put_series(job, err);
        if (code != KT_OK)
            return code;
    }
    return code == KT_EMPTY ? KT_OK : code;
}

/* A window that is configured needs no value yet. */
static kt_code find_window(export_job *job, kt_err *err)
{
    kt_code code = kt_window_parse(kt_text_of(job->spec->window), &job->window_ns);

    if (code != KT_OK)
        return kt_fail(err, KT_NOENT, "'%.16s' is no window: write it as 30s, 5m or 1h", job->spec->window);
    kt_window_format(job->window_ns, job->window_name);
    job->has_window = false;
    for (uint32_t i = 0; i < job->config->window_count; i++)
        job->has_window = job->has_window || job->config->windows_ns[i] == job->window_ns;
    return KT_OK;
}

kt_code kt_export_csv(
    kt_query *query, const kt_config *config, const kt_export_spec *spec, uint64_t *out_rows, kt_err *err)
{
    export_job job = { .query = query, .config = config, .spec = spec, .has_window = true };
    stored_names names = { .count = 0 };
    kt_code code = spec->values ? find_window(&job, err) : KT_OK;

    kt_builder_init(&names.series, names.series_mem, sizeof names.series_mem);
    kt_builder_init(&names.windows, names.windows_mem, sizeof names.windows_mem);
    if (code == KT_OK)
        code = spec->write(spec->ctx, kt_text_of(heads[spec->values]), err);
    if (code == KT_OK && !spec->composites)
        code = put_all(&job, false, &names, err);
    if (code == KT_OK && spec->values && (spec->composites || spec->venue.n == 0))
        code = put_all(&job, true, &names, err);
    if (code == KT_OK && names.count == 0 && spec->venue.n + spec->symbol.n > 0)
        code = kt_fail(err, KT_NOENT, "nothing is stored of that venue and symbol; there is: %s%s",
            names.series.n > 0 ? names.series_mem : "nothing yet", names.series.code != KT_OK ? " ..." : "");
    if (code == KT_OK && !job.has_window)
        code = kt_fail(err, KT_NOENT, "nothing is stored of window '%.16s'; there is: %s", spec->window,
            names.windows.n > 0 ? names.windows_mem : "nothing yet");
    if (code == KT_OK)
        *out_rows = job.rows;
    return code;
}
