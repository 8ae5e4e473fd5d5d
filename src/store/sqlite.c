#include "store/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "store/migrations.h"

enum {
    APPLICATION_ID = 0x6B6F6E74, /* "kont": tells our files from other programs' databases */
    BUSY_MS = 1000,              /* how long another writer is waited for */
    TEXT_MAX = 8192,             /* trade ids of a correction as JSON */
    NUMBERS_SIZE = 1024,         /* decimals and sums of one statement as text */
    TRADES_MAX = 16,             /* trades that are put by one statement: it costs as much as four of one trade */
    TRADE_TEXTS_SIZE = 8192      /* their venues, symbols and ids */
};

typedef enum statement_id {
    BEGIN,
    COMMIT,
    ROLLBACK,
    CURSOR_PUT,
    CURSOR_GET,
    TRADE_PUT,
    TRADES_PUT,
    VWAP_PUT,
    VWAP_GET,
    VWAP_DROP,
    CORRECTION_PUT,
    WATERMARK_PUT,
    QUALITY_PUT,
    INSTRUMENT_PUT,
    COMPAT_PUT,
    STATEMENT_COUNT
} statement_id;

#define TRADE_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define TRADE_ROWS_4 TRADE_ROW ", " TRADE_ROW ", " TRADE_ROW ", " TRADE_ROW
#define TRADE_AGAIN                                                                                       \
    " ON CONFLICT DO UPDATE SET venue_time = excluded.venue_time, receive_time = excluded.receive_time, " \
    "price = excluded.price, quantity = excluded.quantity, side = excluded.side, "                        \
    "validated = excluded.validated, suspect = excluded.suspect, source = excluded.source, "              \
    "revision = excluded.revision "                                                                       \
    "WHERE (excluded.validated, excluded.revision) >= (validated, revision)"

#define VWAP_KEY "venue = ?1 AND symbol = ?2 AND \"window\" = ?3"

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [CURSOR_PUT] = "INSERT INTO cursors VALUES (?1, ?2, ?3) "
                   "ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq",
    [CURSOR_GET] = "SELECT epoch, seq FROM cursors WHERE log = ?1",
    [TRADE_PUT] = "INSERT INTO trades VALUES " TRADE_ROW TRADE_AGAIN,
    [TRADES_PUT] =
        "INSERT INTO trades VALUES " TRADE_ROWS_4 ", " TRADE_ROWS_4 ", " TRADE_ROWS_4 ", " TRADE_ROWS_4 TRADE_AGAIN,
    [VWAP_PUT] = "INSERT INTO vwap VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
                 "ON CONFLICT DO UPDATE SET price = excluded.price, sum_pq = excluded.sum_pq, sum_q = excluded.sum_q, "
                 "trades = excluded.trades, validated = excluded.validated, complete = excluded.complete, "
                 "revision = excluded.revision "
                 "WHERE (excluded.validated, excluded.revision) >= (validated, revision)",
    [VWAP_GET] = "SELECT price, sum_pq, sum_q, trades, validated, complete, revision FROM vwap "
                 "WHERE " VWAP_KEY " AND mark = ?4",
    [VWAP_DROP] = "DELETE FROM vwap WHERE " VWAP_KEY " AND mark = ?4",
    [CORRECTION_PUT] =
        "INSERT INTO corrections VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
        "?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24) ON CONFLICT DO NOTHING",
    [WATERMARK_PUT] = "INSERT INTO watermarks VALUES (?1, ?2, ?3, ?4, ?5) "
                      "ON CONFLICT DO UPDATE SET validated_until = excluded.validated_until, "
                      "covered_from = excluded.covered_from, market_time = excluded.market_time "
                      "WHERE (excluded.validated_until, excluded.market_time) >= (validated_until, market_time)",
    [QUALITY_PUT] =
        "INSERT INTO quality VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) "
        "ON CONFLICT DO UPDATE SET revision = excluded.revision, received = excluded.received, "
        "invalid = excluded.invalid, repeated = excluded.repeated, reordered = excluded.reordered, "
        "missing = excluded.missing, repaired = excluded.repaired, suspect = excluded.suspect, "
        "silence = excluded.silence, latency_p50 = excluded.latency_p50, "
        "latency_p99 = excluded.latency_p99, latency_max = excluded.latency_max, timed = excluded.timed "
        "WHERE excluded.revision >= revision",
    [INSTRUMENT_PUT] = "INSERT INTO instruments VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    [COMPAT_PUT] = "INSERT INTO compat_tickers VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
};

