#include "service/book.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/map.h"
#include "base/text.h"
#include "book/level2.h"
#include "log/record.h"
#include "schema/actions.h"
#include "schema/config.h"
#include "venue/venue.h"

#define FAILED_MIN_NS KT_NS_PER_S
#define FAILED_MAX_NS KT_NS_PER_MIN
#define ANSWER_MAX_NS KT_NS_PER_MIN /* after which no answer will come any more */

enum {
    NAME_SIZE = 129,
    SUBJECT_SIZE = KT_SUBJECT_MAX + 1,
    SNAPSHOT_VERSION = 2, /* 1: without digits */
    HTTP_OK = 200,
    PARAMS_NODES = 64,
    ANSWER_SIZE = 256 << 10, /* 2 x KT_BOOK_TOLD_MAX levels as JSON */
};

typedef struct book_venue {
    const kt_config_venue *config;
    const kt_venue_books *rule;
    bool asks;           /* there is somebody to ask for whole books */
    uint64_t request_id; /* of the open request, or 0 */
    uint32_t asked;      /* whose book */
    int64_t next_ns;     /* no request before it */
    char request_subject[SUBJECT_SIZE];
} book_venue;

typedef struct book {
    book_venue *venue;
    char symbol[NAME_SIZE];
    kt_level2 levels;
    bool live;      /* levels are the venue's; otherwise changes are held */
    int64_t ask_ns; /* not live: when it may be asked for; 0 of a streamed one: not yet */
    uint32_t failures;
    uint32_t resyncs;
    int64_t told_ns; /* when the last snapshot was told */
    int64_t venue_time;
    int64_t receive_time;
    uint8_t *held; /* payloads of changes, each behind its size in 4 bytes */
    uint32_t held_size, held_capacity;
    kt_ev_ticker ticker; /* update_id 0: none yet */
    char feed_subject[SUBJECT_SIZE];
    char book_subject[SUBJECT_SIZE];
    char ticker_subject[SUBJECT_SIZE];
} book;

typedef struct books {
    book_venue venues[KT_CONFIG_VENUE_MAX];
    uint32_t venue_count;
    book **at; /* KT_BOOK_MAX places */
    uint32_t count;
    kt_map_text by_subject; /* feed_subject -> index */
    void *map_mem;
    kt_row_level *rows[KT_LEVEL2_SIDES]; /* of a snapshot that is being told */
    char *answer;                        /* of a call */
} books;

/* Books -------------------------------------------------------------------------------------------------------------
 */

static void book_free(book *b)
{
    if (b == NULL)
        return;
    kt_level2_done(&b->levels);
    free(b->held);
    free(b);
}

/* A book that is not registered yet. NULL: no memory, or names too long for a subject. */
static book *book_new(book_venue *venue, kt_text symbol)
{
    kt_text name = kt_text_of(venue->config->name);
    book *b = symbol.n == 0 || symbol.n >= NAME_SIZE ? NULL : calloc(1, sizeof *b);

    if (b == NULL)
        return NULL;
    b->venue = venue;
    memcpy(b->symbol, symbol.s, symbol.n);
    kt_event_init(KT_EV_TICKER, &b->ticker);
    if (!kt_subject_make(b->feed_subject, "feed", name, symbol) ||
        !kt_subject_make(b->book_subject, "book", name, symbol) ||
        !kt_subject_make(b->ticker_subject, "ticker", name, symbol)) {
        book_free(b);
        return NULL;
    }
    return b;
}

static bool book_register(books *s, book *b)
{
    if (s->count == KT_BOOK_MAX || kt_map_text_put(&s->by_subject, kt_text_of(b->feed_subject), s->count) != KT_OK)
        return false;
    s->at[s->count++] = b;
    return true;
}

static book *book_of(books *s, kt_text feed_subject)
{
    uint32_t index;

    return kt_map_text_get(&s->by_subject, feed_subject, &index) == KT_OK ? s->at[index] : NULL;
}

static book_venue *venue_of(books *s, kt_text name)
{
    for (uint32_t i = 0; i < s->venue_count; i++)
        if (kt_text_equal(kt_text_of(s->venues[i].config->name), name))
            return &s->venues[i];
    return NULL;
}

