#include "book/match_heap.h"
#include "book/match_levels.h"

#define HOT __attribute__((always_inline)) inline

/* ---- an order's end ---- */

static void set_hidden(kt_match_book *book, kt_match_terms *terms, int64_t hidden)
{
    book->icebergs += (uint32_t)(hidden != 0) - (uint32_t)(terms->hidden != 0);
    terms->hidden = hidden;
}

/* Both of a pair forget each other; returns the other, 0: there was none. */
static uint32_t part(kt_match *m, uint32_t slot)
{
    kt_match_terms *terms = kt_match_terms_of(m, slot);
    uint32_t peer = terms != NULL ? terms->peer : 0;

    if (peer != 0) {
        terms->peer = 0;
        m->terms[peer].peer = 0;
    }
    return peer;
}

/* The slot of an order that is in no level and has no peer any more. */
HOT static void end(kt_match *m, kt_match_book *book, uint32_t slot)
{
    kt_match_terms *terms = kt_match_terms_of(m, slot);

    if (KT_UNLIKELY(terms != NULL)) {
        kt_assert(terms->peer == 0);
        set_hidden(book, terms, 0);
        if (terms->tif == KT_MATCH_GTD)
            kt_heap_take(m, KT_HEAP_EXPIRY, &m->expiry, slot);
    }
    kt_slot_give(m, m->bounds.ids, kt_id_hash(m, m->bounds.ids, m->orders[slot].id), slot);
}

static void tell_level(kt_match *m, const kt_match_book *book, uint32_t half, uint32_t price, uint32_t level)
{
    kt_match_tell(m, KT_MATCH_LEVEL, KT_MATCH_NONE, book->symbol, half, price, 0, m->levels[level].total, 0);
}

/* Out of its level, and told. */
HOT static void remove_resting(kt_match *m, uint32_t slot, kt_match_kind kind, kt_match_why why)
{
    const kt_match_slot *order = &m->orders[slot];
    uint32_t level = order->place >> 1;
    const kt_match_page *page = &m->pages[level >> KT_PAGE_BITS];
    uint32_t price = kt_match_price(m, page->half, kt_level_key(m, level));
    uint64_t spot = kt_match_spot(page->symbol, page->half, price);
    int64_t total = m->levels[level].total - order->left;
    kt_match_event *at = m->next;

    at = kt_match_put(at, kind, why, spot, order->id, kt_match_whole(m, slot), order->owner);
    m->next = kt_match_put(at, KT_MATCH_LEVEL, KT_MATCH_NONE, spot, 0, total, 0);
    kt_level_pull(m, slot);
}

void kt_match_remove(kt_match *m, uint32_t slot, kt_match_kind kind, kt_match_why why)
{
    const kt_match_slot *order = &m->orders[slot];
    const kt_match_terms *terms;
    kt_match_book *book;
    uint32_t peer;

    kt_match_room(m);
    if (KT_LIKELY(!kt_match_has_terms(order))) {
        remove_resting(m, slot, kind, why);
        kt_slot_give(m, m->bounds.ids, kt_id_hash(m, m->bounds.ids, order->id), slot);
        return;
    }
    terms = &m->terms[slot];
    book = &m->books[terms->symbol];
    peer = part(m, slot);
    if (terms->where == KT_RESTING) {
        remove_resting(m, slot, kind, why);
    } else {
        kt_match_unwait(m, book, slot);
        kt_match_tell(m, kind, why, book->symbol, terms->side, terms->limit, order->id, order->left, order->owner);
    }
    end(m, book, slot);
    if (peer != 0)
        kt_match_remove(m, peer, KT_MATCH_CANCELLED, KT_MATCH_PEER);
}

/* ---- taking ---- */

typedef struct kt_taker {
    uint32_t slot;
    uint32_t side;
    uint32_t reach; /* worst key it takes of the other side */
    uint32_t price; /* as events tell it */
    uint64_t self;  /* owner whose orders it must not meet, or nobody's */
    kt_match_stp stp;
    bool ended; /* by self-trade prevention */
} kt_taker;

#define NOBODY UINT64_MAX

/* The order is the first of its level and has nothing shown left: show its next part behind the others. */
static void show_more(kt_match *m, kt_match_book *book, kt_match_level *level, uint32_t slot)
{
    kt_match_slot *order = &m->orders[slot];
    kt_match_terms *terms = &m->terms[slot];

    order->left = terms->hidden < terms->display ? terms->hidden : terms->display;
    set_hidden(book, terms, terms->hidden - order->left);
    level->total += order->left;
    if (order->next == 0)
        return;
    level->head = order->next;
    m->orders[level->head].prev = 0;
    order->prev = level->tail;
    order->next = 0;
    m->orders[level->tail].next = slot;
    level->tail = slot;
}

