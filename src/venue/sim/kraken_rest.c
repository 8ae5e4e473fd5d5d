#include "base/time.h"
#include "net/url.h"
#include "venue/sim/kraken.h"
#include "venue/sim/kraken_parts.h"

enum {
    PAGE_MAX = 1000,
    CANDLES_MAX = 720,
    DEPTH_DEFAULT = 100,
    DEPTH_MAX = 500,
};

static uint16_t put_error(kt_builder *body, const char *error)
{
    kt_builder_format(body, "{\"error\":[\"%s\"]}", error);
    return 200;
}

static void open_result(kt_builder *body, kt_text symbol)
{
    kt_builder_str(body, "{\"error\":[],\"result\":{\"");
    kt_sim_kraken_put_pair(symbol, true, "", body);
    kt_builder_str(body, "\":");
}

/* The number of a parameter, `fallback` where it is not given; false: it is none. */
static bool number_of(kt_text query, const char *name, uint64_t fallback, uint64_t *out)
{
    kt_text value;

    *out = fallback;
    return !kt_url_query(query, kt_text_of(name), &value) || kt_text_u64(value, out) == KT_OK;
}

/* The first trade behind this instant. */
static uint32_t first_behind(const kt_sim_rest *rest, uint32_t symbol, uint64_t since_ns)
{
    const kt_sim_history *history = &rest->histories[symbol];
    int64_t since = since_ns < INT64_MAX ? (int64_t)since_ns : INT64_MAX - KT_SIM_KRAKEN_REST_EXTRA_NS;
    uint32_t at = kt_sim_history_from_time(history, since / KT_NS_PER_MS);

    while (at < history->count &&
           kt_sim_time(rest->kraken, kt_sim_history_at(history, at)) + KT_SIM_KRAKEN_REST_EXTRA_NS <= since)
        at++;
    return at;
}

static uint16_t answer_trades(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body)
{
    const kt_sim_symbol *known = kt_sim_symbol_at(rest->market, symbol);
    const kt_sim_history *history = &rest->histories[symbol];
    uint64_t since = 0, count = PAGE_MAX;
    uint32_t from = 0, to = 0;
    int64_t last_ns = 0;
    kt_text value;

    if (!number_of(query, "since", 0, &since) || !number_of(query, "count", PAGE_MAX, &count) || count == 0)
        return put_error(body, "EGeneral:Invalid arguments");
    count = count < PAGE_MAX ? count : PAGE_MAX;
    if (kt_url_query(query, KT_TEXT("since"), &value))
        from = kt_sim_page_start(rest, first_behind(rest, symbol, since), count);
    else
        from = history->count > count ? history->count - (uint32_t)count : 0;
    to = history->count - from < count ? history->count : from + (uint32_t)count;
    last_ns = (int64_t)since;
    open_result(body, known->pair.symbol);
    kt_builder_char(body, '[');
    for (uint32_t i = from; i < to; i++) {
        char id[KT_SIM_ID_SIZE];
        kt_row_trade row = kt_sim_row(rest->kraken, known, kt_sim_history_at(history, i), id);

        kt_builder_str(body, i == from ? "" : ",");
        kt_sim_kraken_v1.write_row(&known->pair, &row, body);
        last_ns = row.venue_time + KT_SIM_KRAKEN_REST_EXTRA_NS;
    }
    kt_builder_format(body, "],\"last\":\"%lld\"}}", (long long)last_ns);
    return 200;
}

/* The last minutes that begin behind `since`; those without a trade are left out. */
static uint16_t answer_candles(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body)
{
    enum { MINUTE_MS = KT_SIM_KRAKEN_MINUTE_MS };
    const kt_row_instrument *instrument = &kt_sim_symbol_at(rest->market, symbol)->pair;
    const kt_sim_history *history = &rest->histories[symbol];
    uint64_t since = 0, minutes = 1;
    const kt_sim_trade *last = kt_sim_history_last(history);
    int64_t last_ms = last != NULL ? last->time_ms : 0;
    int64_t from_ms = last_ms - last_ms % MINUTE_MS - (CANDLES_MAX - 1) * (int64_t)MINUTE_MS;
    kt_sim_candle candle = { 0 };
    uint32_t at = 0;

    if (!number_of(query, "since", 0, &since) || !number_of(query, "interval", 1, &minutes) || minutes != 1)
        return put_error(body, "EGeneral:Invalid arguments");
    if (since < INT64_MAX / 1000 && (int64_t)since * 1000 >= from_ms)
        from_ms = ((int64_t)since * 1000 / MINUTE_MS + 1) * MINUTE_MS;
    at = kt_sim_history_from_time(history, from_ms);
    open_result(body, instrument->symbol);
    kt_builder_char(body, '[');
    for (const char *comma = ""; kt_sim_kraken_candle_next(history, &at, &candle); comma = ",") {
        kt_builder_str(body, comma);
        kt_sim_kraken_write_candle_row(instrument, &candle, body);
    }
    kt_builder_format(body, "],\"last\":%lld}}", (long long)(candle.begin_ms / 1000 - 60));
    return 200;
}

