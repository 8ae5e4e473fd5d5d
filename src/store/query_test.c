#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/json.h"
#include "base/test_util.h"
#include "base/time.h"
#include "store/query.h"
#include "store/store.h"

#define S KT_NS_PER_S

static kt_err last;

#define OK(call)                                                    \
    do {                                                            \
        if ((call) != KT_OK)                                        \
            fail_msg("line %d: %s: %s", __LINE__, #call, last.msg); \
    } while (0)

/* A store with a few trades, and a connection that asks. */
typedef struct test_desk {
    char path[4096];
    kt_config *config;
    kt_store *store;
    kt_query *query;
} test_desk;

static void put_trades(test_desk *desk, uint32_t from, uint32_t count)
{
    OK(kt_store_begin(desk->store, &last));
    for (uint32_t i = from; i < from + count; i++) {
        kt_ev_trade trade;
        char id[16];

        kt_event_init(KT_EV_TRADE, &trade);
        trade.venue_time = trade.receive_time = (int64_t)i * S;
        trade.price = (kt_decimal){ .m = 100 + i, .scale = 1 };
        trade.quantity = (kt_decimal){ .m = 5, .scale = 1 };
        trade.side = KT_SIDE_BUY;
        trade.trade_id = (kt_text){ id, (size_t)snprintf(id, sizeof id, "%06u", i) };
        OK(kt_store_trade(desk->store, KT_TEXT("market"), KT_TEXT("BTC"), &trade, &last));
    }
    OK(kt_store_commit(desk->store, "market", (kt_store_cursor){ .epoch = 1, .seq = from + count }, &last));
}

static void open_desk(test_desk *desk, uint32_t trades)
{
    static const char yaml[] = "venues: [{name: market, format: generic, ws_url: 'ws://h/s'}]\n";

    snprintf(desk->path, sizeof desk->path, "%s/store.db", kt_test_dir());
    OK(kt_config_parse("test", yaml, strlen(yaml), &desk->config, &last));
    OK(kt_store_open_file(desk->path, desk->config, &desk->store, &last));
    put_trades(desk, 0, trades);
    OK(kt_query_open(desk->path, (kt_query_clock){ 0 }, &desk->query, &last));
}

static void close_desk(test_desk *desk)
{
    kt_query_close(desk->query);
    kt_store_close(desk->store);
    kt_config_free(desk->config);
}

static kt_code ask_within(
    test_desk *desk, const char *sql, uint32_t limit, int64_t timeout_ns, kt_response_store_query *out)
{
    kt_params_store_query params = { .sql = kt_text_of(sql), .limit = limit };

    last.msg[0] = '\0';
    kt_query_begin(desk->query, timeout_ns, NULL);
    return kt_query_sql(desk->query, &params, out, &last);
}

static kt_code ask(test_desk *desk, const char *sql, kt_response_store_query *out)
{
    return ask_within(desk, sql, 1000, KT_QUERY_TIME_NS, out);
}

/* ---- what may be read ---- */

static void test_values_keep_every_digit(void **state)
{
    static const struct {
        const char *sql, *rows;
    } rows[] = {
        { "SELECT 1, -1, 0", "[[1,-1,0]]" },
        { "VALUES (9007199254740992), (9007199254740993), (-9007199254740993)",
            "[[9007199254740992],[\"9007199254740993\"],[\"-9007199254740993\"]]" },
        { "SELECT 9223372036854775807", "[[\"9223372036854775807\"]]" },
        { "SELECT 0.1, 1e300, 0.1 + 0.2, 3.0", "[[0.1,1e+300,0.30000000000000004,3]]" },
        { "SELECT 9e999, -9e999", "[[\"inf\",\"-inf\"]]" },
        { "SELECT NULL, 'a\"b', x'00ff'", "[[null,\"a\\\"b\",\"00ff\"]]" },
        { "SELECT ''", "[[\"\"]]" },
        { "SELECT CAST(x'ff' AS TEXT)", "[[\"\xef\xbf\xbd\"]]" },
        { "SELECT price, trade_id FROM trades WHERE trade_id < '000002' ORDER BY trade_id DESC;",
            "[[\"10.1\",\"000001\"],[\"10\",\"000000\"]]" },
        { "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n -- to three",
            "[[1],[2],[3]]" },
        { "SELECT count(*) FROM transactions", "[[3]]" },
        { "SELECT value FROM json_each('[7]')", "[[7]]" },
        { "SELECT 1 WHERE 0", "[]" },
    };
    kt_response_store_query response;
    test_desk desk;

    open_desk(&desk, 3);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        kt_json_node nodes[64];
        kt_json_doc doc;

        if (ask(&desk, rows[i].sql, &response) != KT_OK)
            fail_msg("%s: %s", rows[i].sql, last.msg);
        if (!kt_text_equal(response.rows, kt_text_of(rows[i].rows)))
            fail_msg("%s: %.*s", rows[i].sql, KT_TEXT_ARG(response.rows));
        assert_true(response.complete);
        assert_int_equal(kt_json_parse(response.rows, nodes, KT_COUNT(nodes), &doc, &last), KT_OK);
    }
    close_desk(&desk);
}

