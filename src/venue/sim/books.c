#include "venue/sim/books.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/time.h"
#include "book/level2.h"
#include "venue/binance_scan.h"
#include "venue/sim/tape.h"
#include "venue/sim/wire.h"

#define TELL_NS (100 * KT_NS_PER_MS)
#define NS_PER_US 1000
#define OLDER_NS KT_NS_PER_S /* at least so old is an old snapshot */

enum {
    DEPTH = 24,                         /* levels that a side is filled up to */
    REACH = 12,                         /* ticks from the best within which levels come */
    CHURN = 3,                          /* levels that change with a trade */
    PENDING_MAX = KT_SIM_CHANGE_LEVELS, /* changed levels of one symbol that are told together */
    HOLD_MAX = 64,                      /* messages held back at once */
    IDS_PER_MS = 100,                   /* updates of a later run begin behind those of an earlier one */
};

/* One level that has changed since the last message. */
typedef struct changed_level {
    kt_level2_side side;
    kt_row_level row;
} changed_level;

typedef struct sim_book {
    bool wanted;
    kt_level2 levels;
    uint64_t next_id;
    uint64_t told_id;       /* last update of the last message about changes */
    kt_ev_ticker ticker;    /* as it was told last, */
    int64_t ticker_ns;      /* and when */
    changed_level *changed; /* PENDING_MAX, from the first time that the book is wanted */
    uint32_t changed_count;
    uint64_t greatest; /* last update of the messages that were delivered well-formed */
    kt_level2 earlier; /* as it was at least OLDER_NS ago, */
    kt_level2 later;   /* and what that becomes OLDER_NS after this was made */
    int64_t later_ns;
} sim_book;

/* A message held back; its text is on the heap. */
typedef struct held_message {
    uint32_t symbol;
    kt_sim_stream stream;
    kt_sim_fault fault;
    bool copy;
    uint64_t first_id, last_id;
    uint64_t due; /* delivered when so many messages have been */
    char *text;
    size_t size;
} held_message;

struct kt_sim_books {
    kt_sim_books_options options;
    const kt_sim_wire *wire;
    kt_rng market_rng; /* of the true books, and */
    kt_rng fault_rng;  /* of the faults of messages, and */
    kt_rng rest_rng;   /* of those of REST, which clients ask when they like */
    sim_book *books;
    uint32_t count;
    int64_t now_ns;
    int64_t due_ns;
    held_message held[HOLD_MAX];
    uint32_t held_count;
    uint64_t message_count;
    kt_sim_book_totals totals;
    kt_row_level *rows[KT_LEVEL2_SIDES]; /* of the message being written */
    const kt_sim_tape *tape;             /* whose books are played; NULL: they are made */
    uint32_t tape_at;
    char *text;
};

static const char *const suffixes[KT_SIM_STREAM_COUNT] = { "@trade", "@depth@100ms", "@bookTicker" };

const char *kt_sim_stream_suffix(kt_sim_stream stream)
{
    return suffixes[stream];
}

static bool start_recorded(kt_sim_books *books, const kt_sim_tape *tape);

kt_code kt_sim_books_new(const kt_sim_books_options *options, kt_sim_books **out_books, kt_err *err)
{
    kt_sim_books *books = calloc(1, sizeof *books);

    if (books == NULL)
        return kt_fail(err, KT_SYS, "no memory for books");
    books->options = *options;
    books->wire = kt_sim_wire_of(options->format);
    books->count = kt_sim_symbol_count(options->market);
    books->books = calloc(books->count, sizeof *books->books);
    books->rows[KT_BIDS] = malloc(KT_LEVEL2_MAX * sizeof(kt_row_level));
    books->rows[KT_ASKS] = malloc(KT_LEVEL2_MAX * sizeof(kt_row_level));
    books->text = malloc(KT_SIM_CHANGE_SIZE);
    if (books->books == NULL || books->rows[KT_BIDS] == NULL || books->rows[KT_ASKS] == NULL || books->text == NULL) {
        kt_sim_books_free(books);
        return kt_fail(err, KT_SYS, "no memory for books of %u symbols", kt_sim_symbol_count(options->market));
    }
    kt_rng_init(&books->market_rng, options->seed);
    kt_rng_init(&books->fault_rng, ~options->seed);
    kt_rng_init(&books->rest_rng, options->seed ^ UINT64_C(0x5bd1e9955bd1e995));
    for (uint32_t i = 0; i < books->count; i++) {
        books->books[i].next_id = (uint64_t)kt_time_to_ms(options->start_ns) * IDS_PER_MS;
        kt_event_init(KT_EV_TICKER, &books->books[i].ticker);
    }
    books->now_ns = options->start_ns;
    books->due_ns = INT64_MAX;
    books->tape = kt_sim_market_tape(options->market);
    if (books->tape != NULL && (books->tape->message_count == 0 || options->format != &kt_venue_binance ||
                                   !start_recorded(books, books->tape)))
        books->tape = NULL;
    if (books->tape != NULL)
        books->due_ns = books->tape->messages[0].at_ns;
    *out_books = books;
    return KT_OK;
}