HOT static uint32_t filled(kt_match *m, kt_match_book *book, uint32_t slot, int64_t qty)
{
    kt_match_slot *order = &m->orders[slot];
    kt_match_level *level = &m->levels[order->place >> 1];
    uint32_t peer = 0;

    kt_assert(qty > 0);
    kt_assert(qty <= order->left);
    order->left -= qty;
    level->total -= qty;
    if (KT_UNLIKELY(kt_match_has_terms(order))) {
        peer = part(m, slot);
        if (order->left == 0 && m->terms[slot].hidden != 0)
            show_more(m, book, level, slot);
    }
    if (order->left == 0) {
        kt_assert(level->head == slot);
        level->head = order->next;
        m->orders[order->next].prev = 0;
        level->tail = order->next != 0 ? level->tail : 0;
        end(m, book, slot);
    }
    return peer;
}

uint32_t kt_match_filled(kt_match *m, kt_match_book *book, uint32_t slot, int64_t qty)
{
    return filled(m, book, slot, qty);
}

/* Trade with the best level until it or the taker has nothing left, or something else must be done first. */
static void take_level(kt_match *m, kt_match_book *book, const kt_taker *taker)
{
    kt_match_slot *order = &m->orders[taker->slot];
    uint32_t which = taker->side ^ 1;
    uint32_t number = book->halves[which].best_level;
    uint32_t price = kt_match_price(m, which, book->halves[which].best_key);
    kt_match_level *level = &m->levels[number];
    uint32_t peer;

    do {
        uint32_t slot = level->head;
        const kt_match_slot *maker = &m->orders[slot];
        int64_t qty = maker->left < order->left ? maker->left : order->left;

        __builtin_prefetch(&m->orders[maker->next], 1);
        kt_id_fetch(m, m->bounds.ids, maker->id);
        kt_match_room(m);
        kt_match_tell_trade(m, book, price, slot, taker->slot, taker->side, qty);
        order->left -= qty;
        peer = filled(m, book, slot, qty);
    } while (order->left != 0 && level->head != 0 && peer == 0 && m->orders[level->head].owner != taker->self);

    tell_level(m, book, which, price, number);
    kt_level_drop(m, number);
    if (KT_UNLIKELY(peer != 0))
        kt_match_remove(m, peer, KT_MATCH_CANCELLED, KT_MATCH_PEER);
    if (price != book->last)
        kt_match_reach(m, book, price);
}

/* The taker meets the first order of the best level, which is its own. */
static void prevent(kt_match *m, kt_match_book *book, kt_taker *taker)
{
    static const struct {
        bool taker, maker;
    } ends[KT_MATCH_STP_COUNT] = {
        [KT_MATCH_STP_TAKER] = { .taker = true },
        [KT_MATCH_STP_MAKER] = { .maker = true },
        [KT_MATCH_STP_BOTH] = { .taker = true, .maker = true },
    };
    kt_match_slot *order = &m->orders[taker->slot];
    uint32_t number = book->halves[taker->side ^ 1].best_level;
    kt_match_level *level = &m->levels[number];
    uint32_t slot = level->head, side = taker->side;
    kt_match_slot *maker = &m->orders[slot];
    uint32_t price = kt_match_price(m, side ^ 1, kt_level_key(m, number));
    int64_t qty = maker->left < order->left ? maker->left : order->left, whole = kt_match_whole(m, slot);

    kt_match_room(m);
    taker->ended = ends[taker->stp].taker;
    if (ends[taker->stp].maker || (taker->stp == KT_MATCH_STP_DECREMENT && qty == whole))
        kt_match_remove(m, slot, KT_MATCH_CANCELLED, KT_MATCH_SELF);
    if (taker->stp != KT_MATCH_STP_DECREMENT)
        return;
    if (qty != whole) {
        maker->left -= qty;
        level->total -= qty;
        if (maker->left == 0)
            show_more(m, book, level, slot);
        kt_match_tell(
            m, KT_MATCH_AMENDED, KT_MATCH_SELF, book->symbol, side ^ 1, price, maker->id, whole - qty, (uint64_t)whole);
        tell_level(m, book, side ^ 1, price, number);
    }
    order->left -= qty;
    if (order->left != 0)
        kt_match_tell(m, KT_MATCH_AMENDED, KT_MATCH_SELF, book->symbol, side, taker->price, order->id, order->left,
            (uint64_t)(order->left + qty));
    else
        kt_match_tell(
            m, KT_MATCH_CANCELLED, KT_MATCH_SELF, book->symbol, side, taker->price, order->id, qty, order->owner);
}

/* What a fill-or-kill could trade on one level; *out_met: an own order of another mode than STP_MAKER stands in the way. */
static int64_t fillable_level(const kt_match *m, const kt_taker *taker, uint32_t number, bool *out_met)
{
    int64_t shown = 0, whole = 0;

    for (uint32_t slot = m->levels[number].head; slot != 0; slot = m->orders[slot].next) {
        if (m->orders[slot].owner != taker->self) {
            shown += m->orders[slot].left;
            whole += kt_match_whole(m, slot);
        } else if (taker->stp != KT_MATCH_STP_MAKER) {
            *out_met = true;
            return shown; /* hidden parts come behind the own order */
        }
    }
    return whole;
}

