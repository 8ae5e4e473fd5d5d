/* cli/config.c - `kontor config`: every value and its origin. */
#include "cli/cli.h"

int kt_cli_config(int argc, char **argv)
{
    kt_config *config = NULL;
    int status = kt_cli_config_load("config", argc, argv, &config);

    if (config == NULL)
        return status;
    status = kt_cli_no_words("config", config);
    if (status == KT_EXIT_OK)
        kt_config_list(config, stdout);
    kt_config_free(config);
    return status;
}
