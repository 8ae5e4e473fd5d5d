/* The recorded books of Binance: each follows the venue's rule from its snapshot to the end of the recording, and its best
 * prices are those that the venue says itself. Figures: README.md of the recordings. */
#include <zlib.h>

#include "base/test.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/test_util.h"
#include "base/text.h"
#include "book/level2.h"
#include "venue/venue.h"

enum {
    LINE_BYTES = 4 << 20,
    SYMBOLS = 3,
    TICKER_MAX = 4096, /* between two changes of a book */
    BTC_CHANGES = 6495,
    BTC_COMPARED = 6493, /* by README.md, and of these */
    BTC_EQUAL = 6491,
};

static const char *const symbols[SYMBOLS] = { "BTC/USDT", "NKN/USDT", "BLZ/ETH" };

/* One recorded book. */
typedef struct recorded {
    kt_level2 book;
    kt_ev_ticker tickers[TICKER_MAX]; /* those that came and are not older than the book */
    uint32_t ticker_count;
    kt_ev_ticker latest; /* with the greatest update_id that is not behind the book; 0: none yet */
    bool started;
    uint32_t changes, old, gaps, compared, equal;
} recorded;

typedef struct reading {
    kt_venue_decoder *decoder;
    recorded books[SYMBOLS];
    char *line;
} reading;

static recorded *book_of(reading *r, kt_text symbol)
{
    for (uint32_t i = 0; i < SYMBOLS; i++)
        if (kt_text_equal(symbol, kt_text_of(symbols[i])))
            return &r->books[i];
    fail_msg("a book of %.*s", KT_TEXT_ARG(symbol));
    return NULL;
}

static void set_levels(kt_level2 *book, kt_level2_side side, const kt_rows *levels)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, levels, i, &level);
        assert_int_equal(kt_level2_set(book, side, level.price, level.quantity), KT_OK);
    }
}

static bool best_is(const kt_level2 *book, kt_level2_side side, kt_decimal price, kt_decimal quantity)
{
    kt_decimal best, size;

    if (kt_level2_count(book, side) == 0)
        return price.m == 0;
    kt_level2_decimals(book, side, 0, &best, &size);
    return kt_decimal_compare(best, price) == 0 && kt_decimal_compare(size, quantity) == 0;
}

/* The latest ticker that the book has reached, against the book. */
static void compare(recorded *rec)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < rec->ticker_count; i++)
        if (rec->tickers[i].update_id > rec->book.last_id)
            rec->tickers[kept++] = rec->tickers[i];
        else if (rec->tickers[i].update_id > rec->latest.update_id)
            rec->latest = rec->tickers[i];
    rec->ticker_count = kept;
    if (rec->latest.update_id == 0)
        return;
    rec->compared++;
    rec->equal += best_is(&rec->book, KT_BIDS, rec->latest.bid, rec->latest.bid_quantity) &&
                  best_is(&rec->book, KT_ASKS, rec->latest.ask, rec->latest.ask_quantity);
}

static void on_book(void *ctx, kt_text symbol, const kt_ev_book *event)
{
    recorded *rec = book_of(ctx, symbol);
    kt_level2_place place = KT_LEVEL2_NEXT;

    if (event->snapshot) {
        kt_level2_start(&rec->book, event->last_id);
        rec->started = true;
    } else {
        rec->changes++;
        place = rec->started ? kt_level2_place_of(&rec->book, event->first_id, event->last_id) : KT_LEVEL2_OLD;
        rec->old += place == KT_LEVEL2_OLD;
        rec->gaps += place == KT_LEVEL2_GAP;
    }
    if (place != KT_LEVEL2_NEXT)
        return;
    set_levels(&rec->book, KT_BIDS, &event->bids);
    set_levels(&rec->book, KT_ASKS, &event->asks);
    if (!event->snapshot) {
        kt_level2_continue(&rec->book, event->last_id);
        compare(rec);
    }
    if (kt_level2_count(&rec->book, KT_BIDS) != 0 && kt_level2_count(&rec->book, KT_ASKS) != 0)
        assert_true(kt_level2_at(&rec->book, KT_BIDS, 0).price.m < kt_level2_at(&rec->book, KT_ASKS, 0).price.m);
}

static void on_ticker(void *ctx, kt_text symbol, const kt_ev_ticker *ticker)
{
    recorded *rec = book_of(ctx, symbol);

    assert_true(rec->ticker_count < TICKER_MAX);
    rec->tickers[rec->ticker_count++] = *ticker;
}

static void on_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    fail_msg("%.*s: %s", KT_TEXT_ARG(invalid->excerpt), kt_enum_invalid.values[invalid->reason]);
}

static const kt_venue_sink sink_functions = { .book = on_book, .ticker = on_ticker, .invalid = on_invalid };

