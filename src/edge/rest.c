#include "edge/rest.h"

#include "base/text.h"
#include "edge/openapi.h"
#include "edge/page.h"
#include "schema/actions.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct document {
    char *mem;
    kt_text text;
} document;

struct kt_rest {
    kt_rest_options options;
    document openapi, asyncapi; /* made once */
    kt_http_server *http;       /* of the requests: there is one */
    kt_json_node nodes[KT_REST_NODE_MAX];
    uint8_t texts[KT_REST_BODY_MAX]; /* of a body, with their escapes undone */
};

typedef struct request_context {
    kt_rest *rest;
    kt_http_server *http;
    uint64_t exchange;
    const kt_http_request *request;
} request_context;

/* ---- answers ---- */

enum { FIELD_MAX = 5 }; /* headers of an answer */

static const kt_http_field open_to_all = { KT_TEXT("Access-Control-Allow-Origin"), KT_TEXT("*") };

static uint32_t put_trace(kt_http_field *fields, const kt_trace *trace)
{
    fields[0] = (kt_http_field){ KT_TEXT("X-Request-Id"), kt_text_of(trace->request_id) };
    fields[1] = (kt_http_field){ KT_TEXT("Traceparent"), kt_text_of(trace->traceparent) };
    fields[2] =
        (kt_http_field){ KT_TEXT("Access-Control-Expose-Headers"), KT_TEXT("X-Request-Id, Traceparent, Retry-After") };
    return 3;
}

static void respond(kt_http_server *http, uint64_t exchange, uint16_t status, kt_text type, kt_text body,
    const kt_http_field *more, const kt_trace *trace)
{
    kt_http_field fields[FIELD_MAX] = { open_to_all };
    uint32_t count = 1;

    if (more != NULL)
        fields[count++] = *more;
    if (trace != NULL)
        count += put_trace(&fields[count], trace);
    kt_http_respond(http, exchange,
        &(kt_http_response){ .status = status, .type = type, .fields = fields, .field_count = count, .body = body });
}

static void respond_refusal(kt_http_server *http, uint64_t exchange, uint16_t status, const kt_refusal *refusal,
    const kt_http_field *more, const kt_trace *trace)
{
    char seconds[16];
    kt_http_field retry = { KT_TEXT("Retry-After"),
        { seconds, (size_t)snprintf(seconds, sizeof seconds, "%u", refusal->retry_s) } };
    char mem[KT_REFUSAL_MESSAGE_SIZE * 6 + 512]; /* every byte of the message escaped */
    kt_json_writer writer;
    kt_text body = KT_TEXT("{}");

    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_u64(&writer, "statusCode", status);
    kt_json_member_text(&writer, "error", kt_text_of(kt_http_status_text(status)));
    kt_json_member_text(&writer, "code", kt_text_of(refusal->word));
    if (refusal->field[0] != '\0')
        kt_json_member_text(&writer, "field", kt_text_of(refusal->field));
    kt_json_member_text(&writer, "message", kt_text_of(refusal->message));
    kt_json_close_object(&writer);
    (void)kt_json_writer_done(&writer, &body);
    respond(http, exchange, status, (kt_text){ NULL, 0 }, body, refusal->retry_s > 0 ? &retry : more, trace);
}

/* ---- actions ---- */

static void on_answer(void *ctx, uint64_t exchange, const kt_call_answer *answer)
{
    kt_http_server *http = ((kt_rest *)ctx)->http;

    if (answer->code == KT_OK)
        respond(http, exchange, 200, KT_TEXT("application/json"), answer->body, NULL, answer->trace);
    else
        respond_refusal(http, exchange, kt_code_status(answer->code), answer->refusal, NULL, answer->trace);
}

static kt_text header(const kt_http_request *request, kt_text name)
{
    kt_text value = { NULL, 0 };

    (void)kt_http_field_get(request->fields, request->field_count, name, &value);
    return value;
}

/* Only JSON is read; a body that does not say what it is may be. Returns the status, 200: read it. */
static uint16_t check_body(const kt_http_request *request, kt_refusal *out)
{
    kt_text type = header(request, KT_TEXT("Content-Type"));
    kt_text kind;

    if (request->body.n > KT_REST_BODY_MAX) {
        kt_refuse(
            out, KT_LIMIT, NULL, "the body has %zu bytes; at most %d are read", request->body.n, KT_REST_BODY_MAX);
        return 413;
    }
    if (type.n == 0)
        return 200;
    kt_text_cut(&type, ';', &kind);
    while (kind.n > 0 && kind.s[kind.n - 1] == ' ')
        kind.n--;
    if (kt_http_text_equal_nocase(kind, KT_TEXT("application/json")))
        return 200;
    kt_refuse(
        out, KT_TYPE, NULL, "a body is application/json here, not %.*s", (int)(kind.n < 80 ? kind.n : 80), kind.s);
    return 415;
}

