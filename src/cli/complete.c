/* cli/complete.c - what can follow a line: `kontor --complete` for shells, Tab in `kontor repl`. It reads the help, so there is
 * nothing to keep up to date. */
#include "base/text.h"
#include "cli/cli.h"
#include "schema/actions.h"
#include "venue/sim/faults.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 4096, WORD_MAX = 64, OFFER_SIZE = 256 };

typedef struct typed_line {
    char line[LINE_SIZE];
    const char *words[WORD_MAX]; /* the program's name first, last the word at the cursor, which may be empty */
    uint32_t count;
    void (*put)(void *ctx, const char *word);
    void *ctx;
} typed_line;

/* False: no word behind the program's name has begun. */
static bool read_line(typed_line *typed, kt_text line)
{
    bool blank = true;

    if (line.n >= LINE_SIZE)
        return false;
    memcpy(typed->line, line.s, line.n);
    typed->line[line.n] = '\0';
    for (size_t i = 0; i < line.n; i++) {
        if (typed->line[i] == ' ')
            typed->line[i] = '\0';
        else if (blank && typed->count < WORD_MAX - 1)
            typed->words[typed->count++] = &typed->line[i];
        blank = typed->line[i] == '\0';
    }
    if (blank)
        typed->words[typed->count++] = "";
    return typed->count >= 2;
}

/* A word, when what is typed may become it; `tail` is what follows it. */
static void offer(const typed_line *typed, const char *word, size_t n, const char *tail)
{
    const char *begun = typed->words[typed->count - 1];

    char text[OFFER_SIZE];

    if (strlen(begun) > n || strncmp(word, begun, strlen(begun)) != 0)
        return;
    snprintf(text, sizeof text, "%.*s%s", (int)n, word, tail);
    typed->put(typed->ctx, text);
}

static void offer_actions(const typed_line *typed)
{
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        offer(typed, kt_actions[i].name, strlen(kt_actions[i].name), " ");
}

static void offer_parameters(const typed_line *typed)
{
    const kt_action *action = kt_action_by_name(kt_text_of(typed->words[2]));

    for (uint32_t i = 0; action != NULL && i < action->params.field_count; i++)
        offer(typed, action->params.fields[i].name, strlen(action->params.fields[i].name), "=");
}

static void offer_sections(const typed_line *typed)
{
    for (uint32_t i = 0; kt_config_section_at(i) != NULL; i++)
        offer(typed, kt_config_section_at(i), strlen(kt_config_section_at(i)), " ");
}

/* Keys that may change while the house runs. */
static void offer_keys(const typed_line *typed, const char *tail)
{
#define KEY(type, member, key, flag, variable, min, max, fallback, text, stays) { key, stays },
    static const struct {
        const char *name, *stays;
    } keys[] = { KT_CONFIG_MAP(KEY) };
#undef KEY

    for (uint32_t i = 0; i < KT_COUNT(keys); i++)
        if (keys[i].stays[0] == '\0')
            offer(typed, keys[i].name, strlen(keys[i].name), tail);
}

static void offer_set(const typed_line *typed)
{
    offer_keys(typed, "=");
}

static void offer_unset(const typed_line *typed)
{
    offer_keys(typed, " ");
}

/* Faults that can be asked for, each behind what has been typed before its name. */
static void offer_faults_behind(const typed_line *typed, const char *before, size_t n, const char *tail)
{
    char word[OFFER_SIZE];

    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
        if (kt_sim_fault_specs[fault].place != KT_SIM_PLACE_RESULT) {
            snprintf(word, sizeof word, "%.*s%s", (int)n, before, kt_sim_fault_specs[fault].name);
            offer(typed, word, strlen(word), tail);
        }
}

/* --fault drop=0.01,rep */
static void offer_faults(const typed_line *typed)
{
    const char *begun = typed->words[typed->count - 1], *comma = strrchr(begun, ',');

    offer_faults_behind(typed, begun, comma != NULL ? (size_t)(comma + 1 - begun) : 0, "=");
}

/* faults='{"drop":0.01,"rep */
static void offer_faults_in_json(const typed_line *typed)
{
    const char *begun = typed->words[typed->count - 1], *quote = strrchr(begun, '"');

    if (quote != NULL && quote > begun && (quote[-1] == '{' || quote[-1] == ','))
        offer_faults_behind(typed, begun, (size_t)(quote + 1 - begun), "\":");
}

