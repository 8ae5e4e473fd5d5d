#include "lane/state.h"

#include "base/assert.h"
#include "base/text.h"

#include <stdlib.h>

/* ---- outputs being made ---- */

static void *block_room(kt_made_queue *made, size_t size)
{
    size = KT_ALIGN_UP(size, 16);
    if (made->block != NULL && made->block->size - made->used >= size)
        return made->block->bytes + made->used;
    while (made->block != NULL && made->block->next != NULL) { /* blocks of an earlier, larger input */
        made->block = made->block->next;
        made->used = 0;
        if (made->block->size >= size)
            return made->block->bytes;
    }
    size_t room = size > KT_LANE_BLOCK_SIZE ? size : KT_LANE_BLOCK_SIZE;
    kt_block *block = malloc(sizeof *block + room);
    if (block == NULL)
        return NULL;
    *block = (kt_block){ .size = room };
    if (made->block != NULL)
        made->block->next = block;
    else
        made->first = block;
    made->block = block;
    made->used = 0;
    return block->bytes;
}

static void *block_take(kt_made_queue *made, const void *bytes, size_t size)
{
    void *room = block_room(made, size);

    if (room == NULL)
        return NULL;
    if (bytes != NULL && size > 0)
        memcpy(room, bytes, size);
    made->used += KT_ALIGN_UP(size, 16);
    return room;
}

void kt_lane_begin(kt_lane *lane, uint64_t input_seq)
{
    kt_made_queue *made = &lane->made;

    made->count = made->offered = made->settled = 0;
    made->block = made->first;
    made->used = 0;
    lane->input_seq = input_seq;
}

void kt_lane_made_done(kt_made_queue *made)
{
    for (kt_block *block = made->first; block != NULL;) {
        kt_block *next = block->next;
        free(block);
        block = next;
    }
    free(made->items);
    *made = (kt_made_queue){ 0 };
}

static kt_made *made_new(kt_made_queue *made)
{
    if (made->count == made->capacity) {
        uint32_t capacity = made->capacity != 0 ? made->capacity * 2 : 64;
        kt_made *items = made->capacity < KT_SERVICE_OUTPUT_MAX ? realloc(made->items, capacity * sizeof *items) : NULL;
        if (items == NULL)
            return NULL;
        made->items = items;
        made->capacity = capacity;
    }
    return &made->items[made->count];
}

/* A lost output can not be repaired later: whatever the service does with the code, the lane ends. */
static kt_code emit_failed(kt_lane *lane, const kt_env *env, kt_code code, uint16_t kind, kt_text subject)
{
    kt_lane_fail(lane, false, "service %s can not emit kind %u on '%.*s' for input %llu: %s",
        lane->services[env->index].spec->name, kind, (int)(subject.n < 128 ? subject.n : 128), subject.s,
        (unsigned long long)lane->input_seq, kt_code_text(code));
    return code;
}

static kt_code emit(kt_env *env, uint16_t kind, kt_text subject, const void *event, bool request)
{
    kt_lane *lane = env->lane;
    kt_made_queue *made = &lane->made;
    uint32_t id = 0, size = 0, room = 1024;
    kt_code code = KT_OK;
    void *payload = NULL;

    if (!lane->active || lane->question)
        return emit_failed(lane, env, KT_ARG, kind, subject);
    if (kt_log_subject_find(lane->log, subject, &id) != KT_OK)
        code = kt_subject_check(subject, NULL);
    kt_made *item = made_new(made);
    if (item == NULL)
        code = KT_FULL;
    for (; code == KT_OK; room *= 4) {
        payload = block_room(made, room);
        if (payload == NULL)
            return emit_failed(lane, env, KT_SYS, kind, subject);
        code = kt_event_encode(kind, event, payload, room, &size);
        if (code != KT_FULL || room >= KT_RECORD_MAX)
            break;
        code = KT_OK;
    }
    if (code == KT_OK && size > kt_log_record_max(lane->log) - sizeof(kt_rec))
        code = KT_LIMIT;
    if (code != KT_OK)
        return emit_failed(lane, env, code, kind, subject);
    made->used += KT_ALIGN_UP(size, 16);
    const char *name = block_take(made, subject.s, subject.n);
    if (name == NULL)
        return emit_failed(lane, env, KT_SYS, kind, subject);
    *item = (kt_made){ .kind = kind,
        .request = request,
        .subject_id = id,
        .subject = name,
        .subject_size = (uint32_t)subject.n,
        .size = size,
        .payload = payload,
        .time_ns = lane->now_ns };
    made->count++;
    return KT_OK;
}

