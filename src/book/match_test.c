/* Rules of the matching core by name. Every row is played by the fast and by the slow book, and both must tell the row's events.
 *
 * Commands, separated by ';'
 *   B1 5@100 ...    buy: id 1, 5 at 100 (S: sell; no price: market), and any of
 *                   ioc fok post gtd=T show=Q o=OWNER stp=taker|maker|both|decrement peer=ID stop=P trail=D
 *                   (stop with a price: stop-limit; without: stop)
 *   *9 S10 5@100    the same nine times, ids counted up; *9+ and *9-: prices too
 *   C1  A1 5@100  R1 5@100    cancel, amend (stop=P), replace (either part may be missing: "A1 5", "A1 @101")
 *   CO7  CA  T9  OPEN  HALT  CANCEL-ONLY  AUCTION
 * Events (accepted, levels, states and times are left out)
 *   2x1:5@100       2 took 5 from 1 at 100          -1:5 WHY   cancelled with 5 open         x1:5   expired
 *   !1 WHY          refused                          ~1:5@100   amended to that               ^1     triggered
 *   =3              a mass cancel took 3 */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/test_util.h"
#include "base/text.h"
#include "book/match_slow.h"

enum {
    EVENT_MAX = 1 << 14,
    TEXT_MAX = 1 << 16,
    PRICE_MAX = 10000,
    QTY_MAX = 1000000,
    ORDER_MAX = 2000,
    ID_MAX = 100000
};

static const kt_match_bounds bounds = { .symbol_max = 1,
    .order_max = ORDER_MAX,
    .price_max = PRICE_MAX,
    .qty_max = QTY_MAX,
    .ids = KT_MATCH_DIRECT,
    .id_max = ID_MAX };

typedef struct row {
    const char *name;
    const char *commands;
    const char *events;
    const char *book; /* bids / asks, the best first */
} row;

