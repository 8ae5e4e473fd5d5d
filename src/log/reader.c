#include "log/reader.h"

#include "log/index.h"
#include "log/recent.h"

#include <errno.h>
#include <stdlib.h>

enum {
    IDLE_LOOKS = 64,      /* who polls looks every so manieth time whether the position says more than the records */
    CATCH_UP_PAUSES = 16, /* 0.3 to 0.7 us: who has just caught up waits this once, then looks again */
};

struct kt_reader {
    /* what kt_reader_next touches */
    const uint8_t *map;
    uint64_t at, end;
    uint64_t seq; /* of the record at `at` */
    uint64_t
        cap; /* highest seq that may be served: all, or what was durable while nobody has opened the log this boot */
    uint64_t capped_first; /* first seq kept, then */
    uint64_t known;        /* told by kt_reader_know_durable: never capped below */
    bool sealed;           /* the record before was the seal of this segment */
    bool exact;            /* the table has seen every record of this segment before `at` */
    uint32_t idle;         /* times in a row that there was nothing */
    uint64_t written_seen; /* of the control page, when it was last looked at */
    bool follows;          /* came by seek_end: the table is the present, `index` covers the segment up to `at` */
    kt_subjects subjects;

    kt_segment segment;
    kt_index index;
    const kt_reader *live; /* told by kt_reader_borrow, or NULL */
    kt_recent *recent;     /* told by kt_reader_remember, or NULL */
    kt_control *control;
    uint64_t generation; /* of the control page when the segment was looked up */
    uint64_t boot_key;
    char *dir;
    kt_lost lost;
    kt_err err;
};

/* ---- open and close ---- */

/* Until a writer has opened under this boot, what lies above the last known durable record may still be cut. */
static kt_code reader_look(kt_reader *reader)
{
    kt_state state;

    reader->generation = atomic_load(&reader->control->generation);
    reader->cap = UINT64_MAX;
    if (atomic_load(&reader->control->boot_key) == reader->boot_key)
        return KT_OK;
    kt_code code = kt_state_read(reader->dir, &state, &reader->err);
    reader->cap = code == KT_OK ? state.durable : 0;
    if (code == KT_OK && reader->cap < reader->known)
        reader->cap = reader->known;
    reader->capped_first = code == KT_OK ? state.first_seq : 0;
    return code;
}

static void reader_leave(kt_reader *reader)
{
    if (reader->recent != NULL && reader->segment.map != NULL)
        kt_recent_clear(reader->recent);
    kt_segment_unmap(&reader->segment);
    reader->map = NULL;
    reader->at = reader->end = 0;
    reader->sealed = reader->exact = reader->follows = false;
}

kt_code kt_reader_open(const char *dir, const uint8_t *boot_id, kt_reader **out_reader, kt_err *err)
{
    uint8_t own_boot[KT_BOOT_ID_SIZE];
    kt_reader *reader = calloc(1, sizeof *reader);
    kt_code code = KT_OK;

    if (reader == NULL || (reader->dir = strdup(dir)) == NULL) {
        code = kt_fail(err, KT_SYS, "no memory for a reader of log '%s'", dir);
        goto out;
    }
    reader->segment.guard = -1;
    kt_subjects_init(&reader->subjects, KT_SUBJECTS_LIMIT);
    if (boot_id == NULL) {
        code = kt_boot_id(own_boot, err);
        boot_id = own_boot;
    }
    if (code == KT_OK)
        code = kt_control_map(dir, false, &reader->control, err);
    if (code != KT_OK)
        goto out;
    reader->boot_key = kt_boot_key(boot_id);
    code = kt_reader_seek(reader, 0, 1, NULL, err);
    if (code == KT_GONE || (code == KT_CORRUPT && reader->map != NULL)) /* the position says where it begins */
        code = KT_OK;
    if (code != KT_OK)
        goto out;
    reader->lost = (kt_lost){ 0, 0 };
    *out_reader = reader;
    reader = NULL;
out:
    kt_reader_close(reader);
    return code;
}