void kt_sim_books_free(kt_sim_books *books)
{
    if (books == NULL)
        return;
    for (uint32_t i = 0; books->books != NULL && i < books->count; i++) {
        kt_level2_done(&books->books[i].levels);
        kt_level2_done(&books->books[i].earlier);
        kt_level2_done(&books->books[i].later);
        free(books->books[i].changed);
    }
    for (uint32_t i = 0; i < books->held_count; i++)
        free(books->held[i].text);
    free(books->books);
    free(books->rows[KT_BIDS]);
    free(books->rows[KT_ASKS]);
    free(books->text);
    free(books);
}

/* ---- delivering ---- */

static const kt_row_instrument *instrument_of(const kt_sim_books *books, uint32_t symbol)
{
    return &kt_sim_symbol_at(books->options.market, symbol)->pair;
}

static void tell_truth(kt_sim_books *books, const held_message *message, kt_sim_fault fault, bool delivered)
{
    char mem[2 * KT_SIM_CHANGE_SIZE];
    kt_json_writer writer;
    kt_text line;

    books->options.faults->delivered[fault] += !message->copy;
    if (books->options.truth == NULL)
        return;
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "feed", KT_TEXT("books"));
    kt_json_member_text(&writer, "stream", kt_text_of(suffixes[message->stream]));
    kt_json_member_i64(&writer, "at", books->now_ns);
    kt_json_member_text(&writer, "fault", kt_text_of(kt_sim_fault_specs[fault].name));
    kt_json_member_bool(&writer, "copy", message->copy);
    kt_json_name(&writer, "delivered");
    if (delivered)
        kt_json_put_text(&writer, (kt_text){ message->text, message->size });
    else
        kt_json_put_null(&writer);
    kt_json_name(&writer, "true");
    kt_json_open_object(&writer);
    kt_json_member_text(&writer, "symbol", instrument_of(books, message->symbol)->symbol);
    kt_json_member_u64(&writer, "first_id", message->first_id);
    kt_json_member_u64(&writer, "last_id", message->last_id);
    kt_json_close_object(&writer);
    kt_json_close_object(&writer);
    if (kt_json_writer_done(&writer, &line) == KT_OK)
        fprintf(books->options.truth, "%.*s\n", KT_TEXT_ARG(line));
}

static void tell_old(kt_sim_books *books, uint32_t symbol, uint64_t last_id)
{
    books->options.faults->delivered[KT_SIM_OLD_SNAPSHOT]++;
    if (books->options.truth != NULL)
        fprintf(books->options.truth, "{\"at\":%lld,\"fault\":\"%s\",\"symbol\":\"%.*s\",\"last_id\":%llu}\n",
            (long long)books->now_ns, kt_sim_fault_specs[KT_SIM_OLD_SNAPSHOT].name,
            KT_TEXT_ARG(instrument_of(books, symbol)->symbol), (unsigned long long)last_id);
}

static void count(kt_sim_books *books, const held_message *message)
{
    kt_sim_book_totals *totals = &books->totals;
    sim_book *book = &books->books[message->symbol];

    totals->received++;
    if (message->fault == KT_SIM_MALFORMED || message->fault == KT_SIM_MISSING_FIELD ||
        message->fault == KT_SIM_WRONG_TYPE) {
        totals->invalid++;
        totals->missing++;
        return;
    }
    totals->repeated += message->copy;
    if (message->stream != KT_SIM_DEPTH || message->copy)
        return;
    totals->reordered += message->last_id < book->greatest;
    if (message->last_id > book->greatest)
        book->greatest = message->last_id;
}

