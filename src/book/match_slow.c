#include "book/match_slow.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum place { GONE, RESTING, WAITING, QUEUED, TAKING };

typedef struct slow_order {
    enum place place;
    uint64_t id, generation;
    uint32_t symbol, side, owner;
    uint32_t price;
    int64_t shown, hidden, display;
    uint64_t rank;  /* when it came to the back of its level, or of the queue of stops */
    uint64_t entry; /* when it was accepted */
    uint32_t type, tif, stp, post_only;
    uint32_t stop, trail, best; /* best: price since entry that a trailing stop follows */
    int64_t expiry;
    uint32_t peer;
    uint32_t next_free;
} slow_order;

typedef struct slow_book {
    uint32_t last;
    uint32_t state;
} slow_book;

struct kt_slow {
    kt_match_bounds bounds;
    slow_order *orders; /* by slot */
    slow_book *books;
    uint32_t slots, free_slot;
    int64_t time;
    uint64_t ranks, entries, trades;
    kt_match_event *events;
    size_t count, capacity;
};

kt_slow *kt_slow_new(const kt_match_bounds *bounds)
{
    kt_slow *s = calloc(1, sizeof *s);

    kt_assert(s != NULL);
    s->bounds = *bounds;
    s->orders = calloc(bounds->order_max + 2, sizeof *s->orders);
    s->books = calloc(bounds->symbol_max, sizeof *s->books);
    kt_assert(s->orders != NULL && s->books != NULL);
    return s;
}

void kt_slow_free(kt_slow *s)
{
    free(s->orders);
    free(s->books);
    free(s->events);
    free(s);
}

/* ---- events ---- */

static kt_match_event *add(kt_slow *s, size_t places)
{
    if (s->count + places > s->capacity) {
        s->capacity = s->capacity * 2 + 64;
        s->events = realloc(s->events, s->capacity * sizeof *s->events);
        kt_assert(s->events != NULL);
    }
    s->count += places;
    return memset(&s->events[s->count - places], 0, places * sizeof *s->events);
}

static void say(kt_slow *s, int kind, int why, uint32_t symbol, uint32_t side, uint32_t price, uint64_t id, int64_t qty,
    uint64_t other)
{
    kt_match_event *e = add(s, 1);

    e->kind = (uint8_t)kind;
    e->why = why & 127;
    e->symbol = (uint16_t)symbol;
    e->side = side & 1;
    e->price = price;
    e->id = id;
    e->qty = qty;
    e->other = other;
}

static void say_level(kt_slow *s, uint32_t symbol, uint32_t side, uint32_t price)
{
    int64_t total = 0;

    for (uint32_t i = 1; i <= s->slots; i++) {
        slow_order *o = &s->orders[i];

        if (o->place == RESTING && o->symbol == symbol && o->side == side && o->price == price)
            total += o->shown;
    }
    say(s, KT_MATCH_LEVEL, 0, symbol, side, price, 0, total, 0);
}

/* ---- searching ---- */

static int64_t whole(const slow_order *o)
{
    return o->shown + o->hidden;
}

static slow_order *by_id(const kt_slow *s, uint64_t id)
{
    for (uint32_t i = 1; i <= s->slots; i++)
        if (s->orders[i].place != GONE && s->orders[i].id == id)
            return &s->orders[i];
    return NULL;
}

/* Is a a better price than b for the side of a resting order? */
static bool better(uint32_t side, uint32_t a, uint32_t b)
{
    return side == KT_MATCH_BUY ? a > b : a < b;
}

static slow_order *first_of(const kt_slow *s, uint32_t symbol, uint32_t side)
{
    slow_order *first = NULL;

    for (uint32_t i = 1; i <= s->slots; i++) {
        slow_order *o = &s->orders[i];

        if (o->place == RESTING && o->symbol == symbol && o->side == side &&
            (first == NULL || better(side, o->price, first->price) ||
                (o->price == first->price && o->rank < first->rank)))
            first = o;
    }
    return first;
}

