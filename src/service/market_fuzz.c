#include "service/market.h"

#include "service/snapshot_fuzz.h"

static const char config_text[] =
    "vwap: {windows: [5s, 1m], composites: [{ticker: ALL, members: [{venue: gen, symbol: BTC}, {venue: bin, symbol: "
    "BTC}]}]}\n"
    "venues:\n"
    "  - {name: gen, format: generic, ws_url: 'ws://127.0.0.1:1/stream', rest_url: 'http://127.0.0.1:1/trades', candles: true}\n"
    "  - {name: bin, format: binance, ws_url: 'ws://127.0.0.1:1', rest_url: 'http://127.0.0.1:1', symbols: [BTC]}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return check_snapshot(&kt_market_service, config_text, (kt_text){ (const char *)data, size });
}
