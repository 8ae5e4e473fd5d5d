/* edge/hub.h - brings the logs to WebSocket clients: who hears what, from where, and how slow readers are served.
 *
 * Live      One reader a log stands at its end. Each record is looked at once, its frame built once if anybody hears
 *           its subject, and copied to each of them. Subjects are found by number; no text is compared on the way.
 * Replay    A subscription from the past is served in slices up to the place where the live reader stands, and joins it
 *           there: both run on one thread, so nothing is missed and nothing comes twice. The live reader remembers the
 *           newest KT_HUB_RECENT records by subject: who wants no older ones goes from one to the next in memory, however
 *           many lie between. For older ones a reader goes over the log from there on.
 * Flush     What is new leaves in one write a client and turn. Channels of a class (KT_FLUSH_MAP) are gathered for an
 *           interval; clients have phases in it, KT_HUB_PHASES of them, so that not all are written to at once. At its
 *           flush a client gets the newest event, with `skipped`; all of them in order where it said "conflate": false,
 *           or where the class allows no skipping.
 * Order     within a channel always. What was gathered of several channels comes channel by channel.
 * Books     can not be conflated: every change continues the one before it. Whatever their clients say, they are treated
 *           as "conflate": false.
 * Slow      A client takes at most `buffer_bytes` of memory. When an event does not fit,
 *               "conflate": true   the newest event is sent once there is room, with `skipped`: how many it stands for;
 *               "conflate": false  the subscription goes back to reading the log, as in a replay, and catches up from
 *               there.
 *                                  When the log no longer has its next event the client is told the gap and closed.
 *           Who is slow, and who was closed for it, is counted (kt_edge_counts).
 * Told      always: a new epoch, a gap with its first and last offset. offset = last + skipped + 1, or there was a
 *           message of type `gap` or `epoch` in between.
 * Silence   A client of whom nothing was heard for silence_ms gets `disconnect` with a reason, and is closed.
 * Bounds    KT_HUB_* below, a turn each: however much one client reads back, the others wait for one slice.
 */
#ifndef KT_EDGE_HUB_H
#define KT_EDGE_HUB_H

#include "edge/edge.h"
#include "log/reader.h"
#include "net/http_server.h"
#include "schema/channels.h"

enum {
    KT_HUB_WATCH_MAX = 3,           /* patterns that the house itself listens to */
    KT_HUB_SUBSCRIPTION_MAX = 1024, /* of one client */
    KT_HUB_CHANNELS_MAX = 1000,     /* listed by one answer to op channels, and half a buffer of bytes */
    KT_HUB_LIVE_MAX = 4096,         /* live records a log and turn */
    KT_HUB_PHASES = 16,             /* of an interval between flushes */
    KT_HUB_PHASE_RUN = 16,          /* clients that came one after the other and have the same phase: the kernel's parts
                                       of them lie side by side, and are soonest written to in that order */
    KT_HUB_RUN_BYTES = 256 << 10,   /* gathered of one channel; beyond, it leaves before its time */
    KT_HUB_SLICE_RECORDS = 4096,    /* records that one replay looks at in a turn ... */
    KT_HUB_SLICE_BYTES = 256 << 10, /* ... and bytes of them */
    KT_HUB_REPLAY_BYTES = 1 << 20,  /* by all replays together in a turn: some milliseconds */
    KT_HUB_RECENT = 1 << 20,        /* records of a log that are found again without reading, 16 bytes each */
    KT_HUB_READER_MAX = 8,          /* replay readers of one log; more replays take turns */
    KT_HUB_RETRY_MS = 50,           /* until a log that could not be opened or read is tried again */
    KT_HUB_EVENT_MAX = 8 << 20      /* bytes of one event as JSON */
};

typedef struct kt_hub kt_hub;
struct kt_calls;

/* What may change while it runs. */
typedef struct kt_hub_limits {
    uint32_t client_max;
    uint32_t silence_ms;
    uint32_t flush_ms[KT_FLUSH_COUNT]; /* 0: at once; KT_FLUSH_NONE must be */
} kt_hub_limits;

