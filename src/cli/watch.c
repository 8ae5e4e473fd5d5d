/* cli/watch.c - `kontor watch`: events as they are written, read from the logs themselves. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "log/reader.h"
#include "schema/events.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCH_LOG_MAX = 16,
    WATCH_LINE_MAX = 4 << 20,
    WATCH_IDLE_MIN_MS = 1,
    /* How late a line may be: this reader has no place on the house's board to be woken through. */
    WATCH_IDLE_MAX_MS = 50,
};

typedef struct watched_log {
    char name[KT_LOG_NAME_MAX + 1];
    char dir[4096];
    kt_reader *reader; /* NULL: the log is not there yet */
} watched_log;

typedef struct watch_plan {
    kt_text pattern;
    const char *from; /* "live", "start", a seq or a time */
    uint64_t from_seq;
    int64_t from_ns;
    bool once;
} watch_plan;

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = 1;
}

static void say(const char *log, const char *text)
{
    fprintf(stderr, "kontor watch: log %s: %s\n", log, text);
}

/* Open and stand where the plan says. A log that is not there yet is looked for again by the caller. */
static kt_code watch_open(watched_log *watch, const watch_plan *plan, bool late)
{
    kt_err err = { 0 };
    kt_lost lost = { 0, 0 };
    kt_code code = kt_reader_open(watch->dir, NULL, &watch->reader, &err);

    if (code == KT_NOENT)
        return KT_OK;
    if (code == KT_OK && plan->from_ns != 0)
        code = kt_reader_seek_time(watch->reader, plan->from_ns, &err);
    else if (code == KT_OK && (late || plan->from_seq != 0))
        code = kt_reader_seek(watch->reader, 0, plan->from_seq ? plan->from_seq : 1, &lost, &err);
    else if (code == KT_OK)
        code = kt_reader_seek_end(watch->reader, &err);
    if (code == KT_GONE || code == KT_SEQ) {
        say(watch->name, err.msg);
        code = KT_OK;
    }
    if (code != KT_OK)
        say(watch->name, err.msg);
    return code;
}

static void print_event(const watched_log *watch, const kt_rec *rec, kt_text subject, char *line)
{
    static kt_event_any event;
    const kt_event_spec *spec = kt_event_by_kind(rec->kind);
    kt_json_writer writer;
    kt_text text;

    kt_json_writer_init(&writer, line, WATCH_LINE_MAX);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "log", kt_text_of(watch->name));
    kt_json_member_u64(&writer, "seq", rec->seq);
    kt_json_member_text(&writer, "channel", subject);
    kt_json_member_u64(&writer, "offset", rec->offset);
    kt_json_name(&writer, "time");
    kt_json_put_time(&writer, rec->time_ns);
    kt_json_member_u64(&writer, "cause", rec->cause);
    if (spec == NULL)
        kt_json_member_u64(&writer, "kind", rec->kind);
    else
        kt_json_member_text(&writer, "kind", kt_text_of(spec->table.name));
    if (spec != NULL && kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) == KT_OK) {
        kt_json_name(&writer, "data");
        kt_table_write_json(&spec->table, &event, &writer);
    }
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &text) == KT_OK)
        printf("%.*s\n", (int)text.n, text.s);
    else
        fprintf(stderr, "kontor watch: log %s: record %llu is longer than a line may be\n", watch->name,
            (unsigned long long)rec->seq);
}

/* Print what is there. Returns the number of records seen; *out_code says why it ended. */
static uint64_t watch_read(watched_log *watch, const watch_plan *plan, char *line, kt_code *out_code)
{
    const kt_rec *rec = NULL;
    uint64_t seen = 0;

    for (;;) {
        kt_code code = kt_reader_next(watch->reader, UINT64_MAX, &rec);
        if (code == KT_GONE || code == KT_SEQ || code == KT_CORRUPT) {
            kt_lost lost = kt_reader_lost(watch->reader);
            fprintf(stderr, "kontor watch: log %s: records %llu to %llu are lost: %s\n", watch->name,
                (unsigned long long)lost.from, (unsigned long long)lost.to, kt_code_text(code));
            if (code != KT_CORRUPT)
                continue;
        }
        if (code != KT_OK) {
            *out_code = code == KT_EMPTY ? KT_OK : code;
            return seen;
        }
        seen++;
        if (rec->flags & KT_REC_CONTROL)
            continue;
        kt_text subject = kt_reader_subject(watch->reader, rec->subject);
        if (kt_subject_match(plan->pattern, subject))
            print_event(watch, rec, subject, line);
    }
}

