#include "venue/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "net/url.h"
#include "net/ws_server.h"
#include "schema/actions.h"
#include "venue/sim/books.h"
#include "venue/sim/certificates.h"
#include "venue/sim/control.h"
#include "venue/sim/line.h"
#include "venue/sim/kraken.h"
#include "venue/sim/options.h"
#include "venue/sim/raw.h"
#include "venue/sim/rest.h"
#include "venue/sim/wire.h"

enum {
    CLIENT_MAX = 64,
    OUT_MAX = 8 << 20,     /* a client that lets so much pile up while the market's clock runs is closed */
    OUT_HIGH = 256 << 10,  /* at speed max the market pauses above, */
    OUT_LOW = 64 << 10,    /* and goes on below */
    BATCH = 256,           /* trades of one turn at speed max, so that REST is answered in between */
    ADVANCE_BATCH = 20000, /* trades of one turn when the clock has run ahead */
    STREAMS_MAX = 1024,    /* of one subscription message; the venue's own limit */
    MESSAGE_MAX = 64 << 10,
    ENVELOPE_SIZE = KT_SIM_CHANGE_SIZE + 256,
    KRAKEN = 2, /* index of its feed, behind generic and Binance */
    FEEDS,
    FEED_SEEDS = 2,
    HALF_OPEN_MAX = 64,  /* messages until a connection is half-open, at most */
    ABANDONED_MAX = 256, /* sockets of half-open connections that are kept; then the oldest is closed */
};

typedef struct sim_client {
    struct sim_state *sim;
    struct sim_client *next;
    kt_sim_line line;
    uint32_t feed; /* index */
    bool combined; /* events in the envelope of a combined stream */
    bool subscribed_any;
    uint8_t subscribed[KT_SIM_SYMBOL_MAX]; /* a bit 1 << kt_sim_stream each */
} sim_client;

typedef struct sim_feed {
    struct sim_state *sim;
    const kt_venue_format *format;
    kt_sim_feed *feed; /* NULL: this format is not served */
    uint32_t connection_count;
    bool awaited; /* we closed its client, who will come back: at speed max the market waits */
} sim_feed;

typedef struct sim_state {
    const kt_sim_options *options;
    kt_sim_faults faults;
    kt_sim_schedule schedule;
    kt_loop *loop;
    kt_tls *tls[KT_SIM_CERTIFICATE_COUNT]; /* NULL: plain text, or there is the good one only */
    kt_http_server *http;                  /* NULL: the port is closed, by a fault */
    kt_http_server *control;               /* NULL: there is none of its own */
    uint16_t port;
    kt_sim_raws *raws;
    kt_ws_server *ws;
    kt_sim_market *market;
    kt_sim_history *histories;
    kt_sim_candle *candles; /* of Kraken's formats: one a symbol */
    sim_feed feeds[FEEDS];
    kt_sim_books *books; /* NULL: no format with books is served */
    sim_feed *books_of;  /* whose they are */
    char *envelope;      /* KT_SIM_CHANGE_SIZE and room for its name */
    sim_client *clients;
    uint32_t client_count;
    uint32_t subscriber_count; /* clients that have ever subscribed something */
    kt_timer timer;
    kt_timer heartbeat;  /* of Kraken's formats */
    kt_timer port_timer; /* the port is to be opened or closed, once what is being answered has left */
    kt_timer line_timer; /* set while something trickles */
    kt_hook hook;
    kt_rng shuffle;
    kt_rng line_rng, tls_rng, rest_rng; /* of faults that come when clients do something */
    int abandoned[ABANDONED_MAX];
    uint32_t abandoned_count;
    int64_t quiet_until_ns; /* loop time: until then clients were told to wait */
    uint64_t early_count;   /* requests that came before it */
    FILE *truth;
    char *body;
    bool started;
    bool ended;
    int64_t origin_ns;     /* market time at the start */
    int64_t loop_start_ns; /* loop time at the start */
    int64_t now_ns;        /* market time */
    uint64_t trade_count;
    kt_code code; /* what has ended it */
    kt_err err;
} sim_state;

static volatile sig_atomic_t totals_wanted;
static kt_loop *signal_loop;

/* ---- totals ---- */

/* `live`: with what depends on the moment, and so is not in the truth file. */
static bool write_totals(const sim_state *sim, bool live, kt_text *out)
{
    kt_json_writer writer;

    kt_json_writer_init(&writer, sim->body, KT_SIM_BODY_SIZE);
    kt_json_open_object(&writer);
    kt_json_member_bool(&writer, "started", sim->started);
    kt_json_member_bool(&writer, "ended", sim->ended);
    kt_json_member_i64(&writer, "market_time", sim->now_ns);
    kt_json_member_u64(&writer, "trades", sim->trade_count);
    if (live)
        kt_json_member_u64(&writer, "clients", sim->client_count);
    kt_json_member_u64(&writer, "early", sim->early_count);
    kt_json_name(&writer, "faults");
    kt_sim_faults_write_delivered(&sim->faults, &writer);
    kt_json_name(&writer, "feeds");
    kt_json_open_object(&writer);
    for (uint32_t i = 0; i < FEEDS; i++) {
        if (sim->feeds[i].feed == NULL)
            continue;
        kt_json_name(&writer, sim->feeds[i].format->name);
        kt_sim_feed_write(
            sim->feeds[i].feed, &sim->feeds[i] == sim->books_of ? kt_sim_books_totals(sim->books).invalid : 0, &writer);
    }
    kt_json_close_object(&writer);
    if (sim->books != NULL) {
        kt_json_name(&writer, "books");
        kt_sim_books_write(sim->books, &writer);
    }
    kt_json_close_object(&writer);
    return kt_json_writer_done(&writer, out) == KT_OK;
}

/* A fault that is not about one message has come: it is counted, and has a line of the truth. */
static void tell_fault(sim_state *sim, kt_sim_fault fault)
{
    sim->faults.delivered[fault]++;
    if (sim->truth != NULL)
        fprintf(sim->truth, "{\"at\":%lld,\"fault\":\"%s\"}\n", (long long)sim->now_ns, kt_sim_fault_specs[fault].name);
}

static void append_totals(sim_state *sim)
{
    kt_text totals;

    if (sim->truth == NULL || !write_totals(sim, false, &totals))
        return;
    fprintf(sim->truth, "{\"totals\":%.*s}\n", KT_TEXT_ARG(totals));
    fflush(sim->truth);
}

/* ---- clients that trickle, or that are half-open ---- */

static uint32_t trickle(const sim_state *sim)
{
    return (uint32_t)kt_sim_faults_value(&sim->faults, KT_SIM_TRICKLE);
}

