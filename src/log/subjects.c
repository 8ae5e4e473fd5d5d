#include "log/subjects.h"

#include "base/assert.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_START = 64 };

void kt_subjects_init(kt_subjects *subjects, uint32_t max)
{
    *subjects = (kt_subjects){ .max = max };
}

void kt_subjects_done(kt_subjects *subjects)
{
    for (uint32_t i = 0; i < subjects->room; i++) {
        free(subjects->list[i].name);
        free(subjects->list[i].epochs);
    }
    for (uint32_t i = 0; i < subjects->retired_count; i++)
        free(subjects->retired[i]);
    free(subjects->retired);
    free(subjects->list);
    free(subjects->map_mem);
    *subjects = (kt_subjects){ 0 };
}

uint64_t kt_subject_table_size(uint32_t name_size, uint32_t epoch_count)
{
    return sizeof(kt_subject_row) + epoch_count * sizeof(kt_epoch) + KT_ALIGN_UP((uint64_t)name_size, 8);
}

static kt_code subjects_grow(kt_subjects *subjects)
{
    uint32_t room = subjects->room == 0 ? ROOM_START : subjects->room * 2;
    kt_subject *list = realloc(subjects->list, room * sizeof *list);
    void *map_mem = malloc(kt_map_text_mem_size(room));

    if (list != NULL) {
        memset(list + subjects->room, 0, (room - subjects->room) * sizeof *list);
        subjects->list = list;
    }
    if (list == NULL || map_mem == NULL) {
        free(map_mem);
        return KT_SYS;
    }
    subjects->room = room;
    free(subjects->map_mem);
    subjects->map_mem = map_mem;
    kt_map_text_init(&subjects->map, map_mem, room, 0);
    for (uint32_t i = 0; i < subjects->count; i++) {
        kt_code code = kt_map_text_put(&subjects->map, (kt_text){ list[i].name, list[i].name_size }, i);
        kt_assert(code == KT_OK);
    }
    return KT_OK;
}

/* Give the slot its name; an equal one that it had is kept, so that borrowed names stay valid. */
static kt_code subject_rename(kt_subjects *subjects, kt_subject *subject, kt_text name)
{
    char *copy;

    if (subject->name != NULL && kt_text_equal((kt_text){ subject->name, subject->name_size }, name))
        return KT_OK;
    copy = malloc(name.n + 1);
    if (copy == NULL)
        return KT_SYS;
    if (name.n > 0)
        memcpy(copy, name.s, name.n);
    copy[name.n] = '\0';
    if (subject->name != NULL) {
        char **retired = realloc(subjects->retired, (subjects->retired_count + 1) * sizeof *retired);
        if (retired == NULL) {
            free(copy);
            return KT_SYS;
        }
        subjects->retired = retired;
        retired[subjects->retired_count++] = subject->name;
    }
    subject->name = copy;
    subject->name_size = (uint16_t)name.n;
    return KT_OK;
}

kt_code kt_subjects_add(kt_subjects *subjects, kt_text name, uint32_t flags, kt_epoch epoch)
{
    kt_code code = KT_OK;

    kt_assert(name.n <= KT_SUBJECT_MAX);
    if (subjects->count > subjects->max)
        return KT_FULL;
    if (subjects->count == subjects->room)
        code = subjects_grow(subjects);
    if (code != KT_OK)
        return code;

    kt_subject *subject = &subjects->list[subjects->count];
    if (subject->epochs == NULL)
        subject->epochs = malloc(sizeof(kt_epoch));
    if (subject->epochs == NULL || subject_rename(subjects, subject, name) != KT_OK)
        return KT_SYS;
    subject->last_offset = 0;
    subject->last_seq = 0;
    subject->flags = flags;
    subject->epochs[0] = epoch;
    subject->epoch_count = 1;
    code = kt_map_text_put(&subjects->map, (kt_text){ subject->name, subject->name_size }, subjects->count);
    kt_assert(code == KT_OK);
    subjects->count++;
    subjects->table_size += kt_subject_table_size(subject->name_size, 1);
    return KT_OK;
}

kt_code kt_subjects_begin(kt_subjects *subjects, uint32_t id, kt_epoch epoch)
{
    kt_assert(id < subjects->count);
    kt_subject *subject = &subjects->list[id];

    /* Where the record that tells it begins a segment, that segment's table knows it already. */
    if (subject->epoch_count > 0 && subject->epochs[subject->epoch_count - 1].epoch == epoch.epoch)
        return KT_OK;
    if (subject->epoch_count == KT_EPOCHS_MAX) {
        memmove(subject->epochs, subject->epochs + 1, (KT_EPOCHS_MAX - 1) * sizeof(kt_epoch));
        subject->epochs[KT_EPOCHS_MAX - 1] = epoch;
        return KT_OK;
    }
    kt_epoch *more = realloc(subject->epochs, (subject->epoch_count + 1u) * sizeof *more);
    if (more == NULL)
        return KT_SYS;
    subject->epochs = more;
    more[subject->epoch_count++] = epoch;
    subjects->table_size += sizeof(kt_epoch);
    return KT_OK;
}

kt_code kt_subjects_find(const kt_subjects *subjects, kt_text name, uint32_t *out_id)
{
    return subjects->room == 0 ? KT_NOENT : kt_map_text_get(&subjects->map, name, out_id);
}

