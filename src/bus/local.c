#include "bus/local.h"

#include "base/text.h"
#include "schema/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t kt_local_now(const kt_local *bus)
{
    struct timespec now;

    if (bus->options.local.clock_ns != NULL)
        return bus->options.local.clock_ns(bus->options.local.clock_ctx);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- publish ---- */

static kt_code append_straight(kt_local *bus, uint16_t kind, kt_text subject, uint64_t cause, const void *payload,
    uint32_t size, uint64_t *out_seq, kt_err *err)
{
    struct timespec now;
    kt_rec_head head = { .kind = kind, .flags = KT_REC_INPUT, .cause = cause };
    kt_code code = kt_log_subject(bus->options.local.log, subject, 0, &head.subject, err);

    if (code != KT_OK)
        return code;
    clock_gettime(CLOCK_REALTIME, &now);
    head.time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    code = kt_log_append(bus->options.local.log, &head, payload, size, out_seq);
    if (code != KT_OK)
        return kt_fail(err, code, "log '%s' takes nothing: %s", bus->log_name, kt_code_text(code));
    kt_log_kick(bus->options.local.log);
    return KT_OK;
}

kt_code kt_local_append(kt_local *bus, uint16_t kind, kt_text subject, uint64_t cause, const void *payload,
    uint32_t size, uint64_t *out_seq, kt_err *err)
{
    if (bus->options.local.log == NULL)
        return kt_fail(err, KT_ARG, "this bus only reads: it was opened without a log of its own");
    if (bus->options.local.append == NULL)
        return append_straight(bus, kind, subject, cause, payload, size, out_seq, err);
    return bus->options.local.append(bus->options.local.append_ctx, kind, subject, cause, payload, size, out_seq, err);
}

kt_code kt_local_last(kt_reader *live, kt_reader *reader, kt_text subject, const kt_rec **out_rec)
{
    kt_reader_subject_info info;
    kt_resume resume;
    kt_code code = kt_reader_subject_find(live, subject, &info);

    if (code != KT_OK || info.last_offset == 0)
        return KT_NOENT;
    code = kt_reader_resume(live, subject, 0, info.last_offset - 1, &resume, NULL);
    if (code != KT_OK)
        return KT_NOENT;
    code = kt_reader_seek(reader, 0, resume.from_seq, NULL, NULL);
    while (code == KT_OK && (code = kt_reader_next(reader, UINT64_MAX, out_rec)) == KT_OK)
        if ((*out_rec)->subject == info.id && (*out_rec)->offset == info.last_offset)
            return KT_OK;
    return KT_NOENT;
}

static const uint8_t *boot_id(const kt_local *bus)
{
    return bus->options.local.boot_id;
}

static uint64_t producer_of_log(kt_local *bus, kt_text subject)
{
    char dir[KT_LOCAL_DIR_SIZE];
    kt_reader *live = NULL, *reader = NULL;
    const kt_rec *rec;
    uint64_t last = 0;

    snprintf(dir, sizeof dir, "%s/%s", bus->options.local.data_dir, bus->log_name);
    if (kt_reader_open(dir, boot_id(bus), &live, NULL) == KT_OK && kt_reader_seek_end(live, NULL) == KT_OK &&
        kt_reader_open(dir, boot_id(bus), &reader, NULL) == KT_OK &&
        kt_local_last(live, reader, subject, &rec) == KT_OK)
        last = rec->cause;
    kt_reader_close(live);
    kt_reader_close(reader);
    return last;
}

/* The last sequence of the producer of this subject, looked up in the log once. */
static kt_code producer_last(kt_local *bus, kt_text subject, uint64_t **out_last, kt_err *err)
{
    uint32_t id;
    kt_code code = kt_log_subject(bus->options.local.log, subject, 0, &id, err);

    if (code != KT_OK)
        return code;
    if (id >= bus->producer_count) {
        uint32_t count = id + 64;
        uint64_t *producers = realloc(bus->producers, count * sizeof *producers);
        if (producers == NULL)
            return kt_fail(err, KT_SYS, "no memory for producers");
        memset(producers + bus->producer_count, 0xFF, (count - bus->producer_count) * sizeof *producers);
        bus->producers = producers;
        bus->producer_count = count;
    }
    if (bus->producers[id] == UINT64_MAX)
        bus->producers[id] = producer_of_log(bus, subject);
    *out_last = &bus->producers[id];
    return KT_OK;
}

static kt_code publish(kt_bus *base, const kt_bus_publish_spec *spec, uint64_t *out_seq, kt_err *err)
{
    kt_local *bus = (kt_local *)base;
    uint64_t *last = NULL, seq = 0;
    kt_code code = KT_OK;

    if (bus->options.local.log == NULL)
        return kt_fail(err, KT_ARG, "this bus only reads: it was opened without a log of its own");
    if (spec->on_ack != NULL && bus->ack_count == KT_BUS_ACK_MAX)
        return kt_fail(err, KT_FULL, "%d publishes wait for their acknowledgement", KT_BUS_ACK_MAX);
    if (spec->producer_seq != 0)
        code = producer_last(bus, spec->subject, &last, err);
    if (code != KT_OK)
        return code;
    if (last != NULL && spec->producer_seq <= *last) {
        seq = kt_log_written(bus->options.local.log); /* a repeat: it stands somewhere at or below */
    } else {
        code =
            kt_local_append(bus, spec->kind, spec->subject, spec->producer_seq, spec->payload, spec->size, &seq, err);
        if (code != KT_OK)
            return code;
        if (last != NULL)
            bus->producers[last - bus->producers] = spec->producer_seq;
    }
    if (spec->on_ack != NULL)
        bus->acks[bus->ack_count++] = (kt_local_ack){ .seq = seq, .on_ack = spec->on_ack, .ctx = spec->ctx };
    if (out_seq != NULL)
        *out_seq = seq;
    return KT_OK;
}

static uint64_t acknowledged(const kt_local *bus)
{
    return bus->options.durability == KT_DURABILITY_RAM ? kt_log_written(bus->options.local.log)
                                                        : kt_log_durable(bus->options.local.log);
}

static uint32_t poll_acks(kt_local *bus)
{
    uint32_t done = 0;

    if (bus->ack_count == 0)
        return 0;
    uint64_t upto = acknowledged(bus);
    while (done < bus->ack_count && bus->acks[done].seq <= upto)
        done++;
    kt_local_ack *told = malloc(done * sizeof *told + 1);
    if (told == NULL)
        return 0;
    memcpy(told, bus->acks, done * sizeof *told);
    memmove(bus->acks, bus->acks + done, (bus->ack_count - done) * sizeof *bus->acks);
    bus->ack_count -= done;
    for (uint32_t i = 0; i < done; i++) /* a callback may publish again */
        told[i].on_ack(told[i].ctx, KT_OK, told[i].seq, bus->options.durability);
    free(told);
    return done;
}

/* ---- read ---- */

/* "market:trades.>": a log's name has no dot, so a colon inside of a symbol is never taken for its end. */
static kt_code split_pattern(kt_local_reader *reader, const char *text, kt_err *err)
{
    size_t n = strcspn(text, ":.");
    const char *pattern = text[n] == ':' ? text + n + 1 : text;
    kt_text log = text[n] == ':' ? (kt_text){ text, n } : kt_text_of(reader->bus->log_name);

    if (log.n == 0 || log.n >= KT_BOARD_NAME_SIZE || strlen(pattern) >= KT_LOCAL_PATTERN_SIZE)
        return kt_fail(err, KT_ARG, "it names no log, or is too long: pattern '%s'", text);
    if (reader->pattern_count > 0 && !kt_text_equal(log, kt_text_of(reader->log)))
        return kt_fail(err, KT_ARG, "pattern '%s' is of another log than '%s'; a reader reads one", text, reader->log);
    kt_code code = kt_pattern_check(kt_text_of(pattern), err);
    if (code != KT_OK)
        return code;
    snprintf(reader->log, sizeof reader->log, "%.*s", KT_TEXT_ARG(log));
    strcpy(reader->patterns[reader->pattern_count++], pattern);
    return KT_OK;
}

static void tell_lost(kt_local_reader *reader, kt_code code, kt_lost lost)
{
    if (reader->spec.on_lost != NULL)
        reader->spec.on_lost(reader->spec.ctx, &reader->base, code, lost.from, lost.to);
}

/* After an answer other than OK and EMPTY: reading goes on where the log's reader stands, or stops for good. */
static void go_on(kt_local_reader *reader, kt_code code, kt_lost lost)
{
    bool behind_fence = code == KT_CORRUPT && kt_reader_position(reader->reader) > lost.from;

    reader->stopped = code != KT_GONE && code != KT_EPOCH && code != KT_SEQ && !behind_fence;
    reader->position = kt_reader_position(reader->reader) - 1;
}

static kt_code seek_start(kt_local_reader *reader)
{
    kt_cursor_position stored;

    switch (reader->spec.from) {
    case KT_BUS_FROM_LIVE:
        return kt_reader_seek_end(reader->reader, NULL);
    case KT_BUS_FROM_TIME:
        return kt_reader_seek_time(reader->reader, reader->spec.time_ns, NULL);
    case KT_BUS_FROM_SEQ:
        return kt_reader_seek(reader->reader, 0, reader->spec.seq, NULL, NULL);
    case KT_BUS_FROM_CURSOR:
        stored = kt_cursor_get(reader->cursor);
        if (reader->spec.durable_only) /* what it acknowledged, it had seen at durable */
            kt_reader_know_durable(reader->reader, stored.seq);
        return kt_reader_seek(reader->reader, stored.epoch, stored.seq + 1, NULL, NULL);
    }
    return KT_ARG;
}

/* Open the log when it is there, and stand where reading starts. What goes wrong is told by the next poll: kt_bus_read()
 * has not returned yet. */
static void reader_start(kt_local_reader *reader)
{
    kt_code code = kt_reader_open(reader->dir, boot_id(reader->bus), &reader->reader, NULL);

    if (code == KT_OK && reader->cursor_name[0] != 0 && reader->cursor == NULL)
        code = kt_cursor_open(reader->dir, reader->cursor_name, &reader->cursor, NULL);
    bool opened = code == KT_OK;
    if (opened)
        code = seek_start(reader);
    if (code == KT_OK) {
        reader->position = kt_reader_position(reader->reader) - 1;
        return;
    }
    if (opened && code != KT_NOENT) {
        reader->untold_lost = kt_reader_lost(reader->reader);
        go_on(reader, code, reader->untold_lost);
    } else {
        kt_reader_close(reader->reader);
        reader->reader = NULL;
        reader->stopped = code != KT_NOENT; /* not there yet: tried again */
    }
    reader->untold = code == KT_NOENT ? KT_OK : code;
}

static kt_code read_open(kt_bus *base, const kt_bus_read_spec *spec, kt_bus_reader **out_reader, kt_err *err)
{
    kt_local *bus = (kt_local *)base;
    uint32_t place = 0;
    kt_code code = KT_OK;

    while (place < KT_BUS_READER_MAX && bus->readers[place] != NULL)
        place++;
    if (place == KT_BUS_READER_MAX || spec->pattern_count > KT_BUS_PATTERN_MAX || spec->pattern_count == 0)
        return kt_fail(err, KT_LIMIT, "a bus has at most %d readers, each of 1 to %d patterns", KT_BUS_READER_MAX,
            KT_BUS_PATTERN_MAX);
    if (spec->from == KT_BUS_FROM_CURSOR && spec->cursor == NULL)
        return kt_fail(err, KT_ARG, "reading from a cursor needs its name");
    kt_local_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return kt_fail(err, KT_SYS, "no memory for a reader");
    reader->base.driver = &kt_bus_local;
    reader->bus = bus;
    reader->spec = *spec;
    for (uint32_t i = 0; i < spec->pattern_count && code == KT_OK; i++)
        code = split_pattern(reader, spec->patterns[i], err);
    if (code == KT_OK && spec->cursor != NULL &&
        snprintf(reader->cursor_name, sizeof reader->cursor_name, "%s", spec->cursor) >=
            (int)sizeof reader->cursor_name)
        code = kt_fail(err, KT_ARG, "cursor name '%s' is longer than %d bytes", spec->cursor, KT_LOG_NAME_MAX);
    if (code != KT_OK) {
        free(reader);
        return code;
    }
    reader->spec.patterns = NULL;
    reader->spec.cursor = NULL;
    snprintf(reader->dir, sizeof reader->dir, "%s/%s", bus->options.local.data_dir, reader->log);
    reader->board_index =
        bus->options.local.board != NULL ? kt_board_find(bus->options.local.board, kt_text_of(reader->log)) : -1;
    bus->readers[place] = reader;
    if (bus->reader_bound <= place)
        bus->reader_bound = place + 1;
    if (out_reader != NULL)
        *out_reader = &reader->base;
    reader_start(reader);
    return KT_OK;
}

static void reader_free(kt_local_reader *reader)
{
    kt_reader_close(reader->reader);
    kt_cursor_close(reader->cursor);
    free(reader);
}

static void read_close(kt_bus_reader *base)
{
    kt_local_reader *reader = (kt_local_reader *)base;

    if (reader->busy) {
        reader->closing = true; /* freed when its callback has returned */
        return;
    }
    for (uint32_t i = 0; i < KT_BUS_READER_MAX; i++)
        if (reader->bus->readers[i] == reader)
            reader->bus->readers[i] = NULL;
    reader_free(reader);
}

static kt_code ack(kt_bus_reader *base, uint64_t seq, kt_err *err)
{
    kt_local_reader *reader = (kt_local_reader *)base;

    if (reader->cursor == NULL || reader->reader == NULL)
        return kt_fail(err, KT_ARG, "this reader of log '%s' has no cursor to acknowledge with", reader->log);
    if (seq > reader->position)
        return kt_fail(err, KT_ARG, "seq %llu of log '%s' is acknowledged before it was read", (unsigned long long)seq,
            reader->log);
    kt_cursor_position position = { .epoch = kt_reader_epoch(reader->reader), .seq = seq, .safe = seq };
    return kt_cursor_store(reader->cursor, position, err);
}

static uint64_t position(const kt_bus_reader *base)
{
    return ((const kt_local_reader *)base)->position;
}

static uint64_t limit_of(const kt_local_reader *reader)
{
    return reader->spec.durable_only ? kt_reader_durable(reader->reader) : kt_reader_written(reader->reader);
}

static bool wanted(const kt_local_reader *reader, kt_text subject)
{
    for (uint32_t i = 0; i < reader->pattern_count; i++)
        if (kt_subject_match(kt_text_of(reader->patterns[i]), subject))
            return true;
    return false;
}

static void hand_out(kt_local_reader *reader, const kt_rec *rec)
{
    kt_text subject = kt_reader_subject(reader->reader, rec->subject);
    kt_reader_subject_info info = { 0 };

    if ((rec->flags & KT_REC_CONTROL) != 0 || !wanted(reader, subject))
        return;
    kt_reader_subject_find(reader->reader, subject, &info);
    kt_bus_message message = { .log = kt_text_of(reader->log),
        .subject = subject,
        .epoch = info.epoch,
        .rec = rec,
        .payload = kt_rec_payload(rec),
        .size = kt_rec_payload_size(rec) };
    reader->spec.on_message(reader->spec.ctx, &reader->base, &message);
}

static uint32_t poll_reader(kt_local_reader *reader)
{
    uint32_t max = reader->spec.poll_max != 0 ? reader->spec.poll_max : KT_LOCAL_POLL_MAX, count = 0;
    const kt_rec *rec;

    if (reader->reader == NULL && !reader->stopped)
        reader_start(reader);
    reader->busy = true;
    if (reader->untold != KT_OK) {
        kt_code code = reader->untold;
        reader->untold = KT_OK;
        count++;
        tell_lost(reader, code, reader->untold_lost);
    }
    uint64_t limit = reader->reader != NULL ? limit_of(reader) : 0;
    while (count < max && !reader->closing && !reader->stopped && reader->position < limit) {
        kt_code code = kt_reader_next(reader->reader, limit, &rec);
        if (code == KT_EMPTY)
            break;
        count++;
        if (code == KT_OK) {
            reader->position = rec->seq;
            hand_out(reader, rec);
            continue;
        }
        kt_lost lost = kt_reader_lost(reader->reader);
        go_on(reader, code, lost);
        tell_lost(reader, code, lost);
    }
    reader->busy = false;
    if (reader->board_index >= 0 && reader->bus->options.local.board != NULL) {
        const kt_bus_options *options = &reader->bus->options;
        kt_board_page *page = kt_board_page_of(options->local.board, options->local.lane_index);
        if ((uint32_t)reader->board_index != options->local.lane_index && count > 0)
            atomic_store_explicit(&page->position[reader->board_index], reader->position, memory_order_relaxed);
    }
    if (reader->closing)
        read_close(&reader->base);
    return count;
}

/* ---- the rest of the contract ---- */

static kt_code open_bus(const kt_bus_options *options, kt_bus **out_bus, kt_err *err)
{
    kt_local *bus = calloc(1, sizeof *bus);

    if (bus == NULL)
        return kt_fail(err, KT_SYS, "no memory for the bus");
    bus->base.driver = &kt_bus_local;
    bus->options = *options;
    snprintf(bus->log_name, sizeof bus->log_name, "%s", options->local.log_name != NULL ? options->local.log_name : "");
    bus->frame = malloc(KT_PEER_RING_FRAME_MAX);
    if (bus->frame == NULL) {
        free(bus);
        return kt_fail(err, KT_SYS, "no memory for the bus");
    }
    kt_local_calls_open(bus);
    *out_bus = &bus->base;
    return KT_OK;
}

static void close_bus(kt_bus *base)
{
    kt_local *bus = (kt_local *)base;

    kt_local_calls_close(bus);
    for (uint32_t i = 0; i < bus->ack_count; i++) {
        kt_local_ack *ack_ = &bus->acks[i];
        bool known = ack_->seq <= acknowledged(bus);
        ack_->on_ack(ack_->ctx, known ? KT_OK : KT_UNKNOWN, ack_->seq, bus->options.durability);
    }
    for (uint32_t i = 0; i < KT_BUS_READER_MAX; i++)
        if (bus->readers[i] != NULL)
            reader_free(bus->readers[i]);
    kt_local_keys_close(bus);
    free(bus->producers);
    free(bus->frame);
    free(bus);
}

static uint32_t members(const kt_bus *base, kt_bus_member *out_members, uint32_t max)
{
    const kt_board *board = ((const kt_local *)base)->options.local.board;
    uint32_t count = 0;

    for (uint32_t i = 0; board != NULL && i < board->lane_count && count < max; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);
        kt_bus_member *member = &out_members[count++];
        memcpy(member->name, page->name, sizeof member->name);
        member->name[sizeof member->name - 1] = 0;
        member->state = atomic_load(&page->state);
        member->generation = atomic_load(&page->generation);
        member->pid = atomic_load(&page->pid);
        member->restarts = atomic_load(&page->restarts);
    }
    return count;
}