/* ---- env ---- */

int64_t kt_env_now(const kt_env *env)
{
    return env->lane->now_ns;
}

uint64_t kt_env_random(kt_env *env)
{
    kt_assert(env->lane->active && !env->lane->question);
    return kt_rng_u64(&env->lane->rng);
}

uint64_t kt_env_key(kt_env *env)
{
    kt_assert(env->lane->active && !env->lane->question);
    return ++env->lane->keys;
}

uint64_t kt_env_hash_seed(const kt_env *env)
{
    return env->lane->hash_seed;
}

const char *kt_env_lane(const kt_env *env)
{
    return env->lane->name;
}

kt_code kt_env_emit(kt_env *env, uint16_t kind, kt_text subject, const void *event)
{
    return emit(env, kind, subject, event, false);
}

kt_code kt_env_request(kt_env *env, uint16_t kind, kt_text subject, const void *event)
{
    return emit(env, kind, subject, event, true);
}

kt_code kt_env_timer(kt_env *env, uint64_t timer_id, int64_t at_ns)
{
    kt_lane *lane = env->lane;

    kt_assert(lane->active && !lane->question);
    kt_code code = kt_timers_set(&lane->timers, env->index, timer_id, at_ns);
    if (code != KT_OK)
        kt_lane_fail(lane, false, "service %s sets more than %d timers", lane->services[env->index].spec->name,
            KT_SERVICE_TIMER_MAX);
    return code;
}

void kt_env_timer_cancel(kt_env *env, uint64_t timer_id)
{
    kt_assert(env->lane->active && !env->lane->question);
    kt_timers_cancel(&env->lane->timers, env->index, timer_id);
}

static kt_lane_answer *answer_of(kt_lane *lane, uint64_t token)
{
    for (uint32_t i = 0; i < lane->answer_count; i++)
        if (lane->answers[i].token == token)
            return &lane->answers[i];
    return NULL;
}

void kt_env_answer(kt_env *env, const kt_call *call, kt_code code, kt_text body)
{
    kt_lane *lane = env->lane;
    kt_lane_answer *answer = call->command ? answer_of(lane, call->token) : NULL;

    if (call->token == 0 || !lane->live)
        return; /* recovery: who asked has been told that the outcome is unknown */
    if (!call->command) {
        kt_bus_answer(lane->bus, call->token, code, body);
        return;
    }
    if (answer == NULL || answer->body != NULL)
        return;
    answer->body = malloc(body.n + 1);
    if (answer->body == NULL) {
        kt_lane_fail(lane, false, "no memory for an answer");
        return;
    }
    if (body.n > 0)
        memcpy(answer->body, body.s, body.n);
    answer->size = body.n;
    answer->code = code;
}

/* ---- who wants what ---- */

/* "market:trades.>" is a pattern of log market, "trades.>" one of the own: a log's name has no dot, so a colon inside of a
 * symbol is never taken for it. False: the name is too long. */
bool kt_lane_pattern(const char *pattern, const char **out_pattern, char log[KT_BOARD_NAME_SIZE])
{
    size_t n = strcspn(pattern, ":.");

    log[0] = 0;
    *out_pattern = pattern;
    if (pattern[n] != ':')
        return true;
    if (n >= KT_BOARD_NAME_SIZE)
        return false;
    memcpy(log, pattern, n);
    log[n] = 0;
    *out_pattern = pattern + n + 1;
    return true;
}

static uint32_t mask_of(const kt_lane *lane, const char *log, kt_text subject)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < lane->service_count; i++) {
        const char *const *patterns = lane->services[i].spec->subjects;
        for (uint32_t p = 0; patterns != NULL && patterns[p] != NULL; p++) {
            const char *pattern;
            char of[KT_BOARD_NAME_SIZE];
            kt_lane_pattern(patterns[p], &pattern, of);
            if (strcmp(of, log) == 0 && kt_subject_match(kt_text_of(pattern), subject))
                mask |= 1u << i;
        }
    }
    return log[0] == 0 ? mask | kt_lane_feeds_mask(lane, subject) : mask;
}

