/* The feed against a slow and obvious second count: every delivered message goes through the decoders, and the totals
 * are made again from what they say and from the true trades. */
#include "base/time.h"
#include "venue/sim/feed.h"
#include "venue/sim/test_faults.h"
#include "venue/sim/wire.h"
#include "venue/test_sink.h"

enum { SYMBOLS = 3, ID_MAX = 400000 };

typedef struct feed_listener {
    kt_venue_decoder *decoder;
    kt_sim_feed *feed;
    const kt_sim_market *market;
    uint64_t first_number;
    bool here; /* false: nobody listens */
    uint32_t cut_count;
    uint32_t gone_for; /* trades until it is back after a disconnect */
    bool combined;
    /* what came */
    uint64_t messages, hash;
    kt_sim_totals totals; /* all but trades and missing */
    uint64_t well_formed;
    uint32_t symbol; /* of the message being decoded */
    int64_t greatest[SYMBOLS];
    bool any[SYMBOLS];
    uint8_t *seen; /* by symbol and number */
    int64_t *true_price;
} feed_listener;

static uint32_t slot(const feed_listener *listener, uint32_t symbol, uint64_t number)
{
    assert_true(number >= listener->first_number && number - listener->first_number < ID_MAX);
    return symbol * ID_MAX + (uint32_t)(number - listener->first_number);
}

static void on_tick(void *ctx, kt_text symbol, const kt_ev_tick *tick)
{
    feed_listener *listener = ctx;
    kt_text rest = tick->trade_id, ticker = { 0 };
    uint64_t number = tick->trade_number;
    int64_t price = 0, order = 0;

    if (number == 0) {
        assert_true(kt_text_cut(&rest, '-', &ticker));
        assert_int_equal(kt_text_u64(rest, &number), KT_OK);
        order = tick->venue_time;
    } else {
        order = (int64_t)number;
    }
    uint32_t at = slot(listener, listener->symbol, number);

    assert_int_equal(kt_decimal_rescale(tick->price, KT_SIM_SCALE, &price), KT_OK);
    if (listener->seen[at]) {
        listener->totals.repeated++;
        return;
    }
    listener->seen[at] = 1;
    listener->well_formed++;
    listener->totals.suspect += price > listener->true_price[at] * 3 / 2 || price < listener->true_price[at] * 2 / 3;
    listener->totals.reordered += listener->any[listener->symbol] && order < listener->greatest[listener->symbol];
    if (!listener->any[listener->symbol] || order > listener->greatest[listener->symbol])
        listener->greatest[listener->symbol] = order;
    listener->any[listener->symbol] = true;
}

static void on_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    ((feed_listener *)ctx)->totals.invalid++;
}

static void on_other(void *ctx, kt_text kind)
{
    fail_msg("a delivered message is taken for '%.*s'", KT_TEXT_ARG(kind));
}

static void on_reply(void *ctx, uint64_t id, kt_text error)
{
    fail_msg("a delivered message is taken for a reply");
}

static bool deliver(void *ctx, uint32_t symbol, kt_text event)
{
    feed_listener *listener = ctx;
    kt_venue_sink sink = {
        .ctx = listener, .tick = on_tick, .invalid = on_invalid, .other = on_other, .reply = on_reply
    };
    char mem[KT_SIM_EVENT_SIZE + 128];
    kt_builder envelope;

    if (!listener->here || listener->gone_for > 0)
        return false;
    kt_builder_init(&envelope, mem, sizeof mem);
    if (listener->combined)
        kt_sim_write_combined(&kt_sim_symbol_at(listener->market, symbol)->pair, "@trade", event, &envelope);
    else
        kt_builder_text(&envelope, event);
    assert_int_equal(envelope.code, KT_OK);
    assert_true(kt_utf8_valid(kt_builder_done(&envelope))); /* or the WebSocket itself would break */
    for (size_t i = 0; i < envelope.n; i++)
        listener->hash = (listener->hash ^ (unsigned char)envelope.s[i]) * 1099511628211u;
    listener->messages++;
    listener->totals.received++;
    listener->symbol = symbol;
    kt_venue_decode_message(listener->decoder, kt_builder_done(&envelope), 1, &sink);
    return true;
}

static void disconnect(void *ctx)
{
    ((feed_listener *)ctx)->gone_for = 20;
}

static void cut(void *ctx, uint32_t symbol, kt_text event)
{
    ((feed_listener *)ctx)->cut_count++;
    disconnect(ctx);
}

static uint32_t connection(void *ctx)
{
    return 1;
}

/* Play `trades` trades with these rates; gives what the feed itself counted, after comparing it with the second
 * count. */