/* What kt_store_dump writes, in the order of the keys. */
static const char *const dumps[] = {
    "SELECT 'trades', * FROM trades ORDER BY venue, symbol, trade_id",
    "SELECT 'vwap', * FROM vwap ORDER BY venue, symbol, \"window\", mark",
    "SELECT 'corrections', * FROM corrections ORDER BY log, seq",
    "SELECT 'watermarks', * FROM watermarks ORDER BY venue, symbol",
    "SELECT 'quality', * FROM quality ORDER BY venue, symbol, minute",
    "SELECT 'instruments', * FROM instruments ORDER BY venue, symbol",
};

/* A trade that waits for others of its transaction. Its texts are borrowed. */
typedef struct trade_row {
    kt_text venue, symbol;
    kt_ev_trade trade;
} trade_row;

struct kt_store {
    sqlite3 *db;
    char *path;
    const kt_config *config; /* NULL: opened only to read */
    sqlite3_stmt *prepared[STATEMENT_COUNT];
    trade_row trades[TRADES_MAX];
    uint32_t trade_count;
    char trade_texts[TRADE_TEXTS_SIZE];
    size_t trade_texts_size;
    char numbers[NUMBERS_SIZE]; /* texts of the statement that is being filled */
    char last_venue
        [64]; /* the instrument that was seen last in this transaction, so that most rows need not ask for it */
    char last_symbol[256];
};

/* ---- errors ---- */

static kt_code code_of(int rc)
{
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return KT_OK;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return KT_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return KT_BUSY;
    case SQLITE_FULL:
        return KT_FULL;
    default:
        return KT_SYS;
    }
}

static kt_code store_fail(kt_store *store, int rc, kt_err *err)
{
    const char *path = store->path;

    switch (code_of(rc)) {
    case KT_CORRUPT:
        return kt_fail(err, KT_CORRUPT,
            "store '%s' is damaged or no database (%s): move it away and run 'kontor rebuild store'", path,
            sqlite3_errstr(rc));
    case KT_BUSY:
        return kt_fail(err, KT_BUSY, "store '%s' is being written by another process: stop it, or try again", path);
    case KT_FULL:
        return kt_fail(
            err, KT_FULL, "store '%s' can not grow, the disk is full: nothing of this batch was kept, make room", path);
    default:
        if ((rc & 0xFF) == SQLITE_READONLY)
            return kt_fail(err, KT_SYS, "store '%s' or its folder is read-only", path);
        errno = store->db != NULL ? sqlite3_system_errno(store->db) : ENOMEM;
        return kt_fail(err, KT_SYS, "store '%s': %s", path, sqlite3_errstr(rc));
    }
}

/* ---- statements ---- */

/* Values for one statement, in the order of its parameters; the first failure is kept. Texts are borrowed until it has
 * run: a copy of each would cost more than the rest of a row. */
typedef struct bound {
    kt_store *store;
    sqlite3_stmt *statement;
    size_t numbers_size;
    int index;
    int rc;
} bound;

static bound bind(kt_store *store, statement_id which)
{
    sqlite3_reset(store->prepared[which]);
    return (bound){ .store = store, .statement = store->prepared[which], .rc = SQLITE_OK };
}

static void bind_i64(bound *binder, int64_t value)
{
    if (binder->rc == SQLITE_OK)
        binder->rc = sqlite3_bind_int64(binder->statement, ++binder->index, value);
}

static void bind_text(bound *binder, kt_text text)
{
    if (binder->rc == SQLITE_OK)
        binder->rc = sqlite3_bind_text64(
            binder->statement, ++binder->index, text.s != NULL ? text.s : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}

static char *number_room(bound *binder, size_t size)
{
    kt_assert(size <= NUMBERS_SIZE - binder->numbers_size);
    return binder->store->numbers + binder->numbers_size;
}

static void bind_number(bound *binder, char *text, size_t n)
{
    binder->numbers_size += n;
    bind_text(binder, (kt_text){ text, n });
}

static void bind_decimal(bound *binder, kt_decimal value)
{
    char *text = number_room(binder, KT_DECIMAL_TEXT_MAX);

    bind_number(binder, text, kt_decimal_format_trimmed(text, KT_DECIMAL_TEXT_MAX, value));
}

static void bind_sum(bound *binder, kt_sum value)
{
    char *text = number_room(binder, KT_I128_TEXT_MAX);

    bind_number(binder, text, kt_i128_format_trimmed(text, KT_I128_TEXT_MAX, kt_sum_value(value), value.scale));
}

static void bind_enum(bound *binder, const kt_enum_spec *values, uint8_t number)
{
    bind_text(binder, kt_text_of(values->values[number < values->count ? number : 0]));
}

/* Run a statement that gives no rows. */
static kt_code run(kt_store *store, bound *binder, kt_err *err)
{
    int rc = binder->rc;

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(binder->statement);
        sqlite3_reset(binder->statement);
    }
    return rc == SQLITE_DONE ? KT_OK : store_fail(store, rc, err);
}

