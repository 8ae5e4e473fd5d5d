#include <stdio.h>

#include "base/time.h"
#include "net/url.h"
#include "schema/actions.h"
#include "venue/sim/control.h"
#include "venue/sim/parts.h"

/* ---- our own interface ---- */

static void answer_truth(kt_sim *sim, kt_http_server *http, uint64_t exchange)
{
    kt_http_response response = { .status = 200 };

    if (sim->truth != NULL)
        fflush(sim->truth);
    if (kt_sim_write_totals(sim, true, &response.body))
        kt_http_respond(http, exchange, &response);
    else
        kt_http_fail(http, exchange, 500, "the totals do not fit %d bytes", KT_SIM_BODY_SIZE);
}

/* A page of another site may not change anything: browsers say whose page asks. */
static bool may_change(const kt_http_request *request)
{
    return kt_http_field_count(request->fields, request->field_count, KT_TEXT("Origin")) == 0;
}

/* The action sim.faults. */
static void answer_faults(kt_sim *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    char mem[KT_SIM_CONTROL_SIZE];
    kt_http_response response = { .status = 200 };
    kt_sim_faults values = sim->faults;
    kt_json_writer writer;
    kt_err err = { 0 };
    kt_code code = KT_OK;

    if (request->method == KT_HTTP_POST) {
        code = may_change(request) ? kt_sim_control_read(request->body, &values, &err)
                                   : kt_fail(&err, KT_DENIED, "a page of a browser may not change this");
        if (code == KT_OK)
            code = kt_sim_options_check_faults(sim->options, &sim->faults, &values, &err);
        if (code == KT_OK)
            kt_sim_break(sim, &values);
    }
    if (code != KT_OK) {
        kt_http_fail(http, exchange, kt_code_status(code), "%s", err.msg);
        return;
    }
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_sim_control_write(&sim->faults, &writer);
    if (kt_json_writer_done(&writer, &response.body) == KT_OK)
        kt_http_respond(http, exchange, &response);
    else
        kt_http_fail(http, exchange, 500, "the faults do not fit %d bytes", KT_SIM_CONTROL_SIZE);
}

/* false: the path is none of it. */
static bool answer_own(kt_sim *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    char path[KT_ACTION_PATH_MAX];

    kt_action_path(&kt_actions[KT_ACTION_sim_faults], path);
    if (kt_text_equal(request->path, kt_text_of(path)) &&
        (request->method == KT_HTTP_GET || request->method == KT_HTTP_POST))
        answer_faults(sim, http, exchange, request);
    else if (kt_text_equal(request->path, KT_TEXT("/sim/truth")) && request->method == KT_HTTP_GET)
        answer_truth(sim, http, exchange);
    else
        return false;
    return true;
}

void kt_sim_on_control(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    if (!answer_own(ctx, http, exchange, request))
        kt_http_fail(http, exchange, 404, "there are GET /sim/truth, GET and POST /v1/sim/faults");
}

/* ---- the venue ---- */

static void too_many(kt_sim *sim, kt_http_server *http, uint64_t exchange)
{
    char seconds[16];
    kt_http_field retry_after = { KT_TEXT("Retry-After"),
        { seconds, (size_t)snprintf(seconds, sizeof seconds, "%u", sim->options->retry_after_s) } };

    sim->quiet_until_ns = kt_loop_now(sim->loop) + sim->options->retry_after_s * KT_NS_PER_S;
    kt_http_respond(http, exchange,
        &(kt_http_response){ .status = 429,
            .fields = &retry_after,
            .field_count = 1,
            .body = KT_TEXT("{\"code\":-1003,\"msg\":\"Too many requests; see Retry-After.\"}") });
}

/* The true answer, and what becomes of it. */
static void respond(
    kt_sim *sim, kt_http_server *http, uint64_t exchange, kt_http_response *response, kt_sim_fault fault)
{
    static const kt_text page = KT_TEXT("<!doctype html><title>Just a moment...</title><p>Checking your browser.");
    size_t sent = fault == KT_SIM_TRUNCATED_BODY ? response->body.n / 2 : response->body.n;

    if (fault != KT_SIM_NONE)
        kt_sim_tell_fault(sim, fault);
    switch (fault) {
    case KT_SIM_STATUS_429:
        too_many(sim, http, exchange);
        return;
    case KT_SIM_STATUS_500:
        kt_http_fail(http, exchange, 500, "a fault that was asked for");
        return;
    case KT_SIM_STATUS_503:
        kt_http_fail(http, exchange, 503, "a fault that was asked for");
        return;
    case KT_SIM_WRONG_CONTENT_TYPE:
        kt_http_respond(http, exchange,
            &(kt_http_response){ .status = 200, .type = KT_TEXT("text/html; charset=utf-8"), .body = page });
        return;
    default:
        break;
    }
    if (sent == response->body.n && kt_sim_trickle(sim) == 0) {
        kt_http_respond(http, exchange, response);
        return;
    }
    sim->faults.delivered[KT_SIM_TRICKLE] += kt_sim_trickle(sim) != 0;
    if (!kt_sim_raw_respond(sim->raws, http, exchange, response, sent, kt_sim_trickle(sim)))
        kt_http_fail(http, exchange, 503, "no memory for an answer");
}

