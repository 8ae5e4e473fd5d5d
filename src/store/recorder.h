/* store/recorder.h - from log market to the store: trades, values, corrections and watermarks, each exactly once.
 *
 * A batch applies the next records up to the log's `durable` and commits them together with the place behind them, so
 * that after whatever death the next one goes on there. Kinds that are not kept are passed over; those of a newer
 * program are counted. A batch is short, so that lane keep answers and stops in between: one correction of a trade long ago
 * changes a row for every second of a window.
 */
#ifndef KT_STORE_RECORDER_H
#define KT_STORE_RECORDER_H

#include "log/reader.h"
#include "store/store.h"

#define KT_RECORDER_LOG "market" /* the log whose events are kept */

enum {
    KT_RECORDER_BATCH_MAX = 16384, /* records; of a stream every other one is a row */
    KT_RECORDER_ROWS_MAX = 16384,  /* rows changed by a batch, without those of the record that reaches it */
    KT_RECORDER_PATH_SIZE = 4096
};

/* A log and how much of it stands in the store. Its members are for reading, except `end` and `boot_id`. */
typedef struct kt_recorder {
    kt_store *store;
    kt_reader *reader;      /* NULL: not opened yet, or to be opened again */
    const uint8_t *boot_id; /* of readers, as kt_reader_open(); NULL: the kernel's */
    char dir[KT_RECORDER_PATH_SIZE];
    kt_store_cursor cursor; /* committed */
    uint64_t end;           /* no record behind it, durable or not */
    kt_lost lost;           /* met by the last batch; from 0: nothing */
    bool full;              /* the last batch ended at a bound: there may be more */
    uint64_t unknown_kinds; /* skipped: a newer program's */
} kt_recorder;

/* Stand behind what `store`, which is borrowed, holds of the log in the data folder `data`. The log itself is opened by
 * the first batch, since it may not be there yet. KT_LIMIT: the folder's name is too long. */
kt_code kt_recorder_init(kt_recorder *recorder, kt_store *store, const char *data, kt_err *err);

/* Let go of the log. Harmless when it is not open; the next batch opens it again. */
void kt_recorder_close(kt_recorder *recorder);

/* The greatest seq that a batch may apply now. The log has to be open. */
uint64_t kt_recorder_limit(const kt_recorder *recorder);

/* One batch of at most `max` records and KT_RECORDER_ROWS_MAX rows of what is durable. KT_EMPTY: nothing there, or no log yet. KT_SEQ: the store is of
 * another log, or ahead of this one. KT_CORRUPT: a record that can not be kept. Others: the store's. After an error the
 * store and the place are as before, and the next call starts from there. */
kt_code kt_recorder_batch(kt_recorder *recorder, uint32_t max, kt_err *err);

#endif
