#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "venue/sim/parts.h"

enum {
    CLIENT_MAX = 64,
    OUT_MAX = 8 << 20,  /* a client that lets so much pile up while the market's clock runs is closed */
    HALF_OPEN_MAX = 64, /* messages until a connection is half-open, at most */
};

/* ---- what they are told ---- */

uint32_t kt_sim_trickle(const kt_sim *sim)
{
    return (uint32_t)kt_sim_faults_value(&sim->faults, KT_SIM_TRICKLE);
}

static void line_later(kt_sim *sim)
{
    if (!kt_timer_is_set(&sim->line_timer))
        kt_timer_set(sim->loop, &sim->line_timer, kt_loop_now(sim->loop) + KT_SIM_TICK_MS * KT_NS_PER_MS);
}

kt_code kt_sim_say(kt_sim_client *client, kt_text message)
{
    kt_sim *sim = client->sim;
    kt_code code = kt_sim_line_send(&client->line, message, kt_sim_trickle(sim));

    if (code == KT_OK && kt_sim_trickle(sim) != 0) {
        sim->faults.delivered[KT_SIM_TRICKLE]++;
        line_later(sim);
    }
    return code;
}

static void on_line_due(kt_timer *timer)
{
    kt_sim *sim = timer->ctx;
    bool more = false;

    for (kt_sim_client *client = sim->clients; client != NULL; client = client->next)
        if (kt_ws_is_open(client->line.conn))
            more |= kt_sim_line_tick(&client->line, kt_sim_trickle(sim));
    if (more)
        line_later(sim);
    kt_loop_busy(sim->loop); /* the publish hook of the next turn goes on */
}

/* Each second, so that the streams are never still; but for a silence that was asked for. */
static void on_heartbeat_due(kt_timer *timer)
{
    kt_sim *sim = timer->ctx;

    kt_timer_set(sim->loop, timer, kt_loop_now(sim->loop) + KT_NS_PER_S);
    if (kt_sim_feed_silent(sim->served[KT_SIM_KRAKEN].feed, sim->now_ns))
        return;
    for (kt_sim_client *client = sim->clients; client != NULL; client = client->next)
        if (client->subscribed_any && kt_ws_is_open(client->line.conn))
            kt_sim_say(client, kt_sim_kraken_heartbeat(sim->options->kraken));
}

/* ---- half-open ones ---- */

void kt_sim_clients_abandon(kt_sim *sim)
{
    int fd = -1;

    for (kt_sim_client *client = sim->clients; client != NULL; client = client->next) {
        if (!kt_sim_line_abandoned(&client->line, &fd)) {
            if (client->line.deaf)
                kt_ws_drain_mark(client->line.conn, 0); /* then once more */
            continue;
        }
        kt_sim_tell_fault(sim, KT_SIM_HALF_OPEN);
        client->served->awaited = true;
        if (sim->abandoned_count == KT_SIM_ABANDONED_MAX) {
            close(sim->abandoned[0]);
            memmove(&sim->abandoned[0], &sim->abandoned[1], sizeof sim->abandoned - sizeof sim->abandoned[0]);
            sim->abandoned_count--;
        }
        if (fd >= 0)
            sim->abandoned[sim->abandoned_count++] = fd;
    }
}

/* ---- what they want ---- */

void kt_sim_subscribe(kt_sim_client *client, uint32_t symbol, kt_sim_stream stream)
{
    kt_sim *sim = client->sim;

    client->subscribed[symbol] |= (uint8_t)(1 << stream);
    if (stream == KT_SIM_TRADES)
        kt_sim_feed_subscribed(client->served->feed, symbol);
    else if (stream != KT_SIM_CANDLES)
        kt_sim_books_want(sim->books, symbol, kt_sim_history_last(&sim->histories[symbol]));
    if (client->subscribed_any)
        return;
    client->subscribed_any = true;
    client->served->awaited = false;
    sim->subscriber_count++;
    if (!sim->started && sim->subscriber_count >= sim->options->wait)
        kt_sim_start(sim);
}

void kt_sim_unsubscribe(kt_sim_client *client, uint32_t symbol, kt_sim_stream stream)
{
    client->subscribed[symbol] &= (uint8_t) ~(1 << stream);
}

bool kt_sim_subscribes(const kt_sim_client *client, uint32_t symbol, kt_sim_stream stream)
{
    return (client->subscribed[symbol] & 1 << stream) != 0;
}

/* ---- they come and go ---- */

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    kt_sim_hear(ctx, (kt_text){ (const char *)payload, size });
}

static void on_drain(void *ctx, kt_ws_conn *conn)
{
    kt_loop_busy(((kt_sim_client *)ctx)->sim->loop); /* the publish hook of the next turn goes on */
}

static void on_close(void *ctx, kt_ws_conn *conn, uint16_t code, kt_text reason)
{
    kt_sim_client *client = ctx, **at = &client->sim->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->sim->client_count--;
    kt_sim_line_done(&client->line);
    free(client);
}

kt_sim_client *kt_sim_clients_accept(
    kt_sim_served *served, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    kt_sim *sim = served->sim;
    kt_sim_client *client = NULL;

    if (sim->client_count == CLIENT_MAX) {
        kt_http_fail(http, exchange, 503, "%d clients are connected already", CLIENT_MAX);
        return NULL;
    }
    client = calloc(1, sizeof *client);
    if (client == NULL) {
        kt_http_fail(http, exchange, 503, "no memory for another client");
        return NULL;
    }
    client->sim = sim;
    client->served = served;
    if (kt_sim_faults_draw(&sim->faults, &sim->line_rng, KT_SIM_PER_CONNECTION) == KT_SIM_HALF_OPEN)
        client->line.left = 1 + (uint32_t)kt_rng_below(&sim->line_rng, HALF_OPEN_MAX);
    client->line.conn = kt_ws_accept(sim->ws, http, exchange, request, client);
    if (client->line.conn == NULL) {
        free(client);
        return NULL;
    }
    client->next = sim->clients;
    sim->clients = client;
    sim->client_count++;
    served->connection_count++;
    return client;
}

kt_code kt_sim_clients_open(kt_sim *sim, kt_err *err)
{
    kt_ws_server_options options = {
        .handlers = { .on_message = on_message, .on_drain = on_drain, .on_close = on_close },
        .deflate = true,
        .message_max = KT_SIM_MESSAGE_MAX,
        .out_max = OUT_MAX,
    };

    kt_rng_init(&sim->line_rng, sim->options->market.seed + 1);
    sim->line_timer = (kt_timer){ .on_due = on_line_due, .ctx = sim };
    sim->heartbeat_timer = (kt_timer){ .on_due = on_heartbeat_due, .ctx = sim };
    if (sim->options->kraken != NULL)
        kt_timer_set(sim->loop, &sim->heartbeat_timer, kt_loop_now(sim->loop) + KT_NS_PER_S);
    return kt_ws_server_new(sim->loop, &options, &sim->ws, err);
}

void kt_sim_clients_close(kt_sim *sim)
{
    kt_timer_cancel(sim->loop, &sim->heartbeat_timer);
    kt_timer_cancel(sim->loop, &sim->line_timer);
    if (sim->ws != NULL)
        kt_ws_server_free(sim->ws);
    for (uint32_t i = 0; i < sim->abandoned_count; i++)
        close(sim->abandoned[i]);
    while (sim->clients != NULL) {
        kt_sim_client *next = sim->clients->next;

        kt_sim_line_done(&sim->clients->line);
        free(sim->clients);
        sim->clients = next;
    }
}