/* The book that a message of the stream is about, made when it is the first. NULL: none of ours. */
static book *book_at(books *s, kt_text subject)
{
    book *b = book_of(s, subject);
    char symbol[KT_SUBJECT_MAX + 1];
    kt_builder decoded;
    book_venue *venue;

    if (b != NULL)
        return b;
    venue = venue_of(s, kt_subject_part(subject, 1));
    kt_builder_init(&decoded, symbol, sizeof symbol);
    if (venue == NULL || kt_subject_token_decode(kt_subject_part(subject, 2), &decoded) != KT_OK)
        return NULL;
    b = book_new(venue, kt_builder_done(&decoded));
    if (b == NULL || book_register(s, b))
        return b;
    book_free(b);
    return NULL;
}

/* Telling -----------------------------------------------------------------------------------------------------------
 */

static void tell_change(book *b, kt_env *env, const kt_ev_book *change)
{
    kt_ev_book told = *change;

    told.resyncs = b->resyncs;
    kt_env_emit(env, KT_EV_BOOK, kt_text_of(b->book_subject), &told);
}

/* The best levels of a side, at most `max` of them. */
static kt_rows rows_of(books *s, const book *b, kt_level2_side side, uint32_t max)
{
    uint32_t count = kt_level2_count(&b->levels, side);
    kt_row_level *rows = s->rows[side];

    count = count < max ? count : max;
    for (uint32_t rank = 0; rank < count; rank++)
        kt_level2_decimals(&b->levels, side, rank, &rows[rank].price, &rows[rank].quantity);
    return KT_ROWS_OF(rows, count);
}

static void tell_snapshot(books *s, book *b, kt_env *env)
{
    kt_ev_book told;

    kt_event_init(KT_EV_BOOK, &told);
    told.snapshot = true;
    told.venue_time = b->venue_time;
    told.receive_time = b->receive_time;
    told.first_id = b->levels.last_id;
    told.last_id = b->levels.last_id;
    told.bids = rows_of(s, b, KT_BIDS, KT_BOOK_TOLD_MAX);
    told.asks = rows_of(s, b, KT_ASKS, KT_BOOK_TOLD_MAX);
    told.resyncs = b->resyncs;
    kt_env_emit(env, KT_EV_BOOK, kt_text_of(b->book_subject), &told);
    b->told_ns = kt_env_now(env);
}

/* Asking ------------------------------------------------------------------------------------------------------------
 */

/* Is it to be asked for? Not before a change of it has come: what REST gives must reach to where the held ones begin; and
 * what the stream gives comes by itself, if all goes well. */
static bool waits(const book *b)
{
    return !b->live && (b->venue->rule->streamed ? b->ask_ns != 0 : b->held_size != 0);
}

/* The book of a venue that has waited longest; NULL: none waits. */
static book *next_to_ask(books *s, const book_venue *venue, uint32_t *out_index)
{
    book *next = NULL;

    for (uint32_t i = 0; i < s->count; i++) {
        book *b = s->at[i];
        if (b->venue == venue && waits(b) && (next == NULL || b->ask_ns < next->ask_ns)) {
            next = b;
            *out_index = i;
        }
    }
    return next;
}

static uint64_t timer_of(const books *s, const book_venue *venue)
{
    return (uint64_t)(venue - s->venues);
}

/* Wake up when the next request may go out. */
static void plan(books *s, book_venue *venue, kt_env *env)
{
    uint32_t index;
    const book *next = venue->asks && venue->request_id == 0 ? next_to_ask(s, venue, &index) : NULL;
    int64_t at_ns = kt_env_now(env);

    if (next == NULL)
        return;
    at_ns = at_ns > venue->next_ns ? at_ns : venue->next_ns;
    at_ns = at_ns > next->ask_ns ? at_ns : next->ask_ns;
    kt_env_timer(env, timer_of(s, venue), at_ns);
}

static void emit_request(books *s, book_venue *venue, kt_env *env)
{
    kt_ev_request ev;

    kt_event_init(KT_EV_REQUEST, &ev);
    ev.request_id = venue->request_id;
    ev.what = KT_WHAT_BOOK;
    ev.symbol = kt_text_of(s->at[venue->asked]->symbol);
    ev.limit = KT_BOOK_TOLD_MAX;
    kt_env_request(env, KT_EV_REQUEST, kt_text_of(venue->request_subject), &ev);
    kt_env_timer(env, timer_of(s, venue), kt_env_now(env) + ANSWER_MAX_NS);
}