static const row rows[] = {
    /* places in a level */
    { "cancel the head of a level, then sweep", "*3 S1 5@100; C1; B9 10@100", "-1:5 ASKED 9x2:5@100 9x3:5@100", "/" },
    { "cancel the middle of a level, then sweep", "*3 S1 5@100; C2; B9 10@100", "-2:5 ASKED 9x1:5@100 9x3:5@100", "/" },
    { "cancel the tail of a level, then sweep", "*3 S1 5@100; C3; B9 11@100", "-3:5 ASKED 9x1:5@100 9x2:5@100",
        "1@100 /" },
    { "a level emptied and refilled", "S1 5@100; B2 5@100; S3 2@100; B4 2@100", "2x1:5@100 4x3:2@100", "/" },
    { "a level emptied by cancels and refilled", "*2 S1 5@100; C1; C2; S3 2@100; B4 2@100",
        "-1:5 ASKED -2:5 ASKED 4x3:2@100", "/" },
    { "a cancel empties a side, then it is refilled", "B1 5@100; C1; B2 3@90; S3 3@80", "-1:5 ASKED 3x2:3@90", "/" },
    { "the best goes by a cancel, the next is the best", "B1 1@100; B2 1@99; B3 1@36; C1; S4 1@36",
        "-1:1 ASKED 4x2:1@99", "1@36 /" },
    { "a deep queue with scattered cancels", "*8 S1 1@100; C2; C5; C8; C1; B9 4@100",
        "-2:1 ASKED -5:1 ASKED -8:1 ASKED -1:1 ASKED 9x3:1@100 9x4:1@100 9x6:1@100 9x7:1@100", "/" },
    { "a partial fill keeps the maker first in its level", "*2 S1 5@100; B3 2@100; B4 4@100",
        "3x1:2@100 4x1:3@100 4x2:1@100", "/ 4@100" },
    /* sweeps */
    { "an IOC sweeps many levels", "*3+ S1 5@100; B9 12@105 ioc", "9x1:5@100 9x2:5@101 9x3:2@102", "/ 3@102" },
    { "a sweep that ends exactly on a boundary", "*3+ S1 5@100; B9 10@105", "9x1:5@100 9x2:5@101", "/ 5@102" },
    { "a sweep whose residual becomes the best", "*2+ S1 5@100; B8 1@99; B9 12@101; S10 2@101",
        "9x1:5@100 9x2:5@101 10x9:2@101", "1@99 /" },
    { "a limit stops at its own price", "*3+ S1 5@100; B9 20@101", "9x1:5@100 9x2:5@101", "10@101 / 5@102" },
    { "the residual of an IOC does not rest", "S1 5@100; B2 9@100 ioc; S3 4@100", "2x1:5@100 -2:4 UNFILLED",
        "/ 4@100" },
    { "a market order takes all, and what is left goes", "*2+ S1 5@100; B9 12", "9x1:5@100 9x2:5@101 -9:2 UNFILLED",
        "/" },
    { "a market order on an empty side", "B1 5", "-1:5 UNFILLED", "/" },
    { "protection bounds a market order", "*3+ S1 5@100; B9 12@101 mkt", "9x1:5@100 9x2:5@101 -9:2 UNFILLED",
        "/ 5@102" },
    { "the same level is never consumed twice", "*2 S1 5@100; B3 10@100; B4 1@100; S5 1@100",
        "3x1:5@100 3x2:5@100 5x4:1@100", "/" },
    { "trades happen at the maker's price: a buyer takes", "S1 5@100; B2 5@110", "2x1:5@100", "/" },
    { "trades happen at the maker's price: a seller takes", "B1 5@100; S2 5@90", "2x1:5@100", "/" },
    { "price priority whatever the order of arrival: asks", "*3- S1 5@102; B9 15@102", "9x3:5@100 9x2:5@101 9x1:5@102",
        "/" },
    { "price priority whatever the order of arrival: bids", "*3+ B1 5@100; S9 15@100", "9x3:5@102 9x2:5@101 9x1:5@100",
        "/" },
    { "a FOK that can be filled whole", "*2+ S1 5@100; B9 9@101 fok", "9x1:5@100 9x2:4@101", "/ 1@101" },
    { "a FOK that can not be filled whole takes nothing", "*2+ S1 5@100; B9 11@101 fok", "-9:11 NOT_WHOLE",
        "/ 5@100 5@101" },
    { "a FOK stops at its price", "*2+ S1 5@100; B9 6@100 fok", "-9:6 NOT_WHOLE", "/ 5@100 5@101" },
    { "a FOK across an iceberg counts what is hidden", "S1 9@100 show=2; S2 1@100; B9 10@100 fok",
        "9x1:2@100 9x2:1@100 9x1:2@100 9x1:2@100 9x1:2@100 9x1:1@100", "/" },
    { "a FOK one above an iceberg's whole", "S1 9@100 show=2; B9 10@100 fok", "-9:10 NOT_WHOLE", "/ 2@100" },
    { "post-only that would take", "S1 5@100; B2 5@100 post", "-2:5 WOULD_TAKE", "/ 5@100" },
    { "post-only that would not", "S1 5@100; B2 5@99 post", "", "5@99 / 5@100" },
    /* amend and replace */
    { "a smaller quantity keeps the place", "*2 S1 5@100; A1 3; B9 4@100", "~1:3@100 9x1:3@100 9x2:1@100", "/ 4@100" },
    { "a greater quantity goes to the back", "*2 S1 5@100; A1 6; B9 6@100", "~1:6@100 9x2:5@100 9x1:1@100", "/ 5@100" },
    { "another price goes to the back", "*2 S1 5@100; A1 @101; A1 @100; B9 6@100",
        "~1:5@101 ~1:5@100 9x2:5@100 9x1:1@100", "/ 4@100" },
    { "replace goes to the back even when it is smaller", "*2 S1 5@100; R1 3; B9 6@100", "~1:3@100 9x2:5@100 9x1:1@100",
        "/ 2@100" },
    { "amend into the cross at the maker's price", "S1 5@100; B2 5@90; A2 @100", "~2:5@100 2x1:5@100", "/" },
    { "amend into the cross with price improvement", "S1 5@100; B2 7@90; A2 7@110", "~2:7@110 2x1:5@100", "2@110 /" },
    { "amend of a post-only into the cross leaves it as it was", "S1 5@100; B2 5@90; A2 @100 post", "!2 WOULD_TAKE",
        "5@90 / 5@100" },
    { "a partial fill, then a cancel", "S1 5@100; B2 2@100; C1", "2x1:2@100 -1:3 ASKED", "/" },
    { "a partial residual is amended", "S1 5@100; B2 2@100; A1 1; B3 2@100", "2x1:2@100 ~1:1@100 3x1:1@100",
        "1@100 /" },
    { "a full fill, then a stale cancel and a stale amend", "S1 5@100; B2 5@100; C1; A1 3; R2 @90",
        "2x1:5@100 !1 UNKNOWN !1 UNKNOWN !2 UNKNOWN", "/" },
    { "another owner's order is not touched", "S1 5@100 o=7; C1 o=8; A1 3 o=8; C1 o=7",
        "!1 NOT_OWNER !1 NOT_OWNER -1:5 ASKED", "/" },
    /* ids and ceilings */
    { "an id is used again after a cancel", "S1 5@100; C1; S1 4@101; B2 4@101", "-1:5 ASKED 2x1:4@101", "/" },
    { "an id is used again after a full fill", "S1 5@100; B2 5@100; S1 4@101; B2 4@101", "2x1:5@100 2x1:4@101", "/" },
    { "an id of a live order is not", "S1 5@100; S1 4@101; B2 9@101", "!1 TWICE 2x1:5@100", "4@101 /" },
    { "ids that were never issued", "C1; A1 5@100; R99999 5@100; C100001",
        "!1 UNKNOWN !1 UNKNOWN !99999 UNKNOWN !100001 UNKNOWN", "/" },
    { "the ceiling of ids", "S100000 5@100; S100001 5@100; S0 5@100", "!100001 BAD_ID !0 BAD_ID", "/ 5@100" },
    { "the ceiling of prices", "S1 5@10000; S2 5@10001; B3 5@1; B4 5@0 lim", "!2 BAD_PRICE !4 BAD_PRICE",
        "5@1 / 5@10000" },
    { "the ceiling of quantities", "S1 1000000@100; S2 1000001@100; S3 0@100; S4 -1@100",
        "!2 BAD_QTY !3 BAD_QTY !4 BAD_QTY", "/ 1000000@100" },
    { "the ceiling of the pool: refused, and nothing dropped",
        "*2000 S1 1@100; S2001 1@100; B2002 2@100 ioc; S2003 1@101; S2004 1@101; S2005 1@101",
        "!2001 FULL 2002x1:1@100 2002x2:1@100 !2005 FULL", "/ 1998@100 2@101" },
    /* icebergs */
    { "each part of an iceberg goes to the back", "S1 5@100 show=2; S2 3@100; B9 6@100",
        "9x1:2@100 9x2:3@100 9x1:1@100", "/ 1@100" },
    { "an iceberg loses of its hidden part first", "S1 9@100 show=2; S2 1@100; A1 3; B9 9@100",
        "~1:3@100 9x1:2@100 9x2:1@100 9x1:1@100", "5@100 /" },
    /* stops */
    { "a stop waits until a trade reaches it", "S1 5@100; S2 5@105; B3 2 stop=105; B4 5@100; B5 1@105",
        "4x1:5@100 5x2:1@105 ^3 3x2:2@105", "/ 2@105" },
    { "a sell stop is reached from above", "B1 5@100; B2 5@95; S3 9 stop=100; S4 1@100",
        "4x1:1@100 ^3 3x1:4@100 3x2:5@95", "/" },
    { "a stop that is reached already triggers at once", "S1 5@100; B2 1@100; B3 2 stop=99", "2x1:1@100 ^3 3x1:2@100",
        "/ 2@100" },
    { "a stop-limit rests at its limit", "S1 1@100; B2 9@99 stop=100; B3 1@100", "3x1:1@100 ^2", "9@99 /" },
    { "stops of one price in order of entry", "S1 1@100; *2 B2 1@100 stop=100; S7 1@100; B8 1@100",
        "8x1:1@100 ^2 2x7:1@100 ^3", "1@100 /" },
    { "a trailing sell stop follows a rise, not a fall",
        "S1 1@100; B2 1@100; B3 1@90; S4 1 trail=5; S5 1@104; B6 1@104; B7 1@101; S8 1@101; B9 1@99; S10 1@99",
        "2x1:1@100 6x5:1@104 8x7:1@101 10x9:1@99 ^4 4x3:1@90", "/" },
    { "nothing to trail yet", "S1 5 trail=3", "!1 NO_PRICE", "/" },
    { "an amended stop waits anew", "S1 9@100; B2 1@100; B3 2 stop=105; A3 1 stop=100", "2x1:1@100 ~3:1@0 ^3 3x1:1@100",
        "/ 7@100" },
    /* pairs */
    { "one leg of a pair trades, the other goes", "S1 5@110; S2 5 stop=90 peer=1; B3 1@110", "3x1:1@110 -2:5 PEER",
        "/ 4@110" },
    { "one leg of a pair triggers, the other goes", "S1 5@110; B5 5@80; S2 5 stop=90 peer=1; B3 1@90; S4 1@90",
        "4x3:1@90 ^2 -1:5 PEER 2x5:5@80", "/" },
    { "one leg of a pair is cancelled, the other goes", "S1 5@110; S2 5 stop=90 peer=1; C2", "-2:5 ASKED -1:5 PEER",
        "/" },
    { "both legs of a pair trigger in one command: the first wins",
        "B1 1@90; B7 1@80; S2 5 stop=95; S3 5 stop=90 peer=2; S4 1@90", "4x1:1@90 ^2 -3:5 PEER 2x7:1@80 -2:4 UNFILLED",
        "/" },
    { "a peer of another owner, side, or with a peer",
        "S1 5@110 o=1; S2 5 stop=90 peer=1 o=2; B3 5@90 peer=1 o=1; S4 1@111 peer=1 o=1; S5 1@112 peer=1 o=1",
        "!2 BAD_PEER !3 BAD_PEER !5 BAD_PEER", "/ 5@110 1@111" },
    /* self-trades in the middle of a sweep */
    { "self-trade: the taker ends", "S1 2@100; S2 3@100 o=7; S3 4@100; B9 9@100 o=7 stp=taker", "9x1:2@100 -9:7 SELF",
        "/ 7@100" },
    { "self-trade: the maker ends", "S1 2@100; S2 3@100 o=7; S3 4@100; B9 9@100 o=7 stp=maker",
        "9x1:2@100 -2:3 SELF 9x3:4@100", "3@100 /" },
    { "self-trade: both end", "S1 2@100; S2 3@100 o=7; S3 4@100; B9 9@100 o=7 stp=both",
        "9x1:2@100 -2:3 SELF -9:7 SELF", "/ 4@100" },
    { "self-trade: both lose", "S1 2@100; S2 3@100 o=7; S3 4@100; B9 9@100 o=7 stp=decrement",
        "9x1:2@100 -2:3 SELF ~9:4@100 9x3:4@100", "/" },
    { "self-trade: both lose, the taker all", "S1 9@100 o=7; B9 4@100 o=7 stp=decrement", "~1:5@100 -9:4 SELF",
        "/ 5@100" },
    { "self-trade: no mode, no prevention", "S1 2@100 o=7; B9 2@100 o=7", "9x1:2@100", "/" },
    { "self-trade: a FOK that would meet itself", "S1 2@100; S2 3@100 o=7; B9 5@100 o=7 fok stp=taker",
        "-9:5 NOT_WHOLE", "/ 5@100" },
    /* time and states */
    { "good till a time, and at that time gone", "T5; S1 5@100 gtd=8; S2 5@100 gtd=7; T7; T8; S3 1@100 gtd=8",
        "x2:5 x1:5 !3 BAD_TIME", "/" },
    { "time does not go back", "T5; T4; T5", "!0 BAD_TIME", "/" },
    { "a halt lets nothing through but mass cancels", "S1 5@100; HALT; B2 5@100; C1; A1 3; CA; OPEN",
        "!2 CLOSED !1 CLOSED !1 CLOSED -1:5 MASS =1", "/" },
    { "cancel-only", "S1 5@100; CANCEL-ONLY; B2 5@100; A1 3; C1", "!2 CLOSED !1 CLOSED -1:5 ASKED", "/" },
    { "cancel all of an owner", "S1 5@100 o=7; S2 5@100 o=8; B3 9 stop=200 o=7; CO7", "-1:5 MASS -3:9 MASS =2",
        "/ 5@100" },
    { "an auction rests without matching", "AUCTION; B1 5@105; S2 5@100; B3 1@110 ioc; B4 1@1 post",
        "!3 CLOSED !4 CLOSED", "5@105 / 5@100" },
    { "an auction trades the greatest volume at one price", "AUCTION; B1 5@105; B2 5@103; S3 4@100; S4 6@103; OPEN",
        "1x3:4@103 1x4:1@103 2x4:5@103", "/" },
    { "an auction with a surplus of buyers: the highest price", "AUCTION; B1 9@105; S2 4@100; OPEN", "1x2:4@105",
        "5@105 /" },
    { "an auction with a surplus of sellers: the lowest price", "AUCTION; B1 4@105; S2 9@100; OPEN", "1x2:4@100",
        "/ 5@100" },
    { "an auction without a surplus: nearest to the last trade",
        "S8 1@102; B9 1@102; AUCTION; B1 4@105; S2 4@100; OPEN", "9x8:1@102 1x2:4@102", "/" },
    { "an auction with the same surplus at two prices: nearest to the last trade, above",
        "S8 1@102; B9 1@102; AUCTION; B1 4@101; B2 3@100; S3 4@100; S4 3@101; OPEN", "9x8:1@102 1x3:4@101",
        "3@100 / 3@101" },
    { "an auction with the same surplus at two prices: nearest to the last trade, below",
        "S8 1@99; B9 1@99; AUCTION; B1 4@101; B2 3@100; S3 4@100; S4 3@101; OPEN", "9x8:1@99 1x3:4@100",
        "3@100 / 3@101" },
    { "an opening that triggers a stop", "AUCTION; B1 4@105; S2 5@100; B3 1 stop=99; OPEN", "1x2:4@100 ^3 3x2:1@100",
        "/" },
};

