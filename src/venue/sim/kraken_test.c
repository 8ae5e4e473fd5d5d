/* Both versions of Kraken as the sim speaks them, heard by the decoders: every checksum holds although nothing of it is shared,
 * and what is broken is found by it. */
#include "venue/test_sink.h"

#include "base/time.h"
#include "book/checksum.h"
#include "venue/sim/kraken.h"
#include "venue/sim/test_faults.h"

enum { TRADES = 1500, DEPTH = 1000, BODY_SIZE = 2 << 20 };

static const kt_venue_format *const formats[] = { &kt_venue_kraken_v1, &kt_venue_kraken_v2 };

/* ---- books ---- */

typedef struct client {
    const kt_venue_format *format;
    kt_sim_faults faults;
    kt_sim_books *books;
    const kt_row_instrument *instrument;
    kt_venue_decoder *decoder;
    kt_level2 book;
    bool clean; /* nothing is broken */
    bool known; /* the book is the venue's as far as can be told */
    uint32_t changes, tickers, invalid, lost;
    int64_t ticker_ns;
} client;

static void set_side(client *c, kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, rows, i, &level);
        assert_int_equal(kt_level2_set(&c->book, side, level.price, level.quantity), KT_OK);
    }
}

static bool crossed(const kt_level2 *book)
{
    return kt_level2_count(book, KT_BIDS) != 0 && kt_level2_count(book, KT_ASKS) != 0 &&
           kt_level2_at(book, KT_BIDS, 0).price.m >= kt_level2_at(book, KT_ASKS, 0).price.m;
}

static void on_book(void *ctx, kt_text symbol, const kt_ev_book *book)
{
    client *c = ctx;
    uint32_t checksum = 0;

    if (book->snapshot)
        kt_level2_start(&c->book, 0);
    else if (!c->known)
        return;
    c->changes += !book->snapshot;
    set_side(c, KT_BIDS, &book->bids);
    set_side(c, KT_ASKS, &book->asks);
    kt_level2_written(&c->book, book->price_digits, book->quantity_digits);
    kt_level2_cut(&c->book, DEPTH);
    assert_true(book->checksum >= 0 || (book->snapshot && c->format == &kt_venue_kraken_v1));
    c->known = !crossed(&c->book) &&
               (book->checksum < 0 || (kt_checksum_kraken(&c->book, &checksum) == KT_OK && checksum == book->checksum));
    c->lost += !c->known;
    assert_true(c->known || !book->snapshot);
}

static void on_ticker(void *ctx, kt_text symbol, const kt_ev_ticker *ticker)
{
    client *c = ctx;

    c->tickers++;
    c->ticker_ns = ticker->venue_time;
}

static void on_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    ((client *)ctx)->invalid++;
}

static void hear(client *c, kt_text message)
{
    kt_venue_sink sink = { .ctx = c, .book = on_book, .ticker = on_ticker, .invalid = on_invalid };

    kt_venue_decode_message(c->decoder, message, 1, &sink);
}

/* What subscribing anew would bring. */
static void read_whole(client *c)
{
    static char mem[KT_SIM_CHANGE_SIZE];
    kt_builder text;
    kt_ev_book book;

    kt_sim_books_whole(c->books, 0, DEPTH, &book);
    kt_builder_init(&text, mem, sizeof mem);
    kt_sim_kraken_write_snapshot(c->format, c->instrument, &book, &text);
    assert_int_equal(text.code, KT_OK);
    hear(c, kt_builder_done(&text));
    assert_true(c->known);
}

static bool deliver(void *ctx, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    client *c = ctx;
    int64_t ticker_ns = c->ticker_ns;
    uint32_t tickers = c->tickers;

    hear(c, event);
    if (c->clean && c->tickers != tickers)
        assert_true(c->ticker_ns > ticker_ns); /* or the house would take it for an old one */
    return true;
}

static bool never(void *ctx, int64_t now_ns)
{
    return false;
}

