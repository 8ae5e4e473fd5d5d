/* venue/sim/options.h - the flags of `kontor sim`.
 */
#ifndef KT_VENUE_SIM_OPTIONS_H
#define KT_VENUE_SIM_OPTIONS_H

#include "venue/sim/feed.h"
#include "venue/sim/schedule.h"

#define KT_SIM_SPEED_MAX 0.0 /* as fast as the reader takes it */

enum {
    KT_SIM_PORT_DEFAULT = 3001,
    KT_SIM_KEEP_DEFAULT = 1000000,
    KT_SIM_SILENCE_DEFAULT_S = 8,
    KT_SIM_RETRY_AFTER_DEFAULT_S = 2
};

typedef struct kt_sim_options {
    uint16_t port;
    bool generic, binance;         /* formats served */
    const kt_venue_format *kraken; /* the version served, or NULL */
    kt_sim_market_options market;
    int64_t history_ns; /* market time that has passed before the start: REST knows its trades */
    double speed;       /* market seconds a second, or KT_SIM_SPEED_MAX */
    uint32_t wait;      /* clients that must have subscribed before the market starts */
    uint32_t keep;      /* trades a symbol that REST remembers */
    bool shuffle;       /* rows of /trades in no order */
    bool no_rest;
    kt_sim_faults faults;
    const char *schedule; /* file, NULL: none */
    uint32_t retry_after_s;
    int64_t silence_max_ns;
    const char *truth;           /* file, NULL: none */
    const char *tls_certificate; /* PEM files, NULL: plain text */
    const char *tls_key;
    const char *tls_folder; /* of certificates that the sim makes, good and bad; NULL: none */
    bool has_control;
    uint16_t control_port; /* the sim's own interface, untouched by faults */
    bool help;
} kt_sim_options;

/* Read argv[1] ..., texts stay borrowed. `now_ns` is the start of the market where no other is given. KT_ARG,
 * KT_SYNTAX, KT_RANGE: the message names the flag, what was given and what is allowed. */
kt_code kt_sim_options_read(int argc, char **argv, int64_t now_ns, kt_sim_options *out_options, kt_err *err);

/* Can each fault come whose value is not the one before? KT_ARG: what is served has nothing that it could break, --tls or books,
 * and the message says what it needs. */
kt_code kt_sim_options_check_faults(
    const kt_sim_options *options, const kt_sim_faults *before, const kt_sim_faults *faults, kt_err *err);

/* The manual that --help prints. */
void kt_sim_help(FILE *out);

#endif