void kt_reader_close(kt_reader *reader)
{
    if (reader == NULL)
        return;
    reader_leave(reader);
    kt_recent_free(reader->recent);
    kt_index_done(&reader->index);
    kt_subjects_done(&reader->subjects);
    kt_control_unmap(reader->control);
    free(reader->dir);
    free(reader);
}

/* ---- positions ---- */

/* Still no writer under this boot: a cap that was found at the last look ends with the opening of one. */
static bool reader_capped(const kt_reader *reader)
{
    return reader->cap != UINT64_MAX && atomic_load(&reader->control->boot_key) != reader->boot_key;
}

uint64_t kt_reader_written(const kt_reader *reader)
{
    return reader_capped(reader) ? reader->cap : atomic_load_explicit(&reader->control->written, memory_order_acquire);
}

uint64_t kt_reader_durable(const kt_reader *reader)
{
    return reader_capped(reader) ? reader->cap : atomic_load_explicit(&reader->control->durable, memory_order_acquire);
}

uint64_t kt_reader_first(const kt_reader *reader)
{
    if (kt_reader_written(reader) == 0)
        return 0;
    return reader_capped(reader) ? reader->capped_first : atomic_load(&reader->control->first_seq);
}

uint64_t kt_reader_epoch(const kt_reader *reader)
{
    const kt_subject *own = &reader->subjects.list[0];

    return reader->subjects.count == 0 ? 0 : own->epochs[own->epoch_count - 1].epoch;
}

uint64_t kt_reader_generation(const kt_reader *reader)
{
    return atomic_load(&reader->control->generation);
}

uint64_t kt_reader_position(const kt_reader *reader)
{
    return reader->seq;
}

kt_lost kt_reader_lost(const kt_reader *reader)
{
    return reader->lost;
}

const kt_err *kt_reader_error(const kt_reader *reader)
{
    return &reader->err;
}

kt_text kt_reader_subject(const kt_reader *reader, uint32_t id)
{
    if (id >= reader->subjects.count)
        return KT_TEXT("");
    return (kt_text){ reader->subjects.list[id].name, reader->subjects.list[id].name_size };
}

uint32_t kt_reader_subject_count(const kt_reader *reader)
{
    return reader->subjects.count;
}

kt_code kt_reader_subject_find(const kt_reader *reader, kt_text name, kt_reader_subject_info *out_info)
{
    uint32_t id;

    if (name.n == 0 || kt_subjects_find(&reader->subjects, name, &id) != KT_OK)
        return KT_NOENT;
    const kt_subject *subject = &reader->subjects.list[id];
    *out_info = (kt_reader_subject_info){ id, subject->flags, subject->epochs[subject->epoch_count - 1].epoch,
        subject->last_offset };
    return KT_OK;
}

void kt_reader_know_durable(kt_reader *reader, uint64_t seq)
{
    if (seq > reader->known)
        reader->known = seq;
    if (seq > reader->cap)
        reader->cap = seq;
}

void kt_reader_borrow(kt_reader *reader, const kt_reader *live)
{
    reader->live = live;
}

kt_code kt_reader_remember(kt_reader *reader, uint32_t record_max, kt_err *err)
{
    kt_recent_free(reader->recent);
    reader->recent = NULL;
    if (kt_recent_new(record_max, &reader->recent) != KT_OK)
        return kt_fail(err, KT_SYS, "no memory for the places of %u records of log '%s'", record_max, reader->dir);
    return KT_OK;
}

/* ---- finding segments ---- */

/* The index of this segment in memory, where there is one. */
static const kt_index *reader_borrowed(const kt_reader *reader, kt_seg_name name)
{
    const kt_reader *live = reader->live;
    bool same = live != NULL && live->follows && live->map != NULL && live->segment.name.first_seq == name.first_seq &&
                live->segment.name.generation == name.generation;

    return same ? &live->index : NULL;
}

