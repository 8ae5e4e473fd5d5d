#include "lane/script.h"

#include "base/test_util.h"
#include "base/text.h"
#include "lane/state.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t boot_id[16] = "script of a test";

static _Noreturn void die(const char *what, const kt_err *err)
{
    fprintf(stderr, "script: %s: %s\n", what, err != NULL ? err->msg : "");
    abort();
}

static int64_t now_of(void *ctx)
{
    return ((const kt_script *)ctx)->now_ns;
}

/* Blocks of odd sizes, some of them freed again, so that the services' memory lies elsewhere. */
static void scatter(kt_script *script)
{
    if (!script->options.scatter)
        return;
    for (uint32_t i = 0; i < KT_COUNT(script->scattered); i++)
        script->scattered[i] = malloc(17 + i * 977);
    for (uint32_t i = 0; i < KT_COUNT(script->scattered); i += 3) {
        free(script->scattered[i]);
        script->scattered[i] = NULL;
    }
}

static void lane_open(kt_script *script)
{
    const kt_script_options *options = &script->options;
    kt_lane_options lane = { .name = script->name, .data_dir = script->dir, .services = options->services };
    bool park;
    kt_err err = { 0 };

    lane.config = options->config;
    lane.logic = options->logic;
    lane.version = "test";
    lane.segment_size = options->segment_size != 0 ? options->segment_size : 1 << 20;
    lane.inline_sync = true;
    memcpy(lane.boot_id, boot_id, sizeof boot_id);
    lane.turn_max = options->turn_max;
    lane.hash_seed = options->hash_seed != 0 ? options->hash_seed : 1;
    lane.seed = options->seed != 0 ? options->seed : 1;
    lane.clock_ns = now_of;
    lane.mono_ns = now_of;
    lane.clock_ctx = script;
    if (kt_lane_open(&lane, &script->lane, &park, &err) != KT_OK)
        die("the lane does not open", &err);
}

void kt_script_open(kt_script *script, const kt_script_options *options)
{
    kt_err err = { 0 };

    memset(script, 0, sizeof *script);
    script->options = *options;
    script->now_ns = 1;
    snprintf(script->dir, sizeof script->dir, "%s", options->dir != NULL ? options->dir : kt_test_dir());
    snprintf(script->name, sizeof script->name, "%s", options->lane != NULL ? options->lane : "test");
    if (options->foreign != NULL) {
        char dir[600];
        kt_log_options log;
        snprintf(dir, sizeof dir, "%s/%s", script->dir, options->foreign);
        kt_log_options_init(&log, dir);
        log.segment_size = 1 << 20;
        log.sync = KT_SYNC_INLINE;
        memcpy(log.boot_id, boot_id, sizeof boot_id);
        log.clock_ns = now_of;
        log.ctx = script;
        if (kt_log_open(&log, &script->foreign, &err) != KT_OK)
            die("the foreign log does not open", &err);
    }
    scatter(script);
    lane_open(script);
}

void kt_script_close(kt_script *script)
{
    kt_lane_close(script->lane, true);
    kt_log_close(script->foreign, NULL);
    for (uint32_t i = 0; i < KT_COUNT(script->scattered); i++)
        free(script->scattered[i]);
    memset(script, 0, sizeof *script);
}

void kt_script_restart(kt_script *script, bool clean)
{
    kt_lane_close(script->lane, clean);
    script->lane = NULL;
    lane_open(script);
}

uint64_t kt_script_answer(
    kt_script *script, int64_t time_ns, uint64_t cause, uint16_t kind, kt_text subject, const void *event)
{
    uint64_t seq = 0;
    kt_err err = { 0 };

    if (time_ns > script->now_ns)
        script->now_ns = time_ns;
    kt_code code = kt_lane_input(script->lane, kind, subject, cause, event, &seq);
    if (code != KT_OK) {
        kt_fail(&err, code, "%s, %s", kt_code_text(code), script->lane->failure.msg);
        die("an input is not taken", &err);
    }
    return seq;
}

uint64_t kt_script_input(kt_script *script, int64_t time_ns, uint16_t kind, kt_text subject, const void *event)
{
    return kt_script_answer(script, time_ns, 0, kind, subject, event);
}

uint64_t kt_script_foreign(kt_script *script, int64_t time_ns, uint16_t kind, kt_text subject, const void *event)
{
    static uint8_t payload[1 << 16];
    kt_rec_head head = { .kind = kind, .flags = KT_REC_INPUT, .time_ns = time_ns };
    uint32_t size = 0;
    uint64_t seq = 0;
    kt_err err = { 0 };

    if (kt_event_encode(kind, event, payload, sizeof payload, &size) != KT_OK ||
        kt_log_subject(script->foreign, subject, 0, &head.subject, &err) != KT_OK ||
        kt_log_append(script->foreign, &head, payload, size, &seq) != KT_OK ||
        kt_log_sync(script->foreign, &err) != KT_OK)
        die("the foreign log takes nothing", &err);
    return seq;
}

