#include "json_peer.h"

#include <simdjson.h>

using namespace simdjson;

static_assert(KT_PEER_PADDING >= SIMDJSON_PADDING, "what simdjson reads beyond the end");

static ondemand::parser parser;

static kt_text text_of(ondemand::value value)
{
    std::string_view raw = value.raw_json_token(); /* "text", and blanks behind it */

    return { raw.data() + 1, raw.find('"', 1) - 1 };
}

static kt_decimal decimal_of(ondemand::value value)
{
    kt_decimal decimal;

    if (kt_decimal_parse(text_of(value), &decimal) != KT_OK)
        throw simdjson_error(INCORRECT_TYPE);
    return decimal;
}

static void read_pairs(ondemand::value value, kt_json_pairs *out)
{
    out->count = 0;
    for (ondemand::array pair : value.get_array()) {
        int side = 0;
        for (ondemand::value number : pair)
            out->at[out->count][side++] = decimal_of(number);
        out->count++;
    }
}

extern "C" bool kt_peer_trade(const char *bytes, size_t size, kt_binance_message *out)
{
    try {
        ondemand::document doc = parser.iterate(bytes, size, size + KT_PEER_PADDING);
        ondemand::object message = doc.get_object();
        out->stream = text_of(message.find_field("stream"));
        ondemand::object trade = message.find_field("data").get_object();

        if (trade.find_field("e").get_string().value() != "trade")
            return false;
        out->trade.event_ms = trade.find_field("E").get_int64();
        out->trade.symbol = text_of(trade.find_field("s"));
        out->trade.number = trade.find_field("t").get_uint64();
        out->trade.price = decimal_of(trade.find_field("p"));
        out->trade.quantity = decimal_of(trade.find_field("q"));
        out->trade.time_ms = trade.find_field("T").get_int64();
        out->trade.buyer_is_maker = trade.find_field("m").get_bool();
        out->trade.unused = trade.find_field("M").get_bool();
        return true;
    } catch (simdjson_error &) {
        return false;
    }
}

extern "C" bool kt_peer_depth(const char *bytes, size_t size, kt_decimal (*levels)[2], kt_binance_message *out)
{
    try {
        ondemand::document doc = parser.iterate(bytes, size, size + KT_PEER_PADDING);
        ondemand::object message = doc.get_object();
        out->stream = text_of(message.find_field("stream"));
        ondemand::object depth = message.find_field("data").get_object();

        if (depth.find_field("e").get_string().value() != "depthUpdate")
            return false;
        out->depth.event_ms = depth.find_field("E").get_int64();
        out->depth.symbol = text_of(depth.find_field("s"));
        out->depth.first_id = depth.find_field("U").get_uint64();
        out->depth.last_id = depth.find_field("u").get_uint64();
        out->depth.bids.at = levels;
        read_pairs(depth.find_field("b"), &out->depth.bids);
        out->depth.asks.at = levels + out->depth.bids.count;
        read_pairs(depth.find_field("a"), &out->depth.asks);
        return true;
    } catch (simdjson_error &) {
        return false;
    }
}
