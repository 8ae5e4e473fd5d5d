/* The sim's books against what a client makes of their messages, through the decoder and a book of its own. */
#include "venue/test_sink.h"

#include "base/time.h"
#include "book/level2.h"
#include "venue/binance_scan.h"
#include "venue/sim/books.h"
#include "venue/sim/tape.h"
#include "venue/sim/test_faults.h"
#include "venue/sim/wire.h"

enum { TRADES = 4000 };

typedef struct client {
    kt_sim_faults faults;
    kt_sim_books *books;
    kt_venue_decoder *decoder;
    kt_level2 book;
    bool synced;
    uint32_t received, invalid, old, gaps, crossed, changes, tickers;
    kt_ev_ticker ticker;
    const kt_sim_trade *trade; /* that is happening */
    bool matched;              /* the best prices have shown what it takes */
    const kt_sim_tape *tape;   /* recorded: what is delivered is what stands there */
    uint32_t tape_at;
} client;

static void set_side(client *c, kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level level;

        kt_rows_get(&kt_row_table_level, rows, i, &level);
        assert_int_equal(kt_level2_set(&c->book, side, level.price, level.quantity), KT_OK);
    }
}

static void on_book(void *ctx, kt_text symbol, const kt_ev_book *book)
{
    client *c = ctx;
    kt_level2_place place = KT_LEVEL2_NEXT;

    if (book->snapshot)
        kt_level2_start(&c->book, book->last_id);
    else
        place = c->synced ? kt_level2_place_of(&c->book, book->first_id, book->last_id) : KT_LEVEL2_OLD;
    c->synced = c->synced || book->snapshot;
    c->old += place == KT_LEVEL2_OLD;
    c->gaps += place == KT_LEVEL2_GAP;
    if (place != KT_LEVEL2_NEXT) {
        c->synced = c->synced && place == KT_LEVEL2_OLD;
        return;
    }
    set_side(c, KT_BIDS, &book->bids);
    set_side(c, KT_ASKS, &book->asks);
    if (!book->snapshot) {
        kt_level2_continue(&c->book, book->last_id);
        c->changes++;
    }
    c->crossed += kt_level2_count(&c->book, KT_BIDS) != 0 && kt_level2_count(&c->book, KT_ASKS) != 0 &&
                  kt_level2_at(&c->book, KT_BIDS, 0).price.m >= kt_level2_at(&c->book, KT_ASKS, 0).price.m;
    assert_true(c->crossed == 0 || c->faults.values[KT_SIM_CROSSED_BOOK].m != 0);
}

/* The taker finds its price at the best of the other side, and enough of it. */
static void look(client *c)
{
    const kt_sim_trade *trade = c->trade;
    const kt_ev_ticker *ticker = &c->ticker;
    int64_t price = 0, quantity = 0;

    if (trade == NULL)
        return;
    assert_int_equal(kt_decimal_rescale(trade->seller_took ? ticker->bid : ticker->ask, KT_SIM_SCALE, &price), KT_OK);
    assert_int_equal(
        kt_decimal_rescale(trade->seller_took ? ticker->bid_quantity : ticker->ask_quantity, KT_SIM_SCALE, &quantity),
        KT_OK);
    c->matched = c->matched || (price == trade->price && quantity >= trade->quantity);
}

static void on_ticker(void *ctx, kt_text symbol, const kt_ev_ticker *ticker)
{
    client *c = ctx;

    c->tickers++;
    if (ticker->update_id > c->ticker.update_id)
        c->ticker = *ticker;
    look(c);
}

static void on_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    ((client *)ctx)->invalid++;
}

static bool deliver(void *ctx, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    client *c = ctx;
    kt_venue_sink sink = { .ctx = c, .book = on_book, .ticker = on_ticker, .invalid = on_invalid };
    kt_binance_message scanned;
    static kt_decimal levels[KT_VENUE_LEVEL_MAX][2];
    static char mem[KT_SIM_CHANGE_SIZE + 128];
    uint32_t invalid = c->invalid;
    kt_builder message;

    c->received++;
    if (c->tape != NULL)
        assert_true(kt_text_equal(event, kt_sim_tape_text(c->tape, &c->tape->messages[c->tape_at++])));
    kt_builder_init(&message, mem, sizeof mem);
    kt_sim_write_combined(
        kt_venue_symbol_find(c->decoder, KT_TEXT("BTC/USDT")), kt_sim_stream_suffix(stream), event, &message);
    kt_venue_decode_message(c->decoder, kt_builder_done(&message), 1, &sink);
    if (invalid == c->invalid) /* what is whole is written as the venue writes it */
        assert_true(kt_binance_scan(kt_builder_done(&message), levels, KT_VENUE_LEVEL_MAX, &scanned));
    return true;
}

static bool never(void *ctx, int64_t now_ns)
{
    return false;
}

