#include "store/history.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/time.h"
#include "store/query_parts.h"

enum { KNOWN_SIZE = 96 }; /* bytes of a list within a message */

/* ---- statements ---- */

/* What is asked about: parameters of every statement here. */
typedef struct place {
    kt_text venue, symbol;
    int64_t window; /* of values */
} place;

static void bind_i64(sqlite3_stmt *statement, const char *name, int64_t value)
{
    sqlite3_bind_int64(statement, sqlite3_bind_parameter_index(statement, name), value);
}

static void bind_text(sqlite3_stmt *statement, const char *name, kt_text text)
{
    sqlite3_bind_text64(statement, sqlite3_bind_parameter_index(statement, name), text.s != NULL ? text.s : "", text.n,
        SQLITE_STATIC, SQLITE_UTF8);
}

/* Parameters that a statement does not have are passed over: index 0 is refused. */
static kt_code prepare(kt_query *query, const char *sql, const place *at, sqlite3_stmt **out_statement, kt_err *err)
{
    kt_code code = kt_query_prepare(query, sql, out_statement, err);

    if (code != KT_OK)
        return code;
    bind_text(*out_statement, ":venue", at->venue);
    bind_text(*out_statement, ":symbol", at->symbol);
    bind_i64(*out_statement, ":window", at->window);
    return KT_OK;
}

/* The first number of a statement; 0 where it has no row. */
static kt_code ask(kt_query *query, const char *sql, const place *at, int64_t *out_value, kt_err *err)
{
    sqlite3_stmt *statement = NULL;
    kt_code code = prepare(query, sql, at, &statement, err);
    int rc = code == KT_OK ? sqlite3_step(statement) : SQLITE_OK;

    if (code == KT_OK)
        code = kt_query_fail(query, rc, err);
    *out_value = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return code;
}

static kt_code begin(kt_query *query, kt_err *err)
{
    return kt_query_fail(query, sqlite3_exec(query->db, "BEGIN", NULL, NULL, NULL), err);
}

static void end(kt_query *query)
{
    sqlite3_exec(query->db, "ROLLBACK", NULL, NULL, NULL);
}

static kt_code damaged(kt_query *query, kt_err *err)
{
    return kt_query_fail(query, SQLITE_CORRUPT, err);
}

/* ---- what there is ---- */

static void list_one(kt_builder *list, kt_text venue, kt_text symbol)
{
    if (list->n > 0)
        kt_builder_str(list, ", ");
    kt_builder_text(list, venue);
    kt_builder_str(list, venue.n > 0 ? " " : "");
    kt_builder_text(list, symbol);
}

/* KT_NOENT, and what could have been asked for. */
static kt_code fail_unknown(kt_query *query, const kt_config *config, const place *at, kt_err *err)
{
    char known[KNOWN_SIZE];
    sqlite3_stmt *statement = NULL;
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    if (kt_query_prepare(query, "SELECT venue, symbol FROM instruments ORDER BY venue, symbol", &statement, NULL) ==
        KT_OK)
        while (list.code == KT_OK && sqlite3_step(statement) == SQLITE_ROW)
            list_one(&list, kt_query_text(statement, 0), kt_query_text(statement, 1));
    sqlite3_finalize(statement);
    for (uint32_t i = 0; config != NULL && i < config->composite_count; i++)
        list_one(&list, KT_TEXT(""), kt_text_of(config->composites[i].ticker));
    return kt_fail(err, KT_NOENT, "nothing is stored of '%.*s' '%.*s'; there is: %s%s",
        (int)(at->venue.n < 16 ? at->venue.n : 16), at->venue.s, (int)(at->symbol.n < 24 ? at->symbol.n : 24),
        at->symbol.s, list.n > 0 ? known : "nothing yet", list.code != KT_OK ? " ..." : "");
}

static bool is_composite(const kt_config *config, const place *at)
{
    for (uint32_t i = 0; at->venue.n == 0 && i < config->composite_count; i++)
        if (kt_text_equal(kt_text_of(config->composites[i].ticker), at->symbol))
            return true;
    return false;
}

static kt_code check_known(kt_query *query, const kt_config *config, const place *at, kt_err *err)
{
    int64_t known = 0;
    kt_code code = ask(query, "SELECT 1 FROM instruments WHERE venue = :venue AND symbol = :symbol", at, &known, err);

    if (code != KT_OK || known != 0 || (config != NULL && is_composite(config, at)))
        return code;
    return fail_unknown(query, config, at, err);
}

