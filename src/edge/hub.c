#include "edge/hub_parts.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "schema/events.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t kt_hub_source_next_seq(const kt_hub_source *source)
{
    return source->held != NULL ? source->held->seq : kt_reader_position(source->live);
}

kt_hub_subject *kt_hub_find(kt_hub *hub, kt_text name)
{
    for (uint32_t i = 0; i < hub->source_count; i++) {
        kt_hub_source *source = &hub->sources[i];
        kt_reader_subject_info info;

        if (source->live != NULL && kt_reader_subject_find(source->live, name, &info) == KT_OK &&
            info.id < source->subject_count && source->subjects[info.id] != NULL)
            return source->subjects[info.id];
    }
    return NULL;
}

void kt_hub_source_retry_later(kt_hub *hub, kt_hub_source *source)
{
    int64_t at_ns = kt_loop_now(hub->loop) + KT_HUB_RETRY_MS * KT_NS_PER_MS;

    source->retry_ns = at_ns;
    if (!kt_timer_is_set(&hub->retry))
        kt_timer_set(hub->loop, &hub->retry, at_ns); /* a full timer heap only costs the wake-up: turns look again */
}

/* ---- frames ---- */

kt_code kt_hub_event_frame(
    kt_hub *hub, const kt_hub_subject *subject, uint64_t epoch, const kt_rec *rec, kt_message *out_message)
{
    const kt_event_spec *spec = kt_event_by_kind(rec->kind);
    kt_json_writer *json = &out_message->json;
    kt_event_any event;
    char hex[17];

    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)epoch);
    kt_message_begin(out_message, hub->scratch, KT_HUB_EVENT_MAX, "event", true);
    kt_json_member_text(json, "channel", subject->name);
    kt_json_member_text(json, "epoch", kt_text_of(hex));
    kt_json_member_u64(json, "offset", rec->offset);
    kt_json_name(json, "publish_time");
    kt_json_put_time(json, rec->time_ns);
    kt_json_member_text(json, "kind", kt_text_of(spec != NULL ? spec->table.name : "unknown"));
    kt_json_name(json, "data");
    /* A kind of a newer program, or bytes that do not follow its table, still counts: its offset must not be missing.
     * */
    if (spec != NULL && kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) == KT_OK)
        kt_table_write_json(&spec->table, &event, json);
    else
        kt_json_put_null(json);
    return kt_message_end(out_message);
}

/* ---- subjects ---- */

static kt_hub_subject *subject_add(kt_hub *hub, kt_hub_source *source, uint32_t id, kt_text name)
{
    kt_hub_subject *subject;

    if (id >= source->subject_room) {
        uint32_t room = id < 512 ? 1024 : 2 * id;
        kt_hub_subject **grown = realloc(source->subjects, room * sizeof *grown);

        kt_assert(grown != NULL); /* bounded by the log's subject_max */
        memset(grown + source->subject_room, 0, (room - source->subject_room) * sizeof *grown);
        source->subjects = grown;
        source->subject_room = room;
    }
    if (id >= source->subject_count)
        source->subject_count = id + 1;
    subject = source->subjects[id];
    if (subject == NULL) {
        subject = calloc(1, sizeof *subject);
        kt_assert(subject != NULL);
        kt_fan_subject_init(subject);
        source->subjects[id] = subject;
    }
    subject->source = source;
    subject->id = id;
    subject->name = name;
    subject->flush = kt_flush_class_of(name);
    for (int i = 0; i < KT_HUB_WATCH_MAX; i++)
        subject->watched |= hub->watch[i] != NULL && kt_subject_match(kt_text_of(hub->watch[i]), name);
    return subject;
}

