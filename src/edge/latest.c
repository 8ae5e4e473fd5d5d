#include "edge/latest.h"

#include "base/assert.h"
#include "base/map.h"

#include <stdlib.h>

struct kt_latest {
    kt_map_text by_subject;
    void *map_mem;
    uint32_t count;
    kt_latest_value values[KT_LATEST_MAX];
};

kt_latest *kt_latest_new(void)
{
    kt_latest *latest = calloc(1, sizeof *latest); /* pages of values that never come are never touched */

    if (latest == NULL)
        return NULL;
    latest->map_mem = malloc(kt_map_text_mem_size(KT_LATEST_MAX));
    if (latest->map_mem == NULL) {
        free(latest);
        return NULL;
    }
    kt_map_text_init(&latest->by_subject, latest->map_mem, KT_LATEST_MAX, 0);
    return latest;
}

void kt_latest_free(kt_latest *latest)
{
    if (latest == NULL)
        return;
    free(latest->map_mem);
    free(latest);
}

static kt_latest_value *value_of(kt_latest *latest, kt_text subject)
{
    uint32_t index;

    if (kt_map_text_get(&latest->by_subject, subject, &index) == KT_OK)
        return &latest->values[index];
    if (latest->count == KT_LATEST_MAX || kt_map_text_put(&latest->by_subject, subject, latest->count) != KT_OK)
        return NULL;
    latest->values[latest->count] = (kt_latest_value){ .subject = subject, .mark_ns = INT64_MIN };
    return &latest->values[latest->count++];
}

void kt_latest_apply(kt_latest *latest, kt_text subject, const kt_rec *rec)
{
    kt_ev_vwap vwap;
    kt_latest_value *value;

    if (rec->kind != KT_EV_VWAP ||
        kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &vwap) != KT_OK)
        return;
    value = value_of(latest, subject);
    if (value == NULL || vwap.mark < value->mark_ns || (vwap.mark == value->mark_ns && vwap.revision < value->revision))
        return;
    value->mark_ns = vwap.mark;
    value->price = vwap.price;
    value->revision = vwap.revision;
    value->validated = vwap.validated;
}

const kt_latest_value *kt_latest_find(const kt_latest *latest, kt_text subject)
{
    uint32_t index;

    return kt_map_text_get(&latest->by_subject, subject, &index) == KT_OK ? &latest->values[index] : NULL;
}

uint32_t kt_latest_count(const kt_latest *latest)
{
    return latest->count;
}

const kt_latest_value *kt_latest_at(const kt_latest *latest, uint32_t index)
{
    kt_assert(index < latest->count);
    return &latest->values[index];
}
