#include "simulate/crowd.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "net/fetch.h"
#include "net/ws_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EPOCH_SIZE = 17,
    NODES = 256,
    AGAIN_MS = 200,  /* until a connection that failed is tried again, on average */
    QUIET_PINGS = 4, /* a connection on which so many had no answer is dead */
    MESSAGE_MAX = 1 << 20,
    HEAD_MAX = 512,
};

typedef struct subscription {
    const char *channel;
    char epoch[EPOCH_SIZE]; /* of the last event, or as answered; "": none yet */
    uint64_t offset;        /* last heard */
    uint64_t lost_at;       /* of crowd->losses when it was heard */
    int64_t last_ns;        /* what comes behind this offset is not older; 0: nobody knows */
    bool conflate;
    bool heard; /* an event, on this connection: the first may be of an epoch before the one that was answered */
    bool answered;
} subscription;

typedef struct guest {
    kt_crowd *crowd;
    uint32_t number;
    kt_ws_client *client; /* NULL: away */
    kt_timer timer;       /* the next ping, or coming back */
    int64_t leaves_ns;
    int64_t heard_ns;
    uint64_t seq;
    uint64_t losses; /* of the crowd when this connection was begun: what comes over it was said before the next one */
    uint64_t asked;  /* id of the request under way; 0: none */
    subscription subscriptions[KT_CROWD_SUBSCRIPTIONS];
} guest;

struct kt_crowd {
    kt_crowd_options options;
    guest *guests;
    bool settled;
    uint64_t losses; /* power cuts */
    struct {
        uint64_t key, event;
    } * remembered;
    kt_crowd_counts counts;
    uint64_t last_id;
    char url[64];
};

#define FAIL(guest_, ...) (guest_)->crowd->options.failed((guest_)->crowd->options.ctx, __VA_ARGS__)

static void in_ms(guest *who, int64_t ms)
{
    kt_loop *loop = who->crowd->options.loop;

    kt_assert(kt_timer_set(loop, &who->timer, kt_loop_now(loop) + ms * KT_NS_PER_MS) == KT_OK);
}

static int64_t about_ms(kt_crowd *crowd, int64_t ms)
{
    return kt_rng_between(crowd->options.rng, ms / 2, ms + ms / 2);
}

/* ---- what is heard ---- */

/* Everybody hears the same. The table forgets; what it remembers must agree. */
static void remember(guest *who, const subscription *sub, uint64_t offset, uint64_t event)
{
    kt_crowd *crowd = who->crowd;
    uint64_t key =
        kt_hash64(sub->channel, strlen(sub->channel), offset) ^ kt_hash64(sub->epoch, strlen(sub->epoch), offset);
    uint64_t place = key % KT_CROWD_REMEMBERED;

    if (crowd->remembered[place].key == key && crowd->remembered[place].event != event)
        FAIL(who, "clients heard two events with epoch %s and offset %llu on %s", sub->epoch,
            (unsigned long long)offset, sub->channel);
    crowd->remembered[place].key = key;
    crowd->remembered[place].event = event;
}

static subscription *subscription_of(guest *who, kt_text channel)
{
    for (uint32_t i = 0; i < KT_CROWD_SUBSCRIPTIONS; i++)
        if (who->subscriptions[i].channel != NULL && kt_text_equal(channel, kt_text_of(who->subscriptions[i].channel)))
            return &who->subscriptions[i];
    FAIL(who, "client %u hears of '%.*s', to which it has not subscribed", who->number, KT_TEXT_ARG(channel));
    return NULL;
}

static bool same_epoch(const char *epoch, kt_text text)
{
    return kt_text_equal(kt_text_of(epoch), text);
}

static void set_epoch(char *epoch, kt_text text)
{
    snprintf(epoch, EPOCH_SIZE, "%.*s", KT_TEXT_ARG(text));
}

