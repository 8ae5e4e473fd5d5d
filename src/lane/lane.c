#include "lane/lane.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "lane/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    SPIN_MAX = 200,              /* looks before sleeping, in a lane that has just worked: about 10 us */
    INTAKE_RETRY_NS = 100000000, /* a timer that finds intake stopped comes again */
    ALONE_WAIT_NS = 50000000,    /* without a supervisor nobody rings when a foreign log grows */
};

/* ---- clocks and randomness ---- */

static int64_t system_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t kt_lane_clock(const kt_lane *lane)
{
    return lane->options.clock_ns != NULL ? lane->options.clock_ns(lane->options.clock_ctx) : system_ns(CLOCK_REALTIME);
}

int64_t kt_lane_mono(const kt_lane *lane)
{
    return lane->options.mono_ns != NULL ? lane->options.mono_ns(lane->options.clock_ctx) : system_ns(CLOCK_MONOTONIC);
}

static uint64_t new_random(const kt_lane *lane)
{
    const kt_lane_world *world = lane->options.world;
    uint64_t number = 0;

    if (world != NULL)
        return world->random(world->random_ctx);

    while (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number || number == 0) {}
    return number;
}

/* ---- failing ---- */

void kt_lane_fail(kt_lane *lane, bool park, const char *fmt, ...)
{
    va_list args;

    if (lane->failed)
        return; /* the first reason is the one */
    lane->failed = true;
    lane->park = park;
    lane->failure.code = park ? KT_CORRUPT : KT_SYS;
    va_start(args, fmt);
    vsnprintf(lane->failure.msg, sizeof lane->failure.msg, fmt, args);
    va_end(args);
}

kt_code kt_lane_failure(const kt_lane *lane, kt_err *err)
{
    if (err != NULL)
        *err = lane->failure;
    return lane->failure.code;
}

/* ---- foreign logs ---- */

/* Write down what is lost of a source. False: intake is stopped, or the lane fails; it is told at a later turn. */
static bool tell_lost(kt_lane *lane, kt_lane_source *source)
{
    char subject[KT_SUBJECT_MAX + 1];
    kt_ev_lost event;
    kt_builder builder;

    kt_builder_init(&builder, subject, sizeof subject);
    kt_builder_format(&builder, "lane.lost.%s", lane->name);
    kt_event_init(KT_EV_LOST, &event);
    event.log = kt_text_of(source->name);
    event.from_seq = source->lost.from;
    event.to_seq = source->lost.to;
    event.reason = kt_text_of(kt_code_text(source->lost_code));
    event.reader = kt_text_of(lane->name);
    kt_code code = kt_lane_input(lane, KT_EV_LOST, kt_builder_done(&builder), 0, &event, NULL);
    if (code != KT_OK && code != KT_FULL)
        kt_lane_fail(lane, false, "lane '%s' can not write what log '%s' has lost", lane->name, source->name);
    if (code == KT_OK)
        source->lost_code = KT_OK;
    return code == KT_OK;
}

/* The next record up to `durable` that some service wants; those that nobody wants are passed over without an admit, so that
 * lanes that read each other do not keep each other busy for ever. */
static kt_code source_find(kt_lane *lane, kt_lane_source *source, uint64_t durable, const kt_rec **out_rec)
{
    kt_code code;

    while ((code = kt_reader_next(source->reader, durable, out_rec)) == KT_OK) {
        if (((*out_rec)->flags & KT_REC_CONTROL) == 0 && kt_lane_foreign_mask(lane, source, (*out_rec)->subject) != 0)
            return KT_OK;
        source->position = (*out_rec)->seq;
        lane->worked = true;
    }
    return code;
}

static kt_code write_admit(kt_lane *lane, kt_lane_source *source, uint64_t up_to)
{
    char subject[KT_SUBJECT_MAX + 1];
    kt_ev_admit admit;
    kt_builder builder;
    uint32_t size;
    kt_rec rec;

    kt_builder_init(&builder, subject, sizeof subject);
    kt_builder_format(&builder, "lane.admit.%s.%s", lane->name, source->name);
    kt_event_init(KT_EV_ADMIT, &admit);
    admit.log = kt_text_of(source->name);
    admit.epoch = kt_reader_epoch(source->reader);
    admit.up_to = up_to;
    source->epoch = admit.epoch;
    kt_code code = kt_event_encode(KT_EV_ADMIT, &admit, lane->scratch, lane->scratch_size, &size);
    if (code == KT_OK)
        code = kt_lane_append(lane, KT_EV_ADMIT, KT_REC_ADMIT, kt_builder_done(&builder), 0, lane->scratch, size, &rec);
    if (code != KT_OK)
        return code;
    lane->last_ns = rec.time_ns;
    lane->bytes_since += rec.size;
    kt_lane_begin(lane, rec.seq);
    return KT_OK;
}

