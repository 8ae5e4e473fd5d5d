/* bus/board.h - what the lanes of one node know of each other: one shared page a lane.
 *
 * Made     by the supervisor before it forks, as an anonymous shared mapping; every lane inherits it.
 * Writers  a page is written by its own lane and by the supervisor only: kt_board_protect() makes the pages of the others
 *          read-only, so that a memory error in one lane can not pretend anything about another.
 * Trust    what stands in another lane's page is news from outside: names are cut at their bounds, numbers are compared and
 *          never used as an index.
 * Numbers  a lane has the index of its page, 0 .. KT_BOARD_LANE_MAX - 1, and so has the log that it writes.
 */
#ifndef KT_BUS_BOARD_H
#define KT_BUS_BOARD_H

#include "base/error.h"
#include "base/types.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    KT_BOARD_LANE_MAX = 16,     /* lanes of one node */
    KT_BOARD_NAME_SIZE = 32,    /* bytes of a lane's name with its NUL */
    KT_BOARD_SERVICE_MAX = 16,  /* services that one lane hosts */
    KT_BOARD_ACTION_MAX = 32,   /* actions that one lane answers */
    KT_BOARD_ACTION_SIZE = 48,  /* bytes of an action's name with its NUL */
    KT_BOARD_REASON_SIZE = 256, /* bytes of the text that says why a lane ended, with its NUL */
    KT_BOARD_PAGE_SIZE = 4096,
};

#define KT_BOARD_STATE_MAP(X)                                    \
    X(ABSENT, "absent")     /* no lane has this page */          \
    X(STARTING, "starting") /* forked, recovering */             \
    X(LIVE, "live")         /* takes inputs */                   \
    X(STOPPING, "stopping") /* told to stop, closing its log */  \
    X(STOPPED, "stopped")   /* ended when told to */             \
    X(WAITING, "waiting")   /* died, waits for its next start */ \
    X(PARKED, "parked")     /* not started again until the house is */

#define X(name, text) KT_BOARD_##name,
typedef enum kt_board_state { KT_BOARD_STATE_MAP(X) KT_BOARD_STATE_COUNT } kt_board_state;
#undef X

/* "live" for KT_BOARD_LIVE; never NULL, whatever the number. */
const char *kt_board_state_text(uint32_t state);

typedef struct kt_board_page {
    char name[KT_BOARD_NAME_SIZE];
    _Atomic uint32_t state;      /* kt_board_state */
    _Atomic uint32_t generation; /* starts of this lane under this supervisor: 1, 2, 3 ... */
    _Atomic int32_t pid;         /* 0: none */
    _Atomic uint32_t restarts;   /* starts after a death */

    /* Waking, see wake.h. `episode` is odd while the lane sleeps; want_*[log] is the position beyond which it wants
     * to be woken, UINT64_MAX: never. */
    _Atomic uint64_t episode __attribute__((aligned(64)));
    _Atomic uint64_t want_written[KT_BOARD_LANE_MAX];
    _Atomic uint64_t want_durable[KT_BOARD_LANE_MAX];

    /* Progress and what is being worked on, for the supervisor when the lane has died. */
    _Atomic uint64_t position[KT_BOARD_LANE_MAX] __attribute__((aligned(64))); /* last record applied of each log */
    _Atomic uint64_t applying_seq;     /* seq of the record being applied, 0: none */
    _Atomic uint32_t applying_log;     /* of this log */
    _Atomic uint32_t applying_kind;    /* its kind: says whether it may be set aside */
    _Atomic uint64_t decoding_hash;    /* hash of the raw message being decoded, 0: none */
    _Atomic int64_t live_since_ns;     /* monotonic time at which this generation became live, 0: not yet */
    char reason[KT_BOARD_REASON_SIZE]; /* written by the lane before it ends by itself */

    _Atomic uint32_t action_count;
    char actions[KT_BOARD_ACTION_MAX][KT_BOARD_ACTION_SIZE];
    _Atomic uint32_t service_count;
    char services[KT_BOARD_SERVICE_MAX][KT_BOARD_NAME_SIZE];
} kt_board_page;

typedef struct kt_board {
    kt_board_page *pages;            /* KT_BOARD_LANE_MAX of them, KT_BOARD_PAGE_SIZE bytes each, shared */
    int bell_fds[KT_BOARD_LANE_MAX]; /* eventfd of each lane, -1: none */
    uint32_t lane_count;
} kt_board;

/* A board for these lanes, with their eventfds. KT_LIMIT: more than KT_BOARD_LANE_MAX, or a name too long. KT_SYS. */
kt_code kt_board_open(kt_board *board, const char *const *names, uint32_t count, kt_err *err);
void kt_board_close(kt_board *board);

/* In a lane just forked: the pages of all other lanes become read-only. */
kt_code kt_board_protect(kt_board *board, uint32_t lane_index, kt_err *err);

static inline kt_board_page *kt_board_page_of(const kt_board *board, uint32_t lane_index)
{
    return (kt_board_page *)((char *)board->pages + (size_t)lane_index * KT_BOARD_PAGE_SIZE);
}

/* Index of the lane (and log) of that name; -1: none. */
int kt_board_find(const kt_board *board, kt_text name);

/* Index of a lane that answers `action`; -1: none says so. */
int kt_board_find_action(const kt_board *board, kt_text action);

/* A lane tells that it answers `action`. Telling twice is fine. KT_LIMIT: too many, or the name is too long. */
kt_code kt_board_add_action(const kt_board *board, uint32_t lane_index, kt_text action, kt_err *err);

/* The same of a service that it hosts. */
kt_code kt_board_add_service(const kt_board *board, uint32_t lane_index, kt_text service, kt_err *err);

/* Walk the services that a lane has told: false behind the last. */
bool kt_board_service_at(const kt_board *board, uint32_t lane_index, uint32_t index, kt_text *out_service);

#endif