static kt_code find_window(const kt_config *config, kt_text name, int64_t *out_window, kt_err *err)
{
    char known[KNOWN_SIZE];
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    for (uint32_t i = 0; i < config->window_count; i++) {
        if (kt_text_equal(kt_text_of(config->window_names[i]), name)) {
            *out_window = config->windows_ns[i];
            return KT_OK;
        }
        kt_builder_format(&list, "%s%s", i > 0 ? ", " : "", config->window_names[i]);
    }
    return kt_fail(err, KT_NOENT, "there is no window '%.*s'; configured: %s", KT_TEXT_ARG(name), known);
}

/* ---- steps ---- */

static kt_code check_range(int64_t from, int64_t to, kt_err *err)
{
    return from <= to ? KT_OK : kt_fail(err, KT_ARG, "'to' lies before 'from': give the earlier time as 'from'");
}

/* The least multiple of `unit` of which at most `points` steps touch [from, to]. */
static int64_t step_of(int64_t from, int64_t to, uint32_t points, int64_t unit)
{
    int64_t units = (to - from) / unit / points;
    int64_t step = (units > 0 ? units : 1) * unit;

    while (to / step - from / step + 1 > points)
        step += unit;
    return step;
}

/* ---- values ---- */

static kt_code add_value(kt_query *query, sqlite3_stmt *value, bool is_first, kt_row_vwap_point *row, kt_err *err)
{
    uint32_t revision = (uint32_t)sqlite3_column_int64(value, 5);

    if (kt_decimal_parse(kt_query_text(value, 1), &row->price) != KT_OK)
        return damaged(query, err);
    row->mark = sqlite3_column_int64(value, 0);
    row->trades = (uint64_t)sqlite3_column_int64(value, 2);
    if (is_first || kt_decimal_compare(row->price, row->low) < 0)
        row->low = row->price;
    if (is_first || kt_decimal_compare(row->price, row->high) > 0)
        row->high = row->price;
    row->validated = (is_first || row->validated) && sqlite3_column_int(value, 3) != 0;
    row->complete = (is_first || row->complete) && sqlite3_column_int(value, 4) != 0;
    row->revision = revision > row->revision ? revision : row->revision;
    return KT_OK;
}

#define VALUES_WHERE "FROM vwap WHERE venue = :venue AND symbol = :symbol AND \"window\" = :window "
#define VALUES \
    "SELECT mark, price, trades, validated, complete, revision " VALUES_WHERE "AND mark BETWEEN :from AND :to "

static kt_code gather_values(kt_query *query, const place *at, const kt_params_vwap_history *params, int64_t step,
    kt_rows *out_rows, kt_err *err)
{
    kt_row_vwap_point *rows = kt_arena_take_zero(&query->arena, params->points, sizeof *rows, 16);
    sqlite3_stmt *value = NULL;
    int64_t last = -1;
    uint32_t count = 0;
    int rc = SQLITE_DONE;
    kt_code code = prepare(query, VALUES "ORDER BY mark", at, &value, err);

    if (code == KT_OK) {
        bind_i64(value, ":from", params->from);
        bind_i64(value, ":to", params->to);
    }
    while (code == KT_OK && (rc = sqlite3_step(value)) == SQLITE_ROW) {
        int64_t now = sqlite3_column_int64(value, 0) / step;

        count += now != last;
        code = add_value(query, value, now != last, &rows[count - 1], err);
        last = now;
    }
    if (code == KT_OK)
        code = kt_query_fail(query, rc, err);
    sqlite3_finalize(value);
    *out_rows = KT_ROWS_OF(rows, count);
    return code;
}

/* The last value of each step that touches [first, last]. */
static kt_code sample_values(kt_query *query, const place *at, const kt_params_vwap_history *params, int64_t step,
    int64_t first, int64_t last, kt_rows *out_rows, kt_err *err)
{
    kt_row_vwap_point *rows = kt_arena_take_zero(&query->arena, params->points, sizeof *rows, 16);
    sqlite3_stmt *value = NULL;
    uint32_t count = 0;
    kt_code code = prepare(query, VALUES "ORDER BY mark DESC LIMIT 1", at, &value, err);

    for (int64_t now = first / step; code == KT_OK && now <= last / step; now++) {
        int64_t end = now * step + step - 1;
        int rc;

        bind_i64(value, ":from", now * step > first ? now * step : first);
        bind_i64(value, ":to", end < last ? end : last);
        rc = sqlite3_step(value);
        code = rc == SQLITE_ROW ? add_value(query, value, true, &rows[count++], err) : kt_query_fail(query, rc, err);
        sqlite3_reset(value);
    }
    sqlite3_finalize(value);
    *out_rows = KT_ROWS_OF(rows, count);
    return code;
}