static void test_columns_have_names_and_declared_types(void **state)
{
    kt_response_store_query response;
    const kt_row_column *columns;
    test_desk desk;

    open_desk(&desk, 1);
    OK(ask(&desk, "SELECT venue, venue_time AS t, quantity + 1, \"window\" FROM trades LEFT JOIN vwap USING (venue)",
        &response));
    columns = response.columns.at;
    assert_int_equal(response.columns.count, 4);
    assert_true(kt_text_equal(columns[0].name, KT_TEXT("venue")) && kt_text_equal(columns[0].type, KT_TEXT("TEXT")));
    assert_true(kt_text_equal(columns[1].name, KT_TEXT("t")) && kt_text_equal(columns[1].type, KT_TEXT("INTEGER")));
    assert_true(kt_text_equal(columns[2].name, KT_TEXT("quantity + 1")) && columns[2].type.n == 0);
    close_desk(&desk);
}

static void test_answers_are_cut_at_rows_and_at_bytes(void **state)
{
    static const struct {
        const char *name, *sql;
        uint32_t limit, count; /* UINT32_MAX: some, not all */
        bool complete;
    } rows[] = {
        { "all there is", "SELECT * FROM trades", 1000, 10, true },
        { "exactly as many as there are", "SELECT * FROM trades", 10, 10, true },
        { "one more than is asked for", "SELECT * FROM trades", 9, 9, false },
        { "rows without an end", "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
            1000, 1000, false },
        { "a huge result", "SELECT printf('%.*c', 20000, 'x') FROM trades a, trades b", 1000, 26, false },
        { "rows larger than an answer", "SELECT printf('%.*c', 60000, 'x') a, a, a, a, a, a, a, a, a FROM (SELECT 1)",
            1000, UINT32_MAX, false },
    };
    kt_response_store_query response;
    test_desk desk;

    open_desk(&desk, 10);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        static kt_json_node nodes[20000];
        kt_json_doc doc;

        if (ask_within(&desk, rows[i].sql, rows[i].limit, KT_QUERY_TIME_NS, &response) != KT_OK) {
            if (rows[i].count != UINT32_MAX)
                fail_msg("%s: %s", rows[i].name, last.msg);
            continue;
        }
        OK(kt_json_parse(response.rows, nodes, KT_COUNT(nodes), &doc, &last));
        if (kt_json_count(&doc, 0) != rows[i].count || response.complete != rows[i].complete)
            fail_msg("%s: %u rows, complete %d", rows[i].name, kt_json_count(&doc, 0), response.complete);
        assert_true(response.rows.n <= KT_QUERY_ROWS_SIZE);
    }
    close_desk(&desk);
}

/* ---- what may not ---- */

