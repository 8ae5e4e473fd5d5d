#include "base/time.h"
#include "venue/sim/parts.h"

enum {
    OUT_HIGH = 256 << 10,  /* at speed max the market pauses above, */
    OUT_LOW = 64 << 10,    /* and goes on below */
    BATCH = 256,           /* trades of one turn at speed max, so that REST is answered in between */
    ADVANCE_BATCH = 20000, /* trades of one turn when the clock has run ahead */
};

static void remember(kt_sim *sim, kt_sim_trade *trade)
{
    const kt_sim_trade *last = kt_sim_history_last(&sim->histories[trade->symbol]);

    if (last != NULL && last->time_ms == trade->time_ms)
        trade->nth = last->nth < UINT16_MAX ? last->nth + 1 : last->nth;
    if (kt_sim_history_add(&sim->histories[trade->symbol], trade) != KT_OK) {
        sim->code = kt_fail(&sim->err, KT_SYS, "no memory for more trades: --keep says how many are kept");
        kt_loop_stop(sim->loop);
    }
    if (sim->options->kraken != NULL)
        kt_sim_kraken_candle_add(&sim->candles[trade->symbol], trade);
    sim->trade_count++;
}

/* The time that the venue says: its clock may be wrong, but does not go back. */
static void tell_time(kt_sim *sim, kt_sim_trade *trade)
{
    const kt_sim_trade *last = kt_sim_history_last(&sim->histories[trade->symbol]);
    int64_t last_ms = last != NULL ? last->time_ms : 0;
    int64_t skew_ms = kt_sim_faults_skew(&sim->faults, trade->at_ns) / KT_NS_PER_MS;

    if (skew_ms == 0)
        return;
    sim->faults.delivered[KT_SIM_CLOCK_OFFSET] += sim->faults.values[KT_SIM_CLOCK_OFFSET].m != 0;
    sim->faults.delivered[KT_SIM_CLOCK_DRIFT] += sim->faults.values[KT_SIM_CLOCK_DRIFT].m != 0;
    trade->time_ms = trade->time_ms + skew_ms > last_ms ? trade->time_ms + skew_ms : last_ms;
}

/* What has changed in the books by this time is told. */
static void tell_books(kt_sim *sim, int64_t until_ns)
{
    while (sim->books != NULL && kt_sim_books_due(sim->books) <= until_ns)
        kt_sim_books_flush(sim->books);
}

/* ---- faults change ---- */

void kt_sim_break(kt_sim *sim, const kt_sim_faults *values)
{
    bool silent = sim->faults.values[KT_SIM_SILENCE].m != 0;

    kt_sim_faults_take(&sim->faults, values, sim->now_ns);
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT; i++)
        if (silent && sim->faults.values[KT_SIM_SILENCE].m == 0 && sim->served[i].feed != NULL)
            kt_sim_feed_speak(sim->served[i].feed);
    if ((sim->faults.values[KT_SIM_REFUSE].m != 0) == (sim->http != NULL))
        kt_timer_set(sim->loop, &sim->port_timer, kt_loop_now(sim->loop));
}

static void play_schedule(kt_sim *sim, int64_t now_ns)
{
    kt_sim_faults values = sim->faults;

    if (kt_sim_schedule_due(&sim->schedule) > now_ns - sim->origin_ns)
        return;
    kt_sim_schedule_apply(&sim->schedule, now_ns - sim->origin_ns, &values);
    kt_sim_break(sim, &values);
}

/* ---- trades happen ---- */

static void step(kt_sim *sim)
{
    kt_sim_trade trade = *kt_sim_market_peek(sim->market);

    kt_sim_market_take(sim->market);
    play_schedule(sim, trade.at_ns);
    tell_books(sim, trade.at_ns);
    if (trade.at_ns > sim->now_ns)
        sim->now_ns = trade.at_ns;
    tell_time(sim, &trade);
    remember(sim, &trade);
    kt_sim_streams_trade(sim, &trade);
}

/* Without trades a schedule goes on by the clock; at speed max it ends with them. */
static void end_market(kt_sim *sim)
{
    kt_sim_faults values = sim->faults;

    sim->ended = true;
    if (sim->options->speed == KT_SIM_SPEED_MAX) {
        kt_sim_schedule_end(&sim->schedule, &sim->options->faults, &values);
        kt_sim_break(sim, &values);
    }
    kt_sim_streams_end(sim);
    kt_sim_append_totals(sim);
}

/* ---- by the clock ---- */

/* The market time that the clock has reached, and the loop's time at which it reaches another. */
static int64_t clock_market_ns(const kt_sim *sim)
{
    return sim->origin_ns + (int64_t)((double)(kt_loop_now(sim->loop) - sim->loop_start_ns) * sim->options->speed);
}

static void wake_at(kt_sim *sim, int64_t market_ns)
{
    double wait_ns = (double)(market_ns - sim->origin_ns) / sim->options->speed;

    kt_timer_set(sim->loop, &sim->timer, sim->loop_start_ns + (int64_t)wait_ns);
}

static void go_on_by_clock(kt_sim *sim)
{
    play_schedule(sim, clock_market_ns(sim));
    if (kt_sim_schedule_due(&sim->schedule) != INT64_MAX)
        wake_at(sim, sim->origin_ns + kt_sim_schedule_due(&sim->schedule));
}

/* Everything that has happened by now, in as many turns as it takes. */
static void advance_by_clock(kt_sim *sim)
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

/* ---- as fast as the reader takes them ---- */

/* At speed max: somebody listens, nobody is behind, and whoever we have sent away is back; or nobody can be. */
static bool may_step(kt_sim *sim)
{
    bool listened = false, losing = sim->http == NULL;

    if (kt_timer_is_set(&sim->port_timer))
        return false; /* what happens then must not depend on how many trades a turn has */
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT; i++) {
        uint32_t left = sim->served[i].feed != NULL ? kt_sim_feed_outage_left(sim->served[i].feed) : 0;

        if (sim->served[i].awaited && left == 0 && sim->http != NULL)
            return false;
        losing |= left > 0;
    }
    for (kt_sim_client *client = sim->clients; client != NULL; client = client->next) {
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

static void advance_by_reader(kt_sim *sim)
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

/* ---- from the start on ---- */

void kt_sim_advance(kt_sim *sim)
{
    bool by_clock = sim->options->speed != KT_SIM_SPEED_MAX;

    if (sim->started && !sim->ended)
        (by_clock ? advance_by_clock : advance_by_reader)(sim);
    else if (sim->started && by_clock)
        go_on_by_clock(sim);
}

void kt_sim_start(kt_sim *sim)
{
    sim->started = true;
    sim->loop_start_ns = kt_loop_now(sim->loop);
}

void kt_sim_skip_history(kt_sim *sim)
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
