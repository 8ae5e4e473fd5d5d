#include "edge/rest.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "edge/page.h"
#include "schema/actions.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    QUERY_MAX = 1024,   /* bytes of a query with its escapes undone */
    MESSAGE_MAX = 1024, /* bytes of an error's message */
    KNOWN_MAX = 20      /* tickers that a message lists */
};

typedef struct ask {
    kt_rest *rest;
    uint64_t id; /* 0: free. The low bits are the index, so that an answer is found at once */
    kt_http_server *http;
    uint64_t exchange;
    kt_timer timer;
    char what[256]; /* for messages */
} ask;

struct kt_rest {
    kt_rest_options options;
    uint64_t ask_count;
    ask asks[KT_EDGE_ASK_MAX];
};

typedef struct request_context {
    kt_rest *rest;
    kt_http_server *http;
    uint64_t exchange;
    const kt_http_request *request;
} request_context;

/* ---- answers ---- */

static const kt_http_field open_to_all = { KT_TEXT("Access-Control-Allow-Origin"), KT_TEXT("*") };

static void respond(const request_context *context, uint16_t status, kt_text type, kt_text body)
{
    kt_http_respond(context->http, context->exchange,
        &(kt_http_response){ .status = status, .type = type, .fields = &open_to_all, .field_count = 1, .body = body });
}

static void fail_with(const request_context *context, uint16_t status, const kt_http_field *field, const char *message)
{
    kt_http_field fields[2] = { open_to_all };
    char mem[MESSAGE_MAX * 2];
    kt_json_writer writer;
    kt_text body = { NULL, 0 };

    if (field != NULL)
        fields[1] = *field;
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_u64(&writer, "statusCode", status);
    kt_json_member_text(&writer, "error", kt_text_of(kt_http_status_text(status)));
    kt_json_member_text(&writer, "message", kt_text_of(message));
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &body) != KT_OK)
        body = KT_TEXT("{}");
    kt_http_respond(context->http, context->exchange,
        &(kt_http_response){ .status = status, .fields = fields, .field_count = field != NULL ? 2 : 1, .body = body });
}

