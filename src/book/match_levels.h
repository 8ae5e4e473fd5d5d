/* book/match_levels.h - levels of a half and the map of ids: the parts that every command runs through. Inline.
 */
#ifndef KT_BOOK_MATCH_LEVELS_H
#define KT_BOOK_MATCH_LEVELS_H

#include "base/hash.h"
#include "book/match_parts.h"

/* ---- the tree of a half: which pages are in use ---- */

static inline void kt_tree_set(kt_match_half *half, uint32_t index)
{
    for (uint32_t depth = 0; depth < KT_TREE_DEPTH; depth++, index >>= 6) {
        uint64_t *word = &half->tree[depth][index >> 6];
        uint64_t before = *word;

        *word = before | UINT64_C(1) << (index & 63);
        if (before != 0)
            return; /* those above know already */
    }
}

static inline void kt_tree_clear(kt_match_half *half, uint32_t index)
{
    for (uint32_t depth = 0; depth < KT_TREE_DEPTH; depth++, index >>= 6)
        if ((half->tree[depth][index >> 6] &= ~(UINT64_C(1) << (index & 63))) != 0)
            return;
}

/* The first page in use at `index` or behind; KT_KEY_NONE: none. */
static inline uint32_t kt_tree_from(const kt_match_half *half, uint32_t index)
{
    for (uint32_t depth = 0; depth < KT_TREE_DEPTH; depth++) {
        uint64_t word = half->tree[depth][index >> 6] >> (index & 63);

        if (word != 0) {
            index += (uint32_t)__builtin_ctzll(word);
            while (depth-- > 0)
                index = index << 6 | (uint32_t)__builtin_ctzll(half->tree[depth][index]);
            return index;
        }
        index = (index >> 6) + 1;
    }
    return KT_KEY_NONE;
}

/* ---- levels ---- */

static inline uint32_t kt_level_key(const kt_match *m, uint32_t level)
{
    return m->pages[level >> KT_PAGE_BITS].first << KT_PAGE_BITS | (level & (KT_PAGE_LEVELS - 1));
}

static inline void kt_half_set_best(const kt_match *m, kt_match_half *half, uint32_t index)
{
    uint32_t page = half->directory[index];
    uint32_t at = (uint32_t)__builtin_ctzll(m->pages[page].used);

    half->best_key = index << KT_PAGE_BITS | at;
    half->best_level = page << KT_PAGE_BITS | at;
}

/* The level behind this one; KT_KEY_NONE: none. */
static inline uint32_t kt_level_behind(const kt_match *m, const kt_match_half *half, uint32_t level)
{
    const kt_match_page *page = &m->pages[level >> KT_PAGE_BITS];
    uint32_t at = level & (KT_PAGE_LEVELS - 1);
    uint64_t rest = page->used & ~((UINT64_C(2) << at) - 1);
    uint32_t index;

    if (rest != 0)
        return (level & ~(uint32_t)(KT_PAGE_LEVELS - 1)) | (uint32_t)__builtin_ctzll(rest);
    index = kt_tree_from(half, page->first + 1);
    if (index == KT_KEY_NONE)
        return KT_KEY_NONE;
    index = half->directory[index];
    return index << KT_PAGE_BITS | (uint32_t)__builtin_ctzll(m->pages[index].used);
}

__attribute__((noinline)) static uint32_t kt_page_take(kt_match *m, kt_match_book *book, uint32_t which, uint32_t index)
{
    uint32_t page = m->free_page;

    if (page != 0)
        m->free_page = m->pages[page].first;
    else
        page = m->pages_used++;
    kt_assert(page < m->page_count);
    m->pages[page] = (kt_match_page){ .first = index, .symbol = book->symbol, .half = (uint16_t)which };
    book->halves[which].directory[index] = page;
    kt_tree_set(&book->halves[which], index);
    return page;
}

/* Put an order behind all others at this key. */
static inline uint32_t kt_level_push(kt_match *m, kt_match_book *book, uint32_t which, uint32_t key, uint32_t slot)
{
    kt_match_half *half = &book->halves[which];
    kt_match_slot *order = &m->orders[slot];
    uint32_t index = key >> KT_PAGE_BITS, at = key & (KT_PAGE_LEVELS - 1);
    uint32_t page = half->directory[index];
    uint32_t number;
    kt_match_level *level;

    if (KT_UNLIKELY(page == 0))
        page = kt_page_take(m, book, which, index);
    number = page << KT_PAGE_BITS | at;
    level = &m->levels[number];
    order->place = number << 1 | (order->place & 1);
    order->prev = level->tail;
    order->next = 0;
    m->orders[level->tail].next = slot;
    level->head = level->tail != 0 ? level->head : slot;
    level->tail = slot;
    m->pages[page].used |= UINT64_C(1) << at;
    half->best_level = key < half->best_key ? number : half->best_level;
    half->best_key = key < half->best_key ? key : half->best_key;
    level->total += order->left;
    return number;
}

