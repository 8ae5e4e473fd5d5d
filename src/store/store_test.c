#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/test_util.h"
#include "base/time.h"
#include "store/store.h"

#define S KT_NS_PER_S

static const char yaml[] = "vwap: {windows: [1m], interval_ms: 60000}\n"
                           "venues:\n"
                           "  - {name: binance, format: binance, ws_url: 'ws://h/s', symbols: [BTC/USDT, ETH/USDT]}\n"
                           "  - {name: market, format: generic, ws_url: 'ws://h/s'}\n"
                           "  - {name: third, format: generic, ws_url: 'ws://h/s'}\n"
                           "compat: {tickers: [{ticker: BTC, venue: binance, symbol: BTC/USDT}]}\n";

static kt_config *config_of(const char *text)
{
    kt_config *config = NULL;
    kt_err err = { 0 };

    if (kt_config_parse("test", text, strlen(text), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return config;
}

static const char *new_path(void)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/store.db", kt_test_dir());
    return path;
}

static kt_store *open_store(const char *path, const kt_config *config)
{
    kt_store *store = NULL;
    kt_err err = { 0 };

    if (kt_store_open_file(path, config, &store, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return store;
}

static kt_err last;

#define OK(call)                                                    \
    do {                                                            \
        if ((call) != KT_OK)                                        \
            fail_msg("line %d: %s: %s", __LINE__, #call, last.msg); \
    } while (0)

static kt_ev_trade trade_of(const char *id, int64_t price, bool validated, uint32_t revision)
{
    kt_ev_trade trade;

    kt_event_init(KT_EV_TRADE, &trade);
    trade.venue_time = 100 * S;
    trade.receive_time = 101 * S;
    trade.price = (kt_decimal){ .m = price, .scale = 1 };
    trade.quantity = (kt_decimal){ .m = 5, .scale = 1 };
    trade.side = KT_SIDE_SELL;
    trade.trade_id = kt_text_of(id);
    trade.validated = validated;
    trade.source = validated ? KT_SOURCE_REST : KT_SOURCE_STREAM;
    trade.revision = revision;
    return trade;
}

static kt_ev_vwap vwap_of(int64_t mark_s, int64_t sum_pq, int64_t sum_q, bool validated, uint32_t revision)
{
    kt_ev_vwap vwap;

    kt_event_init(KT_EV_VWAP, &vwap);
    vwap.mark = mark_s * S;
    vwap.window = 60 * S;
    vwap.price = (kt_decimal){ .m = 100 * sum_pq / sum_q, .scale = 2 };
    vwap.sum_pq = kt_sum_of(sum_pq, 0);
    vwap.sum_q = kt_sum_of(sum_q, 0);
    vwap.trades = 2;
    vwap.validated = validated;
    vwap.complete = true;
    vwap.revision = revision;
    return vwap;
}

static void put_trade(kt_store *store, const char *venue, const char *symbol, kt_ev_trade trade)
{
    OK(kt_store_trade(store, kt_text_of(venue), kt_text_of(symbol), &trade, &last));
}

static void put_vwap(kt_store *store, const char *venue, const char *symbol, kt_ev_vwap vwap)
{
    OK(kt_store_vwap(store, kt_text_of(venue), kt_text_of(symbol), &vwap, &last));
}

static void put_correction(kt_store *store, uint64_t seq, const kt_ev_correction *correction)
{
    OK(kt_store_correction(store, KT_TEXT("market"), KT_TEXT("BTC"), "market", seq, 7, correction, &last));
}

static void commit(kt_store *store, uint64_t seq)
{
    OK(kt_store_commit(store, "market", (kt_store_cursor){ .epoch = UINT64_MAX, .seq = seq }, &last));
}

/* All rows of a query by another connection: columns by |, rows by a line. The caller frees. */
static char *ask(const char *path, const char *sql)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &rows, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    while (sqlite3_step(rows) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(rows); i++)
            fprintf(out, "%s%s", i > 0 ? "|" : "", (const char *)sqlite3_column_text(rows, i));
        fputc('\n', out);
    }
    sqlite3_finalize(rows);
    sqlite3_close(db);
    fclose(out);
    return text;
}

static void assert_rows(const char *path, const char *sql, const char *expected)
{
    char *text = ask(path, sql);

    assert_string_equal(text, expected);
    free(text);
}

static char *dump_of(kt_store *store)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    OK(kt_store_dump(store, out, &last));
    fclose(out);
    return text;
}

/* ---- rows ---- */

static void test_validated_is_never_replaced_by_unvalidated(void **state)
{
    static const struct {
        const char *name;
        int64_t first_price;
        bool first_validated;
        uint32_t first_revision;
        int64_t second_price;
        bool second_validated;
        uint32_t second_revision;
        const char *stands; /* price|validated|revision */
    } rows[] = {
        { "REST replaces the stream", 10, false, 1, 20, true, 1, "2|1|1\n" },
        { "a late stream copy changes nothing", 20, true, 1, 10, false, 2, "2|1|1\n" },
        { "a later revision replaces", 20, true, 1, 30, true, 2, "3|1|2\n" },
        { "an earlier revision changes nothing", 30, true, 2, 20, true, 1, "3|1|2\n" },
        { "the same again is the same", 30, true, 2, 30, true, 2, "3|1|2\n" },
        { "of two from the stream the later stands", 10, false, 1, 11, false, 2, "1.1|0|2\n" },
    };
    kt_config *config = config_of(yaml);

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        const char *path = new_path();
        kt_store *store = open_store(path, config);
        kt_ev_vwap first = vwap_of(100, rows[i].first_price, 10, rows[i].first_validated, rows[i].first_revision);
        kt_ev_vwap second = vwap_of(100, rows[i].second_price, 10, rows[i].second_validated, rows[i].second_revision);

        OK(kt_store_begin(store, &last));
        put_trade(store, "market", "BTC",
            trade_of("a1", rows[i].first_price, rows[i].first_validated, rows[i].first_revision));
        put_trade(store, "market", "BTC",
            trade_of("a1", rows[i].second_price, rows[i].second_validated, rows[i].second_revision));
        put_vwap(store, "market", "BTC", first);
        put_vwap(store, "market", "BTC", second);
        commit(store, 2);
        assert_rows(path, "SELECT price, validated, revision FROM trades", rows[i].stands);
        assert_rows(path, "SELECT price, validated, revision FROM vwap", rows[i].stands);
        kt_store_close(store);
    }
    kt_config_free(config);
}

