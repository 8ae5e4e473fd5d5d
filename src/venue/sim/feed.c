#include "venue/sim/feed.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/time.h"
#include "venue/sim/wire.h"

/* A message on its way: delivered now, or held back. */
typedef struct sim_parcel {
    kt_sim_trade trade;
    kt_sim_fault fault;
    bool copy;    /* of a trade delivered before */
    uint64_t due; /* delivered when so many messages have been */
    uint32_t size;
    char event[KT_SIM_EVENT_SIZE];
} sim_parcel;

typedef struct symbol_state {
    bool started;
    int64_t greatest;   /* in the venue's order, of those delivered well-formed */
    uint64_t delivered; /* trades that were delivered well-formed */
    kt_sim_totals totals;
} symbol_state;

struct kt_sim_feed {
    kt_sim_feed_options options;
    kt_rng rng;
    symbol_state *symbols;
    uint32_t symbol_count;
    sim_parcel *held; /* in the order they were held back */
    uint32_t held_count;
    uint64_t message_count; /* delivered */
    uint64_t line_count;    /* of the truth */
    int64_t silent_until_ns;
    uint32_t outage_left;
    uint64_t faults[KT_SIM_FAULT_COUNT];
};

kt_code kt_sim_feed_new(const kt_sim_feed_options *options, kt_sim_feed **out_feed, kt_err *err)
{
    kt_sim_feed *feed = calloc(1, sizeof *feed);

    if (feed == NULL)
        return kt_fail(err, KT_SYS, "no memory for a feed");
    feed->options = *options;
    feed->symbol_count = kt_sim_symbol_count(options->market);
    feed->symbols = calloc(feed->symbol_count, sizeof *feed->symbols);
    feed->held = calloc(KT_SIM_HOLD_MAX, sizeof *feed->held);
    if (feed->symbols == NULL || feed->held == NULL) {
        kt_sim_feed_free(feed);
        return kt_fail(err, KT_SYS, "no memory for a feed of %u symbols", kt_sim_symbol_count(options->market));
    }
    kt_rng_init(&feed->rng, options->seed);
    feed->silent_until_ns = INT64_MIN;
    *out_feed = feed;
    return KT_OK;
}

void kt_sim_feed_free(kt_sim_feed *feed)
{
    if (feed == NULL)
        return;
    free(feed->held);
    free(feed->symbols);
    free(feed);
}

/* ---- what a trade looks like ---- */

static const kt_row_instrument *instrument_of(const kt_sim_feed *feed, uint32_t symbol)
{
    const kt_sim_symbol *known = kt_sim_symbol_at(feed->options.market, symbol);

    return feed->options.format == &kt_venue_generic ? &known->ticker : &known->pair;
}

int64_t kt_sim_time(const kt_venue_format *format, const kt_sim_trade *trade)
{
    enum { NS_PER_US = 1000, NTH_MAX = 999 };
    int64_t nth = trade->nth < NTH_MAX ? trade->nth : NTH_MAX;

    return trade->time_ms * KT_NS_PER_MS + (kt_sim_wire_of(format)->microseconds ? nth * NS_PER_US : 0);
}

kt_row_trade kt_sim_row(
    const kt_venue_format *format, const kt_sim_symbol *symbol, const kt_sim_trade *trade, char *id_mem)
{
    kt_builder id;
    kt_row_trade row = { .venue_time = kt_sim_time(format, trade),
        .price = kt_decimal_canon((kt_decimal){ .m = trade->price, .scale = KT_SIM_SCALE }),
        .quantity = kt_decimal_canon((kt_decimal){ .m = trade->quantity, .scale = KT_SIM_SCALE }),
        .side = trade->seller_took ? KT_SIDE_SELL : KT_SIDE_BUY,
        .trade_number = trade->number };

    kt_builder_init(&id, id_mem, KT_SIM_ID_SIZE);
    if (format == &kt_venue_generic) { /* ids of the generic format are unique over all tickers */
        kt_builder_text(&id, symbol->ticker.symbol);
        kt_builder_char(&id, '-');
    }
    kt_builder_u64(&id, trade->number);
    row.trade_id = kt_builder_done(&id);
    return row;
}