/* A level has lost its last order. */
static inline void kt_level_drop(kt_match *m, kt_match_book *book, uint32_t number)
{
    kt_match_page *page = &m->pages[number >> KT_PAGE_BITS];
    kt_match_half *half = &book->halves[page->half];
    uint32_t index = page->first;

    kt_assert(m->levels[number].total == 0);
    page->used &= ~(UINT64_C(1) << (number & (KT_PAGE_LEVELS - 1)));
    if (page->used != 0) {
        if (number == half->best_level)
            kt_half_set_best(m, half, index);
        return;
    }
    half->directory[index] = 0;
    kt_tree_clear(half, index);
    page->first = m->free_page;
    m->free_page = number >> KT_PAGE_BITS;
    if (number == half->best_level) {
        index = kt_tree_from(half, index);
        if (index != KT_KEY_NONE) {
            kt_half_set_best(m, half, index);
        } else {
            half->best_key = KT_KEY_NONE;
            half->best_level = 0;
        }
    }
}

/* Take an order out of its level; what it has left leaves the total. Returns the level. */
static inline uint32_t kt_level_pull(kt_match *m, kt_match_book *book, uint32_t slot)
{
    kt_match_slot *order = &m->orders[slot];
    uint32_t number = order->place >> 1;
    kt_match_level *level = &m->levels[number];

    kt_assert(level->total >= order->left);
    level->total -= order->left;
    m->orders[order->prev].next = order->next;
    m->orders[order->next].prev = order->prev;
    level->head = order->prev != 0 ? level->head : order->next;
    level->tail = order->next != 0 ? level->tail : order->prev;
    if (level->head == 0)
        kt_level_drop(m, book, number);
    return number;
}

/* ---- ids ---- */

/* Eight ids in a row share a line of the cache, and only their number of eight is hashed: ids are mostly given out in a row, and
 * most cancels are for an order that has just come. The top bits are the place in the table. */
static inline uint32_t kt_id_hash(const kt_match *m, uint64_t id)
{
    uint32_t hash = (uint32_t)(kt_hash_u64(id >> 3, m->bounds.seed) >> 32);

    return (hash & ~(UINT32_C(7) << m->hash_shift)) | (uint32_t)(id & 7) << m->hash_shift;
}

/* Slot of the live order with this id; 0: none. */
static inline uint32_t kt_id_find(const kt_match *m, uint64_t id)
{
    uint32_t slot = (uint32_t)id;

    if (m->bounds.ids == KT_MATCH_HASH) {
        uint32_t hash = kt_id_hash(m, id);

        for (uint32_t i = hash >> m->hash_shift;; i = (i + 1) & m->hash_mask) {
            uint64_t entry = m->hash[i];

            slot = (uint32_t)entry;
            if (slot == 0 || ((entry >> 32) == hash && m->orders[slot].id == id))
                return slot;
        }
    }
    if (m->bounds.ids == KT_MATCH_DIRECT)
        return id <= m->bounds.id_max ? m->direct[id] : 0;
    return slot < m->slot_count && m->orders[slot].id == id && m->orders[slot].left != 0 ? slot : 0;
}

static inline void kt_id_put(kt_match *m, uint64_t id, uint32_t slot)
{
    if (m->bounds.ids == KT_MATCH_HASH) {
        uint32_t hash = kt_id_hash(m, id);
        uint32_t i = hash >> m->hash_shift;

        while (m->hash[i] != 0)
            i = (i + 1) & m->hash_mask;
        m->hash[i] = (uint64_t)hash << 32 | slot;
    } else if (m->bounds.ids == KT_MATCH_DIRECT) {
        m->direct[id] = slot;
    }
}

/* Those behind move up, so that a search may end at the first free place. */
static inline void kt_id_drop(kt_match *m, uint64_t id, uint32_t slot)
{
    if (m->bounds.ids == KT_MATCH_HASH) {
        uint32_t hole = kt_id_hash(m, id) >> m->hash_shift, i;

        while ((uint32_t)m->hash[hole] != slot)
            hole = (hole + 1) & m->hash_mask;
        for (i = (hole + 1) & m->hash_mask; m->hash[i] != 0; i = (i + 1) & m->hash_mask) {
            uint32_t home = (uint32_t)(m->hash[i] >> 32) >> m->hash_shift;

            if (((i - home) & m->hash_mask) >= ((i - hole) & m->hash_mask)) {
                m->hash[hole] = m->hash[i];
                hole = i;
            }
        }
        m->hash[hole] = 0;
    } else if (m->bounds.ids == KT_MATCH_DIRECT) {
        m->direct[id] = 0;
    }
}

/* ---- slots ---- */

/* A slot for an order; there always is one, see KT_ORDER_SPARE. */
static inline uint32_t kt_slot_take(kt_match *m)
{
    uint32_t slot = m->free_slot;

    if (KT_LIKELY(slot != 0)) {
        m->free_slot = m->orders[slot].next;
        __builtin_prefetch(&m->orders[m->free_slot], 1);
    } else {
        slot = m->slots++;
        m->orders[slot].id = slot;
    }
    m->live++;
    return slot;
}

static inline void kt_slot_give(kt_match *m, uint32_t slot)
{
    kt_match_slot *order = &m->orders[slot];

    kt_id_drop(m, order->id, slot);
    if (m->bounds.ids == KT_MATCH_HANDLES)
        order->id += UINT64_C(1) << 32; /* a handle of this slot's past never fits again */
    order->left = 0;
    order->place = 0;
    order->next = m->free_slot;
    m->free_slot = slot;
    m->live--;
}

#endif
