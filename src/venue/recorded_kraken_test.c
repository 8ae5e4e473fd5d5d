/* Kraken's recordings: books whose checksums hold from start to end, and what other projects' tests expect. Figures and what
 * can be believed: README.md of the recordings. */
#include <zlib.h>

#include "base/time.h"
#include "book/checksum.h"
#include "venue/test_sink.h"

enum {
    LINE_BYTES = 1 << 20,
    NODE_MAX = 1 << 18,
    SYMBOL_MAX = 16,
    DEPTH_V1 = 1000,
    DEPTH_V2 = 10,
    CHECKSUMS_V1 = 1622,
    CHECKSUMS_V2 = 2,
};

#define SYMBOLS "BTC/USD ADA/BTC BTC/CHF OCEAN/BTC SC/EUR GRT/ETH ALGO/USD LTC/BTC XMR/USD BCH/EUR"

static kt_told told;

/* ---- books ---- */

typedef struct replay {
    kt_venue_decoder *decoder;
    kt_level2 books[SYMBOL_MAX];
    uint32_t depth, checked;
    uint32_t calls;
} replay;

static void set_side(kt_level2 *book, kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, rows, i, &level);
        assert_int_equal(kt_level2_set(book, side, level.price, level.quantity), KT_OK);
    }
}

static void replay_book(void *ctx, kt_text symbol, const kt_ev_book *event)
{
    replay *r = ctx;
    uint32_t index = 0, checksum = 0;
    kt_level2 *book;

    while (!kt_text_equal(kt_venue_symbol_at(r->decoder, index)->symbol, symbol))
        index++;
    book = &r->books[index];
    r->calls++;
    if (event->snapshot)
        kt_level2_start(book, 0);
    set_side(book, KT_BIDS, &event->bids);
    set_side(book, KT_ASKS, &event->asks);
    kt_level2_written(book, event->price_digits, event->quantity_digits);
    kt_level2_cut(book, r->depth);
    if (event->checksum < 0)
        return;
    assert_int_equal(kt_checksum_kraken(book, &checksum), KT_OK);
    assert_int_equal(checksum, event->checksum);
    r->checked++;
}

static void replay_other(void *ctx, kt_text kind)
{
    ((replay *)ctx)->calls++;
}

static void replay_reply(void *ctx, uint64_t message_id, kt_text error)
{
    assert_int_equal(error.n, 0);
    ((replay *)ctx)->calls++;
}

/* Lines of a file; NULL at the end. */
static bool next_line(gzFile file, char *line, kt_text *out)
{
    if (gzgets(file, line, LINE_BYTES) == NULL)
        return false;
    *out = kt_text_of(line);
    while (out->n > 0 && (line[out->n - 1] == '\n' || line[out->n - 1] == '\r'))
        out->n--;
    return true;
}

static void check_books(const kt_venue_format *format, const char *name, uint32_t depth, uint32_t expected)
{
    replay r = { .decoder = decoder_knowing(format, SYMBOLS, 0), .depth = depth };
    kt_venue_sink sink = { .ctx = &r, .book = replay_book, .other = replay_other, .reply = replay_reply };
    gzFile file = gzopen(kt_test_recordings(name), "rb");
    char *line = malloc(LINE_BYTES);
    uint32_t lines = 0;
    kt_text text;

    assert_non_null(file);
    while (next_line(file, line, &text)) {
        kt_venue_decode_message(r.decoder, text, 1, &sink);
        lines++;
    }
    assert_int_equal(r.calls, lines); /* none was refused */
    assert_int_equal(r.checked, expected);
    for (uint32_t i = 0; i < SYMBOL_MAX; i++)
        kt_level2_done(&r.books[i]);
    gzclose(file);
    free(line);
    kt_venue_decoder_free(r.decoder);
}

static void test_books_v1(void **state)
{
    check_books(&kt_venue_kraken_v1, "kraken_v1/cryptofeed_ws_book1000.jsonl", DEPTH_V1, CHECKSUMS_V1);
}

static void test_books_v2(void **state)
{
    check_books(&kt_venue_kraken_v2, "kraken_v2/algo_usd_book_checksum.jsonl", DEPTH_V2, CHECKSUMS_V2);
}

/* ---- what else was recorded: told without a refusal, trades as many as there are ---- */

