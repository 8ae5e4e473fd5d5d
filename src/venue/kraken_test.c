/* Kraken's two streams and its REST interface, message by message. The messages are those of the venue's documents
 * (docs.kraken.com/api), with the faults named by the row. */
#include "venue/kraken.h"
#include "venue/test_sink.h"

#include "base/time.h"

#define SYMBOLS "BTC/USD ETH/BTC DOGE/EUR"

/* ---- v1 ---- */

#define ROW1 "\"5541.20000\",\"0.15850568\",\"1534614057.321597\",\"s\",\"l\",\"\""
#define ROW2 "\"6060.00000\",\"0.02455000\",\"1534614057.324998\",\"b\",\"l\",\"\""
#define TICK1 "tick BTC/USD 1534614057321597000 5541.2 0.15850568 sell 1534614057321597-5541.2-0.15850568-s"

static const told_case rows_v1[] = {
    { "a trade", "[0,[[" ROW1 "]],\"trade\",\"XBT/USD\"]", TICK1 " 0" },
    { "several trades are told one by one", "[0,[[" ROW1 "],[" ROW2 "]],\"trade\",\"XBT/USD\"]",
        TICK1 " 0\n"
              "tick BTC/USD 1534614057324998000 6060 0.02455 buy 1534614057324998-6060-0.02455-b 0" },
    { "equal trades have names of their own", "[0,[[" ROW1 "],[" ROW2 "],[" ROW1 "]],\"trade\",\"XBT/USD\"]",
        TICK1 " 0\n"
              "tick BTC/USD 1534614057324998000 6060 0.02455 buy 1534614057324998-6060-0.02455-b 0\n" TICK1 " 0" },
    { "equal trades have names of their own: of one time",
        "[0,[[" ROW1 "],[" ROW1 "],[" ROW1 "]],\"trade\",\"XBT/USD\"]", TICK1 " 0\n" TICK1 "-1 0\n" TICK1 "-2 0" },
    { "one bad trade does not take the others with it", "[0,[[\"0\"," ROW1 "],[" ROW1 "]],\"trade\",\"XBT/USD\"]",
        "invalid wrong type: side\n" TICK1 " 0" },
    { "the old name of a currency",
        "[0,[[\"0.1\",\"5\",\"1534614057.321597\",\"b\",\"m\",\"\"]],\"trade\",\"XDG/EUR\"]",
        "tick DOGE/EUR 1534614057321597000 0.1 5 buy 1534614057321597-0.1-5-b 0" },
    { "a whole book, which has no checksum",
        "[0,{\"as\":[[\"5541.30000\",\"2.50700000\",\"1534614248.123678\"],[\"5541.80000\",\"0.33000000\","
        "\"1534614098.345543\"]],\"bs\":[[\"5541.20000\",\"1.52900000\",\"1534614248.765567\"]]},\"book-1000\",\"XBT/USD\"]",
        "book BTC/USD 1534614248765567000 0-0 bids 5541.2x1.529 asks 5541.3x2.507 5541.8x0.33" },
    { "a change with its checksum",
        "[1234,{\"a\":[[\"5541.30000\",\"2.50700000\",\"1534614248.456738\"],[\"5542.50000\",\"0.40100000\","
        "\"1534614248.456738\"]],\"c\":\"974942666\"},\"book-1000\",\"XBT/USD\"]",
        "change BTC/USD 1534614248456738000 0-0 bids asks 5541.3x2.507 5542.5x0.401 sum 974942666 over 5 and 8 digits" },
    { "a change of both sides",
        "[1234,{\"a\":[[\"5541.30000\",\"2.50700000\",\"1534614248.456738\"]]},{\"b\":[[\"5541.30000\",\"0.00000000\","
        "\"1534614335.345903\"]],\"c\":\"974942666\"},\"book-1000\",\"XBT/USD\"]",
        "change BTC/USD 1534614335345903000 0-0 bids 5541.3x0 asks 5541.3x2.507 sum 974942666 over 5 and 8 digits" },
    { "a level that comes into the depth again",
        "[1234,{\"a\":[[\"5541.30000\",\"2.5\",\"1534614248.456738\",\"r\"]],\"c\":\"1\"},\"book-25\",\"XBT/USD\"]",
        "change BTC/USD 1534614248456738000 0-0 bids asks 5541.3x2.5 sum 1 over 5 and 1 digits" },
    { "a change whose levels are written with more digits and with fewer",
        "[1,{\"b\":[[\"5541.30000\",\"2.5000\",\"1534614248.456738\"],[\"5541\",\"0\",\"1534614248.456738\"]],\"c\":\"1\"},"
        "\"book-1000\",\"XBT/USD\"]",
        "change BTC/USD 1534614248456738000 0-0 bids 5541.3x2.5 5541x0 asks sum 1 over 5 and 4 digits" },
    { "best prices",
        "[0,[\"5698.40000\",\"5700.00000\",\"1542057299.545897\",\"1.01234567\",\"0.98765432\"],\"spread\",\"XBT/USD\"]",
        "ticker BTC/USD 1542057299545897 5698.4x1.01234567 5700x0.98765432" },
    { "a minute",
        "[42,[\"1542057314.748456\",\"1542057360.435743\",\"3586.70000\",\"3586.70000\",\"3586.60000\",\"3586.60000\","
        "\"3586.68894\",\"0.03373000\",2],\"ohlc-1\",\"XBT/USD\"]",
        "candle BTC/USD 1542057300000000000+60s 3586.7 3586.7 3586.6 3586.6 3586.68894 0.03373 2" },
    { "other channels", "[0,{\"a\":[]},\"ticker\",\"XBT/USD\"]", "other ticker" },
    { "heartbeat", "{\"event\":\"heartbeat\"}", "other heartbeat" },
    { "pong", "{\"reqid\":42,\"event\":\"pong\"}", "other pong" },
    { "status",
        "{\"connectionID\":8628615390848610000,\"event\":\"systemStatus\",\"status\":\"online\",\"version\":\"1.0.0\"}",
        "other systemStatus" },
    { "the futures venue's messages are not ours", "{\"feed\":\"trade\",\"price\":39054.5}", "other " },
    { "subscribed",
        "{\"channelID\":1,\"channelName\":\"trade\",\"event\":\"subscriptionStatus\",\"pair\":\"XBT/USD\",\"reqid\":7,"
        "\"status\":\"subscribed\",\"subscription\":{\"name\":\"trade\"}}",
        "reply 7 " },
    { "not subscribed",
        "{\"errorMessage\":\"Subscription depth not supported\",\"event\":\"subscriptionStatus\",\"pair\":\"XBT/USD\","
        "\"status\":\"error\",\"subscription\":{\"depth\":42,\"name\":\"book\"}}",
        "reply 0 Subscription depth not supported" },

    { "malformed", "[0,[[" ROW1 "]],\"trade\",\"XBT/USD\"", "invalid malformed" },
    { "oversized", "{\"event\":\"#\"}", "invalid oversized", "x", KT_VENUE_MESSAGE_MAX },
    { "neither array nor object", "7", "invalid wrong type" },
    { "parts missing: pair", "[0,[[" ROW1 "]],\"trade\"]", "invalid wrong type: channel" },
    { "parts missing: channel", "[0,[[" ROW1 "]],\"XBT/USD\"]", "invalid wrong type: channel" },
    { "parts missing: all", "[]", "invalid wrong type: channel" },
    { "too many parts", "[0,{},{},{},\"book-10\",\"XBT/USD\"]", "invalid wrong type: channel" },
    { "a second content where one is due", "[0,[[" ROW1 "]],[[" ROW1 "]],\"trade\",\"XBT/USD\"]",
        "invalid wrong type: trade" },
    { "no trade at all", "[0,[],\"trade\",\"XBT/USD\"]", "invalid wrong type: trade" },
    { "wrongly typed: trades", "[0,{},\"trade\",\"XBT/USD\"]", "invalid wrong type: trade" },
    { "wrongly typed: a trade", "[0,[7],\"trade\",\"XBT/USD\"]", "invalid wrong type: price" },
    { "wrongly typed: price", "[0,[[\"x\",\"1\",\"1.5\",\"b\"]],\"trade\",\"XBT/USD\"]", "invalid wrong type: price" },
    { "wrongly typed: volume", "[0,[[\"1\",1,\"1.5\",\"b\"]],\"trade\",\"XBT/USD\"]", "invalid wrong type: volume" },
    { "wrongly typed: time", "[0,[[\"1\",\"1\",null,\"b\"]],\"trade\",\"XBT/USD\"]", "invalid wrong type: time" },
    { "wrongly typed: time, a number", "[0,[[\"1\",\"1\",1.5,\"b\"]],\"trade\",\"XBT/USD\"]",
        "invalid wrong type: time" },
    { "wrongly typed: side", "[0,[[\"1\",\"1\",\"1.5\",\"x\"]],\"trade\",\"XBT/USD\"]", "invalid wrong type: side" },
    { "not positive: price", "[0,[[\"0\",\"1\",\"1.5\",\"b\"]],\"trade\",\"XBT/USD\"]", "invalid not positive: price" },
    { "not positive: volume", "[0,[[\"1\",\"-1\",\"1.5\",\"b\"]],\"trade\",\"XBT/USD\"]",
        "invalid not positive: volume" },
    { "not positive: time", "[0,[[\"1\",\"1\",\"0\",\"b\"]],\"trade\",\"XBT/USD\"]", "invalid not positive: time" },
    { "out of range: time", "[0,[[\"1\",\"1\",\"99999999999\",\"b\"]],\"trade\",\"XBT/USD\"]",
        "invalid out of range: time" },
    { "out of range: price", "[0,[[\"0.123456789\",\"1\",\"1.5\",\"b\"]],\"trade\",\"XBT/USD\"]",
        "invalid out of range: price" },
    { "unknown symbol", "[0,[[" ROW1 "]],\"trade\",\"XBT/JPY\"]", "invalid unknown symbol: symbol" },
    { "a book of neither kind", "[0,{\"c\":\"1\"},\"book-10\",\"XBT/USD\"]", "invalid missing field: b" },
    { "a book of both kinds", "[0,{\"a\":[],\"as\":[]},\"book-10\",\"XBT/USD\"]", "invalid missing field: b" },
    { "a level without its time", "[0,{\"a\":[[\"1\",\"1\"]]},\"book-10\",\"XBT/USD\"]", "invalid wrong type: time" },
    { "a level without its quantity", "[0,{\"a\":[[\"1\"]]},\"book-10\",\"XBT/USD\"]", "invalid wrong type: a" },
    { "a level of no price", "[0,{\"b\":[[\"0\",\"1\",\"1.5\"]]},\"book-10\",\"XBT/USD\"]",
        "invalid not positive: bids" },
    { "a checksum of more than 32 bits",
        "[0,{\"a\":[[\"1\",\"1\",\"1.5\"]],\"c\":\"4294967296\"},\"book-10\",\"XBT/USD\"]", "invalid out of range: c" },
    { "a minute of no minutes", "[42,[\"1.5\",\"2.5\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",2],\"ohlc-0\",\"XBT/USD\"]",
        "invalid out of range: etime" },
    { "a minute without a count", "[42,[\"1.5\",\"120\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"],\"ohlc-1\",\"XBT/USD\"]",
        "invalid wrong type: count" },
};

