#include "service/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/time.h"
#include "net/fetch.h"
#include "net/resolve.h"
#include "net/url.h"
#include "net/ws_client.h"
#include "schema/config.h"
#include "venue/venue.h"

enum {
    SUBJECT_SIZE = KT_SUBJECT_MAX + 1,
    URL_SIZE = 64 << 10,  /* a stream of a thousand symbols names them all */
    TEXTS_SIZE = 4 << 20, /* of the rows of one answer */
    SYMBOL_SIZE = 129,
    KNOWN_MAX = 64,
    RETRY_AFTER_S = 10, /* when a venue says "too many" but not until when */
    RETRY_AFTER_MAX_S = 3600,
    DOUBLINGS_MAX = 20,
    HTTP_OK = 200,
    WARN_EACH_S = 10, /* of REST that fails, so often for each venue; of each time when one asks for all */
    RENEW_PARTS = 20, /* a connection is renewed after all but one of so many parts of its life, at the latest */
};

typedef struct venue_feed venue_feed;

typedef struct feed_state {
    kt_lane *lane;
    const kt_config *config;
    kt_fetcher *fetcher;
    kt_tls *tls; /* for streams of wss:// venues; NULL: there are none */
    venue_feed *venues;
    uint32_t venue_count;
    struct request *requests; /* open ones, doubly linked */
    uint32_t request_count;
    /* of the answer that is being decoded */
    kt_row_trade *rows;
    kt_row_instrument *instruments;
    uint32_t row_count, instrument_count;
    kt_row_level *levels; /* KT_VENUE_LEVEL_MAX: both sides of a book */
    kt_rows bids, asks;
    uint64_t book_id;
    kt_arena texts;
    char *url;
} feed_state;

typedef struct request {
    struct request *next, *before;
    venue_feed *venue;
    uint64_t seq; /* of the request's record */
    kt_ev_request ev;
    char symbol[SYMBOL_SIZE];
} request;

/* One connection. */
typedef struct line {
    struct stream *stream;
    kt_ws_client *client; /* NULL: none */
    kt_timer silence_timer;
    int64_t heard_ns; /* loop time of the last message */
    bool full;        /* the log refused a trade: the connection is being ended */
    bool silent;
    bool replaced; /* the other line of the stream delivers now: this one is being closed */
} line;

/* A part of a venue's symbols, which one connection carries. Before the venue ends it, the other line is connected, and
 * when that delivers it takes over: what both bring meanwhile are repeats. */
typedef struct stream {
    venue_feed *venue;
    uint32_t first, count; /* of the venue's symbols */
    line lines[2];
    line *current;
    kt_timer connect_timer; /* of the current line */
    kt_timer renew_timer;   /* then the other one is connected */
    uint32_t attempts;      /* since the last message of a connection */
} stream;

struct venue_feed {
    feed_state *state;
    const kt_config_venue *config;
    kt_venue_decoder *decoder;
    kt_venue_sink sink; /* where messages of the streams go */
    stream *streams;
    uint32_t stream_count;
    line *decoding; /* whose message it is */
    int64_t pace;   /* of kt_venue_connect_wait_ns */
    bool here;      /* the venue is on this machine, and bans nobody */
    /* of the trades of the symbol that came last in its place: mostly the same few come again */
    struct {
        char symbol[SYMBOL_SIZE];
        char subject[SUBJECT_SIZE];
        uint32_t symbol_size, subject_size; /* 0: none yet */
    } known[KNOWN_MAX];
    int64_t warned_ns; /* when diag had the last warning of REST */
    char link_subject[SUBJECT_SIZE];
    char invalid_subject[SUBJECT_SIZE];
    char answer_subject[SUBJECT_SIZE];
};

static void subject_of(char *out, const char *first, const char *venue, const char *last)
{
    kt_builder b;

    kt_builder_init(&b, out, SUBJECT_SIZE);
    kt_builder_str(&b, first);
    kt_builder_char(&b, '.');
    kt_subject_token(&b, kt_text_of(venue));
    kt_builder_str(&b, last);
    kt_assert(b.code == KT_OK); /* names of venues have at most 32 bytes */
}

static void tell_link(stream *from, kt_link state, kt_text reason)
{
    kt_lane *lane = from->venue->state->lane;
    kt_ev_link ev;

    kt_event_init(KT_EV_LINK, &ev);
    ev.state = (uint8_t)state;
    ev.reason = reason;
    ev.attempt = from->attempts;
    ev.receive_time = kt_lane_clock(lane);
    kt_lane_input(lane, KT_EV_LINK, kt_text_of(from->venue->link_subject), 0, &ev, NULL);
    kt_lane_diag(lane,
        state == KT_LINK_CONNECTING  ? KT_LEVEL_DEBUG
        : state == KT_LINK_CONNECTED ? KT_LEVEL_INFO
                                     : KT_LEVEL_WARNING,
        "venue %s: %s%s%.*s", from->venue->config->name, kt_enum_link.values[state], reason.n > 0 ? ": " : "",
        KT_TEXT_ARG(reason));
}