/* ---- the truth ---- */

static void put_true_fields(const kt_sim_feed *feed, const kt_sim_trade *trade, kt_json_writer *writer)
{
    char id[KT_SIM_ID_SIZE];
    kt_row_trade row =
        kt_sim_row(feed->options.format, kt_sim_symbol_at(feed->options.market, trade->symbol), trade, id);

    kt_json_member_text(writer, "symbol", instrument_of(feed, trade->symbol)->symbol);
    kt_json_member_text(writer, "id", row.trade_id);
    kt_json_member_i64(writer, "ts", trade->time_ms);
    kt_json_member_decimal(writer, "price", row.price);
    kt_json_member_decimal(writer, "quantity", row.quantity);
    kt_json_member_text(writer, "side", kt_text_of(kt_enum_side.values[row.side]));
}

/* One line: what became of the trade. */
static void tell(kt_sim_feed *feed, const sim_parcel *parcel, kt_sim_fault fault, bool delivered)
{
    char mem[2 * KT_SIM_EVENT_SIZE + 1024];
    kt_json_writer writer;
    kt_text line;

    feed->line_count++;
    if (!parcel->copy) {
        feed->faults[fault]++;
        feed->options.faults->delivered[fault]++;
    }
    if (feed->options.truth == NULL)
        return;
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_u64(&writer, "n", feed->line_count);
    kt_json_member_text(&writer, "feed", kt_text_of(feed->options.format->name));
    kt_json_member_u64(&writer, "connection", feed->options.connection(feed->options.ctx));
    kt_json_member_i64(&writer, "at", parcel->trade.at_ns);
    kt_json_member_text(&writer, "fault", kt_text_of(kt_sim_fault_specs[fault].name));
    kt_json_member_bool(&writer, "copy", parcel->copy);
    kt_json_name(&writer, "delivered");
    if (delivered)
        kt_json_put_text(&writer, (kt_text){ parcel->event, parcel->size });
    else
        kt_json_put_null(&writer);
    kt_json_name(&writer, "true");
    kt_json_open_object(&writer);
    put_true_fields(feed, &parcel->trade, &writer);
    kt_json_close_object(&writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &line) == KT_OK)
        fprintf(feed->options.truth, "%.*s\n", KT_TEXT_ARG(line));
}

static int64_t order_of(const kt_sim_feed *feed, const kt_sim_trade *trade)
{
    return feed->options.format->numbered ? (int64_t)trade->number : kt_sim_time(feed->options.format, trade);
}

static void count(kt_sim_feed *feed, const sim_parcel *parcel)
{
    symbol_state *symbol = &feed->symbols[parcel->trade.symbol];
    kt_sim_totals *totals = &symbol->totals;
    int64_t order = order_of(feed, &parcel->trade);

    totals->received++;
    if (parcel->fault == KT_SIM_MALFORMED || parcel->fault == KT_SIM_MISSING_FIELD ||
        parcel->fault == KT_SIM_WRONG_TYPE) {
        totals->invalid++;
        return;
    }
    if (parcel->copy) {
        totals->repeated++;
        return;
    }
    totals->suspect += parcel->fault == KT_SIM_ABSURD_PRICE;
    totals->reordered += symbol->delivered != 0 && order < symbol->greatest;
    if (symbol->delivered == 0 || order > symbol->greatest)
        symbol->greatest = order;
    symbol->delivered++;
}

/* ---- breaking ---- */

static kt_text written(kt_sim_feed *feed, const kt_sim_trade *trade, const kt_sim_damage *damage, sim_parcel *parcel)
{
    char id[KT_SIM_ID_SIZE];
    kt_row_trade row =
        kt_sim_row(feed->options.format, kt_sim_symbol_at(feed->options.market, trade->symbol), trade, id);
    kt_builder event;

    kt_builder_init(&event, parcel->event, sizeof parcel->event);
    kt_sim_wire_of(feed->options.format)->write_trade(instrument_of(feed, trade->symbol), &row, damage, &event);
    kt_assert(event.code == KT_OK);
    return kt_builder_done(&event);
}

