#include "cli/client.h"

#include "base/text.h"
#include "base/time.h"
#include "net/fetch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    URL_MAX = 16384,
    CELL_MAX = 512,  /* bytes of one cell; longer ones are cut */
    ROW_MAX = 4096,  /* rows that are printed */
    GRACE_MS = 1000, /* that an answer may be on its way after the deadline */
    TIMEOUT_MAX_MS = 60000
};

/* ---- flags ---- */

bool kt_cli_client_take(kt_cli_client *client, const char *name, int *argc, char **argv, int *out_status)
{
    const char *timeout = NULL;
    uint64_t ms = 0;
    kt_err err = { 0 };

    *client = (kt_cli_client){ .name = name };
    if (kt_cli_take(argc, argv, "--url", &client->url, &err) != KT_OK ||
        kt_cli_take(argc, argv, "--timeout", &timeout, &err) != KT_OK) {
        kt_cli_fail(name, &err);
        *out_status = KT_EXIT_USAGE;
        return false;
    }
    if (timeout != NULL && (kt_text_u64(kt_text_of(timeout), &ms) != KT_OK || ms < 1 || ms > TIMEOUT_MAX_MS)) {
        fprintf(stderr, "kontor %s: --timeout '%s' is not allowed; allowed are 1 to %d ms\n", name, timeout,
            TIMEOUT_MAX_MS);
        *out_status = KT_EXIT_USAGE;
        return false;
    }
    client->timeout_ms = (uint32_t)ms;
    client->json = kt_cli_take_switch(argc, argv, "--json");
    *out_status = kt_cli_config_load(name, *argc, argv, &client->config);
    return client->config != NULL;
}

void kt_cli_client_done(kt_cli_client *client)
{
    kt_config_free(client->config);
}

/* ---- asking ---- */

typedef struct exchange {
    bool done;
    kt_code code;
    uint16_t status;
    char error[KT_ERR_MSG_SIZE];
    char *body; /* NUL-terminated */
    size_t size;
} exchange;

static void on_done(void *ctx, const kt_fetch_answer *answer)
{
    exchange *heard = ctx;

    heard->done = true;
    heard->code = answer->code;
    heard->status = answer->status;
    snprintf(heard->error, sizeof heard->error, "%s", answer->error);
    heard->body = malloc(answer->body.n + 1);
    if (heard->body == NULL) {
        heard->code = KT_SYS;
        return;
    }
    heard->size = answer->body.n;
    if (answer->body.n > 0)
        memcpy(heard->body, answer->body.s, answer->body.n);
    heard->body[answer->body.n] = '\0';
}

void kt_cli_put_query(kt_builder *query, kt_text name, kt_text value)
{
    const kt_text parts[] = { name, value };

    kt_builder_str(query, query->n > 0 ? "&" : "");
    for (size_t i = 0; i < KT_COUNT(parts); i++) {
        kt_builder_str(query, i > 0 ? "=" : "");
        for (size_t j = 0; j < parts[i].n; j++) {
            char c = parts[i].s[j];
            bool plain =
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL;

            if (plain && c != '\0')
                kt_builder_char(query, c);
            else
                kt_builder_format(query, "%%%02X", (unsigned char)c);
        }
    }
}

static void put_base(const kt_cli_client *client, kt_builder *url)
{
    const kt_config *config = client->config;
    bool tls = config->edge_tls_certificate[0] != '\0';

    if (client->url != NULL)
        kt_builder_text(url, (kt_text){ client->url, strlen(client->url) });
    else
        kt_builder_format(url, "%s://%s:%u", tls ? "https" : "http", config->edge_host, config->edge_port);
    while (url->n > 0 && url->s[url->n - 1] == '/')
        url->s[--url->n] = '\0';
}