static void test_rows_and_cursor_commit_together_or_not_at_all(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    kt_store_cursor cursor;
    kt_err err = { 0 };
    pid_t child;
    int status;

    assert_int_equal(kt_store_cursor_of(store, "market", &cursor, &err), KT_NOENT);
    assert_true(cursor.seq == 0);
    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade_of("a1", 10, false, 1));
    commit(store, 5);
    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade_of("a2", 10, false, 1));
    kt_store_rollback(store);
    kt_store_rollback(store); /* once more is harmless */
    OK(kt_store_cursor_of(store, "market", &cursor, &last));
    assert_true(cursor.seq == 5 && cursor.epoch == UINT64_MAX);
    assert_rows(path, "SELECT trade_id FROM trades", "a1\n");
    kt_store_close(store);

    /* a process that dies inside a transaction, and behind one */
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        store = open_store(path, config);
        kt_store_begin(store, NULL);
        put_trade(store, "market", "BTC", trade_of("a3", 10, false, 1));
        kt_store_commit(store, "market", (kt_store_cursor){ .epoch = 1, .seq = 6 }, NULL);
        kt_store_begin(store, NULL);
        put_trade(store, "market", "BTC", trade_of("a4", 10, false, 1));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    store = open_store(path, config);
    OK(kt_store_cursor_of(store, "market", &cursor, &last));
    assert_true(cursor.seq == 6 && cursor.epoch == 1);
    assert_rows(path, "SELECT trade_id FROM trades ORDER BY 1", "a1\na3\n");
    kt_store_close(store);
    kt_config_free(config);
}

