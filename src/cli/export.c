/* cli/export.c - `kontor export`: trades and values of the store as CSV files. */
#include "cli/cli.h"

#include "base/time.h"
#include "store/export.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

enum {
    PATH_SIZE = 4096,
    PROGRESS_TERMINAL_S = 1, /* between two lines of progress: where somebody looks, and where they are kept */
    PROGRESS_FILE_S = 10,
};

static atomic_bool stopped;

static void stop(int number)
{
    atomic_store(&stopped, true);
}

/* Where the text goes: standard output, or a file that gets its name when it is whole. */
typedef struct output {
    const char *path; /* NULL: standard output */
    char part[PATH_SIZE];
    int fd;
    ZSTD_CCtx *zstd; /* NULL: as it is */
    void *mem;       /* ZSTD_CStreamOutSize() bytes */
    int64_t told_s;  /* when progress was told last */
} output;

static int64_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* ---- bytes ---- */

static kt_code put_bytes(output *out, const char *bytes, size_t size, kt_err *err)
{
    while (size > 0) {
        ssize_t n = atomic_load(&stopped) ? -1 : write(out->fd, bytes, size);

        if (atomic_load(&stopped))
            return kt_fail(err, KT_LIMIT, "stopped before the end");
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kt_fail(err, KT_SYS, "cannot write '%s'", out->path != NULL ? out->part : "standard output");
        bytes += n;
        size -= (size_t)n;
    }
    return KT_OK;
}

static kt_code put_compressed(output *out, kt_text text, ZSTD_EndDirective how, kt_err *err)
{
    ZSTD_inBuffer in = { text.s, text.n, 0 };
    size_t left;

    do {
        ZSTD_outBuffer made = { out->mem, ZSTD_CStreamOutSize(), 0 };
        kt_code code;

        left = ZSTD_compressStream2(out->zstd, &made, &in, how);
        if (ZSTD_isError(left))
            return kt_fail(err, KT_SYS, "zstd: %s", ZSTD_getErrorName(left));
        code = put_bytes(out, out->mem, made.pos, err);
        if (code != KT_OK)
            return code;
    } while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
    return KT_OK;
}

static kt_code put_csv(void *ctx, kt_text csv, kt_err *err)
{
    output *out = ctx;

    return out->zstd != NULL ? put_compressed(out, csv, ZSTD_e_continue, err) : put_bytes(out, csv.s, csv.n, err);
}

/* ---- the file ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static kt_code open_output(output *out, const char *path, kt_err *err)
{
    *out = (output){ .path = path, .fd = STDOUT_FILENO, .told_s = now_s() };
    if (path == NULL)
        return KT_OK;
    out->fd = -1;
    if ((size_t)snprintf(out->part, sizeof out->part, "%s.part", path) >= sizeof out->part)
        return kt_fail(err, KT_LIMIT, "the name '%.60s...' is too long", path);
    out->fd = open(out->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out->fd < 0)
        return kt_fail(err, KT_SYS, "cannot make '%s'", out->part);
    if (!ends_with(path, ".zst"))
        return KT_OK;
    out->zstd = ZSTD_createCCtx();
    out->mem = malloc(ZSTD_CStreamOutSize());
    if (out->zstd == NULL || out->mem == NULL)
        return kt_fail(err, KT_SYS, "no memory to compress '%s'", path);
    ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_checksumFlag, 1);
    return KT_OK;
}

/* Whole and on disk, or not there at all. */
static kt_code finish_output(output *out, kt_err *err)
{
    kt_code code = out->zstd != NULL ? put_compressed(out, (kt_text){ NULL, 0 }, ZSTD_e_end, err) : KT_OK;

    if (code != KT_OK || out->path == NULL)
        return code;
    if (fsync(out->fd) != 0)
        return kt_fail(err, KT_SYS, "cannot sync '%s'", out->part);
    if (rename(out->part, out->path) != 0)
        return kt_fail(err, KT_SYS, "cannot rename '%s' to '%s'", out->part, out->path);
    out->part[0] = '\0';
    return KT_OK;
}

static void close_output(output *out)
{
    ZSTD_freeCCtx(out->zstd);
    free(out->mem);
    if (out->path != NULL && out->fd >= 0)
        close(out->fd);
    if (out->fd >= 0 && out->part[0] != '\0')
        unlink(out->part);
}

/* ---- the command ---- */