/* ---- reading a row ---- */

static const struct {
    const char *word;
    size_t at; /* of a byte in kt_match_command */
    uint8_t value;
} words[] = {
    { "ioc", offsetof(kt_match_command, tif), KT_MATCH_IOC },
    { "fok", offsetof(kt_match_command, tif), KT_MATCH_FOK },
    { "post", offsetof(kt_match_command, post_only), 1 },
    { "mkt", offsetof(kt_match_command, type), KT_MATCH_MARKET },
    { "lim", offsetof(kt_match_command, type), KT_MATCH_LIMIT },
    { "stp=taker", offsetof(kt_match_command, stp), KT_MATCH_STP_TAKER },
    { "stp=maker", offsetof(kt_match_command, stp), KT_MATCH_STP_MAKER },
    { "stp=both", offsetof(kt_match_command, stp), KT_MATCH_STP_BOTH },
    { "stp=decrement", offsetof(kt_match_command, stp), KT_MATCH_STP_DECREMENT },
};

static const struct {
    const char *word;
    kt_match_state state;
} states[] = { { "OPEN", KT_MATCH_OPEN }, { "HALT", KT_MATCH_HALT }, { "CANCEL-ONLY", KT_MATCH_CANCEL_ONLY },
    { "AUCTION", KT_MATCH_AUCTION } };

