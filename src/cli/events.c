/* cli/events.c - `kontor events`: the channels that there are. */
#include "base/text.h"
#include "cli/client.h"

#include <stdio.h>

int kt_cli_events(int argc, char **argv)
{
    static const kt_cli_column columns[] = {
        { "channel", "CHANNEL", KT_CLI_PLAIN },
        { "log", "LOG", KT_CLI_PLAIN },
        { "offset", "EVENTS", KT_CLI_RIGHT },
        { "epoch", "EPOCH", KT_CLI_PLAIN },
    };
    char query_mem[1024];
    kt_cli_client client;
    kt_builder query;
    kt_err err = { 0 };
    int status;

    if (!kt_cli_client_take(&client, "events", &argc, argv, &status))
        return status;
    kt_builder_init(&query, query_mem, sizeof query_mem);
    if (client.config->rest_count > 1) {
        fprintf(stderr, "kontor events: at most one pattern is taken, such as 'trades.>'\n");
        status = KT_EXIT_USAGE;
        goto out;
    }
    if (client.config->rest_count == 1) {
        if (kt_pattern_check(kt_text_of(client.config->rest[0]), &err) != KT_OK) {
            kt_cli_fail("events", &err);
            status = KT_EXIT_USAGE;
            goto out;
        }
        kt_cli_put_query(&query, KT_TEXT("pattern"), kt_text_of(client.config->rest[0]));
    }
    status =
        kt_cli_show(&client, KT_ACTION_channels, kt_builder_done(&query), "channels", columns, KT_COUNT(columns), "");
out:
    kt_cli_client_done(&client);
    return status;
}
