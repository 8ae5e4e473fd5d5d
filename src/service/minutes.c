#include "service/minutes.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"

/* A minute that begins later than this after it was told of is none. */
#define AHEAD_MAX_NS KT_NS_PER_HOUR

enum { CAPACITY_FIRST = 8, SHOWN_MORE = 2 };

void kt_minutes_init(kt_minutes *minutes)
{
    *minutes = (kt_minutes){ .from_ns = INT64_MAX };
}

void kt_minutes_done(kt_minutes *minutes)
{
    free(minutes->at);
    minutes->at = NULL;
    minutes->count = minutes->capacity = 0;
}

/* Minutes -----------------------------------------------------------------------------------------------------------
 */

static bool room(kt_minutes *minutes, uint32_t count)
{
    uint32_t capacity = minutes->capacity == 0 ? CAPACITY_FIRST : minutes->capacity;
    kt_minute *at;

    if (count <= minutes->capacity)
        return true;
    while (capacity < count)
        capacity *= 2;
    at = capacity <= KT_MINUTES_MAX ? realloc(minutes->at, capacity * sizeof *at) : NULL;
    if (at == NULL)
        return false;
    minutes->at = at;
    minutes->capacity = capacity;
    return true;
}

/* How many minutes begin before this time. */
static uint32_t place_of(const kt_minutes *minutes, int64_t begin_ns)
{
    uint32_t place = minutes->count;

    while (place > 0 && minutes->at[place - 1].own.open_ns >= begin_ns)
        place--;
    return place;
}

/* NULL: it is not there. */
static kt_minute *minute_at(const kt_minutes *minutes, int64_t begin_ns)
{
    uint32_t place = place_of(minutes, begin_ns);

    return place < minutes->count && minutes->at[place].own.open_ns == begin_ns ? &minutes->at[place] : NULL;
}

/* The minute of this time, made when it is not there. NULL: it is given up. */
static kt_minute *minute_of(kt_minutes *minutes, int64_t time_ns)
{
    kt_candle own = kt_candle_of(time_ns, KT_NS_PER_MIN);
    uint32_t place = place_of(minutes, own.open_ns);
    bool forgotten = own.open_ns < minutes->forgot_ns && own.open_ns >= minutes->from_ns;
    kt_minute *minute;

    if (place < minutes->count && minutes->at[place].own.open_ns == own.open_ns)
        return &minutes->at[place];
    if (own.open_ns < minutes->given_up_ns)
        return NULL;
    if (!room(minutes, minutes->count + 1)) {
        minutes->given_up_ns = 1 + (place == 0 ? own.open_ns : minutes->at[0].own.open_ns);
        if (place == 0)
            return NULL;
        memmove(&minutes->at[0], &minutes->at[1], --minutes->count * sizeof *minutes->at);
        place--;
    }
    minute = &minutes->at[place];
    memmove(minute + 1, minute, (minutes->count++ - place) * sizeof *minute);
    *minute = (kt_minute){ .own = own, .revision = forgotten, .complete = !forgotten };
    return minute;
}

static void changed(kt_minutes *minutes, kt_minute *minute)
{
    minute->dirty = true;
    minutes->due |= minute->revision > 0;
}

/* Trades ------------------------------------------------------------------------------------------------------------
 */

/* One trade more (`by` 1) or less: known when the minute is made anew. */
static void make_anew(kt_minutes *minutes, int64_t time_ns, int by)
{
    kt_minute *minute = minute_of(minutes, time_ns);

    if (minute == NULL)
        return;
    if (!minute->anew)
        minute->expected = minute->own.count;
    minute->expected += (uint64_t)by;
    minute->anew = minutes->anew = true;
    changed(minutes, minute);
}

static void add(kt_minutes *minutes, const kt_trade *trade)
{
    kt_minute *minute = minute_of(minutes, trade->time_ns);

    if (minute == NULL)
        return;
    if (minute->anew)
        minute->expected++;
    else if (kt_candle_add(&minute->own, trade->time_ns, (kt_price){ trade->price }, (kt_qty){ trade->qty }) != KT_OK)
        minute->complete = false;
    changed(minutes, minute);
}

