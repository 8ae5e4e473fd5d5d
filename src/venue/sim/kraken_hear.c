#include "base/json.h"
#include "venue/sim/kraken.h"
#include "venue/sim/kraken_parts.h"

enum {
    NAME_SIZE = 64,
    WORDS_SIZE = 1024,
    NODE_MAX = 4096,
    DEPTH_ASKED = 10, /* where it is not said */
};

void kt_sim_kraken_greeting(const kt_venue_format *format, kt_builder *out)
{
    kt_builder_str(
        out, kt_sim_kraken_is_v1(format)
                 ? "{\"connectionID\":8628615390848610000,\"event\":\"systemStatus\",\"status\":\"online\",\"version\":"
                   "\"1.9.0\"}"
                 : "{\"channel\":\"status\",\"type\":\"update\",\"data\":[{\"version\":\"2.0.0\",\"system\":\"online\","
                   "\"api_version\":\"v2\",\"connection_id\":8628615390848610000}]}");
}

kt_text kt_sim_kraken_heartbeat(const kt_venue_format *format)
{
    return kt_sim_kraken_is_v1(format) ? KT_TEXT("{\"event\":\"heartbeat\"}") : KT_TEXT("{\"channel\":\"heartbeat\"}");
}

/* What a client asks, in either version's words. */
typedef struct request {
    const kt_sim_kraken_host *host;
    const kt_json_doc *doc;
    kt_text verb;     /* subscribe, unsubscribe, ping */
    kt_text channel;  /* book, trade, ticker or spread, ohlc */
    uint32_t symbols; /* node; 0: none */
    uint64_t depth;
    uint64_t minutes; /* of candles */
    uint32_t id;      /* node; 0: none */
} request;

typedef struct words_v1 {
    kt_text verb;
    uint32_t id, symbols, subscription;
    kt_text channel;
    uint64_t depth, minutes;
} words_v1;

static const kt_json_field words_v1_fields[] = {
    KT_JSON_FIELD(words_v1, verb, "event", TEXT, 0),
    KT_JSON_FIELD(words_v1, id, "reqid", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v1, symbols, "pair", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v1, subscription, "subscription", OBJECT, KT_JSON_OPTIONAL),
};

static const kt_json_field subscription_fields[] = {
    KT_JSON_FIELD(words_v1, channel, "name", TEXT, 0),
    KT_JSON_FIELD(words_v1, depth, "depth", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v1, minutes, "interval", U64, KT_JSON_OPTIONAL),
};

typedef struct words_v2 {
    kt_text verb;
    uint32_t id, params, symbols;
    kt_text channel;
    uint64_t depth, minutes;
} words_v2;

static const kt_json_field words_v2_fields[] = {
    KT_JSON_FIELD(words_v2, verb, "method", TEXT, 0),
    KT_JSON_FIELD(words_v2, params, "params", OBJECT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v2, id, "req_id", ANY, KT_JSON_OPTIONAL),
};

