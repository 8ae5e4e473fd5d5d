#include "service/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "log/cursor.h"
#include "log/reader.h"
#include "schema/actions.h"
#include "store/store.h"

static const char source[] = "market"; /* the log whose events are kept */
static const char cursor_name[] = "record";

enum { PATH_SIZE = 4096, NODE_MAX = 64, BODY_MAX = 1024 };

/* ---- from log to store ---- */

/* A log and how much of it stands in the store. */
typedef struct log_recorder {
    kt_store *store;
    kt_reader *reader; /* NULL: not opened yet, or to be opened again */
    char dir[PATH_SIZE];
    kt_store_cursor cursor; /* committed */
    uint64_t end;           /* no record behind it, durable or not */
    kt_lost lost;           /* met by the last batch; from 0: nothing */
    uint64_t unknown_kinds; /* skipped: a newer program's */
} log_recorder;

/* What a record is about: "trades.{venue}.{symbol}", "vwap.{window}.{ticker}" ... */
typedef struct event_topic {
    char mem[2][KT_SUBJECT_MAX + 1];
    kt_text venue; /* empty: a composite */
    kt_text symbol;
} event_topic;

static kt_code decode_token(kt_text subject, uint32_t part, char *mem, kt_text *out_text)
{
    kt_builder builder;
    kt_code code;

    kt_builder_init(&builder, mem, KT_SUBJECT_MAX + 1);
    code = kt_subject_token_decode(kt_subject_part(subject, part), &builder);
    *out_text = kt_builder_done(&builder);
    return code;
}

/* `first`: the part with the venue. Where there is only one part from there on, it is a composite's ticker. */
static kt_code topic_of(kt_text subject, uint32_t first, event_topic *topic)
{
    bool composite = kt_subject_part(subject, first + 1).n == 0;
    kt_code code = KT_OK;

    topic->venue = KT_TEXT("");
    if (!composite)
        code = decode_token(subject, first, topic->mem[0], &topic->venue);
    if (code == KT_OK)
        code = decode_token(subject, composite ? first : first + 1, topic->mem[1], &topic->symbol);
    return code;
}

static kt_code keep_trade(
    log_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 1, &topic);

    return code == KT_OK ? kt_store_trade(recorder->store, topic.venue, topic.symbol, &event->trade, err) : code;
}

static kt_code keep_watermark(
    log_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 1, &topic);

    return code == KT_OK ? kt_store_watermark(recorder->store, topic.venue, topic.symbol, &event->watermark, err)
                         : code;
}

static kt_code keep_vwap(
    log_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 2, &topic);

    return code == KT_OK ? kt_store_vwap(recorder->store, topic.venue, topic.symbol, &event->vwap, err) : code;
}

static kt_code keep_correction(
    log_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 2, &topic);

    return code == KT_OK ? kt_store_correction(recorder->store, topic.venue, topic.symbol, source, rec->seq,
                               rec->time_ns, &event->correction, err)
                         : code;
}

/* Which kinds are kept, and how. */
static const struct {
    uint16_t kind;
    kt_code (*keep)(log_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err);
} kept[] = {
    { KT_EV_TRADE, keep_trade },
    { KT_EV_WATERMARK, keep_watermark },
    { KT_EV_VWAP, keep_vwap },
    { KT_EV_CORRECTION, keep_correction },
};

static kt_code recorder_apply(log_recorder *recorder, const kt_rec *rec, kt_err *err)
{
    kt_text subject = kt_reader_subject(recorder->reader, rec->subject);
    kt_event_any event;
    uint32_t i = 0;
    kt_code code;

    if ((rec->flags & KT_REC_OUTPUT) == 0)
        return KT_OK;
    while (i < KT_COUNT(kept) && kept[i].kind != rec->kind)
        i++;
    if (i == KT_COUNT(kept)) {
        recorder->unknown_kinds += kt_event_by_kind(rec->kind) == NULL;
        return KT_OK;
    }
    if (err != NULL)
        err->msg[0] = '\0';
    code = kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event);
    if (code == KT_OK)
        code = kept[i].keep(recorder, rec, subject, &event, err);
    if (code != KT_OK && err != NULL && err->msg[0] == '\0')
        kt_fail(err, KT_CORRUPT, "record %llu of log '%s' (%.*s) can not be kept: %s", (unsigned long long)rec->seq,
            source, KT_TEXT_ARG(subject), kt_code_text(code));
    return code == KT_SYNTAX ? KT_CORRUPT : code;
}

