/* The decoders on what venues really sent: the recordings under KONTOR_RECORDINGS. What is expected comes from the
 * tapes that were extracted by other programs, and from the pairs of other projects' tests. */
#include <zlib.h>

#include "base/json.h"
#include "base/time.h"
#include "venue/binance_scan.h"
#include "venue/test_sink.h"

enum { LINE_MAX_BYTES = 4 << 20, NODE_MAX = 1 << 20, TAPE_TRADES = 19904 };

static kt_told told;

static const char *recording(const char *name)
{
    const char *path = kt_test_recordings(name);

    if (path == NULL)
        fail_msg("%s is not among the recordings", name);
    return path;
}

/* Lines of a file, zipped or not; NULL at the end. */
static gzFile open_lines(const char *name)
{
    gzFile file = gzopen(recording(name), "rb");

    assert_non_null(file);
    return file;
}

static bool next_line(gzFile file, char *line, kt_text *out)
{
    if (gzgets(file, line, LINE_MAX_BYTES) == NULL)
        return false;
    *out = kt_text_of(line);
    while (out->n > 0 && (line[out->n - 1] == '\n' || line[out->n - 1] == '\r'))
        out->n--;
    return true;
}

static kt_json_doc parsed(kt_text text, kt_json_node *nodes)
{
    kt_json_doc doc;
    kt_err err = { 0 };

    if (kt_json_parse(text, nodes, NODE_MAX, &doc, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return doc;
}

static kt_text member(const kt_json_doc *doc, uint32_t object, const char *name)
{
    uint32_t node = kt_json_get(doc, object, kt_text_of(name));

    return node != 0 ? kt_json_raw(doc, node) : (kt_text){ 0 };
}

/* Each trade line of both raw files, in order, against its row of the csv. */
static void test_every_trade_equals_the_csv_row(void **state)
{
    static const char *const raws[] = { "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz",
        "binance/hftbt_spot_btcusdt_20240809.ns_raw.txt.gz" };
    gzFile csv = open_lines("binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz");
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT", 0);
    kt_row_instrument row = {
        .symbol = KT_TEXT("BTC/USDT"), .venue_symbol = KT_TEXT("BTCUSDT"), .price_scale = 2, .quantity_scale = 5
    };
    char *line = malloc(LINE_MAX_BYTES), *csv_line = malloc(LINE_MAX_BYTES);
    uint32_t trades = 0, others = 0;
    static kt_decimal levels[KT_VENUE_LEVEL_MAX][2];
    kt_binance_message message;
    kt_text text, csv_text;

    assert_int_equal(kt_venue_instrument_put(decoder, &row, NULL), KT_OK);
    assert_true(next_line(csv, csv_line, &csv_text));
    for (size_t i = 0; i < KT_COUNT(raws); i++) {
        gzFile raw = open_lines(raws[i]);

        while (next_line(raw, line, &text)) {
            kt_text time = { 0 }, id = { 0 }, price = { 0 }, quantity = { 0 }, ms = { 0 }, maker = { 0 };
            char expected[256];
            kt_decimal p, q;
            char p_text[KT_DECIMAL_TEXT_MAX], q_text[KT_DECIMAL_TEXT_MAX];

            assert_true(kt_text_cut(&text, ' ', &time));
            if (text.n > KT_VENUE_MESSAGE_MAX)
                continue; /* the REST snapshot of the book */
            told_message(&told, decoder, text);
            assert_int_equal(told_calls(&told), 1);
            if (told.invalids != 0)
                fail_msg("%s: %.*s", told.mem, KT_TEXT_ARG(text));
            others += told.books + told.tickers;
            if (told.others == 0) /* all but the whole book: none goes the long way */
                assert_true(kt_binance_scan(text, levels, KT_COUNT(levels), &message));
            if (told.ticks == 0)
                continue;
            trades++;
            assert_true(next_line(csv, csv_line, &csv_text));
            assert_true(kt_text_cut(&csv_text, ',', &id) && kt_text_cut(&csv_text, ',', &price) &&
                        kt_text_cut(&csv_text, ',', &quantity) && kt_text_cut(&csv_text, ',', &ms) &&
                        kt_text_cut(&csv_text, ',', &maker));
            assert_true(kt_text_equal(csv_text, time));
            assert_int_equal(kt_decimal_parse(price, &p), KT_OK);
            assert_int_equal(kt_decimal_parse(quantity, &q), KT_OK);
            kt_decimal_format_trimmed(p_text, sizeof p_text, p);
            kt_decimal_format_trimmed(q_text, sizeof q_text, q);
            snprintf(expected, sizeof expected, "tick BTC/USDT %.*s000000 %s %s %s %.*s %.*s", KT_TEXT_ARG(ms), p_text,
                q_text, maker.s[0] == '1' ? "sell" : "buy", KT_TEXT_ARG(id), KT_TEXT_ARG(id));
            assert_string_equal(told.mem, expected);
        }
        gzclose(raw);
    }
    assert_int_equal(trades, TAPE_TRADES);
    assert_true(others > trades);
    gzclose(csv);
    free(line);
    free(csv_line);
    kt_venue_decoder_free(decoder);
}

/* Messages of all kinds and products: one call each, trades are trades, and what is not ours is never
 * called invalid. */
static void test_nothing_recorded_is_invalid(void **state)
{
    static const struct {
        const char *file;
        const char *member; /* the message is this member of the line; NULL: the line itself */
        uint32_t ticks;
    } files[] = {
        { "binance/cryptofeed_ws.jsonl", NULL, 0 },
        { "binance/gct_ws.jsonl", NULL, 1 },
        { "binance/nautilus_ws.jsonl", "message", 0 },
    };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT BNB/BTC NKN/USDT BLZ/ETH", 0);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_MAX_BYTES);
    kt_text text;

    for (size_t i = 0; i < KT_COUNT(files); i++) {
        gzFile file = open_lines(files[i].file);
        uint32_t ticks = 0;

        while (next_line(file, line, &text)) {
            if (text.n == 0)
                continue;
            if (files[i].member != NULL) {
                kt_json_doc doc = parsed(text, nodes);

                text = member(&doc, 0, files[i].member);
            }
            told_message(&told, decoder, text);
            if (told_calls(&told) != 1 || told.invalids != 0)
                fail_msg("%s: %.*s: %s", files[i].file, (int)(text.n < 200 ? text.n : 200), text.s, told.mem);
            ticks += told.ticks;
        }
        assert_int_equal(ticks, files[i].ticks);
        gzclose(file);
    }
    free(line);
    free(nodes);
    kt_venue_decoder_free(decoder);
}

/* Pairs of input and expected output: { "input": message, "expected": [{ "type": "trade", ... }] }. */
static void test_tardis_pairs(void **state)
{
    const char *path = recording("binance/tardis_pairs.json");
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BTC/USDC BNB/BTC", 0);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    size_t size = 0;
    char *mem = kt_test_read_file(path, &size);
    kt_json_doc doc = parsed((kt_text){ mem, size }, nodes);
    uint32_t ticks = 0, changes = 0;

    kt_json_each (&doc, 0, pair) {
        uint32_t expected = kt_json_at(&doc, kt_json_get(&doc, pair, KT_TEXT("expected")), 0);
        bool trade = kt_json_text_is(&doc, kt_json_get(&doc, expected, KT_TEXT("type")), KT_TEXT("trade"));
        kt_text id = member(&doc, expected, "id"), side = member(&doc, expected, "side");
        char text[256], price[KT_DECIMAL_TEXT_MAX], amount[KT_DECIMAL_TEXT_MAX];
        kt_decimal p = { 0 }, q = { 0 };
        int64_t time_ns = 0;

        told_message(&told, decoder, member(&doc, pair, "input"));
        assert_int_equal(told_calls(&told), 1);
        assert_int_equal(told.ticks, trade);
        if (!trade) {
            /* tardis writes down its own REST snapshots as if they were messages */
            changes += told.books;
            assert_int_equal(told.books + told.others, 1);
            continue;
        }
        assert_int_equal(kt_decimal_parse(member(&doc, expected, "price"), &p), KT_OK);
        assert_int_equal(kt_decimal_parse(member(&doc, expected, "amount"), &q), KT_OK);
        assert_int_equal(kt_time_parse_iso(member(&doc, expected, "timestamp"), &time_ns), KT_OK);
        kt_decimal_format_trimmed(price, sizeof price, p);
        kt_decimal_format_trimmed(amount, sizeof amount, q);
        snprintf(text, sizeof text, "tick BNB/BTC %lld %s %s %.*s %.*s %.*s", (long long)time_ns, price, amount,
            KT_TEXT_ARG(side), KT_TEXT_ARG(id), KT_TEXT_ARG(id));
        assert_string_equal(told.mem, text);
        ticks++;
    }
    assert_int_equal(ticks, 2);
    assert_int_equal(changes, 1);
    free(mem);
    free(nodes);
    kt_venue_decoder_free(decoder);
}

/* One is a change of a spot book; the others are somebody else's (aggTrade, futures, tickers). */
static void test_msgparser_pairs(void **state)
{
    const char *path = recording("binance/msgparser_pairs.json");
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT", 0);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *arena_mem = malloc(1 << 20);
    size_t size = 0;
    char *mem = kt_test_read_file(path, &size);
    kt_json_doc doc = parsed((kt_text){ mem, size }, nodes);
    uint32_t count = 0, changes = 0;
    kt_arena arena;

    kt_arena_init(&arena, arena_mem, 1 << 20);
    kt_json_each (&doc, 0, pair) {
        kt_text input = { 0 };

        assert_int_equal(kt_json_text(&doc, kt_json_get(&doc, pair, KT_TEXT("input")), &arena, &input), KT_OK);
        told_message(&told, decoder, input);
        assert_int_equal(told_calls(&told), 1);
        if (told.books == 1)
            assert_string_equal(told.mem,
                "change BTC/USDT 1622363903670000000 11294093710-11294093726 bids 35743.98x0 35743.87x0.000015 asks "
                "35743.88x0.24 35743.97x0");
        else
            assert_int_equal(told.others, 1);
        changes += told.books;
        count++;
    }
    assert_int_equal(count, 21);
    assert_int_equal(changes, 1);
    free(mem);
    free(arena_mem);
    free(nodes);
    kt_venue_decoder_free(decoder);
}

/* REST answers of three projects: every row as a plain look at its members gives it. */
static void test_rest_trades(void **state)
{
    static const struct {
        const char *file;
        const char *body;
        const char *key;   /* the line is one of ours when this member ... */
        const char *value; /* ... is this */
    } files[] = {
        { "binance/gct_rest.jsonl", "body", "path", "/api/v3/trades" },
        { "binance/gct_rest.jsonl", "body", "path", "/api/v3/historicalTrades" },
        { "binance/jkorf_rest.jsonl", "body", "case", "GetRecentTrades" },
        { "binance/nautilus_http.jsonl", "message", "case", "spot/http_json/trades_response.json" },
    };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT", 0);
    kt_ev_request request = { .symbol = KT_TEXT("BTC/USDT"), .what = KT_WHAT_TRADES_BY_ID };
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_MAX_BYTES);
    uint32_t rows = 0;
    kt_text text;

    for (size_t i = 0; i < KT_COUNT(files); i++) {
        gzFile file = open_lines(files[i].file);

        while (next_line(file, line, &text)) {
            kt_json_doc doc = parsed(text, nodes);
            uint32_t body = kt_json_get(&doc, 0, kt_text_of(files[i].body));
            kt_venue_sink sink = told_start(&told);
            static char expected[1 << 16];
            kt_venue_answer answer;
            kt_builder builder;

            if (!kt_text_equal(member(&doc, 0, files[i].key), kt_text_of(files[i].value)))
                continue;
            kt_builder_init(&builder, expected, sizeof expected);
            kt_json_each (&doc, body, row) {
                kt_decimal price = { 0 }, quantity = { 0 };
                kt_text id = member(&doc, row, "id");

                assert_int_equal(kt_decimal_parse(member(&doc, row, "price"), &price), KT_OK);
                assert_int_equal(kt_decimal_parse(member(&doc, row, "qty"), &quantity), KT_OK);
                kt_builder_format(
                    &builder, "%srow %.*s000000 ", builder.n == 0 ? "" : "\n", KT_TEXT_ARG(member(&doc, row, "time")));
                kt_builder_decimal(&builder, price);
                kt_builder_char(&builder, ' ');
                kt_builder_decimal(&builder, quantity);
                kt_builder_format(&builder, " %s %.*s %.*s",
                    kt_text_equal(member(&doc, row, "isBuyerMaker"), KT_TEXT("true")) ? "sell" : "buy", KT_TEXT_ARG(id),
                    KT_TEXT_ARG(id));
                rows++;
            }
            kt_venue_decode_answer(decoder, &request, 200, kt_json_raw(&doc, body), 1, &sink, &answer);
            assert_int_equal(answer.invalid_count, 0);
            assert_int_equal(builder.code, KT_OK);
            assert_string_equal(told.mem, expected);
        }
        gzclose(file);
    }
    assert_true(rows > 10);
    free(line);
    free(nodes);
    kt_venue_decoder_free(decoder);
}

/* A whole exchangeInfo of 2021 (it fills a decoder that knows nothing yet). */
static void test_exchange_info(void **state)
{
    gzFile file = open_lines("binance/cryptofeed_instruments.jsonl.gz");
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "", NODE_MAX);
    kt_json_node *nodes = malloc(NODE_MAX * sizeof *nodes);
    char *line = malloc(LINE_MAX_BYTES);
    kt_ev_request request = { .what = KT_WHAT_INSTRUMENTS };
    const kt_row_instrument *row = NULL;
    kt_venue_sink sink = { 0 };
    kt_venue_answer answer;
    kt_json_doc doc;
    kt_text text;

    assert_true(next_line(file, line, &text));
    doc = parsed(text, nodes);
    kt_venue_decode_answer(decoder, &request, 200, member(&doc, 0, "body"), 1, &sink, &answer);
    assert_int_equal(answer.invalid_count, 0);
    assert_true(answer.row_count > 1000);
    assert_int_equal(kt_venue_symbol_count(decoder), answer.row_count);
    row = kt_venue_symbol_find(decoder, KT_TEXT("BTC/USDT"));
    assert_non_null(row);
    assert_true(kt_text_equal(row->venue_symbol, KT_TEXT("BTCUSDT")));
    assert_int_equal(row->price_scale, 2);
    assert_int_equal(row->quantity_scale, 5);
    gzclose(file);
    free(line);
    free(nodes);
    kt_venue_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_trade_equals_the_csv_row),
        cmocka_unit_test(test_nothing_recorded_is_invalid),
        cmocka_unit_test(test_tardis_pairs),
        cmocka_unit_test(test_msgparser_pairs),
        cmocka_unit_test(test_rest_trades),
        cmocka_unit_test(test_exchange_info),
    };

    kt_test_need_recordings("binance");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