static void test_messages_v1(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v1, SYMBOLS, 0);

    told_run(decoder, rows_v1, KT_COUNT(rows_v1));
    kt_venue_decoder_free(decoder);
}

/* The names of a message's trades are looked for among so many before them, and not further. */
static void count_plain(void *ctx, kt_text symbol, const kt_ev_tick *tick)
{
    uint32_t *counts = ctx;

    counts[0]++;
    counts[1] += tick->trade_id.s[tick->trade_id.n - 1] == 's'; /* nothing behind the side: the first of its kind */
}

static void test_many_equal_trades(void **state)
{
    enum { EQUAL = 2 * KT_KRAKEN_GROUP_MAX + 1, SIZE = 64 << 10 };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v1, SYMBOLS, 0);
    char *mem = malloc(SIZE);
    uint32_t counts[2] = { 0 };
    kt_venue_sink sink = { .ctx = counts, .tick = count_plain };
    kt_builder text;

    kt_builder_init(&text, mem, SIZE);
    for (uint32_t i = 0; i < EQUAL; i++)
        kt_builder_str(&text, i == 0 ? "[0,[[" ROW1 "]" : ",[" ROW1 "]");
    kt_builder_str(&text, "],\"trade\",\"XBT/USD\"]");
    assert_int_equal(text.code, KT_OK);
    kt_venue_decode_message(decoder, kt_builder_done(&text), 1, &sink);
    assert_int_equal(counts[0], EQUAL);
    assert_int_equal(counts[1], 3);
    free(mem);
    kt_venue_decoder_free(decoder);
}