/* Words that no help lists. */
static const struct {
    const char *command;
    const char *behind; /* a flag just before, or the first word behind the command; "": any; NULL: this is the first */
    void (*offer)(const typed_line *typed);
} places[] = {
    { "call", NULL, offer_actions },
    { "call", "", offer_parameters },
    { "call", "sim.faults", offer_faults_in_json },
    { "sim", "--fault", offer_faults },
    { "config", "show", offer_sections },
    { "config", "set", offer_set },
    { "config", "unset", offer_unset },
};

/* Words of the usage in small letters stand for themselves: "trades|values [VENUE]". Flags are not among them. */
static void offer_usage(const typed_line *typed, const char *usage)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    while (*usage != '\0') {
        size_t n = strcspn(usage, " []|");

        if (strncmp(usage, "--", 2) == 0)
            n = strcspn(usage, "]");
        else if (n > 0 && strspn(usage, letters) == n)
            offer(typed, usage, n, " ");
        usage += n + (usage[n] != '\0');
    }
}

static void offer_flags(const typed_line *typed, const kt_cli_command *command)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    char *help = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&help, &size);

    if (out == NULL)
        return;
    kt_cli_help(command, out);
    fclose(out);
    for (const char *at = help; (at = strstr(at, "--")) != NULL;) {
        size_t n = strspn(at, letters);

        if (n > 2)
            offer(typed, at, n, " ");
        at += n;
    }
    free(help);
    offer(typed, "--help", 6, " ");
}

/* Is the cursor there? */
static bool is_behind(const typed_line *typed, const char *behind)
{
    bool first = typed->count == 3;

    if (first || behind == NULL)
        return first && behind == NULL;
    return behind[0] == '\0' || strcmp(behind, typed->words[behind[0] == '-' ? typed->count - 2 : 2]) == 0;
}

static void offer_words(const typed_line *typed, const kt_cli_command *command)
{
    if (typed->count == 3)
        offer_usage(typed, command->usage);
    for (uint32_t i = 0; i < KT_COUNT(places); i++)
        if (strcmp(places[i].command, command->name) == 0 && is_behind(typed, places[i].behind))
            places[i].offer(typed);
}

void kt_cli_offer(kt_text line, void (*put)(void *ctx, const char *word), void *ctx)
{
    static typed_line typed;
    const kt_cli_command *command;
    const char *begun;

    typed = (typed_line){ .put = put, .ctx = ctx };
    if (!read_line(&typed, line))
        return;
    begun = typed.words[typed.count - 1];
    command = kt_cli_command_of(typed.words[1]);
    if (typed.count == 2)
        for (uint32_t i = 0; i < kt_cli_command_count; i++)
            offer(&typed, kt_cli_commands[i].name, strlen(kt_cli_commands[i].name), " ");
    else if (command != NULL && begun[0] == '-')
        offer_flags(&typed, command);
    else if (command != NULL)
        offer_words(&typed, command);
}

/* Nothing within quotes: bash would close them behind it. */
static void print_offer(void *ctx, const char *word)
{
    const size_t *kept = ctx;

    if (strchr(word, '\'') == NULL)
        puts(word + *kept);
}

/* How much of the word at the end of the line stands before what the shell replaces. */
static size_t kept_of(kt_text line, const char *replaced)
{
    size_t begun = 0, n = replaced != NULL ? strlen(replaced) : 0;

    while (begun < line.n && line.s[line.n - begun - 1] != ' ')
        begun++;
    return replaced != NULL && n <= begun && memcmp(line.s + line.n - n, replaced, n) == 0 ? begun - n : 0;
}

int kt_cli_complete(const char *replaced)
{
    const char *line = getenv("COMP_LINE"), *point = getenv("COMP_POINT");
    uint64_t n = 0;
    size_t kept;

    if (line == NULL || point == NULL || kt_text_u64(kt_text_of(point), &n) != KT_OK || n > strlen(line)) {
        fprintf(
            stderr, "kontor --complete: this is for the shell, which says in COMP_LINE and COMP_POINT what is typed\n");
        return KT_EXIT_USAGE;
    }
    kept = kept_of((kt_text){ line, n }, replaced);
    kt_cli_offer((kt_text){ line, n }, print_offer, &kept);
    return KT_EXIT_OK;
}
