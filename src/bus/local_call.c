#include "bus/local.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- tables of calls ---- */

static uint64_t token_of(const kt_local_calls *table, const kt_local_call *call)
{
    return (uint64_t)call->uses << 32 | (uint64_t)(call - table->items + 1);
}

/* NULL: the token, which may come from outside, is of no open call. */
static kt_local_call *call_of(kt_local_calls *table, uint64_t token)
{
    uint64_t place = (token & UINT32_MAX) - 1;

    if (place >= KT_BUS_CALL_MAX || !table->items[place].open || table->items[place].uses != token >> 32)
        return NULL;
    return &table->items[place];
}

static kt_local_call *call_new(kt_local_calls *table)
{
    if (table->open == KT_BUS_CALL_MAX)
        return NULL;
    kt_local_call *call = &table->items[table->order[table->open]];
    *call = (kt_local_call){ .open = true, .at = (uint16_t)table->open, .uses = call->uses + 1 };
    table->open++;
    return call;
}

static void call_free(kt_local_calls *table, kt_local_call *call)
{
    uint16_t place = table->order[call->at], last = table->order[--table->open];

    table->order[call->at] = last;
    table->items[last].at = call->at;
    table->order[table->open] = place;
    table->ended -= call->ended;
    call->open = false;
}

/* Of the open ones, index < table->open. Going down, the call at hand may be freed and others begun. */
static kt_local_call *call_at(kt_local_calls *table, uint32_t index)
{
    return &table->items[table->order[index]];
}

static void table_init(kt_local_calls *table)
{
    for (uint32_t i = 0; i < KT_BUS_CALL_MAX; i++)
        table->order[i] = (uint16_t)i;
}

/* ---- frames ---- */

static kt_code loop_push(kt_local *bus, const void *first, size_t first_size, kt_text body)
{
    size_t size = first_size + body.n;
    kt_local_loop *frame = bus->loop_count < KT_LOCAL_LOOP_MAX ? malloc(sizeof *frame + size) : NULL;

    if (frame == NULL)
        return KT_BUSY;
    *frame = (kt_local_loop){ .size = (uint32_t)size };
    memcpy(frame->bytes, first, first_size);
    if (body.n > 0)
        memcpy(frame->bytes + first_size, body.s, body.n);
    if (bus->loop_last != NULL)
        bus->loop_last->next = frame;
    else
        bus->loop_first = frame;
    bus->loop_last = frame;
    bus->loop_count++;
    return KT_OK;
}

/* What stands in front of the body. */
typedef struct frame_first {
    kt_bus_frame_head head;
    char texts[KT_BOARD_ACTION_SIZE + KT_BUS_TRACE_MAX];
} frame_first;

static size_t put_first(frame_first *first, const kt_bus_frame_head *head, kt_text action, kt_text trace, kt_text body)
{
    first->head = *head;
    first->head.magic = KT_BUS_FRAME_MAGIC;
    first->head.action_size = (uint32_t)action.n;
    first->head.trace_size = (uint32_t)trace.n;
    first->head.body_size = (uint32_t)body.n;
    if (action.n > 0)
        memcpy(first->texts, action.s, action.n);
    if (trace.n > 0)
        memcpy(first->texts + action.n, trace.s, trace.n);
    return sizeof *head + action.n + trace.n;
}

/* KT_BUSY: full. KT_NOENT: there is no ring to that lane. */
static kt_code send(
    kt_local *bus, uint32_t peer_index, const kt_bus_frame_head *head, kt_text action, kt_text trace, kt_text body)
{
    frame_first first;
    size_t first_size;

    if (action.n >= KT_BOARD_ACTION_SIZE || trace.n > KT_BUS_TRACE_MAX)
        return KT_LIMIT;
    first_size = put_first(&first, head, action, trace, body);
    if (first_size + body.n > KT_PEER_RING_FRAME_MAX)
        return KT_LIMIT;
    if (peer_index == KT_BOARD_LANE_MAX)
        return loop_push(bus, &first, first_size, body);
    kt_local_peer *peer = &bus->peers[peer_index];
    if (peer->link.mem == NULL)
        return KT_NOENT;
    kt_code code = kt_peer_ring_push(&peer->link.out, &first, (uint32_t)first_size, body.s, (uint32_t)body.n);
    if (code == KT_CORRUPT)
        return KT_NOENT; /* the other side broke the ring: nothing comes through before the next generation */
    if (code == KT_OK && bus->options.local.waker != NULL)
        kt_wake_lane(bus->options.local.waker, peer_index);
    return code;
}