/* Admit and apply at most turn_max records that are durable in their own log. */
static void source_admit(kt_lane *lane, kt_lane_source *source)
{
    uint32_t turn_max = lane->options.turn_max != 0 ? lane->options.turn_max : KT_LANE_TURN_MAX;
    const kt_rec *rec;
    kt_err err = { 0 };
    kt_code code = KT_OK;

    if (source->reader == NULL) {
        code = kt_lane_source_open(lane, source, &err);
        if (code != KT_OK)
            return; /* not there yet, or not readable yet: looked at again at the next turn */
    }
    if (source->lost_code != KT_OK && !tell_lost(lane, source))
        return;
    uint64_t durable = kt_reader_durable(source->reader);
    if (durable <= source->position)
        return;
    if (kt_log_intake_stopped(lane->log))
        return;
    code = source_find(lane, source, durable, &rec);
    if (code == KT_OK) {
        uint64_t up_to = durable - rec->seq < turn_max ? durable : rec->seq + turn_max - 1;
        code = write_admit(lane, source, up_to);
        if (code == KT_FULL) { /* intake has just stopped: the record that was read is read again */
            kt_reader_seek(source->reader, 0, source->position + 1, NULL, NULL);
            return;
        }
        if (code != KT_OK) {
            kt_lane_fail(lane, false, "lane '%s' can not write an admit: %s", lane->name, kt_code_text(code));
            return;
        }
        lane->worked = true;
        while (code == KT_OK && !lane->failed) {
            kt_lane_apply_foreign(lane, source, rec);
            lane->counts.foreign++;
            if (source->position >= up_to)
                break;
            code = kt_reader_next(source->reader, up_to, &rec);
        }
    }
    if (code == KT_GONE || code == KT_SEQ || code == KT_CORRUPT) {
        kt_lost lost = kt_reader_lost(source->reader);
        if (code == KT_CORRUPT && kt_reader_position(source->reader) <= lost.from) {
            kt_lane_fail(lane, false, "lane '%s' can not read log '%s': %s", lane->name, source->name,
                kt_reader_error(source->reader)->msg);
            return;
        }
        if (code == KT_SEQ) /* it was cut: what comes is another log */
            lost = (kt_lost){ kt_reader_position(source->reader), 0 };
        kt_lane_source_lost(source, code, lost);
        tell_lost(lane, source);
    }
}

/* Records of the source that have been looked through count as progress, wanted or not. */
static bool source_ready(const kt_lane_source *source)
{
    return source->reader != NULL && kt_reader_durable(source->reader) > source->position;
}

/* ---- timers ---- */

static void fire_timers(kt_lane *lane)
{
    const kt_lane_timer *next;
    int64_t now = kt_lane_clock(lane);

    if (lane->options.timers_given)
        return;
    while ((next = kt_timers_next(&lane->timers)) != NULL && next->due_ns <= now && !lane->failed) {
        char subject[KT_SUBJECT_MAX + 1];
        const char *service = lane->services[next->service].spec->name;
        kt_ev_timer event;
        kt_builder builder;
        kt_builder_init(&builder, subject, sizeof subject);
        kt_builder_format(&builder, "timer.%s.%s", lane->name, service);
        kt_event_init(KT_EV_TIMER, &event);
        event.service = kt_text_of(service);
        event.timer_id = next->id;
        event.due = next->due_ns;
        kt_code code = kt_lane_input(lane, KT_EV_TIMER, kt_builder_done(&builder), 0, &event, NULL);
        if (code == KT_FULL) {
            kt_timer_set(lane->loop, &lane->timer, kt_lane_mono(lane) + INTAKE_RETRY_NS); /* intake is stopped */
            return;
        }
        if (code != KT_OK) /* or it would be due for ever */
            kt_lane_fail(lane, false, "lane '%s' can not write a timer: %s", lane->name, kt_code_text(code));
    }
    if (next != NULL) {
        int64_t at = kt_lane_mono(lane) + (next->due_ns - now);
        if (!kt_timer_is_set(&lane->timer) || lane->timer.at_ns > at || lane->timer.at_ns + 1000000 < at)
            kt_timer_set(lane->loop, &lane->timer, at);
    } else {
        kt_timer_cancel(lane->loop, &lane->timer);
    }
}

static void on_timer_due(kt_timer *timer)
{
    kt_loop_busy(((kt_lane *)timer->ctx)->loop); /* the work is done in the publish phase of the next turn */
}

/* ---- answers ---- */