static void read_snapshot(reading *r, const char *symbol, kt_text body)
{
    kt_ev_request request = { .what = KT_WHAT_BOOK, .symbol = kt_text_of(symbol) };
    kt_venue_sink sink = sink_functions;
    kt_venue_answer answer;

    sink.ctx = r;
    kt_venue_decode_answer(r->decoder, &request, 200, body, 1, &sink, &answer);
    assert_string_equal(answer.error, "");
}

static void read_message(reading *r, kt_text text)
{
    kt_venue_sink sink = sink_functions;

    sink.ctx = r;
    kt_venue_decode_message(r->decoder, text, 1, &sink);
}

static reading *reading_open(void)
{
    kt_venue_decoder_options options = { .format = &kt_venue_binance, .price_scale = 8, .quantity_scale = 8 };
    reading *r = calloc(1, sizeof *r);

    assert_non_null(r);
    assert_int_equal(kt_venue_decoder_new(&options, &r->decoder, NULL), KT_OK);
    for (uint32_t i = 0; i < SYMBOLS; i++)
        assert_int_equal(kt_venue_symbol_add(r->decoder, kt_text_of(symbols[i]), NULL), KT_OK);
    r->line = malloc(LINE_BYTES);
    assert_non_null(r->line);
    return r;
}

static void reading_close(reading *r)
{
    for (uint32_t i = 0; i < SYMBOLS; i++)
        kt_level2_done(&r->books[i].book);
    kt_venue_decoder_free(r->decoder);
    free(r->line);
    free(r);
}

static gzFile open_lines(const char *name)
{
    const char *path = kt_test_recordings(name);
    gzFile file = path != NULL ? gzopen(path, "rb") : NULL;

    assert_non_null(file);
    return file;
}

static bool next_line(reading *r, gzFile file, kt_text *out)
{
    if (gzgets(file, r->line, LINE_BYTES) == NULL)
        return false;
    *out = kt_text_of(r->line);
    return true;
}

/* Two files, the first with the snapshot, a line without a stream. It was asked for when the stream was on already: changes
 * that come before it may end behind it, and so it is read first. */
static void bitcoin_in_dollars(void **state)
{
    static const char *const files[] = { "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz",
        "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz", "binance/hftbt_spot_btcusdt_20240809.ns_raw.txt.gz" };
    reading *r = reading_open();
    recorded *rec = book_of(r, kt_text_of(symbols[0]));
    kt_text line, time;

    for (size_t i = 0; i < KT_COUNT(files); i++) {
        gzFile file = open_lines(files[i]);

        while (next_line(r, file, &line)) {
            assert_true(kt_text_cut(&line, ' ', &time));
            if (kt_text_starts(line, KT_TEXT("{\"lastUpdateId\"")) == (i > 0))
                continue;
            if (i > 0) {
                read_message(r, line);
                continue;
            }
            read_snapshot(r, symbols[0], line);
            break;
        }
        gzclose(file);
    }
    print_message("# %u changes, %u old, %u gaps; best prices equal in %u of %u\n", rec->changes, rec->old, rec->gaps,
        rec->equal, rec->compared);
    assert_int_equal(rec->changes, BTC_CHANGES);
    assert_int_equal(rec->gaps, 0);
    assert_int_equal(rec->compared, BTC_COMPARED);
    assert_int_equal(rec->equal, BTC_EQUAL);
    reading_close(r);
}

/* Two thin books: {"url": ".../depth?symbol=NKNUSDT&limit=1000", "body": {...}}, and one stream for both. */
static void two_thin_books(void **state)
{
    enum { NODE_MAX = 1 << 16 };
    reading *r = reading_open();
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    gzFile file = open_lines("binance/cryptofeed_rest_book.jsonl");
    kt_json_doc doc;
    kt_text line;

    assert_non_null(nodes);
    while (next_line(r, file, &line)) {
        assert_int_equal(kt_json_parse(line, nodes, NODE_MAX, &doc, NULL), KT_OK);
        kt_text url = kt_json_raw(&doc, kt_json_get(&doc, 0, KT_TEXT("url")));
        bool nkn = memmem(url.s, url.n, "NKNUSDT", 7) != NULL;

        read_snapshot(r, symbols[nkn ? 1 : 2], kt_json_raw(&doc, kt_json_get(&doc, 0, KT_TEXT("body"))));
    }
    gzclose(file);
    file = open_lines("binance/cryptofeed_ws.jsonl");
    while (next_line(r, file, &line))
        read_message(r, line);
    gzclose(file);
    for (uint32_t i = 1; i < SYMBOLS; i++) {
        recorded *rec = &r->books[i];

        print_message("# %s: %u changes, %u old, %u gaps; best prices equal in %u of %u\n", symbols[i], rec->changes,
            rec->old, rec->gaps, rec->equal, rec->compared);
        assert_true(rec->changes > rec->old);
        assert_int_equal(rec->gaps, 0);
    }
    free(nodes);
    reading_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitcoin_in_dollars),
        cmocka_unit_test(two_thin_books),
    };

    kt_test_need_recordings("binance");
    return cmocka_run_group_tests_name("recorded books", tests, NULL, NULL);
}
