#include "net/fetch.h"

#include "base/assert.h"
#include "net/net.h"
#include "net/url.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NS_PER_MS = 1000000,
    BODY_SIZE_MIN = 4096,
    ERROR_SIZE = CURL_ERROR_SIZE + KT_URL_HOST_MAX + 64,
};

/* A socket of libcurl's that it wants watched. */
typedef struct curl_socket {
    kt_watch watch;
    kt_fetcher *fetcher;
    struct curl_socket *prev, *next;
} curl_socket;

typedef struct one_fetch {
    kt_fetcher *fetcher;
    struct one_fetch *prev, *next;
    uint64_t id;
    CURL *easy;
    struct curl_slist *headers;
    void (*on_done)(void *ctx, const kt_fetch_answer *answer);
    void *ctx;
    char *body; /* grows by doubling up to body_max */
    size_t body_size, body_cap, body_max;
    bool too_large;
    bool no_memory;
    char host[KT_URL_HOST_MAX + 1];
    char error[CURL_ERROR_SIZE];
} one_fetch;

struct kt_fetcher {
    kt_loop *loop;
    const kt_net *made_up; /* carries the requests out instead of libcurl; NULL: nobody does */
    kt_fetcher_options options;
    char *user_agent;
    char *ca_file; /* NULL: the system's */
    CURLM *multi;
    kt_timer timer;
    one_fetch *first;
    curl_socket *sockets;
    uint32_t open_count;
    uint64_t last_id;
};

/* --- the end of a request --------------------------------------------------------------------------------------- */

static void fetch_free(one_fetch *fetch)
{
    kt_fetcher *fetcher = fetch->fetcher;

    if (fetch->prev != NULL)
        fetch->prev->next = fetch->next;
    else
        fetcher->first = fetch->next;
    if (fetch->next != NULL)
        fetch->next->prev = fetch->prev;
    fetcher->open_count--;
    curl_multi_remove_handle(fetcher->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    curl_slist_free_all(fetch->headers);
    free(fetch->body);
    free(fetch);
}

static kt_code code_of(const one_fetch *fetch, CURLcode result)
{
    if (fetch->too_large)
        return KT_LIMIT;
    switch (result) {
    case CURLE_OK:
        return KT_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return KT_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return KT_ARG;
    default:
        return KT_SYS;
    }
}

static void header_copy(CURL *easy, const char *name, char to[KT_FETCH_HEADER_SIZE_MAX])
{
    struct curl_header *header = NULL;

    to[0] = 0;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        snprintf(to, KT_FETCH_HEADER_SIZE_MAX, "%s", header->value);
}

static void fetch_done(one_fetch *fetch, CURLcode result)
{
    char error[ERROR_SIZE] = "";
    char content_type[KT_FETCH_HEADER_SIZE_MAX], retry_after[KT_FETCH_HEADER_SIZE_MAX];
    long status = 0;
    kt_code code = code_of(fetch, result);

    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    header_copy(fetch->easy, "Content-Type", content_type);
    header_copy(fetch->easy, "Retry-After", retry_after);
    if (code == KT_LIMIT)
        snprintf(error, sizeof error, "%s: answer larger than %zu bytes", fetch->host, fetch->body_max);
    else if (fetch->no_memory)
        snprintf(error, sizeof error, "%s: no memory for the answer", fetch->host);
    else if (code != KT_OK)
        snprintf(error, sizeof error, "%s: %s", fetch->host,
            fetch->error[0] != 0 ? fetch->error : curl_easy_strerror(result));
    kt_fetch_answer answer = {
        .code = code,
        .error = error,
        .status = (uint16_t)status,
        .content_type = content_type,
        .retry_after = retry_after,
        .body = { fetch->body, code == KT_OK ? fetch->body_size : 0 },
    };
    /* Off the list first: the callback may start others and cancel this one. */
    char *body = fetch->body;
    void (*on_done)(void *, const kt_fetch_answer *) = fetch->on_done;
    void *ctx = fetch->ctx;
    fetch->body = NULL;
    fetch_free(fetch);
    on_done(ctx, &answer);
    free(body);
}

static void take_done(kt_fetcher *fetcher)
{
    CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        one_fetch *done = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &done);
        fetch_done(done, result);
    }
}

