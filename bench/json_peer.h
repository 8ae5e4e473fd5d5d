/* bench/json_peer.h - the same two messages read by simdjson's on-demand interface, for json_bench.c only.
 *
 * The fields in the order of the message, strings without undoing escapes, decimals by kt_decimal_parse: the fastest
 * that its manual knows. Each returns whether the message was read.
 */
#ifndef KT_BENCH_JSON_PEER_H
#define KT_BENCH_JSON_PEER_H

#ifdef __cplusplus
#define _Static_assert static_assert
extern "C" {
#endif

#include "venue/binance_scan.h"

/* Bytes that must be readable behind a message. */
enum { KT_PEER_PADDING = 64 };

bool kt_peer_trade(const char *bytes, size_t size, kt_binance_message *out);
bool kt_peer_depth(const char *bytes, size_t size, kt_decimal (*levels)[2], kt_binance_message *out);

#ifdef __cplusplus
}
#endif

#endif
