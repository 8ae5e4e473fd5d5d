/* Binance spot, message by message. Expected values: https://developers.binance.com/docs/binance-spot-api-docs. */
#include "base/rng.h"
#include "base/test_util.h"
#include "venue/test_sink.h"

#define TRADE "\"e\":\"trade\",\"E\":1672515782136,\"s\":\"BNBBTC\""
#define DEPTH "\"e\":\"depthUpdate\",\"E\":1672515782136,\"s\":\"BNBBTC\""
#define TICKER "\"u\":400900217,\"s\":\"BNBBTC\",\"b\":\"25.35190000\",\"B\":\"31.21000000\""
#define REST "\"quoteQty\":\"48.000012\",\"isBestMatch\":true"

static const told_case messages[] = {
    { "the documentation's raw trade",
        "{" TRADE ",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\",\"T\":1672515782136,\"m\":true,\"M\":true}",
        "tick BNB/BTC 1672515782136000000 0.001 100 sell 12345 12345" },
    { "the same in a combined stream",
        "{\"stream\":\"bnbbtc@trade\",\"data\":{" TRADE
        ",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\",\"T\":1672515782136,\"m\":false,\"M\":true}}",
        "tick BNB/BTC 1672515782136000000 0.001 100 buy 12345 12345" },
    { "the buyer was not the maker: the taker bought",
        "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":false}", "tick BNB/BTC 1000000 1 1 buy 1 1" },
    { "fields in any order, data before stream",
        "{\"data\":{\"m\":true,\"T\":1,\"q\":\"1.500\",\"p\":\"2.00000000\",\"t\":3,\"s\":\"BNBBTC\",\"e\":\"trade\"},\"stream\":\"bnbbtc@trade\"}",
        "tick BNB/BTC 1000000 2 1.5 sell 3 3" },
    { "ids beyond 2^53 keep every digit",
        "{" TRADE ",\"t\":9007199254740993,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "tick BNB/BTC 1000000 1 1 sell 9007199254740993 9007199254740993" },
    { "the greatest id", "{" TRADE ",\"t\":18446744073709551615,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "tick BNB/BTC 1000000 1 1 sell 18446744073709551615 18446744073709551615" },

    { "the documentation's change of a book",
        "{" DEPTH ",\"U\":157,\"u\":160,\"b\":[[\"0.0024\",\"10\"]],\"a\":[[\"0.0026\",\"100\"]]}",
        "change BNB/BTC 1672515782136000000 157-160 bids 0.0024x10 asks 0.0026x100" },
    { "the same in a combined stream",
        "{\"stream\":\"bnbbtc@depth@100ms\",\"data\":{" DEPTH
        ",\"U\":157,\"u\":160,\"b\":[[\"0.0024\",\"10\"]],\"a\":[[\"0.0026\",\"100\"]]}}",
        "change BNB/BTC 1672515782136000000 157-160 bids 0.0024x10 asks 0.0026x100" },
    { "a change: nothing left at a price, and a side without changes",
        "{" DEPTH ",\"U\":157,\"u\":157,\"b\":[[\"0.00240000\",\"0.00000000\"],[\"0.0025\",\"1\"]],\"a\":[]}",
        "change BNB/BTC 1672515782136000000 157-157 bids 0.0024x0 0.0025x1 asks" },
    { "a change: fields in any order, levels with more than two values",
        "{\"a\":[],\"b\":[[\"0.0024\",\"10\",[]]],\"u\":160,\"U\":157,\"s\":\"BNBBTC\",\"E\":1672515782136,\"e\":\"depthUpdate\"}",
        "change BNB/BTC 1672515782136000000 157-160 bids 0.0024x10 asks" },
    { "a change: orders older than today's lot have more digits than it",
        "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[],\"a\":[[\"200000.00000000\",\"25.426189001\"]]}",
        "change BNB/BTC 1672515782136000000 1-2 bids asks 200000x25.426189001" },
    { "the documentation's book ticker", "{" TICKER ",\"a\":\"25.36520000\",\"A\":\"40.66000000\"}",
        "ticker BNB/BTC 400900217 25.3519x31.21 25.3652x40.66" },
    { "the same in a combined stream",
        "{\"stream\":\"bnbbtc@bookTicker\",\"data\":{" TICKER ",\"a\":\"25.36520000\",\"A\":\"40.66000000\"}}",
        "ticker BNB/BTC 400900217 25.3519x31.21 25.3652x40.66" },
    { "a book ticker: nobody asks", "{" TICKER ",\"a\":\"0.00000000\",\"A\":\"0.00000000\"}",
        "ticker BNB/BTC 400900217 25.3519x31.21 0x0" },
    { "a book ticker: fields in any order",
        "{\"A\":\"1\",\"a\":\"2\",\"B\":\"3\",\"b\":\"1\",\"s\":\"BNBBTC\",\"u\":7}", "ticker BNB/BTC 7 1x3 2x1" },

    { "a subscription is confirmed", "{\"result\":null,\"id\":7}", "reply 7 " },
    { "a subscription is refused", "{\"error\":{\"code\":2,\"msg\":\"Invalid request: unknown variant\"},\"id\":7}",
        "reply 7 2: Invalid request: unknown variant" },
    { "a subscription is refused without a reason", "{\"error\":{},\"id\":7}", "reply 7 refused without a reason" },
    { "a reply to somebody who numbers by text", "{\"result\":[],\"id\":\"x\"}", "reply 0 " },
    { "other events: aggTrade",
        "{\"stream\":\"bnbbtc@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"s\":\"BNBBTC\",\"a\":1}}", "other aggTrade" },
    { "other events: a partial book, which has no name",
        "{\"stream\":\"bnbbtc@depth5\",\"data\":{\"lastUpdateId\":160,\"bids\":[[\"0.0024\",\"10\"]],\"asks\":[]}}",
        "other bnbbtc@depth5" },
    { "other events: a book of futures, which has another rule",
        "{" DEPTH ",\"U\":157,\"u\":160,\"pu\":149,\"b\":[],\"a\":[]}", "other depthUpdate" },
    { "other events: all tickers", "[{\"e\":\"24hrTicker\"}]", "other array" },
    { "other events: all tickers, combined", "{\"stream\":\"!ticker@arr\",\"data\":[{\"e\":\"24hrTicker\"}]}",
        "other !ticker@arr" },
    { "other events: the server ends", "{\"e\":\"serverShutdown\",\"E\":1770123456789}", "other serverShutdown" },

    { "malformed: no JSON", "<html>502 Bad Gateway</html>", "invalid malformed" },
    { "malformed: trailing comma", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true,}",
        "invalid malformed" },
    { "malformed: half a surrogate pair",
        "{\"e\":\"trade\",\"s\":\"\\udfff\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid malformed: s" },
    { "oversized", "{" TRADE ",\"x\":\"#\"}", "invalid oversized", "x", KT_VENUE_MESSAGE_MAX },
    { "oversized: more values than nodes", "[#1]", "invalid oversized", "1,", 9000 },
    { "10,000 deep", "{\"stream\":\"bnbbtc@trade\",\"data\":#}", "invalid malformed", "[", 10000 },
    { "10,000 deep and closed", "{\"result\":null,\"id\":#", "invalid malformed", "{\"a\":", 10000 },

    { "not an object: number", "7", "invalid wrong type" },
    { "known field missing: data", "{\"stream\":\"bnbbtc@trade\"}", "invalid missing field: data" },
    { "known field missing: e",
        "{\"stream\":\"bnbbtc@trade\",\"data\":{\"s\":\"BNBBTC\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}}",
        "invalid missing field: e" },
    { "known field missing: s", "{\"e\":\"trade\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid missing field: s" },
    { "known field missing: t", "{" TRADE ",\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}", "invalid missing field: t" },
    { "known field missing: p", "{" TRADE ",\"t\":1,\"q\":\"1\",\"T\":1,\"m\":true}", "invalid missing field: p" },
    { "known field missing: q", "{" TRADE ",\"t\":1,\"p\":\"1\",\"T\":1,\"m\":true}", "invalid missing field: q" },
    { "known field missing: T", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"m\":true}", "invalid missing field: T" },
    { "known field missing: m", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1}", "invalid missing field: m" },
    { "wrongly typed: stream", "{\"stream\":1,\"data\":{}}", "invalid wrong type: stream" },
    { "wrongly typed: data", "{\"stream\":\"bnbbtc@trade\",\"data\":[]}", "invalid wrong type: data" },
    { "wrongly typed: e", "{\"e\":1,\"s\":\"BNBBTC\"}", "invalid wrong type: e" },
    { "wrongly typed: s", "{\"e\":\"trade\",\"s\":1,\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid wrong type: s" },
    { "wrongly typed: t", "{" TRADE ",\"t\":\"1\",\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid wrong type: t" },
    { "wrongly typed: p", "{" TRADE ",\"t\":1,\"p\":1,\"q\":\"1\",\"T\":1,\"m\":true}", "invalid wrong type: p" },
    { "wrongly typed: q", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":null,\"T\":1,\"m\":true}", "invalid wrong type: q" },
    { "wrongly typed: T", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":\"1\",\"m\":true}",
        "invalid wrong type: T" },
    { "wrongly typed: m", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":\"true\"}",
        "invalid wrong type: m" },
    { "given twice: p", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true,\"p\":\"1\"}",
        "invalid duplicate field: p" },
    { "given twice: e", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true,\"e\":\"trade\"}",
        "invalid duplicate field: e" },
    { "given twice: data", "{\"stream\":\"bnbbtc@trade\",\"data\":{},\"data\":{}}", "invalid duplicate field: data" },
    { "negative price", "{" TRADE ",\"t\":1,\"p\":\"-1\",\"q\":\"1\",\"T\":1,\"m\":true}", "invalid not positive: p" },
    { "negative quantity", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"-1\",\"T\":1,\"m\":true}",
        "invalid not positive: q" },
    { "negative time", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":-1,\"m\":true}", "invalid not positive: T" },
    { "negative id", "{" TRADE ",\"t\":-1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}", "invalid out of range: t" },
    { "zero price", "{" TRADE ",\"t\":1,\"p\":\"0.00000000\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid not positive: p" },
    { "a change: known field missing: E", "{\"e\":\"depthUpdate\",\"s\":\"BNBBTC\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
        "invalid missing field: E" },
    { "a change: known field missing: U", "{" DEPTH ",\"u\":2,\"b\":[],\"a\":[]}", "invalid missing field: U" },
    { "a change: known field missing: u", "{" DEPTH ",\"U\":2,\"b\":[],\"a\":[]}", "invalid missing field: u" },
    { "a change: known field missing: b", "{" DEPTH ",\"U\":1,\"u\":2,\"a\":[]}", "invalid missing field: b" },
    { "a change: known field missing: a", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[]}", "invalid missing field: a" },
    { "a change: wrongly typed: U", "{" DEPTH ",\"U\":\"1\",\"u\":2,\"b\":[],\"a\":[]}", "invalid wrong type: U" },
    { "a change: wrongly typed: b", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":{},\"a\":[]}", "invalid wrong type: b" },
    { "a change: wrongly typed: a level", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[\"1\"],\"a\":[]}",
        "invalid wrong type: b" },
    { "a change: wrongly typed: a level of one", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[],\"a\":[[\"1\"]]}",
        "invalid wrong type: a" },
    { "a change: wrongly typed: a bare price", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[],\"a\":[[1,\"1\"]]}",
        "invalid wrong type: a" },
    { "a change: wrongly typed: a quantity", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[[\"1\",null]],\"a\":[]}",
        "invalid wrong type: b" },
    { "a change: price zero", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[[\"0.00\",\"1\"]],\"a\":[]}",
        "invalid not positive: b" },
    { "a change: price negative", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[],\"a\":[[\"-1\",\"1\"]]}",
        "invalid not positive: a" },
    { "a change: quantity negative", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[],\"a\":[[\"1\",\"-1\"]]}",
        "invalid not positive: a" },
    { "a change: 40 digits",
        "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[[\"1\",\"1234567890123456789012345678901234567890\"]],\"a\":[]}",
        "invalid out of range: b" },
    { "a change: it ends before it begins", "{" DEPTH ",\"U\":3,\"u\":2,\"b\":[],\"a\":[]}",
        "invalid out of range: U" },
    { "a change: negative update id", "{" DEPTH ",\"U\":-1,\"u\":2,\"b\":[],\"a\":[]}", "invalid out of range: U" },
    { "a change: time zero", "{\"e\":\"depthUpdate\",\"E\":0,\"s\":\"BNBBTC\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
        "invalid not positive: E" },
    { "a change: time out of range",
        "{\"e\":\"depthUpdate\",\"E\":9999999999999999,\"s\":\"BNBBTC\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
        "invalid out of range: E" },
    { "a change: unknown symbol", "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"XXXYYY\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
        "invalid unknown symbol: s" },
    { "a change: given twice: u", "{" DEPTH ",\"U\":1,\"u\":2,\"b\":[],\"a\":[],\"u\":2}",
        "invalid duplicate field: u" },
    { "a change without a name", "{\"stream\":\"bnbbtc@depth@100ms\",\"data\":{\"E\":1}}", "invalid missing field: e" },
    { "a book ticker: known field missing: b", "{\"stream\":\"bnbbtc@bookTicker\",\"data\":{\"u\":1,\"s\":\"BNBBTC\"}}",
        "invalid missing field: b" },
    { "a book ticker: wrongly typed: A", "{" TICKER ",\"a\":\"25.36520000\",\"A\":40}", "invalid wrong type: A" },
    { "a book ticker: negative bid", "{\"u\":1,\"s\":\"BNBBTC\",\"b\":\"-1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "invalid not positive: b" },
    { "a book ticker: negative quantity", "{\"u\":1,\"s\":\"BNBBTC\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"-1\"}",
        "invalid not positive: a" },
    { "a book ticker: unknown symbol", "{\"u\":1,\"s\":\"XXXYYY\",\"b\":\"1\",\"B\":\"1\",\"a\":\"1\",\"A\":\"1\"}",
        "invalid unknown symbol: s" },
    { "a book ticker: not an object", "{\"stream\":\"bnbbtc@bookTicker\",\"data\":[1]}", "invalid wrong type: data" },
    { "non-finite: NaN", "{" TRADE ",\"t\":1,\"p\":NaN,\"q\":\"1\",\"T\":1,\"m\":true}", "invalid malformed" },
    { "non-finite: as a text", "{" TRADE ",\"t\":1,\"p\":\"NaN\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid wrong type: p" },
    { "non-finite: Infinity as a text", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"-Infinity\",\"T\":1,\"m\":true}",
        "invalid wrong type: q" },
    { "non-finite in double: 1e400", "{" TRADE ",\"t\":1,\"p\":\"1e400\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid out of range: p" },
    { "decimal of 40 digits", "{" TRADE ",\"t\":1,\"p\":\"#\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid out of range: p", "7", 40 },
    { "decimal of 40 digits behind the point", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"0.#\",\"T\":1,\"m\":true}",
        "invalid out of range: q", "7", 40 },
    { "an id of 40 digits", "{" TRADE ",\"t\":#,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}", "invalid out of range: t",
        "7", 40 },
    { "fits 64 bits, but not with its scale",
        "{" TRADE ",\"t\":1,\"p\":\"92233720368.54775808\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid out of range: p" },
    { "a time in microseconds", "{" TRADE ",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1672515782136123,\"m\":true}",
        "invalid out of range: T" },
    { "unknown symbol", "{\"e\":\"trade\",\"s\":\"XYZBTC\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "invalid unknown symbol: s" },
};

static void test_messages(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BNB/BTC", 8192);

    told_run(decoder, messages, KT_COUNT(messages));
    kt_venue_decoder_free(decoder);
}

/* Every prefix of a message is a message cut short, and says so. */
static void test_truncated_anywhere(void **state)
{
    const char *text = "{\"stream\":\"bnbbtc@trade\",\"data\":{" TRADE
                       ",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\",\"T\":1,\"m\":true}}";
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BNB/BTC", 0);
    static kt_told told;

    for (size_t n = 0; n < strlen(text); n++) {
        kt_venue_sink sink = told_start(&told);
        char *copy = kt_guard_copy(text, n);

        kt_venue_decode_message(decoder, (kt_text){ copy, n }, 1, &sink);
        assert_string_equal(told.mem, "invalid malformed");
        kt_guard_free(copy, n);
    }
    kt_venue_decoder_free(decoder);
}

#define FILTERS                                                                                                                             \
    "\"filters\":[{\"filterType\":\"PRICE_FILTER\",\"tickSize\":\"0.01000000\"},{\"filterType\":\"LOT_SIZE\",\"stepSize\":\"1.00000000\"}," \
    "{\"filterType\":\"MARKET_LOT_SIZE\",\"stepSize\":\"0.00000000\"}]"

typedef struct answer_case {
    const char *name;
    uint8_t what;
    uint16_t status;
    const char *body;
    const char *told;
    kt_venue_answer answer;
} answer_case;

static const answer_case answers[] = {
    { "the documentation's trades", KT_WHAT_TRADES_BY_ID, 200,
        "[{\"id\":28457,\"price\":\"4.00000100\",\"qty\":\"12.00000000\",\"time\":1499865549590,\"isBuyerMaker\":true," REST
        "}]",
        "row 1499865549590000000 4.000001 12 sell 28457 28457", { .row_count = 1 } },
    { "as many rows as were asked for", KT_WHAT_RECENT_TRADES, 200,
        "[{\"id\":1,\"price\":\"4\",\"qty\":\"1\",\"time\":1,\"isBuyerMaker\":true},{\"id\":2,\"price\":\"4\",\"qty\":\"1\",\"time\":1,"
        "\"isBuyerMaker\":false}]",
        "row 1000000 4 1 sell 1 1\nrow 1000000 4 1 buy 2 2", { .row_count = 2, .full = true } },
    { "one bad row costs the others nothing", KT_WHAT_TRADES_BY_ID, 200,
        "[{\"id\":1,\"price\":4,\"qty\":\"1\",\"time\":1,\"isBuyerMaker\":true},{\"id\":2,\"price\":\"4\",\"qty\":\"1\",\"time\":1,"
        "\"isBuyerMaker\":false}]",
        "invalid wrong type: price\nrow 1000000 4 1 buy 2 2", { .row_count = 2, .invalid_count = 1, .full = true } },
    { "a row in microseconds", KT_WHAT_TRADES_BY_ID, 200,
        "[{\"id\":1,\"price\":\"4\",\"qty\":\"1\",\"time\":1499865549590123,\"isBuyerMaker\":true}]",
        "invalid out of range: time", { .row_count = 1, .invalid_count = 1 } },
    { "a row without its id", KT_WHAT_TRADES_BY_ID, 200,
        "[{\"price\":\"4\",\"qty\":\"1\",\"time\":1,\"isBuyerMaker\":true}]", "invalid missing field: id",
        { .row_count = 1, .invalid_count = 1 } },
    { "no list", KT_WHAT_TRADES_BY_ID, 200, "{}", "invalid wrong type", { .invalid_count = 1 } },
    { "cut short", KT_WHAT_TRADES_BY_ID, 200, "[{\"id\":1", "invalid malformed",
        { .invalid_count = 1, .error = "the answer is not JSON" } },
    { "instruments: those that were asked for, with the scales of their steps", KT_WHAT_INSTRUMENTS, 200,
        "{\"symbols\":[{\"symbol\":\"ETHBTC\",\"baseAsset\":\"ETH\",\"quoteAsset\":\"BTC\"," FILTERS
        "},{\"symbol\":\"BNBBTC\",\"baseAsset\":\"BNB\",\"quoteAsset\":\"BTC\"," FILTERS "}]}",
        "instrument BNB/BTC BNBBTC BNB BTC 2 0 0.01 1", { .row_count = 2 } },
    { "instruments: without steps the decoder's own scales", KT_WHAT_INSTRUMENTS, 200,
        "{\"symbols\":[{\"symbol\":\"BNBBTC\",\"baseAsset\":\"BNB\",\"quoteAsset\":\"BTC\",\"filters\":[]}]}",
        "instrument BNB/BTC BNBBTC BNB BTC 8 8 0 0", { .row_count = 1 } },
    { "instruments: no symbols", KT_WHAT_INSTRUMENTS, 200, "{\"timezone\":\"UTC\"}", "invalid wrong type: symbols",
        { .invalid_count = 1 } },
    { "instruments: filters wrongly typed", KT_WHAT_INSTRUMENTS, 200,
        "{\"symbols\":[{\"symbol\":\"BNBBTC\",\"baseAsset\":\"BNB\",\"quoteAsset\":\"BTC\",\"filters\":{}}]}",
        "invalid wrong type: filters", { .row_count = 1, .invalid_count = 1 } },
    { "the documentation's book", KT_WHAT_BOOK, 200,
        "{\"lastUpdateId\":1027024,\"bids\":[[\"4.00000000\",\"431.00000000\"]],\"asks\":[[\"4.00000200\",\"12.00000000\"]]}",
        "book BNB/BTC 0 0-1027024 bids 4x431 asks 4.000002x12", { .row_count = 1 } },
    { "an empty book", KT_WHAT_BOOK, 200, "{\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}",
        "book BNB/BTC 0 0-1 bids asks", { .row_count = 1 } },
    { "a book without its number", KT_WHAT_BOOK, 200, "{\"bids\":[],\"asks\":[]}",
        "invalid missing field: lastUpdateId", { .row_count = 1, .invalid_count = 1 } },
    { "a book with a bad level", KT_WHAT_BOOK, 200, "{\"lastUpdateId\":1,\"bids\":[[\"4\"]],\"asks\":[]}",
        "invalid wrong type: bids", { .row_count = 1, .invalid_count = 1 } },
    { "a list instead of a book", KT_WHAT_BOOK, 200, "[]", "invalid wrong type",
        { .row_count = 1, .invalid_count = 1 } },
    { "the venue's error", KT_WHAT_TRADES_BY_ID, 400, "{\"code\":-1121,\"msg\":\"Invalid symbol.\"}", "",
        { .error = "status 400, -1121: Invalid symbol." } },
    { "banned", KT_WHAT_TRADES_BY_ID, 418, "{\"code\":-1003,\"msg\":\"Too much request weight used\"}", "",
        { .rate_limited = true, .error = "status 418, -1003: Too much request weight used" } },
    { "a proxy's error", KT_WHAT_TRADES_BY_ID, 502, "<html>", "", { .error = "status 502" } },
};

static void test_answers(void **state)
{
    static kt_told told;

    for (size_t i = 0; i < KT_COUNT(answers); i++) {
        const answer_case *row = &answers[i];
        kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BNB/BTC", 0);
        kt_ev_request request = { .symbol = KT_TEXT("BNB/BTC"), .what = row->what, .limit = 2 };
        kt_venue_sink sink = told_start(&told);
        kt_venue_answer answer;
        size_t size = strlen(row->body);
        char *copy = kt_guard_copy(row->body, size);

        kt_venue_decode_answer(decoder, &request, row->status, (kt_text){ copy, size }, 1, &sink, &answer);
        if (strcmp(told.mem, row->told) != 0 || strcmp(answer.error, row->answer.error) != 0 ||
            answer.row_count != row->answer.row_count || answer.invalid_count != row->answer.invalid_count ||
            answer.full != row->answer.full || answer.rate_limited != row->answer.rate_limited)
            fail_msg("%s: '%s', '%s', %u rows, %u invalid, full %d", row->name, told.mem, answer.error,
                answer.row_count, answer.invalid_count, answer.full);
        kt_guard_free(copy, size);
        kt_venue_decoder_free(decoder);
    }
}

/* From the instrument on its steps decide what fits. */
static void test_instrument_is_learned(void **state)
{
    const char *body =
        "{\"symbols\":[{\"symbol\":\"BNBBTC\",\"baseAsset\":\"BNB\",\"quoteAsset\":\"BTC\"," FILTERS "}]}";
    const told_case rows[] = {
        { "fits", "{" TRADE ",\"t\":1,\"p\":\"1.01000000\",\"q\":\"3.00000000\",\"T\":1,\"m\":true}",
            "tick BNB/BTC 1000000 1.01 3 sell 1 1" },
        { "price too fine", "{" TRADE ",\"t\":1,\"p\":\"1.001\",\"q\":\"3\",\"T\":1,\"m\":true}",
            "invalid out of range: p" },
        { "quantity too fine", "{" TRADE ",\"t\":1,\"p\":\"1.01\",\"q\":\"3.5\",\"T\":1,\"m\":true}",
            "invalid out of range: q" },
    };
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BNB/BTC", 0);
    kt_ev_request request = { .what = KT_WHAT_INSTRUMENTS };
    static kt_told told;
    kt_venue_sink sink = told_start(&told);
    kt_venue_answer answer;

    kt_venue_decode_answer(decoder, &request, 200, kt_text_of(body), 1, &sink, &answer);
    assert_int_equal(told.instruments, 1);
    told_run(decoder, rows, KT_COUNT(rows));
    assert_int_equal(kt_venue_symbol_find(decoder, KT_TEXT("BNB/BTC"))->price_scale, 2);
    assert_int_equal(kt_venue_symbol_find_venue(decoder, KT_TEXT("BNBBTC"))->quantity_scale, 0);
    kt_venue_decoder_free(decoder);
}

static void test_symbols(void **state)
{
    static const struct {
        const char *name;
        const char *symbol;
        kt_code code;
    } rows[] = {
        { "a pair", "ETH/USDT", KT_OK },
        { "known already", "ETH/USDT", KT_OK },
        { "no quote", "ETH", KT_SYNTAX },
        { "an empty quote", "ETH/", KT_SYNTAX },
        { "an empty base", "/USDT", KT_SYNTAX },
        { "a derivative", "ETH/USDT:USDT", KT_SYNTAX },
        { "longer than a symbol may be", "0123456789012345678901234567890123456789/0123456789012345678901234567890",
            KT_RANGE },
        { "one more than there is room for", "C/D", KT_FULL },
    };
    kt_venue_decoder_options options = { .format = &kt_venue_binance, .symbol_max = 1 };
    kt_venue_decoder *decoder = NULL;
    kt_err err = { 0 };

    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_OK);
    for (size_t i = 0; i < KT_COUNT(rows); i++)
        if (kt_venue_symbol_add(decoder, kt_text_of(rows[i].symbol), &err) != rows[i].code)
            fail_msg("%s: %s", rows[i].name, err.msg);
    kt_venue_decoder_free(decoder);

    options.price_scale = 19;
    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "0 to 18"));
    options = (kt_venue_decoder_options){ .format = &kt_venue_binance, .symbol_max = UINT32_MAX };
    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "symbol_max"));
    options = (kt_venue_decoder_options){ 0 };
    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "format"));
    assert_ptr_equal(kt_venue_format_of(KT_TEXT("binance")), &kt_venue_binance);
    assert_ptr_equal(kt_venue_format_of(KT_TEXT("generic")), &kt_venue_generic);
    assert_null(kt_venue_format_of(KT_TEXT("Binance")));
}

static void test_urls(void **state)
{
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT ETH/BTC", 0);
    kt_ev_request request = {
        .symbol = KT_TEXT("BTC/USDT"), .what = KT_WHAT_TRADES_BY_ID, .from_id = 18446744073709551615u, .limit = 5000
    };
    kt_err err = { 0 };
    char text[256];

    assert_int_equal(kt_venue_stream_url(decoder, "wss://stream.binance.com:9443", 0, kt_venue_symbol_count(decoder),
                         text, sizeof text, &err),
        KT_OK);
    assert_string_equal(text, "wss://stream.binance.com:9443/stream?streams=btcusdt@trade/ethbtc@trade");
    assert_int_equal(
        kt_venue_stream_url(decoder, "ws://h:1/stream/", 0, kt_venue_symbol_count(decoder), text, sizeof text, &err),
        KT_OK);
    assert_string_equal(text, "ws://h:1/stream?streams=btcusdt@trade/ethbtc@trade");
    assert_int_equal(
        kt_venue_stream_url(decoder, "ws://h:1", 0, kt_venue_symbol_count(decoder), text, 20, &err), KT_FULL);
    assert_int_equal(kt_venue_stream_url(decoder, "ws://h:1", 1, 1, text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "ws://h:1/stream?streams=ethbtc@trade");
    assert_int_equal(kt_venue_stream_symbol_max(decoder), 1024);
    assert_int_equal(kt_venue_subscribe(decoder, 3, KT_TEXT("ETH/BTC"), text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "{\"method\":\"SUBSCRIBE\",\"params\":[\"ethbtc@trade\"],\"id\":3}");
    assert_int_equal(kt_venue_subscribe(decoder, 3, KT_TEXT("ETH/EUR"), text, sizeof text, &err), KT_NOENT);

    assert_int_equal(kt_venue_rest_url(decoder, "https://h/", &request, text, sizeof text, &err), KT_OK);
    assert_string_equal(
        text, "https://h/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=18446744073709551615");
    request.what = KT_WHAT_RECENT_TRADES;
    request.limit = 7;
    assert_int_equal(kt_venue_rest_url(decoder, "https://h", &request, text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "https://h/api/v3/trades?symbol=BTCUSDT&limit=7");
    request.what = KT_WHAT_BOOK;
    assert_int_equal(kt_venue_rest_url(decoder, "https://h", &request, text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "https://h/api/v3/depth?symbol=BTCUSDT&limit=7");
    request.what = KT_WHAT_INSTRUMENTS;
    assert_int_equal(kt_venue_rest_url(decoder, "https://h", &request, text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "https://h/api/v3/exchangeInfo?symbol=BTCUSDT");
    request.symbol = (kt_text){ 0 };
    assert_int_equal(kt_venue_rest_url(decoder, "https://h", &request, text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "https://h/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22ETHBTC%22%5D");
    request.symbol = KT_TEXT("X/Y");
    assert_int_equal(kt_venue_rest_url(decoder, "https://h", &request, text, sizeof text, &err), KT_NOENT);
    request.what = KT_WHAT_TRADES_BY_TIME;
    assert_int_equal(kt_venue_rest_url(decoder, "https://h", &request, text, sizeof text, &err), KT_ARG);
    kt_venue_decoder_free(decoder);
}

static void test_streams_of_books(void **state)
{
    kt_venue_decoder_options options = { .format = &kt_venue_binance, .books = true };
    kt_venue_decoder *decoder = NULL;
    kt_err err = { 0 };
    char text[256];

    assert_int_equal(kt_venue_decoder_new(&options, &decoder, &err), KT_OK);
    assert_int_equal(kt_venue_symbol_add(decoder, KT_TEXT("BTC/USDT"), &err), KT_OK);
    assert_int_equal(
        kt_venue_stream_url(decoder, "ws://h:1", 0, kt_venue_symbol_count(decoder), text, sizeof text, &err), KT_OK);
    assert_string_equal(text, "ws://h:1/stream?streams=btcusdt@trade/btcusdt@depth@100ms/btcusdt@bookTicker");
    assert_int_equal(kt_venue_stream_symbol_max(decoder), 1024 / 3);
    assert_int_equal(kt_venue_subscribe(decoder, 3, KT_TEXT("BTC/USDT"), text, sizeof text, &err), KT_OK);
    assert_string_equal(text,
        "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@trade\",\"btcusdt@depth@100ms\",\"btcusdt@bookTicker\"],\"id\":3}");
    kt_venue_decoder_free(decoder);
}

/* Whatever is asked when: no five minutes have more than 300 connections, and half of them never wait. */
static void test_connections_are_paced(void **state)
{
    enum { MS = 1000000, ASKED = 4000, SPAN_MS = 300 * 1000 };
    static int64_t opened_ms[ASKED];
    const kt_venue_limits *limits = &kt_venue_binance.limits;
    int64_t pace = 0, now_ms = 0, opened = 0, first = 0;
    kt_rng rng;

    kt_rng_init(&rng, kt_test_seed());
    for (int i = 0; i < ASKED; i++) {
        int64_t wait_ns = kt_venue_connect_wait_ns(limits, &pace, now_ms * MS);
        assert_true(wait_ns == 0 || i >= 150);
        now_ms += (wait_ns + MS - 1) / MS;
        if (wait_ns != 0)
            assert_int_equal(kt_venue_connect_wait_ns(limits, &pace, now_ms * MS), 0);
        opened_ms[opened++] = now_ms;
        while (opened_ms[first] <= now_ms - SPAN_MS)
            first++;
        assert_true(opened - first <= 300);
        now_ms += kt_rng_chance(&rng, 0.01) ? (int64_t)kt_rng_below(&rng, SPAN_MS) : 0;
    }
    pace = 0;
    assert_int_equal(kt_venue_connect_wait_ns(&kt_venue_generic.limits, &pace, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_instrument_is_learned),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_streams_of_books),
        cmocka_unit_test(test_connections_are_paced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
