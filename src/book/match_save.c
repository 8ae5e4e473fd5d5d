/* The state as bytes, and the audit.
 *
 *   saved_head, saved_book of each symbol, saved_order of each slot from 1, saved_terms of those that have some, CRC-32C
 *
 * What is saved is what commands can tell apart: slots, queues, terms; not pages or heaps, which load makes anew by the same
 * functions that commands use, so that damaged bytes can be refused but never make a structure that is not one. */
#include "base/hash.h"
#include "book/match_heap.h"
#include "book/match_levels.h"

#define SAVED_MAGIC UINT64_C(0x31304854414d544b) /* "KTMATH01" */

typedef struct saved_head {
    uint64_t magic;
    uint32_t symbol_max, order_max, price_max, ids;
    int64_t qty_max;
    uint64_t id_max;
    int64_t time;
    uint64_t entries, trades;
    uint32_t slots, free_slot, live, specials;
} saved_head;

typedef struct saved_book {
    uint32_t last, state;
} saved_book;

typedef struct saved_order {
    uint64_t id;
    int64_t left; /* 0: free, and only `next` counts */
    uint32_t owner, price;
    uint32_t prev, next; /* of a resting one: its neighbours */
    uint16_t symbol;
    uint8_t side, special;
    uint32_t zero;
} saved_order;

typedef struct saved_terms {
    int64_t hidden, display, expiry;
    uint64_t entry;
    uint32_t slot, peer, limit, stop, trail, follows;
    uint8_t type, tif, stp, post_only, waits, zero[3];
} saved_terms;

_Static_assert(
    sizeof(saved_head) == 80 && sizeof(saved_order) == 40 && sizeof(saved_terms) == 64, "layout of saved bytes");

/* ---- save ---- */

typedef struct sink {
    char *bytes; /* NULL: only counted */
    size_t size;
    uint32_t crc;
    uint64_t hash;
    bool hashing;
} sink;

static void put(sink *out, const void *data, size_t size)
{
    if (out->bytes != NULL) {
        memcpy(out->bytes + out->size, data, size);
        out->crc = kt_crc32c(out->crc, data, size);
    }
    if (out->hashing)
        out->hash = kt_hash64(data, size, out->hash);
    out->size += size;
}

static saved_order order_of(const kt_match *m, uint32_t slot)
{
    const kt_match_slot *order = &m->orders[slot];
    const kt_match_terms *terms = kt_match_terms_of(m, slot);
    saved_order saved = { .id = order->id, .left = order->left, .owner = order->owner, .next = order->next };

    if (order->left == 0) {
        saved.owner = 0;
        saved.id =
            m->bounds.ids == KT_MATCH_HANDLES ? saved.id : 0; /* else of an order that nobody can name any more */
        return saved;
    }
    saved.symbol = kt_match_book_of((kt_match *)m, slot)->symbol;
    saved.side = (uint8_t)kt_match_side_of(m, slot);
    saved.special = terms != NULL;
    if (terms == NULL || terms->where == KT_RESTING) {
        saved.price = kt_match_price(m, saved.side, kt_level_key(m, order->place >> 1));
        saved.prev = order->prev;
    } else {
        saved.next = 0;
    }
    return saved;
}

static saved_terms terms_of(const kt_match *m, uint32_t slot)
{
    const kt_match_terms *terms = &m->terms[slot];
    saved_terms saved = { .hidden = terms->hidden,
        .display = terms->display,
        .expiry = terms->expiry,
        .entry = terms->entry,
        .slot = slot,
        .peer = terms->peer,
        .limit = terms->limit,
        .stop = terms->stop,
        .trail = terms->trail,
        .type = terms->type,
        .tif = terms->tif,
        .stp = terms->stp,
        .post_only = terms->post_only,
        .waits = terms->where != KT_RESTING };
    uint32_t root = slot;

    if (saved.waits && terms->trail != 0) {
        while (m->terms[root].nodes[KT_HEAP_TRAIL].up != 0)
            root = m->terms[root].nodes[KT_HEAP_TRAIL].up;
        saved.follows = m->terms[root].follows;
    }
    return saved;
}

