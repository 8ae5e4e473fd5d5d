/* How fast the store follows a log: records read, checked, decoded and kept, in batches as lane keep makes them, each
 * with its cursor in one transaction that is synced.
 *
 *   trades   one symbol; ids and times rise, as a venue sends them
 *   mixed    two trades, then values of three windows, as of a symbol with two trades a second
 *
 * Calibration: the same rows, ready-made, into a bare SQLite table with the same key in the same batches, same run. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/test_util.h"
#include "base/time.h"
#include "log/log.h"
#include "report.h"
#include "store/recorder.h"

enum { RUNS = 3, RECORDS = 400000, PAYLOAD_MAX = 1024 };

static kt_err err;

static void must(kt_code code, const char *what)
{
    if (code == KT_OK)
        return;
    fprintf(stderr, "store_bench: %s: %s\n", what, err.msg);
    exit(1);
}

static void must_sqlite(int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE)
        return;
    fprintf(stderr, "store_bench: %s: %s\n", what, sqlite3_errstr(rc));
    exit(1);
}

static double seconds_since(int64_t start_ns)
{
    return (double)(kt_test_now_ns() - start_ns) / 1e9;
}

/* ---- the log ---- */

static void append(kt_log *log, uint16_t kind, const char *subject, const void *event)
{
    uint8_t payload[PAYLOAD_MAX];
    kt_rec_head head = { .kind = kind, .flags = KT_REC_OUTPUT, .time_ns = 1 };
    uint32_t size = 0;

    must(kt_event_encode(kind, event, payload, sizeof payload, &size), "encode");
    must(kt_log_subject(log, kt_text_of(subject), 0, &head.subject, &err), "subject");
    must(kt_log_append(log, &head, payload, size, NULL), "append");
}

static void append_trade(kt_log *log, uint64_t number)
{
    kt_ev_trade trade;
    char id[24];

    kt_event_init(KT_EV_TRADE, &trade);
    trade.venue_time = KT_NS_PER_S * 1723161255 + (int64_t)number * KT_NS_PER_MS;
    trade.receive_time = trade.venue_time + 40 * KT_NS_PER_MS;
    trade.price = (kt_decimal){ .m = 6183700 + (int64_t)(number % 977), .scale = 2 };
    trade.quantity = (kt_decimal){ .m = 1 + (int64_t)(number % 100003), .scale = 5 };
    trade.side = number % 3 == 0 ? KT_SIDE_BUY : KT_SIDE_SELL;
    trade.trade_id =
        (kt_text){ id, (size_t)snprintf(id, sizeof id, "%llu", 3735000000ULL + (unsigned long long)number) };
    trade.trade_number = 3735000000 + number;
    trade.revision = 1;
    append(log, KT_EV_TRADE, "trades.binance.BTC/USDT", &trade);
}

static void append_value(kt_log *log, uint64_t number, const char *subject, int64_t window_s)
{
    kt_ev_vwap vwap;

    kt_event_init(KT_EV_VWAP, &vwap);
    vwap.mark = (1723161255 + (int64_t)number / 5) * KT_NS_PER_S;
    vwap.window = window_s * KT_NS_PER_S;
    vwap.price = (kt_decimal){ .m = 618370012 + (int64_t)(number % 977), .scale = 4 };
    vwap.sum_pq = kt_sum_of(618370012 + (kt_i128)number * 977, 7);
    vwap.sum_q = kt_sum_of(100003 + (kt_i128)(number % 100003), 5);
    vwap.trades = 2 * (uint64_t)window_s;
    vwap.complete = true;
    append(log, KT_EV_VWAP, subject, &vwap);
}

static void append_any(kt_log *log, uint64_t number, bool mixed)
{
    if (!mixed || number % 5 < 2)
        append_trade(log, number);
    else if (number % 5 == 2)
        append_value(log, number, "vwap.1m.binance.BTC/USDT", 60);
    else if (number % 5 == 3)
        append_value(log, number, "vwap.5m.binance.BTC/USDT", 300);
    else
        append_value(log, number, "vwap.1h.binance.BTC/USDT", 3600);
}

static void write_log(const char *data, bool mixed)
{
    kt_log_options options;
    kt_log *log = NULL;
    char dir[512];

    snprintf(dir, sizeof dir, "%s/" KT_RECORDER_LOG, data);
    kt_log_options_init(&options, dir);
    options.sync = KT_SYNC_INLINE;
    must(kt_log_open(&options, &log, &err), "log");
    for (uint64_t i = 0; i < RECORDS; i++)
        append_any(log, i, mixed);
    must(kt_log_sync(log, &err), "sync");
    must(kt_log_close(log, &err), "close");
}