static kt_code run_plain(kt_store *store, statement_id which, kt_err *err)
{
    bound binder = bind(store, which);

    return run(store, &binder, err);
}

static kt_text column_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return (kt_text){ text != NULL ? text : "", (size_t)sqlite3_column_bytes(statement, column) };
}

/* ---- open ---- */

static kt_code exec(kt_store *store, const char *sql, kt_err *err)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? KT_OK : store_fail(store, rc, err);
}

/* The one value of a query. */
static kt_code ask(kt_store *store, const char *sql, int64_t *out_value, kt_err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out_value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? KT_OK : store_fail(store, rc, err);
}

/* Whose file is it, and of which version? */
static kt_code identify(kt_store *store, int64_t *out_version, kt_err *err)
{
    int64_t application = 0;
    int64_t tables = 0;
    kt_code code = ask(store, "PRAGMA application_id", &application, err);

    if (code == KT_OK)
        code = ask(store, "PRAGMA user_version", out_version, err);
    if (code == KT_OK)
        code = ask(store, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (code != KT_OK)
        return code;
    if (application != APPLICATION_ID && (tables != 0 || *out_version != 0))
        return kt_fail(
            err, KT_ARG, "store '%s' is the database of another program: set store.path to another file", store->path);
    if (*out_version > (int64_t)kt_store_migration_count)
        return kt_fail(err, KT_VERSION,
            "store '%s' was made by a newer kontor (version %lld; this one knows %u): run that one, or set store.path to "
            "another file",
            store->path, (long long)*out_version, kt_store_migration_count);
    return KT_OK;
}

/* Each migration in a transaction of its own, together with its number. */
static kt_code migrate(kt_store *store, int64_t version, kt_err *err)
{
    kt_code code = KT_OK;

    for (; code == KT_OK && version < (int64_t)kt_store_migration_count; version++) {
        char mark[96];

        snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT", APPLICATION_ID,
            (long long)version + 1);
        code = exec(store, "BEGIN EXCLUSIVE", err);
        if (code == KT_OK)
            code = exec(store, kt_store_migrations[version], err);
        if (code == KT_OK)
            code = exec(store, mark, err);
        if (code != KT_OK && !sqlite3_get_autocommit(store->db))
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return code;
}

static kt_code prepare(kt_store *store, kt_err *err)
{
    int rc = SQLITE_OK;

    for (uint32_t i = 0; rc == SQLITE_OK && i < STATEMENT_COUNT; i++)
        rc = sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &store->prepared[i], NULL);
    return rc == SQLITE_OK ? KT_OK : store_fail(store, rc, err);
}

/* The tickers that an instrument stands for: those of compat.tickers, and its own name unless another venue comes
 * first. */
static kt_code put_compat(kt_store *store, kt_text venue, kt_text symbol, kt_err *err)
{
    kt_code code = KT_OK;
    kt_text ticker_venue;
    kt_text ticker_symbol;
    bound binder;

    for (uint32_t i = 0; code == KT_OK && i <= store->config->ticker_count; i++) {
        kt_text ticker = i < store->config->ticker_count ? kt_text_of(store->config->tickers[i].ticker) : symbol;

        if (kt_config_ticker_of(store->config, ticker, &ticker_venue, &ticker_symbol) != KT_OK ||
            !kt_text_equal(ticker_venue, venue) || !kt_text_equal(ticker_symbol, symbol))
            continue;
        binder = bind(store, COMPAT_PUT);
        bind_text(&binder, venue);
        bind_text(&binder, symbol);
        bind_text(&binder, ticker);
        code = run(store, &binder, err);
    }
    return code;
}

