#include "base/hash.h"
#include "base/text.h"
#include "lane/state.h"
#include "log/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t kt_lane_config_crc(const kt_lane_options *options)
{
    return kt_crc32c(0, options->config_text.s, options->config_text.n);
}

/* ---- snapshots ---- */

static void write_own(const kt_lane *lane, kt_writer *writer)
{
    kt_lane_timer *timers = calloc(lane->timers.count + 1, sizeof *timers);

    if (timers == NULL) {
        writer->code = KT_SYS;
        return;
    }
    kt_writer_u32(writer, lane->logic);
    kt_writer_u32(writer, lane->config_crc);
    kt_writer_u64(writer, lane->generation);
    kt_writer_put(writer, lane->rng.state, sizeof lane->rng.state);
    kt_writer_u64(writer, lane->keys);
    kt_writer_i64(writer, lane->last_ns);
    kt_writer_u32(writer, lane->source_count);
    for (uint32_t i = 0; i < lane->source_count; i++) {
        kt_writer_text(writer, kt_text_of(lane->sources[i].name));
        kt_writer_u64(writer, lane->sources[i].position);
        kt_writer_u64(writer, lane->sources[i].epoch);
    }
    kt_writer_u32(writer, lane->timers.count);
    kt_timers_list(&lane->timers, timers);
    for (uint32_t i = 0; i < lane->timers.count; i++) {
        kt_writer_text(writer, kt_text_of(lane->services[timers[i].service].spec->name));
        kt_writer_u64(writer, timers[i].id);
        kt_writer_i64(writer, timers[i].due_ns);
    }
    free(timers);
    kt_writer_u32(writer, lane->aside_count);
    for (uint32_t i = 0; i < lane->aside_count; i++) {
        kt_writer_text(writer, kt_text_of(lane->asides[i].log));
        kt_writer_u64(writer, lane->asides[i].seq);
        kt_writer_u64(writer, lane->asides[i].hash);
    }
}

/* The services' states, each with its name and version, so that a service may come, go or change alone. */
static void write_services(const kt_lane *lane, kt_writer *writer)
{
    kt_writer_u32(writer, lane->service_count);
    for (uint32_t i = 0; i < lane->service_count && writer->code == KT_OK; i++) {
        const kt_lane_service *service = &lane->services[i];
        kt_writer_text(writer, kt_text_of(service->spec->name));
        kt_writer_u32(writer, service->spec->version);
        size_t begun = kt_writer_begin(writer);
        kt_code code = KT_OK;
        if (service->spec->snapshot != NULL)
            code = service->spec->snapshot(service->state, writer);
        kt_writer_end(writer, begun);
        if (code != KT_OK)
            writer->code = code;
    }
}

kt_code kt_lane_save(const kt_lane *lane, kt_writer *writer)
{
    write_own(lane, writer);
    write_services(lane, writer);
    return writer->code;
}

kt_code kt_lane_snapshot(kt_lane *lane, kt_err *err)
{
    kt_writer writer;
    uint64_t seq = kt_log_written(lane->log);

    if (lane->snapshot_seq != 0)
        return KT_BUSY; /* the last one is still on its way */
    kt_writer_init(&writer);
    kt_code code = kt_lane_save(lane, &writer);
    if (code != KT_OK)
        kt_fail(err, code, "lane '%s' can not make a snapshot: %s", lane->name, kt_code_text(code));
    else
        code = kt_log_snapshot(lane->log, seq, KT_LANE_SNAPSHOT_VERSION, writer.bytes, writer.size);
    if (code == KT_OK) {
        writer.bytes = NULL; /* the log's now */
        lane->snapshot_seq = seq;
        lane->bytes_since = 0;
        lane->counts.snapshots++;
        for (uint32_t i = 0; i < lane->source_count; i++)
            lane->sources[i].safe_next = lane->sources[i].position;
    }
    kt_writer_done(&writer);
    return code;
}

static kt_lane_service *service_of(kt_lane *lane, kt_text name)
{
    for (uint32_t i = 0; i < lane->service_count; i++)
        if (kt_text_equal(kt_text_of(lane->services[i].spec->name), name))
            return &lane->services[i];
    return NULL;
}

