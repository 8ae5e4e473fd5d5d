#include "simulate/judge.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/text.h"
#include "base/time.h"
#include "log/reader.h"
#include "schema/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEN_MAX = 1 << 16,  /* records of a log that are remembered */
    LOST_MAX = 1 << 14,  /* lost records that are remembered */
    TWINS_MAX = 256,     /* outputs of one input that are compared */
    MARKS_MORE = 1 << 12 /* seconds by which the table of marks grows */
};

/* What was seen of a record. */
typedef struct seen {
    uint64_t content; /* hash of kind, flags, time, cause and payload */
    uint64_t subject; /* hash of its name */
    uint64_t epoch, offset;
} seen;

typedef struct log_state {
    kt_reader *reader;
    seen *ring;        /* by seq */
    uint64_t last;     /* seq of the last record seen */
    uint64_t first;    /* of the first that is remembered */
    uint64_t durable;  /* greatest durable ever published */
    uint64_t recheck;  /* after a power cut: records up to here were seen before; 0: none */
    bool cut;          /* to be opened anew */
    uint64_t *offsets; /* last of each subject id */
    bool *known;
    uint32_t subject_room;
    uint64_t cause; /* outputs of this input so far */
    uint64_t twins[TWINS_MAX];
    uint32_t twin_count;
} log_state;

typedef struct true_trade {
    int64_t time_ns;
    int64_t price, quantity;
    uint64_t number;
    kt_i128 pq, q; /* sums of all trades before this one */
} true_trade;

typedef struct symbol {
    true_trade *trades;
    uint32_t count, room;
    kt_i128 pq, q;
    int64_t first_ns, last_ns, checked_s;
    /* Of each format: time of the first trade that its stream gave, 0: none, so nobody knows of the symbol; and the record's seq. */
    int64_t heard_ns[2];
    uint64_t heard_seq[2];
    uint8_t *
        marks; /* of each second from first_s on: bit (format * KT_JUDGE_WINDOW_MAX + window) of its validated averages */
    int64_t first_s;
    uint32_t mark_room;
} symbol;

typedef struct market {
    kt_sim_market *sim;
    symbol *symbols;
    uint32_t count;
} market;

struct kt_judge {
    kt_judge_options options;
    log_state logs[KT_JUDGE_LOG_MAX];
    uint32_t log_count;
    market markets[KT_JUDGE_MARKET_MAX];
    kt_map_u64 symbols; /* hash of "{venue}.{symbol}" as it stands in subjects: market << 17 | symbol << 1 | format */
    void *symbols_mem;
    int64_t keep_ns;
    int64_t late_ns; /* when marks that are late are looked for again */
    seen lost[LOST_MAX];
    uint32_t lost_count;
    kt_judge_counts counts;
};

#define FAIL(judge, ...) (judge)->options.failed((judge)->options.ctx, __VA_ARGS__)

static void *must(void *mem)
{
    kt_assert(mem != NULL);
    return mem;
}

/* ---- the truth ---- */

static void take_trade(kt_judge *judge, symbol *own, const kt_sim_trade *trade)
{
    true_trade kept = { .time_ns = trade->time_ms * KT_NS_PER_MS,
        .price = trade->price,
        .quantity = trade->quantity,
        .number = trade->number,
        .pq = own->pq,
        .q = own->q };

    if (own->count > 0)
        kt_assert(kept.time_ns >= own->trades[own->count - 1].time_ns);
    if (own->count == own->room && own->count > 0 &&
        own->trades[own->count / 2].time_ns < kept.time_ns - judge->keep_ns) {
        own->count -= own->count / 2; /* the older half is not asked for any more */
        memmove(own->trades, own->trades + (own->room - own->count), own->count * sizeof *own->trades);
    }
    if (own->count == own->room) {
        own->room = own->room * 2 + 64;
        own->trades = must(realloc(own->trades, own->room * sizeof *own->trades));
    }
    own->trades[own->count++] = kept;
    own->pq += (kt_i128)trade->price * trade->quantity;
    own->q += trade->quantity;
    own->last_ns = kept.time_ns;
    if (own->first_ns == 0) {
        own->first_ns = kept.time_ns;
        own->first_s = (kept.time_ns + KT_NS_PER_S - 1) / KT_NS_PER_S;
        own->checked_s = own->first_s;
    }
    judge->counts.truths++;
}