static bool dispatch(kt_sim_books *books, const held_message *message)
{
    bool silent = books->options.silent(books->options.ctx, books->now_ns);
    bool delivered = !silent && books->options.deliver(books->options.ctx, message->symbol, message->stream,
                                    (kt_text){ message->text, message->size });

    tell_truth(books, message, delivered ? message->fault : silent ? KT_SIM_SILENCE : KT_SIM_OUTAGE, delivered);
    if (delivered) {
        count(books, message);
        books->message_count++;
    } else if (!message->copy) {
        books->totals.missing++;
    }
    return delivered;
}

static void release(kt_sim_books *books, uint32_t index)
{
    held_message message = books->held[index];

    books->held_count--;
    memmove(&books->held[index], &books->held[index + 1], (books->held_count - index) * sizeof *books->held);
    dispatch(books, &message);
    free(message.text);
}

/* Send what is due. Each message sent may make another one due. */
static void release_due(kt_sim_books *books)
{
    for (uint32_t i = 0; i < books->held_count;) {
        if (books->held[i].due > books->message_count) {
            i++;
            continue;
        }
        release(books, i);
        i = 0;
    }
}

static void hold(kt_sim_books *books, const held_message *message)
{
    held_message kept = *message;

    if (books->held_count == HOLD_MAX)
        release(books, 0);
    kept.text = malloc(message->size + 1);
    if (kept.text == NULL)
        return; /* as if it had been dropped */
    memcpy(kept.text, message->text, message->size);
    kept.due = books->message_count + kt_rng_below(&books->fault_rng, KT_SIM_DELAY_MAX) + 1;
    books->held[books->held_count++] = kept;
}

/* ---- breaking ---- */

static kt_row_level row_of(int64_t price, int64_t quantity)
{
    return (kt_row_level){ kt_decimal_canon((kt_decimal){ .m = price, .scale = KT_SIM_SCALE }),
        kt_decimal_canon((kt_decimal){ .m = quantity, .scale = KT_SIM_SCALE }) };
}

/* Leave out the first half of the levels of each side, and the numbers of some updates. */
static void leave_out(kt_sim_books *books, held_message *message, kt_ev_book *change)
{
    uint64_t left_out = 1 + kt_rng_below(&books->fault_rng, change->last_id - change->first_id);
    kt_rows *sides[KT_LEVEL2_SIDES] = { &change->bids, &change->asks };

    change->first_id = message->first_id = change->first_id + left_out;
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        uint32_t gone = (sides[side]->count + 1) / 2;

        *sides[side] = KT_ROWS_OF((const kt_row_level *)sides[side]->at + gone, sides[side]->count - gone);
    }
}

/* One bid more, above the best ask. */
static void cross(kt_sim_books *books, uint32_t symbol, kt_ev_book *change, kt_decimal ask)
{
    int64_t tick = kt_pow10(KT_SIM_SCALE - instrument_of(books, symbol)->price_scale);
    int64_t price = 0;

    kt_assert(kt_decimal_rescale(ask, KT_SIM_SCALE, &price) == KT_OK);
    books->rows[KT_BIDS][change->bids.count++] = row_of(price + tick, kt_pow10(KT_SIM_SCALE));
}

/* Draw a fault, and change the levels where it is one of them; what can not be done to this change is none. */
static kt_sim_fault break_change(kt_sim_books *books, held_message *message, kt_ev_book *change)
{
    const kt_level2 *levels = &books->books[message->symbol].levels;
    uint32_t own = books->wire->checksum != NULL ? KT_SIM_PER_CHECKSUM : KT_SIM_PER_NUMBERED;
    kt_sim_fault fault =
        kt_sim_faults_draw(books->options.faults, &books->fault_rng, KT_SIM_PER_BOOK | KT_SIM_PER_CHANGE | own);
    kt_decimal ask, quantity;

    if (fault == KT_SIM_SEQUENCE_GAP && change->first_id < change->last_id) {
        leave_out(books, message, change);
    } else if (fault == KT_SIM_CROSSED_BOOK && kt_level2_count(levels, KT_ASKS) != 0 &&
               change->bids.count + change->asks.count < KT_SIM_CHANGE_LEVELS) {
        kt_level2_decimals(levels, KT_ASKS, 0, &ask, &quantity);
        cross(books, message->symbol, change, ask);
    } else if (fault == KT_SIM_SEQUENCE_GAP || fault == KT_SIM_CROSSED_BOOK) {
        fault = KT_SIM_NONE;
    }
    return fault;
}

