#include "edge/hub_parts.h"

#include "base/assert.h"
#include "base/time.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

enum {
    SPARE_MAX = 64,             /* runs kept for the next use ... */
    SPARE_BYTES_MAX = 64 << 10, /* ... unless they have become larger */
};

/* ---- frames ---- */

static bool frames_push(kt_frames *frames, const uint8_t *frame, uint32_t size, uint32_t body_at)
{
    if (frames->room - frames->size < size) {
        uint32_t room = 2 * (frames->size + size);
        uint8_t *grown = realloc(frames->bytes, room);

        if (grown == NULL)
            return false;
        frames->bytes = grown;
        frames->room = room;
    }
    if (frames->count == frames->span_room) {
        uint32_t room = 2 * frames->span_room + 16;
        kt_frame_span *grown = realloc(frames->spans, room * sizeof *frames->spans);

        if (grown == NULL)
            return false;
        frames->spans = grown;
        frames->span_room = room;
    }
    memcpy(frames->bytes + frames->size, frame, size);
    frames->spans[frames->count].at = frames->size;
    frames->spans[frames->count++].body_at = frames->size + body_at;
    frames->size += size;
    return true;
}

static uint32_t frames_at(const kt_frames *frames, uint32_t index) /* of the end, too */
{
    return index < frames->count ? frames->spans[index].at : frames->size;
}

static void frames_drop(kt_frames *frames, uint32_t count)
{
    uint32_t from;

    count = count < frames->count ? count : frames->count;
    from = frames_at(frames, count);
    if (count == 0)
        return;
    frames->size -= from;
    frames->count -= count;
    frames->numbered_to = 0;
    memmove(frames->bytes, frames->bytes + from, frames->size);
    for (uint32_t i = 0; i < frames->count; i++) {
        frames->spans[i].at = frames->spans[i + count].at - from;
        frames->spans[i].body_at = frames->spans[i + count].body_at - from;
    }
}

/* From `from` up to `to`, the numbers from `seq` on. Most are the one before with another last digit. */
static void frames_number(kt_frames *frames, uint32_t from, uint32_t to, uint64_t seq)
{
    uint64_t high = 0, low = 0; /* digits; the last one in the top byte */

    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && KT_SEQ_DIGITS == sizeof high + sizeof low, "see above");
    if (frames->number == seq - from && frames->numbered_from <= from && to <= frames->numbered_to)
        return;
    for (uint32_t i = from; i < to; i++) {
        uint8_t *body = frames->bytes + frames->spans[i].body_at, *digits = body + KT_SEQ_AT;

        if (i == from || low >> 56 == '9') {
            kt_message_patch_seq(body, seq + (i - from));
            memcpy(&high, digits, sizeof high);
            memcpy(&low, digits + sizeof high, sizeof low);
        } else {
            low += UINT64_C(1) << 56;
            memcpy(digits, &high, sizeof high);
            memcpy(digits + sizeof high, &low, sizeof low);
        }
    }
    frames->number = seq - from;
    frames->numbered_from = from;
    frames->numbered_to = to;
}

/* The newest has been sent with numbers of its own: as before. */
static void frames_newest_used(kt_frames *frames)
{
    if (frames->count == 0)
        return;
    kt_message_patch_skipped(frames->bytes + frames->spans[frames->count - 1].body_at, 0);
    frames->numbered_to = 0;
}

static void frames_clear(kt_frames *frames)
{
    frames->count = frames->size = frames->numbered_to = 0;
}

static void frames_done(kt_frames *frames)
{
    free(frames->bytes);
    free(frames->spans);
}

/* ---- runs ---- */

static void run_free(kt_run *run)
{
    if (run == NULL)
        return;
    frames_done(&run->plain);
    frames_done(&run->packed);
    free(run->events);
    free(run);
}

static void run_drop(kt_run *run, uint32_t count)
{
    frames_drop(&run->plain, count);
    frames_drop(&run->packed, count);
    run->count -= count;
    run->first_offset += count;
    memmove(run->events, run->events + count, run->count * sizeof *run->events);
}

static kt_run *run_take(kt_hub *hub)
{
    kt_run *run = hub->spare;

    if (run == NULL)
        return calloc(1, sizeof *run);
    hub->spare = run->next;
    hub->spare_count--;
    return run;
}