static void walk(const kt_match *m, sink *out)
{
    saved_head head = { .magic = SAVED_MAGIC,
        .symbol_max = m->bounds.symbol_max,
        .order_max = m->bounds.order_max,
        .price_max = m->bounds.price_max,
        .ids = m->bounds.ids,
        .qty_max = m->bounds.qty_max,
        .id_max = m->bounds.id_max,
        .time = m->time,
        .entries = m->entries,
        .trades = m->trades,
        .slots = m->slots,
        .free_slot = m->free_slot,
        .live = m->live };

    for (uint32_t slot = 1; slot < m->slots; slot++)
        head.specials += kt_match_has_terms(&m->orders[slot]);
    put(out, &head, sizeof head);
    for (uint32_t symbol = 0; symbol < m->bounds.symbol_max; symbol++) {
        saved_book book = { .last = m->books[symbol].last, .state = m->books[symbol].state };

        put(out, &book, sizeof book);
    }
    for (uint32_t slot = 1; slot < m->slots; slot++) {
        saved_order order = order_of(m, slot);

        put(out, &order, sizeof order);
    }
    for (uint32_t slot = 1; slot < m->slots && head.specials != 0; slot++)
        if (kt_match_has_terms(&m->orders[slot])) {
            saved_terms terms = terms_of(m, slot);

            put(out, &terms, sizeof terms);
        }
}

size_t kt_match_save_size(const kt_match *m)
{
    sink out = { .size = 0 };

    walk(m, &out);
    return out.size + sizeof out.crc;
}

size_t kt_match_save(const kt_match *m, void *bytes, size_t size)
{
    sink out = { .bytes = bytes };

    if (size < kt_match_save_size(m))
        return 0;
    walk(m, &out);
    memcpy(out.bytes + out.size, &out.crc, sizeof out.crc);
    return out.size + sizeof out.crc;
}

uint64_t kt_match_hash(const kt_match *m)
{
    sink out = { .hashing = true };

    walk(m, &out);
    return out.hash;
}

/* ---- load ---- */

/* As new, whatever the links of its orders say: pages know what they hold. */
static void clear(kt_match *m)
{
    for (uint32_t page = 1; page < m->pages_used; page++) {
        const kt_match_page *p = &m->pages[page];

        if (p->used != 0) {
            kt_match_half *half = &m->books[p->symbol].halves[p->half];

            half->directory[p->first] = 0;
            kt_tree_clear(half, p->first);
            memset(&m->levels[page << KT_PAGE_BITS], 0, KT_PAGE_LEVELS * sizeof *m->levels);
        }
    }
    memset(m->pages, 0, m->pages_used * sizeof *m->pages);
    if (m->bounds.ids == KT_MATCH_HASH)
        memset(m->hash, 0, ((size_t)m->hash_mask + 1) * sizeof *m->hash);
    for (uint32_t slot = 1; m->bounds.ids == KT_MATCH_DIRECT && slot < m->slots; slot++)
        m->direct[m->orders[slot].id] = 0;
    memset(m->orders, 0, m->slots * sizeof *m->orders);
    for (uint32_t symbol = 0; symbol < m->bounds.symbol_max; symbol++) {
        kt_match_book *book = &m->books[symbol];

        for (uint32_t which = 0; which < KT_HALF_COUNT; which++) {
            book->halves[which].best_key = KT_KEY_NONE;
            book->halves[which].best_level = book->halves[which].trailing = 0;
        }
        book->last = book->queued = book->queued_end = book->icebergs = book->state = 0;
    }
    m->slots = m->pages_used = 1;
    m->free_slot = m->free_page = m->live = m->expiry = 0;
    m->time = 0;
    m->entries = m->trades = 0;
}

typedef struct saved_parts {
    saved_head head;
    const char *books, *orders, *terms;
} saved_parts;

static saved_order order_at(const saved_parts *in, uint32_t slot)
{
    saved_order order;

    memcpy(&order, in->orders + (slot - 1) * sizeof order, sizeof order);
    return order;
}