static uint16_t answer_depth(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body)
{
    const kt_row_instrument *instrument = &kt_sim_symbol_at(rest->market, symbol)->pair;
    uint64_t count = DEPTH_DEFAULT;
    char second_mem[32];
    kt_builder second;
    kt_ev_book book;

    if (!number_of(query, "count", DEPTH_DEFAULT, &count) || count == 0)
        return put_error(body, "EGeneral:Invalid arguments");
    kt_sim_books_want(rest->books, symbol, kt_sim_history_last(&rest->histories[symbol]));
    kt_sim_books_whole(rest->books, symbol, count < DEPTH_MAX ? (uint32_t)count : DEPTH_MAX, &book);
    kt_builder_init(&second, second_mem, sizeof second_mem);
    kt_builder_u64(&second, (uint64_t)(rest->now_ns / KT_NS_PER_S));
    open_result(body, instrument->symbol);
    kt_builder_str(body, "{\"asks\":");
    kt_sim_kraken_put_levels(instrument, &book.asks, kt_builder_done(&second), body);
    kt_builder_str(body, ",\"bids\":");
    kt_sim_kraken_put_levels(instrument, &book.bids, kt_builder_done(&second), body);
    kt_builder_str(body, "}}}");
    return 200;
}

static void put_pair_row(const kt_row_instrument *instrument, kt_builder *body)
{
    kt_builder_char(body, '"');
    kt_sim_kraken_put_pair(instrument->symbol, true, "", body);
    kt_builder_str(body, "\":{\"altname\":\"");
    kt_sim_kraken_put_pair(instrument->symbol, true, "", body);
    kt_builder_str(body, "\",\"wsname\":\"");
    kt_sim_kraken_put_pair(instrument->symbol, true, "/", body);
    kt_builder_format(body, "\",\"pair_decimals\":%u,\"lot_decimals\":%u,\"lot_multiplier\":1,\"tick_size\":\"",
        instrument->price_scale, instrument->quantity_scale);
    kt_builder_decimal(body, instrument->tick);
    kt_builder_str(body, "\",\"status\":\"online\"}");
}

/* Those that ?pair= names, in a list with commas; all without it. */
static uint16_t answer_pairs(const kt_sim_rest *rest, kt_text query, kt_builder *body)
{
    uint32_t count = kt_sim_symbol_count(rest->market);
    kt_text names = { 0 }, name = { 0 };
    bool named = kt_url_query(query, KT_TEXT("pair"), &names);

    kt_builder_str(body, "{\"error\":[],\"result\":{");
    for (uint32_t i = 0; named ? kt_text_cut(&names, ',', &name) : i < count; i++) {
        uint32_t symbol = named ? kt_sim_kraken_find(rest->market, name, true, "") : i;

        if (symbol == count) {
            body->n = 0;
            return put_error(body, "EQuery:Unknown asset pair");
        }
        kt_builder_str(body, i == 0 ? "" : ",");
        put_pair_row(&kt_sim_symbol_at(rest->market, symbol)->pair, body);
    }
    kt_builder_str(body, "}}");
    return 200;
}

uint16_t kt_sim_kraken_answer(kt_sim_rest *rest, kt_text path, kt_text query, kt_builder *body)
{
    static const struct {
        const char *path;
        uint16_t (*answer)(kt_sim_rest *rest, kt_text query, uint32_t symbol, kt_builder *body);
    } answers[] = {
        { "/0/public/Trades", answer_trades },
        { "/0/public/Depth", answer_depth },
        { "/0/public/OHLC", answer_candles },
    };
    uint32_t symbol = 0;
    size_t which = 0;
    kt_text name = { 0 };

    if (kt_text_equal(path, KT_TEXT("/0/public/AssetPairs")))
        return answer_pairs(rest, query, body);
    while (which < KT_COUNT(answers) && !kt_text_equal(path, kt_text_of(answers[which].path)))
        which++;
    if (which == KT_COUNT(answers))
        return 0;
    if (!kt_url_query(query, KT_TEXT("pair"), &name))
        return put_error(body, "EGeneral:Invalid arguments");
    symbol = kt_sim_kraken_find(rest->market, name, true, "");
    if (symbol == kt_sim_symbol_count(rest->market))
        return put_error(body, "EQuery:Unknown asset pair");
    return answers[which].answer(rest, query, symbol, body);
}
