/* Recorded order logs. LOBSTER's AAPL: each message, played as a command, must change the ten levels row by row as recorded, and
 * executions must meet the order that the venue names. Bitstamp's log: created, changed and deleted orders, against the
 * books that the venue published beside it; figures: README.md of the recordings. */
#include <zlib.h>

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "base/test_util.h"
#include "base/text.h"
#include "book/match_tape.h"

#define MESSAGES "lobster/AAPL_2012-06-21_message_10.csv"
#define BOOKS "lobster/AAPL_2012-06-21_orderbook_10.csv"
#define BITSTAMP "bitstamp/obanalytics_20150501_l3.log.gz"

enum { EVENT_MAX = 4096, KNOWN_MAX = 65536, DEPTH = 10, NUMBERS_MAX = 4 * DEPTH };

typedef struct venue {
    kt_match *match;
    kt_match_event events[EVENT_MAX];
    uint64_t next_nameless;
    uint64_t known[KNOWN_MAX]; /* ids that were accepted; some are gone */
    uint32_t known_count;
    uint64_t first_maker; /* of the last command; 0: nothing traded */
    bool refused;
} venue;

#define NAMELESS (UINT64_C(1) << 40) /* ids of what was there before the recording begins */

static void submit(venue *v, kt_match_command c)
{
    kt_match_out out = { .next = v->events, .end = v->events + EVENT_MAX };

    v->first_maker = 0;
    v->refused = false;
    kt_match_submit(v->match, &c, 1, &out);
    for (const kt_match_event *event = v->events; event < out.next; event = kt_match_next(event)) {
        v->refused |= event->kind == KT_MATCH_REJECTED;
        if (event->kind == KT_MATCH_ACCEPTED && v->known_count < KNOWN_MAX)
            v->known[v->known_count++] = event->id;
        if (event->kind == KT_MATCH_TRADE && v->first_maker == 0)
            v->first_maker = event->id;
    }
}

static kt_match *open_book(uint32_t price_max, int64_t qty_max)
{
    kt_match_bounds bounds = {
        .symbol_max = 1, .order_max = 100000, .price_max = price_max, .qty_max = qty_max, .ids = KT_MATCH_HASH
    };
    kt_match *match = kt_match_new(&bounds);

    assert_non_null(match);
    return match;
}

static bool is_live(const venue *v, uint64_t id)
{
    kt_match_order_info info;

    return kt_match_order(v->match, id, &info);
}

/* ---- LOBSTER ---- */

/* The integers of a line; a fraction is left out. Returns the line behind. */
static const char *numbers_of(const char *line, int64_t *out_numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char *end;

        out_numbers[i] = strtoll(line, &end, 10);
        line = end + strcspn(end, ",\n");
        line += *line != '\0';
    }
    return line;
}

/* Column of a side's level in a row: ask price, ask size, bid price, bid size, then the next level. */
static int64_t row_price(const int64_t *row, kt_match_side side, uint32_t rank)
{
    return row[rank * 4 + (side == KT_MATCH_BUY ? 2 : 0)];
}

static int64_t row_qty(const int64_t *row, kt_match_side side, uint32_t rank)
{
    return row[rank * 4 + (side == KT_MATCH_BUY ? 3 : 1)];
}

static uint64_t nameless_at(venue *v, kt_match_side side, uint32_t price)
{
    for (uint64_t id = NAMELESS; id < v->next_nameless; id++) {
        kt_match_order_info info;

        if (kt_match_order(v->match, id, &info) && info.side == side && info.price == price)
            return id;
    }
    return 0;
}

/* Levels worse than the ten recorded before are news: only now they come into view. */
static void learn(venue *v, kt_match_side side, const int64_t *row, int64_t horizon)
{
    for (uint32_t rank = 0; rank < DEPTH; rank++) {
        int64_t price = row_price(row, side, rank);

        if (side == KT_MATCH_BUY ? price < horizon : price > horizon)
            submit(v, (kt_match_command){ .id = v->next_nameless++,
                          .side = (uint8_t)side,
                          .price = (uint32_t)price,
                          .qty = row_qty(row, side, rank) });
    }
}

/* Those beyond the ten of now are lost from view, and what happens there is not told. */
static void forget(venue *v, kt_match_side side, const int64_t *row)
{
    int64_t worst = row_price(row, side, DEPTH - 1);
    kt_match_order_info info;

    for (uint32_t i = 0; i < v->known_count; i++)
        if (!kt_match_order(v->match, v->known[i], &info))
            v->known[i--] = v->known[--v->known_count];
        else if (info.side == side && (side == KT_MATCH_BUY ? info.price < worst : info.price > worst))
            submit(v, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = v->known[i] });
}

