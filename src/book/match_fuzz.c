/* Property: whatever the commands, after each of them the engine passes its audit (not crossed, levels equal the sum of their
 * orders, bitmaps equal the levels, no order lost), and a ledger that is kept from its events alone has the same orders,
 * quantities and levels. Damaged saves are refused or load into a book that passes the audit.
 * Input: a byte that chooses the kind of ids (id_kinds), then 16 bytes a command. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <kontor/match.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMMAND_MAX = 400, EVENT_MAX = 1 << 13, ID_MAX = 63, PRICE_MAX = 200, ORDER_MAX = 24, LEVEL_MAX = 64 };

typedef struct input {
    uint8_t op, id, price, qty;
    uint8_t side_type; /* 1 bit side, 3 type, 2 tif, 1 post-only, 1 symbol */
    uint8_t stp_owner; /* 3 bits, 2 owner */
    uint8_t stop, trail, display, peer;
    uint8_t time, corrupt;
    uint32_t at; /* of the damage */
} input;

_Static_assert(sizeof(input) == 16, "layout of the corpus");

/* By the lowest two bits of the first byte. */
static const kt_match_ids id_kinds[] = { KT_MATCH_DIRECT, KT_MATCH_HASH, KT_MATCH_HANDLES, KT_MATCH_HANDLES };

/* ---- the ledger: orders by place, levels by price, all from events ----
 * A place is the low half of an id: the client's own id, or the slot of a handle, whose high half is its generation. */

#define GENERATION (UINT64_C(1) << 32)

typedef struct ledger {
    kt_match_ids kind;
    uint64_t ids[ID_MAX + 1]; /* the last that had the place, of handles at first the one before all */
    int64_t open[ID_MAX + 1]; /* 0: not alive */
    int64_t levels[2][2][PRICE_MAX + 2];
    uint32_t live;
} ledger;

static void ledger_init(ledger *l, kt_match_ids kind)
{
    *l = (ledger){ .kind = kind };
    for (uint64_t place = 1; place <= ID_MAX; place++)
        l->ids[place] = place - (kind == KT_MATCH_HANDLES ? GENERATION : 0);
}

static uint32_t place_of(uint64_t id)
{
    kt_assert((uint32_t)id >= 1);
    kt_assert((uint32_t)id <= ID_MAX);
    return (uint32_t)id;
}

static int64_t ledger_open(const ledger *l, uint64_t id)
{
    kt_assert(l->ids[place_of(id)] == id);
    return l->open[place_of(id)];
}

static void ledger_set(ledger *l, uint64_t id, int64_t open)
{
    uint32_t place = place_of(id);

    kt_assert(open >= 0);
    kt_assert(l->ids[place] == id);
    l->live += (uint32_t)(open != 0) - (uint32_t)(l->open[place] != 0);
    l->open[place] = open;
}

/* A handle is given once: its place is free, and its generation the next one. */
static void ledger_add(ledger *l, const kt_match_event *event)
{
    uint32_t place = place_of(event->id);

    kt_assert(l->open[place] == 0);
    if (l->kind == KT_MATCH_HANDLES) {
        kt_assert(place <= ORDER_MAX + 1); /* one more for a taker that does not rest */
        kt_assert(event->id == l->ids[place] + GENERATION);
        l->ids[place] = event->id;
    }
    ledger_set(l, event->id, event->qty);
}

static void ledger_apply(ledger *l, const kt_match_command *command, const kt_match_event *event)
{
    const kt_match_trade *trade = (const kt_match_trade *)event;

    switch (event->kind) {
    case KT_MATCH_ACCEPTED:
        kt_assert(event->other == command->id);
        ledger_add(l, event);
        break;
    case KT_MATCH_REJECTED:
        kt_assert(event->id == command->id);
        break;
    case KT_MATCH_TRADE: /* conserved: what one side loses, the other loses */
        kt_assert(event->qty > 0);
        kt_assert(ledger_open(l, event->id) - event->qty == trade->maker_left);
        kt_assert(ledger_open(l, event->other) - event->qty == trade->taker_left);
        ledger_set(l, event->id, trade->maker_left);
        ledger_set(l, event->other, trade->taker_left);
        break;
    case KT_MATCH_CANCELLED:
    case KT_MATCH_EXPIRED:
        kt_assert(ledger_open(l, event->id) == event->qty);
        ledger_set(l, event->id, 0);
        break;
    case KT_MATCH_AMENDED:
        kt_assert(ledger_open(l, event->id) == (int64_t)event->other);
        ledger_set(l, event->id, event->qty);
        break;
    case KT_MATCH_LEVEL:
        l->levels[event->symbol][event->side][event->price] = event->qty;
        break;
    default:
        break;
    }
}

