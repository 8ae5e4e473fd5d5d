#include "quant/vwap.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"

enum { CELL_START = 64, /* at least */ CACHE_LINE = 64, SERIES_FETCH = 4 * CACHE_LINE };

/* A cell does not hold its own sums but those of all cells before it: a window is a difference of two cells, however
 * many lie between, and a trade in the newest cell changes none. Only differences mean something, so that the sums may
 * wrap around. */
typedef struct cell {
    kt_u128 pq;
    kt_u128 q;
    uint64_t trades;
    int64_t number;
} cell;

/* Where a number stands: `position` is that of the first cell with this number or a greater one (positions are counted
 * from the first cell ever kept). Asked again with a greater number it goes on from there. */
typedef struct place {
    int64_t number; /* PLACE_UNKNOWN: none yet */
    uint64_t position;
} place;

#define PLACE_UNKNOWN INT64_MAX

typedef struct window {
    int64_t span_s;
    place low; /* where it begins */
} window;

/* Thousands of series are open at once and trades jump between them, so what a trade needs stands together: the first
 * two lines of cache are for one in order, the others for averages. */
struct kt_vwap {
    cell end;              /* the sums with the newest cell, and its number; -1: there is none */
    int64_t last_ns;       /* first time that falls into the last cell, */
    uint32_t last_size_ns; /* and how many times do; 0: there is no cell */
    uint16_t window_count;
    uint16_t window_max;
    kt_u128 start_pq; /* of `end`, before the first cell kept */
    kt_u128 start_q;
    cell *cells;
    uint32_t at;    /* index of the first cell kept */
    uint32_t count; /* cells kept */
    uint64_t base;  /* position of the first cell kept */
    uint32_t capacity;
    uint32_t cell_max;
    int64_t kept_from_s;
    place high; /* where the windows of the last mark end */
    kt_blocks *blocks;
    window windows[];
} __attribute__((aligned(CACHE_LINE)));

_Static_assert(
    offsetof(kt_vwap, start_pq) == CACHE_LINE && offsetof(kt_vwap, kept_from_s) == 2 * CACHE_LINE, "as said above");

static size_t series_size(uint32_t window_max)
{
    return sizeof(kt_vwap) + window_max * sizeof(window);
}

kt_code kt_vwap_new(kt_blocks *blocks, uint32_t cell_max, uint32_t window_max, kt_vwap **out_vwap)
{
    kt_vwap *vwap;

    if (cell_max < 2 || cell_max > UINT32_MAX / 2 || window_max < 1 || window_max > KT_VWAP_WINDOW_MAX)
        return KT_ARG;
    vwap = kt_blocks_take(blocks, series_size(window_max));
    if (vwap == NULL)
        return KT_SYS;
    *vwap = (kt_vwap){ .cell_max = cell_max,
        .window_max = (uint16_t)window_max,
        .end.number = -1,
        .high.number = PLACE_UNKNOWN,
        .blocks = blocks };
    *out_vwap = vwap;
    return KT_OK;
}

void kt_vwap_free(kt_vwap *vwap)
{
    if (vwap == NULL)
        return;
    kt_blocks_give(vwap->blocks, vwap->cells, vwap->capacity * sizeof(cell));
    kt_blocks_give(vwap->blocks, vwap, series_size(vwap->window_max));
}

kt_code kt_vwap_window(kt_vwap *vwap, int64_t span_s, uint32_t *out_window)
{
    if (span_s < 1 || span_s > INT64_MAX / KT_NS_PER_S)
        return KT_ARG;
    if (vwap->window_count == vwap->window_max)
        return KT_FULL;
    vwap->windows[vwap->window_count] = (window){ .span_s = span_s, .low.number = PLACE_UNKNOWN };
    *out_window = vwap->window_count++;
    return KT_OK;
}

/* Cells ----------------------------------------------------------------------------------------------------------- */

static cell *cell_at(const kt_vwap *vwap, uint64_t position)
{
    return &vwap->cells[vwap->at + (uint32_t)(position - vwap->base)];
}

static uint64_t end_of(const kt_vwap *vwap)
{
    return vwap->base + vwap->count;
}

