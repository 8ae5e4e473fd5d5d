/* venue/sim/books.h - the true books of the sim, and what becomes of their messages on the way to the clients.
 *
 * Book       A symbol has one from the first time that somebody asks for it. It matches its trades: when one happens, its
 *            price is the best of the maker's side and holds at least its quantity, and then that much less. Between
 *            trades levels come, change and go; the book is never crossed. A recorded tape with books is played as it
 *            stands instead, from its snapshot on.
 * Messages   every whole 100 ms what has changed since the last ones (depth@100ms of Binance), and before
 *            and after each trade the best prices, where they have changed (bookTicker). Updates are numbered without gaps, from the
 *            start time in ms on; where the format has no numbers, best prices are a microsecond apart at least.
 * Faults     those drawn for messages of books and for whole books (venue/sim/faults.h), drawn apart from the trades'; a
 *            silence of the trades' feed is one of the books too.
 * Truth      one line a message, with what was delivered and which updates it was about.
 *
 * Pure but for the truth file: the same trades, options and answers of `deliver` give the same bytes.
 */
#ifndef KT_VENUE_SIM_BOOKS_H
#define KT_VENUE_SIM_BOOKS_H

#include "base/text.h"
#include "venue/sim/feed.h"

typedef enum kt_sim_stream {
    KT_SIM_TRADES,
    KT_SIM_DEPTH,
    KT_SIM_TICKER,
    KT_SIM_STREAM_COUNT,
    KT_SIM_CANDLES = KT_SIM_STREAM_COUNT, /* Kraken's only */
} kt_sim_stream;

/* What the stream's names end in: "@trade". */
const char *kt_sim_stream_suffix(kt_sim_stream stream);

typedef struct kt_sim_book_totals {
    uint64_t messages; /* true ones to which somebody had subscribed */
    uint64_t received, invalid, repeated, reordered, missing;
} kt_sim_book_totals;

typedef struct kt_sim_books_options {
    const kt_venue_format *format; /* one that has books */
    const kt_sim_market *market;   /* for its symbols; outlives the books */
    uint64_t seed;
    int64_t start_ns;      /* first instant of the market */
    kt_sim_faults *faults; /* borrowed; may change between calls */
    FILE *truth;           /* NULL: none. Borrowed */
    void *ctx;
    /* Hand a message to whoever subscribed to it; false: nobody did or could take it. */
    bool (*deliver)(void *ctx, uint32_t symbol, kt_sim_stream stream, kt_text event);
    /* Nothing is said at this moment, although the connection is there. */
    bool (*silent)(void *ctx, int64_t now_ns);
} kt_sim_books_options;

typedef struct kt_sim_books kt_sim_books;

/* KT_SYS: no memory. */
kt_code kt_sim_books_new(const kt_sim_books_options *options, kt_sim_books **out_books, kt_err *err);
void kt_sim_books_free(kt_sim_books *books);

/* Somebody wants this book: make it, around the symbol's last trade (NULL: there was none yet, it begins with the next one).
 * Harmless when repeated. */
void kt_sim_books_want(kt_sim_books *books, uint32_t symbol, const kt_sim_trade *last);

/* The next true trade happens in its book, and is told by the best prices. */
void kt_sim_books_trade(kt_sim_books *books, const kt_sim_trade *trade);

/* When changes are told next; INT64_MAX: nothing has changed. And tell them: the market's clock has reached that time. */
int64_t kt_sim_books_due(const kt_sim_books *books);
void kt_sim_books_flush(kt_sim_books *books);

/* The market has ended: what has changed, and what was held back, goes out now. */
void kt_sim_books_end(kt_sim_books *books);

/* The true book, `limit` levels of each side, with its checksum where the format has one; the levels are borrowed until
 * the next call. */
void kt_sim_books_whole(kt_sim_books *books, uint32_t symbol, uint32_t limit, kt_ev_book *out_book);

/* The true book as Binance's REST gives it, `limit` levels of each side; or the one of 1 to 2 seconds before, or more. */
void kt_sim_books_answer(kt_sim_books *books, uint32_t symbol, uint32_t limit, kt_builder *body);

kt_sim_book_totals kt_sim_books_totals(const kt_sim_books *books);
void kt_sim_books_write(const kt_sim_books *books, kt_json_writer *writer); /* as one JSON object */

#endif