/* The value behind `name` in the head of an event, which the edge always writes in the same order. */
static kt_text member(kt_text message, const char *name)
{
    size_t n = message.n < HEAD_MAX ? message.n : HEAD_MAX;
    const char *at = memmem(message.s, n, name, strlen(name));
    kt_text value = { "", 0 };

    if (at == NULL)
        return value;
    value.s = at + strlen(name);
    while (value.s < message.s + n && *value.s == ' ')
        value.s++;
    while (value.s + value.n < message.s + n && value.s[value.n] != '"' && value.s[value.n] != ',' &&
           value.s[value.n] != '}')
        value.n++;
    return value;
}

static uint64_t number(kt_text message, const char *name)
{
    uint64_t value = 0;

    kt_text_u64(member(message, name), &value);
    return value;
}

static void on_event(guest *who, kt_text message)
{
    kt_crowd *crowd = who->crowd;
    subscription *sub = subscription_of(who, member(message, "\"channel\":\""));
    kt_text epoch = member(message, "\"epoch\":\"");
    kt_text offset_text = member(message, "\"offset\":");
    uint64_t offset = number(message, "\"offset\":"), skipped = number(message, "\"skipped\":");

    if (sub == NULL)
        return;
    if (!sub->answered) {
        FAIL(who, "client %u hears an event of %s before the answer", who->number, sub->channel);
        return;
    }
    if (offset != sub->offset + skipped + 1)
        FAIL(who, "client %u heard offset %llu of %s (epoch %.*s) behind %llu, with %llu skipped", who->number,
            (unsigned long long)offset, sub->channel, KT_TEXT_ARG(epoch), (unsigned long long)sub->offset,
            (unsigned long long)skipped);
    if (skipped > 0 && !sub->conflate)
        FAIL(who, "client %u was skipped %llu events of %s, which it had forbidden", who->number,
            (unsigned long long)skipped, sub->channel);
    if (sub->heard && !same_epoch(sub->epoch, epoch))
        FAIL(who, "client %u heard epoch %.*s of %s at offset %llu behind epoch %s, and was not told", who->number,
            KT_TEXT_ARG(epoch), sub->channel, (unsigned long long)offset, sub->epoch);
    set_epoch(sub->epoch, epoch);
    sub->heard = true;
    const char *rest = offset_text.s + offset_text.n;
    remember(who, sub, offset, kt_hash64(rest, (size_t)(message.s + message.n - rest), 0));
    sub->offset = offset;
    sub->lost_at = who->losses;
    /* It may have been long under way: its own time counts. */
    kt_assert(kt_time_parse_iso(member(message, "\"publish_time\":\""), &sub->last_ns) == KT_OK);
    crowd->counts.events++;
    crowd->counts.skipped += skipped;
}

static kt_text text_at(const kt_json_doc *doc, const char *name)
{
    uint32_t node = kt_json_get(doc, 0, kt_text_of(name));

    return node != 0 && kt_json_kind_of(doc, node) == KT_JSON_STRING ? kt_json_raw(doc, node) : (kt_text){ "", 0 };
}

static bool number_at(const kt_json_doc *doc, uint32_t object, const char *name, uint64_t *out)
{
    uint32_t node = kt_json_get(doc, object, kt_text_of(name));

    return node != 0 && kt_json_u64(doc, node, out) == KT_OK;
}

static void on_answer(guest *who, const kt_json_doc *doc)
{
    kt_crowd *crowd = who->crowd;
    uint32_t recovered = kt_json_get(doc, 0, KT_TEXT("recovered"));
    kt_text channel = text_at(doc, "channel"), epoch = text_at(doc, "epoch");
    uint64_t offset = 0;

    if (!kt_text_equal(text_at(doc, "op"), KT_TEXT("subscribe")))
        return;
    subscription *sub = subscription_of(who, channel);
    if (sub == NULL)
        return;
    bool resumed = sub->epoch[0] != '\0', whole = recovered != 0 && kt_json_kind_of(doc, recovered) == KT_JSON_TRUE;
    kt_assert(number_at(doc, 0, "offset", &offset));
    bool kept = sub->last_ns != 0 && who->heard_ns - sub->last_ns <= crowd->options.kept_ns;
    if (resumed && !whole && sub->lost_at == crowd->losses && kept)
        FAIL(who, "client %u can not resume %s at epoch %s, offset %llu (%.*s), and nothing was lost", who->number,
            sub->channel, sub->epoch, (unsigned long long)sub->offset, KT_TEXT_ARG(text_at(doc, "reason")));
    if (resumed && whole && offset != sub->offset)
        FAIL(who, "client %u resumes %s at offset %llu and is answered %llu", who->number, sub->channel,
            (unsigned long long)sub->offset, (unsigned long long)offset);
    crowd->counts.resumes += resumed;
    crowd->counts.recovered += resumed && whole;
    if (resumed && !whole)
        sub->last_ns = 0;
    set_epoch(sub->epoch, epoch);
    sub->offset = offset;
    sub->lost_at = who->losses;
    sub->answered = true;
}