void kt_script_turn(kt_script *script)
{
    kt_err err = { 0 };

    if (kt_lane_turn(script->lane, 0, &err) != KT_OK)
        die("a turn fails", &err);
}

void kt_script_time(kt_script *script, int64_t time_ns)
{
    const kt_lane_timer *next;

    while ((next = kt_timers_next(&script->lane->timers)) != NULL && next->due_ns <= time_ns) {
        if (next->due_ns > script->now_ns)
            script->now_ns = next->due_ns;
        kt_script_turn(script);
    }
    if (time_ns > script->now_ns)
        script->now_ns = time_ns;
}

uint32_t kt_script_each(
    kt_script *script, const char *pattern, void (*see)(void *ctx, const kt_event *event), void *ctx)
{
    kt_reader *reader = NULL;
    const kt_rec *rec;
    kt_err err = { 0 };
    uint32_t count = 0;

    if (kt_reader_open(script->lane->dir, boot_id, &reader, &err) != KT_OK)
        die("the lane's log can not be read", &err);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
        kt_event event = { .rec = rec,
            .subject = kt_reader_subject(reader, rec->subject),
            .log = kt_text_of(script->name),
            .input_seq = rec->cause,
            .payload = kt_rec_payload(rec),
            .size = kt_rec_payload_size(rec) };
        if ((rec->flags & KT_REC_OUTPUT) == 0 || !kt_subject_match(kt_text_of(pattern), event.subject))
            continue;
        count++;
        if (see != NULL)
            see(ctx, &event);
    }
    kt_reader_close(reader);
    return count;
}

/* ---- determinism ---- */

typedef struct variant {
    const char *name;
    uint64_t hash_seed;
    uint32_t turn_max;
    bool scatter;
} variant;

static const variant variants[] = {
    { "the first run", 1, 0, false },
    { "other hash seed and addresses", 0x9E3779B97F4A7C15u, 0, true },
    { "one record a turn", 77, 1, false },
    { "three records a turn, other hash seed and addresses", 0xD1B54A32D192ED03u, 3, true },
};

typedef struct outputs {
    kt_writer bytes;
    bool causes;
} outputs;

static void collect(void *ctx, const kt_event *event)
{
    outputs *all = ctx;

    kt_writer_u32(&all->bytes, event->rec->kind);
    kt_writer_text(&all->bytes, event->subject);
    kt_writer_i64(&all->bytes, event->rec->time_ns);
    kt_writer_text(&all->bytes, (kt_text){ event->payload, event->size });
    if (all->causes)
        kt_writer_u64(&all->bytes, event->rec->cause);
}

static void run_variant(const kt_script_options *base, const variant *how, outputs *out,
    void (*play)(kt_script *script, void *ctx), void *ctx)
{
    kt_script script;
    kt_script_options options = *base;
    uint32_t count;

    options.dir = NULL;
    options.hash_seed = how->hash_seed;
    options.turn_max = how->turn_max;
    options.scatter = how->scatter;
    kt_script_open(&script, &options);
    play(&script, ctx);
    kt_writer_init(&out->bytes);
    out->causes = base->foreign == NULL;
    count = kt_script_each(&script, ">", collect, out);
    script.options.hash_seed = ~how->hash_seed;
    kt_script_restart(&script, false); /* ends the program with a message when an output differs */
    const kt_lane_counts *counts = kt_lane_count(script.lane);
    if (counts->snapshots == 0 && counts->replayed > 0 && counts->compared + counts->completed == 0 && count > 0)
        die("recovery has compared nothing", NULL);
    kt_script_close(&script);
}

bool kt_script_deterministic(const kt_script_options *options, void (*play)(kt_script *script, void *ctx), void *ctx)
{
    outputs first, other;
    bool equal = true;

    run_variant(options, &variants[0], &first, play, ctx);
    for (uint32_t i = 1; i < KT_COUNT(variants) && equal; i++) {
        run_variant(options, &variants[i], &other, play, ctx);
        size_t at = 0, size = first.bytes.size < other.bytes.size ? first.bytes.size : other.bytes.size;
        while (at < size && first.bytes.bytes[at] == other.bytes.bytes[at])
            at++;
        equal = at == size && first.bytes.size == other.bytes.size;
        if (!equal)
            fprintf(stderr, "outputs of '%s' differ from those of '%s' at byte %zu of %zu and %zu\n", variants[i].name,
                variants[0].name, at, first.bytes.size, other.bytes.size);
        kt_writer_done(&other.bytes);
    }
    kt_writer_done(&first.bytes);
    return equal;
}