static kt_code send_answer(kt_local *bus, uint32_t peer_index, const kt_bus_frame_head *head, kt_text body)
{
    return send(bus, peer_index, head, (kt_text){ NULL, 0 }, (kt_text){ NULL, 0 }, body);
}

/* ---- calling ---- */

static int find_peer(const kt_local *bus, const kt_bus_call_spec *spec)
{
    const kt_board *board = bus->options.local.board;
    int index;

    for (uint32_t i = 0; i < bus->action_count; i++)
        if (kt_text_equal(kt_text_of(bus->actions[i].name), spec->action) &&
            (spec->to == NULL || strcmp(spec->to, bus->log_name) == 0))
            return KT_BOARD_LANE_MAX;
    if (board == NULL)
        return -1;
    index = spec->to != NULL ? kt_board_find(board, kt_text_of(spec->to)) : kt_board_find_action(board, spec->action);
    return index == (int)bus->options.local.lane_index ? -1 : index;
}

kt_code kt_local_call_start(kt_bus *base, const kt_bus_call_spec *spec, uint64_t *out_id, kt_err *err)
{
    kt_local *bus = (kt_local *)base;
    int64_t timeout = spec->timeout_ns > 0 ? spec->timeout_ns : KT_BUS_TIMEOUT_NS;
    int peer = find_peer(bus, spec);

    if (spec->action.n == 0)
        return kt_fail(err, KT_ARG, "a call needs an action");
    if (peer < 0)
        return kt_fail(err, KT_NOENT, "no lane answers '%.*s'", KT_TEXT_ARG(spec->action));
    kt_local_call *call = call_new(&bus->calls);
    if (call == NULL)
        return kt_fail(err, KT_BUSY, "%d calls are open already", KT_BUS_CALL_MAX);
    if (timeout > KT_BUS_FRAME_TIMEOUT_MAX_NS)
        timeout = KT_BUS_FRAME_TIMEOUT_MAX_NS;
    call->peer = (uint32_t)peer;
    call->id = spec->id != 0 ? spec->id : ++bus->last_id;
    call->deadline_ns = kt_local_now(bus) + timeout;
    call->on_answer = spec->on_answer;
    call->ctx = spec->ctx;
    kt_bus_frame_head head = {
        .what = KT_BUS_FRAME_CALL, .id = call->id, .token = token_of(&bus->calls, call), .timeout_ns = timeout
    };
    kt_code code = send(bus, call->peer, &head, spec->action, spec->trace, spec->params);
    if (code != KT_OK) {
        call_free(&bus->calls, call);
        return kt_fail(err, code, "call '%.*s' can not be sent: %s", KT_TEXT_ARG(spec->action), kt_code_text(code));
    }
    if (out_id != NULL)
        *out_id = call->id;
    return KT_OK;
}

static void tell(kt_local *bus, kt_local_call *call, kt_code code, kt_text body)
{
    void (*on_answer)(void *ctx, uint64_t id, kt_code code, kt_text body) = call->on_answer;
    void *ctx = call->ctx;
    uint64_t id = call->id;

    call_free(&bus->calls, call); /* its place is free before the callback runs, which may call again */
    on_answer(ctx, id, code, body);
}

/* ---- serving ---- */

kt_code kt_local_serve(kt_bus *base, kt_text action, kt_bus_on_call on_call, void *ctx, kt_err *err)
{
    kt_local *bus = (kt_local *)base;

    for (uint32_t i = 0; i < bus->action_count; i++)
        if (kt_text_equal(kt_text_of(bus->actions[i].name), action))
            return kt_fail(err, KT_BUSY, "action '%.*s' is answered already", KT_TEXT_ARG(action));
    if (bus->action_count == KT_BUS_SERVE_MAX || action.n == 0 || action.n >= KT_BOARD_ACTION_SIZE)
        return kt_fail(err, KT_LIMIT, "action '%.*s': a lane answers at most %d, with names of 1 to %d bytes",
            KT_TEXT_ARG(action), KT_BUS_SERVE_MAX, KT_BOARD_ACTION_SIZE - 1);
    if (bus->options.local.board != NULL) {
        kt_code code = kt_board_add_action(bus->options.local.board, bus->options.local.lane_index, action, err);
        if (code != KT_OK)
            return code;
    }
    kt_local_action *row = &bus->actions[bus->action_count++];
    *row = (kt_local_action){ .on_call = on_call, .ctx = ctx };
    memcpy(row->name, action.s, action.n);
    return KT_OK;
}

