/* cli/diag.c - text for operators. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/time.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { DIAG_LINE_MAX = 2048 };

typedef struct diag_rules {
    _Atomic uint32_t levels; /* bits by kt_level */
    _Atomic bool json;
} diag_rules;

static diag_rules first_rules = { .levels = 1u << KT_LEVEL_INFO | 1u << KT_LEVEL_WARNING | 1u << KT_LEVEL_ERROR };
static diag_rules *rules = &first_rules;

/* Word in diag.levels, and by kt_level what stands in a line. */
static const struct {
    const char *word;
    const char *name;
} levels[] = {
    [KT_LEVEL_INFO] = { "log", "info" },
    [KT_LEVEL_WARNING] = { "warn", "warning" },
    [KT_LEVEL_ERROR] = { "error", "error" },
    [KT_LEVEL_DEBUG] = { "debug", "debug" },
    [KT_LEVEL_VERBOSE] = { "verbose", "verbose" },
};

/* One page that lanes which are forked later see too. */
static void share_rules(void)
{
    diag_rules *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        return; /* each process then has rules of its own */
    shared->levels = rules->levels;
    shared->json = rules->json;
    rules = shared;
}

void kt_cli_diag_set(const kt_config *config)
{
    uint32_t bits = 0;

    if (rules == &first_rules)
        share_rules();
    for (uint32_t i = 0; i < config->diag_levels.count; i++)
        for (uint32_t level = 0; level < KT_COUNT(levels); level++)
            bits |= strcmp(config->diag_levels.at[i], levels[level].word) == 0 ? 1u << level : 0;
    rules->levels = bits;
    rules->json = strcmp(config->diag_format, "json") == 0;
}

static int put_json(char *line, const char *time, kt_level level, const char *lane, const char *text)
{
    kt_json_writer writer;
    kt_text done;

    kt_json_writer_init(&writer, line, DIAG_LINE_MAX - 1);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "time", kt_text_of(time));
    kt_json_member_text(&writer, "level", kt_text_of(levels[level].name));
    kt_json_member_text(&writer, "lane", kt_text_of(lane));
    kt_json_member_text(&writer, "text", kt_text_of(text));
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &done) != KT_OK)
        return 0;
    line[done.n] = '\n';
    return (int)done.n + 1;
}

void kt_cli_diag(void *ctx, kt_level level, const char *text)
{
    const char *lane = ctx != NULL ? ctx : "house";
    char line[DIAG_LINE_MAX];
    char time[KT_TIME_TEXT_MAX];
    struct timespec now;
    int n;

    if ((uint32_t)level >= KT_COUNT(levels) || (rules->levels >> level & 1) == 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    kt_time_format_iso(
        time, sizeof time, (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec / KT_NS_PER_MS * KT_NS_PER_MS);
    if (rules->json)
        n = put_json(line, time, level, lane, text);
    else
        n = snprintf(
            line, sizeof line, "%s %-7s %-6s %.*s\n", time, levels[level].name, lane, DIAG_LINE_MAX - 100, text);
    /* One write a line, so that lines of several lanes do not mix. */
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* nobody reads it */
}

/* ---- settings ---- */

static kt_code diag_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    *out_state = (void *)config;
    kt_cli_diag_set(config);
    return KT_OK;
}

static void diag_output(void *state, const kt_event *event)
{
    kt_cli_diag_set(state);
}

static const char *const diag_outputs[] = { "settings.diag", NULL };

const kt_feed_spec kt_cli_diag_feed = {
    .name = "diag",
    .start = diag_start,
    .outputs = diag_outputs,
    .on_output = diag_output,
};
