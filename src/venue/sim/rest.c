#include "venue/sim/rest.h"

#include "base/json.h"
#include "base/time.h"
#include "net/url.h"
#include "venue/sim/feed.h"
#include "venue/sim/kraken.h"
#include "venue/sim/wire.h"

enum {
    GENERIC_ROW_MAX = 100,
    LIMIT_DEFAULT = 500,
    LIMIT_MAX = 1000,
    DEPTH_DEFAULT = 100,
    DEPTH_MAX = 5000,
    VALUE_SIZE = 8192,
    ERROR_SIZE = 512,
    SYMBOL_NODE_MAX = 2048
};

/* ---- parameters ---- */

typedef enum presence { ABSENT, PRESENT, UNREADABLE } presence;

/* The decoded value of a parameter into `mem` of VALUE_SIZE bytes. */
static presence parameter(kt_text query, const char *name, char *mem, kt_text *out)
{
    kt_text value;

    *out = (kt_text){ mem, 0 };
    if (!kt_url_query(query, kt_text_of(name), &value))
        return ABSENT;
    if (value.n > VALUE_SIZE || kt_url_decode(value, true, mem, &out->n) != KT_OK)
        return UNREADABLE;
    return PRESENT;
}

static presence number_parameter(kt_text query, const char *name, uint64_t *out)
{
    char mem[VALUE_SIZE];
    kt_text text;
    presence found = parameter(query, name, mem, &text);

    if (found == PRESENT && kt_text_u64(text, out) != KT_OK)
        return UNREADABLE;
    return found;
}

/* Index of the symbol with this spelling in one of the formats; symbol_count: none. */
static uint32_t find_symbol(const kt_sim_rest *rest, kt_text name, bool generic)
{
    uint32_t count = kt_sim_symbol_count(rest->market), i = 0;

    for (; i < count; i++) {
        const kt_sim_symbol *symbol = kt_sim_symbol_at(rest->market, i);

        if (kt_text_equal(generic ? symbol->ticker.venue_symbol : symbol->pair.venue_symbol, name))
            break;
    }
    return i;
}

static void put_row(
    const kt_sim_rest *rest, const kt_venue_format *format, uint32_t symbol, uint32_t at, kt_builder *body)
{
    const kt_sim_symbol *known = kt_sim_symbol_at(rest->market, symbol);
    char id[KT_SIM_ID_SIZE];
    kt_row_trade row = kt_sim_row(format, known, kt_sim_history_at(&rest->histories[symbol], at), id);

    kt_sim_wire_of(format)->write_row(format == &kt_venue_generic ? &known->ticker : &known->pair, &row, body);
}

uint32_t kt_sim_page_start(kt_sim_rest *rest, uint32_t from, uint64_t max)
{
    uint32_t before = rest->overlap != NULL && max > 1 ? 1 + (uint32_t)kt_rng_below(rest->overlap, max / 2) : 0;

    before = before < from ? before : from;
    rest->overlaps = before != 0;
    return from - before;
}

/* ---- generic ---- */

static uint16_t generic_error(kt_builder *body, uint16_t status, const char *error, kt_text message)
{
    char mem[ERROR_SIZE];
    kt_json_writer writer;
    kt_text done = { 0 };

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_u64(&writer, "statusCode", status);
    kt_json_member_text(&writer, "error", kt_text_of(error));
    kt_json_member_text(&writer, "message", message);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &done) == KT_OK)
        kt_builder_text(body, done);
    return status;
}

