/* The rules of books that the stream gives, one row a rule. Each is played twice, the second time with a snapshot of the
 * service taken and restored behind every step. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/time.h"
#include "book/checksum.h"
#include "schema/config.h"
#include "service/book.h"
#include "service/fake_env.h"

#define S KT_NS_PER_S
#define START_NS (INT64_C(1800000000) * S)

enum { SYMBOLS = 2, HTTP_OK = 200, DIGITS = 3 };

static const char config_text[] =
    "venues: [{name: kraken, format: kraken_v2, ws_url: 'ws://127.0.0.1:1/v2', symbols: [BTC/USD, ETH/USD], books: true}]\n";

static const char *const subjects[SYMBOLS] = { "feed.kraken.BTC/USD", "feed.kraken.ETH/USD" };

/* A venue with a book of its own, and the service beside it. */
typedef struct desk {
    kt_env env;
    kt_config *config;
    void *state;
    kt_level2 venue[SYMBOLS];
    uint32_t turn; /* what changes next */
    size_t told;   /* outputs that have been looked at */
    uint64_t last_id[SYMBOLS];
    char text[256];
    kt_builder said;
} desk;

static void desk_open(desk *d)
{
    kt_err err;

    *d = (desk){ .env = { .now_ns = START_NS, .hash_seed = 1 } };
    kt_builder_init(&d->said, d->text, sizeof d->text);
    if (kt_config_parse("test", config_text, strlen(config_text), &d->config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_book_service.start(&d->env, d->config, &d->state, &err), KT_OK);
}

static void desk_close(desk *d)
{
    kt_book_service.stop(d->state);
    kt_config_free(d->config);
    fake_done(&d->env);
    for (uint32_t i = 0; i < SYMBOLS; i++)
        kt_level2_done(&d->venue[i]);
}

/* ---- what the venue says ---- */

static kt_row_level level(int64_t price, int64_t quantity)
{
    return (kt_row_level){ kt_decimal_canon((kt_decimal){ .m = price, .scale = 1 }),
        kt_decimal_canon((kt_decimal){ .m = quantity, .scale = 1 }) };
}

static int64_t checksum_of(desk *d, uint32_t symbol)
{
    uint32_t checksum = 0;

    kt_level2_written(&d->venue[symbol], DIGITS, DIGITS);
    assert_int_equal(kt_checksum_kraken(&d->venue[symbol], &checksum), KT_OK);
    return checksum;
}

static void venue_set(desk *d, uint32_t symbol, kt_level2_side side, const kt_row_level *row)
{
    assert_int_equal(kt_level2_set(&d->venue[symbol], side, row->price, row->quantity), KT_OK);
}

/* A whole book, or a change of one bid; right, with a wrong checksum, or with a bid above the ask. */
static void say(desk *d, uint32_t symbol, bool snapshot, bool wrong, bool crossed)
{
    kt_row_level bid = level(1000 - d->turn % 7, 10 + d->turn), ask = level(1010, 50);
    kt_row_level cross = level(1020, 1);
    kt_ev_book ev;

    d->turn++;
    kt_event_init(KT_EV_BOOK, &ev);
    venue_set(d, symbol, KT_BIDS, &bid);
    venue_set(d, symbol, KT_ASKS, &ask);
    ev.snapshot = snapshot;
    ev.venue_time = ev.receive_time = d->env.now_ns;
    ev.price_digits = ev.quantity_digits = snapshot ? DIGITS : 0; /* a change may have fewer */
    ev.checksum = (checksum_of(d, symbol) + wrong) & UINT32_MAX;
    ev.bids = KT_ROWS_OF(crossed ? &cross : &bid, 1);
    if (snapshot) { /* of one level a side: what was there before is gone */
        kt_level2_start(&d->venue[symbol], 0);
        venue_set(d, symbol, KT_BIDS, &bid);
        venue_set(d, symbol, KT_ASKS, &ask);
        ev.checksum = (checksum_of(d, symbol) + wrong) & UINT32_MAX;
        ev.asks = KT_ROWS_OF(&ask, 1);
    }
    fake_input(&d->env, &kt_book_service, d->state, KT_EV_BOOK, subjects[symbol], &ev);
}

static void answer(desk *d, bool good)
{
    kt_ev_request request = { 0 };
    kt_ev_answer ev;

    for (size_t i = 0; i < d->env.output_count; i++)
        if (d->env.outputs[i].kind == KT_EV_REQUEST)
            assert_int_equal(
                kt_event_decode(KT_EV_REQUEST, d->env.bytes + d->env.outputs[i].at, d->env.outputs[i].size, &request),
                KT_OK);
    kt_event_init(KT_EV_ANSWER, &ev);
    ev.request_id = request.request_id;
    ev.what = KT_WHAT_BOOK;
    ev.symbol = request.symbol;
    ev.status = good ? HTTP_OK : 0;
    ev.error = good ? (kt_text){ 0 } : KT_TEXT("not connected");
    fake_input(&d->env, &kt_book_service, d->state, KT_EV_ANSWER, "answer.kraken", &ev);
}

static void wait_for(desk *d, int64_t ns)
{
    int64_t until = d->env.now_ns + ns;

    while (fake_timer(&d->env, &kt_book_service, d->state, until))
        ;
    d->env.now_ns = until;
}

/* ---- what the service says: S and the resyncs, c, R ---- */

static void look(desk *d)
{
    for (; d->told < d->env.output_count; d->told++) {
        const fake_output *o = &d->env.outputs[d->told];
        uint32_t symbol = strstr(o->subject, "ETH") != NULL;
        kt_event_any any;

        assert_int_equal(kt_event_decode(o->kind, d->env.bytes + o->at, o->size, &any), KT_OK);
        if (o->kind == KT_EV_REQUEST) {
            assert_true(any.request.what == KT_WHAT_BOOK && o->request);
            kt_builder_str(&d->said, "R ");
            continue;
        }
        assert_int_equal(o->kind, KT_EV_BOOK);
        if (any.book.snapshot) {
            assert_true(any.book.last_id >= d->last_id[symbol]);
            assert_int_equal(any.book.bids.count, kt_level2_count(&d->venue[symbol], KT_BIDS));
            assert_int_equal(any.book.asks.count, kt_level2_count(&d->venue[symbol], KT_ASKS));
            kt_builder_format(&d->said, "S%u ", any.book.resyncs);
        } else {
            assert_true(any.book.first_id == d->last_id[symbol] + 1 && any.book.last_id == any.book.first_id);
            assert_true(any.book.checksum == checksum_of(d, symbol));
            kt_builder_str(&d->said, "c ");
        }
        d->last_id[symbol] = any.book.last_id;
    }
}

/* Another one in its place, from its bytes. */
static void restore(desk *d)
{
    kt_writer writer;
    kt_err err;

    kt_writer_init(&writer);
    assert_int_equal(kt_book_service.snapshot(d->state, &writer), KT_OK);
    kt_book_service.stop(d->state);
    assert_int_equal(kt_book_service.start(&d->env, d->config, &d->state, &err), KT_OK);
    if (kt_book_service.restore(
            d->state, kt_book_service.version, (kt_text){ (const char *)writer.bytes, writer.size }, &err) != KT_OK)
        fail_msg("%s", err.msg);
    kt_writer_done(&writer);
}

static void play(desk *d, const char *steps, bool restored)
{
    kt_text rest = kt_text_of(steps), step;

    while (rest.n != 0 && kt_text_cut(&rest, ' ', &step)) {
        uint32_t symbol = step.s[0] == '2';
        char what = step.s[symbol];

        if (what == 'w')
            wait_for(d, (step.s[1] - '0') * S);
        else if (what == 'a' || what == 'f')
            answer(d, what == 'a');
        else
            say(d, symbol, what == 's' || what == 'S', what == 'S' || what == 'C', what == 'x');
        look(d);
        if (restored)
            restore(d);
    }
}

/* s, c: a whole book, a change; S, C: with a wrong checksum; x: a change that crosses it; 2: of the other symbol; a, f: the
 * stream was asked, or could not be; w3: three seconds pass. */
static const struct {
    const char *name, *steps, *says;
} rows[] = {
    { "the whole book, then changes, numbered from it on", "s c c c", "S0 c c c " },
    { "a checksum that does not hold loses the book: asked, and told when it is there", "s c C w1 a s c",
        "S0 c R S1 c " },
    { "so does one that crosses it", "s x w1 a s c", "S0 R S1 c " },
    { "what comes while it is lost is not told", "s C c c w1 c a c s c", "S0 R S1 c " },
    { "the book may come before the answer", "s C w1 s a c w9", "S0 R S1 c " },
    { "another book goes on", "s 2s C 2c w1 2c a s c", "S0 S0 c R c S1 c " },
    { "books are asked for one after the other", "s 2s C 2C w1 a s w1 a 2s c 2c", "S0 S0 R S1 R S1 c c " },
    { "a new connection brings the whole book by itself", "s c s c", "S0 c S0 c " },
    { "a change before the whole book: the book was refused, and is asked for", "c w1 a s c", "R S0 c " },
    { "nobody to ask: later each time", "s C w1 f w1 f w1 w1 f w3 w1", "S0 R R R R " },
    { "asked, but it does not come: asked again", "s C w1 a w1 a w2 s c w9", "S0 R R R S1 c " },
    { "a whole book whose checksum does not hold is asked for later", "S w0 w1 a s c", "R S1 c " },
    { "minutes later the changes are told with a snapshot", "s c w9 w9 w9 w9 w9 w9 w9 c c", "S0 c c S0 c " },
};

static void rules(void **state)
{
    for (size_t i = 0; i < KT_COUNT(rows); i++)
        for (int restored = 0; restored < 2; restored++) {
            desk d;

            desk_open(&d);
            play(&d, rows[i].steps, restored != 0);
            if (strcmp(d.text, rows[i].says) != 0)
                fail_msg(
                    "%s%s: '%s' instead of '%s'", rows[i].name, restored ? ", restored" : "", d.text, rows[i].says);
            desk_close(&d);
        }
}

/* What callers are answered. The edge has checked their parameters before, which is no reason to trust them. */
static const struct {
    const char *name, *steps, *action, *params;
    kt_code code;
    const char *answer;
} calls[] = {
    { "the best levels, so many of each side", "s c", "book.snapshot",
        "{\"venue\":\"kraken\",\"symbol\":\"BTC/USD\",\"depth\":1}", KT_OK,
        "{\"sequence\":2,\"venue_time\":\"2027-01-15T08:00:00.000Z\",\"receive_time\":\"2027-01-15T08:00:00.000Z\","
        "\"bids\":[{\"price\":\"100\",\"quantity\":\"1\"}],\"asks\":[{\"price\":\"101\",\"quantity\":\"5\"}]}" },
    { "of a book that is lost there is none for now", "s C", "book.snapshot",
        "{\"venue\":\"kraken\",\"symbol\":\"BTC/USD\"}", KT_EMPTY,
        "the book is being read anew; try again in a second" },
    { "of a symbol without a book: the books that are there are named", "s 2s", "book.snapshot",
        "{\"venue\":\"kraken\",\"symbol\":\"XRP/USD\"}", KT_NOENT,
        "no book of 'XRP/USD' at venue 'kraken'; there are: kraken BTC/USD, kraken ETH/USD" },
    { "before the first message about one nobody has a book", "", "book.snapshot",
        "{\"venue\":\"kraken\",\"symbol\":\"BTC/USD\"}", KT_NOENT,
        "no book of 'BTC/USD' at venue 'kraken'; no venue has told one yet" },
    { "so they are to those who ask another venue for its best prices", "2s", "ticker.latest",
        "{\"venue\":\"bin\",\"symbol\":\"ETH/USD\"}", KT_NOENT,
        "no book of 'ETH/USD' at venue 'bin'; there are: kraken ETH/USD" },
    { "a book that is known says nothing of best prices", "s", "ticker.latest",
        "{\"venue\":\"kraken\",\"symbol\":\"BTC/USD\"}", KT_EMPTY, "the venue has not said it yet" },
    { "parameters that are no JSON", "s", "book.snapshot", "{\"venue\":", KT_SYNTAX,
        "JSON is truncated: it ends at byte 9, expected a value" },
    { "a parameter that is missing", "s", "book.snapshot", "{\"venue\":\"kraken\"}", KT_RANGE,
        "book.snapshot.symbol: a length of 0 is not allowed; allowed is text of 1 to 128 bytes" },
    { "a number out of its range", "s", "book.snapshot", "{\"venue\":\"kraken\",\"symbol\":\"BTC/USD\",\"depth\":0}",
        KT_RANGE, "book.snapshot.depth: 0 is not allowed; allowed is a whole number from 1 to 1000" },
};

static void answers(void **state)
{
    for (size_t i = 0; i < KT_COUNT(calls); i++)
        for (int restored = 0; restored < 2; restored++) {
            kt_call call = { .action = kt_text_of(calls[i].action), .params = kt_text_of(calls[i].params) };
            desk d;

            desk_open(&d);
            play(&d, calls[i].steps, restored != 0);
            assert_int_equal(kt_book_service.on_call(d.state, &d.env, &call), KT_OK);
            if (d.env.answer_code != calls[i].code || strcmp(d.env.answer, calls[i].answer) != 0)
                fail_msg("%s%s: %s: %s", calls[i].name, restored ? ", restored" : "", kt_code_text(d.env.answer_code),
                    d.env.answer);
            desk_close(&d);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests_name("book_streamed", tests, NULL, NULL);
}