/* ---- v2 ---- */

#define TRADE(price, qty)                                                        \
    "{\"symbol\":\"BTC/USD\",\"side\":\"sell\",\"price\":" price ",\"qty\":" qty \
    ",\"ord_type\":\"limit\",\"trade_id\":4665906,\"timestamp\":\"2023-09-25T07:49:37.708706Z\"}"
#define NEWS(channel, type, data) "{\"channel\":\"" channel "\",\"type\":\"" type "\",\"data\":[" data "]}"
#define BOOK_BIDS "\"bids\":[{\"price\":0.5666,\"qty\":4831.75496350},{\"price\":0.5665,\"qty\":6658.22734739}]"

static const told_case rows_v2[] = {
    { "a trade", NEWS("trade", "update", TRADE("0.5117", "40.00000000")),
        "tick BTC/USD 1695628177708706000 0.5117 40 sell 4665906 4665906" },
    { "several trades are told one by one",
        NEWS("trade", "update", TRADE("0.5117", "40.0") "," TRADE("0", "1") "," TRADE("2", "1")),
        "tick BTC/USD 1695628177708706000 0.5117 40 sell 4665906 4665906\n"
        "invalid not positive: price\n"
        "tick BTC/USD 1695628177708706000 2 1 sell 4665906 4665906" },
    { "trades before the subscription are REST's", NEWS("trade", "snapshot", TRADE("0.5117", "40.0")), "other trade" },
    { "a whole book",
        NEWS("book", "snapshot",
            "{\"symbol\":\"BTC/USD\"," BOOK_BIDS
            ",\"asks\":[{\"price\":0.5668,\"qty\":4410.79769741}],\"checksum\":2439117997}"),
        "book BTC/USD 0 0-0 bids 0.5666x4831.7549635 0.5665x6658.22734739 asks 0.5668x4410.79769741 sum 2439117997 over "
        "4 and 8 digits" },
    { "a change",
        NEWS("book", "update",
            "{\"symbol\":\"BTC/USD\",\"bids\":[{\"price\":0.5657,\"qty\":0}],\"asks\":[],\"checksum\":2114181697,"
            "\"timestamp\":\"2023-10-06T17:35:55.440295Z\"}"),
        "change BTC/USD 1696613755440295000 0-0 bids 0.5657x0 asks sum 2114181697 over 4 and 0 digits" },
    { "a change whose levels are written with more digits and with fewer",
        NEWS("book", "update",
            "{\"symbol\":\"BTC/USD\",\"bids\":[{\"price\":0.56570,\"qty\":1.5000},{\"price\":0.5,\"qty\":0}],\"asks\":[],"
            "\"checksum\":1}"),
        "change BTC/USD 0 0-0 bids 0.5657x1.5 0.5x0 asks sum 1 over 5 and 4 digits" },
    { "best prices",
        NEWS("ticker", "update",
            "{\"symbol\":\"BTC/USD\",\"bid\":0.10025,\"bid_qty\":740.0,\"ask\":0.10035,\"ask_qty\":741.0,\"last\":0.10035,"
            "\"timestamp\":\"2023-10-06T17:35:55.440295Z\"}"),
        "ticker BTC/USD 1696613755440295 0.10025x740 0.10035x741" },
    { "a minute",
        NEWS("ohlc", "update",
            "{\"symbol\":\"BTC/USD\",\"open\":0.5624,\"high\":0.5628,\"low\":0.5622,\"close\":0.5627,\"trades\":12,"
            "\"volume\":30927.68066226,\"vwap\":0.5626,\"interval_begin\":\"2023-10-04T16:25:00.000000000Z\","
            "\"interval\":5,\"timestamp\":\"2023-10-04T16:30:00.000000Z\"}"),
        "candle BTC/USD 1696436700000000000+300s 0.5624 0.5628 0.5622 0.5627 0.5626 30927.68066226 12" },
    { "heartbeat", "{\"channel\":\"heartbeat\"}", "other heartbeat" },
    { "status", NEWS("status", "update", "{\"system\":\"online\"}"), "other status" },
    { "pong", "{\"method\":\"pong\",\"req_id\":101,\"time_in\":\"x\"}", "other pong" },
    { "subscribed",
        "{\"method\":\"subscribe\",\"result\":{\"channel\":\"trade\",\"symbol\":\"BTC/USD\"},\"success\":true,\"req_id\":7}",
        "reply 7 " },
    { "not subscribed",
        "{\"error\":\"Currency pair not supported XBT/USD\",\"method\":\"subscribe\",\"success\":false,\"symbol\":"
        "\"XBT/USD\"}",
        "reply 0 Currency pair not supported XBT/USD" },
    { "not subscribed, and no word why", "{\"method\":\"subscribe\",\"success\":false}",
        "reply 0 refused without a reason" },
    { "something else", "{\"a\":1}", "other " },

    { "malformed", "{\"channel\":\"trade\",", "invalid malformed" },
    { "oversized", "{\"channel\":\"#\"}", "invalid oversized", "x", KT_VENUE_MESSAGE_MAX },
    { "not an object", "[]", "invalid wrong type" },
    { "wrongly typed: channel", "{\"channel\":7}", "invalid wrong type: channel" },
    { "known field missing: type", "{\"channel\":\"trade\",\"data\":[" TRADE("1", "1") "]}",
        "invalid missing field: type" },
    { "out of range: type", NEWS("trade", "news", TRADE("1", "1")), "invalid out of range: type" },
    { "known field missing: data", "{\"channel\":\"trade\",\"type\":\"update\"}", "invalid missing field: data" },
    { "wrongly typed: data", "{\"channel\":\"trade\",\"type\":\"update\",\"data\":{}}", "invalid wrong type: data" },
    { "no row", NEWS("trade", "update", ""), "invalid wrong type: data" },
    { "wrongly typed: a row", NEWS("trade", "update", "7"), "invalid wrong type" },
    { "wrongly typed: price", NEWS("trade", "update", TRADE("\"1\"", "1")), "invalid wrong type: price" },
    { "not positive: qty", NEWS("trade", "update", TRADE("1", "0")), "invalid not positive: qty" },
    { "known field missing: trade_id",
        NEWS("trade", "update",
            "{\"symbol\":\"BTC/USD\",\"side\":\"sell\",\"price\":1,\"qty\":1,\"timestamp\":\"2023-09-25T07:49:37.708706Z\"}"),
        "invalid missing field: trade_id" },
    { "wrongly typed: timestamp",
        NEWS("trade", "update",
            "{\"symbol\":\"BTC/USD\",\"side\":\"sell\",\"price\":1,\"qty\":1,\"trade_id\":1,\"timestamp\":\"today\"}"),
        "invalid wrong type: timestamp" },
    { "wrongly typed: side",
        NEWS("trade", "update",
            "{\"symbol\":\"BTC/USD\",\"side\":\"up\",\"price\":1,\"qty\":1,\"trade_id\":1,\"timestamp\":\"2023-09-25T07:49:37Z\"}"),
        "invalid wrong type: side" },
    { "unknown symbol", NEWS("book", "update", "{\"symbol\":\"XBT/USD\",\"bids\":[],\"asks\":[],\"checksum\":1}"),
        "invalid unknown symbol: symbol" },
    { "a checksum of more than 32 bits",
        NEWS("book", "update", "{\"symbol\":\"BTC/USD\",\"bids\":[],\"asks\":[],\"checksum\":4294967296}"),
        "invalid out of range: checksum" },
    { "a level without a quantity",
        NEWS("book", "update", "{\"symbol\":\"BTC/USD\",\"bids\":[{\"price\":1}],\"asks\":[],\"checksum\":1}"),
        "invalid missing field: qty" },
    { "a level of a wrong type",
        NEWS("book", "update",
            "{\"symbol\":\"BTC/USD\",\"bids\":[{\"price\":1,\"qty\":\"1\"}],\"asks\":[],\"checksum\":1}"),
        "invalid wrong type: bids" },
    { "a level of no price",
        NEWS(
            "book", "update", "{\"symbol\":\"BTC/USD\",\"bids\":[],\"asks\":[{\"price\":0,\"qty\":1}],\"checksum\":1}"),
        "invalid not positive: asks" },
    { "more levels than there is room for",
        NEWS("book", "update",
            "{\"symbol\":\"BTC/USD\",\"bids\":[#{\"price\":1,\"qty\":1}],\"asks\":[],\"checksum\":1}"),
        "invalid oversized: bids", "{\"price\":1,\"qty\":1},", KT_VENUE_LEVEL_MAX },
    { "a minute of no minutes",
        NEWS("ohlc", "update",
            "{\"symbol\":\"BTC/USD\",\"open\":1,\"high\":1,\"low\":1,\"close\":1,\"trades\":1,\"volume\":1,\"vwap\":1,"
            "\"interval_begin\":\"2023-10-04T16:25:00Z\",\"interval\":0}"),
        "invalid out of range: interval" },
    { "a minute of a negative price",
        NEWS("ohlc", "update",
            "{\"symbol\":\"BTC/USD\",\"open\":-1,\"high\":1,\"low\":1,\"close\":1,\"trades\":1,\"volume\":1,\"vwap\":1,"
            "\"interval_begin\":\"2023-10-04T16:25:00Z\",\"interval\":1}"),
        "invalid not positive: ohlc" },
};