/* The newest generation of every segment. */
static kt_code reader_names(kt_reader *reader, kt_seg_names *out_names)
{
    kt_code code = kt_seg_names_read(reader->dir, out_names, &reader->err);

    if (code == KT_OK)
        kt_seg_names_newest(out_names);
    return code;
}

/* What retention has removed goes from the disk once nobody has it mapped. */
static void reader_forget(kt_reader *reader)
{
    if (reader->recent != NULL)
        kt_recent_forget(reader->recent, kt_reader_first(reader));
}

/* Map a segment and stand before its first record. KT_NOENT: unlinked meanwhile. */
static kt_code reader_enter(kt_reader *reader, kt_seg_name name)
{
    kt_segment segment;
    kt_code code = kt_segment_map(reader->dir, name, false, &segment, &reader->err);

    if (code != KT_OK)
        return code;
    bool follows = reader->follows;
    if (follows && reader->recent != NULL && reader->sealed && name.first_seq == reader->seq)
        kt_recent_leave(reader->recent, &reader->segment);
    reader_forget(reader);
    reader_leave(reader);
    reader->segment = segment;
    code = kt_segment_subjects(&segment, &reader->subjects);
    if (code != KT_OK) {
        reader_leave(reader);
        return kt_fail(&reader->err, code, "the table of subjects of segment %llu of log '%s' can not be read",
            (unsigned long long)name.first_seq, reader->dir);
    }
    reader->map = segment.map;
    reader->at = segment.data_at;
    reader->end = segment.size;
    reader->seq = name.first_seq;
    reader->exact = true;
    reader->follows = follows;
    kt_index_done(&reader->index);
    kt_index_init(&reader->index, name.first_seq);
    return KT_OK;
}

/* Hand out the record that stands before the reader, without regard to limit or cap. KT_EMPTY, KT_CORRUPT, KT_SYS. */
static kt_code reader_step(kt_reader *reader, const kt_rec **out_rec)
{
    const kt_rec *rec;
    uint64_t last_seq = 0;

    if (reader->map == NULL || reader->sealed)
        return KT_EMPTY;
    kt_code code = kt_rec_check(reader->map, reader->at, reader->end, reader->seq, &rec);
    if (code != KT_OK)
        return code;
    if (reader->follows && rec->subject < reader->subjects.count)
        last_seq = reader->subjects.list[rec->subject].last_seq;
    code = kt_subjects_accept(&reader->subjects, rec, reader->exact);
    if (code == KT_OK && reader->follows)
        code = kt_index_add(&reader->index, rec, reader->at, last_seq);
    if (code != KT_OK)
        return code;
    if (reader->follows && reader->recent != NULL)
        kt_recent_add(reader->recent, rec, last_seq);
    reader->at += rec->size;
    reader->seq++;
    reader->idle = 0;
    reader->sealed = kt_rec_is_seal(rec);
    *out_rec = rec;
    return KT_OK;
}

/* Use the index of a sealed segment to come near `mark` at once. What the skipped records say of subjects and epochs is
 * taken from the index's list of control records. */
static void reader_skip(kt_reader *reader, const kt_index *index, const kt_index_mark *mark)
{
    const kt_rec *rec;

    if (mark == NULL || mark->seq <= reader->seq || mark->at % 8 != 0 || mark->at < reader->at ||
        mark->at >= reader->end)
        return;
    reader->exact = false;
    for (uint32_t i = 0; i < index->control_count && index->controls[i] < mark->at; i++) {
        uint64_t at = index->controls[i];
        if (at % 8 != 0 || at < reader->at || reader->end - at < sizeof *rec)
            return;
        uint64_t seq = ((const kt_rec *)(reader->map + at))->seq;
        if (kt_rec_check(reader->map, at, reader->end, seq, &rec) != KT_OK ||
            kt_subjects_accept(&reader->subjects, rec, false) != KT_OK)
            return;
    }
    reader->at = mark->at;
    reader->seq = mark->seq;
}