/* Position of the first cell with this number or a greater one. */
static uint64_t position_of(const kt_vwap *vwap, int64_t number)
{
    uint32_t low = 0, high = vwap->count;

    if (number > vwap->end.number)
        return end_of(vwap);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (vwap->cells[vwap->at + middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return vwap->base + low;
}

/* The same, going on from where the place was. */
static uint64_t place_move(const kt_vwap *vwap, place *at, int64_t number)
{
    uint64_t end = end_of(vwap);

    if (number < at->number || number > vwap->end.number)
        at->position = position_of(vwap, number);
    else
        while (at->position < end && cell_at(vwap, at->position)->number < number)
            at->position++;
    at->number = number;
    return at->position;
}

/* The sums of all cells before this position. */
static const cell *sums_before(const kt_vwap *vwap, uint64_t position)
{
    return position == end_of(vwap) ? &vwap->end : cell_at(vwap, position);
}

/* What the cells from one position to before another hold. */
static kt_vwap_sums sums_between(const kt_vwap *vwap, uint64_t from, uint64_t to)
{
    const cell *low = sums_before(vwap, from), *high = sums_before(vwap, to);

    return (kt_vwap_sums){
        .pq = (kt_i128)(high->pq - low->pq), .q = (kt_i128)(high->q - low->q), .trades = high->trades - low->trades
    };
}

static int64_t number_of(int64_t time_ns)
{
    int64_t second = time_ns / KT_NS_PER_S;

    return 2 * second + (time_ns != second * KT_NS_PER_S);
}

static void last_note(kt_vwap *vwap, int64_t number)
{
    vwap->end.number = number;
    vwap->last_ns = number / 2 * KT_NS_PER_S + number % 2;
    vwap->last_size_ns = number % 2 == 0 ? 1 : KT_NS_PER_S - 1;
}

/* Room for one more cell behind the last. */
static kt_code cells_reserve(kt_vwap *vwap)
{
    size_t size;
    cell *cells;

    if (vwap->at + vwap->count < vwap->capacity)
        return KT_OK;
    if (vwap->at > vwap->capacity / 2) {
        memmove(vwap->cells, vwap->cells + vwap->at, vwap->count * sizeof *cells);
        vwap->at = 0;
        return KT_OK;
    }
    size = kt_blocks_size((vwap->capacity == 0 ? CELL_START : 2 * vwap->capacity) * sizeof *cells);
    cells = kt_blocks_take(vwap->blocks, size);
    if (cells == NULL)
        return KT_SYS;
    if (vwap->count > 0)
        memcpy(cells, vwap->cells + vwap->at, vwap->count * sizeof *cells);
    kt_blocks_give(vwap->blocks, vwap->cells, vwap->capacity * sizeof *cells);
    vwap->cells = cells;
    vwap->at = 0;
    vwap->capacity = (uint32_t)(size / sizeof *cells);
    return KT_OK;
}

/* An empty cell at `position`; those at it and behind it move up by one. */
static kt_code cell_insert(kt_vwap *vwap, uint64_t position, int64_t number)
{
    kt_code code = vwap->count == vwap->cell_max ? KT_FULL : cells_reserve(vwap);
    bool last = position == end_of(vwap);
    cell before, *c;

    if (code != KT_OK)
        return code;
    before = *sums_before(vwap, position);
    c = cell_at(vwap, position);
    if (!last)
        memmove(c + 1, c, (size_t)(end_of(vwap) - position) * sizeof *c);
    *c = before;
    c->number = number;
    vwap->count++;
    if (last)
        last_note(vwap, number);
    for (uint32_t i = 0; i < vwap->window_count; i++)
        vwap->windows[i].low.position += number < vwap->windows[i].low.number;
    vwap->high.position += number < vwap->high.number;
    return KT_OK;
}

/* Add to the sums of the cell at `position`. */
static void cell_add(kt_vwap *vwap, uint64_t position, kt_i128 pq, kt_i128 q, int64_t trades)
{
    for (uint64_t p = position + 1; p < end_of(vwap); p++) {
        cell *c = cell_at(vwap, p);

        c->pq += (kt_u128)pq;
        c->q += (kt_u128)q;
        c->trades += (uint64_t)trades;
    }
    vwap->end.pq += (kt_u128)pq;
    vwap->end.q += (kt_u128)q;
    vwap->end.trades += (uint64_t)trades;
}

/* Would everything that is kept still fit with this? */
static bool total_fits(const kt_vwap *vwap, kt_i128 pq, kt_i128 q)
{
    kt_i128 total;

    return kt_i128_add((kt_i128)(vwap->end.pq - vwap->start_pq), pq, &total) == KT_OK &&
           kt_i128_add((kt_i128)(vwap->end.q - vwap->start_q), q, &total) == KT_OK;
}

/* Trades ---------------------------------------------------------------------------------------------------------- */

kt_code kt_vwap_push(kt_vwap *vwap, int64_t time_ns, kt_price price, kt_qty qty)
{
    kt_i128 product = (kt_i128)price.m * qty.m; /* 63 + 63 bits: fits */
    uint64_t position = end_of(vwap) - 1;
    bool newest = (uint64_t)time_ns - (uint64_t)vwap->last_ns < vwap->last_size_ns;

    if (price.m <= 0 || qty.m <= 0 || time_ns < 0)
        return KT_ARG;
    if (!newest && time_ns < vwap->kept_from_s * KT_NS_PER_S)
        return KT_SEQ;
    if (!total_fits(vwap, product, qty.m))
        return KT_RANGE;
    if (!newest) {
        int64_t number = number_of(time_ns);

        position = position_of(vwap, number);
        if (position == end_of(vwap) || cell_at(vwap, position)->number != number) {
            kt_code code = cell_insert(vwap, position, number);

            if (code != KT_OK)
                return code;
        }
    }
    cell_add(vwap, position, product, qty.m, 1);
    return KT_OK;
}

kt_code kt_vwap_remove(kt_vwap *vwap, int64_t time_ns, kt_price price, kt_qty qty)
{
    kt_i128 product = (kt_i128)price.m * qty.m;
    uint64_t position;
    kt_vwap_sums held;

    if (price.m <= 0 || qty.m <= 0 || time_ns < 0)
        return KT_ARG;
    if (time_ns < vwap->kept_from_s * KT_NS_PER_S)
        return KT_SEQ;
    position = position_of(vwap, number_of(time_ns));
    if (position == end_of(vwap) || cell_at(vwap, position)->number != number_of(time_ns))
        return KT_NOENT;
    held = sums_between(vwap, position, position + 1);
    if (held.trades == 0 || held.pq < product || held.q < qty.m ||
        (held.trades == 1 && (held.pq != product || held.q != qty.m)))
        return KT_NOENT;
    cell_add(vwap, position, -product, -(kt_i128)qty.m, -1);
    return KT_OK;
}

kt_code kt_vwap_at(kt_vwap *vwap, uint32_t window_index, int64_t mark_s, kt_vwap_sums *out_sums)
{
    kt_vwap_sums sums;
    window *w;

    kt_assert(window_index < vwap->window_count);
    w = &vwap->windows[window_index];
    if (mark_s - w->span_s < vwap->kept_from_s && vwap->kept_from_s > 0)
        return KT_SEQ;
    sums = sums_between(
        vwap, place_move(vwap, &w->low, 2 * (mark_s - w->span_s)), place_move(vwap, &vwap->high, 2 * mark_s + 1));
    kt_assert(sums.trades != 0 || (sums.pq == 0 && sums.q == 0));
    *out_sums = sums;
    return KT_OK;
}

static void fetch(const void *at, size_t size)
{
    const char *line = (const char *)((uintptr_t)at & ~(uintptr_t)(CACHE_LINE - 1));

    for (; line < (const char *)at + size; line += CACHE_LINE)
        __builtin_prefetch(line, 1);
}

void kt_vwap_fetch(const kt_vwap *vwap, kt_vwap_part part)
{
    if (part == KT_VWAP_SERIES) {
        fetch(vwap, SERIES_FETCH); /* how large it is would have to be read, and waited for */
        return;
    }
    if (vwap->count == 0)
        return;
    fetch(cell_at(vwap, end_of(vwap) - 1), 2 * sizeof(cell));
    for (uint32_t i = 0; i < vwap->window_count; i++)
        if (vwap->windows[i].low.number != PLACE_UNKNOWN)
            fetch(cell_at(vwap, vwap->windows[i].low.position), 2 * sizeof(cell));
}

kt_code kt_vwap_next(const kt_vwap *vwap, int64_t span_s, int64_t after_s, int64_t *out_mark_s)
{
    uint64_t end = end_of(vwap);
    uint64_t position = position_of(vwap, 2 * (after_s + 1 - span_s));

    while (position < end && sums_between(vwap, position, position + 1).trades == 0)
        position++;
    if (position == end)
        return KT_EMPTY;
    *out_mark_s = (cell_at(vwap, position)->number + 1) / 2;
    if (*out_mark_s < after_s + 1)
        *out_mark_s = after_s + 1;
    return KT_OK;
}

void kt_vwap_forget(kt_vwap *vwap, int64_t before_s)
{
    if (before_s <= vwap->kept_from_s)
        return;
    vwap->kept_from_s = before_s;
    while (vwap->count > 0 && vwap->cells[vwap->at].number < 2 * before_s) {
        vwap->at++;
        vwap->base++;
        vwap->count--;
    }
    vwap->start_pq = sums_before(vwap, vwap->base)->pq;
    vwap->start_q = sums_before(vwap, vwap->base)->q;
    for (uint32_t i = 0; i < vwap->window_count; i++)
        if (vwap->windows[i].low.position < vwap->base)
            vwap->windows[i].low.number = PLACE_UNKNOWN;
    if (vwap->high.position < vwap->base)
        vwap->high.number = PLACE_UNKNOWN;
    if (vwap->count == 0) {
        vwap->end.number = -1;
        vwap->last_size_ns = 0;
    }
}

int64_t kt_vwap_kept_from(const kt_vwap *vwap)
{
    return vwap->kept_from_s;
}

/* Scales and snapshots -------------------------------------------------------------------------------------------- */

bool kt_vwap_fits(const kt_vwap *vwap, int64_t price_factor, int64_t qty_factor)
{
    kt_i128 pq = (kt_i128)(vwap->end.pq - vwap->start_pq), q = (kt_i128)(vwap->end.q - vwap->start_q);

    return kt_i128_mul(pq, price_factor, &pq) == KT_OK && kt_i128_mul(pq, qty_factor, &pq) == KT_OK &&
           kt_i128_mul(q, qty_factor, &q) == KT_OK;
}

kt_code kt_vwap_rescale(kt_vwap *vwap, int64_t price_factor, int64_t qty_factor)
{
    kt_u128 factor = (kt_u128)price_factor * (kt_u128)qty_factor;

    kt_assert(price_factor >= 1);
    kt_assert(qty_factor >= 1);
    /* Every part is at most the total, so when the total fits they all do. */
    if (!kt_vwap_fits(vwap, price_factor, qty_factor))
        return KT_RANGE;
    for (uint64_t p = vwap->base; p < end_of(vwap); p++) {
        cell_at(vwap, p)->pq *= factor;
        cell_at(vwap, p)->q *= (kt_u128)qty_factor;
    }
    vwap->start_pq *= factor;
    vwap->start_q *= (kt_u128)qty_factor;
    vwap->end.pq *= factor;
    vwap->end.q *= (kt_u128)qty_factor;
    return KT_OK;
}

uint32_t kt_vwap_cell_count(const kt_vwap *vwap)
{
    return vwap->count;
}

void kt_vwap_cell_get(const kt_vwap *vwap, uint32_t index, kt_vwap_cell *out_cell)
{
    uint64_t position = vwap->base + index;

    kt_assert(index < vwap->count);
    *out_cell =
        (kt_vwap_cell){ .number = cell_at(vwap, position)->number, .sums = sums_between(vwap, position, position + 1) };
}

kt_code kt_vwap_cell_put(kt_vwap *vwap, const kt_vwap_cell *put)
{
    kt_code code;

    if (put->number < 0 || put->number > number_of(INT64_MAX) || put->sums.pq < 0 || put->sums.q < 0 ||
        (put->sums.trades == 0) != (put->sums.q == 0) || (put->sums.q == 0) != (put->sums.pq == 0))
        return KT_ARG;
    if (put->number / 2 < vwap->kept_from_s || put->number <= vwap->end.number)
        return KT_SEQ;
    if (!total_fits(vwap, put->sums.pq, put->sums.q))
        return KT_RANGE;
    code = cell_insert(vwap, end_of(vwap), put->number);
    if (code == KT_OK)
        cell_add(vwap, end_of(vwap) - 1, put->sums.pq, put->sums.q, (int64_t)put->sums.trades);
    return code;
}

kt_code kt_vwap_price(const kt_vwap_sums *sums, uint32_t digits, int64_t *out_m)
{
    kt_u128 q = (kt_u128)sums->q;
    kt_u128 whole, rest;

    if (sums->trades == 0 || sums->q <= 0)
        return KT_EMPTY;
    if (q > (kt_u128)-1 / 10)
        return KT_RANGE;
    whole = (kt_u128)sums->pq / q;
    rest = (kt_u128)sums->pq % q;
    /* Long division, so that pq itself need not have room for the digits. */
    for (uint32_t i = 0; i < digits && whole <= INT64_MAX; i++) {
        whole = whole * 10 + rest * 10 / q;
        rest = rest * 10 % q;
    }
    if (whole > INT64_MAX)
        return KT_RANGE;
    if (2 * rest > q || (2 * rest == q && whole % 2 == 1))
        whole++;
    if (whole > INT64_MAX)
        return KT_RANGE;
    *out_m = (int64_t)whole;
    return KT_OK;
}
