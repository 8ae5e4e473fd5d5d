/* service/market.h - the service that makes trades whole and averages of them: gather, repair, vwap and quality on one state.
 *
 *      tick, invalid, link      answer, instrument          timer
 *               |                     |                       |
 *          [ gather ] <---------- [ repair ] ----------> request
 *     which trades there are,     what REST says, and how far
 *     counters, market time               |
 *               | trade                   | watermark
 *               v                         v
 *          [ vwap ]  provisional when market time passes a mark, validated when REST has, corrections
 *
 * How good a minute was is told by quality.{venue}.{symbol}, from what gather counts. Of a venue with `candles` the minutes
 * themselves are told by minute.{venue}.{symbol}, beside the venue's.
 *
 * These are state machines of their own (service/gather.h, repair.h, vwap.h, quality.h, minutes.h), but one service with one
 * snapshot: they share the table of trades, and a trade is counted, confirmed and summed in one step, with no copy of it
 * anywhere else.
 *
 * Inputs   tick, invalid, link, candle, instrument, answer, timer, lane_start, and settings (service/settings.h), after which
 *          suspect_percent, step_s and repair.* are read again. Other kinds are skipped.
 * Outputs  trade, watermark, vwap, correction, feed_stats, quality, minute, instrument, and request (carried out by
 *          service/feed.h).
 * Feeds    one per venue and symbol, made when its first trade comes or when it is configured, KT_MARKET_FEED_MAX at
 *          most. Ticks of a venue that is not configured, and of feeds beyond the bound, are ignored.
 */
#ifndef KT_SERVICE_MARKET_H
#define KT_SERVICE_MARKET_H

#include "lane/service.h"

enum { KT_MARKET_FEED_MAX = 8192 };

extern const kt_service_spec kt_market_service;

#endif