static bool fillable(const kt_match *m, const kt_match_book *book, const kt_taker *taker)
{
    const kt_match_half *half = &book->halves[taker->side ^ 1];
    int64_t need = m->orders[taker->slot].left;
    bool by_order = taker->self != NOBODY || book->icebergs != 0, met = false;

    if (half->best_key == KT_KEY_NONE)
        return false;
    for (uint32_t level = half->best_level; level != KT_KEY_NONE && kt_level_key(m, level) <= taker->reach && !met;
         level = kt_level_behind(m, half, level)) {
        need -= by_order ? fillable_level(m, taker, level, &met) : m->levels[level].total;
        if (need <= 0)
            return true;
    }
    return false;
}

static void rest(kt_match *m, kt_match_book *book, uint32_t slot, uint32_t side, uint32_t price)
{
    kt_match_slot *order = &m->orders[slot];
    kt_match_terms *terms = kt_match_terms_of(m, slot);

    if (KT_UNLIKELY(terms != NULL)) {
        terms->where = KT_RESTING;
        if (terms->display != 0 && order->left > terms->display) {
            set_hidden(book, terms, order->left - terms->display);
            order->left = terms->display;
        }
    }
    tell_level(m, book, side, price, kt_level_push(m, &book->halves[side], kt_match_key(m, side, price), slot));
}

void kt_match_execute(kt_match *m, kt_match_book *book, uint32_t slot, const kt_match_intent *intent)
{
    kt_match_slot *order = &m->orders[slot];
    kt_match_half *half = &book->halves[intent->side ^ 1];
    uint64_t trades = m->trades;
    kt_match_why why = KT_MATCH_UNFILLED;
    uint32_t peer = 0;
    kt_taker taker = { .slot = slot,
        .side = intent->side,
        .reach = intent->price != 0 ? kt_match_key(m, intent->side ^ 1, intent->price) : m->price_top,
        .price = intent->price,
        .self = intent->stp != KT_MATCH_STP_NONE && order->owner != 0 ? order->owner : NOBODY,
        .stp = intent->stp };
    bool crosses = half->best_key <= taker.reach && book->state == KT_MATCH_OPEN;

    if (KT_UNLIKELY(intent->tif == KT_MATCH_FOK && !fillable(m, book, &taker)))
        why = KT_MATCH_NOT_WHOLE;
    else if (KT_UNLIKELY(crosses && intent->post_only))
        why = KT_MATCH_WOULD_TAKE;
    else
        while (crosses) {
            if (m->orders[m->levels[half->best_level].head].owner == taker.self)
                prevent(m, book, &taker);
            else
                take_level(m, book, &taker);
            crosses = order->left != 0 && !taker.ended && half->best_key <= taker.reach;
        }
    if (taker.ended)
        why = KT_MATCH_SELF;

    kt_match_room(m);
    if (order->left != 0 && why == KT_MATCH_UNFILLED && intent->rests) {
        rest(m, book, slot, intent->side, intent->price);
        if (KT_UNLIKELY(m->trades != trades))
            peer = part(m, slot);
    } else {
        peer = part(m, slot);
        if (order->left != 0)
            kt_match_tell(m, KT_MATCH_CANCELLED, why, book->symbol, intent->side, intent->price, order->id, order->left,
                order->owner);
        end(m, book, slot);
    }
    if (KT_UNLIKELY(peer != 0))
        kt_match_remove(m, peer, KT_MATCH_CANCELLED, KT_MATCH_PEER);
}

/* ---- new orders ---- */

typedef struct kt_type_spec {
    bool stop, trail; /* needs one */
    bool market;      /* once it takes: price is a protection, nothing rests */
    bool any_time;    /* may wait, hence be good till a time, and goes with auctions */
} kt_type_spec;

static const kt_type_spec type_specs[KT_MATCH_TYPE_COUNT] = {
    [KT_MATCH_LIMIT] = { .any_time = true },
    [KT_MATCH_MARKET] = { .market = true },
    [KT_MATCH_STOP] = { .stop = true, .market = true, .any_time = true },
    [KT_MATCH_STOP_LIMIT] = { .stop = true, .any_time = true },
    [KT_MATCH_TRAIL] = { .trail = true, .market = true, .any_time = true },
};

static bool between(int64_t value, int64_t least, int64_t greatest)
{
    return value >= least && value <= greatest;
}

static bool closed_to(const kt_match_book *book, bool post_only, const kt_match_command *c)
{
    bool waits = c->type == KT_MATCH_STOP || c->type == KT_MATCH_STOP_LIMIT || c->type == KT_MATCH_TRAIL;
    bool rests = c->type == KT_MATCH_LIMIT && (c->tif == KT_MATCH_GTC || c->tif == KT_MATCH_GTD) && !post_only;

    return book->state != KT_MATCH_OPEN && (book->state != KT_MATCH_AUCTION || !(waits || rests));
}