void kt_minutes_step(kt_minutes *minutes, const kt_gather *gather, const kt_gather_step *step)
{
    const kt_trade *now;

    if (step->what == KT_GATHER_SAME || step->what == KT_GATHER_REFUSED)
        return;
    now = kt_trades_at(gather->trades, step->position);
    if ((step->was.flags & KT_TRADE_REST) != 0)
        make_anew(minutes, step->was.time_ns, -1);
    else if (now->time_ns / KT_NS_PER_MS >= minutes->until_ns / KT_NS_PER_MS) {
        add(minutes, now);
        return;
    }
    make_anew(minutes, now->time_ns, 1);
}

void kt_minutes_skip(kt_minutes *minutes, int64_t until_ns)
{
    minutes->count = 0;
    minutes->until_ns = until_ns;
    minutes->given_up_ns = until_ns + 1;
}

/* The minute of a trade that REST gave, when it is to be made anew; otherwise NULL. */
static kt_minute *anew_of(const kt_minutes *minutes, const kt_trade *trade)
{
    kt_minute *minute =
        (trade->flags & KT_TRADE_REST) != 0 ? minute_at(minutes, kt_time_floor(trade->time_ns, KT_NS_PER_MIN)) : NULL;

    return minute != NULL && minute->anew ? minute : NULL;
}

/* Make minutes anew of the trades that are remembered. Where these are not all, a minute keeps its values: whether a trade
 * that REST gave again is one more can not be known. */
static void settle(kt_minutes *minutes, const kt_gather *gather)
{
    uint64_t first = kt_trades_first(gather->trades), end = kt_trades_end(gather->trades);

    for (uint32_t i = 0; i < minutes->count; i++)
        minutes->at[i].found = 0;
    for (uint64_t p = first; p < end; p++) {
        kt_minute *minute = anew_of(minutes, kt_trades_at(gather->trades, p));

        if (minute != NULL)
            minute->found++;
    }
    for (uint32_t i = 0; i < minutes->count; i++) {
        kt_minute *minute = &minutes->at[i];

        if (!minute->anew)
            continue;
        minute->complete = minute->complete && minute->found == minute->expected;
        minute->anew = minute->found == minute->expected || minute->own.count == 0;
        if (minute->anew)
            minute->own = kt_candle_of(minute->own.open_ns, KT_NS_PER_MIN);
    }
    for (uint64_t p = first; p < end; p++) {
        const kt_trade *trade = kt_trades_at(gather->trades, p);
        kt_minute *minute = anew_of(minutes, trade);

        if (minute != NULL &&
            kt_candle_add(&minute->own, trade->time_ns, (kt_price){ trade->price }, (kt_qty){ trade->qty }) != KT_OK)
            minute->complete = false;
    }
    for (uint32_t i = 0; i < minutes->count; i++)
        minutes->at[i].anew = false;
    minutes->anew = false;
}

void kt_minutes_hole(kt_minutes *minutes, int64_t from_ns, int64_t to_ns)
{
    for (uint32_t i = 0; i < minutes->count; i++) {
        kt_minute *minute = &minutes->at[i];

        if (!minute->complete || minute->own.open_ns > to_ns || minute->own.open_ns <= from_ns - KT_NS_PER_MIN)
            continue;
        minute->complete = false;
        changed(minutes, minute);
    }
}

static bool candle_rescale(kt_candle *candle, int64_t price_factor, int64_t qty_factor)
{
    int64_t *const prices[] = { &candle->open.m, &candle->high.m, &candle->low.m, &candle->close.m };
    bool fits = kt_i128_mul(candle->volume, qty_factor, &candle->volume) == KT_OK &&
                kt_i128_mul(candle->turnover, (kt_i128)price_factor * qty_factor, &candle->turnover) == KT_OK;

    for (size_t i = 0; i < KT_COUNT(prices); i++)
        fits = fits && !__builtin_mul_overflow(*prices[i], price_factor, prices[i]);
    return fits;
}

