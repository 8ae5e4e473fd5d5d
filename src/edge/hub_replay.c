#include "edge/hub_parts.h"

#include "base/assert.h"

static const char slow_reason[] = "the client was too slow, and the log no longer has them";
static const char gone_reason[] = "the log no longer has them";

/* ---- readers are few and are lent for as long as nobody else waits ---- */

static void reader_give_back(kt_sub *sub)
{
    kt_hub_source *source = sub->subject->source;

    if (sub->reader == NULL)
        return;
    if (sub->placed) {
        sub->seq = kt_reader_position(sub->reader);
        sub->log_epoch = kt_reader_epoch(sub->reader);
    }
    sub->placed = false;
    source->idle[source->idle_count++] = sub->reader;
    sub->reader = NULL;
}

static kt_reader *reader_take(kt_hub *hub, kt_hub_source *source)
{
    kt_reader *reader = NULL;

    if (source->idle_count > 0)
        return source->idle[--source->idle_count];
    if (source->reader_count == KT_HUB_READER_MAX)
        return NULL;
    if (kt_reader_open(source->dir, hub->has_boot_id ? hub->boot_id : NULL, &reader, &source->err) != KT_OK)
        return NULL; /* it is asked for again in the next turn */
    kt_reader_borrow(reader, source->live);
    source->reader_count++;
    return reader;
}

static void replay_begin(kt_hub *hub, kt_sub *sub)
{
    sub->mark = kt_hub_source_next_seq(sub->subject->source);
    sub->placed = false;
    sub->state = KT_SUB_REPLAY;
    kt_link_push(&hub->replays, &sub->link);
    hub->counts.replays += sub->client != NULL;
    kt_loop_busy(hub->loop);
}

/* The next offset that the subscription wants. */
static uint64_t wanted(const kt_sub *sub)
{
    return sub->last_offset < sub->from_offset ? sub->from_offset : sub->last_offset + 1;
}

/* Events behind `offset` of the epoch that the live reader remembers, or none yet: no need to look for them in the log. */
static bool resume_recent(const kt_hub_subject *subject, uint64_t epoch, uint64_t offset, kt_resume *out_resume)
{
    const kt_hub_source *source = subject->source;
    const kt_rec *rec;

    *out_resume = (kt_resume){ .subject = subject->id,
        .epoch = subject->epoch,
        .next_offset = offset + 1,
        .from_seq = kt_hub_source_next_seq(source) };
    if ((epoch != 0 && epoch != subject->epoch) || offset >= subject->last_offset)
        return (epoch == 0 || epoch == subject->epoch) && offset == subject->last_offset;
    if (kt_reader_recent(source->live, subject->id, subject->epoch, offset + 1, 0, &rec) != KT_OK)
        return false;
    out_resume->from_seq = rec->seq;
    return true;
}

/* Where the events behind `offset` of `epoch` are read. Codes of kt_reader_resume. */
static kt_code aim(kt_sub *sub, uint64_t epoch, uint64_t offset, kt_resume *out_resume, kt_err *err)
{
    const kt_hub_subject *subject = sub->subject;
    bool recent = resume_recent(subject, epoch, offset, out_resume);
    kt_code code =
        recent ? KT_OK : kt_reader_resume(subject->source->live, subject->name, epoch, offset, out_resume, err);

    if (code != KT_OK && code != KT_EPOCH && code != KT_GONE && code != KT_SEQ)
        return code;
    sub->from_offset = out_resume->next_offset;
    sub->epoch = recent ? subject->epoch : 0; /* 0: read from the table once the reader is placed */
    sub->seq = out_resume->from_seq;
    sub->log_epoch = kt_reader_epoch(subject->source->live);
    return code;
}

kt_code kt_replay_after(kt_hub *hub, kt_sub *sub, uint64_t epoch, uint64_t offset, kt_resume *out_resume, kt_err *err)
{
    kt_resume resume;
    kt_code code = aim(sub, epoch, offset, out_resume != NULL ? out_resume : &resume, err);

    if (code != KT_OK && code != KT_EPOCH && code != KT_GONE && code != KT_SEQ)
        return code;
    sub->last_offset = sub->from_offset - 1;
    replay_begin(hub, sub);
    return code;
}

void kt_replay_by_time(kt_hub *hub, kt_sub *sub)
{
    sub->by_time = true;
    sub->from_offset = 0;
    sub->epoch = 0;
    replay_begin(hub, sub);
}

void kt_replay_blocked_at(kt_hub *hub, kt_sub *sub, uint64_t epoch, uint64_t seq)
{
    kt_fan_leave(sub);
    sub->from_offset = sub->last_offset + 1;
    sub->epoch = epoch;
    sub->seq = seq;
    sub->log_epoch = kt_reader_epoch(sub->subject->source->live);
    sub->mark = seq;
    sub->placed = false;
    sub->state = KT_SUB_BLOCKED;
    hub->counts.replays++;
}

void kt_replay_leave(kt_sub *sub)
{
    kt_assert(sub->state == KT_SUB_REPLAY || sub->state == KT_SUB_BLOCKED);
    reader_give_back(sub);
    kt_link_remove(&sub->link);
}

