/* venue/sim/test_faults.h - for tests: faults from numbers. */
#ifndef KT_VENUE_SIM_TEST_FAULTS_H
#define KT_VENUE_SIM_TEST_FAULTS_H

#include "venue/sim/faults.h"

/* `shares` by kt_sim_fault, to six digits; NULL: none. */
static inline kt_sim_faults kt_test_faults(const double *shares)
{
    kt_sim_faults faults = { 0 };

    for (kt_sim_fault fault = 0; shares != NULL && fault < KT_SIM_FAULT_COUNT; fault++)
        faults.values[fault] = (kt_decimal){ .m = (int64_t)(shares[fault] * 1e6), .scale = 6 };
    return faults;
}

#endif
