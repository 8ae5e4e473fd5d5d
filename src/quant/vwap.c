#include "quant/vwap.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"

enum { CELL_START = 64 };

typedef struct cell {
    int64_t number;
    uint64_t trades;
    kt_i128 pq;
    kt_i128 q;
} cell;

/* A window that slides: it holds the cells from `first` to before `next` (positions counted from the first cell ever
 * kept), which are those with low <= number <= high. */
typedef struct window {
    int64_t span_s;
    bool set; /* false: has no mark yet, or lost it when cells were forgotten */
    int64_t mark_s;
    int64_t low;
    int64_t high;
    uint64_t first;
    uint64_t next;
    kt_vwap_sums sums;
} window;

struct kt_vwap {
    cell *cells;
    uint32_t capacity;
    uint32_t cell_max;
    uint32_t at;    /* index of the first cell kept */
    uint32_t count; /* cells kept */
    uint64_t base;  /* position of the first cell kept */
    int64_t kept_from_s;
    kt_vwap_sums total;
    int64_t last_ns;       /* first time that falls into the last cell, */
    uint64_t last_size_ns; /* and how many times do; 0: there is no cell */
    int64_t high_max;      /* greatest `high` of the windows: cells beyond it are in none */
    window *windows;
    uint32_t window_count;
};

static const kt_vwap_sums no_sums;

kt_code kt_vwap_new(uint32_t cell_max, kt_vwap **out_vwap)
{
    kt_vwap *vwap;

    if (cell_max < 2 || cell_max > UINT32_MAX / 2)
        return KT_ARG;
    vwap = calloc(1, sizeof *vwap);
    if (vwap == NULL)
        return KT_SYS;
    vwap->cell_max = cell_max;
    vwap->high_max = -1;
    *out_vwap = vwap;
    return KT_OK;
}

void kt_vwap_free(kt_vwap *vwap)
{
    if (vwap == NULL)
        return;
    free(vwap->cells);
    free(vwap->windows);
    free(vwap);
}

kt_code kt_vwap_window(kt_vwap *vwap, int64_t span_s, uint32_t *out_window)
{
    window *windows;

    if (span_s < 1 || span_s > INT64_MAX / KT_NS_PER_S)
        return KT_ARG;
    if (vwap->window_count == KT_VWAP_WINDOW_MAX)
        return KT_FULL;
    windows = realloc(vwap->windows, (vwap->window_count + 1) * sizeof *windows);
    if (windows == NULL)
        return KT_SYS;
    vwap->windows = windows;
    windows[vwap->window_count] = (window){ .span_s = span_s };
    *out_window = vwap->window_count++;
    return KT_OK;
}

static cell *cell_at(const kt_vwap *vwap, uint64_t position)
{
    return &vwap->cells[vwap->at + (uint32_t)(position - vwap->base)];
}

