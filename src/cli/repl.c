/* cli/repl.c - `kontor repl`: the subcommands that ask the house, a line each, with history and completion. */
#include "base/text.h"
#include "cli/client.h"

#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORD_MAX = 64,      /* of a line, and as many flags of the command itself */
    OFFER_MAX = 1024,   /* words that Tab offers */
    HISTORY_MAX = 1000, /* lines that are kept */
    PATH_SIZE = 4096,
};

#define PROMPT "kontor> "

/* Commands whose work ends by itself, and concerns the running house. */
static const char *const commands[] = { "call", "nodes", "services", "actions", "events", "emit", "config" };
static const char *const own_words[] = { "help ", "exit " };

typedef struct session {
    int flag_count; /* of the command itself: they stand behind each line's words */
    char **flags;
    int status; /* of the last line that failed */
} session;

/* ---- words ---- */

/* Cut the line into words, in place: blanks part them, '...' and "..." hold them together, \ takes the next byte as it is. NULL, or
 * what is wrong. */
static const char *cut(char *line, char *words[WORD_MAX], int *out_count)
{
    char *from = line, *to = line;

    *out_count = 0;
    for (;;) {
        char quote = '\0';

        from += strspn(from, " \t\r\n");
        if (*from == '\0')
            return NULL;
        if (*out_count == WORD_MAX)
            return "it has too many words";
        words[(*out_count)++] = to;
        for (; *from != '\0' && (quote != '\0' || strchr(" \t\r\n", *from) == NULL); from++) {
            if (*from == quote) {
                quote = '\0';
            } else if (quote == '\0' && (*from == '\'' || *from == '"')) {
                quote = *from;
            } else {
                if (*from == '\\' && quote != '\'' && from[1] != '\0')
                    from++;
                *to++ = *from;
            }
        }
        if (quote != '\0')
            return quote == '"' ? "its \" is not closed" : "its ' is not closed";
        from += *from != '\0';
        *to++ = '\0';
    }
}

static const kt_cli_command *command_of(const char *word)
{
    for (size_t i = 0; i < KT_COUNT(commands); i++)
        if (strcmp(commands[i], word) == 0)
            return kt_cli_command_of(word);
    return NULL;
}

static bool is_action(const char *word)
{
    return kt_action_by_name(kt_text_of(word)) != NULL;
}

/* ---- a line ---- */

/* Flags of the session stand behind the words of the line. */
static int run(const session *now, const char *name, int count, char **words)
{
    char *argv[2 * WORD_MAX + 1];
    int argc = 0;

    for (int i = 0; i < count; i++)
        argv[argc++] = words[i];
    for (int i = 0; i < now->flag_count; i++)
        argv[argc++] = now->flags[i];
    argv[argc] = NULL;
    return kt_cli_command_of(name)->main(argc, argv);
}

static int help(const session *now, const char *word)
{
    if (word != NULL && is_action(word))
        return run(now, "call", 2, (char *[]){ (char *)word, "--help" });
    if (word != NULL && command_of(word) != NULL) {
        kt_cli_help(command_of(word), stdout);
        return KT_EXIT_OK;
    }
    if (word != NULL) {
        fprintf(stderr, "kontor repl: '%s' is neither a command nor an action; `help` lists them\n", word);
        return KT_EXIT_USAGE;
    }
    for (size_t i = 0; i < KT_COUNT(commands); i++)
        printf("  %-22s  %s\n", commands[i], kt_cli_command_of(commands[i])->summary);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        printf("  %-22s  %s\n", kt_actions[i].name, kt_actions[i].text);
    printf("  %-22s  %s\n  %-22s  %s\n", "help COMMAND | ACTION", "say more", "exit", "end this");
    return KT_EXIT_OK;
}

/* False: that was the end. */
static bool take(session *now, char *line)
{
    char *words[WORD_MAX];
    int count = 0, status = KT_EXIT_USAGE;
    const char *wrong = line[strspn(line, " \t")] == '#' ? NULL : cut(line, words, &count);

    if (wrong != NULL)
        fprintf(stderr, "kontor repl: this line can not be read: %s\n", wrong);
    else if (count == 0)
        return true;
    else if (strcmp(words[0], "exit") == 0 || strcmp(words[0], "quit") == 0)
        return false;
    else if (strcmp(words[0], "help") == 0)
        status = help(now, count > 1 ? words[1] : NULL);
    else if (command_of(words[0]) != NULL)
        status = run(now, words[0], count - 1, words + 1);
    else if (kt_cli_command_of(words[0]) != NULL)
        fprintf(stderr, "kontor repl: `kontor %s` is a command of the shell: it does not ask the running house\n",
            words[0]);
    else
        status = run(now, "call", count, words); /* which says what there is when it is no action */
    fflush(stdout);
    if (status != KT_EXIT_OK)
        now->status = status;
    return true;
}

/* ---- completion ---- */

static char *offers[OFFER_MAX + 1];
static uint32_t offer_count;

static void keep_offer(void *ctx, const char *word)
{
    if (offer_count < OFFER_MAX && (offers[offer_count] = strdup(word)) != NULL)
        offer_count++;
}

