/* edge/edge.h - where clients come in: REST, WebSocket and the page, on one loop.
 *
 * Inside   rest.h answers HTTP, protocol.h reads what WebSocket clients say, hub.h brings the logs to them, latest.h
 *          keeps the newest prices, page.h holds the built files of console/. This header puts them together; lane
 *          `edge` hosts one kt_edge on its loop, by kt_edge_feed.
 * Reads    the logs it is given (market, house, keep and the lane's own) through kt_reader, up to `written`: what
 *          clients hear is news, not a promise. The edge keeps nothing that can not be read again: it has no snapshot.
 * Calls    call.h: what the edge can not answer itself goes through `ask`, and comes back through kt_edge_answer().
 * Writes   only what clients give it to say (event.emit), into the lane's own log.
 * Bounds   clients (edge.client_max), bytes a client (edge.client_buffer_bytes), silence (edge.silence_ms), open calls
 *          (bus/caller.h), work a loop turn (hub.h).
 * TLS      with edge.tls_certificate and edge.tls_key; the files are looked at each KT_EDGE_CERTIFICATE_MS, and new ones
 *          hold for new connections. What can not be used is told through `alert`, and the old one goes on.
 * Address  127.0.0.1 only: other addresses are refused until clients have an identity.
 */
#ifndef KT_EDGE_EDGE_H
#define KT_EDGE_EDGE_H

#include "base/error.h"
#include "base/types.h"
#include "lane/lane.h"
#include "net/loop.h"
#include "schema/config.h"

#include <stdbool.h>
#include <stdint.h>

#define KT_EDGE_SOURCE_MAX 8      /* logs that one edge reads */
#define KT_EDGE_MESSAGE_MAX 65536 /* bytes of one message of a client; longer ones close the connection (1009) */
#define KT_EDGE_CERTIFICATE_MS 5000
#define KT_EDGE_LEAVE_MS 1000 /* clients have so long to take what is queued and to answer the close */

typedef struct kt_edge kt_edge;

/* One log to read. `name` is the log's name ("market"), `dir` its folder; a folder that does not exist yet is looked
 * for again while running, so lanes may start in any order. */
typedef struct kt_edge_source {
    const char *name;
    const char *dir;
} kt_edge_source;

/* A question to another lane. Everything is borrowed for the call of kt_edge_ask only. */
typedef struct kt_edge_question {
    uint64_t id; /* the same again when the question is repeated, because nobody knows what became of it */
    const char *lane;
    kt_text action; /* "vwap.historical" */
    kt_text params; /* JSON object */
    kt_text trace;  /* bus.h */
    int64_t timeout_ns;
} kt_edge_question;

/* Carry a question to another lane; must not block. The answer is given later, or from within the call, through
 * kt_edge_answer() with the same id. Any code but KT_OK means: not sent, nothing will come (KT_BUSY: full, KT_NOENT:
 * the lane is not running). */
typedef kt_code (*kt_edge_ask)(void *ctx, const kt_edge_question *question);

typedef struct kt_edge_options {
    kt_loop *loop;                 /* borrowed; outlives the edge */
    const kt_config *config;       /* borrowed; edge.*, vwap.interval_ms, vwap.composites, compat.* */
    const kt_edge_source *sources; /* copied */
    uint32_t source_count;
    kt_lane *lane;   /* that hosts it, for what the house says about itself; NULL: none */
    kt_edge_ask ask; /* NULL: nobody else answers anything */
    void *ask_ctx;
    const uint8_t *boot_id; /* of readers; NULL: the kernel's */
    /* Somebody should look: the certificate on disk can not be used. NULL: nobody is told. */
    void (*alert)(void *ctx, const char *text);
    void *alert_ctx;
} kt_edge_options;

/* Listen on edge.host:edge.port (port 0: any) and start reading. KT_ARG: an address other than 127.0.0.1, a bad option.
 * KT_SYS: the port is taken (the message names it and says what to change). KT_LIMIT: too many sources.
 * A source that can not be read is no reason to fail: it is tried again. */
kt_code kt_edge_open(const kt_edge_options *options, kt_edge **out_edge, kt_err *err);

/* Take leave: every WebSocket client gets what is queued for it, `disconnect` with the code "stopping" and a close 1001;
 * answers to requests go out; new WebSocket clients are refused (503). Turns the loop until the last client has gone, at
 * most KT_EDGE_LEAVE_MS. For an orderly end; not from within a turn. */
void kt_edge_leave(kt_edge *edge);

/* The configuration has changed (service/settings.h): client_max, silence_ms and flush_*_ms hold from now on. */
void kt_edge_settings(kt_edge *edge);

/* Ends all connections and readers, without a word. NULL is fine. */
void kt_edge_close(kt_edge *edge);

/* The port that is listened on, for port 0. */
uint16_t kt_edge_port(const kt_edge *edge);

/* Reading happens in the loop's publish phase, every turn. True when a source has records that no client has heard of
 * yet, or a replay is under way: the loop must not sleep. Cheap; asked after the asleep flags are set ("set asleep,
 * then look again"). */
bool kt_edge_pending(const kt_edge *edge);

/* The last seq of a source that was read: wake the loop when its log passes it. */
uint64_t kt_edge_position(const kt_edge *edge, uint32_t source_index);

/* The answer to a question: KT_OK with a JSON body, or a code with a message for people. KT_NOENT without one: nobody
 * answers this action there. An id that is not open any more is ignored. */
void kt_edge_answer(kt_edge *edge, uint64_t ask_id, kt_code code, kt_text body);

/* What /health and tests look at. */
typedef struct kt_edge_counts {
    uint32_t clients;        /* WebSocket connections open now */
    uint32_t subscriptions;  /* of all clients */
    uint64_t events_read;    /* records taken from all sources */
    uint64_t messages_sent;  /* messages queued to clients, answers included */
    uint64_t events_skipped; /* events that conflation left out */
    uint64_t replays;        /* subscriptions served from the log instead of the live stream, slow ones included */
    uint64_t silent_closed;  /* clients cut off by the silence rule */
    uint32_t slow;           /* clients now that have not taken yet what is theirs */
    uint64_t slow_begun;     /* how often a client became one of them */
    uint64_t slow_closed; /* clients cut off for it: their next event is no longer in the log, or answers are unread */
} kt_edge_counts;

void kt_edge_count(const kt_edge *edge, kt_edge_counts *out_counts);

/* The edge as part of a lane: reads the logs of market, keep, house and the lane's own beside the lane's folder, asks
 * lane keep over the bus. */
extern const kt_feed_spec kt_edge_feed;

#endif
