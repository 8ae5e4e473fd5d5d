/* venue/sim/faults.h - everything that the sim breaks: one row a fault, its present value, and how often it was delivered.
 *
 * Row       name, the place where it applies, what is drawn for it, its unit and what it does. --fault, --help, schedules,
 *           the action sim.faults, the counters of the truth and docs/faulty-market.md follow from the rows.
 * Value     a share from 0 to 1 of what it is drawn for, or an amount in the row's unit; 0: it is off. It may change at any
 *           time, and holds from the next draw on.
 * Draws     of one thing (a trade, a message of a book, a connection ...) at most one fault comes: the shares of those that
 *           are drawn for it are together at most 1.
 * The same seed, values and draws give the same faults.
 */
#ifndef KT_VENUE_SIM_FAULTS_H
#define KT_VENUE_SIM_FAULTS_H

#include "base/decimal.h"
#include "base/json.h"
#include "base/rng.h"

/* Where a fault applies. P(NAME, name) */
#define KT_SIM_PLACE_MAP(P)     \
    P(STREAM, "stream")         \
    P(BOOK, "book")             \
    P(CONNECTION, "connection") \
    P(REST, "REST")             \
    P(CLOCK, "clock")           \
    P(RESULT, "result") /* not to be asked for: what becomes of a trade without a fault, or through another's */

/* U(NAME, name, least, greatest) */
#define KT_SIM_UNIT_MAP(U)            \
    U(SHARE, "share", 0, 1)           \
    U(SWITCH, "switch, 0 or 1", 0, 1) \
    U(BYTES, "bytes/s", 0, 1000000)   \
    U(MS, "ms", -86400000, 86400000)  \
    U(PPM, "ppm", -100000, 100000)

/* What a share is of. */
enum {
    KT_SIM_PER_NOTHING = 0,
    KT_SIM_PER_TRADE = 1,
    KT_SIM_PER_BOOK = 2, /* message of a book: levels, or best prices */
    KT_SIM_PER_MESSAGE = KT_SIM_PER_TRADE | KT_SIM_PER_BOOK,
    KT_SIM_PER_CHANGE = 4,      /* such a message that changes levels */
    KT_SIM_PER_NUMBERED = 8,    /* and numbers its updates */
    KT_SIM_PER_CHECKSUM = 16,   /* and carries a checksum */
    KT_SIM_PER_SNAPSHOT = 32,   /* whole book asked for over REST */
    KT_SIM_PER_CONNECTION = 64, /* WebSocket */
    KT_SIM_PER_HANDSHAKE = 128, /* TLS */
    KT_SIM_PER_REQUEST = 256,   /* REST */
    KT_SIM_PER_MOMENT = 512,    /* of a trade, whatever becomes of the trade itself */
};

/* F(NAME, name, place, what is drawn for it, unit, what it does) */
#define KT_SIM_FAULT_MAP(F)                                                                                            \
    F(NONE, "none", RESULT, NOTHING, SHARE, "delivered as it is")                                                      \
    F(DROP, "drop", STREAM, MESSAGE, SHARE, "never sent")                                                              \
    F(REPEAT, "repeat", STREAM, MESSAGE, SHARE, "sent, and again 1 to 8 messages later")                               \
    F(REORDER, "reorder", STREAM, MESSAGE, SHARE, "sent 1 to 8 messages later")                                        \
    F(MALFORMED, "malformed", STREAM, MESSAGE, SHARE, "sent as text that is not JSON")                                 \
    F(MISSING_FIELD, "missing_field", STREAM, MESSAGE, SHARE, "sent without one of its fields")                        \
    F(WRONG_TYPE, "wrong_type", STREAM, MESSAGE, SHARE, "sent with another JSON type in one of its fields")            \
    F(ABSURD_PRICE, "absurd_price", STREAM, TRADE, SHARE, "sent with a price 2 to 40 times too high or low")           \
    F(DISCONNECT, "disconnect", STREAM, TRADE, SHARE, "lost, and the connection is closed")                            \
    F(SILENCE, "silence", STREAM, MOMENT, SHARE, "lost, with all others for 1 second to --silence-length")             \
    F(CUT_FRAME, "cut_frame", STREAM, TRADE, SHARE,                                                                    \
        "lost: its frame, or the compressed data in it, ends in the middle, and the connection with it")               \
    F(SEQUENCE_GAP, "sequence_gap", BOOK, NUMBERED, SHARE, "some updates of a change are left out, and their numbers") \
    F(CROSSED_BOOK, "crossed_book", BOOK, CHANGE, SHARE, "a change with a bid above the best ask")                     \
    F(WRONG_CHECKSUM, "wrong_checksum", BOOK, CHECKSUM, SHARE, "another checksum, in the formats that have one")       \
    F(OLD_SNAPSHOT, "old_snapshot", BOOK, SNAPSHOT, SHARE, "REST gives the whole book as it was 1 second ago or more") \
    F(TRICKLE, "trickle", CONNECTION, NOTHING, BYTES,                                                                  \
        "so many bytes a second and connection, in frames of a few bytes")                                             \
    F(HALF_OPEN, "half_open", CONNECTION, CONNECTION, SHARE,                                                           \
        "after 1 to 64 messages nothing is sent or read any more, nor closed")                                         \
    F(REFUSE, "refuse", CONNECTION, NOTHING, SWITCH, "the port is closed: connections are ended, new ones refused")    \
    F(EXPIRED_CERTIFICATE, "expired_certificate", CONNECTION, HANDSHAKE, SHARE, "a certificate of yesterday; --tls")   \
    F(WRONG_NAME, "wrong_name", CONNECTION, HANDSHAKE, SHARE, "a certificate of another host; --tls")                  \
    F(UNKNOWN_AUTHORITY, "unknown_authority", CONNECTION, HANDSHAKE, SHARE,                                            \
        "a certificate of an authority that nobody trusts; --tls")                                                     \
    F(STATUS_429, "status_429", REST, REQUEST, SHARE, "429 Too Many Requests with Retry-After: --retry-after")         \
    F(STATUS_500, "status_500", REST, REQUEST, SHARE, "500 Internal Server Error")                                     \
    F(STATUS_503, "status_503", REST, REQUEST, SHARE, "503 Service Unavailable")                                       \
    F(TRUNCATED_BODY, "truncated_body", REST, REQUEST, SHARE, "the connection ends in the middle of the body")         \
    F(WRONG_CONTENT_TYPE, "wrong_content_type", REST, REQUEST, SHARE, "200 with a page of HTML instead of JSON")       \
    F(OVERLAP, "overlap", REST, REQUEST, SHARE, "a page of trades begins up to half a page before what was asked for") \
    F(CLOCK_OFFSET, "clock_offset", CLOCK, NOTHING, MS, "the venue's clock is so far ahead; below 0 behind")           \
    F(CLOCK_DRIFT, "clock_drift", CLOCK, NOTHING, PPM, "and gets ahead by so many microseconds a second")              \
    F(OUTAGE, "outage", RESULT, NOTHING, SHARE, "nobody was there to receive it")

