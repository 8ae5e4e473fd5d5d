#include "store/recorder.h"

#include <stdio.h>

#include "base/text.h"
#include "log/disk.h"
#include "schema/events.h"

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
    kt_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 1, &topic);

    return code == KT_OK ? kt_store_trade(recorder->store, topic.venue, topic.symbol, &event->trade, err) : code;
}

static kt_code keep_watermark(
    kt_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 1, &topic);

    return code == KT_OK ? kt_store_watermark(recorder->store, topic.venue, topic.symbol, &event->watermark, err)
                         : code;
}

static kt_code keep_vwap(
    kt_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 2, &topic);

    return code == KT_OK ? kt_store_vwap(recorder->store, topic.venue, topic.symbol, &event->vwap, err) : code;
}

static kt_code keep_correction(
    kt_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    kt_code code = topic_of(subject, 2, &topic);

    return code == KT_OK ? kt_store_correction(recorder->store, topic.venue, topic.symbol, KT_RECORDER_LOG, rec->seq,
                               rec->time_ns, &event->correction, err)
                         : code;
}

/* quality.{venue} is of messages that named no symbol. */
static kt_code keep_quality(
    kt_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err)
{
    event_topic topic;
    bool named = kt_subject_part(subject, 2).n > 0;
    kt_code code = decode_token(subject, 1, topic.mem[0], &topic.venue);

    topic.symbol = KT_TEXT("");
    if (code == KT_OK && named)
        code = decode_token(subject, 2, topic.mem[1], &topic.symbol);
    return code == KT_OK ? kt_store_quality(recorder->store, topic.venue, topic.symbol, &event->quality, err) : code;
}

/* Which kinds are kept, and how. */
static const struct {
    uint16_t kind;
    kt_code (*keep)(kt_recorder *recorder, const kt_rec *rec, kt_text subject, const kt_event_any *event, kt_err *err);
} kept[] = {
    { KT_EV_TRADE, keep_trade },
    { KT_EV_WATERMARK, keep_watermark },
    { KT_EV_VWAP, keep_vwap },
    { KT_EV_CORRECTION, keep_correction },
    { KT_EV_QUALITY, keep_quality },
};

static kt_code recorder_apply(kt_recorder *recorder, const kt_rec *rec, kt_err *err)
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
            KT_RECORDER_LOG, KT_TEXT_ARG(subject), kt_code_text(code));
    return code == KT_SYNTAX ? KT_CORRUPT : code;
}

void kt_recorder_close(kt_recorder *recorder)
{
    kt_reader_close(recorder->reader);
    recorder->reader = NULL;
}

/* A log can not be read while it has no control page: a power cut may have taken that, for it is never synced. Its writer makes
 * it anew. */
static bool is_log(const char *dir)
{
    kt_state state;

    return kt_state_read(dir, &state, NULL) == KT_OK;
}

/* Stand behind what is in the store. KT_EMPTY: there is no log yet. */
static kt_code recorder_open(kt_recorder *recorder, kt_err *err)
{
    kt_code code = kt_reader_open(recorder->dir, recorder->boot_id, &recorder->reader, err);

    if (code == KT_NOENT && (recorder->cursor.seq == 0 || is_log(recorder->dir)))
        return KT_EMPTY;
    if (code == KT_OK)
        kt_reader_know_durable(recorder->reader, recorder->cursor.seq);
    if (code == KT_OK)
        code = kt_reader_seek(recorder->reader, recorder->cursor.epoch, recorder->cursor.seq + 1, &recorder->lost, err);
    if (code == KT_GONE)
        return KT_OK; /* `lost` says what */
    if (code == KT_NOENT || code == KT_SEQ || code == KT_EPOCH)
        code = kt_fail(err, KT_SEQ,
            "the store holds records of log '%s' up to %llu, which this log never had (%s): it belongs to other logs; move it "
            "away and run 'kontor rebuild store'",
            KT_RECORDER_LOG, (unsigned long long)recorder->cursor.seq, kt_code_name(code));
    if (code != KT_OK)
        kt_recorder_close(recorder);
    return code;
}

/* Apply up to `max` records within a transaction. *out_seq: the last one passed. */
static kt_code recorder_fill(kt_recorder *recorder, uint64_t limit, uint32_t max, uint64_t *out_seq, kt_err *err)
{
    uint64_t rows = kt_store_changes(recorder->store);

    for (uint32_t i = 0; i < max && kt_store_changes(recorder->store) - rows < KT_RECORDER_ROWS_MAX; i++) {
        const kt_rec *rec = NULL;
        kt_code code = kt_reader_next(recorder->reader, limit, &rec);

        if (code == KT_EMPTY) {
            recorder->full = false;
            return KT_OK;
        }
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

uint64_t kt_recorder_limit(const kt_recorder *recorder)
{
    uint64_t durable = kt_reader_durable(recorder->reader);

    return durable < recorder->end ? durable : recorder->end;
}

kt_code kt_recorder_batch(kt_recorder *recorder, uint32_t max, kt_err *err)
{
    uint64_t seq = recorder->cursor.seq;
    uint64_t limit;
    kt_store_cursor next;
    kt_code code = KT_OK;

    recorder->lost = (kt_lost){ 0 };
    recorder->full = true;
    if (recorder->reader == NULL)
        code = recorder_open(recorder, err);
    if (code != KT_OK)
        return code;
    limit = kt_recorder_limit(recorder);
    if (kt_reader_position(recorder->reader) > limit)
        return KT_EMPTY;
    code = kt_store_begin(recorder->store, err);
    if (code == KT_OK)
        code = recorder_fill(recorder, limit, max, &seq, err);
    next = (kt_store_cursor){ .epoch = kt_reader_epoch(recorder->reader), .seq = seq };
    if (code == KT_OK)
        code = kt_store_commit(recorder->store, KT_RECORDER_LOG, next, err);
    if (code == KT_OK) {
        recorder->cursor = next;
        return KT_OK;
    }
    kt_store_rollback(recorder->store);
    kt_recorder_close(recorder); /* it stands somewhere in the batch */
    return code;
}

kt_code kt_recorder_init(kt_recorder *recorder, kt_store *store, const char *data, kt_err *err)
{
    kt_code code = kt_store_cursor_of(store, KT_RECORDER_LOG, &recorder->cursor, err);

    recorder->store = store;
    recorder->end = UINT64_MAX;
    recorder->boot_id = NULL;
    if (code != KT_OK && code != KT_NOENT)
        return code;
    if ((size_t)snprintf(recorder->dir, sizeof recorder->dir, "%s/%s", data, KT_RECORDER_LOG) >= sizeof recorder->dir)
        return kt_fail(err, KT_LIMIT, "the data folder's name '%.60s...' is too long", data);
    return KT_OK;
}