static void test_nothing_recorded_is_invalid(void **state)
{
    static const struct {
        const char *file;
        const char *member; /* NULL: the line is the message */
        const kt_venue_format *format;
        uint32_t ticks, tickers, candles;
    } files[] = {
        { "kraken_v1/cryptofeed_ws_trade.jsonl", NULL, &kt_venue_kraken_v1, 6, 0, 0 },
        { "kraken_v1/cryptofeed_ws_ticker.jsonl", NULL, &kt_venue_kraken_v1, 0, 0, 0 },
        { "kraken_v1/gct_ws.jsonl", NULL, &kt_venue_kraken_v1, 3, 0, 0 },
        { "kraken_v2/live_capture.jsonl", NULL, &kt_venue_kraken_v2, 1, 1, 0 },
        { "kraken_v2/nautilus_ws.jsonl", "message", &kt_venue_kraken_v2, 2, 0, 1 },
    };
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_BYTES);
    kt_text text;

    for (size_t i = 0; i < KT_COUNT(files); i++) {
        kt_venue_decoder *decoder = decoder_knowing(files[i].format, SYMBOLS, 0);
        gzFile file = gzopen(kt_test_recordings(files[i].file), "rb");
        uint32_t ticks = 0, tickers = 0, candles = 0;

        assert_non_null(file);
        while (next_line(file, line, &text)) {
            kt_json_doc doc;

            if (files[i].member != NULL) {
                assert_int_equal(kt_json_parse(text, nodes, NODE_MAX, &doc, NULL), KT_OK);
                text = kt_json_raw(&doc, kt_json_get(&doc, 0, kt_text_of(files[i].member)));
            }
            told_message(&told, decoder, text);
            if (told_calls(&told) == 0 || told.invalids != 0)
                fail_msg("%s: %.*s: %s", files[i].file, (int)(text.n < 200 ? text.n : 200), text.s, told.mem);
            ticks += told.ticks;
            tickers += told.tickers;
            candles += told.candles;
        }
        if (ticks != files[i].ticks || tickers != files[i].tickers || candles != files[i].candles)
            fail_msg("%s: %u trades, %u best prices, %u minutes", files[i].file, ticks, tickers, candles);
        gzclose(file);
        kt_venue_decoder_free(decoder);
    }
    free(nodes);
    free(line);
}

/* Subscriptions of another project's tests: what the client was answered, and what came then. */
static void test_subscriptions(void **state)
{
    static const char *const lists[] = { "ack", "messages" };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v2, SYMBOLS " ETH/USDT", 0);
    gzFile file = gzopen(kt_test_recordings("kraken_v2/jkorf_ws.jsonl"), "rb");
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_BYTES);
    uint32_t replies = 0, tickers = 0;
    kt_text text;

    assert_non_null(file);
    while (next_line(file, line, &text)) {
        kt_json_doc doc;

        assert_int_equal(kt_json_parse(text, nodes, NODE_MAX, &doc, NULL), KT_OK);
        for (size_t i = 0; i < KT_COUNT(lists); i++)
            kt_json_each (&doc, kt_json_get(&doc, 0, kt_text_of(lists[i])), message) {
                told_message(&told, decoder, kt_json_raw(&doc, message));
                assert_int_equal(told_calls(&told), 1);
                assert_int_equal(told.invalids, 0);
                replies += told.replies;
                tickers += told.tickers;
            }
    }
    assert_true(replies > 0 && tickers == 1);
    gzclose(file);
    free(nodes);
    free(line);
    kt_venue_decoder_free(decoder);
}

/* ---- pairs of input and expected output ---- */

typedef struct pairs {
    char *mem;
    kt_json_node *nodes;
    kt_json_doc doc;
} pairs;

static void pairs_open(pairs *p, const char *name)
{
    size_t size = 0;

    p->mem = kt_test_read_file(kt_test_recordings(name), &size);
    p->nodes = malloc(NODE_MAX * sizeof *p->nodes);
    assert_non_null(p->mem);
    assert_int_equal(kt_json_parse((kt_text){ p->mem, size }, p->nodes, NODE_MAX, &p->doc, NULL), KT_OK);
}

static void pairs_close(pairs *p)
{
    free(p->mem);
    free(p->nodes);
}

static void put_number(kt_builder *out, const kt_json_doc *doc, uint32_t object, const char *name)
{
    kt_decimal value = { 0 };

    assert_int_equal(kt_json_decimal(doc, kt_json_get(doc, object, kt_text_of(name)), &value), KT_OK);
    kt_builder_decimal(out, value);
}

