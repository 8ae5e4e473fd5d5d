/* venue/sim/raw.h - answers of HTTP by hand: cut off, or by so many bytes a second. The connection ends behind them.
 */
#ifndef KT_VENUE_SIM_RAW_H
#define KT_VENUE_SIM_RAW_H

#include "net/http_server.h"

enum { KT_SIM_TICK_MS = 50 }; /* what is sent slowly is sent so often */

typedef struct kt_sim_raws kt_sim_raws; /* answers under way */

/* NULL: no memory. Free it before the loop. */
kt_sim_raws *kt_sim_raws_new(kt_loop *loop);
void kt_sim_raws_free(kt_sim_raws *raws); /* accepts NULL */

/* Inside on_request, instead of an answer: Content-Length says the whole body, of which `sent` bytes come, at `rate` bytes a
 * second (0: at once). false: no memory, or the client has gone; nothing is answered then. */
bool kt_sim_raw_respond(kt_sim_raws *raws, kt_http_server *http, uint64_t exchange, const kt_http_response *response,
    size_t sent, uint32_t rate);

#endif