static void send_answers(kt_lane *lane)
{
    uint64_t durable = kt_log_durable(lane->log);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < lane->answer_count; i++) {
        kt_lane_answer *answer = &lane->answers[i];
        kt_code code = KT_BUSY;
        if (answer->body != NULL && answer->seq <= durable)
            code = kt_bus_answer(lane->bus, answer->token, answer->code, (kt_text){ answer->body, answer->size });
        if (code == KT_BUSY)
            lane->answers[kept++] = *answer;
        else
            free(answer->body);
    }
    lane->answer_count = kept;
}

/* ---- snapshots and cursors ---- */

static void keep_snapshots(kt_lane *lane)
{
    uint64_t every = lane->options.segment_size != 0 ? lane->options.segment_size : KT_SEGMENT_SIZE_DEFAULT;
    kt_err err = { 0 };

    if (lane->snapshot_seq == 0 || kt_log_snapshot_busy(lane->log)) {
        /* none is on its way, or it is not there yet */
    } else if (kt_log_snapshot_seq(lane->log) < lane->snapshot_seq) {
        lane->snapshot_seq = 0; /* it could not be written: the next one is made when it is due */
    } else {
        lane->snapshot_seq = 0;
        for (uint32_t i = 0; i < lane->source_count; i++) {
            kt_lane_source *source = &lane->sources[i];
            if (source->cursor == NULL)
                continue;
            kt_cursor_position position = { .seq = source->position, .safe = source->safe_next };
            position.epoch =
                source->reader != NULL ? kt_reader_epoch(source->reader) : kt_cursor_get(source->cursor).epoch;
            if (kt_cursor_store(source->cursor, position, &err) != KT_OK)
                kt_lane_fail(lane, false, "lane '%s' can not store its cursor of log '%s': %s", lane->name,
                    source->name, err.msg);
        }
    }
    if (lane->bytes_since >= every) {
        kt_code code = kt_lane_snapshot(lane, &err);
        if (code != KT_OK && code != KT_BUSY)
            kt_lane_fail(lane, false, "%s", err.msg);
    }
}

/* Stopped intake starts again when a cursor has moved or the disk has room; nothing else would look at cursors, as no new
 * segment begins meanwhile. */
static void look_after_intake(kt_lane *lane)
{
    if (!kt_log_intake_stopped(lane->log))
        return;
    kt_log_retain(lane->log);
    kt_timer_set(lane->loop, &lane->intake_timer, kt_lane_mono(lane) + INTAKE_RETRY_NS);
}

/* ---- a turn ---- */

static void work(void *ctx)
{
    kt_lane *lane = ctx;

    lane->worked = false;
    if (!lane->live || lane->failed)
        return;
    fire_timers(lane);
    for (uint32_t i = 0; i < lane->source_count && !lane->failed; i++)
        source_admit(lane, &lane->sources[i]);
    if (kt_bus_poll(lane->bus) > 0)
        lane->worked = true;
    kt_lane_feeds_turn(lane);
    if (lane->options.inline_sync && !lane->failed)
        kt_log_sync(lane->log, NULL);
    send_answers(lane);
    keep_snapshots(lane);
    look_after_intake(lane);
    if (kt_log_failed(lane->log))
        kt_lane_fail(lane, false,
            "the disk does not sync log '%s': it goes on after a restart, which copies what is not known to be on disk",
            lane->name);
    kt_log_kick(lane->log);
    int64_t deadline = kt_bus_next_deadline(lane->bus);
    if (deadline != INT64_MAX)
        kt_timer_set(lane->loop, &lane->bus_timer, deadline);
    if (lane->failed || lane->stopping)
        kt_loop_stop(lane->loop);
}

bool kt_lane_pending(kt_lane *lane)
{
    if (!lane->live || lane->failed || lane->stopping || kt_log_failed(lane->log))
        return true;
    for (uint32_t i = 0; i < lane->source_count; i++)
        if (source_ready(&lane->sources[i]) && !kt_log_intake_stopped(lane->log))
            return true;
    if (kt_bus_pending(lane->bus))
        return true;
    if (kt_lane_feeds_pending(lane))
        return true;
    for (uint32_t i = 0; i < lane->answer_count; i++)
        if (lane->answers[i].body != NULL && lane->answers[i].seq <= kt_log_durable(lane->log))
            return true;
    return false;
}

static bool pending(void *ctx)
{
    return kt_lane_pending(ctx);
}

/* Somebody in this lane waits for the own log's durable. */
static bool wants_durable(const kt_lane *lane)
{
    return lane->answer_count > 0 || lane->snapshot_seq != 0 || kt_lane_feeds_wait(lane);
}