/* The client's book is the venue's, level by level. */
static void check_equal(client *c)
{
    const kt_rows *sides[KT_LEVEL2_SIDES];
    kt_ev_book truth;

    kt_sim_books_whole(c->books, 0, DEPTH, &truth);
    sides[KT_BIDS] = &truth.bids;
    sides[KT_ASKS] = &truth.asks;
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        assert_int_equal(kt_level2_count(&c->book, side), sides[side]->count);
        assert_true(sides[side]->count <= 100); /* the least depth that is served */
        for (uint32_t rank = 0; rank < sides[side]->count; rank++) {
            kt_decimal price, quantity;
            kt_row_level level;

            kt_rows_get(&kt_row_table_level, sides[side], rank, &level);
            kt_level2_decimals(&c->book, side, rank, &price, &quantity);
            assert_int_equal(kt_decimal_compare(price, level.price), 0);
            assert_int_equal(kt_decimal_compare(quantity, level.quantity), 0);
        }
    }
}

static void play(client *c, const kt_venue_format *format, const double *shares, uint64_t seed)
{
    kt_sim_market_options market_options = {
        .symbols = "BTC/USDT", .seed = seed, .rate = 50, .start_ns = 1700000000 * KT_NS_PER_S, .count = TRADES
    };
    kt_sim_books_options options = { .format = format,
        .faults = &c->faults,
        .seed = seed,
        .start_ns = market_options.start_ns,
        .ctx = c,
        .deliver = deliver,
        .silent = never };
    kt_sim_market *market = NULL;
    const kt_sim_trade *next = NULL;

    assert_int_equal(kt_sim_market_open(&market_options, &market, NULL), KT_OK);
    options.market = market;
    *c = (client){ .format = format, .faults = kt_test_faults(shares), .clean = shares == NULL };
    c->instrument = &kt_sim_symbol_at(market, 0)->pair;
    c->decoder = decoder_knowing(format, "BTC/USDT", 0);
    assert_int_equal(kt_sim_books_new(&options, &c->books, NULL), KT_OK);
    kt_sim_books_want(c->books, 0, NULL);
    read_whole(c); /* nothing yet */
    while ((next = kt_sim_market_peek(market)) != NULL) {
        kt_sim_trade trade = *next;

        kt_sim_market_take(market);
        while (kt_sim_books_due(c->books) <= trade.at_ns) {
            kt_sim_books_flush(c->books);
            if (shares == NULL)
                check_equal(c);
            if (!c->known)
                read_whole(c);
        }
        kt_sim_books_trade(c->books, &trade);
    }
    kt_sim_books_end(c->books);
    if (!c->known || shares != NULL)
        read_whole(c);
    check_equal(c);
    kt_sim_market_close(market);
}

static void done(client *c)
{
    kt_sim_books_free(c->books);
    kt_venue_decoder_free(c->decoder);
    kt_level2_done(&c->book);
}

static void every_checksum_holds(void **state)
{
    for (size_t i = 0; i < KT_COUNT(formats); i++)
        for (uint64_t seed = kt_test_seed(); seed < kt_test_seed() + 3; seed++) {
            client c;

            play(&c, formats[i], NULL, seed);
            assert_int_equal(c.lost, 0);
            assert_int_equal(c.invalid, 0);
            assert_true(c.changes > 100 && c.tickers > TRADES / 2);
            done(&c);
        }
}

static void faults_are_found(void **state)
{
    static const struct {
        const char *name;
        double shares[KT_SIM_FAULT_COUNT];
        bool loses, invalid;
    } rows[] = {
        { "a change that never comes", { [KT_SIM_DROP] = 0.1 }, true, false },
        { "one that comes later", { [KT_SIM_REORDER] = 0.1 }, true, false },
        { "one that comes again", { [KT_SIM_REPEAT] = 0.1 }, true, false },
        { "a crossed book", { [KT_SIM_CROSSED_BOOK] = 0.1 }, true, false },
        { "a wrong checksum", { [KT_SIM_WRONG_CHECKSUM] = 0.1 }, true, false },
        { "cut text", { [KT_SIM_MALFORMED] = 0.1 }, true, true },
        { "a field less", { [KT_SIM_MISSING_FIELD] = 0.1 }, true, true },
        { "another type", { [KT_SIM_WRONG_TYPE] = 0.1 }, true, true },
    };

    for (size_t i = 0; i < KT_COUNT(formats); i++)
        for (size_t row = 0; row < KT_COUNT(rows); row++) {
            client c;

            play(&c, formats[i], rows[row].shares, 7);
            if ((c.lost != 0) != rows[row].loses || (c.invalid != 0) != rows[row].invalid)
                fail_msg("%s: lost %u, invalid %u", rows[row].name, c.lost, c.invalid);
            assert_int_equal(c.invalid, kt_sim_books_totals(c.books).invalid);
            if (rows[row].shares[KT_SIM_WRONG_CHECKSUM] != 0)
                assert_int_equal(c.lost, c.faults.delivered[KT_SIM_WRONG_CHECKSUM]);
            done(&c);
        }
}