/* Whoever asked for this channel before it existed hears it from its first event on. */
static void attach_waiting(kt_hub *hub, kt_hub_subject *subject)
{
    kt_link_node *node = hub->waiting.next;

    while (node != &hub->waiting) {
        kt_sub *sub = KT_SUB_OF(node);

        node = node->next;
        if (!kt_text_equal((kt_text){ sub->name, sub->name_size }, subject->name))
            continue;
        kt_link_remove(&sub->link);
        sub->subject = subject;
        if (subject->last_offset == 0 || kt_replay_after(hub, sub, 0, 0, NULL, NULL) != KT_OK)
            kt_sub_go_live(sub);
    }
}

/* The hub's own replay of the newest record of a watched subject. */
static void watch_newest(kt_hub *hub, kt_hub_subject *subject)
{
    kt_sub *sub = calloc(1, sizeof *sub + 1);

    kt_assert(sub != NULL);
    sub->subject = subject;
    hub->watch_open++;
    if (kt_replay_after(hub, sub, 0, subject->last_offset - 1, NULL, NULL) != KT_OK)
        kt_sub_free(hub, sub);
}

static void epoch_begins(kt_hub *hub, kt_hub_subject *subject, uint64_t epoch, uint64_t first_offset)
{
    uint64_t before = subject->epoch;

    if (epoch == before)
        return; /* known from the table of the segment that this record begins */
    kt_fan_out(hub, subject);
    subject->epoch = epoch;
    if (subject->last_offset >= first_offset)
        subject->last_offset = first_offset - 1;
    for (kt_sub *sub = NULL; (sub = kt_fan_next(subject, sub)) != NULL;)
        kt_sub_tell_epoch(sub, before, epoch, first_offset);
}

static void apply_control(kt_hub *hub, kt_hub_source *source, const kt_rec *rec)
{
    const void *payload = kt_rec_payload(rec);
    uint32_t size = kt_rec_payload_size(rec);

    if (rec->kind == KT_CTL_SUBJECT && size >= sizeof(kt_ctl_subject)) {
        const kt_ctl_subject *ctl = payload;
        bool known = ctl->id < source->subject_count && source->subjects[ctl->id] != NULL;
        kt_hub_subject *subject = subject_add(hub, source, ctl->id, kt_reader_subject(source->live, ctl->id));

        subject->after_durable = (ctl->flags & KT_SUBJECT_AFTER_DURABLE) != 0;
        if (known)
            return;
        subject->epoch = ctl->epoch;
        subject->last_offset = ctl->first_offset != 0 ? ctl->first_offset - 1 : 0;
        attach_waiting(hub, subject);
    } else if (rec->kind == KT_CTL_EPOCHS) {
        const kt_ctl_epoch *ctl = payload;

        for (uint32_t i = 0; i < size / sizeof *ctl; i++)
            if (ctl[i].id != 0 && ctl[i].id < source->subject_count && source->subjects[ctl[i].id] != NULL)
                epoch_begins(hub, source->subjects[ctl[i].id], ctl[i].epoch, ctl[i].first_offset);
    }
}

/* ---- live stream ---- */

static void apply_event(kt_hub *hub, kt_hub_subject *subject, const kt_rec *rec)
{
    if (rec->offset <= subject->last_offset)
        return; /* seen: the live reader was set back */
    if (rec->offset != subject->last_offset + 1 && subject->last_offset != 0) {
        kt_fan_out(hub, subject);
        for (kt_sub *sub = NULL; (sub = kt_fan_next(subject, sub)) != NULL;)
            kt_sub_tell_gap(sub, subject->epoch, sub->last_offset + 1, rec->offset - 1, "the log no longer has them");
    }
    subject->last_offset = rec->offset;
    if (subject->watched)
        hub->on_watched(hub->watch_ctx, subject->name, rec);
    if (subject->live_count > 0)
        kt_fan_event(hub, subject, rec);
}