kt_code kt_history_vwap(kt_query *query, const kt_config *config, const kt_params_vwap_history *params,
    kt_response_vwap_history *out_response, kt_err *err)
{
    place at = { .venue = params->venue, .symbol = params->symbol };
    kt_response_vwap_history response = { 0 };
    int64_t newest = 0;
    kt_code code = check_range(params->from, params->to, err);

    if (code == KT_OK)
        code = find_window(config, params->window, &at.window, err);
    if (code == KT_OK)
        code = begin(query, err);
    if (code != KT_OK)
        return code;
    response.step = step_of(params->from, params->to, params->points, KT_NS_PER_S);
    code = check_known(query, config, &at, err);
    if (code == KT_OK)
        code = ask(query, "SELECT mark " VALUES_WHERE "ORDER BY mark LIMIT 1", &at, &response.oldest, err);
    if (code == KT_OK)
        code = ask(query, "SELECT mark " VALUES_WHERE "ORDER BY mark DESC LIMIT 1", &at, &newest, err);
    int64_t first = params->from > response.oldest ? params->from : response.oldest;
    int64_t last = params->to < newest ? params->to : newest;
    response.sampled = last - first > KT_HISTORY_READ_NS;
    if (code == KT_OK && response.sampled)
        code = sample_values(query, &at, params, response.step, first, last, &response.rows, err);
    else if (code == KT_OK)
        code = gather_values(query, &at, params, response.step, &response.rows, err);
    end(query);
    if (code == KT_OK)
        *out_response = response;
    return code;
}

/* ---- trades ---- */

#define TRADES_WHERE                                                                              \
    "FROM trades WHERE venue = :venue AND symbol = :symbol AND venue_time BETWEEN :from AND :to " \
    "AND (validated OR NOT suspect) "

static kt_code add_trade(
    kt_query *query, sqlite3_stmt *trade, bool is_first, int64_t step, kt_row_trade_point *row, kt_err *err)
{
    int64_t time = sqlite3_column_int64(trade, 0);
    kt_decimal quantity;

    if (kt_decimal_parse(kt_query_text(trade, 1), &row->close) != KT_OK ||
        kt_decimal_parse(kt_query_text(trade, 2), &quantity) != KT_OK ||
        kt_sum_add(row->quantity, kt_sum_of(quantity.m, quantity.scale), &row->quantity) != KT_OK)
        return damaged(query, err);
    if (is_first) {
        row->time = step > 0 ? time - time % step : time;
        row->open = row->high = row->low = row->close;
        row->validated = true;
    }
    if (kt_decimal_compare(row->close, row->high) > 0)
        row->high = row->close;
    if (kt_decimal_compare(row->close, row->low) < 0)
        row->low = row->close;
    row->trades++;
    row->buys += kt_text_equal(kt_query_text(trade, 3), kt_text_of(kt_enum_side.values[KT_SIDE_BUY]));
    row->validated = row->validated && sqlite3_column_int(trade, 4) != 0;
    return KT_OK;
}

static kt_code gather_trades(kt_query *query, const place *at, const kt_params_trades_history *params, int64_t step,
    kt_rows *out_rows, kt_err *err)
{
    kt_row_trade_point *rows = kt_arena_take_zero(&query->arena, params->points, sizeof *rows, 16);
    sqlite3_stmt *trade = NULL;
    int64_t last = -1;
    uint32_t count = 0;
    int rc = SQLITE_DONE;
    kt_code code = prepare(query,
        "SELECT venue_time, price, quantity, side, validated " TRADES_WHERE "ORDER BY venue_time, trade_id", at, &trade,
        err);

    if (code == KT_OK) {
        bind_i64(trade, ":from", params->from);
        bind_i64(trade, ":to", params->to);
    }
    while (code == KT_OK && (rc = sqlite3_step(trade)) == SQLITE_ROW) {
        int64_t now = step > 0 ? sqlite3_column_int64(trade, 0) / step : last + 1;

        count += now != last;
        code = add_trade(query, trade, now != last, step, &rows[count - 1], err);
        last = now;
    }
    if (code == KT_OK)
        code = kt_query_fail(query, rc, err);
    sqlite3_finalize(trade);
    *out_rows = KT_ROWS_OF(rows, count);
    return code;
}

