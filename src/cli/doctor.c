/* cli/doctor.c - `kontor doctor`: what is in the data folder, what is damaged, what is lost. */
#include "cli/cli.h"

#include "log/doctor.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void report(void *ctx, kt_doctor_level level, const char *line)
{
    static const char *const marks[] = { "  ", "! ", "X " };

    printf("  %s%s\n", marks[level], line);
}

/* Logs are the folders with a state file. Returns false when something is lost or can not be read. */
static bool examine_log(const char *data, const char *name)
{
    char dir[4096], state[4352];
    kt_doctor_summary summary;
    kt_err err = { 0 };

    snprintf(dir, sizeof dir, "%s/%s", data, name);
    snprintf(state, sizeof state, "%s/state", dir);
    if (access(state, F_OK) != 0)
        return true;
    printf("log %s\n", name);
    if (kt_log_doctor(dir, report, NULL, &summary, &err) != KT_OK) {
        printf("  X %s\n", err.msg);
        return false;
    }
    printf("    records %llu to %llu, durable to %llu, %u segments, %u subjects\n",
        (unsigned long long)summary.first_seq, (unsigned long long)summary.last_seq,
        (unsigned long long)summary.durable, summary.segment_count, summary.subject_count);
    if (summary.first_seq > 1)
        printf("    records before %llu were removed by retention: for them the store is the record\n",
            (unsigned long long)summary.first_seq);
    if (summary.loss_lines == 0)
        printf("    whole\n");
    return summary.loss_lines == 0;
}

static bool examine_store(const kt_config *config)
{
    kt_store *store = NULL;
    kt_err err = { 0 };
    bool whole = true;

    if (access(config->store_file, F_OK) != 0) {
        printf("store: there is none yet at %s\n", config->store_file);
        return true;
    }
    printf("store %s\n", config->store_file);
    if (kt_store_open_read(config->store_file, &store, &err) != KT_OK || kt_store_check(store, &err) != KT_OK) {
        printf("  X %s\n", err.msg);
        whole = false;
    } else {
        printf("    whole\n");
    }
    kt_store_close(store);
    return whole;
}

int kt_cli_doctor(int argc, char **argv)
{
    kt_config *config = NULL;
    int status = kt_cli_config_load("doctor", argc, argv, &config);
    struct dirent **entries = NULL;
    bool whole = true;

    if (config == NULL)
        return status;
    status = kt_cli_no_words("doctor", config);
    if (status != KT_EXIT_OK)
        goto out;
    int count = scandir(config->data, &entries, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "kontor doctor: cannot read the data folder '%s': %s; --data names another\n", config->data,
            strerror(errno));
        status = KT_EXIT_FAILED;
        goto out;
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && entries[i]->d_type == DT_DIR)
            whole = examine_log(config->data, entries[i]->d_name) && whole;
        free(entries[i]);
    }
    free(entries);
    whole = examine_store(config) && whole;
    status = whole ? KT_EXIT_OK : KT_EXIT_FAILED;
out:
    kt_config_free(config);
    return status;
}