static void test_messages_v2(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_kraken_v2, SYMBOLS, 0);

    told_run(decoder, rows_v2, KT_COUNT(rows_v2));
    kt_venue_decoder_free(decoder);
}

/* ---- REST ---- */

#define LIST1 "[\"30243.40000\",\"0.34507674\",1688669597.8277369,\"b\",\"m\",\"\",61044952]"
#define LIST2 "[\"30243.40000\",\"0.34507674\",1688669597.8277361,\"b\",\"m\",\"\",61044953]"
#define RESULT(what) "{\"error\":[],\"result\":{\"XXBTZUSD\":" what ",\"last\":\"1688671969993150842\"}}"

static const struct {
    const char *name;
    const kt_venue_format *format;
    kt_what what;
    uint16_t status;
    const char *body, *expected;
    uint32_t rows, invalid;
    const char *error;
    bool limited;
} answers[] = {
    { "trades by number, cut to the microsecond", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200,
        RESULT("[" LIST1 "]"), "row 1688669597827736000 30243.4 0.34507674 buy 61044952 61044952", 1, 0, "", false },
    { "trades as v1 names them", &kt_venue_kraken_v1, KT_WHAT_TRADES_BY_TIME, 200, RESULT("[" LIST1 "," LIST2 "]"),
        "row 1688669597827736000 30243.4 0.34507674 buy 1688669597827736-30243.4-0.34507674-b 0\n"
        "row 1688669597827736000 30243.4 0.34507674 buy 1688669597827736-30243.4-0.34507674-b-1 0",
        2, 0, "", false },
    { "no trades", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200, RESULT("[]"), "", 0, 0, "", false },
    { "a trade without a number", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200,
        RESULT("[[\"1\",\"1\",1.5,\"b\",\"m\",\"\"]," LIST1 "]"),
        "invalid missing field: trade_id\nrow 1688669597827736000 30243.4 0.34507674 buy 61044952 61044952", 2, 1, "",
        false },
    { "a list that is none", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200, RESULT("{}"),
        "invalid wrong type: result", 0, 1, "", false },
    { "no result", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200, "{\"error\":[]}", "invalid wrong type: result", 0,
        1, "", false },
    { "a whole book", &kt_venue_kraken_v2, KT_WHAT_BOOK, 200,
        "{\"error\":[],\"result\":{\"XXBTZUSD\":{\"asks\":[[\"30384.10000\",\"2.059\",1688671659]],\"bids\":[[\"30297.00000\","
        "\"1.115\",1688671636]]}}}",
        "book BTC/USD 0 0-0 bids 30297x1.115 asks 30384.1x2.059", 1, 0, "", false },
    { "a whole book that is none", &kt_venue_kraken_v2, KT_WHAT_BOOK, 200, "{\"error\":[],\"result\":{}}",
        "invalid missing field: asks", 1, 1, "", false },
    { "minutes", &kt_venue_kraken_v2, KT_WHAT_CANDLES, 200,
        RESULT("[[1688671200,\"30306.1\",\"30306.2\",\"30305.7\",\"30305.7\",\"30306.1\",\"3.39243896\",23]]"),
        "candle BTC/USD 1688671200000000000+60s 30306.1 30306.2 30305.7 30305.7 30306.1 3.39243896 23", 1, 0, "",
        false },
    { "a minute without a count", &kt_venue_kraken_v2, KT_WHAT_CANDLES, 200,
        RESULT("[[1688671200,\"1\",\"1\",\"1\",\"1\",\"1\",\"1\"]]"), "invalid wrong type: ohlc", 1, 1, "", false },
    { "a minute of no time", &kt_venue_kraken_v2, KT_WHAT_CANDLES, 200,
        RESULT("[[0,\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",1]]"), "invalid out of range: time", 1, 1, "", false },
    { "a minute of a negative price", &kt_venue_kraken_v2, KT_WHAT_CANDLES, 200,
        RESULT("[[60,\"1\",\"1\",\"-1\",\"1\",\"1\",\"1\",1]]"), "invalid not positive: ohlc", 1, 1, "", false },
    { "instruments", &kt_venue_kraken_v1, KT_WHAT_INSTRUMENTS, 200,
        "{\"error\":[],\"result\":{\"XXBTZUSD\":{\"altname\":\"XBTUSD\",\"wsname\":\"XBT\\/USD\",\"pair_decimals\":1,"
        "\"lot_decimals\":8,\"tick_size\":\"0.1\"}}}",
        "instrument BTC/USD XBT/USD BTC USD 1 8 0.1 0.00000001", 1, 0, "", false },
    { "instruments of v2, and one that nobody asked for", &kt_venue_kraken_v2, KT_WHAT_INSTRUMENTS, 200,
        "{\"error\":[],\"result\":{\"XXBTZUSD\":{\"wsname\":\"XBT/USD\",\"pair_decimals\":1,\"lot_decimals\":8},"
        "\"XXBTZJPY\":{\"wsname\":\"XBT/JPY\",\"pair_decimals\":0,\"lot_decimals\":8}}}",
        "instrument BTC/USD BTC/USD BTC USD 1 8 0.1 0.00000001", 2, 0, "", false },
    { "instruments of too many digits", &kt_venue_kraken_v2, KT_WHAT_INSTRUMENTS, 200,
        "{\"error\":[],\"result\":{\"XXBTZUSD\":{\"wsname\":\"XBT/USD\",\"pair_decimals\":19,\"lot_decimals\":8}}}",
        "invalid out of range: pair_decimals", 1, 1, "", false },
    { "an instrument that is no pair", &kt_venue_kraken_v2, KT_WHAT_INSTRUMENTS, 200,
        "{\"error\":[],\"result\":{\"XXBTZUSD\":{\"wsname\":\"XBTUSD\",\"pair_decimals\":1,\"lot_decimals\":8}}}",
        "invalid out of range: wsname", 1, 1, "", false },
    { "an instrument without a name", &kt_venue_kraken_v2, KT_WHAT_INSTRUMENTS, 200,
        "{\"error\":[],\"result\":{\"XXBTZUSD\":{\"wsname\":\"\",\"pair_decimals\":1,\"lot_decimals\":8}}}",
        "invalid out of range: wsname", 1, 1, "", false },
    { "instruments that are none", &kt_venue_kraken_v2, KT_WHAT_INSTRUMENTS, 200, "{\"error\":[],\"result\":[]}",
        "invalid wrong type: result", 0, 1, "", false },
    { "the venue's own words, with status 200", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200,
        "{\"error\":[\"EQuery:Unknown asset pair\"]}", "", 0, 0, "EQuery:Unknown asset pair", false },
    { "asked too often", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200, "{\"error\":[\"EAPI:Rate limit exceeded\"]}",
        "", 0, 0, "EAPI:Rate limit exceeded", true },
    { "asked too often: in other words", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200,
        "{\"error\":[\"EGeneral:Too many requests\"]}", "", 0, 0, "EGeneral:Too many requests", true },
    { "a warning is none", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 200,
        "{\"error\":[\"WAPI:old\"],\"result\":{\"XXBTZUSD\":[" LIST1 "]}}",
        "row 1688669597827736000 30243.4 0.34507674 buy 61044952 61044952", 1, 0, "", false },
    { "a status that is an error", &kt_venue_kraken_v2, KT_WHAT_TRADES_BY_TIME, 503,
        "{\"error\":[\"EService:Unavailable\"]}", "", 0, 0, "status 503, EService:Unavailable", false },
};