static void read_word(kt_match_command *c, const char *word)
{
    long long value = strchr(word, '=') != NULL ? atoll(strchr(word, '=') + 1) : 0;

    for (size_t i = 0; i < KT_COUNT(words); i++)
        if (strcmp(word, words[i].word) == 0) {
            ((uint8_t *)c)[words[i].at] = words[i].value;
            return;
        }
    if (strncmp(word, "gtd=", 4) == 0) {
        c->tif = KT_MATCH_GTD;
        c->time = value;
    } else if (strncmp(word, "show=", 5) == 0) {
        c->display = value;
    } else if (strncmp(word, "o=", 2) == 0) {
        c->owner = (uint32_t)value;
    } else if (strncmp(word, "peer=", 5) == 0) {
        c->peer = (uint64_t)value;
    } else if (strncmp(word, "stop=", 5) == 0) {
        c->stop = (uint32_t)value;
        c->type = c->op != KT_MATCH_NEW ? 0 : c->price != 0 ? KT_MATCH_STOP_LIMIT : KT_MATCH_STOP;
    } else if (strncmp(word, "trail=", 6) == 0) {
        c->trail = (uint32_t)value;
        c->type = KT_MATCH_TRAIL;
    } else {
        fail_msg("what is '%s'?", word);
    }
}

