/* book/match_levels.h - levels of a half and the map of ids: the parts that every command runs through. Inline.
 */
#ifndef KT_BOOK_MATCH_LEVELS_H
#define KT_BOOK_MATCH_LEVELS_H

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

__attribute__((noinline)) static uint32_t kt_page_take(kt_match *m, kt_match_half *half, uint32_t index)
{
    uint32_t page = m->free_page;

    if (page != 0)
        m->free_page = m->pages[page].first;
    else
        page = m->pages_used++;
    kt_assert(page < m->page_count);
    m->pages[page] = (kt_match_page){ .first = index, .symbol = half->symbol, .half = half->which };
    half->directory[index] = page;
    kt_tree_set(half, index);
    return page;
}

/* Put an order behind all others at this key; returns the level. All of it is done whether the level is new or
 * not, best or not: nobody can guess that, and a wrong guess costs more than the work. */
static inline uint32_t kt_level_push(kt_match *m, kt_match_half *half, uint32_t key, uint32_t slot)
{
    kt_match_slot *order = &m->orders[slot];
    uint32_t index = key >> KT_PAGE_BITS, at = key & (KT_PAGE_LEVELS - 1);
    uint32_t page = half->directory[index];
    uint32_t best_key = half->best_key, best_level = half->best_level, better = -(uint32_t)(key < best_key);
    uint32_t number, tail;
    kt_match_level *level;

    if (KT_UNLIKELY(page == 0))
        page = kt_page_take(m, half, index);
    number = page << KT_PAGE_BITS | at;
    level = &m->levels[number];
    tail = level->tail;
    half->best_key = best_key ^ ((best_key ^ key) & better);
    half->best_level = best_level ^ ((best_level ^ number) & better);
    m->pages[page].used |= UINT64_C(1) << at;
    level->head |= slot & -(uint32_t)(tail == 0); /* 0 before, then */
    level->tail = slot;
    level->total += order->left;
    order->prev = tail;
    order->next = 0;
    order->place = number << 1 | (order->place & 1);
    m->orders[tail].next = slot;
    return number;
}

/* A page has lost its last order. */
__attribute__((noinline)) static void kt_page_give(kt_match *m, kt_match_half *half, uint32_t number)
{
    kt_match_page *page = &m->pages[number];
    uint32_t index = page->first;

    half->directory[index] = 0;
    kt_tree_clear(half, index);
    page->first = m->free_page;
    m->free_page = number;
    if (number != half->best_level >> KT_PAGE_BITS)
        return;
    index = kt_tree_from(half, index);
    if (index != KT_KEY_NONE) {
        kt_half_set_best(m, half, index);
    } else {
        half->best_key = KT_KEY_NONE;
        half->best_level = 0;
    }
}

/* A level has lost an order, perhaps its last. The best level is always the first of its page. */
static inline void kt_level_drop(kt_match *m, uint32_t number)
{
    const kt_match_level *level = &m->levels[number];
    uint32_t in_page = number >> KT_PAGE_BITS, at = number & (KT_PAGE_LEVELS - 1);
    kt_match_page *page = &m->pages[in_page];
    kt_match_half *half = &m->books[page->symbol].halves[page->half];
    uint64_t used = page->used & ~((uint64_t)(level->head == 0) << at);

    kt_assert((level->head == 0) == (level->total == 0));
    page->used = used;
    if (KT_UNLIKELY(used == 0))
        kt_page_give(m, half, in_page);
    else if (number == half->best_level)
        kt_half_set_best(m, half, page->first);
}

/* Take an order out of its level; what it has left leaves the total. Returns the level. */
static inline uint32_t kt_level_pull(kt_match *m, uint32_t slot)
{
    kt_match_slot *order = &m->orders[slot];
    uint32_t number = order->place >> 1, prev = order->prev, next = order->next;
    kt_match_level *level = &m->levels[number];

    kt_assert(level->total >= order->left);
    level->total -= order->left;
    level->head ^= (level->head ^ next) & -(uint32_t)(prev == 0);
    level->tail ^= (level->tail ^ prev) & -(uint32_t)(next == 0);
    m->orders[prev].next = next;
    m->orders[next].prev = prev;
    kt_level_drop(m, number);
    return number;
}

/* ---- ids ----
 *
 * `ids` is always bounds.ids: a parameter, so that loops over many commands can be compiled once for each kind. */

/* The table of hashes is stored in lines of the cache and searched in columns. Sixteen ids in a row share a line, for only their
 * number of sixteen is hashed: ids are mostly given out in a row, and most cancels are for an order that has just come. Each has
 * a column of its own there, and goes on down that when its place is taken: full lines would else be searched from end to end.
 * The hash is multiplicative (Knuth, The Art of Computer Programming 3, 6.4): one multiplication, and ids in a row, or at most
 * steps, come to lie apart. Its first bits say which line and which column the first of the sixteen has: ids that are multiples
 * of something do not all come to one. */
static inline uint32_t kt_id_hash(const kt_match *m, kt_match_ids ids, uint64_t id)
{
    uint64_t factor = m->bounds.seed << 1 ^ UINT64_C(0x9E3779B97F4A7C15); /* odd; 2^64 / golden ratio */

    return ids == KT_MATCH_HASH ? (uint32_t)(id / KT_ID_ROW * factor >> 32) : 0;
}

/* Where the search for an id begins. */
static inline uint32_t kt_id_home(const kt_match *m, uint32_t hash, uint64_t id)
{
    uint32_t first = hash >> m->hash_shift;

    return (first & ~(uint32_t)(KT_ID_ROW - 1)) | ((first + (uint32_t)id) & (KT_ID_ROW - 1));
}