static void line_later(sim_state *sim)
{
    if (!kt_timer_is_set(&sim->line_timer))
        kt_timer_set(sim->loop, &sim->line_timer, kt_loop_now(sim->loop) + KT_SIM_TICK_MS * KT_NS_PER_MS);
}

static kt_code say(sim_client *client, kt_text message)
{
    sim_state *sim = client->sim;
    kt_code code = kt_sim_line_send(&client->line, message, trickle(sim));

    if (code == KT_OK && trickle(sim) != 0) {
        sim->faults.delivered[KT_SIM_TRICKLE]++;
        line_later(sim);
    }
    return code;
}

static void on_line_due(kt_timer *timer)
{
    sim_state *sim = timer->ctx;
    bool more = false;

    for (sim_client *client = sim->clients; client != NULL; client = client->next)
        if (kt_ws_is_open(client->line.conn))
            more |= kt_sim_line_tick(&client->line, trickle(sim));
    if (more)
        line_later(sim);
    kt_loop_busy(sim->loop); /* the publish hook of the next turn goes on */
}

/* Those that are half-open, and have been sent all that was theirs before. */
static void abandon_clients(sim_state *sim)
{
    int fd = -1;

    for (sim_client *client = sim->clients; client != NULL; client = client->next) {
        if (!kt_sim_line_abandoned(&client->line, &fd)) {
            if (client->line.deaf)
                kt_ws_drain_mark(client->line.conn, 0); /* then once more */
            continue;
        }
        tell_fault(sim, KT_SIM_HALF_OPEN);
        sim->feeds[client->feed].awaited = true;
        if (sim->abandoned_count == ABANDONED_MAX) {
            close(sim->abandoned[0]);
            memmove(&sim->abandoned[0], &sim->abandoned[1], sizeof sim->abandoned - sizeof sim->abandoned[0]);
            sim->abandoned_count--;
        }
        if (fd >= 0)
            sim->abandoned[sim->abandoned_count++] = fd;
    }
}

/* ---- the market moves ---- */

static void remember(sim_state *sim, kt_sim_trade *trade)
{
    const kt_sim_history *history = &sim->histories[trade->symbol];
    const kt_sim_trade *last = history->count != 0 ? kt_sim_history_at(history, history->count - 1) : NULL;

    if (last != NULL && last->time_ms == trade->time_ms)
        trade->nth = last->nth < UINT16_MAX ? last->nth + 1 : last->nth;
    if (kt_sim_history_add(&sim->histories[trade->symbol], trade) != KT_OK) {
        sim->code = kt_fail(&sim->err, KT_SYS, "no memory for more trades: --keep says how many are kept");
        kt_loop_stop(sim->loop);
    }
    sim->trade_count++;
}

/* The time that the venue says: its clock may be wrong, but does not go back. */
static void tell_time(sim_state *sim, kt_sim_trade *trade)
{
    const kt_sim_history *history = &sim->histories[trade->symbol];
    int64_t last_ms = history->count != 0 ? kt_sim_history_at(history, history->count - 1)->time_ms : 0;
    int64_t skew_ms = kt_sim_faults_skew(&sim->faults, trade->at_ns) / KT_NS_PER_MS;

    if (skew_ms == 0)
        return;
    sim->faults.delivered[KT_SIM_CLOCK_OFFSET] += sim->faults.values[KT_SIM_CLOCK_OFFSET].m != 0;
    sim->faults.delivered[KT_SIM_CLOCK_DRIFT] += sim->faults.values[KT_SIM_CLOCK_DRIFT].m != 0;
    trade->time_ms = trade->time_ms + skew_ms > last_ms ? trade->time_ms + skew_ms : last_ms;
}

/* What has changed in the books by this time is told. */
static void tell_books(sim_state *sim, int64_t until_ns)
{
    while (sim->books != NULL && kt_sim_books_due(sim->books) <= until_ns)
        kt_sim_books_flush(sim->books);
}

/* ---- faults change ---- */

/* From now on these values hold. */
static void take_faults(sim_state *sim, const kt_sim_faults *values)
{
    bool silent = sim->faults.values[KT_SIM_SILENCE].m != 0;

    kt_sim_faults_take(&sim->faults, values, sim->now_ns);
    for (uint32_t i = 0; i < FEEDS; i++)
        if (silent && sim->faults.values[KT_SIM_SILENCE].m == 0 && sim->feeds[i].feed != NULL)
            kt_sim_feed_speak(sim->feeds[i].feed);
    if ((sim->faults.values[KT_SIM_REFUSE].m != 0) == (sim->http != NULL))
        kt_timer_set(sim->loop, &sim->port_timer, kt_loop_now(sim->loop));
}

static void play_schedule(sim_state *sim, int64_t now_ns)
{
    kt_sim_faults values = sim->faults;

    if (kt_sim_schedule_due(&sim->schedule) > now_ns - sim->origin_ns)
        return;
    kt_sim_schedule_apply(&sim->schedule, now_ns - sim->origin_ns, &values);
    take_faults(sim, &values);
}

static bool deliver_stream(sim_feed *feed, uint32_t symbol, kt_sim_stream stream, kt_text event);

static void tell_candle(sim_state *sim, const kt_sim_trade *trade)
{
    kt_sim_candle *candle = &sim->candles[trade->symbol];
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder text;

    kt_sim_kraken_candle_add(candle, trade);
    if (kt_sim_feed_silent(sim->feeds[KRAKEN].feed, sim->now_ns))
        return;
    kt_builder_init(&text, mem, sizeof mem);
    kt_sim_kraken_write_candle(
        sim->options->kraken, &kt_sim_symbol_at(sim->market, trade->symbol)->pair, candle, &text);
    kt_assert(text.code == KT_OK);
    deliver_stream(&sim->feeds[KRAKEN], trade->symbol, KT_SIM_CANDLES, kt_builder_done(&text));
}

static void step(sim_state *sim)
{
    kt_sim_trade trade = *kt_sim_market_peek(sim->market);

    kt_sim_market_take(sim->market);
    play_schedule(sim, trade.at_ns);
    tell_books(sim, trade.at_ns);
    if (trade.at_ns > sim->now_ns)
        sim->now_ns = trade.at_ns;
    tell_time(sim, &trade);
    remember(sim, &trade);
    for (uint32_t i = 0; i < FEEDS; i++)
        if (sim->feeds[i].feed != NULL)
            kt_sim_feed_trade(sim->feeds[i].feed, &trade);
    if (sim->books != NULL)
        kt_sim_books_trade(sim->books, &trade);
    if (sim->options->kraken != NULL)
        tell_candle(sim, &trade);
}