/* Does the range hold more trades than there may be rows? */
static kt_code is_crowded(
    kt_query *query, const place *at, const kt_params_trades_history *params, bool *out_is, kt_err *err)
{
    sqlite3_stmt *count = NULL;
    kt_code code = prepare(query, "SELECT count(*) FROM (SELECT 1 " TRADES_WHERE "LIMIT :points + 1)", at, &count, err);
    int rc = SQLITE_DONE;

    if (code == KT_OK) {
        bind_i64(count, ":from", params->from);
        bind_i64(count, ":to", params->to);
        bind_i64(count, ":points", params->points);
        rc = sqlite3_step(count);
        code = kt_query_fail(query, rc, err);
    }
    *out_is = rc == SQLITE_ROW && sqlite3_column_int64(count, 0) > params->points;
    sqlite3_finalize(count);
    return code;
}

kt_code kt_history_trades(
    kt_query *query, const kt_params_trades_history *params, kt_response_trades_history *out_response, kt_err *err)
{
    place at = { .venue = params->venue, .symbol = params->symbol };
    kt_response_trades_history response = { 0 };
    bool crowded = false;
    kt_code code = check_range(params->from, params->to, err);

    if (code == KT_OK)
        code = begin(query, err);
    if (code != KT_OK)
        return code;
    code = check_known(query, NULL, &at, err);
    if (code == KT_OK)
        code = ask(query,
            "SELECT venue_time FROM trades WHERE venue = :venue AND symbol = :symbol ORDER BY venue_time LIMIT 1", &at,
            &response.oldest, err);
    if (code == KT_OK)
        code = is_crowded(query, &at, params, &crowded, err);
    if (crowded)
        response.step = step_of(params->from, params->to, params->points, KT_NS_PER_MS);
    if (code == KT_OK)
        code = gather_trades(query, &at, params, response.step, &response.rows, err);
    end(query);
    if (code == KT_OK)
        *out_response = response;
    return code;
}

/* ---- quality ---- */

#define MINUTE_NS (60 * KT_NS_PER_S)
#define SHARE_STEPS "0", "≤ 0.01 %", "≤ 0.1 %", "≤ 1 %", "> 1 %"

enum { STEP_COUNT = 5, NO_FEED = '-' };

/* What is read of a minute, and how bad a value is: `limits` are the greatest of steps 0 to 3. */
static const struct measure {
    const char *column;
    bool share;    /* in 1/10,000 of the messages; otherwise ns */
    bool greatest; /* of a range: not its sum */
    int64_t limits[STEP_COUNT - 1];
    const char *steps[STEP_COUNT];
} measures[] = {
    [KT_MEASURE_MISSING] = { "missing", true, false, { 0, 1, 10, 100 }, { SHARE_STEPS } },
    [KT_MEASURE_REPAIRED] = { "repaired", true, false, { 0, 1, 10, 100 }, { SHARE_STEPS } },
    [KT_MEASURE_INVALID] = { "invalid", true, false, { 0, 1, 10, 100 }, { SHARE_STEPS } },
    [KT_MEASURE_REPEATED] = { "repeated", true, false, { 0, 1, 10, 100 }, { SHARE_STEPS } },
    [KT_MEASURE_REORDERED] = { "reordered", true, false, { 0, 1, 10, 100 }, { SHARE_STEPS } },
    [KT_MEASURE_SUSPECT] = { "suspect", true, false, { 0, 1, 10, 100 }, { SHARE_STEPS } },
    [KT_MEASURE_SILENCE] = { "silence", false, false, { 0, KT_NS_PER_S, 5 * KT_NS_PER_S, 15 * KT_NS_PER_S },
        { "0 s", "≤ 1 s", "≤ 5 s", "≤ 15 s", "> 15 s" } },
    [KT_MEASURE_LATENCY] = { "latency_p99", false, true,
        { 100 * KT_NS_PER_MS, 250 * KT_NS_PER_MS, KT_NS_PER_S, 5 * KT_NS_PER_S },
        { "≤ 100 ms", "≤ 250 ms", "≤ 1 s", "≤ 5 s", "> 5 s" } },
};

