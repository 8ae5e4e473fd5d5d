/* venue/sim/parts.h - the inside of a market, shared by the files below. Nobody else includes it.
 *
 *   sim.c       a market's life: what it is made of, opened and closed
 *   clock.c     what happens when: trades, changes of books and schedules, by the clock or as fast as the reader takes them
 *   streams.c   a trade on its way: to the feeds, the books and the candles, and what these say to the clients who subscribed it
 *   clients.c   who is connected, what they have subscribed, and the state of each one's line
 *   hear.c      what clients say on their connection
 *   requests.c  HTTP: which path is whose, the venue's answers and what breaks in them, and our own interface
 *   port.c      the port, its certificates, and the port of our own interface
 *   truth.c     what is kept of all that, for those who check
 *   main.c      the program around one market
 */
#ifndef KT_VENUE_SIM_PARTS_H
#define KT_VENUE_SIM_PARTS_H

#include <signal.h>

#include "net/ws_server.h"
#include "venue/sim/books.h"
#include "venue/sim/certificates.h"
#include "venue/sim/history.h"
#include "venue/sim/kraken.h"
#include "venue/sim/line.h"
#include "venue/sim/raw.h"
#include "venue/sim/rest.h"
#include "venue/sim/sim.h"
#include "venue/sim/wire.h"

enum {
    KT_SIM_ENVELOPE_SIZE = KT_SIM_CHANGE_SIZE + 256,
    KT_SIM_MESSAGE_MAX = 32 << 10, /* bytes of what a client says */
    KT_SIM_ABANDONED_MAX = 256,    /* sockets of half-open connections that are kept; then the oldest is closed */
};

/* The places of `served`. Kraken's two versions share one, for they are never served together. */
enum { KT_SIM_GENERIC, KT_SIM_BINANCE, KT_SIM_KRAKEN, KT_SIM_SERVED_COUNT };

/* A format that is served, with all connections that speak it. */
typedef struct kt_sim_served {
    kt_sim *sim;
    const kt_venue_format *format;
    kt_sim_feed *feed; /* NULL: this format is not served */
    uint32_t connection_count;
    bool awaited; /* we closed its client, who will come back: at speed max the market waits */
} kt_sim_served;

typedef struct kt_sim_client {
    kt_sim *sim;
    struct kt_sim_client *next;
    kt_sim_line line;
    kt_sim_served *served;
    bool combined;                         /* events in the envelope of a combined stream */
    bool subscribed_any;                   /* now or before */
    uint8_t subscribed[KT_SIM_SYMBOL_MAX]; /* a bit 1 << kt_sim_stream each */
} kt_sim_client;

struct kt_sim {
    const kt_sim_options *options;
    kt_sim_faults faults;
    kt_sim_schedule schedule;
    kt_loop *loop;
    kt_hook hook;
    kt_code code; /* what has ended it */
    kt_err err;

    /* sim.c: what is true */
    kt_sim_market *market;
    kt_sim_history *histories; /* one a symbol */
    kt_sim_candle *candles;    /* the same, of Kraken's formats */
    kt_sim_books *books;       /* NULL: no format with books is served */
    char *body;                /* KT_SIM_BODY_SIZE bytes, for one answer */

    /* clock.c */
    kt_timer timer;
    bool started;
    bool ended;
    int64_t origin_ns;     /* market time at the start */
    int64_t loop_start_ns; /* loop time at the start */
    int64_t now_ns;        /* market time */
    uint64_t trade_count;

    /* streams.c */
    kt_sim_served served[KT_SIM_SERVED_COUNT];
    kt_sim_served *books_of; /* whose the books are */
    char *envelope;          /* KT_SIM_ENVELOPE_SIZE bytes, for one message */

    /* clients.c */
    kt_ws_server *ws;
    kt_sim_client *clients;
    uint32_t client_count;
    uint32_t subscriber_count; /* clients that have ever subscribed something */
    kt_timer heartbeat_timer;  /* of Kraken's formats */
    kt_timer line_timer;       /* set while something trickles */
    kt_rng line_rng;           /* of faults that come with a connection */
    int abandoned[KT_SIM_ABANDONED_MAX];
    uint32_t abandoned_count;