static void ask_later(book *b, kt_env *env, int64_t not_before_ns)
{
    int64_t wait_ns = FAILED_MIN_NS << (b->failures < 10 ? b->failures : 10);

    b->failures++;
    b->ask_ns = kt_env_now(env) + (wait_ns < FAILED_MAX_NS ? wait_ns : FAILED_MAX_NS);
    b->ask_ns = b->ask_ns > not_before_ns ? b->ask_ns : not_before_ns;
}

static void books_timer(void *state, kt_env *env, uint64_t timer_id)
{
    books *s = state;
    book_venue *venue = timer_id < s->venue_count ? &s->venues[timer_id] : NULL;
    int64_t now_ns = kt_env_now(env);
    book *next;

    if (venue == NULL)
        return; /* of another configuration */
    if (venue->request_id != 0) {
        venue->request_id = 0;
        ask_later(s->at[venue->asked], env, 0);
    }
    next = venue->asks ? next_to_ask(s, venue, &venue->asked) : NULL;
    if (next == NULL || next->ask_ns > now_ns || venue->next_ns > now_ns) {
        plan(s, venue, env);
        return;
    }
    venue->request_id = kt_env_key(env);
    venue->next_ns = now_ns + KT_BOOK_SPACING_NS;
    emit_request(s, venue, env);
}

/* Changes -----------------------------------------------------------------------------------------------------------
 */

static void hold(book *b, const void *payload, uint32_t size)
{
    uint32_t need = (uint32_t)sizeof size + size, capacity = b->held_capacity;
    uint8_t *held;

    if (need > KT_BOOK_HELD_MAX - b->held_size)
        b->held_size = 0; /* what comes next would not continue the old ones */
    if (need > KT_BOOK_HELD_MAX)
        return;
    while (capacity < b->held_size + need)
        capacity = capacity != 0 ? 2 * capacity : 4096;
    if (capacity != b->held_capacity) {
        held = realloc(b->held, capacity);
        if (held == NULL)
            return; /* a gap like any other */
        b->held = held;
        b->held_capacity = capacity;
    }
    memcpy(b->held + b->held_size, &size, sizeof size);
    memcpy(b->held + b->held_size + sizeof size, payload, size);
    b->held_size += need;
}

/* The book is not the venue's any more. */
static void lose(books *s, book *b, kt_env *env)
{
    b->live = false;
    b->resyncs++;
    b->held_size = 0;
    b->ask_ns = kt_env_now(env);
    plan(s, b->venue, env);
}

static bool set_levels(kt_level2 *levels, kt_level2_side side, const kt_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        kt_row_level row;

        kt_rows_get(&kt_row_table_level, rows, i, &row);
        if (row.price.m <= 0 || row.quantity.m < 0 || kt_level2_set(levels, side, row.price, row.quantity) != KT_OK)
            return false;
    }
    return true;
}

static bool crossed(const kt_level2 *levels)
{
    return kt_level2_count(levels, KT_BIDS) != 0 && kt_level2_count(levels, KT_ASKS) != 0 &&
           kt_level2_at(levels, KT_BIDS, 0).price.m >= kt_level2_at(levels, KT_ASKS, 0).price.m;
}

/* Is the book what the venue says that it is? */
static bool sum_holds(const book *b, const kt_ev_book *change)
{
    uint32_t checksum = 0;

    if (b->venue->rule->checksum == NULL || change->checksum < 0)
        return true;
    return b->venue->rule->checksum(&b->levels, &checksum) == KT_OK && checksum == change->checksum;
}

/* The next change; false: it makes no book. */
static bool apply(book *b, const kt_ev_book *change)
{
    if (!set_levels(&b->levels, KT_BIDS, &change->bids) || !set_levels(&b->levels, KT_ASKS, &change->asks))
        return false;
    kt_level2_written(&b->levels, change->price_digits, change->quantity_digits);
    if (b->venue->rule->streamed)
        kt_level2_cut(&b->levels, b->venue->rule->depth);
    if (crossed(&b->levels) || !sum_holds(b, change))
        return false;
    kt_level2_continue(&b->levels, change->last_id);
    b->venue_time = change->venue_time;
    b->receive_time = change->receive_time;
    return true;
}

/* A change of a live book has been applied. */
static void tell_applied(books *s, book *b, kt_env *env, const kt_ev_book *change)
{
    tell_change(b, env, change);
    if (kt_env_now(env) - b->told_ns >= KT_BOOK_SNAPSHOT_NS)
        tell_snapshot(s, b, env);
}