/* One request, until it is answered. */
static kt_code exchange_one(
    const kt_cli_client *client, const kt_action *action, const char *url, kt_text body, exchange *out, kt_err *err)
{
    uint32_t time_ms = client->timeout_ms != 0 ? client->timeout_ms : action->time_ms;
    kt_loop *loop = NULL;
    kt_fetcher *fetcher = NULL;
    struct timespec now;
    char deadline[24];
    kt_http_field fields[2] = { { KT_TEXT("Content-Type"), KT_TEXT("application/json") } };
    kt_code code = kt_loop_new(NULL, &loop, err);

    clock_gettime(CLOCK_REALTIME, &now);
    fields[1] = (kt_http_field){ KT_TEXT("X-Deadline"),
        { deadline, kt_i64_format(deadline, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + time_ms) } };
    if (code == KT_OK)
        code = kt_fetcher_new(loop,
            &(kt_fetcher_options){
                .user_agent = "kontor/" KT_VERSION_TEXT, .ca_file = client->config->edge_tls_certificate },
            &fetcher, err);
    if (code == KT_OK)
        code = kt_fetch_start(fetcher,
            &(kt_fetch_spec){ .method = strcmp(action->method, "POST") == 0 ? KT_HTTP_POST : KT_HTTP_GET,
                .url = url,
                .fields = fields,
                .field_count = KT_COUNT(fields),
                .body = body,
                .time_ms = time_ms + GRACE_MS,
                .on_done = on_done,
                .ctx = out },
            NULL, err);
    while (code == KT_OK && !out->done)
        code = kt_loop_turn(loop, KT_NS_PER_S, err);
    kt_fetcher_free(fetcher);
    kt_loop_free(loop);
    return code;
}

/* The message of an answer that refuses; the answer itself where it has none. */
static void say_refusal(const kt_cli_client *client, const exchange *heard)
{
    kt_json_node nodes[64];
    uint8_t mem[4096];
    kt_arena arena;
    kt_json_doc doc;
    kt_text message = { heard->body, heard->size };

    kt_arena_init(&arena, mem, sizeof mem);
    if (kt_json_parse(message, nodes, KT_COUNT(nodes), &doc, NULL) == KT_OK) {
        uint32_t node = kt_json_get(&doc, 0, KT_TEXT("message"));
        if (node != 0)
            (void)kt_json_text(&doc, node, &arena, &message);
    }
    fprintf(stderr, "kontor %s: %.*s (%u)\n", client->name, KT_TEXT_ARG(message), heard->status);
}

int kt_cli_ask(const kt_cli_client *client, const kt_action *action, kt_text query, kt_text body, char **out_body)
{
    char url_mem[URL_MAX], path[KT_ACTION_PATH_MAX];
    size_t base_size;
    exchange heard = { 0 };
    kt_builder url;
    kt_err err = { 0 };

    signal(SIGPIPE, SIG_IGN);
    kt_builder_init(&url, url_mem, sizeof url_mem);
    put_base(client, &url);
    base_size = url.n;
    kt_action_path(action, path);
    kt_builder_str(&url, path);
    if (query.n > 0) {
        kt_builder_char(&url, '?');
        kt_builder_text(&url, query);
    }
    if (url.code != KT_OK) {
        fprintf(stderr, "kontor %s: the parameters are too long for a URL of %d bytes\n", client->name, URL_MAX);
        return KT_EXIT_USAGE;
    }
    if (exchange_one(client, action, url_mem, body, &heard, &err) != KT_OK) {
        free(heard.body);
        return kt_cli_fail(client->name, &err);
    }
    if (heard.code != KT_OK) {
        fprintf(stderr,
            "kontor %s: no house answers at %.*s: %s\nIs it running? `kontor run` starts it; --url, -p or --config say "
            "where it is\n",
            client->name, (int)base_size, url_mem, heard.error);
        free(heard.body);
        return KT_EXIT_FAILED;
    }
    if (heard.status != 200) {
        say_refusal(client, &heard);
        free(heard.body);
        return KT_EXIT_FAILED;
    }
    *out_body = heard.body;
    return KT_EXIT_OK;
}

/* ---- tables ---- */

/* In the greatest unit that leaves something before the point. */
static void put_amount(kt_builder *cell, kt_text raw, const char *const units[4])
{
    uint64_t number = 0;
    uint64_t divisor = 1;
    int unit = 0;

    if (kt_text_u64(raw, &number) != KT_OK || number == 0) {
        kt_builder_str(cell, "-");
        return;
    }
    while (unit < 3 && number / divisor >= 1000) {
        divisor *= 1000;
        unit++;
    }
    kt_builder_format(cell, "%.1f %s", (double)number / (double)divisor, units[unit]);
}

static void put_moment(kt_builder *cell, kt_text text)
{
    kt_text second = { 0 };

    kt_text_cut(&text, '.', &second);
    if (!kt_text_equal(second, KT_TEXT("1970-01-01T00:00:00")))
        kt_builder_format(cell, "%.*sZ", KT_TEXT_ARG(second));
}