static bool split(const kt_match *m, const char *bytes, size_t size, saved_parts *in)
{
    const kt_match_bounds *b = &m->bounds;
    uint32_t crc;
    size_t need;

    if (size < sizeof in->head + sizeof crc)
        return false;
    memcpy(&crc, bytes + size - sizeof crc, sizeof crc);
    memcpy(&in->head, bytes, sizeof in->head);
    if (crc != kt_crc32c(0, bytes, size - sizeof crc) || in->head.magic != SAVED_MAGIC ||
        in->head.symbol_max != b->symbol_max || in->head.order_max != b->order_max ||
        in->head.price_max != b->price_max || in->head.ids != b->ids || in->head.qty_max != b->qty_max ||
        in->head.id_max != b->id_max)
        return false;
    if (in->head.slots < 1 || in->head.slots > m->slot_count || in->head.specials >= in->head.slots ||
        in->head.live > b->order_max)
        return false;
    need = sizeof in->head + b->symbol_max * sizeof(saved_book) + (in->head.slots - 1) * sizeof(saved_order) +
           in->head.specials * sizeof(saved_terms) + sizeof crc;
    in->books = bytes + sizeof in->head;
    in->orders = in->books + b->symbol_max * sizeof(saved_book);
    in->terms = in->orders + (in->head.slots - 1) * sizeof(saved_order);
    return size == need;
}

static bool load_books(kt_match *m, const saved_parts *in)
{
    for (uint32_t symbol = 0; symbol < m->bounds.symbol_max; symbol++) {
        saved_book book;

        memcpy(&book, in->books + symbol * sizeof book, sizeof book);
        if (book.last > m->bounds.price_max || book.state >= KT_MATCH_STATE_COUNT)
            return false;
        m->books[symbol].last = book.last;
        m->books[symbol].state = (uint8_t)book.state;
    }
    return true;
}

static bool id_fits(const kt_match_bounds *b, uint32_t slot, const saved_order *order)
{
    if (b->ids == KT_MATCH_HANDLES)
        return (uint32_t)order->id == slot;
    if (order->left == 0)
        return order->id == 0;
    return order->id != 0 && (b->ids == KT_MATCH_HASH || order->id <= b->id_max);
}

/* Every slot as it was, but in no level yet: `place` stays 0 or 1. */
static bool load_slots(kt_match *m, const saved_parts *in)
{
    const kt_match_bounds *b = &m->bounds;

    m->slots = in->head.slots;
    m->free_slot = in->head.free_slot;
    for (uint32_t slot = 1; slot < m->slots; slot++) {
        saved_order saved = order_at(in, slot);
        kt_match_slot *order = &m->orders[slot];

        if (saved.left < 0 || saved.left > b->qty_max || saved.next >= m->slots || saved.prev >= m->slots ||
            saved.symbol >= b->symbol_max || saved.side > KT_MATCH_SELL || saved.special > 1 ||
            saved.price > b->price_max)
            return false;
        if (!id_fits(b, slot, &saved))
            return false;
        if (saved.left != 0 && b->ids != KT_MATCH_HANDLES) {
            if (kt_match_find(m, saved.id) != 0)
                return false;
            kt_id_put(m, b->ids, kt_id_hash(m, b->ids, saved.id), saved.id, slot);
        }
        order->id = saved.id;
        order->left = saved.left;
        order->owner = m->owners[slot] = saved.owner;
        order->next = saved.left == 0 ? saved.next : 0;
        m->live += saved.left != 0;
    }
    return m->live == in->head.live;
}

static bool load_free(kt_match *m)
{
    uint32_t count = 0, slot = m->free_slot;

    if (slot >= m->slots)
        return false;
    for (; slot != 0 && m->orders[slot].left == 0 && count < m->slots; slot = m->orders[slot].next)
        count++;
    return slot == 0 && count == m->slots - 1 - m->live;
}