/* The digit of a value among so many messages. */
static char step_digit(const struct measure *measure, int64_t value, int64_t messages)
{
    uint32_t step = 0;

    while (step < STEP_COUNT - 1 &&
           (measure->share ? value * 10000 > measure->limits[step] * messages : value > measure->limits[step]))
        step++;
    return (char)('0' + step);
}

/* The next venue and symbol behind `at`, in their order. KT_EMPTY: there is none. */
static kt_code next_place(kt_query *query, sqlite3_stmt *next, place *at, bool *out_matches, kt_err *err)
{
    int rc;

    sqlite3_reset(next);
    bind_text(next, ":venue", at->venue);
    bind_text(next, ":symbol", at->symbol);
    rc = sqlite3_step(next);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? KT_EMPTY : kt_query_fail(query, rc, err);
    at->venue = kt_arena_text(&query->arena, kt_query_text(next, 0));
    at->symbol = kt_arena_text(&query->arena, kt_query_text(next, 1));
    *out_matches = sqlite3_column_int(next, 2) != 0;
    return at->venue.s != NULL && at->symbol.s != NULL ? KT_OK : kt_fail(err, KT_LIMIT, "too many symbols");
}

/* Worse is greater: no feed, then the steps. */
static void add_minute(const struct measure *measure, sqlite3_stmt *minute, char *cell, kt_row_quality_strip *row)
{
    int64_t value = sqlite3_column_int64(minute, 1), received = sqlite3_column_int64(minute, 2);
    int64_t messages = received + sqlite3_column_int64(minute, 3);
    bool timed = sqlite3_column_int64(minute, 5) > 0;
    char digit;

    row->received += (uint64_t)received;
    if (measure->greatest)
        row->total = timed && (row->total == 0 || value > row->total) ? value : row->total;
    else
        row->total += value;
    if (messages == 0 && sqlite3_column_int64(minute, 4) >= MINUTE_NS)
        return;
    digit = step_digit(measure, value, messages);
    *cell = digit > *cell ? digit : *cell;
}

static kt_code gather_strip(kt_query *query, sqlite3_stmt *minutes, const place *at, const struct measure *measure,
    const kt_response_quality_history *response, uint32_t cell_count, kt_row_quality_strip *out_row, kt_err *err)
{
    char *cells = kt_arena_take(&query->arena, cell_count, 1);
    int rc;

    *out_row = (kt_row_quality_strip){ .venue = at->venue, .symbol = at->symbol, .cells = { cells, cell_count } };
    if (cells == NULL)
        return kt_fail(err, KT_LIMIT, "the answer is too large; ask for fewer points");
    memset(cells, NO_FEED, cell_count);
    sqlite3_reset(minutes);
    bind_text(minutes, ":venue", at->venue);
    bind_text(minutes, ":symbol", at->symbol);
    while ((rc = sqlite3_step(minutes)) == SQLITE_ROW) {
        uint64_t cell = (uint64_t)(sqlite3_column_int64(minutes, 0) - response->start) / (uint64_t)response->step;

        if (cell < cell_count)
            add_minute(measure, minutes, &cells[cell], out_row);
    }
    return kt_query_fail(query, rc, err);
}

static kt_code gather_strips(
    kt_query *query, const kt_params_quality_history *params, kt_response_quality_history *response, kt_err *err)
{
    const struct measure *measure = &measures[params->measure];
    uint32_t cell_count = (uint32_t)(params->to / response->step - params->from / response->step + 1);
    uint32_t room = KT_HISTORY_CELL_MAX / cell_count, count = 0;
    kt_row_quality_strip *rows = kt_arena_take_zero(&query->arena, KT_HISTORY_STRIP_MAX, sizeof *rows, 16);
    sqlite3_stmt *next = NULL, *minutes = NULL;
    place at = { .venue = KT_TEXT(""), .symbol = KT_TEXT("") };
    bool matches;
    char sql[256];
    kt_code code = kt_query_prepare(query,
        "SELECT venue, symbol, (:only = '' OR venue = :only) AND instr(lower(symbol), lower(:part)) > 0 FROM quality "
        "WHERE (venue, symbol) > (:venue, :symbol) ORDER BY venue, symbol LIMIT 1",
        &next, err);

    room = room < KT_HISTORY_STRIP_MAX ? room : KT_HISTORY_STRIP_MAX;
    snprintf(sql, sizeof sql,
        "SELECT minute, %s, received, missing, silence, timed FROM quality "
        "WHERE venue = :venue AND symbol = :symbol AND minute BETWEEN :from AND :to",
        measure->column);
    if (code == KT_OK)
        code = kt_query_prepare(query, sql, &minutes, err);
    if (code == KT_OK) {
        bind_text(next, ":only", params->venue);
        bind_text(next, ":part", params->symbol);
        bind_i64(minutes, ":from", params->from - params->from % MINUTE_NS);
        bind_i64(minutes, ":to", params->to);
    }
    response->complete = true;
    while (code == KT_OK && (code = next_place(query, next, &at, &matches, err)) == KT_OK) {
        if (!matches)
            continue;
        response->complete = count < room;
        if (!response->complete)
            break;
        code = gather_strip(query, minutes, &at, measure, response, cell_count, &rows[count++], err);
    }
    sqlite3_finalize(next);
    sqlite3_finalize(minutes);
    response->rows = KT_ROWS_OF(rows, count);
    return code == KT_EMPTY ? KT_OK : code;
}