static kt_text member(const kt_json_doc *doc, uint32_t object, const char *name)
{
    uint32_t node = kt_json_get(doc, object, kt_text_of(name));

    assert_true(node != 0);
    return kt_json_raw(doc, node);
}

static void put_levels(kt_builder *out, const kt_json_doc *doc, uint32_t object, const char *name)
{
    kt_builder_format(out, " %s", name);
    kt_json_each (doc, kt_json_get(doc, object, kt_text_of(name)), level) {
        kt_builder_char(out, ' ');
        put_number(out, doc, level, "price");
        kt_builder_char(out, 'x');
        put_number(out, doc, level, "amount");
    }
}

/* The line that our sink writes about what tardis expects. */
static void put_expected(kt_builder *out, const kt_json_doc *doc, uint32_t object, const char *symbol)
{
    kt_text type = member(doc, object, "type");
    int64_t time_ns = 0;

    assert_int_equal(kt_time_parse_iso(member(doc, object, "timestamp"), &time_ns), KT_OK);
    if (kt_text_equal(type, KT_TEXT("trade"))) {
        kt_builder_format(out, "tick %s %lld ", symbol, (long long)time_ns);
        put_number(out, doc, object, "price");
        kt_builder_char(out, ' ');
        put_number(out, doc, object, "amount");
        kt_builder_format(out, " %.*s ", KT_TEXT_ARG(member(doc, object, "side")));
    } else if (kt_text_equal(type, KT_TEXT("book_change"))) {
        kt_builder_format(out, "change %s %lld 0-0", symbol, (long long)time_ns);
        put_levels(out, doc, object, "bids");
        put_levels(out, doc, object, "asks");
    } else {
        assert_true(kt_text_equal(type, KT_TEXT("book_ticker")));
        kt_builder_format(out, "ticker %s %lld ", symbol, (long long)time_ns / 1000);
        put_number(out, doc, object, "bidPrice");
        kt_builder_char(out, 'x');
        put_number(out, doc, object, "bidAmount");
        kt_builder_char(out, ' ');
        put_number(out, doc, object, "askPrice");
        kt_builder_char(out, 'x');
        put_number(out, doc, object, "askAmount");
    }
}

static void test_tardis_pairs(void **state)
{
    static const struct {
        const char *file;
        const kt_venue_format *format;
        uint32_t pairs;
    } files[] = {
        { "kraken_v1/tardis_pairs.json", &kt_venue_kraken_v1, 4 },
        { "kraken_v2/tardis_pairs.json", &kt_venue_kraken_v2, 4 },
    };
    /* what they call the pairs that v1 spells in its own way */
    static const char *const names[][2] = { { "LTC/XBT", "LTC/BTC" }, { "XBT/USD", "BTC/USD" } };

    for (size_t i = 0; i < KT_COUNT(files); i++) {
        kt_venue_decoder *decoder = decoder_knowing(files[i].format, SYMBOLS, 0);
        uint32_t count = 0;
        pairs p;

        pairs_open(&p, files[i].file);
        kt_json_each (&p.doc, 0, pair) {
            uint32_t expected = kt_json_at(&p.doc, kt_json_get(&p.doc, pair, KT_TEXT("expected")), 0);
            char text[512], symbol[32];
            kt_builder line;

            told_message(&told, decoder, member(&p.doc, pair, "input"));
            assert_int_equal(told_calls(&told), 1);
            count++;
            if (expected == 0) {
                assert_int_equal(told.others, 1);
                continue;
            }
            snprintf(symbol, sizeof symbol, "%.*s", KT_TEXT_ARG(member(&p.doc, expected, "symbol")));
            for (size_t n = 0; n < KT_COUNT(names); n++)
                if (strcmp(symbol, names[n][0]) == 0)
                    strcpy(symbol, names[n][1]);
            kt_builder_init(&line, text, sizeof text);
            put_expected(&line, &p.doc, expected, symbol);
            if (strncmp(told.mem, text, line.n) != 0) /* behind a trade's side its id: of v1 it is our own */
                fail_msg("'%s' instead of '%s'", told.mem, text);
            if (told.ticks != 0 && files[i].format == &kt_venue_kraken_v2)
                assert_true(kt_text_starts(kt_text_of(told.mem + line.n), member(&p.doc, expected, "id")));
        }
        assert_int_equal(count, files[i].pairs);
        pairs_close(&p);
        kt_venue_decoder_free(decoder);
    }
}

