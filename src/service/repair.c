#include "service/repair.h"

#include "base/assert.h"

void kt_repair_init(kt_repair *repair, const kt_repair_rules *rules)
{
    kt_assert(rules->page > 1);
    *repair = (kt_repair){ .rules = *rules, .from_ns = INT64_MAX, .step = rules->page };
}

static bool covered(const kt_repair *repair)
{
    return repair->from_ns != INT64_MAX;
}

bool kt_repair_seen(kt_repair *repair, int64_t time_ns, uint64_t number)
{
    int64_t start = time_ns > repair->rules.back_ns ? time_ns - repair->rules.back_ns : 0;

    if (repair->phase == KT_REPAIR_WAIT) {
        repair->phase = repair->rules.numbered ? KT_REPAIR_SEEK : KT_REPAIR_FORWARD;
        repair->start_ns = start;
        repair->cursor_ns = start;
        repair->cover_ns = start;
        repair->seek_high = number;
        return true;
    }
    if (start < repair->start_ns) {
        repair->start_ns = start;
        repair->seek_low = 0; /* may not lie before the new start */
    }
    return false;
}

bool kt_repair_passed(const kt_repair *repair, int64_t time_ns, uint64_t number)
{
    uint64_t below = repair->next > repair->reached ? repair->next : repair->reached;
    int64_t before = repair->cursor_ns > repair->resume_ns ? repair->cursor_ns : repair->resume_ns;

    if (!covered(repair))
        return false;
    return repair->rules.numbered ? number >= repair->first && number < below
                                  : time_ns >= repair->from_ns && time_ns < before;
}

/* The number to look at while seeking. */
static uint64_t seek_number(const kt_repair *repair)
{
    if (repair->seek_low != 0)
        return repair->seek_low + (repair->seek_high - repair->seek_low) / 2;
    return repair->seek_high > repair->step ? repair->seek_high - repair->step : 1;
}

void kt_repair_question(kt_repair *repair, kt_ev_request *request)
{
    kt_assert(repair->phase != KT_REPAIR_WAIT);
    request->what = repair->rules.numbered ? KT_WHAT_TRADES_BY_ID : KT_WHAT_TRADES_BY_TIME;
    request->limit = repair->phase == KT_REPAIR_SEEK ? 1 : repair->rules.page;
    request->from_id = 0;
    request->from_time = 0;
    if (repair->phase == KT_REPAIR_SEEK)
        request->from_id = seek_number(repair) + repair->skip;
    else if (repair->rules.numbered)
        request->from_id = repair->next + repair->skip;
    else if (repair->phase == KT_REPAIR_FORWARD)
        request->from_time = repair->cursor_ns;
    repair->asked = request->from_id;
}

/* The way begins at number `from`. */
static void forward_begin(kt_repair *repair, uint64_t from, bool from_start)
{
    repair->phase = KT_REPAIR_FORWARD;
    repair->cover_ns = from_start ? 0 : repair->start_ns;
    repair->row_ns = 0;
    if (!repair->again)
        repair->first = from;
    else if (from >= repair->first)
        from = repair->first; /* nothing to be gone again */
    repair->next = from;
    if (repair->again)
        repair->seek_high = from; /* where the new way begins */
}

static void answer_seek(kt_repair *repair, const kt_row_trade *rows, uint32_t count, kt_repair_step *step)
{
    uint64_t asked = repair->asked;

    if (count == 0)
        return; /* REST is behind the stream */
    step->more = true;
    if (rows[0].trade_number > asked || asked <= 1 + repair->skip) {
        step->from_start = true;
        forward_begin(repair, rows[0].trade_number, true);
        return;
    }
    if (rows[0].venue_time < repair->start_ns) {
        repair->seek_low = asked;
    } else {
        repair->seek_high = asked;
        repair->step *= repair->seek_low == 0 ? 2 : 1;
    }
    if (repair->seek_low != 0 && repair->seek_high - repair->seek_low <= repair->rules.page)
        forward_begin(repair, repair->seek_low, false);
}

static void until_move(kt_repair *repair, int64_t time_ns)
{
    repair->until_ns = time_ns > repair->until_ns ? time_ns : repair->until_ns;
}

/* The way is gone: what it covers counts from now on. Gone again, it goes on where it had been. */
static void way_gone(kt_repair *repair)
{
    repair->from_ns = repair->cover_ns;
    if (!repair->again)
        return;
    repair->again = false;
    repair->first = repair->seek_high;
    repair->next = repair->next > repair->reached ? repair->next : repair->reached;
    repair->row_ns = repair->until_ns;
    repair->cursor_ns = repair->cursor_ns > repair->resume_ns ? repair->cursor_ns : repair->resume_ns;
}

static void answer_numbers(
    kt_repair *repair, const kt_row_trade *rows, uint32_t count, uint32_t row_count, kt_repair_step *step)
{
    uint64_t *first = repair->again ? &repair->seek_high : &repair->first;
    bool begins = repair->row_ns == 0;

    step->take = true;
    step->take_from_ns = repair->cover_ns;
    step->take_from = repair->next;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].trade_number >= repair->next)
            repair->next = rows[i].trade_number + 1;
        if (begins && rows[i].venue_time < repair->cover_ns)
            *first = rows[i].trade_number + 1; /* the way begins up to a page before the start: these are not taken */
        repair->row_ns = rows[i].venue_time;
        until_move(repair, rows[i].venue_time);
    }
    step->more = count > 0 && row_count >= repair->rules.page;
    if (count > 0 && (!covered(repair) || (repair->again && repair->next >= repair->first)))
        way_gone(repair);
    step->below = repair->again ? 0 : repair->next;
}

