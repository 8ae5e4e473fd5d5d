#include "lane/timers.h"

#include "base/hash.h"

#include <stdlib.h>

#define SLOT_NONE UINT32_MAX

kt_code kt_timers_init(kt_timers *timers, uint32_t max)
{
    uint32_t buckets = 16;

    while (buckets < max)
        buckets *= 2;
    *timers = (kt_timers){ .max = max, .mask = buckets - 1 };
    timers->slots = calloc(max, sizeof *timers->slots);
    timers->heap = calloc(max, sizeof *timers->heap);
    timers->heads = malloc(buckets * sizeof *timers->heads);
    if (timers->slots == NULL || timers->heap == NULL || timers->heads == NULL) {
        kt_timers_done(timers);
        return KT_SYS;
    }
    for (uint32_t i = 0; i < buckets; i++)
        timers->heads[i] = SLOT_NONE;
    for (uint32_t i = 0; i < max; i++)
        timers->slots[i].next = i + 1 < max ? i + 1 : SLOT_NONE;
    return KT_OK;
}

void kt_timers_done(kt_timers *timers)
{
    free(timers->slots);
    free(timers->heap);
    free(timers->heads);
    *timers = (kt_timers){ 0 };
}

static uint32_t *bucket(const kt_timers *timers, uint32_t service, uint64_t id)
{
    return &timers->heads[kt_hash_u64(id, service) & timers->mask];
}

static uint32_t find(const kt_timers *timers, uint32_t service, uint64_t id)
{
    uint32_t slot = *bucket(timers, service, id);

    while (slot != SLOT_NONE && (timers->slots[slot].service != service || timers->slots[slot].id != id))
        slot = timers->slots[slot].next;
    return slot;
}

static int order(const void *a_, const void *b_)
{
    const kt_lane_timer *a = a_, *b = b_;

    if (a->due_ns != b->due_ns)
        return a->due_ns < b->due_ns ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static bool before(const kt_timers *timers, uint32_t a, uint32_t b)
{
    return order(&timers->slots[a], &timers->slots[b]) < 0;
}

static void put(kt_timers *timers, uint32_t place, uint32_t slot)
{
    timers->heap[place] = slot;
    timers->slots[slot].place = place;
}

static void sift(kt_timers *timers, uint32_t place)
{
    uint32_t slot = timers->heap[place];

    while (place > 0 && before(timers, slot, timers->heap[(place - 1) / 2])) {
        put(timers, place, timers->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child + 1 < timers->count && before(timers, timers->heap[child + 1], timers->heap[child]))
            child++;
        if (child >= timers->count || !before(timers, timers->heap[child], slot))
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, slot);
}

kt_code kt_timers_set(kt_timers *timers, uint32_t service, uint64_t id, int64_t due_ns)
{
    uint32_t slot = find(timers, service, id);

    if (slot == SLOT_NONE) {
        if (timers->count == timers->max)
            return KT_FULL;
        slot = timers->free;
        kt_lane_timer *timer = &timers->slots[slot];
        uint32_t *head = bucket(timers, service, id);
        timers->free = timer->next;
        *timer = (kt_lane_timer){ .id = id, .service = service, .next = *head };
        *head = slot;
        put(timers, timers->count++, slot);
    }
    timers->slots[slot].due_ns = due_ns;
    timers->slots[slot].order = ++timers->orders;
    sift(timers, timers->slots[slot].place);
    return KT_OK;
}

kt_code kt_timers_cancel(kt_timers *timers, uint32_t service, uint64_t id)
{
    uint32_t slot = find(timers, service, id);
    uint32_t *link = bucket(timers, service, id);

    if (slot == SLOT_NONE)
        return KT_NOENT;
    while (*link != slot)
        link = &timers->slots[*link].next;
    *link = timers->slots[slot].next;

    uint32_t place = timers->slots[slot].place;
    uint32_t last = timers->heap[--timers->count];
    if (place < timers->count) {
        put(timers, place, last);
        sift(timers, place);
    }
    timers->slots[slot].next = timers->free;
    timers->free = slot;
    return KT_OK;
}

const kt_lane_timer *kt_timers_next(const kt_timers *timers)
{
    return timers->count > 0 ? &timers->slots[timers->heap[0]] : NULL;
}

void kt_timers_list(const kt_timers *timers, kt_lane_timer *out)
{
    for (uint32_t i = 0; i < timers->count; i++)
        out[i] = timers->slots[timers->heap[i]];
    qsort(out, timers->count, sizeof *out, order);
}
