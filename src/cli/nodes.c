/* cli/nodes.c - `kontor nodes`: the nodes of the house, and the lanes of this one. */
#include "cli/client.h"

#include <stdio.h>

int kt_cli_nodes(int argc, char **argv)
{
    static const kt_cli_column nodes[] = {
        { "node", "NODE", KT_CLI_PLAIN },
        { "version", "VERSION", KT_CLI_PLAIN },
        { "pid", "PID", KT_CLI_RIGHT },
        { "lanes", "LANES", KT_CLI_RIGHT },
        { "live", "LIVE", KT_CLI_RIGHT },
        { "restarts", "RESTARTS", KT_CLI_RIGHT },
        { "since", "SINCE", KT_CLI_MOMENT },
        { "data", "DATA", KT_CLI_PLAIN },
    };
    static const kt_cli_column lanes[] = {
        { "lane", "LANE", KT_CLI_PLAIN },
        { "state", "STATE", KT_CLI_PLAIN },
        { "pid", "PID", KT_CLI_RIGHT },
        { "restarts", "RESTARTS", KT_CLI_RIGHT },
        { "cpu", "CPU", KT_CLI_TIME },
        { "rss", "MEMORY", KT_CLI_SIZE },
        { "inputs", "INPUTS", KT_CLI_RIGHT },
        { "since", "LIVE SINCE", KT_CLI_MOMENT },
        { "reason", "LAST REASON", KT_CLI_PLAIN },
    };
    kt_text none = { NULL, 0 };
    kt_cli_client client;
    int status;

    if (!kt_cli_client_take(&client, "nodes", &argc, argv, &status))
        return status;
    status = kt_cli_no_words("nodes", client.config);
    if (status == KT_EXIT_OK)
        status = kt_cli_show(&client, KT_ACTION_node_list, none, "nodes", nodes, KT_COUNT(nodes), "");
    if (status == KT_EXIT_OK && !client.json) {
        printf("\n");
        status = kt_cli_show(&client, KT_ACTION_node_lanes, none, "lanes", lanes, KT_COUNT(lanes), "");
    }
    kt_cli_client_done(&client);
    return status;
}