/* Of a venue whose stream gives the whole book and does not number what follows: the numbers are ours. */
static void on_streamed(books *s, book *b, kt_env *env, kt_ev_book *change)
{
    change->first_id = change->last_id = b->levels.last_id + 1;
    if (change->snapshot) {
        kt_level2_start(&b->levels, b->levels.last_id);
    } else if (!b->live) {
        if (b->ask_ns == 0) { /* its whole book was no book, or was refused before it came here */
            b->ask_ns = kt_env_now(env);
            plan(s, b->venue, env);
        }
        return;
    }
    if (!apply(b, change)) {
        lose(s, b, env);
        if (change->snapshot) {
            ask_later(b, env, 0);
            plan(s, b->venue, env);
        }
    } else if (change->snapshot) {
        b->live = true;
        b->failures = 0;
        tell_snapshot(s, b, env);
    } else {
        tell_applied(s, b, env, change);
    }
}

static void on_change(books *s, kt_env *env, const kt_event *event)
{
    book *b = book_at(s, event->subject);
    kt_ev_book change;
    kt_level2_place place;

    if (b == NULL || kt_event_decode(KT_EV_BOOK, event->payload, event->size, &change) != KT_OK ||
        change.first_id > change.last_id)
        return;
    if (b->venue->rule->streamed) {
        on_streamed(s, b, env, &change);
        return;
    }
    if (!b->live) {
        hold(b, event->payload, event->size);
        if (b->venue->request_id == 0)
            plan(s, b->venue, env);
        return;
    }
    place = kt_level2_place_of(&b->levels, change.first_id, change.last_id);
    if (place == KT_LEVEL2_OLD && change.venue_time <= b->venue_time)
        return;
    if (place == KT_LEVEL2_OLD)
        b->ticker.update_id = 0; /* old numbers at a new time: the venue counts anew, for its best prices too */
    if (place != KT_LEVEL2_NEXT || !apply(b, &change)) {
        lose(s, b, env);
        hold(b, event->payload, event->size);
        plan(s, b->venue, env);
        return;
    }
    tell_applied(s, b, env, &change);
}

/* Held changes on the book that REST gave. False: there is a gap; those from there on are kept. */
static bool apply_held(book *b)
{
    uint32_t at = 0, size;

    while (at < b->held_size) {
        kt_ev_book change;
        kt_level2_place place;

        memcpy(&size, b->held + at, sizeof size);
        kt_assert(size <= b->held_size - at - sizeof size);
        kt_assert(kt_event_decode(KT_EV_BOOK, b->held + at + sizeof size, size, &change) == KT_OK);
        place = kt_level2_place_of(&b->levels, change.first_id, change.last_id);
        if (place == KT_LEVEL2_GAP || (place == KT_LEVEL2_NEXT && !apply(b, &change)))
            break;
        at += (uint32_t)sizeof size + size;
    }
    b->held_size -= at;
    memmove(b->held, b->held + at, b->held_size);
    return b->held_size == 0;
}

/* False: it is no answer, or not one that the held changes continue. */
static bool install(books *s, book *b, kt_env *env, const kt_ev_answer *answer)
{
    if (answer->status != HTTP_OK || answer->error.n != 0 || answer->what != KT_WHAT_BOOK || answer->invalid_count != 0)
        return false;
    kt_level2_start(&b->levels, answer->last_id);
    if (!set_levels(&b->levels, KT_BIDS, &answer->bids) || !set_levels(&b->levels, KT_ASKS, &answer->asks) ||
        crossed(&b->levels))
        return false;
    b->receive_time = answer->receive_time;
    if (b->held_size != 0 && !apply_held(b))
        return false;
    b->live = true;
    b->failures = 0;
    tell_snapshot(s, b, env);
    return true;
}

static void on_answer(books *s, kt_env *env, const kt_event *event)
{
    book_venue *venue = venue_of(s, kt_subject_part(event->subject, 1));
    kt_ev_answer answer;
    book *b;

    if (venue == NULL || kt_event_decode(KT_EV_ANSWER, event->payload, event->size, &answer) != KT_OK)
        return;
    if (answer.retry_after > venue->next_ns) /* whatever had been asked for: the venue counts all requests together */
        venue->next_ns = answer.retry_after;
    if (venue->request_id == 0 || answer.request_id != venue->request_id)
        return;
    b = s->at[venue->asked];
    venue->request_id = 0;
    kt_env_timer_cancel(env, timer_of(s, venue));
    /* A stream gives the book itself, soon after it was asked; if not, it is asked again. */
    if (venue->rule->streamed ? !b->live
                              : !kt_text_equal(answer.symbol, kt_text_of(b->symbol)) || !install(s, b, env, &answer))
        ask_later(b, env, answer.retry_after);
    plan(s, venue, env);
}