static void recorder_close(log_recorder *recorder)
{
    kt_reader_close(recorder->reader);
    recorder->reader = NULL;
}

/* Stand behind what is in the store. KT_EMPTY: there is no log yet. */
static kt_code recorder_open(log_recorder *recorder, kt_err *err)
{
    kt_code code = kt_reader_open(recorder->dir, NULL, &recorder->reader, err);

    if (code == KT_NOENT && recorder->cursor.seq == 0)
        return KT_EMPTY;
    if (code == KT_OK)
        code = kt_reader_seek(recorder->reader, recorder->cursor.epoch, recorder->cursor.seq + 1, &recorder->lost, err);
    if (code == KT_GONE)
        return KT_OK; /* `lost` says what */
    if (code == KT_NOENT || code == KT_SEQ || code == KT_EPOCH)
        code = kt_fail(err, KT_SEQ,
            "the store holds records of log '%s' up to %llu, which this log never had: it belongs to other logs; move it "
            "away and run 'kontor rebuild store'",
            source, (unsigned long long)recorder->cursor.seq);
    if (code != KT_OK)
        recorder_close(recorder);
    return code;
}

/* Apply up to `max` records within a transaction. *out_seq: the last one passed. */
static kt_code recorder_fill(log_recorder *recorder, uint64_t limit, uint32_t max, uint64_t *out_seq, kt_err *err)
{
    for (uint32_t i = 0; i < max; i++) {
        const kt_rec *rec = NULL;
        kt_code code = kt_reader_next(recorder->reader, limit, &rec);

        if (code == KT_EMPTY)
            return KT_OK;
        if (code == KT_GONE || (code == KT_CORRUPT && kt_reader_lost(recorder->reader).to != 0)) {
            recorder->lost = kt_reader_lost(recorder->reader); /* stands behind it */
            *out_seq = recorder->lost.to;
            continue;
        }
        if (code != KT_OK) {
            if (err != NULL)
                *err = *kt_reader_error(recorder->reader);
            return code;
        }
        code = recorder_apply(recorder, rec, err);
        if (code != KT_OK)
            return code;
        *out_seq = rec->seq;
    }
    return KT_OK;
}

static uint64_t recorder_limit(const log_recorder *recorder)
{
    uint64_t durable = kt_reader_durable(recorder->reader);

    return durable < recorder->end ? durable : recorder->end;
}

/* One batch of what is durable, committed with its place. KT_EMPTY: nothing there. After an error the store and the
 * place are as before, and the next call starts from there. */
static kt_code recorder_batch(log_recorder *recorder, uint32_t max, kt_err *err)
{
    uint64_t seq = recorder->cursor.seq;
    uint64_t limit;
    kt_store_cursor next;
    kt_code code = KT_OK;

    recorder->lost = (kt_lost){ 0 };
    if (recorder->reader == NULL)
        code = recorder_open(recorder, err);
    if (code != KT_OK)
        return code;
    limit = recorder_limit(recorder);
    if (kt_reader_position(recorder->reader) > limit)
        return KT_EMPTY;
    code = kt_store_begin(recorder->store, err);
    if (code == KT_OK)
        code = recorder_fill(recorder, limit, max, &seq, err);
    next = (kt_store_cursor){ .epoch = kt_reader_epoch(recorder->reader), .seq = seq };
    if (code == KT_OK)
        code = kt_store_commit(recorder->store, source, next, err);
    if (code == KT_OK) {
        recorder->cursor = next;
        return KT_OK;
    }
    kt_store_rollback(recorder->store);
    recorder_close(recorder); /* it stands somewhere in the batch */
    return code;
}