static void aside_add(kt_lane *lane, kt_text log, uint64_t seq, uint64_t hash)
{
    if (lane->aside_count == KT_LANE_ASIDE_MAX) { /* the oldest was long ago */
        memmove(lane->asides, lane->asides + 1, (KT_LANE_ASIDE_MAX - 1) * sizeof *lane->asides);
        lane->aside_count--;
    }
    kt_lane_aside *aside = &lane->asides[lane->aside_count++];
    *aside = (kt_lane_aside){ .seq = seq, .hash = hash };
    memcpy(aside->log, log.s, log.n < KT_BOARD_NAME_SIZE ? log.n : KT_BOARD_NAME_SIZE - 1);
}

static kt_code read_own(kt_lane *lane, uint32_t version, kt_taker *taker)
{
    lane->logic = kt_taker_u32(taker);
    lane->config_crc = kt_taker_u32(taker);
    lane->generation = kt_taker_u64(taker);
    kt_taker_get(taker, lane->rng.state, sizeof lane->rng.state);
    lane->keys = kt_taker_u64(taker);
    lane->last_ns = kt_taker_i64(taker);
    for (uint32_t n = kt_taker_count(taker, 12); n > 0 && taker->code == KT_OK; n--) {
        kt_lane_source *source = kt_lane_source_of(lane, kt_taker_text(taker));
        uint64_t position = kt_taker_u64(taker);
        uint64_t epoch = version >= 2 ? kt_taker_u64(taker) : 0;
        if (source != NULL) {
            source->position = position;
            source->epoch = epoch;
        }
    }
    for (uint32_t n = kt_taker_count(taker, 20); n > 0 && taker->code == KT_OK; n--) {
        kt_lane_service *service = service_of(lane, kt_taker_text(taker));
        uint64_t id = kt_taker_u64(taker);
        int64_t due = kt_taker_i64(taker);
        if (service != NULL && taker->code == KT_OK &&
            kt_timers_set(&lane->timers, service->env.index, id, due) != KT_OK)
            return KT_LIMIT;
    }
    for (uint32_t n = kt_taker_count(taker, 20); n > 0 && taker->code == KT_OK; n--) {
        kt_text log = kt_taker_text(taker);
        uint64_t seq = kt_taker_u64(taker);
        uint64_t hash = kt_taker_u64(taker);
        if (taker->code == KT_OK)
            aside_add(lane, log, seq, hash);
    }
    return taker->code;
}

static kt_code read_services(kt_lane *lane, kt_taker *taker, kt_err *err)
{
    uint32_t seen = 0;

    for (uint32_t n = kt_taker_count(taker, 12); n > 0; n--) {
        kt_text name = kt_taker_text(taker);
        uint32_t version = kt_taker_u32(taker);
        kt_text bytes = kt_taker_text(taker);
        kt_lane_service *service = service_of(lane, name);
        kt_code code = taker->code;
        if (code != KT_OK || service == NULL || service->spec->restore == NULL)
            continue;
        if ((seen & 1u << service->env.index) != 0)
            return kt_fail(err, KT_CORRUPT, "service '%s' stands in it twice", service->spec->name);
        seen |= 1u << service->env.index;
        uint32_t ours = service->spec->version;
        if (version > ours || version + 1 < ours)
            return kt_fail(err, KT_VERSION,
                "the snapshot of service '%s' has version %u; this program reads %u and the one before",
                service->spec->name, version, ours);
        code = service->spec->restore(service->state, (uint16_t)version, bytes, err);
        if (code != KT_OK)
            return kt_fail_within(err, code, "service '%s' can not take its snapshot", service->spec->name);
    }
    return kt_taker_end(taker) == KT_OK ? KT_OK : kt_fail(err, KT_CORRUPT, "its services' part is damaged");
}

