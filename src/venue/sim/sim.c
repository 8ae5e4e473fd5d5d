#include <stdlib.h>

#include "venue/sim/parts.h"

static void on_publish(void *ctx)
{
    kt_sim *sim = ctx;

    if (sim->totals_wanted) {
        sim->totals_wanted = 0;
        kt_sim_append_totals(sim);
    }
    kt_sim_advance(sim);
    kt_sim_clients_abandon(sim);
}

static void on_timer(kt_timer *timer)
{
    kt_loop_busy(((kt_sim *)timer->ctx)->loop); /* the publish hook of the next turn advances */
}

static kt_code open_market(kt_sim *sim, kt_err *err)
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
    if (sim->histories == NULL || sim->candles == NULL || sim->body == NULL)
        return kt_fail(err, KT_SYS, "no memory for %u symbols", kt_sim_symbol_count(sim->market));
    for (uint32_t i = 0; i < kt_sim_symbol_count(sim->market); i++)
        kt_sim_history_init(&sim->histories[i], options->keep);
    if (options->truth != NULL) {
        sim->truth = fopen(options->truth, "we");
        if (sim->truth == NULL)
            return kt_fail(err, KT_SYS, "cannot write --truth '%s'", options->truth);
    }
    sim->origin_ns = kt_sim_market_start(sim->market) + options->history_ns;
    kt_sim_skip_history(sim);
    return kt_sim_streams_open(sim, err);
}

void kt_sim_close(kt_sim *sim)
{
    if (sim == NULL)
        return;
    kt_timer_cancel(sim->loop, &sim->timer);
    kt_loop_unhook(sim->loop, &sim->hook);
    kt_sim_raws_free(sim->raws);
    kt_sim_ports_close(sim);
    kt_sim_clients_close(sim);
    kt_sim_streams_close(sim);
    kt_sim_schedule_done(&sim->schedule);
    for (uint32_t i = 0; sim->histories != NULL && i < kt_sim_symbol_count(sim->market); i++)
        kt_sim_history_done(&sim->histories[i]);
    free(sim->histories);
    free(sim->candles);
    free(sim->body);
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
    sim->loop = loop;
    sim->timer = (kt_timer){ .on_due = on_timer, .ctx = sim };
    sim->hook = (kt_hook){ .fn = on_publish, .ctx = sim, .phase = KT_PHASE_PUBLISH };
    kt_loop_hook(loop, &sim->hook);
    kt_rng_init(&sim->shuffle_rng, ~options->market.seed);
    kt_rng_init(&sim->rest_rng, options->market.seed + 3);
    sim->raws = kt_sim_raws_new(loop);
    if (sim->raws == NULL)
        code = kt_fail(err, KT_SYS, "no memory for a market");
    if (code == KT_OK && options->schedule != NULL)
        code = kt_sim_schedule_read(options->schedule, &options->faults, &sim->schedule, err);
    if (code == KT_OK) /* a busy port is told before a long tape is read; nobody is served before the loop runs */
        code = kt_sim_ports_open(sim, err);
    if (code == KT_OK)
        code = kt_sim_clients_open(sim, err);
    if (code == KT_OK)
        code = open_market(sim, err);
    if (code != KT_OK) {
        kt_sim_close(sim);
        return code;
    }
    kt_sim_break(sim, &options->faults); /* the port may have to be closed */
    *out_sim = sim;
    return KT_OK;
}