bool kt_minutes_fit(const kt_minutes *minutes, int64_t price_factor, int64_t qty_factor)
{
    bool fit = true;

    for (uint32_t i = 0; i < minutes->count; i++) {
        kt_candle tried = minutes->at[i].own;

        fit = fit && candle_rescale(&tried, price_factor, qty_factor);
    }
    return fit;
}

void kt_minutes_rescale(kt_minutes *minutes, int64_t price_factor, int64_t qty_factor)
{
    for (uint32_t i = 0; i < minutes->count; i++)
        kt_assert(candle_rescale(&minutes->at[i].own, price_factor, qty_factor));
}

/* The venue ---------------------------------------------------------------------------------------------------------
 */

void kt_minutes_word(kt_minutes *minutes, const kt_ev_candle *candle, uint64_t breaks)
{
    const kt_minute_word word = { candle->open, candle->high, candle->low, candle->close, candle->vwap, candle->volume,
        candle->trades };
    int64_t before_ns = minutes->word_ns;
    kt_minute *last = minute_at(minutes, before_ns), *minute;

    if (candle->interval_s != KT_NS_PER_MIN / KT_NS_PER_S || candle->begin % KT_NS_PER_MIN != 0 ||
        candle->trades == 0 || candle->begin - AHEAD_MAX_NS > candle->receive_time)
        return;
    if (last != NULL && minutes->breaks != breaks)
        last->word = (kt_minute_word){ 0 }; /* more may have been said of it */
    else if (last != NULL && candle->begin > before_ns)
        changed(minutes, last); /* and that was the last word */
    minutes->breaks = breaks;
    minutes->word_ns = candle->begin > before_ns ? candle->begin : before_ns;
    minute = minute_of(minutes, candle->begin);
    if (minute == NULL || word.trades < minute->word.trades || memcmp(&word, &minute->word, sizeof word) == 0)
        return;
    minute->word = word;
    if (candle->begin < minutes->word_ns)
        changed(minutes, minute);
}

static bool average_is(const kt_candle *own, uint8_t price_scale, uint8_t digits, kt_decimal said)
{
    uint8_t scale = said.scale > digits ? said.scale : digits;
    int64_t m;

    if (kt_decimal_rescale(said, scale, &m) != KT_OK)
        return false;
    for (kt_candle_rounding how = KT_CANDLE_CUT; how <= KT_CANDLE_HALF_EVEN; how++) {
        kt_price vwap;

        if (kt_candle_vwap(own, price_scale, scale, how, &vwap) == KT_OK && vwap.m == m)
            return true;
    }
    return false;
}

static kt_decimal price_at(kt_price price, const kt_gather *gather)
{
    return kt_decimal_canon((kt_decimal){ .m = price.m, .scale = gather->price_scale });
}

/* What the venue has told, which is nothing before its last word. */
static kt_agreement told_of(const kt_minutes *minutes, const kt_minute *minute, const kt_gather *gather, uint8_t digits)
{
    const kt_minute_word *word = &minute->word;
    const kt_candle *own = &minute->own;
    kt_sum rest;

    if (word->trades == 0 || own->open_ns >= minutes->word_ns)
        return KT_AGREEMENT_NONE;
    return own->count == word->trades && kt_decimal_compare(price_at(own->open, gather), word->open) == 0 &&
                   kt_decimal_compare(price_at(own->high, gather), word->high) == 0 &&
                   kt_decimal_compare(price_at(own->low, gather), word->low) == 0 &&
                   kt_decimal_compare(price_at(own->close, gather), word->close) == 0 &&
                   kt_sum_add(kt_sum_of(own->volume, gather->quantity_scale),
                       kt_sum_of(-word->volume.m, word->volume.scale), &rest) == KT_OK &&
                   kt_sum_value(rest) == 0 && average_is(own, gather->price_scale, digits, word->vwap)
               ? KT_AGREEMENT_EQUAL
               : KT_AGREEMENT_DIFFERENT;
}

/* Telling -----------------------------------------------------------------------------------------------------------
 */