static void on_gap(guest *who, const kt_json_doc *doc)
{
    subscription *sub = subscription_of(who, text_at(doc, "channel"));
    uint32_t lost = kt_json_get(doc, 0, KT_TEXT("lost"));
    uint64_t to = 0;

    who->crowd->counts.gaps++;
    if (sub != NULL && lost != 0 && number_at(doc, lost, "to", &to))
        sub->offset = to;
}

static void on_epoch(guest *who, const kt_json_doc *doc)
{
    subscription *sub = subscription_of(who, text_at(doc, "channel"));
    uint64_t first = 0;

    who->crowd->counts.epochs++;
    if (sub == NULL || !number_at(doc, 0, "first_offset", &first))
        return;
    if (sub->heard && !same_epoch(sub->epoch, text_at(doc, "before")))
        FAIL(who, "client %u is told that epoch %.*s of %s has ended, and is in epoch %s", who->number,
            KT_TEXT_ARG(text_at(doc, "before")), sub->channel, sub->epoch);
    set_epoch(sub->epoch, text_at(doc, "epoch"));
    if (sub->offset >= first)
        sub->offset = first - 1;
}

static const struct {
    const char *type;
    void (*take)(guest *who, const kt_json_doc *doc);
} takers[] = { { "answer", on_answer }, { "gap", on_gap }, { "epoch", on_epoch } };

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    guest *who = ctx;
    kt_crowd *crowd = who->crowd;
    kt_text message = { (const char *)payload, size };
    kt_text type = member(message, "\"type\":\"");
    kt_json_node nodes[NODES];
    kt_json_doc doc;

    who->heard_ns = kt_loop_now(crowd->options.loop);
    crowd->counts.messages++;
    crowd->counts.hash = kt_hash64(payload, size, crowd->counts.hash);
    if (number(message, "\"seq\":") != ++who->seq)
        FAIL(who, "client %u heard seq %llu where %llu comes next", who->number,
            (unsigned long long)number(message, "\"seq\":"), (unsigned long long)who->seq);
    if (kt_text_equal(type, KT_TEXT("event"))) {
        on_event(who, message);
        return;
    }
    if (kt_text_equal(type, KT_TEXT("error")))
        FAIL(who, "client %u is refused: %.*s", who->number, (int)(size < 300 ? size : 300), (const char *)payload);
    for (uint32_t i = 0; i < KT_COUNT(takers); i++)
        if (kt_text_equal(type, kt_text_of(takers[i].type)) &&
            kt_json_parse(message, nodes, NODES, &doc, NULL) == KT_OK)
            takers[i].take(who, &doc);
}

/* ---- what is said ---- */

static void say(guest *who, const char *text)
{
    kt_ws_conn *conn = kt_ws_client_conn(who->client);

    if (conn != NULL)
        (void)kt_ws_send(conn, KT_WS_TEXT, text, strlen(text)); /* closing: it is told */
}

static void subscribe(guest *who, subscription *sub)
{
    char text[512];
    char from[96] = "\"live\"";

    sub->answered = sub->heard = false;
    if (sub->epoch[0] != '\0') {
        snprintf(from, sizeof from, "{\"epoch\":\"%s\",\"offset\":%llu}", sub->epoch, (unsigned long long)sub->offset);
    } else if (kt_rng_chance(who->crowd->options.rng, 0.3)) {
        snprintf(from, sizeof from, "\"snapshot\"");
        sub->last_ns = 0;
    } else {
        sub->last_ns = kt_loop_now(who->crowd->options.loop);
    }
    snprintf(text, sizeof text, "{\"id\":1,\"op\":\"subscribe\",\"channel\":\"%s\",\"conflate\":%s,\"from\":%s}",
        sub->channel, sub->conflate ? "true" : "false", from);
    say(who, text);
}