/* Walk inside the segment until `seq` comes next. KT_EMPTY: the segment ends before. KT_CORRUPT. */
static kt_code reader_walk(kt_reader *reader, uint64_t seq)
{
    kt_index index;
    const kt_index *borrowed = reader_borrowed(reader, reader->segment.name);
    const kt_rec *rec;
    kt_code code = KT_OK;

    if (!reader->follows && borrowed != NULL) {
        reader_skip(reader, borrowed, kt_index_mark_at(borrowed, seq));
    } else if (!reader->follows && seq - reader->seq > KT_INDEX_RECORDS &&
               kt_index_load(&index, reader->dir, reader->segment.name) == KT_OK) {
        reader_skip(reader, &index, kt_index_mark_at(&index, seq));
        kt_index_done(&index);
    }
    while (code == KT_OK && reader->seq < seq)
        code = reader_step(reader, &rec);
    return code;
}

/* The log is damaged where the reader stands, or at the segment that it could not enter: stand behind the damage. */
static kt_code reader_damaged(kt_reader *reader, const kt_seg_names *names, int64_t index)
{
    bool behind = index + 1 < names->count;
    uint64_t from = reader->map != NULL ? reader->seq : names->list[index].first_seq;
    uint64_t to = behind ? names->list[index + 1].first_seq - 1 : 0;

    if (behind && reader_enter(reader, names->list[index + 1]) != KT_OK)
        reader_leave(reader);
    reader->lost = (kt_lost){ from, to };
    return kt_fail(&reader->err, KT_CORRUPT, "seq %llu of log '%s' can not be read: segment %llu is damaged",
        (unsigned long long)from, reader->dir, (unsigned long long)names->list[index].first_seq);
}

/* Enter the segment of `aim`, which is at most `written` + 1, and walk to it. KT_NOENT: the segment was unlinked
 * meanwhile. Otherwise as reader_locate. */
static kt_code reader_approach(kt_reader *reader, const kt_seg_names *names, uint64_t aim, uint64_t written)
{
    int64_t index = kt_seg_names_find(names, aim);
    const kt_rec *rec;

    if (index < 0) {
        kt_code code = reader_enter(reader, names->list[0]);
        if (code == KT_CORRUPT)
            return reader_damaged(reader, names, 0);
        if (code != KT_OK)
            return code;
        reader->lost = (kt_lost){ aim, names->list[0].first_seq - 1 };
        return kt_fail(&reader->err, KT_GONE, "seq %llu to %llu of log '%s' were removed by retention",
            (unsigned long long)aim, (unsigned long long)reader->lost.to, reader->dir);
    }
    kt_code code = reader_enter(reader, names->list[index]);
    if (code == KT_CORRUPT)
        reader_leave(reader);
    if (code == KT_OK)
        code = reader_walk(reader, aim);
    if (code == KT_OK && aim <= written)
        code = kt_rec_check(reader->map, reader->at, reader->end, aim, &rec);
    return code == KT_EMPTY || code == KT_CORRUPT ? reader_damaged(reader, names, index) : code;
}

/* Stand before `seq`, or as near behind it as there are records. `seen`: records up to it are known to have been there,
 * whatever the control page says (a writer that was killed may not have come to say it).
 * KT_OK, KT_GONE, KT_SEQ (beyond the end: stands at the end), KT_CORRUPT (damaged: stands behind it) with reader->lost;
 * KT_SYS, KT_VERSION. */