/* The mask of a subject id, kept in a table that grows with the number of subjects of the log. */
static uint32_t mask_cached(
    kt_lane *lane, uint32_t **masks, uint32_t *count, uint32_t id, const char *log, kt_text subject)
{
    if (id >= *count) {
        uint32_t more = id + 256;
        uint32_t *grown = realloc(*masks, more * sizeof *grown);
        if (grown == NULL)
            return mask_of(lane, log, subject);
        memset(grown + *count, 0, (more - *count) * sizeof *grown);
        *masks = grown;
        *count = more;
    }
    if (((*masks)[id] & KT_MASK_KNOWN) == 0)
        (*masks)[id] = mask_of(lane, log, subject) | KT_MASK_KNOWN;
    return (*masks)[id] & ~KT_MASK_KNOWN;
}

/* Of the own log; `id` 0: not declared yet. */
static uint32_t own_mask(kt_lane *lane, uint32_t id, kt_text subject)
{
    return id == 0 ? mask_of(lane, "", subject) : mask_cached(lane, &lane->masks, &lane->mask_count, id, "", subject);
}

uint32_t kt_lane_foreign_mask(kt_lane *lane, kt_lane_source *source, uint32_t subject_id)
{
    return mask_cached(lane, &source->masks, &source->mask_count, subject_id, source->name,
        kt_reader_subject(source->reader, subject_id));
}

bool kt_lane_is_aside(const kt_lane *lane, const char *log, uint64_t seq)
{
    for (uint32_t i = 0; i < lane->aside_count; i++)
        if (lane->asides[i].seq == seq && strcmp(lane->asides[i].log, log) == 0)
            return true;
    return false;
}

kt_lane_source *kt_lane_source_of(kt_lane *lane, kt_text name)
{
    for (uint32_t i = 0; i < lane->source_count; i++)
        if (kt_text_equal(kt_text_of(lane->sources[i].name), name))
            return &lane->sources[i];
    return NULL;
}

/* ---- applying ---- */

static void deliver(kt_lane *lane, const kt_event *event, uint32_t mask)
{
    mask &= KT_MASK_SERVICES;
    for (uint32_t i = 0; mask != 0; i++, mask >>= 1) {
        kt_lane_service *service = &lane->services[i];
        if ((mask & 1) != 0 && service->spec->on_event != NULL)
            service->spec->on_event(service->state, &service->env, event);
    }
}

/* Outputs are offered to the lane's other services in the order made, until nothing new comes. */
static void offer(kt_lane *lane)
{
    kt_made_queue *made = &lane->made;

    while (made->offered < made->count && !lane->failed) {
        kt_made item = made->items[made->offered++]; /* a copy: the table may move */
        kt_text subject = { item.subject, item.subject_size };
        uint32_t mask = own_mask(lane, item.subject_id, subject);
        kt_rec rec = { .size = (uint32_t)sizeof rec + item.size,
            .kind = item.kind,
            .flags = KT_REC_OUTPUT,
            .time_ns = item.time_ns,
            .cause = lane->input_seq };
        kt_event event = { .rec = &rec,
            .subject = subject,
            .log = kt_text_of(lane->name),
            .input_seq = lane->input_seq,
            .payload = item.payload,
            .size = item.size };
        if (mask != 0)
            deliver(lane, &event, mask);
    }
}

static void enter(kt_lane *lane, uint32_t log_index, const kt_rec *rec)
{
    kt_board_page *page = lane->page;

    atomic_store_explicit(&page->applying_kind, rec->kind, memory_order_relaxed);
    atomic_store_explicit(&page->applying_log, log_index, memory_order_relaxed);
    atomic_store_explicit(&page->applying_seq, rec->seq, memory_order_release);
    lane->active = true;
    lane->now_ns = rec->time_ns;
}

/* What comes from outside moves the lane's position; what a start makes by itself (and a connection that comes and goes) would
 * hide that a lane gets nowhere. */
static bool is_progress(uint16_t kind)
{
    return kind != KT_EV_LANE_START && kind != KT_EV_TIMER && kind != KT_EV_LINK && kind != KT_EV_LOST;
}

static void leave(kt_lane *lane, uint32_t log_index, const kt_rec *rec)
{
    kt_board_page *page = lane->page;

    lane->active = false;
    atomic_store_explicit(&page->applying_seq, 0, memory_order_release);
    if (log_index < KT_BOARD_LANE_MAX && is_progress(rec->kind))
        atomic_store_explicit(&page->position[log_index], rec->seq, memory_order_relaxed);
}