static void want(kt_lane *lane, int log_index, uint64_t written, uint64_t durable)
{
    if (log_index >= 0)
        kt_sleep_want(&lane->sleeper, (uint32_t)log_index, written, durable);
}

static void before_sleep(void *ctx)
{
    kt_lane *lane = ctx;

    for (uint32_t i = 0; i < KT_BOARD_LANE_MAX; i++)
        kt_sleep_want(&lane->sleeper, i, UINT64_MAX, UINT64_MAX);
    for (uint32_t i = 0; i < lane->source_count; i++) {
        const kt_lane_source *source = &lane->sources[i];
        want(lane, source->board_index, UINT64_MAX, source->position);
    }
    for (uint32_t i = 0; i < lane->follow_count; i++) {
        const kt_lane_follow_log *follow = &lane->follows[i];
        if (follow->board_index < 0)
            continue;
        _Atomic uint64_t *written = &lane->page->want_written[follow->board_index];
        _Atomic uint64_t *durable = &lane->page->want_durable[follow->board_index];
        _Atomic uint64_t *wanted = follow->durable_only ? durable : written;
        if (follow->position < atomic_load(wanted))
            atomic_store(wanted, follow->position);
    }
    kt_bus_wants(lane->bus, &lane->sleeper);
    if (wants_durable(lane) && kt_log_written(lane->log) > kt_log_durable(lane->log))
        want(lane, (int)lane->log_index, UINT64_MAX, kt_log_durable(lane->log));
    if (!kt_sleep_begin(&lane->sleeper, lane->worked ? SPIN_MAX : 0))
        kt_loop_busy(lane->loop);
}

static void after_sleep(void *ctx)
{
    kt_sleep_end(&((kt_lane *)ctx)->sleeper);
}

static void on_bell(kt_watch *watch, uint32_t ready)
{
    uint64_t rings;

    if (read(watch->fd, &rings, sizeof rings) < 0)
        return; /* emptied by kt_sleep_end() already */
}

/* From the log's thread as well: durable has moved, or from kt_log_kick(). */
static void on_log_moved(void *ctx, kt_log_moved moved)
{
    kt_lane *lane = ctx;

    if (!atomic_load(&lane->log_open))
        return;
    kt_wake_log(&lane->waker, lane->log_index, kt_log_written(lane->log), kt_log_durable(lane->log));
    /* A log that has failed moves no more: the lane is woken to end, whatever it waits for. */
    if (moved == KT_MOVED_DURABLE && lane->loop != NULL && (lane->options.links == NULL || kt_log_failed(lane->log)))
        kt_loop_wake(lane->loop);
}

kt_code kt_lane_turn(kt_lane *lane, int64_t wait_max_ns, kt_err *err)
{
    kt_code code = lane->failed ? lane->failure.code : kt_loop_turn(lane->loop, wait_max_ns, err);

    return lane->failed ? kt_lane_failure(lane, err) : code;
}

kt_code kt_lane_run(kt_lane *lane, bool *out_park, kt_err *err)
{
    int64_t wait_max_ns = lane->options.links == NULL && lane->source_count > 0 ? ALONE_WAIT_NS : -1;
    kt_code code = KT_OK;

    while (code == KT_OK && !lane->stopping)
        code = kt_lane_turn(lane, wait_max_ns, err);
    *out_park = lane->failed && lane->park;
    return code;
}

bool kt_lane_stopping(const kt_lane *lane)
{
    return lane->stopping;
}

/* ---- opening ---- */

static kt_code check_options(const kt_lane_options *options, kt_err *err)
{
    if (options->name == NULL || options->name[0] == 0 || strlen(options->name) >= KT_BOARD_NAME_SIZE ||
        strpbrk(options->name, "./: ") != NULL)
        return kt_fail(err, KT_ARG, "lane name '%s'; allowed are 1 to %d bytes without '.', '/', ':' and blanks",
            options->name != NULL ? options->name : "", KT_BOARD_NAME_SIZE - 1);
    if (options->data_dir == NULL || strlen(options->data_dir) > 400)
        return kt_fail(err, KT_ARG, "lane '%s' needs a data folder of at most 400 bytes", options->name);
    return KT_OK;
}

static kt_code add_source(kt_lane *lane, const char *log, kt_err *err)
{
    if (strcmp(log, lane->name) == 0)
        return kt_fail(err, KT_ARG, "lane '%s' reads its own log as a foreign one: leave out '%s:'", log, log);
    if (kt_lane_source_of(lane, kt_text_of(log)) != NULL)
        return KT_OK;
    if (lane->source_count == KT_LANE_SOURCE_MAX)
        return kt_fail(err, KT_LIMIT, "lane '%s' reads more than %d other logs", lane->name, KT_LANE_SOURCE_MAX);
    kt_lane_source *source = &lane->sources[lane->source_count++];
    snprintf(source->name, sizeof source->name, "%s", log);
    snprintf(source->dir, sizeof source->dir, "%s/%s", lane->options.data_dir, log);
    source->board_index = lane->options.links != NULL ? kt_board_find(lane->options.links->board, kt_text_of(log)) : -1;
    return KT_OK;
}