/* Ways to stop being JSON, also inside the envelope of a combined stream. */
static kt_text write_malformed(kt_sim_feed *feed, const kt_sim_trade *trade, sim_parcel *parcel)
{
    static const char *const garbage[] = { "<html><body>502 Bad Gateway</body></html>", "undefined", "{'e':'trade'}",
        "nul" };
    kt_sim_damage not_a_number = { .omit = -1, .replace = 2, .with = KT_TEXT("NaN") };
    kt_text event = written(feed, trade, NULL, parcel);

    switch (kt_rng_below(&feed->rng, 5)) {
    case 0: /* cut short */
        event.n = 1 + kt_rng_below(&feed->rng, event.n - 1);
        return event;
    case 1: /* a comma too many */
        memcpy(parcel->event + event.n - 1, ",}", 3);
        event.n++;
        return event;
    case 2: /* a brace too many */
        memcpy(parcel->event + event.n, "}", 2);
        event.n++;
        return event;
    case 3:
        return written(feed, trade, &not_a_number, parcel);
    default:
        event = kt_text_of(garbage[kt_rng_below(&feed->rng, KT_COUNT(garbage))]);
        memcpy(parcel->event, event.s, event.n);
        return (kt_text){ parcel->event, event.n };
    }
}

static kt_text write_damaged(kt_sim_feed *feed, const kt_sim_trade *trade, bool omit, sim_parcel *parcel)
{
    static const char *const instead[][5] = {
        [KT_SIM_JSON_TEXT] = { "7", "null", "true", "[]", "{}" },
        [KT_SIM_JSON_NUMBER] = { "\"7\"", "null", "false", "[7]", "\"\"" },
        [KT_SIM_JSON_BOOL] = { "\"true\"", "null", "0", "[]", "{}" },
    };
    const kt_sim_wire *wire = kt_sim_wire_of(feed->options.format);
    const kt_sim_field *fields = wire->trade_fields;
    int field = (int)kt_rng_below(&feed->rng, wire->trade_field_count);
    const char *value = instead[fields[field].type][kt_rng_below(&feed->rng, 5)];
    kt_sim_damage damage = { .omit = omit ? field : -1, .replace = omit ? -1 : field, .with = kt_text_of(value) };

    return written(feed, trade, &damage, parcel);
}

static kt_text write_absurd(kt_sim_feed *feed, const kt_sim_trade *trade, sim_parcel *parcel)
{
    int64_t factor = kt_rng_between(&feed->rng, 2, KT_SIM_FACTOR_MAX);
    int64_t tick = kt_pow10(KT_SIM_SCALE - instrument_of(feed, trade->symbol)->price_scale);
    bool higher = kt_rng_chance(&feed->rng, 0.5) || trade->price / factor < tick;
    bool fits = trade->price <= INT64_MAX / factor;
    kt_sim_trade absurd = *trade;

    absurd.price = higher && fits ? trade->price * factor : trade->price / factor / tick * tick;
    return written(feed, &absurd, NULL, parcel);
}

static void write_event(kt_sim_feed *feed, sim_parcel *parcel)
{
    const kt_sim_trade *trade = &parcel->trade;
    kt_text event;

    switch (parcel->fault) {
    case KT_SIM_MALFORMED:
        event = write_malformed(feed, trade, parcel);
        break;
    case KT_SIM_MISSING_FIELD:
    case KT_SIM_WRONG_TYPE:
        event = write_damaged(feed, trade, parcel->fault == KT_SIM_MISSING_FIELD, parcel);
        break;
    case KT_SIM_ABSURD_PRICE:
        event = write_absurd(feed, trade, parcel);
        break;
    default:
        event = written(feed, trade, NULL, parcel);
        break;
    }
    parcel->size = (uint32_t)event.n;
}

/* ---- delivering ---- */