static void tell(void *ctx, const kt_export_progress *progress)
{
    output *out = ctx;
    bool terminal = isatty(STDERR_FILENO);
    char time[KT_TIME_TEXT_MAX];

    if (now_s() - out->told_s < (terminal ? PROGRESS_TERMINAL_S : PROGRESS_FILE_S))
        return;
    out->told_s = now_s();
    kt_time_format_iso(time, sizeof time, progress->time_ns);
    fprintf(stderr, "%skontor export: %llu rows, %.*s %.*s up to %s%s", terminal ? "\r" : "",
        (unsigned long long)progress->rows, KT_TEXT_ARG(progress->venue), KT_TEXT_ARG(progress->symbol), time,
        terminal ? "" : "\n");
}

static kt_code take_time(int *argc, char **argv, const char *name, int64_t fallback, int64_t *out_ns, kt_err *err)
{
    const char *text = NULL;
    kt_code code = kt_cli_take(argc, argv, name, &text, err);

    *out_ns = fallback;
    if (code != KT_OK || text == NULL)
        return code;
    if (kt_time_parse_iso(kt_text_of(text), out_ns) != KT_OK || *out_ns < 0)
        return kt_fail(err, KT_ARG, "%s '%.40s' is no time from 1970 on: write it as 2024-08-08T23:54:00Z", name, text);
    return KT_OK;
}

static kt_code take_series(const kt_config *config, kt_export_spec *spec, kt_err *err)
{
    const char *what = config->rest_count > 0 ? config->rest[0] : "";

    spec->values = strcmp(what, "values") == 0;
    if (!spec->values && strcmp(what, "trades") != 0)
        return kt_fail(err, KT_ARG, "say what: `kontor export trades` or `kontor export values`");
    if (config->rest_count > 3)
        return kt_fail(err, KT_ARG, "'%.40s' is one word too many: %s VENUE SYMBOL is all", config->rest[3], what);
    spec->venue = kt_text_of(config->rest_count > 1 ? config->rest[1] : "");
    spec->symbol = kt_text_of(config->rest_count > 2 ? config->rest[2] : "");
    spec->composites = kt_text_equal(spec->venue, KT_TEXT("-"));
    if (spec->composites && !spec->values)
        return kt_fail(err, KT_ARG, "composites (-) have values, but no trades of their own");
    if (spec->from_ns >= spec->to_ns)
        return kt_fail(err, KT_ARG, "--to does not lie behind --from");
    if (spec->window == NULL)
        spec->window = config->interval_name;
    return KT_OK;
}

static kt_code export_to(const kt_config *config, kt_export_spec *spec, const char *path, kt_err *err)
{
    kt_query *query = NULL;
    uint64_t rows = 0;
    output out;
    kt_code code = kt_query_open(config->store_file, (kt_query_clock){ 0 }, &query, err);

    if (code != KT_OK)
        return code;
    spec->ctx = &out;
    code = open_output(&out, path, err);
    if (code == KT_OK)
        code = kt_export_csv(query, config, spec, &rows, err);
    if (code == KT_OK)
        code = finish_output(&out, err);
    close_output(&out);
    kt_query_close(query);
    if (code == KT_OK && path != NULL)
        fprintf(stderr, "%skontor export: %llu rows in %s\n", isatty(STDERR_FILENO) ? "\r\x1b[K" : "",
            (unsigned long long)rows, path);
    return code;
}

int kt_cli_export(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = stop };
    kt_export_spec spec = { .stop = &stopped, .write = put_csv, .progress = tell };
    kt_config *config = NULL;
    const char *path = NULL;
    kt_err err = { 0 };
    int status;
    kt_code code = take_time(&argc, argv, "--from", 0, &spec.from_ns, &err);

    if (code == KT_OK)
        code = take_time(&argc, argv, "--to", INT64_MAX, &spec.to_ns, &err);
    if (code == KT_OK)
        code = kt_cli_take(&argc, argv, "--window", &spec.window, &err);
    if (code == KT_OK)
        code = kt_cli_take(&argc, argv, "--out", &path, &err);
    if (code != KT_OK) {
        kt_cli_fail("export", &err);
        return KT_EXIT_USAGE;
    }
    status = kt_cli_config_load("export", argc, argv, &config);
    if (config == NULL)
        return status;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* who reads only a part is an error that can be named */
    if (take_series(config, &spec, &err) != KT_OK) {
        kt_cli_fail("export", &err);
        status = KT_EXIT_USAGE;
    } else {
        status = export_to(config, &spec, path, &err) == KT_OK ? KT_EXIT_OK : kt_cli_fail("export", &err);
    }
    kt_config_free(config);
    return status;
}
