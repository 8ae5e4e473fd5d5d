/* cli/replay.c - `kontor replay`: a house on a recorded log, or on a tape. */
#include "cli/cli.h"

#include "base/text.h"
#include "base/time.h"
#include "log/reader.h"
#include "venue/sim/sim.h"
#include "venue/sim/tape.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, WORD_MAX = 64, YAML_SIZE = 64 << 10 };

#define DATA "data/replay"
#define MARK "replayed" /* in the data folder: what it is made of */

typedef struct job {
    const char *source;
    const char *speed; /* as given; NULL: the recorded one */
    bool once;
    char dir[PATH_SIZE]; /* of the log; "": a tape */
    char yaml[PATH_SIZE];
    kt_replay *replay; /* shared with the lane */
    pid_t sim;         /* 0: none */
} job;

/* ---- words ---- */

static kt_code take_place(int *argc, char **argv, const char *name, kt_replay_place *out, kt_err *err)
{
    const char *text = NULL;
    kt_code code = kt_cli_take(argc, argv, name, &text, err);

    if (code != KT_OK || text == NULL)
        return code;
    if (kt_text_u64(kt_text_of(text), &out->seq) == KT_OK && out->seq > 0)
        return KT_OK;
    out->seq = 0;
    if (kt_time_parse_iso(kt_text_of(text), &out->time_ns) == KT_OK && out->time_ns > 0)
        return KT_OK;
    return kt_fail(err, KT_ARG, "%s '%.40s' is neither a seq nor a time such as 2024-08-08T23:54:00Z", name, text);
}

static kt_code take_speed(int *argc, char **argv, job *work, kt_err *err)
{
    kt_code code = kt_cli_take(argc, argv, "--speed", &work->speed, err);
    kt_decimal speed = { .m = 1 };

    if (code != KT_OK)
        return code;
    if (work->speed != NULL && strcmp(work->speed, "max") == 0) {
        work->replay->speed = KT_REPLAY_SPEED_MAX;
        return KT_OK;
    }
    if (work->speed != NULL && (kt_decimal_parse(kt_text_of(work->speed), &speed) != KT_OK || speed.m <= 0))
        return kt_fail(
            err, KT_ARG, "--speed '%.40s' is neither a factor above 0, such as 10 or 0.5, nor max", work->speed);
    work->replay->speed = (double)speed.m / (double)kt_pow10(speed.scale);
    return KT_OK;
}

/* The log of lane market is this folder, or in it. False: it is no log. */
static bool find_log(job *work)
{
    static const char *const places[] = { "", "/market" };
    char state[PATH_SIZE + 8];

    for (size_t i = 0; i < KT_COUNT(places); i++) {
        snprintf(work->dir, sizeof work->dir, "%s%s", work->source, places[i]);
        snprintf(state, sizeof state, "%s/state", work->dir);
        if (access(state, F_OK) == 0)
            return true;
    }
    work->dir[0] = '\0';
    return false;
}

/* ---- configuration ---- */

static kt_code write_yaml(job *work, const char *text, size_t size, kt_err *err)
{
    int fd;

    snprintf(work->yaml, sizeof work->yaml, "/tmp/kontor-replay-XXXXXX");
    fd = mkstemp(work->yaml);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size) {
        kt_fail(err, KT_SYS, "cannot write '%s'", work->yaml);
        if (fd >= 0)
            close(fd);
        return KT_SYS;
    }
    close(fd);
    return KT_OK;
}

/* What the newest lane_start of the log says; *out_text empty: there is none any more. */
static kt_code recorded_config(const job *work, char **out_text, size_t *out_size, kt_err *err)
{
    kt_reader *reader = NULL;
    const kt_rec *rec;
    kt_code code = kt_reader_open(work->dir, NULL, &reader, err);

    while (code == KT_OK && (code = kt_reader_next(reader, UINT64_MAX, &rec)) == KT_OK) {
        kt_ev_lane_start start;

        if (rec->kind != KT_EV_LANE_START || (rec->flags & KT_REC_INPUT) == 0 ||
            kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &start) != KT_OK)
            continue;
        free(*out_text);
        *out_text = malloc(start.config.n + 1);
        *out_size = start.config.n;
        if (*out_text != NULL)
            memcpy(*out_text, start.config.s, start.config.n);
    }
    kt_reader_close(reader);
    return code == KT_EMPTY || code == KT_CORRUPT ? KT_OK : code; /* what is damaged is told when it is replayed */
}