#define KT_SIM_FAULT_NAME(NAME, ...) KT_SIM_##NAME,
#define KT_SIM_PLACE_NAME(NAME, ...) KT_SIM_PLACE_##NAME,
#define KT_SIM_UNIT_NAME(NAME, ...) KT_SIM_UNIT_##NAME,
typedef enum kt_sim_fault { KT_SIM_FAULT_MAP(KT_SIM_FAULT_NAME) KT_SIM_FAULT_COUNT } kt_sim_fault;
typedef enum kt_sim_place { KT_SIM_PLACE_MAP(KT_SIM_PLACE_NAME) KT_SIM_PLACE_COUNT } kt_sim_place;
typedef enum kt_sim_unit { KT_SIM_UNIT_MAP(KT_SIM_UNIT_NAME) KT_SIM_UNIT_COUNT } kt_sim_unit;
#undef KT_SIM_FAULT_NAME
#undef KT_SIM_PLACE_NAME
#undef KT_SIM_UNIT_NAME

typedef struct kt_sim_fault_spec {
    const char *name;
    kt_sim_place place;
    kt_sim_unit unit;
    uint32_t per; /* KT_SIM_PER_... */
    const char *text;
} kt_sim_fault_spec;

extern const kt_sim_fault_spec kt_sim_fault_specs[KT_SIM_FAULT_COUNT];

const char *kt_sim_place_name(kt_sim_place place);
const char *kt_sim_unit_name(kt_sim_unit unit);

/* The fault of that name that can be asked for; KT_SIM_FAULT_COUNT: none. */
kt_sim_fault kt_sim_fault_of(kt_text name);

/* All zero: nothing is broken. */
typedef struct kt_sim_faults {
    kt_decimal values[KT_SIM_FAULT_COUNT];
    uint64_t delivered[KT_SIM_FAULT_COUNT];
    /* the venue's clock */
    int64_t drift_from_ns; /* market time at which the drift was set */
    int64_t skewed_ns;     /* market time of the last question, */
    int64_t skew_ns;       /* and what was answered */
} kt_sim_faults;

/* Set one value, told as text. KT_ARG: no such fault; KT_RANGE: the value is not one of its unit. The message says what
 * is allowed; nothing has changed then. */
kt_code kt_sim_faults_set(kt_sim_faults *faults, kt_text name, kt_text value, kt_err *err);

/* Do the shares of each draw add up to 1 at most? KT_RANGE: the message names them. */
kt_code kt_sim_faults_check(const kt_sim_faults *faults, kt_err *err);

/* Take the values of the other one; what was delivered stays. Market time is `now_ns`. */
void kt_sim_faults_take(kt_sim_faults *faults, const kt_sim_faults *values, int64_t now_ns);

double kt_sim_faults_value(const kt_sim_faults *faults, kt_sim_fault fault);

/* The fault that comes: one of those drawn for `per` (KT_SIM_PER_..., one or several), KT_SIM_NONE: none. It is not counted yet. */
kt_sim_fault kt_sim_faults_draw(const kt_sim_faults *faults, kt_rng *rng, uint32_t per);

/* How far the venue's clock is ahead at this market time, which does not go back; in whole ms. It never steps back itself: to
 * get behind it runs at half speed. */
int64_t kt_sim_faults_skew(kt_sim_faults *faults, int64_t now_ns);

/* {"drop":17,...}: how often each was delivered. */
void kt_sim_faults_write_delivered(const kt_sim_faults *faults, kt_json_writer *writer);

#endif