/* A price of 0 takes anything. */
static bool crosses(uint32_t taker_side, uint32_t taker_price, uint32_t maker_price)
{
    return taker_price == 0 || (taker_side == KT_MATCH_BUY ? taker_price >= maker_price : taker_price <= maker_price);
}

static uint32_t stop_price(const slow_order *o)
{
    int64_t stop = o->side == KT_MATCH_BUY ? (int64_t)o->best + o->trail : (int64_t)o->best - o->trail;

    if (o->place != WAITING)
        return 0;
    return o->trail == 0 ? o->stop : stop < 0 ? 0 : (uint32_t)stop;
}

/* ---- coming and going ---- */

static void cancel(kt_slow *s, slow_order *o, int kind, int why);

static uint32_t part(kt_slow *s, slow_order *o)
{
    uint32_t peer = o->peer;

    o->peer = 0;
    if (peer != 0)
        s->orders[peer].peer = 0;
    return peer;
}

static void cancel_peer(kt_slow *s, uint32_t peer)
{
    if (peer != 0)
        cancel(s, &s->orders[peer], KT_MATCH_CANCELLED, KT_MATCH_PEER);
}

static void gone(kt_slow *s, slow_order *o)
{
    o->place = GONE;
    o->generation++;
    o->next_free = s->free_slot;
    s->free_slot = (uint32_t)(o - s->orders);
}

static void cancel(kt_slow *s, slow_order *o, int kind, int why)
{
    bool rested = o->place == RESTING;
    uint32_t peer = part(s, o);

    gone(s, o);
    say(s, kind, why, o->symbol, o->side, o->price, o->id, whole(o), o->owner);
    if (rested)
        say_level(s, o->symbol, o->side, o->price);
    cancel_peer(s, peer);
}

static uint32_t live(const kt_slow *s)
{
    uint32_t count = 0;

    for (uint32_t i = 1; i <= s->slots; i++)
        count += s->orders[i].place != GONE;
    return count;
}

/* ---- stops ---- */

static bool is_reached(const slow_order *o, uint32_t price)
{
    return o->side == KT_MATCH_BUY ? price >= stop_price(o) : price <= stop_price(o);
}

static void reach(kt_slow *s, uint32_t symbol, uint32_t price)
{
    s->books[symbol].last = price;
    for (;;) {
        slow_order *next = NULL;

        for (uint32_t i = 1; i <= s->slots; i++) {
            slow_order *o = &s->orders[i];

            if (o->place == WAITING && o->symbol == symbol && is_reached(o, price) &&
                (next == NULL || o->entry < next->entry))
                next = o;
        }
        if (next == NULL)
            break;
        next->place = QUEUED;
        next->rank = ++s->ranks;
    }
    for (uint32_t i = 1; i <= s->slots; i++) {
        slow_order *o = &s->orders[i];

        if (o->place == WAITING && o->symbol == symbol && o->trail != 0 &&
            (o->side == KT_MATCH_BUY ? price < o->best : price > o->best))
            o->best = price;
    }
}

static void wait(kt_slow *s, slow_order *o)
{
    slow_book *book = &s->books[o->symbol];

    o->place = WAITING;
    if (o->trail != 0) {
        o->best = book->last;
    } else if (book->state == KT_MATCH_OPEN && book->last != 0 && is_reached(o, book->last)) {
        o->place = QUEUED;
        o->rank = ++s->ranks;
    }
}

/* ---- trading ---- */

static bool meets_itself(const slow_order *taker, const slow_order *maker, uint32_t stp)
{
    return stp != KT_MATCH_STP_NONE && taker->owner != 0 && taker->owner == maker->owner;
}

/* An iceberg whose shown part is gone. */
static void show_next(kt_slow *s, slow_order *o)
{
    if (o->shown != 0 || o->hidden == 0)
        return;
    o->shown = o->hidden < o->display ? o->hidden : o->display;
    o->hidden -= o->shown;
    o->rank = ++s->ranks;
}

