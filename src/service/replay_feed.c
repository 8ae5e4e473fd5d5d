#include "service/replay_feed.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "log/reader.h"
#include "log/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH = 1024,        /* inputs of one turn, so that others have theirs */
    ID_MAX = 1024,       /* requests whose answer is awaited; the oldest is forgotten */
    RETRY_MS = 100,      /* a lane that takes no input now */
    FOLLOW_MS = 50,      /* a log that may grow: nobody rings for this reader */
    DIFFERENT_TOLD = 10, /* differences that are told one by one */
};

#define PASSED UINT64_MAX /* an input that was done, and whose outputs are not there to be compared */

typedef struct request_ids {
    uint64_t recorded, now;
} request_ids;

typedef struct replay_feed {
    kt_lane *lane;
    kt_replay *replay;
    kt_reader *recorded;
    kt_reader *mine;         /* this lane's own log, from its beginning */
    const kt_rec *next;      /* of `recorded`, not yet done */
    const kt_rec *held;      /* of `mine`, not yet looked at */
    uint64_t standing;       /* last record of the own log that an earlier life wrote */
    uint64_t recorded_input; /* the one whose outputs come now, 0: none */
    uint64_t own_input;      /* what it is here */
    request_ids ids[ID_MAX];
    uint32_t id_next;
    bool begun; /* some input is done */
    bool paced, told, ended;
    int64_t paced_ns; /* record time where the pace began, */
    int64_t mono_ns;  /* and when that was */
    kt_timer timer;
    kt_event_any event; /* the input being given */
    kt_event_any other; /* a request being compared */
} replay_feed;

static kt_replay *replay_now;

void kt_replay_set(kt_replay *replay)
{
    replay_now = replay;
}

int64_t kt_replay_clock(void *replay)
{
    return atomic_load_explicit(&((kt_replay *)replay)->now_ns, memory_order_relaxed);
}

kt_code kt_replay_begin(kt_replay *replay, kt_err *err)
{
    kt_snapshot newest = { 0 }, older = { 0 };
    kt_reader *reader = NULL;
    uint64_t first = 0;
    kt_code code = kt_reader_open(replay->dir, NULL, &reader, err);

    if (code == KT_OK)
        first = kt_reader_first(reader);
    kt_reader_close(reader);
    if (code != KT_OK)
        return code;
    if (first == 0)
        return kt_fail(err, KT_NOENT, "log '%s' is empty", replay->dir);
    replay->origin_seq = 0;
    if (first == 1)
        return KT_OK;
    code = kt_snapshot_newest(replay->dir, UINT64_MAX, &newest, err);
    if (code == KT_OK && newest.seq + 1 >= first) {
        replay->origin_seq = newest.seq;
        if (kt_snapshot_newest(replay->dir, newest.seq - 1, &older, NULL) == KT_OK && older.seq + 1 >= first)
            replay->origin_seq = older.seq;
    }
    kt_snapshot_done(&newest);
    kt_snapshot_done(&older);
    if (replay->origin_seq == 0)
        return kt_fail(err, KT_GONE, "log '%s' begins with record %llu, and it has no snapshot to begin with",
            replay->dir, (unsigned long long)first);
    return KT_OK;
}

/* ---- what stands in the own log ---- */

static const kt_rec *own_next(replay_feed *feed)
{
    const kt_rec *rec = NULL;

    while (feed->held == NULL) {
        kt_code code = kt_reader_next(feed->mine, kt_log_written(kt_lane_log(feed->lane)), &rec);

        if (code == KT_OK)
            feed->held = rec;
        else if (code != KT_GONE)
            return NULL; /* the end; what is damaged has stopped the lane before */
    }
    return feed->held;
}

/* Was it given by this feed, as record `seq` of the recorded log? The lane's own first start is that of the recorded log. */
static bool is_given(const replay_feed *feed, const kt_rec *rec)
{
    bool first = !feed->begun && feed->replay->origin_seq == 0 && rec->kind == KT_EV_LANE_START;

    return (rec->flags & KT_REC_INPUT) != 0 && (rec->cause != 0 || first);
}

