/* service/minutes.h - the house's own minutes of one feed, made of the trades that REST confirmed, beside the venue's.
 *
 * Minute   [begin, begin + 60 s) of venue time, quant/candle.h's. It is told when REST covers all of it and the watermark has
 *          reached its end (repair.h): then nothing of it can be missing but what REST can not give (`complete`). A minute
 *          without a trade is none, unless the venue told one.
 * Venue    of a minute the venue's word with the most trades counts, and only when it is its last: a word about a later
 *          minute followed it, and nothing was lost or refused on the way between. Until then the venue has told nothing.
 *          The same are open, high, low, close, volume and count, exactly; and its average, which is ours cut or rounded to
 *          the digits it gave, or to the instrument's where it gave fewer (trailing zeros are gone).
 * Again    `revision` counts up when a minute changes that was told: REST changed a trade or gave another one, or the
 *          venue's word came later. A trade behind the watermark makes a minute anew, of the trades that gather remembers.
 *          Where these are not all any more, it keeps its values, as not complete; when it is forgotten itself, that is
 *          told which is known.
 * Memory   minutes are kept KT_MINUTES_KEEP_NS behind the watermark, and as long as they wait for REST, KT_MINUTES_MAX at
 *          most: then the oldest is given up, and told no more. 304 bytes each, grown by doubling.
 */
#ifndef KT_SERVICE_MINUTES_H
#define KT_SERVICE_MINUTES_H

#include "lane/service.h"
#include "quant/candle.h"
#include "service/gather.h"

#define KT_MINUTES_KEEP_NS (15 * KT_NS_PER_MIN)

enum { KT_MINUTES_MAX = 4096 }; /* more than the trades of a page, which can be one a minute */

/* What a venue says of a minute; no trades: nothing. */
typedef struct kt_minute_word {
    kt_decimal open, high, low, close, vwap, volume;
    uint64_t trades;
} kt_minute_word;

typedef struct kt_minute {
    kt_candle own; /* at the scales of gather */
    kt_minute_word word;
    uint32_t revision; /* told last; 0: not yet */
    uint8_t told;      /* kt_agreement, as of then */
    bool complete;
    bool dirty; /* to be told again */
    /* until it is told: it is made anew of the trades that are remembered, which should be so many, and are */
    bool anew;
    uint64_t expected, found;
} kt_minute;

typedef struct kt_minutes {
    kt_minute *at; /* the oldest first */
    uint32_t count, capacity;
    bool due;            /* one that was told is dirty */
    bool anew;           /* one is to be made anew */
    int64_t until_ns;    /* the watermark, as it was told last */
    int64_t from_ns;     /* minutes from here on are told; INT64_MAX: none was yet */
    int64_t forgot_ns;   /* told ones before may be forgotten */
    int64_t given_up_ns; /* minutes before are told no more */
    int64_t word_ns;     /* begin of the newest minute that the venue spoke of; 0: none */
    uint64_t breaks;     /* of the venue, at that time */
    uint64_t compared;
    uint64_t different;
} kt_minutes;

void kt_minutes_init(kt_minutes *minutes);
void kt_minutes_done(kt_minutes *minutes);

/* Follow one step of gather by a trade of REST; all that an answer brings, before kt_minutes_tell(). */
void kt_minutes_step(kt_minutes *minutes, const kt_gather *gather, const kt_gather_step *step);

/* The watermark came to until_ns without steps: no minute that began by then is told. */
void kt_minutes_skip(kt_minutes *minutes, int64_t until_ns);

/* REST can not give all trades of these times, both ends in. */
void kt_minutes_hole(kt_minutes *minutes, int64_t from_ns, int64_t to_ns);

/* The venue speaks of a minute; of other intervals nothing is done. `breaks` is how often its messages may have been lost
 * so far. */
void kt_minutes_word(kt_minutes *minutes, const kt_ev_candle *candle, uint64_t breaks);

/* The scales of the trades' mantissas grow by these factors: would all fit? Then multiply. */
bool kt_minutes_fit(const kt_minutes *minutes, int64_t price_factor, int64_t qty_factor);
void kt_minutes_rescale(kt_minutes *minutes, int64_t price_factor, int64_t qty_factor);

/* Tell what is over: until_ns and from_ns as in repair.h. `digits` of the instrument's prices. */
void kt_minutes_tell(kt_minutes *minutes, const kt_gather *gather, uint8_t digits, int64_t until_ns, int64_t from_ns,
    kt_env *env, const char *subject);

void kt_minutes_save(const kt_minutes *minutes, kt_writer *writer);
kt_code kt_minutes_load(kt_minutes *minutes, kt_taker *taker);

#endif