    /* requests.c */
    kt_sim_raws *raws;
    kt_rng shuffle_rng, rest_rng;
    int64_t quiet_until_ns; /* loop time: until then clients were told to wait */
    uint64_t early_count;   /* requests that came before it */

    /* port.c */
    kt_http_server *http;    /* NULL: the port is closed, by a fault */
    kt_http_server *control; /* NULL: our own interface has no port of its own */
    uint16_t port;
    kt_timer port_timer;                   /* it is to be opened or closed, once what is being answered has left */
    kt_tls *tls[KT_SIM_CERTIFICATE_COUNT]; /* NULL: plain text, or there is the good one only */
    kt_rng tls_rng;

    /* truth.c */
    FILE *truth;                         /* NULL: nobody wants it */
    volatile sig_atomic_t totals_wanted; /* a signal asks for a line of totals */
};

/* clock.c --------------------------------------------------------------------------------------------------------- */

/* What was before the start is history: REST knows it, and nobody is told. */
void kt_sim_skip_history(kt_sim *sim);

/* Everything happens that is due. */
void kt_sim_advance(kt_sim *sim);

/* streams.c ------------------------------------------------------------------------------------------------------- */

/* Feeds and books of the formats that are served. The market is open. */
kt_code kt_sim_streams_open(kt_sim *sim, kt_err *err);
void kt_sim_streams_close(kt_sim *sim);

/* A trade has happened; the market has ended. */
void kt_sim_streams_trade(kt_sim *sim, const kt_sim_trade *trade);
void kt_sim_streams_end(kt_sim *sim);

/* clients.c ------------------------------------------------------------------------------------------------------- */

kt_code kt_sim_clients_open(kt_sim *sim, kt_err *err);
void kt_sim_clients_close(kt_sim *sim);

/* Upgrade this exchange to a WebSocket: a client of this format. */
kt_sim_client *kt_sim_clients_accept(
    kt_sim_served *served, kt_http_server *http, uint64_t exchange, const kt_http_request *request);

/* Connections that became half-open are given up, once all has been sent that was theirs before. */
void kt_sim_clients_abandon(kt_sim *sim);

/* Send one message on its way; codes as kt_sim_line_send. */
kt_code kt_sim_say(kt_sim_client *client, kt_text message);

void kt_sim_subscribe(kt_sim_client *client, uint32_t symbol, kt_sim_stream stream);
void kt_sim_unsubscribe(kt_sim_client *client, uint32_t symbol, kt_sim_stream stream);
bool kt_sim_subscribes(const kt_sim_client *client, uint32_t symbol, kt_sim_stream stream);

/* Bytes a second that go through a connection; 0: as many as it takes. */
uint32_t kt_sim_trickle(const kt_sim *sim);

/* hear.c ---------------------------------------------------------------------------------------------------------- */

/* A client is there, with what its address says; it has said something. */
void kt_sim_welcome(kt_sim_client *client, const kt_http_request *request);
void kt_sim_hear(kt_sim_client *client, kt_text message);

/* requests.c ------------------------------------------------------------------------------------------------------ */

/* Requests at the venue's port, and at the one of our own interface; `ctx` is the market. */
void kt_sim_on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request);
void kt_sim_on_control(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request);

/* port.c ---------------------------------------------------------------------------------------------------------- */

kt_code kt_sim_ports_open(kt_sim *sim, kt_err *err);
void kt_sim_ports_close(kt_sim *sim);

/* truth.c --------------------------------------------------------------------------------------------------------- */

/* A fault that is not about one message has come: it is counted, and has a line of the truth. */
void kt_sim_tell_fault(kt_sim *sim, kt_sim_fault fault);

/* All totals as one JSON object in `body`; `live`: with what depends on the moment, and so is not in the truth file. */
bool kt_sim_write_totals(const kt_sim *sim, bool live, kt_text *out);

/* The same as a line of the truth. */
void kt_sim_append_totals(kt_sim *sim);

#endif