static const kt_json_field params_fields[] = {
    KT_JSON_FIELD(words_v2, channel, "channel", TEXT, 0),
    KT_JSON_FIELD(words_v2, symbols, "symbol", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v2, depth, "depth", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(words_v2, minutes, "interval", U64, KT_JSON_OPTIONAL),
};

static bool read_v1(const kt_json_doc *doc, request *out, kt_err *err)
{
    words_v1 words = { .depth = DEPTH_ASKED, .minutes = 1 };

    if (kt_json_fields(doc, 0, words_v1_fields, KT_COUNT(words_v1_fields), NULL, &words, NULL, err) != KT_OK ||
        (words.subscription != 0 && kt_json_fields(doc, words.subscription, subscription_fields,
                                        KT_COUNT(subscription_fields), NULL, &words, NULL, err) != KT_OK))
        return false;
    out->verb = words.verb;
    out->id = words.id;
    out->symbols = words.symbols;
    out->channel = words.channel;
    out->depth = words.depth;
    out->minutes = words.minutes;
    return true;
}

static bool read_v2(const kt_json_doc *doc, request *out, kt_err *err)
{
    words_v2 words = { .depth = DEPTH_ASKED, .minutes = 1 };

    if (kt_json_fields(doc, 0, words_v2_fields, KT_COUNT(words_v2_fields), NULL, &words, NULL, err) != KT_OK ||
        (words.params != 0 && kt_json_fields(doc, words.params, params_fields, KT_COUNT(params_fields), NULL, &words,
                                  NULL, err) != KT_OK))
        return false;
    out->verb = words.verb;
    out->id = words.id;
    out->symbols = words.symbols;
    out->channel = words.channel;
    out->depth = words.depth;
    out->minutes = words.minutes;
    return true;
}

static void put_id(const request *asked, const char *name, kt_json_writer *writer)
{
    if (asked->id == 0)
        return;
    kt_json_name(writer, name);
    kt_json_put_node(writer, asked->doc, asked->id);
}

static void put_shape(const request *asked, kt_sim_stream stream, kt_json_writer *writer)
{
    if (stream == KT_SIM_DEPTH)
        kt_json_member_u64(writer, "depth", asked->depth);
    if (stream == KT_SIM_CANDLES)
        kt_json_member_u64(writer, "interval", asked->minutes);
}

static void put_reply_v1(
    const request *asked, kt_text symbol, kt_sim_stream stream, const char *error, kt_json_writer *writer)
{
    bool added = kt_text_equal(asked->verb, KT_TEXT("subscribe"));
    char name[NAME_SIZE];
    kt_builder channel;

    kt_builder_init(&channel, name, sizeof name);
    kt_builder_text(&channel, asked->channel);
    if (stream == KT_SIM_DEPTH || stream == KT_SIM_CANDLES)
        kt_builder_format(
            &channel, "-%llu", (unsigned long long)(stream == KT_SIM_DEPTH ? asked->depth : asked->minutes));
    if (error != NULL)
        kt_json_member_text(writer, "errorMessage", kt_text_of(error));
    else
        kt_json_member_u64(writer, "channelID", KT_SIM_KRAKEN_CHANNEL_NUMBER);
    kt_json_member_text(writer, "channelName", kt_builder_done(&channel));
    kt_json_member_text(writer, "event", KT_TEXT("subscriptionStatus"));
    kt_json_member_text(writer, "pair", symbol);
    put_id(asked, "reqid", writer);
    kt_json_member_text(writer, "status",
        error != NULL ? KT_TEXT("error")
        : added       ? KT_TEXT("subscribed")
                      : KT_TEXT("unsubscribed"));
    kt_json_name(writer, "subscription");
    kt_json_open_object(writer);
    put_shape(asked, stream, writer);
    kt_json_member_text(writer, "name", asked->channel);
    kt_json_close_object(writer);
}

static void put_reply_v2(
    const request *asked, kt_text symbol, kt_sim_stream stream, const char *error, kt_json_writer *writer)
{
    kt_json_member_text(writer, "method", asked->verb);
    if (error == NULL) {
        kt_json_name(writer, "result");
        kt_json_open_object(writer);
        kt_json_member_text(writer, "channel", asked->channel);
        kt_json_member_text(writer, "symbol", symbol);
        put_shape(asked, stream, writer);
        kt_json_close_object(writer);
    } else {
        kt_json_member_text(writer, "error", kt_text_of(error));
        kt_json_member_text(writer, "symbol", symbol);
    }
    kt_json_member_bool(writer, "success", error == NULL);
    kt_json_name(writer, "time_in");
    kt_json_put_time(writer, asked->host->now_ns);
    kt_json_name(writer, "time_out");
    kt_json_put_time(writer, asked->host->now_ns);
    put_id(asked, "req_id", writer);
}

static void reply(const request *asked, kt_text symbol, kt_sim_stream stream, const char *error)
{
    char mem[WORDS_SIZE];
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    (kt_sim_kraken_is_v1(asked->host->format) ? put_reply_v1 : put_reply_v2)(asked, symbol, stream, error, &writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        asked->host->send(asked->host->ctx, text);
}

/* The stream that the channel is; false: it is none of ours. */
static bool stream_of(const kt_venue_format *format, kt_text channel, kt_sim_stream *out)
{
    const kt_text names[KT_SIM_CANDLES + 1] = { [KT_SIM_TRADES] = KT_TEXT("trade"),
        [KT_SIM_DEPTH] = KT_TEXT("book"),
        [KT_SIM_TICKER] = kt_sim_kraken_is_v1(format) ? KT_TEXT("spread") : KT_TEXT("ticker"),
        [KT_SIM_CANDLES] = KT_TEXT("ohlc") };

    for (*out = KT_SIM_TRADES; *out <= KT_SIM_CANDLES; ++*out)
        if (kt_text_equal(channel, names[*out]))
            return true;
    return false;
}

static bool depth_is_served(const kt_venue_format *format, uint64_t depth)
{
    return depth == 1000 || (!kt_sim_kraken_is_v1(format) && (depth == 100 || depth == 500));
}

static void subscribe_one(const request *asked, kt_text name)
{
    const kt_sim_kraken_host *host = asked->host;
    bool wanted = kt_text_equal(asked->verb, KT_TEXT("subscribe"));
    uint32_t symbol = kt_sim_kraken_find(host->market, name, kt_sim_kraken_is_v1(host->format), "/");
    kt_sim_stream stream = KT_SIM_TRADES;
    const char *error = NULL;
    char words[WORDS_SIZE / 2];

    if (symbol == kt_sim_symbol_count(host->market)) {
        snprintf(words, sizeof words, "Currency pair not supported %.*s", (int)(name.n < 100 ? name.n : 100), name.s);
        error = words;
    } else if (!stream_of(host->format, asked->channel, &stream)) {
        error = "Channel not supported by the sim";
    } else if (stream == KT_SIM_DEPTH && !depth_is_served(host->format, asked->depth)) {
        error = "Subscription depth not supported by the sim";
    } else if (stream == KT_SIM_CANDLES && asked->minutes != 1) {
        error = "Subscription ohlc interval not supported by the sim";
    } else if (!host->subscribe(host->ctx, symbol, stream, wanted)) {
        error = wanted ? "Already subscribed" : "Subscription Not Found";
    }
    reply(asked, name, stream, error);
    if (error == NULL && wanted && stream == KT_SIM_DEPTH)
        host->snapshot(host->ctx, symbol);
}

static void pong(const request *asked)
{
    bool old = kt_sim_kraken_is_v1(asked->host->format);
    char mem[WORDS_SIZE];
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, old ? "event" : "method", KT_TEXT("pong"));
    put_id(asked, old ? "reqid" : "req_id", &writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        asked->host->send(asked->host->ctx, text);
}

/* A refusal of the whole message. */
static void refuse(const kt_sim_kraken_host *host, const char *why)
{
    char mem[WORDS_SIZE];
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    if (kt_sim_kraken_is_v1(host->format)) {
        kt_json_member_text(&writer, "errorMessage", kt_text_of(why));
        kt_json_member_text(&writer, "event", KT_TEXT("error"));
    } else {
        kt_json_member_text(&writer, "error", kt_text_of(why));
        kt_json_member_text(&writer, "method", KT_TEXT("subscribe"));
        kt_json_member_bool(&writer, "success", false);
    }
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        host->send(host->ctx, text);
}

void kt_sim_kraken_hear(const kt_sim_kraken_host *host, kt_text message)
{
    kt_json_node nodes[NODE_MAX];
    request asked = { .host = host };
    kt_json_doc doc;
    kt_err err = { 0 };

    if (kt_json_parse(message, nodes, NODE_MAX, &doc, &err) != KT_OK ||
        !(kt_sim_kraken_is_v1(host->format) ? read_v1 : read_v2)(&doc, &asked, &err)) {
        refuse(host, err.msg);
        return;
    }
    asked.doc = &doc;
    if (kt_text_equal(asked.verb, KT_TEXT("ping"))) {
        pong(&asked);
        return;
    }
    if (asked.symbols == 0 || asked.channel.n == 0 ||
        !(kt_text_equal(asked.verb, KT_TEXT("subscribe")) || kt_text_equal(asked.verb, KT_TEXT("unsubscribe")))) {
        refuse(host, "Event(s) not found");
        return;
    }
    kt_json_each (&doc, asked.symbols, item)
        if (kt_json_kind_of(&doc, item) == KT_JSON_STRING)
            subscribe_one(&asked, kt_json_raw(&doc, item));
}