kt_code kt_lane_restore(kt_lane *lane, uint32_t version, kt_text bytes, kt_err *err)
{
    kt_taker taker;
    kt_code code;

    if (version > KT_LANE_SNAPSHOT_VERSION || version + 1 < KT_LANE_SNAPSHOT_VERSION)
        return kt_fail(err, KT_VERSION,
            "the snapshot of lane '%s' has version %u; this program reads %d and the one before", lane->name, version,
            KT_LANE_SNAPSHOT_VERSION);
    kt_taker_init(&taker, bytes.s, bytes.n);
    code = read_own(lane, version, &taker);
    if (code == KT_LIMIT)
        return kt_fail(err, code, "the snapshot of lane '%s' has more than %u timers", lane->name, lane->timers.max);
    if (code != KT_OK)
        return kt_fail(err, code, "the snapshot of lane '%s' is damaged", lane->name);
    code = read_services(lane, &taker, err);
    return code == KT_CORRUPT ? kt_fail_within(err, code, "the snapshot of lane '%s'", lane->name) : code;
}

/* Restore the newest snapshot that is valid, or the one that the log begins with. *out_seq: applied up to here, 0 without one of
 * its own. */
static kt_code restore(kt_lane *lane, uint64_t *out_seq, kt_err *err)
{
    kt_snapshot snapshot = { 0 };
    kt_code code = kt_snapshot_newest(lane->dir, kt_log_recovered(lane->log)->last_seq, &snapshot, err);
    bool own = code == KT_OK;

    *out_seq = 0;
    if (code == KT_EMPTY && lane->options.origin_dir != NULL)
        code = kt_snapshot_newest(lane->options.origin_dir, lane->options.origin_seq, &snapshot, err);
    if (code == KT_EMPTY)
        return KT_OK;
    if (code != KT_OK)
        return code;
    code = kt_lane_restore(lane, snapshot.version, (kt_text){ snapshot.bytes, snapshot.size }, err);
    *out_seq = own ? snapshot.seq : 0;
    kt_snapshot_done(&snapshot);
    return code;
}

/* ---- set-asides ---- */

/* What the supervisor asks for is written first, so that it holds in every later recovery too. */
static kt_code asides_write(kt_lane *lane, kt_text subject, kt_err *err)
{
    for (uint32_t i = 0; lane->options.links != NULL && i < lane->options.links->aside_count; i++) {
        const kt_lane_aside *asked = &lane->options.links->asides[i];
        kt_ev_set_aside event;
        kt_rec rec;
        uint32_t size;
        kt_event_init(KT_EV_SET_ASIDE, &event);
        event.log = kt_text_of(asked->log);
        event.seq = asked->seq;
        event.hash = asked->hash;
        event.deaths = asked->deaths;
        event.lane = kt_text_of(lane->name);
        event.reason = KT_TEXT("killed the lane again and again");
        kt_code code = kt_event_encode(KT_EV_SET_ASIDE, &event, lane->scratch, lane->scratch_size, &size);
        if (code == KT_OK)
            code = kt_lane_append(lane, KT_EV_SET_ASIDE, KT_REC_CONTROL, subject, 0, lane->scratch, size, &rec);
        if (code != KT_OK)
            return kt_fail(
                err, code, "lane '%s' can not write what is to be set aside: %s", lane->name, kt_code_text(code));
    }
    return KT_OK;
}

static kt_code asides_read(kt_lane *lane, kt_text subject, uint64_t from, kt_err *err)
{
    kt_reader *reader = NULL;
    const kt_rec *rec;
    uint32_t id;
    kt_code code;

    if (kt_log_subject_find(lane->log, subject, &id) != KT_OK)
        return KT_OK;
    code = kt_reader_open(lane->dir, lane->boot_id, &reader, err);
    if (code == KT_OK)
        kt_reader_seek(reader, 0, from, NULL, NULL);
    while (code == KT_OK && (code = kt_reader_next(reader, UINT64_MAX, &rec)) != KT_EMPTY) {
        kt_ev_set_aside event;
        if (code == KT_GONE || code == KT_CORRUPT || code == KT_SEQ) {
            uint64_t position = kt_reader_position(reader);
            code = kt_reader_lost(reader).to != 0 && position > kt_reader_lost(reader).to ? KT_OK : code;
            if (code != KT_OK)
                break;
            continue;
        }
        if (code == KT_OK && rec->subject == id && rec->kind == KT_EV_SET_ASIDE &&
            kt_event_decode(KT_EV_SET_ASIDE, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) == KT_OK)
            aside_add(lane, event.log, event.seq, event.hash);
    }
    kt_reader_close(reader);
    return code == KT_EMPTY ? KT_OK : kt_fail(err, code, "lane '%s' can not read its own log", lane->name);
}

