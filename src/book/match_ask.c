#include "base/pages.h"
#include "book/match_levels.h"

/* ---- memory ---- */

const char *kt_match_bounds_wrong(const kt_match_bounds *b)
{
    if (b->symbol_max < 1 || b->symbol_max > KT_MATCH_SYMBOL_CEILING)
        return "symbol_max is not 1 to KT_MATCH_SYMBOL_CEILING";
    if (b->order_max < 1 || b->order_max > KT_MATCH_ORDER_CEILING)
        return "order_max is not 1 to KT_MATCH_ORDER_CEILING";
    if (b->price_max < 1 || b->price_max > KT_MATCH_PRICE_CEILING)
        return "price_max is not 1 to KT_MATCH_PRICE_CEILING";
    if (b->qty_max < 1 || b->qty_max > INT64_MAX / b->order_max)
        return "qty_max is not 1 to 2^63 / order_max";
    if ((unsigned)b->ids >= KT_MATCH_IDS_COUNT)
        return "ids is no kt_match_ids";
    if (b->ids == KT_MATCH_DIRECT ? b->id_max < 1 || b->id_max > UINT32_MAX : b->id_max != 0)
        return "id_max is not 1 to 2^32 - 1 with KT_MATCH_DIRECT, or not 0 without";
    return NULL;
}

/* The next part of the block, on lines of the cache of its own; while the block is NULL, only its size counts. */
static void *part(char *block, size_t *used, size_t count, size_t size)
{
    size_t at = *used;

    *used = KT_ALIGN_UP(at + count * size, (size_t)64);
    return block != NULL ? block + at : NULL;
}

/* Set up `m`, which stands at the start of its block, for its bounds; returns the size of the block. With NULL: only that. */
static size_t lay_out(kt_match *m, const kt_match_bounds *b)
{
    kt_match sizes = { .bounds = *b };
    char *block = (char *)m;
    uint64_t pages;
    size_t used = 0;

    if (m == NULL)
        m = &sizes;
    part(NULL, &used, 1, sizeof *m + b->symbol_max * sizeof(kt_match_book));
    m->bounds = *b;
    m->price_top = b->price_max + 1;
    m->key_flip[0] = UINT32_MAX; /* price_top - price is ~price + price_top + 1 */
    m->key_base[0] = m->price_top + 1;
    m->slot_count = b->order_max + KT_ORDER_SPARE;
    m->directory_size = (m->price_top >> KT_PAGE_BITS) + 1;
    pages = (uint64_t)m->directory_size * b->symbol_max * KT_HALF_COUNT;
    m->page_count = (pages < b->order_max ? (uint32_t)pages : b->order_max) + 2;
    m->hash_shift = 27;
    while (UINT64_C(1) << (32 - m->hash_shift) < 2 * (uint64_t)m->slot_count)
        m->hash_shift--;
    m->hash_mask = UINT32_MAX >> m->hash_shift;

    m->orders = part(block, &used, m->slot_count, sizeof *m->orders);
    m->pages = part(block, &used, m->page_count, sizeof *m->pages);
    m->levels = part(block, &used, m->page_count, KT_PAGE_LEVELS * sizeof *m->levels);
    m->owners = part(block, &used, m->slot_count, sizeof *m->owners);
    if (b->ids == KT_MATCH_HASH)
        m->hash = part(block, &used, (size_t)m->hash_mask + 1, sizeof *m->hash);
    else if (b->ids == KT_MATCH_DIRECT)
        m->direct = part(block, &used, (size_t)b->id_max + 1, sizeof *m->direct);
    for (uint32_t which = 0; which < KT_HALF_COUNT; which++)
        for (uint32_t symbol = 0; symbol < b->symbol_max; symbol++) {
            kt_match_half half = { .best_key = KT_KEY_NONE, .symbol = (uint16_t)symbol, .which = (uint16_t)which };
            size_t words = m->directory_size;

            half.directory = part(block, &used, m->directory_size, sizeof *half.directory);
            for (uint32_t depth = 0; depth < KT_TREE_DEPTH; depth++) {
                words = (words >> KT_PAGE_BITS) + 2; /* a search may look one word behind the end */
                half.tree[depth] = part(block, &used, words, sizeof *half.tree[depth]);
            }
            if (block != NULL) {
                m->books[symbol].halves[which] = half;
                m->books[symbol].symbol = (uint16_t)symbol;
            }
        }
    m->terms = part(block, &used, m->slot_count, sizeof *m->terms);
    m->slots = m->pages_used = 1; /* 0 is none of them */
    m->size = used;
    return used;
}