/* The input that an earlier life has given for this record; 0: none has; PASSED: retention has removed it. */
static uint64_t standing_input(replay_feed *feed, const kt_rec *rec)
{
    const kt_rec *own;

    while ((own = own_next(feed)) != NULL && (own->seq <= feed->standing || !feed->begun)) {
        if (is_given(feed, own)) {
            if (own->cause > rec->seq)
                return PASSED;
            feed->held = NULL;
            if (own->cause == 0 || own->cause == rec->seq)
                return own->seq;
        }
        feed->held = NULL;
    }
    return 0;
}

/* The next output of the present input; NULL: there is no more. */
static const kt_rec *own_output(replay_feed *feed)
{
    const kt_rec *own;

    while ((own = own_next(feed)) != NULL) {
        if ((own->flags & KT_REC_OUTPUT) != 0 && own->cause == feed->own_input)
            return own;
        if (own->seq > feed->own_input && is_given(feed, own))
            return NULL;
        feed->held = NULL;
    }
    return NULL;
}

/* ---- outputs ---- */

static void differs(replay_feed *feed, const kt_rec *rec, kt_text subject, const char *how)
{
    kt_replay *replay = feed->replay;
    uint64_t count = atomic_fetch_add(&replay->different, 1);

    if (count == 0)
        replay->first_different = rec->seq;
    if (count < DIFFERENT_TOLD)
        kt_lane_diag(feed->lane, KT_LEVEL_WARNING, "record %llu of the log, on %.*s, %s", (unsigned long long)rec->seq,
            KT_TEXT_ARG(subject), how);
}

static bool decoded(const kt_rec *rec, kt_event_any *out)
{
    return kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), out) == KT_OK;
}

/* The same question, whatever its id; which is kept for the answer. */
static bool same_request(replay_feed *feed, const kt_rec *then, const kt_rec *now)
{
    const kt_ev_request *a = &feed->event.request, *b = &feed->other.request;

    if (!decoded(then, &feed->event) || !decoded(now, &feed->other))
        return false;
    feed->ids[feed->id_next++ % ID_MAX] = (request_ids){ a->request_id, b->request_id };
    return a->what == b->what && kt_text_equal(a->symbol, b->symbol) && a->from_time == b->from_time &&
           a->from_id == b->from_id && a->limit == b->limit;
}

static bool same_payload(const kt_rec *a, const kt_rec *b)
{
    uint32_t size = kt_rec_payload_size(a);

    return size == kt_rec_payload_size(b) && memcmp(kt_rec_payload(a), kt_rec_payload(b), size) == 0;
}

static void compare(replay_feed *feed, const kt_rec *rec)
{
    kt_text subject = kt_reader_subject(feed->recorded, rec->subject);
    const kt_rec *own;
    bool same;

    if (rec->cause != feed->recorded_input || feed->own_input == PASSED)
        return; /* its input was removed by retention, or lies before the origin */
    own = own_output(feed);
    if (own == NULL) {
        differs(feed, rec, subject, "is not made now");
        return;
    }
    same = own->kind == rec->kind && own->time_ns == rec->time_ns &&
           kt_text_equal(kt_reader_subject(feed->mine, own->subject), subject);
    if (same)
        same = rec->kind == KT_EV_REQUEST ? same_request(feed, rec, own) : same_payload(rec, own);
    feed->held = NULL;
    if (same)
        feed->replay->same++;
    else
        differs(feed, rec, subject, "is another now");
}

/* What the present input has made beyond what stands in the recorded log. */
static void compare_rest(replay_feed *feed, const kt_rec *before)
{
    const kt_rec *own;

    while (feed->begun && feed->own_input != PASSED && (own = own_output(feed)) != NULL) {
        differs(feed, before, kt_reader_subject(feed->mine, own->subject), "follows one that is made only now");
        feed->held = NULL;
    }
}

/* ---- inputs ---- */

static uint64_t id_of(const replay_feed *feed, uint64_t recorded)
{
    for (uint32_t i = feed->id_next; i > 0 && feed->id_next - i < ID_MAX; i--)
        if (feed->ids[(i - 1) % ID_MAX].recorded == recorded)
            return feed->ids[(i - 1) % ID_MAX].now;
    return recorded; /* asked before the origin: it is the same there */
}