/* The event of the message in books->text, whole or with one field left out or replaced. */
static void write_event(kt_sim_books *books, held_message *message, const void *event)
{
    const kt_sim_wire *wire = books->wire;
    bool change = message->stream == KT_SIM_DEPTH;
    uint32_t field_count = change ? wire->change_field_count : wire->ticker_field_count;
    const kt_sim_field *fields = change ? wire->change_fields : wire->ticker_fields;
    uint32_t field = (uint32_t)kt_rng_below(&books->fault_rng, field_count);
    kt_sim_damage damage = { .omit = message->fault == KT_SIM_MISSING_FIELD ? (int)field : -1,
        .replace = message->fault == KT_SIM_WRONG_TYPE ? (int)field : -1,
        .with = fields[field].type == KT_SIM_JSON_NUMBER ? KT_TEXT("\"7\"") : KT_TEXT("7") };
    kt_builder out;

    if (message->fault == KT_SIM_WRONG_CHECKSUM)
        damage.checksum = 1 + (uint32_t)kt_rng_below(&books->fault_rng, UINT32_MAX);
    kt_builder_init(&out, books->text, KT_SIM_CHANGE_SIZE);
    if (change)
        wire->write_change(instrument_of(books, message->symbol), event, &damage, &out);
    else
        wire->write_ticker(instrument_of(books, message->symbol), event, &damage, &out);
    kt_assert(out.code == KT_OK);
    message->text = books->text;
    message->size = out.n;
    if (message->fault == KT_SIM_MALFORMED) /* cut short */
        message->size = 1 + kt_rng_below(&books->fault_rng, out.n - 1);
}

/* A message whose fault has been drawn. */
static void send_event(kt_sim_books *books, held_message *message, const void *event)
{
    books->totals.messages++;
    write_event(books, message, event);
    if (message->fault == KT_SIM_DROP) {
        books->totals.missing++;
        tell_truth(books, message, KT_SIM_DROP, false);
        return;
    }
    if (message->fault == KT_SIM_REORDER) {
        hold(books, message);
        return;
    }
    if (dispatch(books, message) && message->fault == KT_SIM_REPEAT) {
        message->copy = true;
        hold(books, message);
    }
    release_due(books);
}

/* ---- the true books ---- */

/* The price of a level as a mantissa at KT_SIM_SCALE; 0: there is none of this rank. */
static int64_t price_at(const sim_book *book, kt_level2_side side, uint32_t rank)
{
    kt_decimal price, quantity;
    int64_t m = 0;

    if (rank >= kt_level2_count(&book->levels, side))
        return 0;
    kt_level2_decimals(&book->levels, side, rank, &price, &quantity);
    kt_assert(kt_decimal_rescale(price, KT_SIM_SCALE, &m) == KT_OK);
    return m;
}

static void flush_symbol(kt_sim_books *books, uint32_t symbol);

/* One update: a level is now this. */
static void set(kt_sim_books *books, uint32_t symbol, kt_level2_side side, int64_t price, int64_t quantity)
{
    sim_book *book = &books->books[symbol];
    changed_level now = { side, row_of(price, quantity) };
    uint32_t i = 0;

    if (book->changed_count == PENDING_MAX)
        flush_symbol(books, symbol);
    kt_assert(kt_level2_set(&book->levels, side, now.row.price, now.row.quantity) == KT_OK);
    book->next_id++;
    while (i < book->changed_count &&
           (book->changed[i].side != side || kt_decimal_compare(book->changed[i].row.price, now.row.price) != 0))
        i++;
    book->changed[i] = now;
    book->changed_count += i == book->changed_count;
    if (books->due_ns == INT64_MAX)
        books->due_ns = kt_time_floor(books->now_ns, TELL_NS) + TELL_NS;
}