/* Could a command have made these terms? The pairs are looked at when all are there. */
static bool terms_fit(const kt_match *m, const saved_terms *t, const saved_order *order)
{
    const kt_match_bounds *b = &m->bounds;
    bool stop = t->type == KT_MATCH_STOP || t->type == KT_MATCH_STOP_LIMIT, trail = t->type == KT_MATCH_TRAIL;
    uint32_t last = m->books[order->symbol].last;

    if (t->type >= KT_MATCH_TYPE_COUNT || t->tif >= KT_MATCH_TIF_COUNT || t->stp >= KT_MATCH_STP_COUNT ||
        t->post_only > 1 || t->waits > 1 || t->limit > b->price_max || t->peer >= m->slots || t->entry > m->entries)
        return false;
    if (t->hidden < 0 || t->display < 0 || t->hidden > b->qty_max - order->left ||
        (t->hidden != 0 && (t->display == 0 || t->waits)))
        return false;
    if (t->tif == KT_MATCH_GTD ? t->expiry <= m->time : t->expiry != 0)
        return false;
    if (!t->waits)
        return t->stop == 0 && t->trail == 0 && t->follows == 0;
    if (stop)
        return t->stop != 0 && t->stop <= b->price_max && t->trail == 0 && (t->type == KT_MATCH_STOP || t->limit != 0);
    return trail && t->stop == 0 && t->trail != 0 && t->trail <= b->price_max && last != 0 && t->follows != 0 &&
           t->follows <= kt_match_key(m, kt_match_stop_half(order->side), last);
}

static bool load_terms(kt_match *m, const saved_parts *in, uint32_t *out_waiting)
{
    uint32_t before = 0;

    for (uint32_t i = 0; i < in->head.specials; i++) {
        saved_terms saved;
        saved_order order;
        kt_match_terms *terms;

        memcpy(&saved, in->terms + i * sizeof saved, sizeof saved);
        if (saved.slot <= before || saved.slot >= m->slots)
            return false;
        before = saved.slot;
        order = order_at(in, saved.slot);
        if (order.left == 0 || !order.special || !terms_fit(m, &saved, &order))
            return false;
        terms = &m->terms[saved.slot];
        *terms = (kt_match_terms){ .hidden = saved.hidden,
            .display = saved.display,
            .expiry = saved.expiry,
            .entry = saved.entry,
            .peer = saved.peer,
            .limit = saved.limit,
            .stop = saved.stop,
            .trail = saved.trail,
            .follows = saved.follows,
            .symbol = order.symbol,
            .side = order.side,
            .type = saved.type,
            .tif = saved.tif,
            .stp = saved.stp,
            .post_only = saved.post_only,
            .where = saved.waits ? KT_WAITING : KT_RESTING };
        m->orders[saved.slot].place = 1;
        m->books[order.symbol].icebergs += saved.hidden != 0;
        if (saved.tif == KT_MATCH_GTD)
            kt_heap_push(m, KT_HEAP_EXPIRY, &m->expiry, saved.slot, saved.expiry);
        if (saved.waits) {
            m->orders[saved.slot].next = *out_waiting;
            *out_waiting = saved.slot;
        }
    }
    for (uint32_t slot = 1; slot < m->slots; slot++) {
        bool special = kt_match_has_terms(&m->orders[slot]);
        uint32_t peer = special ? m->terms[slot].peer : 0;

        if (special != order_at(in, slot).special && m->orders[slot].left != 0)
            return false;
        if (peer != 0 && (!kt_match_has_terms(&m->orders[peer]) || m->terms[peer].peer != slot || peer == slot))
            return false;
    }
    return true;
}

/* Each queue from its first order, which has nobody before it. */
static bool load_queues(kt_match *m, const saved_parts *in)
{
    uint32_t count = 0, resting = 0;

    for (uint32_t first = 1; first < m->slots; first++) {
        saved_order saved = order_at(in, first), start = saved;
        bool waits = kt_match_has_terms(&m->orders[first]) && m->terms[first].where == KT_WAITING;
        uint32_t slot = first, before = 0;

        if (saved.left == 0 || waits)
            continue;
        resting++;
        if (saved.prev != 0)
            continue;
        if (saved.price == 0)
            return false;
        for (; slot != 0; before = slot, slot = saved.next) {
            kt_match_book *book = &m->books[start.symbol];
            uint32_t number;

            saved = order_at(in, slot);
            if (saved.left == 0 || m->orders[slot].place > 1 || saved.prev != before || saved.symbol != start.symbol ||
                saved.side != start.side || saved.price != start.price ||
                (kt_match_has_terms(&m->orders[slot]) && m->terms[slot].where == KT_WAITING))
                return false;
            number = kt_level_push(m, &book->halves[saved.side], kt_match_key(m, saved.side, saved.price), slot);
            if (before == 0 && m->levels[number].head != slot)
                return false; /* two queues at one price */
            count++;
        }
    }
    return count == resting;
}