static kt_code give(replay_feed *feed, const kt_rec *rec)
{
    kt_text subject = kt_reader_subject(feed->recorded, rec->subject);

    if (!decoded(rec, &feed->event)) {
        differs(feed, rec, subject, "can not be read by this program");
        feed->own_input = PASSED;
        return KT_OK;
    }
    if (rec->kind == KT_EV_ANSWER)
        feed->event.answer.request_id = id_of(feed, feed->event.answer.request_id);
    atomic_store_explicit(&feed->replay->now_ns, rec->time_ns, memory_order_relaxed);
    return kt_lane_input(feed->lane, rec->kind, subject, rec->seq, &feed->event, &feed->own_input);
}

static bool reached(const kt_replay_place *place, const kt_rec *rec)
{
    return (place->seq != 0 && rec->seq >= place->seq) || (place->time_ns != 0 && rec->time_ns >= place->time_ns);
}

static bool is_said(const kt_replay_place *place)
{
    return place->seq != 0 || place->time_ns != 0;
}

/* When its turn comes, by the loop's clock. */
static int64_t due_ns(replay_feed *feed, const kt_rec *rec)
{
    const kt_replay *replay = feed->replay;

    if (replay->speed == KT_REPLAY_SPEED_MAX ||
        (is_said(&replay->from) && !feed->paced && !reached(&replay->from, rec)))
        return INT64_MIN;
    if (!feed->paced) {
        feed->paced = true;
        feed->paced_ns = rec->time_ns;
        feed->mono_ns = kt_lane_mono(feed->lane);
    }
    return feed->mono_ns + (int64_t)((double)(rec->time_ns - feed->paced_ns) / replay->speed);
}

/* KT_BUSY: not yet. */
static kt_code take_input(replay_feed *feed, const kt_rec *rec)
{
    kt_code code = KT_OK;
    uint64_t own;

    compare_rest(feed, rec);
    own = standing_input(feed, rec);
    if (own == 0) {
        int64_t due = due_ns(feed, rec);

        if (due > kt_lane_mono(feed->lane)) {
            kt_timer_set(kt_lane_loop(feed->lane), &feed->timer, due);
            return KT_BUSY;
        }
        code = give(feed, rec);
        if (code != KT_OK)
            return code;
    } else {
        feed->own_input = own;
    }
    feed->begun = true;
    feed->recorded_input = rec->seq;
    feed->replay->inputs++;
    return KT_OK;
}

/* ---- turns ---- */

/* Does the store lack nothing that was made? */
static bool is_kept(const replay_feed *feed)
{
    const kt_board *board = kt_lane_board(feed->lane);
    kt_log *log = kt_lane_log(feed->lane);
    int keep = board != NULL ? kt_board_find(board, KT_TEXT("keep")) : -1;
    int own = board != NULL ? kt_board_find(board, kt_text_of(kt_lane_name(feed->lane))) : -1;
    const kt_board_page *page;

    if (keep < 0 || own < 0)
        return true;
    page = kt_board_page_of(board, (uint32_t)keep);
    return atomic_load(&page->state) == KT_BOARD_PARKED ||
           (kt_log_durable(log) == kt_log_written(log) && atomic_load(&page->position[own]) >= kt_log_durable(log));
}

static void end(replay_feed *feed)
{
    const kt_replay *replay = feed->replay;

    if (!feed->told)
        kt_lane_diag(feed->lane, KT_LEVEL_INFO,
            "the log is replayed up to record %llu: %llu inputs; outputs: %llu as they were, %llu not",
            (unsigned long long)(feed->next != NULL ? feed->next->seq : kt_reader_position(feed->recorded)) - 1,
            (unsigned long long)replay->inputs, (unsigned long long)replay->same,
            (unsigned long long)replay->different);
    feed->told = true;
    if (!feed->ended && replay->ended != NULL && is_kept(feed)) {
        feed->ended = true;
        replay->ended(replay->ended_ctx);
    }
}