/* Best prices -------------------------------------------------------------------------------------------------------
 */

static void on_ticker(books *s, kt_env *env, const kt_event *event)
{
    book *b = book_at(s, event->subject);
    kt_ev_ticker ticker;

    if (b == NULL || kt_event_decode(KT_EV_TICKER, event->payload, event->size, &ticker) != KT_OK ||
        ticker.update_id <= b->ticker.update_id)
        return;
    b->ticker = ticker;
    kt_env_emit(env, KT_EV_TICKER, kt_text_of(b->ticker_subject), &ticker);
}

/* The request that is open is asked again, by the same name: that of the run before went nowhere. */
static void on_lane_start(books *s, kt_env *env)
{
    for (uint32_t i = 0; i < s->venue_count; i++)
        if (s->venues[i].request_id != 0)
            emit_request(s, &s->venues[i], env);
        else
            plan(s, &s->venues[i], env);
}

static void books_event(void *state, kt_env *env, const kt_event *event)
{
    if ((event->rec->flags & KT_REC_INPUT) == 0)
        return; /* our own outputs */
    switch (event->rec->kind) {
    case KT_EV_BOOK:
        on_change(state, env, event);
        break;
    case KT_EV_TICKER:
        on_ticker(state, env, event);
        break;
    case KT_EV_ANSWER:
        on_answer(state, env, event);
        break;
    case KT_EV_LANE_START:
        on_lane_start(state, env);
        break;
    default:
        break;
    }
}

/* Calls -------------------------------------------------------------------------------------------------------------
 */

/* Read the parameters of a call; an error is answered. */
static bool params_read(kt_env *env, const kt_call *call, const kt_table *table, void *out_params)
{
    kt_json_node nodes[PARAMS_NODES];
    kt_json_doc doc;
    kt_arena arena;
    char mem[2 * NAME_SIZE];
    kt_err err = { 0 };
    kt_code code = kt_json_parse(call->params, nodes, PARAMS_NODES, &doc, &err);

    kt_arena_init(&arena, mem, sizeof mem);
    if (code == KT_OK)
        code = kt_table_read_json(table, &doc, 0, &arena, out_params, &err);
    if (code == KT_OK)
        code = kt_table_check(table, out_params, &err);
    if (code != KT_OK)
        kt_env_answer(env, call, code, kt_text_of(err.msg));
    return code == KT_OK;
}

/* The book that a call names; NULL: answered that there is none. */
static book *called(books *s, kt_env *env, const kt_call *call, kt_text venue, kt_text symbol)
{
    char subject[SUBJECT_SIZE];
    char text[512];
    kt_builder says;
    book *b = kt_subject_make(subject, "feed", venue, symbol) ? book_of(s, kt_text_of(subject)) : NULL;

    if (b != NULL)
        return b;
    kt_builder_init(&says, text, sizeof text);
    kt_builder_format(&says, "no book of '%.*s' at venue '%.*s'; %s", KT_TEXT_ARG(symbol), KT_TEXT_ARG(venue),
        s->count > 0         ? "there are:"
        : s->venue_count > 0 ? "no venue has told one yet"
                             : "no venue has `books: true` in the configuration");
    for (uint32_t i = 0; i < s->count && says.n < 300; i++)
        kt_builder_format(
            &says, " %s %s%s", s->at[i]->venue->config->name, s->at[i]->symbol, i + 1 < s->count ? "," : "");
    kt_env_answer(env, call, KT_NOENT, kt_builder_done(&says));
    return NULL;
}

static void answer_with(books *s, kt_env *env, const kt_call *call, const kt_table *table, const void *response)
{
    kt_json_writer writer;
    kt_text body;

    kt_json_writer_init(&writer, s->answer, ANSWER_SIZE);
    kt_table_write_json(table, response, &writer);
    if (kt_json_writer_done(&writer, &body) == KT_OK)
        kt_env_answer(env, call, KT_OK, body);
    else
        kt_env_answer(env, call, KT_LIMIT, KT_TEXT("the answer is too large; ask for fewer levels"));
}