static void trade(kt_slow *s, slow_order *maker, slow_order *taker, uint32_t taker_side, uint32_t price, int64_t qty)
{
    kt_match_trade *t;

    maker->shown -= qty;
    taker->shown -= qty;
    t = (kt_match_trade *)add(s, 2);
    t->event.kind = KT_MATCH_TRADE;
    t->event.symbol = (uint16_t)maker->symbol;
    t->event.side = taker_side & 1;
    t->event.price = price;
    t->event.id = maker->id;
    t->event.qty = qty;
    t->event.other = taker->id;
    t->maker_left = whole(maker);
    t->taker_left = whole(taker);
    t->maker_owner = maker->owner;
    t->taker_owner = taker->owner;
    t->number = ++s->trades;
}

/* After its part of a trade: the peer that is to go, and the next part or the end of a resting order. */
static uint32_t after_trade(kt_slow *s, slow_order *o)
{
    uint32_t peer = part(s, o);

    show_next(s, o);
    if (o->shown == 0)
        gone(s, o);
    return peer;
}

static bool prevent(kt_slow *s, slow_order *taker, slow_order *maker, uint32_t stp, uint32_t taker_price)
{
    int64_t qty = maker->shown < taker->shown ? maker->shown : taker->shown;

    if (stp == KT_MATCH_STP_MAKER || stp == KT_MATCH_STP_BOTH)
        cancel(s, maker, KT_MATCH_CANCELLED, KT_MATCH_SELF);
    if (stp == KT_MATCH_STP_TAKER || stp == KT_MATCH_STP_BOTH)
        return true;
    if (stp == KT_MATCH_STP_DECREMENT) {
        if (qty == whole(maker)) {
            cancel(s, maker, KT_MATCH_CANCELLED, KT_MATCH_SELF);
        } else {
            maker->shown -= qty;
            show_next(s, maker);
            say(s, KT_MATCH_AMENDED, KT_MATCH_SELF, maker->symbol, maker->side, maker->price, maker->id, whole(maker),
                (uint64_t)(whole(maker) + qty));
            say_level(s, maker->symbol, maker->side, maker->price);
        }
        taker->shown -= qty;
        if (taker->shown > 0)
            say(s, KT_MATCH_AMENDED, KT_MATCH_SELF, taker->symbol, taker->side, taker_price, taker->id, taker->shown,
                (uint64_t)(taker->shown + qty));
        else
            say(s, KT_MATCH_CANCELLED, KT_MATCH_SELF, taker->symbol, taker->side, taker_price, taker->id, qty,
                taker->owner);
    }
    return false;
}

/* Play it through on a copy of everything, without self-trade prevention but with its limits, and see whether it fills. */
static bool fills_whole(const kt_slow *s, const slow_order *taker, uint32_t stp, uint32_t price)
{
    kt_slow copy = *s;
    int64_t need = taker->shown;

    copy.orders = malloc((s->bounds.order_max + 2) * sizeof *copy.orders);
    kt_assert(copy.orders != NULL);
    memcpy(copy.orders, s->orders, (s->bounds.order_max + 2) * sizeof *copy.orders);
    while (need > 0) {
        slow_order *maker = first_of(&copy, taker->symbol, taker->side ^ 1);
        int64_t qty;

        if (maker == NULL || !crosses(taker->side, price, maker->price))
            break;
        if (meets_itself(taker, maker, stp)) {
            if (stp != KT_MATCH_STP_MAKER)
                break;
            maker->place = GONE;
            continue;
        }
        qty = maker->shown < need ? maker->shown : need;
        need -= qty;
        maker->shown -= qty;
        show_next(&copy, maker);
        if (maker->shown == 0)
            maker->place = GONE;
    }
    free(copy.orders);
    return need == 0;
}