kt_match *kt_match_new(const kt_match_bounds *bounds)
{
    kt_match *m;

    if (kt_match_bounds_wrong(bounds) != NULL)
        return NULL;
    m = kt_pages_new(lay_out(NULL, bounds));
    if (m != NULL)
        lay_out(m, bounds);
    return m;
}

void kt_match_free(kt_match *m)
{
    if (m != NULL)
        kt_pages_free(m, m->size);
}

/* ---- questions ---- */

const kt_match_bounds *kt_match_bounds_of(const kt_match *m)
{
    return &m->bounds;
}

size_t kt_match_depth(
    const kt_match *m, uint16_t symbol, kt_match_side side, kt_match_level_info *out_levels, size_t max)
{
    const kt_match_half *half = &m->books[symbol].halves[side];
    uint32_t level = half->best_key != KT_KEY_NONE ? half->best_level : KT_KEY_NONE;
    size_t count = 0;

    for (; level != KT_KEY_NONE && count < max; level = kt_level_behind(m, half, level)) {
        kt_match_level_info *info = &out_levels[count++];

        *info = (kt_match_level_info){ .price = kt_match_price(m, side, kt_level_key(m, level)),
            .qty = m->levels[level].total };
        for (uint32_t slot = m->levels[level].head; slot != 0; slot = m->orders[slot].next)
            info->orders++;
    }
    return count;
}

uint32_t kt_match_best(const kt_match *m, uint16_t symbol, kt_match_side side)
{
    uint32_t key = m->books[symbol].halves[side].best_key;

    return key != KT_KEY_NONE ? kt_match_price(m, side, key) : 0;
}

uint32_t kt_match_last(const kt_match *m, uint16_t symbol)
{
    return m->books[symbol].last;
}

kt_match_state kt_match_state_of(const kt_match *m, uint16_t symbol)
{
    return m->books[symbol].state;
}

uint32_t kt_match_live(const kt_match *m)
{
    return m->live;
}

bool kt_match_order(const kt_match *m, uint64_t id, kt_match_order_info *out_order)
{
    uint32_t slot = kt_match_find(m, id);
    const kt_match_slot *order = &m->orders[slot];
    const kt_match_terms *terms;
    bool waits;

    if (slot == 0)
        return false;
    terms = kt_match_terms_of(m, slot);
    waits = terms != NULL && terms->where != KT_RESTING;
    *out_order = (kt_match_order_info){ .id = id,
        .left = kt_match_whole(m, slot),
        .shown = order->left,
        .owner = order->owner,
        .symbol = kt_match_book_of((kt_match *)m, slot)->symbol,
        .side = (uint8_t)kt_match_side_of(m, slot) };
    out_order->price = waits ? terms->limit : kt_match_price(m, out_order->side, kt_level_key(m, order->place >> 1));
    if (terms != NULL) {
        out_order->stop = waits ? kt_match_stop_price(m, slot) : 0;
        out_order->tif = waits || terms->tif == KT_MATCH_GTD ? terms->tif : KT_MATCH_GTC;
        out_order->time = terms->expiry;
        out_order->peer = terms->peer != 0 ? m->orders[terms->peer].id : 0;
    }
    return true;
}

#define X(name, text) [KT_MATCH_##name] = { #name, text },
static const struct {
    const char *name, *text;
} whys[KT_MATCH_WHY_COUNT] = { KT_MATCH_WHY_MAP(X) };
#undef X

const char *kt_match_why_text(kt_match_why why)
{
    return (unsigned)why < KT_MATCH_WHY_COUNT ? whys[why].text : "unknown reason";
}

const char *kt_match_why_name(kt_match_why why)
{
    return (unsigned)why < KT_MATCH_WHY_COUNT ? whys[why].name : "UNKNOWN_REASON";
}