static void test_decimals_and_sums_stay_exact(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    kt_ev_trade trade = trade_of("4611686018427387904", 1, true, 1);
    kt_ev_vwap vwap = vwap_of(100, 1, 1, true, 1);
    kt_store_value value;
    kt_err err = { 0 };

    trade.price = (kt_decimal){ .m = INT64_MAX, .scale = 18 };
    trade.quantity = (kt_decimal){ .m = 1000, .scale = 3 };
    vwap.sum_pq = kt_sum_of(((kt_i128)1 << 126) + 1, 36);
    vwap.price = (kt_decimal){ .m = 123456, .scale = 4 };
    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade);
    put_vwap(store, "market", "BTC", vwap);
    commit(store, 1);
    assert_rows(path, "SELECT price, quantity, side, source, trade_id FROM trades",
        "9.223372036854775807|1|sell|rest|4611686018427387904\n");
    assert_rows(path, "SELECT sum_pq FROM vwap", "85.070591730234615865843651857942052865\n");
    OK(kt_store_vwap_at(store, KT_TEXT("market"), KT_TEXT("BTC"), 60 * S, 100 * S, &value, &last));
    assert_true(value.price.m == 123456 && value.price.scale == 4 && value.trades == 2 && value.validated);
    assert_int_equal(
        kt_store_vwap_at(store, KT_TEXT("market"), KT_TEXT("BTC"), 60 * S, 101 * S, &value, &err), KT_NOENT);
    kt_store_close(store);
    kt_config_free(config);
}

static void test_views_have_the_original_columns(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    kt_ev_watermark watermark;
    kt_ev_vwap other = vwap_of(102, 99, 1, false, 1);

    kt_event_init(KT_EV_WATERMARK, &watermark);
    watermark.validated_until = 100 * S + KT_NS_PER_MS;
    OK(kt_store_begin(store, &last));
    put_trade(store, "binance", "BTC/USDT", trade_of("1", 270001, true, 1));
    put_trade(store, "market", "DOGE", trade_of("2", 1, false, 1));
    put_trade(store, "third", "DOGE", trade_of("3", 2, false, 1)); /* market comes first: not shown */
    put_vwap(store, "binance", "BTC/USDT", vwap_of(100, 270001, 10, true, 1));
    put_vwap(store, "binance", "BTC/USDT", vwap_of(101, 270002, 10, false, 1));
    other.window = 3600 * S; /* not the configured one */
    put_vwap(store, "binance", "BTC/USDT", other);
    put_vwap(store, "", "BTC", vwap_of(100, 5, 1, false, 1)); /* a composite is no venue's */
    OK(kt_store_watermark(store, KT_TEXT("binance"), KT_TEXT("BTC/USDT"), &watermark, &last));
    commit(store, 9);

    /* BTC by compat.tickers, and BTC/USDT since binance lists that symbol */
    assert_rows(path, "SELECT tradeid, ticker, ts, quantity, price, is_validated FROM transactions ORDER BY ticker",
        "1|BTC|100000|0.5|27000.1|1\n1|BTC/USDT|100000|0.5|27000.1|1\n2|DOGE|100000|0.5|0.1|0\n");
    assert_rows(path,
        "SELECT ticker, ts, price, interval, is_validated FROM vwap_history WHERE ticker = 'BTC' ORDER BY ts",
        "BTC|100000|27000.1|60000|1\nBTC|101000|27000.2|60000|0\n");
    assert_rows(path, "SELECT ticker, ts, price, interval FROM latest_vwap_history ORDER BY ticker",
        "BTC|101000|27000.2|60000\nBTC/USDT|101000|27000.2|60000\n");
    assert_rows(path, "SELECT ticker, validated_until FROM tickers_validation_timestamp ORDER BY ticker",
        "BTC|100001\nBTC/USDT|100001\n");
    assert_rows(path, "SELECT * FROM available_tickers ORDER BY 1", "BTC\nBTC/USDT\n");
    kt_store_close(store);
    kt_config_free(config);

    /* another configuration shows another venue and window */
    config = config_of("vwap: {interval_ms: 3600000}\n"
                       "venues: [{name: third, format: generic, ws_url: 'ws://h/s'}, "
                       "{name: binance, format: binance, ws_url: 'ws://h/s', symbols: [BTC/USDT]}]\n");
    store = open_store(path, config);
    assert_rows(path, "SELECT tradeid, ticker FROM transactions ORDER BY ticker", "3|DOGE\n");
    assert_rows(path, "SELECT count(*) FROM vwap_history", "0\n");
    kt_store_close(store);
    kt_config_free(config);
}