static void play_message(venue *v, const int64_t *m)
{
    kt_match_side side = m[5] > 0 ? KT_MATCH_BUY : KT_MATCH_SELL;
    uint64_t id = (uint64_t)m[2], nameless;
    uint32_t price = (uint32_t)m[4];
    kt_match_order_info info;

    switch (m[1]) {
    case 1:
        submit(v, (kt_match_command){ .id = id, .side = (uint8_t)side, .price = price, .qty = m[3] });
        break;
    case 2:
    case 3:
        nameless = is_live(v, id) ? id : nameless_at(v, side, price);
        assert_true(kt_match_order(v->match, nameless, &info));
        if (info.left > m[3])
            submit(v, (kt_match_command){ .op = KT_MATCH_AMEND, .id = nameless, .qty = info.left - m[3] });
        else
            submit(v, (kt_match_command){ .op = KT_MATCH_CANCEL, .id = nameless });
        break;
    case 4:
        nameless = is_live(v, id) ? id : nameless_at(v, side, price);
        submit(v, (kt_match_command){ .id = 1, .side = side ^ 1, .price = price, .qty = m[3], .tif = KT_MATCH_FOK });
        assert_int_equal(v->first_maker, nameless);
        break;
    default: /* 5: against a hidden order; the book stays */
        break;
    }
    assert_false(v->refused);
}

static void lobster_row_by_row(void **state)
{
    venue *v = calloc(1, sizeof *v);
    char *messages = kt_test_read_file(kt_test_recordings(MESSAGES), NULL),
         *books = kt_test_read_file(kt_test_recordings(BOOKS), NULL);
    const char *message_at = messages, *book_at = books;
    int64_t before[NUMBERS_MAX] = { 0 }, row[NUMBERS_MAX], message[6];
    uint32_t rows = 0;

    v->match = open_book(10000000, 1000000);
    v->next_nameless = NAMELESS;
    for (; *message_at != '\0'; rows++) {
        message_at = numbers_of(message_at, message, 6);
        book_at = numbers_of(book_at, row, NUMBERS_MAX);
        if (rows > 0)
            play_message(v, message);
        for (kt_match_side side = KT_MATCH_BUY; side <= KT_MATCH_SELL; side++) {
            int64_t horizon = rows > 0 ? row_price(before, side, DEPTH - 1) : side == KT_MATCH_BUY ? INT64_MAX : 0;
            kt_match_level_info levels[DEPTH];
            size_t count;

            learn(v, side, row, horizon);
            forget(v, side, row);
            count = kt_match_depth(v->match, 0, side, levels, DEPTH);
            assert_int_equal(count, DEPTH);
            for (uint32_t rank = 0; rank < DEPTH; rank++)
                if (levels[rank].price != row_price(row, side, rank) || levels[rank].qty != row_qty(row, side, rank))
                    fail_msg("row %u, side %u, level %u: %lld@%u, recorded %lld@%lld", rows + 1, side, rank + 1,
                        (long long)levels[rank].qty, levels[rank].price, (long long)row_qty(row, side, rank),
                        (long long)row_price(row, side, rank));
        }
        memcpy(before, row, sizeof row);
    }
    print_message("# LOBSTER: %u changes from row to row of %u levels a side as recorded\n", rows - 1, DEPTH);
    assert_int_equal(rows - 1, 998);
    kt_match_free(v->match);
    free(messages);
    free(books);
    free(v);
}

/* ---- Bitstamp ---- */

enum {
    BITSTAMP_PRICE_SCALE = 2,
    BITSTAMP_QTY_SCALE = 8,
    BITSTAMP_DEPTH = 20,
    SNAPSHOTS = 5011,
    SNAPSHOTS_COMPARED = 3511
};

/* By README.md: 95.2 % of levels, 46 % of both tops; its own figures are rounded. */
enum { LEVELS_EQUAL_PER_10000 = 9515, TOPS_EQUAL_PERCENT = 46 };

/* The number of a quoted field at this scale; *at moves behind it. */
static int64_t quoted(const char **at, uint32_t scale)
{
    const char *start = strchr(*at, '"') + 1, *end = strchr(start, '"');
    kt_decimal decimal;
    int64_t m = 0;

    assert_int_equal(kt_decimal_parse((kt_text){ start, (size_t)(end - start) }, &decimal), KT_OK);
    assert_int_equal(kt_decimal_rescale(decimal, scale, &m), KT_OK);
    *at = end + 1;
    return m;
}