static void ledger_equals(const ledger *l, const kt_match *match)
{
    kt_match_level_info levels[LEVEL_MAX];
    kt_match_order_info order;

    kt_assert(l->live == kt_match_live(match));
    for (uint32_t place = 1; place <= ID_MAX; place++) {
        bool alive = kt_match_order(match, l->ids[place], &order);

        kt_assert(alive == (l->open[place] != 0));
        kt_assert(!alive || order.left == l->open[place]);
        kt_assert(!alive || order.id == l->ids[place]);
        if (l->kind == KT_MATCH_HANDLES) { /* nobody is found by the handle before, or by one that was not given yet */
            kt_assert(!kt_match_order(match, l->ids[place] - GENERATION, &order));
            kt_assert(!kt_match_order(match, l->ids[place] + GENERATION, &order));
        }
    }
    for (uint16_t symbol = 0; symbol < 2; symbol++)
        for (kt_match_side side = KT_MATCH_BUY; side <= KT_MATCH_SELL; side++) {
            size_t count = kt_match_depth(match, symbol, side, levels, LEVEL_MAX), there = 0;

            for (uint32_t price = 1; price <= PRICE_MAX; price++)
                there += l->levels[symbol][side][price] != 0;
            kt_assert(there == count);
            for (size_t i = 0; i < count; i++)
                kt_assert(l->levels[symbol][side][levels[i].price] == levels[i].qty);
        }
}

/* ---- commands ---- */

/* The order that a byte names; its bit 6: one that is not there, of handles the one before. */
static uint64_t name_of(const ledger *l, uint8_t byte)
{
    if (l->kind != KT_MATCH_HANDLES)
        return byte & 127;
    return l->ids[byte & ID_MAX] - ((byte & (ID_MAX + 1)) != 0 ? GENERATION : 0);
}

static kt_match_command command_of(const ledger *l, const input *in, int64_t *time)
{
    kt_match_command c = { .op = in->op % (KT_MATCH_OP_COUNT + 1),
        .id = name_of(l, in->id),
        .price = in->price,
        .qty = (int8_t)in->qty,
        .side = in->side_type & 1,
        .type = in->side_type >> 1 & 7,
        .tif = in->side_type >> 4 & 3,
        .post_only = in->side_type >> 6 & 1,
        .symbol = in->side_type >> 7,
        .stp = in->stp_owner & 7,
        .owner = in->stp_owner >> 3 & 3,
        .stop = in->stop,
        .trail = in->trail,
        .display = in->display,
        .time = *time + (int8_t)in->time,
        .peer = name_of(l, in->peer) };

    if (c.op == KT_MATCH_TIME && c.time > *time)
        *time = c.time;
    if (c.op == KT_MATCH_NEW)
        c.id = in->id & ID_MAX; /* of handles a tag, which need not be the only one */
    return c;
}

/* Save, damage one word but give the bytes their right sum again, and load: refused, or a book that holds together. */
static void damage(kt_match *match, const input *in)
{
    size_t size = kt_match_save_size(match);
    char *bytes = malloc(size), *copy = malloc(size);
    uint64_t hash = kt_match_hash(match);
    uint32_t crc;

    kt_assert(bytes != NULL && copy != NULL);
    kt_assert(kt_match_save(match, bytes, size) == size);
    memcpy(copy, bytes, size);
    copy[in->at % (size - sizeof crc)] ^= (char)in->corrupt;
    crc = kt_crc32c(0, copy, size - sizeof crc);
    memcpy(copy + size - sizeof crc, &crc, sizeof crc);
    if (kt_match_load(match, copy, size))
        kt_assert(kt_match_audit(match) == NULL);
    kt_assert(kt_match_load(match, bytes, size));
    kt_assert(kt_match_hash(match) == hash);
    free(bytes);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kt_match_event events[EVENT_MAX];
    kt_match_bounds bounds = { .symbol_max = 2, .order_max = ORDER_MAX, .price_max = PRICE_MAX, .qty_max = 127 };
    int64_t time = 0;
    ledger l;
    kt_match *match;

    if (size == 0)
        return 0;
    bounds.ids = id_kinds[data[0] % KT_COUNT(id_kinds)];
    bounds.id_max = bounds.ids == KT_MATCH_DIRECT ? ID_MAX : 0;
    match = kt_match_new(&bounds);
    kt_assert(match != NULL);
    ledger_init(&l, bounds.ids);
    for (size_t i = 0; i < (size - 1) / sizeof(input) && i < COMMAND_MAX; i++) {
        kt_match_out out = { .next = events, .end = events + EVENT_MAX };
        kt_match_command c;
        const char *broken;
        input in;

        memcpy(&in, data + 1 + i * sizeof in, sizeof in);
        c = command_of(&l, &in, &time);
        kt_match_submit(match, &c, 1, &out);
        for (const kt_match_event *event = events; event < out.next; event = kt_match_next(event))
            ledger_apply(&l, &c, event);
        broken = kt_match_audit(match);
        if (broken != NULL)
            kt_assert_failed(__FILE__, __LINE__, broken);
        ledger_equals(&l, match);
        if (in.corrupt != 0 && in.op > 200)
            damage(match, &in);
    }
    kt_match_free(match);
    return 0;
}