static void test_corrections(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    kt_text ids[] = { KT_TEXT("a\"1"), KT_TEXT("a2") };
    kt_ev_correction single;
    kt_ev_correction range;

    kt_event_init(KT_EV_CORRECTION, &single);
    single.mark_from = single.mark_to = 100 * S;
    single.window = 60 * S;
    single.revision = 2;
    single.new_price = (kt_decimal){ .m = 4, .scale = 0 };
    single.new_sum_pq = kt_sum_of(40, 0);
    single.new_sum_q = kt_sum_of(10, 0);
    single.new_trades = 3;
    single.cause = KT_CAUSE_MISSING;
    single.trade_ids = KT_TEXTS_OF(ids, 2);
    single.trade_count = 2;
    single.complete = true;
    OK(kt_store_begin(store, &last));
    put_vwap(store, "market", "BTC", vwap_of(100, 30, 10, false, 1));
    put_correction(store, 11, &single);
    commit(store, 11);
    assert_rows(
        path, "SELECT price, sum_pq, sum_q, trades, validated, complete, revision FROM vwap", "4|40|10|3|1|1|2\n");
    assert_rows(path, "SELECT log, seq, cause, trade_ids, trade_count, new_sum_pq FROM corrections",
        "market|11|missing|[\"a\\\"1\",\"a2\"]|2|40\n");

    /* a range: mark 100 is validated, 101 has no value, 102 is provisional */
    kt_event_init(KT_EV_CORRECTION, &range);
    range.mark_from = 100 * S;
    range.mark_to = 102 * S;
    range.window = 60 * S;
    range.delta_pq = kt_sum_of(-105, 1);
    range.delta_q = kt_sum_of(-1, 0);
    range.delta_trades = -1;
    range.price_scale = 3;
    range.cause = KT_CAUSE_CHANGED;
    OK(kt_store_begin(store, &last));
    put_vwap(store, "market", "BTC", vwap_of(102, 7, 1, false, 1));
    put_correction(store, 12, &range);
    put_correction(store, 12, &range); /* the same record again: its deltas count once */
    commit(store, 12);
    assert_rows(path,
        "SELECT mark / 1000000000, price, sum_pq, sum_q, trades, validated, revision FROM vwap ORDER BY mark",
        "100|3.278|29.5|9|2|1|3\n102|7|7|1|2|0|1\n"); /* 29.5 / 9 = 3.2777..., half to even at 3 digits */

    /* a trade where there was none: the deltas are the value */
    range.delta_pq = kt_sum_of(50, 0);
    range.delta_q = kt_sum_of(4, 0);
    range.delta_trades = 1;
    range.complete = true;
    OK(kt_store_begin(store, &last));
    put_correction(store, 13, &range);
    commit(store, 13);
    assert_rows(path,
        "SELECT mark / 1000000000, price, sum_pq, sum_q, trades, validated, revision FROM vwap ORDER BY mark",
        "100|6.115|79.5|13|3|1|4\n101|12.5|50|4|1|1|1\n102|7|7|1|2|0|1\n");

    /* REST has no trade at all: there is no value any more */
    single.mark_from = single.mark_to = 102 * S;
    single.new_trades = 0;
    single.new_sum_pq = single.new_sum_q = kt_sum_of(0, 0);
    OK(kt_store_begin(store, &last));
    put_correction(store, 14, &single);
    commit(store, 14);
    assert_rows(path, "SELECT mark / 1000000000 FROM vwap ORDER BY mark", "100\n101\n");
    kt_store_close(store);
    kt_config_free(config);
}