/* ---- candles ---- */

static void on_candle(void *ctx, kt_text symbol, const kt_ev_candle *candle)
{
    *(kt_ev_candle *)ctx = *candle;
}

static void same(kt_decimal told, kt_decimal expected)
{
    if (kt_decimal_compare(told, expected) != 0)
        fail_msg(
            "%lld at %u instead of %lld at %u", (long long)told.m, told.scale, (long long)expected.m, expected.scale);
}

static kt_decimal at_scale(int64_t m, uint8_t scale)
{
    return kt_decimal_canon((kt_decimal){ .m = m, .scale = scale });
}

/* How each minute ended. */
typedef struct ended {
    kt_ev_candle at[32];
    uint32_t count, seen;
} ended;

static void on_ended(void *ctx, kt_text symbol, const kt_ev_candle *candle)
{
    ended *e = ctx;
    kt_ev_candle expected = e->at[e->seen];

    assert_true(e->seen < e->count);
    expected.venue_time = candle->venue_time;
    assert_true(kt_table_equal(&kt_event_by_kind(KT_EV_CANDLE)->table, candle, &expected));
    e->seen++;
}

/* REST tells the same minutes, from the one on that is asked for. */
static void read_candles(const kt_venue_format *format, kt_venue_decoder *decoder, const kt_sim_market *market,
    const kt_sim_history *history, ended *ends)
{
    char *mem = malloc(BODY_SIZE);

    assert_true(ends->count > KT_SIM_KRAKEN_SNAPSHOT_MINUTES && ends->count < KT_COUNT(ends->at));
    for (uint32_t from = 0; from < ends->count; from++) {
        kt_ev_request request = {
            .what = KT_WHAT_CANDLES, .symbol = KT_TEXT("BTC/USDT"), .from_time = ends->at[from].begin
        };
        kt_sim_rest rest = { .market = market, .histories = history, .kraken = format };
        kt_venue_sink sink = { .ctx = ends, .candle = on_ended };
        char url[256];
        kt_venue_answer answer;
        kt_builder body;

        assert_int_equal(kt_venue_rest_url(decoder, "", &request, url, sizeof url, NULL), KT_OK);
        kt_builder_init(&body, mem, BODY_SIZE);
        assert_int_equal(kt_sim_rest_answer(&rest, (kt_text){ url, (size_t)(strchr(url, '?') - url) },
                             kt_text_of(strchr(url, '?') + 1), &body),
            200);
        ends->seen = from;
        kt_venue_decode_answer(decoder, &request, 200, kt_builder_done(&body), 1, &sink, &answer);
        assert_string_equal(answer.error, "");
        assert_int_equal(ends->seen, ends->count);
    }
    free(mem);
}

/* What a subscription begins with: v1 the last minute, v2 the last ones. */
static void subscribe_candles(const kt_venue_format *format, kt_venue_decoder *decoder, const kt_sim_market *market,
    const kt_sim_history *history, ended *ends)
{
    kt_venue_sink sink = { .ctx = ends, .candle = on_ended };
    kt_sim_history none;
    char mem[KT_SIM_EVENT_SIZE * KT_SIM_KRAKEN_SNAPSHOT_MINUTES];
    kt_builder text;

    kt_sim_history_init(&none, 1);
    kt_builder_init(&text, mem, sizeof mem);
    kt_sim_kraken_write_candles(format, &kt_sim_symbol_at(market, 0)->pair, &none, &text);
    assert_int_equal(text.n, 0);
    kt_sim_kraken_write_candles(format, &kt_sim_symbol_at(market, 0)->pair, history, &text);
    assert_int_equal(text.code, KT_OK);
    ends->seen = ends->count - (format == &kt_venue_kraken_v1 ? 1 : KT_SIM_KRAKEN_SNAPSHOT_MINUTES);
    kt_venue_decode_message(decoder, kt_builder_done(&text), 1, &sink);
    assert_int_equal(ends->seen, ends->count);
}

