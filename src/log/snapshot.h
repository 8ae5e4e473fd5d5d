/* log/snapshot.h - the state of a lane's services after applying a record, kept beside its log.
 *
 * A snapshot is made with kt_log_snapshot (log.h): written to a temporary name off the loop, synced, and named once durable
 * has passed its seq. So a snapshot with a name is valid, unless a power cut un-wrote the log below it: kt_log_open drops
 * such ones. Retention removes only segments that lie wholly at or below the newest. The two newest are kept; what the bytes
 * mean (cursors of all inputs, output position, services) is the lane's affair.
 */
#ifndef KT_LOG_SNAPSHOT_H
#define KT_LOG_SNAPSHOT_H

#include "base/error.h"
#include "base/types.h"

enum { KT_SNAPSHOTS_KEPT = 2 };

typedef struct kt_snapshot {
    uint64_t seq;     /* state after applying this record */
    uint64_t epoch;   /* of the log when it was taken */
    uint32_t version; /* as given to kt_log_snapshot */
    size_t size;
    void *bytes; /* malloc'ed; free with kt_snapshot_done */
} kt_snapshot;

/* The newest whose checksum holds and whose seq is at most seq_max (pass kt_log_recovery.last_seq, or UINT64_MAX); a
 * damaged one is passed over for the one before. KT_EMPTY: none. KT_VERSION: the newest was made by a newer program. */
kt_code kt_snapshot_newest(const char *dir, uint64_t seq_max, kt_snapshot *out_snapshot, kt_err *err);
void kt_snapshot_done(kt_snapshot *snapshot);

#endif