static kt_code reader_locate(kt_reader *reader, uint64_t seq, uint64_t seen)
{
    enum { TRIES = 16 };
    kt_code code = KT_NOENT;

    reader->lost = (kt_lost){ 0, 0 };
    for (int tries = 0; tries < TRIES && code == KT_NOENT; tries++) {
        kt_seg_names names = { NULL, 0 };
        code = reader_look(reader);
        uint64_t written = kt_reader_written(reader); /* before the list: what is written is in a file of the list */
        if (code == KT_OK)
            code = reader_names(reader, &names);
        if (code != KT_OK)
            return code;
        if (written < seen)
            written = seen;
        reader->written_seen = written;
        uint64_t aim = seq > written + 1 ? written + 1 : seq;
        if (names.count > 0) {
            code = reader_approach(reader, &names, aim, written);
        } else {
            reader_leave(reader);
            reader->seq = aim;
            if (written > 0)
                code = kt_fail(&reader->err, KT_CORRUPT, "log '%s' has no segments", reader->dir);
        }
        free(names.list);
        if (code == KT_OK && aim < seq)
            code = kt_fail(&reader->err, KT_SEQ, "seq %llu is beyond the end of log '%s', which is at %llu",
                (unsigned long long)seq, reader->dir, (unsigned long long)written);
    }
    return code;
}

/* ---- seek ---- */

kt_code kt_reader_seek_end(kt_reader *reader, kt_err *err)
{
    kt_code code;

    reader->follows = true; /* so that the walk builds the index */
    code = reader_locate(reader, UINT64_MAX, 0);
    if (code == KT_SEQ)
        code = KT_OK;
    reader->follows = code == KT_OK;
    if (code != KT_OK && err != NULL)
        *err = reader->err;
    return code;
}

/* Where serving goes on for a position of another epoch of the log: 0 when the epoch is the newest at or before seq, or
 * its records up to seq stand. */
static uint64_t epoch_cut(const kt_subject *own, uint64_t epoch, uint64_t seq)
{
    for (uint32_t i = 0; i < own->epoch_count; i++) {
        if (own->epochs[i].epoch != epoch)
            continue;
        bool newest = i + 1 == own->epoch_count;
        return newest || seq <= own->epochs[i + 1].first_seq ? 0 : own->epochs[i + 1].first_seq;
    }
    return own->epochs[own->epoch_count - 1].first_seq;
}

kt_code kt_reader_seek(kt_reader *reader, uint64_t epoch, uint64_t seq, kt_lost *out_lost, kt_err *err)
{
    uint64_t cut = 0;
    kt_code code = KT_OK;

    if (seq == 0)
        seq = 1;
    if (epoch != 0 && reader->live != NULL && reader->live->follows) {
        cut = epoch_cut(&reader->live->subjects.list[0], epoch, seq);
    } else if (epoch != 0) { /* what epochs there are is only known at the end */
        code = kt_reader_seek_end(reader, err);
        if (code != KT_OK)
            return code;
        cut = epoch_cut(&reader->subjects.list[0], epoch, seq);
    }
    reader->follows = false;
    code = reader_locate(reader, cut != 0 ? cut : seq, 0);
    if (cut != 0 && (code == KT_OK || code == KT_GONE)) {
        code = kt_fail(&reader->err, KT_EPOCH,
            "seq %llu of epoch %016llx of log '%s' is unknown: the epoch ended before it, or never was",
            (unsigned long long)seq, (unsigned long long)epoch, reader->dir);
        reader->lost = (kt_lost){ seq, 0 };
    }
    if (code != KT_OK && err != NULL)
        *err = reader->err;
    if (out_lost != NULL)
        *out_lost = reader->lost;
    return code;
}