static void execute(
    kt_slow *s, slow_order *o, uint32_t price, bool rests, uint32_t tif, uint32_t stp, uint32_t post_only)
{
    uint32_t other = o->side ^ 1, peer = 0;
    bool open = s->books[o->symbol].state == KT_MATCH_OPEN, traded = false, ended = false;
    slow_order *maker = first_of(s, o->symbol, other);
    int why = KT_MATCH_UNFILLED;

    if (tif == KT_MATCH_FOK && !fills_whole(s, o, stp, price))
        why = KT_MATCH_NOT_WHOLE;
    else if (post_only && open && maker != NULL && crosses(o->side, price, maker->price))
        why = KT_MATCH_WOULD_TAKE;
    while (open && why == KT_MATCH_UNFILLED && o->shown > 0) {
        uint32_t level, gone_peer = 0;

        maker = first_of(s, o->symbol, other);
        if (maker == NULL || !crosses(o->side, price, maker->price))
            break;
        if (meets_itself(o, maker, stp)) {
            ended = prevent(s, o, maker, stp, price);
            if (ended)
                why = KT_MATCH_SELF;
            continue;
        }
        level = maker->price;
        while (
            o->shown > 0 && maker != NULL && maker->price == level && gone_peer == 0 && !meets_itself(o, maker, stp)) {
            trade(s, maker, o, o->side, level, maker->shown < o->shown ? maker->shown : o->shown);
            traded = true;
            gone_peer = after_trade(s, maker);
            maker = first_of(s, o->symbol, other);
        }
        say_level(s, o->symbol, other, level);
        cancel_peer(s, gone_peer);
        if (level != s->books[o->symbol].last)
            reach(s, o->symbol, level);
    }
    if (o->shown > 0 && why == KT_MATCH_UNFILLED && rests) {
        o->place = RESTING;
        o->price = price;
        o->rank = ++s->ranks;
        if (o->display != 0 && o->shown > o->display) {
            o->hidden = o->shown - o->display;
            o->shown = o->display;
        }
        say_level(s, o->symbol, o->side, price);
        if (traded)
            peer = part(s, o);
    } else {
        peer = part(s, o);
        if (o->shown > 0)
            say(s, KT_MATCH_CANCELLED, why, o->symbol, o->side, price, o->id, o->shown, o->owner);
        gone(s, o);
    }
    cancel_peer(s, peer);
}

static void work_off(kt_slow *s, uint32_t symbol)
{
    for (;;) {
        slow_order *next = NULL;
        bool rests;
        uint32_t peer;

        for (uint32_t i = 1; i <= s->slots; i++) {
            slow_order *o = &s->orders[i];

            if (o->place == QUEUED && o->symbol == symbol && (next == NULL || o->rank < next->rank))
                next = o;
        }
        if (next == NULL)
            return;
        next->place = TAKING;
        next->stop = next->trail = 0;
        say(s, KT_MATCH_TRIGGERED, 0, symbol, next->side, next->price, next->id, next->shown, 0);
        peer = part(s, next);
        cancel_peer(s, peer);
        rests = next->type == KT_MATCH_STOP_LIMIT && (next->tif == KT_MATCH_GTC || next->tif == KT_MATCH_GTD);
        execute(s, next, next->price, rests, next->tif, next->stp, next->post_only);
    }
}

/* ---- auctions ---- */

static int64_t volume_at(const kt_slow *s, uint32_t symbol, int64_t price, int64_t *out_surplus)
{
    int64_t buys = 0, sells = 0;

    for (uint32_t i = 1; i <= s->slots; i++) {
        const slow_order *o = &s->orders[i];

        if (o->place != RESTING || o->symbol != symbol)
            continue;
        if (o->side == KT_MATCH_BUY && o->price >= price)
            buys += whole(o);
        if (o->side == KT_MATCH_SELL && o->price <= price)
            sells += whole(o);
    }
    *out_surplus = buys - sells;
    return buys < sells ? buys : sells;
}

/* Of two prices, the one that the rules of the header prefer; volume and surplus are the greatest and the least. */
static int64_t prefer(int64_t a, int64_t surplus_a, int64_t b, int64_t surplus_b, int64_t last)
{
    int64_t far_a = a > last ? a - last : last - a, far_b = b > last ? b - last : last - b;

    if (surplus_a > 0 && surplus_b > 0)
        return a > b ? a : b;
    if (surplus_a < 0 && surplus_b < 0)
        return a < b ? a : b;
    if (far_a != far_b)
        return far_a < far_b ? a : b;
    return a < b ? a : b;
}