static int64_t some_lots(kt_sim_books *books, uint32_t symbol, uint64_t most)
{
    int64_t lot = kt_pow10(KT_SIM_SCALE - instrument_of(books, symbol)->quantity_scale);

    return lot * (int64_t)(1 + kt_rng_below(&books->market_rng, most));
}

/* Levels come near the best, never so that the sides cross. */
static void fill(kt_sim_books *books, uint32_t symbol, kt_level2_side side, int64_t around)
{
    sim_book *book = &books->books[symbol];
    int64_t tick = kt_pow10(KT_SIM_SCALE - instrument_of(books, symbol)->price_scale);
    int64_t away = side == KT_BIDS ? -tick : tick;
    int64_t other = price_at(book, side == KT_BIDS ? KT_ASKS : KT_BIDS, 0);

    for (uint32_t i = kt_level2_count(&book->levels, side); i < DEPTH; i++) {
        int64_t best = price_at(book, side, 0);
        int64_t from = best != 0 ? best : around;
        int64_t price = from + away * kt_rng_between(&books->market_rng, best != 0 ? -1 : 1, REACH);

        if (price > 0 && (other == 0 || (side == KT_BIDS ? price < other : price > other)))
            set(books, symbol, side, price, some_lots(books, symbol, 5000));
    }
}

static void churn(kt_sim_books *books, uint32_t symbol)
{
    sim_book *book = &books->books[symbol];

    for (uint32_t i = 0; i < CHURN; i++) {
        kt_level2_side side = kt_rng_chance(&books->market_rng, 0.5) ? KT_BIDS : KT_ASKS;
        uint32_t levels = kt_level2_count(&book->levels, side);

        if (levels != 0)
            set(books, symbol, side, price_at(book, side, (uint32_t)kt_rng_below(&books->market_rng, levels)),
                kt_rng_chance(&books->market_rng, 0.3) ? 0 : some_lots(books, symbol, 5000));
    }
}

static void tell_best(kt_sim_books *books, uint32_t symbol)
{
    sim_book *book = &books->books[symbol];
    held_message message = { .symbol = symbol, .stream = KT_SIM_TICKER };
    kt_ev_ticker now;

    kt_event_init(KT_EV_TICKER, &now);
    if (kt_level2_count(&book->levels, KT_BIDS) != 0)
        kt_level2_decimals(&book->levels, KT_BIDS, 0, &now.bid, &now.bid_quantity);
    if (kt_level2_count(&book->levels, KT_ASKS) != 0)
        kt_level2_decimals(&book->levels, KT_ASKS, 0, &now.ask, &now.ask_quantity);
    now.update_id = book->ticker.update_id;
    if (kt_table_equal(&kt_event_by_kind(KT_EV_TICKER)->table, &now, &book->ticker))
        return;
    now.update_id = book->next_id - 1;
    book->ticker = now;
    book->ticker_ns = books->now_ns > book->ticker_ns + NS_PER_US ? books->now_ns : book->ticker_ns + NS_PER_US;
    now.venue_time = book->ticker_ns + books->options.faults->skew_ns;
    message.first_id = message.last_id = now.update_id;
    message.fault = kt_sim_faults_draw(books->options.faults, &books->fault_rng, KT_SIM_PER_BOOK);
    send_event(books, &message, &now);
}

/* ---- books as they were ---- */

static void copy_book(kt_level2 *to, const kt_level2 *from)
{
    kt_decimal price, quantity;

    kt_level2_start(to, from->last_id);
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++)
        for (uint32_t rank = 0; rank < kt_level2_count(from, side); rank++) {
            kt_level2_decimals(from, side, rank, &price, &quantity);
            kt_level2_set(to, side, price, quantity); /* without memory it has fewer levels, and is as old */
        }
}

/* Keep the book as it is, to be given when it is old. */
static void remember(kt_sim_books *books, sim_book *book)
{
    kt_level2 earlier = book->earlier;

    if (books->now_ns - book->later_ns < OLDER_NS)
        return;
    book->earlier = book->later;
    book->later = earlier;
    copy_book(&book->later, &book->levels);
    book->later.last_id = book->next_id - 1;
    book->later_ns = books->now_ns;
}