/* A client that lets events be skipped does not want old ones late: behind the place where it asked it goes on with the
 * newest. */
static void skip_to_newest(kt_sub *sub)
{
    kt_hub_subject *subject = sub->subject;
    kt_resume resume;

    if (sub->conflate && sub->seq >= sub->mark && subject->last_offset > sub->last_offset + 1 &&
        aim(sub, 0, subject->last_offset - 1, &resume, NULL) == KT_OK)
        sub->thin = true;
}

void kt_replay_unblock(kt_hub *hub, kt_sub *sub)
{
    kt_assert(sub->state == KT_SUB_BLOCKED);
    skip_to_newest(sub);
    sub->state = KT_SUB_REPLAY;
    kt_link_push(&hub->replays, &sub->link);
    kt_loop_busy(hub->loop);
}

static void block(kt_hub *hub, kt_sub *sub, uint64_t seq)
{
    reader_give_back(sub);
    kt_link_remove(&sub->link);
    sub->seq = seq;
    sub->state = KT_SUB_BLOCKED;
    kt_ws_drain_mark(sub->client->conn, hub->buffer_bytes / 2);
}

/* Let the reader stand where the subscription reads on. false: it can not be done now. */
static bool place(kt_sub *sub)
{
    kt_reader_subject_info info;
    kt_lost lost;
    kt_code code = sub->by_time ? kt_reader_seek_time(sub->reader, sub->time_ns, NULL)
                                : kt_reader_seek(sub->reader, sub->log_epoch, sub->seq, &lost, NULL);

    if (code == KT_CORRUPT || code == KT_SYS)
        return false;
    sub->gone = sub->by_time && code == KT_GONE;
    if (sub->epoch == 0 && kt_reader_subject_find(sub->reader, sub->subject->name, &info) == KT_OK)
        sub->epoch = info.epoch;
    sub->placed = true;
    return true;
}

/* The first event at or after the time that was asked for is found, or there is none yet: now the op can be answered.
 * */
static void answer_by_time(kt_sub *sub, uint64_t next_offset, uint64_t epoch)
{
    /* What retention has removed before may have been younger than asked: nobody knows. */
    bool lost = sub->gone && next_offset > 1;

    sub->by_time = false;
    sub->last_offset = next_offset - 1;
    kt_sub_answer(sub, sub->has_id, sub->id, epoch, &(kt_lost){ .from = 0, .to = next_offset - 1 },
        lost ? "the log no longer goes back to that time" : NULL);
}

static void apply_control(kt_sub *sub, const kt_rec *rec)
{
    const void *payload = kt_rec_payload(rec);
    uint32_t size = kt_rec_payload_size(rec);

    if (rec->kind == KT_CTL_SUBJECT && size >= sizeof(kt_ctl_subject)) {
        const kt_ctl_subject *ctl = payload;

        if (ctl->id == sub->subject->id && sub->epoch == 0)
            sub->epoch = ctl->epoch;
    } else if (rec->kind == KT_CTL_EPOCHS) {
        const kt_ctl_epoch *ctl = payload;

        for (uint32_t i = 0; i < size / sizeof *ctl; i++) {
            if (ctl[i].id != sub->subject->id || ctl[i].epoch == sub->epoch)
                continue;
            if (sub->client != NULL && sub->epoch != 0 && !sub->by_time)
                kt_sub_tell_epoch(sub, sub->epoch, ctl[i].epoch, ctl[i].first_offset);
            sub->epoch = ctl[i].epoch;
        }
    }
}

typedef enum slice_end { SLICE_ON, SLICE_BLOCKED, SLICE_OVER } slice_end;

static slice_end give_event(kt_hub *hub, kt_sub *sub, const kt_rec *rec)
{
    kt_message message;
    kt_code code;

    if (sub->client == NULL) {
        hub->on_watched(hub->watch_ctx, sub->subject->name, rec);
        return SLICE_OVER;
    }
    if (sub->by_time)
        answer_by_time(sub, rec->offset, sub->epoch);
    if (kt_hub_event_frame(hub, sub->subject, sub->epoch, rec, &message) != KT_OK) {
        kt_sub_tell_gap(sub, sub->epoch, rec->offset, rec->offset, "the event is too large to be sent");
        return SLICE_ON;
    }
    if (rec->offset > sub->last_offset + 1 && !sub->thin) {
        bool close = sub->behind && !sub->conflate;

        kt_sub_tell_gap(sub, sub->epoch, sub->last_offset + 1, rec->offset - 1, close ? slow_reason : gone_reason);
        if (close) {
            kt_client_close_slow(sub->client, KT_WS_CLOSE_TRY_LATER, kt_text_of(slow_reason));
            return SLICE_OVER;
        }
    }
    code = kt_sub_offer(sub, &message, rec->offset, sub->thin);
    if (code == KT_FULL) {
        block(hub, sub, rec->seq);
        return SLICE_BLOCKED;
    }
    sub->thin = sub->thin && code != KT_OK;
    return code == KT_NOENT ? SLICE_OVER : SLICE_ON;
}