static void put_cell(const kt_json_doc *doc, uint32_t node, kt_cli_form form, kt_builder *cell)
{
    static const char *const times[4] = { "ns", "us", "ms", "s" };
    static const char *const sizes[4] = { "B", "kB", "MB", "GB" };
    uint8_t mem[CELL_MAX];
    kt_arena arena;
    kt_text text = kt_json_raw(doc, node);

    kt_arena_init(&arena, mem, sizeof mem);
    switch (kt_json_kind_of(doc, node)) {
    case KT_JSON_STRING:
        (void)kt_json_text(doc, node, &arena, &text);
        if (form == KT_CLI_MOMENT) {
            put_moment(cell, text);
            break;
        }
        for (size_t i = 0; i < text.n; i++)
            kt_builder_char(cell, (unsigned char)text.s[i] < ' ' || text.s[i] == 127 ? '?' : text.s[i]);
        break;
    case KT_JSON_ARRAY:
        kt_json_each (doc, node, item) {
            if (item != node + 1)
                kt_builder_char(cell, ' ');
            put_cell(doc, item, KT_CLI_PLAIN, cell);
        }
        break;
    case KT_JSON_TRUE:
    case KT_JSON_FALSE:
        kt_builder_str(cell, kt_json_kind_of(doc, node) == KT_JSON_TRUE ? "yes" : "-");
        break;
    default:
        if (form == KT_CLI_TIME)
            put_amount(cell, text, times);
        else if (form == KT_CLI_SIZE)
            put_amount(cell, text, sizes);
        else
            kt_builder_text(cell, text);
    }
}

static void cell_of(const kt_json_doc *doc, uint32_t row, const kt_cli_column *column, char out[CELL_MAX])
{
    uint32_t node = kt_json_get(doc, row, kt_text_of(column->field));
    kt_builder cell;

    kt_builder_init(&cell, out, CELL_MAX);
    if (node != 0)
        put_cell(doc, node, column->form, &cell);
    if (cell.n == 0)
        kt_builder_char(&cell, '-');
}

static bool is_shown(const kt_json_doc *doc, uint32_t row, const kt_cli_column *first, const char *prefix)
{
    char cell[CELL_MAX];

    cell_of(doc, row, first, cell);
    return strncmp(cell, prefix, strlen(prefix)) == 0;
}

static void print_row(char (*cells)[CELL_MAX], const kt_cli_column *columns, const int *widths, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool left =
            columns[i].form == KT_CLI_PLAIN || columns[i].form == KT_CLI_YES || columns[i].form == KT_CLI_MOMENT;

        if (i + 1 == count && left)
            printf("%s\n", cells[i]);
        else
            printf(left ? "%-*s%s" : "%*s%s", widths[i], cells[i], i + 1 == count ? "\n" : "  ");
    }
}

enum { COLUMN_MAX = 16 };

void kt_cli_print_rows(
    const char *json, const char *list, const kt_cli_column *columns, uint32_t column_count, const char *prefix)
{
    static char cells[COLUMN_MAX][CELL_MAX];
    size_t node_max = strlen(json) / 2 + 1;
    kt_json_node *nodes = calloc(node_max, sizeof *nodes);
    int widths[COLUMN_MAX] = { 0 };
    kt_json_doc doc;
    uint32_t rows;

    if (nodes == NULL || kt_json_parse(kt_text_of(json), nodes, (uint32_t)node_max, &doc, NULL) != KT_OK) {
        free(nodes);
        return;
    }
    rows = kt_json_get(&doc, 0, kt_text_of(list));
    for (int pass = 0; pass < 2; pass++) { /* measure, print */
        for (uint32_t i = 0; i < column_count; i++)
            snprintf(cells[i], CELL_MAX, "%s", columns[i].head);
        uint32_t row = 0;
        do {
            if (row == 0 || is_shown(&doc, row, &columns[0], prefix)) {
                for (uint32_t i = 0; i < column_count; i++) {
                    if (row != 0)
                        cell_of(&doc, row, &columns[i], cells[i]);
                    if ((int)strlen(cells[i]) > widths[i])
                        widths[i] = (int)strlen(cells[i]);
                }
                if (pass == 1)
                    print_row(cells, columns, widths, column_count);
            }
            row = row == 0 ? rows + 1 : kt_json_next(&doc, row);
        } while (rows != 0 && row < doc.nodes[rows].next);
    }
    free(nodes);
}

int kt_cli_show(const kt_cli_client *client, kt_action_index action, kt_text query, const char *list,
    const kt_cli_column *columns, uint32_t column_count, const char *prefix)
{
    char *answer = NULL;
    int status = kt_cli_ask(client, &kt_actions[action], query, (kt_text){ NULL, 0 }, &answer);

    if (status == KT_EXIT_OK && client->json)
        printf("%s\n", answer);
    else if (status == KT_EXIT_OK)
        kt_cli_print_rows(answer, list, columns, column_count, prefix);
    free(answer);
    return status;
}