static void on_open(void *ctx, kt_ws_conn *conn)
{
    guest *who = ctx;

    who->seq = 0;
    who->crowd->counts.connects++;
    who->crowd->counts.connected++;
    for (uint32_t i = 0; i < KT_CROWD_SUBSCRIPTIONS; i++)
        if (who->subscriptions[i].channel != NULL)
            subscribe(who, &who->subscriptions[i]);
    in_ms(who, who->crowd->options.ping_ns / KT_NS_PER_MS);
}

static void leave(guest *who, int64_t back_ms)
{
    who->crowd->counts.connected -= kt_ws_client_conn(who->client) != NULL;
    kt_ws_client_free(who->client);
    who->client = NULL;
    in_ms(who, back_ms);
}

static void on_close(void *ctx, uint16_t code, kt_text reason)
{
    guest *who = ctx;

    who->crowd->counts.connected -= code != 0 && who->crowd->counts.connected > 0;
    kt_ws_client_free(who->client);
    who->client = NULL;
    in_ms(who, about_ms(who->crowd, AGAIN_MS));
}

static void come(guest *who)
{
    kt_crowd *crowd = who->crowd;
    kt_err err = { 0 };

    who->losses = crowd->losses;
    who->heard_ns = kt_loop_now(crowd->options.loop);
    who->leaves_ns = who->heard_ns + about_ms(crowd, crowd->options.stay_ns / KT_NS_PER_MS) * KT_NS_PER_MS;
    kt_code code = kt_ws_connect(crowd->options.loop,
        &(kt_ws_client_options){ .url = crowd->url,
            .subprotocol = "kontor.v1.json",
            .message_max = MESSAGE_MAX,
            .on_open = on_open,
            .on_message = on_message,
            .on_close = on_close,
            .ctx = who },
        &who->client, &err);
    if (code != KT_OK) {
        who->client = NULL;
        in_ms(who, about_ms(crowd, AGAIN_MS));
    }
}

static void on_asked(void *ctx, const kt_fetch_answer *answer)
{
    guest *who = ctx;

    who->asked = 0;
    if (answer->code == KT_OK)
        who->crowd->counts.answered++;
    if (answer->code == KT_OK && answer->status == 500)
        FAIL(who, "a question is answered 500: %.*s", KT_TEXT_ARG(answer->body));
}

static void ask(guest *who)
{
    kt_crowd *crowd = who->crowd;
    const kt_net *net = kt_loop_net(crowd->options.loop);
    char url[256];

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", crowd->options.port,
        crowd->options.questions[kt_rng_below(crowd->options.rng, crowd->options.question_count)]);
    who->asked = ++crowd->last_id;
    crowd->counts.questions++;
    kt_fetch_spec spec = { .method = KT_HTTP_GET, .url = url, .on_done = on_asked, .ctx = who };
    kt_assert(net->fetch(net->ctx, crowd->options.loop, &spec, crowd, who->asked, NULL) == KT_OK);
}

static void on_due(kt_timer *timer)
{
    guest *who = timer->ctx;
    kt_crowd *crowd = who->crowd;
    int64_t now_ns = kt_loop_now(crowd->options.loop);

    if (who->client == NULL) {
        come(who);
        return;
    }
    if (now_ns - who->heard_ns > QUIET_PINGS * crowd->options.ping_ns) {
        leave(who, about_ms(crowd, AGAIN_MS));
        return;
    }
    if (!crowd->settled && now_ns >= who->leaves_ns) {
        leave(who, 1 + about_ms(crowd, crowd->options.away_ns / KT_NS_PER_MS));
        return;
    }
    say(who, "{\"op\":\"ping\"}");
    if (who->asked == 0 && crowd->options.question_count > 0 && kt_rng_chance(crowd->options.rng, 0.2))
        ask(who);
    in_ms(who, crowd->options.ping_ns / KT_NS_PER_MS);
}

