/* book/match_tape.h - tapes of commands with a known outcome, for tests and benchmarks of the matching core.
 *
 * Form     little endian: a header of 80 bytes, "MEWL0001" and nine u64, then records of 32 bytes. The header says what trades
 *          must come: their number, quantity and an order-sensitive hash, h = (h ^ word) * 0x100000001b3 from
 *          0xcbf29ce484222325 over maker, taker, price and quantity of each.
 * Records  op 0 a limit order that rests, 1 cancel, 2 replace (same id, new price and quantity, to the back), 3 a limit order
 *          that takes; ids are dense from 1.
 */
#ifndef KT_BOOK_MATCH_TAPE_H
#define KT_BOOK_MATCH_TAPE_H

#include <stdlib.h>

#include <kontor/match.h>

#include "base/types.h"

typedef struct kt_tape_record {
    uint64_t id;
    uint32_t price, qty;
    uint16_t symbol;
    uint8_t op, side;
    uint32_t zero;
    uint64_t user;
} kt_tape_record;

typedef struct kt_tape {
    char magic[8];
    uint64_t symbols, prefill, timed, trades, traded_qty, notional, hash, live, price_max;
    kt_tape_record records[];
} kt_tape;

typedef struct kt_tape_outcome {
    uint64_t trades, traded_qty, notional, hash, live;
} kt_tape_outcome;

static inline uint64_t kt_tape_count(const kt_tape *tape)
{
    return tape->prefill + tape->timed;
}

#define KT_TAPE_COMMAND_MAX (UINT64_C(1) << 30)
#define KT_TAPE_LEVEL_MAX (UINT64_C(1) << 31) /* symbols times prices */

static inline kt_match_bounds kt_tape_bounds(const kt_tape *tape, kt_match_ids ids)
{
    return (kt_match_bounds){ .symbol_max = (uint32_t)tape->symbols,
        .order_max = (uint32_t)(tape->prefill * 2 + 100000),
        .price_max = (uint32_t)tape->price_max + 1,
        .qty_max = INT64_C(1) << 32,
        .ids = ids,
        .id_max = ids == KT_MATCH_DIRECT ? kt_tape_count(tape) : 0 };
}

/* NULL: these bytes are not a whole tape, a record's id, symbol, price or side is beyond what the header says, or that is
 * more than an engine takes. O(records). */
static inline const kt_tape *kt_tape_of(const void *bytes, size_t size)
{
    const kt_tape *tape = bytes;
    bool fine = size >= sizeof *tape && memcmp(tape->magic, "MEWL0001", 8) == 0 &&
                tape->prefill <= KT_TAPE_COMMAND_MAX && tape->timed >= 1 && tape->timed <= KT_TAPE_COMMAND_MAX &&
                size == sizeof *tape + kt_tape_count(tape) * sizeof(kt_tape_record) && tape->symbols >= 1 &&
                tape->symbols <= UINT16_MAX && tape->price_max < KT_TAPE_LEVEL_MAX / tape->symbols;

    for (kt_match_ids ids = 0; fine && ids < KT_MATCH_IDS_COUNT; ids++) {
        const kt_match_bounds bounds = kt_tape_bounds(tape, ids);
        fine = kt_match_bounds_wrong(&bounds) == NULL;
    }
    for (uint64_t i = 0; fine && i < kt_tape_count(tape); i++) {
        const kt_tape_record *r = &tape->records[i];
        fine = r->id >= 1 && r->id <= kt_tape_count(tape) && r->symbol < tape->symbols && r->price <= tape->price_max &&
               r->side <= 1 && r->op <= 3;
    }
    return fine ? tape : NULL;
}

static inline kt_match_command kt_tape_command(const kt_tape_record *record)
{
    static const uint8_t ops[] = { KT_MATCH_NEW, KT_MATCH_CANCEL, KT_MATCH_REPLACE, KT_MATCH_NEW };
    kt_match_command command = { .id = record->id, .op = ops[record->op & 3], .symbol = record->symbol };

    if (command.op != KT_MATCH_CANCEL) {
        command.price = record->price;
        command.qty = record->qty;
        command.side = record->side;
    }
    return command;
}

static inline void kt_tape_hash(uint64_t *hash, uint64_t word)
{
    *hash = (*hash ^ word) * UINT64_C(0x100000001b3);
}

/* Play the tape, one command at a time, into an engine of its bounds; out_commands, if not NULL: its commands, with the ids
 * that the engine wants (kt_tape_count of them). False: something was refused. */
static inline bool kt_tape_play(
    const kt_tape *tape, kt_match *match, kt_match_command *out_commands, kt_tape_outcome *out_outcome)
{
    enum { EVENT_MAX = 1 << 16 };
    kt_match_event *events = malloc(EVENT_MAX * sizeof *events);
    uint64_t *engine_ids = calloc(kt_tape_count(tape) + 1, sizeof *engine_ids);
    uint64_t *tape_ids = calloc(kt_tape_count(tape) + 1, sizeof *tape_ids); /* by slot; or by the id itself */
    kt_tape_outcome outcome = { .hash = UINT64_C(0xcbf29ce484222325) };
    bool fine = events != NULL && engine_ids != NULL && tape_ids != NULL;

    for (uint64_t i = 0; i < kt_tape_count(tape) && fine; i++) {
        kt_match_out out = { .next = events, .end = events + EVENT_MAX };
        kt_match_command command = kt_tape_command(&tape->records[i]);

        if (command.op != KT_MATCH_NEW)
            command.id = engine_ids[command.id];
        if (out_commands != NULL)
            out_commands[i] = command;
        kt_match_submit(match, &command, 1, &out);
        for (const kt_match_event *event = events; event < out.next; event = kt_match_next(event)) {
            if (event->kind == KT_MATCH_ACCEPTED) {
                engine_ids[event->other] = event->id;
                tape_ids[(uint32_t)event->id] = event->other;
            } else if (event->kind == KT_MATCH_TRADE) {
                kt_tape_hash(&outcome.hash, tape_ids[(uint32_t)event->id]);
                kt_tape_hash(&outcome.hash, tape_ids[(uint32_t)event->other]);
                kt_tape_hash(&outcome.hash, event->price);
                kt_tape_hash(&outcome.hash, (uint64_t)event->qty);
                outcome.trades++;
                outcome.traded_qty += (uint64_t)event->qty;
                outcome.notional += (uint64_t)event->qty * event->price;
            }
            fine &= event->kind != KT_MATCH_REJECTED;
        }
    }
    outcome.live = kt_match_live(match);
    *out_outcome = outcome;
    free(events);
    free(engine_ids);
    free(tape_ids);
    return fine;
}

static inline bool kt_tape_is(const kt_tape *tape, const kt_tape_outcome *o)
{
    return o->trades == tape->trades && o->traded_qty == tape->traded_qty && o->notional == tape->notional &&
           o->hash == tape->hash && o->live == tape->live;
}

#endif