static kt_match_why wrong_peer(const kt_match *m, const kt_match_command *c)
{
    uint32_t peer = kt_match_find(m, c->peer);
    const kt_match_terms *terms = peer != 0 ? kt_match_terms_of(m, peer) : NULL;

    return peer == 0 || (terms != NULL && terms->peer != 0) || m->orders[peer].owner != c->owner ||
                   kt_match_side_of(m, peer) != c->side || kt_match_book_of((kt_match *)m, peer)->symbol != c->symbol
               ? KT_MATCH_BAD_PEER
               : KT_MATCH_NONE;
}

/* The first rule that a new order breaks, in the order of KT_MATCH_WHY_MAP. */
static kt_match_why wrong_new(const kt_match *m, const kt_match_command *c)
{
    const kt_match_bounds *b = &m->bounds;
    const kt_match_book *book;
    kt_type_spec spec;
    bool waits, lasts;

    if (c->symbol >= b->symbol_max)
        return KT_MATCH_BAD_SYMBOL;
    if (c->side > KT_MATCH_SELL)
        return KT_MATCH_BAD_SIDE;
    if (c->type >= KT_MATCH_TYPE_COUNT || c->tif >= KT_MATCH_TIF_COUNT || c->stp >= KT_MATCH_STP_COUNT ||
        c->post_only > 1)
        return KT_MATCH_BAD_TYPE;
    spec = type_specs[c->type];
    book = &m->books[c->symbol];
    waits = spec.stop || spec.trail;
    lasts = c->tif == KT_MATCH_GTC || c->tif == KT_MATCH_GTD;
    if ((c->tif == KT_MATCH_GTD && !spec.any_time) || (c->post_only && (spec.market || !lasts)))
        return KT_MATCH_BAD_TYPE;
    if (closed_to(book, c->post_only, c))
        return KT_MATCH_CLOSED;
    if ((b->ids != KT_MATCH_HANDLES && c->id == 0) || (b->ids == KT_MATCH_DIRECT && c->id > b->id_max))
        return KT_MATCH_BAD_ID;
    if (!between(c->price, !spec.market, b->price_max))
        return KT_MATCH_BAD_PRICE;
    if (!between(c->qty, 1, b->qty_max))
        return KT_MATCH_BAD_QTY;
    if (!between(c->stop, spec.stop, spec.stop ? b->price_max : 0) ||
        !between(c->trail, spec.trail, spec.trail ? b->price_max : 0))
        return KT_MATCH_BAD_STOP;
    if (!between(c->display, 0, !spec.market && lasts ? c->qty : 0))
        return KT_MATCH_BAD_DISPLAY;
    if (c->tif == KT_MATCH_GTD && c->time <= m->time)
        return KT_MATCH_BAD_TIME;
    if (spec.trail && book->last == 0)
        return KT_MATCH_NO_PRICE;
    if (b->ids != KT_MATCH_HANDLES && kt_match_find(m, c->id) != 0)
        return KT_MATCH_TWICE;
    if (c->peer != 0 && wrong_peer(m, c) != KT_MATCH_NONE)
        return KT_MATCH_BAD_PEER;
    if (m->live >= b->order_max && (waits || (!spec.market && lasts)))
        return KT_MATCH_FULL;
    return KT_MATCH_NONE;
}

__attribute__((cold, noinline)) static void reject(kt_match *m, const kt_match_command *c, kt_match_why why)
{
    kt_match_tell(m, KT_MATCH_REJECTED, why, c->symbol, c->side, c->price, c->id, c->qty, c->op);
}

/* An order that has come without terms gets some. */
static kt_match_terms *give_terms(kt_match *m, uint32_t slot, uint32_t symbol, uint32_t side)
{
    kt_match_terms *terms = &m->terms[slot];

    if (kt_match_has_terms(&m->orders[slot]))
        return terms;
    m->orders[slot].place |= 1;
    *terms = (kt_match_terms){ .symbol = (uint16_t)symbol, .side = (uint8_t)side, .entry = ++m->entries };
    return terms;
}

static void set_terms(kt_match *m, uint32_t slot, const kt_match_command *c)
{
    kt_match_terms *terms = give_terms(m, slot, c->symbol, c->side);

    terms->display = c->display < c->qty ? c->display : 0;
    terms->limit = c->price;
    terms->stop = c->stop;
    terms->trail = c->trail;
    terms->type = c->type;
    terms->tif = c->tif;
    terms->stp = c->stp;
    terms->post_only = c->post_only;
    terms->where = KT_TAKING;
    if (c->tif == KT_MATCH_GTD) {
        terms->expiry = c->time;
        kt_heap_push(m, KT_HEAP_EXPIRY, &m->expiry, slot, c->time);
    }
    if (c->peer != 0) {
        terms->peer = kt_match_find(m, c->peer);
        give_terms(m, terms->peer, c->symbol, c->side)->peer = slot;
    }
}