static void test_answers(void **state)
{
    static kt_told told;

    for (size_t i = 0; i < KT_COUNT(answers); i++) {
        kt_venue_decoder *decoder = decoder_knowing(answers[i].format, SYMBOLS, 0);
        kt_ev_request request = { .what = answers[i].what,
            .symbol = answers[i].what == KT_WHAT_INSTRUMENTS ? (kt_text){ 0 } : KT_TEXT("BTC/USD") };
        kt_venue_sink sink = told_start(&told);
        kt_venue_answer answer;

        kt_venue_decode_answer(decoder, &request, answers[i].status, kt_text_of(answers[i].body), 77, &sink, &answer);
        if (strcmp(told.mem, answers[i].expected) != 0 || answer.row_count != answers[i].rows ||
            answer.invalid_count != answers[i].invalid || strcmp(answer.error, answers[i].error) != 0 ||
            answer.rate_limited != answers[i].limited)
            fail_msg("%s: '%s' of %u, %u: %s", answers[i].name, told.mem, answer.row_count, answer.invalid_count,
                answer.error);
        kt_venue_decoder_free(decoder);
    }
}

/* All are asked for where none is named. */
static void test_instruments_beyond_the_room_are_refused(void **state)
{
    static const char body[] = "{\"error\":[],\"result\":{"
                               "\"XXBTZUSD\":{\"wsname\":\"XBT/USD\",\"pair_decimals\":1,\"lot_decimals\":8},"
                               "\"XETHZUSD\":{\"wsname\":\"ETH/USD\",\"pair_decimals\":2,\"lot_decimals\":8}}}";
    kt_venue_decoder_options options = { .format = &kt_venue_kraken_v2, .symbol_max = 1 };
    kt_ev_request request = { .what = KT_WHAT_INSTRUMENTS };
    static kt_told told;
    kt_venue_sink sink = told_start(&told);
    kt_venue_decoder *decoder = NULL;
    kt_venue_answer answer;
    kt_err err;

    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_OK);
    kt_venue_decode_answer(decoder, &request, 200, kt_text_of(body), 77, &sink, &answer);
    assert_string_equal(
        told.mem, "instrument BTC/USD BTC/USD BTC USD 1 8 0.1 0.00000001\ninvalid out of range: wsname");
    assert_int_equal(answer.row_count, 2);
    assert_int_equal(answer.invalid_count, 1);
    kt_venue_decoder_free(decoder);
}