static kt_code read_body(kt_rest *rest, const kt_action *action, const kt_http_request *request, kt_arena *arena,
    void *out_params, kt_refusal *out)
{
    kt_json_doc doc;
    kt_err err = { 0 };
    kt_code code;

    if (request->query.n > 0)
        return kt_refuse(out, KT_ARG, NULL, "the parameters of %s are in the body; a query is not read", action->name);
    code = kt_json_parse(request->body, rest->nodes, KT_REST_NODE_MAX, &doc, &err);
    if (code != KT_OK)
        return kt_refuse(
            out, code == KT_FULL ? KT_LIMIT : code, NULL, "the body is no JSON that can be read: %s", err.msg);
    return kt_params_json(&action->params, &doc, 0, arena, out_params, out);
}

static void call(const request_context *context, const kt_action *action)
{
    kt_rest *rest = context->rest;
    const kt_http_request *request = context->request;
    kt_text deadline;
    kt_call_spec spec = { .action = action, .on_answer = on_answer, .ctx = rest, .key = context->exchange };
    char room[KT_QUERY_MAX], peer[KT_GATE_ADDRESS_SIZE + 8];
    kt_gate_client client;
    kt_params_any params;
    kt_arena arena;
    kt_refusal refusal;
    uint16_t status = 200;
    kt_code code;

    kt_arena_init(&arena, rest->texts, sizeof rest->texts);
    kt_calls_trace(rest->options.calls, &spec.trace, header(request, KT_TEXT("X-Request-Id")),
        header(request, KT_TEXT("Traceparent")));
    spec.params = &params;
    rest->http = context->http;
    kt_http_peer(context->http, context->exchange, peer, sizeof peer);
    kt_gate_client_init(&client, peer, kt_gate_operates(request));
    code = kt_calls_pass(rest->options.calls, action, &client, &refusal);
    if (code == KT_OK && kt_http_field_get(request->fields, request->field_count, KT_TEXT("X-Deadline"), &deadline))
        code = kt_calls_deadline(rest->options.calls, deadline, &spec.deadline_ns, &refusal);
    if (code == KT_OK && request->method == KT_HTTP_POST)
        status = check_body(request, &refusal);
    if (code == KT_OK && status == 200)
        code = request->method == KT_HTTP_POST
                   ? read_body(rest, action, request, &arena, &params, &refusal)
                   : kt_params_query(&action->params, request->query, room, &params, &refusal);
    if (status == 200 && code != KT_OK)
        status = kt_code_status(code);
    if (status != 200)
        respond_refusal(context->http, context->exchange, status, &refusal, NULL, &spec.trace);
    else
        kt_calls_start(rest->options.calls, &spec);
}

/* ---- what is no action ---- */

static void get_health(const request_context *context)
{
    respond(context->http, context->exchange, 200, KT_TEXT("text/plain; charset=utf-8"), KT_TEXT("OK"), NULL, NULL);
}

static void get_document(const request_context *context, const document *told)
{
    static const kt_http_field fresh = { KT_TEXT("Cache-Control"), KT_TEXT("no-cache") };

    respond(context->http, context->exchange, 200, KT_TEXT("application/json"), told->text, &fresh, NULL);
}

static void get_openapi(const request_context *context)
{
    get_document(context, &context->rest->openapi);
}

static void get_asyncapi(const request_context *context)
{
    get_document(context, &context->rest->asyncapi);
}

static void get_metrics(const request_context *context)
{
    static char mem[KT_METRICS_SIZE_MAX];
    kt_text text;

    if (kt_metrics_write(context->rest->options.metrics, mem, sizeof mem, &text) == KT_OK)
        respond(context->http, context->exchange, 200, KT_TEXT("text/plain; version=0.0.4; charset=utf-8"), text, NULL,
            NULL);
    else
        kt_http_fail(
            context->http, context->exchange, 503, "the figures are longer than %d bytes", KT_METRICS_SIZE_MAX);
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
    { "/openapi.json", get_openapi },
    { "/swagger.json", get_openapi },
    { "/asyncapi.json", get_asyncapi },
    { "/metrics", get_metrics },
    { "/ws", get_ws },
};

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
    kt_text known = header(context->request, KT_TEXT("If-None-Match"));
    bool same = kt_text_equal(known, kt_text_of(file->tag));

    kt_http_respond(context->http, context->exchange,
        &(kt_http_response){ .status = same ? 304 : 200,
            .type = kt_text_of(file->type),
            .fields = fields,
            .field_count = KT_COUNT(fields),
            .body = same ? (kt_text){ NULL, 0 } : (kt_text){ (const char *)file->bytes, file->size } });
}

/* ---- which is which ---- */