/* Streams -----------------------------------------------------------------------------------------------------------
 */

/* NULL: not open. */
static kt_ws_conn *conn_of(const line *own)
{
    return own->client != NULL ? kt_ws_client_conn(own->client) : NULL;
}

static void take_over(line *own);

static void stream_put(venue_feed *venue, uint16_t kind, kt_text subject, const void *event)
{
    line *own = venue->decoding;
    kt_code code = KT_OK;

    if (own != own->stream->current && !own->replaced)
        take_over(own);
    code = kt_lane_input(venue->state->lane, kind, subject, 0, event, NULL);

    if (code == KT_FULL && !own->full) {
        own->full = true;
        kt_ws_drop(conn_of(own), "the log is full");
    }
}

/* "feed.{venue}.{symbol}". Empty: too long. */
static kt_text symbol_subject(venue_feed *venue, kt_text symbol)
{
    uint32_t place = (uint32_t)kt_hash64(symbol.s, symbol.n, 0) % KNOWN_MAX;
    kt_text known = { venue->known[place].symbol, venue->known[place].symbol_size };
    kt_builder b;

    if (kt_text_equal(known, symbol) && symbol.n > 0)
        return (kt_text){ venue->known[place].subject, venue->known[place].subject_size };
    venue->known[place].symbol_size = 0;
    kt_builder_init(&b, venue->known[place].subject, SUBJECT_SIZE);
    kt_builder_str(&b, "feed.");
    kt_subject_token(&b, kt_text_of(venue->config->name));
    kt_builder_char(&b, '.');
    kt_subject_token(&b, symbol);
    if (b.code != KT_OK)
        return (kt_text){ 0 };
    if (symbol.n > 0 && symbol.n < SYMBOL_SIZE) {
        memcpy(venue->known[place].symbol, symbol.s, symbol.n);
        venue->known[place].symbol_size = (uint32_t)symbol.n;
        venue->known[place].subject_size = (uint32_t)kt_builder_done(&b).n;
    }
    return kt_builder_done(&b);
}

static void symbol_put(venue_feed *venue, uint16_t kind, kt_text symbol, const void *event)
{
    kt_text subject = symbol_subject(venue, symbol);

    if (subject.n > 0)
        stream_put(venue, kind, subject, event);
}

static void on_tick(void *ctx, kt_text symbol, const kt_ev_tick *tick)
{
    symbol_put(ctx, KT_EV_TICK, symbol, tick);
}

/* A book without numbers can be followed on one connection only. */
static void on_book(void *ctx, kt_text symbol, const kt_ev_book *book)
{
    venue_feed *venue = ctx;

    if (!venue->decoding->replaced || !kt_venue_decoder_format(venue->decoder)->books.streamed)
        symbol_put(venue, KT_EV_BOOK, symbol, book);
}

static void on_ticker(void *ctx, kt_text symbol, const kt_ev_ticker *ticker)
{
    symbol_put(ctx, KT_EV_TICKER, symbol, ticker);
}