static void emit(const kt_minutes *minutes, const kt_minute *minute, const kt_gather *gather, uint8_t digits,
    kt_env *env, const char *subject)
{
    const kt_candle *own = &minute->own;
    uint8_t shown = digits < KT_SCALE_MAX - SHOWN_MORE ? digits + SHOWN_MORE : KT_SCALE_MAX;
    kt_ev_minute ev;

    kt_event_init(KT_EV_MINUTE, &ev);
    ev.begin = own->open_ns;
    ev.revision = minute->revision;
    ev.open = price_at(own->open, gather);
    ev.high = price_at(own->high, gather);
    ev.low = price_at(own->low, gather);
    ev.close = price_at(own->close, gather);
    ev.volume = kt_sum_of(own->volume, gather->quantity_scale);
    if (own->count > 0)
        kt_sum_ratio(
            kt_sum_of(own->turnover, gather->price_scale + gather->quantity_scale), ev.volume, shown, &ev.vwap);
    ev.trades = own->count;
    ev.complete = minute->complete;
    ev.told = minute->told;
    if (minute->told != KT_AGREEMENT_NONE) {
        ev.told_open = minute->word.open;
        ev.told_high = minute->word.high;
        ev.told_low = minute->word.low;
        ev.told_close = minute->word.close;
        ev.told_vwap = minute->word.vwap;
        ev.told_volume = minute->word.volume;
        ev.told_trades = minute->word.trades;
    }
    ev.compared = minutes->compared;
    ev.different = minutes->different;
    kt_env_emit(env, KT_EV_MINUTE, kt_text_of(subject), &ev);
}

/* A minute that is over and has changed: how it stands now. false: there is nothing to tell of it. */
static bool judge(kt_minutes *minutes, kt_minute *minute, const kt_gather *gather, uint8_t digits)
{
    kt_agreement told = told_of(minutes, minute, gather, digits);

    minute->dirty = false;
    if (minute->own.count == 0 && told == KT_AGREEMENT_NONE && minute->revision == 0)
        return false;
    minutes->compared += (uint64_t)(told != KT_AGREEMENT_NONE) - (minute->told != KT_AGREEMENT_NONE);
    minutes->different += (uint64_t)(told == KT_AGREEMENT_DIFFERENT) - (minute->told == KT_AGREEMENT_DIFFERENT);
    minute->told = (uint8_t)told;
    minute->revision++;
    return true;
}

void kt_minutes_tell(kt_minutes *minutes, const kt_gather *gather, uint8_t digits, int64_t until_ns, int64_t from_ns,
    kt_env *env, const char *subject)
{
    uint32_t kept = 0;

    if (minutes->anew)
        settle(minutes, gather);
    minutes->until_ns = until_ns;
    minutes->from_ns = from_ns < minutes->from_ns ? from_ns : minutes->from_ns;
    minutes->due = false;
    for (uint32_t i = 0; i < minutes->count; i++) {
        kt_minute *minute = &minutes->at[i];
        int64_t begin_ns = minute->own.open_ns;
        bool over = begin_ns >= minutes->from_ns && begin_ns <= until_ns - KT_NS_PER_MIN;

        if (over && minute->dirty && judge(minutes, minute, gather, digits))
            emit(minutes, minute, gather, digits, env, subject);
        if (over && begin_ns < until_ns - KT_MINUTES_KEEP_NS)
            minutes->forgot_ns = begin_ns + 1 > minutes->forgot_ns ? begin_ns + 1 : minutes->forgot_ns;
        else
            minutes->at[kept++] = *minute;
    }
    minutes->count = kept;
}

/* Snapshots ---------------------------------------------------------------------------------------------------------
 */

/* The members that are plain numbers, one list for both ways. */
#define NUMBERS(X) \
    X(until_ns)    \
    X(from_ns)     \
    X(forgot_ns)   \
    X(given_up_ns) \
    X(word_ns)     \
    X(breaks)      \
    X(compared)    \
    X(different)

