/* Random streams of every kind of command: the fast book against the slow one, event by event, and all that can be asked after
 * every command; saved, loaded and continued on the way. KONTOR_CASES_PERCENT of 10,000 streams. */
#include "base/test.h"

#include <stdlib.h>

#include "base/test_util.h"
#include "book/match_slow.h"

enum { STREAMS = 10000, COMMANDS = 250, EVENT_MAX = 1 << 14, LEVEL_MAX = 128, KNOWN_MAX = 64 };

/* What a stream is like. */
typedef struct profile {
    kt_match_bounds bounds;
    uint32_t middle, spread; /* of prices */
    uint32_t special;        /* of a hundred orders, how many are more than plain */
    uint32_t wild;           /* of a hundred fields, how many are anything */
} profile;

typedef struct stream {
    profile p;
    kt_rng rng;
    kt_match *fast;
    kt_slow *slow;
    uint64_t known[KNOWN_MAX]; /* ids that were given out, the newest over the oldest */
    uint32_t known_count;
    int64_t time;
    uint64_t number;
} stream;

static uint32_t below(stream *s, uint32_t bound)
{
    return (uint32_t)kt_rng_below(&s->rng, bound);
}

static bool percent(stream *s, uint32_t share)
{
    return below(s, 100) < share;
}

static uint32_t price(stream *s)
{
    uint32_t least = s->p.middle > s->p.spread ? s->p.middle - s->p.spread : 1;

    if (percent(s, s->p.wild))
        return below(s, 4) == 0 ? below(s, 3) : s->p.bounds.price_max - 1 + below(s, 3);
    return least + below(s, 2 * s->p.spread);
}

static uint64_t known_id(stream *s)
{
    if (s->known_count == 0 || percent(s, s->p.wild))
        return kt_rng_u64(&s->rng) >> below(s, 64);
    for (uint32_t i = 0;; i++) {
        uint64_t id = s->known[below(s, s->known_count < KNOWN_MAX ? s->known_count : KNOWN_MAX)];
        kt_match_order_info info;

        if (i == 4 || kt_match_order(s->fast, id, &info)) /* some are gone */
            return id;
    }
}

static uint64_t new_id(stream *s)
{
    if (percent(s, s->p.wild))
        return known_id(s);
    return s->p.bounds.ids == KT_MATCH_DIRECT ? 1 + below(s, (uint32_t)s->p.bounds.id_max)
                                              : 1 + kt_rng_u64(&s->rng) % 1000000;
}

static kt_match_command new_order(stream *s)
{
    kt_match_command c = { .op = KT_MATCH_NEW,
        .id = new_id(s),
        .symbol = (uint16_t)below(s, s->p.bounds.symbol_max),
        .side = (uint8_t)below(s, 2),
        .price = price(s),
        .qty = 1 + below(s, 20),
        .owner = below(s, 4),
        .stp = (uint8_t)below(s, KT_MATCH_STP_COUNT) };

    if (!percent(s, s->p.special))
        return c;
    c.side = percent(s, 1) ? 2 : c.side;
    c.type = (uint8_t)below(s, KT_MATCH_TYPE_COUNT);
    c.tif = (uint8_t)below(s, KT_MATCH_TIF_COUNT);
    c.post_only = c.type == KT_MATCH_LIMIT && percent(s, 10);
    if (c.type == KT_MATCH_MARKET || c.type == KT_MATCH_STOP || c.type == KT_MATCH_TRAIL)
        c.price = percent(s, 60) ? 0 : c.price;
    if (c.type == KT_MATCH_STOP || c.type == KT_MATCH_STOP_LIMIT)
        c.stop = price(s);
    if (c.type == KT_MATCH_TRAIL)
        c.trail = 1 + below(s, s->p.spread);
    if (c.type == KT_MATCH_LIMIT && percent(s, 40))
        c.display = 1 + below(s, 5);
    if (c.tif == KT_MATCH_GTD)
        c.time = s->time + 1 + below(s, 20);
    if (percent(s, 25)) {
        kt_match_order_info peer;

        c.peer = known_id(s);
        if (kt_match_order(s->fast, c.peer, &peer)) {
            c.owner = peer.owner;
            c.side = peer.side;
            c.symbol = peer.symbol;
        }
    }
    return c;
}