/* ---- recorded books ---- */

static void set_levels(kt_level2 *levels, kt_level2_side side, const kt_json_pairs *pairs)
{
    for (uint32_t i = 0; i < pairs->count; i++)
        if (pairs->at[i][0].m > 0 && pairs->at[i][1].m >= 0)
            kt_level2_set(levels, side, pairs->at[i][0], pairs->at[i][1]);
}

/* The tape's whole book, at the start: changes that came before it are older, and skipped. False: it is none. */
static bool start_recorded(kt_sim_books *books, const kt_sim_tape *tape)
{
    static const kt_json_step steps[] = {
        KT_JSON_STEP(kt_binance_depth, last_id, "{\"lastUpdateId\":", U64),
        KT_JSON_STEP(kt_binance_depth, bids, ",\"bids\":", PAIRS),
        KT_JSON_STEP(kt_binance_depth, asks, ",\"asks\":", PAIRS),
        KT_JSON_BYTES("}"),
    };
    kt_text text = kt_sim_tape_text(tape, &tape->whole);
    sim_book *book = &books->books[tape->whole.symbol];
    kt_binance_depth depth = {
        .bids = { .at = (kt_decimal(*)[2])books->rows[KT_BIDS], .max = KT_LEVEL2_MAX },
        .asks = { .at = (kt_decimal(*)[2])books->rows[KT_ASKS], .max = KT_LEVEL2_MAX },
    };

    if (tape->whole.size == 0 ||
        kt_json_scan(text.s, text.s + text.n, steps, KT_COUNT(steps), &depth) != text.s + text.n)
        return false;
    kt_level2_start(&book->levels, depth.last_id);
    set_levels(&book->levels, KT_BIDS, &depth.bids);
    set_levels(&book->levels, KT_ASKS, &depth.asks);
    book->next_id = depth.last_id + 1;
    return true;
}

static void play_change(kt_sim_books *books, uint32_t symbol, const kt_binance_depth *depth)
{
    sim_book *book = &books->books[symbol];
    held_message message = {
        .symbol = symbol, .stream = KT_SIM_DEPTH, .first_id = depth->first_id, .last_id = depth->last_id
    };
    kt_ev_book change;

    kt_event_init(KT_EV_BOOK, &change);
    if (depth->first_id > depth->last_id || depth->bids.count + depth->asks.count > KT_SIM_CHANGE_LEVELS ||
        kt_time_from_ms(depth->event_ms, &change.venue_time) != KT_OK)
        return;
    if (kt_level2_place_of(&book->levels, depth->first_id, depth->last_id) == KT_LEVEL2_NEXT) {
        set_levels(&book->levels, KT_BIDS, &depth->bids);
        set_levels(&book->levels, KT_ASKS, &depth->asks);
        remember(books, book);
        kt_level2_continue(&book->levels, depth->last_id);
        book->next_id = depth->last_id + 1;
    }
    change.first_id = depth->first_id;
    change.last_id = depth->last_id;
    change.bids = KT_ROWS_OF(depth->bids.at, depth->bids.count);
    change.asks = KT_ROWS_OF(depth->asks.at, depth->asks.count);
    message.fault = break_change(books, &message, &change);
    send_event(books, &message, &change);
}

static void play_ticker(kt_sim_books *books, uint32_t symbol, const kt_binance_ticker *ticker)
{
    held_message message = {
        .symbol = symbol, .stream = KT_SIM_TICKER, .first_id = ticker->update_id, .last_id = ticker->update_id
    };
    kt_ev_ticker now;

    kt_event_init(KT_EV_TICKER, &now);
    now.update_id = ticker->update_id;
    now.bid = ticker->bid;
    now.bid_quantity = ticker->bid_quantity;
    now.ask = ticker->ask;
    now.ask_quantity = ticker->ask_quantity;
    message.fault = kt_sim_faults_draw(books->options.faults, &books->fault_rng, KT_SIM_PER_BOOK);
    send_event(books, &message, &now);
}

