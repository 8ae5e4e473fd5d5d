#include "venue/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/time.h"
#include "net/url.h"
#include "net/ws_server.h"
#include "venue/sim/books.h"
#include "venue/sim/options.h"
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
    FEEDS = 2
};

typedef struct sim_client {
    struct sim_state *sim;
    struct sim_client *next;
    kt_ws_conn *conn;
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
    kt_loop *loop;
    kt_tls *tls; /* NULL: plain text */
    kt_http_server *http;
    kt_ws_server *ws;
    kt_sim_market *market;
    kt_sim_history *histories;
    sim_feed feeds[FEEDS];
    kt_sim_books *books; /* NULL: Binance's format is not served */
    char *envelope;      /* KT_SIM_CHANGE_SIZE and room for its name */
    sim_client *clients;
    uint32_t client_count;
    uint32_t subscriber_count; /* clients that have ever subscribed something */
    kt_timer timer;
    kt_hook hook;
    kt_rng shuffle;
    FILE *truth;
    char *body;
    bool started;
    bool ended;
    int64_t origin_ns;     /* market time at the start */
    int64_t loop_start_ns; /* loop time at the start */
    int64_t now_ns;        /* market time */
    uint64_t trade_count;
    bool out_of_memory;
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
    kt_json_name(&writer, "feeds");
    kt_json_open_object(&writer);
    for (uint32_t i = 0; i < FEEDS; i++) {
        if (sim->feeds[i].feed == NULL)
            continue;
        kt_json_name(&writer, sim->feeds[i].format->name);
        kt_sim_feed_write(
            sim->feeds[i].feed, i == 1 && sim->books != NULL ? kt_sim_books_totals(sim->books).invalid : 0, &writer);
    }
    kt_json_close_object(&writer);
    if (sim->books != NULL) {
        kt_json_name(&writer, "books");
        kt_sim_books_write(sim->books, &writer);
    }
    kt_json_close_object(&writer);
    return kt_json_writer_done(&writer, out) == KT_OK;
}

static void append_totals(sim_state *sim)
{
    kt_text totals;

    if (sim->truth == NULL || !write_totals(sim, false, &totals))
        return;
    fprintf(sim->truth, "{\"totals\":%.*s}\n", KT_TEXT_ARG(totals));
    fflush(sim->truth);
}

/* ---- the market moves ---- */

static void remember(sim_state *sim, const kt_sim_trade *trade)
{
    if (kt_sim_history_add(&sim->histories[trade->symbol], trade) != KT_OK) {
        sim->out_of_memory = true;
        kt_loop_stop(sim->loop);
    }
    sim->trade_count++;
}

/* What has changed in the books by this time is told. */
static void tell_books(sim_state *sim, int64_t until_ns)
{
    while (sim->books != NULL && kt_sim_books_due(sim->books) <= until_ns)
        kt_sim_books_flush(sim->books);
}

static void step(sim_state *sim)
{
    kt_sim_trade trade = *kt_sim_market_peek(sim->market);

    kt_sim_market_take(sim->market);
    tell_books(sim, trade.at_ns);
    if (trade.at_ns > sim->now_ns)
        sim->now_ns = trade.at_ns;
    remember(sim, &trade);
    for (uint32_t i = 0; i < FEEDS; i++)
        if (sim->feeds[i].feed != NULL)
            kt_sim_feed_trade(sim->feeds[i].feed, &trade);
    if (sim->books != NULL)
        kt_sim_books_trade(sim->books, &trade);
}

static void end_market(sim_state *sim)
{
    sim->ended = true;
    for (uint32_t i = 0; i < FEEDS; i++)
        if (sim->feeds[i].feed != NULL)
            kt_sim_feed_end(sim->feeds[i].feed);
    if (sim->books != NULL)
        kt_sim_books_end(sim->books);
    append_totals(sim);
}

