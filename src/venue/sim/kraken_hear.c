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

/* What a client asks. */
typedef struct request {
    const kt_sim_kraken_host *host;
    const kt_json_doc *doc;
    kt_text verb;     /* subscribe, unsubscribe, ping */
    uint32_t what;    /* node of the object that says what of; 0: none */
    kt_text channel;  /* book, trade, ticker or spread, ohlc */
    uint32_t symbols; /* node; 0: none */
    uint64_t depth;
    uint64_t minutes; /* of candles */
    uint32_t id;      /* node; 0: none */
} request;

static const kt_json_field fields_v1[] = {
    KT_JSON_FIELD(request, verb, "event", TEXT, 0),
    KT_JSON_FIELD(request, id, "reqid", ANY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request, symbols, "pair", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request, what, "subscription", OBJECT, KT_JSON_OPTIONAL),
};

static const kt_json_field what_v1[] = {
    KT_JSON_FIELD(request, channel, "name", TEXT, 0),
    KT_JSON_FIELD(request, depth, "depth", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request, minutes, "interval", U64, KT_JSON_OPTIONAL),
};

static const kt_json_field fields_v2[] = {
    KT_JSON_FIELD(request, verb, "method", TEXT, 0),
    KT_JSON_FIELD(request, what, "params", OBJECT, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request, id, "req_id", ANY, KT_JSON_OPTIONAL),
};

static const kt_json_field what_v2[] = {
    KT_JSON_FIELD(request, channel, "channel", TEXT, 0),
    KT_JSON_FIELD(request, symbols, "symbol", ARRAY, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request, depth, "depth", U64, KT_JSON_OPTIONAL),
    KT_JSON_FIELD(request, minutes, "interval", U64, KT_JSON_OPTIONAL),
};

/* In the words of the version. */
static kt_code read_request(const kt_json_doc *doc, request *out, kt_err *err)
{
    bool old = kt_sim_kraken_is_v1(out->host->format);
    kt_code code = kt_json_fields(
        doc, 0, old ? fields_v1 : fields_v2, old ? KT_COUNT(fields_v1) : KT_COUNT(fields_v2), NULL, out, NULL, err);

    if (code == KT_OK && out->what != 0)
        code = kt_json_fields(
            doc, out->what, old ? what_v1 : what_v2, old ? KT_COUNT(what_v1) : KT_COUNT(what_v2), NULL, out, NULL, err);
    return code;
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
    if (error == NULL && wanted && (stream == KT_SIM_DEPTH || stream == KT_SIM_CANDLES))
        host->snapshot(host->ctx, symbol, stream);
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
    request asked = { .host = host, .depth = DEPTH_ASKED, .minutes = 1 };
    kt_json_doc doc;
    kt_err err = { 0 };

    if (kt_json_parse(message, nodes, NODE_MAX, &doc, &err) != KT_OK || read_request(&doc, &asked, &err) != KT_OK) {
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