static kt_match_command read_command(char *text)
{
    static const char letters[] = "BSCAR";
    static const uint8_t ops[] = { KT_MATCH_NEW, KT_MATCH_NEW, KT_MATCH_CANCEL, KT_MATCH_AMEND, KT_MATCH_REPLACE };
    char *rest = NULL, *word = strtok_r(text, " ", &rest);
    kt_match_command c = { 0 };

    for (size_t i = 0; i < KT_COUNT(states); i++)
        if (strcmp(word, states[i].word) == 0)
            return (kt_match_command){ .op = KT_MATCH_STATE, .state = (uint8_t)states[i].state };
    if (word[0] == 'T')
        return (kt_match_command){ .op = KT_MATCH_TIME, .time = atoll(word + 1) };
    if (strcmp(word, "CA") == 0)
        return (kt_match_command){ .op = KT_MATCH_CANCEL_ALL };
    if (strncmp(word, "CO", 2) == 0)
        return (kt_match_command){ .op = KT_MATCH_CANCEL_OWNER, .owner = (uint32_t)atoi(word + 2) };
    c.op = ops[strchr(letters, word[0]) - letters];
    c.side = word[0] == 'S';
    c.id = strtoull(word + 1, NULL, 10);
    while ((word = strtok_r(NULL, " ", &rest)) != NULL)
        if ((word[0] >= '0' && word[0] <= '9') || word[0] == '-' || word[0] == '@') {
            const char *price = strchr(word, '@');

            c.qty = word[0] == '@' ? 0 : atoll(word);
            c.price = price != NULL ? (uint32_t)atoi(price + 1) : 0;
            c.type = c.op == KT_MATCH_NEW && price == NULL ? KT_MATCH_MARKET : KT_MATCH_LIMIT;
        } else {
            read_word(&c, word);
        }
    return c;
}

/* ---- telling events ---- */