/* Without trades a schedule goes on by the clock; at speed max it ends with them. */
static void end_market(sim_state *sim)
{
    kt_sim_faults values = sim->faults;

    sim->ended = true;
    if (sim->options->speed == KT_SIM_SPEED_MAX) {
        kt_sim_schedule_end(&sim->schedule, &sim->options->faults, &values);
        take_faults(sim, &values);
    }
    for (uint32_t i = 0; i < FEEDS; i++)
        if (sim->feeds[i].feed != NULL)
            kt_sim_feed_end(sim->feeds[i].feed);
    if (sim->books != NULL)
        kt_sim_books_end(sim->books);
    append_totals(sim);
}

/* The market time that the clock has reached, and the loop's time at which it reaches another. */
static int64_t clock_market_ns(const sim_state *sim)
{
    return sim->origin_ns + (int64_t)((double)(kt_loop_now(sim->loop) - sim->loop_start_ns) * sim->options->speed);
}

static void wake_at(sim_state *sim, int64_t market_ns)
{
    double wait_ns = (double)(market_ns - sim->origin_ns) / sim->options->speed;

    kt_timer_set(sim->loop, &sim->timer, sim->loop_start_ns + (int64_t)wait_ns);
}

static void go_on_by_clock(sim_state *sim)
{
    play_schedule(sim, clock_market_ns(sim));
    if (kt_sim_schedule_due(&sim->schedule) != INT64_MAX)
        wake_at(sim, sim->origin_ns + kt_sim_schedule_due(&sim->schedule));
}

/* Everything that has happened by now, in as many turns as it takes. */
static void advance_by_clock(sim_state *sim)
{
    int64_t target_ns = clock_market_ns(sim);
    const kt_sim_trade *next = NULL;

    for (uint32_t i = 0; i < ADVANCE_BATCH; i++) {
        next = kt_sim_market_peek(sim->market);
        if (next == NULL || next->at_ns > target_ns)
            break;
        step(sim);
    }
    if (next == NULL) {
        end_market(sim);
    } else if (next->at_ns <= target_ns) {
        kt_loop_busy(sim->loop);
    } else {
        int64_t due_ns = next->at_ns;

        play_schedule(sim, target_ns);
        tell_books(sim, target_ns);
        if (sim->books != NULL && kt_sim_books_due(sim->books) < due_ns)
            due_ns = kt_sim_books_due(sim->books);
        if (kt_sim_schedule_due(&sim->schedule) < due_ns - sim->origin_ns)
            due_ns = sim->origin_ns + kt_sim_schedule_due(&sim->schedule);
        sim->now_ns = target_ns;
        wake_at(sim, due_ns);
    }
}

/* At speed max: somebody listens, nobody is behind, and whoever we have sent away is back; or nobody can be. */
static bool may_step(sim_state *sim)
{
    bool listened = false, losing = sim->http == NULL;

    if (kt_timer_is_set(&sim->port_timer))
        return false; /* what happens then must not depend on how many trades a turn has */
    for (uint32_t i = 0; i < FEEDS; i++) {
        uint32_t left = sim->feeds[i].feed != NULL ? kt_sim_feed_outage_left(sim->feeds[i].feed) : 0;

        if (sim->feeds[i].awaited && left == 0 && sim->http != NULL)
            return false;
        losing |= left > 0;
    }
    for (sim_client *client = sim->clients; client != NULL; client = client->next) {
        if (!kt_ws_is_open(client->line.conn))
            continue;
        if (client->line.deaf)
            return false; /* it will be awaited */
        listened |= client->subscribed_any;
        if (kt_sim_line_pending(&client->line) > OUT_HIGH) {
            kt_ws_drain_mark(client->line.conn, OUT_LOW);
            return false;
        }
    }
    return listened || losing;
}

static void advance_by_reader(sim_state *sim)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        if (!may_step(sim))
            return;
        if (kt_sim_market_peek(sim->market) == NULL) {
            end_market(sim);
            return;
        }
        step(sim);
    }
    kt_loop_busy(sim->loop);
}

static void advance(sim_state *sim)
{
    bool by_clock = sim->options->speed != KT_SIM_SPEED_MAX;

    if (sim->started && !sim->ended)
        (by_clock ? advance_by_clock : advance_by_reader)(sim);
    else if (sim->started && by_clock)
        go_on_by_clock(sim);
}

static void on_publish(void *ctx)
{
    sim_state *sim = ctx;

    if (totals_wanted) {
        totals_wanted = 0;
        append_totals(sim);
    }
    advance(sim);
    abandon_clients(sim);
}

static void on_timer(kt_timer *timer)
{
    kt_loop_busy(((sim_state *)timer->ctx)->loop); /* the publish hook of the next turn advances */
}

/* The clock starts; what happened before is history already. */
static void start(sim_state *sim)
{
    sim->started = true;
    sim->loop_start_ns = kt_loop_now(sim->loop);
}

static void skip_history(sim_state *sim)
{
    const kt_sim_trade *next = NULL;

    while ((next = kt_sim_market_peek(sim->market)) != NULL && next->at_ns < sim->origin_ns && sim->code == KT_OK) {
        kt_sim_trade trade = *next;

        kt_sim_market_take(sim->market);
        tell_time(sim, &trade);
        remember(sim, &trade);
    }
    sim->now_ns = sim->origin_ns;
}

/* ---- clients ---- */

static bool deliver_stream(sim_feed *feed, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    kt_text envelope = { 0 };
    bool delivered = false;

    for (sim_client *client = feed->sim->clients; client != NULL; client = client->next) {
        kt_text message = event;
        kt_code code = KT_OK;

        if (&feed->sim->feeds[client->feed] != feed || (client->subscribed[symbol] & 1 << stream) == 0 ||
            !kt_ws_is_open(client->line.conn))
            continue;
        if (client->combined && envelope.n == 0) {
            kt_builder builder;

            kt_builder_init(&builder, feed->sim->envelope, ENVELOPE_SIZE);
            kt_sim_write_combined(
                &kt_sim_symbol_at(feed->sim->market, symbol)->pair, kt_sim_stream_suffix(stream), event, &builder);
            kt_assert(builder.code == KT_OK);
            envelope = kt_builder_done(&builder);
        }
        if (client->combined)
            message = envelope;
        code = say(client, message);
        if (code == KT_FULL)
            kt_ws_close(client->line.conn, KT_WS_CLOSE_POLICY, KT_TEXT("too slow"));
        delivered |= code == KT_OK;
    }
    return delivered;
}

static bool deliver(void *ctx, uint32_t symbol, kt_text event)
{
    return deliver_stream(ctx, symbol, KT_SIM_TRADES, event);
}

static bool deliver_book(void *ctx, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    return deliver_stream(((sim_state *)ctx)->books_of, symbol, stream, event);
}

static bool books_silent(void *ctx, int64_t now_ns)
{
    return kt_sim_feed_silent(((sim_state *)ctx)->books_of->feed, now_ns);
}