static int64_t auction_price(const kt_slow *s, uint32_t symbol)
{
    int64_t best = 0, best_volume = 0, best_surplus = 0, last = s->books[symbol].last;

    /* Nothing changes between neighbours of the orders' prices, but the last price may lie there. */
    for (uint32_t i = 0; i <= s->slots; i++)
        for (int64_t step = -1; step <= 1; step++) {
            int64_t price = i == 0 ? last : (int64_t)s->orders[i].price + step, surplus, volume;

            if (price < 1 || price > s->bounds.price_max || (i != 0 && s->orders[i].place != RESTING))
                continue;
            volume = volume_at(s, symbol, price, &surplus);
            if (volume > best_volume || (volume == best_volume && volume > 0 && llabs(surplus) < llabs(best_surplus))) {
                best = price;
                best_volume = volume;
                best_surplus = surplus;
            } else if (volume == best_volume && volume > 0 && llabs(surplus) == llabs(best_surplus) && price != best) {
                int64_t chosen = prefer(best, best_surplus, price, surplus, last);

                best_surplus = chosen == best ? best_surplus : surplus;
                best = chosen;
            }
        }
    return best;
}

static void uncross(kt_slow *s, uint32_t symbol)
{
    int64_t price;

    while ((price = auction_price(s, symbol)) != 0) {
        for (;;) {
            slow_order *bid = first_of(s, symbol, KT_MATCH_BUY), *ask = first_of(s, symbol, KT_MATCH_SELL);
            uint32_t bid_price, ask_price, peers[2];

            if (bid == NULL || ask == NULL || bid->price < price || ask->price > price)
                break;
            bid_price = bid->price;
            ask_price = ask->price;
            trade(s, ask, bid, KT_MATCH_BUY, (uint32_t)price, bid->shown < ask->shown ? bid->shown : ask->shown);
            peers[0] = after_trade(s, bid);
            say_level(s, symbol, KT_MATCH_BUY, bid_price);
            peers[1] = after_trade(s, ask);
            say_level(s, symbol, KT_MATCH_SELL, ask_price);
            cancel_peer(s, peers[0]);
            cancel_peer(s, peers[1]);
        }
        reach(s, symbol, (uint32_t)price);
    }
}

/* ---- commands ---- */

static int wrong(const kt_slow *s, const kt_match_command *c)
{
    const kt_match_bounds *b = &s->bounds;
    bool market = c->type == KT_MATCH_MARKET || c->type == KT_MATCH_STOP || c->type == KT_MATCH_TRAIL;
    bool stops = c->type == KT_MATCH_STOP || c->type == KT_MATCH_STOP_LIMIT, trails = c->type == KT_MATCH_TRAIL;
    bool lasts = c->tif == KT_MATCH_GTC || c->tif == KT_MATCH_GTD;
    const slow_order *peer;

    if (c->symbol >= b->symbol_max)
        return KT_MATCH_BAD_SYMBOL;
    if (c->side > 1)
        return KT_MATCH_BAD_SIDE;
    if (c->type > KT_MATCH_TRAIL || c->tif > KT_MATCH_GTD || c->stp > KT_MATCH_STP_DECREMENT || c->post_only > 1)
        return KT_MATCH_BAD_TYPE;
    if (c->type == KT_MATCH_MARKET && c->tif == KT_MATCH_GTD)
        return KT_MATCH_BAD_TYPE;
    if (c->post_only && (market || !lasts))
        return KT_MATCH_BAD_TYPE;
    switch (s->books[c->symbol].state) {
    case KT_MATCH_OPEN:
        break;
    case KT_MATCH_AUCTION:
        if (stops || trails || (c->type == KT_MATCH_LIMIT && lasts && !c->post_only))
            break;
        return KT_MATCH_CLOSED;
    default:
        return KT_MATCH_CLOSED;
    }
    if (b->ids != KT_MATCH_HANDLES && c->id == 0)
        return KT_MATCH_BAD_ID;
    if (b->ids == KT_MATCH_DIRECT && c->id > b->id_max)
        return KT_MATCH_BAD_ID;
    if (c->price > b->price_max || (c->price == 0 && !market))
        return KT_MATCH_BAD_PRICE;
    if (c->qty < 1 || c->qty > b->qty_max)
        return KT_MATCH_BAD_QTY;
    if (stops ? c->stop < 1 || c->stop > b->price_max : c->stop != 0)
        return KT_MATCH_BAD_STOP;
    if (trails ? c->trail < 1 || c->trail > b->price_max : c->trail != 0)
        return KT_MATCH_BAD_STOP;
    if (c->display < 0 || c->display > c->qty || (c->display != 0 && (market || !lasts)))
        return KT_MATCH_BAD_DISPLAY;
    if (c->tif == KT_MATCH_GTD && c->time <= s->time)
        return KT_MATCH_BAD_TIME;
    if (trails && s->books[c->symbol].last == 0)
        return KT_MATCH_NO_PRICE;
    if (b->ids != KT_MATCH_HANDLES && by_id(s, c->id) != NULL)
        return KT_MATCH_TWICE;
    if (c->peer != 0) {
        peer = by_id(s, c->peer);
        if (peer == NULL || peer->peer != 0 || peer->owner != c->owner || peer->side != c->side ||
            peer->symbol != c->symbol)
            return KT_MATCH_BAD_PEER;
    }
    if (live(s) >= b->order_max && (stops || trails || (c->type == KT_MATCH_LIMIT && lasts)))
        return KT_MATCH_FULL;
    return KT_MATCH_NONE;
}