typedef struct kt_hub_options {
    kt_loop *loop;
    const kt_edge_source *sources; /* copied; at most KT_EDGE_SOURCE_MAX */
    uint32_t source_count;
    const uint8_t *boot_id; /* NULL: the kernel's */
    kt_hub_limits limits;
    uint32_t buffer_bytes; /* at least 65536 */
    /* Records of subjects that match one of `watch` (NULL: none) are also given to this function: at start the newest of
     * each subject, then every new one. */
    const char *watch[KT_HUB_WATCH_MAX];
    void (*on_watched)(void *ctx, kt_text subject, const kt_rec *rec);
    void *watch_ctx;
} kt_hub_options;

/* KT_ARG, KT_LIMIT: an option. A log that can not be read is no reason to fail: it is tried again. */
kt_code kt_hub_open(const kt_hub_options *options, kt_hub **out_hub, kt_err *err);

/* What carries out the calls of clients; before the first of them. */
void kt_hub_take_calls(kt_hub *hub, struct kt_calls *calls);

/* Other limits from now on; what is gathered leaves first. Clients beyond client_max that are there go on; one that is silent is looked at when its former
 * time is over. */
void kt_hub_limit(kt_hub *hub, const kt_hub_limits *limits);

/* From the publication of a live event until it was queued for a client, each client counted. */
const struct kt_histogram *kt_hub_delays(const kt_hub *hub);

/* Say goodbye to every client (`disconnect`, then close 1001) and take no new ones. They are gone once they have
 * answered. */
void kt_hub_leave(kt_hub *hub);

/* Ends all connections at once. NULL is fine. */
void kt_hub_free(kt_hub *hub);

/* A request for /ws, inside on_request: upgraded, or answered with what was wrong. */
void kt_hub_accept(kt_hub *hub, kt_http_server *http, uint64_t exchange, const kt_http_request *request);

/* Bring what is new to the clients' buffers. Called once a turn, in the publish phase. */
void kt_hub_turn(kt_hub *hub);

/* True: kt_hub_turn() has something to do now. */
bool kt_hub_pending(const kt_hub *hub);

/* True once the newest record of every watched subject has been given, of the logs that are there. */
bool kt_hub_watch_ready(const kt_hub *hub);

/* Live position of a source: the last seq looked at, 0: none. */
uint64_t kt_hub_position(const kt_hub *hub, uint32_t source_index);

/* A log that is read. */
typedef struct kt_hub_log {
    const char *name;
    const char *dir;
    const kt_reader *reader; /* at its end; NULL: it can not be read (yet) */
} kt_hub_log;

/* false: there are no more. */
bool kt_hub_log_at(const kt_hub *hub, uint32_t index, kt_hub_log *out_log);

typedef struct kt_hub_channel {
    kt_text name;
    kt_text log;
    uint64_t epoch;
    uint64_t last_offset;
} kt_hub_channel;

/* Every channel that matches, until `each` says false; then the answer is false, too. */
bool kt_hub_channels(
    const kt_hub *hub, kt_text pattern, bool (*each)(void *ctx, const kt_hub_channel *channel), void *ctx);

/* Who is connected. */
typedef struct kt_hub_guest {
    char address[64];
    int64_t since_ns; /* of the loop's clock */
    uint32_t channels;
    uint32_t slow; /* of these, not taken yet what is theirs */
    uint64_t slow_begun;
    uint64_t skipped;
    uint64_t messages; /* queued so far */
    size_t pending;    /* bytes of them that wait */
    bool deflates;
} kt_hub_guest;

/* Everybody, until `each` says false; then the answer is false, too. */
bool kt_hub_guests(const kt_hub *hub, bool (*each)(void *ctx, const kt_hub_guest *guest), void *ctx);

/* Why a log that is there can not be read at present; NULL: every one is read, or does not exist yet. */
const kt_err *kt_hub_trouble(const kt_hub *hub);

void kt_hub_count(const kt_hub *hub, kt_edge_counts *out_counts);

#endif