static void disconnect(void *ctx)
{
    sim_feed *feed = ctx;

    for (sim_client *client = feed->sim->clients; client != NULL; client = client->next)
        if (&feed->sim->feeds[client->feed] == feed && kt_ws_is_open(client->line.conn)) {
            kt_sim_line_close(&client->line, KT_WS_CLOSE_INTERNAL, KT_TEXT("a fault that was asked for"));
            feed->awaited = true;
        }
}

static void cut(void *ctx, uint32_t symbol, kt_text event)
{
    sim_feed *feed = ctx;

    for (sim_client *client = feed->sim->clients; client != NULL; client = client->next)
        if (&feed->sim->feeds[client->feed] == feed && (client->subscribed[symbol] & 1 << KT_SIM_TRADES) != 0 &&
            kt_ws_is_open(client->line.conn)) {
            kt_sim_line_cut(&client->line, kt_ws_server_deflater(feed->sim->ws), event);
            feed->awaited = true;
        }
}

static uint32_t connection(void *ctx)
{
    return ((sim_feed *)ctx)->connection_count;
}

/* Make sure that there is a book of this symbol. */
static void want_book(sim_state *sim, uint32_t symbol)
{
    const kt_sim_history *history = &sim->histories[symbol];

    kt_sim_books_want(sim->books, symbol, history->count != 0 ? kt_sim_history_at(history, history->count - 1) : NULL);
}

static void subscribe(sim_client *client, uint32_t symbol, kt_sim_stream stream)
{
    sim_state *sim = client->sim;
    sim_feed *feed = &sim->feeds[client->feed];

    client->subscribed[symbol] |= (uint8_t)(1 << stream);
    if (stream == KT_SIM_TRADES)
        kt_sim_feed_subscribed(feed->feed, symbol);
    else if (stream != KT_SIM_CANDLES)
        want_book(sim, symbol);
    if (client->subscribed_any)
        return;
    client->subscribed_any = true;
    feed->awaited = false;
    sim->subscriber_count++;
    if (!sim->started && sim->subscriber_count >= sim->options->wait)
        start(sim);
}

/* The symbol and the stream of a name, btcusdt@trade; false: none, and the venue accepts such names without a word. */
static bool stream_of_name(const sim_state *sim, kt_text name, uint32_t *out_symbol, kt_sim_stream *out_stream)
{
    for (kt_sim_stream stream = KT_SIM_TRADES; stream < KT_SIM_STREAM_COUNT; stream++) {
        kt_text suffix = kt_text_of(kt_sim_stream_suffix(stream));
        kt_text symbol = { name.s, name.n - suffix.n };

        if (name.n <= suffix.n || memcmp(name.s + symbol.n, suffix.s, suffix.n) != 0)
            continue;
        *out_stream = stream;
        for (*out_symbol = 0; *out_symbol < kt_sim_symbol_count(sim->market); ++*out_symbol)
            if (kt_http_text_equal_nocase(kt_sim_symbol_at(sim->market, *out_symbol)->pair.venue_symbol, symbol))
                return true;
    }
    return false;
}

static void subscribe_list(sim_client *client, kt_text names)
{
    kt_text name;
    uint32_t symbol;
    kt_sim_stream stream;

    while (kt_text_cut(&names, '/', &name))
        if (stream_of_name(client->sim, name, &symbol, &stream))
            subscribe(client, symbol, stream);
}

/* ---- messages from clients of the Binance format ---- */

typedef struct request_message {
    kt_text method;
    uint32_t params;
    uint32_t id;
} request_message;

static const kt_json_field request_fields[] = {
    KT_JSON_FIELD(request_message, method, "method", TEXT, 0),
    KT_JSON_FIELD(request_message, params, "params", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request_message, id, "id", ANY, KT_JSON_OPTIONAL),
};

static void put_id(kt_json_writer *writer, const kt_json_doc *doc, uint32_t id)
{
    kt_json_name(writer, "id");
    if (id != 0)
        kt_json_put_node(writer, doc, id);
    else
        kt_json_put_null(writer);
}

static void put_subscriptions(const sim_client *client, kt_json_writer *writer)
{
    kt_json_open_array(writer);
    for (uint32_t i = 0; i < kt_sim_symbol_count(client->sim->market); i++)
        for (kt_sim_stream stream = KT_SIM_TRADES; stream < KT_SIM_STREAM_COUNT; stream++) {
            char name[64];
            const char *symbol = kt_sim_symbol_at(client->sim->market, i)->text[1];
            size_t n = strlen(symbol);

            if ((client->subscribed[i] & 1 << stream) == 0)
                continue;
            snprintf(name, sizeof name, "%s%s", symbol, kt_sim_stream_suffix(stream));
            for (size_t at = 0; at < n; at++)
                if (name[at] >= 'A' && name[at] <= 'Z')
                    name[at] = (char)(name[at] - 'A' + 'a');
            kt_json_put_text(writer, kt_text_of(name));
        }
    kt_json_close_array(writer);
}

/* Do what is asked; NULL, or the venue's words of refusal. */
static const char *obey(
    sim_client *client, const kt_json_doc *doc, const request_message *message, kt_json_writer *writer)
{
    bool add = kt_text_equal(message->method, KT_TEXT("SUBSCRIBE"));
    uint32_t symbol;
    kt_sim_stream stream;

    if (kt_text_equal(message->method, KT_TEXT("LIST_SUBSCRIPTIONS"))) {
        kt_json_name(writer, "result");
        put_subscriptions(client, writer);
        return NULL;
    }
    if (!add && !kt_text_equal(message->method, KT_TEXT("UNSUBSCRIBE")))
        return "Invalid request: unknown variant of method";
    if (message->params == 0)
        return "Invalid request: missing field `params`";
    kt_json_each (doc, message->params, item) {
        if (kt_json_kind_of(doc, item) != KT_JSON_STRING ||
            !stream_of_name(client->sim, kt_json_raw(doc, item), &symbol, &stream))
            continue;
        if (add)
            subscribe(client, symbol, stream);
        else
            client->subscribed[symbol] &= (uint8_t) ~(1 << stream);
    }
    kt_json_name(writer, "result");
    kt_json_put_null(writer);
    return NULL;
}

/* ---- clients of Kraken's formats ---- */

static void kraken_send(void *ctx, kt_text message)
{
    say(ctx, message);
}

static bool kraken_subscribe(void *ctx, uint32_t symbol, kt_sim_stream stream, bool wanted)
{
    sim_client *client = ctx;
    bool is = (client->subscribed[symbol] & 1 << stream) != 0;

    if (is == wanted)
        return false;
    if (wanted)
        subscribe(client, symbol, stream);
    else
        client->subscribed[symbol] &= (uint8_t) ~(1 << stream);
    return true;
}

