/* venue/sim/wire.h - how a venue spells a trade: the other end of the decoders, whole or broken in one field.
 *
 * Pure: text in the caller's builder, its overflow is sticky there (base/text.h). What is written whole decodes to the
 * same trade (fuzz_property.h).
 */
#ifndef KT_VENUE_SIM_WIRE_H
#define KT_VENUE_SIM_WIRE_H

#include "base/text.h"
#include "venue/venue.h"

enum { KT_SIM_EVENT_SIZE = 2048 }; /* bytes that any event of a checked symbol and id fits in */

/* What can be broken: the fields that every trade must have, numbered 0 .. count - 1 in the order of the message. */
typedef enum kt_sim_json { KT_SIM_JSON_TEXT, KT_SIM_JSON_NUMBER, KT_SIM_JSON_BOOL } kt_sim_json;

typedef struct kt_sim_field {
    const char *name;
    kt_sim_json type;
} kt_sim_field;

/* One field left out, or with another JSON value: -1 for neither. In formats whose messages carry a checksum: what is added
 * to it. */
typedef struct kt_sim_damage {
    int omit;
    int replace;
    kt_text with;
    uint32_t checksum;
} kt_sim_damage;

/* How a format writes: a row of functions. `damage` may be NULL; it counts the fields of what is written. */
typedef struct kt_sim_wire {
    const kt_venue_format *format;
    bool microseconds; /* of its times; otherwise ms */
    const kt_sim_field *trade_fields, *change_fields, *ticker_fields;
    uint32_t trade_field_count, change_field_count, ticker_field_count;
    /* A trade of the stream, as a raw one carries it, and a row of a REST answer. `instrument` gives the venue's spelling. */
    void (*write_trade)(
        const kt_row_instrument *instrument, const kt_row_trade *trade, const kt_sim_damage *damage, kt_builder *out);
    void (*write_row)(const kt_row_instrument *instrument, const kt_row_trade *trade, kt_builder *out);
    /* A change of a book, and best prices; NULL: the format has none. */
    void (*write_change)(
        const kt_row_instrument *instrument, const kt_ev_book *change, const kt_sim_damage *damage, kt_builder *out);
    void (*write_ticker)(
        const kt_row_instrument *instrument, const kt_ev_ticker *ticker, const kt_sim_damage *damage, kt_builder *out);
    /* What the venue sums up of a book whose best levels these are; NULL: nothing. */
    uint32_t (*checksum)(const kt_row_instrument *instrument, const kt_rows *bids, const kt_rows *asks);
} kt_sim_wire;

const kt_sim_wire *kt_sim_wire_of(const kt_venue_format *format);

/* A whole book as Binance's REST gives it. */
void kt_sim_write_book(const kt_ev_book *book, kt_builder *out);

enum { KT_SIM_CHANGE_LEVELS = 1000, KT_SIM_CHANGE_SIZE = 128 << 10 }; /* levels and bytes of a change, at most */

/* The name of a stream of Binance, btcusdt@trade, whose suffix is "@trade"; and an event in the envelope of combined streams. */
void kt_sim_write_stream(const kt_row_instrument *instrument, const char *suffix, kt_builder *out);
void kt_sim_write_combined(const kt_row_instrument *instrument, const char *suffix, kt_text event, kt_builder *out);

/* One row of exchangeInfo. */
void kt_sim_write_instrument(const kt_row_instrument *instrument, kt_builder *out);

#endif