/* ---- applying again ---- */

static void describe(char *out, size_t size, uint16_t kind, kt_text subject, const void *payload, uint32_t payload_size)
{
    kt_builder builder;

    kt_builder_init(&builder, out, size);
    kt_builder_format(
        &builder, "kind %u, %u bytes, crc %08x, on ", kind, payload_size, kt_crc32c(0, payload, payload_size));
    kt_builder_text(&builder, subject);
}

/* Write down what differs, and end in a way that no restart mends. */
static kt_code diverged(kt_lane *lane, const kt_rec *stands, kt_text subject, const kt_made *made, kt_err *err)
{
    char expected[512] = "nothing", found[512] = "nothing", name[KT_SUBJECT_MAX + 1];
    kt_ev_divergence event;
    kt_builder builder;
    kt_rec rec;
    uint32_t size;

    if (stands != NULL)
        describe(expected, sizeof expected, stands->kind, subject, kt_rec_payload(stands), kt_rec_payload_size(stands));
    if (made != NULL)
        describe(
            found, sizeof found, made->kind, (kt_text){ made->subject, made->subject_size }, made->payload, made->size);
    kt_event_init(KT_EV_DIVERGENCE, &event);
    event.input_seq = lane->input_seq;
    event.output_seq = stands != NULL ? stands->seq : 0;
    event.expected = kt_text_of(expected);
    event.made = kt_text_of(found);
    event.lane = kt_text_of(lane->name);
    kt_builder_init(&builder, name, sizeof name);
    kt_builder_format(&builder, "lane.divergence.%s", lane->name);
    if (kt_event_encode(KT_EV_DIVERGENCE, &event, lane->scratch, lane->scratch_size, &size) == KT_OK &&
        kt_lane_append(
            lane, KT_EV_DIVERGENCE, KT_REC_CONTROL, kt_builder_done(&builder), 0, lane->scratch, size, &rec) == KT_OK)
        kt_log_sync(lane->log, NULL);
    return kt_fail(err, KT_CORRUPT, "lane '%s' diverges at input %llu: %s stands, %s was made", lane->name,
        (unsigned long long)lane->input_seq, expected, found);
}

static bool same(const kt_lane *lane, const kt_rec *rec, kt_text subject, const kt_made *made)
{
    return rec->kind == made->kind && rec->cause == lane->input_seq && rec->time_ns == made->time_ns &&
           kt_text_equal(subject, (kt_text){ made->subject, made->subject_size }) &&
           kt_rec_payload_size(rec) == made->size && memcmp(kt_rec_payload(rec), made->payload, made->size) == 0;
}

static bool comparable(const kt_lane *lane)
{
    return lane->comparing && !lane->damaged;
}

static kt_code replay_output(kt_lane *lane, const kt_rec *rec, kt_text subject, kt_err *err)
{
    kt_made_queue *made = &lane->made;

    if (!comparable(lane) || kt_lane_is_aside(lane, lane->name, rec->cause)) {
        if (made->settled < made->count)
            made->settled++;
        lane->counts.uncompared++;
        return KT_OK;
    }
    if (made->settled == made->count || !same(lane, rec, subject, &made->items[made->settled]))
        return diverged(lane, rec, subject, made->settled < made->count ? &made->items[made->settled] : NULL, err);
    made->settled++;
    lane->counts.compared++;
    return KT_OK;
}

/* Everything that the input before made stands: only then the next one. */
static kt_code replay_settled(kt_lane *lane, kt_err *err)
{
    kt_made_queue *made = &lane->made;

    if (made->settled < made->count && comparable(lane))
        return diverged(lane, NULL, (kt_text){ NULL, 0 }, &made->items[made->settled], err);
    return KT_OK;
}

/* Records of the foreign log that this admit let in. What retention has removed in spite of our cursor can not be applied again:
 * what stands is kept, and nothing that depends on it is compared. */