static void call_snapshot(books *s, kt_env *env, const kt_call *call)
{
    const kt_action *action = &kt_actions[KT_ACTION_book_snapshot];
    kt_params_book_snapshot params;
    kt_response_book_snapshot response;
    const book *b;

    if (!params_read(env, call, &action->params, &params))
        return;
    b = called(s, env, call, params.venue, params.symbol);
    if (b == NULL)
        return;
    if (!b->live) {
        kt_env_answer(env, call, KT_EMPTY, KT_TEXT("the book is being read anew; try again in a second"));
        return;
    }
    kt_table_init(&action->response, &response);
    response.sequence = b->levels.last_id;
    response.venue_time = b->venue_time;
    response.receive_time = b->receive_time;
    response.bids = rows_of(s, b, KT_BIDS, params.depth);
    response.asks = rows_of(s, b, KT_ASKS, params.depth);
    answer_with(s, env, call, &action->response, &response);
}

static void call_ticker(books *s, kt_env *env, const kt_call *call)
{
    const kt_action *action = &kt_actions[KT_ACTION_ticker_latest];
    kt_params_ticker_latest params;
    kt_response_ticker_latest response;
    const book *b;

    if (!params_read(env, call, &action->params, &params))
        return;
    b = called(s, env, call, params.venue, params.symbol);
    if (b == NULL)
        return;
    if (b->ticker.update_id == 0) {
        kt_env_answer(env, call, KT_EMPTY, KT_TEXT("the venue has not said it yet"));
        return;
    }
    kt_table_init(&action->response, &response);
    response.bid = b->ticker.bid;
    response.bid_quantity = b->ticker.bid_quantity;
    response.ask = b->ticker.ask;
    response.ask_quantity = b->ticker.ask_quantity;
    response.venue_time = b->ticker.venue_time;
    response.receive_time = b->ticker.receive_time;
    answer_with(s, env, call, &action->response, &response);
}

static kt_code books_call(void *state, kt_env *env, const kt_call *call)
{
    if (kt_text_equal(call->action, KT_TEXT("book.snapshot")))
        call_snapshot(state, env, call);
    else
        call_ticker(state, env, call);
    return KT_OK;
}

/* Life --------------------------------------------------------------------------------------------------------------
 */

static void books_stop(void *state)
{
    books *s = state;

    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        book_free(s->at[i]);
    free(s->at);
    free(s->map_mem);
    free(s->rows[KT_BIDS]);
    free(s->rows[KT_ASKS]);
    free(s->answer);
    free(s);
}

static kt_code books_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    books *s = calloc(1, sizeof *s);

    if (s == NULL)
        return kt_fail(err, KT_SYS, "no memory for service book");
    s->at = calloc(KT_BOOK_MAX, sizeof(book *));
    s->map_mem = malloc(kt_map_text_mem_size(KT_BOOK_MAX));
    s->rows[KT_BIDS] = malloc(KT_BOOK_TOLD_MAX * sizeof(kt_row_level));
    s->rows[KT_ASKS] = malloc(KT_BOOK_TOLD_MAX * sizeof(kt_row_level));
    s->answer = malloc(ANSWER_SIZE);
    if (s->at == NULL || s->map_mem == NULL || s->rows[KT_BIDS] == NULL || s->rows[KT_ASKS] == NULL ||
        s->answer == NULL) {
        books_stop(s);
        return kt_fail(err, KT_SYS, "no memory for service book");
    }
    kt_map_text_init(&s->by_subject, s->map_mem, KT_BOOK_MAX, kt_env_hash_seed(env));
    for (uint32_t i = 0; i < config->venue_count; i++) {
        const kt_config_venue *from = &config->venues[i];
        book_venue *venue = &s->venues[s->venue_count];

        if (!from->books)
            continue;
        venue->config = from;
        venue->rule = &kt_venue_format_of(kt_text_of(kt_config_format_names[from->format]))->books;
        venue->asks = venue->rule->streamed || from->rest_url[0] != 0;
        kt_assert(kt_subject_make(venue->request_subject, "request", kt_text_of(from->name), (kt_text){ 0 }));
        s->venue_count++;
    }
    *out_state = s;
    return KT_OK;
}

/* Snapshots ---------------------------------------------------------------------------------------------------------
 */