static void read_rest(client *c, uint32_t limit)
{
    static char mem[1 << 20];
    kt_ev_request request = { .what = KT_WHAT_BOOK, .symbol = KT_TEXT("BTC/USDT") };
    kt_venue_sink sink = { .ctx = c, .book = on_book };
    kt_venue_answer answer;
    kt_builder body;

    kt_builder_init(&body, mem, sizeof mem);
    kt_sim_books_answer(c->books, 0, limit, &body);
    kt_venue_decode_answer(c->decoder, &request, 200, kt_builder_done(&body), 1, &sink, &answer);
    assert_string_equal(answer.error, "");
    assert_int_equal(answer.invalid_count, 0);
}

/* The client's book is the venue's, level by level. */
static void check_equal(const client *c)
{
    client other = { .books = c->books, .decoder = c->decoder };

    read_rest(&other, KT_LEVEL2_MAX);
    assert_int_equal(c->book.last_id, other.book.last_id);
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        assert_int_equal(kt_level2_count(&c->book, side), kt_level2_count(&other.book, side));
        for (uint32_t rank = 0; rank < kt_level2_count(&c->book, side); rank++) {
            kt_decimal price[2], quantity[2];

            kt_level2_decimals(&c->book, side, rank, &price[0], &quantity[0]);
            kt_level2_decimals(&other.book, side, rank, &price[1], &quantity[1]);
            assert_int_equal(kt_decimal_compare(price[0], price[1]), 0);
            assert_int_equal(kt_decimal_compare(quantity[0], quantity[1]), 0);
        }
    }
    kt_level2_done(&other.book);
}

static void play(client *c, const double *rates, uint64_t seed, bool check)
{
    kt_sim_market_options market_options = {
        .symbols = "BTC/USDT", .seed = seed, .rate = 50, .start_ns = 1700000000 * KT_NS_PER_S, .count = TRADES
    };
    kt_sim_market *market = NULL;
    kt_sim_books_options options = { .format = &kt_venue_binance,
        .faults = &c->faults,
        .seed = seed,
        .start_ns = market_options.start_ns,
        .ctx = c,
        .deliver = deliver,
        .silent = never };
    const kt_sim_trade *next = NULL;

    assert_int_equal(kt_sim_market_open(&market_options, &market, NULL), KT_OK);
    options.market = market;
    c->faults = kt_test_faults(rates);
    c->decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT", 0);
    assert_int_equal(kt_sim_books_new(&options, &c->books, NULL), KT_OK);
    kt_sim_books_want(c->books, 0, NULL);
    while ((next = kt_sim_market_peek(market)) != NULL) {
        kt_sim_trade trade = *next;

        kt_sim_market_take(market);
        while (kt_sim_books_due(c->books) <= trade.at_ns) {
            kt_sim_books_flush(c->books);
            if (!c->synced)
                read_rest(c, KT_LEVEL2_MAX);
            if (check)
                check_equal(c);
        }
        c->trade = &trade;
        c->matched = false;
        look(c);
        kt_sim_books_trade(c->books, &trade);
        assert_true(c->matched || !check);
        c->trade = NULL;
        if (check && c->synced) {
            client after = { .books = c->books, .decoder = c->decoder };
            kt_decimal price, quantity;

            read_rest(&after, 1);
            kt_level2_decimals(&after.book, KT_BIDS, 0, &price, &quantity);
            assert_int_equal(kt_decimal_compare(price, c->ticker.bid), 0);
            assert_int_equal(kt_decimal_compare(quantity, c->ticker.bid_quantity), 0);
            kt_level2_decimals(&after.book, KT_ASKS, 0, &price, &quantity);
            assert_int_equal(kt_decimal_compare(price, c->ticker.ask), 0);
            assert_int_equal(kt_decimal_compare(quantity, c->ticker.ask_quantity), 0);
            kt_level2_done(&after.book);
        }
    }
    kt_sim_books_end(c->books);
    kt_sim_market_close(market);
}

static void done(client *c)
{
    kt_sim_books_free(c->books);
    kt_venue_decoder_free(c->decoder);
    kt_level2_done(&c->book);
}

static void a_clean_book_is_followed(void **state)
{
    client c = { 0 };

    play(&c, NULL, 1, true);
    check_equal(&c);
    assert_int_equal(c.gaps, 0);
    assert_int_equal(c.invalid, 0);
    assert_true(c.changes > 400 && c.tickers > TRADES / 2);
    assert_int_equal(kt_sim_books_totals(c.books).received, c.received);
    assert_int_equal(kt_sim_books_totals(c.books).missing, 0);
    done(&c);
}

static void faults_are_in_the_books(void **state)
{
    double rates[KT_SIM_FAULT_COUNT] = { [KT_SIM_DROP] = 0.02,
        [KT_SIM_REPEAT] = 0.02,
        [KT_SIM_REORDER] = 0.02,
        [KT_SIM_MALFORMED] = 0.02,
        [KT_SIM_MISSING_FIELD] = 0.02,
        [KT_SIM_WRONG_TYPE] = 0.02,
        [KT_SIM_DISCONNECT] = 0.5 };
    client c = { 0 };

    play(&c, rates, 2, false);
    kt_sim_book_totals totals = kt_sim_books_totals(c.books);
    assert_true(
        totals.invalid > 100 && totals.repeated > 30 && totals.reordered > 0 && totals.missing > totals.invalid);
    assert_int_equal(totals.received, c.received);
    assert_int_equal(totals.invalid, c.invalid);
    assert_int_equal(totals.messages - totals.missing + totals.invalid + totals.repeated, totals.received);
    assert_true(c.gaps > 10);
    read_rest(&c, KT_LEVEL2_MAX);
    check_equal(&c);
    done(&c);
}