static kt_code add_service(kt_lane *lane, const kt_service_spec *spec, kt_err *err)
{
    char log[KT_BOARD_NAME_SIZE];
    const char *pattern;

    if (lane->service_count == KT_SERVICE_MAX)
        return kt_fail(err, KT_LIMIT, "lane '%s' has more than %d services", lane->name, KT_SERVICE_MAX);
    kt_lane_service *service = &lane->services[lane->service_count];
    *service = (kt_lane_service){ .spec = spec, .env = { .lane = lane, .index = lane->service_count } };
    for (uint32_t p = 0; spec->subjects != NULL && spec->subjects[p] != NULL; p++) {
        kt_code code = KT_OK;
        if (p >= KT_SERVICE_PATTERN_MAX || !kt_lane_pattern(spec->subjects[p], &pattern, log))
            code = kt_fail(err, KT_LIMIT, "service %s: pattern '%s' is too long, or one of more than %d", spec->name,
                spec->subjects[p], KT_SERVICE_PATTERN_MAX);
        if (code == KT_OK)
            code = kt_pattern_check(kt_text_of(pattern), err);
        if (code == KT_OK && log[0] != 0)
            code = add_source(lane, log, err);
        if (code != KT_OK)
            return code;
    }
    lane->service_count++;
    return KT_OK;
}

static kt_code start_services(kt_lane *lane, kt_err *err)
{
    for (uint32_t i = 0; i < lane->service_count; i++) {
        kt_lane_service *service = &lane->services[i];
        kt_code code = service->spec->start != NULL
                           ? service->spec->start(&service->env, lane->options.config, &service->state, err)
                           : KT_OK;
        if (code != KT_OK)
            return kt_fail_within(err, code, "service %s", service->spec->name);
    }
    return KT_OK;
}

static int64_t log_clock(void *ctx)
{
    return kt_lane_clock(ctx);
}

static uint64_t log_random(void *ctx)
{
    return new_random(ctx);
}

static kt_code open_log(kt_lane *lane, bool *out_park, kt_err *err)
{
    const kt_lane_options *options = &lane->options;
    kt_log_options log;

    kt_log_options_init(&log, lane->dir);
    if (options->segment_size != 0)
        log.segment_size = options->segment_size;
    if (options->subject_max != 0)
        log.subject_max = options->subject_max;
    log.retention_bytes = options->retention_bytes;
    log.retention_age_ns = options->retention_age_ns;
    if (options->hold_bytes != 0)
        log.hold_bytes = options->hold_bytes;
    log.hold_stops_intake = options->hold_stops_intake;
    log.needs_snapshot = true;
    log.schema_hash = kt_schema_hash();
    log.sync = options->inline_sync || options->world != NULL ? KT_SYNC_INLINE : KT_SYNC_THREAD;
    if (options->world != NULL)
        log.io = options->world->io;
    if (lane->boot_id != NULL)
        memcpy(log.boot_id, options->boot_id, sizeof log.boot_id);
    log.clock_ns = log_clock;
    log.random = log_random;
    log.wake = on_log_moved;
    log.ctx = lane;
    kt_code code = kt_log_open(&log, &lane->log, err);
    atomic_store(&lane->log_open, code == KT_OK);
    /* A folder that can not be copied or written to now is not tried again: the kernel may hold pages to be clean that never
     * reached the disk. A held or full one may be free later. */
    *out_park = code != KT_BUSY && code != KT_FULL;
    return code;
}

static kt_code go_live(kt_lane *lane, kt_err *err)
{
    kt_ev_lane_start start;
    char subject[KT_SUBJECT_MAX + 1];
    kt_builder builder;

    kt_builder_init(&builder, subject, sizeof subject);
    kt_builder_format(&builder, "lane.start.%s", lane->name);
    kt_event_init(KT_EV_LANE_START, &start);
    start.lane = kt_text_of(lane->name);
    start.generation = lane->generation + 1;
    start.logic = lane->options.logic;
    start.seed = lane->options.seed != 0 ? lane->options.seed : new_random(lane);
    start.schema_hash = kt_schema_hash();
    start.config = lane->options.config_text;
    start.version = kt_text_of(lane->options.version);
    lane->live = true;
    kt_code code = kt_lane_input(lane, KT_EV_LANE_START, kt_builder_done(&builder), 0, &start, NULL);
    if (lane->failed)
        return kt_lane_failure(lane, err);
    if (code == KT_FULL && !kt_lane_lacks_room(lane, code))
        code = KT_LIMIT;
    if (code != KT_OK)
        return kt_fail(err, code, "lane '%s' can not write its start: %s", lane->name, kt_code_text(code));
    kt_lane_feeds_live(lane);
    return lane->failed ? kt_lane_failure(lane, err) : KT_OK;
}