/* --- libcurl on the loop ---------------------------------------------------------------------------------------- */

static void on_socket_ready(kt_watch *watch, uint32_t ready)
{
    curl_socket *own = watch->ctx;
    kt_fetcher *fetcher = own->fetcher;
    int running = 0;
    int action = ((ready & KT_LOOP_READ) ? CURL_CSELECT_IN : 0) | ((ready & KT_LOOP_WRITE) ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(fetcher->multi, watch->fd, action, &running);
    take_done(fetcher);
}

static void socket_forget(curl_socket *own)
{
    kt_fetcher *fetcher = own->fetcher;

    kt_loop_unwatch(fetcher->loop, &own->watch);
    if (own->prev != NULL)
        own->prev->next = own->next;
    else
        fetcher->sockets = own->next;
    if (own->next != NULL)
        own->next->prev = own->prev;
    free(own);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    kt_fetcher *fetcher = ctx;
    curl_socket *own = socket_ctx;
    uint32_t events = ((what & CURL_POLL_IN) ? KT_LOOP_READ : 0u) | ((what & CURL_POLL_OUT) ? KT_LOOP_WRITE : 0u);

    if (what == CURL_POLL_REMOVE) {
        if (own != NULL)
            socket_forget(own);
        curl_multi_assign(fetcher->multi, fd, NULL);
        return 0;
    }
    if (own != NULL) {
        kt_loop_watch_change(fetcher->loop, &own->watch, events);
        return 0;
    }
    own = calloc(1, sizeof *own);
    if (own == NULL)
        return -1;
    own->fetcher = fetcher;
    own->watch = (kt_watch){ on_socket_ready, own, fd, events, false };
    own->next = fetcher->sockets;
    if (own->next != NULL)
        own->next->prev = own;
    fetcher->sockets = own;
    curl_multi_assign(fetcher->multi, fd, own);
    return kt_loop_watch(fetcher->loop, &own->watch, NULL) == KT_OK ? 0 : -1;
}

static int on_timer(CURLM *multi, long wait_ms, void *ctx)
{
    kt_fetcher *fetcher = ctx;

    if (wait_ms < 0) {
        kt_timer_cancel(fetcher->loop, &fetcher->timer);
        return 0;
    }
    int64_t at_ns = kt_loop_now(fetcher->loop) + (int64_t)wait_ms * NS_PER_MS;
    return kt_timer_set(fetcher->loop, &fetcher->timer, at_ns) == KT_OK ? 0 : -1;
}

static void on_due(kt_timer *timer)
{
    kt_fetcher *fetcher = timer->ctx;
    int running = 0;

    curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_done(fetcher);
}

static size_t on_body(char *data, size_t one, size_t size, void *ctx)
{
    one_fetch *fetch = ctx;
    size_t need = fetch->body_size + size;

    if (need > fetch->body_max) {
        fetch->too_large = true;
        return 0;
    }
    if (need > fetch->body_cap) {
        size_t cap = fetch->body_cap > 0 ? fetch->body_cap : BODY_SIZE_MIN;
        while (cap < need)
            cap *= 2;
        char *body = realloc(fetch->body, cap);
        if (body == NULL) {
            fetch->no_memory = true;
            return 0;
        }
        fetch->body = body;
        fetch->body_cap = cap;
    }
    memcpy(fetch->body + fetch->body_size, data, size);
    fetch->body_size = need;
    return size;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

kt_code kt_fetcher_new(kt_loop *loop, const kt_fetcher_options *options, kt_fetcher **out_fetcher, kt_err *err)
{
    kt_fetcher *fetcher = calloc(1, sizeof *fetcher);

    if (fetcher != NULL && kt_loop_net(loop)->fetch != NULL) {
        fetcher->loop = loop;
        fetcher->made_up = kt_loop_net(loop);
        *out_fetcher = fetcher;
        return KT_OK;
    }
    if (fetcher == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(fetcher);
        return kt_fail(err, KT_SYS, "cannot start libcurl");
    }
    fetcher->loop = loop;
    fetcher->options = *options;
    if (options->fetch_max == 0)
        fetcher->options.fetch_max = KT_FETCH_MAX_DEFAULT;
    if (options->conn_max == 0)
        fetcher->options.conn_max = KT_FETCH_CONN_MAX_DEFAULT;
    fetcher->user_agent = strdup(options->user_agent != NULL ? options->user_agent : "kontor");
    bool own = options->ca_file != NULL && options->ca_file[0] != 0;
    fetcher->ca_file = own ? strdup(options->ca_file) : NULL;
    fetcher->timer = (kt_timer){ on_due, fetcher, 0, 0 };
    fetcher->multi = curl_multi_init();
    if (fetcher->multi == NULL || fetcher->user_agent == NULL || (own && fetcher->ca_file == NULL)) {
        kt_fetcher_free(fetcher);
        return kt_fail(err, KT_SYS, "cannot start libcurl");
    }
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)fetcher->options.conn_max);
    curl_multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS, (long)fetcher->options.conn_max);
    *out_fetcher = fetcher;
    return KT_OK;
}