bool kt_match_load(kt_match *m, const void *bytes, size_t size)
{
    saved_parts in;
    uint32_t waiting = 0;

    clear(m);
    if (!split(m, bytes, size, &in))
        return false;
    m->time = in.head.time;
    m->entries = in.head.entries;
    m->trades = in.head.trades;
    if (load_books(m, &in) && load_slots(m, &in) && load_free(m) && load_terms(m, &in, &waiting) &&
        load_queues(m, &in) && kt_match_wait_all(m, waiting) && kt_match_audit(m) == NULL)
        return true;
    clear(m);
    return false;
}

/* ---- the audit ---- */

typedef struct audit {
    const kt_match *m;
    uint32_t orders; /* seen in levels */
    uint32_t behind; /* trailing stops that are in none */
    uint32_t pages;
} audit;

#define RULE(fact)        \
    do {                  \
        if (!(fact))      \
            return #fact; \
    } while (0)

static const char *audit_level(audit *a, const kt_match_book *book, uint32_t which, uint32_t number)
{
    const kt_match *m = a->m;
    const kt_match_level *level = &m->levels[number];
    int64_t total = 0;
    uint32_t before = 0;

    for (uint32_t slot = level->head; slot != 0; before = slot, slot = m->orders[slot].next) {
        const kt_match_slot *order = &m->orders[slot];
        const kt_match_terms *terms = kt_match_terms_of(m, slot);

        RULE(a->orders++ < m->live);
        RULE(order->prev == before);
        RULE(order->left > 0);
        RULE(order->place >> 1 == number);
        RULE(kt_match_find(m, order->id) == slot);
        RULE((which >= KT_STOP_HALVES) == (terms != NULL && terms->where == KT_WAITING));
        RULE(terms == NULL ||
             (terms->symbol == book->symbol && (terms->side ^ (which >= KT_STOP_HALVES)) == (which & 1)));
        RULE(terms == NULL || terms->peer == 0 ||
             (m->terms[terms->peer].peer == slot && m->terms[terms->peer].side == terms->side));
        RULE(terms == NULL || (terms->tif == KT_MATCH_GTD) == (terms->expiry != 0));
        RULE(terms == NULL || terms->hidden == 0 || terms->display >= order->left);
        total += order->left;
    }
    RULE(level->tail == before);
    RULE(level->total == total);
    RULE(before != 0);
    return NULL;
}

static const char *audit_page(audit *a, const kt_match_book *book, uint32_t which, uint32_t index)
{
    const kt_match *m = a->m;
    uint32_t number = book->halves[which].directory[index];
    const kt_match_page *page = &m->pages[number];
    const char *broken;

    RULE(number != 0 && number < m->pages_used);
    RULE(page->used != 0);
    RULE(page->first == index && page->symbol == book->symbol && page->half == which);
    a->pages++;
    for (uint32_t i = 0; i < KT_PAGE_LEVELS; i++) {
        const kt_match_level *level = &m->levels[number << KT_PAGE_BITS | i];

        if (page->used >> i & 1) {
            broken = audit_level(a, book, which, number << KT_PAGE_BITS | i);
            if (broken != NULL)
                return broken;
        } else {
            RULE(level->head == 0 && level->tail == 0 && level->total == 0);
        }
    }
    return NULL;
}