static void refuse(kt_slow *s, const kt_match_command *c, int why)
{
    say(s, KT_MATCH_REJECTED, why, c->symbol, c->side, c->price, c->id, c->qty, c->op);
}

static void submit_new(kt_slow *s, const kt_match_command *c)
{
    int why = wrong(s, c);
    uint32_t slot = s->free_slot;
    slow_order *o;

    if (why != KT_MATCH_NONE) {
        refuse(s, c, why);
        return;
    }
    if (slot != 0)
        s->free_slot = s->orders[slot].next_free;
    else
        slot = ++s->slots;
    o = &s->orders[slot];
    *o = (slow_order){ .place = TAKING,
        .generation = o->generation,
        .id = s->bounds.ids == KT_MATCH_HANDLES ? o->generation << 32 | slot : c->id,
        .symbol = c->symbol,
        .side = c->side,
        .owner = c->owner,
        .price = c->price,
        .shown = c->qty,
        .display = c->display < c->qty ? c->display : 0,
        .entry = ++s->entries,
        .type = c->type,
        .tif = c->tif,
        .stp = c->stp,
        .post_only = c->post_only,
        .stop = c->stop,
        .trail = c->trail,
        .expiry = c->tif == KT_MATCH_GTD ? c->time : 0 };
    if (c->peer != 0) {
        slow_order *peer = by_id(s, c->peer);

        o->peer = (uint32_t)(peer - s->orders);
        peer->peer = slot;
    }
    say(s, KT_MATCH_ACCEPTED, 0, c->symbol, c->side, c->price, o->id, c->qty, c->id);
    if (c->stop != 0 || c->trail != 0)
        wait(s, o);
    else
        execute(s, o, c->price, c->type == KT_MATCH_LIMIT && (c->tif == KT_MATCH_GTC || c->tif == KT_MATCH_GTD), c->tif,
            c->stp, c->post_only);
    work_off(s, c->symbol);
}