static kt_code refresh_compat_rows(kt_store *store, kt_err *err)
{
    sqlite3_stmt *all = NULL;
    char window[80];
    kt_code code;
    int rc;

    snprintf(window, sizeof window, "DELETE FROM compat_window; INSERT INTO compat_window VALUES (%lld)",
        (long long)store->config->interval_ns);
    code = exec(store, window, err);
    if (code == KT_OK)
        code = exec(store, "DELETE FROM compat_tickers", err);
    if (code != KT_OK)
        return code;
    rc = sqlite3_prepare_v2(store->db, "SELECT venue, symbol FROM instruments", -1, &all, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(all);
    while (rc == SQLITE_ROW && code == KT_OK) {
        code = put_compat(store, column_text(all, 0), column_text(all, 1), err);
        rc = sqlite3_step(all);
    }
    sqlite3_finalize(all);
    return code != KT_OK || rc == SQLITE_DONE ? code : store_fail(store, rc, err);
}

/* The configuration may have changed since the file was written. */
static kt_code refresh_compat(kt_store *store, kt_err *err)
{
    kt_code code = run_plain(store, BEGIN, err);

    if (code == KT_OK)
        code = refresh_compat_rows(store, err);
    if (code == KT_OK)
        code = run_plain(store, COMMIT, err);
    if (code != KT_OK)
        kt_store_rollback(store);
    return code;
}

static kt_code store_new(const char *path, kt_store **out_store, kt_err *err)
{
    kt_store *store = calloc(1, sizeof *store);

    if (store != NULL)
        store->path = strdup(path);
    if (store == NULL || store->path == NULL) {
        free(store);
        errno = ENOMEM;
        return kt_fail(err, KT_SYS, "store '%s'", path);
    }
    *out_store = store;
    return KT_OK;
}

static kt_code open_db(kt_store *store, int flags, kt_err *err)
{
    int rc = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(store->db, BUSY_MS);
    return rc == SQLITE_OK ? KT_OK : store_fail(store, rc, err);
}

kt_code kt_store_open_file(const char *path, const kt_config *config, kt_store **out_store, kt_err *err)
{
    kt_store *store = NULL;
    int64_t version = 0;
    kt_code code = store_new(path, &store, err);

    if (code != KT_OK)
        return code;
    store->config = config;
    code = open_db(store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (code == KT_OK)
        code = identify(store, &version, err);
    if (code == KT_OK)
        code = exec(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY", err);
    if (code == KT_OK)
        code = migrate(store, version, err);
    if (code == KT_OK)
        code = prepare(store, err);
    if (code == KT_OK)
        code = refresh_compat(store, err);
    if (code == KT_OK) {
        *out_store = store;
        store = NULL;
    }
    kt_store_close(store);
    return code;
}

kt_code kt_store_open(const kt_config *config, kt_store **out_store, kt_err *err)
{
    return kt_store_open_file(config->store_file, config, out_store, err);
}

kt_code kt_store_open_read(const char *path, kt_store **out_store, kt_err *err)
{
    kt_store *store = NULL;
    int64_t version = 0;
    kt_code code = store_new(path, &store, err);

    if (code != KT_OK)
        return code;
    code = open_db(store, SQLITE_OPEN_READONLY, err);
    if (code == KT_SYS && sqlite3_system_errno(store->db) == ENOENT)
        code = kt_fail(err, KT_NOENT, "store '%s' does not exist", path);
    if (code == KT_OK)
        code = identify(store, &version, err);
    if (code == KT_OK && version < (int64_t)kt_store_migration_count)
        code = kt_fail(err, KT_NOENT, "store '%s' is of an older version, which only a writer brings up to date", path);
    if (code == KT_OK)
        code = prepare(store, err);
    if (code == KT_OK) {
        *out_store = store;
        store = NULL;
    }
    kt_store_close(store);
    return code;
}

void kt_store_close(kt_store *store)
{
    if (store == NULL)
        return;
    for (uint32_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->prepared[i]);
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

/* ---- transactions ---- */

static void forget_trades(kt_store *store);
static kt_code put_trades(kt_store *store, kt_err *err);

kt_code kt_store_begin(kt_store *store, kt_err *err)
{
    store->last_venue[0] = '\0';
    store->last_symbol[0] = '\0';
    forget_trades(store);
    return run_plain(store, BEGIN, err);
}

kt_code kt_store_commit(kt_store *store, const char *log, kt_store_cursor cursor, kt_err *err)
{
    kt_code code = put_trades(store, err);
    bound binder;
    char epoch[17];

    if (code != KT_OK)
        return code;
    snprintf(epoch, sizeof epoch, "%016llx", (unsigned long long)cursor.epoch);
    binder = bind(store, CURSOR_PUT);
    bind_text(&binder, kt_text_of(log));
    bind_text(&binder, kt_text_of(epoch));
    bind_i64(&binder, (int64_t)cursor.seq);
    code = run(store, &binder, err);
    return code == KT_OK ? run_plain(store, COMMIT, err) : code;
}

uint64_t kt_store_changes(const kt_store *store)
{
    return (uint64_t)sqlite3_total_changes64(store->db);
}

void kt_store_rollback(kt_store *store)
{
    forget_trades(store);
    for (uint32_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_reset(store->prepared[i]);
    if (!sqlite3_get_autocommit(store->db)) /* some errors have rolled back already */
        run_plain(store, ROLLBACK, NULL);
}

kt_code kt_store_cursor_of(kt_store *store, const char *log, kt_store_cursor *out_cursor, kt_err *err)
{
    bound binder = bind(store, CURSOR_GET);
    kt_code code = KT_OK;
    int rc;

    *out_cursor = (kt_store_cursor){ 0 };
    bind_text(&binder, kt_text_of(log));
    rc = binder.rc == SQLITE_OK ? sqlite3_step(binder.statement) : binder.rc;
    if (rc == SQLITE_ROW) {
        out_cursor->seq = (uint64_t)sqlite3_column_int64(binder.statement, 1);
        if (kt_text_hex64(column_text(binder.statement, 0), &out_cursor->epoch) != KT_OK)
            code = store_fail(store, SQLITE_CORRUPT, err);
    } else {
        code = rc == SQLITE_DONE ? KT_NOENT : store_fail(store, rc, err);
    }
    sqlite3_reset(binder.statement);
    return code;
}

/* ---- writes ---- */

/* A composite is no instrument: it has no venue. */
static kt_code put_instrument(kt_store *store, kt_text venue, kt_text symbol, kt_err *err)
{
    bool fits = venue.n < sizeof store->last_venue && symbol.n < sizeof store->last_symbol;
    bound binder;
    kt_code code;

    if (venue.n == 0 ||
        (kt_text_equal(venue, kt_text_of(store->last_venue)) && kt_text_equal(symbol, kt_text_of(store->last_symbol))))
        return KT_OK;
    binder = bind(store, INSTRUMENT_PUT);
    bind_text(&binder, venue);
    bind_text(&binder, symbol);
    code = run(store, &binder, err);
    if (code == KT_OK && sqlite3_changes(store->db) == 1)
        code = put_compat(store, venue, symbol, err);
    if (code == KT_OK && fits) {
        snprintf(store->last_venue, sizeof store->last_venue, "%.*s", KT_TEXT_ARG(venue));
        snprintf(store->last_symbol, sizeof store->last_symbol, "%.*s", KT_TEXT_ARG(symbol));
    }
    return code;
}

static void bind_trade(bound *binder, const trade_row *row)
{
    const kt_ev_trade *trade = &row->trade;

    bind_text(binder, row->venue);
    bind_text(binder, row->symbol);
    bind_text(binder, trade->trade_id);
    bind_i64(binder, trade->venue_time);
    bind_i64(binder, trade->receive_time);
    bind_decimal(binder, trade->price);
    bind_decimal(binder, trade->quantity);
    bind_enum(binder, &kt_enum_side, trade->side);
    bind_i64(binder, trade->validated);
    bind_i64(binder, trade->suspect);
    bind_enum(binder, &kt_enum_source, trade->source);
    bind_i64(binder, trade->revision);
}

static kt_code put_trade(kt_store *store, const trade_row *row, kt_err *err)
{
    bound binder = bind(store, TRADE_PUT);

    bind_trade(&binder, row);
    return run(store, &binder, err);
}

static void forget_trades(kt_store *store)
{
    store->trade_count = 0;
    store->trade_texts_size = 0;
}

/* Those that wait, in their order. */
static kt_code put_trades(kt_store *store, kt_err *err)
{
    kt_code code = KT_OK;

    if (store->trade_count == TRADES_MAX) {
        bound binder = bind(store, TRADES_PUT);

        for (uint32_t i = 0; i < TRADES_MAX; i++)
            bind_trade(&binder, &store->trades[i]);
        code = run(store, &binder, err);
    } else {
        for (uint32_t i = 0; i < store->trade_count && code == KT_OK; i++)
            code = put_trade(store, &store->trades[i], err);
    }
    forget_trades(store);
    return code;
}

static kt_text keep_text(kt_store *store, kt_text text)
{
    char *copy = store->trade_texts + store->trade_texts_size;

    memcpy(copy, text.s != NULL ? text.s : "", text.n);
    store->trade_texts_size += text.n;
    return (kt_text){ copy, text.n };
}

kt_code kt_store_trade(kt_store *store, kt_text venue, kt_text symbol, const kt_ev_trade *trade, kt_err *err)
{
    size_t size = venue.n + symbol.n + trade->trade_id.n;
    kt_code code = put_instrument(store, venue, symbol, err);
    trade_row *row;

    if (code == KT_OK && (store->trade_count == TRADES_MAX || size > TRADE_TEXTS_SIZE - store->trade_texts_size))
        code = put_trades(store, err);
    if (code != KT_OK)
        return code;
    if (size > TRADE_TEXTS_SIZE)
        return put_trade(store, &(trade_row){ .venue = venue, .symbol = symbol, .trade = *trade }, err);
    row = &store->trades[store->trade_count++];
    *row = (trade_row){ .venue = keep_text(store, venue), .symbol = keep_text(store, symbol), .trade = *trade };
    row->trade.trade_id = keep_text(store, trade->trade_id);
    return KT_OK;
}

static void bind_vwap_key(bound *binder, kt_text venue, kt_text symbol, int64_t window, int64_t mark)
{
    bind_text(binder, venue);
    bind_text(binder, symbol);
    bind_i64(binder, window);
    bind_i64(binder, mark);
}

typedef struct vwap_row {
    kt_decimal price;
    kt_sum sum_pq;
    kt_sum sum_q;
    int64_t trades;
    bool validated;
    bool complete;
    uint32_t revision;
} vwap_row;

static kt_code put_row(
    kt_store *store, kt_text venue, kt_text symbol, int64_t window, int64_t mark, const vwap_row *row, kt_err *err)
{
    bound binder = bind(store, VWAP_PUT);

    bind_vwap_key(&binder, venue, symbol, window, mark);
    bind_decimal(&binder, row->price);
    bind_sum(&binder, row->sum_pq);
    bind_sum(&binder, row->sum_q);
    bind_i64(&binder, row->trades);
    bind_i64(&binder, row->validated);
    bind_i64(&binder, row->complete);
    bind_i64(&binder, row->revision);
    return run(store, &binder, err);
}

/* A text in a row that we wrote reads back; anything else is damage. */
static kt_code column_sum(kt_store *store, sqlite3_stmt *row, int column, kt_sum *out_sum, kt_err *err)
{
    kt_i128 m;
    uint32_t scale;

    if (kt_i128_parse(column_text(row, column), &m, &scale) != KT_OK)
        return store_fail(store, SQLITE_CORRUPT, err);
    *out_sum = kt_sum_of(m, (uint8_t)scale);
    return KT_OK;
}

/* KT_NOENT: there is none, and *out_row is left alone. */
static kt_code get_row(
    kt_store *store, kt_text venue, kt_text symbol, int64_t window, int64_t mark, vwap_row *out_row, kt_err *err)
{
    bound binder = bind(store, VWAP_GET);
    vwap_row row = { 0 };
    kt_code code = KT_OK;
    int rc;

    bind_vwap_key(&binder, venue, symbol, window, mark);
    rc = binder.rc == SQLITE_OK ? sqlite3_step(binder.statement) : binder.rc;
    if (rc != SQLITE_ROW) {
        code = rc == SQLITE_DONE ? KT_NOENT : store_fail(store, rc, err);
        goto out;
    }
    if (kt_decimal_parse(column_text(binder.statement, 0), &row.price) != KT_OK)
        code = store_fail(store, SQLITE_CORRUPT, err);
    if (code == KT_OK)
        code = column_sum(store, binder.statement, 1, &row.sum_pq, err);
    if (code == KT_OK)
        code = column_sum(store, binder.statement, 2, &row.sum_q, err);
    row.trades = sqlite3_column_int64(binder.statement, 3);
    row.validated = sqlite3_column_int(binder.statement, 4) != 0;
    row.complete = sqlite3_column_int(binder.statement, 5) != 0;
    row.revision = (uint32_t)sqlite3_column_int64(binder.statement, 6);
    if (code == KT_OK)
        *out_row = row;
out:
    sqlite3_reset(binder.statement);
    return code;
}

kt_code kt_store_vwap(kt_store *store, kt_text venue, kt_text symbol, const kt_ev_vwap *vwap, kt_err *err)
{
    vwap_row row = { .price = vwap->price,
        .sum_pq = vwap->sum_pq,
        .sum_q = vwap->sum_q,
        .trades = (int64_t)vwap->trades,
        .validated = vwap->validated,
        .complete = vwap->complete,
        .revision = vwap->revision };
    kt_code code = put_instrument(store, venue, symbol, err);

    return code == KT_OK ? put_row(store, venue, symbol, vwap->window, vwap->mark, &row, err) : code;
}

static kt_code put_correction(kt_store *store, kt_text venue, kt_text symbol, const char *log, uint64_t seq,
    int64_t time_ns, const kt_ev_correction *correction, kt_err *err)
{
    char ids[TEXT_MAX];
    kt_json_writer writer;
    kt_text json = KT_TEXT("[]");
    bound binder = bind(store, CORRECTION_PUT);

    kt_json_writer_init(&writer, ids, sizeof ids);
    kt_json_open_array(&writer);
    for (uint32_t i = 0; i < correction->trade_ids.count; i++)
        kt_json_put_text(&writer, kt_texts_get(&correction->trade_ids, i));
    kt_json_close_array(&writer);
    if (kt_json_writer_done(&writer, &json) != KT_OK)
        json = KT_TEXT("[]"); /* beyond the bounds of a correction; trade_count tells */
    bind_text(&binder, kt_text_of(log));
    bind_i64(&binder, (int64_t)seq);
    bind_i64(&binder, time_ns);
    bind_text(&binder, venue);
    bind_text(&binder, symbol);
    bind_i64(&binder, correction->window);
    bind_i64(&binder, correction->mark_from);
    bind_i64(&binder, correction->mark_to);
    bind_i64(&binder, correction->revision);
    bind_decimal(&binder, correction->old_price);
    bind_sum(&binder, correction->old_sum_pq);
    bind_sum(&binder, correction->old_sum_q);
    bind_i64(&binder, (int64_t)correction->old_trades);
    bind_decimal(&binder, correction->new_price);
    bind_sum(&binder, correction->new_sum_pq);
    bind_sum(&binder, correction->new_sum_q);
    bind_i64(&binder, (int64_t)correction->new_trades);
    bind_sum(&binder, correction->delta_pq);
    bind_sum(&binder, correction->delta_q);
    bind_i64(&binder, correction->delta_trades);
    bind_enum(&binder, &kt_enum_cause, correction->cause);
    bind_text(&binder, json);
    bind_i64(&binder, correction->trade_count);
    bind_i64(&binder, correction->complete);
    return run(store, &binder, err);
}

/* Add the deltas to what stands; a value without trades is none any more. */
static kt_code correct_value(
    kt_store *store, const vwap_row *row, const kt_ev_correction *correction, vwap_row *out_row, kt_err *err)
{
    vwap_row sum = *row;
    kt_code code = kt_sum_add(row->sum_pq, correction->delta_pq, &sum.sum_pq);

    sum.trades += correction->delta_trades;
    sum.revision++;
    if (code == KT_OK)
        code = kt_sum_add(row->sum_q, correction->delta_q, &sum.sum_q);
    if (code == KT_OK && sum.trades > 0 && kt_sum_value(sum.sum_q) > 0)
        code = kt_sum_ratio(sum.sum_pq, sum.sum_q, correction->price_scale, &sum.price);
    if (code != KT_OK)
        return kt_fail(err, code, "store '%s': a correction from mark %lld to %lld leaves the range of sums",
            store->path, (long long)correction->mark_from, (long long)correction->mark_to);
    *out_row = sum;
    return KT_OK;
}

static kt_code drop_row(kt_store *store, kt_text venue, kt_text symbol, int64_t window, int64_t mark, kt_err *err)
{
    bound binder = bind(store, VWAP_DROP);

    bind_vwap_key(&binder, venue, symbol, window, mark);
    return run(store, &binder, err);
}

/* Each mark of the range: a validated value gets the deltas; where there was none, the deltas are the value. A
 * provisional one is left alone: REST has not come to it. */
static kt_code correct_range(
    kt_store *store, kt_text venue, kt_text symbol, const kt_ev_correction *correction, kt_err *err)
{
    kt_code code = KT_OK;

    for (int64_t mark = correction->mark_from; code == KT_OK && mark <= correction->mark_to; mark += KT_NS_PER_S) {
        vwap_row row = { .validated = true, .complete = correction->complete };

        code = get_row(store, venue, symbol, correction->window, mark, &row, err);
        if (code == KT_OK && !row.validated)
            continue;
        if (code != KT_OK && code != KT_NOENT)
            break;
        code = correct_value(store, &row, correction, &row, err);
        if (code != KT_OK)
            break;
        code = row.trades > 0 && kt_sum_value(row.sum_q) > 0
                   ? put_row(store, venue, symbol, correction->window, mark, &row, err)
                   : drop_row(store, venue, symbol, correction->window, mark, err);
    }
    return code;
}

/* Where REST has no trade at all in the window, there is no value any more. */
static kt_code correct_mark(
    kt_store *store, kt_text venue, kt_text symbol, const kt_ev_correction *correction, kt_err *err)
{
    vwap_row row = { .price = correction->new_price,
        .sum_pq = correction->new_sum_pq,
        .sum_q = correction->new_sum_q,
        .trades = (int64_t)correction->new_trades,
        .validated = true,
        .complete = correction->complete,
        .revision = correction->revision };

    return row.trades > 0 ? put_row(store, venue, symbol, correction->window, correction->mark_from, &row, err)
                          : drop_row(store, venue, symbol, correction->window, correction->mark_from, err);
}

kt_code kt_store_correction(kt_store *store, kt_text venue, kt_text symbol, const char *log, uint64_t seq,
    int64_t time_ns, const kt_ev_correction *correction, kt_err *err)
{
    bool single = correction->mark_from == correction->mark_to && correction->revision > 0;
    kt_code code = put_correction(store, venue, symbol, log, seq, time_ns, correction, err);
    bool known = code == KT_OK && sqlite3_changes(store->db) == 0;

    if (code != KT_OK)
        return code;
    if (single)
        return correct_mark(store, venue, symbol, correction, err);
    return known ? KT_OK : correct_range(store, venue, symbol, correction, err); /* deltas count once */
}

kt_code kt_store_watermark(
    kt_store *store, kt_text venue, kt_text symbol, const kt_ev_watermark *watermark, kt_err *err)
{
    kt_code code = put_instrument(store, venue, symbol, err);
    bound binder;

    if (code != KT_OK)
        return code;
    binder = bind(store, WATERMARK_PUT);
    bind_text(&binder, venue);
    bind_text(&binder, symbol);
    bind_i64(&binder, watermark->validated_until);
    bind_i64(&binder, watermark->covered_from);
    bind_i64(&binder, watermark->market_time);
    return run(store, &binder, err);
}

kt_code kt_store_quality(kt_store *store, kt_text venue, kt_text symbol, const kt_ev_quality *quality, kt_err *err)
{
    bound binder = bind(store, QUALITY_PUT);

    bind_text(&binder, venue);
    bind_text(&binder, symbol);
    bind_i64(&binder, quality->minute);
    bind_i64(&binder, quality->revision);
    bind_i64(&binder, (int64_t)quality->received);
    bind_i64(&binder, (int64_t)quality->invalid);
    bind_i64(&binder, (int64_t)quality->repeated);
    bind_i64(&binder, (int64_t)quality->reordered);
    bind_i64(&binder, (int64_t)quality->missing);
    bind_i64(&binder, (int64_t)quality->repaired);
    bind_i64(&binder, (int64_t)quality->suspect);
    bind_i64(&binder, quality->silence);
    bind_i64(&binder, quality->latency_p50);
    bind_i64(&binder, quality->latency_p99);
    bind_i64(&binder, quality->latency_max);
    bind_i64(&binder, (int64_t)quality->timed);
    return run(store, &binder, err);
}

/* ---- reads ---- */

kt_code kt_store_vwap_at(kt_store *store, kt_text venue, kt_text symbol, int64_t window_ns, int64_t mark_ns,
    kt_store_value *out_value, kt_err *err)
{
    vwap_row row;
    kt_code code = get_row(store, venue, symbol, window_ns, mark_ns, &row, err);

    if (code == KT_OK)
        *out_value = (kt_store_value){ .price = row.price,
            .mark = mark_ns,
            .trades = (uint64_t)row.trades,
            .validated = row.validated,
            .complete = row.complete,
            .revision = row.revision };
    return code;
}

kt_code kt_store_check(kt_store *store, kt_err *err)
{
    sqlite3_stmt *check = NULL;
    kt_code code = KT_OK;
    int rc = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &check, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(check);
    if (rc != SQLITE_ROW)
        code = store_fail(store, rc, err);
    else if (!kt_text_equal(column_text(check, 0), KT_TEXT("ok")))
        code = kt_fail(err, KT_CORRUPT, "store '%s' is damaged (%.*s): move it away and run 'kontor rebuild store'",
            store->path, KT_TEXT_ARG(column_text(check, 0)));
    sqlite3_finalize(check);
    return code;
}

kt_code kt_store_copy(kt_store *store, const char *path, kt_err *err)
{
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", path);
    kt_code code = sql != NULL ? exec(store, sql, err) : store_fail(store, SQLITE_NOMEM, err);

    sqlite3_free(sql);
    return code;
}

/* Columns separated by tabs; in texts the bytes that would break the line are escaped. */
static void dump_row(sqlite3_stmt *statement, FILE *out)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        kt_text text = column_text(statement, i);

        if (i > 0)
            fputc('\t', out);
        for (size_t j = 0; j < text.n; j++) {
            if ((uint8_t)text.s[j] < 0x20 || text.s[j] == '\\')
                fprintf(out, "\\x%02x", (uint8_t)text.s[j]);
            else
                fputc(text.s[j], out);
        }
    }
    fputc('\n', out);
}

kt_code kt_store_dump(kt_store *store, FILE *out, kt_err *err)
{
    for (uint32_t i = 0; i < KT_COUNT(dumps); i++) {
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(store->db, dumps[i], -1, &statement, NULL);

        if (rc == SQLITE_OK)
            rc = sqlite3_step(statement);
        while (rc == SQLITE_ROW) {
            dump_row(statement, out);
            rc = sqlite3_step(statement);
        }
        sqlite3_finalize(statement);
        if (rc != SQLITE_DONE)
            return store_fail(store, rc, err);
    }
    return ferror(out) ? kt_fail(err, KT_SYS, "the dump of store '%s' can not be written", store->path) : KT_OK;
}