static void apply_timer(kt_lane *lane, const void *payload, uint32_t size)
{
    kt_ev_timer timer;

    if (kt_event_decode(KT_EV_TIMER, payload, size, &timer) != KT_OK) {
        kt_lane_fail(lane, true, "input %llu is a timer that can not be decoded", (unsigned long long)lane->input_seq);
        return;
    }
    for (uint32_t i = 0; i < lane->service_count; i++) {
        kt_lane_service *service = &lane->services[i];
        if (!kt_text_equal(kt_text_of(service->spec->name), timer.service))
            continue;
        /* Not set: it was set by another logic version. */
        if (kt_timers_cancel(&lane->timers, i, timer.timer_id) == KT_OK && service->spec->on_timer != NULL)
            service->spec->on_timer(service->state, &service->env, timer.timer_id);
    }
}

static const kt_service_action *action_of(const kt_service_spec *spec, kt_text name)
{
    for (const kt_service_action *action = spec->actions; action != NULL && action->name != NULL; action++)
        if (kt_text_equal(kt_text_of(action->name), name))
            return action;
    return NULL;
}

static void call_service(kt_lane *lane, const kt_call *call)
{
    for (uint32_t i = 0; i < lane->service_count; i++) {
        kt_lane_service *service = &lane->services[i];
        if (action_of(service->spec, call->action) == NULL || service->spec->on_call == NULL)
            continue;
        kt_code code = service->spec->on_call(service->state, &service->env, call);
        if (code != KT_OK)
            kt_env_answer(&service->env, call, code, (kt_text){ NULL, 0 });
        return;
    }
}

static void apply_call(kt_lane *lane, const kt_rec *rec, const void *payload, uint32_t size)
{
    kt_ev_call call;

    if (kt_event_decode(KT_EV_CALL, payload, size, &call) != KT_OK) {
        kt_lane_fail(lane, true, "input %llu is a call that can not be decoded", (unsigned long long)lane->input_seq);
        return;
    }
    kt_call seen = {
        .action = call.action, .params = call.params, .caller = call.caller, .id = call.call_id, .command = true
    };
    if (lane->call_token != 0) {
        seen.token = lane->call_token;
        lane->answers[lane->answer_count++] = (kt_lane_answer){ .seq = rec->seq, .token = lane->call_token };
        lane->call_token = 0;
    }
    call_service(lane, &seen);
}

static void apply_lane_start(kt_lane *lane, const kt_rec *rec, const void *payload, uint32_t size)
{
    kt_ev_lane_start start;

    if (kt_event_decode(KT_EV_LANE_START, payload, size, &start) != KT_OK) {
        kt_lane_fail(lane, true, "input %llu is a start that can not be decoded", (unsigned long long)lane->input_seq);
        return;
    }
    kt_lane_options said = { .config_text = start.config };
    lane->generation = start.generation;
    lane->logic = start.logic;
    lane->config_crc = kt_lane_config_crc(&said);
    lane->comparing = lane->logic == lane->options.logic && lane->config_crc == kt_lane_config_crc(&lane->options);
    kt_rng_init(&lane->rng, start.seed);
    /* Keys of another logic version may stand in the log without having been counted by this one. */
    if (lane->keys < rec->seq << 16)
        lane->keys = rec->seq << 16;
}

static void apply_lost(kt_lane *lane, const void *payload, uint32_t size)
{
    kt_ev_lost lost;
    kt_lane_source *source;

    if (kt_event_decode(KT_EV_LOST, payload, size, &lost) != KT_OK)
        return;
    source = kt_text_equal(lost.reader, kt_text_of(lane->name)) ? kt_lane_source_of(lane, lost.log) : NULL;
    if (source == NULL)
        return;
    /* A range, behind which reading goes on; or (to 0) another log, which goes on at from. */
    if (lost.to_seq == 0)
        source->position = lost.from_seq - 1;
    else if (lost.to_seq > source->position)
        source->position = lost.to_seq;
    if (source->safe_next > source->position)
        source->safe_next = source->position;
    if (!lane->live) { /* the next admit opens it behind the range */
        kt_reader_close(source->reader);
        source->reader = NULL;
    }
}

