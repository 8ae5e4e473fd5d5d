#include "edge/latest.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/text.h"

#include <stdlib.h>

enum { NO_MARK = -1 }; /* marks of events are 0 or greater */

typedef struct entry {
    kt_latest_value value;
    uint64_t seq; /* of the record that made the value what it is */
    kt_sum sum_pq;
    kt_sum sum_q;
    int64_t trades;
    kt_ev_correction correction; /* the newest of a range, without its trades; it may come before the value, at start */
    uint64_t correction_seq;
} entry;

struct kt_latest {
    kt_map_text by_name; /* a subject without its first token: values and corrections of one channel meet here */
    void *map_mem;
    uint32_t count;
    entry entries[KT_LATEST_MAX];
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
    kt_map_text_init(&latest->by_name, latest->map_mem, KT_LATEST_MAX, 0);
    return latest;
}

void kt_latest_free(kt_latest *latest)
{
    if (latest == NULL)
        return;
    free(latest->map_mem);
    free(latest);
}

static kt_text name_of(kt_text subject)
{
    kt_text first;

    kt_text_cut(&subject, '.', &first);
    return subject;
}

static entry *entry_of(kt_latest *latest, kt_text subject)
{
    uint32_t index;
    kt_text name = name_of(subject);

    if (kt_map_text_get(&latest->by_name, name, &index) == KT_OK)
        return &latest->entries[index];
    if (latest->count == KT_LATEST_MAX || kt_map_text_put(&latest->by_name, name, latest->count) != KT_OK)
        return NULL;
    latest->entries[latest->count] = (entry){ .value = { .subject = subject, .mark_ns = NO_MARK } };
    return &latest->entries[latest->count++];
}

/* What the newest correction of a range does to the value, where it came after it. */
static void correct(entry *at)
{
    const kt_ev_correction *correction = &at->correction;
    kt_latest_value *value = &at->value;
    kt_sum sum_pq, sum_q;
    kt_decimal price;

    if (at->correction_seq <= at->seq || !value->validated || value->mark_ns < correction->mark_from ||
        value->mark_ns > correction->mark_to)
        return;
    at->seq = at->correction_seq;
    if (kt_sum_add(at->sum_pq, correction->delta_pq, &sum_pq) != KT_OK ||
        kt_sum_add(at->sum_q, correction->delta_q, &sum_q) != KT_OK)
        return; /* lane keep says so: its store holds the same sums */
    at->sum_pq = sum_pq;
    at->sum_q = sum_q;
    at->trades += correction->delta_trades;
    value->revision++;
    if (at->trades <= 0 || kt_sum_value(sum_q) <= 0)
        value->mark_ns = NO_MARK;
    else if (kt_sum_ratio(sum_pq, sum_q, correction->price_scale, &price) == KT_OK)
        value->price = price;
}

static void apply_vwap(entry *at, const kt_ev_vwap *vwap, uint64_t seq)
{
    kt_latest_value *value = &at->value;

    if (vwap->mark < value->mark_ns || (vwap->mark == value->mark_ns && vwap->revision < value->revision))
        return;
    value->mark_ns = vwap->mark;
    value->price = vwap->price;
    value->revision = vwap->revision;
    value->validated = vwap->validated;
    at->seq = seq;
    at->sum_pq = vwap->sum_pq;
    at->sum_q = vwap->sum_q;
    at->trades = (int64_t)vwap->trades;
    correct(at);
}

static void apply_correction(entry *at, const kt_ev_correction *correction, uint64_t seq)
{
    bool single = correction->mark_from == correction->mark_to && correction->revision > 0;

    if (single) { /* the value itself comes as an event of its own, unless REST leaves none */
        if (correction->new_trades == 0 && correction->mark_to == at->value.mark_ns && seq > at->seq)
            at->value.mark_ns = NO_MARK;
        return;
    }
    if (seq <= at->correction_seq)
        return;
    at->correction = *correction;
    at->correction.trade_ids = (kt_texts){ 0 }; /* they lie in the record */
    at->correction_seq = seq;
    correct(at);
}

void kt_latest_apply(kt_latest *latest, kt_text subject, const kt_rec *rec)
{
    kt_event_any event;
    entry *at;

    if ((rec->kind != KT_EV_VWAP && rec->kind != KT_EV_CORRECTION) ||
        kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) != KT_OK)
        return;
    at = entry_of(latest, subject);
    if (at == NULL)
        return;
    if (rec->kind == KT_EV_VWAP)
        apply_vwap(at, &event.vwap, rec->seq);
    else
        apply_correction(at, &event.correction, rec->seq);
}

const kt_latest_value *kt_latest_find(const kt_latest *latest, kt_text subject)
{
    uint32_t index;

    if (kt_map_text_get(&latest->by_name, name_of(subject), &index) != KT_OK ||
        latest->entries[index].value.mark_ns == NO_MARK)
        return NULL;
    return &latest->entries[index].value;
}

uint32_t kt_latest_count(const kt_latest *latest)
{
    return latest->count;
}

const kt_latest_value *kt_latest_at(const kt_latest *latest, uint32_t index)
{
    kt_assert(index < latest->count);
    return &latest->entries[index].value;
}