kt_code kt_local_answer(kt_bus *base, uint64_t token, kt_code code, kt_text body)
{
    kt_local *bus = (kt_local *)base;
    kt_local_call *call = call_of(&bus->served, token);

    if (call == NULL)
        return KT_NOENT;
    kt_bus_frame_head head = {
        .what = KT_BUS_FRAME_ANSWER, .id = call->id, .token = call->peer_token, .code = (uint32_t)code
    };
    kt_code sent = send_answer(bus, call->peer, &head, body);
    if (sent == KT_BUSY)
        return KT_BUSY;
    if (sent == KT_LIMIT) { /* an answer too long for a ring: the caller must not wait in vain */
        head.code = KT_LIMIT;
        if (send_answer(bus, call->peer, &head, (kt_text){ NULL, 0 }) == KT_BUSY)
            return KT_BUSY;
    }
    call_free(&bus->served, call);
    return sent;
}

static void on_frame_call(kt_local *bus, int64_t now_ns, uint32_t peer, const kt_bus_frame *frame)
{
    kt_local_action *action = NULL;
    kt_local_call *call = NULL;
    kt_code code = KT_NOENT;

    for (uint32_t i = 0; i < bus->action_count; i++)
        if (kt_text_equal(kt_text_of(bus->actions[i].name), frame->action))
            action = &bus->actions[i];
    if (action != NULL) {
        call = call_new(&bus->served);
        code = KT_BUSY;
    }
    if (call == NULL) {
        kt_bus_frame_head head = {
            .what = KT_BUS_FRAME_ANSWER, .id = frame->head.id, .token = frame->head.token, .code = code
        };
        send_answer(bus, peer, &head, (kt_text){ NULL, 0 });
        return;
    }
    call->peer = peer;
    call->id = frame->head.id;
    call->peer_token = frame->head.token;
    call->deadline_ns = now_ns + frame->head.timeout_ns;
    const kt_board *board = bus->options.local.board;
    kt_bus_call seen = { .action = frame->action,
        .params = frame->body,
        .trace = frame->trace,
        .caller = kt_text_of(bus->log_name),
        .id = call->id,
        .deadline_ns = call->deadline_ns,
        .token = token_of(&bus->served, call) };
    if (peer != KT_BOARD_LANE_MAX) {
        const char *name = kt_board_page_of(board, peer)->name;
        seen.caller = (kt_text){ name, strnlen(name, KT_BOARD_NAME_SIZE) };
    }
    action->on_call(action->ctx, &seen);
}

static void on_frame(kt_local *bus, int64_t now_ns, uint32_t peer, const void *bytes, uint32_t size)
{
    kt_bus_frame frame;

    if (kt_bus_frame_take(bytes, size, &frame) != KT_OK)
        return; /* not understood, not answered: the other side's calls end by their deadline */
    if (frame.head.what == KT_BUS_FRAME_CALL) {
        on_frame_call(bus, now_ns, peer, &frame);
        return;
    }
    kt_local_call *call = call_of(&bus->calls, frame.head.token);
    if (call != NULL && call->peer == peer && call->id == frame.head.id && !call->ended)
        tell(bus, call, frame.head.code, frame.body);
}

/* ---- polling ---- */

static uint32_t poll_ring(kt_local *bus, int64_t now_ns, uint32_t peer)
{
    uint32_t count = 0, size, generation = bus->peers[peer].generation;

    while (count < KT_LOCAL_FRAME_POLL_MAX && bus->peers[peer].link.mem != NULL &&
           bus->peers[peer].generation == generation) {
        if (kt_peer_ring_pop(&bus->peers[peer].link.in, bus->frame, KT_PEER_RING_FRAME_MAX, &size) != KT_OK)
            break;
        on_frame(bus, now_ns, peer, bus->frame, size);
        count++;
    }
    return count;
}

/* A question to ourselves is answered in the same poll. */
static uint32_t poll_loop(kt_local *bus, int64_t now_ns)
{
    uint32_t count = 0;

    for (; count < KT_LOCAL_FRAME_POLL_MAX && bus->loop_first != NULL; count++) {
        kt_local_loop *frame = bus->loop_first;
        bus->loop_first = frame->next;
        if (bus->loop_first == NULL)
            bus->loop_last = NULL;
        bus->loop_count--;
        on_frame(bus, now_ns, KT_BOARD_LANE_MAX, frame->bytes, frame->size);
        free(frame);
    }
    return count;
}