static uint32_t poll_bus(kt_bus *base)
{
    kt_local *bus = (kt_local *)base;
    uint32_t count = kt_local_poll_calls(bus) + poll_acks(bus);

    for (uint32_t i = 0; i < bus->reader_bound; i++)
        if (bus->readers[i] != NULL)
            count += poll_reader(bus->readers[i]);
    return count;
}

static bool pending(kt_bus *base)
{
    const kt_local *bus = (const kt_local *)base;

    if (kt_local_calls_pending(bus))
        return true;
    if (bus->ack_count > 0 && bus->acks[0].seq <= acknowledged(bus))
        return true;
    for (uint32_t i = 0; i < bus->reader_bound; i++) {
        const kt_local_reader *reader = bus->readers[i];
        if (reader == NULL)
            continue;
        bool more = !reader->stopped && reader->reader != NULL && reader->position < limit_of(reader);
        if (more || reader->untold != KT_OK)
            return true;
    }
    return false;
}

static void want(const kt_local *bus, kt_sleeper *sleeper, uint32_t log_index, uint64_t at, bool durable)
{
    _Atomic uint64_t *wanted =
        durable ? &sleeper->page->want_durable[log_index] : &sleeper->page->want_written[log_index];

    if (at < atomic_load_explicit(wanted, memory_order_relaxed))
        atomic_store_explicit(wanted, at, memory_order_relaxed);
}

