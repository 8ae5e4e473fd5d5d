/* cli/emit.c - `kontor emit`: say something to everybody who listens. */
#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>

int kt_cli_emit(int argc, char **argv)
{
    char body_mem[32768];
    kt_json_writer writer;
    kt_text body = { NULL, 0 };
    char *answer = NULL;
    kt_cli_client client;
    int status;

    if (!kt_cli_client_take(&client, "emit", &argc, argv, &status))
        return status;
    if (client.config->rest_count != 2) {
        fprintf(stderr, "kontor emit: a topic and a text are needed, such as `kontor emit deploy 'version 0.2 goes "
                        "live'`\n");
        status = KT_EXIT_USAGE;
        goto out;
    }
    kt_json_writer_init(&writer, body_mem, sizeof body_mem);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "topic", kt_text_of(client.config->rest[0]));
    kt_json_member_text(&writer, "text", kt_text_of(client.config->rest[1]));
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &body) != KT_OK) {
        fprintf(stderr, "kontor emit: the text is too long: at most 4096 bytes\n");
        status = KT_EXIT_USAGE;
        goto out;
    }
    status = kt_cli_ask(&client, &kt_actions[KT_ACTION_event_emit], (kt_text){ NULL, 0 }, body, &answer);
    if (status == KT_EXIT_OK)
        printf("%s\n", answer);
out:
    free(answer);
    kt_cli_client_done(&client);
    return status;
}