static void test_the_newest_revision_of_a_minute_stands(void **state)
{
    static const uint32_t revisions[] = { 1, 3, 2 };
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);

    OK(kt_store_begin(store, &last));
    for (uint32_t i = 0; i < KT_COUNT(revisions); i++) {
        kt_ev_quality ev;

        kt_event_init(KT_EV_QUALITY, &ev);
        ev.minute = 60 * S;
        ev.revision = revisions[i];
        ev.received = 100 + revisions[i];
        ev.missing = revisions[i];
        ev.latency_p50 = -5;
        OK(kt_store_quality(store, KT_TEXT("binance"), KT_TEXT("BTC/USDT"), &ev, &last));
        OK(kt_store_quality(store, KT_TEXT("binance"), KT_TEXT(""), &ev, &last));
    }
    commit(store, 9);
    assert_rows(path, "SELECT venue, symbol, minute, revision, received, missing, latency_p50 FROM quality",
        "binance||60000000000|3|103|3|-5\nbinance|BTC/USDT|60000000000|3|103|3|-5\n");
    kt_store_close(store);
    kt_config_free(config);
}

static void test_dump_is_sorted_and_complete(void **state)
{
    kt_config *config = config_of(yaml);
    kt_store *stores[2];
    char *dumps[2];

    for (uint32_t i = 0; i < 2; i++) {
        stores[i] = open_store(new_path(), config);
        OK(kt_store_begin(stores[i], &last));
        for (uint32_t j = 0; j < 3; j++) {
            char id[16];

            snprintf(id, sizeof id, "a\t%u", i == 0 ? j : 2 - j);
            put_trade(stores[i], "market", "BTC", trade_of(id, 10, false, 1));
        }
        put_vwap(stores[i], "market", "BTC", vwap_of(100, 30, 10, false, 1));
        commit(stores[i], 100 + i); /* the cursor is not part of it */
        dumps[i] = dump_of(stores[i]);
    }
    assert_string_equal(dumps[0], dumps[1]);
    assert_string_equal(dumps[0],
        "trades\tmarket\tBTC\ta\\x090\t100000000000\t101000000000\t1\t0.5\tsell\t0\t0\tstream\t1\n"
        "trades\tmarket\tBTC\ta\\x091\t100000000000\t101000000000\t1\t0.5\tsell\t0\t0\tstream\t1\n"
        "trades\tmarket\tBTC\ta\\x092\t100000000000\t101000000000\t1\t0.5\tsell\t0\t0\tstream\t1\n"
        "vwap\tmarket\tBTC\t60000000000\t100000000000\t3\t30\t10\t2\t0\t1\t1\n"
        "instruments\tmarket\tBTC\n");
    for (uint32_t i = 0; i < 2; i++) {
        free(dumps[i]);
        kt_store_close(stores[i]);
    }
    kt_config_free(config);
}

/* ---- what can go wrong ---- */

/* A shim over SQLite's own file layer, whose writes can be made to fail as on a full disk, and syncs as on a bad one.
 * */
static bool disk_full;
static bool sync_fails;
static sqlite3_vfs shim;
static const sqlite3_io_methods *real_methods; /* any of them: all write and sync alike */

static int shim_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    return disk_full ? SQLITE_FULL : real_methods->xWrite(file, data, size, at);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    return sync_fails ? SQLITE_IOERR_FSYNC : real_methods->xSync(file, flags);
}

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags)
{
    static struct {
        const sqlite3_io_methods *real;
        sqlite3_io_methods shim;
    } methods[4]; /* databases have others than journals */
    sqlite3_vfs *real = vfs->pAppData;
    int rc = real->xOpen(real, name, file, flags, out_flags);
    uint32_t i = 0;

    if (rc != SQLITE_OK)
        return rc;
    while (methods[i].real != NULL && methods[i].real != file->pMethods)
        assert_true(++i < KT_COUNT(methods));
    real_methods = methods[i].real = file->pMethods;
    methods[i].shim = *real_methods;
    methods[i].shim.xWrite = shim_write;
    methods[i].shim.xSync = shim_sync;
    file->pMethods = &methods[i].shim;
    return rc;
}