/* ---- the store ---- */

static double follow(const char *data, const kt_config *config)
{
    kt_store *store = NULL;
    kt_recorder *recorder = calloc(1, sizeof *recorder);
    int64_t start_ns;
    double seconds;
    kt_code code;

    if (recorder == NULL)
        exit(1);
    must(kt_store_open(config, &store, &err), "store");
    must(kt_recorder_init(recorder, store, data, &err), "recorder");
    start_ns = kt_test_now_ns();
    do
        code = kt_recorder_batch(recorder, KT_RECORDER_BATCH_MAX, &err);
    while (code == KT_OK);
    seconds = seconds_since(start_ns);
    if (code != KT_EMPTY || recorder->cursor.seq < RECORDS)
        must(code, "batch");
    kt_recorder_close(recorder);
    kt_store_close(store);
    free(recorder);
    unlink(config->store_file);
    return seconds;
}

/* ---- a bare table ---- */

static double bare(const char *path)
{
    static const char make[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a TEXT, b TEXT, c TEXT, d INTEGER, "
        "e INTEGER, f TEXT, g TEXT, h TEXT, i INTEGER, j INTEGER, k TEXT, l INTEGER, PRIMARY KEY (a, b, c)) "
        "STRICT, WITHOUT ROWID";
    sqlite3 *db = NULL;
    sqlite3_stmt *put = NULL;
    int64_t start_ns;
    double seconds;

    must_sqlite(sqlite3_open(path, &db), path);
    must_sqlite(sqlite3_exec(db, make, NULL, NULL, NULL), "create");
    must_sqlite(
        sqlite3_prepare_v2(db,
            "INSERT INTO t VALUES ('binance', 'BTC/USDT', ?1, ?2, ?3, '61837.01', '0.00123', 'buy', 0, 0, 'stream', 1)",
            -1, &put, NULL),
        "insert");
    start_ns = kt_test_now_ns();
    for (uint64_t i = 0; i < RECORDS; i++) {
        char id[24];
        int n = snprintf(id, sizeof id, "%llu", 3735000000ULL + (unsigned long long)i);

        if (i % KT_RECORDER_BATCH_MAX == 0)
            must_sqlite(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), "begin");
        sqlite3_bind_text(put, 1, id, n, SQLITE_STATIC);
        sqlite3_bind_int64(put, 2, 1723161255000000000 + (int64_t)i * 1000000);
        sqlite3_bind_int64(put, 3, 1723161255040000000 + (int64_t)i * 1000000);
        must_sqlite(sqlite3_step(put), "insert");
        sqlite3_reset(put);
        if (i % KT_RECORDER_BATCH_MAX == KT_RECORDER_BATCH_MAX - 1 || i == RECORDS - 1)
            must_sqlite(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), "commit");
    }
    seconds = seconds_since(start_ns);
    sqlite3_finalize(put);
    sqlite3_close(db);
    unlink(path);
    return seconds;
}

static void bench(bool mixed)
{
    char data[400], yaml[600], path[512];
    double ours[RUNS], theirs[RUNS];
    kt_config *config = NULL;

    snprintf(data, sizeof data, "%s", kt_test_dir());
    snprintf(path, sizeof path, "%s/bare.db", data);
    snprintf(yaml, sizeof yaml,
        "data: %s\nvenues: [{name: binance, format: binance, ws_url: 'ws://h/s', symbols: [BTC/USDT]}]\n", data);
    must(kt_config_parse("bench", yaml, strlen(yaml), &config, &err), "config");
    write_log(data, mixed);
    for (uint32_t i = 0; i < RUNS; i++) {
        theirs[i] = RECORDS / bare(path);
        ours[i] = RECORDS / follow(data, config);
    }
    double rate = bench_median(ours, RUNS), demand = 200e3 * bench_disk_speed();
    bench_print(&(bench_row){ .what = "store",
        .workload = mixed ? "trades and values of three windows, from a log" : "trades of one symbol, from a log",
        .figure = bench_text("%.0f k rows/s", rate / 1e3),
        .against = bench_text(
            "%.2f of a bare table of SQLite (%.0f k/s)", rate / bench_median(theirs, RUNS), theirs[RUNS / 2] / 1e3),
        .demand = bench_text("at least %.0f k/s", demand / 1e3),
        .met = bench_is(rate >= demand) });
    kt_config_free(config);
}

int main(void)
{
    bench_progress("store_bench: %d k records a run, batches of %d, SQLite %s with synchronous=FULL, median of %d runs",
        RECORDS / 1000, KT_RECORDER_BATCH_MAX, sqlite3_libversion(), RUNS);
    bench(false);
    bench(true);
    return 0;
}