/* ---- asking ---- */

static void test_urls(void **state)
{
    static const struct {
        kt_what what;
        const char *symbol;
        int64_t from_time;
        const char *url;
    } rows[] = {
        { KT_WHAT_TRADES_BY_TIME, "BTC/USD", 1688669597827736000,
            "https://h/0/public/Trades?pair=XBTUSD&count=1000&since=1688669597827735999" },
        { KT_WHAT_TRADES_BY_TIME, "DOGE/EUR", 0, "https://h/0/public/Trades?pair=XDGEUR&count=1000&since=0" },
        { KT_WHAT_RECENT_TRADES, "ETH/BTC", 0, "https://h/0/public/Trades?pair=ETHXBT&count=1000" },
        { KT_WHAT_BOOK, "BTC/USD", 0, "https://h/0/public/Depth?pair=XBTUSD&count=500" },
        { KT_WHAT_CANDLES, "BTC/USD", 1688669580000000000,
            "https://h/0/public/OHLC?pair=XBTUSD&interval=1&since=1688669579" },
        { KT_WHAT_INSTRUMENTS, "BTC/USD", 0, "https://h/0/public/AssetPairs?pair=XBTUSD" },
        { KT_WHAT_INSTRUMENTS, "", 0, "https://h/0/public/AssetPairs?pair=XBTUSD,ETHXBT,XDGEUR" },
    };
    kt_venue_decoder *decoders[] = { decoder_knowing(&kt_venue_kraken_v1, SYMBOLS, 0),
        decoder_knowing(&kt_venue_kraken_v2, SYMBOLS, 0) };
    char text[256];

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        for (size_t d = 0; d < KT_COUNT(decoders); d++) {
            kt_ev_request request = {
                .what = rows[i].what, .symbol = kt_text_of(rows[i].symbol), .from_time = rows[i].from_time
            };

            assert_int_equal(kt_venue_rest_url(decoders[d], "https://h/", &request, text, sizeof text, NULL), KT_OK);
            assert_string_equal(text, rows[i].url);
        }
    assert_int_equal(kt_venue_stream_url(decoders[0], "wss://ws.kraken.com", 0, 3, text, sizeof text, NULL), KT_OK);
    assert_string_equal(text, "wss://ws.kraken.com");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            kt_venue_stream_url(decoders[1], i == 0 ? "wss://h" : "wss://h/v2/", 0, 3, text, sizeof text, NULL), KT_OK);
        assert_string_equal(text, "wss://h/v2");
    }
    for (size_t d = 0; d < KT_COUNT(decoders); d++)
        kt_venue_decoder_free(decoders[d]);
}

