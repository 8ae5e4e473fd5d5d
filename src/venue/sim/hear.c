#include <string.h>

#include "base/assert.h"
#include "net/url.h"
#include "venue/sim/parts.h"

enum {
    STREAMS_MAX = 1024, /* of one subscription message; the venue's own limit */
    REPLY_SIZE = 64 << 10,
    NAME_SIZE = 64, /* of a stream */
};

/* ---- Binance: names of streams in the address, and requests ---- */

/* The symbol and the stream of a name, btcusdt@trade; false: none, and the venue accepts such names without a word. */
static bool stream_of_name(const kt_sim *sim, kt_text name, uint32_t *out_symbol, kt_sim_stream *out_stream)
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

static void subscribe_names(kt_sim_client *client, kt_text names)
{
    kt_text name;
    uint32_t symbol;
    kt_sim_stream stream;

    while (kt_text_cut(&names, '/', &name))
        if (stream_of_name(client->sim, name, &symbol, &stream))
            kt_sim_subscribe(client, symbol, stream);
}

/* /stream?streams=btcusdt@trade/..., or /ws/btcusdt@trade/...: with the envelope of a combined stream, or without. */
static void welcome_binance(kt_sim_client *client, const kt_http_request *request)
{
    char mem[KT_HTTP_TARGET_MAX];
    kt_text path = request->path, names = KT_TEXT("");

    client->combined = kt_text_equal(path, KT_TEXT("/stream"));
    if (client->combined)
        kt_url_query(request->query, KT_TEXT("streams"), &names);
    else if (path.n > strlen("/ws/"))
        names = (kt_text){ path.s + strlen("/ws/"), path.n - strlen("/ws/") };
    if (kt_url_decode(names, client->combined, mem, &names.n) == KT_OK)
        subscribe_names(client, (kt_text){ mem, names.n });
}

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

static void put_subscriptions(const kt_sim_client *client, kt_json_writer *writer)
{
    kt_json_open_array(writer);
    for (uint32_t i = 0; i < kt_sim_symbol_count(client->sim->market); i++)
        for (kt_sim_stream stream = KT_SIM_TRADES; stream < KT_SIM_STREAM_COUNT; stream++) {
            char mem[NAME_SIZE];
            kt_builder name;

            if (!kt_sim_subscribes(client, i, stream))
                continue;
            kt_builder_init(&name, mem, sizeof mem);
            kt_sim_write_stream(&kt_sim_symbol_at(client->sim->market, i)->pair, kt_sim_stream_suffix(stream), &name);
            kt_json_put_text(writer, kt_builder_done(&name));
        }
    kt_json_close_array(writer);
}

/* Do what is asked; NULL, or the venue's words of refusal. */
static const char *obey(
    kt_sim_client *client, const kt_json_doc *doc, const request_message *message, kt_json_writer *writer)
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
            kt_sim_subscribe(client, symbol, stream);
        else
            kt_sim_unsubscribe(client, symbol, stream);
    }
    kt_json_name(writer, "result");
    kt_json_put_null(writer);
    return NULL;
}

static void hear_binance(kt_sim_client *client, kt_text text)
{
    kt_json_node nodes[4 * STREAMS_MAX];
    char mem[REPLY_SIZE];
    request_message message = { 0 };
    const char *refusal = NULL;
    kt_json_writer writer;
    kt_json_doc doc;
    kt_text reply;
    kt_err err = { 0 };
    bool readable = false;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    readable = kt_json_parse(text, nodes, KT_COUNT(nodes), &doc, &err) == KT_OK;
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
        kt_sim_say(client, reply);
}

/* ---- Kraken ---- */

static void kraken_send(void *ctx, kt_text message)
{
    kt_sim_say(ctx, message);
}

static bool kraken_subscribe(void *ctx, uint32_t symbol, kt_sim_stream stream, bool wanted)
{
    kt_sim_client *client = ctx;

    if (kt_sim_subscribes(client, symbol, stream) == wanted)
        return false;
    if (wanted)
        kt_sim_subscribe(client, symbol, stream);
    else
        kt_sim_unsubscribe(client, symbol, stream);
    return true;
}

static void kraken_snapshot(void *ctx, uint32_t symbol, kt_sim_stream stream)
{
    kt_sim_client *client = ctx;
    kt_sim *sim = client->sim;
    const kt_row_instrument *instrument = &kt_sim_symbol_at(sim->market, symbol)->pair;
    kt_builder text;
    kt_ev_book book;

    kt_builder_init(&text, sim->envelope, KT_SIM_ENVELOPE_SIZE);
    if (stream == KT_SIM_DEPTH) {
        kt_sim_books_whole(sim->books, symbol, KT_SIM_CHANGE_LEVELS / 2, &book);
        kt_sim_kraken_write_snapshot(sim->options->kraken, instrument, &book, &text);
    } else {
        kt_sim_kraken_write_candles(sim->options->kraken, instrument, &sim->histories[symbol], &text);
    }
    kt_assert(text.code == KT_OK);
    if (text.n > 0)
        kt_sim_say(client, kt_builder_done(&text));
}

static void welcome_kraken(kt_sim_client *client, const kt_http_request *request)
{
    char mem[512];
    kt_builder text;

    kt_builder_init(&text, mem, sizeof mem);
    kt_sim_kraken_greeting(client->sim->options->kraken, &text);
    kt_sim_say(client, kt_builder_done(&text));
}

static void hear_kraken(kt_sim_client *client, kt_text message)
{
    const kt_sim *sim = client->sim;
    const kt_sim_kraken_host host = { .format = sim->options->kraken,
        .market = sim->market,
        .now_ns = sim->now_ns,
        .ctx = client,
        .send = kraken_send,
        .subscribe = kraken_subscribe,
        .snapshot = kraken_snapshot };

    kt_sim_kraken_hear(&host, message);
}

/* ---- who speaks what ---- */

static void welcome_generic(kt_sim_client *client, const kt_http_request *request)
{
    for (uint32_t i = 0; i < kt_sim_symbol_count(client->sim->market); i++)
        kt_sim_subscribe(client, i, KT_SIM_TRADES);
}

static void hear_nothing(kt_sim_client *client, kt_text message)
{
}

static const struct speaker {
    void (*welcome)(kt_sim_client *client, const kt_http_request *request);
    void (*hear)(kt_sim_client *client, kt_text message);
} speakers[KT_SIM_SERVED_COUNT] = {
    [KT_SIM_GENERIC] = { welcome_generic, hear_nothing },
    [KT_SIM_BINANCE] = { welcome_binance, hear_binance },
    [KT_SIM_KRAKEN] = { welcome_kraken, hear_kraken },
};

void kt_sim_welcome(kt_sim_client *client, const kt_http_request *request)
{
    speakers[client->served - client->sim->served].welcome(client, request);
}

void kt_sim_hear(kt_sim_client *client, kt_text message)
{
    speakers[client->served - client->sim->served].hear(client, message);
}