static kt_hub_subject *subject_of(kt_hub *hub, kt_hub_source *source, const kt_rec *rec)
{
    kt_text name;
    kt_reader_subject_info info;

    if (rec->subject < source->subject_count && source->subjects[rec->subject] != NULL)
        return source->subjects[rec->subject];
    /* Its declaration lay in records that could not be read. */
    name = kt_reader_subject(source->live, rec->subject);
    if (name.n == 0 || kt_reader_subject_find(source->live, name, &info) != KT_OK)
        return NULL;
    kt_hub_subject *subject = subject_add(hub, source, rec->subject, name);
    subject->epoch = info.epoch;
    subject->last_offset = rec->offset - 1;
    attach_waiting(hub, subject);
    return subject;
}

/* After a jump of the live reader each subject is as its table says now. */
static void take_stock(kt_hub *hub, kt_hub_source *source)
{
    uint32_t count = kt_reader_subject_count(source->live);

    for (uint32_t id = 1; id < count; id++) {
        kt_text name = kt_reader_subject(source->live, id);
        kt_reader_subject_info info;

        if (name.n == 0 || kt_reader_subject_find(source->live, name, &info) != KT_OK)
            continue;
        bool known = id < source->subject_count && source->subjects[id] != NULL;
        kt_hub_subject *subject = subject_add(hub, source, id, name);
        subject->after_durable = (info.flags & KT_SUBJECT_AFTER_DURABLE) != 0;
        if (known && subject->epoch != info.epoch)
            epoch_begins(hub, subject, info.epoch, info.last_offset + 1);
        subject->epoch = info.epoch;
        subject->last_offset = info.last_offset;
        if (known)
            continue;
        attach_waiting(hub, subject);
        if (subject->watched && subject->last_offset != 0)
            watch_newest(hub, subject);
    }
}

static void source_open(kt_hub *hub, kt_hub_source *source)
{
    kt_code code = kt_reader_open(source->dir, hub->has_boot_id ? hub->boot_id : NULL, &source->live, &source->err);

    if (code == KT_OK) {
        code = kt_reader_remember(source->live, KT_HUB_RECENT, &source->err);
        if (code == KT_OK)
            code = kt_reader_seek_end(source->live, &source->err);
        if (code != KT_OK) {
            kt_reader_close(source->live);
            source->live = NULL;
        }
    }
    if (code != KT_OK) {
        kt_hub_source_retry_later(hub, source);
        return;
    }
    source->retry_ns = 0;
    take_stock(hub, source);
}

/* The live reader could not go on; it says by its code where it stands now. */
static void source_trouble(kt_hub *hub, kt_hub_source *source, kt_code code)
{
    const kt_err *err = kt_reader_error(source->live);

    if (err != NULL)
        source->err = *err;
    if (code == KT_GONE)
        return; /* it stands behind the loss, and the offsets of what comes next tell what it was */
    if (code == KT_SEQ && kt_reader_seek_end(source->live, &source->err) == KT_OK)
        take_stock(hub, source);
    else
        kt_hub_source_retry_later(hub, source);
}

/* Is this a record that may not leave yet? Then a copy waits: the reader is asked other things meanwhile. */
static bool hold(kt_hub *hub, kt_hub_source *source, const kt_hub_subject *subject, const kt_rec *rec)
{
    if (subject == NULL || !subject->after_durable || kt_reader_durable(source->live) >= rec->seq)
        return false;
    if (source->held == NULL) {
        source->held = malloc(rec->size);
        kt_assert(source->held != NULL);
        memcpy(source->held, rec, rec->size);
    }
    kt_hub_source_retry_later(hub, source);
    return true;
}

static void source_turn(kt_hub *hub, kt_hub_source *source)
{
    if (source->retry_ns > kt_loop_now(hub->loop))
        return;
    if (source->live == NULL)
        source_open(hub, source);
    if (source->live == NULL)
        return;
    source->retry_ns = 0;
    for (uint32_t i = 0; i < KT_HUB_LIVE_MAX; i++) {
        const kt_rec *rec = source->held;
        kt_code code = rec != NULL ? KT_OK : kt_reader_next(source->live, UINT64_MAX, &rec);

        if (code == KT_EMPTY)
            return;
        if (code != KT_OK) {
            source_trouble(hub, source, code);
            if (source->retry_ns != 0)
                return;
            continue;
        }
        if (rec->subject == 0) {
            apply_control(hub, source, rec);
            continue;
        }
        kt_hub_subject *subject = subject_of(hub, source, rec);
        if (hold(hub, source, subject, rec))
            return;
        hub->counts.events_read++;
        if (subject != NULL)
            apply_event(hub, subject, rec);
        free(source->held);
        source->held = NULL;
    }
    kt_loop_busy(hub->loop);
}