/* Index of the first trade at or after this time. */
static uint32_t trade_from(const symbol *own, int64_t time_ns)
{
    uint32_t low = 0, high = own->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (own->trades[middle].time_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Sums of the trades in [from_ns, to_ns], both ends in, at scales 16 and 8. Returns how many. */
static uint64_t true_sums(const symbol *own, int64_t from_ns, int64_t to_ns, kt_i128 *out_pq, kt_i128 *out_q)
{
    uint32_t from = trade_from(own, from_ns), to = trade_from(own, to_ns + 1);
    bool last = to == own->count, none = from == own->count;

    *out_pq = (last ? own->pq : own->trades[to].pq) - (none ? own->pq : own->trades[from].pq);
    *out_q = (last ? own->q : own->trades[to].q) - (none ? own->q : own->trades[from].q);
    return to - from;
}

static bool has_mark(const symbol *own, int64_t mark_s, uint32_t bit)
{
    int64_t at = mark_s - own->first_s;

    return at >= 0 && at < own->mark_room && (own->marks[at] & 1 << bit) != 0;
}

static void set_mark(symbol *own, int64_t mark_s, uint32_t bit)
{
    int64_t at = mark_s - own->first_s;

    if (at < 0)
        return;
    if (at >= own->mark_room) {
        uint32_t room = (uint32_t)at + MARKS_MORE;
        own->marks = must(realloc(own->marks, room));
        memset(own->marks + own->mark_room, 0, room - own->mark_room);
        own->mark_room = room;
    }
    own->marks[at] |= (uint8_t)(1 << bit);
}

/* The first mark up to `to_s` that should have been validated and has not; INT64_MAX: none. */
static int64_t missing_mark(const kt_judge *judge, const symbol *own, int64_t from_s, int64_t to_s, uint32_t *out_bit)
{
    kt_i128 pq, q;

    for (int64_t s = from_s; s <= to_s && own->first_ns != 0 && s * KT_NS_PER_S < own->last_ns; s++)
        for (uint32_t w = 0; w < judge->options.window_count; w++)
            for (uint32_t f = 0; f < 2; f++) {
                *out_bit = f * KT_JUDGE_WINDOW_MAX + w;
                if (own->heard_ns[f] != 0 && s * KT_NS_PER_S >= own->heard_ns[f] && !has_mark(own, s, *out_bit) &&
                    true_sums(own, s * KT_NS_PER_S - judge->options.windows_ns[w], s * KT_NS_PER_S, &pq, &q) > 0)
                    return s;
            }
    return INT64_MAX;
}

static void describe_mark(
    const kt_judge *judge, const market *of, uint32_t index, int64_t mark_s, uint32_t bit, char *out, size_t size)
{
    const kt_sim_symbol *named = kt_sim_symbol_at(of->sim, index);

    snprintf(out, size, "no validated average of %s.%s at mark %lld s over %lld s ever came",
        judge->options.venues[bit / KT_JUDGE_WINDOW_MAX], named->text[0], (long long)mark_s,
        (long long)(judge->options.windows_ns[bit % KT_JUDGE_WINDOW_MAX] / KT_NS_PER_S));
}

/* Once a second: of many symbols a look costs more than a step. */
static void check_late_marks(kt_judge *judge, int64_t now_ns)
{
    char why[256];

    if (now_ns < judge->late_ns)
        return;
    judge->late_ns = now_ns + KT_NS_PER_S;
    for (uint32_t m = 0; m < judge->options.market_count && judge->options.lag_ns != INT64_MAX; m++)
        for (uint32_t i = 0; i < judge->markets[m].count; i++) {
            symbol *own = &judge->markets[m].symbols[i];
            int64_t to_s = (now_ns - judge->options.lag_ns) / KT_NS_PER_S;
            uint32_t bit;
            if (own->first_ns == 0 || to_s <= own->checked_s)
                continue;
            int64_t missing = missing_mark(judge, own, own->checked_s, to_s - 1, &bit);
            if (missing != INT64_MAX) {
                describe_mark(judge, &judge->markets[m], i, missing, bit, why, sizeof why);
                FAIL(judge, "%s", why);
            }
            own->checked_s = to_s;
        }
}

void kt_judge_truth(kt_judge *judge, int64_t now_ns)
{
    const kt_sim_trade *next;

    for (uint32_t m = 0; m < judge->options.market_count; m++)
        while ((next = kt_sim_market_peek(judge->markets[m].sim)) != NULL && next->at_ns <= now_ns) {
            take_trade(judge, &judge->markets[m].symbols[next->symbol], next);
            kt_sim_market_take(judge->markets[m].sim);
        }
    check_late_marks(judge, now_ns);
}

bool kt_judge_complete(const kt_judge *judge, int64_t mark_ns, char *out_why, size_t why_size)
{
    for (uint32_t m = 0; m < judge->options.market_count; m++)
        for (uint32_t i = 0; i < judge->markets[m].count; i++) {
            const symbol *own = &judge->markets[m].symbols[i];
            uint32_t bit;
            int64_t missing = missing_mark(judge, own, own->checked_s, mark_ns / KT_NS_PER_S, &bit);
            if (missing == INT64_MAX)
                continue;
            describe_mark(judge, &judge->markets[m], i, missing, bit, out_why, why_size);
            return false;
        }
    return true;
}

int64_t kt_judge_last_ns(const kt_judge *judge)
{
    int64_t last = 0;

    for (uint32_t m = 0; m < judge->options.market_count; m++)
        for (uint32_t i = 0; i < judge->markets[m].count; i++)
            if (judge->markets[m].symbols[i].last_ns > last)
                last = judge->markets[m].symbols[i].last_ns;
    return last;
}

/* "{venue}.{symbol}" at the end of the subject, behind its first `part` tokens; NULL: a composite, or not of these venues. */
static symbol *symbol_of(kt_judge *judge, kt_text subject, uint32_t part, uint32_t *out_format)
{
    kt_text venue = kt_subject_part(subject, part);
    uint32_t found;

    if (venue.n == 0 || kt_subject_part(subject, part + 1).n == 0)
        return NULL;
    if (kt_map_u64_get(&judge->symbols, kt_hash64(venue.s, (size_t)(subject.s + subject.n - venue.s), 0), &found) !=
        KT_OK)
        return NULL;
    *out_format = found & 1;
    return &judge->markets[found >> 17].symbols[found >> 1 & 0xFFFF];
}

static kt_i128 at_scale(kt_sum sum, uint8_t scale)
{
    kt_i128 value = kt_sum_value(sum);

    return sum.scale <= scale ? value * kt_pow10_i128((uint32_t)(scale - sum.scale))
                              : value / kt_pow10_i128((uint32_t)(sum.scale - scale));
}

static void judge_vwap(kt_judge *judge, const kt_rec *rec, kt_text subject, const kt_ev_vwap *value)
{
    uint32_t format, window = 0;
    symbol *own = symbol_of(judge, subject, 2, &format);
    kt_i128 pq, q;

    judge->counts.values++;
    while (window < judge->options.window_count && judge->options.windows_ns[window] != value->window)
        window++;
    if (own == NULL || !value->validated || window == judge->options.window_count)
        return;
    judge->counts.validated++;
    uint64_t trades = true_sums(own, value->mark - value->window, value->mark, &pq, &q);
    if (trades != value->trades || pq != at_scale(value->sum_pq, 2 * KT_SIM_SCALE) ||
        q != at_scale(value->sum_q, KT_SIM_SCALE))
        FAIL(judge, "record %llu: the validated %.*s at mark %lld s has %llu trades, the venue had %llu, or other sums",
            (unsigned long long)rec->seq, KT_TEXT_ARG(subject), (long long)(value->mark / KT_NS_PER_S),
            (unsigned long long)value->trades, (unsigned long long)trades);
    set_mark(own, value->mark / KT_NS_PER_S, format * KT_JUDGE_WINDOW_MAX + window);
}

static void judge_trade(kt_judge *judge, const kt_rec *rec, kt_text subject, const kt_ev_trade *trade)
{
    uint32_t format;
    symbol *own = symbol_of(judge, subject, 1, &format);
    int64_t price = 0, quantity = 0;

    judge->counts.trades++;
    if (own != NULL && trade->source == KT_SOURCE_STREAM &&
        (own->heard_ns[format] == 0 || trade->venue_time < own->heard_ns[format])) {
        own->heard_ns[format] = trade->venue_time;
        own->heard_seq[format] = rec->seq;
    }
    if (own == NULL || !trade->validated || trade->trade_number == 0)
        return;
    for (uint32_t i = trade_from(own, trade->venue_time); i < own->count && own->trades[i].time_ns == trade->venue_time;
         i++)
        if (own->trades[i].number == trade->trade_number &&
            kt_decimal_rescale(trade->price, KT_SIM_SCALE, &price) == KT_OK &&
            kt_decimal_rescale(trade->quantity, KT_SIM_SCALE, &quantity) == KT_OK && price == own->trades[i].price &&
            quantity == own->trades[i].quantity)
            return;
    if (own->count > 0 && trade->venue_time >= own->trades[0].time_ns)
        FAIL(judge, "record %llu: the validated trade %llu on %.*s is none of the venue's",
            (unsigned long long)rec->seq, (unsigned long long)trade->trade_number, KT_TEXT_ARG(subject));
}

/* ---- order ---- */

static seen *seen_at(log_state *log, uint64_t seq)
{
    return &log->ring[seq % SEEN_MAX];
}

static void remember_lost(kt_judge *judge, const seen *record)
{
    uint64_t place = record->subject ^ record->epoch ^ record->offset * UINT64_C(0x9E3779B97F4A7C15);

    if (judge->lost_count >= LOST_MAX / 2)
        return;
    while (judge->lost[place % LOST_MAX].epoch != 0)
        place++;
    judge->lost[place % LOST_MAX] = *record;
    judge->lost_count++;
}

static const seen *find_lost(const kt_judge *judge, const seen *record)
{
    uint64_t place = record->subject ^ record->epoch ^ record->offset * UINT64_C(0x9E3779B97F4A7C15);

    for (; judge->lost[place % LOST_MAX].epoch != 0; place++) {
        const seen *one = &judge->lost[place % LOST_MAX];
        if (one->subject == record->subject && one->epoch == record->epoch && one->offset == record->offset)
            return one;
    }
    return NULL;
}

static void check_offset(kt_judge *judge, log_state *log, const kt_rec *rec, kt_text subject)
{
    if (rec->subject >= log->subject_room) {
        uint32_t room = rec->subject + 256;
        log->offsets = must(realloc(log->offsets, room * sizeof *log->offsets));
        log->known = must(realloc(log->known, room * sizeof *log->known));
        memset(log->known + log->subject_room, 0, (room - log->subject_room) * sizeof *log->known);
        log->subject_room = room;
    }
    if (log->known[rec->subject] && rec->offset != log->offsets[rec->subject] + 1)
        FAIL(judge, "record %llu has offset %llu of '%.*s' behind offset %llu", (unsigned long long)rec->seq,
            (unsigned long long)rec->offset, KT_TEXT_ARG(subject), (unsigned long long)log->offsets[rec->subject]);
    log->known[rec->subject] = true;
    log->offsets[rec->subject] = rec->offset;
}

/* The same output twice behind one input. */
static void check_twin(kt_judge *judge, log_state *log, const kt_rec *rec, kt_text subject, uint64_t content)
{
    if ((rec->flags & KT_REC_OUTPUT) == 0)
        return;
    if (rec->cause != log->cause) {
        log->cause = rec->cause;
        log->twin_count = 0;
    }
    for (uint32_t i = 0; i < log->twin_count; i++)
        if (log->twins[i] == content)
            FAIL(judge, "record %llu: the output '%.*s' of input %llu stands twice", (unsigned long long)rec->seq,
                KT_TEXT_ARG(subject), (unsigned long long)rec->cause);
    if (log->twin_count < TWINS_MAX)
        log->twins[log->twin_count++] = content;
}

static void judge_record(kt_judge *judge, log_state *log, const kt_rec *rec)
{
    kt_text subject = kt_reader_subject(log->reader, rec->subject);
    kt_reader_subject_info info = { 0 };
    kt_event_any event;
    seen now = { .subject = kt_hash64(subject.s, subject.n, 0), .offset = rec->offset };
    bool again = rec->seq <= log->recheck && rec->seq >= log->first;

    if (rec->subject == 0)
        now.epoch = kt_reader_epoch(log->reader);
    else if (kt_reader_subject_find(log->reader, subject, &info) == KT_OK)
        now.epoch = info.epoch;
    now.content = kt_hash64(kt_rec_payload(rec), kt_rec_payload_size(rec),
        rec->kind ^ (uint64_t)rec->flags << 16 ^ (uint64_t)rec->time_ns ^ rec->cause << 1 ^ now.subject);
    check_offset(judge, log, rec, subject);
    if (again && memcmp(&now, seen_at(log, rec->seq), sizeof now) == 0)
        return; /* it was there before the power went, and still is */
    if (again && rec->seq <= log->durable) {
        FAIL(judge, "record %llu of log %s was durable and is another one after the power cut",
            (unsigned long long)rec->seq, judge->options.dirs[log - judge->logs]);
        return;
    }
    for (uint64_t seq = rec->seq; again && seq <= log->recheck; seq++) { /* from here on all is lost */
        remember_lost(judge, seen_at(log, seq));
        judge->counts.unwritten++;
    }
    if (again)
        log->recheck = 0;
    /* The seal that makes room for the record of new epochs stands before it, and belongs to them: the next segment's table says so. */
    bool seals = rec->subject == 0 && rec->kind == KT_CTL_SEAL;
    const seen *lost = seals ? NULL : find_lost(judge, &now);
    if (lost != NULL && lost->content != now.content)
        FAIL(judge,
            "record %llu: offset %llu of '%.*s' in epoch %016llx was another event, which a power cut took back",
            (unsigned long long)rec->seq, (unsigned long long)now.offset, KT_TEXT_ARG(subject),
            (unsigned long long)now.epoch);
    check_twin(judge, log, rec, subject, now.content);
    *seen_at(log, rec->seq) = now;
    log->last = rec->seq;
    if (log->first == 0 || log->last - log->first >= SEEN_MAX)
        log->first = log->last < SEEN_MAX ? 1 : log->last - SEEN_MAX + 1;
    judge->counts.records++;
    judge->counts.hash = kt_hash64(&now, sizeof now, judge->counts.hash);
    if (rec->kind == KT_EV_VWAP &&
        kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) == KT_OK)
        judge_vwap(judge, rec, subject, &event.vwap);
    if (rec->kind == KT_EV_TRADE &&
        kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event) == KT_OK)
        judge_trade(judge, rec, subject, &event.trade);
}