#define OWN_NUMBERS(X) \
    X(open_ns)         \
    X(first_ns)        \
    X(last_ns)         \
    X(open.m)          \
    X(high.m)          \
    X(low.m)           \
    X(close.m)         \
    X(count)

#define WORD_DECIMALS(X) \
    X(open)              \
    X(high)              \
    X(low)               \
    X(close)             \
    X(vwap)              \
    X(volume)

enum { MINUTE_SIZE = 8 * 8 + 2 * 16 + 6 * 9 + 8 + 4 + 3 };

void kt_minutes_save(const kt_minutes *minutes, kt_writer *writer)
{
#define SAVE(name) kt_writer_u64(writer, (uint64_t)minutes->name);
    NUMBERS(SAVE)
#undef SAVE
    kt_writer_u8(writer, minutes->due);
    kt_writer_u32(writer, minutes->count);
    for (uint32_t i = 0; i < minutes->count; i++) {
        const kt_minute *minute = &minutes->at[i];

#define SAVE(name) kt_writer_u64(writer, (uint64_t)minute->own.name);
        OWN_NUMBERS(SAVE)
#undef SAVE
        kt_writer_i128(writer, minute->own.volume);
        kt_writer_i128(writer, minute->own.turnover);
#define SAVE(name) kt_writer_decimal(writer, minute->word.name);
        WORD_DECIMALS(SAVE)
#undef SAVE
        kt_writer_u64(writer, minute->word.trades);
        kt_writer_u32(writer, minute->revision);
        kt_writer_u8(writer, minute->told);
        kt_writer_u8(writer, minute->complete);
        kt_writer_u8(writer, minute->dirty);
    }
}

static bool is_candle(const kt_candle *own)
{
    return own->open_ns >= 0 && own->open_ns % KT_NS_PER_MIN == 0 && own->turnover >= 0 &&
           (own->count == 0
                   ? own->volume == 0 && own->turnover == 0
                   : own->volume > 0 && own->low.m > 0 && own->low.m <= own->open.m && own->low.m <= own->close.m &&
                         own->high.m >= own->open.m && own->high.m >= own->close.m);
}

static bool is_word(const kt_minute_word *word)
{
    bool good = true;

#define CHECK(name) good = good && kt_decimal_valid(word->name) && word->name.m >= 0;
    WORD_DECIMALS(CHECK)
#undef CHECK
    return good;
}

kt_code kt_minutes_load(kt_minutes *minutes, kt_taker *taker)
{
    uint32_t count;

#define LOAD(name) minutes->name = (__typeof__(minutes->name))kt_taker_u64(taker);
    NUMBERS(LOAD)
#undef LOAD
    minutes->due = kt_taker_u8(taker) != 0;
    count = kt_taker_count(taker, MINUTE_SIZE);
    if (count > KT_MINUTES_MAX)
        return KT_CORRUPT;
    if (count > 0 && !room(minutes, count))
        return KT_SYS;
    for (uint32_t i = 0; i < count; i++) {
        kt_minute *minute = &minutes->at[i];

        *minute = (kt_minute){ .own.interval_ns = KT_NS_PER_MIN };
#define LOAD(name) minute->own.name = (__typeof__(minute->own.name))kt_taker_u64(taker);
        OWN_NUMBERS(LOAD)
#undef LOAD
        minute->own.volume = kt_taker_i128(taker);
        minute->own.turnover = kt_taker_i128(taker);
#define LOAD(name) minute->word.name = kt_taker_decimal(taker);
        WORD_DECIMALS(LOAD)
#undef LOAD
        minute->word.trades = kt_taker_u64(taker);
        minute->revision = kt_taker_u32(taker);
        minute->told = kt_taker_u8(taker);
        minute->complete = kt_taker_u8(taker) != 0;
        minute->dirty = kt_taker_u8(taker) != 0;
        if (!is_candle(&minute->own) || !is_word(&minute->word) || minute->told > KT_AGREEMENT_DIFFERENT ||
            (i > 0 && minute->own.open_ns <= minute[-1].own.open_ns))
            return KT_CORRUPT;
        minutes->count++;
    }
    return taker->code;
}