/* A limit order that is good till cancelled and nothing else, and breaks no rule: most are, and need few looks. */
HOT static bool is_plain(const kt_match *m, kt_match_ids ids, uint32_t hash, const kt_match_command *c)
{
    static const kt_match_command any = { .symbol = UINT16_MAX, .side = 1, .stp = UINT8_MAX };
    const kt_match_bounds *b = &m->bounds;
    uint64_t shape, may, stops;

    memcpy(
        &shape, &c->symbol, sizeof shape); /* from the symbol to post_only: all of a plain order is 0 but these three */
    memcpy(&may, &any.symbol, sizeof may);
    memcpy(&stops, &c->stop, sizeof stops);
    return ((shape & ~may) | stops | (uint64_t)c->display | c->peer) == 0 && c->stp < KT_MATCH_STP_COUNT &&
           c->symbol < b->symbol_max && c->price - 1 < b->price_max && (uint64_t)c->qty - 1 < (uint64_t)b->qty_max &&
           m->live < b->order_max && m->books[c->symbol].state == KT_MATCH_OPEN &&
           (ids == KT_MATCH_HANDLES ||
               (c->id != 0 && (ids == KT_MATCH_HASH || c->id <= b->id_max) && kt_id_find(m, ids, hash, c->id) == 0));
}

/* A slot for it, and its acceptance. */
HOT static uint32_t enter(kt_match *m, kt_match_ids ids, uint32_t hash, const kt_match_command *c, uint64_t spot)
{
    uint32_t slot = kt_slot_take(m);
    kt_match_slot *order = &m->orders[slot];
    uint64_t tag = c->id, id = ids == KT_MATCH_HANDLES ? order->id : tag;
    int64_t qty = c->qty;

    order->owner = c->owner;
    if (c->owner != 0)
        m->owners[slot] = c->owner;
    order->left = qty;
    if (ids != KT_MATCH_HANDLES) {
        order->id = id;
        kt_id_put(m, ids, hash, id, slot);
    }
    m->next = kt_match_put(m->next, KT_MATCH_ACCEPTED, KT_MATCH_NONE, spot, id, qty, tag);
    return slot;
}

__attribute__((noinline)) static void new_special(kt_match *m, const kt_match_command *c)
{
    bool special = (c->stop | c->trail | (uint64_t)c->display | c->peer) != 0 || c->tif == KT_MATCH_GTD;
    kt_match_why why = wrong_new(m, c);
    uint32_t slot;

    if (why != KT_MATCH_NONE) {
        reject(m, c, why);
        return;
    }
    slot = enter(m, m->bounds.ids, kt_id_hash(m, m->bounds.ids, c->id), c, kt_match_spot(c->symbol, c->side, c->price));
    if (special)
        set_terms(m, slot, c);
    if (type_specs[c->type].stop || type_specs[c->type].trail) {
        kt_match_wait(m, &m->books[c->symbol], slot);
    } else {
        const kt_match_intent intent = { .price = c->price,
            .side = c->side,
            .rests = c->type == KT_MATCH_LIMIT && (c->tif == KT_MATCH_GTC || c->tif == KT_MATCH_GTD),
            .tif = c->tif,
            .stp = c->stp,
            .post_only = c->post_only };

        kt_match_execute(m, &m->books[c->symbol], slot, &intent);
    }
    if (m->books[c->symbol].queued != 0)
        kt_match_work_off(m, &m->books[c->symbol]);
}

HOT static void new_order(kt_match *m, kt_match_ids ids, const kt_match_command *c)
{
    uint32_t hash = kt_id_hash(m, ids, c->id), side, price, slot, key, level;
    kt_match_half *half, *other;
    kt_match_book *book;
    uint64_t spot;

    if (KT_UNLIKELY(!is_plain(m, ids, hash, c))) {
        new_special(m, c);
        return;
    }
    side = c->side;
    price = c->price;
    spot = kt_match_spot(c->symbol, side, price);
    book = &m->books[c->symbol];
    half = &book->halves[side];
    other = &book->halves[side ^ 1];
    slot = enter(m, ids, hash, c, spot);
    key = kt_match_key(m, side, price);
    if (KT_LIKELY(other->best_key > m->price_top - key)) {
        level = kt_level_push(m, half, key, slot);
        m->next = kt_match_put(m->next, KT_MATCH_LEVEL, KT_MATCH_NONE, spot, 0, m->levels[level].total, 0);
    } else {
        kt_match_execute(
            m, book, slot, &(kt_match_intent){ .price = price, .side = side, .rests = true, .stp = c->stp });
        if (KT_UNLIKELY(book->queued != 0))
            kt_match_work_off(m, book);
    }
}

/* ---- commands on orders that are there ---- */

/* The live order that a command names, *out_slot, or why it must not touch it. */
static kt_match_why find(const kt_match *m, const kt_match_command *c, uint32_t *out_slot)
{
    uint32_t slot = kt_match_find(m, c->id);

    *out_slot = slot;
    if (slot == 0)
        return KT_MATCH_UNKNOWN;
    return c->owner == 0 || c->owner == m->orders[slot].owner ? KT_MATCH_NONE : KT_MATCH_NOT_OWNER;
}

__attribute__((noinline)) static void cancel_special(kt_match *m, const kt_match_command *c)
{
    uint32_t slot;
    kt_match_why why = find(m, c, &slot);

    if (why == KT_MATCH_NONE && kt_match_book_of(m, slot)->state == KT_MATCH_HALT)
        why = KT_MATCH_CLOSED;
    if (why == KT_MATCH_NONE)
        kt_match_remove(m, slot, KT_MATCH_CANCELLED, KT_MATCH_ASKED);
    else
        reject(m, c, why);
}