static void submit_amend(kt_slow *s, slow_order *o, const kt_match_command *c)
{
    bool waits = o->place == WAITING, open = s->books[o->symbol].state == KT_MATCH_OPEN;
    bool auction = s->books[o->symbol].state == KT_MATCH_AUCTION;
    slow_order *other = first_of(s, o->symbol, o->side ^ 1);
    uint32_t old_price = o->price, price = c->price != 0 ? c->price : o->price, symbol = o->symbol;
    int64_t before = whole(o), qty = c->qty != 0 ? c->qty : before;

    if (c->stp > KT_MATCH_STP_DECREMENT || c->post_only > 1) {
        refuse(s, c, KT_MATCH_BAD_TYPE);
    } else if (!open && !(auction && !c->post_only)) {
        refuse(s, c, KT_MATCH_CLOSED);
    } else if (c->price > s->bounds.price_max) {
        refuse(s, c, KT_MATCH_BAD_PRICE);
    } else if (c->qty < 0 || c->qty > s->bounds.qty_max) {
        refuse(s, c, KT_MATCH_BAD_QTY);
    } else if (c->stop != 0 && (!waits || o->trail != 0 || c->stop > s->bounds.price_max)) {
        refuse(s, c, KT_MATCH_BAD_STOP);
    } else if (waits) {
        o->price = price;
        o->shown = qty;
        say(s, KT_MATCH_AMENDED, KT_MATCH_ASKED, o->symbol, o->side, price, o->id, qty, (uint64_t)before);
        if (c->stop != 0 && c->stop != o->stop) {
            o->stop = c->stop;
            wait(s, o);
        }
    } else if (c->post_only && c->price != 0 && other != NULL && crosses(o->side, price, other->price)) {
        refuse(s, c, KT_MATCH_WOULD_TAKE);
    } else {
        say(s, KT_MATCH_AMENDED, KT_MATCH_ASKED, o->symbol, o->side, price, o->id, qty, (uint64_t)before);
        if (price == old_price && qty <= before && c->op == KT_MATCH_AMEND) {
            int64_t cut = before - qty, cut_hidden = cut < o->hidden ? cut : o->hidden;

            o->hidden -= cut_hidden;
            o->shown -= cut - cut_hidden;
            if (cut != cut_hidden)
                say_level(s, o->symbol, o->side, old_price);
        } else {
            o->place = TAKING;
            o->shown = qty;
            o->hidden = 0;
            say_level(s, o->symbol, o->side, old_price);
            execute(s, o, price, true, KT_MATCH_GTC, c->stp, c->post_only);
        }
    }
    work_off(s, symbol);
}

static void submit_one(kt_slow *s, const kt_match_command *c)
{
    slow_order *o = by_id(s, c->id);

    if (o == NULL)
        refuse(s, c, KT_MATCH_UNKNOWN);
    else if (c->owner != 0 && c->owner != o->owner)
        refuse(s, c, KT_MATCH_NOT_OWNER);
    else if (c->op != KT_MATCH_CANCEL)
        submit_amend(s, o, c);
    else if (s->books[o->symbol].state == KT_MATCH_HALT)
        refuse(s, c, KT_MATCH_CLOSED);
    else
        cancel(s, o, KT_MATCH_CANCELLED, KT_MATCH_ASKED);
}

static void submit_mass(kt_slow *s, const kt_match_command *c)
{
    uint32_t before = live(s);

    if (c->symbol >= s->bounds.symbol_max && c->symbol != KT_MATCH_ANY) {
        refuse(s, c, KT_MATCH_BAD_SYMBOL);
        return;
    }
    for (uint32_t i = 1; i <= s->slots; i++) {
        slow_order *o = &s->orders[i];

        if (o->place != GONE && (c->symbol == KT_MATCH_ANY || c->symbol == o->symbol) &&
            (c->op == KT_MATCH_CANCEL_ALL || c->owner == o->owner))
            cancel(s, o, KT_MATCH_CANCELLED, KT_MATCH_MASS);
    }
    say(s, KT_MATCH_DONE, KT_MATCH_MASS, c->symbol, 0, 0, 0, 0, before - live(s));
}