/* The next message of the tape. What the venue does not write in its usual way is left out. */
static void play_recorded(kt_sim_books *books)
{
    const kt_sim_tape *tape = books->tape;
    const kt_sim_book_message *recorded = &tape->messages[books->tape_at++];
    kt_binance_message message;

    if (recorded->at_ns > books->now_ns)
        books->now_ns = recorded->at_ns;
    books->due_ns = books->tape_at < tape->message_count ? tape->messages[books->tape_at].at_ns : INT64_MAX;
    if (!books->books[recorded->symbol].wanted || !kt_binance_scan(kt_sim_tape_text(tape, recorded),
                                                      (kt_decimal(*)[2])books->rows[KT_BIDS], KT_LEVEL2_MAX, &message))
        return;
    if (message.kind == KT_BINANCE_DEPTH)
        play_change(books, recorded->symbol, &message.depth);
    else if (message.kind == KT_BINANCE_TICKER)
        play_ticker(books, recorded->symbol, &message.ticker);
}

void kt_sim_books_want(kt_sim_books *books, uint32_t symbol, const kt_sim_trade *last)
{
    sim_book *book = &books->books[symbol];

    if (book->wanted)
        return;
    book->changed = malloc(PENDING_MAX * sizeof *book->changed);
    if (book->changed == NULL)
        return;
    book->wanted = true;
    book->earlier.last_id = book->later.last_id = book->next_id - 1;
    if (books->tape != NULL)
        return;
    book->told_id = book->next_id - 1;
    if (last != NULL)
        kt_sim_books_trade(books, last);
}

void kt_sim_books_trade(kt_sim_books *books, const kt_sim_trade *trade)
{
    sim_book *book = &books->books[trade->symbol];
    kt_level2_side maker = trade->seller_took ? KT_BIDS : KT_ASKS, taker = trade->seller_took ? KT_ASKS : KT_BIDS;
    int64_t rest = 0, best = 0;

    if (trade->at_ns > books->now_ns)
        books->now_ns = trade->at_ns;
    if (!book->wanted || books->tape != NULL)
        return;
    /* What is better than the trade's price on the maker's side has gone, and so has what would have crossed it. */
    while (
        (best = price_at(book, maker, 0)) != 0 && best != trade->price && (maker == KT_BIDS) == (best > trade->price))
        set(books, trade->symbol, maker, best, 0);
    while (
        (best = price_at(book, taker, 0)) != 0 && (best == trade->price || (taker == KT_BIDS) == (best > trade->price)))
        set(books, trade->symbol, taker, best, 0);
    if (kt_rng_chance(&books->market_rng, 0.6))
        rest = some_lots(books, trade->symbol, 5000);
    set(books, trade->symbol, maker, trade->price, trade->quantity + rest);
    tell_best(books, trade->symbol);
    set(books, trade->symbol, maker, trade->price, rest);
    fill(books, trade->symbol, KT_BIDS, trade->price);
    fill(books, trade->symbol, KT_ASKS, trade->price);
    churn(books, trade->symbol);
    tell_best(books, trade->symbol);
}

/* ---- telling ---- */

static kt_rows best_rows(const kt_sim_books *books, const kt_level2 *levels, kt_level2_side side, uint32_t limit)
{
    uint32_t rows = kt_level2_count(levels, side);

    rows = rows < limit ? rows : limit;
    for (uint32_t rank = 0; rank < rows; rank++)
        kt_level2_decimals(levels, side, rank, &books->rows[side][rank].price, &books->rows[side][rank].quantity);
    return KT_ROWS_OF(books->rows[side], rows);
}

/* What the venue sums up of the book; -1: nothing. The rows that a message is made of are written. */
static int64_t checksum_of(const kt_sim_books *books, uint32_t symbol)
{
    enum { SUMMED_MAX = 64 };
    const kt_level2 *levels = &books->books[symbol].levels;

    if (books->wire->checksum == NULL)
        return -1;
    kt_rows bids = best_rows(books, levels, KT_BIDS, SUMMED_MAX), asks = best_rows(books, levels, KT_ASKS, SUMMED_MAX);
    return books->wire->checksum(instrument_of(books, symbol), &bids, &asks);
}