/* An order without terms, which nothing forbids to cancel, needs few looks. */
HOT static void cancel(kt_match *m, kt_match_ids ids, const kt_match_command *c)
{
    uint32_t hash = kt_id_hash(m, ids, c->id), slot = kt_id_find(m, ids, hash, c->id);
    const kt_match_slot *order = &m->orders[slot];

    if (KT_UNLIKELY(slot == 0 || kt_match_has_terms(order) || (c->owner != 0 && c->owner != order->owner) ||
                    m->books[m->pages[order->place >> (KT_PAGE_BITS + 1)].symbol].state == KT_MATCH_HALT)) {
        cancel_special(m, c);
        return;
    }
    remove_resting(m, slot, KT_MATCH_CANCELLED, KT_MATCH_ASKED);
    kt_slot_give(m, ids, hash, slot);
}

static kt_match_why wrong_amend(kt_match *m, const kt_match_command *c, uint32_t slot)
{
    const kt_match_terms *terms = kt_match_terms_of(m, slot);
    const kt_match_book *book = kt_match_book_of(m, slot);
    bool waits = terms != NULL && terms->where != KT_RESTING;
    uint32_t side = kt_match_side_of(m, slot);

    if (c->stp >= KT_MATCH_STP_COUNT || c->post_only > 1)
        return KT_MATCH_BAD_TYPE;
    if (book->state != KT_MATCH_OPEN && (book->state != KT_MATCH_AUCTION || c->post_only))
        return KT_MATCH_CLOSED;
    if (!between(c->price, 0, m->bounds.price_max))
        return KT_MATCH_BAD_PRICE;
    if (!between(c->qty, 0, m->bounds.qty_max))
        return KT_MATCH_BAD_QTY;
    if (!between(c->stop, 0, waits && terms->trail == 0 ? m->bounds.price_max : 0))
        return KT_MATCH_BAD_STOP;
    if (c->post_only && !waits && c->price != 0 &&
        book->halves[side ^ 1].best_key <= kt_match_key(m, side ^ 1, c->price))
        return KT_MATCH_WOULD_TAKE;
    return KT_MATCH_NONE;
}

static void amend_waiting(kt_match *m, kt_match_book *book, uint32_t slot, const kt_match_command *c)
{
    kt_match_slot *order = &m->orders[slot];
    kt_match_terms *terms = &m->terms[slot];
    bool moves = c->stop != 0 && c->stop != terms->stop;
    int64_t before = order->left;

    if (c->price != 0)
        terms->limit = c->price;
    if (c->qty != 0)
        order->left = c->qty;
    if (terms->where == KT_WAITING)
        m->levels[order->place >> 1].total += order->left - before;
    kt_match_tell(m, KT_MATCH_AMENDED, KT_MATCH_ASKED, book->symbol, terms->side, terms->limit, order->id, order->left,
        (uint64_t)before);
    if (moves) {
        kt_match_unwait(m, book, slot);
        terms->stop = c->stop;
        kt_match_wait(m, book, slot);
    }
}

/* Less at the same price: the order keeps its place, what is hidden goes first. */
static void shrink(kt_match *m, kt_match_book *book, uint32_t slot, uint32_t price, int64_t cut)
{
    kt_match_slot *order = &m->orders[slot];
    kt_match_terms *terms = kt_match_terms_of(m, slot);
    uint32_t level = order->place >> 1;

    if (terms != NULL && terms->hidden != 0) {
        int64_t hidden = cut < terms->hidden ? cut : terms->hidden;

        set_hidden(book, terms, terms->hidden - hidden);
        cut -= hidden;
    }
    kt_assert(cut < order->left);
    order->left -= cut;
    m->levels[level].total -= cut;
    if (cut != 0)
        tell_level(m, book, kt_match_side_of(m, slot), price, level);
}

static void amend(kt_match *m, const kt_match_command *c)
{
    uint32_t slot, side, old_price, level;
    kt_match_why why = find(m, c, &slot);
    kt_match_terms *terms;
    kt_match_book *book;
    kt_match_intent intent;
    int64_t before, qty;

    if (KT_LIKELY(why == KT_MATCH_NONE))
        why = wrong_amend(m, c, slot);
    if (KT_UNLIKELY(why != KT_MATCH_NONE)) {
        reject(m, c, why);
        return;
    }
    book = kt_match_book_of(m, slot);
    terms = kt_match_terms_of(m, slot);
    if (KT_UNLIKELY(terms != NULL && terms->where != KT_RESTING)) {
        amend_waiting(m, book, slot, c);
    } else {
        side = kt_match_side_of(m, slot);
        old_price = kt_match_price(m, side, kt_level_key(m, m->orders[slot].place >> 1));
        before = kt_match_whole(m, slot);
        qty = c->qty != 0 ? c->qty : before;
        intent = (kt_match_intent){ .price = c->price != 0 ? c->price : old_price,
            .side = side,
            .rests = true,
            .stp = c->stp,
            .post_only = c->post_only };
        kt_match_tell(m, KT_MATCH_AMENDED, KT_MATCH_ASKED, book->symbol, side, intent.price, m->orders[slot].id, qty,
            (uint64_t)before);
        if (intent.price == old_price && qty <= before && c->op == KT_MATCH_AMEND) {
            shrink(m, book, slot, old_price, before - qty);
        } else {
            level = kt_level_pull(m, slot);
            tell_level(m, book, side, old_price, level);
            m->orders[slot].left = qty;
            m->orders[slot].place &= 1;
            if (terms != NULL) {
                set_hidden(book, terms, 0);
                terms->where = KT_TAKING;
            }
            kt_match_execute(m, book, slot, &intent);
        }
    }
    if (KT_UNLIKELY(book->queued != 0))
        kt_match_work_off(m, book);
}

