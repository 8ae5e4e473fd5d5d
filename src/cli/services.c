/* cli/services.c - `kontor services`: what runs in which lane, and what it answers. */
#include "cli/client.h"

int kt_cli_services(int argc, char **argv)
{
    static const kt_cli_column columns[] = {
        { "service", "SERVICE", KT_CLI_PLAIN },
        { "lane", "LANE", KT_CLI_PLAIN },
        { "available", "THERE", KT_CLI_YES },
        { "actions", "ACTIONS", KT_CLI_PLAIN },
    };
    kt_cli_client client;
    int status;

    if (!kt_cli_client_take(&client, "services", &argc, argv, &status))
        return status;
    status = kt_cli_no_words("services", client.config);
    if (status == KT_EXIT_OK)
        status = kt_cli_show(
            &client, KT_ACTION_node_services, (kt_text){ NULL, 0 }, "services", columns, KT_COUNT(columns), "");
    kt_cli_client_done(&client);
    return status;
}