static kt_code open_loop(kt_lane *lane, kt_err *err)
{
    kt_loop_options options = { .clock_ns = lane->options.mono_ns,
        .ctx = lane->options.clock_ctx,
        .net = lane->options.world != NULL ? lane->options.world->net : NULL };
    kt_code code = kt_loop_new(&options, &lane->loop, err);

    if (code != KT_OK)
        return code;
    lane->hooks[0] = (kt_hook){ .fn = work, .ctx = lane, .phase = KT_PHASE_PUBLISH };
    lane->hooks[1] = (kt_hook){ .fn = before_sleep, .ctx = lane, .phase = KT_PHASE_SLEEP };
    lane->hooks[2] = (kt_hook){ .fn = after_sleep, .ctx = lane, .phase = KT_PHASE_WOKE };
    for (uint32_t i = 0; i < KT_COUNT(lane->hooks); i++)
        kt_loop_hook(lane->loop, &lane->hooks[i]);
    lane->timer = (kt_timer){ .on_due = on_timer_due, .ctx = lane };
    lane->bus_timer = (kt_timer){ .on_due = on_timer_due, .ctx = lane };
    lane->intake_timer = (kt_timer){ .on_due = on_timer_due, .ctx = lane };
    return KT_OK;
}

static kt_code append_for_bus(void *ctx, uint16_t kind, kt_text subject, uint64_t cause, const void *payload,
    uint32_t size, uint64_t *out_seq, kt_err *err)
{
    kt_lane *lane = ctx;
    kt_code code = kt_lane_put_input(lane, kind, subject, cause, payload, size, out_seq);

    return code == KT_OK ? KT_OK
                         : kt_fail(err, code, "lane '%s' takes no input now: %s", lane->name, kt_code_text(code));
}

static kt_code open_bus(kt_lane *lane, kt_err *err)
{
    kt_bus_options options = { .driver = "local", .durability = KT_DURABILITY_DISK };

    options.local.data_dir = lane->options.data_dir;
    options.local.boot_id = lane->boot_id;
    options.local.log = lane->log;
    options.local.log_name = lane->name;
    options.local.append = append_for_bus;
    options.local.append_ctx = lane;
    options.local.board = lane->options.links != NULL ? lane->options.links->board : NULL;
    options.local.lane_index = lane->log_index;
    options.local.waker = lane->options.links != NULL ? &lane->waker : NULL;
    options.local.clock_ns = lane->options.mono_ns;
    options.local.clock_ctx = lane->options.clock_ctx;
    kt_code code = kt_bus_open(&options, &lane->bus, err);
    for (uint32_t i = 0; i < lane->service_count && code == KT_OK; i++) {
        const kt_service_action *action = lane->services[i].spec->actions;
        for (; action != NULL && action->name != NULL && code == KT_OK; action++)
            code = kt_bus_serve(lane->bus, kt_text_of(action->name), kt_lane_on_bus_call, lane, err);
    }
    return code;
}

/* Waking: with a supervisor over the board; alone the lane has a board of its own that nobody else sees. */
static kt_code open_wake(kt_lane *lane, kt_err *err)
{
    if (lane->options.links != NULL) {
        const kt_lane_links *links = lane->options.links;
        lane->log_index = links->lane_index;
        lane->page = kt_board_page_of(links->board, links->lane_index);
        kt_waker_init(&lane->waker, links->board);
        lane->sleeper.bell_fd = links->board->bell_fds[links->lane_index];
        lane->bell =
            (kt_watch){ .on_ready = on_bell, .ctx = lane, .fd = lane->sleeper.bell_fd, .events = KT_LOOP_READ };
        kt_code code = kt_loop_watch(lane->loop, &lane->bell, err);
        if (code != KT_OK)
            return code;
    } else {
        static const kt_board nobody = { .lane_count = 0 };
        lane->page = &lane->own_page;
        kt_waker_init(&lane->waker, &nobody);
        lane->sleeper.bell_fd = -1;
    }
    if (lane->options.world != NULL)
        lane->waker.hooks = lane->sleeper.hooks = lane->options.world->wake_hooks;
    lane->sleeper.page = lane->page;
    lane->sleeper.pending = pending;
    lane->sleeper.ctx = lane;
    kt_sleep_end(&lane->sleeper); /* a former generation may have died asleep */
    atomic_store(&lane->page->applying_seq, 0);
    atomic_store(&lane->page->decoding_hash, 0);
    return KT_OK;
}