static const char *audit_half(audit *a, const kt_match_book *book, uint32_t which)
{
    const kt_match *m = a->m;
    const kt_match_half *half = &book->halves[which];
    uint32_t first = kt_tree_from(half, 0), words = m->directory_size;
    const char *broken;

    RULE((first == KT_KEY_NONE) == (half->best_key == KT_KEY_NONE));
    if (first != KT_KEY_NONE) {
        RULE(half->best_level >> KT_PAGE_BITS == half->directory[first]);
        RULE((half->best_level & (KT_PAGE_LEVELS - 1)) ==
             (uint32_t)__builtin_ctzll(m->pages[half->directory[first]].used));
        RULE(half->best_key == kt_level_key(m, half->best_level));
    }
    for (uint32_t index = 0; index < m->directory_size; index++) {
        RULE((half->directory[index] != 0) == (half->tree[0][index >> 6] >> (index & 63) & 1));
        broken = half->directory[index] != 0 ? audit_page(a, book, which, index) : NULL;
        if (broken != NULL)
            return broken;
    }
    for (uint32_t depth = 0; depth + 1 < KT_TREE_DEPTH; depth++) {
        words = (words >> KT_PAGE_BITS) + 1;
        for (uint32_t i = 0; i < words; i++)
            RULE((half->tree[depth][i] != 0) == (half->tree[depth + 1][i >> 6] >> (i & 63) & 1));
    }
    for (uint32_t slot = half->trailing, behind = 0; slot != 0; behind = slot, slot = m->terms[slot].older) {
        const kt_match_terms *terms = &m->terms[slot];

        RULE(terms->newer == behind && terms->where == KT_WAITING && terms->trail != 0);
        RULE(behind == 0 || terms->follows < m->terms[behind].follows);
        RULE(terms->nodes[KT_HEAP_TRAIL].up == 0);
        RULE(terms->follows <= kt_match_key(m, which, book->last));
    }
    return NULL;
}

const char *kt_match_audit(const kt_match *m)
{
    audit a = { .m = m };
    uint32_t live = 0, free_slots = 0, free_pages = 0, dated = 0, expiring = 0;
    const char *broken;

    for (uint32_t symbol = 0; symbol < m->bounds.symbol_max; symbol++) {
        const kt_match_book *book = &m->books[symbol];

        for (uint32_t which = 0; which < KT_HALF_COUNT; which++) {
            broken = audit_half(&a, book, which);
            if (broken != NULL)
                return broken;
        }
        RULE(book->queued == 0 && book->queued_end == 0);
        RULE(book->state != KT_MATCH_OPEN || kt_match_best(m, (uint16_t)symbol, KT_MATCH_SELL) == 0 ||
             kt_match_best(m, (uint16_t)symbol, KT_MATCH_BUY) < kt_match_best(m, (uint16_t)symbol, KT_MATCH_SELL));
    }
    for (uint32_t slot = 1; slot < m->slots; slot++) {
        const kt_match_terms *terms = m->orders[slot].left != 0 ? kt_match_terms_of(m, slot) : NULL;

        live += m->orders[slot].left != 0;
        a.behind += terms != NULL && terms->where == KT_BEHIND;
        dated += terms != NULL && terms->tif == KT_MATCH_GTD;
        RULE(terms == NULL || terms->where <= KT_BEHIND);
        for (uint32_t up = terms != NULL && terms->tif == KT_MATCH_GTD ? slot : 0; up != 0;
             up = m->terms[up].nodes[KT_HEAP_EXPIRY].up)
            if (m->terms[up].nodes[KT_HEAP_EXPIRY].up == 0)
                expiring += up == m->expiry;
    }
    RULE(live == m->live);
    RULE(live == a.orders + a.behind);
    RULE(dated == expiring);
    for (uint32_t slot = m->free_slot; slot != 0 && free_slots < m->slots; slot = m->orders[slot].next, free_slots++)
        RULE(m->orders[slot].left == 0);
    RULE(free_slots + live + 1 == m->slots);
    for (uint32_t page = m->free_page; page != 0 && free_pages < m->pages_used;
         page = m->pages[page].first, free_pages++)
        RULE(m->pages[page].used == 0);
    RULE(free_pages + a.pages + 1 == m->pages_used);
    return NULL;
}