/* The next record that this feed has to do with; NULL: none now. */
static const kt_rec *recorded_next(replay_feed *feed)
{
    const kt_rec *rec = NULL;

    while (feed->next == NULL) {
        uint64_t before = kt_reader_position(feed->recorded);
        kt_code code = kt_reader_next(feed->recorded, UINT64_MAX, &rec);

        if (code == KT_EMPTY)
            return NULL;
        if (code != KT_OK && kt_reader_position(feed->recorded) == before) {
            kt_lane_fail(feed->lane, true, "log '%s' can not be read at record %llu: %s", feed->replay->dir,
                (unsigned long long)before, kt_reader_error(feed->recorded)->msg);
            return NULL;
        }
        if (code != KT_OK)
            kt_lane_diag(feed->lane, KT_LEVEL_WARNING,
                "records %llu to %llu of the log are lost: what follows may differ", (unsigned long long)before,
                (unsigned long long)kt_reader_position(feed->recorded) - 1);
        else if ((rec->flags & (KT_REC_INPUT | KT_REC_OUTPUT)) != 0)
            feed->next = rec;
    }
    return feed->next;
}

static void turn(void *state)
{
    replay_feed *feed = state;
    kt_loop *loop = kt_lane_loop(feed->lane);

    for (uint32_t i = 0; i < BATCH; i++) {
        const kt_rec *rec = recorded_next(feed);
        kt_code code = KT_OK;

        if (rec == NULL || (is_said(&feed->replay->until) && reached(&feed->replay->until, rec))) {
            end(feed);
            if (rec == NULL || (feed->replay->ended != NULL && !feed->ended))
                kt_timer_set(loop, &feed->timer, kt_lane_mono(feed->lane) + FOLLOW_MS * KT_NS_PER_MS);
            return;
        }
        if ((rec->flags & KT_REC_OUTPUT) != 0)
            compare(feed, rec);
        else
            code = take_input(feed, rec);
        if (code == KT_FULL)
            kt_timer_set(loop, &feed->timer, kt_lane_mono(feed->lane) + RETRY_MS * KT_NS_PER_MS);
        else if (code != KT_OK && code != KT_BUSY)
            kt_lane_fail(feed->lane, false, "record %llu of the log can not be given: %s", (unsigned long long)rec->seq,
                kt_code_text(code));
        if (code != KT_OK)
            return;
        feed->next = NULL;
    }
    kt_loop_busy(loop);
}

static void on_due(kt_timer *timer)
{
    kt_loop_busy(kt_lane_loop(((replay_feed *)timer->ctx)->lane));
}

/* ---- life ---- */

static void stop(void *state)
{
    replay_feed *feed = state;

    if (feed == NULL)
        return;
    kt_timer_cancel(kt_lane_loop(feed->lane), &feed->timer);
    kt_reader_close(feed->recorded);
    kt_reader_close(feed->mine);
    free(feed);
}

/* The lane's start gets the time of the first record. */
static kt_code start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    replay_feed *feed = calloc(1, sizeof *feed);
    char dir[1024];
    kt_code code;

    kt_assert(replay_now != NULL);
    if (feed == NULL)
        return kt_fail(err, KT_SYS, "no memory to replay a log");
    feed->lane = lane;
    feed->replay = replay_now;
    feed->timer = (kt_timer){ .on_due = on_due, .ctx = feed };
    feed->standing = kt_log_written(kt_lane_log(lane));
    snprintf(dir, sizeof dir, "%s/%s", kt_lane_data_dir(lane), kt_lane_name(lane));
    code = kt_reader_open(dir, NULL, &feed->mine, err);
    if (code == KT_OK)
        code = kt_reader_open(feed->replay->dir, NULL, &feed->recorded, err);
    if (code == KT_OK)
        code = kt_reader_seek(feed->recorded, 0, feed->replay->origin_seq + 1, NULL, err);
    if (code != KT_OK) {
        stop(feed);
        return code;
    }
    *out_state = feed;
    feed->replay->inputs = feed->replay->same = feed->replay->different = 0;
    if (recorded_next(feed) != NULL)
        feed->replay->now_ns = feed->next->time_ns;
    return KT_OK;
}

const kt_feed_spec kt_replay_feed = { .name = "replay", .start = start, .turn = turn, .stop = stop };
