/* store/store.h - the relational projection of the logs. Driver: SQLite, one file in WAL mode.
 *
 * Everything in it was made from records at or below their log's `durable`, and each batch of rows is committed in one
 * transaction with the cursor of the log that it came from: each event has its effect exactly once, and
 * kt_store_cursor_of() says where to go on. With WAL and synchronous=FULL a committed transaction is on disk (the WAL
 * is synced at each commit, the database before the WAL is reused), so this cursor is safe to let retention follow.
 *
 * Tables   trades (venue, symbol, trade_id), vwap (venue, symbol, window, mark), corrections (log, seq), watermarks,
 *          quality (venue, symbol, minute), instruments, cursors: see migrations/. A composite's vwap has venue ''. Decimals and sums are exact TEXT,
 *          times INTEGER ns. Trades have an index by time.
 * Views    transactions, vwap_history, latest_vwap_history, tickers_validation_timestamp, available_tickers: the
 *          original's tables with its columns, for one venue per ticker (kt_config_ticker_of) and the window
 *          vwap.interval_ms.
 * Errors   KT_CORRUPT: not a database, or damaged (the message names the file and what to do). KT_VERSION: made by a
 *          newer program. KT_ARG: the database of another program. KT_BUSY: another process writes. KT_FULL: the disk is full. KT_SYS: read-only and all else.
 *          After an error in a transaction nothing of it stands: kt_store_rollback(), then the batch can be tried
 *          again.
 */
#ifndef KT_STORE_STORE_H
#define KT_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "schema/config.h"
#include "schema/events.h"

typedef struct kt_store kt_store;

typedef struct kt_store_cursor {
    uint64_t epoch; /* of the log */
    uint64_t seq;   /* records up to here are in the store; 0: none */
} kt_store_cursor;

/* Open, make or migrate the file config->store_file. */
kt_code kt_store_open(const kt_config *config, kt_store **out_store, kt_err *err);
/* The same for another file, as rebuilding needs it. */
kt_code kt_store_open_file(const char *path, const kt_config *config, kt_store **out_store, kt_err *err);
/* Only to read, by a process that is not lane keep. KT_NOENT: no such file. */
kt_code kt_store_open_read(const char *path, kt_store **out_store, kt_err *err);
void kt_store_close(kt_store *store);

/* One transaction: begin, any number of writes, then commit with the cursor of the log they came from. */
kt_code kt_store_begin(kt_store *store, kt_err *err);
kt_code kt_store_commit(kt_store *store, const char *log, kt_store_cursor cursor, kt_err *err);
void kt_store_rollback(kt_store *store);
uint64_t kt_store_changes(const kt_store *store); /* rows inserted, changed and removed since it was opened */

/* Writes, within a transaction. A validated trade or value is never replaced by one that is not; of two of equal
 * standing the greater revision stands. So what was applied before changes nothing. A composite has an empty venue. Trades
 * wait for each other, at most until the commit, which then tells what is wrong with them. */
kt_code kt_store_trade(kt_store *store, kt_text venue, kt_text symbol, const kt_ev_trade *trade, kt_err *err);
kt_code kt_store_vwap(kt_store *store, kt_text venue, kt_text symbol, const kt_ev_vwap *vwap, kt_err *err);
/* (log, seq) is the record's place and the correction's key. A single mark gets the new value, or none where REST has no
 * trade. Of a range each validated value gets the deltas, a new price and revision + 1, once; where there was none, the
 * deltas are the value. */
kt_code kt_store_correction(kt_store *store, kt_text venue, kt_text symbol, const char *log, uint64_t seq,
    int64_t time_ns, const kt_ev_correction *correction, kt_err *err);
kt_code kt_store_watermark(
    kt_store *store, kt_text venue, kt_text symbol, const kt_ev_watermark *watermark, kt_err *err);
/* `symbol` empty: of messages that named none. */
kt_code kt_store_quality(kt_store *store, kt_text venue, kt_text symbol, const kt_ev_quality *quality, kt_err *err);

/* KT_NOENT: this log has left nothing yet; the cursor is then zero. */
kt_code kt_store_cursor_of(kt_store *store, const char *log, kt_store_cursor *out_cursor, kt_err *err);

typedef struct kt_store_value {
    kt_decimal price;
    int64_t mark; /* ns */
    uint64_t trades;
    bool validated;
    bool complete;
    uint32_t revision;
} kt_store_value;

/* The value of a mark and window. KT_NOENT: there is none. */
kt_code kt_store_vwap_at(kt_store *store, kt_text venue, kt_text symbol, int64_t window_ns, int64_t mark_ns,
    kt_store_value *out_value, kt_err *err);

/* Look at every page and index, which takes as long as reading the file. KT_CORRUPT: the first thing that is wrong. */
kt_code kt_store_check(kt_store *store, kt_err *err);

/* Copy a whole store into a new file `path`, which must not be there. */
kt_code kt_store_copy(kt_store *store, const char *path, kt_err *err);

/* Every row that was made from the logs, sorted by key, one line each: equal stores give equal bytes. (Cursors and what
 * was made from the configuration are left out.) */
kt_code kt_store_dump(kt_store *store, FILE *out, kt_err *err);

#endif