static kt_match_command next_command(stream *s)
{
    kt_match_command c = { .id = known_id(s), .owner = percent(s, 10) ? below(s, 4) : 0 };
    uint32_t what = below(s, 1000);

    if (what < 550)
        return new_order(s);
    if (what < 750) {
        c.op = KT_MATCH_CANCEL;
    } else if (what < 930) {
        c.op = percent(s, 60) ? KT_MATCH_AMEND : KT_MATCH_REPLACE;
        c.qty = percent(s, 70) ? 1 + below(s, 20) : 0;
        c.price = percent(s, 50) ? price(s) : 0;
        c.stop = percent(s, 10) ? price(s) : 0;
        c.stp = (uint8_t)below(s, KT_MATCH_STP_COUNT);
        c.post_only = percent(s, 10);
    } else if (what < 935) {
        c.op = KT_MATCH_CANCEL_OWNER;
        c.owner = below(s, 4);
        c.symbol = percent(s, 50) ? KT_MATCH_ANY : (uint16_t)below(s, s->p.bounds.symbol_max + 1);
    } else if (what < 937) {
        c.op = KT_MATCH_CANCEL_ALL;
        c.symbol = percent(s, 50) ? KT_MATCH_ANY : (uint16_t)below(s, s->p.bounds.symbol_max + 1);
    } else if (what < 967) {
        c.op = KT_MATCH_TIME;
        s->time += percent(s, 5) ? -1 : (int64_t)below(s, 5);
        c.time = s->time;
    } else if (what < 995) {
        c.op = KT_MATCH_STATE;
        c.symbol = (uint16_t)below(s, s->p.bounds.symbol_max);
        c.state = percent(s, 75) ? KT_MATCH_OPEN : (uint8_t)below(s, KT_MATCH_STATE_COUNT + 1);
    } else { /* anything at all */
        kt_rng_fill(&s->rng, &c, sizeof c);
        c.op = (uint8_t)below(s, KT_MATCH_OP_COUNT + 1);
        c.time = c.op == KT_MATCH_TIME ? s->time : c.time;
    }
    return c;
}

static void profile_of(stream *s)
{
    static const uint32_t price_maxes[] = { 30, 200, 5000, 1 << 18, KT_MATCH_PRICE_CEILING };
    profile *p = &s->p;
    uint32_t price_max = price_maxes[below(s, 100) == 0 ? 4 : below(s, 4)];

    *p = (profile){ .special = below(s, 3) * 40, .wild = below(s, 2) * 4 };
    p->bounds = (kt_match_bounds){ .symbol_max = price_max == KT_MATCH_PRICE_CEILING ? 1 : 1 + below(s, 3),
        .order_max = below(s, 3) == 0 ? 1 + below(s, 12) : 100,
        .price_max = price_max,
        .qty_max = below(s, 2) == 0 ? 18 : 1000000,
        .ids = (kt_match_ids)below(s, KT_MATCH_IDS_COUNT),
        .seed = kt_rng_u64(&s->rng) };
    p->bounds.id_max = p->bounds.ids == KT_MATCH_DIRECT ? 500 : 0;
    p->middle = 1 + below(s, price_max);
    p->spread = 2 + below(s, below(s, 3) == 0 ? price_max / 2 : 12);
}

/* ---- what was met ---- */

static uint64_t kinds[KT_MATCH_KIND_COUNT], whys[KT_MATCH_WHY_COUNT],
    deepest; /* deepest: stops triggered by one command */

static void count_events(const kt_match_event *first, const kt_match_event *end)
{
    uint64_t triggered = 0;

    for (const kt_match_event *event = first; event < end; event = kt_match_next(event)) {
        kinds[event->kind]++;
        whys[event->why]++;
        triggered += event->kind == KT_MATCH_TRIGGERED;
    }
    deepest = triggered > deepest ? triggered : deepest;
}

/* ---- comparing ---- */

static void compare_events(stream *s, uint32_t step, const kt_match_event *fast, size_t fast_count,
    const kt_match_event *slow, size_t slow_count)
{
    for (size_t i = 0; i < fast_count && i < slow_count; i++)
        if (memcmp(&fast[i], &slow[i], sizeof *fast) != 0)
            fail_msg(
                "stream %llu, command %u, event %zu: fast kind %u side %u why %s price %u id %llx qty %lld other %llx, slow kind %u "
                "side %u why %s price %u id %llx qty %lld other %llx",
                (unsigned long long)s->number, step, i, fast[i].kind, fast[i].side, kt_match_why_name(fast[i].why),
                fast[i].price, (unsigned long long)fast[i].id, (long long)fast[i].qty,
                (unsigned long long)fast[i].other, slow[i].kind, slow[i].side, kt_match_why_name(slow[i].why),
                slow[i].price, (unsigned long long)slow[i].id, (long long)slow[i].qty,
                (unsigned long long)slow[i].other);
    if (fast_count != slow_count)
        fail_msg("stream %llu, command %u: %zu events from the fast book, %zu from the slow one",
            (unsigned long long)s->number, step, fast_count, slow_count);
}