static void kraken_snapshot(void *ctx, uint32_t symbol)
{
    sim_client *client = ctx;
    sim_state *sim = client->sim;
    kt_builder text;
    kt_ev_book book;

    kt_sim_books_whole(sim->books, symbol, KT_SIM_CHANGE_LEVELS / 2, &book);
    kt_builder_init(&text, sim->envelope, ENVELOPE_SIZE);
    kt_sim_kraken_write_snapshot(sim->options->kraken, &kt_sim_symbol_at(sim->market, symbol)->pair, &book, &text);
    kt_assert(text.code == KT_OK);
    say(client, kt_builder_done(&text));
}

static void kraken_greet(sim_client *client)
{
    char mem[512];
    kt_builder text;

    kt_builder_init(&text, mem, sizeof mem);
    kt_sim_kraken_greeting(client->sim->options->kraken, &text);
    say(client, kt_builder_done(&text));
}

/* Each second, so that the streams are never still; but for a silence that was asked for. */
static void on_heartbeat(kt_timer *timer)
{
    sim_state *sim = timer->ctx;

    kt_timer_set(sim->loop, timer, kt_loop_now(sim->loop) + KT_NS_PER_S);
    if (kt_sim_feed_silent(sim->feeds[KRAKEN].feed, sim->now_ns))
        return;
    for (sim_client *client = sim->clients; client != NULL; client = client->next)
        if (client->subscribed_any && kt_ws_is_open(client->line.conn))
            say(client, kt_sim_kraken_heartbeat(sim->options->kraken));
}

static void kraken_hear(sim_client *client, kt_text message)
{
    const sim_state *sim = client->sim;
    const kt_sim_kraken_host host = { .format = sim->options->kraken,
        .market = sim->market,
        .now_ns = sim->now_ns,
        .ctx = client,
        .send = kraken_send,
        .subscribe = kraken_subscribe,
        .snapshot = kraken_snapshot };

    kt_sim_kraken_hear(&host, message);
}

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    sim_client *client = ctx;
    kt_json_node nodes[4 * STREAMS_MAX];
    char mem[MESSAGE_MAX];
    request_message message = { 0 };
    const char *refusal = NULL;
    kt_json_writer writer;
    kt_json_doc doc;
    kt_text reply;
    kt_err err = { 0 };
    bool readable = false;

    if (client->feed == KRAKEN)
        kraken_hear(client, (kt_text){ (const char *)payload, size });
    if (client->sim->feeds[client->feed].format != &kt_venue_binance)
        return; /* the generic stream does not listen */
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    readable = kt_json_parse((kt_text){ (const char *)payload, size }, nodes, KT_COUNT(nodes), &doc, &err) == KT_OK;
    if (!readable ||
        kt_json_fields(&doc, 0, request_fields, KT_COUNT(request_fields), NULL, &message, NULL, &err) != KT_OK)
        refusal = err.msg;
    else
        refusal = obey(client, &doc, &message, &writer);
    if (refusal != NULL) {
        kt_json_name(&writer, "error");
        kt_json_open_object(&writer);
        kt_json_member_i64(&writer, "code", readable ? 2 : 3);
        kt_json_member_text(&writer, "msg", kt_text_of(refusal));
        kt_json_close_object(&writer);
    }
    put_id(&writer, &doc, readable ? message.id : 0);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &reply) == KT_OK)
        say(client, reply);
}

static void on_drain(void *ctx, kt_ws_conn *conn)
{
    kt_loop_busy(((sim_client *)ctx)->sim->loop); /* the publish hook of the next turn goes on */
}

static void on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    sim_client *client = ctx, **at = &client->sim->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->sim->client_count--;
    kt_sim_line_done(&client->line);
    free(client);
}

/* ---- requests ---- */

/* Which feed a path belongs to; FEEDS: none. A stream without names is the generic one, unless only Binance's is
 * served. */
static uint32_t feed_of_path(const sim_state *sim, kt_text path, kt_text query, bool *out_combined)
{
    bool stream = kt_text_equal(path, KT_TEXT("/stream"));
    bool raw = kt_text_equal(path, KT_TEXT("/ws")) || kt_text_starts(path, KT_TEXT("/ws/"));
    kt_text names;

    *out_combined = stream;
    if (sim->options->kraken != NULL)
        return kt_text_equal(path, sim->options->kraken == &kt_venue_kraken_v1 ? KT_TEXT("/") : KT_TEXT("/v2")) ? KRAKEN
                                                                                                                : FEEDS;
    if (stream && sim->options->generic && !(sim->options->binance && kt_url_query(query, KT_TEXT("streams"), &names)))
        return 0;
    return (stream || raw) && sim->options->binance ? 1 : FEEDS;
}

static void accept_client(sim_state *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request,
    uint32_t feed, bool combined)
{
    sim_client *client = NULL;
    char mem[KT_HTTP_TARGET_MAX];
    kt_text names = { 0 };

    if (sim->client_count == CLIENT_MAX) {
        kt_http_fail(http, exchange, 503, "%d clients are connected already", CLIENT_MAX);
        return;
    }
    client = calloc(1, sizeof *client);
    if (client == NULL) {
        kt_http_fail(http, exchange, 503, "no memory for another client");
        return;
    }
    client->sim = sim;
    client->feed = feed;
    client->combined = combined && feed == 1;
    if (kt_sim_faults_draw(&sim->faults, &sim->line_rng, KT_SIM_PER_CONNECTION) == KT_SIM_HALF_OPEN)
        client->line.left = 1 + (uint32_t)kt_rng_below(&sim->line_rng, HALF_OPEN_MAX);
    client->line.conn = kt_ws_accept(sim->ws, http, exchange, request, client);
    if (client->line.conn == NULL) {
        free(client);
        return;
    }
    client->next = sim->clients;
    sim->clients = client;
    sim->client_count++;
    sim->feeds[feed].connection_count++;
    if (feed == KRAKEN) {
        kraken_greet(client);
    } else if (feed == 0) {
        for (uint32_t i = 0; i < kt_sim_symbol_count(sim->market); i++)
            subscribe(client, i, KT_SIM_TRADES);
    } else if (combined && kt_url_query(request->query, KT_TEXT("streams"), &names)) {
        if (kt_url_decode(names, true, mem, &names.n) == KT_OK)
            subscribe_list(client, (kt_text){ mem, names.n });
    } else if (!combined && request->path.n > strlen("/ws/")) {
        if (kt_url_decode((kt_text){ request->path.s + 4, request->path.n - 4 }, false, mem, &names.n) == KT_OK)
            subscribe_list(client, (kt_text){ mem, names.n });
    }
}

static void answer_truth(sim_state *sim, kt_http_server *http, uint64_t exchange)
{
    kt_http_response response = { .status = 200 };

    if (sim->truth != NULL)
        fflush(sim->truth);
    if (write_totals(sim, true, &response.body))
        kt_http_respond(http, exchange, &response);
    else
        kt_http_fail(http, exchange, 500, "the totals do not fit %d bytes", KT_SIM_BODY_SIZE);
}