void kt_hub_turn(kt_hub *hub)
{
    for (uint32_t i = 0; i < hub->source_count; i++)
        source_turn(hub, &hub->sources[i]);
    kt_fan_turn(hub);
    kt_replay_turn(hub);
}

bool kt_hub_pending(const kt_hub *hub)
{
    if (!kt_link_empty(&hub->replays))
        return true;
    for (uint32_t i = 0; i < hub->source_count; i++) {
        const kt_hub_source *source = &hub->sources[i];

        if (source->live != NULL && source->retry_ns == 0 &&
            kt_reader_written(source->live) >= kt_hub_source_next_seq(source))
            return true;
    }
    return false;
}

static void retry_due(kt_timer *timer)
{
    kt_hub *hub = timer->ctx;
    int64_t now_ns = kt_loop_now(hub->loop);
    int64_t next_ns = INT64_MAX;

    for (uint32_t i = 0; i < hub->source_count; i++)
        if (hub->sources[i].retry_ns > now_ns && hub->sources[i].retry_ns < next_ns)
            next_ns = hub->sources[i].retry_ns;
    if (next_ns != INT64_MAX)
        kt_timer_set(hub->loop, timer, next_ns);
    kt_loop_busy(hub->loop);
}

/* ---- life ---- */

static bool source_init(kt_hub_source *source, const kt_edge_source *from)
{
    source->name = strdup(from->name);
    source->dir = strdup(from->dir);
    return source->name != NULL && source->dir != NULL;
}

static void source_done(kt_hub_source *source)
{
    for (uint32_t i = 0; i < source->idle_count; i++)
        kt_reader_close(source->idle[i]);
    for (uint32_t id = 0; id < source->subject_count; id++) {
        if (source->subjects[id] != NULL)
            kt_fan_subject_done(source->subjects[id]);
        free(source->subjects[id]);
    }
    free(source->subjects);
    free(source->held);
    kt_reader_close(source->live);
    free(source->name);
    free(source->dir);
}

kt_code kt_hub_open(const kt_hub_options *options, kt_hub **out_hub, kt_err *err)
{
    kt_code code = KT_OK;
    kt_hub *hub = NULL;

    if (options->source_count > KT_EDGE_SOURCE_MAX)
        return kt_fail(
            err, KT_LIMIT, "%u logs to read; an edge reads at most %d", options->source_count, KT_EDGE_SOURCE_MAX);
    if (options->buffer_bytes < 65536)
        return kt_fail(err, KT_ARG, "edge.client_buffer_bytes is %u; at least 65536", options->buffer_bytes);
    hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return kt_fail(err, KT_SYS, "no memory for the edge");
    hub->loop = options->loop;
    hub->buffer_bytes = options->buffer_bytes;
    hub->answer_reserve = options->buffer_bytes / 16;
    hub->silence_ns = options->limits.silence_ms * KT_NS_PER_MS;
    kt_fan_init(hub, options->limits.flush_ms);
    hub->on_watched = options->on_watched;
    hub->watch_ctx = options->watch_ctx;
    hub->retry = (kt_timer){ .on_due = retry_due, .ctx = hub };
    hub->has_boot_id = options->boot_id != NULL;
    if (hub->has_boot_id)
        memcpy(hub->boot_id, options->boot_id, KT_BOOT_ID_SIZE);
    kt_link_init(&hub->waiting);
    kt_link_init(&hub->open_calls);
    kt_link_init(&hub->replays);
    hub->scratch = malloc(KT_HUB_EVENT_MAX); /* pages that no event needs are never touched */
    hub->packed = malloc(KT_HUB_EVENT_MAX);
    if (hub->scratch == NULL || hub->packed == NULL)
        code = KT_SYS;
    for (int i = 0; i < KT_HUB_WATCH_MAX; i++)
        if (options->watch[i] != NULL && (hub->watch[i] = strdup(options->watch[i])) == NULL)
            code = KT_SYS;
    if (code != KT_OK) {
        kt_fail(err, code, "no memory for the edge");
        goto out;
    }
    for (; hub->source_count < options->source_count; hub->source_count++)
        if (!source_init(&hub->sources[hub->source_count], &options->sources[hub->source_count])) {
            code = kt_fail(err, KT_SYS, "no memory for the edge");
            goto out;
        }
    code = kt_client_server_open(hub, options->limits.client_max, err);
    if (code != KT_OK)
        goto out;
    *out_hub = hub;
    hub = NULL;
out:
    kt_hub_free(hub);
    return code;
}

