#include "log/writer.h"

#include "log/cursor.h"

#include <stdlib.h>

/* Every registered cursor once, and the lowest of them. */
typedef struct hold {
    kt_log *log;
    uint64_t safe_min;
    uint64_t removed_to; /* second pass: the last seq that goes */
} hold;

static void hold_lowest(void *ctx, const char *name, kt_cursor_position position)
{
    hold *lowest = ctx;

    if (position.safe < lowest->safe_min)
        lowest->safe_min = position.safe;
}

/* The cursor loses what lies above its safe seq: written down by name. */
static void hold_cut(void *ctx, const char *name, kt_cursor_position position)
{
    hold *cut = ctx;
    uint64_t first = cut->log->kept[0].name.first_seq;
    union {
        kt_ctl_lost lost;
        uint8_t bytes[sizeof(kt_ctl_lost) + KT_LOG_NAME_MAX];
    } payload = { .lost = { KT_LOST_CURSOR, (uint32_t)strlen(name), position.safe + 1, cut->removed_to } };

    if (position.safe >= cut->removed_to)
        return;
    if (payload.lost.from_seq < first) /* what went before was told then */
        payload.lost.from_seq = first;
    memcpy(payload.bytes + sizeof payload.lost, name, payload.lost.name_size);
    kt_log_append_control(cut->log, KT_CTL_LOST, &payload, (uint32_t)sizeof payload.lost + payload.lost.name_size);
}

/* How many of the oldest segments bytes and age want to see go; never the current one. */
static uint32_t retain_wanted(kt_log *log)
{
    const kt_log_options *options = &log->options;
    int64_t now_ns = kt_log_clock(log);
    uint64_t total = 0;
    uint32_t wanted = 0;

    for (uint32_t i = 0; i < log->kept_count; i++)
        total += log->kept[i].size;
    while (wanted + 1 < log->kept_count) {
        bool large = options->retention_bytes > 0 && total > options->retention_bytes;
        bool old =
            options->retention_age_ns > 0 && now_ns - log->kept[wanted + 1].created_ns > options->retention_age_ns;
        if (!large && !old)
            break;
        total -= log->kept[wanted++].size;
    }
    return wanted;
}

static uint64_t kept_last(const kt_log *log, uint32_t index)
{
    return log->kept[index + 1].name.first_seq - 1;
}

static kt_code retain_remove(kt_log *log, uint32_t count)
{
    kt_code code = KT_OK;

    pthread_mutex_lock(&log->lock);
    if (log->removal_room - log->removal_count < count) {
        kt_seg_name *more = realloc(log->removals, (log->removal_count + count) * sizeof *more);
        if (more == NULL)
            code = KT_SYS;
        else {
            log->removals = more;
            log->removal_room = log->removal_count + count;
        }
    }
    for (uint32_t i = 0; code == KT_OK && i < count; i++)
        log->removals[log->removal_count++] = log->kept[i].name;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    if (code != KT_OK)
        return code;
    log->kept_count -= count;
    memmove(log->kept, log->kept + count, log->kept_count * sizeof *log->kept);
    atomic_store(&log->control->first_seq, log->kept[0].name.first_seq);
    return KT_OK;
}

void kt_log_retain(kt_log *log)
{
    const kt_log_options *options = &log->options;
    uint64_t snapshot = kt_log_snapshot_seq(log);
    uint64_t durable = kt_log_durable(log);
    hold cursors = { log, UINT64_MAX, 0 };
    uint32_t wanted, free_count = 0, cut_count;
    uint64_t held_bytes = 0;

    if (log->retaining || (options->retention_bytes == 0 && options->retention_age_ns == 0))
        return;
    wanted = retain_wanted(log);
    while (wanted > 0 && (kept_last(log, wanted - 1) > durable ||
                             ((snapshot > 0 || options->needs_snapshot) && kept_last(log, wanted - 1) > snapshot)))
        wanted--;
    if (wanted == 0) {
        log->held = false;
        return;
    }
    if (kt_cursor_each(log->dir, hold_lowest, &cursors, NULL) != KT_OK)
        return; /* who can not see the register removes nothing */
    while (free_count < wanted && kept_last(log, free_count) <= cursors.safe_min)
        free_count++;
    for (uint32_t i = free_count; i < wanted; i++)
        held_bytes += log->kept[i].size;
    for (cut_count = free_count; held_bytes > options->hold_bytes && cut_count < wanted; cut_count++)
        held_bytes -= log->kept[cut_count].size;
    log->held = cut_count > free_count && options->hold_stops_intake;
    if (log->held)
        cut_count = free_count;
    if (cut_count > free_count) {
        cursors.removed_to = kept_last(log, cut_count - 1);
        log->retaining = true; /* the records below may begin a new segment */
        kt_cursor_each(log->dir, hold_cut, &cursors, NULL);
        log->retaining = false;
    }
    if (cut_count > 0)
        retain_remove(log, cut_count);
}
