/* venue/sim/control.h - the action sim.faults (schema/actions.h), which the sim answers itself: POST /v1/sim/faults with the
 * parameters as JSON, GET for a look.
 */
#ifndef KT_VENUE_SIM_CONTROL_H
#define KT_VENUE_SIM_CONTROL_H

#include "venue/sim/faults.h"

enum { KT_SIM_CONTROL_SIZE = 32 << 10 }; /* bytes of an answer, at most */

/* Read the parameters into `values`, which hold what is not named. All are set or, after an error, none. Codes are those of
 * the action; the message names what is wrong and what is allowed. */
kt_code kt_sim_control_read(kt_text body, kt_sim_faults *values, kt_err *err);

/* The answer: every fault as it is now. */
void kt_sim_control_write(const kt_sim_faults *faults, kt_json_writer *writer);

#endif
