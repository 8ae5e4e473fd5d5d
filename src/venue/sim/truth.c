#include "venue/sim/parts.h"

bool kt_sim_write_totals(const kt_sim *sim, bool live, kt_text *out)
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
    kt_json_member_u64(&writer, "early", sim->early_count);
    kt_json_name(&writer, "faults");
    kt_sim_faults_write_delivered(&sim->faults, &writer);
    kt_json_name(&writer, "feeds");
    kt_json_open_object(&writer);
    for (uint32_t i = 0; i < KT_SIM_SERVED_COUNT; i++) {
        if (sim->served[i].feed == NULL)
            continue;
        kt_json_name(&writer, sim->served[i].format->name);
        kt_sim_feed_write(sim->served[i].feed,
            &sim->served[i] == sim->books_of ? kt_sim_books_totals(sim->books).invalid : 0, &writer);
    }
    kt_json_close_object(&writer);
    if (sim->books != NULL) {
        kt_json_name(&writer, "books");
        kt_sim_books_write(sim->books, &writer);
    }
    kt_json_close_object(&writer);
    return kt_json_writer_done(&writer, out) == KT_OK;
}

void kt_sim_append_totals(kt_sim *sim)
{
    kt_text totals;

    if (sim->truth == NULL || !kt_sim_write_totals(sim, false, &totals))
        return;
    fprintf(sim->truth, "{\"totals\":%.*s}\n", KT_TEXT_ARG(totals));
    fflush(sim->truth);
}

void kt_sim_tell_fault(kt_sim *sim, kt_sim_fault fault)
{
    sim->faults.delivered[fault]++;
    if (sim->truth != NULL)
        fprintf(sim->truth, "{\"at\":%lld,\"fault\":\"%s\"}\n", (long long)sim->now_ns, kt_sim_fault_specs[fault].name);
}
