/* service/record_feed.h - keeps what log market says in the store: trades, values, corrections, watermarks and quality.
 *
 * A feed of lane keep, since the store is the outside world: it reads log market itself, only up to `durable`, and
 * commits rows together with its place in the log (store/recorder.h). After whatever death it goes on behind the
 * committed place, so it needs no snapshot; the same place is a registered cursor of the log, so retention waits for it
 * within log.hold_bytes.
 *
 * Batches  KT_RECORDER_BATCH_MAX records, or what came within KT_RECORD_COMMIT_MS: each costs one sync of the disk.
 * Trouble  A full disk, another writer, a read-only file: the batch is rolled back and tried again every
 *          KT_RECORD_RETRY_MS, the place does not move, and the first refusal is an `alert` in lane keep's log. A store
 *          that is damaged, newer than the program or ahead of the log parks the lane with the reason.
 * Unknown  Kinds of a newer program are skipped and counted; the first is an alert.
 * Losses   Records that retention removed before they were kept, or that lie in a fenced segment: a `lost` event.
 * Answers  vwap.historical, for a ticker of the compatible API or a composite; and by threads with connections of their own,
 *          so that no question holds up a row: the actions of store/desk.h.
 */
#ifndef KT_SERVICE_RECORD_FEED_H
#define KT_SERVICE_RECORD_FEED_H

#include "base/json.h"
#include "lane/lane.h"
#include "store/store.h"

enum { KT_RECORD_COMMIT_MS = 50, KT_RECORD_RETRY_MS = 1000 };

extern const kt_feed_spec kt_record_feed;

/* Answer vwap.historical: read its params, write its response (schema/actions.h). KT_NOENT: no such value. KT_SYNTAX,
 * KT_TYPE, KT_RANGE, KT_TWICE, KT_NOENT: the params, err names the field. Others: the store's. */
kt_code kt_record_historical(
    kt_store *store, const kt_config *config, kt_text params_json, kt_json_writer *writer, kt_err *err);

#endif