/* Those of books alone: each does what it says, to the client that looks. */
static void faults_of_books(void **state)
{
    static const struct {
        kt_sim_fault fault;
        bool gaps, crosses;
    } rows[] = { { KT_SIM_SEQUENCE_GAP, true, false }, { KT_SIM_CROSSED_BOOK, false, true } };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        double rates[KT_SIM_FAULT_COUNT] = { 0 };
        client c = { 0 };

        rates[rows[i].fault] = 0.05;
        play(&c, rates, 4, false);
        assert_true(c.faults.delivered[rows[i].fault] > 10);
        assert_int_equal(c.gaps != 0, rows[i].gaps);
        assert_int_equal(c.crossed != 0, rows[i].crosses);
        assert_int_equal(c.invalid, 0);
        assert_int_equal(kt_sim_books_totals(c.books).received, kt_sim_books_totals(c.books).messages);
        read_rest(&c, KT_LEVEL2_MAX);
        check_equal(&c); /* REST knows nothing of it */
        done(&c);
    }
}

/* A whole book of a second ago or more: changes of this moment do not continue it. */
static void an_old_book(void **state)
{
    client c = { 0 }, old = { 0 };

    play(&c, NULL, 5, false);
    c.faults = kt_test_faults((double[KT_SIM_FAULT_COUNT]){ [KT_SIM_OLD_SNAPSHOT] = 1 });
    old = (client){ .books = c.books, .decoder = c.decoder };
    read_rest(&old, KT_LEVEL2_MAX);
    assert_int_equal(c.faults.delivered[KT_SIM_OLD_SNAPSHOT], 1);
    assert_true(kt_level2_count(&old.book, KT_BIDS) != 0 && kt_level2_count(&old.book, KT_ASKS) != 0);
    assert_true(old.book.last_id < c.book.last_id);
    assert_int_equal(kt_level2_place_of(&old.book, c.book.last_id, c.book.last_id), KT_LEVEL2_GAP);
    kt_level2_done(&old.book);
    done(&c);
}

static void hash_of(void *ctx, uint64_t *out)
{
    client *c = ctx;

    *out = c->ticker.update_id * 31 + c->received * 7 + c->invalid + c->book.last_id;
}

static void one_seed_one_stream(void **state)
{
    double rates[KT_SIM_FAULT_COUNT] = { [KT_SIM_DROP] = 0.05, [KT_SIM_REORDER] = 0.05 };
    uint64_t hashes[2];

    for (int i = 0; i < 2; i++) {
        client c = { 0 };

        play(&c, rates, 3, false);
        hash_of(&c, &hashes[i]);
        done(&c);
    }
    assert_true(hashes[0] == hashes[1]);
}

/* A recorded book is played byte for byte, and REST gives what it comes to. */
static void a_recorded_book(void **state)
{
    kt_sim_market_options market_options = {
        .tape = kt_test_recordings("binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz"), .until_number = 3735683600
    };
    kt_sim_market *market = NULL;
    client c = { 0 };
    kt_sim_books_options options = {
        .format = &kt_venue_binance, .faults = &c.faults, .ctx = &c, .deliver = deliver, .silent = never
    };

    assert_int_equal(kt_sim_market_open(&market_options, &market, NULL), KT_OK);
    options.market = market;
    c.tape = kt_sim_market_tape(market);
    c.decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT", 0);
    assert_int_equal(kt_sim_books_new(&options, &c.books, NULL), KT_OK);
    kt_sim_books_want(c.books, 0, NULL);
    read_rest(&c, KT_LEVEL2_MAX);
    assert_int_equal(c.book.last_id, UINT64_C(50093239218)); /* the recorded one */
    while (kt_sim_market_peek(market) != NULL) {
        kt_sim_trade trade = *kt_sim_market_peek(market);

        kt_sim_market_take(market);
        while (kt_sim_books_due(c.books) <= trade.at_ns) {
            kt_sim_books_flush(c.books);
            if (c.received % 500 == 0)
                check_equal(&c);
        }
        kt_sim_books_trade(c.books, &trade);
    }
    kt_sim_books_end(c.books);
    check_equal(&c);
    assert_int_equal(c.gaps, 0);
    assert_int_equal(c.invalid, 0);
    assert_true(c.changes > 50 && c.tickers > 500);
    assert_int_equal(c.received, c.tape_at);
    kt_sim_market_close(market);
    done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_book_is_followed),
        cmocka_unit_test(faults_are_in_the_books),
        cmocka_unit_test(faults_of_books),
        cmocka_unit_test(an_old_book),
        cmocka_unit_test(one_seed_one_stream),
        KT_TEST_RECORDED(a_recorded_book, "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz"),
    };

    return cmocka_run_group_tests_name("sim books", tests, NULL, NULL);
}