static uint16_t answer_trades(kt_sim_rest *rest, kt_text query, kt_builder *body)
{
    uint32_t order[GENERIC_ROW_MAX], count = 0, from = 0, symbol = 0;
    const kt_sim_history *history = NULL;
    uint64_t start_ms = 0;
    char mem[VALUE_SIZE];
    kt_text ticker;

    if (parameter(query, "ticker", mem, &ticker) != PRESENT || ticker.n == 0)
        return generic_error(body, 400, "Bad Request", KT_TEXT("the parameter ticker is needed, such as ticker=BTC"));
    if (number_parameter(query, "startTime", &start_ms) == UNREADABLE || start_ms > INT64_MAX)
        return generic_error(body, 400, "Bad Request", KT_TEXT("startTime is a time in ms since 1970"));
    symbol = find_symbol(rest, ticker, true);
    if (symbol == kt_sim_symbol_count(rest->market))
        return generic_error(body, 404, "Not Found", KT_TEXT("this ticker is not traded here"));
    history = &rest->histories[symbol];
    from = kt_sim_page_start(rest, kt_sim_history_from_time(history, (int64_t)start_ms), GENERIC_ROW_MAX);
    while (count < GENERIC_ROW_MAX && from + count < history->count) {
        order[count] = from + count;
        count++;
    }
    for (uint32_t i = count; rest->shuffle != NULL && i > 1; i--) {
        uint32_t other = (uint32_t)kt_rng_below(rest->shuffle, i), kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
    kt_builder_char(body, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            kt_builder_char(body, ',');
        put_row(rest, &kt_venue_generic, symbol, order[i], body);
    }
    kt_builder_char(body, ']');
    return 200;
}

/* ---- Binance ---- */

static uint16_t venue_error(kt_builder *body, int code, const char *msg)
{
    kt_builder_format(body, "{\"code\":%d,\"msg\":\"%s\"}", code, msg);
    return 400;
}

/* What each answer about a symbol needs: 0, or the status of what has been answered instead. */
static uint16_t symbol_and_limit(
    const kt_sim_rest *rest, kt_text query, uint32_t *out_symbol, uint64_t *inout_limit, kt_builder *body)
{
    char mem[VALUE_SIZE];
    kt_text name;

    if (parameter(query, "symbol", mem, &name) != PRESENT || name.n == 0)
        return venue_error(body, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.");
    if (number_parameter(query, "limit", inout_limit) == UNREADABLE)
        return venue_error(
            body, -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.");
    if (*inout_limit == 0)
        return venue_error(body, -1130, "Data sent for parameter 'limit' is not valid.");
    *out_symbol = find_symbol(rest, name, false);
    if (*out_symbol == kt_sim_symbol_count(rest->market))
        return venue_error(body, -1121, "Invalid symbol.");
    return 0;
}

static uint16_t answer_binance_trades(kt_sim_rest *rest, kt_text query, bool by_id, kt_builder *body)
{
    uint64_t limit = LIMIT_DEFAULT, from_id = 0;
    const kt_sim_history *history = NULL;
    uint32_t from = 0, symbol = 0;
    presence found = ABSENT;
    uint16_t status = symbol_and_limit(rest, query, &symbol, &limit, body);

    if (status != 0)
        return status;
    if (by_id)
        found = number_parameter(query, "fromId", &from_id);
    if (found == UNREADABLE)
        return venue_error(
            body, -1100, "Illegal characters found in parameter 'fromId'; legal range is '^[0-9]{1,20}$'.");
    history = &rest->histories[symbol];
    if (limit > LIMIT_MAX)
        limit = LIMIT_MAX;
    if (found == PRESENT)
        from = kt_sim_page_start(rest, kt_sim_history_from_number(history, from_id), limit);
    else
        from = history->count > limit ? history->count - (uint32_t)limit : 0;
    kt_builder_char(body, '[');
    for (uint32_t i = from; i < history->count && i - from < limit; i++) {
        if (i > from)
            kt_builder_char(body, ',');
        put_row(rest, &kt_venue_binance, symbol, i, body);
    }
    kt_builder_char(body, ']');
    return 200;
}

static uint16_t answer_depth(const kt_sim_rest *rest, kt_text query, kt_builder *body)
{
    uint64_t limit = DEPTH_DEFAULT;
    uint32_t symbol = 0;
    uint16_t status = symbol_and_limit(rest, query, &symbol, &limit, body);

    if (status != 0)
        return status;
    kt_sim_books_want(rest->books, symbol, kt_sim_history_last(&rest->histories[symbol]));
    kt_sim_books_answer(rest->books, symbol, limit < DEPTH_MAX ? (uint32_t)limit : DEPTH_MAX, body);
    return 200;
}

/* Mark the symbols that `symbol` or `symbols` name; all when neither is given. 200, or the status of the error. */
static uint16_t wanted_symbols(
    const kt_sim_rest *rest, kt_text query, bool wanted[static KT_SIM_SYMBOL_MAX], kt_builder *body)
{
    static const char bad_symbols[] = "Illegal characters found in parameter 'symbols'.";
    uint32_t count = kt_sim_symbol_count(rest->market);
    kt_json_node nodes[SYMBOL_NODE_MAX];
    kt_json_doc doc;
    char mem[VALUE_SIZE];
    kt_text text;

    for (uint32_t i = 0; i < count; i++)
        wanted[i] = false;
    if (parameter(query, "symbol", mem, &text) == PRESENT) {
        uint32_t symbol = find_symbol(rest, text, false);

        if (symbol == count)
            return venue_error(body, -1121, "Invalid symbol.");
        wanted[symbol] = true;
        return 200;
    }
    switch (parameter(query, "symbols", mem, &text)) {
    case UNREADABLE:
        return venue_error(body, -1100, bad_symbols);
    case ABSENT:
        for (uint32_t i = 0; i < count; i++)
            wanted[i] = true;
        return 200;
    case PRESENT:
        break;
    }
    if (kt_json_parse(text, nodes, SYMBOL_NODE_MAX, &doc, NULL) != KT_OK || kt_json_kind_of(&doc, 0) != KT_JSON_ARRAY)
        return venue_error(body, -1100, bad_symbols);
    kt_json_each (&doc, 0, item) {
        uint32_t symbol =
            kt_json_kind_of(&doc, item) == KT_JSON_STRING ? find_symbol(rest, kt_json_raw(&doc, item), false) : count;

        if (symbol == count)
            return venue_error(body, -1121, "Invalid symbol.");
        wanted[symbol] = true;
    }
    return 200;
}

static uint16_t answer_exchange_info(const kt_sim_rest *rest, kt_text query, kt_builder *body)
{
    bool wanted[KT_SIM_SYMBOL_MAX];
    uint16_t status = wanted_symbols(rest, query, wanted, body);
    const char *comma = "";

    if (status != 200)
        return status;
    kt_builder_format(body,
        "{\"timezone\":\"UTC\",\"serverTime\":%lld,\"rateLimits\":[],\"exchangeFilters\":[],\"symbols\":[",
        (long long)kt_time_to_ms(rest->now_ns));
    for (uint32_t i = 0; i < kt_sim_symbol_count(rest->market); i++) {
        if (!wanted[i])
            continue;
        kt_builder_str(body, comma);
        kt_sim_write_instrument(&kt_sim_symbol_at(rest->market, i)->pair, body);
        comma = ",";
    }
    kt_builder_str(body, "]}");
    return 200;
}

/* ---- paths ---- */

uint16_t kt_sim_rest_answer(kt_sim_rest *rest, kt_text path, kt_text query, kt_builder *body)
{
    uint16_t status = 0;

    if (rest->generic && kt_text_equal(path, KT_TEXT("/trades")))
        status = answer_trades(rest, query, body);
    else if (rest->binance && kt_text_equal(path, KT_TEXT("/api/v3/trades")))
        status = answer_binance_trades(rest, query, false, body);
    else if (rest->binance && kt_text_equal(path, KT_TEXT("/api/v3/historicalTrades")))
        status = answer_binance_trades(rest, query, true, body);
    else if (rest->binance && kt_text_equal(path, KT_TEXT("/api/v3/exchangeInfo")))
        status = answer_exchange_info(rest, query, body);
    else if (rest->binance && kt_text_equal(path, KT_TEXT("/api/v3/depth")))
        status = answer_depth(rest, query, body);
    else if (rest->kraken != NULL)
        status = kt_sim_kraken_answer(rest, path, query, body);
    return status;
}