/* Each against all trades of its minute, looked at once more. */
static void minutes(void **state)
{
    enum { COUNT = 600 };
    static kt_sim_trade trades[COUNT];

    for (size_t i = 0; i < KT_COUNT(formats); i++) {
        kt_sim_market_options options = {
            .symbols = "BTC/USDT", .seed = 3, .rate = 0.8, .start_ns = 1700000000 * KT_NS_PER_S, .count = COUNT
        };
        kt_venue_decoder *decoder = decoder_knowing(formats[i], "BTC/USDT", 0);
        kt_sim_market *market = NULL;
        kt_sim_candle candle = { 0 };
        ended ends = { 0 };
        kt_sim_history history;

        kt_sim_history_init(&history, COUNT);
        assert_int_equal(kt_sim_market_open(&options, &market, NULL), KT_OK);
        for (uint32_t n = 0, first = 0; n < COUNT; n++) {
            kt_ev_candle told = { 0 };
            kt_venue_sink sink = { .ctx = &told, .candle = on_candle };
            int64_t high = 0, low = INT64_MAX, volume = 0;
            kt_i128 turnover = 0;
            char mem[KT_SIM_EVENT_SIZE];
            kt_builder text;

            trades[n] = *kt_sim_market_peek(market);
            kt_sim_market_take(market);
            kt_sim_kraken_candle_add(&candle, &trades[n]);
            kt_builder_init(&text, mem, sizeof mem);
            kt_sim_kraken_write_candle(formats[i], &kt_sim_symbol_at(market, 0)->pair, &candle, &text);
            kt_venue_decode_message(decoder, kt_builder_done(&text), 1, &sink);

            while (trades[first].time_ms / 60000 != trades[n].time_ms / 60000)
                first++;
            for (uint32_t t = first; t <= n; t++) {
                high = trades[t].price > high ? trades[t].price : high;
                low = trades[t].price < low ? trades[t].price : low;
                volume += trades[t].quantity;
                turnover += (kt_i128)trades[t].price * trades[t].quantity;
            }
            assert_true(told.begin == trades[n].time_ms / 60000 * KT_NS_PER_MIN && told.interval_s == 60);
            assert_int_equal(told.venue_time, candle.last_ns);
            assert_int_equal(told.trades, n - first + 1);
            same(told.open, at_scale(trades[first].price, KT_SIM_SCALE));
            same(told.high, at_scale(high, KT_SIM_SCALE));
            same(told.low, at_scale(low, KT_SIM_SCALE));
            same(told.close, at_scale(trades[n].price, KT_SIM_SCALE));
            same(told.volume, at_scale(volume, KT_SIM_SCALE));
            same(told.vwap, at_scale((int64_t)(turnover / volume / kt_pow10(KT_SIM_SCALE - 2)), 2)); /* cut */
            assert_int_equal(kt_sim_history_add(&history, &trades[n]), KT_OK);
            ends.count += ends.count == 0 || ends.at[ends.count - 1].begin != told.begin;
            ends.at[ends.count - 1] = told;
        }
        read_candles(formats[i], decoder, market, &history, &ends);
        subscribe_candles(formats[i], decoder, market, &history, &ends);
        kt_sim_history_done(&history);
        kt_sim_market_close(market);
        kt_venue_decoder_free(decoder);
    }
}

/* ---- words ---- */

typedef struct listener {
    char said[4096];
    kt_builder text;
    bool subscribed[KT_SIM_CANDLES + 1];
} listener;

static void on_send(void *ctx, kt_text message)
{
    listener *l = ctx;

    kt_builder_text(&l->text, message);
    kt_builder_char(&l->text, '\n');
}

static bool on_subscribe(void *ctx, uint32_t symbol, kt_sim_stream stream, bool wanted)
{
    listener *l = ctx;
    bool was = l->subscribed[stream];

    l->subscribed[stream] = wanted;
    return was != wanted;
}

static void on_snapshot(void *ctx, uint32_t symbol, kt_sim_stream stream)
{
    kt_builder_str(&((listener *)ctx)->text, stream == KT_SIM_DEPTH ? "(the book)\n" : "(the last minutes)\n");
}

