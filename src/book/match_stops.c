/* Stops wait in halves of their own, by the price that triggers them.
 *
 * A trailing stop follows the best price since it came: when that moves, so does the stop. Moving each by itself would cost
 * every new high as much as there are trailing stops, so those that follow the same price are one group: a heap by distance,
 * of which only the nearest, the first, waits in a level. A new high moves one level entry, and merges groups that have come
 * to follow the same price. Groups are a stack: who came later follows a price that is not better. */
#include "book/match_heap.h"
#include "book/match_levels.h"

/* ---- trailing groups ---- */

static void wait_at(kt_match *m, kt_match_book *book, uint32_t which, uint32_t key, uint32_t slot)
{
    m->terms[slot].where = KT_WAITING;
    kt_level_push(m, &book->halves[which], key, slot);
}

/* `first` leads the group that follows `key`, on top of the group `older`. */
static void lead(
    kt_match *m, kt_match_book *book, uint32_t which, uint32_t first, uint32_t key, uint32_t older, uint32_t newer)
{
    kt_match_terms *terms = &m->terms[first];
    uint32_t stop = key + terms->trail < m->price_top ? key + terms->trail : m->price_top; /* there no price comes */

    terms->follows = key;
    terms->older = older;
    terms->newer = newer;
    if (older != 0)
        m->terms[older].newer = first;
    if (newer != 0)
        m->terms[newer].older = first;
    else
        book->halves[which].trailing = first;
    wait_at(m, book, which, stop, first);
}

static void to_rear(kt_match *m, kt_match_book *book, uint32_t slot)
{
    kt_level_pull(m, slot);
    m->orders[slot].place = 1;
    m->terms[slot].where = KT_BEHIND;
}

/* All groups that follow `key` or worse become one, with `slot` (0: nobody) in it. */
static void gather(kt_match *m, kt_match_book *book, uint32_t which, uint32_t key, uint32_t slot)
{
    uint32_t top = book->halves[which].trailing, root = slot;

    while (top != 0 && m->terms[top].follows >= key) {
        to_rear(m, book, top);
        root = kt_heap_merge(m, KT_HEAP_TRAIL, root, top);
        top = m->terms[top].older;
    }
    if (root != 0)
        lead(m, book, which, root, key, top, 0);
}

static void leave(kt_match *m, kt_match_book *book, uint32_t which, uint32_t slot)
{
    kt_match_terms *terms = &m->terms[slot];
    uint32_t root = slot;

    if (terms->where == KT_BEHIND) {
        kt_heap_take(m, KT_HEAP_TRAIL, &root, slot); /* the root is another and stays */
        return;
    }
    kt_level_pull(m, slot);
    kt_heap_take(m, KT_HEAP_TRAIL, &root, slot);
    if (root != 0) {
        lead(m, book, which, root, terms->follows, terms->older, terms->newer);
        return;
    }
    if (terms->older != 0)
        m->terms[terms->older].newer = terms->newer;
    if (terms->newer != 0)
        m->terms[terms->newer].older = terms->older;
    else
        book->halves[which].trailing = terms->older;
}

uint32_t kt_match_stop_price(const kt_match *m, uint32_t slot)
{
    const kt_match_terms *terms = &m->terms[slot];
    uint32_t which = kt_match_stop_half(terms->side), root = slot, key;

    if (terms->trail == 0)
        return terms->stop;
    while (m->terms[root].nodes[KT_HEAP_TRAIL].up != 0)
        root = m->terms[root].nodes[KT_HEAP_TRAIL].up;
    key = m->terms[root].follows + terms->trail;
    return kt_match_price(m, which, key < m->price_top ? key : m->price_top);
}

/* ---- the queue of those that are triggered ---- */

static void enqueue(kt_match *m, kt_match_book *book, uint32_t slot)
{
    m->terms[slot].where = KT_QUEUED;
    m->orders[slot].prev = book->queued_end;
    m->orders[slot].next = 0;
    if (book->queued_end != 0)
        m->orders[book->queued_end].next = slot;
    else
        book->queued = slot;
    book->queued_end = slot;
}

static void dequeue(kt_match *m, kt_match_book *book, uint32_t slot)
{
    const kt_match_slot *order = &m->orders[slot];

    *(order->prev != 0 ? &m->orders[order->prev].next : &book->queued) = order->next;
    *(order->next != 0 ? &m->orders[order->next].prev : &book->queued_end) = order->prev;
}

static uint32_t merge_by_entry(kt_match *m, uint32_t a, uint32_t b)
{
    uint32_t first = 0, *link = &first;

    while (a != 0 && b != 0) {
        uint32_t *least = m->terms[a].entry < m->terms[b].entry ? &a : &b;

        *link = *least;
        link = &m->orders[*least].next;
        *least = *link;
    }
    *link = a != 0 ? a : b;
    return first;
}