static kt_code replay_admit(kt_lane *lane, const kt_rec *admit_rec, kt_err *err)
{
    kt_ev_admit admit;
    const kt_rec *rec;
    kt_code code = kt_event_decode(KT_EV_ADMIT, kt_rec_payload(admit_rec), kt_rec_payload_size(admit_rec), &admit);
    kt_lane_source *source = code == KT_OK ? kt_lane_source_of(lane, admit.log) : NULL;

    if (code != KT_OK)
        return kt_fail(err, KT_CORRUPT, "admit %llu of lane '%s' can not be decoded",
            (unsigned long long)admit_rec->seq, lane->name);
    kt_lane_begin(lane, admit_rec->seq);
    lane->last_ns = admit_rec->time_ns;
    if (source == NULL) {
        lane->damaged = true; /* no service reads this log any more */
        return KT_OK;
    }
    source->epoch = admit.epoch;
    if (source->reader == NULL) {
        kt_code before = source->lost_code;
        kt_lost range = source->lost;
        source->lost_code = KT_OK;
        code = kt_lane_source_open(lane, source, err);
        if (code == KT_OK)
            code = source->lost_code; /* what this opening has found */
        source->lost_code = before;
        source->lost = range;
    }
    if (source->reader != NULL)
        kt_reader_know_durable(source->reader, admit.up_to);
    if (source->reader != NULL && (code == KT_GONE || code == KT_CORRUPT)) {
        lane->damaged = true; /* what is left behind the range is applied; all of it is told when the lane is live */
        kt_lane_source_lost(source, code, (kt_lost){ source->position + 1, kt_reader_position(source->reader) - 1 });
        code = KT_OK;
    }
    while (code == KT_OK && source->position < admit.up_to && !lane->failed) {
        code = kt_reader_next(source->reader, admit.up_to, &rec);
        if (code == KT_OK)
            kt_lane_apply_foreign(lane, source, rec);
    }
    if (source->position < admit.up_to && !lane->failed) {
        lane->damaged = true;
        kt_lane_source_lost(source, code == KT_EMPTY ? KT_GONE : code, (kt_lost){ source->position + 1, admit.up_to });
        source->position = admit.up_to;
        kt_reader_close(source->reader);
        source->reader = NULL;
    }
    return KT_OK;
}

static kt_code replay_record(kt_lane *lane, kt_reader *reader, const kt_rec *rec, kt_err *err)
{
    kt_text subject = kt_reader_subject(reader, rec->subject);
    kt_code code;

    if ((rec->flags & KT_REC_CONTROL) != 0)
        return KT_OK;
    if ((rec->flags & KT_REC_OUTPUT) != 0)
        return replay_output(lane, rec, subject, err);
    code = replay_settled(lane, err);
    if (code != KT_OK)
        return code;
    lane->counts.replayed++;
    if (kt_lane_is_aside(lane, lane->name, rec->seq)) {
        kt_lane_begin(lane, rec->seq);
        lane->last_ns = rec->time_ns;
        lane->counts.set_aside++;
    } else if ((rec->flags & KT_REC_ADMIT) != 0) {
        code = replay_admit(lane, rec, err);
    } else {
        kt_lane_apply(lane, rec, subject, kt_rec_payload(rec), kt_rec_payload_size(rec));
    }
    return code == KT_OK && lane->failed ? kt_lane_failure(lane, err) : code;
}

/* Inputs behind the newest snapshot are lost: what the services would make of the rest is another history than the one that
 * has been published, and for a ledger a wrong one. Only a snapshot that lies behind the hole can replace them. */
static kt_code fenced(const kt_lane *lane, kt_lost lost, kt_err *err)
{
    return kt_fail(err, KT_CORRUPT,
        "log '%s' has lost records %llu to %llu in a damaged segment, and no snapshot lies behind them: the state of the "
        "lane can not be made again. `kontor doctor` says more. Put back a copy of the folder, or move it away to begin anew",
        lane->name, (unsigned long long)lost.from, (unsigned long long)lost.to);
}