static uint32_t poll_ends(kt_local *bus, int64_t now_ns)
{
    uint32_t count = 0;

    for (uint32_t i = bus->calls.open; i-- > 0;) {
        kt_local_call *call = call_at(&bus->calls, i);
        if (!call->ended && call->deadline_ns > now_ns)
            continue;
        tell(bus, call, call->ended ? call->code : KT_TIMEOUT, (kt_text){ NULL, 0 });
        count++;
    }
    for (uint32_t i = bus->served.open; i-- > 0;)
        if (call_at(&bus->served, i)->deadline_ns <= now_ns)
            call_free(&bus->served, call_at(&bus->served, i)); /* its caller has stopped waiting */
    return count;
}

uint32_t kt_local_poll_calls(kt_local *bus)
{
    if (bus->calls.open + bus->served.open == 0 && !kt_local_calls_pending(bus))
        return 0;
    int64_t now_ns = kt_local_now(bus); /* once: whatever comes in one poll comes at one time */
    uint32_t count = poll_loop(bus, now_ns);

    for (uint32_t peer = 0; peer < bus->peer_bound; peer++)
        if (bus->peers[peer].link.mem != NULL)
            count += poll_ring(bus, now_ns, peer);
    return count + poll_ends(bus, now_ns);
}

bool kt_local_calls_pending(const kt_local *bus)
{
    if (bus->loop_count > 0 || bus->calls.ended > 0)
        return true;
    for (uint32_t peer = 0; peer < bus->peer_bound; peer++)
        if (bus->peers[peer].link.mem != NULL && kt_peer_ring_ready(&bus->peers[peer].link.in))
            return true;
    return false;
}

static int64_t first_deadline(const kt_local_calls *table)
{
    int64_t first = INT64_MAX;

    for (uint32_t i = 0; i < table->open; i++) {
        const kt_local_call *call = &table->items[table->order[i]];
        if (call->deadline_ns < first)
            first = call->deadline_ns;
    }
    return first;
}

int64_t kt_local_next_deadline(const kt_bus *base)
{
    const kt_local *bus = (const kt_local *)base;
    int64_t made = first_deadline(&bus->calls), served = first_deadline(&bus->served);

    return made < served ? made : served;
}

/* ---- generations ---- */

/* Whatever was open with this lane is unknown now: it may have been done, and nobody will say so. */
static void end_calls(kt_local *bus, uint32_t peer)
{
    for (uint32_t i = bus->calls.open; i-- > 0;) {
        kt_local_call *call = call_at(&bus->calls, i);
        if (call->peer != peer || call->ended)
            continue;
        call->ended = true;
        call->code = KT_UNKNOWN;
        bus->calls.ended++;
    }
    for (uint32_t i = bus->served.open; i-- > 0;)
        if (call_at(&bus->served, i)->peer == peer)
            call_free(&bus->served, call_at(&bus->served, i));
}

kt_code kt_local_link(kt_bus *base, uint32_t peer_index, uint32_t generation, int fd, kt_err *err)
{
    kt_local *bus = (kt_local *)base;
    kt_code code = KT_OK;

    if (peer_index >= KT_BOARD_LANE_MAX) {
        if (fd >= 0)
            close(fd);
        return kt_fail(err, KT_ARG, "a ring to lane %u; there are %d", peer_index, KT_BOARD_LANE_MAX);
    }
    kt_local_peer *peer = &bus->peers[peer_index];
    kt_peer_link_close(&peer->link);
    peer->generation = generation;
    if (bus->peer_bound <= peer_index)
        bus->peer_bound = peer_index + 1;
    end_calls(bus, peer_index);
    if (fd < 0)
        return KT_OK;
    code = kt_peer_link_open(&peer->link, fd, KT_PEER_RING_CAPACITY, bus->options.local.lane_index < peer_index, err);
    close(fd);
    return code;
}

void kt_local_calls_open(kt_local *bus)
{
    table_init(&bus->calls);
    table_init(&bus->served);
}

void kt_local_calls_close(kt_local *bus)
{
    for (uint32_t i = bus->calls.open; i-- > 0;) {
        kt_local_call *call = call_at(&bus->calls, i);
        tell(bus, call, call->ended ? call->code : KT_UNKNOWN, (kt_text){ NULL, 0 });
    }
    for (uint32_t peer = 0; peer < KT_BOARD_LANE_MAX; peer++)
        kt_peer_link_close(&bus->peers[peer].link);
    for (kt_local_loop *frame = bus->loop_first; frame != NULL;) {
        kt_local_loop *next = frame->next;
        free(frame);
        frame = next;
    }
}