kt_code kt_reader_seek_time(kt_reader *reader, int64_t time_ns, kt_err *err)
{
    kt_seg_names names = { NULL, 0 };
    kt_index index;
    const kt_rec *rec;
    kt_code code = reader_names(reader, &names);
    uint64_t first_seq = names.count > 0 ? names.list[0].first_seq : 1;
    uint64_t from_seq = first_seq;

    /* The last segment whose predecessors hold only older records: their indexes say the greatest time. */
    for (uint32_t i = 0; i + 1 < names.count && code == KT_OK; i++) {
        kt_segment segment;
        kt_code indexed = kt_index_load(&index, reader->dir, names.list[i]);
        if (indexed != KT_OK && kt_segment_map(reader->dir, names.list[i], false, &segment, NULL) == KT_OK) {
            indexed = kt_index_build(&index, &segment, KT_SUBJECTS_LIMIT);
            kt_segment_unmap(&segment);
        }
        if (indexed != KT_OK)
            break;
        bool older = index.time_ns < time_ns;
        const kt_index_mark *mark = kt_index_mark_time(&index, time_ns);
        from_seq = older ? names.list[i + 1].first_seq : mark != NULL ? mark->seq : names.list[i].first_seq;
        kt_index_done(&index);
        if (!older)
            break;
    }
    if (names.count > 0 && from_seq == names.list[names.count - 1].first_seq) {
        const kt_index *borrowed = reader_borrowed(reader, names.list[names.count - 1]);
        const kt_index_mark *mark = borrowed != NULL ? kt_index_mark_time(borrowed, time_ns) : NULL;
        from_seq = mark != NULL ? mark->seq : from_seq;
    }
    free(names.list);
    reader->follows = false;
    if (code == KT_OK)
        code = reader_locate(reader, from_seq, 0);
    while (code == KT_OK && reader->seq <= kt_reader_written(reader)) {
        code = kt_rec_check(reader->map, reader->at, reader->end, reader->seq, &rec);
        if (code == KT_EMPTY && reader->sealed)
            code = reader_locate(reader, reader->seq, reader->seq - 1);
        else if (code == KT_OK && rec->time_ns >= time_ns)
            break;
        else if (code == KT_OK)
            code = reader_step(reader, &rec);
    }
    if (code == KT_EMPTY)
        code = KT_OK;
    if (code == KT_CORRUPT)
        kt_fail(&reader->err, code, "seq %llu of log '%s' can not be read: the segment is damaged",
            (unsigned long long)reader->seq, reader->dir);
    if (code == KT_OK && first_seq > 1 && reader->seq == first_seq) {
        reader->lost = (kt_lost){ 1, first_seq - 1 };
        code = kt_fail(&reader->err, KT_GONE,
            "records of that time and before seq %llu of log '%s' were removed by retention",
            (unsigned long long)first_seq, reader->dir);
    }
    if (code != KT_OK && err != NULL)
        *err = reader->err;
    return code;
}

/* ---- next ---- */

/* Nothing to be read at the position: find out why. KT_OK: look again. */
static kt_code reader_find_out(kt_reader *reader, kt_code code)
{
    uint64_t seq = reader->seq;
    bool follows = reader->follows;
    bool capped = reader->cap != UINT64_MAX;
    bool changed = atomic_load(&reader->control->generation) != reader->generation ||
                   (capped && atomic_load(&reader->control->boot_key) == reader->boot_key);
    const kt_rec *rec;

    if (code == KT_EMPTY && !changed && !reader->sealed) {
        /* The writer stores `written` with each record: looking at it each time would take the line away from it. */
        if (seq > reader->written_seen && (reader->map == NULL || ++reader->idle % IDLE_LOOKS == 0)) {
            reader->written_seen = kt_reader_written(reader);
            reader_forget(reader);
        }
        if (seq > reader->written_seen)
            return KT_EMPTY;
        if (reader->map != NULL && kt_rec_check(reader->map, reader->at, reader->end, seq, &rec) == KT_OK)
            return KT_OK; /* published between the two looks */
    }
    if (changed && reader->recent != NULL)
        kt_recent_clear(reader->recent); /* another writer may have begun from fewer records */
    code = reader_locate(reader, seq, changed ? 0 : seq - 1);
    reader->follows = follows && reader->exact && code == KT_OK;
    return code;
}

/* A record whose checksum holds contradicts the table of subjects: as bad as one that fails it. */
static kt_code reader_contradicted(kt_reader *reader)
{
    kt_seg_names names;
    kt_code code = reader_names(reader, &names);

    if (code != KT_OK)
        return code;
    int64_t index = kt_seg_names_find(&names, reader->segment.name.first_seq);
    code = index >= 0 ? reader_damaged(reader, &names, index) : KT_CORRUPT;
    free(names.list);
    return code;
}