/* A page of another site may not change anything: browsers say whose page asks. */
static bool may_change(const kt_http_request *request)
{
    return kt_http_field_count(request->fields, request->field_count, KT_TEXT("Origin")) == 0;
}

/* The action sim.faults. */
static void answer_faults(sim_state *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    char mem[KT_SIM_CONTROL_SIZE];
    kt_http_response response = { .status = 200 };
    kt_sim_faults values = sim->faults;
    kt_json_writer writer;
    kt_err err = { 0 };
    kt_code code = KT_OK;

    if (request->method == KT_HTTP_POST) {
        code = may_change(request) ? kt_sim_control_read(request->body, &values, &err)
                                   : kt_fail(&err, KT_DENIED, "a page of a browser may not change this");
        if (code == KT_OK)
            take_faults(sim, &values);
    }
    if (code != KT_OK) {
        kt_http_fail(http, exchange, kt_code_status(code), "%s", err.msg);
        return;
    }
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_sim_control_write(&sim->faults, &writer);
    if (kt_json_writer_done(&writer, &response.body) == KT_OK)
        kt_http_respond(http, exchange, &response);
    else
        kt_http_fail(http, exchange, 500, "the faults do not fit %d bytes", KT_SIM_CONTROL_SIZE);
}

/* The sim's own interface; false: the path is none of it. */
static bool answer_own(sim_state *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    char path[KT_ACTION_PATH_MAX];

    kt_action_path(&kt_actions[KT_ACTION_sim_faults], path);
    if (kt_text_equal(request->path, kt_text_of(path)) &&
        (request->method == KT_HTTP_GET || request->method == KT_HTTP_POST))
        answer_faults(sim, http, exchange, request);
    else if (kt_text_equal(request->path, KT_TEXT("/sim/truth")) && request->method == KT_HTTP_GET)
        answer_truth(sim, http, exchange);
    else
        return false;
    return true;
}

static void on_control(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    if (!answer_own(ctx, http, exchange, request))
        kt_http_fail(http, exchange, 404, "there are GET /sim/truth, GET and POST /v1/sim/faults");
}

static void too_many(sim_state *sim, kt_http_server *http, uint64_t exchange)
{
    char seconds[16];
    kt_http_field retry_after = { KT_TEXT("Retry-After"),
        { seconds, (size_t)snprintf(seconds, sizeof seconds, "%u", sim->options->retry_after_s) } };

    sim->quiet_until_ns = kt_loop_now(sim->loop) + sim->options->retry_after_s * KT_NS_PER_S;
    kt_http_respond(http, exchange,
        &(kt_http_response){ .status = 429,
            .fields = &retry_after,
            .field_count = 1,
            .body = KT_TEXT("{\"code\":-1003,\"msg\":\"Too many requests; see Retry-After.\"}") });
}

/* The true answer, and what becomes of it. */
static void respond(
    sim_state *sim, kt_http_server *http, uint64_t exchange, kt_http_response *response, kt_sim_fault fault)
{
    static const kt_text page = KT_TEXT("<!doctype html><title>Just a moment...</title><p>Checking your browser.");
    size_t sent = fault == KT_SIM_TRUNCATED_BODY ? response->body.n / 2 : response->body.n;

    if (fault != KT_SIM_NONE)
        tell_fault(sim, fault);
    switch (fault) {
    case KT_SIM_STATUS_429:
        too_many(sim, http, exchange);
        return;
    case KT_SIM_STATUS_500:
        kt_http_fail(http, exchange, 500, "a fault that was asked for");
        return;
    case KT_SIM_STATUS_503:
        kt_http_fail(http, exchange, 503, "a fault that was asked for");
        return;
    case KT_SIM_WRONG_CONTENT_TYPE:
        kt_http_respond(http, exchange,
            &(kt_http_response){ .status = 200, .type = KT_TEXT("text/html; charset=utf-8"), .body = page });
        return;
    default:
        break;
    }
    if (sent == response->body.n && trickle(sim) == 0) {
        kt_http_respond(http, exchange, response);
        return;
    }
    sim->faults.delivered[KT_SIM_TRICKLE] += trickle(sim) != 0;
    if (!kt_sim_raw_respond(sim->raws, http, exchange, response, sent, trickle(sim)))
        kt_http_fail(http, exchange, 503, "no memory for an answer");
}

static void answer_venue(sim_state *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    kt_sim_fault fault = kt_sim_faults_draw(&sim->faults, &sim->rest_rng, KT_SIM_PER_REQUEST);
    kt_sim_rest rest = { .market = sim->market,
        .histories = sim->histories,
        .books = sim->books,
        .generic = sim->options->generic,
        .binance = sim->options->binance,
        .kraken = sim->options->kraken,
        .shuffle = sim->options->shuffle ? &sim->shuffle : NULL,
        .overlap = fault == KT_SIM_OVERLAP ? &sim->rest_rng : NULL };
    kt_http_response response = { 0 };
    kt_builder body;

    if (sim->options->speed != KT_SIM_SPEED_MAX)
        advance(sim); /* complete up to this moment */
    rest.now_ns = sim->now_ns + sim->faults.skew_ns;
    kt_builder_init(&body, sim->body, KT_SIM_BODY_SIZE);
    response.status = kt_sim_rest_answer(&rest, request->path, request->query, &body);
    response.body = kt_builder_done(&body);
    sim->early_count += response.status != 0 && kt_loop_now(sim->loop) < sim->quiet_until_ns;
    if (fault == KT_SIM_OVERLAP && !rest.overlaps)
        fault = KT_SIM_NONE;
    if (response.status == 0)
        kt_http_fail(http, exchange, 404,
            "there are /stream, /trades, /ws, /v2, /api/v3/..., /0/public/..., /sim/truth and /v1/sim/faults");
    else if (body.code != KT_OK)
        kt_http_fail(http, exchange, 500, "the answer does not fit %d bytes", KT_SIM_BODY_SIZE);
    else
        respond(sim, http, exchange, &response, fault);
}

static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    sim_state *sim = ctx;
    bool combined = false;
    uint32_t feed = feed_of_path(sim, request->path, request->query, &combined);

    if (feed < FEEDS)
        accept_client(sim, http, exchange, request, feed, combined);
    else if (answer_own(sim, http, exchange, request))
        return;
    else if (request->method != KT_HTTP_GET)
        kt_http_fail(http, exchange, 405, "only GET is understood here");
    else if (sim->options->no_rest)
        kt_http_fail(http, exchange, 503, "REST is switched off (--no-rest)");
    else
        answer_venue(sim, http, exchange, request);
}