static void test_speech(void **state)
{
    static const struct {
        const char *name;
        const kt_venue_format *format;
        bool books, candles;
        kt_venue_speech speech;
        uint32_t first, count;
        const char *says[5];
    } rows[] = {
        { "trades", &kt_venue_kraken_v2, false, false, KT_VENUE_SUBSCRIBE, 0, 2,
            { "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"snapshot\":false,\"symbol\":[\"BTC/USD\","
              "\"ETH/BTC\"]}}" } },
        { "all there is", &kt_venue_kraken_v2, true, true, KT_VENUE_SUBSCRIBE, 1, 1,
            { "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"snapshot\":false,\"symbol\":[\"ETH/BTC\"]}}",
                "{\"method\":\"subscribe\",\"params\":{\"channel\":\"book\",\"depth\":1000,\"symbol\":[\"ETH/BTC\"]}}",
                "{\"method\":\"subscribe\",\"params\":{\"channel\":\"ticker\",\"event_trigger\":\"bbo\",\"symbol\":["
                "\"ETH/BTC\"]}}",
                "{\"method\":\"subscribe\",\"params\":{\"channel\":\"ohlc\",\"interval\":1,\"symbol\":[\"ETH/BTC\"]}}" } },
        { "a book again", &kt_venue_kraken_v2, true, false, KT_VENUE_BOOKS_AGAIN, 0, 1,
            { "{\"method\":\"unsubscribe\",\"params\":{\"channel\":\"book\",\"depth\":1000,\"symbol\":[\"BTC/USD\"]}}",
                "{\"method\":\"subscribe\",\"params\":{\"channel\":\"book\",\"depth\":1000,\"symbol\":[\"BTC/USD\"]}}" } },
        { "minutes, as v1 says it", &kt_venue_kraken_v1, false, true, KT_VENUE_SUBSCRIBE, 0, 2,
            { "{\"event\":\"subscribe\",\"pair\":[\"XBT/USD\",\"ETH/XBT\"],\"subscription\":{\"name\":\"trade\"}}",
                "{\"event\":\"subscribe\",\"pair\":[\"XBT/USD\",\"ETH/XBT\"],\"subscription\":{\"name\":\"ohlc\","
                "\"interval\":1}}" } },
        { "books, as v1 says it", &kt_venue_kraken_v1, true, false, KT_VENUE_SUBSCRIBE, 0, 1,
            { "{\"event\":\"subscribe\",\"pair\":[\"XBT/USD\"],\"subscription\":{\"name\":\"trade\"}}",
                "{\"event\":\"subscribe\",\"pair\":[\"XBT/USD\"],\"subscription\":{\"name\":\"book\",\"depth\":1000}}",
                "{\"event\":\"subscribe\",\"pair\":[\"XBT/USD\"],\"subscription\":{\"name\":\"spread\"}}" } },
        { "a book again, as v1 says it", &kt_venue_kraken_v1, true, false, KT_VENUE_BOOKS_AGAIN, 0, 1,
            { "{\"event\":\"unsubscribe\",\"pair\":[\"XBT/USD\"],\"subscription\":{\"name\":\"book\",\"depth\":1000}}",
                "{\"event\":\"subscribe\",\"pair\":[\"XBT/USD\"],\"subscription\":{\"name\":\"book\",\"depth\":1000}}" } },
        { "an address says it all", &kt_venue_binance, true, true, KT_VENUE_SUBSCRIBE, 0, 1, { NULL } },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_venue_decoder_options options = {
            .format = rows[i].format, .books = rows[i].books, .candles = rows[i].candles
        };
        kt_venue_decoder *decoder = NULL;
        uint32_t part = 0;
        char text[256];

        assert_int_equal(kt_venue_decoder_new(&options, &decoder, NULL), KT_OK);
        assert_int_equal(kt_venue_symbol_add(decoder, KT_TEXT("BTC/USD"), NULL), KT_OK);
        assert_int_equal(kt_venue_symbol_add(decoder, KT_TEXT("ETH/BTC"), NULL), KT_OK);
        for (; rows[i].says[part] != NULL; part++) {
            if (kt_venue_say(decoder, rows[i].speech, part, rows[i].first, rows[i].count, text, sizeof text, NULL) !=
                    KT_OK ||
                strcmp(text, rows[i].says[part]) != 0)
                fail_msg("%s: %s", rows[i].name, text);
            assert_int_equal(
                kt_venue_say(decoder, rows[i].speech, part, rows[i].first, rows[i].count, text, 20, NULL), KT_FULL);
        }
        assert_int_equal(
            kt_venue_say(decoder, rows[i].speech, part, rows[i].first, rows[i].count, text, sizeof text, NULL),
            KT_NOENT);
        kt_venue_decoder_free(decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_v1),
        cmocka_unit_test(test_many_equal_trades),
        cmocka_unit_test(test_messages_v2),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_instruments_beyond_the_room_are_refused),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_speech),
    };

    return cmocka_run_group_tests_name("kraken", tests, NULL, NULL);
}