static bool open_reader(kt_judge *judge, log_state *log, const char *dir)
{
    kt_err err = { 0 };

    if (log->reader != NULL)
        return true;
    kt_code code = kt_reader_open(dir, judge->options.boot_id, &log->reader, &err);
    if (code == KT_NOENT)
        return false;
    if (code != KT_OK) {
        FAIL(judge, "log %s can not be read: %s", dir, err.msg);
        return false;
    }
    if (!log->cut)
        return true;
    memset(log->known, 0, log->subject_room * sizeof *log->known);
    log->cause = 0;
    log->recheck = log->last;
    log->cut = false;
    if (kt_reader_written(log->reader) < log->durable)
        FAIL(judge, "log %s ends at %llu after a power cut; %llu was durable", dir,
            (unsigned long long)kt_reader_written(log->reader), (unsigned long long)log->durable);
    return true;
}

void kt_judge_look(kt_judge *judge, uint32_t index)
{
    log_state *log = &judge->logs[index];
    const char *dir = judge->options.dirs[index];
    const kt_rec *rec;
    kt_code code;

    if (!open_reader(judge, log, dir))
        return;
    while ((code = kt_reader_next(log->reader, UINT64_MAX, &rec)) == KT_OK)
        judge_record(judge, log, rec);
    if (code != KT_EMPTY)
        FAIL(judge, "log %s can not be read at %llu: %s", dir, (unsigned long long)kt_reader_position(log->reader),
            kt_reader_error(log->reader)->msg);
    uint64_t durable = kt_reader_durable(log->reader);
    if (durable > kt_reader_written(log->reader))
        FAIL(judge, "log %s is durable to %llu and written to %llu", dir, (unsigned long long)durable,
            (unsigned long long)kt_reader_written(log->reader));
    if (durable > log->durable)
        log->durable = durable;
}

