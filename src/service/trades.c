#include "service/trades.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"

enum { TRADES_START = 64, BYTES_START = 1024, ID_MAX = 255, NUMBERED = 0x8000, NEIGHBOURS = 8 };

struct kt_trades {
    kt_trade *slots; /* a ring: position & (capacity - 1) */
    uint32_t *index; /* open addressing, 2 x capacity; slot + 1, 0: free */
    uint32_t capacity;
    uint32_t trade_max;
    uint64_t first;
    uint64_t end;
    uint64_t seed;
    char *bytes; /* a ring of ids; a text never wraps around its end */
    uint64_t bytes_size;
    uint64_t bytes_first;
    uint64_t bytes_end;
};

kt_code kt_trades_new(uint32_t trade_max, uint64_t hash_seed, kt_trades **out_trades)
{
    kt_trades *trades = calloc(1, sizeof *trades);

    if (trades == NULL)
        return KT_SYS;
    trades->trade_max = trade_max;
    trades->seed = hash_seed;
    *out_trades = trades;
    return KT_OK;
}

void kt_trades_free(kt_trades *trades)
{
    if (trades == NULL)
        return;
    free(trades->slots);
    free(trades->index);
    free(trades->bytes);
    free(trades);
}

uint64_t kt_trades_first(const kt_trades *trades)
{
    return trades->first;
}

uint64_t kt_trades_end(const kt_trades *trades)
{
    return trades->end;
}

static kt_trade *slot_at(const kt_trades *trades, uint64_t position)
{
    return &trades->slots[position & (trades->capacity - 1)];
}

kt_trade *kt_trades_at(kt_trades *trades, uint64_t position)
{
    kt_assert(position >= trades->first);
    kt_assert(position < trades->end);
    return slot_at(trades, position);
}

static const char *id_text(const kt_trades *trades, const kt_trade *trade)
{
    return trades->bytes + (trade->id_at & (trades->bytes_size - 1));
}

kt_text kt_trades_id(const kt_trades *trades, const kt_trade *trade, char buf[KT_TRADE_ID_TEXT_MAX])
{
    if (trade->id_size != 0)
        return (kt_text){ id_text(trades, trade), trade->id_size };
    return (kt_text){ buf, kt_u64_format(buf, trade->key) };
}

uint64_t kt_trades_number(const kt_trade *trade)
{
    return (trade->flags & NUMBERED) != 0 ? trade->key : 0;
}

/* Numbers that follow each other have homes side by side: a trade finds its line of the index in the cache, where the
 * trade before it was. */
static uint32_t home_of(const kt_trades *trades, uint64_t key)
{
    uint64_t group = kt_hash_u64(key / NEIGHBOURS, trades->seed);

    return (uint32_t)(group * NEIGHBOURS + key % NEIGHBOURS) & (2 * trades->capacity - 1);
}

static void index_put(kt_trades *trades, uint64_t position)
{
    uint32_t mask = 2 * trades->capacity - 1;
    uint32_t at = home_of(trades, slot_at(trades, position)->key);

    while (trades->index[at] != 0)
        at = (at + 1) & mask;
    trades->index[at] = (uint32_t)(position & (trades->capacity - 1)) + 1;
}

static void index_remove(kt_trades *trades, uint64_t position)
{
    uint32_t mask = 2 * trades->capacity - 1;
    uint32_t slot = (uint32_t)(position & (trades->capacity - 1));
    uint32_t at = home_of(trades, trades->slots[slot].key);
    uint32_t hole;

    while (trades->index[at] != slot + 1) {
        kt_assert(trades->index[at] != 0);
        at = (at + 1) & mask;
    }
    /* Shift back what would no longer be found across the hole. */
    for (hole = at, at = (at + 1) & mask; trades->index[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(trades, trades->slots[trades->index[at] - 1].key);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            trades->index[hole] = trades->index[at];
            hole = at;
        }
    }
    trades->index[hole] = 0;
}

static kt_code slots_reserve(kt_trades *trades)
{
    uint32_t count = (uint32_t)(trades->end - trades->first);
    uint32_t capacity = trades->capacity == 0 ? TRADES_START : 2 * trades->capacity;
    kt_trade *slots;
    uint32_t *index;

    if (count >= trades->trade_max)
        return KT_FULL;
    if (count < trades->capacity)
        return KT_OK;
    slots = malloc(capacity * sizeof *slots);
    index = calloc(2 * (size_t)capacity, sizeof *index);
    if (slots == NULL || index == NULL) {
        free(slots);
        free(index);
        return KT_SYS;
    }
    for (uint64_t p = trades->first; p < trades->end; p++)
        slots[p & (capacity - 1)] = *slot_at(trades, p);
    free(trades->slots);
    free(trades->index);
    trades->slots = slots;
    trades->index = index;
    trades->capacity = capacity;
    for (uint64_t p = trades->first; p < trades->end; p++)
        index_put(trades, p);
    return KT_OK;
}