static void not_found(const request_context *context)
{
    kt_text path = context->request->path;
    char known[512], own[KT_ACTION_PATH_MAX];
    kt_refusal refusal;
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    kt_builder_str(&list, "/ (the page)");
    for (uint32_t i = 0; i < KT_COUNT(routes); i++)
        kt_builder_format(&list, ", %s", routes[i].path);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        kt_action_path(&kt_actions[i], own);
        kt_builder_format(&list, ", %s", own);
        if (kt_actions[i].alias[0] != '\0')
            kt_builder_format(&list, ", %s", kt_actions[i].alias);
    }
    kt_refuse(
        &refusal, KT_NOENT, NULL, "there is no %.*s; there are: %s", (int)(path.n < 100 ? path.n : 100), path.s, known);
    respond_refusal(context->http, context->exchange, 404, &refusal, NULL, NULL);
}

/* What a path takes: "POST, OPTIONS" where an action is to be told something. */
static kt_text allowed_at(const kt_action *action)
{
    if (action != NULL && strcmp(action->method, "POST") == 0)
        return KT_TEXT("POST, OPTIONS");
    return KT_TEXT("GET, HEAD, OPTIONS");
}

static void answer_options(const request_context *context, const kt_action *action)
{
    const kt_http_field fields[] = {
        open_to_all,
        { KT_TEXT("Allow"), allowed_at(action) },
        { KT_TEXT("Access-Control-Allow-Methods"), allowed_at(action) },
        { KT_TEXT("Access-Control-Allow-Headers"), KT_TEXT("*") },
        { KT_TEXT("Access-Control-Max-Age"), KT_TEXT("86400") },
    };

    kt_http_respond(context->http, context->exchange,
        &(kt_http_response){ .status = 204, .fields = fields, .field_count = KT_COUNT(fields) });
}

static void refuse_method(const request_context *context, const kt_action *action)
{
    const kt_http_field allow = { KT_TEXT("Allow"), allowed_at(action) };
    kt_refusal refusal;

    kt_refuse(&refusal, KT_ARG, NULL, "%s is not allowed here; allowed is %.*s",
        kt_http_method_name(context->request->method), KT_TEXT_ARG(allow.value));
    respond_refusal(context->http, context->exchange, 405, &refusal, &allow, NULL);
}

static const route *route_of(kt_text path)
{
    for (uint32_t i = 0; i < KT_COUNT(routes); i++)
        if (kt_text_equal(path, kt_text_of(routes[i].path)))
            return &routes[i];
    return NULL;
}

static bool is_allowed(const kt_action *action, kt_http_method method)
{
    if (action != NULL && strcmp(action->method, "POST") == 0)
        return method == KT_HTTP_POST;
    return method == KT_HTTP_GET || method == KT_HTTP_HEAD;
}

void kt_rest_request(void *ctx, kt_http_server *http, uint64_t exchange, const kt_http_request *request)
{
    request_context context = { ctx, http, exchange, request };
    const kt_page_file *file = kt_page_find(request->path);
    const route *found = route_of(request->path);
    const kt_action *action = kt_action_by_path(request->path);

    if (request->method == KT_HTTP_OPTIONS)
        answer_options(&context, action);
    else if (file == NULL && found == NULL && action == NULL)
        not_found(&context);
    else if (!is_allowed(action, request->method))
        refuse_method(&context, action);
    else if (action != NULL)
        call(&context, action);
    else if (found != NULL)
        found->get(&context);
    else
        get_page(&context, file);
}

static kt_json_writer begin(document *made)
{
    kt_json_writer writer;

    made->mem = malloc(KT_OPENAPI_SIZE_MAX);
    kt_json_writer_init(&writer, made->mem, made->mem != NULL ? KT_OPENAPI_SIZE_MAX : 0);
    return writer;
}

static bool end(document *made, const kt_json_writer *writer)
{
    return made->mem != NULL && kt_json_writer_done(writer, &made->text) == KT_OK;
}

kt_rest *kt_rest_new(const kt_rest_options *options)
{
    kt_rest *rest = calloc(1, sizeof *rest);
    bool made = rest != NULL;
    kt_json_writer writer;

    if (rest == NULL)
        return NULL;
    rest->options = *options;
    writer = begin(&rest->openapi);
    kt_openapi_write(&writer);
    made = end(&rest->openapi, &writer);
    writer = begin(&rest->asyncapi);
    kt_asyncapi_write(&writer, kt_text_of(options->host), options->tls);
    made = end(&rest->asyncapi, &writer) && made;
    if (made)
        return rest;
    kt_rest_free(rest);
    return NULL;
}

void kt_rest_free(kt_rest *rest)
{
    if (rest == NULL)
        return;
    free(rest->openapi.mem);
    free(rest->asyncapi.mem);
    free(rest);
}