static void run_give_back(kt_hub *hub, kt_hub_subject *subject)
{
    kt_run *run = subject->run;

    subject->run = NULL;
    if (run == NULL)
        return;
    if (hub->spare_count == SPARE_MAX || run->plain.room > SPARE_BYTES_MAX || run->packed.room > SPARE_BYTES_MAX) {
        run_free(run);
        return;
    }
    run->count = 0;
    frames_clear(&run->plain);
    frames_clear(&run->packed);
    run->next = hub->spare;
    hub->spare = run;
    hub->spare_count++;
}

static bool run_push(kt_run *run, const kt_message *message, const kt_rec *rec, uint64_t tick)
{
    if (run->count == run->room) {
        uint32_t room = 2 * run->room + 16;
        kt_run_event *grown = realloc(run->events, room * sizeof *run->events);

        if (grown == NULL)
            return false;
        run->events = grown;
        run->room = room;
    }
    if (!frames_push(&run->plain, message->frame, message->size, message->body_at))
        return false;
    if (run->count == 0)
        run->first_offset = rec->offset;
    run->events[run->count++] = (kt_run_event){ .seq = rec->seq, .time_ns = rec->time_ns, .tick = tick };
    return true;
}

static bool run_holds(const kt_hub_subject *subject, uint64_t offset)
{
    const kt_run *run = subject->run;

    return run != NULL && run->epoch == subject->epoch && offset >= run->first_offset &&
           offset < run->first_offset + run->count;
}

static void message_of(const kt_run *run, uint32_t index, kt_message *out_message)
{
    const kt_frames *plain = &run->plain, *packed = &run->packed;
    uint32_t at = frames_at(plain, index);

    *out_message = (kt_message){
        .frame = plain->bytes + at,
        .size = frames_at(plain, index + 1) - at,
        .body_at = plain->spans[index].body_at - at,
    };
    if (index >= packed->count)
        return;
    at = frames_at(packed, index);
    out_message->packed = packed->bytes + at;
    out_message->packed_size = frames_at(packed, index + 1) - at;
    out_message->packed_body_at = packed->spans[index].body_at - at;
}

/* In the form that the client agreed to, each compressed once for all. NULL: no memory. */
static kt_frames *frames_for(kt_hub *hub, kt_run *run, const kt_hub_client *client)
{
    if (!kt_ws_deflates(client->conn))
        return &run->plain;
    while (run->packed.count < run->count) {
        kt_message message;

        message_of(run, run->packed.count, &message);
        kt_message_pack(&message, kt_ws_server_deflater(hub->ws), hub->packed, KT_HUB_EVENT_MAX);
        if (!frames_push(&run->packed, message.packed, message.packed_size, message.packed_body_at))
            return NULL;
    }
    return &run->packed;
}