static kt_sim_totals play(const kt_venue_format *format, bool combined, uint64_t seed, const double *rates,
    uint32_t trades, FILE *truth, uint64_t *out_hash)
{
    kt_sim_market_options market_options = { .seed = seed,
        .rate = 50,
        .start_ns = INT64_C(1700000000000000000),
        .symbols = "3",
        .burst_every_ns = KT_NS_PER_S };
    feed_listener listener = { .combined = combined, .first_number = 1700000000000, .hash = 14695981039346656037u };
    kt_sim_faults faults = kt_test_faults(rates);
    kt_sim_feed_options options = { .format = format,
        .faults = &faults,
        .seed = seed,
        .silence_max_ns = 3 * KT_NS_PER_S,
        .truth = truth,
        .ctx = &listener,
        .deliver = deliver,
        .disconnect = disconnect,
        .cut = cut,
        .connection = connection };
    kt_sim_market *market = NULL;
    kt_sim_totals totals;

    assert_int_equal(kt_sim_market_open(&market_options, &market, NULL), KT_OK);
    listener.market = options.market = market;
    listener.decoder =
        decoder_knowing(format, format == &kt_venue_binance ? "BTC/USDT ETH/USDT SOL/USDT" : "BTC ETH SOL", 0);
    listener.seen = calloc(SYMBOLS * ID_MAX, 1);
    listener.true_price = calloc(SYMBOLS * ID_MAX, sizeof *listener.true_price);
    assert_int_equal(kt_sim_feed_new(&options, &listener.feed, NULL), KT_OK);
    for (uint32_t i = 0; i < trades; i++) {
        kt_sim_trade trade = *kt_sim_market_peek(market);

        kt_sim_market_take(market);
        if (i == trades / 100) { /* until now nobody listened, and nothing counts */
            listener.here = true;
            for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++)
                kt_sim_feed_subscribed(listener.feed, symbol);
        }
        listener.true_price[slot(&listener, trade.symbol, trade.number)] = trade.price;
        kt_sim_feed_trade(listener.feed, &trade);
        if (listener.gone_for > 0)
            listener.gone_for--;
    }
    kt_sim_feed_end(listener.feed);

    totals = kt_sim_feed_totals(listener.feed);
    assert_int_equal(totals.trades, trades - trades / 100);
    assert_int_equal(totals.received, listener.messages);
    assert_int_equal(totals.received, listener.totals.received);
    assert_int_equal(totals.invalid, listener.totals.invalid);
    assert_int_equal(totals.repeated, listener.totals.repeated);
    assert_int_equal(totals.reordered, listener.totals.reordered);
    assert_int_equal(totals.suspect, listener.totals.suspect);
    assert_int_equal(totals.missing, totals.trades - listener.well_formed);
    assert_int_equal(faults.delivered[KT_SIM_CUT_FRAME], listener.cut_count);
    *out_hash = listener.hash;
    kt_sim_feed_free(listener.feed);
    kt_venue_decoder_free(listener.decoder);
    kt_sim_market_close(market);
    free(listener.seen);
    free(listener.true_price);
    return totals;
}

static const struct {
    const kt_venue_format *format;
    bool combined;
} spellings[] = { { &kt_venue_generic, false }, { &kt_venue_binance, false }, { &kt_venue_binance, true } };

