/* store/export.h - trades and values of the store as CSV (`kontor export`).
 *
 * Trades   the columns of Tardis's trades (docs.tardis.dev, downloadable CSV files): exchange, symbol, timestamp,
 *          local_timestamp, id, side, price, amount. Times are microseconds since 1970, UTC; timestamp is the venue's,
 *          local_timestamp our receive time; side is the taker's: buy, sell, unknown. Symbols are spelled as ccxt does.
 *          Suspect trades that REST has not confirmed are left out, as in history.
 * Values   in the same manner: exchange (empty: a composite), symbol, timestamp (the mark), window, price, amount (sum of
 *          quantities), notional (sum of price x quantity), trades, validated, complete, revision. The newest revision.
 * Order    series by series (venue, symbol); within one by timestamp, then id as text.
 * Text     RFC 4180 with LF: a field that holds a comma, a quote or a line break is quoted. Decimals keep every digit.
 * Reading  KT_EXPORT_PAGE_MAX rows at a time, each page a question of its own, so that a long export lets the writer
 *          reuse its WAL. Rows that come while it runs are there if their time has not been passed.
 */
#ifndef KT_STORE_EXPORT_H
#define KT_STORE_EXPORT_H

#include "schema/config.h"
#include "store/query.h"

enum { KT_EXPORT_PAGE_MAX = 16384 };

typedef struct kt_export_progress {
    kt_text venue, symbol;
    uint64_t rows;   /* written so far, of all series */
    int64_t time_ns; /* the last row's */
} kt_export_progress;

typedef struct kt_export_spec {
    bool values;             /* else trades */
    kt_text venue, symbol;   /* empty: all */
    bool composites;         /* values of composites only; `venue` is then not looked at */
    const char *window;      /* of values, such as 5m */
    int64_t from_ns, to_ns;  /* from <= time < to: days follow each other without a repeat */
    const atomic_bool *stop; /* NULL: none */
    kt_code (*write)(void *ctx, kt_text csv, kt_err *err);
    void (*progress)(void *ctx, const kt_export_progress *progress); /* after each page; NULL: not told */
    void *ctx;
} kt_export_spec;

/* The head line and every row. KT_NOENT: no such series, or a window that is neither configured nor stored; the message
 * says what there is. KT_LIMIT: `stop`
 * was set. Others: what `write` gave, and as store/query.h. */
kt_code kt_export_csv(
    kt_query *query, const kt_config *config, const kt_export_spec *spec, uint64_t *out_rows, kt_err *err);

#endif
