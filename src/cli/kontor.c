/* cli/kontor.c - one program, many commands. */
#include "cli/client.h"

#include "venue/sim/options.h"
#include "venue/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

const kt_cli_command kt_cli_commands[] = {
    { "run", "[--config FILE] [--KEY VALUE ...]", "run the house: supervisor, lanes market, keep and edge",
        "Gathers trades of the configured venues, repairs them from REST, computes rolling VWAP, stores it, and serves\n"
        "REST, WebSocket and a page on http://127.0.0.1:3000/ (-p changes the port).\n"
        "Ctrl-C stops it cleanly; whatever kills it, the next start goes on where it was.\n",
        true, kt_cli_run },
    { "sim", "[--port PORT] [--fault NAME=VALUE ...] [--schedule FILE]",
        "be a faulty market: a venue that breaks things and keeps the truth", NULL, false, kt_sim_main },
    { "simulate", "[--seed N] [--seeds K] [--minutes M] [--symbols S] [--clients C] [--rate R]",
        "break the whole house in one process, by a seed, and see whether it keeps its promises",
        "Market, lanes, store, edge and clients run on virtual time, on a network and a disk that are made up. Lanes die between\n"
        "any two records, the power goes, syncs fail, connections break, the market misbehaves; after each step the promises are\n"
        "looked at. The same words give the same logs, byte by byte. Exit status 1 when one is broken: seed, step and the last\n"
        "events are told, and how to do it again.\n"
        "  --seed N       the first seed (1)\n"
        "  --seeds K      so many of them, one after the other (1)\n"
        "  --minutes M    of virtual time until the house comes to rest; 12 seconds when it is not given. Longer than 10 minutes\n"
        "                 the power stays on\n"
        "  --symbols S    symbols of the market (3); above 16 of the generic format only, and the power stays on\n"
        "  --clients C    clients that come and go (6)\n"
        "  --rate R       trades a second, of all symbols (20)\n"
        "  --verbose      say what happens\n",
        false, kt_cli_simulate },
    { "replay", "LOG|TAPE [--speed X|max] [--from SEQ|TIME] [--to SEQ|TIME] [--once]",
        "run a house on what was recorded: a log, or a venue's tape",
        "LOG is a data folder, or the folder of its log market, of a house that runs or has ended. Its inputs (messages, answers of\n"
        "REST, timers) are given to the services of a new house, in their order and with their times; averages, books and\n"
        "corrections are computed and published anew, and compared with those that stand in the log. The configuration is the\n"
        "log's, unless --config names another file; flags go over it.\n"
        "TAPE is a file as `kontor sim --tape` plays it: the sim is started too, and the new house listens to it. A house that runs\n"
        "already listens to `kontor sim --tape FILE --speed X` by its configuration.\n"
        "The new house has a folder of its own, by default data/replay; started again there it goes on where it was.\n"
        "  --speed X      times the recorded pace, or max: as fast as it goes (1)\n"
        "  --from PLACE   of a log: up to here as fast as it goes, then at --speed; a seq, or a time as 2024-08-08T23:54:00Z\n"
        "  --to PLACE     of a log: the first record that is not given any more\n"
        "  --once         of a log: stop at its end, when the store has it, instead of serving on; exit status 1 when an output\n"
        "                 was another\n",
        true, kt_cli_replay },
    { "watch", "PATTERN [--log NAME] [--from live|start|SEQ|TIME] [--once]",
        "print events as they are written, one JSON object a line",
        "PATTERN is a subject in which * stands for one token and a last > for the rest: 'trades.binance.*', 'vwap.5m.>'.\n"
        "Reads the logs in the data folder, so it works beside a running house as well as without one.\n"
        "  --log NAME     only this log (market, keep, edge, house); otherwise all of them\n"
        "  --from WHERE   live (default), start, a seq (with --log), or a time such as 2024-08-08T23:54:00Z\n"
        "  --once         end at the last record instead of waiting for more\n",
        true, kt_cli_watch },
    { "rebuild", "store [--config FILE]", "make the store again from the logs",
        "Reads everything that the logs hold, builds a new store beside the old one and puts it in its place.\n"
        "The house must not be running. As far back as the logs reach the new store equals the old one, row for row.\n",
        true, kt_cli_rebuild },
    { "export", "trades|values [VENUE [SYMBOL]] [--from TIME] [--to TIME] [--window NAME] [--out FILE]",
        "write trades or values of the store as CSV",
        "Trades have the columns of Tardis's CSV files: exchange,symbol,timestamp,local_timestamp,id,side,price,amount, times\n"
        "in microseconds since 1970, UTC. Values: exchange,symbol,timestamp,window,price,amount,notional,trades,validated,\n"
        "complete,revision. Reads the store, beside a running house as well as without one; what the house has not kept\n"
        "there yet is not in it.\n"
        "  VENUE SYMBOL   only these, such as binance BTC/USDT; VENUE - stands for composites\n"
        "  --from TIME    first time, such as 2024-08-08T00:00:00Z (default: the oldest)\n"
        "  --to TIME      first time that is not in it any more (default: none)\n"
        "  --window NAME  of values, such as 5m (default: that of vwap.interval_ms)\n"
        "  --out FILE     else standard output; FILE.zst is compressed. It appears when it is whole\n",
        true, kt_cli_export },
    { "doctor", "[--data FOLDER]", "say what is in the data folder, what is damaged, and what is lost",
        "Changes nothing. Exit status 1 when records are lost for good or the store is damaged.\n", true,
        kt_cli_doctor },
    { "call", "ACTION [NAME=VALUE ...] [--timeout MS] [--url URL]", "have the running house carry out an action",
        "Prints the answer, JSON. `kontor call ACTION --help` says what an action takes and gives; `kontor actions` lists "
        "them.\nValues are text, numbers, true, false, or for what holds more JSON: settings='{\"silence_ms\":7000}'.\n"
        "Exit status 1 when the action refuses or no house answers, 2 for words that are wrong.\n" KT_CLI_CLIENT_FLAGS,
        true, kt_cli_call },
    { "nodes", "[--json]", "show the nodes of the running house, and its lanes",
        "  --json         the answer of action node.list, as it came\n" KT_CLI_CLIENT_FLAGS, true, kt_cli_nodes },
    { "services", "[--json]", "show the services of the running house, and what they answer",
        "  --json         the answer of action node.services, as it came\n" KT_CLI_CLIENT_FLAGS, true,
        kt_cli_services },
    { "actions", "[PREFIX] [--json]", "show every action of the running house, and how its calls go",
        "Calls, errors and times are those that came through the edge since it started.\n"
        "  --json         the answer of action node.actions, as it came\n" KT_CLI_CLIENT_FLAGS,
        true, kt_cli_actions },
    { "emit", "TOPIC TEXT", "say something to everybody who listens to note.TOPIC",
        "The note is an event: it stands in log edge, `kontor watch 'note.>'` shows it, and so does the page.\n" KT_CLI_CLIENT_FLAGS,
        true, kt_cli_emit },
    { "events", "[PATTERN] [--json]", "show the channels of the running house",
        "PATTERN is a subject in which * stands for one token and a last > for the rest: 'trades.binance.*'.\n"
        "`kontor watch PATTERN` prints their events.\n"
        "  --json         the answer of action channels, as it came\n" KT_CLI_CLIENT_FLAGS,
        true, kt_cli_events },
    { "repl", "[--history FILE]", "talk with the running house, a line at a time",
        "A line is what `kontor` takes: call, nodes, services, actions, events, emit or config with their words; an action alone\n"
        "is called: vwap.latest ticker=BTC. Words with blanks stand in quotes. `help`, `help ACTION` and `help COMMAND` say more,\n"
        "`exit` or Ctrl-D ends it. Tab completes commands, actions and their parameters; arrows and Ctrl-R find former lines.\n"
        "Reads from a pipe, too: then the exit status is that of the last line that failed. The flags of this command hold for\n"
        "each line.\n"
        "  --history FILE where lines are kept (default: .kontor_history in the home folder; empty: nowhere)\n" KT_CLI_CLIENT_FLAGS,
        true, kt_cli_repl },
    { "bench", "match TAPE ...", "measure the matching core of this machine on tapes of orders",
        "Plays each tape with handles, with hashed and with direct client ids, and compares its trades with those that the tape\n"
        "says. Prints the time a command takes in batches (median of five runs), one by one with p50, p99 and p99.9, and memory;\n"
        "and in the same run what the machine does: loads that wait for each other from three sizes of memory, the clock, and\n"
        "the same tape through a plain array of quantities by price.\n"
        "TAPE begins with \"MEWL0001\": a header that says what trades must come, then 32 bytes a command.\n",
        false, kt_cli_bench },
    { "config", "[show [SECTION] | set KEY=VALUE ... | unset KEY ...] [--config FILE] [--KEY VALUE ...]",
        "print every configuration value and where it comes from, and change it while the house runs",
        "A value comes from, the first that says it wins: flag, environment, key-value store, YAML file, default.\n"
        "  (no word)          the values that these flags, this environment, this file and the logs in the data folder give\n"
        "  show [SECTION]     the values of the running house, and which of them may change while it runs\n"
        "  set KEY=VALUE ...  change them: kontor config set vwap.step_s=30 diag.levels=error,warn\n"
        "                     All of one section or none; it takes effect at once and survives a restart.\n"
        "  unset KEY ...      back to what the file or the default says\n"
        "  --json             the answer as it came\n" KT_CLI_CLIENT_FLAGS,
        true, kt_cli_config },
};
const uint32_t kt_cli_command_count = KT_COUNT(kt_cli_commands);