static kt_code lane_start(kt_lane *lane, bool *out_park, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; lane->options.services != NULL && lane->options.services[i] != NULL && code == KT_OK; i++)
        code = add_service(lane, lane->options.services[i], err);
    for (uint32_t i = 0; lane->options.feeds != NULL && lane->options.feeds[i] != NULL && code == KT_OK; i++) {
        if (i == KT_FEED_MAX)
            code = kt_fail(err, KT_LIMIT, "lane '%s' has more than %d feeds", lane->name, KT_FEED_MAX);
        else
            lane->feeds[lane->feed_count++] = (kt_lane_feed){ .spec = lane->options.feeds[i] };
    }
    if (code == KT_OK && kt_timers_init(&lane->timers, KT_SERVICE_TIMER_MAX) != KT_OK)
        code = kt_fail(err, KT_SYS, "no memory for timers");
    *out_park = code == KT_ARG || code == KT_LIMIT || code == KT_SYNTAX;
    if (code == KT_OK)
        code = open_loop(lane, err);
    if (code == KT_OK)
        code = open_wake(lane, err);
    if (code == KT_OK)
        code = start_services(lane, err);
    if (code == KT_OK)
        code = open_log(lane, out_park, err);
    if (code != KT_OK)
        return code;
    *out_park = false;
    lane->was_clean = kt_log_recovered(lane->log)->clean;
    lane->scratch_size = kt_log_record_max(lane->log) - (uint32_t)sizeof(kt_rec);
    lane->scratch = malloc(lane->scratch_size);
    lane->answers = calloc(KT_LANE_ANSWER_MAX, sizeof *lane->answers);
    if (lane->scratch == NULL || lane->answers == NULL)
        return kt_fail(err, KT_SYS, "no memory for lane '%s'", lane->name);
    code = open_bus(lane, err);
    if (code == KT_OK)
        code = kt_lane_recover(lane, out_park, err);
    if (code == KT_OK && lane->options.links != NULL)
        code = kt_lane_links_start(lane, err);
    if (code == KT_OK)
        code = kt_lane_feeds_start(lane, err);
    if (code == KT_OK)
        code = go_live(lane, err);
    if (code == KT_OK) {
        atomic_store(&lane->page->live_since_ns, kt_lane_mono(lane));
        atomic_store(&lane->page->state, KT_BOARD_LIVE);
        kt_log_kick(lane->log);
        kt_loop_busy(lane->loop);
    }
    if (lane->failed)
        *out_park = lane->park;
    return code;
}

/* The clean mark says that every output of every input stands: a lane that has failed can not say so. */
static void lane_free(kt_lane *lane, bool clean)
{
    kt_lane_feeds_stop(lane);
    lane->live = false;
    for (uint32_t i = 0; i < lane->service_count; i++)
        if (lane->services[i].spec->stop != NULL)
            lane->services[i].spec->stop(lane->services[i].state);
    kt_lane_links_stop(lane);
    kt_bus_close(lane->bus);
    for (uint32_t i = 0; i < lane->source_count; i++) {
        kt_reader_close(lane->sources[i].reader);
        kt_cursor_close(lane->sources[i].cursor);
        free(lane->sources[i].masks);
    }
    if (clean && !lane->failed)
        kt_log_close(lane->log, NULL);
    else
        kt_log_abandon(lane->log);
    if (lane->loop != NULL)
        kt_loop_free(lane->loop);
    for (uint32_t i = 0; i < lane->answer_count; i++)
        free(lane->answers[i].body);
    free(lane->answers);
    free(lane->outputs);
    free(lane->masks);
    free(lane->scratch);
    kt_timers_done(&lane->timers);
    kt_lane_made_done(&lane->made);
    free(lane);
}

kt_code kt_lane_open(const kt_lane_options *options, kt_lane **out_lane, bool *out_park, kt_err *err)
{
    static const uint8_t no_boot_id[16];
    kt_lane *lane = NULL;
    kt_code code = check_options(options, err);

    *out_park = code != KT_OK;
    if (code != KT_OK)
        return code;
    lane = aligned_alloc(64, KT_ALIGN_UP(sizeof *lane, 64));
    if (lane == NULL)
        return kt_fail(err, KT_SYS, "no memory for lane '%s'", options->name);
    *lane = (kt_lane){ .options = *options };
    snprintf(lane->name, sizeof lane->name, "%s", options->name);
    snprintf(lane->dir, sizeof lane->dir, "%s/%s", options->data_dir, options->name);
    if (memcmp(options->boot_id, no_boot_id, sizeof no_boot_id) != 0)
        lane->boot_id = lane->options.boot_id;
    lane->hash_seed = options->hash_seed != 0 ? options->hash_seed : new_random(lane);
    kt_rng_init(&lane->feed_rng, new_random(lane));
    code = lane_start(lane, out_park, err);
    if (code != KT_OK) {
        lane_free(lane, false);
        return code;
    }
    *out_lane = lane;
    return KT_OK;
}

