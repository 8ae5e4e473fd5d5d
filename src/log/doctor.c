#include "log/doctor.h"

#include "base/text.h"
#include "log/cursor.h"
#include "log/index.h"
#include "log/snapshot.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct doctor {
    const char *dir;
    void (*report)(void *ctx, kt_doctor_level level, const char *line);
    void *ctx;
    kt_doctor_summary sum;
    kt_subjects subjects;
    uint64_t written; /* what a living writer had written when we began */
    bool alive;
} doctor;

static void say(doctor *d, kt_doctor_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say(doctor *d, kt_doctor_level level, const char *fmt, ...)
{
    char line[KT_ERR_MSG_SIZE + KT_SUBJECT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    d->sum.loss_lines += level == KT_DOCTOR_LOSS;
    if (d->report != NULL)
        d->report(d->ctx, level, line);
}

/* Records between what was read and `next` (0: the last durable one) that are gone. */
static void say_lost(doctor *d, uint64_t from, uint64_t to, const char *why)
{
    d->sum.lost_count += to - from + 1;
    say(d, KT_DOCTOR_LOSS, "seq %llu to %llu are lost: %s", (unsigned long long)from, (unsigned long long)to, why);
}

static void look_at_lost_record(doctor *d, const kt_rec *rec)
{
    kt_ctl_lost lost;
    const char *text = (const char *)kt_rec_payload(rec) + sizeof lost;

    if (rec->kind != KT_CTL_LOST || (rec->flags & KT_REC_CONTROL) == 0 || rec->subject != 0 ||
        kt_rec_payload_size(rec) < sizeof lost)
        return;
    memcpy(&lost, kt_rec_payload(rec), sizeof lost);
    if (lost.name_size > kt_rec_payload_size(rec) - sizeof lost)
        return;
    if (lost.why == KT_LOST_CURSOR)
        say(d, KT_DOCTOR_LOSS, "cursor '%.*s' was cut off: it never read seq %llu to %llu", (int)lost.name_size, text,
            (unsigned long long)lost.from_seq, (unsigned long long)lost.to_seq);
    else
        say(d, KT_DOCTOR_NOTE, "a fence was noted at seq %llu: %llu to %llu", (unsigned long long)rec->seq,
            (unsigned long long)lost.from_seq, (unsigned long long)lost.to_seq);
}

static uint64_t torn_bytes(const kt_segment *segment, uint64_t at)
{
    uint64_t count = 0;

    for (; at < segment->size; at++)
        count += segment->map[at] != 0;
    return count;
}

/* Walk one segment. `next_first`: first seq of the one behind, 0 for the last. */
static void look_at_segment(doctor *d, kt_seg_name name, uint64_t next_first, kt_err *err)
{
    kt_segment segment;
    kt_index index;
    const kt_rec *rec;
    uint64_t count = 0;
    kt_code code = kt_segment_map(d->dir, name, false, &segment, err);

    if (code == KT_OK) {
        code = kt_segment_subjects(&segment, &d->subjects);
        if (code != KT_OK) {
            kt_fail(err, code, "its table of subjects does not hold");
            kt_segment_unmap(&segment);
        }
    }
    if (code != KT_OK) {
        uint64_t to = next_first != 0 ? next_first - 1 : d->sum.durable;
        say(d, to >= name.first_seq ? KT_DOCTOR_LOSS : KT_DOCTOR_WARN, "segment %llu can not be read: %s",
            (unsigned long long)name.first_seq, err->msg);
        if (to >= name.first_seq)
            say_lost(d, name.first_seq, to, "their segment can not be read");
        return;
    }
    kt_scan scan = kt_scan_start(&segment);
    while ((!d->alive || scan.seq <= d->written) && (code = kt_scan_next(&scan, &d->subjects, &rec)) == KT_OK) {
        look_at_lost_record(d, rec);
        count++;
    }
    d->sum.record_count += count;
    if (count > 0)
        d->sum.last_seq = scan.seq - 1;
    say(d, KT_DOCTOR_NOTE, "segment %llu, generation %llu: %llu records up to seq %llu%s",
        (unsigned long long)name.first_seq, (unsigned long long)name.generation, (unsigned long long)count,
        (unsigned long long)scan.seq - 1, scan.sealed ? ", sealed" : "");
    if (next_first != 0 && scan.seq < next_first)
        say_lost(d, scan.seq, next_first - 1, "the segment is fenced behind a bad record");
    else if (scan.seq <= d->sum.durable && next_first == 0)
        say_lost(d, scan.seq, d->sum.durable, "a bad record stands at or below the last durable one");
    else if (!scan.sealed && !d->alive) {
        d->sum.torn_bytes = torn_bytes(&segment, scan.at);
        if (d->sum.torn_bytes > 0)
            say(d, KT_DOCTOR_WARN, "torn tail behind seq %llu: %llu bytes that the next opening cuts",
                (unsigned long long)scan.seq - 1, (unsigned long long)d->sum.torn_bytes);
    }
    if (scan.sealed && next_first != 0) {
        if (kt_index_load(&index, d->dir, name) == KT_OK)
            kt_index_done(&index);
        else
            say(d, KT_DOCTOR_WARN, "segment %llu has no index: readers make their own",
                (unsigned long long)name.first_seq);
    }
    kt_segment_unmap(&segment);
}

static void look_at_cursor(void *ctx, const char *name, kt_cursor_position position)
{
    doctor *d = ctx;

    say(d, KT_DOCTOR_NOTE, "cursor '%s' has read up to seq %llu, safe up to %llu", name,
        (unsigned long long)position.seq, (unsigned long long)position.safe);
    if (position.seq > d->sum.last_seq)
        say(d, KT_DOCTOR_WARN, "cursor '%s' is beyond the end: its reader is told the new epoch", name);
}

static void look_at_state(doctor *d, const kt_state *state)
{
    kt_control *control = NULL;
    char id[2 * KT_BOOT_ID_SIZE + 1];
    uint8_t boot_id[KT_BOOT_ID_SIZE];

    for (int i = 0; i < KT_BOOT_ID_SIZE; i++)
        snprintf(id + i * 2, 3, "%02x", state->boot_id[i]);
    say(d, KT_DOCTOR_NOTE, "opened %llu times, last under boot %s, %s; durable up to seq %llu",
        (unsigned long long)state->generation, id, state->clean ? "closed cleanly" : "not closed",
        (unsigned long long)state->durable);
    if (kt_control_map(d->dir, false, &control, NULL) != KT_OK)
        return;
    d->alive = atomic_load(&control->writer_pid) != 0 && kt_boot_id(boot_id, NULL) == KT_OK &&
               atomic_load(&control->boot_key) == kt_boot_key(boot_id) && !state->clean;
    d->written = atomic_load(&control->written);
    if (d->alive)
        say(d, KT_DOCTOR_NOTE, "written by process %u, up to seq %llu", atomic_load(&control->writer_pid),
            (unsigned long long)d->written);
    kt_control_unmap(control);
}

kt_code kt_log_doctor(const char *dir, void (*report)(void *ctx, kt_doctor_level level, const char *line), void *ctx,
    kt_doctor_summary *out_summary, kt_err *err)
{
    doctor d = { .dir = dir, .report = report, .ctx = ctx };
    kt_seg_names names = { NULL, 0 };
    kt_snapshot snapshot;
    kt_state state = { 0 };
    kt_err trouble = { 0 };
    kt_code code = kt_seg_names_read(dir, &names, err);

    if (code != KT_OK)
        return code;
    kt_subjects_init(&d.subjects, KT_SUBJECTS_LIMIT);
    kt_seg_names_newest(&names);
    code = kt_state_read(dir, &state, &trouble);
    if (code == KT_VERSION || code == KT_SYS || (code == KT_NOENT && names.count == 0)) {
        code = kt_fail(err, code, "%s", code == KT_NOENT ? "there is no log in this folder" : trouble.msg);
        goto out;
    }
    d.sum.durable = state.durable;
    d.sum.segment_count = names.count;
    d.sum.first_seq = names.count > 0 ? names.list[0].first_seq : 0;
    if (code == KT_OK)
        look_at_state(&d, &state);
    else
        say(&d, KT_DOCTOR_LOSS, "what was durable is unknown: %s", trouble.msg);
    code = KT_OK;
    if (d.sum.first_seq > 1)
        say(&d, KT_DOCTOR_NOTE, "seq 1 to %llu were removed by retention: before seq %llu the store is the record",
            (unsigned long long)d.sum.first_seq - 1, (unsigned long long)d.sum.first_seq);
    for (uint32_t i = 0; i < names.count; i++) {
        uint64_t next_first = i + 1 < names.count ? names.list[i + 1].first_seq : 0;
        look_at_segment(&d, names.list[i], next_first, &trouble);
        if (trouble.code == KT_VERSION) {
            code = kt_fail(err, KT_VERSION, "%s", trouble.msg);
            goto out;
        }
    }
    if (names.count == 0 && state.durable > 0)
        say_lost(&d, state.first_seq, state.durable, "there are no segments");
    d.sum.subject_count = d.subjects.count;
    say(&d, KT_DOCTOR_NOTE, "%u subjects", d.subjects.count > 0 ? d.subjects.count - 1 : 0);
    kt_cursor_each(dir, look_at_cursor, &d, NULL);
    if (kt_snapshot_newest(dir, UINT64_MAX, &snapshot, NULL) == KT_OK) {
        say(&d, snapshot.seq > d.sum.last_seq ? KT_DOCTOR_WARN : KT_DOCTOR_NOTE,
            "newest snapshot: version %u at seq %llu%s", snapshot.version, (unsigned long long)snapshot.seq,
            snapshot.seq > d.sum.last_seq ? ", beyond the end: the next opening drops it" : "");
        kt_snapshot_done(&snapshot);
    }
    *out_summary = d.sum;
out:
    kt_subjects_done(&d.subjects);
    free(names.list);
    return code;
}