#define V2_OK "\"success\":true,\"time_in\":\"2023-11-14T22:13:20.000Z\",\"time_out\":\"2023-11-14T22:13:20.000Z\""
#define V2_NO "\"success\":false,\"time_in\":\"2023-11-14T22:13:20.000Z\",\"time_out\":\"2023-11-14T22:13:20.000Z\""

static void words(void **state)
{
    static const struct {
        const char *name;
        const kt_venue_format *format;
        const char *hears, *says;
    } rows[] = {
        { "ping", &kt_venue_kraken_v2, "{\"method\":\"ping\",\"req_id\":7}", "{\"method\":\"pong\",\"req_id\":7}\n" },
        { "subscribe", &kt_venue_kraken_v2,
            "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"symbol\":[\"BTC/USDT\"]},\"req_id\":1}",
            "{\"method\":\"subscribe\",\"result\":{\"channel\":\"trade\",\"symbol\":\"BTC/USDT\"}," V2_OK
            ",\"req_id\":1}\n" },
        { "subscribe: again", &kt_venue_kraken_v2,
            "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"symbol\":[\"BTC/USDT\"]}}",
            "{\"method\":\"subscribe\",\"error\":\"Already subscribed\",\"symbol\":\"BTC/USDT\"," V2_NO "}\n" },
        { "subscribe: a book comes whole", &kt_venue_kraken_v2,
            "{\"method\":\"subscribe\",\"params\":{\"channel\":\"book\",\"symbol\":[\"BTC/USDT\"],\"depth\":1000}}",
            "{\"method\":\"subscribe\",\"result\":{\"channel\":\"book\",\"symbol\":\"BTC/USDT\",\"depth\":1000}," V2_OK
            "}\n"
            "(the book)\n" },
        { "unsubscribe", &kt_venue_kraken_v2,
            "{\"method\":\"unsubscribe\",\"params\":{\"channel\":\"book\",\"symbol\":[\"BTC/USDT\"],\"depth\":1000}}",
            "{\"method\":\"unsubscribe\",\"result\":{\"channel\":\"book\",\"symbol\":\"BTC/USDT\",\"depth\":1000}," V2_OK
            "}\n" },
        { "a depth that is not served", &kt_venue_kraken_v2,
            "{\"method\":\"subscribe\",\"params\":{\"channel\":\"book\",\"symbol\":[\"BTC/USDT\"]}}",
            "{\"method\":\"subscribe\",\"error\":\"Subscription depth not supported by the sim\",\"symbol\":\"BTC/USDT\"," V2_NO
            "}\n" },
        { "an unknown pair", &kt_venue_kraken_v2,
            "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"symbol\":[\"XBT/USDT\"]}}",
            "{\"method\":\"subscribe\",\"error\":\"Currency pair not supported XBT/USDT\",\"symbol\":\"XBT/USDT\"," V2_NO
            "}\n" },
        { "something else", &kt_venue_kraken_v2, "{\"method\":\"add_order\"}",
            "{\"error\":\"Event(s) not found\",\"method\":\"subscribe\",\"success\":false}\n" },
        { "ping of v1", &kt_venue_kraken_v1, "{\"event\":\"ping\",\"reqid\":7}", "{\"event\":\"pong\",\"reqid\":7}\n" },
        { "subscribe in v1", &kt_venue_kraken_v1,
            "{\"event\":\"subscribe\",\"reqid\":3,\"pair\":[\"XBT/USDT\"],\"subscription\":{\"name\":\"spread\"}}",
            "{\"channelID\":336,\"channelName\":\"spread\",\"event\":\"subscriptionStatus\",\"pair\":\"XBT/USDT\",\"reqid\":3,"
            "\"status\":\"subscribed\",\"subscription\":{\"name\":\"spread\"}}\n" },
        { "a book in v1", &kt_venue_kraken_v1,
            "{\"event\":\"subscribe\",\"pair\":[\"XBT/USDT\"],\"subscription\":{\"name\":\"book\",\"depth\":1000}}",
            "{\"channelID\":336,\"channelName\":\"book-1000\",\"event\":\"subscriptionStatus\",\"pair\":\"XBT/USDT\","
            "\"status\":\"subscribed\",\"subscription\":{\"depth\":1000,\"name\":\"book\"}}\n(the book)\n" },
        { "candles in v1", &kt_venue_kraken_v1,
            "{\"event\":\"subscribe\",\"pair\":[\"XBT/USDT\"],\"subscription\":{\"name\":\"ohlc\"}}",
            "{\"channelID\":336,\"channelName\":\"ohlc-1\",\"event\":\"subscriptionStatus\",\"pair\":\"XBT/USDT\","
            "\"status\":\"subscribed\",\"subscription\":{\"interval\":1,\"name\":\"ohlc\"}}\n(the last minutes)\n" },
        { "an interval that is not served", &kt_venue_kraken_v2,
            "{\"method\":\"subscribe\",\"params\":{\"channel\":\"ohlc\",\"symbol\":[\"BTC/USDT\"],\"interval\":5}}",
            "{\"method\":\"subscribe\",\"error\":\"Subscription ohlc interval not supported by the sim\",\"symbol\":"
            "\"BTC/USDT\"," V2_NO "}\n" },
        { "a channel that is not served in v1", &kt_venue_kraken_v1,
            "{\"event\":\"subscribe\",\"pair\":[\"XBT/USDT\"],\"subscription\":{\"name\":\"own\"}}",
            "{\"errorMessage\":\"Channel not supported by the sim\",\"channelName\":\"own\",\"event\":\"subscriptionStatus\","
            "\"pair\":\"XBT/USDT\",\"status\":\"error\",\"subscription\":{\"name\":\"own\"}}\n" },
    };
    kt_sim_market *market = NULL;
    listener l = { 0 };

    assert_int_equal(
        kt_sim_market_open(&(kt_sim_market_options){ .symbols = "BTC/USDT", .rate = 1 }, &market, NULL), KT_OK);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const kt_sim_kraken_host host = { .format = rows[i].format,
            .market = market,
            .now_ns = 1700000000 * KT_NS_PER_S,
            .ctx = &l,
            .send = on_send,
            .subscribe = on_subscribe,
            .snapshot = on_snapshot };

        kt_builder_init(&l.text, l.said, sizeof l.said);
        if (rows[i].format != rows[i == 0 ? 0 : i - 1].format)
            memset(l.subscribed, 0, sizeof l.subscribed);
        kt_sim_kraken_hear(&host, kt_text_of(rows[i].hears));
        if (strcmp(l.said, rows[i].says) != 0)
            fail_msg("%s: %s", rows[i].name, l.said);
    }
    kt_sim_market_close(market);
}