static int shim_setup(void **state)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    shim = *real;
    shim.zName = "shim";
    shim.pAppData = real;
    shim.xOpen = shim_open;
    return sqlite3_vfs_register(&shim, 1);
}

static int shim_teardown(void **state)
{
    disk_full = sync_fails = false;
    return sqlite3_vfs_unregister(&shim);
}

static void check_failing_disk(bool *fault, kt_code expected, const char *contains)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    kt_store_cursor cursor;
    kt_err err = { 0 };
    kt_ev_trade trade = trade_of("a2", 10, false, 1);
    kt_code code;

    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade_of("a1", 10, false, 1));
    commit(store, 5);

    *fault = true;
    code = kt_store_begin(store, &err);
    if (code == KT_OK)
        code = kt_store_trade(store, KT_TEXT("market"), KT_TEXT("BTC"), &trade, &err);
    if (code == KT_OK)
        code = kt_store_commit(store, "market", (kt_store_cursor){ .seq = 6 }, &err);
    assert_int_equal(code, expected);
    if (strstr(err.msg, contains) == NULL || strstr(err.msg, path) == NULL)
        fail_msg("%s", err.msg);
    kt_store_rollback(store);
    OK(kt_store_cursor_of(store, "market", &cursor, &last));
    assert_true(cursor.seq == 5);

    *fault = false; /* the same batch again */
    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade);
    commit(store, 6);
    kt_store_close(store);
    store = open_store(path, config);
    OK(kt_store_cursor_of(store, "market", &cursor, &last));
    assert_true(cursor.seq == 6);
    assert_rows(path, "SELECT trade_id FROM trades ORDER BY 1", "a1\na2\n");
    kt_store_close(store);
    kt_config_free(config);
}

static void test_full_disk_loses_nothing(void **state)
{
    check_failing_disk(&disk_full, KT_FULL, "the disk is full");
}

static void test_failing_sync_loses_nothing(void **state)
{
    check_failing_disk(&sync_fails, KT_SYS, "disk I/O error");
}

static void test_busy_store_is_tried_again(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    kt_err err = { 0 };
    sqlite3 *other = NULL;

    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(kt_store_begin(store, &err), KT_BUSY);
    assert_non_null(strstr(err.msg, "is being written by another process"));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade_of("a1", 10, false, 1));
    commit(store, 1);
    sqlite3_close(other);
    kt_store_close(store);
    kt_config_free(config);
}

static void write_garbage(const char *path)
{
    FILE *file = fopen(path, "w");

    for (uint32_t i = 0; i < 8192; i++)
        fputc((int)(i * 7 % 251), file);
    fclose(file);
}

/* A valid head, but the rest of the first page is overwritten. */
static void write_damaged(const char *path)
{
    kt_config *config = config_of(yaml);
    FILE *file;

    kt_store_close(open_store(path, config));
    kt_config_free(config);
    file = fopen(path, "r+");
    fseek(file, 100, SEEK_SET);
    for (uint32_t i = 0; i < 3000; i++)
        fputc(0xA5, file);
    fclose(file);
}

static void write_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void write_newer(const char *path)
{
    kt_config *config = config_of(yaml);

    kt_store_close(open_store(path, config));
    kt_config_free(config);
    write_sql(path, "PRAGMA user_version = 999");
}

static void write_others(const char *path)
{
    write_sql(path, "CREATE TABLE recipes (name TEXT)");
}