/* Where a text of `size` bytes can go without wrapping, after growing as often as it takes. */
static kt_code bytes_reserve(kt_trades *trades, uint32_t size, uint64_t *out_at)
{
    for (;;) {
        uint64_t at = trades->bytes_end;
        uint64_t grown = trades->bytes_size == 0 ? BYTES_START : 2 * trades->bytes_size;
        char *bytes;

        if (trades->bytes_size != 0) {
            uint64_t in = at & (trades->bytes_size - 1);

            if (in + size > trades->bytes_size)
                at += trades->bytes_size - in;
            if (at + size - trades->bytes_first <= trades->bytes_size) {
                *out_at = at;
                return KT_OK;
            }
        }
        bytes = malloc(grown);
        if (bytes == NULL)
            return KT_SYS;
        for (uint64_t p = trades->first; p < trades->end; p++) {
            const kt_trade *trade = slot_at(trades, p);

            if (trade->id_size != 0)
                memcpy(bytes + (trade->id_at & (grown - 1)), id_text(trades, trade), trade->id_size);
        }
        free(trades->bytes);
        trades->bytes = bytes;
        trades->bytes_size = grown;
    }
}

static bool digits_are(uint64_t number, kt_text id)
{
    char buf[KT_TRADE_ID_TEXT_MAX];

    return kt_text_equal(id, (kt_text){ buf, kt_u64_format(buf, number) });
}

kt_code kt_trades_find(kt_trades *trades, uint64_t number, kt_text id, uint64_t *out_position)
{
    uint64_t key = number != 0 ? number : kt_hash64(id.s, id.n, trades->seed);
    uint32_t mask = 2 * trades->capacity - 1;

    if (trades->capacity == 0)
        return KT_NOENT;
    for (uint32_t at = home_of(trades, key); trades->index[at] != 0; at = (at + 1) & mask) {
        uint32_t slot = trades->index[at] - 1;
        const kt_trade *trade = &trades->slots[slot];

        if (trade->key != key || ((trade->flags & NUMBERED) != 0) != (number != 0))
            continue;
        if (number == 0 && !kt_text_equal((kt_text){ id_text(trades, trade), trade->id_size }, id))
            continue;
        *out_position = trades->first + ((slot - trades->first) & (trades->capacity - 1));
        return KT_OK;
    }
    return KT_NOENT;
}

kt_code kt_trades_add(kt_trades *trades, const kt_trade *trade, uint64_t number, kt_text id, uint64_t *out_position)
{
    bool digits = number != 0 && digits_are(number, id);
    uint64_t id_at = trades->bytes_end;
    kt_trade *slot;
    kt_code code;

    if (id.n > ID_MAX || (id.n == 0 && number == 0))
        return KT_LIMIT;
    code = slots_reserve(trades);
    if (code == KT_OK && !digits)
        code = bytes_reserve(trades, (uint32_t)id.n, &id_at);
    if (code != KT_OK)
        return code;
    slot = slot_at(trades, trades->end);
    *slot = *trade;
    slot->flags = (uint16_t)((slot->flags & ~NUMBERED) | (number != 0 ? NUMBERED : 0));
    slot->key = number != 0 ? number : kt_hash64(id.s, id.n, trades->seed);
    slot->id_at = id_at;
    slot->id_size = digits ? 0 : (uint8_t)id.n;
    if (!digits) {
        memcpy(trades->bytes + (id_at & (trades->bytes_size - 1)), id.s, id.n);
        trades->bytes_end = id_at + id.n;
    }
    *out_position = trades->end++;
    index_put(trades, *out_position);
    return KT_OK;
}

void kt_trades_drop(kt_trades *trades)
{
    kt_assert(trades->first < trades->end);
    index_remove(trades, trades->first);
    trades->first++;
    trades->bytes_first = trades->first < trades->end ? slot_at(trades, trades->first)->id_at : trades->bytes_end;
}

uint64_t kt_trades_requeue(kt_trades *trades)
{
    kt_trade trade = *kt_trades_at(trades, trades->first);
    char id[ID_MAX];
    uint64_t position;
    kt_text text = { id, trade.id_size };

    if (trade.id_size != 0)
        memcpy(id, id_text(trades, &trade), trade.id_size);
    else
        text.n = kt_u64_format(id, trade.key);
    kt_trades_drop(trades);
    kt_assert(kt_trades_add(trades, &trade, kt_trades_number(&trade), text, &position) == KT_OK);
    return position;
}