static kt_code recorder_init(log_recorder *recorder, kt_store *store, const char *data, kt_err *err)
{
    kt_code code = kt_store_cursor_of(store, source, &recorder->cursor, err);

    recorder->store = store;
    recorder->end = UINT64_MAX;
    if (code != KT_OK && code != KT_NOENT)
        return code;
    if ((size_t)snprintf(recorder->dir, sizeof recorder->dir, "%s/%s", data, source) >= sizeof recorder->dir)
        return kt_fail(err, KT_LIMIT, "the data folder's name '%.60s...' is too long", data);
    return KT_OK;
}

/* ---- the feed ---- */

typedef struct record_feed {
    kt_lane *lane;
    const kt_config *config;
    kt_store *store;
    log_recorder recorder;
    kt_cursor *held;   /* tells the log's writer what is needed; NULL: there was no log yet */
    kt_timer timer;    /* only wakes the loop: turn() looks at next_at */
    int64_t next_at;   /* no batch before; monotonic */
    bool told_unknown; /* that recorder.unknown_kinds is not 0 */
    bool in_trouble;   /* the last batch was refused, and an alert says so */
} record_feed;

static void tell_alert(record_feed *record, uint8_t level, const char *text)
{
    kt_ev_alert alert;

    kt_event_init(KT_EV_ALERT, &alert);
    alert.level = level;
    alert.subject = kt_text_of(record->config->store_file);
    alert.text = kt_text_of(text);
    /* on a full disk there may be no room for it either: then the store's catching up later is all there is */
    kt_lane_input(record->lane, KT_EV_ALERT, KT_TEXT("lane.alert.record"), 0, &alert, NULL);
}

static void tell_lost(record_feed *record, kt_lost range)
{
    kt_ev_lost lost;

    kt_event_init(KT_EV_LOST, &lost);
    lost.log = kt_text_of(source);
    lost.from_seq = range.from;
    lost.to_seq = range.to;
    lost.reason = KT_TEXT("removed or fenced before it was kept in the store");
    lost.reader = kt_text_of(cursor_name);
    kt_lane_input(record->lane, KT_EV_LOST, KT_TEXT("lane.lost.record"), 0, &lost, NULL);
}

/* Once a run: more of them are the same news. */
static void tell_unknown(record_feed *record)
{
    char text[160];

    if (record->recorder.unknown_kinds == 0 || record->told_unknown)
        return;
    record->told_unknown = true;
    snprintf(text, sizeof text,
        "log '%s' holds records of kinds that this program does not know; a newer one wrote them, and "
        "they are skipped",
        source);
    tell_alert(record, KT_LEVEL_WARNING, text);
}

/* Let the log's retention follow. A cursor that can not be written only holds more. */
static void release(record_feed *record)
{
    kt_cursor_position position = {
        .epoch = record->recorder.cursor.epoch, .seq = record->recorder.cursor.seq, .safe = record->recorder.cursor.seq
    };

    if (record->held == NULL && kt_cursor_open(record->recorder.dir, cursor_name, &record->held, NULL) != KT_OK)
        return;
    kt_cursor_store(record->held, position, NULL);
}

static bool can_be_tried_again(kt_code code)
{
    return code == KT_BUSY || code == KT_FULL || code == KT_SYS;
}

static void wait_until(record_feed *record, int64_t at)
{
    record->next_at = at;
    kt_timer_set(kt_lane_loop(record->lane), &record->timer, at);
}

static void on_batch(record_feed *record, kt_code code, const kt_err *err, bool full)
{
    int64_t now = kt_loop_now(kt_lane_loop(record->lane));

    if (record->recorder.lost.from != 0 && (code == KT_OK || code == KT_EMPTY))
        tell_lost(record, record->recorder.lost);
    if (code == KT_EMPTY)
        return;
    if (code == KT_OK) {
        release(record);
        tell_unknown(record);
        if (record->in_trouble)
            tell_alert(record, KT_LEVEL_INFO, "the store takes rows again; nothing was lost");
        record->in_trouble = false;
        if (!full)
            wait_until(record, now + KT_RECORD_COMMIT_MS * KT_NS_PER_MS);
    } else if (can_be_tried_again(code)) {
        if (!record->in_trouble)
            tell_alert(record, KT_LEVEL_ERROR, err->msg);
        record->in_trouble = true;
        wait_until(record, now + KT_RECORD_RETRY_MS * KT_NS_PER_MS);
    } else {
        kt_lane_fail(record->lane, true, "%s", err->msg);
    }
}