/* What the house heard of a symbol and may have lost: it knows no more of it than before. */
static void forget_lost(symbol *own, uint64_t durable)
{
    for (uint32_t f = 0; f < 2; f++)
        if (own->heard_seq[f] > durable)
            own->heard_ns[f] = 0;
}

void kt_judge_power_cut(kt_judge *judge)
{
    for (uint32_t i = 0; i < judge->log_count; i++) {
        log_state *log = &judge->logs[i];
        if (log->reader == NULL)
            continue;
        kt_reader_close(log->reader);
        log->reader = NULL;
        log->cut = true;
    }
    for (uint32_t m = 0; m < judge->options.market_count; m++)
        for (uint32_t i = 0; i < judge->markets[m].count; i++)
            forget_lost(&judge->markets[m].symbols[i], judge->logs[0].durable);
}

uint64_t kt_judge_durable(const kt_judge *judge, uint32_t log)
{
    return judge->logs[log].durable;
}

kt_code kt_judge_end_of(kt_judge *judge, uint32_t index, kt_text subject, uint64_t *out_epoch, uint64_t *out_offset)
{
    log_state *log = &judge->logs[index];
    kt_reader_subject_info info;

    if (log->reader == NULL || kt_reader_subject_find(log->reader, subject, &info) != KT_OK)
        return KT_NOENT;
    *out_epoch = info.epoch;
    *out_offset = info.id < log->subject_room && log->known[info.id] ? log->offsets[info.id] : 0;
    return KT_OK;
}