void kt_lane_apply(kt_lane *lane, const kt_rec *rec, kt_text subject, const void *payload, uint32_t size)
{
    kt_event event = { .rec = rec,
        .subject = subject,
        .log = kt_text_of(lane->name),
        .input_seq = rec->seq,
        .payload = payload,
        .size = size };

    kt_lane_begin(lane, rec->seq);
    enter(lane, lane->log_index, rec);
    switch (rec->kind) {
    case KT_EV_TIMER:
        apply_timer(lane, payload, size);
        break;
    case KT_EV_CALL:
        apply_call(lane, rec, payload, size);
        break;
    case KT_EV_LANE_START:
        apply_lane_start(lane, rec, payload, size);
        deliver(lane, &event, own_mask(lane, rec->subject, subject));
        break;
    case KT_EV_LOST:
        apply_lost(lane, payload, size);
        deliver(lane, &event, own_mask(lane, rec->subject, subject));
        break;
    default:
        deliver(lane, &event, own_mask(lane, rec->subject, subject));
    }
    offer(lane);
    leave(lane, lane->log_index, rec);
    lane->last_ns = rec->time_ns;
    lane->bytes_since += sizeof *rec + size;
    if (lane->live)
        kt_lane_settle(lane);
}

void kt_lane_apply_foreign(kt_lane *lane, kt_lane_source *source, const kt_rec *rec)
{
    uint32_t mask = (rec->flags & KT_REC_CONTROL) != 0 ? 0 : kt_lane_foreign_mask(lane, source, rec->subject);
    uint32_t log_index = source->board_index >= 0 ? (uint32_t)source->board_index : KT_BOARD_LANE_MAX;

    if (mask != 0 && kt_lane_is_aside(lane, source->name, rec->seq)) {
        lane->counts.set_aside++;
    } else if (mask != 0) {
        kt_event event = { .rec = rec,
            .subject = kt_reader_subject(source->reader, rec->subject),
            .log = kt_text_of(source->name),
            .input_seq = lane->input_seq,
            .payload = kt_rec_payload(rec),
            .size = kt_rec_payload_size(rec) };
        enter(lane, log_index, rec);
        deliver(lane, &event, mask);
        offer(lane);
        leave(lane, log_index, rec);
        lane->bytes_since += rec->size;
        if (lane->live)
            kt_lane_settle(lane);
    }
    source->position = rec->seq;
}

/* ---- writing ---- */

static uint32_t subject_flags(const kt_lane *lane, kt_text subject)
{
    for (uint32_t i = 0; i < lane->service_count; i++) {
        const char *const *patterns = lane->services[i].spec->after_durable;
        for (uint32_t p = 0; patterns != NULL && patterns[p] != NULL; p++)
            if (kt_subject_match(kt_text_of(patterns[p]), subject))
                return KT_SUBJECT_AFTER_DURABLE;
    }
    return 0;
}

kt_code kt_lane_append(kt_lane *lane, uint16_t kind, uint16_t flags, kt_text subject, uint64_t cause,
    const void *payload, uint32_t size, kt_rec *out_rec)
{
    int64_t now = kt_lane_clock(lane);
    kt_rec_head head = { .kind = kind, .flags = flags, .cause = cause };
    uint64_t seq;

    head.time_ns = now > lane->last_ns ? now : lane->last_ns;
    kt_code code = kt_log_subject(lane->log, subject, subject_flags(lane, subject), &head.subject, NULL);
    if (code == KT_OK)
        code = kt_log_append(lane->log, &head, payload, size, &seq);
    if (code != KT_OK)
        return code;
    *out_rec = (kt_rec){ .size = (uint32_t)sizeof *out_rec + size,
        .kind = kind,
        .flags = flags,
        .subject = head.subject,
        .seq = seq,
        .time_ns = head.time_ns,
        .cause = cause };
    return KT_OK;
}

/* A table of subjects that is full says KT_FULL too, and stays so. */
bool kt_lane_lacks_room(const kt_lane *lane, kt_code code)
{
    return code == KT_FULL && kt_log_intake_stopped(lane->log);
}

