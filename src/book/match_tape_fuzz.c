/* Property: a tape that is accepted plays within its arrays and its engine's bounds with each kind of ids, and has one outcome with
 * all that refuse none of its commands (handles take an id that is alive already for another order).
 * Input: the bytes of a tape. */
#include <string.h>

#include "base/assert.h"
#include "book/match_tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEVEL_MAX = 1 << 16, ORDER_MAX = 1 << 18 }; /* more is a matter of memory */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *bytes = malloc(size); /* aligned, and nothing behind them is readable */
    kt_tape_outcome first = { 0 };
    bool found = false;

    kt_assert(bytes != NULL);
    memcpy(bytes, data, size);
    const kt_tape *tape = kt_tape_of(bytes, size);
    for (kt_match_ids ids = 0; tape != NULL && ids < KT_MATCH_IDS_COUNT; ids++) {
        const kt_match_bounds bounds = kt_tape_bounds(tape, ids);
        kt_tape_outcome outcome;

        if (tape->symbols * (tape->price_max + 1) > LEVEL_MAX || bounds.order_max > ORDER_MAX)
            break;
        kt_match *match = kt_match_new(&bounds);
        kt_assert(match != NULL);
        bool fine = kt_tape_play(tape, match, NULL, &outcome);
        kt_assert(kt_match_audit(match) == NULL);
        kt_assert(!fine || !found || memcmp(&outcome, &first, sizeof outcome) == 0);
        first = fine ? outcome : first;
        found = found || fine;
        kt_match_free(match);
    }
    free(bytes);
    return 0;
}
