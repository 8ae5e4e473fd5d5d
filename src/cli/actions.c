/* cli/actions.c - `kontor actions`: what can be called, and how its calls go. */
#include "cli/client.h"

#include <stdio.h>

int kt_cli_actions(int argc, char **argv)
{
    static const kt_cli_column columns[] = {
        { "action", "ACTION", KT_CLI_PLAIN },
        { "lane", "LANE", KT_CLI_PLAIN },
        { "available", "ANSWERS", KT_CLI_YES },
        { "calls", "CALLS", KT_CLI_RIGHT },
        { "errors", "ERRORS", KT_CLI_RIGHT },
        { "p50", "P50", KT_CLI_TIME },
        { "p99", "P99", KT_CLI_TIME },
        { "breaker", "BREAKER", KT_CLI_PLAIN },
        { "text", "WHAT IT GIVES", KT_CLI_PLAIN },
    };
    kt_cli_client client;
    int status;

    if (!kt_cli_client_take(&client, "actions", &argc, argv, &status))
        return status;
    if (client.config->rest_count > 1) {
        fprintf(stderr, "kontor actions: at most one word is taken, how the names start: `kontor actions vwap`\n");
        status = KT_EXIT_USAGE;
    } else {
        status = kt_cli_show(&client, KT_ACTION_node_actions, (kt_text){ NULL, 0 }, "actions", columns,
            KT_COUNT(columns), client.config->rest_count == 1 ? client.config->rest[0] : "");
    }
    kt_cli_client_done(&client);
    return status;
}
