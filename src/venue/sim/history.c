#include "venue/sim/history.h"

#include <stdlib.h>

#include "base/assert.h"

enum { CAPACITY_FIRST = 1024 };

void kt_sim_history_init(kt_sim_history *history, uint32_t keep)
{
    kt_assert(keep >= 1);
    *history = (kt_sim_history){ .keep = keep };
}

void kt_sim_history_done(kt_sim_history *history)
{
    free(history->trades);
    *history = (kt_sim_history){ 0 };
}

/* Only before the ring has wrapped: the oldest is at index 0 then. */
static kt_code grow(kt_sim_history *history)
{
    uint32_t wanted = history->capacity == 0 ? CAPACITY_FIRST : 2 * history->capacity;
    uint32_t capacity = wanted < history->keep ? wanted : history->keep;
    kt_sim_trade *trades = realloc(history->trades, capacity * sizeof *trades);

    if (trades == NULL)
        return KT_SYS;
    history->trades = trades;
    history->capacity = capacity;
    return KT_OK;
}

kt_code kt_sim_history_add(kt_sim_history *history, const kt_sim_trade *trade)
{
    if (history->count == history->capacity && history->capacity < history->keep && grow(history) != KT_OK)
        return KT_SYS;
    if (history->count == history->capacity) {
        history->trades[history->first] = *trade;
        history->first = (history->first + 1) % history->capacity;
        return KT_OK;
    }
    history->trades[history->count++] = *trade;
    return KT_OK;
}

const kt_sim_trade *kt_sim_history_at(const kt_sim_history *history, uint32_t index)
{
    kt_assert(index < history->count);
    return &history->trades[((uint64_t)history->first + index) % history->capacity];
}

const kt_sim_trade *kt_sim_history_last(const kt_sim_history *history)
{
    return history->count != 0 ? kt_sim_history_at(history, history->count - 1) : NULL;
}

uint32_t kt_sim_history_from_number(const kt_sim_history *history, uint64_t number)
{
    uint32_t low = 0, high = history->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kt_sim_history_at(history, middle)->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t kt_sim_history_from_time(const kt_sim_history *history, int64_t time_ms)
{
    uint32_t low = 0, high = history->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kt_sim_history_at(history, middle)->time_ms < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