/* What is left to do before the log is closed for good: last outputs for the feeds have been seen, the snapshot makes the next
 * start short. */
static void close_cleanly(kt_lane *lane)
{
    kt_err err;

    kt_lane_feeds_stop(lane);
    if (lane->failed || kt_log_failed(lane->log))
        return;
    kt_log_sync(lane->log, NULL);
    keep_snapshots(lane);
    if (lane->snapshot_seq != 0) /* the one under way is long enough ago, or about to be there */
        return;
    if (kt_lane_snapshot(lane, &err) == KT_OK)
        kt_log_sync(lane->log, NULL);
}

void kt_lane_close(kt_lane *lane, bool clean)
{
    if (lane == NULL)
        return;
    if (clean)
        close_cleanly(lane);
    lane_free(lane, clean);
}

/* ---- for feeds ---- */

void kt_lane_diag(kt_lane *lane, kt_level level, const char *fmt, ...)
{
    char line[512];
    va_list args;

    if (lane->options.diag == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    lane->options.diag(lane->options.diag_ctx, level, line);
}

bool kt_lane_decoding(kt_lane *lane, const void *bytes, size_t size)
{
    uint64_t hash = kt_crc32c(0, bytes, size) | (uint64_t)size
                                                    << 32; /* kept in the log: must not change between versions */

    for (uint32_t i = 0; i < lane->aside_count; i++)
        if (lane->asides[i].seq == 0 && lane->asides[i].hash == hash) {
            lane->counts.set_aside++;
            return false;
        }
    atomic_store_explicit(&lane->page->decoding_hash, hash, memory_order_release);
    return true;
}

void kt_lane_decoded(kt_lane *lane)
{
    atomic_store_explicit(&lane->page->decoding_hash, 0, memory_order_release);
}

kt_code kt_lane_follow(kt_lane *lane, const char *log, uint64_t position, bool durable_only)
{
    const kt_board *board = kt_lane_board(lane);
    kt_lane_follow_log *follow = NULL;

    for (uint32_t i = 0; i < lane->follow_count; i++)
        if (strcmp(lane->follows[i].name, log) == 0)
            follow = &lane->follows[i];
    if (follow == NULL) {
        int index = board != NULL ? kt_board_find(board, kt_text_of(log)) : -1;
        if (board != NULL && index < 0)
            return KT_NOENT;
        if (lane->follow_count == KT_LANE_SOURCE_MAX)
            return KT_LIMIT;
        follow = &lane->follows[lane->follow_count++];
        *follow = (kt_lane_follow_log){ .board_index = index };
        snprintf(follow->name, sizeof follow->name, "%s", log);
    }
    follow->position = position;
    follow->durable_only = durable_only;
    if (follow->board_index >= 0 && (uint32_t)follow->board_index != lane->log_index)
        atomic_store_explicit(&lane->page->position[follow->board_index], position, memory_order_relaxed);
    return KT_OK;
}

kt_loop *kt_lane_loop(kt_lane *lane)
{
    return lane->loop;
}

kt_bus *kt_lane_bus(kt_lane *lane)
{
    return lane->bus;
}

kt_log *kt_lane_log(kt_lane *lane)
{
    return lane->log;
}

const char *kt_lane_name(const kt_lane *lane)
{
    return lane->name;
}

const char *kt_lane_data_dir(const kt_lane *lane)
{
    return lane->options.data_dir;
}

const kt_board *kt_lane_board(const kt_lane *lane)
{
    return lane->options.links != NULL ? lane->options.links->board : NULL;
}

const uint8_t *kt_lane_boot_id(const kt_lane *lane)
{
    return lane->boot_id;
}

uint64_t kt_lane_random(kt_lane *lane)
{
    return kt_rng_u64(&lane->feed_rng);
}

void *kt_lane_service_state(kt_lane *lane, const char *service)
{
    for (uint32_t i = 0; i < lane->service_count; i++)
        if (strcmp(lane->services[i].spec->name, service) == 0)
            return lane->services[i].state;
    return NULL;
}

const kt_lane_counts *kt_lane_count(const kt_lane *lane)
{
    return &lane->counts;
}