static bool is_waiting(const record_feed *record)
{
    return kt_loop_now(kt_lane_loop(record->lane)) < record->next_at;
}

static void record_turn(void *state)
{
    record_feed *record = state;
    log_recorder *recorder = &record->recorder;
    uint64_t before = recorder->cursor.seq;
    kt_err err = { 0 };
    kt_code code;

    if (!is_waiting(record)) {
        code = recorder_batch(recorder, KT_RECORD_BATCH_MAX, &err);
        on_batch(record, code, &err, recorder->cursor.seq - before >= KT_RECORD_BATCH_MAX);
    }
    /* while waiting, what is there already is no reason to stay awake */
    kt_lane_follow(record->lane, source,
        is_waiting(record) && recorder->reader != NULL ? kt_reader_durable(recorder->reader) : recorder->cursor.seq,
        true);
}

static bool record_pending(void *state)
{
    const record_feed *record = state;
    const kt_reader *reader = record->recorder.reader;

    return reader != NULL && !is_waiting(record) && kt_reader_durable(reader) >= kt_reader_position(reader);
}

/* ---- vwap.historical ---- */

static kt_code find_value(kt_store *store, const kt_config *config, const kt_params_vwap_historical *params,
    kt_store_value *out_value, kt_err *err)
{
    int64_t window = params->interval == 0 ? config->interval_ns : (int64_t)params->interval * KT_NS_PER_MS;
    kt_text venue;
    kt_text symbol;
    kt_code code = kt_config_ticker_of(config, params->ticker, &venue, &symbol);

    if (code == KT_OK)
        code = kt_store_vwap_at(store, venue, symbol, window, params->ts, out_value, err);
    if (code == KT_NOENT) /* or a composite */
        code = kt_store_vwap_at(store, KT_TEXT(""), params->ticker, window, params->ts, out_value, err);
    return code;
}

kt_code kt_record_historical(
    kt_store *store, const kt_config *config, kt_text params_json, kt_json_writer *writer, kt_err *err)
{
    const kt_action *action = &kt_actions[KT_ACTION_vwap_historical];
    kt_json_node nodes[NODE_MAX];
    uint8_t arena_mem[BODY_MAX];
    kt_params_vwap_historical params;
    kt_response_vwap_historical response;
    kt_store_value value;
    kt_json_doc doc;
    kt_arena arena;
    kt_code code = kt_json_parse(params_json, nodes, NODE_MAX, &doc, err);

    kt_arena_init(&arena, arena_mem, sizeof arena_mem);
    if (code == KT_OK)
        code = kt_table_read_json(&action->params, &doc, 0, &arena, &params, err);
    if (code == KT_OK)
        code = kt_table_check(&action->params, &params, err);
    if (code == KT_OK)
        code = find_value(store, config, &params, &value, err);
    if (code == KT_NOENT && (err == NULL || err->msg[0] == '\0'))
        return kt_fail(
            err, code, "no value of '%.*s' is stored for this mark and interval", KT_TEXT_ARG(params.ticker));
    if (code != KT_OK)
        return code;
    kt_table_init(&action->response, &response);
    response.ticker = params.ticker;
    response.vwap = value.price;
    response.ts = params.ts;
    kt_table_write_json(&action->response, &response, writer);
    return writer->code;
}

static void on_historical(void *ctx, const kt_bus_call *call)
{
    record_feed *record = ctx;
    char mem[BODY_MAX];
    kt_text body = { 0 };
    kt_err err = { 0 };
    kt_json_writer writer;
    kt_code code;

    kt_json_writer_init(&writer, mem, sizeof mem);
    code = kt_record_historical(record->store, record->config, call->params, &writer, &err);
    if (code == KT_OK)
        code = kt_json_writer_done(&writer, &body);
    if (code != KT_OK)
        body = kt_text_of(err.msg);
    kt_bus_answer(kt_lane_bus(record->lane), call->token, code, body); /* who is gone needs no answer */
}