/* "candle.{venue}.{interval}.{symbol}", the interval as windows are written: 1m. */
static void on_candle(void *ctx, kt_text symbol, const kt_ev_candle *candle)
{
    static const struct {
        uint32_t s;
        char unit;
    } units[] = { { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    venue_feed *venue = ctx;
    char subject[SUBJECT_SIZE];
    size_t unit = 0;
    kt_builder b;

    while (candle->interval_s % units[unit].s != 0)
        unit++;
    kt_builder_init(&b, subject, sizeof subject);
    kt_builder_str(&b, "candle.");
    kt_subject_token(&b, kt_text_of(venue->config->name));
    kt_builder_format(&b, ".%u%c.", candle->interval_s / units[unit].s, units[unit].unit);
    kt_subject_token(&b, symbol);
    if (b.code == KT_OK)
        stream_put(venue, KT_EV_CANDLE, kt_builder_done(&b), candle);
}

static void on_reply(void *ctx, uint64_t message_id, kt_text error)
{
    venue_feed *venue = ctx;

    if (error.n != 0)
        kt_lane_diag(venue->state->lane, KT_LEVEL_WARNING, "venue %s: %.*s", venue->config->name, KT_TEXT_ARG(error));
}

static void on_invalid(void *ctx, const kt_ev_invalid *invalid)
{
    venue_feed *venue = ctx;

    stream_put(venue, KT_EV_INVALID, kt_text_of(venue->invalid_subject), invalid);
}

/* The venue announces that it ends this connection: another one is made right away. */
static void on_other(void *ctx, kt_text kind)
{
    venue_feed *venue = ctx;
    kt_loop *loop = kt_lane_loop(venue->state->lane);

    if (kt_text_equal(kind, KT_TEXT("serverShutdown")) && venue->decoding == venue->decoding->stream->current)
        kt_timer_set(loop, &venue->decoding->stream->renew_timer, kt_loop_now(loop));
}

static void connect_in(stream *which, int64_t wait_ns)
{
    kt_loop *loop = kt_lane_loop(which->venue->state->lane);

    kt_timer_set(loop, &which->connect_timer, kt_loop_now(loop) + wait_ns);
}

/* Up to a half less, so that many clients of one venue do not come back together. */
static int64_t jitter_ns(venue_feed *venue, int64_t wait_ns)
{
    return wait_ns - (int64_t)(kt_lane_random(venue->state->lane) % (uint64_t)(wait_ns / 2 + 1));
}

/* Twice as long after each attempt. */
static int64_t backoff_ns(stream *which)
{
    const kt_config *config = which->venue->state->config;
    int64_t least = config->gather_backoff_min_ms * KT_NS_PER_MS;
    int64_t most = config->gather_backoff_max_ms * KT_NS_PER_MS;
    int64_t wait = least << (which->attempts < DOUBLINGS_MAX ? which->attempts : DOUBLINGS_MAX);

    return jitter_ns(which->venue, wait < most ? wait : most);
}

static void again(stream *which, kt_text reason)
{
    tell_link(which, KT_LINK_DISCONNECTED, reason);
    connect_in(which, backoff_ns(which));
    which->attempts++;
}

/* Well ahead of the end of the connection's life, and not all connections at the same time. */
static void renew_later(stream *which)
{
    venue_feed *venue = which->venue;
    kt_loop *loop = kt_lane_loop(venue->state->lane);
    uint32_t life_s = kt_venue_decoder_format(venue->decoder)->limits.connection_life_s;
    int64_t renew_ns = venue->config->renew_s * KT_NS_PER_S;

    if (renew_ns == 0)
        renew_ns = life_s * KT_NS_PER_S / RENEW_PARTS * (RENEW_PARTS - 1);
    if (renew_ns != 0)
        kt_timer_set(
            loop, &which->renew_timer, kt_loop_now(loop) + renew_ns / 2 + jitter_ns(venue, renew_ns - renew_ns / 2));
    else
        kt_timer_cancel(loop, &which->renew_timer);
}

static line *other_line(stream *which)
{
    return which->current == &which->lines[0] ? &which->lines[1] : &which->lines[0];
}

/* All that has to be said about these symbols of the venue; false: it can not be sent. */
static bool say(line *own, kt_venue_speech speech, uint32_t first, uint32_t count)
{
    venue_feed *venue = own->stream->venue;
    char *text = venue->state->url;
    kt_err err = { 0 };
    kt_code code = conn_of(own) != NULL ? KT_OK : KT_NOENT;

    if (code != KT_OK)
        return false;
    for (uint32_t part = 0; code == KT_OK; part++) {
        code = kt_venue_say(venue->decoder, speech, part, first, count, text, URL_SIZE, &err);
        if (code == KT_OK)
            code = kt_ws_send(conn_of(own), KT_WS_TEXT, text, strlen(text));
    }
    return code == KT_NOENT;
}

static void on_open(void *ctx, kt_ws_conn *conn)
{
    line *own = ctx;
    venue_feed *venue = own->stream->venue;
    kt_loop *loop = kt_lane_loop(venue->state->lane);

    own->heard_ns = kt_loop_now(loop);
    kt_timer_set(loop, &own->silence_timer, own->heard_ns + venue->config->silence_ms * KT_NS_PER_MS);
    if (!say(own, KT_VENUE_SUBSCRIBE, own->stream->first, own->stream->count))
        kt_ws_drop(conn, "its subscriptions can not be sent");
    if (own != own->stream->current)
        return;
    tell_link(own->stream, KT_LINK_CONNECTED, (kt_text){ 0 });
    renew_later(own->stream);
}

/* This line delivers: the other one, whose life ends or has ended, is not needed any more. */
static void take_over(line *own)
{
    stream *which = own->stream;
    line *old = which->current;

    which->current = own;
    old->replaced = true;
    if (conn_of(old) != NULL) {
        kt_ws_close(conn_of(old), KT_WS_CLOSE_NORMAL, KT_TEXT("replaced by a new connection"));
    } else {
        kt_timer_cancel(kt_lane_loop(which->venue->state->lane), &which->connect_timer);
        kt_ws_client_free(old->client);
        old->client = NULL;
        tell_link(which, KT_LINK_CONNECTED, (kt_text){ 0 });
    }
    renew_later(which);
}

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    line *own = ctx;
    venue_feed *venue = own->stream->venue;
    kt_lane *lane = venue->state->lane;

    if (own->full)
        return;
    own->heard_ns = kt_loop_now(kt_lane_loop(lane));
    own->stream->attempts = 0;
    if (!kt_lane_decoding(lane, payload, size))
        return;
    venue->decoding = own;
    kt_venue_decode_message(
        venue->decoder, (kt_text){ (const char *)payload, size }, kt_lane_clock(lane), &venue->sink);
    kt_lane_decoded(lane);
}

static void on_close(void *ctx, uint16_t code, kt_text reason)
{
    line *own = ctx;
    stream *which = own->stream;
    line *other = other_line(which);
    kt_loop *loop = kt_lane_loop(which->venue->state->lane);

    kt_timer_cancel(loop, &own->silence_timer);
    reason = own->silent ? KT_TEXT("silent for too long") : own->full ? KT_TEXT("the log is full") : reason;
    if (own == which->current && conn_of(other) != NULL && !other->replaced) {
        tell_link(which, KT_LINK_DISCONNECTED, reason);
        which->current = other;
        tell_link(which, KT_LINK_CONNECTED, (kt_text){ 0 });
        renew_later(which);
    } else if (own == which->current) {
        again(which, reason);
    } else if (!own->replaced) { /* the one that should have taken over */
        kt_timer_set(loop, &which->renew_timer, kt_loop_now(loop) + backoff_ns(which));
        which->attempts++;
    }
    kt_ws_client_free(own->client);
    own->client = NULL;
}

static void on_silence_due(kt_timer *timer)
{
    line *own = timer->ctx;
    venue_feed *venue = own->stream->venue;
    kt_loop *loop = kt_lane_loop(venue->state->lane);
    int64_t due_ns = own->heard_ns + venue->config->silence_ms * KT_NS_PER_MS;

    if (kt_loop_now(loop) < due_ns) {
        kt_timer_set(loop, timer, due_ns);
        return;
    }
    own->silent = true;
    if (own == own->stream->current)
        tell_link(own->stream, KT_LINK_SILENT, (kt_text){ 0 });
    kt_ws_drop(conn_of(own), "silent for too long");
}

/* Open a connection as soon as the venue's limits allow; `timer` comes back to it. KT_BUSY: not yet. */
static kt_code line_connect(line *own, kt_timer *timer, kt_err *err)
{
    stream *which = own->stream;
    venue_feed *venue = which->venue;
    feed_state *state = venue->state;
    kt_loop *loop = kt_lane_loop(state->lane);
    const kt_venue_limits *limits = &kt_venue_decoder_format(venue->decoder)->limits;
    const kt_ws_client_options options = {
        .url = state->url,
        .tls = state->tls,
        .deflate = venue->config->compression,
        .message_max = KT_WS_MESSAGE_MAX_DEFAULT,
        .on_open = on_open,
        .on_message = on_message,
        .on_close = on_close,
        .ctx = own,
    };
    int64_t wait_ns = venue->here ? 0 : kt_venue_connect_wait_ns(limits, &venue->pace, kt_loop_now(loop));

    if (wait_ns > 0) {
        kt_timer_set(loop, timer, kt_loop_now(loop) + wait_ns);
        return KT_BUSY;
    }
    own->full = own->silent = own->replaced = false;
    kt_code code = kt_venue_stream_url(
        venue->decoder, venue->config->ws_url, which->first, which->count, state->url, URL_SIZE, err);
    return code == KT_OK ? kt_ws_connect(loop, &options, &own->client, err) : code;
}

static void on_connect_due(kt_timer *timer)
{
    stream *which = timer->ctx;
    kt_err err = { 0 };

    if (which->current->client != NULL)
        return;
    kt_code code = line_connect(which->current, timer, &err);
    if (code == KT_BUSY)
        return;
    tell_link(which, KT_LINK_CONNECTING, (kt_text){ 0 });
    if (code != KT_OK)
        again(which, kt_text_of(err.msg));
}

static void on_renew_due(kt_timer *timer)
{
    stream *which = timer->ctx;
    line *next = other_line(which);
    kt_loop *loop = kt_lane_loop(which->venue->state->lane);

    if (conn_of(which->current) == NULL)
        return; /* it is connected anew anyway */
    kt_code code = next->client != NULL ? KT_FULL : line_connect(next, timer, NULL);
    if (code != KT_OK && code != KT_BUSY)
        kt_timer_set(loop, timer, kt_loop_now(loop) + backoff_ns(which));
}

/* The symbols of a venue, shared out over as few connections as its limits and the length of an address allow. */
static kt_code streams_share(venue_feed *venue, kt_err *err)
{
    uint32_t all = kt_venue_symbol_count(venue->decoder), first = 0;
    uint32_t most = kt_venue_stream_symbol_max(venue->decoder);
    char *url = venue->state->url;

    do {
        uint32_t count = all - first < most ? all - first : most;
        kt_code code =
            kt_venue_stream_url(venue->decoder, venue->config->ws_url, first, count, url, KT_URL_SIZE_MAX + 1, err);
        while (code == KT_FULL && count > 1)
            code = kt_venue_stream_url(
                venue->decoder, venue->config->ws_url, first, --count, url, KT_URL_SIZE_MAX + 1, err);
        if (code != KT_OK)
            return code;
        if (venue->stream_count == KT_FEED_STREAM_MAX)
            return kt_fail(err, KT_LIMIT, "%u symbols need more than %d connections", all, KT_FEED_STREAM_MAX);
        stream *made = &venue->streams[venue->stream_count++];
        *made = (stream){ .venue = venue,
            .first = first,
            .count = count,
            .current = &made->lines[0],
            .connect_timer = { .on_due = on_connect_due, .ctx = made },
            .renew_timer = { .on_due = on_renew_due, .ctx = made } };
        for (uint32_t i = 0; i < KT_COUNT(made->lines); i++)
            made->lines[i] =
                (line){ .stream = made, .silence_timer = { .on_due = on_silence_due, .ctx = &made->lines[i] } };
        first += count;
    } while (first < all);
    return KT_OK;
}

/* REST --------------------------------------------------------------------------------------------------------------
 */

static kt_text text_keep(feed_state *state, kt_text text)
{
    kt_text kept = kt_arena_text(&state->texts, text);

    return kept.s != NULL ? kept : (kt_text){ 0 };
}

static void on_row(void *ctx, const kt_row_trade *row)
{
    feed_state *state = ((venue_feed *)ctx)->state;
    kt_row_trade kept = *row;

    kept.trade_id = text_keep(state, row->trade_id);
    if (state->row_count < KT_ROW_COUNT_MAX && kept.trade_id.n != 0)
        state->rows[state->row_count++] = kept;
}

static void on_instrument(void *ctx, const kt_row_instrument *row)
{
    feed_state *state = ((venue_feed *)ctx)->state;
    kt_row_instrument kept = *row;

    kept.symbol = text_keep(state, row->symbol);
    kept.venue_symbol = text_keep(state, row->venue_symbol);
    kept.base = text_keep(state, row->base);
    kept.quote = text_keep(state, row->quote);
    if (state->instrument_count < KT_ROW_COUNT_MAX && kept.symbol.n != 0)
        state->instruments[state->instrument_count++] = kept;
}

static kt_rows levels_keep(kt_row_level *kept, const kt_rows *levels)
{
    for (uint32_t i = 0; i < levels->count; i++)
        kt_rows_get(&kt_row_table_level, levels, i, &kept[i]);
    return KT_ROWS_OF(kept, levels->count);
}

static void on_whole_book(void *ctx, kt_text symbol, const kt_ev_book *book)
{
    feed_state *state = ((venue_feed *)ctx)->state;

    state->book_id = book->last_id;
    state->bids = levels_keep(state->levels, &book->bids);
    state->asks = levels_keep(state->levels + book->bids.count, &book->asks);
}

/* A book that the stream gives is subscribed anew; true: done, and no REST is asked. */
static bool ask_stream(venue_feed *venue, kt_text symbol, kt_ev_answer *answer)
{
    const kt_row_instrument *wanted = kt_venue_symbol_find(venue->decoder, symbol);
    bool said = false;

    if (!kt_venue_decoder_format(venue->decoder)->books.streamed)
        return false;
    for (uint32_t i = 0; i < venue->stream_count; i++) {
        stream *which = &venue->streams[i];

        for (uint32_t at = which->first; at < which->first + which->count; at++)
            if (kt_venue_symbol_at(venue->decoder, at) == wanted)
                said = say(which->current, KT_VENUE_BOOKS_AGAIN, at, 1);
    }
    kt_event_init(KT_EV_ANSWER, answer);
    answer->status = said ? 200 : 0;
    answer->error = said ? (kt_text){ 0 } : KT_TEXT("not connected");
    return true;
}

static void request_unlink(request *r)
{
    feed_state *state = r->venue->state;

    if (r->before != NULL)
        r->before->next = r->next;
    else
        state->requests = r->next;
    if (r->next != NULL)
        r->next->before = r->before;
    state->request_count--;
}

/* UTC until which nothing should be asked; 0: the venue did not say. A date is not read: the usual wait serves. */
static int64_t retry_after_ns(const venue_feed *venue, const char *header, bool limited)
{
    uint64_t seconds = 0;

    if (kt_text_u64(kt_text_of(header), &seconds) != KT_OK)
        seconds = limited ? RETRY_AFTER_S : 0;
    if (seconds == 0)
        return 0;
    seconds = seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S;
    return kt_lane_clock(venue->state->lane) + (int64_t)seconds * KT_NS_PER_S;
}

/* Where REST fails, it fails for each of a thousand symbols. */
static void warn_of(venue_feed *venue, const kt_ev_answer *ev)
{
    bool due = ev->receive_time - venue->warned_ns >= WARN_EACH_S * KT_NS_PER_S;

    if (due)
        venue->warned_ns = ev->receive_time;
    kt_lane_diag(venue->state->lane, due ? KT_LEVEL_WARNING : KT_LEVEL_VERBOSE, "venue %s: no %s%s%.*s: %.*s",
        venue->config->name, kt_enum_what.values[ev->what], ev->symbol.n > 0 ? " of " : "", KT_TEXT_ARG(ev->symbol),
        KT_TEXT_ARG(ev->error));
}

static void tell_answer(request *r, kt_ev_answer *ev)
{
    venue_feed *venue = r->venue;
    kt_code code;

    ev->request_id = r->ev.request_id;
    ev->what = r->ev.what;
    ev->symbol = r->ev.symbol;
    ev->receive_time = kt_lane_clock(venue->state->lane);
    if (ev->error.n > 0)
        warn_of(venue, ev);
    code = kt_lane_input(venue->state->lane, KT_EV_ANSWER, kt_text_of(venue->answer_subject), r->seq, ev, NULL);
    if (code == KT_LIMIT) {
        ev->rows = (kt_rows){ 0 };
        ev->instruments = (kt_rows){ 0 };
        ev->bids = ev->asks = (kt_rows){ 0 };
        ev->error = KT_TEXT("the answer is too large for a record");
        kt_lane_input(venue->state->lane, KT_EV_ANSWER, kt_text_of(venue->answer_subject), r->seq, ev, NULL);
    }
    /* Streams wait for instruments, or for the news that there are none to be had. */
    for (uint32_t i = 0; r->ev.what == KT_WHAT_INSTRUMENTS && i < venue->stream_count; i++) {
        stream *which = &venue->streams[i];

        if (which->current->client == NULL && kt_timer_is_set(&which->connect_timer) && which->attempts == 0)
            connect_in(which, 0);
    }
}

/* A page of a proxy, or of a log-in, comes with status 200, too. A venue that does not say what it sends may be meant. */
static bool is_json(const char *content_type)
{
    static const char json[] = "application/json", or_built_on_it[] = "+json";
    kt_text rest = kt_text_of(content_type), type = { 0 };

    if (!kt_text_cut(&rest, ';', &type) || type.n == 0)
        return true;
    while (type.n > 0 && type.s[type.n - 1] == ' ')
        type.n--;
    return kt_http_text_equal_nocase(type, kt_text_of(json)) ||
           (type.n > sizeof or_built_on_it &&
               kt_http_text_equal_nocase(
                   (kt_text){ type.s + type.n - (sizeof or_built_on_it - 1), sizeof or_built_on_it - 1 },
                   kt_text_of(or_built_on_it)));
}

static void on_done(void *ctx, const kt_fetch_answer *answer)
{
    request *r = ctx;
    venue_feed *venue = r->venue;
    feed_state *state = venue->state;
    kt_venue_sink sink = { .ctx = venue, .row = on_row, .book = on_whole_book, .instrument = on_instrument };
    kt_venue_answer summary = { 0 };
    char refusal[KT_FETCH_HEADER_SIZE_MAX + 64];
    kt_ev_answer ev;

    kt_event_init(KT_EV_ANSWER, &ev);
    request_unlink(r);
    state->row_count = state->instrument_count = 0;
    state->bids = state->asks = (kt_rows){ 0 };
    state->book_id = 0;
    kt_arena_reset(&state->texts);
    if (answer->code != KT_OK) {
        ev.status = 0;
        ev.error = kt_text_of(answer->error);
    } else if (answer->status == HTTP_OK && !is_json(answer->content_type)) {
        snprintf(refusal, sizeof refusal, "the answer is %s; the venue's are application/json", answer->content_type);
        ev.status = answer->status;
        ev.error = kt_text_of(refusal);
    } else if (!kt_lane_decoding(state->lane, answer->body.s, answer->body.n)) {
        ev.status = answer->status;
        ev.error = KT_TEXT("set aside: it ended this lane again and again");
    } else {
        ev.status = answer->status;
        kt_venue_decode_answer(
            venue->decoder, &r->ev, answer->status, answer->body, kt_lane_clock(state->lane), &sink, &summary);
        kt_lane_decoded(state->lane);
        ev.error = kt_text_of(summary.error);
        ev.row_count = summary.row_count;
        ev.invalid_count = summary.invalid_count;
        ev.rows = KT_ROWS_OF(state->rows, state->row_count);
        ev.instruments = KT_ROWS_OF(state->instruments, state->instrument_count);
        ev.bids = state->bids;
        ev.asks = state->asks;
        ev.last_id = state->book_id;
        ev.retry_after = retry_after_ns(venue, answer->retry_after, summary.rate_limited);
        if (summary.invalid_count != 0 && summary.row_count == 0 && ev.error.n == 0)
            ev.error = KT_TEXT("the body is no list of rows");
    }
    tell_answer(r, &ev);
    free(r);
}

static void feed_request(void *ctx, const kt_event *event)
{
    feed_state *state = ctx;
    kt_fetch_spec spec = {
        .method = KT_HTTP_GET, .url = state->url, .on_done = on_done, .answer_max = KT_VENUE_ANSWER_MAX
    };
    venue_feed *venue = NULL;
    kt_text name = kt_subject_part(event->subject, 1);
    request *r;
    kt_err err = { 0 };
    kt_code code;
    kt_ev_request ev;
    kt_ev_answer answer;

    if (event->rec->kind != KT_EV_REQUEST || kt_event_decode(KT_EV_REQUEST, event->payload, event->size, &ev) != KT_OK)
        return;
    for (uint32_t i = 0; i < state->venue_count; i++)
        if (kt_text_equal(kt_text_of(state->venues[i].config->name), name))
            venue = &state->venues[i];
    r = calloc(1, sizeof *r);
    if (venue == NULL || r == NULL || ev.symbol.n >= SYMBOL_SIZE) {
        free(r);
        return;
    }
    r->venue = venue;
    r->seq = event->rec->seq;
    r->ev = ev;
    if (ev.symbol.n != 0)
        memcpy(r->symbol, ev.symbol.s, ev.symbol.n);
    r->ev.symbol = kt_text_of(r->symbol);
    spec.ctx = r;
    /* Symbols of an open format become known by their trades; after a restart they are known to the log only. */
    if (ev.symbol.n != 0 && kt_venue_symbol_find(venue->decoder, ev.symbol) == NULL)
        kt_venue_symbol_add(venue->decoder, r->ev.symbol, NULL);
    if (ev.what == KT_WHAT_BOOK && ask_stream(venue, r->ev.symbol, &answer)) {
        tell_answer(r, &answer);
        free(r);
        return;
    }
    code = state->request_count < KT_FEED_REQUEST_MAX
               ? kt_venue_rest_url(venue->decoder, venue->config->rest_url, &r->ev, state->url, URL_SIZE, &err)
               : kt_fail(&err, KT_FULL, "more than %d requests are open", KT_FEED_REQUEST_MAX);
    if (code == KT_OK)
        kt_lane_diag(state->lane, KT_LEVEL_VERBOSE, "venue %s: GET %s", venue->config->name, state->url);
    if (code == KT_OK)
        code = kt_fetch_start(state->fetcher, &spec, NULL, &err);
    if (code == KT_OK) {
        r->next = state->requests;
        if (r->next != NULL)
            r->next->before = r;
        state->requests = r;
        state->request_count++;
        return;
    }
    kt_event_init(KT_EV_ANSWER, &answer);
    answer.error = kt_text_of(err.msg);
    tell_answer(r, &answer);
    free(r);
}

/* Life --------------------------------------------------------------------------------------------------------------
 */

static void stream_done(stream *which)
{
    kt_loop *loop = kt_lane_loop(which->venue->state->lane);

    kt_timer_cancel(loop, &which->connect_timer);
    kt_timer_cancel(loop, &which->renew_timer);
    for (uint32_t i = 0; i < KT_COUNT(which->lines); i++) {
        kt_timer_cancel(loop, &which->lines[i].silence_timer);
        kt_ws_client_free(which->lines[i].client);
    }
}

static void feed_stop(void *ctx)
{
    feed_state *state = ctx;

    if (state == NULL)
        return;
    kt_fetcher_free(state->fetcher);
    while (state->requests != NULL) {
        request *r = state->requests;

        request_unlink(r);
        free(r);
    }
    for (uint32_t i = 0; i < state->venue_count; i++) {
        venue_feed *venue = &state->venues[i];

        for (uint32_t j = 0; j < venue->stream_count; j++)
            stream_done(&venue->streams[j]);
        free(venue->streams);
        kt_venue_decoder_free(venue->decoder);
    }
    kt_tls_free(state->tls);
    free(state->venues);
    free(state->rows);
    free(state->instruments);
    free(state->levels);
    free(state->texts.mem);
    free(state->url);
    free(state);
}

static bool is_here(const char *ws_url)
{
    kt_url url;
    kt_address address;

    if (kt_url_parse(kt_text_of(ws_url), &url, NULL) != KT_OK)
        return false;
    if (!kt_address_parse(url.host, 0, &address))
        return kt_text_equal(url.host, KT_TEXT("localhost"));
    return address.of.any.sa_family == AF_INET ? ntohl(address.of.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                               : IN6_IS_ADDR_LOOPBACK(&address.of.v6.sin6_addr);
}

/* Authorities are read only where a venue is reached by TLS: the system's are some hundred. */
static kt_code tls_open(feed_state *state, kt_err *err)
{
    static const char secure[] = "wss:";
    bool wanted = false;

    for (uint32_t i = 0; i < state->config->venue_count; i++)
        wanted |= strncmp(state->config->venues[i].ws_url, secure, sizeof secure - 1) == 0;
    kt_code code = wanted ? kt_tls_client_new(state->config->net_ca_file, &state->tls, err) : KT_OK;
    return code == KT_OK ? KT_OK : kt_fail_within(err, code, "net.ca_file");
}

static kt_code venue_open(feed_state *state, const kt_config_venue *config, kt_err *err)
{
    venue_feed *venue = &state->venues[state->venue_count];
    kt_venue_decoder_options options = {
        .format = kt_venue_format_of(kt_text_of(kt_config_format_names[config->format])),
        .price_scale = config->price_scale,
        .quantity_scale = config->quantity_scale,
        .books = config->books,
        .candles = config->candles,
    };
    kt_code code = kt_venue_decoder_new(&options, &venue->decoder, err);

    if (code != KT_OK)
        return kt_fail_within(err, code, "venue '%s'", config->name);
    state->venue_count++;
    venue->state = state;
    venue->config = config;
    venue->sink = (kt_venue_sink){ .ctx = venue,
        .tick = on_tick,
        .book = on_book,
        .ticker = on_ticker,
        .candle = on_candle,
        .invalid = on_invalid,
        .other = on_other,
        .reply = on_reply };
    venue->streams = calloc(KT_FEED_STREAM_MAX, sizeof *venue->streams);
    if (venue->streams == NULL)
        return kt_fail(err, KT_SYS, "no memory for the venues' feed");
    venue->here = is_here(config->ws_url);
    subject_of(venue->link_subject, "feed", config->name, ".link");
    subject_of(venue->invalid_subject, "feed", config->name, ".invalid");
    subject_of(venue->answer_subject, "answer", config->name, "");
    for (uint32_t i = 0; i < config->symbols.count; i++) {
        code = kt_venue_symbol_add(venue->decoder, kt_text_of(config->symbols.at[i]), err);
        if (code != KT_OK)
            return kt_fail_within(err, code, "venue '%s'", config->name);
    }
    code = streams_share(venue, err);
    return code == KT_OK ? KT_OK : kt_fail_within(err, code, "venue '%s'", config->name);
}

static kt_code feed_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    kt_fetcher_options fetch = {
        .fetch_max = KT_FEED_REQUEST_MAX, .user_agent = "kontor", .ca_file = config->net_ca_file
    };
    feed_state *state = calloc(1, sizeof *state);
    void *texts = malloc(TEXTS_SIZE);
    kt_code code = KT_SYS;

    if (state == NULL || texts == NULL) {
        free(state);
        free(texts);
        return kt_fail(err, KT_SYS, "no memory for the venues' feed");
    }
    state->lane = lane;
    state->config = config;
    kt_arena_init(&state->texts, texts, TEXTS_SIZE);
    state->venues = calloc(config->venue_count + 1, sizeof *state->venues);
    state->rows = malloc(KT_ROW_COUNT_MAX * sizeof *state->rows);
    state->instruments = malloc(KT_ROW_COUNT_MAX * sizeof *state->instruments);
    state->levels = malloc(KT_VENUE_LEVEL_MAX * sizeof *state->levels);
    state->url = malloc(URL_SIZE);
    if (state->venues == NULL || state->rows == NULL || state->instruments == NULL || state->levels == NULL ||
        state->url == NULL)
        kt_fail(err, KT_SYS, "no memory for the venues' feed");
    else
        code = kt_fetcher_new(kt_lane_loop(lane), &fetch, &state->fetcher, err);
    if (code == KT_OK)
        code = tls_open(state, err);
    for (uint32_t i = 0; code == KT_OK && i < config->venue_count; i++)
        code = venue_open(state, &config->venues[i], err);
    if (code != KT_OK) {
        feed_stop(state);
        return code;
    }
    *out_state = state;
    return KT_OK;
}

static void feed_live(void *ctx)
{
    feed_state *state = ctx;

    for (uint32_t i = 0; i < state->venue_count; i++) {
        venue_feed *venue = &state->venues[i];
        bool asks = (kt_venue_decoder_format(venue->decoder)->can & (1u << KT_WHAT_INSTRUMENTS)) != 0 &&
                    venue->config->rest_url[0] != 0;

        for (uint32_t j = 0; j < venue->stream_count; j++)
            connect_in(&venue->streams[j], asks ? KT_FEED_INSTRUMENTS_MS * KT_NS_PER_MS : 0);
    }
}

static const char *const feed_outputs[] = { "request.>", NULL };

const kt_feed_spec kt_venue_feed = {
    .name = "venues",
    .start = feed_start,
    .live = feed_live,
    .outputs = feed_outputs,
    .on_request = feed_request,
    .stop = feed_stop,
};
