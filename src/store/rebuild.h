/* store/rebuild.h - the store made again from the logs (`kontor rebuild store`). */
#ifndef KT_STORE_REBUILD_H
#define KT_STORE_REBUILD_H

#include "store/store.h"

/* Told between batches: `done` of `all` records of this log. */
typedef void (*kt_rebuild_progress)(void *ctx, const char *log, uint64_t done, uint64_t all);

/* Make the store again from the logs, beside the old one, as far as the old one had come (all that is durable where
 * there is none), and put it into its place when it is complete. Where the log does not hold all records from the first
 * on (retention, damage), the old store is the record for the others: it is copied, and what the log still holds is
 * applied over it; without an old store the new one has what the log has. KT_BUSY: lane keep is running. KT_NOENT: there
 * is no log. KT_VERSION, KT_ARG: the file is of a newer program or of another one, and not ours to replace. KT_CORRUPT:
 * the log does not hold all, and the old store can not be read (move it away to do without it). After an error the old
 * store is as it was. `progress` may be NULL. */
kt_code kt_rebuild_store(const kt_config *config, kt_rebuild_progress progress, void *ctx, kt_err *err);

#endif