static void answer_times(
    kt_repair *repair, const kt_row_trade *rows, uint32_t count, uint32_t row_count, kt_repair_step *step)
{
    int64_t asked_ms = repair->cursor_ns / KT_NS_PER_MS;
    bool full = row_count >= repair->rules.page;
    int64_t last;

    step->take = true;
    step->take_from_ns = asked_ms * KT_NS_PER_MS; /* what was before has been given, and may be forgotten */
    if (count == 0)
        return;
    last = rows[count - 1].venue_time;
    until_move(repair, last);
    step->more = full;
    if (full && last / KT_NS_PER_MS <= asked_ms) {
        step->full_ms = step->hole = true;
        step->hole_from_ns = asked_ms * KT_NS_PER_MS;
        step->hole_to_ns = (asked_ms + 1) * KT_NS_PER_MS - 1;
        repair->full_count++;
        repair->cursor_ns = (asked_ms + 1) * KT_NS_PER_MS;
    } else if (last > repair->cursor_ns) {
        repair->cursor_ns = last;
    }
    if (repair->first_row_ns == 0 || rows[0].venue_time < repair->first_row_ns)
        repair->first_row_ns = rows[0].venue_time;
    if (!covered(repair)) {
        repair->phase = KT_REPAIR_PROBE;
        step->more = true;
    } else if (repair->again && (repair->cursor_ns >= repair->from_ns || !full)) {
        way_gone(repair);
    }
    step->before_ns = repair->again || !covered(repair) ? 0 : repair->cursor_ns;
}

static void answer_probe(kt_repair *repair, const kt_row_trade *rows, uint32_t count, kt_repair_step *step)
{
    repair->phase = KT_REPAIR_FORWARD;
    step->more = true;
    if (count > 0 && rows[0].venue_time == repair->first_row_ns) {
        repair->cover_ns = 0;
        step->from_start = true;
    }
    way_gone(repair);
    step->before_ns = repair->cursor_ns;
}

kt_repair_step kt_repair_answer(kt_repair *repair, const kt_row_trade *rows, uint32_t count, uint32_t row_count)
{
    kt_repair_step step = { 0 };
    bool forward = repair->phase == KT_REPAIR_FORWARD;
    bool whole = row_count <= count;
    int64_t row_ns = !repair->rules.numbered ? repair->cursor_ns
                     : repair->row_ns != 0   ? repair->row_ns
                                             : repair->cover_ns;

    repair->invalid += whole ? 0 : row_count - count;
    if (count == 0 && (!whole || repair->skip != 0)) {
        step.more = repair->rules.numbered && repair->skip == 0;
        step.failed = !step.more;
        repair->skip = step.more ? row_count : 0;
        return step;
    }
    repair->failures = 0;
    if (forward && (!whole || repair->skip != 0)) {
        step.hole = true;
        step.hole_from_ns = row_ns;
        step.hole_to_ns = rows[whole ? 0 : count - 1].venue_time;
    }
    if (repair->phase == KT_REPAIR_SEEK)
        answer_seek(repair, rows, count, &step);
    else if (repair->phase == KT_REPAIR_PROBE)
        answer_probe(repair, rows, count, &step);
    else if (repair->rules.numbered)
        answer_numbers(repair, rows, count, row_count, &step);
    else
        answer_times(repair, rows, count, row_count, &step);
    repair->skip = 0;

    if (covered(repair) && repair->from_ns != 0 && repair->start_ns < repair->from_ns && !repair->again) {
        repair->again = true;
        repair->cover_ns = repair->start_ns;
        repair->reached = repair->next;
        repair->resume_ns = repair->cursor_ns;
        repair->cursor_ns = repair->start_ns;
        repair->seek_low = 0;
        repair->seek_high = repair->first;
        repair->step = repair->rules.page;
        repair->phase = repair->rules.numbered ? KT_REPAIR_SEEK : KT_REPAIR_FORWARD;
        step.more = true;
    }
    return step;
}

int64_t kt_repair_wait_ns(const kt_repair *repair, bool more, uint64_t unsettled)
{
    if (more)
        return 0;
    return unsettled > 0 || !covered(repair) ? repair->rules.poll_ns : KT_REPAIR_IDLE_NS;
}

int64_t kt_repair_failed_ns(kt_repair *repair)
{
    uint32_t doublings = repair->failures < 16 ? repair->failures : 16;
    int64_t wait = KT_REPAIR_RETRY_NS << doublings;

    repair->failures++;
    repair->skip = 0; /* whether the page before is valid by now is asked first */
    return wait < KT_REPAIR_RETRY_MAX_NS ? wait : KT_REPAIR_RETRY_MAX_NS;
}

#define NUMBERS(X) \
    X(phase)       \
    X(request_id)  \
    X(failures)    \
    X(start_ns)    \
    X(until_ns)    \
    X(from_ns)     \
    X(cover_ns)    \
    X(full_count)  \
    X(invalid)     \
    X(again)       \
    X(first)       \
    X(next)        \
    X(reached)     \
    X(seek_low)    \
    X(seek_high)   \
    X(step)        \
    X(asked)       \
    X(skip)        \
    X(row_ns)      \
    X(cursor_ns)   \
    X(resume_ns)   \
    X(first_row_ns)

void kt_repair_save(const kt_repair *repair, kt_writer *writer)
{
#define SAVE(name) kt_writer_u64(writer, (uint64_t)repair->name);
    NUMBERS(SAVE)
#undef SAVE
}

kt_code kt_repair_load(kt_repair *repair, kt_taker *taker)
{
#define LOAD(name) repair->name = (__typeof__(repair->name))kt_taker_u64(taker);
    NUMBERS(LOAD)
#undef LOAD
    if (taker->code != KT_OK || repair->phase > KT_REPAIR_PROBE || repair->step == 0)
        return KT_CORRUPT;
    return KT_OK;
}