void kt_fetcher_free(kt_fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    if (fetcher->made_up != NULL) {
        fetcher->made_up->cancel(fetcher->made_up->ctx, fetcher, 0);
        free(fetcher);
        return;
    }
    while (fetcher->first != NULL)
        fetch_free(fetcher->first);
    if (fetcher->multi != NULL)
        curl_multi_cleanup(fetcher->multi); /* closes what was kept alive, which takes the watches away */
    while (fetcher->sockets != NULL)
        socket_forget(fetcher->sockets);
    kt_timer_cancel(fetcher->loop, &fetcher->timer);
    free(fetcher->user_agent);
    free(fetcher->ca_file);
    free(fetcher);
    curl_global_cleanup();
}

uint32_t kt_fetcher_open_count(const kt_fetcher *fetcher)
{
    return fetcher->open_count;
}

/* --- starting --------------------------------------------------------------------------------------------------- */

static kt_code headers_make(const kt_fetch_spec *spec, struct curl_slist **out_headers, kt_err *err)
{
    /* "Expect:" without a value stops libcurl from asking for 100 Continue and waiting a second for it. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    kt_code code = headers != NULL ? KT_OK : kt_fail(err, KT_SYS, "no memory for the request");

    for (uint32_t i = 0; i < spec->field_count && code == KT_OK; i++) {
        char line[KT_HTTP_FIELD_MAX];
        const kt_http_field *field = &spec->fields[i];
        int size = snprintf(line, sizeof line, "%.*s: %.*s", KT_TEXT_ARG(field->name), KT_TEXT_ARG(field->value));
        if (!kt_http_is_one_line(field->name) || !kt_http_is_one_line(field->value) || (size_t)size >= sizeof line) {
            code = kt_fail(err, KT_ARG, "header '%.*s' has a line end in it or is longer than %d bytes",
                KT_TEXT_ARG(field->name), KT_HTTP_FIELD_MAX);
            break;
        }
        struct curl_slist *longer = curl_slist_append(headers, line);
        if (longer == NULL)
            code = kt_fail(err, KT_SYS, "no memory for the request");
        else
            headers = longer;
    }
    if (code == KT_OK)
        *out_headers = headers;
    else
        curl_slist_free_all(headers);
    return code;
}

static void body_set(one_fetch *fetch, const kt_fetch_spec *spec)
{
    if (spec->body.n > 0 || spec->method == KT_HTTP_POST) {
        curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body.n);
        curl_easy_setopt(fetch->easy, CURLOPT_COPYPOSTFIELDS, spec->body.n > 0 ? spec->body.s : "");
    }
    if (spec->method == KT_HTTP_HEAD)
        curl_easy_setopt(fetch->easy, CURLOPT_NOBODY, 1L);
    else if (spec->method != KT_HTTP_GET || spec->body.n > 0)
        curl_easy_setopt(fetch->easy, CURLOPT_CUSTOMREQUEST, kt_http_method_name(spec->method));
}

static void options_set(one_fetch *fetch, const kt_fetch_spec *spec)
{
    CURL *easy = fetch->easy;
    long time_ms = spec->time_ms != 0 ? (long)spec->time_ms : KT_FETCH_TIME_DEFAULT_MS;

    curl_easy_setopt(easy, CURLOPT_URL, spec->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (fetch->fetcher->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, fetch->fetcher->ca_file);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, time_ms);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, ""); /* body_max counts what has been unpacked */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, fetch->fetcher->user_agent);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    /* A proxy named in the environment is meant for the world outside. */
    if (strcmp(fetch->host, "localhost") == 0 || strcmp(fetch->host, "::1") == 0 ||
        strncmp(fetch->host, "127.", 4) == 0)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    body_set(fetch, spec);
}

