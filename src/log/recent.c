#include "log/recent.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

kt_code kt_recent_new(uint32_t record_max, kt_recent **out_recent)
{
    kt_recent *recent = calloc(1, sizeof *recent);

    kt_assert(record_max != 0 && (record_max & (record_max - 1)) == 0);
    if (recent == NULL || (recent->places = calloc(record_max, sizeof *recent->places)) == NULL) {
        free(recent);
        return KT_SYS;
    }
    recent->room = record_max;
    *out_recent = recent;
    return KT_OK;
}

void kt_recent_free(kt_recent *recent)
{
    if (recent == NULL)
        return;
    kt_recent_clear(recent);
    free(recent->places);
    free(recent);
}

void kt_recent_clear(kt_recent *recent)
{
    for (uint32_t i = 0; i < recent->left_count; i++)
        kt_segment_unmap(&recent->left[i]);
    recent->left_count = 0;
    recent->first_seq = recent->next_seq = 0;
}

static kt_recent_place *place_of(const kt_recent *recent, uint64_t seq)
{
    return seq >= recent->first_seq && seq < recent->next_seq ? &recent->places[seq & (recent->room - 1)] : NULL;
}

void kt_recent_add(kt_recent *recent, const kt_rec *rec, uint64_t before_seq)
{
    kt_recent_place *before;
    uint64_t seq = rec->seq;

    if (seq != recent->next_seq) {
        kt_recent_clear(recent);
        recent->first_seq = recent->next_seq = seq;
    }
    if (seq - recent->first_seq == recent->room)
        recent->first_seq++;
    before = place_of(recent, before_seq);
    if (before != NULL)
        before->after = (uint32_t)(seq - before_seq);
    recent->next_seq++;
    *place_of(recent, seq) = (kt_recent_place){ rec, before != NULL ? (uint32_t)(seq - before_seq) : 0, 0 };
}

/* The first seq behind a segment that was left. */
static uint64_t behind(const kt_recent *recent, uint32_t index)
{
    return index + 1 < recent->left_count ? recent->left[index + 1].name.first_seq : recent->segment_seq;
}

void kt_recent_leave(kt_recent *recent, kt_segment *segment)
{
    if (recent->left_count == KT_RECENT_SEGMENTS)
        kt_recent_forget(recent, recent->left[1].name.first_seq);
    recent->left[recent->left_count++] = *segment;
    *segment = (kt_segment){ .guard = -1 };
    recent->segment_seq = recent->next_seq;
    kt_recent_forget(recent, recent->first_seq);
}

void kt_recent_forget(kt_recent *recent, uint64_t first_seq)
{
    uint32_t over = 0;

    if (first_seq > recent->next_seq)
        first_seq = recent->next_seq;
    if (first_seq > recent->first_seq)
        recent->first_seq = first_seq;
    while (over < recent->left_count && behind(recent, over) <= recent->first_seq)
        kt_segment_unmap(&recent->left[over++]);
    recent->left_count -= over;
    memmove(recent->left, recent->left + over, recent->left_count * sizeof *recent->left);
}

const kt_recent_place *kt_recent_at(const kt_recent *recent, uint64_t seq)
{
    return place_of(recent, seq);
}

const kt_rec *kt_recent_back(const kt_recent *recent, uint64_t seq, uint64_t steps)
{
    const kt_recent_place *place = place_of(recent, seq);

    for (; place != NULL && steps > 0; steps--) {
        seq -= place->before;
        place = place->before != 0 ? place_of(recent, seq) : NULL;
    }
    return place != NULL ? place->rec : NULL;
}