int kt_cli_fail(const char *name, const kt_err *err)
{
    fprintf(stderr, "kontor %s: %s\n", name, err->msg);
    return KT_EXIT_FAILED;
}

const kt_cli_command *kt_cli_command_of(const char *name)
{
    for (uint32_t i = 0; i < kt_cli_command_count; i++)
        if (strcmp(kt_cli_commands[i].name, name) == 0)
            return &kt_cli_commands[i];
    return NULL;
}

void kt_cli_help(const kt_cli_command *command, FILE *out)
{
    if (command->help == NULL) {
        kt_sim_help(out);
        return;
    }
    fprintf(out, "kontor %s %s\n\n%s.\n\n%s", command->name, command->usage, command->summary, command->help);
    if (command->configured) {
        fputc('\n', out);
        kt_config_help(out);
    }
}

int kt_cli_config_load(const char *name, int argc, char **argv, kt_config **out_config)
{
    kt_err err = { 0 };
    kt_config *config = NULL;

    *out_config = NULL;
    if (kt_config_load(argc, argv, environ, &config, &err) != KT_OK) {
        fprintf(stderr, "kontor %s: %s\n", name, err.msg);
        fprintf(stderr, "`kontor %s --help` lists what is allowed; `kontor config` shows each value and its origin\n",
            name);
        return KT_EXIT_USAGE;
    }
    if (config->help) {
        kt_cli_help(kt_cli_command_of(name), stdout);
        kt_config_free(config);
        return KT_EXIT_OK;
    }
    kt_cli_diag_set(config);
    *out_config = config;
    return KT_EXIT_OK;
}

