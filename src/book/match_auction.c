/* The price of an auction, and its trades.
 *
 * Let the best bids and asks meet level by level until they do not cross any more, on paper. The last levels that met, bid
 * and ask, bound the prices of the greatest volume; what is left over on paper says what surplus each of them has. */
#include "book/match_levels.h"

/* One side on paper: the level that it has come to and what is left there. */
typedef struct kt_paper {
    const kt_match_half *half;
    uint32_t level; /* KT_KEY_NONE: no more */
    uint32_t price;
    uint32_t met; /* price of the last level that met another; 0: none */
    int64_t left;
} kt_paper;

static int64_t level_whole(const kt_match *m, const kt_match_book *book, uint32_t level)
{
    int64_t whole = m->levels[level].total;

    for (uint32_t slot = book->icebergs != 0 ? m->levels[level].head : 0; slot != 0; slot = m->orders[slot].next)
        whole += kt_match_whole(m, slot) - m->orders[slot].left;
    return whole;
}

static void come_to(const kt_match *m, const kt_match_book *book, kt_paper *paper, uint32_t level)
{
    paper->level = level;
    if (level == KT_KEY_NONE)
        return;
    paper->price = kt_match_price(m, m->pages[level >> KT_PAGE_BITS].half, kt_level_key(m, level));
    paper->left = level_whole(m, book, level);
}

static void meet(const kt_match *m, const kt_match_book *book, kt_paper *paper, int64_t qty)
{
    paper->met = paper->price;
    paper->left -= qty;
    if (paper->left == 0)
        come_to(m, book, paper, kt_level_behind(m, paper->half, paper->level));
}

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

/* 0: the book is not crossed. */
static uint32_t auction_price(const kt_match *m, const kt_match_book *book)
{
    kt_paper bid = { .half = &book->halves[KT_MATCH_BUY] }, ask = { .half = &book->halves[KT_MATCH_SELL] };
    uint32_t low, high, last = book->last;

    come_to(m, book, &bid, bid.half->best_key != KT_KEY_NONE ? bid.half->best_level : KT_KEY_NONE);
    come_to(m, book, &ask, ask.half->best_key != KT_KEY_NONE ? ask.half->best_level : KT_KEY_NONE);
    while (bid.level != KT_KEY_NONE && ask.level != KT_KEY_NONE && bid.price >= ask.price) {
        int64_t qty = bid.left < ask.left ? bid.left : ask.left;

        meet(m, book, &bid, qty);
        meet(m, book, &ask, qty);
    }
    if (bid.met == 0)
        return 0;

    /* Prices without a surplus: the bid left over is below, the ask left over above. */
    low = bid.level != KT_KEY_NONE && bid.price >= ask.met ? bid.price + 1 : ask.met;
    high = ask.level != KT_KEY_NONE && ask.price <= bid.met ? ask.price - 1 : bid.met;
    if (low <= high)
        return last < low ? low : last > high ? high : last;
    if (low > bid.met) /* bids are left over at every price: the highest */
        return bid.met;
    if (high < ask.met) /* asks are: the lowest */
        return ask.met;
    /* They are left over at neighbouring prices, bids at `high` and asks at `low`. */
    if (bid.left != ask.left)
        return bid.left < ask.left ? high : low;
    return distance(low, last) < distance(high, last) ? low : high;
}

/* What has traded on a side: its level, and its end. */
static uint32_t fill(kt_match *m, kt_match_book *book, uint32_t side, int64_t qty)
{
    uint32_t level = book->halves[side].best_level;
    uint32_t price = kt_match_price(m, side, book->halves[side].best_key);
    uint32_t peer = kt_match_filled(m, book, m->levels[level].head, qty);

    kt_match_tell(m, KT_MATCH_LEVEL, KT_MATCH_NONE, book->symbol, side, price, 0, m->levels[level].total, 0);
    kt_level_drop(m, level);
    return peer;
}

static void trade_at(kt_match *m, kt_match_book *book, uint32_t price)
{
    const kt_match_half *bids = &book->halves[KT_MATCH_BUY], *asks = &book->halves[KT_MATCH_SELL];

    while (bids->best_key <= kt_match_key(m, KT_MATCH_BUY, price) &&
           asks->best_key <= kt_match_key(m, KT_MATCH_SELL, price)) {
        uint32_t bid = m->levels[bids->best_level].head, ask = m->levels[asks->best_level].head;
        int64_t qty = m->orders[bid].left < m->orders[ask].left ? m->orders[bid].left : m->orders[ask].left;
        uint32_t peers[2];

        kt_match_room(m);
        kt_match_tell_trade(m, book, price, ask, bid, KT_MATCH_BUY, qty);
        peers[0] = fill(m, book, KT_MATCH_BUY, qty);
        peers[1] = fill(m, book, KT_MATCH_SELL, qty);
        for (uint32_t i = 0; i < 2; i++)
            if (peers[i] != 0)
                kt_match_remove(m, peers[i], KT_MATCH_CANCELLED, KT_MATCH_PEER);
    }
}

void kt_match_uncross(kt_match *m, kt_match_book *book)
{
    uint32_t price;

    while ((price = auction_price(m, book)) != 0) {
        trade_at(m, book, price);
        kt_match_reach(m, book, price);
    }
}