/* How long they took from their record to the clients that they have been sent to. */
static void note_delays(kt_hub *hub, kt_run *run)
{
    struct timespec now;
    int64_t now_ns;

    clock_gettime(CLOCK_REALTIME, &now);
    now_ns = (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec;
    for (uint32_t i = 0; run != NULL && i < run->count; i++) {
        if (run->events[i].sent > 0)
            kt_histogram_add(&hub->delays, now_ns - run->events[i].time_ns, run->events[i].sent);
        run->events[i].sent = 0;
    }
}

/* ---- to one client ---- */

/* From the log instead: what is not gathered any more, or only the newest of it. */
static void read_back(kt_hub *hub, kt_sub *sub, bool newest)
{
    uint64_t last_offset = sub->last_offset;

    kt_sub_clean(sub);
    kt_fan_leave(sub);
    if (kt_replay_after(hub, sub, 0, newest ? sub->subject->last_offset - 1 : last_offset, NULL, NULL) != KT_OK) {
        if (sub->state == KT_SUB_REPLAY)
            kt_replay_leave(sub);
        sub->last_offset = last_offset;
        kt_sub_go_live(sub); /* and it is told what is lost */
        return;
    }
    sub->last_offset = last_offset;
    sub->thin = newest;
}

/* No room for the event of record `seq` and what follows it. */
static void fall_behind(kt_hub *hub, kt_sub *sub, uint64_t seq)
{
    if (!sub->conflate) {
        kt_replay_blocked_at(hub, sub, sub->subject->epoch, seq);
    } else if (!sub->dirty) {
        sub->dirty = true;
        sub->subject->dirty_count++;
    }
    kt_sub_behind(sub, true);
    kt_ws_drain_mark(sub->client->conn, hub->buffer_bytes / 2);
}

void kt_fan_newest(kt_hub *hub, kt_sub *sub)
{
    const kt_hub_subject *subject = sub->subject;
    kt_run *run = subject->run;
    kt_frames *frames = NULL;
    kt_message message;
    kt_code code;

    if (sub->last_offset >= subject->last_offset) {
        kt_sub_clean(sub);
        return;
    }
    if (!run_holds(subject, subject->last_offset) || (frames = frames_for(hub, run, sub->client)) == NULL) {
        read_back(hub, sub, true);
        return;
    }
    message_of(run, run->count - 1, &message);
    code = kt_sub_offer(sub, &message, subject->last_offset, true);
    if (subject->run != NULL) { /* else this was the last client that was owed it */
        frames_newest_used(frames);
        run->events[run->count - 1].sent += code == KT_OK;
    }
    if (code == KT_FULL)
        fall_behind(hub, sub, 0);
}

/* All from this one on that there is room for, at once; returns how many. */
static uint32_t put_frames(kt_hub *hub, kt_hub_client *client, kt_frames *frames, uint32_t from)
{
    size_t room = kt_ws_room(client->conn);
    uint32_t at = frames_at(frames, from), to = frames->count;

    if (room <= hub->answer_reserve)
        return 0;
    while (to > from && frames_at(frames, to) - at > room - hub->answer_reserve)
        to--;
    frames_number(frames, from, to, client->seq + 1);
    if (to == from || kt_client_put(client, frames->bytes + at, frames_at(frames, to) - at) != KT_OK)
        return 0;
    client->seq += to - from;
    hub->counts.messages_sent += to - from;
    return to - from;
}

static void send_run(kt_hub *hub, kt_sub *sub)
{
    kt_run *run = sub->subject->run;
    kt_frames *frames = NULL;

    if (!run_holds(sub->subject, sub->last_offset + 1) || (frames = frames_for(hub, run, sub->client)) == NULL) {
        read_back(hub, sub, false);
        return;
    }
    uint32_t at = (uint32_t)(sub->last_offset + 1 - run->first_offset);
    while (at < run->count) {
        uint32_t count = put_frames(hub, sub->client, frames, at);
        kt_message message;

        sub->last_offset += count;
        for (uint32_t end = at + count; at < end; at++)
            run->events[at].sent++;
        if (count > 0) {
            if (at < run->count)
                kt_ws_write_now(sub->client->conn); /* it may make room */
            continue;
        }
        message_of(run, at, &message);
        kt_code code = kt_sub_offer(sub, &message, run->first_offset + at, false);
        if (code == KT_FULL)
            fall_behind(hub, sub, run->events[at].seq);
        if (code == KT_FULL || code == KT_NOENT)
            return;
        at++;
    }
}

/* ---- client by client ---- */

static void make_due(kt_hub *hub, kt_hub_subject *subject, uint32_t phase)
{
    for (kt_link_node *node = subject->live[phase].next; node != &subject->live[phase]; node = node->next) {
        kt_sub *sub = KT_SUB_OF(node);
        kt_hub_client *client = sub->client;

        if (sub->last_offset >= subject->last_offset)
            continue;
        if (client->due == NULL) {
            client->next_due = NULL;
            *(hub->due == NULL ? &hub->due : &hub->due_last->next_due) = client;
            hub->due_last = client;
        }
        sub->next_due = NULL;
        *(client->due == NULL ? &client->due : &client->due_last->next_due) = sub;
        client->due_last = sub;
    }
}

static void make_all_due(kt_hub *hub, kt_hub_subject *subject)
{
    for (uint32_t phase = 0; phase < KT_HUB_PHASES; phase++)
        make_due(hub, subject, phase);
}

/* Each client gets all that is due for it in one write: from the run when that is all in one place, else from its queue,
 * before the next client's turn: both use the same memory. */
static void send_due(kt_hub *hub)
{
    while (hub->due != NULL) {
        kt_hub_client *client = hub->due;

        hub->due = client->next_due;
        if (hub->due != NULL)
            __builtin_prefetch(hub->due->conn); /* while the kernel sends */
        hub->sole = client->due->next_due == NULL ? client : NULL;
        while (client->due != NULL) {
            kt_sub *sub = client->due;

            client->due = sub->next_due;
            if (sub->dirty || (sub->conflate && hub->classes[sub->subject->flush].tick_ns != 0))
                kt_fan_newest(hub, sub);
            else
                send_run(hub, sub);
        }
        if (kt_ws_pending(client->conn) > 0)
            kt_ws_write_now(client->conn);
    }
    hub->sole = NULL;
}

/* ---- channels ---- */

/* Everybody has what is gathered, or is behind. */
static void retire(kt_hub *hub, kt_hub_subject *subject)
{
    note_delays(hub, subject->run);
    kt_link_remove(&subject->fresh);
    if (subject->dirty_count == 0)
        run_give_back(hub, subject);
    else if (subject->run != NULL)
        run_drop(subject->run, subject->run->count - 1);
}

void kt_fan_out(kt_hub *hub, kt_hub_subject *subject)
{
    if (subject->run == NULL || subject->fresh.next == NULL)
        return;
    make_all_due(hub, subject);
    send_due(hub);
    retire(hub, subject);
}

static uint64_t tick_now(const kt_fan_class *class)
{
    return (uint64_t)(kt_loop_now(class->hub->loop) / class->tick_ns);
}

static void set_timer(kt_fan_class *class)
{
    if (class->tick_ns != 0 && !kt_link_empty(&class->fresh))
        kt_timer_set(class->hub->loop, &class->timer, (int64_t)(class->tick + 1) * class->tick_ns);
}

static void freshen(kt_hub_subject *subject, kt_fan_class *class)
{
    bool first = kt_link_empty(&class->fresh);

    if (subject->fresh.next != NULL)
        return;
    kt_link_push(&class->fresh, &subject->fresh);
    if (!first || class->tick_ns == 0)
        return;
    class->tick = tick_now(class);
    set_timer(class);
}

void kt_fan_event(kt_hub *hub, kt_hub_subject *subject, const kt_rec *rec)
{
    kt_fan_class *class = &hub->classes[subject->flush];
    bool newest_only = class->tick_ns != 0 && subject->strict_count == 0;
    kt_message message;

    if (kt_hub_event_frame(hub, subject, subject->epoch, rec, &message) != KT_OK) {
        kt_fan_out(hub, subject);
        for (kt_sub *sub = NULL; (sub = kt_fan_next(subject, sub)) != NULL;)
            kt_sub_tell_gap(sub, subject->epoch, rec->offset, rec->offset, "the event is too large to be sent");
        return;
    }
    kt_message_patch_skipped(message.frame + message.body_at, 0);
    if (newest_only || !run_holds(subject, rec->offset - 1))
        run_give_back(hub, subject);
    if (subject->run == NULL && (subject->run = run_take(hub)) != NULL)
        subject->run->epoch = subject->epoch;
    freshen(subject, class);
    if (subject->run == NULL || !run_push(subject->run, &message, rec, class->tick_ns != 0 ? tick_now(class) : 0)) {
        make_all_due(hub, subject); /* no memory: each reads the log */
        run_give_back(hub, subject);
        send_due(hub);
        retire(hub, subject);
    } else if (subject->run->plain.size >= KT_HUB_RUN_BYTES) {
        kt_fan_out(hub, subject);
    }
}

/* The phases that have come since the last tick. */
static void tick(kt_fan_class *class)
{
    kt_hub *hub = class->hub;
    uint64_t now = tick_now(class);
    uint64_t from = now - class->tick < KT_HUB_PHASES ? class->tick + 1 : now - KT_HUB_PHASES + 1;

    class->tick = now;
    for (kt_link_node *node = class->fresh.next; node != &class->fresh; node = node->next)
        for (uint64_t i = from; i <= now; i++)
            make_due(hub, KT_SUBJECT_OF(node), i % KT_HUB_PHASES);
    send_due(hub);
    for (kt_link_node *node = class->fresh.next, *next; node != &class->fresh; node = next) {
        kt_hub_subject *subject = KT_SUBJECT_OF(node);
        uint32_t old = 0;

        next = node->next;
        note_delays(hub, subject->run);
        while (old < subject->run->count && subject->run->events[old].tick + KT_HUB_PHASES <= now)
            old++;
        if (old == subject->run->count)
            retire(hub, subject);
        else
            run_drop(subject->run, old);
    }
    set_timer(class);
}

static void on_tick(kt_timer *timer)
{
    tick(timer->ctx);
}

void kt_fan_turn(kt_hub *hub)
{
    for (int i = 0; i < KT_FLUSH_COUNT; i++)
        if (hub->classes[i].tick_ns == 0)
            for (kt_link_node *node = hub->classes[i].fresh.next; node != &hub->classes[i].fresh; node = node->next)
                make_all_due(hub, KT_SUBJECT_OF(node));
    send_due(hub);
    for (int i = 0; i < KT_FLUSH_COUNT; i++) {
        kt_fan_class *class = &hub->classes[i];

        while (class->tick_ns == 0 && !kt_link_empty(&class->fresh))
            retire(hub, KT_SUBJECT_OF(class->fresh.next));
        if (!kt_link_empty(&class->fresh) && tick_now(class) > class->tick)
            tick(class); /* its timer would come only after this turn */
    }
}

void kt_fan_join(kt_sub *sub)
{
    kt_hub_subject *subject = sub->subject;

    sub->state = KT_SUB_LIVE;
    kt_link_push(&subject->live[sub->client->phase], &sub->link);
    subject->live_count++;
    subject->strict_count += !sub->conflate;
}

void kt_fan_leave(kt_sub *sub)
{
    kt_assert(sub->state == KT_SUB_LIVE);
    kt_link_remove(&sub->link);
    sub->state = KT_SUB_WAITING;
    sub->subject->live_count--;
    sub->subject->strict_count -= !sub->conflate;
}

kt_sub *kt_fan_next(const kt_hub_subject *subject, const kt_sub *sub)
{
    uint32_t phase = sub != NULL ? sub->client->phase : 0;
    const kt_link_node *node = sub != NULL ? sub->link.next : subject->live[0].next;

    while (node == &subject->live[phase]) {
        if (++phase == KT_HUB_PHASES)
            return NULL;
        node = subject->live[phase].next;
    }
    return KT_SUB_OF(node);
}

/* ---- life ---- */

void kt_fan_subject_init(kt_hub_subject *subject)
{
    for (uint32_t phase = 0; phase < KT_HUB_PHASES; phase++)
        kt_link_init(&subject->live[phase]);
}

void kt_fan_clean(kt_hub *hub, kt_hub_subject *subject)
{
    if (subject->dirty_count == 0 && subject->fresh.next == NULL)
        run_give_back(hub, subject);
}

void kt_fan_intervals(kt_hub *hub, const uint32_t flush_ms[KT_FLUSH_COUNT])
{
    kt_assert(flush_ms[KT_FLUSH_NONE] == 0);
    for (int i = 0; i < KT_FLUSH_COUNT; i++) {
        kt_fan_class *class = &hub->classes[i];

        while (!kt_link_empty(&class->fresh))
            kt_fan_out(hub, KT_SUBJECT_OF(class->fresh.next));
        kt_timer_cancel(hub->loop, &class->timer);
        class->tick_ns = flush_ms[i] * KT_NS_PER_MS / KT_HUB_PHASES;
    }
}

void kt_fan_init(kt_hub *hub, const uint32_t flush_ms[KT_FLUSH_COUNT])
{
    for (int i = 0; i < KT_FLUSH_COUNT; i++) {
        hub->classes[i].hub = hub;
        hub->classes[i].timer = (kt_timer){ .on_due = on_tick, .ctx = &hub->classes[i] };
        kt_link_init(&hub->classes[i].fresh);
    }
    kt_fan_intervals(hub, flush_ms);
}

void kt_fan_done(kt_hub *hub)
{
    for (int i = 0; i < KT_FLUSH_COUNT; i++)
        kt_timer_cancel(hub->loop, &hub->classes[i].timer);
    for (kt_run *run = hub->spare, *next; run != NULL; run = next) {
        next = run->next;
        run_free(run);
    }
}

void kt_fan_subject_done(kt_hub_subject *subject)
{
    run_free(subject->run);
}