static kt_code replay(kt_lane *lane, uint64_t from, kt_err *err)
{
    uint64_t end = kt_log_written(lane->log);
    kt_reader *reader = NULL;
    kt_lost lost = { 0 };
    const kt_rec *rec;
    kt_code code;

    if (from > end)
        return KT_OK;
    code = kt_reader_open(lane->dir, lane->boot_id, &reader, err);
    if (code != KT_OK)
        return code;
    code = kt_reader_seek(reader, 0, from, &lost, err);
    if (code == KT_CORRUPT)
        code = fenced(lane, lost, err);
    if (code == KT_GONE)
        code = kt_fail(err, KT_CORRUPT, "log '%s' has no records %llu to %llu, which no snapshot replaces", lane->name,
            (unsigned long long)lost.from, (unsigned long long)lost.to);
    while (code == KT_OK && kt_reader_position(reader) <= end) {
        code = kt_reader_next(reader, end, &rec);
        if (code == KT_OK) {
            code = replay_record(lane, reader, rec, err);
        } else if (code == KT_EMPTY) {
            break;
        } else if (code == KT_CORRUPT) {
            code = fenced(lane, kt_reader_lost(reader), err);
        } else {
            code = kt_fail_within(err, code, "lane '%s' can not read its own log at %llu: %s", lane->name,
                (unsigned long long)kt_reader_position(reader), kt_reader_error(reader)->msg);
        }
    }
    kt_reader_close(reader);
    return code == KT_EMPTY ? KT_OK : code;
}

/* Outputs of the last input that had not been written when the lane died. After a clean stop there are none, however much
 * another logic version would make of that input. */
static kt_code complete(kt_lane *lane, kt_err *err)
{
    kt_made_queue *made = &lane->made;

    if (lane->was_clean && !comparable(lane))
        return KT_OK;
    while (made->settled < made->count) {
        if (kt_lane_write_made(lane, &made->items[made->settled++]) != KT_OK)
            return kt_lane_failure(lane, err);
        lane->counts.completed++;
    }
    return KT_OK;
}

kt_code kt_lane_recover(kt_lane *lane, bool *out_park, kt_err *err)
{
    char name[KT_SUBJECT_MAX + 1];
    uint64_t seq = 0;
    kt_builder builder;

    kt_builder_init(&builder, name, sizeof name);
    kt_builder_format(&builder, "lane.set_aside.%s", lane->name);
    *out_park = true; /* what goes wrong here goes wrong at each start */
    kt_code code = restore(lane, &seq, err);
    lane->comparing = lane->logic == lane->options.logic && lane->config_crc == kt_lane_config_crc(&lane->options);
    if (code == KT_OK) {
        code = asides_write(lane, kt_builder_done(&builder), err);
        *out_park = !kt_lane_lacks_room(lane, code);
    }
    if (code == KT_OK)
        code = asides_read(lane, kt_builder_done(&builder), seq + 1, err);
    if (code == KT_OK)
        code = replay(lane, seq + 1, err);
    if (lane->failed)
        *out_park = lane->park;
    if (code == KT_OK) {
        *out_park = false;
        code = complete(lane, err);
    }
    return code;
}

void kt_lane_source_lost(kt_lane_source *source, kt_code why, kt_lost lost)
{
    if (source->lost_code != KT_OK && lost.to != 0 && source->lost.from < lost.from) /* one range, told at once */
        lost.from = source->lost.from;
    source->lost = lost;
    source->lost_code = why;
}

kt_code kt_lane_source_open(kt_lane *lane, kt_lane_source *source, kt_err *err)
{
    char name[KT_LOG_NAME_MAX + 1];
    kt_lost lost = { 0 };
    kt_code code = kt_reader_open(source->dir, lane->boot_id, &source->reader, err);

    if (code != KT_OK)
        return code;
    snprintf(name, sizeof name, "lane-%s", lane->name);
    if (source->cursor == NULL)
        code = kt_cursor_open(source->dir, name, &source->cursor, err);
    if (code == KT_OK) {
        /* Only durable records have ever been admitted. The epoch tells a log that was made anew from the one that was. */
        kt_reader_know_durable(source->reader, source->position);
        code = kt_reader_seek(source->reader, source->epoch, source->position + 1, &lost, err);
        if (code == KT_SEQ || code == KT_EPOCH) /* it goes on as another log: from where the reader stands */
            lost = (kt_lost){ kt_reader_position(source->reader), 0 };
        if (code == KT_GONE || code == KT_SEQ || code == KT_EPOCH || (code == KT_CORRUPT && lost.to != 0)) {
            kt_lane_source_lost(source, code, lost);
            code = KT_OK;
        }
    }
    if (code != KT_OK) {
        kt_reader_close(source->reader);
        source->reader = NULL;
    }
    return code;
}