static void wants(kt_bus *base, kt_sleeper *sleeper)
{
    const kt_local *bus = (const kt_local *)base;

    for (uint32_t i = 0; i < bus->reader_bound; i++) {
        const kt_local_reader *reader = bus->readers[i];
        if (reader != NULL && reader->board_index >= 0 && !reader->stopped)
            want(bus, sleeper, (uint32_t)reader->board_index, reader->position, reader->spec.durable_only);
    }
    if (bus->ack_count > 0)
        want(bus, sleeper, bus->options.local.lane_index, bus->acks[0].seq - 1,
            bus->options.durability != KT_DURABILITY_RAM);
}

const kt_bus_driver kt_bus_local = {
    .name = "local",
    .strongest = KT_DURABILITY_DISK,
    .open = open_bus,
    .close = close_bus,
    .publish = publish,
    .read = read_open,
    .read_close = read_close,
    .ack = ack,
    .position = position,
    .call_start = kt_local_call_start,
    .serve = kt_local_serve,
    .answer = kt_local_answer,
    .put = kt_local_put,
    .get = kt_local_get,
    .watch = kt_local_watch_keys,
    .members = members,
    .poll = poll_bus,
    .pending = pending,
    .wants = wants,
    .next_deadline = kt_local_next_deadline,
    .link = kt_local_link,
};