static const char *behind(const char *line, const char *name)
{
    const char *at = strstr(line, name);

    assert_non_null(at);
    return at + strlen(name);
}

static void play_line(venue *v, const char *line)
{
    const char *price_at = behind(line, "\"price\":"), *qty_at = behind(line, "\"amount\":");
    int64_t price = quoted(&price_at, BITSTAMP_PRICE_SCALE), qty = quoted(&qty_at, BITSTAMP_QTY_SCALE);
    kt_match_command c = { .id = strtoull(behind(line, "\"id\":"), NULL, 10),
        .side = (uint8_t)strtoul(behind(line, "\"order_type\":"), NULL, 10) };

    if (strstr(line, " order_deleted ") != NULL) {
        c.op = KT_MATCH_CANCEL;
    } else if (price < 1 || price > KT_MATCH_PRICE_CEILING || qty == 0) {
        return;
    } else {
        c.op = is_live(v, c.id) ? KT_MATCH_AMEND : KT_MATCH_NEW;
        c.price = (uint32_t)price;
        c.qty = qty;
    }
    submit(v, c);
}

typedef struct agreement {
    uint32_t snapshots, levels, levels_equal, tops_equal;
} agreement;

static void compare_snapshot(const venue *v, const char *line, agreement *a)
{
    static const char *const names[] = { "\"bids\":", "\"asks\":" };
    uint32_t tops = 0;

    for (kt_match_side side = KT_MATCH_BUY; side <= KT_MATCH_SELL; side++) {
        kt_match_level_info levels[BITSTAMP_DEPTH * 4];
        size_t count = kt_match_depth(v->match, 0, side, levels, KT_COUNT(levels));
        const char *at = behind(line, names[side]) + 2; /* "[[" */

        for (uint32_t rank = 0; rank < BITSTAMP_DEPTH && *at != ']'; rank++) {
            int64_t price = quoted(&at, BITSTAMP_PRICE_SCALE), qty = quoted(&at, BITSTAMP_QTY_SCALE);

            at += 1; /* "]" */
            a->levels++;
            for (size_t i = 0; i < count; i++)
                if (levels[i].price == price && levels[i].qty == qty) {
                    a->levels_equal++;
                    tops += rank == 0 && i == 0;
                }
        }
    }
    a->snapshots++;
    a->tops_equal += tops == 2;
}

/* The log tells what became of orders, not what they wanted: they rest without matching, as in an auction. */
static void bitstamp_agrees_with_the_published_books(void **state)
{
    enum { LINE_BYTES = 1 << 16 };
    venue *v = calloc(1, sizeof *v);
    gzFile file = gzopen(kt_test_recordings(BITSTAMP), "rb");
    char *line = malloc(LINE_BYTES);
    agreement a = { 0 };
    uint32_t snapshots = 0;

    v->match = open_book(KT_MATCH_PRICE_CEILING, INT64_C(1) << 46);
    submit(v, (kt_match_command){ .op = KT_MATCH_STATE, .state = KT_MATCH_AUCTION });
    while (gzgets(file, line, LINE_BYTES) != NULL)
        if (strstr(line, " order_book ") != NULL) {
            if (snapshots++ >= SNAPSHOTS - SNAPSHOTS_COMPARED)
                compare_snapshot(v, line, &a);
        } else if (strstr(line, " trade ") == NULL) {
            play_line(v, line);
        }
    gzclose(file);
    print_message("# Bitstamp: %u of %u levels equal (%.1f %%), %u of %u snapshots at both tops (%.0f %%)\n",
        a.levels_equal, a.levels, 100.0 * a.levels_equal / a.levels, a.tops_equal, a.snapshots,
        100.0 * a.tops_equal / a.snapshots);
    assert_null(kt_match_audit(v->match));
    assert_int_equal(a.snapshots, SNAPSHOTS_COMPARED);
    assert_true((uint64_t)a.levels_equal * 10000 >= (uint64_t)a.levels * LEVELS_EQUAL_PER_10000);
    assert_true(a.tops_equal * 100 >= a.snapshots * TOPS_EQUAL_PERCENT);
    kt_match_free(v->match);
    free(line);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KT_TEST_RECORDED(lobster_row_by_row, MESSAGES),
        KT_TEST_RECORDED(bitstamp_agrees_with_the_published_books, BITSTAMP),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