static void fail(const request_context *context, uint16_t status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(const request_context *context, uint16_t status, const char *fmt, ...)
{
    static const kt_http_field retry = { KT_TEXT("Retry-After"), KT_TEXT("1") };
    char message[MESSAGE_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    fail_with(context, status, status == 503 ? &retry : NULL, message);
}

/* ---- query parameters ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undo percent-encoding and "+" into `out`, which has room for text.n bytes. false: a bad escape. */
static bool unescape(kt_text text, char *out, kt_text *out_text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];

        if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.s[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.s[i + 2]) : -1;

            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    *out_text = (kt_text){ out, n };
    return true;
}

/* `interval` may be written as a window too, 5m, as it is in channels. */
static kt_text interval_as_ms(kt_text name, kt_text value, char room[24])
{
    int64_t ns;

    if (!kt_text_equal(name, KT_TEXT("interval")) || kt_window_parse(value, &ns) != KT_OK)
        return value;
    return (kt_text){ room, kt_u64_format(room, (uint64_t)(ns / KT_NS_PER_MS)) };
}

/* Read the query into the action's parameters. false: it has been answered. `room` holds the texts. */
static bool read_query(
    const request_context *context, const kt_action *action, void *params, char room[QUERY_MAX], size_t room_size)
{
    kt_text rest = context->request->query;
    kt_text part;
    size_t used = 0;
    uint64_t seen = 0;
    kt_err err = { 0 };

    kt_table_init(&action->params, params);
    if (rest.n > room_size) {
        fail(context, 414, "the query has %zu bytes; at most %zu are read", rest.n, room_size);
        return false;
    }
    while (rest.n > 0 && kt_text_cut(&rest, '&', &part)) {
        kt_text value = part;
        kt_text name;
        char number[24];

        if (part.n == 0)
            continue;
        kt_text_cut(&value, '=', &name);
        if (name.n == part.n)
            value = (kt_text){ part.s, 0 };
        if (!unescape(name, room + used, &name) || !unescape(value, room + used + name.n, &value)) {
            fail(context, 400,
                "'%.*s' is not percent-encoded as it should be: %% is followed by two hexadecimal digits",
                (int)(part.n < 100 ? part.n : 100), part.s);
            return false;
        }
        used += name.n + value.n;
        const kt_field *field = kt_table_field(&action->params, name);
        if (field != NULL && (seen >> field->number & 1) != 0) {
            fail(context, 400, "%s is given twice", field->name);
            return false;
        }
        seen |= field != NULL ? UINT64_C(1) << field->number : 0;
        if (kt_table_set(&action->params, params, name, interval_as_ms(name, value, number), &err) != KT_OK) {
            fail(context, 400, "%s", err.msg);
            return false;
        }
    }
    return true;
}

/* ---- tickers ---- */

static bool subject_of(
    const kt_config *config, kt_text ticker, bool composite, char room[KT_SUBJECT_MAX + 1], kt_text *out)
{
    kt_builder builder;
    kt_text venue;
    kt_text symbol;

    kt_builder_init(&builder, room, KT_SUBJECT_MAX + 1);
    kt_builder_format(&builder, "vwap.%s.", config->interval_name);
    if (composite) {
        if (kt_subject_token(&builder, ticker) != KT_OK)
            return false;
    } else {
        if (kt_config_ticker_of(config, ticker, &venue, &symbol) != KT_OK || kt_subject_token(&builder, venue) != KT_OK)
            return false;
        kt_builder_char(&builder, '.');
        if (kt_subject_token(&builder, symbol) != KT_OK)
            return false;
    }
    *out = kt_builder_done(&builder);
    return builder.code == KT_OK;
}

/* What a ticker stands for has one place in the configuration; a composite of that name is looked for where it has
 * none. */
static const kt_latest_value *latest_of(const kt_rest *rest, kt_text ticker)
{
    char room[KT_SUBJECT_MAX + 1];
    kt_text subject;
    const kt_latest_value *value = NULL;

    if (subject_of(rest->options.config, ticker, false, room, &subject))
        value = kt_latest_find(rest->options.latest, subject);
    if (value == NULL && subject_of(rest->options.config, ticker, true, room, &subject))
        value = kt_latest_find(rest->options.latest, subject);
    return value;
}

/* Is it listed under compat.tickers? */
static bool is_ticker(const kt_config *config, kt_text ticker)
{
    for (uint32_t i = 0; i < config->ticker_count; i++)
        if (kt_text_equal(kt_text_of(config->tickers[i].ticker), ticker))
            return true;
    return false;
}

static bool is_configured(const kt_config *config, kt_text ticker)
{
    kt_text venue;
    kt_text symbol;

    for (uint32_t i = 0; i < config->composite_count; i++)
        if (kt_text_equal(kt_text_of(config->composites[i].ticker), ticker))
            return true;
    return kt_config_ticker_of(config, ticker, &venue, &symbol) == KT_OK;
}

typedef struct known_list {
    kt_builder builder;
    uint32_t count;
} known_list;

static void list_one(known_list *list, kt_text ticker)
{
    if (list->count++ >= KNOWN_MAX)
        return;
    kt_builder_str(&list->builder, list->count > 1 ? ", " : "");
    kt_builder_text(&list->builder, ticker);
}

/* Tickers that have a value now: those of the configuration, then symbols that can be asked for by their own name. */
static const char *known_tickers(const kt_rest *rest, char *mem, size_t size)
{
    const kt_config *config = rest->options.config;
    known_list list = { .count = 0 };

    kt_builder_init(&list.builder, mem, size);
    for (uint32_t i = 0; i < config->ticker_count; i++)
        if (latest_of(rest, kt_text_of(config->tickers[i].ticker)) != NULL)
            list_one(&list, kt_text_of(config->tickers[i].ticker));
    for (uint32_t i = 0; i < config->composite_count; i++)
        if (!is_ticker(config, kt_text_of(config->composites[i].ticker)) &&
            latest_of(rest, kt_text_of(config->composites[i].ticker)) != NULL)
            list_one(&list, kt_text_of(config->composites[i].ticker));
    for (uint32_t i = 0; i < kt_latest_count(rest->options.latest); i++) {
        const kt_latest_value *value = kt_latest_at(rest->options.latest, i);
        kt_text token = kt_subject_part(value->subject, 3);
        char raw[KT_SUBJECT_MAX + 1];
        kt_builder symbol;

        kt_builder_init(&symbol, raw, sizeof raw);
        if (token.n != 0 && kt_subject_token_decode(token, &symbol) == KT_OK &&
            !is_ticker(config, kt_builder_done(&symbol)) && latest_of(rest, kt_builder_done(&symbol)) == value)
            list_one(&list, kt_builder_done(&symbol));
    }
    if (list.count == 0)
        return "none has a value yet";
    if (list.count > KNOWN_MAX)
        kt_builder_format(&list.builder, " and %u more", list.count - KNOWN_MAX);
    return mem;
}

static bool want_ticker(const request_context *context, kt_text ticker, const char *example)
{
    char known[512];

    if (ticker.n != 0)
        return true;
    fail(context, 400, "ticker is missing, as in %s; known: %s", example,
        known_tickers(context->rest, known, sizeof known));
    return false;
}

/* ---- routes ---- */

static void get_health(const request_context *context)
{
    respond(context, 200, KT_TEXT("text/plain; charset=utf-8"), KT_TEXT("OK"));
}

static void get_latest(const request_context *context)
{
    const kt_rest *rest = context->rest;
    const kt_action *action = &kt_actions[KT_ACTION_vwap_latest];
    kt_params_vwap_latest params;
    kt_response_vwap_latest response;
    char room[QUERY_MAX];
    char known[512];
    char mem[1024];
    kt_json_writer writer;
    kt_text body;

    if (!read_query(context, action, &params, room, sizeof room) ||
        !want_ticker(context, params.ticker, "/latest?ticker=BTC"))
        return;
    const kt_latest_value *value = latest_of(rest, params.ticker);
    if (value == NULL && !kt_hub_watch_ready(rest->options.hub)) {
        fail(context, 503, "the log is still being read; try again in a second");
        return;
    }
    if (value == NULL && kt_hub_trouble(rest->options.hub) != NULL) {
        fail(context, 503, "a log can not be read: %s", kt_hub_trouble(rest->options.hub)->msg);
        return;
    }
    if (value == NULL) {
        fail(context, 404, "%s '%.*s'; known: %s",
            is_configured(rest->options.config, params.ticker) ? "there is no price yet of" : "there is no ticker",
            (int)(params.ticker.n < 128 ? params.ticker.n : 128), params.ticker.s,
            known_tickers(rest, known, sizeof known));
        return;
    }
    kt_table_init(&action->response, &response);
    response.ticker = params.ticker;
    response.price = kt_decimal_canon(value->price);
    response.ts = value->mark_ns;
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_table_write_json(&action->response, &response, &writer);
    if (kt_json_writer_done(&writer, &body) == KT_OK)
        respond(context, 200, KT_TEXT("application/json"), body);
    else
        fail(context, 400, "the ticker is too long");
}

/* ---- /historical: a question to lane keep ---- */

static ask *ask_free_place(kt_rest *rest)
{
    for (uint32_t i = 0; i < KT_EDGE_ASK_MAX; i++) {
        uint32_t index = (uint32_t)((rest->ask_count + i) % KT_EDGE_ASK_MAX);

        if (rest->asks[index].id == 0) {
            rest->ask_count++;
            rest->asks[index].id = rest->ask_count * KT_EDGE_ASK_MAX + index;
            return &rest->asks[index];
        }
    }
    return NULL;
}

static void ask_end(ask *open)
{
    kt_timer_cancel(open->rest->options.loop, &open->timer);
    open->id = 0;
}

static void ask_due(kt_timer *timer)
{
    ask *late = timer->ctx;
    request_context context = { late->rest, late->http, late->exchange, NULL };

    fail(&context, 503, "lane keep did not answer within %d ms; live values are not affected, try again",
        KT_EDGE_ASK_MS);
    ask_end(late);
}

void kt_rest_answer(kt_rest *rest, uint64_t ask_id, kt_code code, kt_text body)
{
    ask *open = &rest->asks[ask_id % KT_EDGE_ASK_MAX];
    request_context context = { rest, open->http, open->exchange, NULL };

    if (ask_id == 0 || open->id != ask_id)
        return;
    switch (code) {
    case KT_OK:
        respond(&context, 200, KT_TEXT("application/json"), body);
        break;
    case KT_NOENT:
    case KT_EMPTY:
        fail(&context, 404,
            "no value is stored %s: there was no trade in its window, or it has not been recorded (yet)", open->what);
        break;
    case KT_ARG:
    case KT_RANGE:
    case KT_TYPE:
    case KT_SYNTAX:
        fail(&context, 400, "the store does not take the question %s: %s", open->what, kt_code_text(code));
        break;
    default:
        fail(&context, 503, "lane keep could not answer (%s); live values are not affected, try again",
            kt_code_text(code));
    }
    ask_end(open);
}

static bool is_window(const kt_config *config, uint64_t interval_ms, char *known, size_t size)
{
    kt_builder list;
    bool found = false;

    kt_builder_init(&list, known, size);
    for (uint32_t i = 0; i < config->window_count; i++) {
        found = found || config->windows_ns[i] / KT_NS_PER_MS == (int64_t)interval_ms;
        kt_builder_format(&list, "%s%s (%lld)", i != 0 ? ", " : "", config->window_names[i],
            (long long)(config->windows_ns[i] / KT_NS_PER_MS));
    }
    return found;
}

static bool check_historical(const request_context *context, kt_params_vwap_historical *params)
{
    const kt_config *config = context->rest->options.config;
    char known[512];

    if (!want_ticker(context, params->ticker, "/historical?ticker=BTC&ts=1684083600000"))
        return false;
    if (params->ts < 0) {
        fail(context, 400, "ts is missing: the mark, a whole second in ms since 1970, as ts=1684083600000");
        return false;
    }
    if (params->ts % KT_NS_PER_S != 0) {
        fail(context, 400, "ts %lld is no mark: marks are whole seconds, so ms that end in 000",
            (long long)kt_time_to_ms(params->ts));
        return false;
    }
    if (params->interval == 0)
        params->interval = (uint64_t)(config->interval_ns / KT_NS_PER_MS);
    if (!is_window(config, params->interval, known, sizeof known)) {
        fail(context, 400, "there is no interval of %llu ms; configured, in ms: %s",
            (unsigned long long)params->interval, known);
        return false;
    }
    if (!is_configured(config, params->ticker) && latest_of(context->rest, params->ticker) == NULL) {
        fail(context, 404, "there is no ticker '%.*s'; known: %s",
            (int)(params->ticker.n < 128 ? params->ticker.n : 128), params->ticker.s,
            known_tickers(context->rest, known, sizeof known));
        return false;
    }
    return true;
}

static void get_historical(const request_context *context)
{
    kt_rest *rest = context->rest;
    const kt_action *action = &kt_actions[KT_ACTION_vwap_historical];
    kt_params_vwap_historical params;
    char room[QUERY_MAX];
    char mem[1024];
    kt_json_writer writer;
    kt_text json;
    ask *place;

    if (!read_query(context, action, &params, room, sizeof room) || !check_historical(context, &params))
        return;
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_table_write_json(&action->params, &params, &writer);
    if (kt_json_writer_done(&writer, &json) != KT_OK) {
        fail(context, 400, "the ticker is too long");
        return;
    }
    place = rest->options.ask != NULL ? ask_free_place(rest) : NULL;
    if (place == NULL) {
        fail(context, 503,
            rest->options.ask != NULL ? "too many questions are open; try again" : "no lane keeps history here");
        return;
    }
    place->rest = rest;
    place->http = context->http;
    place->exchange = context->exchange;
    place->timer = (kt_timer){ .on_due = ask_due, .ctx = place };
    snprintf(place->what, sizeof place->what, "of %.*s at ts %lld with interval %llu",
        (int)(params.ticker.n < 128 ? params.ticker.n : 128), params.ticker.s, (long long)kt_time_to_ms(params.ts),
        (unsigned long long)params.interval);
    uint64_t id = place->id;
    kt_timer_set(rest->options.loop, &place->timer, kt_loop_now(rest->options.loop) + KT_EDGE_ASK_MS * KT_NS_PER_MS);
    kt_code code = rest->options.ask(rest->options.ask_ctx, id, "keep", kt_text_of(action->name), json);
    if (code == KT_NOENT)
        code = KT_BUSY; /* the lane is not running: that is no answer about the value */
    if (code != KT_OK)
        kt_rest_answer(rest, id, code, (kt_text){ NULL, 0 });
}

static void get_ws(const request_context *context)
{
    kt_hub_accept(context->rest->options.hub, context->http, context->exchange, context->request);
}

typedef struct route {
    const char *path;
    void (*get)(const request_context *context);
} route;

static const route routes[] = {
    { "/health", get_health },
    { "/latest", get_latest },
    { "/historical", get_historical },
    { "/ws", get_ws },
};

/* ---- the page ---- */

static void get_page(const request_context *context, const kt_page_file *file)
{
    kt_http_field fields[] = {
        { KT_TEXT("ETag"), kt_text_of(file->tag) },
        { KT_TEXT("Cache-Control"), KT_TEXT("no-cache") },
        { KT_TEXT("X-Content-Type-Options"), KT_TEXT("nosniff") },
        { KT_TEXT("Referrer-Policy"), KT_TEXT("no-referrer") },
        { KT_TEXT("Content-Security-Policy"), KT_TEXT("default-src 'self'; connect-src 'self' ws: wss:; "
                                                      "frame-ancestors 'none'; object-src 'none'; base-uri 'none'") },
    };
    kt_text known;
    bool same =
        kt_http_field_get(context->request->fields, context->request->field_count, KT_TEXT("If-None-Match"), &known) &&
        kt_text_equal(known, kt_text_of(file->tag));

    kt_http_respond(context->http, context->exchange,
        &(kt_http_response){ .status = same ? 304 : 200,
            .type = kt_text_of(file->type),
            .fields = fields,
            .field_count = KT_COUNT(fields),
            .body = same ? (kt_text){ NULL, 0 } : (kt_text){ (const char *)file->bytes, file->size } });
}

static void not_found(const request_context *context)
{
    kt_text path = context->request->path;
    char known[256];
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    kt_builder_str(&list, "/ (the page)");
    for (uint32_t i = 0; i < KT_COUNT(routes); i++)
        kt_builder_format(&list, ", %s", routes[i].path);
    fail(context, 404, "there is no %.*s; there are: %s", (int)(path.n < 100 ? path.n : 100), path.s, known);
}

static void answer_options(const request_context *context)
{
    const kt_http_field fields[] = {
        open_to_all,
        { KT_TEXT("Allow"), KT_TEXT("GET, HEAD, OPTIONS") },
        { KT_TEXT("Access-Control-Allow-Methods"), KT_TEXT("GET, HEAD, OPTIONS") },
        { KT_TEXT("Access-Control-Allow-Headers"), KT_TEXT("*") },
        { KT_TEXT("Access-Control-Max-Age"), KT_TEXT("86400") },
    };

    kt_http_respond(context->http, context->exchange,
        &(kt_http_response){ .status = 204, .fields = fields, .field_count = KT_COUNT(fields) });
}

void kt_rest_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    static const kt_http_field allow = { KT_TEXT("Allow"), KT_TEXT("GET, HEAD, OPTIONS") };
    request_context context = { ctx, http, exchange, request };
    const kt_page_file *file = kt_page_find(request->path);
    const route *found = NULL;
    char message[128];

    for (uint32_t i = 0; i < KT_COUNT(routes) && found == NULL; i++)
        if (kt_text_equal(request->path, kt_text_of(routes[i].path)))
            found = &routes[i];
    if (request->method == KT_HTTP_OPTIONS) {
        answer_options(&context);
    } else if (file == NULL && found == NULL) {
        not_found(&context);
    } else if (request->method != KT_HTTP_GET && request->method != KT_HTTP_HEAD) {
        snprintf(
            message, sizeof message, "%s is not allowed here; GET and HEAD are", kt_http_method_name(request->method));
        fail_with(&context, 405, &allow, message);
    } else if (file != NULL) {
        get_page(&context, file);
    } else {
        found->get(&context);
    }
}

kt_rest *kt_rest_new(const kt_rest_options *options)
{
    kt_rest *rest = calloc(1, sizeof *rest);

    if (rest != NULL)
        rest->options = *options;
    return rest;
}

void kt_rest_free(kt_rest *rest)
{
    if (rest == NULL)
        return;
    for (uint32_t i = 0; i < KT_EDGE_ASK_MAX; i++)
        if (rest->asks[i].id != 0)
            ask_end(&rest->asks[i]);
    free(rest);
}