static kt_rows changed_rows(kt_sim_books *books, const sim_book *book, kt_level2_side side)
{
    uint32_t rows = 0;

    for (uint32_t i = 0; i < book->changed_count; i++)
        if (book->changed[i].side == side)
            books->rows[side][rows++] = book->changed[i].row;
    return KT_ROWS_OF(books->rows[side], rows);
}

static void flush_symbol(kt_sim_books *books, uint32_t symbol)
{
    sim_book *book = &books->books[symbol];
    held_message message = {
        .symbol = symbol, .stream = KT_SIM_DEPTH, .first_id = book->told_id + 1, .last_id = book->next_id - 1
    };
    kt_ev_book change;

    kt_event_init(KT_EV_BOOK, &change);
    change.venue_time = kt_time_floor(books->now_ns + books->options.faults->skew_ns, KT_NS_PER_MS);
    change.first_id = message.first_id;
    change.last_id = message.last_id;
    change.checksum = checksum_of(books, symbol);
    change.bids = changed_rows(books, book, KT_BIDS);
    change.asks = changed_rows(books, book, KT_ASKS);
    book->changed_count = 0;
    book->told_id = message.last_id;
    message.fault = break_change(books, &message, &change);
    send_event(books, &message, &change);
}

int64_t kt_sim_books_due(const kt_sim_books *books)
{
    return books->due_ns;
}

void kt_sim_books_flush(kt_sim_books *books)
{
    if (books->tape != NULL) {
        if (books->due_ns != INT64_MAX)
            play_recorded(books);
        return;
    }
    if (books->due_ns != INT64_MAX && books->due_ns > books->now_ns)
        books->now_ns = books->due_ns;
    books->due_ns = INT64_MAX;
    for (uint32_t i = 0; i < books->count; i++)
        if (books->books[i].changed_count != 0) {
            remember(books, &books->books[i]);
            flush_symbol(books, i);
        }
}

void kt_sim_books_end(kt_sim_books *books)
{
    if (books->tape == NULL) /* what is recorded behind the last trade is not played */
        kt_sim_books_flush(books);
    while (books->held_count > 0)
        release(books, 0);
}

void kt_sim_books_whole(kt_sim_books *books, uint32_t symbol, uint32_t limit, kt_ev_book *out_book)
{
    const sim_book *book = &books->books[symbol];

    kt_event_init(KT_EV_BOOK, out_book);
    out_book->snapshot = true;
    out_book->venue_time = books->now_ns + books->options.faults->skew_ns;
    out_book->last_id = book->next_id - 1;
    out_book->checksum = checksum_of(books, symbol);
    out_book->bids = best_rows(books, &book->levels, KT_BIDS, limit);
    out_book->asks = best_rows(books, &book->levels, KT_ASKS, limit);
}

void kt_sim_books_answer(kt_sim_books *books, uint32_t symbol, uint32_t limit, kt_builder *body)
{
    const sim_book *book = &books->books[symbol];
    bool old = kt_sim_faults_draw(books->options.faults, &books->rest_rng, KT_SIM_PER_SNAPSHOT) == KT_SIM_OLD_SNAPSHOT;
    const kt_level2 *levels = old ? &book->earlier : &book->levels;
    kt_ev_book whole;

    kt_event_init(KT_EV_BOOK, &whole);
    whole.last_id = old ? book->earlier.last_id : book->next_id - 1;
    whole.bids = best_rows(books, levels, KT_BIDS, limit);
    whole.asks = best_rows(books, levels, KT_ASKS, limit);
    kt_sim_write_book(&whole, body);
    if (old)
        tell_old(books, symbol, whole.last_id);
}

kt_sim_book_totals kt_sim_books_totals(const kt_sim_books *books)
{
    return books->totals;
}

void kt_sim_books_write(const kt_sim_books *books, kt_json_writer *writer)
{
    const kt_sim_book_totals *totals = &books->totals;

    kt_json_open_object(writer);
    kt_json_member_u64(writer, "messages", totals->messages);
    kt_json_member_u64(writer, "received", totals->received);
    kt_json_member_u64(writer, "invalid", totals->invalid);
    kt_json_member_u64(writer, "repeated", totals->repeated);
    kt_json_member_u64(writer, "reordered", totals->reordered);
    kt_json_member_u64(writer, "missing", totals->missing);
    kt_json_close_object(writer);
}
