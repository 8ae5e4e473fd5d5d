/* cli/client.h - how subcommands ask the running house: one action over HTTP, and its answer as JSON or as a table. */
#ifndef KT_CLI_CLIENT_H
#define KT_CLI_CLIENT_H

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "schema/actions.h"

/* Flags of every such subcommand, taken out of its words by kt_cli_client_take(). */
typedef struct kt_cli_client {
    const char *name;    /* of the subcommand, for messages */
    const char *url;     /* --url: "http://127.0.0.1:3000"; NULL: as configured */
    uint32_t timeout_ms; /* --timeout; 0: the action's own */
    bool json;           /* --json: the answer as it came */
    kt_config *config;
} kt_cli_client;

#define KT_CLI_CLIENT_FLAGS                                                                                \
    "  --url URL      where the house is; otherwise edge.host and edge.port of its configuration say so\n" \
    "  --timeout MS   how long to wait for the answer\n"

/* Take the flags and load the configuration. false: *out_status is what the subcommand ends with. kt_cli_client_done()
 * afterwards. */
bool kt_cli_client_take(kt_cli_client *client, const char *name, int *argc, char **argv, int *out_status);
void kt_cli_client_done(kt_cli_client *client);

/* Ask. `query` for GET ("a=b&c=d", encoded), `body` for POST; the other is empty. KT_EXIT_OK: *out_body is the answer,
 * to be freed. Otherwise it has been said on standard error what was wrong, and what to do. */
int kt_cli_ask(const kt_cli_client *client, const kt_action *action, kt_text query, kt_text body, char **out_body);

/* One column of a table of answers. */
typedef enum kt_cli_form {
    KT_CLI_PLAIN,
    KT_CLI_RIGHT,
    KT_CLI_TIME,
    KT_CLI_SIZE,
    KT_CLI_YES,
    KT_CLI_MOMENT
} kt_cli_form;
typedef struct kt_cli_column {
    const char *field; /* of the row */
    const char *head;
    kt_cli_form form; /* right: numbers; time: ns and size: bytes, in a fitting unit; yes: true is "yes", false "-";
                       * moment: to the second, "-" where it never came */
} kt_cli_column;

/* Print the rows under `list` in a JSON object; lists within a row are joined by blanks. Rows whose first column does not
 * start with `prefix` are left out. Control bytes are printed as ?. */
void kt_cli_print_rows(
    const char *json, const char *list, const kt_cli_column *columns, uint32_t column_count, const char *prefix);

/* The whole of a subcommand that shows one list: ask, then print it, or with --json the answer as it came. */
int kt_cli_show(const kt_cli_client *client, kt_action_index action, kt_text query, const char *list,
    const kt_cli_column *columns, uint32_t column_count, const char *prefix);

/* "name=value" as a part of a query, percent-encoded, behind what stands there. KT_FULL: sticky in the builder. */
void kt_cli_put_query(kt_builder *query, kt_text name, kt_text value);

#endif