static void write_folder(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

static void test_bad_files_are_named_and_left_alone(void **state)
{
    static const struct {
        const char *name;
        void (*make)(const char *path);
        kt_code code;
        const char *contains;
    } rows[] = {
        { "SQLite file that is no database", write_garbage, KT_CORRUPT, "run 'kontor rebuild store'" },
        { "SQLite file that is corrupt", write_damaged, KT_CORRUPT, "run 'kontor rebuild store'" },
        { "SQLite file newer than the program", write_newer, KT_VERSION, "was made by a newer kontor (version 999" },
        { "SQLite file of another program", write_others, KT_ARG, "is the database of another program" },
        { "a folder where the file should be", write_folder, KT_SYS, "unable to open database file" },
    };
    kt_config *config = config_of(yaml);

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        const char *path = new_path();
        kt_store *store = NULL;
        kt_err err = { 0 };
        size_t before;
        size_t after;
        char *bytes[2];
        kt_code code;

        rows[i].make(path);
        bytes[0] = kt_test_read_file(path, &before);
        code = kt_store_open_file(path, config, &store, &err);
        if (code != rows[i].code || strstr(err.msg, rows[i].contains) == NULL || strstr(err.msg, path) == NULL)
            fail_msg("%s: %s, '%s'", rows[i].name, kt_code_name(code), err.msg);
        bytes[1] = kt_test_read_file(path, &after);
        if (bytes[0] != NULL) {
            assert_int_equal(before, after);
            assert_memory_equal(bytes[0], bytes[1], before);
        }
        free(bytes[0]);
        free(bytes[1]);
    }
    kt_config_free(config);
}

/* Give up root's right to write everywhere. */
static bool become_nobody(void)
{
    return geteuid() != 0 || setuid(65534) == 0;
}

