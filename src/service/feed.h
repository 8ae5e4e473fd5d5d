/* service/feed.h - the part of lane market that touches the world: venues' streams and REST interfaces.
 *
 * Streams   one WebSocket connection a venue, or several where it has many symbols. Each message is decoded by
 *           venue/venue.h into one input: a `tick`, or an `invalid` with the reason. Connections that end, or that are silent for the venue's silence_ms, are made
 *           anew after a wait that doubles from gather.backoff_min_ms to gather.backoff_max_ms, with jitter of up to a
 *           half; a connection that delivered a message starts again at the minimum. Each change is a `link` input.
 *           A connection that the venue would end (after its connection_life_s, or as it announces) is replaced before:
 *           the new one takes over with the first thing of the market that it brings, and what came twice is a repeat.
 *           Where the format is subscribed by messages (kt_venue_say), they are sent when the connection is open.
 * Limits    of the venue (kt_venue_limits) are kept: symbols are shared out over connections, which are opened no faster
 *           than allowed; on them nothing is sent but subscriptions and the answers to pings.
 * REST      each `request` output of service/market.h is one HTTP request; what comes of it, also a failure, is one
 *           `answer` input with the request's seq as its cause. A book that the stream gives (kt_venue_books) is asked of
 *           the stream instead: the answer says that it was asked, the book comes as any other input.
 * Start     a venue whose format describes its instruments is asked for them first, and its stream is opened when they
 *           are known, or when KT_FEED_INSTRUMENTS_MS have passed.
 * Full disk a trade that the log refuses (KT_FULL) ends its connection, which is made anew with the usual wait: REST
 * repairs what is lost.
 *           A refused answer is asked for again by service/repair.h.
 * Bounds    KT_FEED_REQUEST_MAX requests are open at a time; what is beyond is answered at once with status 0. A venue
 *           has at most KT_FEED_STREAM_MAX connections; symbols that need more are refused at the start.
 */
#ifndef KT_SERVICE_FEED_H
#define KT_SERVICE_FEED_H

#include "lane/lane.h"

enum { KT_FEED_INSTRUMENTS_MS = 3000, KT_FEED_REQUEST_MAX = 256, KT_FEED_STREAM_MAX = 64 };

extern const kt_feed_spec kt_venue_feed;

#endif