/* Spot trades and minutes of v1; the others are the futures venue's. */
static void test_msgparser_pairs(void **state)
{
    static const char *const expected[] = {
        "tick BTC/USD 1616333924737428000 57126.7 0.02063928 buy 1616333924737428-57126.7-0.02063928-b 0",
        "candle BTC/USD 1675209600000000000+60s 23135 23135.4 23135 23135.4 23135.13297 0.39012812 7",
    };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v1, SYMBOLS, 0);
    char *arena_mem = malloc(1 << 16);
    uint32_t ours = 0;
    kt_arena arena;
    pairs p;

    kt_arena_init(&arena, arena_mem, 1 << 16);
    pairs_open(&p, "kraken_v1/msgparser_pairs.json");
    kt_json_each (&p.doc, 0, pair) {
        kt_text input = { 0 };

        assert_int_equal(kt_json_text(&p.doc, kt_json_get(&p.doc, pair, KT_TEXT("input")), &arena, &input), KT_OK);
        told_message(&told, decoder, input);
        assert_int_equal(told_calls(&told), 1);
        if (told.others == 1)
            continue;
        assert_true(ours < KT_COUNT(expected));
        assert_string_equal(told.mem, expected[ours++]);
    }
    assert_int_equal(ours, KT_COUNT(expected));
    pairs_close(&p);
    free(arena_mem);
    kt_venue_decoder_free(decoder);
}

/* The messages of one connection, and the best prices that ccxt made of the first. */
static void test_ccxt_pairs(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v2, SYMBOLS, 0);
    char first[256] = "";
    uint32_t count = 0;
    pairs p;

    pairs_open(&p, "kraken_v2/ccxt_ws_pairs.json");
    kt_json_each (&p.doc, 0, pair) {
        uint32_t expected = kt_json_get(&p.doc, pair, KT_TEXT("expected_first"));
        char text[256];
        kt_builder line;

        kt_json_each (&p.doc, kt_json_get(&p.doc, pair, KT_TEXT("messages")), message) {
            told_message(&told, decoder, kt_json_raw(&p.doc, message));
            assert_int_equal(told_calls(&told), 1);
            assert_int_equal(told.invalids, 0);
            if (told.tickers == 1 && first[0] == '\0')
                snprintf(first, sizeof first, "%.*s", (int)sizeof first - 1, told.mem);
            count += told.tickers;
        }
        kt_builder_init(&line, text, sizeof text);
        kt_builder_str(&line, "ticker BTC/USD 1786562940921195 ");
        put_number(&line, &p.doc, expected, "bid");
        kt_builder_char(&line, 'x');
        put_number(&line, &p.doc, expected, "bidVolume");
        kt_builder_char(&line, ' ');
        put_number(&line, &p.doc, expected, "ask");
        kt_builder_char(&line, 'x');
        put_number(&line, &p.doc, expected, "askVolume");
        assert_string_equal(first, text);
    }
    assert_int_equal(count, 2);
    pairs_close(&p);
    kt_venue_decoder_free(decoder);
}

/* ---- REST ---- */

/* Kraken's own trades, minute by minute, as answers of REST: none is refused, each has its number. */
static void test_rest_trades(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v2, SYMBOLS, 0);
    kt_ev_request request = { .symbol = KT_TEXT("BTC/USD"), .what = KT_WHAT_TRADES_BY_TIME };
    char *body = malloc(1 << 20);
    uint32_t rows = 0;
    pairs p;

    pairs_open(&p, "kraken_v1/trades_to_ohlc_vwap_pairs.json");
    kt_json_each (&p.doc, 0, pair) {
        kt_text trades = member(&p.doc, pair, "input");
        kt_venue_sink sink = told_start(&told);
        kt_venue_answer answer;
        int size = snprintf(
            body, 1 << 20, "{\"error\":[],\"result\":{\"XXBTZUSD\":%.*s,\"last\":\"1\"}}", KT_TEXT_ARG(trades));

        kt_venue_decode_answer(decoder, &request, 200, (kt_text){ body, (size_t)size }, 1, &sink, &answer);
        assert_string_equal(answer.error, "");
        assert_int_equal(answer.invalid_count, 0);
        assert_int_equal(told.rows, answer.row_count);
        rows += told.rows;
    }
    assert_int_equal(rows, 475);
    pairs_close(&p);
    free(body);
    kt_venue_decoder_free(decoder);
}