/* Whether there is such a user, and temporary folders are not root's alone. */
static bool nobody_may_look(void)
{
    const char *folder = getenv("TMPDIR");
    int status = 1;
    pid_t child = fork();

    if (child == 0)
        _exit(become_nobody() && access(folder != NULL ? folder : "/tmp", X_OK) == 0 ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* In a child. 0: as it should be. */
static int open_read_only(const char *path, const kt_config *config)
{
    kt_store *store = NULL;
    kt_err err = { 0 };
    kt_code code;

    if (!become_nobody())
        return 2;
    code = kt_store_open_file(path, config, &store, &err);
    if (code == KT_SYS && strstr(err.msg, "is read-only") != NULL && strstr(err.msg, path) != NULL)
        return 0;
    fprintf(stderr, "# %s: %s\n", kt_code_name(code), err.msg);
    return 1;
}

static void test_read_only_folder(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    char folder[4096];
    char root[4096];
    pid_t child;
    int status;

    kt_store_close(open_store(path, config));
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(root, sizeof root, "%.*s", (int)(strrchr(folder, '/') - folder), folder);
    chmod(path, 0444);
    chmod(folder, 0555);
    chmod(root, 0755);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(open_read_only(path, config));
    assert_int_equal(waitpid(child, &status, 0), child);
    chmod(folder, 0700);
    kt_config_free(config);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_readers_open_what_is_there(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = NULL;
    kt_store *reader = NULL;
    kt_err err = { 0 };
    char *dump;

    assert_int_equal(kt_store_open_read(path, &reader, &err), KT_NOENT);
    assert_non_null(strstr(err.msg, "does not exist"));
    store = open_store(path, config);
    OK(kt_store_begin(store, &last));
    put_trade(store, "market", "BTC", trade_of("a1", 10, false, 1));
    commit(store, 1);
    OK(kt_store_open_read(path, &reader, &last));
    dump = dump_of(reader);
    assert_non_null(strstr(dump, "trades\tmarket\tBTC\ta1\t"));
    free(dump);
    kt_store_close(reader);
    kt_store_close(store);
    kt_store_close(NULL);
    write_sql(path, "PRAGMA user_version = 1"); /* of an older program: only a writer may change it */
    assert_int_equal(kt_store_open_read(path, &reader, &err), KT_NOENT);
    assert_non_null(strstr(err.msg, "is of an older version"));
    kt_config_free(config);
}

/* A list of ids is for who looks at a correction by hand; the rest of its row counts. */
static void test_a_correction_whose_ids_are_too_long_names_none(void **state)
{
    enum { ID_SIZE = 128, ID_COUNT = 16 };
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    char bytes[ID_COUNT][ID_SIZE];
    kt_text ids[ID_COUNT];
    kt_ev_correction range;

    memset(bytes, 1, sizeof bytes); /* six letters each in JSON */
    for (uint32_t i = 0; i < ID_COUNT; i++)
        ids[i] = (kt_text){ bytes[i], ID_SIZE };
    kt_event_init(KT_EV_CORRECTION, &range);
    range.mark_from = 100 * S;
    range.mark_to = 101 * S;
    range.window = 60 * S;
    range.cause = KT_CAUSE_MISSING;
    range.trade_ids = KT_TEXTS_OF(ids, ID_COUNT);
    range.trade_count = ID_COUNT;
    OK(kt_store_begin(store, &last));
    put_correction(store, 1, &range);
    commit(store, 1);
    assert_rows(path, "SELECT trade_ids, trade_count FROM corrections", "[]|16\n");
    kt_store_close(store);
    kt_config_free(config);
}

/* Trades are put some at a time: whatever number of them, repeats among them and texts of any length are as one by one. */
static void test_trades_that_wait_for_each_other_are_all_kept(void **state)
{
    kt_config *config = config_of(yaml);
    const char *path = new_path();
    kt_store *store = open_store(path, config);
    char expected[64], id[64], sql[200], large[20000] = "";

    memset(large, 'x', sizeof large - 1);
    for (uint32_t count = 1; count < 70; count++) {
        OK(kt_store_begin(store, &last));
        for (uint32_t i = 0; i < count; i++) {
            snprintf(id, sizeof id, "%u-%u", count, i / 2); /* each id twice: the second, validated, stands */
            put_trade(store, "market", i % 3 == 0 ? "ETH" : "BTC", trade_of(id, 10 + i, i % 2 == 1, 1));
            put_trade(store, "market", "ALL", trade_of(id, 10 + i, i % 2 == 1, 1));
        }
        if (count % 7 == 0)
            put_trade(store, "market", "ALL", trade_of(large, count, true, count));
        commit(store, count);
        snprintf(expected, sizeof expected, "%u|%u\n", (count + 1) / 2, count / 2);
        snprintf(sql, sizeof sql,
            "SELECT count(*), sum(validated) FROM trades WHERE symbol = 'ALL' AND trade_id LIKE '%u-%%'", count);
        assert_rows(path, sql, expected);
    }
    assert_rows(path, "SELECT revision FROM trades WHERE length(trade_id) = 19999", "63\n");

    OK(kt_store_begin(store, &last)); /* what waits when a transaction is given up does not come with the next */
    put_trade(store, "market", "BTC", trade_of("given up", 1, true, 1));
    kt_store_rollback(store);
    OK(kt_store_begin(store, &last));
    commit(store, 100);
    assert_rows(path, "SELECT count(*) FROM trades WHERE trade_id = 'given up'", "0\n");
    kt_store_close(store);
    kt_config_free(config);
}

int main(void)
{
    const bool looks = nobody_may_look();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validated_is_never_replaced_by_unvalidated),
        cmocka_unit_test(test_trades_that_wait_for_each_other_are_all_kept),
        cmocka_unit_test(test_rows_and_cursor_commit_together_or_not_at_all),
        cmocka_unit_test(test_decimals_and_sums_stay_exact),
        cmocka_unit_test(test_views_have_the_original_columns),
        cmocka_unit_test(test_corrections),
        cmocka_unit_test(test_a_correction_whose_ids_are_too_long_names_none),
        cmocka_unit_test(test_the_newest_revision_of_a_minute_stands),
        cmocka_unit_test(test_dump_is_sorted_and_complete),
        cmocka_unit_test_setup_teardown(test_full_disk_loses_nothing, shim_setup, shim_teardown),
        cmocka_unit_test_setup_teardown(test_failing_sync_loses_nothing, shim_setup, shim_teardown),
        cmocka_unit_test(test_busy_store_is_tried_again),
        cmocka_unit_test(test_bad_files_are_named_and_left_alone),
        KT_TEST_WHERE(looks, test_read_only_folder, "no user but root may look at temporary folders"),
        cmocka_unit_test(test_readers_open_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