/* ---- life ---- */

static void on_due(kt_timer *timer)
{
}

/* What is durable by now; what the store can not take waits in the log. */
static void keep_rest(record_feed *record)
{
    if (record->recorder.reader == NULL)
        return;
    record->recorder.end = kt_reader_durable(record->recorder.reader);
    while (recorder_batch(&record->recorder, KT_RECORD_BATCH_MAX, NULL) == KT_OK)
        release(record);
}

static void record_stop(void *state)
{
    record_feed *record = state;

    if (record == NULL)
        return;
    kt_timer_cancel(kt_lane_loop(record->lane), &record->timer);
    keep_rest(record);
    recorder_close(&record->recorder);
    kt_cursor_close(record->held);
    kt_store_close(record->store);
    free(record);
}

static kt_code record_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    record_feed *record = calloc(1, sizeof *record);
    kt_code code;

    if (record == NULL)
        return kt_fail(err, KT_SYS, "record");
    record->lane = lane;
    record->config = config;
    record->timer = (kt_timer){ .on_due = on_due };
    code = kt_store_open(config, &record->store, err);
    if (code == KT_OK)
        code = recorder_init(&record->recorder, record->store, kt_lane_data_dir(lane), err);
    if (code == KT_OK)
        code = kt_bus_serve(
            kt_lane_bus(lane), kt_text_of(kt_actions[KT_ACTION_vwap_historical].name), on_historical, record, err);
    if (code != KT_OK) {
        record_stop(record);
        return code;
    }
    *out_state = record;
    return KT_OK;
}

const kt_feed_spec kt_record_feed = {
    .name = "record",
    .start = record_start,
    .turn = record_turn,
    .pending = record_pending,
    .stop = record_stop,
};

/* ---- rebuild ---- */

typedef struct rebuild_job {
    const kt_config *config;
    char path[PATH_SIZE]; /* of the new file, until it takes the old one's name */
    int lock_fd;          /* of lane keep's log: while it is held the lane can not start */
    kt_store *store;
    log_recorder recorder;
} rebuild_job;