static void tell(kt_builder *out, const kt_match_event *event)
{
    const kt_match_trade *trade = (const kt_match_trade *)event;
    unsigned long long id = event->id, other = event->other;
    char text[96] = "";

    switch (event->kind) {
    case KT_MATCH_TRADE:
        assert_true(trade->maker_left >= 0 && trade->taker_left >= 0);
        snprintf(text, sizeof text, " %llux%llu:%lld@%u", other, id, (long long)event->qty, event->price);
        break;
    case KT_MATCH_REJECTED:
        snprintf(text, sizeof text, " !%llu %s", id, kt_match_why_name(event->why));
        break;
    case KT_MATCH_CANCELLED:
        snprintf(text, sizeof text, " -%llu:%lld %s", id, (long long)event->qty, kt_match_why_name(event->why));
        break;
    case KT_MATCH_EXPIRED:
        snprintf(text, sizeof text, " x%llu:%lld", id, (long long)event->qty);
        break;
    case KT_MATCH_AMENDED:
        snprintf(text, sizeof text, " ~%llu:%lld@%u", id, (long long)event->qty, event->price);
        break;
    case KT_MATCH_TRIGGERED:
        snprintf(text, sizeof text, " ^%llu", id);
        break;
    case KT_MATCH_DONE:
        snprintf(text, sizeof text, " =%llu", other);
        break;
    default:
        break;
    }
    kt_builder_str(out, text);
}

typedef struct player {
    kt_match *fast;
    kt_slow *slow;
    kt_match_event *events;
    kt_builder told;
    char text[TEXT_MAX];
} player;

static void submit(player *p, const row *r, const kt_match_command *c)
{
    kt_match_out out = { .next = p->events, .end = p->events + EVENT_MAX };
    const kt_match_event *slow_events;
    size_t slow_count = kt_slow_submit(p->slow, c, &slow_events);

    kt_match_submit(p->fast, c, 1, &out);
    KT_ROW(r->name, (size_t)(out.next - p->events) == slow_count);
    KT_ROW(r->name, memcmp(p->events, slow_events, slow_count * sizeof *slow_events) == 0);
    KT_ROW(r->name, kt_match_audit(p->fast) == NULL);
    for (const kt_match_event *event = p->events; event < out.next; event = kt_match_next(event))
        tell(&p->told, event);
}

static void play(player *p, const row *r)
{
    char commands[1024], *rest = NULL;

    snprintf(commands, sizeof commands, "%s", r->commands);
    for (char *text = strtok_r(commands, ";", &rest); text != NULL; text = strtok_r(NULL, ";", &rest)) {
        unsigned times = 1;
        int price_step = 0;
        kt_match_command c;

        text += strspn(text, " ");
        if (text[0] == '*') {
            times = (unsigned)strtoul(text + 1, &text, 10);
            price_step = text[0] == '+' ? 1 : text[0] == '-' ? -1 : 0;
            text += price_step != 0 ? 2 : 1;
        }
        c = read_command(text);
        for (; times > 0; times--, c.id++, c.price = (uint32_t)((int)c.price + price_step))
            submit(p, r, &c);
    }
}

static void tell_book(const kt_match *match, kt_builder *out)
{
    kt_match_level_info levels[16];
    char text[64];

    for (kt_match_side side = KT_MATCH_BUY; side <= KT_MATCH_SELL; side++) {
        size_t count = kt_match_depth(match, 0, side, levels, KT_COUNT(levels));

        for (size_t i = 0; i < count; i++) {
            snprintf(text, sizeof text, " %lld@%u", (long long)levels[i].qty, levels[i].price);
            kt_builder_str(out, text);
        }
        if (side == KT_MATCH_BUY)
            kt_builder_str(out, " /");
    }
}

static player *open_player(void)
{
    player *p = calloc(1, sizeof *p);

    p->fast = kt_match_new(&bounds);
    p->slow = kt_slow_new(&bounds);
    p->events = malloc(EVENT_MAX * sizeof *p->events);
    kt_builder_init(&p->told, p->text, sizeof p->text);
    assert_non_null(p->fast);
    return p;
}

static void close_player(player *p)
{
    kt_match_free(p->fast);
    kt_slow_free(p->slow);
    free(p->events);
    free(p);
}

static void rules_by_name(void **state)
{
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        player *p = open_player();
        char book[512];
        kt_builder told_book;

        play(p, &rows[i]);
        if (strcmp(p->text + (p->text[0] == ' '), rows[i].events) != 0)
            fail_msg("row \"%s\": '%s' instead of '%s'", rows[i].name, p->text + (p->text[0] == ' '), rows[i].events);
        kt_builder_init(&told_book, book, sizeof book);
        tell_book(p->fast, &told_book);
        if (strcmp(book + 1, rows[i].book) != 0)
            fail_msg("row \"%s\": the book is '%s' instead of '%s'", rows[i].name, book + 1, rows[i].book);
        close_player(p);
    }
}