static void keep_if(const char *word, const char *begun)
{
    if (strncmp(word, begun, strlen(begun)) == 0)
        keep_offer(NULL, word);
}

static void offer_first(const char *begun)
{
    char word[KT_SUBJECT_MAX];

    for (size_t i = 0; i < KT_COUNT(commands); i++) {
        snprintf(word, sizeof word, "%s ", commands[i]);
        keep_if(word, begun);
    }
    for (size_t i = 0; i < KT_COUNT(own_words); i++)
        keep_if(own_words[i], begun);
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        snprintf(word, sizeof word, "%s ", kt_actions[i].name);
        keep_if(word, begun);
    }
}

/* As the shell is offered it behind `kontor`; an action alone stands for its call, and so does `help`, which names one. */
static void offer_behind(const char *line, int at)
{
    char whole[PATH_SIZE];
    size_t first = strcspn(line, " ");
    char name[KT_SUBJECT_MAX];

    snprintf(name, sizeof name, "%.*s", (int)first, line);
    if (strcmp(name, "help") == 0)
        snprintf(whole, sizeof whole, "kontor call%.*s", (int)(at - (int)first), line + first);
    else
        snprintf(whole, sizeof whole, "kontor %s%.*s", is_action(name) ? "call " : "", at, line);
    kt_cli_offer(kt_text_of(whole), keep_offer, NULL);
}

/* readline's way to ask: state 0 for the first word, then on until NULL. It frees what it gets. */
static char *next_offer(const char *begun, int state)
{
    static uint32_t at;

    if (state == 0)
        at = 0;
    return at < offer_count ? offers[at++] : NULL;
}

static char **complete(const char *begun, int start, int end)
{
    const char *line = rl_line_buffer + strspn(rl_line_buffer, " ");
    int skipped = (int)(line - rl_line_buffer);

    offer_count = 0;
    if (start <= skipped)
        offer_first(begun);
    else
        offer_behind(line, end - skipped);
    rl_attempted_completion_over = 1; /* no names of files */
    return offer_count > 0 ? rl_completion_matches(begun, next_offer) : NULL;
}

/* ---- lines ---- */

static const char *history_file(const char *given, char path[PATH_SIZE])
{
    const char *home = getenv("HOME");

    if (given != NULL)
        return given[0] != '\0' ? given : NULL;
    if (home == NULL)
        return NULL;
    snprintf(path, PATH_SIZE, "%s/.kontor_history", home);
    return path;
}

/* Kept at once: Ctrl-C ends the program. Gives the file, NULL when it can not be written to. */
static const char *remember(const char *file, const char *line)
{
    add_history(line);
    if (file == NULL || write_history(file) == 0)
        return file;
    fprintf(stderr, "kontor repl: cannot write the history to '%s': %s\n", file, strerror(errno));
    return NULL;
}

static void talk(session *now, const char *file)
{
    char *line;
    bool on = true;

    setlocale(LC_CTYPE, "");
    rl_readline_name = "kontor";
    rl_initialize();
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = (char *)" \t";
    rl_completion_append_character = '\0'; /* each offer ends as it has to */
    using_history();
    stifle_history(HISTORY_MAX);
    if (file != NULL)
        read_history(file);   /* there is none yet: it begins now */
    umask(S_IRWXG | S_IRWXO); /* what somebody typed is theirs */
    while (on && (line = readline(PROMPT)) != NULL) {
        if (line[strspn(line, " \t")] != '\0')
            file = remember(file, line);
        on = take(now, line);
        free(line);
    }
    if (on)
        printf("\n"); /* Ctrl-D leaves the cursor behind the prompt */
}

static void read_lines(session *now)
{
    char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) >= 0 && take(now, line)) {}
    free(line);
}

int kt_cli_repl(int argc, char **argv)
{
    char path[PATH_SIZE];
    const char *given = NULL;
    session now = { 0 };
    char *copy[WORD_MAX + 1];
    kt_cli_client client;
    kt_err err = { 0 };
    int status = KT_EXIT_OK;

    if (kt_cli_take(&argc, argv, "--history", &given, &err) != KT_OK) {
        kt_cli_fail("repl", &err);
        return KT_EXIT_USAGE;
    }
    if (argc > WORD_MAX) {
        fprintf(stderr, "kontor repl: more than %d words\n", WORD_MAX);
        return KT_EXIT_USAGE;
    }
    now.flag_count = argc;
    now.flags = copy;
    memcpy(copy, argv, (size_t)(argc + 1) * sizeof argv[0]);
    if (!kt_cli_client_take(
            &client, "repl", &argc, argv, &status)) /* what is wrong with them is told now, not at each line */
        return status;
    status = kt_cli_no_words("repl", client.config);
    kt_cli_client_done(&client);
    if (status != KT_EXIT_OK)
        return status;
    if (isatty(STDIN_FILENO)) {
        talk(&now, history_file(given, path));
        return KT_EXIT_OK;
    }
    read_lines(&now);
    return now.status;
}
