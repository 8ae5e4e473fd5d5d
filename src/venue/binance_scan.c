#include "venue/binance_scan.h"

static const kt_json_step stream_steps[] = {
    KT_JSON_STEP(kt_binance_message, stream, "{\"stream\":", TEXT),
    KT_JSON_BYTES(",\"data\":"),
};

static const kt_json_step trade_steps[] = {
    KT_JSON_BYTES("{\"e\":\"trade\""),
    KT_JSON_STEP(kt_binance_trade, event_ms, ",\"E\":", I64),
    KT_JSON_STEP(kt_binance_trade, symbol, ",\"s\":", TEXT),
    KT_JSON_STEP(kt_binance_trade, number, ",\"t\":", U64),
    KT_JSON_STEP(kt_binance_trade, price, ",\"p\":", DECIMAL_TEXT),
    KT_JSON_STEP(kt_binance_trade, quantity, ",\"q\":", DECIMAL_TEXT),
    KT_JSON_STEP(kt_binance_trade, time_ms, ",\"T\":", I64),
    KT_JSON_STEP(kt_binance_trade, buyer_is_maker, ",\"m\":", BOOL),
    KT_JSON_STEP(kt_binance_trade, unused, ",\"M\":", BOOL),
    KT_JSON_BYTES("}"),
};

static const kt_json_step depth_steps[] = {
    KT_JSON_BYTES("{\"e\":\"depthUpda"),
    KT_JSON_STEP(kt_binance_depth, event_ms, "te\",\"E\":", I64),
    KT_JSON_STEP(kt_binance_depth, symbol, ",\"s\":", TEXT),
    KT_JSON_STEP(kt_binance_depth, first_id, ",\"U\":", U64),
    KT_JSON_STEP(kt_binance_depth, last_id, ",\"u\":", U64),
    KT_JSON_STEP(kt_binance_depth, bids, ",\"b\":", PAIRS),
};

static const kt_json_step depth_asks[] = {
    KT_JSON_STEP(kt_binance_depth, asks, ",\"a\":", PAIRS),
    KT_JSON_BYTES("}"),
};

static const kt_json_step ticker_steps[] = {
    KT_JSON_STEP(kt_binance_ticker, update_id, "{\"u\":", U64),
    KT_JSON_STEP(kt_binance_ticker, symbol, ",\"s\":", TEXT),
    KT_JSON_STEP(kt_binance_ticker, bid, ",\"b\":", DECIMAL_TEXT),
    KT_JSON_STEP(kt_binance_ticker, bid_quantity, ",\"B\":", DECIMAL_TEXT),
    KT_JSON_STEP(kt_binance_ticker, ask, ",\"a\":", DECIMAL_TEXT),
    KT_JSON_STEP(kt_binance_ticker, ask_quantity, ",\"A\":", DECIMAL_TEXT),
    KT_JSON_BYTES("}"),
};

#define SCAN(at, end, steps, out) kt_json_scan(at, end, steps, KT_COUNT(steps), out)

static const char *scan_depth(
    const char *at, const char *end, kt_decimal (*levels)[2], uint32_t level_max, kt_binance_depth *out)
{
    out->bids = (kt_json_pairs){ .at = levels, .max = level_max };
    at = SCAN(at, end, depth_steps, out);
    if (at == NULL)
        return NULL;
    out->asks = kt_json_pairs_behind(&out->bids);
    return SCAN(at, end, depth_asks, out);
}

/* The sixth byte tells the three apart: {"e":"t, {"e":"d, {"u":5. */
static const char *scan_event(
    const char *at, const char *end, kt_decimal (*levels)[2], uint32_t level_max, kt_binance_message *out)
{
    if (end - at < 8)
        return NULL;
    if (at[2] == 'u') {
        out->kind = KT_BINANCE_TICKER;
        return SCAN(at, end, ticker_steps, &out->ticker);
    }
    if (at[6] == 't') {
        out->kind = KT_BINANCE_TRADE;
        return SCAN(at, end, trade_steps, &out->trade);
    }
    out->kind = KT_BINANCE_DEPTH;
    return scan_depth(at, end, levels, level_max, &out->depth);
}

bool kt_binance_scan(kt_text bytes, kt_decimal (*levels)[2], uint32_t level_max, kt_binance_message *out)
{
    const char *at = bytes.s, *end = bytes.s + bytes.n;

    out->stream = (kt_text){ 0 };
    if (bytes.n < 3 || at[2] != 's')
        return bytes.n >= 3 && scan_event(at, end, levels, level_max, out) == end;
    at = SCAN(at, end, stream_steps, out);
    if (at == NULL)
        return false;
    at = scan_event(at, end, levels, level_max, out);
    return at != NULL && end - at == 1 && *at == '}';
}