/* The configuration of the log, with a folder of its own, as a file. */
static kt_code config_of_log(job *work, kt_err *err)
{
    static char made[YAML_SIZE];
    char *text = NULL;
    size_t size = 0;
    kt_config *config = NULL;
    kt_code code = recorded_config(work, &text, &size, err);

    if (code == KT_OK && text == NULL)
        code = kt_fail(
            err, KT_NOENT, "log '%s' does not say any more how its house was configured: --config has to", work->dir);
    if (code == KT_OK)
        code = kt_config_parse(work->dir, text, size, &config, err);
    if (code == KT_OK) {
        config->data = DATA;
        config->store_path = "";
        code = kt_config_text(config, made, sizeof made, &size);
    }
    if (code == KT_OK)
        code = write_yaml(work, made, size, err);
    kt_config_free(config);
    free(text);
    return code;
}

/* ---- a tape ---- */

static void be_sim(const job *work, int out_fd)
{
    char *argv[] = { "sim", "--port", "0", "--wait", "--format", "binance", "--tape", (char *)work->source, "--speed",
        (char *)(work->speed != NULL ? work->speed : "1"), NULL };

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0); /* Ctrl-C is for the house, which ends it */
    dup2(out_fd, STDOUT_FILENO);
    exit(kt_sim_main((int)KT_COUNT(argv) - 1, argv));
}

/* Start the sim; its port. KT_SYS: it has said on standard error why not. */
static kt_code start_sim(job *work, unsigned *out_port, kt_err *err)
{
    int ends[2];
    FILE *said;
    char line[128];
    bool heard = false;

    if (pipe(ends) != 0)
        return kt_fail(err, KT_SYS, "cannot start the sim");
    work->sim = fork();
    if (work->sim == 0)
        be_sim(work, ends[1]);
    close(ends[1]);
    said = fdopen(ends[0], "r");
    while (said != NULL && !heard && fgets(line, sizeof line, said) != NULL)
        heard = sscanf(line, "listening 127.0.0.1:%u", out_port) == 1;
    if (said != NULL)
        fclose(said);
    return heard ? KT_OK : kt_fail(err, KT_GONE, "tape '%s' is not played", work->source);
}

static kt_code config_of_tape(job *work, kt_err *err)
{
    static char made[YAML_SIZE];
    kt_sim_tape tape = { 0 };
    kt_builder yaml;
    unsigned port = 0;
    kt_code code = kt_sim_tape_read(work->source, NULL, &tape, err);

    if (code == KT_OK)
        code = start_sim(work, &port, err);
    if (code == KT_OK) {
        kt_builder_init(&yaml, made, sizeof made);
        kt_builder_format(&yaml,
            "data: " DATA "\nvenues:\n  - name: binance\n    format: binance\n    ws_url: ws://127.0.0.1:%u\n"
            "    rest_url: http://127.0.0.1:%u\n    books: %s\n    symbols: [",
            port, port, tape.message_count > 0 ? "true" : "false");
        for (uint32_t i = 0; i < tape.symbol_count; i++)
            kt_builder_format(&yaml, "%s%s", i > 0 ? ", " : "", tape.symbols[i]);
        kt_builder_str(&yaml, "]\n");
        code = yaml.code == KT_OK ? write_yaml(work, yaml.s, yaml.n, err) : kt_fail(err, KT_LIMIT, "too many symbols");
    }
    kt_sim_tape_done(&tape);
    return code;
}

static void end_sim(job *work)
{
    if (work->sim <= 0)
        return;
    kill(work->sim, SIGTERM);
    waitpid(work->sim, NULL, 0);
}

/* ---- the folder ---- */

/* A house of its own: what another one keeps must not be mixed with what is computed again. */
static kt_code claim(const job *work, const char *data, kt_err *err)
{
    char mark[PATH_SIZE], state[PATH_SIZE], source[PATH_SIZE] = "", made_of[PATH_SIZE] = "";
    FILE *file;

    if (realpath(work->source, source) == NULL)
        return kt_fail(err, KT_SYS, "cannot read '%s'", work->source);
    snprintf(mark, sizeof mark, "%s/" MARK, data);
    snprintf(state, sizeof state, "%s/market/state", data);
    file = fopen(mark, "re");
    if (file != NULL) {
        if (fgets(made_of, sizeof made_of, file) != NULL)
            made_of[strcspn(made_of, "\n")] = '\0';
        fclose(file);
    }
    if (access(state, F_OK) == 0 && (strcmp(made_of, source) != 0 || work->dir[0] == '\0'))
        return kt_fail(err, KT_BUSY, "folder '%s' holds a house already: --data names another", data);
    if (strcmp(data, DATA) == 0 && mkdir("data", 0750) != 0 && errno != EEXIST)
        return kt_fail(err, KT_SYS, "cannot make folder 'data'");
    if (mkdir(data, 0750) != 0 && errno != EEXIST)
        return kt_fail(err, KT_SYS, "cannot make folder '%s'", data);
    file = fopen(mark, "we");
    if (file == NULL || fprintf(file, "%s\n", source) < 0 || fclose(file) != 0)
        return kt_fail(err, KT_SYS, "cannot write '%s'", mark);
    return KT_OK;
}