/* ---- commands on many ---- */

static void cancel_many(kt_match *m, const kt_match_command *c)
{
    bool all = c->op == KT_MATCH_CANCEL_ALL;
    uint32_t before = m->live;

    if (c->symbol >= m->bounds.symbol_max && c->symbol != KT_MATCH_ANY) {
        reject(m, c, KT_MATCH_BAD_SYMBOL);
        return;
    }
    for (uint32_t slot = 1; slot < m->slots && m->live != 0; slot++) {
        const kt_match_slot *order = &m->orders[slot];

        if (!all && c->owner != 0 && m->owners[slot] != c->owner)
            continue; /* most are others', and `owners` is an eighth of the orders to read */
        if (order->left != 0 && (all || order->owner == c->owner) &&
            (c->symbol == KT_MATCH_ANY || kt_match_book_of(m, slot)->symbol == c->symbol))
            kt_match_remove(m, slot, KT_MATCH_CANCELLED, KT_MATCH_MASS);
    }
    kt_match_room(m);
    kt_match_tell(m, KT_MATCH_DONE, KT_MATCH_MASS, c->symbol, 0, 0, 0, 0, before - m->live);
}

static void set_time(kt_match *m, const kt_match_command *c)
{
    if (c->time < m->time) {
        reject(m, c, KT_MATCH_BAD_TIME);
        return;
    }
    m->time = c->time;
    kt_match_tell(m, KT_MATCH_TIMED, KT_MATCH_NONE, 0, 0, 0, 0, 0, (uint64_t)c->time);
    while (m->expiry != 0 && m->terms[m->expiry].expiry <= m->time)
        kt_match_remove(m, m->expiry, KT_MATCH_EXPIRED, KT_MATCH_NONE);
}

static void set_state(kt_match *m, const kt_match_command *c)
{
    kt_match_book *book;

    if (c->symbol >= m->bounds.symbol_max || c->state >= KT_MATCH_STATE_COUNT) {
        reject(m, c, c->state >= KT_MATCH_STATE_COUNT ? KT_MATCH_BAD_TYPE : KT_MATCH_BAD_SYMBOL);
        return;
    }
    book = &m->books[c->symbol];
    book->state = c->state;
    kt_match_tell(m, KT_MATCH_STATED, KT_MATCH_NONE, c->symbol, 0, 0, 0, 0, c->state);
    if (book->state != KT_MATCH_OPEN)
        return;
    kt_match_uncross(m, book);
    if (book->last != 0)
        kt_match_reach(m, book, book->last); /* stops that came while the book was not open */
    if (book->queued != 0)
        kt_match_work_off(m, book);
}

static void no_such(kt_match *m, const kt_match_command *c)
{
    reject(m, c, KT_MATCH_BAD_OP);
}

/* All but NEW and CANCEL, which are most. */
static void (*const others[KT_MATCH_OP_COUNT + 1])(kt_match *, const kt_match_command *) = {
    [KT_MATCH_AMEND] = amend,
    [KT_MATCH_REPLACE] = amend,
    [KT_MATCH_CANCEL_OWNER] = cancel_many,
    [KT_MATCH_CANCEL_ALL] = cancel_many,
    [KT_MATCH_TIME] = set_time,
    [KT_MATCH_STATE] = set_state,
    [KT_MATCH_OP_COUNT] = no_such,
};

/* ---- memory ahead of the commands ----
 *
 * A book that outgrows the cache waits for memory most of its time, and each command for several loads that hang on each
 * other: the map of ids or the directory, then the order or the level, then neighbours. Each of them is asked for some commands
 * ahead. What is read on the way may change before the command comes: it is only a hint. */

#define FETCHES \
    __attribute__((always_inline)) static inline /* gcc drops calls of functions that do nothing but fetch */

/* Where a command that makes an order will put it, or some other place that may be read: without a branch on what is
 * wrong, and on what the command is, which nobody can guess. */
typedef struct kt_ahead {
    const kt_match_half *half;
    uint32_t key;
    uint32_t slot;
} kt_ahead;

