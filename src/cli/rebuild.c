/* cli/rebuild.c - `kontor rebuild store`: the store made again from the logs. */
#include "cli/cli.h"

#include "store/rebuild.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line that is written over where somebody looks; a plain one each tenth otherwise. */
static void progress(void *ctx, const char *log, uint64_t done, uint64_t all)
{
    int *tenths = ctx;
    int now = all > 0 ? (int)(done * 10 / all) : 10;

    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rlog %s: %llu of %llu records%s", log, (unsigned long long)done, (unsigned long long)all,
            done == all ? "\n" : "");
    else if (now != *tenths)
        fprintf(stderr, "log %s: %d %%\n", log, now * 10);
    *tenths = now;
}

int kt_cli_rebuild(int argc, char **argv)
{
    kt_config *config = NULL;
    kt_err err = { 0 };
    int tenths = -1;
    int status = kt_cli_config_load("rebuild", argc, argv, &config);

    if (config == NULL)
        return status;
    if (config->rest_count != 1 || strcmp(config->rest[0], "store") != 0) {
        fprintf(stderr, "kontor rebuild: say what to make again: `kontor rebuild store`\n");
        status = KT_EXIT_USAGE;
    } else if (kt_rebuild_store(config, progress, &tenths, &err) != KT_OK) {
        status = kt_cli_fail("rebuild", &err);
    } else {
        printf("%s is rebuilt\n", config->store_file);
        status = KT_EXIT_OK;
    }
    kt_config_free(config);
    return status;
}