static bool dispatch(kt_sim_feed *feed, const sim_parcel *parcel)
{
    bool delivered =
        feed->options.deliver(feed->options.ctx, parcel->trade.symbol, (kt_text){ parcel->event, parcel->size });

    tell(feed, parcel, delivered ? parcel->fault : KT_SIM_OUTAGE, delivered);
    if (delivered) {
        count(feed, parcel);
        feed->message_count++;
    }
    return delivered;
}

static void release(kt_sim_feed *feed, uint32_t index)
{
    sim_parcel parcel = feed->held[index];

    feed->held_count--;
    memmove(&feed->held[index], &feed->held[index + 1], (feed->held_count - index) * sizeof *feed->held);
    dispatch(feed, &parcel);
}

/* Send what is due. Each message sent may make another one due. */
static void release_due(kt_sim_feed *feed)
{
    for (uint32_t i = 0; i < feed->held_count;) {
        if (feed->held[i].due > feed->message_count) {
            i++;
            continue;
        }
        release(feed, i);
        i = 0;
    }
}

static void hold(kt_sim_feed *feed, const sim_parcel *parcel)
{
    if (feed->held_count == KT_SIM_HOLD_MAX)
        release(feed, 0);
    feed->held[feed->held_count] = *parcel;
    feed->held[feed->held_count++].due = feed->message_count + kt_rng_below(&feed->rng, KT_SIM_DELAY_MAX) + 1;
}

/* ---- trades ---- */

static void begin_outage(kt_sim_feed *feed)
{
    if (feed->options.counted_outage)
        feed->outage_left = (uint32_t)kt_rng_below(&feed->rng, KT_SIM_OUTAGE_MAX + 1);
}

static void begin_silence(kt_sim_feed *feed, int64_t now_ns)
{
    int64_t most_ms = feed->options.silence_max_ns / KT_NS_PER_MS;

    feed->silent_until_ns =
        now_ns + kt_rng_between(&feed->rng, most_ms < 1000 ? most_ms : 1000, most_ms) * KT_NS_PER_MS;
}

void kt_sim_feed_trade(kt_sim_feed *feed, const kt_sim_trade *trade)
{
    symbol_state *symbol = &feed->symbols[trade->symbol];
    sim_parcel parcel = { .trade = *trade };

    if (!symbol->started)
        return;
    symbol->totals.trades++;
    if (feed->outage_left > 0) {
        feed->outage_left--;
        tell(feed, &parcel, KT_SIM_OUTAGE, false);
        return;
    }
    if (trade->at_ns < feed->silent_until_ns) {
        tell(feed, &parcel, KT_SIM_SILENCE, false);
        return;
    }
    if (feed->options.faults->values[KT_SIM_SILENCE].m != 0)
        parcel.fault = kt_sim_faults_draw(feed->options.faults, &feed->rng, KT_SIM_PER_MOMENT);
    if (parcel.fault == KT_SIM_NONE)
        parcel.fault = kt_sim_faults_draw(feed->options.faults, &feed->rng, KT_SIM_PER_TRADE);
    if (parcel.fault == KT_SIM_ABSURD_PRICE && symbol->delivered < KT_SIM_SETTLED)
        parcel.fault = KT_SIM_NONE;
    switch (parcel.fault) {
    case KT_SIM_DROP:
        tell(feed, &parcel, parcel.fault, false);
        return;
    case KT_SIM_DISCONNECT:
        tell(feed, &parcel, parcel.fault, false);
        begin_outage(feed);
        feed->options.disconnect(feed->options.ctx);
        return;
    case KT_SIM_CUT_FRAME:
        write_event(feed, &parcel);
        tell(feed, &parcel, parcel.fault, false);
        begin_outage(feed);
        feed->options.cut(feed->options.ctx, trade->symbol, (kt_text){ parcel.event, parcel.size });
        return;
    case KT_SIM_SILENCE:
        tell(feed, &parcel, parcel.fault, false);
        begin_silence(feed, trade->at_ns);
        return;
    case KT_SIM_REORDER:
        write_event(feed, &parcel);
        hold(feed, &parcel);
        return;
    default:
        break;
    }
    write_event(feed, &parcel);
    if (dispatch(feed, &parcel) && parcel.fault == KT_SIM_REPEAT) {
        parcel.copy = true;
        hold(feed, &parcel);
    }
    release_due(feed);
}