static void compare_answers(stream *s, uint32_t step)
{
    kt_match_level_info fast[LEVEL_MAX], slow[LEVEL_MAX];
    kt_match_order_info mine, theirs;
    uint32_t live = 0;

    for (uint16_t symbol = 0; symbol < s->p.bounds.symbol_max; symbol++) {
        for (kt_match_side side = KT_MATCH_BUY; side <= KT_MATCH_SELL; side++) {
            size_t count = kt_slow_depth(s->slow, symbol, side, slow, LEVEL_MAX);

            if (kt_match_depth(s->fast, symbol, side, fast, LEVEL_MAX) != count ||
                memcmp(fast, slow, count * sizeof *fast) != 0)
                fail_msg("stream %llu, command %u: depth of symbol %u side %u differs", (unsigned long long)s->number,
                    step, symbol, side);
            if (kt_match_best(s->fast, symbol, side) != (count > 0 ? slow[0].price : 0))
                fail_msg("stream %llu, command %u: best of symbol %u side %u differs", (unsigned long long)s->number,
                    step, symbol, side);
        }
        if (kt_match_last(s->fast, symbol) != kt_slow_last(s->slow, symbol))
            fail_msg("stream %llu, command %u: last of symbol %u differs", (unsigned long long)s->number, step, symbol);
    }
    for (uint32_t slot = 1; slot <= kt_slow_slots(s->slow); slot++) {
        if (!kt_slow_order(s->slow, slot, &theirs))
            continue;
        live++;
        if (!kt_match_order(s->fast, theirs.id, &mine) || memcmp(&mine, &theirs, sizeof mine) != 0)
            fail_msg("stream %llu, command %u: order %llx differs", (unsigned long long)s->number, step,
                (unsigned long long)theirs.id);
    }
    if (kt_match_live(s->fast) != live)
        fail_msg("stream %llu, command %u: %u orders alive, not %u", (unsigned long long)s->number, step,
            kt_match_live(s->fast), live);
}

static void audit(stream *s, uint32_t step)
{
    const char *broken = s->p.bounds.price_max <= 5000 ? kt_match_audit(s->fast) : NULL; /* it walks all prices */

    if (broken != NULL)
        fail_msg("stream %llu, command %u: %s", (unsigned long long)s->number, step, broken);
}

/* Another engine goes on from the bytes of this one. */
static void move_house(stream *s, uint32_t step)
{
    kt_match_bounds bounds = s->p.bounds;
    size_t size = kt_match_save_size(s->fast);
    char *bytes = malloc(size);
    uint64_t hash = kt_match_hash(s->fast);

    assert_int_equal(kt_match_save(s->fast, bytes, size - 1), 0);
    assert_int_equal(kt_match_save(s->fast, bytes, size), size);
    if (percent(s, 50)) {
        bounds.seed = kt_rng_u64(&s->rng); /* of the hash of ids: no event may depend on it */
        kt_match_free(s->fast);
        s->fast = kt_match_new(&bounds);
    }
    if (!kt_match_load(s->fast, bytes, size))
        fail_msg("stream %llu, command %u: its own bytes are refused", (unsigned long long)s->number, step);
    if (kt_match_hash(s->fast) != hash)
        fail_msg("stream %llu, command %u: another hash after a load", (unsigned long long)s->number, step);
    free(bytes);
}

static void play(uint64_t number, kt_match_event *events)
{
    stream s = { .number = number };

    kt_rng_init(&s.rng, kt_test_seed() * 1000003 + number);
    profile_of(&s);
    s.fast = kt_match_new(&s.p.bounds);
    s.slow = kt_slow_new(&s.p.bounds);
    assert_non_null(s.fast);
    for (uint32_t step = 0; step < COMMANDS; step++) {
        kt_match_command command = next_command(&s);
        kt_match_out out = { .next = events, .end = events + EVENT_MAX };
        const kt_match_event *slow_events;
        size_t slow_count = kt_slow_submit(s.slow, &command, &slow_events);

        kt_match_submit(s.fast, &command, 1, &out);
        compare_events(&s, step, events, (size_t)(out.next - events), slow_events, slow_count);
        for (const kt_match_event *event = events; event < out.next; event = kt_match_next(event))
            if (event->kind == KT_MATCH_ACCEPTED)
                s.known[s.known_count++ % KNOWN_MAX] = event->id;
        count_events(events, out.next);
        compare_answers(&s, step);
        audit(&s, step);
        if (percent(&s, 2) && s.p.bounds.price_max <= 5000)
            move_house(&s, step);
    }
    kt_match_free(s.fast);
    kt_slow_free(s.slow);
}

static void fast_and_slow_agree(void **state)
{
    uint32_t count = kt_test_cases(STREAMS);
    kt_match_event *events = malloc(EVENT_MAX * sizeof *events);

    for (uint64_t number = 0; number < count; number++)
        play(number, events);
    free(events);
    print_message("# %u streams of %u commands, up to %u stops triggered by one\n", count, COMMANDS, (uint32_t)deepest);
    for (uint32_t kind = 1; kind < KT_MATCH_KIND_COUNT && count >= STREAMS / 10; kind++)
        if (kinds[kind] == 0)
            fail_msg("no event of kind %u", kind);
    for (uint32_t why = 1; why < KT_MATCH_WHY_COUNT && count >= STREAMS / 10; why++)
        if (whys[why] == 0)
            fail_msg("nothing was ever refused or cancelled because of %s", kt_match_why_name(why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_and_slow_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