int kt_cli_no_words(const char *name, const kt_config *config)
{
    if (config->rest_count == 0)
        return KT_EXIT_OK;
    fprintf(stderr, "kontor %s: '%s' is no flag; `kontor %s --help` lists them\n", name, config->rest[0], name);
    return KT_EXIT_USAGE;
}

static void take_out(int *argc, char **argv, int at, int count)
{
    memmove(&argv[at], &argv[at + count], (size_t)(*argc - at - count + 1) * sizeof argv[0]);
    *argc -= count;
}

kt_code kt_cli_take(int *argc, char **argv, const char *name, const char **out_value, kt_err *err)
{
    size_t size = strlen(name);

    *out_value = NULL;
    for (int i = 0; i < *argc;) {
        bool joined = strncmp(argv[i], name, size) == 0 && argv[i][size] == '=';
        if (!joined && strcmp(argv[i], name) != 0) {
            i++;
            continue;
        }
        if (*out_value != NULL)
            return kt_fail(err, KT_ARG, "%s is given twice", name);
        if (!joined && i + 1 >= *argc)
            return kt_fail(err, KT_ARG, "%s needs a value behind it", name);
        *out_value = joined ? argv[i] + size + 1 : argv[i + 1];
        take_out(argc, argv, i, joined ? 1 : 2);
    }
    return KT_OK;
}

bool kt_cli_take_switch(int *argc, char **argv, const char *name)
{
    bool found = false;

    for (int i = 0; i < *argc;) {
        if (strcmp(argv[i], name) != 0) {
            i++;
            continue;
        }
        found = true;
        take_out(argc, argv, i, 1);
    }
    return found;
}

static void usage(FILE *out)
{
    fprintf(out, "kontor: gathers what markets say, repairs it, keeps it, computes from it and publishes it\n\n"
                 "usage: kontor COMMAND [WORDS]\n\n");
    for (uint32_t i = 0; i < kt_cli_command_count; i++)
        fprintf(out, "  %-8s  %s\n", kt_cli_commands[i].name, kt_cli_commands[i].summary);
    fprintf(out, "\n`kontor COMMAND --help` says more. `kontor --manual | man -l -` says all of it.\n"
                 "To see it at work: `make run`, then http://127.0.0.1:3000/\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const kt_cli_command *command = kt_cli_command_of(name);

    if (command != NULL) {
        /* The market of our own reads its words itself: they are no keys of the house. */
        return command->configured ? command->main(argc - 2, argv + 2) : command->main(argc - 1, argv + 1);
    }
    if (strcmp(name, "--version") == 0) {
        printf("kontor %s\n", KT_VERSION_TEXT);
        return KT_EXIT_OK;
    }
    if (strcmp(name, "--manual") == 0)
        return kt_cli_manual();
    if (strcmp(name, "--complete") == 0)
        return kt_cli_complete(argc > 3 ? argv[3] : NULL);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        command = argc > 2 ? kt_cli_command_of(argv[2]) : NULL;
        if (argc == 2)
            usage(stdout);
        else if (command != NULL)
            kt_cli_help(command, stdout);
        if (argc == 2 || command != NULL)
            return KT_EXIT_OK;
        name = argv[2];
    }
    if (argc > 1)
        fprintf(stderr, "kontor: there is no command '%s'\n\n", name);
    usage(stderr);
    return KT_EXIT_USAGE;
}