void kt_sim_feed_end(kt_sim_feed *feed)
{
    while (feed->held_count > 0)
        release(feed, 0);
}

void kt_sim_feed_subscribed(kt_sim_feed *feed, uint32_t symbol)
{
    kt_assert(symbol < feed->symbol_count);
    feed->symbols[symbol].started = true;
}

void kt_sim_feed_speak(kt_sim_feed *feed)
{
    feed->silent_until_ns = INT64_MIN;
}

bool kt_sim_feed_silent(const kt_sim_feed *feed, int64_t now_ns)
{
    return now_ns < feed->silent_until_ns;
}

uint32_t kt_sim_feed_outage_left(const kt_sim_feed *feed)
{
    return feed->outage_left;
}

/* ---- totals ---- */

kt_sim_totals kt_sim_feed_symbol_totals(const kt_sim_feed *feed, uint32_t symbol)
{
    kt_sim_totals totals = feed->symbols[symbol].totals;

    totals.missing = totals.trades - feed->symbols[symbol].delivered;
    return totals;
}

kt_sim_totals kt_sim_feed_totals(const kt_sim_feed *feed)
{
    kt_sim_totals sum = { 0 };

    for (uint32_t i = 0; i < feed->symbol_count; i++) {
        kt_sim_totals totals = kt_sim_feed_symbol_totals(feed, i);

        sum.trades += totals.trades;
        sum.received += totals.received;
        sum.invalid += totals.invalid;
        sum.repeated += totals.repeated;
        sum.reordered += totals.reordered;
        sum.missing += totals.missing;
        sum.suspect += totals.suspect;
    }
    return sum;
}

static void put_totals(kt_json_writer *writer, const kt_sim_totals *totals)
{
    kt_json_member_u64(writer, "trades", totals->trades);
    kt_json_member_u64(writer, "received", totals->received);
    kt_json_member_u64(writer, "invalid", totals->invalid);
    kt_json_member_u64(writer, "repeated", totals->repeated);
    kt_json_member_u64(writer, "reordered", totals->reordered);
    kt_json_member_u64(writer, "missing", totals->missing);
    kt_json_member_u64(writer, "suspect", totals->suspect);
}

void kt_sim_feed_write(const kt_sim_feed *feed, uint64_t other_invalid, kt_json_writer *writer)
{
    kt_sim_totals sum = kt_sim_feed_totals(feed);

    sum.received += other_invalid;
    sum.invalid += other_invalid;
    kt_json_open_object(writer);
    put_totals(writer, &sum);
    kt_json_member_u64(writer, "connections", feed->options.connection(feed->options.ctx));
    kt_json_name(writer, "faults");
    kt_json_open_object(writer);
    for (kt_sim_fault fault = KT_SIM_NONE; fault < KT_SIM_FAULT_COUNT; fault++)
        if (kt_sim_fault_specs[fault].place == KT_SIM_PLACE_RESULT ||
            (kt_sim_fault_specs[fault].per & (KT_SIM_PER_TRADE | KT_SIM_PER_MOMENT)) != 0)
            kt_json_member_u64(writer, kt_sim_fault_specs[fault].name, feed->faults[fault]);
    kt_json_close_object(writer);
    kt_json_name(writer, "symbols");
    kt_json_open_object(writer);
    for (uint32_t i = 0; i < feed->symbol_count; i++) {
        kt_sim_totals totals = kt_sim_feed_symbol_totals(feed, i);

        if (!feed->symbols[i].started)
            continue;
        kt_json_put_key(writer, instrument_of(feed, i)->symbol);
        kt_json_open_object(writer);
        put_totals(writer, &totals);
        kt_json_close_object(writer);
    }
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}