static void test_nothing_can_be_changed_or_left(void **state)
{
    static const struct {
        const char *name, *sql;
        kt_code code;
        const char *message;
    } rows[] = {
        { "insert", "INSERT INTO trades SELECT * FROM trades", KT_ARG, "INSERT" },
        { "update", "UPDATE trades SET price = '1'", KT_ARG, "UPDATE" },
        { "delete", "DELETE FROM trades", KT_ARG, "DELETE" },
        { "delete behind a WITH", "WITH t AS (SELECT 1) DELETE FROM trades", KT_ARG, "DELETE" },
        { "insert that returns rows", "INSERT INTO cursors VALUES ('a', 'b', 1) RETURNING *", KT_ARG, "INSERT" },
        { "replace", "REPLACE INTO cursors VALUES ('a', 'b', 1)", KT_ARG, "INSERT" },
        { "create", "CREATE TABLE t (a)", KT_ARG, "change what tables there are" },
        { "create as", "CREATE TABLE t AS SELECT 1", KT_ARG, "change what tables there are" },
        { "temporary table", "CREATE TEMP TABLE t (a)", KT_ARG, "change what tables there are" },
        { "index", "CREATE INDEX i ON trades (price)", KT_ARG, "change what tables there are" },
        { "view", "CREATE TEMP VIEW v AS SELECT 1", KT_ARG, "change what tables there are" },
        { "trigger", "CREATE TEMP TRIGGER t AFTER INSERT ON trades BEGIN SELECT 1; END", KT_ARG, "" },
        { "virtual table", "CREATE VIRTUAL TABLE temp.t USING fts5(a)", KT_ARG, "" },
        { "drop", "DROP TABLE trades", KT_ARG, "change what tables there are" },
        { "alter", "ALTER TABLE trades ADD COLUMN a", KT_ARG, "" },
        { "vacuum", "VACUUM", KT_ARG, "" },
        { "vacuum into a file", "VACUUM INTO '/tmp/stolen.db'", KT_ARG, "" },
        { "analyze", "ANALYZE", KT_ARG, "" },
        { "reindex", "REINDEX", KT_ARG, "" },
        { "attach", "ATTACH '/etc/passwd' AS p", KT_ARG, "ATTACH" },
        { "attach by an expression", "ATTACH (SELECT 'x.db') AS p", KT_ARG, "ATTACH" },
        { "detach", "DETACH main", KT_ARG, "DETACH" },
        { "pragma that writes", "PRAGMA journal_mode = DELETE", KT_ARG, "PRAGMA" },
        { "pragma that reads", "PRAGMA table_info(trades)", KT_ARG, "PRAGMA" },
        { "pragma as a table", "SELECT * FROM pragma_table_info('trades')", KT_ARG, "" },
        { "table of the library's own", "SELECT * FROM sqlite_stmt", KT_ARG, "" },
        { "pragma that lifts a bound", "PRAGMA query_only = 0", KT_ARG, "PRAGMA" },
        { "begin", "BEGIN", KT_ARG, "transaction" },
        { "commit", "COMMIT", KT_ARG, "transaction" },
        { "rollback", "ROLLBACK", KT_ARG, "transaction" },
        { "savepoint", "SAVEPOINT a", KT_ARG, "transaction" },
        { "extension", "SELECT load_extension('/tmp/x.so')", KT_ARG, "outside the store" },
        { "tokenizer", "SELECT fts3_tokenizer('simple')", KT_ARG, "outside the store" },
        { "no statement", "", KT_SYNTAX, "there is no statement" },
        { "only a comment", "-- SELECT 1", KT_SYNTAX, "there is no statement" },
        { "two statements", "SELECT 1; SELECT 2", KT_SYNTAX, "more than one" },
        { "a write behind a read", "SELECT 1; DELETE FROM trades", KT_SYNTAX, "more than one" },
        { "nonsense behind a read", "SELECT 1; nonsense", KT_SYNTAX, "more than one" },
        { "syntax error", "SELECT * FORM trades", KT_SYNTAX, "near \"FORM\": syntax error (at byte 10)" },
        { "unknown table", "SELECT * FROM trade", KT_SYNTAX, "no such table: trade" },
        { "unknown column", "SELECT prize FROM trades", KT_SYNTAX, "no such column: prize" },
        { "unknown quoted column", "SELECT \"prize\" FROM trades", KT_SYNTAX, "no such column: prize" },
        { "unknown function", "SELECT readfile('/etc/passwd')", KT_SYNTAX, "no such function: readfile" },
        { "unfinished", "SELECT", KT_SYNTAX, "incomplete input" },
        { "parameter without a value", "SELECT ?1", KT_SYNTAX, "has no value here" },
        { "no text", "\xff\xfe", KT_SYNTAX, "" },
        { "an expression of 110 levels",
            "SELECT ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((("
            "1)))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))",
            KT_SYNTAX, "" },
    };
    kt_response_store_query response;
    test_desk desk;

    open_desk(&desk, 3);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        kt_code code = ask(&desk, rows[i].sql, &response);

        if (code != rows[i].code || strstr(last.msg, rows[i].message) == NULL)
            fail_msg("%s: %s, %s", rows[i].name, kt_code_name(code), last.msg);
        OK(ask(&desk, "SELECT count(*) FROM trades", &response)); /* the next one costs nothing of it */
        assert_true(kt_text_equal(response.rows, KT_TEXT("[[3]]")));
    }
    close_desk(&desk);
}