/* ---- for the simulator ---- */

void kt_crowd_settle(kt_crowd *crowd)
{
    crowd->settled = true;
}

void kt_crowd_lost(kt_crowd *crowd)
{
    crowd->losses++;
}

bool kt_crowd_caught_up(const kt_crowd *crowd,
    bool (*end_of)(void *ctx, const char *channel, uint64_t *out_epoch, uint64_t *out_offset), void *ctx, char *out_why,
    size_t why_size)
{
    for (uint32_t i = 0; i < crowd->options.client_count; i++) {
        const guest *who = &crowd->guests[i];
        if (who->client == NULL || kt_ws_client_conn(who->client) == NULL) {
            snprintf(out_why, why_size, "client %u is not connected", i);
            return false;
        }
        for (uint32_t j = 0; j < KT_CROWD_SUBSCRIPTIONS && who->subscriptions[j].channel != NULL; j++) {
            const subscription *sub = &who->subscriptions[j];
            uint64_t epoch = 0, offset = 0;
            char text[EPOCH_SIZE];
            if (!end_of(ctx, sub->channel, &epoch, &offset))
                continue;
            snprintf(text, sizeof text, "%016llx", (unsigned long long)epoch);
            if (sub->answered && sub->offset == offset && (offset == 0 || strcmp(text, sub->epoch) == 0))
                continue;
            snprintf(out_why, why_size,
                "client %u has heard %s up to epoch %s, offset %llu; it ends at epoch %s, offset %llu", i, sub->channel,
                sub->epoch, (unsigned long long)sub->offset, text, (unsigned long long)offset);
            return false;
        }
    }
    return true;
}

kt_crowd_counts kt_crowd_count(const kt_crowd *crowd)
{
    return crowd->counts;
}

kt_code kt_crowd_new(const kt_crowd_options *options, kt_crowd **out_crowd, kt_err *err)
{
    kt_crowd *crowd = calloc(1, sizeof *crowd);

    if (crowd != NULL) {
        crowd->guests = calloc(options->client_count + 1, sizeof *crowd->guests);
        crowd->remembered = calloc(KT_CROWD_REMEMBERED, sizeof *crowd->remembered);
    }
    if (crowd == NULL || crowd->guests == NULL || crowd->remembered == NULL) {
        if (crowd != NULL) {
            free(crowd->guests);
            free(crowd->remembered);
        }
        free(crowd);
        return kt_fail(err, KT_SYS, "no memory for %u clients", options->client_count);
    }
    crowd->options = *options;
    snprintf(crowd->url, sizeof crowd->url, "ws://127.0.0.1:%u/ws", options->port);
    for (uint32_t i = 0; i < options->client_count; i++) {
        guest *who = &crowd->guests[i];
        *who = (guest){ .crowd = crowd, .number = i, .timer = { .on_due = on_due, .ctx = who } };
        for (uint32_t j = 0; j < KT_CROWD_SUBSCRIPTIONS; j++) {
            const char *channel = options->channels[kt_rng_below(options->rng, options->channel_count)];
            bool twice = false;
            for (uint32_t k = 0; k < j; k++)
                twice = twice || who->subscriptions[k].channel == channel;
            if (twice)
                break; /* one less */
            who->subscriptions[j] = (subscription){ .channel = channel, .conflate = kt_rng_chance(options->rng, 0.5) };
        }
        in_ms(who, kt_rng_between(options->rng, 0, options->stay_ns / KT_NS_PER_MS / 4));
    }
    *out_crowd = crowd;
    return KT_OK;
}

void kt_crowd_free(kt_crowd *crowd)
{
    if (crowd == NULL)
        return;
    const kt_net *net = kt_loop_net(crowd->options.loop);
    net->cancel(net->ctx, crowd, 0);
    for (uint32_t i = 0; i < crowd->options.client_count; i++) {
        kt_timer_cancel(crowd->options.loop, &crowd->guests[i].timer);
        kt_ws_client_free(crowd->guests[i].client);
    }
    free(crowd->guests);
    free(crowd->remembered);
    free(crowd);
}