kt_code kt_lane_write_made(kt_lane *lane, const kt_made *made)
{
    kt_text subject = { made->subject, made->subject_size };
    uint32_t flags = subject_flags(lane, subject);
    kt_rec_head head = { .kind = made->kind,
        .flags = KT_REC_OUTPUT,
        .subject = made->subject_id,
        .time_ns = made->time_ns,
        .cause = lane->input_seq };
    uint64_t seq;
    kt_code code = KT_OK;

    if (head.subject == 0 || kt_log_subject_info_of(lane->log, head.subject).flags != flags)
        code = kt_log_subject(lane->log, subject, flags, &head.subject, NULL);
    if (code == KT_OK)
        code = kt_log_append(lane->log, &head, made->payload, made->size, &seq);
    if (code != KT_OK) {
        kt_lane_fail(lane, false, "log '%s' does not take the output '%.*s' of input %llu: %s", lane->name,
            KT_TEXT_ARG(subject), (unsigned long long)lane->input_seq, kt_code_text(code));
        if (kt_lane_lacks_room(lane, code))
            lane->failure.code = KT_FULL;
        return code;
    }
    lane->bytes_since += sizeof(kt_rec) + made->size;
    uint32_t mask = lane->live ? own_mask(lane, head.subject, subject) : 0;
    if (mask >= KT_MASK_FEED)
        kt_lane_feeds_keep(lane, made, &head, seq, mask);
    return KT_OK;
}

void kt_lane_settle(kt_lane *lane)
{
    kt_made_queue *made = &lane->made;

    while (made->settled < made->count && !lane->failed)
        if (kt_lane_write_made(lane, &made->items[made->settled++]) == KT_OK)
            lane->counts.outputs++;
}

/* ---- inputs ---- */

kt_code kt_lane_put_input(kt_lane *lane, uint16_t kind, kt_text subject, uint64_t cause, const void *payload,
    uint32_t size, uint64_t *out_seq)
{
    kt_rec rec;

    if (lane->active || lane->question || !lane->live)
        return KT_ARG;
    if (lane->failed)
        return KT_SYS;
    kt_code code = kt_lane_append(lane, kind, KT_REC_INPUT, subject, cause, payload, size, &rec);
    if (code == KT_SYS)
        kt_lane_fail(lane, false, "log '%s' has failed", lane->name);
    if (code != KT_OK)
        return code;
    kt_lane_apply(lane, &rec, subject, payload, size);
    lane->counts.inputs++;
    lane->worked = true;
    if (out_seq != NULL)
        *out_seq = rec.seq;
    return lane->failed ? KT_SYS : KT_OK;
}

kt_code kt_lane_input(
    kt_lane *lane, uint16_t kind, kt_text subject, uint64_t cause, const void *event, uint64_t *out_seq)
{
    uint32_t size;

    if (lane->active || lane->question)
        return KT_ARG;
    kt_code code = kt_event_encode(kind, event, lane->scratch, lane->scratch_size, &size);
    if (code == KT_FULL)
        return KT_LIMIT;
    if (code != KT_OK)
        return code;
    return kt_lane_put_input(lane, kind, subject, cause, lane->scratch, size, out_seq);
}

/* A call over the bus: a question is answered from what the service knows, a command is written first. */
void kt_lane_on_bus_call(void *ctx, const kt_bus_call *call)
{
    kt_lane *lane = ctx;
    const kt_service_action *action = NULL;

    for (uint32_t i = 0; i < lane->service_count && action == NULL; i++)
        action = action_of(lane->services[i].spec, call->action);
    if (action == NULL || !action->command) {
        kt_call seen = {
            .action = call->action, .params = call->params, .caller = call->caller, .id = call->id, .token = call->token
        };
        lane->question = true;
        lane->now_ns = lane->last_ns;
        call_service(lane, &seen);
        lane->question = false;
        return;
    }
    if (lane->answer_count == KT_LANE_ANSWER_MAX) {
        kt_bus_answer(lane->bus, call->token, KT_BUSY, (kt_text){ NULL, 0 });
        return;
    }
    char subject[KT_SUBJECT_MAX + 1];
    kt_ev_call command;
    kt_builder builder;
    kt_builder_init(&builder, subject, sizeof subject);
    kt_builder_str(&builder, "call.");
    kt_builder_text(&builder, call->action);
    kt_event_init(KT_EV_CALL, &command);
    command.action = call->action;
    command.caller = call->caller;
    command.call_id = call->id;
    command.params = call->params;

    lane->call_token = call->token;
    kt_code code = kt_lane_input(lane, KT_EV_CALL, kt_builder_done(&builder), 0, &command, NULL);
    if (lane->call_token != 0) /* not written, so never to be done */
        kt_bus_answer(lane->bus, call->token, code, (kt_text){ NULL, 0 });
    lane->call_token = 0;
}