/* Nothing that is served has this path. */
static void not_found(const kt_sim *sim, kt_http_server *http, uint64_t exchange)
{
    const kt_sim_options *options = sim->options;
    const struct {
        bool served;
        const char *paths;
    } formats[] = {
        { options->generic, "/stream, /trades" },
        { options->binance, "/stream?streams=..., /ws/..., /api/v3/..." },
        { options->kraken == &kt_venue_kraken_v1, "/, /0/public/..." },
        { options->kraken == &kt_venue_kraken_v2, "/v2, /0/public/..." },
    };
    char mem[128];
    kt_builder there;

    kt_builder_init(&there, mem, sizeof mem);
    for (size_t i = 0; i < KT_COUNT(formats); i++)
        if (formats[i].served)
            kt_builder_format(&there, "%s, ", formats[i].paths);
    kt_http_fail(
        http, exchange, 404, "there are %.*s/sim/truth and /v1/sim/faults", KT_TEXT_ARG(kt_builder_done(&there)));
}

static void answer_venue(kt_sim *sim, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    kt_sim_fault fault = kt_sim_faults_draw(&sim->faults, &sim->rest_rng, KT_SIM_PER_REQUEST);
    kt_sim_rest rest = { .market = sim->market,
        .histories = sim->histories,
        .books = sim->books,
        .generic = sim->options->generic,
        .binance = sim->options->binance,
        .kraken = sim->options->kraken,
        .shuffle = sim->options->shuffle ? &sim->shuffle_rng : NULL,
        .overlap = fault == KT_SIM_OVERLAP ? &sim->rest_rng : NULL };
    kt_http_response response = { 0 };
    kt_builder body;

    if (sim->options->speed != KT_SIM_SPEED_MAX)
        kt_sim_advance(sim); /* complete up to this moment */
    rest.now_ns = sim->now_ns + sim->faults.skew_ns;
    kt_builder_init(&body, sim->body, KT_SIM_BODY_SIZE);
    response.status = kt_sim_rest_answer(&rest, request->path, request->query, &body);
    response.body = kt_builder_done(&body);
    sim->early_count += response.status != 0 && kt_loop_now(sim->loop) < sim->quiet_until_ns;
    if (fault == KT_SIM_OVERLAP && !rest.overlaps)
        fault = KT_SIM_NONE;
    if (response.status == 0)
        not_found(sim, http, exchange);
    else if (body.code != KT_OK)
        kt_http_fail(http, exchange, 500, "the answer does not fit %d bytes", KT_SIM_BODY_SIZE);
    else
        respond(sim, http, exchange, &response, fault);
}

/* Whose stream this is the address of; NULL: of none. /stream without names is the generic one, unless only Binance's is
 * served. */
static kt_sim_served *stream_at(kt_sim *sim, kt_text path, kt_text query)
{
    const kt_sim_options *options = sim->options;
    bool stream = kt_text_equal(path, KT_TEXT("/stream"));
    bool raw = kt_text_equal(path, KT_TEXT("/ws")) || kt_text_starts(path, KT_TEXT("/ws/"));
    kt_text names;

    if (options->kraken != NULL) {
        kt_text own = options->kraken == &kt_venue_kraken_v1 ? KT_TEXT("/") : KT_TEXT("/v2");

        return kt_text_equal(path, own) ? &sim->served[KT_SIM_KRAKEN] : NULL;
    }
    if (stream && options->generic && !(options->binance && kt_url_query(query, KT_TEXT("streams"), &names)))
        return &sim->served[KT_SIM_GENERIC];
    return (stream || raw) && options->binance ? &sim->served[KT_SIM_BINANCE] : NULL;
}

void kt_sim_on_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    kt_sim *sim = ctx;
    kt_sim_served *served = stream_at(sim, request->path, request->query);
    kt_sim_client *client = served != NULL ? kt_sim_clients_accept(served, http, exchange, request) : NULL;

    if (client != NULL)
        kt_sim_welcome(client, request);
    else if (served != NULL || answer_own(sim, http, exchange, request))
        return;
    else if (request->method != KT_HTTP_GET)
        kt_http_fail(http, exchange, 405, "only GET is understood here");
    else if (sim->options->no_rest)
        kt_http_fail(http, exchange, 503, "REST is switched off (--no-rest)");
    else
        answer_venue(sim, http, exchange, request);
}