/* Each fault alone does what it says, and nothing else. */
static void test_each_fault_alone(void **state)
{
    static const struct {
        kt_sim_fault fault;
        const char *moves; /* which totals it moves: r received twice, i, p repeated, o, m, s */
    } rows[] = {
        { KT_SIM_NONE, "" },
        { KT_SIM_DROP, "m" },
        { KT_SIM_REPEAT, "p" },
        { KT_SIM_REORDER, "o" },
        { KT_SIM_MALFORMED, "im" },
        { KT_SIM_MISSING_FIELD, "im" },
        { KT_SIM_WRONG_TYPE, "im" },
        { KT_SIM_ABSURD_PRICE, "s" },
        { KT_SIM_DISCONNECT, "m" },
        { KT_SIM_SILENCE, "m" },
        { KT_SIM_CUT_FRAME, "m" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        for (size_t j = 0; j < KT_COUNT(spellings); j++) {
            double rates[KT_SIM_FAULT_COUNT] = { 0 };
            uint64_t hash = 0;
            kt_sim_totals totals;
            const char *moves = rows[i].moves;

            rates[rows[i].fault] = rows[i].fault == KT_SIM_NONE ? 0 : rows[i].fault >= KT_SIM_DISCONNECT ? 0.002 : 0.05;
            totals = play(spellings[j].format, spellings[j].combined, kt_test_seed() + i, rates, 10000, NULL, &hash);
            if ((totals.invalid != 0) != (strchr(moves, 'i') != NULL) ||
                (totals.repeated != 0) != (strchr(moves, 'p') != NULL) ||
                (totals.reordered != 0) != (strchr(moves, 'o') != NULL) ||
                (totals.missing != 0) != (strchr(moves, 'm') != NULL) ||
                (totals.suspect != 0) != (strchr(moves, 's') != NULL))
                fail_msg("%s", kt_sim_fault_specs[rows[i].fault].name);
        }
}

/* All at once, many seeds: the totals always agree with the second count, and one seed gives the same bytes. */
static void test_all_faults(void **state)
{
    uint32_t cases = kt_test_cases(60);

    for (uint32_t i = 0; i < cases; i++) {
        const kt_venue_format *format = spellings[i % KT_COUNT(spellings)].format;
        bool combined = spellings[i % KT_COUNT(spellings)].combined;
        double rates[KT_SIM_FAULT_COUNT] = { 0 };
        uint64_t hash = 0, again = 0;
        kt_rng rng;

        kt_rng_init(&rng, kt_test_seed() + i);
        for (kt_sim_fault fault = KT_SIM_DROP; fault <= KT_SIM_CUT_FRAME; fault++)
            rates[fault] = kt_rng_unit(&rng) * (fault >= KT_SIM_DISCONNECT ? 0.001 : 0.15);
        play(format, combined, i, rates, 4000, NULL, &hash);
        play(format, combined, i, rates, 4000, NULL, &again);
        assert_int_equal(hash, again);
    }
}

/* Rates of 1: every trade, from the first on. */
static void test_always(void **state)
{
    for (kt_sim_fault fault = KT_SIM_DROP; fault <= KT_SIM_CUT_FRAME; fault++) {
        double rates[KT_SIM_FAULT_COUNT] = { 0 };
        uint64_t hash = 0;
        kt_sim_totals totals;

        rates[fault] = 1;
        totals = play(&kt_venue_binance, true, 5, rates, 2000, NULL, &hash);
        if (fault == KT_SIM_MALFORMED)
            assert_int_equal(totals.invalid, totals.trades);
        if (fault == KT_SIM_REPEAT)
            assert_int_equal(totals.repeated, totals.trades);
        if (fault == KT_SIM_DROP)
            assert_int_equal(totals.received, 0);
    }
}

/* A line of the truth for each trade and each delivery, every one JSON, and their faults add up. */
static void test_truth(void **state)
{
    double rates[KT_SIM_FAULT_COUNT] = { 0 };
    char path[512], line[8192];
    uint64_t hash = 0, lines = 0, delivered = 0, trades = 0;
    kt_json_node nodes[64];
    kt_sim_totals totals;
    FILE *file = NULL;

    for (kt_sim_fault fault = KT_SIM_DROP; fault <= KT_SIM_CUT_FRAME; fault++)
        rates[fault] = fault >= KT_SIM_DISCONNECT ? 0.001 : 0.05;
    snprintf(path, sizeof path, "%s/truth", kt_test_dir());
    file = fopen(path, "w+");
    assert_non_null(file);
    totals = play(&kt_venue_generic, false, 11, rates, 5000, file, &hash);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        kt_text text = { line, strlen(line) - 1 };
        kt_json_doc doc;
        uint32_t copy = 0, event = 0;
        uint64_t n = 0;

        assert_int_equal(kt_json_parse(text, nodes, KT_COUNT(nodes), &doc, NULL), KT_OK);
        assert_int_equal(kt_json_u64(&doc, kt_json_get(&doc, 0, KT_TEXT("n")), &n), KT_OK);
        assert_int_equal(n, ++lines);
        copy = kt_json_get(&doc, 0, KT_TEXT("copy"));
        event = kt_json_get(&doc, 0, KT_TEXT("delivered"));
        assert_int_equal(kt_json_kind_of(&doc, kt_json_get(&doc, 0, KT_TEXT("true"))), KT_JSON_OBJECT);
        delivered += kt_json_kind_of(&doc, event) == KT_JSON_STRING;
        trades += kt_json_kind_of(&doc, copy) == KT_JSON_FALSE;
    }
    fclose(file);
    assert_int_equal(delivered, totals.received);
    assert_int_equal(trades, totals.trades);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_fault_alone),
        cmocka_unit_test(test_all_faults),
        cmocka_unit_test(test_always),
        cmocka_unit_test(test_truth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
