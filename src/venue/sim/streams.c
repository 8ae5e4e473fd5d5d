#include <stdlib.h>

#include "base/assert.h"
#include "venue/sim/parts.h"

enum { FEED_SEEDS = 2 }; /* of two formats that are served together, which draw apart; Kraken's are served alone */

/* To everybody who subscribed it; false: nobody got it. */
static bool deliver_stream(kt_sim_served *served, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    kt_sim *sim = served->sim;
    kt_text envelope = { 0 };
    bool delivered = false;

    for (kt_sim_client *client = sim->clients; client != NULL; client = client->next) {
        kt_text message = event;
        kt_code code = KT_OK;

        if (client->served != served || !kt_sim_subscribes(client, symbol, stream) || !kt_ws_is_open(client->line.conn))
            continue;
        if (client->combined && envelope.n == 0) {
            kt_builder builder;

            kt_builder_init(&builder, sim->envelope, KT_SIM_ENVELOPE_SIZE);
            kt_sim_write_combined(
                &kt_sim_symbol_at(sim->market, symbol)->pair, kt_sim_stream_suffix(stream), event, &builder);
            kt_assert(builder.code == KT_OK);
            envelope = kt_builder_done(&builder);
        }
        if (client->combined)
            message = envelope;
        code = kt_sim_say(client, message);
        if (code == KT_FULL)
            kt_ws_close(client->line.conn, KT_WS_CLOSE_POLICY, KT_TEXT("too slow"));
        delivered |= code == KT_OK;
    }
    return delivered;
}

/* ---- what a feed asks of us ---- */

static bool deliver(void *ctx, uint32_t symbol, kt_text event)
{
    return deliver_stream(ctx, symbol, KT_SIM_TRADES, event);
}

static void disconnect(void *ctx)
{
    kt_sim_served *served = ctx;

    for (kt_sim_client *client = served->sim->clients; client != NULL; client = client->next)
        if (client->served == served && kt_ws_is_open(client->line.conn)) {
            kt_sim_line_close(&client->line, KT_WS_CLOSE_INTERNAL, KT_TEXT("a fault that was asked for"));
            served->awaited = true;
        }
}

static void cut(void *ctx, uint32_t symbol, kt_text event)
{
    kt_sim_served *served = ctx;

    for (kt_sim_client *client = served->sim->clients; client != NULL; client = client->next)
        if (client->served == served && kt_sim_subscribes(client, symbol, KT_SIM_TRADES) &&
            kt_ws_is_open(client->line.conn)) {
            kt_sim_line_cut(&client->line, kt_ws_server_deflater(served->sim->ws), event);
            served->awaited = true;
        }
}

static uint32_t connection(void *ctx)
{
    return ((kt_sim_served *)ctx)->connection_count;
}

static kt_code open_feed(kt_sim *sim, uint32_t index, const kt_venue_format *format, kt_err *err)
{
    kt_sim_served *served = &sim->served[index];
    kt_sim_feed_options options = { .format = format,
        .market = sim->market,
        .faults = &sim->faults,
        .seed = sim->options->market.seed * FEED_SEEDS + index % FEED_SEEDS,
        .silence_max_ns = sim->options->silence_max_ns,
        .counted_outage = sim->options->speed == KT_SIM_SPEED_MAX,
        .truth = sim->truth,
        .ctx = served,
        .deliver = deliver,
        .disconnect = disconnect,
        .cut = cut,
        .connection = connection };

    served->sim = sim;
    served->format = format;
    return kt_sim_feed_new(&options, &served->feed, err);
}

/* ---- what the books ask of us ---- */

static bool deliver_book(void *ctx, uint32_t symbol, kt_sim_stream stream, kt_text event)
{
    return deliver_stream(((kt_sim *)ctx)->books_of, symbol, stream, event);
}

static bool books_silent(void *ctx, int64_t now_ns)
{
    return kt_sim_feed_silent(((kt_sim *)ctx)->books_of->feed, now_ns);
}

static kt_code open_books(kt_sim *sim, kt_err *err)
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

/* ---- both ---- */

kt_code kt_sim_streams_open(kt_sim *sim, kt_err *err)
{
    const kt_sim_options *options = sim->options;
    const kt_venue_format *const formats[KT_SIM_SERVED_COUNT] = {
        [KT_SIM_GENERIC] = options->generic ? &kt_venue_generic : NULL,
        [KT_SIM_BINANCE] = options->binance ? &kt_venue_binance : NULL,
        [KT_SIM_KRAKEN] = options->kraken,
    };
    kt_code code = KT_OK;

    sim->envelope = malloc(KT_SIM_ENVELOPE_SIZE);
    if (sim->envelope == NULL)
        return kt_fail(err, KT_SYS, "no memory for messages");
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT && code == KT_OK; i++)
        if (formats[i] != NULL)
            code = open_feed(sim, i, formats[i], err);
    if (options->binance || options->kraken != NULL)
        sim->books_of = &sim->served[options->kraken != NULL ? KT_SIM_KRAKEN : KT_SIM_BINANCE];
    if (sim->books_of != NULL && code == KT_OK)
        code = open_books(sim, err);
    return code;
}

void kt_sim_streams_close(kt_sim *sim)
{
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT; i++)
        kt_sim_feed_free(sim->served[i].feed);
    kt_sim_books_free(sim->books);
    free(sim->envelope);
}

static void tell_candle(kt_sim *sim, uint32_t symbol)
{
    char mem[KT_SIM_EVENT_SIZE];
    kt_builder text;

    if (kt_sim_feed_silent(sim->served[KT_SIM_KRAKEN].feed, sim->now_ns))
        return;
    kt_builder_init(&text, mem, sizeof mem);
    kt_sim_kraken_write_candle(
        sim->options->kraken, &kt_sim_symbol_at(sim->market, symbol)->pair, &sim->candles[symbol], &text);
    kt_assert(text.code == KT_OK);
    deliver_stream(&sim->served[KT_SIM_KRAKEN], symbol, KT_SIM_CANDLES, kt_builder_done(&text));
}

void kt_sim_streams_trade(kt_sim *sim, const kt_sim_trade *trade)
{
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT; i++)
        if (sim->served[i].feed != NULL)
            kt_sim_feed_trade(sim->served[i].feed, trade);
    if (sim->books != NULL)
        kt_sim_books_trade(sim->books, trade);
    if (sim->options->kraken != NULL)
        tell_candle(sim, trade->symbol);
}

void kt_sim_streams_end(kt_sim *sim)
{
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT; i++)
        if (sim->served[i].feed != NULL)
            kt_sim_feed_end(sim->served[i].feed);
    if (sim->books != NULL)
        kt_sim_books_end(sim->books);
}