/* Stop k buys at the ask of 1000 + k, which trades there and so triggers stop k + 1. */
static void a_cascade_of_a_hundred_stops(void **state)
{
    static const row cascade = { "stop cascade of depth 100", "", "", "" };
    player *p = open_player();
    kt_match_command c = { .qty = 1 };
    char expected[TEXT_MAX] = "", *at;

    for (uint32_t k = 0; k <= 100; k++) {
        c.id = 1 + k;
        c.side = KT_MATCH_SELL;
        c.type = KT_MATCH_LIMIT;
        c.price = 1000 + k;
        c.stop = 0;
        submit(p, &cascade, &c);
        c.id = 1000 + k;
        c.side = KT_MATCH_BUY;
        c.type = KT_MATCH_STOP;
        c.price = 0;
        c.stop = 999 + k;
        if (k > 0)
            submit(p, &cascade, &c);
    }
    c = (kt_match_command){ .id = 5000, .qty = 1, .price = 1000 };
    submit(p, &cascade, &c);
    at = expected + sprintf(expected, " 5000x1:1@1000");
    for (uint32_t k = 1; k <= 100; k++)
        at += sprintf(at, " ^%u %ux%u:1@%u", 1000 + k, 1000 + k, 1 + k, 1000 + k);
    assert_string_equal(p->text, expected);
    assert_int_equal(kt_match_live(p->fast), 0);
    close_player(p);
}

/* ---- what is not a stream of commands ---- */

static void a_stale_handle_never_fits_again(void **state)
{
    kt_match_bounds b = bounds;
    kt_match_event events[2 * KT_MATCH_ROOM];
    uint64_t first = 0, id = 0;
    kt_match_order_info info;
    kt_match *match;

    b.ids = KT_MATCH_HANDLES;
    b.id_max = 0;
    match = kt_match_new(&b);
    for (uint32_t i = 0; i < 1000; i++) {
        kt_match_command add = { .id = 77, .qty = 1, .price = 100 };
        kt_match_out out = { .next = events, .end = events + 2 * KT_MATCH_ROOM };

        kt_match_submit(match, &add, 1, &out);
        assert_int_equal(events[0].other, 77); /* the client's tag */
        id = events[0].id;
        assert_false(kt_match_order(match, id + (UINT64_C(1) << 32), &info)); /* not yet given out */
        assert_false(first != 0 && kt_match_order(match, first, &info));
        first = first != 0 ? first : id;
        kt_match_submit(match, &(kt_match_command){ .op = KT_MATCH_CANCEL, .id = id }, 1, &out);
        assert_int_equal(out.next[-2].kind, KT_MATCH_CANCELLED);
    }
    assert_int_equal((uint32_t)id, (uint32_t)first); /* one slot all the time */
    kt_match_free(match);
}

static kt_match_event small_ring[KT_MATCH_ROOM];
static uint64_t small_trades, small_calls;

static void empty_ring(kt_match_out *out)
{
    for (const kt_match_event *event = small_ring; event < out->next; event = kt_match_next(event))
        small_trades += event->kind == KT_MATCH_TRADE;
    out->next = small_ring;
    out->end = small_ring + KT_MATCH_ROOM;
    small_calls++;
}

static void a_sweep_through_the_smallest_ring_drops_nothing(void **state)
{
    kt_match_out out = { .next = small_ring, .end = small_ring + KT_MATCH_ROOM, .more = empty_ring };
    kt_match *match = kt_match_new(&bounds);

    for (uint32_t i = 1; i <= 2000; i++)
        kt_match_submit(
            match, &(kt_match_command){ .id = i, .side = KT_MATCH_SELL, .qty = 1, .price = 1 + i }, 1, &out);
    kt_match_submit(
        match, &(kt_match_command){ .id = 3000, .qty = 2000, .price = PRICE_MAX, .tif = KT_MATCH_IOC }, 1, &out);
    empty_ring(&out);
    assert_int_equal(small_trades, 2000);
    assert_int_equal(kt_match_live(match), 0);
    assert_true(small_calls > 100);
    kt_match_free(match);
}