/* Down the column, then to the head of the next one. */
static inline uint32_t kt_id_next(const kt_match *m, uint32_t place)
{
    return place + KT_ID_ROW <= m->hash_mask ? place + KT_ID_ROW : (place + 1) & (KT_ID_ROW - 1);
}

/* What the table holds: the slot, how far it is from home (KT_ID_FAR: that or more), and four bits of the hash, so that orders of
 * other ids are hardly ever looked at. KT_ID_PASSED: others have gone on from here; without it nobody is to move up when this one goes,
 * and the next line is not touched. */
#define KT_ID_PASSED (UINT32_C(1) << 27)
#define KT_ID_FAR 7u

static inline uint32_t kt_id_entry(uint32_t hash, uint32_t distance, uint32_t slot)
{
    return hash << 28 | (distance < KT_ID_FAR ? distance : KT_ID_FAR) << KT_SLOT_BITS | slot;
}

/* Slot of the live order with this id; 0: none. */
static inline uint32_t kt_id_find(const kt_match *m, kt_match_ids ids, uint32_t hash, uint64_t id)
{
    uint32_t slot = (uint32_t)id;

    if (ids == KT_MATCH_HASH) {
        uint32_t place = kt_id_home(m, hash, id);

        for (uint32_t distance = 0;; distance++, place = kt_id_next(m, place)) {
            uint32_t entry = m->hash[place] & ~KT_ID_PASSED;

            slot = entry & KT_SLOT_MASK;
            if (slot == 0 || (entry == kt_id_entry(hash, distance, slot) && m->orders[slot].id == id))
                return slot;
        }
    }
    if (ids == KT_MATCH_DIRECT)
        return id <= m->bounds.id_max ? m->direct[id] : 0;
    return slot < m->slot_count && m->orders[slot].id == id && m->orders[slot].left != 0 ? slot : 0;
}

static inline void kt_id_put(kt_match *m, kt_match_ids ids, uint32_t hash, uint64_t id, uint32_t slot)
{
    if (ids == KT_MATCH_HASH) {
        uint32_t place = kt_id_home(m, hash, id), distance = 0;

        for (; m->hash[place] != 0; place = kt_id_next(m, place), distance++)
            m->hash[place] |= KT_ID_PASSED;
        m->hash[place] = kt_id_entry(hash, distance, slot);
    } else if (ids == KT_MATCH_DIRECT) {
        m->direct[id] = slot;
    }
}

/* How far the entry at this place has come. */
static inline uint32_t kt_id_distance(const kt_match *m, uint32_t place, uint32_t entry)
{
    uint32_t distance = entry >> KT_SLOT_BITS & KT_ID_FAR;
    uint64_t id;

    if (KT_LIKELY(distance < KT_ID_FAR))
        return distance;
    id = m->orders[entry & KT_SLOT_MASK].id;
    distance = 0;
    for (uint32_t at = kt_id_home(m, kt_id_hash(m, KT_MATCH_HASH, id), id); at != place; at = kt_id_next(m, at))
        distance++;
    return distance;
}

/* Those behind that came past here move up, so that a search may end at the first free place. */
static inline void kt_id_drop(kt_match *m, kt_match_ids ids, uint32_t hash, uint64_t id, uint32_t slot)
{
    if (ids == KT_MATCH_HASH) {
        uint32_t hole = kt_id_home(m, hash, id), passed, entry, up = 1;

        while ((m->hash[hole] & KT_SLOT_MASK) != slot)
            hole = kt_id_next(m, hole);
        passed = m->hash[hole] & KT_ID_PASSED;
        for (uint32_t i = kt_id_next(m, hole); KT_UNLIKELY(passed != 0) && (entry = m->hash[i]) != 0;
             i = kt_id_next(m, i), up++) {
            uint32_t distance = kt_id_distance(m, i, entry);

            if (distance >= up) {
                m->hash[hole] = kt_id_entry(entry >> 28, distance - up, entry & KT_SLOT_MASK) | KT_ID_PASSED;
                hole = i;
                passed = entry & KT_ID_PASSED;
                up = 0;
            }
        }
        m->hash[hole] = 0;
    } else if (ids == KT_MATCH_DIRECT) {
        m->direct[id] = 0;
    }
}

__attribute__((always_inline)) static inline void kt_id_fetch(const kt_match *m, kt_match_ids ids, uint64_t id)
{
    if (ids == KT_MATCH_HASH)
        __builtin_prefetch(&m->hash[kt_id_home(m, kt_id_hash(m, ids, id), id)], 1);
    else if (ids == KT_MATCH_DIRECT)
        __builtin_prefetch(&m->direct[id <= m->bounds.id_max ? id : 0], 1);
}

/* The same for those who look once and in a while. */
static inline uint32_t kt_match_find(const kt_match *m, uint64_t id)
{
    return kt_id_find(m, m->bounds.ids, kt_id_hash(m, m->bounds.ids, id), id);
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

static inline void kt_slot_give(kt_match *m, kt_match_ids ids, uint32_t hash, uint32_t slot)
{
    kt_match_slot *order = &m->orders[slot];

    kt_id_drop(m, ids, hash, order->id, slot);
    if (ids == KT_MATCH_HANDLES)
        order->id += UINT64_C(1) << 32; /* a handle of this slot's past never fits again */
    order->left = 0;
    order->place = 0;
    order->next = m->free_slot;
    m->free_slot = slot;
    m->live--;
}

#endif
