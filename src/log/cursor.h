/* log/cursor.h - registered durable cursors: how a reader of a log tells its writer what must be kept.
 *
 * A cursor is a small file <log>/cursors/<name> of two checksummed slots. `safe` is the last seq whose effect the reader
 * has safely on disk (for SQLite: the checkpointed cursor): retention never removes a segment that holds a record above
 * the lowest safe seq, within the log's hold_bytes. Losing the newest slot in a power cut only means holding more.
 */
#ifndef KT_LOG_CURSOR_H
#define KT_LOG_CURSOR_H

#include "base/error.h"
#include "base/types.h"

typedef struct kt_cursor_position {
    uint64_t epoch; /* of the log (kt_reader_epoch) */
    uint64_t seq;   /* last record applied; 0: none */
    uint64_t safe;  /* last record whose effect is on disk; at most seq */
} kt_cursor_position;

typedef struct kt_cursor kt_cursor;

/* Open or register. name: 1 to KT_LOG_NAME_MAX of [A-Za-z0-9._-], not starting with a dot; unique among the log's
 * readers. A new or unreadable cursor stands at {0, 0, 0} and holds everything. KT_ARG, KT_NOENT (no log), KT_SYS. */
kt_code kt_cursor_open(const char *dir, const char *name, kt_cursor **out_cursor, kt_err *err);
void kt_cursor_close(kt_cursor *cursor); /* stays registered */

kt_cursor_position kt_cursor_get(const kt_cursor *cursor);

/* One small write, no sync; asserts safe <= seq. KT_SYS. */
kt_code kt_cursor_store(kt_cursor *cursor, kt_cursor_position position, kt_err *err);

/* Take it out of the register. A cursor that is not there is a success. */
kt_code kt_cursor_remove(const char *dir, const char *name, kt_err *err);

/* Every registered cursor, in the order of their names. KT_SYS: the folder can not be read. */
kt_code kt_cursor_each(
    const char *dir, void (*each)(void *ctx, const char *name, kt_cursor_position position), void *ctx, kt_err *err);

#endif