/* ---- start and end ---- */

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        totals_wanted = 1;
        kt_loop_wake(signal_loop);
    } else {
        kt_loop_stop(signal_loop);
    }
}

static void catch_signals(kt_loop *loop)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    signal_loop = loop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static kt_code open_feed(sim_state *sim, uint32_t index, const kt_venue_format *format, kt_err *err)
{
    sim_feed *feed = &sim->feeds[index];
    kt_sim_feed_options options = { .format = format,
        .market = sim->market,
        .faults = &sim->faults,
        .seed = sim->options->market.seed * FEED_SEEDS + index,
        .silence_max_ns = sim->options->silence_max_ns,
        .counted_outage = sim->options->speed == KT_SIM_SPEED_MAX,
        .truth = sim->truth,
        .ctx = feed,
        .deliver = deliver,
        .disconnect = disconnect,
        .cut = cut,
        .connection = connection };

    feed->sim = sim;
    feed->format = format;
    return kt_sim_feed_new(&options, &feed->feed, err);
}

static kt_code open_books(sim_state *sim, kt_err *err)
{
    kt_sim_books_options options = { .format = sim->books_of->format,
        .market = sim->market,
        .faults = &sim->faults,
        .seed = sim->options->market.seed,
        .start_ns = sim->origin_ns,
        .truth = sim->truth,
        .ctx = sim,
        .deliver = deliver_book,
        .silent = books_silent };

    return kt_sim_books_new(&options, &sim->books, err);
}

static kt_code open_market(sim_state *sim, kt_err *err)
{
    const kt_sim_options *options = sim->options;
    kt_sim_market_options market = options->market;
    kt_code code = KT_OK;

    if (market.tape == NULL)
        market.start_ns -= options->history_ns;
    code = kt_sim_market_open(&market, &sim->market, err);
    if (code != KT_OK)
        return code;
    kt_sim_faults_take(&sim->faults, &options->faults, kt_sim_market_start(sim->market));
    sim->histories = calloc(kt_sim_symbol_count(sim->market), sizeof *sim->histories);
    sim->candles = calloc(kt_sim_symbol_count(sim->market), sizeof *sim->candles);
    sim->body = malloc(KT_SIM_BODY_SIZE);
    sim->envelope = malloc(ENVELOPE_SIZE);
    if (sim->histories == NULL || sim->candles == NULL || sim->body == NULL || sim->envelope == NULL)
        return kt_fail(err, KT_SYS, "no memory for %u symbols", kt_sim_symbol_count(sim->market));
    for (uint32_t i = 0; i < kt_sim_symbol_count(sim->market); i++)
        kt_sim_history_init(&sim->histories[i], options->keep);
    if (options->truth != NULL) {
        sim->truth = fopen(options->truth, "we");
        if (sim->truth == NULL)
            return kt_fail(err, KT_SYS, "cannot write --truth '%s'", options->truth);
    }
    sim->origin_ns = kt_sim_market_start(sim->market) + options->history_ns;
    skip_history(sim);
    if (options->generic)
        code = open_feed(sim, 0, &kt_venue_generic, err);
    if (options->binance && code == KT_OK)
        code = open_feed(sim, 1, &kt_venue_binance, err);
    if (options->kraken != NULL && code == KT_OK)
        code = open_feed(sim, KRAKEN, options->kraken, err);
    if (options->binance || options->kraken != NULL)
        sim->books_of = &sim->feeds[options->kraken != NULL ? KRAKEN : 1];
    if (sim->books_of != NULL && code == KT_OK)
        code = open_books(sim, err);
    return code;
}

/* Which certificate the next handshake gets. */
static kt_tls *choose_tls(void *ctx)
{
    static const kt_sim_certificate certificates[KT_SIM_FAULT_COUNT] = {
        [KT_SIM_EXPIRED_CERTIFICATE] = KT_SIM_CERTIFICATE_EXPIRED,
        [KT_SIM_WRONG_NAME] = KT_SIM_CERTIFICATE_OTHER_NAME,
        [KT_SIM_UNKNOWN_AUTHORITY] = KT_SIM_CERTIFICATE_OTHER_AUTHORITY,
    };
    sim_state *sim = ctx;
    kt_sim_fault fault = kt_sim_faults_draw(&sim->faults, &sim->tls_rng, KT_SIM_PER_HANDSHAKE);
    kt_tls *chosen = sim->tls[certificates[fault]];

    if (fault == KT_SIM_NONE || chosen == NULL)
        return sim->tls[KT_SIM_CERTIFICATE_GOOD];
    tell_fault(sim, fault);
    return chosen;
}

static kt_code open_tls(sim_state *sim, kt_err *err)
{
    const kt_sim_options *options = sim->options;
    char certificate[4200], key[4200];
    kt_code code = KT_OK;

    if (options->tls_certificate != NULL)
        return kt_tls_server_new(options->tls_certificate, options->tls_key, &sim->tls[KT_SIM_CERTIFICATE_GOOD], err);
    if (options->tls_folder == NULL)
        return KT_OK;
    code = kt_sim_certificates_make(options->tls_folder, err);
    for (kt_sim_certificate i = 0; code == KT_OK && i < KT_SIM_CERTIFICATE_COUNT; i++) {
        snprintf(certificate, sizeof certificate, "%s/%s.crt", options->tls_folder, kt_sim_certificate_name(i));
        snprintf(key, sizeof key, "%s/%s.key", options->tls_folder, kt_sim_certificate_name(i));
        code = kt_tls_server_new(certificate, key, &sim->tls[i], err);
    }
    return code;
}

static kt_code open_port(sim_state *sim, kt_err *err)
{
    kt_http_server_options options = { .host = "127.0.0.1",
        .port = sim->port,
        .tls = sim->tls[KT_SIM_CERTIFICATE_GOOD],
        .choose_tls = choose_tls,
        .on_request = on_request,
        .ctx = sim };
    kt_code code = kt_http_server_open(sim->loop, &options, &sim->http, err);

    if (code == KT_OK)
        sim->port = kt_http_server_port(sim->http);
    return code;
}

/* As the fault `refuse` says: nobody gets in, and nobody who is in stays, or everybody may. */
static void on_port_due(kt_timer *timer)
{
    sim_state *sim = timer->ctx;
    bool refuse = sim->faults.values[KT_SIM_REFUSE].m != 0;

    if (refuse && sim->http != NULL) {
        tell_fault(sim, KT_SIM_REFUSE);
        kt_http_server_close(sim->http);
        sim->http = NULL;
        for (sim_client *client = sim->clients; client != NULL; client = client->next) {
            sim->feeds[client->feed].awaited |= client->subscribed_any;
            kt_sim_line_close(&client->line, KT_WS_CLOSE_GOING_AWAY, KT_TEXT("the port is closed"));
        }
    } else if (!refuse && sim->http == NULL) {
        sim->code = open_port(sim, &sim->err);
        if (sim->code != KT_OK)
            kt_loop_stop(sim->loop);
    }
    kt_loop_busy(sim->loop);
}