kt_code kt_reader_next(kt_reader *reader, uint64_t limit, const kt_rec **out_rec)
{
    enum { TRIES = 4 };
    kt_code code = KT_EMPTY;

    if (reader->seq > limit)
        return KT_EMPTY;
    if (reader->seq <= reader->cap) {
        code = reader_step(reader, out_rec);
        if (code == KT_EMPTY && reader->idle == 0) { /* step by step, it would take each line from under the writer */
            for (int i = 0; i < CATCH_UP_PAUSES; i++)
                kt_relax();
            code = reader_step(reader, out_rec);
        }
        if (__builtin_expect(code == KT_OK, 1))
            return KT_OK;
    }
    for (int tries = 0; tries < TRIES && (code == KT_EMPTY || code == KT_CORRUPT); tries++) {
        code = reader_find_out(reader, code);
        if (code != KT_OK)
            return code;
        if (reader->seq > limit || reader->seq > reader->cap)
            return KT_EMPTY;
        code = reader_step(reader, out_rec);
        if (code == KT_OK)
            return KT_OK;
    }
    return code == KT_CORRUPT ? reader_contradicted(reader) : code;
}

/* ---- resume ---- */

/* Where the epoch of a client ended: KT_OK with *out_from the first offset to serve, KT_EPOCH, KT_SEQ. */
static kt_code resume_epoch(const kt_subject *subject, uint64_t epoch, uint64_t offset, uint64_t *out_from)
{
    uint32_t newest = subject->epoch_count - 1u;

    if (epoch == 0 || epoch == subject->epochs[newest].epoch) {
        *out_from = offset <= subject->last_offset ? offset + 1 : subject->last_offset + 1;
        return offset <= subject->last_offset ? KT_OK : KT_SEQ;
    }
    for (uint32_t i = 0; i < newest; i++) {
        if (subject->epochs[i].epoch != epoch)
            continue;
        uint64_t cut = subject->epochs[i + 1].first_offset - 1;
        *out_from = offset <= cut ? offset + 1 : cut + 1;
        return offset <= cut ? KT_OK : KT_EPOCH;
    }
    *out_from = subject->last_offset + 1;
    return KT_EPOCH;
}

/* The last segment at whose start the subject had not yet reached `offset`; its number in `names`. first_kept: the
 * subject's first offset that is kept. Reads only the tables of the segments it looks at. */
static kt_code resume_segment(kt_reader *reader, const kt_seg_names *names, uint32_t id, uint64_t offset,
    uint32_t *out_index, uint64_t *out_first_kept)
{
    uint32_t low = 0, high = names->count; /* the answer is in [low, high) */
    bool first = true;

    while (first || high - low > 1) {
        uint32_t middle = first ? 0 : low + (high - low) / 2;
        kt_segment segment;
        kt_code code = kt_segment_map(reader->dir, names->list[middle], false, &segment, &reader->err);
        if (code != KT_OK)
            return code;
        uint64_t last =
            kt_subject_table_last(segment.map + sizeof(kt_seg_header), segment.table_size, segment.subject_count, id);
        kt_segment_unmap(&segment);
        if (first) {
            *out_first_kept = last + 1;
            if (offset < last + 1)
                offset = last + 1;
        }
        if (last < offset)
            low = middle;
        else
            high = middle;
        first = false;
    }
    *out_index = low;
    return KT_OK;
}

/* Seq from which the record (id, offset) is found, by the segment's index. */
static uint64_t resume_seq(kt_reader *reader, kt_seg_name name, uint32_t id, uint64_t offset)
{
    kt_index index;
    kt_segment segment;
    uint64_t seq = name.first_seq;
    kt_code code;

    if (name.first_seq == reader->segment.name.first_seq)
        return kt_index_find(&reader->index, id, offset);
    code = kt_index_load(&index, reader->dir, name);
    if (code != KT_OK && kt_segment_map(reader->dir, name, false, &segment, NULL) == KT_OK) {
        code = kt_index_build(&index, &segment, KT_SUBJECTS_LIMIT);
        kt_segment_unmap(&segment);
    }
    if (code == KT_OK) {
        seq = kt_index_find(&index, id, offset);
        kt_index_done(&index);
    }
    return seq; /* without an index, from the segment's start */
}