/* Everything that has happened by now, in as many turns as it takes. */
static void advance_by_clock(sim_state *sim)
{
    double passed_ns = (double)(kt_loop_now(sim->loop) - sim->loop_start_ns) * sim->options->speed;
    int64_t target_ns = sim->origin_ns + (int64_t)passed_ns;
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

        tell_books(sim, target_ns);
        if (sim->books != NULL && kt_sim_books_due(sim->books) < due_ns)
            due_ns = kt_sim_books_due(sim->books);
        double wait_ns = (double)(due_ns - sim->origin_ns) / sim->options->speed;
        sim->now_ns = target_ns;
        kt_timer_set(sim->loop, &sim->timer, sim->loop_start_ns + (int64_t)wait_ns);
    }
}

/* At speed max: somebody listens, nobody is behind, and whoever we have sent away is back. */
static bool may_step(sim_state *sim)
{
    bool listened = false, losing = false;

    for (uint32_t i = 0; i < FEEDS; i++) {
        uint32_t left = sim->feeds[i].feed != NULL ? kt_sim_feed_outage_left(sim->feeds[i].feed) : 0;

        if (sim->feeds[i].awaited && left == 0)
            return false;
        losing |= left > 0;
    }
    for (sim_client *client = sim->clients; client != NULL; client = client->next) {
        if (!kt_ws_is_open(client->conn))
            continue;
        listened |= client->subscribed_any;
        if (kt_ws_pending(client->conn) > OUT_HIGH) {
            kt_ws_drain_mark(client->conn, OUT_LOW);
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
    if (!sim->started || sim->ended)
        return;
    if (sim->options->speed == KT_SIM_SPEED_MAX)
        advance_by_reader(sim);
    else
        advance_by_clock(sim);
}

static void on_publish(void *ctx)
{
    sim_state *sim = ctx;

    if (totals_wanted) {
        totals_wanted = 0;
        append_totals(sim);
    }
    advance(sim);
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

    while ((next = kt_sim_market_peek(sim->market)) != NULL && next->at_ns < sim->origin_ns && !sim->out_of_memory) {
        kt_sim_trade trade = *next;

        kt_sim_market_take(sim->market);
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
            !kt_ws_is_open(client->conn))
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
        code = kt_ws_send(client->conn, KT_WS_TEXT, message.s, message.n);
        if (code == KT_FULL)
            kt_ws_close(client->conn, KT_WS_CLOSE_POLICY, KT_TEXT("too slow"));
        delivered |= code == KT_OK;
    }
    return delivered;
}

static bool deliver(void *ctx, uint32_t symbol, kt_text event)
{
    return deliver_stream(ctx, symbol, KT_SIM_TRADES, event);
}

/* Of the books, which are Binance's. */
static bool deliver_book(void *ctx, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    return deliver_stream(&((sim_state *)ctx)->feeds[1], symbol, stream, event);
}

static bool books_silent(void *ctx, int64_t now_ns)
{
    return kt_sim_feed_silent(((sim_state *)ctx)->feeds[1].feed, now_ns);
}

static void disconnect(void *ctx)
{
    sim_feed *feed = ctx;

    for (sim_client *client = feed->sim->clients; client != NULL; client = client->next)
        if (&feed->sim->feeds[client->feed] == feed && kt_ws_is_open(client->conn)) {
            kt_ws_close(client->conn, KT_WS_CLOSE_INTERNAL, KT_TEXT("a fault that was asked for"));
            feed->awaited = true;
        }
}

static bool is_damaged(kt_deflater *deflater, const uint8_t *packed, size_t size)
{
    kt_pool pool;
    kt_queue message = { 0 };
    kt_code code = KT_OK;

    kt_pool_init(&pool, 1 << 20, 0);
    code = kt_inflate(deflater, packed, size, &message, &pool, KT_SIM_EVENT_SIZE);
    kt_queue_clear(&message, &pool);
    kt_pool_done(&pool);
    return code == KT_CORRUPT;
}

/* A frame with half of the compressed message, as long as nobody can take that for a whole one. 0: not possible. */
static size_t half_deflated(sim_state *sim, kt_text message, uint8_t *frame)
{
    kt_deflater *deflater = kt_ws_server_deflater(sim->ws);
    uint8_t packed[KT_SIM_EVENT_SIZE];
    size_t size = kt_deflate(deflater, message.s, message.n, packed, sizeof packed) / 2;

    while (size != 0 && !is_damaged(deflater, packed, size))
        size--;
    if (size == 0)
        return 0;
    size_t header = kt_ws_header(frame, KT_WS_TEXT, true, size, NULL);

    frame[0] |= KT_WS_COMPRESSED;
    memcpy(frame + header, packed, size);
    return header + size;
}

/* Half of a frame, or a whole one with half of the compressed data in it, is the last that they get. */
static void cut(void *ctx, uint32_t symbol, kt_text event)
{
    sim_feed *feed = ctx;
    uint8_t frame[KT_WS_HEADER_MAX + KT_SIM_EVENT_SIZE];

    for (sim_client *client = feed->sim->clients; client != NULL; client = client->next) {
        if (&feed->sim->feeds[client->feed] != feed || (client->subscribed[symbol] & 1 << KT_SIM_TRADES) == 0 ||
            !kt_ws_is_open(client->conn))
            continue;
        size_t packed = kt_ws_deflates(client->conn) ? half_deflated(feed->sim, event, frame) : 0;

        if (packed != 0) {
            kt_ws_send_frame(client->conn, frame, packed);
            kt_ws_close(client->conn, KT_WS_CLOSE_INTERNAL, KT_TEXT("a fault that was asked for"));
        } else {
            size_t header = kt_ws_header(frame, KT_WS_TEXT, true, event.n, NULL);

            memcpy(frame + header, event.s, event.n);
            kt_ws_send_frame(client->conn, frame, header + event.n / 2);
            kt_ws_write_now(client->conn);
            kt_ws_drop(client->conn, "a fault that was asked for");
        }
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
    else
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
        kt_ws_send(conn, KT_WS_TEXT, reply.s, reply.n);
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
    client->conn = kt_ws_accept(sim->ws, http, exchange, request, client);
    if (client->conn == NULL) {
        free(client);
        return;
    }
    client->next = sim->clients;
    sim->clients = client;
    sim->client_count++;
    sim->feeds[feed].connection_count++;
    if (feed == 0) {
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

static void on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    sim_state *sim = ctx;
    bool combined = false;
    uint32_t feed = feed_of_path(sim, request->path, request->query, &combined);
    kt_sim_rest rest = { .market = sim->market,
        .histories = sim->histories,
        .books = sim->books,
        .generic = sim->options->generic,
        .binance = sim->options->binance,
        .shuffle = sim->options->shuffle ? &sim->shuffle : NULL };
    kt_http_response response = { 0 };
    kt_builder body;

    if (feed < FEEDS) {
        accept_client(sim, http, exchange, request, feed, combined);
        return;
    }
    if (request->method != KT_HTTP_GET) {
        kt_http_fail(http, exchange, 405, "only GET is understood here");
        return;
    }
    if (kt_text_equal(request->path, KT_TEXT("/sim/truth"))) {
        answer_truth(sim, http, exchange);
        return;
    }
    if (sim->options->no_rest) {
        kt_http_fail(http, exchange, 503, "REST is switched off (--no-rest)");
        return;
    }
    if (sim->options->speed != KT_SIM_SPEED_MAX)
        advance(sim); /* complete up to this moment */
    rest.now_ns = sim->now_ns;
    kt_builder_init(&body, sim->body, KT_SIM_BODY_SIZE);
    response.status = kt_sim_rest_answer(&rest, request->path, request->query, &body);
    response.body = kt_builder_done(&body);
    if (response.status == 0)
        kt_http_fail(http, exchange, 404, "there are /stream, /trades, /ws, /api/v3/... and /sim/truth");
    else if (body.code != KT_OK)
        kt_http_fail(http, exchange, 500, "the answer does not fit %d bytes", KT_SIM_BODY_SIZE);
    else
        kt_http_respond(http, exchange, &response);
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
        .seed = sim->options->market.seed * FEEDS + index,
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
    kt_sim_books_options options = { .market = sim->market,
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
    sim->histories = calloc(kt_sim_symbol_count(sim->market), sizeof *sim->histories);
    sim->body = malloc(KT_SIM_BODY_SIZE);
    sim->envelope = malloc(ENVELOPE_SIZE);
    if (sim->histories == NULL || sim->body == NULL || sim->envelope == NULL)
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
    if (options->binance && code == KT_OK)
        code = open_books(sim, err);
    return code;
}

static kt_code open_server(sim_state *sim, kt_err *err)
{
    kt_ws_server_options ws = { .handlers = { .on_message = on_message, .on_drain = on_drain, .on_close = on_close },
        .deflate = true,
        .message_max = MESSAGE_MAX / 2,
        .out_max = OUT_MAX };
    kt_http_server_options http = {
        .host = "127.0.0.1", .port = sim->options->port, .on_request = on_request, .ctx = sim
    };
    kt_code code = KT_OK;

    if (sim->options->tls_certificate != NULL)
        code = kt_tls_server_new(sim->options->tls_certificate, sim->options->tls_key, &sim->tls, err);
    http.tls = sim->tls;
    if (code == KT_OK)
        code = kt_ws_server_new(sim->loop, &ws, &sim->ws, err);
    if (code == KT_OK)
        code = kt_http_server_open(sim->loop, &http, &sim->http, err);
    if (code != KT_OK)
        return code;
    sim->timer = (kt_timer){ .on_due = on_timer, .ctx = sim };
    sim->hook = (kt_hook){ .fn = on_publish, .ctx = sim, .phase = KT_PHASE_PUBLISH };
    kt_loop_hook(sim->loop, &sim->hook);
    return KT_OK;
}

void kt_sim_close(kt_sim *sim)
{
    if (sim == NULL)
        return;
    kt_timer_cancel(sim->loop, &sim->timer);
    kt_loop_unhook(sim->loop, &sim->hook);
    if (sim->http != NULL)
        kt_http_server_close(sim->http);
    if (sim->ws != NULL)
        kt_ws_server_free(sim->ws);
    kt_tls_free(sim->tls);
    while (sim->clients != NULL) {
        sim_client *next = sim->clients->next;

        free(sim->clients);
        sim->clients = next;
    }
    for (uint32_t i = 0; i < FEEDS; i++)
        kt_sim_feed_free(sim->feeds[i].feed);
    for (uint32_t i = 0; sim->histories != NULL && i < kt_sim_symbol_count(sim->market); i++)
        kt_sim_history_done(&sim->histories[i]);
    free(sim->histories);
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
    sim->faults = options->faults;
    sim->loop = loop;
    kt_rng_init(&sim->shuffle, ~options->market.seed);
    code = open_server(
        sim, err); /* a busy port is told before a long tape is read; nobody is served before the loop runs */
    if (code == KT_OK)
        code = open_market(sim, err);
    if (code != KT_OK) {
        kt_sim_close(sim);
        return code;
    }
    *out_sim = sim;
    return KT_OK;
}

void kt_sim_start(kt_sim *sim)
{
    start(sim);
}

kt_sim_faults *kt_sim_faults_of(kt_sim *sim)
{
    return &sim->faults;
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
    printf("listening 127.0.0.1:%u\n", kt_http_server_port(sim->http));
    fflush(stdout);
    if (options->wait == 0 && options->speed != KT_SIM_SPEED_MAX) {
        kt_loop_turn(loop, 0, NULL); /* so that the clock starts now, however long the tape took to read */
        start(sim);
    }
    code = kt_loop_run(loop, err);
    if (sim->out_of_memory)
        code = kt_fail(err, KT_SYS, "no memory for more trades: --keep says how many are kept");
    append_totals(sim);
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