/* The logs of the data folder: folders with a state file. */
static int find_logs(const char *data, watched_log *watches)
{
    struct dirent **entries = NULL;
    int found = 0;
    int count = scandir(data, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char state[4096];
        snprintf(state, sizeof state, "%s/%s/state", data, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && found < WATCH_LOG_MAX && access(state, F_OK) == 0)
            snprintf(watches[found++].name, sizeof watches[0].name, "%.*s", KT_LOG_NAME_MAX, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    for (int i = 0; i < found; i++)
        snprintf(watches[i].dir, sizeof watches[i].dir, "%s/%s", data, watches[i].name);
    return found;
}

/* Keep only the log of that name; 0: it is not there, which has been said. */
static int keep_log(const char *data, const char *name, watched_log *watches, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(watches[i].name, name) == 0) {
            watches[0] = watches[i];
            return 1;
        }
    fprintf(stderr, "kontor watch: there is no log '%s' in the data folder '%s'; there are", name, data);
    for (int i = 0; i < count; i++)
        fprintf(stderr, "%s %s", i > 0 ? "," : "", watches[i].name);
    fputc('\n', stderr);
    return 0;
}

static kt_code plan_from(watch_plan *plan, const char *log, kt_err *err)
{
    const char *from = plan->from;

    if (from == NULL || strcmp(from, "live") == 0)
        return KT_OK;
    if (strcmp(from, "start") == 0) {
        plan->from_seq = 1;
        return KT_OK;
    }
    if (kt_text_u64(kt_text_of(from), &plan->from_seq) == KT_OK && plan->from_seq > 0)
        return log != NULL ? KT_OK : kt_fail(err, KT_ARG, "--from %s is a seq of one log: say which with --log", from);
    plan->from_seq = 0;
    if (kt_time_parse_iso(kt_text_of(from), &plan->from_ns) != KT_OK || plan->from_ns == 0)
        return kt_fail(
            err, KT_ARG, "--from '%s' is not live, start, a seq or a time such as 2024-08-08T23:54:00Z", from);
    return KT_OK;
}

static int watch_all(watched_log *watches, int count, const watch_plan *plan)
{
    char *line = malloc(WATCH_LINE_MAX);
    int idle_ms = WATCH_IDLE_MIN_MS;
    int status = KT_EXIT_OK;
    bool late = false; /* a log that comes while we watch is watched from its start */

    while (line != NULL && !stopped && status == KT_EXIT_OK) {
        uint64_t seen = 0;
        for (int i = 0; i < count && status == KT_EXIT_OK; i++) {
            kt_code code = KT_OK;
            if (watches[i].reader == NULL)
                code = watch_open(&watches[i], plan, late);
            if (code == KT_OK && watches[i].reader != NULL)
                seen += watch_read(&watches[i], plan, line, &code);
            if (code != KT_OK)
                status = KT_EXIT_FAILED;
        }
        late = true;
        if (fflush(stdout) != 0)
            break; /* nobody reads any more */
        if (seen == 0 && plan->once)
            break;
        idle_ms = seen > 0 ? WATCH_IDLE_MIN_MS : idle_ms * 2 > WATCH_IDLE_MAX_MS ? WATCH_IDLE_MAX_MS : idle_ms * 2;
        if (seen == 0)
            nanosleep(&(struct timespec){ .tv_nsec = idle_ms * 1000000L }, NULL);
    }
    free(line);
    return status;
}

int kt_cli_watch(int argc, char **argv)
{
    static watched_log watches[WATCH_LOG_MAX];
    const char *log = NULL;
    watch_plan plan = { 0 };
    kt_err err = { 0 };
    kt_config *config = NULL;

    if (kt_cli_take(&argc, argv, "--log", &log, &err) != KT_OK ||
        kt_cli_take(&argc, argv, "--from", &plan.from, &err) != KT_OK || plan_from(&plan, log, &err) != KT_OK) {
        kt_cli_fail("watch", &err);
        return KT_EXIT_USAGE;
    }
    plan.once = kt_cli_take_switch(&argc, argv, "--once");
    int status = kt_cli_config_load("watch", argc, argv, &config);
    if (config == NULL)
        return status;
    if (config->rest_count != 1) {
        fprintf(stderr, "kontor watch: one pattern is needed, such as 'trades.>' or 'vwap.5m.*'\n");
        status = KT_EXIT_USAGE;
        goto out;
    }
    plan.pattern = kt_text_of(config->rest[0]);
    if (kt_pattern_check(plan.pattern, &err) != KT_OK) {
        kt_cli_fail("watch", &err);
        status = KT_EXIT_USAGE;
        goto out;
    }
    int count = find_logs(config->data, watches);
    if (count == 0)
        fprintf(
            stderr, "kontor watch: there are no logs in the data folder '%s'; --data names another\n", config->data);
    else if (log != NULL)
        count = keep_log(config->data, log, watches, count);
    if (count == 0) {
        status = KT_EXIT_FAILED;
        goto out;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    status = watch_all(watches, count, &plan);
    for (int i = 0; i < count; i++)
        kt_reader_close(watches[i].reader);
out:
    kt_config_free(config);
    return status;
}
