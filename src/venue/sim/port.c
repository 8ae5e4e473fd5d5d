#include <stdio.h>

#include "venue/sim/parts.h"

enum { FILE_NAME_SIZE = 4200 };

/* Which certificate the next handshake gets. */
static kt_tls *choose_tls(void *ctx)
{
    static const kt_sim_certificate certificates[KT_SIM_FAULT_COUNT] = {
        [KT_SIM_EXPIRED_CERTIFICATE] = KT_SIM_CERTIFICATE_EXPIRED,
        [KT_SIM_WRONG_NAME] = KT_SIM_CERTIFICATE_OTHER_NAME,
        [KT_SIM_UNKNOWN_AUTHORITY] = KT_SIM_CERTIFICATE_OTHER_AUTHORITY,
    };
    kt_sim *sim = ctx;
    kt_sim_fault fault = kt_sim_faults_draw(&sim->faults, &sim->tls_rng, KT_SIM_PER_HANDSHAKE);
    kt_tls *chosen = sim->tls[certificates[fault]];

    if (fault == KT_SIM_NONE || chosen == NULL)
        return sim->tls[KT_SIM_CERTIFICATE_GOOD];
    kt_sim_tell_fault(sim, fault);
    return chosen;
}

static kt_code open_tls(kt_sim *sim, kt_err *err)
{
    const kt_sim_options *options = sim->options;
    char certificate[FILE_NAME_SIZE], key[FILE_NAME_SIZE];
    kt_code code = KT_OK;

    if (options->tls_certificate != NULL)
        return kt_tls_server_new(options->tls_certificate, options->tls_key, &sim->tls[KT_SIM_CERTIFICATE_GOOD], err);
    if (options->tls_folder == NULL)
        return KT_OK;
    code = kt_sim_certificates_make(options->tls_folder, err);
    for (kt_sim_certificate i = 0; code == KT_OK && i < KT_SIM_CERTIFICATE_COUNT; i++) {
        snprintf(certificate, sizeof certificate, "%s/%s.crt", options->tls_folder, kt_sim_certificate_name(i));
        snprintf(key, sizeof key, "%s/%s.key", options->tls_folder, kt_sim_certificate_name(i));
        code = kt_tls_server_new(certificate, key, &sim->tls[i], err);
    }
    return code;
}

static kt_code open_port(kt_sim *sim, kt_err *err)
{
    kt_http_server_options options = { .host = "127.0.0.1",
        .port = sim->port,
        .tls = sim->tls[KT_SIM_CERTIFICATE_GOOD],
        .choose_tls = choose_tls,
        .on_request = kt_sim_on_request,
        .ctx = sim };
    kt_code code = kt_http_server_open(sim->loop, &options, &sim->http, err);

    if (code == KT_OK)
        sim->port = kt_http_server_port(sim->http);
    return code;
}

/* As the fault `refuse` says: nobody gets in, and nobody who is in stays, or everybody may. */
static void on_port_due(kt_timer *timer)
{
    kt_sim *sim = timer->ctx;
    bool refuse = sim->faults.values[KT_SIM_REFUSE].m != 0;

    if (refuse && sim->http != NULL) {
        kt_sim_tell_fault(sim, KT_SIM_REFUSE);
        kt_http_server_close(sim->http);
        sim->http = NULL;
        for (kt_sim_client *client = sim->clients; client != NULL; client = client->next) {
            client->served->awaited |= client->subscribed_any;
            kt_sim_line_close(&client->line, KT_WS_CLOSE_GOING_AWAY, KT_TEXT("the port is closed"));
        }
    } else if (!refuse && sim->http == NULL) {
        sim->code = open_port(sim, &sim->err);
        if (sim->code != KT_OK)
            kt_loop_stop(sim->loop);
    }
    kt_loop_busy(sim->loop);
}

kt_code kt_sim_ports_open(kt_sim *sim, kt_err *err)
{
    kt_http_server_options control = {
        .host = "127.0.0.1", .port = sim->options->control_port, .on_request = kt_sim_on_control, .ctx = sim
    };
    kt_code code = KT_OK;

    kt_rng_init(&sim->tls_rng, sim->options->market.seed + 2);
    sim->port = sim->options->port;
    sim->port_timer = (kt_timer){ .on_due = on_port_due, .ctx = sim };
    code = open_tls(sim, err);
    if (code == KT_OK)
        code = open_port(sim, err);
    if (code == KT_OK && sim->options->has_control)
        code = kt_http_server_open(sim->loop, &control, &sim->control, err);
    return code;
}

void kt_sim_ports_close(kt_sim *sim)
{
    kt_timer_cancel(sim->loop, &sim->port_timer);
    kt_http_server_close(sim->http);
    kt_http_server_close(sim->control);
    for (kt_sim_certificate i = 0; i < KT_SIM_CERTIFICATE_COUNT; i++)
        kt_tls_free(sim->tls[i]);
}