FETCHES kt_ahead ahead_of(const kt_match *m, const kt_match_command *c)
{
    uint32_t symbol = c->symbol < m->bounds.symbol_max ? c->symbol : 0, side = c->side & 1;
    uint32_t price = c->price < m->bounds.price_max ? c->price : 0;

    return (kt_ahead){ .half = &m->books[symbol].halves[side], .key = kt_match_key(m, side, price) };
}

FETCHES uint32_t slot_ahead(const kt_match *m, kt_match_ids ids, const kt_match_command *c)
{
    if (ids == KT_MATCH_HASH)
        return m->hash[kt_id_home(m, kt_id_hash(m, ids, c->id), c->id)] & KT_SLOT_MASK;
    if (ids == KT_MATCH_DIRECT)
        return m->direct[c->id <= m->bounds.id_max ? c->id : 0];
    return c->op != KT_MATCH_NEW && (uint32_t)c->id < m->slot_count ? (uint32_t)c->id : 0;
}

FETCHES void fetch_place(const kt_match *m, kt_match_ids ids, const kt_match_command *c)
{
    kt_ahead ahead = ahead_of(m, c);

    __builtin_prefetch(&ahead.half->directory[ahead.key >> KT_PAGE_BITS]);
    if (ids != KT_MATCH_HANDLES)
        kt_id_fetch(m, ids, c->id);
    else
        __builtin_prefetch(&m->orders[slot_ahead(m, ids, c)], 1);
}

FETCHES void fetch_order(const kt_match *m, kt_match_ids ids, const kt_match_command *c)
{
    kt_ahead ahead = ahead_of(m, c);
    uint32_t page = ahead.half->directory[ahead.key >> KT_PAGE_BITS];

    __builtin_prefetch(&m->levels[page << KT_PAGE_BITS | (ahead.key & (KT_PAGE_LEVELS - 1))], 1);
    __builtin_prefetch(&m->pages[page], 1);
    if (ids != KT_MATCH_HANDLES)
        __builtin_prefetch(&m->orders[slot_ahead(m, ids, c)], 1);
}

FETCHES void fetch_neighbours(const kt_match *m, kt_match_ids ids, const kt_match_command *c)
{
    kt_ahead ahead = ahead_of(m, c);
    uint32_t page = ahead.half->directory[ahead.key >> KT_PAGE_BITS];
    const kt_match_slot *order = &m->orders[slot_ahead(m, ids, c)];

    __builtin_prefetch(&m->orders[m->levels[page << KT_PAGE_BITS | (ahead.key & (KT_PAGE_LEVELS - 1))].tail], 1);
    __builtin_prefetch(&m->levels[order->place >> 1], 1);
    __builtin_prefetch(&m->pages[order->place >> (KT_PAGE_BITS + 1)], 1);
    __builtin_prefetch(&m->orders[order->prev], 1);
    __builtin_prefetch(&m->orders[order->next], 1);
}

/* For the commands from `at` on that come next: all stages for the first ones, then one step of each. */
HOT static void look_ahead(
    const kt_match *m, kt_match_ids ids, const kt_match_command *commands, size_t count, size_t at)
{
    size_t next[4] = { at != 0 ? at + KT_AHEAD : 0 };

    for (uint32_t i = 1; i < KT_COUNT(next); i++)
        next[i] = at + (i + 1) * KT_AHEAD < count ? at + (i + 1) * KT_AHEAD : count;
    for (size_t i = at != 0 ? next[2] : 0; i < next[3]; i++)
        fetch_place(m, ids, &commands[i]);
    for (size_t i = at != 0 ? next[1] : 0; i < next[2]; i++)
        fetch_order(m, ids, &commands[i]);
    for (size_t i = next[0]; i < next[1]; i++)
        fetch_neighbours(m, ids, &commands[i]);
}

HOT static void apply(kt_match *m, kt_match_ids ids, const kt_match_command *commands, size_t count)
{
    bool ahead = m->live > KT_AHEAD_LIVE_MIN && count > 1;

    for (size_t at = 0, end; at < count; at = end) {
        end = at + KT_AHEAD < count ? at + KT_AHEAD : count;
        if (ahead)
            look_ahead(m, ids, commands, count, at);
        for (const kt_match_command *c = commands + at; c < commands + end; c++) {
            kt_match_room(m);
            if (c->op == KT_MATCH_NEW)
                new_order(m, ids, c);
            else if (c->op == KT_MATCH_CANCEL)
                cancel(m, ids, c);
            else
                others[c->op < KT_MATCH_OP_COUNT ? c->op : KT_MATCH_OP_COUNT](m, c);
        }
    }
}

void kt_match_submit(kt_match *m, const kt_match_command *commands, size_t count, kt_match_out *out)
{
    kt_match_turn(m, out);
    if (m->bounds.ids == KT_MATCH_HANDLES)
        apply(m, KT_MATCH_HANDLES, commands, count);
    else if (m->bounds.ids == KT_MATCH_HASH)
        apply(m, KT_MATCH_HASH, commands, count);
    else
        apply(m, KT_MATCH_DIRECT, commands, count);
    out->next = m->next;
}