/* ---- REST ---- */

typedef struct gathered {
    uint64_t next; /* the number of the next trade */
    uint32_t rows;
    int64_t last_ns;
} gathered;

static void on_row(void *ctx, const kt_row_trade *row)
{
    gathered *g = ctx;

    if (g->next != 0 && row->trade_number < g->next)
        return; /* came before */
    assert_true(g->next == 0 || row->trade_number == g->next);
    assert_true(row->venue_time > g->last_ns);
    g->next = row->trade_number + 1;
    g->last_ns = row->venue_time;
    g->rows++;
}

/* Page after page from the last time on gives every trade once, in order, whatever their times share. */
static void pages_of_trades(void **state)
{
    enum { COUNT = 700, PAGE = 60 };
    kt_sim_market_options options = {
        .symbols = "BTC/USDT", .seed = 5, .rate = 1000, .start_ns = 1700000000 * KT_NS_PER_S, .count = COUNT
    };
    kt_sim_history history;
    kt_sim_market *market = NULL;
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v2, "BTC/USDT", 0);
    kt_venue_sink sink = { .row = on_row };
    char *mem = malloc(BODY_SIZE);
    gathered all = { 0 };

    assert_int_equal(kt_sim_market_open(&options, &market, NULL), KT_OK);
    kt_sim_history_init(&history, COUNT);
    for (const kt_sim_trade *next = NULL; (next = kt_sim_market_peek(market)) != NULL; kt_sim_market_take(market)) {
        kt_sim_trade trade = *next;
        const kt_sim_trade *last = history.count != 0 ? kt_sim_history_at(&history, history.count - 1) : NULL;

        trade.nth = last != NULL && last->time_ms == trade.time_ms ? last->nth + 1 : 0;
        assert_int_equal(kt_sim_history_add(&history, &trade), KT_OK);
    }
    sink.ctx = &all;
    for (uint32_t page = 0; all.rows < COUNT; page++) {
        kt_ev_request request = {
            .what = KT_WHAT_TRADES_BY_TIME, .symbol = KT_TEXT("BTC/USDT"), .from_time = all.last_ns, .limit = PAGE
        };
        kt_sim_rest rest = { .market = market, .histories = &history, .kraken = &kt_venue_kraken_v2 };
        char url[256];
        kt_venue_answer answer;
        kt_builder body;
        const char *query;

        assert_true(page < COUNT / (PAGE - 1) + 2);
        assert_int_equal(kt_venue_rest_url(decoder, "", &request, url, sizeof url, NULL), KT_OK);
        query = strchr(url, '?');
        kt_builder_init(&body, mem, BODY_SIZE);
        assert_int_equal(
            kt_sim_rest_answer(&rest, (kt_text){ url, (size_t)(query - url) }, kt_text_of(query + 1), &body), 200);
        kt_venue_decode_answer(decoder, &request, 200, kt_builder_done(&body), 1, &sink, &answer);
        assert_string_equal(answer.error, "");
        assert_int_equal(answer.invalid_count, 0);
        assert_int_equal(answer.full, all.rows < COUNT || answer.row_count == PAGE);
    }
    kt_sim_history_done(&history);
    kt_sim_market_close(market);
    kt_venue_decoder_free(decoder);
    free(mem);
}