/* Recorded answers of another project: each of its rows is told. */
static void test_rest_answers(void **state)
{
    static const struct {
        const char *file, *member, *name;
        kt_what what;
        uint32_t candles, books, instruments;
    } rows[] = {
        { "kraken_v1/xchange.jsonl", "message", "example-ohlc-data.json", KT_WHAT_CANDLES, 720, 0, 0 },
        { "kraken_v2/jkorf_rest.jsonl", "body", "GetOrderBook", KT_WHAT_BOOK, 0, 1, 0 },
        { "kraken_v2/jkorf_rest.jsonl", "body", "GetSymbols", KT_WHAT_INSTRUMENTS, 0, 0, 2 },
        { "kraken_v2/nautilus_http.jsonl", "message", "http_asset_pairs_tokenized.json", KT_WHAT_INSTRUMENTS, 0, 0, 1 },
    };
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_BYTES);
    kt_text text;

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        bool learns = rows[i].what == KT_WHAT_INSTRUMENTS;
        kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v2, learns ? "" : SYMBOLS, 0);
        kt_ev_request request = { .symbol = learns ? (kt_text){ 0 } : KT_TEXT("BTC/USD"), .what = rows[i].what };
        gzFile file = gzopen(kt_test_recordings(rows[i].file), "rb");
        bool found = false;

        assert_non_null(file);
        while (next_line(file, line, &text)) {
            kt_venue_sink sink = told_start(&told);
            kt_venue_answer answer;
            kt_json_doc doc;

            assert_int_equal(kt_json_parse(text, nodes, NODE_MAX, &doc, NULL), KT_OK);
            if (!kt_text_equal(member(&doc, 0, "case"), kt_text_of(rows[i].name)))
                continue;
            found = true;
            kt_venue_decode_answer(decoder, &request, 200, member(&doc, 0, rows[i].member), 1, &sink, &answer);
            assert_string_equal(answer.error, "");
            assert_int_equal(answer.invalid_count, 0);
            assert_int_equal(told.candles, rows[i].candles);
            assert_int_equal(told.books, rows[i].books);
            assert_int_equal(told.instruments, rows[i].instruments);
        }
        assert_true(found);
        gzclose(file);
        kt_venue_decoder_free(decoder);
    }
    free(nodes);
    free(line);
}

/* A whole AssetPairs of 2021 (it fills a decoder that knows nothing yet); some pairs have no name in the streams. */
static void test_asset_pairs(void **state)
{
    gzFile file = gzopen(kt_test_recordings("kraken_v1/cryptofeed_instruments.jsonl.gz"), "rb");
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v1, "", NODE_MAX);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_BYTES);
    kt_ev_request request = { .what = KT_WHAT_INSTRUMENTS };
    const kt_row_instrument *row = NULL;
    kt_venue_sink sink = { 0 };
    kt_venue_answer answer;
    kt_json_doc doc;
    kt_text text;

    assert_non_null(file);
    assert_true(next_line(file, line, &text));
    assert_int_equal(kt_json_parse(text, nodes, NODE_MAX, &doc, NULL), KT_OK);
    kt_venue_decode_answer(decoder, &request, 200, member(&doc, 0, "body"), 1, &sink, &answer);
    assert_string_equal(answer.error, "");
    assert_true(answer.row_count > 100);
    assert_int_equal(kt_venue_symbol_count(decoder), answer.row_count - answer.invalid_count);
    row = kt_venue_symbol_find(decoder, KT_TEXT("BTC/USD"));
    assert_non_null(row);
    assert_true(kt_text_equal(row->venue_symbol, KT_TEXT("XBT/USD")));
    assert_int_equal(row->price_scale, 1);
    assert_int_equal(row->quantity_scale, 8);
    gzclose(file);
    free(line);
    free(nodes);
    kt_venue_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_books_v1),
        cmocka_unit_test(test_books_v2),
        cmocka_unit_test(test_nothing_recorded_is_invalid),
        cmocka_unit_test(test_subscriptions),
        cmocka_unit_test(test_tardis_pairs),
        cmocka_unit_test(test_msgparser_pairs),
        cmocka_unit_test(test_ccxt_pairs),
        cmocka_unit_test(test_rest_trades),
        cmocka_unit_test(test_rest_answers),
        cmocka_unit_test(test_asset_pairs),
    };

    kt_test_need_recordings("kraken_v1");
    kt_test_need_recordings("kraken_v2");
    return cmocka_run_group_tests_name("recorded_kraken", tests, NULL, NULL);
}