static void submit_time(kt_slow *s, const kt_match_command *c)
{
    if (c->time < s->time) {
        refuse(s, c, KT_MATCH_BAD_TIME);
        return;
    }
    s->time = c->time;
    say(s, KT_MATCH_TIMED, 0, 0, 0, 0, 0, 0, (uint64_t)c->time);
    for (;;) {
        slow_order *next = NULL;

        for (uint32_t i = 1; i <= s->slots; i++) {
            slow_order *o = &s->orders[i];

            if (o->place != GONE && o->tif == KT_MATCH_GTD && o->expiry <= s->time &&
                (next == NULL || o->expiry < next->expiry || (o->expiry == next->expiry && o->entry < next->entry)))
                next = o;
        }
        if (next == NULL)
            return;
        cancel(s, next, KT_MATCH_EXPIRED, 0);
    }
}

static void submit_state(kt_slow *s, const kt_match_command *c)
{
    slow_book *book;

    if (c->state > KT_MATCH_AUCTION || c->symbol >= s->bounds.symbol_max) {
        refuse(s, c, c->state > KT_MATCH_AUCTION ? KT_MATCH_BAD_TYPE : KT_MATCH_BAD_SYMBOL);
        return;
    }
    book = &s->books[c->symbol];
    book->state = c->state;
    say(s, KT_MATCH_STATED, 0, c->symbol, 0, 0, 0, 0, c->state);
    if (c->state != KT_MATCH_OPEN)
        return;
    uncross(s, c->symbol);
    if (book->last != 0)
        reach(s, c->symbol, book->last);
    work_off(s, c->symbol);
}

size_t kt_slow_submit(kt_slow *s, const kt_match_command *c, const kt_match_event **out_events)
{
    s->count = 0;
    switch (c->op) {
    case KT_MATCH_NEW:
        submit_new(s, c);
        break;
    case KT_MATCH_CANCEL:
    case KT_MATCH_AMEND:
    case KT_MATCH_REPLACE:
        submit_one(s, c);
        break;
    case KT_MATCH_CANCEL_OWNER:
    case KT_MATCH_CANCEL_ALL:
        submit_mass(s, c);
        break;
    case KT_MATCH_TIME:
        submit_time(s, c);
        break;
    case KT_MATCH_STATE:
        submit_state(s, c);
        break;
    default:
        refuse(s, c, KT_MATCH_BAD_OP);
    }
    *out_events = s->events;
    return s->count;
}

/* ---- questions ---- */

size_t kt_slow_depth(const kt_slow *s, uint16_t symbol, kt_match_side side, kt_match_level_info *out_levels, size_t max)
{
    uint32_t edge = 0; /* the level before */
    size_t count = 0;

    for (; count < max; count++) {
        kt_match_level_info level = { 0 };

        for (uint32_t i = 1; i <= s->slots; i++) {
            const slow_order *o = &s->orders[i];

            if (o->place != RESTING || o->symbol != symbol || o->side != side ||
                (count > 0 && !better(side, edge, o->price)))
                continue;
            if (level.orders == 0 || better(side, o->price, level.price))
                level = (kt_match_level_info){ .price = o->price };
            if (o->price == level.price) {
                level.orders++;
                level.qty += o->shown;
            }
        }
        if (level.orders == 0)
            break;
        edge = level.price;
        out_levels[count] = level;
    }
    return count;
}

uint32_t kt_slow_last(const kt_slow *s, uint16_t symbol)
{
    return s->books[symbol].last;
}

uint32_t kt_slow_slots(const kt_slow *s)
{
    return s->slots;
}

bool kt_slow_order(const kt_slow *s, uint32_t slot, kt_match_order_info *out_order)
{
    const slow_order *o = &s->orders[slot];
    uint32_t stop = stop_price(o);

    if (o->place == GONE)
        return false;
    *out_order = (kt_match_order_info){ .id = o->id,
        .left = whole(o),
        .shown = o->shown,
        .price = o->price,
        .stop = stop > s->bounds.price_max + 1 ? s->bounds.price_max + 1 : stop,
        .owner = o->owner,
        .symbol = (uint16_t)o->symbol,
        .side = (uint8_t)o->side,
        .tif = (uint8_t)(o->place == WAITING || o->tif == KT_MATCH_GTD ? o->tif : KT_MATCH_GTC),
        .time = o->expiry,
        .peer = o->peer != 0 ? s->orders[o->peer].id : 0 };
    return true;
}
