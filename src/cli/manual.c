/* cli/manual.c - `kontor --manual`: the help of all commands as one page for man. */
#include "cli/cli.h"
#include "schema/actions.h"
#include "venue/sim/options.h"

#include <stdlib.h>
#include <string.h>

/* Text as it stands: no hyphenation, no requests at the start of a line. */
static void put(const char *text)
{
    bool line_start = true;

    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

static void put_text(const char *text)
{
    printf(".nf\n");
    put(text);
    printf("\n.fi\n");
}

static void put_printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return;
    print(out);
    fclose(out);
    put_text(text);
    free(text);
}

/* What `kontor COMMAND --help` says, but for the configuration, which is the same for all. */
static void put_command(const kt_cli_command *command)
{
    printf(".SS %s\n", command->name);
    if (command->help == NULL) {
        put_printed(kt_sim_help);
        return;
    }
    put(command->summary);
    printf(".\n.PP\n.B kontor %s\n", command->name);
    put(command->usage);
    printf("\n.PP\n");
    put_text(command->help);
}

int kt_cli_manual(void)
{
    printf(".TH KONTOR 1 \"\" \"kontor %s\"\n.SH NAME\nkontor \\- gather what markets say, repair it, keep it, compute "
           "from it and publish it\n.SH SYNOPSIS\n.B kontor\n.I COMMAND\n[\\fIWORDS\\fR]\n.SH COMMANDS\n",
        KT_VERSION_TEXT);
    for (uint32_t i = 0; i < kt_cli_command_count; i++)
        put_command(&kt_cli_commands[i]);
    printf(
        ".SH ACTIONS\nFor \\fBkontor call\\fR; \\fBkontor call ACTION \\-\\-help\\fR says what one takes and gives.\n");
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        printf(".TP\n.B %s\n", kt_actions[i].name);
        put(kt_actions[i].text);
        printf("\n");
    }
    printf(".SH CONFIGURATION\n");
    put_printed(kt_config_help);
    printf(".SH EXIT STATUS\n0; 1 for what went wrong; 2 for words that are wrong.\n");
    return ferror(stdout) || fflush(stdout) != 0 ? KT_EXIT_FAILED : KT_EXIT_OK;
}