/* A clock that goes on by `step` each time somebody looks. */
typedef struct test_clock {
    int64_t now, step;
} test_clock;

static int64_t look(void *ctx)
{
    test_clock *clock = ctx;

    return clock->now += clock->step;
}

static void open_desk_by(test_desk *desk, uint32_t trades, test_clock *clock)
{
    open_desk(desk, trades);
    kt_query_close(desk->query);
    OK(kt_query_open(desk->path, (kt_query_clock){ look, clock }, &desk->query, &last));
}

/* In time, in memory, in the length of a value. What is not about time has all of it, however slow the machine is. */
static void test_what_does_not_end_is_stopped(void **state)
{
    static const struct {
        const char *name, *sql, *message;
    } rows[] = {
        { "recursion that gives nothing",
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            "stopped: it took longer" },
        { "a product of tables",
            "SELECT count(*) FROM trades a, trades b, trades c, trades d, trades e WHERE a.price + b.price + c.price < 0",
            "stopped: it took longer" },
        { "rows that are remembered",
            "WITH RECURSIVE n(i, t) AS (VALUES (1, '') UNION SELECT i + 1, printf('%.*c', 60000, 'x') || i FROM n) SELECT count(*) FROM "
            "n",
            "stopped: what it sorts or gathers" },
        { "rows that are sorted",
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT printf('%.*c', 60000, 'x') || i AS t FROM n ORDER "
            "BY t DESC LIMIT 1000000",
            "stopped: what it sorts or gathers" },
        { "a value that grows",
            "WITH RECURSIVE n(t) AS (VALUES ('xxxxxxxx') UNION ALL SELECT t || t FROM n) SELECT max(length(t)) FROM n",
            "stopped: a value or a row grew" },
        { "a gigabyte of zeros", "SELECT length(hex(zeroblob(1000000000)))", "stopped: a value or a row grew" },
    };
    kt_response_store_query response;
    test_clock clock = { 0 };
    test_desk desk;

    open_desk_by(&desk, 1000, &clock);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        clock.step = strstr(rows[i].message, "longer") != NULL ? S / 100 : 0;
        kt_code code = ask(&desk, rows[i].sql, &response);

        if (code != KT_LIMIT || strstr(last.msg, rows[i].message) == NULL)
            fail_msg("%s: %s, %s", rows[i].name, kt_code_name(code), last.msg);
        OK(ask(&desk, "SELECT 1", &response));
    }
    close_desk(&desk);
}

/* Time is that of the clock that was given: 2 s are 200 looks at this one, however fast the machine is. */
static void test_time_is_the_clock_s(void **state)
{
    kt_params_store_query params = {
        .sql = KT_TEXT("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"),
        .limit = 1
    };
    kt_response_store_query response;
    test_clock clock = { .step = S / 100 };
    test_desk desk;

    open_desk_by(&desk, 1, &clock);
    for (int i = 0; i < 3; i++) {
        int64_t began = clock.now;

        kt_query_begin(desk.query, i < 2 ? 60 * S : S, NULL); /* at most KT_QUERY_TIME_NS */
        assert_int_equal(kt_query_sql(desk.query, &params, &response, &last), KT_LIMIT);
        assert_non_null(strstr(last.msg, "stopped: it took longer"));
        assert_in_range(clock.now - began, i < 2 ? 2 * S : S, (i < 2 ? 2 * S : S) + S / 50);
    }
    close_desk(&desk);
}

static void test_whoever_stops_ends_a_question(void **state)
{
    kt_params_store_query params = {
        .sql = KT_TEXT("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"),
        .limit = 1
    };
    kt_response_store_query response;
    atomic_bool stop = true;
    test_desk desk;

    open_desk(&desk, 1);
    kt_query_begin(desk.query, KT_QUERY_TIME_NS, &stop);
    assert_int_equal(kt_query_sql(desk.query, &params, &response, &last), KT_LIMIT);
    assert_non_null(strstr(last.msg, "stopped: it was told to"));
    close_desk(&desk);
}