void kt_subjects_store(const kt_subjects *subjects, void *out)
{
    uint8_t *table = out;
    uint64_t at = subjects->count * sizeof(kt_subject_row);

    for (uint32_t i = 0; i < subjects->count; i++) {
        const kt_subject *subject = &subjects->list[i];
        kt_subject_row row = { subject->last_offset, subject->last_seq, (uint32_t)at, subject->flags,
            subject->name_size, subject->epoch_count, 0 };
        uint64_t epochs_size = subject->epoch_count * sizeof(kt_epoch);

        memcpy(table + i * sizeof row, &row, sizeof row);
        memcpy(table + at, subject->epochs, epochs_size);
        memcpy(table + at + epochs_size, subject->name, subject->name_size);
        at += epochs_size + KT_ALIGN_UP((uint64_t)subject->name_size, 8);
    }
    kt_assert(at == subjects->table_size);
}

static bool row_read(const uint8_t *table, uint64_t size, uint32_t count, uint32_t id, kt_subject_row *out)
{
    if (id >= count || count > size / sizeof *out)
        return false;
    memcpy(out, table + (uint64_t)id * sizeof *out, sizeof *out);
    return out->epoch_count >= 1 && out->epoch_count <= KT_EPOCHS_MAX && out->name_size <= KT_SUBJECT_MAX &&
           out->at % 8 == 0 && out->at <= size &&
           out->epoch_count * sizeof(kt_epoch) + KT_ALIGN_UP((uint64_t)out->name_size, 8) <= size - out->at;
}

kt_code kt_subjects_load(kt_subjects *subjects, const void *table, uint64_t size, uint32_t count)
{
    const uint8_t *bytes = table;
    kt_code code = KT_OK;

    subjects->count = 0;
    subjects->table_size = 0;
    if (subjects->room > 0)
        kt_map_text_clear(&subjects->map);
    for (uint32_t i = 0; i < count && code == KT_OK; i++) {
        kt_subject_row row;
        uint32_t twin;
        kt_epoch epoch;

        if (!row_read(bytes, size, count, i, &row))
            return KT_CORRUPT;
        const uint8_t *epochs = bytes + row.at;
        kt_text name = { (const char *)epochs + row.epoch_count * sizeof epoch, row.name_size };
        if ((i == 0) != (name.n == 0) || kt_subjects_find(subjects, name, &twin) == KT_OK)
            return KT_CORRUPT;
        memcpy(&epoch, epochs, sizeof epoch);
        code = kt_subjects_add(subjects, name, row.flags, epoch);
        for (uint16_t e = 1; e < row.epoch_count && code == KT_OK; e++) {
            memcpy(&epoch, epochs + e * sizeof epoch, sizeof epoch);
            code = kt_subjects_begin(subjects, i, epoch);
        }
        if (code == KT_OK) {
            subjects->list[i].last_offset = row.last_offset;
            subjects->list[i].last_seq = row.last_seq;
        }
    }
    return code == KT_FULL ? KT_CORRUPT : code;
}

uint64_t kt_subject_table_last(const void *table, uint64_t size, uint32_t count, uint32_t id)
{
    kt_subject_row row;

    return row_read(table, size, count, id, &row) ? row.last_offset : 0;
}

static kt_code accept_subject(kt_subjects *subjects, const uint8_t *payload, uint32_t size, uint64_t seq)
{
    kt_ctl_subject declared;
    uint32_t twin;

    if (size < sizeof declared)
        return KT_CORRUPT;
    memcpy(&declared, payload, sizeof declared);
    kt_text name = { (const char *)payload + sizeof declared, declared.name_size };
    if (name.n > size - sizeof declared || name.n > KT_SUBJECT_MAX || name.n == 0 || declared.id > subjects->count)
        return KT_CORRUPT;
    if (declared.id < subjects->count) {
        subjects->list[declared.id].flags = declared.flags;
        return KT_OK;
    }
    if (kt_subjects_find(subjects, name, &twin) == KT_OK)
        return KT_CORRUPT;
    kt_code code =
        kt_subjects_add(subjects, name, declared.flags, (kt_epoch){ declared.epoch, declared.first_offset, seq });
    return code == KT_FULL ? KT_CORRUPT : code;
}

static kt_code accept_epochs(kt_subjects *subjects, const uint8_t *payload, uint32_t size)
{
    kt_code code = KT_OK;

    if (size % sizeof(kt_ctl_epoch) != 0)
        return KT_CORRUPT;
    for (uint32_t at = 0; at < size && code == KT_OK; at += sizeof(kt_ctl_epoch)) {
        kt_ctl_epoch begun;
        memcpy(&begun, payload + at, sizeof begun);
        if (begun.id >= subjects->count)
            return KT_CORRUPT;
        code = kt_subjects_begin(subjects, begun.id, (kt_epoch){ begun.epoch, begun.first_offset, begun.first_seq });
    }
    return code;
}

kt_code kt_subjects_accept(kt_subjects *subjects, const kt_rec *rec, bool exact)
{
    uint32_t id = rec->subject;
    kt_code code = KT_OK;

    if (id >= subjects->count)
        return KT_CORRUPT;
    if (exact ? rec->offset != subjects->list[id].last_offset + 1 : rec->offset <= subjects->list[id].last_offset)
        return KT_CORRUPT;
    if ((rec->flags & KT_REC_CONTROL) != 0 && id == 0) {
        if ((rec->flags >> KT_REC_PAD_SHIFT) + sizeof *rec > rec->size)
            return KT_CORRUPT;
        if (rec->kind == KT_CTL_SUBJECT)
            code = accept_subject(subjects, kt_rec_payload(rec), kt_rec_payload_size(rec), rec->seq);
        else if (rec->kind == KT_CTL_EPOCHS)
            code = accept_epochs(subjects, kt_rec_payload(rec), kt_rec_payload_size(rec));
        if (code != KT_OK)
            return code;
    }
    subjects->list[id].last_offset = rec->offset;
    subjects->list[id].last_seq = rec->seq;
    return KT_OK;
}