static kt_code books_snapshot(const void *state, kt_writer *writer)
{
    const books *s = state;

    kt_writer_u32(writer, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        const book *b = s->at[i];
        const kt_ev_ticker *ticker = &b->ticker;

        kt_writer_text(writer, kt_text_of(b->venue->config->name));
        kt_writer_text(writer, kt_text_of(b->symbol));
        kt_writer_u8(writer, b->live);
        kt_writer_i64(writer, b->ask_ns);
        kt_writer_u32(writer, b->failures);
        kt_writer_u32(writer, b->resyncs);
        kt_writer_i64(writer, b->told_ns);
        kt_writer_i64(writer, b->venue_time);
        kt_writer_i64(writer, b->receive_time);
        kt_writer_text(writer, (kt_text){ (const char *)b->held, b->held_size });
        kt_writer_i64(writer, ticker->venue_time);
        kt_writer_i64(writer, ticker->receive_time);
        kt_writer_u64(writer, ticker->update_id);
        kt_writer_decimal(writer, ticker->bid);
        kt_writer_decimal(writer, ticker->bid_quantity);
        kt_writer_decimal(writer, ticker->ask);
        kt_writer_decimal(writer, ticker->ask_quantity);
        kt_writer_u64(writer, b->levels.last_id);
        kt_writer_u8(writer, b->levels.continued);
        kt_writer_u8(writer, b->levels.price_scale);
        kt_writer_u8(writer, b->levels.quantity_scale);
        kt_writer_u8(writer, b->levels.price_digits);
        kt_writer_u8(writer, b->levels.quantity_digits);
        for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
            kt_writer_u32(writer, kt_level2_count(&b->levels, side));
            for (uint32_t rank = kt_level2_count(&b->levels, side); rank-- > 0;) {
                kt_decimal price, quantity;

                kt_level2_decimals(&b->levels, side, rank, &price, &quantity);
                kt_writer_decimal(writer, price);
                kt_writer_decimal(writer, quantity);
            }
        }
    }
    kt_writer_u32(writer, s->venue_count);
    for (uint32_t i = 0; i < s->venue_count; i++) {
        kt_writer_text(writer, kt_text_of(s->venues[i].config->name));
        kt_writer_u64(writer, s->venues[i].request_id);
        kt_writer_u32(writer, s->venues[i].asked);
        kt_writer_i64(writer, s->venues[i].next_ns);
    }
    return writer->code;
}

/* Payloads as hold() keeps them. */
static bool held_valid(kt_text held)
{
    uint32_t size;

    if (held.n > KT_BOOK_HELD_MAX)
        return false;
    while (held.n != 0) {
        kt_ev_book change;

        if (held.n < sizeof size)
            return false;
        memcpy(&size, held.s, sizeof size);
        if (size > held.n - sizeof size || kt_event_decode(KT_EV_BOOK, held.s + sizeof size, size, &change) != KT_OK ||
            change.first_id > change.last_id)
            return false;
        held.s += sizeof size + size;
        held.n -= sizeof size + size;
    }
    return true;
}

static kt_code levels_load(kt_level2 *levels, uint16_t version, kt_taker *taker)
{
    kt_level2_start(levels, kt_taker_u64(taker));
    levels->continued = kt_taker_u8(taker) != 0;
    levels->price_scale = kt_taker_u8(taker);
    levels->quantity_scale = kt_taker_u8(taker);
    levels->price_digits = version > 1 ? kt_taker_u8(taker) : 0;
    levels->quantity_digits = version > 1 ? kt_taker_u8(taker) : 0;
    if (levels->price_scale > KT_SCALE_MAX || levels->quantity_scale > KT_SCALE_MAX ||
        levels->price_digits > KT_SCALE_MAX || levels->quantity_digits > KT_SCALE_MAX)
        return KT_CORRUPT;
    for (kt_level2_side side = KT_BIDS; side < KT_LEVEL2_SIDES; side++) {
        uint32_t count = kt_taker_count(taker, 2 * (8 + 1));

        for (uint32_t i = 0; i < count; i++) {
            kt_decimal price = kt_taker_decimal(taker), quantity = kt_taker_decimal(taker);
            kt_code code = KT_CORRUPT;

            if (taker->code == KT_OK && price.m > 0 && quantity.m > 0)
                code = kt_level2_set(levels, side, price, quantity);
            if (code != KT_OK)
                return code == KT_SYS ? KT_SYS : KT_CORRUPT;
        }
        if (kt_level2_count(levels, side) != count)
            return KT_CORRUPT;
    }
    return taker->code;
}

