/* cli/cli.h - what the subcommands of `kontor` share.
 *
 * A subcommand is one file and one row in kontor.c: name, usage, summary, help, main. It gets the words behind its name, prints
 * results to standard output and diag to standard error, and returns the exit status: 0; 1 for what went wrong; 2 for words that
 * are wrong.
 */
#ifndef KT_CLI_CLI_H
#define KT_CLI_CLI_H

#include "base/error.h"
#include "base/types.h"
#include "base/version.h"
#include "lane/lane.h"
#include "schema/config.h"
#include "schema/events.h"
#include "service/replay_feed.h"

#include <stdio.h>

enum { KT_EXIT_OK = 0, KT_EXIT_FAILED = 1, KT_EXIT_USAGE = 2 };

typedef struct kt_cli_command {
    const char *name;
    const char *usage;
    const char *summary;
    const char *help; /* NULL: that of the market of our own */
    bool configured;  /* takes the keys of the configuration as flags */
    int (*main)(int argc, char **argv);
} kt_cli_command;

extern const kt_cli_command kt_cli_commands[];
extern const uint32_t kt_cli_command_count;

const kt_cli_command *kt_cli_command_of(const char *name); /* NULL: there is none */

/* What --help says. */
void kt_cli_help(const kt_cli_command *command, FILE *out);

/* `kontor --manual`: the page for man, made of what --help says. */
int kt_cli_manual(void);

/* `kontor --complete`: what the shell offers for the word at the cursor, by the rows that make the help. Called by bash
 * (deploy/kontor.bash) with the line in COMP_LINE and the place of the cursor in COMP_POINT. `replaced`: the end of the word at the
 * cursor that the shell replaces by what is offered (for bash a word begins behind =); NULL: all of it. */
int kt_cli_complete(const char *replaced);

/* What the last word of a line, which may be empty, can become: each such word with what follows it, a blank, or = where a value
 * does. The line begins with the program's name. */
void kt_cli_offer(kt_text line, void (*put)(void *ctx, const char *word), void *ctx);

int kt_cli_run(int argc, char **argv);
int kt_cli_simulate(int argc, char **argv);
int kt_cli_watch(int argc, char **argv);
int kt_cli_rebuild(int argc, char **argv);
int kt_cli_doctor(int argc, char **argv);
int kt_cli_export(int argc, char **argv);
int kt_cli_config(int argc, char **argv);
int kt_cli_call(int argc, char **argv);
int kt_cli_nodes(int argc, char **argv);
int kt_cli_services(int argc, char **argv);
int kt_cli_actions(int argc, char **argv);
int kt_cli_emit(int argc, char **argv);
int kt_cli_events(int argc, char **argv);
int kt_cli_bench(int argc, char **argv);
int kt_cli_repl(int argc, char **argv);
int kt_cli_replay(int argc, char **argv);

/* The house of `kontor run`, until it is told to stop; `replay`: a recorded log in the place of its venues, or NULL. */
int kt_cli_house(const char *name, const kt_config *config, kt_replay *replay);

/* Load the configuration from these words; on failure say why, and which command helps, and return the exit status.
 * With --help among them *out_config is NULL and the help of the subcommand `name` has been printed. */
int kt_cli_config_load(const char *name, int argc, char **argv, kt_config **out_config);

/* For subcommands that take flags only: KT_EXIT_OK, or the first word that is none has been named. */
int kt_cli_no_words(const char *name, const kt_config *config);

/* Take `--NAME VALUE` or `--NAME=VALUE` out of the words. NULL in *out_value: it was not there. KT_ARG: no value behind it,
 * or given twice. */
kt_code kt_cli_take(int *argc, char **argv, const char *name, const char **out_value, kt_err *err);

/* The same for a flag without a value. */
bool kt_cli_take_switch(int *argc, char **argv, const char *name);

/* Diag: text for operators, a line on standard error for each occurrence, with time, level, lane and what happened where.
 * diag.format says how: for people, or an object of JSON with these members. Which levels are written, and how, holds for
 * all processes of a house at once. `ctx` is the name of the lane (const char *); NULL: the supervisor's process. */
void kt_cli_diag(void *ctx, kt_level level, const char *line);

/* From now on as diag.levels and diag.format say: here, and in the processes that are forked after the first call. */
void kt_cli_diag_set(const kt_config *config);

/* Does the same in a lane whenever settings.diag changes. */
extern const kt_feed_spec kt_cli_diag_feed;

/* "kontor NAME: MESSAGE" on standard error; returns KT_EXIT_FAILED. */
int kt_cli_fail(const char *name, const kt_err *err);

#endif