#define XBTUSDT                                                                                                                 \
    "\"XBTUSDT\":{\"altname\":\"XBTUSDT\",\"wsname\":\"XBT/USDT\",\"pair_decimals\":2,\"lot_decimals\":5,\"lot_multiplier\":1," \
    "\"tick_size\":\"0.01\",\"status\":\"online\"}"

static void rest_answers(void **state)
{
    static const struct {
        const char *name, *path, *query, *body;
    } rows[] = {
        { "no pair", "/0/public/Trades", "since=1", "{\"error\":[\"EGeneral:Invalid arguments\"]}" },
        { "an unknown pair", "/0/public/Trades", "pair=ABC", "{\"error\":[\"EQuery:Unknown asset pair\"]}" },
        { "a time that is none", "/0/public/Trades", "pair=XBTUSDT&since=x",
            "{\"error\":[\"EGeneral:Invalid arguments\"]}" },
        { "an empty history", "/0/public/Trades", "pair=XBTUSDT&since=5",
            "{\"error\":[],\"result\":{\"XBTUSDT\":[],\"last\":\"5\"}}" },
        { "an unknown pair among pairs", "/0/public/AssetPairs", "pair=XBTUSDT,ABC",
            "{\"error\":[\"EQuery:Unknown asset pair\"]}" },
        { "a pair", "/0/public/AssetPairs", "pair=XBTUSDT", "{\"error\":[],\"result\":{" XBTUSDT "}}" },
        { "two pairs, as they are named", "/0/public/AssetPairs", "pair=XBTUSDT,XBTUSDT",
            "{\"error\":[],\"result\":{" XBTUSDT "," XBTUSDT "}}" },
        { "all pairs", "/0/public/AssetPairs", "", "{\"error\":[],\"result\":{" XBTUSDT "}}" },
        { "another path", "/0/public/Ticker", "pair=XBTUSDT", NULL },
    };
    kt_sim_market *market = NULL;
    kt_sim_history history;
    char mem[4096];

    assert_int_equal(
        kt_sim_market_open(&(kt_sim_market_options){ .symbols = "BTC/USDT", .rate = 1 }, &market, NULL), KT_OK);
    kt_sim_history_init(&history, 10);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_sim_rest rest = { .market = market, .histories = &history, .kraken = &kt_venue_kraken_v2 };
        kt_builder body;

        kt_builder_init(&body, mem, sizeof mem);
        if (kt_sim_rest_answer(&rest, kt_text_of(rows[i].path), kt_text_of(rows[i].query), &body) !=
                (rows[i].body != NULL ? 200 : 0) ||
            (rows[i].body != NULL && strcmp(mem, rows[i].body) != 0))
            fail_msg("%s: %s", rows[i].name, mem);
    }
    kt_sim_history_done(&history);
    kt_sim_market_close(market);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_checksum_holds),
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(minutes),
        cmocka_unit_test(words),
        cmocka_unit_test(pages_of_trades),
        cmocka_unit_test(rest_answers),
    };

    return cmocka_run_group_tests_name("sim_kraken", tests, NULL, NULL);
}