/* ---- the command ---- */

/* In the lane's process: the supervisor is its parent. */
static void stop_house(void *ctx)
{
    kill(getppid(), SIGTERM);
}

static kt_code take_words(int *argc, char **argv, job *work, kt_err *err)
{
    kt_code code = take_speed(argc, argv, work, err);

    if (code == KT_OK)
        code = take_place(argc, argv, "--from", &work->replay->from, err);
    if (code == KT_OK)
        code = take_place(argc, argv, "--to", &work->replay->until, err);
    work->once = kt_cli_take_switch(argc, argv, "--once");
    return code;
}

static bool names_config(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--config") == 0 || strncmp(argv[i], "--config=", 9) == 0)
            return true;
    return false;
}

/* The words of the house: those left over without the source, which is the first, and the file. */
static kt_code prepare(int argc, char **argv, job *work, kt_err *err)
{
    bool configured = names_config(argc, argv);
    bool place = work->replay->from.seq != 0 || work->replay->from.time_ns != 0 || work->replay->until.seq != 0 ||
                 work->replay->until.time_ns != 0;
    struct stat about;

    if (access(work->source, R_OK) != 0)
        return kt_fail(err, KT_SYS, "cannot read '%s'", work->source);
    if (!find_log(work)) {
        if (stat(work->source, &about) == 0 && S_ISDIR(about.st_mode))
            return kt_fail(
                err, KT_ARG, "there is no log in folder '%s': the data folder of a house has one", work->source);
        if (place || work->once || configured)
            return kt_fail(
                err, KT_ARG, "--from, --to, --once and --config are for logs, and '%s' is none", work->source);
        return config_of_tape(work, err);
    }
    work->replay->dir = work->dir;
    if (work->once)
        work->replay->ended = stop_house;
    kt_code code = kt_replay_begin(work->replay, err);
    return code == KT_OK && !configured ? config_of_log(work, err) : code;
}

static int replay_all(job *work, int argc, char **argv)
{
    char *words[WORD_MAX + 3];
    int count = 0, status;
    kt_config *config = NULL;
    kt_err err = { 0 };
    kt_code code;

    for (int i = 1; i < argc; i++)
        words[count++] = argv[i];
    code = prepare(argc, argv, work, &err);
    if (code != KT_OK) {
        kt_cli_fail("replay", &err);
        return code == KT_ARG ? KT_EXIT_USAGE : KT_EXIT_FAILED;
    }
    if (work->yaml[0] != '\0') {
        words[count++] = "--config";
        words[count++] = work->yaml;
    }
    words[count] = NULL;
    status = kt_cli_config_load("replay", count, words, &config);
    if (config == NULL)
        return status;
    status = kt_cli_no_words("replay", config);
    if (status == KT_EXIT_OK && claim(work, config->data, &err) != KT_OK)
        status = kt_cli_fail("replay", &err);
    if (status == KT_EXIT_OK)
        status = kt_cli_house("replay", config, work->dir[0] != '\0' ? work->replay : NULL);
    if (status == KT_EXIT_OK && work->once && work->replay->different > 0)
        status = KT_EXIT_FAILED;
    kt_config_free(config);
    return status;
}

int kt_cli_replay(int argc, char **argv)
{
    job work = { 0 };
    kt_err err = { 0 };
    int status;

    if (argc == 0 || argv[0][0] == '-' || argc > WORD_MAX) {
        kt_config *config = NULL; /* --help */
        status = kt_cli_config_load("replay", argc, argv, &config);
        if (config == NULL)
            return status;
        kt_config_free(config);
        fprintf(stderr,
            "kontor replay: first say what: `kontor replay data/demo`, a folder of logs, or the file of a tape\n");
        return KT_EXIT_USAGE;
    }
    work.replay = mmap(NULL, sizeof *work.replay, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (work.replay == MAP_FAILED)
        return kt_cli_fail("replay", &(kt_err){ .msg = "no memory" });
    *work.replay = (kt_replay){ 0 };
    work.source = argv[0];
    if (take_words(&argc, argv, &work, &err) != KT_OK) {
        kt_cli_fail("replay", &err);
        status = KT_EXIT_USAGE;
    } else {
        status = replay_all(&work, argc, argv);
    }
    end_sim(&work);
    if (work.yaml[0] != '\0')
        unlink(work.yaml);
    munmap(work.replay, sizeof *work.replay);
    return status;
}