/* Position of the first cell with this number or a greater one. */
static uint64_t position_of(const kt_vwap *vwap, int64_t number)
{
    uint32_t low = 0, high = vwap->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (vwap->cells[vwap->at + middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return vwap->base + low;
}

static int64_t number_of(int64_t time_ns)
{
    int64_t second = time_ns / KT_NS_PER_S;

    return 2 * second + (time_ns != second * KT_NS_PER_S);
}

static void last_note(kt_vwap *vwap)
{
    int64_t number;

    vwap->last_size_ns = 0;
    if (vwap->count == 0)
        return;
    number = vwap->cells[vwap->at + vwap->count - 1].number;
    vwap->last_ns = number / 2 * KT_NS_PER_S + number % 2;
    vwap->last_size_ns = number % 2 == 0 ? 1 : KT_NS_PER_S - 1;
}

/* Room for one more cell behind the last. */
static kt_code cells_reserve(kt_vwap *vwap)
{
    uint32_t capacity;
    cell *cells;

    if (vwap->at + vwap->count < vwap->capacity)
        return KT_OK;
    if (vwap->count == vwap->cell_max)
        return KT_FULL;
    if (vwap->at > vwap->capacity / 2) {
        memmove(vwap->cells, vwap->cells + vwap->at, vwap->count * sizeof *cells);
        vwap->at = 0;
        return KT_OK;
    }
    capacity = vwap->capacity == 0 ? CELL_START : 2 * vwap->capacity;
    cells = realloc(vwap->cells, capacity * sizeof *cells);
    if (cells == NULL)
        return KT_SYS;
    vwap->cells = cells;
    vwap->capacity = capacity;
    return KT_OK;
}

/* An empty cell at `position`; those at it and behind it move up by one. */
static kt_code cell_insert(kt_vwap *vwap, uint64_t position, int64_t number)
{
    kt_code code = vwap->count == vwap->cell_max ? KT_FULL : cells_reserve(vwap);
    cell *place;

    if (code != KT_OK)
        return code;
    place = cell_at(vwap, position);
    memmove(place + 1, place, (size_t)(vwap->base + vwap->count - position) * sizeof *place);
    *place = (cell){ .number = number };
    vwap->count++;
    for (uint32_t i = 0; i < vwap->window_count; i++) {
        window *w = &vwap->windows[i];

        if (!w->set)
            continue;
        if (number < w->low)
            w->first++;
        if (number <= w->high)
            w->next++;
    }
    last_note(vwap);
    return KT_OK;
}

static void windows_add(kt_vwap *vwap, int64_t number, kt_i128 pq, kt_i128 q, int64_t trades)
{
    for (uint32_t i = 0; i < vwap->window_count; i++) {
        window *w = &vwap->windows[i];

        if (!w->set || number < w->low || number > w->high)
            continue;
        w->sums.pq += pq;
        w->sums.q += q;
        w->sums.trades += (uint64_t)trades;
    }
}

kt_code kt_vwap_push(kt_vwap *vwap, int64_t time_ns, kt_price price, kt_qty qty)
{
    kt_i128 product = (kt_i128)price.m * qty.m; /* 63 + 63 bits: fits */
    kt_i128 pq, q;
    cell *place;

    if (price.m <= 0 || qty.m <= 0 || time_ns < 0)
        return KT_ARG;
    if (time_ns < vwap->kept_from_s * KT_NS_PER_S)
        return KT_SEQ;
    if (kt_i128_add(vwap->total.pq, product, &pq) != KT_OK || kt_i128_add(vwap->total.q, qty.m, &q) != KT_OK)
        return KT_RANGE;
    if ((uint64_t)time_ns - (uint64_t)vwap->last_ns < vwap->last_size_ns) {
        place = &vwap->cells[vwap->at + vwap->count - 1];
    } else {
        int64_t number = number_of(time_ns);
        uint64_t position = position_of(vwap, number);

        if (position == vwap->base + vwap->count || cell_at(vwap, position)->number != number) {
            kt_code code = cell_insert(vwap, position, number);

            if (code != KT_OK)
                return code;
        }
        place = cell_at(vwap, position);
    }
    place->pq += product;
    place->q += qty.m;
    place->trades++;
    vwap->total.pq = pq;
    vwap->total.q = q;
    vwap->total.trades++;
    if (place->number <= vwap->high_max)
        windows_add(vwap, place->number, product, qty.m, 1);
    return KT_OK;
}

kt_code kt_vwap_remove(kt_vwap *vwap, int64_t time_ns, kt_price price, kt_qty qty)
{
    kt_i128 product = (kt_i128)price.m * qty.m;
    uint64_t position;
    cell *place;

    if (price.m <= 0 || qty.m <= 0 || time_ns < 0)
        return KT_ARG;
    if (time_ns < vwap->kept_from_s * KT_NS_PER_S)
        return KT_SEQ;
    position = position_of(vwap, number_of(time_ns));
    if (position == vwap->base + vwap->count)
        return KT_NOENT;
    place = cell_at(vwap, position);
    if (place->number != number_of(time_ns) || place->trades == 0 || place->pq < product || place->q < qty.m ||
        (place->trades == 1 && (place->pq != product || place->q != qty.m)))
        return KT_NOENT;
    place->pq -= product;
    place->q -= qty.m;
    place->trades--;
    vwap->total.pq -= product;
    vwap->total.q -= qty.m;
    vwap->total.trades--;
    windows_add(vwap, place->number, -product, -(kt_i128)qty.m, -1);
    return KT_OK;
}

static void sums_add(kt_vwap_sums *sums, const cell *c)
{
    sums->pq += c->pq;
    sums->q += c->q;
    sums->trades += c->trades;
}

static void sums_take(kt_vwap_sums *sums, const cell *c)
{
    kt_assert(sums->trades >= c->trades);
    sums->pq -= c->pq;
    sums->q -= c->q;
    sums->trades -= c->trades;
}

kt_code kt_vwap_at(kt_vwap *vwap, uint32_t window_index, int64_t mark_s, kt_vwap_sums *out_sums)
{
    window *w;
    uint64_t end = vwap->base + vwap->count;

    kt_assert(window_index < vwap->window_count);
    w = &vwap->windows[window_index];
    if (mark_s - w->span_s < vwap->kept_from_s && vwap->kept_from_s > 0)
        return KT_SEQ;
    if (!w->set || mark_s < w->mark_s || mark_s - w->span_s > w->mark_s) {
        w->first = position_of(vwap, 2 * (mark_s - w->span_s));
        w->next = w->first;
        w->sums = no_sums;
        w->set = true;
    }
    w->mark_s = mark_s;
    w->low = 2 * (mark_s - w->span_s);
    w->high = 2 * mark_s;
    for (; w->next < end && cell_at(vwap, w->next)->number <= w->high; w->next++)
        sums_add(&w->sums, cell_at(vwap, w->next));
    for (; w->first < w->next && cell_at(vwap, w->first)->number < w->low; w->first++)
        sums_take(&w->sums, cell_at(vwap, w->first));
    kt_assert(w->sums.trades != 0 || (w->sums.pq == 0 && w->sums.q == 0));
    if (w->high > vwap->high_max)
        vwap->high_max = w->high;
    *out_sums = w->sums;
    return KT_OK;
}

kt_code kt_vwap_next(const kt_vwap *vwap, int64_t span_s, int64_t after_s, int64_t *out_mark_s)
{
    uint64_t end = vwap->base + vwap->count;
    uint64_t position = position_of(vwap, 2 * (after_s + 1 - span_s));

    while (position < end && cell_at(vwap, position)->trades == 0)
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
    for (uint32_t i = 0; i < vwap->window_count; i++)
        if (vwap->windows[i].set && vwap->windows[i].mark_s - vwap->windows[i].span_s < before_s)
            vwap->windows[i].set = false;
    while (vwap->count > 0 && vwap->cells[vwap->at].number < 2 * before_s) {
        sums_take(&vwap->total, &vwap->cells[vwap->at]);
        vwap->at++;
        vwap->base++;
        vwap->count--;
    }
    last_note(vwap);
}

int64_t kt_vwap_kept_from(const kt_vwap *vwap)
{
    return vwap->kept_from_s;
}

static kt_code sums_scale(kt_vwap_sums *sums, int64_t price_factor, int64_t qty_factor)
{
    kt_vwap_sums scaled = *sums;

    if (kt_i128_mul(sums->pq, price_factor, &scaled.pq) != KT_OK ||
        kt_i128_mul(scaled.pq, qty_factor, &scaled.pq) != KT_OK || kt_i128_mul(sums->q, qty_factor, &scaled.q) != KT_OK)
        return KT_RANGE;
    *sums = scaled;
    return KT_OK;
}

kt_code kt_vwap_rescale(kt_vwap *vwap, int64_t price_factor, int64_t qty_factor)
{
    kt_assert(price_factor >= 1);
    kt_assert(qty_factor >= 1);
    /* Every part is at most the total, so when the total fits they all do. */
    if (sums_scale(&vwap->total, price_factor, qty_factor) != KT_OK)
        return KT_RANGE;
    for (uint32_t i = 0; i < vwap->count; i++) {
        cell *c = &vwap->cells[vwap->at + i];

        c->pq *= (kt_i128)price_factor * qty_factor;
        c->q *= qty_factor;
    }
    for (uint32_t i = 0; i < vwap->window_count; i++)
        if (vwap->windows[i].set)
            kt_assert(sums_scale(&vwap->windows[i].sums, price_factor, qty_factor) == KT_OK);
    return KT_OK;
}

bool kt_vwap_fits(const kt_vwap *vwap, int64_t price_factor, int64_t qty_factor)
{
    kt_vwap_sums total = vwap->total;

    return sums_scale(&total, price_factor, qty_factor) == KT_OK;
}

uint32_t kt_vwap_cell_count(const kt_vwap *vwap)
{
    return vwap->count;
}

void kt_vwap_cell_get(const kt_vwap *vwap, uint32_t index, kt_vwap_cell *out_cell)
{
    const cell *c;

    kt_assert(index < vwap->count);
    c = &vwap->cells[vwap->at + index];
    *out_cell = (kt_vwap_cell){ .number = c->number, .sums = { .pq = c->pq, .q = c->q, .trades = c->trades } };
}

kt_code kt_vwap_cell_put(kt_vwap *vwap, const kt_vwap_cell *put)
{
    kt_vwap_sums total = vwap->total;
    kt_code code;

    if (put->number < 0 || put->number > number_of(INT64_MAX) || put->sums.pq < 0 || put->sums.q < 0 ||
        (put->sums.trades == 0) != (put->sums.q == 0) || (put->sums.q == 0) != (put->sums.pq == 0))
        return KT_ARG;
    if (put->number / 2 < vwap->kept_from_s ||
        (vwap->count > 0 && put->number <= vwap->cells[vwap->at + vwap->count - 1].number))
        return KT_SEQ;
    if (kt_i128_add(total.pq, put->sums.pq, &total.pq) != KT_OK || kt_i128_add(total.q, put->sums.q, &total.q) != KT_OK)
        return KT_RANGE;
    code = cell_insert(vwap, vwap->base + vwap->count, put->number);
    if (code != KT_OK)
        return code;
    *cell_at(vwap, vwap->base + vwap->count - 1) =
        (cell){ .number = put->number, .trades = put->sums.trades, .pq = put->sums.pq, .q = put->sums.q };
    total.trades += put->sums.trades;
    vwap->total = total;
    windows_add(vwap, put->number, put->sums.pq, put->sums.q, (int64_t)put->sums.trades);
    return KT_OK;
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