static kt_code lock_keep(rebuild_job *rebuild, kt_err *err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/keep/lock", rebuild->config->data);
    rebuild->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (rebuild->lock_fd < 0 && errno != ENOENT)
        return kt_fail(err, KT_SYS, "cannot open '%s'", path);
    if (rebuild->lock_fd >= 0 && flock(rebuild->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return kt_fail(err, KT_BUSY, "lane keep is running on '%s' and writes the store: stop kontor first",
            rebuild->config->data);
    return KT_OK;
}

static void remove_with(const char *path, const char *suffix)
{
    char name[PATH_SIZE + 8];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    unlink(name);
}

/* A database and what SQLite keeps beside it. */
static void remove_database(const char *path)
{
    remove_with(path, "");
    remove_with(path, "-wal");
    remove_with(path, "-shm");
}

/* The new store comes as far as the old one had come, so that the two can be compared; lane keep goes on from there. An
 * old store that can not be read, or holds nothing yet, sets no end. */
static uint64_t old_end(const rebuild_job *rebuild)
{
    kt_store *old = NULL;
    kt_store_cursor cursor = { 0 };

    if (kt_store_open_read(rebuild->config->store_file, &old, NULL) == KT_OK)
        kt_store_cursor_of(old, source, &cursor, NULL);
    kt_store_close(old);
    return cursor.seq > 0 ? cursor.seq : UINT64_MAX;
}

/* What the log does not hold any more, the old store does. */
static kt_code copy_old(rebuild_job *rebuild, uint64_t first, kt_err *err)
{
    kt_store *old = NULL;
    kt_code code = kt_store_open(rebuild->config, &old, err);

    if (code == KT_OK)
        code = kt_store_check(old, err);
    if (code == KT_OK)
        code = kt_store_copy(old, rebuild->path, err);
    kt_store_close(old);
    if (code != KT_OK)
        return kt_fail_within(err, code,
            "log '%s' begins at record %llu, so the old store is needed for what came before", source,
            (unsigned long long)first);
    return KT_OK;
}

static kt_code apply_all(rebuild_job *rebuild, kt_rebuild_progress progress, void *ctx, kt_err *err)
{
    uint64_t all = recorder_limit(&rebuild->recorder);
    kt_code code = KT_OK;

    while (code == KT_OK) {
        if (progress != NULL)
            progress(ctx, source, rebuild->recorder.cursor.seq, all);
        code = recorder_batch(&rebuild->recorder, KT_RECORD_BATCH_MAX, err);
    }
    return code == KT_EMPTY ? KT_OK : code;
}

static kt_code sync_folder_of(const char *path, kt_err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_SIZE] = ".";
    int fd;
    int failed;

    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = fd < 0 || fsync(fd) != 0;
    if (fd >= 0)
        close(fd);
    return failed ? kt_fail(err, KT_SYS, "cannot sync folder '%s'", folder) : KT_OK;
}

/* The old file's WAL would be taken for the new one's: it is either folded into the old file by opening and closing it,
 * or belongs to a file that can not be read anyway. */
static kt_code take_its_place(rebuild_job *rebuild, kt_err *err)
{
    const char *old_path = rebuild->config->store_file;
    kt_store *old = NULL;

    if (access(old_path, F_OK) == 0 && kt_store_open(rebuild->config, &old, NULL) == KT_OK)
        kt_store_close(old);
    remove_with(old_path, "-wal");
    remove_with(old_path, "-shm");
    if (rename(rebuild->path, old_path) != 0)
        return kt_fail(err, KT_SYS, "cannot rename '%s' to '%s'", rebuild->path, old_path);
    return sync_folder_of(old_path, err);
}

static kt_code rebuild_run(rebuild_job *rebuild, kt_rebuild_progress progress, void *ctx, kt_err *err)
{
    log_recorder *recorder = &rebuild->recorder;
    uint64_t first;
    kt_code code = lock_keep(rebuild, err);

    if (code != KT_OK)
        return code;
    snprintf(recorder->dir, sizeof recorder->dir, "%s/%s", rebuild->config->data, source);
    code = kt_reader_open(recorder->dir, NULL, &recorder->reader, err);
    if (code == KT_NOENT)
        return kt_fail(err, code, "there is no log '%s' in the data folder '%s'; --data names another", source,
            rebuild->config->data);
    if (code != KT_OK)
        return code;
    recorder->end = old_end(rebuild);
    remove_database(rebuild->path);
    first = kt_reader_first(recorder->reader);
    if (first > 1 && access(rebuild->config->store_file, F_OK) == 0)
        code = copy_old(rebuild, first, err);
    if (code == KT_OK)
        code = kt_store_open_file(rebuild->path, rebuild->config, &rebuild->store, err);
    if (code != KT_OK)
        return code;
    recorder->store = rebuild->store;
    code = apply_all(rebuild, progress, ctx, err);
    kt_store_close(rebuild->store); /* folds the WAL in and syncs */
    rebuild->store = NULL;
    return code == KT_OK ? take_its_place(rebuild, err) : code;
}

kt_code kt_rebuild_store(const kt_config *config, kt_rebuild_progress progress, void *ctx, kt_err *err)
{
    rebuild_job rebuild = { .config = config, .lock_fd = -1 };
    kt_code code;

    if ((size_t)snprintf(rebuild.path, sizeof rebuild.path, "%s.new", config->store_file) >= sizeof rebuild.path)
        return kt_fail(err, KT_LIMIT, "store.path '%.60s...' is too long", config->store_file);
    code = rebuild_run(&rebuild, progress, ctx, err);
    kt_store_close(rebuild.store);
    recorder_close(&rebuild.recorder);
    if (rebuild.lock_fd >= 0)
        close(rebuild.lock_fd);
    if (code != KT_OK)
        remove_database(rebuild.path);
    return code;
}