kt_code kt_history_quality(
    kt_query *query, const kt_params_quality_history *params, kt_response_quality_history *out_response, kt_err *err)
{
    kt_response_quality_history response = { 0 };
    kt_text *steps = kt_arena_take(&query->arena, STEP_COUNT * sizeof *steps, 16);
    kt_code code = check_range(params->from, params->to, err);

    if (code == KT_OK)
        code = begin(query, err);
    if (code != KT_OK)
        return code;
    for (uint32_t i = 0; i < STEP_COUNT; i++)
        steps[i] = kt_text_of(measures[params->measure].steps[i]);
    response.steps = KT_TEXTS_OF(steps, STEP_COUNT);
    response.step = step_of(params->from, params->to, params->points, MINUTE_NS);
    response.start = params->from - params->from % response.step;
    code = gather_strips(query, params, &response, err);
    end(query);
    if (code == KT_OK)
        *out_response = response;
    return code;
}

static void add_figures(sqlite3_stmt *minute, kt_row_quality_minute *row)
{
    *row = (kt_row_quality_minute){ .minute = sqlite3_column_int64(minute, 0),
        .revision = (uint32_t)sqlite3_column_int64(minute, 1),
        .received = (uint64_t)sqlite3_column_int64(minute, 2),
        .invalid = (uint64_t)sqlite3_column_int64(minute, 3),
        .repeated = (uint64_t)sqlite3_column_int64(minute, 4),
        .reordered = (uint64_t)sqlite3_column_int64(minute, 5),
        .missing = (uint64_t)sqlite3_column_int64(minute, 6),
        .repaired = (uint64_t)sqlite3_column_int64(minute, 7),
        .suspect = (uint64_t)sqlite3_column_int64(minute, 8),
        .silence = sqlite3_column_int64(minute, 9),
        .latency_p50 = sqlite3_column_int64(minute, 10),
        .latency_p99 = sqlite3_column_int64(minute, 11),
        .latency_max = sqlite3_column_int64(minute, 12),
        .timed = (uint64_t)sqlite3_column_int64(minute, 13) };
}

kt_code kt_history_minutes(
    kt_query *query, const kt_params_quality_minutes *params, kt_response_quality_minutes *out_response, kt_err *err)
{
    kt_row_quality_minute *rows = kt_arena_take_zero(&query->arena, params->limit, sizeof *rows, 16);
    place at = { .venue = params->venue, .symbol = params->symbol };
    sqlite3_stmt *minute = NULL;
    uint32_t count = 0;
    int rc = SQLITE_DONE;
    kt_code code = check_range(params->from, params->to, err);

    if (code == KT_OK)
        code = prepare(query,
            "SELECT minute, revision, received, invalid, repeated, reordered, missing, repaired, suspect, silence, "
            "latency_p50, latency_p99, latency_max, timed FROM quality "
            "WHERE venue = :venue AND symbol = :symbol AND minute BETWEEN :from AND :to",
            &at, &minute, err);
    if (code == KT_OK) {
        bind_i64(minute, ":from", params->from - params->from % MINUTE_NS);
        bind_i64(minute, ":to", params->to);
        while ((rc = sqlite3_step(minute)) == SQLITE_ROW && count < params->limit)
            add_figures(minute, &rows[count++]);
        code = kt_query_fail(query, rc, err);
    }
    sqlite3_finalize(minute);
    if (code == KT_OK)
        *out_response = (kt_response_quality_minutes){ .rows = KT_ROWS_OF(rows, count), .complete = rc == SQLITE_DONE };
    return code;
}