/* The rest of a book; its names are read. */
static kt_code book_load(book *b, uint16_t version, kt_taker *taker)
{
    kt_text held;

    b->live = kt_taker_u8(taker) != 0;
    b->ask_ns = kt_taker_i64(taker);
    b->failures = kt_taker_u32(taker);
    b->resyncs = kt_taker_u32(taker);
    b->told_ns = kt_taker_i64(taker);
    b->venue_time = kt_taker_i64(taker);
    b->receive_time = kt_taker_i64(taker);
    held = kt_taker_text(taker);
    if (!held_valid(held))
        return KT_CORRUPT;
    if (held.n != 0) {
        b->held = malloc(held.n);
        if (b->held == NULL)
            return KT_SYS;
        memcpy(b->held, held.s, held.n);
        b->held_size = b->held_capacity = (uint32_t)held.n;
    }
    b->ticker.venue_time = kt_taker_i64(taker);
    b->ticker.receive_time = kt_taker_i64(taker);
    b->ticker.update_id = kt_taker_u64(taker);
    b->ticker.bid = kt_taker_decimal(taker);
    b->ticker.bid_quantity = kt_taker_decimal(taker);
    b->ticker.ask = kt_taker_decimal(taker);
    b->ticker.ask_quantity = kt_taker_decimal(taker);
    return taker->code == KT_OK ? levels_load(&b->levels, version, taker) : taker->code;
}

static kt_code book_restore(books *s, uint16_t version, kt_taker *taker)
{
    kt_text name = kt_taker_text(taker), symbol = kt_taker_text(taker);
    book_venue *venue = venue_of(s, name);
    /* One of a venue that is no longer configured is read like any other, and dropped. */
    kt_config_venue gone = { .name = "gone" };
    const kt_venue_books gone_rule = { 0 };
    book_venue gone_venue = { .config = &gone, .rule = &gone_rule };
    book *b = taker->code == KT_OK ? book_new(venue != NULL ? venue : &gone_venue, symbol) : NULL;
    kt_code code = b != NULL ? book_load(b, version, taker) : KT_CORRUPT;

    if (code == KT_OK && venue != NULL && !book_register(s, b))
        code = KT_CORRUPT;
    if (code != KT_OK || venue == NULL)
        book_free(b);
    return code;
}

static kt_code venue_restore(books *s, kt_taker *taker)
{
    book_venue *venue = venue_of(s, kt_taker_text(taker));
    uint64_t request_id = kt_taker_u64(taker);
    uint32_t asked = kt_taker_u32(taker);
    int64_t next_ns = kt_taker_i64(taker);

    if (taker->code != KT_OK || venue == NULL)
        return taker->code;
    venue->next_ns = next_ns;
    venue->asked = asked;
    venue->request_id = asked < s->count && s->at[asked]->venue == venue ? request_id : 0;
    return KT_OK;
}

static kt_code books_restore(void *state, uint16_t version, kt_text bytes, kt_err *err)
{
    books *s = state;
    kt_taker taker;
    kt_code code = KT_OK;
    uint32_t count;

    if (version != SNAPSHOT_VERSION && version != SNAPSHOT_VERSION - 1)
        return kt_fail(err, KT_VERSION, "snapshot of service book has version %u, this program reads %u and %u",
            version, SNAPSHOT_VERSION - 1, SNAPSHOT_VERSION);
    kt_taker_init(&taker, bytes.s, bytes.n);
    count = kt_taker_count(&taker, 64);
    for (uint32_t i = 0; code == KT_OK && i < count; i++)
        code = book_restore(s, version, &taker);
    count = kt_taker_count(&taker, 4 + 8 + 4 + 8);
    for (uint32_t i = 0; code == KT_OK && i < count; i++)
        code = venue_restore(s, &taker);
    if (code == KT_OK)
        code = kt_taker_end(&taker);
    return code == KT_OK ? KT_OK : kt_fail(err, code, "snapshot of service book does not read");
}

static const char *const book_subjects[] = { "feed.>", "answer.>", "lane.start.>", NULL };

static const kt_service_action book_actions[] = {
    { .name = "book.snapshot" },
    { .name = "ticker.latest" },
    { .name = NULL },
};

const kt_service_spec kt_book_service = {
    .name = "book",
    .version = SNAPSHOT_VERSION,
    .subjects = book_subjects,
    .actions = book_actions,
    .start = books_start,
    .on_event = books_event,
    .on_timer = books_timer,
    .on_call = books_call,
    .snapshot = books_snapshot,
    .restore = books_restore,
    .stop = books_stop,
};