/* Ids that are multiples of something, as many as there may be: all are found, whichever go first. */
static void client_ids_in_strides_are_found(void **state)
{
    enum { LIVE_MAX = 1000 };
    const kt_match_bounds many = {
        .symbol_max = 1, .order_max = LIVE_MAX, .price_max = 100, .qty_max = 100, .ids = KT_MATCH_HASH
    };
    kt_match_event events[KT_MATCH_ROOM * 2];
    kt_match_order_info info;

    for (uint32_t shift = 0; shift < 54; shift += 2) {
        kt_match *match = kt_match_new(&many);

        for (uint64_t i = 0; i < 3 * LIVE_MAX; i++) { /* each is there while the next LIVE_MAX - 1 come */
            kt_match_command add = { .id = (i + 1) << shift, .price = 50, .qty = 1 };
            kt_match_command cancel = { .id = (i + 2 - LIVE_MAX) << shift, .op = KT_MATCH_CANCEL };
            kt_match_out out = { .next = events, .end = events + KT_COUNT(events) };

            kt_match_submit(match, &add, 1, &out);
            if (i + 1 >= LIVE_MAX)
                kt_match_submit(match, &cancel, 1, &out);
            for (const kt_match_event *event = events; event < out.next; event = kt_match_next(event))
                assert_int_not_equal(event->kind, KT_MATCH_REJECTED);
        }
        assert_int_equal(kt_match_live(match), LIVE_MAX - 1);
        assert_null(kt_match_audit(match));
        assert_false(kt_match_order(match, 1, &info));
        kt_match_free(match);
    }
}

static void bounds_are_checked(void **state)
{
    static const struct {
        const char *name;
        kt_match_bounds bounds;
    } wrong[] = {
        { "no symbol", { 0, 1, 1, 0, 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "symbols", { KT_MATCH_SYMBOL_CEILING + 1, 1, 1, 0, 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "no order", { 1, 0, 1, 0, 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "orders", { 1, KT_MATCH_ORDER_CEILING + 1, 1, 0, 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "no price", { 1, 1, 0, 0, 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "prices", { 1, 1, KT_MATCH_PRICE_CEILING + 1, 0, 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "no quantity", { 1, 1, 1, 0, 0, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "quantities that overflow", { 1, 2, 1, 0, INT64_MAX / 2 + 1, 0, 0, KT_MATCH_HANDLES, 0 } },
        { "no ids", { 1, 1, 1, 0, 1, 0, 0, KT_MATCH_DIRECT, 0 } },
        { "ids", { 1, 1, 1, 0, 1, UINT64_C(1) << 32, 0, KT_MATCH_DIRECT, 0 } },
        { "ids of handles", { 1, 1, 1, 0, 1, 5, 0, KT_MATCH_HANDLES, 0 } },
        { "kinds of ids", { 1, 1, 1, 0, 1, 0, 0, KT_MATCH_IDS_COUNT, 0 } },
    };
    static const kt_match_bounds least = { 1, 1, 1, 0, INT64_MAX, 0, 0, KT_MATCH_HANDLES, 0 };
    kt_match *match = kt_match_new(&least);

    for (size_t i = 0; i < KT_COUNT(wrong); i++) {
        KT_ROW(wrong[i].name, kt_match_bounds_wrong(&wrong[i].bounds) != NULL);
        KT_ROW(wrong[i].name, kt_match_new(&wrong[i].bounds) == NULL);
    }
    assert_non_null(match);
    assert_memory_equal(kt_match_bounds_of(match), &least, sizeof least);
    assert_int_equal(kt_match_state_of(match, 0), KT_MATCH_OPEN);
    kt_match_free(match);
    kt_match_free(NULL);
}

static void damaged_bytes_are_refused(void **state)
{
    player *p = open_player();
    row r = { "damaged", "*9+ S1 5@100 gtd=9; B20 5@90 show=2; B21 1 stop=200; S22 9@150 o=3; S23 9 stop=5 peer=22 o=3",
        "", "" };
    size_t size;
    char *bytes, *copy;

    play(p, &r);
    size = kt_match_save_size(p->fast);
    bytes = malloc(size);
    copy = malloc(size);
    assert_int_equal(kt_match_save(p->fast, bytes, size), size);
    for (size_t i = 0; i < size; i++) {
        memcpy(copy, bytes, size);
        copy[i] ^= 1;
        assert_false(kt_match_load(p->fast, copy, size));
        assert_false(kt_match_load(p->fast, bytes, i));
        assert_int_equal(kt_match_live(p->fast), 0);
    }
    assert_true(kt_match_load(p->fast, bytes, size));
    assert_int_equal(kt_match_live(p->fast), 13);
    free(bytes);
    free(copy);
    close_player(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_by_name),
        cmocka_unit_test(a_cascade_of_a_hundred_stops),
        cmocka_unit_test(a_stale_handle_never_fits_again),
        cmocka_unit_test(a_sweep_through_the_smallest_ring_drops_nothing),
        cmocka_unit_test(client_ids_in_strides_are_found),
        cmocka_unit_test(bounds_are_checked),
        cmocka_unit_test(damaged_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