static kt_code open_server(sim_state *sim, kt_err *err)
{
    kt_ws_server_options ws = { .handlers = { .on_message = on_message, .on_drain = on_drain, .on_close = on_close },
        .deflate = true,
        .message_max = MESSAGE_MAX / 2,
        .out_max = OUT_MAX };
    kt_http_server_options control = {
        .host = "127.0.0.1", .port = sim->options->control_port, .on_request = on_control, .ctx = sim
    };
    kt_code code = open_tls(sim, err);

    if (code == KT_OK)
        code = kt_ws_server_new(sim->loop, &ws, &sim->ws, err);
    if (code == KT_OK)
        code = open_port(sim, err);
    if (code == KT_OK && sim->options->has_control)
        code = kt_http_server_open(sim->loop, &control, &sim->control, err);
    if (code != KT_OK)
        return code;
    sim->raws = kt_sim_raws_new(sim->loop);
    if (sim->raws == NULL)
        return kt_fail(err, KT_SYS, "no memory for a market");
    sim->timer = (kt_timer){ .on_due = on_timer, .ctx = sim };
    sim->heartbeat = (kt_timer){ .on_due = on_heartbeat, .ctx = sim };
    if (sim->options->kraken != NULL)
        kt_timer_set(sim->loop, &sim->heartbeat, kt_loop_now(sim->loop) + KT_NS_PER_S);
    sim->port_timer = (kt_timer){ .on_due = on_port_due, .ctx = sim };
    sim->line_timer = (kt_timer){ .on_due = on_line_due, .ctx = sim };
    sim->hook = (kt_hook){ .fn = on_publish, .ctx = sim, .phase = KT_PHASE_PUBLISH };
    kt_loop_hook(sim->loop, &sim->hook);
    return KT_OK;
}

void kt_sim_close(kt_sim *sim)
{
    if (sim == NULL)
        return;
    kt_timer_cancel(sim->loop, &sim->timer);
    kt_timer_cancel(sim->loop, &sim->heartbeat);
    kt_timer_cancel(sim->loop, &sim->port_timer);
    kt_timer_cancel(sim->loop, &sim->line_timer);
    kt_loop_unhook(sim->loop, &sim->hook);
    kt_sim_raws_free(sim->raws);
    kt_http_server_close(sim->http);
    kt_http_server_close(sim->control);
    if (sim->ws != NULL)
        kt_ws_server_free(sim->ws);
    for (kt_sim_certificate i = 0; i < KT_SIM_CERTIFICATE_COUNT; i++)
        kt_tls_free(sim->tls[i]);
    for (uint32_t i = 0; i < sim->abandoned_count; i++)
        close(sim->abandoned[i]);
    kt_sim_schedule_done(&sim->schedule);
    while (sim->clients != NULL) {
        sim_client *next = sim->clients->next;

        kt_sim_line_done(&sim->clients->line);
        free(sim->clients);
        sim->clients = next;
    }
    for (uint32_t i = 0; i < FEEDS; i++)
        kt_sim_feed_free(sim->feeds[i].feed);
    for (uint32_t i = 0; sim->histories != NULL && i < kt_sim_symbol_count(sim->market); i++)
        kt_sim_history_done(&sim->histories[i]);
    free(sim->histories);
    free(sim->candles);
    free(sim->body);
    free(sim->envelope);
    kt_sim_books_free(sim->books);
    if (sim->truth != NULL)
        fclose(sim->truth);
    kt_sim_market_close(sim->market);
    free(sim);
}

kt_code kt_sim_open(kt_loop *loop, const kt_sim_options *options, kt_sim **out_sim, kt_err *err)
{
    kt_sim *sim = calloc(1, sizeof *sim);
    kt_code code = KT_OK;

    if (sim == NULL)
        return kt_fail(err, KT_SYS, "no memory for a market");
    sim->options = options;
    sim->port = options->port;
    sim->loop = loop;
    kt_rng_init(&sim->shuffle, ~options->market.seed);
    kt_rng_init(&sim->line_rng, options->market.seed + 1);
    kt_rng_init(&sim->tls_rng, options->market.seed + 2);
    kt_rng_init(&sim->rest_rng, options->market.seed + 3);
    if (options->schedule != NULL)
        code = kt_sim_schedule_read(options->schedule, &options->faults, &sim->schedule, err);
    if (code == KT_OK) /* a busy port is told before a long tape is read; nobody is served before the loop runs */
        code = open_server(sim, err);
    if (code == KT_OK)
        code = open_market(sim, err);
    if (code != KT_OK) {
        kt_sim_close(sim);
        return code;
    }
    take_faults(sim, &options->faults); /* the port may have to be closed */
    *out_sim = sim;
    return KT_OK;
}

void kt_sim_start(kt_sim *sim)
{
    start(sim);
}

void kt_sim_break(kt_sim *sim, const kt_sim_faults *values)
{
    take_faults(sim, values);
}

static kt_code run(const kt_sim_options *options, kt_err *err)
{
    kt_loop *loop = NULL;
    kt_sim *sim = NULL;
    kt_code code = kt_loop_new(NULL, &loop, err);

    if (code == KT_OK)
        code = kt_sim_open(loop, options, &sim, err);
    if (code != KT_OK)
        goto out;
    catch_signals(loop);
    printf("listening 127.0.0.1:%u\n", sim->port);
    if (sim->control != NULL)
        printf("control 127.0.0.1:%u\n", kt_http_server_port(sim->control));
    fflush(stdout);
    if (options->wait == 0 && options->speed != KT_SIM_SPEED_MAX) {
        kt_loop_turn(loop, 0, NULL); /* so that the clock starts now, however long the tape took to read */
        start(sim);
    }
    code = kt_loop_run(loop, err);
    append_totals(sim);
    if (sim->code != KT_OK) {
        code = sim->code;
        *err = sim->err;
    }
out:
    kt_sim_close(sim);
    if (loop != NULL)
        kt_loop_free(loop);
    return code;
}

int kt_sim_main(int argc, char **argv)
{
    kt_sim_options options;
    struct timespec now;
    kt_err err = { 0 };

    clock_gettime(CLOCK_REALTIME, &now);
    if (kt_sim_options_read(argc, argv, (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec, &options, &err) != KT_OK) {
        fprintf(stderr, "kontor sim: %s\n", err.msg);
        return 2;
    }
    if (options.help) {
        kt_sim_help(stdout);
        return 0;
    }
    if (run(&options, &err) != KT_OK) {
        fprintf(stderr, "kontor sim: %s\n", err.msg);
        return 1;
    }
    return 0;
}