kt_code kt_reader_resume(kt_reader *live, kt_text name, uint64_t epoch, uint64_t offset, kt_resume *out, kt_err *err)
{
    kt_seg_names names = { NULL, 0 };
    kt_resume resume = { 0 };
    uint64_t first_kept = 0;
    uint32_t index = 0;
    kt_code answer, code;
    enum { TRIES = 16 };

    if (!live->follows)
        return kt_fail(err, KT_ARG, "this reader of log '%s' has not followed it from its end", live->dir);
    if (name.n == 0 || kt_subjects_find(&live->subjects, name, &resume.subject) != KT_OK)
        return kt_fail(err, KT_NOENT, "log '%s' has no subject '%.*s'", live->dir, KT_TEXT_ARG(name));
    const kt_subject *subject = &live->subjects.list[resume.subject];
    resume.epoch = subject->epochs[subject->epoch_count - 1].epoch;
    answer = resume_epoch(subject, epoch, offset, &resume.next_offset);
    if (answer == KT_EPOCH)
        resume.lost.from = offset + 1;
    code = KT_NOENT;
    for (int tries = 0; tries < TRIES && code == KT_NOENT; tries++) { /* a segment may be unlinked while we look */
        free(names.list);
        names = (kt_seg_names){ NULL, 0 };
        code = reader_names(live, &names);
        if (code == KT_OK && names.count > 0)
            code = resume_segment(live, &names, resume.subject, resume.next_offset, &index, &first_kept);
    }
    if (code != KT_OK || names.count == 0) {
        free(names.list);
        if (err != NULL)
            *err = live->err;
        return code == KT_OK ? KT_CORRUPT : code;
    }
    if (resume.next_offset < first_kept) {
        if (answer == KT_OK) {
            answer = KT_GONE;
            resume.lost = (kt_lost){ resume.next_offset, first_kept - 1 };
        }
        resume.next_offset = first_kept;
    }
    resume.from_seq = resume.next_offset > subject->last_offset
                          ? live->seq
                          : resume_seq(live, names.list[index], resume.subject, resume.next_offset);
    free(names.list);
    *out = resume;
    return answer == KT_OK ? KT_OK
                           : kt_fail(err, answer, "offset %llu of '%.*s' can not be resumed: %s",
                                 (unsigned long long)offset, KT_TEXT_ARG(name), kt_code_text(answer));
}

/* ---- what it remembers ---- */

kt_code kt_reader_recent(const kt_reader *live, uint32_t subject, uint64_t epoch, uint64_t offset, uint64_t before_seq,
    const kt_rec **out_rec)
{
    const kt_rec *rec = NULL;

    if (live->recent == NULL || !live->follows || subject >= live->subjects.count)
        return KT_NOENT;
    const kt_subject *own = &live->subjects.list[subject];
    const kt_epoch *newest = &own->epochs[own->epoch_count - 1];
    const kt_recent_place *before = kt_recent_at(live->recent, before_seq);
    if (newest->epoch != epoch || offset < newest->first_offset || offset > own->last_offset)
        return KT_NOENT;
    if (before != NULL && before->after != 0 && before->rec->subject == subject && before->rec->offset + 1 == offset)
        rec = kt_recent_at(live->recent, before_seq + before->after)->rec;
    else if (own->last_offset - offset <= KT_READER_RECENT_STEPS)
        rec = kt_recent_back(live->recent, own->last_seq, own->last_offset - offset);
    if (rec == NULL || rec->offset != offset || rec->seq < newest->first_seq || rec->seq < kt_reader_first(live))
        return KT_NOENT;
    *out_rec = rec;
    return KT_OK;
}