static void join(kt_hub *hub, kt_sub *sub)
{
    if (sub->client != NULL && sub->by_time)
        answer_by_time(sub, sub->subject->last_offset + 1, sub->subject->epoch);
    kt_replay_leave(sub);
    if (sub->client == NULL)
        kt_sub_free(hub, sub);
    else
        kt_sub_go_live(sub);
}

static void end_slice(kt_hub *hub, kt_sub *sub)
{
    kt_replay_leave(sub);
    if (sub->client == NULL)
        kt_sub_free(hub, sub);
    else
        sub->state = KT_SUB_BLOCKED; /* until its client, which is closing, is gone */
}

/* A slice without a reader: from event to event, as far as the live reader remembers them. *out_end: what became of it; where it
 * is SLICE_ON and more is wanted, a reader must look. */
static uint64_t slice_recent(kt_hub *hub, kt_sub *sub, slice_end *out_end)
{
    kt_hub_subject *subject = sub->subject;
    uint64_t bytes = 0;
    const kt_rec *rec;

    *out_end = SLICE_ON;
    for (uint32_t i = 0; *out_end == SLICE_ON && i < KT_HUB_SLICE_RECORDS && bytes < KT_HUB_SLICE_BYTES; i++) {
        if (wanted(sub) > subject->last_offset ||
            kt_reader_recent(subject->source->live, subject->id, sub->epoch, wanted(sub), sub->seq - 1, &rec) != KT_OK)
            break;
        bytes += rec->size;
        sub->seq = rec->seq + 1;
        *out_end = give_event(hub, sub, rec);
    }
    return bytes;
}

/* A slice by a reader of its own, over all that lies between. */
static uint64_t slice_read(kt_hub *hub, kt_sub *sub)
{
    kt_hub_source *source = sub->subject->source;
    uint64_t limit = kt_hub_source_next_seq(source) - 1;
    uint64_t bytes = 0;
    const kt_rec *rec;

    if (sub->reader == NULL)
        sub->reader = reader_take(hub, source);
    if (sub->reader == NULL) {
        source->want_count++;
        return 0;
    }
    if (!sub->placed && !place(sub)) {
        join(hub, sub); /* and be told what is lost: waiting would not mend the log */
        return 0;
    }
    for (uint32_t i = 0; i < KT_HUB_SLICE_RECORDS && bytes < KT_HUB_SLICE_BYTES; i++) {
        uint64_t seq = kt_reader_position(sub->reader);
        kt_code code = seq > limit ? KT_EMPTY : kt_reader_next(sub->reader, limit, &rec);

        if (code != KT_OK && code != KT_GONE && kt_reader_position(sub->reader) <= seq) {
            join(hub, sub); /* the end, or a place that no reader gets past */
            return bytes;
        }
        if (code != KT_OK)
            continue; /* behind a fence or what retention removed: the next offset tells what was lost */
        bytes += rec->size;
        if (rec->subject == 0)
            apply_control(sub, rec);
        if (rec->subject != sub->subject->id || rec->offset < wanted(sub) ||
            (sub->by_time && rec->time_ns < sub->time_ns))
            continue;
        switch (give_event(hub, sub, rec)) {
        case SLICE_ON:
            break;
        case SLICE_BLOCKED:
            return bytes;
        case SLICE_OVER:
            end_slice(hub, sub);
            return bytes;
        }
    }
    return bytes;
}

/* One slice of one subscription's reading; returns the bytes read. */
static uint64_t slice(kt_hub *hub, kt_sub *sub)
{
    bool recent = !sub->by_time && !sub->placed && sub->epoch == sub->subject->epoch;
    slice_end end = SLICE_ON;
    uint64_t bytes = recent ? slice_recent(hub, sub, &end) : 0;

    if (end == SLICE_OVER)
        end_slice(hub, sub);
    else if (recent && end == SLICE_ON && wanted(sub) > sub->subject->last_offset)
        join(hub, sub);
    else if (end == SLICE_ON && bytes == 0)
        bytes = slice_read(hub, sub);
    return bytes;
}

void kt_replay_turn(kt_hub *hub)
{
    kt_link_node *end = hub->replays.prev; /* those that come on the way wait for the next turn */
    uint64_t bytes = 0;
    bool last = kt_link_empty(&hub->replays);

    for (uint32_t i = 0; i < hub->source_count; i++)
        hub->sources[i].want_count = 0;
    while (!last && !kt_link_empty(&hub->replays) && bytes < KT_HUB_REPLAY_BYTES) {
        kt_link_node *node = hub->replays.next;
        kt_sub *sub = KT_SUB_OF(node);

        last = node == end;
        kt_link_remove(node);
        kt_link_push(&hub->replays, node);
        bytes += slice(hub, sub);
    }
    for (kt_link_node *node = hub->replays.next; node != &hub->replays; node = node->next)
        if (KT_SUB_OF(node)->subject->source->want_count != 0)
            reader_give_back(KT_SUB_OF(node));
    if (!kt_link_empty(&hub->replays))
        kt_loop_busy(hub->loop);
}