void kt_hub_free(kt_hub *hub)
{
    if (hub == NULL)
        return;
    if (hub->ws != NULL) {
        for (kt_ws_conn *conn = NULL; (conn = kt_ws_server_next(hub->ws, conn)) != NULL;)
            kt_client_free(kt_ws_ctx(conn));
        kt_ws_server_free(hub->ws);
    }
    kt_hub_forget_calls(hub);
    while (!kt_link_empty(&hub->replays))
        kt_sub_free(hub, KT_SUB_OF(hub->replays.next));
    kt_timer_cancel(hub->loop, &hub->retry);
    for (uint32_t i = 0; i < hub->source_count; i++)
        source_done(&hub->sources[i]);
    kt_fan_done(hub);
    free(hub->scratch);
    free(hub->packed);
    for (int i = 0; i < KT_HUB_WATCH_MAX; i++)
        free(hub->watch[i]);
    free(hub);
}

bool kt_hub_watch_ready(const kt_hub *hub)
{
    return hub->watch_open == 0;
}

uint64_t kt_hub_position(const kt_hub *hub, uint32_t source_index)
{
    const kt_hub_source *source = &hub->sources[source_index];

    return source->live != NULL ? kt_hub_source_next_seq(source) - 1 : 0;
}

bool kt_hub_log_at(const kt_hub *hub, uint32_t index, kt_hub_log *out_log)
{
    if (index >= hub->source_count)
        return false;
    *out_log = (kt_hub_log){ hub->sources[index].name, hub->sources[index].dir, hub->sources[index].live };
    return true;
}

bool kt_hub_channels(
    const kt_hub *hub, kt_text pattern, bool (*each)(void *ctx, const kt_hub_channel *channel), void *ctx)
{
    for (uint32_t i = 0; i < hub->source_count; i++) {
        const kt_hub_source *source = &hub->sources[i];

        for (uint32_t id = 1; id < source->subject_count; id++) {
            const kt_hub_subject *subject = source->subjects[id];
            kt_hub_channel channel;

            if (subject == NULL || !kt_subject_match(pattern, subject->name))
                continue;
            channel = (kt_hub_channel){ subject->name, kt_text_of(source->name), subject->epoch, subject->last_offset };
            if (!each(ctx, &channel))
                return false;
        }
    }
    return true;
}

const kt_err *kt_hub_trouble(const kt_hub *hub)
{
    for (uint32_t i = 0; i < hub->source_count; i++) {
        const kt_hub_source *source = &hub->sources[i];

        if (source->retry_ns != 0 && source->held == NULL && source->err.code != KT_NOENT)
            return &source->err;
    }
    return NULL;
}

void kt_hub_count(const kt_hub *hub, kt_edge_counts *out_counts)
{
    *out_counts = hub->counts;
}

const kt_histogram *kt_hub_delays(const kt_hub *hub)
{
    return &hub->delays;
}