kt_judge_counts kt_judge_count(const kt_judge *judge)
{
    return judge->counts;
}

/* ---- life ---- */

static kt_code name_symbols(kt_judge *judge, uint32_t index, kt_err *err)
{
    market *own = &judge->markets[index];

    for (uint32_t i = 0; i < own->count; i++)
        for (uint32_t f = 0; f < 2; f++) {
            const kt_sim_symbol *named = kt_sim_symbol_at(own->sim, i);
            char mem[KT_SUBJECT_MAX + 1];
            kt_builder builder;
            if (judge->options.venues[f] == NULL)
                continue;
            kt_builder_init(&builder, mem, sizeof mem);
            kt_builder_str(&builder, judge->options.venues[f]);
            if (judge->options.market_count > 1)
                kt_builder_format(&builder, "%u", index);
            kt_builder_char(&builder, '.');
            kt_subject_token(&builder, f == 0 ? named->ticker.symbol : named->pair.symbol);
            kt_text name = kt_builder_done(&builder);
            if (kt_map_u64_put(&judge->symbols, kt_hash64(name.s, name.n, 0), index << 17 | i << 1 | f) != KT_OK)
                return kt_fail(err, KT_FULL, "too many symbols");
        }
    return KT_OK;
}

kt_code kt_judge_new(const kt_judge_options *options, kt_judge **out_judge, kt_err *err)
{
    kt_judge *judge = must(calloc(1, sizeof *judge));
    uint32_t names = 2 * KT_JUDGE_MARKET_MAX * KT_SIM_SYMBOL_MAX;
    kt_code code = KT_OK;

    judge->options = *options;
    for (uint32_t i = 0; i < options->window_count; i++)
        if (options->windows_ns[i] > judge->keep_ns)
            judge->keep_ns = options->windows_ns[i];
    judge->keep_ns += options->lag_ns == INT64_MAX ? INT64_MAX / 2 : 2 * options->lag_ns;
    judge->symbols_mem = must(malloc(kt_map_u64_mem_size(names)));
    kt_map_u64_init(&judge->symbols, judge->symbols_mem, names, 1);
    while (judge->log_count < KT_JUDGE_LOG_MAX && options->dirs[judge->log_count] != NULL)
        judge->logs[judge->log_count++].ring = must(calloc(SEEN_MAX, sizeof(seen)));
    for (uint32_t m = 0; m < options->market_count && code == KT_OK; m++) {
        code = kt_sim_market_open(&options->markets[m], &judge->markets[m].sim, err);
        if (code != KT_OK)
            break;
        judge->markets[m].count = kt_sim_symbol_count(judge->markets[m].sim);
        judge->markets[m].symbols = must(calloc(judge->markets[m].count, sizeof(symbol)));
        code = name_symbols(judge, m, err);
    }
    if (code != KT_OK) {
        kt_judge_free(judge);
        return code;
    }
    *out_judge = judge;
    return KT_OK;
}

void kt_judge_free(kt_judge *judge)
{
    if (judge == NULL)
        return;
    for (uint32_t i = 0; i < judge->log_count; i++) {
        kt_reader_close(judge->logs[i].reader);
        free(judge->logs[i].ring);
        free(judge->logs[i].offsets);
        free(judge->logs[i].known);
    }
    for (uint32_t m = 0; m < judge->options.market_count; m++) {
        for (uint32_t i = 0; i < judge->markets[m].count; i++) {
            free(judge->markets[m].symbols[i].trades);
            free(judge->markets[m].symbols[i].marks);
        }
        free(judge->markets[m].symbols);
        if (judge->markets[m].sim != NULL)
            kt_sim_market_close(judge->markets[m].sim);
    }
    free(judge->symbols_mem);
    free(judge);
}