kt_code kt_fetch_start(kt_fetcher *fetcher, const kt_fetch_spec *spec, uint64_t *out_id, kt_err *err)
{
    kt_url url;
    struct curl_slist *headers = NULL;
    kt_code code = kt_url_parse(kt_text_of(spec->url), &url, err);

    if (code != KT_OK)
        return code;
    if (url.scheme != KT_URL_HTTP && url.scheme != KT_URL_HTTPS)
        return kt_fail(err, KT_SYNTAX, "URL '%.100s' must begin with http:// or https://", spec->url);
    if (fetcher->made_up != NULL) {
        if (out_id != NULL)
            *out_id = fetcher->last_id + 1;
        return fetcher->made_up->fetch(fetcher->made_up->ctx, fetcher->loop, spec, fetcher, ++fetcher->last_id, err);
    }
    if (fetcher->open_count >= fetcher->options.fetch_max)
        return kt_fail(err, KT_FULL, "%u requests are open already", fetcher->open_count);
    code = headers_make(spec, &headers, err);
    if (code != KT_OK)
        return code;
    one_fetch *made = calloc(1, sizeof *made);
    CURL *easy = curl_easy_init();
    if (made == NULL || easy == NULL) {
        free(made);
        curl_easy_cleanup(easy);
        curl_slist_free_all(headers);
        return kt_fail(err, KT_SYS, "no memory for the request");
    }
    made->fetcher = fetcher;
    made->id = ++fetcher->last_id;
    made->easy = easy;
    made->headers = headers;
    made->on_done = spec->on_done;
    made->ctx = spec->ctx;
    made->body_max = spec->answer_max != 0 ? spec->answer_max : KT_FETCH_ANSWER_MAX_DEFAULT;
    memcpy(made->host, url.host.s, url.host.n);
    made->next = fetcher->first;
    if (made->next != NULL)
        made->next->prev = made;
    fetcher->first = made;
    fetcher->open_count++;
    options_set(made, spec);
    if (curl_multi_add_handle(fetcher->multi, easy) != CURLM_OK) {
        fetch_free(made);
        return kt_fail(err, KT_SYS, "libcurl takes no more requests");
    }
    if (out_id != NULL)
        *out_id = made->id;
    return KT_OK;
}

void kt_fetch_cancel(kt_fetcher *fetcher, uint64_t id)
{
    if (fetcher->made_up != NULL)
        fetcher->made_up->cancel(fetcher->made_up->ctx, fetcher, id);
    for (one_fetch *at = fetcher->first; at != NULL; at = at->next) {
        if (at->id != id)
            continue;
        fetch_free(at);
        return;
    }
}