/* Who reads sees the store as it stood, and the writer goes on. */
static void test_reading_holds_up_no_writer(void **state)
{
    kt_response_store_query response;
    sqlite3 *reader = NULL;
    sqlite3_stmt *half = NULL;
    test_desk desk;

    open_desk(&desk, 10);
    assert_int_equal(sqlite3_open_v2(desk.path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(reader, "SELECT * FROM trades", -1, &half, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(half), SQLITE_ROW);
    put_trades(&desk, 10, 10);
    OK(ask(&desk, "SELECT count(*) FROM trades", &response));
    assert_true(kt_text_equal(response.rows, KT_TEXT("[[20]]")));
    sqlite3_finalize(half);
    sqlite3_close(reader);
    close_desk(&desk);
}

/* ---- tables and migrations ---- */

static const kt_row_store_table *table_of(const kt_response_store_tables *response, const char *name)
{
    const kt_row_store_table *tables = response->tables.at;

    for (uint32_t i = 0; i < response->tables.count; i++)
        if (kt_text_equal(tables[i].name, kt_text_of(name)))
            return &tables[i];
    fail_msg("no table %s", name);
    return NULL;
}

static void test_tables_are_listed_and_counted(void **state)
{
    kt_response_store_tables response;
    const kt_row_store_table *trades;
    const kt_row_store_table *view;
    test_desk desk;

    open_desk(&desk, 10);
    kt_query_begin(desk.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_query_tables(desk.query, &response, &last));
    trades = table_of(&response, "trades");
    view = table_of(&response, "vwap_history");
    assert_int_equal(trades->row_count, 10);
    assert_true(trades->exact && !trades->view);
    assert_true(trades->columns.count >= 12);
    assert_true(kt_text_equal(((const kt_row_column *)trades->columns.at)[3].name, KT_TEXT("venue_time")));
    assert_true(view->view && !view->exact && view->row_count == 0 && view->columns.count == 5);
    assert_int_equal(response.seq, 10);
    assert_true(response.size >= 4096);
    OK(kt_table_check(&kt_actions[KT_ACTION_store_tables].response, &response, &last));
    close_desk(&desk);
}

static void test_migrations_are_listed(void **state)
{
    kt_response_store_migrations response;
    const kt_row_migration *rows;
    test_desk desk;

    open_desk(&desk, 0);
    kt_query_begin(desk.query, KT_QUERY_TIME_NS, NULL);
    OK(kt_query_migrations(desk.query, &response, &last));
    rows = response.migrations.at;
    assert_int_equal(response.version, response.migrations.count);
    for (uint32_t i = 0; i < response.migrations.count; i++) {
        assert_int_equal(rows[i].version, i + 1);
        assert_true(rows[i].applied && rows[i].text.n > 0);
    }
    OK(kt_table_check(&kt_actions[KT_ACTION_store_migrations].response, &response, &last));
    close_desk(&desk);
}

static void test_bad_files_are_named(void **state)
{
    kt_response_store_query response;
    kt_params_store_query params = { .sql = KT_TEXT("SELECT 1 FROM trades"), .limit = 1 };
    kt_query *query = NULL;
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/none.db", kt_test_dir());
    assert_int_equal(kt_query_open(path, (kt_query_clock){ 0 }, &query, &last), KT_NOENT);
    assert_non_null(strstr(last.msg, "none.db' does not exist"));
    file = fopen(path, "w");
    fputs("no database at all, and long enough to have a head", file);
    fclose(file);
    OK(kt_query_open(path, (kt_query_clock){ 0 }, &query, &last));
    kt_query_begin(query, KT_QUERY_TIME_NS, NULL);
    assert_int_equal(kt_query_sql(query, &params, &response, &last), KT_CORRUPT);
    assert_non_null(strstr(last.msg, "none.db' is damaged"));
    kt_query_close(query);
    kt_query_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_keep_every_digit),
        cmocka_unit_test(test_columns_have_names_and_declared_types),
        cmocka_unit_test(test_answers_are_cut_at_rows_and_at_bytes),
        cmocka_unit_test(test_nothing_can_be_changed_or_left),
        cmocka_unit_test(test_what_does_not_end_is_stopped),
        cmocka_unit_test(test_time_is_the_clock_s),
        cmocka_unit_test(test_whoever_stops_ends_a_question),
        cmocka_unit_test(test_reading_holds_up_no_writer),
        cmocka_unit_test(test_tables_are_listed_and_counted),
        cmocka_unit_test(test_migrations_are_listed),
        cmocka_unit_test(test_bad_files_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