/* Merge sort of a list through `next`: sorted[i] has 2^i of them or is empty. */
static uint32_t sort_by_entry(kt_match *m, uint32_t list)
{
    uint32_t sorted[32] = { 0 }, all = 0, i;

    while (list != 0) {
        uint32_t run = list;

        list = m->orders[run].next;
        m->orders[run].next = 0;
        for (i = 0; sorted[i] != 0; i++) {
            run = merge_by_entry(m, sorted[i], run);
            sorted[i] = 0;
        }
        sorted[i] = run;
    }
    for (i = 0; i < KT_COUNT(sorted); i++)
        all = merge_by_entry(m, sorted[i], all);
    return all;
}

/* ---- what match.c calls ---- */

void kt_match_wait(kt_match *m, kt_match_book *book, uint32_t slot)
{
    const kt_match_terms *terms = &m->terms[slot];
    uint32_t which = kt_match_stop_half(terms->side);
    uint32_t last = book->last != 0 ? kt_match_key(m, which, book->last) : 0;

    if (terms->trail != 0) {
        m->terms[slot].nodes[KT_HEAP_TRAIL] = (kt_match_node){ .key = terms->trail };
        m->terms[slot].where = KT_BEHIND;
        gather(m, book, which, last, slot);
    } else if (book->state == KT_MATCH_OPEN && kt_match_key(m, which, terms->stop) <= last) {
        enqueue(m, book, slot);
    } else {
        wait_at(m, book, which, kt_match_key(m, which, terms->stop), slot);
    }
}

/* After a load: a list through `next`. Who came first follows the best price, so in that order groups come back as they
 * were; false: they can not have been like that. */
bool kt_match_wait_all(kt_match *m, uint32_t list)
{
    uint32_t next;

    for (list = list != 0 ? sort_by_entry(m, list) : 0; list != 0; list = next) {
        kt_match_terms *terms = &m->terms[list];
        kt_match_book *book = &m->books[terms->symbol];
        uint32_t which = kt_match_stop_half(terms->side), top = book->halves[which].trailing;

        next = m->orders[list].next;
        if (terms->trail == 0) {
            wait_at(m, book, which, kt_match_key(m, which, terms->stop), list);
        } else {
            if (top != 0 && m->terms[top].follows > terms->follows)
                return false;
            m->terms[list].nodes[KT_HEAP_TRAIL] = (kt_match_node){ .key = terms->trail };
            terms->where = KT_BEHIND;
            gather(m, book, which, terms->follows, list);
        }
    }
    return true;
}

/* Out of wherever it waits, or of the queue. */
void kt_match_unwait(kt_match *m, kt_match_book *book, uint32_t slot)
{
    kt_match_terms *terms = &m->terms[slot];

    if (terms->where == KT_QUEUED)
        dequeue(m, book, slot);
    else if (terms->trail != 0)
        leave(m, book, kt_match_stop_half(terms->side), slot);
    else
        kt_level_pull(m, slot);
    m->orders[slot].place = 1;
    terms->where = KT_TAKING;
}

/* Something has traded at this price: queue what it triggers, and let trailing stops follow. */
void kt_match_reach(kt_match *m, kt_match_book *book, uint32_t price)
{
    uint32_t list = 0, next;

    book->last = price;
    for (uint32_t which = KT_STOP_HALVES; which < KT_HALF_COUNT; which++) {
        kt_match_half *half = &book->halves[which];
        uint32_t key = kt_match_key(m, which, price);

        while (half->best_key <= key) {
            uint32_t slot = m->levels[half->best_level].head;

            kt_match_unwait(m, book, slot);
            m->orders[slot].next = list;
            list = slot;
        }
        if (half->trailing != 0 && m->terms[half->trailing].follows > key)
            gather(m, book, which, key, 0);
    }
    for (list = list != 0 ? sort_by_entry(m, list) : 0; list != 0; list = next) {
        next = m->orders[list].next;
        enqueue(m, book, list);
    }
}

void kt_match_work_off(kt_match *m, kt_match_book *book)
{
    while (book->queued != 0) {
        uint32_t slot = book->queued;
        kt_match_terms *terms = &m->terms[slot];
        const kt_match_intent intent = { .price = terms->limit,
            .side = terms->side,
            .rests = terms->type == KT_MATCH_STOP_LIMIT && (terms->tif == KT_MATCH_GTC || terms->tif == KT_MATCH_GTD),
            .tif = terms->tif,
            .stp = terms->stp,
            .post_only = terms->post_only };
        uint32_t peer = terms->peer;

        kt_match_unwait(m, book, slot);
        terms->stop = terms->trail = 0;
        kt_match_room(m);
        kt_match_tell(m, KT_MATCH_TRIGGERED, KT_MATCH_NONE, book->symbol, intent.side, intent.price, m->orders[slot].id,
            m->orders[slot].left, 0);
        if (peer != 0) {
            terms->peer = m->terms[peer].peer = 0;
            kt_match_remove(m, peer, KT_MATCH_CANCELLED, KT_MATCH_PEER);
        }
        kt_match_execute(m, book, slot, &intent);
    }
}
